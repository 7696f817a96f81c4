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

#define SB_YAML_DEPTH 16
#define SB_YAML_BYTES (1u << 20)
#define SB_YAML_NODES 50000

enum sb_yaml_kind { SB_YAML_SCALAR, SB_YAML_LIST, SB_YAML_MAP };

struct sb_yaml {
    enum sb_yaml_kind kind;
    int line, column;       /* 1-based */
    char *text;             /* scalar; "" for an empty one */
    bool quoted;            /* scalar was quoted: never null, bool or number */
    struct sb_yaml **items; /* list: values; map: values in file order */
    struct sb_yaml **keys;  /* map: scalars, same index as items */
    size_t count;
    const char *file; /* name of the file, of every node; the root's memory */
};

/*
 * 0 and a tree, or -EINVAL with diags filled, -ENOMEM, or the file's errno (diags filled too). An
 * empty file is an empty scalar. Load reads regular files only.
 */
int sb_yaml_load(const char *path, struct sb_yaml **ret, struct sb_diags *diags) SB_MUST_CHECK;
int sb_yaml_parse(const char *file, const void *text, size_t n, struct sb_yaml **ret,
                  struct sb_diags *diags) SB_MUST_CHECK;
void sb_yaml_free(struct sb_yaml *root);
SB_DEFINE_CLEANUP(struct sb_yaml *, sb_yaml_free)

const struct sb_yaml *sb_yaml_get(const struct sb_yaml *map, const char *key); /* NULL: none */
bool sb_yaml_is_null(const struct sb_yaml *node); /* NULL, empty, ~ or null */
/* An unquoted integer, decimal without leading zeros or 0x...: 0, -EINVAL, -ERANGE. */
int sb_yaml_integer(const struct sb_yaml *node, int64_t *ret) SB_MUST_CHECK;
/*
 * The same value as JSON (unquoted true/false/null/numbers typed; what a number's type cannot
 * hold and what has leading zeros stays text). New reference; NULL: no memory.
 */
json_t *sb_yaml_json(const struct sb_yaml *node);
/*
 * JSON as a tree, so that a table can read what came through an interface. Every node gets this
 * file (may be NULL) and line. -E2BIG: deeper or more than a file may be; -ENOMEM.
 */
int sb_yaml_from_json(const char *file, int line, const json_t *value,
                      struct sb_yaml **ret) SB_MUST_CHECK;
