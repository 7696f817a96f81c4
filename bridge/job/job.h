/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The noun: a job is what somebody asked for, a task is one device's share of it.
 *
 * Whatever tongue a request came in, it becomes one of these; whatever tongue a report goes out
 * in, it is made from these. The lists below are closed: every dialect's mapping has a cell for
 * each of their members (design law 1), so adding one is a change in every mapping.
 *
 * This header has the records and their JSON form, machine.h what may happen to them. No I/O, no
 * clock, no dialect. Thread: whoever owns the record (the loop). Times are milliseconds.
 */
#pragma once

#include <stdint.h>

#include "bridge/base/json.h"
#include "bridge/base/names.h"
#include "bridge/base/util.h"

enum sb_op {
    SB_OP_FIRMWARE_DOWNLOAD, /* get and verify the image, where it will be staged */
    SB_OP_FIRMWARE_INSTALL,  /* install what is staged */
    SB_OP_FIRMWARE_UPDATE,   /* both */
    SB_OP_REBOOT,
    SB_OP_FACTORY_RESET,
    SB_OP_CONFIGURE, /* params: {"values": {name: value}} or a package */
    SB_OP_READ,      /* params: {"names": [name]}; result {name: value} */
    SB_OP_WRITE,     /* params: {"values": {name: value}} */
    SB_OP_INVOKE,    /* params: {"action": name, "arguments": {}} */
    SB_OP_MAX_,
    SB_OP_INVALID = -EINVAL,
};
SB_NAMES_DECLARE(sb_op)
bool sb_op_is_firmware(enum sb_op op);
bool sb_op_takes_package(enum sb_op op); /* an image, or a configuration */

enum sb_task_state {
    SB_TASK_HELD,
    SB_TASK_QUEUED,
    SB_TASK_SENT,
    SB_TASK_DOWNLOADING,
    SB_TASK_DOWNLOADED,
    SB_TASK_INSTALLING,
    SB_TASK_RESTARTING,
    SB_TASK_RUNNING,
    SB_TASK_CANCELLING,
    SB_TASK_SUCCEEDED,
    SB_TASK_FAILED,
    SB_TASK_CANCELLED,
    SB_TASK_STATE_MAX_,
    SB_TASK_STATE_INVALID = -EINVAL,
};
SB_NAMES_DECLARE(sb_task_state)
bool sb_task_state_is_final(enum sb_task_state state);
/* Handed over: the device or driver has it (sent .. cancelling). */
bool sb_task_state_is_under_way(enum sb_task_state state);

/* Why a queued task is not handed over; which is named where several hold: runner/schedule.h. */
enum sb_reason {
    SB_REASON_NONE,
    SB_REASON_OFFLINE,   /* the device does not answer, or (start: online) has not answered anew */
    SB_REASON_SCHEDULED, /* its start time has not come */
    SB_REASON_WINDOW,    /* its hours are not now */
    SB_REASON_RATE,      /* enough of its job were begun within the minute */
    SB_REASON_CAPACITY,  /* enough tasks are under way, of its job or of the gateway */
    SB_REASON_BUSY,      /* the device has other work or may still be at some; its bus is taken */
    SB_REASON_PULL,      /* (pull) the device has not asked for it, nor somebody for the device */
    SB_REASON_RETRY,     /* between two attempts */
    SB_REASON_PARENT,    /* the device it is behind does not answer, or gets firmware itself */
    SB_REASON_ARTIFACT,  /* its image is not there: somebody else's download of it goes on, there
                            is no room for it now, or nobody has said yet where it is */
    SB_REASON_PAUSED,    /* an operator paused all jobs */
    SB_REASON_MAX_,
    SB_REASON_INVALID = -EINVAL,
};
SB_NAMES_DECLARE(sb_reason)

enum sb_phase {
    SB_PHASE_WAITING,
    SB_PHASE_STARTING,
    SB_PHASE_FETCHING,
    SB_PHASE_TRANSFERRING,
    SB_PHASE_VERIFYING,
    SB_PHASE_WRITING,
    SB_PHASE_ACTIVATING,
    SB_PHASE_RESTARTING,
    SB_PHASE_CONFIRMING,
    SB_PHASE_MAX_,
    SB_PHASE_INVALID = -EINVAL,
};
SB_NAMES_DECLARE(sb_phase)

