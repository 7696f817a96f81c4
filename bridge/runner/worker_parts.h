/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What worker.c (the loop's side) and session.c (the thread's side) share. Private to them.
 *
 * Thread rule: fields say whose they are. "mutex" fields are touched only with the worker's mutex
 * held; "loop" and "thread" fields only by that thread.
 */
#pragma once

#include <pthread.h>

#include "bridge/base/str.h"
#include "bridge/runner/worker.h"

/* Notes and progress are dropped beyond the lower limit: the rest must not be lost. */
#define SB_WORKER_EVENTS    64
#define SB_WORKER_DROPPABLE 56
#define SB_WORKER_TOLD_MS   200 /* within one phase: at most 5 progress events a second */
#define SB_NOTE_TEXT_MAX    1000

enum sb_grant { SB_GRANT_NONE, SB_GRANT_AWAITED, SB_GRANT_GIVEN };

struct sb_session {
    struct sb_worker *worker;
    const struct sb_driver_ops *driver;
    const struct sb_command *command;
    uint64_t id;
    bool shares; /* its driver calls sb_session_share() */
    /* mutex */
    bool stop, committed;
    bool parting; /* stopped, and takes its leave */
    enum sb_grant grant;
    int grant_error;
    /* thread */
    struct sb_session *outer; /* the one whose sb_session_share() it runs in */
    bool told_any;
    enum sb_phase told_phase;
    uint8_t told_percent;
    int64_t told_at;
    struct sb_str transcript;
    bool transcript_cut; /* its begin is lost */
    struct sb_outcome outcome; /* thread until its DONE is queued, then the loop */
};

struct sb_worker_event {
    enum sb_driver_event_kind kind;
    struct sb_session *session; /* lives until its DONE event is taken */
    enum sb_phase phase;
    uint8_t percent;
    char *text;         /* owned */
    json_t *checkpoint; /* owned */
};

struct sb_worker {
    char *bus;
    const struct sb_port_ops *transport;
    const void *port_config;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t cond; /* work, a grant, a stop, the end */
    /* loop */
    sb_worker_fn fn;
    void *arg;
    struct sb_mailbox *box;
    unsigned open; /* sessions started whose DONE was not told yet */
    bool telling;  /* its callback runs: who frees it there leaves the rest to on_wake() */
    bool gone;
    /* mutex */
    bool quit, posted;
    struct sb_session *waiting; /* started, not yet on the thread */
    struct sb_session *running; /* the innermost on the thread */
    struct sb_port *port;       /* changed by the thread only */
    struct sb_worker_event events[SB_WORKER_EVENTS];
    size_t first, count;
};

/* thread */
void sb_session_run(struct sb_session *session);
/* mutex; takes text and checkpoint, also when the event is dropped */
void sb_worker_queue(struct sb_worker *worker, const struct sb_worker_event *event);
/* mutex; the port's waits end early exactly while the innermost session is to stop */
void sb_worker_set_interrupt(struct sb_worker *worker);
bool sb_session_stopping(const struct sb_session *session); /* mutex */
