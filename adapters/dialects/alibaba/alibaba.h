/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Alibaba Cloud IoT dialect, as a gateway with sub-devices speaks it over MQTT: topology and
 * sessions of sub-devices, OTA, thing model (properties and services), device jobs. Settings of a
 * link, what its mapping may say, and the two halves that uplink.c joins to it.
 *
 * One connection, the gateway's. Each device behind it is a sub-device of the platform, called
 * "productKey/deviceName", or by its deviceName alone where its product is the link's
 * `device_product`.
 *
 * Sources of the protocol facts: Alibaba's documentation and its device packages as they were seen
 * to send. See README.md.
 */
#pragma once

#include "adapters/dialects/dialect.h"
#include "bridge/config/schema.h"

enum sb_alibaba_sign { SB_ALIBABA_SHA256, SB_ALIBABA_SHA1, SB_ALIBABA_MD5, SB_ALIBABA_SIGN_MAX_ };
SB_NAMES_DECLARE(sb_alibaba_sign)

struct sb_alibaba_config {        /* one link's section */
    struct sb_link_settings link; /* without cert_file and key_file */
    char *product, *name;         /* the gateway's own product key and device name */
    char *secret;                 /* setting of the gateway's device secret */
    char *device_product;         /* product of the devices whose name has none, or NULL */
    char *device_secret;          /* setting of theirs, {name} and {product}; NULL: they register */
    struct sb_strings topics;     /* filters to subscribe; none: the platform delivers unasked */
    int sign;                     /* enum sb_alibaba_sign */
    bool remote_config;           /* devices ask for their configuration file at their login */
};

extern const struct sb_field sb_alibaba_fields[];
void sb_alibaba_settings_check(const void *data, const struct sb_yaml *yaml,
                               struct sb_diags *diags);
extern const struct sb_dialect_shape sb_alibaba_shape;
extern const struct sb_dialect_ops sb_alibaba_dialect;
/* The door, made of these by uplink.c; in the table of adapters. */
extern const struct sb_door_ops sb_alibaba_uplink;
