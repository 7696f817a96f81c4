/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/dialects/ibm/conversation.h"

#include <errno.h>
#include <inttypes.h>

#include "adapters/dialects/ibm/parts.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"

/* ---- messages ---- */

static void on_notification(struct sb_ibm_turn *turn)
{
    const json_t *body = turn->in->message->body;
    const char *request = sb_json_str(body, "Request");
    const char *topic = sb_json_str(body, "Topic");
    const char *text = sb_json_str(body, "Message");
    const char *code = sb_json_str(body, "RC"); /* documented as text, seen as a number */
    sb_cleanup(sb_freep) char *number =
        code ? strndup(code, 10) : sb_format("%" PRId64, sb_json_int(body, "RC", 0));
    sb_effects_note(turn->effects, "the platform reports about %.40s of %.200s: %.300s (code %s)",
                    request ? request : "a request", topic ? topic : "an unknown topic",
                    text ? text : "no message", number ? number : "?");
}

/* Unknown device, broken text, no reqId: what must not reach a handler. True: dealt with. */
static bool refused_early(struct sb_ibm_turn *turn)
{
    const struct sb_message *message = turn->in->message;
    const char *kind = sb_ibm_kind_name(message->kind);
    if (!turn->in->device && !turn->in->self) {
        sb_ibm_reply(turn, message->id, SB_IBM_RC_NOT_FOUND, "no such device behind this gateway",
                     NULL, 0);
    } else if (message->error) {
        sb_ibm_reply(turn, message->id, SB_IBM_RC_BAD, message->error, NULL, 0);
    } else if (message->id ||
               !(sb_ibm_kind_is_action(message->kind) || message->kind == SB_IBM_UNKNOWN)) {
        return false;
    }
    if (!message->id)
        sb_effects_note(turn->effects, "a %s without reqId cannot be answered: ignored%s%.200s",
                        kind, message->error ? ": " : "", message->error ? message->error : "");
    return true;
}

/* The same reqId again (QoS 1): the same answer, or silence while it is open. */
static bool repeated(struct sb_ibm_turn *turn)
{
    const char *id = turn->in->message->id;
    if (!id || !sb_ibm_seen(turn->state, id))
        return false;
    if (sb_ibm_seen_open(turn->state, id))
        return true;
    json_t *answer = sb_ibm_seen_answer(turn->state, id);
    if (!answer)
        turn->effects->broken = true;
    sb_ibm_send(turn, &(struct sb_ibm_parcel){ .suffix = "out_response",
                                               .payload = answer,
                                               .class = SB_PARCEL_ANSWER,
                                               .what = "repeated" });
    return true;
}

/* Queued at the broker through an outage: the platform has long given the request up. */
static bool stale(struct sb_ibm_turn *turn)
{
    const struct sb_input *in = turn->in;
    if (!in->backlog || !sb_ibm_kind_is_action(in->message->kind) ||
        (in->outage >= 0 && in->outage <= sb_words_limit(turn->in->words, "stale_after")))
        return false;
    sb_cleanup(sb_freep) char *length =
        in->outage >= 0 ? sb_duration_text(in->outage) : strdup("an unknown time");
    sb_cleanup(sb_freep) char *text =
        sb_format("not done: the request waited while the gateway was offline for %s",
                  length ? length : "long");
    sb_ibm_reply(turn, in->message->id, SB_IBM_RC_FAILED, text, NULL, 0);
    return true;
}

static bool not_ready(struct sb_ibm_turn *turn)
{
    if (turn->in->ready)
        return false;
    sb_cleanup(sb_freep) char *text = sb_format("the gateway cannot take requests now: %.200s",
                                                turn->in->why ? turn->in->why : "busy");
    sb_ibm_reply(turn, turn->in->message->id, SB_IBM_RC_FAILED, text, NULL, 0);
    return true;
}

static void on_unknown(struct sb_ibm_turn *turn)
{
    sb_ibm_reply(turn, turn->in->message->id, SB_IBM_RC_UNSUPPORTED, "unknown request", NULL, 0);
}

typedef void (*handler_fn)(struct sb_ibm_turn *turn);

static const handler_fn handlers[SB_IBM_KIND_MAX_] = {
    [SB_IBM_UPDATE] = sb_ibm_update,         [SB_IBM_OBSERVE] = sb_ibm_observe,
    [SB_IBM_CANCEL] = sb_ibm_cancel,         [SB_IBM_REBOOT] = sb_ibm_restart,
    [SB_IBM_FACTORY_RESET] = sb_ibm_restart, [SB_IBM_DOWNLOAD] = sb_ibm_download,
    [SB_IBM_INSTALL] = sb_ibm_install,       [SB_IBM_CUSTOM] = sb_ibm_custom,
    [SB_IBM_UNKNOWN] = on_unknown,
};

static void on_message(struct sb_ibm_turn *turn)
{
    int kind = turn->in->message->kind;
    if (kind == SB_IBM_NOTIFICATION)
        on_notification(turn);
    else if (kind == SB_IBM_RESPONSE)
        sb_ibm_manage_reply(turn);
    else if (!refused_early(turn) && !repeated(turn) && !not_ready(turn) && !stale(turn))
        handlers[kind](turn);
}

