/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/job/machine.h"

#include "bridge/base/map.h"
#include "bridge/base/str.h"

SB_NAMES(
    sb_event,
    SB_EV_MAX_, [SB_EV_CONFIRM] = "confirm", [SB_EV_WAIT] = "wait", [SB_EV_HAND_OVER] = "hand_over",
    [SB_EV_PROGRESS] = "progress", [SB_EV_STAGED] = "staged", [SB_EV_COMMIT] = "commit",
    [SB_EV_SUCCESS] = "success", [SB_EV_FAIL] = "fail", [SB_EV_CANCEL] = "cancel",
    [SB_EV_STOPPED] = "stopped", [SB_EV_NOT_STOPPED] = "not_stopped", [SB_EV_EXPIRE] = "expire");

/* Where an edge leads when that depends on the task or the event. */
enum {
    TO_SAME = -1,        /* the state it is in */
    TO_PHASE = -2,       /* the state the phase belongs to, never backwards */
    TO_FAILURE = -3,     /* queued/retry when attempts are left, else failed */
    TO_BEFORE = -4,      /* the state before the cancel */
    TO_NONE = -5,        /* not allowed: -EPROTO */
    TO_UNCOMMITTED = -6, /* cancelling, unless it has passed the commit point: then -EPROTO */
    TO_GIVEN_UP = -7,    /* cancelled for the causes of a cancel (expired, ...), else failed */
};

struct edge {
    int to;
    unsigned actions;
};

/*
 * The whole machine: a row per event, a column per state. Final states have no column: they are
 * not left. Columns in the order of enum sb_task_state.
 */
// clang-format off
#define NO    { TO_NONE, 0 }
#define KEEP  { TO_SAME, 0 }
#define PHASE { TO_PHASE, SB_DO_TELL }
#define QUEUE { SB_TASK_QUEUED, SB_DO_TELL }
#define SEND  { SB_TASK_SENT, SB_DO_TELL }
#define STAGE { SB_TASK_DOWNLOADED, SB_DO_TELL }
#define RETRY { TO_FAILURE, SB_DO_TELL }
#define STOP  { TO_UNCOMMITTED, SB_DO_TELL | SB_DO_STOP_DRIVER }
#define BACK  { TO_BEFORE, SB_DO_TELL }
#define DONE  { SB_TASK_SUCCEEDED, SB_DO_TELL | SB_DO_RELEASE }
#define FAIL  { SB_TASK_FAILED, SB_DO_TELL | SB_DO_RELEASE }
#define GONE  { SB_TASK_CANCELLED, SB_DO_TELL | SB_DO_RELEASE }
#define LATE  { TO_GIVEN_UP, SB_DO_TELL | SB_DO_RELEASE }
#define ABORT { TO_GIVEN_UP, SB_DO_TELL | SB_DO_RELEASE | SB_DO_STOP_DRIVER | SB_DO_OCCUPY }
#define LEAVE { SB_TASK_CANCELLED, SB_DO_TELL | SB_DO_RELEASE | SB_DO_STOP_DRIVER | SB_DO_OCCUPY }

