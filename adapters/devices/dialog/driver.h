/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver "dialog": devices on a serial console, spoken to by scripts. README.md says how.
 */
#pragma once

#include "bridge/driver.h"

extern const struct sb_driver_ops sb_dialog_driver;
