/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/mapping/values.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>

#include "bridge/base/crypto.h"
#include "bridge/base/str.h"

SB_NAMES(
    sb_value, SB_VALUE_MAX_, [SB_VALUE_U8] = "u8", [SB_VALUE_U16] = "u16", [SB_VALUE_U32] = "u32",
    [SB_VALUE_U64] = "u64", [SB_VALUE_I8] = "i8", [SB_VALUE_I16] = "i16", [SB_VALUE_I32] = "i32",
    [SB_VALUE_I64] = "i64", [SB_VALUE_BOOL] = "bool", [SB_VALUE_STRING] = "string",
    [SB_VALUE_BYTES] = "bytes", [SB_VALUE_F32] = "f32", [SB_VALUE_F64] = "f64");

enum shape { UNSIGNED, SIGNED, BOOLEAN, TEXT, RAW, REAL };

static const struct kind {
    enum shape shape;
    size_t size; /* 0: any */
} kinds[] = {
    [SB_VALUE_U8] = { UNSIGNED, 1 },  [SB_VALUE_U16] = { UNSIGNED, 2 },
    [SB_VALUE_U32] = { UNSIGNED, 4 }, [SB_VALUE_U64] = { UNSIGNED, 8 },
    [SB_VALUE_I8] = { SIGNED, 1 },    [SB_VALUE_I16] = { SIGNED, 2 },
    [SB_VALUE_I32] = { SIGNED, 4 },   [SB_VALUE_I64] = { SIGNED, 8 },
    [SB_VALUE_BOOL] = { BOOLEAN, 1 }, [SB_VALUE_STRING] = { TEXT, 0 },
    [SB_VALUE_BYTES] = { RAW, 0 },    [SB_VALUE_F32] = { REAL, 4 },
    [SB_VALUE_F64] = { REAL, 8 },
};

static int wrong(char **ret_error, enum sb_value type, const char *what)
{
    *ret_error = sb_format("%s %s", what, sb_value_name((int)type));
    return *ret_error ? -EINVAL : -ENOMEM;
}

static void put(uint8_t *at, size_t n, bool big, uint64_t bits)
{
    for (size_t i = 0; i < n; i++)
        at[big ? n - 1 - i : i] = (uint8_t)(bits >> (8 * i));
}

static uint64_t get(const uint8_t *at, size_t n, bool big)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < n; i++)
        bits |= (uint64_t)at[big ? n - 1 - i : i] << (8 * i);
    return bits;
}

/* A whole number from JSON: an integer, or for large ones a decimal text. */
static int whole_number(const json_t *value, uint64_t *ret, bool *ret_negative)
{
    if (json_is_integer(value)) {
        *ret_negative = json_integer_value(value) < 0;
        *ret = (uint64_t)json_integer_value(value);
        return 0;
    }
    const char *text = json_string_value(value);
    if (!text || !isdigit((unsigned char)*text))
        return -EINVAL;
    char *end;
    errno = 0;
    *ret = strtoull(text, &end, 10);
    *ret_negative = false;
    return errno || *end ? -EINVAL : 0;
}

static bool in_range(const struct kind *kind, uint64_t bits, bool negative)
{
    unsigned width = (unsigned)kind->size * 8;
    if (kind->shape == UNSIGNED)
        return !negative && (width == 64 || bits >> width == 0);
    uint64_t limit = UINT64_C(1) << (width - 1);
    return negative ? 0 - bits <= limit : bits < limit;
}

static int encode_number(const struct kind *kind, const json_t *value, uint64_t *ret)
{
    bool negative = false;
    int r = whole_number(value, ret, &negative);
    return r < 0 ? r : in_range(kind, *ret, negative) ? 0 : -ERANGE;
}

static int encode_real(const struct kind *kind, const json_t *value, uint64_t *ret)
{
    if (!json_is_number(value))
        return -EINVAL;
    double real = json_number_value(value);
    float single = (float)real;
    uint32_t bits;
    if (kind->size == sizeof(real)) {
        memcpy(ret, &real, sizeof(real));
        return 0;
    }
    memcpy(&bits, &single, sizeof(bits));
    *ret = bits;
    return isfinite(single) ? 0 : -ERANGE;
}

