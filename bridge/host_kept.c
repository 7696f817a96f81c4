/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of links until what they caused is durable; while the store fails, until their refusals,
 * which no store has, have left. If that is lost, with the answer in it, the message waits for the
 * rebuilt core, and its door hears it again once its connection is up: then it is refused with the
 * store's reason, or done, if the store is well again. One whose refusal has been sent is not heard
 * again, though that may be on its way: refused and then done would be two answers.
 */
#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "bridge/host_parts.h"

#define COUNT_MAX 1024 /* beyond these bounds nobody keeps what is lost */
#define BYTES_MAX (1024 * (size_t)1024)
#define AGE_MAX   (5 * SB_MINUTE) /* then nobody waits for an answer */
#define SWEEP_MS  SB_SECOND       /* no more often, however many come */

enum kept_state {
    KEPT_OPEN,    /* until the turn's batch is durable */
    KEPT_REFUSED, /* until its refusal has left */
    KEPT_LOST,    /* until its door hears it again */
};

struct sb_kept {
    struct sb_kept *next;
    struct sb_host *host;
    char *link, *connection, *topic;
    void *payload;
    size_t size;
    int64_t since;
    int64_t refusal; /* the last parcel that refuses it; 0: none */
    enum kept_state state;
};

static struct sb_kept *kept_free(struct sb_kept *kept)
{
    if (!kept)
        return NULL;
    free(kept->link);
    free(kept->connection);
    free(kept->topic);
    free(kept->payload);
    free(kept);
    return NULL;
}
SB_DEFINE_CLEANUP(struct sb_kept *, kept_free)

static void take_out(struct sb_host *host, struct sb_kept *kept)
{
    struct sb_kept **at = &host->kept;
    while (*at != kept)
        at = &(*at)->next;
    *at = kept->next;
    kept->next = NULL;
    host->kept_count--;
    host->kept_bytes -= kept->size;
}

static void put_in(struct sb_host *host, struct sb_kept *kept)
{
    struct sb_kept **end = &host->kept;
    while (*end)
        end = &(*end)->next;
    *end = kept;
    kept->host = host;
    host->kept_count++;
    host->kept_bytes += kept->size;
}

static bool is_old(const struct sb_host *host, const struct sb_kept *kept)
{
    return sb_loop_now(host->parts.loop) - kept->since > AGE_MAX;
}

static bool is_full(const struct sb_host *host, size_t more)
{
    return host->kept_count >= COUNT_MAX || host->kept_bytes + more > BYTES_MAX;
}

static void forget(struct sb_kept *kept)
{
    take_out(kept->host, kept);
    kept_free(kept);
}

static bool is_unsent(const struct sb_kept *kept)
{
    return sb_outbox_holds(kept->host->parts.outbox, kept->link, kept->refusal);
}

/* What has been refused, and what is lost and waits for a connection that does not come. */
static void sweep(struct sb_host *host)
{
    int64_t now = sb_loop_now(host->parts.loop);
    if (host->kept_swept && now - host->kept_swept < SWEEP_MS)
        return;
    host->kept_swept = now;
    for (struct sb_kept *kept = host->kept, *next; kept; kept = next) {
        next = kept->next;
        if ((kept->state == KEPT_LOST && is_old(host, kept)) ||
            (kept->state == KEPT_REFUSED && !is_unsent(kept)))
            forget(kept);
    }
}

static void on_settled(void *arg, int error)
{
    struct sb_kept *kept = arg;
    if (error < 0)
        kept->state = KEPT_LOST;
    else if (kept->refusal)
        kept->state = KEPT_REFUSED;
    else
        forget(kept);
}

static struct sb_kept *copy(const struct sb_door *door, const char *connection, const char *topic,
                            const void *payload, size_t n)
{
    sb_cleanup(kept_freep) struct sb_kept *kept = calloc(1, sizeof(*kept));
    if (!kept || sb_set_string(&kept->link, door->link) < 0 ||
        sb_set_string(&kept->connection, connection) < 0 ||
        sb_set_string(&kept->topic, topic) < 0 || !(kept->payload = malloc(n + 1)))
        return NULL;
    if (n > 0)
        memcpy(kept->payload, payload, n);
    kept->size = n;
    return SB_STEAL(kept);
}

void sb_host_keep(struct sb_host *host, struct sb_door *door, const char *connection,
                  const char *topic, const void *payload, size_t n)
{
    int64_t refusal = host->refusal;
    host->refusal = 0;
    if (is_full(host, n))
        sweep(host);
    if (is_full(host, n))
        return;
    struct sb_kept *kept = copy(door, connection, topic, payload, n);
    if (!kept)
        return;
    kept->since = sb_loop_now(host->parts.loop);
    kept->refusal = refusal;
    if (sb_store_then(host->parts.store, on_settled, kept) < 0)
        kept_free(kept);
    else
        put_in(host, kept);
}

static bool came_by(const struct sb_kept *kept, const struct sb_door *door, const char *connection)
{
    return strcmp(kept->link, door->link) == 0 && sb_streq(kept->connection, connection);
}

static struct sb_kept *find_lost(const struct sb_host *host, const struct sb_door *door,
                                 const char *connection)
{
    for (struct sb_kept *kept = host->kept; kept; kept = kept->next)
        if (kept->state == KEPT_LOST && came_by(kept, door, connection))
            return kept;
    return NULL;
}

void sb_host_recall(struct sb_host *host, struct sb_door *door, const char *connection,
                    sb_recall_fn fn, void *arg)
{
    struct sb_kept *kept;
    while ((kept = find_lost(host, door, connection))) {
        take_out(host, kept);
        if (!is_old(host, kept)) {
            sb_notice(SB_AT(.link = door->link), "heard again, its answer was lost: %s",
                      kept->topic);
            fn(arg, kept->topic, kept->payload, kept->size);
        }
        kept_free(kept);
    }
}

/* ---- refusals that will not leave ---- */

void sb_host_kept_down(struct sb_host *host, const struct sb_door *door, const char *connection)
{
    for (struct sb_kept *kept = host->kept; kept; kept = kept->next) {
        if (!kept->refusal || kept->state == KEPT_LOST || !came_by(kept, door, connection) ||
            !is_unsent(kept))
            continue;
        if (kept->state == KEPT_OPEN)
            sb_store_forget(host->parts.store, on_settled, kept);
        kept->state = KEPT_LOST;
    }
}

/* ---- over a rebuild ---- */

struct sb_kept *sb_host_take_lost(struct sb_host *host)
{
    struct sb_kept *lost = NULL, **end = &lost;
    for (struct sb_kept *kept = host->kept, *next; kept; kept = next) {
        next = kept->next;
        if (kept->state == KEPT_OPEN || (kept->state == KEPT_REFUSED && !is_unsent(kept)))
            continue;
        kept->state = KEPT_LOST;
        take_out(host, kept);
        *end = kept;
        end = &kept->next;
    }
    return lost;
}

void sb_host_give_lost(struct sb_host *host, struct sb_kept *lost)
{
    for (struct sb_kept *next; lost; lost = next) {
        next = lost->next;
        lost->next = NULL;
        put_in(host, lost);
    }
}

struct sb_kept *sb_kept_free(struct sb_kept *list)
{
    for (struct sb_kept *next; list; list = next) {
        next = list->next;
        kept_free(list);
    }
    return NULL;
}

void sb_host_kept_done(struct sb_host *host)
{
    for (struct sb_kept *kept = host->kept; kept; kept = kept->next)
        if (kept->state == KEPT_OPEN)
            sb_store_forget(host->parts.store, on_settled, kept);
    host->kept = sb_kept_free(host->kept);
}
