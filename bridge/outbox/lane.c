/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/outbox/lane.h"

#include <errno.h>

#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "bridge/outbox/parcel.h"

#define RETRY_MS SB_SECOND /* a removal that could not be stored */
#define BUSY_MS  SB_SECOND /* a connection that takes no more now */

bool sb_item_stored(const struct sb_item *item)
{
    return item->is.class != SB_PARCEL_PASSING;
}

static void on_durable(void *arg, int error);
static void on_removed(void *arg, int error);

/* ---- lanes ---- */

struct sb_lane *sb_lane_find(const struct sb_outbox *outbox, const char *link)
{
    for (struct sb_lane *lane = outbox->lanes; lane; lane = lane->next)
        if (strcmp(lane->link, link) == 0)
            return lane;
    return NULL;
}

int sb_lane_need(struct sb_outbox *outbox, const char *link, struct sb_lane **ret)
{
    struct sb_lane *lane = sb_lane_find(outbox, link);

    if (!lane) {
        lane = calloc(1, sizeof(*lane));
        if (!lane || sb_set_string(&lane->link, link) < 0) {
            free(lane);
            return -ENOMEM;
        }
        lane->outbox = outbox;
        lane->next = outbox->lanes;
        outbox->lanes = lane;
    }
    *ret = lane;
    return 0;
}

/* ---- wires ---- */

struct sb_wire *sb_wire_find(const struct sb_lane *lane, const char *name)
{
    if (name)
        return sb_map_get(&lane->by_name, name);
    for (struct sb_wire *wire = lane->wires; wire; wire = wire->next)
        if (!wire->name)
            return wire;
    return NULL;
}

int sb_wire_need(struct sb_lane *lane, const char *name, struct sb_wire **ret)
{
    struct sb_wire *wire = sb_wire_find(lane, name);

    if (!wire) {
        wire = calloc(1, sizeof(*wire));
        if (!wire || sb_set_string(&wire->name, name) < 0 ||
            (name && sb_map_set(&lane->by_name, name, wire) < 0)) {
            if (wire)
                free(wire->name);
            free(wire);
            return -ENOMEM;
        }
        wire->lane = lane;
        wire->next = lane->wires;
        lane->wires = wire;
    }
    *ret = wire;
    return 0;
}

void sb_wire_tidy(struct sb_wire *wire)
{
    struct sb_lane *lane = wire->lane;
    struct sb_wire **at = &lane->wires;

    if (wire->up || wire->first || !wire->name || lane->outbox->pumping)
        return;
    while (*at != wire)
        at = &(*at)->next;
    *at = wire->next;
    (void)sb_map_take(&lane->by_name, wire->name);
    free(wire->name);
    free(wire);
}

void sb_wire_wake(struct sb_wire *wire)
{
    struct sb_outbox *outbox = wire->lane->outbox;

    wire->dirty = wire->lane->dirty = true;
    if (outbox->awake)
        return;
    outbox->awake = true;
    sb_timer_in(outbox->pump_timer, 0);
}

static void join_wire(struct sb_item *item)
{
    struct sb_wire *wire = item->wire;
    struct sb_item *after = wire->last;

    while (after && after->is.id > item->is.id)
        after = after->before;
    item->before = after;
    item->behind = after ? after->behind : wire->first;
    *(after ? &after->behind : &wire->first) = item;
    *(item->behind ? &item->behind->before : &wire->last) = item;
}

static void leave_wire(struct sb_item *item)
{
    struct sb_wire *wire = item->wire;

    *(item->before ? &item->before->behind : &wire->first) = item->behind;
    *(item->behind ? &item->behind->before : &wire->last) = item->before;
    sb_wire_tidy(wire);
}

/* Where its number belongs: at the end, but for what a start reads in another order. */
void sb_lane_insert(struct sb_lane *lane, struct sb_item *item)
{
    struct sb_item *after = lane->last;

    while (after && after->is.id > item->is.id)
        after = after->previous;
    item->lane = lane;
    item->previous = after;
    item->next = after ? after->next : lane->first;
    *(after ? &after->next : &lane->first) = item;
    *(item->next ? &item->next->previous : &lane->last) = item;
    lane->count++;
    lane->bytes += sb_parcel_bytes(&item->is);
    join_wire(item);
}

void sb_lane_free(struct sb_lane *lane)
{
    while (lane->first)
        sb_item_forget(lane->first);
    for (struct sb_wire *wire = lane->wires, *next; wire; wire = next) {
        next = wire->next;
        free(wire->name);
        free(wire);
    }
    sb_map_done(&lane->by_name);
    free(lane->link);
    free(lane);
}

void sb_item_again(struct sb_item *item)
{
    item->wire->unsettled--;
    item->lane->sent--;
    item->state = SB_ITEM_READY;
}

/* It counts no more: settled, dropped or lost. */
static void leave(struct sb_item *item)
{
    struct sb_lane *lane = item->lane;

    if (item->state == SB_ITEM_DONE)
        return;
    if (item->state == SB_ITEM_SENT)
        sb_item_again(item);
    item->state = SB_ITEM_DONE;
    lane->count--;
    lane->bytes -= sb_parcel_bytes(&item->is);
}

