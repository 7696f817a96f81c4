/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real doors of all four clouds - uplink, codec, conversation, words - in one real core, before
 * the four platforms of four_platforms.h and over a bench of devices. Links are called as the
 * dialects.
 */
#pragma once

#include "tests/scenario/four_platforms.h"
#include "tests/scenario/world.h"

void four_new(struct world *world, uint32_t seed); /* up, and everybody has been told */
void four_done(struct world *world);
/* The end of a test: a minute later no platform saw what its documentation forbids, and all know
 * what runs where; -1 and a text on stderr: it is not so. */
int four_over(struct world *world);
/* Off, the power's way or in order; off for ms; on again. */
void four_restart(struct world *world, bool cut, int64_t ms);
void four_run(struct world *world, int64_t ms); /* at once, without planned cuts */
/* Runs until the request is done, ms at most. */
bool four_await(struct world *world, const struct request *request, int64_t ms);
/* The version that the device runs, and that all four clouds were told. NULL: they agree; else who
 * does not. */
const char *four_disagree(enum four_device device);
struct bench_device *four_bench(enum four_device device);
/* Asked by an operator (CLI). Task state and cause by world_state(), world_cause(). */
int64_t four_native(struct world *world, enum sb_op op, enum four_device device,
                    const char *version, uint32_t retries);
/* A rule of his, which stands until the end. */
int64_t four_rule(struct world *world, enum four_device device, const char *version);
/* An open task of a link, or "native", or anybody (origin NULL); NULL: none. Borrowed until time
 * passes. */
struct sb_task *four_task(struct world *world, const char *origin, enum four_device device);
/* Runs until such a task is in this state; false: within a minute it was not. */
bool four_until(struct world *world, const char *origin, enum four_device device,
                enum sb_task_state state);
void four_everything(struct world *world); /* runs until no task is open and all has been told */
/* The device was changed behind our back: by hand. */
void four_by_hand(struct world *world, enum four_device device, const char *version);
