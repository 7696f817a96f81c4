/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop under a simulated clock: time passes only by sb_sim_advance() (or sb_loop_run(), which
 * jumps from timer to timer until stopped), so a week of timeouts runs in a moment and always in
 * the same order. Watches fire in sb_sim_poll() only. Starts at monotonic 1000000 and on Monday
 * 2026-01-05T00:00:00Z.
 *
 * Turns without end at one instant (a timer that arms itself for "now" for ever) abort the test.
 * Thread: the loop; sb_mailbox_post() from any.
 */
#pragma once

#include "bridge/loop.h"

#define SB_SIM_NOW  INT64_C(1000000)
#define SB_SIM_WALL INT64_C(1767571200000)

/* Runs what is due and posted, timer after timer, until ms have passed; 0: only what is due now. */
void sb_sim_advance(struct sb_loop *loop, int64_t ms);
void sb_sim_turn(struct sb_loop *loop); /* one turn at the present time */
/* Waits, in real time, until another thread has posted something. */
void sb_sim_await_post(struct sb_loop *loop);
/* The wall clock alone jumps; 0: it is not set any more, until the next call. */
void sb_sim_set_wall(struct sb_loop *loop, int64_t wall_ms);
/* Descriptors are looked at here only: each that is ready is told once, then a turn. False: none
 * was. */
bool sb_sim_poll(struct sb_loop *loop);
