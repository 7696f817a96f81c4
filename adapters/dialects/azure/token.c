/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/dialects/azure/token.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/crypto.h>

#include "bridge/base/crypto.h"
#include "bridge/base/str.h"

static char *encoded(const char *text)
{
    struct sb_str out = { 0 };
    sb_str_add_percent(&out, text);
    return sb_str_take(&out);
}

/* base64(HMAC-SHA256(key, what)), percent-encoded; NULL: no memory. */
static char *sign(const uint8_t *key, size_t key_n, const char *what)
{
    uint8_t code[SB_HMAC_MAX];
    int n = sb_hmac(SB_SHA256, key, key_n, what, strlen(what), code);
    sb_cleanup(sb_freep) char *base64 = n > 0 ? sb_base64(code, (size_t)n) : NULL;
    return base64 ? encoded(base64) : NULL;
}

int sb_azure_token(const char *resource, const char *key, int64_t expiry, char **ret,
                   char **ret_error)
{
    uint8_t *bytes = NULL;
    size_t n = 0;
    int r = sb_base64_decode(key, strlen(key), &bytes, &n);
    if (r == -ENOMEM)
        return r;
    if (r < 0 || n == 0) {
        free(bytes);
        *ret_error = strdup("the key is not in base64: give it as the hub shows it");
        return -EINVAL;
    }
    sb_cleanup(sb_freep) char *sr = encoded(resource);
    sb_cleanup(sb_freep) char *what = sr ? sb_format("%s\n%" PRId64, sr, expiry) : NULL;
    sb_cleanup(sb_freep) char *signature = what ? sign(bytes, n, what) : NULL;
    OPENSSL_clear_free(bytes, n);
    char *token = signature ? sb_format("SharedAccessSignature sr=%s&sig=%s&se=%" PRId64, sr,
                                        signature, expiry)
                            : NULL;
    if (!token)
        return -ENOMEM;
    *ret = token;
    return 0;
}
