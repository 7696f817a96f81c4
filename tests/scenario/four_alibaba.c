/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Alibaba Cloud IoT: topology and sessions of sub-devices, OTA by push, step and version, services.
 * An update is closed by the version alone, or by a step below 0. What is open is pushed at each
 * login, and there is no message that stops it.
 */
#include <stdio.h>
#include <string.h>

#include "bridge/base/str.h"
#include "tests/scenario/four_platforms.h"

static struct {
    bool joined, online;
    char version[24];
} devices[DEVICES];
static char client_id[160];
static int message_id;

static void answer(const char *topic, const json_t *request, json_t *data)
{
    sb_cleanup(sb_freep) char *reply = sb_format("%s_reply", topic);
    const json_t *id = json_object_get(request, "id");
    if (!json_is_string(id) && !json_is_integer(id))
        four_breach("alibaba: a request without an id on %s", topic);
    (void)net_send(&four_alibaba.server, client_id, reply,
                   json_pack("{s:O*,s:i,s:o,s:s}", "id", id, "code", 200, "data",
                             data ? data : json_object(), "message", "success"),
                   0);
}

static int of_entry(const json_t *entry)
{
    const char *product = json_string_value(json_object_get(entry, "productKey"));
    const char *name = json_string_value(json_object_get(entry, "deviceName"));
    bool ours = product && name && strcmp(product, "pk1") == 0;
    return ours ? four_device_of(name, strlen(name)) : -1;
}

/* ---- updates ---- */

static json_t *package_of(const struct request *request)
{
    sb_cleanup(sb_freep) char *uri = four_uri(request->version);
    sb_cleanup(sb_freep) char *md5 = four_digest(request->version, true);
    return json_pack("{s:I,s:s,s:s,s:s,s:s,s:s}", "size", (json_int_t)four_size(request->version),
                     "sign", md5, "version", request->version, "url", uri, "signMethod", "Md5",
                     "md5", md5);
}

static void push(struct request *request)
{
    sb_cleanup(sb_freep) char *topic =
        sb_format("/ota/device/upgrade/pk1/%s", four_devices[request->device]);
    request->sent++;
    (void)net_send(&four_alibaba.server, client_id, topic,
                   json_pack("{s:s,s:o,s:i,s:s}", "code", "1000", "data", package_of(request), "id",
                             ++message_id, "message", "success"),
                   1);
}

static void on_step(enum four_device device, const json_t *params)
{
    struct request *request = four_last(ALIBABA, device);
    const char *text = json_string_value(json_object_get(params, "step"));
    int step = text ? (int)strtol(text, NULL, 10) : -9;
    if (step < -4 || step > 100) {
        four_breach("alibaba: step %s of %s", text ? text : "-", four_devices[device]);
        return;
    }
    if (!request) {
        four_breach("alibaba: step %d of %s without an update", step, four_devices[device]);
        return;
    }
    if (request->done && !request->dropped && (request->good ? step < 0 : step >= 0))
        four_breach("alibaba: %s of %s was %s and is now %d", request->id, four_devices[device],
                    request->good ? "good" : "bad", step);
    if (request->done)
        return;
    request->steps++;
    if (step < 0) {
        four_end(request, false, step);
        return;
    }
    if (step < request->percent)
        four_breach("alibaba: %s of %s falls from %d to %d", request->id, four_devices[device],
                    request->percent, step);
    request->percent = step;
}

static void on_version(enum four_device device, const json_t *params)
{
    struct request *request = four_open(ALIBABA, device);
    const char *version = json_string_value(json_object_get(params, "version"));
    if (!version || json_object_get(params, "module")) {
        four_breach("alibaba: inform without a version of the device");
        return;
    }
    (void)snprintf(devices[device].version, sizeof(devices[device].version), "%s", version);
    if (!request)
        return;
    if (strcmp(version, request->version) == 0)
        four_end(request, true, 0);
    else if (request->percent >= 0 && strcmp(version, request->source) != 0)
        four_end(request, false, -9); /* "report version is not conform" */
}

static void on_get(const char *topic, enum four_device device, const json_t *body)
{
    const struct request *request = four_open(ALIBABA, device);
    answer(topic, body, request ? package_of(request) : json_object());
}

/* ---- topology and sessions ---- */

static void log_in(const json_t *entry, bool came[DEVICES])
{
    int device = of_entry(entry);
    if (device < 0 || !devices[device].joined) {
        four_breach("alibaba: login of a stranger");
        return;
    }
    came[device] = true;
    devices[device].online = true;
}

static void on_session(const char *topic, const char *what, const json_t *body)
{
    const json_t *params = json_object_get(body, "params"), *entry;
    bool came[DEVICES] = { false };
    size_t i;
    if (strcmp(what, "logout") == 0) {
        if (of_entry(params) >= 0)
            devices[of_entry(params)].online = false;
    } else if (strcmp(what, "login") == 0) {
        log_in(params, came);
    } else {
        json_array_foreach (json_object_get(params, "deviceList"), i, entry)
            log_in(entry, came);
    }
    answer(topic, body, json_incref((json_t *)params));
    for (int d = 0; d < DEVICES; d++) {
        struct request *request = came[d] ? four_open(ALIBABA, (enum four_device)d) : NULL;
        if (request)
            push(request);
    }
}

