/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SQL of this folder's sql/, embedded at build time, and the helpers that SQLite's users share.
 * For the SQLite backend only.
 */
#pragma once

#include <sqlite3.h>

#include "bridge/base/util.h"

extern const char sb_sql_open[];        /* settings */
extern const char sb_sql_open_reader[]; /* settings */
extern const char sb_sql_put[];         /* one statement per table, in enum order */
extern const char sb_sql_update[];      /* the same, but for the audit, which is the last */
extern const char sb_sql_remove[];      /* as put */

/* Schema n of the list is n+1: what brings a store from schema n there. */
extern const char *const sb_sql_migrations[];
extern const int sb_sql_migration_count;

/* What went wrong last on this connection, as -errno. */
int sb_sql_errno(sqlite3 *db, int rc);
/* One sentence for people, with the remedy; caller frees. */
char *sb_sql_error(sqlite3 *db, int rc, const char *path);

/* Prepares the statements of `text`, exactly n. 0 or an SQLite code; on failure none is left. */
int sb_sql_prepare(sqlite3 *db, const char *text, sqlite3_stmt **ret, size_t n) SB_MUST_CHECK;

SB_DEFINE_CLEANUP(sqlite3_stmt *, sqlite3_finalize)
SB_DEFINE_CLEANUP(sqlite3 *, sqlite3_close)

/* Changes nothing. 0 and the schema; the errors of the next. */
int sb_schema_check(sqlite3 *db, const char *path, int known, int *ret,
                    char **ret_error) SB_MUST_CHECK;
/*
 * Brings the store's schema up to the last of `count` migrations, each in one transaction. 0,
 * -EPROTONOSUPPORT (newer than we know, or not ours), -errno; ret_error gets a text.
 */
int sb_schema_migrate(sqlite3 *db, const char *path, const char *const *migrations, int count,
                      char **ret_error) SB_MUST_CHECK;
