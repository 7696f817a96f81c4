/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything a console can say to the driver "dialog", and any pattern. The first byte chooses:
 * an even one lets the rest be a console's output to a fixed set of alternatives, an odd one takes
 * the rest up to a NUL as a pattern and what follows as a line for it.
 */
#include <stdint.h>

#include "adapters/devices/dialog/console.h"
#include "bridge/config/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool right)
{
    if (!right)
        abort();
}

static const char text[] = "t:\n"
                           "  - expect:\n"
                           "      - prompt: '(=|loader)> '\n"
                           "      - prompt: '[^ ]+ login: '\n"
                           "      - { line: '\\+CM[ES] ERROR: (\\d+)$' }\n"
                           "      - { line: '([a-z]+)=(.*)' }\n"
                           "      - { line: '((a|aa)*b{1,3})+$' }\n"
                           "      - { line: 'OK$' }\n";

static const struct sb_dialog_step *the_step(void)
{
    static struct sb_dialog_scripts *scripts;
    static struct sb_yaml *tree;
    struct sb_diags diags = { 0 };
    if (!scripts)
        check(sb_yaml_parse("fuzz", text, sizeof(text) - 1, &tree, &diags) == 0 &&
              sb_dialog_scripts_read(tree, NULL, &scripts, &diags) == 0);
    return sb_dialog_scripts_at(scripts, 0)->steps;
}

static void fuzz_console(const uint8_t *data, size_t size)
{
    struct sb_console console = { 0 };
    struct sb_expect *expect = sb_expect_new(the_step(), &console);
    check(expect != NULL);
    (void)sb_expect_begin(expect);
    for (size_t i = 0; i < size; i++) {
        int found = sb_expect_byte(expect, data[i]);
        check(found >= SB_EXPECT_OTHER && found < 6 && console.n <= SB_CONSOLE_LINE);
        for (size_t k = 0; found >= 0 && k <= SB_PATTERN_GROUPS; k++) {
            char *group = sb_expect_group(expect, k);
            check(k > 0 || group);
            check(!group || strlen(group) <= console.n);
            free(group);
        }
        if (data[i] == 'R') { /* a new expect over the same console */
            sb_expect_free(expect);
            expect = sb_expect_new(the_step(), &console);
            (void)sb_expect_begin(expect);
        }
    }
    check(console.heard == size);
    sb_expect_free(expect);
}

static void fuzz_pattern(const uint8_t *data, size_t size)
{
    const uint8_t *end = memchr(data, '\0', size);
    struct sb_span spans[SB_PATTERN_GROUPS + 1];
    sb_cleanup(sb_pattern_freep) struct sb_pattern *pattern = NULL;
    sb_cleanup(sb_freep) char *error = NULL;
    if (!end)
        return;
    int r = sb_pattern_new((const char *)data, &pattern, &error);
    check((r == 0) == !error);
    if (r < 0)
        return;
    size_t n = size - (size_t)(end + 1 - data);
    sb_cleanup(sb_matcher_freep) struct sb_matcher *matcher = sb_matcher_new();
    check(matcher != NULL);
    for (int ended = 0; ended < 2; ended++) {
        if (sb_pattern_match(pattern, matcher, (const char *)end + 1, n, ended, spans) !=
            SB_MATCH_FOUND)
            continue;
        for (size_t i = 0; i <= SB_PATTERN_GROUPS; i++)
            check(spans[i].from > spans[i].to || spans[i].to <= n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] % 2)
        fuzz_pattern(data + 1, size - 1);
    else
        fuzz_console(data + 1, size - 1);
    return 0;
}
