/* SPDX-License-Identifier: Apache-2.0 */
/* What the platform asks for, and what it is answered. */
#include "adapters/dialects/ibm/conversation.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "tests/unit/ibm_bench.h"

#define LOCATED                                                                                    \
    "{\"reqId\":\"%s\",\"d\":{\"fields\":[{\"field\":\"location\","                                \
    "\"value\":{\"latitude\":1,\"longitude\":2.5}}]}}"

/* ---- every request has its answer ---- */

TEST(unknown_devices)
{
    static const char *const kinds[] = {
        REBOOT, RESET, DOWNLOAD, INSTALL, "observe", "nonsense", "mgmt/custom/southbridge/read"
    };
    for (size_t i = 0; i < SB_COUNT(kinds); i++) {
        sb_cleanup(sb_freep) char *topic = sb_format("iotdm-1/type/pump/id/p8/%s", kinds[i]);
        const char *body = "{\"reqId\":\"x\",\"d\":{\"fields\":[\"mgmt.firmware\"]}}";
        wiot_forget(w);
        wiot_hears(w, topic, body, strlen(body));
        char *id = strstr(w->log[0].topic, "/id/p8/response");
        assert_non_null(id);
        id[5] = '7'; /* for answered() */
        answered(w, 404, "no such device");
        assert_int_equal(wiot_count(w, SB_OUT_SUBMIT), 0);
    }
    wiot_forget(w);
    wiot_hears(w, "iotdm-1/type/pump/id/p8/" REBOOT, "{}", 2);
    assert_true(wiot_silent(w));
}

TEST(the_gateway_itself_does_nothing)
{
    static const char *const kinds[] = { REBOOT,
                                         RESET,
                                         DOWNLOAD,
                                         INSTALL,
                                         "mgmt/custom/southbridge/read",
                                         "mgmt/custom/southbridge/rinse" };
    w->self = w->has_gateway = true;
    for (size_t i = 0; i < SB_COUNT(kinds); i++) {
        sb_cleanup(sb_freep) char *id = sb_format("r%zu", i);
        asks(w, kinds[i], id);
        answered(w, 501, NULL);
    }
    observes(w, "o");
    answered(w, 200, "mgmt.firmware");
    assert_int_equal(wiot_count(w, SB_OUT_SUBMIT), 0);
}

TEST(the_gateways_attributes)
{
    w->self = true;
    says(w, "device/update", LOCATED, "a");
    answered(w, 500, "no record");
    w->has_gateway = true;
    says(w, "device/update", LOCATED, "b");
    answered(w, 204, NULL);
    assert_string_equal(wiot_last(w, SB_OUT_FACT)->name, "location");
}

TEST(what_the_type_cannot_do)
{
    char *only[] = { "identify" };
    w->type.operations = (struct sb_strings){ only, 1 };
    static const char *const kinds[] = { REBOOT,
                                         RESET,
                                         DOWNLOAD,
                                         INSTALL,
                                         "mgmt/custom/southbridge/write",
                                         "mgmt/custom/southbridge/rinse" };
    for (size_t i = 0; i < SB_COUNT(kinds); i++) {
        sb_cleanup(sb_freep) char *id = sb_format("r%zu", i);
        asks(w, kinds[i], id);
        answered(w, 501, NULL);
    }
}

TEST(broken_texts)
{
    says(w, REBOOT, "{\"reqId\":\"b1\",,}");
    answered(w, 400, "not valid JSON");
    says(w, REBOOT, "{\"reqId\":");
    assert_true(wiot_noted(w, "cannot be answered"));
    says(w, REBOOT, "[]");
    says(w, REBOOT, "{}");
    assert_true(wiot_silent(w));
    assert_int_equal(wiot_count(w, SB_OUT_SUBMIT), 0);
}

