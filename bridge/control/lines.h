/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON lines on a connected socket, which is its own: lines in as they come, answers out as the
 * peer takes them. Policy: a line of at most 1 MiB, without NUL; while whole lines wait for their
 * turn, 64 KiB of them are read, so that who asks faster than he is answered waits in his own
 * socket; no more than 4 MiB pile up for a reader that does not read. Only for this folder.
 * Thread: the loop.
 */
#pragma once

#include "bridge/base/json.h"
#include "bridge/base/str.h"
#include "bridge/loop.h"

#define SB_LINE_MAX (1u << 20)

struct sb_lines {
    int fd;
    struct sb_watch *watch;
    struct sb_str in, out;
    size_t in_taken, out_sent;
};

/* fn: the socket is ready, see loop.h. On an error the socket is still the caller's. */
int sb_lines_open(struct sb_lines *lines, struct sb_loop *loop, int fd, sb_watch_fn fn,
                  void *arg) SB_MUST_CHECK;
/* When it is readable. 0, -EAGAIN: nothing came, other: the peer is gone or keeps to no rule. */
int sb_lines_read(struct sb_lines *lines) SB_MUST_CHECK;
/* The next whole line, without its end, until sb_lines_taken(). NULL: there is none. */
const char *sb_lines_next(struct sb_lines *lines, size_t *ret_n);
void sb_lines_taken(struct sb_lines *lines); /* those are done with; for the last one of a turn */
/* When it is writable. False: the peer is gone. */
bool sb_lines_flush(struct sb_lines *lines);
/* False: the peer is gone, or does not read, or there is no memory. One line may be longer than
 * what may pile up; a second one behind it then not. */
bool sb_lines_write(struct sb_lines *lines, const json_t *value);
void sb_lines_done(struct sb_lines *lines);
