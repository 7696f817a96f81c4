/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/check.h"

#include <errno.h>

#include "bridge/bus.h"
#include "bridge/host.h"
#include "bridge/mapping/type.h"

static int check_links(const struct sb_config *config, const struct sb_adapters *adapters,
                       struct sb_diags *diags)
{
    const struct sb_link_config *link;
    int r = 0;
    for (size_t i = 0; (link = sb_config_link(config, i)); i++) {
        struct sb_link_parts parts = { 0 };
        if (sb_link_load(config, link, adapters, &parts, diags) < 0)
            r = -EINVAL;
        sb_link_parts_done(&parts);
    }
    return r;
}

static int check_buses(const struct sb_config *config, const struct sb_adapters *adapters,
                       struct sb_diags *diags)
{
    const struct sb_bus_config *bus;
    int r = 0;
    for (size_t i = 0; (bus = sb_config_bus(config, i)); i++) {
        struct sb_bus_parts parts = { 0 };
        if (sb_bus_load(config, bus, adapters, &parts, diags) < 0)
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

static int collect(const struct sb_config *config, const struct sb_types *types,
                   struct names *ret_buses, struct names *ret_types)
{
    const struct sb_type *type;
    const struct sb_bus_config *bus;
    size_t n = 0;
    while (sb_types_at(types, n))
        n++;
    ret_types->list = calloc(n + 1, sizeof(*ret_types->list));
    ret_buses->list = calloc(config->buses.count + 1, sizeof(*ret_buses->list));
    if (!ret_types->list || !ret_buses->list)
        return -ENOMEM;
    for (size_t i = 0; (type = sb_types_at(types, i)); i++)
        ret_types->list[ret_types->count++] = type->name;
    for (size_t i = 0; (bus = sb_config_bus(config, i)); i++)
        ret_buses->list[ret_buses->count++] = bus->name;
    return 0;
}

static void check_ref(const json_t *spec, const char *key, const char *what,
                      const struct names *names, struct sb_diags *diags)
{
    const char *name = sb_json_str(spec, key);
    if (!name || has(names, name))
        return;
    const char *near = sb_nearest(name, names->list, names->count);
    sb_diags_add(diags, sb_json_str(spec, "_file"), (int)sb_json_int(spec, "_line", 0), 0,
                 "device '%s': there is no %s '%s'%s%s%s", sb_json_str(spec, "id"), what, name,
                 near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
}

static int check_devices(const struct sb_config *config, const struct sb_types *types,
                         struct sb_diags *diags)
{
    sb_cleanup(json_decrefp) json_t *specs = NULL;
    struct names buses = { 0 }, kinds = { 0 };
    size_t i, before = diags->total;
    json_t *spec;
    int r = sb_devices_load(config->devices, &specs, diags);
    if (specs && types && collect(config, types, &buses, &kinds) < 0)
        r = -ENOMEM;
    if (types && r != -ENOMEM) {
        json_array_foreach (specs, i, spec) {
            check_ref(spec, "bus", "bus", &buses, diags);
            check_ref(spec, "type", "device type", &kinds, diags);
        }
    }
    free(buses.list);
    free(kinds.list);
    return r < 0 || diags->total == before ? r : -EINVAL;
}

int sb_check_all(const struct sb_config *config, const struct sb_adapters *adapters,
                 struct sb_diags *diags)
{
    sb_cleanup(sb_types_freep) struct sb_types *types = NULL;
    int buses = check_buses(config, adapters, diags);
    int links = check_links(config, adapters, diags);
    int loaded = sb_types_load(&config->mappings, adapters->drivers, &types, diags);
    int devices = check_devices(config, types, diags);
    const int results[] = { buses, links, loaded, devices };
    for (size_t i = 0; i < SB_COUNT(results); i++)
        if (results[i] < 0)
            return results[i];
    return 0;
}
