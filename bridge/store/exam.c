/* SPDX-License-Identifier: Apache-2.0 */
/* The store looked at from outside, for doctor: read only, while a daemon may be writing. */
#include <errno.h>
#include <sys/stat.h>
#include <time.h>

#include "bridge/base/exam.h"
#include "bridge/base/str.h"
#include "bridge/store/sql.h"
#include "bridge/store/store.h"

#define STEPS_BETWEEN 10000 /* of SQLite's machine, between two looks at the clock */

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int is_late(void *arg)
{
    return now_ms() > *(const int64_t *)arg;
}

static void say_damaged(const char *path, const char *text, struct sb_exam *exam)
{
    sb_exam_take(exam, SB_HEALTH_FAILED,
                 sb_format("stop the daemon and keep a copy of the file; put a backup in its "
                           "place, or move it away to begin with an empty store"),
                 sb_format("'%s' is damaged: %s", path, text));
}

/* 0: intact. */
static int check_pages(sqlite3 *db, const char *path, int64_t until, struct sb_exam *exam)
{
    sb_cleanup(sqlite3_finalizep) sqlite3_stmt *statement = NULL;
    sqlite3_progress_handler(db, STEPS_BETWEEN, is_late, &until);
    int rc = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &statement, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    sqlite3_progress_handler(db, 0, NULL, NULL);
    if (rc == SQLITE_INTERRUPT) {
        sb_exam_say(exam, SB_HEALTH_WARNING, "try again when there is less to do",
                    "'%s': the check of its pages was not done in time", path);
        return -ETIMEDOUT;
    }
    const char *text =
        rc == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : sqlite3_errmsg(db);
    if (rc == SQLITE_ROW && sb_streq(text, "ok"))
        return 0;
    say_damaged(path, text ? text : "no reason given", exam);
    return -EUCLEAN;
}

static int64_t size_of(const char *path, const char *suffix)
{
    struct stat st;
    sb_cleanup(sb_freep) char *name = sb_format("%s%s", path, suffix);
    return name && stat(name, &st) == 0 ? (int64_t)st.st_size : 0;
}

static int check_schema(sqlite3 *db, const char *path, int *ret, struct sb_exam *exam)
{
    sb_cleanup(sb_freep) char *error = NULL;
    int r = sb_schema_check(db, path, sb_sql_migration_count, ret, &error);
    if (r == -EUCLEAN)
        say_damaged(path, "it cannot be read as a database", exam);
    else if (r < 0)
        sb_exam_say(exam, SB_HEALTH_FAILED,
                    r == -EPROTONOSUPPORT ? NULL : "is the file readable for the daemon's user?",
                    "%s", error ? error : strerror(-r));
    return r;
}

void sb_sqlite_examine(const char *path, int64_t wait, struct sb_exam *exam)
{
    sb_cleanup(sqlite3_closep) sqlite3 *db = NULL;
    int64_t until = now_ms() + wait;
    int schema = 0;
    int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, "PRAGMA busy_timeout = 2000", NULL, NULL, NULL);
    if (rc != SQLITE_OK) {
        sb_cleanup(sb_freep) char *text = sb_sql_error(db, rc, path);
        sb_exam_say(exam, SB_HEALTH_FAILED, "is the file readable for the daemon's user?", "%s",
                    text ? text : path);
        return;
    }
    if (check_schema(db, path, &schema, exam) < 0 || check_pages(db, path, until, exam) < 0)
        return;
    int64_t size = size_of(path, "") + size_of(path, "-wal");
    sb_exam_say(exam, SB_HEALTH_OK, NULL, "'%s': intact, schema %d%s, %lld KiB", path, schema,
                schema < sb_sql_migration_count ? " (older; the daemon's start renews it)" : "",
                (long long)(size / 1024));
}
