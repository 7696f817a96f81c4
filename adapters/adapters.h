/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one static table of everything with a foreign name. A new dialect, driver or transport is
 * a folder beside the others and a line in adapters.c.
 */
#pragma once

#include "bridge/adapters.h"

extern const struct sb_adapters sb_adapters;
