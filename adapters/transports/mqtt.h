/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MQTT 3.1.1 connections over TCP, TLS or WebSocket, by Paho MQTT C.
 *
 * Paho runs on threads of its own, and so do our calls to it: none of the functions here waits,
 * but for sb_mqtt_crew_free(). A crew is one such thread for any number of connections, so that
 * hundreds to one place cost no thread each; connections to another place belong to another crew,
 * since a call may take as long as a dead name server likes. What arrives is copied into a bounded
 * queue; while it is full Paho stops reading and the broker waits, so nothing is lost and memory is
 * bounded. Policy: reconnect for ever, with back-off (1 s doubling to 2 min, from the start again
 * once a connection has lasted a minute) and full jitter; login data made anew for each try; a try,
 * to the last SUBACK, has 30 s. A subscription that is refused is a failed try. It does not queue:
 * publishing while down is -EAGAIN (the outbox holds what must not be lost), and -ENOBUFS while
 * 1000 publishes or 8 MiB are unacknowledged. Order: MESSAGE events come in the order of arrival,
 * and may precede UP: what the broker kept for the session is sent before SUBACK. Every publish
 * taken gets one PUBACK or LOST; those that are lost with a connection precede its DOWN. Of a burst
 * some 64 events are reported in each turn of the loop. After sb_mqtt_free() nothing more is
 * reported. TLS trusts ca_file alone, or else the system's certificates; `verify` false trusts
 * anybody. Thread: the loop.
 */
#pragma once

#include "adapters/dialects/dialect.h"
#include "bridge/loop.h"

struct sb_mqtt;
struct sb_mqtt_crew;

int sb_mqtt_crew_new(struct sb_mqtt_crew **ret) SB_MUST_CHECK;
/* After its connections were freed: waits until they are closed, 2 s at most. */
struct sb_mqtt_crew *sb_mqtt_crew_free(struct sb_mqtt_crew *crew);

enum sb_mqtt_event_kind {
    SB_MQTT_UP,      /* connected and subscribed */
    SB_MQTT_DOWN,    /* text says why; when the next try is due is in value (ms) */
    SB_MQTT_MESSAGE, /* topic, payload */
    SB_MQTT_PUBACK,  /* value: the parcel id given to publish; QoS 0: written */
    SB_MQTT_LOST,    /* a publish failed before its PUBACK: value */
};
struct sb_mqtt_event {
    enum sb_mqtt_event_kind kind;
    const char *text, *topic;
    const void *payload;
    size_t size;
    int64_t value;
    bool session_present; /* UP */
    bool renewal;         /* DOWN: by sb_mqtt_renew(), the next try is now */
};
typedef void (*sb_mqtt_fn)(void *arg, const struct sb_mqtt_event *event);
/* Makes the login data of the next try. 0 or -errno with a text. */
typedef int (*sb_mqtt_login_fn)(void *arg, struct sb_connect *ret, char **ret_error);

int sb_mqtt_new(struct sb_loop *loop, struct sb_mqtt_crew *crew, sb_mqtt_login_fn login,
                sb_mqtt_fn fn, void *arg, struct sb_mqtt **ret) SB_MUST_CHECK;
void sb_mqtt_start(struct sb_mqtt *mqtt);
/* -EAGAIN: down. -ENOBUFS: too much unacknowledged. -EMSGSIZE: more than 1 MiB. -ENOMEM. */
int sb_mqtt_publish(struct sb_mqtt *mqtt, const char *topic, const void *payload, size_t n, int qos,
                    int64_t id) SB_MUST_CHECK;
/*
 * Connects anew with fresh login data, without back-off: what is unacknowledged has 2 s before,
 * and nothing further is taken meanwhile. A try that is on its way begins again. While it is down
 * it does nothing: each try is fresh.
 */
void sb_mqtt_renew(struct sb_mqtt *mqtt);
/* Disconnects, but does not wait for that. Also inside the event function, but not inside login. */
struct sb_mqtt *sb_mqtt_free(struct sb_mqtt *mqtt);
SB_DEFINE_CLEANUP(struct sb_mqtt *, sb_mqtt_free)

/* The server that a login leads to, for doctor. -EINVAL: not a URI of ours, with a text; -ENOMEM.
 */
int sb_mqtt_reach(const struct sb_connect *login, struct sb_reach *ret,
                  char **ret_error) SB_MUST_CHECK;
