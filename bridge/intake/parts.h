/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between intake's own files: intake.c checks and writes, params.c knows what an operation can be
 * told, targets.c who is meant, same.c what was asked before, rules.c keeps rules, edit.c changes
 * open jobs.
 * Nobody else includes this.
 */
#pragma once

#include "bridge/intake/intake.h"

/* One device's part in what is asked. */
struct sb_share {
    const char *device; /* id, the registry's own */
    bool named;         /* what it cannot do refuses the whole request; else its task alone fails */
    enum sb_cause cause; /* with which it fails at once; NONE: it does not */
    char *text;
    uint32_t rank; /* in the sample */
};

/* What is being decided: one request at one door. */
struct sb_asking {
    struct sb_intake *intake;
    const char *origin;
    bool bound;
    const struct sb_request *request;
    struct sb_package *package; /* NULL: none */
    struct sb_verdict *verdict;
    struct sb_share *shares; /* of the devices that are meant */
    size_t share_count;
    struct sb_targets targets; /* with the devices that were named, when it chooses */
    bool chooses;              /* more than names devices: groups, a sample, a rule... */
};
void sb_asking_done(struct sb_asking *asking);

/* ---- who is meant: targets.c ---- */

/* Does the device match, sample aside? `module`: whose version is looked at. */
bool sb_targets_match(const struct sb_targets *targets, const struct sb_device *device,
                      const char *module);
/* Is it in the sample of a rule? */
bool sb_targets_sampled(const struct sb_targets *targets, const struct sb_device *device,
                        enum sb_op op, const char *package);
/* Targets and names are legal, the named devices there and allowed: they are the shares. */
bool sb_asking_named(struct sb_asking *asking);
int sb_asking_share(struct sb_asking *asking, const struct sb_device *device,
                    bool named) SB_MUST_CHECK;
/* The shares of a request that chooses; of others they stay. */
bool sb_asking_choose(struct sb_asking *asking);
/* Of a device that was not named: its refusal becomes its share's, and the verdict is clean. */
bool sb_asking_leave_out(struct sb_asking *asking, struct sb_share *share);

/* ---- the checks: intake.c, params.c ---- */

/* Are the parameters those of the operation? */
bool sb_asking_params(struct sb_asking *asking);

/* May so many more be open? */
bool sb_intake_has_room(const struct sb_intake *intake, size_t jobs, size_t tasks);

/* Can a device of its type do it, does the image fit, is no other activity in the way? Each false
 * is a refusal in the verdict. */
bool sb_asking_able(struct sb_asking *asking, const struct sb_device *device);
bool sb_asking_fits(struct sb_asking *asking, const struct sb_device *device);
bool sb_asking_free(struct sb_asking *asking, const struct sb_device *device);
/* Takes back what is in the way. */
bool sb_asking_replace(struct sb_asking *asking, const struct sb_device *device);
/* A task of the job for the device; not added to it. */
int sb_asking_task(const struct sb_asking *asking, const struct sb_job *job,
                   const struct sb_device *device, struct sb_task **ret) SB_MUST_CHECK;

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
/* A new round for what failed of an ended job, held or not; takes the job over, also on failure.
 * -ENODATA: nothing of it did; -ENOBUFS: too many are open. */
int sb_intake_reopen(struct sb_intake *intake, struct sb_job *given, bool held,
                     const char *actor) SB_MUST_CHECK;
/* Into the book, with its tasks' images pinned; takes the job over, also on failure. */
int sb_intake_add(struct sb_intake *intake, struct sb_job *job, const char *actor) SB_MUST_CHECK;
