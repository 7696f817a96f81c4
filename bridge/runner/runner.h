/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runner carries tasks out: hands them over when they may go, fetches what they need, drives
 * devices, keeps the clocks, retries, cancels, and resumes after a crash.
 *
 * Policy: one firmware activity per device and module, one task under way per device, one
 * exclusive session per bus (a driver that shares lets short ones in between its blocks), a limit
 * of tasks under way. A failing device, bus or image ends its own task only.
 *
 * It does not validate requests (intake), and it does not know who is told (the `tell` hook).
 * Thread: the loop. sb_runner_turn() is called at the end of every turn, before the store's batch
 * is handed over, and does all scheduling there.
 */
#pragma once

#include "bridge/audit.h"
#include "bridge/book/book.h"
#include "bridge/driver.h"
#include "bridge/news.h"
#include "bridge/package/fetch.h"
#include "bridge/package/package.h"
#include "bridge/port.h"

struct sb_runner;

struct sb_runner_bus {
    const char *name;
    const struct sb_port_ops *transport; /* NULL: none */
    const void *config;                  /* of the transport */
};

struct sb_fetch_settings { /* of the door a package came in by */
    const struct sb_uri_rules *rules;
    const char *ca_file, *proxy;
    int64_t rate;
    /* Gives the door's own stream; `pull` NULL: it has none. The package is the caller's to name. */
    struct sb_supplier supplier;
};

struct sb_runner_parts { /* borrowed for the runner's life */
    struct sb_loop *loop;
    struct sb_store *store;
    struct sb_audit *audit;
    struct sb_book *book;
    struct sb_registry *registry;
    struct sb_packages *packages;
    const struct sb_fetcher_ops *fetcher_ops;
    void *fetcher;
    const struct sb_runner_bus *buses;
    size_t bus_count;
    uint32_t under_way_limit;
    int64_t max_file; /* bytes of one image */
    void (*tell)(void *arg, const struct sb_news *news);
    /* Settings for a package's door; door NULL: added by an operator. */
    void (*fetch_settings)(void *arg, const char *door, struct sb_fetch_settings *ret);
    void *arg;
};

int sb_runner_new(const struct sb_runner_parts *parts, struct sb_runner **ret) SB_MUST_CHECK;
/* Stops what runs as a crash would: nothing is told, the next start resumes. */
struct sb_runner *sb_runner_free(struct sb_runner *runner);
SB_DEFINE_CLEANUP(struct sb_runner *, sb_runner_free)

/* Takes up what was under way at the last stop, and asks every device who it is. */
int sb_runner_start(struct sb_runner *runner) SB_MUST_CHECK;
void sb_runner_turn(struct sb_runner *runner);
void sb_runner_wake(struct sb_runner *runner); /* something changed: schedule this turn */

/* Would sb_runner_cancel() do it? 0 or its error. */
int sb_runner_can_cancel(struct sb_runner *runner, const struct sb_task *task) SB_MUST_CHECK;
/* -EALREADY: final already; -EBUSY: past its commit point; -EAGAIN: the store is not ready. */
int sb_runner_cancel(struct sb_runner *runner, struct sb_task *task, enum sb_cause cause,
                     const char *actor) SB_MUST_CHECK;
/* Lets a held task go. -EPROTO: not held. */
int sb_runner_confirm(struct sb_runner *runner, struct sb_task *task,
                      const char *actor) SB_MUST_CHECK;
/* Lets a task of a job that pushes nothing go, as if its device had asked. -EPROTO: it does not
 * wait for that; -EAGAIN. */
int sb_runner_fetch(struct sb_runner *runner, struct sb_task *task,
                    const char *actor) SB_MUST_CHECK;
/* Ends a task that was not handed over: its device cannot do it. */
void sb_runner_refuse(struct sb_runner *runner, struct sb_task *task, enum sb_cause cause,
                      const char *text, const char *actor);
/* All hand-overs stop (what is under way goes on), over restarts. */
int sb_runner_pause(struct sb_runner *runner, bool paused) SB_MUST_CHECK;
bool sb_runner_paused(const struct sb_runner *runner);
/* Ask a device now; the answer comes as news. -ENODEV: it has no driver or bus. */
int sb_runner_identify(struct sb_runner *runner, const char *id) SB_MUST_CHECK;
void sb_runner_look_around(struct sb_runner *runner); /* ask every device, by and by */
/* The device leaves: ends its tasks with device_gone. Before it is removed from the registry. */
void sb_runner_device_gone(struct sb_runner *runner, const char *device, const char *actor);

/* Nothing is staged for the device any more. */
void sb_runner_unstage(struct sb_runner *runner, struct sb_device *device);

/* Is the package made for this device (its type, manufacturer, model)? Pure; else a text. */
bool sb_image_fits(const struct sb_package *package, const struct sb_device *device,
                   char **ret_text);

struct sb_runner_stats {
    uint32_t under_way, fetching, waiting_for_bus, driving;
};
void sb_runner_stats(const struct sb_runner *runner, struct sb_runner_stats *ret);
