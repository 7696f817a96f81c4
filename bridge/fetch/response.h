/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head of an HTTP response, line by line, and what it means for a part file. Pure.
 * RFC 9110: sections 8.8 (validators), 13.1.5 (If-Range), 14.4 (Content-Range).
 */
#pragma once

#include <stdint.h>

#include "bridge/base/util.h"

#define SB_RESPONSE_HEAD_MAX 65536 /* bytes of all lines */

struct sb_response {
    int status;
    size_t head_bytes;
    bool complete;                   /* the blank line was seen, of a final response */
    bool delimited;                  /* its end can be told from the connection's */
    int64_t length;                  /* Content-Length, -1 unknown */
    int64_t range_from, range_total; /* Content-Range; -1 unknown */
    char *etag, *last_modified;
    int64_t date; /* seconds, -1 unknown */
};

/* 0, or -1 when the head is larger than allowed or contradicts itself. */
int sb_response_line(struct sb_response *response, const char *line, size_t n) SB_MUST_CHECK;
/* What may stand in If-Range later: a strong ETag, else a Last-Modified that is old enough to be
 * one; NULL: none. Borrowed. */
const char *sb_response_validator(const struct sb_response *response);
void sb_response_done(struct sb_response *response);
