/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>

#include "adapters/dialects/ibm/codec.h"
#include "adapters/dialects/ibm/conversation.h"
#include "adapters/dialects/ibm/ibm.h"
#include "bridge/base/crypto.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"

SB_NAMES(
    sb_ibm_verifier,
    SB_IBM_VERIFIER_MAX_, [SB_IBM_VERIFIER_DIGEST] = "digest", [SB_IBM_VERIFIER_IGNORE] = "ignore");

#define AT(member) offsetof(struct sb_ibm_config, member)

const struct sb_field sb_ibm_fields[] = {
    { "uri", SB_TYPE_STRING, SB_LINK_AT(uri), SB_LINK_OWN, 8, 512,
      .doc = "The platform's MQTT server: mqtts://ORG.messaging.DOMAIN:8883, or mqtt, ws, wss." },
    { "org", SB_TYPE_STRING, AT(org), SB_LINK_OWN, 1, 36, .doc = "Organization id." },
    { "type", SB_TYPE_STRING, AT(type), SB_LINK_OWN, 1, 36, .doc = "The gateway's type id." },
    { "id", SB_TYPE_STRING, AT(id), SB_LINK_OWN, 1, 36, .doc = "The gateway's device id." },
    { "token", SB_TYPE_SECRET, AT(token), SB_FIELD_REQUIRED,
      .doc = "The gateway's authentication token, as file:PATH or credential:NAME." },
    { "clean_session", SB_TYPE_BOOL, AT(clean), .otherwise = "false",
      .doc = "Let the platform forget what it could not deliver while the link was down." },
    SB_LINK_KEEPALIVE(5 * SB_SECOND, SB_HOUR, "60s"),
    { "cert_file", SB_TYPE_STRING, SB_LINK_AT(cert_file), SB_FIELD_FILE,
      .doc = "Client certificate, PEM." },
    { "key_file", SB_TYPE_STRING, SB_LINK_AT(key_file), SB_FIELD_FILE,
      .doc = "Key of the client certificate, PEM." },
    SB_LINK_TRUST,
    { "bundle", SB_TYPE_BOOL, AT(bundle), .otherwise = "true",
      .doc = "Claim the custom action bundle that the mapping names." },
    { "verifier", SB_TYPE_CHOICE, AT(verifier), .otherwise = "digest",
      .choices = &sb_ibm_verifier_names,
      .doc = "A firmware verifier that is no digest: refuse the download, or ignore it." },
    { 0 }
};

static const struct sb_field cell_fields[] = {
    { "rc", SB_TYPE_INT, 0, 0, 200, 599, .doc = "Response code of the request that asked." },
    { "final", SB_TYPE_INT, 0, 0, 200, 599,
      .doc = "Response code of a custom action, which is answered when it has ended." },
    { "state", SB_TYPE_INT, 0, 0, 0, 2, .doc = "mgmt.firmware.state" },
    { "updateStatus", SB_TYPE_INT, 0, 0, 0, 6, .doc = "mgmt.firmware.updateStatus" },
    { "errorCode", SB_TYPE_INT, 0, 0, 0, 65535, .doc = "Number for add/diag/errorCodes." },
    { "maybe", SB_TYPE_BOOL,
      .doc = "A reboot that ended so may have happened: the device's return completes it." },
    { "message", SB_TYPE_STRING, 0, 0, 1, 200, .doc = "Text where the task has none." },
    { 0 }
};

static const struct sb_field limit_fields[] = {
    { "answer_within", SB_TYPE_DURATION, 0, 0, 0, SB_HOUR, "10s",
      .doc = "An action that is still queued is answered as accepted after this time." },
    { "custom_within", SB_TYPE_DURATION, 0, 0, SB_SECOND, SB_HOUR, "30s",
      .doc = "A custom action that has not ended is answered with an error after this time." },
    { "stale_after", SB_TYPE_DURATION, 0, 0, SB_MINUTE, 7 * SB_DAY, "10m",
      .doc = "Actions queued at the broker through a longer outage are refused." },
    { "online_within", SB_TYPE_DURATION, 0, 0, 0, 30 * SB_DAY, "1d",
      .doc = "An accepted action fails when its device stays offline so long; 0: never." },
    { "connect_rate", SB_TYPE_INT, 0, 0, 1, 10000, "100",
      .doc = "Devices that are managed in a second after a connect." },
    { "lifetime", SB_TYPE_DURATION, 0, 0, SB_HOUR, 365 * SB_DAY, "1d",
      .doc = "Lifetime of a manage request; the protocol's minimum is an hour." },
    { "refresh_share", SB_TYPE_INT, 0, 0, 10, 90, "50",
      .doc = "Manage again after this percentage of the lifetime." },
    { "refresh_margin", SB_TYPE_DURATION, 0, 0, SB_SECOND, 30 * SB_MINUTE, "2m",
      .doc = "And at the latest so long before the lifetime ends." },
    { "reply_timeout", SB_TYPE_DURATION, 0, 0, SB_SECOND, SB_HOUR, "10s",
      .doc = "How long the platform may take to reply." },
    { "retry", SB_TYPE_DURATION, 0, 0, SB_SECOND, SB_DAY, "5s",
      .doc = "Manage again after the platform failed or reported a conflict; doubles." },
    { "refused_retry", SB_TYPE_DURATION, 0, 0, SB_SECOND, SB_DAY, "30m",
      .doc = "Manage again after the platform refused." },
    { "withhold_after_failure", SB_TYPE_DURATION, 0, 0, SB_SECOND, SB_DAY, "1h",
      .doc = "No manage after a failed restart for so long: it would read as its completion." },
    { "seen_requests", SB_TYPE_INT, 0, 0, 4, 256, "32",
      .doc = "Request ids remembered per device, to answer a repeated one alike." },
    { "open_requests", SB_TYPE_INT, 0, 0, 1, 64, "16",
      .doc = "Actions of one device that may wait for their answer or their end." },
    { 0 }
};

