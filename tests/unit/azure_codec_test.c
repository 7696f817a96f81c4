/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The letter of the Azure dialect: topics and payloads as the azure-iot-device package was seen to
 * send and take them, signature vectors, twins, settings, hostile input.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "adapters/dialects/azure/conversation.h"
#include "adapters/dialects/azure/token.h"
#include "adapters/dialects/effects.h"
#include "bridge/base/crypto.h"
#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "tests/fakes/azure_world.h"
#include "tests/test.h"

#define WORDS core_words(&sb_azure_shape)

static struct sb_azure_config devices = { .mode = SB_AZURE_DEVICES };
static struct sb_azure_config gateway = { .mode = SB_AZURE_GATEWAY, .id = "gw-1" };

static int decode(const void *config, const char *topic, const char *payload,
                  struct sb_message *ret)
{
    *ret = (struct sb_message){ 0 };
    return sb_azure_decode(WORDS, config, topic, payload, strlen(payload), ret);
}

/* ---- topics ---- */

SB_TEST(methods)
{
    struct sb_message message;
    assert_int_equal(decode(&devices, "$iothub/methods/POST/firmwareUpdate/?$rid=3f",
                            "{\"fwPackageUri\":\"https://x/y\"}", &message),
                     0);
    assert_int_equal(message.kind, SB_AZURE_METHOD);
    assert_string_equal(message.what, "firmwareUpdate");
    assert_string_equal(message.id, "3f");
    assert_null(message.name);
    assert_null(message.error);
    assert_string_equal(sb_json_str(message.body, "fwPackageUri"), "https://x/y");
    sb_message_done(&message);
    /* more in the query, an empty payload, one of a blank, one of any JSON */
    assert_int_equal(decode(&devices, "$iothub/methods/POST/reboot/?$rid=1&x=2", "", &message), 0);
    assert_string_equal(message.id, "1");
    assert_null(message.body);
    sb_message_done(&message);
    assert_int_equal(decode(&devices, "$iothub/methods/POST/reboot/?x=2&$rid=1", " ", &message), 0);
    assert_string_equal(message.id, "1");
    assert_null(message.body);
    sb_message_done(&message);
    assert_int_equal(decode(&devices, "$iothub/methods/POST/a/?$rid=1", "[\"x\"]", &message), 0);
    assert_true(json_is_array(message.body));
    sb_message_done(&message);
}

SB_TEST(a_gateways_methods_name_their_device)
{
    const char *topic = "$iothub/methods/POST/reboot/?$rid=1";
    struct sb_message message;
    assert_int_equal(decode(&gateway, topic, "{\"target\":\"pump-7\",\"delay\":3}", &message), 0);
    assert_string_equal(message.name, "pump-7");
    assert_null(json_object_get(message.body, "target"));
    assert_int_equal(sb_json_int(message.body, "delay", 0), 3);
    sb_message_done(&message);
    assert_int_equal(decode(&gateway, topic, "{}", &message), 0);
    assert_null(message.name);
    sb_message_done(&message);
    assert_int_equal(decode(&devices, topic, "{\"target\":\"pump-7\"}", &message), 0);
    assert_null(message.name); /* no word of that mode */
    sb_message_done(&message);
    char *long_name = malloc(400);
    memset(long_name, 'x', 399);
    long_name[399] = '\0';
    sb_cleanup(sb_freep) char *payload = sb_format("{\"target\":\"%s\"}", long_name);
    free(long_name);
    assert_int_equal(decode(&gateway, topic, payload, &message), 0);
    assert_non_null(message.error);
    sb_message_done(&message);
}

