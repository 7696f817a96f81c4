/* SPDX-License-Identifier: Apache-2.0 */
/* When a queued task may go: reasons in their order, windows in their zones, and the clocks. */
#include <time.h>

#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "bridge/runner/schedule.h"
#include "tests/test.h"

struct bed {
    struct sb_job job;
    struct sb_task task;
    struct sb_schedule_facts facts;
};

static int64_t wall(const char *stamp)
{
    int64_t ms;
    assert_int_equal(sb_time_from_iso8601(stamp, &ms), 0);
    return ms;
}

/* A queued task that nothing keeps. */
static void lay(struct bed *bed)
{
    *bed = (struct bed){ .task = { .state = SB_TASK_QUEUED },
                         .facts = { .wall = wall("2026-01-05T12:00:00Z"), .under_way_limit = 8 } };
    bed->task.job = &bed->job;
}

static void assert_reason(struct bed *bed, enum sb_reason reason, int64_t again)
{
    int64_t found = -1;
    enum sb_reason r = sb_schedule(&bed->task, &bed->facts, &found);
    assert_string_equal(sb_reason_name((int)r), sb_reason_name((int)reason));
    assert_int_equal(found, again);
}

/* ---- reasons ---- */

/* Each fact alone keeps the task; all together, the first of this list is named. */
static void hold_paused(struct bed *bed)
{
    bed->facts.paused = true;
}

static void hold_retry(struct bed *bed)
{
    bed->task.retry_left = 1500;
}

static void hold_start(struct bed *bed)
{
    bed->job.policy.start = SB_START_AT;
    bed->job.policy.start_at = bed->facts.wall + 20 * SB_SECOND;
}

static void hold_window(struct bed *bed) /* it is noon */
{
    bed->job.policy.window = (struct sb_window){ .from_minute = 780, .to_minute = 840 };
}

static void hold_other(struct bed *bed)
{
    bed->facts.device_busy = true;
}

static void hold_occupied(struct bed *bed)
{
    bed->facts.occupied = true;
}

static void hold_pull(struct bed *bed)
{
    bed->job.policy.pull = true;
}

static void hold_parent(struct bed *bed)
{
    bed->facts.parent = true;
}

static void hold_image(struct bed *bed)
{
    bed->facts.no_image = true;
}

static void hold_offline(struct bed *bed)
{
    bed->facts.offline = true;
}

static void hold_rate(struct bed *bed)
{
    bed->job.policy.rate_per_minute = 5;
    bed->facts.job_handed_over = 5;
}

static void hold_concurrency(struct bed *bed)
{
    bed->job.policy.concurrency = 2;
    bed->facts.job_under_way = 2;
}

static void hold_limit(struct bed *bed)
{
    bed->facts.under_way = bed->facts.under_way_limit;
}

static void hold_bus(struct bed *bed)
{
    bed->facts.needs_bus = bed->facts.bus_busy = true;
}

static const struct {
    void (*hold)(struct bed *bed);
    enum sb_reason reason;
    int64_t again;
} holds[] = {
    { hold_paused, SB_REASON_PAUSED, 0 },
    { hold_retry, SB_REASON_RETRY, 1500 },
    { hold_start, SB_REASON_SCHEDULED, 20 * SB_SECOND },
    { hold_window, SB_REASON_WINDOW, SB_MINUTE },
    { hold_pull, SB_REASON_PULL, 0 },
    { hold_other, SB_REASON_BUSY, 0 },
    { hold_occupied, SB_REASON_BUSY, 0 },
    { hold_parent, SB_REASON_PARENT, 0 },
    { hold_offline, SB_REASON_OFFLINE, 0 },
    { hold_rate, SB_REASON_RATE, SB_SECOND },
    { hold_concurrency, SB_REASON_CAPACITY, 0 },
    { hold_limit, SB_REASON_CAPACITY, 0 },
    { hold_image, SB_REASON_ARTIFACT, SB_MINUTE },
    { hold_bus, SB_REASON_BUSY, 0 },
};

