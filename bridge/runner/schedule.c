/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/runner/schedule.h"

#include <fcntl.h>
#include <time.h>

#include "bridge/base/str.h"
#include "bridge/base/time.h"

#define DAY_MINUTES    1440
#define ARTIFACT_LIMIT SB_DAY /* no wait is without an end */

/*
 * The C library knows zones only through TZ. The loop thread alone calls this, and puts TZ back:
 * nothing else in the process formats local time.
 */
static bool local_time(const char *zone, int64_t wall, struct tm *ret)
{
    const char *set = getenv("TZ");
    sb_cleanup(sb_freep) char *before = set ? strdup(set) : NULL;
    time_t seconds = (time_t)(wall / SB_SECOND);
    if ((set && !before) || setenv("TZ", zone ? zone : "UTC", 1) < 0)
        return false;
    tzset();
    bool ok = localtime_r(&seconds, ret) != NULL;
    if (before)
        (void)setenv("TZ", before, 1);
    else
        (void)unsetenv("TZ");
    tzset();
    return ok;
}

/* Its directory holds other files as well, and the C library takes those for UTC. */
bool sb_zone_known(const char *zone)
{
    char magic[4];
    if (!zone || strcmp(zone, "UTC") == 0)
        return true;
    if (strstr(zone, "..") || zone[0] == '/' || strlen(zone) > 64)
        return false;
    sb_cleanup(sb_freep) char *path = sb_format("/usr/share/zoneinfo/%s", zone);
    sb_cleanup(sb_closep) int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    return fd >= 0 && read(fd, magic, sizeof(magic)) == (ssize_t)sizeof(magic) &&
           memcmp(magic, "TZif", sizeof(magic)) == 0;
}

static bool day_allowed(const struct sb_window *window, int weekday)
{
    return window->days == 0 || (window->days >> ((weekday + 7) % 7)) & 1;
}

/* Over midnight the hours after it belong to the day before. */
static bool inside(const struct sb_window *window, int weekday, int minute)
{
    if (window->from_minute < window->to_minute)
        return minute >= window->from_minute && minute < window->to_minute &&
               day_allowed(window, weekday);
    if (minute >= window->from_minute)
        return day_allowed(window, weekday);
    return minute < window->to_minute && day_allowed(window, weekday - 1);
}

bool sb_window_open(const struct sb_window *window, int64_t wall, int64_t *ret_next)
{
    struct tm tm;
    *ret_next = SB_DAY;
    if (window->from_minute == window->to_minute && window->days == 0)
        return true;
    *ret_next = SB_MINUTE;
    if (!local_time(window->zone, wall, &tm))
        return false;
    int minute = tm.tm_hour * 60 + tm.tm_min;
    bool now = inside(window, tm.tm_wday, minute);
    int ahead = 1;
    while (ahead < DAY_MINUTES && inside(window, tm.tm_wday + (minute + ahead) / DAY_MINUTES,
                                         (minute + ahead) % DAY_MINUTES) == now)
        ahead++;
    *ret_next = ahead * SB_MINUTE - tm.tm_sec * SB_SECOND;
    return now;
}

/* Until the wall clock says `when`; a jump of it is noticed within a minute. */
static int64_t until(int64_t when, int64_t wall)
{
    return wall && when > wall ? SB_MIN(when - wall, SB_MINUTE) : SB_MINUTE;
}

static enum sb_reason by_clock(const struct sb_task *task, int64_t wall, int64_t *again)
{
    const struct sb_policy *policy = &task->job->policy;
    bool has_window = policy->window.from_minute != policy->window.to_minute || policy->window.days;
    if (policy->start == SB_START_AT && (!wall || wall < policy->start_at)) {
        *again = until(policy->start_at, wall);
        return SB_REASON_SCHEDULED;
    }
    if (!has_window)
        return SB_REASON_NONE;
    if (!wall) {
        *again = SB_MINUTE;
        return SB_REASON_WINDOW;
    }
    int64_t next = 0;
    if (sb_window_open(&policy->window, wall, &next))
        return SB_REASON_NONE;
    *again = SB_MIN(next, SB_MINUTE);
    return SB_REASON_WINDOW;
}

