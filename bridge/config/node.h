/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How trees are made and released; only for the files of this folder.
 */
#pragma once

#include "bridge/config/yaml.h"

/* file is borrowed. NULL: no memory. */
struct sb_yaml *sb_node_new(enum sb_yaml_kind kind, const char *file, int line, int column);
/* Takes key (maps) and item over on success. */
int sb_node_push(struct sb_yaml *node, struct sb_yaml *key, struct sb_yaml *item) SB_MUST_CHECK;
void sb_node_free(struct sb_yaml *node); /* and what is below; not the file's name */
SB_DEFINE_CLEANUP(struct sb_yaml *, sb_node_free)
