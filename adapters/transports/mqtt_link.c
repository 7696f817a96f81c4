/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/transports/mqtt_link.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "bridge/base/log.h"

#define PARCELS_MAX   1000                      /* unacknowledged */
#define PARCEL_BYTES  ((size_t)8 * 1024 * 1024) /* of their payloads together */
#define WINDOW        100                 /* of these Paho has so many; the others wait here, */
#define WINDOW_BYTES  ((size_t)64 * 1024) /* where a lost connection cannot leak them */
#define MESSAGES_MAX  1000                /* that the loop has not read; then the broker waits */
#define MESSAGE_BYTES ((size_t)4 * 1024 * 1024)
#define ROOM_WAIT_MS  10000 /* for a loop that stands still */
#define LAST_ACKS_MS  700
#define FREE_WAIT_MS  2000
#define WORKER_STACK  ((size_t)512 * 1024)

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

struct sb_mqtt_told *sb_mqtt_told_free(struct sb_mqtt_told *told)
{
    struct sb_mqtt_told *next = told->next;

    free(told->text);
    free(told->topic);
    free(told->payload);
    free(told);
    return next;
}

static struct timespec deadline_in(long ms)
{
    struct timespec at;

    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += ms / 1000;
    at.tv_nsec += ms % 1000 * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

static bool is_past(const struct timespec *at)
{
    struct timespec now = deadline_in(0);

    return now.tv_sec != at->tv_sec ? now.tv_sec > at->tv_sec : now.tv_nsec >= at->tv_nsec;
}

/* The worker will look at it before it sleeps. True: it may be asleep. */
static bool mark(struct sb_mqtt_link *link)
{
    struct sb_mqtt_crew *crew = link->crew;

    if (link->is_ready)
        return false;
    link->is_ready = true;
    link->after = NULL;
    *crew->ready_end = link;
    crew->ready_end = &link->after;
    return true;
}

static void wake(struct sb_mqtt_link *link)
{
    if (mark(link))
        pthread_cond_signal(&link->crew->work);
}

/* ---- what is told to the loop ---- */

static void tell_locked(struct sb_mqtt_link *link, struct sb_mqtt_told *told)
{
    if (link->closing) {
        sb_mqtt_told_free(told);
        return;
    }
    link->news |= link->told == NULL;
    told->next = NULL;
    *link->told_end = told;
    link->told_end = &told->next;
}

/* The loop is woken afterwards: it would wake into a locked mutex. The link may be gone by then. */
static void unlock(struct sb_mqtt_link *link)
{
    struct sb_note look = { 0 };
    struct sb_mailbox *box = link->news ? sb_mailbox_ref(link->box) : NULL;

    link->news = false;
    pthread_mutex_unlock(&link->crew->mutex);
    if (box && sb_mailbox_post(box, &look) == -ENOMEM)
        sb_error(NULL, "mqtt: out of memory: news of the link wait for the next one");
    sb_mailbox_unref(box);
}

void sb_mqtt_link_tell(struct sb_mqtt_link *link, struct sb_mqtt_told *told)
{
    pthread_mutex_lock(&link->crew->mutex);
    tell_locked(link, told);
    unlock(link);
}

struct sb_mqtt_told *sb_mqtt_link_take(struct sb_mqtt_link *link)
{
    pthread_mutex_lock(&link->crew->mutex);
    struct sb_mqtt_told *told = SB_STEAL(link->told);
    link->told_end = &link->told;
    link->message_count = link->message_bytes = 0;
    pthread_cond_broadcast(&link->crew->room);
    pthread_mutex_unlock(&link->crew->mutex);
    return told;
}

static struct sb_mqtt_told *make_message(const char *topic, const void *payload, size_t n)
{
    sb_cleanup(sb_mqtt_told_freep) struct sb_mqtt_told *told = calloc(1, sizeof(*told));

