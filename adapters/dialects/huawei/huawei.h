/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Huawei IoTDA dialect, as a gateway with sub-devices speaks it over MQTT: $ota events,
 * $sub_device_manager events, commands and properties. Settings of a link, what its mapping may
 * say, and the two halves that uplink.c joins to it.
 *
 * One connection, the gateway's. A device behind it is a sub-device, named by object_device_id on
 * the gateway's topics. See README.md.
 */
#pragma once

#include "adapters/dialects/dialect.h"
#include "bridge/config/schema.h"

struct sb_huawei_config { /* one link's section */
    struct sb_link_settings link;
    char *id;        /* the gateway's device id */
    char *secret;    /* setting of a secret */
    bool check_time; /* the platform compares the login's hour with its own */
    bool add_devices;
};

extern const struct sb_field sb_huawei_fields[];
void sb_huawei_settings_check(const void *data, const struct sb_yaml *yaml, struct sb_diags *diags);
extern const struct sb_dialect_shape sb_huawei_shape;
extern const struct sb_dialect_ops sb_huawei_dialect;
/* The door, made of these by uplink.c; in the table of adapters. */
extern const struct sb_door_ops sb_huawei_uplink;
