/* SPDX-License-Identifier: Apache-2.0 */
/*
 * $ota: versions, upgrades and their reports, redelivery, disorder of connections and restarts.
 */
#include <stdio.h>

#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "tests/fakes/huawei_world.h"
#include "tests/test.h"

#define UPGRADE "{\"version\":\"2.0.0\",\"url\":\"https://h/2\",\"access_token\":\"t\"}"

static void asks(struct iot *iot, const char *type, const char *paras)
{
    iot_event(iot, IOT_PUMP_ID, "$ota", type, paras);
}

static const json_t *report(const struct iot *iot)
{
    return iot_last(iot, IOT_PUMP_ID, "upgrade_progress_report");
}

static size_t reports(const struct iot *iot)
{
    return iot_count(iot, IOT_PUMP_ID, "upgrade_progress_report");
}

static int code(const struct iot *iot)
{
    return (int)sb_json_int(report(iot), "result_code", -1);
}

static void becomes(struct iot *iot, const char *version)
{
    json_object_set_new(iot->core.devices[CORE_PUMP].versions, "", json_string(version));
}

/* ---- versions ---- */

#define T(name) SB_TEST_OF(struct iot *iot, name, iot_begin, iot_end)

T(a_query_is_answered_with_versions)
{
    asks(iot, "version_query", "{}");
    assert_true(core_is(iot_last(iot, IOT_PUMP_ID, "version_report"),
                        "{\"fw_version\":\"1.0.0\",\"sw_version\":\"1.0.0\"}"));
    asks(iot, "version_query", "{\"task_id\":\"t\",\"sub_device_count\":2}"); /* each one */
    assert_int_equal(iot_count(iot, IOT_PUMP_ID, "version_report"), 2);
    json_object_set_new(iot->core.devices[CORE_PUMP].versions, "software", json_string("7"));
    asks(iot, "version_query", "{}");
    assert_true(core_is(iot_last(iot, IOT_PUMP_ID, "version_report"),
                        "{\"fw_version\":\"1.0.0\",\"sw_version\":\"7\"}"));
}

T(a_query_waits_until_the_device_answers)
{
    iot_presence(iot, CORE_PUMP, SB_PRESENCE_OFFLINE);
    asks(iot, "version_query", "{}");
    assert_int_equal(iot_count(iot, IOT_PUMP_ID, "version_report"), 0); /* not from memory */
    iot_presence(iot, CORE_PUMP, SB_PRESENCE_READY);
    assert_int_equal(iot_count(iot, IOT_PUMP_ID, "version_report"), 1);
}

/* Three minutes and its task is over: what it runs not being known is an answer, too. */
T(a_query_is_answered_without_a_version)
{
    json_object_clear(iot->core.devices[CORE_PUMP].versions);
    asks(iot, "version_query", "{}");
    assert_true(core_is(iot_last(iot, IOT_PUMP_ID, "version_report"),
                        "{\"fw_version\":\"unknown\",\"sw_version\":\"unknown\"}"));
    core_news(&iot->core, CORE_PUMP, SB_NEWS_IDENTITY); /* unasked nobody says so */
    assert_int_equal(iot_count(iot, IOT_PUMP_ID, "version_report"), 1);
    core_version(&iot->core, CORE_PUMP, "", "1.0.0");
    assert_int_equal(iot_count(iot, IOT_PUMP_ID, "version_report"), 2);
}

/* While the store takes nothing an answer cannot be kept; it can be given. */
T(refusals_while_the_store_fails_are_not_kept)
{
    asks(iot, "firmware_upgrade_v2", UPGRADE);
    core_fails(&iot->core, 0, SB_CAUSE_TIMEOUT, SB_PHASE_FETCHING);
    assert_int_equal(iot->sent[iot->sent_count - 1].class, SB_PARCEL_FINAL);
    iot->core.durable = false;
    iot->core.why = "the disk is full";
    iot_forget(iot);
    iot_event_id(iot, IOT_PUMP_ID, "$ota", "firmware_upgrade_v2", "e1", UPGRADE); /* once more */
    iot_event(iot, "prod_ghost", "$ota", "firmware_upgrade_v2", UPGRADE);
    iot_event_id(iot, IOT_PUMP_ID, "$ota", "firmware_upgrade_v2", "e2", "{\"version\":\"1.0.0\"}");
    assert_int_equal(iot->sent_count, 3); /* at once: what is held would be gone when it is well */
    for (size_t i = 0; i < iot->sent_count; i++)
        assert_int_equal(iot->sent[i].class, SB_PARCEL_PASSING);
}

