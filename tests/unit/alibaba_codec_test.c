/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The letter of the Alibaba dialect: topics and envelopes as the vendor's packages and documents
 * have them, signatures (vectors made with another implementation), packages, settings.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "adapters/dialects/alibaba/conversation.h"
#include "adapters/dialects/alibaba/sign.h"
#include "bridge/base/crypto.h"
#include "bridge/base/str.h"
#include "tests/fakes/alibaba_world.h"
#include "tests/test.h"

#define WORDS core_words(&sb_alibaba_shape)

static struct sb_alibaba_config config = { .link.uri = "mqtts://cloud.example:1883",
                                           .product = "pk0",
                                           .name = "gw-1",
                                           .device_product = "pk1" };

static int decode(const char *topic, const char *payload, struct sb_message *ret)
{
    *ret = (struct sb_message){ 0 };
    return sb_alibaba_decode(WORDS, &config, topic, payload, strlen(payload), ret);
}

SB_TEST(topics_and_whose_they_are)
{
    static const struct {
        const char *topic, *payload;
        int kind;
        const char *name, *what;
    } cases[] = {
        { "/ota/device/upgrade/pk1/pump-7", "{\"id\":1626969597470,\"code\":\"1000\",\"data\":{}}",
          SB_ALIBABA_UPGRADE, "pump-7", NULL },
        { "/ota/device/upgrade/pk2/valve.1", "{\"data\":{}}", SB_ALIBABA_UPGRADE, "pk2/valve.1",
          NULL },
        { "/ota/device/upgrade/pk0/gw-1", "{\"data\":{}}", SB_ALIBABA_UPGRADE, NULL, NULL },
        { "/sys/pk1/pump-7/thing/service/property/set", "{\"params\":{\"a\":1}}", SB_ALIBABA_SET,
          "pump-7", NULL },
        { "/sys/pk1/pump-7/thing/service/property/get", "{\"params\":[\"a\"]}", SB_ALIBABA_GET,
          "pump-7", NULL },
        { "/sys/pk1/pump-7/thing/service/rinse", "{\"params\":{}}", SB_ALIBABA_SERVICE, "pump-7",
          "rinse" },
        { "/sys/pk1/pump-7/thing/disable", "{}", SB_ALIBABA_NOTICE, "pump-7", "disable" },
        { "/sys/pk0/gw-1/thing/delete",
          "{\"params\":[{\"productKey\":\"pk1\",\"deviceName\":\"pump-7\"}]}", SB_ALIBABA_NOTICE,
          "pump-7", "delete" },
        { "/sys/pk0/gw-1/thing/enable", "{\"params\":{}}", SB_ALIBABA_NOTICE, NULL, "enable" },
        { "/ext/error/pk0/gw-1",
          "{\"id\":\"1\",\"code\":520,\"data\":{\"productKey\":\"pk1\",\"deviceName\":\"pump-7\"}}",
          SB_ALIBABA_ERROR, "pump-7", NULL },
        { "/ext/session/pk0/gw-1/combine/login_reply", "{\"id\":\"1\",\"code\":200}",
          SB_ALIBABA_REPLY, NULL, "login" },
        { "/ext/session/pk0/gw-1/combine/batch_logout_reply", "{\"id\":\"1\",\"code\":200}",
          SB_ALIBABA_REPLY, NULL, "batch_logout" },
        { "/sys/pk0/gw-1/thing/topo/add_reply", "{\"id\":\"1\",\"code\":200}", SB_ALIBABA_REPLY,
          NULL, "topo_add" },
        { "/sys/pk0/gw-1/thing/topo/add/notify", "{\"id\":\"1\",\"params\":[]}",
          SB_ALIBABA_TOPO_NOTIFY, NULL, NULL },
        { "/sys/pk1/pump-7/thing/ota/firmware/get_reply", "{\"id\":\"1\",\"code\":200,\"data\":{}}",
          SB_ALIBABA_FIRMWARE, "pump-7", NULL },
        { "/sys/pk1/pump-7/thing/job/notify", "{\"id\":\"1\",\"params\":{}}", SB_ALIBABA_JOB,
          "pump-7", NULL },
        { "/sys/pk1/pump-7/thing/config/push", "{\"id\":\"1\",\"params\":{}}", SB_ALIBABA_CONFIG,
          "pump-7", NULL },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        struct sb_message message;
        assert_int_equal(decode(cases[i].topic, cases[i].payload, &message), 0);
        assert_int_equal(message.kind, cases[i].kind);
        assert_true(sb_streq(message.name, cases[i].name));
        assert_true(sb_streq(message.what, cases[i].what));
        assert_null(message.error);
        sb_message_done(&message);
    }
}

