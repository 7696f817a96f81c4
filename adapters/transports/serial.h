/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transport "serial": a bus on a tty (RS-232, RS-485, USB serial, or a pty).
 *
 * Policy: raw, non-blocking, for us alone. Exclusive three ways, because other programs look at
 * different ones: flock() on the device, TIOCEXCL, and a lock file /run/lock/LCK..NAME with our
 * pid. Who holds a line is reported with pid and program. The path is opened anew each time, so
 * a link under /dev/serial/by-path finds its device again after it was unplugged. Lines without
 * modem control (ptys, some USB chips) work; a setting that the line does not take (parity on a
 * pty) is an error that says so.
 *
 * What it does not do: RS-485 direction control, waiting until bytes have left the wire.
 * Thread: the worker's.
 */
#pragma once

#include "bridge/base/names.h"
#include "bridge/port.h"

enum sb_serial_parity { SB_PARITY_NONE, SB_PARITY_EVEN, SB_PARITY_ODD, SB_PARITY_MAX_ };
SB_NAMES_DECLARE(sb_serial_parity)
enum sb_serial_flow { SB_FLOW_NONE, SB_FLOW_RTSCTS, SB_FLOW_MAX_ };
SB_NAMES_DECLARE(sb_serial_flow)
enum sb_serial_line { SB_LINE_LEAVE, SB_LINE_ON, SB_LINE_OFF, SB_LINE_MAX_ };
SB_NAMES_DECLARE(sb_serial_line)

struct sb_serial_config {
    char *port;
    int64_t baud, data, stop;
    int parity, flow, dtr;
    bool lock;
    char *lock_directory;
};

extern const struct sb_port_ops sb_serial_transport;