T(what_others_install_is_told)
{
    core_version(&iot->core, CORE_PUMP, "", "1.5.0");
    assert_true(core_is(iot_last(iot, IOT_PUMP_ID, "version_report"),
                        "{\"fw_version\":\"1.5.0\",\"sw_version\":\"1.5.0\"}"));
    core_news(&iot->core, CORE_PUMP, SB_NEWS_IDENTITY); /* nothing new in it */
    assert_int_equal(iot_count(iot, IOT_PUMP_ID, "version_report"), 1);
    iot_down(iot);
    core_version(&iot->core, CORE_PUMP, "", "1.6.0");
    iot_up(iot);
    assert_true(core_is(iot_last(iot, IOT_PUMP_ID, "version_report"),
                        "{\"fw_version\":\"1.6.0\",\"sw_version\":\"1.6.0\"}"));
    assert_int_equal(iot->core.task_count, 0);
}

T(the_gateway_has_a_version_and_no_upgrade)
{
    iot_event(iot, NULL, "$ota", "version_query", "{}");
    assert_non_null(sb_json_str(iot_last(iot, IOT_GATEWAY_ID, "version_report"), "sw_version"));
    iot_event(iot, IOT_GATEWAY_ID, "$ota", "firmware_upgrade", UPGRADE);
    const json_t *paras = iot_last(iot, IOT_GATEWAY_ID, "upgrade_progress_report");
    assert_int_equal(sb_json_int(paras, "result_code", -1), 8);
    sb_cleanup(sb_freep) char *same =
        sb_format("{\"version\":\"%s\",\"url\":\"https://h/2\"}", SB_VERSION);
    iot_event(iot, IOT_GATEWAY_ID, "$ota", "software_upgrade_v2", same);
    paras = iot_last(iot, IOT_GATEWAY_ID, "upgrade_progress_report");
    assert_int_equal(sb_json_int(paras, "result_code", -1), 0);
    assert_string_equal(sb_json_str(paras, "version"), SB_VERSION);
}

/* ---- the course of an upgrade ---- */

T(an_upgrade_is_reported_step_by_step)
{
    asks(iot, "firmware_upgrade", UPGRADE);
    assert_int_equal(iot->core.task_count, 1);
    assert_int_equal(iot->core.tasks[0].job.op, SB_OP_FIRMWARE_UPDATE);
    assert_int_equal(reports(iot), 0); /* the platform waits */
    core_task(&iot->core, 0, SB_TASK_DOWNLOADING);
    assert_true(core_is(report(iot), "{\"result_code\":0,\"version\":\"1.0.0\",\"progress\":0,"
                                     "\"description\":\"downloading\"}"));
    iot->core.tasks[0].task.percent = 9;
    core_task(&iot->core, 0, SB_TASK_DOWNLOADING);
    assert_int_equal(reports(iot), 1); /* steps, not each percent */
    iot->core.tasks[0].task.percent = 47;
    core_task(&iot->core, 0, SB_TASK_INSTALLING);
    assert_int_equal(sb_json_int(report(iot), "progress", -1), 47);
    iot->core.tasks[0].task.percent = 100;
    core_task(&iot->core, 0, SB_TASK_RESTARTING);
    assert_int_equal(sb_json_int(report(iot), "progress", -1), 99); /* 100 is the end alone */
    becomes(iot, "2.0.0");
    core_task(&iot->core, 0, SB_TASK_SUCCEEDED);
    assert_true(core_is(report(iot), "{\"result_code\":0,\"version\":\"2.0.0\",\"progress\":100,"
                                     "\"description\":\"done\"}"));
    assert_int_equal(iot->sent[iot->sent_count - 1].class, SB_PARCEL_FINAL);
    assert_string_equal(iot->sent[iot->sent_count - 1].key, iot->sent[0].key); /* supersedes */
    size_t before = reports(iot);
    core_task(&iot->core, 0, SB_TASK_SUCCEEDED);
    assert_int_equal(reports(iot), before);
}

