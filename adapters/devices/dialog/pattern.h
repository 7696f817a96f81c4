/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patterns over one line of a console: PCRE2, within bounds that no device can break.
 *
 * A pattern is bound to the line's begin; what it leaves over behind its end does not matter. Of
 * several ways to match, the first alternative and the longer repetition win, as in Perl. Bytes,
 * no UTF-8. A line that makes a pattern try more than SB_PATTERN_STEPS ways does not match it.
 * Thread: a pattern is immutable and may be used by many at once, a matcher by one. Pure.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "bridge/base/util.h"

#define SB_PATTERN_GROUPS 8         /* in round brackets */
#define SB_PATTERN_TEXT   500       /* characters of its source */
#define SB_PATTERN_SIZE   16384     /* bytes when compiled */
#define SB_PATTERN_STEPS  20000     /* of one match */
#define SB_PATTERN_HEAP   (1 << 10) /* KiB of one match */

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
struct sb_matcher;
struct sb_matcher *sb_matcher_new(void); /* NULL without memory */
struct sb_matcher *sb_matcher_free(struct sb_matcher *matcher);
SB_DEFINE_CLEANUP(struct sb_matcher *, sb_matcher_free)

enum sb_match {
    SB_MATCH_NEVER, /* whatever follows in this line */
    SB_MATCH_OPEN,  /* not yet */
    SB_MATCH_FOUND,
};
/* ended: the line ends behind its n bytes. FOUND: spans of the whole and the groups
 * (SB_PATTERN_GROUPS + 1 of them). */
enum sb_match sb_pattern_match(const struct sb_pattern *pattern, struct sb_matcher *matcher,
                               const char *line, size_t n, bool ended, struct sb_span *ret);
