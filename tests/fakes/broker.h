/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A private, real mosquitto for one test: own directory, free ports, password file, certificates
 * made by the openssl program. It is killed and its directory removed by sb_broker_free().
 *
 * Everybody logs in as user "gw" with password "right". Certificates are
 * for localhost and 127.0.0.1, but those of SB_BROKER_OTHER_NAME. All functions abort the test on
 * failure; waits have a deadline. Thread: any one.
 */
#pragma once

#include "bridge/base/util.h"

enum sb_broker_port {
    SB_BROKER_TCP,
    SB_BROKER_TLS,
    SB_BROKER_OTHER_NAME,  /* TLS, its certificate is made for elsewhere.example */
    SB_BROKER_CLIENT_CERT, /* TLS, asks for client.pem with client.key */
    SB_BROKER_PORT_MAX_,
};

struct sb_broker;
struct sb_broker *sb_broker_new(void); /* makes the files */
struct sb_broker *sb_broker_free(struct sb_broker *broker);
SB_DEFINE_CLEANUP(struct sb_broker *, sb_broker_free)
void sb_broker_start(
    struct sb_broker *broker); /* returns when it takes connections; idle if running */
void sb_broker_kill(struct sb_broker *broker); /* SIGKILL */
/* Has it write its sessions, until the file holds this text (a client id, a topic). */
void sb_broker_save(const struct sb_broker *broker, const char *text);
void sb_broker_freeze(struct sb_broker *broker, bool frozen);
unsigned sb_broker_port(const struct sb_broker *broker, enum sb_broker_port port);
/* In its directory: "ca.pem", "other-ca.pem", "server.pem", "server.key", "client.pem", ... */
char *sb_broker_path(const struct sb_broker *broker, const char *name); /* caller frees */
/* Publishes each line by mosquitto_pub with QoS 1; returns when the broker has them all. */
void sb_broker_publish(const struct sb_broker *broker, const char *topic, const char *lines);

unsigned sb_free_port(void); /* a TCP port of 127.0.0.1 that nobody used just now */
