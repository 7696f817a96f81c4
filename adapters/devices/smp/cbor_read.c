/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading CBOR into JSON: libcbor finds the tokens, a small stack of our own builds the values.
 */
#include <cbor.h>
#include <errno.h>
#include <math.h>

#include "adapters/devices/smp/cbor.h"
#include "bridge/base/crypto.h"
#include "bridge/base/str.h"

enum kind { IN_MAP, IN_ARRAY, IN_TEXT, IN_BYTES };

struct level {
    enum kind kind;
    json_t *container; /* owned by its parent, or by the reader (the root) */
    size_t left;       /* items still to come, when definite */
    bool indefinite;
    char *key;          /* of the value to come; owned */
    struct sb_str text; /* pieces of an indefinite text */
};

struct reader {
    struct level levels[SB_CBOR_DEPTH];
    size_t depth, values;
    json_t *root;
    int error;
};

static void fail(struct reader *r, int error)
{
    if (r->error == 0)
        r->error = error;
}

static json_t *clean_text(const uint8_t *bytes, size_t n)
{
    json_t *text = memchr(bytes, 0, n) ? NULL : json_stringn((const char *)bytes, n);
    if (text)
        return text;
    struct sb_str s = { 0 };
    for (size_t i = 0; i < n; i++)
        sb_str_add_char(&s, (char)(bytes[i] >= 0x20 && bytes[i] < 0x7f ? bytes[i] : '?'));
    text = json_string(sb_str_get(&s));
    sb_str_done(&s);
    return text;
}

static json_t *hex_text(const uint8_t *bytes, size_t n)
{
    sb_cleanup(sb_freep) char *hex = sb_hex(bytes, n);
    return hex ? json_string(hex) : NULL;
}

static void close_full(struct reader *r);

static void set_key(struct reader *r, struct level *level, json_t *value)
{
    if (json_is_string(value))
        level->key = strdup(json_string_value(value));
    else if (json_is_integer(value))
        level->key = sb_format("%lld", (long long)json_integer_value(value));
    else
        fail(r, -EBADMSG);
    if (r->error == 0 && !level->key)
        fail(r, -ENOMEM);
    json_decref(value);
}

/* Puts a finished value where it belongs; takes the reference. */
static void emit(struct reader *r, json_t *value)
{
    struct level *level = r->depth ? &r->levels[r->depth - 1] : NULL;
    if (!value)
        fail(r, -ENOMEM);
    else if (!level || level->kind > IN_ARRAY || ++r->values > SB_CBOR_VALUES)
        fail(r, level && level->kind <= IN_ARRAY ? -E2BIG : -EBADMSG);
    if (r->error) {
        json_decref(value);
        return;
    }
    if (level->kind == IN_MAP && !level->key) {
        set_key(r, level, value);
        return;
    }
    int failed = level->kind == IN_MAP ? json_object_set_new(level->container, level->key, value)
                                       : json_array_append_new(level->container, value);
    if (failed)
        fail(r, -ENOMEM);
    free(SB_STEAL(level->key));
    level->left -= level->indefinite ? 0 : 1;
    close_full(r);
}

/* A definite container ends by itself. */
static void close_full(struct reader *r)
{
    while (r->depth && !r->error) {
        const struct level *level = &r->levels[r->depth - 1];
        if (level->indefinite || level->left > 0)
            return;
        r->depth--;
        if (r->depth == 0)
            return;
        struct level *outer = &r->levels[r->depth - 1];
        outer->left -= outer->indefinite ? 0 : 1;
    }
}

/* Hangs a new container into its parent at once, so that one reference holds the whole tree. */
static bool attach(struct reader *r, json_t *container)
{
    if (r->depth == 0) {
        bool first = !r->root && json_is_object(container);
        r->root = first ? json_incref(container) : r->root;
        return first;
    }
    struct level *outer = &r->levels[r->depth - 1];
    if (outer->kind == IN_ARRAY)
        return json_array_append(outer->container, container) == 0;
    bool ok = outer->kind == IN_MAP && outer->key &&
              json_object_set(outer->container, outer->key, container) == 0;
    free(SB_STEAL(outer->key));
    return ok;
}

static void open_level(struct reader *r, enum kind kind, json_t *container, size_t left,
                       bool indefinite)
{
    if (r->error)
        return;
    if (r->depth == SB_CBOR_DEPTH || ++r->values > SB_CBOR_VALUES || left > SB_CBOR_VALUES) {
        fail(r, -E2BIG);
    } else if (kind <= IN_ARRAY && (!container || !attach(r, container))) {
        fail(r, container ? -EBADMSG : -ENOMEM);
    } else {
        r->levels[r->depth++] = (struct level){
            .kind = kind, .container = container, .left = left, .indefinite = indefinite
        };
        close_full(r);
    }
    json_decref(container); /* its parent holds it */
}

static void on_uint(struct reader *r, uint64_t value)
{
    emit(r, value <= INT64_MAX ? json_integer((json_int_t)value) : json_real((double)value));
}

static void on_negative(struct reader *r, uint64_t value)
{
    emit(r, value <= INT64_MAX ? json_integer(-1 - (json_int_t)value)
                               : json_real(-1.0 - (double)value));
}

