/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/control/verb.h"

#include "bridge/base/str.h"
#include "bridge/mapping/type.h"

#define LIST_MAX 1000

json_t *sb_view_device(const struct sb_device *device)
{
    json_t *object = sb_device_json(device);
    if (!object)
        return NULL;
    (void)json_object_set_new(object, "presence",
                              json_string(sb_presence_name((int)device->presence)));
    (void)json_object_set_new(object, "known_type", json_boolean(device->type != NULL));
    if (device->trouble)
        (void)json_object_set_new(object, "trouble", json_string(device->trouble));
    if (device->seen)
        (void)json_object_set_new(object, "seen", json_integer(device->seen));
    return object;
}

struct sb_device *sb_call_device(struct sb_call *call, const char *key)
{
    const char *id = sb_json_str(call->args, key);
    struct sb_device *device = id ? sb_registry_get(call->core->registry, id) : NULL;
    if (device)
        return device;
    sb_cleanup(sb_freep) char *text = sb_registry_missing(call->core->registry, id);
    sb_call_refuse(call, SB_REFUSAL_NOT_FOUND, "%s", text ? text : "there is no such device");
    return NULL;
}

static struct sb_device *find(struct sb_call *call)
{
    return sb_call_device(call, "id");
}

static bool is_wanted(const struct sb_call *call, const struct sb_device *device)
{
    const char *type = sb_json_str(call->args, "type");
    const char *bus = sb_json_str(call->args, "bus");
    const char *presence = sb_json_str(call->args, "presence");
    const char *group = sb_json_str(call->args, "group");
    return (!group || sb_device_in_group(device, group)) &&
           (!type || sb_streq(type, device->type_name)) && (!bus || sb_streq(bus, device->bus)) &&
           (!presence || sb_streq(presence, sb_presence_name((int)device->presence)));
}

/* In order of registration; `after` is the `order` of the last one of the page before. */
int sb_verb_device_list(struct sb_call *call)
{
    const struct sb_device *device;
    const char *presence = sb_json_str(call->args, "presence");
    int64_t after = sb_json_int(call->args, "after", 0);
    int64_t limit = sb_json_int(call->args, "limit", LIST_MAX);
    if (limit < 1 || limit > LIST_MAX)
        return sb_call_refuse(call, SB_REFUSAL_USAGE, "limit is 1 to %d", LIST_MAX);
    if (presence && sb_presence_from_name(presence) < 0)
        return sb_call_refuse(call, SB_REFUSAL_USAGE, "presence is ready, offline or unknown");
    call->data = json_array();
    for (size_t i = 0; (device = sb_registry_at(call->core->registry, i)); i++)
        if (device->order > after && is_wanted(call, device) &&
            json_array_size(call->data) < (size_t)limit)
            (void)json_array_append_new(call->data, sb_view_device(device));
    return 0;
}

/* What its type lets one ask of it. */
static json_t *view_operations(const struct sb_device *device)
{
    json_t *list = json_array();
    for (int op = 0; device->type && op < SB_OP_MAX_; op++)
        if (sb_type_allows(device->type, (enum sb_op)op))
            (void)json_array_append_new(list, json_string(sb_op_name(op)));
    return list;
}

/* And the names of its own actions. */
static json_t *view_actions(const struct sb_device *device)
{
    json_t *list = json_array();
    const char *name;
    json_t *spec;
    json_object_foreach (device->type ? device->type->actions : NULL, name, spec) {
        (void)json_array_append_new(list, json_string(name));
    }
    return list;
}

int sb_verb_device_show(struct sb_call *call)
{
    const struct sb_device *device = find(call);
    if (!device)
        return -1;
    call->data = sb_view_device(device);
    (void)json_object_set_new(call->data, "operations", view_operations(device));
    (void)json_object_set_new(call->data, "actions", view_actions(device));
    if (device->type && device->type->title)
        (void)json_object_set_new(call->data, "title", json_string(device->type->title));
    if (device->transcript)
        (void)json_object_set_new(call->data, "transcript", json_string(device->transcript));
    json_t *open = json_array();
    const struct sb_task *task = NULL;
    while ((task = sb_book_of_device(call->core->book, device->id, task)))
        (void)json_array_append_new(open, sb_task_json(task));
    return json_object_set_new(call->data, "open_tasks", open);
}