void sb_item_forget(struct sb_item *item)
{
    struct sb_lane *lane = item->lane;

    leave(item);
    if (item->pending > 0)
        sb_store_forget(lane->outbox->store, on_durable, item);
    if (item->removing)
        sb_store_forget(lane->outbox->store, on_removed, item);
    *(item->previous ? &item->previous->next : &lane->first) = item->next;
    *(item->next ? &item->next->previous : &lane->last) = item->previous;
    leave_wire(item);
    free(item->block);
    free(item);
}

/* ---- writing ---- */

static int put_row(const struct sb_item *item, const struct sb_parcel *is)
{
    sb_cleanup(json_decrefp) json_t *body = sb_parcel_body(is);

    if (!body)
        return -ENOMEM;
    return sb_store_put(item->lane->outbox->store, SB_TABLE_PARCEL,
                        &(struct sb_row){ .id = item->is.id,
                                          .a = is->link,
                                          .b = is->key,
                                          .state = (int)is->class,
                                          .time = is->created,
                                          .body = body });
}

/* Nobody would hear of it, so it must not be there. (Should this fail too, the turn fails.) */
static int unput_row(const struct sb_item *item)
{
    bool was_there = item->is.topic != NULL;

    return was_there
               ? put_row(item, &item->is)
               : sb_store_remove(item->lane->outbox->store, SB_TABLE_PARCEL, item->is.id, NULL);
}

int sb_item_write(struct sb_item *item, const struct sb_parcel *is)
{
    bool stored = is->class != SB_PARCEL_PASSING;
    int r = stored ? put_row(item, is) : 0;

    if (r < 0)
        return r;
    r = sb_store_then(item->lane->outbox->store, on_durable, item);
    if (r < 0)
        return stored && unput_row(item) < 0 ? -ENOMEM : r;
    item->pending++;
    return 0;
}

/* ---- the end of a parcel ---- */

static char *audit_subject(const struct sb_parcel *is)
{
    if (is->task)
        return sb_format("task %lld", (long long)is->task);
    return is->device ? sb_format("device %s", is->device) : sb_format("link %s", is->link);
}

static int audit_end(const struct sb_item *item)
{
    struct sb_outbox *outbox = item->lane->outbox;
    const struct sb_parcel *is = &item->is;
    sb_cleanup(sb_freep) char *subject = NULL;
    sb_cleanup(json_decrefp) json_t *detail = NULL;

    if (!item->verb)
        return 0;
    subject = audit_subject(is);
    detail = json_pack("{s:s,s:s,s:o,s:s*,s:s*,s:s*}", "link", is->link, "class",
                       sb_parcel_class_name((int)is->class), "topic", sb_json_string(is->topic),
                       "device", is->device, "what", is->what, "why", item->why);
    if (!subject || !detail)
        return -ENOMEM;
    return sb_audit_add(outbox->audit, "core", item->verb, subject, sb_loop_wall(outbox->loop),
                        detail);
}

/* Audit record and removal go in one batch. */
static int store_end(struct sb_item *item)
{
    struct sb_store *store = item->lane->outbox->store;
    int r = audit_end(item);

    if (r == 0)
        r = sb_store_remove(store, SB_TABLE_PARCEL, item->is.id, NULL);
    return r < 0 ? r : sb_store_then(store, on_removed, item);
}

/* One that was never stored leaves nothing but its record. */
static void end_passing(struct sb_item *item)
{
    if (audit_end(item) < 0)
        sb_debug(SB_AT(.link = item->is.link), "outbox: no audit record while the store is not "
                                               "ready");
    sb_item_forget(item);
}

/*
 * An end asks for no sync of its own: forgotten in a crash, the message goes out again, as it does
 * after a crash before its acknowledgement.
 */
static void complete(struct sb_item *item)
{
    struct sb_outbox *outbox = item->lane->outbox;

    if (item->lane->sending == item)
        return; /* afterwards */
    sb_store_at_leisure(outbox->store, true);
    if (!sb_item_stored(item)) {
        end_passing(item);
    } else {
        item->removing = store_end(item) == 0;
        if (!item->removing && !sb_timer_armed(outbox->retry_timer))
            sb_timer_in(outbox->retry_timer, RETRY_MS);
    }
    sb_store_at_leisure(outbox->store, false);
}

static void on_removed(void *arg, int error)
{
    struct sb_item *item = arg;

    item->removing = false;
    if (!error)
        sb_item_forget(item);
    else if (!sb_timer_armed(item->lane->outbox->retry_timer))
        sb_timer_in(item->lane->outbox->retry_timer, RETRY_MS);
}

/* The far side has it all the same: what is DONE is not sent again, however the store fares. */
void sb_outbox_retry(void *arg)
{
    struct sb_outbox *outbox = arg;

    for (struct sb_lane *lane = outbox->lanes; lane; lane = lane->next)
        for (struct sb_item *item = lane->first; item; item = item->next)
            if (item->state == SB_ITEM_DONE && !item->removing && sb_item_stored(item))
                complete(item);
}

