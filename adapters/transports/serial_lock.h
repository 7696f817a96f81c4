/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who holds a tty: UUCP lock files (LCK..NAME, the pid as ten characters and a newline), and the
 * descriptors of other processes. Private to the serial transport.
 */
#pragma once

#include <sys/stat.h>

#include "bridge/base/util.h"

/* "LCK..ttyUSB0", "LCK..pts_3"; `path` has its links resolved. Caller frees. */
char *sb_serial_lock_path(const char *directory, const char *path);
/* The living process, not us, that the file names; 0: nobody (no file, a stale one, our own). */
pid_t sb_serial_lock_holder(const char *file, dev_t device);
/* Writes our pid, replacing a stale file. 0, -EBUSY, or the directory's error. */
int sb_serial_lock_take(const char *file, dev_t device) SB_MUST_CHECK;
void sb_serial_lock_drop(const char *file); /* only when it is ours */
/* The process, not us, that has the file's flock, as far as the system tells; 0: unknown. */
pid_t sb_serial_flock_holder(const struct stat *st);
/* A process, neither us nor `but` (0: nobody), that has the device open, as far as /proc lets us
 * look; 0: none seen. */
pid_t sb_serial_opener(dev_t device, pid_t but);
/* 1: it has the device open; 0: it has not; -errno: we may not look. */
int sb_serial_has_open(pid_t pid, dev_t device);
char *sb_serial_program(pid_t pid); /* its name, or NULL; caller frees */
