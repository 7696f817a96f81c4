/* SPDX-License-Identifier: Apache-2.0 */
/* The connections of an uplink: they come and go, and what they bring is told. */
#include <errno.h>

#include "adapters/dialects/uplink_parts.h"
#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"

#define SHOW_MS    (2 * SB_SECOND)
#define ENDING_MS  (10 * SB_SECOND) /* a connection without a device goes on for so long */
#define BEAT_MIN   (30 * SB_SECOND)
#define BEAT_MAX   (5 * SB_MINUTE)
#define ROUND_SIZE 10 /* devices of a group that is told of a connect, if the mapping is silent */

static struct sb_loop *loop_of(const struct sb_uplink *uplink)
{
    return sb_host_loop(uplink->door.host);
}

/* ---- what `link list` shows ---- */

/* Hundreds that fail together say so once in a while; one more or less that is there at once. */
static void show(struct sb_uplink *uplink)
{
    int64_t now = sb_loop_now(loop_of(uplink));
    if (uplink->shown && uplink->shown_lit == uplink->lit && uplink->shown_open == uplink->open &&
        now - uplink->shown < SHOW_MS)
        return;
    uplink->shown = now;
    uplink->shown_lit = uplink->lit;
    uplink->shown_open = uplink->open;
    sb_cleanup(sb_freep) char *text =
        sb_format("%zu of %zu devices connected%s%s", uplink->lit, uplink->open,
                  uplink->trouble && uplink->lit < uplink->open ? "; " : "",
                  uplink->trouble && uplink->lit < uplink->open ? uplink->trouble : "");
    sb_host_link(uplink->door.host, &uplink->door, uplink->lit > 0, text ? text : "");
}

/* why NULL: it is up. */
static void show_line(struct sb_line *line, const char *why, int64_t next)
{
    struct sb_uplink *uplink = line->uplink;
    sb_cleanup(sb_freep) char *wait = sb_duration_text(next);
    sb_cleanup(sb_freep) char *text =
        why ? sb_format("%s%s%s; next try in %s", line->name ? line->name : "",
                        line->name ? ": " : "", why, wait ? wait : "a while")
            : strdup("connected");
    if (uplink->open == 1 && line == uplink->own) {
        sb_host_link(uplink->door.host, &uplink->door, !why, text ? text : "");
        return;
    }
    if (why && sb_set_string(&uplink->trouble, text) < 0)
        free(SB_STEAL(uplink->trouble));
    show(uplink);
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
int64_t sb_uplink_pace(const struct sb_uplink *uplink)
{
    int64_t rate = sb_words_limit(uplink->door.words, "connect_rate");
    return rate > 0 ? SB_MAX(rate * SB_UPLINK_STEP / SB_SECOND, 1) : ROUND_SIZE;
}

/* Groups of devices, so that a thousand neither hold the loop up nor exceed what the platform
 * takes. Who has been told meanwhile, by a message of his own, is passed over. */
static void on_round(void *arg)
{
    struct sb_uplink *uplink = arg;
    const struct sb_device *device = NULL;
    int64_t room = sb_uplink_pace(uplink);
    while (uplink->own && uplink->own->up && room > 0 &&
           (device = sb_host_device_at(uplink->door.host, uplink->next))) {
        struct sb_convo *convo = device->gateway ? NULL : sb_convo_find(uplink, device);
        uplink->next++;
        room -= convo && sb_convo_greet(convo);
    }
    if (uplink->own && uplink->own->up && device)
        sb_timer_in(uplink->round, SB_UPLINK_STEP);
}

/* ---- messages ---- */

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
    return device ? sb_convo_ready(uplink, device) : sb_convo_stranger(uplink, called, line);
}

static void on_message(void *arg, const char *topic, const void *payload, size_t n)
{
    struct sb_line *line = arg;
    struct sb_uplink *uplink = line->uplink;
    struct sb_message message = { 0 };
    int r =
        uplink->dialect->decode(uplink->door.words, uplink->config, topic, payload, n, &message);
    if (r == -ENOMSG) {
        sb_debug(SB_AT(.link = uplink->door.link), "ignored: %s", topic);
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
        sb_host_keep(uplink->door.host, &uplink->door, line->device, topic, payload, n);
    }
    sb_message_done(&message);
}

/* ---- a connection's events ---- */

static void part(struct sb_convo *convo)
{
    if (!convo || !convo->up)
        return;
    convo->up = false;
    sb_convo_step(convo, &(struct sb_input){ .kind = SB_IN_DOWN });
}

/* The conversations that use it, but the link's own. */
static void part_all(struct sb_line *line)
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

static void greet_all(struct sb_line *line)
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

/* First of all: signs of life and rounds end. */
static void dark(struct sb_line *line)
{
    struct sb_uplink *uplink = line->uplink;
    if (!line->device)
        sb_timer_stop(uplink->round);
    if (uplink->lit > 0)
        return;
    sb_timer_stop(uplink->beat);
    save_self(uplink);
}

static void on_up(struct sb_line *line, bool session_present)
{
    struct sb_uplink *uplink = line->uplink;
    (void)sb_convo_self(uplink); /* knows when we were here last */
    line->outage = sb_line_outage(line);
    line->backlog = session_present;
    uplink->lit += !line->up;
    line->up = line->ever_up = true;
    show_line(line, NULL, 0);
    sb_host_connection(uplink->door.host, &uplink->door, line->device, true);
    greet_all(line);
    sb_host_recall(uplink->door.host, &uplink->door, line->device, on_message, line);
}

static void close_line(struct sb_line *line);

