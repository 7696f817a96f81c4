/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "bridge/audit.h"
#include "bridge/base/crypto.h"
#include "bridge/base/str.h"
#include "tests/fakes/loop_sim.h"
#include "tests/fakes/starved.h"
#include "tests/fakes/store_mem.h"
#include "tests/test.h"

#define WALL INT64_C(1767571200123)

struct world {
    struct sb_store_mem *disk;
    struct sb_loop *loop;
    struct sb_store *store;
    struct sb_audit *audit;
};

/* As the core does; what it makes anew the tests make anew themselves. */
static void on_recovery(void *arg)
{
    sb_store_renew(((struct world *)arg)->store);
}

static void power_on(struct world *w)
{
    assert_int_equal(sb_loop_new(&w->loop), 0);
    assert_int_equal(sb_store_mem_start(w->disk, w->loop, &w->store), 0);
    sb_store_on_recovery(w->store, on_recovery, w);
    assert_int_equal(sb_audit_new(w->store, &w->audit), 0);
}

static void power_off(struct world *w)
{
    w->audit = sb_audit_free(w->audit);
    w->store = sb_store_free(w->store);
    w->loop = sb_loop_free(w->loop);
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    assert_int_equal(sb_store_mem_new(&w->disk), 0);
    power_on(w);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    power_off(w);
    sb_store_mem_free(w->disk);
    free(w);
    return 0;
}

static void add(struct world *w, const char *verb, const char *subject, const json_t *detail)
{
    assert_int_equal(sb_audit_add(w->audit, "link factory", verb, subject, WALL, detail), 0);
}

static int collect(void *arg, const struct sb_row *row)
{
    return json_array_append(arg, (json_t *)row->body);
}

/* All records, oldest first. */
static json_t *records(struct world *w)
{
    const struct sb_query all = { .table = SB_TABLE_AUDIT, .state = -1 };
    json_t *list = json_array();

    sb_sim_advance(w->loop, 0);
    assert_int_equal(sb_store_query(w->store, &all, collect, list), 0);
    return list;
}

/* How many records hold before the first break. */
static size_t verified(const json_t *list, size_t from)
{
    struct sb_audit_check check = { 0 };
    size_t i = from;

    while (i < json_array_size(list) && sb_audit_verify(&check, json_array_get(list, i)) == 0)
        i++;
    return i - from;
}

#define T(name) SB_TEST_OF(struct world *w, name, set_up, tear_down)

T(a_record_says_who_what_and_when)
{
    sb_cleanup(json_decrefp) json_t *detail = json_pack("{s:s}", "op", "reboot");
    sb_cleanup(json_decrefp) json_t *list = NULL;

    add(w, "submit", "job 7", detail);
    list = records(w);
    assert_int_equal(json_array_size(list), 1);
    const json_t *record = json_array_get(list, 0);
    assert_int_equal(sb_json_int(record, "id", 0), 1);
    assert_int_equal(sb_json_int(record, "time", 0), WALL);
    assert_string_equal(sb_json_str(record, "actor"), "link factory");
    assert_string_equal(sb_json_str(record, "verb"), "submit");
    assert_string_equal(sb_json_str(record, "subject"), "job 7");
    assert_string_equal(sb_json_str(sb_json_object(record, "detail"), "op"), "reboot");
    assert_string_equal(sb_json_str(record, "previous"), "");
}

/* The formula of the header, computed here by hand. */
T(the_hash_is_what_the_header_says)
{
    sb_cleanup(json_decrefp) json_t *list = NULL;

    add(w, "submit", "job 7", NULL);
    add(w, "state", "task 9", NULL);
    list = records(w);
    const json_t *first = json_array_get(list, 0), *second = json_array_get(list, 1);
    sb_cleanup(sb_freep) char *text =
        sb_format("%s\n{\"actor\":\"link factory\",\"id\":2,\"previous\":\"%s\",\"subject\":"
                  "\"task 9\",\"time\":1767571200123,\"verb\":\"state\"}",
                  sb_json_str(first, "hash"), sb_json_str(first, "hash"));
    sb_cleanup(sb_freep) char *hash = sb_sha256_hex(text, strlen(text));
    assert_string_equal(sb_json_str(second, "hash"), hash);
}

T(found_by_subject_and_actor)
{
    sb_cleanup(json_decrefp) json_t *found = json_array();
    const struct sb_query query = {
        .table = SB_TABLE_AUDIT, .a = "task 9", .b = "link factory", .state = -1
    };

    add(w, "state", "task 8", NULL);
    add(w, "state", "task 9", NULL);
    assert_int_equal(sb_audit_add(w->audit, "uid 0 (root)", "cancel", "task 9", WALL, NULL), 0);
    sb_sim_advance(w->loop, 0);
    assert_int_equal(sb_store_query(w->store, &query, collect, found), 0);
    assert_int_equal(json_array_size(found), 1);
    assert_int_equal(sb_json_int(json_array_get(found, 0), "id", 0), 2);
}

