/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between fetch.c (queue, who waits), fetch_spec.c (what is asked) and fetch_helper.c (one
 * helper process). Tests may shorten
 * the helper's grace by this. Thread: the loop.
 */
#pragma once

#include "bridge/package/fetch.h"

#define SB_FETCH_SPEC_MAX  ((size_t)65536) /* of the line a helper reads */
#define SB_FETCH_EVENT_MAX ((size_t)8192)  /* of a line it says */

/* How long beyond twice the stall time a helper may say nothing before it is ended. */
void sb_fetcher_set_grace(void *fetcher, int64_t ms);

bool sb_fetch_spec_legal(const struct sb_fetch_spec *spec);
int64_t sb_fetch_spec_stall(const struct sb_fetch_spec *spec); /* ms, the default resolved */
char *sb_fetch_spec_line(const struct sb_fetch_spec *spec);    /* caller wipes and frees */
bool sb_fetch_digest_legal(const char *text);                  /* 64 lower-case hex digits */

struct sb_fetch_helper;
struct sb_fetch_helper_events {
    void (*line)(void *arg, const char *text, size_t n);
    /* It is gone and reaped, all lines were said; the last call. why: for people. */
    void (*ended)(void *arg, const char *why);
};
/* Runs the program with `line` on its stdin. 0, or -errno when it cannot be started. */
int sb_fetch_helper_start(struct sb_loop *loop, const char *program, const char *line,
                          const struct sb_fetch_helper_events *events, void *arg,
                          struct sb_fetch_helper **ret) SB_MUST_CHECK;
void sb_fetch_helper_kill(struct sb_fetch_helper *helper); /* `ended` follows */
/* Ends it when it runs, and waits, at most 5 s. Also from inside ended(). */
struct sb_fetch_helper *sb_fetch_helper_free(struct sb_fetch_helper *helper);
