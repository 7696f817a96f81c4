/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything a line or a device type can say to the driver "modbus". The first byte chooses.
 */
#include <stdint.h>

#include "adapters/devices/modbus/frame.h"
#include "adapters/devices/modbus/recipe.h"
#include "adapters/devices/modbus/update.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool right)
{
    if (!right)
        abort();
}

/* One request of each shape; the first byte chooses. What is found must be an answer to it. */
static void fuzz_line(const uint8_t *data, size_t size)
{
    static const struct sb_modbus_pdu requests[] = {
        { { 0x01, 0, 1, 0, 10 }, 5 },
        { { 0x03, 0, 1, 0, 3 }, 5 },
        { { 0x06, 0, 1, 0, 3 }, 5 },
        { { 0x08, 0, 0, 0xa5, 0x37 }, 5 },
        { { 0x0b }, 1 },
        { { 0x10, 0, 1, 0, 1, 2, 0, 5 }, 8 },
        { { 0x11 }, 1 },
        { { 0x14, 7, 6, 0, 4, 0, 1, 0, 2 }, 9 },
        { { 0x15, 9, 6, 0, 4, 0, 7, 0, 1, 1, 2 }, 11 },
        { { 0x16, 0, 4, 0, 0xf2, 0, 0x25 }, 7 },
        { { 0x17, 0, 3, 0, 1, 0, 1, 0, 1, 2, 0, 0 }, 12 },
        { { 0x18, 4, 0xde }, 3 },
        { { 0x2b, 0x0e, 1, 0 }, 4 },
        { { 0x2b, 0x0d, 1 }, 3 },
        { { 0x41, 1, 2 }, 3 },
    };
    if (size == 0)
        return;
    const struct sb_modbus_pdu *request = &requests[data[0] % SB_COUNT(requests)];
    for (size_t have = 0; have < size; have += 1 + data[0] % 7u) {
        struct sb_modbus_pdu found = { .n = 0 };
        uint8_t frame[SB_MODBUS_ADU_MAX];
        bool quiet = have + 8 > size;
        if (!sb_modbus_find(1, request, data + 1, have, quiet, &found))
            continue;
        check(found.n >= 1 && found.n <= SB_MODBUS_PDU_MAX);
        check((found.bytes[0] & ~SB_MODBUS_IS_REFUSED) == request->bytes[0]);
        size_t n = sb_modbus_frame(1, &found, frame);
        check(sb_modbus_answers(1, request, frame, n));
    }
}

static json_t *json_from(const uint8_t *data, size_t size)
{
    json_t *json = NULL;
    sb_cleanup(sb_freep) char *error = NULL;
    return sb_json_parse(data, size, NULL, &json, &error) < 0 ? NULL : json;
}

static void fuzz_step(const uint8_t *data, size_t size)
{
    sb_cleanup(json_decrefp) json_t *spec = json_from(data, size),
                                    *names = sb_modbus_block_names(NULL, NULL);
    sb_cleanup(sb_freep) char *error = NULL;
    struct sb_modbus_step step;
    uint16_t words[SB_MODBUS_WORDS_MAX];
    size_t n = 0;
    if (!spec)
        return;
    size_t bad;
    int r = json_is_array(spec) ? sb_modbus_recipe_check(spec, 0, names, true, &bad, &error)
                                : sb_modbus_step_read(spec, 0, names, &step, &error);
    check(r == 0 || error);
    if (r < 0 || json_is_array(spec))
        return;
    check(step.request.n <= SB_MODBUS_PDU_MAX && step.at.count <= SB_MODBUS_WORDS_MAX);
    if (step.verb == SB_MODBUS_DO_WRITE &&
        sb_modbus_step_words(&step, names, words, &n, &error) == 0)
        check(n > 0 && n <= SB_MODBUS_WORDS_MAX);
}

/* [description, value] and then, behind a zero, a device's registers. */
static void fuzz_property(const uint8_t *data, size_t size)
{
    const uint8_t *end = memchr(data, 0, size);
    size_t text = end ? (size_t)(end - data) : size;
    sb_cleanup(json_decrefp) json_t *pair = json_from(data, text);
    sb_cleanup(sb_freep) char *error = NULL;
    sb_cleanup(json_decrefp) json_t *value = NULL;
    struct sb_modbus_property property;
    uint16_t words[SB_MODBUS_WORDS_MAX] = { 0 }, mask[SB_MODBUS_WORDS_MAX];
    if (sb_modbus_property_read("p", json_array_get(pair, 0), 0, &property, &error) < 0)
        return;
    check(property.at.count >= 1 && property.at.count <= SB_MODBUS_WORDS_MAX);
    if (end)
        memcpy(words, end + 1, SB_MIN(size - text - 1, sizeof(words)));
    if (sb_modbus_decode(&property, words, &value, &error) == 0)
        check(value != NULL);
    const json_t *given = json_array_get(pair, 1);
    int r = given ? sb_modbus_encode(&property, given, words, mask, &error) : -EINVAL;
    check(r == 0 || r == -EINVAL || r == -ENOMEM);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const targets[])(const uint8_t *, size_t) = { fuzz_line, fuzz_step,
                                                                fuzz_property };
    if (size > 0)
        targets[data[0] % SB_COUNT(targets)](data + 1, size - 1);
    return 0;
}
