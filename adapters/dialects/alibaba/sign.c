/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/dialects/alibaba/sign.h"

#include <inttypes.h>

#include "bridge/base/crypto.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"

#define NO_CLOCK INT64_C(2524608000000) /* 2050: what the vendor's C package always sends */

static const struct {
    enum sb_digest_kind kind;
    const char *word;
} methods[] = {
    [SB_ALIBABA_SHA256] = { SB_SHA256, "hmacsha256" },
    [SB_ALIBABA_SHA1] = { SB_SHA1, "hmacsha1" },
    [SB_ALIBABA_MD5] = { SB_MD5, "hmacmd5" },
};

char *sb_alibaba_sign_login(enum sb_alibaba_sign how, const char *secret, const char *client,
                            const char *name, const char *product, const char *timestamp)
{
    uint8_t code[SB_HMAC_MAX];
    sb_cleanup(sb_freep) char *text = sb_format("clientId%sdeviceName%sproductKey%stimestamp%s",
                                                client, name, product, timestamp);
    int n = text ? sb_hmac(methods[how].kind, secret, strlen(secret), text, strlen(text), code) : 0;
    return n > 0 ? sb_hex(code, (size_t)n) : NULL;
}

const char *sb_alibaba_sign_word(enum sb_alibaba_sign how)
{
    return methods[how].word;
}

char *sb_alibaba_timestamp(int64_t wall)
{
    return sb_format("%" PRId64, wall < SB_CLOCK_UNSET_BEFORE ? NO_CLOCK : wall);
}