SB_TEST(what_is_not_for_us)
{
    static const char *const topics[] = {
        "/sys/pk1/pump-7/thing/event/property/post", /* our own, where all is subscribed */
        "/sys/pk1/pump-7/thing/ota/firmware/get",
        "/sys/pk1/pump-7/thing/service/rinse_reply",
        "/sys/pk1/pump-7/thing/service/a/b",
        "/sys/pk0/gw-1/thing/topo/add",
        "/ext/session/pk0/gw-1/combine/login",
        "/ext/session/pk0/gw-1/combine/nonsense_reply",
        "/ota/device/progress/pk1/pump-7",
        "/sys/pk1/pump-7",
        "/sys//pump-7/thing/disable",
        "sys/pk1/pump-7/thing/disable",
        "",
    };
    struct sb_message message;
    for (size_t i = 0; i < SB_COUNT(topics); i++)
        assert_int_equal(decode(topics[i], "{\"id\":\"1\",\"code\":200}", &message), -ENOMSG);
    sb_cleanup(sb_freep) char *longer = sb_format("/sys/pk1/%0100d/thing/disable", 7);
    assert_int_equal(decode(longer, "{}", &message), -ENOMSG);
}

SB_TEST(ids_are_echoed_as_they_were)
{
    static const char *const cases[][2] = {
        { "{\"id\":\"5|exp-topic|/sys/x\"}", "5|exp-topic|/sys/x" },
        { "{\"id\":1626969597470}", "1626969597470" },
        { "{\"id\":\"\"}", "" },
        { "{\"id\":1.5}", NULL },
        { "{}", NULL },
    };
    struct sb_message message;
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        assert_int_equal(decode("/sys/pk1/pump-7/thing/disable", cases[i][0], &message), 0);
        assert_true(sb_streq(message.id, cases[i][1]));
        sb_message_done(&message);
    }
}

SB_TEST(what_is_no_json_is_said_to_be_so)
{
    struct sb_message message;
    assert_int_equal(decode("/sys/pk1/pump-7/thing/service/rinse", "{nonsense", &message), 0);
    assert_string_equal(message.error, "not valid JSON");
    sb_message_done(&message);
    assert_int_equal(decode("/sys/pk1/pump-7/thing/service/rinse", "[]", &message), 0);
    assert_string_equal(message.error, "not a JSON object");
    sb_message_done(&message);
    assert_int_equal(decode("/sys/pk0/gw-1/thing/topo/add_reply", "{\"code\":\"x1\"}", &message),
                     0);
    assert_int_equal(message.code, 0);
    sb_message_done(&message);
}

