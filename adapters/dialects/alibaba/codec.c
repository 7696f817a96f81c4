/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/dialects/alibaba/codec.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "bridge/base/str.h"

#define TEXT_MAX_ 2048

/* ---- topics ---- */

enum body { PARAMS, DATA };

static const struct route {
    const char *word; /* its topic's rest is in the mapping under this */
    enum sb_alibaba_kind kind;
    enum body body;
    const char *what; /* NULL: the placeholder's text, if there is one */
} routes[] = {
    { "sub_register", SB_ALIBABA_REPLY, DATA, "sub_register" },
    { "topo_add", SB_ALIBABA_REPLY, DATA, "topo_add" },
    { "topo_delete", SB_ALIBABA_REPLY, DATA, "topo_delete" },
    { "topo_get", SB_ALIBABA_REPLY, DATA, "topo_get" },
    { "topo_notify", SB_ALIBABA_TOPO_NOTIFY, PARAMS, NULL },
    { "topo_change", SB_ALIBABA_TOPO_CHANGE, PARAMS, NULL },
    { "notice_disable", SB_ALIBABA_NOTICE, PARAMS, "disable" },
    { "notice_enable", SB_ALIBABA_NOTICE, PARAMS, "enable" },
    { "notice_delete", SB_ALIBABA_NOTICE, PARAMS, "delete" },
    { "firmware_get", SB_ALIBABA_FIRMWARE, DATA, NULL },
    { "property_set", SB_ALIBABA_SET, PARAMS, NULL },
    { "property_get", SB_ALIBABA_GET, PARAMS, NULL },
    { "job_notify", SB_ALIBABA_JOB, PARAMS, NULL },
    { "job_get", SB_ALIBABA_JOB_NEXT, DATA, NULL },
    { "job_update", SB_ALIBABA_JOB_UPDATED, DATA, NULL },
    { "config_push", SB_ALIBABA_CONFIG, PARAMS, NULL },
    { "config_get", SB_ALIBABA_CONFIG_GOT, DATA, NULL },
    { "file_download", SB_ALIBABA_FILE, DATA, NULL },
    { "service", SB_ALIBABA_SERVICE, PARAMS, NULL },
};

#define REPLY "_reply"

/* Does the rest of a topic fit the route? Replies have their suffix. */
static bool fits(const struct route *route, const char *pattern, const char *rest, char **ret_what)
{
    struct sb_topic_part part = { 0 };
    size_t n = strlen(rest), suffix = strlen(REPLY);
    bool reply = n > suffix && strcmp(rest + n - suffix, REPLY) == 0;
    if (reply != (route->body == DATA))
        return false;
    sb_cleanup(sb_freep) char *plain = strndup(rest, reply ? n - suffix : n);
    bool open = strchr(pattern, '{') != NULL;
    if (!plain || !sb_topic_match(pattern, plain, &part, open ? 1 : 0))
        return false;
    if (open && (part.length > SB_ALIBABA_NAME_MAX || memchr(part.text, '/', part.length)))
        return false;
    *ret_what = open ? strndup(part.text, part.length) : route->what ? strdup(route->what) : NULL;
    return true;
}

static const struct route *route_of(const struct sb_words *words, const char *rest, char **ret_what)
{
    for (size_t i = 0; i < SB_COUNT(routes); i++)
        if (fits(&routes[i], sb_words_name(words, routes[i].word), rest, ret_what))
            return &routes[i];
    return NULL;
}

/* Sessions of sub-devices: replies only, and only the gateway's. To which word; NULL: to none. */
static const char *session_reply(const struct sb_words *words, const char *rest)
{
    static const char *const names[] = { "login", "batch_login", "logout", "batch_logout" };
    size_t n = strlen(rest), suffix = strlen(REPLY);
    if (n <= suffix || strcmp(rest + n - suffix, REPLY) != 0)
        return NULL;
    for (size_t i = 0; i < SB_COUNT(names); i++) {
        const char *known = sb_words_name(words, names[i]);
        if (strlen(known) == n - suffix && strncmp(known, rest, n - suffix) == 0)
            return names[i];
    }
    return NULL;
}

struct address {
    struct sb_topic_part parts[3]; /* product, name, rest */
    enum body body;
};

