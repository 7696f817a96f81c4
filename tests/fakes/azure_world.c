/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/azure_world.h"

#include <stdio.h>

#include "adapters/dialects/azure/conversation.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"

static const char *const names[HUB_ACTORS] = { "gw-1", "pump-7", "valve.1" };

struct sb_words *hub_words(void)
{
    const char *source = getenv("SB_SOURCE");
    sb_cleanup(sb_freep) char *path =
        sb_format("%s/mappings/dialects/azure.yaml", source ? source : SB_WORLD_SOURCE);
    struct sb_diags diags = { 0 };
    struct sb_words *words = NULL;
    if (sb_words_load(path, &sb_azure_shape, &words, &diags) < 0) {
        sb_cleanup(sb_freep) char *text = sb_diags_text(&diags);
        (void)fprintf(stderr, "%s\n", text ? text : "?");
    }
    sb_diags_done(&diags);
    return words;
}

static struct hub *of_driver; /* accepts() has no other way to it */

static enum sb_cause accepts(const struct sb_type *type, int op, const json_t *params,
                             char **ret_text)
{
    (void)type;
    (void)params;
    (void)ret_text;
    return of_driver->unsupported & (1U << op) ? SB_CAUSE_UNSUPPORTED : SB_CAUSE_NONE;
}

struct hub *hub_new(struct sb_words *words, enum sb_azure_mode mode)
{
    struct hub *hub = calloc(1, sizeof(*hub));
    if (!hub)
        abort();
    of_driver = hub;
    hub->words = words;
    hub->config = (struct sb_azure_config){ .link.uri = "mqtts://hub.example:8883",
                                            .id = "gw-1",
                                            .mode = (int)mode,
                                            .key = "file:/keys/{name}" };
    hub->driver = (struct sb_driver_ops){ .name = "fake", .accepts = accepts };
    hub->type = (struct sb_type){ .name = "pump", .driver = &hub->driver };
    hub->type.actions = json_pack("{s:{}}", "rinse");
    hub->devices[HUB_GATEWAY] = (struct sb_device){ .id = "gateway", .gateway = true };
    for (int i = HUB_PUMP; i < HUB_ACTORS; i++) {
        hub->devices[i] = (struct sb_device){ .id = (char *)(uintptr_t)names[i],
                                              .type_name = "pump",
                                              .type = &hub->type,
                                              .presence = SB_PRESENCE_READY };
        hub->devices[i].versions = json_pack("{s:s}", "", "1.0.0");
        hub->devices[i].identity = json_pack("{s:s}", "model", "P7");
    }
    for (int i = 0; i < HUB_ACTORS; i++) {
        hub->desired[i] = json_pack("{s:i}", "$version", 1);
        hub->reported[i] = json_object();
        hub->states[i] = sb_azure_load(NULL);
    }
    hub->ready = true;
    hub->now = 1000000;
    hub->wall = INT64_C(1764000000000);
    return hub;
}

void hub_free(struct hub *hub)
{
    for (int i = 0; i < HUB_ACTORS; i++) {
        sb_azure_drop(hub->states[i]);
        json_decref(hub->desired[i]);
        json_decref(hub->reported[i]);
        json_decref(hub->devices[i].versions);
        json_decref(hub->devices[i].identity);
        json_decref(hub->devices[i].properties);
    }
    for (size_t i = 0; i < hub->answer_count; i++) {
        free(hub->answers[i].rid);
        json_decref(hub->answers[i].payload);
    }
    for (size_t i = 0; i < hub->task_count; i++) {
        free(hub->tasks[i].package);
        free(hub->tasks[i].params);
        json_decref(hub->tasks[i].task.result);
    }
    for (size_t i = 0; i < hub->reply_count; i++) {
        free(hub->replies[i].topic);
        free(hub->replies[i].text);
    }
    for (size_t i = 0; i < SB_COUNT(hub->timers); i++)
        free(hub->timers[i].tag);
    json_decref(hub->type.actions);
    free(hub->note);
    free(hub);
}

/* ---- the hub ---- */

