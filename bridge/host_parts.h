/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What host.c (links and what their doors ask), host_news.c (who hears what) and host_kept.c
 * (messages whose answers are lost) share. Private to them.
 */
#pragma once

#include "bridge/base/map.h"
#include "bridge/host.h"

struct entry { /* one configured link */
    struct sb_door *door;
    struct sb_link_parts parts;
};

struct item { /* a piece of news that waits for the end of the turn */
    enum sb_news_kind kind;
    char *device;
    struct sb_task *task;
    const struct sb_job *job;
    enum sb_task_state before;
};

struct watcher {
    sb_watcher_fn fn;
    void *arg;
};

struct sb_host {
    struct sb_host_parts parts;
    struct entry *entries;
    size_t entry_count;
    struct sb_words **spare; /* of dialects without a link */
    size_t spare_count;
    struct item *news;
    size_t news_count, news_room;
    struct sb_map told; /* of which there are news */
    struct watcher *watchers;
    size_t watcher_count;
    struct sb_kept *kept; /* in the order they came */
    size_t kept_count, kept_bytes;
    int64_t kept_swept; /* when, last */
    int64_t refusal;    /* the last parcel of this turn that no store has; 0: none */
    struct sb_uri_rules native_rules; /* an operator's own packages: anywhere */
};

void sb_host_news_done(struct sb_host *host);
/* Before the outbox forgets what waits for that connection and is not stored. */
void sb_host_kept_down(struct sb_host *host, const struct sb_door *door, const char *connection);
void sb_host_kept_done(struct sb_host *host);
