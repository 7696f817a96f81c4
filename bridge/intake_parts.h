/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between intake's own files: intake.c checks and writes, intake_same.c knows what was asked
 * before. Nobody else includes this.
 */
#pragma once

#include "bridge/intake.h"

/* What is being decided: one request at one door. */
struct sb_asking {
    struct sb_intake *intake;
    const char *origin;
    bool bound;
    const struct sb_request *request;
    struct sb_package *package; /* NULL: none */
    struct sb_verdict *verdict;
};

/* Fills the verdict; always false. */
bool sb_refuse(struct sb_asking *asking, enum sb_cause cause, const char *fmt, ...) SB_PRINTF(3, 4);

/* What makes two requests the same; caller frees; NULL: no memory. */
char *sb_asking_key(const struct sb_asking *asking);
/*
 * Was it asked before? True: the verdict is filled, with what it equals or a refusal. False: it is
 * new; *ret_again (NULL: none) is the ended job of which it opens a new round.
 */
bool sb_asking_known(struct sb_asking *asking, const char *key, struct sb_job **ret_again);

/* Has a job, open or ended, the id that this request brings? */
bool sb_asking_repeats(const struct sb_asking *asking);

/* An ended job with its tasks. -ENOENT; -EBUSY: it is open, or its end is not durable yet. */
int sb_intake_ended(struct sb_intake *intake, int64_t id, struct sb_job **ret) SB_MUST_CHECK;
/* A new round for what failed of an ended job; takes the job over, also on failure. -ENODATA:
 * nothing of it did. */
int sb_intake_reopen(struct sb_intake *intake, struct sb_job *given,
                     const char *actor) SB_MUST_CHECK;
/* Into the book, with its tasks' images pinned; takes the job over, also on failure. */
int sb_intake_add(struct sb_intake *intake, struct sb_job *job, const char *actor) SB_MUST_CHECK;
