/* SPDX-License-Identifier: Apache-2.0 */
/* How progress looks. */
#include "bridge/base/time.h"
#include "bridge/ctl/progress_parts.h"
#include "bridge/ctl/show.h"

#define DEVICE_MIN 3
#define DEVICE_MAX 24
#define STATE_MAX  12
#define BAR_MIN    6
#define BAR_MAX    40
#define REST_MIN   12 /* columns for the words after the bar, before the bar grows */

/* ---- words ---- */

/* What there is to say beside state and percent. */
static void add_rest(struct sb_str *out, const struct sb_task *task)
{
    const char *phase = sb_phase_name((int)task->phase);
    const char *separator = "";
    if (task->state == SB_TASK_QUEUED && task->reason != SB_REASON_NONE) {
        sb_str_format(out, "waits: %s", sb_reason_name((int)task->reason));
        separator = ", ";
    } else if (sb_task_state_is_under_way(task->state) && task->phase != SB_PHASE_WAITING) {
        sb_str_add(out, phase);
        separator = ", ";
    }
    if (task->attempt > 1) {
        sb_str_format(out, "%sattempt %u", separator, task->attempt);
        separator = ", ";
    }
    if (task->cause != SB_CAUSE_NONE) {
        sb_str_format(out, "%s%s", separator, sb_cause_name((int)task->cause));
        separator = ": ";
    }
    if (task->job && sb_task_is_unproven(task))
        sb_str_format(out, "%s%s", separator, sb_verify_text(task->verified));
    else if (task->text && (task->cause != SB_CAUSE_NONE || !sb_task_state_is_final(task->state)))
        sb_str_format(out, "%s%s", separator, task->text);
}

void sb_watched_line(const struct sb_watched *watched, const struct sb_style *style,
                     struct sb_str *out)
{
    const struct sb_task *task = watched->task;
    const char *state = sb_task_state_name((int)task->state);
    struct sb_str rest = { 0 };
    sb_cleanup(sb_freep) char *time = sb_text_time(style->now);
    add_rest(&rest, task);
    sb_str_format(out, "%s  ", time ? time : "-");
    sb_text_clean(out, task->device, style->utf8);
    if (*task->module) {
        sb_str_add_char(out, '/');
        sb_text_clean(out, task->module, style->utf8);
    }
    sb_str_add(out, "  ");
    sb_text_ink(out, style, sb_ink_of_state(state));
    sb_str_add(out, state);
    sb_text_ink_end(out, style, sb_ink_of_state(state));
    if (sb_task_state_is_under_way(task->state))
        sb_str_format(out, "  %u %%", task->percent);
    if (rest.length) {
        sb_str_add(out, "  ");
        sb_text_clean(out, sb_str_get(&rest), style->utf8);
    }
    sb_str_add_char(out, '\n');
    sb_str_done(&rest);
}

/* ---- bars ---- */

/* width columns, brackets included; with UTF-8 in eighths of a character. */
static void add_bar(struct sb_str *out, const struct sb_style *style, enum sb_ink ink,
                    unsigned width, unsigned percent)
{
    static const char *const parts[] = { "",
                                         "\xe2\x96\x8f",
                                         "\xe2\x96\x8e",
                                         "\xe2\x96\x8d",
                                         "\xe2\x96\x8c",
                                         "\xe2\x96\x8b",
                                         "\xe2\x96\x8a",
                                         "\xe2\x96\x89" };
    unsigned cells = width - 2;
    unsigned eighths = cells * 8 * SB_MIN(percent, 100u) / 100;
    unsigned full = eighths / 8;
    bool part = style->utf8 && eighths % 8 && full < cells;
    sb_str_add_char(out, '[');
    sb_text_ink(out, style, ink);
    for (unsigned i = 0; i < full; i++)
        sb_str_add(out, style->utf8 ? "\xe2\x96\x88" : "#");
    if (part)
        sb_str_add(out, parts[eighths % 8]);
    sb_text_ink_end(out, style, ink);
    sb_text_pad(out, cells - full - part);
    sb_str_add_char(out, ']');
}

struct layout {
    unsigned device, state, bar, rest; /* columns; device and rest 0: none */
};

