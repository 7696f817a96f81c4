/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket's other end: JSON lines out and in, each wait with a deadline.
 *
 * What comes is not trusted: a line is at most SB_CLIENT_LINE bytes, and only JSON objects are
 * passed on. It knows no verb. One thread.
 */
#pragma once

#include <signal.h>
#include <stdint.h>

#include "bridge/base/json.h"

#define SB_CLIENT_LINE ((size_t)32 << 20)

struct sb_client;
/* 0, or -errno of connect with a text that says what to check. */
int sb_client_open(const char *path, struct sb_client **ret, char **ret_error) SB_MUST_CHECK;
struct sb_client *sb_client_free(struct sb_client *client);
SB_DEFINE_CLEANUP(struct sb_client *, sb_client_free)

/* Sends one request. -errno; -ETIMEDOUT: the daemon does not read. */
int sb_client_send(struct sb_client *client, const char *verb, const json_t *args) SB_MUST_CHECK;
/*
 * The next line within `wait` ms. -ETIMEDOUT: none yet, the call may be repeated; -EINTR: a signal
 * of `mask` (what is blocked while waiting; NULL: as it is) came; -EPIPE: the daemon hung up;
 * -EMSGSIZE: a line too long; -EBADMSG: not a JSON object.
 */
int sb_client_line(struct sb_client *client, int64_t wait, const sigset_t *mask,
                   json_t **ret) SB_MUST_CHECK;
/* For people, of an error of the two above. */
const char *sb_client_problem(int error);
