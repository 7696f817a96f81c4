/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/devices/modbus/map.h"

#include <errno.h>
#include <math.h>

#include "bridge/base/str.h"

SB_NAMES(sb_modbus_table, SB_MODBUS_TABLE_MAX_, [SB_MODBUS_HOLDING] = "holding",
         [SB_MODBUS_INPUT] = "input", [SB_MODBUS_COIL] = "coil", [SB_MODBUS_DISCRETE] = "discrete");
SB_NAMES(sb_modbus_order, SB_MODBUS_ORDER_MAX_, [SB_MODBUS_ABCD] = "ABCD",
         [SB_MODBUS_CDAB] = "CDAB", [SB_MODBUS_BADC] = "BADC", [SB_MODBUS_DCBA] = "DCBA");
SB_NAMES(
    sb_modbus_kind,
    SB_MODBUS_KIND_MAX_, [SB_MODBUS_U16] = "u16", [SB_MODBUS_I16] = "i16", [SB_MODBUS_U32] = "u32",
    [SB_MODBUS_I32] = "i32", [SB_MODBUS_U64] = "u64", [SB_MODBUS_I64] = "i64",
    [SB_MODBUS_F32] = "f32", [SB_MODBUS_F64] = "f64", [SB_MODBUS_BOOL] = "bool",
    [SB_MODBUS_BITS] = "bits", [SB_MODBUS_STRING] = "string", [SB_MODBUS_BYTES] = "bytes");

static const struct {
    enum sb_value value;
    uint16_t words; /* 0: by `length` */
} kinds[] = {
    [SB_MODBUS_U16] = { SB_VALUE_U16, 1 },       [SB_MODBUS_I16] = { SB_VALUE_I16, 1 },
    [SB_MODBUS_U32] = { SB_VALUE_U32, 2 },       [SB_MODBUS_I32] = { SB_VALUE_I32, 2 },
    [SB_MODBUS_U64] = { SB_VALUE_U64, 4 },       [SB_MODBUS_I64] = { SB_VALUE_I64, 4 },
    [SB_MODBUS_F32] = { SB_VALUE_F32, 2 },       [SB_MODBUS_F64] = { SB_VALUE_F64, 4 },
    [SB_MODBUS_BOOL] = { SB_VALUE_U16, 1 },      [SB_MODBUS_BITS] = { SB_VALUE_U16, 1 },
    [SB_MODBUS_STRING] = { SB_VALUE_STRING, 0 }, [SB_MODBUS_BYTES] = { SB_VALUE_BYTES, 0 },
};

/* ---- reading descriptions ---- */

int sb_modbus_number(const json_t *spec, const char *key, int64_t min, int64_t max,
                     int64_t otherwise, int64_t *ret, char **ret_error)
{
    const json_t *value = json_object_get(spec, key);
    *ret = value ? json_integer_value(value) : otherwise;
    if (!value && otherwise != INT64_MIN)
        return 0;
    if (json_is_integer(value) && *ret >= min && *ret <= max)
        return 0;
    return sb_described_wrong(ret_error, -EINVAL, "%s %s (%lld..%lld)", value ? "no such" : "needs",
                              key, (long long)min, (long long)max);
}

int sb_modbus_key_number(const char *key, int64_t min, int64_t max, int64_t *ret)
{
    char *end = NULL;
    errno = 0;
    *ret = strtoll(key, &end, strncmp(key, "0x", 2) == 0 ? 16 : 10);
    return errno || end == key || *end || *ret < min || *ret > max ? -EINVAL : 0;
}

static int place_length(const json_t *spec, struct sb_modbus_place *ret, char **ret_error)
{
    int64_t length = 0;
    ret->count = kinds[ret->kind].words;
    if (ret->count) {
        return json_object_get(spec, "length")
                   ? sb_described_wrong(ret_error, -EINVAL, "a %s has no `length`",
                                        sb_modbus_kind_name((int)ret->kind))
                   : 0;
    }
    int r = sb_modbus_number(spec, "length", 1, INT64_C(2) * SB_MODBUS_WORDS_MAX, INT64_MIN,
                             &length, ret_error);
    ret->count = (uint16_t)((length + 1) / 2);
    return r;
}

