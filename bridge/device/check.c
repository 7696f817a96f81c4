/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Would this record fit among the others? Names unique per dialect, given or derived; parents that
 * exist and form no ring.
 */
#include "bridge/device/parts.h"

#define PARENTS_MAX 8 /* gateways behind gateways */

int sb_device_check_names(const struct sb_device_index *index, const struct sb_device *device,
                          const json_t *spec, struct sb_diags *diags)
{
    int r = 0;
    const char *dialect;
    json_t *name;
    json_object_foreach (device->names, dialect, name) {
        const struct sb_device *other =
            sb_device_index_find(index, dialect, json_string_value(name));
        if (!other || other == device)
            continue;
        sb_device_complain(spec, diags, "its %s name '%s' is taken by device '%s'", dialect,
                           json_string_value(name), other->id);
        r = -EINVAL;
    }
    for (size_t i = 0; i < index->dialects.count; i++) { /* derived ones against given ones */
        dialect = index->dialects.list[i];
        const char *derived = sb_device_name(device, dialect);
        const struct sb_device *other =
            derived ? sb_device_index_given(index, dialect, derived) : NULL;
        if (!other || other == device || json_object_get(device->names, dialect))
            continue;
        sb_device_complain(spec, diags,
                           "its derived %s name '%s' is taken by device '%s'; give one of them "
                           "another under 'names'",
                           dialect, derived, other->id);
        r = -EINVAL;
    }
    return r;
}

int sb_device_check_parent(const struct sb_device_index *index, const struct sb_device *device,
                           const json_t *spec, struct sb_diags *diags)
{
    int depth = 0;
    const struct sb_device *at = device;
    while (at && at->parent && depth <= PARENTS_MAX) {
        const struct sb_device *parent =
            sb_streq(at->parent, device->id) ? device : sb_device_index_get(index, at->parent);
        if (!parent && at == device) {
            sb_device_complain(spec, diags, "its parent '%s' is not a device", device->parent);
            return -EINVAL;
        }
        at = parent;
        depth++;
    }
    if (depth <= PARENTS_MAX)
        return 0;
    sb_device_complain(spec, diags, "its parents form a ring or more than %d levels", PARENTS_MAX);
    return -EINVAL;
}
