/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "adapters/dialects/azure/parts.h"
#include "bridge/base/str.h"

/* ---- own tasks ---- */

struct sb_azure_open *sb_azure_awaits(struct sb_azure_state *state, int64_t task)
{
    for (size_t i = 0; i < state->task_count; i++)
        if (state->tasks[i].task == task)
            return &state->tasks[i];
    return NULL;
}

/* The oldest gives way: its news still come, only its end after a restart would be missed. */
struct sb_azure_open *sb_azure_await(struct sb_azure_turn *turn, int64_t task, enum sb_op op)
{
    struct sb_azure_state *state = turn->state;
    struct sb_azure_open *known = sb_azure_awaits(state, task);
    if (task == 0 || known)
        return known;
    if (state->task_count == SB_AZURE_TASKS_MAX)
        memmove(state->tasks, state->tasks + 1, --state->task_count * sizeof(*state->tasks));
    state->tasks[state->task_count] = (struct sb_azure_open){ .task = task, .op = op };
    turn->effects->save = true;
    return &state->tasks[state->task_count++];
}

void sb_azure_await_end(struct sb_azure_turn *turn, int64_t task)
{
    struct sb_azure_state *state = turn->state;
    for (size_t i = 0; i < state->task_count; i++) {
        if (state->tasks[i].task != task)
            continue;
        state->task_count--;
        memmove(&state->tasks[i], &state->tasks[i + 1],
                (state->task_count - i) * sizeof(*state->tasks));
        turn->effects->save = true;
        return;
    }
}

/* ---- the whole ---- */

void sb_azure_wish_clear(struct sb_azure_wish *wish)
{
    free(wish->content);
    free(wish->ad);
    json_decref(wish->spec);
    *wish = (struct sb_azure_wish){ 0 };
}

static void drop_asks(struct sb_azure_state *state)
{
    for (size_t i = 0; i < state->ask_count; i++) {
        free(state->asks[i].rid);
        free(state->asks[i].tag);
    }
    free(SB_STEAL(state->asks));
    state->ask_count = 0;
}

static void drop_json(json_t **slot)
{
    json_decref(*slot);
    *slot = NULL;
}

void sb_azure_link_lost(struct sb_azure_state *state)
{
    drop_asks(state);
    for (size_t i = 0; i < SB_AZURE_SEEN; i++)
        free(SB_STEAL(state->seen[i]));
    free(SB_STEAL(state->get_id));
    free(SB_STEAL(state->patch_id));
    drop_json(&state->told);
    drop_json(&state->desired);
    drop_json(&state->patch);
    drop_json(&state->handed);
    drop_json(&state->wished);
    state->newest = 0;
    state->put_off = 0;
    state->few = state->refused = 0;
    state->left_out = 0;
    state->waiting = state->renewing = false;
}

void sb_azure_state_reset(struct sb_azure_state *state)
{
    sb_azure_link_lost(state);
    sb_azure_wish_clear(&state->firmware);
    sb_azure_wish_clear(&state->configuration);
    drop_json(&state->doc);
    drop_json(&state->children);
    drop_json(&state->owners);
    free(state->name);
    free(state->what);
    *state = (struct sb_azure_state){ 0 };
}

void sb_azure_drop(void *state)
{
    if (state)
        sb_azure_state_reset(state);
    free(state);
}

/* ---- saving ---- */

static json_t *wish_json(const struct sb_azure_wish *wish)
{
    return json_pack("{s:s*,s:O*,s:I,s:b,s:b,s:I,s:i,s:s*}", "content", wish->content, "spec",
                     wish->spec, "version", (json_int_t)wish->version, "due", wish->due, "begun",
                     wish->begun, "task", (json_int_t)wish->task, "ac", wish->ac, "ad", wish->ad);
}