static void fill_five(struct world *w)
{
    for (int i = 1; i <= 5; i++) {
        sb_cleanup(sb_freep) char *subject = sb_format("task %d", i);
        sb_cleanup(json_decrefp) json_t *detail =
            json_pack("{s:i,s:f,s:[s,b,n]}", "n", i, "real", i / 3.0, "list", "\u00e9", 1);
        add(w, "state", subject, detail);
    }
}

T(an_untouched_chain_verifies)
{
    sb_cleanup(json_decrefp) json_t *list = NULL;

    fill_five(w);
    list = records(w);
    assert_int_equal(verified(list, 0), 5);
    assert_int_equal(verified(list, 2), 3); /* retention took the oldest two */
}

T(every_altered_field_shows)
{
    static const char *const fields[] = { "id",      "time",   "actor",    "verb",
                                          "subject", "detail", "previous", "hash" };
    sb_cleanup(json_decrefp) json_t *list = NULL;

    fill_five(w);
    list = records(w);
    for (size_t i = 0; i < SB_COUNT(fields); i++) {
        sb_cleanup(json_decrefp) json_t *forged = json_deep_copy(list);
        json_t *record = json_array_get(forged, 2);
        assert_int_equal(json_object_set_new(record, fields[i], json_string("forged")), 0);
        assert_int_equal(verified(forged, 0), 2);
        json_object_del(record, fields[i]);
        assert_int_equal(verified(forged, 0), 2);
    }
}

T(a_removed_or_moved_record_shows)
{
    sb_cleanup(json_decrefp) json_t *list = NULL, *moved = NULL;

    fill_five(w);
    list = records(w);
    moved = json_copy(list);
    json_array_remove(moved, 1);
    assert_int_equal(verified(moved, 0), 1);
    json_array_insert(moved, 2, json_array_get(list, 1));
    assert_int_equal(verified(moved, 0), 1);
}

/* Somebody rewrites a record and its hash: the next one does not follow. */
T(a_rehashed_record_shows_at_the_next)
{
    struct world other = { 0 };
    sb_cleanup(json_decrefp) json_t *list = NULL, *forged = NULL;

    assert_int_equal(sb_store_mem_new(&other.disk), 0);
    power_on(&other);
    fill_five(w);
    list = records(w);
    add(&other, "state", "task 1", NULL); /* a valid first record with another content */
    forged = records(&other);
    json_array_set(list, 0, json_array_get(forged, 0));
    assert_int_equal(verified(list, 0), 1);
    power_off(&other);
    sb_store_mem_free(other.disk);
}

T(the_first_record_has_no_predecessor)
{
    struct sb_audit_check check = { 0 };
    sb_cleanup(json_decrefp) json_t *list = NULL;

    fill_five(w);
    list = records(w);
    sb_cleanup(json_decrefp) json_t *record = json_copy(json_array_get(list, 3));
    json_object_set_new(record, "id", json_integer(1));
    assert_int_equal(sb_audit_verify(&check, record), -EBADMSG);
    assert_int_equal(sb_audit_verify(&check, NULL), -EBADMSG);
    assert_int_equal(check.expected_id, 0);
}

T(a_restart_continues_the_chain)
{
    sb_cleanup(json_decrefp) json_t *list = NULL;

    fill_five(w);
    power_off(w); /* hands over and waits */
    power_on(w);
    add(w, "start", "core", NULL);
    list = records(w);
    assert_int_equal(verified(list, 0), 6);
}

T(a_lost_batch_leaves_no_gap)
{
    sb_cleanup(json_decrefp) json_t *list = NULL;

    add(w, "submit", "job 1", NULL);
    sb_sim_advance(w->loop, 0);
    sb_store_mem_fail_next(w->disk, 1, -ENOSPC);
    add(w, "submit", "job 2", NULL);
    sb_sim_advance(w->loop, 0);
    assert_int_equal(sb_audit_add(w->audit, "core", "x", "y", WALL, NULL), -EAGAIN);
    sb_audit_free(w->audit);
    assert_int_equal(sb_audit_new(w->store, &w->audit), 0);
    sb_sim_advance(w->loop, 1000); /* the probe works */
    add(w, "submit", "job 3", NULL);
    list = records(w);
    assert_int_equal(verified(list, 0), 2);
    assert_string_equal(sb_json_str(json_array_get(list, 1), "subject"), "job 3");
}

