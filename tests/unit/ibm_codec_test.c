/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "adapters/dialects/ibm/codec.h"
#include "bridge/base/str.h"
#include "tests/fakes/ibm_world.h"
#include "tests/test.h"

#define WORDS core_words(&sb_ibm_shape)

static const struct sb_ibm_config config = { .org = "org123", .type = "gwtype", .id = "gw1" };

#define DEVICE "iotdm-1/type/pump/id/p7/"

static struct sb_message decode(const char *topic, const char *payload)
{
    struct sb_message message = { 0 };
    assert_int_equal(sb_ibm_decode(WORDS, &config, topic, payload, strlen(payload), &message), 0);
    return message;
}

/* ---- topics ---- */

SB_TEST(topics_say_who_and_what)
{
    static const struct {
        const char *rest;
        int kind;
    } table[] = {
        { "response", SB_IBM_RESPONSE },
        { "device/update", SB_IBM_UPDATE },
        { "observe", SB_IBM_OBSERVE },
        { "cancel", SB_IBM_CANCEL },
        { "mgmt/initiate/device/reboot", SB_IBM_REBOOT },
        { "mgmt/initiate/device/factory_reset", SB_IBM_FACTORY_RESET },
        { "mgmt/initiate/firmware/download", SB_IBM_DOWNLOAD },
        { "mgmt/initiate/firmware/update", SB_IBM_INSTALL },
        { "mgmt/custom/southbridge/read", SB_IBM_CUSTOM },
        { "mgmt/initiate/device/factoryReset", SB_IBM_UNKNOWN },
        { "device/update/location", SB_IBM_UNKNOWN },
        { "responses", SB_IBM_UNKNOWN },
    };
    for (size_t i = 0; i < SB_COUNT(table); i++) {
        sb_cleanup(sb_freep) char *topic = sb_format(DEVICE "%s", table[i].rest);
        struct sb_message message = decode(topic, "{\"reqId\":\"r1\"}");
        assert_int_equal(message.kind, table[i].kind);
        assert_string_equal(message.name, "pump/p7");
        assert_string_equal(message.id, "r1");
        sb_message_done(&message);
    }
}

SB_TEST(custom_actions_keep_bundle_and_action)
{
    struct sb_message message = decode(DEVICE "mgmt/custom/b.1/a-2", "{\"reqId\":\"r\"}");
    assert_string_equal(message.what, "b.1/a-2");
    assert_null(message.error);
    sb_message_done(&message);
}

SB_TEST(the_gateways_own_topics_have_no_name)
{
    struct sb_message message =
        decode("iotdm-1/type/gwtype/id/gw1/observe",
               "{\"reqId\":\"r\",\"d\":{\"fields\":[{\"field\":\"mgmt.firmware\"}]}}");
    assert_null(message.name);
    assert_int_equal(message.kind, SB_IBM_OBSERVE);
    sb_message_done(&message);
    message = decode("iot-2/type/gwtype/id/gw1/notify", "{\"Request\":\"Publish\",\"RC\":160}");
    assert_int_equal(message.kind, SB_IBM_NOTIFICATION);
    assert_int_equal(sb_json_int(message.body, "RC", 0), 160);
    sb_message_done(&message);
}

SB_TEST(foreign_topics_are_not_for_us)
{
    static const char *const topics[] = {
        "",
        "iotdm-1",
        "iotdm-1/response",
        "iotdm-1/type/pump/id/p7",
        "iotdm-1/type/pump/id/p7/",
        "iotdm-1/type//id/p7/response",
        "iotdm-1/type/pump/id//response",
        "iotdevice-1/type/pump/id/p7/response",
        "iot-2/type/other/id/gw1/notify",
        "iotdm-2/type/pump/id/p7/response",
        "xiotdm-1/type/pump/id/p7/response",
    };
    for (size_t i = 0; i < SB_COUNT(topics); i++) {
        struct sb_message message = { 0 };
        assert_int_equal(sb_ibm_decode(WORDS, &config, topics[i], "{}", 2, &message), -ENOMSG);
        assert_null(message.name);
    }
    sb_cleanup(sb_freep) char *name = calloc(1, 400);
    memset(name, 'x', 399);
    sb_cleanup(sb_freep) char *topic = sb_format("iotdm-1/type/%s/id/p7/response", name);
    struct sb_message message = { 0 };
    assert_int_equal(sb_ibm_decode(WORDS, &config, topic, "{}", 2, &message), -ENOMSG);
}

