/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patterns of the driver "dialog": what they match, what they refuse, what they cost.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <regex.h>

#include "adapters/devices/dialog/pattern.h"
#include "bridge/base/str.h"
#include "bridge/port.h"

static struct sb_pattern *compiled(const char *source)
{
    struct sb_pattern *pattern = NULL;
    char *error = NULL;
    if (sb_pattern_new(source, &pattern, &error) < 0)
        fail_msg("%s", error);
    return pattern;
}

/* Length of the match of a whole line, -1 none. */
static int match(const char *source, const char *line, struct sb_span *ret)
{
    struct sb_span spans[SB_PATTERN_GROUPS + 1];
    struct sb_pattern *pattern = compiled(source);
    struct sb_pattern_run *run = sb_pattern_run_new(pattern);
    assert_non_null(run);
    for (int round = 0; round < 2; round++) { /* a run can be used again */
        sb_pattern_run_reset(run);
        for (const char *at = line; *at; at++)
            (void)sb_pattern_run_byte(run, (uint8_t)*at);
        sb_pattern_run_end(run);
    }
    bool matched = sb_pattern_run_matched(run, spans);
    if (ret)
        memcpy(ret, spans, sizeof(spans));
    sb_pattern_run_free(run);
    sb_pattern_free(pattern);
    return matched ? (int)spans[0].to : -1;
}

static void test_what_matches(void **state)
{
    static const struct {
        const char *source, *line;
        int length;
    } cases[] = {
        { "OK", "OK", 2 },
        { "OK", "NOK", -1 },
        { "OK$", "OKAY", -1 },
        { "OK$", "OK", 2 },
        { "^=> ", "=> ls", 3 },
        { "", "anything", 0 },
        { "a|bc|d", "bcd", 2 },
        { "(a|ab)(c|bcd)", "abcd", 4 },
        { "a*", "aaab", 3 },
        { "a+b", "aaab", 4 },
        { "a+b", "b", -1 },
        { "ab?c", "ac", 2 },
        { "a{2}", "aaa", 2 },
        { "a{2}$", "aaa", -1 },
        { "a{2,}$", "aaaa", 4 },
        { "a{1,3}", "aaaaa", 3 },
        { "a{0,2}b", "aab", 3 },
        { "a{0,0}b", "b", 1 },
        { "(ab){2,3}$", "ababab", 6 },
        { "(a*)*b", "aaab", 4 },
        { "(a|b)*c", "abbac", 5 },
        { "[0-9a-f]+", "12fg", 3 },
        { "[^ ]+", "ab cd", 2 },
        { "[]x]+", "]x]y", 3 },
        { "[a-]+", "a-b", 2 },
        { "[[:digit:][:space:]]+", "1 2x", 3 },
        { "\\d+\\.\\d+", "1.25", 4 },
        { "\\w+\\s\\S+", "ab cd-e", 7 },
        { "\\x41\\t", "A\tB", 2 },
        { "\\+CME ERROR: (\\d+)", "+CME ERROR: 10", 14 },
        { ".*v([0-9.]+)", "Board v1.2 of v3", 16 },
        { "(?:ab|a)c", "abc", 3 },
        { "((a)|b)+", "ab", 2 },
        { "a$|ab", "ab", 2 },
    };
    (void)state;
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        int length = match(cases[i].source, cases[i].line, NULL);
        if (length != cases[i].length)
            fail_msg("'%s' on '%s': %d, not %d", cases[i].source, cases[i].line, length,
                     cases[i].length);
    }
}

static void assert_span(const struct sb_span *span, size_t from, size_t to)
{
    assert_int_equal(span->from, from);
    assert_int_equal(span->to, to);
}

static void test_groups(void **state)
{
    struct sb_span spans[SB_PATTERN_GROUPS + 1];
    (void)state;
    assert_int_equal(match("([a-z]+)=([^ ]*)( .*)?", "key=a b", spans), 7);
    assert_span(&spans[1], 0, 3);
    assert_span(&spans[2], 4, 5);
    assert_span(&spans[3], 5, 7);
    assert_int_equal(match("(a)|(b)", "b", spans), 1);
    assert_true(spans[1].from > spans[1].to); /* took no part */
    assert_span(&spans[2], 0, 1);
    assert_int_equal(match("(?:x(\\d))+", "x1x2", spans), 4);
    assert_span(&spans[1], 3, 4); /* the last time */
    assert_int_equal(match(".*(\\d+)", "ab123", spans), 5);
    assert_span(&spans[1], 4, 5); /* the first repetition takes most */
}

static void test_what_is_refused(void **state)
{
    static const struct {
        const char *source, *says;
    } cases[] = {
        { "(ab", "'(' without its ')' at character 4" },
        { "ab)", "')' without its '('" },
        { "[ab", "'[' without its ']'" },
        { "*a", "nothing to repeat" },
        { "a{2", "'{' without its '}'" },
        { "a{x}", "a number is missing" },
        { "a{3,2}", "m below n" },
        { "a{201}", "repeated too often" },
        { "(a{100}){100}", "too large" },
        { "\\q", "unknown letter" },
        { "\\", "unknown letter" },
        { "[z-a]", "ends before it begins" },
        { "[[:nothing:]]", "no such class" },
        { "(?:(?:(?:(?:(?:(?:(?:(?:(?:(?:(?:(?:(?:(?:(?:(?:(?:(?:(?:(?:(?:a"
          ")))))))))))))))))))))",
          "too deep" },
        { "(a)(a)(a)(a)(a)(a)(a)(a)(a)", "more than 8 groups" },
        { "a|^b", "'^' not at the begin" },
    };
    (void)state;
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        struct sb_pattern *pattern = NULL;
        sb_cleanup(sb_freep) char *error = NULL;
        assert_int_equal(sb_pattern_new(cases[i].source, &pattern, &error), -EINVAL);
        if (!error || !strstr(error, cases[i].says))
            fail_msg("'%s': %s", cases[i].source, error);
    }
    sb_cleanup(sb_freep) char *error = NULL, *much = calloc(1, SB_PATTERN_TEXT + 2);
    memset(much, 'a', SB_PATTERN_TEXT + 1);
    struct sb_pattern *pattern = NULL;
    assert_int_equal(sb_pattern_new(much, &pattern, &error), -EINVAL);
}

