/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Alibaba's platform before a fleet: topology, sessions with so many logins a minute, one update
 * for all that is pushed at each login until its version, or a failure, was told.
 */
#pragma once

#include "tests/scenario/fleet.h"

#include "adapters/dialects/alibaba/alibaba.h"

#define PER_MINUTE 400 /* logins */

static unsigned logins, minute_logins;
static int64_t minute;
static bool offering;

static void answer(const char *topic, const json_t *request, int code, json_t *data)
{
    sb_cleanup(sb_freep) char *reply = sb_format("%s_reply", topic);
    (void)net_send(&server, client_id, reply,
                   json_pack("{s:O,s:i,s:o}", "id", json_object_get(request, "id"), "code", code,
                             "data", data ? data : json_object()),
                   0);
}

static int unit_of(const json_t *entry)
{
    return fleet_index(json_string_value(json_object_get(entry, "deviceName")));
}

static json_t *package(void)
{
    sb_cleanup(sb_freep) char *uri = four_uri("2.0.0");
    sb_cleanup(sb_freep) char *md5 = four_digest("2.0.0", true);
    return json_pack("{s:I,s:s,s:s,s:s,s:s,s:s}", "size", (json_int_t)four_size("2.0.0"), "sign",
                     md5, "version", "2.0.0", "url", uri, "signMethod", "Md5", "md5", md5);
}

static bool is_open(int unit)
{
    return offering && !units[unit].failed && strcmp(units[unit].version, "2.0.0") != 0;
}

static void push(int unit)
{
    sb_cleanup(sb_freep) char *topic = sb_format("/ota/device/upgrade/pk1/unit-%d", unit);
    if (is_open(unit))
        (void)net_send(&server, client_id, topic,
                       json_pack("{s:s,s:o,s:i}", "code", "1000", "data", package(), "id", 1), 1);
}

/* ---- sessions ---- */

static bool is_throttled(size_t count)
{
    if (net_now() / MINUTE != minute) {
        minute = net_now() / MINUTE;
        minute_logins = 0;
    }
    if (minute_logins + count > PER_MINUTE)
        return true;
    minute_logins += (unsigned)count;
    return false;
}

static int judge(const json_t *list)
{
    size_t i;
    json_t *entry;
    if (json_array_size(list) > 50)
        four_breach("%zu in one login", json_array_size(list));
    if (is_throttled(json_array_size(list)))
        return 429;
    json_array_foreach (list, i, entry) {
        int unit = unit_of(entry);
        if (unit < 0 || !units[unit].known)
            return 6401;
        if (units[unit].disabled)
            return 522;
    }
    return 200;
}

static void on_session(const char *topic, const char *what, const json_t *body)
{
    const json_t *params = json_object_get(body, "params");
    bool many = strncmp(what, "batch_", 6) == 0, in = strstr(what, "login") != NULL;
    const json_t *listed = in ? json_object_get(params, "deviceList") : params;
    sb_cleanup(json_decrefp) json_t *list =
        many ? json_incref((json_t *)listed) : json_pack("[O]", params);
    int code = in ? judge(list) : 200;
    size_t i;
    json_t *entry;
    logins += in;
    json_array_foreach (list, i, entry) {
        if (code != 200 || unit_of(entry) < 0)
            continue;
        units[unit_of(entry)].online = in;
        units[unit_of(entry)].taken = false;
    }
    answer(topic, body, code, NULL);
    json_array_foreach (list, i, entry) {
        if (code == 200 && in)
            push(unit_of(entry));
    }
}

static json_t *secrets(const json_t *list)
{
    json_t *made = json_array(), *entry;
    size_t i;
    json_array_foreach (list, i, entry) {
        json_t *copy = json_copy(entry);
        (void)json_object_set_new(copy, "deviceSecret", json_string("s3cret"));
        (void)json_array_append_new(made, copy);
    }
    return made;
}

