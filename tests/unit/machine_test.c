/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The task machine against a table of its own: what every event does in every state, written from
 * what people and clouds rely on, not from the machine's code. And the laws that hold over any
 * sequence of events.
 */
#include <stdio.h>

#include "bridge/base/crypto.h"
#include "bridge/job/machine.h"
#include "tests/fakes/starved.h"
#include "tests/test.h"

/* ---- a job with one task ---- */

struct bed {
    struct sb_job job;
    struct sb_task task;
    struct sb_task *list[1];
};

static void tidy(struct bed *bed)
{
    free(bed->task.text);
    sb_native_done(&bed->task.native);
    json_decref(bed->task.result);
    bed->task.text = NULL;
    bed->task.result = NULL;
}

static void lay(struct bed *bed, enum sb_op op, enum sb_task_state state)
{
    tidy(bed);
    *bed = (struct bed){ .job = { .op = op, .state = SB_JOB_ACTIVE, .task_count = 1 },
                         .task = { .state = state, .attempt = 1 } };
    bed->list[0] = &bed->task;
    bed->job.tasks = bed->list;
    bed->task.job = &bed->job;
}

static struct sb_event event_of(enum sb_event_kind kind)
{
    return (struct sb_event){ .kind = kind };
}

static int apply(struct bed *bed, struct sb_event event)
{
    return sb_task_apply(&bed->task, &event, NULL);
}

static void must(struct bed *bed, struct sb_event event)
{
    int r = apply(bed, event);
    if (r < 0)
        fail_msg("%s in %s: %s", sb_event_name((int)event.kind),
                 sb_task_state_name((int)bed->task.state), strerror(-r));
}

#define assert_state(bed, expected)                                                                \
    assert_string_equal(sb_task_state_name((int)(bed)->task.state),                                \
                        sb_task_state_name((int)(expected)))

/* ---- every event in every state ---- */

/*
 * Of an update on its first and only attempt, not yet committed. Progress: writing, at half;
 * a failure: verify_failed; a cancel: by an operator; an expiry: timeout; a cancel in `cancelling`
 * had come while downloading. NULL: refused, and nothing changes. After the new state: t(ell)
 * s(top the driver) o(ccupy the device) r(elease) - never y (retry): there are no attempts left.
 */
#define UNDER_WAY(state, progress, staged)                                                         \
    {                                                                                              \
        [SB_EV_PROGRESS] = progress, [SB_EV_STAGED] = staged, [SB_EV_COMMIT] = state " -",         \
        [SB_EV_SUCCESS] = "succeeded tr", [SB_EV_FAIL] = "failed tr",                              \
        [SB_EV_CANCEL] = "cancelling ts", [SB_EV_STOPPED] = "cancelled tr",                        \
        [SB_EV_NOT_STOPPED] = state " -", [SB_EV_EXPIRE] = "failed tsor"                           \
    }

static const char *const expected[SB_TASK_STATE_MAX_][SB_EV_MAX_] = {
    [SB_TASK_HELD] = { [SB_EV_CONFIRM] = "queued t",
                       [SB_EV_FAIL] = "failed tr",
                       [SB_EV_CANCEL] = "cancelled tr",
                       [SB_EV_EXPIRE] = "failed tr" },
    [SB_TASK_QUEUED] = { [SB_EV_WAIT] = "queued t",
                         [SB_EV_HAND_OVER] = "sent t",
                         [SB_EV_SUCCESS] = "succeeded tr",
                         [SB_EV_FAIL] = "failed tr",
                         [SB_EV_CANCEL] = "cancelled tr",
                         [SB_EV_EXPIRE] = "failed tr" },
    [SB_TASK_SENT] = UNDER_WAY("sent", "installing t", "downloaded t"),
    [SB_TASK_DOWNLOADING] = UNDER_WAY("downloading", "installing t", "downloaded t"),
    [SB_TASK_DOWNLOADED] = UNDER_WAY("downloaded", "installing t", NULL),
    [SB_TASK_INSTALLING] = UNDER_WAY("installing", "installing t", NULL),
    [SB_TASK_RESTARTING] = UNDER_WAY("restarting", "restarting t", NULL),
    [SB_TASK_RUNNING] = UNDER_WAY("running", "running t", NULL),
    [SB_TASK_CANCELLING] = { [SB_EV_PROGRESS] = "cancelling -",
                             [SB_EV_STAGED] = "cancelling -",
                             [SB_EV_COMMIT] = "cancelling -",
                             [SB_EV_SUCCESS] = "succeeded tr",
                             [SB_EV_FAIL] = "cancelled tr",
                             [SB_EV_CANCEL] = "cancelling -",
                             [SB_EV_STOPPED] = "cancelled tr",
                             [SB_EV_NOT_STOPPED] = "downloading t",
                             [SB_EV_EXPIRE] = "cancelled tsor" },
};

static void put_in(struct bed *bed, enum sb_task_state state)
{
    lay(bed, SB_OP_FIRMWARE_UPDATE, state);
    bed->task.reason = state == SB_TASK_QUEUED ? SB_REASON_OFFLINE : SB_REASON_NONE;
    bed->task.cancel_from = SB_TASK_DOWNLOADING;
    bed->task.cancel_cause = SB_CAUSE_OVERRIDDEN;
}

