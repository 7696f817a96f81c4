/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Direct methods. The device jobs of the preview by name, then the actions of the device's type.
 * Payloads: an update has fwPackageUri, fwVersion, fwPackageCheckValue; read has names, or one
 * name; write and configure have values, or are the values.
 */
#include <inttypes.h>

#include "adapters/dialects/azure/parts.h"
#include "bridge/base/crypto.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "bridge/mapping/type.h"

/* ---- answers ---- */

static void answer(struct sb_azure_turn *turn, const char *rid, int status, json_t *payload,
                   int64_t task)
{
    sb_cleanup(sb_freep) char *text = sb_format("%d", status);
    if (!text || !payload)
        turn->effects->broken = true;
    turn->state->answered = turn->in->now;
    sb_azure_send(turn,
                  &(struct sb_azure_parcel){
                      .topic = text ? sb_words_fill(sb_words_name(turn->in->words, "topic_answer"),
                                                    "status", text, "rid", rid, NULL)
                                    : NULL,
                      .payload = payload,
                      .what = text,
                      .task = task });
}

static void answer_error(struct sb_azure_turn *turn, const char *rid, int status, const char *code,
                         const char *text, int64_t task)
{
    sb_cleanup(sb_freep) char *clean = sb_dialect_presentable(text);
    answer(turn, rid, status,
           json_pack("{s:{s:s,s:s}}", "error", "code", code, "description", clean ? clean : ""),
           task);
}

static void refuse(struct sb_azure_turn *turn, const char *rid, enum sb_cause cause,
                   const char *text)
{
    const json_t *cell = sb_dialect_cause_cell(turn->in, cause);
    const char *own = sb_json_str(cell, "message");
    answer_error(turn, rid, (int)sb_json_int(cell, "status", SB_AZURE_FAILED),
                 sb_cause_name((int)cause),
                 text && *text ? text
                 : own         ? own
                               : sb_cause_name((int)cause),
                 0);
}

static void refuse_bad(struct sb_azure_turn *turn, const char *text)
{
    answer_error(turn, turn->in->message->id, SB_AZURE_BAD, "invalid_request", text, 0);
}

/* ---- who waits ---- */

struct sb_azure_ask *sb_azure_ask_find(struct sb_azure_state *state, const char *tag)
{
    for (size_t i = 0; i < state->ask_count; i++)
        if (sb_streq(state->asks[i].tag, tag))
            return &state->asks[i];
    return NULL;
}

static struct sb_azure_ask *ask_add(struct sb_azure_turn *turn, enum sb_op op, bool final)
{
    struct sb_azure_state *state = turn->state;
    struct sb_azure_ask *asks = reallocarray(state->asks, state->ask_count + 1, sizeof(*asks));
    if (!asks)
        return NULL;
    state->asks = asks;
    struct sb_azure_ask *ask = &asks[state->ask_count];
    *ask = (struct sb_azure_ask){ .op = op,
                                  .final = final,
                                  .rid = strdup(turn->in->message->id),
                                  .tag = sb_format("method:%u", ++state->tags) };
    if (ask->rid && ask->tag) {
        state->ask_count++;
        return ask;
    }
    free(ask->rid);
    free(ask->tag);
    return NULL;
}

static void ask_end(struct sb_azure_turn *turn, const struct sb_azure_ask *ask)
{
    struct sb_azure_state *state = turn->state;
    size_t at = (size_t)(ask - state->asks);
    if (state->asks[at].final)
        sb_effects_timer(turn->effects, state->asks[at].tag, -1);
    free(state->asks[at].rid);
    free(state->asks[at].tag);
    state->ask_count--;
    memmove(&state->asks[at], &state->asks[at + 1], (state->ask_count - at) * sizeof(*ask));
}

/* What nobody else has asked for, and what has not begun, so that the error is the truth. */
static void take_back(struct sb_azure_turn *turn, int64_t task)
{
    const struct sb_azure_open *open = sb_azure_awaits(turn->state, task);
    if (open && open->answers)
        sb_effects_cancel(turn->effects, task, SB_CAUSE_EXPIRED);
}

void sb_azure_asks_drop(struct sb_azure_turn *turn)
{
    while (turn->state->ask_count > 0) {
        const struct sb_azure_ask *ask = &turn->state->asks[0];
        if (ask->final && !ask->begun)
            take_back(turn, ask->task);
        ask_end(turn, ask);
    }
}

