/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of a link, what a mapping may say, and how the gateway logs in. */
#include <errno.h>

#include "adapters/dialects/alibaba/codec.h"
#include "adapters/dialects/alibaba/conversation.h"
#include "adapters/dialects/alibaba/sign.h"
#include "bridge/base/crypto.h"
#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"

SB_NAMES(sb_alibaba_sign, SB_ALIBABA_SIGN_MAX_, [SB_ALIBABA_SHA256] = "sha256",
         [SB_ALIBABA_SHA1] = "sha1", [SB_ALIBABA_MD5] = "md5");

#define AT(member) offsetof(struct sb_alibaba_config, member)

const struct sb_field sb_alibaba_fields[] = {
    { "uri", SB_TYPE_STRING, SB_LINK_AT(uri), SB_LINK_OWN, 8, 512,
      .doc = "The platform's MQTT server: mqtts://INSTANCE.mqtt.iothub.aliyuncs.com:1883, or over "
             "WebSocket wss://HOST:443." },
    { "product_key", SB_TYPE_STRING, AT(product), SB_LINK_OWN, 1, 20,
      .doc = "The gateway's product." },
    { "device_name", SB_TYPE_STRING, AT(name), SB_LINK_OWN, 1, 32,
      .doc = "The gateway's name in the product." },
    { "secret", SB_TYPE_SECRET, AT(secret), SB_FIELD_REQUIRED,
      .doc = "The gateway's device secret, as file:PATH or credential:NAME." },
    { "device_product", SB_TYPE_STRING, AT(device_product), 0, 1, 20,
      .doc = "Product of the devices whose name has no \"productKey/\" before it." },
    { "device_secret", SB_TYPE_SECRET, AT(device_secret),
      .doc = "Secrets of the devices; {name} and {product} stand for the device. Without it each "
             "registers and gets its secret from the platform." },
    { "subscribe", SB_TYPE_STRINGS, AT(topics), 0, 0, 64,
      .doc = "Topic filters to subscribe, for a platform that delivers nothing unasked." },
    { "remote_config", SB_TYPE_BOOL, AT(remote_config), .otherwise = "false",
      .doc = "Devices ask for the configuration file of their product when they log in." },
    { "sign_method", SB_TYPE_CHOICE, AT(sign), .otherwise = "sha256",
      .choices = &sb_alibaba_sign_names, .doc = "Digest of the signatures." },
    SB_LINK_TRUST,
    SB_LINK_KEEPALIVE(30 * SB_SECOND, 20 * SB_MINUTE, "1m"),
    { 0 }
};

static const struct sb_field cell_fields[] = {
    { "step", SB_TYPE_INT, 0, 0, -4, 100, .doc = "Step of an update: -4 to -1 of a failure." },
    { "percent", SB_TYPE_BOOL, .doc = "Its step is the percentage, 99 at the most." },
    { "code", SB_TYPE_INT, 0, 0, 200, 110000, .doc = "Code of the answer to a request." },
    { "status", SB_TYPE_STRING, 0, 0, 1, 40, .doc = "Status of a device job's task." },
    { "message", SB_TYPE_STRING, 0, 0, 1, 200, .doc = "Text where the task has none." },
    { 0 }
};