int sb_modbus_place_read(const json_t *spec, const char *address_key, int order,
                         struct sb_modbus_place *ret, char **ret_error)
{
    int64_t address = 0;
    int kind = 0;
    int r = sb_described_choice(spec, "table", &sb_modbus_table_names, SB_MODBUS_HOLDING,
                                &ret->table, ret_error);
    bool bits = r == 0 && sb_modbus_is_bit_table(ret->table);
    if (r == 0)
        r = sb_modbus_number(spec, address_key, 0, UINT16_MAX, INT64_MIN, &address, ret_error);
    if (r == 0)
        r = sb_described_choice(spec, "type", &sb_modbus_kind_names,
                                bits ? SB_MODBUS_BOOL : SB_MODBUS_U16, &kind, ret_error);
    if (r == 0)
        r = sb_described_choice(spec, "order", &sb_modbus_order_names, order, &ret->order,
                                ret_error);
    if (r < 0)
        return r;
    ret->address = (uint16_t)address;
    ret->kind = (enum sb_modbus_kind)kind;
    if (bits && kind != SB_MODBUS_BOOL)
        return sb_described_wrong(ret_error, -EINVAL, "what is in table %s is a bool, not a %s",
                                  sb_modbus_table_name(ret->table), sb_modbus_kind_name(kind));
    r = place_length(spec, ret, ret_error);
    if (r == 0 && address + ret->count > UINT16_MAX + 1)
        return sb_described_wrong(ret_error, -EINVAL,
                                  "%u registers from %lld on end beyond register 65535", ret->count,
                                  (long long)address);
    return r;
}

static int real(const json_t *spec, const char *key, double otherwise, double *ret,
                char **ret_error)
{
    const json_t *value = json_object_get(spec, key);
    *ret = value ? json_number_value(value) : otherwise;
    return !value || json_is_number(value)
               ? 0
               : sb_described_wrong(ret_error, -EINVAL, "%s is no number", key);
}

static bool is_number(enum sb_modbus_kind kind)
{
    return kind <= SB_MODBUS_F64;
}

static int read_scaling(const json_t *spec, struct sb_modbus_property *ret, char **ret_error)
{
    static const char *const keys[] = { "scale", "offset", "min", "max" };
    for (size_t i = 0; i < SB_COUNT(keys); i++)
        if (json_object_get(spec, keys[i]) && !is_number(ret->at.kind))
            return sb_described_wrong(ret_error, -EINVAL, "a %s has no `%s`",
                                      sb_modbus_kind_name((int)ret->at.kind), keys[i]);
    int r = real(spec, "scale", 1, &ret->scale, ret_error);
    if (r == 0)
        r = real(spec, "offset", 0, &ret->offset, ret_error);
    if (r == 0)
        r = real(spec, "min", NAN, &ret->min, ret_error);
    if (r == 0)
        r = real(spec, "max", NAN, &ret->max, ret_error);
    if (r == 0 && ret->scale == 0)
        return sb_described_wrong(ret_error, -EINVAL, "scale is 0");
    if (r == 0 && ret->min > ret->max)
        return sb_described_wrong(ret_error, -EINVAL, "min is above max");
    return r;
}

/* `names: { 0: off, 1: on }`, of whole numbers. */
static int read_names(const json_t *spec, struct sb_modbus_property *ret, char **ret_error)
{
    const char *key;
    json_t *value;
    int64_t number;
    ret->names = json_object_get(spec, "names");
    if (!ret->names)
        return 0;
    if (ret->at.kind > SB_MODBUS_I64 || ret->scale != 1 || ret->offset != 0)
        return sb_described_wrong(ret_error, -EINVAL, "`names` are for unscaled whole numbers");
    if (json_object_size(ret->names) == 0)
        return sb_described_wrong(ret_error, -EINVAL, "names wants { number: text, ... }");
    json_object_foreach ((json_t *)ret->names, key, value) {
        if (sb_modbus_key_number(key, INT32_MIN, UINT32_MAX, &number) < 0 || !json_is_string(value))
            return sb_described_wrong(ret_error, -EINVAL, "names.%.32s: wants number: text", key);
    }
    return 0;
}

