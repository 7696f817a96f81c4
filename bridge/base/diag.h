/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Diagnostics: what is wrong in a file a person wrote, where, and what to do.
 *
 * A list collects several findings, so that one run shows them all. It never prints and never
 * holds a secret's value. Bounded: after SB_DIAG_LIMIT findings only the count goes up.
 */
#pragma once

#include <stddef.h>

#include "bridge/base/names.h"
#include "bridge/base/util.h"

#define SB_DIAG_LIMIT 100

struct sb_diag {
    char *file;  /* may be NULL: not from a file */
    int line;    /* 1-based, 0 unknown */
    int column;  /* 1-based, 0 unknown */
    char *text;  /* "unknown key 'lifetme' (allowed: ...; did you mean 'lifetime'?)" */
};

struct sb_diags {
    struct sb_diag *list;
    size_t count; /* held; */
    size_t total; /* seen */
};

void sb_diags_done(struct sb_diags *diags);
void sb_diags_add(struct sb_diags *diags, const char *file, int line, int column, const char *fmt,
                  ...) SB_PRINTF(5, 6);
/* "file:line:column: text" lines, to be freed; NULL when out of memory. */
char *sb_diags_text(const struct sb_diags *diags);

/* The nearest of the choices (edit distance at most a third of the length), or NULL. */
const char *sb_nearest(const char *word, const char *const *choices, size_t count);