#define NAME SB_LINK_NAME

static const struct sb_field name_fields[] = {
    NAME("client", "g:{org}:{type}:{id}", "MQTT client id."),
    NAME("user", "use-token-auth", "MQTT user name."),
    NAME("subscribe", "iotdm-1/type/+/id/+/#", "Topic filter of the platform's requests."),
    NAME("in", "iotdm-1/type/{type}/id/{id}/{what}", "Topics of the platform's requests."),
    NAME("out", "iotdevice-1/type/{type}/id/{id}/{what}", "Topics of what the gateway sends."),
    NAME("notifications", "iot-2/type/{type}/id/{id}/notify", "The platform's error reports."),
    NAME("in_response", "response", "Replies to what the gateway sent."),
    NAME("in_update", "device/update", "Writes attributes."),
    NAME("in_observe", "observe", "Asks to be notified."),
    NAME("in_cancel", "cancel", "Ends an observation."),
    NAME("in_reboot", "mgmt/initiate/device/reboot", "Reboot."),
    NAME("in_factory_reset", "mgmt/initiate/device/factory_reset", "Factory reset."),
    NAME("in_download", "mgmt/initiate/firmware/download", "Firmware download."),
    NAME("in_install", "mgmt/initiate/firmware/update", "Firmware update."),
    NAME("in_custom", "mgmt/custom/{bundle}/{action}", "Custom action."),
    NAME("out_response", "response", "Answers."),
    NAME("out_manage", "mgmt/manage", "Announces a device."),
    NAME("out_unmanage", "mgmt/unmanage", "Takes a device back."),
    NAME("out_notify", "notify", "Reports of observed attributes."),
    NAME("out_error", "add/diag/errorCodes", "An error code for the device's diagnostics."),
    NAME("out_error_clear", "clear/diag/errorCodes", "Clears the device's error codes."),
    NAME("out_log", "add/diag/log", "An entry for the device's diagnostic log."),
    NAME("bundle", "southbridge", "Id of the custom action bundle."),
    { 0 }
};

const struct sb_dialect_shape sb_ibm_shape = { .dialect = "ibm",
                                               .cell = cell_fields,
                                               .limits = limit_fields,
                                               .names = name_fields,
                                               .shows = false };

static bool legal_id(const char *id)
{
    for (; id && *id; id++) {
        if (!isalnum((unsigned char)*id) && !strchr("._-", *id))
            return false;
    }
    return true;
}

void sb_ibm_check(const void *config, const struct sb_yaml *yaml, struct sb_diags *diags)
{
    const struct sb_ibm_config *ibm = config;
    const char *const keys[] = { "org", "type", "id" };
    const char *const values[] = { ibm->org, ibm->type, ibm->id };
    for (size_t i = 0; i < SB_COUNT(keys); i++) {
        if (!legal_id(values[i]))
            sb_schema_find(diags, sb_link_place(yaml, keys[i]),
                           "%s may have letters, digits, '.', '_' and '-' only", keys[i]);
    }
    sb_link_check(&ibm->link, yaml, diags);
}

static int ibm_connect(const struct sb_words *words, const void *data, const char *name,
                       int64_t wall SB_UNUSED, struct sb_connect *ret, char **ret_error)
{
    static const char *const filters[] = { "subscribe", "notifications", NULL };
    const struct sb_ibm_config *config = data;
    ret->clean = config->clean;
    ret->qos = 1;
    int r = sb_secret_load(config->token, &ret->password, ret_error);
    r = r ? r : sb_connect_take(ret, &config->link, name, ret_error);
    return r ? r
             : sb_connect_call(ret, words, filters, "org", config->org, "type", config->type, "id",
                               config->id, NULL);
}

const struct sb_dialect_ops sb_ibm_dialect = {
    .name = "ibm",
    .connect = ibm_connect,
    .decode = sb_ibm_decode,
    .load = sb_ibm_load,
    .save = sb_ibm_save,
    .drop = sb_ibm_drop,
    .step = sb_ibm_step,
};
