/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part file: what was received so far, its digests, and beside it <part>.meta with the server's
 * validator (ETag or Last-Modified), by which a later attempt may go on instead of starting over.
 *
 * What a crash of the machine leaves in a file that was not synced is not known: without a demanded
 * digest such a part is not gone on with (the meta names the boot).
 */
#pragma once

#include "bridge/base/crypto.h"
#include "bridge/fetch/result.h"
#include "bridge/fetch/want.h"

struct sb_part {
    int fd;
    char *path, *meta;
    int64_t size;    /* so far */
    int64_t total;   /* of the whole file, as the server says; -1 unknown */
    bool resumed;    /* it begins with what an earlier helper left */
    char *validator; /* for If-Range; NULL: none */
    struct sb_digest *sha256, *md5;
    struct sb_result *result; /* where failures go; all functions below: 0 or -1 */
};

/* Opens or makes the file and locks it (an earlier helper may still be ending: up to 5 s). What is
 * there and may be gone on with is hashed; anything else is dropped. */
int sb_part_open(struct sb_part *part, const struct sb_want *want,
                 struct sb_result *result) SB_MUST_CHECK;
/* Forgets what is there; `validator` (may be NULL) is noted for what comes. */
int sb_part_restart(struct sb_part *part, const char *validator) SB_MUST_CHECK;
int sb_part_append(struct sb_part *part, const void *bytes, size_t n) SB_MUST_CHECK;
/* Size and digests against what is demanded; the digests are spent. */
int sb_part_verify(struct sb_part *part, const struct sb_want *want,
                   char **ret_sha256) SB_MUST_CHECK;
int sb_part_sync(struct sb_part *part) SB_MUST_CHECK;
void sb_part_discard(struct sb_part *part); /* removes the files: they are of no use */
void sb_part_close(struct sb_part *part);