/* `flags: { run: 0, fault: 3 }`, of type bits. */
static int read_flags(const json_t *spec, struct sb_modbus_property *ret, char **ret_error)
{
    const char *key;
    json_t *value;
    ret->flags = json_object_get(spec, "flags");
    bool bits = ret->at.kind == SB_MODBUS_BITS;
    if (bits != (json_object_size(ret->flags) > 0))
        return sb_described_wrong(ret_error, -EINVAL,
                                  "type bits and `flags: { name: bit, ... }` go together");
    json_object_foreach ((json_t *)ret->flags, key, value) {
        if (!json_is_integer(value) || json_integer_value(value) < 0 ||
            json_integer_value(value) > 15)
            return sb_described_wrong(ret_error, -EINVAL, "flags.%.32s: no such bit (0..15)", key);
    }
    return 0;
}

static int read_access(const json_t *spec, struct sb_modbus_property *ret, char **ret_error)
{
    bool fixed = ret->at.table == SB_MODBUS_INPUT || ret->at.table == SB_MODBUS_DISCRETE;
    int r = sb_described_access(spec, &ret->access, ret_error);
    if (r < 0)
        return r;
    if (fixed && !json_object_get(spec, "access"))
        ret->access.writable = false;
    if (fixed && ret->access.writable)
        return sb_described_wrong(ret_error, -EINVAL,
                                  "what is in table %s cannot be written (access: read)",
                                  sb_modbus_table_name(ret->at.table));
    r = sb_described_bool(spec, "poll", false, &ret->poll, ret_error);
    if (r == 0)
        r = sb_described_bool(spec, "read_back", true, &ret->checked, ret_error);
    if (r < 0)
        return r;
    ret->checked = ret->checked && ret->access.readable;
    if (ret->poll && !ret->access.readable)
        return sb_described_wrong(ret_error, -EINVAL, "poll: it cannot be read");
    return 0;
}

int sb_modbus_property_read(const char *name, const json_t *spec, int order,
                            struct sb_modbus_property *ret, char **ret_error)
{
    static const char *const keys[] = { "table", "address", "type",     "length", "order",
                                        "scale", "offset",  "unit",     "access", "min",
                                        "max",   "names",   "flags",    "bit",    "group",
                                        "poll",  "title",   "read_back" };
    int64_t bit = -1;
    int r = sb_described_keys(spec, keys, SB_COUNT(keys), ret_error);
    if (r < 0)
        return r;
    *ret = (struct sb_modbus_property){ .name = name, .group = sb_json_str(spec, "group") };
    r = sb_modbus_place_read(spec, "address", order, &ret->at, ret_error);
    if (r == 0)
        r = read_access(spec, ret, ret_error);
    if (r == 0)
        r = read_scaling(spec, ret, ret_error);
    if (r == 0)
        r = read_names(spec, ret, ret_error);
    if (r == 0)
        r = read_flags(spec, ret, ret_error);
    if (r == 0)
        r = sb_modbus_number(spec, "bit", 0, 15, -1, &bit, ret_error);
    if (r < 0)
        return r;
    ret->bit = (int)bit;
    if (bit >= 0 && (ret->at.kind != SB_MODBUS_BOOL || sb_modbus_is_bit_table(ret->at.table)))
        return sb_described_wrong(ret_error, -EINVAL, "`bit` is for a bool in a register");
    return 0;
}

/* ---- bytes and words ---- */

static void to_words(const struct sb_modbus_place *at, const uint8_t *bytes, uint16_t *words)
{
    bool low_first = at->order == SB_MODBUS_CDAB || at->order == SB_MODBUS_DCBA;
    bool swapped = at->order == SB_MODBUS_BADC || at->order == SB_MODBUS_DCBA;
    bool number = kinds[at->kind].words > 0; /* a text has no low register */
    for (size_t i = 0; i < at->count; i++) {
        const uint8_t *pair = bytes + 2 * (low_first && number ? at->count - 1 - i : i);
        words[i] = (uint16_t)(swapped ? pair[1] << 8 | pair[0] : pair[0] << 8 | pair[1]);
    }
}

static void to_bytes(const struct sb_modbus_place *at, const uint16_t *words, uint8_t *bytes)
{
    uint16_t in_order[SB_MODBUS_WORDS_MAX];
    for (size_t i = 0; i < at->count; i++) {
        bytes[2 * i] = (uint8_t)(words[i] >> 8);
        bytes[2 * i + 1] = (uint8_t)words[i];
    }
    to_words(at, bytes, in_order); /* each order is its own inverse */
    for (size_t i = 0; i < at->count; i++) {
        bytes[2 * i] = (uint8_t)(in_order[i] >> 8);
        bytes[2 * i + 1] = (uint8_t)in_order[i];
    }
}

