/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the conversations of all dialects do alike: effects that are made, texts that leave the
 * gateway, judgements on settings and requests. Pure; lack of memory makes the effects broken.
 */
#pragma once

#include "adapters/dialects/dialect.h"

/* ---- effects ---- */

void sb_effects_set(struct sb_effects *effects, char **slot, const char *text); /* a copy */
/* object[key] = value, which is taken. */
void sb_effects_put(struct sb_effects *effects, json_t *object, const char *key, json_t *value);
void sb_effects_note(struct sb_effects *effects, const char *fmt, ...) SB_PRINTF(2, 3);
void sb_effects_timer(struct sb_effects *effects, const char *tag, int64_t ms); /* < 0 stops it */
void sb_effects_settle(struct sb_effects *effects, const char *token);
/* name NULL: to the link's own conversation. Takes json; NULL: no memory. */
void sb_effects_tell(struct sb_effects *effects, const char *name, const char *tag, json_t *json);
void sb_effects_cancel(struct sb_effects *effects, int64_t task, enum sb_cause cause);
void sb_effects_look(struct sb_effects *effects, int64_t task); /* 0: none */

struct sb_send {
    char *topic;  /* taken; NULL: out of memory */
    json_t *json; /* taken; NULL likewise, unless it is */
    bool empty;
    int qos;
    enum sb_parcel_class class;
    const char *token, *key, *what; /* copied; may be NULL */
    int64_t task;
};
void sb_effects_send(struct sb_effects *effects, const struct sb_send *send);

struct sb_submit {
    const char *tag, *id; /* copied; id may be NULL */
    enum sb_op op;
    bool final;               /* answered with the result */
    bool replaces;            /* firmware that has not started makes room for this */
    json_t *params, *package; /* taken */
};
/* It waits for its device as long as the mapping's online_within. */
void sb_effects_submit(struct sb_effects *effects, const struct sb_input *in,
                       const struct sb_submit *submit);

/* ---- words and texts ---- */

/* What the mapping says of a refusal, and of a task as it stands. */
const json_t *sb_dialect_cause_cell(const struct sb_input *in, enum sb_cause cause);
const json_t *sb_dialect_task_cell(const struct sb_input *in, const struct sb_task *task);

/* For people: redacted, which makes it valid UTF-8 as well, and bounded. NULL: no memory. */
char *sb_dialect_presentable(const char *text);
/* How a task ended: its text, else the message of its cell, else its cause; and of a success that
 * was read from less than its version, that. NULL: no memory. */
char *sb_dialect_task_text(const struct sb_input *in, const struct sb_task *task);

/* ---- judgements ---- */

/* Can the device do it, by its type and driver? The gateway itself can do nothing. */
bool sb_dialect_can(const struct sb_input *input, enum sb_op op);
/* An absolute URI with a host: scheme://host... without blanks. */
bool sb_dialect_uri_ok(const char *uri);
