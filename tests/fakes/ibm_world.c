/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/ibm_world.h"

#include <stdio.h>

#include "adapters/dialects/ibm/conversation.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"

#define PREFIX_IN  "iotdm-1/type/pump/id/p7/"
#define PREFIX_OUT "iotdevice-1/type/pump/id/p7/"
#define SELF_IN    "iotdm-1/type/gwtype/id/gw1/"
#define SELF_OUT   "iotdevice-1/type/gwtype/id/gw1/"

static enum sb_cause accepts(const struct sb_type *type, int op, const json_t *params,
                             char **ret_text)
{
    (void)type;
    (void)op;
    (void)params;
    (void)ret_text;
    return SB_CAUSE_NONE;
}

struct wiot *wiot_new(void)
{
    struct wiot *wiot = calloc(1, sizeof(*wiot));
    if (!wiot)
        abort();
    wiot->words = core_words(&sb_ibm_shape);
    wiot->config = (struct sb_ibm_config){
        .org = "org123", .type = "gwtype", .id = "gw1", .link.verify = true, .bundle = true
    };
    wiot->driver = (struct sb_driver_ops){ .name = "fake", .accepts = accepts };
    wiot->type = (struct sb_type){ .name = "pump", .driver = &wiot->driver };
    wiot->type.actions = json_pack("{s:{}}", "rinse");
    wiot->type.properties =
        json_pack("{s:{s:s},s:{s:s}}", "speed", "type", "uint16", "label", "type", "text");
    wiot->device = (struct sb_device){
        .id = "pump-7", .type_name = "pump", .type = &wiot->type, .presence = SB_PRESENCE_READY
    };
    wiot->device.identity =
        json_pack("{s:s,s:s,s:s}", "serial", "S-1", "manufacturer", "Acme", "model", "P7");
    wiot->device.versions = json_pack("{s:s}", "", "1.0.0");
    wiot->gateway = (struct sb_device){ .id = "gateway", .gateway = true };
    wiot->known = wiot->ready = true;
    wiot->outage = 0;
    wiot->now = 1000000;
    wiot->wall = INT64_C(1764000000000);
    wiot->state = sb_ibm_load(NULL);
    return wiot;
}

void wiot_forget(struct wiot *wiot)
{
    struct sb_effects all = { .list = wiot->log, .count = wiot->log_count };
    sb_effects_done(&all);
    wiot->log = NULL;
    wiot->log_count = wiot->log_room = wiot->read_at = 0;
}

void wiot_free(struct wiot *wiot)
{
    wiot_forget(wiot);
    sb_ibm_drop(wiot->state);
    json_decref(wiot->type.actions);
    json_decref(wiot->type.properties);
    json_decref(wiot->device.identity);
    json_decref(wiot->device.versions);
    json_decref(wiot->device.facts);
    json_decref(wiot->gateway.facts);
    for (size_t i = 0; i < SB_COUNT(wiot->timers); i++)
        free(wiot->timers[i].tag);
    for (size_t i = 0; i < wiot->task_count; i++) {
        free(wiot->jobs[i].external_id);
        json_decref(wiot->tasks[i].result);
    }
    free(wiot);
}

/* ---- effects ---- */

static void keep(struct wiot *wiot, struct sb_output *output)
{
    if (wiot->log_count == wiot->log_room) {
        wiot->log_room = wiot->log_room ? wiot->log_room * 2 : 64;
        wiot->log = reallocarray(wiot->log, wiot->log_room, sizeof(*wiot->log));
        if (!wiot->log)
            abort();
    }
    wiot->log[wiot->log_count++] = *output;
    *output = (struct sb_output){ .kind = output->kind };
}

static struct wiot_timer *timer_of(const struct wiot *wiot, const char *tag)
{
    for (size_t i = 0; i < SB_COUNT(wiot->timers); i++) {
        if (sb_streq(wiot->timers[i].tag, tag))
            return (struct wiot_timer *)(uintptr_t)&wiot->timers[i];
    }
    return NULL;
}

static void set_timer(struct wiot *wiot, const char *tag, int64_t ms)
{
    struct wiot_timer *timer = timer_of(wiot, tag);
    if (timer && ms < 0) {
        free(SB_STEAL(timer->tag));
        return;
    }
    if (ms < 0)
        return;
    for (size_t i = 0; !timer && i < SB_COUNT(wiot->timers); i++) {
        if (!wiot->timers[i].tag) {
            timer = &wiot->timers[i];
            timer->tag = strdup(tag);
        }
    }
    if (!timer)
        abort(); /* timers are bounded by the open requests */
    timer->due = wiot->now + ms;
}