/* Prompts are wanted as soon as they are there, and only at the line's begin. */
static void test_byte_by_byte(void **state)
{
    struct sb_pattern *pattern = compiled("(U-Boot|=)> ");
    struct sb_pattern_run *run = sb_pattern_run_new(pattern);
    (void)state;
    assert_true(sb_pattern_run_byte(run, '='));
    assert_true(sb_pattern_run_byte(run, '>'));
    assert_false(sb_pattern_run_matched(run, NULL));
    (void)sb_pattern_run_byte(run, ' ');
    assert_true(sb_pattern_run_matched(run, NULL));
    sb_pattern_run_reset(run);
    assert_false(sb_pattern_run_byte(run, 'x')); /* dead at once */
    assert_false(sb_pattern_run_byte(run, '='));
    assert_false(sb_pattern_run_matched(run, NULL));
    sb_pattern_run_free(run);
    sb_pattern_free(pattern);
    pattern = compiled("a(b)$");
    assert_int_equal(sb_pattern_groups(pattern), 1);
    assert_true(sb_pattern_ends(pattern));
    sb_pattern_free(pattern);
}

/* What makes a back-tracking matcher run for ever is a matter of milliseconds. */
static void test_hostile_lines_cost_nothing(void **state)
{
    static const char *const sources[] = { "(a*)*b", "(a|a)*b", "(a|aa)+$", "(.*)(.*)(.*)(.*)x",
                                           "((a{1,20}){1,10})*c" };
    (void)state;
    for (size_t i = 0; i < SB_COUNT(sources); i++) {
        struct sb_pattern *pattern = compiled(sources[i]);
        struct sb_pattern_run *run = sb_pattern_run_new(pattern);
        int64_t begin = sb_port_clock();
        for (int n = 0; n < 20000; n++)
            (void)sb_pattern_run_byte(run, 'a');
        sb_pattern_run_end(run);
        if (sb_port_clock() - begin > 20000) /* sanitizers and a busy machine included */
            fail_msg("'%s' took %lld ms", sources[i], (long long)(sb_port_clock() - begin));
        sb_pattern_run_free(run);
        sb_pattern_free(pattern);
    }
}

/* ---- against another implementation ---- */

static unsigned seed = 1;
static unsigned pick(unsigned below)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 16) % below;
}

static void invent(struct sb_str *text, int depth)
{
    static const char *const atoms[] = { "a", "b", "c", ".", "[ab]", "[^a]" };
    static const char *const signs[] = { "", "", "", "*", "+", "?", "{1,2}" };
    unsigned pieces = 1 + pick(3);
    for (unsigned i = 0; i < pieces; i++) {
        if (depth > 0 && pick(3) == 0) {
            sb_str_add_char(text, '(');
            invent(text, depth - 1);
            if (pick(2)) {
                sb_str_add_char(text, '|');
                invent(text, depth - 1);
            }
            sb_str_add_char(text, ')');
        } else {
            sb_str_add(text, atoms[pick(SB_COUNT(atoms))]);
        }
        sb_str_add(text, signs[pick(SB_COUNT(signs))]);
    }
}

/* Whether a whole line fits does not depend on preference, so the library's must agree. */
static void test_agrees_with_the_system(void **state)
{
    int fits = 0;
    (void)state;
    for (int i = 0; i < 2000; i++) {
        sb_cleanup(sb_str_done) struct sb_str source = { 0 }, theirs = { 0 };
        char line[8] = { 0 };
        regex_t regex;
        invent(&source, 2);
        for (unsigned n = pick(7), k = 0; k < n; k++)
            line[k] = (char)('a' + pick(3));
        sb_cleanup(sb_freep) char *whole = sb_format("(?:%s)$", sb_str_get(&source));
        sb_str_format(&theirs, "^(%s)$", sb_str_get(&source));
        struct sb_pattern *probe = NULL;
        sb_cleanup(sb_freep) char *error = NULL;
        if (sb_pattern_new(whole, &probe, &error) < 0)
            continue; /* more groups than ours has */
        sb_pattern_free(probe);
        assert_int_equal(regcomp(&regex, sb_str_get(&theirs), REG_EXTENDED | REG_NOSUB), 0);
        bool expected = regexec(&regex, line, 0, NULL, 0) == 0;
        regfree(&regex);
        fits += expected;
        if ((match(whole, line, NULL) >= 0) != expected)
            fail_msg("'%s' on '%s': expected %d", whole, line, expected);
    }
    assert_true(fits > 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_matches),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_byte_by_byte),
        cmocka_unit_test(test_hostile_lines_cost_nothing),
        cmocka_unit_test(test_agrees_with_the_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
