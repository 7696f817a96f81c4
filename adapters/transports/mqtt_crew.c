/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker of a crew: it does for each link what is to be done, one thing at a time, and frees
 * those that are closed.
 */
#include <errno.h>

#include "adapters/transports/mqtt_link_parts.h"

#define WINDOW       100                 /* parcels that Paho has; the others wait here, */
#define WINDOW_BYTES ((size_t)64 * 1024) /* where a lost connection cannot leak them */
#define FREE_WAIT_MS 2000
#define WORKER_STACK ((size_t)512 * 1024)

static bool is_past(const struct timespec *at)
{
    struct timespec now = sb_mqtt_deadline(0);

    return now.tv_sec != at->tv_sec ? now.tv_sec > at->tv_sec : now.tv_nsec >= at->tv_nsec;
}

/* ---- what a link wants ---- */

static struct sb_mqtt_parcel *pop_parcel(struct sb_mqtt_link *link)
{
    struct sb_mqtt_parcel *parcel = link->queue;

    if (!parcel)
        return NULL;
    if (parcel->outcome && link->window_count > 0 &&
        (link->window_count >= WINDOW || link->window_bytes + parcel->size > WINDOW_BYTES))
        return NULL;
    link->queue = parcel->behind;
    if (!link->queue)
        link->queue_end = &link->queue;
    return parcel;
}

/* Paho may settle and free the parcel before its call returns. */
static void send_parcel(struct sb_mqtt_link *link, struct sb_mqtt_attempt *open,
                        struct sb_mqtt_parcel *parcel)
{
    bool wanted = open && parcel->outcome;
    int r = -ENOTCONN;

    parcel->with_paho = wanted;
    if (wanted) {
        link->window_count++;
        link->window_bytes += parcel->size;
    }
    pthread_mutex_unlock(&link->crew->mutex);
    if (wanted)
        r = sb_mqtt_attempt_publish(open, parcel);
    if (r < 0)
        sb_mqtt_link_settle(parcel, SB_MQTT_LOST);
    pthread_mutex_lock(&link->crew->mutex);
}

/* What Paho let go without a word. */
static void sweep_parcels(struct sb_mqtt_link *link)
{
    for (struct sb_mqtt_parcel *parcel = link->parcels, *next; parcel; parcel = next) {
        next = parcel->next;
        if (parcel->with_paho) {
            sb_mqtt_parcel_tell(parcel, SB_MQTT_LOST);
            sb_mqtt_parcel_drop(parcel);
        }
    }
}

/* Takes the place of the open attempt; NULL just closes it. */
static void replace(struct sb_mqtt_link *link, struct sb_mqtt_attempt *next)
{
    struct sb_mqtt_attempt *open = SB_STEAL(link->open);

    pthread_mutex_unlock(&link->crew->mutex);
    sb_mqtt_attempt_free(open);
    if (next)
        sb_mqtt_attempt_open(next);
    pthread_mutex_lock(&link->crew->mutex);
    link->open = next;
    if (next)
        return;
    sweep_parcels(link);
    sb_mqtt_link_unlock(link);
    pthread_mutex_lock(&link->crew->mutex);
}

/* It was closed: what was not sent, and what Paho let go without a word, goes with it. */
static void bury(struct sb_mqtt_link *link)
{
    struct sb_mqtt_attempt *never = SB_STEAL(link->next);

    replace(link, NULL);
    while (link->parcels)
        sb_mqtt_parcel_drop(link->parcels);
    sb_mqtt_attempt_free(never);
    if (link->is_ready) { /* by the parcels that went */
        struct sb_mqtt_link **at = &link->crew->ready;
        while (*at != link)
            at = &(*at)->after;
        *at = link->after;
        if (!*at)
            link->crew->ready_end = at;
    }
    *link->back = link->next_link;
    if (link->next_link)
        link->next_link->back = link->back;
    sb_mailbox_unref(link->box);
    free(link);
}

/* One thing of those that are to be done. */
static void serve(struct sb_mqtt_link *link)
{
    struct sb_mqtt_parcel *parcel = NULL;

    if (link->drop) {
        link->drop = false;
        replace(link, NULL);
    } else if (link->next && !link->closing) {
        replace(link, SB_STEAL(link->next));
    } else if ((parcel = pop_parcel(link))) {
        send_parcel(link, link->open, parcel);
    } else {
        if (link->closing && (!link->open || !link->parcels || is_past(&link->last)))
            bury(link);
        return;
    }
    sb_mqtt_link_wake(link);
}

