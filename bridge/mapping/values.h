/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Typed values as devices hold them: bare bytes, and what they mean stands in the device type.
 * u8..u64, i8..i64, bool (one byte), string (not terminated), bytes (hex in JSON), f32, f64;
 * little endian unless said otherwise. A u64 above 2^63-1 is a decimal text in JSON. Pure.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "bridge/base/json.h"
#include "bridge/base/names.h"

#define SB_VALUE_BYTES_MAX 1024 /* bytes of one setting */

enum sb_value {
    SB_VALUE_U8,
    SB_VALUE_U16,
    SB_VALUE_U32,
    SB_VALUE_U64,
    SB_VALUE_I8,
    SB_VALUE_I16,
    SB_VALUE_I32,
    SB_VALUE_I64,
    SB_VALUE_BOOL,
    SB_VALUE_STRING,
    SB_VALUE_BYTES,
    SB_VALUE_F32,
    SB_VALUE_F64,
    SB_VALUE_MAX_,
};
SB_NAMES_DECLARE(sb_value)

/* Caller frees. -EINVAL: the value does not fit, with a text to be freed; -ENOMEM. */
int sb_value_encode(enum sb_value type, bool big_endian, const json_t *value, uint8_t **ret,
                    size_t *ret_n, char **ret_error) SB_MUST_CHECK;
/* New reference. -EINVAL: these bytes are no such value, with a text to be freed; -ENOMEM. */
int sb_value_decode(enum sb_value type, bool big_endian, const uint8_t *bytes, size_t n,
                    json_t **ret, char **ret_error) SB_MUST_CHECK;
