/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Typed settings from a YAML tree, driven by tables. The same table checks the file, fills a
 * struct, frees it, and prints the manual page.
 *
 * Every finding says file, line, what is allowed and the nearest right name; reading goes on, so
 * that one run shows all findings. A section without a value (or null) counts as not given; any
 * other key without one is a finding, and so is an empty list unless its table allows it.
 * Pure. Thread: any.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "bridge/base/diag.h"
#include "bridge/base/json.h"
#include "bridge/base/names.h"
#include "bridge/config/yaml.h"

enum sb_field_type {
    SB_TYPE_BOOL,     /* bool */
    SB_TYPE_INT,      /* int64_t, min..max when max > min */
    SB_TYPE_STRING,   /* char *, length min..max when max > min */
    SB_TYPE_CHOICE,   /* int, one of `choices` */
    SB_TYPE_DURATION, /* int64_t milliseconds, "90s"; min..max in ms */
    SB_TYPE_SIZE,     /* int64_t bytes, "64M" */
    SB_TYPE_SECRET,   /* char *, the *setting* ("file:..."), resolved later by sb_secret_load() */
    SB_TYPE_STRINGS,  /* struct sb_strings; a lone scalar counts as a list of one; count min..max,
                         and without these at least one */
    SB_TYPE_FLAGS,    /* uint64_t bit set; list of names from `choices` */
    SB_TYPE_OBJECT,   /* nested struct described by `fields`, embedded at offset */
    SB_TYPE_LIST,     /* struct sb_array of structs of `size` described by `fields`; min..max */
    SB_TYPE_TABLE,    /* the same, from a map; the key goes to the struct's first member, char *,
                         which no field describes */
    SB_TYPE_JSON,     /* json_t *, any shape: checked later by who uses it */
    SB_TYPE_NODE,     /* const struct sb_yaml *, borrowed from the tree, for a later schema; with
                         the key "" the map itself, whose unknown keys are then left alone */
};

struct sb_array {
    void *list;
    size_t count;
};

#define SB_FIELD_REQUIRED 1u
#define SB_FIELD_FILE     2u /* a STRING that names a file to be read when it is used */
#define SB_FIELD_ALONE    4u /* those of a table together name what only one can have */

/* A table ends with { 0 }. Members are in the order in which a row is written. */
struct sb_field { /* NOLINT(clang-analyzer-optin.performance.Padding) */
    const char *key;
    enum sb_field_type type;
    size_t offset;
    unsigned flags;
    int64_t min, max;
    const char *otherwise; /* default as it would stand in the file; NULL: zero */
    const struct sb_names *choices;
    const struct sb_field *fields;
    size_t size;     /* of one struct, for LIST and TABLE */
    const char *doc; /* one sentence for the manual */
};

/*
 * Reads `map` (may be NULL: all defaults) into *ret, a zeroed struct. 0, or -EINVAL with findings
 * in diags, or -ENOMEM; *ret is valid to pass to sb_schema_done() either way. file NULL: as the
 * tree says.
 */
int sb_schema_read(const struct sb_yaml *map, const char *file, const struct sb_field *fields,
                   void *ret, struct sb_diags *diags) SB_MUST_CHECK;
/*
 * The same for a map that several tables share: keys of `also` (may be NULL) are read by somebody
 * else and neither read nor refused here.
 */
int sb_schema_read_also(const struct sb_yaml *map, const char *file, const struct sb_field *fields,
                        const struct sb_field *also, void *ret,
                        struct sb_diags *diags) SB_MUST_CHECK;
/*
 * The same as an object, for tables that describe no struct (offsets unused). Choices and flags
 * stand as names, durations as ms, sizes as bytes; what is not given and has no default is left
 * out. A new reference on success only.
 */
int sb_schema_json(const struct sb_yaml *map, const char *file, const struct sb_field *fields,
                   const struct sb_field *also, json_t **ret, struct sb_diags *diags) SB_MUST_CHECK;
void sb_schema_done(const struct sb_field *fields, void *data);

/* What may stand for one key, as text: "whole number, 1 to 10; default 3". NULL: no memory. */
char *sb_schema_kind(const struct sb_field *field);
/* The table as text for people: key, type, range, default, doc; nested tables indented. */
char *sb_schema_manual(const struct sb_field *fields); /* caller frees; NULL: no memory */

/* ---- findings, for those who check more than a table can ---- */

/* A finding at a node. */
void sb_schema_find(struct sb_diags *diags, const struct sb_yaml *at, const char *fmt, ...)
    SB_PRINTF(3, 4);
/* "unknown <what> '<the node's text>' (allowed: a, b, c; did you mean 'b'?)" */
void sb_schema_unknown(struct sb_diags *diags, const struct sb_yaml *at, const char *what,
                       const char *const *allowed, size_t count);
/* [A-Za-z0-9._-], begins with a letter or digit, at most 64: else a finding. */
bool sb_schema_check_id(struct sb_diags *diags, const struct sb_yaml *at, const char *what);
/* Puts the findings from `from` on, all of one file, into the order of the file. */
void sb_schema_sort(struct sb_diags *diags, size_t from);
