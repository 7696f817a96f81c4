/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watson IoT: device/update, observe, the action, notify, cancel. A step that is not answered is
 * sent again as it was. A reboot is complete with the next manage.
 */
#include <stdio.h>
#include <string.h>

#include "bridge/base/str.h"
#include "tests/scenario/four_platforms.h"

#define CLIENT  "g:org123:gateway:gw1"
#define AGAIN   60000 /* ms */
#define TRIES   8
#define ANSWERS 4096

enum step { NONE, WRITE, OBSERVE, ACT, AWAIT, ENDS };

static struct {
    struct request *request;
    char version[24];
    char id[24]; /* of the step's message */
    enum step step;
    enum four_op acts; /* DOWNLOAD, INSTALL, and what has no other steps */
    int final;
    unsigned tries;
    bool managed, good;
} devices[DEVICES];

static struct {
    enum four_device device;
    int rc; /* 0: not answered yet */
    bool lost;
} answers[ANSWERS];
static unsigned answer_count;

static void next(enum four_device device, enum step step);

static json_t *fields(const char *name, json_t *value)
{
    return json_pack("{s:[{s:s,s:o*}]}", "fields", "field", name, "value", value);
}

static json_t *image_of(const struct request *request)
{
    sb_cleanup(sb_freep) char *uri = four_uri(request->version);
    sb_cleanup(sb_freep) char *digest = four_digest(request->version, false);
    return json_pack("{s:s,s:s,s:s,s:s,s:i,s:i,s:s}", "version", request->version, "name", "fw",
                     "uri", uri, "verifier", digest, "state", 0, "updateStatus", 0,
                     "updatedDateTime", "");
}

static void publish(enum four_device device, const char *what, json_t *d, const char *id)
{
    sb_cleanup(sb_freep) char *topic =
        sb_format("iotdm-1/type/%s/id/%s/%s", four_types[device], four_devices[device], what);
    (void)net_send(&four_ibm.server, CLIENT, topic, json_pack("{s:s,s:o*}", "reqId", id, "d", d),
                   1);
}

static void send_step(enum four_device device)
{
    const char *id = devices[device].id;
    static const char *const acts[OPS] = { [DOWNLOAD] = "mgmt/initiate/firmware/download",
                                           [INSTALL] = "mgmt/initiate/firmware/update",
                                           [REBOOT] = "mgmt/initiate/device/reboot",
                                           [READ] = "mgmt/custom/southbridge/read",
                                           [STRANGE] = "mgmt/custom/southbridge/dance" };
    switch (devices[device].step) {
    case WRITE:
        publish(device, "device/update", fields("mgmt.firmware", image_of(devices[device].request)),
                id);
        break;
    case OBSERVE:
        publish(device, "observe", fields("mgmt.firmware", NULL), id);
        break;
    case ACT:
        publish(device, acts[devices[device].acts],
                devices[device].acts == READ ? fields("name", json_string("speed")) : NULL, id);
        break;
    case ENDS:
        publish(device, "cancel", fields("mgmt.firmware", NULL), id);
        break;
    default:
        break;
    }
}

/* Not answered: the gateway may have lost it with its power. */
static void on_again(int64_t arg)
{
    enum four_device device = (enum four_device)(arg % DEVICES);
    sb_cleanup(sb_freep) char *id = sb_format("i%lld", (long long)(arg / DEVICES));
    if (strcmp(devices[device].id, id) != 0 || devices[device].step == NONE ||
        devices[device].step == AWAIT)
        return;
    bool up = net_is_up(&four_ibm.server, CLIENT); /* else it is kept for the session */
    if (up && ++devices[device].tries > TRIES) {
        four_breach("ibm: %s: %s is never answered", four_devices[device], id);
        return;
    }
    if (up)
        send_step(device);
    net_later(AGAIN, on_again, arg);
}

static void next(enum four_device device, enum step step)
{
    devices[device].step = step;
    devices[device].tries = 0;
    if (step == AWAIT || step == NONE)
        return;
    if (answer_count == ANSWERS)
        abort();
    answers[answer_count].device = device;
    (void)snprintf(devices[device].id, sizeof(devices[device].id), "i%u", answer_count);
    send_step(device);
    net_later(AGAIN, on_again, (int64_t)answer_count * DEVICES + (int)device);
    answer_count++;
}

/* The action has come to its end; the observation is over then, too. */
static void conclude(enum four_device device, bool good, int final)
{
    if (devices[device].acts >= REBOOT) { /* there was none */
        four_end(devices[device].request, good, final);
        next(device, NONE);
        return;
    }
    devices[device].good = good;
    devices[device].final = final;
    next(device, ENDS);
}

static void observation_ended(enum four_device device)
{
    struct request *request = devices[device].request;
    if (devices[device].good && request->op == UPDATE && devices[device].acts == DOWNLOAD) {
        devices[device].acts = INSTALL;
        next(device, OBSERVE);
        return;
    }
    four_end(request, devices[device].good, devices[device].final);
    next(device, NONE);
}

/* ---- what comes in ---- */

