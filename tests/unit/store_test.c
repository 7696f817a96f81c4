/* SPDX-License-Identifier: Apache-2.0 */
/* What every backend owes the store: the same tests over memory and over SQLite. */
#include "tests/unit/store_world.h"

#include <signal.h>
#include <sys/resource.h>

#include "tests/fakes/store_mem.h"

/* ---- the two backends ---- */

static void mem_create(struct world *w)
{
    assert_int_equal(sb_store_mem_new(&w->disk), 0);
}

static void mem_start(struct world *w)
{
    assert_int_equal(sb_store_mem_start(w->disk, w->loop, &w->store), 0);
}

static void mem_break(struct world *w)
{
    sb_store_mem_fail_next(w->disk, 1000, -EFBIG);
}

static void mem_repair(struct world *w)
{
    sb_store_mem_fail_next(w->disk, 0, 0);
}

static void mem_destroy(struct world *w)
{
    sb_store_mem_free(w->disk);
}

static void limit_files(rlim_t bytes)
{
    const struct rlimit limit = { bytes, RLIM_INFINITY };

    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* No file can grow: every write of the log fails in the kernel, for root too. */
static void sqlite_break(struct world *w)
{
    (void)w;
    limit_files(0);
}

static void sqlite_repair(struct world *w)
{
    (void)w;
    limit_files(RLIM_INFINITY);
}

static const struct backend memory = { "memory",   mem_create,  mem_start, mem_break,
                                       mem_repair, mem_destroy, -EIO };
static const struct backend sqlite = { "sqlite",      sqlite_create,  sqlite_start, sqlite_break,
                                       sqlite_repair, sqlite_destroy, -EFBIG };

static int set_up_memory(void **state)
{
    *state = new_world(&memory);
    return 0;
}

static int set_up_sqlite(void **state)
{
    *state = new_world(&sqlite);
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    w->backend->repair(w);
    free_world(w);
    return 0;
}

/* ---- rows ---- */

static bool numbered(int table)
{
    return table == SB_TABLE_JOB || table == SB_TABLE_TASK || table == SB_TABLE_PARCEL ||
           table == SB_TABLE_AUDIT;
}

/* The row that table holds in these tests: every column differs from table to table. */
static struct sb_row row_of(int table, const json_t *body)
{
    return (struct sb_row){ .id = numbered(table) ? 100 + table : 0,
                            .name = numbered(table) ? NULL : sb_table_name(table),
                            .a = sb_table_name(table),
                            .b = "\xc3\xbc '; --",
                            .state = table,
                            .time = INT64_C(1767571200000) + table,
                            .body = body };
}

static int check_row(void *arg, const struct sb_row *row)
{
    int table = *(int *)arg;
    const struct sb_row want = row_of(table, NULL);

    assert_int_equal(row->id, want.id);
    assert_true(sb_streq(row->name, want.name));
    assert_string_equal(row->a, want.a);
    assert_string_equal(row->b, want.b);
    assert_int_equal(row->state, want.state);
    assert_int_equal(row->time, want.time);
    assert_int_equal(sb_json_int(row->body, "n", -1), table);
    return 77; /* seen */
}

static void put_in_every_table(struct world *w)
{
    for (int table = 0; table < SB_TABLE_MAX_; table++) {
        sb_cleanup(json_decrefp) json_t *body = number_body(table);
        struct sb_row row = row_of(table, body);
        assert_int_equal(sb_store_put(w->store, (enum sb_table)table, &row), 0);
    }
    settle(w);
}

static void check_every_table(struct world *w)
{
    for (int table = 0; table < SB_TABLE_MAX_; table++) {
        const struct sb_query all = { .table = (enum sb_table)table, .state = -1 };
        assert_int_equal(sb_store_query(w->store, &all, check_row, &table), 77);
    }
}

/* Once in memory and once in a file. */
#define BOTH(name)                                                                                 \
    static void name(struct world *w);                                                             \
    SB_TEST(name##_in_memory, set_up_memory, tear_down)                                            \
    {                                                                                              \
        name(*state);                                                                              \
    }                                                                                              \
    SB_TEST(name##_in_sqlite, set_up_sqlite, tear_down)                                            \
    {                                                                                              \
        name(*state);                                                                              \
    }                                                                                              \
    static void name(SB_UNUSED struct world *w)

BOTH(rows_come_back_as_they_were)
{
    put_in_every_table(w);
    check_every_table(w);
    power_off(w);
    power_on(w);
    check_every_table(w);
}

BOTH(rows_are_replaced_and_removed)
{
    put_in_every_table(w);
    for (int table = 0; table < SB_TABLE_MAX_; table++) {
        if (table == SB_TABLE_AUDIT || table == SB_TABLE_META)
            continue; /* append-only; where the store itself writes */
        sb_cleanup(json_decrefp) json_t *body = number_body(-1);
        struct sb_row row = row_of(table, body);
        const struct sb_query old = { .table = (enum sb_table)table, .a = row.a, .state = -1 };
        const struct sb_query new = { .table = (enum sb_table)table, .a = "new", .state = -1 };
        size_t n = 0;
        row.a = "new";
        row.b = NULL;
        assert_int_equal(sb_store_put(w->store, (enum sb_table)table, &row), 0);
        settle(w);
        assert_int_equal(sb_store_query(w->store, &old, count_row, &n), 0);
        assert_int_equal(n, 0);
        assert_int_equal(sb_store_query(w->store, &new, count_row, &n), 0);
        assert_int_equal(n, 1);
        assert_int_equal(sb_store_remove(w->store, (enum sb_table)table, row.id, row.name), 0);
        settle(w);
        assert_int_equal(count_rows(w, (enum sb_table)table), 0);
    }
}

BOTH(the_last_change_of_a_turn_counts)
{
    int table = SB_TABLE_JOB;
    sb_cleanup(json_decrefp) json_t *first = number_body(-5), *last = number_body(table);
    struct sb_row row = row_of(table, first);

    assert_int_equal(sb_store_put(w->store, SB_TABLE_JOB, &row), 0);
    assert_int_equal(sb_store_remove(w->store, SB_TABLE_JOB, row.id, NULL), 0);
    assert_int_equal(sb_store_remove(w->store, SB_TABLE_JOB, 999, NULL), 0); /* never was */
    row.body = last;
    assert_int_equal(sb_store_put(w->store, SB_TABLE_JOB, &row), 0);
    settle(w);
    const struct sb_query all = { .table = SB_TABLE_JOB, .state = -1 };
    assert_int_equal(sb_store_query(w->store, &all, check_row, &table), 77);
    assert_int_equal(count_rows(w, SB_TABLE_JOB), 1);
}

/* ---- order and durability ---- */

struct promise {
    struct world *world;
    size_t place;
    int64_t id;
};

static void kept(void *arg, int error)
{
    struct promise *promise = arg;
    struct world *w = promise->world;
    const struct sb_query one = { .table = SB_TABLE_JOB, .id = promise->id, .state = -1 };
    size_t n = 0;

    assert_int_equal(error, 0);
    assert_int_equal(promise->place, w->told++);
    assert_int_equal(sb_store_query(w->store, &one, count_row, &n), 0);
    assert_int_equal(n, 1);
}

BOTH(functions_run_in_order_when_the_row_is_there)
{
    enum { N = 300 };
    struct promise promises[N];
    struct sb_store_stats stats;

    for (size_t i = 0; i < N; i++) {
        promises[i] = (struct promise){ w, i, (int64_t)i + 1 };
        put_job(w, promises[i].id);
        assert_int_equal(sb_store_then(w->store, kept, &promises[i]), 0);
        if (i % 50 == 49)
            settle(w);
    }
    settle(w);
    assert_int_equal(w->told, N);
    sb_store_stats(w->store, &stats);
    assert_int_equal(stats.batches, 6);
    assert_int_equal(stats.changes, N);
}

/* ---- failure ---- */

struct loss {
    struct world *world;
    int error;
};

static void lost(void *arg, int error)
{
    struct loss *loss = arg;

    loss->error = error;
    loss->world->told++;
}

BOTH(a_failed_commit_and_the_recovery)
{
    struct loss losses[3] = { { w, 1 }, { w, 1 }, { w, 1 } };

    put_job(w, 1);
    settle(w);
    w->backend->break_it(w);
    for (int i = 0; i < 3; i++) {
        put_job(w, 2 + i);
        assert_int_equal(sb_store_then(w->store, lost, &losses[i]), 0);
    }
    run_until(w, failed_once);
    assert_int_equal(w->told, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(losses[i].error, w->error);
    assert_int_equal(w->error, -EFBIG);
    assert_false(sb_store_ready(w->store, NULL));
    assert_int_equal(count_rows(w, SB_TABLE_JOB), 1); /* reading goes on */
    w->backend->repair(w);
    run_until(w, recovered_once);
    assert_true(sb_store_ready(w->store, NULL));
    put_job(w, 5);
    settle(w);
    assert_int_equal(count_rows(w, SB_TABLE_JOB), 2);
    assert_int_equal(w->failures, 1);
    power_off(w);
    power_on(w);
    assert_int_equal(count_rows(w, SB_TABLE_JOB), 2); /* what failed does not come back */
}

/* ---- numbers ---- */

BOTH(numbers_are_never_given_twice)
{
    int64_t last = 0;

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 4; i++) {
            int64_t id = sb_store_next_id(w->store, SB_TABLE_JOB);
            assert_true(id > last);
            last = id;
            put_job(w, id);
        }
        settle(w);
        for (int64_t id = 1; id <= last; id++)
            assert_int_equal(sb_store_remove(w->store, SB_TABLE_JOB, id, NULL), 0);
        power_off(w); /* all rows are gone */
        power_on(w);
    }
    assert_int_equal(last, 12); /* without gaps: people read job numbers */
}

BOTH(numbers_of_removed_parcels_neither)
{
    sb_cleanup(json_decrefp) json_t *body = number_body(0);
    int64_t last = 0;

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 1200; i++) {
            int64_t id = sb_store_next_id(w->store, SB_TABLE_PARCEL);
            const struct sb_row row = { .id = id, .body = body };
            assert_true(id > last);
            last = id;
            assert_int_equal(sb_store_put(w->store, SB_TABLE_PARCEL, &row), 0);
            assert_int_equal(sb_store_remove(w->store, SB_TABLE_PARCEL, id, NULL), 0);
        }
        settle(w);
        power_off(w);
        power_on(w);
    }
    assert_int_equal(count_rows(w, SB_TABLE_PARCEL), 0);
    assert_true(last < 3600 + 3 * 1000 + 1);
}

