/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bench for tests of a serial driver: its device in a process of its own on a pty, the real
 * driver on a worker over the real serial transport, and a loop that waits with a deadline.
 *
 * The device is any program that makes its pty appear under bench->link. A simulator tells what
 * happens to it as JSON lines {"event": ...} on its stdout and takes commands as lines on its
 * stdin, each answered by the event "done"; other output is kept, but no event.
 */
#pragma once

#include "adapters/transports/serial.h"
#include "bridge/base/str.h"
#include "bridge/mapping/type.h"
#include "bridge/runner/worker.h"
#include "tests/test.h"

#define BENCH_LIMIT_MS 60000

struct bench_kind {
    const struct sb_driver_ops *driver;
    const char *type; /* what a device type begins with; bench_type() adds to it */
};

struct bench {
    const struct bench_kind *kind;
    char *folder; /* temporary; removed at the end */
    char *link;   /* the port */
    struct sb_loop *loop;
    struct sb_timer *tick;
    struct sb_worker *worker;
    struct sb_serial_config port;
    struct sb_type *type;
    pid_t device;
    int commands; /* the device's stdin */
    /* the command under way, or the last one */
    struct sb_command command;
    struct sb_image image;
    char *sha256;
    json_t *params;
    struct sb_outcome outcome;
    bool done;
    unsigned phases; /* bit per phase seen */
    uint8_t percent; /* highest while transferring */
    bool forgets;    /* the device asks again for what it had: percent may fall */
    unsigned commits, progresses;
    json_t *checkpoint; /* the newest, as a store would keep it */
    char *notes;
    /* what to do along the way */
    const char *at_stage;       /* when a checkpoint of this stage comes: */
    const char *say_at_stage;   /* tell the device this, */
    bool stop_at_stage;         /* or stop the command, */
    int refuse_at_stage;        /* or fail the store, */
    bool die_at_stage;          /* or end the worker, as a crash of the gateway would */
    uint8_t stop_at_percent;    /* stop the command when so much was transferred */
    enum sb_phase stop_in;      /* or when this phase has begun; WAITING: not */
    const char *say_at_percent; /* tell the device this then */
    int stopped;                /* what the stop returned */
    bool died;
};

struct bench *bench_new(const struct bench_kind *kind);
int bench_teardown(void **state);
/* Loads the device type: the kind's text, then this. */
void bench_load_type(struct bench *bench, const char *text);
char *bench_path(const struct bench *bench, const char *name); /* in its folder; caller frees */
char *bench_source(const char *name); /* a file of the source tree; caller frees */
/* Starts the device: argv[0] is found by PATH (Debian's
 * packages of Python want /usr/bin/python3). It is there when it has told `event` once more, or
 * (event NULL) when the link exists. */
void bench_start(struct bench *bench, const char *const *argv, const char *event);
/* Runs a helper to its end; its exit status. Its stdout goes to `out` in the bench's folder. */
int bench_helper(struct bench *bench, const char *const *argv, const char *out);
/* Starts a simulator of the source tree with these words and, NULL-terminated as well, `more`. */
void bench_simulate(struct bench *bench, const char *simulator, const char *const *words,
                    va_list more, const char *event);
/* An image by a simulator (option: one more word or NULL); the path lives for some images more. */
const char *bench_make_image(struct bench *bench, const char *simulator, const char *name,
                             const char *version, int size, const char *option);
void bench_kill(struct bench *bench);                  /* the device's power is cut */
void bench_say(struct bench *bench, const char *text); /* one line to the device; waits for it */
/* How often the device told the event; json_unpack-free: only its name. */
int bench_events(struct bench *bench, const char *event);
json_t *bench_last(struct bench *bench, const char *event); /* new reference or NULL */
void bench_wait_event(struct bench *bench, const char *event, int count);
/* Runs a command to its end; the outcome is in bench->outcome. params: JSON text or NULL. */
enum sb_cause bench_run(struct bench *bench, int op, const char *params, const char *image);
/* The same, as after a crash: with the newest checkpoint. */
enum sb_cause bench_resume(struct bench *bench, int op, const char *params, const char *image,
                           bool committed);
void bench_new_worker(struct bench *bench);
bool bench_noted(const struct bench *bench, const char *text);
const char *bench_version(struct bench *bench); /* outcome.after.versions[""] or "" */

#define assert_cause(got, wanted) bench_assert_cause(bench, (got), (wanted), __FILE__, __LINE__)
void bench_assert_cause(struct bench *bench, enum sb_cause got, enum sb_cause wanted,
                        const char *file, int line);
