/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/book/parts.h"

/* How often the percent of a running task is written, at the least: flash wears. */
#define PROGRESS_STEP 10u

/* ---- writing ---- */

int64_t sb_book_next_job(struct sb_book *book)
{
    return sb_store_next_id(book->store, SB_TABLE_JOB);
}

int64_t sb_book_next_task(struct sb_book *book)
{
    return sb_store_next_id(book->store, SB_TABLE_TASK);
}

int sb_book_save_job(struct sb_book *book, const struct sb_job *job)
{
    sb_cleanup(json_decrefp) json_t *body = sb_job_json(job);
    if (!body)
        return sb_store_whole(book->store, -ENOMEM);
    return sb_store_put(book->store, SB_TABLE_JOB,
                        &(struct sb_row){ .id = job->id,
                                          .a = job->origin,
                                          .b = job->key,
                                          .state = job->state,
                                          .time = job->created,
                                          .body = body });
}

int sb_book_save(struct sb_book *book, const struct sb_task *task)
{
    sb_cleanup(json_decrefp) json_t *body = sb_task_json(task);
    sb_cleanup(sb_freep) char *job = sb_format("%lld", (long long)task->job->id);
    if (!body || !job)
        return sb_store_whole(book->store, -ENOMEM);
    return sb_store_put(book->store, SB_TABLE_TASK,
                        &(struct sb_row){ .id = task->id,
                                          .a = task->device,
                                          .b = job,
                                          .state = task->state,
                                          .time = task->ended,
                                          .body = body });
}

static int audit_job(struct sb_book *book, const struct sb_job *job, const char *verb,
                     const json_t *detail, const char *actor)
{
    sb_cleanup(sb_freep) char *subject = sb_format("job %lld", (long long)job->id);
    return subject
               ? sb_audit_add(book->audit, actor, verb, subject, sb_loop_wall(book->loop), detail)
               : -ENOMEM;
}

static int audit_submit(struct sb_book *book, const struct sb_job *job, const char *actor)
{
    sb_cleanup(json_decrefp) json_t *detail = sb_job_json(job);
    if (!detail)
        return -ENOMEM;
    json_t *devices = json_array();
    for (size_t i = 0; i < job->task_count; i++)
        (void)json_array_append_new(devices, json_string(job->tasks[i]->device));
    (void)json_object_set_new(detail, "devices", devices);
    return audit_job(book, job, "submit", detail, actor);
}

static int audit_state(struct sb_book *book, const struct sb_task *task, const char *actor)
{
    sb_cleanup(sb_freep) char *subject = sb_format("task %lld", (long long)task->id);
    sb_cleanup(json_decrefp) json_t *detail =
        json_pack("{s:I,s:s,s:s,s:i}", "job", (json_int_t)task->job->id, "device", task->device,
                  "state", sb_task_state_name(task->state), "attempt", (int)task->attempt);
    if (!subject || !detail)
        return -ENOMEM;
    int r = 0;
    if (task->reason != SB_REASON_NONE)
        r |= sb_json_put_str(detail, "reason", sb_reason_name(task->reason));
    if (task->cause != SB_CAUSE_NONE)
        r |= sb_json_put_str(detail, "cause", sb_cause_name(task->cause));
    if (sb_task_state_is_final(task->state))
        r |= sb_json_put_str(detail, "text", task->text);
    if (task->state == SB_TASK_SUCCEEDED)
        r |= sb_json_put_str(detail, "verified", sb_verify_name((int)task->verified));
    return r < 0 ? -ENOMEM
                 : sb_audit_add(book->audit, actor, "state", subject, sb_loop_wall(book->loop),
                                detail);
}

int sb_book_add(struct sb_book *book, struct sb_job *job, const char *actor)
{
    int r = sb_book_index_job(book, job);
    if (r < 0) {
        sb_job_free(job);
        return sb_store_whole(book->store, r);
    }
    for (size_t i = 0; i < job->task_count && r >= 0; i++)
        r = sb_book_index_task(book, job->tasks[i]);
    job->state = sb_job_derive(job);
    if (r >= 0)
        r = sb_book_save_job(book, job);
    for (size_t i = 0; i < job->task_count && r >= 0; i++)
        r = sb_book_save(book, job->tasks[i]);
    book->stale |= job->state == SB_JOB_DONE;
    if (r >= 0)
        r = audit_submit(book, job, actor);
    return sb_store_whole(book->store, r);
}

/* Progress within a state is told at once but written only now and then. */
static bool worth_writing(const struct sb_task *task, const struct sb_task *before,
                          const struct sb_step *step)
{
    if (task->state != before->state || task->reason != before->reason ||
        task->phase != before->phase || task->committed != before->committed)
        return true;
    return (step->actions & SB_DO_TELL) &&
           task->percent / PROGRESS_STEP != before->percent / PROGRESS_STEP;
}