BOTH(a_failed_commit_uses_numbers_up)
{
    int64_t first = sb_store_next_id(w->store, SB_TABLE_JOB);
    int64_t second = sb_store_next_id(w->store, SB_TABLE_JOB);

    w->backend->break_it(w);
    put_job(w, second);
    assert_int_equal(sb_store_remove(w->store, SB_TABLE_JOB, second, NULL), 0); /* with a mark */
    run_until(w, failed_once);
    assert_int_equal(sb_store_next_id(w->store, SB_TABLE_JOB), second + 1);
    w->backend->repair(w);
    run_until(w, recovered_once);
    put_job(w, first);
    settle(w);
    assert_int_equal(sb_store_remove(w->store, SB_TABLE_JOB, first, NULL), 0);
    power_off(w); /* the lost mark must not be relied upon */
    power_on(w);
    assert_true(sb_store_next_id(w->store, SB_TABLE_JOB) > second);
}

BOTH(a_number_from_elsewhere_counts)
{
    put_job(w, 41);
    assert_int_equal(sb_store_next_id(w->store, SB_TABLE_JOB), 42);
    settle(w);
    power_off(w);
    power_on(w);
    assert_int_equal(sb_store_next_id(w->store, SB_TABLE_JOB), 42);
    assert_int_equal(sb_store_next_id(w->store, SB_TABLE_TASK), 1);
}

