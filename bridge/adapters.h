/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the core is given to work with: the one static table of everything with a foreign name
 * (adapters/adapters.c; the tests' fakes have their own). Each list ends with NULL.
 */
#pragma once

#include "bridge/door.h"
#include "bridge/driver.h"
#include "bridge/port.h"

struct sb_adapters {
    const struct sb_door_ops *const *doors;
    const struct sb_driver_ops *const *drivers;
    const struct sb_port_ops *const *transports;
};

const struct sb_door_ops *sb_adapters_door(const struct sb_adapters *adapters, const char *dialect,
                                           const char *role);
const struct sb_driver_ops *sb_adapters_driver(const struct sb_adapters *adapters,
                                               const char *name);
const struct sb_port_ops *sb_adapters_transport(const struct sb_adapters *adapters,
                                                const char *name);
