/* SPDX-License-Identifier: Apache-2.0 */
/* Who shares a line. */
#include <errno.h>

#include "bridge/base/str.h"
#include "bridge/check.h"
#include "bridge/mapping/type.h"

static void complain(const json_t *spec, struct sb_diags *diags, const char *fmt, ...)
    SB_PRINTF(3, 4);
static void complain(const json_t *spec, struct sb_diags *diags, const char *fmt, ...)
{
    struct sb_str text = { 0 };
    va_list ap;
    va_start(ap, fmt);
    sb_str_vformat(&text, fmt, ap);
    va_end(ap);
    sb_diags_add(diags, sb_json_str(spec, "_file"), (int)sb_json_int(spec, "_line", 0), 0,
                 "device '%s': %s", sb_json_str(spec, "id"), sb_str_get(&text));
    sb_str_done(&text);
}

static const struct sb_bus_config *bus_of(const struct sb_config *config, const json_t *spec)
{
    const char *name = sb_json_str(spec, "bus");
    const struct sb_bus_config *bus;
    for (size_t i = 0; name && (bus = sb_config_bus(config, i)); i++)
        if (strcmp(bus->name, name) == 0)
            return bus;
    return NULL;
}

/* A protocol for two ends on a line with several devices: the others hear bytes not meant for
 * them. */
static void check_alone(const struct sb_config *config, const struct sb_types *types,
                        const json_t *on_bus, size_t at, struct sb_diags *diags)
{
    const json_t *spec = json_array_get(on_bus, at);
    const struct sb_type *type = sb_types_get(types, sb_json_str(spec, "type"));
    const struct sb_bus_config *bus = bus_of(config, spec);
    const char *other = sb_json_str(json_array_get(on_bus, at ? 0 : 1), "id");
    if (other && bus && !bus->point_to_point && type && type->driver &&
        type->driver->point_to_point)
        complain(spec, diags,
                 "driver %s is for lines with one device, but '%s' is on bus '%s' too and would "
                 "hear it: give it a bus of its own, or, if both are one device, say "
                 "`point_to_point: true` at the bus",
                 type->driver->name, other, bus->name);
}

/* What is sent to one would be done by the other: mostly an entry that was copied. `seen`: whose
 * the addresses on this bus are. */
static int check_address(const struct sb_types *types, const json_t *spec, json_t *seen,
                         struct sb_diags *diags)
{
    const json_t *address = json_object_get(spec, "address");
    const struct sb_type *type = sb_types_get(types, sb_json_str(spec, "type"));
    if (!type || !type->driver || json_object_size(address) == 0)
        return 0;
    sb_cleanup(sb_freep) char *text = sb_json_sorted(address);
    sb_cleanup(sb_freep) char *key = text ? sb_format("%s %s", type->driver->name, text) : NULL;
    if (!key)
        return -ENOMEM;
    const char *other = sb_json_str(seen, key);
    if (!other)
        return sb_json_put_str(seen, key, sb_json_str(spec, "id"));
    complain(spec, diags,
             "device '%s' has the same address on bus '%s': give each its own, or leave one out",
             other, sb_json_str(spec, "bus"));
    return 0;
}

/* A map of the buses' names; each with its devices. NULL: no memory. */
static json_t *by_bus(const json_t *specs)
{
    sb_cleanup(json_decrefp) json_t *buses = json_object();
    size_t i;
    json_t *spec;
    json_array_foreach ((json_t *)specs, i, spec) {
        const char *bus = sb_json_str(spec, "bus");
        if (!bus || !sb_json_str(spec, "id"))
            continue; /* what else is wrong with it is found elsewhere */
        if (!json_object_get(buses, bus) && json_object_set_new(buses, bus, json_array()) < 0)
            return NULL;
        if (json_array_append(json_object_get(buses, bus), spec) < 0)
            return NULL;
    }
    return SB_STEAL(buses);
}

int sb_check_lines(const struct sb_config *config, const struct sb_types *types,
                   const json_t *specs, struct sb_diags *diags)
{
    sb_cleanup(json_decrefp) json_t *buses = by_bus(specs);
    size_t before = diags->total;
    int r = buses ? 0 : -ENOMEM;
    const char *bus;
    json_t *on_bus;
    json_object_foreach (buses, bus, on_bus) {
        sb_cleanup(json_decrefp) json_t *seen = json_object();
        for (size_t i = 0; r == 0 && i < json_array_size(on_bus); i++) {
            check_alone(config, types, on_bus, i, diags);
            r = check_address(types, json_array_get(on_bus, i), seen, diags);
        }
    }
    return r == 0 && diags->total > before ? -EINVAL : r;
}
