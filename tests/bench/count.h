/* SPDX-License-Identifier: Apache-2.0 */
/* What count.c counts, as it lies in the file that SB_BENCH_COUNTERS names. */
#pragma once

#include <stdint.h>

struct bench_counters {
    uint64_t syncs, sync_ns; /* fsync, fdatasync */
    uint64_t written;        /* bytes by pwrite, in files */
    uint64_t allocs;         /* malloc, calloc, realloc */
};
