/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/huawei_world.h"

#include <stdio.h>

#include "bridge/base/str.h"
#include "bridge/base/time.h"

#define BASE "$oc/devices/" IOT_GATEWAY_ID "/sys/"

void iot_forget(struct iot *iot)
{
    for (size_t i = 0; i < iot->sent_count; i++) {
        free(iot->sent[i].topic);
        free(iot->sent[i].key);
        json_decref(iot->sent[i].body);
    }
    iot->sent_count = 0;
}

/* ---- the platform ---- */

static json_t *event_of(const json_t *body)
{
    return json_array_get(json_object_get(body, "services"), 0);
}

static void reply(struct iot *iot, const char *type, const char *id, json_t *paras)
{
    json_array_append_new(iot->replies,
                          json_pack("{s:s,s:[{s:s,s:s,s:s,s:o}]}", "object_device_id",
                                    IOT_GATEWAY_ID, "services", "service_id", "$sub_device_manager",
                                    "event_type", type, "event_id", id, "paras", paras));
}

static void answer_statuses(struct iot *iot, const char *id, const json_t *paras)
{
    json_t *good = json_array(), *bad = json_array(), *entry;
    size_t i;
    json_array_foreach (json_object_get(paras, "device_statuses"), i, entry) {
        const char *name = sb_json_str(entry, "device_id");
        if (!name)
            abort();
        if (json_object_get(iot->strangers, name))
            json_array_append_new(bad, json_pack("{s:s,s:s,s:s}", "device_id", name, "error_code",
                                                 "IOTDA.014000", "error_msg", "not found"));
        else
            json_array_append(good, entry);
    }
    reply(iot, "sub_device_update_status_response", id,
          json_pack("{s:o,s:o}", "successful_devices", good, "failed_devices", bad));
}

static void answer_add(struct iot *iot, const char *id, const json_t *paras)
{
    json_t *good = json_array(), *entry;
    size_t i;
    json_array_foreach (json_object_get(paras, "devices"), i, entry) {
        json_object_del(iot->strangers, sb_json_str(entry, "device_id"));
        json_array_append(good, entry);
    }
    reply(iot, "add_sub_device_response", id,
          json_pack("{s:o,s:[]}", "successful_devices", good, "failed_devices"));
}

static void take_event(struct iot *iot, const json_t *body)
{
    const json_t *event = event_of(body), *paras = json_object_get(event, "paras");
    const char *type = sb_json_str(event, "event_type"), *id = sb_json_str(event, "event_id");
    if (!type || !sb_json_str(event, "service_id") || !json_is_object(paras))
        abort();
    if (iot->silent)
        return;
    if (sb_streq(type, "sub_device_update_status"))
        answer_statuses(iot, id, paras);
    else if (sb_streq(type, "add_sub_device_request"))
        answer_add(iot, id, paras);
    else if (sb_streq(type, "delete_sub_device_request"))
        reply(iot, "delete_sub_device_response", id,
              json_pack("{s:O,s:[]}", "successful_devices", json_object_get(paras, "devices"),
                        "failed_devices"));
}

static void take_message(struct core *core, enum core_actor from SB_UNUSED,
                         const struct sb_output *output)
{
    struct iot *iot = (struct iot *)core;
    if (strncmp(output->topic, BASE, strlen(BASE)) != 0 || !json_is_object(output->json))
        abort();
    if (iot->sent_count == IOT_SENT)
        iot_forget(iot);
    iot->sent[iot->sent_count++] =
        (struct iot_sent){ strdup(output->topic), json_incref(output->json), output->class,
                           output->key ? strdup(output->key) : NULL };
    if (sb_streq(output->topic, BASE "events/up"))
        take_event(iot, output->json);
}

static void deliver(struct core *core)
{
    struct iot *iot = (struct iot *)core;
    while (json_array_size(iot->replies) > 0) {
        sb_cleanup(sb_freep) char *text = json_dumps(json_array_get(iot->replies, 0), 0);
        json_array_remove(iot->replies, 0);
        if (core->up[CORE_GATEWAY])
            iot_hears(iot, BASE "events/down", text, strlen(text));
    }
}

