/* SPDX-License-Identifier: Apache-2.0 */
/* One map against its table: what is unknown, what is missing, who reads what is there. */
#include "bridge/base/str.h"
#include "bridge/config/reader.h"

static const struct sb_field *field_of(const struct sb_field *fields, const char *key)
{
    for (; fields && fields->key; fields++)
        if (fields->key[0] && sb_streq(fields->key, key))
            return fields;
    return NULL;
}

static size_t collect_keys(const struct sb_field *fields, const char **ret)
{
    size_t n = 0;
    for (; fields && fields->key; fields++)
        if (fields->key[0]) {
            if (ret)
                ret[n] = fields->key;
            n++;
        }
    return n;
}

static void unknown_key(struct sb_reader *r, const struct sb_yaml *key,
                        const struct sb_field *fields, const struct sb_field *also)
{
    size_t n = collect_keys(fields, NULL);
    size_t all = n + collect_keys(also, NULL);
    sb_cleanup(sb_freep) const char **keys = calloc(all + 1, sizeof *keys);
    if (!keys) {
        r->no_memory = true;
        return;
    }
    (void)collect_keys(fields, keys);
    (void)collect_keys(also, keys + n);
    sb_reader_unknown(r, key, "key", keys, all);
}

/* In an open map a misspelt key is not refused here, so the missing one must point at it. */
static const struct sb_yaml *stray_key(const struct sb_yaml *map, const struct sb_field *fields,
                                       const char *wanted)
{
    for (size_t i = 0; map && i < map->count; i++) {
        const char *text = map->keys[i]->text;
        if (!field_of(fields, text) && sb_nearest(text, &wanted, 1))
            return map->keys[i];
    }
    return NULL;
}

static void missing(struct sb_reader *r, const struct sb_yaml *map, const struct sb_field *fields,
                    const struct sb_field *field)
{
    struct sb_str hint = { 0 };
    const struct sb_yaml *stray = stray_key(map, fields, field->key);
    if (stray) {
        sb_cleanup(sb_freep) char *shown = sb_quoted(stray->text);
        sb_str_format(&hint, "; is '%s' in line %d meant?", shown ? shown : "", stray->line);
    } else if (field->doc) {
        sb_str_format(&hint, " (%s)", field->doc);
    }
    sb_reader_find(r, map, "missing key '%s'%s", field->key, sb_str_get(&hint));
    sb_str_done(&hint);
}

/* Sections and what is of any shape may be empty; elsewhere nobody can know what was meant: a
 * restriction that was begun must not end as none. */
static bool may_be_empty(const struct sb_field *field)
{
    return !(field->flags & SB_FIELD_REQUIRED) &&
           (field->type == SB_TYPE_OBJECT || field->type == SB_TYPE_TABLE ||
            field->type == SB_TYPE_JSON || field->type == SB_TYPE_NODE);
}

static void no_value(struct sb_reader *r, const struct sb_yaml *at, const struct sb_field *field)
{
    sb_cleanup(sb_freep) char *kind = sb_schema_kind(field);
    sb_reader_find(r, at, "'%s' has no value (allowed: %s)%s", field->key, kind ? kind : "?",
                   field->flags & SB_FIELD_REQUIRED ? ""
                                                    : "; to have the default, leave the key out");
}

static void walk_given(struct sb_reader *r, const struct sb_yaml *map, const struct sb_walk *task,
                       bool open)
{
    for (size_t i = 0; i < map->count; i++) {
        const struct sb_field *field = field_of(task->fields, map->keys[i]->text);
        if (!field && !open && !field_of(task->also, map->keys[i]->text))
            unknown_key(r, map->keys[i], task->fields, task->also);
        if (field && !sb_yaml_is_null(map->items[i]))
            task->put(r, field, map->items[i], task->sink);
        else if (field && !may_be_empty(field))
            no_value(r, map->items[i], field);
    }
}

void sb_reader_walk(struct sb_reader *r, const struct sb_yaml *map, const struct sb_walk *task)
{
    const struct sb_yaml *given = sb_yaml_is_null(map) ? NULL : map;
    bool strict = task->strict;
    if (given && given->kind != SB_YAML_MAP) {
        sb_reader_find(r, given, "a map of settings (key: value) is wanted here, not a %s",
                       given->kind == SB_YAML_LIST ? "list" : "single value");
        given = NULL;
        strict = false; /* one finding is enough */
    } else {
        const struct sb_field *self = task->fields;
        while (self && self->key && self->key[0])
            self++;
        if (given)
            walk_given(r, given, task, self && self->key);
    }
    for (const struct sb_field *f = task->fields; f && f->key; f++) {
        const struct sb_yaml *value = f->key[0] ? sb_yaml_get(given, f->key) : given;
        bool absent = sb_yaml_is_null(value);
        if (value && absent && !may_be_empty(f))
            continue; /* told above */
        if (absent && strict && (f->flags & SB_FIELD_REQUIRED))
            missing(r, map, task->fields, f);
        else if (absent || !f->key[0])
            task->put(r, f, absent ? NULL : value, task->sink);
    }
}
