/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The outbox: what has been promised to somebody and is not yet acknowledged.
 *
 * A parcel is one encoded message for one link. It is written in the turn's batch together with
 * what it tells of, leaves when that batch is durable, and is removed when its door settles it
 * (reply code, twin 204, HTTP 200, else PUBACK). Over restarts and outages.
 *
 * Classes: `passing` is not stored (an announcement that every connect makes anew, a refusal while
 * the store is not ready) but waits for the batch like all others; the pause of its connection
 * forgets it. `progress` that was not sent yet is superseded by a newer progress with the same key,
 * in place; an `answer` or `final` with that key takes it away and goes behind what came before.
 * Answers and finals are never dropped before their age limit.
 * Policy when full (per link: count, and bytes of payload and topic): the oldest progress goes
 * first; answers older than answer_age go next, since nobody waits any more; a final report only
 * after final_age; both with an audit record. Ages are wall time; while the clock is not set
 * nothing is old. What is on its way is not dropped. When three quarters are taken by what cannot
 * go or is owed to it, new work from that link is refused (sb_outbox_full). What waits for a link
 * that is configured no more, or for a connection of which its door has not spoken since the start
 * (its device was removed meanwhile), goes after final_age (sb_outbox_sweep).
 *
 * Order: parcels of one connection of a link leave in order of creation, at most `window`
 * unsettled at a time; connections do not wait for one another. Bounds are the link's.
 * A parcel that was sent and not settled is sent again after a reconnect, same bytes; one that was
 * settled is not, even while the store cannot write that down (a crash excepted). Nor is progress
 * behind which something with its key waits or went: nobody sees it fall.
 * A settled parcel with `what` has an audit record "told". Thread: the loop.
 */
#pragma once

#include <stdint.h>

#include "bridge/audit.h"
#include "bridge/job/job.h"
#include "bridge/store/store.h"

enum sb_parcel_class {
    SB_PARCEL_PASSING,
    SB_PARCEL_PROGRESS,
    SB_PARCEL_ANSWER,
    SB_PARCEL_FINAL,
    SB_PARCEL_CLASS_MAX_
};
SB_NAMES_DECLARE(sb_parcel_class)

struct sb_parcel {
    int64_t id; /* given by the outbox */
    const char *link;
    const char *device; /* device id or NULL */
    const char *key;    /* supersede key, or NULL */
    enum sb_parcel_class class;
    const char *connection; /* which of the door's connections; NULL: its only one */
    const char *topic;
    const void *payload;
    size_t size;
    int qos;
    const char *token; /* what the acknowledgement will name (reqId, $rid), or NULL: PUBACK */
    int64_t task;      /* 0 none; for the audit */
    const char *what;  /* "succeeded", "202": for the audit; or NULL */
    int64_t created;   /* wall ms */
    unsigned sends;    /* how often it went out */
};

/* The door's side: takes one committed parcel. 0: on its way; -EAGAIN: the connection is down, try
 * after sb_outbox_resume(); -EBUSY: it is up and takes no more now, try again soon; other errors:
 * it can never be sent, it is dropped with an audit. Called from a timer, never inside a call of
 * the door; it may call the outbox (QoS 0: settle). */
typedef int (*sb_send_fn)(void *arg, const struct sb_parcel *parcel);

struct sb_outbox_limits {
    size_t count, bytes;           /* per link */
    int64_t answer_age, final_age; /* ms */
    unsigned window;
};

struct sb_outbox;
int sb_outbox_new(struct sb_loop *loop, struct sb_store *store, struct sb_audit *audit,
                  const struct sb_outbox_limits *limits, struct sb_outbox **ret) SB_MUST_CHECK;
struct sb_outbox *sb_outbox_free(struct sb_outbox *outbox);
SB_DEFINE_CLEANUP(struct sb_outbox *, sb_outbox_free)
/*
 * When memory is made anew from the store: what the far side has, though the store cannot be told,
 * is not sent by the next outbox. Numbers to be freed by the caller (NULL: none); and what the
 * next one does with them.
 */
int64_t *sb_outbox_settled(const struct sb_outbox *outbox, size_t *ret_count);
void sb_outbox_settle_all(struct sb_outbox *outbox, const int64_t *parcels, size_t count);

/* A door opens its lane (parcels of earlier runs are there already; -EEXIST) and closes it. */
int sb_outbox_open(struct sb_outbox *outbox, const char *link, sb_send_fn send,
                   void *arg) SB_MUST_CHECK;
void sb_outbox_close(struct sb_outbox *outbox, const char *link);
/*
 * Copies the parcel. -EAGAIN: store not ready (not for passing); -ENOSPC: full and nothing may go;
 * -ENOENT: no such lane; -EINVAL: no topic; -E2BIG: too large for the store. ret_id may be NULL; it
 * is the older's number when progress superseded progress.
 */
int sb_outbox_put(struct sb_outbox *outbox, const struct sb_parcel *parcel,
                  int64_t *ret_id) SB_MUST_CHECK;
void sb_outbox_settle(struct sb_outbox *outbox, const char *link, int64_t id);
/* By token; false: no such parcel. */
bool sb_outbox_settle_token(struct sb_outbox *outbox, const char *link, const char *device,
                            const char *token);
/* It has not left yet: its batch, its connection or the window is waited for. */
bool sb_outbox_holds(const struct sb_outbox *outbox, const char *link, int64_t id);
/* A connection (NULL: the door's only one, or its own) is up: unsettled parcels go (again). It is
 * down: hold. All begin down. */
void sb_outbox_resume(struct sb_outbox *outbox, const char *link, const char *connection);
void sb_outbox_pause(struct sb_outbox *outbox, const char *link, const char *connection);
/* It will never be up again: what waits for it is dropped with an audit record. */
void sb_outbox_abandon(struct sb_outbox *outbox, const char *link, const char *connection,
                       const char *why);
/* owed: final reports that open work will bring yet. */
bool sb_outbox_full(const struct sb_outbox *outbox, const char *link, size_t owed);

/* Drops, of lanes without a door and connections without one, what is older than final_age, with an
 * audit record; at most so many. How many went. */
size_t sb_outbox_sweep(struct sb_outbox *outbox, size_t most);

struct sb_outbox_stats {
    size_t waiting, unsettled, bytes;
    int64_t oldest; /* wall ms of the oldest, 0 none */
};
void sb_outbox_stats(const struct sb_outbox *outbox, const char *link, struct sb_outbox_stats *ret);
