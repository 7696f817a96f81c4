/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a load measures: how long each request took, and what the peer's processor time and its
 * counters (count.c) say meanwhile. Told as one line of JSON, times in us.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/bench/count.h"

struct bench_reading {
    int64_t at, cpu, own;
    struct bench_counters counters;
};

struct bench_meter {
    unsigned pid;
    const struct bench_counters *shared; /* NULL: nothing is counted */
    struct bench_reading from, to;
    uint32_t *samples;
    size_t count;              /* of the samples */
    uint64_t done, rated, bad; /* since begin; rated: until end */
};

int64_t bench_now_us(void);
bool bench_meter_new(struct bench_meter *meter);
/* Whose processor time is told, and the file of its counters or NULL. */
void bench_meter_watch(struct bench_meter *meter, unsigned pid, const char *path);
void bench_meter_begin(struct bench_meter *meter);
void bench_meter_add(struct bench_meter *meter, int64_t spent);
void bench_meter_end(struct bench_meter *meter);
void bench_meter_report(struct bench_meter *meter);