/* ---- bodies ---- */

static void check_fields(const char *kind, const char *payload, const char *wanted)
{
    sb_cleanup(sb_freep) char *topic = sb_format(DEVICE "%s", kind);
    struct sb_message message = decode(topic, payload);
    assert_null(message.error);
    sb_cleanup(json_decrefp) json_t *want = json_loads(wanted, 0, NULL);
    sb_cleanup(sb_freep) char *have = sb_json_text(sb_json_array(message.body, "fields"));
    if (!json_equal(want, sb_json_array(message.body, "fields")))
        fail_msg("%s\n became %s", payload, have);
    sb_message_done(&message);
}

SB_TEST(fields_of_every_generation_read_alike)
{
    const char *bare = "[{\"field\":\"mgmt.firmware\"}]";
    const char *full = "[{\"field\":\"mgmt.firmware\",\"value\":{\"state\":0}}]";
    check_fields("observe", "{\"reqId\":\"r\",\"d\":{\"fields\":[{\"field\":\"mgmt.firmware\"}]}}",
                 bare);
    check_fields("observe", "{\"reqId\":\"r\",\"d\":{\"fields\":[\"mgmt.firmware\"]}}", bare);
    check_fields("cancel", "{\"reqId\":\"r\",\"d\":{\"data\":[{\"field\":\"mgmt.firmware\"}]}}",
                 bare);
    check_fields("cancel", "{\"reqId\":\"r\",\"d\":{\"data\":[\"mgmt.firmware\"]}}", bare);
    check_fields("device/update",
                 "{\"reqId\":\"r\",\"d\":{\"fields\":[{\"field\":\"mgmt.firmware\","
                 "\"value\":{\"state\":0}}]}}",
                 full);
    check_fields("device/update",
                 "{\"reqId\":\"r\",\"d\":{\"field\":\"mgmt.firmware\",\"value\":{\"state\":0}}}",
                 full);
    check_fields("mgmt/custom/b/a", "{\"reqId\":\"r\"}", "[]");
    check_fields("mgmt/custom/b/a", "{\"reqId\":\"r\",\"d\":{\"fields\":[]}}", "[]");
}

SB_TEST(wrong_shapes_are_errors_with_an_id)
{
    static const char *const bodies[] = {
        "{\"reqId\":\"r1\"}",
        "{\"reqId\":\"r1\",\"d\":null}",
        "{\"reqId\":\"r1\",\"d\":[]}",
        "{\"reqId\":\"r1\",\"d\":{}}",
        "{\"reqId\":\"r1\",\"d\":{\"fields\":{}}}",
        "{\"reqId\":\"r1\",\"d\":{\"fields\":[]}}",
        "{\"reqId\":\"r1\",\"d\":{\"fields\":[7]}}",
        "{\"reqId\":\"r1\",\"d\":{\"fields\":[{}]}}",
        "{\"reqId\":\"r1\",\"d\":{\"fields\":[{\"field\":\"\"}]}}",
        "{\"reqId\":\"r1\",\"d\":{\"fields\":[{\"field\":\"a\"},{\"field\":7}]}}",
    };
    for (size_t i = 0; i < SB_COUNT(bodies); i++) {
        struct sb_message message = decode(DEVICE "observe", bodies[i]);
        assert_non_null(message.error);
        assert_string_equal(message.id, "r1");
        sb_message_done(&message);
    }
}

SB_TEST(too_many_fields_are_refused)
{
    for (int n = SB_IBM_FIELDS_MAX; n <= SB_IBM_FIELDS_MAX + 1; n++) {
        struct sb_str text = { 0 };
        sb_str_add(&text, "{\"reqId\":\"r\",\"d\":{\"fields\":[\"f\"");
        for (int i = 1; i < n; i++)
            sb_str_add(&text, ",\"f\"");
        sb_str_add(&text, "]}}");
        struct sb_message message = decode(DEVICE "observe", sb_str_get(&text));
        assert_int_equal(message.error != NULL, n > SB_IBM_FIELDS_MAX);
        sb_message_done(&message);
        sb_str_done(&text);
    }
}