static int encode_bits(const struct kind *kind, const json_t *value, uint64_t *ret)
{
    if (kind->shape == BOOLEAN) {
        *ret = json_is_true(value);
        return json_is_boolean(value) ? 0 : -EINVAL;
    }
    return kind->shape == REAL ? encode_real(kind, value, ret) : encode_number(kind, value, ret);
}

static int encode_text(enum sb_value type, const json_t *value, uint8_t **ret, size_t *ret_n,
                       char **ret_error)
{
    bool hex = kinds[type].shape == RAW;
    size_t n = json_string_length(value);
    if (!json_is_string(value) || (hex && n % 2))
        return wrong(ret_error, type, "not the right kind of value for");
    n = hex ? n / 2 : n;
    if (n > SB_VALUE_BYTES_MAX)
        return wrong(ret_error, type, "too long for");
    sb_cleanup(sb_freep) uint8_t *bytes = malloc(n + 1);
    if (!bytes)
        return -ENOMEM;
    if (!hex)
        memcpy(bytes, json_string_value(value), n);
    else if (n > 0 && sb_hex_decode(json_string_value(value), bytes, n) < 0)
        return wrong(ret_error, type, "not the right kind of value for");
    *ret = SB_STEAL(bytes);
    *ret_n = n;
    return 0;
}

int sb_value_encode(enum sb_value type, bool big_endian, const json_t *value, uint8_t **ret,
                    size_t *ret_n, char **ret_error)
{
    const struct kind *kind = &kinds[type];
    uint64_t bits = 0;
    if (kind->size == 0)
        return encode_text(type, value, ret, ret_n, ret_error);
    int r = encode_bits(kind, value, &bits);
    if (r < 0)
        return wrong(ret_error, type,
                     r == -ERANGE ? "out of range for" : "not the right kind of value for");
    uint8_t *bytes = malloc(kind->size);
    if (!bytes)
        return -ENOMEM;
    put(bytes, kind->size, big_endian, bits);
    *ret = bytes;
    *ret_n = kind->size;
    return 0;
}

static json_t *decode_signed(size_t size, uint64_t bits)
{
    unsigned unused = 64 - 8 * (unsigned)size;
    return json_integer((int64_t)(bits << unused) >> unused);
}

static json_t *decode_unsigned(uint64_t bits)
{
    if (bits <= INT64_MAX)
        return json_integer((json_int_t)bits);
    sb_cleanup(sb_freep) char *text = sb_format("%llu", (unsigned long long)bits);
    return text ? json_string(text) : NULL;
}

static json_t *decode_real(size_t size, uint64_t bits)
{
    double real;
    float single;
    uint32_t half = (uint32_t)bits;
    memcpy(&single, &half, sizeof(single));
    memcpy(&real, &bits, sizeof(real));
    real = size == sizeof(single) ? (double)single : real;
    return isfinite(real) ? json_real(real) : json_null();
}

static json_t *decode_bits(const struct kind *kind, uint64_t bits)
{
    switch (kind->shape) {
    case BOOLEAN:
        return json_boolean(bits != 0);
    case SIGNED:
        return decode_signed(kind->size, bits);
    case REAL:
        return decode_real(kind->size, bits);
    default:
        return decode_unsigned(bits);
    }
}

static int decode_text(enum sb_value type, const uint8_t *bytes, size_t n, json_t **ret,
                       char **ret_error)
{
    if (kinds[type].shape == RAW) {
        sb_cleanup(sb_freep) char *hex = sb_hex(bytes, n);
        *ret = hex ? json_string(hex) : NULL;
        return *ret ? 0 : -ENOMEM;
    }
    while (n > 0 && bytes[n - 1] == '\0') /* some applications store the terminator */
        n--;
    json_t *text = n > 0 && memchr(bytes, 0, n) ? NULL : json_stringn((const char *)bytes, n);
    if (!text)
        return wrong(ret_error, type, "the device's bytes are no UTF-8");
    *ret = text;
    return 0;
}

int sb_value_decode(enum sb_value type, bool big_endian, const uint8_t *bytes, size_t n,
                    json_t **ret, char **ret_error)
{
    const struct kind *kind = &kinds[type];
    if (kind->size == 0)
        return decode_text(type, bytes, n, ret, ret_error);
    if (n != kind->size)
        return wrong(ret_error, type, "the device's bytes have not the length of a");
    json_t *value = decode_bits(kind, get(bytes, n, big_endian));
    if (!value)
        return -ENOMEM;
    *ret = value;
    return 0;
}