T(progress_does_not_fall_when_it_is_tried_again)
{
    asks(iot, "firmware_upgrade", UPGRADE);
    iot->core.tasks[0].task.percent = iot->core.tasks[0].task.furthest_percent = 60;
    core_task(&iot->core, 0, SB_TASK_INSTALLING);
    iot->core.tasks[0].task.percent = 0;
    core_task(&iot->core, 0, SB_TASK_QUEUED);
    assert_int_equal(reports(iot), 1);
    core_task(&iot->core, 0, SB_TASK_DOWNLOADING);
    assert_int_equal(sb_json_int(report(iot), "progress", -1), 60);
}

T(all_four_events_are_upgrades)
{
    static const char *const types[] = { "firmware_upgrade", "firmware_upgrade_v2",
                                         "software_upgrade", "software_upgrade_v2" };
    for (size_t i = 0; i < SB_COUNT(types); i++) {
        asks(iot, types[i], UPGRADE);
        assert_int_equal(iot->core.task_count, i + 1);
        assert_non_null(sb_json_object(iot->core.tasks[i].package, "extra"));
        assert_null(json_object_get(iot->core.tasks[i].package, "module"));
        core_fails(&iot->core, i, SB_CAUSE_INTERNAL, SB_PHASE_WAITING);
    }
    /* a device with a software module of its own */
    json_object_set_new(iot->core.devices[CORE_PUMP].versions, "software", json_string("7"));
    asks(iot, "software_upgrade", UPGRADE);
    assert_string_equal(sb_json_str(iot->core.tasks[4].package, "module"), "software");
    becomes(iot, "2.0.0"); /* the firmware is none of it */
    core_task(&iot->core, 4, SB_TASK_SUCCEEDED);
    assert_int_equal(code(iot), 10);
    asks(iot, "firmware_upgrade_v3", UPGRADE);
    assert_int_equal(iot->core.task_count, 5);
    assert_non_null(strstr(iot->core.note, "firmware_upgrade_v3"));
}

T(what_is_there_already_is_a_success_without_download)
{
    becomes(iot, "2.0.0");
    asks(iot, "firmware_upgrade", UPGRADE);
    assert_int_equal(iot->core.task_count, 0);
    assert_true(core_is(report(iot), "{\"result_code\":0,\"version\":\"2.0.0\",\"progress\":100,"
                                     "\"description\":\"already there\"}"));
    iot_presence(iot, CORE_PUMP,
                 SB_PRESENCE_OFFLINE); /* one that does not answer is not believed */
    asks(iot, "firmware_upgrade", UPGRADE);
    assert_int_equal(iot->core.task_count, 1);
}

T(a_success_needs_the_version)
{
    asks(iot, "firmware_upgrade", UPGRADE);
    becomes(iot, "1.9.9");
    core_task(&iot->core, 0, SB_TASK_SUCCEEDED);
    assert_int_equal(code(iot), 10);
    assert_string_equal(sb_json_str(report(iot), "version"), "1.9.9");
    asks(iot, "firmware_upgrade", UPGRADE);
    iot->core.tasks[1].task.verified = SB_VERIFY_STATUS; /* nothing could be read back */
    core_task(&iot->core, 1, SB_TASK_SUCCEEDED);
    assert_int_equal(code(iot), 255);
    asks(iot, "firmware_upgrade", UPGRADE);
    json_object_clear(iot->core.devices[CORE_PUMP].versions);
    core_task(&iot->core, 2, SB_TASK_SUCCEEDED);
    assert_int_equal(code(iot), 255);
    assert_string_equal(sb_json_str(report(iot), "version"), "unknown");
}

