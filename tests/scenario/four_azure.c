/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An IoT hub: twins and direct methods. A method needs a connection and is answered once, on it;
 * a twin is a state that is read after each connect.
 */
#include <stdio.h>
#include <string.h>

#include "bridge/base/str.h"
#include "tests/scenario/four_platforms.h"

#define ANSWER_MS 40000
#define RES       "$iothub/twin/res/%d/?$rid=%s"
#define GATEWAY   "gw1"

unsigned azure_throttled;
bool azure_gateway;

static struct twin {
    json_t *desired, *reported;
    int64_t desired_version, reported_version;
    bool read;    /* since it connected */
} twins[DEVICES]; /* of the gateway: the first */

static const char *client_of(enum four_device device)
{
    return azure_gateway ? GATEWAY : four_devices[device];
}

static struct twin *twin_of(enum four_device device)
{
    return &twins[azure_gateway ? 0 : device];
}

/* A device's part of desired or reported properties; NULL: there is none. */
static json_t *part_of(json_t *properties, enum four_device device)
{
    return azure_gateway
               ? json_object_get(json_object_get(properties, "children"), four_devices[device])
               : properties;
}

static void merge(json_t *into, const json_t *patch)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)patch, key, value) {
        json_t *old = json_object_get(into, key);
        if (json_is_null(value)) {
            (void)json_object_del(into, key);
        } else if (json_is_object(value)) {
            json_t *fresh = json_is_object(old) ? NULL : json_object();
            if (fresh)
                (void)json_object_set_new(into, key, fresh);
            merge(fresh ? fresh : old, value);
        } else {
            (void)json_object_set(into, key, value);
        }
    }
}

static const json_t *find(enum four_device device, const char *path)
{
    const json_t *at = part_of(twin_of(device)->reported, device);
    while (at && *path) {
        size_t n = strcspn(path, "/");
        sb_cleanup(sb_freep) char *key = strndup(path, n);
        at = json_object_get(at, key);
        path += n + (path[n] == '/');
    }
    return at;
}

const char *azure_says(enum four_device device, const char *path)
{
    const char *text = json_string_value(find(device, path));
    return text ? text : "";
}

/* ---- what became of it ---- */

static void look_at_wish(struct request *request)
{
    enum four_device device = request->device;
    int64_t av = json_integer_value(find(device, "firmware/av"));
    int ac = (int)json_integer_value(find(device, "firmware/ac"));
    if (av < request->revision)
        return;
    request->answers = 1;
    request->code = ac;
    if (ac != 202)
        four_end(request, ac == 200, ac);
}

/* As far as a state can tell: what came later is shown in its place. Then it stays open here. */
static void look_at_update(struct request *request)
{
    enum four_device device = request->device;
    const char *pending = azure_says(device, "firmware/pendingFwVersion");
    const char *current = azure_says(device, "firmware/currentFwVersion");
    const char *status = azure_says(device, "firmware/fwUpdateStatus");
    bool ended = *azure_says(device, "firmware/lastFwUpdateEndTime") != '\0' &&
                 strcmp(azure_says(device, "firmware/lastFwUpdateStartTime"), request->before) != 0;
    bool error = *azure_says(device, "firmware/error/code") != '\0';
    request->begun = request->begun || strcmp(pending, request->version) == 0;
    const char *shows = request->op == DOWNLOAD ? pending : current;
    bool own =
        !*request->version || (error ? request->begun : strcmp(shows, request->version) == 0);
    if (request->code != 202 || !ended || !own)
        return;
    if (error || strcmp(status, "current") == 0)
        four_end(request, !error, error);
}

static void look(enum four_device device)
{
    struct request *request = four_open(AZURE, device);
    if (request && request->op == WISH)
        look_at_wish(request);
    else if (request)
        look_at_update(request);
}

/* ---- what comes in ---- */

static void answer_twin(const char *client, int status, const char *rid, json_t *body)
{
    sb_cleanup(sb_freep) char *topic = sb_format(RES, status, rid);
    (void)net_send(&four_azure.server, client, topic, body, 0);
}

static json_t *with_version(const json_t *part, int64_t version)
{
    json_t *copy = json_deep_copy(part);
    (void)json_object_set_new(copy, "$version", json_integer(version));
    return copy;
}

static void on_report(struct twin *twin, const char *client, const char *rid, const char *payload,
                      size_t n)
{
    if (net_draw(100) < azure_throttled) {
        answer_twin(client, 429, rid, json_pack("{s:i}", "errorCode", 429001));
        return;
    }
    sb_cleanup(json_decrefp) json_t *patch = four_parse(payload, n);
    merge(twin->reported, patch);
    sb_cleanup(sb_freep) char *rest =
        sb_format("%s&$version=%lld", rid, (long long)++twin->reported_version);
    answer_twin(client, 204, rest, NULL);
    for (int i = 0; i < DEVICES; i++)
        look((enum four_device)i);
}

static void on_answer(int status, const char *rid)
{
    for (size_t i = 0; i < request_count; i++) {
        struct request *request = &requests[i];
        if (request->cloud != AZURE || strcmp(request->id, rid) != 0)
            continue;
        if (request->answers++ > 0)
            four_breach("azure: %s is answered twice", rid);
        request->code = status;
        if (request->op > WISH || status >= 400 || status == 200)
            four_end(request, status < 300, status);
        look(request->device);
        return;
    }
    four_breach("azure: an answer to nothing: %s", rid);
}