SB_TEST(test_each_reason_alone)
{
    struct bed bed;
    lay(&bed);
    assert_reason(&bed, SB_REASON_NONE, 0);
    for (size_t i = 0; i < SB_COUNT(holds); i++) {
        lay(&bed);
        holds[i].hold(&bed);
        assert_reason(&bed, holds[i].reason, holds[i].again);
    }
}

SB_TEST(test_the_first_reason_is_named)
{
    for (size_t first = 0; first < SB_COUNT(holds); first++) {
        struct bed bed;
        lay(&bed);
        for (size_t i = first; i < SB_COUNT(holds); i++)
            holds[i].hold(&bed);
        assert_reason(&bed, holds[first].reason, holds[first].again);
    }
}

SB_TEST(test_limits_just_not_reached)
{
    struct bed bed;
    lay(&bed);
    bed.job.policy.rate_per_minute = 5;
    bed.facts.job_handed_over = 4;
    bed.job.policy.concurrency = 2;
    bed.facts.job_under_way = 1;
    bed.facts.under_way = 7;
    bed.facts.bus_busy = true; /* and it needs none */
    assert_reason(&bed, SB_REASON_NONE, 0);
    bed.job.policy.rate_per_minute = bed.job.policy.concurrency = 0; /* unlimited */
    bed.facts.job_handed_over = bed.facts.job_under_way = 1000;
    assert_reason(&bed, SB_REASON_NONE, 0);
}

SB_TEST(test_start_time)
{
    struct bed bed;
    lay(&bed);
    hold_start(&bed);
    int64_t at = bed.job.policy.start_at;
    bed.facts.wall = at - 1;
    assert_reason(&bed, SB_REASON_SCHEDULED, 1);
    bed.facts.wall = at;
    assert_reason(&bed, SB_REASON_NONE, 0);
    bed.facts.wall = at - 365 * SB_DAY; /* looked at every minute: the clock may jump */
    assert_reason(&bed, SB_REASON_SCHEDULED, SB_MINUTE);
    bed.facts.wall = 0; /* not set yet: nothing scheduled starts */
    assert_reason(&bed, SB_REASON_SCHEDULED, SB_MINUTE);
    bed.job.policy.start_at = 0;
    assert_reason(&bed, SB_REASON_SCHEDULED, SB_MINUTE);
    bed.job.policy.start = SB_START_ONLINE;
    assert_reason(&bed, SB_REASON_NONE, 0);
}

/* ---- windows ---- */

static void assert_window(struct sb_window window, const char *stamp, bool open, int64_t next)
{
    int64_t found = -1;
    bool r = sb_window_open(&window, wall(stamp), &found);
    if (r != open || (next && found != next))
        fail_msg("%s: %s, %lld ms", stamp, r ? "open" : "closed", (long long)found);
    assert_in_range(found, 1, SB_DAY);
}

#define HOURS(from, to)                                                                            \
    {                                                                                              \
        .from_minute = (from)*60, .to_minute = (to)*60                                             \
    }

SB_TEST(test_window_in_a_day)
{
    struct sb_window window = HOURS(2, 4);
    assert_window(window, "2026-01-05T01:59:59.000Z", false, SB_SECOND);
    assert_window(window, "2026-01-05T02:00:00Z", true, 2 * SB_HOUR);
    assert_window(window, "2026-01-05T03:59:30Z", true, 30 * SB_SECOND);
    assert_window(window, "2026-01-05T04:00:00Z", false, 22 * SB_HOUR);
    assert_window((struct sb_window){ 0 }, "2026-01-05T04:00:00Z", true, SB_DAY); /* none */
    assert_window((struct sb_window)HOURS(5, 5), "2026-01-05T04:00:00Z", true, SB_DAY);
}

