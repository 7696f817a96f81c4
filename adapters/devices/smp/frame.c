/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/devices/smp/frame.h"

#include <errno.h>

#include "bridge/base/crypto.h"

#define LINE_DIGITS 124

static void put16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

void sb_smp_header_put(const struct sb_smp_header *header, uint8_t ret[SB_SMP_HEADER])
{
    ret[0] = (uint8_t)((header->version & 3u) << 3 | (header->op & 7u));
    ret[1] = header->flags;
    put16(ret + 2, header->length);
    put16(ret + 4, header->group);
    ret[6] = header->seq;
    ret[7] = header->command;
}

int sb_smp_header_get(const uint8_t *packet, size_t n, struct sb_smp_header *ret)
{
    if (n < SB_SMP_HEADER || get16(packet + 2) != n - SB_SMP_HEADER)
        return -EBADMSG;
    *ret = (struct sb_smp_header){ .op = packet[0] & 7u,
                                   .version = (uint8_t)(packet[0] >> 3 & 3u),
                                   .flags = packet[1],
                                   .length = get16(packet + 2),
                                   .group = get16(packet + 4),
                                   .seq = packet[6],
                                   .command = packet[7] };
    return 0;
}

uint16_t sb_smp_crc(const void *bytes, size_t n)
{
    const uint8_t *at = bytes;
    unsigned crc = 0;
    for (size_t i = 0; i < n; i++) {
        crc ^= (unsigned)at[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 0x8000u ? crc << 1 ^ 0x1021u : crc << 1;
    }
    return (uint16_t)crc;
}

int sb_smp_frame(const void *packet, size_t n, struct sb_str *out)
{
    if (n > SB_SMP_PACKET_MAX)
        return -EMSGSIZE;
    sb_cleanup(sb_freep) uint8_t *raw = malloc(n + SB_SMP_FRAME_EXTRA);
    if (!raw)
        return -ENOMEM;
    put16(raw, (unsigned)n + 2);
    memcpy(raw + 2, packet, n);
    put16(raw + 2 + n, sb_smp_crc(packet, n));
    sb_cleanup(sb_freep) char *text = sb_base64(raw, n + SB_SMP_FRAME_EXTRA);
    if (!text)
        return -ENOMEM;
    size_t length = strlen(text);
    for (size_t at = 0; at < length; at += LINE_DIGITS) {
        sb_str_add(out, at == 0 ? "\x06\x09" : "\x04\x14");
        sb_str_add_bytes(out, text + at, SB_MIN(length - at, LINE_DIGITS));
        sb_str_add_char(out, '\n');
    }
    return out->broken ? -ENOMEM : 0;
}

static void restart(struct sb_smp_decoder *d)
{
    d->broken += d->open;
    d->open = false;
    d->quantum = 0;
    d->digits = d->pads = 0;
    d->have = 0;
}

static size_t needed(const struct sb_smp_decoder *d)
{
    return d->have < 2 ? 2 : (size_t)get16(d->raw) + 2;
}

/* Four digits, padding counted, are up to three bytes. False when they cannot be right. */
static bool flush_quantum(struct sb_smp_decoder *d)
{
    size_t bytes = 3 - d->pads;
    if (d->pads > 2)
        return false;
    for (size_t i = 0; i < bytes; i++) {
        if (d->have >= sizeof(d->raw))
            return false;
        d->raw[d->have++] = (uint8_t)(d->quantum >> (16 - 8 * i));
    }
    d->quantum = 0;
    d->digits = 0;
    size_t need = needed(d);
    return need <= sizeof(d->raw) &&
           (d->have < 2 || (need >= SB_SMP_HEADER + SB_SMP_FRAME_EXTRA && d->have <= need));
}

static bool take_digit(struct sb_smp_decoder *d, uint8_t c)
{
    int value = c == '=' ? 0 : sb_base64_digit((char)c);
    if (value < 0 || (d->pads > 0 && c != '='))
        return false; /* nothing follows padding */
    d->pads += c == '=';
    d->quantum = d->quantum << 6 | (uint32_t)value;
    return ++d->digits < 4 || flush_quantum(d);
}

static bool whole(const struct sb_smp_decoder *d)
{
    size_t need = needed(d);
    return d->open && d->digits == 0 && d->have >= SB_SMP_HEADER + SB_SMP_FRAME_EXTRA &&
           d->have == need && sb_smp_crc(d->raw + 2, need - 2) == 0;
}

/* The end of a line: a whole packet, or more is to come, or it was damaged. */
static bool end_line(struct sb_smp_decoder *d)
{
    d->state = SB_SMP_SKIP;
    if (whole(d)) {
        d->open = false;
        return true;
    }
    if (d->pads > 0 || d->have >= needed(d))
        restart(d);
    return false;
}

/* One byte; true when it completed a packet. */
static bool take(struct sb_smp_decoder *d, uint8_t c)
{
    if (d->state == SB_SMP_AFTER_06 && c == 0x09) {
        restart(d);
        d->open = true;
        d->state = SB_SMP_LINE;
    } else if (d->state == SB_SMP_AFTER_04 && c == 0x14) {
        d->state = d->open ? SB_SMP_LINE : SB_SMP_SKIP;
    } else if (c == 0x06 || c == 0x04) {
        d->state = c == 0x06 ? SB_SMP_AFTER_06 : SB_SMP_AFTER_04;
    } else if (d->state != SB_SMP_LINE) {
        d->state = SB_SMP_SKIP;
        d->skipped++;
    } else if (c == '\n' || c == '\r') {
        return end_line(d);
    } else if (!take_digit(d, c)) {
        restart(d);
        d->state = SB_SMP_SKIP;
    }
    return false;
}

int sb_smp_feed(struct sb_smp_decoder *decoder, const void *bytes, size_t n, size_t *ret_used,
                const uint8_t **ret_packet, size_t *ret_n)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < n; i++) {
        if (!take(decoder, at[i]))
            continue;
        *ret_used = i + 1;
        *ret_packet = decoder->raw + 2;
        *ret_n = decoder->have - SB_SMP_FRAME_EXTRA;
        return 1;
    }
    *ret_used = n;
    return 0;
}