void sb_azure_asks_refuse(struct sb_azure_turn *turn, enum sb_cause cause)
{
    while (turn->state->ask_count > 0) {
        refuse(turn, turn->state->asks[0].rid, cause, NULL);
        ask_end(turn, &turn->state->asks[0]);
    }
}

static void ask(struct sb_azure_turn *turn, enum sb_op op, bool final, json_t *params,
                json_t *package)
{
    if (turn->state->ask_count >= (size_t)sb_words_limit(turn->in->words, "open_requests")) {
        refuse(turn, turn->in->message->id, SB_CAUSE_BUSY, "too many methods wait for an answer");
        json_decref(params);
        json_decref(package);
        return;
    }
    struct sb_azure_ask *made = ask_add(turn, op, final);
    if (!made) {
        turn->effects->broken = true;
        json_decref(params);
        json_decref(package);
        return;
    }
    sb_azure_submit(turn, made->tag, op, final, params, package);
}

/* ---- payloads ---- */

static json_t *names_of(struct sb_azure_turn *turn, const json_t *body)
{
    static const char *const keys[] = { "names", "DevicePropertyNames" };
    const json_t *list = json_is_array(body) ? body : NULL;
    for (size_t i = 0; !list && i < SB_COUNT(keys); i++)
        list = sb_json_array(body, keys[i]);
    json_t *names = json_array();
    size_t i;
    json_t *name;
    json_array_foreach (list, i, name) {
        if (!json_is_string(name) || json_string_length(name) == 0) {
            json_decref(names);
            return NULL;
        }
        if (json_array_append(names, name) < 0)
            turn->effects->broken = true;
    }
    const char *one = json_is_string(body) ? json_string_value(body) : sb_json_str(body, "name");
    if (!list && one && *one && json_array_append_new(names, json_string(one)) < 0)
        turn->effects->broken = true;
    if (json_array_size(names) > 0)
        return json_pack("{s:o}", "names", names);
    json_decref(names);
    return NULL;
}

static json_t *values_of(struct sb_azure_turn *turn SB_UNUSED, const json_t *body)
{
    static const char *const keys[] = { "values", "value", "DeviceProperties" };
    const json_t *values = NULL;
    for (size_t i = 0; !values && i < SB_COUNT(keys); i++)
        values = sb_json_object(body, keys[i]);
    values = values ? values : json_is_object(body) ? body : NULL;
    return json_object_size(values) > 0 ? json_pack("{s:O}", "values", values) : NULL;
}

static const struct method {
    const char *word; /* its name is in the mapping under this */
    enum sb_op op;
    bool package; /* its payload names one */
    bool final;   /* answered with the result */
    json_t *(*params)(struct sb_azure_turn *turn, const json_t *body);
    const char *wants;
} methods[] = {
    { "method_update", SB_OP_FIRMWARE_UPDATE, true, false, NULL, NULL },
    { "method_download", SB_OP_FIRMWARE_DOWNLOAD, true, false, NULL, NULL },
    { "method_install", SB_OP_FIRMWARE_INSTALL, false, false, NULL, NULL },
    { "method_reboot", SB_OP_REBOOT, false, false, NULL, NULL },
    { "method_factory_reset", SB_OP_FACTORY_RESET, false, false, NULL, NULL },
    { "method_configure", SB_OP_CONFIGURE, false, true, values_of,
      "the payload must have the values to configure" },
    { "method_read", SB_OP_READ, false, true, names_of,
      "the payload must have the names of what to read" },
    { "method_write", SB_OP_WRITE, false, true, values_of,
      "the payload must have the values to write" },
};

static const struct method *method_of(const struct sb_azure_turn *turn, const char *name)
{
    for (size_t i = 0; i < SB_COUNT(methods); i++)
        if (sb_streq(sb_words_name(turn->in->words, methods[i].word), name))
            return &methods[i];
    return NULL;
}

