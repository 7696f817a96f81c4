/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/base/util.h"

#include <errno.h>

int sb_set_string(char **slot, const char *text)
{
    char *copy = text ? strdup(text) : NULL; /* first, since text may be part of *slot */
    if (text && !copy)
        return -ENOMEM;
    free(*slot);
    *slot = copy;
    return 0;
}
