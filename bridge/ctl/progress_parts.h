/* SPDX-License-Identifier: Apache-2.0 */
/* What progress.c and bars.c share. */
#pragma once

#include "bridge/base/map.h"
#include "bridge/ctl/progress.h"

struct sb_watched {
    struct sb_task *task;
    enum sb_task_state told_state;
    enum sb_reason told_reason;
    enum sb_phase told_phase;
    uint32_t told_attempt;
    int told_step; /* -1: nothing told yet */
    bool told_loss;
    bool superseded; /* by a later round */
};

struct sb_progress {
    struct sb_job *job; /* without tasks; NULL: none yet */
    struct sb_watched *list;
    size_t count, room;
    size_t *changed; /* indices, since it was last asked */
    size_t changed_count, changed_room;
    struct sb_map by_id;  /* task id -> index + 1 */
    struct sb_map latest; /* device and module -> index + 1 */
};

/* bars.c */
bool sb_progress_fits(const struct sb_progress *progress, const struct sb_style *style);
void sb_watched_line(const struct sb_watched *watched, const struct sb_style *style,
                     struct sb_str *out);
