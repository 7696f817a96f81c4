/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store on the real loop, over either backend, for store_test.c and sqlite_test.c. The loop runs
 * only inside run_until(), which has a deadline.
 */
#pragma once

#include <errno.h>

#include <ftw.h>
#include <stdio.h>

#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "bridge/store/store.h"
#include "tests/test.h"

#define DEADLINE (20 * SB_SECOND)

struct world {
    const struct backend *backend;
    struct sb_loop *loop;
    struct sb_store *store;
    struct sb_store_mem *disk; /* memory */
    char *directory, *path;    /* SQLite */

    int failures, recoveries, error;
    size_t told; /* then-functions that ran */
    bool (*condition)(struct world *w);
    struct sb_timer *timer;
    int64_t until;
};

struct backend {
    const char *name;
    void (*create)(struct world *w);
    void (*start)(struct world *w); /* sets w->store; the loop is there */
    void (*break_it)(struct world *w);
    void (*repair)(struct world *w);
    void (*destroy)(struct world *w);
    int broken; /* the error of what is put then */
};

/* ---- the loop, until something is so ---- */

static SB_UNUSED void look(void *arg)
{
    struct world *w = arg;

    if (w->condition(w)) {
        sb_loop_stop(w->loop);
        return;
    }
    if (sb_loop_now(w->loop) > w->until)
        fail_msg("waited in vain");
    sb_timer_in(w->timer, 1);
}

static SB_UNUSED void run_until(struct world *w, bool (*condition)(struct world *w))
{
    w->condition = condition;
    w->until = sb_loop_now(w->loop) + DEADLINE;
    assert_int_equal(sb_timer_new(w->loop, look, w, &w->timer), 0);
    sb_timer_in(w->timer, 0);
    assert_int_equal(sb_loop_run(w->loop), 0);
    w->timer = sb_timer_free(w->timer);
}

static SB_UNUSED bool all_settled(struct world *w)
{
    struct sb_store_stats stats;

    sb_store_stats(w->store, &stats);
    return stats.waiting == 0;
}

static SB_UNUSED bool failed_once(struct world *w)
{
    return w->failures == 1;
}

static SB_UNUSED bool recovered_once(struct world *w)
{
    return w->recoveries == 1;
}

static SB_UNUSED void settle(struct world *w)
{
    run_until(w, all_settled);
}

/* ---- on and off ---- */

static SB_UNUSED void on_failure(void *arg, int error)
{
    ((struct world *)arg)->failures++;
    ((struct world *)arg)->error = error;
}

static SB_UNUSED void on_recovery(void *arg)
{
    struct world *w = arg;

    w->recoveries++;
    sb_store_renew(w->store);
}

static SB_UNUSED void power_on(struct world *w)
{
    assert_int_equal(sb_loop_new(&w->loop), 0);
    w->backend->start(w);
    sb_store_on_failure(w->store, on_failure, w);
    sb_store_on_recovery(w->store, on_recovery, w);
}

static SB_UNUSED void power_off(struct world *w)
{
    w->store = sb_store_free(w->store);
    w->loop = sb_loop_free(w->loop);
}

static SB_UNUSED struct world *new_world(const struct backend *backend)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    w->backend = backend;
    backend->create(w);
    power_on(w);
    return w;
}

static SB_UNUSED void free_world(struct world *w)
{
    power_off(w);
    w->backend->destroy(w);
    free(w);
}

/* ---- SQLite in a directory of its own ---- */

static SB_UNUSED int remove_one(const char *path, const struct stat *status, int kind,
                                struct FTW *where)
{
    (void)status, (void)kind, (void)where;
    return remove(path);
}

static SB_UNUSED void sqlite_create(struct world *w)
{
    const char *base = getenv("TMPDIR");

    w->directory = sb_format("%s/sb-store-XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(w->directory));
    w->path = sb_format("%s/store.db", w->directory);
    assert_non_null(w->path);
}

static SB_UNUSED int sqlite_try(struct world *w, char **ret_error)
{
    const struct sb_backend_ops *ops;
    void *backend;
    int r = sb_sqlite_open(w->loop, w->path, &ops, &backend, ret_error);

    return r < 0 ? r : sb_store_new(w->loop, ops, backend, &w->store);
}

static SB_UNUSED void sqlite_start(struct world *w)
{
    sb_cleanup(sb_freep) char *error = NULL;

    if (sqlite_try(w, &error) < 0)
        fail_msg("%s", error ? error : "no text");
}

static SB_UNUSED void sqlite_destroy(struct world *w)
{
    (void)nftw(w->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(w->directory);
    free(w->path);
}

/* ---- rows ---- */

static SB_UNUSED json_t *number_body(int64_t n)
{
    json_t *body = json_pack("{s:I}", "n", (json_int_t)n);

    assert_non_null(body);
    return body;
}

static SB_UNUSED void put_job(struct world *w, int64_t id)
{
    sb_cleanup(json_decrefp) json_t *body = number_body(id);

    assert_int_equal(
        sb_store_put(w->store, SB_TABLE_JOB, &(struct sb_row){ .id = id, .body = body }), 0);
}

static SB_UNUSED int count_row(void *arg, const struct sb_row *row)
{
    (void)row;
    ++*(size_t *)arg;
    return 0;
}

static SB_UNUSED size_t count_rows(struct world *w, enum sb_table table)
{
    const struct sb_query all = { .table = table, .state = -1 };
    size_t n = 0;

    assert_int_equal(sb_store_query(w->store, &all, count_row, &n), 0);
    return n;
}
