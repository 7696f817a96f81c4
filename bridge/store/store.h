/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system of record, as a contract of a dozen calls.
 *
 * Records are JSON documents in a few tables, each with the columns by which it is found again.
 * A turn of the loop collects its changes in one batch; at the end of the turn the batch goes to
 * the backend, one at a time (group commit: the turns that pass while one is being synced make
 * the next; a turn is never split). Everything that leaves the process waits for the batch that
 * was current when it was made: sb_store_then().
 *
 * When a commit fails, that batch and all later ones are dropped: each pending sb_store_then()
 * gets the error, and the `on_failure` hook lets the core make its memory anew from the store. The
 * store then refuses batches (sb_store_ready() is false) and probes until a commit works again:
 * after 1 s, then twice as long each time up to 30 s. The `on_recovery` hook tells of that; changes
 * are taken when memory has been made anew once more, from sb_store_renew() on. Lack of memory in
 * sb_store_put() fails the whole turn in the same way.
 *
 * Policy: when SB_STORE_GATHER changes or bytes gather behind a slow sync, sb_store_ready() is
 * false and new work is refused; running work goes on, until eight times that are left when a turn
 * ends: then the gathered turns fail. One turn may bring any number: an order to a large job is
 * one. What it does not do: know what a record means.
 * Thread: the loop. Reads (load, query) see committed data only and are bounded.
 */
#pragma once

#include <stdint.h>

#include "bridge/base/json.h"
#include "bridge/base/names.h"
#include "bridge/base/util.h"
#include "bridge/loop.h"

enum sb_table {
    SB_TABLE_JOB,     /* id; a=origin b=key   state=job state  time=created */
    SB_TABLE_TASK,    /* id; a=device b=job id as text         state=task state time=ended */
    SB_TABLE_DEVICE,  /* name=device id; */
    SB_TABLE_PACKAGE, /* name=package id; a=sha256 of the first file */
    SB_TABLE_PARCEL,  /* id; a=link b=supersede key            state=class  time=created */
    SB_TABLE_CONVO,   /* name="link/device"; a=link b=device: a conversation's state */
    SB_TABLE_META,    /* name; odds and ends of the core: counters, pause flag */
    SB_TABLE_AUDIT,   /* id; append-only, a=subject b=actor    time */
    SB_TABLE_MAX_,
};
SB_NAMES_DECLARE(sb_table)

struct sb_row {
    int64_t id;       /* key of numbered tables, 0 in named ones */
    const char *name; /* key of named tables, NULL in numbered ones */
    const char *a, *b;
    int state;
    int64_t time;
    const json_t *body; /* borrowed on put; valid during the call on read */
    const char *text; /* put: the body as text, where that has been made; then it needs no other */
};

struct sb_store;

#define SB_STORE_GATHER_CHANGES ((size_t)4096)
#define SB_STORE_GATHER_BYTES   ((size_t)2 * 1024 * 1024)

/* Read back: rows in key order; newest first: by number, in named tables by time, descending. */
struct sb_query {
    enum sb_table table;
    int64_t id;          /* exact, 0 any */
    const char *name;    /* exact, NULL any */
    const char *a, *b;   /* exact, NULL any */
    int state;           /* exact, -1 any */
    uint64_t state_mask; /* bit set of wanted states; 0 any */
    int64_t after_id;    /* numbered: id greater than this (or smaller when newest_first) */
    bool newest_first;
    size_t limit; /* 0: all; lists for people give 1..1000 */
};
typedef int (*sb_row_fn)(void *arg, const struct sb_row *row); /* != 0 stops and is returned */

/* What the store takes of the disk: rows that were removed leave room that is used again. */
struct sb_store_size {
    int64_t used; /* bytes, with indexes */
    int64_t file; /* bytes, with what is free for new rows */
};

/* A batch as a backend sees it: changes in order. */
struct sb_change {
    enum sb_table table;
    bool remove;
    int64_t id;
    char *name, *a, *b; /* owned */
    int state;
    int64_t time;
    char *body; /* JSON text, owned; NULL on remove */
};
struct sb_batch {
    uint64_t number;
    struct sb_change *changes;
    size_t count;
    size_t bytes;
    bool probe; /* tries whether commits work again */
};
void sb_batch_free(struct sb_batch *batch);

/* What a backend does: SQLite (sqlite.c), memory with power cuts (tests/fakes/store_mem.c). */
struct sb_backend_ops {
    /*
     * Takes the batch over. Answers once, later, on the loop thread: sb_store_committed(). After a
     * failed batch every batch fails, until one that is a probe.
     */
    void (*commit)(void *backend, struct sb_batch *batch);
    int (*query)(void *backend, const struct sb_query *query, sb_row_fn fn, void *arg);
    int (*count)(void *backend, const struct sb_query *query, int64_t *ret);
    int (*measure)(void *backend, struct sb_store_size *ret);
    void (*attach)(void *backend, struct sb_store *store); /* whom to answer */
    void (*close)(void *backend);                          /* waits for what was handed over */
};