int sb_modbus_place_encode(const struct sb_modbus_place *at, const json_t *value,
                           uint16_t *ret_words, char **ret_error)
{
    uint8_t padded[2 * SB_MODBUS_WORDS_MAX] = { 0 };
    sb_cleanup(sb_freep) uint8_t *bytes = NULL;
    size_t n = 0, room = (size_t)at->count * 2;
    if (at->kind == SB_MODBUS_BOOL) {
        *ret_words = json_is_true(value) || json_integer_value(value) == 1;
        return json_is_boolean(value) ||
                       (json_is_integer(value) && json_integer_value(value) >> 1 == 0)
                   ? 0
                   : sb_described_wrong(ret_error, -EINVAL, "not true or false");
    }
    int r = sb_value_encode(kinds[at->kind].value, true, value, &bytes, &n, ret_error);
    if (r < 0)
        return r;
    if (n > room)
        return sb_described_wrong(ret_error, -EINVAL, "longer than its %zu bytes", room);
    memcpy(padded, bytes, n);
    to_words(at, padded, ret_words);
    return 0;
}

int sb_modbus_place_decode(const struct sb_modbus_place *at, const uint16_t *words, json_t **ret,
                           char **ret_error)
{
    uint8_t bytes[2 * SB_MODBUS_WORDS_MAX] = { 0 };
    size_t n = (size_t)at->count * 2;
    if (at->kind == SB_MODBUS_BOOL) {
        *ret = json_boolean(words[0]);
        return 0;
    }
    to_bytes(at, words, bytes);
    if (at->kind == SB_MODBUS_STRING) { /* padded by zeros or spaces */
        const uint8_t *end = memchr(bytes, 0, n);
        n = end ? (size_t)(end - bytes) : n;
        while (n > 0 && bytes[n - 1] == ' ')
            n--;
    }
    return sb_value_decode(kinds[at->kind].value, true, bytes, n, ret, ret_error);
}

/* ---- values ---- */

