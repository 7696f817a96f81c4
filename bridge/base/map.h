/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A map from text to pointer: open addressing, a random seed so that foreign keys cannot be chosen
 * to collide. Keys are copied; values are the caller's. Zero-initialise: struct sb_map m = { 0 }.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "bridge/base/util.h"

struct sb_map {
    struct sb_map_slot *slots;
    size_t room, used, count; /* used counts removed slots as well */
    uint64_t seed;
};

void *sb_map_get(const struct sb_map *map, const char *key);                    /* NULL: none */
int sb_map_set(struct sb_map *map, const char *key, void *value) SB_MUST_CHECK; /* not NULL */
void *sb_map_take(struct sb_map *map, const char *key); /* removes; the value, or NULL */
/* Visits every entry; start with *cursor = 0; NULL at the end. No changes meanwhile but take of
 * the entry just visited. */
void *sb_map_next(const struct sb_map *map, size_t *cursor, const char **ret_key);
void sb_map_done(struct sb_map *map);
