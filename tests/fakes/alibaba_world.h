/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The world around Alibaba conversations: a platform that answers about topology and sessions as
 * the documentation says, a core that takes jobs, two sub-devices and the gateway, a clock. The
 * test is the rest of the platform: it says what comes in, and looks at what went out.
 */
#pragma once

#include "adapters/dialects/alibaba/alibaba.h"
#include "adapters/dialects/alibaba/codec.h"
#include "tests/fakes/core.h"

#define ALI_SENT 256

struct ali_sent {
    char *topic;
    json_t *payload;
    int qos;
};

struct ali {
    struct core core; /* first */
    struct sb_alibaba_config config;
    const char *own[CORE_ACTORS]; /* deviceName */
    bool topology[CORE_ACTORS], in[CORE_ACTORS];
    int refuse_kind[4]; /* code of register, topology, login, batch; 0 as it should be */
    bool silent;        /* it does not answer about these */
    unsigned logins, joins, registrations, logouts;
    size_t largest; /* batch */
    struct ali_sent sent[ALI_SENT];
    size_t sent_count;
    struct ali_sent replies[64];
    size_t reply_count;
    unsigned illegal; /* messages of a sub-device that was not logged in */
};

enum { ALI_REGISTERING, ALI_JOINING, ALI_LOGGING_IN, ALI_BATCH };

struct ali *ali_new(void);
void ali_free(struct ali *ali);
/* A test's set-up and tear-down: failed if something was said for a sub-device that was not logged
 * in. And its world, everybody in and nothing said yet. */
int ali_begin(void **state);
int ali_end(void **state);
int ali_begin_ready(void **state); /* what comes up has told itself */

void ali_up(struct ali *ali); /* all that can log in do */
void ali_down(struct ali *ali);
/* On /sys/{product}/{name}/{rest}, or a whole topic when rest begins with a slash. */
void ali_hears(struct ali *ali, enum core_actor actor, const char *rest, const char *payload);
void ali_bytes(struct ali *ali, const char *topic, const void *payload, size_t n);
void ali_pushes(struct ali *ali, enum core_actor actor, const char *data); /* firmware */

/* A block of a file comes: header as JSON, bytes, and their checksum, with a bit flipped in it. */
void ali_block(struct ali *ali, const char *header, const void *bytes, size_t n, uint16_t flip);

/* How many went out whose topic ends so; of the actor. */
size_t ali_count(const struct ali *ali, enum core_actor actor, const char *end);
/* The last of these; NULL: none. */
const json_t *ali_last(const struct ali *ali, enum core_actor actor, const char *end);
/* Its member at "params/step" as text ("" none). Borrowed until the next call. */
const char *ali_text(const struct ali *ali, enum core_actor actor, const char *end,
                     const char *path);
void ali_clear(struct ali *ali); /* forgets what went out */

void ali_rename(struct ali *ali, const char *name); /* the pump; without the news of it */
void ali_restarts(struct ali *ali);                 /* saved and read back; down */
