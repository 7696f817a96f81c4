/* SPDX-License-Identifier: Apache-2.0 */
/* What a task's step asks for besides being recorded. */
#include "bridge/runner/internal.h"

#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "bridge/mapping/type.h"

#define RETRY_DEFAULT    (30 * SB_SECOND)
#define OCCUPIED_DEFAULT (10 * SB_MINUTE)

/* A write that fails is the store's failure, or lack of memory: the core starts anew, or goes on. */
void sb_runner_save_device(struct sb_runner *runner, const struct sb_device *device)
{
    int r = sb_registry_save(runner->parts.registry, device);
    if (r < 0)
        sb_error(SB_AT(.device = device->id), "cannot save the device: %s", strerror(-r));
}

void sb_runner_save_task(struct sb_runner *runner, const struct sb_task *task)
{
    int r = sb_book_save(runner->parts.book, task);
    if (r < 0)
        sb_error(SB_AT(.task = task->id), "cannot save the task: %s", strerror(-r));
}

/* Occupied until the driver says that the device is idle, or the type's time has passed. */
static void occupy(struct sb_runner *runner, struct run *run, const struct sb_task *task)
{
    struct sb_device *device = run ? sb_run_device(run) : NULL;
    int64_t time = device && device->type ? device->type->occupied : OCCUPIED_DEFAULT;
    if (!device || run->stage != STAGE_DRIVE || !time)
        return;
    sb_cleanup(sb_freep) char *why =
        sb_format("task %lld ended, but the device had begun it", (long long)task->id);
    if (sb_set_string(&device->occupied, why) < 0)
        return;
    device->occupied_left = time;
    runner->clocks_at = 0;
    sb_runner_save_device(runner, device);
}

static void release(struct sb_runner *runner, struct sb_task *task)
{
    if (task->artifact)
        sb_depot_unpin(runner->parts.packages, task->artifact);
    runner->dirty = true;
}

/* What is not yet on the device ends at once; a driver is asked and answers by its DONE. */
static void stop_run(struct sb_runner *runner, struct sb_task *task, bool final)
{
    struct run *run = sb_run_of_task(runner, task->id);
    if (!run) {
        if (!final)
            sb_runner_apply(runner, task, &(struct sb_event){ .kind = SB_EV_STOPPED }, "core");
        return;
    }
    if (run->stage != STAGE_DRIVE) {
        sb_run_end(run);
        if (!final)
            sb_runner_apply(runner, task, &(struct sb_event){ .kind = SB_EV_STOPPED }, "core");
        return;
    }
    run->abandoned |= final;
    if (sb_run_stop(run) == -EBUSY && !final)
        sb_runner_apply(runner, task, &(struct sb_event){ .kind = SB_EV_NOT_STOPPED }, "core");
}

bool sb_runner_apply(struct sb_runner *runner, struct sb_task *task, const struct sb_event *event,
                     const char *actor)
{
    struct sb_step step = { 0 };
    enum sb_task_state before = task->state;
    int r = sb_book_apply(runner->parts.book, task, event, actor, &step);
    if (r == -EPROTO)
        return false;
    if (r < 0)
        sb_error(SB_AT(.job = task->job->id, .task = task->id), "cannot record %s: %s",
                 sb_event_name((int)event->kind), strerror(-r));
    if (step.actions & SB_DO_OCCUPY)
        occupy(runner, sb_run_of_task(runner, task->id), task);
    if (step.actions & SB_DO_RETRY) {
        int64_t interval = task->job->policy.retry_interval;
        task->retry_left = interval ? interval : RETRY_DEFAULT;
        sb_runner_save_task(runner, task);
        runner->dirty = true;
    }
    if (step.actions & SB_DO_RELEASE)
        release(runner, task);
    if (!sb_task_state_is_final(task->state))
        sb_clocks_follow(runner, task);
    if (step.actions & SB_DO_TELL)
        runner->parts.tell(
            runner->parts.arg,
            &(struct sb_news){ .kind = SB_NEWS_TASK,
                               .device = sb_registry_get(runner->parts.registry, task->device),
                               .task = task,
                               .before = before });
    if (step.actions & SB_DO_STOP_DRIVER)
        stop_run(runner, task, sb_task_state_is_final(task->state));
    return !sb_task_state_is_final(task->state);
}