SB_TEST(every_failure_has_its_code)
{
    static const struct {
        enum sb_cause cause;
        enum sb_phase phase;
        int code;
    } cases[] = {
        { SB_CAUSE_BUSY, SB_PHASE_STARTING, 1 },
        { SB_CAUSE_CONFLICT, SB_PHASE_WAITING, 1 },
        { SB_CAUSE_OVERRIDDEN, SB_PHASE_WAITING, 1 },
        { SB_CAUSE_WEAK_SIGNAL, SB_PHASE_TRANSFERRING, 2 },
        { SB_CAUSE_LINK_LOST, SB_PHASE_TRANSFERRING, 2 },
        { SB_CAUSE_OFFLINE, SB_PHASE_WAITING, 2 },
        { SB_CAUSE_ALREADY_CURRENT, SB_PHASE_STARTING, 3 },
        { SB_CAUSE_DOWNGRADE_REFUSED, SB_PHASE_STARTING, 3 },
        { SB_CAUSE_LOW_BATTERY, SB_PHASE_STARTING, 4 },
        { SB_CAUSE_NO_SPACE, SB_PHASE_FETCHING, 5 },
        { SB_CAUSE_NO_SPACE, SB_PHASE_WRITING, 5 },
        { SB_CAUSE_DOWNLOAD_FAILED, SB_PHASE_FETCHING, 6 },
        { SB_CAUSE_LINK_LOST, SB_PHASE_FETCHING, 6 },
        { SB_CAUSE_TIMEOUT, SB_PHASE_FETCHING, 6 },
        { SB_CAUSE_VERIFY_FAILED, SB_PHASE_VERIFYING, 7 },
        { SB_CAUSE_UNSUPPORTED_IMAGE, SB_PHASE_VERIFYING, 8 },
        { SB_CAUSE_NO_MEMORY, SB_PHASE_TRANSFERRING, 9 },
        { SB_CAUSE_INSTALL_FAILED, SB_PHASE_ACTIVATING, 10 },
        { SB_CAUSE_WRITE_FAILED, SB_PHASE_WRITING, 10 },
        { SB_CAUSE_ROLLED_BACK, SB_PHASE_CONFIRMING, 10 },
        { SB_CAUSE_TIMEOUT, SB_PHASE_RESTARTING, 10 },
        { SB_CAUSE_INTERNAL, SB_PHASE_WAITING, 255 },
        { SB_CAUSE_OUTCOME_UNKNOWN, SB_PHASE_RESTARTING, 255 },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        struct iot *iot = iot_new();
        iot_up(iot);
        asks(iot, "firmware_upgrade", UPGRADE);
        core_task(&iot->core, 0, SB_TASK_DOWNLOADING);
        core_fails(&iot->core, 0, cases[i].cause, cases[i].phase);
        assert_int_equal(code(iot), cases[i].code);
        assert_string_equal(sb_json_str(report(iot), "version"), "1.0.0");
        assert_true(strlen(sb_json_str(report(iot), "description")) > 3);
        iot_free(iot);
    }
}

T(every_cause_in_every_phase_is_a_code_that_platforms_know)
{
    for (int cause = SB_CAUSE_NONE + 1; cause < SB_CAUSE_MAX_; cause++)
        for (int phase = 0; phase < SB_PHASE_MAX_; phase++) {
            const json_t *cell =
                sb_words_cell(core_words(&sb_huawei_shape), SB_ROLE_SENDS, SB_OP_FIRMWARE_UPDATE,
                              SB_TASK_FAILED, (enum sb_cause)cause, (enum sb_phase)phase);
            int64_t number = sb_json_int(cell, "result_code", -1);
            assert_true((number >= 1 && number <= 10) || number == 255);
        }
}

