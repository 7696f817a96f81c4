/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/bus.h"

#include <errno.h>

#define TRANSPORTS_MAX 16

static void unknown_transport(const struct sb_bus_config *bus, const struct sb_adapters *adapters,
                              struct sb_diags *diags)
{
    const char *names[TRANSPORTS_MAX];
    const struct sb_yaml *at = sb_yaml_get(bus->yaml, "transport");
    size_t n = 0;
    for (; n < TRANSPORTS_MAX && adapters->transports[n]; n++)
        names[n] = adapters->transports[n]->name;
    sb_schema_unknown(diags, at ? at : bus->yaml, "transport", names, n);
}

int sb_bus_load(const struct sb_config *config, const struct sb_bus_config *bus,
                const struct sb_adapters *adapters, struct sb_bus_parts *ret,
                struct sb_diags *diags)
{
    struct sb_bus_parts parts = { .ops = sb_adapters_transport(adapters, bus->transport) };
    size_t before = diags->total, held = diags->count;
    if (!parts.ops) {
        unknown_transport(bus, adapters, diags);
        return -EINVAL;
    }
    parts.config = calloc(1, SB_MAX(parts.ops->size, (size_t)1));
    if (!parts.config)
        return -ENOMEM;
    int r = sb_schema_read_also(bus->yaml, config->yaml->file, parts.ops->fields, sb_bus_fields,
                                parts.config, diags);
    if (r >= 0 && parts.ops->check)
        parts.ops->check(parts.config, bus->yaml, diags);
    sb_schema_sort(diags, held);
    if (r >= 0 && diags->total != before)
        r = -EINVAL;
    if (r < 0) {
        sb_bus_parts_done(&parts);
        return r;
    }
    *ret = parts;
    return 0;
}

void sb_bus_parts_done(struct sb_bus_parts *parts)
{
    if (parts->config)
        sb_schema_done(parts->ops->fields, parts->config);
    free(parts->config);
    *parts = (struct sb_bus_parts){ 0 };
}
