/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>

#include "adapters/dialects/alibaba/parts.h"
#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/driver.h"
#include "bridge/mapping/type.h"

#define TEXT_MAX_ 200 /* bytes of a message for people */
#define VERSION   "1.0"

void sb_ali_set(struct sb_ali_turn *turn, char **slot, const char *text)
{
    if (sb_set_string(slot, text) < 0)
        turn->effects->broken = true;
}

void sb_ali_keep(struct sb_ali_turn *turn, int r)
{
    if (r < 0)
        turn->effects->broken = true;
}

/* ---- effects ---- */

void sb_ali_note(struct sb_ali_turn *turn, const char *fmt, ...)
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

void sb_ali_timer(struct sb_ali_turn *turn, const char *tag, int64_t ms)
{
    struct sb_output *output = sb_effects_add(turn->effects, SB_OUT_TIMER);
    if (!output)
        return;
    output->value = ms;
    sb_ali_set(turn, &output->tag, tag);
}

/* A sub-device's topics are legal while it is logged in. */
static bool may_send(const struct sb_ali_turn *turn, const struct sb_ali_parcel *parcel)
{
    bool gateway = turn->in->self || parcel->gateway;
    return turn->in->connected && (gateway || turn->state->stage == SB_ALI_IN || !turn->in->device);
}

static char *topic_of(struct sb_ali_turn *turn, const struct sb_ali_parcel *parcel)
{
    struct sb_alibaba_who gateway = { 0 };
    int r = parcel->gateway ? sb_alibaba_who(turn->config, NULL, &gateway) : 0;
    const struct sb_alibaba_who *who = parcel->gateway ? &gateway : &turn->who;
    return r < 0 ? NULL
                 : sb_words_fill(sb_ali_word(turn, parcel->base), "product", who->product, "name",
                                 who->name, "rest", parcel->rest ? parcel->rest : "", NULL);
}

void sb_ali_send(struct sb_ali_turn *turn, const struct sb_ali_parcel *parcel)
{
    if (!may_send(turn, parcel)) {
        json_decref(parcel->payload);
        return;
    }
    char *topic = topic_of(turn, parcel);
    struct sb_output *output =
        topic && parcel->payload ? sb_effects_add(turn->effects, SB_OUT_SEND) : NULL;
    if (!output) {
        turn->effects->broken = true;
        free(topic);
        json_decref(parcel->payload);
        return;
    }
    output->topic = topic;
    output->json = parcel->payload;
    output->qos = parcel->qos;
    output->class = SB_PARCEL_PASSING; /* each login makes anew what is of use then */
    output->task = parcel->task;
    sb_ali_set(turn, &output->what, parcel->what);
}

/* ---- envelopes ---- */

json_t *sb_ali_answer(struct sb_ali_turn *turn, const char *id, int code, const char *text,
                      json_t *data)
{
    sb_cleanup(sb_freep) char *clean = sb_ali_presentable(text ? text : "success");
    json_t *answer = json_pack("{s:s,s:i,s:o,s:s}", "id", id ? id : "", "code", code, "data",
                               data ? data : json_object(), "message", clean ? clean : "");
    turn->effects->broken = turn->effects->broken || !answer;
    return answer;
}

void sb_ali_reply(struct sb_ali_turn *turn, const char *rest, json_t *answer, int64_t task)
{
    sb_cleanup(sb_freep) char *whole = sb_format("%s_reply", rest);
    sb_cleanup(sb_freep) char *what = sb_format("%d", (int)sb_json_int(answer, "code", 0));
    turn->effects->broken = turn->effects->broken || !whole || !what;
    sb_ali_send(turn, &(struct sb_ali_parcel){ .base = "topic_sys",
                                               .rest = whole,
                                               .what = what,
                                               .payload = answer,
                                               .qos = 1,
                                               .task = task });
}

