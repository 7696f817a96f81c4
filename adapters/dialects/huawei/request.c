/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands and property requests: each is an operation of the core, answered with its result.
 *     command   reboot, factory reset by their words; else an action of the device's type
 *     set       services[].properties -> write {values}
 *     get       the properties of the type that can be read -> read {names}
 */
#include "adapters/dialects/huawei/parts.h"
#include "bridge/base/str.h"
#include "bridge/mapping/type.h"

#define CODE_OK     0
#define CODE_FAILED 1

/* ---- answers ---- */

static const char *const answer_topics[SB_HUAWEI_KIND_MAX_] = {
    [SB_HUAWEI_COMMAND] = "topic_command_answer",
    [SB_HUAWEI_SET] = "topic_set_answer",
    [SB_HUAWEI_GET] = "topic_get_answer",
};

static void answer(struct sb_huawei_turn *turn, int kind, const char *id, json_t *payload,
                   int64_t task, const char *what)
{
    sb_huawei_send(turn, &(struct sb_huawei_parcel){ .word = answer_topics[kind],
                                                     .request = id,
                                                     .payload = payload,
                                                     .class = SB_PARCEL_PASSING,
                                                     .what = what,
                                                     .task = task });
}

/* name: of the command, or NULL. */
static void answer_error(struct sb_huawei_turn *turn, int kind, const char *id, const char *name,
                         enum sb_cause cause, const char *text, int64_t task)
{
    const json_t *cell = sb_dialect_cause_cell(turn->in, cause);
    const char *own = sb_json_str(cell, "message"), *code = sb_cause_name((int)cause);
    sb_cleanup(sb_freep) char *clean = sb_dialect_presentable(text && *text ? text
                                                              : own         ? own
                                                                            : code);
    int result = (int)sb_json_int(cell, "command", CODE_FAILED);
    json_t *payload =
        kind == SB_HUAWEI_COMMAND
            ? json_pack("{s:i,s:s*,s:{s:s,s:s*}}", "result_code", result, "response_name", name,
                        "paras", "error", code, "description", clean)
        : kind == SB_HUAWEI_SET
            ? json_pack("{s:i,s:s*}", "result_code", result, "result_desc", clean)
            : json_pack("{s:[],s:i,s:s*}", "services", "result_code", result, "result_desc", clean);
    answer(turn, kind, id, payload, task, code);
}

/* ---- who waits ---- */

struct sb_huawei_ask *sb_huawei_ask_find(struct sb_huawei_state *state, const char *tag)
{
    for (size_t i = 0; i < state->ask_count; i++)
        if (sb_streq(state->asks[i].tag, tag))
            return &state->asks[i];
    return NULL;
}

static void ask_done(struct sb_huawei_ask *ask)
{
    free(ask->id);
    free(ask->name);
    free(ask->tag);
}

static struct sb_huawei_ask *ask_add(struct sb_huawei_turn *turn, const char *name)
{
    struct sb_huawei_state *state = turn->state;
    const struct sb_message *message = turn->in->message;
    struct sb_huawei_ask *asks = reallocarray(state->asks, state->ask_count + 1, sizeof(*asks));
    if (!asks)
        return NULL;
    state->asks = asks;
    struct sb_huawei_ask *ask = &asks[state->ask_count];
    *ask = (struct sb_huawei_ask){ .kind = message->kind,
                                   .id = strdup(message->id),
                                   .name = name ? strdup(name) : NULL,
                                   .tag = sb_format("request:%u", ++state->tags) };
    if (ask->id && ask->tag && (ask->name || !name)) {
        state->ask_count++;
        return ask;
    }
    ask_done(ask);
    return NULL;
}

static void ask_end(struct sb_huawei_turn *turn, const struct sb_huawei_ask *ask)
{
    struct sb_huawei_state *state = turn->state;
    size_t at = (size_t)(ask - state->asks);
    sb_effects_timer(turn->effects, state->asks[at].tag, -1);
    ask_done(&state->asks[at]);
    state->ask_count--;
    memmove(&state->asks[at], &state->asks[at + 1], (state->ask_count - at) * sizeof(*ask));
}

static void ask_refuse(struct sb_huawei_turn *turn, const struct sb_huawei_ask *ask,
                       enum sb_cause cause, const char *text)
{
    answer_error(turn, ask->kind, ask->id, ask->name, cause, text, ask->task);
    ask_end(turn, ask);
}

void sb_huawei_asks_drop(struct sb_huawei_turn *turn)
{
    while (turn->state->ask_count > 0)
        ask_end(turn, &turn->state->asks[0]);
}