SB_TEST(test_window_over_midnight)
{
    struct sb_window window = HOURS(22, 2);
    assert_window(window, "2026-01-05T21:59:00Z", false, SB_MINUTE);
    assert_window(window, "2026-01-05T22:00:00Z", true, 4 * SB_HOUR);
    assert_window(window, "2026-01-06T00:00:00Z", true, 2 * SB_HOUR);
    assert_window(window, "2026-01-06T01:59:00Z", true, SB_MINUTE);
    assert_window(window, "2026-01-06T02:00:00Z", false, 20 * SB_HOUR);
}

/* 2026-01-05 is a Monday. */
SB_TEST(test_days)
{
    struct sb_window monday = HOURS(2, 4);
    monday.days = 1 << 1;
    assert_window(monday, "2026-01-05T03:00:00Z", true, SB_HOUR);
    assert_window(monday, "2026-01-06T03:00:00Z", false, SB_DAY);
    assert_window(monday, "2026-01-11T03:00:00Z", false, 23 * SB_HOUR);
    assert_window(monday, "2026-01-12T02:00:00Z", true, 0);
    /* What begins on Saturday night belongs to Saturday. */
    struct sb_window saturday = HOURS(22, 2);
    saturday.days = 1 << 6;
    assert_window(saturday, "2026-01-10T23:00:00Z", true, 3 * SB_HOUR);
    assert_window(saturday, "2026-01-11T01:00:00Z", true, SB_HOUR);
    assert_window(saturday, "2026-01-11T23:00:00Z", false, 0);
    assert_window(saturday, "2026-01-10T01:00:00Z", false, 21 * SB_HOUR);
    struct sb_window sunday = HOURS(22, 2);
    sunday.days = 1 << 0;
    assert_window(sunday, "2026-01-11T23:00:00Z", true, 3 * SB_HOUR);
    assert_window(sunday, "2026-01-12T01:00:00Z", true, SB_HOUR);
    assert_window(sunday, "2026-01-11T01:00:00Z", false, 21 * SB_HOUR);
    /* Days alone: all of them. */
    struct sb_window weekend = { .days = 1 << 0 | 1 << 6 };
    assert_window(weekend, "2026-01-09T23:59:00Z", false, SB_MINUTE);
    assert_window(weekend, "2026-01-10T00:00:00Z", true, SB_DAY);
    assert_window(weekend, "2026-01-11T23:59:59Z", true, SB_SECOND);
    assert_window(weekend, "2026-01-12T00:00:00Z", false, 0);
}

SB_TEST(test_zones)
{
    struct sb_window window = HOURS(2, 4);
    window.zone = (char *)"Europe/Berlin";
    assert_window(window, "2026-01-05T00:59:00Z", false, SB_MINUTE); /* UTC+1 */
    assert_window(window, "2026-01-05T01:00:00Z", true, 2 * SB_HOUR);
    assert_window(window, "2026-07-05T00:00:00Z", true, 2 * SB_HOUR); /* UTC+2 */
    assert_window(window, "2026-07-05T02:00:00Z", false, 22 * SB_HOUR);
    window.zone = (char *)"Asia/Kolkata"; /* UTC+5:30 */
    assert_window(window, "2026-01-04T20:30:00Z", true, 2 * SB_HOUR);
    window.zone = (char *)"America/New_York"; /* still Sunday there */
    window.days = 1 << 0;
    window.from_minute = 1380;
    window.to_minute = 1439;
    assert_window(window, "2026-01-05T04:30:00Z", true, 29 * SB_MINUTE);
}

/* How long the window is open within two days, counted minute by minute. */
static int64_t minutes_open(const struct sb_window *window, const char *from)
{
    int64_t n = 0, next;
    for (int64_t at = wall(from), end = at + 2 * SB_DAY; at < end; at += SB_MINUTE)
        n += sb_window_open(window, at, &next);
    return n;
}

