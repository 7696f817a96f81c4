/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/dialects/uplink.h"

#include "adapters/dialects/alibaba/alibaba.h"
#include "adapters/dialects/alibaba/codec.h"

static char *alibaba_own_name(const void *data)
{
    const struct sb_alibaba_config *config = data;
    return sb_alibaba_spell(config, config->product, config->name);
}

const struct sb_door_ops sb_alibaba_uplink = {
    .dialect = "alibaba",
    .role = "uplink",
    .shape = &sb_alibaba_shape,
    .fields = sb_alibaba_fields,
    .size = sizeof(struct sb_alibaba_config),
    .check = sb_alibaba_settings_check,
    .adapter = &sb_alibaba_dialect,
    .open = sb_uplink_open,
    .start = sb_uplink_start,
    .hear = sb_uplink_hear,
    .send = sb_uplink_send,
    .close = sb_uplink_close,
    .pull = sb_uplink_pull,
    .own_name = alibaba_own_name,
    .reach = sb_uplink_reach,
};
