/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/audit.h"

#include <errno.h>

#include "bridge/base/crypto.h"
#include "bridge/base/log.h"
#include "bridge/base/str.h"

#define DETAIL_MAX 16384 /* bytes; more is recorded by its size and digest */

struct sb_audit {
    struct sb_store *store;
    char previous[SB_SHA256_HEX + 1]; /* "": no record yet */
    int64_t first, next;              /* numbers of the oldest, and of the one to come */
};

/* ---- the chain ---- */

static bool is_hash(const char *text)
{
    return text && strlen(text) == SB_SHA256_HEX;
}

static int see_tail(void *arg, const struct sb_row *row)
{
    struct sb_audit *audit = arg;
    const char *hash = sb_json_str(row->body, "hash");

    if (!is_hash(hash))
        return -EBADMSG;
    memcpy(audit->previous, hash, SB_SHA256_HEX + 1);
    audit->next = row->id + 1;
    return 0;
}

static int see_head(void *arg, const struct sb_row *row)
{
    ((struct sb_audit *)arg)->first = row->id;
    return 0;
}

int sb_audit_new(struct sb_store *store, struct sb_audit **ret)
{
    struct sb_query end = { .table = SB_TABLE_AUDIT, .state = -1, .limit = 1 };
    sb_cleanup(sb_audit_freep) struct sb_audit *audit = calloc(1, sizeof(*audit));
    int r;

    if (!audit)
        return -ENOMEM;
    audit->store = store;
    audit->first = audit->next = 1;
    r = sb_store_query(store, &end, see_head, audit);
    end.newest_first = true;
    if (r == 0)
        r = sb_store_query(store, &end, see_tail, audit);
    if (r == 0)
        *ret = SB_STEAL(audit);
    return r;
}

struct sb_audit *sb_audit_free(struct sb_audit *audit)
{
    free(audit);
    return NULL;
}

/* ---- records ---- */

static json_t *redacted(const json_t *value);

static json_t *redacted_array(const json_t *array)
{
    sb_cleanup(json_decrefp) json_t *copy = json_array();

    for (size_t i = 0; i < json_array_size(array); i++)
        if (json_array_append_new(copy, redacted(json_array_get(array, i))) < 0)
            return NULL;
    return SB_STEAL(copy);
}

static json_t *redacted_object(const json_t *object)
{
    sb_cleanup(json_decrefp) json_t *copy = json_object();

    for (void *at = json_object_iter((json_t *)object); at;
         at = json_object_iter_next((json_t *)object, at))
        if (json_object_set_new(copy, json_object_iter_key(at),
                                redacted(json_object_iter_value(at))) < 0)
            return NULL;
    return SB_STEAL(copy);
}

/* A copy of any value with every text redacted; NULL: no memory. */
static json_t *redacted(const json_t *value)
{
    if (json_is_array(value))
        return redacted_array(value);
    if (json_is_object(value))
        return redacted_object(value);
    if (!json_is_string(value))
        return json_deep_copy(value);
    sb_cleanup(sb_freep) char *text = sb_redact(json_string_value(value));
    return text ? json_string(text) : NULL;
}

/* Puts size and digest in place of a detail that is too long. */
static int bound_detail(json_t *record)
{
    sb_cleanup(sb_freep) char *text = sb_json_text(json_object_get(record, "detail"));
    sb_cleanup(sb_freep) char *digest = NULL;

    if (!text)
        return -ENOMEM;
    if (strlen(text) <= DETAIL_MAX)
        return 0;
    digest = sb_sha256_hex(text, strlen(text));
    return digest && json_object_set_new(record, "detail",
                                         json_pack("{s:I,s:s}", "omitted_bytes",
                                                   (json_int_t)strlen(text), "sha256", digest)) == 0
               ? 0
               : -ENOMEM;
}

/* One text serves for the bound, the hash and the store; it seldom takes another. */
static char *text_of(json_t *record)
{
    char *text = sb_audit_text(record);

    if (!text || strlen(text) <= DETAIL_MAX || !json_object_get(record, "detail"))
        return text;
    free(text);
    return bound_detail(record) == 0 ? sb_audit_text(record) : NULL;
}

/* The text with the hash in it, as it is stored. */
static char *sealed(const char *text, const char *hash)
{
    return sb_format("%.*s,\"hash\":\"%s\"}", (int)strlen(text) - 1, text, hash);
}

static int put_redacted(json_t *record, const char *key, const char *text)
{
    sb_cleanup(sb_freep) char *clean = sb_redact(text);

    return clean ? sb_json_put_str(record, key, clean) : -ENOMEM;
}

