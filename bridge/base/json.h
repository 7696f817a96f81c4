/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jansson with bounds. Foreign text is parsed only through sb_json_parse(): size, depth, number
 * of values and duplicate keys are checked. Getters tolerate NULL and wrong types.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "bridge/base/util.h" /* json_decrefp is Jansson's own */

struct sb_json_limits {
    size_t bytes;  /* 0: 131072, the largest message of any dialect */
    size_t depth;  /* 0: 32 */
    size_t values; /* 0: 20000 */
};

/*
 * Parses one JSON text. limits NULL: the defaults. On success 0 and a new reference in *ret.
 * -EBADMSG: not JSON; -E2BIG: over a limit; -ENOMEM. ret_error (may be NULL) gets a text to be
 * freed that says what and where.
 */
int sb_json_parse(const void *text, size_t n, const struct sb_json_limits *limits, json_t **ret,
                  char **ret_error) SB_MUST_CHECK;

const char *sb_json_str(const json_t *object, const char *key);                /* NULL: none */
int64_t sb_json_int(const json_t *object, const char *key, int64_t otherwise); /* accepts real */
bool sb_json_bool(const json_t *object, const char *key, bool otherwise);
const json_t *sb_json_object(const json_t *object, const char *key); /* NULL: none */
const json_t *sb_json_array(const json_t *object, const char *key);  /* NULL: none */
bool sb_json_has(const json_t *array, const char *text);             /* is it one of these texts? */
/* Compact, keys in insertion order; caller frees; NULL: no memory or value NULL. */
char *sb_json_text(const json_t *value);
char *sb_json_sorted(const json_t *value); /* by key */
/* A device or a cloud may say anything: what is not UTF-8 is shown by "?". NULL: no memory. */
json_t *sb_json_string(const char *text);
/* Sets object[key] to a new string (as above) / integer; NULL text sets nothing. 0 or -ENOMEM. */
int sb_json_put_str(json_t *object, const char *key, const char *text) SB_MUST_CHECK;
int sb_json_put_int(json_t *object, const char *key, int64_t value) SB_MUST_CHECK;
