/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as southbridge.yaml: refused with a finding, or a configuration whose buses and links
 * are in turn refused with a finding or read by the transports and dialects that there are.
 */
#include <errno.h>

#include "adapters/adapters.h"
#include "bridge/bus.h"
#include "bridge/config/config.h"
#include "tests/fuzz/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void read_buses(const struct sb_config *config)
{
    const struct sb_bus_config *bus;
    for (size_t i = 0; (bus = sb_config_bus(config, i)); i++) {
        struct sb_bus_parts parts = { 0 };
        struct sb_diags diags = { 0 };
        int r = sb_bus_load(config, bus, &sb_adapters, &parts, &diags);
        check((r == 0) == (diags.total == 0) && (r == 0 || r == -EINVAL));
        sb_bus_parts_done(&parts);
        sb_diags_done(&diags);
    }
}

/* Without its words: which files are read must not be the fuzzer's to say. */
static void read_links(const struct sb_config *config)
{
    const struct sb_link_config *link;
    for (size_t i = 0; (link = sb_config_link(config, i)); i++) {
        const struct sb_door_ops *door = sb_adapters.doors[i % 2 && sb_adapters.doors[1] ? 1 : 0];
        struct sb_diags diags = { 0 };
        void *read = calloc(1, door->size);
        check(read);
        int r = sb_schema_read_also(link->yaml, "fuzz", door->fields, sb_link_fields, read, &diags);
        check((r == 0) == (diags.total == 0));
        if (r == 0 && door->check)
            door->check(read, link->yaml, &diags);
        sb_schema_done(door->fields, read);
        free(read);
        sb_diags_done(&diags);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sb_cleanup(sb_config_freep) struct sb_config *config = NULL;
    struct sb_diags diags = { 0 };
    int r = sb_config_load(fuzz_file(data, size), &config, &diags);
    check((r == 0) == (config != NULL) && (r == 0) == (diags.total == 0));
    sb_diags_done(&diags);
    if (config) {
        read_buses(config);
        read_links(config);
    }
    return 0;
}
