/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "adapters/dialects/azure/parts.h"
#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "bridge/driver.h"
#include "bridge/mapping/type.h"

#define TEXT_MAX_ 300 /* bytes of a message for people */

void sb_azure_set(struct sb_azure_turn *turn, char **slot, const char *text)
{
    if (sb_set_string(slot, text) < 0)
        turn->effects->broken = true;
}

void sb_azure_put(struct sb_azure_turn *turn, json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value) < 0)
        turn->effects->broken = true;
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
    struct sb_output *output = sb_effects_add(turn->effects, SB_OUT_NOTE);
    if (!output)
        return;
    struct sb_str text = { 0 };
    va_list ap;
    va_start(ap, fmt);
    sb_str_vformat(&text, fmt, ap);
    va_end(ap);
    output->text = sb_str_take(&text);
    turn->effects->broken = turn->effects->broken || !output->text;
    sb_str_done(&text);
}

void sb_azure_timer(struct sb_azure_turn *turn, const char *tag, int64_t ms)
{
    struct sb_output *output = sb_effects_add(turn->effects, SB_OUT_TIMER);
    if (!output)
        return;
    output->value = ms;
    sb_azure_set(turn, &output->tag, tag);
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
    struct sb_output *output = sb_effects_add(turn->effects, SB_OUT_SETTLE);
    if (output)
        sb_azure_set(turn, &output->token, token);
}

void sb_azure_tell(struct sb_azure_turn *turn, const char *name, const char *tag, json_t *json)
{
    struct sb_output *output = json ? sb_effects_add(turn->effects, SB_OUT_TELL) : NULL;
    if (!output) {
        turn->effects->broken = true;
        json_decref(json);
        return;
    }
    output->json = json;
    sb_azure_set(turn, &output->name, name);
    sb_azure_set(turn, &output->tag, tag);
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
    struct sb_output *output = sb_effects_add(turn->effects, SB_OUT_CANCEL);
    if (!output)
        return;
    output->task = task;
    output->cause = cause;
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

/* Redacted, which makes it valid UTF-8 as well. */
char *sb_azure_presentable(const char *text)
{
    char *clean = sb_redact(text);
    size_t length = clean ? strlen(clean) : 0;
    if (length <= TEXT_MAX_)
        return clean;
    for (length = TEXT_MAX_; length > 0 && ((unsigned char)clean[length] & 0xc0) == 0x80;)
        length--;
    clean[length] = '\0';
    return clean;
}

char *sb_azure_task_text(const struct sb_azure_turn *turn, const struct sb_task *task)
{
    const char *cell = sb_json_str(sb_azure_task_cell(turn, task), "message");
    const char *cause = task->state == SB_TASK_SUCCEEDED ? "done" : sb_cause_name((int)task->cause);
    const char *text = task->text && *task->text ? task->text : cell ? cell : cause;
    return sb_azure_presentable(text ? text : "");
}

bool sb_azure_can(const struct sb_azure_turn *turn, enum sb_op op)
{
    const struct sb_device *device = turn->in->device;
    const struct sb_type *type = device ? device->type : NULL;
    if (turn->in->self || !type || !type->driver || !sb_type_allows(type, op))
        return false;
    sb_cleanup(sb_freep) char *text = NULL;
    return type->driver->accepts(type, (int)op, NULL, &text) != SB_CAUSE_UNSUPPORTED;
}
