/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batches as the store fills them and a backend reads them: copies of rows, in order.
 *
 * Backends use sb_row_visit() so that a row read back looks the same from each of them.
 * Thread: a batch belongs to one thread at a time; the store hands it over whole.
 */
#pragma once

#include "bridge/store/store.h"

#define SB_STORE_BODY_MAX ((size_t)256 * 1024)

/* Has this table numbers for keys, or names? */
bool sb_table_numbered(enum sb_table table);

struct sb_batch *sb_batch_new(void); /* NULL: no memory */
SB_DEFINE_CLEANUP(struct sb_batch *, sb_batch_free)
/* Copies the row. -EINVAL: the key does not suit the table, or no body; -E2BIG; -ENOMEM. */
int sb_batch_put(struct sb_batch *batch, enum sb_table table,
                 const struct sb_row *row) SB_MUST_CHECK;
int sb_batch_remove(struct sb_batch *batch, enum sb_table table, int64_t id,
                    const char *name) SB_MUST_CHECK;

/* Shows one stored row, its body as text, to a query's function. -EUCLEAN: the body is no JSON. */
int sb_row_visit(const struct sb_row *row, const char *body, size_t n, sb_row_fn fn,
                 void *arg) SB_MUST_CHECK;
