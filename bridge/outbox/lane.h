/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The insides of the outbox: a lane per link, with what waits in it, and in each lane a wire per
 * connection of its door, which sends on its own. For the outbox only.
 *
 *     READY --send--> SENT --settle--> DONE --removal is durable--> forgotten
 *       ^------resume---+
 *
 * An item is READY from the start but leaves only when nothing pends on it; nothing overtakes it.
 * DONE covers what was settled and what was dropped. Such an item is never sent again, even while
 * the store cannot write its removal: that is tried again every second.
 *
 * A door's send function may call the outbox; what it has in hand is not freed under it. All
 * sending happens at the end of a turn, never inside a call of a door.
 */
#pragma once

#include "bridge/base/map.h"
#include "bridge/outbox/outbox.h"

enum sb_item_state { SB_ITEM_READY, SB_ITEM_SENT, SB_ITEM_DONE };

struct sb_item {
    struct sb_item *next, *previous; /* in the lane */
    struct sb_item *behind, *before; /* on the wire */
    struct sb_lane *lane;
    struct sb_wire *wire;
    struct sb_parcel is;
    void *block; /* what `is` points to */
    enum sb_item_state state;
    unsigned pending; /* commits it waits for: its own and those of what superseded it */
    bool settled;     /* DONE: the far side has it */
    bool removing;    /* DONE: its removal is in a batch */
    bool victim;      /* chosen to make room */
    const char *verb; /* DONE: for the audit, NULL none; constants */
    const char *why;
};

struct sb_wire { /* gone when it is down and nothing is on it */
    struct sb_wire *next;
    struct sb_lane *lane;
    char *name; /* sb_parcel.connection; NULL: the door's only one, or its own */
    bool up, dirty;
    bool served; /* its door has spoken of it: it is not of a device that has gone meanwhile */
    int64_t not_before;           /* monotonic: nothing is sent earlier, but passing; 0 none */
    struct sb_item *first, *last; /* in order of number */
    unsigned unsettled;           /* SENT */
};

struct sb_lane {
    struct sb_lane *next;
    struct sb_outbox *outbox;
    char *link;
    sb_send_fn send; /* NULL: closed */
    void *arg;
    struct sb_wire *wires;
    struct sb_map by_name;        /* wires that have a name */
    struct sb_item *first, *last; /* in order of number */
    struct sb_item *sending;      /* its door has it in hand */
    size_t count, bytes;          /* of those not DONE */
    size_t victims;               /* chosen to make room */
    unsigned sent;                /* SENT, on all wires */
    bool dirty;                   /* some wire is */
};

struct sb_outbox {
    struct sb_loop *loop;
    struct sb_store *store;
    struct sb_audit *audit;
    struct sb_outbox_limits limits;
    struct sb_lane *lanes; /* never freed before the outbox: there are as many as links */
    struct sb_timer *pump_timer; /* brings a turn's end */
    bool awake;                  /* at the next one it pumps */
    bool pumping;                /* no wire may go */
    int64_t next_pump;           /* while pumping: when a held wire may go on */
    struct sb_timer *retry_timer;
};

struct sb_lane *sb_lane_find(const struct sb_outbox *outbox, const char *link); /* NULL: none */
int sb_lane_need(struct sb_outbox *outbox, const char *link, struct sb_lane **ret) SB_MUST_CHECK;
void sb_wire_wake(struct sb_wire *wire); /* send what may go, soon */
struct sb_wire *sb_wire_find(const struct sb_lane *lane, const char *name); /* NULL: none */
int sb_wire_need(struct sb_lane *lane, const char *name, struct sb_wire **ret) SB_MUST_CHECK;
void sb_wire_tidy(struct sb_wire *wire); /* frees it if it is of no use */
/* Where its number belongs; item->wire is set. */
void sb_lane_insert(struct sb_lane *lane, struct sb_item *item);
void sb_lane_free(struct sb_lane *lane); /* and all that is in it */

/*
 * Writes `is` into the turn's batch under the item's number (passing ones are not written) and
 * holds the item until that is durable. item->lane is set.
 */
int sb_item_write(struct sb_item *item, const struct sb_parcel *is) SB_MUST_CHECK;
bool sb_item_stored(const struct sb_item *item); /* the store has or gets it */
void sb_item_settle(struct sb_item *item);
void sb_item_drop(struct sb_item *item, bool audited, const char *why);
void sb_item_forget(struct sb_item *item); /* frees it; the store is not told */
void sb_item_again(struct sb_item *item);  /* SENT: it has to be sent once more */

/* arg is the outbox. */
void sb_outbox_pump(void *arg);  /* at the end of a turn */
void sb_outbox_rouse(void *arg); /* timers */
void sb_outbox_retry(void *arg);

/*
 * Room. Chooses whom to drop for a parcel of these bytes, `old` being replaced by it;
 * sb_room_take() then drops the chosen, or spares them. -ENOSPC: nobody may go.
 */
int sb_room_choose(struct sb_lane *lane, const struct sb_item *old, size_t bytes) SB_MUST_CHECK;
void sb_room_take(struct sb_lane *lane, bool spare);
bool sb_room_full(struct sb_lane *lane, size_t owed); /* for new work */
