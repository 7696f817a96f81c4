/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/device/parts.h"

#include <errno.h>
#include <string.h>

#define MODULES_MAX    64
#define PROPERTIES_MAX 256
#define VALUE_MAX      4096

SB_NAMES(sb_presence, SB_PRESENCE_MAX_, [SB_PRESENCE_UNKNOWN] = "unknown",
         [SB_PRESENCE_READY] = "ready", [SB_PRESENCE_OFFLINE] = "offline");

void sb_staged_done(struct sb_staged *staged)
{
    free(staged->package);
    free(staged->artifact);
    free(staged->door);
    *staged = (struct sb_staged){ 0 };
}

struct sb_device *sb_device_free(struct sb_device *device)
{
    if (!device)
        return NULL;
    char *const texts[] = { device->id,         device->uuid,    device->type_name,
                            device->bus,        device->parent,  device->occupied,
                            device->typed_name, device->trouble, device->transcript };
    for (size_t i = 0; i < SB_COUNT(texts); i++)
        free(texts[i]);
    json_t *const trees[] = { device->address,    device->names,    device->commanders,
                              device->groups,     device->identity, device->versions,
                              device->properties, device->facts };
    for (size_t i = 0; i < SB_COUNT(trees); i++)
        json_decref(trees[i]);
    sb_staged_done(&device->staged);
    free(device);
    return NULL;
}

bool sb_device_may_command(const struct sb_device *device, const char *link)
{
    return !device->commanders || sb_json_has(device->commanders, link);
}

bool sb_device_in_group(const struct sb_device *device, const char *group)
{
    return sb_json_has(device->groups, group);
}

const char *sb_device_version(const struct sb_device *device, const char *module)
{
    return sb_json_str(device->versions, module ? module : "");
}

/* The object in *slot, made when it is needed: most devices never need most of theirs. */
static json_t *grown(json_t **slot, const char *key, size_t limit, int *ret_error)
{
    *ret_error = -ENOMEM;
    if (!*slot)
        *slot = json_object();
    if (!*slot || json_object_get(*slot, key) || json_object_size(*slot) < limit)
        return *slot;
    *ret_error = -ENOSPC;
    return NULL;
}

int sb_device_set_version(struct sb_device *device, const char *module, const char *version)
{
    int r;
    module = module ? module : "";
    if (!version) {
        (void)json_object_del(device->versions, module);
        return 0;
    }
    json_t *versions = grown(&device->versions, module, MODULES_MAX, &r);
    return versions ? sb_json_put_str(versions, module, version) : r;
}

int sb_device_set_property(struct sb_device *device, const char *name, json_t *value, int64_t wall)
{
    int r;
    if (!value || json_dumpb(value, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY) > VALUE_MAX)
        return value ? -E2BIG : -EINVAL;
    json_t *properties = grown(&device->properties, name, PROPERTIES_MAX, &r);
    if (!properties)
        return r;
    json_t *entry =
        json_pack("{s:o?,s:I}", "value", json_deep_copy(value), "time", (json_int_t)wall);
    return entry && json_object_set_new(properties, name, entry) == 0 ? 0 : -ENOMEM;
}

/* Members of the JSON form; NULL and zero are left out. */
static const struct text_member {
    const char *key;
    size_t offset;
} texts[] = {
    { "id", offsetof(struct sb_device, id) },
    { "uuid", offsetof(struct sb_device, uuid) },
    { "type", offsetof(struct sb_device, type_name) },
    { "bus", offsetof(struct sb_device, bus) },
    { "parent", offsetof(struct sb_device, parent) },
    { "occupied", offsetof(struct sb_device, occupied) },
};
static const struct text_member trees[] = {
    { "address", offsetof(struct sb_device, address) },
    { "names", offsetof(struct sb_device, names) },
    { "commanders", offsetof(struct sb_device, commanders) },
    { "groups", offsetof(struct sb_device, groups) },
    { "identity", offsetof(struct sb_device, identity) },
    { "versions", offsetof(struct sb_device, versions) },
    { "properties", offsetof(struct sb_device, properties) },
    { "facts", offsetof(struct sb_device, facts) },
};
static const struct text_member numbers[] = {
    { "order", offsetof(struct sb_device, order) },
    { "seen", offsetof(struct sb_device, seen) },
    { "occupied_left", offsetof(struct sb_device, occupied_left) },
};
static const struct text_member flags[] = {
    { "declared", offsetof(struct sb_device, declared) },
    { "gateway", offsetof(struct sb_device, gateway) },
};

#define MEMBER(type, record, member) (*(type *)((char *)(record) + (member)->offset))
#define MEMBER_CONST(type, record, member)                                                         \
    (*(type const *)((const char *)(record) + (member)->offset))