static const struct edge edges[SB_EV_MAX_][SB_TASK_SUCCEEDED] = {
    /*                      held          sent          downloaded    restarting    cancelling
                                   queued        downloading   installing    running           */
    [SB_EV_CONFIRM]     = { QUEUE, NO,    NO,    NO,    NO,    NO,    NO,    NO,    NO    },
    [SB_EV_WAIT]        = { NO,    QUEUE, NO,    NO,    NO,    NO,    NO,    NO,    NO    },
    [SB_EV_HAND_OVER]   = { NO,    SEND,  NO,    NO,    NO,    NO,    NO,    NO,    NO    },
    [SB_EV_PROGRESS]    = { NO,    NO,    PHASE, PHASE, PHASE, PHASE, PHASE, PHASE, KEEP  },
    [SB_EV_STAGED]      = { NO,    NO,    STAGE, STAGE, NO,    NO,    NO,    NO,    KEEP  },
    [SB_EV_COMMIT]      = { NO,    NO,    KEEP,  KEEP,  KEEP,  KEEP,  KEEP,  KEEP,  KEEP  },
    [SB_EV_SUCCESS]     = { NO,    DONE,  DONE,  DONE,  DONE,  DONE,  DONE,  DONE,  DONE  },
    [SB_EV_FAIL]        = { FAIL,  FAIL,  RETRY, RETRY, RETRY, RETRY, RETRY, RETRY, GONE  },
    [SB_EV_CANCEL]      = { GONE,  GONE,  STOP,  STOP,  STOP,  STOP,  STOP,  STOP,  KEEP  },
    [SB_EV_STOPPED]     = { NO,    NO,    GONE,  GONE,  GONE,  GONE,  GONE,  GONE,  GONE  },
    [SB_EV_NOT_STOPPED] = { NO,    NO,    KEEP,  KEEP,  KEEP,  KEEP,  KEEP,  KEEP,  BACK  },
    [SB_EV_EXPIRE]      = { LATE,  LATE,  ABORT, ABORT, ABORT, ABORT, ABORT, ABORT, LEAVE },
};
// clang-format on

/* The state that work in a phase belongs to. */
static enum sb_task_state phase_state(enum sb_op op, enum sb_phase phase)
{
    static const enum sb_task_state firmware[SB_PHASE_MAX_] = {
        [SB_PHASE_WAITING] = SB_TASK_SENT,          [SB_PHASE_STARTING] = SB_TASK_SENT,
        [SB_PHASE_FETCHING] = SB_TASK_DOWNLOADING,  [SB_PHASE_TRANSFERRING] = SB_TASK_DOWNLOADING,
        [SB_PHASE_VERIFYING] = SB_TASK_DOWNLOADING, [SB_PHASE_WRITING] = SB_TASK_INSTALLING,
        [SB_PHASE_ACTIVATING] = SB_TASK_INSTALLING, [SB_PHASE_RESTARTING] = SB_TASK_RESTARTING,
        [SB_PHASE_CONFIRMING] = SB_TASK_RESTARTING,
    };
    if (!sb_op_is_firmware(op))
        return phase <= SB_PHASE_STARTING     ? SB_TASK_SENT
               : phase == SB_PHASE_RESTARTING ? SB_TASK_RESTARTING
                                              : SB_TASK_RUNNING;
    /* An install's image has been downloaded already: all its work is installing. */
    if (op == SB_OP_FIRMWARE_INSTALL && firmware[phase] == SB_TASK_DOWNLOADING)
        return SB_TASK_INSTALLING;
    return firmware[phase];
}

/* The way of an attempt; 0: not a step of it. */
static const int rank[SB_TASK_STATE_MAX_] = {
    [SB_TASK_SENT] = 1,       [SB_TASK_DOWNLOADING] = 2, [SB_TASK_DOWNLOADED] = 3,
    [SB_TASK_INSTALLING] = 4, [SB_TASK_RUNNING] = 4,     [SB_TASK_RESTARTING] = 5,
};

/* Progress never leads back: a repeated transfer after `installing` stays `installing`. */
static enum sb_task_state forward(enum sb_task_state now, enum sb_task_state wanted)
{
    return rank[wanted] > rank[now] ? wanted : now;
}

/* A failure that names no cause is our own fault. */
static enum sb_cause cause_of(const struct sb_event *event)
{
    return event->cause == SB_CAUSE_NONE ? SB_CAUSE_INTERNAL : event->cause;
}

static bool retries(const struct sb_task *task, const struct sb_event *event)
{
    const struct sb_policy *policy = &task->job->policy;
    enum sb_cause cause = cause_of(event);
    if (task->attempt > policy->retries)
        return false;
    return policy->retry_causes ? (policy->retry_causes >> cause) & 1
                                : sb_cause_is_transient(cause);
}

/* These end a task by somebody's will, and not because it could not be done. */
static bool is_cause_of_cancel(enum sb_cause cause)
{
    return cause == SB_CAUSE_OPERATOR || cause == SB_CAUSE_OVERRIDDEN ||
           cause == SB_CAUSE_EXPIRED || cause == SB_CAUSE_DEVICE_GONE;
}

