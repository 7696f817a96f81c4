/* SPDX-License-Identifier: Apache-2.0 */
/* Properties and services: asked for, and answered with their result. */
#include "adapters/dialects/alibaba/parts.h"
#include "bridge/base/str.h"

#define POST_MAX 100 /* values in one message */

/* ---- answers ---- */

static void refuse(struct sb_ali_turn *turn, const char *rest, enum sb_cause cause,
                   const char *text)
{
    const json_t *cell = sb_dialect_cause_cell(turn->in, cause);
    const char *own = sb_json_str(cell, "message");
    sb_ali_reply(turn, rest,
                 sb_ali_answer(turn, turn->in->message->id,
                               (int)sb_json_int(cell, "code", SB_ALIBABA_BAD),
                               text && *text ? text
                               : own         ? own
                                             : sb_cause_name((int)cause),
                               NULL),
                 0);
}

/* Now, or at the next login. */
static void answer(struct sb_ali_turn *turn, struct sb_ali_ask *ask, json_t *reply, int64_t task)
{
    if (turn->state->stage == SB_ALI_IN && turn->in->connected) {
        sb_ali_reply(turn, ask->topic, reply, task);
        sb_ali_ask_end(turn, ask);
        return;
    }
    json_decref(ask->reply);
    ask->reply = reply;
    ask->task = 0;
    turn->effects->save = true;
}

void sb_ali_asks_login(struct sb_ali_turn *turn)
{
    struct sb_ali_state *state = turn->state;
    for (size_t i = state->ask_count; i-- > 0;) {
        struct sb_ali_ask *ask = &state->asks[i];
        if (ask->kind == SB_ALI_JOB) {
            sb_ali_job_tell(turn, ask);
        } else if (ask->reply) {
            sb_ali_reply(turn, ask->topic, SB_STEAL(ask->reply), 0);
            sb_ali_ask_end(turn, ask);
        }
    }
}

/* ---- asking ---- */

/* False: it was answered, or cannot be. */
static bool may_ask(struct sb_ali_turn *turn, const char *rest)
{
    const struct sb_message *message = turn->in->message;
    sb_cleanup(sb_freep) char *text = NULL;
    if (!message->id || !*message->id)
        sb_effects_note(turn->effects, "a request without id cannot be answered: ignored");
    else if (turn->in->self || !turn->in->device)
        refuse(turn, rest, SB_CAUSE_UNSUPPORTED, NULL);
    else if (message->error)
        refuse(turn, rest, SB_CAUSE_INVALID_REQUEST, message->error);
    else if (sb_ali_ask_of(turn->state, SB_ALI_REQUEST, message->id, rest))
        return false; /* the same once more: its answer is on the way */
    else if (!turn->in->ready && (text = sb_format("the gateway cannot take requests now: %.120s",
                                                   turn->in->why ? turn->in->why : "busy")))
        refuse(turn, rest, SB_CAUSE_BUSY, text);
    else
        return turn->in->ready;
    return false;
}

/* Takes params and package, of which either may be NULL. False: it was refused. */
static bool ask_by(struct sb_ali_turn *turn, const char *rest, enum sb_op op, json_t *params,
                   json_t *package)
{
    struct sb_ali_ask *made =
        sb_dialect_can(turn->in, op)
            ? sb_ali_ask_add(turn, SB_ALI_REQUEST, turn->in->message->id, rest, op)
            : NULL;
    if (made) {
        sb_ali_submit(turn, made->tag, NULL, op, params, package);
        return true;
    }
    json_decref(params);
    json_decref(package);
    if (!sb_dialect_can(turn->in, op))
        refuse(turn, rest, SB_CAUSE_UNSUPPORTED, NULL);
    else
        refuse(turn, rest, SB_CAUSE_BUSY, "too many requests wait for their result");
    return false;
}

static void ask(struct sb_ali_turn *turn, const char *rest, enum sb_op op, json_t *params)
{
    (void)ask_by(turn, rest, op, params, NULL);
}

void sb_ali_property_set(struct sb_ali_turn *turn)
{
    const char *rest = sb_words_name(turn->in->words, "property_set");
    const json_t *values = turn->in->message->body;
    if (!may_ask(turn, rest))
        return;
    if (json_object_size(values) == 0)
        refuse(turn, rest, SB_CAUSE_INVALID_REQUEST, "params has no values");
    else
        ask(turn, rest, SB_OP_WRITE, json_pack("{s:O}", "values", values));
}