/* ---- queries ---- */

/* Twelve tasks: device d0..d2 by turns, job "1" or "2", states 0..5 by turns. */
static void fill_tasks(struct world *w)
{
    for (int i = 0; i < 12; i++) {
        sb_cleanup(json_decrefp) json_t *body = number_body(i + 1);
        sb_cleanup(sb_freep) char *device = sb_format("d%d", i % 3);
        const struct sb_row row = { .id = i + 1,
                                    .a = device,
                                    .b = i < 6 ? "1" : "2",
                                    .state = i % 6,
                                    .time = 1000 - i,
                                    .body = body };
        assert_int_equal(sb_store_put(w->store, SB_TABLE_TASK, &row), 0);
    }
    settle(w);
}

static int add_key(void *arg, const struct sb_row *row)
{
    if (row->name)
        sb_str_format(arg, "%s ", row->name);
    else
        sb_str_format(arg, "%d ", (int)row->id);
    return 0;
}

static void expect_keys(struct world *w, const struct sb_query *query, const char *keys)
{
    sb_cleanup(sb_str_done) struct sb_str found = { 0 };

    assert_int_equal(sb_store_query(w->store, query, add_key, &found), 0);
    assert_string_equal(sb_str_get(&found), keys);
}

BOTH(queries_filter)
{
    static const struct {
        struct sb_query query;
        const char *keys;
    } cases[] = {
        { { .state = -1 }, "1 2 3 4 5 6 7 8 9 10 11 12 " },
        { { .state = -1, .id = 7 }, "7 " },
        { { .state = -1, .id = 99 }, "" },
        { { .state = -1, .a = "d1" }, "2 5 8 11 " },
        { { .state = -1, .a = "d1", .b = "2" }, "8 11 " },
        { { .state = -1, .a = "D1" }, "" },
        { { .state = 0 }, "1 7 " },
        { { .state = -1, .state_mask = 1 << 0 | 1 << 5 }, "1 6 7 12 " },
        { { .state = -1, .state_mask = UINT64_C(1) << 63 }, "" },
        { { .state = 5, .state_mask = 1 << 0 | 1 << 5 }, "6 12 " },
        { { .state = 5, .state_mask = 1 << 0 }, "" },
        { { .state = -1, .name = "ignored here" }, "1 2 3 4 5 6 7 8 9 10 11 12 " },
    };
    fill_tasks(w);
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        struct sb_query query = cases[i].query;
        query.table = SB_TABLE_TASK;
        expect_keys(w, &query, cases[i].keys);
    }
}

