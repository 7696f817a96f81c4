/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/outbox/parcel.h"

#include <errno.h>

#include "bridge/base/crypto.h"

SB_NAMES(sb_parcel_class,
         SB_PARCEL_CLASS_MAX_, [SB_PARCEL_PASSING] = "passing", [SB_PARCEL_PROGRESS] = "progress",
         [SB_PARCEL_ANSWER] = "answer", [SB_PARCEL_FINAL] = "final");

static size_t text_size(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

static const char *copy_text(char **at, const char *text)
{
    size_t n = text_size(text);
    char *copy = *at;

    if (!text)
        return NULL;
    memcpy(copy, text, n);
    *at += n;
    return copy;
}

int sb_parcel_copy(const struct sb_parcel *from, struct sb_parcel *ret, void **ret_block)
{
    size_t n = text_size(from->link) + text_size(from->device) + text_size(from->key) +
               text_size(from->connection) + text_size(from->topic) + text_size(from->token) +
               text_size(from->what);
    char *block = malloc(n + from->size + 1);
    char *at = block;

    if (!block)
        return -ENOMEM;
    *ret = *from;
    ret->link = copy_text(&at, from->link);
    ret->device = copy_text(&at, from->device);
    ret->key = copy_text(&at, from->key);
    ret->connection = copy_text(&at, from->connection);
    ret->topic = copy_text(&at, from->topic);
    ret->token = copy_text(&at, from->token);
    ret->what = copy_text(&at, from->what);
    ret->payload = at;
    if (from->size > 0)
        memcpy(at, from->payload, from->size);
    at[from->size] = '\0';
    *ret_block = block;
    return 0;
}

size_t sb_parcel_bytes(const struct sb_parcel *parcel)
{
    return parcel->size + strlen(parcel->topic);
}

/* ---- the row ---- */

/* Would base64 be shorter than JSON's escapes? NUL is not told from the end of a text. */
static bool escapes_much(const char *bytes, size_t n)
{
    size_t extra = 0;

    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c == '\0')
            return true;
        if (c == '"' || c == '\\' || c == '\n' || c == '\r' || c == '\t')
            extra++;
        else if (c < ' ')
            extra += 5;
    }
    return extra > n / 3;
}

static int put_payload(json_t *body, const struct sb_parcel *parcel)
{
    sb_cleanup(sb_freep) char *base64 = NULL;
    json_t *text = NULL;

    if (!escapes_much(parcel->payload, parcel->size))
        text = json_stringn(parcel->size ? parcel->payload : "", parcel->size); /* checks UTF-8 */
    if (text)
        return json_object_set_new(body, "text", text) < 0 ? -ENOMEM : 0;
    base64 = sb_base64(parcel->payload, parcel->size);
    return base64 ? sb_json_put_str(body, "base64", base64) : -ENOMEM;
}

json_t *sb_parcel_body(const struct sb_parcel *parcel)
{
    const struct {
        const char *key, *text;
    } texts[] = {
        { "device", parcel->device }, { "connection", parcel->connection },
        { "topic", parcel->topic },   { "token", parcel->token },
        { "what", parcel->what },
    };
    sb_cleanup(json_decrefp) json_t *body = json_object();

    for (size_t i = 0; i < SB_COUNT(texts); i++)
        if (sb_json_put_str(body, texts[i].key, texts[i].text) < 0)
            return NULL;
    if (sb_json_put_int(body, "qos", parcel->qos) < 0 ||
        (parcel->task && sb_json_put_int(body, "task", parcel->task) < 0) ||
        put_payload(body, parcel) < 0)
        return NULL;
    return SB_STEAL(body);
}

/* The payload of a body; *ret_decoded is what must be freed after use. */
static int get_payload(const json_t *body, struct sb_parcel *parcel, uint8_t **ret_decoded)
{
    const json_t *text = json_object_get(body, "text");
    const char *base64 = sb_json_str(body, "base64");
    int r;

    if (json_is_string(text)) {
        parcel->payload = json_string_value(text);
        parcel->size = json_string_length(text);
        return 0;
    }
    if (!base64)
        return -EBADMSG;
    r = sb_base64_decode(base64, strlen(base64), ret_decoded, &parcel->size);
    if (r < 0)
        return r == -ENOMEM ? r : -EBADMSG;
    parcel->payload = *ret_decoded;
    return 0;
}

int sb_parcel_from_row(const struct sb_row *row, struct sb_parcel *ret, void **ret_block)
{
    sb_cleanup(sb_freep) uint8_t *decoded = NULL;
    struct sb_parcel parcel = {
        .id = row->id,
        .link = row->a,
        .key = row->b,
        .class = (enum sb_parcel_class)row->state,
        .device = sb_json_str(row->body, "device"),
        .connection = sb_json_str(row->body, "connection"),
        .topic = sb_json_str(row->body, "topic"),
        .token = sb_json_str(row->body, "token"),
        .what = sb_json_str(row->body, "what"),
        .qos = (int)sb_json_int(row->body, "qos", 0),
        .task = sb_json_int(row->body, "task", 0),
        .created = row->time,
    };
    int r;

    if (!parcel.link || !parcel.topic || row->state <= SB_PARCEL_PASSING ||
        row->state >= SB_PARCEL_CLASS_MAX_)
        return -EBADMSG;
    r = get_payload(row->body, &parcel, &decoded);
    return r < 0 ? r : sb_parcel_copy(&parcel, ret, ret_block);
}
