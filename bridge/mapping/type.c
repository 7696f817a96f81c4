/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/mapping/type.h"

#include <ctype.h>
#include <errno.h>

#include "bridge/base/time.h"
#include "bridge/driver.h"
#include "bridge/mapping/parts.h"

#define NAMES_MAX  256 /* properties, actions: what a device record can hold */
#define NAME_MAX_  64
#define MAGIC_MAX  64 /* hex digits */
#define TEXT_MAX   256
#define SIZE_LIMIT (INT64_C(1) << 40)

#define AT(member) offsetof(struct sb_type, member)
#define TEXT(name, text)                                                                           \
    {                                                                                              \
        .key = #name, .type = SB_TYPE_STRING, .offset = AT(name), .min = 1, .max = TEXT_MAX,       \
        .doc = (text)                                                                              \
    }
#define SPAN(name, least, standard, text)                                                          \
    {                                                                                              \
        .key = #name, .type = SB_TYPE_DURATION, .offset = AT(name), .min = (least),                \
        .max = 30 * SB_DAY, .otherwise = (standard), .doc = (text)                                 \
    }

const struct sb_field sb_type_fields[] = {
    { .key = "name",
      .type = SB_TYPE_STRING,
      .offset = AT(name),
      .flags = SB_FIELD_REQUIRED,
      .doc = "What devices.d and doors call this type." },
    { .key = "driver",
      .type = SB_TYPE_STRING,
      .offset = AT(driver_name),
      .flags = SB_FIELD_REQUIRED,
      .doc = "Who talks to it; its own settings stand in a section of that name." },
    TEXT(title, "A name for people."),
    TEXT(manufacturer, "Who makes it; as the device says, if not given."),
    TEXT(model, "Its model; as the device says, if not given."),
    TEXT(hardware, "Its hardware revision; as the device says, if not given."),
    { .key = "verify",
      .type = SB_TYPE_CHOICE,
      .offset = AT(verify),
      .otherwise = "version",
      .choices = &sb_verify_names,
      .doc = "What the device must show before an install counts as done." },
    { .key = "confirm",
      .type = SB_TYPE_CHOICE,
      .offset = AT(confirm),
      .otherwise = "auto",
      .choices = &sb_confirm_names,
      .doc = "Who makes a new image permanent: auto after it is verified, manual a person, never "
             "nobody." },
    { .key = "require_digest",
      .type = SB_TYPE_BOOL,
      .offset = AT(require_digest),
      .otherwise = "false",
      .doc = "Refuse a job that brings no digest of its image." },
    { .key = "allow_downgrade",
      .type = SB_TYPE_BOOL,
      .offset = AT(allow_downgrade),
      .otherwise = "false",
      .doc = "Accept images older than what the device runs." },
    { .key = "image_magic",
      .type = SB_TYPE_STRING,
      .offset = AT(image_magic),
      .doc = "Hex digits every image begins with; others are never sent." },
    { .key = "max_image",
      .type = SB_TYPE_SIZE,
      .offset = AT(max_image),
      .min = 0,
      .max = SIZE_LIMIT,
      .otherwise = "0",
      .doc = "Largest image it takes; 0: any." },
    SPAN(stall, SB_SECOND, "1m", "Without any progress for so long, a command has failed."),
    SPAN(restart, SB_SECOND, "2m", "Time to come back after a restart."),
    SPAN(occupied, 0, "10m", "After a task was given up, nothing new is begun for so long."),
    SPAN(identify_every, 0, "1h", "Time between looks at an idle device; 0: never."),
    { .key = "operations",
      .type = SB_TYPE_STRINGS,
      .offset = AT(operations),
      .doc = "What it can do; whatever its driver can, if not given." },
    { .key = "actions",
      .type = SB_TYPE_JSON,
      .offset = AT(actions),
      .doc = "Its own actions by name, described as its driver wants it." },
    { .key = "properties",
      .type = SB_TYPE_JSON,
      .offset = AT(properties),
      .doc = "Its values by name, described as its driver wants it." },
    { .key = "asks",
      .type = SB_TYPE_STRING,
      .offset = AT(asks),
      .doc =
          "The property by which it asks for what is not pushed to it: when a look finds it true, "
          "or a number but 0." },
    { 0 },
};

/* ---- what no table can say ---- */