BOTH(rows_are_counted)
{
    const struct sb_query all = { .table = SB_TABLE_TASK, .state = -1, .limit = 3 };
    const struct sb_query some = { .table = SB_TABLE_TASK, .state = -1, .a = "d2", .after_id = 9 };
    const struct sb_query none = { .table = SB_TABLE_CONVO, .state = -1 };
    const struct sb_query wrong = { .table = SB_TABLE_MAX_, .state = -1 };
    int64_t n, few;

    fill_tasks(w);
    assert_int_equal(sb_store_count(w->store, &all, &n), 0);
    assert_int_equal(n, 12);
    assert_int_equal(sb_store_count(w->store, &some, &few), 0);
    assert_in_range(few, 1, 3);
    assert_int_equal(sb_store_count(w->store, &none, &n), 0);
    assert_int_equal(n, 0);
    assert_int_equal(sb_store_count(w->store, &wrong, &n), -EINVAL);
}

static void put_large(struct world *w, int from, int to)
{
    sb_cleanup(sb_freep) char *text = calloc(1, 4001);
    assert_non_null(text);
    memset(text, 'x', 4000);
    for (int i = from; i < to; i++) {
        sb_cleanup(json_decrefp) json_t *body = json_pack("{s:s}", "text", text);
        assert_int_equal(
            sb_store_put(w->store, SB_TABLE_JOB, &(struct sb_row){ .id = i, .body = body }), 0);
    }
    settle(w);
}

/* What is removed leaves room, and the next rows take it: the file stays as large as it was. */
BOTH(room_of_removed_rows_is_used_again)
{
    struct sb_store_size empty, full, half, again;

    assert_int_equal(sb_store_measure(w->store, &empty), 0);
    put_large(w, 1, 201);
    assert_int_equal(sb_store_measure(w->store, &full), 0);
    assert_true(full.used >= empty.used + 200 * 4000);
    for (int i = 1; i < 101; i++)
        assert_int_equal(sb_store_remove(w->store, SB_TABLE_JOB, i, NULL), 0);
    settle(w);
    assert_int_equal(sb_store_measure(w->store, &half), 0);
    assert_true(half.used <= full.used - 90 * 4000);
    put_large(w, 201, 291);
    assert_int_equal(sb_store_measure(w->store, &again), 0);
    assert_true(again.used > half.used);
    assert_true(again.file <= full.file);
}

BOTH(queries_page)
{
    static const struct {
        int64_t after;
        bool newest;
        size_t limit;
        const char *keys;
    } cases[] = {
        { 0, false, 5, "1 2 3 4 5 " },   { 5, false, 5, "6 7 8 9 10 " },
        { 10, false, 5, "11 12 " },      { 12, false, 5, "" },
        { 0, true, 5, "12 11 10 9 8 " }, { 8, true, 5, "7 6 5 4 3 " },
        { 3, true, 5, "2 1 " },          { 1, true, 5, "" },
        { 11, false, 0, "12 " },
    };
    fill_tasks(w);
    for (size_t i = 0; i < SB_COUNT(cases); i++)
        expect_keys(w,
                    &(struct sb_query){ .table = SB_TABLE_TASK,
                                        .state = -1,
                                        .after_id = cases[i].after,
                                        .newest_first = cases[i].newest,
                                        .limit = cases[i].limit },
                    cases[i].keys);
    expect_keys(w,
                &(struct sb_query){ .table = SB_TABLE_TASK,
                                    .state = -1,
                                    .a = "d2",
                                    .after_id = 9,
                                    .newest_first = true,
                                    .limit = 2 },
                "6 3 ");
}

