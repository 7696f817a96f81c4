/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices that stand in files: first a plan of the whole registry as it would be, checked with all
 * findings; only a sound plan is carried out.
 */
#include <errno.h>

#include "bridge/device/parts.h"

/*
 * The registry as it would be: the specs' records, which the plan owns up to `specs`, and after
 * them the records that stay, borrowed.
 */
struct plan {
    struct sb_registry next; /* list and index only */
    size_t specs;
    const json_t **sources; /* per spec */
};

static void plan_done(struct plan *plan)
{
    for (size_t i = 0; i < plan->specs; i++)
        sb_device_free(plan->next.list[i]);
    free(plan->next.list);
    free(plan->sources);
    sb_device_index_done(&plan->next.index);
}

static int plan_spec(struct plan *plan, const json_t *spec, struct sb_diags *diags)
{
    sb_cleanup(sb_device_freep) struct sb_device *device = NULL;
    int r = sb_device_from_spec(spec, &device, diags);
    if (r < 0)
        return r;
    device->declared = true;
    const struct sb_device *twin = sb_registry_get(&plan->next, device->id);
    if (twin) {
        size_t i = 0;
        while (plan->next.list[i] != twin)
            i++;
        const char *file = sb_json_str(plan->sources[i], "_file");
        sb_device_complain(spec, diags, "declared twice (also in %s line %d)",
                           file ? file : "another place",
                           (int)sb_json_int(plan->sources[i], "_line", 0));
        return -EINVAL;
    }
    const struct sb_device *gateway = device->gateway ? sb_registry_gateway(&plan->next) : NULL;
    if (gateway) {
        sb_device_complain(spec, diags, "device '%s' is the gateway already", gateway->id);
        return -EINVAL;
    }
    r = sb_registry_insert(&plan->next, device);
    if (r < 0)
        return r;
    SB_STEAL(device);
    plan->sources[plan->specs++] = spec;
    return 0;
}

static int plan_make(struct plan *plan, struct sb_registry *registry, const json_t *declared,
                     struct sb_diags *diags)
{
    size_t i;
    json_t *spec;
    int result = 0;
    plan->sources = calloc(json_array_size(declared) + 1, sizeof(json_t *));
    if (!plan->sources)
        return -ENOMEM;
    json_array_foreach (declared, i, spec) {
        int r = plan_spec(plan, spec, diags);
        if (r < 0 && r != -EINVAL)
            return r;
        result = r < 0 ? r : result;
    }
    for (i = 0; i < registry->count; i++) { /* those registered at run time stay */
        struct sb_device *old = registry->list[i];
        if (old->declared || sb_registry_get(&plan->next, old->id))
            continue;
        int r = sb_registry_insert(&plan->next, old);
        if (r < 0)
            return r;
    }
    return result;
}

static int plan_check(const struct plan *plan, size_t most, struct sb_diags *diags)
{
    int result = 0;
    const struct sb_device_index *index = &plan->next.index;
    for (size_t i = 0; i < plan->specs; i++) {
        const struct sb_device *device = plan->next.list[i];
        if (sb_device_check_names(index, device, plan->sources[i], diags) < 0 ||
            sb_device_check_parent(index, device, plan->sources[i], diags) < 0)
            result = -EINVAL;
    }
    if (plan->next.count <= most)
        return result;
    sb_diags_add(diags, NULL, 0, 0, "more than %zu devices (limits: devices)", most);
    return -EINVAL;
}

/* Devices that stood in the files and do no longer. */
static bool is_undeclared(const struct sb_device *device, const struct plan *plan)
{
    return device->declared && !sb_device_index_get(&plan->next.index, device->id);
}

static void tell_undeclared(struct sb_registry *registry, const struct plan *plan)
{
    for (size_t i = 0; i < registry->count; i++)
        if (is_undeclared(registry->list[i], plan))
            sb_registry_leave(registry, registry->list[i]);
}