static int put_true(json_t *json, const char *key, bool value)
{
    return value && json_object_set_new(json, key, json_true()) < 0 ? -ENOMEM : 0;
}

static int put_staged(json_t *json, const struct sb_staged *staged)
{
    if (!staged->package)
        return 0;
    sb_cleanup(json_decrefp) json_t *entry = json_object();
    if (!entry || sb_json_put_str(entry, "package", staged->package) < 0 ||
        sb_json_put_str(entry, "artifact", staged->artifact) < 0 ||
        put_true(entry, "on_device", staged->on_device) < 0 ||
        sb_json_put_str(entry, "door", staged->door) < 0 ||
        sb_json_put_int(entry, "when", staged->when) < 0)
        return -ENOMEM;
    return json_object_set(json, "staged", entry) < 0 ? -ENOMEM : 0;
}

json_t *sb_device_json(const struct sb_device *device)
{
    sb_cleanup(json_decrefp) json_t *json = json_object();
    int r = json ? 0 : -ENOMEM;
    for (size_t i = 0; r == 0 && i < SB_COUNT(texts); i++)
        r = sb_json_put_str(json, texts[i].key, MEMBER_CONST(char *, device, &texts[i]));
    for (size_t i = 0; r == 0 && i < SB_COUNT(flags); i++)
        r = put_true(json, flags[i].key, MEMBER_CONST(bool, device, &flags[i]));
    for (size_t i = 0; r == 0 && i < SB_COUNT(trees); i++) {
        json_t *tree = MEMBER_CONST(json_t *, device, &trees[i]);
        if (tree && json_object_set(json, trees[i].key, tree) < 0)
            r = -ENOMEM;
    }
    if (r == 0)
        r = put_staged(json, &device->staged);
    for (size_t i = 0; r == 0 && i < SB_COUNT(numbers); i++) {
        int64_t number = MEMBER_CONST(int64_t, device, &numbers[i]);
        if (number)
            r = sb_json_put_int(json, numbers[i].key, number);
    }
    if (r == 0)
        r = sb_json_put_str(json, "presence", sb_presence_name((int)device->presence));
    return r == 0 ? SB_STEAL(json) : NULL;
}

static int get_staged(const json_t *entry, struct sb_staged *staged)
{
    if (!entry)
        return 0;
    staged->on_device = sb_json_bool(entry, "on_device", false);
    staged->when = sb_json_int(entry, "when", 0);
    if (sb_set_string(&staged->package, sb_json_str(entry, "package")) < 0 ||
        sb_set_string(&staged->artifact, sb_json_str(entry, "artifact")) < 0 ||
        sb_set_string(&staged->door, sb_json_str(entry, "door")) < 0)
        return -ENOMEM;
    return staged->package ? 0 : -EBADMSG;
}

static bool names_sound(const json_t *names)
{
    const char *dialect;
    json_t *name;
    json_object_foreach ((json_t *)names, dialect, name) {
        if (!json_is_string(name))
            return false;
    }
    return true;
}

static int check_stored(const struct sb_device *device)
{
    bool sound = sb_device_id_legal(device->id) && device->uuid && device->type_name &&
                 names_sound(device->names) &&
                 (!device->commanders || json_is_array(device->commanders)) &&
                 (!device->groups || json_is_array(device->groups));
    for (size_t i = 0; i < SB_COUNT(trees); i++) {
        json_t *tree = MEMBER_CONST(json_t *, device, &trees[i]);
        sound = sound && (!tree || json_is_object(tree) || tree == device->commanders ||
                          tree == device->groups);
    }
    return sound ? 0 : -EBADMSG;
}

int sb_device_from_json(const json_t *json, struct sb_device **ret)
{
    sb_cleanup(sb_device_freep) struct sb_device *device = calloc(1, sizeof(*device));
    if (!device)
        return -ENOMEM;
    for (size_t i = 0; i < SB_COUNT(texts); i++)
        if (sb_set_string(&MEMBER(char *, device, &texts[i]), sb_json_str(json, texts[i].key)) < 0)
            return -ENOMEM;
    for (size_t i = 0; i < SB_COUNT(flags); i++)
        MEMBER(bool, device, &flags[i]) = sb_json_bool(json, flags[i].key, false);
    for (size_t i = 0; i < SB_COUNT(trees); i++)
        MEMBER(json_t *, device, &trees[i]) = json_incref(json_object_get(json, trees[i].key));
    for (size_t i = 0; i < SB_COUNT(numbers); i++)
        MEMBER(int64_t, device, &numbers[i]) = sb_json_int(json, numbers[i].key, 0);
    int r = get_staged(sb_json_object(json, "staged"), &device->staged);
    if (r == 0)
        r = check_stored(device);
    if (r == 0)
        r = sb_device_derive(device);
    if (r == 0)
        *ret = SB_STEAL(device);
    return r;
}
