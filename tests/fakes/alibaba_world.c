/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/alibaba_world.h"

#include <errno.h>
#include <stdio.h>

#include "adapters/dialects/alibaba/conversation.h"
#include "bridge/base/str.h"

static const char *names[ALI_ACTORS];
static const char *const products[ALI_ACTORS] = { "pk0", "pk1", "pk2" };
static const char *plain[ALI_ACTORS];

static void call(enum ali_actor actor, const char *name, const char *its_own)
{
    names[actor] = name;
    plain[actor] = its_own;
}

void ali_rename(struct ali *ali, const char *name)
{
    ali->in[ALI_PUMP] = ali->topology[ALI_PUMP] = false; /* nobody knows that one */
    call(ALI_PUMP, name, name);
}

struct sb_words *ali_words(void)
{
    const char *source = getenv("SB_SOURCE");
    sb_cleanup(sb_freep) char *path =
        sb_format("%s/mappings/dialects/alibaba.yaml", source ? source : SB_WORLD_SOURCE);
    struct sb_diags diags = { 0 };
    struct sb_words *words = NULL;
    if (sb_words_load(path, &sb_alibaba_shape, &words, &diags) < 0) {
        sb_cleanup(sb_freep) char *text = sb_diags_text(&diags);
        (void)fprintf(stderr, "%s\n", text ? text : "?");
    }
    sb_diags_done(&diags);
    return words;
}

static struct ali *of_driver; /* accepts() has no other way to it */

static enum sb_cause accepts(const struct sb_type *type, int op, const json_t *params,
                             char **ret_text)
{
    (void)type;
    (void)params;
    (void)ret_text;
    return of_driver->unsupported & (1U << op) ? SB_CAUSE_UNSUPPORTED : SB_CAUSE_NONE;
}

struct ali *ali_new(struct sb_words *words)
{
    struct ali *ali = calloc(1, sizeof(*ali));
    if (!ali)
        abort();
    call(ALI_GATEWAY, "gw-1", "gw-1");
    call(ALI_PUMP, "pump-7", "pump-7");
    call(ALI_VALVE, "pk2/valve.1", "valve.1");
    of_driver = ali;
    ali->words = words;
    ali->config = (struct sb_alibaba_config){ .link.uri = "mqtt://cloud.example:1883",
                                              .product = "pk0",
                                              .name = "gw-1",
                                              .secret = "file:/keys/gw",
                                              .device_product = "pk1" };
    ali->driver = (struct sb_driver_ops){ .name = "fake", .accepts = accepts };
    ali->type = (struct sb_type){ .name = "pump", .driver = &ali->driver };
    ali->type.actions = json_pack("{s:{}}", "rinse");
    ali->devices[ALI_GATEWAY] = (struct sb_device){ .id = "gateway", .gateway = true };
    for (int i = ALI_PUMP; i < ALI_ACTORS; i++) {
        ali->devices[i] = (struct sb_device){ .id = (char *)(uintptr_t)plain[i],
                                              .type_name = "pump",
                                              .type = &ali->type,
                                              .presence = SB_PRESENCE_READY };
        ali->devices[i].versions = json_pack("{s:s}", "", "1.0.0");
    }
    for (int i = 0; i < ALI_ACTORS; i++)
        ali->states[i] = sb_alibaba_load(NULL);
    ali->ready = true;
    ali->now = 1000000;
    ali->wall = INT64_C(1764000000000);
    return ali;
}

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

void ali_free(struct ali *ali)
{
    for (int i = 0; i < ALI_ACTORS; i++) {
        sb_alibaba_drop(ali->states[i]);
        json_decref(ali->devices[i].versions);
        json_decref(ali->devices[i].properties);
    }
    for (size_t i = 0; i < ali->task_count; i++) {
        free(ali->tasks[i].package);
        free(ali->tasks[i].params);
        free(ali->tasks[i].id);
        json_decref(ali->tasks[i].task.result);
    }
    for (size_t i = 0; i < SB_COUNT(ali->timers); i++)
        free(ali->timers[i].tag);
    while (ali->reply_count > 0)
        sent_done(&ali->replies[--ali->reply_count]);
    ali_clear(ali);
    json_decref(ali->type.actions);
    free(ali->note);
    free(ali);
}

/* ---- the platform ---- */

