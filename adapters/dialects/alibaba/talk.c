/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>

#include "adapters/dialects/alibaba/parts.h"
#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/driver.h"
#include "bridge/mapping/type.h"

#define VERSION "1.0"

void sb_ali_keep(struct sb_ali_turn *turn, int r)
{
    if (r < 0)
        turn->effects->broken = true;
}

/* ---- effects ---- */

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
                 : sb_words_fill(sb_words_name(turn->in->words, parcel->base), "product",
                                 who->product, "name", who->name, "rest",
                                 parcel->rest ? parcel->rest : "", NULL);
}

void sb_ali_send(struct sb_ali_turn *turn, const struct sb_ali_parcel *parcel)
{
    if (!may_send(turn, parcel)) {
        json_decref(parcel->payload);
        return;
    }
    sb_effects_send(turn->effects,
                    &(struct sb_send){ .topic = topic_of(turn, parcel),
                                       .json = parcel->payload,
                                       .qos = parcel->qos,
                                       /* each login makes anew what is of use then */
                                       .class = SB_PARCEL_PASSING,
                                       .what = parcel->what,
                                       .task = parcel->task });
}

/* ---- envelopes ---- */

json_t *sb_ali_answer(struct sb_ali_turn *turn, const char *id, int code, const char *text,
                      json_t *data)
{
    sb_cleanup(sb_freep) char *clean = sb_dialect_presentable(text ? text : "success");
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

void sb_ali_submit(struct sb_ali_turn *turn, const char *tag, const char *id, enum sb_op op,
                   json_t *params, json_t *package)
{
    /* The platform has no word for a conflict: nothing is replaced. */
    sb_effects_submit(
        turn->effects, turn->in,
        &(struct sb_submit){
            .tag = tag, .id = id, .op = op, .final = true, .params = params, .package = package });
}

const char *sb_ali_version(const struct sb_ali_turn *turn, const char *module)
{
    return turn->in->device ? sb_json_str(turn->in->device->versions, module) : NULL;
}

bool sb_ali_operation(struct sb_ali_turn *turn, const char *name, const json_t *arguments,
                      enum sb_op *ret_op, json_t **ret_params)
{
    static const struct {
        const char *word;
        enum sb_op op;
    } known[] = {
        { "service_reboot", SB_OP_REBOOT },
        { "service_factory_reset", SB_OP_FACTORY_RESET },
        { "service_configure", SB_OP_CONFIGURE },
    };
    const struct sb_device *device = turn->in->device;
    for (size_t i = 0; i < SB_COUNT(known); i++) {
        if (!sb_streq(sb_words_name(turn->in->words, known[i].word), name))
            continue;
        *ret_op = known[i].op;
        *ret_params =
            known[i].op == SB_OP_CONFIGURE ? json_pack("{s:O}", "values", arguments) : NULL;
        return known[i].op != SB_OP_CONFIGURE || json_object_size(arguments) > 0;
    }
    if (!device || !device->type || !json_object_get(device->type->actions, name))
        return false;
    *ret_op = SB_OP_INVOKE;
    *ret_params =
        json_pack("{s:s,s:o}", "action", name, "arguments",
                  json_is_object(arguments) ? json_incref((json_t *)arguments) : json_object());
    return true;
}
