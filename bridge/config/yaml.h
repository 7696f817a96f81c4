/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML text as a tree that remembers where each value stood (libyaml).
 *
 * Refuses what hides mistakes: duplicate keys, anchors and aliases, tags, several documents,
 * depth over 16, files over 1 MiB, more than 50000 nodes. Pure but for sb_yaml_load().
 */
#pragma once

#include <stddef.h>

#include "bridge/base/diag.h"
#include "bridge/base/json.h"
#include "bridge/base/util.h"

enum sb_yaml_kind { SB_YAML_SCALAR, SB_YAML_LIST, SB_YAML_MAP };

struct sb_yaml {
    enum sb_yaml_kind kind;
    int line, column; /* 1-based */
    char *text;       /* scalar; "" for an empty one */
    bool quoted;      /* scalar was quoted: never null, bool or number */
    struct sb_yaml **items; /* list: values; map: values in file order */
    struct sb_yaml **keys;  /* map: scalars, same index as items */
    size_t count;
    char *file; /* root only */
};

/* 0 and a tree, or -EINVAL with diags filled, -ENOMEM, or the file's errno (diags filled too). */
int sb_yaml_load(const char *path, struct sb_yaml **ret, struct sb_diags *diags) SB_MUST_CHECK;
int sb_yaml_parse(const char *file, const void *text, size_t n, struct sb_yaml **ret,
                  struct sb_diags *diags) SB_MUST_CHECK;
void sb_yaml_free(struct sb_yaml *root);
SB_DEFINE_CLEANUP(struct sb_yaml *, sb_yaml_free)

const struct sb_yaml *sb_yaml_get(const struct sb_yaml *map, const char *key); /* NULL: none */
bool sb_yaml_is_null(const struct sb_yaml *node); /* NULL, empty, ~ or null */
/* The same value as JSON (unquoted true/false/null/numbers typed). New reference. */
json_t *sb_yaml_json(const struct sb_yaml *node);
