/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door contract: jobs come in, reports go out. An uplink (we are a gateway in somebody's
 * cloud), later a platform door (we are the cloud), and the native door (CLI).
 *
 * A door turns foreign messages into calls of the host and the host's news into parcels. All of
 * it within one turn: what a message changes and what it owes are in the same batch. A door holds
 * no job state of its own: what it must remember of a conversation it saves through the host.
 *
 * Thread: the loop; no call blocks.
 */
#pragma once

#include <stdint.h>

#include "bridge/base/json.h"
#include "bridge/config/schema.h"
#include "bridge/device/device.h"
#include "bridge/intake/intake.h"
#include "bridge/job/job.h"
#include "bridge/loop.h"
#include "bridge/mapping/words.h"
#include "bridge/news.h"
#include "bridge/outbox/outbox.h"
#include "bridge/reach.h"
#include "bridge/supply.h"

struct sb_host; /* the core, as a door sees it: host.c */
struct sb_door; /* one configured link; each adapter embeds it as its first member */

struct sb_door_ops {
    const char *dialect; /* "ibm" */
    const char *role;    /* "uplink" */
    const struct sb_dialect_shape *shape;
    const struct sb_field *fields; /* of the link's section */
    size_t size;
    /* Beyond the table: findings about one link's settings; may be NULL. Pure. */
    void (*check)(const void *config, const struct sb_yaml *yaml, struct sb_diags *diags);
    const void *adapter; /* the adapter's own, for the calls that are given the ops */
    int (*open)(const struct sb_door_ops *ops, struct sb_host *host, const char *link,
                const void *config, const struct sb_words *words,
                struct sb_door **ret); /* does not connect yet */
    void (*start)(struct sb_door *door);
    void (*hear)(struct sb_door *door, const struct sb_news *news);
    int (*send)(struct sb_door *door, const struct sb_parcel *parcel); /* see sb_send_fn */
    void (*close)(struct sb_door *door);
    /* A package's bytes that the door itself has (a URI "stream:..."): they come, or why not, by
     * sb_host_supply(). One download at a time; its latest pull replaces the one before. While the
     * link is down it waits. -errno: they never will. May be NULL: it has no such packages. */
    int (*pull)(struct sb_door *door, const struct sb_pull *pull);
    /* The gateway's own name in the dialect, which no device may have; NULL: it has none, or no
     * memory. Caller frees. May be NULL. */
    char *(*own_name)(const void *config);
    /* For doctor: the server that the link needs. 0, or -errno with a text (a secret that cannot
     * be read). May be NULL. Reads files. */
    int (*reach)(const struct sb_door_ops *ops, const void *config, const struct sb_words *words,
                 int64_t wall, struct sb_reach *ret, char **ret_error);
};

struct sb_door {
    const struct sb_door_ops *ops;
    struct sb_host *host;
    char *link;
    const struct sb_words *words;
    /* For `link list`; kept by sb_host_link(). */
    bool up;
    char *state_text; /* "connected", "connection refused: not authorised; next try in 8s" */
    int64_t since;    /* wall ms of the last change */
};

/* ---- what the host offers ---- */

/* 0 with a verdict (also of refusal), or -ENOMEM. All in this turn's batch. */
int sb_host_submit(struct sb_host *host, struct sb_door *door, const struct sb_request *request,
                   struct sb_verdict *ret) SB_MUST_CHECK;
int sb_host_cancel(struct sb_host *host, struct sb_door *door, int64_t id, enum sb_cause cause)
    SB_MUST_CHECK; /* -ENOENT, -EPERM, -EALREADY (final), -EBUSY (past its commit point) */
/* Changes an open job. -ENOENT, -EINVAL with a text to be freed, -EAGAIN; -EPERM: it may not
 * command each of the devices that the job touches. */
int sb_host_edit(struct sb_host *host, struct sb_door *door, int64_t id,
                 const struct sb_edit *edit, char **ret_text) SB_MUST_CHECK;
const struct sb_task *sb_host_task(struct sb_host *host, int64_t task); /* open ones; or NULL */

const struct sb_device *sb_host_device(struct sb_host *host, const char *id);
const struct sb_device *sb_host_find(struct sb_host *host, const char *dialect, const char *name);
const struct sb_device *sb_host_device_at(struct sb_host *host, size_t index); /* NULL: end */
/* Sets device->facts[name] (location, metadata, deviceInfo); -E2BIG. Borrows. */
int sb_host_set_fact(struct sb_host *host, struct sb_door *door, const char *id, const char *name,
                     const json_t *value) SB_MUST_CHECK;
/* Drops the staged image of a device. -ENOENT, -EPERM. */
int sb_host_unstage(struct sb_host *host, struct sb_door *door, const char *id) SB_MUST_CHECK;
/* Name and version of the staged package, for a dialect's view; borrowed; NULL: nothing staged. */
const struct sb_package *sb_host_staged(struct sb_host *host, const struct sb_device *device);

/* An answer to ops->pull(); bytes borrowed. */
void sb_host_supply(struct sb_host *host, struct sb_door *door, const struct sb_piece *piece);

/* A conversation's state, saved in the turn's batch; NULL removes it. Borrows. */
int sb_host_save(struct sb_host *host, struct sb_door *door, const char *device,
                 const json_t *state) SB_MUST_CHECK;
json_t *sb_host_saved(struct sb_host *host, struct sb_door *door, const char *device); /* new ref */

int sb_host_put(struct sb_host *host, struct sb_door *door,
                struct sb_parcel *parcel) SB_MUST_CHECK; /* fills link and created */
void sb_host_settle(struct sb_host *host, struct sb_door *door, int64_t parcel);
bool sb_host_settle_token(struct sb_host *host, struct sb_door *door, const char *device,
                          const char *token);
/* The link went up or down: `link list`, audit and log follow. Of many connections: when the
 * first one is up, and when none is. */
void sb_host_link(struct sb_host *host, struct sb_door *door, bool up, const char *text);
/* A connection (sb_parcel.connection; NULL: the door's own) went up or down: the outbox follows.
 * `gone`: it will not come back, what waits for it is dropped with an audit record. */
void sb_host_connection(struct sb_host *host, struct sb_door *door, const char *connection,
                        bool up);
void sb_host_connection_gone(struct sb_host *host, struct sb_door *door, const char *connection);
/* False: new work cannot be taken now (store or outbox); the text says why. */
bool sb_host_ready(struct sb_host *host, struct sb_door *door, const char **ret_why);
/* False: the store takes no changes. When it does again all is built anew from it: what a door
 * holds in memory until then is gone. */
bool sb_host_durable(struct sb_host *host);
/*
 * A message that was worked on just now. If what it caused is lost with its batch, the answer too,
 * or the refusal that it got cannot leave, the door hears the message again: sb_host_recall() when
 * the connection (NULL: the door's own) is up. Copies; best effort.
 */
void sb_host_keep(struct sb_host *host, struct sb_door *door, const char *connection,
                  const char *topic, const void *payload, size_t n);
typedef void (*sb_recall_fn)(void *arg, const char *topic, const void *payload, size_t n);
void sb_host_recall(struct sb_host *host, struct sb_door *door, const char *connection,
                    sb_recall_fn fn, void *arg);
struct sb_loop *sb_host_loop(struct sb_host *host);