/* 0: the message's kind is known, and whose topic it is. */
static int read_topic(const struct sb_words *words, const char *topic, struct sb_message *ret,
                      struct address *ret_address)
{
    struct address address = { .body = DATA };
    if (sb_topic_match(sb_words_name(words, "topic_upgrade"), topic, address.parts, 2)) {
        ret->kind = SB_ALIBABA_UPGRADE;
    } else if (sb_topic_match(sb_words_name(words, "topic_error"), topic, address.parts, 2)) {
        ret->kind = SB_ALIBABA_ERROR;
    } else if (sb_topic_match(sb_words_name(words, "topic_session"), topic, address.parts, 3)) {
        const char *word = session_reply(words, address.parts[2].text);
        if (!word)
            return -ENOMSG;
        ret->kind = SB_ALIBABA_REPLY;
        ret->what = strdup(word);
        if (!ret->what)
            return -ENOMEM;
    } else if (sb_topic_match(sb_words_name(words, "topic_sys"), topic, address.parts, 3)) {
        const struct route *route = route_of(words, address.parts[2].text, &ret->what);
        if (!route)
            return -ENOMSG;
        if (!ret->what && (route->what || route->kind == SB_ALIBABA_SERVICE))
            return -ENOMEM;
        ret->kind = (int)route->kind;
        address.body = route->body;
    } else {
        return -ENOMSG;
    }
    *ret_address = address;
    return 0;
}

/* ---- names ---- */

int sb_alibaba_who(const struct sb_alibaba_config *config, const char *name,
                   struct sb_alibaba_who *ret)
{
    const char *slash = name ? strchr(name, '/') : NULL;
    const char *product = name ? config->device_product : config->product;
    size_t n = slash ? (size_t)(slash - name) : product ? strlen(product) : 0;
    const char *last = !name ? config->name : slash ? slash + 1 : name;
    if (n == 0 || n >= sizeof(ret->product) || strlen(last) >= sizeof(ret->name))
        return -EINVAL;
    (void)snprintf(ret->product, sizeof(ret->product), "%.*s", (int)n, slash ? name : product);
    (void)snprintf(ret->name, sizeof(ret->name), "%s", last);
    return 0;
}

char *sb_alibaba_spell(const struct sb_alibaba_config *config, const char *product,
                       const char *name)
{
    return sb_streq(product, config->device_product) ? strdup(name)
                                                     : sb_format("%s/%s", product, name);
}

char *sb_alibaba_called(const struct sb_alibaba_config *config, const char *product,
                        const char *name, bool *ret_self)
{
    *ret_self = sb_streq(product, config->product) && sb_streq(name, config->name);
    return *ret_self ? NULL : sb_alibaba_spell(config, product, name);
}

char *sb_alibaba_called_in(const struct sb_alibaba_config *config, const json_t *entry,
                           bool *ret_self)
{
    const char *product = sb_json_str(entry, "productKey");
    const char *name = sb_json_str(entry, "deviceName");
    *ret_self = false;
    if (!product || !name || strlen(product) + strlen(name) >= SB_ALIBABA_NAME_MAX)
        return NULL;
    return sb_alibaba_called(config, product, name, ret_self);
}

static int set_name(const struct sb_alibaba_config *config, const struct sb_topic_part *parts,
                    struct sb_message *ret)
{
    if (parts[0].length + parts[1].length >= SB_ALIBABA_NAME_MAX)
        return -ENOMSG;
    sb_cleanup(sb_freep) char *product = strndup(parts[0].text, parts[0].length);
    sb_cleanup(sb_freep) char *name = strndup(parts[1].text, parts[1].length);
    bool self = false;
    if (product && name)
        ret->name = sb_alibaba_called(config, product, name, &self);
    return ret->name || self ? 0 : -ENOMEM;
}

/* What comes on the gateway's topic may be about one of its sub-devices. */
static int set_subject(const struct sb_alibaba_config *config, struct sb_message *ret)
{
    bool self = false;
    if (ret->name || (ret->kind != SB_ALIBABA_NOTICE && ret->kind != SB_ALIBABA_ERROR))
        return 0;
    if (ret->kind == SB_ALIBABA_NOTICE)
        ret->code = 1;
    const json_t *entry = json_is_array(ret->body) ? json_array_get(ret->body, 0) : ret->body;
    if (!sb_json_str(entry, "productKey") || !sb_json_str(entry, "deviceName"))
        return 0;
    ret->name = sb_alibaba_called_in(config, entry, &self);
    return ret->name || self ? 0 : -ENOMSG;
}

