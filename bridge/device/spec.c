/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/device/parts.h"

#include <stdarg.h>
#include <string.h>

#include "bridge/base/str.h"

#define NAMES_MAX      16
#define COMMANDERS_MAX 32
#define GROUPS_MAX     32
#define ADDRESS_MAX    4096
#define LINK_NAME_MAX  64

void sb_device_complain(const json_t *spec, struct sb_diags *diags, const char *fmt, ...)
{
    struct sb_str text = { 0 };
    const char *id = sb_json_str(spec, "id");
    if (id && strlen(id) <= SB_DEVICE_ID_MAX)
        sb_str_format(&text, "device '%s': ", id);
    va_list ap;
    va_start(ap, fmt);
    sb_str_vformat(&text, fmt, ap);
    va_end(ap);
    if (diags)
        sb_diags_add(diags, sb_json_str(spec, "_file"), (int)sb_json_int(spec, "_line", 0), 0, "%s",
                     sb_str_get(&text));
    sb_str_done(&text);
}

static const char *const keys[] = { "id",         "type",   "bus",     "address", "names", "parent",
                                    "commanders", "groups", "gateway", "_file",   "_line" };

static int check_keys(const json_t *spec, struct sb_diags *diags)
{
    int r = 0;
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)spec, key, value) {
        size_t i = 0;
        while (i < SB_COUNT(keys) && strcmp(keys[i], key) != 0)
            i++;
        if (i < SB_COUNT(keys))
            continue;
        const char *near = sb_nearest(key, keys, SB_COUNT(keys) - 2);
        sb_device_complain(spec, diags,
                           "unknown key '%s' (allowed: id, type, bus, address, names, parent, "
                           "commanders, groups, gateway%s%s%s)",
                           key, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
        r = -EINVAL;
    }
    return r;
}

/* A text member that must be an id-like word; NULL is legal unless required. */
static int read_word(const json_t *spec, const char *key, bool required, char **ret,
                     struct sb_diags *diags)
{
    const json_t *value = json_object_get(spec, key);
    if (!required && (!value || json_is_null(value)))
        return 0;
    if (sb_device_id_legal(json_string_value(value)))
        return sb_set_string(ret, json_string_value(value));
    sb_device_complain(spec, diags,
                       "'%s' %s 1 to %d letters, digits and ._-, beginning with a letter or digit",
                       key, value ? "must be" : "is missing: it takes", SB_DEVICE_ID_MAX);
    return -EINVAL;
}

static int read_address(const json_t *spec, json_t **ret, struct sb_diags *diags)
{
    const json_t *value = json_object_get(spec, "address");
    if (!value || json_is_null(value))
        return 0;
    if (!json_is_object(value) || json_dumpb(value, NULL, 0, JSON_COMPACT) > ADDRESS_MAX) {
        sb_device_complain(spec, diags, "'address' must be a map, at most %d bytes of JSON",
                           ADDRESS_MAX);
        return -EINVAL;
    }
    if (json_object_size(value) == 0)
        return 0;
    *ret = json_deep_copy(value);
    return *ret ? 0 : -ENOMEM;
}

static bool dialect_legal(const char *dialect)
{
    size_t n = strlen(dialect);
    return n >= 1 && n <= 32 && strspn(dialect, "abcdefghijklmnopqrstuvwxyz0123456789_-") == n;
}

static int check_name(const json_t *spec, const char *dialect, const json_t *name,
                      struct sb_diags *diags)
{
    if (!dialect_legal(dialect)) {
        sb_device_complain(spec, diags, "'names' has a key that cannot be a dialect");
        return -EINVAL;
    }
    const char *text = json_string_value(name);
    const char *form = text ? sb_device_name_form(dialect, text) : "text (put it in quotes)";
    if (!form)
        return 0;
    sb_device_complain(spec, diags, "its %s name %s%.64s%s is not legal there: it takes %s",
                       dialect, text ? "'" : "", text ? text : "", text ? "'" : "", form);
    return -EINVAL;
}

static int read_names(const json_t *spec, json_t **ret, struct sb_diags *diags)
{
    const char *dialect;
    json_t *name;
    json_t *value = json_object_get(spec, "names");
    if (!value || json_is_null(value))
        return 0;
    if (!json_is_object(value) || json_object_size(value) > NAMES_MAX) {
        sb_device_complain(spec, diags, "'names' must be a map {dialect: name}, at most %d of them",
                           NAMES_MAX);
        return -EINVAL;
    }
    int r = 0;
    json_object_foreach (value, dialect, name) {
        if (check_name(spec, dialect, name, diags) < 0)
            r = -EINVAL;
    }
    if (r < 0 || json_object_size(value) == 0)
        return r;
    *ret = json_deep_copy(value);
    return *ret ? 0 : -ENOMEM;
}

