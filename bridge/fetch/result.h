/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a download ends, and what is told of it on the way: JSON lines on stdout.
 */
#pragma once

#include <stdint.h>

#include "bridge/base/util.h"
#include "bridge/job/job.h"

struct sb_result { /* the first failure stays */
    enum sb_cause cause;
    char *text; /* owned */
};
/* Notes a failure, unless there is one; always -1, for a caller's return. */
int sb_result_fail(struct sb_result *result, enum sb_cause cause, const char *fmt, ...)
    SB_PRINTF(3, 4);
/* The same with the cause that fits an errno of the part file. */
int sb_result_fail_errno(struct sb_result *result, int error, const char *what);
void sb_result_clear(struct sb_result *result);

int64_t sb_tell_clock(void); /* monotonic ms */
/* At most 5 a second; at least one in 5 s, changed or not, as a sign of life. */
void sb_tell_progress(int64_t received, int64_t total);
void sb_tell_wanted(int64_t offset); /* bytes from there on are to be supplied */
/* The last line. */
void sb_tell_end(const struct sb_result *result, const char *sha256, int64_t received,
                 int64_t total);