BOTH(named_tables_sort_by_name_or_time)
{
    static const struct {
        const char *name;
        int64_t time;
    } packages[] = { { "pump", 3 }, { "Anna", 1 }, { "zwei", 2 }, { "pump2", 3 } };
    sb_cleanup(json_decrefp) json_t *body = number_body(1);

    for (size_t i = 0; i < SB_COUNT(packages); i++)
        assert_int_equal(sb_store_put(w->store, SB_TABLE_PACKAGE,
                                      &(struct sb_row){ .name = packages[i].name,
                                                        .time = packages[i].time,
                                                        .body = body }),
                         0);
    settle(w);
    const enum sb_table table = SB_TABLE_PACKAGE;
    expect_keys(w, &(struct sb_query){ .table = table, .state = -1 }, "Anna pump pump2 zwei ");
    expect_keys(w, &(struct sb_query){ .table = table, .state = -1, .newest_first = true },
                "pump2 pump zwei Anna ");
    expect_keys(w,
                &(struct sb_query){ .table = table, .state = -1, .newest_first = true, .limit = 1 },
                "pump2 ");
    expect_keys(w, &(struct sb_query){ .table = table, .state = -1, .name = "pump" }, "pump ");
    expect_keys(w, &(struct sb_query){ .table = table, .state = -1, .id = 5 },
                "Anna pump pump2 zwei ");
}

static int stop_at_three(void *arg, const struct sb_row *row)
{
    ++*(size_t *)arg;
    return row->id == 3 ? -ECANCELED : 0;
}

BOTH(the_reader_may_stop_a_query)
{
    const struct sb_query all = { .table = SB_TABLE_TASK, .state = -1 };
    size_t n = 0;

    fill_tasks(w);
    assert_int_equal(sb_store_query(w->store, &all, stop_at_three, &n), -ECANCELED);
    assert_int_equal(n, 3);
}

struct nested {
    struct world *world;
    size_t rows;
};

static int query_and_put(void *arg, const struct sb_row *row)
{
    struct nested *nested = arg;

    nested->rows += count_rows(nested->world, SB_TABLE_TASK);
    put_job(nested->world, row->id);
    return 0;
}

BOTH(a_query_may_query_and_put)
{
    const struct sb_query all = { .table = SB_TABLE_TASK, .state = -1 };
    struct nested nested = { w, 0 };

    fill_tasks(w);
    assert_int_equal(sb_store_query(w->store, &all, query_and_put, &nested), 0);
    assert_int_equal(nested.rows, 144);
    settle(w);
    assert_int_equal(count_rows(w, SB_TABLE_JOB), 12);
}

static int append_body(void *arg, const struct sb_row *row)
{
    return json_array_append(arg, (json_t *)row->body);
}

BOTH(a_body_keeps_every_kind_of_value)
{
    const char *text = "{\"text\":\"\\u0001\\\"\\\\\xe2\x82\xac\",\"real\":0.10000000000000001,"
                       "\"big\":9223372036854775807,\"none\":null,\"list\":[true,false,{}]}";
    json_t *body = NULL;
    const struct sb_query all = { .table = SB_TABLE_JOB, .state = -1 };
    sb_cleanup(json_decrefp) json_t *back = json_array();

    assert_int_equal(sb_json_parse(text, strlen(text), NULL, &body, NULL), 0);
    assert_int_equal(
        sb_store_put(w->store, SB_TABLE_JOB, &(struct sb_row){ .id = 1, .body = body }), 0);
    json_decref(body); /* the store has its copy */
    settle(w);
    assert_int_equal(sb_store_query(w->store, &all, append_body, back), 0);
    sb_cleanup(sb_freep) char *found = sb_json_text(json_array_get(back, 0));
    assert_string_equal(found, text);
}

int main(void)
{

    (void)signal(SIGXFSZ, SIG_IGN); /* RLIMIT_FSIZE then is an error of write() */
    return sb_tests_run(NULL, NULL);
}
