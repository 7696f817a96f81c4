/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that owns the disk: takes batches, commits each in one transaction with one sync, and
 * says so to the loop through a mailbox (note id: batch number, value: 0 or -errno).
 *
 * After a failed batch every batch fails with the same error, until one that is a probe.
 * For the SQLite backend only. Thread: the loop, for all calls.
 */
#pragma once

#include "bridge/store/sql.h"
#include "bridge/store/store.h"

struct sb_writer;
/* Takes the connection over (on success) and the statements' tables from its schema. */
int sb_writer_new(struct sb_loop *loop, sqlite3 *db, sb_note_fn fn, void *arg,
                  struct sb_writer **ret) SB_MUST_CHECK;
/* Takes the batch over. -ENOMEM: not taken. */
int sb_writer_add(struct sb_writer *writer, struct sb_batch *batch) SB_MUST_CHECK;
/* Commits what was added, ends the thread and closes the connection; no note comes any more. */
struct sb_writer *sb_writer_free(struct sb_writer *writer);
SB_DEFINE_CLEANUP(struct sb_writer *, sb_writer_free)
