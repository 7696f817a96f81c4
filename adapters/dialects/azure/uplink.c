/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/dialects/uplink.h"

#include "adapters/dialects/azure/azure.h"
#include "adapters/transports/mqtt.h"

/* All identities go to one server; whether each has its key is seen when it connects. */
static int azure_reach(const struct sb_door_ops *ops SB_UNUSED, const void *data,
                       const struct sb_words *words SB_UNUSED, int64_t wall SB_UNUSED,
                       struct sb_reach *ret, char **ret_error)
{
    const struct sb_azure_config *config = data;
    const struct sb_connect login = { .uri = config->link.uri,
                                      .ca_file = config->link.ca_file,
                                      .verify = config->link.verify };
    return sb_mqtt_reach(&login, ret, ret_error);
}

static char *azure_own_name(const void *data)
{
    const struct sb_azure_config *config = data;
    return config->id ? strdup(config->id) : NULL;
}

const struct sb_door_ops sb_azure_uplink = {
    .dialect = "azure",
    .role = "uplink",
    .shape = &sb_azure_shape,
    .fields = sb_azure_fields,
    .size = sizeof(struct sb_azure_config),
    .check = sb_azure_settings_check,
    .adapter = &sb_azure_dialect,
    .open = sb_uplink_open,
    .start = sb_uplink_start,
    .hear = sb_uplink_hear,
    .send = sb_uplink_send,
    .close = sb_uplink_close,
    .own_name = azure_own_name,
    .reach = azure_reach,
};
