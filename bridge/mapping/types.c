/* SPDX-License-Identifier: Apache-2.0 */
/* All device types of the mapping directories, by name. */
#include <errno.h>

#include "bridge/base/str.h"
#include "bridge/config/config.h"
#include "bridge/mapping/parts.h"

struct entry {
    const struct sb_type *type; /* one reference */
    size_t directory;           /* which of them it came from */
    bool broken;                /* had findings: keeps its name from falling back to another file */
};

struct sb_types {
    struct entry *list; /* by name */
    size_t count;
};

/* Where the name is, or where it would have to go. */
static size_t find(const struct sb_types *types, const char *name, bool *ret_found)
{
    size_t low = 0, high = types->count;
    *ret_found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(types->list[middle].type->name, name);
        if (order == 0) {
            *ret_found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int insert(struct sb_types *types, size_t at, const struct entry *entry)
{
    struct entry *list = reallocarray(types->list, types->count + 1, sizeof *list);
    if (!list)
        return -ENOMEM;
    memmove(list + at + 1, list + at, (types->count - at) * sizeof *list);
    list[at] = *entry;
    types->list = list;
    types->count++;
    return 0;
}

/* Takes the entry's type over on success. */
static int add(struct sb_types *types, const struct entry *entry, struct sb_diags *diags)
{
    bool found = false;
    const struct sb_type *type = entry->type;
    size_t at = find(types, type->name, &found);
    if (!found || !types->list)
        return insert(types, at, entry);
    struct entry *old = &types->list[at];
    if (old->directory == entry->directory) {
        sb_schema_find(diags, sb_yaml_get(type->yaml, "name"),
                       "device type '%s' is described already (%s)", type->name,
                       old->type->yaml->file);
        return -EINVAL;
    }
    (void)sb_type_unref(old->type);
    *old = *entry;
    return 0;
}

static int load_file(struct sb_types *types, const char *path, size_t directory,
                     const struct sb_driver_ops *const *drivers, struct sb_diags *diags)
{
    struct sb_type *type = NULL;
    int error = sb_type_read(path, drivers, &type, diags);
    if (error == -ENOMEM || !type || !type->name) {
        (void)sb_type_unref(type);
        return error;
    }
    struct entry entry = { .type = type, .directory = directory, .broken = error < 0 };
    int added = add(types, &entry, diags);
    if (added < 0)
        (void)sb_type_unref(type);
    return added < 0 ? added : error;
}

static int load_directory(struct sb_types *types, const char *directory, size_t number,
                          const struct sb_driver_ops *const *drivers, struct sb_diags *diags)
{
    sb_cleanup(sb_freep) char *folder = sb_format("%s/devices", directory);
    if (!folder)
        return -ENOMEM;
    sb_cleanup(sb_strings_done) struct sb_strings files = { 0 };
    int result = sb_config_files(folder, &files, diags);
    for (size_t i = 0; result != -ENOMEM && i < files.count; i++) {
        int error = load_file(types, files.list[i], number, drivers, diags);
        if (error < 0)
            result = error;
    }
    return result;
}

/* Only now, when no other file can ask for the name any more. */
static void drop_broken(struct sb_types *types)
{
    size_t kept = 0;
    for (size_t i = 0; i < types->count; i++) {
        if (types->list[i].broken)
            (void)sb_type_unref(types->list[i].type);
        else
            types->list[kept++] = types->list[i];
    }
    types->count = kept;
}

int sb_types_load(const struct sb_strings *directories, const struct sb_driver_ops *const *drivers,
                  struct sb_types **ret, struct sb_diags *diags)
{
    sb_cleanup(sb_types_freep) struct sb_types *types = calloc(1, sizeof *types);
    int result = types ? 0 : -ENOMEM;
    for (size_t i = 0; result != -ENOMEM && i < directories->count; i++) {
        int error = load_directory(types, directories->list[i], i, drivers, diags);
        if (error < 0)
            result = error == -ENOMEM ? -ENOMEM : -EINVAL;
    }
    if (result == -ENOMEM)
        return result;
    drop_broken(types);
    *ret = SB_STEAL(types);
    return result;
}

struct sb_types *sb_types_free(struct sb_types *types)
{
    if (!types)
        return NULL;
    for (size_t i = 0; i < types->count; i++)
        (void)sb_type_unref(types->list[i].type);
    free(types->list);
    free(types);
    return NULL;
}

const struct sb_type *sb_types_get(const struct sb_types *types, const char *name)
{
    bool found = false;
    size_t at = types && name ? find(types, name, &found) : 0;
    return found ? types->list[at].type : NULL;
}

const struct sb_type *sb_types_at(const struct sb_types *types, size_t index)
{
    return types && index < types->count ? types->list[index].type : NULL;
}