T(a_devices_own_code_comes_back_unchanged)
{
    static const struct {
        char *dialect, *vocabulary, *code;
        int told;
    } cases[] = { { "huawei", "result_code", "4", 4 },
                  { "huawei", "result_code", "127", 127 }, /* users may extend them */
                  { "huawei", "result_code", "0", 10 },
                  { "huawei", "result_code", "4x", 10 },
                  { "huawei", "result_code", "999", 10 },
                  { "smp", "result_code", "4", 10 } };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        asks(iot, "firmware_upgrade", UPGRADE);
        iot->core.tasks[i].task.native = (struct sb_native){ .dialect = cases[i].dialect,
                                                             .vocabulary = cases[i].vocabulary,
                                                             .code = cases[i].code };
        core_fails(&iot->core, i, SB_CAUSE_INSTALL_FAILED, SB_PHASE_WRITING);
        assert_int_equal(code(iot), cases[i].told);
    }
}

T(a_cancelled_upgrade_is_told_as_failed)
{
    asks(iot, "firmware_upgrade", UPGRADE);
    iot->core.tasks[0].task.cause = SB_CAUSE_OPERATOR;
    core_task(&iot->core, 0, SB_TASK_CANCELLED);
    assert_int_equal(code(iot), 255);
}

/* ---- what cannot be ---- */

T(upgrades_that_are_malformed)
{
    static const struct {
        const char *paras;
        int code;
    } cases[] = { { "{}", 255 },
                  { "{\"version\":\"2\",\"url\":\"nonsense\"}", 255 },
                  { "{\"url\":\"https://h/2\"}", 255 },
                  { "{\"version\":\"2\",\"url\":\"https://h/2\",\"sign\":\"12\"}", 7 },
                  { "{\"version\":\"2\",\"url\":\"https://h/2\",\"sign\":12}", 7 },
                  { "{\"version\":\"2\",\"url\":\"https://h/2\",\"access_token\":{}}", 255 } };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        asks(iot, "firmware_upgrade", cases[i].paras);
        assert_int_equal(reports(iot), i + 1);
        assert_int_equal(code(iot), cases[i].code);
    }
    const char *topic = "$oc/devices/" IOT_GATEWAY_ID "/sys/events/down";
    static const char *const odd[] = { "{nonsense",
                                       "{\"services\":[7,null,{\"service_id\":\"$ota\"}"
                                       ",{\"service_id\":\"$ota\",\"event_type\":7}]}" };
    for (size_t i = 0; i < SB_COUNT(odd); i++)
        iot_hears(iot, topic, odd[i], strlen(odd[i]));
    assert_int_equal(iot->core.task_count, 0);
}

T(what_the_core_refuses)
{
    iot->core.refuse = SB_CAUSE_CONFLICT;
    iot->core.refuse_text = "another update is under way";
    asks(iot, "firmware_upgrade", UPGRADE);
    assert_int_equal(code(iot), 1);
    assert_string_equal(sb_json_str(report(iot), "description"), "another update is under way");
    iot->core.refuse = SB_CAUSE_NONE;
    iot->core.unsupported = 1U << SB_OP_FIRMWARE_UPDATE;
    asks(iot, "firmware_upgrade", UPGRADE);
    assert_int_equal(code(iot), 8);
    iot->core.unsupported = 0;
    iot->core.ready = false;
    iot->core.why = "the disk is full";
    asks(iot, "firmware_upgrade", UPGRADE);
    core_passes(&iot->core, 11 * SB_MINUTE);
    assert_int_equal(code(iot), 1);
    assert_string_equal(sb_json_str(report(iot), "description"), "the disk is full");
    assert_int_equal(iot->core.task_count, 0);
}

