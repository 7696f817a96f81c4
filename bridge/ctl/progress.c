/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/ctl/progress.h"

#include <errno.h>

#include "bridge/base/map.h"
#include "bridge/ctl/progress_parts.h"

#define STEP 5 /* percents per line */

struct sb_progress *sb_progress_new(void)
{
    return calloc(1, sizeof(struct sb_progress));
}

static void clear(struct sb_progress *progress)
{
    for (size_t i = 0; i < progress->count; i++)
        sb_task_free(progress->list[i].task);
    progress->count = progress->changed_count = 0;
    sb_map_done(&progress->by_id);
    sb_map_done(&progress->latest);
    sb_job_free(SB_STEAL(progress->job));
}

struct sb_progress *sb_progress_free(struct sb_progress *progress)
{
    if (!progress)
        return NULL;
    clear(progress);
    free(progress->list);
    free(progress->changed);
    free(progress);
    return NULL;
}

/* ---- events ---- */

/* Indices are kept as pointers, counted from one. */
static struct sb_watched *at(const struct sb_progress *progress, const struct sb_map *map,
                             const char *key)
{
    size_t index = (size_t)sb_map_get(map, key);
    return index ? &progress->list[index - 1] : NULL;
}

static struct sb_watched *add(struct sb_progress *progress, const char *key)
{
    if (progress->count == progress->room) {
        size_t room = progress->room ? 2 * progress->room : 16;
        struct sb_watched *grown = reallocarray(progress->list, room, sizeof(*grown));
        if (!grown)
            return NULL;
        progress->list = grown;
        progress->room = room;
    }
    /* NOLINTNEXTLINE(performance-no-int-to-ptr): a number in a map of pointers */
    if (sb_map_set(&progress->by_id, key, (void *)(progress->count + 1)) < 0)
        return NULL;
    progress->list[progress->count] = (struct sb_watched){ .told_step = -1 };
    return &progress->list[progress->count++];
}

/* The task with the highest round stands for its device and module. */
static int note_latest(struct sb_progress *progress, struct sb_watched *watched)
{
    const struct sb_task *task = watched->task;
    sb_cleanup(sb_freep) char *key = sb_format("%s\n%s", task->device, task->module);
    struct sb_watched *there = key ? at(progress, &progress->latest, key) : NULL;
    if (!key)
        return -ENOMEM;
    if (there == watched)
        return 0;
    watched->superseded = there && there->task->round >= task->round;
    if (watched->superseded)
        return 0;
    if (there)
        there->superseded = true;
    size_t index = (size_t)(watched - progress->list) + 1;
    /* NOLINTNEXTLINE(performance-no-int-to-ptr) */
    return sb_map_set(&progress->latest, key, (void *)index);
}