static void on_gateway(const char *topic, const char *rest, const json_t *body)
{
    const json_t *params = json_object_get(body, "params");
    json_t *data = NULL, *entry;
    size_t i;
    if (strcmp(rest, "thing/topo/get") == 0) {
        data = json_array();
        for (int unit = 0; unit < FLEET; unit++) {
            sb_cleanup(sb_freep) char *name = sb_format("unit-%d", unit);
            if (units[unit].known)
                (void)json_array_append_new(
                    data, json_pack("{s:s,s:s}", "productKey", "pk1", "deviceName", name));
        }
    } else if (strcmp(rest, "thing/sub/register") == 0) {
        data = secrets(params);
    } else if (strcmp(rest, "thing/topo/add") == 0) {
        if (json_array_size(params) > 30)
            four_breach("%zu in one change of the topology", json_array_size(params));
        json_array_foreach (params, i, entry)
            units[unit_of(entry)].known = true;
    } else {
        if (!strstr(rest, "_reply"))
            four_breach("the gateway says %s", rest);
        return;
    }
    answer(topic, body, 200, data);
}

/* ---- updates ---- */

static void on_step(int unit, const json_t *params)
{
    const char *text = json_string_value(json_object_get(params, "step"));
    int step = text ? (int)strtol(text, NULL, 10) : -9;
    if (!is_open(unit))
        return; /* the end was heard already */
    if (step < 0)
        units[unit].failed = true;
    else if (step < units[unit].step)
        four_breach("unit-%d falls from %d to %d", unit, units[unit].step, step);
    units[unit].step = step;
}

static void on_version(int unit, const json_t *params)
{
    const char *version = json_string_value(json_object_get(params, "version"));
    bool was_open = is_open(unit);
    (void)snprintf(units[unit].version, sizeof(units[unit].version), "%s", version);
    succeeded += was_open && !is_open(unit);
}

static void end_session(int unit)
{
    sb_cleanup(sb_freep) char *name = sb_format("unit-%d", unit);
    units[unit].online = false;
    units[unit].taken = true;
    (void)net_send(&server, client_id, "/ext/error/pk0/gw1",
                   json_pack("{s:s,s:i,s:{s:s,s:s}}", "id", "1", "code", 520, "data", "productKey",
                             "pk1", "deviceName", name),
                   0);
}

static void on_unit(int unit, const char *topic, const char *what, const json_t *body)
{
    const json_t *params = json_object_get(body, "params");
    if (!units[unit].online && units[unit].taken)
        end_session(unit);
    else if (!units[unit].online)
        four_breach("unit-%d speaks without a session: %s", unit, topic);
    else if (strcmp(what, "inform") == 0)
        on_version(unit, params);
    else if (strcmp(what, "progress") == 0)
        on_step(unit, params);
    else if (strcmp(what, "thing/ota/firmware/get") == 0)
        answer(topic, body, 200, is_open(unit) ? package() : NULL);
    else if (strcmp(what, "thing/job/get") == 0)
        answer(topic, body, 200, NULL);
}

static void hear(const char *client SB_UNUSED, const char *topic, const char *payload, size_t n)
{
    sb_cleanup(json_decrefp) json_t *body = four_parse(payload, n);
    char product[32], name[32] = "", what[64];
    if (sscanf(topic, "/ext/session/pk0/gw1/combine/%63s", what) == 1)
        on_session(topic, what, body);
    else if (sscanf(topic, "/sys/pk0/gw1/%63s", what) == 1)
        on_gateway(topic, what, body);
    else if ((sscanf(topic, "/ota/device/%63[^/]/%31[^/]/%31s", what, product, name) == 3 ||
              sscanf(topic, "/sys/%31[^/]/%31[^/]/%63s", product, name, what) == 3) &&
             fleet_index(name) >= 0)
        on_unit(fleet_index(name), topic, what, body);
    else
        four_breach("unknown topic %s", topic);
}

static struct net_server server = {
    .host = "alibaba.example.com", .up = fleet_up, .down = fleet_down, .hear = hear
};
