/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/dialects/effects.h"

#include <ctype.h>

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

void sb_effects_note(struct sb_effects *effects, const char *fmt, va_list ap)
{
    struct sb_output *output = sb_effects_add(effects, SB_OUT_NOTE);
    if (!output)
        return;
    struct sb_str text = { 0 };
    sb_str_vformat(&text, fmt, ap);
    output->text = sb_str_take(&text);
    effects->broken = effects->broken || !output->text;
    sb_str_done(&text);
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
    struct sb_output *output = sb_effects_add(effects, SB_OUT_LOOK);
    if (output)
        output->task = task;
}

/* ---- texts ---- */

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

char *sb_dialect_task_text(const struct sb_task *task, const json_t *cell)
{
    const char *message = sb_json_str(cell, "message");
    const char *cause = task->state == SB_TASK_SUCCEEDED ? "done" : sb_cause_name((int)task->cause);
    const char *text = task->text && *task->text ? task->text : message ? message : cause;
    return sb_dialect_presentable(text ? text : "");
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
