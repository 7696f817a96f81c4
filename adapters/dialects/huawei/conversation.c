/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/dialects/huawei/conversation.h"

#include <errno.h>

#include "adapters/dialects/huawei/parts.h"
#include "bridge/base/str.h"

/* ---- messages ---- */

static void on_events(struct sb_huawei_turn *turn)
{
    const struct sb_message *message = turn->in->message;
    size_t i;
    json_t *service;
    if (message->error) {
        sb_effects_note(turn->effects, "an event is ignored: %.200s", message->error);
        return;
    }
    json_array_foreach (message->body, i, service) {
        const char *id = sb_json_str(service, "service_id");
        if (sb_streq(id, SB_HUAWEI_OTA))
            sb_huawei_ota(turn, service);
        else if (sb_streq(id, SB_HUAWEI_FAMILY))
            sb_huawei_family(turn, service);
    }
}

static void on_message(struct sb_huawei_turn *turn)
{
    if (turn->in->message->kind == SB_HUAWEI_EVENTS)
        on_events(turn);
    else
        sb_huawei_request(turn);
}

static void on_verdict(struct sb_huawei_turn *turn)
{
    struct sb_huawei_ask *ask = sb_huawei_ask_find(turn->state, turn->in->tag);
    if (ask)
        sb_huawei_ask_verdict(turn, ask);
    else
        sb_huawei_ota_verdict(turn);
}

/* ---- news ---- */

static void on_task(struct sb_huawei_turn *turn)
{
    const struct sb_task *task = turn->in->news->task;
    if (task) {
        sb_huawei_ota_follow(turn, task);
        sb_huawei_asks_follow(turn, task);
        if (sb_task_state_is_final(task->state))
            sb_huawei_values(turn);
    } else if (turn->in->value && turn->in->value == turn->state->upgrade.task) {
        sb_huawei_ota_lost(turn);
    }
}

static void on_news(struct sb_huawei_turn *turn)
{
    bool known = turn->in->device || turn->in->self;
    switch (known ? turn->in->news->kind : SB_NEWS_MAX_) {
    case SB_NEWS_TASK:
        on_task(turn);
        break;
    case SB_NEWS_DEVICE_REMOVED:
        sb_huawei_asks_refuse(turn, SB_CAUSE_DEVICE_GONE);
        sb_huawei_ota_gone(turn);
        sb_huawei_leave(turn);
        break;
    case SB_NEWS_DEVICE_ADDED:
    case SB_NEWS_PRESENCE:
    case SB_NEWS_IDENTITY:
        sb_huawei_status(turn);
        sb_huawei_versions(turn, false);
        sb_huawei_values(turn);
        break;
    default:
        break;
    }
}

/* ---- the connection ---- */

static void on_up(struct sb_huawei_turn *turn)
{
    if (turn->in->self)
        sb_huawei_family_up(turn);
    else
        sb_huawei_status(turn);
}

static void on_down(struct sb_huawei_turn *turn)
{
    sb_huawei_asks_drop(turn);
    sb_huawei_link_lost(turn->state);
    sb_effects_timer(turn->effects, turn->in->self ? "family" : "values", -1);
}

static void on_timer(struct sb_huawei_turn *turn)
{
    struct sb_huawei_ask *ask = sb_huawei_ask_find(turn->state, turn->in->tag);
    if (ask)
        sb_huawei_ask_due(turn, ask);
    else if (sb_streq(turn->in->tag, SB_HUAWEI_UPGRADE))
        sb_huawei_ota_due(turn);
    else if (turn->in->self)
        sb_huawei_family_due(turn);
    else
        sb_huawei_values_due(turn);
}

static void on_told(struct sb_huawei_turn *turn)
{
    if (turn->in->self)
        sb_huawei_told_family(turn);
    else if (sb_huawei_told_device(turn))
        sb_huawei_ota_resume(turn);
}

static void on_loaded(struct sb_huawei_turn *turn)
{
    if (turn->state->upgrade.task)
        sb_effects_look(turn->effects, turn->state->upgrade.task);
}

typedef void (*handler_fn)(struct sb_huawei_turn *turn);

int sb_huawei_step(void *state, const struct sb_input *input, struct sb_effects *effects)
{
    static const handler_fn inputs[] = {
        [SB_IN_MESSAGE] = on_message, [SB_IN_NEWS] = on_news,     [SB_IN_VERDICT] = on_verdict,
        [SB_IN_TIMER] = on_timer,     [SB_IN_UP] = on_up,         [SB_IN_DOWN] = on_down,
        [SB_IN_TOLD] = on_told,       [SB_IN_LOADED] = on_loaded,
    };
    struct sb_huawei_turn turn = {
        .state = state, .in = input, .effects = effects, .config = input->config
    };
    inputs[input->kind](&turn);
    if (!effects->broken)
        return 0;
    sb_huawei_upgrade_clear(&turn.state->asked); /* nothing is submitted, no timer is set */
    turn.state->due = 0;
    return -ENOMEM;
}
