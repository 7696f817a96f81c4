/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Huawei's platform before a fleet: statuses, additions, a list of changes that it replays, upgrade
 * events that are sent again while nothing comes of them.
 */
#pragma once

#include "tests/scenario/fleet.h"

#include "adapters/dialects/huawei/huawei.h"

#define GATEWAY "gwp_gw1"
#define UP      "$oc/devices/" GATEWAY "/sys/"
#define MANAGER "$sub_device_manager"

static bool failures; /* are not out of place */
static bool silent;   /* no answer to statuses */
static unsigned statuses, additions;

static int unit_of(const char *id)
{
    return id && strncmp(id, "p1_", 3) == 0 ? fleet_index(id + 3) : -1;
}

static void event(int unit, const char *service, const char *type, const char *id, json_t *paras)
{
    sb_cleanup(sb_freep) char *who = unit < 0 ? NULL : sb_format("p1_unit-%d", unit);
    (void)net_send(&server, client_id, UP "events/down",
                   json_pack("{s:s*,s:[{s:s,s:s,s:s*,s:o}]}", "object_device_id", who, "services",
                             "service_id", service, "event_type", type, "event_id", id, "paras",
                             paras),
                   1);
}

/* ---- the upgrade ---- */

static void push(int unit)
{
    sb_cleanup(sb_freep) char *uri = four_uri("2.0.0");
    sb_cleanup(sb_freep) char *sign = four_digest("2.0.0", false);
    sb_cleanup(sb_freep) char *id = sb_format("event-%d-%u", unit, units[unit].offers);
    units[unit].pushed++;
    event(unit, "$ota", "firmware_upgrade_v2", id,
          json_pack("{s:s,s:s,s:I,s:i,s:s,s:s,s:i}", "version", "2.0.0", "url", uri, "file_size",
                    (json_int_t)four_size("2.0.0"), "expires", 86400, "sign", sign, "task_id", "t1",
                    "sub_device_count", FLEET));
}

static void on_again(int64_t arg)
{
    int unit = (int)arg;
    if (units[unit].done && !failures)
        return;
    if (!units[unit].done && !units[unit].failed && units[unit].online && units[unit].step < 0)
        push(unit);
    net_later(2 * MINUTE, on_again, arg);
}

static void on_progress(int unit, const json_t *paras)
{
    int code = (int)json_integer_value(json_object_get(paras, "result_code"));
    int percent = (int)json_integer_value(json_object_get(paras, "progress"));
    const char *version = json_string_value(json_object_get(paras, "version"));
    if (units[unit].taken)
        return;
    if (units[unit].pushed == 0)
        four_breach("unit-%d reports what nobody asked for", unit);
    if (code != 0 && failures) {
        units[unit].failed = true;
        return;
    }
    if (code != 0)
        four_breach("unit-%d failed: %d, %s", unit, code,
                    json_string_value(json_object_get(paras, "description")));
    if (units[unit].done)
        return; /* once more */
    if (percent < units[unit].step)
        four_breach("unit-%d falls from %d to %d", unit, units[unit].step, percent);
    units[unit].step = percent;
    if (percent < 100)
        return;
    if (!version || strcmp(version, "2.0.0") != 0)
        four_breach("unit-%d is done with %s", unit, version ? version : "nothing");
    units[unit].done = true;
    succeeded++;
}

static void on_ota(int unit, const char *type, const json_t *paras)
{
    const char *version = json_string_value(json_object_get(paras, "fw_version"));
    if (unit < 0)
        return; /* the gateway's own */
    if (strcmp(type, "upgrade_progress_report") == 0) {
        on_progress(unit, paras);
        return;
    }
    if (!units[unit].online && !units[unit].taken)
        four_breach("unit-%d says its version and is not online", unit);
    (void)snprintf(units[unit].version, sizeof(units[unit].version), "%s", version ? version : "");
}

/* ---- the family ---- */

