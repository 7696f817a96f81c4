/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chain of the audit trail (audit.h): how a record's hash is made, and whether records follow
 * one another. Pure; needs no store, so that a program can check what a daemon says. Any thread.
 */
#pragma once

#include "bridge/base/json.h"

/* sha256(previous "\n" canonical JSON without "hash"); caller frees; NULL: no memory. */
char *sb_audit_hash(const char *previous, const json_t *record);

/* Checks a sequence of records, oldest first. Zero-initialise; -EBADMSG at the first break. */
struct sb_audit_check {
    char previous[65];
    int64_t expected_id;
};
int sb_audit_verify(struct sb_audit_check *check, const json_t *record) SB_MUST_CHECK;
