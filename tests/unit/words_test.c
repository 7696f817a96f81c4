/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Words: every cell is found, every hole is told, templates.
 */
#include "findings.h"

#include "bridge/mapping/words.h"

static const char *const colours[] = { "red", "green" };
static const struct sb_names colour_names = { colours, 2 };

static const struct sb_field cell[] = {
    { .key = "code", .type = SB_TYPE_INT, .min = -9, .max = 599, .flags = SB_FIELD_REQUIRED },
    { .key = "text", .type = SB_TYPE_STRING },
    { .key = "colour", .type = SB_TYPE_CHOICE, .choices = &colour_names },
    { 0 },
};
static const struct sb_field limits[] = {
    { .key = "payload", .type = SB_TYPE_SIZE, .min = 1, .max = 1 << 20, .otherwise = "4K" },
    { .key = "wait", .type = SB_TYPE_DURATION, .min = 0, .max = 60000, .otherwise = "10s" },
    { .key = "strict", .type = SB_TYPE_BOOL, .otherwise = "true" },
    { 0 },
};
static const struct sb_field names[] = {
    { .key = "topic", .type = SB_TYPE_STRING, .otherwise = "up/{type}/{id}" },
    { .key = "title", .type = SB_TYPE_STRING },
    { 0 },
};
static const struct sb_dialect_shape shape = { "test", cell, limits, names, false };
static const struct sb_dialect_shape both = { "test", cell, limits, names, true };

/* ---- files made here ---- */

struct file {           /* what to leave out of an otherwise total file */
    int state;          /* of `all`; -1: none */
    const char *cause;  /* its whole line instead; NULL: all are there */
    int no_cause;       /* -1: none */
    const char *groups; /* further groups, as text */
};
static const struct file total = { -1, NULL, -1, "" };

static void add_column(struct sb_str *out, const char *name, int base, const struct file *file)
{
    sb_str_format(out, "%s:\n  states:\n    all:\n", name);
    for (int s = 0; s < SB_TASK_STATE_MAX_; s++)
        if (s != SB_TASK_FAILED && s != SB_TASK_CANCELLED && s != file->state)
            sb_str_format(out, "      %s: { code: %d }\n", sb_task_state_name(s), base + s);
    sb_str_add(out, file->groups);
    sb_str_add(out, "  causes:\n");
    for (int i = SB_CAUSE_NONE + 1; i < SB_CAUSE_MAX_; i++)
        if (i != file->no_cause)
            sb_str_format(out, "    %s: { code: %d }\n", sb_cause_name(i), base + 100 + i);
    if (file->cause)
        sb_str_add(out, file->cause);
}

static char *text_of(const struct file *file, const char *head)
{
    struct sb_str out = { 0 };
    sb_str_add(&out, head);
    add_column(&out, "sends", 0, file);
    char *text = sb_str_take(&out);
    assert_non_null(text);
    return text;
}

static struct sb_words *load(const char *text, const struct sb_dialect_shape *of)
{
    struct sb_words *words = NULL;
    struct sb_diags diags = { 0 };
    int error = sb_words_parse("w.yaml", text, strlen(text), of, &words, &diags);
    expect_findings(&diags, "");
    assert_int_equal(error, 0);
    return words;
}

/* The number and one of the findings. */
static void refused(const struct file *file, const char *head, size_t count, const char *finding)
{
    sb_cleanup(sb_freep) char *text = text_of(file, head);
    struct sb_words *words = NULL;
    struct sb_diags diags = { 0 };
    assert_int_equal(sb_words_parse("w.yaml", text, strlen(text), &shape, &words, &diags), -EINVAL);
    assert_null(words);
    expect_finding(&diags, finding);
    assert_int_equal(diags.total, count);
    sb_diags_done(&diags);
}

static int64_t code(const struct sb_words *words, enum sb_op op, enum sb_task_state state,
                    enum sb_cause cause, enum sb_phase phase)
{
    return sb_json_int(sb_words_cell(words, SB_ROLE_SENDS, op, state, cause, phase), "code", -1000);
}