enum sb_cause {
    SB_CAUSE_NONE,
    SB_CAUSE_UNSUPPORTED,
    SB_CAUSE_INVALID_REQUEST,
    SB_CAUSE_INVALID_URI,
    SB_CAUSE_BUSY,
    SB_CAUSE_CONFLICT,
    SB_CAUSE_NOT_READY,
    SB_CAUSE_ALREADY_CURRENT,
    SB_CAUSE_OFFLINE,
    SB_CAUSE_LINK_LOST,
    SB_CAUSE_DOWNLOAD_FAILED,
    SB_CAUSE_NO_SPACE,
    SB_CAUSE_NO_MEMORY,
    SB_CAUSE_VERIFY_FAILED,
    SB_CAUSE_UNSUPPORTED_IMAGE,
    SB_CAUSE_WRITE_FAILED,
    SB_CAUSE_INSTALL_FAILED,
    SB_CAUSE_VERSION_MISMATCH,
    SB_CAUSE_ROLLED_BACK,
    SB_CAUSE_DOWNGRADE_REFUSED,
    SB_CAUSE_LOW_BATTERY,
    SB_CAUSE_WEAK_SIGNAL,
    SB_CAUSE_REFUSED,
    SB_CAUSE_TIMEOUT,
    SB_CAUSE_EXPIRED,
    SB_CAUSE_OVERRIDDEN,
    SB_CAUSE_OPERATOR, /* only of a cancelled task: a person asked */
    SB_CAUSE_DEVICE_GONE,
    SB_CAUSE_OUTCOME_UNKNOWN,
    SB_CAUSE_INTERNAL,
    SB_CAUSE_MAX_,
    SB_CAUSE_INVALID = -EINVAL,
};
SB_NAMES_DECLARE(sb_cause)
/* A transient cause may go away by itself, so a retry makes sense. */
bool sb_cause_is_transient(enum sb_cause cause);
const char *sb_cause_text(enum sb_cause cause); /* for people; when nobody knows better words */

enum sb_job_state {
    SB_JOB_PLANNED,
    SB_JOB_ACTIVE,
    SB_JOB_CANCELLING,
    SB_JOB_DONE,
    SB_JOB_STATE_MAX_,
    SB_JOB_STATE_INVALID = -EINVAL
};
SB_NAMES_DECLARE(sb_job_state)

enum sb_start {
    SB_START_NOW,    /* what is known of the device's presence counts */
    SB_START_ONLINE, /* the device must have answered since the job was made */
    SB_START_AT,
    SB_START_MAX_,
    SB_START_INVALID = -EINVAL
};
SB_NAMES_DECLARE(sb_start)

/* A second firmware activity for the same device and module while one is open. */
enum sb_conflict {
    SB_CONFLICT_REFUSE,
    SB_CONFLICT_QUEUE,
    SB_CONFLICT_REPLACE_UNSTARTED,   /* what has not gone past `sent` */
    SB_CONFLICT_REPLACE_UNCOMMITTED, /* what has not passed its commit point */
    SB_CONFLICT_MAX_,
    SB_CONFLICT_INVALID = -EINVAL,
};
SB_NAMES_DECLARE(sb_conflict)

/* When the asker is answered; how long it waits for a final answer is its door's to say. */
enum sb_answer { SB_ANSWER_ACCEPTED, SB_ANSWER_FINAL, SB_ANSWER_MAX_, SB_ANSWER_INVALID = -EINVAL };
SB_NAMES_DECLARE(sb_answer)

enum sb_confirm {
    SB_CONFIRM_AUTO,
    SB_CONFIRM_MANUAL,
    SB_CONFIRM_NEVER,
    SB_CONFIRM_MAX_,
    SB_CONFIRM_INVALID = -EINVAL
};
SB_NAMES_DECLARE(sb_confirm)

/* What success is read from (law 7), from nothing at all to the image itself. */
enum sb_verify {
    SB_VERIFY_NONE,    /* nothing: the device took it, and that is all that is known */
    SB_VERIFY_STATUS,  /* the device says that it is done */
    SB_VERIFY_VERSION, /* the device says that it runs the target */
    SB_VERIFY_HASH,    /* the device says the digest of what it runs */
    SB_VERIFY_MAX_,
    SB_VERIFY_INVALID = -EINVAL,
};
SB_NAMES_DECLARE(sb_verify)
const char *sb_verify_text(enum sb_verify verify); /* for people */

