/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One datagram to a service of this machine: the service manager (sd_notify(3)) and the journal
 * (systemd.io/JOURNAL_NATIVE_PROTOCOL). Both protocols are a socket's path and some lines of text;
 * libsystemd, which speaks them too, keeps a megabyte of cipher and compression libraries in
 * memory.
 */
#pragma once

#include <stdint.h>
#include <sys/uio.h>

#include "bridge/base/util.h"

/*
 * `path`: of a Unix socket; one that begins with '@' is of the abstract kind. Waits so many ms
 * while the service is slow to read, then -EAGAIN. -errno; -EINVAL: no such path is possible. Any
 * thread.
 */
int sb_datagram_send(const char *path, const struct iovec *parts, size_t count,
                     int64_t wait) SB_MUST_CHECK;