static void check_operations(const struct sb_yaml *root, struct sb_diags *diags)
{
    const struct sb_yaml *node = sb_yaml_get(root, "operations");
    if (sb_yaml_is_null(node) || node->kind == SB_YAML_MAP)
        return;
    size_t n = node->kind == SB_YAML_LIST ? node->count : 1;
    for (size_t i = 0; i < n; i++) {
        const struct sb_yaml *entry = node->kind == SB_YAML_LIST ? node->items[i] : node;
        if (entry->kind == SB_YAML_SCALAR && sb_op_from_name(entry->text) < 0)
            sb_schema_unknown(diags, entry, "operation", sb_op_names.names, SB_OP_MAX_);
    }
}

static void check_magic(const struct sb_yaml *root, struct sb_diags *diags)
{
    const struct sb_yaml *node = sb_yaml_get(root, "image_magic");
    if (sb_yaml_is_null(node) || node->kind != SB_YAML_SCALAR)
        return;
    size_t n = strlen(node->text);
    if (n < 2 || n % 2 || n > MAGIC_MAX || node->text[strspn(node->text, "0123456789abcdefABCDEF")])
        sb_schema_find(diags, node,
                       "'image_magic' is an even number of hex digits, 2 to %d, as they stand at "
                       "the image's begin (such as 3db8f396)",
                       MAGIC_MAX);
}