static struct sb_event sample(enum sb_event_kind kind)
{
    static const enum sb_cause causes[SB_EV_MAX_] = { [SB_EV_FAIL] = SB_CAUSE_VERIFY_FAILED,
                                                      [SB_EV_CANCEL] = SB_CAUSE_OPERATOR,
                                                      [SB_EV_EXPIRE] = SB_CAUSE_TIMEOUT };
    return (struct sb_event){ .kind = kind,
                              .reason = kind == SB_EV_WAIT ? SB_REASON_BUSY : SB_REASON_NONE,
                              .phase = SB_PHASE_WRITING,
                              .percent = 50,
                              .cause = causes[kind] };
}

static const char *letters(unsigned actions)
{
    static char text[8];
    static const struct {
        enum sb_action action;
        char letter;
    } all[] = { { SB_DO_TELL, 't' },
                { SB_DO_STOP_DRIVER, 's' },
                { SB_DO_OCCUPY, 'o' },
                { SB_DO_RELEASE, 'r' },
                { SB_DO_RETRY, 'y' } };
    size_t n = 0;
    for (size_t i = 0; i < SB_COUNT(all); i++)
        if (actions & all[i].action)
            text[n++] = all[i].letter;
    if (n == 0)
        text[n++] = '-';
    text[n] = '\0';
    return text;
}

static void check_refused(struct bed *bed, enum sb_event_kind kind)
{
    struct sb_event event = sample(kind);
    struct sb_step step = { .state = SB_TASK_RUNNING, .actions = 77 };
    struct sb_task before = bed->task;
    int r = sb_task_step(&bed->task, &event, &step);
    int r2 = sb_task_apply(&bed->task, &event, &step);
    if (r != -EPROTO || r2 != -EPROTO)
        fail_msg("%s in %s is not refused", sb_event_name((int)kind),
                 sb_task_state_name(before.state));
    assert_int_equal(step.actions, 77); /* written on success only */
    assert_memory_equal(&bed->task, &before, sizeof(before));
}

static void check_allowed(struct bed *bed, enum sb_event_kind kind, const char *wanted)
{
    struct sb_event event = sample(kind);
    struct sb_step step = { 0 }, applied = { 0 };
    enum sb_task_state before = bed->task.state;
    char found[32];
    int r = sb_task_step(&bed->task, &event, &step);
    int r2 = sb_task_apply(&bed->task, &event, &applied);
    (void)snprintf(found, sizeof(found), "%s %s", sb_task_state_name(applied.state),
                   letters(applied.actions));
    if (r < 0 || r2 < 0 || strcmp(found, wanted) != 0)
        fail_msg("%s in %s: %s, not %s", sb_event_name((int)kind), sb_task_state_name(before),
                 r2 < 0 ? "refused" : found, wanted);
    assert_int_equal(step.state, applied.state);
    assert_int_equal(bed->task.state, applied.state);
    assert_false(applied.retry);
    tidy(bed);
}

static int give_memory_back(void **state);
#define TEST(name) SB_TEST(test_##name, NULL, give_memory_back)

TEST(every_event_in_every_state)
{
    for (int s = 0; s < SB_TASK_STATE_MAX_; s++) {
        for (int kind = 0; kind < SB_EV_MAX_; kind++) {
            sb_cleanup(tidy) struct bed bed = { 0 };
            put_in(&bed, (enum sb_task_state)s);
            if (expected[s][kind])
                check_allowed(&bed, (enum sb_event_kind)kind, expected[s][kind]);
            else
                check_refused(&bed, (enum sb_event_kind)kind);
        }
    }
}

/* Whatever a late event carries, and whatever the record says of earlier attempts. */
TEST(final_states_are_never_left)
{
    static const enum sb_task_state finals[] = { SB_TASK_SUCCEEDED, SB_TASK_FAILED,
                                                 SB_TASK_CANCELLED };
    for (size_t f = 0; f < SB_COUNT(finals); f++)
        for (int kind = 0; kind < SB_EV_MAX_; kind++)
            for (int cause = 0; cause < SB_CAUSE_MAX_; cause++) {
                sb_cleanup(tidy) struct bed bed = { 0 };
                put_in(&bed, finals[f]);
                bed.job.policy.retries = 9;
                bed.task.committed = cause & 1;
                struct sb_event event = sample((enum sb_event_kind)kind);
                event.cause = (enum sb_cause)cause;
                struct sb_task before = bed.task;
                assert_int_equal(apply(&bed, event), -EPROTO);
                assert_memory_equal(&bed.task, &before, sizeof(before));
            }
}

TEST(what_is_not_in_the_lists_is_refused)
{
    sb_cleanup(tidy) struct bed bed = { 0 };
    put_in(&bed, SB_TASK_SENT);
    struct sb_event event = sample(SB_EV_PROGRESS);
    event.kind = SB_EV_MAX_;
    assert_int_equal(apply(&bed, event), -EPROTO);
    event = sample(SB_EV_PROGRESS);
    event.phase = SB_PHASE_MAX_;
    assert_int_equal(apply(&bed, event), -EPROTO);
    event = sample(SB_EV_FAIL);
    event.cause = SB_CAUSE_INVALID;
    assert_int_equal(apply(&bed, event), -EPROTO);
    put_in(&bed, SB_TASK_QUEUED);
    event = sample(SB_EV_WAIT);
    event.reason = SB_REASON_MAX_;
    assert_int_equal(apply(&bed, event), -EPROTO);
    assert_state(&bed, SB_TASK_QUEUED);
}

/* ---- cancelling ---- */