static enum hub_actor twin_of(const struct hub *hub, enum hub_actor actor)
{
    return hub->config.mode == SB_AZURE_GATEWAY ? HUB_GATEWAY : actor;
}

static void reply(struct hub *hub, enum hub_actor actor, char *topic, char *text)
{
    if (hub->silent || hub->reply_count == SB_COUNT(hub->replies)) {
        free(topic);
        free(text);
        return;
    }
    hub->replies[hub->reply_count++] =
        (struct hub_reply){ twin_of(hub, actor), topic, text ? text : strdup("") };
}

/* A merge patch as RFC 7396 has it, written for this test alone. */
static void merge(json_t *target, const json_t *patch)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)patch, key, value) {
        if (json_is_null(value)) {
            json_object_del(target, key);
        } else if (json_is_object(value)) {
            if (!json_is_object(json_object_get(target, key)))
                json_object_set_new(target, key, json_object());
            merge(json_object_get(target, key), value);
        } else {
            json_object_set_new(target, key, json_deep_copy(value));
        }
    }
}

static void take_twin_request(struct hub *hub, enum hub_actor actor, const char *topic,
                              const json_t *body, const char *rid)
{
    enum hub_actor twin = twin_of(hub, actor);
    int status = hub->status ? hub->status : body ? 204 : 200;
    char *text = NULL;
    if (body) {
        hub->patches++;
        if (status == 204)
            merge(hub->reported[twin], body);
    } else {
        hub->reads++;
        json_t *whole =
            json_pack("{s:O,s:O}", "desired", hub->desired[twin], "reported", hub->reported[twin]);
        text = status == 200 ? json_dumps(whole, 0) : NULL;
        json_decref(whole);
    }
    if (strstr(topic, body ? "PATCH/properties/reported" : "GET") == NULL)
        abort();
    reply(hub, actor, sb_format("$iothub/twin/res/%d/?$rid=%s&$version=9", status, rid), text);
}

static void take_message(struct hub *hub, enum hub_actor actor, const struct sb_output *output)
{
    const char *rid = strstr(output->topic, "$rid=");
    int status = 0;
    if (!rid)
        abort();
    rid += strlen("$rid=");
    if (sscanf(output->topic, "$iothub/methods/res/%d/", &status) == 1) { /* NOLINT */
        if (hub->answer_count < SB_COUNT(hub->answers))
            hub->answers[hub->answer_count++] =
                (struct hub_answer){ status, strdup(rid), json_incref(output->json) };
        return;
    }
    take_twin_request(hub, actor, output->topic, output->json, rid);
}

/* ---- the core ---- */

static void step(struct hub *hub, enum hub_actor actor, struct sb_input *input);

static void submit(struct hub *hub, enum hub_actor actor, const struct sb_output *output)
{
    struct sb_verdict verdict = { .cause = hub->refuse,
                                  .text = (char *)(uintptr_t)hub->refuse_text };
    if (hub->refuse == SB_CAUSE_NONE && hub->task_count < HUB_TASKS) {
        struct hub_task *task = &hub->tasks[hub->task_count++];
        *task =
            (struct hub_task){ .whose = actor,
                               .package = output->package ? json_dumps(output->package, 0) : NULL,
                               .params = output->json ? json_dumps(output->json, 0) : NULL };
        task->job = (struct sb_job){ .origin = "cloud", .op = output->op };
        task->task = (struct sb_task){ .id = (int64_t)hub->task_count + 100,
                                       .job = &task->job,
                                       .device = hub->devices[actor].id,
                                       .state = SB_TASK_QUEUED };
        verdict.task = task->task.id;
    } else if (hub->refuse == SB_CAUSE_NONE) {
        verdict.cause = SB_CAUSE_BUSY;
    }
    step(hub, actor,
         &(struct sb_input){ .kind = SB_IN_VERDICT, .tag = output->tag, .verdict = &verdict });
}

static void look(struct hub *hub, enum hub_actor actor, int64_t id)
{
    struct sb_news news = { .kind = SB_NEWS_TASK, .device = &hub->devices[actor] };
    for (size_t i = 0; i < hub->task_count; i++)
        if (hub->tasks[i].task.id == id && !sb_task_state_is_final(hub->tasks[i].task.state))
            news.task = &hub->tasks[i].task;
    step(hub, actor, &(struct sb_input){ .kind = SB_IN_NEWS, .news = &news, .value = id });
}

