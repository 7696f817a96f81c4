/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit trail: who asked what, every transition, every report told, to whom.
 *
 * Append-only; each record carries the hash of the one before, so that a removed or altered line
 * shows: hash = sha256(previous hash + "\n" + the record's canonical JSON without "hash").
 * Records go into the turn's batch, with what they record. Secrets never: URIs are redacted.
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
