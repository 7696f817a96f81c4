/* SPDX-License-Identifier: Apache-2.0 */
/* The way of a sub-device into its session, and out of it. */
#include "adapters/dialects/alibaba/parts.h"
#include "adapters/dialects/alibaba/sign.h"
#include "bridge/base/crypto.h"
#include "bridge/base/log.h"
#include "bridge/base/str.h"

#define TIMER "session"

static json_t *identity_of(const struct sb_alibaba_who *who)
{
    return json_pack("{s:s,s:s}", "productKey", who->product, "deviceName", who->name);
}

static json_t *identity(const struct sb_ali_turn *turn)
{
    return identity_of(&turn->who);
}

static void wants(struct sb_ali_turn *turn, enum sb_ali_want kind, json_t *params)
{
    sb_effects_tell(turn->effects, NULL, sb_ali_want_name((int)kind), params);
}

/* ---- trying again ---- */

static void later(struct sb_ali_turn *turn)
{
    struct sb_ali_state *state = turn->state;
    int64_t wait = sb_words_limit(turn->in->words, "login_retry") << SB_MIN(state->failures, 10U);
    state->stage = SB_ALI_OUT;
    state->failures++;
    sb_effects_timer(turn->effects, TIMER,
                     SB_MIN(wait, sb_words_limit(turn->in->words, "login_most")));
}

/* ---- secrets ---- */

static void set_secret(struct sb_ali_turn *turn, const char *secret)
{
    sb_secret_free(turn->state->secret);
    turn->state->secret = secret ? strdup(secret) : NULL;
    turn->effects->broken = turn->effects->broken || (secret && !turn->state->secret);
    sb_log_secret(turn->state->secret);
    turn->effects->save = true;
}

/* What joins the topology and what logs in is signed alike. */
static void ask_with(struct sb_ali_turn *turn, const char *secret)
{
    bool joins = turn->state->stage == SB_ALI_JOINS;
    enum sb_alibaba_sign how = (enum sb_alibaba_sign)turn->config->sign;
    sb_cleanup(sb_freep) char *timestamp = sb_alibaba_timestamp(turn->in->wall);
    sb_cleanup(sb_freep) char *client =
        sb_words_fill(sb_words_name(turn->in->words, "client_device"), "product", turn->who.product,
                      "name", turn->who.name, NULL);
    sb_cleanup(sb_freep) char *sign =
        timestamp && client ? sb_alibaba_sign_login(how, secret, client, turn->who.name,
                                                    turn->who.product, timestamp)
                            : NULL;
    json_t *params = identity(turn);
    if (!sign || sb_json_put_str(params, "clientId", client) < 0 ||
        sb_json_put_str(params, "timestamp", timestamp) < 0 ||
        sb_json_put_str(params, joins ? "signmethod" : "signMethod", sb_alibaba_sign_word(how)) <
            0 ||
        sb_json_put_str(params, "sign", sign) < 0 ||
        sb_json_put_str(params, "cleanSession", joins ? NULL : "true") < 0)
        turn->effects->broken = true;
    wants(turn, joins ? SB_ALI_JOIN : SB_ALI_LOGIN, params);
}

static void speak(struct sb_ali_turn *turn, enum sb_ali_stage stage)
{
    turn->state->stage = stage;
    if (turn->config->device_secret) {
        (void)sb_effects_add(turn->effects, SB_OUT_SECRET);
    } else if (turn->state->secret) {
        ask_with(turn, turn->state->secret);
    } else {
        turn->state->stage = SB_ALI_REGISTERS;
        wants(turn, SB_ALI_REGISTER, identity(turn));
    }
}

void sb_ali_session_secret(struct sb_ali_turn *turn)
{
    bool waited = turn->state->stage == SB_ALI_JOINS || turn->state->stage == SB_ALI_LOGS_IN;
    if (!waited)
        return;
    if (turn->in->secret) {
        ask_with(turn, turn->in->secret);
        return;
    }
    sb_effects_note(turn->effects, "cannot log in: %s",
                    turn->in->error ? turn->in->error : "no secret");
    later(turn);
}

/* ---- in and out ---- */

static void set_out(struct sb_ali_turn *turn, bool out)
{
    turn->effects->save = turn->effects->save || turn->state->out != out;
    turn->state->out = out;
}

static bool is_away(const struct sb_ali_turn *turn)
{
    return turn->in->device && turn->in->device->presence == SB_PRESENCE_OFFLINE;
}

static bool is_busy(const struct sb_ali_state *state)
{
    for (size_t i = 0; i < state->update_count; i++)
        if (state->updates[i].task)
            return true;
    for (size_t i = 0; i < state->ask_count; i++)
        if (state->asks[i].task)
            return true;
    return false;
}

