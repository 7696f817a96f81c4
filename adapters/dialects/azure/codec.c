/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/dialects/azure/codec.h"

#include <ctype.h>
#include <errno.h>

#include "bridge/base/crypto.h"
#include "bridge/base/str.h"

#define NAME_MAX_ 256
#define INT_MAX_  INT64_C(4503599627370495)

/* ---- topics ---- */

/* "$rid=1&$version=7": the value of a key, as it stands there; NULL: none. */
static char *query_value(const char *query, const char *key)
{
    size_t n = strlen(key);
    while (query && *query) {
        size_t length = strcspn(query, "&");
        if (length > n && strncmp(query, key, n) == 0 && query[n] == '=')
            return strndup(query + n + 1, length - n - 1);
        query += length + (query[length] == '&');
    }
    return NULL;
}

static int64_t number_of(const char *text, int64_t otherwise)
{
    char *end = NULL;
    errno = 0;
    long long value = text && isdigit((unsigned char)*text) ? strtoll(text, &end, 10) : -1;
    return value >= 0 && !errno && !*end ? value : otherwise;
}

static char *part_text(const struct sb_topic_part *part)
{
    return part->length <= NAME_MAX_ ? strndup(part->text, part->length) : NULL;
}

static int read_method(const struct sb_topic_part *parts, struct sb_message *ret)
{
    ret->kind = SB_AZURE_METHOD;
    if (parts[0].length > NAME_MAX_)
        return -ENOMSG; /* no method of ours, and no sensible answer to it */
    ret->what = part_text(&parts[0]);
    ret->id = query_value(parts[1].text, "$rid");
    if (ret->id && strlen(ret->id) > SB_AZURE_ID_MAX)
        return -ENOMSG;
    return ret->what ? 0 : -ENOMEM;
}

static int read_result(const struct sb_topic_part *parts, struct sb_message *ret)
{
    sb_cleanup(sb_freep) char *status = part_text(&parts[0]);
    int64_t code = number_of(status, 0);
    ret->kind = SB_AZURE_RESULT;
    ret->code = code >= 100 && code <= 999 ? (int)code : 0;
    ret->id = query_value(parts[1].text, "$rid");
    return 0;
}

/* Which of the topics it is; `version`: of a desired patch. */
static int read_topic(const struct sb_words *words, const char *topic, struct sb_message *ret,
                      int64_t *ret_version)
{
    struct sb_topic_part parts[2];
    if (sb_topic_match(sb_words_name(words, "topic_method"), topic, parts, 2))
        return read_method(parts, ret);
    if (sb_topic_match(sb_words_name(words, "topic_result"), topic, parts, 2))
        return read_result(parts, ret);
    if (!sb_topic_match(sb_words_name(words, "topic_desired"), topic, parts, 1))
        return -ENOMSG;
    sb_cleanup(sb_freep) char *version = query_value(parts[0].text, "$version");
    ret->kind = SB_AZURE_DESIRED;
    *ret_version = number_of(version, -1);
    return 0;
}

/* ---- bodies ---- */

static bool is_blank(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isspace((unsigned char)text[i]))
            return false;
    return true;
}

/* A method of a gateway says for whom it is. */
static int take_target(struct sb_message *message)
{
    const json_t *value = json_object_get(message->body, "target");
    const char *target = json_string_value(value);
    if (!value || json_is_null(value))
        return 0;
    if (!target || strlen(target) > NAME_MAX_) {
        message->error = strdup(target ? "target: no device has so long a name"
                                       : "target is not the name of a device");
        return message->error ? 0 : -ENOMEM;
    }
    message->name = strdup(target);
    (void)json_object_del(message->body, "target");
    return message->name ? 0 : -ENOMEM;
}

static int read_body(const struct sb_azure_config *config, int64_t version, const void *payload,
                     size_t n, struct sb_message *ret)
{
    if (is_blank(payload, n))
        return 0;
    sb_cleanup(sb_freep) char *error = NULL;
    int r = sb_json_parse(payload, n, NULL, &ret->body, &error);
    if (r == -ENOMEM)
        return r;
    if (r < 0) {
        ret->error = sb_format("not valid JSON: %.200s", error ? error : "no reason");
        return ret->error ? 0 : -ENOMEM;
    }
    if (json_is_null(ret->body)) { /* so a hub says that there is no payload */
        json_decref(ret->body);
        ret->body = NULL;
    }
    if (ret->kind == SB_AZURE_METHOD && config->mode == SB_AZURE_GATEWAY)
        return take_target(ret);
    if (ret->kind == SB_AZURE_DESIRED && version >= 0 && json_is_object(ret->body) &&
        !json_object_get(ret->body, "$version"))
        return sb_json_put_int(ret->body, "$version", version);
    return 0;
}

int sb_azure_decode(const struct sb_words *words, const void *config, const char *topic,
                    const void *payload, size_t n, struct sb_message *ret)
{
    struct sb_message message = { 0 };
    int64_t version = -1;
    int r = read_topic(words, topic, &message, &version);
    r = r ? r : read_body(config, version, payload, n, &message);
    if (r) {
        sb_message_done(&message);
        return r;
    }
    *ret = message;
    return 0;
}

