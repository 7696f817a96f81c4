/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/dialects/uplink.h"

#include <errno.h>

#include "adapters/dialects/uplink_parts.h"
#include "bridge/base/log.h"

static struct sb_uplink *uplink_of(struct sb_door *door)
{
    return (struct sb_uplink *)door; /* its first member */
}

int sb_uplink_send(struct sb_door *door, const struct sb_parcel *parcel)
{
    return sb_line_send(uplink_of(door), parcel);
}

/* ---- who has a connection ---- */

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
    int64_t room = sb_uplink_pace(uplink);
    while (room > 0 && (device = sb_host_device_at(uplink->door.host, uplink->next_dial))) {
        size_t before = uplink->open;
        uplink->next_dial++;
        need_line(uplink, device);
        room -= uplink->open > before;
    }
    if (device)
        sb_timer_in(uplink->dial, SB_UPLINK_STEP);
}

/* ---- news ---- */

static struct sb_convo *convo_of_news(struct sb_uplink *uplink, const struct sb_news *news)
{
    if (news->device) /* one that leaves need not be told of a connect any more */
        return news->kind == SB_NEWS_DEVICE_REMOVED ? sb_convo_find(uplink, news->device)
                                                    : sb_convo_ready(uplink, news->device);
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
    sb_uplink_lines_done(uplink);
    while ((convo = sb_map_next(&uplink->convos, &cursor, NULL)))
        sb_convo_free(convo);
    sb_map_done(&uplink->convos);
    sb_convo_free(uplink->self);
    sb_timer_free(uplink->dial);
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
    int r = sb_set_string(&uplink->door.link, link);
    r = r ? r : sb_timer_new(sb_host_loop(host), on_dial, uplink, &uplink->dial);
    r = r ? r : sb_uplink_lines_init(uplink);
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