    if (!told)
        return NULL;
    told->kind = SB_MQTT_MESSAGE;
    told->topic = strdup(topic);
    told->payload = malloc(n + 1);
    if (!told->topic || !told->payload)
        return NULL;
    memcpy(told->payload, payload, n);
    ((char *)told->payload)[n] = '\0';
    told->size = n;
    return SB_STEAL(told);
}

/* The loop empties the queue in each turn, so this waits for one turn. */
static bool wait_for_room(struct sb_mqtt_link *link)
{
    struct timespec end = deadline_in(ROOM_WAIT_MS);
    int r = 0;

    while (r == 0 && !link->closing &&
           (link->message_count >= MESSAGES_MAX || link->message_bytes >= MESSAGE_BYTES))
        r = pthread_cond_timedwait(&link->crew->room, &link->crew->mutex, &end);
    return r == 0;
}

bool sb_mqtt_link_message(struct sb_mqtt_link *link, const char *topic, const void *payload,
                          size_t n)
{
    struct sb_mqtt_told *told = make_message(topic, n ? payload : "", n);

    if (!told)
        return false;
    pthread_mutex_lock(&link->crew->mutex);
    bool room = wait_for_room(link);
    if (room) {
        link->message_count++;
        link->message_bytes += n;
        tell_locked(link, told);
    }
    unlock(link);
    if (!room)
        sb_mqtt_told_free(told);
    return room;
}

/* ---- parcels ---- */

static void drop_parcel(struct sb_mqtt_parcel *parcel)
{
    struct sb_mqtt_link *link = parcel->link;

    *parcel->back = parcel->next;
    if (parcel->next)
        parcel->next->back = parcel->back;
    else
        link->parcels_end = parcel->back;
    link->parcel_count--;
    link->parcel_bytes -= parcel->size;
    if (parcel->with_paho) {
        link->window_count--;
        link->window_bytes -= parcel->size;
    }
    if (link->queue || link->closing) /* the window opens; or these were the last ones */
        wake(link);
    if (parcel->outcome)
        sb_mqtt_told_free(parcel->outcome);
    free(parcel->topic);
    free(parcel->payload);
    free(parcel);
}

static void tell_outcome(struct sb_mqtt_parcel *parcel, enum sb_mqtt_event_kind kind)
{
    if (!parcel->outcome)
        return;
    parcel->outcome->kind = kind;
    tell_locked(parcel->link, SB_STEAL(parcel->outcome));
}

void sb_mqtt_link_settle(struct sb_mqtt_parcel *parcel, enum sb_mqtt_event_kind kind)
{
    struct sb_mqtt_link *link = parcel->link;

    pthread_mutex_lock(&link->crew->mutex);
    tell_outcome(parcel, kind);
    drop_parcel(parcel);
    unlock(link);
}

static void lose_locked(struct sb_mqtt_link *link)
{
    for (struct sb_mqtt_parcel *parcel = link->parcels; parcel; parcel = parcel->next)
        tell_outcome(parcel, SB_MQTT_LOST);
}

void sb_mqtt_link_lose(struct sb_mqtt_link *link)
{
    pthread_mutex_lock(&link->crew->mutex);
    lose_locked(link);
    unlock(link);
}

static struct sb_mqtt_parcel *make_parcel(const char *topic, const void *payload, size_t n, int qos,
                                          int64_t id)
{
    struct sb_mqtt_parcel *parcel = calloc(1, sizeof(*parcel));

    if (!parcel)
        return NULL;
    parcel->topic = strdup(topic);
    parcel->payload = malloc(n ? n : 1);
    parcel->outcome = calloc(1, sizeof(*parcel->outcome));
    if (!parcel->topic || !parcel->payload || !parcel->outcome) {
        free(parcel->topic);
        free(parcel->payload);
        free(parcel->outcome);
        free(parcel);
        return NULL;
    }
    if (n)
        memcpy(parcel->payload, payload, n);
    parcel->size = n;
    parcel->qos = qos;
    parcel->outcome->id = id;
    return parcel;
}

static void add_parcel(struct sb_mqtt_link *link, struct sb_mqtt_parcel *parcel)
{
    parcel->link = link;
    parcel->back = link->parcels_end;
    *link->parcels_end = parcel;
    link->parcels_end = &parcel->next;
    link->parcel_count++;
    link->parcel_bytes += parcel->size;
    *link->queue_end = parcel;
    link->queue_end = &parcel->behind;
}

int sb_mqtt_link_publish(struct sb_mqtt_link *link, const char *topic, const void *payload,
                         size_t n, int qos, int64_t id)
{
    struct sb_mqtt_crew *crew = link->crew;
    bool asleep = false;
    int r = 0;

    pthread_mutex_lock(&crew->mutex);
    if (link->parcel_count >= PARCELS_MAX ||
        (link->parcel_count > 0 && link->parcel_bytes + n > PARCEL_BYTES)) {
        r = -ENOBUFS;
    } else {
        struct sb_mqtt_parcel *parcel = make_parcel(topic, payload, n, qos, id);
        if (parcel) {
            add_parcel(link, parcel);
            asleep = mark(link);
        } else {
            r = -ENOMEM;
        }
    }
    pthread_mutex_unlock(&crew->mutex);
    if (asleep) /* not before: it would wake into a locked mutex */
        pthread_cond_signal(&crew->work);
    return r;
}

/* ---- the worker ---- */

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
            tell_outcome(parcel, SB_MQTT_LOST);
            drop_parcel(parcel);
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
    unlock(link);
    pthread_mutex_lock(&link->crew->mutex);
}

