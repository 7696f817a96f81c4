/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/store/sql.h"

#include <errno.h>

#include "bridge/base/str.h"

/* The assembler includes the file; the build names it as a dependency of this one. */
#define EMBED(symbol, file)                                                                        \
    __asm__(".pushsection .rodata\n"                                                               \
            ".global " #symbol "\n"                                                                \
            ".type " #symbol ", %object\n" #symbol ":\n"                                           \
            ".incbin \"" SB_SQL_DIR "/" file "\"\n"                                                \
            ".byte 0\n"                                                                            \
            ".size " #symbol ", . - " #symbol "\n"                                                 \
            ".popsection\n")

EMBED(sb_sql_open, "open.sql");
EMBED(sb_sql_open_reader, "open_reader.sql");
EMBED(sb_sql_put, "put.sql");
EMBED(sb_sql_update, "update.sql");
EMBED(sb_sql_remove, "remove.sql");
EMBED(sb_sql_001, "001.sql");
extern const char sb_sql_001[];

const char *const sb_sql_migrations[] = { sb_sql_001 };
const int sb_sql_migration_count = SB_COUNT(sb_sql_migrations);

/* ---- errors ---- */

/* What the system said last of the write-ahead log: a COMMIT that fails keeps it to itself. */
static int log_errno(sqlite3 *db)
{
    sqlite3_file *log = NULL;
    int error = 0;

    if (sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) != SQLITE_OK || !log ||
        !log->pMethods ||
        log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &error) != SQLITE_OK)
        return 0;
    return error;
}

int sb_sql_errno(sqlite3 *db, int rc)
{
    int system;

    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return 0;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -EUCLEAN;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_READONLY:
        return -EROFS;
    case SQLITE_CONSTRAINT:
        return -EINVAL;
    default:
        system = db ? sqlite3_system_errno(db) : 0;
        if (db && system == 0)
            system = log_errno(db);
        return system > 0 ? -system : -EIO;
    }
}

static const char *remedy(int error)
{
    switch (error) {
    case -ENOSPC:
        return "free space on its file system";
    case -EUCLEAN:
        return "restore the file from a backup, or move it away to begin with an empty store";
    case -EROFS:
    case -EACCES:
    case -EPERM:
        return "the file, its -wal and -shm and their directory must be writable for southbridge";
    case -EBUSY:
        return "end the program that has it open";
    default:
        return "check the disk and the system's log";
    }
}

char *sb_sql_error(sqlite3 *db, int rc, const char *path)
{
    int error = sb_sql_errno(db, rc);

    if (error == -EUCLEAN)
        return sb_format("store '%s' is damaged or no store (%s); %s", path,
                         db ? sqlite3_errmsg(db) : sqlite3_errstr(rc), remedy(error));
    return sb_format("store '%s': %s%s%s; %s", path, db ? sqlite3_errmsg(db) : sqlite3_errstr(rc),
                     error == -EIO ? "" : ": ", error == -EIO ? "" : strerror(-error),
                     remedy(error));
}

/* ---- statements ---- */

static void finalize_all(sqlite3_stmt **statements, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sqlite3_finalize(SB_STEAL(statements[i]));
}

int sb_sql_prepare(sqlite3 *db, const char *text, sqlite3_stmt **ret, size_t n)
{
    int rc = SQLITE_OK;
    size_t i = 0;

    for (; i < n && rc == SQLITE_OK; i++) {
        ret[i] = NULL;
        rc = sqlite3_prepare_v3(db, text, -1, SQLITE_PREPARE_PERSISTENT, &ret[i], &text);
        if (rc == SQLITE_OK && !ret[i])
            rc = SQLITE_MISUSE; /* fewer than there should be */
    }
    if (rc == SQLITE_OK && text[strspn(text, " \n")] != '\0')
        rc = SQLITE_MISUSE; /* more */
    if (rc != SQLITE_OK)
        finalize_all(ret, i);
    return rc;
}
