/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/dialects/alibaba/conversation.h"

#include <errno.h>

#include "adapters/dialects/alibaba/parts.h"
#include "bridge/base/str.h"

typedef void (*handler_fn)(struct sb_ali_turn *turn);

/* ---- messages ---- */

/* Who is away may have been here for what is offered alone. */
static void on_upgrade(struct sb_ali_turn *turn)
{
    if (turn->in->message->error) {
        sb_effects_note(turn->effects, "a push of firmware is %s: ignored",
                        turn->in->message->error);
        return;
    }
    sb_ali_offered(turn, turn->in->message->body, NULL);
    sb_ali_session_presence(turn);
}

static void on_firmware(struct sb_ali_turn *turn)
{
    sb_ali_firmware_reply(turn);
    sb_ali_session_presence(turn);
}

static void on_message(struct sb_ali_turn *turn)
{
    static const handler_fn kinds[] = {
        [SB_ALIBABA_REPLY] = sb_ali_family_reply,
        [SB_ALIBABA_TOPO_NOTIFY] = sb_ali_topology_notice,
        [SB_ALIBABA_TOPO_CHANGE] = sb_ali_topology_notice,
        [SB_ALIBABA_NOTICE] = sb_ali_notice,
        [SB_ALIBABA_ERROR] = sb_ali_error,
        [SB_ALIBABA_UPGRADE] = on_upgrade,
        [SB_ALIBABA_FIRMWARE] = on_firmware,
        [SB_ALIBABA_SET] = sb_ali_property_set,
        [SB_ALIBABA_GET] = sb_ali_property_get,
        [SB_ALIBABA_SERVICE] = sb_ali_service,
        [SB_ALIBABA_JOB] = sb_ali_job_notify,
        [SB_ALIBABA_JOB_NEXT] = sb_ali_job_next,
        [SB_ALIBABA_JOB_UPDATED] = sb_ali_job_updated,
        [SB_ALIBABA_CONFIG] = sb_ali_config_push,
        [SB_ALIBABA_CONFIG_GOT] = sb_ali_config_got,
        [SB_ALIBABA_FILE] = sb_ali_file_reply,
    };
    kinds[turn->in->message->kind](turn);
}

static void on_verdict(struct sb_ali_turn *turn)
{
    struct sb_ali_ask *ask = sb_ali_ask_find(turn->state, turn->in->tag);
    if (ask && ask->kind == SB_ALI_JOB)
        sb_ali_job_verdict(turn, ask);
    else if (ask)
        sb_ali_ask_verdict(turn, ask);
    else if (!sb_ali_offer_verdict(turn))
        (void)sb_ali_config_verdict(turn);
}

/* ---- news ---- */

/* Equal requests are one to the core: each is answered. */
static void asks_follow(struct sb_ali_turn *turn, const struct sb_task *task)
{
    for (size_t i = turn->state->ask_count; i-- > 0;) {
        struct sb_ali_ask *ask = &turn->state->asks[i];
        if (ask->task != task->id)
            continue;
        if (ask->kind == SB_ALI_JOB)
            sb_ali_job_follow(turn, ask, task);
        else
            sb_ali_ask_follow(turn, ask, task);
    }
}

static const struct sb_ali_ask *ask_by_task(const struct sb_ali_state *state, int64_t task)
{
    for (size_t i = 0; task && i < state->ask_count; i++)
        if (state->asks[i].task == task)
            return &state->asks[i];
    return NULL;
}

static void on_task(struct sb_ali_turn *turn, const struct sb_task *task)
{
    struct sb_ali_update *update = sb_ali_update_by_task(turn->state, task->id);
    if (update)
        sb_ali_update_follow(turn, update, task);
    asks_follow(turn, task);
    if (sb_task_state_is_final(task->state))
        sb_ali_session_presence(turn);
}

/* A task that ended while nobody here listened: say so, and do not guess. */
static void on_lost(struct sb_ali_turn *turn, int64_t id)
{
    const struct sb_ali_update *update = sb_ali_update_by_task(turn->state, id);
    const struct sb_ali_ask *ask = ask_by_task(turn->state, id);
    bool there = update && turn->in->device &&
                 sb_streq(sb_ali_version(turn, update->module), update->version);
    struct sb_job job = { .op = ask ? ask->op : SB_OP_FIRMWARE_UPDATE };
    struct sb_task task = { .id = id,
                            .job = &job,
                            .state = there ? SB_TASK_SUCCEEDED : SB_TASK_FAILED,
                            .cause = there ? SB_CAUSE_NONE : SB_CAUSE_OUTCOME_UNKNOWN };
    if (update || ask)
        on_task(turn, &task);
}

