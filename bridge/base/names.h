/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Closed lists with a name for each value, in both directions, from one table.
 *
 * An enum counts from 0 to X_MAX_ and has X_INVALID = -EINVAL. SB_NAMES(prefix, MAX, ...) defines
 *     const struct sb_names prefix_names;
 *     const char *prefix_name(enum-as-int)      NULL when out of range
 *     int prefix_from_name(const char *)        -EINVAL when unknown (also for NULL)
 * and fails to compile when a value has no name.
 */
#pragma once

#include <errno.h>
#include <stddef.h>

#include "bridge/base/util.h"

struct sb_names {
    const char *const *names;
    int count;
};

const char *sb_names_get(const struct sb_names *names, int value);
int sb_names_find(const struct sb_names *names, const char *name);

#define SB_NAMES_DECLARE(prefix)                                                                   \
    extern const struct sb_names prefix##_names;                                                   \
    static inline SB_UNUSED const char *prefix##_name(int value)                                   \
    {                                                                                              \
        return sb_names_get(&prefix##_names, value);                                               \
    }                                                                                              \
    static inline SB_UNUSED int prefix##_from_name(const char *name)                               \
    {                                                                                              \
        return sb_names_find(&prefix##_names, name);                                               \
    }

#define SB_NAMES(prefix, max, ...)                                                                 \
    static const char *const prefix##_table_[] = { __VA_ARGS__ };                                  \
    _Static_assert(SB_COUNT(prefix##_table_) == (max), #prefix ": a value without a name");        \
    const struct sb_names prefix##_names = { prefix##_table_, (max) }
