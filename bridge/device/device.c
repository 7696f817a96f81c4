/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/device/device.h"

#include <errno.h>
#include <string.h>

#include "bridge/base/crypto.h"
#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/device/parts.h"
#include "bridge/mapping/type.h"

#define NEAR_MAX ((size_t)1000) /* devices that a wrong name is compared with: it takes time */

struct sb_device *sb_registry_release(struct sb_device *device)
{
    if (device)
        device->type = sb_type_unref(device->type);
    return sb_device_free(device);
}

static void empty(struct sb_registry *registry)
{
    for (size_t i = 0; i < registry->count; i++)
        sb_registry_release(registry->list[i]);
    free(registry->list);
    sb_device_index_done(&registry->index);
    registry->list = NULL;
    registry->count = registry->room = 0;
}

struct sb_registry *sb_registry_free(struct sb_registry *registry)
{
    if (registry)
        empty(registry);
    free(registry);
    return NULL;
}

int sb_registry_make_room(struct sb_registry *registry, size_t more)
{
    size_t room = registry->room ? registry->room : 16;
    while (registry->count + more > room)
        room *= 2;
    if (room == registry->room)
        return 0;
    struct sb_device **list = realloc(registry->list, room * sizeof(struct sb_device *));
    if (!list)
        return -ENOMEM;
    registry->list = list;
    registry->room = room;
    return 0;
}

void sb_registry_attach(const struct sb_registry *registry, struct sb_device *device)
{
    const struct sb_type *type =
        registry->types ? sb_types_get(registry->types, device->type_name) : NULL;
    if (type)
        type = sb_type_ref(type); /* before the old one goes: it may be the same */
    device->type = (sb_type_unref(device->type), type);
}

void sb_registry_attach_types(struct sb_registry *registry, const struct sb_types *types)
{
    registry->types = types;
    for (size_t i = 0; i < registry->count; i++)
        sb_registry_attach(registry, registry->list[i]);
}

static int load_row(void *arg, const struct sb_row *row)
{
    struct sb_registry *registry = arg;
    struct sb_device *device = NULL;
    int r = sb_device_from_json(row->body, &device);
    if (r == -EBADMSG) { /* one bad record does not keep the others from working */
        sb_error(SB_AT(.device = row->name), "the stored record of this device cannot be read");
        return 0;
    }
    if (r == 0)
        r = sb_registry_make_room(registry, 1);
    if (r < 0) {
        sb_device_free(device);
        return r;
    }
    registry->list[registry->count++] = device;
    return 0;
}

static int by_order(const void *a, const void *b)
{
    const struct sb_device *one = *(struct sb_device *const *)a;
    const struct sb_device *other = *(struct sb_device *const *)b;
    return one->order < other->order ? -1 : one->order > other->order;
}

static int load(struct sb_registry *registry)
{
    const struct sb_query all = { .table = SB_TABLE_DEVICE, .state = -1 };
    int r = sb_store_query(registry->store, &all, load_row, registry);
    if (registry->count)
        qsort(registry->list, registry->count, sizeof(struct sb_device *), by_order);
    for (size_t i = 0; r == 0 && i < registry->count; i++) {
        r = sb_device_index_add(&registry->index, registry->list[i]);
        registry->next_order = SB_MAX(registry->next_order, registry->list[i]->order + 1);
    }
    return r;
}

int sb_registry_new(struct sb_store *store, struct sb_registry **ret)
{
    sb_cleanup(sb_registry_freep) struct sb_registry *registry = calloc(1, sizeof(*registry));
    if (!registry)
        return -ENOMEM;
    registry->store = store;
    registry->next_order = 1;
    registry->most = SB_DEVICES_MAX;
    int r = load(registry);
    if (r == 0)
        *ret = SB_STEAL(registry);
    return r;
}

void sb_registry_limit(struct sb_registry *registry, size_t most)
{
    registry->most = SB_MIN(most, SB_DEVICES_MAX);
}

struct sb_device *sb_registry_get(struct sb_registry *registry, const char *id)
{
    return sb_device_index_get(&registry->index, id);
}

