/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Announcing devices, keeping them announced, taking them back. The rule of when a manage is
 * withheld stands in conversation.h. Sources: IBM documentation (manage, lifetime, dormant);
 * Java library issue 52 (the platform does not answer a manage with an empty deviceInfo).
 */
#include "adapters/dialects/ibm/parts.h"
#include "bridge/base/crypto.h"
#include "bridge/base/time.h"
#include "bridge/mapping/type.h"

/* ---- content ---- */

static const char *const info_keys[] = { "serialNumber",       "manufacturer", "model",
                                         "deviceClass",        "description",  "hwVersion",
                                         "descriptiveLocation" };

static const char *first(const char *a, const char *b)
{
    return a && *a ? a : b && *b ? b : NULL;
}

/* What the platform's users wrote comes first, because manage replaces it all; what the device
 * says of itself wins. */
static int fill_info(json_t *info, const struct sb_device *device)
{
    const json_t *written = sb_json_object(device->facts, "deviceInfo");
    const struct sb_type *type = device->type;
    int r = 0;
    for (size_t i = 0; i < SB_COUNT(info_keys); i++)
        r = r ? r : sb_json_put_str(info, info_keys[i], sb_json_str(written, info_keys[i]));
    const struct {
        const char *key, *text;
    } known[] = {
        { "serialNumber", sb_json_str(device->identity, "serial") },
        { "manufacturer",
          first(type ? type->manufacturer : NULL, sb_json_str(device->identity, "manufacturer")) },
        { "model", first(type ? type->model : NULL, sb_json_str(device->identity, "model")) },
        { "hwVersion",
          first(type ? type->hardware : NULL, sb_json_str(device->identity, "hardware")) },
        { "fwVersion", sb_json_str(device->versions, "") },
    };
    for (size_t i = 0; i < SB_COUNT(known); i++)
        r = r ? r : sb_json_put_str(info, known[i].key, first(known[i].text, NULL));
    return r;
}

static json_t *info_of(const struct sb_ibm_turn *turn)
{
    json_t *info = json_object();
    int r = turn->in->device ? fill_info(info, turn->in->device) : 0;
    if (!r && turn->in->self && !json_object_get(info, "fwVersion"))
        r = sb_json_put_str(info, "fwVersion", SB_VERSION);
    if (r) {
        json_decref(info);
        return NULL;
    }
    return info;
}

static bool claims_bundle(const struct sb_ibm_turn *turn)
{
    const struct sb_ibm_config *config = turn->in->config;
    return config->bundle && !turn->state->no_bundle &&
           (sb_dialect_can(turn->in, SB_OP_READ) || sb_dialect_can(turn->in, SB_OP_WRITE) ||
            sb_dialect_can(turn->in, SB_OP_CONFIGURE) || sb_dialect_can(turn->in, SB_OP_INVOKE));
}

static json_t *supports_of(const struct sb_ibm_turn *turn)
{
    bool device =
        sb_dialect_can(turn->in, SB_OP_REBOOT) || sb_dialect_can(turn->in, SB_OP_FACTORY_RESET);
    bool firmware = sb_dialect_can(turn->in, SB_OP_FIRMWARE_DOWNLOAD) &&
                    sb_dialect_can(turn->in, SB_OP_FIRMWARE_INSTALL);
    json_t *supports = json_pack("{s:b,s:b}", "deviceActions", device, "firmwareActions", firmware);
    if (claims_bundle(turn) &&
        json_object_set_new(supports, sb_words_name(turn->in->words, "bundle"), json_true()) < 0) {
        json_decref(supports);
        return NULL;
    }
    return supports;
}

/* Empty objects are left out. NULL without memory. */
static json_t *content_of(const struct sb_ibm_turn *turn)
{
    sb_cleanup(json_decrefp) json_t *info = info_of(turn);
    json_int_t lifetime = sb_words_limit(turn->in->words, "lifetime") / SB_SECOND;
    json_t *content = json_pack("{s:I,s:o}", "lifetime", lifetime, "supports", supports_of(turn));
    bool good = info && content &&
                (json_object_size(info) == 0 || json_object_set(content, "deviceInfo", info) == 0);
    if (!good) {
        json_decref(content);
        return NULL;
    }
    return content;
}

