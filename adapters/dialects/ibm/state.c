/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "adapters/dialects/ibm/parts.h"

SB_NAMES(sb_ibm_hold, SB_IBM_HOLD_MAX_, [SB_IBM_HOLD_NONE] = "none",
         [SB_IBM_HOLD_RETURN] = "return", [SB_IBM_HOLD_TIME] = "time");

/* ---- asks ---- */

struct sb_ibm_ask *sb_ibm_ask_add(struct sb_ibm_state *state, const char *id, enum sb_op op,
                                  bool custom)
{
    struct sb_ibm_ask *asks = reallocarray(state->asks, state->ask_count + 1, sizeof(*asks));
    if (!asks)
        return NULL;
    state->asks = asks;
    struct sb_ibm_ask *ask = &asks[state->ask_count];
    *ask = (struct sb_ibm_ask){ .id = strdup(id), .op = op, .custom = custom };
    if (!ask->id)
        return NULL;
    state->ask_count++;
    return ask;
}

struct sb_ibm_ask *sb_ibm_ask_find(struct sb_ibm_state *state, const char *id)
{
    for (size_t i = 0; i < state->ask_count; i++) {
        if (sb_streq(state->asks[i].id, id))
            return &state->asks[i];
    }
    return NULL;
}

void sb_ibm_ask_remove(struct sb_ibm_state *state, const struct sb_ibm_ask *ask)
{
    size_t at = (size_t)(ask - state->asks);
    free(state->asks[at].id);
    state->ask_count--;
    memmove(&state->asks[at], &state->asks[at + 1], (state->ask_count - at) * sizeof(*ask));
}

/* ---- seen request ids ---- */

/*
 * They are kept in the form in which they are saved, because they are saved with every request:
 * null while open, the number of an answer that has nothing but rc, else the answer without reqId.
 */
bool sb_ibm_seen(const struct sb_ibm_state *state, const char *id)
{
    return json_object_get(state->seen, id) != NULL;
}

bool sb_ibm_seen_open(const struct sb_ibm_state *state, const char *id)
{
    return json_is_null(json_object_get(state->seen, id));
}

json_t *sb_ibm_seen_answer(const struct sb_ibm_state *state, const char *id)
{
    const json_t *kept = json_object_get(state->seen, id);
    json_t *answer = json_is_integer(kept)  ? json_pack("{s:O}", "rc", kept)
                     : json_is_object(kept) ? json_deep_copy(kept)
                                            : NULL;
    if (answer && sb_json_put_str(answer, "reqId", id) < 0) {
        json_decref(answer);
        return NULL;
    }
    return answer;
}

static json_t *kept_form(const json_t *answer)
{
    json_t *rc = json_object_get(answer, "rc");
    if (!answer)
        return json_null();
    if (json_is_integer(rc) && json_object_size(answer) == 2) /* and reqId */
        return json_integer(json_integer_value(rc));
    json_t *kept = json_copy((json_t *)answer);
    (void)json_object_del(kept, "reqId");
    return kept;
}

/* The open ones are bounded by the asks, so this ends. */
static void seen_trim(struct sb_ibm_state *state, size_t limit)
{
    void *at = json_object_iter(state->seen);
    while (at && json_object_size(state->seen) > limit) {
        void *next = json_object_iter_next(state->seen, at);
        if (!json_is_null(json_object_iter_value(at)))
            (void)json_object_del(state->seen, json_object_iter_key(at));
        at = next;
    }
}

int sb_ibm_seen_set(struct sb_ibm_state *state, const char *id, const json_t *answer, size_t limit)
{
    if (!state->seen)
        state->seen = json_object();
    if (!state->seen || json_object_set_new(state->seen, id, kept_form(answer)) < 0)
        return -ENOMEM;
    seen_trim(state, limit);
    return 0;
}

/* ---- the whole ---- */

void sb_ibm_firmware_clear(struct sb_ibm_firmware *firmware)
{
    free(firmware->version);
    free(firmware->name);
    free(firmware->uri);
    free(firmware->verifier);
    firmware->version = firmware->name = firmware->uri = firmware->verifier = NULL;
    firmware->kept = false;
}

void sb_ibm_state_reset(struct sb_ibm_state *state)
{
    while (state->ask_count > 0)
        sb_ibm_ask_remove(state, &state->asks[0]);
    free(state->asks);
    json_decref(state->seen);
    sb_ibm_firmware_clear(&state->firmware);
    free(state->name);
    free(state->manage_id);
    json_decref(state->managed);
    *state = (struct sb_ibm_state){ .up = state->up, .catching_up = state->catching_up };
}

void sb_ibm_drop(void *state)
{
    if (state)
        sb_ibm_state_reset(state);
    free(state);
}

/* ---- saving ---- */

static json_t *firmware_json(const struct sb_ibm_firmware *firmware)
{
    return json_pack("{s:s*,s:s*,s:s*,s:s*,s:i,s:i,s:i,s:i,s:b,s:I,s:s,s:b,s:b}", "version",
                     firmware->version, "name", firmware->name, "uri", firmware->uri, "verifier",
                     firmware->verifier, "state", firmware->state, "status", firmware->status,
                     "told_state", firmware->told_state, "told_status", firmware->told_status,
                     "kept", firmware->kept, "task", (json_int_t)firmware->task, "op",
                     sb_op_name((int)firmware->op), "own", firmware->own, "under_way",
                     firmware->under_way);
}

