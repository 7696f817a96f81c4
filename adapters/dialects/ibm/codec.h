/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The letter of the IBM dialect, gateway form: topics and payloads, both ways. Pure.
 *
 * decode() accepts what the platform documents and what older platforms and libraries send
 * (IBM documentation of 2016): `d.fields` as objects or plain strings, `d.data` in its place,
 * `d.field`/`d.value` alone, `rc` as a string. A text that is no JSON is searched for its reqId
 * (and rc), so that it can still be answered.
 * In a decoded message the body of update, observe, cancel and custom requests is always
 *     {"fields": [{"field": name, "value": any}]}    (value only where one was given)
 * and the body of a notification is the object as it came; others have none.
 */
#pragma once

#include "adapters/dialects/dialect.h"

#define SB_IBM_ID_MAX     128  /* longest reqId that is worked on */
#define SB_IBM_ID_REFUSED 4096 /* longest one that is refused in its own words */
#define SB_IBM_FIELDS_MAX 64   /* most fields in one request */
#define SB_IBM_FIRMWARE   "mgmt.firmware"
/* Bytes of a payload; who sends more is disconnected (IBM docs), and would send it again. */
#define SB_IBM_PAYLOAD_MAX 131072

/* Response codes that the protocol itself fixes; all others are the mapping's. */
enum sb_ibm_rc {
    SB_IBM_RC_OK = 200,
    SB_IBM_RC_ACCEPTED = 202,
    SB_IBM_RC_CHANGED = 204,
    SB_IBM_RC_BAD = 400,
    SB_IBM_RC_FORBIDDEN = 403, /* manage: claims an action set the platform does not know */
    SB_IBM_RC_NOT_FOUND = 404,
    SB_IBM_RC_CONFLICT = 409,
    SB_IBM_RC_FAILED = 500,
    SB_IBM_RC_UNSUPPORTED = 501,
};

enum sb_ibm_kind { /* sb_message.kind */
                   SB_IBM_RESPONSE,
                   SB_IBM_UPDATE,
                   SB_IBM_OBSERVE,
                   SB_IBM_CANCEL,
                   SB_IBM_REBOOT,
                   SB_IBM_FACTORY_RESET,
                   SB_IBM_DOWNLOAD,
                   SB_IBM_INSTALL,
                   SB_IBM_CUSTOM,       /* what: "bundle/action" */
                   SB_IBM_NOTIFICATION, /* the platform's error report to the gateway */
                   SB_IBM_UNKNOWN,      /* what: the topic's rest */
                   SB_IBM_KIND_MAX_,
};
SB_NAMES_DECLARE(sb_ibm_kind)
/* Starts something on the device. */
bool sb_ibm_kind_is_action(int kind);

int sb_ibm_decode(const struct sb_words *words, const void *config, const char *topic,
                  const void *payload, size_t n, struct sb_message *ret);

/* ---- payloads; new references, NULL without memory; what is NULL is left out ---- */

/* {"rc":, "message":, "reqId":, "d": {"fields":}} */
json_t *sb_ibm_answer(int rc, const char *message, const char *id, const json_t *fields);
/* {"d":, "reqId":}; takes d */
json_t *sb_ibm_request(json_t *d, const char *id);
/* state and updateStatus together: a change of mgmt.firmware is one message (IBM docs). */
json_t *sb_ibm_notify(int state, int status, const char *id);
json_t *sb_ibm_error_code(int code, const char *id);
enum sb_ibm_severity { SB_IBM_INFO, SB_IBM_WARNING, SB_IBM_ERROR };
/* wall 0: the clock is unset, no timestamp */
json_t *sb_ibm_log(const char *message, enum sb_ibm_severity severity, int64_t wall,
                   const char *id);
/* [{"field": name}, ...] grows; takes value (may be NULL). 0 or -ENOMEM. */
int sb_ibm_add_field(json_t *fields, const char *field, json_t *value) SB_MUST_CHECK;

/* ---- small judgements ---- */

/* An absolute URI with a host: scheme://host... without blanks. Whether it may be used is for the
 * link's download rules, which the core applies. */
bool sb_ibm_uri_ok(const char *uri);
/* "sha256", "md5", or NULL: no digest that can be checked. *ret: the bare hex text, in there. */
const char *sb_ibm_verifier_kind(const char *verifier, const char **ret);
