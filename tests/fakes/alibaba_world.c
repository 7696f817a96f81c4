/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/alibaba_world.h"

#include <stdio.h>

#include "bridge/base/str.h"

static const char *const products[CORE_ACTORS] = { "pk0", "pk1", "pk2" };

static void sent_done(struct ali_sent *sent)
{
    free(sent->topic);
    json_decref(sent->payload);
    *sent = (struct ali_sent){ 0 };
}

void ali_clear(struct ali *ali)
{
    while (ali->sent_count > 0)
        sent_done(&ali->sent[--ali->sent_count]);
}

/* ---- the platform ---- */

static int actor_of(const struct ali *ali, const json_t *entry)
{
    for (int i = 0; i < CORE_ACTORS; i++)
        if (sb_streq(sb_json_str(entry, "productKey"), products[i]) &&
            sb_streq(sb_json_str(entry, "deviceName"), ali->own[i]))
            return i;
    return -1;
}

static void answer(struct ali *ali, const char *topic, const json_t *request, int code,
                   json_t *data)
{
    if (ali->silent || ali->reply_count == SB_COUNT(ali->replies)) {
        json_decref(data);
        return;
    }
    ali->replies[ali->reply_count++] =
        (struct ali_sent){ .topic = sb_format("%s_reply", topic),
                           .payload =
                               json_pack("{s:O,s:i,s:o}", "id", json_object_get(request, "id"),
                                         "code", code, "data", data ? data : json_object()) };
}

static json_t *topology(const struct ali *ali)
{
    json_t *list = json_array();
    for (int i = CORE_PUMP; i < CORE_ACTORS; i++)
        if (ali->topology[i])
            json_array_append_new(
                list, json_pack("{s:s,s:s}", "productKey", products[i], "deviceName", ali->own[i]));
    return list;
}

static json_t *secrets(const json_t *list)
{
    json_t *given = json_array(), *entry;
    size_t i;
    json_array_foreach ((json_t *)list, i, entry) {
        json_t *one = json_copy(entry);
        json_object_set_new(one, "deviceSecret", json_string("given-secret"));
        json_array_append_new(given, one);
    }
    return given;
}

/* Of one or several; the code is the worst. */
static int log_in(struct ali *ali, const json_t *list, const json_t *one)
{
    int code = ali->refuse_kind[one ? ALI_LOGGING_IN : ALI_BATCH];
    size_t n = one ? 1 : json_array_size(list);
    for (size_t i = 0; code == 0 && i < n; i++) {
        int actor = actor_of(ali, one ? one : json_array_get(list, i));
        if (actor < 0 || !ali->topology[actor])
            code = 6401;
    }
    for (size_t i = 0; code == 0 && i < n; i++)
        ali->in[actor_of(ali, one ? one : json_array_get(list, i))] = true;
    ali->logins++;
    if (n > ali->largest)
        ali->largest = n;
    return code ? code : 200;
}

static bool ends(const char *topic, const char *end)
{
    size_t n = strlen(topic), m = strlen(end);
    return n >= m && strcmp(topic + n - m, end) == 0;
}

static void change_topology(struct ali *ali, const char *topic, const json_t *body, bool there)
{
    const json_t *list = json_object_get(body, "params");
    int code = there ? ali->refuse_kind[ALI_JOINING] : 0;
    for (size_t i = 0; code == 0 && i < json_array_size(list); i++)
        if (actor_of(ali, json_array_get(list, i)) >= 0)
            ali->topology[actor_of(ali, json_array_get(list, i))] = there;
    ali->joins += there;
    answer(ali, topic, body, code ? code : 200, NULL);
}

static void take_gateway(struct ali *ali, const char *topic, const json_t *body)
{
    const json_t *params = json_object_get(body, "params");
    if (ends(topic, "thing/topo/get")) {
        answer(ali, topic, body, 200, topology(ali));
    } else if (ends(topic, "thing/sub/register")) {
        int code = ali->refuse_kind[ALI_REGISTERING];
        ali->registrations++;
        answer(ali, topic, body, code ? code : 200, code ? NULL : secrets(params));
    } else if (ends(topic, "thing/topo/add")) {
        change_topology(ali, topic, body, true);
    } else if (ends(topic, "thing/topo/delete")) {
        change_topology(ali, topic, body, false);
    } else if (ends(topic, "combine/login")) {
        answer(ali, topic, body, log_in(ali, NULL, params), NULL);
    } else if (ends(topic, "combine/batch_login")) {
        answer(ali, topic, body, log_in(ali, json_object_get(params, "deviceList"), NULL), NULL);
    } else if (ends(topic, "combine/logout")) {
        if (actor_of(ali, params) >= 0)
            ali->in[actor_of(ali, params)] = false;
        ali->logouts++;
        answer(ali, topic, body, 200, NULL);
    } else if (ends(topic, "combine/batch_logout")) {
        for (size_t i = 0; i < json_array_size(params); i++)
            if (actor_of(ali, json_array_get(params, i)) >= 0)
                ali->in[actor_of(ali, json_array_get(params, i))] = false;
        ali->logouts++;
        answer(ali, topic, body, 200, NULL);
    }
}

