/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Driver "modbus": meters, drives, I/O and whatever else speaks Modbus RTU on a serial line that
 * many share. Register maps and recipes are the device types'. See README.md beside this file.
 */
#pragma once

#include "bridge/driver.h"

extern const struct sb_driver_ops sb_modbus_driver;
