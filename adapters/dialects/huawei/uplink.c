/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/dialects/uplink.h"

#include "adapters/dialects/huawei/huawei.h"

static char *huawei_own_name(const void *data)
{
    const struct sb_huawei_config *config = data;
    return config->id ? strdup(config->id) : NULL;
}

const struct sb_door_ops sb_huawei_uplink = {
    .dialect = "huawei",
    .role = "uplink",
    .shape = &sb_huawei_shape,
    .fields = sb_huawei_fields,
    .size = sizeof(struct sb_huawei_config),
    .check = sb_huawei_settings_check,
    .adapter = &sb_huawei_dialect,
    .open = sb_uplink_open,
    .start = sb_uplink_start,
    .hear = sb_uplink_hear,
    .send = sb_uplink_send,
    .close = sb_uplink_close,
    .own_name = huawei_own_name,
    .reach = sb_uplink_reach,
};
