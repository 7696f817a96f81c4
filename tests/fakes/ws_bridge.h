/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MQTT over WebSocket (ws://127.0.0.1:port/mqtt, subprotocol "mqtt") in front of a broker's TCP
 * port, by libwebsockets in the test's own loop: Debian's mosquitto has no WebSocket listener.
 * With a certificate it is wss. Counts connections, so that a test knows its bytes came this way.
 * Lives as long as the loop. Thread: the loop.
 */
#pragma once

#include "bridge/loop.h"

struct sb_ws_bridge;
/* cert and key: PEM files, or both NULL. Aborts the test on failure. */
struct sb_ws_bridge *sb_ws_bridge_new(struct sb_loop *loop, unsigned tcp_port, const char *cert,
                                      const char *key);
unsigned sb_ws_bridge_port(const struct sb_ws_bridge *bridge);
unsigned sb_ws_bridge_count(const struct sb_ws_bridge *bridge);
/* After the loop was freed. */
struct sb_ws_bridge *sb_ws_bridge_free(struct sb_ws_bridge *bridge);
