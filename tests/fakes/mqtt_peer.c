/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/mqtt_peer.h"

#include <errno.h>
#include <stdio.h>

static char *copy(const char *text)
{
    char *made = text ? strdup(text) : NULL;
    if (text && !made)
        abort();
    return made;
}

static int login(void *arg, struct sb_connect *ret, char **ret_error)
{
    struct sb_mqtt_peer *peer = arg;

    peer->tries++;
    if (peer->refuse) {
        *ret_error = copy(peer->refuse);
        return -EACCES;
    }
    *ret = (struct sb_connect){
        .uri = copy(peer->uri),
        .client_id = copy(peer->id),
        .user = copy(peer->password ? "gw" : NULL),
        .password = copy(peer->password),
        .clean = peer->clean,
        .keepalive = 60,
        .qos = 1,
        .ca_file = copy(peer->ca),
        .cert_file = copy(peer->cert),
        .key_file = copy(peer->key),
        .verify = !peer->no_verify,
    };
    ret->topics = calloc(SB_COUNT(peer->topics), sizeof(char *));
    for (size_t i = 0; ret->topics && i < SB_COUNT(peer->topics) && peer->topics[i]; i++)
        ret->topics[ret->topic_count++] = copy(peer->topics[i]);
    return 0;
}

static void mark(struct sb_mqtt_peer *peer, char what)
{
    size_t n = strlen(peer->trace);
    if (n + 1 < sizeof(peer->trace))
        peer->trace[n] = what;
}

/* A payload that is a number says whether order was kept. */
static void keep_message(struct sb_mqtt_peer *peer, const struct sb_mqtt_event *event)
{
    char *payload = malloc(event->size + 1);

    if (!payload)
        abort();
    memcpy(payload, event->payload, event->size);
    payload[event->size] = '\0';
    if (peer->payload && strtol(payload, NULL, 10) != strtol(peer->payload, NULL, 10) + 1)
        peer->out_of_order++;
    free(peer->topic);
    free(peer->payload);
    peer->topic = copy(event->topic);
    peer->payload = payload;
    peer->size = event->size;
    peer->messages++;
    peer->messages_before_up |= peer->ups == 0;
}

static void on_event(void *arg, const struct sb_mqtt_event *event)
{
    struct sb_mqtt_peer *peer = arg;

    sb_loop_stop(peer->loop);
    switch (event->kind) {
    case SB_MQTT_UP:
        peer->ups++;
        peer->session_present = event->session_present;
        mark(peer, 'U');
        break;
    case SB_MQTT_DOWN:
        peer->downs++;
        peer->delay = event->value;
        free(peer->down);
        peer->down = copy(event->text);
        mark(peer, 'D');
        if (peer->free_on_down)
            peer->mqtt = sb_mqtt_free(peer->mqtt);
        break;
    case SB_MQTT_MESSAGE:
        keep_message(peer, event);
        break;
    case SB_MQTT_PUBACK:
        peer->acks++;
        peer->last_ack = event->value;
        mark(peer, 'A');
        break;
    case SB_MQTT_LOST:
        peer->losts++;
        peer->last_lost = event->value;
        mark(peer, 'L');
        break;
    }
}

void sb_mqtt_peer_start(struct sb_mqtt_peer *peer, struct sb_loop *loop)
{
    peer->loop = loop;
    if (sb_mqtt_crew_new(&peer->crew) < 0 ||
        sb_mqtt_new(loop, peer->crew, login, on_event, peer, &peer->mqtt) < 0) {
        (void)fprintf(stderr, "mqtt_peer: cannot be made\n");
        abort();
    }
    sb_mqtt_start(peer->mqtt);
}

void sb_mqtt_peer_done(struct sb_mqtt_peer *peer)
{
    peer->mqtt = sb_mqtt_free(peer->mqtt);
    peer->crew = sb_mqtt_crew_free(peer->crew);
    free(peer->down);
    free(peer->topic);
    free(peer->payload);
    peer->down = peer->topic = peer->payload = NULL;
}
