/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "adapters/dialects/azure/parts.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"

void sb_azure_now(struct sb_azure_turn *turn, json_t *object, const char *key)
{
    if (turn->in->wall < SB_CLOCK_UNSET_BEFORE)
        return;
    sb_cleanup(sb_freep) char *text = sb_time_iso8601(turn->in->wall);
    if (!text)
        turn->effects->broken = true;
    else
        sb_effects_put(turn->effects, object, key, json_string(text));
}

void sb_azure_send(struct sb_azure_turn *turn, const struct sb_azure_parcel *parcel)
{
    sb_effects_send(turn->effects,
                    &(struct sb_send){ .topic = parcel->topic,
                                       .json = parcel->payload,
                                       .empty = true,
                                       .qos = parcel->qos,
                                       /* each connect makes anew what is of use then */
                                       .class = SB_PARCEL_PASSING,
                                       .token = parcel->token,
                                       .what = parcel->what,
                                       .task = parcel->task });
}

void sb_azure_submit(struct sb_azure_turn *turn, const char *tag, enum sb_op op, bool final,
                     json_t *params, json_t *package)
{
    sb_effects_submit(turn->effects, turn->in,
                      &(struct sb_submit){ .tag = tag,
                                           .op = op,
                                           .final = final,
                                           .replaces = true,
                                           .params = params,
                                           .package = package });
}
