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

int sb_uplink_send(struct sb_door *door, const struct sb_parcel *parcel)
{
    return sb_line_send(uplink_of(door), parcel);
}

/* ---- signs of life ---- */

static void save_self(struct sb_uplink *uplink)
{
    if (uplink->self && sb_host_ready(uplink->door.host, &uplink->door, NULL))
        sb_convo_save(uplink->self);
}

static void on_beat(void *arg)
{
    struct sb_uplink *uplink = arg;
    if (uplink->lit == 0)
        return;
    save_self(uplink);
    int64_t half = sb_words_limit(uplink->door.words, "stale_after") / 2;
    sb_timer_in(uplink->beat, SB_MIN(SB_MAX(half, BEAT_MIN), BEAT_MAX));
}

/* ---- rounds ---- */

/* What a group is, of those that a second has. */
static int64_t group_size(const struct sb_uplink *uplink)
{
    int64_t rate = sb_words_limit(uplink->door.words, "connect_rate");
    return rate > 0 ? SB_MAX(rate * ROUND_STEP / SB_SECOND, 1) : ROUND_SIZE;
}

static void need_line(struct sb_uplink *uplink, const struct sb_device *device)
{
    int r = sb_line_need(uplink, device);
    if (r < 0)
        sb_error(SB_AT(.link = uplink->door.link, .device = device ? device->id : NULL),
                 "a connection cannot be opened: %s", strerror(-r));
}

/* Connections, so that a thousand do not begin as one. */
static void on_dial(void *arg)
{
    struct sb_uplink *uplink = arg;
    const struct sb_device *device = NULL;
    int64_t room = group_size(uplink);
    while (room > 0 && (device = sb_host_device_at(uplink->door.host, uplink->next_dial))) {
        size_t before = uplink->open;
        uplink->next_dial++;
        need_line(uplink, device);
        room -= uplink->open > before;
    }
    if (device)
        sb_timer_in(uplink->dial, ROUND_STEP);
}

/* Groups of devices, so that a thousand neither hold the loop up nor exceed what the platform
 * takes. Who has been told meanwhile, by a message of his own, is passed over. */
static void on_round(void *arg)
{
    struct sb_uplink *uplink = arg;
    const struct sb_device *device = NULL;
    int64_t room = group_size(uplink);
    while (uplink->own && uplink->own->up && room > 0 &&
           (device = sb_host_device_at(uplink->door.host, uplink->next))) {
        struct sb_convo *convo = device->gateway ? NULL : sb_convo_find(uplink, device);
        uplink->next++;
        room -= convo && sb_convo_greet(convo);
    }
    if (uplink->own && uplink->own->up && device)
        sb_timer_in(uplink->round, ROUND_STEP);
}

static void part(struct sb_convo *convo)
{
    if (!convo || !convo->up)
        return;
    convo->up = false;
    sb_convo_step(convo, &(struct sb_input){ .kind = SB_IN_DOWN });
}

/* ---- connections that come and go ---- */

/* The conversations that use it, but the link's own. */
void sb_uplink_down(struct sb_line *line)
{
    struct sb_uplink *uplink = line->uplink;
    const struct sb_device *device;
    if (line->device) {
        part(sb_map_get(&uplink->convos, line->device));
        return;
    }
    part(uplink->self);
    for (size_t i = 0; (device = sb_host_device_at(uplink->door.host, i)); i++)
        if (!sb_map_get(&uplink->lines, device->id))
            part(sb_map_get(&uplink->convos, device->id));
}

void sb_uplink_up(struct sb_line *line)
{
    struct sb_uplink *uplink = line->uplink;
    const struct sb_device *device =
        line->device ? sb_host_device(uplink->door.host, line->device) : NULL;
    struct sb_convo *convo = device ? sb_convo_find(uplink, device) : uplink->self;
    if (convo && (device || !line->device))
        (void)sb_convo_greet(convo);
    if (!line->device) {
        uplink->next = 0;
        on_round(uplink);
    }
    if (uplink->lit == 1)
        on_beat(uplink);
}

void sb_uplink_dark(struct sb_line *line)
{
    struct sb_uplink *uplink = line->uplink;
    if (!line->device)
        sb_timer_stop(uplink->round);
    if (uplink->lit > 0)
        return;
    sb_timer_stop(uplink->beat);
    save_self(uplink);
}

/* ---- messages ---- */

/* Ready to be spoken to: first of all it hears that the link is up. */
static struct sb_convo *convo_of(struct sb_uplink *uplink, const struct sb_device *device)
{
    struct sb_convo *convo = sb_convo_find(uplink, device);
    if (convo)
        (void)sb_convo_greet(convo);
    return convo;
}

/* Whom decode() named, else whose connection it is. */
static struct sb_convo *convo_named(struct sb_line *line, const char *name)
{
    struct sb_uplink *uplink = line->uplink;
    const char *called = name ? name : line->name;
    if (!called)
        return sb_convo_self(uplink);
    const struct sb_device *device =
        name ? sb_host_find(uplink->door.host, uplink->dialect->name, called)
             : sb_host_device(uplink->door.host, line->device);
    return device ? convo_of(uplink, device) : sb_convo_stranger(uplink, called, line);
}

