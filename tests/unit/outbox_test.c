/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "bridge/outbox.h"
#include "tests/fakes/loop_sim.h"
#include "tests/fakes/store_mem.h"

#define LINK "factory"

/* ---- a door that writes down what it is given ---- */

struct world {
    struct sb_store_mem *disk;
    struct sb_loop *loop;
    struct sb_store *store;
    struct sb_audit *audit;
    struct sb_outbox *outbox;
    struct sb_outbox_limits limits;
    struct sb_str sent; /* "payload " for each */
    int64_t last;       /* number of the last one */
    unsigned sends;     /* of the last one, before this time */
    int answer;         /* what the door returns */
    void (*inside)(struct world *w, const struct sb_parcel *parcel);
};

static int door_send(void *arg, const struct sb_parcel *parcel)
{
    struct world *w = arg;

    assert_string_equal(parcel->link, LINK);
    sb_str_add_bytes(&w->sent, parcel->payload, parcel->size);
    sb_str_add_char(&w->sent, ' ');
    w->last = parcel->id;
    w->sends = parcel->sends;
    if (w->inside)
        w->inside(w, parcel);
    return w->answer;
}

static void on_failure(void *arg, int error)
{
    struct world *w = arg;

    (void)error;
    assert_int_equal(sb_audit_reload(w->audit), 0);
    assert_int_equal(sb_outbox_reload(w->outbox), 0);
}

static void power_on(struct world *w)
{
    assert_int_equal(sb_loop_new(&w->loop), 0);
    assert_int_equal(sb_store_mem_start(w->disk, w->loop, &w->store), 0);
    sb_store_on_failure(w->store, on_failure, w);
    assert_int_equal(sb_audit_new(w->store, &w->audit), 0);
    assert_int_equal(sb_outbox_new(w->loop, w->store, w->audit, &w->limits, &w->outbox), 0);
    assert_int_equal(sb_outbox_open(w->outbox, LINK, door_send, w), 0);
}

static void power_off(struct world *w)
{
    w->outbox = sb_outbox_free(w->outbox);
    w->audit = sb_audit_free(w->audit);
    w->store = sb_store_free(w->store);
    w->loop = sb_loop_free(w->loop);
}

static void restart(struct world *w, bool cut)
{
    if (cut)
        sb_store_mem_cut(w->disk);
    power_off(w);
    power_on(w);
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    w->limits = (struct sb_outbox_limits){
        .count = 8, .bytes = 1000, .answer_age = SB_HOUR, .final_age = 30 * SB_DAY, .window = 2
    };
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
    sb_str_done(&w->sent);
    free(w);
    return 0;
}

/* ---- in the tests' words ---- */

static struct sb_parcel a_parcel(struct world *w, enum sb_parcel_class class, const char *text)
{
    return (struct sb_parcel){ .link = LINK,
                               .class = class,
                               .topic = "t",
                               .payload = text,
                               .size = strlen(text),
                               .created = sb_loop_wall(w->loop) };
}

static int try_put(struct world *w, enum sb_parcel_class class, const char *text, int64_t *ret_id)
{
    struct sb_parcel parcel = a_parcel(w, class, text);

    return sb_outbox_put(w->outbox, &parcel, ret_id);
}

static int64_t put(struct world *w, enum sb_parcel_class class, const char *text)
{
    int64_t id = 0;

    assert_int_equal(try_put(w, class, text, &id), 0);
    assert_true(id > 0);
    return id;
}

static int64_t put_keyed(struct world *w, enum sb_parcel_class class, const char *key,
                         const char *text)
{
    struct sb_parcel parcel = a_parcel(w, class, text);
    int64_t id = 0;

    parcel.key = key;
    assert_int_equal(sb_outbox_put(w->outbox, &parcel, &id), 0);
    return id;
}

static void turn(struct world *w)
{
    sb_sim_advance(w->loop, 0);
}

static void resume(struct world *w)
{
    sb_outbox_resume(w->outbox, LINK);
    turn(w);
}

static void settle(struct world *w, int64_t id)
{
    sb_outbox_settle(w->outbox, LINK, id);
    turn(w);
}

static void expect_sent(struct world *w, const char *texts)
{
    turn(w);
    assert_string_equal(sb_str_get(&w->sent), texts);
    sb_str_done(&w->sent);
}

static struct sb_outbox_stats stats(struct world *w)
{
    struct sb_outbox_stats stats;

    sb_outbox_stats(w->outbox, LINK, &stats);
    return stats;
}

static size_t stored(struct world *w)
{
    turn(w);
    return sb_store_mem_rows(w->disk, SB_TABLE_PARCEL);
}

static int add_audit(void *arg, const struct sb_row *row)
{
    const json_t *detail = sb_json_object(row->body, "detail");
    const char *what = sb_json_str(detail, "what");

    sb_str_format(arg, "%s %s %s;", sb_json_str(row->body, "subject"),
                  sb_json_str(row->body, "verb"), what ? what : "-");
    return 0;
}

static void expect_audit(struct world *w, const char *text)
{
    const struct sb_query all = { .table = SB_TABLE_AUDIT, .state = -1 };
    sb_cleanup(sb_str_done) struct sb_str found = { 0 };

    turn(w);
    assert_int_equal(sb_store_query(w->store, &all, add_audit, &found), 0);
    assert_string_equal(sb_str_get(&found), text);
}