TEST(cancel_before_and_after_the_commit_point)
{
    for (int s = SB_TASK_SENT; s <= SB_TASK_RUNNING; s++) {
        sb_cleanup(tidy) struct bed bed = { 0 };
        put_in(&bed, (enum sb_task_state)s);
        bed.task.cancel_from = SB_TASK_HELD;
        must(&bed, (struct sb_event){ .kind = SB_EV_CANCEL, .cause = SB_CAUSE_EXPIRED });
        assert_state(&bed, SB_TASK_CANCELLING);
        must(&bed, (struct sb_event){ .kind = SB_EV_CANCEL, .cause = SB_CAUSE_OPERATOR });
        must(&bed, event_of(SB_EV_NOT_STOPPED)); /* too late: it goes on where it was */
        assert_state(&bed, s);
        must(&bed, (struct sb_event){ .kind = SB_EV_CANCEL, .cause = SB_CAUSE_OVERRIDDEN });
        must(&bed, event_of(SB_EV_STOPPED));
        assert_state(&bed, SB_TASK_CANCELLED);
        assert_int_equal(bed.task.cause, SB_CAUSE_OVERRIDDEN);

        put_in(&bed, (enum sb_task_state)s);
        must(&bed, event_of(SB_EV_COMMIT));
        assert_true(bed.task.committed);
        assert_int_equal(apply(&bed, event_of(SB_EV_CANCEL)), -EPROTO);
        assert_state(&bed, s);
        must(&bed, event_of(SB_EV_SUCCESS));
    }
}

/* Who asked first is whom it is cancelled for, however it then ends. */
TEST(the_first_cancel_counts)
{
    static const enum sb_event_kind ends[] = { SB_EV_STOPPED, SB_EV_FAIL, SB_EV_EXPIRE };
    for (size_t i = 0; i < SB_COUNT(ends); i++) {
        sb_cleanup(tidy) struct bed bed = { 0 };
        put_in(&bed, SB_TASK_INSTALLING);
        bed.job.policy.retries = 5; /* no retry of what was called off */
        must(&bed, (struct sb_event){ .kind = SB_EV_CANCEL, .cause = SB_CAUSE_DEVICE_GONE });
        must(&bed, (struct sb_event){ .kind = SB_EV_CANCEL, .cause = SB_CAUSE_OPERATOR });
        must(&bed, (struct sb_event){ .kind = ends[i], .cause = SB_CAUSE_LINK_LOST });
        assert_state(&bed, SB_TASK_CANCELLED);
        assert_int_equal(bed.task.cause, SB_CAUSE_DEVICE_GONE);
    }
    sb_cleanup(tidy) struct bed bed = { 0 };
    put_in(&bed, SB_TASK_INSTALLING);
    must(&bed, (struct sb_event){ .kind = SB_EV_CANCEL, .cause = SB_CAUSE_OPERATOR });
    must(&bed, event_of(SB_EV_SUCCESS)); /* it was done already */
    assert_state(&bed, SB_TASK_SUCCEEDED);
    assert_int_equal(bed.task.cause, SB_CAUSE_NONE);
    put_in(&bed, SB_TASK_QUEUED);
    must(&bed, event_of(SB_EV_CANCEL));
    assert_int_equal(bed.task.cause, SB_CAUSE_OPERATOR); /* who else */
}

/* Time that has run out fails a task; somebody's will, or a device that is gone, cancels it. */
TEST(expiry_by_cause)
{
    static const struct {
        enum sb_cause cause;
        enum sb_task_state end;
    } cases[] = {
        { SB_CAUSE_TIMEOUT, SB_TASK_FAILED },         { SB_CAUSE_OFFLINE, SB_TASK_FAILED },
        { SB_CAUSE_EXPIRED, SB_TASK_CANCELLED },      { SB_CAUSE_DEVICE_GONE, SB_TASK_CANCELLED },
        { SB_CAUSE_OVERRIDDEN, SB_TASK_CANCELLED },   { SB_CAUSE_OPERATOR, SB_TASK_CANCELLED },
        { SB_CAUSE_OUTCOME_UNKNOWN, SB_TASK_FAILED },
    };
    for (int s = SB_TASK_HELD; s <= SB_TASK_RUNNING; s++)
        for (size_t i = 0; i < SB_COUNT(cases); i++) {
            sb_cleanup(tidy) struct bed bed = { 0 };
            put_in(&bed, (enum sb_task_state)s);
            bed.job.policy.retries = 5;
            bed.task.committed = s == SB_TASK_INSTALLING; /* a deadline asks nobody */
            must(&bed, (struct sb_event){ .kind = SB_EV_EXPIRE, .cause = cases[i].cause });
            assert_state(&bed, cases[i].end);
            assert_int_equal(bed.task.cause, cases[i].cause);
        }
}

/* ---- retries ---- */

/* Hands over and fails; the task's state afterwards. */
static enum sb_task_state attempt(struct bed *bed, enum sb_cause cause)
{
    must(bed, event_of(SB_EV_HAND_OVER));
    struct sb_event event = { .kind = SB_EV_FAIL, .cause = cause };
    struct sb_step step;
    assert_int_equal(sb_task_apply(&bed->task, &event, &step), 0);
    assert_int_equal(step.retry, bed->task.state == SB_TASK_QUEUED);
    assert_int_equal(!!(step.actions & SB_DO_RETRY), step.retry);
    assert_int_equal(!!(step.actions & SB_DO_RELEASE), !step.retry);
    assert_int_equal(bed->task.reason, step.retry ? SB_REASON_RETRY : SB_REASON_NONE);
    return bed->task.state;
}

static void lay_fresh(struct bed *bed, enum sb_op op)
{
    lay(bed, op, SB_TASK_QUEUED);
    bed->task.attempt = 0;
}

