/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CBOR bodies of SMP packets: written piece by piece, read into JSON.
 *
 * Reading is bounded in depth, values and bytes before anything is allocated. Byte strings become
 * lower-case hex texts; what JSON cannot hold becomes the nearest thing (numbers beyond 64 bits a
 * real, not-a-number null, bytes that are no UTF-8 '?'). Tags are skipped. Pure.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "bridge/base/json.h"

#define SB_CBOR_DEPTH  8
#define SB_CBOR_VALUES 2000

struct sb_cbor { /* zero-initialise; on lack of memory it becomes broken */
    uint8_t *bytes;
    size_t n, room;
    bool broken;
};
void sb_cbor_map(struct sb_cbor *c, size_t pairs); /* then so many keys and values */
void sb_cbor_array(struct sb_cbor *c, size_t items);
void sb_cbor_text(struct sb_cbor *c, const char *text);
void sb_cbor_bytes(struct sb_cbor *c, const void *bytes, size_t n);
void sb_cbor_int(struct sb_cbor *c, int64_t value);
void sb_cbor_bool(struct sb_cbor *c, bool value);
/* Any JSON; an object {"$hex": "0a0b"} is a byte string. -EINVAL: no such hex, or too deep. */
int sb_cbor_json(struct sb_cbor *c, const json_t *value) SB_MUST_CHECK;
void sb_cbor_done(struct sb_cbor *c);

/* One map, and nothing after it. -EBADMSG, -E2BIG (over a bound), -ENOMEM. */
int sb_cbor_read(const void *bytes, size_t n, json_t **ret) SB_MUST_CHECK;