int sb_verb_device_add(struct sb_call *call)
{
    struct sb_diags diags = { 0 };
    int r = sb_core_add_device(call->core, call->args, call->actor, &diags);
    sb_cleanup(sb_freep) char *text = diags.total ? sb_diags_text(&diags) : NULL;
    sb_diags_done(&diags);
    if (text)
        return sb_call_refuse(call, SB_REFUSAL_REFUSED, "%s", text);
    if (r < 0)
        return sb_call_failed(call, r, "device add");
    call->data =
        sb_view_device(sb_registry_get(call->core->registry, sb_json_str(call->args, "id")));
    return 0;
}

/* The groups as they are, without what is to go, and with what is to come. */
static json_t *regrouped(const struct sb_device *device, const json_t *add, const json_t *remove)
{
    json_t *groups = json_array();
    const json_t *const from[] = { device->groups, add };
    for (size_t f = 0; f < SB_COUNT(from); f++) {
        size_t i;
        json_t *name;
        json_array_foreach ((json_t *)from[f], i, name) {
            bool twice = sb_json_has(groups, json_string_value(name));
            bool gone = f == 0 && sb_json_has(remove, json_string_value(name));
            if (!twice && !gone)
                (void)json_array_append(groups, name);
        }
    }
    return groups;
}

int sb_verb_device_group(struct sb_call *call)
{
    const struct sb_device *device = find(call);
    struct sb_diags diags = { 0 };
    size_t i;
    json_t *name;
    if (!device)
        return -1;
    const json_t *add = sb_json_array(call->args, "add");
    const json_t *remove = sb_json_array(call->args, "remove");
    if (!json_array_size(add) && !json_array_size(remove))
        return sb_call_refuse(call, SB_REFUSAL_USAGE, "device group: name groups to add or remove");
    json_array_foreach ((json_t *)add, i, name)
        if (sb_json_has(remove, json_string_value(name)))
            return sb_call_refuse(call, SB_REFUSAL_USAGE,
                                  "device group: '%s' is both to be added and to be removed",
                                  json_string_value(name));
    sb_cleanup(json_decrefp) json_t *groups = regrouped(device, add, remove);
    int r = sb_core_group_device(call->core, device->id, groups, call->actor, &diags);
    sb_cleanup(sb_freep) char *text = diags.total ? sb_diags_text(&diags) : NULL;
    sb_diags_done(&diags);
    if (text)
        return sb_call_refuse(call, SB_REFUSAL_USAGE, "%s", text);
    if (r == -EPERM)
        return sb_call_refuse(call, SB_REFUSAL_REFUSED,
                              "device '%s' is declared in a file of devices.d: change its groups "
                              "there, then `southbridgectl reload`",
                              device->id);
    if (r < 0)
        return sb_call_failed(call, r, "device group");
    call->data = sb_view_device(device);
    return 0;
}

int sb_verb_device_remove(struct sb_call *call)
{
    const struct sb_device *device = find(call);
    if (!device)
        return -1;
    if (device->declared)
        return sb_call_refuse(call, SB_REFUSAL_REFUSED,
                              "device '%s' is declared in a file of devices.d: remove it there, "
                              "then `southbridgectl reload`",
                              device->id);
    int r = sb_core_remove_device(call->core, device->id, call->actor);
    return r < 0 ? sb_call_failed(call, r, "device remove") : 0;
}

int sb_verb_device_identify(struct sb_call *call)
{
    const struct sb_device *device = find(call);
    if (!device)
        return -1;
    sb_cleanup(sb_freep) char *subject = sb_format("device %s", device->id);
    int r = subject ? sb_runner_identify(call->core->runner, device->id) : -ENOMEM;
    if (r >= 0)
        r = sb_audit_add(call->core->audit, call->actor, "identify", subject,
                         sb_loop_wall(call->core->parts.loop), NULL);
    if (r == -ENODEV)
        return sb_call_refuse(call, SB_REFUSAL_REFUSED,
                              "device '%s' has no driver or no bus to ask it on", device->id);
    call->data = sb_view_device(device);
    return r < 0 ? sb_call_failed(call, r, "device identify") : 0;
}