static void set_timer(struct hub *hub, enum hub_actor actor, const char *tag, int64_t ms)
{
    struct hub_timer *timer = NULL;
    for (size_t i = 0; i < SB_COUNT(hub->timers); i++)
        if (hub->timers[i].whose == actor && sb_streq(hub->timers[i].tag, tag))
            timer = &hub->timers[i];
    for (size_t i = 0; !timer && i < SB_COUNT(hub->timers); i++)
        if (!hub->timers[i].tag)
            timer = &hub->timers[i];
    if (!timer)
        abort();
    free(SB_STEAL(timer->tag));
    if (ms < 0)
        return;
    *timer = (struct hub_timer){ actor, strdup(tag), hub->now + ms };
}

static void tell(struct hub *hub, enum hub_actor from, const struct sb_output *output)
{
    for (int i = 0; i < HUB_ACTORS; i++) {
        bool is_it =
            output->name ? i != HUB_GATEWAY && sb_streq(names[i], output->name) : i == HUB_GATEWAY;
        if (is_it)
            step(hub, (enum hub_actor)i,
                 &(struct sb_input){ .kind = SB_IN_TOLD,
                                     .tag = output->tag,
                                     .told = output->json,
                                     .from = from == HUB_GATEWAY ? NULL : names[from] });
    }
}

static void carry_out(struct hub *hub, enum hub_actor actor, const struct sb_output *output)
{
    switch (output->kind) {
    case SB_OUT_SEND:
        take_message(hub, actor, output);
        break;
    case SB_OUT_SUBMIT:
        submit(hub, actor, output);
        break;
    case SB_OUT_CANCEL:
        hub->cancelled = output->task;
        hub->cancel_cause = output->cause;
        break;
    case SB_OUT_TIMER:
        set_timer(hub, actor, output->tag, output->value);
        break;
    case SB_OUT_LOOK:
        look(hub, actor, output->task);
        break;
    case SB_OUT_TELL:
        tell(hub, actor, output);
        break;
    case SB_OUT_RENEW:
        hub->renewals++;
        break;
    case SB_OUT_SETTLE:
        hub->settled++;
        break;
    case SB_OUT_NOTE:
        hub->notes++;
        free(hub->note);
        hub->note = strdup(output->text);
        break;
    default:
        break;
    }
}

static void deliver(struct hub *hub)
{
    while (hub->reply_count > 0) {
        struct hub_reply first = hub->replies[0];
        memmove(hub->replies, hub->replies + 1, --hub->reply_count * sizeof(first));
        if (hub->up[first.to])
            hub_hears(hub, first.to, first.topic, first.text, strlen(first.text));
        free(first.topic);
        free(first.text);
    }
}

static void step(struct hub *hub, enum hub_actor actor, struct sb_input *input)
{
    struct sb_effects effects = { 0 };
    bool self = actor == HUB_GATEWAY;
    input->self = self && !hub->stranger;
    input->link = "cloud";
    input->name = self ? NULL : names[actor];
    input->connected = hub->up[twin_of(hub, actor)];
    input->device = hub->stranger ? NULL : &hub->devices[actor];
    input->words = hub->words;
    input->config = &hub->config;
    input->now = hub->now;
    input->wall = hub->wall;
    input->ready = hub->ready;
    input->why = hub->why;
    hub->depth++;
    if (hub->around)
        hub->around(true);
    int r = sb_azure_step(hub->states[actor], input, &effects);
    if (hub->around)
        hub->around(false);
    if (r < 0 && !hub->around)
        abort();
    hub->failed = hub->failed || r < 0;
    hub->saves += effects.save;
    for (size_t i = 0; r == 0 && i < effects.count; i++)
        carry_out(hub, actor, &effects.list[i]);
    sb_effects_done(&effects);
    if (--hub->depth == 0)
        deliver(hub);
}

/* ---- inputs ---- */

