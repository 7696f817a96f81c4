/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/dialects/effects.h"

#include <ctype.h>
#include <stdarg.h>

#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/driver.h"
#include "bridge/mapping/type.h"

#define TEXT_MAX_ 300 /* bytes of a message for people */

/* ---- effects ---- */

void sb_effects_set(struct sb_effects *effects, char **slot, const char *text)
{
    if (sb_set_string(slot, text) < 0)
        effects->broken = true;
}

void sb_effects_put(struct sb_effects *effects, json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value) < 0)
        effects->broken = true;
}

void sb_effects_note(struct sb_effects *effects, const char *fmt, ...)
{
    struct sb_output *output = sb_effects_add(effects, SB_OUT_NOTE);
    if (!output)
        return;
    va_list ap;
    va_start(ap, fmt);
    sb_set_vformat(&output->text, fmt, ap);
    va_end(ap);
    effects->broken = effects->broken || !output->text;
}

void sb_effects_timer(struct sb_effects *effects, const char *tag, int64_t ms)
{
    struct sb_output *output = sb_effects_add(effects, SB_OUT_TIMER);
    if (!output)
        return;
    output->value = ms;
    sb_effects_set(effects, &output->tag, tag);
}

void sb_effects_settle(struct sb_effects *effects, const char *token)
{
    struct sb_output *output = sb_effects_add(effects, SB_OUT_SETTLE);
    if (output)
        sb_effects_set(effects, &output->token, token);
}

void sb_effects_tell(struct sb_effects *effects, const char *name, const char *tag, json_t *json)
{
    struct sb_output *output = json ? sb_effects_add(effects, SB_OUT_TELL) : NULL;
    if (!output) {
        effects->broken = true;
        json_decref(json);
        return;
    }
    output->json = json;
    sb_effects_set(effects, &output->name, name);
    sb_effects_set(effects, &output->tag, tag);
}

void sb_effects_cancel(struct sb_effects *effects, int64_t task, enum sb_cause cause)
{
    struct sb_output *output = sb_effects_add(effects, SB_OUT_CANCEL);
    if (!output)
        return;
    output->task = task;
    output->cause = cause;
}

void sb_effects_look(struct sb_effects *effects, int64_t task)
{
    struct sb_output *output = task ? sb_effects_add(effects, SB_OUT_LOOK) : NULL;
    if (output)
        output->task = task;
}

void sb_effects_send(struct sb_effects *effects, const struct sb_send *send)
{
    bool whole = send->topic && (send->json || send->empty);
    struct sb_output *output = whole ? sb_effects_add(effects, SB_OUT_SEND) : NULL;
    if (!output) {
        effects->broken = true;
        free(send->topic);
        json_decref(send->json);
        return;
    }
    output->topic = send->topic;
    output->json = send->json;
    output->qos = send->qos;
    output->class = send->class;
    output->task = send->task;
    sb_effects_set(effects, &output->token, send->token);
    sb_effects_set(effects, &output->key, send->key);
    sb_effects_set(effects, &output->what, send->what);
}

void sb_effects_submit(struct sb_effects *effects, const struct sb_input *in,
                       const struct sb_submit *submit)
{
    struct sb_output *output = sb_effects_add(effects, SB_OUT_SUBMIT);
    if (!output) {
        json_decref(submit->params);
        json_decref(submit->package);
        return;
    }
    output->op = submit->op;
    output->json = submit->params;
    output->package = submit->package;
    output->policy.conflict = submit->replaces && sb_op_is_firmware(submit->op)
                                  ? SB_CONFLICT_REPLACE_UNSTARTED
                                  : SB_CONFLICT_QUEUE;
    output->policy.answer = submit->final ? SB_ANSWER_FINAL : SB_ANSWER_ACCEPTED;
    output->policy.online_timeout = sb_words_limit(in->words, "online_within");
    sb_effects_set(effects, &output->tag, submit->tag);
    sb_effects_set(effects, &output->id, submit->id);
}

/* ---- words and texts ---- */

const json_t *sb_dialect_cause_cell(const struct sb_input *in, enum sb_cause cause)
{
    return sb_words_cause(in->words, SB_ROLE_SENDS, cause, SB_PHASE_WAITING);
}

const json_t *sb_dialect_task_cell(const struct sb_input *in, const struct sb_task *task)
{
    return sb_words_cell(in->words, SB_ROLE_SENDS, task->job->op, task->state, task->cause,
                         task->phase);
}

char *sb_dialect_presentable(const char *text)
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

char *sb_dialect_task_text(const struct sb_input *in, const struct sb_task *task)
{
    const char *message = sb_json_str(sb_dialect_task_cell(in, task), "message");
    const char *cause = task->state == SB_TASK_SUCCEEDED ? "done" : sb_cause_name((int)task->cause);
    const char *text = task->text && *task->text ? task->text : message ? message : cause;
    sb_cleanup(sb_freep) char *doubt =
        sb_task_is_unproven(task) ? sb_format("%s: %s", text, sb_verify_text(task->verified))
                                  : NULL;
    return sb_dialect_presentable(doubt ? doubt : text ? text : "");
}

/* ---- judgements ---- */

bool sb_dialect_can(const struct sb_input *input, enum sb_op op)
{
    const struct sb_type *type = input->device ? input->device->type : NULL;
    if (input->self || !type || !type->driver || !sb_type_allows(type, op))
        return false;
    sb_cleanup(sb_freep) char *text = NULL;
    return type->driver->accepts(type, (int)op, NULL, &text) != SB_CAUSE_UNSUPPORTED;
}

bool sb_dialect_uri_ok(const char *uri)
{
    size_t scheme = 0;
    while (isalnum((unsigned char)uri[scheme]) ||
           (scheme > 0 && strchr("+-.", uri[scheme]) && uri[scheme]))
        scheme++;
    const char *rest = uri + scheme;
    if (scheme == 0 || !isalpha((unsigned char)uri[0]) || strncmp(rest, "://", 3) != 0 ||
        rest[3] == '\0' || strchr("/?#", rest[3]))
        return false;
    for (; *uri; uri++)
        if ((unsigned char)*uri <= ' ' || (unsigned char)*uri == 0x7f)
            return false;
    return true;
}
