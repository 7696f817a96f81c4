/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The world around Azure conversations: a hub with twins that answers as the documentation says, a
 * core that takes jobs, two devices and the gateway, a clock. Mode devices: each has a connection
 * and a twin; mode gateway: all use the gateway's.
 */
#pragma once

#include "adapters/dialects/azure/azure.h"
#include "adapters/dialects/azure/codec.h"
#include "bridge/driver.h"
#include "bridge/mapping/type.h"
#include "bridge/package/package.h"

#define HUB_TASKS 16

enum hub_actor { HUB_GATEWAY, HUB_PUMP, HUB_VALVE, HUB_ACTORS }; /* "gw-1" "pump-7" "valve.1" */

struct hub_timer {
    enum hub_actor whose;
    char *tag;
    int64_t due;
};

struct hub_answer { /* of a method */
    int status;
    char *rid;
    json_t *payload;
};

struct hub_task {
    struct sb_job job;
    struct sb_task task;
    enum hub_actor whose;
    char *package, *params; /* as JSON text, or NULL */
};

struct hub_reply {
    enum hub_actor to;
    char *topic, *text;
};

struct hub {
    struct sb_azure_config config;
    struct sb_words *words;
    struct sb_driver_ops driver;
    unsigned unsupported; /* bit per operation that the driver cannot do */
    struct sb_type type;
    struct sb_device devices[HUB_ACTORS];
    void *states[HUB_ACTORS];
    bool up[HUB_ACTORS];
    int64_t now, wall;
    bool ready, stranger; /* stranger: the next method is for a device that nobody knows */
    const char *why;
    /* the hub */
    json_t *desired[HUB_ACTORS], *reported[HUB_ACTORS]; /* twins */
    int status;                                         /* of twin requests: 0 as it should be */
    bool silent;                                        /* it does not answer them */
    bool miss; /* changes of desired properties are not told */
    unsigned reads, patches;
    struct hub_reply replies[64];
    size_t reply_count;
    struct hub_answer answers[64];
    size_t answer_count;
    unsigned rids;
    /* the core */
    enum sb_cause refuse;
    const char *refuse_text;
    struct hub_task tasks[HUB_TASKS];
    size_t task_count;
    int64_t cancelled; /* task of the last SB_OUT_CANCEL */
    enum sb_cause cancel_cause;
    void (*around)(bool begins); /* each step of a conversation; steps may then fail */
    bool failed;                 /* one did */
    unsigned renewals, saves, settled, depth, notes;
    char *note; /* the last */
    struct hub_timer timers[64];
};

struct sb_words *hub_words(void); /* mappings/dialects/azure.yaml; NULL on failure */
struct hub *hub_new(struct sb_words *words, enum sb_azure_mode mode); /* borrows them */
void hub_free(struct hub *hub);

void hub_up(struct hub *hub, enum hub_actor actor);
void hub_down(struct hub *hub, enum hub_actor actor);
/* The back end changes desired properties by a merge patch. */
void hub_desires(struct hub *hub, enum hub_actor actor, const char *patch);
/* It calls a method; its $rid, which is borrowed. payload NULL: none. */
const char *hub_calls(struct hub *hub, enum hub_actor actor, const char *method,
                      const char *payload);
void hub_hears(struct hub *hub, enum hub_actor actor, const char *topic, const void *payload,
               size_t n);
/* Its answer was this status and JSON ("*": any); false and a text on stderr: it was not. */
bool hub_answered(const struct hub *hub, const char *rid, int status, const char *json);
bool hub_unanswered(const struct hub *hub, const char *rid);
/* Is that what the twin reports at "a/b/c"? json NULL: nothing is there. */
bool hub_reports(const struct hub *hub, enum hub_actor actor, const char *path, const char *json);

void hub_task(struct hub *hub, size_t index, enum sb_task_state state);
void hub_fails(struct hub *hub, size_t index, enum sb_cause cause, enum sb_phase phase);
void hub_foreign(struct hub *hub, enum hub_actor actor, enum sb_op op, enum sb_task_state state,
                 enum sb_cause cause);
void hub_news(struct hub *hub, enum hub_actor actor, enum sb_news_kind kind);
void hub_passes(struct hub *hub, int64_t ms);
void hub_restarts(struct hub *hub); /* saved and read back; everything is down */
int64_t hub_timer(const struct hub *hub, enum hub_actor actor, const char *tag); /* ms; -1 */
