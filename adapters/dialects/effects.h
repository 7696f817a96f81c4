/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the conversations of all dialects do alike: effects that are made, texts that leave the
 * gateway, judgements on settings and requests. Pure; lack of memory makes the effects broken.
 */
#pragma once

#include <stdarg.h>

#include "adapters/dialects/dialect.h"

/* ---- effects ---- */

void sb_effects_set(struct sb_effects *effects, char **slot, const char *text); /* a copy */
/* object[key] = value, which is taken. */
void sb_effects_put(struct sb_effects *effects, json_t *object, const char *key, json_t *value);
void sb_effects_note(struct sb_effects *effects, const char *fmt, va_list ap) SB_PRINTF(2, 0);
void sb_effects_timer(struct sb_effects *effects, const char *tag, int64_t ms); /* < 0 stops it */
void sb_effects_settle(struct sb_effects *effects, const char *token);
/* name NULL: to the link's own conversation. Takes json; NULL: no memory. */
void sb_effects_tell(struct sb_effects *effects, const char *name, const char *tag, json_t *json);
void sb_effects_cancel(struct sb_effects *effects, int64_t task, enum sb_cause cause);
void sb_effects_look(struct sb_effects *effects, int64_t task);

/* ---- texts ---- */

/* For people: redacted, which makes it valid UTF-8 as well, and bounded. NULL: no memory. */
char *sb_dialect_presentable(const char *text);
/* How a task ended: its text, else the message of its cell, else its cause. NULL: no memory. */
char *sb_dialect_task_text(const struct sb_task *task, const json_t *cell);

/* ---- judgements ---- */

/* Can the device do it, by its type and driver? The gateway itself can do nothing. */
bool sb_dialect_can(const struct sb_input *input, enum sb_op op);
/* An absolute URI with a host: scheme://host... without blanks. */
bool sb_dialect_uri_ok(const char *uri);