char *sb_registry_missing(const struct sb_registry *registry, const char *id)
{
    size_t count = SB_MIN(registry->count, NEAR_MAX);
    sb_cleanup(sb_freep) const char **ids = calloc(count + 1, sizeof(*ids));
    for (size_t i = 0; ids && i < count; i++)
        ids[i] = registry->list[i]->id;
    const char *near = ids ? sb_nearest(id, ids, count) : NULL;
    return sb_format("there is no device '%.*s'%s%s%s", SB_DEVICE_ID_MAX, id ? id : "",
                     near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
}

struct sb_device *sb_registry_find(struct sb_registry *registry, const char *dialect,
                                   const char *name)
{
    return dialect && name ? sb_device_index_find(&registry->index, dialect, name) : NULL;
}

size_t sb_registry_count(const struct sb_registry *registry)
{
    return registry->count;
}

struct sb_device *sb_registry_at(struct sb_registry *registry, size_t index)
{
    return index < registry->count ? registry->list[index] : NULL;
}

int sb_registry_save(struct sb_registry *registry, const struct sb_device *device)
{
    if (device->facts && json_dumpb(device->facts, NULL, 0, JSON_COMPACT) > SB_DEVICE_FACTS_MAX)
        return -E2BIG;
    sb_cleanup(json_decrefp) json_t *json = sb_device_json(device);
    if (!json)
        return sb_store_whole(registry->store, -ENOMEM);
    const struct sb_row row = { .name = device->id, .body = json };
    return sb_store_put(registry->store, SB_TABLE_DEVICE, &row);
}

const struct sb_device *sb_registry_gateway(const struct sb_registry *registry)
{
    for (size_t i = 0; i < registry->count; i++)
        if (registry->list[i]->gateway)
            return registry->list[i];
    return NULL;
}

/* Into the list and index; a new record becomes the registry's. */
int sb_registry_insert(struct sb_registry *registry, struct sb_device *device)
{
    int r = sb_registry_make_room(registry, 1);
    if (r == 0)
        r = sb_device_index_add(&registry->index, device);
    if (r == -ENOSPC)
        r = -EINVAL; /* too many dialects */
    if (r == 0)
        registry->list[registry->count++] = device;
    return r;
}

int sb_registry_settle(struct sb_registry *registry, struct sb_device *device)
{
    char uuid[SB_UUID_TEXT + 1];
    sb_uuid(uuid);
    int r = sb_set_string(&device->uuid, uuid);
    device->order = registry->next_order;
    if (r == 0)
        r = sb_registry_save(registry, device);
    if (r == 0)
        registry->next_order++;
    return r;
}

static int check_addition(struct sb_registry *registry, const struct sb_device *device,
                          const json_t *spec, struct sb_diags *diags)
{
    if (sb_registry_get(registry, device->id)) {
        sb_device_complain(spec, diags, "there is a device with this id already");
        return -EEXIST;
    }
    if (registry->count >= registry->most) {
        sb_device_complain(spec, diags, "the limit of %zu devices is reached (limits: devices)",
                           registry->most);
        return -ENOSPC;
    }
    const struct sb_device *gateway = device->gateway ? sb_registry_gateway(registry) : NULL;
    if (gateway)
        sb_device_complain(spec, diags, "device '%s' is the gateway already", gateway->id);
    int names = sb_device_check_names(&registry->index, device, spec, diags);
    int parent = sb_device_check_parent(&registry->index, device, spec, diags);
    return gateway ? -EINVAL : (names < 0 ? names : parent);
}

int sb_registry_add(struct sb_registry *registry, const json_t *spec, struct sb_device **ret,
                    struct sb_diags *diags)
{
    sb_cleanup(sb_device_freep) struct sb_device *device = NULL;
    int r = sb_device_from_spec(spec, &device, diags);
    if (r == 0)
        r = check_addition(registry, device, spec, diags);
    if (r == 0)
        r = sb_registry_insert(registry, device);
    if (r < 0)
        return r;
    r = sb_registry_settle(registry, device);
    if (r < 0) {
        registry->count--;
        sb_device_index_remove(&registry->index, device);
        return r;
    }
    sb_registry_attach(registry, device);
    struct sb_device *added = SB_STEAL(device);
    if (ret)
        *ret = added;
    return 0;
}

int sb_registry_set_groups(struct sb_registry *registry, const char *id, const json_t *groups,
                           struct sb_diags *diags)
{
    struct sb_device *device = sb_registry_get(registry, id);
    sb_cleanup(json_decrefp) json_t *spec =
        json_pack("{s:s*,s:O*}", "id", id, "groups", (json_t *)groups);
    json_t *list = NULL;
    if (!device)
        return -ENOENT;
    if (device->declared)
        return -EPERM;
    int r = spec ? sb_device_read_groups(spec, &list, diags) : -ENOMEM;
    if (r < 0)
        return r;
    json_t *before = device->groups;
    device->groups = list;
    r = sb_registry_save(registry, device);
    if (r < 0)
        device->groups = before;
    json_decref(r < 0 ? list : before);
    return r;
}

void sb_registry_on_leave(struct sb_registry *registry, sb_leave_fn fn, void *arg)
{
    registry->on_leave = fn;
    registry->leave_arg = arg;
}

void sb_registry_leave(struct sb_registry *registry, struct sb_device *device)
{
    if (registry->on_leave)
        registry->on_leave(registry->leave_arg, device);
}

/* Children of devices that are no longer there stand alone. */
int sb_registry_free_orphans(struct sb_registry *registry)
{
    for (size_t i = 0; i < registry->count; i++) {
        struct sb_device *device = registry->list[i];
        if (!device->parent || sb_registry_get(registry, device->parent))
            continue;
        free(SB_STEAL(device->parent));
        int r = sb_registry_save(registry, device);
        if (r < 0)
            return r;
    }
    return 0;
}

int sb_registry_remove(struct sb_registry *registry, const char *id)
{
    struct sb_device *device = sb_registry_get(registry, id);
    if (!device)
        return -ENOENT;
    if (sb_store_failing(registry->store))
        return -EAGAIN;
    sb_registry_leave(registry, device);
    int r = sb_store_remove(registry->store, SB_TABLE_DEVICE, 0, device->id);
    if (r < 0)
        return r;
    size_t at = 0;
    while (registry->list[at] != device)
        at++;
    registry->count--;
    memmove(&registry->list[at], &registry->list[at + 1],
            (registry->count - at) * sizeof(struct sb_device *));
    sb_device_index_remove(&registry->index, device);
    sb_registry_release(device);
    return sb_registry_free_orphans(registry);
}
