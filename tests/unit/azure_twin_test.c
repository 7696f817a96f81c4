/* SPDX-License-Identifier: Apache-2.0 */
/* Reported and desired properties of a device with a twin of its own. */
#include "bridge/base/crypto.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "tests/fakes/azure_world.h"
#include "tests/test.h"

#define WISH                                                                                       \
    "{\"firmware\":{\"fwVersion\":\"2.0.0\",\"fwPackageURI\":\"https://fw.example/a?sig=1\"}}"
#define CALL "{\"fwPackageUri\":\"https://fw.example/a\",\"fwVersion\":\"2.0.0\"}"

static int set_up(void **state)
{
    *state = hub_new(SB_AZURE_DEVICES);
    return 0;
}

static int tear_down(void **state)
{
    hub_free(*state);
    return 0;
}

static bool reports(const struct hub *hub, const char *path, const char *json)
{
    return hub_reports(hub, CORE_PUMP, path, json);
}

static void desires(struct hub *hub, const char *patch)
{
    hub_desires(hub, CORE_PUMP, patch);
}

static void new_version(struct hub *hub, const char *version)
{
    json_object_set_new(hub->core.devices[CORE_PUMP].versions, "", json_string(version));
    core_news(&hub->core, CORE_PUMP, SB_NEWS_IDENTITY);
}

/* ---- being there ---- */

#define T(name) SB_TEST_OF(struct hub *hub, name, set_up, tear_down)

T(a_connect_reads_the_twin_and_reports_what_differs)
{
    core_up(&hub->core, CORE_PUMP);
    assert_int_equal(hub->reads, 1);
    assert_int_equal(hub->patches, 1);
    assert_true(reports(hub, "firmware/currentFwVersion", "\"1.0.0\""));
    assert_true(reports(hub, "firmware/fwUpdateStatus", "\"current\""));
    assert_true(reports(hub, "firmware/pendingFwVersion", "\"\""));
    assert_true(reports(hub, "device", "{\"model\":\"P7\",\"presence\":\"ready\"}"));
    assert_true(reports(hub, "iothubDM", NULL));
    core_down(&hub->core, CORE_PUMP);
    json_object_set_new(hub->reported[CORE_PUMP], "others", json_true()); /* not ours */
    core_up(&hub->core, CORE_PUMP);
    assert_int_equal(hub->reads, 2);
    assert_int_equal(hub->patches, 1); /* nothing differs */
    assert_true(reports(hub, "others", "true"));
}

T(what_others_do_is_told)
{
    core_up(&hub->core, CORE_PUMP);
    new_version(hub, "1.5.0");
    assert_true(reports(hub, "firmware/currentFwVersion", "\"1.5.0\""));
    hub->core.devices[CORE_PUMP].presence = SB_PRESENCE_OFFLINE;
    core_news(&hub->core, CORE_PUMP, SB_NEWS_PRESENCE);
    assert_true(reports(hub, "device/presence", "\"offline\""));
    hub->core.devices[CORE_PUMP].properties =
        json_pack("{s:{s:i,s:I}}", "speed", "value", 7, "time", (json_int_t)INT64_C(1764000000000));
    core_news(&hub->core, CORE_PUMP, SB_NEWS_IDENTITY);
    assert_true(reports(hub, "deviceProperties/speed",
                        "{\"value\":7,\"lastUpdatedTime\":\"2025-11-24T16:00:00.000Z\"}"));
    core_foreign(&hub->core, CORE_PUMP, SB_OP_FIRMWARE_UPDATE, SB_TASK_INSTALLING, SB_CAUSE_NONE);
    assert_true(reports(hub, "firmware/fwUpdateStatus", "\"applying\""));
    core_foreign(&hub->core, CORE_PUMP, SB_OP_FIRMWARE_UPDATE, SB_TASK_FAILED,
                 SB_CAUSE_ROLLED_BACK);
    assert_true(reports(hub, "firmware/fwUpdateStatus", "\"rolledback\""));
    core_foreign(&hub->core, CORE_PUMP, SB_OP_FIRMWARE_UPDATE, SB_TASK_QUEUED, SB_CAUSE_NONE);
    assert_true(reports(hub, "firmware/fwUpdateStatus", "\"rolledback\"")); /* not in motion */
}

T(nothing_is_sent_while_it_is_down)
{
    new_version(hub, "1.5.0");
    assert_int_equal(hub->patches, 0);
    core_up(&hub->core, CORE_PUMP);
    core_down(&hub->core, CORE_PUMP);
    new_version(hub, "1.6.0");
    core_passes(&hub->core, SB_DAY);
    assert_int_equal(hub->patches, 1);
    core_up(&hub->core, CORE_PUMP);
    assert_true(reports(hub, "firmware/currentFwVersion", "\"1.6.0\""));
}

/* ---- a method's update, step by step ---- */