/* params: a list of names, or an object whose keys they are. */
static json_t *names_of(struct sb_ali_turn *turn, const json_t *body)
{
    json_t *names = json_array(), *entry;
    const char *key;
    size_t i;
    json_array_foreach ((json_t *)body, i, entry) {
        if (json_is_string(entry))
            sb_ali_keep(turn, json_array_append(names, entry));
    }
    json_object_foreach ((json_t *)body, key, entry)
        sb_ali_keep(turn, json_array_append_new(names, json_string(key)));
    return names;
}

void sb_ali_property_get(struct sb_ali_turn *turn)
{
    const char *rest = sb_words_name(turn->in->words, "property_get");
    if (!may_ask(turn, rest))
        return;
    json_t *names = names_of(turn, turn->in->message->body);
    if (json_array_size(names) == 0) {
        refuse(turn, rest, SB_CAUSE_INVALID_REQUEST, "params has no names");
        json_decref(names);
        return;
    }
    ask(turn, rest, SB_OP_READ, json_pack("{s:o}", "names", names));
}

/* ---- services ---- */

void sb_ali_service(struct sb_ali_turn *turn)
{
    const struct sb_message *message = turn->in->message;
    sb_cleanup(sb_freep) char *rest =
        sb_words_fill(sb_words_name(turn->in->words, "service"), "identifier", message->what, NULL);
    enum sb_op op = SB_OP_INVOKE;
    json_t *params = NULL;
    if (!rest) {
        turn->effects->broken = true;
        return;
    }
    if (!may_ask(turn, rest))
        return;
    if (message->body && !json_is_object(message->body)) {
        refuse(turn, rest, SB_CAUSE_INVALID_REQUEST, "params is no object");
        return;
    }
    if (sb_ali_operation(turn, message->what, message->body, &op, &params)) {
        ask(turn, rest, op, params);
        return;
    }
    json_decref(params);
    refuse(turn, rest, op == SB_OP_CONFIGURE ? SB_CAUSE_INVALID_REQUEST : SB_CAUSE_UNSUPPORTED,
           op == SB_OP_CONFIGURE ? "params has no values" : "this device has no such service");
}

/* ---- configuration files ---- */

#define CONFIG "config" /* tag of its submit, and of the timer that asks again */

static char *config_key(const json_t *data)
{
    const char *id = sb_json_str(data, "configId"), *sign = sb_json_str(data, "sign");
    return sb_format("%s %s", id ? id : "", sign ? sign : "");
}

void sb_ali_config_push(struct sb_ali_turn *turn)
{
    const char *rest = sb_words_name(turn->in->words, "config_push"), *wrong = NULL;
    const json_t *data = turn->in->message->body;
    enum sb_cause cause = SB_CAUSE_NONE;
    if (!may_ask(turn, rest))
        return;
    json_t *package = sb_alibaba_config_package(data, &cause, &wrong);
    sb_cleanup(sb_freep) char *key = config_key(data);
    if (!package || !key) {
        json_decref(package);
        refuse(turn, rest, wrong ? cause : SB_CAUSE_NO_MEMORY, wrong);
    } else if (ask_by(turn, rest, SB_OP_CONFIGURE, NULL, package)) {
        sb_effects_set(turn->effects, &turn->state->config,
                       key); /* config/get need not bring it again */
    }
}

void sb_ali_config_get(struct sb_ali_turn *turn)
{
    if (!turn->config->remote_config || !sb_dialect_can(turn->in, SB_OP_CONFIGURE))
        return;
    json_t *params = json_pack("{s:s,s:s}", "configScope", "product", "getType", "file");
    sb_ali_send(turn, &(struct sb_ali_parcel){
                          .base = "topic_sys",
                          .rest = sb_words_name(turn->in->words, "config_get"),
                          .payload = sb_ali_request(turn, "thing.config.get", params, NULL) });
}

/* Is there something new in it, and may it be taken? */
static bool is_new(struct sb_ali_turn *turn, const char *key)
{
    const struct sb_message *message = turn->in->message;
    const struct sb_ali_state *state = turn->state;
    bool there =
        !message->error && message->code == SB_ALIBABA_OK && json_object_size(message->body) > 0;
    return there && turn->config->remote_config && sb_dialect_can(turn->in, SB_OP_CONFIGURE) &&
           !state->config_offer && !sb_streq(key, state->config);
}