struct iot *iot_new(void)
{
    static const struct core_ops ops = { &sb_huawei_dialect, take_message, deliver };
    struct iot *iot = calloc(1, sizeof(*iot));
    if (!iot)
        abort();
    iot->config = (struct sb_huawei_config){ .link.uri = "mqtts://iot.example:8883",
                                             .id = IOT_GATEWAY_ID,
                                             .secret = "file:/secret" };
    core_begin(&iot->core, &ops, core_words(&sb_huawei_shape), &iot->config, IOT_PUMP_ID,
               IOT_VALVE_ID);
    iot->core.devices[CORE_GATEWAY].presence = SB_PRESENCE_READY;
    iot->core.type.properties = json_pack("{s:{s:s},s:{s:s},s:{}}", "flow", "access", "read",
                                          "secret", "access", "write", "mode");
    iot->strangers = json_object();
    iot->replies = json_array();
    return iot;
}

void iot_free(struct iot *iot)
{
    iot_forget(iot);
    core_done(&iot->core);
    json_decref(iot->strangers);
    json_decref(iot->replies);
    free(iot);
}

int iot_begin(void **state)
{
    struct iot *iot = iot_new();
    *state = iot;
    iot_up(iot);
    iot_forget(iot);
    return 0;
}

int iot_end(void **state)
{
    iot_free(*state);
    return 0;
}

/* ---- what happens ---- */

void iot_hears(struct iot *iot, const char *topic, const void *payload, size_t n)
{
    core_hears(&iot->core, CORE_GATEWAY, topic, payload, n);
}

void iot_event_id(struct iot *iot, const char *object, const char *service, const char *type,
                  const char *id, const char *paras)
{
    json_t *body = json_pack("{s:s*,s:[{s:s,s:s,s:s*,s:o}]}", "object_device_id", object,
                             "services", "service_id", service, "event_type", type, "event_id", id,
                             "paras", json_loads(paras, 0, NULL));
    sb_cleanup(sb_freep) char *text = body ? json_dumps(body, 0) : NULL;
    if (!text)
        abort();
    json_decref(body);
    iot_hears(iot, BASE "events/down", text, strlen(text));
}

void iot_event(struct iot *iot, const char *object, const char *service, const char *type,
               const char *paras)
{
    sb_cleanup(sb_freep) char *id = sb_format("e%u", ++iot->events);
    iot_event_id(iot, object, service, type, id, paras);
}

void iot_request(struct iot *iot, const char *what, const char *id, const char *body)
{
    sb_cleanup(sb_freep) char *topic = sb_format(BASE "%s/request_id=%s", what, id);
    iot_hears(iot, topic, body, strlen(body));
}

void iot_up(struct iot *iot)
{
    for (int i = 0; i < CORE_ACTORS; i++)
        core_up(&iot->core, (enum core_actor)i);
    core_passes(&iot->core, SB_SECOND);
}

void iot_down(struct iot *iot)
{
    for (int i = 0; i < CORE_ACTORS; i++)
        core_down(&iot->core, (enum core_actor)i);
}

void iot_presence(struct iot *iot, enum core_actor actor, enum sb_presence presence)
{
    core_presence(&iot->core, actor, presence);
    core_passes(&iot->core, SB_SECOND);
}

void iot_restarts(struct iot *iot)
{
    json_array_clear(iot->replies);
    core_restarts(&iot->core);
}

/* ---- looking ---- */

static bool is_event(const struct iot_sent *sent, const char *object, const char *type)
{
    return sb_streq(sent->topic, BASE "events/up") &&
           sb_streq(sb_json_str(sent->body, "object_device_id"), object) &&
           sb_streq(sb_json_str(event_of(sent->body), "event_type"), type);
}

const json_t *iot_last(const struct iot *iot, const char *object, const char *type)
{
    for (size_t i = iot->sent_count; i-- > 0;)
        if (is_event(&iot->sent[i], object, type))
            return json_object_get(event_of(iot->sent[i].body), "paras");
    return NULL;
}

size_t iot_count(const struct iot *iot, const char *object, const char *type)
{
    size_t count = 0;
    for (size_t i = 0; i < iot->sent_count; i++)
        count += is_event(&iot->sent[i], object, type);
    return count;
}

static bool is_answer(const struct iot_sent *sent, const char *what, const char *id)
{
    sb_cleanup(sb_freep) char *topic = sb_format(BASE "%s/response/request_id=%s", what, id);
    return sb_streq(sent->topic, topic);
}

const json_t *iot_answer(const struct iot *iot, const char *what, const char *id)
{
    for (size_t i = iot->sent_count; i-- > 0;)
        if (is_answer(&iot->sent[i], what, id))
            return iot->sent[i].body;
    return NULL;
}

size_t iot_answers(const struct iot *iot, const char *what, const char *id)
{
    size_t count = 0;
    for (size_t i = 0; i < iot->sent_count; i++)
        count += is_answer(&iot->sent[i], what, id);
    return count;
}
