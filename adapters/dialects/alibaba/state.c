/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "adapters/dialects/alibaba/parts.h"
#include "bridge/base/crypto.h"
#include "bridge/base/log.h"
#include "bridge/base/str.h"

/* ---- updates ---- */

struct sb_ali_update *sb_ali_update_of(struct sb_ali_state *state, const char *module)
{
    for (size_t i = 0; i < state->update_count; i++)
        if (sb_streq(state->updates[i].module, module))
            return &state->updates[i];
    return NULL;
}

struct sb_ali_update *sb_ali_update_by_task(struct sb_ali_state *state, int64_t task)
{
    for (size_t i = 0; task && i < state->update_count; i++)
        if (state->updates[i].task == task)
            return &state->updates[i];
    return NULL;
}

static void update_done(struct sb_ali_update *update)
{
    free(update->module);
    free(update->version);
    free(update->text);
    free(update->asked);
    *update = (struct sb_ali_update){ 0 };
}

static void remove_update(struct sb_ali_state *state, size_t at)
{
    update_done(&state->updates[at]);
    state->update_count--;
    memmove(&state->updates[at], &state->updates[at + 1],
            (state->update_count - at) * sizeof(state->updates[0]));
}

void sb_ali_update_end(struct sb_ali_turn *turn, struct sb_ali_update *update)
{
    remove_update(turn->state, (size_t)(update - turn->state->updates));
    turn->effects->save = true;
}

static bool make_room(struct sb_ali_state *state)
{
    for (size_t i = 0; state->update_count == SB_ALI_UPDATES && i < state->update_count; i++)
        if (!state->updates[i].task)
            remove_update(state, i);
    return state->update_count < SB_ALI_UPDATES;
}

struct sb_ali_update *sb_ali_update_add(struct sb_ali_turn *turn, const char *module,
                                        const char *version, int64_t task)
{
    struct sb_ali_state *state = turn->state;
    struct sb_ali_update *update = sb_ali_update_of(state, module);
    turn->effects->save = true;
    if (update && update->task && sb_streq(update->version, version)) {
        update->other = task; /* to the platform it goes on */
        return update;
    }
    if (update)
        sb_ali_update_end(turn, update);
    if (!make_room(state))
        return NULL;
    update = &state->updates[state->update_count];
    *update = (struct sb_ali_update){
        .module = strdup(module), .version = strdup(version), .task = task, .step = -5
    };
    if (!update->module || !update->version) {
        update_done(update);
        turn->effects->broken = true;
        return NULL;
    }
    state->update_count++;
    return update;
}

/* ---- asks ---- */

struct sb_ali_ask *sb_ali_ask_find(struct sb_ali_state *state, const char *tag)
{
    for (size_t i = 0; tag && i < state->ask_count; i++)
        if (sb_streq(state->asks[i].tag, tag))
            return &state->asks[i];
    return NULL;
}

struct sb_ali_ask *sb_ali_ask_of(struct sb_ali_state *state, enum sb_ali_ask_kind kind,
                                 const char *id, const char *topic)
{
    for (size_t i = 0; i < state->ask_count; i++)
        if (state->asks[i].kind == kind && sb_streq(state->asks[i].id, id) &&
            (kind == SB_ALI_JOB || sb_streq(state->asks[i].topic, topic)))
            return &state->asks[i];
    return NULL;
}

static void ask_done(struct sb_ali_ask *ask)
{
    free(ask->id);
    free(ask->topic);
    free(ask->tag);
    free(ask->message);
    json_decref(ask->reply);
    *ask = (struct sb_ali_ask){ 0 };
}

struct sb_ali_ask *sb_ali_ask_add(struct sb_ali_turn *turn, enum sb_ali_ask_kind kind,
                                  const char *id, const char *topic, enum sb_op op)
{
    struct sb_ali_state *state = turn->state;
    if (state->ask_count == SB_ALI_ASKS)
        return NULL;
    struct sb_ali_ask *ask = &state->asks[state->ask_count];
    *ask = (struct sb_ali_ask){ .kind = kind,
                                .id = strdup(id),
                                .topic = topic ? strdup(topic) : NULL,
                                .tag = sb_format("ask:%u", ++state->tags),
                                .op = op,
                                .percent = -1 };
    if (!ask->id || !ask->tag || (topic && !ask->topic)) {
        ask_done(ask);
        turn->effects->broken = true;
        return NULL;
    }
    state->ask_count++;
    turn->effects->save = true;
    return ask;
}

void sb_ali_ask_end(struct sb_ali_turn *turn, struct sb_ali_ask *ask)
{
    struct sb_ali_state *state = turn->state;
    size_t at = (size_t)(ask - state->asks);
    ask_done(ask);
    state->ask_count--;
    memmove(&state->asks[at], &state->asks[at + 1],
            (state->ask_count - at) * sizeof(state->asks[0]));
    turn->effects->save = true;
}

/* ---- the whole ---- */

static void drop_json(json_t **slot)
{
    json_decref(*slot);
    *slot = NULL;
}

void sb_ali_link_lost(struct sb_ali_state *state)
{
    drop_json(&state->informed);
    drop_json(&state->offer);
    drop_json(&state->wants);
    drop_json(&state->flying);
    drop_json(&state->topology);
    free(SB_STEAL(state->flying_id));
    for (size_t i = 0; i < state->update_count; i++)
        free(SB_STEAL(state->updates[i].asked));
    for (size_t i = 0; i < state->ask_count; i++)
        state->asks[i].told = false;
    state->stage = SB_ALI_OUT;
    state->joined = state->renewed = state->paused = false;
    state->failures = state->throttled = state->lost = 0;
}