/* An id beyond all measure is not remembered, and not met with silence. */
TEST(an_endless_request_id)
{
    sb_cleanup(sb_freep) char *id = calloc(1, 4097);
    memset(id, 'i', 4096);
    for (int i = 0; i < 2; i++) {
        asks(w, REBOOT, id);
        answered(w, 400, id);
    }
    assert_int_equal(wiot_count(w, SB_OUT_SUBMIT), 0);
    sb_cleanup(json_decrefp) json_t *saved = sb_ibm_save(w->state);
    assert_int_equal(json_array_size(json_object_get(saved, "seen")), 0);
}

TEST(repeated_requests)
{
    asks(w, REBOOT, "r1");
    asks(w, REBOOT, "r1");
    assert_true(wiot_silent(w)); /* open: one answer will come */
    assert_int_equal(wiot_count(w, SB_OUT_SUBMIT), 1);
    wiot_task(w, 0, SB_TASK_RUNNING);
    answered(w, 202, NULL);
    asks(w, REBOOT, "r1");
    answered(w, 202, "r1");
    assert_true(wiot_restarts(w));
    asks(w, REBOOT, "r1");
    answered(w, 202, "r1");
    wiot_fails(w, 0, SB_CAUSE_REFUSED, SB_PHASE_STARTING);
    wiot_forget(w);
    asks(w, REBOOT, "r1");
    answered(w, 202, "r1"); /* what it was answered, not what came of it */
    assert_int_equal(wiot_count(w, SB_OUT_SUBMIT), 0);
}

TEST(a_repeated_write_is_not_written_again)
{
    download(w);
    describes(w, "late", "2.0.0", "https://h/x.bin", SHA);
    answered(w, 204, NULL);
    asks(w, DOWNLOAD, "d2");
    wiot_task(w, 1, SB_TASK_DOWNLOADING);
    answered(w, 202, NULL);
    notified(w, 1, 0);
    describes(w, "late", "2.0.0", "https://h/x.bin", SHA);
    answered(w, 204, NULL);
    says(w, "observe", OBSERVE, "see");
    answered(w, 200, "\"state\":1");
}

TEST(the_memory_of_requests_is_bounded)
{
    asks(w, REBOOT, "open");
    for (int i = 0; i < 100; i++)
        says(w, "cancel", "{\"reqId\":\"c%d\",\"d\":{\"fields\":[\"mgmt.firmware\"]}}", i);
    sb_cleanup(json_decrefp) json_t *saved = sb_ibm_save(w->state);
    assert_int_equal(json_object_size(json_object_get(saved, "seen")), 32);
    wiot_forget(w);
    asks(w, REBOOT, "open"); /* what is open is not forgotten */
    assert_true(wiot_silent(w));
    assert_int_equal(wiot_count(w, SB_OUT_SUBMIT), 0);
}

TEST(stale_actions)
{
    w->backlog = true;
    w->outage = 10 * SB_MINUTE;
    asks(w, REBOOT, "young");
    assert_int_equal(wiot_count(w, SB_OUT_SUBMIT), 1);
    w->outage = 10 * SB_MINUTE + 1;
    asks(w, REBOOT, "old");
    answered(w, 500, "offline for 10m");
    asks(w, "mgmt/custom/southbridge/rinse", "old2");
    answered(w, 500, "offline");
    w->outage = -1;
    asks(w, RESET, "old3");
    answered(w, 500, "unknown time");
    observes(w, "o"); /* harms nobody */
    answered(w, 200, NULL);
    describes(w, "u", "2", "https://h/x", "");
    answered(w, 204, NULL);
    w->backlog = false;
    asks(w, RESET, "new");
    assert_int_equal(wiot_count(w, SB_OUT_SUBMIT), 2);
}

