/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patterns over one line of a console: extended regular expressions without back references.
 *
 * A pattern is compiled into a bounded program; a run goes over the line byte by byte and keeps all
 * ways that are still open beside each other, so that each byte costs at most the program's
 * length, whatever the device sends, and memory is fixed when the run is made. A pattern is bound
 * to the line's begin; what it leaves over behind its end does not matter.
 *
 * Known: . [a-z] [^...] [[:digit:]] ( ) (?: ) | * + ? {n} {n,} {n,m} ^ (only at the begin) and $
 * (the line's end); \d \D \s \S \w \W \t \xHH and '\' before anything that is no letter or digit.
 * Of several ways to match, the first alternative and the longer repetition win, as in Perl.
 * Pure.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "bridge/base/util.h"

#define SB_PATTERN_GROUPS 8    /* in round brackets */
#define SB_PATTERN_CODE   1000 /* instructions */
#define SB_PATTERN_TEXT   500  /* characters of its source */

struct sb_pattern;
/* -EINVAL: not such an expression, with a text to be freed that says where; -ENOMEM. */
int sb_pattern_new(const char *source, struct sb_pattern **ret, char **ret_error) SB_MUST_CHECK;
struct sb_pattern *sb_pattern_free(struct sb_pattern *pattern);
SB_DEFINE_CLEANUP(struct sb_pattern *, sb_pattern_free)
unsigned sb_pattern_groups(const struct sb_pattern *pattern); /* without the whole, 0.. */
bool sb_pattern_ends(const struct sb_pattern *pattern);       /* it asks for the line's end */

struct sb_span {
    size_t from, to; /* in the line; from > to: the group took no part */
};
struct sb_pattern_run;
struct sb_pattern_run *sb_pattern_run_new(const struct sb_pattern *pattern); /* borrows it */
struct sb_pattern_run *sb_pattern_run_free(struct sb_pattern_run *run);
SB_DEFINE_CLEANUP(struct sb_pattern_run *, sb_pattern_run_free)
void sb_pattern_run_reset(struct sb_pattern_run *run); /* a line begins */
/* One byte more. False: no way is open any more, further bytes change nothing. */
bool sb_pattern_run_byte(struct sb_pattern_run *run, uint8_t byte);
void sb_pattern_run_end(struct sb_pattern_run *run); /* the line ends here */
/* Whether it has matched so far; spans of the whole and the groups (SB_PATTERN_GROUPS + 1). */
bool sb_pattern_run_matched(const struct sb_pattern_run *run, struct sb_span *ret);
