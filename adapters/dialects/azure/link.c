/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of a link, what a mapping may say, and how each identity logs in. */
#include <errno.h>

#include "adapters/dialects/azure/codec.h"
#include "adapters/dialects/azure/conversation.h"
#include "adapters/dialects/azure/token.h"
#include "bridge/base/crypto.h"
#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"

SB_NAMES(sb_azure_mode,
         SB_AZURE_MODE_MAX_, [SB_AZURE_DEVICES] = "devices", [SB_AZURE_GATEWAY] = "gateway");
SB_NAMES(
    sb_azure_check,
    SB_AZURE_CHECK_MAX_, [SB_AZURE_CHECK_DIGEST] = "digest", [SB_AZURE_CHECK_IGNORE] = "ignore");

#define AGENT      "southbridge"
#define AT(member) offsetof(struct sb_azure_config, member)
#define WEBSOCKET_DOC                                                                              \
    "or over WebSocket wss://HUB:443/$iothub/websocket?iothub-no-client-cert=true."

const struct sb_field sb_azure_fields[] = {
    { "uri", SB_TYPE_STRING, SB_LINK_AT(uri), SB_LINK_OWN, 8, 512,
      .doc = "The hub's MQTT server: mqtts://HUB.azure-devices.net:8883, " WEBSOCKET_DOC },
    { "hub", SB_TYPE_STRING, AT(hub), 0, 1, 253,
      .doc = "The hub's host name, where uri names another (a gateway, an address)." },
    { "mode", SB_TYPE_CHOICE, AT(mode), .otherwise = "devices", .choices = &sb_azure_mode_names,
      .doc = "Each device is an identity of the hub, or the gateway alone is one." },
    { "id", SB_TYPE_STRING, AT(id), SB_FIELD_ALONE, 1, 128,
      .doc = "The gateway's own device id in the hub; required in mode gateway." },
    { "key", SB_TYPE_SECRET, AT(key),
      .doc = "Symmetric key, base64, as file:PATH or credential:NAME; {name} stands for the "
             "device's name." },
    { "cert_file", SB_TYPE_STRING, SB_LINK_AT(cert_file), SB_FIELD_FILE,
      .doc = "X.509 certificate in place of a key, PEM; {name} as above." },
    { "key_file", SB_TYPE_STRING, SB_LINK_AT(key_file), SB_FIELD_FILE,
      .doc = "Key of the certificate, PEM; {name}." },
    SB_LINK_TRUST,
    SB_LINK_KEEPALIVE(5 * SB_SECOND, SB_HOUR, "3m"),
    { "check_value", SB_TYPE_CHOICE, AT(check), .otherwise = "digest",
      .choices = &sb_azure_check_names,
      .doc = "A package's check value that is no digest: refuse the update, or ignore it." },
    { 0 }
};

static const struct sb_field cell_fields[] = {
    { "status", SB_TYPE_INT, 0, 0, 200, 599, .doc = "Status of a method's answer." },
    { "ac", SB_TYPE_INT, 0, 0, 200, 599, .doc = "Status of a desired property." },
    { "fwUpdateStatus", SB_TYPE_STRING, 0, 0, 1, 40, .doc = "reported firmware.fwUpdateStatus" },
    { "dm", SB_TYPE_STRING, 0, 0, 1, 80, .doc = "status in reported iothubDM" },
    { "message", SB_TYPE_STRING, 0, 0, 1, 200, .doc = "Text where the task has none." },
    { 0 }
};