static int actor_of_topic(const struct ali *ali, const char *topic)
{
    for (int i = 0; i < CORE_ACTORS; i++) {
        sb_cleanup(sb_freep) char *part = sb_format("/%s/%s", products[i], ali->own[i]);
        const char *at = strstr(topic, part);
        if (at && (at[strlen(part)] == '/' || at[strlen(part)] == '\0'))
            return i;
    }
    return -1;
}

static void take_message(struct core *core, enum core_actor from SB_UNUSED,
                         const struct sb_output *output)
{
    struct ali *ali = (struct ali *)core;
    int actor = actor_of_topic(ali, output->topic);
    if (!output->json || actor < 0)
        abort();
    if (!core->up[CORE_GATEWAY])
        return;
    if (ali->sent_count == ALI_SENT)
        ali_clear(ali);
    ali->sent[ali->sent_count++] =
        (struct ali_sent){ strdup(output->topic), json_incref(output->json), output->qos };
    if (actor == CORE_GATEWAY)
        take_gateway(ali, output->topic, output->json);
    else if (!ali->in[actor])
        ali->illegal++;
}

static void deliver(struct core *core)
{
    struct ali *ali = (struct ali *)core;
    while (ali->reply_count > 0) {
        struct ali_sent first = ali->replies[0];
        memmove(ali->replies, ali->replies + 1, --ali->reply_count * sizeof(first));
        sb_cleanup(sb_freep) char *text = json_dumps(first.payload, 0);
        if (core->up[CORE_GATEWAY])
            ali_bytes(ali, first.topic, text, strlen(text));
        sent_done(&first);
    }
}

struct ali *ali_new(void)
{
    static const struct core_ops ops = { &sb_alibaba_dialect, take_message, deliver };
    struct ali *ali = calloc(1, sizeof(*ali));
    if (!ali)
        abort();
    ali->config = (struct sb_alibaba_config){ .link.uri = "mqtt://cloud.example:1883",
                                              .product = "pk0",
                                              .name = "gw-1",
                                              .secret = "file:/keys/gw",
                                              .device_product = "pk1" };
    core_begin(&ali->core, &ops, core_words(&sb_alibaba_shape), &ali->config, "pump-7",
               "pk2/valve.1");
    ali->core.merges = ali->core.alone = true;
    ali->own[CORE_GATEWAY] = "gw-1";
    ali->own[CORE_PUMP] = "pump-7";
    ali->own[CORE_VALVE] = "valve.1";
    return ali;
}

void ali_free(struct ali *ali)
{
    core_done(&ali->core);
    while (ali->reply_count > 0)
        sent_done(&ali->replies[--ali->reply_count]);
    ali_clear(ali);
    free(ali);
}

int ali_begin(void **state)
{
    *state = ali_new();
    return 0;
}

int ali_end(void **state)
{
    struct ali *ali = *state;
    unsigned illegal = ali->illegal;
    ali_free(ali);
    return illegal ? -1 : 0;
}

int ali_begin_ready(void **state)
{
    struct ali *ali = ali_new();
    ali_up(ali);
    ali_clear(ali);
    *state = ali;
    return 0;
}

/* ---- what happens ---- */

void ali_rename(struct ali *ali, const char *name)
{
    ali->in[CORE_PUMP] = ali->topology[CORE_PUMP] = false; /* nobody knows that one */
    ali->own[CORE_PUMP] = ali->core.names[CORE_PUMP] = name;
}

void ali_bytes(struct ali *ali, const char *topic, const void *payload, size_t n)
{
    core_hears(&ali->core, CORE_GATEWAY, topic, payload, n);
}

