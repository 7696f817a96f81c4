/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Version texts, as clouds and devices write them. Pure.
 *
 * "1.2.3", "v1.2", "1.2.3+45", "1.2.0-rc1": numbers separated by dots, then an optional
 * pre-release after '-' (older than none) and an optional build number after '+'. A build that
 * only one side names does not count. What does not look like this is equal only to itself.
 */
#pragma once

#include "bridge/base/util.h"

bool sb_version_equal(const char *a, const char *b);
/* < 0, 0, > 0 in *ret; -EINVAL when they cannot be ordered. */
int sb_version_compare(const char *a, const char *b, int *ret) SB_MUST_CHECK;
/* Is `version` in a comma-separated list? An empty or NULL list matches everything. */
bool sb_version_listed(const char *list, const char *version);
