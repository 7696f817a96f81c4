/* SPDX-License-Identifier: Apache-2.0 */
/* The connections of an uplink, and what is on its way on them. */
#include <errno.h>

#include "adapters/dialects/uplink_parts.h"
#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"

#define SHOW_MS   (2 * SB_SECOND)
#define ENDING_MS (10 * SB_SECOND) /* a connection without a device goes on for so long */

static struct sb_loop *loop_of(const struct sb_uplink *uplink)
{
    return sb_host_loop(uplink->door.host);
}

/* One that is to have its own, and has it not yet, must not speak on the link's. */
struct sb_line *sb_line_of(struct sb_uplink *uplink, const char *device)
{
    const struct sb_dialect_ops *dialect = uplink->dialect;
    if (!device || !*device)
        return uplink->own;
    struct sb_line *line = sb_map_get(&uplink->lines, device);
    const struct sb_device *record =
        line || !dialect->has_connection ? NULL : sb_host_device(uplink->door.host, device);
    bool waits = record && dialect->has_connection(uplink->config, record);
    return line || waits ? line : uplink->own;
}

int64_t sb_line_outage(const struct sb_line *line)
{
    if (!line)
        return -1;
    if (line->up)
        return line->outage;
    const struct sb_uplink *uplink = line->uplink;
    int64_t wall = sb_loop_wall(loop_of(uplink));
    if (line->ever_up)
        return sb_loop_now(loop_of(uplink)) - line->down_at;
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

static void land_all(const struct sb_line *line)
{
    struct sb_uplink *uplink = line->uplink;
    for (struct sb_flying **at = &uplink->flying; *at;) {
        struct sb_flying *flying = *at;
        if (flying->line != line) {
            at = &flying->next;
            continue;
        }
        *at = flying->next;
        flying_free(flying);
    }
    if (!uplink->flying && uplink->patience)
        sb_timer_stop(uplink->patience);
}

static int take_off(struct sb_line *line, const struct sb_parcel *parcel)
{
    struct sb_flying *flying = calloc(1, sizeof(*flying));
    if (!flying || !(flying->token = strdup(parcel->token))) {
        free(flying);
        return -ENOMEM;
    }
    flying->line = line;
    flying->id = parcel->id;
    flying->next = line->uplink->flying;
    line->uplink->flying = flying;
    return 0;
}

int sb_line_send(struct sb_uplink *uplink, const struct sb_parcel *parcel)
{
    struct sb_line *line =
        parcel->connection ? sb_map_get(&uplink->lines, parcel->connection) : uplink->own;
    if (!line || !line->up)
        return -EAGAIN;
    bool awaits = parcel->token && sb_words_limit(uplink->door.words, "reply_timeout") > 0;
    int r = awaits ? take_off(line, parcel) : 0;
    r = r ? r
          : sb_mqtt_publish(line->mqtt, parcel->topic, parcel->payload, parcel->size, parcel->qos,
                            parcel->id);
    if (r == -ENOMEM || r == -ENOBUFS)
        r = -EBUSY; /* it can be sent, later */
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
void sb_uplink_patience(void *arg)
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

/* ---- a connection's events ---- */

static void on_recall(void *arg, const char *topic, const void *payload, size_t n)
{
    sb_uplink_message(arg,
                      &(struct sb_mqtt_event){
                          .kind = SB_MQTT_MESSAGE, .topic = topic, .payload = payload, .size = n });
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
    sb_uplink_up(line);
    sb_host_recall(uplink->door.host, &uplink->door, line->device, on_recall, line);
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
        land_all(line);
        sb_uplink_dark(line);
    }
    if (!event->renewal) /* else it is back at once, or says why not */
        show_line(line, event->text ? event->text : "disconnected", event->value);
    sb_host_connection(uplink->door.host, &uplink->door, line->device, false);
    if (was_up)
        sb_uplink_down(line);
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
        sb_uplink_message(line, event);
        break;
    case SB_MQTT_PUBACK:
        on_puback(line->uplink, event->value);
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

struct sb_line *sb_line_free(struct sb_line *line)
{
    if (!line)
        return NULL;
    line->uplink->open--;
    line->uplink->lit -= line->up;
    land_all(line);
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
    return r ? sb_line_free(line) : line;
}

static int add_line(struct sb_uplink *uplink, const char *device, const char *name)
{
    struct sb_line *line = line_new(uplink, device, name);
    int r = !line ? -ENOMEM : device ? sb_map_set(&uplink->lines, device, line) : 0;
    if (r < 0) {
        sb_line_free(line);
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
    sb_line_free(line);
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

void sb_lines_free(struct sb_uplink *uplink)
{
    size_t cursor = 0;
    struct sb_line *line;
    while ((line = sb_map_next(&uplink->lines, &cursor, NULL)))
        sb_line_free(line);
    sb_map_done(&uplink->lines);
}