/* ---- order, window, durability ---- */

static void parcels_leave_in_order_and_within_the_window(void **state)
{
    struct world *w = *state;
    int64_t ids[5];

    for (int i = 0; i < 5; i++)
        ids[i] =
            put(w, i % 2 ? SB_PARCEL_FINAL : SB_PARCEL_PROGRESS, (char[]){ (char)('a' + i), 0 });
    expect_sent(w, ""); /* not up yet */
    resume(w);
    expect_sent(w, "a b ");
    assert_int_equal(stats(w).unsettled, 2);
    assert_int_equal(stats(w).waiting, 5);
    settle(w, ids[1]); /* out of order */
    expect_sent(w, "c ");
    settle(w, ids[0]);
    settle(w, ids[2]);
    expect_sent(w, "d e ");
    settle(w, ids[3]);
    settle(w, ids[4]);
    settle(w, ids[4]); /* once more: nothing */
    expect_sent(w, "");
    assert_int_equal(stats(w).waiting, 0);
    assert_int_equal(stats(w).bytes, 0);
    assert_int_equal(stored(w), 0);
}

static void nothing_leaves_before_it_is_durable(void **state)
{
    struct world *w = *state;

    resume(w);
    sb_store_mem_hold(w->disk, true);
    put(w, SB_PARCEL_FINAL, "a");
    put(w, SB_PARCEL_PASSING, "b");
    sb_sim_advance(w->loop, 10000);
    expect_sent(w, "");
    sb_store_mem_commit(w->disk);
    expect_sent(w, "a b ");
}

/* A passing parcel put before any change need not wait, but it does not overtake either. */
static void nothing_overtakes(void **state)
{
    struct world *w = *state;

    resume(w);
    put(w, SB_PARCEL_PASSING, "a");
    expect_sent(w, "a ");
    sb_store_mem_hold(w->disk, true);
    put(w, SB_PARCEL_ANSWER, "b");
    turn(w);
    put(w, SB_PARCEL_PASSING, "c");
    expect_sent(w, "");
    sb_store_mem_commit(w->disk);
    expect_sent(w, "b ");
    settle(w, w->last);
    expect_sent(w, "c ");
}

static void what_it_tells_of_and_the_parcel_are_one_commit(void **state)
{
    struct world *w = *state;
    sb_cleanup(json_decrefp) json_t *body = json_object();

    assert_int_equal(
        sb_store_put(w->store, SB_TABLE_TASK, &(struct sb_row){ .id = 9, .body = body }), 0);
    put(w, SB_PARCEL_FINAL, "a");
    turn(w);
    assert_int_equal(sb_store_mem_commits(w->disk), 1);
    assert_int_equal(sb_store_mem_rows(w->disk, SB_TABLE_TASK), 1);
    assert_int_equal(stored(w), 1);
}

/* ---- superseding ---- */

static void newer_progress_takes_the_place_of_older(void **state)
{
    struct world *w = *state;
    int64_t first = put_keyed(w, SB_PARCEL_PROGRESS, "task 1", "10%");

    put(w, SB_PARCEL_ANSWER, "x");
    assert_int_equal(put_keyed(w, SB_PARCEL_PROGRESS, "task 1", "20%"), first);
    turn(w);
    assert_int_equal(put_keyed(w, SB_PARCEL_PROGRESS, "task 1", "30%"), first);
    assert_true(put_keyed(w, SB_PARCEL_PROGRESS, "task 2", "1%") > first);
    assert_int_equal(stats(w).waiting, 3);
    assert_int_equal(stats(w).bytes, 3 + 1 + 2 + 3);
    assert_int_equal(stored(w), 3);
    resume(w);
    expect_sent(w, "30% x ");
    restart(w, true);
    resume(w);
    expect_sent(w, "30% x ");
}

static void progress_on_its_way_is_followed_not_changed(void **state)
{
    struct world *w = *state;
    int64_t first = put_keyed(w, SB_PARCEL_PROGRESS, "task 1", "10%");

    resume(w);
    expect_sent(w, "10% ");
    int64_t second = put_keyed(w, SB_PARCEL_PROGRESS, "task 1", "20%");
    assert_true(second > first);
    expect_sent(w, "20% ");
    assert_int_equal(put_keyed(w, SB_PARCEL_PROGRESS, "task 1", "30%"), second + 1);
    assert_int_equal(put_keyed(w, SB_PARCEL_PROGRESS, "task 1", "40%"), second + 1);
    expect_sent(w, "");
    sb_outbox_pause(w->outbox, LINK);
    resume(w);
    expect_sent(w, "10% 20% "); /* the same bytes once more */
    settle(w, first);
    expect_sent(w, "40% ");
}

static void what_was_sent_once_keeps_its_bytes(void **state)
{
    struct world *w = *state;

    put_keyed(w, SB_PARCEL_PROGRESS, "k", "10%");
    resume(w);
    expect_sent(w, "10% ");
    sb_outbox_pause(w->outbox, LINK);
    sb_outbox_resume(w->outbox, LINK);
    put_keyed(w, SB_PARCEL_PROGRESS, "k", "20%"); /* before it goes again */
    expect_sent(w, "10% 20% ");
}

