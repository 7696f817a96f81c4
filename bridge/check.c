/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/check.h"

#include <errno.h>
#include <unistd.h>

#include "bridge/base/crypto.h"
#include "bridge/base/str.h"
#include "bridge/bus.h"
#include "bridge/host.h"
#include "bridge/mapping/type.h"

/* ---- links and buses ---- */

static bool is_same(const struct sb_field *fields, const struct sb_yaml *a, const struct sb_yaml *b)
{
    bool any = false;
    for (const struct sb_field *field = fields; field->key; field++) {
        if (!(field->flags & SB_FIELD_ALONE))
            continue;
        const struct sb_yaml *x = sb_yaml_get(a, field->key), *y = sb_yaml_get(b, field->key);
        if (!x || !y || !sb_streq(x->text, y->text))
            return false;
        any = true;
    }
    return any;
}

/* Two of a kind that would take the same thing from each other; the finding is at the second. */
static int check_alone(const char *what, const struct sb_field *fields, const char *first,
                       const struct sb_yaml *a, const struct sb_yaml *b, struct sb_diags *diags)
{
    if (!is_same(fields, a, b))
        return 0;
    struct sb_str keys = { 0 };
    for (const struct sb_field *field = fields; field->key; field++)
        if (field->flags & SB_FIELD_ALONE)
            sb_str_format(&keys, "%s'%s'", keys.length ? ", " : "", field->key);
    sb_schema_find(diags, b, "%s of %s '%s' (line %d) again: only one can have it",
                   sb_str_get(&keys), what, first, a->line);
    sb_str_done(&keys);
    return -EINVAL;
}

static int check_link_alone(const struct sb_config *config, size_t at,
                            const struct sb_door_ops *ops, struct sb_diags *diags)
{
    const struct sb_link_config *link = sb_config_link(config, at);
    for (size_t i = 0; i < at; i++) {
        const struct sb_link_config *other = sb_config_link(config, i);
        if (sb_streq(other->dialect, link->dialect) && sb_streq(other->role, link->role) &&
            check_alone("link", ops->fields, other->name, other->yaml, link->yaml, diags) < 0)
            return -EINVAL;
    }
    return 0;
}

static int check_links(const struct sb_config *config, const struct sb_adapters *adapters,
                       struct sb_diags *diags)
{
    const struct sb_link_config *link;
    int r = 0;
    for (size_t i = 0; (link = sb_config_link(config, i)); i++) {
        struct sb_link_parts parts = { 0 };
        if (sb_link_load(config, link, adapters, &parts, diags) < 0 ||
            check_link_alone(config, i, parts.ops, diags) < 0)
            r = -EINVAL;
        sb_link_parts_done(&parts);
    }
    return r;
}

static int check_bus_alone(const struct sb_config *config, size_t at, const struct sb_port_ops *ops,
                           struct sb_diags *diags)
{
    const struct sb_bus_config *bus = sb_config_bus(config, at);
    for (size_t i = 0; i < at; i++) {
        const struct sb_bus_config *other = sb_config_bus(config, i);
        if (sb_streq(other->transport, bus->transport) &&
            check_alone("bus", ops->fields, other->name, other->yaml, bus->yaml, diags) < 0)
            return -EINVAL;
    }
    return 0;
}

static int check_buses(const struct sb_config *config, const struct sb_adapters *adapters,
                       struct sb_diags *diags)
{
    const struct sb_bus_config *bus;
    int r = 0;
    for (size_t i = 0; (bus = sb_config_bus(config, i)); i++) {
        struct sb_bus_parts parts = { 0 };
        if (sb_bus_load(config, bus, adapters, &parts, diags) < 0 ||
            check_bus_alone(config, i, parts.ops, diags) < 0)
            r = -EINVAL;
        sb_bus_parts_done(&parts);
    }
    return r;
}

/* ---- what devices refer to ---- */

struct names {
    const char **list;
    size_t count;
};

static bool has(const struct names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->list[i], name) == 0)
            return true;
    return false;
}

struct own { /* the gateway's name on a link */
    const char *dialect, *link;
    char *name;
};

struct known {
    struct names buses, types, links, dialects;
    struct own *own;
    size_t own_count;
};

static void known_done(struct known *known)
{
    free(known->buses.list);
    free(known->types.list);
    free(known->links.list);
    free(known->dialects.list);
    for (size_t i = 0; i < known->own_count; i++)
        free(known->own[i].name);
    free(known->own);
}

/* Of the links that can be loaded. */
static int collect_own(const struct sb_config *config, const struct sb_adapters *adapters,
                       struct known *known)
{
    const struct sb_link_config *link;
    known->own = calloc(config->links.count + 1, sizeof(*known->own));
    if (!known->own)
        return -ENOMEM;
    for (size_t i = 0; (link = sb_config_link(config, i)); i++) {
        struct sb_link_parts parts = { 0 };
        struct sb_diags ignored = { 0 };
        if (sb_link_load(config, link, adapters, &parts, &ignored) == 0 && parts.ops->own_name)
            known->own[known->own_count++] =
                (struct own){ link->dialect, link->name, parts.ops->own_name(parts.config) };
        sb_diags_done(&ignored);
        sb_link_parts_done(&parts);
    }
    return 0;
}