/* ---- lookup ---- */

SB_TEST(every_cell_is_there)
{
    sb_cleanup(sb_freep) char *text = text_of(&total, "dialect: test\n");
    sb_cleanup(sb_words_freep) struct sb_words *words = load(text, &shape);
    assert_string_equal(sb_words_dialect(words), "test");
    for (int op = 0; op < SB_OP_MAX_; op++)
        for (int s = 0; s < SB_TASK_STATE_MAX_; s++)
            for (int c = SB_CAUSE_NONE + 1; c < SB_CAUSE_MAX_; c++)
                for (int p = 0; p < SB_PHASE_MAX_; p++) {
                    bool by_cause = s == SB_TASK_FAILED || s == SB_TASK_CANCELLED;
                    assert_int_equal(code(words, (enum sb_op)op, (enum sb_task_state)s,
                                          (enum sb_cause)c, (enum sb_phase)p),
                                     by_cause ? 100 + c : s);
                }
}

SB_TEST(groups_override_all)
{
    const struct file file = { SB_TASK_SENT, NULL, -1,
                               "    download: { sent: { code: 201 }, held: { code: 202 } }\n"
                               "    install: { sent: { code: 203 } }\n"
                               "    update: { sent: { code: 204 } }\n"
                               "    action: { sent: { silent: the far side waits on } }\n" };
    sb_cleanup(sb_freep) char *text = text_of(&file, "dialect: test\n");
    sb_cleanup(sb_words_freep) struct sb_words *words = load(text, &shape);
    const enum sb_cause none = SB_CAUSE_NONE;
    const enum sb_phase w = SB_PHASE_WAITING;
    assert_int_equal(code(words, SB_OP_FIRMWARE_DOWNLOAD, SB_TASK_SENT, none, w), 201);
    assert_int_equal(code(words, SB_OP_FIRMWARE_DOWNLOAD, SB_TASK_HELD, none, w), 202);
    assert_int_equal(code(words, SB_OP_FIRMWARE_INSTALL, SB_TASK_SENT, none, w), 203);
    assert_int_equal(code(words, SB_OP_FIRMWARE_UPDATE, SB_TASK_SENT, none, w), 204);
    assert_int_equal(code(words, SB_OP_FIRMWARE_UPDATE, SB_TASK_HELD, none, w), SB_TASK_HELD);
    for (int op = SB_OP_REBOOT; op < SB_OP_MAX_; op++)
        assert_string_equal(
            sb_json_str(sb_words_cell(words, SB_ROLE_SENDS, (enum sb_op)op, SB_TASK_SENT, none, w),
                        "silent"),
            "the far side waits on");
}

SB_TEST(phases_override_otherwise)
{
    const struct file file = { -1,
                               "    no_space:\n      transferring: { code: -2 }\n"
                               "      writing: { code: -4, text: full, colour: green }\n"
                               "      otherwise: { code: -1 }\n",
                               SB_CAUSE_NO_SPACE, "" };
    sb_cleanup(sb_freep) char *text = text_of(&file, "dialect: test\n");
    sb_cleanup(sb_words_freep) struct sb_words *words = load(text, &shape);
    for (int p = 0; p < SB_PHASE_MAX_; p++) {
        const json_t *found =
            sb_words_cause(words, SB_ROLE_SENDS, SB_CAUSE_NO_SPACE, (enum sb_phase)p);
        int64_t expected = p == SB_PHASE_TRANSFERRING ? -2 : p == SB_PHASE_WRITING ? -4 : -1;
        assert_int_equal(sb_json_int(found, "code", 0), expected);
        if (p == SB_PHASE_WRITING)
            assert_string_equal(sb_json_str(found, "colour"), "green");
    }
}

