/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/outbox/outbox.h"

#include <errno.h>

#include "bridge/base/log.h"
#include "bridge/outbox/lane.h"
#include "bridge/outbox/parcel.h"

/* ---- putting ---- */

/* The progress that a newer parcel makes pointless: never sent since it is here. */
static struct sb_item *find_superseded(const struct sb_wire *wire, const struct sb_parcel *newer)
{
    if (!newer->key)
        return NULL;
    for (struct sb_item *item = wire->last; item; item = item->before)
        if (item->state == SB_ITEM_READY && item->is.sends == 0 && wire->lane->sending != item &&
            item->is.class == SB_PARCEL_PROGRESS && sb_streq(item->is.key, newer->key))
            return item;
    return NULL;
}

/* Progress over progress keeps number and place, so that a flood of it does not push others. */
static int replace(struct sb_item *old, const struct sb_parcel *newer)
{
    struct sb_parcel copy;
    void *block = NULL;
    int r = sb_parcel_copy(newer, &copy, &block);

    if (r == 0)
        r = sb_item_write(old, &copy);
    if (r < 0) {
        free(block);
        return r;
    }
    old->lane->bytes += sb_parcel_bytes(&copy) - sb_parcel_bytes(&old->is);
    copy.id = old->is.id;
    copy.sends = 0;
    free(old->block);
    old->is = copy;
    old->block = block;
    return 0;
}

static int append(struct sb_wire *wire, const struct sb_parcel *newer, struct sb_item **ret)
{
    struct sb_lane *lane = wire->lane;
    sb_cleanup(sb_freep) struct sb_item *item = calloc(1, sizeof(*item));
    sb_cleanup(sb_freep) void *block = NULL;
    struct sb_parcel copy;
    int r = item ? sb_parcel_copy(newer, &copy, &block) : -ENOMEM;

    if (r < 0)
        return r;
    copy.id = item->is.id = sb_store_next_id(lane->outbox->store, SB_TABLE_PARCEL);
    copy.sends = 0;
    item->lane = lane;
    item->wire = wire;
    r = sb_item_write(item, &copy);
    if (r < 0)
        return r;
    item->is = copy;
    item->block = SB_STEAL(block);
    sb_lane_insert(lane, item);
    *ret = SB_STEAL(item);
    return 0;
}

static int put(struct sb_wire *wire, const struct sb_parcel *newer, struct sb_item *old,
               struct sb_item **ret)
{
    int r;

    if (old && newer->class == SB_PARCEL_PROGRESS) {
        *ret = old;
        return replace(old, newer);
    }
    r = append(wire, newer, ret);
    if (r == 0 && old)
        sb_item_drop(old, false, NULL);
    return r;
}

int sb_outbox_put(struct sb_outbox *outbox, const struct sb_parcel *parcel, int64_t *ret_id)
{
    struct sb_lane *lane = parcel->link ? sb_lane_find(outbox, parcel->link) : NULL;
    struct sb_item *old, *item = NULL;
    struct sb_wire *wire = NULL;
    int r;

    if (!lane)
        return -ENOENT;
    if (!parcel->topic || parcel->class >= SB_PARCEL_CLASS_MAX_ ||
        (parcel->size && !parcel->payload))
        return -EINVAL;
    r = sb_wire_need(lane, parcel->connection, &wire);
    if (r < 0)
        return sb_store_whole(outbox->store, r);
    old = find_superseded(wire, parcel);
    r = sb_room_choose(lane, old, sb_parcel_bytes(parcel));
    if (r == 0) {
        r = put(wire, parcel, old, &item);
        sb_room_take(lane, r < 0);
    }
    if (r < 0)
        sb_wire_tidy(wire);
    if (r == 0 && ret_id)
        *ret_id = item->is.id;
    return sb_store_whole(outbox->store, r);
}

/* ---- settling ---- */

void sb_outbox_settle(struct sb_outbox *outbox, const char *link, int64_t id)
{
    struct sb_lane *lane = sb_lane_find(outbox, link);

    for (struct sb_item *item = lane ? lane->first : NULL; item; item = item->next)
        if (item->is.id == id) {
            if (item->state != SB_ITEM_DONE && item->pending == 0)
                sb_item_settle(item);
            return;
        }
}

static struct sb_item *find_token(const struct sb_lane *lane, enum sb_item_state state,
                                  const char *device, const char *token)
{
    for (struct sb_item *item = lane->first; item; item = item->next)
        if (item->state == state && item->pending == 0 && sb_streq(item->is.token, token) &&
            sb_streq(item->is.device, device))
            return item;
    return NULL;
}

