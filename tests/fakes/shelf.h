/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A scripted fetcher: "downloads" write a small file after a while, in steps, with faults. What
 * was fetched is counted over power cuts. Requests for the same part file join.
 */
#pragma once

#include "bridge/loop.h"
#include "bridge/package/fetch.h"

struct shelf {
    struct sb_loop *loop;
    int64_t step_ms;
    unsigned started, completed;
    enum sb_cause cause; /* the next `faults` downloads end so */
    unsigned faults;
    bool silent;         /* downloads make no progress */
    int refusal;         /* -errno: no download can be started */
    const char *changed; /* what the server has now in the place of every image; NULL: the same */
};
extern struct shelf shelf;
extern const struct sb_fetcher_ops shelf_ops;

void shelf_reset(void);
void shelf_power_on(struct sb_loop *loop);
