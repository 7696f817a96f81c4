/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The letter of the Huawei dialect: the login's vector, messages as the platform and the device
 * SDKs have them, packages, settings, hostile input.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "tests/fakes/huawei_world.h"
#include "tests/test.h"
#include "tests/unit/findings.h"

#define WORDS core_words(&sb_huawei_shape)
#define DOWN  "$oc/devices/prod_gw1/sys/"

static struct sb_huawei_config config = { .id = IOT_GATEWAY_ID };

static int decode(const char *topic, const char *payload, struct sb_message *ret)
{
    *ret = (struct sb_message){ 0 };
    return sb_huawei_decode(WORDS, &config, topic, payload, strlen(payload), ret);
}

/* ---- the login ---- */

SB_TEST(the_password_matches_the_vector)
{
    sb_cleanup(sb_freep) char *password = sb_huawei_password("s3cret", "2026112123");
    assert_string_equal(password,
                        "4b458bf610526de5abffc0ed91af9470f97a16f6e9f88003d8ef4637e46ece47");
    sb_cleanup(sb_freep) char *hour = sb_huawei_hour(INT64_C(1795305540000));
    assert_string_equal(hour, "2026112123"); /* 23:59 UTC, whatever the zone is */
}

SB_TEST(the_gateway_logs_in_with_the_hour)
{
    char *folder = new_folder(), *path = put_file(folder, "secret", "s3cret\n");
    assert_int_equal(chmod(path, 0600), 0);
    sb_cleanup(sb_freep) char *setting = sb_format("file:%s", path);
    struct sb_huawei_config full = { .link.uri = "mqtts://iot.example:8883",
                                     .id = IOT_GATEWAY_ID,
                                     .secret = setting,
                                     .link.verify = true,
                                     .check_time = true,
                                     .link.keepalive = 2 * SB_MINUTE };
    struct sb_connect login = { 0 };
    char *error = NULL;
    int64_t wall = INT64_C(1795305540000);
    assert_int_equal(sb_huawei_dialect.connect(WORDS, &full, NULL, wall, &login, &error), 0);
    assert_string_equal(login.client_id, "prod_gw1_0_1_2026112123");
    assert_string_equal(login.user, "prod_gw1");
    assert_string_equal(login.password,
                        "4b458bf610526de5abffc0ed91af9470f97a16f6e9f88003d8ef4637e46ece47");
    assert_true(login.clean && login.qos == 1 && login.keepalive == 120 && login.verify);
    assert_int_equal(login.topic_count, 4);
    assert_string_equal(login.topics[0], DOWN "events/down");
    assert_string_equal(login.topics[1], DOWN "commands/+"); /* not our own answers */
    sb_connect_done(&login);
    full.check_time = false;
    assert_int_equal(sb_huawei_dialect.connect(WORDS, &full, NULL, 0, &login, &error), 0);
    assert_string_equal(login.client_id, "prod_gw1_0_0_1970010100");
    sb_connect_done(&login);
    full.check_time = true; /* without a clock the platform would refuse the hour */
    assert_int_equal(sb_huawei_dialect.connect(WORDS, &full, NULL, 0, &login, &error), -EAGAIN);
    assert_non_null(strstr(error, "check_time: false"));
    free(SB_STEAL(error));
    sb_connect_done(&login);
    full.secret = "file:/nowhere/secret";
    assert_true(sb_huawei_dialect.connect(WORDS, &full, NULL, wall, &login, &error) < 0);
    assert_non_null(error);
    free(error);
    sb_connect_done(&login);
    remove_folder(folder);
    free(path);
}

SB_TEST(a_certificate_takes_the_place_of_the_secret)
{
    struct sb_huawei_config x509 = { .link.uri = "mqtts://iot.example:8883",
                                     .id = IOT_GATEWAY_ID,
                                     .link.cert_file = "/c.pem",
                                     .link.key_file = "/k.pem",
                                     .link.ca_file = "/ca.pem" };
    struct sb_connect login = { 0 };
    char *error = NULL;
    assert_int_equal(
        sb_huawei_dialect.connect(WORDS, &x509, NULL, INT64_C(1795305540000), &login, &error), 0);
    assert_null(login.password);
    assert_string_equal(login.cert_file, "/c.pem");
    assert_string_equal(login.key_file, "/k.pem");
    assert_string_equal(login.ca_file, "/ca.pem");
    sb_connect_done(&login);
}