SB_TEST(strange_questions_get_an_answer)
{
    sb_cleanup(sb_freep) char *text = text_of(&total, "dialect: test\n");
    sb_cleanup(sb_words_freep) struct sb_words *words = load(text, &shape);
    const int internal = 100 + SB_CAUSE_INTERNAL;
    const enum sb_op op = SB_OP_REBOOT;
    assert_int_equal(code(words, op, SB_TASK_FAILED, SB_CAUSE_NONE, SB_PHASE_WAITING), internal);
    assert_int_equal(code(words, op, SB_TASK_FAILED, SB_CAUSE_MAX_, SB_PHASE_MAX_), internal);
    assert_int_equal(code(words, op, SB_TASK_STATE_INVALID, SB_CAUSE_INVALID, SB_PHASE_INVALID),
                     internal);
    assert_int_equal(code(words, SB_OP_MAX_, SB_TASK_SENT, SB_CAUSE_NONE, SB_PHASE_WAITING),
                     SB_TASK_SENT);
    /* no `shows` column: as it sends */
    assert_int_equal(sb_json_int(sb_words_cell(words, SB_ROLE_SHOWS, op, SB_TASK_SENT,
                                               SB_CAUSE_NONE, SB_PHASE_WAITING),
                                 "code", -1),
                     SB_TASK_SENT);
}

SB_TEST(shows_is_a_column_of_its_own)
{
    struct sb_str out = { 0 };
    sb_str_add(&out, "dialect: test\n");
    add_column(&out, "sends", 0, &total);
    struct sb_words *none = NULL;
    struct sb_diags diags = { 0 };
    assert_int_equal(sb_words_parse("w.yaml", out.text, out.length, &both, &none, &diags), -EINVAL);
    expect_findings(&diags, "w.yaml:1:1: missing key 'shows' (how each state and cause reads at a "
                            "platform door)\n");
    add_column(&out, "shows", 300, &total);
    sb_cleanup(sb_words_freep) struct sb_words *words = load(sb_str_get(&out), &both);
    for (int role = SB_ROLE_SENDS; role <= SB_ROLE_SHOWS; role++) {
        const json_t *sent = sb_words_cell(words, (enum sb_role)role, SB_OP_READ, SB_TASK_SENT,
                                           SB_CAUSE_NONE, SB_PHASE_WAITING);
        const json_t *busy =
            sb_words_cause(words, (enum sb_role)role, SB_CAUSE_BUSY, SB_PHASE_STARTING);
        int base = role == SB_ROLE_SHOWS ? 300 : 0;
        assert_int_equal(sb_json_int(sent, "code", -1), base + SB_TASK_SENT);
        assert_int_equal(sb_json_int(busy, "code", -1), base + 100 + SB_CAUSE_BUSY);
    }
    assert_int_equal(sb_words_parse("w.yaml", out.text, out.length, &shape, &none, &diags),
                     -EINVAL); /* a dialect that shows nothing */
    expect_finding(&diags, "unknown key 'shows' (allowed: dialect, limits, names, sends)");
    sb_diags_done(&diags);
    sb_str_done(&out);
}

/* ---- holes ---- */

SB_TEST(every_missing_state_is_a_hole)
{
    for (int s = 0; s < SB_TASK_STATE_MAX_; s++) {
        if (s == SB_TASK_FAILED || s == SB_TASK_CANCELLED)
            continue;
        const struct file file = { s, NULL, -1, "" };
        const char *name = sb_task_state_name(s);
        sb_cleanup(sb_freep) char *told = sb_format(
            "hole in 'sends': no cell for state '%s' of download, install, update, action; add "
            "'%s' under sends.states.all (a cell, or { silent: ",
            name, name);
        refused(&file, "dialect: test\n", 1, told);
    }
}

SB_TEST(a_hole_names_its_groups_and_place)
{
    const struct file file = { SB_TASK_SENT, NULL, -1,
                               "    download: { sent: { code: 1 } }\n"
                               "    update: { sent: { code: 1 } }\n"
                               "    action: { sent: { code: 1 } }\n"
                               "    install:\n      held: { code: 2 }\n      sent:\n" };
    refused(&file, "dialect: test\n", 1,
            "w.yaml:18:7: hole in 'sends': no cell for state 'sent' of install; add 'sent' under "
            "sends.states.install (a cell, or { silent: \"what the far side then concludes\" })\n");
}

