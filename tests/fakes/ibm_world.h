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

#define WIOT_TASKS 16

struct wiot_timer {
    char *tag;
    int64_t due;
};

struct wiot {
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
    bool news[WIOT_TASKS]; /* then: of these tasks */
    /* what came out */
    struct sb_output *log; /* all outputs in order; SENDs are read one by one */
    size_t log_count, log_room, read_at;
    unsigned saves;
    struct wiot_timer timers[64];
    struct sb_job jobs[WIOT_TASKS];
    struct sb_task tasks[WIOT_TASKS];
    size_t task_count;
    bool quiet; /* do not print mismatches */
};

struct wiot *wiot_new(void);
void wiot_free(struct wiot *wiot);

/* The platform says something to the device (suffix) or on a whole topic. */
void wiot_says(struct wiot *wiot, const char *suffix, const char *payload);
void wiot_hears(struct wiot *wiot, const char *topic, const void *payload, size_t n);
void wiot_step(struct wiot *wiot, struct sb_input *input);
void wiot_up(struct wiot *wiot);
void wiot_down(struct wiot *wiot);
void wiot_news(struct wiot *wiot, enum sb_news_kind kind);
/* The task moves; its door hears of it. */
void wiot_task(struct wiot *wiot, size_t index, enum sb_task_state state);
void wiot_fails(struct wiot *wiot, size_t index, enum sb_cause cause, enum sb_phase phase);
/* Another door's task of this operation and state. */
void wiot_foreign(struct wiot *wiot, enum sb_op op, enum sb_task_state state, enum sb_cause cause);
/* Time passes; due timers fire in order. */
void wiot_passes(struct wiot *wiot, int64_t ms);
/* Saved and read back, as over a restart of the process; open tasks are asked for. */
bool wiot_restarts(struct wiot *wiot);

/* The next message sent: its topic (or the suffix) and its JSON; "reqId": "*" stands for any id,
 * "*" for any payload. */
bool wiot_sent_on(struct wiot *wiot, const char *topic, const char *json);
const struct sb_output *wiot_next_on(struct wiot *wiot, const char *topic);
bool wiot_sent(struct wiot *wiot, const char *suffix, const char *json);
/* The next message sent, of this suffix; its payload, borrowed; NULL: another or none. */
const struct sb_output *wiot_next(struct wiot *wiot, const char *suffix);
bool wiot_silent(struct wiot *wiot); /* no further message */
void wiot_forget(struct wiot *wiot); /* what came out so far */
size_t wiot_count(const struct wiot *wiot, enum sb_output_kind kind);
const struct sb_output *wiot_last(const struct wiot *wiot, enum sb_output_kind kind);
/* ms until the timer fires; -1: not set */
int64_t wiot_timer(const struct wiot *wiot, const char *tag);
bool wiot_noted(const struct wiot *wiot, const char *part);
/* The platform accepts everything that waits for its reply: answers 200 to the last manage. */
void wiot_replies(struct wiot *wiot, const struct sb_output *request, int rc);
