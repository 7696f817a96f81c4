/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The world around Huawei conversations: a platform that keeps what it is sent and answers about
 * sub-devices, beside the core.
 */
#pragma once

#include "adapters/dialects/huawei/codec.h"
#include "adapters/dialects/huawei/huawei.h"
#include "tests/fakes/core.h"

#define IOT_SENT       256

#define IOT_GATEWAY_ID "prod_gw1"
#define IOT_PUMP_ID    "prod_pump7"
#define IOT_VALVE_ID   "prod_valve1"

struct iot_sent {
    char *topic;
    json_t *body;
    enum sb_parcel_class class;
    char *key;
};

struct iot {
    struct core core; /* first */
    struct sb_huawei_config config;
    bool silent;       /* it does not answer about sub-devices */
    json_t *strangers; /* {name: true}: those it does not know */
    struct iot_sent sent[IOT_SENT];
    size_t sent_count;
    json_t *replies; /* array of events that are on their way down */
    unsigned events; /* ids given */
};

struct iot *iot_new(void); /* all devices are ready at 1.0.0 */
void iot_free(struct iot *iot);
int iot_begin(void **state); /* a test's set-up: up, and nothing was sent yet */
int iot_end(void **state);

void iot_up(struct iot *iot); /* and everybody is told */
void iot_down(struct iot *iot);
void iot_hears(struct iot *iot, const char *topic, const void *payload, size_t n);
/* An event of the platform's: object NULL: none; paras as JSON text; with an id of its own. */
void iot_event(struct iot *iot, const char *object, const char *service, const char *type,
               const char *paras);
void iot_event_id(struct iot *iot, const char *object, const char *service, const char *type,
                  const char *id, const char *paras);
/* A command or property request; what: "commands", "properties/set", "properties/get". */
void iot_request(struct iot *iot, const char *what, const char *id, const char *body);

/* paras of the last event of this type about the device (NULL: without object_device_id); NULL:
 * none. Borrowed. */
const json_t *iot_last(const struct iot *iot, const char *object, const char *type);
size_t iot_count(const struct iot *iot, const char *object, const char *type);
/* The answer to a request; NULL: none. Borrowed. */
const json_t *iot_answer(const struct iot *iot, const char *what, const char *id);
size_t iot_answers(const struct iot *iot, const char *what, const char *id);
void iot_forget(struct iot *iot); /* what was sent */

void iot_presence(struct iot *iot, enum core_actor actor, enum sb_presence presence);
void iot_restarts(struct iot *iot); /* saved and read back; the link is down */
