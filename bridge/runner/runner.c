/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/runner/internal.h"

#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "bridge/mapping/type.h"
#include "bridge/runner/schedule.h"

SB_NAMES(
    sb_news, SB_NEWS_MAX_, [SB_NEWS_TASK] = "task", [SB_NEWS_DEVICE_ADDED] = "device_added",
    [SB_NEWS_DEVICE_REMOVED] = "device_removed", [SB_NEWS_PRESENCE] = "presence",
    [SB_NEWS_IDENTITY] = "identity", [SB_NEWS_FIRMWARE] = "firmware", [SB_NEWS_STAGED] = "staged");

#define RATE_PERIOD      SB_MINUTE
#define CLOCK_GRAIN      (INT64_C(50)) /* clocks are kept no finer than this */
#define CLOCK_SAVE       (5 * SB_MINUTE)
#define RETRY_DEFAULT    (30 * SB_SECOND)
#define CHANGES_MAX      500 /* of queued tasks in one turn */
#define PAUSE_NAME       "paused"

#define OCCUPIED_DEFAULT (10 * SB_MINUTE)

/* ---- hand-over ---- */

static uint32_t count_under_way(const struct sb_runner *runner)
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

static struct sb_schedule_facts facts_of(struct sb_runner *runner, const struct sb_task *task,
                                         const struct sb_device *device, const struct pass *pass)
{
    return (struct sb_schedule_facts){
        .wall = sb_loop_wall(runner->parts.loop),
        .paused = runner->paused,
        .occupied = device->occupied != NULL,
        .device_busy = device_busy(runner, task),
        /* Not asked yet counts as offline: first find out who is there, then decide. */
        .offline = device->presence != SB_PRESENCE_READY && sb_unit_can_look(runner, device),
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
    if (reason == SB_REASON_OFFLINE && task->reason != SB_REASON_OFFLINE)
        sb_unit_want(runner, task->device);
    if (reason == task->reason)
        return again;
    pass->changes--;
    sb_runner_apply(
        runner, task,
        &(struct sb_event){ .kind = SB_EV_WAIT,
                            .reason = reason,
                            .text = reason == SB_REASON_OFFLINE ? device->trouble : NULL },
        "core");
    return again;
}

static int64_t sooner(int64_t a, int64_t b)
{
    return !a ? b : !b ? a : SB_MIN(a, b);
}

/* A change costs records and reports: a long queue takes several turns, from its head each time. */
static int64_t schedule_all(struct sb_runner *runner)
{
    struct pass pass = { .under_way = count_under_way(runner), .changes = CHANGES_MAX };
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
            again = sooner(again, schedule_task(runner, task, &pass));
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

static void feed_buses(struct sb_runner *runner)
{
    feed(runner, false);
    feed(runner, true);
}

/* ---- clocks ---- */

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
        again = sooner(again, left > 0 ? left : run->command.stall_ms);
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
            *again = sooner(*again, device->occupied_left);
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
           policy->whole_timeout || task->retry_left;
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
            again = sooner(again, deadline.next);
    }
    keep_occupied(runner, elapsed, &again);
    return again;
}

/* A turn that comes soon after another one leaves them alone, unless one of them is due. */
static int64_t keep_clocks(struct sb_runner *runner)
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
    return sooner(left, watch_stalls(runner));
}

/* In its new state other clocks run. */
static void follow_clocks(struct sb_runner *runner, struct sb_task *task)
{
    const struct sb_deadline deadline = sb_task_clocks(task, 0, sb_loop_wall(runner->parts.loop));
    int64_t next = deadline.cause != SB_CAUSE_NONE ? 1 : deadline.next;
    if (next)
        runner->clocks_at = SB_MIN(runner->clocks_at, sb_loop_now(runner->parts.loop) + next);
}

void sb_runner_turn(struct sb_runner *runner)
{
    int64_t now = sb_loop_now(runner->parts.loop);
    int64_t again = sooner(keep_clocks(runner), sb_units_look(runner));
    if (runner->dirty || (runner->schedule_at && now >= runner->schedule_at)) {
        runner->dirty = false;
        int64_t later = schedule_all(runner);
        feed_buses(runner);
        runner->schedule_at = later ? now + later : 0;
    }
    if (runner->dirty)
        again = 1;
    if (runner->schedule_at)
        again = sooner(again, runner->schedule_at - now);
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

/* ---- orders ---- */

/* A write that fails is the store's failure, or lack of memory: the core reloads, or goes on. */
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
        follow_clocks(runner, task);
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

void sb_runner_stats(const struct sb_runner *runner, struct sb_runner_stats *ret)
{
    struct sb_runner_stats stats = { .under_way = count_under_way(runner) };
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

static int load_pause(void *arg, const struct sb_row *row)
{
    struct sb_runner *runner = arg;
    runner->paused = sb_json_bool(row->body, PAUSE_NAME, false);
    return 0;
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
        r = sb_store_query(
            parts->store,
            &(struct sb_query){ .table = SB_TABLE_META, .name = PAUSE_NAME, .state = -1 },
            load_pause, runner);
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
