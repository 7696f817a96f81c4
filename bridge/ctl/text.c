/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/ctl/text.h"

#include <time.h>

#include "bridge/base/time.h"

#define ELLIPSIS "\xe2\x80\xa6"

/* ---- characters ---- */

struct range {
    uint32_t from, to;
};

/* Unicode: general categories Mn, Me and Cf as far as they meet in names and messages. */
static const struct range no_width[] = {
    { 0x0300, 0x036f },   { 0x0483, 0x0489 }, { 0x0591, 0x05bd }, { 0x0610, 0x061a },
    { 0x064b, 0x065f },   { 0x0e34, 0x0e3a }, { 0x0e47, 0x0e4e }, { 0x1ab0, 0x1aff },
    { 0x1dc0, 0x1dff },   { 0x200b, 0x200d }, { 0x2060, 0x2064 }, { 0x20d0, 0x20ff },
    { 0x3099, 0x309a },   { 0xfe00, 0xfe0f }, { 0xfe20, 0xfe2f }, { 0xfeff, 0xfeff },
    { 0xe0100, 0xe01ef },
};
/* Unicode: East Asian Width W and F. */
static const struct range wide[] = {
    { 0x1100, 0x115f },   { 0x231a, 0x231b },   { 0x23e9, 0x23ec },   { 0x2614, 0x2615 },
    { 0x26a1, 0x26a1 },   { 0x2705, 0x2705 },   { 0x274c, 0x274c },   { 0x2757, 0x2757 },
    { 0x2e80, 0x303e },   { 0x3041, 0x33ff },   { 0x3400, 0x4dbf },   { 0x4e00, 0x9fff },
    { 0xa000, 0xa4cf },   { 0xa960, 0xa97f },   { 0xac00, 0xd7a3 },   { 0xf900, 0xfaff },
    { 0xfe30, 0xfe6f },   { 0xff00, 0xff60 },   { 0xffe0, 0xffe6 },   { 0x1f300, 0x1f64f },
    { 0x1f680, 0x1f6ff }, { 0x1f900, 0x1f9ff }, { 0x20000, 0x3fffd },
};
/* Marks that turn the direction of what follows: they can make a text read as another. */
static const struct range turning[] = {
    { 0x061c, 0x061c },
    { 0x200e, 0x200f },
    { 0x202a, 0x202e },
    { 0x2066, 0x2069 },
};

static bool within(const struct range *ranges, size_t n, uint32_t c)
{
    for (size_t i = 0; i < n; i++)
        if (c >= ranges[i].from && c <= ranges[i].to)
            return true;
    return false;
}

static unsigned width_of(uint32_t c)
{
    if (c < 0x300)
        return 1;
    if (within(no_width, SB_COUNT(no_width), c))
        return 0;
    return within(wide, SB_COUNT(wide), c) ? 2 : 1;
}

static bool is_printable(uint32_t c)
{
    return c >= 0x20 && c != 0x7f && !(c >= 0x80 && c < 0xa0) && c != 0x2028 && c != 0x2029 &&
           !within(turning, SB_COUNT(turning), c);
}

/* The character at `text`, its length in bytes in *ret_n; a broken sequence is one byte, U+FFFD. */
static uint32_t decode(const char *text, size_t *ret_n)
{
    const unsigned char *p = (const unsigned char *)text;
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    *ret_n = 1;
    if (n == 1)
        return p[0];
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return 0xfffd;
    uint32_t c = p[0] & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0xfffd;
        c = c << 6 | (p[i] & 0x3fu);
    }
    if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return 0xfffd;
    *ret_n = n;
    return c;
}

/* One character as it may be shown: its bytes and columns. */
struct shown {
    const char *bytes;
    size_t n, width, taken; /* taken: bytes of the source */
};

static struct shown show(const char *text, bool utf8)
{
    struct shown shown = { text, 1, 1, 1 };
    uint32_t c = decode(text, &shown.taken);
    if (c == '\n' || c == '\t' || c == '\r') {
        shown.bytes = " ";
    } else if (!is_printable(c) || c == 0xfffd || (!utf8 && c >= 0x80)) {
        shown.width = c >= 0x300 && c != 0xfffd && is_printable(c) ? width_of(c) : 1;
        shown.bytes = "??";
        shown.n = shown.width; /* as wide as it would have been */
    } else {
        shown.n = shown.taken;
        shown.width = width_of(c);
    }
    return shown;
}