static void on_news(struct sb_ali_turn *turn)
{
    const struct sb_news *news = turn->in->news;
    if (turn->in->self || !turn->in->device)
        return;
    switch (news->kind) {
    case SB_NEWS_TASK:
        if (news->task)
            on_task(turn, news->task);
        else
            on_lost(turn, turn->in->value);
        break;
    case SB_NEWS_IDENTITY:
        sb_ali_session_name(turn);
        sb_ali_inform(turn);
        break;
    case SB_NEWS_DEVICE_ADDED:
    case SB_NEWS_PRESENCE:
        sb_ali_session_name(turn);
        sb_ali_session_presence(turn);
        break;
    case SB_NEWS_DEVICE_REMOVED:
        sb_ali_session_leave(turn);
        break;
    default:
        break;
    }
}

/* ---- the connection ---- */

static void on_up(struct sb_ali_turn *turn)
{
    sb_ali_link_lost(turn->state);
    if (turn->in->self) {
        sb_ali_family_up(turn);
        sb_ali_file_up(turn);
    } else {
        sb_ali_session_start(turn);
    }
}

static void on_down(struct sb_ali_turn *turn)
{
    static const char *const timers[] = { "request", "session", "offer", "job", "file", "config" };
    sb_ali_link_lost(turn->state);
    for (size_t i = 0; i < SB_COUNT(timers); i++)
        sb_effects_timer(turn->effects, timers[i], -1);
}

static void on_timer(struct sb_ali_turn *turn)
{
    static const struct {
        const char *tag;
        handler_fn fn;
    } timers[] = {
        { "request", sb_ali_family_due }, { "session", sb_ali_session_due },
        { "offer", sb_ali_firmware_get }, { "job", sb_ali_job_get },
        { "file", sb_ali_file_due },      { "config", sb_ali_config_get },
    };
    for (size_t i = 0; i < SB_COUNT(timers); i++)
        if (sb_streq(timers[i].tag, turn->in->tag))
            timers[i].fn(turn);
}

static void on_told(struct sb_ali_turn *turn)
{
    if (turn->in->self)
        sb_ali_family_told(turn);
    else
        sb_ali_session_told(turn);
}

/* A request whose verdict was not saved was not made: nothing waits for it. */
static void on_loaded(struct sb_ali_turn *turn)
{
    struct sb_ali_state *state = turn->state;
    for (size_t i = state->ask_count; i-- > 0;)
        if (!state->asks[i].task && !state->asks[i].reply)
            sb_ali_ask_end(turn, &state->asks[i]);
    for (size_t i = 0; i < state->update_count; i++)
        sb_effects_look(turn->effects, state->updates[i].task);
    for (size_t i = 0; i < state->ask_count; i++)
        sb_effects_look(turn->effects, state->asks[i].task);
}

int sb_alibaba_step(void *state, const struct sb_input *input, struct sb_effects *effects)
{
    static const handler_fn inputs[] = {
        [SB_IN_MESSAGE] = on_message,
        [SB_IN_NEWS] = on_news,
        [SB_IN_VERDICT] = on_verdict,
        [SB_IN_TIMER] = on_timer,
        [SB_IN_UP] = on_up,
        [SB_IN_DOWN] = on_down,
        [SB_IN_TOLD] = on_told,
        [SB_IN_LOADED] = on_loaded,
        [SB_IN_SECRET] = sb_ali_session_secret,
        [SB_IN_PULL] = sb_ali_file_pull,
    };
    struct sb_ali_turn turn = {
        .state = state, .in = input, .effects = effects, .config = input->config
    };
    turn.named = sb_alibaba_who(turn.config, input->self ? NULL : input->name, &turn.who) == 0;
    if (input->self || input->name)
        inputs[input->kind](&turn);
    return effects->broken ? -ENOMEM : 0;
}