static int actor_of(const json_t *entry)
{
    for (int i = 0; i < ALI_ACTORS; i++)
        if (sb_streq(sb_json_str(entry, "productKey"), products[i]) &&
            sb_streq(sb_json_str(entry, "deviceName"), plain[i]))
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
    for (int i = ALI_PUMP; i < ALI_ACTORS; i++)
        if (ali->topology[i])
            json_array_append_new(
                list, json_pack("{s:s,s:s}", "productKey", products[i], "deviceName", plain[i]));
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
        int actor = actor_of(one ? one : json_array_get(list, i));
        if (actor < 0 || !ali->topology[actor])
            code = 6401;
    }
    for (size_t i = 0; code == 0 && i < n; i++)
        ali->in[actor_of(one ? one : json_array_get(list, i))] = true;
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
        if (actor_of(json_array_get(list, i)) >= 0)
            ali->topology[actor_of(json_array_get(list, i))] = there;
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
        if (actor_of(params) >= 0)
            ali->in[actor_of(params)] = false;
        ali->logouts++;
        answer(ali, topic, body, 200, NULL);
    } else if (ends(topic, "combine/batch_logout")) {
        for (size_t i = 0; i < json_array_size(params); i++)
            if (actor_of(json_array_get(params, i)) >= 0)
                ali->in[actor_of(json_array_get(params, i))] = false;
        ali->logouts++;
        answer(ali, topic, body, 200, NULL);
    }
}

static int actor_of_topic(const char *topic)
{
    for (int i = 0; i < ALI_ACTORS; i++) {
        sb_cleanup(sb_freep) char *part = sb_format("/%s/%s", products[i], plain[i]);
        const char *at = strstr(topic, part);
        if (at && (at[strlen(part)] == '/' || at[strlen(part)] == '\0'))
            return i;
    }
    return -1;
}

static void take_message(struct ali *ali, const struct sb_output *output)
{
    int actor = actor_of_topic(output->topic);
    if (!output->json || actor < 0)
        abort();
    if (!ali->up)
        return;
    if (ali->sent_count == ALI_SENT)
        ali_clear(ali);
    ali->sent[ali->sent_count++] =
        (struct ali_sent){ strdup(output->topic), json_incref(output->json), output->qos };
    if (actor == ALI_GATEWAY)
        take_gateway(ali, output->topic, output->json);
    else if (!ali->in[actor])
        ali->illegal++;
}

/* ---- the core ---- */

static void step(struct ali *ali, enum ali_actor actor, struct sb_input *input);

/* Equal but for the query of its URI. */
static bool same_package(const char *a, const char *b)
{
    const char *rest_a = a ? strstr(a, "\", \"version") : NULL;
    const char *rest_b = b ? strstr(b, "\", \"version") : NULL;
    size_t n = a ? strcspn(a, "?") : 0;
    if (!rest_a || !rest_b)
        return sb_streq(a, b);
    return n == strcspn(b, "?") && strncmp(a, b, n) == 0 && sb_streq(rest_a, rest_b);
}

static struct ali_task *same(struct ali *ali, enum ali_actor actor, const struct sb_output *output,
                             const char *package, const char *params)
{
    for (size_t i = 0; i < ali->task_count; i++) {
        struct ali_task *task = &ali->tasks[i];
        if (task->whose == actor && !sb_task_state_is_final(task->task.state) &&
            task->job.op == output->op && sb_streq(task->id, output->id) &&
            sb_streq(task->params, params) && same_package(task->package, package))
            return task;
    }
    return NULL;
}

static int64_t take(struct ali *ali, enum ali_actor actor, const struct sb_output *output)
{
    sb_cleanup(sb_freep) char *package = output->package ? json_dumps(output->package, 0) : NULL;
    sb_cleanup(sb_freep) char *params = output->json ? json_dumps(output->json, 0) : NULL;
    struct ali_task *task = same(ali, actor, output, package, params);
    if (task) {
        free(task->package);
        task->package = SB_STEAL(package);
        return task->task.id;
    }
    if (ali->task_count == ALI_TASKS)
        return 0;
    task = &ali->tasks[ali->task_count++];
    *task = (struct ali_task){ .whose = actor,
                               .package = SB_STEAL(package),
                               .params = SB_STEAL(params),
                               .id = output->id ? strdup(output->id) : NULL };
    task->job = (struct sb_job){ .origin = "cloud", .op = output->op };
    task->task = (struct sb_task){ .id = (int64_t)ali->task_count + 100,
                                   .job = &task->job,
                                   .device = ali->devices[actor].id,
                                   .state = SB_TASK_QUEUED };
    return task->task.id;
}

