/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the two halves of the network share: four_clock.c has what will happen, by time; four_net.c
 * has connections and sessions. Internal.
 */
#pragma once

#include "tests/scenario/four_net.h"

struct session { /* of one client id, as its server has it */
    struct session *next;
    struct net_server *server;
    char *client;
    bool kept;
    struct sb_mqtt *mqtt; /* connected by; NULL */
};

struct sb_mqtt {
    struct sb_mqtt *next;
    sb_mqtt_login_fn login;
    sb_mqtt_fn fn;
    void *arg;
    struct session *session;    /* up */
    int64_t wait;               /* of the back-off */
    int64_t last_up, last_down; /* when the last message of a direction arrives */
    bool dead;
};

enum kind { CONNECT, TO_SERVER, TO_CLIENT, CALL };

struct item { /* something that will happen */
    struct item *next;
    enum kind kind;
    int64_t due;
    struct sb_mqtt *mqtt;    /* but of a CALL, and of what is kept */
    struct session *session; /* TO_SERVER, TO_CLIENT */
    char *topic, *payload;
    size_t size;
    int qos;
    int64_t id;
    void (*call)(int64_t arg);
};

/* ---- four_clock.c ---- */

extern struct item *net_items; /* by due */
extern bool net_running;       /* inside an event */
struct item *net_add(enum kind kind, int64_t due);
void net_arm(void); /* after a change from outside an event */
void net_item_free(struct item *item);
void net_items_free(struct item **list);
void net_clock_reset(uint32_t seed);

/* ---- four_net.c ---- */

void net_happen(struct item *item);
void net_bury(void); /* after events: connections that were freed in them */
