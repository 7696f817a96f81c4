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

struct world *world_new(void)
{
    struct world *world = calloc(1, sizeof(*world));
    if (!world)
        abort();
    world->words = core_words(&sb_ibm_shape);
    world->config = (struct sb_ibm_config){
        .org = "org123", .type = "gwtype", .id = "gw1", .link.verify = true, .bundle = true
    };
    world->driver = (struct sb_driver_ops){ .name = "fake", .accepts = accepts };
    world->type = (struct sb_type){ .name = "pump", .driver = &world->driver };
    world->type.actions = json_pack("{s:{}}", "rinse");
    world->type.properties =
        json_pack("{s:{s:s},s:{s:s}}", "speed", "type", "uint16", "label", "type", "text");
    world->device = (struct sb_device){
        .id = "pump-7", .type_name = "pump", .type = &world->type, .presence = SB_PRESENCE_READY
    };
    world->device.identity =
        json_pack("{s:s,s:s,s:s}", "serial", "S-1", "manufacturer", "Acme", "model", "P7");
    world->device.versions = json_pack("{s:s}", "", "1.0.0");
    world->gateway = (struct sb_device){ .id = "gateway", .gateway = true };
    world->known = world->ready = true;
    world->outage = 0;
    world->now = 1000000;
    world->wall = INT64_C(1764000000000);
    world->state = sb_ibm_load(NULL);
    return world;
}

void world_forget(struct world *world)
{
    struct sb_effects all = { .list = world->log, .count = world->log_count };
    sb_effects_done(&all);
    world->log = NULL;
    world->log_count = world->log_room = world->read_at = 0;
}

void world_free(struct world *world)
{
    world_forget(world);
    sb_ibm_drop(world->state);
    json_decref(world->type.actions);
    json_decref(world->type.properties);
    json_decref(world->device.identity);
    json_decref(world->device.versions);
    json_decref(world->device.facts);
    json_decref(world->gateway.facts);
    for (size_t i = 0; i < SB_COUNT(world->timers); i++)
        free(world->timers[i].tag);
    for (size_t i = 0; i < world->task_count; i++) {
        free(world->jobs[i].external_id);
        json_decref(world->tasks[i].result);
    }
    free(world);
}

/* ---- effects ---- */

static void keep(struct world *world, struct sb_output *output)
{
    if (world->log_count == world->log_room) {
        world->log_room = world->log_room ? world->log_room * 2 : 64;
        world->log = reallocarray(world->log, world->log_room, sizeof(*world->log));
        if (!world->log)
            abort();
    }
    world->log[world->log_count++] = *output;
    *output = (struct sb_output){ .kind = output->kind };
}

static struct world_timer *timer_of(const struct world *world, const char *tag)
{
    for (size_t i = 0; i < SB_COUNT(world->timers); i++) {
        if (sb_streq(world->timers[i].tag, tag))
            return (struct world_timer *)(uintptr_t)&world->timers[i];
    }
    return NULL;
}

static void set_timer(struct world *world, const char *tag, int64_t ms)
{
    struct world_timer *timer = timer_of(world, tag);
    if (timer && ms < 0) {
        free(SB_STEAL(timer->tag));
        return;
    }
    if (ms < 0)
        return;
    for (size_t i = 0; !timer && i < SB_COUNT(world->timers); i++) {
        if (!world->timers[i].tag) {
            timer = &world->timers[i];
            timer->tag = strdup(tag);
        }
    }
    if (!timer)
        abort(); /* timers are bounded by the open requests */
    timer->due = world->now + ms;
}

/* As the core does it: what has not started makes room, anything else is in the way. */
static bool replaced(struct world *world, enum sb_op op)
{
    for (size_t i = 0; i < world->task_count && sb_op_is_firmware(op); i++) {
        struct sb_task *task = &world->tasks[i];
        if (sb_task_state_is_final(task->state) || !sb_op_is_firmware(task->job->op))
            continue;
        if (task->state > SB_TASK_SENT)
            return false;
        task->state = SB_TASK_CANCELLED;
        task->cause = SB_CAUSE_OVERRIDDEN;
        world->news[i] = true;
    }
    return true;
}