static void a_final_takes_unsent_progress_away(void **state)
{
    struct world *w = *state;

    put_keyed(w, SB_PARCEL_PROGRESS, "task 1", "10%");
    put(w, SB_PARCEL_ANSWER, "x");
    put_keyed(w, SB_PARCEL_FINAL, "task 1", "done");
    put_keyed(w, SB_PARCEL_FINAL, "task 1", "again"); /* a final is never superseded */
    put_keyed(w, SB_PARCEL_PROGRESS, "task 1", "late");
    w->limits.window = 9;
    assert_int_equal(stored(w), 4);
    restart(w, false);
    resume(w);
    expect_sent(w, "x done again late ");
}

static void superseding_waits_for_its_own_commit(void **state)
{
    struct world *w = *state;

    put_keyed(w, SB_PARCEL_PROGRESS, "k", "10%");
    put(w, SB_PARCEL_ANSWER, "x");
    turn(w);
    sb_store_mem_hold(w->disk, true);
    put_keyed(w, SB_PARCEL_PROGRESS, "k", "20%");
    resume(w);
    expect_sent(w, ""); /* nor does the answer overtake it */
    sb_store_mem_commit(w->disk);
    expect_sent(w, "20% x ");
}

/* ---- settling ---- */

static void settling_counts_once_and_only_what_is_durable(void **state)
{
    struct world *w = *state;
    int64_t id = put(w, SB_PARCEL_FINAL, "a");

    sb_outbox_settle(w->outbox, LINK, id); /* cannot have been sent */
    assert_int_equal(stats(w).waiting, 1);
    resume(w);
    expect_sent(w, "a ");
    sb_outbox_settle(w->outbox, LINK, id);
    sb_outbox_settle(w->outbox, LINK, id);
    turn(w);
    assert_int_equal(stats(w).waiting, 0);
    assert_int_equal(stored(w), 0);
}

static int64_t put_token(struct world *w, const char *device, const char *token, const char *text)
{
    struct sb_parcel parcel = a_parcel(w, SB_PARCEL_ANSWER, text);
    int64_t id = 0;

    parcel.device = device;
    parcel.token = token;
    assert_int_equal(sb_outbox_put(w->outbox, &parcel, &id), 0);
    return id;
}

static void a_token_settles_its_parcel(void **state)
{
    struct world *w = *state;
    struct sb_outbox *outbox = w->outbox;

    put_token(w, "d1", "r1", "a");
    put_token(w, "d2", "r1", "b");
    put_token(w, NULL, "r2", "c");
    put_token(w, "d1", NULL, "d");
    assert_false(sb_outbox_settle_token(outbox, LINK, "d1", "r1")); /* not durable: never sent */
    resume(w);
    expect_sent(w, "a b ");
    assert_false(sb_outbox_settle_token(outbox, LINK, "d1", "r9"));
    assert_false(sb_outbox_settle_token(outbox, LINK, NULL, "r1"));
    assert_false(sb_outbox_settle_token(outbox, LINK, "d1", NULL));
    assert_false(sb_outbox_settle_token(outbox, "elsewhere", "d1", "r1"));
    assert_true(sb_outbox_settle_token(outbox, LINK, "d2", "r1"));
    assert_false(sb_outbox_settle_token(outbox, LINK, "d2", "r1"));
    expect_sent(w, "c ");
    assert_true(sb_outbox_settle_token(outbox, LINK, NULL, "r2"));
    assert_true(sb_outbox_settle_token(outbox, LINK, "d1", "r1"));
    expect_sent(w, "d ");
    assert_int_equal(stored(w), 1);
}

static void the_same_token_twice_settles_the_older_that_was_sent(void **state)
{
    struct world *w = *state;

    w->limits.window = 1;
    restart(w, false);
    int64_t first = put_token(w, "d", "r", "a");
    put_token(w, "d", "r", "b");
    resume(w);
    expect_sent(w, "a ");
    assert_int_equal(w->last, first);
    assert_true(sb_outbox_settle_token(w->outbox, LINK, "d", "r"));
    expect_sent(w, "b ");
}

static void an_answer_that_comes_after_a_restart_counts(void **state)
{
    struct world *w = *state;

    put_token(w, "d", "r", "a");
    resume(w);
    expect_sent(w, "a ");
    restart(w, true);
    assert_true(sb_outbox_settle_token(w->outbox, LINK, "d", "r"));
    resume(w);
    expect_sent(w, "");
    assert_int_equal(stored(w), 0);
}

/* ---- links that come and go ---- */

static void resume_sends_the_unsettled_again(void **state)
{
    struct world *w = *state;
    int64_t first = put(w, SB_PARCEL_FINAL, "a");

    put(w, SB_PARCEL_FINAL, "b");
    put(w, SB_PARCEL_FINAL, "c");
    resume(w);
    expect_sent(w, "a b ");
    settle(w, first);
    expect_sent(w, "c ");
    assert_int_equal(w->sends, 0);
    resume(w); /* it is up: no reason to repeat */
    expect_sent(w, "");
    for (unsigned storm = 1; storm <= 20; storm++) {
        sb_outbox_pause(w->outbox, LINK);
        sb_outbox_pause(w->outbox, LINK);
        resume(w);
        expect_sent(w, "b c ");
        assert_int_equal(w->sends, storm);
        assert_int_equal(stats(w).unsettled, 2);
    }
}

