/* SPDX-License-Identifier: Apache-2.0 */
/* A map as an object of typed values, for tables that describe no struct. */
#include "bridge/config/reader.h"

static json_t *read_json_map(struct sb_reader *r, const struct sb_field *fields,
                             const struct sb_yaml *map, bool strict);

static json_t *names_json(const struct sb_names *names, uint64_t flags)
{
    sb_cleanup(json_decrefp) json_t *list = json_array();
    for (int i = 0; list && i < names->count && i < 64; i++)
        if ((flags >> i & 1) && json_array_append_new(list, json_string(names->names[i])) < 0)
            return NULL;
    return SB_STEAL(list);
}

static json_t *strings_json(const struct sb_strings *strings)
{
    sb_cleanup(json_decrefp) json_t *list = json_array();
    for (size_t i = 0; list && i < strings->count; i++)
        if (json_array_append_new(list, json_string(strings->list[i])) < 0)
            return NULL;
    return SB_STEAL(list);
}

union member { /* any single value, as a struct would hold it */
    bool boolean;
    int64_t integer;
    int choice;
    char *text;
    struct sb_strings strings;
    uint64_t flags;
    json_t *json;
    const struct sb_yaml *node;
};

static json_t *member_json(const struct sb_field *field, const union member *value)
{
    switch (field->type) {
    case SB_TYPE_BOOL:
        return json_boolean(value->boolean);
    case SB_TYPE_STRING:
    case SB_TYPE_SECRET:
        return value->text ? json_string(value->text) : NULL;
    case SB_TYPE_CHOICE:
        return json_string(sb_names_get(field->choices, value->choice));
    case SB_TYPE_STRINGS:
        return strings_json(&value->strings);
    case SB_TYPE_FLAGS:
        return names_json(field->choices, value->flags);
    case SB_TYPE_JSON:
        return json_incref(value->json);
    case SB_TYPE_NODE:
        return sb_yaml_json(value->node);
    default:
        return json_integer(value->integer);
    }
}

static json_t *array_json(struct sb_reader *r, const struct sb_field *field,
                          const struct sb_yaml *node)
{
    bool table = field->type == SB_TYPE_TABLE;
    sb_cleanup(json_decrefp) json_t *out = table ? json_object() : json_array();
    for (size_t i = 0; out && i < node->count; i++) {
        json_t *item = read_json_map(r, field->fields, node->items[i], true);
        if ((table ? json_object_set_new(out, node->keys[i]->text, item)
                   : json_array_append_new(out, item)) < 0)
            return NULL;
    }
    return SB_STEAL(out);
}

/* Reads the value as a member of a struct of its own, then tells it as JSON. */
static json_t *single_json(struct sb_reader *r, const struct sb_field *field,
                           const struct sb_yaml *node)
{
    union member value = { 0 };
    struct sb_field alone[] = { *field, { 0 } };
    alone[0].offset = 0;
    size_t findings = r->findings;
    sb_reader_member(r, alone, node, &value);
    json_t *json = r->findings == findings ? member_json(field, &value) : json_null();
    sb_schema_done(alone, &value);
    return json;
}

static void put_json(struct sb_reader *r, const struct sb_field *field, const struct sb_yaml *node,
                     void *object)
{
    if (!field->key[0])
        return; /* the map itself */
    json_t *json = NULL;
    bool array = field->type == SB_TYPE_LIST || field->type == SB_TYPE_TABLE;
    if (field->type == SB_TYPE_OBJECT) {
        bool strict = node || (field->flags & SB_FIELD_REQUIRED);
        json = read_json_map(r, field->fields, node, strict);
    } else if (!node && (!field->otherwise || array)) {
        return; /* not given and no default: left out */
    } else if (array) {
        json = sb_reader_array(r, field, node) ? array_json(r, field, node) : json_null();
    } else {
        json = single_json(r, field, node);
    }
    if (json_object_set_new(object, field->key, json) < 0)
        r->no_memory = true;
}

static json_t *read_json_map(struct sb_reader *r, const struct sb_field *fields,
                             const struct sb_yaml *map, bool strict)
{
    json_t *object = json_object();
    if (object)
        sb_reader_walk(r, map, &(struct sb_walk){ fields, NULL, strict, object, put_json });
    else
        r->no_memory = true;
    return object;
}

int sb_schema_json(const struct sb_yaml *map, const char *file, const struct sb_field *fields,
                   const struct sb_field *also, json_t **ret, struct sb_diags *diags)
{
    struct sb_reader r = { .file = file, .diags = diags };
    sb_cleanup(json_decrefp) json_t *object = json_object();
    if (!object)
        return -ENOMEM;
    sb_reader_walk(&r, map, &(struct sb_walk){ fields, also, true, object, put_json });
    int error = sb_reader_finish(&r);
    if (error == 0)
        *ret = SB_STEAL(object);
    return error;
}
