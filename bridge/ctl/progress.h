/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job as it is watched: takes the daemon's events, renders what a person sees - a line per
 * change, or a frame of bars that is drawn again in place. Pure: no terminal, no clock, no socket.
 */
#pragma once

#include "bridge/ctl/ctl.h"
#include "bridge/job/job.h"

#define SB_PROGRESS_TASKS 100000 /* more than a daemon holds */

struct sb_progress;
struct sb_progress *sb_progress_new(void);
struct sb_progress *sb_progress_free(struct sb_progress *progress);
SB_DEFINE_CLEANUP(struct sb_progress *, sb_progress_free)

/* The whole job, as the daemon's first event (or a later one) has it. -EBADMSG, -ENOMEM. */
int sb_progress_job(struct sb_progress *progress, const json_t *json) SB_MUST_CHECK;
/* One task changed. -EBADMSG: malformed, or of another job; -E2BIG. */
int sb_progress_task(struct sb_progress *progress, const json_t *json) SB_MUST_CHECK;

/* Appends a line for each task that changed since it was last asked: state, reason, phase,
 * attempt, or the percent by a step of five. */
void sb_progress_lines(struct sb_progress *progress, const struct sb_style *style,
                       struct sb_str *out);
/* Appends a line for each task that failed or was cancelled since it was last asked, when there
 * are too many for a line each: they would be lost in the frame. */
void sb_progress_losses(struct sb_progress *progress, const struct sb_style *style,
                        struct sb_str *out);
/* Appends the frame; how many lines it has. At most style->rows - 1. */
unsigned sb_progress_frame(const struct sb_progress *progress, const struct sb_style *style,
                           struct sb_str *out);

/* Of each device and module the latest round counts. */
struct sb_progress_sum {
    uint32_t tasks, succeeded, failed, cancelled, under_way, waiting;
    unsigned percent;
};
void sb_progress_sum(const struct sb_progress *progress, struct sb_progress_sum *ret);
enum sb_exit sb_progress_exit(const struct sb_progress *progress); /* of a job that is done */
/* One sentence about the end. */
void sb_progress_end(const struct sb_progress *progress, const struct sb_style *style,
                     struct sb_str *out);
