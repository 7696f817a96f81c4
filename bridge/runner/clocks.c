/* SPDX-License-Identifier: Apache-2.0 */
/* Deadlines of tasks, silence of devices, and how long those stay occupied. */
#include "bridge/runner/internal.h"

#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "bridge/runner/schedule.h"

#define CLOCK_GRAIN (INT64_C(50)) /* clocks are kept no finer than this */
#define CLOCK_SAVE  (5 * SB_MINUTE)

static void expire(struct sb_runner *runner, struct sb_task *task,
                   const struct sb_deadline *deadline)
{
    const struct sb_device *device = sb_registry_get(runner->parts.registry, task->device);
    sb_cleanup(sb_freep) char *text =
        deadline->cause == SB_CAUSE_OFFLINE && device && device->trouble
            ? sb_format("%s: %s", deadline->text, device->trouble)
            : NULL;
    struct sb_event event = { .kind = SB_EV_EXPIRE,
                              .cause = deadline->cause,
                              .text = text ? text : deadline->text };
    sb_runner_apply(runner, task, &event, "core");
}

/* Silent for too long: asked to stop, and left alone if it does not do that either. A blocking
 * driver past its commit point has deadlines of its own. */
static void on_stall(struct sb_runner *runner, struct run *run)
{
    bool asked = run->stopping;
    run->last_event = sb_loop_now(runner->parts.loop);
    if (run->committed && run->bus)
        return;
    sb_warning(SB_AT(.task = run->task, .device = run->device), "no sign of life for %lld s: %s",
               (long long)(run->command.stall_ms / 1000), asked ? "given up" : "stopping");
    if (!asked && sb_run_stop(run) == 0)
        run->stalled = true;
    else
        sb_run_give_up(run);
}

/* ms until the nearest moment at which something has been silent for too long */
static int64_t watch_stalls(struct sb_runner *runner)
{
    int64_t now = sb_loop_now(runner->parts.loop), again = 0;
    struct run *next;
    for (struct run *run = runner->runs; run; run = next) {
        next = run->next;
        if (run->stage != STAGE_DRIVE || !run->command.stall_ms || run->granting != GRANT_NONE)
            continue;
        int64_t left = run->last_event + run->command.stall_ms - now;
        again = sb_sooner(again, left > 0 ? left : run->command.stall_ms);
        if (left <= 0)
            on_stall(runner, run);
    }
    return again;
}

static void keep_occupied(struct sb_runner *runner, int64_t elapsed, int64_t *again)
{
    struct sb_device *device;
    for (size_t i = 0; (device = sb_registry_at(runner->parts.registry, i)); i++) {
        if (!device->occupied || !device->occupied_left)
            continue;
        device->occupied_left = SB_MAX(device->occupied_left - elapsed, 0);
        if (device->occupied_left > 0) {
            *again = sb_sooner(*again, device->occupied_left);
            continue;
        }
        sb_notice(SB_AT(.device = device->id), "no longer held as occupied: %s", device->occupied);
        free(SB_STEAL(device->occupied));
        sb_runner_save_device(runner, device);
        runner->dirty = true;
    }
}

static bool has_timeout(const struct sb_task *task)
{
    const struct sb_policy *policy = &task->job->policy;
    return policy->online_timeout || policy->answer_timeout || policy->run_timeout ||
           policy->whole_timeout || task->retry_left || task->reason == SB_REASON_ARTIFACT;
}

/* What has elapsed is written now and then: a power cut may cost a timeout that much, no more. */
static void save_clocks(struct sb_runner *runner)
{
    int64_t now = sb_loop_now(runner->parts.loop);
    if (now - runner->saved < CLOCK_SAVE)
        return;
    runner->saved = now;
    for (size_t i = 0; i < sb_book_open_tasks(runner->parts.book); i++) {
        const struct sb_task *task = sb_book_open_at(runner->parts.book, i);
        if (!sb_task_state_is_final(task->state) && has_timeout(task))
            sb_runner_save_task(runner, task);
    }
}

/* Looks at every clock; ms until that is needed again, 0: not before something happens. */
static int64_t look_at_clocks(struct sb_runner *runner, int64_t elapsed)
{
    int64_t wall = sb_loop_wall(runner->parts.loop), again = 0;
    for (size_t i = 0; i < sb_book_open_tasks(runner->parts.book); i++) {
        struct sb_task *task = sb_book_open_at(runner->parts.book, i);
        if (sb_task_state_is_final(task->state))
            continue;
        bool waited = task->retry_left > 0;
        struct sb_deadline deadline = sb_task_clocks(task, elapsed, wall);
        runner->dirty |= waited && task->retry_left == 0;
        if (deadline.cause != SB_CAUSE_NONE)
            expire(runner, task, &deadline);
        else
            again = sb_sooner(again, deadline.next);
    }
    keep_occupied(runner, elapsed, &again);
    return again;
}

/* A turn that comes soon after another one leaves them alone, unless one of them is due. */
int64_t sb_clocks_keep(struct sb_runner *runner)
{
    int64_t now = sb_loop_now(runner->parts.loop);
    int64_t elapsed = now - runner->accounted;
    if (elapsed < CLOCK_GRAIN)
        elapsed = 0;
    if (elapsed || runner->clocks_at <= now) {
        runner->accounted += elapsed;
        runner->clocks_at = INT64_MAX; /* what happens below may bring it forward */
        int64_t next = look_at_clocks(runner, elapsed);
        if (next)
            runner->clocks_at = SB_MIN(runner->clocks_at, now + next);
        save_clocks(runner);
    }
    int64_t left = runner->clocks_at == INT64_MAX ? 0 : SB_MAX(runner->clocks_at - now, 1);
    return sb_sooner(left, watch_stalls(runner));
}

/* In its new state other clocks run. */
void sb_clocks_follow(struct sb_runner *runner, struct sb_task *task)
{
    const struct sb_deadline deadline = sb_task_clocks(task, 0, sb_loop_wall(runner->parts.loop));
    int64_t next = deadline.cause != SB_CAUSE_NONE ? 1 : deadline.next;
    if (next)
        runner->clocks_at = SB_MIN(runner->clocks_at, sb_loop_now(runner->parts.loop) + next);
}