SB_TEST(every_missing_cause_is_a_hole)
{
    for (int c = SB_CAUSE_NONE + 1; c < SB_CAUSE_MAX_; c++) {
        const struct file file = { -1, NULL, c, "" };
        const char *name = sb_cause_name(c);
        sb_cleanup(sb_freep) char *told =
            sb_format("w.yaml:16:5: hole in 'sends': no cell for cause '%s' in any phase; add '%s' "
                      "under sends.causes\n",
                      name, name);
        refused(&file, "dialect: test\n", 1, told);
    }
}

SB_TEST(every_missing_phase_is_a_hole)
{
    for (int left_out = 0; left_out < SB_PHASE_MAX_; left_out++) {
        struct sb_str line = { 0 };
        sb_str_add(&line, "    busy: { ");
        for (int p = 0; p < SB_PHASE_MAX_; p++)
            if (p != left_out)
                sb_str_format(&line, "%s: { code: 1 }, ", sb_phase_name(p));
        sb_str_add(&line, "}\n");
        const struct file file = { -1, sb_str_get(&line), SB_CAUSE_BUSY, "" };
        sb_cleanup(sb_freep) char *told =
            sb_format("hole in 'sends': no cell for cause 'busy' in phase %s; add 'otherwise' or "
                      "these under sends.causes.busy\n",
                      sb_phase_name(left_out));
        refused(&file, "dialect: test\n", 1, told);
        sb_str_done(&line);
    }
}

SB_TEST(whole_sections_missing)
{
    struct sb_words *words = NULL;
    struct sb_diags diags = { 0 };
    static const char nothing[] = "dialect: test\n";
    assert_int_equal(sb_words_parse("w.yaml", nothing, sizeof nothing - 1, &shape, &words, &diags),
                     -EINVAL);
    expect_findings(&diags, "w.yaml:1:1: missing key 'sends' (how each state and cause reads on an "
                            "uplink)\n");
    static const char empty[] = "dialect: test\nsends: { states: , causes: 7 }\n";
    assert_int_equal(sb_words_parse("w.yaml", empty, sizeof empty - 1, &shape, &words, &diags),
                     -EINVAL);
    assert_int_equal(diags.total, SB_TASK_STATE_MAX_ - 2 + 1 + SB_CAUSE_MAX_ - 1);
    expect_finding(&diags, "w.yaml:2:8: hole in 'sends': no cell for state 'held'");
    expect_finding(&diags, "w.yaml:2:28: a map of causes to cells is wanted here\n");
    sb_diags_done(&diags);
}

/* ---- wrong cells and keys ---- */

