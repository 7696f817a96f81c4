/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole gateway on a simulated clock: the real core between a scripted cloud, a bench of
 * devices, a shelf of images, and a disk that can lose power or refuse to write.
 */
#pragma once

#include "bridge/base/time.h"
#include "bridge/core.h"
#include "tests/fakes/bench.h"
#include "tests/fakes/cloud.h"
#include "tests/fakes/loop_sim.h"
#include "tests/fakes/shelf.h"
#include "tests/fakes/store_mem.h"
#include "tests/fakes/store_real.h"

struct world {
    char *directory;
    struct sb_config *config;
    const struct sb_adapters *adapters;
    void (*power)(struct sb_loop *loop);
    struct sb_store_mem *disk;
    char *database; /* the store is SQLite's, in this file; NULL: it is on the disk above */
    struct sb_loop *loop;
    struct sb_core *core; /* NULL: powered off */
    int64_t wall;         /* kept over power cuts */
    uint64_t cut_at;      /* commit number at which the power goes; 0 never */
    bool cut_after;       /* that commit has taken effect */
    bool cut;             /* it happened */
};

/* Two device types "one-step" and "two-step" (driver bench), devices a, b, c and d, which only
 * north may command; links "north" and "south". */
void world_new(struct world *world);
struct world_wish {
    const char *more; /* further sections of southbridge.yaml */
    const char *base; /* directory in which its own is made; NULL: /tmp */
    bool sqlite;      /* a real store; without power cuts */
    /* Other doors, drivers and files than the above; files makes all of them. */
    const struct sb_adapters *adapters;
    void (*files)(const struct world *world);
    void (*power)(struct sb_loop *loop); /* what else has power; NULL: it is off */
};
void world_new_as(struct world *world, const struct world_wish *wish);
/* One of its files: "devices/one-step.yaml", "devices.d/all.yaml". */
void world_write(const struct world *world, const char *name, const char *text);
void world_make(const struct world *world, const char *name); /* a directory of them */
void world_done(struct world *world);
void world_boot(struct world *world);
void world_off(struct world *world, bool cut); /* cut: as when the power goes; else in order */
/* Runs ms; with a cut planned, the power goes at that commit and the gateway boots again. */
void world_run(struct world *world, int64_t ms);

/* A request by the cloud; uri and version for firmware. Returns the verdict; task id in it. */
struct sb_verdict world_ask(struct world *world, enum sb_op op, const char *device,
                            const char *version);
struct sb_verdict world_ask_with(struct world *world, enum sb_op op, const char *device,
                                 const char *version, const struct sb_policy *policy);
struct sb_verdict world_ask_by(struct cloud *which, enum sb_op op, const char *device,
                               const char *version, const struct sb_policy *policy);
/* The task, open or stored; the caller frees its job. NULL: there is none. */
struct sb_job *world_job(struct world *world, int64_t id);
enum sb_task_state world_state(struct world *world, int64_t id);
enum sb_cause world_cause(struct world *world, int64_t id);