/* Takes the backend over (also on failure). */
int sb_store_new(struct sb_loop *loop, const struct sb_backend_ops *ops, void *backend,
                 struct sb_store **ret) SB_MUST_CHECK;
/*
 * Hands over what was put, and waits; pending functions are not run any more. The loop must not
 * turn afterwards: its hooks cannot be taken back.
 */
struct sb_store *sb_store_free(struct sb_store *store);
SB_DEFINE_CLEANUP(struct sb_store *, sb_store_free)
/* From the backend, in batch order; error 0 or -errno. */
void sb_store_committed(struct sb_store *store, uint64_t number, int error);

/*
 * Adds to this turn's batch. -EAGAIN: commits fail now; -E2BIG: body over 256 KiB; -EINVAL: the
 * key does not suit the table; -ENOMEM, -ENOBUFS: no room, the whole turn fails.
 */
int sb_store_put(struct sb_store *store, enum sb_table table,
                 const struct sb_row *row) SB_MUST_CHECK;
int sb_store_remove(struct sb_store *store, enum sb_table table, int64_t id,
                    const char *name) SB_MUST_CHECK;
/*
 * Passes r on. -ENOMEM says that something could not be made which belongs to what this turn has
 * changed, in memory or here: the whole turn fails, as by lack of memory in sb_store_put().
 */
int sb_store_whole(struct sb_store *store, int r);
/*
 * What is put, removed and waited for between true and false is in no hurry: it is committed with
 * the next batch that is, or 200 ms later. For what a crash may forget, like that a message was
 * acknowledged; it saves a sync of its own.
 */
void sb_store_at_leisure(struct sb_store *store, bool at_leisure);
/*
 * Runs fn when everything put so far is durable (error 0) or lost (error < 0); with nothing
 * pending, at the end of this turn. Order is kept. -ENOMEM.
 */
typedef void (*sb_commit_fn)(void *arg, int error);
int sb_store_then(struct sb_store *store, sb_commit_fn fn, void *arg) SB_MUST_CHECK;
/* Forgets a pending fn/arg pair (its owner is going away). */
void sb_store_forget(struct sb_store *store, sb_commit_fn fn, void *arg);

/* False while commits fail, or while too many wait. `why` (may be NULL): a text, not owned. */
bool sb_store_ready(const struct sb_store *store, const char **ret_why);
/* Commits fail: nothing that changes can be kept now. */
bool sb_store_failing(const struct sb_store *store);
int sb_store_error(const struct sb_store *store); /* why they fail, -errno; 0: they work */
/*
 * Called once per failure, after the pending functions; and once when a commit works again. Each
 * time the core makes its memory anew before the turn is over. It begins with sb_store_forfeit():
 * what still waits (a refusal, say) has the error, as it is to be forgotten too. When the old
 * memory is gone, and cannot write any more, follows sb_store_renew().
 */
void sb_store_on_failure(struct sb_store *store, void (*fn)(void *arg, int error), void *arg);
void sb_store_on_recovery(struct sb_store *store, void (*fn)(void *arg), void *arg);
void sb_store_forfeit(struct sb_store *store);
void sb_store_renew(struct sb_store *store);

int sb_store_query(struct sb_store *store, const struct sb_query *query, sb_row_fn fn,
                   void *arg) SB_MUST_CHECK;
/* How many rows fit; the query's order and limit do not matter. */
int sb_store_count(struct sb_store *store, const struct sb_query *query,
                   int64_t *ret) SB_MUST_CHECK;
int sb_store_measure(struct sb_store *store, struct sb_store_size *ret) SB_MUST_CHECK;
/*
 * Next number of a numbered table; never used twice, also after a failed commit or when the rows
 * were removed. After a restart parcels go on up to 1000 higher. Not for SB_TABLE_AUDIT, whose
 * numbers have no gaps.
 */
int64_t sb_store_next_id(struct sb_store *store, enum sb_table table);

struct sb_store_stats {
    uint64_t batches, changes; /* committed since start; a batch is one sync */
    uint64_t failures;
    size_t waiting; /* changes that are not durable yet */
};
void sb_store_stats(const struct sb_store *store, struct sb_store_stats *ret);

/*
 * The SQLite backend: one file, WAL, synchronous FULL, own writer thread, a read connection.
 * Migrates older schemas, refuses newer ones (-EPROTONOSUPPORT). ret_error gets a text.
 */
int sb_sqlite_open(struct sb_loop *loop, const char *path, const struct sb_backend_ops **ret_ops,
                   void **ret_backend, char **ret_error) SB_MUST_CHECK;
/*
 * Looks at such a file without changing it, while a daemon may be writing: readable, whose schema,
 * pages intact. Blocks, `wait` ms at most and two seconds for a lock. Any thread.
 */
struct sb_exam;
void sb_sqlite_examine(const char *path, int64_t wait, struct sb_exam *exam);
