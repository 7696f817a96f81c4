/* SPDX-License-Identifier: Apache-2.0 */
/* The outbox over restarts and failed commits, and its bounds. */
#include "tests/unit/outbox_world.h"

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
    sb_outbox_resume(w->outbox, "other", NULL);
    turn(w);
    assert_true(sb_outbox_settle_token(w->outbox, "other", parcel.device, "r"));
    restart(w, false);
}

#define T(name) SB_TEST_OF(struct world *w, name, set_up, tear_down)

T(a_restart_brings_the_same_bytes)
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

    for (size_t i = 0; i < SB_COUNT(payloads); i++)
        check_round_trip(w, payloads[i].bytes, payloads[i].size);
    assert_int_equal(stored(w), 0);
}

T(order_and_numbers_continue_after_a_power_cut)
{
    int64_t last = 0;

    put(w, SB_PARCEL_FINAL, "a");
    turn(w);
    int64_t second = put(w, SB_PARCEL_FINAL, "b");
    turn(w);
    settle(w, second);
    restart(w, true);
    last = put(w, SB_PARCEL_FINAL, "c");
    assert_true(last > second);
    resume_sends(w, "a c ");
}

/* The far side had all of it, and the power went before that was written down. */
T(nobody_sees_progress_fall_after_a_power_cut)
{
    w->limits.window = 9;
    restart(w, false);
    resume(w);
    put_keyed(w, SB_PARCEL_PROGRESS, "task 1", "88%");
    put_keyed(w, SB_PARCEL_PROGRESS, "task 2", "5%");
    expect_sent(w, "88% 5% ");
    put_keyed(w, SB_PARCEL_PROGRESS, "task 1", "90%");
    put(w, SB_PARCEL_PROGRESS, "of its own");
    put_keyed(w, SB_PARCEL_ANSWER, "task 3", "a");
    expect_sent(w, "90% of its own a ");
    restart(w, true);
    resume_sends(w, "5% 90% of its own a ");
    put_keyed(w, SB_PARCEL_FINAL, "task 1", "done");
    put_keyed(w, SB_PARCEL_FINAL, "task 3", "done");
    expect_sent(w, "done done ");
    restart(w, true);
    resume_sends(w, "5% of its own a done done ");
}

T(an_unreadable_parcel_holds_up_no_other)
{
    sb_cleanup(json_decrefp) json_t *body = json_pack("{s:s}", "topic", "t"); /* no payload */
    const struct sb_row row = { .id = 5, .a = LINK, .state = SB_PARCEL_FINAL, .body = body };

    assert_int_equal(sb_store_put(w->store, SB_TABLE_PARCEL, &row), 0);
    put(w, SB_PARCEL_FINAL, "a");
    restart(w, false);
    resume_sends(w, "a ");
    power_off(w);
    assert_int_equal(sb_loop_new(&w->loop), 0);
    assert_int_equal(sb_store_mem_start(w->disk, w->loop, &w->store), 0);
    assert_int_equal(sb_audit_new(w->store, &w->audit), 0);
    sb_store_mem_fail_reads(w->disk, 1, -EIO);
    assert_int_equal(sb_outbox_new(w->loop, w->store, w->audit, &w->limits, &w->outbox), -EIO);
}

/* ---- failed commits ---- */

T(a_lost_batch_takes_its_parcels_with_it)
{
    put(w, SB_PARCEL_FINAL, "kept");
    turn(w);
    sb_store_mem_fail_next(w->disk, 1, -ENOSPC);
    put(w, SB_PARCEL_FINAL, "lost");
    put(w, SB_PARCEL_PASSING, "lost too");
    turn(w);
    assert_int_equal(stats(w).waiting, 1);
    assert_int_equal(try_put(w, SB_PARCEL_FINAL, "x", NULL), -EAGAIN);
    put(w, SB_PARCEL_PASSING, "refused"); /* can be said all the same */
    resume_sends(w, "kept refused ");
    sb_sim_advance(w->loop, 1000);
    put(w, SB_PARCEL_FINAL, "later");
    settle(w, w->last);
    expect_sent(w, "kept later "); /* its answer had not come yet */
}

