/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/config/schema.h"

#include <errno.h>

#include "bridge/config/reader.h"

static void read_object(struct sb_reader *r, const struct sb_field *field,
                        const struct sb_yaml *node, void *slot)
{
    bool strict = node || (field->flags & SB_FIELD_REQUIRED);
    sb_reader_walk(r, node,
                   &(struct sb_walk){ field->fields, NULL, strict, slot, sb_reader_member });
}

bool sb_reader_array(struct sb_reader *r, const struct sb_field *field, const struct sb_yaml *node)
{
    bool table = field->type == SB_TYPE_TABLE;
    if (node->kind == (table ? SB_YAML_MAP : SB_YAML_LIST))
        return sb_reader_count(r, field, node, node->count);
    sb_reader_find(r, node, "'%s': %s is wanted here", field->key,
                   table ? "a map of names (name: { ... })" : "a list (- ...)");
    return false;
}

static void read_array(struct sb_reader *r, const struct sb_field *field,
                       const struct sb_yaml *node, struct sb_array *array)
{
    bool table = field->type == SB_TYPE_TABLE;
    if (!sb_reader_array(r, field, node) || node->count == 0)
        return;
    char *list = calloc(node->count, field->size);
    if (!list) {
        r->no_memory = true;
        return;
    }
    *array = (struct sb_array){ list, node->count };
    for (size_t i = 0; i < node->count; i++) {
        char *element = list + i * field->size;
        if (table && sb_set_string((char **)(void *)element, node->keys[i]->text) < 0)
            r->no_memory = true;
        sb_reader_walk(r, node->items[i],
                       &(struct sb_walk){ field->fields, NULL, true, element, sb_reader_member });
    }
}

static void put_given(struct sb_reader *r, const struct sb_field *field, const struct sb_yaml *node,
                      void *slot)
{
    if (field->type == SB_TYPE_OBJECT)
        read_object(r, field, node, slot);
    else if (field->type == SB_TYPE_LIST || field->type == SB_TYPE_TABLE)
        read_array(r, field, node, slot);
    else
        sb_reader_value(r, field, node, slot);
}

/* The default goes the way of a given value; a wrong one is the table's fault and shows as such. */
static void put_default(struct sb_reader *r, const struct sb_field *field, void *slot)
{
    struct sb_reader own = *r;
    own.file = "(default)";
    if (field->type == SB_TYPE_OBJECT) {
        read_object(r, field, NULL, slot);
        return;
    }
    if (!field->otherwise || field->type == SB_TYPE_NODE)
        return;
    if (field->type == SB_TYPE_STRING || field->type == SB_TYPE_SECRET) {
        struct sb_yaml node = { .kind = SB_YAML_SCALAR, .text = (char *)field->otherwise };
        sb_reader_value(&own, field, &node, slot);
    } else {
        sb_cleanup(sb_yaml_freep) struct sb_yaml *node = NULL;
        int error =
            sb_yaml_parse("(default)", field->otherwise, strlen(field->otherwise), &node, r->diags);
        own.no_memory |= error == -ENOMEM;
        own.findings += error == -EINVAL;
        if (error == 0)
            put_given(&own, field, node, slot);
    }
    r->findings = own.findings;
    r->no_memory = own.no_memory;
}

void sb_reader_member(struct sb_reader *r, const struct sb_field *field, const struct sb_yaml *node,
                      void *data)
{
    void *slot = (char *)data + field->offset;
    if (node)
        put_given(r, field, node, slot);
    else
        put_default(r, field, slot);
}

int sb_reader_finish(const struct sb_reader *r)
{
    if (r->no_memory)
        return -ENOMEM;
    return r->findings ? -EINVAL : 0;
}

int sb_schema_read_also(const struct sb_yaml *map, const char *file, const struct sb_field *fields,
                        const struct sb_field *also, void *ret, struct sb_diags *diags)
{
    struct sb_reader r = { .file = file, .diags = diags };
    sb_reader_walk(&r, map, &(struct sb_walk){ fields, also, true, ret, sb_reader_member });
    return sb_reader_finish(&r);
}

int sb_schema_read(const struct sb_yaml *map, const char *file, const struct sb_field *fields,
                   void *ret, struct sb_diags *diags)
{
    return sb_schema_read_also(map, file, fields, NULL, ret, diags);
}

/* ---- releasing ---- */

static void array_done(const struct sb_field *field, struct sb_array *array)
{
    for (size_t i = 0; i < array->count; i++) {
        char *element = (char *)array->list + i * field->size;
        sb_schema_done(field->fields, element);
        if (field->type == SB_TYPE_TABLE)
            free(*(char **)(void *)element);
    }
    free(array->list);
    *array = (struct sb_array){ 0 };
}

static void member_done(const struct sb_field *field, void *slot)
{
    switch (field->type) {
    case SB_TYPE_STRING:
    case SB_TYPE_SECRET:
        free(*(char **)slot);
        *(char **)slot = NULL;
        break;
    case SB_TYPE_JSON:
        json_decref(*(json_t **)slot);
        *(json_t **)slot = NULL;
        break;
    case SB_TYPE_STRINGS:
        sb_strings_done(slot);
        break;
    case SB_TYPE_OBJECT:
        sb_schema_done(field->fields, slot);
        break;
    case SB_TYPE_LIST:
    case SB_TYPE_TABLE:
        array_done(field, slot);
        break;
    default:
        break;
    }
}

void sb_schema_done(const struct sb_field *fields, void *data)
{
    for (; data && fields && fields->key; fields++)
        member_done(fields, (char *)data + fields->offset);
}