static void hear(const char *client, const char *topic, const char *payload, size_t n)
{
    char rid[64], status[8];
    int device =
        azure_gateway && strcmp(client, GATEWAY) == 0 ? 0 : four_device_of(client, strlen(client));
    if (device < 0) {
        four_breach("azure: who is %s?", client);
    } else if (sscanf(topic, "$iothub/twin/GET/?$rid=%63s", rid) == 1) {
        const struct twin *twin = &twins[device];
        answer_twin(client, 200, rid,
                    json_pack("{s:o,s:o}", "desired",
                              with_version(twin->desired, twin->desired_version), "reported",
                              with_version(twin->reported, twin->reported_version)));
    } else if (sscanf(topic, "$iothub/twin/PATCH/properties/reported/?$rid=%63s", rid) == 1) {
        on_report(&twins[device], client, rid, payload, n);
    } else if (sscanf(topic, "$iothub/methods/res/%7[0-9]/?$rid=%63s", status, rid) == 2) {
        on_answer((int)strtol(status, NULL, 10), rid);
    } else {
        four_breach("azure: unknown topic %s", topic);
    }
}

static void down(const char *client)
{
    int device = four_device_of(client, strlen(client));
    for (size_t i = 0; i < request_count; i++)
        if (requests[i].cloud == AZURE && (azure_gateway || (int)requests[i].device == device) &&
            requests[i].op != WISH && requests[i].answers == 0) {
            requests[i].lost = true;
            if (!requests[i].done) /* for the hub it has timed out; what the device does is seen */
                four_end(&requests[i], false, 504);
        }
}

static void on_late(int64_t arg)
{
    const struct request *request = &requests[arg];
    if (request->answers == 0 && !request->lost)
        four_breach("azure: %s of %s is not answered", request->id, four_devices[request->device]);
}

/* ---- what it is asked for ---- */

static bool wish(struct request *request)
{
    struct twin *twin = twin_of(request->device);
    sb_cleanup(sb_freep) char *uri = four_uri(request->version);
    json_t *patch =
        json_pack("{s:{s:s,s:s}}", "firmware", "fwVersion", request->version, "fwPackageURI", uri);
    if (azure_gateway)
        patch = json_pack("{s:{s:o}}", "children", four_devices[request->device], patch);
    for (struct request *r = requests; r < request; r++)
        if (r->cloud == AZURE && r->device == request->device && r->op == WISH && !r->done)
            r->done = r->dropped = true;
    merge(twin->desired, patch);
    request->revision = ++twin->desired_version;
    sb_cleanup(sb_freep) char *topic = sb_format(
        "$iothub/twin/PATCH/properties/desired/?$version=%lld", (long long)twin->desired_version);
    (void)json_object_set_new(patch, "$version", json_integer(twin->desired_version));
    (void)net_send(&four_azure.server, client_of(request->device), topic, patch, 0);
    return true;
}

static bool ask(struct request *request)
{
    static const char *const methods[OPS] = { [DOWNLOAD] = "firmwareDownload",
                                              [INSTALL] = "firmwareInstall",
                                              [UPDATE] = "firmwareUpdate",
                                              [REBOOT] = "reboot",
                                              [CANCEL] = "cancelFirmwareUpdate",
                                              [READ] = "readProperties",
                                              [STRANGE] = "dance" };
    const char *client = client_of(request->device);
    (void)snprintf(request->before, sizeof(request->before), "%s",
                   azure_says(request->device, "firmware/lastFwUpdateStartTime"));
    if (request->op == WISH)
        return wish(request);
    if (!net_is_up(&four_azure.server, client))
        return false; /* 404103 DeviceNotOnline */
    sb_cleanup(sb_freep) char *uri = four_uri(request->version);
    sb_cleanup(sb_freep) char *topic =
        sb_format("$iothub/methods/POST/%s/?$rid=%s", methods[request->op], request->id);
    json_t *payload =
        request->op == UPDATE || request->op == DOWNLOAD
            ? json_pack("{s:s,s:s}", "fwPackageUri", uri, "fwVersion", request->version)
            : json_object();
    if (azure_gateway)
        (void)json_object_set_new(payload, "target", json_string(four_devices[request->device]));
    net_later(ANSWER_MS, on_late, request - requests);
    return net_send(&four_azure.server, client, topic, payload, 0);
}

static void begin(void)
{
    for (int i = 0; i < DEVICES; i++) {
        json_decref(twins[i].desired);
        json_decref(twins[i].reported);
        twins[i] = (struct twin){ .desired = json_object(),
                                  .reported = json_object(),
                                  .desired_version = 1,
                                  .reported_version = 1 };
    }
    azure_throttled = 0;
}

static const char *version_of(enum four_device device)
{
    return azure_says(device, "firmware/currentFwVersion");
}

static bool present(enum four_device device)
{
    return net_is_up(&four_azure.server, client_of(device));
}

static void up(const char *client SB_UNUSED)
{
}

struct four_platform four_azure = {
    .server = { .host = "azure.example.com", .up = up, .down = down, .hear = hear },
    .begin = begin,
    .ask = ask,
    .version = version_of,
    .present = present,
};
