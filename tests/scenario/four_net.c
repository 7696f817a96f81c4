/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>

#include "bridge/base/str.h"
#include "tests/scenario/four_net_parts.h"

#define BACK_OFF_MIN 1000
#define BACK_OFF_MAX 120000
#define LATENCY_MIN  10
#define LATENCY_MORE 50

struct net net;

static struct net_server *servers;
static struct session *sessions;
static struct sb_mqtt *connections;
static struct item *kept; /* for sessions that are away, in order */

static int64_t arrival(int64_t *last)
{
    int64_t due = net_now() + LATENCY_MIN + net_draw(LATENCY_MORE);
    *last = SB_MAX(due, *last);
    return *last;
}

/* ---- connections that end ---- */

static void tell(struct sb_mqtt *mqtt, enum sb_mqtt_event_kind kind, int64_t value)
{
    if (!mqtt->dead)
        mqtt->fn(mqtt->arg,
                 &(struct sb_mqtt_event){ .kind = kind, .value = value, .text = "broken" });
}

static void to_server(struct item *item)
{
    struct net_server *server = item->session->server;
    server->received++;
    server->hear(item->session->client, item->topic, item->payload, item->size);
}

static void keep(struct item *item)
{
    struct item **at = &kept;
    while (*at)
        at = &(*at)->next;
    item->next = NULL;
    item->mqtt = NULL;
    *at = item;
}

static struct item *take_item_of(const struct sb_mqtt *mqtt)
{
    for (struct item **at = &net_items; *at; at = &(*at)->next) {
        struct item *item = *at;
        if (item->mqtt != mqtt || item->kind == CONNECT)
            continue;
        *at = item->next;
        return item;
    }
    return NULL;
}

/* What was on its way has arrived, or has not; the gateway cannot know. What follows something
 * that was lost is lost, too. */
static void drop_items(struct sb_mqtt *mqtt, const struct session *session)
{
    bool arrives = true;
    for (struct item *item; (item = take_item_of(mqtt));) {
        if (item->kind == TO_CLIENT && item->qos > 0 && session->kept) {
            keep(item);
            continue;
        }
        arrives = arrives && net_draw(2) == 0;
        if (item->kind == TO_SERVER && arrives)
            to_server(item);
        if (item->kind == TO_SERVER)
            tell(mqtt, SB_MQTT_LOST, item->id);
        net_item_free(item);
    }
}

static void disconnect(struct sb_mqtt *mqtt)
{
    struct session *session = mqtt->session;
    if (!session)
        return;
    mqtt->session = NULL;
    session->mqtt = NULL;
    drop_items(mqtt, session);
    session->server->down(session->client);
}

static void retry(struct sb_mqtt *mqtt)
{
    int64_t wait = mqtt->wait / 2 + net_draw((uint32_t)mqtt->wait / 2);
    mqtt->wait = SB_MIN(mqtt->wait * 2, BACK_OFF_MAX);
    net_add(CONNECT, net_now() + wait)->mqtt = mqtt;
    tell(mqtt, SB_MQTT_DOWN, wait);
}

static void broken(struct sb_mqtt *mqtt)
{
    if (!mqtt->session)
        return;
    disconnect(mqtt);
    mqtt->wait = BACK_OFF_MIN;
    retry(mqtt);
}

/* ---- connections that begin ---- */

static struct net_server *server_of(const char *uri)
{
    const char *host = uri ? strstr(uri, "://") : NULL;
    for (struct net_server *s = servers; host && s; s = s->next)
        if (strncmp(host + 3, s->host, strlen(s->host)) == 0)
            return s;
    return NULL;
}

static struct session *session_of(struct net_server *server, const char *client)
{
    for (struct session *s = sessions; s; s = s->next)
        if (s->server == server && sb_streq(s->client, client))
            return s;
    return NULL;
}

/* Takes its texts. */
static void send_item(struct item *item, struct sb_mqtt *mqtt)
{
    struct item *sent = net_add(TO_CLIENT, arrival(&mqtt->last_down));
    struct item *next = sent->next;
    int64_t due = sent->due;
    *sent = *item;
    sent->next = next;
    sent->due = due;
    sent->mqtt = mqtt;
    free(item);
}