static void stamp(struct sb_book *book, struct sb_task *task, enum sb_task_state before)
{
    if (before == SB_TASK_QUEUED && sb_task_state_is_under_way(task->state) && !task->sent)
        task->sent = sb_loop_wall(book->loop);
    if (sb_task_state_is_final(task->state))
        task->ended = sb_loop_wall(book->loop);
}

static int follow_job(struct sb_book *book, struct sb_job *job)
{
    enum sb_job_state state = sb_job_derive(job);
    if (state == job->state)
        return 0;
    job->state = state;
    if (state == SB_JOB_DONE) {
        job->ended = sb_loop_wall(book->loop);
        book->stale = true;
    }
    return sb_book_save_job(book, job);
}

int sb_book_add_task(struct sb_book *book, struct sb_job *job, struct sb_task *task,
                     const char *actor)
{
    int r = sb_job_add_task(job, task);
    if (r < 0) {
        sb_task_free(task);
        return sb_store_whole(book->store, r);
    }
    sb_cleanup(json_decrefp) json_t *detail =
        json_pack("{s:I,s:s,s:i}", "task", (json_int_t)task->id, "device", task->device, "round",
                  (int)task->round);
    r = sb_book_index_task(book, task);
    if (r >= 0)
        r = sb_book_save(book, task);
    if (r >= 0)
        r = detail ? audit_job(book, job, "join", detail, actor) : -ENOMEM;
    if (r >= 0)
        r = follow_job(book, job);
    return sb_store_whole(book->store, r);
}

int sb_book_changed(struct sb_book *book, struct sb_job *job, const char *verb,
                    const json_t *detail, const char *actor)
{
    int r = sb_book_save_job(book, job);
    if (r >= 0)
        r = audit_job(book, job, verb, detail, actor);
    if (r >= 0)
        r = follow_job(book, job);
    return sb_store_whole(book->store, r);
}

int sb_book_apply(struct sb_book *book, struct sb_task *task, const struct sb_event *event,
                  const char *actor, struct sb_step *ret)
{
    struct sb_step step;
    struct sb_task before = *task; /* only its numbers are looked at afterwards */
    int r = sb_task_apply(task, event, &step);
    if (r < 0)
        return sb_store_whole(book->store, r);
    stamp(book, task, before.state);
    if (task->state != before.state || task->reason != before.reason)
        r = audit_state(book, task, actor);
    if (r >= 0 && worth_writing(task, &before, &step))
        r = sb_book_save(book, task);
    if (r >= 0 && (task->state != before.state || task->reason != before.reason))
        r = follow_job(book, task->job);
    book->stale |= sb_task_state_is_final(task->state);
    if (task->state != before.state)
        sb_debug(SB_AT(.job = task->job->id, .task = task->id, .device = task->device),
                 "%s -> %s on %s", sb_task_state_name(before.state),
                 sb_task_state_name(task->state), sb_event_name((int)event->kind));
    if (ret)
        *ret = step;
    return sb_store_whole(book->store, r);
}

void sb_book_retire(struct sb_book *book)
{
    if (!book->stale)
        return;
    size_t kept = 0;
    for (size_t i = 0; i < book->open_count; i++) {
        struct sb_task *task = book->open[i];
        if (sb_task_state_is_final(task->state))
            sb_book_unindex(book, task);
        else
            book->open[kept++] = task;
    }
    book->open_count = kept;
    kept = 0;
    for (size_t i = 0; i < book->job_count; i++) {
        if (book->jobs[i]->state == SB_JOB_DONE)
            sb_leaving_add(&book->leaving, book->jobs[i]);
        else
            book->jobs[kept++] = book->jobs[i];
    }
    book->ended += book->job_count - kept;
    book->job_count = kept;
    book->stale = false;
}

/* ---- what has ended ---- */

static int read_job(void *arg, const struct sb_row *row)
{
    return sb_job_from_json(row->body, arg, NULL);
}

static int read_task(void *arg, const struct sb_row *row)
{
    struct sb_job *job = arg;
    sb_cleanup(sb_task_freep) struct sb_task *task = NULL;
    int r = sb_task_from_json(row->body, job, &task, NULL);
    if (r >= 0)
        r = sb_job_add_task(job, task);
    if (r >= 0)
        SB_STEAL(task);
    return r;
}