void ali_hears(struct ali *ali, enum core_actor actor, const char *rest, const char *payload)
{
    sb_cleanup(sb_freep) char *topic =
        rest[0] == '/' ? strdup(rest)
                       : sb_format("/sys/%s/%s/%s", products[actor], ali->own[actor], rest);
    ali_bytes(ali, topic, payload, strlen(payload));
}

void ali_pushes(struct ali *ali, enum core_actor actor, const char *data)
{
    sb_cleanup(sb_freep) char *topic =
        sb_format("/ota/device/upgrade/%s/%s", products[actor], ali->own[actor]);
    sb_cleanup(sb_freep) char *payload = sb_format(
        "{\"code\":\"1000\",\"data\":%s,\"id\":1626969597470,\"message\":\"success\"}", data);
    ali_bytes(ali, topic, payload, strlen(payload));
}

/* The other way round than the codec: the highest bit first, of bytes turned over. */
static uint16_t checksum(const uint8_t *bytes, size_t n)
{
    uint16_t crc = 0, turned = 0;
    for (size_t i = 0; i < 8 * n; i++) {
        unsigned bit = bytes[i / 8] >> i % 8 & 1, top = crc >> 15;
        crc = (uint16_t)(crc << 1 ^ (bit ^ top ? 0x8005 : 0));
    }
    for (int i = 0; i < 16; i++)
        turned = (uint16_t)(turned | (crc >> i & 1) << (15 - i));
    return turned;
}

void ali_block(struct ali *ali, const char *header, const void *bytes, size_t n, uint16_t flip)
{
    size_t head = strlen(header);
    uint16_t crc = (uint16_t)(checksum(bytes, n) ^ flip);
    sb_cleanup(sb_freep) uint8_t *frame = malloc(head + n + 4);
    if (!frame)
        abort();
    frame[0] = (uint8_t)(head >> 8);
    frame[1] = (uint8_t)head;
    memcpy(frame + 2, header, head);
    if (n > 0)
        memcpy(frame + 2 + head, bytes, n);
    frame[2 + head + n] = (uint8_t)crc;
    frame[3 + head + n] = (uint8_t)(crc >> 8);
    ali_bytes(ali, "/sys/pk0/gw-1/thing/file/download_reply", frame, head + n + 4);
}

void ali_up(struct ali *ali)
{
    ali->core.depth++; /* the platform's answers come after that */
    for (int i = 0; i < CORE_ACTORS; i++)
        core_up(&ali->core, (enum core_actor)i);
    ali->core.depth--;
    deliver(&ali->core);
}

void ali_down(struct ali *ali)
{
    for (int i = 0; i < CORE_ACTORS; i++) {
        ali->in[i] = false;
        core_down(&ali->core, (enum core_actor)i);
    }
}

void ali_restarts(struct ali *ali)
{
    for (int i = 0; i < CORE_ACTORS; i++)
        ali->in[i] = false;
    core_restarts(&ali->core);
}

/* ---- looking ---- */

static bool is_of(const struct ali *ali, const struct ali_sent *sent, enum core_actor actor,
                  const char *end)
{
    sb_cleanup(sb_freep) char *whole =
        sb_format("%s%s/%s", end, products[actor], ali->own[actor]); /* "/ota/device/inform/" */
    return actor_of_topic(ali, sent->topic) == (int)actor &&
           (ends(sent->topic, end) || sb_streq(sent->topic, whole));
}

size_t ali_count(const struct ali *ali, enum core_actor actor, const char *end)
{
    size_t count = 0;
    for (size_t i = 0; i < ali->sent_count; i++)
        count += is_of(ali, &ali->sent[i], actor, end);
    return count;
}

const json_t *ali_last(const struct ali *ali, enum core_actor actor, const char *end)
{
    for (size_t i = ali->sent_count; i-- > 0;)
        if (is_of(ali, &ali->sent[i], actor, end))
            return ali->sent[i].payload;
    return NULL;
}

const char *ali_text(const struct ali *ali, enum core_actor actor, const char *end,
                     const char *path)
{
    static char text[512];
    const json_t *at = core_at(ali_last(ali, actor, end), path);
    sb_cleanup(sb_freep) char *dumped =
        at ? json_dumps(at, JSON_ENCODE_ANY | JSON_COMPACT) : strdup("");
    (void)snprintf(text, sizeof(text), "%s", json_is_string(at) ? json_string_value(at) : dumped);
    return text;
}
