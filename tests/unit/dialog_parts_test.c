/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parts of the driver "dialog" that need no device: what is found in a type, values, texts,
 * consoles and alternatives.
 */
#include <glob.h>
#include <stdio.h>

#include "adapters/devices/dialog/console.h"
#include "adapters/devices/dialog/driver.h"
#include "adapters/devices/dialog/template.h"
#include "adapters/devices/dialog/type.h"
#include "bridge/base/str.h"
#include "tests/test.h"

/* ---- device types ---- */

static const struct sb_driver_ops *const drivers[] = { &sb_dialog_driver, NULL };

static int load(const char *text, struct sb_type **ret, char **ret_findings)
{
    char path[] = "/tmp/sb-dialog-XXXXXX";
    struct sb_diags diags = { 0 };
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
    int r = sb_type_load_file(path, drivers, ret, &diags);
    *ret_findings = sb_diags_text(&diags);
    sb_diags_done(&diags);
    assert_int_equal(unlink(path), 0);
    return r;
}

/* A type with these scripts; attach and identify are there. */
#define HEAD   "name: t\ndriver: dialog\n"
#define DIALOG "dialog:\n  scripts:\n"
#define ATTACH "    attach: [ { send: '', expect: [ { prompt: '> ' } ] } ]\n"

SB_TEST(test_types_that_are_wrong)
{
    static const struct {
        const char *text, *says; /* says: with the line; NULL: in order */
    } cases[] = {
        { HEAD DIALOG ATTACH, NULL },
        { HEAD, "missing section 'dialog'" },
        { HEAD DIALOG "    identify: [ { snd: x } ]\n",
          ": unknown key 'snd' (allowed: label, send, " },
        { HEAD DIALOG "    identify: [ { snd: x } ]\n", "did you mean 'send'" },
        { HEAD DIALOG "    identify: [ { goto: lop }, { label: loop, send: x } ]\n",
          ": goto: no step of 'identify' has the label 'lop' (did you mean 'loop'?)" },
        { HEAD DIALOG "    identify: [ { expect: [ { line: '(ab' } ] } ]\n",
          "line: missing closing parenthesis, at character 4 of '(ab'" },
        { HEAD DIALOG "    identify: [ { expect: [ { line: 'a', prompt: 'b' } ] } ]\n",
          "needs `line` or `prompt`, and not both" },
        { HEAD DIALOG "    identify: [ { expect: [ { prompt: 'a$' } ] } ]\n",
          "prompt's line has none yet" },
        { HEAD DIALOG
          "    identify: [ { expect: [ { line: '@prmpt' } ] } ]\n  patterns: { prompt: '> ' }\n",
          "dialog.patterns has no 'prmpt' (did you mean 'prompt'?)" },
        { HEAD DIALOG
          "    identify: [ { expect: [ { line: 'v (.*)', capture: { version: 2 } } ] } ]\n",
          "capture.version: the pattern has 1 groups" },
        { HEAD DIALOG
          "    identify: [ { expect: [ { line: 'v (.*)', capture: { verson: 1 } } ] } ]\n",
          "'verson' is no property and nothing uses it; did you mean 'version'?" },
        { HEAD DIALOG "    identify: [ { send: 'x {verson}' } ]\n",
          "send: no name 'verson' (did you mean 'version'?)" },
        { HEAD DIALOG "    identify: [ { send: 'x {version' } ]\n", "a lone bracket" },
        { HEAD DIALOG "    identify: [ { send: '{secret.pin}' } ]\n", "no name 'secret.pin'" },
        { HEAD DIALOG "    identify: [ { send: x, done: true }, { send: y } ]\n",
          ": no way leads to this step" },
        { HEAD DIALOG
          "    identify: [ { expect: [ { line: a, done: true } ], otherwise: { goto: b } },"
          " { send: y }, { label: b, send: z } ]\n",
          "no way leads to this step" },
        { HEAD DIALOG "    identify: [ { label: a, send: x, goto: a }, { label: a, send: y } ]\n",
          "label 'a' is given twice" },
        { HEAD DIALOG "    identify: [ { send: x, delay: 1s } ]\n", "a step does one thing" },
        { HEAD DIALOG "    read: [ { send: '{key}', expect: [ { line: '{key}=(.*)' } ] } ]\n",
          "line: names are not filled in here" },
        { HEAD DIALOG "    identify: [ { label: x } ]\n", "this step does nothing" },
        { HEAD DIALOG "    identify: [ { delay: 1s, timeout: 2s } ]\n", "timeout belongs to" },
        { HEAD DIALOG "    identify: [ { delay: 1s, otherwise: { done: true } } ]\n",
          "otherwise belongs to" },
        { HEAD DIALOG "    identify: [ { send: x, repeat: 3 } ]\n", "repeat belongs to" },
        { HEAD DIALOG "    identify: [ { same: [a] } ]\n", "has 1 entries" },
        { HEAD DIALOG "    identify: [ { expect: [ { line: a } ], timeout: 2m } ]\n",
          "longer than this type's `stall` (1m)" },
        { HEAD DIALOG
          "    identify: [ { send: x, goto: a, cause: busy }, { label: a, send: y } ]\n",
          "only one of goto, done and cause" },
        { HEAD DIALOG "    identify: [ { expect: [ { line: a, cause: bussy } ] } ]\n",
          "did you mean 'busy'" },
        { HEAD DIALOG "    identify: [ { expect: [ { line: '(a)', code: 1, cause: busy, causes: { "
                      "1: bussy } } ] } ]\n",
          "causes: 'bussy' is no cause (did you mean 'busy'?)" },
        { HEAD DIALOG "    identify: [ { expect: [ { line: a, again: true, done: true } ] } ]\n",
          "again goes on waiting" },
        { HEAD DIALOG "    identify: [ { call: two } ]\n    two: [ { call: identify } ]\n",
          "calls itself" },
        { HEAD DIALOG "    identify: [ { call: tow } ]\n    two: [ { send: x } ]\n",
          "unknown script 'tow'" },
        { HEAD DIALOG "    identfy: [ { send: x } ]\n",
          ": nothing plays the script 'identfy' (did you mean 'identify'?)" },
        { HEAD DIALOG ATTACH "    reboot: [ { send: reset } ]\n",
          "reboot: has no step with `restart: true`" },
        { HEAD DIALOG "    reboot: [ { restart: true } ]\n",
          "script `attach` finds the device, and there is none" },
        { HEAD DIALOG "    attach: [ { restart: true } ]\n", "no restart, commit or transfer" },
        { HEAD DIALOG ATTACH "    update: [ { transfer: ymodem }, { restart: true } ]\n"
                             "    identify: [ { send: x } ]\n",
          "has no `commit: true`" },
        { HEAD DIALOG ATTACH "    update: [ { transfer: ymodem } ]\n",
          "needs a script `identify`" },
        { HEAD "verify: hash\n" DIALOG ATTACH "    update: [ { transfer: ymodem } ]\n",
          "needs a script `verify`" },
        { HEAD DIALOG ATTACH "    verify: [ { send: x } ]\n",
          "is played with `verify: hash` only" },
        { HEAD DIALOG ATTACH "    install: [ { send: x } ]\n    identify: [ { send: x } ]\n",
          "download and install go together" },
        { HEAD "confirm: manual\n" DIALOG ATTACH, ":3: confirm: what makes an image permanent" },
        { HEAD "operations: [reboot]\n" DIALOG ATTACH,
          ":3: operations: reboot needs a script reboot" },
        { HEAD DIALOG "    identify: [ { send: x } ]\n  secrets: { pin: '1234' }\n",
          "a secret is not written here" },
        { HEAD DIALOG ATTACH "properties: { a: { type: int } }\n", "there is no script for it" },
        { HEAD DIALOG ATTACH "    read: [ { send: '{key}' } ]\nproperties: { a: { tpe: int } }\n",
          "did you mean 'type'" },
        { HEAD DIALOG ATTACH "    read: [ { send: '{key}' } ]\nproperties: { version: {} }\n",
          "a meaning of its own" },
        { HEAD DIALOG ATTACH
          "    read: [ { send: '{key}' } ]\nproperties: { a: { secret: yes } }\n",
          "secret is true or false" },
        { HEAD DIALOG ATTACH "    read: [ { send: '{key}' } ]\nproperties: { a: { min: 1 } }\n",
          "`min` and `max` are for int" },
        { HEAD DIALOG ATTACH
          "    read: [ { send: '{key}' } ]\nproperties: { a: { length: many } }\n",
          "length is 1 to " },
        { HEAD DIALOG ATTACH "    read: [ { send: '{key}' } ]\nproperties: { a: { allow: 5 } }\n",
          "allow is a text of the signs" },
        { HEAD DIALOG ATTACH "    read: [ { send: '{key}' } ]\nproperties: { a: { type: enum } }\n",
          "an enum needs `values`" },
        { HEAD DIALOG ATTACH "actions: { a: { script: nothing } }\n", "there is no 'nothing'" },
        { HEAD DIALOG "    identify: [ { send: x, repeat: 20, expect: [ { line: a } ] } ]\n",
          "longer than this type's `stall`" },
        { HEAD DIALOG ATTACH "  transfer_first: 60s\n", "must be below this type's `stall`" },
        { HEAD DIALOG ATTACH "  eol: type\n", "cannot be `type` here" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        struct sb_type *type = NULL;
        sb_cleanup(sb_freep) char *findings = NULL;
        int r = load(cases[i].text, &type, &findings);
        if ((r == 0) != !cases[i].says || (cases[i].says && !strstr(findings, cases[i].says)))
            fail_msg("case %zu:\n%s\n%s\nwanted: %s", i, cases[i].text, findings,
                     cases[i].says ? cases[i].says : "nothing");
        (void)sb_type_unref(type);
    }
}

/* Calls are followed by level, not one by one: each script here calls the next a hundred times. */
SB_TEST(test_calls_that_branch)
{
    struct sb_str text = { 0 };
    sb_str_add(&text, HEAD DIALOG);
    for (int script = 0; script < 12; script++) {
        sb_str_format(&text, "    %s%d: [ ", script ? "s" : "attach", script);
        for (int step = 0; step < SB_DIALOG_STEPS; step++)
            sb_str_format(&text, "%s{ call: s%d }", step ? ", " : "", script + 1);
        sb_str_add(&text, " ]\n");
    }
    sb_str_add(&text, "    s12: [ { send: x } ]\n    identify: [ { call: attach0 } ]\n");
    struct sb_type *type = NULL;
    sb_cleanup(sb_freep) char *findings = NULL;
    assert_int_equal(load(sb_str_get(&text), &type, &findings), -EINVAL);
    assert_non_null(strstr(findings, "calls go deeper than 4"));
    sb_str_done(&text);
}

SB_TEST(test_shipped_types)
{
    sb_cleanup(sb_freep) char *pattern =
        sb_format("%s/mappings/devices/*.yaml", getenv("SB_SOURCE"));
    glob_t found = { 0 };
    size_t dialogs = 0;
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct sb_type *type = NULL;
        struct sb_diags diags = { 0 };
        if (!strstr(found.gl_pathv[i], "/uboot-console.yaml") &&
            !strstr(found.gl_pathv[i], "/at-modem.yaml"))
            continue;
        if (sb_type_load_file(found.gl_pathv[i], drivers, &type, &diags) < 0)
            fail_msg("%s", sb_diags_text(&diags));
        dialogs++;
        (void)sb_type_unref(type);
    }
    globfree(&found);
    assert_int_equal(dialogs, 2);
}

