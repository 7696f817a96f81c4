/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/dialects/uplink.h"

#include <errno.h>

#include "adapters/dialects/uplink_parts.h"
#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"

#define BEAT_MIN   (30 * SB_SECOND)
#define BEAT_MAX   (5 * SB_MINUTE)
#define ROUND_STEP 100 /* ms between two groups of devices that are told of a connect */
#define ROUND_SIZE 10  /* of a group, where the mapping does not say */

static struct sb_uplink *uplink_of(struct sb_door *door)
{
    return (struct sb_uplink *)door; /* its first member */
}

static struct sb_loop *loop_of(const struct sb_uplink *uplink)
{
    return sb_host_loop(uplink->door.host);
}

int64_t sb_uplink_outage(const struct sb_uplink *uplink)
{
    int64_t wall = sb_loop_wall(loop_of(uplink));
    if (uplink->up)
        return uplink->outage;
    if (uplink->ever_up)
        return sb_loop_now(loop_of(uplink)) - uplink->down_at;
    /* A clock that was set back in between tells nothing. */
    return uplink->seen > 0 && wall >= uplink->seen ? wall - uplink->seen : -1;
}

/* ---- parcels ---- */

static void flying_free(struct sb_flying *flying)
{
    free(flying->token);
    free(flying);
}

int64_t sb_uplink_land(struct sb_uplink *uplink, const char *token)
{
    for (struct sb_flying **at = &uplink->flying; *at; at = &(*at)->next) {
        struct sb_flying *flying = *at;
        if (!sb_streq(flying->token, token))
            continue;
        int64_t id = flying->id;
        *at = flying->next;
        flying_free(flying);
        return id;
    }
    return 0;
}

static void land_all(struct sb_uplink *uplink)
{
    while (uplink->flying)
        (void)sb_uplink_land(uplink, uplink->flying->token);
    sb_timer_stop(uplink->patience);
}

static int take_off(struct sb_uplink *uplink, const struct sb_parcel *parcel)
{
    struct sb_flying *flying = calloc(1, sizeof(*flying));
    if (!flying || !(flying->token = strdup(parcel->token))) {
        free(flying);
        return -ENOMEM;
    }
    flying->id = parcel->id;
    flying->next = uplink->flying;
    uplink->flying = flying;
    return 0;
}

int sb_uplink_send(struct sb_door *door, const struct sb_parcel *parcel)
{
    struct sb_uplink *uplink = uplink_of(door);
    if (!uplink->up)
        return -EAGAIN;
    bool awaits = parcel->token && sb_words_limit(door->words, "reply_timeout") > 0;
    int r = awaits ? take_off(uplink, parcel) : 0;
    r = r ? r
          : sb_mqtt_publish(uplink->mqtt, parcel->topic, parcel->payload, parcel->size, parcel->qos,
                            parcel->id);
    if (r == -ENOMEM)
        r = -EAGAIN; /* it can be sent, later */
    if (r < 0 && awaits)
        (void)sb_uplink_land(uplink, parcel->token);
    return r;
}

static struct sb_flying *flying_of(struct sb_uplink *uplink, int64_t id)
{
    struct sb_flying *flying = uplink->flying;
    while (flying && flying->id != id)
        flying = flying->next;
    return flying;
}

static void on_puback(struct sb_uplink *uplink, int64_t id)
{
    struct sb_flying *flying = flying_of(uplink, id);
    if (!flying) {
        sb_host_settle(uplink->door.host, &uplink->door, id);
        return;
    }
    int64_t wait = sb_words_limit(uplink->door.words, "reply_timeout");
    flying->due = sb_loop_now(loop_of(uplink)) + wait;
    if (!sb_timer_armed(uplink->patience))
        sb_timer_in(uplink->patience, wait);
}

/* No reply came: the broker has the message, and that has to do. */
static void on_patience(void *arg)
{
    struct sb_uplink *uplink = arg;
    int64_t now = sb_loop_now(loop_of(uplink)), next = INT64_MAX;
    for (struct sb_flying **at = &uplink->flying; *at;) {
        struct sb_flying *flying = *at;
        if (flying->due == 0 || flying->due > now) {
            next = flying->due > 0 ? SB_MIN(next, flying->due) : next;
            at = &flying->next;
            continue;
        }
        *at = flying->next;
        sb_info(SB_AT(.link = uplink->door.link), "no reply to %s: taken as delivered",
                flying->token);
        sb_host_settle(uplink->door.host, &uplink->door, flying->id);
        flying_free(flying);
    }
    if (next != INT64_MAX)
        sb_timer_at(uplink->patience, next);
}

/* ---- the link ---- */

static void save_self(struct sb_uplink *uplink)
{
    if (uplink->self && sb_host_ready(uplink->door.host, &uplink->door, NULL))
        sb_convo_save(uplink->self);
}