static const struct sb_field limit_fields[] = {
    { "reply_timeout", SB_TYPE_DURATION, 0, 0, SB_SECOND, SB_HOUR, "10s",
      .doc = "How long the platform may take to answer about topology and sessions." },
    { "login_batch", SB_TYPE_INT, 0, 0, 1, 50, "50", .doc = "Sub-devices in one login or logout." },
    { "register_batch", SB_TYPE_INT, 0, 0, 1, 100, "30", .doc = "In one registration." },
    { "topology_batch", SB_TYPE_INT, 0, 0, 1, 30, "30", .doc = "In one change of the topology." },
    { "login_retry", SB_TYPE_DURATION, 0, 0, SB_SECOND, SB_HOUR, "10s",
      .doc = "Wait after a refusal; doubles." },
    { "login_most", SB_TYPE_DURATION, 0, 0, SB_SECOND, SB_DAY, "10m",
      .doc = "And at the most so long; also of a disabled device." },
    { "session_retry", SB_TYPE_DURATION, 0, 0, 100, SB_HOUR, "1s",
      .doc = "Wait before a lost session is opened again." },
    { "offer_retry", SB_TYPE_DURATION, 0, 0, SB_SECOND, SB_DAY, "1m",
      .doc = "What cannot be taken now is asked for again." },
    { "step_every", SB_TYPE_INT, 0, 0, 1, 100, "5", .doc = "Percent between two steps told." },
    { "block_size", SB_TYPE_INT, 0, 0, 256, (int64_t)SB_PIECE_MAX, "5120",
      .doc = "Bytes asked for at a time, of a file over MQTT." },
    { "block_timeout", SB_TYPE_DURATION, 0, 0, 100, SB_HOUR, "10s",
      .doc = "A block that has not come is asked for again." },
    { "block_tries", SB_TYPE_INT, 0, 0, 1, 100, "3",
      .doc = "So often in vain, and the download has failed." },
    { "online_within", SB_TYPE_DURATION, 0, 0, 0, 30 * SB_DAY, "1d",
      .doc = "An accepted request fails when its device stays offline so long; 0: never." },
    { "stale_after", SB_TYPE_DURATION, 0, 0, SB_MINUTE, 7 * SB_DAY, "10m",
      .doc = "Signs of life are kept every half of it." },
    { "connect_rate", SB_TYPE_INT, 0, 0, 1, 10000, "200",
      .doc = "Devices that ask for their login in a second." },
    { 0 }
};

#define NAME SB_LINK_NAME

static const struct sb_field name_fields[] = {
    NAME("client",
         "{client}|securemode={mode},signmethod={method},timestamp={timestamp},_ss=1,ext=1|",
         "MQTT client id; _ss=1 asks the platform to deliver without subscriptions."),
    NAME("client_gateway", "{product}.{name}", "Of it, what is signed."),
    NAME("client_device", "{product}.{name}", "Client id of a sub-device."),
    NAME("user", "{name}&{product}", "MQTT user name."),
    NAME("mode_tls", "2", "securemode over TLS."),
    NAME("mode_plain", "3", "securemode without."),
    NAME("topic_sys", "/sys/{product}/{name}/{rest}", "Most topics."),
    NAME("topic_session", "/ext/session/{product}/{name}/{rest}", "Sessions of sub-devices."),
    NAME("topic_error", "/ext/error/{product}/{name}", "A session is lost."),
    NAME("topic_upgrade", "/ota/device/upgrade/{product}/{name}", "Firmware is pushed."),
    NAME("topic_inform", "/ota/device/inform/{product}/{name}", "The version is told."),
    NAME("topic_progress", "/ota/device/progress/{product}/{name}", "The step is told."),
    NAME("login", "combine/login", "A sub-device logs in."),
    NAME("batch_login", "combine/batch_login", "Several do."),
    NAME("logout", "combine/logout", "It logs out."),
    NAME("batch_logout", "combine/batch_logout", "Several do."),
    NAME("sub_register", "thing/sub/register", "It registers."),
    NAME("topo_add", "thing/topo/add", "It joins the topology."),
    NAME("topo_delete", "thing/topo/delete", "It leaves it."),
    NAME("topo_get", "thing/topo/get", "The topology is read."),
    NAME("topo_notify", "thing/topo/add/notify", "The platform wants devices to join."),
    NAME("topo_change", "thing/topo/change", "The topology has changed."),
    NAME("notice_disable", "thing/disable", "A device is disabled."),
    NAME("notice_enable", "thing/enable", "It is enabled."),
    NAME("notice_delete", "thing/delete", "It is deleted."),
    NAME("firmware_get", "thing/ota/firmware/get", "Asks for firmware."),
    NAME("property_set", "thing/service/property/set", "Properties are to be set."),
    NAME("property_get", "thing/service/property/get", "Properties are to be read."),
    NAME("property_post", "thing/event/property/post", "Values are told."),
    NAME("service", "thing/service/{identifier}", "A service is called."),
    NAME("job_notify", "thing/job/notify", "A device job's task comes in or changes."),
    NAME("job_get", "thing/job/get", "Asks for one."),
    NAME("job_update", "thing/job/update", "Its status is told."),
    NAME("file_download", "thing/file/download", "A block of a file is asked for."),
    NAME("config_get", "thing/config/get", "Asks for the configuration file of the product."),
    NAME("config_push", "thing/config/push", "A configuration file is pushed."),
    NAME("service_reboot", "reboot", "Service, or job, that reboots the device."),
    NAME("service_factory_reset", "factoryReset", "Service that resets it."),
    NAME("service_configure", "configure", "Service whose params are values to configure."),
    NAME("job_service", "serviceIdentifier", "Member of a job's document: the service."),
    NAME("job_params", "params", "Its params; without a service, properties to set."),
    { 0 }
};

