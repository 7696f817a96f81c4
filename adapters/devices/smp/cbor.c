/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/devices/smp/cbor.h"

#include <cbor.h>
#include <errno.h>

#include "bridge/base/crypto.h"
#include "bridge/base/str.h"

static uint8_t *reserve(struct sb_cbor *c, size_t n)
{
    if (!c->broken && c->room - c->n < n) {
        size_t room = SB_MAX(c->room * 2, c->n + n + 64);
        uint8_t *bytes = realloc(c->bytes, room);
        c->broken = bytes == NULL;
        if (bytes) {
            c->bytes = bytes;
            c->room = room;
        }
    }
    return c->broken ? NULL : c->bytes + c->n;
}

#define HEAD 9 /* the longest head of any item */

void sb_cbor_map(struct sb_cbor *c, size_t pairs)
{
    uint8_t *at = reserve(c, HEAD);
    if (at)
        c->n += cbor_encode_map_start(pairs, at, HEAD);
}

void sb_cbor_array(struct sb_cbor *c, size_t items)
{
    uint8_t *at = reserve(c, HEAD);
    if (at)
        c->n += cbor_encode_array_start(items, at, HEAD);
}

static void put_bytes(struct sb_cbor *c, const void *bytes, size_t n)
{
    uint8_t *at = reserve(c, n);
    if (at && n > 0)
        memcpy(at, bytes, n);
    c->n += at ? n : 0;
}

void sb_cbor_text(struct sb_cbor *c, const char *text)
{
    size_t n = strlen(text);
    uint8_t *at = reserve(c, HEAD);
    if (at)
        c->n += cbor_encode_string_start(n, at, HEAD);
    put_bytes(c, text, n);
}

void sb_cbor_bytes(struct sb_cbor *c, const void *bytes, size_t n)
{
    uint8_t *at = reserve(c, HEAD);
    if (at)
        c->n += cbor_encode_bytestring_start(n, at, HEAD);
    put_bytes(c, bytes, n);
}

void sb_cbor_int(struct sb_cbor *c, int64_t value)
{
    uint8_t *at = reserve(c, HEAD);
    if (at)
        c->n += value < 0 ? cbor_encode_negint((uint64_t)(-1 - value), at, HEAD)
                          : cbor_encode_uint((uint64_t)value, at, HEAD);
}

void sb_cbor_bool(struct sb_cbor *c, bool value)
{
    uint8_t *at = reserve(c, HEAD);
    if (at)
        c->n += cbor_encode_bool(value, at, HEAD);
}

static int put_hex(struct sb_cbor *c, const char *hex)
{
    size_t n = strlen(hex) / 2;
    sb_cleanup(sb_freep) uint8_t *bytes = malloc(n + 1);
    if (!bytes)
        return -ENOMEM;
    if (strlen(hex) % 2 || (n > 0 && sb_hex_decode(hex, bytes, n) < 0))
        return -EINVAL;
    sb_cbor_bytes(c, bytes, n);
    return 0;
}

static int put_json(struct sb_cbor *c, const json_t *value, int depth);

static int put_object(struct sb_cbor *c, const json_t *object, int depth)
{
    const char *hex = sb_json_str(object, "$hex"), *key;
    json_t *member;
    if (hex && json_object_size(object) == 1)
        return put_hex(c, hex);
    int r = 0;
    sb_cbor_map(c, json_object_size(object));
    json_object_foreach ((json_t *)object, key, member) {
        sb_cbor_text(c, key);
        r = r < 0 ? r : put_json(c, member, depth + 1);
    }
    return r;
}

static int put_array(struct sb_cbor *c, const json_t *array, int depth)
{
    size_t i;
    json_t *item;
    int r = 0;
    sb_cbor_array(c, json_array_size(array));
    json_array_foreach (array, i, item) {
        r = r < 0 ? r : put_json(c, item, depth + 1);
    }
    return r;
}

static int put_json(struct sb_cbor *c, const json_t *value, int depth)
{
    if (depth > SB_CBOR_DEPTH)
        return -EINVAL;
    uint8_t *at = reserve(c, HEAD);
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return put_object(c, value, depth);
    case JSON_ARRAY:
        return put_array(c, value, depth);
    case JSON_STRING:
        sb_cbor_text(c, json_string_value(value));
        return 0;
    case JSON_INTEGER:
        sb_cbor_int(c, json_integer_value(value));
        return 0;
    case JSON_REAL:
        c->n += at ? cbor_encode_double(json_real_value(value), at, HEAD) : 0;
        return 0;
    case JSON_TRUE:
    case JSON_FALSE:
        sb_cbor_bool(c, json_is_true(value));
        return 0;
    default:
        c->n += at ? cbor_encode_null(at, HEAD) : 0;
        return 0;
    }
}

int sb_cbor_json(struct sb_cbor *c, const json_t *value)
{
    int r = put_json(c, value, 0);
    return r == 0 && c->broken ? -ENOMEM : r;
}

void sb_cbor_done(struct sb_cbor *c)
{
    free(c->bytes);
    *c = (struct sb_cbor){ 0 };
}