static void cancel(struct world *world, int64_t id, enum sb_cause cause)
{
    for (size_t i = 0; i < world->task_count; i++) {
        struct sb_task *task = &world->tasks[i];
        if (task->id != id || sb_task_state_is_final(task->state) || task->committed)
            continue;
        task->state = SB_TASK_CANCELLED;
        task->cause = cause;
        world->news[i] = true;
    }
}

static void submit(struct world *world, const char *tag, enum sb_op op)
{
    struct sb_verdict verdict = { .cause = world->refuse };
    if (world->core && (world->task_count == WORLD_TASKS || !replaced(world, op))) {
        verdict.cause = SB_CAUSE_CONFLICT;
    } else if (world->refuse != SB_CAUSE_NONE) {
        verdict.text = (char *)(uintptr_t)world->refuse_text;
    } else if (world->existing) {
        verdict.task = world->existing;
        verdict.existing = true;
    } else if (world->task_count < WORLD_TASKS) {
        size_t i = world->task_count++;
        world->jobs[i] = (struct sb_job){
            .id = (int64_t)i + 1, .origin = "cloud", .external_id = strdup(tag), .op = op
        };
        world->tasks[i] = (struct sb_task){ .id = (int64_t)i + 101,
                                            .verified = SB_VERIFY_HASH,
                                            .job = &world->jobs[i],
                                            .device = "pump-7",
                                            .state = SB_TASK_QUEUED };
        verdict.task = world->tasks[i].id;
    } else {
        verdict.cause = SB_CAUSE_BUSY;
    }
    world_step(world, &(struct sb_input){ .kind = SB_IN_VERDICT, .tag = tag, .verdict = &verdict });
}

static void look(struct world *world, int64_t id)
{
    struct sb_news news = { .kind = SB_NEWS_TASK, .device = &world->device };
    for (size_t i = 0; i < world->task_count; i++) {
        if (world->tasks[i].id == id && !sb_task_state_is_final(world->tasks[i].state))
            news.task = &world->tasks[i];
    }
    world_step(world, &(struct sb_input){ .kind = SB_IN_NEWS, .news = &news, .value = id });
}

static void carry_out(struct world *world, struct sb_output *output)
{
    enum sb_output_kind kind = output->kind;
    enum sb_op op = output->op;
    enum sb_cause cause = output->cause;
    int64_t task = output->task;
    sb_cleanup(sb_freep) char *tag = output->tag ? strdup(output->tag) : NULL;
    if (kind == SB_OUT_TIMER)
        set_timer(world, output->tag, output->value);
    if (kind == SB_OUT_UNSTAGE)
        world->staged = false;
    keep(world, output);
    if (kind == SB_OUT_SUBMIT)
        submit(world, tag, op);
    if (kind == SB_OUT_CANCEL && world->core)
        cancel(world, task, cause);
    if (kind == SB_OUT_LOOK)
        look(world, task);
}

static void tell(struct world *world, size_t index, enum sb_task_state before)
{
    struct sb_news news = { .kind = SB_NEWS_TASK,
                            .device = &world->device,
                            .task = &world->tasks[index],
                            .before = before };
    world_step(world, &(struct sb_input){ .kind = SB_IN_NEWS, .news = &news });
}

static void turn_ends(struct world *world)
{
    for (size_t i = 0; i < world->task_count; i++) {
        if (!world->news[i])
            continue;
        world->news[i] = false;
        tell(world, i, SB_TASK_QUEUED);
    }
}