static int fill(json_t *record, const struct sb_audit *audit, const char *actor, const char *verb,
                const char *subject, int64_t wall, const json_t *detail)
{
    int r = sb_json_put_int(record, "id", audit->next);

    if (r == 0)
        r = sb_json_put_int(record, "time", wall);
    if (r == 0)
        r = put_redacted(record, "actor", actor);
    if (r == 0)
        r = sb_json_put_str(record, "verb", verb);
    if (r == 0)
        r = put_redacted(record, "subject", subject);
    if (r == 0 && detail)
        r = json_object_set_new(record, "detail", redacted(detail)) < 0 ? -ENOMEM : 0;
    return r < 0 ? r : sb_json_put_str(record, "previous", audit->previous);
}

static int add(struct sb_audit *audit, const char *actor, const char *verb, const char *subject,
               int64_t wall, const json_t *detail)
{
    sb_cleanup(json_decrefp) json_t *record = json_object();
    sb_cleanup(sb_freep) char *text = NULL, *hash = NULL, *stored = NULL;
    int r;

    if (!actor || !verb || !subject)
        return -EINVAL;
    r = record ? fill(record, audit, actor, verb, subject, wall, detail) : -ENOMEM;
    if (r < 0)
        return r;
    text = text_of(record);
    hash = text ? sb_audit_hash_text(audit->previous, text) : NULL;
    stored = hash ? sealed(text, hash) : NULL;
    if (!stored)
        return -ENOMEM;
    r = sb_store_put(audit->store, SB_TABLE_AUDIT,
                     &(struct sb_row){ .id = audit->next,
                                       .a = sb_json_str(record, "subject"),
                                       .b = sb_json_str(record, "actor"),
                                       .time = wall,
                                       .text = stored });
    if (r < 0)
        return r;
    memcpy(audit->previous, hash, SB_SHA256_HEX + 1);
    audit->next++;
    return 0;
}

int sb_audit_add(struct sb_audit *audit, const char *actor, const char *verb, const char *subject,
                 int64_t wall, const json_t *detail)
{
    return sb_store_whole(audit->store, add(audit, actor, verb, subject, wall, detail));
}

/* ---- trimming ---- */

int64_t sb_audit_count(const struct sb_audit *audit)
{
    return audit->next - audit->first;
}

struct trimming {
    int64_t excess, before;
    size_t seen, going; /* of the oldest records; what lies between goes only with its successor */
    int64_t through;
    char hash[SB_SHA256_HEX + 1];
};

/* 1: it stays, and all after it. */
static int see_old(void *arg, const struct sb_row *row)
{
    struct trimming *trimming = arg;
    const char *hash = sb_json_str(row->body, "hash");
    bool surplus = (int64_t)trimming->seen < trimming->excess;
    bool dated = row->time != 0;

    if (!is_hash(hash))
        return -EBADMSG;
    if (!surplus && (!trimming->before || (dated && row->time >= trimming->before)))
        return 1;
    trimming->seen++;
    if (!surplus && !dated)
        return 0;
    trimming->going = trimming->seen;
    trimming->through = row->id;
    memcpy(trimming->hash, hash, SB_SHA256_HEX + 1);
    return 0;
}

static int note_trim(struct sb_audit *audit, const struct trimming *trimming, int64_t wall)
{
    sb_cleanup(json_decrefp) json_t *detail =
        json_pack("{s:I,s:I,s:s}", "records", (json_int_t)trimming->going, "through",
                  (json_int_t)trimming->through, "hash", trimming->hash);

    return detail ? sb_audit_add(audit, "core", SB_AUDIT_TRIMMED, "audit", wall, detail) : -ENOMEM;
}

int sb_audit_trim(struct sb_audit *audit, int64_t excess, int64_t before, int64_t wall, size_t *ret)
{
    int64_t most = SB_MIN(sb_audit_count(audit) - SB_AUDIT_LEAST, (int64_t)SB_AUDIT_TRIM);
    struct trimming trimming = { .excess = excess, .before = before };
    struct sb_query oldest = { .table = SB_TABLE_AUDIT,
                               .state = -1,
                               .after_id = audit->first - 1,
                               .limit = (size_t)SB_MAX(most, INT64_C(1)) };
    int r = most > 1 ? sb_store_query(audit->store, &oldest, see_old, &trimming) : 0;

    *ret = 0;
    if (r < 0 || trimming.going < 2) /* the record of it takes the room of one */
        return SB_MIN(r, 0);
    r = note_trim(audit, &trimming, wall); /* first: without it nothing may go */
    for (size_t i = 0; i < trimming.going && r >= 0; i++)
        r = sb_store_remove(audit->store, SB_TABLE_AUDIT, audit->first + (int64_t)i, NULL);
    if (r < 0)
        return r;
    audit->first += (int64_t)trimming.going;
    *ret = trimming.going;
    return 0;
}