static bool is_known(const struct sb_event *event)
{
    return (unsigned)event->kind < SB_EV_MAX_ && (unsigned)event->reason < SB_REASON_MAX_ &&
           (unsigned)event->phase < SB_PHASE_MAX_ && (unsigned)event->cause < SB_CAUSE_MAX_ &&
           (unsigned)event->verified < SB_VERIFY_MAX_;
}

int sb_task_step(const struct sb_task *task, const struct sb_event *event, struct sb_step *ret)
{
    if (sb_task_state_is_final(task->state) || !is_known(event))
        return -EPROTO;
    const struct edge edge = edges[event->kind][task->state];
    struct sb_step step = { .actions = edge.actions };

    switch (edge.to) {
    case TO_NONE:
        return -EPROTO;
    case TO_SAME:
        step.state = task->state;
        break;
    case TO_PHASE:
        step.state = forward(task->state, phase_state(task->job->op, event->phase));
        break;
    case TO_FAILURE:
        step.retry = retries(task, event);
        step.state = step.retry ? SB_TASK_QUEUED : SB_TASK_FAILED;
        step.actions |= step.retry ? SB_DO_RETRY : SB_DO_RELEASE;
        break;
    case TO_BEFORE:
        step.state = task->cancel_from;
        break;
    case TO_UNCOMMITTED:
        if (task->committed)
            return -EPROTO;
        step.state = SB_TASK_CANCELLING;
        break;
    case TO_GIVEN_UP:
        step.state = is_cause_of_cancel(event->cause) ? SB_TASK_CANCELLED : SB_TASK_FAILED;
        break;
    default:
        step.state = (enum sb_task_state)edge.to;
    }
    *ret = step;
    return 0;
}

static const uint8_t weights_of[3][SB_PHASE_MAX_] = {
    /* the image comes and is verified */
    { [SB_PHASE_FETCHING] = 45, [SB_PHASE_TRANSFERRING] = 50, [SB_PHASE_VERIFYING] = 5 },
    /* everything */
    { [SB_PHASE_FETCHING] = 15,
      [SB_PHASE_TRANSFERRING] = 55,
      [SB_PHASE_VERIFYING] = 3,
      [SB_PHASE_WRITING] = 15,
      [SB_PHASE_ACTIVATING] = 2,
      [SB_PHASE_RESTARTING] = 5,
      [SB_PHASE_CONFIRMING] = 5 },
    /* no image */
    { [SB_PHASE_TRANSFERRING] = 20,
      [SB_PHASE_WRITING] = 40,
      [SB_PHASE_RESTARTING] = 35,
      [SB_PHASE_CONFIRMING] = 5 },
};

const uint8_t *sb_phase_weights(enum sb_op op)
{
    if (op == SB_OP_FIRMWARE_DOWNLOAD)
        return weights_of[0];
    return weights_of[sb_op_is_firmware(op) ? 1 : 2];
}

uint8_t sb_overall_percent(const uint8_t *weights, enum sb_phase phase, uint8_t percent)
{
    unsigned before = 0;
    for (int p = 0; p < (int)phase; p++)
        before += weights[p];
    unsigned overall = before + (unsigned)weights[phase] * SB_MIN(percent, 100) / 100;
    /* 100 is said by success, or by a device that only has to come back. */
    unsigned most = phase >= SB_PHASE_RESTARTING ? 100 : 99;
    return (uint8_t)SB_MIN(overall, most);
}

static void note_progress(struct sb_task *task, const struct sb_event *event, struct sb_step *step)
{
    const uint8_t *weights = event->weights ? event->weights : sb_phase_weights(task->job->op);
    uint8_t most = step->state == SB_TASK_RESTARTING ? 100 : 99;
    uint8_t percent = SB_MIN(sb_overall_percent(weights, event->phase, event->percent), most);
    bool visible = percent > task->percent || event->phase != task->phase;

    task->phase = event->phase;
    task->percent = SB_MAX(task->percent, percent);
    task->furthest_percent = SB_MAX(task->furthest_percent, task->percent);
    task->started |= event->phase > SB_PHASE_STARTING;
    if (!visible)
        step->actions &= ~(unsigned)SB_DO_TELL;
}