/* Shares a line out: two gaps of two, the percent's five, then bar and words. */
static struct layout lay_out(const struct sb_style *style, unsigned device, unsigned state)
{
    unsigned width = style->width ? style->width - 1 : 79; /* the last column may wrap */
    unsigned others = state + 2 + 2 + 5;
    unsigned most = width > others + BAR_MIN ? width - others - BAR_MIN : 0;
    struct layout l = { .device = SB_MAX(SB_MIN(device, most), (unsigned)DEVICE_MIN),
                        .state = state };
    unsigned left = width > others + l.device ? width - others - l.device : 0;
    l.bar = SB_MIN((unsigned)BAR_MAX, left / 3);
    if (left < l.bar + 2 + REST_MIN) /* too little for words */
        l.bar = SB_MIN((unsigned)BAR_MAX, left);
    l.bar = SB_MAX(l.bar, (unsigned)BAR_MIN);
    l.rest = left > l.bar + 2 ? left - l.bar - 2 : 0;
    return l;
}

static void add_columns(struct sb_str *out, const struct sb_style *style, const char *text,
                        unsigned width, enum sb_ink ink)
{
    sb_text_ink(out, style, ink);
    size_t used = sb_text_fit(out, text, width, style->utf8);
    sb_text_ink_end(out, style, ink);
    sb_text_pad(out, width > used ? width - used : 0);
}

/* Everything of one line, cut to the terminal. */
static void add_row(struct sb_str *out, const struct sb_style *style, const struct layout *l,
                    const char *name, const char *state, unsigned percent, const char *rest)
{
    struct sb_str line = { 0 };
    enum sb_ink ink = sb_ink_of_state(state);
    add_columns(&line, style, name, l->device, SB_INK_BOLD);
    sb_text_pad(&line, 2);
    add_columns(&line, style, state, l->state, ink);
    sb_text_pad(&line, 2);
    add_bar(&line, style, ink == SB_INK_DIM ? SB_INK_PLAIN : ink, l->bar, percent);
    sb_str_format(&line, " %3u%%", percent);
    if (l->rest && *rest) {
        sb_text_pad(&line, 2);
        (void)sb_text_fit(&line, rest, l->rest, style->utf8);
    }
    sb_str_add_char(&line, '\n');
    sb_str_add(out, sb_str_get(&line));
    sb_str_done(&line);
}

static unsigned shown_percent(const struct sb_task *task)
{
    return task->state == SB_TASK_SUCCEEDED ? 100 : task->percent;
}

/* With the time it takes when it is alone, and has no line above that says it. */
static void add_task(struct sb_str *out, const struct sb_style *style, const struct layout *l,
                     const struct sb_task *task, bool alone)
{
    struct sb_str rest = { 0 };
    sb_cleanup(sb_freep) char *name =
        *task->module ? sb_format("%s/%s", task->device, task->module) : strdup(task->device);
    if (alone && task->created && !sb_task_state_is_final(task->state)) {
        sb_cleanup(sb_freep) char *clock = sb_text_clock(style->now - task->created);
        sb_str_format(&rest, "%s  ", clock ? clock : "");
    }
    add_rest(&rest, task);
    add_row(out, style, l, name ? name : task->device, sb_task_state_name((int)task->state),
            shown_percent(task), sb_str_get(&rest));
    sb_str_done(&rest);
}

static void add_sum(struct sb_str *out, const struct sb_progress *progress,
                    const struct sb_style *style, const struct layout *l)
{
    struct sb_progress_sum sum;
    struct sb_str rest = { 0 };
    const struct sb_job *job = progress->job;
    sb_cleanup(sb_freep) char *name = sb_format("job %lld", (long long)job->id);
    sb_cleanup(sb_freep) char *clock = sb_text_clock(job->created ? style->now - job->created : 0);
    sb_progress_sum(progress, &sum);
    sb_str_format(&rest, "%u of %u done", sum.succeeded + sum.failed + sum.cancelled, sum.tasks);
    if (sum.failed)
        sb_str_format(&rest, ", %u failed", sum.failed);
    if (sum.cancelled)
        sb_str_format(&rest, ", %u cancelled", sum.cancelled);
    sb_str_format(&rest, ", %u active, %u waiting  %s", sum.under_way, sum.waiting,
                  clock ? clock : "");
    add_row(out, style, l, name ? name : "job", sb_job_state_name((int)job->state), sum.percent,
            sb_str_get(&rest));
    sb_str_done(&rest);
}

/* ---- frames ---- */

static unsigned room(const struct sb_style *style)
{
    unsigned rows = style->rows ? style->rows : 24;
    return rows > 3 ? rows - 2 : 1; /* the cursor has a line of its own */
}

static size_t counting(const struct sb_progress *progress)
{
    size_t n = 0;
    for (size_t i = 0; i < progress->count; i++)
        n += !progress->list[i].superseded;
    return n;
}

