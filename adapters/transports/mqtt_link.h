/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads behind mqtt.h; for mqtt.c, mqtt_link.c, mqtt_crew.c and mqtt_paho.c.
 *
 *     loop (mqtt.c)  -- next attempt, drop, parcels -->  worker  -- calls -->  Paho
 *          ^------------ what happened (told) ------------ callbacks of Paho --'
 *
 * Why a worker for each crew: Paho holds one lock for all its clients while one of them looks a
 * name up, so a call may take as long as a dead name server likes. The loop must not wait for
 * that, and the worker looks the name up itself first, so that other crews seldom do. The links
 * of a crew go to the same place; there may be hundreds, so they share the thread.
 *
 * What is told keeps its order. Messages wait for room in the thread of Paho that brings them
 * (which makes the broker wait); outcomes never do: their memory is there from the beginning.
 * Locks: Paho's, then the crew's, then the mailbox's. No call into Paho with the crew locked.
 */
#pragma once

#include "adapters/transports/mqtt.h"

#define SB_MQTT_TRY_MS (30 * INT64_C(1000))
#define SB_MQTT_MESSAGE_MAX                                                                        \
    ((size_t)1024 * 1024) /* bytes; longer ones are dropped with a warning */

void sb_mqtt_leaks(void); /* nothing but a reason to link mqtt_leaks.c */

struct sb_mqtt_link;

struct sb_mqtt_told { /* something that happened; strings owned */
    struct sb_mqtt_told *next;
    enum sb_mqtt_event_kind kind;
    uint64_t attempt; /* UP, DOWN */
    int64_t id;       /* PUBACK, LOST */
    bool session_present;
    char *text, *topic;
    void *payload;
    size_t size;
};
struct sb_mqtt_told *sb_mqtt_told_free(struct sb_mqtt_told *told); /* returns the next */
SB_DEFINE_CLEANUP(struct sb_mqtt_told *, sb_mqtt_told_free)

struct sb_mqtt_parcel {                  /* a message on its way out */
    struct sb_mqtt_parcel *next, **back; /* among the link's */
    struct sb_mqtt_parcel *behind;       /* in the worker's queue */
    struct sb_mqtt_link *link;
    struct sb_mqtt_told *outcome; /* NULL: told */
    bool with_paho;               /* a callback, or the end of the attempt, frees it */
    char *topic;
    void *payload;
    size_t size;
    int qos;
};

struct sb_mqtt_attempt { /* one connection, from the try to its end */
    struct sb_mqtt_link *link;
    uint64_t number;
    struct sb_connect login;
    struct sb_mqtt_told *up, *down; /* NULL: told */
    void *handle;                   /* Paho's */
    char *uri, *place;              /* Paho's form; host:port */
    char *tls_reason;
    bool tls, session_present;
    size_t subscribed; /* topics that the broker has granted */
};

/* mqtt_link.c, for the loop */
int sb_mqtt_link_new(struct sb_mqtt_crew *crew, struct sb_mailbox *box,
                     struct sb_mqtt_link **ret) SB_MUST_CHECK;
/* Disconnects after giving what is unacknowledged a moment; the worker does that. */
struct sb_mqtt_link *sb_mqtt_link_free(struct sb_mqtt_link *link);
/* Takes the login data. -ENOMEM. */
int sb_mqtt_link_try(struct sb_mqtt_link *link, uint64_t number,
                     struct sb_connect *login) SB_MUST_CHECK;
void sb_mqtt_link_drop(struct sb_mqtt_link *link); /* all attempts so far; parcels are LOST */
int sb_mqtt_link_publish(struct sb_mqtt_link *link, const char *topic, const void *payload,
                         size_t n, int qos, int64_t id) SB_MUST_CHECK;
struct sb_mqtt_told *sb_mqtt_link_take(struct sb_mqtt_link *link); /* all that was told */

/* mqtt_link.c, for Paho's callbacks */
void sb_mqtt_link_tell(struct sb_mqtt_link *link, struct sb_mqtt_told *told); /* takes it */
void sb_mqtt_link_settle(struct sb_mqtt_parcel *parcel, enum sb_mqtt_event_kind kind);
void sb_mqtt_link_lose(struct sb_mqtt_link *link); /* tells LOST of each parcel; they stay */
bool sb_mqtt_link_message(struct sb_mqtt_link *link, const char *topic, const void *payload,
                          size_t n);

/* mqtt_paho.c, for the worker */
void sb_mqtt_paho_use(void); /* Paho's threads stay between these two; both may wait for them */
void sb_mqtt_paho_release(void);
struct sb_mqtt_attempt *sb_mqtt_attempt_new(struct sb_mqtt_link *link, uint64_t number,
                                            struct sb_connect *login); /* any thread */
void sb_mqtt_attempt_open(struct sb_mqtt_attempt *attempt); /* tells UP or DOWN, now or later */
int sb_mqtt_attempt_publish(struct sb_mqtt_attempt *attempt, struct sb_mqtt_parcel *parcel);
/* After it no callback comes any more. */
struct sb_mqtt_attempt *sb_mqtt_attempt_free(struct sb_mqtt_attempt *attempt);
