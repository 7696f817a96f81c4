/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both sides of the control socket agree: every command asks a verb that there is, with arguments
 * that it takes, of the type it takes; and every verb can be asked from the command line.
 */
#include "bridge/control/verb.h"
#include "bridge/ctl/ctl.h"
#include "tests/test.h"

static const struct sb_verb *find(const char *name)
{
    for (const struct sb_verb *verb = sb_verbs; verb->name; verb++)
        if (strcmp(verb->name, name) == 0)
            return verb;
    return NULL;
}

/* The argument's marks in the verb's list ("!#"); NULL: it takes no such argument. */
static const char *marks_of(const struct sb_verb *verb, const char *key, size_t n)
{
    for (const char *at = verb->args; *at; at += strcspn(at, " ")) {
        at += strspn(at, " ");
        size_t length = strspn(at, "abcdefghijklmnopqrstuvwxyz0123456789_");
        if (length == n && strncmp(at, key, n) == 0)
            return at + length;
    }
    return NULL;
}

static void expect_argument(const struct sb_verb *verb, const char *key, size_t n, char type)
{
    const char *marks = marks_of(verb, key, n);
    if (!marks)
        fail_msg("%s takes no argument '%.*s'", verb->name, (int)n, key);
    size_t count = strcspn(marks, " ");
    bool any = memchr(marks, '*', count) != NULL;
    char marked = '\0';
    for (size_t i = 0; i < count; i++)
        if (strchr("#?[{", marks[i]))
            marked = marks[i];
    if (!any && marked != type)
        fail_msg("%s: argument '%.*s' is '%c' there and '%c' here", verb->name, (int)n, key,
                 marked ? marked : '-', type ? type : '-');
}

static char type_of(enum sb_option_kind kind)
{
    static const char types[] = {
        [SB_OPTION_FLAG] = '?',     [SB_OPTION_TEXT] = '\0', [SB_OPTION_NUMBER] = '#',
        [SB_OPTION_DURATION] = '#', [SB_OPTION_TIME] = '#',  [SB_OPTION_LIST] = '[',
        [SB_OPTION_PAIR] = '{',     [SB_OPTION_TEXTS] = '{', [SB_OPTION_LISTS] = '{',
        [SB_OPTION_JSON] = '{',
    };
    return types[kind];
}

SB_TEST(test_options)
{
    for (const struct sb_ctl_command *c = sb_ctl_commands; c->name; c++) {
        const struct sb_verb *verb = c->verb ? find(c->verb) : NULL;
        if (c->verb && !verb)
            fail_msg("%s: there is no verb '%s'", c->name, c->verb);
        for (const struct sb_option *o = c->options; verb && o && o->name; o++) {
            size_t n = o->key ? strcspn(o->key, ".") : 0;
            if (n > 0) /* a part of an object makes the object */
                expect_argument(verb, o->key, n, o->key[n] ? '{' : type_of(o->kind));
        }
    }
}

SB_TEST(test_operands)
{
    for (const struct sb_ctl_command *c = sb_ctl_commands; c->name; c++) {
        const struct sb_verb *verb = c->verb ? find(c->verb) : NULL;
        /* package add decides by its operand whether it is `file` or `uri` */
        if (!verb || !c->keys || strcmp(c->name, "package add") == 0)
            continue;
        for (const char *at = c->keys; *at; at += strspn(at, " ")) {
            size_t n = strcspn(at, " ");
            char kind = at[n - 1];
            size_t marks = strchr("#?*", kind) ? 1 : 0;
            expect_argument(verb, at, n - marks, kind == '#' ? '#' : kind == '*' ? '[' : '\0');
            at += n;
        }
    }
}

SB_TEST(test_every_verb_has_a_command)
{
    for (const struct sb_verb *verb = sb_verbs; verb->name; verb++) {
        bool found = false;
        for (const struct sb_ctl_command *c = sb_ctl_commands; c->name; c++)
            found |= sb_streq(c->verb, verb->name);
        if (!found)
            fail_msg("no command asks '%s'", verb->name);
    }
}

SB_TEST(test_refusals_have_exit_codes)
{
    for (int i = SB_REFUSAL_NONE + 1; i < SB_REFUSAL_MAX_; i++)
        if (sb_exit_of_refusal(sb_refusal_name(i)) == SB_EXIT_FAILED)
            fail_msg("%s has no exit status", sb_refusal_name(i));
}
