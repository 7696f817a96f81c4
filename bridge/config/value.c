/* SPDX-License-Identifier: Apache-2.0 */
/* Single values: from a scalar's text to the member's type, each with its own way to complain. */
#include <errno.h>
#include <inttypes.h>

#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "bridge/config/reader.h"

/* "'jobs': 'many' is not a whole number": everything about one wrong value. */
static void wrong(struct sb_reader *r, const struct sb_field *field, const struct sb_yaml *node,
                  const char *how)
{
    if (node->kind != SB_YAML_SCALAR) {
        sb_reader_find(r, node, "'%s': a %s %s", field->key,
                       node->kind == SB_YAML_LIST ? "list" : "map", how);
        return;
    }
    sb_cleanup(sb_freep) char *shown = sb_quoted(node->text);
    sb_reader_find(r, node, "'%s': %s'%s'%s %s", field->key, node->quoted ? "the text " : "",
                   shown ? shown : "", node->quoted ? " (in quotes)" : "", how);
}

static char *bound_text(enum sb_field_type type, int64_t value)
{
    if (type == SB_TYPE_DURATION)
        return sb_duration_text(value);
    if (type == SB_TYPE_SIZE)
        return sb_size_text(value);
    return sb_format("%" PRId64, value);
}

static bool in_range(struct sb_reader *r, const struct sb_field *field, const struct sb_yaml *node,
                     int64_t value)
{
    if (field->max <= field->min || (value >= field->min && value <= field->max))
        return true;
    sb_cleanup(sb_freep) char *low = bound_text(field->type, field->min);
    sb_cleanup(sb_freep) char *high = bound_text(field->type, field->max);
    sb_cleanup(sb_freep) char *shown = sb_quoted(node->text);
    sb_reader_find(r, node, "'%s': %s is out of range (allowed: %s to %s)", field->key,
                   shown ? shown : "it", low ? low : "?", high ? high : "?");
    return false;
}

bool sb_reader_count(struct sb_reader *r, const struct sb_field *field, const struct sb_yaml *node,
                     size_t count)
{
    int64_t n = (int64_t)count;
    bool bounded = field->max > field->min;
    if (bounded ? n >= field->min && n <= field->max : n > 0 || field->type == SB_TYPE_TABLE)
        return true;
    if (!bounded) {
        sb_reader_find(r, node,
                       "'%s' is an empty list (allowed: at least one entry; to have the default, "
                       "leave the key out)",
                       field->key);
        return false;
    }
    sb_reader_find(r, node, "'%s' has %zu entries (allowed: %" PRId64 " to %" PRId64 ")",
                   field->key, count, field->min, field->max);
    return false;
}

static bool is_text(const struct sb_yaml *node)
{
    return node->kind == SB_YAML_SCALAR;
}

static void read_bool(struct sb_reader *r, const struct sb_field *field, const struct sb_yaml *node,
                      void *slot)
{
    bool yes = is_text(node) && !node->quoted && sb_streq(node->text, "true");
    bool no = is_text(node) && !node->quoted && sb_streq(node->text, "false");
    if (yes || no)
        *(bool *)slot = yes;
    else
        wrong(r, field, node, "is neither true nor false");
}

static void read_int(struct sb_reader *r, const struct sb_field *field, const struct sb_yaml *node,
                     void *slot)
{
    int64_t value = 0;
    int error = sb_yaml_integer(node, &value);
    if (error == -ERANGE)
        wrong(r, field, node, "does not fit 64 bits");
    else if (error < 0)
        wrong(r, field, node, "is not a whole number (such as 16 or 0x10)");
    else if (in_range(r, field, node, value))
        *(int64_t *)slot = value;
}

static void read_duration(struct sb_reader *r, const struct sb_field *field,
                          const struct sb_yaml *node, void *slot)
{
    int64_t value = 0;
    int error = is_text(node) ? sb_duration_parse(node->text, &value) : -EINVAL;
    if (error == -ERANGE)
        wrong(r, field, node, "is too long");
    else if (error < 0)
        wrong(r, field, node, "is not a duration (a number with ms, s, m, h, d or w: 90s)");
    else if (in_range(r, field, node, value))
        *(int64_t *)slot = value;
}

static void read_size(struct sb_reader *r, const struct sb_field *field, const struct sb_yaml *node,
                      void *slot)
{
    int64_t value = 0;
    int error = is_text(node) ? sb_size_parse(node->text, &value) : -EINVAL;
    if (error == -ERANGE)
        wrong(r, field, node, "is too large");
    else if (error < 0)
        wrong(r, field, node, "is not a size (bytes, or a number with K, M or G: 64M)");
    else if (in_range(r, field, node, value))
        *(int64_t *)slot = value;
}

static void keep(struct sb_reader *r, const char *text, void *slot)
{
    if (sb_set_string(slot, text) < 0)
        r->no_memory = true;
}

