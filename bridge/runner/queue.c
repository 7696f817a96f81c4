/* SPDX-License-Identifier: Apache-2.0 */
/* Who may be handed over now, and whose turn it is on a bus. */
#include "bridge/runner/internal.h"

#include "bridge/base/time.h"
#include "bridge/runner/schedule.h"

#define RATE_PERIOD SB_MINUTE
#define CHANGES_MAX 500 /* of queued tasks in one turn */

uint32_t sb_queue_under_way(const struct sb_runner *runner)
{
    uint32_t n = 0;
    for (size_t i = 0; i < sb_book_open_tasks(runner->parts.book); i++)
        n += sb_task_state_is_under_way(sb_book_open_at(runner->parts.book, i)->state);
    return n;
}

static uint32_t handed_over(struct sb_runner *runner, int64_t job)
{
    int64_t now = sb_loop_now(runner->parts.loop);
    size_t kept = 0;
    uint32_t n = 0;
    for (size_t i = 0; i < runner->recent_count; i++) {
        if (now - runner->recent[i].when >= RATE_PERIOD)
            continue;
        n += runner->recent[i].job == job;
        runner->recent[kept++] = runner->recent[i];
    }
    runner->recent_count = kept;
    return n;
}

static void note_hand_over(struct sb_runner *runner, const struct sb_task *task)
{
    if (!task->job->policy.rate_per_minute)
        return;
    struct hand_over *grown =
        reallocarray(runner->recent, runner->recent_count + 1, sizeof(*grown));
    if (!grown)
        return;
    runner->recent = grown;
    runner->recent[runner->recent_count++] =
        (struct hand_over){ task->job->id, sb_loop_now(runner->parts.loop) };
}

/* A look that has not begun gives way to any task. */
static bool is_waiting_look(const struct run *run)
{
    return !run->task && run->stage == STAGE_BUS;
}

/* A firmware activity that has begun keeps its place while it waits for its next attempt. */
static bool was_first(const struct sb_task *other, const struct sb_task *task)
{
    return other->attempt && other->id < task->id && sb_op_is_firmware(other->job->op) &&
           sb_op_is_firmware(task->job->op) && strcmp(other->module, task->module) == 0;
}

/* One task under way per device; the queue is in order of age. */
static bool device_busy(struct sb_runner *runner, const struct sb_task *task)
{
    const struct sb_task *other = NULL;
    while ((other = sb_book_of_device(runner->parts.book, task->device, other)))
        if (other != task && (sb_task_state_is_under_way(other->state) || was_first(other, task)))
            return true;
    for (const struct run *run = runner->runs; run; run = run->next)
        if (!is_waiting_look(run) && sb_streq(run->device, task->device))
            return true;
    return false;
}

/* An image that must be fetched first keeps no bus waiting. */
static bool begins_on_bus(struct sb_runner *runner, const struct sb_task *task)
{
    const struct sb_package *package =
        task->job->package ? sb_packages_get(runner->parts.packages, task->job->package) : NULL;
    return !package ||
           (package->artifact && sb_depot_has(runner->parts.packages, package->artifact));
}

/* A look that another task waits for has its turn: the line of a device with much to do would never
 * be free for it. */
static bool bus_busy(struct sb_runner *runner, const struct sb_task *task,
                     const struct sb_device *device)
{
    const struct bus *bus = device->bus ? sb_runner_bus(runner, device->bus) : NULL;
    unsigned others = 0;
    for (const struct run *run = runner->runs; bus && run; run = run->next)
        others +=
            run->bus == bus && run->stage != STAGE_FETCH && (run->wanted || !is_waiting_look(run));
    return others > 1 || (others == 1 && !sb_bus_lets_in(bus, (int)task->job->op));
}

static void hand_over(struct sb_runner *runner, struct sb_task *task)
{
    struct sb_event event = { .kind = SB_EV_HAND_OVER };
    note_hand_over(runner, task);
    if (sb_runner_apply(runner, task, &event, "core"))
        sb_run_begin(runner, task, false);
}

/* One look at the whole queue: what was counted once need not be counted for each task. */
struct pass {
    uint32_t under_way; /* of the gateway */
    int64_t job;        /* whose counts these are; 0: nobody's */
    uint32_t job_under_way, job_handed_over;
    unsigned changes; /* left for this turn */
};

static void count_job(struct sb_runner *runner, const struct sb_job *job, struct pass *pass)
{
    if (pass->job == job->id)
        return;
    pass->job = job->id;
    pass->job_under_way = pass->job_handed_over = 0;
    for (size_t i = 0; job->policy.concurrency && i < job->task_count; i++)
        pass->job_under_way += sb_task_state_is_under_way(job->tasks[i]->state);
    if (job->policy.rate_per_minute)
        pass->job_handed_over = handed_over(runner, job->id);
}

/* Most of a long queue: as long as there is no room nothing else matters. */
static bool still_no_room(const struct sb_runner *runner, const struct sb_task *task,
                          const struct pass *pass)
{
    const struct sb_policy *policy = &task->job->policy;
    return task->reason == SB_REASON_CAPACITY && !runner->paused &&
           (pass->under_way >= runner->parts.under_way_limit ||
            (policy->concurrency && pass->job_under_way >= policy->concurrency));
}