TEST(attempts_are_counted)
{
    for (uint32_t retries = 0; retries < 4; retries++) {
        sb_cleanup(tidy) struct bed bed = { 0 };
        lay_fresh(&bed, SB_OP_REBOOT);
        bed.job.policy.retries = retries;
        for (uint32_t n = 1; n <= retries; n++) {
            assert_int_equal(attempt(&bed, SB_CAUSE_LINK_LOST), SB_TASK_QUEUED);
            assert_int_equal(bed.task.attempt, n);
            assert_int_equal(bed.task.cause, SB_CAUSE_LINK_LOST); /* why it waits */
        }
        assert_int_equal(attempt(&bed, SB_CAUSE_LINK_LOST), SB_TASK_FAILED);
        assert_int_equal(bed.task.attempt, retries + 1);
    }
}

TEST(which_causes_are_retried)
{
    static const enum sb_cause transient[] = {
        SB_CAUSE_BUSY,        SB_CAUSE_OFFLINE,     SB_CAUSE_LINK_LOST,
        SB_CAUSE_NO_MEMORY,   SB_CAUSE_LOW_BATTERY, SB_CAUSE_DOWNLOAD_FAILED,
        SB_CAUSE_WEAK_SIGNAL, SB_CAUSE_INTERNAL,    SB_CAUSE_WRITE_FAILED,
        SB_CAUSE_NONE, /* a driver that does not say why: internal */
    };
    for (int cause = 0; cause < SB_CAUSE_MAX_; cause++) {
        bool wanted = false;
        for (size_t i = 0; i < SB_COUNT(transient); i++)
            wanted |= (int)transient[i] == cause;
        sb_cleanup(tidy) struct bed bed = { 0 };
        lay_fresh(&bed, SB_OP_FIRMWARE_UPDATE);
        bed.job.policy.retries = 1;
        assert_int_equal(attempt(&bed, (enum sb_cause)cause),
                         wanted ? SB_TASK_QUEUED : SB_TASK_FAILED);
        /* A policy that names causes is meant as it says. */
        lay_fresh(&bed, SB_OP_FIRMWARE_UPDATE);
        bed.job.policy.retries = 1;
        bed.job.policy.retry_causes = UINT64_C(1) << SB_CAUSE_ROLLED_BACK;
        assert_int_equal(attempt(&bed, (enum sb_cause)cause),
                         cause == SB_CAUSE_ROLLED_BACK ? SB_TASK_QUEUED : SB_TASK_FAILED);
    }
}

TEST(what_never_began_is_not_retried)
{
    sb_cleanup(tidy) struct bed bed = { 0 };
    lay_fresh(&bed, SB_OP_FIRMWARE_UPDATE);
    bed.job.policy.retries = 5;
    must(&bed, (struct sb_event){ .kind = SB_EV_FAIL, .cause = SB_CAUSE_OFFLINE });
    assert_state(&bed, SB_TASK_FAILED);
}

/* The next attempt begins with nothing of the one before but its count and how far it came. */
TEST(a_new_attempt_starts_clean)
{
    sb_cleanup(tidy) struct bed bed = { 0 };
    lay_fresh(&bed, SB_OP_FIRMWARE_UPDATE);
    bed.job.policy.retries = 3;
    sb_cleanup(json_decrefp) json_t *result = json_pack("{s:s}", "speed", "out of range");
    const struct sb_native native = { (char *)"smp", (char *)"rc", (char *)"8", (char *)"busy" };
    must(&bed, event_of(SB_EV_HAND_OVER));
    must(&bed,
         (struct sb_event){ .kind = SB_EV_PROGRESS, .phase = SB_PHASE_WRITING, .percent = 50 });
    must(&bed, event_of(SB_EV_COMMIT));
    bed.task.spent_sent = 1234;
    bed.task.retry_left = 1;
    must(&bed, (struct sb_event){ .kind = SB_EV_FAIL,
                                  .cause = SB_CAUSE_WRITE_FAILED,
                                  .native = &native,
                                  .text = "flash is worn",
                                  .result = result });
    assert_state(&bed, SB_TASK_QUEUED);
    assert_false(bed.task.committed); /* it can be cancelled and replaced while it waits */
    assert_string_equal(bed.task.native.code, "8");
    assert_string_equal(bed.task.text, "flash is worn");
    uint8_t furthest = bed.task.furthest_percent;
    assert_in_range(furthest, 70, 99);

    must(&bed, event_of(SB_EV_HAND_OVER));
    assert_int_equal(bed.task.attempt, 2);
    assert_int_equal(bed.task.percent, 0);
    assert_int_equal(bed.task.cause, SB_CAUSE_NONE);
    assert_int_equal(bed.task.phase, SB_PHASE_STARTING);
    assert_int_equal(bed.task.spent_sent, 0);
    assert_int_equal(bed.task.retry_left, 0);
    assert_true(bed.task.started); /* the run clock is not restarted */
    assert_null(bed.task.native.code);
    assert_null(bed.task.text);
    assert_null(bed.task.result);
    assert_int_equal(bed.task.furthest, SB_TASK_INSTALLING);
    assert_int_equal(bed.task.furthest_percent, furthest);
    must(&bed, event_of(SB_EV_SUCCESS));
    assert_null(bed.task.native.code); /* a success does not bear the code of a failure */
    tidy(&bed);
}

