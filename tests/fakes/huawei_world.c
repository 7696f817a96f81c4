/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/huawei_world.h"

#include <stdio.h>

#include "adapters/dialects/huawei/conversation.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"

#define BASE "$oc/devices/" IOT_GATEWAY_ID "/sys/"

struct sb_words *iot_words(void)
{
    const char *source = getenv("SB_SOURCE");
    sb_cleanup(sb_freep) char *path =
        sb_format("%s/mappings/dialects/huawei.yaml", source ? source : SB_WORLD_SOURCE);
    struct sb_diags diags = { 0 };
    struct sb_words *words = NULL;
    if (sb_words_load(path, &sb_huawei_shape, &words, &diags) < 0) {
        sb_cleanup(sb_freep) char *text = sb_diags_text(&diags);
        (void)fprintf(stderr, "%s\n", text ? text : "?");
    }
    sb_diags_done(&diags);
    return words;
}

static struct iot *of_driver; /* accepts() has no other way to it */

static enum sb_cause accepts(const struct sb_type *type, int op, const json_t *params,
                             char **ret_text)
{
    (void)type;
    (void)params;
    (void)ret_text;
    return of_driver->unsupported & (1U << op) ? SB_CAUSE_UNSUPPORTED : SB_CAUSE_NONE;
}

struct iot *iot_new(struct sb_words *words)
{
    static const char *const ids[IOT_ACTORS] = { "gateway", "pump-7", "valve-1" };
    struct iot *iot = calloc(1, sizeof(*iot));
    if (!iot)
        abort();
    of_driver = iot;
    iot->words = words;
    iot->config = (struct sb_huawei_config){ .link.uri = "mqtts://iot.example:8883",
                                             .id = IOT_GATEWAY_ID,
                                             .secret = "file:/secret" };
    iot->names[IOT_PUMP] = IOT_PUMP_ID;
    iot->names[IOT_VALVE] = IOT_VALVE_ID;
    iot->driver = (struct sb_driver_ops){ .name = "fake", .accepts = accepts };
    iot->type = (struct sb_type){ .name = "pump", .driver = &iot->driver };
    iot->type.actions = json_pack("{s:{}}", "rinse");
    iot->type.properties = json_pack("{s:{s:s},s:{s:s},s:{}}", "flow", "access", "read", "secret",
                                     "access", "write", "mode");
    for (int i = 0; i < IOT_ACTORS; i++) {
        iot->devices[i] = (struct sb_device){ .id = (char *)(uintptr_t)ids[i],
                                              .gateway = i == IOT_GATEWAY,
                                              .type = i == IOT_GATEWAY ? NULL : &iot->type,
                                              .presence = SB_PRESENCE_READY };
        iot->devices[i].versions = i == IOT_GATEWAY ? NULL : json_pack("{s:s}", "", "1.0.0");
        iot->states[i] = sb_huawei_load(NULL);
    }
    iot->strangers = json_object();
    iot->replies = json_array();
    iot->ready = true;
    iot->now = 1000000;
    iot->wall = INT64_C(1764000000000);
    return iot;
}

void iot_forget(struct iot *iot)
{
    for (size_t i = 0; i < iot->sent_count; i++) {
        free(iot->sent[i].topic);
        free(iot->sent[i].key);
        json_decref(iot->sent[i].body);
    }
    iot->sent_count = 0;
}

