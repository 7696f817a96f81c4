/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ended jobs and their tasks. A job goes in one batch with its tasks; of one with many tasks the
 * job itself and the first tasks go at once, with a note in the same batch that names it, and the
 * rest follows step by step, after a restart too.
 */
#include "bridge/base/str.h"
#include "bridge/retention/parts.h"

#define LARGE "retention/job" /* the note's name */
#define LOOKS 32              /* jobs that a step looks at, at most */

/* ---- tasks ---- */

static int remove_task(void *arg, const struct sb_row *row)
{
    struct sb_retention *retention = arg;
    retention->rows++;
    return sb_store_remove(retention->parts.store, SB_TABLE_TASK, row->id, NULL);
}

/* Some of the job's tasks; *ret_all: there are no more. */
static int remove_tasks(struct sb_retention *retention, int64_t job, bool *ret_all)
{
    sb_cleanup(sb_freep) char *id = sb_format("%lld", (long long)job);
    size_t before = retention->rows;
    if (!id)
        return -ENOMEM;
    int r = sb_store_query(
        retention->parts.store,
        &(struct sb_query){
            .table = SB_TABLE_TASK, .b = id, .state = -1, .limit = SB_RETENTION_ROWS },
        remove_task, retention);
    *ret_all = retention->rows - before < SB_RETENTION_ROWS;
    return r;
}

/* ---- a job with many ---- */

static int note_large(struct sb_retention *retention, int64_t job)
{
    sb_cleanup(json_decrefp) json_t *body = json_pack("{s:I}", "job", (json_int_t)job);
    int r = body ? sb_store_put(retention->parts.store, SB_TABLE_META,
                                &(struct sb_row){ .name = LARGE, .body = body })
                 : -ENOMEM;
    if (r == 0)
        retention->large = job;
    return r;
}

static int see_large(void *arg, const struct sb_row *row)
{
    struct sb_retention *retention = arg;
    retention->large = sb_json_int(row->body, "job", 0);
    return 0;
}

int sb_retention_load(struct sb_retention *retention)
{
    return sb_store_query(retention->parts.store,
                          &(struct sb_query){ .table = SB_TABLE_META, .name = LARGE, .state = -1 },
                          see_large, retention);
}

static int see_job(void *arg, const struct sb_row *row)
{
    (void)row;
    *(bool *)arg = true;
    return 0;
}

/* It was asked for again in the moment it went, and is there again with all its tasks. */
static int is_back(struct sb_retention *retention, bool *ret)
{
    *ret = sb_book_job(retention->parts.book, retention->large) != NULL;
    return sb_store_query(
        retention->parts.store,
        &(struct sb_query){ .table = SB_TABLE_JOB, .id = retention->large, .state = -1 }, see_job,
        ret);
}

static int go_on_with_large(struct sb_retention *retention)
{
    bool over = false;
    int r = is_back(retention, &over);
    if (r == 0 && !over)
        r = remove_tasks(retention, retention->large, &over);
    if (r < 0 || !over)
        return r;
    retention->large = 0;
    return sb_store_remove(retention->parts.store, SB_TABLE_META, 0, LARGE);
}

/* ---- jobs ---- */

/* It ended before the clock was set: it ages from when it is. */
static int date(struct sb_retention *retention, const struct sb_row *row)
{
    sb_cleanup(json_decrefp) json_t *body = json_copy((json_t *)row->body);
    struct sb_row dated = *row;
    dated.body = body;
    if (!retention->wall)
        return 0;
    if (!body || sb_json_put_int(body, "ended", retention->wall) < 0)
        return -ENOMEM;
    retention->rows++;
    return sb_store_put(retention->parts.store, SB_TABLE_JOB, &dated);
}

/* Its caller may ask again with its id. */
static bool is_remembered(const struct sb_retention *retention, const struct sb_row *row,
                          int64_t ended)
{
    bool named = row->b && strncmp(row->b, "id:", 3) == 0;
    if (!named || !retention->wall)
        return false;
    return !retention->ages || retention->wall - ended < retention->parts.limits.remember;
}

static bool is_old(const struct sb_retention *retention, int64_t time)
{
    return retention->ages && retention->wall - time > retention->parts.limits.job_age;
}

static int remove_job(struct sb_retention *retention, int64_t id)
{
    bool all;
    int r = remove_tasks(retention, id, &all);
    if (r == 0 && !all)
        r = note_large(retention, id);
    if (r == 0)
        r = sb_store_remove(retention->parts.store, SB_TABLE_JOB, id, NULL);
    if (r < 0)
        return r;
    retention->rows++;
    retention->removed++;
    retention->jobs--;
    retention->job_excess--;
    retention->last = id;
    if (retention->step_jobs++ == 0)
        retention->first = id;
    return 0;
}

/* 1: no later one has to go. */
static int consider(struct sb_retention *retention, const struct sb_row *row)
{
    struct sb_book *book = retention->parts.book;
    int64_t ended = sb_json_int(row->body, "ended", 0);
    if (sb_book_job(book, row->id) || sb_book_recent(book, row->id))
        return 0; /* it has a new round */
    if (retention->job_excess > 0 && !is_remembered(retention, row, ended))
        return remove_job(retention, row->id);
    if (!ended)
        return date(retention, row);
    if (is_old(retention, ended))
        return remove_job(retention, row->id);
    return retention->job_excess <= 0 && row->time && !is_old(retention, row->time);
}

#define STEP_OVER 2

static int look(void *arg, const struct sb_row *row)
{
    struct sb_retention *retention = arg;
    retention->cursor = row->id;
    retention->looked++;
    int r = consider(retention, row);
    return r == 0 && retention->rows >= SB_RETENTION_ROWS ? STEP_OVER : r;
}

static int note(struct sb_retention *retention)
{
    sb_cleanup(json_decrefp) json_t *detail =
        json_pack("{s:I,s:I,s:I}", "jobs", (json_int_t)retention->step_jobs, "first",
                  (json_int_t)retention->first, "last", (json_int_t)retention->last);
    return detail ? sb_audit_add(retention->parts.audit, "core", "forget", "gateway",
                                 retention->wall, detail)
                  : -ENOMEM;
}

int sb_retention_jobs(struct sb_retention *retention, bool *ret_more)
{
    retention->looked = retention->rows = retention->step_jobs = 0;
    *ret_more = true;
    if (retention->large)
        return go_on_with_large(retention);
    int r = sb_store_query(retention->parts.store,
                           &(struct sb_query){ .table = SB_TABLE_JOB,
                                               .state = SB_JOB_DONE,
                                               .after_id = retention->cursor,
                                               .limit = LOOKS },
                           look, retention);
    if (r < 0)
        return r;
    *ret_more = r == STEP_OVER || (r == 0 && retention->looked == LOOKS);
    return retention->step_jobs ? note(retention) : 0;
}
