/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core around the conversations of one link: a gateway with two devices, jobs, timers, a
 * clock. Each *_world.h embeds it and adds the platform: what its dialect sends goes to
 * take(), and what the platform answers is delivered when the step that asked is through.
 */
#pragma once

#include "adapters/dialects/dialect.h"
#include "bridge/driver.h"
#include "bridge/mapping/type.h"

#define CORE_TASKS 24

enum core_actor { CORE_GATEWAY, CORE_PUMP, CORE_VALVE, CORE_ACTORS };

struct core;
struct core_ops {
    const struct sb_dialect_ops *dialect;
    void (*take)(struct core *core, enum core_actor from, const struct sb_output *output);
    void (*deliver)(struct core *core); /* the platform's answers, by core_hears() */
};

struct core_task {
    struct sb_job job;
    struct sb_task task;
    enum core_actor whose;
    char *id; /* of the request, or NULL */
    json_t *package, *params;
};

struct core_timer {
    enum core_actor whose;
    char *tag;
    int64_t due;
};

struct core {
    const struct core_ops *ops;
    const struct sb_words *words;
    const void *config;
    struct sb_driver_ops driver;
    unsigned unsupported; /* bit per operation that the driver cannot do */
    struct sb_type type;
    struct sb_device devices[CORE_ACTORS]; /* "gateway", "pump-7", "valve.1"; ready, at 1.0.0 */
    const char *names[CORE_ACTORS];        /* in the dialect; the gateway: NULL */
    void *states[CORE_ACTORS];
    bool up[CORE_ACTORS];              /* connections; */
    enum core_actor line[CORE_ACTORS]; /* whose connection each uses: the gateway's */
    int64_t now, wall;
    bool ready, durable;
    const char *why;
    const char *secret, *secret_error; /* what the settings have; NULL: nothing */
    bool alone;                        /* what is said to devices nobody knows is not heard */
    /* jobs */
    enum sb_cause refuse;
    const char *refuse_text;
    bool merges; /* equal requests are one while they are open, and a cancel ends a task */
    struct core_task tasks[CORE_TASKS];
    size_t task_count;
    int64_t cancelled; /* task of the last SB_OUT_CANCEL */
    enum sb_cause cancel_cause;
    struct { /* the answer to a pull */
        unsigned count;
        uint64_t download;
        int64_t offset, total;
        char *bytes;
        size_t size;
        enum sb_cause cause;
        char *text;
    } supplied;
    const char *stream; /* what is pulled is called so now */
    /* what happened */
    void (*around)(bool begins); /* each step of a conversation; steps may then fail */
    bool failed;                 /* one did */
    unsigned renewals, saves, settled, depth, notes;
    char *note; /* the last */
    struct core_timer timers[64];
};

/* mappings/dialects/NAME.yaml below $SB_SOURCE: loaded once, kept to the end. */
const struct sb_words *core_words(const struct sb_dialect_shape *shape);
/* Into a zeroed one. Borrows all. */
void core_begin(struct core *core, const struct core_ops *ops, const struct sb_words *words,
                const void *config, const char *pump, const char *valve);
void core_done(struct core *core);

void core_step(struct core *core, enum core_actor actor, struct sb_input *input);
/* A message on the connection of `actor`; it goes to whom the dialect's decode() names. */
void core_hears(struct core *core, enum core_actor actor, const char *topic, const void *payload,
                size_t n);
void core_up(struct core *core, enum core_actor actor);
void core_down(struct core *core, enum core_actor actor);
void core_task(struct core *core, size_t index, enum sb_task_state state); /* and its news */
void core_progress(struct core *core, size_t index, enum sb_task_state state, uint8_t percent);
void core_fails(struct core *core, size_t index, enum sb_cause cause, enum sb_phase phase);
/* Another door's task of this operation and state. */
void core_foreign(struct core *core, enum core_actor actor, enum sb_op op, enum sb_task_state state,
                  enum sb_cause cause);
void core_news(struct core *core, enum core_actor actor, enum sb_news_kind kind);
void core_version(struct core *core, enum core_actor actor, const char *module,
                  const char *version); /* and the news */
void core_presence(struct core *core, enum core_actor actor, enum sb_presence presence);
void core_passes(struct core *core, int64_t ms); /* due timers fire in order */
void core_restarts(struct core *core);           /* saved and read back; everything is down */

/* Bytes of a stream are wanted; uri NULL: not any more. */
void core_pulls(struct core *core, uint64_t download, const char *uri, int64_t offset);

int64_t core_timer(const struct core *core, enum core_actor actor, const char *tag); /* ms; -1 */
/* At "a/b/c"; NULL: nothing is there. */
const json_t *core_at(const json_t *json, const char *path);
/* Equal to this JSON text (NULL: nothing)? Says on stderr what it is if not. */
bool core_is(const json_t *have, const char *wanted);
