/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/store/writer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "bridge/base/log.h"
#include "bridge/store/batch.h"

#define NOTES 16

struct item {
    struct item *next;
    struct sb_batch *batch;
};

struct statements {
    sqlite3_stmt *transaction[3];
    sqlite3_stmt *put[SB_TABLE_MAX_];
    sqlite3_stmt *update[SB_TABLE_MAX_]; /* what is found as before; NULL: nothing ever is */
    sqlite3_stmt *remove[SB_TABLE_MAX_];
};
enum { BEGIN, COMMIT, ROLLBACK };

struct sb_writer {
    sqlite3 *db;
    struct statements sql;
    struct sb_mailbox *box;
    pthread_t thread;
    int broken; /* since a failure: what it was */
    int told;   /* of these failures; 0: none since it worked */

    pthread_mutex_t mutex; /* guards the rest */
    pthread_cond_t more;
    struct item *first, **end;
    bool stop;
};

/* ---- one batch ---- */

static int run(sqlite3_stmt *statement)
{
    int rc = sqlite3_step(statement);

    (void)sqlite3_reset(statement); /* gives the same code once more */
    return rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : rc;
}

static int bind_text(sqlite3_stmt *statement, int index, const char *text)
{
    return sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC); /* NULL binds NULL */
}

static int bind_key(sqlite3_stmt *statement, const struct sb_change *change)
{
    return change->name ? bind_text(statement, 1, change->name)
                        : sqlite3_bind_int64(statement, 1, change->id);
}

static int write_row(sqlite3_stmt *statement, const struct sb_change *change)
{
    int rc = bind_key(statement, change);

    if (rc == SQLITE_OK)
        rc = bind_text(statement, 2, change->a);
    if (rc == SQLITE_OK)
        rc = bind_text(statement, 3, change->b);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int(statement, 4, change->state);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(statement, 5, change->time);
    if (rc == SQLITE_OK)
        rc = bind_text(statement, 6, change->body);
    return rc == SQLITE_OK ? run(statement) : rc;
}

/* Most rows that are written are there already and only their body is another. */
static int put(sqlite3 *db, const struct statements *sql, const struct sb_change *change)
{
    sqlite3_stmt *update = sql->update[change->table];
    int rc = update ? write_row(update, change) : SQLITE_OK;

    if (rc != SQLITE_OK || (update && sqlite3_changes(db) > 0))
        return rc;
    return write_row(sql->put[change->table], change);
}

static int take_out(sqlite3_stmt *statement, const struct sb_change *change)
{
    int rc = bind_key(statement, change);

    return rc == SQLITE_OK ? run(statement) : rc;
}

static int apply(sqlite3 *db, const struct statements *sql, const struct sb_batch *batch)
{
    int rc = run(sql->transaction[BEGIN]);

    for (size_t i = 0; i < batch->count && rc == SQLITE_OK; i++) {
        const struct sb_change *change = &batch->changes[i];
        rc = change->remove ? take_out(sql->remove[change->table], change) : put(db, sql, change);
    }
    return rc == SQLITE_OK ? run(sql->transaction[COMMIT]) : rc;
}

static void roll_back(struct sb_writer *writer)
{
    if (!sqlite3_get_autocommit(writer->db))
        (void)run(writer->sql.transaction[ROLLBACK]);
}

/*
 * A batch whose sync failed stands whole in the log, and a process that starts after a kill would
 * find it there. Anything that is written next stands in its place, whether its own sync fails or
 * not. Other bytes each time: what is the same is not written.
 */
static void overwrite(struct sb_writer *writer)
{
    struct timespec now = { 0 };
    struct sb_change change = { .table = SB_TABLE_META,
                                .name = (char *)"probe",
                                .body = (char *)"{}" };

    (void)clock_gettime(CLOCK_REALTIME, &now);
    change.time = now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
    (void)apply(writer->db, &writer->sql, &(struct sb_batch){ .changes = &change, .count = 1 });
    roll_back(writer);
}

static int commit(struct sb_writer *writer, const struct sb_batch *batch)
{
    int rc, error;

    if (batch->probe)
        writer->broken = 0;
    if (writer->broken)
        return writer->broken;
    rc = apply(writer->db, &writer->sql, batch);
    if (rc == SQLITE_OK) {
        writer->told = batch->probe ? writer->told : 0; /* small ones may find room */
        return 0;
    }
    error = sb_sql_errno(writer->db, rc);
    if (error != writer->told) /* it is tried again for as long as it takes */
        sb_error(NULL, "store: commit failed: %s (SQLite %d)", sqlite3_errmsg(writer->db), rc);
    else
        sb_debug(NULL, "store: commit still fails: %s", sqlite3_errmsg(writer->db));
    writer->told = error;
    roll_back(writer);
    overwrite(writer);
    return writer->broken = error;
}

