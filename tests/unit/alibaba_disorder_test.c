/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything in any order, with restarts: steps never fall within an update, nothing is said for a
 * sub-device that is not logged in, and in the end the platform has the version, or the failure.
 */
#include "bridge/base/crypto.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "tests/fakes/alibaba_world.h"
#include "tests/test.h"

#define PROGRESS "/ota/device/progress/"
#define INFORM   "/ota/device/inform/"
#define ROUNDS   60
#define STEPS    200

struct watch {
    int64_t open; /* the task whose steps are watched */
    long step;
};

static void check_steps(struct ali *ali, struct watch *watch)
{
    int64_t open = 0;
    for (size_t i = 0; i < ali->core.task_count; i++)
        if (ali->core.tasks[i].whose == CORE_PUMP &&
            ali->core.tasks[i].job.op == SB_OP_FIRMWARE_UPDATE &&
            !sb_task_state_is_final(ali->core.tasks[i].task.state))
            open = ali->core.tasks[i].task.id;
    if (open != watch->open) {
        ali_clear(ali);
        *watch = (struct watch){ open, -1 };
    }
    const char *text = ali_text(ali, CORE_PUMP, PROGRESS, "params/step");
    long step = *text ? strtol(text, NULL, 10) : -5;
    if (open && step >= 0 && watch->step >= 0)
        assert_true(step >= watch->step);
    if (open && step >= 0)
        watch->step = step;
    assert_true(step >= -5 && step <= 100);
}

static void push(struct ali *ali)
{
    sb_cleanup(sb_freep) char *data =
        sb_format("{\"version\":\"2.0.0\",\"url\":\"https://h/a?e=%u\",\"sign\":"
                  "\"93230c3bde425a9d7984a594ac55ea1e\"}",
                  sb_random(1000));
    if (ali->in[CORE_PUMP])
        ali_pushes(ali, CORE_PUMP, data);
}

/* A task moves on as the machine would have it: forward, or back to the queue for a retry. */
static void move(struct ali *ali)
{
    if (ali->core.task_count == 0)
        return;
    size_t i = ali->core.task_count - 1;
    struct sb_task *task = &ali->core.tasks[i].task;
    if (sb_task_state_is_final(task->state))
        return;
    unsigned dice = sb_random(12);
    if (dice == 0) {
        core_fails(&ali->core, i, (enum sb_cause)(1 + sb_random(SB_CAUSE_MAX_ - 1)),
                   (enum sb_phase)sb_random(SB_PHASE_MAX_));
    } else if (dice == 1 && ali->core.task_count < CORE_TASKS - 2) {
        core_version(&ali->core, CORE_PUMP, "", "2.0.0");
        core_task(&ali->core, i, SB_TASK_SUCCEEDED);
        json_object_set_new(ali->core.devices[CORE_PUMP].versions, "", json_string("1.0.0"));
    } else if (dice == 2) {
        core_progress(&ali->core, i, SB_TASK_QUEUED, 0);
    } else if (dice == 3) {
        core_progress(&ali->core, i, SB_TASK_RESTARTING, 100);
    } else {
        core_progress(&ali->core, i, dice % 2 ? SB_TASK_DOWNLOADING : SB_TASK_INSTALLING,
                      (uint8_t)sb_random(100));
    }
}

static void disturb(struct ali *ali)
{
    switch (sb_random(9)) {
    case 0:
        ali_down(ali);
        break;
    case 1:
        ali_restarts(ali);
        break;
    case 2:
        core_presence(&ali->core, CORE_PUMP, SB_PRESENCE_OFFLINE);
        break;
    case 3:
        core_presence(&ali->core, CORE_PUMP, SB_PRESENCE_READY);
        break;
    case 4:
        ali->silent = !ali->silent;
        break;
    case 5:
        ali->refuse_kind[sb_random(4)] = sb_random(2) ? 0 : sb_random(2) ? 429 : 6287;
        break;
    case 6:
        if (ali->in[CORE_PUMP])
            ali_hears(ali, CORE_PUMP, "thing/ota/firmware/get_reply",
                      "{\"id\":\"1\",\"code\":200,\"data\":{}}");
        break;
    case 7:
        core_passes(&ali->core, 1 + sb_random(100) * SB_SECOND);
        break;
    default:
        if (!ali->core.up[CORE_GATEWAY])
            ali_up(ali);
        break;
    }
}

/* The answer to a login may be lost: then the platform thinks it is in, and we say nothing. Never
 * the other way round. */
SB_TEST(anything_in_any_order)
{
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        struct ali *ali = ali_new();
        struct watch watch = { 0, -1 };
        sb_random_seed(seed);
        ali_up(ali);
        for (int i = 0; i < STEPS && ali->core.task_count < CORE_TASKS - 1; i++) {
            unsigned dice = sb_random(10);
            if (dice < 2)
                push(ali);
            else if (dice < 6)
                move(ali);
            else
                disturb(ali);
            check_steps(ali, &watch);
            assert_int_equal(ali->illegal, 0);
        }
        ali->silent = false;
        memset(ali->refuse_kind, 0, sizeof(ali->refuse_kind));
        core_presence(&ali->core, CORE_PUMP, SB_PRESENCE_READY);
        ali_down(ali);
        ali_clear(ali);
        ali_up(ali);
        core_passes(&ali->core, 30 * SB_MINUTE);
        assert_true(ali->in[CORE_PUMP] && ali->in[CORE_VALVE]);
        for (size_t i = 0; i < ali->core.task_count; i++) /* while one is open it is not told */
            if (!sb_task_state_is_final(ali->core.tasks[i].task.state))
                core_fails(&ali->core, i, SB_CAUSE_TIMEOUT, SB_PHASE_WRITING);
        assert_string_equal(ali_text(ali, CORE_PUMP, INFORM, "params/version"),
                            sb_json_str(ali->core.devices[CORE_PUMP].versions, ""));
        ali_free(ali);
    }
    sb_random_seed(0);
}