/* As the core does it: what has not started makes room, anything else is in the way. */
static bool replaced(struct wiot *wiot, enum sb_op op)
{
    for (size_t i = 0; i < wiot->task_count && sb_op_is_firmware(op); i++) {
        struct sb_task *task = &wiot->tasks[i];
        if (sb_task_state_is_final(task->state) || !sb_op_is_firmware(task->job->op))
            continue;
        if (task->state > SB_TASK_SENT)
            return false;
        task->state = SB_TASK_CANCELLED;
        task->cause = SB_CAUSE_OVERRIDDEN;
        wiot->news[i] = true;
    }
    return true;
}

static void cancel(struct wiot *wiot, int64_t id, enum sb_cause cause)
{
    for (size_t i = 0; i < wiot->task_count; i++) {
        struct sb_task *task = &wiot->tasks[i];
        if (task->id != id || sb_task_state_is_final(task->state) || task->committed)
            continue;
        task->state = SB_TASK_CANCELLED;
        task->cause = cause;
        wiot->news[i] = true;
    }
}

static void submit(struct wiot *wiot, const char *tag, enum sb_op op)
{
    struct sb_verdict verdict = { .cause = wiot->refuse };
    if (wiot->core && (wiot->task_count == WIOT_TASKS || !replaced(wiot, op))) {
        verdict.cause = SB_CAUSE_CONFLICT;
    } else if (wiot->refuse != SB_CAUSE_NONE) {
        verdict.text = (char *)(uintptr_t)wiot->refuse_text;
    } else if (wiot->existing) {
        verdict.task = wiot->existing;
        verdict.existing = true;
    } else if (wiot->task_count < WIOT_TASKS) {
        size_t i = wiot->task_count++;
        wiot->jobs[i] = (struct sb_job){
            .id = (int64_t)i + 1, .origin = "cloud", .external_id = strdup(tag), .op = op
        };
        wiot->tasks[i] = (struct sb_task){ .id = (int64_t)i + 101,
                                           .verified = SB_VERIFY_HASH,
                                           .job = &wiot->jobs[i],
                                           .device = "pump-7",
                                           .state = SB_TASK_QUEUED };
        verdict.task = wiot->tasks[i].id;
    } else {
        verdict.cause = SB_CAUSE_BUSY;
    }
    wiot_step(wiot, &(struct sb_input){ .kind = SB_IN_VERDICT, .tag = tag, .verdict = &verdict });
}

static void look(struct wiot *wiot, int64_t id)
{
    struct sb_news news = { .kind = SB_NEWS_TASK, .device = &wiot->device };
    for (size_t i = 0; i < wiot->task_count; i++) {
        if (wiot->tasks[i].id == id && !sb_task_state_is_final(wiot->tasks[i].state))
            news.task = &wiot->tasks[i];
    }
    wiot_step(wiot, &(struct sb_input){ .kind = SB_IN_NEWS, .news = &news, .value = id });
}

static void carry_out(struct wiot *wiot, struct sb_output *output)
{
    enum sb_output_kind kind = output->kind;
    enum sb_op op = output->op;
    enum sb_cause cause = output->cause;
    int64_t task = output->task;
    sb_cleanup(sb_freep) char *tag = output->tag ? strdup(output->tag) : NULL;
    if (kind == SB_OUT_TIMER)
        set_timer(wiot, output->tag, output->value);
    if (kind == SB_OUT_UNSTAGE)
        wiot->staged = false;
    keep(wiot, output);
    if (kind == SB_OUT_SUBMIT)
        submit(wiot, tag, op);
    if (kind == SB_OUT_CANCEL && wiot->core)
        cancel(wiot, task, cause);
    if (kind == SB_OUT_LOOK)
        look(wiot, task);
}

static void tell(struct wiot *wiot, size_t index, enum sb_task_state before)
{
    struct sb_news news = {
        .kind = SB_NEWS_TASK, .device = &wiot->device, .task = &wiot->tasks[index], .before = before
    };
    wiot_step(wiot, &(struct sb_input){ .kind = SB_IN_NEWS, .news = &news });
}

static void turn_ends(struct wiot *wiot)
{
    for (size_t i = 0; i < wiot->task_count; i++) {
        if (!wiot->news[i])
            continue;
        wiot->news[i] = false;
        tell(wiot, i, SB_TASK_QUEUED);
    }
}