static void on_beat(void *arg)
{
    struct sb_uplink *uplink = arg;
    if (!uplink->up)
        return;
    save_self(uplink);
    int64_t half = sb_words_limit(uplink->door.words, "stale_after") / 2;
    sb_timer_in(uplink->beat, SB_MIN(SB_MAX(half, BEAT_MIN), BEAT_MAX));
}

/* Groups of devices, so that a thousand neither hold the loop up nor exceed what the platform
 * takes. Who has been told meanwhile, by a message of his own, is passed over. */
static void on_round(void *arg)
{
    struct sb_uplink *uplink = arg;
    const struct sb_device *device = NULL;
    int64_t rate = sb_words_limit(uplink->door.words, "connect_rate");
    int64_t room = rate > 0 ? SB_MAX(rate * ROUND_STEP / SB_SECOND, 1) : ROUND_SIZE;
    while (uplink->up && room > 0 &&
           (device = sb_host_device_at(uplink->door.host, uplink->next))) {
        struct sb_convo *convo = device->gateway ? NULL : sb_convo_find(uplink, device);
        uplink->next++;
        room -= convo && sb_convo_greet(convo);
    }
    if (uplink->up && device)
        sb_timer_in(uplink->round, ROUND_STEP);
}

static void part(struct sb_convo *convo)
{
    if (!convo || !convo->up)
        return;
    convo->up = false;
    sb_convo_step(convo, &(struct sb_input){ .kind = SB_IN_DOWN });
}

static void tell_down(struct sb_uplink *uplink)
{
    const struct sb_device *device;
    part(uplink->self);
    for (size_t i = 0; (device = sb_host_device_at(uplink->door.host, i)); i++)
        part(sb_map_get(&uplink->convos, device->id));
}

static void on_up(struct sb_uplink *uplink, bool session_present)
{
    struct sb_convo *self = sb_convo_self(uplink); /* knows when we were here last */
    uplink->outage = sb_uplink_outage(uplink);
    uplink->backlog = session_present;
    uplink->up = uplink->ever_up = true;
    sb_host_link(uplink->door.host, &uplink->door, true, "connected");
    if (self)
        (void)sb_convo_greet(self);
    uplink->next = 0;
    on_round(uplink);
    on_beat(uplink);
}

static void on_down(struct sb_uplink *uplink, const char *text, int64_t next)
{
    sb_cleanup(sb_freep) char *wait = sb_duration_text(next);
    sb_cleanup(sb_freep) char *state =
        sb_format("%s; next try in %s", text ? text : "disconnected", wait ? wait : "a while");
    bool was_up = uplink->up;
    uplink->up = false;
    if (was_up) {
        uplink->down_at = sb_loop_now(loop_of(uplink));
        sb_timer_stop(uplink->beat);
        sb_timer_stop(uplink->round);
        land_all(uplink);
        save_self(uplink);
    }
    sb_host_link(uplink->door.host, &uplink->door, false, state);
    if (was_up)
        tell_down(uplink);
}

/* Ready to be spoken to: first of all it hears that the link is up. */
static struct sb_convo *convo_of(struct sb_uplink *uplink, const struct sb_device *device)
{
    struct sb_convo *convo = sb_convo_find(uplink, device);
    if (convo)
        (void)sb_convo_greet(convo);
    return convo;
}

static struct sb_convo *convo_named(struct sb_uplink *uplink, const char *name)
{
    if (!name)
        return sb_convo_self(uplink);
    const struct sb_device *device = sb_host_find(uplink->door.host, uplink->dialect->name, name);
    return device ? convo_of(uplink, device) : sb_convo_stranger(uplink, name);
}

static void on_message(struct sb_uplink *uplink, const struct sb_mqtt_event *event)
{
    struct sb_message message = { 0 };
    int r = uplink->dialect->decode(uplink->door.words, uplink->config, event->topic,
                                    event->payload, event->size, &message);
    if (r == -ENOMSG) {
        sb_debug(SB_AT(.link = uplink->door.link), "ignored: %s", event->topic);
        return;
    }
    struct sb_convo *convo = r < 0 ? NULL : convo_named(uplink, message.name);
    if (!convo) {
        sb_error(SB_AT(.link = uplink->door.link), "a message is lost: %s",
                 strerror(r < 0 ? -r : ENOMEM));
    } else {
        bool stranger = !convo->id;
        sb_convo_step(convo, &(struct sb_input){ .kind = SB_IN_MESSAGE, .message = &message });
        if (stranger)
            sb_convo_free(convo);
    }
    sb_message_done(&message);
}