/* How something ended, and nobody was told yet. */
static bool owes(const struct sb_ali_state *state)
{
    for (size_t i = 0; i < state->update_count; i++)
        if (!state->updates[i].task && !state->updates[i].asked)
            return true;
    for (size_t i = 0; i < state->ask_count; i++)
        if (state->asks[i].reply && !state->asks[i].told)
            return true;
    return false;
}

void sb_ali_session_start(struct sb_ali_turn *turn)
{
    const struct sb_device *device = turn->in->device;
    if (!device || !turn->in->connected || turn->state->stage != SB_ALI_OUT ||
        (is_away(turn) && !is_busy(turn->state) && !owes(turn->state)))
        return;
    if (!turn->named) {
        sb_effects_note(turn->effects,
                        "'%s' has no product key: set device_product of the link, or name it "
                        "\"productKey/deviceName\"",
                        turn->in->name ? turn->in->name : "");
        return;
    }
    turn->state->called = turn->who;
    speak(turn, SB_ALI_LOGS_IN);
}

static void is_in(struct sb_ali_turn *turn)
{
    struct sb_ali_state *state = turn->state;
    state->stage = SB_ALI_IN;
    set_out(turn, false);
    state->failures = 0;
    state->since = turn->in->now;
    state->joined = false;
    json_decref(SB_STEAL(state->informed));
    sb_effects_timer(turn->effects, TIMER, -1);
    sb_ali_inform(turn);
    sb_ali_updates_login(turn);
    sb_ali_asks_login(turn);
    sb_ali_session_presence(turn);
    if (state->stage != SB_ALI_IN) /* it is away: that was all */
        return;
    sb_ali_firmware_get(turn);
    sb_ali_job_get(turn);
    sb_ali_config_get(turn);
    sb_ali_post(turn, NULL);
}

void sb_ali_session_presence(struct sb_ali_turn *turn)
{
    struct sb_ali_state *state = turn->state;
    if (is_away(turn) && state->stage == SB_ALI_IN && !is_busy(state) && !owes(state)) {
        state->stage = SB_ALI_OUT;
        wants(turn, SB_ALI_LOGOUT, identity(turn));
    } else {
        sb_ali_session_start(turn);
    }
}

static void leave(struct sb_ali_turn *turn, const struct sb_alibaba_who *who)
{
    if (turn->state->stage == SB_ALI_IN)
        wants(turn, SB_ALI_LOGOUT, identity_of(who));
    wants(turn, SB_ALI_LEAVE, identity_of(who));
    turn->state->stage = SB_ALI_DISABLED;
}

void sb_ali_session_leave(struct sb_ali_turn *turn)
{
    if (turn->named && !turn->in->self)
        leave(turn, &turn->who);
}

void sb_ali_session_name(struct sb_ali_turn *turn)
{
    struct sb_ali_state *state = turn->state;
    struct sb_alibaba_who called = state->called;
    if (!*called.name || (turn->named && strcmp(called.name, turn->who.name) == 0 &&
                          strcmp(called.product, turn->who.product) == 0))
        return;
    leave(turn, &called);
    state->called = (struct sb_alibaba_who){ 0 };
    state->stage = SB_ALI_OUT;
    set_secret(turn, NULL); /* it was the other one's */
    set_out(turn, false);
    sb_ali_session_start(turn);
}

void sb_ali_session_due(struct sb_ali_turn *turn)
{
    if (turn->state->stage == SB_ALI_DISABLED)
        turn->state->stage = SB_ALI_OUT; /* an `enable` may have been missed */
    sb_ali_session_start(turn);
}

/* ---- what the platform said ---- */

static bool is_disabled(int code)
{
    return code == SB_ALIBABA_IS_DISABLED || code == SB_ALIBABA_ALSO_DISABLED;
}

/* The platform gave another secret since; register once more. */
static bool secret_is_stale(struct sb_ali_turn *turn, int code)
{
    struct sb_ali_state *state = turn->state;
    bool bad = code == SB_ALIBABA_BAD_SIGN || code == SB_ALIBABA_BAD_LOGIN_SIGN;
    if (!bad || !state->secret || turn->config->device_secret || state->renewed)
        return false;
    state->renewed = true;
    set_secret(turn, NULL);
    return true;
}

static void disabled(struct sb_ali_turn *turn)
{
    turn->state->stage = SB_ALI_DISABLED;
    sb_effects_timer(turn->effects, TIMER, sb_words_limit(turn->in->words, "login_most"));
}