static int drop_undeclared(struct sb_registry *registry, const struct plan *plan, json_t *removed)
{
    size_t kept = 0;
    int result = 0;
    for (size_t i = 0; i < registry->count; i++) {
        struct sb_device *old = registry->list[i];
        int r = 0;
        bool drop = is_undeclared(old, plan);
        if (drop && json_array_append_new(removed, json_string(old->id)) < 0)
            r = -ENOMEM;
        if (drop && r == 0)
            r = sb_store_remove(registry->store, SB_TABLE_DEVICE, 0, old->id);
        if (drop && r == 0)
            sb_registry_release(old);
        else
            registry->list[kept++] = old;
        result = r < 0 ? r : result;
    }
    registry->count = kept;
    return result;
}

/* The index holds pointers into what changes: it is made anew afterwards. */
static int apply(struct sb_registry *registry, struct plan *plan)
{
    for (size_t i = 0; i < plan->specs; i++) {
        struct sb_device *spec = plan->next.list[i];
        struct sb_device *device = sb_registry_get(registry, spec->id);
        if (device && sb_device_spec_equal(device, spec))
            continue;
        int r = sb_registry_make_room(registry, 1);
        if (r == 0 && !device) {
            r = sb_registry_settle(registry, spec);
            device = r == 0 ? SB_STEAL(plan->next.list[i]) : NULL;
            if (device)
                registry->list[registry->count++] = device;
        } else if (r == 0) {
            sb_device_spec_move(device, spec);
            r = sb_registry_save(registry, device);
        }
        if (r < 0)
            return r;
        sb_registry_attach(registry, device);
    }
    return 0;
}

static int reindex(struct sb_registry *registry)
{
    struct sb_device_index index = { 0 };
    for (size_t i = 0; i < registry->count; i++) {
        int r = sb_device_index_add(&index, registry->list[i]);
        if (r < 0) {
            sb_device_index_done(&index);
            return r;
        }
    }
    sb_device_index_done(&registry->index);
    registry->index = index;
    return 0;
}

static int carry_out(struct sb_registry *registry, struct plan *plan, json_t *removed)
{
    tell_undeclared(registry, plan);
    int r = apply(registry, plan); /* finds by the old index: ids do not change */
    int dropped = drop_undeclared(registry, plan, removed);
    int indexed = reindex(registry);
    if (indexed < 0) /* no memory, and an index that lies: nothing is found rather than freed */
        sb_device_index_done(&registry->index);
    r = r < 0 ? r : (dropped < 0 ? dropped : indexed);
    return r < 0 ? r : sb_registry_free_orphans(registry);
}

static int plan_sound(struct plan *plan, struct sb_registry *registry, const json_t *declared,
                      struct sb_diags *diags)
{
    int r = plan_make(plan, registry, declared, diags);
    if (r < 0 && r != -EINVAL)
        return r;
    int checked = plan_check(plan, registry->most, diags);
    return r < 0 ? r : checked;
}

int sb_devices_check(const json_t *declared, size_t most, struct sb_diags *diags)
{
    struct sb_registry none = { .most = most };
    struct plan plan = { 0 };
    int r = plan_sound(&plan, &none, declared, diags);
    plan_done(&plan);
    return r;
}

int sb_registry_declare(struct sb_registry *registry, const json_t *declared, json_t **ret_removed,
                        struct sb_diags *diags)
{
    if (!sb_store_ready(registry->store, NULL))
        return -EAGAIN;
    sb_cleanup(json_decrefp) json_t *removed = json_array();
    struct plan plan = { 0 };
    int r = removed ? plan_sound(&plan, registry, declared, diags) : -ENOMEM;
    if (r == 0)
        r = carry_out(registry, &plan, removed);
    plan_done(&plan);
    if (r == 0 && ret_removed)
        *ret_removed = SB_STEAL(removed);
    return r;
}