static void a_pause_before_the_turn_ends_holds_all(void **state)
{
    struct world *w = *state;

    put(w, SB_PARCEL_FINAL, "a");
    for (int i = 0; i < 5; i++) {
        sb_outbox_resume(w->outbox, LINK);
        sb_outbox_pause(w->outbox, LINK);
    }
    expect_sent(w, "");
}

static void again_means_the_link_is_down(void **state)
{
    struct world *w = *state;

    put(w, SB_PARCEL_FINAL, "a");
    put(w, SB_PARCEL_FINAL, "b");
    w->answer = -EAGAIN;
    resume(w);
    expect_sent(w, "a ");
    sb_sim_advance(w->loop, SB_HOUR);
    put(w, SB_PARCEL_FINAL, "c");
    expect_sent(w, ""); /* no hammering */
    w->answer = 0;
    resume(w);
    expect_sent(w, "a b ");
    assert_int_equal(w->sends, 0);
}

static void what_can_never_be_sent_is_dropped_and_recorded(void **state)
{
    struct world *w = *state;
    struct sb_parcel parcel = a_parcel(w, SB_PARCEL_FINAL, "bad");

    parcel.task = 9;
    parcel.what = "succeeded";
    assert_int_equal(sb_outbox_put(w->outbox, &parcel, NULL), 0);
    w->answer = -EMSGSIZE;
    resume(w);
    expect_sent(w, "bad ");
    w->answer = 0;
    put(w, SB_PARCEL_FINAL, "good");
    expect_sent(w, "good ");
    expect_audit(w, "task 9 dropped succeeded;");
    assert_int_equal(stored(w), 1);
}

static void passing_parcels_live_until_the_link_pauses(void **state)
{
    struct world *w = *state;

    put(w, SB_PARCEL_PASSING, "hello");
    put(w, SB_PARCEL_FINAL, "a");
    assert_int_equal(stored(w), 1);
    resume(w);
    expect_sent(w, "hello a ");
    sb_outbox_pause(w->outbox, LINK);
    resume(w);
    expect_sent(w, "a ");
    put(w, SB_PARCEL_PASSING, "hello2");
    restart(w, false);
    resume(w);
    expect_sent(w, "a ");
}

static void a_closed_lane_keeps_its_parcels(void **state)
{
    struct world *w = *state;
    struct sb_parcel parcel = a_parcel(w, SB_PARCEL_FINAL, "b");

    put(w, SB_PARCEL_FINAL, "a");
    resume(w);
    expect_sent(w, "a ");
    assert_int_equal(sb_outbox_open(w->outbox, LINK, door_send, w), -EEXIST);
    sb_outbox_close(w->outbox, LINK);
    put(w, SB_PARCEL_FINAL, "b");
    resume(w); /* nobody there */
    expect_sent(w, "");
    assert_int_equal(sb_outbox_open(w->outbox, LINK, door_send, w), 0);
    sb_outbox_pause(w->outbox, LINK);
    resume(w);
    expect_sent(w, "a b ");
    parcel.link = "nowhere";
    assert_int_equal(sb_outbox_put(w->outbox, &parcel, NULL), -ENOENT);
    sb_outbox_close(w->outbox, "nowhere");
    sb_outbox_settle(w->outbox, "nowhere", 1);
    resume(w);
}

/* ---- doors that call back from inside send ---- */

static void settle_inside(struct world *w, const struct sb_parcel *parcel)
{
    sb_outbox_settle(w->outbox, LINK, parcel->id);
}

static void a_door_may_settle_while_it_sends(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < 6; i++)
        put(w, i % 2 ? SB_PARCEL_PASSING : SB_PARCEL_FINAL, (char[]){ (char)('a' + i), 0 });
    w->inside = settle_inside; /* QoS 0 */
    resume(w);
    expect_sent(w, "a b c d e f ");
    assert_int_equal(stats(w).waiting, 0);
    assert_int_equal(stats(w).unsettled, 0);
    assert_int_equal(stored(w), 0);
}

static void pause_inside(struct world *w, const struct sb_parcel *parcel)
{
    (void)parcel;
    sb_outbox_pause(w->outbox, LINK);
}

static void a_door_may_pause_while_it_sends(void **state)
{
    struct world *w = *state;

    put(w, SB_PARCEL_PASSING, "a");
    put(w, SB_PARCEL_PASSING, "b");
    put(w, SB_PARCEL_FINAL, "c");
    w->inside = pause_inside;
    resume(w);
    expect_sent(w, "a "); /* and both passing ones are gone */
    w->inside = NULL;
    resume(w);
    expect_sent(w, "c ");
}

static void put_inside(struct world *w, const struct sb_parcel *parcel)
{
    (void)parcel;
    w->inside = NULL;
    assert_true(put_keyed(w, SB_PARCEL_PROGRESS, "k", "20%") > parcel->id);
}

static void a_door_may_put_while_it_sends(void **state)
{
    struct world *w = *state;

    put_keyed(w, SB_PARCEL_PROGRESS, "k", "10%");
    w->inside = put_inside; /* does not change what is in its hand */
    resume(w);
    expect_sent(w, "10% 20% ");
}

