/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the uplink share. uplink.c has the door, uplink_line.c the connections,
 * uplink_convo.c the conversations, uplink_parcel.c what they send; each calls those behind it
 * only. Internal.
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
    struct sb_line *heard; /* an unknown device's: which brought its message */
    bool up;               /* it was told that its connection is up */
    unsigned busy;         /* steps under way */
    bool dead;             /* to be freed when they are done */
};

struct sb_flying { /* a parcel that awaits a reply */
    const struct sb_line *line;
    int64_t id;
    char *token;
    int64_t due; /* monotonic; 0: no PUBACK yet */
    struct sb_flying *next;
};

struct sb_line { /* a connection */
    struct sb_uplink *uplink;
    char *device; /* id; NULL: the link's own */
    char *name;   /* under which it logs in; NULL: the link's own */
    struct sb_mqtt *mqtt;
    bool up, ever_up; /* ever: since it was opened */
    bool backlog;
    int64_t outage;          /* ms, of the last one; -1 unknown */
    int64_t down_at;         /* monotonic */
    struct sb_timer *ending; /* its device is gone: what is under way may still go; else NULL */
};

struct sb_uplink {
    struct sb_door door; /* first */
    const struct sb_dialect_ops *dialect;
    const void *config;
    struct sb_mqtt_crew *crew;
    struct sb_line *own; /* NULL: only devices have connections */
    struct sb_map lines; /* those of devices, by device id */
    size_t open, lit;    /* connections; of these up */
    int64_t shown;       /* monotonic: when `link list` was told; 0 never */
    size_t shown_lit, shown_open;
    char *trouble; /* why the last one that went down did */
    struct sb_map convos;
    struct sb_convo *self;
    char *gateway; /* device id of the gateway's own record, or NULL */
    int64_t seen;  /* wall, as read back: the last sign of life of an earlier run; 0 none */
    struct sb_timer *beat, *patience;
    struct sb_timer *round; /* goes on telling the devices that the link is up */
    size_t next;            /* whom: their place in the registry */
    struct sb_timer *dial;  /* goes on opening connections */
    size_t next_dial;
    struct sb_flying *flying;
    int64_t notes_since; /* monotonic: the minute in which notes are counted */
    unsigned notes;
};

/* ---- uplink_parcel.c ---- */

/* Its device's, or the link's own; NULL: has none, or not yet. */
struct sb_line *sb_line_of(struct sb_uplink *uplink, const char *device);
int64_t sb_line_outage(const struct sb_line *line); /* NULL: -1 */
int sb_line_send(struct sb_uplink *uplink, const struct sb_parcel *parcel);
void sb_line_land_all(const struct sb_line *line); /* no reply will come */
void sb_uplink_puback(struct sb_uplink *uplink, int64_t id);
/* A parcel whose reply came: its number, or 0: none of these connections has the token. */
int64_t sb_uplink_land(struct sb_uplink *uplink, const char *token);
void sb_uplink_patience(void *arg); /* timer */

/* ---- uplink_convo.c ---- */

/* The conversation of a device, read back if need be; NULL: the device has no name here. */
struct sb_convo *sb_convo_find(struct sb_uplink *uplink, const struct sb_device *device);
/* The same, ready to be spoken to: first of all it hears that its connection is up. */
struct sb_convo *sb_convo_ready(struct sb_uplink *uplink, const struct sb_device *device);
struct sb_convo *sb_convo_self(struct sb_uplink *uplink); /* or NULL without memory */
/* Tells that its connection is up, if it is and was not told. True: it was told now. */
bool sb_convo_greet(struct sb_convo *convo);
/* One that knows nothing and is not kept; for a name nobody has. */
struct sb_convo *sb_convo_stranger(struct sb_uplink *uplink, const char *name,
                                   struct sb_line *heard);
struct sb_convo *sb_convo_free(struct sb_convo *convo); /* deferred while it is at work */
/* Steps with the facts filled in and carries the effects out. input: kind and what belongs to it.
 */
void sb_convo_step(struct sb_convo *convo, struct sb_input *input);
void sb_convo_save(struct sb_convo *convo);

/* ---- uplink_line.c ---- */

#define SB_UPLINK_STEP 100 /* ms between two groups of devices that connect, or are told of it */

int sb_uplink_lines_init(struct sb_uplink *uplink) SB_MUST_CHECK;
void sb_uplink_lines_done(struct sb_uplink *uplink);
int64_t sb_uplink_pace(const struct sb_uplink *uplink); /* devices of a group */
/* Opens what the device (NULL: the link itself) should have, or renews it under a new name. */
int sb_line_need(struct sb_uplink *uplink, const struct sb_device *device) SB_MUST_CHECK;
void sb_line_end(struct sb_uplink *uplink, const char *device); /* its device is gone */
