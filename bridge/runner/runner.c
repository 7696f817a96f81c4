/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/runner/internal.h"

#include "bridge/base/log.h"

SB_NAMES(sb_news, SB_NEWS_MAX_, [SB_NEWS_TASK] = "task", [SB_NEWS_DEVICE_ADDED] = "device_added",
         [SB_NEWS_DEVICE_REMOVED] = "device_removed", [SB_NEWS_PRESENCE] = "presence",
         [SB_NEWS_IDENTITY] = "identity", [SB_NEWS_FIRMWARE] = "firmware",
         [SB_NEWS_STAGED] = "staged", [SB_NEWS_JOB] = "job");

/* ---- turns ---- */

void sb_runner_turn(struct sb_runner *runner)
{
    int64_t now = sb_loop_now(runner->parts.loop);
    int64_t again = sb_sooner(sb_clocks_keep(runner), sb_units_look(runner));
    if (runner->dirty || (runner->schedule_at && now >= runner->schedule_at)) {
        runner->dirty = false;
        int64_t later = sb_queue_schedule(runner);
        sb_queue_feed_buses(runner);
        runner->schedule_at = later ? now + later : 0;
    }
    if (runner->dirty)
        again = 1;
    if (runner->schedule_at)
        again = sb_sooner(again, runner->schedule_at - now);
    if (again)
        sb_timer_in(runner->timer, SB_MAX(again, 1));
    else
        sb_timer_stop(runner->timer);
}

/* Wakes the loop; the turn does the work. */
static void on_timer(void *arg)
{
    (void)arg;
}

void sb_runner_wake(struct sb_runner *runner)
{
    runner->dirty = true;
    runner->clocks_at = 0;
}

void sb_runner_stats(const struct sb_runner *runner, struct sb_runner_stats *ret)
{
    struct sb_runner_stats stats = { .under_way = sb_queue_under_way(runner) };
    for (const struct run *run = runner->runs; run; run = run->next) {
        stats.fetching += run->stage == STAGE_FETCH;
        stats.waiting_for_bus += run->stage == STAGE_BUS;
        stats.driving += run->stage == STAGE_DRIVE;
    }
    *ret = stats;
}

/* ---- life ---- */

static void on_worker(void *arg, const struct sb_driver_event *event)
{
    const struct bus *bus = arg;
    sb_runner_event(bus->runner, event);
}

static int open_buses(struct sb_runner *runner)
{
    const struct sb_runner_parts *parts = &runner->parts;
    runner->buses = calloc(parts->bus_count + 1, sizeof(*runner->buses));
    if (!runner->buses)
        return -ENOMEM;
    for (size_t i = 0; i < parts->bus_count; i++) {
        struct bus *bus = &runner->buses[i];
        const struct sb_runner_bus *given = &parts->buses[i];
        bus->runner = runner;
        bus->name = given->name;
        int r = sb_worker_new(parts->loop, given->name, given->transport, given->config, on_worker,
                              bus, &bus->worker);
        if (r < 0)
            return r;
    }
    return 0;
}

struct bus *sb_runner_bus(struct sb_runner *runner, const char *name)
{
    for (size_t i = 0; name && i < runner->parts.bus_count; i++)
        if (strcmp(runner->buses[i].name, name) == 0)
            return &runner->buses[i];
    return NULL;
}

int sb_runner_new(const struct sb_runner_parts *parts, struct sb_runner **ret)
{
    sb_cleanup(sb_runner_freep) struct sb_runner *runner = calloc(1, sizeof(*runner));
    if (!runner)
        return -ENOMEM;
    runner->parts = *parts;
    runner->accounted = runner->saved = sb_loop_now(parts->loop);
    runner->look_at = INT64_MAX;
    /* Sessions of an earlier life must not be mistaken for ours: start where time stands. */
    runner->next_session = (uint64_t)sb_loop_now(parts->loop) << 20;
    runner->dirty = true;
    int r = sb_timer_new(parts->loop, on_timer, runner, &runner->timer);
    if (r >= 0)
        r = open_buses(runner);
    if (r >= 0)
        r = sb_orders_load(runner);
    if (r < 0)
        return r;
    *ret = SB_STEAL(runner);
    return 0;
}

/* Pins are counts in memory: made anew from what needs the files. */
static void pin_all(struct sb_runner *runner)
{
    const struct sb_device *device;
    for (size_t i = 0; (device = sb_registry_at(runner->parts.registry, i)); i++)
        if (device->staged.artifact)
            sb_depot_pin(runner->parts.packages, device->staged.artifact);
    for (size_t i = 0; i < sb_book_open_tasks(runner->parts.book); i++) {
        const struct sb_task *task = sb_book_open_at(runner->parts.book, i);
        if (task->artifact)
            sb_depot_pin(runner->parts.packages, task->artifact);
    }
}

/* Asked to stop before the crash: a driver that had not committed has stopped by now. */
static void resume_cancelling(struct sb_runner *runner, struct sb_task *task)
{
    enum sb_event_kind kind = task->committed ? SB_EV_NOT_STOPPED : SB_EV_STOPPED;
    sb_runner_apply(runner, task, &(struct sb_event){ .kind = kind }, "core");
}

void sb_runner_look_around(struct sb_runner *runner)
{
    const struct sb_device *device;
    for (size_t i = 0; (device = sb_registry_at(runner->parts.registry, i)); i++)
        sb_unit_plan(runner, device->id, 1);
    runner->dirty = true;
}

int sb_runner_start(struct sb_runner *runner)
{
    pin_all(runner);
    for (size_t i = 0; i < sb_book_open_tasks(runner->parts.book); i++) {
        struct sb_task *task = sb_book_open_at(runner->parts.book, i);
        if (task->state == SB_TASK_CANCELLING)
            resume_cancelling(runner, task);
        if (!sb_task_state_is_under_way(task->state))
            continue;
        sb_notice(SB_AT(.job = task->job->id, .task = task->id, .device = task->device),
                  "takes up %s again, it was %s", sb_op_name(task->job->op),
                  sb_task_state_name(task->state));
        sb_run_begin(runner, task, true);
    }
    sb_runner_look_around(runner);
    return 0;
}

struct sb_runner *sb_runner_free(struct sb_runner *runner)
{
    if (!runner)
        return NULL;
    for (size_t i = 0; runner->buses && i < runner->parts.bus_count; i++)
        sb_worker_free(runner->buses[i].worker); /* ends their threads: nothing reads a run now */
    while (runner->runs) {
        struct run *run = runner->runs;
        if (run->stage == STAGE_DRIVE && !run->bus)
            run->driver->drop(run->driver->user, run->command.session);
        sb_run_end(run);
    }
    size_t cursor = 0;
    for (void *unit; (unit = sb_map_next(&runner->units, &cursor, NULL));)
        free(unit);
    sb_map_done(&runner->units);
    sb_timer_free(runner->timer);
    free(runner->buses);
    free(runner->recent);
    free(runner);
    return NULL;
}