static void on_event(void *arg, const struct sb_mqtt_event *event)
{
    struct sb_uplink *uplink = arg;
    switch (event->kind) {
    case SB_MQTT_UP:
        on_up(uplink, event->session_present);
        break;
    case SB_MQTT_DOWN:
        on_down(uplink, event->text, event->value);
        break;
    case SB_MQTT_MESSAGE:
        on_message(uplink, event);
        break;
    case SB_MQTT_PUBACK:
        on_puback(uplink, event->value);
        break;
    case SB_MQTT_LOST:
        break; /* the outbox sends it again after the reconnect */
    }
}

static int on_login(void *arg, struct sb_connect *ret, char **ret_error)
{
    struct sb_uplink *uplink = arg;
    return uplink->dialect->connect(uplink->door.words, uplink->config,
                                    sb_loop_wall(loop_of(uplink)), ret, ret_error);
}

/* ---- news ---- */

static struct sb_convo *convo_of_news(struct sb_uplink *uplink, const struct sb_news *news)
{
    if (news->device) /* one that leaves need not be told of a connect any more */
        return news->kind == SB_NEWS_DEVICE_REMOVED ? sb_convo_find(uplink, news->device)
                                                    : convo_of(uplink, news->device);
    return news->task ? sb_map_get(&uplink->convos, news->task->device) : NULL;
}

static void forget_device(struct sb_uplink *uplink, const char *id)
{
    int r = sb_host_save(uplink->door.host, &uplink->door, id, NULL);
    if (r < 0 && r != -EAGAIN)
        sb_error(SB_AT(.link = uplink->door.link, .device = id),
                 "a conversation cannot be forgotten: %s", strerror(-r));
    sb_convo_free(sb_map_take(&uplink->convos, id));
}

void sb_uplink_hear(struct sb_door *door, const struct sb_news *news)
{
    struct sb_uplink *uplink = uplink_of(door);
    struct sb_convo *convo = convo_of_news(uplink, news);
    bool leaves = news->kind == SB_NEWS_DEVICE_REMOVED && news->device;
    if (leaves)
        uplink->next = 0; /* those behind it move up by one */
    if (!convo)
        return;
    sb_convo_step(convo, &(struct sb_input){ .kind = SB_IN_NEWS, .news = news });
    if (leaves && !news->device->gateway)
        forget_device(uplink, news->device->id);
}

/* ---- the door ---- */

void sb_uplink_start(struct sb_door *door)
{
    struct sb_uplink *uplink = uplink_of(door);
    (void)sb_convo_self(uplink); /* messages may precede UP, and ask for the outage */
    sb_mqtt_start(uplink->mqtt);
}

void sb_uplink_close(struct sb_door *door)
{
    struct sb_uplink *uplink = uplink_of(door);
    size_t cursor = 0;
    struct sb_convo *convo;
    if (uplink->up)
        save_self(uplink);
    uplink->up = false;
    sb_mqtt_free(uplink->mqtt);
    while ((convo = sb_map_next(&uplink->convos, &cursor, NULL)))
        sb_convo_free(convo);
    sb_map_done(&uplink->convos);
    sb_convo_free(uplink->self);
    while (uplink->flying)
        (void)sb_uplink_land(uplink, uplink->flying->token);
    sb_timer_free(uplink->beat);
    sb_timer_free(uplink->patience);
    sb_timer_free(uplink->round);
    free(uplink->gateway);
    free(door->link);
    free(door->state_text);
    free(uplink);
}

int sb_uplink_open(const struct sb_door_ops *ops, const struct sb_dialect_ops *dialect,
                   struct sb_host *host, const char *link, const void *config,
                   const struct sb_words *words, struct sb_door **ret)
{
    struct sb_uplink *uplink = calloc(1, sizeof(*uplink));
    if (!uplink)
        return -ENOMEM;
    uplink->door = (struct sb_door){ .ops = ops, .host = host, .words = words };
    uplink->dialect = dialect;
    uplink->config = config;
    uplink->outage = -1;
    struct sb_loop *loop = sb_host_loop(host);
    int r = sb_set_string(&uplink->door.link, link);
    r = r ? r : sb_timer_new(loop, on_beat, uplink, &uplink->beat);
    r = r ? r : sb_timer_new(loop, on_patience, uplink, &uplink->patience);
    r = r ? r : sb_timer_new(loop, on_round, uplink, &uplink->round);
    r = r ? r : sb_mqtt_new(loop, on_login, on_event, uplink, &uplink->mqtt);
    if (r) {
        sb_uplink_close(&uplink->door);
        return r;
    }
    *ret = &uplink->door;
    return 0;
}

int sb_uplink_reach(const struct sb_dialect_ops *dialect, const void *config,
                    const struct sb_words *words, int64_t wall, struct sb_reach *ret,
                    char **ret_error)
{
    struct sb_connect login = { 0 };
    int r = dialect->connect(words, config, wall, &login, ret_error);
    if (r == 0)
        r = sb_mqtt_reach(&login, ret, ret_error);
    sb_connect_done(&login);
    return r;
}
