/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One download: its helper process, and who waits for it. fetch.c has the queue of them. Internal.
 * Thread: the loop.
 */
#pragma once

#include "bridge/package/fetch_parts.h"

struct sb_fetch_waiter {
    uint64_t id;
    sb_fetch_fn fn; /* NULL: stopped while events are being told */
    void *arg;
};

enum sb_transfer_state {
    SB_TRANSFER_WAITING,
    SB_TRANSFER_RUNNING,
    SB_TRANSFER_DYING, /* nobody waits any more; the helper is being ended */
    SB_TRANSFER_ENDED, /* being told */
};

struct sb_transfer {
    struct sb_transfer *next;
    struct sb_fetcher *fetcher;
    enum sb_transfer_state state;
    char *line, *part, *sha256;    /* line: for the helper, holds secrets */
    struct sb_fetch_source source; /* of a supplied one */
    struct sb_fetch_waiter *waiters;
    size_t waiter_count;
    bool telling;
    bool broken; /* the helper did not keep to the protocol */
    struct sb_child *helper;
    struct sb_timer *watchdog;
    int64_t silence; /* ms without a line that are too many */
    int64_t told;    /* when progress was told last */
    struct {         /* what the helper said at its end */
        bool said;
        enum sb_cause cause;
        char *text, *sha256;
    } end;
    int64_t received, total;
};

struct sb_fetcher {
    struct sb_loop *loop;
    char *program;
    unsigned parallel, running;
    int64_t grace;
    uint64_t last_id;
    struct sb_transfer *first;
    struct sb_timer *kick; /* starts what may start */
};

/* Waits for its turn; to be put into the fetcher's list. */
int sb_transfer_new(struct sb_fetcher *fetcher, const struct sb_fetch_spec *spec,
                    struct sb_transfer **ret) SB_MUST_CHECK;
void sb_transfer_free(struct sb_transfer *transfer);
bool sb_transfer_has_helper(const struct sb_transfer *transfer);
bool sb_transfer_is_supplied(const struct sb_transfer *transfer);
/* Starts its helper. From now on it takes itself out of the list when it has ended. */
void sb_transfer_begin(struct sb_transfer *transfer);
int sb_transfer_join(struct sb_transfer *transfer, sb_fetch_fn fn, void *arg,
                     uint64_t *ret_id) SB_MUST_CHECK;
/* One that waits leaves; the last one ends it. False: it does not wait here. */
bool sb_transfer_leave(struct sb_transfer *transfer, uint64_t id);
/* False: it has not asked for this piece. */
bool sb_transfer_supply(struct sb_transfer *transfer, const struct sb_piece *piece);
