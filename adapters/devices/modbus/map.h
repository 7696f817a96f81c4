/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register maps: what a property of a device type is on the wire. A value lies in consecutive
 * registers (or is one coil); how its bytes are strewn over them, how it is scaled and what its
 * numbers are called stands in the type. Pure.
 */
#pragma once

#include "bridge/mapping/described.h"
#include "bridge/mapping/values.h"

#define SB_MODBUS_WORDS_MAX 123 /* registers of one value: one frame must be able to write it */

enum sb_modbus_table {
    SB_MODBUS_HOLDING,
    SB_MODBUS_INPUT,
    SB_MODBUS_COIL,
    SB_MODBUS_DISCRETE,
    SB_MODBUS_TABLE_MAX_,
};
SB_NAMES_DECLARE(sb_modbus_table)

/* Which byte of a big-endian value stands where; of more than two registers likewise. */
enum sb_modbus_order {
    SB_MODBUS_ABCD,
    SB_MODBUS_CDAB, /* the low register first */
    SB_MODBUS_BADC, /* the low byte of each register first */
    SB_MODBUS_DCBA, /* both */
    SB_MODBUS_ORDER_MAX_,
};
SB_NAMES_DECLARE(sb_modbus_order)

enum sb_modbus_kind {
    SB_MODBUS_U16,
    SB_MODBUS_I16,
    SB_MODBUS_U32,
    SB_MODBUS_I32,
    SB_MODBUS_U64,
    SB_MODBUS_I64,
    SB_MODBUS_F32,
    SB_MODBUS_F64,
    SB_MODBUS_BOOL,
    SB_MODBUS_BITS, /* named flags of one register */
    SB_MODBUS_STRING,
    SB_MODBUS_BYTES,
    SB_MODBUS_KIND_MAX_,
};
SB_NAMES_DECLARE(sb_modbus_kind)

struct sb_modbus_place {
    int table;        /* enum sb_modbus_table */
    uint16_t address; /* as it is sent: from 0 */
    uint16_t count;   /* registers, or 1 coil */
    enum sb_modbus_kind kind;
    int order; /* enum sb_modbus_order */
};

/* Texts and maps are borrowed from the type. */
struct sb_modbus_property {
    const char *name, *group;
    struct sb_modbus_place at;
    double scale, offset; /* value = number * scale + offset */
    double min, max;      /* of the value; NaN: none */
    int bit;              /* bool in a register: the bit; -1: the register is not 0 */
    const json_t *names;  /* {"0": "off"}, or NULL */
    const json_t *flags;  /* {"run": 0}, of bits */
    struct sb_described_access access;
    bool poll;    /* read at each look at the device */
    bool checked; /* read back after a write */
};

static inline bool sb_modbus_is_bit_table(int table)
{
    return table == SB_MODBUS_COIL || table == SB_MODBUS_DISCRETE;
}

/* -EINVAL: described wrongly. order: where the description says none. */
int sb_modbus_property_read(const char *name, const json_t *spec, int order,
                            struct sb_modbus_property *ret, char **ret_error) SB_MUST_CHECK;
/* `table`, `address`, `type`, `length`, `order` of anything that lies in registers. */
int sb_modbus_place_read(const json_t *spec, const char *address_key, int order,
                         struct sb_modbus_place *ret, char **ret_error) SB_MUST_CHECK;
/* An integer key within bounds; otherwise INT64_MIN: it must be there. */
int sb_modbus_number(const json_t *spec, const char *key, int64_t min, int64_t max,
                     int64_t otherwise, int64_t *ret, char **ret_error) SB_MUST_CHECK;
/* An integer written as the key of a map: "2", "0x10". */
int sb_modbus_key_number(const char *key, int64_t min, int64_t max, int64_t *ret) SB_MUST_CHECK;

/*
 * A value as words (of a coil: 0 or 1), and which of their bits it covers: all of them but for
 * flags and single bits. Both have room for at.count. -EINVAL with a text; -ENOMEM.
 */
int sb_modbus_encode(const struct sb_modbus_property *property, const json_t *value,
                     uint16_t *ret_words, uint16_t *ret_mask, char **ret_error) SB_MUST_CHECK;
/* New reference. -EINVAL: the device's registers are no such value. */
int sb_modbus_decode(const struct sb_modbus_property *property, const uint16_t *words, json_t **ret,
                     char **ret_error) SB_MUST_CHECK;
/* Bare numbers and texts without scale and names, as recipes have them. */
int sb_modbus_place_encode(const struct sb_modbus_place *at, const json_t *value,
                           uint16_t *ret_words, char **ret_error) SB_MUST_CHECK;
int sb_modbus_place_decode(const struct sb_modbus_place *at, const uint16_t *words, json_t **ret,
                           char **ret_error) SB_MUST_CHECK;
