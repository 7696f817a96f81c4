/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver contract: commands in, events out. A driver makes a device do things.
 *
 * A *blocking* driver (serial protocols) is one function, run(), called on the worker thread of
 * the device's bus, written as plain linear code on a session handle. Every wait on the handle
 * has a deadline and ends early when the session is stopped. It owns no descriptor, thread or
 * timer. An *asynchronous* driver (a dialect over the broker, the tests' fake) has start(),
 * stop() and granted() instead, called on the loop thread, and answers by sb_driver_event() -
 * later, never from inside these. stop() may come more than once, but not past the commit point.
 *
 * Rules for every driver (design laws 7, 9): the first action is to find out where the device
 * stands, then decide; never report success from memory; what the device already has is not sent
 * again; an interrupted command given again with its checkpoint goes on or starts over, never
 * does harm. Success is read back from the device.
 *
 * A driver knows no job, task, door or dialect.
 */
#pragma once

#include <stdint.h>

#include "bridge/base/diag.h"
#include "bridge/base/json.h"
#include "bridge/config/schema.h"
#include "bridge/job/job.h"

struct sb_type;
struct sb_runner;  /* takes an asynchronous driver's events */
struct sb_session; /* one command under way on a blocking driver */
struct sb_port;    /* a byte stream with deadlines: port.h */

/* Beside the operations: find out who and what the device is. */
#define SB_COMMAND_IDENTIFY SB_OP_MAX_

enum sb_driver_cap {
    SB_CAP_STAGE_ON_DEVICE = 1u << 0, /* download and install are two steps on the device */
    SB_CAP_SHARES_BUS = 1u << 1,      /* calls sb_session_share() during long work */
    SB_CAP_CANCEL = 1u << 2,          /* can stop until its commit point; else never */
    SB_CAP_READS_VERSION = 1u << 3,   /* finds an image's version in the image */
};

struct sb_image { /* verified by the core before the driver sees it */
    const char *path;
    const char *sha256;                  /* hex, of the file */
    const char *version, *name, *module; /* may be NULL */
    int64_t size;
};

struct sb_command {     /* immutable while it runs; the runner owns it */
    uint64_t session;   /* id for events */
    int op;             /* enum sb_op or SB_COMMAND_IDENTIFY */
    const char *device; /* id, for logs */
    const struct sb_type *type;
    const json_t *address;        /* or NULL */
    const json_t *params;         /* or NULL */
    const struct sb_image *image; /* firmware; NULL: install what is staged on the device */
    const json_t *checkpoint;     /* of the interrupted run, or NULL */
    bool resumed;                 /* it was handed over before (crash, lost bus) */
    bool committed;               /* its commit point had been passed then */
    enum sb_confirm confirm;
    bool allow_downgrade;
    int64_t stall_ms;    /* no event for so long: the runner stops it */
    int64_t deadline_ms; /* for the whole command; 0 none */
};

struct sb_identity {    /* what the device says of itself; strings owned */
    json_t *identity;   /* {manufacturer, model, serial, hardware}; NULL: unknown */
    json_t *versions;   /* {module: version}; NULL: cannot say */
    json_t *properties; /* {name: value} read along the way, or NULL */
    bool idle;          /* it is certain that nothing is under way on it */
    bool asks;          /* it asks for what waits for it (jobs that push nothing) */
};

struct sb_outcome {      /* filled by run(); zeroed before */
    enum sb_cause cause; /* NONE: done and read back */
    bool stopped;        /* ended because it was asked to stop */
    bool no_port;        /* its bus could not be opened; sb_session_port() says so */
    struct sb_native native;
    char *text;               /* one sentence for people; owned */
    json_t *result;           /* object or NULL; owned */
    struct sb_identity after; /* as read at the end, if it was */
    char *transcript; /* what sb_session_note() and sb_session_line() were told; by the worker */
    char *verified;   /* "hash", "version", "status", "none": what success was read from; static */
};
void sb_outcome_done(struct sb_outcome *outcome);
void sb_identity_done(struct sb_identity *identity);

struct sb_driver_ops {
    const char *name;
    bool point_to_point; /* made for two ends: others on the line would take its bytes as theirs */
    const struct sb_field *address_fields; /* of a device's `address`; NULL: not looked at */
    size_t address_size;
    const struct sb_field *type_fields; /* of a device type's `<driver>:` section */
    size_t type_size;
    /* Beyond the tables: findings about a type; may be NULL. Pure. */
    void (*check_type)(const struct sb_type *type, struct sb_diags *diags);
    unsigned (*caps)(const struct sb_type *type); /* enum sb_driver_cap; pure */
    /* Can it do this at all? NONE, or UNSUPPORTED / INVALID_REQUEST with a text. Pure. */
    enum sb_cause (*accepts)(const struct sb_type *type, int op, const json_t *params,
                             char **ret_text);
    /* Blocking: */
    void (*run)(struct sb_session *session, const struct sb_command *command,
                struct sb_outcome *ret);
    /* Or asynchronous (loop thread; all four or none). drop: the runner goes away, as in a crash;
     * no event may follow. */
    int (*start)(void *user, struct sb_runner *runner, const struct sb_command *command);
    void (*stop)(void *user, uint64_t session);
    void (*drop)(void *user, uint64_t session);
    void (*granted)(void *user, uint64_t session, int error); /* checkpoint / commit answered */
    void *user;
};

/* ---- what a blocking driver may call, on its worker thread ---- */

/* The bus's port, opened. NULL with *ret filled (link_lost, busy with the owner's pid...). */
struct sb_port *sb_session_port(struct sb_session *session, struct sb_outcome *ret);
/* phase + done/total (total 0: unknown). Cheap; thinned out before it reaches the loop. */
void sb_session_progress(struct sb_session *session, enum sb_phase phase, uint64_t done,
                         uint64_t total);
/* Durable when it returns 0; -ECANCELED when stopped, -EIO when the store failed. Borrows. */
int sb_session_checkpoint(struct sb_session *session, const json_t *checkpoint) SB_MUST_CHECK;
/* Durable when it returns 0: from now on a stop is refused. Otherwise do not go on. */
int sb_session_commit_point(struct sb_session *session) SB_MUST_CHECK;
bool sb_session_stopped(const struct sb_session *session);
/* Stopped: a few last requests may follow, for which waits work again. -ECANCELED: not when the
 * gateway itself goes down. */
int sb_session_part(struct sb_session *session) SB_MUST_CHECK;
int sb_session_sleep(struct sb_session *session, int64_t ms) SB_MUST_CHECK; /* -ECANCELED */
int64_t sb_session_now(const struct sb_session *session); /* monotonic ms, the worker's own */
/* A line for the operator (job's transcript and debug log). */
void sb_session_note(struct sb_session *session, const char *fmt, ...) SB_PRINTF(2, 3);
/*
 * What went over the wire, for the transcript only: the newest SB_TRANSCRIPT_MAX bytes are kept.
 * Control characters are escaped and registered secrets (log.h) hidden. No event, so it does not
 * count as a sign of life.
 */
#define SB_TRANSCRIPT_MAX 4096
void sb_session_line(struct sb_session *session, const char *text);
/* Between two blocks of long work: lets short commands of other devices on this bus run. */
void sb_session_share(struct sb_session *session);

/* ---- what an asynchronous driver (and the worker) tells the runner, on the loop ---- */

enum sb_driver_event_kind {
    SB_DRIVER_PROGRESS,
    SB_DRIVER_CHECKPOINT, /* answered by granted() when durable */
    SB_DRIVER_COMMIT,     /* answered by granted() when durable */
    SB_DRIVER_DONE,
    SB_DRIVER_FACTS, /* unasked: identity or presence of a device changed; session 0 */
    SB_DRIVER_NOTE,
};
struct sb_driver_event {
    enum sb_driver_event_kind kind;
    uint64_t session;
    enum sb_phase phase;
    uint8_t percent;
    json_t *checkpoint;                 /* borrowed */
    struct sb_outcome *outcome;         /* DONE; borrowed, may be taken apart by stealing */
    const char *device;                 /* FACTS */
    const struct sb_identity *identity; /* FACTS */
    const char *text;                   /* NOTE */
};
void sb_driver_event(struct sb_runner *runner, const struct sb_driver_event *event);