SB_TEST(request_ids_have_bounds)
{
    struct sb_message message = decode(DEVICE "mgmt/initiate/device/reboot", "{\"reqId\":4711}");
    assert_string_equal(message.id, "4711");
    assert_non_null(message.error); /* refused, by that id */
    sb_message_done(&message);
    static const char *const unusable[] = { "{\"reqId\":\"\"}", "{\"reqId\":[]}",
                                            "{\"reqId\":1.5}" };
    for (size_t i = 0; i < SB_COUNT(unusable); i++) {
        message = decode(DEVICE "mgmt/initiate/device/reboot", unusable[i]);
        assert_null(message.id);
        assert_non_null(message.error);
        sb_message_done(&message);
    }
    message = decode(DEVICE "mgmt/initiate/device/reboot", "{\"reqId\":null}");
    assert_null(message.id);
    assert_null(message.error);
    sb_message_done(&message);
    static const struct {
        size_t length;
        bool known, wrong;
    } lengths[] = { { 128, true, false },
                    { 129, true, true },
                    { 4096, true, true },
                    { 4097, false, true },
                    { 100000, false, true } };
    for (size_t i = 0; i < SB_COUNT(lengths); i++) {
        sb_cleanup(sb_freep) char *id = calloc(1, lengths[i].length + 1);
        memset(id, 'i', lengths[i].length);
        sb_cleanup(sb_freep) char *body = sb_format("{\"reqId\":\"%s\"}", id);
        message = decode(DEVICE "mgmt/initiate/device/reboot", body);
        assert_int_equal(message.id != NULL, lengths[i].known);
        assert_int_equal(message.error != NULL, lengths[i].wrong);
        sb_message_done(&message);
    }
}

SB_TEST(broken_texts_keep_their_id)
{
    static const struct {
        const char *text, *id;
    } table[] = {
        { "{\"reqId\":\"abc-1\",", "abc-1" },
        { "{\"d\":{,\"reqId\" : \"abc-1\"}", "abc-1" },
        { "{\"rc\":202,\"reqId\":7b244053-c08e-4d89-9ed6-6eb2618a8734}",
          "7b244053-c08e-4d89-9ed6-6eb2618a8734" },
        { "{\"reqId\":", NULL },
        { "{\"reqId\"", NULL },
        { "{\"reqId\" \"x\"", NULL },
        { "{\"reqId\":\"\"", NULL },
        { "reqId:abc", NULL },
        { "", NULL },
        { "\xff\xfe", NULL },
    };
    for (size_t i = 0; i < SB_COUNT(table); i++) {
        struct sb_message message = decode(DEVICE "mgmt/initiate/device/reboot", table[i].text);
        assert_non_null(message.error);
        if (table[i].id)
            assert_string_equal(message.id, table[i].id);
        else
            assert_null(message.id);
        sb_message_done(&message);
    }
}

SB_TEST(not_an_object_is_an_error)
{
    static const char *const bodies[] = { "[]", "7", "\"reqId\"", "null", "true" };
    for (size_t i = 0; i < SB_COUNT(bodies); i++) {
        struct sb_message message = decode(DEVICE "observe", bodies[i]);
        assert_non_null(message.error);
        assert_null(message.id);
        sb_message_done(&message);
    }
}

SB_TEST(response_codes_of_every_library)
{
    static const struct {
        const char *text;
        int code;
        const char *id;
    } table[] = {
        { "{\"rc\":200,\"reqId\":\"a\"}", 200, "a" },
        { "{\"rc\":\"409\",\"reqId\":\"a\"}", 409, "a" }, /* C# library */
        { "{\"rc\":202,\"reqId\":a-b}", 202, "a-b" },     /* embedded C */
        { "{\"rc\":\"202\",\"reqId\":a-b}", 202, "a-b" },
        { "{\"reqId\":\"a\"}", -1, "a" },
        { "{\"rc\":\"no\",\"reqId\":\"a\"}", -1, "a" },
        { "{\"rc\":-5,\"reqId\":\"a\"}", -1, "a" },
        { "{\"rc\":99999999999,\"reqId\":\"a\"}", -1, "a" },
        { "{\"rc\":\"99999999999999999999\",\"reqId\":\"a\"}", -1, "a" },
    };
    for (size_t i = 0; i < SB_COUNT(table); i++) {
        struct sb_message message = decode(DEVICE "response", table[i].text);
        assert_int_equal(message.code, table[i].code);
        assert_string_equal(message.id, table[i].id);
        sb_message_done(&message);
    }
}