static bool legal_name(const char *text)
{
    static const char legal[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-/";
    size_t n = strlen(text);
    return n > 0 && n <= NAME_MAX_ && strspn(text, legal) == n && isalpha((unsigned char)text[0]);
}

/* Actions and properties: {name: {what the driver wants}}. */
static void check_described(const struct sb_yaml *root, const char *key, struct sb_diags *diags)
{
    const struct sb_yaml *map = sb_yaml_get(root, key);
    if (sb_yaml_is_null(map))
        return;
    if (map->kind != SB_YAML_MAP || map->count > NAMES_MAX) {
        sb_schema_find(diags, map, "'%s' is a map (name: { ... }) of at most %d names", key,
                       NAMES_MAX);
        return;
    }
    for (size_t i = 0; i < map->count; i++) {
        if (!legal_name(map->keys[i]->text))
            sb_schema_find(diags, map->keys[i],
                           "'%.60s' cannot be a name here (allowed: a letter, then letters, "
                           "digits, '_', '.', '-', '/', at most %d)",
                           map->keys[i]->text, NAME_MAX_);
        if (!sb_yaml_is_null(map->items[i]) && map->items[i]->kind != SB_YAML_MAP)
            sb_schema_find(diags, map->items[i], "'%.60s' wants a map here: { ... }",
                           map->keys[i]->text);
    }
}

static void check_asks(const struct sb_yaml *root, struct sb_diags *diags)
{
    const struct sb_yaml *node = sb_yaml_get(root, "asks");
    const struct sb_yaml *map = sb_yaml_get(root, "properties");
    size_t n = map && map->kind == SB_YAML_MAP ? map->count : 0;
    sb_cleanup(sb_freep) const char **names = calloc(n + 1, sizeof *names);
    if (sb_yaml_is_null(node) || node->kind != SB_YAML_SCALAR || !names)
        return;
    for (size_t i = 0; i < n; i++) {
        names[i] = map->keys[i]->text;
        if (sb_streq(names[i], node->text))
            return;
    }
    sb_schema_unknown(diags, node, "property", names, n);
}

/* ---- the driver's part ---- */

static const struct sb_driver_ops *find_driver(const struct sb_driver_ops *const *drivers,
                                               const char *name)
{
    for (; drivers && *drivers; drivers++)
        if (sb_streq((*drivers)->name, name))
            return *drivers;
    return NULL;
}

static int unknown_driver(const struct sb_driver_ops *const *drivers, const struct sb_yaml *at,
                          struct sb_diags *diags)
{
    size_t n = 0;
    while (drivers && drivers[n])
        n++;
    sb_cleanup(sb_freep) const char **names = calloc(n + 1, sizeof *names);
    if (!names)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        names[i] = drivers[i]->name;
    sb_schema_unknown(diags, at, "driver", names, n);
    return -EINVAL;
}

static bool any_required(const struct sb_field *fields)
{
    for (; fields && fields->key; fields++)
        if (fields->flags & SB_FIELD_REQUIRED)
            return true;
    return false;
}

static int read_driver_part(struct sb_type *type, struct sb_diags *diags)
{
    static const struct sb_field nothing[] = { { 0 } };
    const struct sb_driver_ops *driver = type->driver;
    const struct sb_yaml *section = sb_yaml_get(type->yaml, driver->name);
    if (sb_yaml_is_null(section) && any_required(driver->type_fields)) {
        sb_schema_find(diags, type->yaml, "missing section '%s': the driver's settings",
                       driver->name);
        return -EINVAL;
    }
    type->driver_config = calloc(1, driver->type_size ? driver->type_size : 1);
    if (!type->driver_config)
        return -ENOMEM;
    return sb_schema_read(section, NULL, driver->type_fields ? driver->type_fields : nothing,
                          type->driver_config, diags);
}

/* ---- one type ---- */

static int read_generic_part(struct sb_type *type, struct sb_diags *diags)
{
    const struct sb_yaml *root = type->yaml, *driver = sb_yaml_get(root, "driver");
    const char *section = driver && driver->kind == SB_YAML_SCALAR ? driver->text : "";
    const struct sb_field also[] = { { .key = section, .type = SB_TYPE_NODE }, { 0 } };
    int error = sb_schema_read_also(root, NULL, sb_type_fields, also, type, diags);
    const struct sb_yaml *name = sb_yaml_get(root, "name");
    if (!sb_yaml_is_null(name))
        (void)sb_schema_check_id(diags, name, "device type");
    check_operations(root, diags);
    check_magic(root, diags);
    check_described(root, "actions", diags);
    check_described(root, "properties", diags);
    check_asks(root, diags);
    return error;
}

int sb_type_read(const char *path, const struct sb_driver_ops *const *drivers, struct sb_type **ret,
                 struct sb_diags *diags)
{
    size_t before = diags->total, held = diags->count;
    struct sb_yaml *root = NULL;
    int error = sb_yaml_load(path, &root, diags);
    if (error < 0)
        return error;
    struct sb_type *type = calloc(1, sizeof *type);
    if (!type) {
        sb_yaml_free(root);
        return -ENOMEM;
    }
    type->refs = 1;
    type->yaml = root;
    error = read_generic_part(type, diags);
    type->driver = find_driver(drivers, type->driver_name);
    int second = 0;
    if (type->driver)
        second = read_driver_part(type, diags);
    else if (type->driver_name)
        second = unknown_driver(drivers, sb_yaml_get(root, "driver"), diags);
    if (error != -ENOMEM && second < 0)
        error = second;
    if (error == 0 && diags->total == before && type->driver && type->driver->check_type)
        type->driver->check_type(type, diags);
    sb_schema_sort(diags, held);
    *ret = type;
    return error == 0 && diags->total > before ? -EINVAL : error;
}

int sb_type_load_file(const char *path, const struct sb_driver_ops *const *drivers,
                      struct sb_type **ret, struct sb_diags *diags)
{
    struct sb_type *type = NULL;
    int error = sb_type_read(path, drivers, &type, diags);
    if (error == 0)
        *ret = type;
    else
        (void)sb_type_unref(type);
    return error;
}

const struct sb_type *sb_type_ref(const struct sb_type *type)
{
    if (type)
        ((struct sb_type *)type)->refs++;
    return type;
}

const struct sb_type *sb_type_unref(const struct sb_type *const_type)
{
    struct sb_type *type = (struct sb_type *)const_type;
    if (!type || --type->refs > 0)
        return NULL;
    if (type->driver && type->driver_config)
        sb_schema_done(type->driver->type_fields, type->driver_config);
    free(type->driver_config);
    sb_schema_done(sb_type_fields, type);
    sb_yaml_free((struct sb_yaml *)type->yaml);
    free(type);
    return NULL;
}

int sb_type_check_address(const struct sb_type *type, const char *file, int line,
                          const json_t *address, struct sb_diags *diags)
{
    const struct sb_driver_ops *driver = type->driver;
    sb_cleanup(json_decrefp) json_t *given =
        json_is_object(address) ? json_incref((json_t *)address) : json_object();
    sb_cleanup(sb_yaml_freep) struct sb_yaml *tree = NULL;
    if (!driver || !driver->address_fields)
        return 0;
    sb_cleanup(sb_freep) void *read = calloc(1, SB_MAX(driver->address_size, (size_t)1));
    int r = read && given ? sb_yaml_from_json(file, line, given, &tree) : -ENOMEM;
    if (r == 0) {
        r = sb_schema_read(tree, file, driver->address_fields, read, diags);
        sb_schema_done(driver->address_fields, read);
    }
    return r;
}

bool sb_type_allows(const struct sb_type *type, enum sb_op op)
{
    const char *name = sb_op_name((int)op);
    for (size_t i = 0; name && i < type->operations.count; i++)
        if (sb_streq(type->operations.list[i], name))
            return true;
    return name && type->operations.count == 0;
}
