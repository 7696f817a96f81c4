/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/dialects/huawei/parts.h"
#include "bridge/base/str.h"

void sb_huawei_note(struct sb_huawei_turn *turn, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    sb_effects_note(turn->effects, fmt, ap);
    va_end(ap);
}

const char *sb_huawei_word(const struct sb_huawei_turn *turn, const char *name)
{
    return sb_words_name(turn->in->words, name);
}

int64_t sb_huawei_limit(const struct sb_huawei_turn *turn, const char *name)
{
    return sb_words_limit(turn->in->words, name);
}

const char *sb_huawei_who(const struct sb_huawei_turn *turn)
{
    return turn->in->name && !turn->in->self ? turn->in->name : turn->config->id;
}

void sb_huawei_send(struct sb_huawei_turn *turn, const struct sb_huawei_parcel *parcel)
{
    struct sb_output *output = sb_effects_add(turn->effects, SB_OUT_SEND);
    if (!output) {
        json_decref(parcel->payload);
        return;
    }
    output->json = parcel->payload;
    output->qos = 1;
    output->class = parcel->class;
    output->task = parcel->task;
    output->topic = sb_words_fill(sb_huawei_word(turn, parcel->word), "id", turn->config->id,
                                  "request", parcel->request ? parcel->request : "", NULL);
    sb_effects_set(turn->effects, &output->what, parcel->what);
    if (parcel->superseding)
        output->key = sb_format("upgrade:%s", sb_huawei_who(turn));
    if (!output->json || !output->topic || (parcel->superseding && !output->key))
        turn->effects->broken = true;
}

void sb_huawei_send_event(struct sb_huawei_turn *turn, const char *service, const char *type,
                          const char *id, json_t *paras)
{
    const char *device = sb_streq(service, SB_HUAWEI_FAMILY) ? NULL : sb_huawei_who(turn);
    sb_huawei_send(turn,
                   &(struct sb_huawei_parcel){
                       .word = "topic_event",
                       .payload = sb_huawei_event(device, service, type, id, turn->in->wall, paras),
                       .class = SB_PARCEL_PASSING });
}

void sb_huawei_submit(struct sb_huawei_turn *turn, const char *tag, const char *id, enum sb_op op,
                      json_t *params, json_t *package)
{
    struct sb_output *output = sb_effects_add(turn->effects, SB_OUT_SUBMIT);
    bool firmware = sb_op_is_firmware(op);
    if (!output) {
        json_decref(params);
        json_decref(package);
        return;
    }
    output->op = op;
    output->json = params;
    output->package = package;
    output->policy.conflict = firmware ? SB_CONFLICT_REPLACE_UNSTARTED : SB_CONFLICT_QUEUE;
    output->policy.answer = firmware ? SB_ANSWER_ACCEPTED : SB_ANSWER_FINAL;
    output->policy.online_timeout = sb_huawei_limit(turn, "online_within");
    sb_effects_set(turn->effects, &output->tag, tag);
    sb_effects_set(turn->effects, &output->id, id);
}

const json_t *sb_huawei_cause_cell(const struct sb_huawei_turn *turn, enum sb_cause cause)
{
    return sb_words_cause(turn->in->words, SB_ROLE_SENDS, cause, SB_PHASE_WAITING);
}

const json_t *sb_huawei_task_cell(const struct sb_huawei_turn *turn, const struct sb_task *task)
{
    return sb_words_cell(turn->in->words, SB_ROLE_SENDS, task->job->op, task->state, task->cause,
                         task->phase);
}

bool sb_huawei_is_ready(const struct sb_huawei_turn *turn)
{
    const struct sb_device *device = turn->in->device;
    return turn->in->self || (device && device->presence == SB_PRESENCE_READY);
}

const char *sb_huawei_version(const struct sb_huawei_turn *turn, const char *module)
{
    const struct sb_device *device = turn->in->device;
    const char *version = device ? sb_json_str(device->versions, module ? module : "") : NULL;
    return !version && turn->in->self && !module ? SB_VERSION : version;
}
