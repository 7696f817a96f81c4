/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An sb_mqtt with settings that a test may change between tries, and a record of its events.
 * Stops the loop at each event. Thread: the loop.
 */
#pragma once

#include "adapters/transports/mqtt.h"

struct sb_mqtt_peer {
    /* Settings, borrowed */
    const char *uri, *id, *password, *topics[2], *ca, *cert, *key,
        *refuse; /* refuse: login fails */
    bool clean, no_verify;
    /* Record */
    struct sb_loop *loop;
    struct sb_mqtt_crew *crew;
    struct sb_mqtt *mqtt;
    unsigned tries, ups, downs, messages, acks, losts, out_of_order;
    bool session_present, messages_before_up, free_on_down;
    int64_t last_ack, last_lost, delay; /* delay: of the last DOWN */
    char *down, *topic, *payload;       /* the last ones */
    size_t size;
    char trace[64]; /* U D A L, the first ones */
};

void sb_mqtt_peer_start(struct sb_mqtt_peer *peer, struct sb_loop *loop);
void sb_mqtt_peer_done(struct sb_mqtt_peer *peer);