/* ---- when ---- */

static int64_t refresh_after(const struct sb_ibm_turn *turn)
{
    int64_t lifetime = sb_words_limit(turn->in->words, "lifetime");
    int64_t share = lifetime / 100 * sb_words_limit(turn->in->words, "refresh_share");
    return SB_MIN(share, lifetime - sb_words_limit(turn->in->words, "refresh_margin"));
}

static int64_t doubled(const struct sb_ibm_turn *turn, int64_t ms, unsigned times)
{
    return SB_MIN(ms << SB_MIN(times, 10U), refresh_after(turn));
}

static bool open_ask(const struct sb_ibm_state *state, enum sb_op op)
{
    for (size_t i = 0; i < state->ask_count; i++) {
        if (state->asks[i].op == op && state->asks[i].answered)
            return true;
    }
    return false;
}

static bool withheld(const struct sb_ibm_state *state)
{
    return state->hold[SB_IBM_REBOOTS] != SB_IBM_HOLD_NONE ||
           state->hold[SB_IBM_RESETS] != SB_IBM_HOLD_NONE || open_ask(state, SB_OP_REBOOT) ||
           open_ask(state, SB_OP_FACTORY_RESET);
}

static void announce(struct sb_ibm_turn *turn, json_t *content)
{
    struct sb_ibm_state *state = turn->state;
    char id[SB_UUID_TEXT + 1];
    sb_uuid(id);
    json_decref(state->managed);
    state->managed = json_incref(content);
    if (sb_set_string(&state->manage_id, id) < 0)
        turn->effects->broken = true;
    sb_ibm_send(turn, &(struct sb_ibm_parcel){ .suffix = "out_manage",
                                               .payload = sb_ibm_request(content, id),
                                               .class = SB_PARCEL_PASSING,
                                               .what = "manage" });
    sb_effects_timer(
        turn->effects, "manage",
        doubled(turn, sb_words_limit(turn->in->words, "reply_timeout"), state->manage_silent));
    if (turn->in->self || sb_streq(state->name, turn->in->name))
        return;
    if (sb_set_string(&state->name, turn->in->name) < 0)
        turn->effects->broken = true;
    turn->effects->save = true;
}

void sb_ibm_manage(struct sb_ibm_turn *turn, enum sb_ibm_occasion occasion)
{
    struct sb_ibm_state *state = turn->state;
    bool unsettled = occasion == SB_IBM_IF_CHANGED && open_ask(state, SB_OP_FIRMWARE_INSTALL);
    if (!state->up || unsettled || withheld(state) || (!turn->in->self && !turn->in->device))
        return; /* the connect, the result, or the end of the hold will do it */
    json_t *content = content_of(turn);
    if (!content)
        turn->effects->broken = true;
    else if (occasion == SB_IBM_IF_CHANGED && json_equal(content, state->managed))
        json_decref(content);
    else
        announce(turn, content);
}

/* ---- replies ---- */

static void caught_up(struct sb_ibm_turn *turn)
{
    if (!turn->state->catching_up)
        return;
    turn->state->catching_up = false;
    (void)sb_effects_add(turn->effects, SB_OUT_CURRENT);
}

static void manage_refused(struct sb_ibm_turn *turn, int code)
{
    struct sb_ibm_state *state = turn->state;
    bool transient = code < 400 || code >= 500 || code == SB_IBM_RC_CONFLICT;
    sb_effects_note(turn->effects, "the platform answered manage with %d", code);
    if (code == SB_IBM_RC_FORBIDDEN && claims_bundle(turn)) {
        state->no_bundle = true;
        sb_effects_note(turn->effects,
                        "it does not know the action bundle '%s': managing without it",
                        sb_words_name(turn->in->words, "bundle"));
        sb_ibm_manage(turn, SB_IBM_ALWAYS);
    } else if (transient) {
        sb_effects_timer(
            turn->effects, "manage",
            doubled(turn, sb_words_limit(turn->in->words, "retry"), state->manage_refused));
        state->manage_refused++;
    } else {
        sb_effects_timer(turn->effects, "manage", sb_words_limit(turn->in->words, "refused_retry"));
    }
}