/* The number that a text stands for. */
static int number_of_name(const struct sb_modbus_property *property, const char *text, json_t **ret,
                          char **ret_error)
{
    const char *key, *choices[64];
    size_t count = 0;
    json_t *name;
    int64_t number;
    json_object_foreach ((json_t *)property->names, key, name) {
        if (count < SB_COUNT(choices))
            choices[count++] = json_string_value(name);
        if (!sb_streq(json_string_value(name), text) ||
            sb_modbus_key_number(key, INT32_MIN, UINT32_MAX, &number) < 0)
            continue;
        *ret = json_integer(number);
        return *ret ? 0 : -ENOMEM;
    }
    const char *near = sb_nearest(text, choices, count);
    return sb_described_wrong(ret_error, -EINVAL, "no value '%.64s'%s%s%s", text,
                              near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
}

static int check_range(const struct sb_modbus_property *property, const json_t *value,
                       char **ret_error)
{
    double number = json_number_value(value);
    if (!json_is_number(value))
        return 0; /* a large one as text: its type's own range is checked */
    if (number < property->min)
        return sb_described_wrong(ret_error, -EINVAL, "below %g", property->min);
    if (number > property->max)
        return sb_described_wrong(ret_error, -EINVAL, "above %g", property->max);
    return 0;
}

/* The device's own number for a value. */
static int unscale(const struct sb_modbus_property *property, const json_t *value, json_t **ret,
                   char **ret_error)
{
    bool whole = property->at.kind <= SB_MODBUS_I64;
    if (json_is_string(value) && property->names)
        return number_of_name(property, json_string_value(value), ret, ret_error);
    int r = check_range(property, value, ret_error);
    if (r < 0)
        return r;
    if ((property->scale == 1 && property->offset == 0) || !is_number(property->at.kind)) {
        *ret = json_incref((json_t *)value);
        return 0;
    }
    if (!json_is_number(value))
        return sb_described_wrong(ret_error, -EINVAL, "not a number");
    double number = (json_number_value(value) - property->offset) / property->scale;
    if (whole && fabs(number - round(number)) > 1e-6 * fmax(1, fabs(number)))
        return sb_described_wrong(ret_error, -EINVAL, "not a multiple of %g", property->scale);
    if (whole && fabs(number) >= 9.2e18)
        return sb_described_wrong(ret_error, -EINVAL, "out of range");
    *ret = whole ? json_integer((json_int_t)llround(number)) : json_real(number);
    return *ret ? 0 : -ENOMEM;
}

static int encode_flags(const struct sb_modbus_property *property, const json_t *value,
                        uint16_t *ret_word, uint16_t *ret_mask, char **ret_error)
{
    const char *name;
    json_t *on;
    if (!json_is_object(value) || json_object_size(value) == 0)
        return sb_described_wrong(ret_error, -EINVAL, "wants { flag: true or false, ... }");
    *ret_word = *ret_mask = 0;
    json_object_foreach ((json_t *)value, name, on) {
        const json_t *bit = json_object_get(property->flags, name);
        if (!bit) {
            (void)sb_described_unknown("flag", name, property->flags, ret_error);
            return -EINVAL;
        }
        if (!json_is_boolean(on))
            return sb_described_wrong(ret_error, -EINVAL, "%.32s: not true or false", name);
        uint16_t one = (uint16_t)(1u << json_integer_value(bit));
        *ret_mask = (uint16_t)(*ret_mask | one);
        *ret_word = (uint16_t)(*ret_word | (json_is_true(on) ? one : 0));
    }
    return 0;
}

int sb_modbus_encode(const struct sb_modbus_property *property, const json_t *value,
                     uint16_t *ret_words, uint16_t *ret_mask, char **ret_error)
{
    sb_cleanup(json_decrefp) json_t *number = NULL;
    memset(ret_mask, 0xff, property->at.count * sizeof(*ret_mask));
    if (property->at.kind == SB_MODBUS_BITS)
        return encode_flags(property, value, ret_words, ret_mask, ret_error);
    int r = unscale(property, value, &number, ret_error);
    if (r == 0)
        r = sb_modbus_place_encode(&property->at, number, ret_words, ret_error);
    if (r == 0 && property->bit >= 0) {
        *ret_words = (uint16_t)(*ret_words << property->bit);
        *ret_mask = (uint16_t)(1u << property->bit);
    }
    return r;
}

static json_t *decode_flags(const struct sb_modbus_property *property, uint16_t word)
{
    const char *name;
    json_t *bit, *flags = json_object();
    json_object_foreach ((json_t *)property->flags, name, bit) {
        bool on = word >> json_integer_value(bit) & 1;
        if (json_object_set_new(flags, name, json_boolean(on)))
            break;
    }
    return flags;
}

static const json_t *name_of_number(const struct sb_modbus_property *property, const json_t *value)
{
    const char *key;
    json_t *name;
    int64_t number;
    json_object_foreach ((json_t *)property->names, key, name) {
        if (json_is_integer(value) &&
            sb_modbus_key_number(key, INT32_MIN, UINT32_MAX, &number) == 0 &&
            number == json_integer_value(value))
            return name;
    }
    return NULL;
}

/* Rounded to the digits that the scale has: 2301 * 0.1 is 230.1. */
static double scaled(const struct sb_modbus_property *property, double number)
{
    double value = number * property->scale + property->offset;
    if (property->at.kind > SB_MODBUS_I64 || fabs(property->scale) > 1)
        return value;
    double grain = pow(10, ceil(-log10(fabs(property->scale))) + 3);
    return fabs(value) < 1e12 ? round(value * grain) / grain : value;
}

int sb_modbus_decode(const struct sb_modbus_property *property, const uint16_t *words, json_t **ret,
                     char **ret_error)
{
    sb_cleanup(json_decrefp) json_t *value = NULL;
    if (property->at.kind == SB_MODBUS_BITS) {
        *ret = decode_flags(property, words[0]);
        return *ret ? 0 : -ENOMEM;
    }
    uint16_t bit = (uint16_t)(property->bit >= 0 ? words[0] >> property->bit & 1 : 0);
    int r =
        sb_modbus_place_decode(&property->at, property->bit >= 0 ? &bit : words, &value, ret_error);
    if (r < 0)
        return r;
    const json_t *name = name_of_number(property, value);
    if (name)
        *ret = json_incref((json_t *)name);
    else if (json_is_number(value) && (property->scale != 1 || property->offset != 0))
        *ret = json_real(scaled(property, json_number_value(value)));
    else
        *ret = SB_STEAL(value);
    return *ret ? 0 : -ENOMEM;
}