SB_TEST(cells_are_checked)
{
    static const struct {
        const char *cause; /* of busy */
        const char *finding;
    } cases[] = {
        { "{ code: 600 }", "'code': 600 is out of range (allowed: -9 to 599)" },
        { "{ code: soon }", "'code': 'soon' is not a whole number" },
        { "{ text: x }", "missing key 'code'" },
        { "{ code: 1, colour: blue }", "unknown value of 'colour': 'blue' (allowed: red, green)" },
        { "{ code: 1, silnet: x }",
          "unknown key 'silnet' (allowed: code, text, colour, silent; did "
          "you mean 'silent'?)" },
        { "{ code: 1, silent: x }", "'silent' says that nothing is sent: no other key" },
        { "{ silent: }", "'silent' must say what the far side then concludes, as a text" },
        { "{ silent: [a] }", "'silent' must say what the far side then concludes, as a text" },
        { "7", "a map of settings (key: value) is wanted here, not a single value" },
        { "[]", "a map of settings (key: value) is wanted here, not a list" },
        { "{ writing: { code: x }, otherwise: { code: 1 } }", "'code': 'x' is not a whole number" },
        { "{ writting: { code: 1 }, otherwise: { code: 1 } }",
          "unknown phase 'writting' (allowed: waiting, starting, fetching, transferring, "
          "verifying, "
          "writing, activating, restarting, confirming, otherwise; did you mean 'writing'?)" },
        { "{ otherwise: { code: 1 }, code: 2 }", "unknown phase 'code'" },
        { "{ writing: , otherwise: 8 }", "a map of settings (key: value) is wanted here" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        sb_cleanup(sb_freep) char *line = sb_format("    busy: %s\n", cases[i].cause);
        const struct file file = { -1, line, SB_CAUSE_BUSY, "" };
        refused(&file, "dialect: test\n", 1, cases[i].finding);
    }
    /* a lone misspelt phase is still read as one: and then the phases are missing */
    const struct file file = { -1, "    busy: { writting: { code: 1 } }\n", SB_CAUSE_BUSY, "" };
    refused(&file, "dialect: test\n", 2, "unknown phase 'writting'");
    /* a key without a value is a hole */
    const struct file empty = { -1, "    busy:\n", SB_CAUSE_BUSY, "" };
    refused(&empty, "dialect: test\n", 1, "no cell for cause 'busy' in any phase");
}

SB_TEST(an_empty_cell_is_refused)
{
    static const struct sb_field optional[] = { { .key = "code", .type = SB_TYPE_INT }, { 0 } };
    const struct sb_dialect_shape loose = { "test", optional, NULL, NULL, false };
    const struct file file = { -1, "    busy: {}\n    conflict: { code: }\n", SB_CAUSE_BUSY, "" };
    sb_cleanup(sb_freep) char *text = text_of(&file, "dialect: test\n");
    char *conflict = strstr(text, "    conflict: { code: 1");
    assert_non_null(conflict);
    memcpy(conflict, "    #", 5); /* the first one out of the way */
    struct sb_words *words = NULL;
    struct sb_diags diags = { 0 };
    assert_int_equal(sb_words_parse("w.yaml", text, strlen(text), &loose, &words, &diags), -EINVAL);
    assert_int_equal(diags.total, 2);
    expect_finding(&diags, "an empty cell says nothing: give its keys, or { silent: ");
    sb_diags_done(&diags);
}

SB_TEST(keys_are_checked)
{
    struct file file = total;
    file.groups = "    downlod: {}\n    install: 5\n    all_: {}\n";
    refused(&file, "dialect: test\n", 3,
            "unknown operation group 'downlod' (allowed: download, install, update, action, all; "
            "did you mean 'download'?)");
    file.groups = "    action: { instaling: { code: 1 }, failed: { code: 2 } }\n";
    refused(&file, "dialect: test\n", 2, "unknown task state 'instaling' (allowed: held, queued, ");
    refused(&file, "dialect: test\n", 2,
            "'failed' is told by its cause: its cells stand under sends.causes");
    file.groups = "  cuases: {}\n";
    refused(&file, "dialect: test\n", 1, "unknown key 'cuases' (allowed: states, causes; did you");
    const struct file causes = { -1, "    none: { code: 1 }\n    bussy: { code: 1 }\n", -1, "" };
    refused(&causes, "dialect: test\n", 2, "unknown cause 'none' (allowed: unsupported, ");
    refused(&causes, "dialect: test\n", 2, "did you mean 'busy'?");
    refused(&total, "dialect: tset\n", 1,
            "w.yaml:1:10: this file is for dialect 'tset', wanted is 'test'");
    refused(&total, "dialcet: test\n", 2, "missing key 'dialect'");
    refused(&total, "dialect: []\n", 2, "this file is for dialect ''");
}

/* ---- limits and names ---- */

SB_TEST(limits_and_names_have_defaults)
{
    sb_cleanup(sb_freep) char *text = text_of(&total, "dialect: test\n");
    sb_cleanup(sb_words_freep) struct sb_words *words = load(text, &shape);
    assert_int_equal(sb_words_limit(words, "payload"), 4096);
    assert_int_equal(sb_words_limit(words, "wait"), 10000);
    assert_int_equal(sb_words_limit(words, "strict"), 1);
    assert_int_equal(sb_words_limit(words, "unheard-of"), 0);
    assert_string_equal(sb_words_name(words, "topic"), "up/{type}/{id}");
    assert_null(sb_words_name(words, "title"));

    sb_cleanup(sb_freep) char *given =
        text_of(&total, "dialect: test\nlimits: { payload: 8K, strict: false }\n"
                        "names: { topic: 'x/{id}', title: 'any {thing}' }\n");
    sb_cleanup(sb_words_freep) struct sb_words *other = load(given, &shape);
    assert_int_equal(sb_words_limit(other, "payload"), 8192);
    assert_int_equal(sb_words_limit(other, "strict"), 0);
    assert_string_equal(sb_words_name(other, "topic"), "x/{id}");
    assert_string_equal(sb_words_name(other, "title"), "any {thing}");
}

SB_TEST(limits_and_names_are_checked)
{
    refused(&total, "dialect: test\nlimits: { paylod: 8K, wait: 5m }\n", 2,
            "unknown key 'paylod' (allowed: payload, wait, strict; did you mean 'payload'?)");
    refused(&total, "dialect: test\nlimits: { paylod: 8K, wait: 5m }\n", 2,
            "w.yaml:2:29: 'wait': 5m is out of range (allowed: 0s to 1m)");
    refused(&total, "dialect: test\nnames: { topic: 'up/{tpye}/{id}' }\n", 1,
            "w.yaml:2:17: 'topic': unknown placeholder '{tpye}' (allowed: {type}, {id})");
}

SB_TEST(templates_are_filled)
{
    static const struct {
        const char *pattern, *expected;
    } cases[] = {
        { "iotdm-1/type/{type}/id/{id}", "iotdm-1/type/pump/id/7" },
        { "{id}", "7" },
        { "{id}{id}{empty}{type}", "77pump" },
        { "plain", "plain" },
        { "", "" },
        { "{none}/{id}", "{none}/7" },
        { "{\"a\":{id}}", "{\"a\":7}" },
        { "{{id}}{}{id", "{7}{}{id" },
        { "{i}{idx}", "{i}{idx}" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        sb_cleanup(sb_freep) char *text = sb_words_fill(cases[i].pattern, "type", "pump", "id", "7",
                                                        "empty", NULL, "last", "{id}", NULL);
        assert_string_equal(text, cases[i].expected);
    }
    sb_cleanup(sb_freep) char *once = sb_words_fill("{a}", "a", "{b}", "b", "x", NULL);
    assert_string_equal(once, "{b}"); /* values are not patterns */
}

/* ---- files ---- */

SB_TEST(files_are_loaded)
{
    char *folder = new_folder();
    sb_cleanup(sb_freep) char *text = text_of(&total, "dialect: test\n");
    sb_cleanup(sb_freep) char *path = put_file(folder, "dialects/test.yaml", text);
    struct sb_diags diags = { 0 };
    sb_cleanup(sb_words_freep) struct sb_words *words = NULL;
    assert_int_equal(sb_words_load(path, &shape, &words, &diags), 0);
    assert_non_null(words);
    struct sb_words *none = NULL;
    assert_int_equal(sb_words_load(folder, &shape, &none, &diags), -EISDIR);
    expect_finding(&diags, "cannot be read: Is a directory");
    sb_diags_done(&diags);
    static const char broken[] = "a: [";
    assert_int_equal(sb_words_parse("w.yaml", broken, 4, &shape, &none, &diags), -EINVAL);
    expect_finding(&diags, "w.yaml:2:1: ");
    sb_diags_done(&diags);
    assert_null(none);
    assert_null(sb_words_free(NULL));
    remove_folder(folder);
}
