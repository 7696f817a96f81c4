/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/base/names.h"

const char *sb_names_get(const struct sb_names *names, int value)
{
    return value >= 0 && value < names->count ? names->names[value] : NULL;
}

int sb_names_find(const struct sb_names *names, const char *name)
{
    for (int i = 0; name && i < names->count; i++)
        if (names->names[i] && strcmp(names->names[i], name) == 0)
            return i;
    return -EINVAL;
}
