/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device's result codes mean: a cause for the core, a text for people.
 *
 * Servers of protocol version 1 answer {"rc": n}, those of version 2 {"err": {group, rc}} with
 * codes per group; which one is seen from the content, because MCUboot echoes the request's
 * version bits and answers rc whatever they say. (Zephyr sources: mgmt_defines.h, img_mgmt.h,
 * settings_mgmt.h.) Pure tables.
 */
#pragma once

#include <stdint.h>

#include "bridge/job/job.h"

enum sb_smp_group {
    SB_SMP_OS = 0,
    SB_SMP_IMAGE = 1,
    SB_SMP_SETTINGS = 3,
    SB_SMP_BASIC = 63,
};

struct sb_smp_code {
    bool err;      /* version 2: code belongs to `group`; else `code` is an rc */
    int64_t group; /* of an err */
    int64_t code;  /* 0: fine */
};

/* From a body; fine when it names no code. */
struct sb_smp_code sb_smp_code_of(const json_t *body);
enum sb_cause sb_smp_cause(const struct sb_smp_code *code);
const char *sb_smp_code_text(const struct sb_smp_code *code); /* static */
/* dialect "smp", vocabulary "rc" or "err:<group>". */
int sb_smp_native(const struct sb_smp_code *code, struct sb_native *ret) SB_MUST_CHECK;
