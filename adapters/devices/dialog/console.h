/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A console's output as lines, and the alternatives of an `expect` laid over it.
 *
 * CR, LF and both end a line; empty lines do not count. Escape sequences of terminals and control
 * characters are left out. What stands behind a prompt - the echo of what is sent there - is no
 * line's begin and matches nothing. Lines are kept up to SB_CONSOLE_LINE bytes; what is longer is
 * known by its begin. Any bytes in any pieces; fixed memory; pure.
 */
#pragma once

#include "adapters/devices/dialog/script.h"

#define SB_CONSOLE_LINE 1000

struct sb_console {                 /* zero-initialise */
    char line[SB_CONSOLE_LINE + 1]; /* the one that grows, or has just ended */
    size_t n;
    char last[SB_CONSOLE_LINE + 1]; /* that ended before, for people */
    bool ended;                     /* it has */
    bool spent;                     /* a prompt was found in it: the rest is nobody's */
    int escape;                     /* in a terminal's escape sequence */
    uint64_t heard, odd;            /* bytes; of these, such as no text has */
};
enum sb_console_event {
    SB_CONSOLE_NOTHING,
    SB_CONSOLE_CHARACTER, /* the line has grown by one (or is full) */
    SB_CONSOLE_END,       /* a line that is not empty has ended */
};
enum sb_console_event sb_console_byte(struct sb_console *console, uint8_t byte);
void sb_console_spend(struct sb_console *console); /* a prompt was found */
void sb_console_reset(struct sb_console *console); /* the other side began anew */

struct sb_expect; /* what is awaited */
#define SB_EXPECT_NONE  (-1)
#define SB_EXPECT_OTHER (-2) /* a line that is no alternative */
/* Borrows the step and the console. NULL: no memory. */
struct sb_expect *sb_expect_new(const struct sb_dialog_step *step, struct sb_console *console);
struct sb_expect *sb_expect_free(struct sb_expect *expect);
SB_DEFINE_CLEANUP(struct sb_expect *, sb_expect_free)
/* The alternative that what has already been heard of the line is, or NONE. */
int sb_expect_begin(struct sb_expect *expect);
/* The alternative that is complete with this byte, NONE, or OTHER. */
int sb_expect_byte(struct sb_expect *expect, uint8_t byte);
/* Text of a group of the alternative found last; UTF-8; caller frees; NULL: it took no part. */
char *sb_expect_group(const struct sb_expect *expect, size_t group);
