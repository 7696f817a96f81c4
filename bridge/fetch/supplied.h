/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "bridge/fetch/part.h"

/* Asks for the file, piece by piece from where the part file ends, and takes what comes on stdin:
 * 0, or -1 with a result. */
int sb_supplied_get(const struct sb_want *want, struct sb_part *part) SB_MUST_CHECK;
