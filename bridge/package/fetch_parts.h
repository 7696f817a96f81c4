/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between fetch.c (the queue), fetch_transfer.c (one download), fetch_spec.c (what is asked) and
 * fetch_source.c (what a door supplies). Tests may shorten the helper's grace by this. Thread: the
 * loop.
 */
#pragma once

#include "bridge/package/fetch.h"

#define SB_FETCH_SPEC_MAX ((size_t)65536) /* of the line a helper reads */

/* How long beyond twice the stall time a helper may say nothing before it is ended. */
void sb_fetcher_set_grace(void *fetcher, int64_t ms);

bool sb_fetch_spec_legal(const struct sb_fetch_spec *spec);
int64_t sb_fetch_spec_stall(const struct sb_fetch_spec *spec); /* ms, the default resolved */
char *sb_fetch_spec_line(const struct sb_fetch_spec *spec);    /* caller wipes and frees */
bool sb_fetch_digest_legal(const char *text);                  /* 64 lower-case hex digits */

/* ---- fetch_source.c ---- */

struct sb_child;
struct sb_fetch_source { /* zeroed: the download is not supplied */
    struct sb_supplier by;
    char *package, *door;
    uint64_t download;
    int64_t wanted; /* offset that was pulled; -1: nothing is awaited */
};
int sb_source_open(struct sb_fetch_source *source, const struct sb_supplier *by,
                   uint64_t download) SB_MUST_CHECK; /* also then to be done */
void sb_source_done(struct sb_fetch_source *source);
bool sb_source_is(const struct sb_fetch_source *source);
int sb_source_pull(struct sb_fetch_source *source, int64_t offset) SB_MUST_CHECK;
void sb_source_end(struct sb_fetch_source *source); /* its door need not bother any more */
/* Is this the answer to what was pulled? */
bool sb_source_awaits(const struct sb_fetch_source *source, const struct sb_piece *piece);
int sb_source_hand_over(struct sb_fetch_source *source, struct sb_child *helper,
                        const struct sb_piece *piece) SB_MUST_CHECK;
