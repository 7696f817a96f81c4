/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Azure IoT Hub dialect, as devices speak it over MQTT: direct methods and the device twin.
 * Settings of a link, what its mapping may say, and the two halves that uplink.c joins to it.
 *
 * Two modes. `devices`: each device behind the gateway is an identity of the hub with a connection
 * of its own, so jobs of the hub can name it; the gateway may have one too. `gateway`: the hub
 * knows the gateway alone; methods name their device in the payload ("target"), and the twin has
 * each device's part below "children".
 *
 * Sources of the protocol facts: Microsoft's IoT Hub documentation, the azure-iot-device packages
 * and samples as they were seen to send. See README.md.
 */
#pragma once

#include "adapters/dialects/dialect.h"
#include "bridge/config/schema.h"

enum sb_azure_mode { SB_AZURE_DEVICES, SB_AZURE_GATEWAY, SB_AZURE_MODE_MAX_ };
SB_NAMES_DECLARE(sb_azure_mode)
enum sb_azure_check { SB_AZURE_CHECK_DIGEST, SB_AZURE_CHECK_IGNORE, SB_AZURE_CHECK_MAX_ };
SB_NAMES_DECLARE(sb_azure_check)

struct sb_azure_config {          /* one link's section */
    struct sb_link_settings link; /* cert_file: X.509 in the place of key */
    char *hub; /* host name of the hub, as logins and tokens have it; NULL: of uri */
    int mode;  /* enum sb_azure_mode */
    char *id;  /* the gateway's own identity, or NULL */
    char *key; /* setting of a secret; {name}: of which device */
    int check; /* enum sb_azure_check: what to do with a check value that is no digest */
};

extern const struct sb_field sb_azure_fields[];
void sb_azure_settings_check(const void *data, const struct sb_yaml *yaml, struct sb_diags *diags);
extern const struct sb_dialect_shape sb_azure_shape;
extern const struct sb_dialect_ops sb_azure_dialect;
/* The door, made of these by uplink.c; in the table of adapters. */
extern const struct sb_door_ops sb_azure_uplink;
