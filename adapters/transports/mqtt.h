/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One MQTT 3.1.1 connection over TCP, TLS or WebSocket, by Paho MQTT C.
 *
 * Paho's callbacks run on its own threads: they copy, post to a bounded mailbox and return. When
 * the mailbox is full a message is refused to Paho, which delivers it again: nothing is lost.
 * Policy: reconnect for ever, with back-off (1 s doubling to 2 min) and full jitter, login data
 * made anew for each try; a try has a deadline. It never blocks the loop.
 * It does not queue: publishing while down is -EAGAIN (the outbox holds what must not be lost).
 * Thread: the loop.
 */
#pragma once

#include "adapters/dialects/dialect.h"
#include "bridge/loop.h"

struct sb_mqtt;

enum sb_mqtt_event_kind {
    SB_MQTT_UP,      /* connected and subscribed */
    SB_MQTT_DOWN,    /* text says why; when the next try is due is in value (ms) */
    SB_MQTT_MESSAGE, /* topic, payload */
    SB_MQTT_PUBACK,  /* value: the parcel id given to publish */
    SB_MQTT_LOST,    /* a publish failed before its PUBACK: value */
};
struct sb_mqtt_event {
    enum sb_mqtt_event_kind kind;
    const char *text, *topic;
    const void *payload;
    size_t size;
    int64_t value;
    bool session_present; /* UP */
};
typedef void (*sb_mqtt_fn)(void *arg, const struct sb_mqtt_event *event);
/* Makes the login data of the next try. 0 or -errno with a text. */
typedef int (*sb_mqtt_login_fn)(void *arg, struct sb_connect *ret, char **ret_error);

int sb_mqtt_new(struct sb_loop *loop, sb_mqtt_login_fn login, sb_mqtt_fn fn, void *arg,
                struct sb_mqtt **ret) SB_MUST_CHECK;
void sb_mqtt_start(struct sb_mqtt *mqtt);
int sb_mqtt_publish(struct sb_mqtt *mqtt, const char *topic, const void *payload, size_t n,
                    int qos, int64_t id) SB_MUST_CHECK;
struct sb_mqtt *sb_mqtt_free(struct sb_mqtt *mqtt); /* disconnects; bounded wait (2 s) */
SB_DEFINE_CLEANUP(struct sb_mqtt *, sb_mqtt_free)