T(a_lost_superseding_brings_the_older_back)
{
    put_keyed(w, SB_PARCEL_PROGRESS, "k", "10%");
    turn(w);
    sb_store_mem_fail_next(w->disk, 1, -ENOSPC);
    put_keyed(w, SB_PARCEL_PROGRESS, "k", "20%");
    put_keyed(w, SB_PARCEL_PROGRESS, "k", "30%");
    turn(w);
    assert_int_equal(stats(w).waiting, 1);
    resume_sends(w, "10% ");
}

T(what_was_settled_is_not_sent_again_while_the_disk_is_full)
{
    struct sb_parcel parcel = a_parcel(w, SB_PARCEL_FINAL, "a");
    int64_t id;

    parcel.what = "succeeded";
    parcel.task = 3;
    assert_int_equal(sb_outbox_put(w->outbox, &parcel, &id), 0);
    resume_sends(w, "a ");
    sb_store_mem_fail_next(w->disk, 3, -ENOSPC); /* this and two probes */
    settle(w, id);
    assert_int_equal(stats(w).waiting, 0);
    assert_int_equal(stored(w), 1);
    sb_outbox_pause(w->outbox, LINK, NULL);
    resume_sends(w, "");
    expect_audit(w, "");
    sb_sim_advance(w->loop, 10 * SB_SECOND);
    assert_int_equal(stored(w), 0);
    expect_audit(w, "task 3 told succeeded;"); /* once */
    restart(w, false);
    resume_sends(w, "");
}

