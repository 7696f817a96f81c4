/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The free-space floor: with less room than that on the file system of the store, or on that of
 * the depot (they may be two), new jobs are refused and running ones go on.
 *
 * It looks when it is asked, at most once in a second; what the depot can spare goes first. It
 * says once that room is short, and once that there is room again. A file system that does not say
 * how much is free is not held against a job: then writing will tell.
 * Thread: the loop.
 */
#pragma once

#include "bridge/loop.h"
#include "bridge/package/package.h"

struct sb_space;
/* state: directory of the store; borrowed, as the packages are. */
int sb_space_new(struct sb_loop *loop, struct sb_packages *packages, const char *state,
                 int64_t floor, struct sb_space **ret) SB_MUST_CHECK;
struct sb_space *sb_space_free(struct sb_space *space);
SB_DEFINE_CLEANUP(struct sb_space *, sb_space_free)

struct sb_space_view {
    int64_t floor;
    int64_t store_free, depot_free; /* bytes; -1: not known */
    const char *why;                /* room is short: a sentence, until the next call; else NULL */
};
/* True: there is room. ret may be NULL. */
bool sb_space_look(struct sb_space *space, struct sb_space_view *ret);
