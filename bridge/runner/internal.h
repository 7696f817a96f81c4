/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the runner's own files share. runner.c: turns and life; queue.c: who may go; clocks.c:
 * deadlines; orders.c: what people and doors order; apply.c: a task's steps; begin.c: one task
 * from its hand-over to its driver; run.c: one command under way; event.c: what drivers say;
 * image.c: images and what is staged; unit.c: devices' presence; wait.c: what a task waits for
 * beyond its own device.
 */
#pragma once

#include "bridge/base/map.h"
#include "bridge/runner/runner.h"
#include "bridge/runner/worker.h"

struct bus {
    struct sb_runner *runner;
    const char *name;
    struct sb_worker *worker;
    unsigned sessions;
    unsigned looks; /* at devices on it, under way or waiting for it */
};

enum stage {
    STAGE_FETCH, /* the image comes to the gateway */
    STAGE_BUS,   /* all is there, waits for its bus */
    STAGE_DRIVE, /* the driver has it */
};

enum grant { /* what waits for the store's answer */
             GRANT_NONE,
             GRANT_CHECKPOINT,
             GRANT_COMMIT,
};

/* One command on its way to a device and back: a task's, or a look at who it is (task 0). */
struct run {
    struct run *next;
    struct sb_runner *runner;
    int64_t task;
    char *device, *uuid; /* another device may have taken over the id meanwhile */
    enum stage stage;
    char *package; /* id, of firmware */
    uint64_t fetch;
    struct bus *bus; /* NULL: asynchronous driver */
    const struct sb_driver_ops *driver;
    const struct sb_type *type; /* held: a reload does not change it under way */
    struct sb_command command;
    struct sb_image image;
    char *image_path;
    char *image_sha256, *image_version, *image_name, *image_module;
    json_t *params, *address, *checkpoint; /* own references: the worker reads them */
    int64_t last_event;                    /* monotonic */
    bool stopping;                         /* asked to stop */
    bool stalled;                          /* because it had been silent */
    bool wanted;                           /* a look somebody waits for: has its turn like a task */
    unsigned passed;                       /* how many had their turn before this waiting look */
    bool abandoned;                        /* its task is over, the device may still be at it */
    bool committed;                        /* it was told to go on past its commit point */
    enum grant granting;
};

struct unit {          /* the runner's view of one device */
    int64_t look_at;   /* monotonic time of the next look, 0: none planned */
    struct bus *bus;   /* on which it will be; NULL: none */
    unsigned failures; /* looks in a row without an answer */
    int64_t kept;      /* monotonic time when the values it told were written, 0: never */
    bool wanted;       /* a task or a person waits for it: before all others */
};

struct sb_runner {
    struct sb_runner_parts parts;
    struct bus *buses;
    struct run *runs; /* in order of hand-over */
    struct sb_map units;
    int64_t look_at; /* monotonic time when the units are to be gone through */
    unsigned looks;  /* at devices without a bus */
    bool looks_held; /* some are due and wait for others to end */
    struct sb_timer *timer;
    int64_t accounted; /* monotonic time up to which the tasks' clocks were kept */
    int64_t clocks_at; /* monotonic time of the next look at them, INT64_MAX: none is planned */
    int64_t saved;     /* monotonic time when the clocks were written */
    uint64_t next_session;
    int64_t schedule_at; /* monotonic time of the next look at the queue, 0: none */
    bool paused, dirty;
    struct hand_over { /* those of the last minute, for rates */
        int64_t job, when;
    } * recent;
    size_t recent_count;
};

/* Of two waits in ms, 0 being none. */
static inline int64_t sb_sooner(int64_t a, int64_t b)
{
    return !a ? b : !b ? a : SB_MIN(a, b);
}

/* queue.c */
uint32_t sb_queue_under_way(const struct sb_runner *runner);
/* Hands over what may go; ms after which to ask again, 0: not before something happens. */
int64_t sb_queue_schedule(struct sb_runner *runner);
void sb_queue_feed_buses(struct sb_runner *runner);

