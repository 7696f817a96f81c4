/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an MCUboot image says of itself: version, sizes, and the hash by which a device names it.
 *
 * The hash is the image's TLV 0x10, SHA-256 over header, body and protected TLVs; it is computed
 * here as well and must agree (but for encrypted images, where it is of the plain text). Layout
 * by the MCUboot documentation (design: image format). Every size in the file is distrusted.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "bridge/base/crypto.h"

struct sb_smp_image {
    uint8_t major, minor;
    uint16_t revision;
    uint32_t build;
    int64_t size; /* header, body and TLVs; a file may be padded behind that */
    bool encrypted;
    char hash[SB_SHA256_HEX + 1];
};

/* Reads exactly n bytes at `at`: 0, or -errno (-ENODATA past the end). */
typedef int (*sb_smp_read_fn)(void *arg, int64_t at, void *ret, size_t n);

/* -EBADMSG: not such an image, with a text to be freed in *ret_error; -errno of the reading. */
int sb_smp_image_read(sb_smp_read_fn read, void *arg, int64_t size, struct sb_smp_image *ret,
                      char **ret_error) SB_MUST_CHECK;
/* "1.2.3", or "1.2.3.4" with a build number, as MCUboot writes it; caller frees. */
char *sb_smp_image_version(const struct sb_smp_image *image);
/* "1.2.3", "1.2.3.4", "1.2.3+4": < 0, 0, > 0 in *ret; -EINVAL when one is none of these. */
int sb_smp_version_compare(const char *a, const char *b, int *ret) SB_MUST_CHECK;