/* Remembers which one to look at when somebody asks what is new. */
static int note_changed(struct sb_progress *progress, size_t index)
{
    if (progress->changed_count == progress->changed_room) {
        size_t room = progress->changed_room ? 2 * progress->changed_room : 16;
        size_t *grown = reallocarray(progress->changed, room, sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        progress->changed = grown;
        progress->changed_room = room;
    }
    progress->changed[progress->changed_count++] = index;
    return 0;
}

int sb_progress_task(struct sb_progress *progress, const json_t *json)
{
    sb_cleanup(sb_task_freep) struct sb_task *task = NULL;
    if (!progress->job || sb_json_int(json, "job", 0) != progress->job->id)
        return -EBADMSG;
    int r = sb_task_from_json(json, progress->job, &task, NULL);
    if (r < 0)
        return r;
    sb_cleanup(sb_freep) char *key = sb_format("%lld", (long long)task->id);
    struct sb_watched *watched = key ? at(progress, &progress->by_id, key) : NULL;
    if (!watched && progress->count >= SB_PROGRESS_TASKS)
        return -E2BIG;
    if (!watched)
        watched = key ? add(progress, key) : NULL;
    if (!watched)
        return -ENOMEM;
    sb_task_free(watched->task);
    watched->task = SB_STEAL(task);
    r = note_latest(progress, watched);
    return r < 0 ? r : note_changed(progress, (size_t)(watched - progress->list));
}

int sb_progress_job(struct sb_progress *progress, const json_t *json)
{
    struct sb_job *job = NULL;
    size_t i;
    json_t *task;
    int r = sb_job_from_json(json, &job, NULL);
    if (r < 0)
        return r;
    if (!progress->job || progress->job->id != job->id) {
        clear(progress);
        progress->job = job;
    } else { /* its tasks refer to the record */
        progress->job->state = job->state;
        progress->job->ended = job->ended;
        sb_job_free(job);
    }
    json_array_foreach (json_object_get(json, "tasks"), i, task) {
        r = sb_progress_task(progress, task);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- sums ---- */

void sb_progress_sum(const struct sb_progress *progress, struct sb_progress_sum *ret)
{
    struct sb_progress_sum sum = { 0 };
    uint64_t percents = 0;
    for (size_t i = 0; i < progress->count; i++) {
        const struct sb_task *task = progress->list[i].task;
        if (progress->list[i].superseded)
            continue;
        sum.tasks++;
        sum.succeeded += task->state == SB_TASK_SUCCEEDED;
        sum.failed += task->state == SB_TASK_FAILED;
        sum.cancelled += task->state == SB_TASK_CANCELLED;
        sum.under_way += sb_task_state_is_under_way(task->state);
        sum.waiting += task->state == SB_TASK_QUEUED || task->state == SB_TASK_HELD;
        percents += task->state == SB_TASK_SUCCEEDED ? 100 : task->percent;
    }
    sum.percent = sum.tasks ? (unsigned)(percents / sum.tasks) : 0;
    *ret = sum;
}

enum sb_exit sb_progress_exit(const struct sb_progress *progress)
{
    struct sb_progress_sum sum;
    sb_progress_sum(progress, &sum);
    if (sum.failed)
        return SB_EXIT_FAILED;
    if (sum.cancelled)
        return SB_EXIT_CANCELLED;
    return sum.tasks == sum.succeeded ? SB_EXIT_DONE : SB_EXIT_FAILED;
}

/* ---- lines ---- */

/* What a line would say, as numbers; equal: nothing new. */
static bool is_new(struct sb_watched *watched)
{
    const struct sb_task *task = watched->task;
    bool steps = sb_task_state_is_under_way(task->state);
    int step = steps ? task->percent / STEP : 0;
    bool changed = watched->told_step < 0 || watched->told_state != task->state ||
                   watched->told_reason != task->reason || watched->told_phase != task->phase ||
                   watched->told_attempt != task->attempt || watched->told_step != step;
    watched->told_step = step;
    watched->told_state = task->state;
    watched->told_reason = task->reason;
    watched->told_phase = task->phase;
    watched->told_attempt = task->attempt;
    return changed && !watched->superseded;
}

void sb_progress_lines(struct sb_progress *progress, const struct sb_style *style,
                       struct sb_str *out)
{
    for (size_t i = 0; i < progress->changed_count; i++)
        if (is_new(&progress->list[progress->changed[i]]))
            sb_watched_line(&progress->list[progress->changed[i]], style, out);
    progress->changed_count = 0;
}

void sb_progress_losses(struct sb_progress *progress, const struct sb_style *style,
                        struct sb_str *out)
{
    for (size_t i = 0; i < progress->changed_count; i++) {
        struct sb_watched *watched = &progress->list[progress->changed[i]];
        bool lost =
            watched->task->state == SB_TASK_FAILED || watched->task->state == SB_TASK_CANCELLED;
        if (lost && !watched->told_loss && !watched->superseded &&
            !sb_progress_fits(progress, style))
            sb_watched_line(watched, style, out);
        watched->told_loss = lost;
    }
    progress->changed_count = 0;
}