static void manage_answered(struct sb_ibm_turn *turn, int code)
{
    struct sb_ibm_state *state = turn->state;
    free(SB_STEAL(state->manage_id));
    caught_up(turn);
    state->manage_silent = 0;
    if (code != SB_IBM_RC_OK) {
        manage_refused(turn, code);
        return;
    }
    state->manage_refused = 0;
    sb_effects_timer(turn->effects, "manage", refresh_after(turn));
}

/* Any reply settles what it names: sending it again would not change the platform's mind. */
void sb_ibm_manage_reply(struct sb_ibm_turn *turn)
{
    const struct sb_message *message = turn->in->message;
    if (!message->id) {
        sb_effects_note(turn->effects, "a response without reqId: ignored");
        return;
    }
    if (sb_streq(message->id, turn->state->manage_id)) {
        manage_answered(turn, message->code);
        return;
    }
    struct sb_output *settle = sb_effects_add(turn->effects, SB_OUT_SETTLE);
    if (!settle)
        return;
    settle->token = strdup(message->id);
    turn->effects->broken = turn->effects->broken || !settle->token;
    if (message->code != SB_IBM_RC_OK)
        sb_effects_note(turn->effects, "the platform answered request %s with %d", message->id,
                        message->code);
}

void sb_ibm_manage_due(struct sb_ibm_turn *turn)
{
    struct sb_ibm_state *state = turn->state;
    if (state->manage_id) {
        if (state->manage_silent++ == 0)
            sb_effects_note(turn->effects, "the platform does not answer manage: trying again");
        caught_up(turn);
    }
    sb_ibm_manage(turn, SB_IBM_ALWAYS);
}

/* ---- holding back, leaving ---- */

const char *const sb_ibm_hold_tags[SB_IBM_RESTARTS] = {
    [SB_IBM_REBOOTS] = "hold:reboot", [SB_IBM_RESETS] = "hold:reset"
};

void sb_ibm_hold(struct sb_ibm_turn *turn, enum sb_ibm_restart which, enum sb_ibm_hold hold)
{
    turn->state->hold[which] = hold;
    turn->effects->save = true;
    sb_effects_timer(turn->effects, sb_ibm_hold_tags[which],
                     sb_words_limit(turn->in->words, "withhold_after_failure"));
}

void sb_ibm_hold_end(struct sb_ibm_turn *turn, enum sb_ibm_restart which)
{
    if (turn->state->hold[which] != SB_IBM_HOLD_NONE) {
        turn->state->hold[which] = SB_IBM_HOLD_NONE;
        turn->effects->save = true;
        sb_effects_timer(turn->effects, sb_ibm_hold_tags[which], -1);
    }
    sb_ibm_manage(turn, SB_IBM_ALWAYS);
}

void sb_ibm_leave(struct sb_ibm_turn *turn, const char *name)
{
    struct sb_input input = *turn->in;
    struct sb_ibm_turn old = { turn->state, &input, turn->effects };
    input.name = name;
    for (size_t i = 0; i < turn->state->ask_count; i++) {
        const struct sb_ibm_ask *ask = &turn->state->asks[i];
        sb_ibm_ask_timer(&old, ask, -1);
        if (!ask->answered)
            sb_ibm_refuse(&old, ask->id, ask->op, SB_CAUSE_DEVICE_GONE, NULL, ask->task);
    }
    if (turn->state->name) {
        char id[SB_UUID_TEXT + 1];
        sb_uuid(id);
        sb_ibm_send(&old, &(struct sb_ibm_parcel){ .suffix = "out_unmanage",
                                                   .payload = sb_ibm_request(NULL, id),
                                                   .class = SB_PARCEL_ANSWER,
                                                   .token = id,
                                                   .what = "unmanage" });
    }
    sb_effects_timer(turn->effects, "manage", -1);
    for (size_t i = 0; i < SB_IBM_RESTARTS; i++)
        sb_effects_timer(turn->effects, sb_ibm_hold_tags[i], -1);
    sb_ibm_state_reset(turn->state);
    turn->effects->save = true;
}
