/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/devices/dialog/console.h"

#include <jansson.h>
#include <stdio.h>

#define ESC 0x1b

enum escape { PLAIN, AFTER_ESC, IN_CSI };

/* True: the byte belongs to an escape sequence. */
static bool in_escape(struct sb_console *console, uint8_t byte)
{
    switch (console->escape) {
    case AFTER_ESC:
        console->escape = byte == '[' ? IN_CSI : PLAIN;
        return true;
    case IN_CSI: /* parameters, then one letter; anything else was no sequence */
        if (byte >= 0x20 && byte <= 0x3f)
            return true;
        console->escape = PLAIN;
        return byte >= 0x40 && byte <= 0x7e;
    default:
        console->escape = byte == ESC ? AFTER_ESC : PLAIN;
        return byte == ESC;
    }
}

static void begin_line(struct sb_console *console)
{
    console->n = 0;
    console->line[0] = '\0';
    console->ended = console->spent = false;
}

enum sb_console_event sb_console_byte(struct sb_console *console, uint8_t byte)
{
    console->heard++;
    if (in_escape(console, byte))
        return SB_CONSOLE_NOTHING;
    if (console->ended)
        begin_line(console);
    if (byte == '\r' || byte == '\n') {
        bool counts = console->n > 0;
        if (counts)
            (void)snprintf(console->last, sizeof(console->last), "%s", console->line);
        console->ended = true;
        return counts ? SB_CONSOLE_END : SB_CONSOLE_NOTHING;
    }
    bool control = (byte < 0x20 && byte != '\t') || byte == 0x7f;
    console->odd += (control && byte != '\b') || byte >= 0x80;
    if (control)
        return SB_CONSOLE_NOTHING;
    if (console->n < SB_CONSOLE_LINE) {
        console->line[console->n++] = (char)byte;
        console->line[console->n] = '\0';
    }
    return SB_CONSOLE_CHARACTER;
}

void sb_console_spend(struct sb_console *console)
{
    console->spent = true;
}

void sb_console_reset(struct sb_console *console)
{
    begin_line(console);
    console->escape = PLAIN;
}

/* ---- alternatives ---- */

struct sb_expect {
    const struct sb_dialog_step *step;
    struct sb_console *console;
    struct sb_matcher *matcher;
    bool open[SB_DIALOG_ALTERNATIVES]; /* of prompts: still possible in this line */
    struct sb_span found[SB_PATTERN_GROUPS + 1];
};

struct sb_expect *sb_expect_new(const struct sb_dialog_step *step, struct sb_console *console)
{
    struct sb_expect *expect = calloc(1, sizeof(*expect));
    if (!expect)
        return NULL;
    expect->step = step;
    expect->console = console;
    expect->matcher = sb_matcher_new();
    return expect->matcher ? expect : sb_expect_free(expect);
}

struct sb_expect *sb_expect_free(struct sb_expect *expect)
{
    if (expect)
        sb_matcher_free(expect->matcher);
    free(expect);
    return NULL;
}

static bool is_prompt(const struct sb_expect *expect, size_t i)
{
    return sb_dialog_alternative(expect->step, i)->prompt != NULL;
}

static enum sb_match match(struct sb_expect *expect, size_t i, size_t n, bool ended)
{
    return sb_pattern_match(sb_dialog_alternative(expect->step, i)->pattern, expect->matcher,
                            expect->console->line, n, ended, expect->found);
}

static void reset_prompts(struct sb_expect *expect)
{
    for (size_t i = 0; i < expect->step->expect.count; i++)
        expect->open[i] = is_prompt(expect, i);
}

/* Of the line's first n bytes. */
static int try_prompts(struct sb_expect *expect, size_t n)
{
    for (size_t i = 0; i < expect->step->expect.count; i++) {
        enum sb_match found = expect->open[i] ? match(expect, i, n, false) : SB_MATCH_NEVER;
        if (found == SB_MATCH_FOUND)
            return (int)i;
        expect->open[i] = found == SB_MATCH_OPEN;
    }
    return SB_EXPECT_NONE;
}

static int try_lines(struct sb_expect *expect)
{
    for (size_t i = 0; i < expect->step->expect.count; i++)
        if (!is_prompt(expect, i) && match(expect, i, expect->console->n, true) == SB_MATCH_FOUND)
            return (int)i;
    return SB_EXPECT_OTHER;
}

int sb_expect_begin(struct sb_expect *expect)
{
    struct sb_console *console = expect->console;
    int found = SB_EXPECT_NONE;
    reset_prompts(expect);
    if (console->ended || console->spent)
        return found;
    for (size_t n = 1; found < 0 && n <= console->n; n++)
        found = try_prompts(expect, n);
    if (found >= 0)
        sb_console_spend(console);
    return found;
}

int sb_expect_byte(struct sb_expect *expect, uint8_t byte)
{
    struct sb_console *console = expect->console;
    size_t before = console->ended ? 0 : console->n;
    bool spent = console->spent;
    if (console->ended)
        reset_prompts(expect);
    switch (sb_console_byte(console, byte)) {
    case SB_CONSOLE_CHARACTER: {
        bool grown = console->n > before && !console->spent;
        int found = grown ? try_prompts(expect, console->n) : SB_EXPECT_NONE;
        if (found >= 0)
            sb_console_spend(console);
        return found;
    }
    case SB_CONSOLE_END:
        return spent ? SB_EXPECT_NONE : try_lines(expect);
    default:
        return SB_EXPECT_NONE;
    }
}

char *sb_expect_group(const struct sb_expect *expect, size_t group)
{
    const struct sb_span *span = &expect->found[group];
    if (group > SB_PATTERN_GROUPS || span->from > span->to || span->to > expect->console->n)
        return NULL;
    char *text = strndup(expect->console->line + span->from, span->to - span->from);
    json_t *probe = text ? json_string(text) : NULL;
    for (char *at = text; at && !probe && *at; at++) /* no UTF-8 */
        if ((unsigned char)*at >= 0x80)
            *at = '?';
    json_decref(probe);
    return text;
}
