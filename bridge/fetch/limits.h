/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a hostile server could gain by taking the helper over is bounded before the first byte is
 * read: memory, descriptors, no new processes, no privileges, no core, an end with the daemon.
 */
#pragma once

#include <stdint.h>

#include "bridge/base/util.h"

int sb_limits_enter(void) SB_MUST_CHECK; /* 0 or -errno */
int sb_limits_file_size(int64_t max_bytes) SB_MUST_CHECK;