void world_step(struct world *world, struct sb_input *input)
{
    struct sb_effects effects = { 0 };
    input->self = world->self;
    input->link = "cloud";
    input->name = world->self ? NULL : input->message ? input->message->name : "pump/p7";
    input->device = world->self    ? (world->has_gateway ? &world->gateway : NULL)
                    : world->known ? &world->device
                                   : NULL;
    input->staged = world->staged ? &world->package : NULL;
    input->words = world->words;
    input->config = &world->config;
    input->now = world->now;
    input->wall = world->wall;
    input->backlog = world->backlog;
    input->outage = world->outage;
    input->ready = world->ready;
    input->why = world->why;
    world->depth++;
    if (sb_ibm_step(world->state, input, &effects) < 0)
        abort();
    world->saves += effects.save;
    for (size_t i = 0; i < effects.count; i++)
        carry_out(world, &effects.list[i]);
    sb_effects_done(&effects);
    if (--world->depth == 0)
        turn_ends(world);
}

/* ---- inputs ---- */

void world_hears(struct world *world, const char *topic, const void *payload, size_t n)
{
    struct sb_message message = { 0 };
    int r = sb_ibm_decode(world->words, &world->config, topic, payload, n, &message);
    if (r < 0)
        return;
    world->self = !message.name;
    world->known = sb_streq(message.name, "pump/p7");
    world_step(world, &(struct sb_input){ .kind = SB_IN_MESSAGE, .message = &message });
    sb_message_done(&message);
}

void world_says(struct world *world, const char *suffix, const char *payload)
{
    sb_cleanup(sb_freep) char *topic = sb_format("%s%s", world->self ? SELF_IN : PREFIX_IN, suffix);
    world_hears(world, topic, payload, strlen(payload));
}

void world_up(struct world *world)
{
    world_step(world, &(struct sb_input){ .kind = SB_IN_UP, .value = world->outage });
}

void world_down(struct world *world)
{
    world_step(world, &(struct sb_input){ .kind = SB_IN_DOWN });
}

void world_news(struct world *world, enum sb_news_kind kind)
{
    struct sb_news news = { .kind = kind, .device = &world->device };
    world_step(world, &(struct sb_input){ .kind = SB_IN_NEWS, .news = &news });
}

void world_task(struct world *world, size_t index, enum sb_task_state state)
{
    struct sb_task *task = &world->tasks[index];
    enum sb_task_state before = task->state;
    if (index >= world->task_count)
        abort();
    task->state = state;
    if (state == SB_TASK_SUCCEEDED && task->job->op == SB_OP_FIRMWARE_DOWNLOAD)
        world->staged = true;
    if (state == SB_TASK_SUCCEEDED && task->job->op == SB_OP_FIRMWARE_INSTALL)
        world->staged = false;
    tell(world, index, before);
}

void world_fails(struct world *world, size_t index, enum sb_cause cause, enum sb_phase phase)
{
    struct sb_task *task = &world->tasks[index];
    enum sb_task_state before = task->state;
    if (index >= world->task_count)
        abort();
    task->state = SB_TASK_FAILED;
    task->cause = cause;
    task->phase = phase;
    tell(world, index, before);
}

void world_foreign(struct world *world, enum sb_op op, enum sb_task_state state,
                   enum sb_cause cause)
{
    struct sb_job job = { .id = 900, .origin = "native", .op = op };
    struct sb_task task = { .id = 900, .job = &job, .device = "pump-7", .state = state };
    task.cause = cause;
    struct sb_news news = { .kind = SB_NEWS_FIRMWARE, .device = &world->device, .task = &task };
    world_step(world, &(struct sb_input){ .kind = SB_IN_NEWS, .news = &news });
}

void world_passes(struct world *world, int64_t ms)
{
    int64_t end = world->now + ms;
    for (;;) {
        struct world_timer *next = NULL;
        for (size_t i = 0; i < SB_COUNT(world->timers); i++) {
            struct world_timer *timer = &world->timers[i];
            if (timer->tag && timer->due <= end && (!next || timer->due < next->due))
                next = timer;
        }
        if (!next)
            break;
        world->wall += next->due - world->now;
        world->now = next->due;
        sb_cleanup(sb_freep) char *tag = SB_STEAL(next->tag);
        world_step(world, &(struct sb_input){ .kind = SB_IN_TIMER, .tag = tag });
    }
    world->wall += end - world->now;
    world->now = end;
}

