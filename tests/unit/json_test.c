/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON: what is refused and why, the bounds on either side, and the getters.
 */
#include <errno.h>

#include "bridge/base/json.h"
#include "bridge/base/str.h"
#include "tests/test.h"

static json_t *parsed(const char *text)
{
    json_t *value = NULL;
    sb_cleanup(sb_freep) char *error = NULL;
    if (sb_json_parse(text, strlen(text), NULL, &value, &error) != 0)
        fail_msg("'%s': %s", text, error);
    assert_null(error);
    return value;
}

/* Refused with this error, and a text that has this in it. */
static void refused(const void *text, size_t n, const struct sb_json_limits *limits, int expected,
                    const char *says)
{
    json_t *value = NULL;
    sb_cleanup(sb_freep) char *error = NULL;
    assert_int_equal(sb_json_parse(text, n, limits, &value, &error), expected);
    assert_null(value);
    assert_non_null(error);
    if (!strstr(error, says))
        fail_msg("'%s' does not say '%s'", error, says);
    assert_int_equal(sb_json_parse(text, n, limits, &value, NULL), expected);
}

SB_TEST(texts_come_back)
{
    static const char *const texts[] = {
        "{}",
        "[]",
        "{\"z\":1,\"a\":[true,false,null],\"m\":{\"x\":-1.5,\"y\":\"\"}}",
        "{\"big\":9223372036854775807,\"small\":-9223372036854775808}",
        "\"text\"",
        "5",
        "null",
        "[\"\\\"\\\\\\n\",\"\xc3\xa4\xe2\x82\xac\",\"]}{[\"]",
    };
    for (size_t i = 0; i < SB_COUNT(texts); i++) {
        sb_cleanup(json_decrefp) json_t *value = parsed(texts[i]);
        sb_cleanup(sb_freep) char *text = sb_json_text(value);
        assert_string_equal(text, texts[i]);
    }
    assert_null(sb_json_text(NULL));
}

SB_TEST(broken_texts_are_refused_with_their_place)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        { "", "empty" },
        { " ", "line 1" },
        { "{", "line 1, column 1" },
        { "{\"a\":1,\n \"b\":}", "line 2" },
        { "{\"a\":1} x", "line 1, column 9" },
        { "{\"a\":1}{\"a\":1}", "line 1" },
        { "[1,]", "line 1" },
        { "{'a':1}", "line 1" },
        { "{\"a\":1,\"a\":2}", "duplicate" },
        { "{\"a\":{\"b\":1,\"b\":2}}", "\"b\"" },
        { "[\"\xff\"]", "decode" },
        { "[\"\xed\xa0\x80\"]", "decode" },
        { "[\"\\ud800\"]", "line 1" },
        { "[\"\\u0000\"]", "line 1" },
        { "[\"a\nb\"]", "line 1" },
        { "[99999999999999999999]", "line 1" },
        { "[1e999]", "line 1" },
        { "[NaN]", "line 1" },
        { "[01]", "line 1" },
        { "[\"unfinished", "line 1" },
        { "[\"unfinished\\", "line 1" },
        { "]]]]", "line 1" },
        { "\xef\xbb\xbf{}", "line 1" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++)
        refused(cases[i].text, strlen(cases[i].text), NULL, -EBADMSG, cases[i].says);
    refused("[1]\0", 4, NULL, -EBADMSG, "byte 4");
    refused("[\"a\0b\"]", 7, NULL, -EBADMSG, "line 1");
    refused(NULL, 0, NULL, -EBADMSG, "empty");
}

SB_TEST(errors_do_not_quote_values)
{
    static const char text[] = "{\"password\":\"hunter2\" \"next\":hunter3}";
    json_t *value = NULL;
    sb_cleanup(sb_freep) char *error = NULL;
    assert_int_equal(sb_json_parse(text, strlen(text), NULL, &value, &error), -EBADMSG);
    assert_null(strstr(error, "hunter"));
    assert_null(strstr(error, "near"));
}

/* n levels of arrays, innermost empty */
static char *nested(size_t n)
{
    struct sb_str s = { 0 };
    for (size_t i = 0; i < n; i++)
        sb_str_add_char(&s, '[');
    for (size_t i = 0; i < n; i++)
        sb_str_add_char(&s, ']');
    return sb_str_take(&s);
}

SB_TEST(depth_is_bounded)
{
    sb_cleanup(sb_freep) char *at = nested(32);
    sb_cleanup(json_decrefp) json_t *value = parsed(at);
    assert_non_null(value);
    sb_cleanup(sb_freep) char *over = nested(33);
    refused(over, strlen(over), NULL, -E2BIG, "deeper than 32 levels at byte 32");
    sb_cleanup(sb_freep) char *far = nested(60000);
    refused(far, strlen(far), NULL, -E2BIG, "deeper than 32");
    refused("{\"a\":[{}]}", 10, &(struct sb_json_limits){ .depth = 2 }, -E2BIG, "byte 6");
    /* brackets in strings are no levels; closed ones are closed */
    sb_cleanup(json_decrefp) json_t *flat =
        parsed("[\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"]");
    assert_non_null(flat);
    refused(far, strlen(far), &(struct sb_json_limits){ .depth = 100000, .values = 100000 }, -E2BIG,
            "depth"); /* the parser's own bound */
}

static char *list_of(size_t n)
{
    struct sb_str s = { 0 };
    sb_str_add_char(&s, '[');
    for (size_t i = 0; i < n; i++)
        sb_str_add(&s, i > 0 ? ",0" : "0");
    sb_str_add_char(&s, ']');
    return sb_str_take(&s);
}

