/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything in any order: connects, wishes, methods, tasks, a hub that throttles or is silent,
 * restarts after any step. Whatever happened, once the world calms down the twin says what is so,
 * a wish was acted on once, and every method was answered once at most.
 */
#include <stdio.h>

#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "tests/fakes/azure_world.h"
#include "tests/test.h"

#define SEEDS 50
#define STEPS 120

static uint64_t seed;

static unsigned dice(unsigned below)
{
    seed = seed * 6364136223846793005U + 1442695040888963407U;
    return (unsigned)(seed >> 33) % below;
}

static void move_a_task(struct hub *hub)
{
    static const enum sb_task_state states[] = { SB_TASK_SENT, SB_TASK_DOWNLOADING,
                                                 SB_TASK_INSTALLING, SB_TASK_SUCCEEDED };
    if (hub->core.task_count == 0)
        return;
    size_t index = dice((unsigned)hub->core.task_count);
    struct sb_task *task = &hub->core.tasks[index].task;
    enum sb_task_state next = states[dice(SB_COUNT(states))];
    if (sb_task_state_is_final(task->state))
        return;
    if (dice(5) == 0) {
        core_fails(&hub->core, index, SB_CAUSE_TIMEOUT, SB_PHASE_WRITING);
    } else if (next > task->state) {
        if (next == SB_TASK_SUCCEEDED && task->job->op == SB_OP_FIRMWARE_UPDATE)
            json_object_set_new(hub->core.devices[hub->core.tasks[index].whose].versions, "",
                                json_string("2.0.0"));
        core_task(&hub->core, index, next);
    }
}

static void connect_or_cut(struct hub *hub, bool up)
{
    bool gateway = hub->config.mode == SB_AZURE_GATEWAY;
    bool one = !gateway && dice(2);
    if (gateway)
        hub->core.up[CORE_GATEWAY] = up;
    for (int i = 0; i < CORE_ACTORS; i++) {
        if (one && i != CORE_PUMP)
            continue;
        if (hub->core.up[i] == up && !gateway)
            continue;
        if (up)
            core_up(&hub->core, (enum core_actor)i);
        else
            core_down(&hub->core, (enum core_actor)i);
    }
}

static void wish(struct hub *hub, unsigned number)
{
    sb_cleanup(sb_freep) char *part =
        sb_format("{\"firmware\":{\"fwVersion\":\"2.0.0\",\"fwPackageURI\":\"https://h/%u\"},"
                  "\"configuration\":{\"mode\":%u}}",
                  number, number);
    sb_cleanup(sb_freep) char *whole = sb_format("{\"children\":{\"pump-7\":%s}}", part);
    hub_desires(hub, CORE_PUMP, hub->config.mode == SB_AZURE_GATEWAY ? whole : part);
}

static void something(struct hub *hub)
{
    static const char *const methods[] = { "reboot", "readProperties", "firmwareUpdate", "rinse",
                                           "cancelFirmwareUpdate" };
    switch (dice(12)) {
    case 0:
        connect_or_cut(hub, true);
        break;
    case 1:
        connect_or_cut(hub, false);
        break;
    case 2:
        core_restarts(&hub->core);
        break;
    case 3:
        hub->status = dice(3) == 0 ? 429 : 0;
        hub->silent = dice(4) == 0;
        hub->miss = dice(4) == 0;
        break;
    case 4:
        wish(hub, dice(3));
        break;
    case 5:
        hub_calls(hub, hub->config.mode == SB_AZURE_GATEWAY ? CORE_GATEWAY : CORE_PUMP,
                  methods[dice(SB_COUNT(methods))], "{\"target\":\"pump-7\",\"names\":[\"a\"]}");
        break;
    case 6:
        hub->core.ready = dice(4) != 0;
        hub->core.refuse = dice(4) == 0 ? SB_CAUSE_CONFLICT : SB_CAUSE_NONE;
        break;
    case 7:
        core_foreign(&hub->core, CORE_PUMP, SB_OP_FIRMWARE_UPDATE,
                     dice(2) ? SB_TASK_INSTALLING : SB_TASK_SUCCEEDED, SB_CAUSE_NONE);
        break;
    case 8:
        core_passes(&hub->core, (int64_t)dice(100) * SB_SECOND);
        break;
    default:
        move_a_task(hub);
        break;
    }
}

static void calm_down(struct hub *hub)
{
    hub->status = 0;
    hub->silent = hub->miss = false;
    hub->core.ready = true;
    hub->core.refuse = SB_CAUSE_NONE;
    connect_or_cut(hub, false);
    for (int i = 0; i < CORE_ACTORS; i++)
        if (!hub->core.up[i] || hub->config.mode == SB_AZURE_GATEWAY)
            core_up(&hub->core, (enum core_actor)i);
    core_passes(&hub->core, 2 * SB_HOUR);
    for (size_t i = 0; i < hub->core.task_count; i++)
        if (!sb_task_state_is_final(hub->core.tasks[i].task.state))
            core_fails(&hub->core, i, SB_CAUSE_TIMEOUT, SB_PHASE_WRITING);
    core_foreign(&hub->core, CORE_PUMP, SB_OP_FIRMWARE_UPDATE, SB_TASK_SUCCEEDED, SB_CAUSE_NONE);
    core_passes(&hub->core, 2 * SB_HOUR);
}

static void check_answers(const struct hub *hub)
{
    for (size_t i = 0; i < hub->answer_count; i++)
        for (size_t j = 0; j < i; j++)
            if (sb_streq(hub->answers[i].rid, hub->answers[j].rid))
                fail_msg("answered twice: %s", hub->answers[i].rid);
}

static void check_twin(const struct hub *hub)
{
    bool gateway = hub->config.mode == SB_AZURE_GATEWAY;
    const char *version =
        json_string_value(json_object_get(hub->core.devices[CORE_PUMP].versions, ""));
    sb_cleanup(sb_freep) char *want = sb_format("\"%s\"", version);
    const char *root = gateway ? "children/pump-7/firmware" : "firmware";
    sb_cleanup(sb_freep) char *path = sb_format("%s/currentFwVersion", root);
    assert_true(hub_reports(hub, CORE_PUMP, path, want));
    const json_t *twin = hub->reported[gateway ? CORE_GATEWAY : CORE_PUMP];
    if (gateway)
        twin = json_object_get(json_object_get(twin, "children"), "pump-7");
    const char *status =
        json_string_value(json_object_get(json_object_get(twin, "firmware"), "fwUpdateStatus"));
    assert_true(sb_streq(status, "current") || sb_streq(status, "error"));
    const json_t *mode = json_object_get(json_object_get(twin, "configuration"), "mode");
    if (mode) /* wished: acted on, and said how it ended */
        assert_int_not_equal(sb_json_int(mode, "ac", 0), 202);
}

static void run(enum sb_azure_mode mode, unsigned number)
{
    struct hub *hub = hub_new(mode);
    seed = number * 7919U + 1;
    for (int i = 0; i < STEPS && hub->core.task_count < CORE_TASKS - 4 && hub->answer_count < 60;
         i++)
        something(hub);
    calm_down(hub);
    check_answers(hub);
    check_twin(hub);
    hub_free(hub);
}

SB_TEST(anything_in_any_order)
{
    for (unsigned i = 0; i < SEEDS; i++)
        run(SB_AZURE_DEVICES, i);
}

SB_TEST(anything_in_any_order_by_a_gateway)
{
    for (unsigned i = 0; i < SEEDS; i++)
        run(SB_AZURE_GATEWAY, i);
}