/* To the platform `busy` is an end; and it has time. */
T(what_cannot_be_taken_now_is_taken_later)
{
    iot->core.ready = false;
    asks(iot, "firmware_upgrade", UPGRADE);
    core_passes(&iot->core, 8 * SB_MINUTE);
    iot->core.ready = true;
    iot->core.refuse = SB_CAUSE_BUSY; /* too many are open */
    core_passes(&iot->core, SB_MINUTE);
    assert_int_equal(reports(iot), 0);
    iot->core.refuse = SB_CAUSE_NONE;
    core_passes(&iot->core, 6 * SB_SECOND);
    assert_int_equal(iot->core.task_count, 1);
    core_passes(&iot->core, SB_HOUR);
    assert_int_equal(iot->core.task_count, 1);
    iot->core.refuse = SB_CAUSE_BUSY;
    asks(iot, "firmware_upgrade", UPGRADE);
    asks(iot, "firmware_upgrade_v2", "{\"version\":\"3.0.0\",\"url\":\"https://h/3\"}");
    iot->core.refuse = SB_CAUSE_NONE;
    core_passes(&iot->core, SB_MINUTE); /* the last one that was asked for */
    assert_int_equal(iot->core.task_count, 2);
    assert_string_equal(iot->core.tasks[1].task.target_version, "3.0.0");
    iot->core.refuse = SB_CAUSE_BUSY;
    iot_forget(iot);
    asks(iot, "firmware_upgrade_v2", "{\"version\":\"4.0.0\",\"url\":\"https://h/4\"}");
    core_passes(&iot->core, 11 * SB_MINUTE);
    assert_int_equal(code(iot), 1);
    assert_int_equal(reports(iot), 1);
}

T(unknown_devices_are_answered_for)
{
    iot_event(iot, "prod_ghost", "$ota", "firmware_upgrade", UPGRADE);
    const json_t *paras = iot_last(iot, "prod_ghost", "upgrade_progress_report");
    assert_int_equal(sb_json_int(paras, "result_code", -1), 255);
    iot_event(iot, "prod_ghost", "$ota", "version_query", "{}"); /* it has none: it is not there */
    assert_true(core_is(iot_last(iot, NULL, "sub_device_update_status"),
                        "{\"device_statuses\":[{\"device_id\":\"prod_ghost\",\"status\":"
                        "\"OFFLINE\"}]}"));
}

/* ---- once ---- */

T(a_redelivered_upgrade_is_done_once)
{
    iot_event_id(iot, IOT_PUMP_ID, "$ota", "firmware_upgrade", "one", UPGRADE);
    core_task(&iot->core, 0, SB_TASK_DOWNLOADING);
    iot_event_id(iot, IOT_PUMP_ID, "$ota", "firmware_upgrade", "one", UPGRADE);
    assert_int_equal(iot->core.task_count, 1);
    assert_int_equal(reports(iot), 2); /* how far it is, again */
    core_fails(&iot->core, 0, SB_CAUSE_NO_SPACE, SB_PHASE_FETCHING);
    iot_event_id(iot, IOT_PUMP_ID, "$ota", "firmware_upgrade", "one", UPGRADE);
    assert_int_equal(iot->core.task_count, 1);
    assert_int_equal(reports(iot), 4);
    assert_int_equal(code(iot), 5); /* how it ended, again */
    iot_restarts(iot);
    iot_up(iot);
    iot_event_id(iot, IOT_PUMP_ID, "$ota", "firmware_upgrade", "one", UPGRADE);
    assert_int_equal(iot->core.task_count, 1);
    assert_int_equal(code(iot), 5);
    iot_event_id(iot, IOT_PUMP_ID, "$ota", "firmware_upgrade", "two", UPGRADE); /* a retry */
    assert_int_equal(iot->core.task_count, 2);
}

T(a_task_id_is_the_requests_own)
{
    const char *paras = "{\"version\":\"2.0.0\",\"url\":\"https://h/2\",\"task_id\":\"5f1c\","
                        "\"sub_device_count\":2}";
    iot_event(iot, IOT_PUMP_ID, "$ota", "firmware_upgrade", paras);
    iot_event(iot, IOT_VALVE_ID, "$ota", "firmware_upgrade", paras);
    assert_int_equal(iot->core.task_count, 2);
    assert_string_equal(iot->core.tasks[0].id, "5f1c");
    assert_string_equal(iot->core.tasks[1].id, "5f1c"); /* of its own conversation */
    assert_true(
        json_equal(iot->core.tasks[0].package, iot->core.tasks[1].package)); /* one download */
    iot_event(iot, IOT_PUMP_ID, "$ota", "firmware_upgrade", UPGRADE);
    assert_null(iot->core.tasks[2].id);
}

