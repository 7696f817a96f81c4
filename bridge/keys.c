/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/keys.h"

#include "bridge/base/str.h"
#include "bridge/config/config.h"
#include "bridge/mapping/type.h"
#include "bridge/package/fetch.h"

/* A heading, and what may stand under it. Tables without a row are left out. */
static void add(struct sb_str *out, const struct sb_field *fields, const char *where,
                const char *name)
{
    sb_cleanup(sb_freep) char *text = fields ? sb_schema_manual(fields) : NULL;
    if (fields && !text)
        out->broken = true;
    if (!text || !*text)
        return;
    sb_str_add(out, out->length ? "\n# " : "# ");
    sb_str_add(out, where);
    if (name)
        sb_str_format(out, ": %s", name);
    sb_str_format(out, "\n\n%s", text);
}

char *sb_keys_text(const struct sb_adapters *adapters)
{
    struct sb_str out = { 0 };
    add(&out, sb_config_fields, "southbridge.yaml", NULL);
    for (size_t i = 0; adapters->transports[i]; i++)
        add(&out, adapters->transports[i]->fields,
            "southbridge.yaml, further keys of a bus with transport",
            adapters->transports[i]->name);
    for (size_t i = 0; adapters->doors[i]; i++)
        add(&out, adapters->doors[i]->fields,
            "southbridge.yaml, further keys of a link with dialect", adapters->doors[i]->dialect);
    add(&out, sb_uri_rules_fields, "southbridge.yaml, uri_rules of a link", NULL);
    add(&out, sb_device_fields, "devices.d/*.yaml, of each device in the list `devices`", NULL);
    for (size_t i = 0; adapters->drivers[i]; i++)
        add(&out, adapters->drivers[i]->address_fields,
            "devices.d/*.yaml, address of a device with driver", adapters->drivers[i]->name);
    add(&out, sb_type_fields, "mappings/devices/*.yaml", NULL);
    for (size_t i = 0; adapters->drivers[i]; i++)
        add(&out, adapters->drivers[i]->type_fields, "mappings/devices/*.yaml, section",
            adapters->drivers[i]->name);
    return sb_str_take(&out);
}