static const struct sb_field limit_fields[] = {
    { "token_lifetime", SB_TYPE_DURATION, 0, 0, 10 * SB_SECOND, 365 * SB_DAY, "1h",
      .doc = "How long a shared access signature is valid." },
    { "renew_before", SB_TYPE_DURATION, 0, 0, SB_SECOND, SB_DAY, "15m",
      .doc = "So long before its end the connection is made anew." },
    { "final_within", SB_TYPE_DURATION, 0, 0, SB_SECOND, 5 * SB_MINUTE, "20s",
      .doc = "A method that waits for its result is answered without one after this time." },
    { "online_within", SB_TYPE_DURATION, 0, 0, 0, 30 * SB_DAY, "1d",
      .doc = "An accepted request fails when its device stays offline so long; 0: never." },
    { "stale_after", SB_TYPE_DURATION, 0, 0, SB_MINUTE, 7 * SB_DAY, "10m",
      .doc = "Signs of life are kept every half of it." },
    { "connect_rate", SB_TYPE_INT, 0, 0, 1, 10000, "50",
      .doc = "Devices that connect for the first time in a second." },
    { "reply_timeout", SB_TYPE_DURATION, 0, 0, SB_SECOND, SB_HOUR, "30s",
      .doc = "How long the hub may take to answer a twin request." },
    { "throttled_retry", SB_TYPE_DURATION, 0, 0, SB_SECOND, SB_HOUR, "10s",
      .doc = "Wait after the hub has throttled or failed; doubles." },
    { "throttled_most", SB_TYPE_DURATION, 0, 0, SB_SECOND, SB_DAY, "10m",
      .doc = "And at the most so long." },
    { "wish_retry", SB_TYPE_DURATION, 0, 0, SB_SECOND, SB_DAY, "1m",
      .doc = "A desired property that cannot be acted on now is tried again." },
    { "open_requests", SB_TYPE_INT, 0, 0, 1, 64, "10",
      .doc = "Methods of one device that may wait for their result." },
    { "twin_bytes", SB_TYPE_INT, 0, 0, 1024, 1048576, "32000",
      .doc = "Largest size of the reported properties." },
    { 0 }
};

#define NAME SB_LINK_NAME

static const struct sb_field name_fields[] = {
    NAME("client", "{id}", "MQTT client id."),
    NAME("user", "{hub}/{id}/?api-version=2021-04-12&DeviceClientType={agent}", "MQTT user name."),
    NAME("resource", "{hub}/devices/{id}", "What a shared access signature is for."),
    NAME("subscribe_methods", "$iothub/methods/POST/#", "Topic filter of methods."),
    NAME("subscribe_results", "$iothub/twin/res/#", "Topic filter of twin results."),
    NAME("subscribe_desired", "$iothub/twin/PATCH/properties/desired/#",
         "Topic filter of changes of desired properties."),
    NAME("topic_method", "$iothub/methods/POST/{method}/?{query}", "A method comes in."),
    NAME("topic_answer", "$iothub/methods/res/{status}/?$rid={rid}", "Its answer."),
    NAME("topic_get", "$iothub/twin/GET/?$rid={rid}", "Asks for the twin."),
    NAME("topic_report", "$iothub/twin/PATCH/properties/reported/?$rid={rid}",
         "Changes reported properties."),
    NAME("topic_result", "$iothub/twin/res/{status}/?{query}", "Result of these two."),
    NAME("topic_desired", "$iothub/twin/PATCH/properties/desired/?{query}",
         "Desired properties changed."),
    /* The device jobs of the 2016 preview, as methods. */
    NAME("method_update", "firmwareUpdate", "Firmware update."),
    NAME("method_reboot", "reboot", "Reboot."),
    NAME("method_factory_reset", "factoryReset", "Factory reset."),
    NAME("method_configure", "updateConfiguration", "Configuration update."),
    NAME("method_read", "readProperties", "Read of device properties."),
    NAME("method_write", "writeProperties", "Write of device properties."),
    NAME("method_download", "firmwareDownload", "The first half of an update."),
    NAME("method_install", "firmwareInstall", "The second half."),
    NAME("method_cancel", "cancelFirmwareUpdate", "Takes an update back."),
    /* Members of the twin. */
    NAME("twin_firmware", "firmware", "Desired and reported firmware."),
    NAME("twin_configuration", "configuration", "Desired and reported configuration."),
    NAME("twin_properties", "deviceProperties", "Reported values that were read."),
    NAME("twin_device", "device", "Reported identity and presence."),
    NAME("twin_dm", "iothubDM", "Reported progress of methods."),
    NAME("twin_children", "children", "In mode gateway: the devices' parts."),
    NAME("dm_update", "firmwareUpdate", "In iothubDM: firmware."),
    NAME("dm_reboot", "reboot", "In iothubDM: reboot."),
    NAME("dm_factory_reset", "factoryReset", "In iothubDM: factory reset."),
    NAME("dm_failed", "failed", "Status of a reboot or reset that failed."),
    { 0 }
};

const struct sb_dialect_shape sb_azure_shape = { .dialect = "azure",
                                                 .cell = cell_fields,
                                                 .limits = limit_fields,
                                                 .names = name_fields,
                                                 .shows = false };

/* ---- settings ---- */

static bool for_each(const char *setting)
{
    return setting && strstr(setting, "{name}");
}