void sb_huawei_asks_refuse(struct sb_huawei_turn *turn, enum sb_cause cause)
{
    while (turn->state->ask_count > 0)
        ask_refuse(turn, &turn->state->asks[0], cause, NULL);
}

/* ---- what is asked for ---- */

static const char *command_of(const struct sb_message *message)
{
    const char *name = sb_json_str(message->body, "command_name");
    return message->kind == SB_HUAWEI_COMMAND && name && strlen(name) <= SB_HUAWEI_ID_MAX ? name
                                                                                          : NULL;
}

static void refuse(struct sb_huawei_turn *turn, enum sb_cause cause, const char *text)
{
    const struct sb_message *message = turn->in->message;
    answer_error(turn, message->kind, message->id, command_of(message), cause, text, 0);
}

/* Takes params; NULL: no memory. */
static void submit(struct sb_huawei_turn *turn, enum sb_op op, const char *name, json_t *params)
{
    if (!sb_dialect_can(turn->in, op)) {
        json_decref(params);
        refuse(turn, SB_CAUSE_UNSUPPORTED, NULL);
        return;
    }
    if (turn->state->ask_count >= (size_t)sb_words_limit(turn->in->words, "open_requests")) {
        json_decref(params);
        refuse(turn, SB_CAUSE_BUSY, "too many requests wait for an answer");
        return;
    }
    struct sb_huawei_ask *made = params ? ask_add(turn, name) : NULL;
    if (!made) {
        json_decref(params);
        turn->effects->broken = true;
        return;
    }
    sb_huawei_submit(turn, made->tag, NULL, op, params, NULL);
}

static void on_command(struct sb_huawei_turn *turn)
{
    static const struct {
        const char *word;
        enum sb_op op;
    } known[] = { { "command_reboot", SB_OP_REBOOT },
                  { "command_factory_reset", SB_OP_FACTORY_RESET } };
    const struct sb_device *device = turn->in->device;
    const char *name = command_of(turn->in->message);
    const json_t *paras = sb_json_object(turn->in->message->body, "paras");
    const json_t *given = json_object_get(turn->in->message->body, "paras");
    if (!name || !*name || (given && !paras && !json_is_null(given))) {
        refuse(turn, SB_CAUSE_INVALID_REQUEST,
               name && *name ? "paras is no object" : "command_name is missing, or too long");
        return;
    }
    for (size_t i = 0; i < SB_COUNT(known); i++) {
        if (!sb_streq(name, sb_words_name(turn->in->words, known[i].word)))
            continue;
        submit(turn, known[i].op, name, json_object());
        return;
    }
    if (!device || !device->type || !json_object_get(device->type->actions, name))
        refuse(turn, SB_CAUSE_UNSUPPORTED, "this device has no such command");
    else
        submit(turn, SB_OP_INVOKE, name,
               json_pack("{s:s,s:o}", "action", name, "arguments",
                         paras ? json_incref((json_t *)paras) : json_object()));
}

static void on_set(struct sb_huawei_turn *turn)
{
    const json_t *services = sb_json_array(turn->in->message->body, "services");
    sb_cleanup(json_decrefp) json_t *values = json_object();
    size_t i;
    json_t *service;
    bool whole = true; /* part of it is none of it */
    json_array_foreach (services, i, service) {
        const json_t *properties = sb_json_object(service, "properties");
        whole = whole && properties;
        if (properties && json_object_update(values, (json_t *)properties) < 0)
            turn->effects->broken = true;
    }
    if (!whole)
        refuse(turn, SB_CAUSE_INVALID_REQUEST, "a service has no object of properties");
    else if (json_object_size(values) == 0)
        refuse(turn, SB_CAUSE_INVALID_REQUEST, "no service has properties to set");
    else
        submit(turn, SB_OP_WRITE, NULL, json_pack("{s:O}", "values", values));
}

static void on_get(struct sb_huawei_turn *turn)
{
    const struct sb_device *device = turn->in->device;
    const json_t *known = device && device->type ? device->type->properties : NULL;
    const char *service = sb_json_str(turn->in->message->body, "service_id");
    sb_cleanup(json_decrefp) json_t *names = json_array();
    const char *name;
    json_t *property;
    json_object_foreach ((json_t *)known, name, property) {
        if (!sb_streq(sb_json_str(property, "access"), "write") &&
            json_array_append_new(names, json_string(name)) < 0)
            turn->effects->broken = true;
    }
    bool legal = !service || strlen(service) <= SB_HUAWEI_ID_MAX;
    if (json_array_size(names) == 0)
        refuse(turn, SB_CAUSE_UNSUPPORTED, "this device has no properties that can be read");
    else
        submit(turn, SB_OP_READ, legal ? service : NULL, json_pack("{s:O}", "names", names));
}

