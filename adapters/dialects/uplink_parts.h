/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the two halves of the uplink share: uplink.c has the link, uplink_convo.c the
 * conversations. Internal.
 */
#pragma once

#include "adapters/dialects/uplink.h"
#include "adapters/transports/mqtt.h"
#include "bridge/base/map.h"

struct sb_uplink;

struct sb_convo_timer {
    struct sb_convo *convo;
    char *tag;
    struct sb_timer *timer;
    struct sb_convo_timer *next;
};

struct sb_convo { /* one device's, or the link's own */
    struct sb_uplink *uplink;
    char *id;   /* device id; "" the link's own; NULL: an unknown device's, not kept */
    char *name; /* in the dialect; NULL for the link's own */
    void *state;
    struct sb_convo_timer *timers;
    bool up;       /* it was told that the link is up */
    unsigned busy; /* steps under way */
    bool dead;     /* to be freed when they are done */
};

struct sb_flying { /* a parcel that awaits a reply */
    int64_t id;
    char *token;
    int64_t due; /* monotonic; 0: no PUBACK yet */
    struct sb_flying *next;
};

struct sb_uplink {
    struct sb_door door; /* first */
    const struct sb_dialect_ops *dialect;
    const void *config;
    struct sb_mqtt *mqtt;
    struct sb_map convos;
    struct sb_convo *self;
    char *gateway;    /* device id of the gateway's own record, or NULL */
    bool up, ever_up; /* ever: since this door was opened */
    bool backlog;
    int64_t outage;  /* ms, of the last one; -1 unknown */
    int64_t down_at; /* monotonic */
    int64_t seen;    /* wall, as read back: the last sign of life of an earlier run; 0 none */
    struct sb_timer *beat, *patience;
    struct sb_timer *round; /* goes on telling the devices that the link is up */
    size_t next;            /* whom: their place in the registry */
    struct sb_flying *flying;
    int64_t notes_since; /* monotonic: the minute in which notes are counted */
    unsigned notes;
};

/* The conversation of a device, read back if need be; NULL: the device has no name here. */
struct sb_convo *sb_convo_find(struct sb_uplink *uplink, const struct sb_device *device);
struct sb_convo *sb_convo_self(struct sb_uplink *uplink); /* or NULL without memory */
/* Tells that the link is up, if it is and was not told. True: it was told now. */
bool sb_convo_greet(struct sb_convo *convo);
/* One that knows nothing and is not kept; for a name nobody has. */
struct sb_convo *sb_convo_stranger(struct sb_uplink *uplink, const char *name);
struct sb_convo *sb_convo_free(struct sb_convo *convo); /* deferred while it is at work */
/* Steps with the facts filled in and carries the effects out. input: kind and what belongs to it.
 */
void sb_convo_step(struct sb_convo *convo, struct sb_input *input);
void sb_convo_save(struct sb_convo *convo);
/* How long the link has been, or was, down. */
int64_t sb_uplink_outage(const struct sb_uplink *uplink);
/* A parcel whose reply came: its number, or 0: none of this connection has the token. */
int64_t sb_uplink_land(struct sb_uplink *uplink, const char *token);