SB_TEST(values_are_bounded)
{
    sb_cleanup(sb_freep) char *at = list_of(19999); /* and the list itself */
    sb_cleanup(json_decrefp) json_t *value = parsed(at);
    assert_int_equal(json_array_size(value), 19999);
    sb_cleanup(sb_freep) char *over = list_of(20000);
    refused(over, strlen(over), NULL, -E2BIG, "more than 20000 values");

    static const struct {
        const char *text;
        size_t values;
    } cases[] = {
        { "1", 1 },           { "[]", 1 },         { "[ ]", 1 },
        { "[[],[]]", 3 },     { "{\"a\":1}", 2 },  { "{\"a,b\":{},\"c\":[1,2]}", 5 },
        { "[\"a,b,c\"]", 2 }, { "[{},{},{}]", 4 },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        struct sb_json_limits limits = { .values = cases[i].values };
        size_t n = strlen(cases[i].text);
        json_t *counted = NULL;
        assert_int_equal(sb_json_parse(cases[i].text, n, &limits, &counted, NULL), 0);
        json_decref(counted);
        if (--limits.values > 0)
            refused(cases[i].text, n, &limits, -E2BIG, "values");
    }
}

SB_TEST(length_is_bounded)
{
    size_t n = 131073;
    sb_cleanup(sb_freep) char *text = malloc(n);
    assert_non_null(text);
    memset(text, ' ', n);
    text[0] = '7';
    json_t *value = NULL;
    assert_int_equal(sb_json_parse(text, n - 1, NULL, &value, NULL), 0);
    json_decref(value);
    refused(text, n, NULL, -E2BIG, "131073 bytes long, at most 131072");
    refused("[1,2]", 5, &(struct sb_json_limits){ .bytes = 4 }, -E2BIG, "at most 4");
}

SB_TEST(getters_tolerate_anything)
{
    sb_cleanup(json_decrefp) json_t *o =
        parsed("{\"s\":\"x\",\"i\":5,\"r\":6.9,\"n\":-6.9,\"huge\":1e300,\"edge\":9.3e18,"
               "\"b\":true,\"f\":false,\"o\":{\"k\":1},\"a\":[1],\"null\":null}");
    assert_string_equal(sb_json_str(o, "s"), "x");
    assert_int_equal(sb_json_int(o, "i", -1), 5);
    assert_int_equal(sb_json_int(o, "r", -1), 6);
    assert_int_equal(sb_json_int(o, "n", -1), -6);
    assert_int_equal(sb_json_int(o, "huge", -1), -1);
    assert_int_equal(sb_json_int(o, "edge", -1), -1);
    assert_true(sb_json_bool(o, "b", false));
    assert_false(sb_json_bool(o, "f", true));
    assert_int_equal(sb_json_int(sb_json_object(o, "o"), "k", -1), 1);
    assert_int_equal(json_array_size(sb_json_array(o, "a")), 1);

    static const char *const wrong[] = { "null", "none", "o", "a", "s", "i", "b" };
    for (size_t i = 0; i < SB_COUNT(wrong); i++) {
        const char *key = wrong[i];
        assert_true(sb_json_str(o, key) == NULL || strcmp(key, "s") == 0);
        assert_true(sb_json_int(o, key, 77) == 77 || strcmp(key, "i") == 0);
        assert_true(sb_json_bool(o, key, false) == false || strcmp(key, "b") == 0);
        assert_true(sb_json_object(o, key) == NULL || strcmp(key, "o") == 0);
        assert_true(sb_json_array(o, key) == NULL || strcmp(key, "a") == 0);
    }
    const json_t *others[] = { NULL, sb_json_array(o, "a"), json_object_get(o, "s") };
    for (size_t i = 0; i < SB_COUNT(others); i++) {
        assert_null(sb_json_str(others[i], "k"));
        assert_int_equal(sb_json_int(others[i], "k", 77), 77);
        assert_true(sb_json_bool(others[i], "k", true));
        assert_null(sb_json_object(others[i], "k"));
        assert_null(sb_json_array(others[i], "k"));
    }
}

SB_TEST(setters)
{
    sb_cleanup(json_decrefp) json_t *o = json_object();
    assert_int_equal(sb_json_put_str(o, "b", "two"), 0);
    assert_int_equal(sb_json_put_int(o, "a", INT64_MIN), 0);
    assert_int_equal(sb_json_put_str(o, "none", NULL), 0);
    assert_int_equal(sb_json_put_str(o, "b", "three"), 0);
    assert_int_equal(sb_json_put_str(o, "z", "no\xff"), 0); /* legible as far as it goes */
    sb_cleanup(sb_freep) char *text = sb_json_text(o);
    assert_string_equal(text, "{\"b\":\"three\",\"a\":-9223372036854775808,\"z\":\"no?\"}");
    sb_cleanup(sb_freep) char *sorted = sb_json_sorted(o);
    assert_string_equal(sorted, "{\"a\":-9223372036854775808,\"b\":\"three\",\"z\":\"no?\"}");
    /* what the library cannot hold fails, and does not vanish */
    assert_int_equal(sb_json_put_str(o, "\xff", "x"), -ENOMEM);
    assert_int_equal(sb_json_put_str(NULL, "x", "y"), -ENOMEM);
    assert_int_equal(sb_json_put_int(NULL, "x", 1), -ENOMEM);
}
