/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket's file: whose it is, and who may open it. Mode 0660; the group decides who
 * may control. A file that nobody listens on is left over from a crash, and is replaced; anything
 * else at the path stays. Thread: the loop, once at start.
 */
#pragma once

#include "bridge/base/util.h"

/*
 * A listening socket in *ret. -EADDRINUSE: a daemon listens there; -ENAMETOOLONG; -ENOTSOCK: the
 * path is something else; -errno. ret_error gets a text. The caller closes it and removes the file.
 */
int sb_control_listen(const char *path, const char *group, int *ret,
                      char **ret_error) SB_MUST_CHECK;
/* "uid 1000 (anna)" of who is at the other end; caller frees; NULL: it cannot be said. */
char *sb_control_peer(int fd);
