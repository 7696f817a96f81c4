/* SPDX-License-Identifier: Apache-2.0 */
/* Direct methods: what they ask for, when and how they are answered. */
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "tests/fakes/azure_world.h"
#include "tests/test.h"

#define IMAGE "{\"fwPackageUri\":\"https://fw.example/a.bin?sig=1\",\"fwVersion\":\"2.0.0\"}"

static int set_up(void **state)
{
    struct hub *hub = hub_new(SB_AZURE_DEVICES);
    core_up(&hub->core, CORE_PUMP);
    *state = hub;
    return 0;
}

static int tear_down(void **state)
{
    hub_free(*state);
    return 0;
}

static const char *call(struct hub *hub, const char *method, const char *payload)
{
    return hub_calls(hub, CORE_PUMP, method, payload);
}

/* ---- the six device jobs ---- */

#define T(name) SB_TEST_OF(struct hub *hub, name, set_up, tear_down)

T(the_jobs_that_are_answered_at_once)
{
    static const struct {
        const char *method, *payload;
        enum sb_op op;
        int status;
    } cases[] = {
        { "firmwareUpdate", IMAGE, SB_OP_FIRMWARE_UPDATE, 202 },
        { "firmwareDownload", IMAGE, SB_OP_FIRMWARE_DOWNLOAD, 202 },
        { "firmwareInstall", NULL, SB_OP_FIRMWARE_INSTALL, 202 },
        { "reboot", NULL, SB_OP_REBOOT, 200 },
        { "reboot", "{\"delay\":5}", SB_OP_REBOOT, 200 },
        { "factoryReset", "null", SB_OP_FACTORY_RESET, 200 },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        const char *rid = call(hub, cases[i].method, cases[i].payload);
        sb_cleanup(sb_freep) char *want =
            sb_format("{\"status\":\"accepted\",\"task\":%zu}", i + 101);
        assert_true(hub_answered(hub, rid, cases[i].status, want));
        assert_int_equal(hub->core.tasks[i].job.op, cases[i].op);
    }
    assert_true(core_is(hub->core.tasks[0].package, "{\"uri\": \"https://fw.example/a.bin?sig=1\", "
                                                    "\"version\": \"2.0.0\"}"));
}

