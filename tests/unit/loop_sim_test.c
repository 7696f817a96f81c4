/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated clock: the stand-in must keep the loop's promises, or scenarios prove nothing. */
#include <errno.h>
#include <pthread.h>

#include "bridge/base/time.h"
#include "tests/fakes/loop_sim.h"
#include "tests/fakes/starved.h"
#include "tests/test.h"

struct world {
    struct sb_loop *loop;
    struct sb_timer *t[2];
    struct sb_mailbox *box;
    int64_t period, seen[8];
    int count, turns;
};

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_int_equal(sb_loop_new(&w->loop), 0);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    sb_timer_free(w->t[0]);
    sb_timer_free(w->t[1]);
    sb_mailbox_close(w->box);
    sb_loop_free(w->loop);
    free(w);
    return 0;
}

static void again(void *arg)
{
    struct world *w = arg;
    w->seen[w->count++ % 8] = sb_loop_now(w->loop);
    sb_timer_in(w->t[0], w->period);
}

static void count_turn(void *arg)
{
    ((struct world *)arg)->turns++;
}

static void count_note(void *arg, struct sb_note *note)
{
    struct world *w = arg;
    w->seen[w->count++ % 8] = sb_loop_now(w->loop);
    if (note->kind > 0) {
        struct sb_note next = { .kind = note->kind - 1 };
        assert_int_equal(sb_mailbox_post(w->box, &next), 0);
    }
}

static void stop(void *arg)
{
    sb_loop_stop(((struct world *)arg)->loop);
}

#define TEST(fn) SB_TEST_OF(struct world *w, fn, set_up, tear_down)

TEST(time_jumps_from_timer_to_timer)
{
    w->period = 90 * SB_SECOND;
    assert_int_equal(sb_timer_new(w->loop, again, w, &w->t[0]), 0);
    sb_timer_in(w->t[0], w->period);
    sb_sim_advance(w->loop, w->period - 1);
    assert_int_equal(w->count, 0);
    sb_sim_advance(w->loop, 1);
    assert_int_equal(w->count, 1); /* due exactly at the end */
    assert_int_equal(w->seen[0], SB_SIM_NOW + w->period);
    sb_sim_advance(w->loop, SB_DAY);
    assert_int_equal(w->count, 1 + SB_DAY / w->period);
    assert_int_equal(w->seen[w->count % 8 - 1], sb_loop_now(w->loop));
    assert_int_equal(sb_loop_now(w->loop), SB_SIM_NOW + w->period + SB_DAY);
}

TEST(the_wall_clock_follows_and_jumps)
{
    sb_cleanup(sb_freep) char *text = sb_time_iso8601(sb_loop_wall(w->loop));

    assert_string_equal(text, "2026-01-05T00:00:00.000Z");
    sb_sim_advance(w->loop, SB_HOUR);
    assert_int_equal(sb_loop_wall(w->loop), SB_SIM_WALL + SB_HOUR);
    sb_sim_set_wall(w->loop, 0);
    sb_sim_advance(w->loop, SB_HOUR);
    assert_int_equal(sb_loop_wall(w->loop), 0);
    sb_sim_set_wall(w->loop, 1000); /* 1970: as a gateway boots */
    assert_int_equal(sb_loop_wall(w->loop), 0);
    sb_sim_set_wall(w->loop, SB_SIM_WALL - SB_DAY);
    sb_sim_advance(w->loop, 5);
    assert_int_equal(sb_loop_wall(w->loop), SB_SIM_WALL - SB_DAY + 5);
    assert_int_equal(sb_loop_now(w->loop), SB_SIM_NOW + 2 * SB_HOUR + 5);
}

TEST(notes_and_hooks_run_at_once)
{
    struct sb_note note = { .kind = 2 };

    assert_int_equal(sb_loop_on_turn_end(w->loop, count_turn, w), 0);
    assert_int_equal(sb_mailbox_new(w->loop, 4, count_note, w, &w->box), 0);
    assert_int_equal(sb_mailbox_post(w->box, &note), 0);
    sb_sim_turn(w->loop);
    assert_int_equal(w->count, 1); /* what it posted is for the next turn */
    assert_int_equal(w->turns, 1);
    sb_sim_advance(w->loop, 0);
    assert_int_equal(w->count, 3);
    assert_int_equal(w->turns, 3);
    sb_sim_advance(w->loop, 10);
    assert_int_equal(w->turns, 5); /* one before time passes, one after */
    assert_int_equal(w->seen[2], SB_SIM_NOW);
}

/* Else what the poster keeps for the loop would wait until something else comes. */
TEST(the_first_note_needs_no_memory)
{
    struct sb_note note = { 0 };

    assert_int_equal(sb_mailbox_new(w->loop, 4, count_note, w, &w->box), 0);
    for (int i = 1; i <= 3; i++) {
        starved_grant(0);
        int first = sb_mailbox_post(w->box, &note), second = sb_mailbox_post(w->box, &note);
        starved_grant(STARVED_UNLIMITED);
        assert_int_equal(first, 0);
        assert_int_equal(second, -ENOMEM);
        sb_sim_advance(w->loop, 0);
        assert_int_equal(w->count, i);
    }
    for (int n = 0; n < 3; n++) {
        struct sb_mailbox *box = NULL;
        starved_grant(n);
        int r = sb_mailbox_new(w->loop, 4, count_note, w, &box);
        starved_grant(STARVED_UNLIMITED);
        assert_int_equal(r, -ENOMEM);
    }
}

TEST(run_ends_by_stop_or_says_that_it_would_hang)
{
    assert_int_equal(sb_timer_new(w->loop, stop, w, &w->t[0]), 0);
    sb_timer_in(w->t[0], SB_DAY);
    assert_int_equal(sb_loop_run(w->loop), 0);
    assert_int_equal(sb_loop_now(w->loop), SB_SIM_NOW + SB_DAY);
    assert_int_equal(sb_loop_run(w->loop), -EDEADLK);
    assert_null(sb_loop_lws(w->loop));
}

static void on_ready(void *arg, unsigned ready)
{
    (void)arg;
    fail_msg("a simulated watch fired: %u", ready);
}

TEST(watches_never_fire)
{
    struct sb_watch *watch = NULL;
    int pair[2];

    assert_int_equal(pipe(pair), 0);
    assert_int_equal(sb_watch_new(w->loop, -1, SB_READABLE, on_ready, w, &watch), -EBADF);
    assert_int_equal(sb_watch_new(w->loop, pair[0], SB_READABLE, on_ready, w, &watch), 0);
    assert_int_equal(write(pair[1], "x", 1), 1);
    sb_watch_want(watch, SB_READABLE | SB_WRITABLE);
    sb_sim_advance(w->loop, SB_MINUTE);
    sb_watch_free(watch);
    close(pair[0]);
    close(pair[1]);
}