/* ---- restarts ---- */

static int look_at_all(void *arg, const struct sb_parcel *parcel)
{
    const struct sb_parcel *want = arg;

    assert_string_equal(parcel->device, want->device);
    assert_string_equal(parcel->key, want->key);
    assert_int_equal(parcel->class, want->class);
    assert_string_equal(parcel->connection, want->connection);
    assert_string_equal(parcel->topic, want->topic);
    assert_int_equal(parcel->size, want->size);
    assert_memory_equal(parcel->payload, want->payload, want->size);
    assert_int_equal(parcel->qos, want->qos);
    assert_string_equal(parcel->token, want->token);
    assert_int_equal(parcel->task, want->task);
    assert_string_equal(parcel->what, want->what);
    assert_int_equal(parcel->created, want->created);
    return 0;
}

static void check_round_trip(struct world *w, const void *payload, size_t size)
{
    struct sb_parcel parcel = { .link = "other",
                                .device = "d\xc3\xa4",
                                .key = "k",
                                .class = SB_PARCEL_FINAL,
                                .connection = "c",
                                .topic = "a/b",
                                .payload = payload,
                                .size = size,
                                .qos = 1,
                                .token = "r",
                                .task = 77,
                                .what = "failed",
                                .created = 123 };

    assert_int_equal(sb_outbox_open(w->outbox, "other", look_at_all, &parcel), 0);
    assert_int_equal(sb_outbox_put(w->outbox, &parcel, NULL), 0);
    restart(w, false);
    assert_int_equal(sb_outbox_open(w->outbox, "other", look_at_all, &parcel), 0);
    sb_outbox_resume(w->outbox, "other");
    turn(w);
    assert_true(sb_outbox_settle_token(w->outbox, "other", parcel.device, "r"));
    restart(w, false);
}

static void a_restart_brings_the_same_bytes(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
    } payloads[] = {
        { "", 0 },
        { "{\"a\":\"b\"}", 9 },
        { "\xe2\x82\xac", 3 },
        { "\xff\xfe", 2 },
        { "a\0b", 3 },
        { "\x01\x02\x03", 3 },
        { "\"\"\"\\\\\\\n\n", 8 },
        { "\xc0\x80", 2 },
        { "\xed\xa0\x80", 3 },
    };
    struct world *w = *state;

    for (size_t i = 0; i < SB_COUNT(payloads); i++)
        check_round_trip(w, payloads[i].bytes, payloads[i].size);
    assert_int_equal(stored(w), 0);
}

static void order_and_numbers_continue_after_a_power_cut(void **state)
{
    struct world *w = *state;
    int64_t last = 0;

    put(w, SB_PARCEL_FINAL, "a");
    turn(w);
    int64_t second = put(w, SB_PARCEL_FINAL, "b");
    turn(w);
    settle(w, second);
    restart(w, true);
    last = put(w, SB_PARCEL_FINAL, "c");
    assert_true(last > second);
    resume(w);
    expect_sent(w, "a c ");
}

static void an_unreadable_parcel_holds_up_no_other(void **state)
{
    struct world *w = *state;
    sb_cleanup(json_decrefp) json_t *body = json_pack("{s:s}", "topic", "t"); /* no payload */
    const struct sb_row row = { .id = 5, .a = LINK, .state = SB_PARCEL_FINAL, .body = body };

    assert_int_equal(sb_store_put(w->store, SB_TABLE_PARCEL, &row), 0);
    put(w, SB_PARCEL_FINAL, "a");
    restart(w, false);
    resume(w);
    expect_sent(w, "a ");
    power_off(w);
    assert_int_equal(sb_loop_new(&w->loop), 0);
    assert_int_equal(sb_store_mem_start(w->disk, w->loop, &w->store), 0);
    assert_int_equal(sb_audit_new(w->store, &w->audit), 0);
    sb_store_mem_fail_reads(w->disk, 1, -EIO);
    assert_int_equal(sb_outbox_new(w->loop, w->store, w->audit, &w->limits, &w->outbox), -EIO);
}

/* ---- failed commits ---- */

static void a_lost_batch_takes_its_parcels_with_it(void **state)
{
    struct world *w = *state;

    put(w, SB_PARCEL_FINAL, "kept");
    turn(w);
    sb_store_mem_fail_next(w->disk, 1, -ENOSPC);
    put(w, SB_PARCEL_FINAL, "lost");
    put(w, SB_PARCEL_PASSING, "lost too");
    turn(w);
    assert_int_equal(stats(w).waiting, 1);
    assert_int_equal(try_put(w, SB_PARCEL_FINAL, "x", NULL), -EAGAIN);
    put(w, SB_PARCEL_PASSING, "refused"); /* can be said all the same */
    resume(w);
    expect_sent(w, "kept refused ");
    sb_sim_advance(w->loop, 1000);
    put(w, SB_PARCEL_FINAL, "later");
    settle(w, w->last);
    expect_sent(w, "later ");
}