static void on_down(struct sb_line *line, const struct sb_mqtt_event *event)
{
    struct sb_uplink *uplink = line->uplink;
    bool was_up = line->up;
    uplink->lit -= was_up;
    line->up = false;
    if (was_up) {
        line->down_at = sb_loop_now(loop_of(uplink));
        sb_line_land_all(line);
        dark(line);
    }
    if (!event->renewal) /* else it is back at once, or says why not */
        show_line(line, event->text ? event->text : "disconnected", event->value);
    sb_host_connection(uplink->door.host, &uplink->door, line->device, false);
    if (was_up)
        part_all(line);
    if (line->ending) /* its name may be another device's by now */
        close_line(line);
}

static void on_event(void *arg, const struct sb_mqtt_event *event)
{
    struct sb_line *line = arg;
    switch (event->kind) {
    case SB_MQTT_UP:
        on_up(line, event->session_present);
        break;
    case SB_MQTT_DOWN:
        on_down(line, event);
        break;
    case SB_MQTT_MESSAGE:
        on_message(line, event->topic, event->payload, event->size);
        break;
    case SB_MQTT_PUBACK:
        sb_uplink_puback(line->uplink, event->value);
        break;
    case SB_MQTT_LOST:
        break; /* the outbox sends it again after the reconnect */
    }
}

static int on_login(void *arg, struct sb_connect *ret, char **ret_error)
{
    struct sb_line *line = arg;
    struct sb_uplink *uplink = line->uplink;
    return uplink->dialect->connect(uplink->door.words, uplink->config, line->name,
                                    sb_loop_wall(loop_of(uplink)), ret, ret_error);
}

/* ---- their life ---- */

static struct sb_line *line_free(struct sb_line *line)
{
    if (!line)
        return NULL;
    line->uplink->open--;
    line->uplink->lit -= line->up;
    sb_line_land_all(line);
    sb_mqtt_free(line->mqtt);
    sb_timer_free(line->ending);
    free(line->device);
    free(line->name);
    free(line);
    return NULL;
}

static struct sb_line *line_new(struct sb_uplink *uplink, const char *device, const char *name)
{
    struct sb_line *line = calloc(1, sizeof(*line));
    if (!line)
        return NULL;
    line->uplink = uplink;
    line->outage = -1;
    uplink->open++;
    int r = sb_set_string(&line->device, device);
    r = r ? r : sb_set_string(&line->name, name);
    r = r ? r : sb_mqtt_new(loop_of(uplink), uplink->crew, on_login, on_event, line, &line->mqtt);
    return r ? line_free(line) : line;
}

static int add_line(struct sb_uplink *uplink, const char *device, const char *name)
{
    struct sb_line *line = line_new(uplink, device, name);
    int r = !line ? -ENOMEM : device ? sb_map_set(&uplink->lines, device, line) : 0;
    if (r < 0) {
        line_free(line);
        return r;
    }
    if (!device)
        uplink->own = line;
    sb_mqtt_start(line->mqtt);
    return 0;
}

/* Its device came back before it was through, or has another name. */
static int keep_line(struct sb_line *line, const char *name)
{
    line->ending = sb_timer_free(line->ending);
    if (sb_streq(line->name, name))
        return 0;
    int r = sb_set_string(&line->name, name);
    if (r == 0)
        sb_mqtt_renew(line->mqtt);
    return r;
}

int sb_line_need(struct sb_uplink *uplink, const struct sb_device *device)
{
    const struct sb_dialect_ops *dialect = uplink->dialect;
    bool own = !device || device->gateway;
    const char *name = own ? NULL : sb_device_name(device, dialect->name);
    bool wanted = dialect->has_connection ? dialect->has_connection(uplink->config, device) : own;
    if (!wanted || (!own && !name))
        return 0;
    if (own)
        return uplink->own ? 0 : add_line(uplink, NULL, NULL);
    struct sb_line *line = sb_map_get(&uplink->lines, device->id);
    return line ? keep_line(line, name) : add_line(uplink, device->id, name);
}

static void close_line(struct sb_line *line)
{
    struct sb_uplink *uplink = line->uplink;
    (void)sb_map_take(&uplink->lines, line->device);
    sb_host_connection_gone(uplink->door.host, &uplink->door, line->device);
    line_free(line);
    show(uplink);
}

static void on_ending(void *arg)
{
    close_line(arg);
}

/* What it was owed last may still leave it: only so long, and only if it is connected. */
void sb_line_end(struct sb_uplink *uplink, const char *device)
{
    struct sb_line *line = sb_map_get(&uplink->lines, device);
    if (!line || line->ending)
        return;
    if (!line->up || sb_timer_new(loop_of(uplink), on_ending, line, &line->ending) < 0)
        close_line(line);
    else
        sb_timer_in(line->ending, ENDING_MS);
}

int sb_uplink_lines_init(struct sb_uplink *uplink)
{
    struct sb_loop *loop = loop_of(uplink);
    int r = sb_timer_new(loop, on_beat, uplink, &uplink->beat);
    r = r ? r : sb_timer_new(loop, sb_uplink_patience, uplink, &uplink->patience);
    r = r ? r : sb_timer_new(loop, on_round, uplink, &uplink->round);
    return r ? r : sb_mqtt_crew_new(&uplink->crew);
}

void sb_uplink_lines_done(struct sb_uplink *uplink)
{
    size_t cursor = 0;
    struct sb_line *line;
    if (uplink->lit > 0)
        save_self(uplink);
    while ((line = sb_map_next(&uplink->lines, &cursor, NULL)))
        line_free(line);
    sb_map_done(&uplink->lines);
    uplink->own = line_free(uplink->own);
    sb_mqtt_crew_free(uplink->crew);
    sb_timer_free(uplink->beat);
    sb_timer_free(uplink->patience);
    sb_timer_free(uplink->round);
}
