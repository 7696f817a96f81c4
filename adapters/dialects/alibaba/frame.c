/* SPDX-License-Identifier: Apache-2.0 */
/* What messages are wrapped in: JSON envelopes, and the frames of a file's blocks around them. */
#include "adapters/dialects/alibaba/codec.h"

#include <errno.h>

#include "bridge/base/str.h"

#define CRC 2 /* bytes of it, and of the length before the JSON */

static int complain(struct sb_message *ret, const char *text)
{
    ret->error = strdup(text);
    return ret->error ? 0 : -ENOMEM;
}

/* ---- envelopes ---- */

static int set_id(const json_t *envelope, struct sb_message *ret)
{
    const json_t *id = json_object_get(envelope, "id");
    if (json_is_string(id) && json_string_length(id) <= SB_ALIBABA_ID_MAX)
        ret->id = strdup(json_string_value(id));
    else if (json_is_integer(id))
        ret->id = sb_format("%" JSON_INTEGER_FORMAT, json_integer_value(id));
    else
        return 0;
    return ret->id ? 0 : -ENOMEM;
}

/* A code may be a number or digits. */
static int code_of(const json_t *envelope)
{
    const json_t *code = json_object_get(envelope, "code");
    const char *text = json_string_value(code);
    if (text && strlen(text) <= 6 && strspn(text, "0123456789") == strlen(text))
        return (int)strtol(text, NULL, 10);
    json_int_t number = json_is_integer(code) ? json_integer_value(code) : 0;
    return number > 0 && number < 1000000 ? (int)number : 0;
}

int sb_alibaba_read_envelope(bool reply, const void *payload, size_t n, struct sb_message *ret)
{
    sb_cleanup(json_decrefp) json_t *envelope = NULL;
    sb_cleanup(sb_freep) char *error = NULL;
    int r = sb_json_parse(payload, n, NULL, &envelope, &error);
    if (r == -ENOMEM)
        return r;
    if (r < 0)
        return complain(ret, "not valid JSON");
    if (!json_is_object(envelope))
        return complain(ret, "not a JSON object");
    r = set_id(envelope, ret);
    json_t *inner = json_object_get(envelope, reply ? "data" : "params");
    ret->body = json_is_object(inner) || json_is_array(inner) ? json_incref(inner) : NULL;
    bool odd = inner && !ret->body && !json_is_null(inner);
    if (r == 0 && odd && ret->kind == SB_ALIBABA_SERVICE)
        r = complain(ret, "params is no object");
    ret->code = reply ? code_of(envelope) : 0;
    return r;
}

/* ---- frames ---- */

uint16_t sb_alibaba_crc16(const void *bytes, size_t n)
{
    uint16_t crc = 0;
    for (const uint8_t *at = bytes; n > 0; n--) {
        crc ^= *at++;
        for (int bit = 0; bit < 8; bit++)
            crc = (uint16_t)(crc & 1 ? crc >> 1 ^ 0xa001 : crc >> 1);
    }
    return crc;
}

static int take_data(const uint8_t *bytes, size_t n, struct sb_message *ret)
{
    int64_t size = sb_json_int(ret->body, "bSize", -1);
    if (n < CRC || size < 1 || size > (int64_t)SB_PIECE_MAX || (size_t)size != n - CRC)
        return complain(ret, "a block is not as long as it says");
    uint16_t crc = (uint16_t)(bytes[size] | bytes[size + 1] << 8);
    if (crc != sb_alibaba_crc16(bytes, (size_t)size))
        return complain(ret, "a block does not match its checksum");
    ret->data = malloc((size_t)size);
    if (!ret->data)
        return -ENOMEM;
    memcpy(ret->data, bytes, (size_t)size);
    ret->size = (size_t)size;
    return 0;
}

int sb_alibaba_read_frame(const void *payload, size_t n, struct sb_message *ret)
{
    const uint8_t *bytes = payload;
    size_t head = n >= CRC ? (size_t)(bytes[0] << 8 | bytes[1]) : 0;
    bool framed = n >= CRC && head <= n - CRC;
    if (!framed && (n == 0 || bytes[0] != '{')) /* a refusal may come as JSON alone */
        return complain(ret, "a block is cut off");
    int r = framed ? sb_alibaba_read_envelope(true, bytes + CRC, head, ret)
                   : sb_alibaba_read_envelope(true, payload, n, ret);
    if (r < 0 || ret->error || ret->code != SB_ALIBABA_OK)
        return r;
    return framed ? take_data(bytes + CRC + head, n - CRC - head, ret)
                  : complain(ret, "a block is no frame");
}