SB_TEST(twin_results_and_desired_patches)
{
    struct sb_message message;
    assert_int_equal(decode(&devices, "$iothub/twin/res/200/?$rid=a-b",
                            "{\"desired\":{\"$version\":4},\"reported\":{\"$version\":7}}",
                            &message),
                     0);
    assert_int_equal(message.kind, SB_AZURE_RESULT);
    assert_int_equal(message.code, 200);
    assert_string_equal(message.id, "a-b");
    sb_message_done(&message);
    assert_int_equal(decode(&devices, "$iothub/twin/res/204/?$rid=9&$version=12", "", &message), 0);
    assert_int_equal(message.code, 204);
    assert_string_equal(message.id, "9");
    sb_message_done(&message);
    assert_int_equal(decode(&devices, "$iothub/twin/res/oops/?$rid=9", "", &message), 0);
    assert_int_equal(message.code, 0);
    sb_message_done(&message);
    const char *topic = "$iothub/twin/PATCH/properties/desired/?$version=5";
    assert_int_equal(decode(&devices, topic, "{\"a\":1,\"$version\":5}", &message), 0);
    assert_int_equal(message.kind, SB_AZURE_DESIRED);
    assert_int_equal(sb_json_int(message.body, "$version", 0), 5);
    sb_message_done(&message);
    assert_int_equal(decode(&devices, topic, "{\"a\":1}", &message), 0); /* from the topic */
    assert_int_equal(sb_json_int(message.body, "$version", 0), 5);
    sb_message_done(&message);
}

SB_TEST(what_is_not_for_us)
{
    static const char *const topics[] = {
        "",
        "$iothub",
        "$iothub/methods/POST",
        "$iothub/methods/POST//?$rid=1",
        "$iothub/methods/POST/x/y/?$rid=1",
        "$iothub/methods/res/200/?$rid=1",
        "devices/pump-7/messages/devicebound/x",
        "$iothub/twin/GET/?$rid=1",
        "$iothub/twin/res/",
    };
    struct sb_message message;
    for (size_t i = 0; i < SB_COUNT(topics); i++)
        assert_int_equal(decode(&devices, topics[i], "{}", &message), -ENOMSG);
    sb_cleanup(sb_freep) char *endless = calloc(1, 2000);
    memset(endless, 'x', 1999);
    memcpy(endless, "$iothub/methods/POST/", 21);
    memcpy(endless + 1990, "/?$rid=1", 8);
    endless[1998] = '\0';
    assert_int_equal(decode(&devices, endless, "{}", &message), -ENOMSG);
    memcpy(endless, "$iothub/methods/POST/a/?$rid=", 29); /* and one with an endless $rid */
    memset(endless + 29, 'x', 1969);
    assert_int_equal(decode(&devices, endless, "{}", &message), -ENOMSG);
}

SB_TEST(what_is_no_json_can_be_answered)
{
    static const char *const payloads[] = { "{", "nonsense", "{\"a\":1}}", "{\"a\":1,\"a\":2}" };
    struct sb_message message;
    for (size_t i = 0; i < SB_COUNT(payloads); i++) {
        assert_int_equal(
            decode(&devices, "$iothub/methods/POST/reboot/?$rid=1", payloads[i], &message), 0);
        assert_non_null(message.error);
        assert_string_equal(message.id, "1");
        sb_message_done(&message);
    }
}

/* ---- signatures ---- */

/* Both from Microsoft's node package, recomputed independently. */
SB_TEST(signatures_match_the_vectors)
{
    static const struct {
        const char *key, *resource, *sr, *sig;
        int64_t expiry;
    } cases[] = {
        { "0123456789abcdef", "localhost", "localhost",
          "avwm22DK0ttMq4mFspfUVt6U3uFGzMg%2FDNGufAKDq8I%3D", 1795305920 },
        { "secretkey", "hub.example/devices/child-1", "hub.example%2Fdevices%2Fchild-1",
          "WrQRlsyLlnAPboZX1A03HB%2BcFVAiBA6wo0GLPjjSzU4%3D", 1795306208 },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        sb_cleanup(sb_freep) char *key = sb_base64(cases[i].key, strlen(cases[i].key));
        sb_cleanup(sb_freep) char *token = NULL, *error = NULL;
        assert_int_equal(sb_azure_token(cases[i].resource, key, cases[i].expiry, &token, &error),
                         0);
        sb_cleanup(sb_freep) char *want =
            sb_format("SharedAccessSignature sr=%s&sig=%s&se=%lld", cases[i].sr, cases[i].sig,
                      (long long)cases[i].expiry);
        assert_string_equal(token, want);
    }
    static const char *const bad[] = { "", "%%%", "not base64!" };
    for (size_t i = 0; i < SB_COUNT(bad); i++) {
        sb_cleanup(sb_freep) char *token = NULL, *error = NULL;
        assert_int_equal(sb_azure_token("r", bad[i], 1, &token, &error), -EINVAL);
        assert_non_null(strstr(error, "base64"));
    }
}

