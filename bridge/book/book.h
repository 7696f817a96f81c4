/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The book of open jobs: in memory what is not done, in the store everything.
 *
 * It loads the open jobs at start, finds a task by id, device or key, writes each change into the
 * turn's batch together with its audit record, and forgets a job once it is done. It decides
 * nothing: what may happen is the machine's (job/machine.h), when it happens the runner's.
 *
 * Thread: the loop. Pointers are valid until sb_book_retire(), which the core calls at the end of
 * a turn only.
 */
#pragma once

#include "bridge/audit.h"
#include "bridge/job/machine.h"
#include "bridge/store/store.h"

struct sb_book;

int sb_book_new(struct sb_loop *loop, struct sb_store *store, struct sb_audit *audit,
                struct sb_book **ret) SB_MUST_CHECK;
struct sb_book *sb_book_free(struct sb_book *book);
SB_DEFINE_CLEANUP(struct sb_book *, sb_book_free)

struct sb_job *sb_book_job(struct sb_book *book, int64_t id); /* open ones; NULL: none */
/* A job that is done, until that is durable: the store still has it as it was. NULL: none. */
struct sb_job *sb_book_recent(struct sb_book *book, int64_t id);
struct sb_job *sb_book_recent_same(struct sb_book *book, const char *origin, const char *key);
/* The newest that matches, with its tasks, as it is stored; *ret stays NULL when there is none. */
int sb_book_stored(struct sb_book *book, const struct sb_query *which,
                   struct sb_job **ret) SB_MUST_CHECK;
struct sb_task *sb_book_task(struct sb_book *book, int64_t id); /* of open jobs; NULL: none */
size_t sb_book_jobs(const struct sb_book *book);
struct sb_job *sb_book_job_at(struct sb_book *book, size_t index); /* by id; NULL: end */
/* Tasks of open jobs that are not final, oldest first. */
size_t sb_book_open_tasks(const struct sb_book *book);
struct sb_task *sb_book_open_at(struct sb_book *book, size_t index);
size_t sb_book_open_of(const struct sb_book *book, const char *origin); /* how many of them */
/* The open tasks of one device: next after `previous` (NULL: first); NULL: end. */
struct sb_task *sb_book_of_device(struct sb_book *book, const char *device,
                                  const struct sb_task *previous);
uint64_t sb_book_ended(const struct sb_book *book); /* jobs that are done, since it was made */
/* The open job of this origin and key; NULL: none. */
struct sb_job *sb_book_same(struct sb_book *book, const char *origin, const char *key);

/* Numbers for a new job and its tasks. */
int64_t sb_book_next_job(struct sb_book *book);
int64_t sb_book_next_task(struct sb_book *book);
/* Takes the job over (also on failure), with its tasks, and writes all of it. */
int sb_book_add(struct sb_book *book, struct sb_job *job, const char *actor) SB_MUST_CHECK;
/* Takes a further task of an open job over (also on failure), and writes it. */
int sb_book_add_task(struct sb_book *book, struct sb_job *job, struct sb_task *task,
                     const char *actor) SB_MUST_CHECK;
/* The job's own members were changed by `verb`: writes it, with its state and an audit record.
 * detail may be NULL. */
int sb_book_changed(struct sb_book *book, struct sb_job *job, const char *verb,
                    const json_t *detail, const char *actor) SB_MUST_CHECK;
/*
 * Applies an event to a task: machine, record, audit, job state, batch. 0, -EPROTO (the machine
 * refuses: nothing changed), -ENOMEM, -EAGAIN (store not ready: nothing was written, the record
 * in memory has changed; the core is about to be made anew).
 */
int sb_book_apply(struct sb_book *book, struct sb_task *task, const struct sb_event *event,
                  const char *actor, struct sb_step *ret) SB_MUST_CHECK;
/* Writes the task as it is (checkpoint, artifact, clocks). */
int sb_book_save(struct sb_book *book, const struct sb_task *task) SB_MUST_CHECK;
int sb_book_save_job(struct sb_book *book, const struct sb_job *job) SB_MUST_CHECK;
void sb_book_retire(struct sb_book *book); /* lets go of jobs that are done */