static void call(struct sb_azure_turn *turn, const struct method *method)
{
    const json_t *body = turn->in->message->body;
    const char *wrong = NULL;
    json_t *params = NULL, *package = NULL;
    if (!sb_dialect_can(turn->in, method->op)) {
        refuse(turn, turn->in->message->id, SB_CAUSE_UNSUPPORTED, NULL);
        return;
    }
    if (method->package)
        package = sb_azure_package(turn, body, &wrong);
    if (method->params && !(params = method->params(turn, body)))
        wrong = method->wants;
    if (wrong)
        refuse_bad(turn, wrong);
    else
        ask(turn, method->op, method->final, params, package);
}

static void invoke(struct sb_azure_turn *turn, const char *action)
{
    const struct sb_device *device = turn->in->device;
    const json_t *body = turn->in->message->body;
    bool known = device && device->type && json_object_get(device->type->actions, action);
    if (!known || !sb_dialect_can(turn->in, SB_OP_INVOKE)) {
        refuse(turn, turn->in->message->id, SB_CAUSE_UNSUPPORTED, "this device has no such method");
        return;
    }
    json_t *arguments = json_is_object(body) ? json_incref((json_t *)body)
                        : body               ? json_pack("{s:O}", "value", body)
                                             : json_object();
    ask(turn, SB_OP_INVOKE, true, json_pack("{s:s,s:o}", "action", action, "arguments", arguments),
        NULL);
}

/* Takes the firmware tasks back that this link has asked for, those that wait as well. */
static void cancel(struct sb_azure_turn *turn)
{
    const struct sb_azure_state *state = turn->state;
    const char *rid = turn->in->message->id;
    int64_t taken = 0, stays = 0;
    for (size_t i = 0; i < state->task_count; i++) {
        int64_t task = state->tasks[i].task;
        if (!sb_op_is_firmware(state->tasks[i].op))
            continue;
        bool late = task == state->moving && state->committed;
        *(late ? &stays : &taken) = task;
        if (!late)
            sb_effects_cancel(turn->effects, task, SB_CAUSE_OPERATOR);
    }
    if (taken)
        answer(turn, rid, SB_AZURE_OK, json_pack("{s:s}", "status", "cancelling"), taken);
    else if (stays)
        answer_error(turn, rid, SB_AZURE_CONFLICT, "busy", "the device cannot be stopped any more",
                     stays);
    else
        answer_error(turn, rid, SB_AZURE_NOT_FOUND, "not_ready", "no update is open", 0);
}

/* ---- a method comes in ---- */

/* The same $rid again on this connection. */
static bool repeated(struct sb_azure_turn *turn)
{
    struct sb_azure_state *state = turn->state;
    const char *rid = turn->in->message->id;
    for (size_t i = 0; i < SB_AZURE_SEEN; i++)
        if (sb_streq(state->seen[i], rid))
            return true;
    sb_effects_set(turn->effects, &state->seen[state->seen_next++ % SB_AZURE_SEEN], rid);
    return false;
}

static bool refused_early(struct sb_azure_turn *turn)
{
    const struct sb_message *message = turn->in->message;
    sb_cleanup(sb_freep) char *text = NULL;
    if (!turn->in->device && !turn->in->self)
        answer_error(turn, message->id, SB_AZURE_NOT_FOUND, "device_gone",
                     "no such device behind this gateway", 0);
    else if (message->error)
        refuse_bad(turn, message->error);
    else if (!turn->in->ready && (text = sb_format("the gateway cannot take requests now: %.200s",
                                                   turn->in->why ? turn->in->why : "busy")))
        answer_error(turn, message->id, SB_AZURE_UNAVAILABLE, "busy", text, 0);
    else if (turn->in->ready)
        return false;
    return true;
}

void sb_azure_method(struct sb_azure_turn *turn)
{
    const struct sb_message *message = turn->in->message;
    const struct method *method = method_of(turn, message->what);
    if (!message->id || !*message->id) {
        sb_effects_note(turn->effects, "a method without $rid cannot be answered: ignored");
        return;
    }
    if (repeated(turn) || refused_early(turn))
        return;
    if (method)
        call(turn, method);
    else if (sb_streq(message->what, sb_words_name(turn->in->words, "method_cancel")))
        cancel(turn);
    else
        invoke(turn, message->what);
}

/* ---- what becomes of it ---- */