/* ---- logging in ---- */

static char folder[] = "/tmp/sb-azure-XXXXXX";

static void put_key(const char *name, const char *text)
{
    sb_cleanup(sb_freep) char *path = sb_format("%s/%s.key", folder, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    (void)fputs(text, file);
    (void)fclose(file);
    assert_int_equal(chmod(path, 0600), 0);
}

SB_TEST(each_device_logs_in_for_itself)
{
    assert_non_null(mkdtemp(folder));
    put_key("pump-7", "c2VjcmV0a2V5\n");
    sb_cleanup(sb_freep) char *key = sb_format("file:%s/{name}.key", folder);
    struct sb_azure_config config = { .link.uri = "wss://hub.example:443/x",
                                      .key = key,
                                      .link.verify = true,
                                      .link.keepalive = 180000 };
    struct sb_connect login = { 0 };
    sb_cleanup(sb_freep) char *error = NULL;
    const int64_t wall = INT64_C(1764000000000);
    assert_int_equal(sb_azure_dialect.connect(WORDS, &config, "pump-7", wall, &login, &error), 0);
    assert_string_equal(login.client_id, "pump-7");
    assert_string_equal(login.user, "hub.example/pump-7/?api-version=2021-04-12&DeviceClientType="
                                    "southbridge");
    assert_ptr_equal(
        strstr(login.password, "SharedAccessSignature sr=hub.example%2Fdevices%2Fpump-7&sig="),
        login.password);
    assert_non_null(strstr(login.password, "&se=1764003600"));
    assert_int_equal(login.topic_count, 3);
    assert_string_equal(login.topics[0], "$iothub/methods/POST/#");
    assert_int_equal(login.qos, 0);
    assert_int_equal(login.keepalive, 180);
    assert_true(login.clean);
    sb_cleanup(sb_freep) char *shown = sb_redact(login.password);
    assert_null(strstr(shown, "sig=W")); /* it is registered as a secret */
    sb_connect_done(&login);
    config.hub = "real.example"; /* behind another name */
    assert_int_equal(sb_azure_dialect.connect(WORDS, &config, "pump-7", wall, &login, &error), 0);
    assert_non_null(strstr(login.password, "sr=real.example%2F"));
    sb_connect_done(&login);

    assert_int_equal(sb_azure_dialect.connect(WORDS, &config, "pump-8", wall, &login, &error),
                     -ENOENT);
    assert_non_null(strstr(error, "pump-8.key"));
    free(SB_STEAL(error));
    sb_connect_done(&login);
    assert_int_equal(sb_azure_dialect.connect(WORDS, &config, "../x", wall, &login, &error),
                     -EINVAL);
    free(SB_STEAL(error));
    sb_connect_done(&login);
    assert_int_equal(sb_azure_dialect.connect(WORDS, &config, "pump-7", 5000, &login, &error),
                     -EAGAIN);
    assert_non_null(strstr(error, "clock"));
    free(SB_STEAL(error));
    sb_connect_done(&login);
    assert_int_equal(sb_azure_dialect.connect(WORDS, &config, NULL, wall, &login, &error), -EINVAL);
    assert_non_null(strstr(error, "set id"));
    sb_cleanup(sb_freep) char *path = sb_format("%s/pump-7.key", folder);
    (void)unlink(path);
    (void)rmdir(folder);
}

SB_TEST(certificates_take_the_place_of_keys)
{
    struct sb_azure_config config = { .link.uri = "wss://hub.example:443/$iothub/websocket",
                                      .link.cert_file = "/c/{name}.pem",
                                      .link.key_file = "/c/{name}.key",
                                      .link.ca_file = "/ca.pem",
                                      .id = "gw-1" };
    struct sb_connect login = { 0 };
    sb_cleanup(sb_freep) char *error = NULL;
    assert_int_equal(sb_azure_dialect.connect(WORDS, &config, NULL, 0, &login, &error), 0);
    assert_string_equal(login.client_id, "gw-1");
    assert_null(login.password);
    assert_string_equal(login.cert_file, "/c/gw-1.pem");
    assert_string_equal(login.key_file, "/c/gw-1.key");
    assert_string_equal(login.ca_file, "/ca.pem");
    assert_string_equal(login.uri, "wss://hub.example:443/$iothub/websocket");
    sb_connect_done(&login);
}

SB_TEST(who_has_a_connection)
{
    struct sb_azure_config config = { .mode = SB_AZURE_DEVICES };
    struct sb_device pump = { .id = "pump-7" }, own = { .id = "gw", .gateway = true };
    assert_true(sb_azure_has_connection(&config, &pump));
    assert_false(sb_azure_has_connection(&config, &own));
    assert_false(sb_azure_has_connection(&config, NULL));
    config.id = "gw-1";
    assert_true(sb_azure_has_connection(&config, &own));
    assert_true(sb_azure_has_connection(&config, NULL));
    config.mode = SB_AZURE_GATEWAY;
    assert_false(sb_azure_has_connection(&config, &pump));
}

static unsigned found(const char *text, const char *part)
{
    struct sb_diags diags = { 0 };
    struct sb_yaml *yaml = NULL;
    struct sb_azure_config config = { 0 };
    assert_int_equal(sb_yaml_parse("link", text, strlen(text), &yaml, &diags), 0);
    if (sb_schema_read(yaml, NULL, sb_azure_fields, &config, &diags) == 0)
        sb_azure_settings_check(&config, yaml, &diags);
    sb_cleanup(sb_freep) char *all = sb_diags_text(&diags);
    if (part && !strstr(all ? all : "", part))
        fail_msg("%s: %s", part, all ? all : "nothing");
    unsigned total = (unsigned)diags.total;
    sb_schema_done(sb_azure_fields, &config);
    sb_diags_done(&diags);
    sb_yaml_free(yaml);
    return total;
}

SB_TEST(settings_are_checked)
{
    assert_int_equal(found("uri: mqtts://hub\nkey: file:/k/{name}\n", NULL), 0);
    assert_int_equal(found("uri: wss://hub\nid: gw\nmode: gateway\nkey: file:/k\n", NULL), 0);
    assert_int_equal(found("uri: mqtts://hub\ncert_file: /{name}\nkey_file: /{name}\n", NULL), 0);
    found("uri: http://hub\nkey: file:/k/{name}\n", "uri must begin with");
    found("uri: mqtts://hub\n", "either key");
    found("uri: mqtts://hub\nkey: file:/k/{name}\ncert_file: /x\nkey_file: /y\n", "either key");
    found("uri: mqtts://hub\ncert_file: /{name}\n", "go together");
    found("uri: mqtts://hub\nkey: file:/k\n", "{name}");
    found("uri: mqtts://hub\ncert_file: /x\nkey_file: /y\n", "{name}");
    found("uri: mqtts://hub\nmode: gateway\nkey: file:/k\n", "needs id");
    found("uri: mqtts://hub\nmode: both\nkey: file:/k/{name}\n", "mode");
}

/* ---- twins ---- */

SB_TEST(differences)
{
    static const struct {
        const char *from, *to, *patch;
    } cases[] = {
        { "{}", "{}", "{}" },
        { "{\"a\":1}", "{\"a\":1}", "{}" },
        { "{}", "{\"a\":{\"b\":1}}", "{\"a\":{\"b\":1}}" },
        { "{\"a\":{\"b\":1,\"c\":2}}", "{\"a\":{\"b\":1,\"c\":3}}", "{\"a\":{\"c\":3}}" },
        { "{\"a\":{\"b\":1}}", "{\"a\":{}}", "{\"a\":{\"b\":null}}" },
        { "{\"a\":1}", "{}", "{\"a\":null}" },
        { "{\"a\":1}", "{\"a\":null}", "{\"a\":null}" },
        { "{}", "{\"a\":null}", "{}" }, /* must not be there, and is not */
        { "{\"a\":{\"b\":1}}", "{\"a\":2}", "{\"a\":2}" },
        { "{\"a\":2}", "{\"a\":{\"b\":1}}", "{\"a\":{\"b\":1}}" },
        { "{\"a\":[1]}", "{\"a\":[1,2]}", "{\"a\":[1,2]}" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        json_t *from = json_loads(cases[i].from, 0, NULL), *to = json_loads(cases[i].to, 0, NULL);
        json_t *patch = sb_azure_diff(from, to), *want = json_loads(cases[i].patch, 0, NULL);
        if (!json_equal(patch, want))
            fail_msg("case %zu: %s", i, json_dumps(patch, 0));
        assert_int_equal(sb_azure_merge(from, patch), 0);
        json_t *again = sb_azure_diff(from, to);
        assert_int_equal(json_object_size(again), 0);
        json_decref(from);
        json_decref(to);
        json_decref(patch);
        json_decref(want);
        json_decref(again);
    }
    json_t *to = json_pack("{s:i}", "a", 1), *patch = sb_azure_diff(NULL, to);
    assert_true(json_equal(to, patch));
    json_decref(to);
    json_decref(patch);
}

SB_TEST(values_as_a_twin_may_hold_them)
{
    sb_cleanup(sb_freep) char *key = sb_azure_key("a.b$c d%\t\xc2\x85\xc2\xa0");
    assert_string_equal(key, "a%2Eb%24c%20d%25%09%C2%85\xc2\xa0");
    sb_cleanup(sb_freep) char *text = malloc(9000);
    memset(text, 'x', 8999);
    memcpy(text + SB_AZURE_TEXT_MAX - 1, "\xc3\xa9", 2); /* across the cut */
    text[8999] = '\0';
    json_t *value = json_pack("{s:s,s:[I,b],s:{s:i}}", "long", text, "list",
                              (json_int_t)INT64_C(9007199254740993), 1, "in.side", "$x", 2);
    json_t *clean = sb_azure_clean(value, 9);
    assert_int_equal(json_string_length(json_object_get(clean, "long")), SB_AZURE_TEXT_MAX - 1);
    assert_true(json_is_real(json_array_get(json_object_get(clean, "list"), 0)));
    assert_int_equal(sb_json_int(sb_json_object(clean, "in%2Eside"), "%24x", 0), 2);
    json_decref(value);
    json_decref(clean);
    value = json_integer(1);
    for (int i = 0; i < 20; i++)
        value = json_pack("{s:o}", "a", value);
    clean = sb_azure_clean(value, 3);
    assert_true(core_is(clean, "{\"a\":{\"a\":{\"a\":\"...\"}}}"));
    json_decref(value);
    json_decref(clean);
}

SB_TEST(judgements)
{
    assert_true(sb_dialect_uri_ok("https://fw.example/a?sig=1"));
    assert_true(sb_dialect_uri_ok("https://h"));
    static const char *const bad[] = {
        "",      "x",      "https:/h",      "https://",    "https:///x",
        "//h/x", "1a://h", "https://h/a b", "https://h/\n"
    };
    for (size_t i = 0; i < SB_COUNT(bad); i++)
        if (sb_dialect_uri_ok(bad[i]))
            fail_msg("%s", bad[i]);
    static const struct {
        const char *text, *kind;
    } digests[] = {
        { "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855", "sha256" },
        { "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "sha256" },
        { "900150983cd24fb0d6963f7d28e17f72", "md5" },
        { "1234", NULL },
        { "", NULL },
        { "zzz", NULL },
    };
    for (size_t i = 0; i < SB_COUNT(digests); i++) {
        sb_cleanup(sb_freep) char *hex = NULL;
        const char *kind = sb_azure_digest(digests[i].text, &hex);
        assert_true(sb_streq(kind, digests[i].kind));
        if (i < 2)
            assert_string_equal(hex,
                                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
