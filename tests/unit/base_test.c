/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strings, names, diagnostics, time, maps.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "bridge/base/datagram.h"
#include "bridge/base/diag.h"
#include "bridge/base/map.h"
#include "bridge/base/names.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "bridge/base/util.h"
#include "tests/test.h"

enum colour { RED, GREEN, BLUE, COLOUR_MAX_, COLOUR_INVALID = -EINVAL };
SB_NAMES_DECLARE(colour)
SB_NAMES(colour, COLOUR_MAX_, [RED] = "red", [GREEN] = "green", [BLUE] = "blue");

SB_TEST(set_string_copies_and_clears)
{
    sb_cleanup(sb_freep) char *slot = NULL;
    char text[] = "pump";
    assert_int_equal(sb_set_string(&slot, text), 0);
    text[0] = 'd';
    assert_string_equal(slot, "pump");
    assert_int_equal(sb_set_string(&slot, slot + 2), 0); /* part of itself */
    assert_string_equal(slot, "mp");
    assert_int_equal(sb_set_string(&slot, NULL), 0);
    assert_null(slot);
}

SB_TEST(names_go_both_ways)
{
    for (int i = 0; i < COLOUR_MAX_; i++)
        assert_int_equal(colour_from_name(colour_name(i)), i);
    assert_null(colour_name(COLOUR_MAX_));
    assert_null(colour_name(COLOUR_INVALID));
    assert_int_equal(colour_from_name("Red"), COLOUR_INVALID);
    assert_int_equal(colour_from_name(""), COLOUR_INVALID);
    assert_int_equal(colour_from_name(NULL), COLOUR_INVALID);
}

SB_TEST(string_grows)
{
    struct sb_str s = { 0 };
    assert_string_equal(sb_str_get(&s), "");
    for (int i = 0; i < 1000; i++)
        sb_str_format(&s, "%d,", i);
    sb_str_add_char(&s, ';');
    sb_str_add(&s, "end");
    assert_int_equal(s.length, strlen(s.text));
    assert_int_equal(s.length, 10 * 2 + 90 * 3 + 900 * 4 + 4);
    assert_string_equal(s.text + s.length - 8, "999,;end");
    sb_cleanup(sb_freep) char *text = sb_str_take(&s);
    assert_non_null(text);
    assert_null(s.text);
    assert_int_equal(s.length, 0);
}

SB_TEST(string_holds_bytes)
{
    struct sb_str s = { 0 };
    sb_str_add_bytes(&s, "a\0b", 3);
    sb_str_add_bytes(&s, NULL, 0);
    assert_int_equal(s.length, 3);
    assert_memory_equal(s.text, "a\0b", 4);
    sb_str_done(&s);
    sb_cleanup(sb_freep) char *empty = sb_str_take(&s);
    assert_string_equal(empty, "");
}

/* A string of an impossible length is a string without memory. */
SB_TEST(string_breaks_but_never_truncates)
{
    struct sb_str s = { 0 };
    sb_str_add(&s, "kept");
    sb_str_add_bytes(&s, "x", SIZE_MAX - 2);
    assert_true(s.broken);
    sb_str_add(&s, "ignored");
    sb_str_format(&s, "%d", 5);
    assert_string_equal(sb_str_get(&s), "kept");
    assert_null(sb_str_take(&s));
    assert_false(s.broken); /* usable again */
    sb_str_add(&s, "new");
    assert_string_equal(sb_str_get(&s), "new");
    sb_str_done(&s);
}

SB_TEST(format_of_any_length)
{
    for (int n = 0; n < 200; n++) {
        sb_cleanup(sb_freep) char *text = sb_format("%*s|", n, "");
        assert_int_equal(strlen(text), n + 1);
        assert_int_equal(text[n], '|');
    }
}

