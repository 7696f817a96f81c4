/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker of one bus: a thread on which blocking drivers run, one command at a time.
 *
 * The worker keeps the bus's port open between commands and closes it when the line fails, so
 * that an unplugged port is found again at the next command. It turns what the driver calls on
 * its session (driver.h) into events on the loop, and waits there for the answers.
 *
 * Sharing: while a driver is inside sb_session_share(), a second, short command may run on the
 * same thread; the runner decides which commands are short and starts them with sb_worker_start()
 * when sb_worker_shareable() is true.
 *
 * What it does not do: choose what runs (runner), know tasks. Thread: the loop for every call
 * here; the callback runs on the loop.
 */
#pragma once

#include "bridge/driver.h"
#include "bridge/loop.h"
#include "bridge/port.h"

struct sb_worker;
typedef void (*sb_worker_fn)(void *arg, const struct sb_driver_event *event);

/* transport NULL: a bus without a port (drivers that open nothing). port_config is borrowed for
 * the worker's life. */
int sb_worker_new(struct sb_loop *loop, const char *bus, const struct sb_port_ops *transport,
                  const void *port_config, sb_worker_fn fn, void *arg,
                  struct sb_worker **ret) SB_MUST_CHECK;
/* Takes no ownership: command, type, image and json must live until its DONE event. -EBUSY when
 * a command runs that does not share. */
int sb_worker_start(struct sb_worker *worker, const struct sb_driver_ops *driver,
                    const struct sb_command *command) SB_MUST_CHECK;
/* Asks session `id` to stop; refused past its commit point (then -EBUSY); -ENOENT: it has ended.
 * DONE still follows, or is on its way. */
int sb_worker_stop(struct sb_worker *worker, uint64_t id);
/* Answers the CHECKPOINT or COMMIT event of session `id`: 0 durable, or -errno. */
void sb_worker_granted(struct sb_worker *worker, uint64_t id, int error);
bool sb_worker_busy(const struct sb_worker *worker);
bool sb_worker_shareable(const struct sb_worker *worker);
/* Interrupts what runs, waits for the thread (a driver obeys within one I/O), closes the port. */
struct sb_worker *sb_worker_free(struct sb_worker *worker);
SB_DEFINE_CLEANUP(struct sb_worker *, sb_worker_free)