bool world_restarts(struct world *world)
{
    sb_cleanup(json_decrefp) json_t *saved = sb_ibm_save(world->state);
    sb_cleanup(sb_freep) char *text = sb_json_text(saved);
    if (!text)
        return false;
    sb_ibm_drop(world->state);
    sb_cleanup(json_decrefp) json_t *again = json_loads(text, 0, NULL);
    world->state = sb_ibm_load(again);
    if (!world->state)
        return false;
    for (size_t i = 0; i < SB_COUNT(world->timers); i++)
        free(SB_STEAL(world->timers[i].tag));
    world_step(world, &(struct sb_input){ .kind = SB_IN_LOADED });
    return true;
}

/* ---- looking ---- */

static const struct sb_output *next_send(struct world *world)
{
    while (world->read_at < world->log_count && world->log[world->read_at].kind != SB_OUT_SEND)
        world->read_at++;
    return world->read_at < world->log_count ? &world->log[world->read_at++] : NULL;
}

const struct sb_output *world_next_on(struct world *world, const char *topic)
{
    const struct sb_output *output = next_send(world);
    if (output && sb_streq(output->topic, topic))
        return output;
    sb_cleanup(sb_freep) char *text = output ? sb_json_text(output->json) : NULL;
    if (!world->quiet)
        (void)fprintf(stderr, "sent: %s %s\nwanted: %s\n", output ? output->topic : "nothing",
                      text ? text : "", topic);
    return NULL;
}

const struct sb_output *world_next(struct world *world, const char *suffix)
{
    sb_cleanup(sb_freep) char *topic =
        sb_format("%s%s", world->self ? SELF_OUT : PREFIX_OUT, suffix);
    return world_next_on(world, topic);
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

bool world_sent_on(struct world *world, const char *topic, const char *json)
{
    const struct sb_output *output = world_next_on(world, topic);
    if (!output)
        return false;
    if (sb_streq(json, "*") || same(output->json, json))
        return true;
    sb_cleanup(sb_freep) char *text = sb_json_text(output->json);
    if (!world->quiet)
        (void)fprintf(stderr, "sent %s: %s\nwanted: %s\n", topic, text, json);
    return false;
}

bool world_sent(struct world *world, const char *suffix, const char *json)
{
    sb_cleanup(sb_freep) char *topic =
        sb_format("%s%s", world->self ? SELF_OUT : PREFIX_OUT, suffix);
    return world_sent_on(world, topic, json);
}

bool world_silent(struct world *world)
{
    for (size_t i = world->read_at; i < world->log_count; i++) {
        if (world->log[i].kind != SB_OUT_SEND)
            continue;
        sb_cleanup(sb_freep) char *text = sb_json_text(world->log[i].json);
        if (!world->quiet)
            (void)fprintf(stderr, "unexpected: %s %s\n", world->log[i].topic, text);
        return false;
    }
    return true;
}

size_t world_count(const struct world *world, enum sb_output_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < world->log_count; i++)
        count += world->log[i].kind == kind;
    return count;
}

const struct sb_output *world_last(const struct world *world, enum sb_output_kind kind)
{
    for (size_t i = world->log_count; i-- > 0;) {
        if (world->log[i].kind == kind)
            return &world->log[i];
    }
    return NULL;
}

int64_t world_timer(const struct world *world, const char *tag)
{
    const struct world_timer *timer = timer_of(world, tag);
    return timer ? timer->due - world->now : -1;
}

bool world_noted(const struct world *world, const char *part)
{
    for (size_t i = 0; i < world->log_count; i++) {
        if (world->log[i].kind == SB_OUT_NOTE && strstr(world->log[i].text, part))
            return true;
    }
    return false;
}

void world_replies(struct world *world, const struct sb_output *request, int rc)
{
    sb_cleanup(sb_freep) char *text =
        sb_format("{\"rc\":%d,\"reqId\":\"%s\"}", rc, sb_json_str(request->json, "reqId"));
    world_says(world, "response", text);
}