/* What the attempt before has left behind is not said of this one. */
static void begin_attempt(struct sb_task *task)
{
    free(SB_STEAL(task->text));
    sb_native_done(&task->native);
    json_decref(SB_STEAL(task->result));
    task->attempt++;
    task->percent = 0;
    task->phase = SB_PHASE_STARTING;
    task->committed = task->asked = false;
    task->cause = SB_CAUSE_NONE;
    task->spent_sent = 0;
    task->retry_left = 0;
}

/* What the attempt ends with, NONE: with success, or it goes on. */
static enum sb_cause outcome_of(const struct sb_task *task, const struct sb_event *event,
                                const struct sb_step *step)
{
    if (step->state == SB_TASK_CANCELLED) {
        enum sb_cause asked = task->state == SB_TASK_CANCELLING ? task->cancel_cause : event->cause;
        return asked == SB_CAUSE_NONE ? SB_CAUSE_OPERATOR : asked;
    }
    bool failed = event->kind == SB_EV_FAIL || event->kind == SB_EV_EXPIRE;
    return failed ? cause_of(event) : SB_CAUSE_NONE;
}

/* A native code belongs to the outcome it came with. */
static void note_outcome(struct sb_task *task, const struct sb_event *event, enum sb_cause outcome,
                         const struct sb_step *step)
{
    bool succeeded = step->state == SB_TASK_SUCCEEDED;
    if (succeeded) {
        task->percent = task->furthest_percent = 100;
        task->verified = event->verified;
    }
    if (!succeeded && outcome == SB_CAUSE_NONE)
        return;
    task->cause = outcome;
    sb_native_done(&task->native);
}

/* What an event carries is copied first, so that lack of memory changes nothing. */
struct baggage {
    char *text;
    struct sb_native native;
};

/* No outcome is without words. */
static int pack(const struct sb_event *event, enum sb_cause outcome, struct baggage *ret)
{
    struct baggage bag = { 0 };
    const char *otherwise = outcome == SB_CAUSE_NONE ? NULL : sb_cause_text(outcome);
    int r = sb_set_string(&bag.text, event->text && *event->text ? event->text : otherwise);
    if (r >= 0 && event->native)
        r = sb_native_set(&bag.native, event->native->dialect, event->native->vocabulary,
                          event->native->code, event->native->text);
    if (r < 0) {
        free(bag.text);
        return r;
    }
    *ret = bag;
    return 0;
}

static void unpack(struct sb_task *task, const struct sb_event *event, struct baggage *bag)
{
    if (bag->text) {
        free(task->text);
        task->text = SB_STEAL(bag->text);
    }
    if (event->native) {
        sb_native_done(&task->native);
        task->native = bag->native;
    }
    if (json_is_object(event->result)) {
        json_decref(task->result);
        task->result = json_incref(event->result);
    }
}

int sb_task_apply(struct sb_task *task, const struct sb_event *event, struct sb_step *ret)
{
    struct sb_step step;
    struct baggage bag;
    int r = sb_task_step(task, event, &step);
    if (r < 0)
        return r;
    enum sb_cause outcome = outcome_of(task, event, &step);
    r = pack(event, outcome, &bag);
    if (r < 0)
        return r;

    enum sb_task_state before = task->state;
    if (event->kind == SB_EV_HAND_OVER)
        begin_attempt(task);
    if (event->kind == SB_EV_PROGRESS && before != SB_TASK_CANCELLING)
        note_progress(task, event, &step);
    if (event->kind == SB_EV_COMMIT)
        task->committed = true;
    if (event->kind == SB_EV_WAIT && task->reason == event->reason)
        step.actions &= ~(unsigned)SB_DO_TELL;
    if (event->kind == SB_EV_CANCEL && step.state == SB_TASK_CANCELLING &&
        before != SB_TASK_CANCELLING) {
        task->cancel_from = before;
        task->cancel_cause = event->cause;
    }
    note_outcome(task, event, outcome, &step);
    if (event->kind == SB_EV_WAIT && task->cause == SB_CAUSE_NONE)
        free(SB_STEAL(task->text)); /* of another wait */
    unpack(task, event, &bag);

    task->state = step.state;
    task->reason = step.retry                     ? SB_REASON_RETRY
                   : step.state != SB_TASK_QUEUED ? SB_REASON_NONE
                   : event->kind == SB_EV_WAIT    ? event->reason
                                                  : SB_REASON_NONE;
    if (before != task->state)
        step.actions |= SB_DO_TELL;
    if (task->state == SB_TASK_QUEUED)
        task->committed = false; /* that attempt is over */
    task->furthest = forward(task->furthest, task->state);
    if (ret)
        *ret = step;
    return 0;
}