/* ---- the thread ---- */

/* The store waits for this answer: lack of memory only delays it. */
static void answer(struct sb_writer *writer, uint64_t number, int error)
{
    const struct sb_note note = { .id = number, .value = error };
    const struct timespec pause = { .tv_nsec = 20000000 };
    int r;

    while ((r = sb_mailbox_post(writer->box, &note)) == -ENOMEM || r == -ENOBUFS)
        (void)nanosleep(&pause, NULL);
}

static struct item *next_item(struct sb_writer *writer)
{
    struct item *item;

    pthread_mutex_lock(&writer->mutex);
    while (!writer->first && !writer->stop)
        pthread_cond_wait(&writer->more, &writer->mutex);
    item = writer->first;
    if (item) {
        writer->first = item->next;
        if (!writer->first)
            writer->end = &writer->first;
    }
    pthread_mutex_unlock(&writer->mutex);
    return item;
}

static void *work(void *arg)
{
    struct sb_writer *writer = arg;
    struct item *item;

    while ((item = next_item(writer))) {
        answer(writer, item->batch->number, commit(writer, item->batch));
        sb_batch_free(item->batch);
        free(item);
    }
    return NULL;
}

/* Signals are for the loop's thread. */
static int start_thread(struct sb_writer *writer)
{
    sigset_t all, before;
    int r;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    r = pthread_create(&writer->thread, NULL, work, writer);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r == 0)
        (void)pthread_setname_np(writer->thread, "sb-writer");
    return -r;
}

/* ---- life ---- */

int sb_writer_add(struct sb_writer *writer, struct sb_batch *batch)
{
    struct item *item = calloc(1, sizeof(*item));

    if (!item)
        return -ENOMEM;
    item->batch = batch;
    pthread_mutex_lock(&writer->mutex);
    *writer->end = item;
    writer->end = &item->next;
    pthread_mutex_unlock(&writer->mutex);
    pthread_cond_signal(&writer->more); /* not before: it would wake into a locked mutex */
    return 0;
}

static int prepare(sqlite3 *db, struct statements *sql)
{
    int rc = sb_sql_prepare(db, "BEGIN IMMEDIATE; COMMIT; ROLLBACK;", sql->transaction, 3);

    if (rc == SQLITE_OK)
        rc = sb_sql_prepare(db, sb_sql_put, sql->put, SB_TABLE_MAX_);
    if (rc == SQLITE_OK)
        rc = sb_sql_prepare(db, sb_sql_update, sql->update, SB_TABLE_AUDIT);
    if (rc == SQLITE_OK)
        rc = sb_sql_prepare(db, sb_sql_remove, sql->remove, SB_TABLE_MAX_);
    return rc;
}

static void finalize(struct statements *sql)
{
    for (size_t i = 0; i < SB_COUNT(sql->transaction); i++)
        sqlite3_finalize(sql->transaction[i]);
    for (size_t i = 0; i < SB_TABLE_MAX_; i++) {
        sqlite3_finalize(sql->put[i]);
        sqlite3_finalize(sql->update[i]);
        sqlite3_finalize(sql->remove[i]);
    }
}

static struct sb_writer *release(struct sb_writer *writer)
{
    finalize(&writer->sql);
    sb_mailbox_close(writer->box);
    pthread_cond_destroy(&writer->more);
    pthread_mutex_destroy(&writer->mutex);
    free(writer);
    return NULL;
}

int sb_writer_new(struct sb_loop *loop, sqlite3 *db, sb_note_fn fn, void *arg,
                  struct sb_writer **ret)
{
    struct sb_writer *writer = calloc(1, sizeof(*writer));
    int r;

    if (!writer)
        return -ENOMEM;
    pthread_mutex_init(&writer->mutex, NULL);
    pthread_cond_init(&writer->more, NULL);
    writer->end = &writer->first;
    r = sb_sql_errno(db, prepare(db, &writer->sql));
    if (r == 0)
        r = sb_mailbox_new(loop, NOTES, fn, arg, &writer->box);
    if (r == 0) {
        writer->db = db;
        r = start_thread(writer);
    }
    if (r < 0) {
        release(writer);
        return r;
    }
    *ret = writer;
    return 0;
}

struct sb_writer *sb_writer_free(struct sb_writer *writer)
{
    sqlite3 *db;

    if (!writer)
        return NULL;
    pthread_mutex_lock(&writer->mutex);
    writer->stop = true;
    pthread_cond_signal(&writer->more);
    pthread_mutex_unlock(&writer->mutex);
    (void)pthread_join(writer->thread, NULL);
    db = writer->db;
    release(writer);
    (void)sqlite3_close(db);
    return NULL;
}
