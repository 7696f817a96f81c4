/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store's backend in memory, with the faults of a disk and a power switch.
 *
 * The disk outlives the store and the loop: after a power cut, or a clean end, give it to a new
 * store on a new loop. One store at a time.
 *
 *     sb_store_mem_new(&disk);
 *     sb_store_mem_start(disk, loop, &store);
 *     ...
 *     sb_store_mem_cut(disk);
 *     sb_store_free(store); sb_loop_free(loop);
 *     sb_loop_new(&loop); sb_store_mem_start(disk, loop, &store);   what was committed is there
 *
 * Thread: the loop.
 */
#pragma once

#include "bridge/store/store.h"

struct sb_store_mem;
extern const struct sb_backend_ops sb_store_mem_ops;

int sb_store_mem_new(struct sb_store_mem **ret) SB_MUST_CHECK;
struct sb_store_mem *sb_store_mem_free(struct sb_store_mem *disk); /* after its store */
SB_DEFINE_CLEANUP(struct sb_store_mem *, sb_store_mem_free)

/* Power on: a new store with what the disk holds. The faults set below stay as they are. */
int sb_store_mem_start(struct sb_store_mem *disk, struct sb_loop *loop,
                       struct sb_store **ret) SB_MUST_CHECK;
/* Power on alone: for who makes the store himself, with sb_store_mem_ops and the disk. */
int sb_store_mem_use(struct sb_store_mem *disk, struct sb_loop *loop) SB_MUST_CHECK;
/* Power off: what is not committed vanishes, nothing is answered any more. */
void sb_store_mem_cut(struct sb_store_mem *disk);

/* How long a commit takes, ms. 0 (at first): done and answered in the next turn. */
void sb_store_mem_delay(struct sb_store_mem *disk, int64_t ms);
/* Commits wait for sb_store_mem_commit() (the disk stalls); false: they go on. */
void sb_store_mem_hold(struct sb_store_mem *disk, bool hold);
/* Commits and answers what waits, now. Returns how many batches that were. */
unsigned sb_store_mem_commit(struct sb_store_mem *disk);
/* The next n commits fail with error (-ENOSPC), probes among them. */
void sb_store_mem_fail_next(struct sb_store_mem *disk, unsigned n, int error);
/* Commits fail with error, but probes: a disk that is nearly full. 0: they work. */
void sb_store_mem_probes_alone(struct sb_store_mem *disk, int error);
/* The next n queries fail with error. */
void sb_store_mem_fail_reads(struct sb_store_mem *disk, unsigned n, int error);

/*
 * Called twice for each commit: before it takes effect (durable false) and after it, before the
 * store hears of it. `number` counts the commits of the disk's whole life from 1. It may cut the
 * power: so a test can cut it at every single commit, on both sides.
 */
typedef void (*sb_store_mem_fn)(void *arg, uint64_t number, bool durable);
void sb_store_mem_on_commit(struct sb_store_mem *disk, sb_store_mem_fn fn, void *arg);

uint64_t sb_store_mem_commits(const struct sb_store_mem *disk); /* syncs, in its whole life */
size_t sb_store_mem_rows(const struct sb_store_mem *disk, enum sb_table table);