static void answer_accepted(struct sb_azure_turn *turn, const struct sb_azure_ask *ask)
{
    const json_t *cell = sb_words_cell(turn->in->words, SB_ROLE_SENDS, ask->op, SB_TASK_QUEUED,
                                       SB_CAUSE_NONE, SB_PHASE_WAITING);
    answer(turn, ask->rid, (int)sb_json_int(cell, "status", SB_AZURE_ACCEPTED),
           json_pack("{s:s,s:I}", "status", "accepted", "task", (json_int_t)ask->task), ask->task);
    ask_end(turn, ask);
}

void sb_azure_method_verdict(struct sb_azure_turn *turn, struct sb_azure_ask *ask)
{
    const struct sb_verdict *verdict = turn->in->verdict;
    if (verdict->cause != SB_CAUSE_NONE) {
        refuse(turn, ask->rid, verdict->cause, verdict->text);
        ask_end(turn, ask);
        return;
    }
    ask->task = verdict->task;
    bool known = sb_azure_awaits(turn->state, ask->task) != NULL;
    struct sb_azure_open *open = sb_azure_await(turn, ask->task, ask->op);
    if (open && !known)
        open->answers = ask->final;
    if (ask->final)
        sb_effects_timer(turn->effects, ask->tag, sb_words_limit(turn->in->words, "final_within"));
    else
        answer_accepted(turn, ask);
}

/* A device that speaks this dialect itself: its own status (round trip). */
static int status_of(const struct sb_task *task, const json_t *cell)
{
    const struct sb_native *native = &task->native;
    bool ours = task->state == SB_TASK_FAILED && sb_streq(native->dialect, "azure") &&
                sb_streq(native->vocabulary, "status") && native->code;
    if (ours && strlen(native->code) == 3 && strspn(native->code, "0123456789") == 3 &&
        native->code[0] >= '4' && native->code[0] <= '5')
        return (int)strtol(native->code, NULL, 10);
    return (int)sb_json_int(cell, "status", SB_AZURE_FAILED);
}

static void answer_result(struct sb_azure_turn *turn, const struct sb_azure_ask *ask,
                          const struct sb_task *task)
{
    const json_t *cell = sb_dialect_task_cell(turn->in, task);
    sb_cleanup(sb_freep) char *text = sb_dialect_task_text(turn->in, task);
    if (task->state != SB_TASK_SUCCEEDED) {
        answer_error(turn, ask->rid, status_of(task, cell), sb_cause_name((int)task->cause),
                     text ? text : "", task->id);
        return;
    }
    bool fits = task->result && sb_azure_size(task->result) <= SB_AZURE_BODY_MAX;
    json_t *payload = fits           ? json_incref(task->result)
                      : task->result ? json_pack("{s:s}", "status", "done; the result is too large")
                                     : json_pack("{s:s}", "status", "done");
    answer(turn, ask->rid, (int)sb_json_int(cell, "status", SB_AZURE_OK), payload, task->id);
}

static bool has_ask(const struct sb_azure_state *state, int64_t task)
{
    for (size_t i = 0; i < state->ask_count; i++)
        if (state->asks[i].task == task)
            return true;
    return false;
}

void sb_azure_asks_follow(struct sb_azure_turn *turn, const struct sb_task *task)
{
    bool begun = task->attempt > 0 || task->state > SB_TASK_QUEUED;
    if (!begun && !has_ask(turn->state, task->id)) /* who asked is gone since a restart */
        take_back(turn, task->id);
    for (size_t i = turn->state->ask_count; i-- > 0;) {
        struct sb_azure_ask *ask = &turn->state->asks[i];
        if (ask->task != task->id || !ask->final)
            continue;
        ask->begun = ask->begun || sb_task_state_is_under_way(task->state);
        if (!sb_task_state_is_final(task->state))
            continue;
        answer_result(turn, ask, task);
        ask_end(turn, ask);
    }
}

void sb_azure_ask_due(struct sb_azure_turn *turn, struct sb_azure_ask *ask)
{
    if (!ask->begun) {
        refuse(turn, ask->rid, SB_CAUSE_EXPIRED, "not begun in time, and taken back");
        take_back(turn, ask->task);
    } else {
        answer(turn, ask->rid, SB_AZURE_ACCEPTED,
               json_pack("{s:s,s:I}", "status", "still running", "task", (json_int_t)ask->task),
               ask->task);
    }
    ask_end(turn, ask);
}