TEST(a_core_that_takes_nothing)
{
    w->ready = false;
    w->why = "the disk is full";
    asks(w, REBOOT, "r1");
    answered(w, 500, "the disk is full");
    observes(w, "o");
    answered(w, 500, NULL);
    describes(w, "u", "2", "https://h/x", "");
    answered(w, 500, NULL);
    assert_int_equal(wiot_count(w, SB_OUT_SUBMIT), 0);
    assert_int_equal(w->saves, 0);
    w->ready = true;
    asks(w, DOWNLOAD, "d");
    answered(w, 400, "uri is not set"); /* nothing was half done */
}

TEST(refusals_of_the_core)
{
    prepare(w);
    for (int cause = SB_CAUSE_NONE + 1; cause < SB_CAUSE_MAX_; cause++) {
        sb_cleanup(sb_freep) char *id = sb_format("r%d", cause);
        w->refuse = (enum sb_cause)cause;
        w->refuse_text = cause % 2 ? "because" : NULL;
        asks(w, DOWNLOAD, id);
        const struct sb_output *output = wiot_next(w, "response");
        assert_non_null(output);
        assert_in_range(sb_json_int(output->json, "rc", 0), 400, 501);
        assert_non_null(sb_json_str(output->json, "message"));
        if (cause % 2)
            assert_string_equal(sb_json_str(output->json, "message"), "because");
    }
    assert_true(wiot_silent(w));
    assert_int_equal(wiot_timer(w, "ask:r1"), -1);
    w->refuse = SB_CAUSE_INVALID_URI;
    asks(w, DOWNLOAD, "uri");
    answered(w, 400, NULL);
    w->refuse = SB_CAUSE_UNSUPPORTED;
    asks(w, DOWNLOAD, "un");
    answered(w, 501, NULL);
}

TEST(too_many_open_requests)
{
    for (int i = 0; i < 17; i++) {
        sb_cleanup(sb_freep) char *id = sb_format("r%d", i);
        w->existing = 101; /* all the same task, so that the world has room */
        asks(w, REBOOT, id);
    }
    answered(w, 500, "too many");
    assert_true(wiot_silent(w));
    assert_int_equal(wiot_count(w, SB_OUT_SUBMIT), 16);
}

TEST(one_task_answers_all_who_asked_for_it)
{
    asks(w, REBOOT, "r1");
    w->existing = 101;
    asks(w, REBOOT, "r2");
    wiot_task(w, 0, SB_TASK_SENT);
    answered(w, 202, "r1");
    answered(w, 202, "r2");
}

/* ---- attributes ---- */

TEST(update_judges_every_field)
{
    static const char *const bad[] = {
        "\"location\",\"value\":{\"latitude\":1}",
        "\"location\",\"value\":{\"latitude\":1,\"longitude\":\"2\"}",
        "\"location\",\"value\":{\"latitude\":1,\"longitude\":2,\"elevation\":\"x\"}",
        "\"location\",\"value\":7",
        "\"location\"",
        "\"metadata\",\"value\":[]",
        "\"deviceInfo\",\"value\":{\"model\":7}",
        "\"mgmt.firmware\",\"value\":{\"uri\":7}",
        "\"mgmt.firmware\",\"value\":{\"state\":\"0\"}",
        "\"mgmt.firmware\",\"value\":\"x\"",
    };
    for (size_t i = 0; i < SB_COUNT(bad); i++) {
        says(w, "device/update",
             "{\"reqId\":\"r%zu\",\"d\":{\"fields\":[{\"field\":\"metadata\",\"value\":{}},"
             "{\"field\":%s}]}}",
             i, bad[i]);
        answered(w, 400, "\"d\":{\"fields\":[{\"field\":");
    }
    assert_int_equal(wiot_count(w, SB_OUT_FACT), 0); /* all or nothing */
    says(w, "device/update",
         "{\"reqId\":\"u\",\"d\":{\"fields\":[{\"field\":\"colour\",\"value\":1},"
         "{\"field\":\"metadata\",\"value\":{}},{\"field\":\"mgmt\",\"value\":{}}]}}");
    assert_true(wiot_sent(w, "response",
                          "{\"rc\":404,\"message\":\"no such attribute\",\"reqId\":\"u\","
                          "\"d\":{\"fields\":[{\"field\":\"colour\"},{\"field\":\"mgmt\"}]}}"));
}

