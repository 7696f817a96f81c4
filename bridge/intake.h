/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intake: every request for work comes through here, from whichever door.
 *
 * It validates (device, type, operation, parameters, package, fit, rights, limits), finds the
 * request that is the same (law 5), settles conflicts by policy, and writes the job - or says in
 * the closed list of causes why not. Nothing is done yet when it returns; the runner schedules at
 * the end of the turn. Thread: the loop.
 */
#pragma once

#include "bridge/runner/runner.h"

struct sb_request {
    const char *caller;      /* for the audit: platform, user */
    const char *external_id; /* the caller's id of this request, or NULL */
    enum sb_op op;
    const char *const *devices; /* device ids */
    size_t device_count;
    const json_t *params;   /* or NULL */
    const json_t *package;  /* spec for sb_packages_resolve(), or NULL: what is staged */
    const char *package_id; /* or a known package */
    struct sb_policy policy;
};

struct sb_verdict {
    enum sb_cause cause; /* NONE: accepted */
    int64_t job, task;   /* accepted (task: the first device's), or the one it equals */
    bool existing;       /* the same request is open already: nothing new was made */
    char *text;          /* one sentence; owned */
};
void sb_verdict_done(struct sb_verdict *verdict);

struct sb_intake_limits {
    size_t jobs, tasks; /* open ones */
};

struct sb_intake {
    struct sb_loop *loop;
    struct sb_store *store;
    struct sb_book *book;
    struct sb_registry *registry;
    struct sb_packages *packages;
    struct sb_runner *runner;
    struct sb_intake_limits limits;
};

/*
 * origin: link name or "native"; bound: whether the devices' command rights bind it. 0 with a
 * verdict (also of a refusal), or -ENOMEM.
 */
int sb_intake_submit(struct sb_intake *intake, const char *origin, bool bound,
                     const struct sb_request *request, struct sb_verdict *ret) SB_MUST_CHECK;
/* A new round for the failed and cancelled tasks of a job that is done. -ENOENT: no such job;
 * -EBUSY: still open; -ENODATA: nothing of it failed. */
int sb_intake_retry(struct sb_intake *intake, int64_t job, const char *actor) SB_MUST_CHECK;
