/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Modbus RTU frames (Modbus over serial line 1.02, application protocol 1.1b3): address, function
 * and data, CRC-16 with the low byte first. What an answer's length is says its function; of
 * functions that nobody standardised only the silence after them tells the end. Pure.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "bridge/base/util.h"

#define SB_MODBUS_ADU_MAX  256
#define SB_MODBUS_PDU_MAX  253
#define SB_MODBUS_UNIT_MAX 247

enum sb_modbus_function {
    SB_MODBUS_READ_COILS = 0x01,
    SB_MODBUS_READ_DISCRETES = 0x02,
    SB_MODBUS_READ_HOLDING = 0x03,
    SB_MODBUS_READ_INPUT = 0x04,
    SB_MODBUS_WRITE_COIL = 0x05,
    SB_MODBUS_WRITE_REGISTER = 0x06,
    SB_MODBUS_EXCEPTION_STATUS = 0x07,
    SB_MODBUS_DIAGNOSTICS = 0x08,
    SB_MODBUS_EVENT_COUNTER = 0x0b,
    SB_MODBUS_EVENT_LOG = 0x0c,
    SB_MODBUS_WRITE_COILS = 0x0f,
    SB_MODBUS_WRITE_REGISTERS = 0x10,
    SB_MODBUS_SERVER_ID = 0x11,
    SB_MODBUS_READ_FILE = 0x14,
    SB_MODBUS_WRITE_FILE = 0x15,
    SB_MODBUS_MASK_WRITE = 0x16,
    SB_MODBUS_READ_WRITE = 0x17,
    SB_MODBUS_READ_FIFO = 0x18,
    SB_MODBUS_ENCAPSULATED = 0x2b,
};
#define SB_MODBUS_DEVICE_ID   0x0e /* what 0x2b mostly wraps */
#define SB_MODBUS_IS_REFUSED  0x80 /* in the function of an answer: an exception follows */
#define SB_MODBUS_ACKNOWLEDGE 5    /* exceptions: it has begun and takes its time, */
#define SB_MODBUS_BUSY        6    /* it is at something else */

struct sb_modbus_pdu { /* function and data */
    uint8_t bytes[SB_MODBUS_PDU_MAX];
    size_t n;
};

uint16_t sb_modbus_crc(const void *bytes, size_t n);
/* The same over further bytes; it begins with 0xffff. */
uint16_t sb_modbus_crc_more(uint16_t crc, const void *bytes, size_t n);
static inline uint16_t sb_modbus_u16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

/* ---- requests; false: they do not fit into a frame ---- */

void sb_modbus_read(struct sb_modbus_pdu *ret, uint8_t function, uint16_t address, uint16_t count);
/* One value by 0x05 / 0x06, or several by 0x0f / 0x10; coils are 0 or 1 each. */
bool sb_modbus_write(struct sb_modbus_pdu *ret, uint8_t function, uint16_t address,
                     const uint16_t *values, size_t count);
/* 0x16: the register's bits of `keep` stay, of the others those of `set` are set. */
void sb_modbus_mask(struct sb_modbus_pdu *ret, uint16_t address, uint16_t keep, uint16_t set);
/* One record of a file, 0x15. */
bool sb_modbus_write_record(struct sb_modbus_pdu *ret, uint16_t file, uint16_t record,
                            const uint16_t *words, size_t count);
/* The frame: unit, PDU, CRC. Its length. */
size_t sb_modbus_frame(uint8_t unit, const struct sb_modbus_pdu *pdu,
                       uint8_t ret[SB_MODBUS_ADU_MAX]);

/* ---- answers ---- */

/*
 * Length of the answer to `request` that begins here, with unit and CRC; 0: more bytes are needed
 * to tell; -1: only its end tells, or it is none.
 */
int sb_modbus_answer_length(const struct sb_modbus_pdu *request, const uint8_t *adu, size_t n);
/* Whether a whole frame is an answer to this very request. */
bool sb_modbus_answers(uint8_t unit, const struct sb_modbus_pdu *request, const uint8_t *adu,
                       size_t n);
/*
 * The answer within what has arrived, wherever it begins; its PDU in *ret. quiet: the line has
 * fallen silent, so that a frame of unknown length ends where the bytes do.
 */
bool sb_modbus_find(uint8_t unit, const struct sb_modbus_pdu *request, const uint8_t *bytes,
                    size_t n, bool quiet, struct sb_modbus_pdu *ret);
/* The function has a length that is known before the end. */
bool sb_modbus_length_is_known(const struct sb_modbus_pdu *request);

/* Time on the wire and silence between frames, in microseconds; speed 0: unknown, as 9600. */
int64_t sb_modbus_wire_us(uint32_t speed, size_t bytes);
int64_t sb_modbus_gap_us(uint32_t speed);