/* The answer may come late, after a reconnect or a restart, while its parcel waits to go again. */
bool sb_outbox_settle_token(struct sb_outbox *outbox, const char *link, const char *device,
                            const char *token)
{
    struct sb_lane *lane = token ? sb_lane_find(outbox, link) : NULL;
    struct sb_item *item = lane ? find_token(lane, SB_ITEM_SENT, device, token) : NULL;

    if (lane && !item)
        item = find_token(lane, SB_ITEM_READY, device, token);
    if (item)
        sb_item_settle(item);
    return item != NULL;
}

bool sb_outbox_holds(const struct sb_outbox *outbox, const char *link, int64_t id)
{
    const struct sb_lane *lane = sb_lane_find(outbox, link);
    const struct sb_item *item = lane ? lane->last : NULL;

    while (item && item->is.id != id)
        item = item->previous;
    return item && item->state == SB_ITEM_READY;
}

static bool add_settled(const struct sb_lane *lane, int64_t **list, size_t *count)
{
    for (const struct sb_item *item = lane->first; item; item = item->next) {
        if (!item->settled || !sb_item_stored(item))
            continue;
        int64_t *grown = reallocarray(*list, *count + 1, sizeof(*grown));
        if (!grown)
            return false;
        *list = grown;
        grown[(*count)++] = item->is.id;
    }
    return true;
}

/* Without memory for it some go again, as after a crash. */
int64_t *sb_outbox_settled(const struct sb_outbox *outbox, size_t *ret_count)
{
    int64_t *list = NULL;
    size_t count = 0;

    for (const struct sb_lane *lane = outbox->lanes; lane; lane = lane->next)
        if (!add_settled(lane, &list, &count))
            break;
    *ret_count = count;
    return list;
}

void sb_outbox_settle_all(struct sb_outbox *outbox, const int64_t *parcels, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (const struct sb_lane *lane = outbox->lanes; lane; lane = lane->next)
            sb_outbox_settle(outbox, lane->link, parcels[i]);
}

/*
 * Progress that is to go once more although newer of its key, or an end, went after it: the far
 * side may have had both, and would see it fall. Without memory it goes, as late as it is.
 */
static void drop_outdated(struct sb_wire *wire)
{
    struct sb_map newer = { 0 };
    struct sb_item *before;

    for (struct sb_item *item = wire->last; item; item = before) {
        before = item->before;
        if (item->state == SB_ITEM_DONE || !item->is.key || !sb_item_stored(item))
            continue;
        bool outdated = item->state == SB_ITEM_READY && item->is.class == SB_PARCEL_PROGRESS &&
                        sb_map_get(&newer, item->is.key);
        if (outdated)
            sb_item_drop(item, false, NULL); /* stored, so it is freed later */
        else if (sb_map_set(&newer, item->is.key, item) < 0)
            break;
    }
    sb_map_done(&newer);
}

/* ---- links ---- */

int sb_outbox_open(struct sb_outbox *outbox, const char *link, sb_send_fn send, void *arg)
{
    struct sb_lane *lane = NULL;
    int r = sb_lane_need(outbox, link, &lane);

    if (r < 0)
        return r;
    if (lane->send)
        return -EEXIST;
    lane->send = send;
    lane->arg = arg;
    return 0;
}

void sb_outbox_resume(struct sb_outbox *outbox, const char *link, const char *connection)
{
    struct sb_lane *lane = sb_lane_find(outbox, link);
    struct sb_wire *wire = NULL;

    if (!lane)
        return;
    if (sb_wire_need(lane, connection, &wire) < 0) {
        sb_error(SB_AT(.link = link), "outbox: out of memory: what waits for a connection stays "
                                      "until its next one");
        return;
    }
    for (struct sb_item *item = wire->up ? NULL : wire->first; item; item = item->behind)
        if (item->state == SB_ITEM_SENT)
            sb_item_again(item);
    if (!wire->up)
        drop_outdated(wire);
    wire->up = wire->served = true;
    sb_wire_wake(wire);
}

static void pause_wire(struct sb_wire *wire)
{
    struct sb_outbox *outbox = wire->lane->outbox;
    struct sb_item *next;
    bool pumping = outbox->pumping;

    wire->up = false;
    wire->not_before = 0;
    outbox->pumping = true; /* the wire stays until we are through */
    for (struct sb_item *item = wire->first; item; item = next) {
        next = item->behind;
        if (!sb_item_stored(item) && item->state != SB_ITEM_DONE)
            sb_item_drop(item, false, NULL); /* the next connect makes it anew */
    }
    outbox->pumping = pumping;
    sb_wire_tidy(wire);
}

void sb_outbox_pause(struct sb_outbox *outbox, const char *link, const char *connection)
{
    struct sb_lane *lane = sb_lane_find(outbox, link);
    struct sb_wire *wire = lane ? sb_wire_find(lane, connection) : NULL;

    if (wire)
        wire->served = true;
    if (wire)
        pause_wire(wire);
}