/* A wish that stands: what was taken once is not taken again until it changes. */
void sb_ali_config_got(struct sb_ali_turn *turn)
{
    enum sb_cause cause = SB_CAUSE_NONE;
    const char *wrong = NULL;
    sb_cleanup(sb_freep) char *key = config_key(turn->in->message->body);
    if (!is_new(turn, key))
        return;
    if (!turn->in->ready) {
        sb_effects_timer(turn->effects, CONFIG, sb_words_limit(turn->in->words, "offer_retry"));
        return;
    }
    json_t *package = sb_alibaba_config_package(turn->in->message->body, &cause, &wrong);
    if (!package) {
        sb_effects_note(turn->effects, "the configuration cannot be used: %s",
                        wrong ? wrong : "no memory");
        return;
    }
    sb_effects_set(turn->effects, &turn->state->config_offer, key);
    sb_ali_submit(turn, CONFIG, NULL, SB_OP_CONFIGURE, NULL, package);
}

bool sb_ali_config_verdict(struct sb_ali_turn *turn)
{
    const struct sb_verdict *verdict = turn->in->verdict;
    struct sb_ali_state *state = turn->state;
    if (!sb_streq(turn->in->tag, CONFIG))
        return false;
    sb_cleanup(sb_freep) char *key = SB_STEAL(state->config_offer);
    if (verdict->cause == SB_CAUSE_BUSY) {
        sb_effects_timer(turn->effects, CONFIG, sb_words_limit(turn->in->words, "offer_retry"));
    } else if (verdict->cause != SB_CAUSE_NONE) {
        sb_effects_note(turn->effects, "the configuration is not taken: %s",
                        verdict->text ? verdict->text : sb_cause_name((int)verdict->cause));
    } else {
        sb_effects_set(turn->effects, &state->config, key);
        turn->effects->save = true;
    }
    return true;
}

/* ---- what becomes of them ---- */

void sb_ali_ask_verdict(struct sb_ali_turn *turn, struct sb_ali_ask *ask)
{
    const struct sb_verdict *verdict = turn->in->verdict;
    const json_t *cell = sb_dialect_cause_cell(turn->in, verdict->cause);
    const char *text =
        verdict->text && *verdict->text ? verdict->text : sb_json_str(cell, "message");
    ask->task = verdict->task;
    turn->effects->save = true;
    if (verdict->cause != SB_CAUSE_NONE &&
        sb_streq(ask->topic, sb_words_name(turn->in->words, "config_push")))
        free(SB_STEAL(turn->state->config));
    if (verdict->cause != SB_CAUSE_NONE)
        answer(turn, ask,
               sb_ali_answer(turn, ask->id, (int)sb_json_int(cell, "code", SB_ALIBABA_BAD), text,
                             NULL),
               0);
}

void sb_ali_ask_follow(struct sb_ali_turn *turn, struct sb_ali_ask *ask, const struct sb_task *task)
{
    if (!sb_task_state_is_final(task->state))
        return;
    const json_t *cell = sb_dialect_task_cell(turn->in, task);
    bool good = task->state == SB_TASK_SUCCEEDED;
    sb_cleanup(sb_freep) char *text = good ? NULL : sb_dialect_task_text(turn->in, task);
    bool shows = good && (ask->op == SB_OP_READ || ask->op == SB_OP_INVOKE);
    json_t *data = shows && task->result ? json_incref(task->result) : NULL;
    json_t *result = good && ask->op != SB_OP_INVOKE && task->result ? task->result : NULL;
    sb_cleanup(json_decrefp) json_t *names = result ? names_of(turn, result) : NULL;
    answer(turn, ask,
           sb_ali_answer(turn, ask->id,
                         (int)sb_json_int(cell, "code", good ? SB_ALIBABA_OK : SB_ALIBABA_BAD),
                         text, data),
           task->id);
    if (names)
        sb_ali_post(turn, names);
}

/* ---- values ---- */

/* Takes params. */
static void post(struct sb_ali_turn *turn, json_t *params)
{
    if (json_object_size(params) == 0) {
        json_decref(params);
        return;
    }
    sb_ali_send(turn,
                &(struct sb_ali_parcel){
                    .base = "topic_sys",
                    .rest = sb_words_name(turn->in->words, "property_post"),
                    .payload = sb_ali_request(turn, "thing.event.property.post", params, NULL) });
}

void sb_ali_post(struct sb_ali_turn *turn, const json_t *names)
{
    const json_t *known = turn->in->device ? turn->in->device->properties : NULL;
    const char *name;
    json_t *property, *params = json_object();
    json_object_foreach ((json_t *)known, name, property) {
        json_t *value = json_object_get(property, "value");
        if (!value || (names && !sb_json_has(names, name)))
            continue;
        sb_ali_keep(turn, json_object_set(params, name, value));
        if (json_object_size(params) < POST_MAX)
            continue;
        post(turn, params);
        params = json_object();
    }
    post(turn, params);
}
