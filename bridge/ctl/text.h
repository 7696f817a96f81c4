/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text for terminals: what it is wide, how it is cut, how times read. Foreign text is cleaned of
 * everything that could steer a terminal. Pure. UTF-8 in, UTF-8 (or ASCII) out.
 */
#pragma once

#include <stdint.h>

#include "bridge/base/str.h"

/* How output looks; taken once from the terminal and the environment, given by tests. */
struct sb_style {
    unsigned width; /* columns; 0: no limit (not a terminal) */
    unsigned rows;  /* lines; 0: unknown */
    bool color;     /* escape sequences for colours */
    bool utf8;      /* else everything beyond ASCII is written as '?' */
    bool live;      /* a terminal whose lines can be drawn again */
    int64_t now;    /* wall ms */
};

enum sb_ink { SB_INK_PLAIN, SB_INK_BOLD, SB_INK_DIM, SB_INK_GOOD, SB_INK_WARN, SB_INK_BAD };

/* Columns on a terminal: combining marks have none, East Asian wide characters and emoji two. */
size_t sb_text_width(const char *text);
/* Control characters and those that turn the direction of text become '?', line ends spaces. */
void sb_text_clean(struct sb_str *out, const char *text, bool utf8);
/* At most `width` columns of the cleaned text, the last one an ellipsis when something was cut; 0:
 * all. Returns the columns written. */
size_t sb_text_fit(struct sb_str *out, const char *text, size_t width, bool utf8);
/* Begins and ends a colour, when the style has them. */
void sb_text_ink(struct sb_str *out, const struct sb_style *style, enum sb_ink ink);
void sb_text_ink_end(struct sb_str *out, const struct sb_style *style, enum sb_ink ink);
void sb_text_pad(struct sb_str *out, size_t n);
/* Appends the words of a text (not cleaned) from column `at`, where the cursor is, in lines of
 * `width` columns (0: one line), and a line end. */
void sb_text_wrap(struct sb_str *out, size_t at, size_t width, const char *text);

/* All caller frees; NULL: no memory. wall 0: "-". */
char *sb_text_time(int64_t wall);              /* "2026-11-22 00:10:00" in local time */
char *sb_text_ago(int64_t now, int64_t wall);  /* "3 min ago", "in 2 h" */
char *sb_text_when(int64_t now, int64_t wall); /* within a day as ago, else the local time */
char *sb_text_clock(int64_t ms);               /* "0:07", "12:30", "1:02:03" */