struct sb_window { /* of each chosen day, in a named time zone; from == to: no window */
    int16_t from_minute, to_minute; /* 0..1439; to < from runs over midnight */
    uint8_t days;                   /* bit 0 Sunday .. bit 6 Saturday; 0: every day */
    char *zone;                     /* "Europe/Berlin"; NULL: UTC */
};

struct sb_policy {
    enum sb_start start;
    int64_t start_at; /* wall ms, for SB_START_AT */
    int64_t end_at;   /* wall ms, 0 none: what is still queued then expires */
    struct sb_window window;
    bool pull;                /* the device fetches it, nothing is pushed */
    bool hold;                /* tasks start `held` and wait for a person's confirm */
    uint32_t rate_per_minute; /* hand-overs of this job; 0 unlimited */
    uint32_t concurrency;     /* tasks under way of this job; 0 unlimited */
    uint32_t retries;         /* further attempts after the first */
    int64_t retry_interval;   /* ms */
    uint64_t retry_causes;    /* bit per cause; 0: the transient ones */
    int64_t online_timeout;   /* ms queued for `offline`; 0 none */
    int64_t answer_timeout;   /* ms `sent` without progress; 0 none */
    int64_t run_timeout;      /* ms from the first progress; 0 none; not restarted by a retry */
    int64_t whole_timeout;    /* ms from creation; 0 none */
    enum sb_conflict conflict;
    enum sb_answer answer;
    bool allow_downgrade;
    char *source_versions; /* comma-separated; NULL: any */
};

/*
 * Whom a job is for, where that is more than a list of devices. A device is meant that is named or
 * in one of the groups (without either: any), is of one of the types, runs one of the versions
 * (of the job's module), and is in the sample.
 *
 * The sample is by a digest of the device's UUID and the job's content (operation and package):
 * the same content chooses the same devices again, and a larger sample contains a smaller one. Of
 * a job that chooses once it is the exact share, rounded up; of a rule each device by itself, so
 * that one who joins changes nothing for others.
 */
struct sb_targets {
    json_t *devices; /* arrays of texts, NULL: not given */
    json_t *groups;
    json_t *types;
    char *versions; /* comma-separated; NULL: any, also unknown ones */
    uint8_t sample; /* percent, 1..100; 0: all */
};

struct sb_native { /* a device's or dialect's own words for an outcome (law 2) */
    char *dialect, *vocabulary, *code, *text;
};

struct sb_task;

struct sb_job {
    int64_t id;
    char *origin;      /* link name, or "native" */
    char *caller;      /* who asked: user, or the link's platform */
    char *external_id; /* the caller's id, or NULL */
    char *key;         /* what makes two requests the same (law 5) */
    char *package;     /* package id, for firmware; NULL: none, or what is staged */
    enum sb_op op;
    json_t *params; /* object or NULL */
    struct sb_policy policy;
    enum sb_job_state state;
    struct sb_targets targets; /* empty: the devices that have tasks */
    bool standing;             /* it was made as a rule: */
    bool rule;       /* which is on: whoever comes to match gets a task, each device once */
    json_t *tags;    /* {name: text}, for people and their tools; NULL: none */
    int64_t created; /* wall ms, 0 when the clock was unset */
    int64_t ended;
    struct sb_task **tasks; /* owned; open jobs have all, of final tasks too */
    size_t task_count;
};