static void submit(struct ali *ali, enum ali_actor actor, const struct sb_output *output)
{
    struct sb_verdict verdict = { .cause = ali->refuse,
                                  .text = (char *)(uintptr_t)ali->refuse_text };
    if (verdict.cause == SB_CAUSE_NONE && !(verdict.task = take(ali, actor, output)))
        verdict.cause = SB_CAUSE_BUSY;
    step(ali, actor,
         &(struct sb_input){ .kind = SB_IN_VERDICT, .tag = output->tag, .verdict = &verdict });
}

static void look(struct ali *ali, enum ali_actor actor, int64_t id)
{
    struct sb_news news = { .kind = SB_NEWS_TASK, .device = &ali->devices[actor] };
    for (size_t i = 0; i < ali->task_count; i++)
        if (ali->tasks[i].task.id == id && !sb_task_state_is_final(ali->tasks[i].task.state))
            news.task = &ali->tasks[i].task;
    step(ali, actor, &(struct sb_input){ .kind = SB_IN_NEWS, .news = &news, .value = id });
}

static void cancel(struct ali *ali, const struct sb_output *output)
{
    ali->cancelled = output->task;
    ali->cancel_cause = output->cause;
    for (size_t i = 0; i < ali->task_count; i++) {
        struct sb_task *task = &ali->tasks[i].task;
        if (task->id != output->task || sb_task_state_is_final(task->state))
            continue;
        task->cause = output->cause;
        ali_task(ali, i, SB_TASK_CANCELLED);
    }
}

static void set_timer(struct ali *ali, enum ali_actor actor, const char *tag, int64_t ms)
{
    size_t at = SB_COUNT(ali->timers);
    for (size_t i = 0; i < SB_COUNT(ali->timers); i++)
        if (ali->timers[i].tag && ali->timers[i].whose == actor &&
            sb_streq(ali->timers[i].tag, tag))
            at = i;
    for (size_t i = 0; at == SB_COUNT(ali->timers) && i < SB_COUNT(ali->timers); i++)
        if (!ali->timers[i].tag)
            at = i;
    if (at == SB_COUNT(ali->timers))
        abort();
    free(SB_STEAL(ali->timers[at].tag));
    if (ms < 0)
        return;
    ali->timers[at].whose = actor;
    ali->timers[at].tag = strdup(tag);
    ali->timers[at].due = ali->now + ms;
}

static void tell(struct ali *ali, enum ali_actor from, const struct sb_output *output)
{
    for (int i = 0; i < ALI_ACTORS; i++) {
        bool is_it =
            output->name ? i != ALI_GATEWAY && sb_streq(names[i], output->name) : i == ALI_GATEWAY;
        if (is_it)
            step(ali, (enum ali_actor)i,
                 &(struct sb_input){ .kind = SB_IN_TOLD,
                                     .tag = output->tag,
                                     .told = output->json,
                                     .from = from == ALI_GATEWAY ? NULL : names[from] });
    }
}

static void carry_out(struct ali *ali, enum ali_actor actor, const struct sb_output *output)
{
    switch (output->kind) {
    case SB_OUT_SEND:
        take_message(ali, output);
        break;
    case SB_OUT_SUBMIT:
        if (actor != ALI_GATEWAY)
            submit(ali, actor, output);
        break;
    case SB_OUT_CANCEL:
        cancel(ali, output);
        break;
    case SB_OUT_TIMER:
        set_timer(ali, actor, output->tag, output->value);
        break;
    case SB_OUT_LOOK:
        look(ali, actor, output->task);
        break;
    case SB_OUT_TELL:
        tell(ali, actor, output);
        break;
    case SB_OUT_SECRET:
        step(ali, actor,
             &(struct sb_input){ .kind = SB_IN_SECRET,
                                 .secret = ali->secret,
                                 .error = ali->secret ? NULL : ali->secret_error });
        break;
    case SB_OUT_NOTE:
        ali->notes++;
        free(ali->note);
        ali->note = strdup(output->text);
        break;
    default:
        break;
    }
}

static void deliver(struct ali *ali)
{
    while (ali->reply_count > 0) {
        struct ali_sent first = ali->replies[0];
        memmove(ali->replies, ali->replies + 1, --ali->reply_count * sizeof(first));
        sb_cleanup(sb_freep) char *text = json_dumps(first.payload, 0);
        if (ali->up)
            ali_bytes(ali, first.topic, text, strlen(text));
        sent_done(&first);
    }
}