static void a_lost_superseding_brings_the_older_back(void **state)
{
    struct world *w = *state;

    put_keyed(w, SB_PARCEL_PROGRESS, "k", "10%");
    turn(w);
    sb_store_mem_fail_next(w->disk, 1, -ENOSPC);
    put_keyed(w, SB_PARCEL_PROGRESS, "k", "20%");
    put_keyed(w, SB_PARCEL_PROGRESS, "k", "30%");
    turn(w);
    assert_int_equal(stats(w).waiting, 1);
    resume(w);
    expect_sent(w, "10% ");
}

static void what_was_settled_is_not_sent_again_while_the_disk_is_full(void **state)
{
    struct world *w = *state;
    struct sb_parcel parcel = a_parcel(w, SB_PARCEL_FINAL, "a");
    int64_t id;

    parcel.what = "succeeded";
    parcel.task = 3;
    assert_int_equal(sb_outbox_put(w->outbox, &parcel, &id), 0);
    resume(w);
    expect_sent(w, "a ");
    sb_store_mem_fail_next(w->disk, 3, -ENOSPC); /* this and two probes */
    settle(w, id);
    assert_int_equal(stats(w).waiting, 0);
    assert_int_equal(stored(w), 1);
    sb_outbox_pause(w->outbox, LINK);
    resume(w);
    expect_sent(w, "");
    expect_audit(w, "");
    sb_sim_advance(w->loop, 10 * SB_SECOND);
    assert_int_equal(stored(w), 0);
    expect_audit(w, "task 3 told succeeded;"); /* once */
    restart(w, false);
    resume(w);
    expect_sent(w, "");
}

static void settled_while_the_store_is_down(void **state)
{
    struct world *w = *state;
    int64_t id = put(w, SB_PARCEL_FINAL, "a");

    resume(w);
    expect_sent(w, "a ");
    sb_store_mem_fail_next(w->disk, 1, -ENOSPC);
    put(w, SB_PARCEL_FINAL, "lost");
    turn(w);
    settle(w, id); /* refused by the store, at once */
    assert_int_equal(stats(w).waiting, 0);
    sb_sim_advance(w->loop, 5 * SB_SECOND);
    assert_int_equal(stored(w), 0);
}

/* ---- bounds ---- */

static void fill(struct world *w, enum sb_parcel_class class, int n)
{
    for (int i = 0; i < n; i++)
        put(w, class, (char[]){ (char)('a' + i), 0 });
}

static void when_full_the_oldest_progress_goes_first(void **state)
{
    struct world *w = *state;

    put(w, SB_PARCEL_FINAL, "f");
    put(w, SB_PARCEL_PROGRESS, "1");
    put(w, SB_PARCEL_PROGRESS, "2");
    fill(w, SB_PARCEL_ANSWER, 5);
    turn(w);
    put(w, SB_PARCEL_FINAL, "g");
    put(w, SB_PARCEL_PROGRESS, "3");
    assert_int_equal(stats(w).waiting, 8);
    assert_int_equal(stored(w), 8);
    w->limits.window = 20;
    restart(w, false);
    resume(w);
    expect_sent(w, "f a b c d e g 3 ");
    expect_audit(w, "");
}

static void answers_go_only_when_old(void **state)
{
    struct world *w = *state;
    struct sb_parcel late;

    fill(w, SB_PARCEL_ANSWER, 8);
    assert_int_equal(try_put(w, SB_PARCEL_FINAL, "f", NULL), -ENOSPC);
    sb_sim_advance(w->loop, SB_HOUR);
    assert_int_equal(try_put(w, SB_PARCEL_FINAL, "f", NULL), -ENOSPC);
    sb_sim_advance(w->loop, 1);
    late = a_parcel(w, SB_PARCEL_FINAL, "f");
    assert_int_equal(sb_outbox_put(w->outbox, &late, NULL), 0);
    assert_int_equal(stored(w), 8);
    expect_audit(w, "link factory dropped -;");
    resume(w);
    expect_sent(w, "b c ");
}

static void finals_go_last_and_with_a_record(void **state)
{
    struct world *w = *state;
    struct sb_parcel parcel = a_parcel(w, SB_PARCEL_FINAL, "old");

    parcel.what = "failed";
    parcel.device = "pump";
    assert_int_equal(sb_outbox_put(w->outbox, &parcel, NULL), 0);
    fill(w, SB_PARCEL_FINAL, 7);
    assert_int_equal(try_put(w, SB_PARCEL_FINAL, "new", NULL), -ENOSPC);
    sb_sim_advance(w->loop, 30 * SB_DAY + 1);
    assert_int_equal(try_put(w, SB_PARCEL_FINAL, "new", NULL), 0);
    expect_audit(w, "device pump dropped failed;");
    assert_int_equal(stored(w), 8);
}

static void bytes_are_bounded_too(void **state)
{
    struct world *w = *state;
    char text[1001] = { 0 };

    memset(text, 'x', 1000);
    assert_int_equal(try_put(w, SB_PARCEL_FINAL, text, NULL), -ENOSPC); /* 1000 and the topic */
    assert_int_equal(try_put(w, SB_PARCEL_PROGRESS, text + 1, NULL), 0);
    assert_int_equal(stats(w).bytes, 1000);
    put(w, SB_PARCEL_PROGRESS, "small"); /* drops the large one */
    assert_int_equal(stats(w).bytes, 6);
    assert_int_equal(stored(w), 1);
    put_keyed(w, SB_PARCEL_PROGRESS, "k", text + 100);
    put_keyed(w, SB_PARCEL_PROGRESS, "k", text + 7); /* its own predecessor makes the room */
    assert_int_equal(stats(w).bytes, 1000);
}

