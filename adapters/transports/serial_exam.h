/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tty looked at without opening it: that could reset a board behind it. Private to the serial
 * transport; the small ones are here for the tests.
 */
#pragma once

#include <sys/types.h>

#include "bridge/base/exam.h"

/* struct sb_port_ops.examine */
void sb_serial_examine(const void *config, int daemon, struct sb_exam *exam);

/* Is a device number a tty's, by a list like /proc/tty/drivers? Without the list: yes. */
bool sb_serial_is_tty(const char *drivers, dev_t device);
/* "/dev/ttyUSB0" and the like are numbered as they were plugged in. */
bool sb_serial_is_numbered(const char *path);
/* The link in `directory` that leads to `path` (which is resolved); caller frees; NULL: none. */
char *sb_serial_stable_link(const char *directory, const char *path);
