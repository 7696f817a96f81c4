/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Downloads by HTTP(S) into a part file (libcurl). Redirects are followed here, one request each,
 * so that every hop passes the same rules as the first. What is in the part is gone on with by
 * Range and If-Range; a server that sends the whole file makes it start over.
 */
#pragma once

#include "bridge/fetch/part.h"
#include "bridge/package/uri.h"

/* The whole file is in the part, unverified: 0; else -1. uri is changed by redirects. */
int sb_http_get(const struct sb_want *want, struct sb_uri *uri, struct sb_part *part) SB_MUST_CHECK;
