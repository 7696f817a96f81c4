/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The letter of the Huawei dialect, gateway's side: topics, payloads, times, the login. Pure.
 *
 * decode(): `name` is the object_device_id where it is not the gateway's own; `id` the request_id
 * of a command or property request. The body of an event message is the array of its services; a
 * message with a $sub_device_manager event is the gateway's, whoever it names. An action's body is
 * the payload.
 */
#pragma once

#include "adapters/dialects/huawei/huawei.h"

#define SB_HUAWEI_ID_MAX   256   /* longest request_id, device id, event id */
#define SB_HUAWEI_TEXT_MAX 2048  /* longest URL, token */
#define SB_HUAWEI_BODY_MAX 65536 /* of an answer */

#define SB_HUAWEI_OTA      "$ota"
#define SB_HUAWEI_UPGRADE  "upgrade" /* tag of its submit, and of its timer */
#define SB_HUAWEI_FAMILY   "$sub_device_manager"

enum sb_huawei_kind { /* sb_message.kind */
                      SB_HUAWEI_EVENTS,
                      SB_HUAWEI_COMMAND,
                      SB_HUAWEI_SET,
                      SB_HUAWEI_GET,
                      SB_HUAWEI_KIND_MAX_,
};

int sb_huawei_decode(const struct sb_words *words, const void *config, const char *topic,
                     const void *payload, size_t n, struct sb_message *ret);

/* {"object_device_id"?, "services": [{service_id, event_type, event_time?, event_id?, paras}]}.
 * Takes paras. NULL: no memory. */
json_t *sb_huawei_event(const char *device, const char *service, const char *type, const char *id,
                        int64_t wall, json_t *paras);
/* "20151212T121212Z"; caller frees. NULL: no memory, or the clock is not set. */
char *sb_huawei_time(int64_t wall);

/* ---- packages ---- */

/* The package of an upgrade event: {uri, version, sha256, size, name, module, extra}. NULL with
 * *ret_wrong, static, and *ret_cause: it cannot be used; NULL without: no memory. */
json_t *sb_huawei_package(const json_t *paras, const char *module, enum sb_cause *ret_cause,
                          const char **ret_wrong);

/* ---- login ---- */

/* "2026112123" of UTC; caller frees. */
char *sb_huawei_hour(int64_t wall);
/* Lower-case hex of HMAC-SHA256(key: hour, what: secret); caller frees. */
char *sb_huawei_password(const char *secret, const char *hour);
