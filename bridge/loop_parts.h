/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What both implementations of loop.h share: timers, mailboxes, turn-end hooks. It neither waits
 * nor knows the time; the implementation does, embeds a struct sb_loop_parts, and offers the two
 * functions declared last.
 *
 * Order of a turn: timers due at its time in order of time, notes that had arrived when their
 * part of the turn began, hooks. What these cause for "now" belongs to the next turn, so a turn
 * always ends.
 *
 * Thread: the loop, except where loop.h says otherwise.
 */
#pragma once

#include <pthread.h>

#include "bridge/loop.h"

#define SB_LOOP_HOOKS 8
#define SB_NEVER      INT64_MAX

struct sb_loop_hook {
    sb_turn_fn fn;
    void *arg;
};

struct sb_loop_parts {
    struct sb_timer **timers; /* all; the first `armed` are a heap, the first due on top */
    size_t armed, count, room;
    uint64_t sequence; /* timers of one time run in the order of their arming */

    struct sb_mailbox *boxes;              /* all open ones */
    pthread_mutex_t mutex;                 /* guards the three below; taken while one posts */
    bool asleep;                           /* the next note has to wake it */
    struct sb_mailbox *ready, **ready_end; /* have notes, in order of arrival */
    struct sb_mailbox *draining;           /* those of this turn still to be read */

    struct sb_loop_hook hooks[SB_LOOP_HOOKS];
    size_t hook_count;
};

void sb_loop_parts_init(struct sb_loop_parts *parts);
/* Timers are disarmed and mailboxes closed; their owners may still free them afterwards. */
void sb_loop_parts_done(struct sb_loop_parts *parts);
void sb_loop_parts_turn(struct sb_loop_parts *parts, int64_t now);
int64_t sb_loop_parts_next(const struct sb_loop_parts *parts); /* first timer, or SB_NEVER */
bool sb_loop_parts_waiting(struct sb_loop_parts *parts);       /* notes are there */
/* It is going to wait, and the first note wakes it. False: notes are there. */
bool sb_loop_parts_sleep(struct sb_loop_parts *parts);

/* Of the implementation: */
struct sb_loop_parts *sb_loop_parts_of(struct sb_loop *loop);
void sb_loop_parts_wake(struct sb_loop_parts *parts); /* any thread, while it is asleep */
