/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The world around Huawei conversations: a platform that keeps what it is sent and answers about
 * sub-devices, a core that takes jobs, a gateway with two devices, a clock.
 */
#pragma once

#include "adapters/dialects/huawei/codec.h"
#include "bridge/driver.h"
#include "bridge/mapping/type.h"

#define IOT_TASKS 16
#define IOT_SENT  256

enum iot_actor { IOT_GATEWAY, IOT_PUMP, IOT_VALVE, IOT_ACTORS };
#define IOT_GATEWAY_ID "prod_gw1"
#define IOT_PUMP_ID    "prod_pump7"
#define IOT_VALVE_ID   "prod_valve1"

struct iot_timer {
    enum iot_actor whose;
    char *tag;
    int64_t due;
};

struct iot_sent {
    char *topic;
    json_t *body;
    enum sb_parcel_class class;
    char *key;
};

struct iot_task {
    struct sb_job job;
    struct sb_task task;
    enum iot_actor whose;
    char *id; /* of the request, or NULL */
    json_t *package, *params;
};

struct iot {
    struct sb_huawei_config config;
    struct sb_words *words;
    struct sb_driver_ops driver;
    unsigned unsupported; /* bit per operation that the driver cannot do */
    struct sb_type type;
    struct sb_device devices[IOT_ACTORS];
    const char *names[IOT_ACTORS];
    void *states[IOT_ACTORS];
    bool up;
    int64_t now, wall;
    bool ready;
    const char *why;
    /* the platform */
    bool silent;       /* it does not answer about sub-devices */
    json_t *strangers; /* {name: true}: those it does not know */
    struct iot_sent sent[IOT_SENT];
    size_t sent_count;
    json_t *replies; /* array of events that are on their way down */
    unsigned events; /* ids given */
    /* the core */
    enum sb_cause refuse;
    const char *refuse_text;
    struct iot_task tasks[IOT_TASKS];
    size_t task_count;
    int64_t cancelled;
    unsigned depth, notes, saves;
    char *note; /* the last */
    struct iot_timer timers[64];
    void (*around)(bool begins); /* each step of a conversation; steps may then fail */
    bool failed;                 /* one did */
};

struct sb_words *iot_words(void);            /* mappings/dialects/huawei.yaml; NULL on failure */
struct iot *iot_new(struct sb_words *words); /* borrows them; all devices are ready at 1.0.0 */
void iot_free(struct iot *iot);

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
/* Equal to this JSON text? Says on stderr what it is if not. */
bool iot_is(const json_t *have, const char *wanted);
void iot_forget(struct iot *iot); /* what was sent */

void iot_task(struct iot *iot, size_t index, enum sb_task_state state);
void iot_fails(struct iot *iot, size_t index, enum sb_cause cause, enum sb_phase phase);
void iot_version(struct iot *iot, enum iot_actor actor, const char *version); /* and the news */
void iot_presence(struct iot *iot, enum iot_actor actor, enum sb_presence presence);
void iot_news(struct iot *iot, enum iot_actor actor, enum sb_news_kind kind);
void iot_passes(struct iot *iot, int64_t ms);
void iot_restarts(struct iot *iot); /* saved and read back; the link is down */
