/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/devices/smp/image.h"

#include <ctype.h>
#include <errno.h>

#include "bridge/base/str.h"

#define MAGIC           0x96f3b83du
#define HEADER          32
#define TLV_HEADER      4
#define TLV_PLAIN       0x6907u
#define TLV_PROTECTED   0x6908u
#define TLV_SHA256      0x10u
#define FLAGS_ENCRYPTED 0x0cu /* AES-128 or AES-256 */
#define TLVS_MAX        64    /* entries looked at */

struct source {
    sb_smp_read_fn read;
    void *arg;
    int64_t size;
    char **ret_error;
};

static uint16_t le16(const uint8_t *at)
{
    return (uint16_t)(at[0] | at[1] << 8);
}

static uint32_t le32(const uint8_t *at)
{
    return (uint32_t)le16(at) | (uint32_t)le16(at + 2) << 16;
}

static int bad(const struct source *s, const char *text)
{
    free(*s->ret_error);
    *s->ret_error = strdup(text);
    return -EBADMSG;
}

static int get(const struct source *s, int64_t at, void *ret, size_t n)
{
    if (at < 0 || at > s->size || (int64_t)n > s->size - at)
        return bad(s, "the image ends too early");
    return s->read(s->arg, at, ret, n);
}

struct layout {
    uint16_t header, protect;
    uint32_t body;
};

static int read_header(const struct source *s, struct layout *layout, struct sb_smp_image *image)
{
    uint8_t h[HEADER];
    int r = get(s, 0, h, sizeof(h));
    if (r < 0)
        return r;
    if (le32(h) != MAGIC)
        return bad(s, "not an MCUboot image: it does not begin with 0x96f3b83d");
    layout->header = le16(h + 8);
    layout->protect = le16(h + 10);
    layout->body = le32(h + 12);
    image->encrypted = (le32(h + 16) & FLAGS_ENCRYPTED) != 0;
    image->major = h[20];
    image->minor = h[21];
    image->revision = le16(h + 22);
    image->build = le32(h + 24);
    return layout->header < HEADER ? bad(s, "the image's header is too short") : 0;
}

/* The size of a TLV area with the magic, its own header included. */
static int area_size(const struct source *s, int64_t at, uint32_t magic, uint16_t *ret)
{
    uint8_t h[TLV_HEADER];
    int r = get(s, at, h, sizeof(h));
    if (r < 0)
        return r;
    if (le16(h) != magic || le16(h + 2) < TLV_HEADER)
        return bad(s, "the image has no TLV area where its header says");
    *ret = le16(h + 2);
    return 0;
}

static int find_hash(const struct source *s, int64_t at, uint16_t area, char *ret_hex)
{
    int64_t end = at + area;
    at += TLV_HEADER;
    for (int i = 0; i < TLVS_MAX && at < end; i++) {
        uint8_t h[TLV_HEADER], hash[SB_SHA256_HEX / 2];
        int r = end - at < TLV_HEADER ? bad(s, "a TLV of the image is cut off")
                                      : get(s, at, h, sizeof(h));
        if (r < 0)
            return r;
        uint16_t length = le16(h + 2);
        at += TLV_HEADER;
        if (length > end - at)
            return bad(s, "a TLV of the image is longer than its area");
        if (le16(h) == TLV_SHA256 && length == sizeof(hash)) {
            r = get(s, at, hash, sizeof(hash));
            sb_cleanup(sb_freep) char *hex = r < 0 ? NULL : sb_hex(hash, sizeof(hash));
            if (hex)
                memcpy(ret_hex, hex, SB_SHA256_HEX + 1);
            return r < 0 ? r : hex ? 0 : -ENOMEM;
        }
        at += length;
    }
    return bad(s, "the image has no SHA-256 hash TLV");
}

static int check_hash(const struct source *s, int64_t covered, const char *expected)
{
    sb_cleanup(sb_digest_freep) struct sb_digest *digest = sb_digest_new(SB_SHA256);
    uint8_t buffer[4096];
    if (!digest)
        return -ENOMEM;
    for (int64_t at = 0; at < covered;) {
        size_t n = (size_t)SB_MIN(covered - at, (int64_t)sizeof(buffer));
        int r = get(s, at, buffer, n);
        if (r == 0)
            r = sb_digest_add(digest, buffer, n);
        if (r < 0)
            return r;
        at += (int64_t)n;
    }
    sb_cleanup(sb_freep) char *hex = sb_digest_hex(digest);
    if (!hex)
        return -ENOMEM;
    return sb_streq(hex, expected) ? 0 : bad(s, "the image does not fit its own hash: damaged");
}

int sb_smp_image_read(sb_smp_read_fn read, void *arg, int64_t size, struct sb_smp_image *ret,
                      char **ret_error)
{
    const struct source s = { .read = read, .arg = arg, .size = size, .ret_error = ret_error };
    struct layout layout = { 0 };
    struct sb_smp_image image = { 0 };
    uint16_t area = 0;
    int r = read_header(&s, &layout, &image);
    if (r < 0)
        return r;
    int64_t covered = (int64_t)layout.header + layout.body;
    if (layout.protect) {
        r = area_size(&s, covered, TLV_PROTECTED, &area);
        if (r == 0 && area != layout.protect)
            r = bad(&s, "the protected TLV area is not as long as the header says");
        covered += area;
    }
    if (r == 0)
        r = area_size(&s, covered, TLV_PLAIN, &area);
    if (r == 0)
        r = find_hash(&s, covered, area, image.hash);
    if (r == 0 && covered + area > size)
        r = bad(&s, "the image ends too early");
    if (r == 0 && !image.encrypted)
        r = check_hash(&s, covered, image.hash);
    if (r < 0)
        return r;
    image.size = covered + area;
    *ret = image;
    return 0;
}

char *sb_smp_image_version(const struct sb_smp_image *image)
{
    if (image->build)
        return sb_format("%u.%u.%u.%u", image->major, image->minor, image->revision, image->build);
    return sb_format("%u.%u.%u", image->major, image->minor, image->revision);
}

#define PARTS 4

static int parse_version(const char *text, uint32_t ret[PARTS])
{
    for (int i = 0; i < PARTS; i++) {
        char *end;
        if (!isdigit((unsigned char)*text))
            return -EINVAL;
        errno = 0;
        unsigned long long part = strtoull(text, &end, 10);
        if (errno || part > UINT32_MAX)
            return -EINVAL;
        ret[i] = (uint32_t)part;
        if (*end == '\0') {
            for (int rest = i + 1; rest < PARTS; rest++)
                ret[rest] = 0;
            return 0;
        }
        if (*end != '.' && (*end != '+' || i != 2))
            return -EINVAL;
        text = end + 1;
    }
    return -EINVAL; /* more than four */
}

int sb_smp_version_compare(const char *a, const char *b, int *ret)
{
    uint32_t left[PARTS], right[PARTS];
    if (!a || !b || parse_version(a, left) < 0 || parse_version(b, right) < 0)
        return -EINVAL;
    *ret = 0;
    for (int i = 0; i < PARTS && *ret == 0; i++)
        *ret = left[i] < right[i] ? -1 : left[i] > right[i];
    return 0;
}
