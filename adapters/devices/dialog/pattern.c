/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/devices/dialog/pattern.h"

#include <errno.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "bridge/base/str.h"

#define NESTING_MAX 20
#define SAYS_MAX    128

struct sb_pattern {
    pcre2_code *code;
    unsigned groups;
    bool ends;
};

struct sb_matcher {
    pcre2_match_data *data;
    pcre2_match_context *context;
};

/* ---- compiled ---- */

/* A '$' outside of brackets and behind no '\'. */
static bool asks_for_the_end(const char *source)
{
    bool in_class = false;
    for (const char *at = source; *at; at++) {
        if (*at == '\\' && at[1])
            at++;
        else if (*at == '[' && !in_class)
            in_class = true;
        else if (*at == ']' && in_class && at[-1] != '[' && at[-1] != '^')
            in_class = false;
        else if (*at == '$' && !in_class)
            return true;
    }
    return false;
}

static int wrong(char **ret_error, char *text)
{
    *ret_error = text;
    return text ? -EINVAL : -ENOMEM;
}

static int compile(const char *source, pcre2_code **ret, char **ret_error)
{
    static const uint32_t options = PCRE2_ANCHORED | PCRE2_DOLLAR_ENDONLY | PCRE2_DOTALL |
                                    PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_NEVER_BACKSLASH_C;
    PCRE2_UCHAR says[SAYS_MAX];
    PCRE2_SIZE at = 0;
    int error = 0;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (!context)
        return -ENOMEM;
    (void)pcre2_set_max_pattern_length(context, SB_PATTERN_TEXT);
    (void)pcre2_set_parens_nest_limit(context, NESTING_MAX);
    *ret = pcre2_compile((PCRE2_SPTR)source, PCRE2_ZERO_TERMINATED, options, &error, &at, context);
    pcre2_compile_context_free(context);
    if (*ret)
        return 0;
    if (error == PCRE2_ERROR_HEAP_FAILED || error == PCRE2_ERROR_NOMEMORY)
        return -ENOMEM;
    (void)pcre2_get_error_message(error, says, sizeof(says));
    return wrong(ret_error,
                 sb_format("%s, at character %zu of '%s'", (const char *)says, at + 1, source));
}

int sb_pattern_new(const char *source, struct sb_pattern **ret, char **ret_error)
{
    sb_cleanup(sb_pattern_freep) struct sb_pattern *pattern = calloc(1, sizeof(*pattern));
    uint32_t groups = 0;
    size_t size = 0;
    int r = pattern ? compile(source, &pattern->code, ret_error) : -ENOMEM;
    if (r < 0)
        return r;
    (void)pcre2_pattern_info(pattern->code, PCRE2_INFO_CAPTURECOUNT, &groups);
    (void)pcre2_pattern_info(pattern->code, PCRE2_INFO_SIZE, &size);
    if (groups > SB_PATTERN_GROUPS)
        return wrong(ret_error, sb_format("more than %d groups (a group that captures nothing is "
                                          "written (?:...))",
                                          SB_PATTERN_GROUPS));
    if (size > SB_PATTERN_SIZE)
        return wrong(ret_error, strdup("too large: its repetitions multiply"));
    pattern->groups = groups;
    pattern->ends = asks_for_the_end(source);
    *ret = SB_STEAL(pattern);
    return 0;
}

struct sb_pattern *sb_pattern_free(struct sb_pattern *pattern)
{
    if (pattern)
        pcre2_code_free(pattern->code);
    free(pattern);
    return NULL;
}

unsigned sb_pattern_groups(const struct sb_pattern *pattern)
{
    return pattern->groups;
}

bool sb_pattern_ends(const struct sb_pattern *pattern)
{
    return pattern->ends;
}

/* ---- matched ---- */

struct sb_matcher *sb_matcher_new(void)
{
    sb_cleanup(sb_matcher_freep) struct sb_matcher *matcher = calloc(1, sizeof(*matcher));
    if (!matcher)
        return NULL;
    matcher->data = pcre2_match_data_create(SB_PATTERN_GROUPS + 1, NULL);
    matcher->context = pcre2_match_context_create(NULL);
    if (!matcher->data || !matcher->context)
        return NULL;
    (void)pcre2_set_match_limit(matcher->context, SB_PATTERN_STEPS);
    (void)pcre2_set_depth_limit(matcher->context, SB_PATTERN_STEPS);
    (void)pcre2_set_heap_limit(matcher->context, SB_PATTERN_HEAP);
    return SB_STEAL(matcher);
}

struct sb_matcher *sb_matcher_free(struct sb_matcher *matcher)
{
    if (matcher) {
        pcre2_match_data_free(matcher->data);
        pcre2_match_context_free(matcher->context);
    }
    free(matcher);
    return NULL;
}

enum sb_match sb_pattern_match(const struct sb_pattern *pattern, struct sb_matcher *matcher,
                               const char *line, size_t n, bool ended, struct sb_span *ret)
{
    uint32_t options = ended ? 0 : PCRE2_PARTIAL_SOFT | PCRE2_NOTEOL;
    int r = pcre2_match(pattern->code, (PCRE2_SPTR)line, n, 0, options, matcher->data,
                        matcher->context);
    if (r <= 0) /* nothing, or beyond its limits */
        return r == PCRE2_ERROR_PARTIAL ? SB_MATCH_OPEN : SB_MATCH_NEVER;
    const PCRE2_SIZE *spans = pcre2_get_ovector_pointer(matcher->data);
    for (size_t i = 0; i <= SB_PATTERN_GROUPS; i++) {
        bool took_part = (int)i < r && spans[2 * i] != PCRE2_UNSET;
        ret[i] = took_part ? (struct sb_span){ spans[2 * i], spans[2 * i + 1] }
                           : (struct sb_span){ 1, 0 };
    }
    return SB_MATCH_FOUND;
}
