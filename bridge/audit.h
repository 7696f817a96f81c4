/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit trail: who asked what, every transition, every report told, to whom.
 *
 * Append-only; each record carries the hash of the one before, so that a removed or altered line
 * shows: hash = sha256(previous hash + "\n" + the record's canonical JSON without "hash").
 * Records go into the turn's batch, with what they record. Secrets never: URIs are redacted.
 *
 * Retention takes the oldest records, and says so in the same batch by a record "trim" of "core"
 * on "audit" with {through, hash}: the number and the hash of the last one that went. The newest
 * such record vouches for the first one that is left; oldest records that went in another way have
 * none, and show.
 * Thread: the loop.
 */
#pragma once

#include "bridge/audit_check.h"
#include "bridge/store/store.h"

struct sb_audit;
int sb_audit_new(struct sb_store *store, struct sb_audit **ret) SB_MUST_CHECK; /* reads the tail */
struct sb_audit *sb_audit_free(struct sb_audit *audit);
SB_DEFINE_CLEANUP(struct sb_audit *, sb_audit_free)

/*
 * actor: "uid 1000 (anna)", "link factory", "core". verb: "submit", "state", "report", ...
 * subject: "job 7", "task 9", "device pump-1". detail: object or NULL, borrowed.
 */
int sb_audit_add(struct sb_audit *audit, const char *actor, const char *verb, const char *subject,
                 int64_t wall, const json_t *detail) SB_MUST_CHECK;

#define SB_AUDIT_TRIM  ((size_t)128) /* records that go at once, at most */
#define SB_AUDIT_LEAST INT64_C(64)   /* so many are always left */
int64_t sb_audit_count(const struct sb_audit *audit);
/*
 * The oldest records go: `excess` of them, and those made before `before` (wall ms, 0: whenever;
 * one that was made before the clock was set goes with its successor). What an earlier call did
 * must be durable. How many went; with SB_AUDIT_TRIM of them there may be more to do.
 */
int sb_audit_trim(struct sb_audit *audit, int64_t excess, int64_t before, int64_t wall,
                  size_t *ret) SB_MUST_CHECK;