/* Clocks go forward on 2026-03-29 from 02:00 to 03:00, back on 2026-10-25 from 03:00 to 02:00. */
SB_TEST(test_days_of_clock_change)
{
    struct sb_window window = HOURS(1, 4);
    window.zone = (char *)"Europe/Berlin";
    assert_int_equal(minutes_open(&window, "2026-03-26T23:00:00Z"), 6 * 60);
    assert_int_equal(minutes_open(&window, "2026-03-28T23:00:00Z"), 5 * 60);
    assert_int_equal(minutes_open(&window, "2026-10-24T22:00:00Z"), 7 * 60);
    assert_window(window, "2026-03-29T01:59:00Z", true, SB_MINUTE);
    assert_window(window, "2026-03-29T02:00:00Z", false, 0);
    assert_window(window, "2026-10-25T02:59:00Z", true, SB_MINUTE);
    assert_window(window, "2026-10-25T03:00:00Z", false, 0);
    window = (struct sb_window){ .from_minute = 120, .to_minute = 180, .zone = window.zone };
    assert_int_equal(minutes_open(&window, "2026-03-28T23:00:00Z"), 60);     /* none on the 29th */
    assert_int_equal(minutes_open(&window, "2026-10-24T22:00:00Z"), 3 * 60); /* twice, then once */
    /* However the clock changes, asking every minute finds the window. */
    struct bed bed;
    lay(&bed);
    bed.job.policy.window = window;
    bed.facts.wall = wall("2026-10-24T23:00:00Z");
    int64_t again = 1;
    for (; sb_schedule(&bed.task, &bed.facts, &again) == SB_REASON_WINDOW; bed.facts.wall += again)
        assert_in_range(again, 1, SB_MINUTE);
    assert_int_equal(bed.facts.wall, wall("2026-10-25T00:00:00Z"));
}

SB_TEST(test_window_without_a_clock)
{
    struct bed bed;
    lay(&bed);
    bed.job.policy.window = (struct sb_window)HOURS(0, 23);
    assert_reason(&bed, SB_REASON_NONE, 0);
    bed.facts.wall = 0;
    assert_reason(&bed, SB_REASON_WINDOW, SB_MINUTE);
    bed.job.policy.window = (struct sb_window){ .days = 127 };
    assert_reason(&bed, SB_REASON_WINDOW, SB_MINUTE);
}

SB_TEST(test_zone_names)
{
    static const char *const known[] = { "Europe/Berlin", "UTC", "Etc/GMT+5",
                                         "America/Argentina/Ushuaia" };
    static const char *const unknown[] = { "",
                                           "Mars/Base",
                                           "Europe",
                                           "europe/berlin",
                                           "zone.tab",
                                           "tzdata.zi",
                                           "/usr/share/zoneinfo/UTC",
                                           "../zoneinfo/UTC",
                                           "Europe/../UTC",
                                           "CET-1CEST",
                                           "Europe/Berlin\n" };
    assert_true(sb_zone_known(NULL));
    for (size_t i = 0; i < SB_COUNT(known); i++)
        if (!sb_zone_known(known[i]))
            fail_msg("%s is not known", known[i]);
    for (size_t i = 0; i < SB_COUNT(unknown); i++)
        if (sb_zone_known(unknown[i]))
            fail_msg("%s is known", unknown[i]);
    sb_cleanup(sb_freep) char *endless = sb_format("%0100d", 0);
    assert_false(sb_zone_known(endless));
}

/* The process's own zone is what it was. */
SB_TEST(test_the_zone_is_put_back)
{
    struct sb_window window = HOURS(2, 4);
    int64_t next;
    window.zone = (char *)"Asia/Tokyo";
    assert_int_equal(setenv("TZ", "Europe/Berlin", 1), 0);
    (void)sb_window_open(&window, wall("2026-01-05T12:00:00Z"), &next);
    assert_string_equal(getenv("TZ"), "Europe/Berlin");
    assert_string_equal(tzname[0], "CET");
    assert_int_equal(unsetenv("TZ"), 0);
    (void)sb_window_open(&window, wall("2026-01-05T12:00:00Z"), &next);
    assert_null(getenv("TZ"));
}

/* ---- clocks ---- */