static void on_response(const json_t *body)
{
    static const int wanted[] = { [WRITE] = 204, [OBSERVE] = 200, [ACT] = 202, [ENDS] = 200 };
    const char *id = json_string_value(json_object_get(body, "reqId"));
    int rc = (int)json_integer_value(json_object_get(body, "rc"));
    size_t number = id && *id == 'i' ? strtoul(id + 1, NULL, 10) : ANSWERS;
    if (!id || number >= answer_count) {
        four_breach("ibm: a response to nothing: %s", id ? id : "-");
        return;
    }
    enum four_device device = answers[number].device;
    if (answers[number].rc && answers[number].rc != rc)
        four_breach("ibm: %s is answered %d and %d", id, answers[number].rc, rc);
    bool first = answers[number].rc == 0;
    answers[number].rc = rc;
    if (!first || strcmp(devices[device].id, id) != 0 || devices[device].step == NONE ||
        devices[device].step == AWAIT)
        return;
    enum step step = devices[device].step;
    if (step == ACT) {
        devices[device].request->answers = 1;
        devices[device].request->code = rc;
    }
    bool custom = devices[device].acts == READ || devices[device].acts == STRANGE;
    if (step == ENDS)
        observation_ended(device);
    else if (custom) /* answered when it has ended */
        conclude(device, rc == 200, rc);
    else if (rc != wanted[step])
        conclude(device, false, rc);
    else
        next(device, step + 1);
}

static void on_notify(enum four_device device, const json_t *d)
{
    const json_t *field = json_array_get(json_object_get(d, "fields"), 0);
    const json_t *value = json_object_get(field, "value");
    const json_t *state = json_object_get(value, "state");
    const json_t *status = json_object_get(value, "updateStatus");
    if (!json_is_integer(state) || !json_is_integer(status)) {
        four_breach("ibm: a notify without both");
        return;
    }
    int s = (int)json_integer_value(state), u = (int)json_integer_value(status);
    if (devices[device].step != AWAIT || devices[device].acts == REBOOT)
        return;
    devices[device].request->steps++;
    if (s == 0 && u >= 2)
        conclude(device, false, u);
    else if (u == 0 && s == (devices[device].acts == DOWNLOAD ? 2 : 0))
        conclude(device, true, 0);
}

static void on_manage(enum four_device device, const json_t *d)
{
    const char *version =
        json_string_value(json_object_get(json_object_get(d, "deviceInfo"), "fwVersion"));
    devices[device].managed = true;
    if (version)
        (void)snprintf(devices[device].version, sizeof(devices[device].version), "%s", version);
    if (devices[device].step == AWAIT && devices[device].acts == REBOOT)
        conclude(device, true, 0);
}

static void reply(const char *type, const char *id, const json_t *body)
{
    const json_t *number = json_object_get(body, "reqId");
    if (!number)
        return;
    sb_cleanup(sb_freep) char *topic = sb_format("iotdm-1/type/%s/id/%s/response", type, id);
    (void)net_send(&four_ibm.server, CLIENT, topic,
                   json_pack("{s:i,s:O}", "rc", 200, "reqId", number), 1);
}

static void hear(const char *client SB_UNUSED, const char *topic, const char *payload, size_t n)
{
    char type[32], id[32], what[64];
    sb_cleanup(json_decrefp) json_t *body = four_parse(payload, n);
    if (sscanf(topic, "iotdevice-1/type/%31[^/]/id/%31[^/]/%63s", type, id, what) != 3) {
        four_breach("ibm: unknown topic %s", topic);
        return;
    }
    int device = four_device_of(id, strlen(id));
    const json_t *d = json_object_get(body, "d");
    if (strcmp(what, "response") == 0) {
        on_response(body);
        return;
    }
    reply(type, id, body);
    if (device < 0)
        return;
    if (strcmp(what, "mgmt/manage") == 0)
        on_manage((enum four_device)device, d);
    else if (strcmp(what, "notify") == 0)
        on_notify((enum four_device)device, d);
    else if (strcmp(what, "add/diag/errorCodes") == 0 && devices[device].step == AWAIT &&
             devices[device].acts == REBOOT)
        conclude((enum four_device)device, false,
                 (int)json_integer_value(json_object_get(d, "errorCode")));
}

/* ---- what it is asked for ---- */

static bool ask(struct request *request)
{
    enum four_device device = request->device;
    if (request->op == WISH || request->op == CANCEL || devices[device].step != NONE ||
        !devices[device].managed)
        return false;
    devices[device].request = request;
    devices[device].acts = request->op == UPDATE ? DOWNLOAD : request->op;
    next(device, request->op == INSTALL ? OBSERVE : request->op >= REBOOT ? ACT : WRITE);
    return true;
}

static void begin(void)
{
    memset(devices, 0, sizeof(devices));
    memset(answers, 0, sizeof(answers));
    answer_count = 0;
}

static const char *version_of(enum four_device device)
{
    return devices[device].version;
}

static bool present(enum four_device device)
{
    return devices[device].managed;
}

static void no_matter(const char *client SB_UNUSED)
{
}

struct four_platform four_ibm = {
    .server = { .host = "ibm.example.com", .up = no_matter, .down = no_matter, .hear = hear },
    .begin = begin,
    .ask = ask,
    .version = version_of,
    .present = present,
};
