/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of a link, what a mapping may say, and how the gateway logs in. */
#include <ctype.h>
#include <errno.h>

#include "adapters/dialects/huawei/codec.h"
#include "adapters/dialects/huawei/conversation.h"
#include "bridge/base/crypto.h"
#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"

#define AT(member) offsetof(struct sb_huawei_config, member)

const struct sb_field sb_huawei_fields[] = {
    { "uri", SB_TYPE_STRING, SB_LINK_AT(uri), SB_LINK_OWN, 8, 512,
      .doc = "The platform's MQTT server: mqtts://INSTANCE.iotda-device.REGION.HOST:8883, or mqtt, "
             "ws, wss." },
    { "id", SB_TYPE_STRING, AT(id), SB_LINK_OWN, 1, 256,
      .doc = "The gateway's device id, {product_id}_{node_id}." },
    { "secret", SB_TYPE_SECRET, AT(secret),
      .doc = "The gateway's secret, as file:PATH or credential:NAME." },
    { "cert_file", SB_TYPE_STRING, SB_LINK_AT(cert_file), SB_FIELD_FILE,
      .doc = "X.509 certificate in place of a secret, PEM." },
    { "key_file", SB_TYPE_STRING, SB_LINK_AT(key_file), SB_FIELD_FILE,
      .doc = "Key of the certificate, PEM." },
    SB_LINK_TRUST,
    { "check_time", SB_TYPE_BOOL, AT(check_time), .otherwise = "true",
      .doc = "Let the platform compare the hour of a login with its own; needs a clock that is "
             "set." },
    { "add_devices", SB_TYPE_BOOL, AT(add_devices), .otherwise = "false",
      .doc = "Ask the platform to add devices that it does not know, and to delete those that are "
             "removed here." },
    SB_LINK_KEEPALIVE(5 * SB_SECOND, SB_HOUR, "2m"),
    { 0 }
};

static const struct sb_field cell_fields[] = {
    { "result_code", SB_TYPE_INT, 0, 0, 0, 255, .doc = "Of an upgrade_progress_report." },
    { "command", SB_TYPE_INT, 0, 0, 0, 65535,
      .doc = "result_code of the answer to a command or a property request; 1 where a cause says "
             "nothing." },
    { "message", SB_TYPE_STRING, 0, 0, 1, 200, .doc = "Text where the task has none." },
    { 0 }
};

static const struct sb_field limit_fields[] = {
    { "final_within", SB_TYPE_DURATION, 0, 0, SB_SECOND, 5 * SB_MINUTE, "18s",
      .doc = "A command or property request is answered without its result after this time." },
    { "online_within", SB_TYPE_DURATION, 0, 0, 0, 30 * SB_DAY, "1d",
      .doc = "An accepted request fails when its device stays offline so long; 0: never." },
    { "stale_after", SB_TYPE_DURATION, 0, 0, SB_MINUTE, 7 * SB_DAY, "10m",
      .doc = "Signs of life are kept every half of it." },
    { "connect_rate", SB_TYPE_INT, 0, 0, 1, 10000, "100",
      .doc = "Devices that are told of in a second after a connect." },
    { "batch_after", SB_TYPE_DURATION, 0, 0, 0, SB_MINUTE, "200ms",
      .doc = "Statuses and values are gathered for so long." },
    { "report_every", SB_TYPE_DURATION, 0, 0, SB_SECOND, SB_DAY, "1m",
      .doc = "Values that have changed are reported so often." },
    { "status_within", SB_TYPE_DURATION, 0, 0, SB_SECOND, SB_HOUR, "30s",
      .doc = "How long the platform may take to answer about statuses." },
    { "status_retry", SB_TYPE_DURATION, 0, 0, SB_SECOND, SB_DAY, "5m",
      .doc = "A sub-device that the platform refused is told of again." },
    { "busy_retry", SB_TYPE_DURATION, 0, 0, SB_SECOND, SB_HOUR, "5s",
      .doc = "An upgrade that cannot be taken now is tried again." },
    { "busy_within", SB_TYPE_DURATION, 0, 0, 0, SB_DAY, "10m",
      .doc = "And refused after this time." },
    { "open_requests", SB_TYPE_INT, 0, 0, 1, 64, "16",
      .doc = "Commands and property requests of one device that may wait for their result." },
    { 0 }
};

#define NAME SB_LINK_NAME

