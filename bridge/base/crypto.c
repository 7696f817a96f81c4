/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/base/crypto.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdatomic.h>
#include <sys/stat.h>

#define READ_PIECE 65536

struct sb_digest {
    EVP_MD_CTX *ctx; /* NULL: spent */
};

static const EVP_MD *md_of(enum sb_digest_kind kind)
{
    switch (kind) {
    case SB_SHA256:
        return EVP_sha256();
    case SB_SHA1:
        return EVP_sha1();
    case SB_MD5:
        return EVP_md5();
    }
    return NULL;
}

struct sb_digest *sb_digest_new(enum sb_digest_kind kind)
{
    const EVP_MD *md = md_of(kind);
    struct sb_digest *digest = md ? calloc(1, sizeof(*digest)) : NULL;
    if (!digest)
        return NULL;
    digest->ctx = EVP_MD_CTX_new();
    if (!digest->ctx || EVP_DigestInit_ex2(digest->ctx, md, NULL) != 1) {
        sb_digest_free(digest);
        return NULL;
    }
    return digest;
}

int sb_digest_add(struct sb_digest *digest, const void *bytes, size_t n)
{
    if (!digest->ctx)
        return -EINVAL;
    return EVP_DigestUpdate(digest->ctx, bytes, n) == 1 ? 0 : -EIO;
}

