/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Typed settings from a YAML tree, driven by tables. The same table checks the file, fills a
 * struct, frees it, and prints the manual page.
 *
 * Every finding says file, line, what is allowed and the nearest right name; reading goes on, so
 * that one run shows all findings.
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
    SB_TYPE_STRINGS,  /* struct sb_strings; a lone scalar counts as a list of one */
    SB_TYPE_FLAGS,    /* uint64_t bit set; list of names from `choices` */
    SB_TYPE_OBJECT,   /* nested struct described by `fields`, embedded at offset */
    SB_TYPE_LIST,     /* struct sb_array of structs of `size` described by `fields` */
    SB_TYPE_TABLE,    /* the same, from a map; the key goes to the struct's first member, char * */
    SB_TYPE_JSON,     /* json_t *, any shape: checked later by who uses it */
    SB_TYPE_NODE,     /* const struct sb_yaml *, borrowed from the tree, for a later schema */
};

struct sb_strings {
    char **list;
    size_t count;
};

struct sb_array {
    void *list;
    size_t count;
};

#define SB_FIELD_REQUIRED 1u

struct sb_field { /* a table ends with { 0 } */
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
 * in diags; *ret is valid to pass to sb_schema_done() either way.
 */
int sb_schema_read(const struct sb_yaml *map, const char *file, const struct sb_field *fields,
                   void *ret, struct sb_diags *diags) SB_MUST_CHECK;
void sb_schema_done(const struct sb_field *fields, void *data);
