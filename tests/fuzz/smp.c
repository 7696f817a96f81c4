/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything a device or an image file can say to the driver "smp". The first byte chooses.
 */
#include <stdint.h>

#include "adapters/devices/smp/cbor.h"
#include "adapters/devices/smp/codes.h"
#include "adapters/devices/smp/frame.h"
#include "adapters/devices/smp/image.h"
#include "bridge/mapping/values.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool right)
{
    if (!right)
        abort();
}

/* What can be read must survive being written and read again. */
static void fuzz_cbor(const uint8_t *data, size_t size)
{
    sb_cleanup(json_decrefp) json_t *body = NULL, *again = NULL;
    struct sb_cbor c = { 0 };
    if (sb_cbor_read(data, size, &body) < 0)
        return;
    struct sb_smp_code code = sb_smp_code_of(body);
    struct sb_native native = { 0 };
    check(sb_smp_code_text(&code) != NULL && sb_smp_native(&code, &native) == 0);
    sb_native_done(&native);
    if (sb_cbor_json(&c, body) == 0 && sb_cbor_read(c.bytes, c.n, &again) == 0)
        check(json_object_size(again) <= json_object_size(body));
    sb_cbor_done(&c);
}

static void fuzz_lines(const uint8_t *data, size_t size)
{
    struct sb_smp_decoder *decoder = calloc(1, sizeof(*decoder));
    while (decoder && size > 0) {
        const uint8_t *packet;
        size_t used, n, piece = SB_MIN(size, (size_t)1 + data[0] % 61);
        struct sb_smp_header header;
        if (sb_smp_feed(decoder, data, piece, &used, &packet, &n) == 1) {
            struct sb_str lines = { 0 };
            check(n <= SB_SMP_PACKET_MAX && sb_smp_frame(packet, n, &lines) == 0);
            sb_str_done(&lines);
            if (sb_smp_header_get(packet, n, &header) == 0)
                fuzz_cbor(packet + SB_SMP_HEADER, header.length);
        }
        check(used > 0 && used <= piece);
        data += used;
        size -= used;
    }
    free(decoder);
}

struct memory {
    const uint8_t *bytes;
    size_t n;
};

static int read_memory(void *arg, int64_t at, void *ret, size_t n)
{
    const struct memory *memory = arg;
    check(at >= 0 && (size_t)at <= memory->n && n <= memory->n - (size_t)at);
    memcpy(ret, memory->bytes + at, n);
    return 0;
}

static void fuzz_image(const uint8_t *data, size_t size)
{
    struct memory memory = { data, size };
    struct sb_smp_image image;
    sb_cleanup(sb_freep) char *error = NULL;
    int r = sb_smp_image_read(read_memory, &memory, (int64_t)size, &image, &error);
    check(r == 0 || error);
    if (r == 0)
        check(image.size <= (int64_t)size && strlen(image.hash) == SB_SHA256_HEX);
}

static void fuzz_value(const uint8_t *data, size_t size)
{
    if (size == 0)
        return;
    enum sb_value type = (enum sb_value)(data[0] % SB_VALUE_MAX_);
    bool big = data[0] & 0x80;
    sb_cleanup(json_decrefp) json_t *value = NULL;
    sb_cleanup(sb_freep) uint8_t *bytes = NULL;
    sb_cleanup(sb_freep) char *error = NULL;
    size_t n;
    if (sb_value_decode(type, big, data + 1, size - 1, &value, &error) < 0 || json_is_null(value))
        return;
    if (sb_value_encode(type, big, value, &bytes, &n, &error) == 0)
        check(n <= size - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const targets[])(const uint8_t *, size_t) = { fuzz_lines, fuzz_cbor, fuzz_image,
                                                                fuzz_value };
    if (size > 0)
        targets[data[0] % SB_COUNT(targets)](data + 1, size - 1);
    return 0;
}