static void progress_does_not_make_room_for_itself_twice(void **state)
{
    struct world *w = *state;
    char text[850] = { 0 };

    memset(text, 'x', sizeof(text) - 1);
    put_keyed(w, SB_PARCEL_PROGRESS, "k", text + 750); /* 99 and the topic */
    put(w, SB_PARCEL_FINAL, text);                     /* 849 */
    struct sb_parcel large = a_parcel(w, SB_PARCEL_PROGRESS, text + 650);
    large.key = "k";
    assert_int_equal(sb_outbox_put(w->outbox, &large, NULL), -ENOSPC);
    assert_int_equal(stats(w).waiting, 2);
    assert_int_equal(stats(w).bytes, 100 + 850);
}

/* If not all that is needed may go, nothing goes. */
static void nothing_is_dropped_in_vain(void **state)
{
    struct world *w = *state;
    char text[900] = { 0 };

    memset(text, 'x', sizeof(text) - 1);
    put(w, SB_PARCEL_FINAL, text);
    put(w, SB_PARCEL_PROGRESS, "p");
    assert_int_equal(try_put(w, SB_PARCEL_FINAL, text, NULL), -ENOSPC);
    assert_int_equal(stats(w).waiting, 2);
    assert_int_equal(stored(w), 2);
    put(w, SB_PARCEL_FINAL, "small");
    assert_int_equal(stats(w).waiting, 3); /* and nobody stayed chosen */
}

static void what_is_on_its_way_is_not_dropped(void **state)
{
    struct world *w = *state;

    fill(w, SB_PARCEL_PROGRESS, 8);
    resume(w);
    expect_sent(w, "a b ");
    put(w, SB_PARCEL_PROGRESS, "x");
    sb_outbox_pause(w->outbox, LINK);
    resume(w);
    expect_sent(w, "a b ");
    sb_outbox_pause(w->outbox, LINK);
    put(w, SB_PARCEL_PROGRESS, "y"); /* now it is not */
    resume(w);
    expect_sent(w, "b d ");
}

static void full_for_new_work_before_it_is_full_for_reports(void **state)
{
    struct world *w = *state;

    assert_false(sb_outbox_full(w->outbox, "nowhere"));
    fill(w, SB_PARCEL_PROGRESS, 8);
    assert_false(sb_outbox_full(w->outbox, LINK)); /* all of it could go */
    fill(w, SB_PARCEL_FINAL, 6);
    assert_false(sb_outbox_full(w->outbox, LINK));
    put(w, SB_PARCEL_FINAL, "g");
    assert_true(sb_outbox_full(w->outbox, LINK));
    put(w, SB_PARCEL_FINAL, "h");
    assert_int_equal(try_put(w, SB_PARCEL_PROGRESS, "p", NULL), -ENOSPC);
    resume(w);
    settle(w, w->last);
    assert_true(sb_outbox_full(w->outbox, LINK)); /* seven */
    settle(w, w->last);
    assert_false(sb_outbox_full(w->outbox, LINK));
}

static void without_a_clock_nothing_is_old(void **state)
{
    struct world *w = *state;

    sb_sim_set_wall(w->loop, 0);
    fill(w, SB_PARCEL_ANSWER, 8); /* created 0 */
    sb_sim_advance(w->loop, 40 * SB_DAY);
    assert_int_equal(try_put(w, SB_PARCEL_ANSWER, "x", NULL), -ENOSPC);
    assert_int_equal(stats(w).oldest, 0);
    sb_sim_set_wall(w->loop, SB_SIM_WALL); /* ages from here */
    assert_int_equal(try_put(w, SB_PARCEL_ANSWER, "x", NULL), -ENOSPC);
    sb_sim_advance(w->loop, SB_HOUR + 1);
    assert_int_equal(try_put(w, SB_PARCEL_ANSWER, "x", NULL), 0);
}

static void a_clock_that_goes_back_ages_nothing(void **state)
{
    struct world *w = *state;

    fill(w, SB_PARCEL_ANSWER, 8);
    sb_sim_set_wall(w->loop, SB_SIM_WALL - 10 * SB_DAY);
    assert_int_equal(try_put(w, SB_PARCEL_ANSWER, "x", NULL), -ENOSPC);
    assert_int_equal(stats(w).oldest, SB_SIM_WALL);
}

static void bad_parcels_are_refused(void **state)
{
    struct world *w = *state;
    struct sb_parcel parcel = a_parcel(w, SB_PARCEL_FINAL, "a");

    parcel.topic = NULL;
    assert_int_equal(sb_outbox_put(w->outbox, &parcel, NULL), -EINVAL);
    parcel = a_parcel(w, SB_PARCEL_CLASS_MAX_, "a");
    assert_int_equal(sb_outbox_put(w->outbox, &parcel, NULL), -EINVAL);
    parcel = a_parcel(w, SB_PARCEL_FINAL, "a");
    parcel.payload = NULL;
    assert_int_equal(sb_outbox_put(w->outbox, &parcel, NULL), -EINVAL);
    parcel = a_parcel(w, SB_PARCEL_FINAL, "a");
    parcel.link = NULL;
    assert_int_equal(sb_outbox_put(w->outbox, &parcel, NULL), -ENOENT);
    assert_int_equal(stored(w), 0);
}

