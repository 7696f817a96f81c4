/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host: the core as its doors see it (the calls of door.h), and the keeper of the doors.
 *
 * News are collected during a turn, merged per task, and handed to the doors at its end
 * (sb_host_turn), before the store's batch is closed: what a door owes because of them is in the
 * same batch. A task's own door hears of the task; every other door hears facts only.
 * Thread: the loop.
 */
#pragma once

#include "bridge/adapters.h"
#include "bridge/config/config.h"

struct sb_host_parts { /* borrowed for the host's life */
    struct sb_loop *loop;
    struct sb_store *store;
    struct sb_audit *audit;
    struct sb_book *book;
    struct sb_registry *registry;
    struct sb_packages *packages;
    const struct sb_fetcher_ops *fetcher_ops;
    void *fetcher;
    struct sb_outbox *outbox;
    struct sb_runner *runner;
    struct sb_intake *intake;
    const struct sb_config *config;
    const struct sb_adapters *adapters;
};

/* Opens a door for each configured link. A link that cannot be opened is logged and left out: it
 * must not stop the others. */
int sb_host_new(const struct sb_host_parts *parts, struct sb_host **ret) SB_MUST_CHECK;
struct sb_host *sb_host_free(struct sb_host *host);
SB_DEFINE_CLEANUP(struct sb_host *, sb_host_free)
void sb_host_start(struct sb_host *host);

/* For the runner's `tell` and for device changes; handed on at the end of the turn. */
void sb_host_tell(struct sb_host *host, const struct sb_news *news);
bool sb_host_turn(struct sb_host *host); /* true: something was handed on */
/* For the runner's `fetch_settings`. */
void sb_host_fetch_settings(struct sb_host *host, const char *link, struct sb_fetch_settings *ret);

/* Over a rebuild: messages whose answers are lost with their batch (see sb_host_keep()). */
struct sb_kept;
struct sb_kept *sb_host_take_lost(struct sb_host *host);
void sb_host_give_lost(struct sb_host *host, struct sb_kept *lost);
struct sb_kept *sb_kept_free(struct sb_kept *list);

/* Everybody who wants to see news after the doors did (job watch). */
typedef void (*sb_watcher_fn)(void *arg, const struct sb_news *news);
int sb_host_watch(struct sb_host *host, sb_watcher_fn fn, void *arg) SB_MUST_CHECK;
void sb_host_unwatch(struct sb_host *host, sb_watcher_fn fn, void *arg);

const struct sb_door *sb_host_door_at(const struct sb_host *host, size_t index); /* NULL: end */
/* Words of the dialects that are there but no link uses: to be looked at only. NULL: end. */
const struct sb_words *sb_host_spare_at(const struct sb_host *host, size_t index);

/*
 * One link's settings read and checked whole, without opening it: for --check, and by
 * sb_host_new(). config is zeroed memory of door->size; release with sb_schema_done().
 */
struct sb_link_parts {
    const struct sb_door_ops *ops;
    void *config;
    struct sb_words *words;
    struct sb_uri_rules rules;
};
int sb_link_load(const struct sb_config *config, const struct sb_link_config *link,
                 const struct sb_adapters *adapters, struct sb_link_parts *ret,
                 struct sb_diags *diags) SB_MUST_CHECK;
void sb_link_parts_done(struct sb_link_parts *parts);
/* The words of a door's dialect. *ret is NULL when there is no file of it. */
int sb_link_words(const struct sb_config *config, const struct sb_door_ops *ops,
                  struct sb_words **ret, struct sb_diags *diags) SB_MUST_CHECK;