static void on_u8(void *r, uint8_t value)
{
    on_uint(r, value);
}
static void on_u16(void *r, uint16_t value)
{
    on_uint(r, value);
}
static void on_u32(void *r, uint32_t value)
{
    on_uint(r, value);
}
static void on_u64(void *r, uint64_t value)
{
    on_uint(r, value);
}
static void on_n8(void *r, uint8_t value)
{
    on_negative(r, value);
}
static void on_n16(void *r, uint16_t value)
{
    on_negative(r, value);
}
static void on_n32(void *r, uint32_t value)
{
    on_negative(r, value);
}
static void on_n64(void *r, uint64_t value)
{
    on_negative(r, value);
}

static void on_string(void *arg, cbor_data bytes, size_t n, enum kind pieces)
{
    struct reader *r = arg;
    struct level *level = r->depth ? &r->levels[r->depth - 1] : NULL;
    if (level && level->kind == pieces)
        sb_str_add_bytes(&level->text, bytes, n);
    else
        emit(r, pieces == IN_TEXT ? clean_text(bytes, n) : hex_text(bytes, n));
}
static void on_text(void *r, cbor_data bytes, size_t n)
{
    on_string(r, bytes, n, IN_TEXT);
}
static void on_bytes(void *r, cbor_data bytes, size_t n)
{
    on_string(r, bytes, n, IN_BYTES);
}
static void on_text_start(void *r)
{
    open_level(r, IN_TEXT, NULL, 0, true);
}
static void on_bytes_start(void *r)
{
    open_level(r, IN_BYTES, NULL, 0, true);
}
static void on_array(void *r, size_t n)
{
    open_level(r, IN_ARRAY, json_array(), n, false);
}
static void on_array_start(void *r)
{
    open_level(r, IN_ARRAY, json_array(), 0, true);
}
static void on_map(void *r, size_t n)
{
    open_level(r, IN_MAP, json_object(), n, false);
}
static void on_map_start(void *r)
{
    open_level(r, IN_MAP, json_object(), 0, true);
}
static void on_double(void *r, double value)
{
    emit(r, isfinite(value) ? json_real(value) : json_null());
}
static void on_float(void *r, float value)
{
    on_double(r, value);
}
static void on_bool(void *r, bool value)
{
    emit(r, json_boolean(value));
}
static void on_null(void *r)
{
    emit(r, json_null());
}

static void on_break(void *arg)
{
    struct reader *r = arg;
    struct level *level = r->depth ? &r->levels[r->depth - 1] : NULL;
    if (!level || !level->indefinite || level->key) {
        fail(r, -EBADMSG);
        return;
    }
    r->depth--;
    if (level->kind <= IN_ARRAY) {
        if (r->depth) {
            struct level *outer = &r->levels[r->depth - 1];
            outer->left -= outer->indefinite ? 0 : 1;
        }
        close_full(r);
        return;
    }
    struct sb_str text = level->text;
    level->text = (struct sb_str){ 0 };
    const uint8_t *bytes = (const uint8_t *)sb_str_get(&text);
    emit(r, level->kind == IN_TEXT ? clean_text(bytes, text.length) : hex_text(bytes, text.length));
    sb_str_done(&text);
}

static struct cbor_callbacks callbacks(void)
{
    struct cbor_callbacks c = cbor_empty_callbacks; /* tags stay ignored */
    c.uint8 = on_u8;
    c.uint16 = on_u16;
    c.uint32 = on_u32;
    c.uint64 = on_u64;
    c.negint8 = on_n8;
    c.negint16 = on_n16;
    c.negint32 = on_n32;
    c.negint64 = on_n64;
    c.byte_string = on_bytes;
    c.byte_string_start = on_bytes_start;
    c.string = on_text;
    c.string_start = on_text_start;
    c.array_start = on_array;
    c.indef_array_start = on_array_start;
    c.map_start = on_map;
    c.indef_map_start = on_map_start;
    c.float2 = on_float;
    c.float4 = on_float;
    c.float8 = on_double;
    c.undefined = on_null;
    c.null = on_null;
    c.boolean = on_bool;
    c.indef_break = on_break;
    return c;
}

int sb_cbor_read(const void *bytes, size_t n, json_t **ret)
{
    const struct cbor_callbacks on = callbacks();
    struct reader r = { 0 };
    const uint8_t *at = bytes;
    bool first = true;
    while (n > 0 && r.error == 0 && (first || r.depth > 0)) {
        struct cbor_decoder_result token = cbor_stream_decode(at, n, &on, &r);
        if (token.status != CBOR_DECODER_FINISHED || token.read == 0 || token.read > n) {
            fail(&r, -EBADMSG);
            break;
        }
        first = false;
        at += token.read;
        n -= token.read;
    }
    if (n > 0 || r.depth > 0 || !r.root)
        fail(&r, -EBADMSG);
    for (size_t i = 0; i < SB_CBOR_DEPTH; i++) {
        free(r.levels[i].key);
        sb_str_done(&r.levels[i].text);
    }
    if (r.error) {
        json_decref(r.root);
        return r.error;
    }
    *ret = r.root;
    return 0;
}
