/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/dialects/azure/conversation.h"

#include <errno.h>

#include "adapters/dialects/azure/parts.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"

#define RENEW_TIMER "renew"
#define RENEW_AGAIN (2 * SB_SECOND)  /* while an answer is owed, or may wait for the store */
#define RENEW_LAST  (30 * SB_SECOND) /* before the end of the token: whatever is owed */

/* ---- messages ---- */

static void on_message(struct sb_azure_turn *turn)
{
    switch (turn->in->message->kind) {
    case SB_AZURE_METHOD:
        sb_azure_method(turn);
        break;
    case SB_AZURE_RESULT:
        sb_azure_result(turn);
        break;
    case SB_AZURE_DESIRED:
        sb_azure_desired(turn);
        break;
    default:
        break;
    }
}

static void on_verdict(struct sb_azure_turn *turn)
{
    struct sb_azure_ask *ask = sb_azure_ask_find(turn->state, turn->in->tag);
    if (ask)
        sb_azure_method_verdict(turn, ask);
    else if (sb_azure_wish_verdict(turn))
        sb_azure_report(turn);
}

/* ---- news ---- */

static void on_task(struct sb_azure_turn *turn, const struct sb_task *task, bool own)
{
    bool final = sb_task_state_is_final(task->state);
    sb_azure_follow(turn, task, own);
    if (own) {
        if (final)
            sb_azure_await_end(turn, task->id);
        else
            (void)sb_azure_await(turn, task->id, task->job->op);
        sb_azure_wishes_follow(turn, task);
        sb_azure_asks_follow(turn, task);
        if (final)
            sb_azure_ended(turn, task->id, sb_task_state_name((int)task->state));
    }
    sb_azure_report(turn);
}

/* A task that ended while nobody here listened: say so, and do not guess. */
static void on_lost(struct sb_azure_turn *turn, int64_t id)
{
    struct sb_azure_state *state = turn->state;
    const struct sb_azure_open *open = sb_azure_awaits(state, id);
    struct sb_job job = { .op = open ? open->op : SB_OP_FIRMWARE_UPDATE };
    struct sb_task task = {
        .id = id, .job = &job, .state = SB_TASK_FAILED, .cause = SB_CAUSE_OUTCOME_UNKNOWN
    };
    if (open || state->moving == id)
        on_task(turn, &task, true);
}

/* The gateway's own record may go; the twin stays, and with it the devices that are in it. */
static void on_removed(struct sb_azure_turn *turn)
{
    if (turn->in->self)
        sb_azure_report(turn);
    else
        sb_azure_leave(turn);
}

static void on_told(struct sb_azure_turn *turn)
{
    if (sb_azure_told(turn))
        sb_azure_report(turn);
}

static void on_news(struct sb_azure_turn *turn)
{
    const struct sb_news *news = turn->in->news;
    bool known = turn->in->device || turn->in->self;
    switch (known ? news->kind : SB_NEWS_MAX_) {
    case SB_NEWS_TASK:
        if (news->task)
            on_task(turn, news->task, true);
        else
            on_lost(turn, turn->in->value);
        break;
    case SB_NEWS_FIRMWARE:
        if (news->task)
            on_task(turn, news->task, false);
        break;
    case SB_NEWS_DEVICE_REMOVED:
        on_removed(turn);
        break;
    case SB_NEWS_DEVICE_ADDED:
    case SB_NEWS_PRESENCE:
    case SB_NEWS_IDENTITY:
        sb_azure_report(turn);
        break;
    default:
        break;
    }
}

/* ---- the connection ---- */

static void on_renew(struct sb_azure_turn *turn)
{
    struct sb_azure_state *state = turn->state;
    bool fresh = state->answered > 0 && turn->in->now - state->answered < RENEW_AGAIN;
    bool owed = fresh || state->ask_count > 0 || state->patch_id || state->get_id;
    if (owed && turn->in->now < state->renew_last)
        sb_effects_timer(turn->effects, RENEW_TIMER, RENEW_AGAIN);
    else
        (void)sb_effects_add(turn->effects, SB_OUT_RENEW);
}

static void on_up(struct sb_azure_turn *turn)
{
    int64_t life = sb_words_limit(turn->in->words, "token_lifetime");
    int64_t before = SB_MIN(sb_words_limit(turn->in->words, "renew_before"), life / 2);
    if (turn->child) {
        sb_azure_report(turn);
        return;
    }
    sb_azure_read(turn);
    if (!turn->config->key)
        return; /* a certificate needs no renewal here: the next try reads the file */
    turn->state->renew_last = turn->in->now + SB_MAX(life - RENEW_LAST, life - before);
    sb_effects_timer(turn->effects, RENEW_TIMER, life - before);
}

static void on_down(struct sb_azure_turn *turn)
{
    sb_azure_asks_drop(turn);
    sb_azure_link_lost(turn->state);
    sb_effects_timer(turn->effects, "twin", -1);
    sb_effects_timer(turn->effects, RENEW_TIMER, -1);
}

static void on_timer(struct sb_azure_turn *turn)
{
    const char *tag = turn->in->tag;
    struct sb_azure_ask *ask = sb_azure_ask_find(turn->state, tag);
    if (ask)
        sb_azure_ask_due(turn, ask);
    else if (sb_streq(tag, "twin"))
        sb_azure_twin_due(turn);
    else if (sb_streq(tag, RENEW_TIMER))
        on_renew(turn);
    else {
        sb_azure_wish_due(turn);
        sb_azure_report(turn);
    }
}

static void on_loaded(struct sb_azure_turn *turn)
{
    struct sb_azure_state *state = turn->state;
    sb_azure_wishes_loaded(turn);
    sb_azure_alone(turn);
    for (size_t i = 0; i < state->task_count; i++)
        sb_effects_look(turn->effects, state->tasks[i].task);
    if (state->moving && !sb_azure_awaits(state, state->moving))
        sb_effects_look(turn->effects, state->moving);
}

typedef void (*handler_fn)(struct sb_azure_turn *turn);

int sb_azure_step(void *state, const struct sb_input *input, struct sb_effects *effects)
{
    static const handler_fn inputs[] = {
        [SB_IN_MESSAGE] = on_message, [SB_IN_NEWS] = on_news,     [SB_IN_VERDICT] = on_verdict,
        [SB_IN_TIMER] = on_timer,     [SB_IN_UP] = on_up,         [SB_IN_DOWN] = on_down,
        [SB_IN_TOLD] = on_told,       [SB_IN_LOADED] = on_loaded,
    };
    const struct sb_azure_config *config = input->config;
    struct sb_azure_turn turn = { .state = state,
                                  .in = input,
                                  .effects = effects,
                                  .config = config,
                                  .child = config->mode == SB_AZURE_GATEWAY && !input->self };
    inputs[input->kind](&turn);
    return effects->broken ? -ENOMEM : 0;
}
