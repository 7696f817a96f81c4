/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Retention: what has ended does not fill the flash.
 *
 * Policy. Ended jobs go with their tasks when they are older than job_age, and the oldest of them
 * while there are more than job_count; the oldest audit records when they are older than audit_age
 * or more than audit_count; packages that came through a door when nobody has used them for
 * package_age, or while there are more than package_count; reports to a link that is configured no
 * more after the outbox's final_age (others go when they are acknowledged). While the store takes
 * more than `bytes`, the oldest sixteenth of ended jobs and of audit records goes, again and again.
 *
 * Never goes what open work needs: open jobs, their packages, what is staged, pinned images, the
 * last audit records. An ended job that its caller gave an id is kept for `remember` at least,
 * whatever count and bytes say: asked again with that id, it is the answer. Afterwards the id means
 * nothing any more, and a request that brings it is a new one. Where such jobs alone fill the
 * store, sb_retention_crowded() is true, and intake refuses further requests with ids.
 *
 * How: a pass every six hours, and sooner when much has ended, in steps of a few rows; a step is
 * part of one turn's batch, and the next waits until it is durable. Ages need a clock: until it is
 * set, and for a day after it jumped, nothing goes for its age.
 *
 * What it does not do: shrink the file. What was removed leaves room that is used again.
 * Thread: the loop.
 */
#pragma once

#include "bridge/book/book.h"
#include "bridge/device/device.h"
#include "bridge/outbox/outbox.h"
#include "bridge/package/package.h"

struct sb_retention_limits {
    int64_t bytes;              /* of the store, with its indexes */
    int64_t job_age, audit_age; /* ms */
    int64_t job_count, audit_count;
    int64_t remember;    /* ms; at most job_age */
    int64_t package_age; /* ms */
    int64_t package_count;
};

struct sb_retention_parts { /* borrowed for its life */
    struct sb_loop *loop;
    struct sb_store *store;
    struct sb_audit *audit;
    struct sb_book *book;
    struct sb_registry *registry;
    struct sb_packages *packages;
    struct sb_outbox *outbox;
    struct sb_retention_limits limits;
};

struct sb_retention;
int sb_retention_new(const struct sb_retention_parts *parts,
                     struct sb_retention **ret) SB_MUST_CHECK;
struct sb_retention *sb_retention_free(struct sb_retention *retention);
SB_DEFINE_CLEANUP(struct sb_retention *, sb_retention_free)

/* One step, if one is due. At the end of a turn, before the store's own hook. */
void sb_retention_turn(struct sb_retention *retention);
/* Jobs that must be remembered fill the store. */
bool sb_retention_crowded(const struct sb_retention *retention);