/* An empty list is kept: nobody may command it. */
static int read_commanders(const json_t *spec, json_t **ret, struct sb_diags *diags)
{
    size_t i;
    json_t *link;
    json_t *value = json_object_get(spec, "commanders");
    if (!value || json_is_null(value))
        return 0;
    bool sound = json_is_array(value) && json_array_size(value) <= COMMANDERS_MAX;
    json_array_foreach (value, i, link) {
        size_t n = json_string_length(link);
        sound = sound && n >= 1 && n <= LINK_NAME_MAX;
    }
    if (!sound) {
        sb_device_complain(spec, diags, "'commanders' must be a list of at most %d link names",
                           COMMANDERS_MAX);
        return -EINVAL;
    }
    *ret = json_deep_copy(value);
    return *ret ? 0 : -ENOMEM;
}

int sb_device_read_groups(const json_t *spec, json_t **ret, struct sb_diags *diags)
{
    size_t i;
    json_t *group;
    json_t *value = json_object_get(spec, "groups");
    if (!value || json_is_null(value))
        return 0;
    bool sound = json_is_array(value) && json_array_size(value) <= GROUPS_MAX;
    json_array_foreach (value, i, group)
        sound = sound && sb_device_id_legal(json_string_value(group));
    if (!sound) {
        sb_device_complain(spec, diags,
                           "'groups' must be a list of at most %d names: letters, digits and ._-, "
                           "beginning with a letter or digit",
                           GROUPS_MAX);
        return -EINVAL;
    }
    if (json_array_size(value) == 0)
        return 0;
    *ret = json_deep_copy(value);
    return *ret ? 0 : -ENOMEM;
}

static int read_gateway(const json_t *spec, bool *ret, struct sb_diags *diags)
{
    const json_t *value = json_object_get(spec, "gateway");
    if (value && !json_is_boolean(value)) {
        sb_device_complain(spec, diags, "'gateway' must be true or false");
        return -EINVAL;
    }
    *ret = json_is_true(value);
    return 0;
}

int sb_device_from_spec(const json_t *spec, struct sb_device **ret, struct sb_diags *diags)
{
    if (!json_is_object(spec)) {
        sb_device_complain(spec, diags, "a device must be a map");
        return -EINVAL;
    }
    sb_cleanup(sb_device_freep) struct sb_device *device = calloc(1, sizeof(*device));
    if (!device)
        return -ENOMEM;
    const int results[] = {
        check_keys(spec, diags),
        read_word(spec, "id", true, &device->id, diags),
        read_word(spec, "type", true, &device->type_name, diags),
        read_word(spec, "bus", false, &device->bus, diags),
        read_word(spec, "parent", false, &device->parent, diags),
        read_address(spec, &device->address, diags),
        read_names(spec, &device->names, diags),
        read_commanders(spec, &device->commanders, diags),
        sb_device_read_groups(spec, &device->groups, diags),
        read_gateway(spec, &device->gateway, diags),
    };
    for (size_t i = 0; i < SB_COUNT(results); i++)
        if (results[i] < 0)
            return results[i];
    int r = sb_device_derive(device);
    if (r == 0)
        *ret = SB_STEAL(device);
    return r;
}

char *sb_device_spec_name(const json_t *spec, const char *dialect)
{
    sb_cleanup(sb_device_freep) struct sb_device *device = NULL;
    struct sb_diags ignored = { 0 };
    int r = sb_device_from_spec(spec, &device, &ignored);
    const char *name = r == 0 ? sb_device_name(device, dialect) : NULL;
    sb_diags_done(&ignored);
    return name ? strdup(name) : NULL;
}

static bool tree_equal(const json_t *a, const json_t *b)
{
    return a == b || (a && b && json_equal(a, b));
}

bool sb_device_spec_equal(const struct sb_device *a, const struct sb_device *b)
{
    return sb_streq(a->id, b->id) && sb_streq(a->type_name, b->type_name) &&
           sb_streq(a->bus, b->bus) && sb_streq(a->parent, b->parent) &&
           a->declared == b->declared && a->gateway == b->gateway &&
           tree_equal(a->address, b->address) && tree_equal(a->names, b->names) &&
           tree_equal(a->commanders, b->commanders) && tree_equal(a->groups, b->groups);
}

#define SWAP(a, b)                                                                                 \
    do {                                                                                           \
        __typeof__(a) sb_swapped_ = (a);                                                           \
        (a) = (b);                                                                                 \
        (b) = sb_swapped_;                                                                         \
    } while (0)

void sb_device_spec_move(struct sb_device *to, struct sb_device *from)
{
    SWAP(to->type_name, from->type_name);
    SWAP(to->typed_name, from->typed_name);
    SWAP(to->bus, from->bus);
    SWAP(to->parent, from->parent);
    SWAP(to->address, from->address);
    SWAP(to->names, from->names);
    SWAP(to->commanders, from->commanders);
    SWAP(to->groups, from->groups);
    to->declared = from->declared;
    to->gateway = from->gateway;
}