TEST(update_keeps_facts)
{
    says(w, "device/update",
         "{\"reqId\":\"u\",\"d\":{\"fields\":["
         "{\"field\":\"location\",\"value\":{\"latitude\":1,\"longitude\":2,\"elevation\":null}},"
         "{\"field\":\"metadata\",\"value\":{\"a\":[1]}},"
         "{\"field\":\"deviceInfo\",\"value\":{\"model\":\"m\"}}]}}");
    answered(w, 204, NULL);
    assert_int_equal(wiot_count(w, SB_OUT_FACT), 3);
    /* a user's change of location has no reqId, and is done all the same */
    says(w, "device/update",
         "{\"d\":{\"fields\":[{\"field\":\"location\",\"value\":"
         "{\"latitude\":3,\"longitude\":4}}]}}");
    assert_true(wiot_silent(w));
    assert_int_equal(wiot_count(w, SB_OUT_FACT), 4);
    says(w, "device/update", "{\"d\":{\"fields\":[{\"field\":\"x\",\"value\":1}]}}");
    assert_true(wiot_noted(w, "could not be applied"));
    sb_cleanup(sb_freep) char *big = calloc(1, 9001);
    memset(big, 'x', 9000);
    says(w, "device/update",
         "{\"reqId\":\"big\",\"d\":{\"fields\":[{\"field\":\"metadata\",\"value\":"
         "{\"a\":\"%s\"}}]}}",
         big);
    answered(w, 400, "too large");
}

TEST(a_write_during_a_firmware_task)
{
    prepare(w);
    asks(w, DOWNLOAD, "d");
    wiot_task(w, 0, SB_TASK_DOWNLOADING);
    answered(w, 202, NULL);
    notified(w, 1, 0);
    describes(w, "u1", "3.0.0", "https://h/y.bin", "");
    answered(w, 409, "mgmt.firmware");
    describes(w, "u2", "2.0.0", "https://h/x.bin?sig=2", SHA); /* the same, newly signed */
    answered(w, 204, NULL);
    observes(w, "o");
    answered(w, 200, "sig=2");
    says(w, "device/update",
         "{\"reqId\":\"u3\",\"d\":{\"fields\":[{\"field\":\"metadata\",\"value\":{}}]}}");
    answered(w, 204, NULL);
    stage(w);
    wiot_task(w, 0, SB_TASK_SUCCEEDED);
    notified(w, 2, 0);
}

TEST(another_image_takes_back_what_waits)
{
    prepare(w);
    asks(w, DOWNLOAD, "d"); /* queued */
    describes(w, "u1", "2.0.0", "https://h/x.bin?sig=1", SHA);
    answered(w, 204, NULL);
    assert_int_equal(wiot_count(w, SB_OUT_CANCEL), 0);
    describes(w, "u2", "3.0.0", "https://h/y.bin", "");
    answered(w, 500, "later request");
    answered(w, 204, NULL);
    assert_int_equal(wiot_count(w, SB_OUT_CANCEL), 1);
    assert_int_equal(wiot_last(w, SB_OUT_CANCEL)->cause, SB_CAUSE_OVERRIDDEN);
    assert_int_equal(wiot_last(w, SB_OUT_CANCEL)->task, 101);
    w->tasks[0].state = SB_TASK_QUEUED;
    w->tasks[0].cause = SB_CAUSE_OVERRIDDEN;
    wiot_task(w, 0, SB_TASK_CANCELLED); /* its end is no news to the platform */
    assert_true(wiot_silent(w));
    asks(w, DOWNLOAD, "d2");
    wiot_task(w, 1, SB_TASK_DOWNLOADING);
    answered(w, 202, NULL);
    notified(w, 1, 0);
}