void sb_item_settle(struct sb_item *item)
{
    leave(item);
    item->settled = true;
    item->verb = item->is.what ? "told" : NULL;
    sb_wire_wake(item->wire); /* the window has room */
    complete(item);
}

void sb_item_drop(struct sb_item *item, bool audited, const char *why)
{
    leave(item);
    item->verb = audited ? "dropped" : NULL;
    item->why = why;
    sb_wire_wake(item->wire);
    complete(item);
}

/* ---- sending ---- */

static void unsendable(struct sb_item *item, int error)
{
    sb_warning(SB_AT(.link = item->is.link, .device = item->is.device, .task = item->is.task),
               "outbox: a message cannot be sent and is dropped: %s", strerror(-error));
    sb_item_drop(item, true, "it cannot be sent");
}

/* Nothing more goes before that time has passed. */
static void hold(struct sb_wire *wire, int64_t ms)
{
    struct sb_outbox *outbox = wire->lane->outbox;

    wire->not_before = sb_loop_now(outbox->loop) + ms;
    wire->dirty = true;
    outbox->next_pump = SB_MIN(outbox->next_pump, wire->not_before);
}

/* False: it takes no more, or is down. */
static bool send_one(struct sb_wire *wire, struct sb_item *item)
{
    struct sb_lane *lane = wire->lane;
    int r;

    lane->sending = item;
    r = lane->send(lane->arg, &item->is);
    lane->sending = NULL;
    if (r == 0)
        item->is.sends++;
    if (item->state == SB_ITEM_DONE) { /* settled or dropped meanwhile */
        complete(item);
    } else if (r == 0) {
        item->state = SB_ITEM_SENT;
        wire->unsettled++;
        lane->sent++;
    } else if (r == -EAGAIN) {
        wire->up = false;
    } else if (r == -EBUSY) {
        hold(wire, BUSY_MS);
        return false;
    } else {
        unsendable(item, r);
    }
    return wire->up;
}

/* Held back until later, and the timer is set for that. */
static bool waits(const struct sb_wire *wire, const struct sb_item *item)
{
    struct sb_outbox *outbox = wire->lane->outbox;
    int64_t left = wire->not_before ? wire->not_before - sb_loop_now(outbox->loop) : 0;

    if (left <= 0 || !sb_item_stored(item))
        return false;
    outbox->next_pump = SB_MIN(outbox->next_pump, wire->not_before);
    return true;
}

/* True: a held wire must be looked at again. */
static bool pump(struct sb_wire *wire)
{
    struct sb_lane *lane = wire->lane;
    bool held = false;
    struct sb_item *next;

    for (struct sb_item *item = wire->first;
         item && wire->up && lane->send && wire->unsettled < lane->outbox->limits.window;
         item = next) {
        next = item->behind;
        if (item->state != SB_ITEM_READY)
            continue;
        if (item->pending > 0)
            break; /* nothing overtakes it */
        if (waits(wire, item)) {
            held = true;
            continue;
        }
        if (!send_one(wire, item))
            break;
        next = wire->first; /* its door may have put, settled or dropped any */
    }
    return held;
}

static void pump_lane(struct sb_lane *lane)
{
    lane->dirty = false;
    for (struct sb_wire *wire = lane->wires; wire; wire = wire->next) {
        if (!wire->dirty)
            continue;
        wire->dirty = false;
        wire->dirty = pump(wire) || wire->dirty;
        lane->dirty = lane->dirty || wire->dirty;
    }
}

static void tidy_lane(struct sb_lane *lane)
{
    for (struct sb_wire *wire = lane->wires, *next; wire; wire = next) {
        next = wire->next;
        sb_wire_tidy(wire);
    }
}

void sb_outbox_rouse(void *arg)
{
    struct sb_outbox *outbox = arg;

    outbox->awake = true;
}

void sb_outbox_pump(void *arg)
{
    struct sb_outbox *outbox = arg;

    if (!outbox->awake)
        return;
    outbox->awake = false;
    sb_timer_stop(outbox->pump_timer);
    outbox->next_pump = INT64_MAX;
    outbox->pumping = true;
    for (struct sb_lane *lane = outbox->lanes; lane; lane = lane->next)
        if (lane->dirty)
            pump_lane(lane);
    outbox->pumping = false;
    for (struct sb_lane *lane = outbox->lanes; lane; lane = lane->next)
        tidy_lane(lane);
    if (outbox->next_pump != INT64_MAX && !outbox->awake)
        sb_timer_at(outbox->pump_timer, outbox->next_pump);
}

static void on_durable(void *arg, int error)
{
    struct sb_item *item = arg;

    item->pending--;
    if (error && item->state != SB_ITEM_DONE)
        sb_item_forget(item); /* what the store still has, the next outbox reads there */
    else
        sb_wire_wake(item->wire);
}
