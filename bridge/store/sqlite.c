/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/store/batch.h"
#include "bridge/store/read.h"
#include "bridge/store/sql.h"
#include "bridge/store/writer.h"

#define LOG_BYTES 2097152L /* as in open.sql */

struct sqlite {
    char *path;
    int lock;
    sqlite3 *reader;
    struct sb_writer *writer;
    struct sb_store *store;
    uint64_t refused; /* a batch that could not even be queued, 0 none */
    struct sb_timer *refusal;
};

/* ---- the backend ---- */

static void on_note(void *arg, struct sb_note *note)
{
    struct sqlite *sqlite = arg;

    sb_store_committed(sqlite->store, note->id, (int)note->value);
}

static void on_refusal(void *arg)
{
    struct sqlite *sqlite = arg;

    sb_store_committed(sqlite->store, sqlite->refused, -ENOMEM);
}

static void commit(void *backend, struct sb_batch *batch)
{
    struct sqlite *sqlite = backend;

    if (sb_writer_add(sqlite->writer, batch) == 0)
        return;
    sqlite->refused = batch->number;
    sb_batch_free(batch);
    sb_timer_in(sqlite->refusal, 0);
}

static int query(void *backend, const struct sb_query *wanted, sb_row_fn fn, void *arg)
{
    struct sqlite *sqlite = backend;
    sb_cleanup(sb_freep) char *text = NULL;
    int r = sb_sql_query(sqlite->reader, wanted, fn, arg);

    if (r == -EUCLEAN) {
        text = sb_sql_error(NULL, SQLITE_CORRUPT, sqlite->path);
        sb_error(NULL, "%s", text ? text : "the store is damaged");
    }
    return r;
}

static int count(void *backend, const struct sb_query *wanted, int64_t *ret)
{
    return sb_sql_count(((struct sqlite *)backend)->reader, wanted, ret);
}

static int measure(void *backend, struct sb_store_size *ret)
{
    return sb_sql_measure(((struct sqlite *)backend)->reader, ret);
}

static void attach(void *backend, struct sb_store *store)
{
    ((struct sqlite *)backend)->store = store;
}

static void release(void *backend)
{
    struct sqlite *sqlite = backend;

    (void)sqlite3_close(sqlite->reader); /* first: the last one tidies the log away */
    sb_writer_free(sqlite->writer);
    sb_timer_free(sqlite->refusal);
    if (sqlite->lock >= 0)
        (void)close(sqlite->lock);
    free(sqlite->path);
    free(sqlite);
}

static const struct sb_backend_ops sqlite_ops = {
    .commit = commit,
    .query = query,
    .count = count,
    .measure = measure,
    .attach = attach,
    .close = release,
};

static inline void releasep(struct sqlite **sqlite)
{
    if (*sqlite)
        release(*sqlite);
}

/* ---- opening ---- */

static int explain_open(const char *path, int error, char **ret_error)
{
    sb_cleanup(sb_freep) char *copy = strdup(path);
    const char *directory = copy ? dirname(copy) : "";

    if (error == -ENOENT)
        *ret_error = sb_format("store '%s': directory '%s' does not exist; create it for the user "
                               "southbridge runs as, or name another in the configuration",
                               path, directory);
    else
        *ret_error = sb_format("store '%s' cannot be opened: %s; file and directory must be "
                               "writable for the user southbridge runs as",
                               path, strerror(-error));
    return error;
}