static const struct sb_field name_fields[] = {
    NAME("client", "{id}_0_{sign}_{hour}", "MQTT client id."),
    NAME("user", "{id}", "MQTT user name."),
    NAME("subscribe_events", "$oc/devices/{id}/sys/events/down", "Topic filter of events."),
    NAME("subscribe_commands", "$oc/devices/{id}/sys/commands/+", "Topic filter of commands."),
    NAME("subscribe_sets", "$oc/devices/{id}/sys/properties/set/+",
         "Topic filter of writes of properties."),
    NAME("subscribe_gets", "$oc/devices/{id}/sys/properties/get/+",
         "Topic filter of reads of properties."),
    NAME("topic_events", "$oc/devices/{id}/sys/events/down", "Events come in."),
    NAME("topic_event", "$oc/devices/{id}/sys/events/up", "Events go out."),
    NAME("topic_command", "$oc/devices/{id}/sys/commands/request_id={request}",
         "A command comes in."),
    NAME("topic_command_answer", "$oc/devices/{id}/sys/commands/response/request_id={request}",
         "Its answer."),
    NAME("topic_set", "$oc/devices/{id}/sys/properties/set/request_id={request}",
         "Properties are to be written."),
    NAME("topic_set_answer", "$oc/devices/{id}/sys/properties/set/response/request_id={request}",
         "Its answer."),
    NAME("topic_get", "$oc/devices/{id}/sys/properties/get/request_id={request}",
         "Properties are to be read."),
    NAME("topic_get_answer", "$oc/devices/{id}/sys/properties/get/response/request_id={request}",
         "Its answer."),
    NAME("topic_report", "$oc/devices/{id}/sys/gateway/sub_devices/properties/report",
         "Values of sub-devices."),
    NAME("event_query", "version_query", "$ota: asks for versions."),
    NAME("event_versions", "version_report", "$ota: says them."),
    NAME("event_firmware", "firmware_upgrade", "$ota: an upgrade, with a token."),
    NAME("event_firmware_v2", "firmware_upgrade_v2", "$ota: an upgrade, with a signed URL."),
    NAME("event_software", "software_upgrade", "$ota: an upgrade of software, with a token."),
    NAME("event_software_v2", "software_upgrade_v2",
         "$ota: an upgrade of software, with a signed URL."),
    NAME("event_progress", "upgrade_progress_report", "$ota: how an upgrade goes."),
    NAME("event_added", "add_sub_device_notify", "The platform has added sub-devices."),
    NAME("event_deleted", "delete_sub_device_notify", "It has deleted some."),
    NAME("event_sync", "sub_device_sync_request", "Asks for what was missed of these two."),
    NAME("event_status", "sub_device_update_status", "Who is online."),
    NAME("event_status_response", "sub_device_update_status_response", "Its response."),
    NAME("event_add", "add_sub_device_request", "Asks the platform to add sub-devices."),
    NAME("event_add_response", "add_sub_device_response", "Its response."),
    NAME("event_delete", "delete_sub_device_request", "Asks the platform to delete some."),
    NAME("event_delete_response", "delete_sub_device_response", "Its response."),
    NAME("command_reboot", "reboot", "The command that restarts a device."),
    NAME("command_factory_reset", "factory_reset", "The command that resets one."),
    NAME("service", "properties", "Id of the service that has a device's properties."),
    NAME("module_software", "software",
         "The module that software upgrades are for, where a device has one of this name."),
    NAME("version_unknown", "unknown", "Version in reports of a device that has said none."),
    { 0 }
};

const struct sb_dialect_shape sb_huawei_shape = { .dialect = "huawei",
                                                  .cell = cell_fields,
                                                  .limits = limit_fields,
                                                  .names = name_fields,
                                                  .shows = false };

void sb_huawei_settings_check(const void *data, const struct sb_yaml *yaml, struct sb_diags *diags)
{
    const struct sb_huawei_config *config = data;
    sb_link_check(&config->link, yaml, diags);
    for (const char *at = config->id; at && *at; at++) {
        if (isalnum((unsigned char)*at) || *at == '_' || *at == '-')
            continue;
        sb_schema_find(diags, sb_link_place(yaml, "id"),
                       "id may have letters, digits, '_' and '-' only");
        break;
    }
    if (!config->secret == !config->link.cert_file)
        sb_schema_find(diags, sb_link_place(yaml, config->secret ? "cert_file" : "secret"),
                       "give either secret, or cert_file and key_file");
}

/* ---- logging in ---- */

static int sign(const struct sb_huawei_config *config, const char *hour, struct sb_connect *ret,
                char **ret_error)
{
    sb_cleanup(sb_secret_freep) char *secret = NULL;
    int r = sb_secret_load(config->secret, &secret, ret_error);
    if (r)
        return r;
    ret->password = sb_huawei_password(secret, hour);
    if (!ret->password)
        return -ENOMEM;
    sb_log_secret(ret->password);
    return 0;
}

static int huawei_connect(const struct sb_words *words, const void *data, const char *name,
                          int64_t wall, struct sb_connect *ret, char **ret_error)
{
    static const char *const filters[] = { "subscribe_events", "subscribe_commands",
                                           "subscribe_sets", "subscribe_gets", NULL };
    const struct sb_huawei_config *config = data;
    if (config->check_time && wall < SB_CLOCK_UNSET_BEFORE) {
        *ret_error = strdup("the clock is not set, and the login has the hour in it: set the time, "
                            "or check_time: false");
        return -EAGAIN;
    }
    sb_cleanup(sb_freep) char *hour = sb_huawei_hour(wall);
    ret->clean = true; /* another hour has another client id */
    ret->qos = 1;
    int r = hour ? sb_connect_take(ret, &config->link, name, ret_error) : -ENOMEM;
    r = r ? r
          : sb_connect_call(ret, words, filters, "id", config->id, "sign",
                            config->check_time ? "1" : "0", "hour", hour, NULL);
    return r || !config->secret ? r : sign(config, hour, ret, ret_error);
}

const struct sb_dialect_ops sb_huawei_dialect = {
    .name = "huawei",
    .connect = huawei_connect,
    .decode = sb_huawei_decode,
    .load = sb_huawei_load,
    .save = sb_huawei_save,
    .drop = sb_huawei_drop,
    .step = sb_huawei_step,
};