char *sb_digest_hex(struct sb_digest *digest)
{
    uint8_t sum[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    bool whole = digest->ctx && EVP_DigestFinal_ex(digest->ctx, sum, &n) == 1;
    EVP_MD_CTX_free(SB_STEAL(digest->ctx));
    return whole ? sb_hex(sum, n) : NULL;
}

void sb_digest_free(struct sb_digest *digest)
{
    if (!digest)
        return;
    EVP_MD_CTX_free(digest->ctx);
    free(digest);
}

int sb_hmac(enum sb_digest_kind kind, const void *key, size_t key_n, const void *bytes, size_t n,
            uint8_t ret[SB_HMAC_MAX])
{
    const EVP_MD *md = md_of(kind);
    unsigned length = 0;
    uint8_t code[EVP_MAX_MD_SIZE];
    if (!md || key_n > INT_MAX || !HMAC(md, key, (int)key_n, bytes, n, code, &length) ||
        length > SB_HMAC_MAX)
        return -EIO;
    memcpy(ret, code, length);
    return (int)length;
}

char *sb_sha256_hex(const void *bytes, size_t n)
{
    sb_cleanup(sb_digest_freep) struct sb_digest *digest = sb_digest_new(SB_SHA256);
    return digest && sb_digest_add(digest, bytes, n) == 0 ? sb_digest_hex(digest) : NULL;
}

static int add_file(struct sb_digest *digest, int fd)
{
    sb_cleanup(sb_freep) uint8_t *piece = malloc(READ_PIECE);
    if (!piece)
        return -ENOMEM;
    for (;;) {
        ssize_t n = read(fd, piece, READ_PIECE);
        if (n == 0)
            return 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        int r = sb_digest_add(digest, piece, (size_t)n);
        if (r < 0)
            return r;
    }
}

/* Opens a regular file for reading; never waits for the far end of a pipe or a device. */
static int open_regular(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    int r = fd < 0 || fstat(fd, &st) < 0 ? -errno : S_ISREG(st.st_mode) ? fd : -EINVAL;
    if (r < 0 && fd >= 0)
        (void)close(fd);
    return r;
}

char *sb_sha256_file(const char *path)
{
    sb_cleanup(sb_closep) int fd = open_regular(path);
    sb_cleanup(sb_digest_freep) struct sb_digest *digest = fd < 0 ? NULL : sb_digest_new(SB_SHA256);
    int r = fd < 0 ? fd : !digest ? -ENOMEM : add_file(digest, fd);
    char *hex = r < 0 ? NULL : sb_digest_hex(digest);
    if (!hex)
        errno = r < 0 ? -r : ENOMEM;
    return hex;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int sb_hex_decode(const char *hex, uint8_t *ret, size_t n)
{
    if (!hex || strlen(hex) / 2 != n || strlen(hex) % 2 != 0)
        return -EINVAL;
    for (size_t i = 0; i < 2 * n; i++)
        if (hex_digit(hex[i]) < 0)
            return -EINVAL;
    for (size_t i = 0; i < n; i++)
        ret[i] = (uint8_t)(hex_digit(hex[2 * i]) * 16 + hex_digit(hex[2 * i + 1]));
    return 0;
}

char *sb_hex(const void *bytes, size_t n)
{
    static const char hex[] = "0123456789abcdef";
    const uint8_t *b = bytes;
    char *text = n < SIZE_MAX / 2 ? malloc(2 * n + 1) : NULL;
    if (!text)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        text[2 * i] = hex[b[i] >> 4];
        text[2 * i + 1] = hex[b[i] & 15];
    }
    text[2 * n] = '\0';
    return text;
}

char *sb_base64(const void *bytes, size_t n)
{
    if (n > INT_MAX / 2)
        return NULL;
    char *text = malloc((n + 2) / 3 * 4 + 1);
    if (!text)
        return NULL;
    text[0] = '\0';
    if (n > 0)
        (void)EVP_EncodeBlock((unsigned char *)text, bytes, (int)n);
    return text;
}

int sb_base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Strict (RFC 4648 section 4): padded, no white space, unused bits zero. OpenSSL's is not. */
int sb_base64_decode(const char *text, size_t n, uint8_t **ret, size_t *ret_n)
{
    if (n % 4 != 0)
        return -EINVAL;
    size_t pad = n > 0 && text[n - 1] == '=' ? (text[n - 2] == '=' ? 2 : 1) : 0;
    uint8_t *bytes = malloc(n / 4 * 3 + 1);
    if (!bytes)
        return -ENOMEM;
    size_t used = 0;
    uint32_t bits = 0;
    for (size_t i = 0; i < n - pad; i++) {
        int digit = sb_base64_digit(text[i]);
        if (digit < 0) {
            free(bytes);
            return -EINVAL;
        }
        bits = bits << 6 | (uint32_t)digit;
        if (i % 4 > 0)
            bytes[used++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
    }
    uint32_t unused = pad == 1 ? 3 : pad == 2 ? 15 : 0;
    if (bits & unused) {
        free(bytes);
        return -EINVAL;
    }
    bytes[used] = 0; /* for those who expect text */
    *ret = bytes;
    *ret_n = used;
    return 0;
}

static atomic_bool seeded;
static _Atomic uint64_t state;

void sb_random_seed(uint64_t seed)
{
    atomic_store(&state, seed);
    atomic_store(&seeded, seed != 0);
}

/* SplitMix64 (Steele, Lea, Flood 2014): repeatable runs of tests. */
static uint64_t next_seeded(void)
{
    const uint64_t step = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = atomic_fetch_add(&state, step) + step;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint64_t next_random(void)
{
    if (atomic_load(&seeded))
        return next_seeded();
    uint64_t value;
    if (RAND_bytes((unsigned char *)&value, sizeof(value)) != 1)
        abort(); /* an id that repeats would mix up two jobs */
    return value;
}

void sb_uuid(char ret[SB_UUID_TEXT + 1])
{
    static const char hex[] = "0123456789abcdef";
    uint64_t half[2] = { next_random(), next_random() };
    half[0] = (half[0] & ~UINT64_C(0xf000)) | UINT64_C(0x4000);
    half[1] = (half[1] & ~(UINT64_C(3) << 62)) | UINT64_C(2) << 62;
    char *p = ret;
    for (int i = 0; i < 32; i++) {
        if (i == 8 || i == 12 || i == 16 || i == 20)
            *p++ = '-';
        *p++ = hex[half[i / 16] >> (60 - i % 16 * 4) & 15];
    }
    *p = '\0';
}

uint32_t sb_random(uint32_t below)
{
    return (uint32_t)((next_random() >> 32) * below >> 32);
}

bool sb_secret_equal(const char *a, const char *b)
{
    if (!a || !b)
        return false;
    size_t n = strlen(a);
    return n == strlen(b) && CRYPTO_memcmp(a, b, n) == 0;
}