T(secrets_are_redacted_at_every_depth)
{
    sb_cleanup(json_decrefp) json_t *detail =
        json_pack("{s:s,s:{s:[s]}}", "uri", "https://anna:geheim@host/fw.bin?sig=geheim", "deep",
                  "list", "http://host/x?token=geheim");
    sb_cleanup(json_decrefp) json_t *list = NULL;

    add(w, "submit", "job 7 http://u:geheim@h/", detail);
    list = records(w);
    sb_cleanup(sb_freep) char *text = sb_json_text(list);
    assert_null(strstr(text, "geheim"));
    assert_non_null(strstr(text, "fw.bin"));
    assert_non_null(strstr(sb_json_str(detail, "uri"), "geheim")); /* the caller's is untouched */
    assert_int_equal(verified(list, 0), 1);
}

T(a_huge_detail_is_recorded_by_its_digest)
{
    sb_cleanup(json_decrefp) json_t *detail = json_object(), *list = NULL;

    for (int i = 0; i < 2000; i++) {
        sb_cleanup(sb_freep) char *key = sb_format("property %d", i);
        json_object_set_new(detail, key, json_integer(i));
    }
    add(w, "submit", "job 7", detail);
    list = records(w);
    const json_t *kept = sb_json_object(json_array_get(list, 0), "detail");
    assert_true(sb_json_int(kept, "omitted_bytes", 0) > 16384);
    assert_int_equal(strlen(sb_json_str(kept, "sha256")), 64);
    assert_int_equal(verified(list, 0), 1);
}

T(a_damaged_tail_is_no_silent_new_beginning)
{
    sb_cleanup(json_decrefp) json_t *body = json_pack("{s:s}", "hash", "short");
    const struct sb_row row = { .id = 9, .body = body };
    struct sb_audit *audit = NULL;

    assert_int_equal(sb_store_put(w->store, SB_TABLE_AUDIT, &row), 0);
    sb_sim_advance(w->loop, 0);
    assert_int_equal(sb_audit_new(w->store, &audit), -EBADMSG);
    assert_null(audit);
    sb_store_mem_fail_reads(w->disk, 1, -EIO);
    assert_int_equal(sb_audit_new(w->store, &audit), -EIO);
    assert_null(audit);
}

T(an_incomplete_record_is_refused)
{
    assert_int_equal(sb_audit_add(w->audit, NULL, "v", "s", WALL, NULL), -EINVAL);
    assert_int_equal(sb_audit_add(w->audit, "a", NULL, "s", WALL, NULL), -EINVAL);
    assert_int_equal(sb_audit_add(w->audit, "a", "v", NULL, WALL, NULL), -EINVAL);
}

/* ---- trimming ---- */

static void fill(struct world *w, int from, int to)
{
    for (int i = from; i <= to; i++) {
        sb_cleanup(sb_freep) char *subject = sb_format("task %d", i);
        assert_int_equal(sb_audit_add(w->audit, "core", "state", subject, WALL + i, NULL), 0);
    }
    sb_sim_advance(w->loop, 0);
}

static size_t trim(struct world *w, int64_t excess, int64_t before)
{
    size_t n = 999;

    assert_int_equal(sb_audit_trim(w->audit, excess, before, WALL, &n), 0);
    sb_sim_advance(w->loop, 0);
    return n;
}

/* Is it whole, and where does it begin? */
static bool whole(struct world *w, int64_t *ret_first)
{
    struct sb_audit_check check = { 0 };
    sb_cleanup(json_decrefp) json_t *list = records(w);
    size_t i;
    json_t *record;

    json_array_foreach (list, i, record)
        assert_int_equal(sb_audit_verify(&check, record), 0);
    *ret_first = check.first;
    return sb_audit_whole(&check);
}

T(a_trim_is_recorded_and_the_rest_verifies)
{
    int64_t first;

    fill(w, 1, 300);
    assert_int_equal(trim(w, 0, 0), 0);
    assert_int_equal(trim(w, 10, 0), 10);
    assert_int_equal(sb_audit_count(w->audit), 291); /* with the record that says so */
    assert_true(whole(w, &first));
    assert_int_equal(first, 11);
    power_off(w);
    power_on(w);
    assert_int_equal(sb_audit_count(w->audit), 291);
    assert_int_equal(trim(w, 10000, 0), SB_AUDIT_TRIM); /* so many at once */
    assert_true(whole(w, &first));
    assert_int_equal(first, 11 + (int64_t)SB_AUDIT_TRIM);
    while (trim(w, 10000, 0))
        ;
    assert_int_equal(sb_audit_count(w->audit), SB_AUDIT_LEAST + 1);
    assert_true(whole(w, &first));
}

