/* SPDX-License-Identifier: Apache-2.0 */
/* Which connection is whose, and what is on its way on it. */
#include <errno.h>

#include "adapters/dialects/uplink_parts.h"
#include "bridge/base/log.h"

static struct sb_loop *loop_of(const struct sb_uplink *uplink)
{
    return sb_host_loop(uplink->door.host);
}

/* One that is to have its own, and has it not yet, must not speak on the link's. */
struct sb_line *sb_line_of(struct sb_uplink *uplink, const char *device)
{
    const struct sb_dialect_ops *dialect = uplink->dialect;
    if (!device || !*device)
        return uplink->own;
    struct sb_line *line = sb_map_get(&uplink->lines, device);
    const struct sb_device *record =
        line || !dialect->has_connection ? NULL : sb_host_device(uplink->door.host, device);
    bool waits = record && dialect->has_connection(uplink->config, record);
    return line || waits ? line : uplink->own;
}

int64_t sb_line_outage(const struct sb_line *line)
{
    if (!line)
        return -1;
    if (line->up)
        return line->outage;
    const struct sb_uplink *uplink = line->uplink;
    int64_t wall = sb_loop_wall(loop_of(uplink));
    if (line->ever_up)
        return sb_loop_now(loop_of(uplink)) - line->down_at;
    /* A clock that was set back in between tells nothing. */
    return uplink->seen > 0 && wall >= uplink->seen ? wall - uplink->seen : -1;
}

/* ---- parcels ---- */

static void flying_free(struct sb_flying *flying)
{
    free(flying->token);
    free(flying);
}

int64_t sb_uplink_land(struct sb_uplink *uplink, const char *token)
{
    for (struct sb_flying **at = &uplink->flying; *at; at = &(*at)->next) {
        struct sb_flying *flying = *at;
        if (!sb_streq(flying->token, token))
            continue;
        int64_t id = flying->id;
        *at = flying->next;
        flying_free(flying);
        return id;
    }
    return 0;
}

void sb_line_land_all(const struct sb_line *line)
{
    struct sb_uplink *uplink = line->uplink;
    for (struct sb_flying **at = &uplink->flying; *at;) {
        struct sb_flying *flying = *at;
        if (flying->line != line) {
            at = &flying->next;
            continue;
        }
        *at = flying->next;
        flying_free(flying);
    }
    if (!uplink->flying && uplink->patience)
        sb_timer_stop(uplink->patience);
}

static int take_off(struct sb_line *line, const struct sb_parcel *parcel)
{
    struct sb_flying *flying = calloc(1, sizeof(*flying));
    if (!flying || !(flying->token = strdup(parcel->token))) {
        free(flying);
        return -ENOMEM;
    }
    flying->line = line;
    flying->id = parcel->id;
    flying->next = line->uplink->flying;
    line->uplink->flying = flying;
    return 0;
}

int sb_line_send(struct sb_uplink *uplink, const struct sb_parcel *parcel)
{
    struct sb_line *line =
        parcel->connection ? sb_map_get(&uplink->lines, parcel->connection) : uplink->own;
    if (!line || !line->up)
        return -EAGAIN;
    bool awaits = parcel->token && sb_words_limit(uplink->door.words, "reply_timeout") > 0;
    int r = awaits ? take_off(line, parcel) : 0;
    r = r ? r
          : sb_mqtt_publish(line->mqtt, parcel->topic, parcel->payload, parcel->size, parcel->qos,
                            parcel->id);
    if (r == -ENOMEM || r == -ENOBUFS)
        r = -EBUSY; /* it can be sent, later */
    if (r < 0 && awaits)
        (void)sb_uplink_land(uplink, parcel->token);
    return r;
}

static struct sb_flying *flying_of(struct sb_uplink *uplink, int64_t id)
{
    struct sb_flying *flying = uplink->flying;
    while (flying && flying->id != id)
        flying = flying->next;
    return flying;
}

void sb_uplink_puback(struct sb_uplink *uplink, int64_t id)
{
    struct sb_flying *flying = flying_of(uplink, id);
    if (!flying) {
        sb_host_settle(uplink->door.host, &uplink->door, id);
        return;
    }
    int64_t wait = sb_words_limit(uplink->door.words, "reply_timeout");
    flying->due = sb_loop_now(loop_of(uplink)) + wait;
    if (!sb_timer_armed(uplink->patience))
        sb_timer_in(uplink->patience, wait);
}

/* No reply came: the broker has the message, and that has to do. */
void sb_uplink_patience(void *arg)
{
    struct sb_uplink *uplink = arg;
    int64_t now = sb_loop_now(loop_of(uplink)), next = INT64_MAX;
    for (struct sb_flying **at = &uplink->flying; *at;) {
        struct sb_flying *flying = *at;
        if (flying->due == 0 || flying->due > now) {
            next = flying->due > 0 ? SB_MIN(next, flying->due) : next;
            at = &flying->next;
            continue;
        }
        *at = flying->next;
        sb_info(SB_AT(.link = uplink->door.link), "no reply to %s: taken as delivered",
                flying->token);
        sb_host_settle(uplink->door.host, &uplink->door, flying->id);
        flying_free(flying);
    }
    if (next != INT64_MAX)
        sb_timer_at(uplink->patience, next);
}