/* ---- what is sent ---- */

static void check_json(json_t *value, const char *wanted)
{
    sb_cleanup(sb_freep) char *text = sb_json_text(value);
    assert_string_equal(text, wanted);
    json_decref(value);
}

SB_TEST(payloads_letter_for_letter)
{
    check_json(sb_ibm_answer(204, NULL, "r", NULL), "{\"rc\":204,\"reqId\":\"r\"}");
    check_json(sb_ibm_answer(500, "why", "r", NULL),
               "{\"rc\":500,\"message\":\"why\",\"reqId\":\"r\"}");
    sb_cleanup(json_decrefp) json_t *fields = json_array();
    assert_int_equal(sb_ibm_add_field(fields, "x", NULL), 0);
    assert_int_equal(sb_ibm_add_field(fields, "y", json_integer(1)), 0);
    check_json(sb_ibm_answer(404, NULL, "r", fields),
               "{\"rc\":404,\"reqId\":\"r\","
               "\"d\":{\"fields\":[{\"field\":\"x\"},{\"field\":\"y\",\"value\":1}]}}");
    check_json(sb_ibm_request(NULL, "r"), "{\"reqId\":\"r\"}");
    check_json(sb_ibm_notify(2, 1, "r"),
               "{\"d\":{\"fields\":[{\"field\":\"mgmt.firmware\","
               "\"value\":{\"state\":2,\"updateStatus\":1}}]},\"reqId\":\"r\"}");
    check_json(sb_ibm_error_code(112, "r"), "{\"d\":{\"errorCode\":112},\"reqId\":\"r\"}");
    check_json(sb_ibm_log("m", SB_IBM_ERROR, INT64_C(1764000000000), "r"),
               "{\"d\":{\"message\":\"m\",\"timestamp\":\"2025-11-24T16:00:00.000Z\","
               "\"severity\":2},\"reqId\":\"r\"}");
    check_json(sb_ibm_log("m", SB_IBM_INFO, 0, "r"),
               "{\"d\":{\"message\":\"m\",\"severity\":0},\"reqId\":\"r\"}");
}

SB_TEST(uris)
{
    static const char *const good[] = { "https://a/b", "http://[::1]:80/x?y#z", "ftp://h",
                                        "s3+x://bucket/key" };
    static const char *const bad[] = { "",           "some uri",   "https://",
                                       "https:///x", "https:/a",   "a/b",
                                       "1x://h",     "http://a b", "http://a\nb",
                                       "://x",       "http://?q",  "http://a\x7f" };
    for (size_t i = 0; i < SB_COUNT(good); i++)
        assert_true(sb_ibm_uri_ok(good[i]));
    for (size_t i = 0; i < SB_COUNT(bad); i++)
        assert_false(sb_ibm_uri_ok(bad[i]));
    assert_false(sb_ibm_uri_ok(NULL));
    sb_cleanup(sb_freep) char *endless = calloc(1, 3001);
    memset(endless, 'a', 3000);
    memcpy(endless, "http://", 7);
    assert_false(sb_ibm_uri_ok(endless));
}

SB_TEST(verifiers)
{
    const char *sha = "00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff";
    const char *hex = NULL;
    assert_string_equal(sb_ibm_verifier_kind(sha, &hex), "sha256");
    assert_string_equal(hex, sha);
    sb_cleanup(sb_freep) char *prefixed = sb_format("SHA256:%s", sha);
    assert_string_equal(sb_ibm_verifier_kind(prefixed, &hex), "sha256");
    assert_string_equal(hex, sha);
    assert_string_equal(sb_ibm_verifier_kind("d41d8cd98f00b204e9800998ecf8427e", &hex), "md5");
    assert_string_equal(sb_ibm_verifier_kind("md5:d41d8cd98f00b204e9800998ecf8427e", &hex), "md5");
    assert_null(sb_ibm_verifier_kind("some validation code", &hex));
    assert_null(sb_ibm_verifier_kind("da39a3ee5e6b4b0d3255bfef95601890afd80709", &hex)); /* SHA-1 */
    assert_null(sb_ibm_verifier_kind("md5:zz", &hex));
    assert_null(sb_ibm_verifier_kind("", &hex));
}