T(the_jobs_that_are_answered_with_their_result)
{
    static const struct {
        const char *method, *payload;
        enum sb_op op;
        const char *params;
    } cases[] = {
        { "readProperties", "{\"names\":[\"speed\",\"label\"]}", SB_OP_READ,
          "{\"names\": [\"speed\", \"label\"]}" },
        { "readProperties", "[\"speed\"]", SB_OP_READ, "{\"names\": [\"speed\"]}" },
        { "readProperties", "{\"DevicePropertyNames\":[\"Timezone\"]}", SB_OP_READ,
          "{\"names\": [\"Timezone\"]}" },
        { "readProperties", "{\"name\":\"speed\"}", SB_OP_READ, "{\"names\": [\"speed\"]}" },
        { "readProperties", "\"speed\"", SB_OP_READ, "{\"names\": [\"speed\"]}" },
        { "writeProperties", "{\"values\":{\"speed\":7}}", SB_OP_WRITE,
          "{\"values\": {\"speed\": 7}}" },
        { "writeProperties", "{\"DeviceProperties\":{\"speed\":7}}", SB_OP_WRITE,
          "{\"values\": {\"speed\": 7}}" },
        { "writeProperties", "{\"speed\":7}", SB_OP_WRITE, "{\"values\": {\"speed\": 7}}" },
        { "updateConfiguration", "{\"value\":{\"mode\":\"eco\"}}", SB_OP_CONFIGURE,
          "{\"values\": {\"mode\": \"eco\"}}" },
        { "rinse", "{\"times\":2}", SB_OP_INVOKE,
          "{\"action\": \"rinse\", \"arguments\": {\"times\": 2}}" },
        { "rinse", NULL, SB_OP_INVOKE, "{\"action\": \"rinse\", \"arguments\": {}}" },
        { "rinse", "null", SB_OP_INVOKE, "{\"action\": \"rinse\", \"arguments\": {}}" },
        { "rinse", "3", SB_OP_INVOKE, "{\"action\": \"rinse\", \"arguments\": {\"value\": 3}}" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        sb_cleanup(sb_freep) char *rid = strdup(call(hub, cases[i].method, cases[i].payload));
        assert_true(hub_unanswered(hub, rid));
        assert_int_equal(hub->core.tasks[i].job.op, cases[i].op);
        assert_true(core_is(hub->core.tasks[i].params, cases[i].params));
        core_task(&hub->core, i, SB_TASK_RUNNING);
        hub->core.tasks[i].task.result = i < 2 ? json_pack("{s:i}", "speed", 7) : NULL;
        core_task(&hub->core, i, SB_TASK_SUCCEEDED);
        assert_true(hub_answered(hub, rid, 200, i < 2 ? "{\"speed\":7}" : "{\"status\":\"done\"}"));
        assert_int_equal(core_timer(&hub->core, CORE_PUMP, "method:1"), -1);
    }
}

/* ---- refusals ---- */

T(payloads_that_ask_for_nothing)
{
    static const struct {
        const char *method, *payload, *text;
    } cases[] = {
        { "firmwareUpdate", NULL, "fwPackageUri is missing" },
        { "firmwareUpdate", "{\"fwPackageUri\":7}", "fwPackageUri is missing" },
        { "firmwareUpdate", "{\"fwPackageUri\":\"not a uri\"}", "fwPackageUri is not a valid URI" },
        { "firmwareUpdate", "{\"fwPackageUri\":\"https://h/x\",\"fwPackageCheckValue\":\"1234\"}",
          "fwPackageCheckValue is neither a SHA-256 nor an MD5 digest" },
        { "firmwareUpdate", "{\"fwPackageUri\":\"https://h/x\",\"fwVersion\":2}",
          "fwVersion is not a text" },
        { "firmwareUpdate", "{\"fwPackageUri\":\"https://h/x\",\"fwPackageCheckValue\":1234}",
          "fwPackageCheckValue is not a text" },
        { "readProperties", NULL, "the payload must have the names of what to read" },
        { "readProperties", "{\"names\":[]}", "the payload must have the names of what to read" },
        { "readProperties", "{\"names\":[1]}", "the payload must have the names of what to read" },
        { "writeProperties", "[]", "the payload must have the values to write" },
        { "writeProperties", "{\"values\":{}}", "the payload must have the values to write" },
        { "updateConfiguration", "\"x\"", "the payload must have the values to configure" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        const char *rid = call(hub, cases[i].method, cases[i].payload);
        sb_cleanup(sb_freep) char *want = sb_format(
            "{\"error\":{\"code\":\"invalid_request\",\"description\":\"%s\"}}", cases[i].text);
        assert_true(hub_answered(hub, rid, 400, want));
    }
    assert_int_equal(hub->core.task_count, 0);
    assert_true(hub_answered(hub, call(hub, "reboot", "{nonsense"), 400, "*"));
    hub->config.check = SB_AZURE_CHECK_IGNORE;
    assert_true(
        hub_answered(hub,
                     call(hub, "firmwareUpdate",
                          "{\"fwPackageUri\":\"https://h/x\",\"fwPackageCheckValue\":\"1234\"}"),
                     202, "*"));
}

T(what_the_core_refuses)
{
    static const struct {
        enum sb_cause cause;
        int status;
    } cases[] = {
        { SB_CAUSE_CONFLICT, 409 },    { SB_CAUSE_BUSY, 409 },        { SB_CAUSE_INVALID_URI, 400 },
        { SB_CAUSE_UNSUPPORTED, 501 }, { SB_CAUSE_REFUSED, 403 },     { SB_CAUSE_NOT_READY, 409 },
        { SB_CAUSE_INTERNAL, 500 },    { SB_CAUSE_DEVICE_GONE, 404 },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        hub->core.refuse = cases[i].cause;
        hub->core.refuse_text = "because";
        const char *rid = call(hub, "firmwareUpdate", IMAGE);
        sb_cleanup(sb_freep) char *want =
            sb_format("{\"error\":{\"code\":\"%s\",\"description\":\"because\"}}",
                      sb_cause_name((int)cases[i].cause));
        assert_true(hub_answered(hub, rid, cases[i].status, want));
    }
}

T(what_cannot_be_asked_for)
{
    assert_true(hub_answered(hub, call(hub, "explode", "{}"), 501, "*"));
    hub->core.unsupported = 1U << SB_OP_REBOOT | 1U << SB_OP_INVOKE;
    assert_true(hub_answered(hub, call(hub, "reboot", NULL), 501, "*"));
    assert_true(hub_answered(hub, call(hub, "rinse", NULL), 501, "*"));
    hub->core.unsupported = 0;
    hub->core.ready = false;
    hub->core.why = "the disk is full";
    assert_true(hub_answered(hub, call(hub, "reboot", NULL), 503,
                             "{\"error\":{\"code\":\"busy\",\"description\":\"the gateway cannot "
                             "take requests now: the disk is full\"}}"));
    hub->core.ready = true;
    hub->core.devices[CORE_PUMP].type = NULL; /* no mapping defines it */
    assert_true(hub_answered(hub, call(hub, "reboot", NULL), 501, "*"));
    assert_int_equal(hub->core.task_count, 0);
}

T(a_method_without_an_id_is_ignored)
{
    core_hears(&hub->core, CORE_PUMP, "$iothub/methods/POST/reboot/?$rid=", "", 0);
    core_hears(&hub->core, CORE_PUMP, "$iothub/methods/POST/reboot/?x=1", "", 0);
    assert_int_equal(hub->core.task_count, 0);
    assert_int_equal(hub->answer_count, 0);
    assert_int_equal(hub->core.notes, 2);
}

/* ---- how it ends ---- */

T(a_result_that_is_a_failure)
{
    const char *rid = call(hub, "writeProperties", "{\"speed\":99999}");
    core_task(&hub->core, 0, SB_TASK_RUNNING);
    hub->core.tasks[0].task.text = "speed: out of range";
    core_fails(&hub->core, 0, SB_CAUSE_REFUSED, SB_PHASE_WRITING);
    assert_true(hub_answered(hub, rid, 403,
                             "{\"error\":{\"code\":\"refused\",\"description\":\"speed: out of "
                             "range\"}}"));
    rid = call(hub, "rinse", NULL); /* of a device that speaks this dialect: its own number */
    struct sb_native *native = &hub->core.tasks[1].task.native;
    *native = (struct sb_native){ "azure", "status", "418", NULL };
    core_fails(&hub->core, 1, SB_CAUSE_REFUSED, SB_PHASE_WRITING);
    assert_true(hub_answered(hub, rid, 418, "*"));
    rid = call(hub, "rinse", NULL);
    hub->core.tasks[2].task.native = (struct sb_native){ "ibm", "rc", "418", NULL };
    core_fails(&hub->core, 2, SB_CAUSE_TIMEOUT, SB_PHASE_WRITING);
    assert_true(hub_answered(hub, rid, 504, "*"));
}

T(a_result_that_does_not_come_in_time)
{
    sb_cleanup(sb_freep) char *waits = strdup(call(hub, "readProperties", "[\"speed\"]"));
    sb_cleanup(sb_freep) char *runs = strdup(call(hub, "readProperties", "[\"label\"]"));
    core_task(&hub->core, 1, SB_TASK_RUNNING);
    core_passes(&hub->core, 19 * SB_SECOND);
    assert_true(hub_unanswered(hub, waits));
    core_passes(&hub->core, 2 * SB_SECOND);
    assert_true(hub_answered(hub, waits, 504, "*"));
    assert_int_equal(hub->core.cancelled, 101);
    assert_int_equal(hub->core.cancel_cause, SB_CAUSE_EXPIRED);
    assert_true(hub_answered(hub, runs, 202, "{\"status\":\"still running\",\"task\":102}"));
    core_task(&hub->core, 1, SB_TASK_SUCCEEDED);
    assert_int_equal(hub->answer_count, 2);
}

T(a_result_that_is_too_large)
{
    sb_cleanup(sb_freep) char *large = calloc(1, 140000);
    const char *rid = call(hub, "readProperties", "[\"log\"]");
    memset(large, 'x', 139999);
    hub->core.tasks[0].task.result = json_pack("{s:s}", "log", large);
    core_task(&hub->core, 0, SB_TASK_SUCCEEDED);
    assert_true(hub_answered(hub, rid, 200, "{\"status\":\"done; the result is too large\"}"));
}

T(methods_that_wait_are_bounded)
{
    for (int i = 0; i < 10; i++)
        assert_true(hub_unanswered(hub, call(hub, "readProperties", "[\"speed\"]")));
    assert_true(hub_answered(hub, call(hub, "readProperties", "[\"speed\"]"), 409, "*"));
}

T(an_answer_dies_with_its_connection)
{
    const char *rid = call(hub, "readProperties", "[\"speed\"]");
    core_down(&hub->core, CORE_PUMP);
    core_task(&hub->core, 0, SB_TASK_SUCCEEDED);
    core_up(&hub->core, CORE_PUMP);
    core_passes(&hub->core, SB_MINUTE);
    assert_true(hub_unanswered(hub, rid));
}

/* Its caller was told that it failed: it must not be done when the device is back tomorrow. */
T(what_nobody_waits_for_is_taken_back)
{
    call(hub, "writeProperties", "{\"speed\":1}");
    core_task(&hub->core, 0, SB_TASK_RUNNING);
    core_down(&hub->core, CORE_PUMP);
    assert_int_equal(hub->core.cancelled, 0); /* it has begun */
    core_up(&hub->core, CORE_PUMP);
    call(hub, "writeProperties", "{\"speed\":2}");
    call(hub, "reboot", NULL); /* its caller knows that it was accepted */
    core_down(&hub->core, CORE_PUMP);
    assert_int_equal(hub->core.cancelled, 102);
    assert_int_equal(hub->core.cancel_cause, SB_CAUSE_EXPIRED);
    core_up(&hub->core, CORE_PUMP);
    core_fails(&hub->core, 1, SB_CAUSE_EXPIRED, SB_PHASE_WAITING);
    call(hub, "rinse", NULL);
    hub->core.cancelled = 0;
    core_restarts(&hub->core);
    core_up(&hub->core, CORE_PUMP);
    core_task(&hub->core, 2, SB_TASK_QUEUED);
    core_task(&hub->core, 3, SB_TASK_QUEUED);
    assert_int_equal(hub->core.cancelled, 104);
}

/* The twin still asks for it. */
T(what_is_wished_as_well_is_not_taken_back)
{
    hub->core.merges = true;
    hub_desires(hub, CORE_PUMP, "{\"configuration\":{\"mode\":1}}");
    const char *rid = call(hub, "updateConfiguration", "{\"values\":{\"mode\":1}}");
    assert_int_equal(hub->core.task_count, 1);
    core_passes(&hub->core, 21 * SB_SECOND);
    assert_true(hub_answered(hub, rid, 504, "*"));
    assert_int_equal(hub->core.cancelled, 0);
}

T(a_repeated_method_is_done_once)
{
    const char *topic = "$iothub/methods/POST/reboot/?$rid=77";
    core_hears(&hub->core, CORE_PUMP, topic, "", 0);
    core_hears(&hub->core, CORE_PUMP, topic, "", 0);
    assert_int_equal(hub->core.task_count, 1);
    assert_int_equal(hub->answer_count, 1);
    core_down(&hub->core, CORE_PUMP);
    core_up(&hub->core, CORE_PUMP);
    core_hears(&hub->core, CORE_PUMP, topic, "",
               0); /* small numbers come again on other connections */
    assert_int_equal(hub->answer_count, 2);
}

/* ---- taking back ---- */

T(an_update_is_taken_back)
{
    assert_true(hub_answered(hub, call(hub, "cancelFirmwareUpdate", NULL), 404, "*"));
    call(hub, "firmwareUpdate", IMAGE);
    core_task(&hub->core, 0, SB_TASK_DOWNLOADING);
    assert_true(hub_answered(hub, call(hub, "cancelFirmwareUpdate", NULL), 200, "*"));
    assert_int_equal(hub->core.cancelled, 101);
    assert_int_equal(hub->core.cancel_cause, SB_CAUSE_OPERATOR);
    hub->core.tasks[0].task.committed = true;
    core_task(&hub->core, 0, SB_TASK_INSTALLING);
    assert_true(hub_answered(hub, call(hub, "cancelFirmwareUpdate", NULL), 409, "*"));
    core_foreign(&hub->core, CORE_PUMP, SB_OP_FIRMWARE_UPDATE, SB_TASK_DOWNLOADING, SB_CAUSE_NONE);
    core_task(&hub->core, 0, SB_TASK_SUCCEEDED);
    core_foreign(&hub->core, CORE_PUMP, SB_OP_FIRMWARE_UPDATE, SB_TASK_INSTALLING, SB_CAUSE_NONE);
    assert_true(hub_answered(hub, call(hub, "cancelFirmwareUpdate", NULL), 404, "*"));
}

/* Behind what somebody else does, where the twin does not show it. */
T(an_update_that_waits_is_taken_back)
{
    core_foreign(&hub->core, CORE_PUMP, SB_OP_FIRMWARE_UPDATE, SB_TASK_INSTALLING, SB_CAUSE_NONE);
    call(hub, "reboot", NULL); /* stays */
    call(hub, "firmwareUpdate", IMAGE);
    core_task(&hub->core, 1, SB_TASK_QUEUED);
    assert_true(hub_answered(hub, call(hub, "cancelFirmwareUpdate", NULL), 200, "*"));
    assert_int_equal(hub->core.cancelled, 102);
}

T(a_device_that_goes_is_answered_for)
{
    const char *rid = call(hub, "readProperties", "[\"speed\"]");
    core_news(&hub->core, CORE_PUMP, SB_NEWS_DEVICE_REMOVED);
    assert_true(hub_answered(hub, rid, 404, "*"));
}
