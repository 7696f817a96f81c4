/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/runner/internal.h"

#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "bridge/mapping/type.h"

#define LOOK_PASSED 3
#define LOOK_AGAIN  (5 * SB_SECOND)

struct run *sb_run_of_task(struct sb_runner *runner, int64_t task)
{
    for (struct run *run = runner->runs; run; run = run->next)
        if (run->task == task && task)
            return run;
    return NULL;
}

static struct run *run_free(struct run *run)
{
    if (!run)
        return NULL;
    free(run->device);
    free(run->uuid);
    free(run->package);
    free(run->image_path);
    free(run->image_sha256);
    free(run->image_version);
    free(run->image_name);
    free(run->image_module);
    json_decref(run->params);
    json_decref(run->address);
    json_decref(run->checkpoint);
    if (run->type)
        sb_type_unref(run->type);
    free(run);
    return NULL;
}
SB_DEFINE_CLEANUP(struct run *, run_free)

void sb_run_end(struct run *run)
{
    struct sb_runner *runner = run->runner;
    for (struct run **at = &runner->runs; *at; at = &(*at)->next) {
        if (*at != run)
            continue;
        *at = run->next;
        break;
    }
    if (run->fetch)
        runner->parts.fetcher_ops->stop(runner->parts.fetcher, run->fetch);
    if (run->granting != GRANT_NONE)
        sb_store_forget(runner->parts.store, sb_run_granted, run);
    if (run->command.op == SB_COMMAND_IDENTIFY)
        sb_look_counts(run, -1);
    runner->dirty = true;
    run_free(run);
}

int sb_run_new(struct sb_runner *runner, struct sb_device *device, int64_t task, struct run **ret)
{
    sb_cleanup(run_freep) struct run *run = calloc(1, sizeof(*run));
    if (!run)
        return -ENOMEM;
    run->runner = runner;
    run->task = task;
    if (sb_set_string(&run->device, device->id) < 0 || sb_set_string(&run->uuid, device->uuid) < 0)
        return -ENOMEM;
    if (device->type) {
        run->type = sb_type_ref(device->type);
        run->driver = device->type->driver;
    }
    if (run->driver && run->driver->run)
        run->bus = sb_runner_bus(runner, device->bus);
    run->address = json_deep_copy(device->address);
    if (device->address && !run->address)
        return -ENOMEM; /* without it another device might be meant */
    run->command.session = ++runner->next_session;
    run->command.device = run->device;
    run->command.type = run->type;
    run->command.address = run->address;
    run->command.stall_ms = run->type ? run->type->stall : 0;

    struct run **last = &runner->runs;
    while (*last)
        last = &(*last)->next;
    *last = run;
    *ret = SB_STEAL(run);
    return 0;
}

struct sb_device *sb_run_device(const struct run *run)
{
    struct sb_device *device = sb_registry_get(run->runner->parts.registry, run->device);
    return device && sb_streq(device->uuid, run->uuid) ? device : NULL;
}

struct sb_task *sb_run_task(const struct run *run)
{
    return sb_book_task(run->runner->parts.book, run->task);
}

/* The task's attempt is over before or without its driver. */
void sb_run_fail(struct run *run, enum sb_cause cause, const char *text)
{
    struct sb_runner *runner = run->runner;
    struct sb_task *task = sb_run_task(run);
    struct sb_event event = { .kind = SB_EV_FAIL, .cause = cause, .text = text };
    if (!run->task) /* a look, which nobody else would make up for */
        sb_unit_plan(runner, run->device, LOOK_AGAIN);
    sb_run_end(run);
    if (task)
        sb_runner_apply(runner, task, &event, "core");
}

/* ---- driving ---- */

/* Between the blocks of a long command only something short may run. */
bool sb_bus_lets_in(const struct bus *bus, int op)
{
    bool is_short = op == SB_COMMAND_IDENTIFY || op == SB_OP_READ || op == SB_OP_WRITE;
    return is_short && bus->sessions == 1 && sb_worker_shareable(bus->worker);
}

bool sb_bus_free_for(const struct bus *bus, const struct run *run)
{
    return !bus || bus->sessions == 0 || sb_bus_lets_in(bus, run->command.op);
}

/* A look gives way to tasks, but not for ever: passed over so often, it is as good as wanted. */
static void pass_over_looks(const struct run *run)
{
    for (struct run *other = run->runner->runs; other; other = other->next)
        if (other->bus == run->bus && other->stage == STAGE_BUS && other->task == 0)
            other->wanted = ++other->passed >= LOOK_PASSED || other->wanted;
}

void sb_run_drive(struct run *run)
{
    struct sb_runner *runner = run->runner;
    run->stage = STAGE_DRIVE;
    run->last_event = sb_loop_now(runner->parts.loop);
    int r = run->bus ? sb_worker_start(run->bus->worker, run->driver, &run->command)
                     : run->driver->start(run->driver->user, runner, &run->command);
    if (r == -EBUSY) {
        run->stage = STAGE_BUS;
        return;
    }
    if (r < 0) {
        sb_run_fail(run, SB_CAUSE_INTERNAL, strerror(-r));
        return;
    }
    if (run->bus) {
        run->bus->sessions++;
        pass_over_looks(run);
    }
}

void sb_run_want_bus(struct run *run)
{
    run->stage = STAGE_BUS;
    run->runner->dirty = true; /* feed_buses() starts it, in order */
}

/* A look at who the device is; nobody asked for it, so it makes no task. */
int sb_run_look(struct sb_runner *runner, struct sb_device *device, bool wanted)
{
    struct run *run;
    int r = sb_run_new(runner, device, 0, &run);
    if (r < 0)
        return r;
    run->command.op = SB_COMMAND_IDENTIFY;
    run->wanted = wanted;
    sb_look_counts(run, 1);
    sb_run_want_bus(run);
    return 0;
}

/* What has begun past its commit point is never cut off. */
int sb_run_stop(struct run *run)
{
    if (run->committed)
        return -EBUSY;
    if (run->bus && sb_worker_stop(run->bus->worker, run->command.session) == -EBUSY)
        return -EBUSY;
    run->stopping = true;
    if (!run->bus)
        run->driver->stop(run->driver->user, run->command.session);
    return 0;
}

/* A blocking driver cannot be taken off its line: it keeps that until it answers. */
void sb_run_give_up(struct run *run)
{
    struct sb_runner *runner = run->runner;
    struct sb_task *task = run->abandoned ? NULL : sb_run_task(run);
    struct sb_event event = { .kind = SB_EV_EXPIRE,
                              .cause = SB_CAUSE_LINK_LOST,
                              .text = "the device showed no sign of life for too long" };
    if (run->committed) {
        event.cause = SB_CAUSE_OUTCOME_UNKNOWN;
        event.text = "the device fell silent while it installed";
    }
    if (task)
        sb_runner_apply(runner, task, &event, "core");
    if (run->bus)
        return;
    struct sb_device *device = sb_run_device(run);
    run->driver->drop(run->driver->user, run->command.session);
    sb_run_end(run);
    if (device)
        sb_unit_silent(runner, device->id, &(struct sb_outcome){ .text = (char *)event.text });
}