void wiot_step(struct wiot *wiot, struct sb_input *input)
{
    struct sb_effects effects = { 0 };
    input->self = wiot->self;
    input->link = "cloud";
    input->name = wiot->self ? NULL : input->message ? input->message->name : "pump/p7";
    input->device = wiot->self    ? (wiot->has_gateway ? &wiot->gateway : NULL)
                    : wiot->known ? &wiot->device
                                  : NULL;
    input->staged = wiot->staged ? &wiot->package : NULL;
    input->words = wiot->words;
    input->config = &wiot->config;
    input->now = wiot->now;
    input->wall = wiot->wall;
    input->backlog = wiot->backlog;
    input->outage = wiot->outage;
    input->ready = wiot->ready;
    input->why = wiot->why;
    wiot->depth++;
    if (sb_ibm_step(wiot->state, input, &effects) < 0)
        abort();
    wiot->saves += effects.save;
    for (size_t i = 0; i < effects.count; i++)
        carry_out(wiot, &effects.list[i]);
    sb_effects_done(&effects);
    if (--wiot->depth == 0)
        turn_ends(wiot);
}

/* ---- inputs ---- */

void wiot_hears(struct wiot *wiot, const char *topic, const void *payload, size_t n)
{
    struct sb_message message = { 0 };
    int r = sb_ibm_decode(wiot->words, &wiot->config, topic, payload, n, &message);
    if (r < 0)
        return;
    wiot->self = !message.name;
    wiot->known = sb_streq(message.name, "pump/p7");
    wiot_step(wiot, &(struct sb_input){ .kind = SB_IN_MESSAGE, .message = &message });
    sb_message_done(&message);
}

void wiot_says(struct wiot *wiot, const char *suffix, const char *payload)
{
    sb_cleanup(sb_freep) char *topic = sb_format("%s%s", wiot->self ? SELF_IN : PREFIX_IN, suffix);
    wiot_hears(wiot, topic, payload, strlen(payload));
}

void wiot_up(struct wiot *wiot)
{
    wiot_step(wiot, &(struct sb_input){ .kind = SB_IN_UP, .value = wiot->outage });
}

void wiot_down(struct wiot *wiot)
{
    wiot_step(wiot, &(struct sb_input){ .kind = SB_IN_DOWN });
}

void wiot_news(struct wiot *wiot, enum sb_news_kind kind)
{
    struct sb_news news = { .kind = kind, .device = &wiot->device };
    wiot_step(wiot, &(struct sb_input){ .kind = SB_IN_NEWS, .news = &news });
}

void wiot_task(struct wiot *wiot, size_t index, enum sb_task_state state)
{
    struct sb_task *task = &wiot->tasks[index];
    enum sb_task_state before = task->state;
    if (index >= wiot->task_count)
        abort();
    task->state = state;
    if (state == SB_TASK_SUCCEEDED && task->job->op == SB_OP_FIRMWARE_DOWNLOAD)
        wiot->staged = true;
    if (state == SB_TASK_SUCCEEDED && task->job->op == SB_OP_FIRMWARE_INSTALL)
        wiot->staged = false;
    tell(wiot, index, before);
}

void wiot_fails(struct wiot *wiot, size_t index, enum sb_cause cause, enum sb_phase phase)
{
    struct sb_task *task = &wiot->tasks[index];
    enum sb_task_state before = task->state;
    if (index >= wiot->task_count)
        abort();
    task->state = SB_TASK_FAILED;
    task->cause = cause;
    task->phase = phase;
    tell(wiot, index, before);
}

void wiot_foreign(struct wiot *wiot, enum sb_op op, enum sb_task_state state, enum sb_cause cause)
{
    struct sb_job job = { .id = 900, .origin = "native", .op = op };
    struct sb_task task = { .id = 900, .job = &job, .device = "pump-7", .state = state };
    task.cause = cause;
    struct sb_news news = { .kind = SB_NEWS_FIRMWARE, .device = &wiot->device, .task = &task };
    wiot_step(wiot, &(struct sb_input){ .kind = SB_IN_NEWS, .news = &news });
}

void wiot_passes(struct wiot *wiot, int64_t ms)
{
    int64_t end = wiot->now + ms;
    for (;;) {
        struct wiot_timer *next = NULL;
        for (size_t i = 0; i < SB_COUNT(wiot->timers); i++) {
            struct wiot_timer *timer = &wiot->timers[i];
            if (timer->tag && timer->due <= end && (!next || timer->due < next->due))
                next = timer;
        }
        if (!next)
            break;
        wiot->wall += next->due - wiot->now;
        wiot->now = next->due;
        sb_cleanup(sb_freep) char *tag = SB_STEAL(next->tag);
        wiot_step(wiot, &(struct sb_input){ .kind = SB_IN_TIMER, .tag = tag });
    }
    wiot->wall += end - wiot->now;
    wiot->now = end;
}

