/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Words: how each state, cause and operation reads in a dialect (mappings/dialects).
 *
 * C knows the shape of a conversation, YAML knows its words. A file has
 *     dialect: ibm
 *     limits:   { name: value }            read by name through the getters
 *     names:    { key: text }              topics, methods, bundles; templates with {placeholders}
 *     sends:    what an uplink sends       (and later `shows`: what a platform door shows)
 *       states: { <group>: { <task state>: <cell> } }
 *       causes: { <cause>: <cell> | { <phase>: <cell>, otherwise: <cell> } }
 * where <group> is download, install, update or action (every other operation), `all` serving as
 * the default of each; final states failed and cancelled are looked up by their cause. A <cell>
 * is a map of the dialect's own keys to scalars, as the dialect's cell table allows, or
 *     { silent: "what the far side then concludes" }.
 *
 * Total (law 1): the loader walks every operation x state and cause x phase and refuses a hole
 * with file, line and what is missing. Pure but for loading. Thread: any, once loaded.
 */
#pragma once

#include <stdarg.h>

#include "bridge/base/diag.h"
#include "bridge/config/schema.h"
#include "bridge/job/job.h"

struct sb_words;

struct sb_dialect_shape { /* what a dialect's files may contain; in its codec */
    const char *dialect;
    const struct sb_field *cell;   /* allowed keys of a cell (offsets unused) */
    const struct sb_field *limits; /* allowed limits with defaults and ranges (offsets unused) */
    const struct sb_field *names;  /* allowed names with defaults (offsets unused) */
    bool shows;                    /* has a `shows` column as well */
};

enum sb_role { SB_ROLE_SENDS, SB_ROLE_SHOWS };

/*
 * 0; -EINVAL with findings, -ENOMEM, the file's errno with a finding. A name's placeholders must be
 * among those of its default. Cell keys must not be names of phases.
 */
int sb_words_load(const char *path, const struct sb_dialect_shape *shape, struct sb_words **ret,
                  struct sb_diags *diags) SB_MUST_CHECK;
int sb_words_parse(const char *file, const void *text, size_t n,
                   const struct sb_dialect_shape *shape, struct sb_words **ret,
                   struct sb_diags *diags) SB_MUST_CHECK;
struct sb_words *sb_words_free(struct sb_words *words);
SB_DEFINE_CLEANUP(struct sb_words *, sb_words_free)

/*
 * The cell for a task; cause and phase count in failed and cancelled only. Never NULL. Borrowed
 * object; {"silent": text} when nothing is said. One look into a table. A failed or cancelled task
 * without a cause, or with none of the list, reads as `internal`; SHOWS of a dialect that shows
 * nothing as SENDS.
 */
const json_t *sb_words_cell(const struct sb_words *words, enum sb_role role, enum sb_op op,
                            enum sb_task_state state, enum sb_cause cause, enum sb_phase phase);
/* The cause alone: for refusals before there is a task. */
const json_t *sb_words_cause(const struct sb_words *words, enum sb_role role, enum sb_cause cause,
                             enum sb_phase phase);
int64_t sb_words_limit(const struct sb_words *words, const char *name);    /* 0: not in the shape */
const char *sb_words_name(const struct sb_words *words, const char *name); /* NULL: not given */
/*
 * "iotdm-1/type/{type}" with values: key, value, key, value, NULL. A placeholder without a value
 * stays as it is; a value of NULL is empty. Caller frees; NULL: no memory.
 */
char *sb_words_fill(const char *pattern, ...) __attribute__((sentinel));
char *sb_words_vfill(const char *pattern, va_list ap); /* leaves them as they were */
const char *sb_words_dialect(const struct sb_words *words);
