/* SPDX-License-Identifier: Apache-2.0 */
/* What only a real file can show: syncs, stalls, kills, damage, older and newer schemas. */
#include "tests/unit/store_world.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "bridge/base/crypto.h"
#include "bridge/store/sql.h"

/* ---- the disk's sync, in our hands: the library calls these instead of libc's ---- */

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t change;
    unsigned count;
    bool stall;
    int error;
    unsigned errors; /* so many syncs fail */
} disk = { .mutex = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER };

static int do_sync(void)
{
    int error;

    pthread_mutex_lock(&disk.mutex);
    disk.count++;
    while (disk.stall)
        pthread_cond_wait(&disk.change, &disk.mutex);
    error = disk.errors > 0 ? disk.error : 0;
    disk.errors -= disk.errors > 0;
    pthread_mutex_unlock(&disk.mutex);
    errno = error;
    return error ? -1 : 0;
}

int fdatasync(int fd)
{
    return do_sync() < 0 ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    return do_sync() < 0 ? -1 : (int)syscall(SYS_fsync, fd);
}

static void set_disk(bool stall, unsigned errors)
{
    pthread_mutex_lock(&disk.mutex);
    disk.stall = stall;
    disk.errors = errors;
    disk.error = EIO;
    pthread_cond_broadcast(&disk.change);
    pthread_mutex_unlock(&disk.mutex);
}

static unsigned syncs(void)
{
    pthread_mutex_lock(&disk.mutex);
    unsigned count = disk.count;
    pthread_mutex_unlock(&disk.mutex);
    return count;
}

/* ---- world ---- */

static void nothing(struct world *w)
{
    (void)w;
}

static const struct backend backend = { "sqlite", sqlite_create, sqlite_start,
                                        nothing,  nothing,       sqlite_destroy };

static int set_up(void **state)
{
    *state = new_world(&backend);
    return 0;
}

static int tear_down(void **state)
{
    set_disk(false, 0);
    free_world(*state);
    return 0;
}