T(an_update_is_reported_in_both_vocabularies)
{
    core_up(&hub->core, CORE_PUMP);
    hub_calls(hub, CORE_PUMP, "firmwareUpdate", CALL);
    core_task(&hub->core, 0, SB_TASK_QUEUED);
    assert_true(reports(hub, "firmware/pendingFwVersion", "\"2.0.0\""));
    assert_true(reports(hub, "firmware/fwUpdateStatus", "\"current\""));
    assert_true(reports(hub, "iothubDM/firmwareUpdate/status", "\"waiting\""));
    static const struct {
        enum sb_task_state state;
        const char *status, *dm;
    } steps[] = {
        { SB_TASK_SENT, "\"current\"", "\"waiting\"" },
        { SB_TASK_DOWNLOADING, "\"downloading\"", "\"downloading\"" },
        { SB_TASK_DOWNLOADED, "\"verifying\"", "\"download complete\"" },
        { SB_TASK_INSTALLING, "\"applying\"", "\"applying\"" },
        { SB_TASK_RESTARTING, "\"rebooting\"", "\"applying\"" },
        { SB_TASK_CANCELLING, "\"rebooting\"", "\"applying\"" }, /* silent: as before */
    };
    for (size_t i = 0; i < SB_COUNT(steps); i++) {
        core_passes(&hub->core, SB_SECOND);
        core_task(&hub->core, 0, steps[i].state);
        assert_true(reports(hub, "firmware/fwUpdateStatus", steps[i].status));
        assert_true(reports(hub, "iothubDM/firmwareUpdate/status", steps[i].dm));
    }
    json_object_set_new(hub->core.devices[CORE_PUMP].versions, "", json_string("2.0.0"));
    core_passes(&hub->core, SB_SECOND);
    core_task(&hub->core, 0, SB_TASK_SUCCEEDED);
    assert_true(reports(hub, "firmware",
                        "{\"currentFwVersion\":\"2.0.0\",\"pendingFwVersion\":\"\","
                        "\"fwUpdateStatus\":\"current\",\"fwUpdateSubstatus\":\"done\","
                        "\"lastFwUpdateStartTime\":\"2025-11-24T16:00:00.000Z\","
                        "\"lastFwUpdateEndTime\":\"2025-11-24T16:00:07.000Z\"}"));
    assert_true(reports(hub, "iothubDM/firmwareUpdate",
                        "{\"status\":\"apply firmware image complete\","
                        "\"startedDownloadingTime\":\"2025-11-24T16:00:02.000Z\","
                        "\"downloadCompleteTime\":\"2025-11-24T16:00:03.000Z\","
                        "\"startedApplyingImage\":\"2025-11-24T16:00:04.000Z\","
                        "\"lastFirmwareUpdate\":\"2025-11-24T16:00:07.000Z\"}"));
}

T(a_success_that_was_not_read_back_is_said_to_be_so)
{
    core_up(&hub->core, CORE_PUMP);
    hub_calls(hub, CORE_PUMP, "firmwareUpdate", CALL);
    core_task(&hub->core, 0, SB_TASK_INSTALLING);
    hub->core.tasks[0].task.verified = SB_VERIFY_STATUS;
    hub->core.tasks[0].task.text = "the device took it";
    core_task(&hub->core, 0, SB_TASK_SUCCEEDED);
    assert_true(reports(hub, "firmware/fwUpdateStatus", "\"current\""));
    assert_true(reports(hub, "firmware/fwUpdateSubstatus",
                        "\"the device took it: only the device's word for it, no version was read "
                        "back\""));
}

