/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bus as a byte stream with deadlines, for blocking drivers; and the transport contract.
 *
 * Reads and writes end at the deadline (-ETIMEDOUT), when the session is stopped (-ECANCELED), or
 * when the line is gone (-ENODEV, -EIO). A read past its deadline still gives what has already
 * arrived: who reads from a line that never falls silent looks at the clock himself. Thread: the
 * bus's worker only, but for sb_port_interrupt(). Deadlines are monotonic milliseconds
 * (sb_session_now()).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "bridge/base/diag.h"
#include "bridge/base/exam.h"
#include "bridge/config/schema.h"

struct sb_port;
struct sb_yaml;

struct sb_port_ops { /* a transport: serial lines; the tests' pipes */
    const char *name;
    const struct sb_field *fields; /* of a bus's section in the configuration */
    size_t size;
    /* Findings beyond the table; may be NULL. Pure. */
    void (*check)(const void *config, const struct sb_yaml *yaml, struct sb_diags *diags);
    /*
     * Opens the line. 0, or -ENOENT (unplugged), -EBUSY (held by another process; *ret_owner its
     * pid, 0 unknown), -EACCES, -errno. ret_error gets a text that says what to do.
     */
    int (*open)(const void *config, struct sb_port **ret, int *ret_owner, char **ret_error);
    /* For doctor: what stands against opening the line, without opening it (that may reset a
     * board). daemon: the process that may hold it, 0 none. May be NULL. Blocks a little. */
    void (*examine)(const void *config, int daemon, struct sb_exam *exam);
};

enum sb_port_line { SB_PORT_DTR, SB_PORT_RTS, SB_PORT_BREAK };

/* What a transport embeds as its first member. */
struct sb_port {
    int fd;         /* non-blocking, pollable */
    int interrupt;  /* eventfd: readable ends waits with -ECANCELED */
    bool failed;    /* set by the calls below when the line is gone; its owner then closes it */
    uint32_t speed; /* bits per second; 0: it has none */
    void (*close)(struct sb_port *port);
    int (*set_speed)(struct sb_port *port, uint32_t baud); /* may be NULL; keeps `speed` true */
    /* May be NULL. -ENOTTY: this line has no such thing (a pty). */
    int (*set_line)(struct sb_port *port, enum sb_port_line line, bool on);
};

/* At least 1 and at most n bytes. */
int sb_port_read(struct sb_port *port, void *buffer, size_t n, int64_t deadline,
                 size_t *ret_n) SB_MUST_CHECK;
int sb_port_write(struct sb_port *port, const void *bytes, size_t n,
                  int64_t deadline) SB_MUST_CHECK;
/* -ENOTTY when the transport knows no such line. */
int sb_port_set_line(struct sb_port *port, enum sb_port_line line, bool on) SB_MUST_CHECK;
/* Throws away what has arrived, until the line is silent for quiet_ms (at most max_ms). */
int sb_port_drain(struct sb_port *port, int64_t quiet_ms, int64_t max_ms) SB_MUST_CHECK;
void sb_port_interrupt(struct sb_port *port, bool on); /* any thread */
/* False when the line has failed or hung up since; asked between commands. */
bool sb_port_alive(const struct sb_port *port);
int64_t sb_port_clock(void); /* monotonic ms, what the deadlines count in; any thread */
