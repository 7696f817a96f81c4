/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The outbox: what has been promised to somebody and is not yet acknowledged.
 *
 * A parcel is one encoded message for one link. It is written in the turn's batch together with
 * what it tells of, leaves when that batch is durable, and is removed when its door settles it
 * (reply code, twin 204, HTTP 200, else PUBACK). Over restarts and outages.
 *
 * Classes: `passing` is not stored (an announcement that every connect makes anew) but waits for
 * the batch like all others; `progress` may be superseded by a newer one with the same key, in
 * place; `answer` and `final` are never dropped before their age limit.
 * Policy when full (per link: count and bytes): the oldest progress goes first; answers older
 * than answer_age go next, since nobody waits any more; a final report only after final_age, with
 * an audit record. When nothing can go, new work from that link is refused (sb_outbox_full).
 *
 * Order: parcels of one link leave in order of creation, at most `window` unsettled at a time.
 * A parcel that was sent and not settled is sent again after a reconnect, same bytes.
 * Thread: the loop.
 */
#pragma once

#include <stdint.h>

#include "bridge/audit.h"
#include "bridge/job/job.h"
#include "bridge/store/store.h"

enum sb_parcel_class { SB_PARCEL_PASSING, SB_PARCEL_PROGRESS, SB_PARCEL_ANSWER, SB_PARCEL_FINAL, SB_PARCEL_CLASS_MAX_ };
SB_NAMES_DECLARE(sb_parcel_class)

struct sb_parcel {
    int64_t id;         /* given by the outbox */
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

/* The door's side: takes one committed parcel. 0: on its way; -EAGAIN: the link is down, try
 * after sb_outbox_resume(); other errors: it can never be sent, it is dropped with an audit. */
typedef int (*sb_send_fn)(void *arg, const struct sb_parcel *parcel);

struct sb_outbox_limits {
    size_t count, bytes;             /* per link */
    int64_t answer_age, final_age;   /* ms */
    unsigned window;
};

struct sb_outbox;
int sb_outbox_new(struct sb_loop *loop, struct sb_store *store, struct sb_audit *audit,
                  const struct sb_outbox_limits *limits, struct sb_outbox **ret) SB_MUST_CHECK;
struct sb_outbox *sb_outbox_free(struct sb_outbox *outbox);
SB_DEFINE_CLEANUP(struct sb_outbox *, sb_outbox_free)
int sb_outbox_reload(struct sb_outbox *outbox) SB_MUST_CHECK;

/* A door opens its lane (parcels of earlier runs are there already) and closes it. */
int sb_outbox_open(struct sb_outbox *outbox, const char *link, sb_send_fn send, void *arg)
    SB_MUST_CHECK;
void sb_outbox_close(struct sb_outbox *outbox, const char *link);
/* Copies the parcel. -EAGAIN: store not ready; -ENOSPC: full and nothing may go. */
int sb_outbox_put(struct sb_outbox *outbox, const struct sb_parcel *parcel, int64_t *ret_id)
    SB_MUST_CHECK;
void sb_outbox_settle(struct sb_outbox *outbox, const char *link, int64_t id);
/* By token; false: no such parcel. */
bool sb_outbox_settle_token(struct sb_outbox *outbox, const char *link, const char *device,
                            const char *token);
/* The link is up: unsettled parcels go (again). The link is down: hold. */
void sb_outbox_resume(struct sb_outbox *outbox, const char *link);
void sb_outbox_pause(struct sb_outbox *outbox, const char *link);
bool sb_outbox_full(const struct sb_outbox *outbox, const char *link);

struct sb_outbox_stats {
    size_t waiting, unsettled, bytes;
    int64_t oldest; /* wall ms of the oldest, 0 none */
};
void sb_outbox_stats(const struct sb_outbox *outbox, const char *link,
                     struct sb_outbox_stats *ret);
