/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything in any order: connects, upgrades again and again, requests, tasks that go and fail, a
 * platform that does not answer, restarts after any step. Whatever happened: no request is answered
 * twice, no success is told without its version, and once the world calms down the platform knows
 * who is there and how the last upgrade ended.
 */
#include <stdio.h>

#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "tests/fakes/huawei_world.h"
#include "tests/test.h"

#define SEEDS 60
#define STEPS 120

static uint64_t seed;

static unsigned dice(unsigned below)
{
    seed = seed * 6364136223846793005U + 1442695040888963407U;
    return (unsigned)(seed >> 33) % below;
}

static void move_a_task(struct iot *iot)
{
    static const enum sb_task_state states[] = { SB_TASK_SENT, SB_TASK_DOWNLOADING,
                                                 SB_TASK_INSTALLING, SB_TASK_SUCCEEDED };
    if (iot->core.task_count == 0)
        return;
    size_t index = dice((unsigned)iot->core.task_count);
    struct core_task *task = &iot->core.tasks[index];
    enum sb_task_state next = states[dice(SB_COUNT(states))];
    if (sb_task_state_is_final(task->task.state))
        return;
    if (dice(5) == 0) {
        core_fails(&iot->core, index, SB_CAUSE_TIMEOUT, SB_PHASE_WRITING);
    } else if (next > task->task.state) {
        if (next == SB_TASK_SUCCEEDED && task->package && dice(4))
            json_object_set_new(iot->core.devices[task->whose].versions, "",
                                json_string(task->task.target_version));
        core_task(&iot->core, index, next);
    }
}

static void upgrade(struct iot *iot)
{
    unsigned number = dice(4), event = dice(6);
    sb_cleanup(sb_freep) char *id = sb_format("event-%u", event);
    sb_cleanup(sb_freep) char *paras =
        sb_format("{\"version\":\"%u.0.0\",\"url\":\"https://h/%u\",\"task_id\":\"t%u\"}", number,
                  number, event);
    iot_event_id(iot, dice(2) ? IOT_PUMP_ID : IOT_VALVE_ID, "$ota", "firmware_upgrade_v2", id,
                 paras);
}

static void something(struct iot *iot)
{
    static const char *const kinds[] = { "commands", "properties/set", "properties/get" };
    static unsigned number;
    sb_cleanup(sb_freep) char *id = sb_format("%u", ++number);
    switch (dice(12)) {
    case 0:
        if (!iot->core.up[CORE_GATEWAY])
            iot_up(iot);
        break;
    case 1:
        if (iot->core.up[CORE_GATEWAY])
            iot_down(iot);
        break;
    case 2:
        iot_restarts(iot);
        break;
    case 3:
        iot->silent = dice(3) == 0;
        break;
    case 4:
    case 5:
        if (iot->core.up[CORE_GATEWAY])
            upgrade(iot);
        break;
    case 6:
        iot->core.ready = dice(4) != 0;
        iot->core.refuse = dice(4) == 0 ? SB_CAUSE_CONFLICT : SB_CAUSE_NONE;
        break;
    case 7:
        iot_presence(iot, dice(2) ? CORE_PUMP : CORE_VALVE,
                     dice(2) ? SB_PRESENCE_READY : SB_PRESENCE_OFFLINE);
        break;
    case 8:
        core_passes(&iot->core, (int64_t)dice(100) * SB_SECOND);
        break;
    case 9:
        if (!iot->core.up[CORE_GATEWAY])
            break;
        const char *kind = kinds[dice(SB_COUNT(kinds))];
        iot_request(iot, kind, id,
                    "{\"object_device_id\":\"prod_pump7\",\"command_name\":\"rinse\","
                    "\"services\":[{\"properties\":{\"mode\":1}}]}");
        break;
    default:
        move_a_task(iot);
        break;
    }
}

static void check_reports(const struct iot *iot)
{
    for (size_t i = 0; i < iot->sent_count; i++) {
        const json_t *event = json_array_get(json_object_get(iot->sent[i].body, "services"), 0);
        const json_t *paras = json_object_get(event, "paras");
        int64_t code = sb_json_int(paras, "result_code", -1);
        if (!sb_streq(sb_json_str(event, "event_type"), "upgrade_progress_report"))
            continue;
        assert_true((code >= 0 && code <= 10) || code == 255);
        assert_non_null(sb_json_str(paras, "version"));
        bool done = sb_json_int(paras, "progress", 0) == 100;
        assert_true(!done || code == 0);
        bool ends = done || code != 0;
        assert_true(iot->sent[i].class == (ends ? SB_PARCEL_FINAL : SB_PARCEL_PROGRESS) ||
                    (ends && iot->sent[i].class == SB_PARCEL_PASSING)); /* nothing can be kept */
    }
    for (size_t i = 0; i < iot->sent_count; i++)
        for (size_t j = i + 1; j < iot->sent_count; j++)
            assert_false(strstr(iot->sent[i].topic, "response/request_id=") &&
                         sb_streq(iot->sent[i].topic, iot->sent[j].topic));
}

static void calm_down(struct iot *iot)
{
    iot->silent = false;
    iot->core.ready = true;
    iot->core.refuse = SB_CAUSE_NONE;
    core_passes(&iot->core, 11 * SB_MINUTE); /* what waited is taken, or refused */
    for (int i = CORE_PUMP; i < CORE_ACTORS; i++)
        iot_presence(iot, (enum core_actor)i, SB_PRESENCE_READY);
    for (size_t i = 0; i < iot->core.task_count; i++)
        if (!sb_task_state_is_final(iot->core.tasks[i].task.state))
            core_fails(&iot->core, i, SB_CAUSE_INTERNAL, SB_PHASE_WAITING);
    if (iot->core.up[CORE_GATEWAY])
        iot_down(iot);
    iot_forget(iot);
    iot_up(iot);
    core_passes(&iot->core, 10 * SB_MINUTE);
}

SB_TEST(anything_in_any_order)
{
    for (unsigned n = 1; n <= SEEDS; n++) {
        seed = n;
        struct iot *iot = iot_new();
        for (int i = 0; i < STEPS && iot->core.task_count < CORE_TASKS; i++) {
            something(iot);
            check_reports(iot);
        }
        calm_down(iot);
        assert_int_equal(iot_count(iot, NULL, "sub_device_update_status"), 1);
        static const char *const names[] = { IOT_PUMP_ID, IOT_VALVE_ID };
        for (size_t i = 0; i < SB_COUNT(names); i++) {
            const json_t *told = iot_last(iot, names[i], "version_report");
            assert_non_null(told);
            assert_string_equal(sb_json_str(told, "fw_version"),
                                sb_json_str(iot->core.devices[CORE_PUMP + i].versions, ""));
            assert_int_equal(iot_count(iot, names[i], "upgrade_progress_report"), 0);
        }
        iot_free(iot);
    }
}
