/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The letter of the Azure dialect, device's side: topics and payloads, both ways. Pure.
 *
 * decode(): a method's message has the method's name in `what`, its $rid in `id` and the payload,
 * any JSON, in `body` (NULL: empty). In gateway mode `name` is the payload's "target" and the body
 * the payload without it. A twin result has its $rid and the status in `code`; a desired patch has
 * "$version" in its body (the topic's, if the body has none).
 *
 * Twins: what is sent is a merge patch; null deletes. Names of members must not have the
 * characters . $ space and controls, texts are at most 4 KiB, and all is at most ten levels deep
 * (limits of the hub).
 */
#pragma once

#include "adapters/dialects/azure/azure.h"

#define SB_AZURE_ID_MAX   256    /* longest $rid that can be answered */
#define SB_AZURE_TEXT_MAX 4000   /* bytes of a text in a twin */
#define SB_AZURE_BODY_MAX 131072 /* of a method's answer */

/* Statuses that the protocol itself fixes; all others are the mapping's. */
enum sb_azure_status {
    SB_AZURE_OK = 200,
    SB_AZURE_ACCEPTED = 202,
    SB_AZURE_NO_CONTENT = 204,
    SB_AZURE_BAD = 400,
    SB_AZURE_NOT_FOUND = 404,
    SB_AZURE_CONFLICT = 409,
    SB_AZURE_THROTTLED = 429,
    SB_AZURE_FAILED = 500,
    SB_AZURE_UNSUPPORTED = 501,
    SB_AZURE_UNAVAILABLE = 503,
};

enum sb_azure_kind { /* sb_message.kind */
                     SB_AZURE_METHOD,
                     SB_AZURE_RESULT,  /* of a twin request */
                     SB_AZURE_DESIRED, /* desired properties changed */
                     SB_AZURE_KIND_MAX_,
};

int sb_azure_decode(const struct sb_words *words, const void *config, const char *topic,
                    const void *payload, size_t n, struct sb_message *ret);

/* ---- twins; new references, NULL without memory ---- */

/* What must be sent so that `from` (NULL: nothing there) becomes `to`; null in it stands for what
 * must not be there. Empty: nothing. */
json_t *sb_azure_diff(const json_t *from, const json_t *to);
/* Applies a merge patch to an object. 0 or -ENOMEM. */
int sb_azure_merge(json_t *object, const json_t *patch) SB_MUST_CHECK;
/* A foreign value as a twin may hold it: names encoded, texts cut, objects and lists in each other
 * so many levels deep at the most. */
json_t *sb_azure_clean(const json_t *value, int levels);
/* A name as a member of a twin: what is not allowed, and %, as %XX. Caller frees. */
char *sb_azure_key(const char *name);
size_t sb_azure_size(const json_t *value); /* bytes, as JSON */

/* ---- small judgements ---- */

/* "sha256" or "md5" with the lower-case hex in *ret (caller frees); NULL: no digest, or without
 * memory (*ret NULL then, too). SHA-256 in hex or base64, MD5 in hex. */
const char *sb_azure_digest(const char *text, char **ret);
