/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/audit_check.h"

#include <errno.h>

#include "bridge/base/crypto.h"
#include "bridge/base/str.h"

char *sb_audit_text(const json_t *record)
{
    return sb_json_sorted(record);
}

char *sb_audit_hash_text(const char *previous, const char *text)
{
    sb_cleanup(sb_freep) char *both = sb_format("%s\n%s", previous, text);

    return both ? sb_sha256_hex(both, strlen(both)) : NULL;
}

char *sb_audit_hash(const char *previous, const json_t *record)
{
    sb_cleanup(json_decrefp) json_t *bare = json_copy((json_t *)record);
    sb_cleanup(sb_freep) char *text = NULL;

    if (!bare)
        return NULL;
    (void)json_object_del(bare, "hash"); /* there may be none yet */
    text = sb_audit_text(bare);
    return text ? sb_audit_hash_text(previous, text) : NULL;
}

static bool is_hash(const char *text)
{
    return text && strlen(text) == SB_SHA256_HEX;
}

/* The oldest record at hand is taken at its word, unless it claims to be the first of all; a later
 * record has to vouch for it. */
static bool follows(const struct sb_audit_check *check, int64_t id, const char *previous)
{
    if (check->expected_id == 0)
        return id == 1 ? *previous == '\0' : id > 1 && is_hash(previous);
    return id == check->expected_id && strcmp(previous, check->previous) == 0;
}

static void vouch(struct sb_audit_check *check, const json_t *record)
{
    const json_t *detail = sb_json_object(record, "detail");

    check->vouched |= sb_streq(sb_json_str(record, "verb"), SB_AUDIT_TRIMMED) &&
                      sb_json_int(detail, "through", 0) == check->first - 1 &&
                      sb_streq(sb_json_str(detail, "hash"), check->before);
}

bool sb_audit_whole(const struct sb_audit_check *check)
{
    return check->vouched || check->first == 0;
}

int sb_audit_verify(struct sb_audit_check *check, const json_t *record)
{
    const char *previous = sb_json_str(record, "previous");
    const char *claimed = sb_json_str(record, "hash");
    int64_t id = sb_json_int(record, "id", 0);
    sb_cleanup(sb_freep) char *hash = NULL;

    if (!previous || !is_hash(claimed) || !follows(check, id, previous))
        return -EBADMSG;
    hash = sb_audit_hash(previous, record);
    if (!hash)
        return -ENOMEM;
    if (strcmp(hash, claimed) != 0)
        return -EBADMSG;
    if (check->first == 0) {
        check->first = id;
        check->vouched = id == 1;
        memcpy(check->before, previous, strlen(previous) + 1);
    }
    vouch(check, record);
    memcpy(check->previous, claimed, SB_SHA256_HEX + 1);
    check->expected_id = id + 1;
    return 0;
}