/* clocks.c */
int64_t sb_clocks_keep(struct sb_runner *runner);                      /* likewise */
void sb_clocks_follow(struct sb_runner *runner, struct sb_task *task); /* its state has changed */

/* orders.c */
int sb_orders_load(struct sb_runner *runner) SB_MUST_CHECK; /* those that outlive a restart */

/* begin.c */
void sb_run_begin(struct sb_runner *runner, struct sb_task *task, bool resumed);

/* run.c */
int sb_run_new(struct sb_runner *runner, struct sb_device *device, int64_t task,
               struct run **ret) SB_MUST_CHECK;
struct sb_task *sb_run_task(const struct run *run); /* NULL: it is over */
void sb_run_want_bus(struct run *run);
int sb_run_look(struct sb_runner *runner, struct sb_device *device, bool wanted);
void sb_run_drive(struct run *run); /* its bus is free */
void sb_run_end(struct run *run);   /* frees it */
int sb_run_stop(struct run *run);   /* -EBUSY: too late */
/* The device it was begun for; NULL: that one is no longer there. */
struct sb_device *sb_run_device(const struct run *run);
/* Its driver gives no sign of life, and does not obey: the task ends without it. */
void sb_run_give_up(struct run *run);
struct run *sb_run_of_task(struct sb_runner *runner, int64_t task);
struct bus *sb_runner_bus(struct sb_runner *runner, const char *name);
bool sb_bus_free_for(const struct bus *bus, const struct run *run);
bool sb_bus_lets_in(const struct bus *bus, int op); /* while one command runs on it */
void sb_run_fail(struct run *run, enum sb_cause cause, const char *text);

/* image.c */
enum sb_cause sb_image_check(const struct run *run, const char *path, int64_t size,
                             char **ret_text);
int sb_run_take_image(struct run *run, const struct sb_package *package) SB_MUST_CHECK;
void sb_run_pin(struct run *run, struct sb_task *task, const char *sha256);
void sb_run_installed(const struct run *run, struct sb_device *device);
/* Replaces what is staged for a device; package NULL: nothing is any more. */
void sb_runner_stage(struct sb_runner *runner, struct sb_device *device,
                     const struct sb_package *package, bool on_device, const char *door);

/* event.c */
void sb_run_granted(void *arg, int error); /* the store's answer to a checkpoint or commit */
void sb_runner_event(struct sb_runner *runner, const struct sb_driver_event *event);

/* apply.c */
/* Applies, tells and follows up; false: the task is over or the machine refused. */
bool sb_runner_apply(struct sb_runner *runner, struct sb_task *task, const struct sb_event *event,
                     const char *actor);
void sb_runner_save_device(struct sb_runner *runner, const struct sb_device *device);
void sb_runner_save_task(struct sb_runner *runner, const struct sb_task *task);

/* unit.c */
struct unit *sb_unit(struct sb_runner *runner, const char *device); /* made when missing */
bool sb_unit_can_look(struct sb_runner *runner, const struct sb_device *device);
void sb_unit_plan(struct sb_runner *runner, const char *id, int64_t in_ms);
void sb_look_counts(struct run *run, int more);
void sb_unit_want(struct sb_runner *runner, const char *id); /* a look as soon as may be */
int64_t sb_units_look(struct sb_runner *runner); /* starts due looks; ms until the next, 0 none */
void sb_unit_answered(struct sb_runner *runner, const char *id, const struct sb_identity *identity);
void sb_unit_silent(struct sb_runner *runner, const char *id, const struct sb_outcome *outcome);

/* wait.c: NULL, or why it has to wait; static texts */
const char *sb_wait_for_parent(struct sb_runner *runner, const struct sb_device *device);
const char *sb_wait_for_image(struct sb_runner *runner, const struct sb_task *task,
                              const struct sb_device *device);
/* The device has answered, and may have asked: for who waits for that. */
void sb_wait_answered(struct sb_runner *runner, const struct sb_device *device, bool asks);
