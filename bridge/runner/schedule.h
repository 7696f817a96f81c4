/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When may a queued task be handed over? Pure: the facts come in, a reason or "go" comes out.
 *
 * Windows name their time zone and run on the wall clock; until that is set nothing scheduled
 * starts. Everything else runs on elapsed time. A jump of the wall clock neither fires nor
 * starves a task: it is only ever asked "is it inside now?".
 */
#pragma once

#include "bridge/job/job.h"

/*
 * Of several reasons the first of this order is named: paused, retry, scheduled, window, pull,
 * busy (the device), parent, offline, rate, capacity, artifact, busy (the bus). What only time or
 * people can change comes before what the device can; what takes something from others - a place,
 * a download, a bus - comes last, so that nobody waits for it in vain.
 */
struct sb_schedule_facts {
    int64_t wall;     /* 0: not set */
    bool paused;      /* an operator stopped all hand-overs */
    bool occupied;    /* an ended task may still be at it */
    bool device_busy; /* another task of the device is under way, or was there first */
    bool parent;      /* the device it is behind is silent, or gets firmware */
    bool offline;     /* the device did not answer when last asked */
    bool no_image;    /* it would be handed over without one */
    bool needs_bus, bus_busy;
    uint32_t under_way, under_way_limit; /* of the gateway */
    uint32_t job_under_way;              /* of the task's job */
    uint32_t job_handed_over;            /* of the task's job within the last minute */
};

/* SB_REASON_NONE: go. ret_again: ms after which it is worth asking again without an event,
 * 0: only an event can change it. */
enum sb_reason sb_schedule(const struct sb_task *task, const struct sb_schedule_facts *facts,
                           int64_t *ret_again);

/*
 * Is `wall` inside the window? ret_next: ms until that changes, at most a day, by the zone's
 * present offset: on the day of a clock change up to an hour off, so ask again in between.
 */
bool sb_window_open(const struct sb_window *window, int64_t wall, int64_t *ret_next);
/* Does the system know this zone name? */
bool sb_zone_known(const char *zone);

struct sb_deadline {     /* what the clocks say of a task */
    enum sb_cause cause; /* NONE: none has passed */
    const char *text;
    int64_t next; /* ms until the nearest one, 0: none is running */
};
/* Adds `elapsed` to the clocks that run in the task's state, then looks at its timeouts. */
struct sb_deadline sb_task_clocks(struct sb_task *task, int64_t elapsed, int64_t wall);