/* ---- news ---- */

static void on_device(struct sb_ibm_turn *turn)
{
    struct sb_ibm_state *state = turn->state;
    if (!turn->in->self && state->name && !sb_streq(state->name, turn->in->name)) {
        sb_cleanup(sb_freep) char *old = strdup(state->name);
        if (!old)
            turn->effects->broken = true;
        else
            sb_ibm_leave(turn, old);
    }
    sb_ibm_manage(turn, SB_IBM_IF_CHANGED);
}

/* The device is there again: what a restart of unknown outcome waited for. */
static void on_return(struct sb_ibm_turn *turn)
{
    if (turn->state->hold[SB_IBM_REBOOTS] == SB_IBM_HOLD_RETURN)
        sb_ibm_hold_end(turn, SB_IBM_REBOOTS);
}

static void on_news(struct sb_ibm_turn *turn)
{
    const struct sb_news *news = turn->in->news;
    bool known = turn->in->device || turn->in->self;
    switch (known ? news->kind : SB_NEWS_MAX_) {
    case SB_NEWS_TASK:
        if (news->task)
            sb_ibm_task_news(turn);
        else
            sb_ibm_task_lost(turn, turn->in->value);
        break;
    case SB_NEWS_DEVICE_ADDED:
        on_device(turn);
        break;
    case SB_NEWS_DEVICE_REMOVED:
        sb_ibm_leave(turn, turn->state->name ? turn->state->name : turn->in->name);
        break;
    case SB_NEWS_PRESENCE:
        if (turn->in->device && turn->in->device->presence == SB_PRESENCE_READY)
            on_return(turn);
        break;
    case SB_NEWS_IDENTITY:
        on_return(turn);
        sb_ibm_manage(turn, SB_IBM_IF_CHANGED);
        break;
    case SB_NEWS_FIRMWARE:
        if (news->task)
            sb_ibm_firmware_follow(turn, news->task, false, false);
        break;
    case SB_NEWS_STAGED:
        sb_ibm_firmware_staged(turn);
        break;
    default:
        break;
    }
}

/* ---- time and the link ---- */

static void on_timer(struct sb_ibm_turn *turn)
{
    const char *tag = turn->in->tag;
    struct sb_ibm_ask *ask =
        strncmp(tag, "ask:", 4) == 0 ? sb_ibm_ask_find(turn->state, tag + 4) : NULL;
    if (ask)
        sb_ibm_ask_due(turn, ask);
    if (sb_streq(tag, "manage"))
        sb_ibm_manage_due(turn);
    for (int which = 0; which < SB_IBM_RESTARTS; which++) {
        if (sb_streq(tag, sb_ibm_hold_tags[which]))
            sb_ibm_hold_end(turn, (enum sb_ibm_restart)which);
    }
}

static void on_up(struct sb_ibm_turn *turn)
{
    struct sb_ibm_state *state = turn->state;
    state->up = true;
    state->no_bundle = false;
    state->manage_refused = state->manage_silent = 0;
    state->catching_up = turn->in->self;
    if (!turn->in->self && state->name && !sb_streq(state->name, turn->in->name))
        on_device(turn); /* renamed while the gateway was off */
    else
        sb_ibm_manage(turn, SB_IBM_ALWAYS);
}

static void on_down(struct sb_ibm_turn *turn)
{
    turn->state->up = false;
    sb_effects_timer(turn->effects, "manage", -1); /* every connect manages anew */
}

static void on_loaded(struct sb_ibm_turn *turn)
{
    struct sb_ibm_state *state = turn->state;
    for (size_t i = 0; i < SB_IBM_RESTARTS; i++) {
        if (state->hold[i] != SB_IBM_HOLD_NONE)
            sb_effects_timer(turn->effects, sb_ibm_hold_tags[i],
                             sb_words_limit(turn->in->words, "withhold_after_failure"));
    }
    for (size_t i = 0; i < state->ask_count; i++) {
        const struct sb_ibm_ask *ask = &state->asks[i];
        if (!ask->answered)
            sb_ibm_ask_timer(
                turn, ask,
                sb_words_limit(turn->in->words, ask->custom ? "custom_within" : "answer_within"));
        struct sb_output *look = sb_effects_add(turn->effects, SB_OUT_LOOK);
        if (look)
            look->task = ask->task;
    }
    sb_ibm_firmware_loaded(turn);
}

int sb_ibm_step(void *state, const struct sb_input *input, struct sb_effects *effects)
{
    static const handler_fn inputs[] = {
        [SB_IN_MESSAGE] = on_message, [SB_IN_NEWS] = on_news, [SB_IN_VERDICT] = sb_ibm_verdict,
        [SB_IN_TIMER] = on_timer,     [SB_IN_UP] = on_up,     [SB_IN_DOWN] = on_down,
        [SB_IN_LOADED] = on_loaded,
    };
    struct sb_ibm_turn turn = { .state = state, .in = input, .effects = effects };
    inputs[input->kind](&turn);
    return effects->broken ? -ENOMEM : 0;
}