/* ---- custom actions ---- */

TEST(custom_reads)
{
    says(w, "mgmt/custom/southbridge/read",
         "{\"reqId\":\"c\",\"d\":{\"fields\":[{\"field\":\"name\",\"value\":\"speed, label\"}]}}");
    const struct sb_output *submit = wiot_last(w, SB_OUT_SUBMIT);
    assert_int_equal(submit->op, SB_OP_READ);
    assert_int_equal(submit->policy.answer, SB_ANSWER_FINAL);
    sb_cleanup(sb_freep) char *params = sb_json_text(submit->json);
    assert_string_equal(params, "{\"names\":[\"speed\",\"label\"]}");
    wiot_task(w, 0, SB_TASK_RUNNING);
    assert_true(wiot_silent(w)); /* one step: no 202 */
    w->tasks[0].result = json_pack("{s:i,s:s}", "speed", 7, "label", "x");
    wiot_task(w, 0, SB_TASK_SUCCEEDED);
    assert_true(wiot_sent(w, "response",
                          "{\"rc\":200,\"message\":\"speed=7, label=x\",\"reqId\":\"c\","
                          "\"d\":{\"fields\":[{\"field\":\"speed\",\"value\":7},"
                          "{\"field\":\"label\",\"value\":\"x\"}]}}"));
    assert_true(wiot_silent(w));
}

static void check_params(struct wiot *w, const char *id, const char *action, const char *fields,
                         const char *wanted)
{
    sb_cleanup(sb_freep) char *suffix = sb_format("mgmt/custom/southbridge/%s", action);
    wiot_forget(w);
    says(w, suffix, "{\"reqId\":\"%s\",\"d\":{\"fields\":[%s]}}", id, fields);
    if (!wanted) {
        answered(w, 400, NULL);
        return;
    }
    const struct sb_output *submit = wiot_last(w, SB_OUT_SUBMIT);
    assert_non_null(submit);
    sb_cleanup(sb_freep) char *params = sb_json_text(submit->json);
    assert_string_equal(params, wanted);
}

TEST(custom_parameters)
{
    check_params(w, "1", "write",
                 "{\"field\":\"name\",\"value\":\"speed\"},{\"field\":\"value\",\"value\":\"42\"}",
                 "{\"values\":{\"speed\":42}}");
    check_params(w, "2", "write", "{\"field\":\"speed\",\"value\":\"42\"}",
                 "{\"values\":{\"speed\":42}}");
    check_params(w, "3", "configure", "{\"field\":\"label\",\"value\":\"42\"}",
                 "{\"values\":{\"label\":\"42\"}}");
    check_params(w, "4", "write", "{\"field\":\"speed\",\"value\":\"fast\"}",
                 "{\"values\":{\"speed\":\"fast\"}}"); /* the driver will refuse it */
    check_params(w, "5", "rinse", "{\"field\":\"seconds\",\"value\":\"5\"}",
                 "{\"action\":\"rinse\",\"arguments\":{\"seconds\":\"5\"}}");
    check_params(w, "6", "write", "", NULL);
    check_params(w, "7", "read", "", NULL);
    check_params(w, "8", "read", "{\"field\":\"name\",\"value\":\" ,\"}", NULL);
    check_params(w, "0", "read",
                 "{\"field\":\"name\",\"value\":\"speed\"},{\"field\":\"often\",\"value\":\"5\"}",
                 NULL);
    wiot_forget(w);
    asks(w, "mgmt/custom/southbridge/explode", "9");
    answered(w, 501, "no such action");
    asks(w, "mgmt/custom/southbridgeX/read", "10");
    answered(w, 501, "bundle");
    w->config.bundle = false;
    asks(w, "mgmt/custom/southbridge/rinse", "11");
    answered(w, 501, "bundle");
}