T(failures_say_what_and_where)
{
    core_up(&hub->core, CORE_PUMP);
    static const struct {
        enum sb_cause cause;
        enum sb_phase phase;
        const char *status, *dm;
    } cases[] = {
        { SB_CAUSE_NO_SPACE, SB_PHASE_FETCHING, "\"error\"", "\"Download image failed\"" },
        { SB_CAUSE_NO_SPACE, SB_PHASE_WRITING, "\"error\"", "\"Apply image failed\"" },
        { SB_CAUSE_DOWNLOAD_FAILED, SB_PHASE_FETCHING, "\"error\"", "\"Download image failed\"" },
        { SB_CAUSE_VERIFY_FAILED, SB_PHASE_FETCHING, "\"error\"", "\"Download image failed\"" },
        { SB_CAUSE_ROLLED_BACK, SB_PHASE_CONFIRMING, "\"rolledback\"", "\"Apply image failed\"" },
        { SB_CAUSE_OPERATOR, SB_PHASE_WAITING, "\"current\"", "\"Apply image failed\"" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        hub_calls(hub, CORE_PUMP, "firmwareUpdate", CALL);
        core_task(&hub->core, i, SB_TASK_DOWNLOADING);
        hub->core.tasks[i].task.text = "see https://x/?sig=secret";
        core_fails(&hub->core, i, cases[i].cause, cases[i].phase);
        sb_cleanup(sb_freep) char *code = sb_format("\"%s\"", sb_cause_name((int)cases[i].cause));
        assert_true(reports(hub, "firmware/fwUpdateStatus", cases[i].status));
        assert_true(reports(hub, "firmware/error/code", code));
        assert_true(reports(hub, "iothubDM/firmwareUpdate/status", cases[i].dm));
        assert_true(reports(hub, "iothubDM/firmwareUpdate/error/code", code));
        assert_true(reports(hub, "firmware/pendingFwVersion", "\"2.0.0\""));
    }
    hub_calls(hub, CORE_PUMP, "firmwareUpdate", CALL); /* the next begins without an error */
    core_task(&hub->core, SB_COUNT(cases), SB_TASK_DOWNLOADING);
    assert_true(reports(hub, "firmware/error", NULL));
    assert_true(reports(hub, "iothubDM/firmwareUpdate/error", NULL));
}

T(percent_moves_in_steps)
{
    core_up(&hub->core, CORE_PUMP);
    hub_calls(hub, CORE_PUMP, "firmwareUpdate", CALL);
    unsigned before = hub->patches;
    for (int percent = 0; percent < 40; percent++) {
        hub->core.tasks[0].task.percent = (uint8_t)percent;
        core_task(&hub->core, 0, SB_TASK_DOWNLOADING);
    }
    assert_int_equal(hub->patches - before, 4);
    assert_true(reports(hub, "firmware/fwUpdateSubstatus", "\"downloading 30%\""));
}

/* Whoever counts the devices that are "current" must not count one between two attempts. */
T(a_status_does_not_fall_when_it_is_tried_again)
{
    core_up(&hub->core, CORE_PUMP);
    hub_calls(hub, CORE_PUMP, "firmwareUpdate", CALL);
    core_task(&hub->core, 0, SB_TASK_INSTALLING);
    hub->core.tasks[0].task.furthest = SB_TASK_INSTALLING;
    core_task(&hub->core, 0, SB_TASK_QUEUED);
    assert_true(reports(hub, "firmware/fwUpdateStatus", "\"applying\""));
    assert_true(reports(hub, "iothubDM/firmwareUpdate/status", "\"applying\""));
    assert_true(reports(hub, "firmware/fwUpdateSubstatus", "\"queued\""));
    core_progress(&hub->core, 0, SB_TASK_DOWNLOADING, 20);
    assert_true(reports(hub, "firmware/fwUpdateStatus", "\"applying\""));
    assert_true(reports(hub, "firmware/fwUpdateSubstatus", "\"downloading 20%\""));
    core_task(&hub->core, 0, SB_TASK_RESTARTING);
    assert_true(reports(hub, "firmware/fwUpdateStatus", "\"rebooting\""));
    core_fails(&hub->core, 0, SB_CAUSE_TIMEOUT, SB_PHASE_RESTARTING);
    assert_true(reports(hub, "firmware/fwUpdateStatus", "\"error\""));
}

T(reboots_and_resets_are_reported)
{
    core_up(&hub->core, CORE_PUMP);
    hub_calls(hub, CORE_PUMP, "reboot", NULL);
    core_task(&hub->core, 0, SB_TASK_RUNNING);
    assert_true(reports(hub, "iothubDM/reboot",
                        "{\"status\":\"started\",\"startedRebootTime\":\"2025-11-24T16:00:00.000Z\""
                        "}"));
    core_task(&hub->core, 0, SB_TASK_SUCCEEDED);
    assert_true(reports(hub, "iothubDM/reboot/status", "\"complete\""));
    assert_true(reports(hub, "iothubDM/reboot/lastReboot", "\"2025-11-24T16:00:00.000Z\""));
    core_restarts(&hub->core);
    core_up(&hub->core, CORE_PUMP);
    core_passes(&hub->core,
                SB_SECOND); /* the next one has its own time, also if it begins at once */
    hub_calls(hub, CORE_PUMP, "reboot", NULL);
    core_task(&hub->core, 1, SB_TASK_RUNNING);
    assert_true(reports(hub, "iothubDM/reboot/startedRebootTime", "\"2025-11-24T16:00:01.000Z\""));
    core_passes(&hub->core, SB_SECOND);
    core_restarts(&hub->core);
    core_up(&hub->core, CORE_PUMP);
    core_task(&hub->core, 1, SB_TASK_SUCCEEDED);
    assert_true(reports(hub, "iothubDM/reboot/startedRebootTime", "\"2025-11-24T16:00:01.000Z\""));
    hub_calls(hub, CORE_PUMP, "factoryReset", NULL);
    core_fails(&hub->core, 2, SB_CAUSE_TIMEOUT, SB_PHASE_RESTARTING);
    assert_true(reports(hub, "iothubDM/factoryReset/status", "\"failed\""));
    assert_true(reports(hub, "iothubDM/factoryReset/error/code", "\"timeout\""));
}

/* ---- the hub's moods ---- */

T(one_patch_at_a_time)
{
    core_up(&hub->core, CORE_PUMP);
    hub->silent = true;
    new_version(hub, "1.1.0");
    new_version(hub, "1.2.0");
    new_version(hub, "1.3.0");
    assert_int_equal(hub->patches, 2); /* the first one, and that of 1.1.0 */
    hub->silent = false;
    core_passes(&hub->core, 31 * SB_SECOND); /* no answer: read, and then what differs */
    assert_int_equal(hub->reads, 2);
    assert_int_equal(hub->patches, 3);
    assert_true(reports(hub, "firmware/currentFwVersion", "\"1.3.0\""));
    assert_non_null(strstr(hub->core.note, "does not answer"));
}

T(throttling_is_respected)
{
    core_up(&hub->core, CORE_PUMP);
    hub->status = 429;
    new_version(hub, "1.1.0");
    new_version(hub, "1.2.0");
    unsigned before = hub->patches;
    int64_t first = core_timer(&hub->core, CORE_PUMP, "twin");
    assert_in_range(first, 10 * SB_SECOND, 15 * SB_SECOND);
    core_passes(&hub->core, first - 1);
    assert_int_equal(hub->patches, before);
    core_passes(&hub->core, 1);
    assert_int_equal(hub->patches, before + 1); /* after 10 s, then 20, 40 ... or a half more */
    int64_t second = core_timer(&hub->core, CORE_PUMP, "twin");
    assert_in_range(second, 20 * SB_SECOND, 30 * SB_SECOND);
    core_passes(&hub->core, second);
    assert_int_equal(hub->patches, before + 2);
    core_passes(&hub->core, SB_DAY);
    assert_true(hub->patches < before + 200); /* every ten minutes at the most */
    hub->status = 0;
    core_passes(&hub->core, 16 * SB_MINUTE);
    assert_true(reports(hub, "firmware/currentFwVersion", "\"1.2.0\""));
}

/* A line with hundreds of devices fails, and the hub throttles most of what they say of it. */
T(who_is_throttled_does_not_come_back_as_one)
{
    sb_random_seed(4711);
    hub->status = 429;
    core_up(&hub->core, CORE_PUMP);
    core_up(&hub->core, CORE_VALVE);
    int64_t apart =
        core_timer(&hub->core, CORE_PUMP, "twin") - core_timer(&hub->core, CORE_VALVE, "twin");
    assert_true(apart > 100 || apart < -100);
    sb_random_seed(0);
}

T(a_read_that_is_throttled_comes_again)
{
    hub->status = 503;
    core_up(&hub->core, CORE_PUMP);
    assert_int_equal(hub->patches, 0);
    hub->status = 0;
    core_passes(&hub->core, 16 * SB_SECOND);
    assert_int_equal(hub->reads, 2);
    assert_int_equal(hub->patches, 1);
}

T(a_patch_that_is_refused_is_not_sent_for_ever)
{
    core_up(&hub->core, CORE_PUMP);
    hub->status = 400;
    new_version(hub, "1.1.0");
    core_passes(&hub->core, SB_DAY);
    assert_int_equal(hub->patches, 2);
    assert_non_null(strstr(hub->core.note, "400"));
    hub->status = 0;
    new_version(hub, "1.2.0");
    assert_true(reports(hub, "firmware/currentFwVersion", "\"1.2.0\""));
}

/* One value that the hub does not take costs the others nothing. */
T(what_is_refused_is_left_out_alone)
{
    core_up(&hub->core, CORE_PUMP);
    hub->refuses = "unspeakable";
    hub->core.devices[CORE_PUMP].properties =
        json_pack("{s:{s:i},s:{s:s},s:{s:i}}", "speed", "value", 7, "motto", "value", "unspeakable",
                  "load", "value", 8);
    new_version(hub, "1.1.0");
    assert_true(reports(hub, "firmware/currentFwVersion", "\"1.1.0\""));
    assert_true(reports(hub, "deviceProperties/speed/value", "7"));
    assert_true(reports(hub, "deviceProperties/load/value", "8"));
    assert_true(reports(hub, "deviceProperties/motto", NULL));
    assert_non_null(strstr(hub->core.note, "deviceProperties/motto/value"));
    unsigned patches = hub->patches;
    core_passes(&hub->core, 30 * SB_MINUTE);
    assert_int_equal(hub->patches, patches);
    new_version(hub, "1.2.0");
    assert_true(reports(hub, "firmware/currentFwVersion", "\"1.2.0\""));
    assert_int_equal(hub->patches, patches + 1);
}

T(a_twin_that_is_nonsense)
{
    hub->silent = true;
    core_up(&hub->core, CORE_PUMP);
    core_hears(&hub->core, CORE_PUMP, "$iothub/twin/res/200/?$rid=unknown", "{}", 2);
    core_hears(&hub->core, CORE_PUMP, "$iothub/twin/res/200/?x", "{}", 2);
    core_hears(&hub->core, CORE_PUMP, "$iothub/twin/PATCH/properties/desired/?$version=x", "[]", 2);
    assert_int_equal(hub->core.task_count, 0);
    hub->silent = false;
    core_passes(&hub->core, 31 * SB_SECOND);
    assert_true(reports(hub, "firmware/currentFwVersion", "\"1.0.0\""));
}

T(a_twin_that_is_full_keeps_the_firmware)
{
    sb_cleanup(sb_freep) char *large = calloc(1, 3000);
    memset(large, 'x', 2999);
    hub->core.devices[CORE_PUMP].properties = json_object();
    for (int i = 0; i < 12; i++) {
        sb_cleanup(sb_freep) char *name = sb_format("p%d", i);
        json_object_set_new(hub->core.devices[CORE_PUMP].properties, name,
                            json_pack("{s:s}", "value", large));
    }
    json_object_set_new(hub->core.devices[CORE_PUMP].properties, "speed",
                        json_pack("{s:i}", "value", 7));
    core_up(&hub->core, CORE_PUMP);
    assert_true(reports(hub, "firmware/currentFwVersion", "\"1.0.0\""));
    assert_true(reports(hub, "deviceProperties/p11", NULL)); /* by a letter the largest */
    assert_false(reports(hub, "deviceProperties/p0", NULL));
    assert_true(reports(hub, "deviceProperties/speed/value", "7"));
}

/* ---- the token ---- */

T(the_connection_is_renewed_in_time)
{
    core_up(&hub->core, CORE_PUMP);
    core_passes(&hub->core, 44 * SB_MINUTE);
    assert_int_equal(hub->core.renewals, 0);
    core_passes(&hub->core, 2 * SB_MINUTE);
    assert_int_equal(hub->core.renewals, 1);
}

T(a_renewal_waits_for_answers_that_are_owed)
{
    core_up(&hub->core, CORE_PUMP);
    core_passes(&hub->core, 44 * SB_MINUTE + 50 * SB_SECOND);
    const char *rid = hub_calls(hub, CORE_PUMP, "readProperties", "[\"speed\"]");
    core_task(&hub->core, 0, SB_TASK_RUNNING);
    core_passes(&hub->core, 15 * SB_SECOND);
    assert_int_equal(hub->core.renewals, 0);
    core_task(&hub->core, 0, SB_TASK_SUCCEEDED);
    assert_true(hub_answered(hub, rid, 200, "*"));
    core_passes(&hub->core, 3 * SB_SECOND);
    assert_int_equal(hub->core.renewals, 1);
    core_down(&hub->core, CORE_PUMP); /* as the glue does it */
    core_up(&hub->core, CORE_PUMP);
    assert_int_equal(hub->reads, 2);
    hub->silent = true; /* something is always owed: the end of the token comes first */
    new_version(hub, "9");
    core_passes(&hub->core, 46 * SB_MINUTE);
    assert_int_equal(hub->core.renewals, 1);
    core_passes(&hub->core, 14 * SB_MINUTE);
    assert_true(hub->core.renewals > 1);
}

/* It leaves when the store has it: so long the connection stays. */
T(a_renewal_lets_an_answer_out)
{
    core_up(&hub->core, CORE_PUMP);
    core_passes(&hub->core, 45 * SB_MINUTE - 10);
    assert_true(hub_answered(hub, hub_calls(hub, CORE_PUMP, "reboot", NULL), 200, "*"));
    core_passes(&hub->core, SB_SECOND);
    assert_int_equal(hub->core.renewals, 0);
    core_passes(&hub->core, 5 * SB_SECOND);
    assert_int_equal(hub->core.renewals, 1);
}

T(a_certificate_needs_no_renewal)
{
    hub->config.key = NULL;
    core_up(&hub->core, CORE_PUMP);
    core_passes(&hub->core, SB_DAY);
    assert_int_equal(hub->core.renewals, 0);
}

/* ---- wishes ---- */

T(a_wish_is_acted_on_and_acknowledged)
{
    core_up(&hub->core, CORE_PUMP);
    desires(hub, WISH);
    assert_int_equal(hub->core.task_count, 1);
    assert_int_equal(hub->core.tasks[0].job.op, SB_OP_FIRMWARE_UPDATE);
    assert_true(reports(hub, "firmware/ac", "202"));
    assert_true(reports(hub, "firmware/av", "2"));
    core_task(&hub->core, 0, SB_TASK_INSTALLING);
    assert_true(reports(hub, "firmware/ac", "202"));
    assert_true(reports(hub, "firmware/fwUpdateStatus", "\"applying\""));
    json_object_set_new(hub->core.devices[CORE_PUMP].versions, "", json_string("2.0.0"));
    core_task(&hub->core, 0, SB_TASK_SUCCEEDED);
    assert_true(reports(hub, "firmware/ac", "200"));
    assert_true(reports(hub, "firmware/av", "2"));
    assert_true(reports(hub, "firmware/currentFwVersion", "\"2.0.0\""));
}

T(a_wish_that_stood_before_the_connect)
{
    desires(hub, WISH);
    assert_int_equal(hub->core.task_count, 0);
    core_up(&hub->core, CORE_PUMP);
    assert_int_equal(hub->core.task_count, 1);
}

/* Reconnects, restarts, other changes, fresh credentials, another door's flashing: none re-arms. */
T(a_wish_acts_once_per_content)
{
    core_up(&hub->core, CORE_PUMP);
    desires(hub, WISH);
    json_object_set_new(hub->core.devices[CORE_PUMP].versions, "", json_string("2.0.0"));
    core_task(&hub->core, 0, SB_TASK_SUCCEEDED);
    core_down(&hub->core, CORE_PUMP);
    core_up(&hub->core, CORE_PUMP);
    core_restarts(&hub->core);
    core_up(&hub->core, CORE_PUMP);
    desires(hub, "{\"other\":1}");
    desires(hub, "{\"firmware\":{\"fwPackageURI\":\"https://fw.example/a?sig=2\"}}");
    assert_true(reports(hub, "firmware/av", "4")); /* who wished it again is told so, too */
    assert_true(reports(hub, "firmware/ac", "200"));
    new_version(hub, "1.0.0"); /* somebody else went back */
    core_down(&hub->core, CORE_PUMP);
    core_up(&hub->core, CORE_PUMP);
    assert_int_equal(hub->core.task_count, 1);
    assert_true(reports(hub, "firmware/currentFwVersion", "\"1.0.0\""));
    desires(hub, "{\"firmware\":{\"fwVersion\":\"2.0.1\"}}"); /* another content */
    assert_int_equal(hub->core.task_count, 2);
}

/* Not even for as long as the hub takes to answer: its operators count what `ac` says of `av`. */
T(a_new_wish_has_not_the_old_ones_end)
{
    core_up(&hub->core, CORE_PUMP);
    desires(hub, WISH);
    json_object_set_new(hub->core.devices[CORE_PUMP].versions, "", json_string("2.0.0"));
    core_task(&hub->core, 0, SB_TASK_SUCCEEDED);
    assert_true(reports(hub, "firmware/ac", "200"));
    hub->silent = true; /* one patch is seen, and no more */
    desires(hub, "{\"firmware\":{\"fwVersion\":\"2.0.1\"}}");
    assert_int_equal(hub->core.task_count, 2);
    assert_true(reports(hub, "firmware/av", "3"));
    assert_true(reports(hub, "firmware/ac", "202"));
}

T(a_wish_that_failed_is_not_tried_again)
{
    core_up(&hub->core, CORE_PUMP);
    desires(hub, WISH);
    core_fails(&hub->core, 0, SB_CAUSE_VERIFY_FAILED, SB_PHASE_VERIFYING);
    assert_true(reports(hub, "firmware/ac", "500"));
    assert_true(reports(hub, "firmware/fwUpdateStatus", "\"error\""));
    core_down(&hub->core, CORE_PUMP);
    core_up(&hub->core, CORE_PUMP);
    core_passes(&hub->core, SB_DAY);
    assert_int_equal(hub->core.task_count, 1);
    desires(hub, "{\"firmware\":null}"); /* taken away and wished again: that is new */
    assert_true(reports(hub, "firmware/ac", NULL));
    desires(hub, WISH);
    assert_int_equal(hub->core.task_count, 2);
}

/* While it waits or runs: a signed address does not last as long as a device may be away. */
T(a_wish_with_fresh_credentials)
{
    hub->core.merges = true;
    core_up(&hub->core, CORE_PUMP);
    desires(hub, WISH);
    core_task(&hub->core, 0, SB_TASK_DOWNLOADING);
    desires(hub, "{\"firmware\":{\"fwPackageURI\":\"https://fw.example/a?sig=2\"}}");
    assert_int_equal(hub->core.task_count, 1);
    assert_string_equal(sb_json_str(hub->core.tasks[0].package, "uri"),
                        "https://fw.example/a?sig=2");
    assert_true(reports(hub, "firmware/ac", "202"));
    core_task(&hub->core, 0, SB_TASK_SUCCEEDED);
    assert_true(reports(hub, "firmware/ac", "200"));
    assert_true(reports(hub, "firmware/av", "3"));
    hub->core.refuse = SB_CAUSE_CONFLICT; /* and while it cannot be acted on */
    desires(hub, "{\"firmware\":{\"fwVersion\":\"3\"}}");
    desires(hub, "{\"firmware\":{\"fwPackageURI\":\"https://fw.example/a?sig=3\"}}");
    hub->core.refuse = SB_CAUSE_NONE;
    core_passes(&hub->core, SB_MINUTE);
    assert_string_equal(sb_json_str(hub->core.tasks[1].package, "uri"),
                        "https://fw.example/a?sig=3");
}

T(a_wish_for_what_is_there)
{
    core_up(&hub->core, CORE_PUMP);
    desires(hub, "{\"firmware\":{\"fwVersion\":\"1.0.0\",\"fwPackageURI\":\"https://h/x\"}}");
    assert_int_equal(hub->core.task_count, 0);
    assert_true(reports(hub, "firmware/ac", "200"));
    assert_true(reports(hub, "firmware/fwUpdateStatus", "\"current\""));
    desires(hub, "{\"firmware\":{\"fwVersion\":\"3\",\"fwPackageURI\":\"nonsense\"}}");
    assert_true(reports(hub, "firmware/fwUpdateStatus", "\"error\""));
    desires(hub, "{\"firmware\":{\"fwVersion\":\"1.0.0\"}}"); /* as it was: nothing is wrong */
    assert_true(reports(hub, "firmware/ac", "200"));
    assert_true(reports(hub, "firmware/fwUpdateStatus", "\"current\""));
    assert_true(reports(hub, "firmware/pendingFwVersion", "\"\""));
    assert_true(reports(hub, "firmware/error", NULL));
}

T(a_wish_that_cannot_be)
{
    core_up(&hub->core, CORE_PUMP);
    desires(hub, "{\"firmware\":{\"fwVersion\":\"3\",\"fwPackageURI\":\"nonsense\"}}");
    assert_true(reports(hub, "firmware/ac", "400"));
    assert_true(reports(hub, "firmware/fwUpdateStatus", "\"error\""));
    assert_true(reports(hub, "firmware/error/code", "\"invalid_request\""));
    assert_true(reports(hub, "firmware/pendingFwVersion", "\"3\""));
    hub->core.refuse = SB_CAUSE_INVALID_URI;
    hub->core.refuse_text = "not over https";
    desires(hub, "{\"firmware\":{\"fwPackageURI\":\"http://h/x\"}}");
    assert_true(reports(hub, "firmware/ac", "400"));
    assert_true(reports(hub, "firmware/ad", "\"not over https\""));
    hub->core.unsupported = 1U << SB_OP_FIRMWARE_UPDATE;
    desires(hub, "{\"firmware\":{\"fwPackageURI\":\"https://h/y\"}}");
    assert_true(reports(hub, "firmware/ac", "501"));
    core_passes(&hub->core, SB_DAY);
    assert_int_equal(hub->core.task_count, 0);
}

T(a_wish_waits_until_it_can_be_acted_on)
{
    core_up(&hub->core, CORE_PUMP);
    hub->core.refuse = SB_CAUSE_CONFLICT;
    hub->core.refuse_text = "another update is in progress";
    desires(hub, WISH);
    assert_true(reports(hub, "firmware/ac", "202"));
    assert_true(reports(hub, "firmware/ad", "\"another update is in progress\""));
    core_passes(&hub->core, 3 * SB_MINUTE);
    core_restarts(&hub->core);
    hub->core.refuse = SB_CAUSE_NONE;
    hub->core.ready = false;
    core_passes(&hub->core, 90 * SB_SECOND);
    assert_int_equal(hub->core.task_count, 0);
    hub->core.ready = true;
    core_passes(&hub->core, SB_MINUTE);
    assert_int_equal(hub->core.task_count, 1);
    core_passes(&hub->core, SB_DAY);
    assert_int_equal(hub->core.task_count, 1);
}

T(a_wish_that_is_withdrawn)
{
    core_up(&hub->core, CORE_PUMP);
    desires(hub, WISH);
    desires(hub, "{\"firmware\":null}");
    assert_int_equal(hub->core.cancelled, 101);
    assert_int_equal(hub->core.cancel_cause, SB_CAUSE_OVERRIDDEN);
    hub->core.cancelled = 0;
    desires(hub, WISH);
    core_task(&hub->core, 1, SB_TASK_INSTALLING);
    desires(hub, "{\"firmware\":null}");
    assert_int_equal(hub->core.cancelled, 0); /* what has begun goes on */
}

T(a_missed_change_is_read)
{
    core_up(&hub->core, CORE_PUMP);
    hub->miss = true;
    desires(hub, WISH);
    hub->miss = false;
    desires(hub, "{\"other\":1}");
    assert_int_equal(hub->reads, 2);
    assert_int_equal(hub->core.task_count, 1);
}

/* A hub that has throttled is not asked before its time, whatever it tells. */
T(a_missed_change_of_a_throttled_hub)
{
    core_up(&hub->core, CORE_PUMP);
    hub->status = 429;
    new_version(hub, "1.1.0");
    hub->status = 0;
    hub->miss = true;
    desires(hub, WISH);
    hub->miss = false;
    desires(hub, "{\"other\":1}");
    desires(hub, "{\"other\":2}");
    assert_int_equal(hub->reads, 1);
    core_passes(&hub->core, 16 * SB_SECOND);
    assert_int_equal(hub->reads, 2);
    assert_int_equal(hub->core.task_count, 1);
    assert_true(reports(hub, "firmware/currentFwVersion", "\"1.1.0\""));
}

T(changes_that_come_again_or_too_late)
{
    static const char old[] =
        "{\"firmware\":{\"fwVersion\":\"9\",\"fwPackageURI\":\"https://h/9\"},\"$version\":2}";
    const char *topic = "$iothub/twin/PATCH/properties/desired/?$version=2";
    core_up(&hub->core, CORE_PUMP);
    desires(hub, "{\"other\":1}");
    desires(hub, "{\"other\":2}");
    core_hears(&hub->core, CORE_PUMP, topic, old, strlen(old));
    assert_int_equal(hub->core.task_count, 0);
    assert_int_equal(hub->reads, 1);
}

/* A hub that speaks of versions it does not have is read, but not for ever at once. */
T(a_version_that_never_comes)
{
    static const char far[] = "{\"x\":1,\"$version\":99999999}";
    core_up(&hub->core, CORE_PUMP);
    core_hears(&hub->core, CORE_PUMP, "$iothub/twin/PATCH/properties/desired/?$version=99999999",
               far, strlen(far));
    assert_int_equal(hub->reads, 2);
    core_passes(&hub->core, SB_HOUR - 16 * SB_MINUTE);
    assert_int_equal(hub->reads, 3);
    new_version(hub, "1.1.0");
    assert_true(reports(hub, "firmware/currentFwVersion", "\"1.1.0\""));
}

T(configuration_is_applied_and_acknowledged)
{
    core_up(&hub->core, CORE_PUMP);
    desires(hub, "{\"configuration\":{\"mode\":\"eco\",\"limit.max\":70}}");
    assert_int_equal(hub->core.tasks[0].job.op, SB_OP_CONFIGURE);
    assert_true(
        core_is(hub->core.tasks[0].params, "{\"values\": {\"mode\": \"eco\", \"limit.max\": 70}}"));
    assert_true(reports(hub, "configuration/mode/ac", "202"));
    core_task(&hub->core, 0, SB_TASK_SUCCEEDED);
    assert_true(reports(hub, "configuration/mode",
                        "{\"value\":\"eco\",\"ac\":200,\"av\":2,\"ad\":\"done\"}"));
    assert_true(reports(hub, "configuration/limit%2Emax/value", "70"));
    desires(hub, "{\"configuration\":{\"mode\":null}}");
    assert_int_equal(hub->core.task_count, 2);
    core_fails(&hub->core, 1, SB_CAUSE_REFUSED, SB_PHASE_WRITING);
    assert_true(reports(hub, "configuration/mode", NULL));
    assert_true(reports(hub, "configuration/limit%2Emax/ac", "403"));
    desires(hub, "{\"configuration\":null}");
    assert_true(reports(hub, "configuration", NULL));
    hub->core.unsupported = 1U << SB_OP_CONFIGURE;
    desires(hub, "{\"configuration\":{\"mode\":1}}");
    assert_true(reports(hub, "configuration/mode/ac", "501"));
}

/* ---- restarts ---- */

T(tasks_go_on_over_a_restart)
{
    core_up(&hub->core, CORE_PUMP);
    desires(hub, WISH);
    core_task(&hub->core, 0, SB_TASK_DOWNLOADING);
    core_restarts(&hub->core);
    core_task(&hub->core, 0, SB_TASK_INSTALLING);
    core_up(&hub->core, CORE_PUMP);
    assert_true(reports(hub, "firmware/fwUpdateStatus", "\"applying\""));
    json_object_set_new(hub->core.devices[CORE_PUMP].versions, "", json_string("2.0.0"));
    core_task(&hub->core, 0, SB_TASK_SUCCEEDED);
    assert_true(reports(hub, "firmware/ac", "200"));
}

T(tasks_that_ended_unheard)
{
    core_up(&hub->core, CORE_PUMP);
    desires(hub, WISH);
    core_task(&hub->core, 0, SB_TASK_DOWNLOADING);
    hub_calls(hub, CORE_PUMP, "reboot", NULL);
    core_task(&hub->core, 1, SB_TASK_RUNNING);
    hub->core.tasks[0].task.state = hub->core.tasks[1].task.state =
        SB_TASK_SUCCEEDED; /* nobody is told */
    core_restarts(&hub->core);
    core_up(&hub->core, CORE_PUMP);
    assert_true(reports(hub, "firmware/error/code", "\"outcome_unknown\""));
    assert_true(reports(hub, "firmware/ac", "500"));
    assert_true(reports(hub, "iothubDM/reboot/status", "\"failed\""));
}

/* ---- two at once ---- */

T(what_runs_is_shown_before_what_waits)
{
    core_up(&hub->core, CORE_PUMP);
    core_foreign(&hub->core, CORE_PUMP, SB_OP_FIRMWARE_UPDATE, SB_TASK_INSTALLING, SB_CAUSE_NONE);
    hub_calls(hub, CORE_PUMP, "firmwareUpdate", CALL);
    core_task(&hub->core, 0, SB_TASK_QUEUED);
    assert_true(reports(hub, "firmware/fwUpdateStatus", "\"applying\""));
    core_foreign(&hub->core, CORE_PUMP, SB_OP_FIRMWARE_UPDATE, SB_TASK_SUCCEEDED, SB_CAUSE_NONE);
    assert_true(reports(hub, "firmware/fwUpdateStatus", "\"current\""));
    core_task(&hub->core, 0, SB_TASK_DOWNLOADING);
    assert_true(reports(hub, "firmware/fwUpdateStatus", "\"downloading\""));
}