SB_TEST(diags_say_where)
{
    struct sb_diags diags = { 0 };
    sb_diags_add(&diags, "pump.yaml", 7, 3, "unknown key '%s'", "lifetme");
    sb_diags_add(&diags, "pump.yaml", 9, 0, "second");
    sb_diags_add(&diags, "pump.yaml", 0, 0, "third");
    sb_diags_add(&diags, NULL, 4, 2, "fourth");
    sb_diags_add(&diags, NULL, 0, 0, "fifth");
    sb_cleanup(sb_freep) char *text = sb_diags_text(&diags);
    assert_string_equal(text, "pump.yaml:7:3: unknown key 'lifetme'\n"
                              "pump.yaml:9: second\n"
                              "pump.yaml: third\n"
                              "line 4:2: fourth\n"
                              "fifth\n");
    sb_diags_done(&diags);
    assert_int_equal(diags.count, 0);
    sb_cleanup(sb_freep) char *none = sb_diags_text(&diags);
    assert_string_equal(none, "");
}

SB_TEST(diags_are_bounded)
{
    struct sb_diags diags = { 0 };
    for (int i = 0; i < SB_DIAG_LIMIT + 5; i++)
        sb_diags_add(&diags, "f", i + 1, 1, "wrong");
    assert_int_equal(diags.count, SB_DIAG_LIMIT);
    assert_int_equal(diags.total, SB_DIAG_LIMIT + 5);
    sb_cleanup(sb_freep) char *text = sb_diags_text(&diags);
    assert_non_null(strstr(text, "f:100:1: wrong\nand 5 more\n"));
    sb_diags_done(&diags);
}

SB_TEST(nearest_is_near)
{
    static const char *const keys[] = { "lifetime", "device_type", "observe", "id", "retry" };
    static const struct {
        const char *word, *nearest;
    } cases[] = {
        { "lifetme", "lifetime" },        /* one missing */
        { "lifetimee", "lifetime" },      /* one too many */
        { "liftimer", "lifetime" },       /* two wrong */
        { "device-type", "device_type" }, /* one replaced */
        { "LifeTime", "lifetime" },       /* only the case */
        { "rteyr", NULL },                /* two swaps of five letters are too far */
        { "rerty", "retry" },             /* one swap counts once */
        { "ix", NULL },                   /* half of it is another */
        { "temperature", NULL },
        { "", NULL },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        const char *found = sb_nearest(cases[i].word, keys, SB_COUNT(keys));
        if (!sb_streq(found, cases[i].nearest))
            fail_msg("'%s': '%s'", cases[i].word, found ? found : "(none)");
    }
    assert_null(sb_nearest(NULL, keys, SB_COUNT(keys)));
    assert_null(sb_nearest("id", NULL, 0));
}