/* What was past its commit point can be cancelled once that attempt is over. */
TEST(a_failed_attempt_frees_the_way)
{
    sb_cleanup(tidy) struct bed bed = { 0 };
    lay_fresh(&bed, SB_OP_FIRMWARE_UPDATE);
    bed.job.policy.retries = 1;
    must(&bed, event_of(SB_EV_HAND_OVER));
    must(&bed, event_of(SB_EV_COMMIT));
    must(&bed, (struct sb_event){ .kind = SB_EV_FAIL, .cause = SB_CAUSE_LINK_LOST });
    assert_state(&bed, SB_TASK_QUEUED);
    assert_false(bed.task.committed);
    must(&bed, (struct sb_event){ .kind = SB_EV_CANCEL, .cause = SB_CAUSE_OPERATOR });
    assert_state(&bed, SB_TASK_CANCELLED);
}

/* ---- phases and states ---- */

static const char *state_by_phase(enum sb_op op, int phase)
{
    static const char *const update[SB_PHASE_MAX_] = {
        "sent",       "sent",       "downloading", "downloading", "downloading",
        "installing", "installing", "restarting",  "restarting",
    };
    static const char *const install[SB_PHASE_MAX_] = {
        "sent",       "sent",       "installing", "installing", "installing",
        "installing", "installing", "restarting", "restarting",
    };
    static const char *const others[SB_PHASE_MAX_] = {
        "sent",    "sent",    "running",    "running", "running",
        "running", "running", "restarting", "running",
    };
    if (op == SB_OP_FIRMWARE_INSTALL)
        return install[phase];
    return op == SB_OP_FIRMWARE_UPDATE || op == SB_OP_FIRMWARE_DOWNLOAD ? update[phase]
                                                                        : others[phase];
}

TEST(the_state_of_each_phase)
{
    for (int op = 0; op < SB_OP_MAX_; op++)
        for (int phase = 0; phase < SB_PHASE_MAX_; phase++) {
            sb_cleanup(tidy) struct bed bed = { 0 };
            lay(&bed, (enum sb_op)op, SB_TASK_SENT);
            must(&bed, (struct sb_event){ .kind = SB_EV_PROGRESS, .phase = (enum sb_phase)phase });
            assert_string_equal(sb_task_state_name((int)bed.task.state),
                                state_by_phase((enum sb_op)op, phase));
            assert_int_equal(bed.task.started, phase > SB_PHASE_STARTING);
        }
}

/* A driver that sends a part again does not take the task back. */
TEST(progress_never_leads_back)
{
    sb_cleanup(tidy) struct bed bed = { 0 };
    lay(&bed, SB_OP_FIRMWARE_UPDATE, SB_TASK_SENT);
    static const struct {
        enum sb_phase phase;
        enum sb_task_state state;
    } way[] = {
        { SB_PHASE_TRANSFERRING, SB_TASK_DOWNLOADING },
        { SB_PHASE_STARTING, SB_TASK_DOWNLOADING },
        { SB_PHASE_WRITING, SB_TASK_INSTALLING },
        { SB_PHASE_TRANSFERRING, SB_TASK_INSTALLING },
        { SB_PHASE_RESTARTING, SB_TASK_RESTARTING },
        { SB_PHASE_WRITING, SB_TASK_RESTARTING },
    };
    for (size_t i = 0; i < SB_COUNT(way); i++) {
        must(&bed, (struct sb_event){ .kind = SB_EV_PROGRESS, .phase = way[i].phase });
        assert_state(&bed, way[i].state);
        assert_int_equal(bed.task.furthest, way[i].state);
    }
    lay(&bed, SB_OP_FIRMWARE_UPDATE, SB_TASK_DOWNLOADED); /* verified again: still downloaded */
    must(&bed, (struct sb_event){ .kind = SB_EV_PROGRESS, .phase = SB_PHASE_VERIFYING });
    assert_state(&bed, SB_TASK_DOWNLOADED);
}

TEST(furthest_over_attempts)
{
    sb_cleanup(tidy) struct bed bed = { 0 };
    lay_fresh(&bed, SB_OP_CONFIGURE);
    bed.job.policy.retries = 9;
    must(&bed, event_of(SB_EV_HAND_OVER));
    must(&bed,
         (struct sb_event){ .kind = SB_EV_PROGRESS, .phase = SB_PHASE_WRITING, .percent = 9 });
    assert_int_equal(bed.task.furthest, SB_TASK_RUNNING);
    must(&bed, (struct sb_event){ .kind = SB_EV_PROGRESS, .phase = SB_PHASE_RESTARTING });
    assert_int_equal(bed.task.furthest, SB_TASK_RESTARTING); /* comes after running */
    must(&bed, (struct sb_event){ .kind = SB_EV_FAIL, .cause = SB_CAUSE_LINK_LOST });
    must(&bed, event_of(SB_EV_HAND_OVER));
    must(&bed,
         (struct sb_event){ .kind = SB_EV_PROGRESS, .phase = SB_PHASE_WRITING, .percent = 5 });
    must(&bed, event_of(SB_EV_CANCEL));
    assert_int_equal(bed.task.furthest, SB_TASK_RESTARTING);
    assert_true(bed.task.percent < bed.task.furthest_percent);
}

/* ---- percent ---- */

