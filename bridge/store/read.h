/* SPDX-License-Identifier: Apache-2.0 */
/* Reading on the read connection. For the SQLite backend only. Thread: the loop. */
#pragma once

#include "bridge/store/sql.h"
#include "bridge/store/store.h"

/* What the function returned, if not 0; else 0 or -errno. */
int sb_sql_query(sqlite3 *db, const struct sb_query *query, sb_row_fn fn, void *arg) SB_MUST_CHECK;
int sb_sql_count(sqlite3 *db, const struct sb_query *query, int64_t *ret) SB_MUST_CHECK;
int sb_sql_measure(sqlite3 *db, struct sb_store_size *ret) SB_MUST_CHECK;