SB_TEST(nearest_is_bounded)
{
    char longer[66], fits[65];
    memset(longer, 'a', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    memset(fits, 'a', sizeof(fits) - 1);
    fits[sizeof(fits) - 1] = '\0';
    const char *choices[] = { longer, NULL, "", fits };
    assert_ptr_equal(sb_nearest(fits, choices, SB_COUNT(choices)), fits);
    assert_null(sb_nearest(longer, choices, SB_COUNT(choices)));
}

static const struct {
    int64_t ms;
    const char *text;
} stamps[] = {
    { 0, "1970-01-01T00:00:00.000Z" },
    { -1, "1969-12-31T23:59:59.999Z" },
    { 951782400000, "2000-02-29T00:00:00.000Z" },
    { 1709164799999, "2024-02-28T23:59:59.999Z" },
    { SB_CLOCK_UNSET_BEFORE, "2025-01-01T00:00:00.000Z" },
    { 1795306200000, "2026-11-22T00:10:00.000Z" },
    { 4107542400000, "2100-03-01T00:00:00.000Z" }, /* 2100 has no leap day */
    { -62167219200000, "0000-01-01T00:00:00.000Z" },
    { 253402300799999, "9999-12-31T23:59:59.999Z" },
};

SB_TEST(stamps_go_both_ways)
{
    for (size_t i = 0; i < SB_COUNT(stamps); i++) {
        sb_cleanup(sb_freep) char *text = sb_time_iso8601(stamps[i].ms);
        assert_string_equal(text, stamps[i].text);
        int64_t ms = 7;
        assert_int_equal(sb_time_from_iso8601(text, &ms), 0);
        assert_true(ms == stamps[i].ms);
    }
    for (int64_t day = -800000; day < 800000; day += 13) { /* both ways over five eras */
        int64_t ms = 0;
        sb_cleanup(sb_freep) char *text = sb_time_iso8601(day * SB_DAY);
        if (text[0] == '-')
            continue;
        assert_int_equal(sb_time_from_iso8601(text, &ms), 0);
        assert_true(ms == day * SB_DAY);
    }
    sb_cleanup(sb_freep) char *least = sb_time_iso8601(INT64_MIN);
    sb_cleanup(sb_freep) char *most = sb_time_iso8601(INT64_MAX);
    assert_string_equal(most, "292278994-08-17T07:12:55.807Z");
    assert_string_equal(least, "-292275055-05-16T16:47:04.192Z");
}

SB_TEST(stamps_have_offsets_and_fractions)
{
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        { "1970-01-01T01:00:00+01:00", 0 },       { "1969-12-31T18:30:00-05:30", 0 },
        { "1970-01-01T00:00:00.5Z", 500 },        { "1970-01-01T00:00:00.1239999Z", 123 },
        { "1970-01-01T00:00:00.0000000001Z", 0 }, { "2016-12-31T23:59:60Z", 1483228800000 },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        int64_t ms = 7;
        assert_int_equal(sb_time_from_iso8601(cases[i].text, &ms), 0);
        assert_true(ms == cases[i].ms);
    }
}

SB_TEST(stamps_are_strict)
{
    static const char *const wrong[] = {
        "",
        "2026",
        "2026-11-22",
        "2026-11-22T00:10:00",
        "2026-11-22 00:10:00Z",
        "2026-11-22T00:10:00z",
        "2026-11-22T00:10Z",
        "2026-11-22T00:10:00.Z",
        "2026-11-22T00:10:00,5Z",
        "2026-11-22T00:10:00Zx",
        "2026-11-22T00:10:00+01",
        "2026-11-22T00:10:00+0100",
        "2026-11-22T00:10:00+24:00",
        "2026-11-22T00:10:00+01:60",
        "2026-11-22T24:00:00Z",
        "2026-11-22T00:60:00Z",
        "2026-11-22T00:00:61Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-12-32T00:00:00Z",
        "2026-12-00T00:00:00Z",
        "+2026-11-22T00:10:00Z",
        "20261122T001000Z",
        " 2026-11-22T00:10:00Z",
    };
    for (size_t i = 0; i < SB_COUNT(wrong); i++) {
        int64_t ms = 7;
        if (sb_time_from_iso8601(wrong[i], &ms) != -EINVAL || ms != 7)
            fail_msg("accepted '%s'", wrong[i]);
    }
    int64_t ms = 7;
    assert_int_equal(sb_time_from_iso8601(NULL, &ms), -EINVAL);
}

struct number_case {
    const char *text;
    int result;
    int64_t value;
};

static void check_numbers(int (*parse)(const char *, int64_t *), const struct number_case *cases,
                          size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int64_t value = -7;
        int r = parse(cases[i].text, &value);
        if (r != cases[i].result || value != (r == 0 ? cases[i].value : -7))
            fail_msg("'%s': %d, %jd", cases[i].text ? cases[i].text : "(null)", r, (intmax_t)value);
    }
}

