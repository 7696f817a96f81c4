/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/devices/modbus/frame.h"

#define POLYNOMIAL     0xa001 /* 0x8005 reflected */
#define CHARACTER_BITS 11
#define FAST           19200 /* above it the silence no longer shrinks */
#define FAST_GAP_US    1750
#define SPEED_DEFAULT  9600

uint16_t sb_modbus_crc_more(uint16_t crc, const void *bytes, size_t n)
{
    const uint8_t *at = bytes;
    unsigned sum = crc;
    for (size_t i = 0; i < n; i++) {
        sum ^= at[i];
        for (int bit = 0; bit < 8; bit++)
            sum = sum & 1 ? sum >> 1 ^ POLYNOMIAL : sum >> 1;
    }
    return (uint16_t)sum;
}

uint16_t sb_modbus_crc(const void *bytes, size_t n)
{
    return sb_modbus_crc_more(UINT16_MAX, bytes, n);
}

static void put16(struct sb_modbus_pdu *pdu, unsigned value)
{
    pdu->bytes[pdu->n++] = (uint8_t)(value >> 8);
    pdu->bytes[pdu->n++] = (uint8_t)value;
}

void sb_modbus_read(struct sb_modbus_pdu *ret, uint8_t function, uint16_t address, uint16_t count)
{
    ret->bytes[0] = function;
    ret->n = 1;
    put16(ret, address);
    put16(ret, count);
}

static void put_coils(struct sb_modbus_pdu *pdu, const uint16_t *values, size_t count)
{
    uint8_t *bits = pdu->bytes + pdu->n;
    memset(bits, 0, (count + 7) / 8);
    for (size_t i = 0; i < count; i++)
        bits[i / 8] |= (uint8_t)((values[i] != 0) << i % 8);
    pdu->n += (count + 7) / 8;
}

bool sb_modbus_write(struct sb_modbus_pdu *ret, uint8_t function, uint16_t address,
                     const uint16_t *values, size_t count)
{
    bool coils = function == SB_MODBUS_WRITE_COIL || function == SB_MODBUS_WRITE_COILS;
    bool single = function == SB_MODBUS_WRITE_COIL || function == SB_MODBUS_WRITE_REGISTER;
    size_t bytes = coils ? (count + 7) / 8 : 2 * count;
    if (count == 0 || (single && count != 1) || (!single && 6 + bytes > SB_MODBUS_PDU_MAX))
        return false;
    ret->bytes[0] = function;
    ret->n = 1;
    put16(ret, address);
    if (single) {
        put16(ret, coils ? (values[0] ? 0xff00 : 0) : values[0]);
        return true;
    }
    put16(ret, (unsigned)count);
    ret->bytes[ret->n++] = (uint8_t)bytes;
    if (coils)
        put_coils(ret, values, count);
    for (size_t i = 0; !coils && i < count; i++)
        put16(ret, values[i]);
    return true;
}

void sb_modbus_mask(struct sb_modbus_pdu *ret, uint16_t address, uint16_t keep, uint16_t set)
{
    ret->bytes[0] = SB_MODBUS_MASK_WRITE;
    ret->n = 1;
    put16(ret, address);
    put16(ret, keep);
    put16(ret, set);
}

bool sb_modbus_write_record(struct sb_modbus_pdu *ret, uint16_t file, uint16_t record,
                            const uint16_t *words, size_t count)
{
    size_t bytes = 7 + 2 * count; /* of the one sub-request */
    if (count == 0 || 2 + bytes > SB_MODBUS_PDU_MAX)
        return false;
    ret->bytes[0] = SB_MODBUS_WRITE_FILE;
    ret->bytes[1] = (uint8_t)bytes;
    ret->bytes[2] = 6; /* the reference type */
    ret->n = 3;
    put16(ret, file);
    put16(ret, record);
    put16(ret, (unsigned)count);
    for (size_t i = 0; i < count; i++)
        put16(ret, words[i]);
    return true;
}

size_t sb_modbus_frame(uint8_t unit, const struct sb_modbus_pdu *pdu,
                       uint8_t ret[SB_MODBUS_ADU_MAX])
{
    ret[0] = unit;
    memcpy(ret + 1, pdu->bytes, pdu->n);
    uint16_t crc = sb_modbus_crc(ret, pdu->n + 1);
    ret[pdu->n + 1] = (uint8_t)crc;
    ret[pdu->n + 2] = (uint8_t)(crc >> 8);
    return pdu->n + 3;
}

/* ---- answers ---- */

enum shape { UNKNOWN, FIXED, COUNTED, COUNTED_WIDE, LIKE_REQUEST, OBJECTS };

static const struct {
    enum shape shape;
    int length; /* FIXED: of the frame */
} shapes[] = {
    [SB_MODBUS_READ_COILS] = { COUNTED, 0 },      [SB_MODBUS_READ_DISCRETES] = { COUNTED, 0 },
    [SB_MODBUS_READ_HOLDING] = { COUNTED, 0 },    [SB_MODBUS_READ_INPUT] = { COUNTED, 0 },
    [SB_MODBUS_WRITE_COIL] = { FIXED, 8 },        [SB_MODBUS_WRITE_REGISTER] = { FIXED, 8 },
    [SB_MODBUS_EXCEPTION_STATUS] = { FIXED, 5 },  [SB_MODBUS_DIAGNOSTICS] = { LIKE_REQUEST, 0 },
    [SB_MODBUS_EVENT_COUNTER] = { FIXED, 8 },     [SB_MODBUS_EVENT_LOG] = { COUNTED, 0 },
    [SB_MODBUS_WRITE_COILS] = { FIXED, 8 },       [SB_MODBUS_WRITE_REGISTERS] = { FIXED, 8 },
    [SB_MODBUS_SERVER_ID] = { COUNTED, 0 },       [SB_MODBUS_READ_FILE] = { COUNTED, 0 },
    [SB_MODBUS_WRITE_FILE] = { LIKE_REQUEST, 0 }, [SB_MODBUS_MASK_WRITE] = { LIKE_REQUEST, 0 },
    [SB_MODBUS_READ_WRITE] = { COUNTED, 0 },      [SB_MODBUS_READ_FIFO] = { COUNTED_WIDE, 0 },
    [SB_MODBUS_ENCAPSULATED] = { OBJECTS, 0 },
};