static int collect(const struct sb_config *config, const struct sb_adapters *adapters,
                   const struct sb_types *types, struct known *known)
{
    const struct sb_type *type;
    const struct sb_bus_config *bus;
    const struct sb_link_config *link;
    size_t n = 0, doors = 0;
    while (sb_types_at(types, n))
        n++;
    while (adapters->doors[doors])
        doors++;
    known->types.list = calloc(n + 1, sizeof(const char *));
    known->buses.list = calloc(config->buses.count + 1, sizeof(const char *));
    known->links.list = calloc(config->links.count + 1, sizeof(const char *));
    known->dialects.list = calloc(doors + 1, sizeof(const char *));
    if (!known->types.list || !known->buses.list || !known->links.list || !known->dialects.list)
        return -ENOMEM;
    for (size_t i = 0; i < doors; i++)
        known->dialects.list[known->dialects.count++] = adapters->doors[i]->dialect;
    for (size_t i = 0; (type = sb_types_at(types, i)); i++)
        known->types.list[known->types.count++] = type->name;
    for (size_t i = 0; (bus = sb_config_bus(config, i)); i++)
        known->buses.list[known->buses.count++] = bus->name;
    for (size_t i = 0; (link = sb_config_link(config, i)); i++)
        known->links.list[known->links.count++] = link->name;
    known->links.list[known->links.count++] = "native"; /* who sits at southbridgectl */
    return 0;
}

static void complain(const json_t *spec, struct sb_diags *diags, const char *text)
{
    const char *id = sb_json_str(spec, "id");
    sb_diags_add(diags, sb_json_str(spec, "_file"), (int)sb_json_int(spec, "_line", 0), 0,
                 "device '%s': %s", id ? id : "?", text);
}

static void check_ref(const json_t *spec, const char *name, const char *what,
                      const struct names *names, struct sb_diags *diags)
{
    if (!name || has(names, name))
        return;
    const char *near = sb_nearest(name, names->list, names->count);
    sb_cleanup(sb_freep) char *text =
        sb_format("there is no %s '%s'%s%s%s", what, name, near ? " (did you mean '" : "",
                  near ? near : "", near ? "'?)" : "");
    complain(spec, diags, text ? text : what);
}

/* What is sent to the name would be the gateway's. */
static void check_own(const json_t *spec, const struct known *known, struct sb_diags *diags)
{
    for (size_t i = 0; i < known->own_count; i++) {
        const struct own *own = &known->own[i];
        sb_cleanup(sb_freep) char *name =
            own->name ? sb_device_spec_name(spec, own->dialect) : NULL;
        if (!name || strcmp(name, own->name) != 0)
            continue;
        sb_cleanup(sb_freep) char *text =
            sb_format("its %s name '%s' is the gateway's own on link '%s'; give it another under "
                      "'names'",
                      own->dialect, name, own->link);
        complain(spec, diags, text ? text : "its name is the gateway's own");
    }
}

static void check_names(const json_t *spec, const struct known *known, struct sb_diags *diags)
{
    size_t i;
    const char *dialect;
    json_t *commander, *name;
    check_ref(spec, sb_json_str(spec, "bus"), "bus", &known->buses, diags);
    check_ref(spec, sb_json_str(spec, "type"), "device type", &known->types, diags);
    json_array_foreach (sb_json_array(spec, "commanders"), i, commander)
        check_ref(spec, json_string_value(commander), "link", &known->links, diags);
    json_object_foreach (json_object_get(spec, "names"), dialect, name) {
        check_ref(spec, dialect, "dialect", &known->dialects, diags);
    }
    if (!sb_json_bool(spec, "gateway", false))
        check_own(spec, known, diags);
}

static void check_refs(const json_t *spec, const struct sb_types *types, const struct known *known,
                       struct sb_diags *diags)
{
    const struct sb_type *type = sb_types_get(types, sb_json_str(spec, "type"));
    check_names(spec, known, diags);
    if (type && type->driver && type->driver->run && !sb_json_str(spec, "bus"))
        complain(spec, diags, "it is on a bus, but 'bus' does not say on which");
    if (type &&
        sb_type_check_address(type, sb_json_str(spec, "_file"), (int)sb_json_int(spec, "_line", 0),
                              json_object_get(spec, "address"), diags) < 0)
        complain(spec, diags, "its address is not one of its type's driver");
}