SB_TEST(durations_parse)
{
    static const struct number_case cases[] = {
        { "0", 0, 0 },
        { "0s", 0, 0 },
        { "500ms", 0, 500 },
        { "90s", 0, 90000 },
        { "5m", 0, 300000 },
        { "36h", 0, 36 * SB_HOUR },
        { "7d", 0, 7 * SB_DAY },
        { "2w", 0, 14 * SB_DAY },
        { "9223372036854775807ms", 0, INT64_MAX },
        { "9223372036854775808ms", -ERANGE, 0 },
        { "9223372036854775807s", -ERANGE, 0 },
        { "99999999999999999999999999w", -ERANGE, 0 },
        { "99999999999999999999999999x", -EINVAL, 0 },
        { "5", -EINVAL, 0 },
        { "5 s", -EINVAL, 0 },
        { "-5s", -EINVAL, 0 },
        { "+5s", -EINVAL, 0 },
        { "1.5h", -EINVAL, 0 },
        { "1h5m", -EINVAL, 0 },
        { "5S", -EINVAL, 0 },
        { "s", -EINVAL, 0 },
        { "", -EINVAL, 0 },
        { NULL, -EINVAL, 0 },
    };
    check_numbers(sb_duration_parse, cases, SB_COUNT(cases));
}

SB_TEST(sizes_parse)
{
    static const struct number_case cases[] = {
        { "0", 0, 0 },
        { "512", 0, 512 },
        { "64K", 0, 65536 },
        { "8M", 0, 8388608 },
        { "2G", 0, 2147483648 },
        { "8589934591G", 0, INT64_C(8589934591) << 30 },
        { "8589934592G", -ERANGE, 0 },
        { "9223372036854775808", -ERANGE, 0 },
        { "8KB", -EINVAL, 0 },
        { "8k", -EINVAL, 0 },
        { "-8K", -EINVAL, 0 },
        { "K", -EINVAL, 0 },
        { "", -EINVAL, 0 },
        { NULL, -EINVAL, 0 },
    };
    check_numbers(sb_size_parse, cases, SB_COUNT(cases));
}

static void check_texts(char *(*text)(int64_t), const struct number_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sb_cleanup(sb_freep) char *shown = text(cases[i].value);
        assert_string_equal(shown, cases[i].text);
    }
}

SB_TEST(durations_and_sizes_are_told)
{
    static const struct number_case durations[] = {
        { "0s", 0, 0 },
        { "500ms", 0, 500 },
        { "1s 500ms", 0, 1500 },
        { "1m", 0, 60000 },
        { "1h 5m", 0, SB_HOUR + 5 * SB_MINUTE + 59999 },
        { "1d", 0, SB_DAY + 5 * SB_MINUTE },
        { "20d 23h", 0, 21 * SB_DAY - 1 },
        { "-1m 1s", 0, -61000 },
        { "-106751991167d 7h", 0, INT64_MIN },
    };
    check_texts(sb_duration_text, durations, SB_COUNT(durations));
    static const struct number_case sizes[] = {
        { "0", 0, 0 },          { "1023", 0, 1023 },        { "64K", 0, 65536 },
        { "1.5M", 0, 1572864 }, { "117.7M", 0, 123456789 }, { "2G", 0, 2147483648 },
    };
    check_texts(sb_size_text, sizes, SB_COUNT(sizes));
}

#define KEYS 1000

static void map_key(char ret[8], int i)
{
    (void)snprintf(ret, 8, "k%d", i);
}

SB_TEST(map_keeps_what_it_is_given)
{
    static int values[KEYS];
    struct sb_map map = { 0 };
    char key[8];
    assert_null(sb_map_get(&map, "k0"));
    assert_null(sb_map_take(&map, "k0"));
    for (int i = 0; i < KEYS; i++) {
        map_key(key, i);
        assert_int_equal(sb_map_set(&map, key, &values[0]), 0);
        assert_int_equal(sb_map_set(&map, key, &values[i]), 0); /* replaced, not added */
    }
    assert_int_equal(map.count, KEYS);
    for (int i = 0; i < KEYS; i += 2) {
        map_key(key, i);
        assert_ptr_equal(sb_map_take(&map, key), &values[i]);
        assert_null(sb_map_take(&map, key));
    }
    for (int i = 0; i < KEYS; i++) {
        map_key(key, i);
        assert_ptr_equal(sb_map_get(&map, key), i % 2 ? &values[i] : NULL);
    }
    assert_null(sb_map_get(&map, NULL));
    sb_map_done(&map);
    assert_null(sb_map_get(&map, "k1"));
}