TEST(custom_failures)
{
    asks(w, "mgmt/custom/southbridge/rinse", "c");
    wiot_task(w, 0, SB_TASK_RUNNING);
    w->tasks[0].text = "the valve is stuck";
    wiot_fails(w, 0, SB_CAUSE_REFUSED, SB_PHASE_STARTING);
    answered(w, 500, "the valve is stuck");
    assert_true(wiot_silent(w));
}

TEST(custom_actions_that_take_long)
{
    asks(w, "mgmt/custom/southbridge/rinse", "c");
    wiot_task(w, 0, SB_TASK_RUNNING);
    wiot_passes(w, 30 * SB_SECOND);
    answered(w, 500, "still running after 30 s");
    assert_int_equal(wiot_count(w, SB_OUT_CANCEL), 0);
    wiot_task(w, 0, SB_TASK_SUCCEEDED);
    const struct sb_output *log = wiot_next(w, "add/diag/log");
    assert_non_null(log);
    assert_int_equal(sb_json_int(json_object_get(log->json, "d"), "severity", -1), 0);
    assert_true(wiot_silent(w));
}

TEST(custom_actions_that_never_begin)
{
    asks(w, "mgmt/custom/southbridge/rinse", "c");
    wiot_passes(w, 30 * SB_SECOND);
    answered(w, 500, "taken back");
    assert_int_equal(wiot_last(w, SB_OUT_CANCEL)->task, 101);
    assert_int_equal(wiot_last(w, SB_OUT_CANCEL)->cause, SB_CAUSE_EXPIRED);
    wiot_task(w, 0, SB_TASK_CANCELLED);
    assert_true(wiot_silent(w));
}

/* The platform disconnects who sends more than it takes, and would do so again. */
SB_TEST(results_that_do_not_fit)
{
    static const size_t sizes[] = { 10, 4000, 6000 };
    for (size_t i = 0; i < SB_COUNT(sizes); i++) {
        struct wiot *w = wiot_new();
        prepare(w);
        says(w, "mgmt/custom/southbridge/rinse", "{\"reqId\":\"c\"}");
        w->tasks[0].result = json_object();
        for (size_t n = 0; n < sizes[i]; n++) {
            sb_cleanup(sb_freep) char *name = sb_format("n%zu", n);
            (void)json_object_set_new(w->tasks[0].result, name, json_integer(1));
        }
        wiot_task(w, 0, SB_TASK_RUNNING);
        wiot_task(w, 0, SB_TASK_SUCCEEDED);
        const struct sb_output *output = wiot_next(w, "response");
        assert_non_null(output);
        assert_int_equal(sb_json_int(output->json, "rc", 0), 200);
        assert_in_range(json_dumpb(output->json, NULL, 0, JSON_COMPACT), 1, 131072);
        assert_int_equal(json_object_get(output->json, "d") != NULL, sizes[i] < 6000);
        sb_cleanup(sb_freep) char *text = sb_json_text(output->json);
        assert_int_equal(strstr(text, "does not fit") != NULL, sizes[i] == 6000);
        wiot_free(w);
    }
}

TEST(long_results_are_remembered_short)
{
    says(w, "mgmt/custom/southbridge/read",
         "{\"reqId\":\"c\",\"d\":{\"fields\":[{\"field\":\"name\",\"value\":\"label\"}]}}");
    sb_cleanup(sb_freep) char *big = calloc(1, 2001);
    memset(big, 'x', 2000);
    w->tasks[0].result = json_pack("{s:s}", "label", big);
    wiot_task(w, 0, SB_TASK_SUCCEEDED);
    answered(w, 200, "see d.fields");
    says(w, "mgmt/custom/southbridge/read",
         "{\"reqId\":\"c\",\"d\":{\"fields\":[{\"field\":\"name\",\"value\":\"label\"}]}}");
    assert_true(
        wiot_sent(w, "response", "{\"rc\":200,\"message\":\"see d.fields\",\"reqId\":\"c\"}"));
}
