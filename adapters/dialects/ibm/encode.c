/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>

#include "adapters/dialects/ibm/codec.h"
#include "bridge/base/time.h"

static int put_fields(json_t *object, const json_t *fields)
{
    json_t *d = json_object();
    return json_object_set_new(object, "d", d) < 0 ||
                   json_object_set(d, "fields", (json_t *)fields) < 0
               ? -ENOMEM
               : 0;
}

json_t *sb_ibm_answer(int rc, const char *message, const char *id, const json_t *fields)
{
    json_t *answer = json_object();
    int r = sb_json_put_int(answer, "rc", rc);
    r = r ? r : sb_json_put_str(answer, "message", message);
    r = r ? r : sb_json_put_str(answer, "reqId", id);
    r = r || !fields ? r : put_fields(answer, fields);
    if (r) {
        json_decref(answer);
        return NULL;
    }
    return answer;
}

json_t *sb_ibm_request(json_t *d, const char *id)
{
    json_t *request = json_object();
    int r = d && json_object_set(request, "d", d) < 0 ? -ENOMEM : 0;
    json_decref(d);
    r = r ? r : sb_json_put_str(request, "reqId", id);
    if (r) {
        json_decref(request);
        return NULL;
    }
    return request;
}

json_t *sb_ibm_notify(int state, int status, const char *id)
{
    json_t *d = json_pack("{s:[{s:s,s:{s:i,s:i}}]}", "fields", "field", SB_IBM_FIRMWARE, "value",
                          "state", state, "updateStatus", status);
    return d ? sb_ibm_request(d, id) : NULL;
}

json_t *sb_ibm_error_code(int code, const char *id)
{
    json_t *d = json_pack("{s:i}", "errorCode", code);
    return d ? sb_ibm_request(d, id) : NULL;
}

json_t *sb_ibm_log(const char *message, enum sb_ibm_severity severity, int64_t wall, const char *id)
{
    sb_cleanup(sb_freep) char *stamp = wall > 0 ? sb_time_iso8601(wall) : NULL;
    json_t *d = json_pack("{s:s,s:s*,s:i}", "message", message, "timestamp", stamp, "severity",
                          (int)severity);
    return d ? sb_ibm_request(d, id) : NULL;
}

bool sb_ibm_uri_ok(const char *uri)
{
    if (!uri || !isalpha((unsigned char)*uri) || strlen(uri) > 2048)
        return false;
    const char *at = uri;
    while (isalnum((unsigned char)*at) || (*at && strchr("+-.", *at)))
        at++;
    if (strncmp(at, "://", 3) != 0 || !at[3] || strchr("/?#", at[3]))
        return false;
    for (; *at; at++) {
        if ((unsigned char)*at <= ' ' || *at == 0x7f || strchr("<>\"\\^`{|}", *at))
            return false;
    }
    return true;
}

const char *sb_ibm_verifier_kind(const char *verifier, const char **ret)
{
    static const struct {
        const char *prefix, *kind;
        size_t length;
    } kinds[] = { { "sha256:", "sha256", 64 }, { "md5:", "md5", 32 } };
    for (size_t i = 0; i < SB_COUNT(kinds); i++) {
        size_t skip = strlen(kinds[i].prefix);
        const char *hex =
            strncasecmp(verifier, kinds[i].prefix, skip) == 0 ? verifier + skip : verifier;
        if (strlen(hex) == kinds[i].length &&
            strspn(hex, "0123456789abcdefABCDEF") == kinds[i].length) {
            *ret = hex;
            return kinds[i].kind;
        }
    }
    return NULL;
}