TEST(shares_make_a_whole)
{
    for (int op = 0; op < SB_OP_MAX_; op++) {
        const uint8_t *weights = sb_phase_weights((enum sb_op)op);
        unsigned sum = 0;
        for (int phase = 0; phase < SB_PHASE_MAX_; phase++)
            sum += weights[phase];
        assert_int_equal(sum, 100);
        assert_int_equal(sb_overall_percent(weights, SB_PHASE_CONFIRMING, 100), 100);
        assert_int_equal(sb_overall_percent(weights, SB_PHASE_WAITING, 100), 0);
    }
    static const uint8_t mine[SB_PHASE_MAX_] = {
        [SB_PHASE_FETCHING] = 10, [SB_PHASE_TRANSFERRING] = 90
    };
    assert_int_equal(sb_overall_percent(mine, SB_PHASE_FETCHING, 55), 5);
    assert_int_equal(sb_overall_percent(mine, SB_PHASE_TRANSFERRING, 50), 55);
    assert_int_equal(sb_overall_percent(mine, SB_PHASE_TRANSFERRING, 200), 99); /* not yet back */
    assert_int_equal(sb_overall_percent(mine, SB_PHASE_RESTARTING, 0), 100);
    static const uint8_t too_much[SB_PHASE_MAX_] = { 200, 200, 200 };
    assert_int_equal(sb_overall_percent(too_much, SB_PHASE_FETCHING, 100), 99);
    assert_int_equal(sb_overall_percent(too_much, SB_PHASE_RESTARTING, 100), 100);
}

TEST(weights_of_the_mapping_count)
{
    static const uint8_t mine[SB_PHASE_MAX_] = { [SB_PHASE_TRANSFERRING] = 40 };
    sb_cleanup(tidy) struct bed bed = { 0 };
    lay(&bed, SB_OP_FIRMWARE_UPDATE, SB_TASK_SENT);
    must(&bed, (struct sb_event){ .kind = SB_EV_PROGRESS,
                                  .phase = SB_PHASE_TRANSFERRING,
                                  .percent = 50,
                                  .weights = mine });
    assert_int_equal(bed.task.percent, 20);
}

static struct sb_event random_event(void)
{
    struct sb_event event = { .kind = (enum sb_event_kind)sb_random(SB_EV_MAX_),
                              .phase = (enum sb_phase)sb_random(SB_PHASE_MAX_),
                              .percent = (uint8_t)sb_random(130),
                              .reason = (enum sb_reason)sb_random(SB_REASON_MAX_),
                              .cause = (enum sb_cause)sb_random(SB_CAUSE_MAX_) };
    if (sb_random(3))
        event.kind = SB_EV_PROGRESS;
    return event;
}

static void check_laws(const struct sb_task *before, const struct sb_task *after)
{
    if (after->attempt == before->attempt)
        assert_true(after->percent >= before->percent);
    assert_true(after->attempt == before->attempt || after->percent == 0);
    assert_true(after->furthest_percent >= before->furthest_percent);
    assert_true(after->furthest_percent >= after->percent);
    if (after->percent == 100 && before->percent != 100)
        assert_true(after->state == SB_TASK_RESTARTING || after->state == SB_TASK_SUCCEEDED);
    assert_true(after->furthest == before->furthest || after->furthest == after->state);
    assert_int_equal(after->state == SB_TASK_QUEUED ? 0 : after->reason, 0);
    if (after->state == SB_TASK_FAILED || after->state == SB_TASK_CANCELLED) {
        assert_int_not_equal(after->cause, SB_CAUSE_NONE);
        assert_non_null(after->text);
    }
    if (after->state == SB_TASK_SUCCEEDED)
        assert_int_equal(after->percent, 100);
    if (after->state == SB_TASK_QUEUED)
        assert_false(after->committed);
}

/* Any events in any order. */
TEST(laws_hold_over_any_course)
{
    sb_random_seed(7);
    unsigned ended = 0, full = 0;
    for (int course = 0; course < 20000; course++) {
        sb_cleanup(tidy) struct bed bed = { 0 };
        lay_fresh(&bed, (enum sb_op)sb_random(SB_OP_MAX_));
        bed.task.state = sb_random(4) ? SB_TASK_QUEUED : SB_TASK_HELD;
        bed.job.policy.retries = sb_random(3);
        for (int i = 0; i < 40 && !sb_task_state_is_final(bed.task.state); i++) {
            struct sb_task before = bed.task;
            int r = apply(&bed, random_event());
            assert_true(r == 0 || r == -EPROTO);
            if (r == 0)
                check_laws(&before, &bed.task);
            full += bed.task.percent == 100 && bed.task.state == SB_TASK_RESTARTING;
        }
        ended += sb_task_state_is_final(bed.task.state);
    }
    sb_random_seed(0);
    assert_true(ended > 10000 && full > 0); /* else nothing was tried */
}

TEST(news_only_of_what_changed)
{
    sb_cleanup(tidy) struct bed bed = { 0 };
    struct sb_step step;
    lay(&bed, SB_OP_FIRMWARE_UPDATE, SB_TASK_SENT);
    bed.task.phase = SB_PHASE_STARTING;
    struct sb_event same = { .kind = SB_EV_PROGRESS, .phase = SB_PHASE_STARTING };
    for (int i = 0; i < 2; i++) { /* no progress at all */
        assert_int_equal(sb_task_apply(&bed.task, &same, &step), 0);
        assert_int_equal(step.actions, 0);
    }
    same =
        (struct sb_event){ .kind = SB_EV_PROGRESS, .phase = SB_PHASE_TRANSFERRING, .percent = 50 };
    assert_int_equal(sb_task_apply(&bed.task, &same, &step), 0);
    assert_int_equal(step.actions, SB_DO_TELL);
    assert_int_equal(sb_task_apply(&bed.task, &same, &step), 0);
    assert_int_equal(step.actions, 0);
    same.percent = 40; /* less than before */
    assert_int_equal(sb_task_apply(&bed.task, &same, &step), 0);
    assert_int_equal(step.actions, 0);
    lay(&bed, SB_OP_FIRMWARE_UPDATE, SB_TASK_QUEUED);
    struct sb_event wait = { .kind = SB_EV_WAIT, .reason = SB_REASON_WINDOW };
    assert_int_equal(sb_task_apply(&bed.task, &wait, &step), 0);
    assert_int_equal(step.actions, SB_DO_TELL);
    assert_int_equal(bed.task.reason, SB_REASON_WINDOW);
    assert_int_equal(sb_task_apply(&bed.task, &wait, &step), 0);
    assert_int_equal(step.actions, 0);
}