void iot_free(struct iot *iot)
{
    iot_forget(iot);
    for (int i = 0; i < IOT_ACTORS; i++) {
        sb_huawei_drop(iot->states[i]);
        json_decref(iot->devices[i].versions);
        json_decref(iot->devices[i].properties);
    }
    for (size_t i = 0; i < iot->task_count; i++) {
        free(iot->tasks[i].id);
        free(iot->tasks[i].task.target_version);
        json_decref(iot->tasks[i].package);
        json_decref(iot->tasks[i].params);
        json_decref(iot->tasks[i].task.result);
    }
    for (size_t i = 0; i < SB_COUNT(iot->timers); i++)
        free(iot->timers[i].tag);
    json_decref(iot->type.actions);
    json_decref(iot->type.properties);
    json_decref(iot->strangers);
    json_decref(iot->replies);
    free(iot->note);
    free(iot);
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

static void take_message(struct iot *iot, const struct sb_output *output)
{
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

/* ---- the core ---- */

static void step(struct iot *iot, enum iot_actor actor, struct sb_input *input);

static void submit(struct iot *iot, enum iot_actor actor, const struct sb_output *output)
{
    struct sb_verdict verdict = { .cause = iot->refuse,
                                  .text = (char *)(uintptr_t)iot->refuse_text };
    if (iot->refuse == SB_CAUSE_NONE && iot->task_count < IOT_TASKS) {
        struct iot_task *task = &iot->tasks[iot->task_count++];
        const char *version = sb_json_str(output->package, "version");
        *task = (struct iot_task){ .whose = actor,
                                   .id = output->id ? strdup(output->id) : NULL,
                                   .package = json_incref(output->package),
                                   .params = json_incref(output->json) };
        task->job = (struct sb_job){ .origin = "cloud", .op = output->op };
        task->task = (struct sb_task){ .id = (int64_t)iot->task_count + 100,
                                       .job = &task->job,
                                       .device = iot->devices[actor].id,
                                       .target_version = version ? strdup(version) : NULL,
                                       .verified = SB_VERIFY_VERSION,
                                       .state = SB_TASK_QUEUED };
        verdict.task = task->task.id;
    } else if (iot->refuse == SB_CAUSE_NONE) {
        verdict.cause = SB_CAUSE_BUSY;
    }
    step(iot, actor,
         &(struct sb_input){ .kind = SB_IN_VERDICT, .tag = output->tag, .verdict = &verdict });
}

static void look(struct iot *iot, enum iot_actor actor, int64_t id)
{
    struct sb_news news = { .kind = SB_NEWS_TASK, .device = &iot->devices[actor] };
    for (size_t i = 0; i < iot->task_count; i++)
        if (iot->tasks[i].task.id == id && !sb_task_state_is_final(iot->tasks[i].task.state))
            news.task = &iot->tasks[i].task;
    step(iot, actor, &(struct sb_input){ .kind = SB_IN_NEWS, .news = &news, .value = id });
}

static void set_timer(struct iot *iot, enum iot_actor actor, const char *tag, int64_t ms)
{
    struct iot_timer *timer = NULL;
    for (size_t i = 0; i < SB_COUNT(iot->timers); i++)
        if (iot->timers[i].whose == actor && sb_streq(iot->timers[i].tag, tag))
            timer = &iot->timers[i];
    for (size_t i = 0; !timer && i < SB_COUNT(iot->timers); i++)
        if (!iot->timers[i].tag)
            timer = &iot->timers[i];
    if (!timer)
        abort();
    free(SB_STEAL(timer->tag));
    if (ms >= 0)
        *timer = (struct iot_timer){ actor, strdup(tag), iot->now + ms };
}

static void tell(struct iot *iot, enum iot_actor from, const struct sb_output *output)
{
    for (int i = 0; i < IOT_ACTORS; i++)
        if (output->name ? sb_streq(iot->names[i], output->name) : i == IOT_GATEWAY)
            step(iot, (enum iot_actor)i,
                 &(struct sb_input){ .kind = SB_IN_TOLD,
                                     .tag = output->tag,
                                     .told = output->json,
                                     .from = iot->names[from] });
}

static void carry_out(struct iot *iot, enum iot_actor actor, const struct sb_output *output,
                      bool stranger)
{
    switch (output->kind) {
    case SB_OUT_SEND:
        take_message(iot, output);
        return;
    case SB_OUT_NOTE:
        iot->notes++;
        free(iot->note);
        iot->note = strdup(output->text);
        return;
    default:
        break;
    }
    if (stranger)
        return;
    switch (output->kind) {
    case SB_OUT_SUBMIT:
        if (actor == IOT_GATEWAY)
            abort();
        submit(iot, actor, output);
        break;
    case SB_OUT_CANCEL:
        iot->cancelled = output->task;
        break;
    case SB_OUT_TIMER:
        set_timer(iot, actor, output->tag, output->value);
        break;
    case SB_OUT_LOOK:
        look(iot, actor, output->task);
        break;
    case SB_OUT_TELL:
        tell(iot, actor, output);
        break;
    default:
        break;
    }
}

static void give(struct iot *iot, enum iot_actor actor, void *state, struct sb_input *input,
                 const char *name, bool stranger)
{
    struct sb_effects effects = { 0 };
    input->self = actor == IOT_GATEWAY && !stranger;
    input->link = "cloud";
    input->name = name;
    input->connected = iot->up;
    input->device = stranger ? NULL : &iot->devices[actor];
    input->words = iot->words;
    input->config = &iot->config;
    input->now = iot->now;
    input->wall = iot->wall;
    input->ready = iot->ready;
    input->why = iot->why;
    if (iot->around)
        iot->around(true);
    int r = sb_huawei_step(state, input, &effects);
    if (iot->around)
        iot->around(false);
    if (r < 0 && !iot->around)
        abort();
    iot->failed = iot->failed || r < 0;
    iot->saves += effects.save;
    for (size_t i = 0; r == 0 && i < effects.count; i++)
        carry_out(iot, actor, &effects.list[i], stranger);
    sb_effects_done(&effects);
}

static void deliver(struct iot *iot)
{
    while (json_array_size(iot->replies) > 0) {
        sb_cleanup(sb_freep) char *text = json_dumps(json_array_get(iot->replies, 0), 0);
        json_array_remove(iot->replies, 0);
        if (iot->up)
            iot_hears(iot, BASE "events/down", text, strlen(text));
    }
}

static void step(struct iot *iot, enum iot_actor actor, struct sb_input *input)
{
    if (++iot->depth > 16)
        abort();
    give(iot, actor, iot->states[actor], input, iot->names[actor], false);
    if (--iot->depth == 0)
        deliver(iot);
}

/* ---- what happens ---- */

void iot_hears(struct iot *iot, const char *topic, const void *payload, size_t n)
{
    struct sb_message message = { 0 };
    if (sb_huawei_decode(iot->words, &iot->config, topic, payload, n, &message) < 0)
        return;
    struct sb_input input = { .kind = SB_IN_MESSAGE, .message = &message };
    int actor = message.name ? IOT_ACTORS : IOT_GATEWAY;
    for (int i = IOT_PUMP; message.name && i < IOT_ACTORS; i++)
        if (sb_streq(iot->names[i], message.name))
            actor = i;
    if (actor < IOT_ACTORS) {
        step(iot, (enum iot_actor)actor, &input);
    } else {
        void *state = sb_huawei_load(NULL);
        give(iot, IOT_GATEWAY, state, &input, message.name, true);
        sb_huawei_drop(state);
    }
    sb_message_done(&message);
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
    iot->up = true;
    for (int i = 0; i < IOT_ACTORS; i++)
        step(iot, (enum iot_actor)i, &(struct sb_input){ .kind = SB_IN_UP, .value = -1 });
    iot_passes(iot, SB_SECOND);
}

void iot_down(struct iot *iot)
{
    iot->up = false;
    for (int i = 0; i < IOT_ACTORS; i++)
        step(iot, (enum iot_actor)i, &(struct sb_input){ .kind = SB_IN_DOWN });
}

void iot_news(struct iot *iot, enum iot_actor actor, enum sb_news_kind kind)
{
    struct sb_news news = { .kind = kind, .device = &iot->devices[actor] };
    step(iot, actor, &(struct sb_input){ .kind = SB_IN_NEWS, .news = &news });
}

void iot_task(struct iot *iot, size_t index, enum sb_task_state state)
{
    if (index >= iot->task_count)
        abort();
    struct iot_task *task = &iot->tasks[index];
    task->task.state = state;
    struct sb_news news = { .kind = SB_NEWS_TASK,
                            .device = &iot->devices[task->whose],
                            .task = &task->task };
    step(iot, task->whose, &(struct sb_input){ .kind = SB_IN_NEWS, .news = &news });
}

void iot_fails(struct iot *iot, size_t index, enum sb_cause cause, enum sb_phase phase)
{
    iot->tasks[index].task.cause = cause;
    iot->tasks[index].task.phase = phase;
    iot_task(iot, index, SB_TASK_FAILED);
}

void iot_version(struct iot *iot, enum iot_actor actor, const char *version)
{
    if (!iot->devices[actor].versions)
        iot->devices[actor].versions = json_object();
    json_object_set_new(iot->devices[actor].versions, "", json_string(version));
    iot_news(iot, actor, SB_NEWS_IDENTITY);
}

void iot_presence(struct iot *iot, enum iot_actor actor, enum sb_presence presence)
{
    iot->devices[actor].presence = presence;
    iot_news(iot, actor, SB_NEWS_PRESENCE);
    iot_passes(iot, SB_SECOND);
}

void iot_passes(struct iot *iot, int64_t ms)
{
    int64_t end = iot->now + ms;
    for (unsigned fired = 0; fired < 10000; fired++) {
        struct iot_timer *next = NULL;
        for (size_t i = 0; i < SB_COUNT(iot->timers); i++) {
            struct iot_timer *timer = &iot->timers[i];
            if (timer->tag && timer->due <= end && (!next || timer->due < next->due))
                next = timer;
        }
        if (!next) {
            iot->wall += end - iot->now;
            iot->now = end;
            return;
        }
        iot->wall += next->due - iot->now;
        iot->now = next->due;
        sb_cleanup(sb_freep) char *tag = SB_STEAL(next->tag);
        step(iot, next->whose, &(struct sb_input){ .kind = SB_IN_TIMER, .tag = tag });
    }
    abort(); /* a storm */
}

void iot_restarts(struct iot *iot)
{
    for (size_t i = 0; i < SB_COUNT(iot->timers); i++)
        free(SB_STEAL(iot->timers[i].tag));
    json_array_clear(iot->replies);
    iot->up = false;
    for (int i = 0; i < IOT_ACTORS; i++) {
        json_t *saved = sb_huawei_save(iot->states[i]);
        sb_cleanup(sb_freep) char *text = saved ? json_dumps(saved, 0) : NULL;
        json_t *again = text ? json_loads(text, 0, NULL) : NULL;
        if (!again)
            abort();
        sb_huawei_drop(iot->states[i]);
        iot->states[i] = sb_huawei_load(again);
        json_decref(saved);
        json_decref(again);
    }
    for (int i = 0; i < IOT_ACTORS; i++)
        step(iot, (enum iot_actor)i, &(struct sb_input){ .kind = SB_IN_LOADED });
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

bool iot_is(const json_t *have, const char *wanted)
{
    json_t *want = json_loads(wanted, JSON_DECODE_ANY, NULL);
    bool equal = have && json_equal(want, have);
    sb_cleanup(sb_freep) char *text = have ? json_dumps(have, JSON_ENCODE_ANY) : NULL;
    json_decref(want);
    if (!equal)
        (void)fprintf(stderr, "have: %s\nwanted: %s\n", text ? text : "nothing", wanted);
    return equal;
}