/* ---- the worker ---- */

static struct sb_mqtt_link *pop_ready(struct sb_mqtt_crew *crew)
{
    struct sb_mqtt_link *link = crew->ready;

    if (!link)
        return NULL;
    crew->ready = link->after;
    if (!crew->ready)
        crew->ready_end = &crew->ready;
    link->is_ready = false;
    return link;
}

/* Links that are closing have a deadline. */
static void wait_for_work(struct sb_mqtt_crew *crew)
{
    const struct timespec *first = NULL;
    struct sb_mqtt_link *link;

    for (link = crew->links; link; link = link->next_link)
        if (link->closing &&
            (!first || first->tv_sec > link->last.tv_sec ||
             (first->tv_sec == link->last.tv_sec && first->tv_nsec > link->last.tv_nsec)))
            first = &link->last;
    if (!first) {
        pthread_cond_wait(&crew->work, &crew->mutex);
        return;
    }
    struct timespec end = *first;
    if (pthread_cond_timedwait(&crew->work, &crew->mutex, &end) == 0)
        return;
    for (link = crew->links; link; link = link->next_link)
        if (link->closing && is_past(&link->last))
            sb_mqtt_link_wake(link);
}

static void unref(struct sb_mqtt_crew *crew)
{
    if (atomic_fetch_sub(&crew->refs, 1) > 1)
        return;
    pthread_cond_destroy(&crew->work);
    pthread_cond_destroy(&crew->room);
    pthread_mutex_destroy(&crew->mutex);
    free(crew);
}

static void *worker_main(void *arg)
{
    struct sb_mqtt_crew *crew = arg;
    struct sb_mqtt_link *link;

    sb_mqtt_paho_use();
    pthread_mutex_lock(&crew->mutex);
    while (!crew->closing || crew->links) {
        link = pop_ready(crew);
        if (link)
            serve(link);
        else
            wait_for_work(crew);
    }
    pthread_mutex_unlock(&crew->mutex);
    sb_mqtt_paho_release();

    pthread_mutex_lock(&crew->mutex);
    crew->done = true;
    pthread_cond_broadcast(&crew->room);
    pthread_mutex_unlock(&crew->mutex);
    unref(crew);
    return NULL;
}

/* ---- the crew ---- */

static int start_worker(struct sb_mqtt_crew *crew)
{
    pthread_attr_t attributes;
    int r = pthread_attr_init(&attributes);

    if (r != 0)
        return -r;
    (void)pthread_attr_setstacksize(&attributes, WORKER_STACK);
    r = pthread_create(&crew->thread, &attributes, worker_main, crew);
    pthread_attr_destroy(&attributes);
    return -r;
}

int sb_mqtt_crew_new(struct sb_mqtt_crew **ret)
{
    struct sb_mqtt_crew *crew = calloc(1, sizeof(*crew));
    pthread_condattr_t monotonic;

    if (!crew)
        return -ENOMEM;
    atomic_init(&crew->refs, 2);
    crew->ready_end = &crew->ready;
    pthread_mutex_init(&crew->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&crew->work, &monotonic);
    pthread_cond_init(&crew->room, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int r = start_worker(crew);
    if (r < 0) {
        unref(crew);
        unref(crew);
        return r;
    }
    *ret = crew;
    return 0;
}

/* A worker that is stuck in a name lookup is left to end by itself; nothing of ours waits. */
struct sb_mqtt_crew *sb_mqtt_crew_free(struct sb_mqtt_crew *crew)
{
    struct timespec end = sb_mqtt_deadline(FREE_WAIT_MS);
    int r = 0;

    if (!crew)
        return NULL;
    pthread_mutex_lock(&crew->mutex);
    crew->closing = true;
    pthread_cond_signal(&crew->work);
    while (r == 0 && !crew->done)
        r = pthread_cond_timedwait(&crew->room, &crew->mutex, &end);
    bool done = crew->done;
    pthread_mutex_unlock(&crew->mutex);
    if (done)
        pthread_join(crew->thread, NULL);
    else
        pthread_detach(crew->thread);
    unref(crew);
    return NULL;
}
