/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chain of the audit trail (audit.h): how a record's hash is made, and whether records follow
 * one another. Pure; needs no store, so that a program can check what a daemon says. Any thread.
 */
#pragma once

#include "bridge/base/json.h"
#include "bridge/base/util.h"

/* Canonical JSON of a record: the same for all who have its values. Caller frees; NULL: no memory.
 */
char *sb_audit_text(const json_t *record);
/* sha256(previous "\n" text), the text of a record without "hash". Likewise. */
char *sb_audit_hash_text(const char *previous, const char *text);
/* The same of a record that may have its "hash" already. */
char *sb_audit_hash(const char *previous, const json_t *record);

/* The verb of the record that says up to where the trail was trimmed. */
#define SB_AUDIT_TRIMMED "trim"

/* Checks a sequence of records, oldest first. Zero-initialise; -EBADMSG at the first break. */
struct sb_audit_check {
    char previous[65];
    int64_t expected_id;
    int64_t first;   /* the number of the first record, 0: none yet */
    char before[65]; /* what the first one says of its predecessor */
    bool vouched;    /* the first of all, or a record says that the trail was trimmed up to it */
};
int sb_audit_verify(struct sb_audit_check *check, const json_t *record) SB_MUST_CHECK;
/* After the last one: nothing but a recorded trim has taken the oldest records. */
bool sb_audit_whole(const struct sb_audit_check *check);
