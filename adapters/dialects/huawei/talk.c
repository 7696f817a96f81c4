/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/dialects/huawei/parts.h"
#include "bridge/base/str.h"

const char *sb_huawei_who(const struct sb_huawei_turn *turn)
{
    return turn->in->name && !turn->in->self ? turn->in->name : turn->config->id;
}

void sb_huawei_send(struct sb_huawei_turn *turn, const struct sb_huawei_parcel *parcel)
{
    sb_cleanup(sb_freep) char *key =
        parcel->superseding ? sb_format("upgrade:%s", sb_huawei_who(turn)) : NULL;
    const char *pattern = sb_words_name(turn->in->words, parcel->word);
    if (parcel->superseding && !key)
        turn->effects->broken = true;
    sb_effects_send(
        turn->effects,
        &(struct sb_send){ .topic = sb_words_fill(pattern, "id", turn->config->id, "request",
                                                  parcel->request ? parcel->request : "", NULL),
                           .json = parcel->payload,
                           .qos = 1,
                           .class = parcel->class,
                           .key = key,
                           .what = parcel->what,
                           .task = parcel->task });
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
    sb_effects_submit(turn->effects, turn->in,
                      &(struct sb_submit){ .tag = tag,
                                           .id = id,
                                           .op = op,
                                           .final = !sb_op_is_firmware(op),
                                           .replaces = true,
                                           .params = params,
                                           .package = package });
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
