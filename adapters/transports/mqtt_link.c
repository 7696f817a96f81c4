/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/transports/mqtt_link_parts.h"

#include <errno.h>
#include <pthread.h>

#include "adapters/transports/mqtt_address.h"

#define PARCELS_MAX   1000                      /* unacknowledged */
#define PARCEL_BYTES  ((size_t)8 * 1024 * 1024) /* of their payloads together */
#define MESSAGES_MAX  1000 /* that the loop has not read; then the broker waits */
#define MESSAGE_BYTES ((size_t)4 * 1024 * 1024)
#define ROOM_WAIT_MS  10000 /* for a loop that stands still */
#define LAST_ACKS_MS  700

struct sb_mqtt_told *sb_mqtt_told_free(struct sb_mqtt_told *told)
{
    struct sb_mqtt_told *next = told->next;

    free(told->text);
    free(told->topic);
    free(told->payload);
    free(told);
    return next;
}

struct timespec sb_mqtt_deadline(long ms)
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

void sb_mqtt_link_wake(struct sb_mqtt_link *link)
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

void sb_mqtt_link_unlock(struct sb_mqtt_link *link)
{
    struct sb_note look = { 0 };
    struct sb_mailbox *box = link->news ? sb_mailbox_ref(link->box) : NULL;

    link->news = false;
    pthread_mutex_unlock(&link->crew->mutex);
    if (box)
        (void)sb_mailbox_post(box, &look); /* closed, or a note waits there already */
    sb_mailbox_unref(box);
}

void sb_mqtt_link_tell(struct sb_mqtt_link *link, struct sb_mqtt_told *told)
{
    pthread_mutex_lock(&link->crew->mutex);
    tell_locked(link, told);
    sb_mqtt_link_unlock(link);
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
    struct timespec end = sb_mqtt_deadline(ROOM_WAIT_MS);
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
    sb_mqtt_link_unlock(link);
    if (!room)
        sb_mqtt_told_free(told);
    return room;
}

/* ---- parcels ---- */

void sb_mqtt_parcel_drop(struct sb_mqtt_parcel *parcel)
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
        sb_mqtt_link_wake(link);
    if (parcel->outcome)
        sb_mqtt_told_free(parcel->outcome);
    free(parcel->topic);
    free(parcel->payload);
    free(parcel);
}

void sb_mqtt_parcel_tell(struct sb_mqtt_parcel *parcel, enum sb_mqtt_event_kind kind)
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
    sb_mqtt_parcel_tell(parcel, kind);
    sb_mqtt_parcel_drop(parcel);
    sb_mqtt_link_unlock(link);
}

static void lose_locked(struct sb_mqtt_link *link)
{
    for (struct sb_mqtt_parcel *parcel = link->parcels; parcel; parcel = parcel->next)
        sb_mqtt_parcel_tell(parcel, SB_MQTT_LOST);
}

void sb_mqtt_link_lose(struct sb_mqtt_link *link)
{
    pthread_mutex_lock(&link->crew->mutex);
    lose_locked(link);
    sb_mqtt_link_unlock(link);
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

/* ---- for the loop ---- */

int sb_mqtt_link_try(struct sb_mqtt_link *link, uint64_t number, struct sb_connect *login)
{
    struct sb_mqtt_attempt *attempt = sb_mqtt_attempt_new(link, number, login);

    if (!attempt)
        return -ENOMEM;
    pthread_mutex_lock(&link->crew->mutex);
    struct sb_mqtt_attempt *stale = link->next; /* the worker still looks a name up */
    link->next = attempt;
    sb_mqtt_link_wake(link);
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
    sb_mqtt_link_wake(link);
    sb_mqtt_link_unlock(link);
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
    link->last = sb_mqtt_deadline(LAST_ACKS_MS);
    for (struct sb_mqtt_told *told = SB_STEAL(link->told); told;)
        told = sb_mqtt_told_free(told);
    link->told_end = &link->told;
    pthread_cond_broadcast(&crew->room);
    sb_mqtt_link_wake(link);
    pthread_mutex_unlock(&crew->mutex);
    return NULL;
}

int sb_mqtt_reach(const struct sb_connect *login, struct sb_reach *ret, char **ret_error)
{
    struct sb_mqtt_address address = { 0 };
    *ret_error = sb_mqtt_address_read(login->uri, &address);
    if (*ret_error)
        return -EINVAL;
    struct sb_reach made = { .host = SB_STEAL(address.host),
                             .port = SB_STEAL(address.port),
                             .tls = address.tls,
                             .verify = login->verify };
    sb_mqtt_address_done(&address);
    int r = sb_set_string(&made.ca_file, login->ca_file);
    r = r ? r : sb_set_string(&made.cert_file, login->cert_file);
    r = r ? r : sb_set_string(&made.key_file, login->key_file);
    if (r < 0)
        sb_reach_done(&made);
    else
        *ret = made;
    return r;
}
