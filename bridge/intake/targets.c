/* SPDX-License-Identifier: Apache-2.0 */
/* Which devices a request means, and which a rule. */
#include "bridge/intake/parts.h"

#include "bridge/base/crypto.h"
#include "bridge/base/map.h"
#include "bridge/base/str.h"
#include "bridge/job/version.h"

#define NAMED_MAX 1000 /* each device is looked up among them */

bool sb_targets_match(const struct sb_targets *targets, const struct sb_device *device,
                      const char *module)
{
    bool named = sb_json_has(targets->devices, device->id);
    bool grouped = false;
    size_t i;
    json_t *group;
    json_array_foreach (targets->groups, i, group)
        grouped |= sb_device_in_group(device, json_string_value(group));
    if ((targets->devices || targets->groups) && !named && !grouped)
        return false;
    if (targets->types && !sb_json_has(targets->types, device->type_name))
        return false;
    const char *version = sb_device_version(device, module);
    if (targets->versions && (!version || !sb_version_listed(targets->versions, version)))
        return false;
    return named || !device->gateway;
}

/* ---- the sample ---- */

static char *content_of(enum sb_op op, const char *package)
{
    return sb_format("%s\n%s", sb_op_name((int)op), package ? package : "");
}

/* Where a device stands among all that could be chosen for this content; equally spread. */
static uint32_t rank_of(const struct sb_device *device, const char *content)
{
    uint8_t bytes[4] = { 0 };
    sb_cleanup(sb_freep) char *text = sb_format("%s\n%s", device->uuid, content);
    sb_cleanup(sb_freep) char *hex = text ? sb_sha256_hex(text, strlen(text)) : NULL;
    if (hex)
        hex[2 * sizeof(bytes)] = '\0';
    if (!hex || sb_hex_decode(hex, bytes, sizeof(bytes)) < 0)
        return 0;
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

bool sb_targets_sampled(const struct sb_targets *targets, const struct sb_device *device,
                        enum sb_op op, const char *package)
{
    if (!targets->sample)
        return true;
    sb_cleanup(sb_freep) char *content = content_of(op, package);
    uint64_t most = (UINT64_C(1) << 32) * targets->sample / 100;
    return content && rank_of(device, content) < most;
}

static int by_rank(const void *a, const void *b)
{
    const struct sb_share *x = a, *y = b;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    return strcmp(x->device, y->device);
}

/* The exact share, rounded up. */
static int take_sample(struct sb_asking *asking)
{
    const struct sb_targets *targets = &asking->targets;
    const char *package = asking->package ? asking->package->id : NULL;
    if (!targets->sample || asking->share_count == 0)
        return 0;
    sb_cleanup(sb_freep) char *content = content_of(asking->request->op, package);
    if (!content)
        return -ENOMEM;
    for (size_t i = 0; i < asking->share_count; i++) {
        struct sb_share *share = &asking->shares[i];
        share->rank = rank_of(sb_registry_get(asking->intake->registry, share->device), content);
    }
    qsort(asking->shares, asking->share_count, sizeof(*asking->shares), by_rank);
    asking->share_count = (asking->share_count * targets->sample + 99) / 100;
    return 0;
}

/* ---- the devices of a request ---- */

int sb_asking_share(struct sb_asking *asking, const struct sb_device *device, bool named)
{
    struct sb_share *grown = asking->shares;
    if ((asking->share_count & (asking->share_count - 1)) == 0) /* at each power of two */
        grown = reallocarray(asking->shares, SB_MAX(asking->share_count * 2, (size_t)1),
                             sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    asking->shares = grown;
    asking->shares[asking->share_count++] =
        (struct sb_share){ .device = device->id, .named = named };
    return 0;
}

static bool out_of_memory(struct sb_asking *asking)
{
    return sb_refuse(asking, SB_CAUSE_NO_MEMORY, "out of memory");
}

static bool no_device(struct sb_asking *asking, const char *id)
{
    sb_cleanup(sb_freep) char *text = sb_registry_missing(asking->intake->registry, id);
    return sb_refuse(asking, SB_CAUSE_DEVICE_GONE, "%s", text ? text : "there is no such device");
}

/* There, allowed, and named once. */
static bool check_named(struct sb_asking *asking, struct sb_map *named)
{
    const struct sb_request *request = asking->request;
    for (size_t i = 0; i < request->device_count; i++) {
        const char *id = request->devices[i];
        struct sb_device *device = sb_registry_get(asking->intake->registry, id);
        if (!device)
            return no_device(asking, id);
        if (sb_map_get(named, id))
            return sb_refuse(asking, SB_CAUSE_INVALID_REQUEST, "device '%s' is named twice", id);
        if (asking->bound && !sb_device_may_command(device, asking->origin))
            return sb_refuse(asking, SB_CAUSE_REFUSED, "link '%s' may not command device '%s'",
                             asking->origin, id);
        if (sb_map_set(named, id, device) < 0 || sb_asking_share(asking, device, true) < 0)
            return out_of_memory(asking);
    }
    return true;
}

bool sb_asking_named(struct sb_asking *asking)
{
    const struct sb_request *request = asking->request;
    sb_cleanup(sb_map_done) struct sb_map named = { 0 };
    const char *wrong = request->targets ? sb_targets_wrong(request->targets) : NULL;
    if (!wrong)
        wrong = sb_tags_wrong(request->tags);
    if (wrong)
        return sb_refuse(asking, SB_CAUSE_INVALID_REQUEST, "%s", wrong);
    bool chooses = request->targets && sb_targets_choose(request->targets);
    if (request->device_count == 0 && !chooses)
        return sb_refuse(asking, SB_CAUSE_INVALID_REQUEST, "no device is named");
    if (request->targets && sb_targets_copy(request->targets, &asking->targets) < 0)
        return out_of_memory(asking);
    asking->chooses = chooses || request->rule;
    if (asking->chooses && request->device_count > NAMED_MAX)
        return sb_refuse(asking, SB_CAUSE_INVALID_REQUEST,
                         "beside groups, types, versions and rules at most %d devices are named",
                         NAMED_MAX);
    for (size_t i = 0; asking->chooses && i < request->device_count; i++) {
        if (!asking->targets.devices)
            asking->targets.devices = json_array();
        if (json_array_append_new(asking->targets.devices, json_string(request->devices[i])) < 0)
            return sb_refuse(asking, SB_CAUSE_INVALID_REQUEST, "the name of a device is malformed");
    }
    return check_named(asking, &named);
}

/* Those that it may not command are not meant by a door that chooses. */
static bool is_meant(const struct sb_asking *asking, const struct sb_device *device)
{
    const char *module = asking->package && asking->package->module ? asking->package->module : "";
    return sb_targets_match(&asking->targets, device, module) &&
           (!asking->bound || sb_device_may_command(device, asking->origin));
}

static bool is_anywhere(const struct sb_asking *asking, bool group, const char *name)
{
    const struct sb_device *device;
    for (size_t i = 0; (device = sb_registry_at(asking->intake->registry, i)); i++)
        if (group ? sb_device_in_group(device, name) : sb_streq(device->type_name, name))
            return true;
    return false;
}

/* A name that no device has is most likely misspelt. */
static bool nobody(struct sb_asking *asking)
{
    const json_t *const lists[] = { asking->targets.groups, asking->targets.types };
    size_t i;
    json_t *name;
    for (size_t l = 0; l < SB_COUNT(lists); l++)
        json_array_foreach ((json_t *)lists[l], i, name)
            if (!is_anywhere(asking, l == 0, json_string_value(name)))
                return sb_refuse(asking, SB_CAUSE_INVALID_REQUEST,
                                 "no device matches: none is %s '%s'",
                                 l == 0 ? "in group" : "of type", json_string_value(name));
    return sb_refuse(asking, SB_CAUSE_INVALID_REQUEST, "no device matches");
}

bool sb_asking_choose(struct sb_asking *asking)
{
    const struct sb_device *device;
    if (!asking->chooses)
        return true;
    asking->share_count = 0; /* those that were named are among all */
    for (size_t i = 0; (device = sb_registry_at(asking->intake->registry, i)); i++) {
        bool named = sb_json_has(asking->targets.devices, device->id);
        if (is_meant(asking, device) && sb_asking_share(asking, device, named) < 0)
            return out_of_memory(asking);
    }
    if (take_sample(asking) < 0)
        return out_of_memory(asking);
    return asking->share_count > 0 || nobody(asking);
}

bool sb_asking_leave_out(struct sb_asking *asking, struct sb_share *share)
{
    struct sb_verdict *verdict = asking->verdict;
    if (share->named)
        return false;
    free(share->text);
    share->cause = verdict->cause;
    share->text = SB_STEAL(verdict->text);
    verdict->cause = SB_CAUSE_NONE;
    return true;
}

void sb_asking_done(struct sb_asking *asking)
{
    for (size_t i = 0; i < asking->share_count; i++)
        free(asking->shares[i].text);
    free(asking->shares);
    sb_targets_done(&asking->targets);
}
