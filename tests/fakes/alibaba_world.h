/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The world around Alibaba conversations: a platform that answers about topology and sessions as
 * the documentation says, a core that takes jobs, two sub-devices and the gateway, a clock. The
 * test is the rest of the platform: it says what comes in, and looks at what went out.
 */
#pragma once

#include "adapters/dialects/alibaba/alibaba.h"
#include "adapters/dialects/alibaba/codec.h"
#include "bridge/driver.h"
#include "bridge/mapping/type.h"

#define ALI_TASKS 24
#define ALI_SENT  256

enum ali_actor { ALI_GATEWAY, ALI_PUMP, ALI_VALVE, ALI_ACTORS }; /* "gw-1" "pump-7" "pk2/valve.1" */

struct ali_sent {
    char *topic;
    json_t *payload;
    int qos;
};

struct ali_task {
    struct sb_job job;
    struct sb_task task;
    enum ali_actor whose;
    char *package, *params, *id; /* as JSON text, or NULL */
};

struct ali {
    struct sb_alibaba_config config;
    struct sb_words *words;
    struct sb_driver_ops driver;
    unsigned unsupported; /* bit per operation that the driver cannot do */
    struct sb_type type;
    struct sb_device devices[ALI_ACTORS];
    void *states[ALI_ACTORS];
    bool up;
    int64_t now, wall;
    bool ready;
    const char *why;
    const char *secret, *secret_error; /* what the settings have; NULL: nothing */
    /* the platform */
    bool topology[ALI_ACTORS], in[ALI_ACTORS];
    int refuse_kind[4]; /* code of register, topology, login, batch; 0 as it should be */
    bool silent;        /* it does not answer about these */
    unsigned logins, joins, registrations, logouts;
    size_t largest; /* batch */
    struct ali_sent sent[ALI_SENT];
    size_t sent_count;
    struct ali_sent replies[64];
    size_t reply_count;
    unsigned illegal; /* messages of a sub-device that was not logged in */
    /* the core */
    enum sb_cause refuse;
    const char *refuse_text;
    struct ali_task tasks[ALI_TASKS];
    size_t task_count;
    int64_t cancelled; /* task of the last SB_OUT_CANCEL */
    enum sb_cause cancel_cause;
    void (*around)(bool begins); /* of each step; or NULL */
    bool failed;                 /* a step had not enough memory */
    unsigned depth, notes;
    char *note; /* the last */
    struct {
        enum ali_actor whose;
        char *tag;
        int64_t due;
    } timers[32];
};

enum { ALI_REGISTERING, ALI_JOINING, ALI_LOGGING_IN, ALI_BATCH };

struct sb_words *ali_words(void);            /* mappings/dialects/alibaba.yaml; NULL on failure */
struct ali *ali_new(struct sb_words *words); /* borrows them */
void ali_free(struct ali *ali);

void ali_up(struct ali *ali); /* all that can log in do */
void ali_down(struct ali *ali);
/* On /sys/{product}/{name}/{rest}, or a whole topic when rest begins with a slash. */
void ali_hears(struct ali *ali, enum ali_actor actor, const char *rest, const char *payload);
void ali_bytes(struct ali *ali, const char *topic, const void *payload, size_t n);
void ali_pushes(struct ali *ali, enum ali_actor actor, const char *data); /* firmware */

/* How many went out whose topic ends so; of the actor. */
size_t ali_count(const struct ali *ali, enum ali_actor actor, const char *end);
/* The last of these; NULL: none. */
const json_t *ali_last(const struct ali *ali, enum ali_actor actor, const char *end);
/* Its member at "params/step" as text ("" none). Borrowed until the next call. */
const char *ali_text(const struct ali *ali, enum ali_actor actor, const char *end,
                     const char *path);
void ali_clear(struct ali *ali); /* forgets what went out */

void ali_task(struct ali *ali, size_t index, enum sb_task_state state);
void ali_progress(struct ali *ali, size_t index, enum sb_task_state state, uint8_t percent);
void ali_fails(struct ali *ali, size_t index, enum sb_cause cause, enum sb_phase phase);
void ali_version(struct ali *ali, enum ali_actor actor, const char *module, const char *version);
void ali_presence(struct ali *ali, enum ali_actor actor, enum sb_presence presence);
void ali_news(struct ali *ali, enum ali_actor actor, enum sb_news_kind kind);
void ali_passes(struct ali *ali, int64_t ms);
void ali_rename(struct ali *ali, const char *name); /* the pump; without the news of it */
void ali_restarts(struct ali *ali);                 /* saved and read back; down */
int64_t ali_timer(const struct ali *ali, enum ali_actor actor, const char *tag); /* ms; -1 */