static struct sb_deadline pass(struct bed *bed, int64_t elapsed)
{
    return sb_task_clocks(&bed->task, elapsed, bed->facts.wall);
}

static void assert_deadline(struct sb_deadline deadline, enum sb_cause cause, int64_t next)
{
    assert_string_equal(sb_cause_name((int)deadline.cause), sb_cause_name((int)cause));
    if (cause == SB_CAUSE_NONE)
        assert_null(deadline.text);
    else
        assert_non_null(deadline.text);
    if (cause == SB_CAUSE_NONE)
        assert_int_equal(deadline.next, next);
}

/* Which clocks run: in each state, begun or not, queued for being offline or for something else. */
SB_TEST(test_which_clock_runs_when)
{
    for (int s = 0; s < SB_TASK_STATE_MAX_; s++)
        for (int variant = 0; variant < 4; variant++) {
            struct bed bed;
            lay(&bed);
            bool started = variant & 1, offline = variant & 2;
            bool final = s >= SB_TASK_SUCCEEDED, queued = s == SB_TASK_QUEUED;
            bed.task.state = (enum sb_task_state)s;
            bed.task.started = started;
            bed.task.reason = offline ? SB_REASON_OFFLINE : SB_REASON_WINDOW;
            assert_deadline(pass(&bed, 100), SB_CAUSE_NONE, 0);
            assert_int_equal(bed.task.spent_whole, final ? 0 : 100);
            assert_int_equal(bed.task.spent_queued, queued ? 100 : 0);
            assert_int_equal(bed.task.spent_offline, queued && offline ? 100 : 0);
            assert_int_equal(bed.task.spent_sent, s == SB_TASK_SENT ? 100 : 0);
            assert_int_equal(bed.task.spent_run, started && !final ? 100 : 0);
        }
}

SB_TEST(test_each_timeout)
{
    static const struct {
        size_t limit;
        enum sb_task_state state;
        enum sb_cause cause;
    } timeouts[] = {
        { offsetof(struct sb_policy, whole_timeout), SB_TASK_HELD, SB_CAUSE_TIMEOUT },
        { offsetof(struct sb_policy, whole_timeout), SB_TASK_CANCELLING, SB_CAUSE_TIMEOUT },
        { offsetof(struct sb_policy, online_timeout), SB_TASK_QUEUED, SB_CAUSE_OFFLINE },
        { offsetof(struct sb_policy, answer_timeout), SB_TASK_SENT, SB_CAUSE_TIMEOUT },
        { offsetof(struct sb_policy, run_timeout), SB_TASK_DOWNLOADING, SB_CAUSE_TIMEOUT },
        { offsetof(struct sb_policy, run_timeout), SB_TASK_RESTARTING, SB_CAUSE_TIMEOUT },
        { offsetof(struct sb_policy, run_timeout), SB_TASK_QUEUED, SB_CAUSE_TIMEOUT },
    };
    for (size_t i = 0; i < SB_COUNT(timeouts); i++) {
        struct bed bed;
        lay(&bed);
        *(int64_t *)((char *)&bed.job.policy + timeouts[i].limit) = 1000;
        bed.task.state = timeouts[i].state;
        bed.task.reason = SB_REASON_OFFLINE;
        bed.task.started = timeouts[i].state > SB_TASK_SENT ||
                           timeouts[i].limit == offsetof(struct sb_policy, run_timeout);
        assert_deadline(pass(&bed, 0), SB_CAUSE_NONE, 1000);
        assert_deadline(pass(&bed, 400), SB_CAUSE_NONE, 600);
        assert_deadline(pass(&bed, 599), SB_CAUSE_NONE, 1);
        assert_deadline(pass(&bed, 1), timeouts[i].cause, 0);
        assert_deadline(pass(&bed, 5000), timeouts[i].cause, 0);
        bed.task.state = SB_TASK_FAILED;
        assert_deadline(pass(&bed, 5000), SB_CAUSE_NONE, 0);
    }
}

