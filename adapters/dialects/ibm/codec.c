/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/dialects/ibm/codec.h"

#include <ctype.h>
#include <errno.h>

#include "adapters/dialects/ibm/ibm.h"
#include "bridge/base/str.h"

#define NAME_MAX_ 255

SB_NAMES(sb_ibm_kind,
         SB_IBM_KIND_MAX_, [SB_IBM_RESPONSE] = "response", [SB_IBM_UPDATE] = "device update",
         [SB_IBM_OBSERVE] = "observe", [SB_IBM_CANCEL] = "cancel", [SB_IBM_REBOOT] = "reboot",
         [SB_IBM_FACTORY_RESET] = "factory reset", [SB_IBM_DOWNLOAD] = "firmware download",
         [SB_IBM_INSTALL] = "firmware update", [SB_IBM_CUSTOM] = "custom action",
         [SB_IBM_NOTIFICATION] = "notification", [SB_IBM_UNKNOWN] = "unknown request");

/* Topic rests, by the names under which the mapping has them. */
static const char *const rests[SB_IBM_KIND_MAX_] = {
    [SB_IBM_RESPONSE] = "in_response", [SB_IBM_UPDATE] = "in_update",
    [SB_IBM_OBSERVE] = "in_observe",   [SB_IBM_CANCEL] = "in_cancel",
    [SB_IBM_REBOOT] = "in_reboot",     [SB_IBM_FACTORY_RESET] = "in_factory_reset",
    [SB_IBM_DOWNLOAD] = "in_download", [SB_IBM_INSTALL] = "in_install",
};

bool sb_ibm_kind_is_action(int kind)
{
    return kind >= SB_IBM_REBOOT && kind <= SB_IBM_CUSTOM;
}

/* ---- topics ---- */

static int kind_of(const struct sb_words *words, const char *rest, struct sb_message *ret)
{
    for (int kind = 0; kind < SB_IBM_KIND_MAX_; kind++) {
        if (rests[kind] && sb_streq(rest, sb_words_name(words, rests[kind]))) {
            ret->kind = kind;
            return 0;
        }
    }
    struct sb_topic_part parts[2];
    if (sb_topic_match(sb_words_name(words, "in_custom"), rest, parts, 2)) {
        ret->kind = SB_IBM_CUSTOM;
        ret->what = sb_format("%.*s/%s", (int)parts[0].length, parts[0].text, parts[1].text);
    } else {
        ret->kind = SB_IBM_UNKNOWN;
        ret->what = strndup(rest, NAME_MAX_);
    }
    return ret->what ? 0 : -ENOMEM;
}

static bool part_is(const struct sb_topic_part *part, const char *text)
{
    return strlen(text) == part->length && memcmp(part->text, text, part->length) == 0;
}

static int read_request_topic(const struct sb_words *words, const struct sb_ibm_config *config,
                              const char *topic, struct sb_message *ret)
{
    struct sb_topic_part parts[3];
    if (!sb_topic_match(sb_words_name(words, "in"), topic, parts, 3) ||
        parts[0].length + parts[1].length > NAME_MAX_)
        return -ENOMSG;
    if (!part_is(&parts[0], config->type) || !part_is(&parts[1], config->id)) {
        ret->name = sb_format("%.*s/%.*s", (int)parts[0].length, parts[0].text,
                              (int)parts[1].length, parts[1].text);
        if (!ret->name)
            return -ENOMEM;
    }
    return kind_of(words, parts[2].text, ret);
}

static int read_topic(const struct sb_words *words, const struct sb_ibm_config *config,
                      const char *topic, struct sb_message *ret)
{
    sb_cleanup(sb_freep) char *own = sb_words_fill(sb_words_name(words, "notifications"), "type",
                                                   config->type, "id", config->id, NULL);
    if (!own)
        return -ENOMEM;
    if (sb_streq(topic, own)) {
        ret->kind = SB_IBM_NOTIFICATION;
        return 0;
    }
    return read_request_topic(words, config, topic, ret);
}

/* ---- bodies ---- */

static int wrong(struct sb_message *message, const char *text)
{
    return message->error ? 0 : sb_set_string(&message->error, text);
}

static bool of_an_id(char c)
{
    return isalnum((unsigned char)c) || c == '.' || c == '_' || c == ':' || c == '-';
}

/* What stands behind `"key" :` in a text that is no JSON; quoted or not. */
static char *salvage(const char *text, size_t n, const char *key)
{
    const char *end = text + n;
    const char *at = memmem(text, n, key, strlen(key));
    if (!at)
        return NULL;
    at += strlen(key);
    bool colon = false;
    while (at < end && (isspace((unsigned char)*at) || (*at == ':' && !colon))) {
        colon = colon || *at == ':';
        at++;
    }
    if (at < end && *at == '"')
        at++;
    size_t length = 0;
    while (at + length < end && length <= SB_IBM_ID_MAX && of_an_id(at[length]))
        length++;
    return colon && length > 0 && length <= SB_IBM_ID_MAX ? strndup(at, length) : NULL;
}

static int code_of_text(const char *text)
{
    char *end = NULL;
    errno = 0;
    long code = text && isdigit((unsigned char)*text) ? strtol(text, &end, 10) : -1;
    return code >= 0 && !errno && *end == '\0' && code < 1000 ? (int)code : -1;
}