T(settled_while_the_store_is_down)
{
    int64_t id = put(w, SB_PARCEL_FINAL, "a");

    resume_sends(w, "a ");
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

T(when_full_the_oldest_progress_goes_first)
{
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
    resume_sends(w, "f a b c d e g 3 ");
    expect_audit(w, "");
}

T(answers_go_only_when_old)
{
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
    resume_sends(w, "b c ");
}

T(finals_go_last_and_with_a_record)
{
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

T(bytes_are_bounded_too)
{
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

T(progress_does_not_make_room_for_itself_twice)
{
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
T(nothing_is_dropped_in_vain)
{
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

T(what_is_on_its_way_is_not_dropped)
{
    fill(w, SB_PARCEL_PROGRESS, 8);
    resume_sends(w, "a b ");
    put(w, SB_PARCEL_PROGRESS, "x");
    sb_outbox_pause(w->outbox, LINK, NULL);
    resume_sends(w, "a b ");
    sb_outbox_pause(w->outbox, LINK, NULL);
    put(w, SB_PARCEL_PROGRESS, "y"); /* now it is not */
    resume_sends(w, "b d ");
}

T(full_for_new_work_before_it_is_full_for_reports)
{
    assert_false(sb_outbox_full(w->outbox, "nowhere", 0));
    fill(w, SB_PARCEL_PROGRESS, 8);
    assert_false(sb_outbox_full(w->outbox, LINK, 0)); /* all of it could go */
    fill(w, SB_PARCEL_FINAL, 6);
    assert_false(sb_outbox_full(w->outbox, LINK, 0));
    put(w, SB_PARCEL_FINAL, "g");
    assert_true(sb_outbox_full(w->outbox, LINK, 0));
    put(w, SB_PARCEL_FINAL, "h");
    assert_int_equal(try_put(w, SB_PARCEL_PROGRESS, "p", NULL), -ENOSPC);
    resume(w);
    settle(w, w->last);
    assert_true(sb_outbox_full(w->outbox, LINK, 0)); /* seven */
    settle(w, w->last);
    assert_false(sb_outbox_full(w->outbox, LINK, 0));
}

T(without_a_clock_nothing_is_old)
{
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

T(a_clock_that_goes_back_ages_nothing)
{
    fill(w, SB_PARCEL_ANSWER, 8);
    sb_sim_set_wall(w->loop, SB_SIM_WALL - 10 * SB_DAY);
    assert_int_equal(try_put(w, SB_PARCEL_ANSWER, "x", NULL), -ENOSPC);
    assert_int_equal(stats(w).oldest, SB_SIM_WALL);
}

T(bad_parcels_are_refused)
{
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

T(too_large_for_the_store_changes_nothing)
{
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
T(every_payload_of_128_kib_fits)
{
    static const char fillings[] = { 'x', '"', '\n', '\1', '\0', '\xff' };
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

T(what_was_told_is_recorded_with_its_removal)
{
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

/* Nobody speaks for the lane: its link stands in the configuration no more. */
T(what_waits_for_a_link_that_is_gone_goes_by_age)
{
    (void)put(w, SB_PARCEL_PROGRESS, "p");
    (void)put(w, SB_PARCEL_FINAL, "f");
    assert_int_equal(stored(w), 2);
    sb_sim_advance(w->loop, 31 * SB_DAY);
    assert_int_equal(sb_outbox_sweep(w->outbox, 10), 0); /* its door is there */
    sb_outbox_close(w->outbox, LINK);
    assert_int_equal(sb_outbox_sweep(w->outbox, 1), 1);
    assert_int_equal(sb_outbox_sweep(w->outbox, 10), 1);
    at_leisure(w);
    assert_int_equal(stored(w), 0);
    expect_audit(w, "link factory dropped -;");
    assert_int_equal(sb_outbox_open(w->outbox, LINK, door_send, w), 0);
    (void)put(w, SB_PARCEL_FINAL, "young");
    sb_outbox_close(w->outbox, LINK);
    sb_sim_advance(w->loop, 29 * SB_DAY);
    assert_int_equal(sb_outbox_sweep(w->outbox, 10), 0);
    sb_sim_set_wall(w->loop, 0);
    assert_int_equal(sb_outbox_sweep(w->outbox, 10), 0); /* nothing is old without a clock */
    assert_int_equal(stored(w), 1);
}

/* Its device was removed while the gateway was off: its door never speaks of it. */
T(what_waits_for_a_connection_that_is_gone_goes_by_age)
{
    struct sb_parcel parcel = a_parcel(w, SB_PARCEL_FINAL, "f");

    parcel.connection = "gone";
    assert_int_equal(sb_outbox_put(w->outbox, &parcel, NULL), 0);
    parcel.connection = "down";
    assert_int_equal(sb_outbox_put(w->outbox, &parcel, NULL), 0);
    (void)put(w, SB_PARCEL_FINAL, "own");
    restart(w, false);
    sb_outbox_pause(w->outbox, LINK, "down"); /* it is tried, in vain */
    sb_sim_advance(w->loop, 29 * SB_DAY);
    assert_int_equal(sb_outbox_sweep(w->outbox, 10), 0);
    sb_sim_advance(w->loop, 2 * SB_DAY);
    assert_int_equal(sb_outbox_sweep(w->outbox, 10), 1);
    at_leisure(w);
    assert_int_equal(stored(w), 2);
    expect_audit(w, "link factory dropped -;");
    sb_outbox_resume(w->outbox, LINK, "down");
    expect_sent(w, "f ");
}

/* Lock-step: one sync for each message, that of its own commit. */
T(what_was_settled_costs_no_sync_of_its_own)
{
    int64_t id = put(w, SB_PARCEL_ANSWER, "0");

    resume(w);
    uint64_t commits = sb_store_mem_commits(w->disk);
    for (int i = 1; i <= 20; i++) {
        sb_outbox_settle(w->outbox, LINK, id);
        turn(w);
        id = put(w, SB_PARCEL_ANSWER, "n");
        turn(w);
        assert_int_equal(sb_store_mem_commits(w->disk), commits + (uint64_t)i);
        assert_int_equal(stored(w), 1);
    }
    settle(w, id); /* and the last one does not stay */
    assert_int_equal(sb_store_mem_commits(w->disk), commits + 21);
    assert_int_equal(stored(w), 0);
}

T(a_crash_may_forget_that_it_was_settled)
{
    int64_t id = put(w, SB_PARCEL_ANSWER, "a");

    resume_sends(w, "a ");
    sb_outbox_settle(w->outbox, LINK, id);
    turn(w);
    restart(w, true);
    resume_sends(w, "a "); /* at least once */
    sb_outbox_settle(w->outbox, LINK, id);
    restart(w, false); /* a clean end forgets nothing */
    resume_sends(w, "");
}
