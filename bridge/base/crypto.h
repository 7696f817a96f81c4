/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Digests, random ids and secrets (OpenSSL). Any thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "bridge/base/util.h"

#define SB_SHA256_HEX 64
#define SB_UUID_TEXT  36

struct sb_digest; /* streaming */
enum sb_digest_kind { SB_SHA256, SB_MD5, SB_SHA1 };
struct sb_digest *sb_digest_new(enum sb_digest_kind kind);
int sb_digest_add(struct sb_digest *digest, const void *bytes, size_t n) SB_MUST_CHECK;
/* Lower-case hex, caller frees; NULL on failure. The digest is spent. */
char *sb_digest_hex(struct sb_digest *digest);
void sb_digest_free(struct sb_digest *digest);
SB_DEFINE_CLEANUP(struct sb_digest *, sb_digest_free)

#define SB_HMAC_MAX 32 /* bytes of the longest */
/* How many bytes the code has, or -EIO. */
int sb_hmac(enum sb_digest_kind kind, const void *key, size_t key_n, const void *bytes, size_t n,
            uint8_t ret[SB_HMAC_MAX]) SB_MUST_CHECK;
char *sb_sha256_hex(const void *bytes, size_t n); /* caller frees */
char *sb_sha256_file(const char *path);           /* caller frees; NULL with errno */
int sb_hex_decode(const char *hex, uint8_t *ret, size_t n) SB_MUST_CHECK; /* exactly n bytes */
char *sb_hex(const void *bytes, size_t n);                                /* caller frees */
int sb_base64_digit(char c);                  /* 0 to 63; -1: it is none */
char *sb_base64(const void *bytes, size_t n); /* caller frees */
int sb_base64_decode(const char *text, size_t n, uint8_t **ret, size_t *ret_n) SB_MUST_CHECK;

void sb_uuid(char ret[SB_UUID_TEXT + 1]); /* version 4 */
uint32_t sb_random(uint32_t below);       /* for jitter, not for keys */
void sb_random_seed(uint64_t seed);       /* tests: sb_uuid and sb_random repeatable; 0: real */

/* Equal in constant time for texts of one length; the length may show. */
bool sb_secret_equal(const char *a, const char *b);

/*
 * Resolves a secret setting: "file:/path" (one line, no group/other access beyond root's group),
 * "credential:NAME" ($CREDENTIALS_DIRECTORY/NAME), anything else is refused with -EINVAL so that
 * no secret stands in a configuration. The result is registered with sb_log_secret().
 * ret_error (may be NULL) gets a text to be freed that names the remedy; NULL without memory.
 * -EINVAL: no such form, -EACCES: others may read it, -E2BIG: over 64 KiB, -EBADMSG: empty or not
 * one line, else -errno of opening it.
 */
int sb_secret_load(const char *setting, char **ret, char **ret_error) SB_MUST_CHECK;
void sb_secret_free(char *secret); /* wipes, forgets and frees */
SB_DEFINE_CLEANUP(char *, sb_secret_free)