static void step(struct ali *ali, enum ali_actor actor, struct sb_input *input)
{
    struct sb_effects effects = { 0 };
    input->self = actor == ALI_GATEWAY;
    input->link = "cloud";
    input->name = input->self ? NULL : names[actor];
    input->connected = ali->up;
    input->device = &ali->devices[actor];
    input->words = ali->words;
    input->config = &ali->config;
    input->now = ali->now;
    input->wall = ali->wall;
    input->ready = ali->ready;
    input->why = ali->why;
    ali->depth++;
    if (ali->depth > 24)
        abort();
    if (ali->around)
        ali->around(true);
    int r = sb_alibaba_step(ali->states[actor], input, &effects);
    if (ali->around)
        ali->around(false);
    if (r < 0 && !ali->around)
        abort();
    ali->failed = ali->failed || r < 0;
    for (size_t i = 0; r == 0 && i < effects.count; i++)
        carry_out(ali, actor, &effects.list[i]);
    sb_effects_done(&effects);
    if (--ali->depth == 0)
        deliver(ali);
}

/* ---- inputs ---- */

void ali_bytes(struct ali *ali, const char *topic, const void *payload, size_t n)
{
    struct sb_message message = { 0 };
    int actor = ALI_GATEWAY;
    if (sb_alibaba_decode(ali->words, &ali->config, topic, payload, n, &message) < 0)
        return;
    for (int i = ALI_PUMP; message.name && i < ALI_ACTORS; i++)
        if (sb_streq(message.name, names[i]))
            actor = i;
    if (!message.name || actor != ALI_GATEWAY)
        step(ali, (enum ali_actor)actor,
             &(struct sb_input){ .kind = SB_IN_MESSAGE, .message = &message });
    sb_message_done(&message);
}

void ali_hears(struct ali *ali, enum ali_actor actor, const char *rest, const char *payload)
{
    sb_cleanup(sb_freep) char *topic =
        rest[0] == '/' ? strdup(rest)
                       : sb_format("/sys/%s/%s/%s", products[actor], plain[actor], rest);
    ali_bytes(ali, topic, payload, strlen(payload));
}

void ali_pushes(struct ali *ali, enum ali_actor actor, const char *data)
{
    sb_cleanup(sb_freep) char *topic =
        sb_format("/ota/device/upgrade/%s/%s", products[actor], plain[actor]);
    sb_cleanup(sb_freep) char *payload = sb_format(
        "{\"code\":\"1000\",\"data\":%s,\"id\":1626969597470,\"message\":\"success\"}", data);
    ali_bytes(ali, topic, payload, strlen(payload));
}

void ali_up(struct ali *ali)
{
    ali->up = true;
    ali->depth++; /* the platform's answers come after that */
    for (int i = 0; i < ALI_ACTORS; i++)
        step(ali, (enum ali_actor)i, &(struct sb_input){ .kind = SB_IN_UP, .value = -1 });
    ali->depth--;
    deliver(ali);
}

void ali_down(struct ali *ali)
{
    ali->up = false;
    for (int i = 0; i < ALI_ACTORS; i++) {
        ali->in[i] = false;
        step(ali, (enum ali_actor)i, &(struct sb_input){ .kind = SB_IN_DOWN });
    }
}

void ali_task(struct ali *ali, size_t index, enum sb_task_state state)
{
    if (index >= ali->task_count)
        abort();
    struct ali_task *task = &ali->tasks[index];
    task->task.state = state;
    struct sb_news news = { .kind = SB_NEWS_TASK,
                            .device = &ali->devices[task->whose],
                            .task = &task->task };
    step(ali, task->whose, &(struct sb_input){ .kind = SB_IN_NEWS, .news = &news });
}

void ali_progress(struct ali *ali, size_t index, enum sb_task_state state, uint8_t percent)
{
    struct sb_task *task = &ali->tasks[index].task;
    task->percent = percent;
    task->furthest_percent = SB_MAX(task->furthest_percent, percent);
    ali_task(ali, index, state);
}

void ali_fails(struct ali *ali, size_t index, enum sb_cause cause, enum sb_phase phase)
{
    ali->tasks[index].task.cause = cause;
    ali->tasks[index].task.phase = phase;
    ali_task(ali, index, SB_TASK_FAILED);
}

