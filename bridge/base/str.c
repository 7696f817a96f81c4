/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/base/str.h"

#include <stdio.h>

/* Makes room for n more bytes and the NUL. */
static bool reserve(struct sb_str *s, size_t n)
{
    if (s->broken)
        return false;
    size_t need;
    if (__builtin_add_overflow(s->length, n, &need) || __builtin_add_overflow(need, 1, &need))
        return !(s->broken = true);
    if (need <= s->room)
        return true;
    size_t room = SB_MAX(need, s->room > SIZE_MAX / 2 ? need : s->room * 2);
    room = SB_MAX(room, (size_t)32);
    char *text = realloc(s->text, room);
    if (!text)
        return !(s->broken = true);
    s->text = text;
    s->room = room;
    return true;
}

void sb_str_add_bytes(struct sb_str *s, const void *bytes, size_t n)
{
    if (!reserve(s, n))
        return;
    if (n > 0)
        memcpy(s->text + s->length, bytes, n);
    s->length += n;
    s->text[s->length] = '\0';
}

void sb_str_add(struct sb_str *s, const char *text)
{
    sb_str_add_bytes(s, text, strlen(text));
}

void sb_str_add_char(struct sb_str *s, char c)
{
    sb_str_add_bytes(s, &c, 1);
}

void sb_str_vformat(struct sb_str *s, const char *fmt, va_list ap)
{
    if (!reserve(s, 0)) /* so that there is always a place to try */
        return;
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(s->text + s->length, s->room - s->length, fmt, ap);
    if (n < 0) {
        s->broken = true;
    } else if ((size_t)n < s->room - s->length) {
        s->length += (size_t)n;
    } else if (reserve(s, (size_t)n)) {
        (void)vsnprintf(s->text + s->length, s->room - s->length, fmt, again);
        s->length += (size_t)n;
    }
    va_end(again);
    if (s->text)
        s->text[s->length] = '\0';
}

void sb_str_format(struct sb_str *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    sb_str_vformat(s, fmt, ap);
    va_end(ap);
}

void sb_str_add_percent(struct sb_str *s, const char *text)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    for (size_t n; *text; text += n) {
        n = strspn(text, plain);
        sb_str_add_bytes(s, text, n);
        if (n == 0) {
            sb_str_format(s, "%%%02X", (unsigned char)*text);
            n = 1;
        }
    }
}

const char *sb_str_get(const struct sb_str *s)
{
    return s->text ? s->text : "";
}

char *sb_str_take(struct sb_str *s)
{
    char *text = NULL;
    if (!s->broken)
        text = s->text ? SB_STEAL(s->text) : strdup("");
    sb_str_done(s);
    return text;
}

void sb_str_done(struct sb_str *s)
{
    free(s->text);
    *s = (struct sb_str){ 0 };
}

void sb_set_vformat(char **slot, const char *fmt, va_list ap)
{
    struct sb_str text = { 0 };
    sb_str_vformat(&text, fmt, ap);
    free(*slot);
    *slot = sb_str_take(&text);
}

char *sb_format(const char *fmt, ...)
{
    struct sb_str s = { 0 };
    va_list ap;
    va_start(ap, fmt);
    sb_str_vformat(&s, fmt, ap);
    va_end(ap);
    return sb_str_take(&s);
}
