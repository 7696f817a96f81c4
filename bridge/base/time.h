/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time as numbers: monotonic and wall milliseconds are int64_t, and come from the loop (loop.h).
 * This module only converts. Pure.
 */
#pragma once

#include <stdint.h>

#include "bridge/base/util.h"

#define SB_SECOND INT64_C(1000)
#define SB_MINUTE (60 * SB_SECOND)
#define SB_HOUR   (60 * SB_MINUTE)
#define SB_DAY    (24 * SB_HOUR)

/* A wall clock before this (2025-01-01) has not been set yet. */
#define SB_CLOCK_UNSET_BEFORE INT64_C(1735689600000)

/* "2026-11-22T00:10:00.000Z"; caller frees. */
char *sb_time_iso8601(int64_t wall_ms);
/* "Z" or "+hh:mm" is required, a fraction is optional (beyond ms dropped). -EINVAL. */
int sb_time_from_iso8601(const char *text, int64_t *ret_wall_ms) SB_MUST_CHECK;
/* "500ms" "90s" "5m" "36h" "7d" "2w"; a bare number is refused except 0. -EINVAL, -ERANGE. */
int sb_duration_parse(const char *text, int64_t *ret_ms) SB_MUST_CHECK;
/* "1h 5m"; at most two units; caller frees. */
char *sb_duration_text(int64_t ms);
/* "512", "64K", "8M", "2G" (binary). -EINVAL, -ERANGE. */
int sb_size_parse(const char *text, int64_t *ret_bytes) SB_MUST_CHECK;
/* "64K" where sb_size_parse() reads back the same, else for people: "1.5M"; caller frees. */
char *sb_size_text(int64_t bytes);