void ali_news(struct ali *ali, enum ali_actor actor, enum sb_news_kind kind)
{
    struct sb_news news = { .kind = kind, .device = &ali->devices[actor] };
    step(ali, actor, &(struct sb_input){ .kind = SB_IN_NEWS, .news = &news });
}

void ali_version(struct ali *ali, enum ali_actor actor, const char *module, const char *version)
{
    json_object_set_new(ali->devices[actor].versions, module, json_string(version));
    ali_news(ali, actor, SB_NEWS_IDENTITY);
}

void ali_presence(struct ali *ali, enum ali_actor actor, enum sb_presence presence)
{
    ali->devices[actor].presence = presence;
    ali_news(ali, actor, SB_NEWS_PRESENCE);
}

void ali_passes(struct ali *ali, int64_t ms)
{
    int64_t end = ali->now + ms;
    for (;;) {
        size_t next = SB_COUNT(ali->timers);
        for (size_t i = 0; i < SB_COUNT(ali->timers); i++)
            if (ali->timers[i].tag && ali->timers[i].due <= end &&
                (next == SB_COUNT(ali->timers) || ali->timers[i].due < ali->timers[next].due))
                next = i;
        if (next == SB_COUNT(ali->timers))
            break;
        ali->wall += ali->timers[next].due - ali->now;
        ali->now = ali->timers[next].due;
        sb_cleanup(sb_freep) char *tag = SB_STEAL(ali->timers[next].tag);
        step(ali, ali->timers[next].whose, &(struct sb_input){ .kind = SB_IN_TIMER, .tag = tag });
    }
    ali->wall += end - ali->now;
    ali->now = end;
}

void ali_restarts(struct ali *ali)
{
    ali->up = false;
    for (size_t i = 0; i < SB_COUNT(ali->timers); i++)
        free(SB_STEAL(ali->timers[i].tag));
    for (int i = 0; i < ALI_ACTORS; i++) {
        json_t *saved = sb_alibaba_save(ali->states[i]);
        sb_cleanup(sb_freep) char *text = saved ? json_dumps(saved, 0) : NULL;
        json_t *again = text ? json_loads(text, 0, NULL) : NULL;
        if (!again)
            abort();
        sb_alibaba_drop(ali->states[i]);
        ali->states[i] = sb_alibaba_load(again);
        ali->in[i] = false;
        json_decref(saved);
        json_decref(again);
    }
    for (int i = 0; i < ALI_ACTORS; i++)
        step(ali, (enum ali_actor)i, &(struct sb_input){ .kind = SB_IN_LOADED });
}

/* ---- looking ---- */

static bool is_of(const struct ali_sent *sent, enum ali_actor actor, const char *end)
{
    sb_cleanup(sb_freep) char *whole =
        sb_format("%s%s/%s", end, products[actor], plain[actor]); /* "/ota/device/inform/" */
    return actor_of_topic(sent->topic) == (int)actor &&
           (ends(sent->topic, end) || sb_streq(sent->topic, whole));
}

size_t ali_count(const struct ali *ali, enum ali_actor actor, const char *end)
{
    size_t count = 0;
    for (size_t i = 0; i < ali->sent_count; i++)
        count += is_of(&ali->sent[i], actor, end);
    return count;
}

const json_t *ali_last(const struct ali *ali, enum ali_actor actor, const char *end)
{
    for (size_t i = ali->sent_count; i-- > 0;)
        if (is_of(&ali->sent[i], actor, end))
            return ali->sent[i].payload;
    return NULL;
}

const char *ali_text(const struct ali *ali, enum ali_actor actor, const char *end, const char *path)
{
    static char text[512];
    const json_t *at = ali_last(ali, actor, end);
    while (at && *path) {
        size_t n = strcspn(path, "/");
        sb_cleanup(sb_freep) char *key = strndup(path, n);
        at = json_object_get(at, key);
        path += n + (path[n] == '/');
    }
    sb_cleanup(sb_freep) char *dumped =
        at ? json_dumps(at, JSON_ENCODE_ANY | JSON_COMPACT) : strdup("");
    (void)snprintf(text, sizeof(text), "%s", json_is_string(at) ? json_string_value(at) : dumped);
    return text;
}

int64_t ali_timer(const struct ali *ali, enum ali_actor actor, const char *tag)
{
    for (size_t i = 0; i < SB_COUNT(ali->timers); i++)
        if (ali->timers[i].tag && ali->timers[i].whose == actor &&
            sb_streq(ali->timers[i].tag, tag))
            return ali->timers[i].due - ali->now;
    return -1;
}
