/* SPDX-License-Identifier: Apache-2.0 */
/* The table as text: what a file may contain, as the reader itself understands it. */
#include <inttypes.h>

#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "bridge/config/schema.h"

static const char *const kinds[] = {
    [SB_TYPE_BOOL] = "true or false",
    [SB_TYPE_INT] = "whole number",
    [SB_TYPE_STRING] = "text",
    [SB_TYPE_CHOICE] = "one of",
    [SB_TYPE_DURATION] = "duration",
    [SB_TYPE_SIZE] = "size",
    [SB_TYPE_SECRET] = "file:PATH or credential:NAME",
    [SB_TYPE_STRINGS] = "list of texts",
    [SB_TYPE_FLAGS] = "list of",
    [SB_TYPE_OBJECT] = "map",
    [SB_TYPE_LIST] = "list of maps",
    [SB_TYPE_TABLE] = "map of names to maps",
    [SB_TYPE_JSON] = "any value",
    [SB_TYPE_NODE] = "a section of its own",
};

static void add_bound(struct sb_str *out, enum sb_field_type type, int64_t value)
{
    sb_cleanup(sb_freep) char *text = type == SB_TYPE_DURATION ? sb_duration_text(value)
                                      : type == SB_TYPE_SIZE   ? sb_size_text(value)
                                                               : sb_format("%" PRId64, value);
    if (text)
        sb_str_add(out, text);
    else
        out->broken = true;
}

static void add_kind(struct sb_str *out, const struct sb_field *field)
{
    sb_str_add(out, kinds[field->type]);
    for (int i = 0; field->choices && i < field->choices->count; i++)
        sb_str_format(out, "%s%s", i ? ", " : " ", field->choices->names[i]);
    if (field->max > field->min) {
        sb_str_add(out, field->type == SB_TYPE_STRING ? ", length " : ", ");
        add_bound(out, field->type, field->min);
        sb_str_add(out, " to ");
        add_bound(out, field->type, field->max);
    }
    if (field->flags & SB_FIELD_REQUIRED)
        sb_str_add(out, "; required");
    else if (field->otherwise && field->otherwise[0])
        sb_str_format(out, "; default %s", field->otherwise);
}

char *sb_schema_kind(const struct sb_field *field)
{
    struct sb_str out = { 0 };
    add_kind(&out, field);
    return sb_str_take(&out);
}

static void add_fields(struct sb_str *out, const struct sb_field *fields, int depth)
{
    for (; fields && fields->key; fields++) {
        if (!fields->key[0])
            continue;
        sb_str_format(out, "%*s%s: ", 4 * depth, "", fields->key);
        add_kind(out, fields);
        sb_str_add_char(out, '\n');
        if (fields->doc)
            sb_str_format(out, "%*s%s\n", 4 * depth + 4, "", fields->doc);
        add_fields(out, fields->fields, depth + 1);
    }
}

char *sb_schema_manual(const struct sb_field *fields)
{
    struct sb_str out = { 0 };
    add_fields(&out, fields, 0);
    return sb_str_take(&out);
}
