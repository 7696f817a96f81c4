/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>

#include "adapters/devices/dialog/talk.h"
#include "bridge/base/crypto.h"
#include "bridge/base/str.h"

static uint32_t crc32_add(uint32_t crc, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
    }
    return crc;
}

int sb_dialog_image_sums(struct sb_dialog *dialog)
{
    const struct sb_image *image = dialog->command->image;
    uint8_t block[4096];
    uint32_t crc = 0xffffffffu;
    if (dialog->crc32 && dialog->md5)
        return 0;
    sb_cleanup(sb_closep) int fd = open(image->path, O_RDONLY | O_CLOEXEC);
    sb_cleanup(sb_digest_freep) struct sb_digest *md5 = sb_digest_new(SB_MD5);
    if (fd < 0 || !md5)
        return -EIO;
    for (int64_t at = 0; at < image->size;) {
        size_t n = (size_t)SB_MIN(image->size - at, (int64_t)sizeof(block));
        if (sb_read_at(fd, at, block, n) < 0 || sb_digest_add(md5, block, n) < 0)
            return -EIO;
        crc = crc32_add(crc, block, n);
        at += (int64_t)n;
    }
    free(dialog->crc32);
    free(dialog->md5);
    dialog->crc32 = sb_format("%08x", ~crc);
    dialog->md5 = sb_digest_hex(md5);
    return dialog->crc32 && dialog->md5 ? 0 : -ENOMEM;
}