static void read_string(struct sb_reader *r, const struct sb_field *field,
                        const struct sb_yaml *node, void *slot)
{
    if (!is_text(node)) {
        wrong(r, field, node, "cannot stand here: a single text is wanted");
        return;
    }
    int64_t length = (int64_t)strlen(node->text);
    if (field->max > field->min && (length < field->min || length > field->max))
        sb_reader_find(r, node,
                       "'%s' has %" PRId64 " characters (allowed: %" PRId64 " to %" PRId64 ")",
                       field->key, length, field->min, field->max);
    else
        keep(r, node->text, slot);
}

/* Whatever stands here may be the secret itself, so it is never quoted. */
static void read_secret(struct sb_reader *r, const struct sb_field *field,
                        const struct sb_yaml *node, void *slot)
{
    static const char *const kinds[] = { "file:", "credential:" };
    for (size_t i = 0; is_text(node) && i < SB_COUNT(kinds); i++) {
        size_t n = strlen(kinds[i]);
        if (strncmp(node->text, kinds[i], n) == 0 && node->text[n]) {
            keep(r, node->text, slot);
            return;
        }
    }
    sb_reader_find(r, node,
                   "'%s': a secret does not stand in this file (allowed: file:/path/of/the/secret, "
                   "credential:NAME)",
                   field->key);
}

static int choose(struct sb_reader *r, const struct sb_field *field, const struct sb_yaml *node)
{
    if (!is_text(node)) {
        wrong(r, field, node, "cannot stand here: one of the names is wanted");
        return -EINVAL;
    }
    int value = sb_names_find(field->choices, node->text);
    if (value < 0) {
        sb_cleanup(sb_freep) char *what = sb_format("value of '%s':", field->key);
        sb_reader_unknown(r, node, what ? what : "value", field->choices->names,
                          (size_t)field->choices->count);
    }
    return value;
}

static void read_choice(struct sb_reader *r, const struct sb_field *field,
                        const struct sb_yaml *node, void *slot)
{
    int value = choose(r, field, node);
    if (value >= 0)
        *(int *)slot = value;
}

/* Entries of a list, or the lone scalar that counts as a list of one. */
static bool entries(struct sb_reader *r, const struct sb_field *field, const struct sb_yaml *node,
                    const struct sb_yaml *const **ret, size_t *ret_n)
{
    if (node->kind == SB_YAML_MAP) {
        wrong(r, field, node, "cannot stand here: a list of names is wanted");
        return false;
    }
    *ret_n = node->kind == SB_YAML_LIST ? node->count : 1;
    *ret = (const struct sb_yaml *const *)node->items;
    return sb_reader_count(r, field, node, *ret_n);
}

static void read_flags(struct sb_reader *r, const struct sb_field *field,
                       const struct sb_yaml *node, void *slot)
{
    const struct sb_yaml *const *list = NULL;
    size_t n = 0, findings = r->findings;
    uint64_t flags = 0;
    if (!entries(r, field, node, &list, &n))
        return;
    for (size_t i = 0; i < n; i++) {
        int value = choose(r, field, list ? list[i] : node);
        if (value >= 0 && value < 64)
            flags |= UINT64_C(1) << value;
    }
    if (r->findings == findings)
        *(uint64_t *)slot = flags;
}

static void read_strings(struct sb_reader *r, const struct sb_field *field,
                         const struct sb_yaml *node, void *slot)
{
    const struct sb_yaml *const *list = NULL;
    size_t n = 0;
    if (!entries(r, field, node, &list, &n))
        return;
    for (size_t i = 0; i < n; i++) {
        const struct sb_yaml *entry = list ? list[i] : node;
        if (!is_text(entry) || sb_yaml_is_null(entry))
            sb_reader_find(r, entry, "'%s': every entry is a single text, and not empty",
                           field->key);
        else if (sb_strings_add(slot, entry->text) < 0)
            r->no_memory = true;
    }
}

static void read_json(struct sb_reader *r, const struct sb_field *field SB_UNUSED,
                      const struct sb_yaml *node, void *slot)
{
    json_t *value = sb_yaml_json(node);
    *(json_t **)slot = value;
    if (!value)
        r->no_memory = true;
}

static void read_node(struct sb_reader *r SB_UNUSED, const struct sb_field *field SB_UNUSED,
                      const struct sb_yaml *node, void *slot)
{
    *(const struct sb_yaml **)slot = node;
}

void sb_reader_value(struct sb_reader *r, const struct sb_field *field, const struct sb_yaml *node,
                     void *slot)
{
    static void (*const readers[])(struct sb_reader *, const struct sb_field *,
                                   const struct sb_yaml *, void *) = {
        [SB_TYPE_BOOL] = read_bool,         [SB_TYPE_INT] = read_int,
        [SB_TYPE_STRING] = read_string,     [SB_TYPE_CHOICE] = read_choice,
        [SB_TYPE_DURATION] = read_duration, [SB_TYPE_SIZE] = read_size,
        [SB_TYPE_SECRET] = read_secret,     [SB_TYPE_STRINGS] = read_strings,
        [SB_TYPE_FLAGS] = read_flags,       [SB_TYPE_JSON] = read_json,
        [SB_TYPE_NODE] = read_node,
    };
    if ((size_t)field->type < SB_COUNT(readers) && readers[field->type])
        readers[field->type](r, field, node, slot);
}