/* The same request_id again, while it is not answered. */
static bool repeated(const struct sb_huawei_turn *turn)
{
    const struct sb_huawei_state *state = turn->state;
    for (size_t i = 0; i < state->ask_count; i++)
        if (state->asks[i].kind == turn->in->message->kind &&
            sb_streq(state->asks[i].id, turn->in->message->id))
            return true;
    return false;
}

void sb_huawei_request(struct sb_huawei_turn *turn)
{
    static void (*const handlers[SB_HUAWEI_KIND_MAX_])(struct sb_huawei_turn *) = {
        [SB_HUAWEI_COMMAND] = on_command, [SB_HUAWEI_SET] = on_set, [SB_HUAWEI_GET] = on_get
    };
    const struct sb_input *in = turn->in;
    if (repeated(turn))
        return;
    if (in->message->error)
        refuse(turn, SB_CAUSE_INVALID_REQUEST, in->message->error);
    else if (!in->device && !in->self)
        refuse(turn, SB_CAUSE_DEVICE_GONE, "no such device behind this gateway");
    else if (!in->ready)
        refuse(turn, SB_CAUSE_BUSY, in->why);
    else
        handlers[in->message->kind](turn);
}

/* ---- what becomes of it ---- */

void sb_huawei_ask_verdict(struct sb_huawei_turn *turn, struct sb_huawei_ask *ask)
{
    const struct sb_verdict *verdict = turn->in->verdict;
    if (verdict->cause != SB_CAUSE_NONE) {
        ask_refuse(turn, ask, verdict->cause, verdict->text);
        return;
    }
    ask->task = verdict->task;
    sb_effects_timer(turn->effects, ask->tag, sb_words_limit(turn->in->words, "final_within"));
}

static json_t *result_of(struct sb_huawei_turn *turn, const struct sb_huawei_ask *ask,
                         const struct sb_task *task, int code)
{
    if (ask->kind == SB_HUAWEI_GET)
        return json_pack("{s:o}", "services", sb_huawei_services(turn, task->result, ask->name));
    if (ask->kind == SB_HUAWEI_SET)
        return json_pack("{s:i,s:s}", "result_code", code, "result_desc", "success");
    return json_pack("{s:i,s:s*,s:o}", "result_code", code, "response_name", ask->name, "paras",
                     task->result ? json_incref(task->result) : json_object());
}

static void answer_result(struct sb_huawei_turn *turn, const struct sb_huawei_ask *ask,
                          const struct sb_task *task)
{
    const json_t *cell = sb_dialect_task_cell(turn->in, task);
    sb_cleanup(sb_freep) char *text = sb_dialect_task_text(turn->in, task);
    if (task->state != SB_TASK_SUCCEEDED) {
        answer_error(turn, ask->kind, ask->id, ask->name, task->cause, text, task->id);
        return;
    }
    json_t *payload = result_of(turn, ask, task, (int)sb_json_int(cell, "command", CODE_OK));
    sb_cleanup(sb_freep) char *size = payload ? sb_json_text(payload) : NULL;
    if (size && strlen(size) > SB_HUAWEI_BODY_MAX) {
        json_decref(payload);
        answer_error(turn, ask->kind, ask->id, ask->name, SB_CAUSE_INTERNAL,
                     "done, but the result is too large for an answer", task->id);
        return;
    }
    answer(turn, ask->kind, ask->id, payload, task->id, sb_task_state_name((int)task->state));
}

void sb_huawei_asks_follow(struct sb_huawei_turn *turn, const struct sb_task *task)
{
    for (size_t i = turn->state->ask_count; i-- > 0;) {
        struct sb_huawei_ask *ask = &turn->state->asks[i];
        if (ask->task != task->id)
            continue;
        ask->begun = ask->begun || sb_task_state_is_under_way(task->state);
        if (!sb_task_state_is_final(task->state))
            continue;
        answer_result(turn, ask, task);
        ask_end(turn, ask);
    }
}

/* Nothing was done yet: take it back, so that the error is the truth. */
void sb_huawei_ask_due(struct sb_huawei_turn *turn, struct sb_huawei_ask *ask)
{
    int64_t task = ask->task;
    bool begun = ask->begun;
    ask_refuse(turn, ask, begun ? SB_CAUSE_TIMEOUT : SB_CAUSE_EXPIRED,
               begun ? "still running" : "not begun in time, and taken back");
    if (!begun)
        sb_effects_cancel(turn->effects, task, SB_CAUSE_EXPIRED);
}