void sb_azure_settings_check(const void *data, const struct sb_yaml *yaml, struct sb_diags *diags)
{
    const struct sb_azure_config *config = data;
    bool each = config->mode == SB_AZURE_DEVICES;
    sb_link_check(&config->link, yaml, diags);
    if (!config->key == !config->link.cert_file)
        sb_schema_find(diags, sb_link_place(yaml, config->key ? "cert_file" : "key"),
                       "give either key, or cert_file and key_file");
    if (!each && !config->id)
        sb_schema_find(diags, sb_link_place(yaml, "mode"),
                       "mode gateway needs id: the gateway's device id in the hub");
    if (each && config->key && !for_each(config->key))
        sb_schema_find(diags, sb_link_place(yaml, "key"),
                       "each device has a key of its own: say where by {name}, as in "
                       "file:/etc/southbridge/azure/{name}.key, or set mode: gateway");
    if (each && config->link.cert_file && !for_each(config->link.cert_file))
        sb_schema_find(diags, sb_link_place(yaml, "cert_file"),
                       "each device has a certificate of its own: say where by {name}, or set "
                       "mode: gateway");
}

/* ---- logging in ---- */

bool sb_azure_has_connection(const void *data, const struct sb_device *device)
{
    const struct sb_azure_config *config = data;
    if (!device || device->gateway)
        return config->id != NULL;
    return config->mode == SB_AZURE_DEVICES;
}

/* Caller frees; NULL: no memory. */
static char *hub_of(const struct sb_azure_config *config)
{
    const char *host = sb_link_host(&config->link);
    if (config->hub)
        return strdup(config->hub);
    return host ? strndup(host, strcspn(host, ":/?#")) : strdup("");
}

static int sign(const struct sb_words *words, const char *hub, const char *id, const char *key,
                int64_t wall, struct sb_connect *ret, char **ret_error)
{
    if (wall < SB_CLOCK_UNSET_BEFORE) {
        *ret_error = strdup("the clock is not set, so no token can be made: it needs the time");
        return -EAGAIN;
    }
    sb_cleanup(sb_freep) char *resource =
        sb_words_fill(sb_words_name(words, "resource"), "hub", hub, "id", id, NULL);
    int64_t expiry = (wall + sb_words_limit(words, "token_lifetime")) / SB_SECOND;
    int r = resource ? sb_azure_token(resource, key, expiry, &ret->password, ret_error) : -ENOMEM;
    if (r == 0)
        sb_log_secret(ret->password);
    return r;
}

static int add_token(const struct sb_words *words, const struct sb_azure_config *config,
                     const char *hub, const char *id, int64_t wall, struct sb_connect *ret,
                     char **ret_error)
{
    sb_cleanup(sb_freep) char *setting = NULL;
    sb_cleanup(sb_secret_freep) char *key = NULL;
    int r = sb_connect_fill(config->key, id, &setting, ret_error);
    if (r || !setting)
        return r;
    r = sb_secret_load(setting, &key, ret_error);
    return r ? r : sign(words, hub, id, key, wall, ret, ret_error);
}

static int azure_connect(const struct sb_words *words, const void *data, const char *name,
                         int64_t wall, struct sb_connect *ret, char **ret_error)
{
    static const char *const filters[] = { "subscribe_methods", "subscribe_results",
                                           "subscribe_desired", NULL };
    const struct sb_azure_config *config = data;
    const char *id = name ? name : config->id;
    if (!id) {
        *ret_error = strdup("the gateway has no identity of its own: set id");
        return -EINVAL;
    }
    sb_cleanup(sb_freep) char *hub = hub_of(config);
    ret->clean = true; /* nothing is queued for us: the twin is read */
    ret->qos = 0;
    int r = hub ? sb_connect_take(ret, &config->link, id, ret_error) : -ENOMEM;
    r = r ? r : sb_connect_call(ret, words, filters, "hub", hub, "id", id, "agent", AGENT, NULL);
    return r ? r : add_token(words, config, hub, id, wall, ret, ret_error);
}

const struct sb_dialect_ops sb_azure_dialect = {
    .name = "azure",
    .has_connection = sb_azure_has_connection,
    .connect = azure_connect,
    .decode = sb_azure_decode,
    .load = sb_azure_load,
    .save = sb_azure_save,
    .drop = sb_azure_drop,
    .step = sb_azure_step,
};