json_t *sb_ali_request(struct sb_ali_turn *turn, const char *method, json_t *params, char **ret_id)
{
    char *id = sb_format("%" PRIu32, ++turn->state->ids);
    json_t *request = json_pack("{s:s*,s:s,s:o}", "id", id, "version", VERSION, "params", params);
    if (!id || !request || sb_json_put_str(request, "method", method) < 0)
        turn->effects->broken = true;
    if (ret_id)
        *ret_id = id;
    else
        free(id);
    return request;
}

/* ---- the core ---- */

void sb_ali_tell(struct sb_ali_turn *turn, const char *name, const char *tag, json_t *json)
{
    struct sb_output *output = json ? sb_effects_add(turn->effects, SB_OUT_TELL) : NULL;
    if (!output) {
        turn->effects->broken = true;
        json_decref(json);
        return;
    }
    output->json = json;
    sb_ali_set(turn, &output->name, name);
    sb_ali_set(turn, &output->tag, tag);
}

void sb_ali_submit(struct sb_ali_turn *turn, const char *tag, const char *id, enum sb_op op,
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
    output->policy.conflict = SB_CONFLICT_QUEUE; /* the platform has no word for a conflict */
    output->policy.answer = SB_ANSWER_FINAL;
    output->policy.online_timeout = sb_ali_limit(turn, "online_within");
    sb_ali_set(turn, &output->tag, tag);
    sb_ali_set(turn, &output->id, id);
}

void sb_ali_withdraw(struct sb_ali_turn *turn, int64_t task, enum sb_cause cause)
{
    struct sb_output *output = sb_effects_add(turn->effects, SB_OUT_CANCEL);
    if (!output)
        return;
    output->task = task;
    output->cause = cause;
}

void sb_ali_look(struct sb_ali_turn *turn, int64_t task)
{
    struct sb_output *output = task ? sb_effects_add(turn->effects, SB_OUT_LOOK) : NULL;
    if (output)
        output->task = task;
}

const char *sb_ali_version(const struct sb_ali_turn *turn, const char *module)
{
    return turn->in->device ? sb_json_str(turn->in->device->versions, module) : NULL;
}

bool sb_ali_can(const struct sb_ali_turn *turn, enum sb_op op)
{
    const struct sb_device *device = turn->in->device;
    const struct sb_type *type = device ? device->type : NULL;
    if (turn->in->self || !type || !type->driver || !sb_type_allows(type, op))
        return false;
    sb_cleanup(sb_freep) char *text = NULL;
    return type->driver->accepts(type, (int)op, NULL, &text) != SB_CAUSE_UNSUPPORTED;
}

/* ---- words ---- */

const char *sb_ali_word(const struct sb_ali_turn *turn, const char *name)
{
    return sb_words_name(turn->in->words, name);
}

int64_t sb_ali_limit(const struct sb_ali_turn *turn, const char *name)
{
    return sb_words_limit(turn->in->words, name);
}

const json_t *sb_ali_cause_cell(const struct sb_ali_turn *turn, enum sb_cause cause)
{
    return sb_words_cause(turn->in->words, SB_ROLE_SENDS, cause, SB_PHASE_WAITING);
}

const json_t *sb_ali_task_cell(const struct sb_ali_turn *turn, const struct sb_task *task)
{
    return sb_words_cell(turn->in->words, SB_ROLE_SENDS, task->job->op, task->state, task->cause,
                         task->phase);
}

/* Redacted, which makes it valid UTF-8 as well. */
char *sb_ali_presentable(const char *text)
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

char *sb_ali_task_text(const struct sb_ali_turn *turn, const struct sb_task *task)
{
    const char *cell = sb_json_str(sb_ali_task_cell(turn, task), "message");
    const char *cause = task->state == SB_TASK_SUCCEEDED ? "done" : sb_cause_name((int)task->cause);
    const char *text = task->text && *task->text ? task->text : cell ? cell : cause;
    return sb_ali_presentable(text ? text : "");
}
