/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the steps of an update may know of the image and of a block; and where an update begins.
 */
#include "adapters/devices/modbus/update.h"

#define POLYNOMIAL_32 0xedb88320

void sb_modbus_sums_begin(struct sb_modbus_sums *sums)
{
    *sums = (struct sb_modbus_sums){ .crc16 = UINT16_MAX, .crc32 = UINT32_MAX };
}

void sb_modbus_sums_add(struct sb_modbus_sums *sums, const uint8_t *bytes, size_t n)
{
    sums->crc16 = sb_modbus_crc_more(sums->crc16, bytes, n);
    for (size_t i = 0; i < n; i++) {
        sums->sum16 = (uint16_t)(sums->sum16 + bytes[i]);
        sums->crc32 ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            sums->crc32 = sums->crc32 >> 1 ^ (sums->crc32 & 1 ? POLYNOMIAL_32 : 0);
    }
}

void sb_modbus_sums_end(struct sb_modbus_sums *sums)
{
    sums->crc32 = ~sums->crc32;
}

json_t *sb_modbus_image_names(const struct sb_modbus_image *image)
{
    static const struct sb_modbus_image none = { 0 };
    const struct sb_modbus_image *i = image ? image : &none;
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "size", (json_int_t)i->size, "size_words",
                     (json_int_t)(i->size + 1) / 2, "blocks", (json_int_t)i->blocks, "image_crc16",
                     (json_int_t)i->sums.crc16, "image_crc32", (json_int_t)i->sums.crc32,
                     "image_sum16", (json_int_t)i->sums.sum16);
}

json_t *sb_modbus_block_names(const struct sb_modbus_image *image,
                              const struct sb_modbus_block *block)
{
    static const struct sb_modbus_block none = { 0 };
    const struct sb_modbus_block *b = block ? block : &none;
    json_t *names = sb_modbus_image_names(image);
    json_t *more =
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "block", (json_int_t)b->index,
                  "number", (json_int_t)b->index + 1, "offset", (json_int_t)b->offset,
                  "offset_words", (json_int_t)b->offset / 2, "length", (json_int_t)b->n, "words",
                  (json_int_t)(b->n + 1) / 2, "crc16", (json_int_t)b->sums.crc16, "crc32",
                  (json_int_t)b->sums.crc32, "sum16", (json_int_t)b->sums.sum16);
    if (!names || !more || json_object_update(names, more)) {
        json_decref(names);
        names = NULL;
    }
    json_decref(more);
    return names;
}

enum sb_modbus_stage sb_modbus_decide(const struct sb_modbus_standing *s)
{
    bool begun = s->begun && s->kept > SB_MODBUS_AT_ENTER;
    /* An application that answers has left its bootloader: what had begun there is over. */
    if (s->has_probe && s->has_enter && !s->in_bootloader)
        return SB_MODBUS_AT_ENTER;
    if (s->has_enter && !s->has_probe && !(begun && s->kept == SB_MODBUS_AT_REBOOT))
        return SB_MODBUS_AT_ENTER;
    if (!begun)
        return SB_MODBUS_AT_ERASE;
    if (s->kept == SB_MODBUS_AT_REBOOT)
        return SB_MODBUS_AT_REBOOT;
    return s->has_resume && s->kept >= SB_MODBUS_AT_BLOCKS ? SB_MODBUS_AT_BLOCKS
                                                           : SB_MODBUS_AT_ERASE;
}