enum sb_reason sb_schedule(const struct sb_task *task, const struct sb_schedule_facts *facts,
                           int64_t *ret_again)
{
    const struct sb_policy *policy = &task->job->policy;
    *ret_again = 0;
    if (facts->paused)
        return SB_REASON_PAUSED;
    if (task->retry_left > 0) {
        *ret_again = task->retry_left;
        return SB_REASON_RETRY;
    }
    enum sb_reason clock = by_clock(task, facts->wall, ret_again);
    if (clock != SB_REASON_NONE)
        return clock;
    if (policy->pull && !task->asked)
        return SB_REASON_PULL;
    if (facts->device_busy || facts->occupied)
        return SB_REASON_BUSY;
    if (facts->parent)
        return SB_REASON_PARENT;
    if (facts->offline)
        return SB_REASON_OFFLINE;
    if (policy->rate_per_minute && facts->job_handed_over >= policy->rate_per_minute) {
        *ret_again = SB_SECOND;
        return SB_REASON_RATE;
    }
    if (policy->concurrency && facts->job_under_way >= policy->concurrency)
        return SB_REASON_CAPACITY;
    if (facts->under_way >= facts->under_way_limit)
        return SB_REASON_CAPACITY;
    if (facts->no_image) {
        *ret_again = SB_MINUTE; /* room is made by others */
        return SB_REASON_ARTIFACT;
    }
    if (facts->needs_bus && facts->bus_busy)
        return SB_REASON_BUSY;
    return SB_REASON_NONE;
}

struct clock {
    int64_t *spent;
    int64_t limit;
    const char *text;
    enum sb_cause cause;
    bool runs;
};

/* Of a task that nothing else may bring up: the next look is planned here. */
static void look_at_end(const struct sb_policy *policy, int64_t wall, struct sb_deadline *deadline)
{
    if (wall && wall >= policy->end_at) {
        deadline->cause = SB_CAUSE_EXPIRED;
        deadline->text = "it was not started before its end time";
        return;
    }
    int64_t next = until(policy->end_at, wall);
    deadline->next = deadline->next ? SB_MIN(deadline->next, next) : next;
}

struct sb_deadline sb_task_clocks(struct sb_task *task, int64_t elapsed, int64_t wall)
{
    const struct sb_policy *policy = &task->job->policy;
    bool queued = task->state == SB_TASK_QUEUED;
    const struct clock clocks[] = {
        { &task->spent_whole, policy->whole_timeout, "the time for the whole job has passed",
          SB_CAUSE_TIMEOUT, !sb_task_state_is_final(task->state) },
        { &task->spent_offline, policy->online_timeout, "the device did not come online in time",
          SB_CAUSE_OFFLINE,
          queued && (task->reason == SB_REASON_OFFLINE || task->reason == SB_REASON_PARENT) },
        { &task->spent_artifact, ARTIFACT_LIMIT, "its image did not come within a day",
          SB_CAUSE_DOWNLOAD_FAILED, queued && task->reason == SB_REASON_ARTIFACT },
        { &task->spent_sent, policy->answer_timeout, "the device did not begin in time",
          SB_CAUSE_TIMEOUT, task->state == SB_TASK_SENT },
        { &task->spent_run, policy->run_timeout, "the device did not finish in time",
          SB_CAUSE_TIMEOUT, task->started && !sb_task_state_is_final(task->state) },
        { &task->spent_queued, 0, NULL, SB_CAUSE_NONE, queued },
    };
    struct sb_deadline deadline = { 0 };
    for (size_t i = 0; i < SB_COUNT(clocks); i++) {
        const struct clock *clock = &clocks[i];
        if (!clock->runs)
            continue;
        *clock->spent += elapsed;
        if (!clock->limit)
            continue;
        int64_t left = clock->limit - *clock->spent;
        if (left <= 0 && deadline.cause == SB_CAUSE_NONE) {
            deadline.cause = clock->cause;
            deadline.text = clock->text;
        } else if (left > 0 && (!deadline.next || left < deadline.next)) {
            deadline.next = left;
        }
    }
    if (queued)
        task->retry_left = SB_MAX(task->retry_left - elapsed, 0);
    if (deadline.cause == SB_CAUSE_NONE && policy->end_at &&
        (queued || task->state == SB_TASK_HELD))
        look_at_end(policy, wall, &deadline);
    return deadline;
}