T(a_trim_by_age_ends_at_the_first_younger_one)
{
    int64_t first;

    fill(w, 1, 100);
    assert_int_equal(trim(w, 0, WALL + 1), 0);
    assert_int_equal(trim(w, 0, WALL + 21), 20);
    assert_true(whole(w, &first));
    assert_int_equal(first, 21);
    assert_int_equal(trim(w, 3, WALL + 22), 3); /* the larger of both */
    assert_true(whole(w, &first));
    assert_int_equal(first, 24);
}

/* Without a clock a record has no age: it goes with the next one that has. */
T(records_from_before_the_clock_go_with_their_successor)
{
    int64_t first;

    for (int i = 0; i < 5; i++)
        assert_int_equal(sb_audit_add(w->audit, "core", "state", "task 1", 0, NULL), 0);
    fill(w, 1, 100);
    assert_int_equal(trim(w, 0, WALL + 1), 0);
    assert_int_equal(trim(w, 0, WALL + 2), 6);
    assert_int_equal(trim(w, 2, 0), 2);
    assert_true(whole(w, &first));
    assert_int_equal(first, 9);
}

static int one_less(void *arg, const struct sb_row *row)
{
    struct sb_store *store = arg;

    return sb_store_remove(store, SB_TABLE_AUDIT, row->id, NULL);
}

/* Somebody takes more of the oldest than the trim says: nothing vouches for the rest. */
T(oldest_records_that_were_not_trimmed_show)
{
    const struct sb_query oldest = { .table = SB_TABLE_AUDIT, .state = -1, .limit = 1 };
    int64_t first;

    fill(w, 1, 100);
    assert_int_equal(sb_store_query(w->store, &oldest, one_less, w->store), 0);
    sb_sim_advance(w->loop, 0);
    assert_false(whole(w, &first));
    power_off(w);
    power_on(w);
    assert_int_equal(trim(w, 5, 0), 5); /* what retention itself takes later heals nothing before */
    assert_true(whole(w, &first));      /* but it says from where on the trail is sound */
    assert_int_equal(sb_store_query(w->store, &oldest, one_less, w->store), 0);
    assert_false(whole(w, &first));
}

/* The power goes between a trim and its commit: nothing of it happened, and it works again. */
T(a_lost_trim_is_no_break)
{
    int64_t first;
    size_t n;

    fill(w, 1, 100);
    assert_int_equal(sb_audit_trim(w->audit, 10, 0, WALL, &n), 0);
    sb_store_mem_cut(w->disk);
    power_off(w);
    power_on(w);
    assert_true(whole(w, &first));
    assert_int_equal(first, 1);
    assert_int_equal(trim(w, 10, 0), 10);
    assert_true(whole(w, &first));
    assert_int_equal(first, 11);
    sb_store_mem_fail_reads(w->disk, 1, -EIO);
    assert_int_equal(sb_audit_trim(w->audit, 10, 0, WALL, &n), -EIO);
}

static int after_three(void *arg, const struct sb_row *row)
{
    (void)arg;
    return row->id > 3;
}

/* So many allocations a trim of three needs to read them: the store's stand-in does not fail. */
static int to_read_three(struct world *w)
{
    const struct sb_query oldest = { .table = SB_TABLE_AUDIT, .state = -1, .limit = 6 };

    starved_grant(STARVED_MOST);
    assert_int_equal(sb_store_query(w->store, &oldest, after_three, NULL), 1);
    int n = STARVED_MOST - starved_left();
    starved_grant(STARVED_UNLIMITED);
    return n;
}

/* Its first, second, ... allocation fails: no record goes without one that says so. */
T(a_trim_without_memory_is_no_break)
{
    int64_t first = 1;
    size_t n = 0;

    starved_begin();
    fill(w, 1, 70);
    for (int granted = to_read_three(w); n == 0 && granted < STARVED_MOST; granted++) {
        starved_grant(granted);
        int r = sb_audit_trim(w->audit, 3, 0, WALL, &n);
        starved_grant(STARVED_UNLIMITED);
        assert_true(r == 0 ? n == 3 : r < 0 && n == 0);
        sb_sim_advance(w->loop, 60000); /* a lost turn, and the probe */
        assert_true(whole(w, &first));
        assert_int_equal(first, 1 + (int64_t)n);
        sb_audit_free(w->audit);
        assert_int_equal(sb_audit_new(w->store, &w->audit), 0);
    }
    assert_int_equal(n, 3);
}
