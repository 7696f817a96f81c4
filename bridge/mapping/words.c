/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/mapping/words.h"

#include <errno.h>
#include <stdarg.h>

#include "bridge/base/str.h"
#include "bridge/mapping/cells.h"

struct sb_words {
    char *dialect;
    json_t *limits, *names;
    struct sb_cells sends, shows; /* shows: as sends where the dialect has no such column */
    bool has_shows;
};

/* ---- templates ---- */

/* The next "{word}" from *at on: true, with the word's place; *at behind it. */
static bool next_placeholder(const char **at, const char **ret_word, size_t *ret_n)
{
    static const char legal[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    for (const char *open = strchr(*at, '{'); open; open = strchr(open + 1, '{')) {
        size_t n = strspn(open + 1, legal);
        if (n == 0 || open[1 + n] != '}')
            continue;
        *ret_word = open + 1;
        *ret_n = n;
        *at = open + n + 2;
        return true;
    }
    return false;
}

/* Finds the key among key, value, key, value, NULL. */
static bool value_of(va_list ap, const char *word, size_t n, const char **ret)
{
    for (const char *key; (key = va_arg(ap, const char *));) {
        const char *value = va_arg(ap, const char *);
        if (strncmp(key, word, n) == 0 && key[n] == '\0') {
            *ret = value;
            return true;
        }
    }
    return false;
}

char *sb_words_vfill(const char *pattern, va_list ap)
{
    struct sb_str out = { 0 };
    const char *at = pattern, *from = pattern, *word = NULL;
    size_t n = 0;
    while (next_placeholder(&at, &word, &n)) {
        const char *value = NULL;
        va_list values;
        va_copy(values, ap);
        if (value_of(values, word, n, &value)) {
            sb_str_add_bytes(&out, from, (size_t)(word - 1 - from));
            sb_str_add(&out, value ? value : "");
            from = at;
        }
        va_end(values);
    }
    sb_str_add(&out, from);
    return sb_str_take(&out);
}

char *sb_words_fill(const char *pattern, ...)
{
    va_list ap;
    va_start(ap, pattern);
    char *text = sb_words_vfill(pattern, ap);
    va_end(ap);
    return text;
}

static bool has_placeholder(const char *pattern, const char *word, size_t n)
{
    const char *other = NULL;
    size_t other_n = 0;
    while (next_placeholder(&pattern, &other, &other_n))
        if (n == other_n && memcmp(word, other, n) == 0)
            return true;
    return false;
}

static char *placeholders_of(const char *pattern)
{
    struct sb_str out = { 0 };
    const char *word = NULL;
    size_t n = 0;
    while (next_placeholder(&pattern, &word, &n)) {
        sb_str_add(&out, out.length ? ", {" : "{");
        sb_str_add_bytes(&out, word, n);
        sb_str_add_char(&out, '}');
    }
    if (!out.length)
        sb_str_add(&out, "none");
    return sb_str_take(&out);
}

/* Code fills in what the default names, so another placeholder would reach the wire as it is. */
static void check_placeholders(const struct sb_yaml *names, const struct sb_field *fields,
                               struct sb_diags *diags)
{
    for (; fields && fields->key; fields++) {
        const struct sb_yaml *node = sb_yaml_get(names, fields->key);
        if (!fields->otherwise || sb_yaml_is_null(node) || node->kind != SB_YAML_SCALAR)
            continue;
        const char *at = node->text, *word = NULL;
        size_t n = 0;
        while (next_placeholder(&at, &word, &n)) {
            if (has_placeholder(fields->otherwise, word, n))
                continue;
            sb_cleanup(sb_freep) char *allowed = placeholders_of(fields->otherwise);
            sb_schema_find(diags, node, "'%s': unknown placeholder '{%.*s}' (allowed: %s)",
                           fields->key, (int)SB_MIN(n, (size_t)60), word, allowed ? allowed : "?");
        }
    }
}

/* ---- loading ---- */

struct sections { /* of a file */
    char *dialect;
    const struct sb_yaml *limits, *names, *sends, *shows;
};

#define AT(member) offsetof(struct sections, member)
#define DIALECT                                                                                    \
    {                                                                                              \
        .key = "dialect", .type = SB_TYPE_STRING, .offset = AT(dialect),                           \
        .flags = SB_FIELD_REQUIRED, .doc = "whose words these are"                                 \
    }
#define LIMITS                                                                                     \
    {                                                                                              \
        .key = "limits", .type = SB_TYPE_NODE, .offset = AT(limits)                                \
    }
#define NAMES                                                                                      \
    {                                                                                              \
        .key = "names", .type = SB_TYPE_NODE, .offset = AT(names)                                  \
    }
#define SENDS                                                                                      \
    {                                                                                              \
        .key = "sends", .type = SB_TYPE_NODE, .offset = AT(sends), .flags = SB_FIELD_REQUIRED,     \
        .doc = "how each state and cause reads on an uplink"                                       \
    }
#define SHOWS                                                                                      \
    {                                                                                              \
        .key = "shows", .type = SB_TYPE_NODE, .offset = AT(shows), .flags = SB_FIELD_REQUIRED,     \
        .doc = "how each state and cause reads at a platform door"                                 \
    }

static const struct sb_field sending[] = { DIALECT, LIMITS, NAMES, SENDS, { 0 } };
static const struct sb_field showing[] = { DIALECT, LIMITS, NAMES, SENDS, SHOWS, { 0 } };

/* Keeps the first error; -ENOMEM is worse than a finding. */
static void join(int *error, int another)
{
    if (another == -ENOMEM || *error == 0)
        *error = another;
}

static int read_sections(struct sb_words *words, const struct sb_yaml *root,
                         const struct sections *s, const struct sb_dialect_shape *shape,
                         struct sb_diags *diags)
{
    static const struct sb_field nothing[] = { { 0 } };
    int error = 0;
    size_t before = diags->total;
    const struct sb_yaml *dialect = sb_yaml_get(root, "dialect");
    if (!sb_yaml_is_null(dialect) && !sb_streq(dialect->text, shape->dialect))
        sb_schema_find(diags, dialect, "this file is for dialect '%s', wanted is '%s'",
                       dialect->text ? dialect->text : "", shape->dialect);
    join(&error, sb_schema_json(s->limits, NULL, shape->limits ? shape->limits : nothing, NULL,
                                &words->limits, diags));
    join(&error, sb_schema_json(s->names, NULL, shape->names ? shape->names : nothing, NULL,
                                &words->names, diags));
    check_placeholders(s->names, shape->names, diags);
    if (s->sends)
        join(&error, sb_cells_read(root, "sends", shape, &words->sends, diags));
    if (s->shows)
        join(&error, sb_cells_read(root, "shows", shape, &words->shows, diags));
    return error == 0 && diags->total > before ? -EINVAL : error;
}

static int read_words(const struct sb_yaml *root, const struct sb_dialect_shape *shape,
                      struct sb_words **ret, struct sb_diags *diags)
{
    sb_cleanup(sb_words_freep) struct sb_words *words = calloc(1, sizeof *words);
    if (!words || !(words->dialect = strdup(shape->dialect)))
        return -ENOMEM;
    words->has_shows = shape->shows;
    const struct sb_field *fields = shape->shows ? showing : sending;
    struct sections sections = { 0 };
    size_t before = diags->count;
    int error = sb_schema_read(root, NULL, fields, &sections, diags);
    join(&error, read_sections(words, root, &sections, shape, diags));
    sb_schema_done(fields, &sections);
    sb_schema_sort(diags, before);
    if (error == 0)
        *ret = SB_STEAL(words);
    return error;
}

int sb_words_parse(const char *file, const void *text, size_t n,
                   const struct sb_dialect_shape *shape, struct sb_words **ret,
                   struct sb_diags *diags)
{
    sb_cleanup(sb_yaml_freep) struct sb_yaml *root = NULL;
    int error = sb_yaml_parse(file, text, n, &root, diags);
    return error < 0 ? error : read_words(root, shape, ret, diags);
}

int sb_words_load(const char *path, const struct sb_dialect_shape *shape, struct sb_words **ret,
                  struct sb_diags *diags)
{
    sb_cleanup(sb_yaml_freep) struct sb_yaml *root = NULL;
    int error = sb_yaml_load(path, &root, diags);
    return error < 0 ? error : read_words(root, shape, ret, diags);
}

struct sb_words *sb_words_free(struct sb_words *words)
{
    if (!words)
        return NULL;
    free(words->dialect);
    json_decref(words->limits);
    json_decref(words->names);
    sb_cells_done(&words->sends);
    sb_cells_done(&words->shows);
    free(words);
    return NULL;
}

/* ---- looking up ---- */

static const struct sb_cells *cells_of(const struct sb_words *words, enum sb_role role)
{
    return role == SB_ROLE_SHOWS && words->has_shows ? &words->shows : &words->sends;
}

const json_t *sb_words_cause(const struct sb_words *words, enum sb_role role, enum sb_cause cause,
                             enum sb_phase phase)
{
    int c = (int)cause, p = (int)phase;
    if (c <= SB_CAUSE_NONE || c >= SB_CAUSE_MAX_)
        c = SB_CAUSE_INTERNAL;
    if (p < 0 || p >= SB_PHASE_MAX_)
        p = SB_PHASE_WAITING;
    return cells_of(words, role)->causes[c][p];
}

const json_t *sb_words_cell(const struct sb_words *words, enum sb_role role, enum sb_op op,
                            enum sb_task_state state, enum sb_cause cause, enum sb_phase phase)
{
    int s = (int)state;
    if (s < 0 || s >= SB_TASK_STATE_MAX_ || s == SB_TASK_FAILED || s == SB_TASK_CANCELLED)
        return sb_words_cause(words, role, cause, phase);
    return cells_of(words, role)->states[sb_group_of(op)][s];
}

int64_t sb_words_limit(const struct sb_words *words, const char *name)
{
    const json_t *value = json_object_get(words->limits, name);
    return json_is_true(value) ? 1 : json_integer_value(value);
}

const char *sb_words_name(const struct sb_words *words, const char *name)
{
    return json_string_value(json_object_get(words->names, name));
}

const char *sb_words_dialect(const struct sb_words *words)
{
    return words->dialect;
}
