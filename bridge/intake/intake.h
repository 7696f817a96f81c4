/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intake: every request for work comes through here, from whichever door.
 *
 * It validates (device, type, operation, parameters, package, fit, rights, limits), finds the
 * request that is the same, settles conflicts by policy, and writes the job - or says in the closed
 * list of causes why not. Nothing is done yet when it returns; the runner schedules at the end of
 * the turn. Thread: the loop.
 *
 * The same request: with an id of the caller's, whatever has that id at this origin, over restarts.
 * While it is open, and after its success, it is the answer; after a failure it gets a new round
 * under its id; with another body it is a conflict; and when retention has taken its job (after
 * retention.remember at the earliest) it is new. Without an id: what asks for the same at the
 * same devices, while it is open. A refused request changes nothing.
 *
 * Without room on the disk (space.h), for the reports to its link (outbox.h), in the store
 * (retention.h) or among the open jobs new work is refused; what was asked for before, with an id,
 * is answered all the same.
 */
#pragma once

#include "bridge/retention/retention.h"
#include "bridge/runner/runner.h"
#include "bridge/space.h"

struct sb_request {
    const char *caller;      /* for the audit: platform, user */
    const char *external_id; /* the caller's id of this request, or NULL */
    const char *key; /* what makes it the same request, where the id alone does not; or NULL */
    enum sb_op op;
    const char *const *devices; /* device ids */
    size_t device_count;
    /* Groups, types, versions, sample (its `devices` stay NULL); or NULL: the devices alone. Of
     * those chosen this way one that cannot do it gets a task that fails at once; a named one
     * refuses the whole request. */
    const struct sb_targets *targets;
    bool rule;              /* and whoever comes to match, until the rule is switched off */
    const json_t *tags;     /* {name: text}, or NULL */
    const json_t *params;   /* or NULL */
    const json_t *package;  /* spec for sb_packages_resolve(), or NULL: what is staged */
    const char *package_id; /* or a known package */
    struct sb_policy policy;
};

struct sb_verdict {
    enum sb_cause cause;  /* NONE: accepted */
    int64_t job, task;    /* accepted (task: the first device's; 0: it has none yet), or the one it
                             equals */
    bool existing;        /* the same request was made before: nothing new was made */
    struct sb_job *ended; /* existing: as it ended, owned; NULL: it is open */
    char *text;           /* one sentence; owned */
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
    struct sb_space *space;
    const struct sb_retention *retention;
    struct sb_intake_limits limits;
    void (*tell)(void *arg, const struct sb_news *news); /* of jobs that were edited */
    /* Has the origin's link no room for the reports of so many tasks more? */
    bool (*is_full)(void *arg, const char *origin, size_t tasks);
    void *arg;
    bool rules_changed; /* a rule was made or switched on; for sb_rules_turn() */
};

/*
 * origin: link name or "native"; bound: whether the devices' command rights bind it. 0 with a
 * verdict (also of a refusal), or -ENOMEM.
 */
int sb_intake_submit(struct sb_intake *intake, const char *origin, bool bound,
                     const struct sb_request *request, struct sb_verdict *ret) SB_MUST_CHECK;
/* A new round for the failed and cancelled tasks of a job that is done, or of an open one whose
 * rule is on. -ENOENT: no such job; -EBUSY: still open, or its end is not durable; -ENODATA:
 * nothing of it failed; -EAGAIN; -ENOSPC: no room on the disk (space.h); -ENOBUFS: too many are
 * open. Who orders it confirms it by that; what a door asks for again waits, where it is to be
 * held, for a person once more. */
int sb_intake_retry(struct sb_intake *intake, int64_t id, const char *actor) SB_MUST_CHECK;

struct sb_edit {          /* of an open job; what is not given stays */
    const json_t *policy; /* members of the policy's JSON form, see sb_policy_edit(); or NULL */
    const json_t *tags;   /* {name: text, null to remove it}; or NULL */
    int rule;             /* 1 on, 0 off, -1 as it is */
};
/*
 * Changes an open job; deadlines count what has passed already. -ENOENT: no such open job; -EINVAL
 * with a text to be freed: that cannot be changed, or not so, and nothing was; -EAGAIN.
 */
int sb_intake_edit(struct sb_intake *intake, int64_t id, const struct sb_edit *edit,
                   const char *actor, char **ret_text) SB_MUST_CHECK;