/* One southbridge per store. The lock goes with the process, however that ends. */
static int take_lock(struct sqlite *sqlite, char **ret_error)
{
    sb_cleanup(sb_freep) char *name = sb_format("%s.lock", sqlite->path);

    if (!name)
        return -ENOMEM;
    sqlite->lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (sqlite->lock < 0)
        return explain_open(sqlite->path, -errno, ret_error);
    if (flock(sqlite->lock, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno != EWOULDBLOCK)
        return explain_open(sqlite->path, -errno, ret_error);
    *ret_error = sb_format("store '%s' is in use by another southbridge; end that one, or name "
                           "another store in the configuration",
                           sqlite->path);
    return -EBUSY;
}

/* SQLite gives -wal and -shm the mode of the file. */
static int make_private(const char *path, char **ret_error)
{
    sb_cleanup(sb_closep) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct stat status;

    if (fd < 0 || fstat(fd, &status) < 0)
        return explain_open(path, -errno, ret_error);
    if (!S_ISREG(status.st_mode))
        return explain_open(path, -EINVAL, ret_error);
    if ((status.st_mode & 077) != 0 && fchmod(fd, 0600) < 0)
        return explain_open(path, -errno, ret_error);
    return 0;
}

static int fail(const struct sqlite *sqlite, sqlite3 *db, int rc, char **ret_error)
{
    *ret_error = sb_sql_error(db, rc, sqlite->path);
    return sb_sql_errno(db, rc);
}

static int connect_to(const struct sqlite *sqlite, const char *settings, sqlite3 **ret,
                      char **ret_error)
{
    sb_cleanup(sqlite3_closep) sqlite3 *db = NULL;
    int rc = sqlite3_open_v2(sqlite->path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, settings, NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        return fail(sqlite, db, rc, ret_error);
    *ret = SB_STEAL(db);
    return 0;
}

/* In bytes: pages of an older store are larger. */
static int bound_log(void *db, int columns SB_UNUSED, char **values, char **names SB_UNUSED)
{
    long page = strtol(values[0], NULL, 10);

    return sqlite3_wal_autocheckpoint(db, (int)(LOG_BYTES / SB_MAX(page, 512L)));
}

static int open_writer(struct sqlite *sqlite, struct sb_loop *loop, char **ret_error)
{
    sb_cleanup(sqlite3_closep) sqlite3 *db = NULL;
    int schema;
    int r = connect_to(sqlite, "PRAGMA busy_timeout = 5000", &db, ret_error);

    if (r == 0) /* before anything is changed: it may be somebody else's */
        r = sb_schema_check(db, sqlite->path, sb_sql_migration_count, &schema, ret_error);
    if (r < 0)
        return r;
    int rc = sqlite3_exec(db, sb_sql_open, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, "PRAGMA page_size", bound_log, db, NULL);
    if (rc != SQLITE_OK)
        r = fail(sqlite, db, rc, ret_error);
    if (r == 0)
        r = sb_schema_migrate(db, sqlite->path, sb_sql_migrations, sb_sql_migration_count,
                              ret_error);
    if (r < 0)
        return r;
    r = sb_writer_new(loop, db, on_note, sqlite, &sqlite->writer);
    if (r < 0) {
        *ret_error = sb_sql_error(db, sqlite3_errcode(db), sqlite->path);
        return r;
    }
    db = NULL;
    return 0;
}

static int open_all(struct sqlite *sqlite, struct sb_loop *loop, char **ret_error)
{
    int r = take_lock(sqlite, ret_error);

    if (r == 0)
        r = make_private(sqlite->path, ret_error);
    if (r == 0)
        r = sb_timer_new(loop, on_refusal, sqlite, &sqlite->refusal);
    if (r == 0)
        r = open_writer(sqlite, loop, ret_error);
    if (r == 0)
        r = connect_to(sqlite, sb_sql_open_reader, &sqlite->reader, ret_error);
    return r;
}

int sb_sqlite_open(struct sb_loop *loop, const char *path, const struct sb_backend_ops **ret_ops,
                   void **ret_backend, char **ret_error)
{
    sb_cleanup(releasep) struct sqlite *sqlite = calloc(1, sizeof(*sqlite));
    sb_cleanup(sb_freep) char *error = NULL;
    int r;

    if (!sqlite)
        return -ENOMEM;
    sqlite->lock = -1;
    r = sb_set_string(&sqlite->path, path);
    if (r == 0)
        r = open_all(sqlite, loop, &error);
    if (r < 0) {
        if (ret_error)
            *ret_error = error ? SB_STEAL(error) : sb_format("store '%s': out of memory", path);
        return r;
    }
    *ret_ops = &sqlite_ops;
    *ret_backend = SB_STEAL(sqlite);
    return 0;
}