struct sb_task {
    int64_t id;
    struct sb_job *job; /* not owned */
    char *device;       /* device id */
    char *uuid;     /* of the record that was meant: another one may take over the id; or NULL */
    char *module;   /* "" the whole device */
    uint32_t round; /* 1.. */
    enum sb_task_state state;
    enum sb_task_state cancel_from; /* while cancelling: the state before */
    enum sb_reason reason;
    enum sb_phase phase;
    enum sb_cause cause;
    enum sb_cause cancel_cause;  /* while cancelling: what it will be cancelled with */
    uint32_t attempt;            /* 0 before the first hand-over */
    uint8_t percent;             /* of this attempt, overall over its phases; never falls */
    uint8_t furthest_percent;    /* of all attempts */
    enum sb_task_state furthest; /* furthest state of all attempts, sent .. restarting */
    bool committed;              /* past the driver's commit point in this attempt */
    bool asked;                  /* (pull) for the next attempt */
    bool heard;                  /* (start: online) the device has answered since */
    bool started;                /* first progress seen: the run clock runs */
    char *text;                  /* one sentence for people, of the last event; or NULL */
    char *target_version;        /* what success means, law 7; NULL: unknown or not firmware */
    enum sb_verify verified;     /* of a success: what it was read from */
    char *artifact;              /* sha256 of the image, pinned while open; NULL: none yet */
    struct sb_native native;
    json_t *result;               /* bounded object or NULL */
    char *transcript;             /* of the last attempt, as its driver kept it; or NULL */
    json_t *checkpoint;           /* the driver's, at most 4 KiB; or NULL */
    int64_t created, sent, ended; /* wall ms; 0: not yet, or the clock was unset */
    int64_t spent_queued, spent_offline, spent_sent, spent_run, spent_whole; /* elapsed ms */
    int64_t spent_artifact; /* ms queued for `artifact` */
    int64_t retry_left;     /* ms until the next attempt, while queued/retry */
};

/* An installation whose success was read from less than its version: reports say so (law 7). */
bool sb_task_is_unproven(const struct sb_task *task);

struct sb_job *sb_job_free(struct sb_job *job); /* and its tasks */
SB_DEFINE_CLEANUP(struct sb_job *, sb_job_free)
struct sb_task *sb_task_free(struct sb_task *task); /* does not unlink it from its job */
SB_DEFINE_CLEANUP(struct sb_task *, sb_task_free)
void sb_policy_done(struct sb_policy *policy);
int sb_policy_copy(const struct sb_policy *from, struct sb_policy *ret) SB_MUST_CHECK;
void sb_targets_done(struct sb_targets *targets);
int sb_targets_copy(const struct sb_targets *from, struct sb_targets *ret) SB_MUST_CHECK;
/* Does it choose, beyond naming devices? */
bool sb_targets_choose(const struct sb_targets *targets);
/* NULL when they are legal, else what is not; for people. */
const char *sb_targets_wrong(const struct sb_targets *targets);
const char *sb_tags_wrong(const json_t *tags);
void sb_native_done(struct sb_native *native);
int sb_native_set(struct sb_native *native, const char *dialect, const char *vocabulary,
                  const char *code, const char *text) SB_MUST_CHECK;

/* The JSON form: what the store keeps and --json prints. New references; NULL without memory. */
json_t *sb_job_json(const struct sb_job *job); /* without its tasks */
json_t *sb_task_json(const struct sb_task *task);
json_t *sb_policy_json(const struct sb_policy *policy); /* only what differs from zero */
bool sb_policy_has(const char *name); /* is there such a member in a policy's JSON form? */
json_t *sb_targets_json(const struct sb_targets *targets);
/*
 * -EBADMSG when a required member is missing, of the wrong type or out of range, or a name is
 * unknown; ret_error (may be NULL) gets a text. Other members are ignored.
 */
int sb_job_from_json(const json_t *json, struct sb_job **ret, char **ret_error) SB_MUST_CHECK;
int sb_task_from_json(const json_t *json, struct sb_job *job, struct sb_task **ret,
                      char **ret_error) SB_MUST_CHECK; /* not added to job->tasks */
int sb_policy_from_json(const json_t *json, struct sb_policy *ret, char **ret_error) SB_MUST_CHECK;
int sb_targets_from_json(const json_t *json, struct sb_targets *ret,
                         char **ret_error) SB_MUST_CHECK;
/*
 * Takes over what may change while a job is open: rate, concurrency, timeouts; 0 takes a limit
 * away. Another member, or an illegal value: -EBADMSG with a text, and nothing has changed.
 */
int sb_policy_edit(struct sb_policy *policy, const json_t *changes, char **ret_error) SB_MUST_CHECK;
/* Adds an owned task to the job. */
int sb_job_add_task(struct sb_job *job, struct sb_task *task) SB_MUST_CHECK;