/* Reports name no task: those of what was asked for before would be taken for the new one's. */
T(only_the_last_upgrade_is_reported)
{
    asks(iot, "firmware_upgrade", UPGRADE);
    asks(iot, "firmware_upgrade", "{\"version\":\"3\",\"url\":\"https://h/3\"}");
    iot->core.tasks[0].task.cause = SB_CAUSE_OVERRIDDEN;
    core_task(&iot->core, 0, SB_TASK_CANCELLED);
    assert_int_equal(reports(iot), 0);
    becomes(iot, "3");
    core_task(&iot->core, 1, SB_TASK_SUCCEEDED);
    assert_int_equal(code(iot), 0);
    /* one that is refused leaves the one that goes on as it is */
    asks(iot, "firmware_upgrade", "{\"version\":\"4\",\"url\":\"https://h/4\"}");
    core_task(&iot->core, 2, SB_TASK_INSTALLING);
    iot->core.refuse = SB_CAUSE_CONFLICT;
    asks(iot, "firmware_upgrade", "{\"version\":\"5\",\"url\":\"https://h/5\"}");
    assert_int_equal(code(iot), 1);
    becomes(iot, "4");
    core_task(&iot->core, 2, SB_TASK_SUCCEEDED);
    assert_int_equal(code(iot), 0);
}

/* ---- connections and restarts ---- */

T(a_reconnect_says_again_how_far_it_is)
{
    asks(iot, "firmware_upgrade", UPGRADE);
    core_task(&iot->core, 0, SB_TASK_INSTALLING);
    iot_down(iot);
    iot_forget(iot);
    iot_up(iot);
    assert_int_equal(iot_count(iot, IOT_PUMP_ID, "version_report"), 1);
    assert_int_equal(reports(iot), 1);
    assert_string_equal(sb_json_str(report(iot), "description"), "installing");
    iot_down(iot);
    becomes(iot, "2.0.0");
    core_task(&iot->core, 0, SB_TASK_SUCCEEDED); /* while it is down: the outbox keeps it */
    assert_int_equal(code(iot), 0);
    assert_int_equal(iot->sent[iot->sent_count - 1].class, SB_PARCEL_FINAL);
}

SB_TEST(a_restart_after_each_step)
{
    static const enum sb_task_state steps[] = { SB_TASK_QUEUED,      SB_TASK_SENT,
                                                SB_TASK_DOWNLOADING, SB_TASK_DOWNLOADED,
                                                SB_TASK_INSTALLING,  SB_TASK_RESTARTING };
    for (size_t at = 0; at < SB_COUNT(steps); at++) {
        struct iot *iot = iot_new();
        iot_up(iot);
        asks(iot, "firmware_upgrade", UPGRADE);
        for (size_t i = 0; i <= at; i++)
            core_task(&iot->core, 0, steps[i]);
        iot_restarts(iot);
        iot_up(iot);
        for (size_t i = at + 1; i < SB_COUNT(steps); i++)
            core_task(&iot->core, 0, steps[i]);
        becomes(iot, "2.0.0");
        core_task(&iot->core, 0, SB_TASK_SUCCEEDED);
        assert_int_equal(iot->core.task_count, 1);
        assert_int_equal(code(iot), 0);
        assert_int_equal(sb_json_int(report(iot), "progress", -1), 100);
        iot_free(iot);
    }
}

T(an_upgrade_that_ended_unheard_is_said_to_be_unknown)
{
    asks(iot, "firmware_upgrade", UPGRADE);
    iot->core.tasks[0].task.state = SB_TASK_SUCCEEDED; /* nobody is told */
    iot_restarts(iot);
    assert_int_equal(code(iot), 255);
    size_t before = reports(iot);
    iot_restarts(iot);
    assert_int_equal(reports(iot), before);
}

T(an_upgrade_whose_device_goes)
{
    asks(iot, "firmware_upgrade", UPGRADE);
    core_task(&iot->core, 0, SB_TASK_DOWNLOADING);
    core_news(&iot->core, CORE_PUMP, SB_NEWS_DEVICE_REMOVED);
    assert_int_equal(code(iot), 255);
    assert_int_equal(reports(iot), 2);
}
