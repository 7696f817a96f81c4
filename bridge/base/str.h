/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growable string. Never truncates: on lack of memory it becomes "broken", ignores further
 * additions, and sb_str_take() returns NULL. Zero-initialise: struct sb_str s = { 0 }.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>

#include "bridge/base/util.h"

struct sb_str {
    char *text; /* NUL-terminated once something was added, else NULL */
    size_t length, room;
    bool broken;
};

void sb_str_add(struct sb_str *s, const char *text);
void sb_str_add_bytes(struct sb_str *s, const void *bytes, size_t n);
void sb_str_add_char(struct sb_str *s, char c);
void sb_str_format(struct sb_str *s, const char *fmt, ...) SB_PRINTF(2, 3);
void sb_str_vformat(struct sb_str *s, const char *fmt, va_list ap) SB_PRINTF(2, 0);
/* Percent-encoded (RFC 3986): all but letters, digits and -._~ */
void sb_str_add_percent(struct sb_str *s, const char *text);
const char *sb_str_get(const struct sb_str *s); /* never NULL: "" when empty */
char *sb_str_take(struct sb_str *s);            /* caller frees; "" copied when empty */
void sb_str_done(struct sb_str *s);

/* asprintf with a return value that says it all: caller frees, NULL without memory. */
char *sb_format(const char *fmt, ...) SB_PRINTF(1, 2);
/* Replaces *slot, of which the arguments may be part; NULL without memory. */
void sb_set_vformat(char **slot, const char *fmt, va_list ap) SB_PRINTF(2, 0);
