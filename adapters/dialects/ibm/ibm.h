/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The IBM Watson IoT device-management dialect (iotdm-1), as a gateway speaks it: settings of a
 * link, what its mapping may say, and the two halves that uplink.c joins to a link.
 *
 * Sources of the protocol facts: IBM Watson IoT Platform documentation of 2018 and 2016, Eclipse
 * Amlen's topic rules, and what IBM's device libraries were seen to send. See README.md.
 */
#pragma once

#include "adapters/dialects/dialect.h"
#include "bridge/config/schema.h"

enum sb_ibm_verifier { SB_IBM_VERIFIER_DIGEST, SB_IBM_VERIFIER_IGNORE, SB_IBM_VERIFIER_MAX_ };
SB_NAMES_DECLARE(sb_ibm_verifier)

struct sb_ibm_config { /* one link's section */
    struct sb_link_settings link;
    char *org, *type, *id; /* the client is g:{org}:{type}:{id} */
    char *token;           /* setting of a secret; resolved at each try, so it can be renewed */
    bool clean;
    bool bundle;  /* claim the custom action bundle */
    int verifier; /* enum sb_ibm_verifier: what to do with one that is no digest */
};

extern const struct sb_field sb_ibm_fields[];
void sb_ibm_check(const void *config, const struct sb_yaml *yaml, struct sb_diags *diags);
extern const struct sb_dialect_shape sb_ibm_shape;
extern const struct sb_dialect_ops sb_ibm_dialect;
/* The door, made of these by uplink.c; in the table of adapters. */
extern const struct sb_door_ops sb_ibm_uplink;
