/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The world around one IBM conversation: a platform that sends texts, a core that takes jobs, a
 * device, a clock. Everything the conversation puts out is kept in order.
 */
#pragma once

#include "adapters/dialects/ibm/codec.h"
#include "adapters/dialects/ibm/ibm.h"
#include "bridge/driver.h"
#include "bridge/mapping/type.h"
#include "bridge/package/package.h"
#include "tests/fakes/core.h"

#define WORLD_TASKS 16

struct world_timer {
    char *tag;
    int64_t due;
};

struct world {
    struct sb_ibm_config config;
    const struct sb_words *words;
    struct sb_driver_ops driver;
    struct sb_type type;
    struct sb_device device; /* "pump-7", in the dialect "pump/p7"; known: it exists */
    struct sb_device gateway;
    struct sb_package package; /* what is staged, if staged */
    bool known, staged, self, has_gateway;
    void *state;
    int64_t now, wall, outage;
    bool backlog, ready;
    const char *why;
    /* how the core answers a request */
    enum sb_cause refuse;
    const char *refuse_text;
    int64_t existing; /* task that the request equals; 0: a new one */
    bool core;        /* conflicts and cancels as the core has them, their news at the turn's end */
    unsigned depth;   /* steps under way */
    bool news[WORLD_TASKS]; /* then: of these tasks */
    /* what came out */
    struct sb_output *log; /* all outputs in order; SENDs are read one by one */
    size_t log_count, log_room, read_at;
    unsigned saves;
    struct world_timer timers[64];
    struct sb_job jobs[WORLD_TASKS];
    struct sb_task tasks[WORLD_TASKS];
    size_t task_count;
    bool quiet; /* do not print mismatches */
};

struct world *world_new(void);
void world_free(struct world *world);

/* The platform says something to the device (suffix) or on a whole topic. */
void world_says(struct world *world, const char *suffix, const char *payload);
void world_hears(struct world *world, const char *topic, const void *payload, size_t n);
void world_step(struct world *world, struct sb_input *input);
void world_up(struct world *world);
void world_down(struct world *world);
void world_news(struct world *world, enum sb_news_kind kind);
/* The task moves; its door hears of it. */
void world_task(struct world *world, size_t index, enum sb_task_state state);
void world_fails(struct world *world, size_t index, enum sb_cause cause, enum sb_phase phase);
/* Another door's task of this operation and state. */
void world_foreign(struct world *world, enum sb_op op, enum sb_task_state state,
                   enum sb_cause cause);
/* Time passes; due timers fire in order. */
void world_passes(struct world *world, int64_t ms);
/* Saved and read back, as over a restart of the process; open tasks are asked for. */
bool world_restarts(struct world *world);

/* The next message sent: its topic (or the suffix) and its JSON; "reqId": "*" stands for any id,
 * "*" for any payload. */
bool world_sent_on(struct world *world, const char *topic, const char *json);
const struct sb_output *world_next_on(struct world *world, const char *topic);
bool world_sent(struct world *world, const char *suffix, const char *json);
/* The next message sent, of this suffix; its payload, borrowed; NULL: another or none. */
const struct sb_output *world_next(struct world *world, const char *suffix);
bool world_silent(struct world *world); /* no further message */
void world_forget(struct world *world); /* what came out so far */
size_t world_count(const struct world *world, enum sb_output_kind kind);
const struct sb_output *world_last(const struct world *world, enum sb_output_kind kind);
/* ms until the timer fires; -1: not set */
int64_t world_timer(const struct world *world, const char *tag);
bool world_noted(const struct world *world, const char *part);
/* The platform accepts everything that waits for its reply: answers 200 to the last manage. */
void world_replies(struct world *world, const struct sb_output *request, int rc);