SB_TEST(signatures_match_the_vectors)
{
    static const struct {
        enum sb_alibaba_sign how;
        const char *hex;
    } cases[] = {
        { SB_ALIBABA_SHA256, "32163eb623e0f665b9a717779339772c9008b3adb48cc8780ade6d59f99b3d62" },
        { SB_ALIBABA_SHA1, "085857472aefb710b1683cb4e7057e443e8f6532" },
        { SB_ALIBABA_MD5, "80e929d400153663e196a9c113ddb7ea" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        sb_cleanup(sb_freep) char *sign = sb_alibaba_sign_login(cases[i].how, "secret", "pk0.gw-1",
                                                                "gw-1", "pk0", "1764000000000");
        assert_string_equal(sign, cases[i].hex);
    }
    sb_cleanup(sb_freep) char *unset = sb_alibaba_timestamp(5000);
    assert_string_equal(unset, "2524608000000");
}

static char *secret_file(const char *text)
{
    static char path[64];
    (void)snprintf(path, sizeof(path), "/tmp/alibaba-secret-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    return path;
}

SB_TEST(the_gateway_logs_in)
{
    char *path = secret_file("secret\n");
    sb_cleanup(sb_freep) char *setting = sb_format("file:%s", path);
    struct sb_connect login = { 0 };
    sb_cleanup(sb_freep) char *error = NULL;
    config.secret = setting;
    assert_int_equal(
        sb_alibaba_dialect.connect(WORDS, &config, NULL, INT64_C(1764000000000), &login, &error),
        0);
    assert_string_equal(login.client_id, "pk0.gw-1|securemode=2,signmethod=hmacsha256,"
                                         "timestamp=1764000000000,_ss=1,ext=1|");
    assert_string_equal(login.user, "gw-1&pk0");
    assert_string_equal(login.password,
                        "32163eb623e0f665b9a717779339772c9008b3adb48cc8780ade6d59f99b3d62");
    assert_int_equal(login.topic_count, 0);
    sb_connect_done(&login);
    assert_int_equal(unlink(path), 0);
    assert_int_not_equal(
        sb_alibaba_dialect.connect(WORDS, &config, NULL, INT64_C(1764000000000), &login, &error),
        0);
    assert_non_null(error);
    config.secret = NULL;
}

SB_TEST(a_devices_secret_is_in_its_file)
{
    char *path = secret_file("its-secret\n");
    char *secret = NULL;
    sb_cleanup(sb_freep) char *error = NULL;
    const char *name = strrchr(path, '-') - strlen("alibaba-secret");
    config.device_secret = "file:/tmp/{name}";
    assert_int_equal(sb_alibaba_dialect.secret(&config, name, &secret, &error), 0);
    assert_string_equal(secret, "its-secret");
    sb_secret_free(secret);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(sb_alibaba_dialect.secret(&config, name, &secret, &error), -ENOENT);
    config.device_secret = NULL;
    assert_int_equal(sb_alibaba_dialect.secret(&config, name, &secret, &error), -ENOENT);
}

SB_TEST(packages_of_one_file)
{
    static const struct {
        const char *data, *package;
    } cases[] = {
        { "{\"size\":432945,\"sign\":\"93230C3BDE425A9D7984A594AC55EA1E\",\"version\":\"2.0.0\","
          "\"url\":\"https://iotx-ota.example/n.bin?Expires=15&Signature=x\","
          "\"signMethod\":\"Md5\",\"md5\":\"93230c3bde425a9d7984a594ac55ea1e\","
          "\"module\":\"default\",\"extData\":{\"key\":\"v\",\"_package_udi\":\"{}\"}}",
          "{\"uri\":\"https://iotx-ota.example/"
          "n.bin?Expires=15&Signature=x\",\"version\":\"2.0.0\","
          "\"md5\":\"93230c3bde425a9d7984a594ac55ea1e\",\"size\":432945}" },
        { "{\"version\":\"2\",\"signMethod\":\"SHA256\",\"module\":\"MCU\",\"files\":[{"
          "\"fileSize\":7,\"fileName\":\"a\",\"fileUrl\":\"https://h/a\",\"fileSign\":"
          "\"32163eb623e0f665b9a717779339772c9008b3adb48cc8780ade6d59f99b3d62\"}]}",
          "{\"uri\":\"https://h/a\",\"version\":\"2\",\"module\":\"MCU\",\"sha256\":"
          "\"32163eb623e0f665b9a717779339772c9008b3adb48cc8780ade6d59f99b3d62\",\"size\":7}" },
        { "{\"size\":5092,\"streamId\":14267,\"sign\":\"93230c3bde425a9d7984a594ac55ea1e\","
          "\"dProtocol\":\"mqtt\",\"version\":\"1.0.0\",\"signMethod\":\"Md5\","
          "\"streamFileId\":1,\"md5\":\"93230c3bde425a9d7984a594ac55ea1e\"}",
          "{\"uri\":\"stream:?id=14267&file=1\",\"version\":\"1.0.0\",\"size\":5092,"
          "\"md5\":\"93230c3bde425a9d7984a594ac55ea1e\"}" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        json_t *data = json_loads(cases[i].data, 0, NULL);
        json_t *want = json_loads(cases[i].package, 0, NULL);
        const char *wrong = NULL;
        enum sb_cause cause = SB_CAUSE_NONE;
        json_t *package = sb_alibaba_package(data, &cause, &wrong);
        assert_non_null(package);
        assert_true(json_equal(package, want));
        json_decref(data);
        json_decref(want);
        json_decref(package);
    }
}

SB_TEST(packages_that_cannot_be)
{
    static const struct {
        const char *data;
        enum sb_cause cause;
    } cases[] = {
        { "{\"version\":\"2\",\"files\":[{},{}]}", SB_CAUSE_UNSUPPORTED },
        { "{\"version\":\"2\",\"isDiff\":1,\"url\":\"https://h/a\"}", SB_CAUSE_UNSUPPORTED },
        { "{\"version\":\"2\",\"isDiff\":\"1\",\"url\":\"https://h/a\"}", SB_CAUSE_UNSUPPORTED },
        { "{\"version\":\"2\",\"isDiff\":true,\"url\":\"https://h/a\"}", SB_CAUSE_UNSUPPORTED },
        { "{\"size\":5092,\"streamId\":14267,\"sign\":\"x\",\"dProtocol\":\"mqtt\",\"version\":"
          "\"1.0.0\",\"signMethod\":\"Md5\",\"streamFileId\":1,\"md5\":\"x\"}",
          SB_CAUSE_VERIFY_FAILED },
        { "{\"dProtocol\":\"mqtt\",\"version\":\"2\",\"streamId\":1,\"sign\":"
          "\"93230C3BDE425A9D7984A594AC55EA1E\"}",
          SB_CAUSE_INVALID_URI },
        { "{\"url\":\"https://h/a\"}", SB_CAUSE_INVALID_REQUEST },
        { "{\"version\":\"2\"}", SB_CAUSE_INVALID_URI },
        { "{\"version\":\"2\",\"url\":\"https://h/a\"}", SB_CAUSE_VERIFY_FAILED },
        { "{\"version\":\"2\",\"url\":\"https://h/a\",\"sign\":\"zz\"}", SB_CAUSE_VERIFY_FAILED },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        json_t *data = json_loads(cases[i].data, 0, NULL);
        const char *wrong = NULL;
        enum sb_cause cause = SB_CAUSE_NONE;
        assert_null(sb_alibaba_package(data, &cause, &wrong));
        assert_int_equal(cause, cases[i].cause);
        assert_non_null(wrong);
        json_decref(data);
    }
}

/* What a failure reads as follows from what failed and where (law 1: the loader refuses holes). */
SB_TEST(failures_by_cause_and_phase)
{
    static const struct {
        enum sb_cause cause;
        enum sb_phase phase;
        int step;
    } cases[] = {
        { SB_CAUSE_NO_SPACE, SB_PHASE_TRANSFERRING, -2 },
        { SB_CAUSE_NO_SPACE, SB_PHASE_WRITING, -4 },
        { SB_CAUSE_DOWNLOAD_FAILED, SB_PHASE_FETCHING, -2 },
        { SB_CAUSE_LINK_LOST, SB_PHASE_FETCHING, -2 },
        { SB_CAUSE_LINK_LOST, SB_PHASE_RESTARTING, -1 },
        { SB_CAUSE_VERIFY_FAILED, SB_PHASE_VERIFYING, -3 },
        { SB_CAUSE_WRITE_FAILED, SB_PHASE_WRITING, -4 },
        { SB_CAUSE_INSTALL_FAILED, SB_PHASE_ACTIVATING, -1 },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        const json_t *cell = sb_words_cell(WORDS, SB_ROLE_SENDS, SB_OP_FIRMWARE_UPDATE,
                                           SB_TASK_FAILED, cases[i].cause, cases[i].phase);
        assert_int_equal(sb_json_int(cell, "step", 0), cases[i].step);
    }
    for (int cause = SB_CAUSE_NONE + 1; cause < SB_CAUSE_MAX_; cause++) {
        const json_t *cell = sb_words_cell(WORDS, SB_ROLE_SENDS, SB_OP_FIRMWARE_UPDATE,
                                           SB_TASK_FAILED, (enum sb_cause)cause, SB_PHASE_WRITING);
        int64_t step = sb_json_int(cell, "step", 0);
        assert_true((step >= -4 && step <= -1) || cause == SB_CAUSE_ALREADY_CURRENT);
    }
}

static unsigned found(const char *text, const char *part)
{
    struct sb_diags diags = { 0 };
    struct sb_yaml *yaml = NULL;
    struct sb_alibaba_config read = { 0 };
    assert_int_equal(sb_yaml_parse("link", text, strlen(text), &yaml, &diags), 0);
    if (sb_schema_read(yaml, NULL, sb_alibaba_fields, &read, &diags) == 0)
        sb_alibaba_settings_check(&read, yaml, &diags);
    sb_cleanup(sb_freep) char *all = sb_diags_text(&diags);
    if (part && !strstr(all ? all : "", part))
        fail_msg("%s: %s", part, all ? all : "nothing");
    unsigned total = (unsigned)diags.total;
    sb_schema_done(sb_alibaba_fields, &read);
    sb_diags_done(&diags);
    sb_yaml_free(yaml);
    return total;
}

#define GATEWAY "product_key: pk0\ndevice_name: gw-1\nsecret: file:/k\n"

SB_TEST(settings_are_checked)
{
    assert_int_equal(found("uri: mqtts://h\n" GATEWAY, NULL), 0);
    assert_int_equal(found("uri: wss://host\ndevice_secret: file:/k/{name}\n" GATEWAY, NULL), 0);
    found("uri: http://h\n" GATEWAY, "uri must begin with");
    found("uri: mqtts://h\ndevice_secret: file:/k\n" GATEWAY, "{name}");
    found("uri: mqtts://h\nsign_method: crc\n" GATEWAY, "sign_method");
    found("uri: mqtts://h\n", "product_key");
}
