/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device says of itself: to the gateway's conversation whether it is there and what its
 * values are, to the platform its versions, once that has it online.
 *     a device -> "status" {name, status}, "values" {name, services}, "gone" {name}
 *     the gateway -> "online" {}, "deleted" {} -> a device
 */
#include "adapters/dialects/huawei/parts.h"
#include "bridge/base/str.h"

/* ---- presence ---- */

static const char *status_of(const struct sb_device *device)
{
    static const char *const statuses[SB_PRESENCE_MAX_] = {
        [SB_PRESENCE_READY] = "ONLINE", [SB_PRESENCE_OFFLINE] = "OFFLINE"
    };
    return device ? statuses[device->presence] : NULL; /* not asked yet: nothing to say */
}

static void tell_gone(struct sb_huawei_turn *turn, const char *name)
{
    sb_effects_tell(turn->effects, NULL, "gone", json_pack("{s:s}", "name", name));
}

/* The platform knows nothing of it. */
static void forget_told(struct sb_huawei_state *state)
{
    state->online = false;
    sb_huawei_json_clear(&state->told);
    sb_huawei_json_clear(&state->values);
}

void sb_huawei_status(struct sb_huawei_turn *turn)
{
    struct sb_huawei_state *state = turn->state;
    const struct sb_input *in = turn->in;
    const char *status = status_of(in->device);
    if (in->self || !in->connected || !in->name)
        return;
    if (state->called && !sb_streq(state->called, in->name)) {
        tell_gone(turn, state->called);
        state->status = NULL;
        forget_told(state);
    }
    sb_effects_set(turn->effects, &state->called, in->name);
    if (!status || status == state->status)
        return;
    state->status = status;
    state->online = false;
    sb_effects_tell(turn->effects, NULL, "status",
                    json_pack("{s:s,s:s}", "name", in->name, "status", status));
}

void sb_huawei_leave(struct sb_huawei_turn *turn)
{
    if (!turn->in->self && turn->in->name)
        tell_gone(turn, turn->in->name);
    sb_huawei_state_reset(turn->state);
    turn->effects->save = true;
}

/* ---- versions ---- */

/* Both names where it has one version only: it is firmware and software in one. again: it is asked
 * for, so what was said already is said again, and that nobody knows it. */
void sb_huawei_versions(struct sb_huawei_turn *turn, bool again)
{
    struct sb_huawei_state *state = turn->state;
    const char *firmware = sb_huawei_version(turn, NULL);
    const char *module = sb_words_name(turn->in->words, "module_software");
    const char *software = module ? sb_huawei_version(turn, module) : NULL;
    software = software ? software : firmware;
    again = again || state->queried;
    if (!software && again)
        firmware = software = sb_words_name(turn->in->words, "version_unknown");
    if (!turn->in->connected || !sb_huawei_is_ready(turn) || !software)
        return;
    sb_cleanup(json_decrefp) json_t *paras =
        json_pack("{s:s*,s:s}", "fw_version", firmware, "sw_version", software);
    if (!again && (json_equal(paras, state->told) || (!turn->in->self && !state->online)))
        return;
    state->queried = false;
    sb_huawei_json_clear(&state->told);
    state->told = json_incref(paras);
    sb_huawei_send_event(turn, SB_HUAWEI_OTA, sb_words_name(turn->in->words, "event_versions"),
                         NULL, json_incref(paras));
}

/* ---- values ---- */

/* One service with these values; new reference. */
json_t *sb_huawei_services(struct sb_huawei_turn *turn, const json_t *values, const char *service)
{
    sb_cleanup(sb_freep) char *time = sb_huawei_time(turn->in->wall);
    return json_pack("[{s:s,s:o,s:s*}]", "service_id",
                     service && *service ? service : sb_words_name(turn->in->words, "service"),
                     "properties", values ? json_incref((json_t *)values) : json_object(),
                     "event_time", time);
}

static json_t *plain_values(struct sb_huawei_turn *turn)
{
    const struct sb_device *device = turn->in->device;
    json_t *values = json_object();
    const char *name;
    json_t *entry;
    json_object_foreach (device ? device->properties : NULL, name, entry) {
        json_t *value = json_object_get(entry, "value");
        if (value && json_object_set(values, name, value) < 0)
            turn->effects->broken = true;
    }
    return values;
}

void sb_huawei_values(struct sb_huawei_turn *turn)
{
    struct sb_huawei_state *state = turn->state;
    sb_cleanup(json_decrefp) json_t *values = plain_values(turn);
    if (turn->in->self || !turn->in->connected || !state->online || !turn->in->name ||
        json_object_size(values) == 0 || json_equal(values, state->values))
        return;
    sb_huawei_json_clear(&state->values);
    state->values = json_incref(values);
    sb_effects_tell(turn->effects, NULL, "values",
                    json_pack("{s:s,s:o}", "name", turn->in->name, "services",
                              sb_huawei_services(turn, values, NULL)));
}

/* What is polled changes without news. */
void sb_huawei_values_due(struct sb_huawei_turn *turn)
{
    if (!turn->state->online)
        return;
    sb_huawei_values(turn);
    sb_effects_timer(turn->effects, "values", sb_words_limit(turn->in->words, "report_every"));
}

bool sb_huawei_told_device(struct sb_huawei_turn *turn)
{
    if (sb_streq(turn->in->tag, "deleted")) {
        forget_told(turn->state);
        sb_huawei_upgrade_clear(&turn->state->upgrade); /* its task there is gone, too */
        sb_huawei_json_clear(&turn->state->outcome);
        sb_huawei_json_clear(&turn->state->waiting);
        turn->effects->save = true;
    }
    if (!sb_streq(turn->in->tag, "online") || !sb_streq(turn->state->status, "ONLINE"))
        return false;
    turn->state->online = true;
    sb_huawei_versions(turn, false);
    sb_huawei_values_due(turn);
    return true;
}