/* It was closed: what was not sent, and what Paho let go without a word, goes with it. */
static void bury(struct sb_mqtt_link *link)
{
    struct sb_mqtt_attempt *never = SB_STEAL(link->next);

    replace(link, NULL);
    while (link->parcels)
        drop_parcel(link->parcels);
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
    wake(link);
}

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
            wake(link);
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

/* ---- for the loop ---- */

int sb_mqtt_link_try(struct sb_mqtt_link *link, uint64_t number, struct sb_connect *login)
{
    struct sb_mqtt_attempt *attempt = sb_mqtt_attempt_new(link, number, login);

    if (!attempt)
        return -ENOMEM;
    pthread_mutex_lock(&link->crew->mutex);
    struct sb_mqtt_attempt *stale = link->next; /* the worker still looks a name up */
    link->next = attempt;
    wake(link);
    pthread_mutex_unlock(&link->crew->mutex);
    sb_mqtt_attempt_free(stale);
    return 0;
}

void sb_mqtt_link_drop(struct sb_mqtt_link *link)
{
    pthread_mutex_lock(&link->crew->mutex);
    lose_locked(link);
    link->drop = true;
    struct sb_mqtt_attempt *stale = SB_STEAL(link->next);
    wake(link);
    unlock(link);
    sb_mqtt_attempt_free(stale);
}

int sb_mqtt_link_new(struct sb_mqtt_crew *crew, struct sb_mailbox *box, struct sb_mqtt_link **ret)
{
    struct sb_mqtt_link *link = calloc(1, sizeof(*link));

    if (!link)
        return -ENOMEM;
    link->crew = crew;
    link->box = sb_mailbox_ref(box);
    link->told_end = &link->told;
    link->parcels_end = &link->parcels;
    link->queue_end = &link->queue;
    pthread_mutex_lock(&crew->mutex);
    link->next_link = crew->links;
    link->back = &crew->links;
    if (link->next_link)
        link->next_link->back = &link->next_link;
    crew->links = link;
    pthread_mutex_unlock(&crew->mutex);
    *ret = link;
    return 0;
}

struct sb_mqtt_link *sb_mqtt_link_free(struct sb_mqtt_link *link)
{
    if (!link)
        return NULL;
    struct sb_mqtt_crew *crew = link->crew; /* the link may be gone once it is unlocked */
    pthread_mutex_lock(&crew->mutex);
    link->closing = true;
    link->last = deadline_in(LAST_ACKS_MS);
    for (struct sb_mqtt_told *told = SB_STEAL(link->told); told;)
        told = sb_mqtt_told_free(told);
    link->told_end = &link->told;
    pthread_cond_broadcast(&crew->room);
    wake(link);
    pthread_mutex_unlock(&crew->mutex);
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
    struct timespec end = deadline_in(FREE_WAIT_MS);
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
