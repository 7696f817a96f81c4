/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The doctor's visit: `southbridge --doctor` as a child of the daemon, with its user and rights,
 * told what only the daemon knows. Whatever it looks at may hang; the loop does not.
 *
 * Policy: one at a time, whoever asks meanwhile gets the same answer; SB_VISIT_MS at most, then it
 * is ended, and what it had found by then is the answer. Thread: the loop.
 */
#pragma once

#include "bridge/base/json.h"
#include "bridge/loop.h"

#define SB_VISIT_MS INT64_C(45000)

struct sb_visit;
struct sb_visit_parts { /* borrowed during the start */
    struct sb_loop *loop;
    const char *program, *config;
    const json_t *known;
    void (*done)(void *arg, const json_t *data); /* once, never from inside the start */
    void *arg;
};
/* 0, or -errno when it cannot be started. */
int sb_visit_start(const struct sb_visit_parts *parts, struct sb_visit **ret) SB_MUST_CHECK;
struct sb_visit *sb_visit_free(struct sb_visit *visit); /* also inside done; ends it */
SB_DEFINE_CLEANUP(struct sb_visit *, sb_visit_free)
