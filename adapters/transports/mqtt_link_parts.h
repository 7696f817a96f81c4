/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between mqtt_link.c (what the loop and Paho's callbacks leave at a link) and mqtt_crew.c (the
 * worker that comes for it). Nobody else includes this.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "adapters/transports/mqtt_link.h"

struct sb_mqtt_crew {
    atomic_uint refs; /* the loop's and the worker's */
    pthread_t thread;

    pthread_mutex_t mutex; /* guards all below, and the links */
    pthread_cond_t work;   /* for the worker */
    pthread_cond_t room;   /* for messages; and for the end of the worker */
    bool closing, done;
    struct sb_mqtt_link *links;              /* all of them */
    struct sb_mqtt_link *ready, **ready_end; /* those with something to do */
};

struct sb_mqtt_link { /* freed by the worker only */
    struct sb_mqtt_crew *crew;
    struct sb_mqtt_link *next_link, **back; /* in crew->links */
    struct sb_mqtt_link *after;             /* in crew->ready */
    bool is_ready;
    struct sb_mailbox *box; /* a reference: it may be closed */
    bool news;              /* the loop is to be told with the next unlock() */
    bool closing;
    struct timespec last; /* closing: what is unacknowledged has until then */

    struct sb_mqtt_attempt *open; /* the worker's */
    struct sb_mqtt_attempt *next; /* to be opened */
    bool drop;                    /* close the one that is open */

    struct sb_mqtt_parcel *parcels, **parcels_end; /* all of them */
    struct sb_mqtt_parcel *queue, **queue_end;
    size_t parcel_count, parcel_bytes;
    size_t window_count, window_bytes; /* with Paho */

    struct sb_mqtt_told *told, **told_end;
    size_t message_count, message_bytes;
};

struct timespec sb_mqtt_deadline(long ms); /* of the monotonic clock */

/* All with the crew locked. */
void sb_mqtt_link_wake(struct sb_mqtt_link *link); /* the worker is to look at it */
/* The loop is woken afterwards: it would wake into a locked mutex. The link may be gone by then. */
void sb_mqtt_link_unlock(struct sb_mqtt_link *link);
void sb_mqtt_parcel_tell(struct sb_mqtt_parcel *parcel, enum sb_mqtt_event_kind kind); /* once */
void sb_mqtt_parcel_drop(struct sb_mqtt_parcel *parcel);