void hub_hears(struct hub *hub, enum hub_actor actor, const char *topic, const void *payload,
               size_t n)
{
    struct sb_message message = { 0 };
    if (sb_azure_decode(hub->words, &hub->config, topic, payload, n, &message) < 0)
        return;
    hub->stranger = message.name != NULL;
    for (int i = HUB_PUMP; message.name && i < HUB_ACTORS; i++) {
        if (!sb_streq(message.name, names[i]))
            continue;
        actor = (enum hub_actor)i;
        hub->stranger = false;
    }
    void *kept = hub->states[actor];
    if (hub->stranger)
        hub->states[actor] = sb_azure_load(NULL);
    step(hub, actor, &(struct sb_input){ .kind = SB_IN_MESSAGE, .message = &message });
    if (hub->stranger) {
        sb_azure_drop(hub->states[actor]);
        hub->states[actor] = kept;
    }
    hub->stranger = false;
    sb_message_done(&message);
}

void hub_up(struct hub *hub, enum hub_actor actor)
{
    hub->up[actor] = true;
    step(hub, actor, &(struct sb_input){ .kind = SB_IN_UP, .value = -1 });
}

void hub_down(struct hub *hub, enum hub_actor actor)
{
    hub->up[actor] = false;
    step(hub, actor, &(struct sb_input){ .kind = SB_IN_DOWN });
}

void hub_desires(struct hub *hub, enum hub_actor actor, const char *text)
{
    enum hub_actor twin = twin_of(hub, actor);
    json_t *patch = json_loads(text, 0, NULL);
    json_int_t version = json_integer_value(json_object_get(hub->desired[twin], "$version")) + 1;
    if (!patch)
        abort();
    merge(hub->desired[twin], patch);
    json_object_set_new(hub->desired[twin], "$version", json_integer(version));
    json_object_set_new(patch, "$version", json_integer(version));
    sb_cleanup(sb_freep) char *body = json_dumps(patch, 0);
    sb_cleanup(sb_freep) char *topic =
        sb_format("$iothub/twin/PATCH/properties/desired/?$version=%lld", (long long)version);
    json_decref(patch);
    if (hub->up[twin] && !hub->miss)
        hub_hears(hub, twin, topic, body, strlen(body));
}

const char *hub_calls(struct hub *hub, enum hub_actor actor, const char *method,
                      const char *payload)
{
    static char rid[16];
    (void)snprintf(rid, sizeof(rid), "%u", ++hub->rids);
    sb_cleanup(sb_freep) char *topic = sb_format("$iothub/methods/POST/%s/?$rid=%s", method, rid);
    hub_hears(hub, actor, topic, payload ? payload : "", payload ? strlen(payload) : 0);
    return rid;
}

static void tell_task(struct hub *hub, struct hub_task *task)
{
    struct sb_news news = { .kind = SB_NEWS_TASK,
                            .device = &hub->devices[task->whose],
                            .task = &task->task };
    step(hub, task->whose, &(struct sb_input){ .kind = SB_IN_NEWS, .news = &news });
}

void hub_task(struct hub *hub, size_t index, enum sb_task_state state)
{
    if (index >= hub->task_count)
        abort();
    hub->tasks[index].task.state = state;
    tell_task(hub, &hub->tasks[index]);
}

void hub_fails(struct hub *hub, size_t index, enum sb_cause cause, enum sb_phase phase)
{
    if (index >= hub->task_count)
        abort();
    hub->tasks[index].task.cause = cause;
    hub->tasks[index].task.phase = phase;
    hub_task(hub, index, SB_TASK_FAILED);
}

void hub_foreign(struct hub *hub, enum hub_actor actor, enum sb_op op, enum sb_task_state state,
                 enum sb_cause cause)
{
    struct sb_job job = { .id = 900, .origin = "native", .op = op };
    struct sb_task task = { .id = 900, .job = &job, .state = state, .cause = cause };
    struct sb_news news = { .kind = SB_NEWS_FIRMWARE,
                            .device = &hub->devices[actor],
                            .task = &task };
    step(hub, actor, &(struct sb_input){ .kind = SB_IN_NEWS, .news = &news });
}

