/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/base/map.h"

#include <errno.h>
#include <sys/random.h>

struct sb_map_slot {
    char *key; /* NULL: free; with value NULL: removed */
    void *value;
};

static char removed_key[] = "";

static uint64_t hash(uint64_t seed, const char *key)
{
    uint64_t h = seed ^ UINT64_C(0xcbf29ce484222325);
    for (; *key; key++)
        h = (h ^ (unsigned char)*key) * UINT64_C(0x100000001b3);
    return h ^ (h >> 29);
}

/* The slot of the key, or the slot where it would go. The table is never full. */
static struct sb_map_slot *probe(const struct sb_map *map, const char *key)
{
    struct sb_map_slot *gap = NULL;
    for (size_t i = hash(map->seed, key);; i++) {
        struct sb_map_slot *slot = &map->slots[i & (map->room - 1)];
        if (!slot->key)
            return gap ? gap : slot;
        if (slot->key == removed_key)
            gap = gap ? gap : slot;
        else if (strcmp(slot->key, key) == 0)
            return slot;
    }
}

static int grow(struct sb_map *map)
{
    struct sb_map bigger = { .seed = map->seed };
    bigger.room = map->count * 4 < 16 ? 16 : map->room * (map->count * 2 > map->room ? 2 : 1);
    if (!bigger.seed && getrandom(&bigger.seed, sizeof(bigger.seed), 0) < 0)
        bigger.seed = 1;
    bigger.slots = calloc(bigger.room, sizeof(*bigger.slots));
    if (!bigger.slots)
        return -ENOMEM;
    for (size_t i = 0; i < map->room; i++) {
        struct sb_map_slot *slot = &map->slots[i];
        if (slot->key && slot->key != removed_key)
            *probe(&bigger, slot->key) = *slot;
    }
    bigger.count = bigger.used = map->count;
    free(map->slots);
    *map = bigger;
    return 0;
}

void *sb_map_get(const struct sb_map *map, const char *key)
{
    return map->room && key ? probe(map, key)->value : NULL;
}

int sb_map_set(struct sb_map *map, const char *key, void *value)
{
    if ((map->used + 1) * 4 > map->room * 3) {
        int r = grow(map);
        if (r < 0)
            return r;
    }
    struct sb_map_slot *slot = probe(map, key);
    if (!slot->value) {
        char *copy = strdup(key);
        if (!copy)
            return -ENOMEM;
        map->used += slot->key != removed_key;
        map->count++;
        slot->key = copy;
    }
    slot->value = value;
    return 0;
}

void *sb_map_take(struct sb_map *map, const char *key)
{
    if (!map->room || !key)
        return NULL;
    struct sb_map_slot *slot = probe(map, key);
    void *value = slot->value;
    if (value) {
        free(slot->key);
        *slot = (struct sb_map_slot){ .key = removed_key };
        map->count--;
    }
    return value;
}

void *sb_map_next(const struct sb_map *map, size_t *cursor, const char **ret_key)
{
    while (*cursor < map->room) {
        const struct sb_map_slot *slot = &map->slots[(*cursor)++];
        if (!slot->value)
            continue;
        if (ret_key)
            *ret_key = slot->key;
        return slot->value;
    }
    return NULL;
}

void sb_map_done(struct sb_map *map)
{
    for (size_t i = 0; i < map->room; i++)
        if (map->slots[i].key != removed_key)
            free(map->slots[i].key);
    free(map->slots);
    *map = (struct sb_map){ 0 };
}