void sb_outbox_abandon(struct sb_outbox *outbox, const char *link, const char *connection,
                       const char *why)
{
    const struct sb_lane *lane = sb_lane_find(outbox, link);
    struct sb_item *next;

    sb_outbox_pause(outbox, link, connection); /* after which there may be none */
    struct sb_wire *wire = lane ? sb_wire_find(lane, connection) : NULL;
    for (struct sb_item *item = wire ? wire->first : NULL; item; item = next) {
        next = item->behind;
        if (item->state != SB_ITEM_DONE)
            sb_item_drop(item, true, why); /* stored, so it is freed later */
    }
}

void sb_outbox_close(struct sb_outbox *outbox, const char *link)
{
    struct sb_lane *lane = sb_lane_find(outbox, link);

    if (!lane)
        return;
    for (struct sb_wire *wire = lane->wires, *next; wire; wire = next) {
        next = wire->next;
        pause_wire(wire);
    }
    lane->send = NULL;
    lane->arg = NULL;
}

/* ---- what it looks like ---- */

bool sb_outbox_full(const struct sb_outbox *outbox, const char *link, size_t owed)
{
    struct sb_lane *lane = sb_lane_find(outbox, link);

    return lane && sb_room_full(lane, owed);
}

void sb_outbox_stats(const struct sb_outbox *outbox, const char *link, struct sb_outbox_stats *ret)
{
    const struct sb_lane *lane = sb_lane_find(outbox, link);

    *ret = (struct sb_outbox_stats){ 0 };
    if (!lane)
        return;
    ret->waiting = lane->count;
    ret->unsettled = lane->sent;
    ret->bytes = lane->bytes;
    for (const struct sb_item *item = lane->first; item; item = item->next)
        if (item->state != SB_ITEM_DONE && item->is.created &&
            (!ret->oldest || item->is.created < ret->oldest))
            ret->oldest = item->is.created;
}

/* ---- life ---- */

static int load(struct sb_outbox *outbox, const struct sb_row *row)
{
    struct sb_lane *lane = NULL;
    sb_cleanup(sb_freep) struct sb_item *item = calloc(1, sizeof(*item));
    int r = item ? sb_lane_need(outbox, row->a ? row->a : "", &lane) : -ENOMEM;

    if (r == 0)
        r = sb_parcel_from_row(row, &item->is, &item->block);
    if (r == 0)
        r = sb_wire_need(lane, item->is.connection, &item->wire);
    if (r < 0) {
        if (item)
            free(item->block);
        return r;
    }
    struct sb_wire *wire = item->wire;
    sb_lane_insert(lane, SB_STEAL(item));
    sb_wire_wake(wire);
    return 0;
}

/* One that cannot be read holds up no other. */
static int load_row(void *arg, const struct sb_row *row)
{
    int r = load(arg, row);

    if (r != -EBADMSG)
        return r;
    sb_error(SB_AT(.link = row->a), "outbox: parcel %lld in the store is not readable, left out",
             (long long)row->id);
    return 0;
}

int sb_outbox_new(struct sb_loop *loop, struct sb_store *store, struct sb_audit *audit,
                  const struct sb_outbox_limits *limits, struct sb_outbox **ret)
{
    const struct sb_query all = { .table = SB_TABLE_PARCEL, .state = -1 };
    sb_cleanup(sb_outbox_freep) struct sb_outbox *outbox = calloc(1, sizeof(*outbox));
    int r;

    if (!outbox)
        return -ENOMEM;
    outbox->loop = loop;
    outbox->store = store;
    outbox->audit = audit;
    outbox->limits = *limits;
    outbox->limits.window = SB_MAX(limits->window, 1U);
    r = sb_timer_new(loop, sb_outbox_rouse, outbox, &outbox->pump_timer);
    if (r == 0)
        r = sb_timer_new(loop, sb_outbox_retry, outbox, &outbox->retry_timer);
    if (r == 0) /* behind the store's own: what that lets go leaves in the same turn */
        r = sb_loop_on_turn_end(loop, sb_outbox_pump, outbox);
    if (r == 0)
        r = sb_store_query(store, &all, load_row, outbox);
    if (r == 0)
        *ret = SB_STEAL(outbox);
    return r;
}

struct sb_outbox *sb_outbox_free(struct sb_outbox *outbox)
{
    if (!outbox)
        return NULL;
    while (outbox->lanes) {
        struct sb_lane *lane = outbox->lanes;
        outbox->lanes = lane->next;
        sb_lane_free(lane);
    }
    sb_loop_off_turn_end(outbox->loop, sb_outbox_pump, outbox);
    sb_timer_free(outbox->pump_timer);
    sb_timer_free(outbox->retry_timer);
    free(outbox);
    return NULL;
}