bool wiot_restarts(struct wiot *wiot)
{
    sb_cleanup(json_decrefp) json_t *saved = sb_ibm_save(wiot->state);
    sb_cleanup(sb_freep) char *text = sb_json_text(saved);
    if (!text)
        return false;
    sb_ibm_drop(wiot->state);
    sb_cleanup(json_decrefp) json_t *again = json_loads(text, 0, NULL);
    wiot->state = sb_ibm_load(again);
    if (!wiot->state)
        return false;
    for (size_t i = 0; i < SB_COUNT(wiot->timers); i++)
        free(SB_STEAL(wiot->timers[i].tag));
    wiot_step(wiot, &(struct sb_input){ .kind = SB_IN_LOADED });
    return true;
}

/* ---- looking ---- */

static const struct sb_output *next_send(struct wiot *wiot)
{
    while (wiot->read_at < wiot->log_count && wiot->log[wiot->read_at].kind != SB_OUT_SEND)
        wiot->read_at++;
    return wiot->read_at < wiot->log_count ? &wiot->log[wiot->read_at++] : NULL;
}

const struct sb_output *wiot_next_on(struct wiot *wiot, const char *topic)
{
    const struct sb_output *output = next_send(wiot);
    if (output && sb_streq(output->topic, topic))
        return output;
    sb_cleanup(sb_freep) char *text = output ? sb_json_text(output->json) : NULL;
    if (!wiot->quiet)
        (void)fprintf(stderr, "sent: %s %s\nwanted: %s\n", output ? output->topic : "nothing",
                      text ? text : "", topic);
    return NULL;
}

const struct sb_output *wiot_next(struct wiot *wiot, const char *suffix)
{
    sb_cleanup(sb_freep) char *topic =
        sb_format("%s%s", wiot->self ? SELF_OUT : PREFIX_OUT, suffix);
    return wiot_next_on(wiot, topic);
}

static bool same(const json_t *sent, const char *wanted)
{
    sb_cleanup(json_decrefp) json_t *want = json_loads(wanted, 0, NULL);
    sb_cleanup(json_decrefp) json_t *have = json_deep_copy(sent);
    if (!want)
        return false;
    if (sb_streq(sb_json_str(want, "reqId"), "*") && sb_json_str(have, "reqId")) {
        json_object_del(want, "reqId");
        json_object_del(have, "reqId");
    }
    return json_equal(want, have);
}

bool wiot_sent_on(struct wiot *wiot, const char *topic, const char *json)
{
    const struct sb_output *output = wiot_next_on(wiot, topic);
    if (!output)
        return false;
    if (sb_streq(json, "*") || same(output->json, json))
        return true;
    sb_cleanup(sb_freep) char *text = sb_json_text(output->json);
    if (!wiot->quiet)
        (void)fprintf(stderr, "sent %s: %s\nwanted: %s\n", topic, text, json);
    return false;
}

bool wiot_sent(struct wiot *wiot, const char *suffix, const char *json)
{
    sb_cleanup(sb_freep) char *topic =
        sb_format("%s%s", wiot->self ? SELF_OUT : PREFIX_OUT, suffix);
    return wiot_sent_on(wiot, topic, json);
}

bool wiot_silent(struct wiot *wiot)
{
    for (size_t i = wiot->read_at; i < wiot->log_count; i++) {
        if (wiot->log[i].kind != SB_OUT_SEND)
            continue;
        sb_cleanup(sb_freep) char *text = sb_json_text(wiot->log[i].json);
        if (!wiot->quiet)
            (void)fprintf(stderr, "unexpected: %s %s\n", wiot->log[i].topic, text);
        return false;
    }
    return true;
}

size_t wiot_count(const struct wiot *wiot, enum sb_output_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < wiot->log_count; i++)
        count += wiot->log[i].kind == kind;
    return count;
}

const struct sb_output *wiot_last(const struct wiot *wiot, enum sb_output_kind kind)
{
    for (size_t i = wiot->log_count; i-- > 0;) {
        if (wiot->log[i].kind == kind)
            return &wiot->log[i];
    }
    return NULL;
}

int64_t wiot_timer(const struct wiot *wiot, const char *tag)
{
    const struct wiot_timer *timer = timer_of(wiot, tag);
    return timer ? timer->due - wiot->now : -1;
}

bool wiot_noted(const struct wiot *wiot, const char *part)
{
    for (size_t i = 0; i < wiot->log_count; i++) {
        if (wiot->log[i].kind == SB_OUT_NOTE && strstr(wiot->log[i].text, part))
            return true;
    }
    return false;
}

void wiot_replies(struct wiot *wiot, const struct sb_output *request, int rc)
{
    sb_cleanup(sb_freep) char *text =
        sb_format("{\"rc\":%d,\"reqId\":\"%s\"}", rc, sb_json_str(request->json, "reqId"));
    wiot_says(wiot, "response", text);
}
