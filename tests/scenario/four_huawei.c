/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IoTDA: sub-devices that are told to be online, upgrade tasks by $ota events, commands. A task is
 * a success when result_code 0 comes with the package's version, and a failure with another code.
 */
#include <stdio.h>
#include <string.h>

#include "bridge/base/str.h"
#include "tests/scenario/four_platforms.h"

#define GATEWAY   "gwp_gw1"
#define AGAIN     120000 /* ms without any report: the event is sent again */
#define TRIES     8
#define ANSWER_MS 25000

static struct {
    bool online;
    char version[24];
} devices[DEVICES];
static char client_id[128]; /* the hour is in it */

static int sub_device(const char *id)
{
    return id && strncmp(id, "p1_", 3) == 0 ? four_device_of(id + 3, strlen(id + 3)) : -1;
}

static void event(int device, const char *service, const char *type, const char *id, json_t *paras)
{
    sb_cleanup(sb_freep) char *who = device < 0 ? NULL : sb_format("p1_%s", four_devices[device]);
    (void)net_send(&four_huawei.server, client_id, "$oc/devices/" GATEWAY "/sys/events/down",
                   json_pack("{s:s*,s:[{s:s,s:s,s:s*,s:o}]}", "object_device_id", who, "services",
                             "service_id", service, "event_type", type, "event_id", id, "paras",
                             paras),
                   1);
}

/* ---- upgrades ---- */

static void push(struct request *request)
{
    sb_cleanup(sb_freep) char *uri = four_uri(request->version);
    sb_cleanup(sb_freep) char *sign = four_digest(request->version, false);
    request->sent++;
    event((int)request->device, "$ota", "firmware_upgrade", request->id,
          json_pack("{s:s,s:s,s:I,s:s,s:i,s:s,s:s}", "version", request->version, "url", uri,
                    "file_size", (json_int_t)four_size(request->version), "access_token", "tok",
                    "expires", 86400, "sign", sign, "task_id", request->id));
}

static void on_again(int64_t arg)
{
    struct request *request = &requests[arg];
    if (request->done || request->steps > 0)
        return;
    if (devices[request->device].online) {
        if (request->sent > TRIES)
            four_breach("huawei: %s of %s is never answered", request->id,
                        four_devices[request->device]);
        push(request);
    }
    net_later(AGAIN, on_again, arg);
}

static void on_progress(enum four_device device, const json_t *paras)
{
    struct request *request = four_last(HUAWEI, device);
    const json_t *code = json_object_get(paras, "result_code");
    const json_t *progress = json_object_get(paras, "progress");
    const char *version = json_string_value(json_object_get(paras, "version"));
    if (!json_is_integer(code) || !version) {
        four_breach("huawei: a report without result_code or version");
        return;
    }
    int c = (int)json_integer_value(code);
    int percent = progress ? (int)json_integer_value(progress) : c ? -1 : 100;
    if (!request) {
        four_breach("huawei: a report of %s without a task", four_devices[device]);
        return;
    }
    if (request->sent == 0) /* it waits for the device: nothing can be its end yet */
        return;
    bool whole = c == 0 && percent == 100;
    if (request->done && !request->dropped && (request->good ? c != 0 : whole))
        four_breach("huawei: %s of %s was %s and is now %d", request->id, four_devices[device],
                    request->good ? "good" : "bad", c);
    if (request->done)
        return;
    request->steps++;
    if (c == 0 && percent < request->percent)
        four_breach("huawei: %s of %s falls from %d to %d", request->id, four_devices[device],
                    request->percent, percent);
    if (c == 0)
        request->percent = percent;
    if (whole && strcmp(version, request->version) != 0)
        four_breach("huawei: done, but with %s", version);
    if (c != 0 || whole)
        four_end(request, c == 0, c);
}

static void on_ota(int device, const char *type, const json_t *paras)
{
    const char *version = json_string_value(json_object_get(paras, "fw_version"));
    if (device < 0)
        return; /* the gateway's own */
    bool reports = strcmp(type, "version_report") == 0;
    if (reports && !devices[device].online) /* how an upgrade ended may have waited for long */
        four_breach("huawei: %s says its version and is not online", four_devices[device]);
    if (reports && version)
        (void)snprintf(devices[device].version, sizeof(devices[device].version), "%s", version);
    else if (strcmp(type, "upgrade_progress_report") == 0)
        on_progress((enum four_device)device, paras);
}

/* ---- sub-devices ---- */

static void came_online(enum four_device device)
{
    struct request *request = four_open(HUAWEI, device);
    if (request && request->steps == 0)
        push(request);
}

static void on_status(const char *id, const json_t *paras)
{
    const json_t *list = json_object_get(paras, "device_statuses"), *entry;
    json_t *good = json_array(), *bad = json_array();
    bool came[DEVICES] = { false };
    size_t i;
    json_array_foreach (list, i, entry) {
        const char *name = json_string_value(json_object_get(entry, "device_id"));
        const char *status = json_string_value(json_object_get(entry, "status"));
        int device = sub_device(name);
        if (device < 0 || !status) {
            four_breach("huawei: status of %s", name ? name : "-");
            continue;
        }
        bool online = strcmp(status, "ONLINE") == 0;
        came[device] = online && !devices[device].online;
        devices[device].online = online;
        (void)json_array_append_new(good,
                                    json_pack("{s:s,s:s}", "device_id", name, "status", status));
    }
    event(-1, "$sub_device_manager", "sub_device_update_status_response", id,
          json_pack("{s:o,s:o}", "successful_devices", good, "failed_devices", bad));
    for (int d = 0; d < DEVICES; d++)
        if (came[d])
            came_online((enum four_device)d);
}