static void send_kept(struct sb_mqtt *mqtt, const struct session *session)
{
    for (struct item **at = &kept; *at;) {
        struct item *item = *at;
        if (item->session != session) {
            at = &item->next;
            continue;
        }
        *at = item->next;
        send_item(item, mqtt);
    }
}

static void open_session(struct sb_mqtt *mqtt, struct net_server *server,
                         const struct sb_connect *login)
{
    struct session *session = session_of(server, login->client_id);
    bool present = session && session->kept && !login->clean;
    if (!session) {
        session = calloc(1, sizeof(*session));
        if (!session)
            abort();
        session->server = server;
        session->client = strdup(login->client_id);
        session->next = sessions;
        sessions = session;
    }
    if (session->mqtt)
        broken(session->mqtt); /* the newer one stays */
    session->kept = !login->clean;
    session->mqtt = mqtt;
    mqtt->session = session;
    mqtt->wait = BACK_OFF_MIN;
    server->ups++;
    mqtt->fn(mqtt->arg, &(struct sb_mqtt_event){ .kind = SB_MQTT_UP, .session_present = present });
    if (present)
        send_kept(mqtt, session);
    server->up(session->client);
}

static void try_connect(struct sb_mqtt *mqtt)
{
    struct sb_connect login = { 0 };
    sb_cleanup(sb_freep) char *error = NULL;
    int r = mqtt->login(mqtt->arg, &login, &error);
    struct net_server *server = r == 0 ? server_of(login.uri) : NULL;
    if (r < 0)
        (void)fprintf(stderr, "net: no login: %s\n", error ? error : strerror(-r));
    if (server && !server->cut)
        open_session(mqtt, server, &login);
    else
        retry(mqtt);
    sb_connect_done(&login);
}

/* ---- the clock ---- */

static void to_client(struct item *item)
{
    struct sb_mqtt *mqtt = item->mqtt;
    if (mqtt->dead)
        return;
    if (item->qos > 0 && net_draw(100) < net.twice) {
        struct item *again = net_add(TO_CLIENT, arrival(&mqtt->last_down));
        again->mqtt = mqtt;
        again->session = item->session;
        again->topic = strdup(item->topic);
        again->payload = strdup(item->payload);
        again->size = item->size;
    }
    mqtt->fn(mqtt->arg, &(struct sb_mqtt_event){ .kind = SB_MQTT_MESSAGE,
                                                 .topic = item->topic,
                                                 .payload = item->payload,
                                                 .size = item->size });
}

void net_happen(struct item *item)
{
    switch (item->kind) {
    case CONNECT:
        try_connect(item->mqtt);
        break;
    case TO_SERVER:
        to_server(item);
        if (item->qos > 0 && net_draw(100) < net.lost) {
            tell(item->mqtt, SB_MQTT_LOST, item->id);
            broken(item->mqtt);
        } else {
            tell(item->mqtt, SB_MQTT_PUBACK, item->id);
        }
        break;
    case TO_CLIENT:
        to_client(item);
        break;
    case CALL:
        item->call(item->id);
        break;
    }
}

void net_bury(void)
{
    for (struct sb_mqtt **at = &connections; *at;) {
        struct sb_mqtt *mqtt = *at;
        if (!mqtt->dead) {
            at = &mqtt->next;
            continue;
        }
        *at = mqtt->next;
        free(mqtt);
    }
}

/* ---- mqtt.h ---- */

int sb_mqtt_crew_new(struct sb_mqtt_crew **ret)
{
    *ret = NULL;
    return 0;
}

struct sb_mqtt_crew *sb_mqtt_crew_free(struct sb_mqtt_crew *crew)
{
    return crew;
}

int sb_mqtt_new(struct sb_loop *loop SB_UNUSED, struct sb_mqtt_crew *crew SB_UNUSED,
                sb_mqtt_login_fn login, sb_mqtt_fn fn, void *arg, struct sb_mqtt **ret)
{
    struct sb_mqtt *mqtt = calloc(1, sizeof(*mqtt));
    if (!mqtt)
        return -ENOMEM;
    *mqtt = (struct sb_mqtt){ .next = connections, .login = login, .fn = fn, .arg = arg };
    mqtt->wait = BACK_OFF_MIN;
    connections = mqtt;
    *ret = mqtt;
    return 0;
}

