/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `southbridgectl doctor`: what is wrong with this gateway, and what to do about it.
 *
 * One table of checks, each a plain function that may block for a few seconds. They run in a
 * process of their own (`southbridge --doctor`), so that a name server, a disk or a line that
 * hangs holds up nobody: the daemon starts one as its child when it is asked over the control
 * socket, with the daemon's user and rights, and tells it what only the daemon knows; the command
 * line starts one when there is no daemon.
 *
 * It changes nothing: no port is opened, nobody is logged in, the store is only read.
 * What the daemon knows (object): pid, started (wall ms), running, paused, store and links as
 * `status` shows them.
 */
#pragma once

#include "bridge/adapters.h"
#include "bridge/base/exam.h"
#include "bridge/base/json.h"

struct sb_doctor_parts { /* borrowed */
    const char *config;  /* path */
    const struct sb_adapters *adapters;
    const char *helper;  /* the download helper */
    const json_t *known; /* NULL: there is no daemon */
    int64_t wall;        /* now; 0: the clock is not set */
    /* Gets each finding. name: "" or which bus, link. */
    void (*tell)(void *arg, const char *check, const char *name, const struct sb_exam_line *line);
    void *arg;
};
void sb_doctor_run(const struct sb_doctor_parts *parts);

/* The same as lines of JSON {"check", "name", "health", "text", "remedy"} on standard output; what
 * the daemon knows from standard input when `known`. Returns the exit status: 0, or 1 when not
 * everything could be told. parts->tell is not used. */
int sb_doctor_main(struct sb_doctor_parts *parts, bool known);

struct sb_doctor;
struct sb_doctor_check {
    const char *name;
    void (*run)(struct sb_doctor *doctor);
    bool needs_config;
    const char *doc; /* what it looks at */
};
extern const struct sb_doctor_check sb_doctor_checks[]; /* ends with a NULL name */
