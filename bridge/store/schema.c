/* SPDX-License-Identifier: Apache-2.0 */
/* Which schema a store has, and how it gets the present one. */
#include <errno.h>

#include "bridge/base/str.h"
#include "bridge/store/sql.h"

#define APPLICATION_ID 0x53427267 /* as in 001.sql */

static int read_number(sqlite3 *db, const char *sql, int *ret)
{
    sb_cleanup(sqlite3_finalizep) sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

    if (rc != SQLITE_OK)
        return rc;
    rc = sqlite3_step(statement);
    if (rc != SQLITE_ROW)
        return rc == SQLITE_DONE ? SQLITE_CORRUPT : rc;
    *ret = sqlite3_column_int(statement, 0);
    return SQLITE_OK;
}

static int migrate_one(sqlite3 *db, const char *migration, int schema)
{
    sb_cleanup(sb_freep) char *version = sb_format("PRAGMA user_version = %d", schema);
    int rc = version ? sqlite3_exec(db, "BEGIN EXCLUSIVE", NULL, NULL, NULL) : SQLITE_NOMEM;

    if (rc != SQLITE_OK)
        return rc;
    rc = sqlite3_exec(db, migration, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, version, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    return rc;
}

static int refuse(const char *path, int schema, int known, char **ret_error)
{
    if (schema == 0)
        *ret_error = sb_format("'%s' is a database of another program; name another file in the "
                               "configuration, or move this one away",
                               path);
    else
        *ret_error = sb_format("store '%s' has schema %d, this southbridge knows schemas up to %d; "
                               "install the version that wrote it, or move the file away to begin "
                               "with an empty store",
                               path, schema, known);
    return -EPROTONOSUPPORT;
}

static int fail(sqlite3 *db, int rc, const char *path, char **ret_error)
{
    int r = sb_sql_errno(db, rc);

    *ret_error = sb_sql_error(db, rc, path);
    if (!sqlite3_get_autocommit(db))
        (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return r;
}

int sb_schema_check(sqlite3 *db, const char *path, int known, int *ret, char **ret_error)
{
    int schema = 0, application = 0, tables = 0;
    int rc = read_number(db, "PRAGMA user_version", &schema);

    if (rc == SQLITE_OK)
        rc = read_number(db, "PRAGMA application_id", &application);
    if (rc == SQLITE_OK)
        rc = read_number(db, "SELECT count(*) FROM sqlite_schema", &tables);
    if (rc != SQLITE_OK)
        return fail(db, rc, path, ret_error);
    if (tables > 0 && application != APPLICATION_ID)
        return refuse(path, 0, known, ret_error);
    if (schema > known)
        return refuse(path, schema, known, ret_error);
    *ret = schema;
    return 0;
}

int sb_schema_migrate(sqlite3 *db, const char *path, const char *const *migrations, int count,
                      char **ret_error)
{
    int schema = 0;
    int r = sb_schema_check(db, path, count, &schema, ret_error);

    for (; r == 0 && schema < count; schema++) {
        int rc = migrate_one(db, migrations[schema], schema + 1);
        if (rc != SQLITE_OK)
            return fail(db, rc, path, ret_error);
    }
    return r;
}
