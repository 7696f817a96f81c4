/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every driver needs to read how a device type describes its properties and actions.
 *
 * The type holds them as bare maps (struct sb_type); each driver knows its own keys. Here is what
 * they have in common: unknown keys and names with the nearest right one, `access`, the findings'
 * places, what a READ, WRITE or CONFIGURE may ask for. Errors are -errno with a text to be freed.
 * Pure, but for sb_described_package().
 */
#pragma once

#include "bridge/mapping/type.h"

struct sb_described_access {
    bool readable, writable;
};

/* Formats the text and returns `error` (or -ENOMEM). */
int sb_described_wrong(char **ret_error, int error, const char *fmt, ...) SB_PRINTF(3, 4);
/* -ENOENT: "no property 'x' (did you mean 'y'?)"; known: the map of those there are. */
int sb_described_unknown(const char *what, const char *name, const json_t *known, char **ret_error);
/* A map with no other keys than these. */
int sb_described_keys(const json_t *spec, const char *const *allowed, size_t count,
                      char **ret_error) SB_MUST_CHECK;
/* `key` is one of the names, or left out (then `otherwise`, or -EINVAL when that is negative). */
int sb_described_choice(const json_t *spec, const char *key, const struct sb_names *names,
                        int otherwise, int *ret, char **ret_error) SB_MUST_CHECK;
/* `access: read | write | both`, both when left out. */
int sb_described_access(const json_t *spec, struct sb_described_access *ret,
                        char **ret_error) SB_MUST_CHECK;
/* true or false, and nothing that YAML reads as a text (yes, on). */
int sb_described_bool(const json_t *spec, const char *key, bool otherwise, bool *ret,
                      char **ret_error) SB_MUST_CHECK;
/* A duration such as "5s" within min..max; otherwise when left out. */
int sb_described_duration(const json_t *spec, const char *key, int64_t min, int64_t max,
                          int64_t otherwise, int64_t *ret, char **ret_error) SB_MUST_CHECK;

/* A finding at <section>.<name> of the type's file (name NULL: at the section). */
void sb_described_find(const struct sb_type *type, const char *section, const char *name,
                       struct sb_diags *diags, const char *fmt, ...) SB_PRINTF(5, 6);
/* At an entry of a list, which lies at `path` (keys, NULL-ended; NULL: none) below that. */
void sb_described_find_step(const struct sb_type *type, const char *section, const char *name,
                            const char *const *path, size_t step, struct sb_diags *diags,
                            const char *fmt, ...) SB_PRINTF(7, 8);

/*
 * Whether a property is there, what may be done with it, and (value not NULL) whether it can take
 * the value: 0, -ENOENT, -EINVAL with a text.
 */
typedef int (*sb_described_fn)(const struct sb_type *type, const char *name, const json_t *value,
                               struct sb_described_access *ret, char **ret_error);
/* The driver's accepts() for READ, WRITE and CONFIGURE (whose values a package may bring). */
enum sb_cause sb_described_accepts(const struct sb_type *type, int op, const json_t *params,
                                   sb_described_fn property, char **ret_text);
/* Sets *ret_text to a copy of text and returns the cause. */
enum sb_cause sb_described_refuse(char **ret_text, enum sb_cause cause, const char *text);

/* The names that a READ asks for: those of `params`, else all that can be read. New reference,
 * NULL: no memory. */
json_t *sb_described_wanted(const struct sb_type *type, const json_t *params,
                            sb_described_fn property);
/* A package of configuration, read from its file: a JSON object {name: value}. */
int sb_described_package(const char *path, json_t **ret, char **ret_error) SB_MUST_CHECK;
