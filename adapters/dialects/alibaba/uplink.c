/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/dialects/uplink.h"

#include "adapters/dialects/alibaba/alibaba.h"

static int alibaba_open(struct sb_host *host, const char *link, const void *config,
                        const struct sb_words *words, struct sb_door **ret)
{
    return sb_uplink_open(&sb_alibaba_uplink, &sb_alibaba_dialect, host, link, config, words, ret);
}

static int alibaba_reach(const void *config, const struct sb_words *words, int64_t wall,
                         struct sb_reach *ret, char **ret_error)
{
    return sb_uplink_reach(&sb_alibaba_dialect, config, words, wall, ret, ret_error);
}

const struct sb_door_ops sb_alibaba_uplink = {
    .dialect = "alibaba",
    .role = "uplink",
    .shape = &sb_alibaba_shape,
    .fields = sb_alibaba_fields,
    .size = sizeof(struct sb_alibaba_config),
    .check = sb_alibaba_settings_check,
    .open = alibaba_open,
    .start = sb_uplink_start,
    .hear = sb_uplink_hear,
    .send = sb_uplink_send,
    .close = sb_uplink_close,
    .reach = alibaba_reach,
};
