/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a download helper is asked for: one JSON object, a line on its stdin, so that no secret
 * stands in an argument list.
 */
#pragma once

#include <stdint.h>

#include "bridge/base/json.h"
#include "bridge/package/fetch.h"

struct sb_want {
    json_t *json;  /* owns the texts below */
    bool supplied; /* no URI: the bytes come on stdin, when they are asked for */
    const char *uri, *part, *sha256, *md5, *ca_file, *proxy;
    int64_t size, max_bytes, stall_ms, rate;
    int64_t tries; /* further ones after a connection broke without a byte gained */
    const json_t *headers;
    struct sb_uri_rules rules; /* lists owned, their texts by json */
};

/* 0, or -errno with a text to be freed. */
int sb_want_read(int fd, struct sb_want *ret, char **ret_text) SB_MUST_CHECK;
void sb_want_done(struct sb_want *want);
