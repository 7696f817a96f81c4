/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SMP packets in text lines, as they travel on a serial console.
 *
 * raw = u16 length of (packet + crc) | packet | u16 crc, big endian; the CRC is CRC-16/XMODEM over
 * the packet. raw is written in base64, cut into lines of at most 124 characters; the first begins
 * with 06 09, further ones with 04 14, each ends with 0A. Everything else on the line is log text.
 * (Zephyr documentation: SMP transport; seen on MCUboot's serial recovery.)
 *
 * The decoder takes any bytes in any pieces, keeps at most one packet, and finds its way back
 * after garbage: a marker begins a new line wherever it stands. Pure; no I/O, no clock.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "bridge/base/str.h"

#define SB_SMP_HEADER      8
#define SB_SMP_PACKET_MAX  8192 /* header and body, in either direction */
#define SB_SMP_FRAME_EXTRA 4    /* length and CRC, which count against a device's buffer */

enum sb_smp_op { SB_SMP_READ, SB_SMP_READ_ANSWER, SB_SMP_WRITE, SB_SMP_WRITE_ANSWER };

struct sb_smp_header {
    uint8_t op, version, flags; /* op: enum sb_smp_op */
    uint16_t length, group;     /* length of the body */
    uint8_t seq, command;
};
void sb_smp_header_put(const struct sb_smp_header *header, uint8_t ret[SB_SMP_HEADER]);
/* -EBADMSG when the length does not fit the packet. */
int sb_smp_header_get(const uint8_t *packet, size_t n, struct sb_smp_header *ret) SB_MUST_CHECK;

uint16_t sb_smp_crc(const void *bytes, size_t n);
/* Appends the packet's lines. -EMSGSIZE: over SB_SMP_PACKET_MAX; -ENOMEM. */
int sb_smp_frame(const void *packet, size_t n, struct sb_str *out) SB_MUST_CHECK;

struct sb_smp_decoder { /* zero-initialise */
    enum { SB_SMP_SKIP, SB_SMP_AFTER_06, SB_SMP_AFTER_04, SB_SMP_LINE } state;
    bool open;        /* a packet has begun */
    uint32_t quantum; /* base64 digits not yet decoded */
    unsigned digits, pads;
    size_t have;              /* bytes in raw */
    uint64_t skipped, broken; /* bytes of other text; packets that were damaged */
    uint8_t raw[SB_SMP_PACKET_MAX + SB_SMP_FRAME_EXTRA];
};
/*
 * Takes bytes up to the end of a whole packet. Returns 1 with the packet (borrowed, until the next
 * call) when there is one, else 0; *ret_used says how many of the bytes were taken.
 */
int sb_smp_feed(struct sb_smp_decoder *decoder, const void *bytes, size_t n, size_t *ret_used,
                const uint8_t **ret_packet, size_t *ret_n);
