/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/dialects/huawei/codec.h"

#include <ctype.h>
#include <errno.h>
#include <time.h>

#include "adapters/dialects/effects.h"
#include "bridge/base/crypto.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"

/* ---- topics ---- */

static bool is_own(const struct sb_huawei_config *config, const struct sb_topic_part *part)
{
    return part->length == strlen(config->id) && strncmp(part->text, config->id, part->length) == 0;
}

static const struct topic {
    const char *word;
    size_t parts;
    enum sb_huawei_kind kind;
} topics[] = {
    { "topic_events", 1, SB_HUAWEI_EVENTS },
    { "topic_command", 2, SB_HUAWEI_COMMAND },
    { "topic_set", 2, SB_HUAWEI_SET },
    { "topic_get", 2, SB_HUAWEI_GET },
};

static int read_topic(const struct sb_words *words, const struct sb_huawei_config *config,
                      const char *topic, struct sb_message *ret)
{
    for (size_t i = 0; i < SB_COUNT(topics); i++) {
        struct sb_topic_part parts[2];
        if (!sb_topic_match(sb_words_name(words, topics[i].word), topic, parts, topics[i].parts))
            continue;
        bool answerable = topics[i].parts < 2 || (parts[1].length <= SB_HUAWEI_ID_MAX &&
                                                  !memchr(parts[1].text, '/', parts[1].length));
        if (!is_own(config, &parts[0]) || !answerable)
            return -ENOMSG; /* an answer of ours that comes back, somebody else's */
        ret->kind = (int)topics[i].kind;
        if (topics[i].parts > 1 && !(ret->id = strndup(parts[1].text, parts[1].length)))
            return -ENOMEM;
        return 0;
    }
    return -ENOMSG;
}

/* ---- bodies ---- */

static int wrong(struct sb_message *message, char *text)
{
    message->error = text;
    return text ? 0 : -ENOMEM;
}

static bool is_of_family(const json_t *services)
{
    size_t i;
    json_t *service;
    json_array_foreach (services, i, service) {
        if (sb_streq(sb_json_str(service, "service_id"), SB_HUAWEI_FAMILY))
            return true;
    }
    return false;
}

static int take_name(const struct sb_huawei_config *config, struct sb_message *message)
{
    json_t *object = json_object_get(message->body, "object_device_id");
    const char *name = json_string_value(object);
    if (json_is_null(object) || !object || sb_streq(name, config->id))
        return 0;
    if (!name || !*name || strlen(name) > SB_HUAWEI_ID_MAX)
        return wrong(message, strdup("object_device_id is no device id"));
    message->name = strdup(name);
    return message->name ? 0 : -ENOMEM;
}

/* Of events only the services are left. */
static int take_services(struct sb_message *message)
{
    json_t *services = json_object_get(message->body, "services");
    if (!json_is_array(services))
        return wrong(message, strdup("an event without services"));
    json_incref(services);
    json_decref(message->body);
    message->body = services;
    if (is_of_family(services))
        free(SB_STEAL(message->name));
    return 0;
}

static int read_body(const struct sb_huawei_config *config, const void *payload, size_t n,
                     struct sb_message *ret)
{
    sb_cleanup(sb_freep) char *error = NULL;
    int r = sb_json_parse(payload, n, NULL, &ret->body, &error);
    if (r == -ENOMEM)
        return r;
    if (r < 0)
        return wrong(ret, sb_format("not valid JSON: %.200s", error ? error : "no reason"));
    if (!json_is_object(ret->body))
        return wrong(ret, strdup("the payload is no JSON object"));
    r = take_name(config, ret);
    return r || ret->error || ret->kind != SB_HUAWEI_EVENTS ? r : take_services(ret);
}

int sb_huawei_decode(const struct sb_words *words, const void *config, const char *topic,
                     const void *payload, size_t n, struct sb_message *ret)
{
    struct sb_message message = { 0 };
    int r = read_topic(words, config, topic, &message);
    r = r ? r : read_body(config, payload, n, &message);
    if (r) {
        sb_message_done(&message);
        return r;
    }
    *ret = message;
    return 0;
}

/* ---- out ---- */

static bool calendar(int64_t wall, struct tm *ret)
{
    time_t seconds = (time_t)(wall / SB_SECOND);
    return gmtime_r(&seconds, ret) != NULL;
}