static void too_large_for_the_store_changes_nothing(void **state)
{
    struct world *w = *state;
    size_t n = 300000;
    sb_cleanup(sb_freep) char *text = calloc(1, n + 1);

    assert_non_null(text);
    memset(text, 'x', n);
    w->limits.bytes = 400000;
    restart(w, false);
    put(w, SB_PARCEL_PROGRESS, text + 200000);
    put(w, SB_PARCEL_PROGRESS, text + 200000);
    assert_int_equal(try_put(w, SB_PARCEL_FINAL, text, NULL), -E2BIG);
    assert_int_equal(stats(w).waiting, 2); /* those that would have made room are still there */
    assert_int_equal(stored(w), 2);
}

/* The largest message of any dialect, whatever is in it. */
static void every_payload_of_128_kib_fits(void **state)
{
    static const char fillings[] = { 'x', '"', '\n', '\1', '\0', '\xff' };
    struct world *w = *state;
    sb_cleanup(sb_freep) char *bytes = malloc(131072);
    struct sb_parcel parcel = a_parcel(w, SB_PARCEL_FINAL, "");

    assert_non_null(bytes);
    w->limits.bytes = 1000000;
    restart(w, false);
    parcel.payload = bytes;
    parcel.size = 131072;
    for (size_t i = 0; i < sizeof(fillings); i++) {
        memset(bytes, fillings[i], parcel.size);
        assert_int_equal(sb_outbox_put(w->outbox, &parcel, NULL), 0);
    }
    assert_int_equal(stored(w), sizeof(fillings));
}

/* ---- the record of what was told ---- */

static void what_was_told_is_recorded_with_its_removal(void **state)
{
    struct world *w = *state;
    struct sb_parcel parcel = a_parcel(w, SB_PARCEL_PROGRESS, "p");
    int64_t progress, passing;

    parcel.task = 9;
    parcel.what = "downloading 50";
    assert_int_equal(sb_outbox_put(w->outbox, &parcel, &progress), 0);
    parcel = a_parcel(w, SB_PARCEL_PASSING, "q");
    parcel.device = "pump";
    parcel.what = "400";
    assert_int_equal(sb_outbox_put(w->outbox, &parcel, &passing), 0);
    int64_t plain = put(w, SB_PARCEL_ANSWER, "r");
    resume(w);
    settle(w, progress);
    uint64_t commits = sb_store_mem_commits(w->disk);
    settle(w, passing);
    assert_int_equal(sb_store_mem_commits(w->disk), commits + 1);
    settle(w, plain);
    expect_audit(w, "task 9 told downloading 50;device pump told 400;");
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(parcels_leave_in_order_and_within_the_window),
        T(nothing_leaves_before_it_is_durable),
        T(nothing_overtakes),
        T(what_it_tells_of_and_the_parcel_are_one_commit),
        T(newer_progress_takes_the_place_of_older),
        T(progress_on_its_way_is_followed_not_changed),
        T(what_was_sent_once_keeps_its_bytes),
        T(a_final_takes_unsent_progress_away),
        T(superseding_waits_for_its_own_commit),
        T(settling_counts_once_and_only_what_is_durable),
        T(a_token_settles_its_parcel),
        T(the_same_token_twice_settles_the_older_that_was_sent),
        T(an_answer_that_comes_after_a_restart_counts),
        T(resume_sends_the_unsettled_again),
        T(a_pause_before_the_turn_ends_holds_all),
        T(again_means_the_link_is_down),
        T(what_can_never_be_sent_is_dropped_and_recorded),
        T(passing_parcels_live_until_the_link_pauses),
        T(a_closed_lane_keeps_its_parcels),
        T(a_door_may_settle_while_it_sends),
        T(a_door_may_pause_while_it_sends),
        T(a_door_may_put_while_it_sends),
        T(a_restart_brings_the_same_bytes),
        T(order_and_numbers_continue_after_a_power_cut),
        T(an_unreadable_parcel_holds_up_no_other),
        T(a_lost_batch_takes_its_parcels_with_it),
        T(a_lost_superseding_brings_the_older_back),
        T(what_was_settled_is_not_sent_again_while_the_disk_is_full),
        T(settled_while_the_store_is_down),
        T(when_full_the_oldest_progress_goes_first),
        T(answers_go_only_when_old),
        T(finals_go_last_and_with_a_record),
        T(bytes_are_bounded_too),
        T(progress_does_not_make_room_for_itself_twice),
        T(nothing_is_dropped_in_vain),
        T(what_is_on_its_way_is_not_dropped),
        T(full_for_new_work_before_it_is_full_for_reports),
        T(without_a_clock_nothing_is_old),
        T(a_clock_that_goes_back_ages_nothing),
        T(bad_parcels_are_refused),
        T(too_large_for_the_store_changes_nothing),
        T(every_payload_of_128_kib_fits),
        T(what_was_told_is_recorded_with_its_removal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