const struct sb_dialect_shape sb_alibaba_shape = { .dialect = "alibaba",
                                                   .cell = cell_fields,
                                                   .limits = limit_fields,
                                                   .names = name_fields,
                                                   .shows = false };

/* ---- settings ---- */

void sb_alibaba_settings_check(const void *data, const struct sb_yaml *yaml, struct sb_diags *diags)
{
    const struct sb_alibaba_config *config = data;
    sb_link_check(&config->link, yaml, diags);
    if (config->device_secret && !strstr(config->device_secret, "{name}"))
        sb_schema_find(diags, sb_link_place(yaml, "device_secret"),
                       "each device has a secret of its own: say where by {name}, as in "
                       "file:/etc/southbridge/alibaba/{name}.secret, or leave it out");
}

/* ---- logging in ---- */

static int call_and_sign(const struct sb_words *words, const struct sb_alibaba_config *config,
                         const char *secret, int64_t wall, struct sb_connect *ret)
{
    static const char *const filters[] = { NULL }; /* the settings have them */
    const char *mode = sb_link_is_secure(&config->link) ? "mode_tls" : "mode_plain";
    enum sb_alibaba_sign how = (enum sb_alibaba_sign)config->sign;
    sb_cleanup(sb_freep) char *timestamp = sb_alibaba_timestamp(wall);
    sb_cleanup(sb_freep) char *client =
        sb_words_fill(sb_words_name(words, "client_gateway"), "product", config->product, "name",
                      config->name, NULL);
    if (!timestamp || !client)
        return -ENOMEM;
    int r = sb_connect_call(ret, words, filters, "product", config->product, "name", config->name,
                            "client", client, "mode", sb_words_name(words, mode), "method",
                            sb_alibaba_sign_word(how), "timestamp", timestamp, NULL);
    ret->password =
        sb_alibaba_sign_login(how, secret, client, config->name, config->product, timestamp);
    if (r || !ret->password)
        return -ENOMEM;
    sb_log_secret(ret->password);
    return 0;
}

static int alibaba_connect(const struct sb_words *words, const void *data, const char *name,
                           int64_t wall, struct sb_connect *ret, char **ret_error)
{
    const struct sb_alibaba_config *config = data;
    sb_cleanup(sb_secret_freep) char *secret = NULL;
    ret->clean = true; /* nothing is queued for us: it is asked for */
    ret->qos = 1;
    int r = sb_secret_load(config->secret, &secret, ret_error);
    r = r ? r : sb_connect_take(ret, &config->link, name, ret_error);
    r = r ? r : call_and_sign(words, config, secret, wall, ret);
    for (size_t i = 0; r == 0 && i < config->topics.count; i++)
        r = sb_connect_add_topic(ret, strdup(config->topics.list[i]));
    return r;
}

/* {product} and {name}: a device's name is its own last part here. */
static int alibaba_secret(const void *data, const char *name, char **ret, char **ret_error)
{
    const struct sb_alibaba_config *config = data;
    struct sb_alibaba_who who;
    if (!config->device_secret || sb_alibaba_who(config, name, &who) < 0)
        return -ENOENT;
    sb_cleanup(sb_freep) char *mine =
        sb_words_fill(config->device_secret, "product", who.product, NULL);
    sb_cleanup(sb_freep) char *setting = NULL;
    int r = mine ? sb_connect_fill(mine, who.name, &setting, ret_error) : -ENOMEM;
    return r ? r : sb_secret_load(setting, ret, ret_error);
}

const struct sb_dialect_ops sb_alibaba_dialect = {
    .name = "alibaba",
    .connect = alibaba_connect,
    .secret = alibaba_secret,
    .decode = sb_alibaba_decode,
    .load = sb_alibaba_load,
    .save = sb_alibaba_save,
    .drop = sb_alibaba_drop,
    .step = sb_alibaba_step,
};