int sb_book_stored(struct sb_book *book, const struct sb_query *which, struct sb_job **ret)
{
    sb_cleanup(sb_job_freep) struct sb_job *job = NULL;
    int r = sb_store_query(book->store, which, read_job, &job);
    if (r < 0 || !job)
        return r;
    sb_cleanup(sb_freep) char *id = sb_format("%lld", (long long)job->id);
    if (!id)
        return -ENOMEM;
    r = sb_store_query(book->store,
                       &(struct sb_query){ .table = SB_TABLE_TASK, .b = id, .state = -1 },
                       read_task, job);
    if (r >= 0)
        *ret = SB_STEAL(job);
    return r;
}

/* ---- loading ---- */

static int load_job(void *arg, const struct sb_row *row)
{
    struct sb_book *book = arg;
    sb_cleanup(sb_freep) char *error = NULL;
    sb_cleanup(sb_job_freep) struct sb_job *job = NULL;
    int r = sb_job_from_json(row->body, &job, &error);
    if (r == -EBADMSG) {
        sb_error(SB_AT(.job = row->id), "stored job is damaged and left out: %s",
                 error ? error : "?");
        return 0;
    }
    if (r >= 0)
        r = sb_book_index_job(book, job);
    if (r >= 0)
        SB_STEAL(job);
    return r;
}

struct loading {
    struct sb_book *book;
    struct sb_job *job;
};

/* Percents between two written ones were told, or may have been: none of them is told again. */
static void round_up(struct sb_task *task)
{
    unsigned most = task->state == SB_TASK_RESTARTING ? 100 : 99;
    unsigned percent = task->percent / PROGRESS_STEP * PROGRESS_STEP + PROGRESS_STEP - 1u;
    if (!sb_task_state_is_under_way(task->state))
        return;
    task->percent = (uint8_t)SB_MAX(SB_MIN(percent, most), task->percent);
    task->furthest_percent = SB_MAX(task->furthest_percent, task->percent);
}

static int load_task(void *arg, const struct sb_row *row)
{
    const struct loading *loading = arg;
    sb_cleanup(sb_freep) char *error = NULL;
    sb_cleanup(sb_task_freep) struct sb_task *task = NULL;
    int r = sb_task_from_json(row->body, loading->job, &task, &error);
    if (r == -EBADMSG) {
        sb_error(SB_AT(.job = loading->job->id, .task = row->id),
                 "stored task is damaged and left out: %s", error ? error : "?");
        return 0;
    }
    if (r >= 0)
        r = sb_job_add_task(loading->job, task);
    if (r < 0)
        return r;
    struct sb_task *added = SB_STEAL(task);
    round_up(added);
    return sb_book_index_task(loading->book, added);
}

static int by_id(const void *a, const void *b)
{
    const struct sb_task *x = *(struct sb_task *const *)a, *y = *(struct sb_task *const *)b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int load(struct sb_book *book)
{
    int r = sb_store_query(book->store,
                           &(struct sb_query){ .table = SB_TABLE_JOB,
                                               .state = -1,
                                               .state_mask = (1u << SB_JOB_DONE) - 1 },
                           load_job, book);
    for (size_t i = 0; i < book->job_count && r >= 0; i++) {
        struct loading loading = { book, book->jobs[i] };
        sb_cleanup(sb_freep) char *id = sb_format("%lld", (long long)book->jobs[i]->id);
        if (!id)
            return -ENOMEM;
        r = sb_store_query(book->store,
                           &(struct sb_query){ .table = SB_TABLE_TASK, .state = -1, .b = id },
                           load_task, &loading);
        if (r >= 0 && follow_job(book, book->jobs[i]) == -ENOMEM) /* all its tasks were damaged */
            r = -ENOMEM;
    }
    for (size_t i = 0; i < book->job_count; i++) /* without what was left out as damaged */
        book->jobs[i]->state = sb_job_derive(book->jobs[i]);
    if (r >= 0 && book->open_count)
        qsort(book->open, book->open_count, sizeof(struct sb_task *), by_id);
    return r;
}

int sb_book_new(struct sb_loop *loop, struct sb_store *store, struct sb_audit *audit,
                struct sb_book **ret)
{
    sb_cleanup(sb_book_freep) struct sb_book *book = calloc(1, sizeof(*book));
    if (!book)
        return -ENOMEM;
    book->loop = loop;
    book->store = book->leaving.store = store;
    book->audit = audit;
    int r = load(book);
    if (r < 0)
        return r;
    book->stale = true; /* a job whose tasks were all damaged is done */
    *ret = SB_STEAL(book);
    return 0;
}

struct sb_book *sb_book_free(struct sb_book *book)
{
    if (!book)
        return NULL;
    for (size_t i = 0; i < book->job_count; i++)
        sb_job_free(book->jobs[i]);
    sb_leaving_done(&book->leaving);
    sb_book_index_done(book);
    free(book);
    return NULL;
}