void sb_mqtt_start(struct sb_mqtt *mqtt)
{
    net_add(CONNECT, net_now() + LATENCY_MIN + net_draw(LATENCY_MORE))->mqtt = mqtt;
    net_arm();
}

int sb_mqtt_publish(struct sb_mqtt *mqtt, const char *topic, const void *payload, size_t n, int qos,
                    int64_t id)
{
    if (!mqtt->session)
        return -EAGAIN;
    struct item *item = net_add(TO_SERVER, arrival(&mqtt->last_up));
    item->mqtt = mqtt;
    item->session = mqtt->session;
    item->topic = strdup(topic);
    item->payload = strndup(payload ? payload : "", n);
    item->size = n;
    item->qos = qos;
    item->id = id;
    net_arm();
    return 0;
}

/* What is on its way arrives before; see mqtt.h. */
void sb_mqtt_renew(struct sb_mqtt *mqtt)
{
    if (!mqtt->session)
        return;
    for (struct item *item; (item = take_item_of(mqtt));) {
        if (item->kind == TO_SERVER) {
            to_server(item);
            tell(mqtt, SB_MQTT_PUBACK, item->id);
        }
        net_item_free(item);
    }
    disconnect(mqtt);
    net_add(CONNECT, net_now() + LATENCY_MIN)->mqtt = mqtt;
    net_arm();
    mqtt->fn(mqtt->arg,
             &(struct sb_mqtt_event){ .kind = SB_MQTT_DOWN, .renewal = true, .text = "renewal" });
}

struct sb_mqtt *sb_mqtt_free(struct sb_mqtt *mqtt)
{
    if (!mqtt)
        return NULL;
    mqtt->dead = true;
    disconnect(mqtt);
    for (struct item **at = &net_items; *at;) {
        struct item *item = *at;
        if (item->mqtt != mqtt) {
            at = &item->next;
            continue;
        }
        *at = item->next;
        net_item_free(item);
    }
    if (!net_running)
        net_bury();
    return NULL;
}

/* ---- for servers and tests ---- */

void net_serve(struct net_server *server)
{
    server->next = servers;
    servers = server;
}

void net_break(struct net_server *server)
{
    for (struct sb_mqtt *mqtt = connections; mqtt; mqtt = mqtt->next)
        if (mqtt->session && mqtt->session->server == server)
            broken(mqtt);
    net_arm();
}

void net_cut(struct net_server *server, bool cut)
{
    server->cut = cut;
    if (cut)
        net_break(server);
}

bool net_is_up(const struct net_server *server, const char *client)
{
    for (const struct session *s = sessions; s; s = s->next)
        if (s->server == server && sb_streq(s->client, client))
            return s->mqtt != NULL;
    return false;
}

bool net_send(struct net_server *server, const char *client, const char *topic, json_t *payload,
              int qos)
{
    struct session *session = session_of(server, client);
    struct sb_mqtt *mqtt = session ? session->mqtt : NULL;
    char *text = payload ? json_dumps(payload, JSON_COMPACT) : strdup("");
    json_decref(payload);
    if (!text)
        abort();
    if (!session || (!mqtt && (!session->kept || qos == 0))) {
        free(text);
        return false;
    }
    struct item *item = calloc(1, sizeof(*item));
    if (!item)
        abort();
    *item = (struct item){ .kind = TO_CLIENT,
                           .session = session,
                           .topic = strdup(topic),
                           .payload = text,
                           .size = strlen(text),
                           .qos = qos };
    if (mqtt)
        send_item(item, mqtt);
    else
        keep(item);
    net_arm();
    return true;
}

void net_reset(uint32_t seed)
{
    net_clock_reset(seed);
    net_items_free(&kept);
    while (sessions) {
        struct session *session = sessions;
        sessions = session->next;
        free(session->client);
        free(session);
    }
    servers = NULL;
    net = (struct net){ 0 };
}
