/* SPDX-License-Identifier: Apache-2.0 */
/* devices.d: declared devices, and the folders of YAML files in general. */
#include <dirent.h>
#include <errno.h>

#include "bridge/base/map.h"
#include "bridge/base/str.h"
#include "bridge/config/config.h"

/* ---- folders ---- */

static int is_yaml(const struct dirent *entry)
{
    const char *end = strrchr(entry->d_name, '.');
    return entry->d_name[0] != '.' && end && sb_streq(end, ".yaml");
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name); /* not by locale: the order is part of the rule */
}

int sb_config_files(const char *directory, struct sb_strings *ret, struct sb_diags *diags)
{
    struct dirent **entries = NULL;
    int n = scandir(directory, &entries, is_yaml, by_name);
    if (n < 0 && errno == ENOENT)
        return 0;
    if (n < 0) {
        int error = -errno;
        sb_diags_add(diags, directory, 0, 0, "cannot be read: %s", strerror(-error));
        return error;
    }
    int error = 0;
    for (int i = 0; i < n; i++) {
        sb_cleanup(sb_freep) char *path = sb_format("%s/%s", directory, entries[i]->d_name);
        if (error == 0)
            error = path ? sb_strings_add(ret, path) : -ENOMEM;
        free(entries[i]);
    }
    free(entries);
    return error;
}

/* ---- devices ---- */

const struct sb_field sb_device_fields[] = {
    { .key = "id",
      .type = SB_TYPE_STRING,
      .flags = SB_FIELD_REQUIRED,
      .doc = "The device's name here, for people and commands." },
    { .key = "type",
      .type = SB_TYPE_STRING,
      .flags = SB_FIELD_REQUIRED,
      .doc = "What it is: the name of a device type in mappings/devices." },
    { .key = "bus", .type = SB_TYPE_STRING, .doc = "The bus it is on." },
    { .key = "address", .type = SB_TYPE_JSON, .doc = "Where on the bus, as its driver says." },
    { .key = "names",
      .type = SB_TYPE_JSON,
      .doc = "Its name per dialect; derived from the id where none is given." },
    { .key = "parent", .type = SB_TYPE_STRING, .doc = "The device through which it is reached." },
    { .key = "commanders",
      .type = SB_TYPE_STRINGS,
      .min = 0,
      .max = 32,
      .doc = "Links that may give it commands, or native or an empty list for none of them "
             "(southbridgectl always may); all, if not given." },
    { .key = "groups",
      .type = SB_TYPE_STRINGS,
      .min = 0,
      .max = 32,
      .doc = "Groups it belongs to: a job can be given to all devices of one." },
    { .key = "gateway",
      .type = SB_TYPE_BOOL,
      .doc = "It is this gateway itself; nothing drives it." },
    { 0 },
};

static const struct sb_field file_fields[] = {
    { .key = "devices",
      .type = SB_TYPE_NODE,
      .flags = SB_FIELD_REQUIRED,
      .doc = "list of devices: - { id: ..., type: ... }" },
    { 0 },
};

static void check_map(struct sb_diags *diags, const struct sb_yaml *device, const char *key,
                      bool texts)
{
    const struct sb_yaml *map = sb_yaml_get(device, key);
    if (sb_yaml_is_null(map))
        return;
    if (map->kind != SB_YAML_MAP) {
        sb_schema_find(diags, map, "'%s' is a map (%s: { ... })", key, key);
        return;
    }
    for (size_t i = 0; texts && i < map->count; i++)
        if (map->items[i]->kind != SB_YAML_SCALAR || sb_yaml_is_null(map->items[i]))
            sb_schema_find(diags, map->items[i], "'%s' wants a single text here", key);
}

struct reading {
    json_t *specs;
    struct sb_map seen; /* id -> its node */
    struct sb_diags *diags;
    int error; /* -ENOMEM */
};

static void check_id(struct reading *r, const struct sb_yaml *device)
{
    const struct sb_yaml *id = sb_yaml_get(device, "id");
    if (sb_yaml_is_null(id) || !sb_schema_check_id(r->diags, id, "device"))
        return;
    const struct sb_yaml *other = sb_map_get(&r->seen, id->text);
    if (other)
        sb_schema_find(r->diags, id, "device '%s' is declared already (%s:%d)", id->text,
                       other->file, other->line);
    else if (sb_map_set(&r->seen, id->text, (void *)id) < 0)
        r->error = -ENOMEM;
}

/* `names: { ibm: 42 }` means the text. */
static int names_as_texts(json_t *spec, const struct sb_yaml *names)
{
    if (sb_yaml_is_null(names))
        return 0;
    sb_cleanup(json_decrefp) json_t *texts = json_object();
    for (size_t i = 0; i < names->count; i++)
        if (json_object_set_new(texts, names->keys[i]->text, json_string(names->items[i]->text)) <
            0)
            return -ENOMEM;
    return json_object_set(spec, "names", texts) < 0 ? -ENOMEM : 0;
}

static void read_device(struct reading *r, const struct sb_yaml *device)
{
    size_t before = r->diags->total;
    sb_cleanup(json_decrefp) json_t *spec = NULL;
    int error = sb_schema_json(device, NULL, sb_device_fields, NULL, &spec, r->diags);
    check_id(r, device);
    check_map(r->diags, device, "address", false);
    check_map(r->diags, device, "names", true);
    if (error == -ENOMEM)
        r->error = error;
    if (error < 0 || r->diags->total > before)
        return;
    if (names_as_texts(spec, sb_yaml_get(device, "names")) < 0 ||
        json_object_set_new(spec, "_file", json_string(device->file)) < 0 ||
        json_object_set_new(spec, "_line", json_integer(device->line)) < 0 ||
        json_array_append(r->specs, spec) < 0)
        r->error = -ENOMEM;
}

static void read_file(struct reading *r, const struct sb_yaml *root)
{
    const struct sb_yaml *list = NULL;
    size_t before = r->diags->count;
    int error = sb_schema_read(root, NULL, file_fields, &list, r->diags);
    if (error == -ENOMEM)
        r->error = error;
    if (!list)
        return;
    if (list->kind != SB_YAML_LIST)
        sb_schema_find(r->diags, list, "'devices' is a list (- { id: ..., type: ... })");
    for (size_t i = 0; list->kind == SB_YAML_LIST && i < list->count; i++)
        read_device(r, list->items[i]);
    sb_schema_sort(r->diags, before);
}

int sb_devices_load(const char *directory, json_t **ret_specs, struct sb_diags *diags)
{
    struct sb_strings files = { 0 };
    size_t before = diags->total;
    struct reading r = { .specs = json_array(), .diags = diags };
    r.error = sb_config_files(directory, &files, diags);
    struct sb_yaml **roots =
        calloc(files.count + 1, sizeof(struct sb_yaml *)); /* `seen` points into them */
    if (!r.specs || !roots)
        r.error = -ENOMEM;
    for (size_t i = 0; r.error == 0 && i < files.count; i++) {
        int error = sb_yaml_load(files.list[i], &roots[i], diags); /* one bad file hides no other */
        if (error == 0)
            read_file(&r, roots[i]);
        else if (error == -ENOMEM)
            r.error = error;
    }
    int error = r.error == 0 && diags->total > before ? -EINVAL : r.error;
    if (error == 0)
        *ret_specs = SB_STEAL(r.specs);
    for (size_t i = 0; roots && i < files.count; i++)
        sb_yaml_free(roots[i]);
    free(roots);
    sb_strings_done(&files);
    sb_map_done(&r.seen);
    json_decref(r.specs);
    return error;
}