SB_TEST(settings_are_checked)
{
    static const struct {
        const char *yaml, *finding;
    } cases[] = {
        { "uri: http://x\nid: a_b\nsecret: file:/s\n", "uri must begin with mqtt://" },
        { "uri: mqtt://x\nid: a/b\nsecret: file:/s\n", "id may have letters" },
        { "uri: mqtt://x\nid: a_b\n", "give either secret, or cert_file and key_file" },
        { "uri: mqtt://x\nid: a_b\nsecret: file:/s\ncert_file: /c\nkey_file: /k\n",
          "give either secret" },
        { "uri: mqtt://x\nid: a_b\ncert_file: /c\n", "cert_file and key_file go together" },
        { "uri: mqtt://x\nsecret: file:/s\n", "id" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        struct sb_yaml *yaml = tree(cases[i].yaml);
        struct sb_huawei_config read = { 0 };
        struct sb_diags diags = { 0 };
        if (sb_schema_read(yaml, NULL, sb_huawei_fields, &read, &diags) == 0)
            sb_huawei_settings_check(&read, yaml, &diags);
        expect_finding(&diags, cases[i].finding);
        sb_diags_done(&diags);
        sb_schema_done(sb_huawei_fields, &read);
        sb_yaml_free(yaml);
    }
}

/* ---- what comes in ---- */

SB_TEST(events)
{
    struct sb_message message;
    /* as the documentation prints it; without object_device_id it is the gateway's */
    assert_int_equal(decode(DOWN "events/down",
                            "{\"object_device_id\":\"prod_pump7\",\"services\":[{\"event_type\":"
                            "\"version_query\",\"service_id\":\"$ota\",\"event_time\":"
                            "\"20151212T121212Z\",\"event_id\":\"40cc9ab1\",\"paras\":{}}]}",
                            &message),
                     0);
    assert_int_equal(message.kind, SB_HUAWEI_EVENTS);
    assert_string_equal(message.name, "prod_pump7");
    assert_int_equal(json_array_size(message.body), 1);
    sb_message_done(&message);
    static const char *const own[] = {
        "{\"services\":[{\"service_id\":\"$ota\",\"event_type\":\"version_query\"}]}",
        "{\"object_device_id\":\"prod_gw1\",\"services\":[]}",
        "{\"object_device_id\":null,\"services\":[]}",
        /* the family is the gateway's, whoever is named */
        "{\"object_device_id\":\"prod_pump7\",\"services\":[{\"service_id\":"
        "\"$sub_device_manager\"}]}",
    };
    for (size_t i = 0; i < SB_COUNT(own); i++) {
        assert_int_equal(decode(DOWN "events/down", own[i], &message), 0);
        assert_null(message.name);
        assert_null(message.error);
        sb_message_done(&message);
    }
}

SB_TEST(requests)
{
    struct sb_message message;
    const char *body = "{\"object_device_id\":\"prod_pump7\",\"service_id\":\"S\","
                       "\"command_name\":\"rinse\",\"paras\":{\"n\":1}}";
    assert_int_equal(decode(DOWN "commands/request_id=42-a", body, &message), 0);
    assert_int_equal(message.kind, SB_HUAWEI_COMMAND);
    assert_string_equal(message.id, "42-a");
    assert_string_equal(message.name, "prod_pump7");
    sb_message_done(&message);
    assert_int_equal(decode(DOWN "properties/set/request_id=1", "{\"services\":[]}", &message), 0);
    assert_int_equal(message.kind, SB_HUAWEI_SET);
    sb_message_done(&message);
    assert_int_equal(decode(DOWN "properties/get/request_id=1", "{\"service_id\":\"S\"}", &message),
                     0);
    assert_int_equal(message.kind, SB_HUAWEI_GET);
    assert_null(message.name);
    sb_message_done(&message);
}

SB_TEST(what_is_not_for_us)
{
    static const char *const topics[] = {
        "",
        "$oc",
        "$oc/devices/prod_gw1/sys/events/up",
        "$oc/devices/prod_pump7/sys/events/down", /* somebody else's */
        "$oc/devices/prod_gw12/sys/events/down",
        "$oc/devices/prod_gw1/sys/commands/response/request_id=1", /* our own answers */
        "$oc/devices/prod_gw1/sys/properties/set/response/request_id=1",
        "$oc/devices/prod_gw1/sys/commands/request_id=",
        "$oc/devices/prod_gw1/sys/commands/request_id=a/b",
        "$oc/devices/prod_gw1/sys/messages/down",
        "$oc/devices/prod_gw1/user/x",
    };
    struct sb_message message;
    for (size_t i = 0; i < SB_COUNT(topics); i++)
        assert_int_equal(decode(topics[i], "{}", &message), -ENOMSG);
    char longer[400] = DOWN "commands/request_id=";
    memset(longer + strlen(longer), 'x', 300);
    assert_int_equal(decode(longer, "{}", &message), -ENOMSG);
}

SB_TEST(what_is_malformed_is_said_to_be_so)
{
    static const char *const payloads[] = { "",
                                            "{",
                                            "[]",
                                            "7",
                                            "{}",
                                            "{\"services\":{}}",
                                            "{\"object_device_id\":7,\"services\":[]}",
                                            "{\"object_device_id\":\"\",\"services\":[]}" };
    struct sb_message message;
    for (size_t i = 0; i < SB_COUNT(payloads); i++) {
        assert_int_equal(decode(DOWN "events/down", payloads[i], &message), 0);
        assert_non_null(message.error);
        sb_message_done(&message);
    }
    assert_int_equal(decode(DOWN "commands/request_id=1", "{nonsense", &message), 0);
    assert_non_null(message.error);
    assert_string_equal(message.id, "1"); /* so that it can be answered */
    sb_message_done(&message);
}

/* ---- what goes out ---- */

SB_TEST(an_event_as_the_platform_reads_it)
{
    json_t *event = sb_huawei_event("prod_pump7", "$ota", "version_report", NULL,
                                    INT64_C(1795305540000), json_pack("{s:s}", "fw_version", "1"));
    assert_true(core_is(event, "{\"object_device_id\":\"prod_pump7\",\"services\":[{\"service_id\":"
                               "\"$ota\",\"event_type\":\"version_report\",\"event_time\":"
                               "\"20261121T235900Z\",\"paras\":{\"fw_version\":\"1\"}}]}"));
    json_decref(event);
    event = sb_huawei_event(NULL, "$sub_device_manager", "x", "id-1", 0, json_object());
    assert_true(core_is(event, "{\"services\":[{\"service_id\":\"$sub_device_manager\","
                               "\"event_type\":\"x\",\"event_id\":\"id-1\",\"paras\":{}}]}"));
    json_decref(event);
}

static json_t *package_of(const char *paras, const char **ret_wrong, enum sb_cause *ret_cause)
{
    json_t *asked = json_loads(paras, 0, NULL);
    json_t *package = sb_huawei_package(asked, NULL, ret_cause, ret_wrong);
    json_decref(asked);
    return package;
}

#define SIGN "4312f0bdb8b6eb0b3ac1a4f9e2e9a8c98f7d4dd8ad0c3c0e0ba9a9fbd4e1b2c3"

SB_TEST(packages)
{
    const char *wrong = NULL;
    enum sb_cause cause = SB_CAUSE_NONE;
    json_t *package = package_of("{\"version\":\"v1.2\",\"url\":\"https://h:8943/iodm/inner/v1.3.0/"
                                 "firmwarefiles/ca1d\",\"file_size\":81362928,\"access_token\":"
                                 "\"595124473f86\",\"expires\":86400,\"sign\":\"" SIGN "\"}",
                                 &wrong, &cause);
    assert_true(core_is(package, "{\"uri\":\"https://h:8943/iodm/inner/v1.3.0/firmwarefiles/ca1d\","
                                 "\"version\":\"v1.2\",\"size\":81362928,\"sha256\":\"" SIGN "\","
                                 "\"extra\":{\"headers\":{\"Authorization\":"
                                 "\"Bearer 595124473f86\"}}}"));
    json_decref(package);
    package = package_of("{\"version\":\"2\",\"url\":\"https://obs/x?sig=1\"}", &wrong, &cause);
    assert_true(core_is(package, "{\"uri\":\"https://obs/x?sig=1\",\"version\":\"2\"}"));
    json_decref(package);
    static const struct {
        const char *paras;
        enum sb_cause cause;
    } bad[] = {
        { "{}", SB_CAUSE_INVALID_URI },
        { "{\"version\":\"2\",\"url\":\"\"}", SB_CAUSE_INVALID_URI },
        { "{\"version\":\"2\",\"url\":\"/etc/passwd\"}", SB_CAUSE_INVALID_URI },
        { "{\"version\":\"2\",\"url\":7}", SB_CAUSE_INVALID_URI },
        { "{\"url\":\"https://h/x\"}", SB_CAUSE_INVALID_REQUEST },
        { "{\"url\":\"https://h/x\",\"version\":2}", SB_CAUSE_INVALID_REQUEST },
        { "{\"url\":\"https://h/x\",\"version\":\"2\",\"sign\":\"abc\"}", SB_CAUSE_VERIFY_FAILED },
        { "{\"url\":\"https://h/x\",\"version\":\"2\",\"access_token\":\"a\\r\\nX: y\"}",
          SB_CAUSE_INVALID_REQUEST },
    };
    for (size_t i = 0; i < SB_COUNT(bad); i++) {
        assert_null(package_of(bad[i].paras, &wrong, &cause));
        assert_non_null(wrong);
        assert_int_equal(cause, bad[i].cause);
    }
}