char *sb_huawei_time(int64_t wall)
{
    struct tm tm;
    if (wall < SB_CLOCK_UNSET_BEFORE || !calendar(wall, &tm))
        return NULL;
    return sb_format("%04d%02d%02dT%02d%02d%02dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                     tm.tm_hour, tm.tm_min, tm.tm_sec);
}

json_t *sb_huawei_event(const char *device, const char *service, const char *type, const char *id,
                        int64_t wall, json_t *paras)
{
    sb_cleanup(sb_freep) char *time = sb_huawei_time(wall);
    if (!paras)
        return NULL;
    return json_pack("{s:s*,s:[{s:s,s:s,s:s*,s:s*,s:o}]}", "object_device_id", device, "services",
                     "service_id", service, "event_type", type, "event_time", time, "event_id", id,
                     "paras", paras);
}

/* ---- packages ---- */

static bool is_sha256(const char *text)
{
    return strlen(text) == SB_SHA256_HEX && strspn(text, "0123456789abcdefABCDEF") == SB_SHA256_HEX;
}

/* What may stand in a header of a request. */
static bool is_token(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text <= ' ' || (unsigned char)*text >= 0x7f)
            return false;
    return true;
}

static const char *text_of(const json_t *paras, const char *key)
{
    const char *text = sb_json_str(paras, key);
    return text && *text ? text : NULL;
}

static bool is_text_or_none(const json_t *paras, const char *key)
{
    const json_t *value = json_object_get(paras, key);
    return !value || json_is_null(value) || json_is_string(value);
}

static const char *judge(const json_t *paras, enum sb_cause *ret_cause)
{
    const char *uri = text_of(paras, "url"), *version = text_of(paras, "version");
    const char *sign = text_of(paras, "sign"), *token = text_of(paras, "access_token");
    *ret_cause = SB_CAUSE_INVALID_URI;
    if (!uri || strlen(uri) > SB_HUAWEI_TEXT_MAX || !sb_dialect_uri_ok(uri))
        return uri ? "url is not a valid URL" : "url is missing";
    *ret_cause = SB_CAUSE_VERIFY_FAILED;
    if (!is_text_or_none(paras, "sign") || (sign && !is_sha256(sign)))
        return "sign is no SHA-256 digest";
    *ret_cause = SB_CAUSE_INVALID_REQUEST;
    if (!version || strlen(version) > 256)
        return version ? "version is longer than 256 characters" : "version is missing";
    if (!is_text_or_none(paras, "access_token") ||
        (token && (strlen(token) > SB_HUAWEI_TEXT_MAX || !is_token(token))))
        return "access_token cannot stand in a header";
    return NULL;
}

static int put_token(json_t *package, const char *token)
{
    sb_cleanup(sb_freep) char *bearer = token ? sb_format("Bearer %s", token) : NULL;
    if (!token)
        return 0;
    return bearer ? json_object_set_new(package, "extra",
                                        json_pack("{s:{s:s}}", "headers", "Authorization", bearer))
                  : -ENOMEM;
}

static int put_digest(json_t *package, const char *sign)
{
    sb_cleanup(sb_freep) char *hex = sign ? strdup(sign) : NULL;
    for (char *at = hex; at && *at; at++)
        *at = (char)tolower((unsigned char)*at);
    return hex ? sb_json_put_str(package, "sha256", hex) : sign ? -ENOMEM : 0;
}

json_t *sb_huawei_package(const json_t *paras, const char *module, enum sb_cause *ret_cause,
                          const char **ret_wrong)
{
    *ret_wrong = judge(paras, ret_cause);
    if (*ret_wrong)
        return NULL;
    int64_t size = sb_json_int(paras, "file_size", -1);
    json_t *package = json_pack("{s:s,s:s,s:s*}", "uri", text_of(paras, "url"), "version",
                                text_of(paras, "version"), "module", module);
    int r = package ? put_token(package, text_of(paras, "access_token")) : -ENOMEM;
    r = r ? r : put_digest(package, text_of(paras, "sign"));
    r = r ? r : size > 0 ? sb_json_put_int(package, "size", size) : 0;
    if (r) {
        json_decref(package);
        return NULL;
    }
    return package;
}

/* ---- login ---- */

char *sb_huawei_hour(int64_t wall)
{
    struct tm tm;
    return calendar(wall, &tm) ? sb_format("%04d%02d%02d%02d", tm.tm_year + 1900, tm.tm_mon + 1,
                                           tm.tm_mday, tm.tm_hour)
                               : NULL;
}

char *sb_huawei_password(const char *secret, const char *hour)
{
    uint8_t code[SB_HMAC_MAX];
    int n = sb_hmac(SB_SHA256, hour, strlen(hour), secret, strlen(secret), code);
    return n > 0 ? sb_hex(code, (size_t)n) : NULL;
}