static json_t *topology(void)
{
    json_t *list = json_array();
    for (int i = 0; i < DEVICES; i++)
        if (devices[i].joined)
            (void)json_array_append_new(
                list, json_pack("{s:s,s:s}", "productKey", "pk1", "deviceName", four_devices[i]));
    return list;
}

static json_t *joined(const json_t *params, bool there)
{
    const json_t *entry;
    json_t *secrets = json_array();
    size_t i;
    json_array_foreach (params, i, entry) {
        int device = of_entry(entry);
        json_t *copy = json_copy((json_t *)entry);
        (void)json_object_set_new(copy, "deviceSecret", json_string("s3cret"));
        (void)json_object_set_new(copy, "iotId", json_string("i1"));
        (void)json_array_append_new(secrets, copy);
        if (device >= 0 && there)
            devices[device].joined = true;
    }
    return secrets;
}

static void on_gateway(const char *topic, const char *rest, const json_t *body)
{
    const json_t *params = json_object_get(body, "params");
    if (strcmp(rest, "thing/topo/get") == 0)
        answer(topic, body, topology());
    else if (strcmp(rest, "thing/sub/register") == 0)
        answer(topic, body, joined(params, false));
    else if (strcmp(rest, "thing/topo/add") == 0)
        answer(topic, body, joined(params, true));
}

/* ---- services ---- */

static void on_service_answer(const json_t *body)
{
    const char *id = json_string_value(json_object_get(body, "id"));
    for (size_t i = 0; id && i < request_count; i++) {
        struct request *request = &requests[i];
        if (request->cloud != ALIBABA || strcmp(request->id, id) != 0)
            continue;
        int code = (int)json_integer_value(json_object_get(body, "code"));
        if (request->answers++ > 0 && code != request->code) /* it may have been heard twice */
            four_breach("alibaba: %s is answered %d and %d", id, request->code, code);
        request->code = code;
        if (!request->done)
            four_end(request, request->code == 200, request->code);
        return;
    }
    four_breach("alibaba: an answer to nothing: %s", id ? id : "-");
}

/* ---- what comes in ---- */

static void on_device(enum four_device device, const char *topic, const char *what,
                      const json_t *body)
{
    const json_t *params = json_object_get(body, "params");
    if (!devices[device].online)
        four_breach("alibaba: %s speaks without a session: %s", four_devices[device], topic);
    else if (strcmp(what, "inform") == 0)
        on_version(device, params);
    else if (strcmp(what, "progress") == 0)
        on_step(device, params);
    else if (strcmp(what, "thing/ota/firmware/get") == 0)
        on_get(topic, device, body);
    else if (strncmp(what, "thing/service/", 14) == 0)
        on_service_answer(body);
    else if (strcmp(what, "thing/job/get") == 0)
        answer(topic, body, json_object());
}

static void hear(const char *client SB_UNUSED, const char *topic, const char *payload, size_t n)
{
    sb_cleanup(json_decrefp) json_t *body = four_parse(payload, n);
    char product[32] = "", name[32], what[64];
    int device = -1;
    if (sscanf(topic, "/ext/session/pk0/gw1/combine/%63s", what) == 1)
        on_session(topic, what, body);
    else if (sscanf(topic, "/ota/device/%63[^/]/%31[^/]/%31s", what, product, name) != 3 &&
             sscanf(topic, "/sys/%31[^/]/%31[^/]/%63s", product, name, what) != 3)
        four_breach("alibaba: unknown topic %s", topic);
    else if (strcmp(product, "pk0") == 0)
        on_gateway(topic, what, body);
    else
        device = four_device_of(name, strlen(name));
    if (device >= 0)
        on_device((enum four_device)device, topic, what, body);
}

static void up(const char *client)
{
    (void)snprintf(client_id, sizeof(client_id), "%s", client);
}

static void down(const char *client)
{
    if (strcmp(client, client_id) != 0)
        return;
    for (int i = 0; i < DEVICES; i++)
        devices[i].online = false;
    for (size_t i = 0; i < request_count; i++)
        if (requests[i].cloud == ALIBABA && requests[i].op > WISH && !requests[i].done)
            four_end(&requests[i], false, -1); /* its answer would come to no session */
}

/* ---- what it is asked for ---- */

static bool ask(struct request *request)
{
    if (request->op == UPDATE) {
        if (devices[request->device].online)
            push(request);
        return true;
    }
    if (!devices[request->device].online || request->op == WISH || request->op <= INSTALL)
        return false;
    const char *service = request->op == READ     ? "property/get"
                          : request->op == REBOOT ? "reboot"
                                                  : "dance";
    sb_cleanup(sb_freep) char *topic =
        sb_format("/sys/pk1/%s/thing/service/%s", four_devices[request->device], service);
    return net_send(&four_alibaba.server, client_id, topic,
                    json_pack("{s:s,s:s,s:s,s:o}", "id", request->id, "version", "1.0", "method",
                              "thing.service", "params",
                              request->op == READ ? json_pack("[s]", "speed") : json_object()),
                    1);
}

static void begin(void)
{
    memset(devices, 0, sizeof(devices));
    client_id[0] = '\0';
    message_id = 0;
}

static const char *version_of(enum four_device device)
{
    return devices[device].version;
}

static bool present(enum four_device device)
{
    return devices[device].online;
}

struct four_platform four_alibaba = {
    .server = { .host = "alibaba.example.com", .up = up, .down = down, .hear = hear },
    .begin = begin,
    .ask = ask,
    .version = version_of,
    .present = present,
};