/* A clock that does not run now neither fires nor is waited for, and keeps what it has. */
SB_TEST(test_stopped_clocks_keep_what_they_have)
{
    struct bed bed;
    lay(&bed);
    bed.job.policy.online_timeout = 1000;
    bed.task.reason = SB_REASON_OFFLINE;
    (void)pass(&bed, 900);
    bed.task.reason = SB_REASON_BUSY;
    assert_deadline(pass(&bed, 5000), SB_CAUSE_NONE, 0);
    bed.task.reason = SB_REASON_OFFLINE;
    assert_deadline(pass(&bed, 0), SB_CAUSE_NONE, 100);
    assert_deadline(pass(&bed, 100), SB_CAUSE_OFFLINE, 0);
}

SB_TEST(test_the_nearest_deadline_is_next)
{
    struct bed bed;
    lay(&bed);
    bed.job.policy.whole_timeout = 9000;
    bed.job.policy.run_timeout = 3000;
    bed.job.policy.answer_timeout = 5000;
    bed.task.state = SB_TASK_SENT;
    bed.task.started = true;
    assert_deadline(pass(&bed, 1000), SB_CAUSE_NONE, 2000);
    bed.task.started = false;
    assert_deadline(pass(&bed, 1000), SB_CAUSE_NONE, 3000);
    bed.job.policy.whole_timeout = 100; /* both have passed: the whole job counts more */
    bed.job.policy.answer_timeout = 100;
    struct sb_deadline deadline = pass(&bed, 0);
    assert_int_equal(deadline.cause, SB_CAUSE_TIMEOUT);
    assert_non_null(strstr(deadline.text, "whole"));
}

SB_TEST(test_the_retry_clock)
{
    struct bed bed;
    lay(&bed);
    bed.task.retry_left = 1000;
    (void)pass(&bed, 300);
    assert_int_equal(bed.task.retry_left, 700);
    assert_reason(&bed, SB_REASON_RETRY, 700);
    bed.task.state = SB_TASK_DOWNLOADING; /* only the queue waits for it */
    (void)pass(&bed, 300);
    assert_int_equal(bed.task.retry_left, 700);
    bed.task.state = SB_TASK_QUEUED;
    (void)pass(&bed, 5000);
    assert_int_equal(bed.task.retry_left, 0);
    assert_reason(&bed, SB_REASON_NONE, 0);
}

/* What has not begun at its end time expires, held or queued; what has begun goes on. */
SB_TEST(test_end_time)
{
    for (int s = 0; s < SB_TASK_STATE_MAX_; s++) {
        struct bed bed;
        lay(&bed);
        bool waits = s == SB_TASK_HELD || s == SB_TASK_QUEUED;
        bed.task.state = (enum sb_task_state)s;
        bed.job.policy.end_at = bed.facts.wall + 90 * SB_SECOND;
        assert_deadline(pass(&bed, 0), SB_CAUSE_NONE, waits ? SB_MINUTE : 0);
        bed.facts.wall += 60 * SB_SECOND;
        assert_deadline(pass(&bed, 0), SB_CAUSE_NONE, waits ? 30 * SB_SECOND : 0);
        bed.facts.wall += 30 * SB_SECOND;
        assert_deadline(pass(&bed, 0), waits ? SB_CAUSE_EXPIRED : SB_CAUSE_NONE, 0);
        bed.facts.wall = 0; /* no clock: nothing expires, but it is looked at again */
        assert_deadline(pass(&bed, 0), SB_CAUSE_NONE, waits ? SB_MINUTE : 0);
    }
    struct bed bed;
    lay(&bed);
    bed.job.policy.end_at = bed.facts.wall + SB_DAY;
    bed.job.policy.whole_timeout = 5 * SB_SECOND;
    assert_deadline(pass(&bed, 0), SB_CAUSE_NONE, 5 * SB_SECOND);
    bed.job.policy.whole_timeout = 5 * SB_HOUR;
    assert_deadline(pass(&bed, 0), SB_CAUSE_NONE, SB_MINUTE);
}