static json_t *ask_json(const struct sb_ibm_ask *ask)
{
    return json_pack("{s:s,s:s,s:b,s:b,s:b,s:I}", "id", ask->id, "op", sb_op_name((int)ask->op),
                     "custom", ask->custom, "answered", ask->answered, "begun", ask->begun, "task",
                     (json_int_t)ask->task);
}

static json_t *asks_json(const struct sb_ibm_state *state)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < state->ask_count; i++) {
        if (json_array_append_new(list, ask_json(&state->asks[i])) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *state_json(const struct sb_ibm_state *state)
{
    return json_pack(
        "{s:s*,s:b,s:b,s:s,s:s,s:o,s:o,s:O*}", "name", state->name, "observed", state->observed,
        "error_told", state->error_told, "hold", sb_ibm_hold_name((int)state->hold[SB_IBM_REBOOTS]),
        "hold_reset", sb_ibm_hold_name((int)state->hold[SB_IBM_RESETS]), "firmware",
        firmware_json(&state->firmware), "asks", asks_json(state), "seen", state->seen);
}

json_t *sb_ibm_save(const void *state)
{
    return state_json(state);
}

/* ---- loading: what does not fit is left out ---- */

static int small(const json_t *object, const char *key, int max)
{
    int64_t value = sb_json_int(object, key, 0);
    return value >= 0 && value <= max ? (int)value : 0;
}

static enum sb_op op_of(const json_t *object)
{
    int op = sb_op_from_name(sb_json_str(object, "op"));
    return op < 0 ? SB_OP_FIRMWARE_DOWNLOAD : (enum sb_op)op;
}

static int load_firmware(struct sb_ibm_firmware *firmware, const json_t *saved)
{
    firmware->state = small(saved, "state", 2);
    firmware->status = small(saved, "status", 6);
    firmware->told_state = small(saved, "told_state", 2);
    firmware->told_status = small(saved, "told_status", 6);
    firmware->kept = sb_json_bool(saved, "kept", false);
    firmware->task = sb_json_int(saved, "task", 0);
    firmware->op = op_of(saved);
    firmware->own = sb_json_bool(saved, "own", false);
    firmware->under_way = sb_json_bool(saved, "under_way", false);
    int r = sb_set_string(&firmware->version, sb_json_str(saved, "version"));
    r = r ? r : sb_set_string(&firmware->name, sb_json_str(saved, "name"));
    r = r ? r : sb_set_string(&firmware->uri, sb_json_str(saved, "uri"));
    return r ? r : sb_set_string(&firmware->verifier, sb_json_str(saved, "verifier"));
}

static int load_ask(struct sb_ibm_state *state, const json_t *saved)
{
    const char *id = sb_json_str(saved, "id");
    if (!id)
        return 0;
    struct sb_ibm_ask *ask =
        sb_ibm_ask_add(state, id, op_of(saved), sb_json_bool(saved, "custom", false));
    if (!ask)
        return -ENOMEM;
    ask->answered = sb_json_bool(saved, "answered", false);
    ask->begun = sb_json_bool(saved, "begun", false);
    ask->task = sb_json_int(saved, "task", 0);
    return 0;
}

/* None saved: none is made, so that it is saved again as it was. */
static int load_seen(struct sb_ibm_state *state, const json_t *saved)
{
    const char *id;
    json_t *kept;
    state->seen = saved ? json_object() : NULL;
    json_object_foreach ((json_t *)saved, id, kept) {
        bool fits = json_is_null(kept) || json_is_integer(kept) || json_is_object(kept);
        if (fits && json_object_set_new(state->seen, id, json_deep_copy(kept)) < 0)
            return -ENOMEM;
    }
    return saved && !state->seen ? -ENOMEM : 0;
}

static int load_lists(struct sb_ibm_state *state, const json_t *saved)
{
    size_t i;
    const json_t *entry;
    int r = 0;
    json_array_foreach (json_object_get(saved, "asks"), i, entry)
        r = r ? r : load_ask(state, entry);
    return r ? r : load_seen(state, sb_json_object(saved, "seen"));
}

/* In doubt it is withheld: the lesser evil. */
static enum sb_ibm_hold hold_of(const json_t *saved, const char *key)
{
    int hold = sb_ibm_hold_from_name(sb_json_str(saved, key));
    return hold < 0 ? SB_IBM_HOLD_TIME : (enum sb_ibm_hold)hold;
}

void *sb_ibm_load(const json_t *saved)
{
    struct sb_ibm_state *state = calloc(1, sizeof(*state));
    if (!state || !saved)
        return state;
    state->observed = sb_json_bool(saved, "observed", false);
    state->error_told = sb_json_bool(saved, "error_told", false);
    state->hold[SB_IBM_REBOOTS] = hold_of(saved, "hold");
    state->hold[SB_IBM_RESETS] = hold_of(saved, "hold_reset");
    int r = sb_set_string(&state->name, sb_json_str(saved, "name"));
    r = r ? r : load_firmware(&state->firmware, sb_json_object(saved, "firmware"));
    r = r ? r : load_lists(state, saved);
    if (r) {
        sb_ibm_drop(state);
        return NULL;
    }
    return state;
}