/* Only the start time has kept it so far. */
static bool is_planned(const struct sb_task *task)
{
    bool not_due = task->reason == SB_REASON_NONE || task->reason == SB_REASON_SCHEDULED ||
                   task->reason == SB_REASON_PAUSED;
    return task->job->policy.start == SB_START_AT && task->state == SB_TASK_QUEUED && not_due &&
           task->attempt == 0;
}

/* From the end, where most often some still wait: with thousands of tasks one look has to do. */
enum sb_job_state sb_job_derive(const struct sb_job *job)
{
    bool open = false, begun = false;
    bool kept = job->rule; /* by what is not being cancelled */
    for (size_t i = job->task_count; i-- > 0;) {
        const struct sb_task *task = job->tasks[i];
        bool is_open = !sb_task_state_is_final(task->state);
        open |= is_open;
        kept |= is_open && task->state != SB_TASK_CANCELLING;
        begun |= !is_planned(task);
        if (open && kept && begun)
            return SB_JOB_ACTIVE;
    }
    if (!open)
        return job->rule ? SB_JOB_ACTIVE : SB_JOB_DONE;
    return !kept ? SB_JOB_CANCELLING : begun ? SB_JOB_ACTIVE : SB_JOB_PLANNED;
}

/* Could a device have more than one task here? */
static bool repeats(const struct sb_job *job)
{
    bool again = job->standing; /* a device that came anew joins once more */
    for (size_t i = 0; i < job->task_count && !again; i++)
        again = job->tasks[i]->round > 1;
    return again;
}

/* Tasks are in order of their making. */
bool *sb_job_latest(const struct sb_job *job)
{
    bool *latest = calloc(job->task_count + 1, sizeof(*latest));
    sb_cleanup(sb_map_done) struct sb_map seen = { 0 };
    bool again = repeats(job), ok = latest != NULL;
    for (size_t i = job->task_count; ok && i-- > 0;) {
        const struct sb_task *task = job->tasks[i];
        sb_cleanup(sb_freep) char *key =
            again ? sb_format("%s\n%s", task->device, task->module ? task->module : "") : NULL;
        latest[i] = !key || !sb_map_get(&seen, key);
        ok = !again || (key && sb_map_set(&seen, key, latest) >= 0);
    }
    if (!ok)
        free(SB_STEAL(latest));
    return latest;
}

int sb_job_count(const struct sb_job *job, struct sb_job_counts *ret)
{
    struct sb_job_counts counts = { 0 };
    uint64_t percents = 0;
    sb_cleanup(sb_freep) bool *latest = sb_job_latest(job);
    if (!latest)
        return -ENOMEM;
    for (size_t i = 0; i < job->task_count; i++) {
        const struct sb_task *task = job->tasks[i];
        if (!latest[i])
            continue;
        counts.state[task->state]++;
        counts.total++;
        percents += task->state == SB_TASK_SUCCEEDED ? 100 : task->percent;
        if (sb_task_state_is_final(task->state))
            counts.cause[task->cause]++;
    }
    if (counts.total)
        counts.percent = (uint8_t)(percents / counts.total);
    *ret = counts;
    return 0;
}