bool sb_progress_fits(const struct sb_progress *progress, const struct sb_style *style)
{
    size_t n = counting(progress);
    return n + (n > 1) <= room(style);
}

static struct layout lay_out_all(const struct sb_progress *progress, const struct sb_style *style)
{
    size_t widest = 8; /* "job 1234" */
    for (size_t i = 0; i < progress->count && widest < DEVICE_MAX; i++) {
        const struct sb_task *task = progress->list[i].task;
        size_t n =
            sb_text_width(task->device) + (*task->module ? 1 + sb_text_width(task->module) : 0);
        widest = SB_MAX(widest, n);
    }
    return lay_out(style, (unsigned)SB_MIN(widest, (size_t)DEVICE_MAX), STATE_MAX - 1);
}

/* Those under way first: with little room they are what is of interest. */
static unsigned add_tasks(struct sb_str *out, const struct sb_progress *progress,
                          const struct sb_style *style, const struct layout *l, unsigned left)
{
    bool all = sb_progress_fits(progress, style);
    unsigned drawn = 0;
    for (size_t i = 0; i < progress->count && drawn < left; i++) {
        const struct sb_watched *watched = &progress->list[i];
        if (watched->superseded || (!all && !sb_task_state_is_under_way(watched->task->state)))
            continue;
        add_task(out, style, l, watched->task, counting(progress) == 1);
        drawn++;
    }
    return drawn;
}

unsigned sb_progress_frame(const struct sb_progress *progress, const struct sb_style *style,
                           struct sb_str *out)
{
    if (!progress->job)
        return 0;
    struct layout l = lay_out_all(progress, style);
    unsigned lines = 0, left = room(style);
    size_t n = counting(progress);
    if (n != 1) {
        add_sum(out, progress, style, &l);
        lines++;
        left--;
    }
    struct sb_progress_sum sum;
    sb_progress_sum(progress, &sum);
    bool more = !sb_progress_fits(progress, style) && sum.under_way > left;
    if (more && left > 0)
        left--;
    unsigned drawn = add_tasks(out, progress, style, &l, left);
    if (more && lines + drawn < room(style)) {
        sb_str_format(out, "and %u more\n", sum.under_way - drawn);
        lines++;
    }
    return lines + drawn;
}

/* ---- the end ---- */

static void add_end_of_one(const struct sb_progress *progress, const struct sb_task *task,
                           const struct sb_style *style, struct sb_str *out)
{
    const char *state = sb_task_state_name((int)task->state);
    struct sb_str rest = { 0 };
    add_rest(&rest, task);
    sb_str_format(out, "job %lld: ", (long long)progress->job->id);
    sb_text_clean(out, task->device, style->utf8);
    sb_str_add_char(out, ' ');
    sb_text_ink(out, style, sb_ink_of_state(state));
    sb_str_add(out, state);
    sb_text_ink_end(out, style, sb_ink_of_state(state));
    if (task->state == SB_TASK_SUCCEEDED && task->target_version &&
        progress->job->op != SB_OP_FIRMWARE_DOWNLOAD) {
        sb_str_add(out, ", version ");
        sb_text_clean(out, task->target_version, style->utf8);
    }
    if (rest.length) {
        sb_str_add(out, ": ");
        sb_text_clean(out, sb_str_get(&rest), style->utf8);
    }
    sb_str_done(&rest);
}

void sb_progress_end(const struct sb_progress *progress, const struct sb_style *style,
                     struct sb_str *out)
{
    const struct sb_job *job = progress->job;
    struct sb_progress_sum sum;
    sb_progress_sum(progress, &sum);
    int64_t spent = job->created && job->ended > job->created ? job->ended - job->created : 0;
    if (spent > SB_SECOND)
        spent -= spent % SB_SECOND;
    sb_cleanup(sb_freep) char *took = spent ? sb_duration_text(spent) : NULL;
    const struct sb_watched *one = NULL;
    for (size_t i = 0; i < progress->count && sum.tasks == 1; i++)
        if (!progress->list[i].superseded)
            one = &progress->list[i];
    if (one)
        add_end_of_one(progress, one->task, style, out);
    else
        sb_str_format(out, "job %lld: %u of %u succeeded, %u failed, %u cancelled",
                      (long long)job->id, sum.succeeded, sum.tasks, sum.failed, sum.cancelled);
    if (took)
        sb_str_format(out, " (%s)", took);
    sb_str_add_char(out, '\n');
}
