/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a YAML file: it is refused with a finding, or it is a tree that goes to JSON and
 * back and through a table with every type of value, into a struct and into an object alike.
 */
#include <errno.h>
#include <stdlib.h>

#include "bridge/config/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const colours[] = { "red", "green" };
static const struct sb_names colour_names = { colours, 2 };

struct thing {
    char *name; /* key of a table */
    bool on;
    int64_t count, wait, room;
    char *title, *secret;
    int colour;
    struct sb_strings tags;
    uint64_t flags;
    struct {
        int64_t x;
    } inner;
    struct sb_array list, table;
    json_t *any;
    const struct sb_yaml *node, *self;
};

#define AT(member) offsetof(struct thing, member)
#define VALUES                                                                                     \
    { .key = "on", .type = SB_TYPE_BOOL, .offset = AT(on), .otherwise = "true" },                  \
        { .key = "count", .type = SB_TYPE_INT, .offset = AT(count), .min = 1, .max = 10 },         \
        { .key = "wait", .type = SB_TYPE_DURATION, .offset = AT(wait), .min = 1, .max = 9999 },    \
        { .key = "room", .type = SB_TYPE_SIZE, .offset = AT(room) },                               \
        { .key = "title", .type = SB_TYPE_STRING, .offset = AT(title), .max = 9 },                 \
        { .key = "secret", .type = SB_TYPE_SECRET, .offset = AT(secret) },                         \
        { .key = "colour",                                                                         \
          .type = SB_TYPE_CHOICE,                                                                  \
          .offset = AT(colour),                                                                    \
          .choices = &colour_names },                                                              \
        { .key = "tags", .type = SB_TYPE_STRINGS, .offset = AT(tags), .otherwise = "[a]" },        \
        { .key = "flags", .type = SB_TYPE_FLAGS, .offset = AT(flags), .choices = &colour_names },  \
        { .key = "any", .type = SB_TYPE_JSON, .offset = AT(any) },                                 \
    {                                                                                              \
        .key = "node", .type = SB_TYPE_NODE, .offset = AT(node)                                    \
    }

static const struct sb_field inner_fields[] = {
    { .key = "x", .type = SB_TYPE_INT, .flags = SB_FIELD_REQUIRED },
    { 0 },
};
static const struct sb_field open_fields[] = {
    VALUES,
    { .key = "", .type = SB_TYPE_NODE, .offset = AT(self) },
    { 0 },
};
static const struct sb_field fields[] = {
    VALUES,
    { .key = "inner", .type = SB_TYPE_OBJECT, .offset = AT(inner), .fields = inner_fields },
    { .key = "list",
      .type = SB_TYPE_LIST,
      .offset = AT(list),
      .fields = open_fields,
      .size = sizeof(struct thing) },
    { .key = "table",
      .type = SB_TYPE_TABLE,
      .offset = AT(table),
      .max = 4,
      .fields = open_fields,
      .size = sizeof(struct thing) },
    { 0 },
};

/* Both ways into a table must agree; a refusal has a finding, a success has none. */
static void through_the_table(const struct sb_yaml *root)
{
    struct thing thing = { 0 };
    struct sb_diags diags = { 0 }, again = { 0 };
    int error = sb_schema_read(root, NULL, fields, &thing, &diags);
    sb_schema_done(fields, &thing);
    sb_cleanup(json_decrefp) json_t *json = NULL;
    int other = sb_schema_json(root, NULL, fields, NULL, &json, &again);
    if (error != other || diags.total != again.total || (error == -EINVAL) != (diags.total > 0))
        abort();
    sb_diags_done(&diags);
    sb_diags_done(&again);
}

static void to_json_and_back(const struct sb_yaml *root)
{
    sb_cleanup(json_decrefp) json_t *json = sb_yaml_json(root);
    sb_cleanup(sb_yaml_freep) struct sb_yaml *back = NULL;
    if (!json || sb_yaml_from_json("back", 1, json, &back) < 0)
        abort();
    sb_cleanup(json_decrefp) json_t *again = sb_yaml_json(back);
    if (!json_equal(json, again))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sb_cleanup(sb_yaml_freep) struct sb_yaml *root = NULL;
    struct sb_diags diags = { 0 };
    int error = sb_yaml_parse("fuzz", data, size, &root, &diags);
    if ((error == 0) != (root != NULL) || (error == 0) != (diags.total == 0))
        abort();
    if (root) {
        to_json_and_back(root);
        through_the_table(root);
    }
    sb_diags_done(&diags);
    return 0;
}
