/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop: one thread owns all state; everything happens in turns.
 *
 * A turn is one pass: ready descriptors, due timers, arrived notes; then the turn-end hooks run,
 * in the order they were added (the store hands its batch over there). Nothing here blocks but
 * sb_loop_run().
 *
 * Two implementations of this header: loop.c (libwebsockets' context waits for an epoll set of
 * ours) and tests/fakes/loop_sim.c (a simulated clock, no descriptors).
 *
 * What is armed or posted during a turn for "now" belongs to the next one. Timers, watches and
 * mailboxes that outlive their loop do nothing, and are freed as usual.
 * Thread: all calls on the loop thread, but for sb_mailbox_post() and sb_loop_stop().
 * Times: milliseconds. Monotonic time starts anywhere; wall time is since 1970.
 */
#pragma once

#include <stdint.h>

#include "bridge/base/util.h"

struct sb_loop;
struct lws_context;

int sb_loop_new(struct sb_loop **ret) SB_MUST_CHECK;
struct sb_loop *sb_loop_free(struct sb_loop *loop);
SB_DEFINE_CLEANUP(struct sb_loop *, sb_loop_free)
int sb_loop_run(struct sb_loop *loop);   /* until sb_loop_stop() */
void sb_loop_stop(struct sb_loop *loop); /* any thread; also from a signal handler */

int64_t sb_loop_now(const struct sb_loop *loop);  /* monotonic; frozen during a turn */
int64_t sb_loop_wall(const struct sb_loop *loop); /* 0: the clock has not been set yet */

/* Timers. One shot; armed again from inside its function if wanted. */
struct sb_timer;
typedef void (*sb_timer_fn)(void *arg);
int sb_timer_new(struct sb_loop *loop, sb_timer_fn fn, void *arg, struct sb_timer **ret)
    SB_MUST_CHECK;
void sb_timer_at(struct sb_timer *timer, int64_t when); /* monotonic; replaces what was set */
void sb_timer_in(struct sb_timer *timer, int64_t ms);
void sb_timer_stop(struct sb_timer *timer);
bool sb_timer_armed(const struct sb_timer *timer);
struct sb_timer *sb_timer_free(struct sb_timer *timer); /* also inside its own function */
SB_DEFINE_CLEANUP(struct sb_timer *, sb_timer_free)

/*
 * Descriptors. The watch works on a duplicate: the caller keeps and closes its own. It fires in
 * every turn in which what is wanted holds; a hang-up or error counts as readable, wanted or not,
 * but a watch that wants nothing is silent. -EPERM: cannot be waited for (a regular file).
 */
#define SB_READABLE 1u
#define SB_WRITABLE 2u
struct sb_watch;
typedef void (*sb_watch_fn)(void *arg, unsigned ready);
int sb_watch_new(struct sb_loop *loop, int fd, unsigned wanted, sb_watch_fn fn, void *arg,
                 struct sb_watch **ret) SB_MUST_CHECK;
void sb_watch_want(struct sb_watch *watch, unsigned wanted);
struct sb_watch *sb_watch_free(struct sb_watch *watch); /* also inside its own function */
SB_DEFINE_CLEANUP(struct sb_watch *, sb_watch_free)

/*
 * Mailboxes: how other threads reach the loop. A note carries an id and a generation, by which
 * the reader finds what is meant or sees that it is gone; never a pointer into the loop's state.
 * `data` is owned by the note (malloc) and freed after fn returned; fn may take it by SB_STEAL.
 * Bounded: -ENOBUFS when `limit` notes wait (the poster's policy then applies), -EPIPE after
 * sb_mailbox_close(). -ENOMEM only when other notes wait: the loop is always told that there is
 * something. Refcounted so that a late thread may still post safely.
 */
struct sb_note {
    int kind;
    uint64_t id, generation;
    int64_t value;
    void *data;
    size_t size;
};
struct sb_mailbox;
typedef void (*sb_note_fn)(void *arg, struct sb_note *note);
int sb_mailbox_new(struct sb_loop *loop, size_t limit, sb_note_fn fn, void *arg,
                   struct sb_mailbox **ret) SB_MUST_CHECK;
int sb_mailbox_post(struct sb_mailbox *box, const struct sb_note *note); /* any thread; on
                                                        success the box owns note->data */
struct sb_mailbox *sb_mailbox_ref(struct sb_mailbox *box);   /* any thread */
struct sb_mailbox *sb_mailbox_unref(struct sb_mailbox *box); /* any thread */
struct sb_mailbox *sb_mailbox_close(struct sb_mailbox *box); /* loop: drops notes and one ref */
SB_DEFINE_CLEANUP(struct sb_mailbox *, sb_mailbox_close)

/* Turn-end hooks; at most 8; not removed from inside a hook. */
typedef void (*sb_turn_fn)(void *arg);
int sb_loop_on_turn_end(struct sb_loop *loop, sb_turn_fn fn, void *arg) SB_MUST_CHECK;
void sb_loop_off_turn_end(struct sb_loop *loop, sb_turn_fn fn, void *arg);

/* For HTTP doors; NULL in the simulated loop. */
struct lws_context *sb_loop_lws(struct sb_loop *loop);