static json_t *tasks_json(const struct sb_azure_state *state)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < state->task_count; i++) {
        if (json_array_append_new(list, json_pack("{s:I,s:s,s:b}", "task",
                                                  (json_int_t)state->tasks[i].task, "op",
                                                  sb_op_name((int)state->tasks[i].op), "answers",
                                                  state->tasks[i].answers)) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

/* Whose parts the hub may still have. */
static json_t *gone_json(const struct sb_azure_state *state)
{
    json_t *list = json_array();
    const char *key;
    json_t *document;
    json_object_foreach (state->children, key, document) {
        if (json_is_null(document) && json_array_append_new(list, json_string(key)) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

json_t *sb_azure_save(const void *data)
{
    const struct sb_azure_state *state = data;
    return json_pack("{s:O*,s:o,s:o,s:I,s:b,s:b,s:b,s:I,s:I,s:o,s:s*,s:o}", "doc", state->doc,
                     "firmware", wish_json(&state->firmware), "configuration",
                     wish_json(&state->configuration), "moving", (json_int_t)state->moving, "own",
                     state->own, "under_way", state->under_way, "committed", state->committed,
                     "reboot", (json_int_t)state->reboot, "reset", (json_int_t)state->reset,
                     "tasks", tasks_json(state), "name", state->name, "gone", gone_json(state));
}

/* ---- loading: what does not fit is left out ---- */

static int load_wish(struct sb_azure_wish *wish, const json_t *saved)
{
    int64_t ac = sb_json_int(saved, "ac", 0);
    const json_t *spec = sb_json_object(saved, "spec");
    wish->version = sb_json_int(saved, "version", 0);
    wish->due = sb_json_bool(saved, "due", false);
    wish->begun = sb_json_bool(saved, "begun", false);
    wish->task = sb_json_int(saved, "task", 0);
    wish->ac = ac > 0 && ac < 1000 ? (int)ac : 0;
    wish->spec = spec ? json_deep_copy(spec) : NULL;
    if (spec && !wish->spec)
        return -ENOMEM;
    int r = sb_set_string(&wish->content, sb_json_str(saved, "content"));
    return r ? r : sb_set_string(&wish->ad, sb_json_str(saved, "ad"));
}

static int load_gone(struct sb_azure_state *state, const json_t *list)
{
    size_t i;
    json_t *key;
    state->children = json_array_size(list) > 0 ? json_object() : NULL;
    json_array_foreach (list, i, key) {
        const char *text = json_string_value(key);
        if (text && json_object_set_new(state->children, text, json_null()) < 0)
            return -ENOMEM;
    }
    return 0;
}

void *sb_azure_load(const json_t *saved)
{
    struct sb_azure_state *state = calloc(1, sizeof(*state));
    if (!state || !saved)
        return state;
    const json_t *doc = sb_json_object(saved, "doc");
    const json_t *tasks = sb_json_array(saved, "tasks");
    state->moving = sb_json_int(saved, "moving", 0);
    state->own = sb_json_bool(saved, "own", false);
    state->under_way = sb_json_bool(saved, "under_way", false);
    state->committed = sb_json_bool(saved, "committed", false);
    state->reboot = sb_json_int(saved, "reboot", 0);
    state->reset = sb_json_int(saved, "reset", 0);
    for (size_t i = 0; i < json_array_size(tasks) && i < SB_AZURE_TASKS_MAX; i++) {
        const json_t *entry = json_array_get(tasks, i);
        int64_t task = sb_json_int(entry, "task", 0);
        int op = sb_op_from_name(sb_json_str(entry, "op"));
        if (task > 0 && op >= 0)
            state->tasks[state->task_count++] =
                (struct sb_azure_open){ task, (enum sb_op)op,
                                        sb_json_bool(entry, "answers", false) };
    }
    state->doc = doc ? json_deep_copy(doc) : NULL;
    int r = doc && !state->doc ? -ENOMEM : 0;
    r = r ? r : load_wish(&state->firmware, sb_json_object(saved, "firmware"));
    r = r ? r : load_wish(&state->configuration, sb_json_object(saved, "configuration"));
    r = r ? r : sb_set_string(&state->name, sb_json_str(saved, "name"));
    r = r ? r : load_gone(state, sb_json_array(saved, "gone"));
    if (r) {
        sb_azure_drop(state);
        return NULL;
    }
    return state;
}
