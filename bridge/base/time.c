/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/base/time.h"

#include <ctype.h>
#include <errno.h>

#include "bridge/base/str.h"

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit durations[] = {
    { "ms", 1 },      { "s", SB_SECOND }, { "m", SB_MINUTE },
    { "h", SB_HOUR }, { "d", SB_DAY },    { "w", 7 * SB_DAY },
};

static const struct unit sizes[] = {
    { "", 1 },
    { "K", INT64_C(1) << 10 },
    { "M", INT64_C(1) << 20 },
    { "G", INT64_C(1) << 30 },
};

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0 ? 1 : 0);
}

/*
 * Days since 1970-01-01 of a date of the Gregorian calendar. Years begin in March here, so that
 * the leap day is the last of the year; 400 years are 146097 days.
 */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2 ? 1 : 0;
    int64_t era = floor_div(year, 400);
    int64_t in_era = year - era * 400;
    int64_t in_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719468;
}

static void date_of(int64_t days, int64_t *ret_year, int64_t *ret_month, int64_t *ret_day)
{
    days += 719468;
    int64_t era = floor_div(days, 146097);
    int64_t in_era = days - era * 146097;
    int64_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int64_t in_year = in_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * in_year + 2) / 153;
    *ret_day = in_year - (153 * month + 2) / 5 + 1;
    *ret_month = month < 10 ? month + 3 : month - 9;
    *ret_year = year + era * 400 + (*ret_month <= 2 ? 1 : 0);
}

char *sb_time_iso8601(int64_t wall_ms)
{
    int64_t days = floor_div(wall_ms, SB_DAY);
    int64_t ms = (wall_ms % SB_DAY + SB_DAY) % SB_DAY;
    int64_t year, month, day;
    date_of(days, &year, &month, &day);
    return sb_format("%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", (int)year, (int)month, (int)day,
                     (int)(ms / SB_HOUR), (int)(ms / SB_MINUTE % 60), (int)(ms / SB_SECOND % 60),
                     (int)(ms % SB_SECOND));
}

/* Exactly n digits, then the character `then` (NUL: none is consumed). */
static bool digits(const char **p, int n, char then, int64_t min, int64_t max, int64_t *ret)
{
    int64_t value = 0;
    for (int i = 0; i < n; i++, (*p)++) {
        if (!isdigit((unsigned char)**p))
            return false;
        value = value * 10 + (**p - '0');
    }
    if (then && *(*p)++ != then)
        return false;
    *ret = value;
    return value >= min && value <= max;
}

static bool fraction(const char **p, int64_t *ret_ms)
{
    *ret_ms = 0;
    if (**p != '.')
        return true;
    int64_t weight = 100;
    const char *first = ++*p;
    for (; isdigit((unsigned char)**p); (*p)++, weight /= 10)
        *ret_ms += weight * (**p - '0'); /* finer than a millisecond is dropped: weight is 0 */
    return *p > first;
}

static bool offset(const char **p, int64_t *ret_ms)
{
    char sign = *(*p)++;
    int64_t hours = 0, minutes = 0;
    if (sign != 'Z' && (!(sign == '+' || sign == '-') || !digits(p, 2, ':', 0, 23, &hours) ||
                        !digits(p, 2, 0, 0, 59, &minutes)))
        return false;
    *ret_ms = (hours * SB_HOUR + minutes * SB_MINUTE) * (sign == '-' ? -1 : 1);
    return true;
}

static int64_t days_in(int64_t year, int64_t month)
{
    return month == 12 ? 31 : days_of(year, month + 1, 1) - days_of(year, month, 1);
}

int sb_time_from_iso8601(const char *text, int64_t *ret_wall_ms)
{
    int64_t year, month, day, hour, minute, second, ms, zone;
    const char *p = text;
    if (!p || !digits(&p, 4, '-', 0, 9999, &year) || !digits(&p, 2, '-', 1, 12, &month) ||
        !digits(&p, 2, 'T', 1, days_in(year, month), &day) || !digits(&p, 2, ':', 0, 23, &hour) ||
        !digits(&p, 2, ':', 0, 59, &minute) || !digits(&p, 2, 0, 0, 60, &second) ||
        !fraction(&p, &ms) || !offset(&p, &zone) || *p)
        return -EINVAL;
    *ret_wall_ms = days_of(year, month, day) * SB_DAY + hour * SB_HOUR + minute * SB_MINUTE +
                   second * SB_SECOND + ms - zone;
    return 0;
}

/* Digits and one unit of the table, nothing else. */
static int parse(const char *text, const struct unit *units, size_t count, int64_t *ret)
{
    if (!text || !isdigit((unsigned char)*text))
        return -EINVAL;
    int64_t value = 0;
    bool over = false;
    for (; isdigit((unsigned char)*text); text++)
        over = over || __builtin_mul_overflow(value, 10, &value) ||
               __builtin_add_overflow(value, *text - '0', &value);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(text, units[i].name) != 0)
            continue;
        if (over || __builtin_mul_overflow(value, units[i].factor, &value))
            return -ERANGE;
        *ret = value;
        return 0;
    }
    return -EINVAL;
}

int sb_duration_parse(const char *text, int64_t *ret_ms)
{
    if (sb_streq(text, "0")) {
        *ret_ms = 0;
        return 0;
    }
    return parse(text, durations, SB_COUNT(durations), ret_ms);
}

int sb_size_parse(const char *text, int64_t *ret_bytes)
{
    return parse(text, sizes, SB_COUNT(sizes), ret_bytes);
}

char *sb_duration_text(int64_t ms)
{
    uint64_t left = ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms;
    const char *sign = ms < 0 ? "-" : "";
    if (left == 0)
        return sb_format("0s");
    size_t i = 4; /* days; weeks are for writing only */
    while (left < (uint64_t)durations[i].factor)
        i--;
    uint64_t unit = (uint64_t)durations[i].factor;
    uint64_t rest = i > 0 ? left % unit / (uint64_t)durations[i - 1].factor : 0;
    if (rest == 0)
        return sb_format("%s%ju%s", sign, (uintmax_t)(left / unit), durations[i].name);
    return sb_format("%s%ju%s %ju%s", sign, (uintmax_t)(left / unit), durations[i].name,
                     (uintmax_t)rest, durations[i - 1].name);
}

char *sb_size_text(int64_t bytes)
{
    size_t i = SB_COUNT(sizes) - 1;
    while (i > 0 && bytes < sizes[i].factor)
        i--;
    int64_t unit = sizes[i].factor;
    if (bytes % unit == 0)
        return sb_format("%jd%s", (intmax_t)(bytes / unit), sizes[i].name);
    return sb_format("%jd.%d%s", (intmax_t)(bytes / unit), (int)(bytes % unit * 10 / unit),
                     sizes[i].name);
}