/* Many short lives in a small map do not make it grow. */
SB_TEST(map_reuses_its_room)
{
    struct sb_map map = { 0 };
    char key[8];
    for (int i = 0; i < KEYS; i++) {
        map_key(key, i);
        assert_int_equal(sb_map_set(&map, key, key), 0);
        assert_ptr_equal(sb_map_take(&map, key), key);
    }
    assert_int_equal(map.count, 0);
    assert_in_range(map.room, 1, 64);
    sb_map_done(&map);
}

SB_TEST(map_visits_each_once)
{
    int seen[KEYS] = { 0 };
    struct sb_map map = { 0 };
    char key[8];
    for (int i = 0; i < KEYS; i++) {
        map_key(key, i);
        assert_int_equal(sb_map_set(&map, key, &seen[i]), 0);
    }
    size_t cursor = 0;
    const char *name = NULL;
    for (int *value; (value = sb_map_next(&map, &cursor, &name));) {
        map_key(key, (int)(value - seen));
        assert_string_equal(name, key);
        if (++*value && (value - seen) % 3 == 0)
            assert_ptr_equal(sb_map_take(&map, key), value); /* the one just visited may go */
    }
    for (int i = 0; i < KEYS; i++)
        assert_int_equal(seen[i], 1);
    assert_null(sb_map_next(&map, &cursor, NULL));
    assert_int_equal(map.count, KEYS - (KEYS + 2) / 3);
    sb_map_done(&map);
}

SB_TEST(text_is_percent_encoded)
{
    struct sb_str s = { 0 };
    sb_str_add_percent(&s, "hub.example/devices/a-b_~ !'()*+\xc3\xa9=&");
    assert_string_equal(sb_str_get(&s),
                        "hub.example%2Fdevices%2Fa-b_~%20%21%27%28%29%2A%2B%C3%A9%3D%26");
    sb_str_done(&s);
    sb_str_add_percent(&s, "");
    assert_string_equal(sb_str_get(&s), "");
}

/* One that listens under a name of its own choice, in the abstract kind. */
static int listen_somewhere(char ret[static 128])
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    socklen_t size = sizeof(address);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    /* no name: the kernel gives one */
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    (void)snprintf(ret, 128, "@%.*s", (int)(size - sizeof(sa_family_t) - 1), address.sun_path + 1);
    return fd;
}

SB_TEST(a_datagram_reaches_who_listens)
{
    const struct iovec parts[] = { { (char[]){ "READY=" }, 6 }, { (char[]){ "1" }, 1 } };
    char path[128], got[32];
    int fd = listen_somewhere(path);
    assert_int_equal(sb_datagram_send(path, parts, 2, 0), 0);
    assert_int_equal(recv(fd, got, sizeof(got), MSG_DONTWAIT), 7);
    assert_memory_equal(got, "READY=1", 7);
    int r = 0;
    for (int i = 0; i < 10000 && r == 0; i++) /* nobody reads: it is full soon */
        r = sb_datagram_send(path, parts, 2, 0);
    assert_int_equal(r, -EAGAIN);
    assert_int_equal(sb_datagram_send(path, parts, 2, 20), -EAGAIN);
    (void)close(fd);
    assert_int_equal(sb_datagram_send(path, parts, 2, 0), -ECONNREFUSED);
    assert_int_equal(sb_datagram_send("/no/such/socket", parts, 2, 0), -ENOENT);
    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    path[0] = '/';
    static const char *const none[] = { "", "/", "@", "relative", "vsock:2:1" };
    assert_int_equal(sb_datagram_send(path, parts, 2, 0), -EINVAL);
    for (size_t i = 0; i < SB_COUNT(none); i++)
        assert_int_equal(sb_datagram_send(none[i], parts, 2, 0), -EINVAL);
}
