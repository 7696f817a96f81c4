/* SPDX-License-Identifier: Apache-2.0 */
/* Order, superseding, settling, links that come and go, doors that call back. */
#include "tests/unit/outbox_world.h"

/* ---- order, window, durability ---- */

#define T(name) SB_TEST_OF(struct world *w, name, set_up, tear_down)

T(parcels_leave_in_order_and_within_the_window)
{
    int64_t ids[5];

    for (int i = 0; i < 5; i++)
        ids[i] =
            put(w, i % 2 ? SB_PARCEL_FINAL : SB_PARCEL_PROGRESS, (char[]){ (char)('a' + i), 0 });
    expect_sent(w, ""); /* not up yet */
    resume_sends(w, "a b ");
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

T(nothing_leaves_before_it_is_durable)
{
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
T(nothing_overtakes)
{
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

T(what_it_tells_of_and_the_parcel_are_one_commit)
{
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

T(newer_progress_takes_the_place_of_older)
{
    int64_t first = put_keyed(w, SB_PARCEL_PROGRESS, "task 1", "10%");

    put(w, SB_PARCEL_ANSWER, "x");
    assert_int_equal(put_keyed(w, SB_PARCEL_PROGRESS, "task 1", "20%"), first);
    turn(w);
    assert_int_equal(put_keyed(w, SB_PARCEL_PROGRESS, "task 1", "30%"), first);
    assert_true(put_keyed(w, SB_PARCEL_PROGRESS, "task 2", "1%") > first);
    assert_int_equal(stats(w).waiting, 3);
    assert_int_equal(stats(w).bytes, 3 + 1 + 2 + 3);
    assert_int_equal(stored(w), 3);
    resume_sends(w, "30% x ");
    restart(w, true);
    resume_sends(w, "30% x ");
}

T(progress_on_its_way_is_followed_not_changed)
{
    int64_t first = put_keyed(w, SB_PARCEL_PROGRESS, "task 1", "10%");

    resume_sends(w, "10% ");
    int64_t second = put_keyed(w, SB_PARCEL_PROGRESS, "task 1", "20%");
    assert_true(second > first);
    expect_sent(w, "20% ");
    assert_int_equal(put_keyed(w, SB_PARCEL_PROGRESS, "task 1", "30%"), second + 1);
    assert_int_equal(put_keyed(w, SB_PARCEL_PROGRESS, "task 1", "40%"), second + 1);
    expect_sent(w, "");
    sb_outbox_pause(w->outbox, LINK, NULL);
    resume_sends(w, "40% "); /* what the far side may have had is not told after it */
    at_leisure(w);
    assert_int_equal(stored(w), 1);
    settle(w, first);
    assert_int_equal(stored(w), 1);
}

T(what_was_sent_once_keeps_its_bytes)
{
    put_keyed(w, SB_PARCEL_PROGRESS, "k", "10%");
    resume_sends(w, "10% ");
    sb_outbox_pause(w->outbox, LINK, NULL);
    sb_outbox_resume(w->outbox, LINK, NULL);
    put_keyed(w, SB_PARCEL_PROGRESS, "k", "20%"); /* before it goes again */
    expect_sent(w, "10% 20% ");
}

T(a_final_takes_unsent_progress_away)
{
    put_keyed(w, SB_PARCEL_PROGRESS, "task 1", "10%");
    put(w, SB_PARCEL_ANSWER, "x");
    put_keyed(w, SB_PARCEL_FINAL, "task 1", "done");
    put_keyed(w, SB_PARCEL_FINAL, "task 1", "again"); /* a final is never superseded */
    put_keyed(w, SB_PARCEL_PROGRESS, "task 1", "late");
    w->limits.window = 9;
    assert_int_equal(stored(w), 4);
    restart(w, false);
    resume_sends(w, "x done again late ");
}

T(superseding_waits_for_its_own_commit)
{
    put_keyed(w, SB_PARCEL_PROGRESS, "k", "10%");
    put(w, SB_PARCEL_ANSWER, "x");
    turn(w);
    sb_store_mem_hold(w->disk, true);
    put_keyed(w, SB_PARCEL_PROGRESS, "k", "20%");
    resume_sends(w, ""); /* nor does the answer overtake it */
    sb_store_mem_commit(w->disk);
    expect_sent(w, "20% x ");
}

/* ---- settling ---- */

T(settling_counts_once_and_only_what_is_durable)
{
    int64_t id = put(w, SB_PARCEL_FINAL, "a");

    sb_outbox_settle(w->outbox, LINK, id); /* cannot have been sent */
    assert_int_equal(stats(w).waiting, 1);
    resume_sends(w, "a ");
    sb_outbox_settle(w->outbox, LINK, id);
    sb_outbox_settle(w->outbox, LINK, id);
    turn(w);
    assert_int_equal(stats(w).waiting, 0);
    at_leisure(w);
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

T(a_token_settles_its_parcel)
{
    struct sb_outbox *outbox = w->outbox;

    put_token(w, "d1", "r1", "a");
    put_token(w, "d2", "r1", "b");
    put_token(w, NULL, "r2", "c");
    put_token(w, "d1", NULL, "d");
    assert_false(sb_outbox_settle_token(outbox, LINK, "d1", "r1")); /* not durable: never sent */
    resume_sends(w, "a b ");
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
    at_leisure(w);
    assert_int_equal(stored(w), 1);
}

T(the_same_token_twice_settles_the_older_that_was_sent)
{
    w->limits.window = 1;
    restart(w, false);
    int64_t first = put_token(w, "d", "r", "a");
    put_token(w, "d", "r", "b");
    resume_sends(w, "a ");
    assert_int_equal(w->last, first);
    assert_true(sb_outbox_settle_token(w->outbox, LINK, "d", "r"));
    expect_sent(w, "b ");
}

T(an_answer_that_comes_after_a_restart_counts)
{
    put_token(w, "d", "r", "a");
    resume_sends(w, "a ");
    restart(w, true);
    assert_true(sb_outbox_settle_token(w->outbox, LINK, "d", "r"));
    resume_sends(w, "");
    at_leisure(w);
    assert_int_equal(stored(w), 0);
}

/* ---- links that come and go ---- */

T(resume_sends_the_unsettled_again)
{
    int64_t first = put(w, SB_PARCEL_FINAL, "a");

    put(w, SB_PARCEL_FINAL, "b");
    put(w, SB_PARCEL_FINAL, "c");
    resume_sends(w, "a b ");
    settle(w, first);
    expect_sent(w, "c ");
    assert_int_equal(w->sends, 0);
    resume(w); /* it is up: no reason to repeat */
    expect_sent(w, "");
    for (unsigned storm = 1; storm <= 20; storm++) {
        sb_outbox_pause(w->outbox, LINK, NULL);
        sb_outbox_pause(w->outbox, LINK, NULL);
        resume(w);
        expect_sent(w, "b c ");
        assert_int_equal(w->sends, storm);
        assert_int_equal(stats(w).unsettled, 2);
    }
}

T(a_pause_before_the_turn_ends_holds_all)
{
    put(w, SB_PARCEL_FINAL, "a");
    for (int i = 0; i < 5; i++) {
        sb_outbox_resume(w->outbox, LINK, NULL);
        sb_outbox_pause(w->outbox, LINK, NULL);
    }
    expect_sent(w, "");
}

T(again_means_the_link_is_down)
{
    put(w, SB_PARCEL_FINAL, "a");
    put(w, SB_PARCEL_FINAL, "b");
    w->answer = -EAGAIN;
    resume_sends(w, "a ");
    sb_sim_advance(w->loop, SB_HOUR);
    put(w, SB_PARCEL_FINAL, "c");
    expect_sent(w, ""); /* no hammering */
    w->answer = 0;
    resume_sends(w, "a b ");
    assert_int_equal(w->sends, 0);
}

/* A connection that is up and full: nobody tells when it takes more, so it is tried. */
T(busy_means_soon_again)
{
    resume(w);
    int64_t first = put(w, SB_PARCEL_FINAL, "a");
    expect_sent(w, "a ");
    w->answer = -EBUSY;
    put(w, SB_PARCEL_FINAL, "b");
    expect_sent(w, "b ");
    settle(w, first);
    put(w, SB_PARCEL_FINAL, "c");
    expect_sent(w, ""); /* no hammering, and nothing overtakes */
    sb_sim_advance(w->loop, SB_SECOND);
    expect_sent(w, "b ");
    w->answer = 0;
    sb_sim_advance(w->loop, SB_SECOND);
    expect_sent(w, "b c ");
    assert_int_equal(stats(w).unsettled, 2);
}

T(what_can_never_be_sent_is_dropped_and_recorded)
{
    struct sb_parcel parcel = a_parcel(w, SB_PARCEL_FINAL, "bad");

    parcel.task = 9;
    parcel.what = "succeeded";
    assert_int_equal(sb_outbox_put(w->outbox, &parcel, NULL), 0);
    w->answer = -EMSGSIZE;
    resume_sends(w, "bad ");
    w->answer = 0;
    put(w, SB_PARCEL_FINAL, "good");
    expect_sent(w, "good ");
    expect_audit(w, "task 9 dropped succeeded;");
    assert_int_equal(stored(w), 1);
}

T(passing_parcels_live_until_the_link_pauses)
{
    put(w, SB_PARCEL_PASSING, "hello");
    put(w, SB_PARCEL_FINAL, "a");
    assert_int_equal(stored(w), 1);
    resume_sends(w, "hello a ");
    sb_outbox_pause(w->outbox, LINK, NULL);
    resume_sends(w, "a ");
    put(w, SB_PARCEL_PASSING, "hello2");
    restart(w, false);
    resume_sends(w, "a ");
}

T(a_closed_lane_keeps_its_parcels)
{
    struct sb_parcel parcel = a_parcel(w, SB_PARCEL_FINAL, "b");

    put(w, SB_PARCEL_FINAL, "a");
    resume_sends(w, "a ");
    assert_int_equal(sb_outbox_open(w->outbox, LINK, door_send, w), -EEXIST);
    sb_outbox_close(w->outbox, LINK);
    put(w, SB_PARCEL_FINAL, "b");
    resume(w); /* nobody there */
    expect_sent(w, "");
    assert_int_equal(sb_outbox_open(w->outbox, LINK, door_send, w), 0);
    sb_outbox_pause(w->outbox, LINK, NULL);
    resume_sends(w, "a b ");
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

T(a_door_may_settle_while_it_sends)
{
    for (int i = 0; i < 6; i++)
        put(w, i % 2 ? SB_PARCEL_PASSING : SB_PARCEL_FINAL, (char[]){ (char)('a' + i), 0 });
    w->inside = settle_inside; /* QoS 0 */
    resume_sends(w, "a b c d e f ");
    assert_int_equal(stats(w).waiting, 0);
    assert_int_equal(stats(w).unsettled, 0);
    at_leisure(w);
    assert_int_equal(stored(w), 0);
}

static void pause_inside(struct world *w, const struct sb_parcel *parcel)
{
    (void)parcel;
    sb_outbox_pause(w->outbox, LINK, NULL);
}

T(a_door_may_pause_while_it_sends)
{
    put(w, SB_PARCEL_PASSING, "a");
    put(w, SB_PARCEL_PASSING, "b");
    put(w, SB_PARCEL_FINAL, "c");
    w->inside = pause_inside;
    resume_sends(w, "a "); /* and both passing ones are gone */
    w->inside = NULL;
    resume_sends(w, "c ");
}

static void put_inside(struct world *w, const struct sb_parcel *parcel)
{
    (void)parcel;
    w->inside = NULL;
    assert_true(put_keyed(w, SB_PARCEL_PROGRESS, "k", "20%") > parcel->id);
}

T(a_door_may_put_while_it_sends)
{
    put_keyed(w, SB_PARCEL_PROGRESS, "k", "10%");
    w->inside = put_inside; /* does not change what is in its hand */
    resume_sends(w, "10% 20% ");
}

/* ---- many connections of one link ---- */

static int64_t put_on(struct world *w, const char *connection, const char *text)
{
    struct sb_parcel parcel = a_parcel(w, SB_PARCEL_FINAL, text);
    int64_t id = 0;

    parcel.connection = connection;
    parcel.token = text;
    assert_int_equal(sb_outbox_put(w->outbox, &parcel, &id), 0);
    return id;
}

T(connections_do_not_wait_for_one_another)
{
    put_on(w, "a", "a1");
    put_on(w, "b", "b1");
    put_on(w, "a", "a2");
    put_on(w, "a", "a3");
    put_on(w, "b", "b2");
    sb_outbox_resume(w->outbox, LINK, "b");
    expect_sent(w, "b1 b2 ");
    sb_outbox_resume(w->outbox, LINK, "a");
    expect_sent(w, "a1 a2 "); /* a window of its own */
    assert_int_equal(stats(w).unsettled, 4);
    sb_outbox_pause(w->outbox, LINK, "a");
    assert_true(sb_outbox_settle_token(w->outbox, LINK, NULL, "b1"));
    restart(w, false); /* which is whose is stored */
    sb_outbox_resume(w->outbox, LINK, "a");
    expect_sent(w, "a1 a2 ");
    settle(w, w->last);
    expect_sent(w, "a3 ");
    sb_outbox_resume(w->outbox, LINK, "b");
    expect_sent(w, "b2 ");
}

T(bounds_are_the_links)
{
    for (int i = 0; i < 8; i++)
        put_on(w, i % 2 ? "a" : "b", (char[]){ (char)('a' + i), 0 });
    assert_int_equal(try_put(w, SB_PARCEL_FINAL, "x", NULL), -ENOSPC);
}

T(progress_is_superseded_on_its_own_connection)
{
    struct sb_parcel parcel = a_parcel(w, SB_PARCEL_PROGRESS, "1");
    int64_t first = 0, second = 0;

    parcel.key = "k";
    parcel.connection = "a";
    assert_int_equal(sb_outbox_put(w->outbox, &parcel, &first), 0);
    parcel.connection = "b";
    assert_int_equal(sb_outbox_put(w->outbox, &parcel, &second), 0);
    assert_int_not_equal(first, second);
    assert_int_equal(sb_outbox_put(w->outbox, &parcel, &first), 0);
    assert_int_equal(first, second);
}

T(a_connection_that_never_comes_back)
{
    sb_outbox_resume(w->outbox, LINK, "a");
    put_on(w, "a", "a1");
    put_on(w, "b", "b1");
    expect_sent(w, "a1 ");
    sb_outbox_abandon(w->outbox, LINK, "a", "its device is gone");
    sb_outbox_abandon(w->outbox, LINK, "c", "nobody knows it");
    at_leisure(w);
    assert_int_equal(stored(w), 1);
    expect_audit(w, "link factory dropped -;");
    assert_int_equal(stats(w).waiting, 1);
    sb_outbox_resume(w->outbox, LINK, "b");
    expect_sent(w, "b1 ");
}
