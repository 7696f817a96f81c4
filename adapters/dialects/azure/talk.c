/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "adapters/dialects/azure/parts.h"
#include "adapters/dialects/effects.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"

void sb_azure_set(struct sb_azure_turn *turn, char **slot, const char *text)
{
    sb_effects_set(turn->effects, slot, text);
}

void sb_azure_put(struct sb_azure_turn *turn, json_t *object, const char *key, json_t *value)
{
    sb_effects_put(turn->effects, object, key, value);
}

void sb_azure_now(struct sb_azure_turn *turn, json_t *object, const char *key)
{
    if (turn->in->wall < SB_CLOCK_UNSET_BEFORE)
        return;
    sb_cleanup(sb_freep) char *text = sb_time_iso8601(turn->in->wall);
    if (!text)
        turn->effects->broken = true;
    else
        sb_azure_put(turn, object, key, json_string(text));
}

/* ---- effects ---- */

void sb_azure_note(struct sb_azure_turn *turn, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    sb_effects_note(turn->effects, fmt, ap);
    va_end(ap);
}

void sb_azure_timer(struct sb_azure_turn *turn, const char *tag, int64_t ms)
{
    sb_effects_timer(turn->effects, tag, ms);
}

void sb_azure_send(struct sb_azure_turn *turn, const struct sb_azure_parcel *parcel)
{
    struct sb_output *output = parcel->topic ? sb_effects_add(turn->effects, SB_OUT_SEND) : NULL;
    if (!output) {
        turn->effects->broken = true;
        free(parcel->topic);
        json_decref(parcel->payload);
        return;
    }
    output->topic = parcel->topic;
    output->json = parcel->payload;
    output->qos = parcel->qos;
    output->class = SB_PARCEL_PASSING; /* each connect makes anew what is of use then */
    output->task = parcel->task;
    sb_azure_set(turn, &output->token, parcel->token);
    sb_azure_set(turn, &output->what, parcel->what);
}

void sb_azure_settle(struct sb_azure_turn *turn, const char *token)
{
    sb_effects_settle(turn->effects, token);
}

void sb_azure_tell(struct sb_azure_turn *turn, const char *name, const char *tag, json_t *json)
{
    sb_effects_tell(turn->effects, name, tag, json);
}

void sb_azure_submit(struct sb_azure_turn *turn, const char *tag, enum sb_op op, bool final,
                     json_t *params, json_t *package)
{
    struct sb_output *output = sb_effects_add(turn->effects, SB_OUT_SUBMIT);
    if (!output) {
        json_decref(params);
        json_decref(package);
        return;
    }
    output->op = op;
    output->json = params;
    output->package = package;
    output->policy.conflict =
        sb_op_is_firmware(op) ? SB_CONFLICT_REPLACE_UNSTARTED : SB_CONFLICT_QUEUE;
    output->policy.answer = final ? SB_ANSWER_FINAL : SB_ANSWER_ACCEPTED;
    output->policy.online_timeout = sb_azure_limit(turn, "online_within");
    sb_azure_set(turn, &output->tag, tag);
}

void sb_azure_withdraw(struct sb_azure_turn *turn, int64_t task, enum sb_cause cause)
{
    sb_effects_cancel(turn->effects, task, cause);
}

/* ---- words ---- */

const char *sb_azure_word(const struct sb_azure_turn *turn, const char *name)
{
    return sb_words_name(turn->in->words, name);
}

int64_t sb_azure_limit(const struct sb_azure_turn *turn, const char *name)
{
    return sb_words_limit(turn->in->words, name);
}

const json_t *sb_azure_cause_cell(const struct sb_azure_turn *turn, enum sb_cause cause)
{
    return sb_words_cause(turn->in->words, SB_ROLE_SENDS, cause, SB_PHASE_WAITING);
}

const json_t *sb_azure_task_cell(const struct sb_azure_turn *turn, const struct sb_task *task)
{
    return sb_words_cell(turn->in->words, SB_ROLE_SENDS, task->job->op, task->state, task->cause,
                         task->phase);
}

char *sb_azure_presentable(const char *text)
{
    return sb_dialect_presentable(text);
}

char *sb_azure_task_text(const struct sb_azure_turn *turn, const struct sb_task *task)
{
    return sb_dialect_task_text(task, sb_azure_task_cell(turn, task));
}

bool sb_azure_can(const struct sb_azure_turn *turn, enum sb_op op)
{
    return sb_dialect_can(turn->in, op);
}