static void result(struct sb_ali_turn *turn, enum sb_ali_want kind, int code)
{
    struct sb_ali_state *state = turn->state;
    if (code == SB_ALIBABA_OK && kind == SB_ALI_LOGIN) {
        is_in(turn);
    } else if (code == SB_ALIBABA_OK || secret_is_stale(turn, code)) {
        speak(turn, SB_ALI_LOGS_IN);
    } else if (code == SB_ALIBABA_NO_TOPOLOGY && state->out) {
        state->stage = SB_ALI_TAKEN_OUT;
    } else if (code == SB_ALIBABA_NO_TOPOLOGY && kind == SB_ALI_LOGIN && !state->joined) {
        state->joined = true;
        speak(turn, SB_ALI_JOINS);
    } else if (is_disabled(code)) {
        disabled(turn);
    } else {
        sb_effects_note(turn->effects,
                        code ? "%s was refused by the platform: code %d"
                             : "%s: the platform gave no (valid) answer",
                        sb_ali_want_name((int)kind), code);
        state->joined = false;
        later(turn);
    }
}

void sb_ali_session_told(struct sb_ali_turn *turn)
{
    static const enum sb_ali_stage waits[] = { [SB_ALI_REGISTER] = SB_ALI_REGISTERS,
                                               [SB_ALI_JOIN] = SB_ALI_JOINS,
                                               [SB_ALI_LOGIN] = SB_ALI_LOGS_IN };
    struct sb_ali_state *state = turn->state;
    int64_t kind = sb_json_int(turn->in->told, "kind", -1);
    if (sb_streq(turn->in->tag, "gone")) {
        state->stage = SB_ALI_TAKEN_OUT;
        set_out(turn, true);
        sb_effects_timer(turn->effects, TIMER, -1);
    } else if (sb_streq(turn->in->tag, "start")) {
        set_out(turn, false);
        if (state->stage == SB_ALI_DISABLED || state->stage == SB_ALI_TAKEN_OUT)
            state->stage = SB_ALI_OUT;
        sb_ali_session_start(turn);
    } else if (kind >= 0 && kind <= SB_ALI_LOGIN && state->stage == waits[kind]) {
        if (kind == SB_ALI_REGISTER && sb_json_str(turn->in->told, "secret"))
            set_secret(turn, sb_json_str(turn->in->told, "secret"));
        result(turn, (enum sb_ali_want)kind, (int)sb_json_int(turn->in->told, "code", 0));
    }
}

void sb_ali_notice(struct sb_ali_turn *turn)
{
    const struct sb_message *message = turn->in->message;
    sb_cleanup(sb_freep) char *word = sb_format("notice_%s", message->what);
    const char *rest = word ? sb_words_name(turn->in->words, word) : NULL;
    sb_cleanup(sb_freep) char *reply = rest ? sb_format("%s_reply", rest) : NULL;
    turn->effects->broken = turn->effects->broken || !reply;
    sb_ali_send(turn,
                &(struct sb_ali_parcel){
                    .base = "topic_sys",
                    .rest = reply,
                    .gateway = message->code == 1 || turn->in->self,
                    .what = message->what,
                    .payload = sb_ali_answer(turn, message->id,
                                             message->error ? SB_ALIBABA_BAD_PARAMS : SB_ALIBABA_OK,
                                             message->error, NULL) });
    sb_effects_note(turn->effects, "the platform says: %s%s", message->what,
                    message->error ? ", which is malformed: ignored" : "");
    if (turn->in->self || !turn->in->device || message->error)
        return;
    if (sb_streq(message->what, "enable")) {
        turn->state->stage = SB_ALI_OUT;
        sb_ali_session_start(turn);
        return;
    }
    if (sb_streq(message->what, "delete"))
        set_secret(turn, NULL);
    disabled(turn);
}

void sb_ali_error(struct sb_ali_turn *turn)
{
    const struct sb_message *message = turn->in->message;
    struct sb_ali_state *state = turn->state;
    if (message->code != SB_ALIBABA_NO_SESSION || turn->in->self || state->stage != SB_ALI_IN) {
        sb_effects_note(turn->effects, "the platform reports error %d", message->code);
        return;
    }
    int64_t most = sb_words_limit(turn->in->words, "login_most");
    state->lost = turn->in->now - state->since < most ? state->lost : 0; /* it lasted */
    int64_t wait = sb_words_limit(turn->in->words, "session_retry") << SB_MIN(state->lost, 10U);
    state->lost++;
    state->stage = SB_ALI_OUT;
    sb_effects_timer(turn->effects, TIMER, SB_MIN(wait, most));
}
