/* SPDX-License-Identifier: Apache-2.0 */
/* What people and doors order: cancel, confirm, pause, a device's removal. */
#include "bridge/runner/internal.h"

#include "bridge/base/json.h"

#define PAUSE_NAME "paused"

int sb_runner_can_cancel(struct sb_runner *runner, const struct sb_task *task)
{
    if (sb_task_state_is_final(task->state))
        return -EALREADY;
    if (sb_store_failing(runner->parts.store))
        return -EAGAIN;
    if (task->committed && sb_task_state_is_under_way(task->state))
        return -EBUSY;
    struct run *run = sb_run_of_task(runner, task->id);
    bool never =
        run && run->stage == STAGE_DRIVE && !(run->driver->caps(run->type) & SB_CAP_CANCEL);
    return never ? -EBUSY : 0;
}

int sb_runner_cancel(struct sb_runner *runner, struct sb_task *task, enum sb_cause cause,
                     const char *actor)
{
    int r = sb_runner_can_cancel(runner, task);
    if (r < 0)
        return r;
    struct sb_event event = { .kind = SB_EV_CANCEL, .cause = cause };
    sb_runner_apply(runner, task, &event, actor);
    runner->dirty = true;
    return sb_task_state_is_final(task->state) || task->state == SB_TASK_CANCELLING ? 0 : -EBUSY;
}

int sb_runner_confirm(struct sb_runner *runner, struct sb_task *task, const char *actor)
{
    if (task->state != SB_TASK_HELD)
        return -EPROTO;
    if (sb_store_failing(runner->parts.store))
        return -EAGAIN;
    sb_runner_apply(runner, task, &(struct sb_event){ .kind = SB_EV_CONFIRM }, actor);
    runner->dirty = true;
    return 0;
}

void sb_runner_refuse(struct sb_runner *runner, struct sb_task *task, enum sb_cause cause,
                      const char *text, const char *actor)
{
    const struct sb_event event = { .kind = SB_EV_FAIL, .cause = cause, .text = text };
    sb_runner_apply(runner, task, &event, actor);
}

int sb_runner_pause(struct sb_runner *runner, bool paused)
{
    sb_cleanup(json_decrefp) json_t *body = json_pack("{s:b}", PAUSE_NAME, paused);
    if (!body)
        return -ENOMEM;
    int r = sb_store_put(runner->parts.store, SB_TABLE_META,
                         &(struct sb_row){ .name = PAUSE_NAME, .body = body });
    if (r < 0)
        return r;
    runner->paused = paused;
    runner->dirty = true;
    return 0;
}

bool sb_runner_paused(const struct sb_runner *runner)
{
    return runner->paused;
}

void sb_runner_device_gone(struct sb_runner *runner, const char *device, const char *actor)
{
    struct sb_task *task = NULL;
    while ((task = sb_book_of_device(runner->parts.book, device, task))) {
        struct run *run = sb_run_of_task(runner, task->id);
        if (run && run->stage == STAGE_DRIVE)
            run->abandoned = true;
        sb_runner_apply(runner, task,
                        &(struct sb_event){ .kind = SB_EV_CANCEL, .cause = SB_CAUSE_DEVICE_GONE },
                        actor);
        if (task->state == SB_TASK_CANCELLING)
            sb_runner_apply(runner, task, &(struct sb_event){ .kind = SB_EV_STOPPED }, actor);
        if (!sb_task_state_is_final(task->state)) /* past its commit point */
            sb_runner_apply(
                runner, task,
                &(struct sb_event){ .kind = SB_EV_EXPIRE, .cause = SB_CAUSE_DEVICE_GONE }, actor);
    }
    free(sb_map_take(&runner->units, device));
}

static int load_pause(void *arg, const struct sb_row *row)
{
    struct sb_runner *runner = arg;
    runner->paused = sb_json_bool(row->body, PAUSE_NAME, false);
    return 0;
}

int sb_orders_load(struct sb_runner *runner)
{
    const struct sb_query query = { .table = SB_TABLE_META, .name = PAUSE_NAME, .state = -1 };
    return sb_store_query(runner->parts.store, &query, load_pause, runner);
}
