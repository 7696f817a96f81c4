/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "adapters/dialects/huawei/parts.h"
#include "bridge/base/str.h"

void sb_huawei_json_clear(json_t **slot)
{
    json_decref(*slot);
    *slot = NULL;
}

void sb_huawei_upgrade_clear(struct sb_huawei_upgrade *upgrade)
{
    free(upgrade->version);
    free(upgrade->module);
    free(upgrade->event);
    *upgrade = (struct sb_huawei_upgrade){ 0 };
}

static void drop_asks(struct sb_huawei_state *state)
{
    for (size_t i = 0; i < state->ask_count; i++) {
        free(state->asks[i].id);
        free(state->asks[i].name);
        free(state->asks[i].tag);
    }
    free(SB_STEAL(state->asks));
    state->ask_count = 0;
}

void sb_huawei_link_lost(struct sb_huawei_state *state)
{
    json_t **const parts[] = { &state->told,    &state->values, &state->wanted, &state->known,
                               &state->refused, &state->batch,  &state->reports };
    drop_asks(state);
    for (size_t i = 0; i < SB_COUNT(parts); i++)
        sb_huawei_json_clear(parts[i]);
    free(SB_STEAL(state->called));
    free(SB_STEAL(state->batch_id));
    state->status = NULL;
    state->due = 0;
    state->online = state->queried = false;
    state->shown_state = state->shown_percent = -1;
}

void sb_huawei_state_reset(struct sb_huawei_state *state)
{
    sb_huawei_link_lost(state);
    sb_huawei_upgrade_clear(&state->upgrade);
    sb_huawei_upgrade_clear(&state->asked);
    sb_huawei_json_clear(&state->waiting);
    sb_huawei_json_clear(&state->outcome);
    sb_huawei_json_clear(&state->deleted);
    sb_huawei_json_clear(&state->leaving);
    free(state->gateway);
    *state = (struct sb_huawei_state){ .shown_state = -1, .shown_percent = -1 };
}

void sb_huawei_drop(void *state)
{
    if (state)
        sb_huawei_state_reset(state);
    free(state);
}

/* ---- saving ---- */

json_t *sb_huawei_save(const void *data)
{
    const struct sb_huawei_state *state = data;
    const struct sb_huawei_upgrade *upgrade = &state->upgrade;
    return json_pack("{s:{s:I,s:s*,s:s*,s:s*},s:O*,s:O*,s:O*,s:s*,s:I}", "upgrade", "task",
                     (json_int_t)upgrade->task, "version", upgrade->version, "module",
                     upgrade->module, "event", upgrade->event, "outcome", state->outcome, "leaving",
                     state->leaving, "deleted", state->deleted, "gateway", state->gateway,
                     "version", (json_int_t)state->version);
}

static int load_upgrade(struct sb_huawei_upgrade *upgrade, const json_t *saved)
{
    int64_t task = sb_json_int(saved, "task", 0);
    upgrade->task = task > 0 ? task : 0;
    int r = sb_set_string(&upgrade->version, sb_json_str(saved, "version"));
    r = r ? r : sb_set_string(&upgrade->module, sb_json_str(saved, "module"));
    return r ? r : sb_set_string(&upgrade->event, sb_json_str(saved, "event"));
}

static int load_object(json_t **slot, const json_t *saved, const char *key)
{
    const json_t *object = sb_json_object(saved, key);
    *slot = object ? json_deep_copy(object) : NULL;
    return object && !*slot ? -ENOMEM : 0;
}

void *sb_huawei_load(const json_t *saved)
{
    struct sb_huawei_state *state = calloc(1, sizeof(*state));
    if (!state)
        return NULL;
    state->shown_state = state->shown_percent = -1;
    int64_t version = sb_json_int(saved, "version", 0);
    state->version = version > 0 ? version : 0;
    int r = load_object(&state->outcome, saved, "outcome");
    r = r ? r : load_object(&state->leaving, saved, "leaving");
    r = r ? r : sb_set_string(&state->gateway, sb_json_str(saved, "gateway"));
    r = r ? r : load_object(&state->deleted, saved, "deleted");
    r = r ? r : load_upgrade(&state->upgrade, sb_json_object(saved, "upgrade"));
    if (r) {
        sb_huawei_drop(state);
        return NULL;
    }
    return state;
}
