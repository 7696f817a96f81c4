/* SPDX-License-Identifier: Apache-2.0 */
/* A file of this machine as a download: only regular ones, copied whole. 0 or -1. */
#pragma once

#include "bridge/fetch/part.h"
#include "bridge/package/uri.h"

int sb_local_get(const struct sb_want *want, const struct sb_uri *uri,
                 struct sb_part *part) SB_MUST_CHECK;