static void read_code(const json_t *root, struct sb_message *ret)
{
    const char *text = sb_json_str(root, "rc");
    int64_t code = text ? code_of_text(text) : sb_json_int(root, "rc", -1);
    ret->code = code >= 0 && code < 1000 ? (int)code : -1;
}

static int read_id(const json_t *root, struct sb_message *ret)
{
    const json_t *id = json_object_get(root, "reqId");
    size_t length = json_string_length(id);
    if (length > 0 && length <= SB_IBM_ID_REFUSED)
        ret->id = strdup(json_string_value(id));
    else if (json_is_integer(id)) /* never seen of a platform: refused, but not in silence */
        ret->id = sb_format("%" JSON_INTEGER_FORMAT, json_integer_value(id));
    else
        return id && !json_is_null(id) ? wrong(ret, "reqId is not a usable string") : 0;
    if (!ret->id)
        return -ENOMEM;
    if (length > SB_IBM_ID_MAX)
        return wrong(ret, "reqId is longer than 128 characters");
    return json_is_string(id) ? 0 : wrong(ret, "reqId is not a string");
}

int sb_ibm_add_field(json_t *fields, const char *field, json_t *value)
{
    sb_cleanup(json_decrefp) json_t *mine = value;
    json_t *entry = json_pack("{s:s}", "field", field);
    if (!entry || json_array_append_new(fields, entry) < 0)
        return -ENOMEM;
    return mine && json_object_set(entry, "value", mine) < 0 ? -ENOMEM : 0;
}

/* One entry of any shape; 0, -EBADMSG or -ENOMEM. */
static int add_entry(json_t *fields, const json_t *entry)
{
    const char *field =
        json_is_string(entry) ? json_string_value(entry) : sb_json_str(entry, "field");
    if (!field || !*field || strlen(field) > NAME_MAX_)
        return -EBADMSG;
    return sb_ibm_add_field(fields, field, json_incref(json_object_get(entry, "value")));
}

static int add_entries(json_t *fields, const json_t *d)
{
    const json_t *list = sb_json_array(d, "fields");
    list = list ? list : sb_json_array(d, "data");
    if (!list)
        return sb_json_str(d, "field") ? add_entry(fields, d) : -EBADMSG;
    if (json_array_size(list) > SB_IBM_FIELDS_MAX)
        return -EBADMSG;
    size_t i;
    const json_t *entry;
    int r = 0;
    json_array_foreach (list, i, entry)
        r = r ? r : add_entry(fields, entry);
    return r;
}

static int read_fields(const json_t *root, struct sb_message *ret)
{
    json_t *fields = json_array();
    ret->body = json_pack("{s:o}", "fields", fields);
    if (!ret->body)
        return -ENOMEM;
    const json_t *d = sb_json_object(root, "d");
    if (!d && ret->kind == SB_IBM_CUSTOM)
        return 0; /* an action without parameters */
    int r = add_entries(fields, d);
    if (r == -EBADMSG || (!r && json_array_size(fields) == 0 && ret->kind != SB_IBM_CUSTOM))
        return wrong(ret, "d.fields must be a list of at most 64 named fields");
    return r;
}

static int read_body(json_t *root, struct sb_message *ret)
{
    if (!json_is_object(root))
        return wrong(ret, "the payload is not a JSON object");
    int r = read_id(root, ret);
    if (r)
        return r;
    switch (ret->kind) {
    case SB_IBM_RESPONSE:
        read_code(root, ret);
        return 0;
    case SB_IBM_NOTIFICATION:
        ret->body = json_incref(root);
        return 0;
    case SB_IBM_UPDATE:
    case SB_IBM_OBSERVE:
    case SB_IBM_CANCEL:
    case SB_IBM_CUSTOM:
        return read_fields(root, ret);
    default:
        return 0;
    }
}

static int read_broken(const char *text, size_t n, struct sb_message *ret)
{
    ret->id = salvage(text, n, "\"reqId\"");
    if (ret->kind == SB_IBM_RESPONSE) {
        sb_cleanup(sb_freep) char *code = salvage(text, n, "\"rc\"");
        ret->code = code_of_text(code);
    }
    return 0;
}

static int read_payload(const void *payload, size_t n, struct sb_message *ret)
{
    sb_cleanup(json_decrefp) json_t *root = NULL;
    sb_cleanup(sb_freep) char *error = NULL;
    ret->code = -1;
    int r = sb_json_parse(payload, n, NULL, &root, &error);
    if (r == -ENOMEM)
        return r;
    if (!r)
        return read_body(root, ret);
    ret->error = sb_format("not valid JSON: %.200s", error ? error : "no reason");
    return ret->error ? read_broken(payload, n, ret) : -ENOMEM;
}

int sb_ibm_decode(const struct sb_words *words, const void *config, const char *topic,
                  const void *payload, size_t n, struct sb_message *ret)
{
    struct sb_message message = { 0 };
    int r = read_topic(words, config, topic, &message);
    r = r ? r : read_payload(payload, n, &message);
    if (r) {
        sb_message_done(&message);
        return r;
    }
    *ret = message;
    return 0;
}