/* ---- twins ---- */

json_t *sb_azure_diff(const json_t *from, const json_t *to)
{
    json_t *patch = json_object();
    const char *key;
    json_t *value;
    bool good = patch != NULL;
    json_object_foreach ((json_t *)to, key, value) {
        const json_t *old = json_object_get(from, key);
        if (json_equal(old, value) || (!old && json_is_null(value)))
            continue;
        json_t *part = json_is_object(value)
                           ? sb_azure_diff(json_is_object(old) ? old : NULL, value)
                           : json_incref(value);
        good = json_object_set_new(patch, key, part) == 0 && good;
    }
    json_object_foreach ((json_t *)from, key, value) {
        if (!json_object_get(to, key))
            good = json_object_set_new(patch, key, json_null()) == 0 && good;
    }
    if (!good)
        json_decref(patch);
    return good ? patch : NULL;
}

int sb_azure_merge(json_t *object, const json_t *patch)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)patch, key, value) {
        json_t *old = json_object_get(object, key);
        int r = 0;
        if (json_is_null(value)) {
            (void)json_object_del(object, key);
        } else if (json_is_object(value)) {
            json_t *part = json_is_object(old) ? json_incref(old) : json_object();
            r = part ? sb_azure_merge(part, value) : -ENOMEM;
            r = r ? r : json_object_set(object, key, part);
            json_decref(part);
        } else {
            r = json_object_set(object, key, value);
        }
        if (r < 0)
            return -ENOMEM;
    }
    return 0;
}

/* U+0080 to U+009F. */
static bool is_control(const char *text)
{
    const unsigned char *c = (const unsigned char *)text;
    return c[0] == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f;
}

char *sb_azure_key(const char *name)
{
    struct sb_str out = { 0 };
    for (; *name; name++) {
        unsigned char c = (unsigned char)*name;
        if (is_control(name))
            sb_str_format(&out, "%%%02X%%%02X", c, (unsigned char)*++name);
        else if (c <= ' ' || c == 0x7f || strchr(".$%", *name))
            sb_str_format(&out, "%%%02X", c);
        else
            sb_str_add_char(&out, *name);
    }
    return sb_str_take(&out);
}

/* Cut between characters. */
static json_t *clean_text(const json_t *value)
{
    const char *text = json_string_value(value);
    size_t n = SB_MIN(json_string_length(value), (size_t)SB_AZURE_TEXT_MAX);
    while (n < json_string_length(value) && n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--;
    return json_stringn(text, n);
}

static json_t *clean_object(const json_t *value, int levels)
{
    json_t *copy = json_object();
    const char *name;
    json_t *member;
    json_object_foreach ((json_t *)value, name, member) {
        sb_cleanup(sb_freep) char *key = sb_azure_key(name);
        json_t *part = sb_azure_clean(member, levels - 1);
        if (!key || json_object_set_new(copy, key, part) < 0) {
            if (!key)
                json_decref(part);
            json_decref(copy);
            return NULL;
        }
    }
    return copy;
}

static json_t *clean_array(const json_t *value, int levels)
{
    json_t *copy = json_array();
    size_t i;
    json_t *member;
    json_array_foreach (value, i, member) {
        if (json_array_append_new(copy, sb_azure_clean(member, levels - 1)) < 0) {
            json_decref(copy);
            return NULL;
        }
    }
    return copy;
}

json_t *sb_azure_clean(const json_t *value, int levels)
{
    bool nests = json_is_object(value) || json_is_array(value);
    if (nests && levels <= 0)
        return json_string("...");
    if (json_is_object(value))
        return clean_object(value, levels);
    if (json_is_array(value))
        return clean_array(value, levels);
    if (json_is_string(value))
        return clean_text(value);
    if (json_is_integer(value) &&
        (json_integer_value(value) > INT_MAX_ || json_integer_value(value) < -INT_MAX_))
        return json_real((double)json_integer_value(value));
    return json_deep_copy(value);
}

size_t sb_azure_size(const json_t *value)
{
    return json_dumpb(value, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
}

/* ---- small judgements ---- */

static bool all_hex(const char *text, size_t n)
{
    return strlen(text) == n && strspn(text, "0123456789abcdefABCDEF") == n;
}

static char *lower_case(const char *text)
{
    char *copy = strdup(text);
    for (char *at = copy; at && *at; at++)
        *at = (char)tolower((unsigned char)*at);
    return copy;
}

const char *sb_azure_digest(const char *text, char **ret)
{
    *ret = NULL;
    if (all_hex(text, 64) || all_hex(text, 32)) {
        *ret = lower_case(text);
        return strlen(text) == 64 ? "sha256" : "md5";
    }
    sb_cleanup(sb_freep) uint8_t *bytes = NULL;
    size_t n = 0;
    if (sb_base64_decode(text, strlen(text), &bytes, &n) < 0 || n != 32)
        return NULL;
    *ret = sb_hex(bytes, n);
    return *ret ? "sha256" : NULL;
}