/* ---- commands ---- */

/* No code: values are the answer. */
static void on_answer(const char *id, const json_t *code_there)
{
    for (size_t i = 0; i < request_count; i++) {
        struct request *request = &requests[i];
        if (request->cloud != HUAWEI || strcmp(request->id, id) != 0)
            continue;
        int code = (int)json_integer_value(code_there);
        if (request->answers++ > 0 && code != request->code) /* it may have been heard twice */
            four_breach("huawei: %s is answered %d and %d", id, request->code, code);
        request->code = code;
        if (!request->done)
            four_end(request, request->code == 0, request->code);
        return;
    }
    four_breach("huawei: an answer to nothing: %s", id);
}

static void on_late(int64_t arg)
{
    const struct request *request = &requests[arg];
    if (request->answers == 0 && !request->lost)
        four_breach("huawei: command %s of %s is not answered", request->id,
                    four_devices[request->device]);
}

/* ---- what comes in ---- */

static void hear(const char *client SB_UNUSED, const char *topic, const char *payload, size_t n)
{
    static const char mine[] = "$oc/devices/" GATEWAY "/sys/";
    sb_cleanup(json_decrefp) json_t *body = four_parse(payload, n);
    char id[64];
    if (strncmp(topic, mine, sizeof(mine) - 1) != 0) {
        four_breach("huawei: unknown topic %s", topic);
        return;
    }
    const char *rest = topic + sizeof(mine) - 1;
    if (sscanf(rest, "commands/response/request_id=%63s", id) == 1 ||
        sscanf(rest, "properties/get/response/request_id=%63s", id) == 1) {
        on_answer(id, json_object_get(body, "result_code"));
        return;
    }
    if (strcmp(rest, "events/up") != 0)
        return; /* values */
    const char *name = json_string_value(json_object_get(body, "object_device_id"));
    const json_t *service;
    size_t i;
    json_array_foreach (json_object_get(body, "services"), i, service) {
        const char *what = json_string_value(json_object_get(service, "service_id"));
        const char *type = json_string_value(json_object_get(service, "event_type"));
        const char *number = json_string_value(json_object_get(service, "event_id"));
        const json_t *paras = json_object_get(service, "paras");
        if (!what || !type)
            four_breach("huawei: an event without a name");
        else if (strcmp(what, "$ota") == 0)
            on_ota(name ? sub_device(name) : -1, type, paras);
        else if (strcmp(type, "sub_device_update_status") == 0)
            on_status(number, paras);
    }
}

static void up(const char *client)
{
    (void)snprintf(client_id, sizeof(client_id), "%s", client);
}

/* What is under way is lost with the session; it is not a kept one. */
static void down(const char *client)
{
    if (strcmp(client, client_id) != 0)
        return;
    for (int i = 0; i < DEVICES; i++)
        devices[i].online = false;
    for (size_t i = 0; i < request_count; i++)
        if (requests[i].cloud == HUAWEI && requests[i].op > WISH && requests[i].answers == 0) {
            requests[i].lost = true;
            if (!requests[i].done)
                four_end(&requests[i], false, -1);
        }
}

/* ---- what it is asked for ---- */

static bool ask(struct request *request)
{
    enum four_device device = request->device;
    if (request->op == UPDATE) {
        net_later(AGAIN, on_again, request - requests);
        if (devices[device].online)
            push(request);
        return true;
    }
    if (!devices[device].online || request->op == WISH || request->op <= INSTALL)
        return false;
    bool read = request->op == READ;
    sb_cleanup(sb_freep) char *who = sb_format("p1_%s", four_devices[device]);
    sb_cleanup(sb_freep) char *topic = sb_format("$oc/devices/" GATEWAY "/sys/%s/request_id=%s",
                                                 read ? "properties/get" : "commands", request->id);
    json_t *payload =
        read ? json_pack("{s:s}", "object_device_id", who)
             : json_pack("{s:s,s:s,s:s,s:{}}", "object_device_id", who, "service_id", "management",
                         "command_name", request->op == REBOOT ? "reboot" : "dance", "paras");
    net_later(ANSWER_MS, on_late, request - requests);
    return net_send(&four_huawei.server, client_id, topic, payload, 1);
}

static void begin(void)
{
    memset(devices, 0, sizeof(devices));
    client_id[0] = '\0';
}

static const char *version_of(enum four_device device)
{
    return devices[device].version;
}

static bool present(enum four_device device)
{
    return devices[device].online;
}

struct four_platform four_huawei = {
    .server = { .host = "huawei.example.com", .up = up, .down = down, .hear = hear },
    .begin = begin,
    .ask = ask,
    .version = version_of,
    .present = present,
};
