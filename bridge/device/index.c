/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/device/parts.h"

#include <errno.h>
#include <string.h>

#include "bridge/base/str.h"

void sb_device_index_done(struct sb_device_index *index)
{
    sb_map_done(&index->ids);
    sb_map_done(&index->names);
    for (size_t i = 0; i < index->dialects.count; i++)
        free(index->dialects.list[i]);
    *index = (struct sb_device_index){ 0 };
}

struct sb_device *sb_device_index_get(const struct sb_device_index *index, const char *id)
{
    return id ? sb_map_get(&index->ids, id) : NULL;
}

struct sb_device *sb_device_index_given(const struct sb_device_index *index, const char *dialect,
                                        const char *name)
{
    if (index->names.count == 0)
        return NULL;
    sb_cleanup(sb_freep) char *key = sb_format("%s %s", dialect, name);
    return key ? sb_map_get(&index->names, key) : NULL;
}

struct sb_device *sb_device_index_find(const struct sb_device_index *index, const char *dialect,
                                       const char *name)
{
    struct sb_device *device = sb_device_index_given(index, dialect, name);
    if (device)
        return device;
    device = sb_device_index_get(index, sb_device_derived_id(dialect, name));
    return device && sb_streq(sb_device_name(device, dialect), name) ? device : NULL;
}

static int note_dialect(struct sb_device_index *index, const char *dialect)
{
    for (size_t i = 0; i < index->dialects.count; i++)
        if (strcmp(index->dialects.list[i], dialect) == 0)
            return 0;
    if (index->dialects.count == SB_COUNT(index->dialects.list))
        return -ENOSPC;
    char *copy = strdup(dialect);
    if (!copy)
        return -ENOMEM;
    index->dialects.list[index->dialects.count++] = copy;
    return 0;
}

static int add_name(struct sb_device_index *index, struct sb_device *device, const char *dialect,
                    const char *name)
{
    int r = note_dialect(index, dialect);
    if (r < 0)
        return r;
    sb_cleanup(sb_freep) char *key = sb_format("%s %s", dialect, name);
    return key ? sb_map_set(&index->names, key, device) : -ENOMEM;
}

int sb_device_index_add(struct sb_device_index *index, struct sb_device *device)
{
    const char *dialect;
    json_t *name;
    int r = sb_map_set(&index->ids, device->id, device);
    json_object_foreach (device->names, dialect, name) {
        if (r == 0)
            r = add_name(index, device, dialect, json_string_value(name));
    }
    if (r < 0)
        sb_device_index_remove(index, device);
    return r;
}

void sb_device_index_remove(struct sb_device_index *index, const struct sb_device *device)
{
    const char *dialect;
    json_t *name;
    if (sb_device_index_get(index, device->id) == device)
        (void)sb_map_take(&index->ids, device->id);
    json_object_foreach (device->names, dialect, name) {
        sb_cleanup(sb_freep) char *key = sb_format("%s %s", dialect, json_string_value(name));
        if (key && sb_map_get(&index->names, key) == device)
            (void)sb_map_take(&index->names, key);
    }
}
