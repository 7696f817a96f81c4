/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The world around Azure conversations: a hub with twins that answers as the documentation says,
 * beside the core: "pump-7" and "valve.1" behind "gw-1". Mode devices: each has a connection and a
 * twin; mode gateway: all use the gateway's.
 */
#pragma once

#include "adapters/dialects/azure/azure.h"
#include "adapters/dialects/azure/codec.h"
#include "tests/fakes/core.h"

struct hub_answer { /* of a method */
    int status;
    char *rid;
    json_t *payload;
};

struct hub_reply {
    enum core_actor to;
    char *topic, *text;
};

struct hub {
    struct core core; /* first */
    struct sb_azure_config config;
    json_t *desired[CORE_ACTORS], *reported[CORE_ACTORS]; /* twins */
    int status;                                           /* of twin requests: 0 as it should be */
    const char *refuses; /* a patch with this text is answered with 400 */
    bool silent;         /* it does not answer them */
    bool miss;           /* changes of desired properties are not told */
    unsigned reads, patches;
    int64_t told_task; /* of the last patch that tells the end of one, for the audit */
    char *told_what;
    struct hub_reply replies[64];
    size_t reply_count;
    struct hub_answer answers[64];
    size_t answer_count;
    unsigned rids;
};

struct hub *hub_new(enum sb_azure_mode mode);
void hub_free(struct hub *hub);

/* The back end changes desired properties by a merge patch. */
void hub_desires(struct hub *hub, enum core_actor actor, const char *patch);
/* It calls a method; its $rid, which is borrowed. payload NULL: none. */
const char *hub_calls(struct hub *hub, enum core_actor actor, const char *method,
                      const char *payload);
/* Its answer was this status and JSON ("*": any); false and a text on stderr: it was not. */
bool hub_answered(const struct hub *hub, const char *rid, int status, const char *json);
bool hub_unanswered(const struct hub *hub, const char *rid);
/* Is that what the twin reports at "a/b/c"? json NULL: nothing is there. */
bool hub_reports(const struct hub *hub, enum core_actor actor, const char *path, const char *json);
