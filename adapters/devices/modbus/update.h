/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Firmware: the block recipe of a device type carried out, from wherever the device stands.
 */
#pragma once

#include "adapters/devices/modbus/talk.h"

struct sb_modbus_sums { /* over bytes as they are sent */
    uint16_t crc16;     /* that of Modbus frames */
    uint32_t crc32;     /* that of zlib and Ethernet */
    uint16_t sum16;     /* of all bytes */
};
void sb_modbus_sums_begin(struct sb_modbus_sums *sums);
void sb_modbus_sums_add(struct sb_modbus_sums *sums, const uint8_t *bytes, size_t n);
void sb_modbus_sums_end(struct sb_modbus_sums *sums);

struct sb_modbus_image {
    int64_t size; /* bytes that are sent, without filling */
    uint32_t blocks;
    struct sb_modbus_sums sums;
};
struct sb_modbus_block {
    uint32_t index;
    int64_t offset;
    size_t n; /* bytes that are sent */
    struct sb_modbus_sums sums;
};

/* What $name may stand for in the steps of an update, and in those of a block. NULL: all 0. New
 * reference; NULL: no memory. */
json_t *sb_modbus_image_names(const struct sb_modbus_image *image);
json_t *sb_modbus_block_names(const struct sb_modbus_image *image,
                              const struct sb_modbus_block *block);

/* Where a device stands: what is to be done next. */
struct sb_modbus_standing {
    bool in_bootloader; /* its probe went well */
    bool has_probe, has_enter, has_resume;
    enum sb_modbus_stage kept; /* by this very command, before it was interrupted */
    bool begun;                /* something was kept */
};
enum sb_modbus_stage sb_modbus_decide(const struct sb_modbus_standing *standing);

enum sb_cause sb_modbus_op_update(struct sb_modbus *modbus);
