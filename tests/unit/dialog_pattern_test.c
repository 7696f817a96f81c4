/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patterns of the driver "dialog": what they match, what they refuse, what they cost.
 */
#include "adapters/devices/dialog/pattern.h"
#include "bridge/base/str.h"
#include "bridge/port.h"
#include "tests/test.h"

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
    struct sb_matcher *matcher = sb_matcher_new();
    assert_non_null(matcher);
    enum sb_match found = sb_pattern_match(pattern, matcher, line, strlen(line), true, spans);
    if (ret)
        memcpy(ret, spans, sizeof(spans));
    sb_matcher_free(matcher);
    sb_pattern_free(pattern);
    return found == SB_MATCH_FOUND ? (int)spans[0].to : -1;
}

SB_TEST(test_what_matches)
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

SB_TEST(test_groups)
{
    struct sb_span spans[SB_PATTERN_GROUPS + 1];
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

SB_TEST(test_what_is_refused)
{
    static const struct {
        const char *source, *says;
    } cases[] = {
        { "(ab", "missing closing parenthesis, at character 4" },
        { "ab)", "unmatched closing parenthesis" },
        { "[ab", "missing terminating ]" },
        { "*a", "quantifier does not follow a repeatable item" },
        { "a{3,2}", "numbers out of order" },
        { "(?:(?:ab|c){60}){60}", "too large" },
        { "\\q", "unrecognized character follows" },
        { "\\", "end of pattern" },
        { "[z-a]", "range out of order" },
        { "[[:nothing:]]", "unknown POSIX class name" },
        { "(?:(?:(?:(?:(?:(?:(?:(?:(?:(?:(?:(?:(?:(?:(?:(?:(?:(?:(?:(?:(?:a"
          ")))))))))))))))))))))",
          "too deeply nested" },
        { "(a)(a)(a)(a)(a)(a)(a)(a)(a)", "more than 8 groups" },
        { "\\C", "\\C" },
        { "(*UTF)a", "using UTF" },
    };
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

static enum sb_match grown(const struct sb_pattern *pattern, const char *line)
{
    struct sb_span spans[SB_PATTERN_GROUPS + 1];
    sb_cleanup(sb_matcher_freep) struct sb_matcher *matcher = sb_matcher_new();
    return sb_pattern_match(pattern, matcher, line, strlen(line), false, spans);
}

/* Prompts are wanted as soon as they are there, and only at the line's begin. */
SB_TEST(test_byte_by_byte)
{
    struct sb_pattern *pattern = compiled("(U-Boot|=)> ");
    assert_int_equal(grown(pattern, "="), SB_MATCH_OPEN);
    assert_int_equal(grown(pattern, "=>"), SB_MATCH_OPEN);
    assert_int_equal(grown(pattern, "=> "), SB_MATCH_FOUND);
    assert_int_equal(grown(pattern, "=> ls"), SB_MATCH_FOUND);
    assert_int_equal(grown(pattern, "x"), SB_MATCH_NEVER);
    assert_int_equal(grown(pattern, "x=> "), SB_MATCH_NEVER);
    sb_pattern_free(pattern);
}

SB_TEST(test_what_asks_for_the_end)
{
    static const struct {
        const char *source;
        bool ends;
    } cases[] = {
        { "a(b)$", true },  { "a\\$", false }, { "[$]", false }, { "[]$]a", false },
        { "[^]$]", false }, { "[a]$", true },  { "\\[$", true }, { "$|a", true },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        struct sb_pattern *pattern = compiled(cases[i].source);
        if (sb_pattern_ends(pattern) != cases[i].ends)
            fail_msg("'%s'", cases[i].source);
        sb_pattern_free(pattern);
    }
    struct sb_pattern *pattern = compiled("a$");
    assert_int_equal(grown(pattern, "a"), SB_MATCH_NEVER); /* more may follow */
    sb_pattern_free(pattern);
}

/* What makes a back-tracking matcher run for ever is no match, after a bounded time. */
SB_TEST(test_hostile_lines_cost_little)
{
    static const char *const sources[] = {
        "(a*)*b", "(a|a)*b", "(a|aa)+$", "(.*)(.*)(.*)(.*)x", "((a{1,9}){1,9})*c", "(a+)+\\1x"
    };
    char line[1000];
    memset(line, 'a', sizeof(line));
    line[sizeof(line) - 1] = 'y';
    for (size_t i = 0; i < SB_COUNT(sources); i++) {
        struct sb_span spans[SB_PATTERN_GROUPS + 1];
        struct sb_pattern *pattern = compiled(sources[i]);
        struct sb_matcher *matcher = sb_matcher_new();
        int64_t begin = sb_port_clock();
        for (int ended = 0; ended < 2; ended++)
            assert_int_equal(sb_pattern_match(pattern, matcher, line, sizeof(line), ended, spans),
                             SB_MATCH_NEVER);
        if (sb_port_clock() - begin > 5000) /* sanitizers and a busy machine included */
            fail_msg("'%s' took %lld ms", sources[i], (long long)(sb_port_clock() - begin));
        sb_matcher_free(matcher);
        sb_pattern_free(pattern);
    }
}
