/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an update asks for, in the words of all generations: the method of 2016 (fwPackageUri), the
 * device job of the preview (PackageUri), the desired properties of 2018 (fwPackageURI).
 */
#include "adapters/dialects/azure/parts.h"
#include "bridge/base/crypto.h"
#include "bridge/base/str.h"

#define TEXT_MAX_ 2048

static const char *const uri_keys[] = { "fwPackageUri", "fwPackageURI", "packageUri", "PackageUri",
                                        NULL };
static const char *const version_keys[] = { "fwVersion", "version", NULL };
static const char *const check_keys[] = { "fwPackageCheckValue", "checkValue", NULL };

static const char *first_of(const json_t *asked, const char *const *keys)
{
    for (; *keys; keys++) {
        const char *text = sb_json_str(asked, *keys);
        if (text && *text)
            return text;
    }
    return NULL;
}

/* There, but no text: what it means to say must not be overheard. */
static bool is_other(const json_t *asked, const char *const *keys)
{
    for (; *keys; keys++) {
        const json_t *value = json_object_get(asked, *keys);
        if (value && !json_is_string(value) && !json_is_null(value))
            return true;
    }
    return false;
}

const char *sb_azure_version(const json_t *asked)
{
    return first_of(asked, version_keys);
}

json_t *sb_azure_package(struct sb_azure_turn *turn, const json_t *asked, const char **ret_wrong)
{
    const char *uri = first_of(asked, uri_keys), *version = first_of(asked, version_keys);
    const char *check = first_of(asked, check_keys);
    bool strict = turn->config->check == SB_AZURE_CHECK_DIGEST;
    sb_cleanup(sb_freep) char *hex = NULL;
    const char *kind = check ? sb_azure_digest(check, &hex) : NULL;
    *ret_wrong = NULL;
    if (!uri || strlen(uri) > TEXT_MAX_ || !sb_dialect_uri_ok(uri))
        *ret_wrong = uri ? "fwPackageUri is not a valid URI" : "fwPackageUri is missing";
    else if (version && strlen(version) > 256)
        *ret_wrong = "fwVersion is longer than 256 characters";
    else if (is_other(asked, version_keys))
        *ret_wrong = "fwVersion is not a text";
    else if (strict && is_other(asked, check_keys))
        *ret_wrong = "fwPackageCheckValue is not a text";
    else if (strict && check && !kind)
        *ret_wrong = "fwPackageCheckValue is neither a SHA-256 nor an MD5 digest";
    if (*ret_wrong)
        return NULL;
    json_t *package = json_pack("{s:s,s:s*}", "uri", uri, "version", version);
    if (!package || (kind && sb_json_put_str(package, kind, hex) < 0))
        turn->effects->broken = true;
    return package;
}

char *sb_azure_firmware_content(const json_t *asked)
{
    const char *uri = first_of(asked, uri_keys), *version = first_of(asked, version_keys);
    const char *check = first_of(asked, check_keys);
    size_t n = uri ? strcspn(uri, "?#") : 0;
    sb_cleanup(sb_freep) char *text =
        sb_format("%.*s\n%s\n%s", (int)SB_MIN(n, (size_t)TEXT_MAX_), uri ? uri : "",
                  version ? version : "", check ? check : "");
    return text ? sb_sha256_hex(text, strlen(text)) : NULL;
}

char *sb_azure_values_content(const json_t *values)
{
    sb_cleanup(sb_freep) char *text = sb_json_sorted(values);
    return text ? sb_sha256_hex(text, strlen(text)) : NULL;
}
