/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk: all open ways through the program at once, in the order of preference, each with the
 * borders of its groups. No place of the program is entered twice for one byte, so a byte costs at
 * most the program's length.
 */
#include <errno.h>

#include "adapters/devices/dialog/pattern_parts.h"

#define BORDERS (2 * (SB_PATTERN_GROUPS + 1))
#define UNSET   UINT32_MAX

struct borders {
    uint32_t at[BORDERS];
};
struct way {
    uint16_t place;
    struct borders borders;
};
struct ways {
    struct way *list;
    size_t count;
};
struct todo { /* of one closure: places to enter, with the borders they came with */
    uint16_t place;
    struct borders borders;
};

struct sb_pattern_run {
    const struct sb_pattern *pattern;
    struct ways now, next;
    struct todo *todo;
    uint32_t *entered; /* per place: the round in which it was entered last */
    uint32_t round;
    uint32_t position;
    bool matched;
    struct borders found;
};

struct sb_pattern_run *sb_pattern_run_new(const struct sb_pattern *pattern)
{
    struct sb_pattern_run *run = calloc(1, sizeof(*run));
    size_t n = pattern->count;
    if (!run)
        return NULL;
    run->pattern = pattern;
    run->now.list = calloc(n, sizeof(*run->now.list));
    run->next.list = calloc(n, sizeof(*run->next.list));
    run->todo = calloc(n + 1, sizeof(*run->todo));
    run->entered = calloc(n, sizeof(*run->entered));
    if (!run->now.list || !run->next.list || !run->todo || !run->entered)
        return sb_pattern_run_free(run);
    sb_pattern_run_reset(run);
    return run;
}

struct sb_pattern_run *sb_pattern_run_free(struct sb_pattern_run *run)
{
    if (!run)
        return NULL;
    free(run->now.list);
    free(run->next.list);
    free(run->todo);
    free(run->entered);
    free(run);
    return NULL;
}

static void new_round(struct sb_pattern_run *run)
{
    if (++run->round != 0)
        return;
    memset(run->entered, 0, run->pattern->count * sizeof(*run->entered));
    run->round = 1;
}

/* Whether a place is one that waits for a byte (or is the end); else where it leads. */
static bool waits(const struct sb_pattern_run *run, bool at_end, struct todo *here,
                  struct todo *ret_other, bool *ret_fork)
{
    const struct sb_code *code = &run->pattern->code[here->place];
    switch (code->op) {
    case SB_CODE_JUMP:
        here->place = (uint16_t)(here->place + code->a);
        return false;
    case SB_CODE_SPLIT:
        *ret_other = *here;
        ret_other->place = (uint16_t)(here->place + code->b);
        *ret_fork = true;
        here->place = (uint16_t)(here->place + code->a);
        return false;
    case SB_CODE_SAVE:
        here->borders.at[code->a] = run->position;
        here->place++;
        return false;
    case SB_CODE_END:
        if (!at_end)
            return true; /* kept: the end may be what comes next */
        here->place++;
        return false;
    default:
        return true;
    }
}

/* Enters a place and all it leads to without a byte. */
static void enter(struct sb_pattern_run *run, struct ways *ways, const struct todo *from,
                  bool at_end)
{
    size_t count = 0;
    run->todo[count++] = *from;
    while (count > 0) {
        struct todo here = run->todo[--count];
        bool open = true;
        while (open && run->entered[here.place] != run->round) {
            struct todo other;
            bool fork = false;
            run->entered[here.place] = run->round;
            open = !waits(run, at_end, &here, &other, &fork);
            if (fork)
                run->todo[count++] = other;
            if (!open)
                ways->list[ways->count++] = (struct way){ here.place, here.borders };
        }
    }
}

/* Less preferred ways than one that has matched are given up. */
static void settle(struct sb_pattern_run *run, struct ways *ways)
{
    for (size_t i = 0; i < ways->count; i++) {
        if (run->pattern->code[ways->list[i].place].op != SB_CODE_MATCH)
            continue;
        run->matched = true;
        run->found = ways->list[i].borders;
        run->found.at[1] = run->position;
        ways->count = i;
        return;
    }
}

void sb_pattern_run_reset(struct sb_pattern_run *run)
{
    struct todo start = { 0 };
    memset(&start.borders, 0xff, sizeof(start.borders));
    start.borders.at[0] = 0;
    run->now.count = run->next.count = 0;
    run->position = 0;
    run->matched = false;
    new_round(run);
    enter(run, &run->now, &start, false);
    settle(run, &run->now);
}

static bool takes(const struct sb_pattern_run *run, size_t place, uint8_t byte)
{
    const struct sb_code *code = &run->pattern->code[place];
    switch (code->op) {
    case SB_CODE_BYTE:
        return code->a == byte;
    case SB_CODE_ANY:
        return true;
    case SB_CODE_SET:
        return run->pattern->sets[code->a].bits[byte / 8] >> (byte % 8) & 1;
    default:
        return false;
    }
}

bool sb_pattern_run_byte(struct sb_pattern_run *run, uint8_t byte)
{
    run->next.count = 0;
    run->position++;
    new_round(run);
    for (size_t i = 0; i < run->now.count; i++) {
        const struct way *way = &run->now.list[i];
        struct todo to = { (uint16_t)(way->place + 1), way->borders };
        if (takes(run, way->place, byte))
            enter(run, &run->next, &to, false);
    }
    struct ways swap = run->now;
    run->now = run->next;
    run->next = swap;
    settle(run, &run->now);
    return run->now.count > 0;
}

void sb_pattern_run_end(struct sb_pattern_run *run)
{
    run->next.count = 0;
    new_round(run);
    for (size_t i = 0; i < run->now.count; i++) {
        const struct way *way = &run->now.list[i];
        struct todo to = { (uint16_t)(way->place + 1), way->borders };
        if (run->pattern->code[way->place].op == SB_CODE_END)
            enter(run, &run->next, &to, true);
    }
    settle(run, &run->next);
    run->now.count = 0;
}

bool sb_pattern_run_matched(const struct sb_pattern_run *run, struct sb_span *ret)
{
    for (size_t i = 0; run->matched && ret && i <= SB_PATTERN_GROUPS; i++) {
        uint32_t from = run->found.at[2 * i], to = run->found.at[2 * i + 1];
        bool both = from != UNSET && to != UNSET && from <= to;
        ret[i] = both ? (struct sb_span){ from, to } : (struct sb_span){ 1, 0 };
    }
    return run->matched;
}
