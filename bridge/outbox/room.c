/* SPDX-License-Identifier: Apache-2.0 */
/* The outbox's bounds: who may be dropped, and when a link has to wait. */
#include <errno.h>

#include "bridge/base/log.h"
#include "bridge/outbox/lane.h"
#include "bridge/outbox/parcel.h"

#define OWED_BYTES ((size_t)512) /* of one final report */

/* Who goes first when there is no room; 0: nobody may drop it. */
static int rank(const struct sb_item *item, int64_t wall)
{
    const struct sb_outbox *outbox = item->lane->outbox;
    int64_t age = wall && item->is.created ? wall - item->is.created : 0;

    if (item->state == SB_ITEM_DONE || (item->state == SB_ITEM_SENT && item->wire->up))
        return 0;
    switch (item->is.class) {
    case SB_PARCEL_PASSING:
        return item->wire->up ? 0 : 1;
    case SB_PARCEL_PROGRESS:
        return 1;
    case SB_PARCEL_ANSWER:
        return age > outbox->limits.answer_age ? 2 : 0;
    case SB_PARCEL_FINAL:
        return age > outbox->limits.final_age ? 3 : 0;
    case SB_PARCEL_CLASS_MAX_:
        break;
    }
    return 0;
}

/* Made before the clock was set: such a parcel ages from when it is. */
static void date(struct sb_lane *lane, int64_t wall)
{
    for (struct sb_item *item = lane->first; wall && item; item = item->next)
        if (!item->is.created)
            item->is.created = wall;
}

static bool fits(const struct sb_outbox_limits *limits, size_t count, size_t bytes)
{
    return count <= limits->count && bytes <= limits->bytes;
}

/* What is dropped only with an audit record. */
static bool is_kept(const struct sb_item *item)
{
    return item->is.class == SB_PARCEL_ANSWER || item->is.class == SB_PARCEL_FINAL;
}

/* Why nobody will ever send it; NULL: somebody will. */
static const char *is_deserted(const struct sb_item *item)
{
    if (!item->lane->send)
        return "its link is configured no more";
    return item->wire->name && !item->wire->served ? "its connection is there no more" : NULL;
}

size_t sb_outbox_sweep(struct sb_outbox *outbox, size_t most)
{
    int64_t wall = sb_loop_wall(outbox->loop);
    size_t dropped = 0;

    for (struct sb_lane *lane = outbox->lanes; lane && wall; lane = lane->next) {
        struct sb_item *next;
        date(lane, wall);
        for (struct sb_item *item = lane->first; item && dropped < most; item = next) {
            const char *why = is_deserted(item);
            next = item->next;
            if (!why || item->state == SB_ITEM_DONE ||
                wall - item->is.created <= outbox->limits.final_age)
                continue;
            sb_item_drop(item, is_kept(item), why);
            dropped++;
        }
    }
    return dropped;
}

static void drop_victim(struct sb_item *item)
{
    bool kept = is_kept(item);

    if (kept)
        sb_warning(SB_AT(.link = item->is.link, .device = item->is.device, .task = item->is.task),
                   "outbox: full; a message older than its age limit is dropped (%s)",
                   item->is.what ? item->is.what : "no outcome in it");
    sb_item_drop(item, kept, "the outbox is full and it is older than its age limit");
}

void sb_room_take(struct sb_lane *lane, bool spare)
{
    struct sb_item *next;

    for (struct sb_item *item = lane->first; item && lane->victims; item = next) {
        next = item->next;
        if (!item->victim)
            continue;
        item->victim = false;
        lane->victims--;
        if (!spare)
            drop_victim(item);
    }
}

/* The least that must go, in order of rank, within a rank the oldest first. */
int sb_room_choose(struct sb_lane *lane, const struct sb_item *old, size_t bytes)
{
    const struct sb_outbox *outbox = lane->outbox;
    int64_t wall = sb_loop_wall(outbox->loop);
    size_t count = lane->count + (old ? 0 : 1);

    bytes += lane->bytes - (old ? sb_parcel_bytes(&old->is) : 0);
    if (fits(&outbox->limits, count, bytes))
        return 0;
    date(lane, wall);
    for (int wanted = 1; wanted <= 3; wanted++)
        for (struct sb_item *item = lane->first; item; item = item->next) {
            if (item == old || rank(item, wall) != wanted)
                continue;
            item->victim = true;
            lane->victims++;
            count--;
            bytes -= sb_parcel_bytes(&item->is);
            if (fits(&outbox->limits, count, bytes))
                return 0;
        }
    sb_room_take(lane, true);
    return -ENOSPC;
}

/* Full at three quarters, with what is owed: answers and progress need room as well. */
bool sb_room_full(struct sb_lane *lane, size_t owed)
{
    struct sb_outbox_limits bar = lane->outbox->limits;
    int64_t wall = sb_loop_wall(lane->outbox->loop);
    size_t count = owed, bytes = owed * OWED_BYTES;

    bar.count -= (bar.count + 3) / 4;
    bar.bytes -= (bar.bytes + 3) / 4;
    if (fits(&bar, lane->count + count, lane->bytes + bytes))
        return false;
    date(lane, wall);
    for (const struct sb_item *item = lane->first; item; item = item->next)
        if (item->state != SB_ITEM_DONE && rank(item, wall) == 0) {
            count++;
            bytes += sb_parcel_bytes(&item->is);
        }
    return !fits(&bar, count, bytes);
}