static void run_sql(struct world *w, const char *sql)
{
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open(w->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* Opening fails with r and a text that has all of these in it. */
static void expect_refusal(struct world *w, int r, const char *a, const char *b)
{
    sb_cleanup(sb_freep) char *error = NULL;

    assert_int_equal(sb_loop_new(&w->loop), 0);
    assert_int_equal(sqlite_try(w, &error), r);
    assert_null(w->store);
    assert_non_null(error);
    assert_non_null(strstr(error, w->path));
    assert_non_null(strstr(error, a));
    assert_non_null(strstr(error, b));
    w->loop = sb_loop_free(w->loop);
}

/* ---- syncs ---- */

#define T(name) SB_TEST_OF(struct world *w, name, set_up, tear_down)

T(a_batch_is_one_sync)
{
    put_job(w, 1);
    settle(w); /* the first writes the log's header, too */
    unsigned before = syncs();
    for (int i = 2; i <= 21; i++) {
        put_job(w, i);
        put_job(w, i + 1000);
        settle(w);
    }
    assert_int_equal(syncs() - before, 20);
}

static void wait_for_sync(unsigned count)
{
    for (int i = 0; syncs() < count; i++) {
        assert_true(i < 5000);
        (void)poll(NULL, 0, 1); /* another thread's progress: there is nothing to wait on */
    }
}

static bool ten_turns(struct world *w)
{
    put_job(w, 100 + (int64_t)w->told);
    return ++w->told == 10;
}

T(a_stalled_disk_stalls_no_turn)
{
    struct sb_store_stats stats;
    unsigned before = syncs();

    set_disk(true, 0);
    run_until(w, ten_turns);
    wait_for_sync(before + 1);
    assert_int_equal(count_rows(w, SB_TABLE_JOB), 0);
    sb_store_stats(w->store, &stats);
    assert_int_equal(stats.waiting, 10);
    set_disk(false, 0);
    settle(w);
    sb_store_stats(w->store, &stats);
    assert_int_equal(stats.batches, 2); /* what gathered went as one */
    assert_int_equal(count_rows(w, SB_TABLE_JOB), 10);
}

T(a_failed_sync_is_a_failed_commit)
{
    set_disk(false, 1000);
    put_job(w, 1);
    run_until(w, failed_once);
    assert_int_equal(w->error, -EIO);
    assert_int_equal(count_rows(w, SB_TABLE_JOB), 0);
    set_disk(false, 0);
    run_until(w, recovered_once);
    put_job(w, 2);
    settle(w);
    power_off(w);
    power_on(w);
    assert_int_equal(count_rows(w, SB_TABLE_JOB), 1);
}

static void copy_file(const char *from, const char *to)
{
    sb_cleanup(sb_freep) char *bytes = malloc(1 << 20);
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(bytes && in >= 0 && out >= 0);
    for (ssize_t n; (n = read(in, bytes, 1 << 20)) > 0;)
        assert_int_equal(write(out, bytes, (size_t)n), n);
    (void)close(in);
    (void)close(out);
}

static int take_number(void *arg, int count, char **values, char **names)
{
    (void)names;
    *(int *)arg = count == 1 ? atoi(values[0]) : -1;
    return 0;
}

/* What the next start finds if the process is killed now. */
static int jobs_after_a_kill(struct world *w)
{
    sb_cleanup(sb_freep) char *log = sb_format("%s-wal", w->path);
    sb_cleanup(sb_freep) char *copy = sb_format("%s.copy", w->path);
    sb_cleanup(sb_freep) char *copy_log = sb_format("%s-wal", copy);
    sqlite3 *db = NULL;
    int jobs = -1;

    copy_file(w->path, copy);
    copy_file(log, copy_log);
    assert_int_equal(sqlite3_open(copy, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "SELECT count(*) FROM job", take_number, &jobs, NULL), 0);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    (void)unlink(copy);
    return jobs;
}

/* Its rows were written to the log, and only the sync failed: nobody may read them there. */
T(what_failed_is_not_found_after_a_kill)
{
    put_job(w, 1);
    settle(w);
    set_disk(false, 1000);
    put_job(w, 2);
    run_until(w, failed_once);
    assert_int_equal(jobs_after_a_kill(w), 1);
    set_disk(false, 0);
    run_until(w, recovered_once);
    assert_int_equal(jobs_after_a_kill(w), 1);
    put_job(w, 3);
    settle(w);
    assert_int_equal(jobs_after_a_kill(w), 2);
}

static bool handed_over(struct world *w)
{
    (void)w;
    return disk.stall && syncs() > 0;
}

T(a_batch_behind_a_failed_one_is_not_written)
{
    put_job(w, 1);
    settle(w);
    pthread_mutex_lock(&disk.mutex);
    disk.count = 0;
    pthread_mutex_unlock(&disk.mutex);
    set_disk(true, 0);
    put_job(w, 2);
    run_until(w, handed_over);
    put_job(w, 3);
    set_disk(false, 1); /* the second batch alone fails */
    power_off(w);       /* hands over the third before anybody knows */
    power_on(w);
    assert_int_equal(count_rows(w, SB_TABLE_JOB), 1);
}

T(what_was_put_last_is_stored_at_a_clean_end)
{
    sb_cleanup(sb_freep) char *log = sb_format("%s-wal", w->path);

    put_job(w, 1);
    power_off(w);
    assert_int_equal(access(log, F_OK), -1); /* folded into the file */
    power_on(w);
    assert_int_equal(count_rows(w, SB_TABLE_JOB), 1);
}

static void expect_small_log(struct world *w)
{
    sb_cleanup(sb_freep) char *log = sb_format("%s-wal", w->path);
    sb_cleanup(json_decrefp) json_t *body = json_object();
    char text[20001] = { 0 };
    struct stat status;

    for (int i = 0; i < 500; i++) {                   /* 10 MB over the same few rows */
        memset(text, 'a' + i % 26, sizeof(text) - 1); /* the same once more would not be written */
        assert_int_equal(sb_json_put_str(body, "text", text), 0);
        const struct sb_row row = { .id = i % 5 + 1, .body = body };
        assert_int_equal(sb_store_put(w->store, SB_TABLE_JOB, &row), 0);
        settle(w);
        assert_int_equal(stat(log, &status), 0);
        assert_true(status.st_size <= 9 * 256 * 1024); /* before it is folded */
    }
    assert_true(status.st_size <= 2 * 1024 * 1024);
    assert_int_equal(stat(w->path, &status), 0);
    assert_true(status.st_size <= 1024 * 1024);
}

T(the_log_stays_small)
{
    expect_small_log(w);
}

/* Whose pages are larger. */
T(the_log_of_an_older_store_stays_small)
{
    struct sb_store_size size;

    power_off(w);
    assert_int_equal(unlink(w->path), 0);
    run_sql(w, "PRAGMA page_size = 4096; CREATE TABLE x (a); DROP TABLE x;");
    power_on(w);
    assert_int_equal(sb_store_measure(w->store, &size), 0);
    assert_int_equal(size.file % 4096, 0);
    expect_small_log(w);
}

/* Pages in the log; then it is folded into the file, and the next commit begins it anew. */
static int fold_log(struct world *w)
{
    sb_cleanup(sqlite3_closep) sqlite3 *db = NULL;
    sb_cleanup(sqlite3_finalizep) sqlite3_stmt *statement = NULL;

    assert_int_equal(sqlite3_open(w->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA wal_checkpoint", -1, &statement, NULL), 0);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(statement, 1), sqlite3_column_int(statement, 2));
    return sqlite3_column_int(statement, 1);
}

static int pages_of_put(struct world *w, int64_t id, const char *a, int state)
{
    static int body_number;
    sb_cleanup(json_decrefp) json_t *body = json_pack("{s:i}", "n", ++body_number);
    const struct sb_row row = { .id = id, .a = a, .b = "b", .state = state, .body = body };

    assert_int_equal(sb_store_put(w->store, SB_TABLE_JOB, &row), 0);
    settle(w);
    return fold_log(w);
}

/* Flash wears. */
T(a_row_that_is_found_as_before_costs_one_page)
{
    put_job(w, 1);
    settle(w);
    (void)fold_log(w);
    assert_true(pages_of_put(w, 2, "north", 1) > 1); /* new: its indexes, too */
    assert_int_equal(pages_of_put(w, 2, "north", 1), 1);
    assert_true(pages_of_put(w, 2, "north", 2) > 1);
    assert_int_equal(pages_of_put(w, 2, "north", 2), 1);
    assert_true(pages_of_put(w, 2, "south", 2) > 1);
    assert_int_equal(pages_of_put(w, 2, "south", 2), 1);
    assert_true(pages_of_put(w, 2, NULL, 2) > 1);
    assert_int_equal(pages_of_put(w, 2, NULL, 2), 1);
    assert_int_equal(count_rows(w, SB_TABLE_JOB), 2);
}

/* ---- kills ---- */

struct child {
    struct world *world;
    int out;
    int64_t next;
};

/* Tells the number that is durable now, puts the next. */
static void acknowledge(void *arg, int error)
{
    struct child *child = arg;
    int64_t id = child->next++;

    if (error || write(child->out, &id, sizeof(id)) != sizeof(id))
        _exit(1);
    put_job(child->world, child->next);
    if (sb_store_then(child->world->store, acknowledge, child) < 0)
        _exit(1);
}

static _Noreturn void commit_for_ever(struct world *w, int out, int64_t first)
{
    struct child child = { w, out, first };

    power_on(w);
    put_job(w, first);
    if (sb_store_then(w->store, acknowledge, &child) == 0)
        (void)sb_loop_run(w->loop);
    _exit(1);
}

static int64_t read_number(int fd)
{
    struct pollfd ready = { .fd = fd, .events = POLLIN };
    int64_t id;

    assert_true(poll(&ready, 1, 20000) == 1);
    return read(fd, &id, sizeof(id)) == sizeof(id) ? id : 0;
}

/* Kills a child after some acknowledgements and returns the last one it gave. */
static int64_t kill_one(struct world *w, int64_t first, uint32_t after)
{
    int ends[2], status;
    int64_t last = 0, id;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        commit_for_ever(w, ends[1], first);
    (void)close(ends[1]);
    for (uint32_t i = 0; i <= after; i++)
        last = read_number(ends[0]);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    while ((id = read_number(ends[0])) != 0)
        last = id;
    (void)close(ends[0]);
    return last;
}

static int expect_next(void *arg, const struct sb_row *row)
{
    int64_t *next = arg;

    assert_int_equal(row->id, *next);
    assert_int_equal(sb_json_int(row->body, "n", 0), *next);
    ++*next;
    return 0;
}

T(a_killed_process_loses_nothing_it_acknowledged)
{
    int64_t first = 1;

    power_off(w);
    for (int round = 0; round < 8; round++) {
        const struct sb_query all = { .table = SB_TABLE_JOB, .state = -1 };
        int64_t acknowledged = kill_one(w, first, sb_random(40));
        int64_t next = 1;
        assert_true(acknowledged >= first);
        power_on(w);
        assert_int_equal(sb_store_query(w->store, &all, expect_next, &next), 0);
        assert_true(next > acknowledged);      /* all of them ... */
        assert_true(next <= acknowledged + 2); /* ... and at most the one under way */
        assert_int_equal(sb_store_next_id(w->store, SB_TABLE_JOB), next);
        first = next;
        power_off(w);
    }
    power_on(w);
}

/* ---- files that are not as they should be ---- */

T(a_newer_schema_is_refused_and_left_alone)
{
    put_job(w, 1);
    settle(w);
    power_off(w);
    run_sql(w, "PRAGMA user_version = 99");
    expect_refusal(w, -EPROTONOSUPPORT, "schema 99", "install the version that wrote it");
    run_sql(w, "PRAGMA user_version = 1");
    power_on(w);
    assert_int_equal(count_rows(w, SB_TABLE_JOB), 1);
}

T(a_foreign_database_is_refused)
{
    power_off(w);
    assert_int_equal(unlink(w->path), 0);
    run_sql(w, "CREATE TABLE job (id INTEGER)");
    expect_refusal(w, -EPROTONOSUPPORT, "another program", "move this one away");
    assert_int_equal(unlink(w->path), 0);
    power_on(w);
}

static void overwrite(const char *path, off_t at, size_t n)
{
    sb_cleanup(sb_closep) int fd = open(path, O_WRONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(pwrite(fd, "garbage!", 8, at + (off_t)(8 * i)), 8);
}

T(garbage_is_refused)
{
    power_off(w);
    overwrite(w->path, 0, 64);
    expect_refusal(w, -EUCLEAN, "damaged", "restore the file from a backup");
    assert_int_equal(unlink(w->path), 0);
    power_on(w);
}

T(damage_inside_shows_when_it_is_read)
{
    sb_cleanup(json_decrefp) json_t *body = json_object();
    char text[3000] = { 0 };
    size_t n = 0;
    struct stat status;
    const struct sb_query all = { .table = SB_TABLE_JOB, .state = -1 };

    memset(text, 'x', sizeof(text) - 1);
    assert_int_equal(sb_json_put_str(body, "text", text), 0);
    for (int i = 1; i <= 100; i++)
        assert_int_equal(
            sb_store_put(w->store, SB_TABLE_JOB, &(struct sb_row){ .id = i, .body = body }), 0);
    power_off(w);
    assert_int_equal(stat(w->path, &status), 0);
    overwrite(w->path, status.st_size / 4096 / 2 * 4096, 512 * 8); /* eight pages in the middle */
    power_on(w);
    assert_int_equal(sb_store_query(w->store, &all, count_row, &n), -EUCLEAN);
}

T(a_body_that_is_no_json_is_damage)
{
    size_t n = 0;
    const struct sb_query all = { .table = SB_TABLE_JOB, .state = -1 };

    power_off(w);
    run_sql(w, "INSERT INTO job (id, state, time, body) VALUES (1, 0, 0, '{\"open\":'), "
               "(2, 0, 0, '{}')");
    power_on(w);
    assert_int_equal(sb_store_query(w->store, &all, count_row, &n), -EUCLEAN);
    assert_int_equal(n, 0);
}

T(a_missing_directory_is_named)
{
    char *good = w->path;

    power_off(w);
    w->path = sb_format("%s/none/store.db", w->directory);
    expect_refusal(w, -ENOENT, "/none' does not exist", "create it");
    free(w->path);
    w->path = sb_format("%s/sub", w->directory); /* not a file */
    assert_int_equal(mkdir(w->path, 0700), 0);
    expect_refusal(w, -EISDIR, "cannot be opened", "writable");
    free(w->path);
    w->path = good;
    power_on(w);
}

T(two_southbridges_do_not_share_a_store)
{
    struct world other = { .path = w->path, .directory = w->directory };

    expect_refusal(&other, -EBUSY, "in use", "another southbridge");
    put_job(w, 1); /* the first goes on */
    settle(w);
    assert_int_equal(count_rows(w, SB_TABLE_JOB), 1);
}

static mode_t mode_of(const char *path)
{
    struct stat status;

    assert_int_equal(stat(path, &status), 0);
    return status.st_mode & 07777;
}

T(only_its_owner_reads_it)
{
    sb_cleanup(sb_freep) char *log = sb_format("%s-wal", w->path);

    put_job(w, 1);
    settle(w);
    assert_int_equal(mode_of(w->path), 0600);
    assert_int_equal(mode_of(log), 0600);
    power_off(w);
    assert_int_equal(chmod(w->path, 0644), 0);
    power_on(w);
    assert_int_equal(mode_of(w->path), 0600);
}

/* ---- migrations ---- */

static int schema_of(sqlite3 *db)
{
    sb_cleanup(sqlite3_finalizep) sqlite3_stmt *statement = NULL;

    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &statement, NULL), 0);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    return sqlite3_column_int(statement, 0);
}

T(migrations_run_once_each_and_whole)
{
    const char *const migrations[] = {
        sb_sql_migrations[0], "CREATE TABLE two (n); INSERT INTO two VALUES (2);",
        "INSERT INTO two VALUES (3); CREATE TABLE job (already TEXT);", /* fails half-way */
    };
    sb_cleanup(sb_freep) char *error = NULL;
    sqlite3 *db = NULL;

    power_off(w);
    assert_int_equal(sqlite3_open(w->path, &db), SQLITE_OK);
    assert_int_equal(schema_of(db), 1);
    assert_int_equal(sb_schema_migrate(db, w->path, migrations, 2, &error), 0);
    assert_int_equal(sb_schema_migrate(db, w->path, migrations, 2, &error), 0);
    assert_int_equal(schema_of(db), 2);
    assert_null(error);
    assert_true(sb_schema_migrate(db, w->path, migrations, 3, &error) < 0);
    assert_non_null(strstr(error, "already exists"));
    assert_int_equal(schema_of(db), 2);
    assert_int_equal(sqlite3_exec(db, "DELETE FROM two", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_changes(db), 1); /* the third's row went with its transaction */
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    run_sql(w, "PRAGMA user_version = 1");
    power_on(w);
}

/* ---- audit ---- */

static int put_audit(struct world *w, int64_t id)
{
    sb_cleanup(json_decrefp) json_t *body = number_body(id);

    return sb_store_put(w->store, SB_TABLE_AUDIT, &(struct sb_row){ .id = id, .body = body });
}

T(audit_rows_stay)
{
    for (int64_t id = 1; id <= 3; id++)
        assert_int_equal(put_audit(w, id), 0);
    settle(w);
    assert_int_equal(sb_store_remove(w->store, SB_TABLE_AUDIT, 1, NULL), 0); /* retention */
    settle(w);
    assert_int_equal(count_rows(w, SB_TABLE_AUDIT), 2);
    assert_int_equal(sb_store_remove(w->store, SB_TABLE_AUDIT, 3, NULL), 0);
    run_until(w, failed_once);
    run_until(w, recovered_once);
    assert_int_equal(put_audit(w, 2), 0); /* over an old one */
    w->failures = w->recoveries = 0;
    run_until(w, failed_once);
    assert_int_equal(count_rows(w, SB_TABLE_AUDIT), 2);
}