SB_TEST(test_accepts)
{
    static const struct {
        int op;
        const char *params;
        enum sb_cause cause;
    } cases[] = {
        { SB_OP_REBOOT, "{}", SB_CAUSE_UNSUPPORTED },
        { SB_OP_FACTORY_RESET, "{}", SB_CAUSE_UNSUPPORTED },
        { SB_OP_FIRMWARE_UPDATE, "{}", SB_CAUSE_UNSUPPORTED },
        { SB_OP_CONFIGURE, "{\"values\": {\"a\": 1}}", SB_CAUSE_UNSUPPORTED },
        { SB_OP_READ, "{\"names\": [\"a\"]}", SB_CAUSE_NONE },
        { SB_OP_READ, "{\"names\": [\"b\"]}", SB_CAUSE_INVALID_REQUEST },
        { SB_OP_WRITE, "{\"values\": {\"a\": 1}}", SB_CAUSE_UNSUPPORTED },
        { SB_OP_INVOKE, "{\"action\": \"x\"}", SB_CAUSE_INVALID_REQUEST },
        { SB_OP_INVOKE, "{\"action\": \"x\", \"arguments\": {\"n\": 3}}", SB_CAUSE_NONE },
        { SB_OP_INVOKE, "{\"action\": \"x\", \"arguments\": {\"n\": 9}}",
          SB_CAUSE_INVALID_REQUEST },
        { SB_OP_INVOKE, "{\"action\": \"x\", \"arguments\": 3}", SB_CAUSE_INVALID_REQUEST },
        { SB_OP_INVOKE, "{\"action\": \"y\"}", SB_CAUSE_UNSUPPORTED },
        { SB_OP_INVOKE, "{}", SB_CAUSE_INVALID_REQUEST },
    };
    struct sb_type *type = NULL;
    sb_cleanup(sb_freep) char *findings = NULL;
    assert_int_equal(
        load(HEAD DIALOG ATTACH
             "    read: [ { send: '{key}' } ]\n    say: [ { send: '{args.n}' } ]\n"
             "properties: { a: { type: int } }\n"
             "actions: { x: { script: say, arguments: { n: { type: int, max: 5 } } } }\n",
             &type, &findings),
        0);
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        sb_cleanup(json_decrefp) json_t *params = json_loads(cases[i].params, 0, NULL);
        sb_cleanup(sb_freep) char *text = NULL;
        assert_int_equal(sb_dialog_accepts(type, cases[i].op, params, &text), cases[i].cause);
        assert_true(cases[i].cause == SB_CAUSE_NONE || (text && *text));
    }
    assert_int_equal(sb_dialog_caps(type), SB_CAP_CANCEL);
    (void)sb_type_unref(type);
}

