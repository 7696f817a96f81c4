/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One bus's settings read and checked whole, without opening its line: for --check, and when the
 * core is built.
 */
#pragma once

#include "bridge/adapters.h"
#include "bridge/config/config.h"

struct sb_bus_parts {
    const struct sb_port_ops *ops;
    void *config; /* of ops->size */
};
/* -EINVAL with findings, -ENOMEM. */
int sb_bus_load(const struct sb_config *config, const struct sb_bus_config *bus,
                const struct sb_adapters *adapters, struct sb_bus_parts *ret,
                struct sb_diags *diags) SB_MUST_CHECK;
void sb_bus_parts_done(struct sb_bus_parts *parts);