void hub_news(struct hub *hub, enum hub_actor actor, enum sb_news_kind kind)
{
    struct sb_news news = { .kind = kind, .device = &hub->devices[actor] };
    step(hub, actor, &(struct sb_input){ .kind = SB_IN_NEWS, .news = &news });
}

void hub_passes(struct hub *hub, int64_t ms)
{
    int64_t end = hub->now + ms;
    for (;;) {
        struct hub_timer *next = NULL;
        for (size_t i = 0; i < SB_COUNT(hub->timers); i++) {
            struct hub_timer *timer = &hub->timers[i];
            if (timer->tag && timer->due <= end && (!next || timer->due < next->due))
                next = timer;
        }
        if (!next)
            break;
        hub->wall += next->due - hub->now;
        hub->now = next->due;
        sb_cleanup(sb_freep) char *tag = SB_STEAL(next->tag);
        step(hub, next->whose, &(struct sb_input){ .kind = SB_IN_TIMER, .tag = tag });
    }
    hub->wall += end - hub->now;
    hub->now = end;
}

void hub_restarts(struct hub *hub)
{
    for (size_t i = 0; i < SB_COUNT(hub->timers); i++)
        free(SB_STEAL(hub->timers[i].tag));
    for (int i = 0; i < HUB_ACTORS; i++) {
        json_t *saved = sb_azure_save(hub->states[i]);
        sb_cleanup(sb_freep) char *text = saved ? json_dumps(saved, 0) : NULL;
        json_t *again = text ? json_loads(text, 0, NULL) : NULL;
        if (!again)
            abort();
        sb_azure_drop(hub->states[i]);
        hub->states[i] = sb_azure_load(again);
        json_decref(saved);
        json_decref(again);
        hub->up[i] = false;
    }
    for (int i = 0; i < HUB_ACTORS; i++)
        step(hub, (enum hub_actor)i, &(struct sb_input){ .kind = SB_IN_LOADED });
}

/* ---- looking ---- */

static const struct hub_answer *answer_of(const struct hub *hub, const char *rid)
{
    for (size_t i = 0; i < hub->answer_count; i++)
        if (sb_streq(hub->answers[i].rid, rid))
            return &hub->answers[i];
    return NULL;
}

bool hub_unanswered(const struct hub *hub, const char *rid)
{
    return !answer_of(hub, rid);
}

static bool same(const json_t *have, const char *wanted)
{
    json_t *want = wanted ? json_loads(wanted, JSON_DECODE_ANY, NULL) : NULL;
    bool equal = wanted ? have && json_equal(want, have) : !have;
    sb_cleanup(sb_freep) char *text = have ? json_dumps(have, JSON_ENCODE_ANY) : NULL;
    json_decref(want);
    if (!equal)
        (void)fprintf(stderr, "have: %s\nwanted: %s\n", text ? text : "nothing",
                      wanted ? wanted : "nothing");
    return equal;
}

bool hub_answered(const struct hub *hub, const char *rid, int status, const char *json)
{
    const struct hub_answer *answer = answer_of(hub, rid);
    if (!answer || answer->status != status) {
        sb_cleanup(sb_freep) char *text = answer ? json_dumps(answer->payload, 0) : NULL;
        (void)fprintf(stderr, "answer to %s: %d %s\n", rid, answer ? answer->status : 0,
                      text ? text : "");
        return false;
    }
    return sb_streq(json, "*") || same(answer->payload, json);
}

bool hub_reports(const struct hub *hub, enum hub_actor actor, const char *path, const char *json)
{
    const json_t *at = hub->reported[twin_of(hub, actor)];
    while (at && *path) {
        size_t n = strcspn(path, "/");
        sb_cleanup(sb_freep) char *key = strndup(path, n);
        at = json_object_get(at, key);
        path += n + (path[n] == '/');
    }
    return same(at, json);
}

int64_t hub_timer(const struct hub *hub, enum hub_actor actor, const char *tag)
{
    for (size_t i = 0; i < SB_COUNT(hub->timers); i++)
        if (hub->timers[i].whose == actor && sb_streq(hub->timers[i].tag, tag))
            return hub->timers[i].due - hub->now;
    return -1;
}