int sb_alibaba_decode(const struct sb_words *words, const void *config, const char *topic,
                      const void *payload, size_t n, struct sb_message *ret)
{
    struct sb_message message = { 0 };
    struct address address;
    int r = read_topic(words, topic, &message, &address);
    r = r ? r : set_name(config, address.parts, &message);
    if (r == 0)
        r = message.kind == SB_ALIBABA_FILE
                ? sb_alibaba_read_frame(payload, n, &message)
                : sb_alibaba_read_envelope(address.body == DATA, payload, n, &message);
    r = r ? r : set_subject(config, &message);
    if (r) {
        sb_message_done(&message);
        return r;
    }
    *ret = message;
    return 0;
}

/* ---- packages ---- */

const char *sb_alibaba_module(const json_t *data)
{
    const char *module = sb_json_str(data, "module");
    return module && strcmp(module, "default") != 0 ? module : "";
}

static char *hex_of(const char *text, size_t digits)
{
    if (!text || strlen(text) != digits || strspn(text, "0123456789abcdefABCDEF") != digits)
        return NULL;
    char *hex = strdup(text);
    for (char *c = hex; c && *c; c++)
        *c = (char)tolower((unsigned char)*c);
    return hex;
}

#define STREAM "stream:?id="
#define FILE_  "&file="

char *sb_alibaba_stream_uri(const struct sb_alibaba_stream *stream)
{
    return sb_format(STREAM "%" PRId64 FILE_ "%" PRId64, stream->id, stream->file);
}

/* Digits, above 0, and what follows them. */
static bool take_number(const char **at, const char *then, int64_t *ret)
{
    size_t n = strspn(*at, "0123456789");
    if (n < 1 || strncmp(*at + n, then, strlen(then)) != 0)
        return false;
    errno = 0;
    *ret = strtoll(*at, NULL, 10);
    *at += n + strlen(then);
    return *ret > 0 && errno == 0;
}

bool sb_alibaba_stream_of(const char *uri, struct sb_alibaba_stream *ret)
{
    struct sb_alibaba_stream stream;
    if (!uri || strncmp(uri, STREAM, strlen(STREAM)) != 0)
        return false;
    uri += strlen(STREAM);
    if (!take_number(&uri, FILE_, &stream.id) || !take_number(&uri, "", &stream.file) || *uri)
        return false;
    *ret = stream;
    return true;
}

struct offer { /* one file, in any form */
    const char *uri, *sign, *md5;
    int64_t size;
    struct sb_alibaba_stream stream; /* in the place of a URI */
    bool streamed;
};

static struct offer offer_of(const json_t *data)
{
    const json_t *file = json_array_get(sb_json_array(data, "files"), 0);
    if (file)
        return (struct offer){ .uri = sb_json_str(file, "fileUrl"),
                               .sign = sb_json_str(file, "fileSign"),
                               .md5 = sb_json_str(file, "fileMd5"),
                               .size = sb_json_int(file, "fileSize", -1) };
    const char *uri = sb_json_str(data, "url");
    return (struct offer){ .uri = uri,
                           .sign = sb_json_str(data, "sign"),
                           .md5 = sb_json_str(data, "md5"),
                           .size = sb_json_int(data, "size", -1),
                           .stream = { sb_json_int(data, "streamId", 0),
                                       sb_json_int(data, "streamFileId", 0) },
                           .streamed = sb_streq(sb_json_str(data, "dProtocol"), "mqtt") ||
                                       (!uri && json_object_get(data, "streamId")) };
}

/* Unless it says that it is none: a delta that is taken for an image ruins the device. */
static bool is_delta(const json_t *data)
{
    const json_t *said = json_object_get(data, "isDiff");
    return said && !json_is_null(said) && !json_is_false(said) &&
           !sb_streq(json_string_value(said), "0") &&
           !(json_is_integer(said) && json_integer_value(said) == 0);
}

