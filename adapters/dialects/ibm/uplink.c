/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/dialects/uplink.h"

#include "adapters/dialects/ibm/ibm.h"
#include "bridge/base/str.h"

static char *ibm_own_name(const void *data)
{
    const struct sb_ibm_config *config = data;
    return config->type && config->id ? sb_format("%s/%s", config->type, config->id) : NULL;
}

const struct sb_door_ops sb_ibm_uplink = {
    .dialect = "ibm",
    .role = "uplink",
    .shape = &sb_ibm_shape,
    .fields = sb_ibm_fields,
    .size = sizeof(struct sb_ibm_config),
    .check = sb_ibm_check,
    .adapter = &sb_ibm_dialect,
    .open = sb_uplink_open,
    .start = sb_uplink_start,
    .hear = sb_uplink_hear,
    .send = sb_uplink_send,
    .close = sb_uplink_close,
    .own_name = ibm_own_name,
    .reach = sb_uplink_reach,
};
