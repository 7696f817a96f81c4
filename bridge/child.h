/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A helper process of ours, as the loop sees it: it gets its input at the start, or more of it as
 * long as it runs, says lines on its standard output, and ends. What it writes to standard error
 * goes to the log as debug.
 *
 * Policy: a line is at most SB_CHILD_LINE bytes, a longer one is handed on in pieces; one helper's
 * chatter never holds up the loop. What is written to it waits in memory, SB_CHILD_PENDING bytes at
 * the most, until it reads. What it does not do: trust it, give it a deadline (whoever
 * starts it has a timer).
 * Thread: the loop; nothing blocks but sb_child_free(), at most 5 s.
 */
#pragma once

#include "bridge/loop.h"

#define SB_CHILD_LINE    ((size_t)8192)
#define SB_CHILD_PENDING ((size_t)262144)

struct sb_child_spec { /* borrowed during the start */
    const char *name;  /* for people: "download helper" */
    const char *program;
    char *const *argv;
    const char *input; /* its standard input: kept in memory, no disk sees it */
    bool fed;          /* more may follow by sb_child_feed() */
};

struct sb_child;
struct sb_child_events {
    void (*line)(void *arg, const char *text, size_t n);
    /* It is gone and reaped, all lines were said; the last call. well: it ended by itself, with
     * status 0. why: for people. */
    void (*ended)(void *arg, bool well, const char *why);
};
/* 0, or -errno when it cannot be started. */
int sb_child_start(struct sb_loop *loop, const struct sb_child_spec *spec,
                   const struct sb_child_events *events, void *arg,
                   struct sb_child **ret) SB_MUST_CHECK;
/* More of its standard input, after what came before; copied. -EINVAL: it is not fed; -EPIPE: it
 * has ended, or reads no more; -ENOBUFS: too much waits; -ENOMEM. */
int sb_child_feed(struct sb_child *child, const void *bytes, size_t n) SB_MUST_CHECK;
void sb_child_kill(struct sb_child *child); /* `ended` follows */
/* Ends it when it runs, and waits, at most 5 s. Also from inside ended(). */
struct sb_child *sb_child_free(struct sb_child *child);
SB_DEFINE_CLEANUP(struct sb_child *, sb_child_free)
