/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/dialects/uplink.h"

#include "adapters/dialects/huawei/huawei.h"

static int huawei_open(struct sb_host *host, const char *link, const void *config,
                       const struct sb_words *words, struct sb_door **ret)
{
    return sb_uplink_open(&sb_huawei_uplink, &sb_huawei_dialect, host, link, config, words, ret);
}

static int huawei_reach(const void *config, const struct sb_words *words, int64_t wall,
                        struct sb_reach *ret, char **ret_error)
{
    return sb_uplink_reach(&sb_huawei_dialect, config, words, wall, ret, ret_error);
}

const struct sb_door_ops sb_huawei_uplink = {
    .dialect = "huawei",
    .role = "uplink",
    .shape = &sb_huawei_shape,
    .fields = sb_huawei_fields,
    .size = sizeof(struct sb_huawei_config),
    .check = sb_huawei_settings_check,
    .open = huawei_open,
    .start = sb_uplink_start,
    .hear = sb_uplink_hear,
    .send = sb_uplink_send,
    .close = sb_uplink_close,
    .reach = huawei_reach,
};
