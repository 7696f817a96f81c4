/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Driver "smp": devices that speak SMP (MCUmgr) on a serial line: MCUboot's serial recovery and
 * applications on Zephyr, Mynewt and others. See README.md beside this file.
 */
#pragma once

#include "bridge/driver.h"

extern const struct sb_driver_ops sb_smp_driver;
