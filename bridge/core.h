/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core: puts the modules together and keeps their turn.
 *
 * At the end of each turn: schedule, tell the news, forget what is done; then the store takes the
 * turn's batch. When a commit fails, everything in memory but the store itself is thrown away and
 * built anew from what is durable, exactly as after a crash: one way to recover, and it is the
 * one that the power-cut tests go through. Until commits work again nothing is started, and
 * requests are refused with the store's reason.
 *
 * The members are open to main, control and the tests; they change when the core is rebuilt, so
 * nobody keeps them over a turn. Thread: the loop.
 */
#pragma once

#include "bridge/adapters.h"
#include "bridge/config/config.h"
#include "bridge/host.h"
#include "bridge/intake/rules.h"

struct sb_core_parts {
    struct sb_loop *loop;
    const struct sb_config *config;
    const struct sb_adapters *adapters;
    const struct sb_backend_ops *backend_ops; /* taken over */
    void *backend;
    const struct sb_fetcher_ops *fetcher_ops; /* taken over */
    void *fetcher;
    const char *program; /* the daemon's own, for doctor; NULL: it is not offered */
};

struct sb_core {
    struct sb_core_parts parts;
    struct sb_store *store;
    struct sb_types *types;
    struct sb_audit *audit;
    struct sb_registry *registry;
    struct sb_packages *packages;
    struct sb_book *book;
    struct sb_outbox *outbox;
    struct sb_runner *runner;
    struct sb_retention *retention;
    struct sb_space *space;
    struct sb_intake intake;
    struct sb_rules *rules;
    struct sb_host *host;
    struct sb_runner_bus *buses; /* with their transports' settings */
    size_t bus_count;
    int64_t started_at;    /* monotonic */
    bool started, running; /* running: the runner has been started */
    bool rebuild;
    uint64_t batches;    /* committed when the store failed last */
    bool failed;         /* it did, once */
    bool flapping;       /* and again, though nothing had been committed in between */
    const char *remover; /* for the audit, while devices are taken away */
    /* Told before the modules go and after they are there again (control drops its watches). */
    void (*on_rebuild)(void *arg, bool there);
    void *on_rebuild_arg;
};

/* Loads everything; nothing moves yet. Takes the parts' backend and fetcher over, also on failure.
 * Findings in mappings and devices are logged and leave out what they concern. */
int sb_core_new(const struct sb_core_parts *parts, struct sb_core **ret) SB_MUST_CHECK;
int sb_core_start(struct sb_core *core) SB_MUST_CHECK; /* doors connect, tasks go on */
struct sb_core *sb_core_free(struct sb_core *core);
SB_DEFINE_CLEANUP(struct sb_core *, sb_core_free)

/* Re-reads mappings and devices; running tasks keep the type they began with. With findings
 * nothing changes: -EINVAL. */
int sb_core_reload(struct sb_core *core, const char *actor, struct sb_diags *diags) SB_MUST_CHECK;
/* Removes a device: ends its tasks, tells the doors, forgets it. */
int sb_core_remove_device(struct sb_core *core, const char *id, const char *actor) SB_MUST_CHECK;
/* Puts one into exactly these groups (see sb_registry_set_groups()). */
int sb_core_group_device(struct sb_core *core, const char *id, const json_t *groups,
                         const char *actor, struct sb_diags *diags) SB_MUST_CHECK;
/* Registers one (see sb_registry_add()), tells the doors, asks it who it is. */
int sb_core_add_device(struct sb_core *core, const json_t *spec, const char *actor,
                       struct sb_diags *diags) SB_MUST_CHECK;