/* ---- values ---- */

SB_TEST(test_values)
{
    static const struct {
        const char *spec, *json, *text; /* text NULL: refused */
    } cases[] = {
        { "{}", "\"abc d\"", "abc d" },
        { "{}", "\"a;b\"", NULL },
        { "{\"allow\": \";\"}", "\"a;b\"", "a;b" },
        { "{\"allow\": \";\"}", "\"a\\nb\"", NULL },
        { "{\"length\": 2}", "\"abc\"", NULL },
        { "{}", "3", NULL },
        { "{}", "\"\\u00e4\"", NULL },
        { "{\"type\": \"int\"}", "-5", "-5" },
        { "{\"type\": \"int\"}", "1.5", NULL },
        { "{\"type\": \"int\", \"min\": 0, \"max\": 9}", "10", NULL },
        { "{\"type\": \"float\"}", "1.5", "1.5" },
        { "{\"type\": \"bool\"}", "true", "1" },
        { "{\"type\": \"bool\", \"values\": [\"off\", \"on\"]}", "false", "off" },
        { "{\"type\": \"bool\"}", "1", NULL },
        { "{\"type\": \"enum\", \"values\": [\"a\", \"b\"]}", "\"b\"", "b" },
        { "{\"type\": \"enum\", \"values\": [\"a\", \"b\"]}", "\"c\"", NULL },
        { "{\"type\": \"enum\", \"values\": {\"0\": \"idle\", \"1\": \"auto\"}}", "\"auto\"", "1" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        sb_cleanup(json_decrefp) json_t *spec = json_loads(cases[i].spec, 0, NULL);
        sb_cleanup(json_decrefp) json_t *json = json_loads(cases[i].json, JSON_DECODE_ANY, NULL);
        sb_cleanup(json_decrefp) json_t *back = NULL;
        sb_cleanup(sb_freep) char *text = NULL, *error = NULL;
        struct sb_dialog_value value;
        assert_int_equal(sb_dialog_value_read(spec, &value, &error), 0);
        int r = sb_dialog_value_encode(&value, json, &text, &error);
        if ((r == 0) != !!cases[i].text || (r < 0 && !error))
            fail_msg("case %zu: %d %s", i, r, error);
        if (r < 0)
            continue;
        assert_string_equal(text, cases[i].text);
        assert_int_equal(sb_dialog_value_decode(&value, text, &back, &error), 0);
        assert_true(json_equal(back, json));
    }
}

SB_TEST(test_what_a_device_says_is_checked)
{
    static const struct {
        const char *spec, *text;
    } cases[] = {
        { "{\"type\": \"int\"}", "" },      { "{\"type\": \"int\"}", "12x" },
        { "{\"type\": \"int\"}", " 12" },   { "{\"type\": \"int\"}", "99999999999999999999" },
        { "{\"type\": \"float\"}", "nan" }, { "{\"type\": \"float\"}", "1e999" },
        { "{\"type\": \"bool\"}", "2" },    { "{\"type\": \"enum\", \"values\": [\"a\"]}", "b" },
        { "{\"length\": 2}", "abc" },       { "{\"type\": \"int\", \"max\": 3}", "4" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        sb_cleanup(json_decrefp) json_t *spec = json_loads(cases[i].spec, 0, NULL);
        sb_cleanup(sb_freep) char *error = NULL;
        json_t *json = NULL;
        struct sb_dialog_value value;
        assert_int_equal(sb_dialog_value_read(spec, &value, &error), 0);
        assert_int_equal(sb_dialog_value_decode(&value, cases[i].text, &json, &error), -EINVAL);
        assert_null(json);
        assert_non_null(error);
    }
}

/* ---- texts ---- */

static int name_it(void *arg, const char *name, struct sb_str *out, char **ret_error)
{
    (void)arg;
    if (strcmp(name, "bad") == 0) {
        *ret_error = strdup("bad");
        return -ENOENT;
    }
    sb_str_format(out, "<%s>", name);
    return 0;
}

SB_TEST(test_texts)
{
    static const struct {
        const char *text, *filled;
    } cases[] = { { "", "" },         { "plain", "plain" },   { "{a} and {b.c}", "<a> and <b.c>" },
                  { "{{x}}", "{x}" }, { "{{{a}}}", "{<a>}" }, { "{bad}", NULL },
                  { "{open", NULL },  { "shut}", NULL },      { "{a{b}", NULL } };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        struct sb_str out = { 0 };
        sb_cleanup(sb_freep) char *error = NULL;
        int r = sb_template_fill(cases[i].text, name_it, NULL, &out, &error);
        if ((r == 0) != !!cases[i].filled)
            fail_msg("'%s': %d", cases[i].text, r);
        if (r == 0)
            assert_string_equal(sb_str_get(&out), cases[i].filled);
        sb_str_done(&out);
    }
}

/* ---- consoles ---- */

static struct sb_type *expecting;
static struct sb_dialog_scripts *scripts;

/* The first step of a script `attach` with these alternatives. */
static const struct sb_dialog_step *step_of(const char *alternatives)
{
    struct sb_diags diags = { 0 };
    sb_cleanup(sb_freep) char *findings = NULL;
    sb_cleanup(sb_freep) char *text =
        sb_format(HEAD DIALOG "    attach: [ { expect: [ %s ] } ]\n", alternatives);
    if (load(text, &expecting, &findings) < 0)
        fail_msg("%s", findings);
    assert_int_equal(
        sb_dialog_scripts_read(sb_dialog_type_of(expecting)->scripts, NULL, &scripts, &diags), 0);
    return sb_dialog_scripts_at(scripts, 0)->steps;
}

static void step_done(void)
{
    scripts = sb_dialog_scripts_free(scripts);
    (void)sb_type_unref(expecting);
    expecting = NULL;
}

/* Which alternatives come of it, as "0 2 other", and in which pieces does not matter. */
static char *found(const struct sb_dialog_step *step, const char *text)
{
    struct sb_console *console = calloc(1, sizeof(*console));
    struct sb_expect *expect = sb_expect_new(step, console);
    struct sb_str out = { 0 };
    assert_int_equal(sb_expect_begin(expect), SB_EXPECT_NONE);
    for (const char *at = text; *at; at++) {
        int index = sb_expect_byte(expect, (uint8_t)*at);
        if (index != SB_EXPECT_NONE)
            sb_str_format(&out, "%s%d", out.length ? " " : "", index);
    }
    sb_expect_free(expect);
    free(console);
    return sb_str_take(&out);
}

SB_TEST(test_consoles)
{
    static const struct {
        const char *text, *found;
    } cases[] = {
        { "OK\r\n", "1" },
        { "OK\r", "1" },
        { "\r\n\r\nOK\n", "1" },
        { "NOK\n", "-2" },
        { "=> ", "0" },
        { "crc ==> => \n", "-2" },    /* not at the begin */
        { "=> OK\r\nOK\r\n", "0 1" }, /* the echo behind a prompt is nobody's */
        { "=> => => \n=> ", "0 0" },
        { "\x1b[32m=> \x1b[0m", "0" },
        { "\b\b\x01OK\n", "1" },
        { "v 1.2.3\n", "2" },
        { "v 1", "" }, /* a line is looked at when it has ended */
        { "\xff\xfe=> ", "" },
        { "+X: 5\nOK\n", "-2 1" },
    };
    const struct sb_dialog_step *step = step_of(
        "{ prompt: '=> ' }, { line: 'OK$' }, { line: 'v ([0-9.]+)', capture: { version: 1 } }");
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        sb_cleanup(sb_freep) char *got = found(step, cases[i].text);
        if (strcmp(got, cases[i].found) != 0)
            fail_msg("case %zu: '%s', not '%s'", i, got, cases[i].found);
    }
    step_done();
}