/* Not asked yet counts as offline: first find out who is there, then decide. */
static bool is_offline(struct sb_runner *runner, const struct sb_task *task,
                       const struct sb_device *device)
{
    bool anew = task->job->policy.start == SB_START_ONLINE && !task->heard;
    return (anew || device->presence != SB_PRESENCE_READY) && sb_unit_can_look(runner, device);
}

static struct sb_schedule_facts facts_of(struct sb_runner *runner, const struct sb_task *task,
                                         const struct sb_device *device, const struct pass *pass)
{
    return (struct sb_schedule_facts){
        .wall = sb_loop_wall(runner->parts.loop),
        .paused = runner->paused,
        .occupied = device->occupied != NULL,
        .device_busy = device_busy(runner, task),
        .parent = sb_wait_for_parent(runner, device) != NULL,
        .offline = is_offline(runner, task, device),
        .no_image = sb_wait_for_image(runner, task, device) != NULL,
        .needs_bus = device->bus && begins_on_bus(runner, task),
        .bus_busy = bus_busy(runner, task, device),
        .under_way = pass->under_way,
        .under_way_limit = runner->parts.under_way_limit,
        .job_under_way = pass->job_under_way,
        .job_handed_over = pass->job_handed_over,
    };
}

static void go(struct sb_runner *runner, struct sb_task *task, struct pass *pass)
{
    pass->changes--;
    hand_over(runner, task);
    bool begun = sb_task_state_is_under_way(task->state);
    pass->under_way += begun;
    pass->job_under_way += begun;
    pass->job_handed_over++;
}

static const char *text_of(struct sb_runner *runner, const struct sb_task *task,
                           const struct sb_device *device, enum sb_reason reason)
{
    switch (reason) {
    case SB_REASON_OFFLINE:
        return device->trouble;
    case SB_REASON_PARENT:
        return sb_wait_for_parent(runner, device);
    case SB_REASON_ARTIFACT:
        return sb_wait_for_image(runner, task, device);
    default:
        return NULL;
    }
}

/* Who is waited for is asked at once. */
static void look_for(struct sb_runner *runner, const struct sb_device *device,
                     enum sb_reason reason)
{
    if (reason == SB_REASON_OFFLINE)
        sb_unit_want(runner, device->id);
    if (reason == SB_REASON_PARENT)
        sb_unit_want(runner, device->parent);
}

/* 0, or ms after which to ask again. */
static int64_t schedule_task(struct sb_runner *runner, struct sb_task *task, struct pass *pass)
{
    struct sb_device *device = sb_registry_get(runner->parts.registry, task->device);
    int64_t again = 0;
    if (!device) { /* its record was damaged: a removal ends its tasks itself */
        pass->changes--;
        sb_runner_apply(runner, task,
                        &(struct sb_event){ .kind = SB_EV_EXPIRE, .cause = SB_CAUSE_DEVICE_GONE },
                        "core");
        return 0;
    }
    const struct sb_schedule_facts facts = facts_of(runner, task, device, pass);
    enum sb_reason reason = sb_schedule(task, &facts, &again);
    if (reason == SB_REASON_NONE) {
        go(runner, task, pass);
        return 0;
    }
    const char *text = text_of(runner, task, device, reason);
    if (reason == task->reason && (!text || sb_streq(text, task->text)))
        return again;
    pass->changes--;
    look_for(runner, device, reason);
    sb_runner_apply(runner, task,
                    &(struct sb_event){ .kind = SB_EV_WAIT, .reason = reason, .text = text },
                    "core");
    return again;
}

/* A change costs records and reports: a long queue takes several turns, from its head each time. */
int64_t sb_queue_schedule(struct sb_runner *runner)
{
    struct pass pass = { .under_way = sb_queue_under_way(runner), .changes = CHANGES_MAX };
    int64_t again = 0;
    for (size_t i = 0; i < sb_book_open_tasks(runner->parts.book); i++) {
        struct sb_task *task = sb_book_open_at(runner->parts.book, i);
        if (task->state != SB_TASK_QUEUED)
            continue;
        if (pass.changes == 0) {
            runner->dirty = true;
            break;
        }
        count_job(runner, task->job, &pass);
        if (!still_no_room(runner, task, &pass))
            again = sb_sooner(again, schedule_task(runner, task, &pass));
    }
    return again;
}

/* Those that have their image and wait for a bus, in order of hand-over. */
static void feed(struct sb_runner *runner, bool looks)
{
    struct run *next;
    for (struct run *run = runner->runs; run; run = next) {
        next = run->next;
        if (run->stage == STAGE_BUS && (run->task == 0) == looks && sb_bus_free_for(run->bus, run))
            sb_run_drive(run);
    }
}

void sb_queue_feed_buses(struct sb_runner *runner)
{
    feed(runner, false);
    feed(runner, true);
}