size_t sb_text_width(const char *text)
{
    size_t width = 0;
    while (*text) {
        struct shown shown = show(text, true);
        width += shown.width;
        text += shown.taken;
    }
    return width;
}

void sb_text_clean(struct sb_str *out, const char *text, bool utf8)
{
    (void)sb_text_fit(out, text, 0, utf8);
}

size_t sb_text_fit(struct sb_str *out, const char *text, size_t width, bool utf8)
{
    size_t used = 0;
    bool cut = width > 0 && sb_text_width(text) > width;
    size_t room = cut ? width - 1 : SIZE_MAX;
    while (*text) {
        struct shown shown = show(text, utf8);
        if (used + shown.width > room)
            break;
        sb_str_add_bytes(out, shown.bytes, shown.n);
        used += shown.width;
        text += shown.taken;
    }
    if (!cut)
        return used;
    sb_str_add(out, utf8 ? ELLIPSIS : "~");
    return used + 1;
}

/* ---- colours ---- */

void sb_text_ink(struct sb_str *out, const struct sb_style *style, enum sb_ink ink)
{
    static const char *const codes[] = {
        [SB_INK_PLAIN] = "",        [SB_INK_BOLD] = "\x1b[1m",  [SB_INK_DIM] = "\x1b[2m",
        [SB_INK_GOOD] = "\x1b[32m", [SB_INK_WARN] = "\x1b[33m", [SB_INK_BAD] = "\x1b[31m"
    };
    if (style->color)
        sb_str_add(out, codes[ink]);
}

void sb_text_ink_end(struct sb_str *out, const struct sb_style *style, enum sb_ink ink)
{
    if (style->color && ink != SB_INK_PLAIN)
        sb_str_add(out, "\x1b[0m");
}

void sb_text_pad(struct sb_str *out, size_t n)
{
    while (n-- > 0)
        sb_str_add_char(out, ' ');
}

void sb_text_wrap(struct sb_str *out, size_t at, size_t width, const char *text)
{
    size_t column = at;
    for (size_t n; *text; text += n + (text[n] == ' ')) {
        n = strcspn(text, " ");
        sb_cleanup(sb_freep) char *word = strndup(text, n);
        size_t columns = word ? sb_text_width(word) : n;
        if (width && column > at && column + 1 + columns > width) {
            sb_str_add_char(out, '\n');
            sb_text_pad(out, at);
            column = at;
        } else if (column > at) {
            sb_str_add_char(out, ' ');
            column++;
        }
        sb_str_add_bytes(out, text, n);
        column += columns;
    }
    sb_str_add_char(out, '\n');
}

/* ---- times ---- */

char *sb_text_time(int64_t wall)
{
    char buffer[32];
    struct tm tm;
    time_t seconds = (time_t)(wall / SB_SECOND);
    if (wall <= 0 || !localtime_r(&seconds, &tm) ||
        strftime(buffer, sizeof(buffer), "%Y-%m-%d %H:%M:%S", &tm) == 0)
        return strdup("-");
    return strdup(buffer);
}

char *sb_text_ago(int64_t now, int64_t wall)
{
    static const struct {
        int64_t factor;
        const char *name;
    } units[] = { { SB_DAY, "d" }, { SB_HOUR, "h" }, { SB_MINUTE, "min" }, { SB_SECOND, "s" } };
    if (wall <= 0)
        return strdup("-");
    int64_t apart = 0;
    if (__builtin_sub_overflow(now, wall, &apart) || apart == INT64_MIN)
        return strdup("-");
    bool past = apart >= 0;
    apart = past ? apart : -apart;
    size_t i = 0;
    while (i < SB_COUNT(units) - 1 && apart < units[i].factor)
        i++;
    long long number = (long long)(apart / units[i].factor);
    if (number == 0)
        return strdup("now");
    return past ? sb_format("%lld %s ago", number, units[i].name)
                : sb_format("in %lld %s", number, units[i].name);
}

char *sb_text_when(int64_t now, int64_t wall)
{
    bool near = wall > now - SB_DAY && wall < now + SB_DAY;
    return near ? sb_text_ago(now, wall) : sb_text_time(wall);
}

char *sb_text_clock(int64_t ms)
{
    long long seconds = ms > 0 ? (long long)(ms / SB_SECOND) : 0;
    if (seconds >= 3600)
        return sb_format("%lld:%02lld:%02lld", seconds / 3600, seconds / 60 % 60, seconds % 60);
    return sb_format("%lld:%02lld", seconds / 60, seconds % 60);
}