int sb_check_device(const struct sb_config *config, const struct sb_adapters *adapters,
                    const struct sb_types *types, const json_t *spec, struct sb_diags *diags)
{
    struct known known = { 0 };
    size_t before = diags->total;
    const struct sb_type *type = sb_types_get(types, sb_json_str(spec, "type"));
    int r = collect(config, adapters, types, &known);
    if (r == 0)
        check_names(spec, &known, diags);
    known_done(&known);
    if (r == 0 && type)
        r = sb_type_check_address(type, NULL, 0, json_object_get(spec, "address"), diags);
    return r == 0 && diags->total > before ? -EINVAL : r;
}

static int check_devices(const struct sb_config *config, const struct sb_adapters *adapters,
                         const struct sb_types *types, struct sb_diags *diags)
{
    sb_cleanup(json_decrefp) json_t *specs = NULL;
    struct known known = { 0 };
    size_t i, before = diags->total;
    json_t *spec;
    int r = sb_devices_load(config->devices, &specs, diags);
    int sound = specs ? sb_devices_check(specs, (size_t)config->limits.devices, diags) : 0;
    int lines = 0, known_all = specs && types ? collect(config, adapters, types, &known) : 0;
    if (specs && types && known_all == 0)
        known_all = collect_own(config, adapters, &known);
    if (types && known_all == 0) {
        json_array_foreach (specs, i, spec) {
            check_refs(spec, types, &known, diags);
        }
        lines = sb_check_lines(config, types, specs, diags);
    }
    known_done(&known);
    if (sound == -ENOMEM || known_all < 0 || lines == -ENOMEM)
        return -ENOMEM;
    return r < 0 || diags->total == before ? r : -EINVAL;
}

int sb_check_all(const struct sb_config *config, const struct sb_adapters *adapters,
                 struct sb_diags *diags)
{
    sb_cleanup(sb_types_freep) struct sb_types *types = NULL;
    int buses = check_buses(config, adapters, diags);
    int links = check_links(config, adapters, diags);
    int loaded = sb_types_load(&config->mappings, adapters->drivers, &types, diags);
    int devices = check_devices(config, adapters, types, diags);
    const int results[] = { buses, links, loaded, devices };
    for (size_t i = 0; i < SB_COUNT(results); i++)
        if (results[i] < 0)
            return results[i];
    return 0;
}

/* ---- files ---- */

/* Of a setting with a file for each device ("file:DIR/{name}.key"): the folder. Which of them there
 * are is not known here, and a device without one waits for it. */
static char *unreadable_folder(const struct sb_field *field, const char *path)
{
    sb_cleanup(sb_freep) char *folder = strndup(path, strcspn(path, "{"));
    char *end = folder ? strrchr(folder, '/') : NULL;
    if (!end)
        return NULL;
    end[end == folder] = '\0';
    if (access(folder, R_OK | X_OK) == 0)
        return NULL;
    return sb_format("'%s': the folder '%s' cannot be read: %s", field->key, folder,
                     strerror(errno));
}

/* NULL: it can be read; else why not, for the caller to free. */
static char *unreadable(const struct sb_field *field, const char *setting)
{
    char *secret = NULL, *error = NULL;
    /* A credential is there only for the service. */
    bool file = field->type == SB_TYPE_SECRET && strncmp(setting, "file:", 5) == 0;
    const char *path = file ? setting + 5 : field->flags & SB_FIELD_FILE ? setting : NULL;
    if (path && strchr(path, '{'))
        return unreadable_folder(field, path);
    if (path && !file && access(path, R_OK) < 0)
        return sb_format("'%s': '%s' cannot be read: %s", field->key, path, strerror(errno));
    if (file && sb_secret_load(setting, &secret, &error) == 0)
        sb_secret_free(secret);
    return error;
}

static int check_files(const struct sb_link_config *link, const struct sb_link_parts *parts,
                       struct sb_diags *diags)
{
    int r = 0;
    for (const struct sb_field *field = parts->ops->fields; field->key; field++) {
        if (field->type != SB_TYPE_SECRET && !(field->flags & SB_FIELD_FILE))
            continue;
        const char *setting = *(char *const *)((const char *)parts->config + field->offset);
        sb_cleanup(sb_freep) char *error = setting ? unreadable(field, setting) : NULL;
        if (!error)
            continue;
        const struct sb_yaml *at = sb_yaml_get(link->yaml, field->key);
        sb_schema_find(diags, at ? at : link->yaml, "%s", error);
        r = -EINVAL;
    }
    return r;
}

int sb_check_files(const struct sb_config *config, const struct sb_adapters *adapters,
                   struct sb_diags *diags)
{
    const struct sb_link_config *link;
    int r = 0;
    for (size_t i = 0; (link = sb_config_link(config, i)); i++) {
        struct sb_link_parts parts = { 0 };
        struct sb_diags known = { 0 }; /* what sb_check_all() says */
        if (sb_link_load(config, link, adapters, &parts, &known) == 0 &&
            check_files(link, &parts, diags) < 0)
            r = -EINVAL;
        sb_diags_done(&known);
        sb_link_parts_done(&parts);
    }
    return r;
}