static enum shape shape_of(const struct sb_modbus_pdu *request)
{
    uint8_t function = request->bytes[0];
    if (function >= SB_COUNT(shapes))
        return UNKNOWN;
    if (shapes[function].shape == OBJECTS && request->bytes[1] != SB_MODBUS_DEVICE_ID)
        return UNKNOWN; /* another interface than device identification */
    return shapes[function].shape;
}

bool sb_modbus_length_is_known(const struct sb_modbus_pdu *request)
{
    return shape_of(request) != UNKNOWN;
}

/* unit, 2b, 0e, code, conformity, more, next, count, then { id, length, bytes } each */
static int objects_length(const uint8_t *adu, size_t n)
{
    size_t at = 8;
    if (n < at)
        return 0;
    for (unsigned i = 0; i < adu[7]; i++) {
        if (n < at + 2)
            return 0;
        at += 2u + adu[at + 1];
        if (at + 2 > SB_MODBUS_ADU_MAX)
            return -1;
    }
    return (int)at + 2;
}

int sb_modbus_answer_length(const struct sb_modbus_pdu *request, const uint8_t *adu, size_t n)
{
    int length = -1;
    if (n < 2)
        return 0;
    if (adu[1] & SB_MODBUS_IS_REFUSED)
        return 5;
    switch (shape_of(request)) {
    case FIXED:
        return shapes[request->bytes[0]].length;
    case COUNTED:
        length = n < 3 ? 0 : 5 + adu[2];
        break;
    case COUNTED_WIDE:
        length = n < 4 ? 0 : 6 + sb_modbus_u16(adu + 2);
        break;
    case LIKE_REQUEST:
        length = (int)request->n + 3;
        break;
    case OBJECTS:
        length = objects_length(adu, n);
        break;
    case UNKNOWN:
        break;
    }
    return length > SB_MODBUS_ADU_MAX ? -1 : length;
}

/* What of the request an answer repeats, or how many bytes it must bring. */
static bool fits(const struct sb_modbus_pdu *request, const uint8_t *data, size_t n)
{
    const uint8_t *asked = request->bytes + 1;
    switch (request->bytes[0]) {
    case SB_MODBUS_READ_COILS:
    case SB_MODBUS_READ_DISCRETES:
        return data[0] == (sb_modbus_u16(asked + 2) + 7) / 8;
    case SB_MODBUS_READ_HOLDING:
    case SB_MODBUS_READ_INPUT:
    case SB_MODBUS_READ_WRITE:
        return data[0] == 2 * sb_modbus_u16(asked + 2);
    case SB_MODBUS_WRITE_COIL:
    case SB_MODBUS_WRITE_REGISTER:
    case SB_MODBUS_WRITE_COILS:
    case SB_MODBUS_WRITE_REGISTERS:
        return memcmp(data, asked, 4) == 0;
    case SB_MODBUS_WRITE_FILE:
    case SB_MODBUS_MASK_WRITE:
        return n == request->n - 1 && memcmp(data, asked, n) == 0;
    case SB_MODBUS_DIAGNOSTICS: /* echo: everything; counters: the sub-function */
        return memcmp(data, asked, sb_modbus_u16(asked) == 0 ? n : 2) == 0;
    case SB_MODBUS_ENCAPSULATED:
        return data[0] == asked[0];
    default:
        return true;
    }
}

bool sb_modbus_answers(uint8_t unit, const struct sb_modbus_pdu *request, const uint8_t *adu,
                       size_t n)
{
    if (n < 4 || n > SB_MODBUS_ADU_MAX || adu[0] != unit ||
        (adu[1] & ~SB_MODBUS_IS_REFUSED) != request->bytes[0])
        return false;
    if (sb_modbus_crc(adu, n - 2) != (adu[n - 2] | adu[n - 1] << 8))
        return false;
    return adu[1] & SB_MODBUS_IS_REFUSED ? n == 5 : fits(request, adu + 2, n - 4);
}

bool sb_modbus_find(uint8_t unit, const struct sb_modbus_pdu *request, const uint8_t *bytes,
                    size_t n, bool quiet, struct sb_modbus_pdu *ret)
{
    for (size_t at = 0; at + 4 <= n; at++) {
        const uint8_t *adu = bytes + at;
        int length = sb_modbus_answer_length(request, adu, n - at);
        if (length < 0 && quiet && !sb_modbus_length_is_known(request))
            length = (int)SB_MIN(n - at, (size_t)SB_MODBUS_ADU_MAX + 1);
        if (length <= 0 || (size_t)length > n - at ||
            !sb_modbus_answers(unit, request, adu, (size_t)length))
            continue;
        ret->n = (size_t)length - 3;
        memcpy(ret->bytes, adu + 1, ret->n);
        return true;
    }
    return false;
}

int64_t sb_modbus_wire_us(uint32_t speed, size_t bytes)
{
    return (int64_t)bytes * CHARACTER_BITS * 1000000 / (speed ? speed : SPEED_DEFAULT);
}

int64_t sb_modbus_gap_us(uint32_t speed)
{
    return speed > FAST ? FAST_GAP_US : sb_modbus_wire_us(speed, 7) / 2; /* 3.5 characters */
}
