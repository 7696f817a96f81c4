/* SPDX-License-Identifier: Apache-2.0 */
/* Between retention.c (when, and in which order) and jobs.c. Nobody else includes this. */
#pragma once

#include "bridge/retention/retention.h"

#define SB_RETENTION_ROWS 64 /* that a step removes, about */

struct sb_retention {
    struct sb_retention_parts parts;
    struct sb_timer *timer;
    bool due, crowded;
    bool settling; /* the last step is not durable yet */
    int stage;
    uint64_t seen; /* jobs that had ended when the pass began */

    /* The clock: */
    int64_t ahead;  /* wall - now when it was looked at last; 0: never */
    int64_t steady; /* loop's time from which ages are trusted */

    /* This pass: */
    bool over;          /* the store takes too much */
    bool ages;          /* the clock may be asked */
    int64_t wall;       /* 0: not set */
    int64_t jobs;       /* that have ended */
    int64_t job_excess; /* of them, those that go whatever their age */
    int64_t audit_excess;
    int64_t cursor; /* the last job that was looked at */
    size_t removed; /* jobs and records */

    /* This step: */
    size_t looked, rows, step_jobs;
    int64_t first, last; /* the jobs that went */

    int64_t large; /* a job that is gone, and has tasks left; 0: none */
};

/* A step. 0 with whether the stage goes on, or -errno. */
int sb_retention_jobs(struct sb_retention *retention, bool *ret_more) SB_MUST_CHECK;
/* Is there a large job that was being removed when the power went? */
int sb_retention_load(struct sb_retention *retention) SB_MUST_CHECK;
