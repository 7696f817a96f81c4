/* SPDX-License-Identifier: Apache-2.0 */
/* What a helper is asked for, as the line it reads. */
#include <strings.h>

#include "bridge/base/crypto.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "bridge/package/fetch_parts.h"

#define STALL_MS (60 * SB_SECOND)

bool sb_fetch_digest_legal(const char *text)
{
    return text && strlen(text) == SB_SHA256_HEX &&
           strspn(text, "0123456789abcdef") == SB_SHA256_HEX;
}

int64_t sb_fetch_spec_stall(const struct sb_fetch_spec *spec)
{
    return spec->stall_ms > 0 ? spec->stall_ms : STALL_MS;
}

static bool header_legal(const char *name, const char *value)
{
    static const char token[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "!#$%&'*+-.^_`|~";
    static const char *const own[] = { "Host", "Range", "If-Range", "Content-Length",
                                       "Transfer-Encoding" };
    if (!value || *name == '\0' || strspn(name, token) != strlen(name))
        return false;
    for (size_t i = 0; i < SB_COUNT(own); i++)
        if (strcasecmp(name, own[i]) == 0)
            return false;
    for (; *value; value++)
        if ((unsigned char)*value < ' ' || *value == 0x7f)
            return false;
    return true;
}

static bool headers_legal(const json_t *headers)
{
    const char *name;
    json_t *value;
    json_object_foreach ((json_t *)headers, name, value) {
        if (!header_legal(name, json_string_value(value)))
            return false;
    }
    return !headers || json_is_object(headers);
}

static json_t *strings_json(const struct sb_strings *strings)
{
    json_t *array = json_array();
    for (size_t i = 0; array && i < strings->count; i++)
        if (json_array_append_new(array, json_string(strings->list[i])) < 0)
            array = (json_decref(array), NULL);
    return array;
}

static json_t *rules_json(const struct sb_uri_rules *rules)
{
    static const struct sb_uri_rules none = { 0 };
    rules = rules ? rules : &none;
    return json_pack("{s:o,s:o,s:o}", "schemes", strings_json(&rules->schemes), "hosts",
                     strings_json(&rules->hosts), "networks", strings_json(&rules->networks));
}

char *sb_fetch_spec_line(const struct sb_fetch_spec *spec)
{
    sb_cleanup(json_decrefp) json_t *json = json_object();
    const struct {
        const char *key, *value;
    } texts[] = { { "uri", spec->uri }, { "part", spec->part },       { "sha256", spec->sha256 },
                  { "md5", spec->md5 }, { "ca_file", spec->ca_file }, { "proxy", spec->proxy } };
    const struct {
        const char *key;
        int64_t value;
    } numbers[] = { { "size", spec->size },
                    { "max_bytes", spec->max_bytes },
                    { "stall_ms", sb_fetch_spec_stall(spec) },
                    { "rate", spec->rate },
                    { "tries", spec->tries } };
    int r = json ? 0 : -ENOMEM;
    for (size_t i = 0; r == 0 && i < SB_COUNT(texts); i++)
        r = sb_json_put_str(json, texts[i].key, texts[i].value);
    for (size_t i = 0; r == 0 && i < SB_COUNT(numbers); i++)
        r = sb_json_put_int(json, numbers[i].key, numbers[i].value);
    if (r == 0)
        r = json_object_set_new(json, "supplied", json_boolean(spec->supplier != NULL));
    if (r == 0 && spec->headers)
        r = json_object_set_new(json, "headers", json_deep_copy(spec->headers));
    if (r == 0)
        r = json_object_set_new(json, "rules", rules_json(spec->rules));
    sb_cleanup(sb_secret_freep) char *text = r == 0 ? sb_json_text(json) : NULL;
    return text ? sb_format("%s\n", text) : NULL;
}

bool sb_fetch_spec_legal(const struct sb_fetch_spec *spec)
{
    return !spec->uri == (spec->supplier != NULL) && spec->part && spec->max_bytes > 0 &&
           headers_legal(spec->headers) && (!spec->sha256 || sb_fetch_digest_legal(spec->sha256));
}