static void on_status(const char *id, const json_t *paras)
{
    const json_t *list = json_object_get(paras, "device_statuses"), *entry;
    json_t *good = json_array(), *bad = json_array();
    size_t i;
    statuses++;
    if (silent) {
        json_decref(good);
        json_decref(bad);
        return;
    }
    if (json_array_size(list) > 100)
        four_breach("%zu statuses in one message", json_array_size(list));
    json_array_foreach (list, i, entry) {
        const char *name = json_string_value(json_object_get(entry, "device_id"));
        int unit = unit_of(name);
        if (unit < 0 || !units[unit].known) {
            (void)json_array_append_new(bad,
                                        json_pack("{s:s,s:s,s:s}", "device_id", name, "error_code",
                                                  "IOTDA.014000", "error_msg", "no such device"));
            continue;
        }
        const char *status = json_string_value(json_object_get(entry, "status"));
        units[unit].online = status && strcmp(status, "ONLINE") == 0;
        units[unit].taken = false;
        (void)json_array_append(good, (json_t *)entry);
    }
    event(-1, MANAGER, "sub_device_update_status_response", id,
          json_pack("{s:o,s:o}", "successful_devices", good, "failed_devices", bad));
}

static void on_add(const char *id, const json_t *paras)
{
    json_t *list = json_object_get(paras, "devices"), *entry;
    size_t i;
    additions++;
    if (json_array_size(list) > 50)
        four_breach("%zu additions in one message", json_array_size(list));
    json_array_foreach (list, i, entry) {
        int unit = unit_of(json_string_value(json_object_get(entry, "device_id")));
        if (unit < 0)
            four_breach("a stranger is to be added");
        else
            units[unit].known = true;
    }
    event(-1, MANAGER, "add_sub_device_response", id,
          json_pack("{s:O,s:[]}", "successful_devices", list, "failed_devices"));
}

/* ---- its list of sub-devices ---- */

#define CHANGES_MAX 4096
static struct {
    int unit;
    bool added;
} changes[CHANGES_MAX];
static size_t change_count;

static void tell_change(size_t version)
{
    int unit = changes[version - 1].unit;
    sb_cleanup(sb_freep) char *name = sb_format("p1_unit-%d", unit);
    sb_cleanup(sb_freep) char *node = sb_format("unit-%d", unit);
    event(-1, MANAGER,
          changes[version - 1].added ? "add_sub_device_notify" : "delete_sub_device_notify", NULL,
          json_pack("{s:[{s:s,s:s,s:s}],s:I}", "devices", "parent_device_id", GATEWAY, "node_id",
                    node, "device_id", name, "version", (json_int_t)version));
}

static void change(int unit, bool added)
{
    if (units[unit].known == added || change_count == CHANGES_MAX)
        return;
    units[unit].known = added;
    units[unit].online = units[unit].done = units[unit].failed = false;
    units[unit].taken = true;
    units[unit].pushed = 0;
    units[unit].step = -1;
    *units[unit].version = '\0';
    changes[change_count].unit = unit;
    changes[change_count++].added = added;
    tell_change(change_count);
}

static void on_sync(const json_t *paras)
{
    size_t version = (size_t)json_integer_value(json_object_get(paras, "version"));
    if (version > change_count)
        four_breach("the list has %zu changes, not %zu", change_count, version);
    while (version < change_count)
        tell_change(++version);
}

static void on_service(int unit, const json_t *service)
{
    const char *what = json_string_value(json_object_get(service, "service_id"));
    const char *type = json_string_value(json_object_get(service, "event_type"));
    const char *id = json_string_value(json_object_get(service, "event_id"));
    const json_t *paras = json_object_get(service, "paras");
    if (!what || !type)
        four_breach("an event without a name");
    else if (strcmp(what, "$ota") == 0)
        on_ota(unit, type, paras);
    else if (strcmp(type, "sub_device_update_status") == 0)
        on_status(id, paras);
    else if (strcmp(type, "add_sub_device_request") == 0)
        on_add(id, paras);
    else if (strcmp(type, "sub_device_sync_request") == 0)
        on_sync(paras);
    else
        four_breach("the gateway says %s", type);
}

static void hear(const char *client SB_UNUSED, const char *topic, const char *payload, size_t n)
{
    sb_cleanup(json_decrefp) json_t *body = four_parse(payload, n);
    json_t *service;
    size_t i;
    if (n > 65536)
        four_breach("%zu bytes in one message", n);
    if (strcmp(topic, UP "gateway/sub_devices/properties/report") == 0)
        return;
    if (strcmp(topic, UP "events/up") != 0)
        four_breach("unknown topic %s", topic);
    const char *name = json_string_value(json_object_get(body, "object_device_id"));
    json_array_foreach (json_object_get(body, "services"), i, service)
        on_service(unit_of(name), service);
}

static struct net_server server = {
    .host = "huawei.example.com", .up = fleet_up, .down = fleet_down, .hear = hear
};
