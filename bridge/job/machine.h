/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs: what may happen to a task, as one table of (state, event) -> (state, actions).
 *
 * Pure: sb_task_step() looks at the task and the event and says what follows; sb_task_apply()
 * writes it into the record. Neither does I/O, reads a clock or knows a dialect. An unlisted pair
 * is -EPROTO and changes nothing (a late or duplicate event is normal, not an error in itself).
 *
 * Invariants (design law 3): no final state is left; percent never falls within an attempt and is
 * 100 only from `restarting` on; a failed attempt with retries left goes to queued/retry, never
 * through `failed`.
 */
#pragma once

#include "bridge/job/job.h"

enum sb_event_kind {
    SB_EV_CONFIRM,   /* a person lets a held task go */
    SB_EV_WAIT,      /* not yet, because of `reason` (stays queued) */
    SB_EV_HAND_OVER, /* the driver, the fetcher or the device has it: an attempt begins */
    SB_EV_PROGRESS,  /* phase and percent within the phase */
    SB_EV_STAGED,    /* the image is complete and verified where it is staged */
    SB_EV_COMMIT,    /* the commit point: from now on it cannot be cancelled */
    SB_EV_SUCCESS,   /* read back (law 7) */
    SB_EV_FAIL,      /* cause, native, text */
    SB_EV_CANCEL,    /* asked: by whom says `cause` (operator, overridden, expired, device_gone) */
    SB_EV_STOPPED,   /* the driver has stopped for a cancel */
    SB_EV_NOT_STOPPED, /* the driver went on: too late */
    SB_EV_EXPIRE,      /* a deadline passed: `cause` timeout or expired */
    SB_EV_MAX_,
};
SB_NAMES_DECLARE(sb_event)

struct sb_event {
    enum sb_event_kind kind;
    enum sb_reason reason;
    enum sb_phase phase;
    uint8_t percent; /* of the phase, 0..100 */
    enum sb_cause cause;
    const struct sb_native *native; /* borrowed, may be NULL */
    const char *text;               /* borrowed, may be NULL */
    json_t *result;                 /* borrowed, an object; may be NULL */
    enum sb_verify verified;        /* SUCCESS: what it was read from */
    const uint8_t *weights;         /* SB_PHASE_MAX_ shares of 100; NULL: sb_phase_weights() */
};

/* What the caller has to do beside storing the record. */
enum sb_action {
    SB_DO_TELL = 1u << 0,        /* somebody may want to hear of it */
    SB_DO_STOP_DRIVER = 1u << 1, /* ask driver or fetcher to stop */
    SB_DO_OCCUPY = 1u << 2,      /* the device may still be at it: occupied */
    SB_DO_RELEASE = 1u << 3,     /* final: pins, locks and timers go */
    SB_DO_RETRY = 1u << 4,       /* arm the retry clock */
};

struct sb_step {
    enum sb_task_state state;
    unsigned actions; /* enum sb_action */
    bool retry;       /* the failure became queued/retry */
};

/* 0 and *ret, or -EPROTO. */
int sb_task_step(const struct sb_task *task, const struct sb_event *event,
                 struct sb_step *ret) SB_MUST_CHECK;
/*
 * Steps and writes the outcome into the task: state, reason, phase, percent, cause, native, text,
 * result, attempt, furthest. Not the clocks. 0, -EPROTO (nothing changed), -ENOMEM (nothing
 * changed). Progress that changes nothing visible returns 0 with ret->actions == 0.
 */
int sb_task_apply(struct sb_task *task, const struct sb_event *event,
                  struct sb_step *ret) SB_MUST_CHECK;

/* Default share of each phase in the overall percent, for an operation. */
const uint8_t *sb_phase_weights(enum sb_op op);
/* The overall percent for `percent` of `phase`, before the never-fall rule. 0..99 or 100. */
uint8_t sb_overall_percent(const uint8_t *weights, enum sb_phase phase, uint8_t percent);

/* The job machine: the state its tasks and rule imply. */
enum sb_job_state sb_job_derive(const struct sb_job *job);

/* Which of its tasks are the last round of their device and module; to be freed. NULL: no memory.
 */
bool *sb_job_latest(const struct sb_job *job);

struct sb_job_counts { /* of each device and module the last round */
    uint32_t state[SB_TASK_STATE_MAX_];
    uint32_t cause[SB_CAUSE_MAX_]; /* of final tasks */
    uint32_t total;
    uint8_t percent; /* of all, a success being 100 */
};
int sb_job_count(const struct sb_job *job, struct sb_job_counts *ret) SB_MUST_CHECK;
