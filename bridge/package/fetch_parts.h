/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between fetch.c (queue, who waits) and fetch_spec.c (what is asked). Tests may shorten the
 * helper's grace by this. Thread: the loop.
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