void sb_alibaba_drop(void *data)
{
    struct sb_ali_state *state = data;
    if (!state)
        return;
    sb_ali_link_lost(state);
    drop_json(&state->leaving);
    sb_secret_free(state->secret);
    free(state->config);
    free(state->config_offer);
    for (size_t i = 0; i < state->update_count; i++)
        update_done(&state->updates[i]);
    for (size_t i = 0; i < state->ask_count; i++)
        ask_done(&state->asks[i]);
    free(state);
}

/* ---- saving ---- */

static json_t *update_json(const struct sb_ali_update *update)
{
    return json_pack("{s:s,s:s,s:I,s:I,s:i,s:b,s:s*}", "module", update->module, "version",
                     update->version, "task", (json_int_t)update->task, "other",
                     (json_int_t)update->other, "step", update->step, "begun", update->begun,
                     "text", update->text);
}

static json_t *ask_json(const struct sb_ali_ask *ask)
{
    return json_pack("{s:b,s:s,s:s*,s:s,s:I,s:O*,s:i}", "job", ask->kind == SB_ALI_JOB, "id",
                     ask->id, "topic", ask->topic, "op", sb_op_name((int)ask->op), "task",
                     (json_int_t)ask->task, "reply", ask->reply, "percent", ask->percent);
}

json_t *sb_alibaba_save(const void *data)
{
    const struct sb_ali_state *state = data;
    json_t *updates = json_array(), *asks = json_array();
    bool good = updates && asks;
    for (size_t i = 0; i < state->update_count; i++)
        good = good && json_array_append_new(updates, update_json(&state->updates[i])) == 0;
    for (size_t i = 0; i < state->ask_count; i++)
        good = good && json_array_append_new(asks, ask_json(&state->asks[i])) == 0;
    if (good)
        return json_pack("{s:s*,s:s*,s:b,s:o,s:o,s:O*}", "config", state->config, "secret",
                         state->secret, "out", state->out, "updates", updates, "asks", asks,
                         "leaving", state->leaving);
    json_decref(updates);
    json_decref(asks);
    return NULL;
}

/* ---- loading: what does not fit is left out ---- */

static int load_update(struct sb_ali_state *state, const json_t *saved)
{
    const char *module = sb_json_str(saved, "module"), *version = sb_json_str(saved, "version");
    int64_t step = sb_json_int(saved, "step", -5), task = sb_json_int(saved, "task", 0);
    int64_t other = sb_json_int(saved, "other", 0);
    if (!module || !version || step < -5 || step > 100 || task < 0 || other < 0 ||
        sb_ali_update_of(state, module))
        return 0;
    struct sb_ali_update update = { .module = strdup(module),
                                    .version = strdup(version),
                                    .task = task,
                                    .other = other,
                                    .step = (int)step,
                                    .begun = sb_json_bool(saved, "begun", false) };
    if (!update.module || !update.version ||
        sb_set_string(&update.text, sb_json_str(saved, "text")) < 0) {
        update_done(&update);
        return -ENOMEM;
    }
    state->updates[state->update_count++] = update;
    return 0;
}

static int load_ask(struct sb_ali_state *state, const json_t *saved)
{
    const char *id = sb_json_str(saved, "id"), *topic = sb_json_str(saved, "topic");
    int op = sb_op_from_name(sb_json_str(saved, "op"));
    bool job = sb_json_bool(saved, "job", false);
    int64_t percent = sb_json_int(saved, "percent", -1), task = sb_json_int(saved, "task", 0);
    const json_t *reply = sb_json_object(saved, "reply");
    if (!id || op < 0 || (!topic && !job) || percent < -1 || percent > 100 || task < 0)
        return 0;
    struct sb_ali_ask ask = { .kind = job ? SB_ALI_JOB : SB_ALI_REQUEST,
                              .id = strdup(id),
                              .op = (enum sb_op)op,
                              .task = task,
                              .reply = reply ? json_deep_copy(reply) : NULL,
                              .percent = (int)percent };
    if (!ask.id || (reply && !ask.reply) || sb_set_string(&ask.topic, job ? NULL : topic) < 0) {
        ask_done(&ask);
        return -ENOMEM;
    }
    state->asks[state->ask_count++] = ask;
    return 0;
}

void *sb_alibaba_load(const json_t *saved)
{
    struct sb_ali_state *state = calloc(1, sizeof(*state));
    if (!state || !saved)
        return state;
    const json_t *updates = sb_json_array(saved, "updates"), *asks = sb_json_array(saved, "asks");
    const json_t *leaving = sb_json_object(saved, "leaving");
    int r = sb_set_string(&state->secret, sb_json_str(saved, "secret"));
    r = r ? r : sb_set_string(&state->config, sb_json_str(saved, "config"));
    state->leaving = leaving ? json_deep_copy(leaving) : NULL;
    r = leaving && !state->leaving ? -ENOMEM : r;
    sb_log_secret(state->secret);
    state->out = sb_json_bool(saved, "out", false);
    for (size_t i = 0; r == 0 && i < json_array_size(updates) && i < SB_ALI_UPDATES; i++)
        r = load_update(state, json_array_get(updates, i));
    for (size_t i = 0; r == 0 && i < json_array_size(asks) && i < SB_ALI_ASKS; i++)
        r = load_ask(state, json_array_get(asks, i));
    if (r) {
        sb_alibaba_drop(state);
        return NULL;
    }
    return state;
}