void sb_uplink_message(struct sb_line *line, const struct sb_mqtt_event *event)
{
    struct sb_uplink *uplink = line->uplink;
    struct sb_message message = { 0 };
    int r = uplink->dialect->decode(uplink->door.words, uplink->config, event->topic,
                                    event->payload, event->size, &message);
    if (r == -ENOMSG) {
        sb_debug(SB_AT(.link = uplink->door.link), "ignored: %s", event->topic);
        return;
    }
    struct sb_convo *convo = r < 0 ? NULL : convo_named(line, message.name);
    if (!convo) {
        sb_error(SB_AT(.link = uplink->door.link), "a message is lost: %s",
                 strerror(r < 0 ? -r : ENOMEM));
    } else {
        bool stranger = !convo->id;
        sb_convo_step(convo, &(struct sb_input){ .kind = SB_IN_MESSAGE, .message = &message });
        if (stranger)
            sb_convo_free(convo);
        sb_host_keep(uplink->door.host, &uplink->door, line->device, event->topic, event->payload,
                     event->size);
    }
    sb_message_done(&message);
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

/* A reload may bring hundreds: those that are new go by the pace of the start. */
static void welcome(struct sb_uplink *uplink, const struct sb_device *device)
{
    if (!uplink->dialect->has_connection || device->gateway ||
        sb_map_get(&uplink->lines, device->id)) {
        need_line(uplink, device);
        return;
    }
    uplink->next_dial = 0;
    if (!sb_timer_armed(uplink->dial))
        sb_timer_in(uplink->dial, 0);
}

void sb_uplink_hear(struct sb_door *door, const struct sb_news *news)
{
    struct sb_uplink *uplink = uplink_of(door);
    bool leaves = news->kind == SB_NEWS_DEVICE_REMOVED && news->device;
    if (news->kind == SB_NEWS_DEVICE_ADDED && news->device)
        welcome(uplink, news->device);
    struct sb_convo *convo = convo_of_news(uplink, news);
    if (leaves)
        uplink->next = uplink->next_dial = 0; /* those behind it move up by one */
    if (!convo)
        return;
    sb_convo_step(convo, &(struct sb_input){ .kind = SB_IN_NEWS, .news = news });
    if (leaves && !news->device->gateway) {
        forget_device(uplink, news->device->id);
        sb_line_end(uplink, news->device->id);
    }
}

/* ---- the door ---- */

int sb_uplink_pull(struct sb_door *door, const struct sb_pull *pull)
{
    struct sb_convo *self = sb_convo_self(uplink_of(door));
    if (!self)
        return -ENOMEM;
    sb_convo_step(self, &(struct sb_input){ .kind = SB_IN_PULL, .pull = pull });
    return 0;
}

void sb_uplink_start(struct sb_door *door)
{
    struct sb_uplink *uplink = uplink_of(door);
    (void)sb_convo_self(uplink); /* messages may precede UP, and ask for the outage */
    need_line(uplink, NULL);
    if (uplink->dialect->has_connection) /* doors start before the devices are declared */
        sb_timer_in(uplink->dial, 0);
}

void sb_uplink_close(struct sb_door *door)
{
    struct sb_uplink *uplink = uplink_of(door);
    size_t cursor = 0;
    struct sb_convo *convo;
    if (uplink->lit > 0)
        save_self(uplink);
    sb_lines_free(uplink);
    uplink->own = sb_line_free(uplink->own);
    sb_mqtt_crew_free(uplink->crew);
    while ((convo = sb_map_next(&uplink->convos, &cursor, NULL)))
        sb_convo_free(convo);
    sb_map_done(&uplink->convos);
    sb_convo_free(uplink->self);
    sb_timer_free(uplink->beat);
    sb_timer_free(uplink->dial);
    sb_timer_free(uplink->patience);
    sb_timer_free(uplink->round);
    free(uplink->gateway);
    free(uplink->trouble);
    free(door->link);
    free(door->state_text);
    free(uplink);
}

int sb_uplink_open(const struct sb_door_ops *ops, struct sb_host *host, const char *link,
                   const void *config, const struct sb_words *words, struct sb_door **ret)
{
    struct sb_uplink *uplink = calloc(1, sizeof(*uplink));
    if (!uplink)
        return -ENOMEM;
    uplink->door = (struct sb_door){ .ops = ops, .host = host, .words = words };
    uplink->dialect = ops->adapter;
    uplink->config = config;
    struct sb_loop *loop = sb_host_loop(host);
    int r = sb_set_string(&uplink->door.link, link);
    r = r ? r : sb_timer_new(loop, on_beat, uplink, &uplink->beat);
    r = r ? r : sb_timer_new(loop, sb_uplink_patience, uplink, &uplink->patience);
    r = r ? r : sb_timer_new(loop, on_round, uplink, &uplink->round);
    r = r ? r : sb_timer_new(loop, on_dial, uplink, &uplink->dial);
    r = r ? r : sb_mqtt_crew_new(&uplink->crew);
    if (r) {
        sb_uplink_close(&uplink->door);
        return r;
    }
    *ret = &uplink->door;
    return 0;
}

int sb_uplink_reach(const struct sb_door_ops *ops, const void *config, const struct sb_words *words,
                    int64_t wall, struct sb_reach *ret, char **ret_error)
{
    const struct sb_dialect_ops *dialect = ops->adapter;
    struct sb_connect login = { 0 };
    int r = dialect->connect(words, config, NULL, wall, &login, ret_error);
    if (r == 0)
        r = sb_mqtt_reach(&login, ret, ret_error);
    sb_connect_done(&login);
    return r;
}