SB_TEST(test_lines_without_end)
{
    const struct sb_dialog_step *step = step_of("{ line: '(x*).*y' }, { prompt: 'z' }");
    struct sb_console *console = calloc(1, sizeof(*console));
    struct sb_expect *expect = sb_expect_new(step, console);
    (void)sb_expect_begin(expect);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(sb_expect_byte(expect, 'x'), SB_EXPECT_NONE);
    assert_int_equal(console->n, SB_CONSOLE_LINE);
    (void)sb_expect_byte(expect, 'y');
    assert_int_equal(sb_expect_byte(expect, '\n'), SB_EXPECT_OTHER); /* its begin has no y */
    assert_int_equal(sb_expect_byte(expect, 'z'), 1);
    sb_expect_free(expect);
    free(console);
    step_done();
}

SB_TEST(test_groups_are_text)
{
    const struct sb_dialog_step *step = step_of("{ line: 'v (.*)', capture: { version: 1 } }");
    struct sb_console *console = calloc(1, sizeof(*console));
    struct sb_expect *expect = sb_expect_new(step, console);
    (void)sb_expect_begin(expect);
    for (const char *at = "v \xc3\xa4\xff\n"; *at; at++)
        (void)sb_expect_byte(expect, (uint8_t)*at);
    sb_cleanup(sb_freep) char *text = sb_expect_group(expect, 1);
    assert_string_equal(text, "???"); /* no UTF-8: nothing above ASCII is kept */
    assert_null(sb_expect_group(expect, 2));
    sb_expect_free(expect);
    free(console);
    step_done();
}

/* A prompt that came in two pieces, the second after a key was sent again. */
SB_TEST(test_half_a_prompt_is_kept)
{
    const struct sb_dialog_step *step = step_of("{ prompt: '=> ' }");
    struct sb_console *console = calloc(1, sizeof(*console));
    struct sb_expect *expect = sb_expect_new(step, console);
    (void)sb_expect_begin(expect);
    assert_int_equal(sb_expect_byte(expect, '='), SB_EXPECT_NONE);
    sb_expect_free(expect);
    expect = sb_expect_new(step, console);
    assert_int_equal(sb_expect_begin(expect), SB_EXPECT_NONE);
    assert_int_equal(sb_expect_byte(expect, '>'), SB_EXPECT_NONE);
    assert_int_equal(sb_expect_byte(expect, ' '), 0);
    sb_expect_free(expect);
    free(console);
    step_done();
}
