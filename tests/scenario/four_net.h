/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network on the simulated clock, in the place of mqtt.h's: it defines sb_mqtt_*. Each cloud is
 * one server, found by the host in a login's URI; it outlives the gateway's restarts.
 *
 * What MQTT promises and no more: each direction of a connection keeps its order; QoS 1 comes once
 * or, after a break, again; what is on its way when a connection breaks has arrived or has not.
 * A kept session (clean false) gets its QoS 1 messages when it is back. Randomness is seeded.
 * Thread: the loop.
 */
#pragma once

#include <jansson.h>

#include "adapters/transports/mqtt.h"

struct net_server {
    const char *host; /* of the URI, "ibm.example.com" */
    /* A client has a session; it has none any more. What it sent, n bytes. */
    void (*up)(const char *client);
    void (*down)(const char *client);
    void (*hear)(const char *client, const char *topic, const char *payload, size_t n);
    bool cut;               /* nobody gets through */
    unsigned ups, received; /* counted */
    struct net_server *next;
};

struct net {        /* faults, for tests */
    unsigned lost;  /* percent of QoS 1 messages of the gateway whose PUBACK is lost, with the
                       connection */
    unsigned twice; /* percent of QoS 1 messages to the gateway that come twice */
};
extern struct net net;

void net_reset(uint32_t seed);             /* no servers, no messages, no faults */
void net_serve(struct net_server *server); /* borrowed */
void net_power(struct sb_loop *loop);      /* the gateway's; NULL: off */
int64_t net_now(void);                     /* ms, over restarts */
void net_skip(int64_t ms);                 /* passes while the gateway is off */
uint32_t net_draw(uint32_t below);         /* the test's own dice, too */
void net_cut(struct net_server *server, bool cut);
void net_break(struct net_server *server); /* its connections; they may come back */
bool net_is_up(const struct net_server *server, const char *client);
/* To a client; payload is taken. False: it is not connected, and nothing is kept for it. */
bool net_send(struct net_server *server, const char *client, const char *topic, json_t *payload,
              int qos);
/* Calls fn in ms, whether the gateway has power or not (as soon as it has it again). */
void net_later(int64_t ms, void (*fn)(int64_t arg), int64_t arg);