/* ---- what an event carries ---- */

TEST(baggage_is_copied)
{
    sb_cleanup(tidy) struct bed bed = { 0 };
    put_in(&bed, SB_TASK_RUNNING);
    char text[] = "the pump says no", code[] = "17";
    const struct sb_native native = { .dialect = (char *)"modbus", .code = code };
    json_t *result = json_pack("{s:i}", "speed", 42);
    must(&bed, (struct sb_event){ .kind = SB_EV_FAIL,
                                  .cause = SB_CAUSE_REFUSED,
                                  .native = &native,
                                  .text = text,
                                  .result = result });
    text[0] = code[0] = '?';
    json_decref(result);
    assert_string_equal(bed.task.text, "the pump says no");
    assert_string_equal(bed.task.native.dialect, "modbus");
    assert_string_equal(bed.task.native.code, "17");
    assert_null(bed.task.native.text);
    assert_int_equal(sb_json_int(bed.task.result, "speed", 0), 42);
    tidy(&bed);
    put_in(&bed, SB_TASK_RUNNING);
    sb_cleanup(json_decrefp) json_t *list = json_pack("[i]", 1);
    must(&bed, (struct sb_event){ .kind = SB_EV_SUCCESS, .result = list });
    assert_null(bed.task.result); /* a record holds objects only */
}

TEST(without_memory_nothing_changes)
{
    const struct sb_native native = { (char *)"smp", (char *)"rc", (char *)"8", (char *)"busy" };
    sb_cleanup(tidy) struct bed bed = { 0 };
    put_in(&bed, SB_TASK_INSTALLING);
    bed.job.policy.retries = 1;
    assert_int_equal(sb_set_string(&bed.task.text, "before"), 0);
    struct sb_event event = {
        .kind = SB_EV_FAIL, .cause = SB_CAUSE_LINK_LOST, .native = &native, .text = "after"
    };
    int failures = 0;
    for (int r = -ENOMEM; r < 0; failures++) {
        struct sb_task before = bed.task;
        struct sb_step step = { .actions = 77 };
        starved_grant(failures);
        r = sb_task_apply(&bed.task, &event, &step);
        starved_grant(STARVED_UNLIMITED);
        assert_true(r == 0 || r == -ENOMEM);
        if (r == 0)
            break;
        assert_int_equal(step.actions, 77);
        assert_memory_equal(&bed.task, &before, sizeof(before));
        assert_string_equal(bed.task.text, "before");
    }
    assert_int_equal(failures, 5); /* a text, and four of native */
    assert_state(&bed, SB_TASK_QUEUED);
    assert_string_equal(bed.task.text, "after");
    tidy(&bed);
}

/* ---- jobs ---- */

#define TASKS 3

static enum sb_job_state derive(struct sb_job *job, const enum sb_task_state *states)
{
    struct sb_task tasks[TASKS];
    struct sb_task *list[TASKS];
    for (size_t i = 0; i < TASKS; i++) {
        tasks[i] = (struct sb_task){ .job = job, .state = states[i] };
        list[i] = &tasks[i];
    }
    job->tasks = list;
    job->task_count = TASKS;
    enum sb_job_state state = sb_job_derive(job);
    job->tasks = NULL;
    job->task_count = 0;
    return state;
}

TEST(the_state_of_a_job)
{
    static const struct {
        enum sb_task_state tasks[TASKS];
        enum sb_start start;
        bool rule;
        enum sb_job_state job;
    } cases[] = {
        { { SB_TASK_SUCCEEDED, SB_TASK_FAILED, SB_TASK_CANCELLED },
          SB_START_NOW,
          false,
          SB_JOB_DONE },
        { { SB_TASK_SUCCEEDED, SB_TASK_FAILED, SB_TASK_CANCELLED },
          SB_START_NOW,
          true,
          SB_JOB_ACTIVE },
        { { SB_TASK_SUCCEEDED, SB_TASK_FAILED, SB_TASK_HELD }, SB_START_NOW, false, SB_JOB_ACTIVE },
        { { SB_TASK_QUEUED, SB_TASK_QUEUED, SB_TASK_QUEUED }, SB_START_NOW, false, SB_JOB_ACTIVE },
        { { SB_TASK_QUEUED, SB_TASK_QUEUED, SB_TASK_QUEUED }, SB_START_AT, false, SB_JOB_PLANNED },
        { { SB_TASK_QUEUED, SB_TASK_QUEUED, SB_TASK_HELD }, SB_START_AT, false, SB_JOB_ACTIVE },
        { { SB_TASK_QUEUED, SB_TASK_QUEUED, SB_TASK_SENT }, SB_START_AT, false, SB_JOB_ACTIVE },
        { { SB_TASK_CANCELLING, SB_TASK_FAILED, SB_TASK_CANCELLING },
          SB_START_NOW,
          false,
          SB_JOB_CANCELLING },
        { { SB_TASK_CANCELLING, SB_TASK_FAILED, SB_TASK_CANCELLING },
          SB_START_NOW,
          true,
          SB_JOB_ACTIVE },
        { { SB_TASK_CANCELLING, SB_TASK_RUNNING, SB_TASK_CANCELLED },
          SB_START_NOW,
          false,
          SB_JOB_ACTIVE },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        struct sb_job job = { .policy.start = cases[i].start, .rule = cases[i].rule };
        assert_string_equal(sb_job_state_name((int)derive(&job, cases[i].tasks)),
                            sb_job_state_name((int)cases[i].job));
    }
    struct sb_job rule = { .rule = true }, none = { 0 };
    assert_int_equal(sb_job_derive(&rule), SB_JOB_ACTIVE); /* nothing matches it yet */
    assert_int_equal(sb_job_derive(&none), SB_JOB_DONE);
}

