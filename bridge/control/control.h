/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket: how the command line speaks to the daemon. JSON lines over a Unix socket.
 *
 *     > {"verb": "job show", "args": {"id": 7}}
 *     < {"ok": true, "data": {...}}
 *     < {"ok": false, "error": "not_found", "text": "there is no job 7"}
 * A watching verb sends {"event": {...}} lines before its last one. One request at a time per
 * connection; the connection may be used again afterwards, and what was sent meanwhile waits.
 *
 * Who may connect decides the socket's group (mode 0660); the peer's user is named in the audit.
 * Policy: at most 32 connections; the next one takes the place of the one that has asked nothing
 * for the longest, 10 s at least, and waits for nothing, or is told that there are too many. A
 * request line of at most 1 MiB; of what is asked ahead 64 KiB are read, and 16 requests of one
 * connection are served in a turn; a reader that lets more than 4 MiB pile up is cut off. Whatever
 * is said leaves when what it rests on is durable; only `status` answers at once, for it must work
 * while the disk does not. Thread: the loop.
 */
#pragma once

#include "bridge/core.h"

struct sb_control;
/* group NULL or unknown: only the daemon's own user and root. ret_error gets a text. */
int sb_control_new(struct sb_core *core, const char *path, const char *group,
                   struct sb_control **ret, char **ret_error) SB_MUST_CHECK;
struct sb_control *sb_control_free(struct sb_control *control); /* removes the socket */
SB_DEFINE_CLEANUP(struct sb_control *, sb_control_free)