/* ---- a link's settings, and its login ---- */

static int settings(const char *text, struct sb_ibm_config *ret, char **ret_findings)
{
    struct sb_diags diags = { 0 };
    sb_cleanup(sb_yaml_freep) struct sb_yaml *yaml = NULL;
    assert_int_equal(sb_yaml_parse("link.yaml", text, strlen(text), &yaml, &diags), 0);
    int r = sb_schema_read(yaml, NULL, sb_ibm_fields, ret, &diags);
    sb_ibm_check(ret, yaml, &diags);
    *ret_findings = sb_diags_text(&diags);
    size_t total = diags.total;
    sb_diags_done(&diags);
    return r < 0 ? r : (int)total;
}

SB_TEST(settings_are_checked)
{
    static const struct {
        const char *text, *finding;
    } table[] = {
        { "uri: http://h\norg: o\ntype: t\nid: i\ntoken: file:/x\n", "link.yaml:1" },
        { "uri: mqtt://h:1\norg: o\ntype: a/b\nid: i\ntoken: file:/x\n", "type may have" },
        { "uri: mqtt://h:1\norg: o\ntype: t\nid: 'i+'\ntoken: file:/x\n", "link.yaml:4" },
        { "uri: wss://h:1\norg: o\ntype: t\nid: i\ntoken: file:/x\ncert_file: c\n", "go together" },
        { "uri: mqtts://h:1\norg: o\ntype: t\nid: i\n", "token" },
        { "uri: mqtts://h:1\norg: o\ntype: t\nid: i\ntoken: file:/x\nverifier: maybe\n", "ignore" },
    };
    for (size_t i = 0; i < SB_COUNT(table); i++) {
        struct sb_ibm_config read = { 0 };
        sb_cleanup(sb_freep) char *findings = NULL;
        assert_int_not_equal(settings(table[i].text, &read, &findings), 0);
        if (!strstr(findings, table[i].finding))
            fail_msg("%s\n gave: %s", table[i].text, findings);
        sb_schema_done(sb_ibm_fields, &read);
    }
    struct sb_ibm_config read = { 0 };
    sb_cleanup(sb_freep) char *findings = NULL;
    assert_int_equal(settings("uri: mqtts://h:8883\norg: o\ntype: t\nid: i\n"
                              "token: file:/x\nclean_session: true\n",
                              &read, &findings),
                     0);
    assert_true(read.clean && read.link.verify && read.bundle);
    assert_int_equal(read.link.keepalive, 60000);
    sb_schema_done(sb_ibm_fields, &read);
}

SB_TEST(the_login_is_a_gateways)
{
    char folder[] = "/tmp/sb-ibm-codec-XXXXXX";
    assert_non_null(mkdtemp(folder));
    sb_cleanup(sb_freep) char *path = sb_format("%s/token", folder);
    sb_cleanup(sb_freep) char *setting = sb_format("file:%s", path);
    struct sb_ibm_config link = config;
    link.link.uri = "mqtts://h:8883";
    link.token = setting;
    link.link.keepalive = 30000;
    link.link.ca_file = "/etc/ca.pem";
    struct sb_connect login = { 0 };
    char *error = NULL;
    assert_int_not_equal(sb_ibm_dialect.connect(WORDS, &link, NULL, 0, &login, &error), 0);
    assert_non_null(error); /* there is no such file yet */
    free(error);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0 && write(fd, "s3cret\n", 7) == 7 && close(fd) == 0);
    assert_int_equal(sb_ibm_dialect.connect(WORDS, &link, NULL, 0, &login, &error), 0);
    assert_string_equal(login.client_id, "g:org123:gwtype:gw1");
    assert_string_equal(login.user, "use-token-auth");
    assert_string_equal(login.password, "s3cret");
    assert_string_equal(login.uri, "mqtts://h:8883");
    assert_string_equal(login.ca_file, "/etc/ca.pem");
    assert_int_equal(login.keepalive, 30);
    assert_int_equal(login.qos, 1);
    assert_false(login.clean);
    assert_int_equal(login.topic_count, 2);
    assert_string_equal(login.topics[0], "iotdm-1/type/+/id/+/#");
    assert_string_equal(login.topics[1], "iot-2/type/gwtype/id/gw1/notify");
    sb_connect_done(&login);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}