TEST(planned_until_something_else_keeps_it)
{
    sb_cleanup(tidy) struct bed bed = { 0 };
    lay_fresh(&bed, SB_OP_REBOOT);
    bed.job.policy.start = SB_START_AT;
    for (int reason = 0; reason < SB_REASON_MAX_; reason++) {
        bed.task.reason = (enum sb_reason)reason;
        bool planned =
            reason == SB_REASON_NONE || reason == SB_REASON_SCHEDULED || reason == SB_REASON_PAUSED;
        assert_int_equal(sb_job_derive(&bed.job), planned ? SB_JOB_PLANNED : SB_JOB_ACTIVE);
    }
    bed.task.reason = SB_REASON_NONE;
    bed.task.attempt = 1;
    assert_int_equal(sb_job_derive(&bed.job), SB_JOB_ACTIVE);
}

TEST(counts)
{
    struct sb_task tasks[] = {
        { .state = SB_TASK_SUCCEEDED },
        { .state = SB_TASK_FAILED, .cause = SB_CAUSE_TIMEOUT },
        { .state = SB_TASK_FAILED, .cause = SB_CAUSE_TIMEOUT },
        { .state = SB_TASK_CANCELLED, .cause = SB_CAUSE_OPERATOR },
        { .state = SB_TASK_QUEUED, .cause = SB_CAUSE_LINK_LOST }, /* not final: no outcome yet */
    };
    struct sb_task *list[SB_COUNT(tasks)];
    for (size_t i = 0; i < SB_COUNT(tasks); i++)
        list[i] = &tasks[i];
    struct sb_job job = { .tasks = list, .task_count = SB_COUNT(tasks) };
    struct sb_job_counts counts;
    memset(&counts, 0xff, sizeof(counts));
    assert_int_equal(sb_job_count(&job, &counts), 0);
    assert_int_equal(counts.total, 5);
    assert_int_equal(counts.state[SB_TASK_FAILED], 2);
    assert_int_equal(counts.state[SB_TASK_SUCCEEDED], 1);
    assert_int_equal(counts.state[SB_TASK_QUEUED], 1);
    assert_int_equal(counts.state[SB_TASK_HELD], 0);
    assert_int_equal(counts.cause[SB_CAUSE_TIMEOUT], 2);
    assert_int_equal(counts.cause[SB_CAUSE_OPERATOR], 1);
    assert_int_equal(counts.cause[SB_CAUSE_LINK_LOST], 0);
    assert_int_equal(counts.cause[SB_CAUSE_NONE], 1);
}

/* One per device: what an earlier round came to is history, and so is a device of that name that
 * was there before. */
TEST(counts_are_of_the_last_rounds)
{
    struct sb_task tasks[] = {
        { .device = "a", .round = 1, .state = SB_TASK_FAILED, .cause = SB_CAUSE_TIMEOUT },
        { .device = "b", .round = 1, .state = SB_TASK_SUCCEEDED },
        { .device = "a", .round = 2, .state = SB_TASK_FAILED, .cause = SB_CAUSE_LINK_LOST },
        { .device = "a", .round = 3, .state = SB_TASK_RUNNING, .percent = 50 },
        { .device = "a", .module = "radio", .round = 1, .state = SB_TASK_QUEUED },
    };
    struct sb_task *list[SB_COUNT(tasks)];
    for (size_t i = 0; i < SB_COUNT(tasks); i++)
        list[i] = &tasks[i];
    struct sb_job job = { .tasks = list, .task_count = SB_COUNT(tasks) };
    struct sb_job_counts counts;
    assert_int_equal(sb_job_count(&job, &counts), 0);
    assert_int_equal(counts.total, 3);
    assert_int_equal(counts.state[SB_TASK_FAILED], 0);
    assert_int_equal(counts.cause[SB_CAUSE_TIMEOUT], 0);
    assert_int_equal(counts.state[SB_TASK_SUCCEEDED], 1);
    assert_int_equal(counts.state[SB_TASK_RUNNING], 1);
    assert_int_equal(counts.percent, 50);
    tasks[3].round = 1; /* it was removed, came anew and joined the rule once more */
    tasks[2].round = 1;
    assert_int_equal(sb_job_count(&job, &counts), 0);
    assert_int_equal(counts.total, 5);
    job.standing = true;
    assert_int_equal(sb_job_count(&job, &counts), 0);
    assert_int_equal(counts.total, 3);
    assert_int_equal(counts.state[SB_TASK_RUNNING], 1);
}

static int give_memory_back(void **state)
{
    (void)state;
    starved_grant(STARVED_UNLIMITED); /* where a test has failed, too */
    return 0;
}