static enum sb_cause wrong_of(const json_t *data, const struct offer *offer, const char **ret_wrong)
{
    const char *version = sb_json_str(data, "version");
    const struct {
        bool wrong;
        enum sb_cause cause;
        const char *text;
    } checks[] = {
        { json_array_size(sb_json_array(data, "files")) > 1, SB_CAUSE_UNSUPPORTED,
          "a package of several files is not supported: offer it as one file" },
        { is_delta(data), SB_CAUSE_UNSUPPORTED,
          "a delta package is not supported: offer the full one" },
        { offer->streamed && (offer->stream.id < 1 || offer->stream.file < 1), SB_CAUSE_INVALID_URI,
          "the package has no streamId and streamFileId" },
        { !version || !*version || strlen(version) > 64, SB_CAUSE_INVALID_REQUEST,
          "the package has no version" },
        { strlen(sb_alibaba_module(data)) > 64, SB_CAUSE_INVALID_REQUEST,
          "the module's name is too long" },
        { !offer->streamed && (!offer->uri || strlen(offer->uri) > TEXT_MAX_), SB_CAUSE_INVALID_URI,
          "the package has no url" },
    };
    for (size_t i = 0; i < SB_COUNT(checks); i++) {
        if (!checks[i].wrong)
            continue;
        *ret_wrong = checks[i].text;
        return checks[i].cause;
    }
    return SB_CAUSE_NONE;
}

json_t *sb_alibaba_package(const json_t *data, enum sb_cause *ret_cause, const char **ret_wrong)
{
    struct offer offer = offer_of(data);
    const char *module = sb_alibaba_module(data);
    *ret_wrong = NULL;
    *ret_cause = wrong_of(data, &offer, ret_wrong);
    if (*ret_wrong)
        return NULL;
    sb_cleanup(sb_freep) char *sha256 = hex_of(offer.sign, 64);
    sb_cleanup(sb_freep) char *sign_md5 = hex_of(offer.sign, 32);
    sb_cleanup(sb_freep) char *own_md5 = hex_of(offer.md5, 32);
    const char *md5 = own_md5 ? own_md5 : sign_md5;
    if (!sha256 && !md5) {
        *ret_cause = SB_CAUSE_VERIFY_FAILED;
        *ret_wrong = "the package has no signature that can be checked (MD5 or SHA-256, in hex)";
        return NULL;
    }
    sb_cleanup(sb_freep) char *uri =
        offer.streamed ? sb_alibaba_stream_uri(&offer.stream) : strdup(offer.uri);
    json_t *package =
        json_pack("{s:s,s:s,s:s*,s:s*,s:s*}", "uri", uri, "version", sb_json_str(data, "version"),
                  "module", *module ? module : NULL, "sha256", sha256, "md5", md5);
    if (package && offer.size > 0 && sb_json_put_int(package, "size", offer.size) < 0) {
        json_decref(package);
        return NULL;
    }
    return package;
}

json_t *sb_alibaba_config_package(const json_t *data, enum sb_cause *ret_cause,
                                  const char **ret_wrong)
{
    const char *id = sb_json_str(data, "configId"), *uri = sb_json_str(data, "url");
    const char *kind = sb_json_str(data, "getType"), *sign = sb_json_str(data, "sign");
    int64_t size = sb_json_int(data, "configSize", -1);
    sb_cleanup(sb_freep) char *sha256 = hex_of(sign, 64);
    sb_cleanup(sb_freep) char *md5 = hex_of(sign, 32);
    *ret_wrong = NULL;
    *ret_cause = SB_CAUSE_INVALID_REQUEST;
    if (kind && strcmp(kind, "file") != 0)
        *ret_wrong = "a configuration comes as a file only";
    else if (!id || !*id || strlen(id) > SB_ALIBABA_ID_MAX)
        *ret_wrong = "the configuration has no configId";
    else if (!uri || strlen(uri) > TEXT_MAX_)
        *ret_wrong = "the configuration has no url";
    else if (!sha256 && !md5)
        *ret_wrong = "the configuration has no signature that can be checked (SHA-256 or MD5)";
    if (*ret_wrong)
        return NULL;
    json_t *package =
        json_pack("{s:s,s:s,s:s*,s:s*}", "uri", uri, "name", id, "sha256", sha256, "md5", md5);
    if (package && size > 0 && sb_json_put_int(package, "size", size) < 0) {
        json_decref(package);
        return NULL;
    }
    return package;
}
