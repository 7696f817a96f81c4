/* SPDX-License-Identifier: Apache-2.0 */
/* Sub-devices on their way into the platform, and out of it. */
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "tests/fakes/alibaba_world.h"
#include "tests/test.h"

static void both_are(const struct ali *ali, bool in)
{
    assert_int_equal(ali->in[CORE_PUMP], in);
    assert_int_equal(ali->in[CORE_VALVE], in);
}

/* ---- in ---- */

#define TEST(name) SB_TEST_OF(struct ali *ali, name, ali_begin, ali_end)

TEST(who_has_no_secret_registers_and_joins)
{
    ali_up(ali);
    both_are(ali, true);
    assert_true(ali->registrations >= 1 && ali->registrations <= 2);
    assert_true(ali->topology[CORE_PUMP] && ali->topology[CORE_VALVE]);
    assert_int_equal(ali_count(ali, CORE_PUMP, "/ota/device/inform/"), 1);
    assert_string_equal(ali_text(ali, CORE_GATEWAY, "thing/sub/register", "method"),
                        "thing.sub.register");
    ali_down(ali);
    ali_up(ali); /* the secret is known, the topology too */
    both_are(ali, true);
    assert_true(ali->registrations <= 2 && ali->joins <= 2);
    ali_restarts(ali);
    unsigned registrations = ali->registrations;
    ali_up(ali);
    both_are(ali, true);
    assert_int_equal(ali->registrations, registrations);
}

TEST(a_given_secret_signs)
{
    ali->config.device_secret = "file:/keys/{name}";
    ali->core.secret = "secret";
    ali->topology[CORE_PUMP] = ali->topology[CORE_VALVE] = true;
    ali->core.devices[CORE_VALVE].presence = SB_PRESENCE_OFFLINE;
    ali_up(ali);
    assert_int_equal(ali->registrations + ali->joins, 0);
    assert_string_equal(ali_text(ali, CORE_GATEWAY, "combine/login", "params/productKey"), "pk1");
    assert_string_equal(ali_text(ali, CORE_GATEWAY, "combine/login", "params/deviceName"),
                        "pump-7");
    assert_string_equal(ali_text(ali, CORE_GATEWAY, "combine/login", "params/clientId"),
                        "pk1.pump-7");
    assert_string_equal(ali_text(ali, CORE_GATEWAY, "combine/login", "params/timestamp"),
                        "1764000000000");
    assert_string_equal(ali_text(ali, CORE_GATEWAY, "combine/login", "params/signMethod"),
                        "hmacsha256");
    /* HMAC-SHA256 by "secret", made with another implementation */
    assert_string_equal(ali_text(ali, CORE_GATEWAY, "combine/login", "params/sign"),
                        "558ef645a45d2524a976d5fc9554dbeba79358a1f9d156b81168b711e9fd6b7b");
}

TEST(a_secret_that_cannot_be_read_is_tried_again)
{
    ali->config.device_secret = "file:/keys/{name}";
    ali->core.secret_error = "cannot open /keys/pump-7";
    ali_up(ali);
    both_are(ali, false);
    assert_string_equal(ali->core.note, "cannot log in: cannot open /keys/pump-7");
    ali->core.secret = "secret";
    core_passes(&ali->core, 11 * SB_SECOND);
    both_are(ali, true);
    assert_int_equal(ali->registrations, 0);
}

TEST(logins_are_gathered)
{
    ali->config.device_secret = "file:/keys/{name}";
    ali->core.secret = "secret";
    ali->topology[CORE_PUMP] = ali->topology[CORE_VALVE] = true;
    ali_up(ali); /* both ask while the topology is read */
    both_are(ali, true);
    assert_int_equal(ali->largest, 2);
    assert_int_equal(ali->logins, 1);
}

TEST(a_batch_that_is_refused_is_tried_one_by_one)
{
    ali->config.device_secret = "file:/keys/{name}";
    ali->core.secret = "secret";
    ali->topology[CORE_PUMP] = ali->topology[CORE_VALVE] = true;
    ali->refuse_kind[ALI_BATCH] = 6287;
    ali_up(ali);
    both_are(ali, true);
    assert_int_equal(ali->logins, 3);
}

TEST(who_is_not_in_the_topology_joins_it_first)
{
    ali->config.device_secret = "file:/keys/{name}";
    ali->core.secret = "secret";
    ali->topology[CORE_PUMP] = true;
    ali_up(ali);
    both_are(ali, true);
    assert_int_equal(ali->joins, 1);
    assert_string_equal(ali_text(ali, CORE_GATEWAY, "thing/topo/add", "method"), "thing.topo.add");
    const json_t *list = json_object_get(ali_last(ali, CORE_GATEWAY, "thing/topo/add"), "params");
    assert_int_equal(json_array_size(list), 1);
    assert_string_equal(sb_json_str(json_array_get(list, 0), "signmethod"), "hmacsha256");
}

TEST(throttling_and_silence_are_waited_out)
{
    ali->config.device_secret = "file:/keys/{name}";
    ali->core.secret = "secret";
    ali->topology[CORE_PUMP] = ali->topology[CORE_VALVE] = true;
    ali->refuse_kind[ALI_BATCH] = ali->refuse_kind[ALI_LOGGING_IN] = 429;
    ali_up(ali);
    assert_int_equal(ali->logins, 1);
    core_passes(&ali->core, 11 * SB_SECOND);
    assert_int_equal(ali->logins, 2);
    core_passes(&ali->core, 11 * SB_SECOND); /* ever later */
    assert_int_equal(ali->logins, 2);
    ali->refuse_kind[ALI_BATCH] = ali->refuse_kind[ALI_LOGGING_IN] = 0;
    core_passes(&ali->core, 20 * SB_SECOND);
    both_are(ali, true);
    ali_down(ali);
    ali->silent = true;
    ali_up(ali);
    core_passes(&ali->core, 15 * SB_SECOND);
    both_are(ali, true); /* there; but the answer was lost */
    ali->silent = false;
    ali_clear(ali);
    core_passes(&ali->core, SB_MINUTE);
    assert_int_equal(ali_count(ali, CORE_PUMP, "/ota/device/inform/"), 1);
}

TEST(a_secret_that_was_changed_is_fetched_once_more)
{
    ali->core.devices[CORE_VALVE].presence = SB_PRESENCE_OFFLINE;
    ali_up(ali);
    assert_int_equal(ali->registrations, 1);
    ali_down(ali);
    ali->refuse_kind[ALI_LOGGING_IN] = 6287;
    ali_up(ali);
    assert_int_equal(ali->registrations, 2); /* not for ever */
    ali->refuse_kind[ALI_LOGGING_IN] = 0;
    core_passes(&ali->core, 11 * SB_SECOND);
    assert_true(ali->in[CORE_PUMP]);
}

TEST(a_refusal_is_said_and_tried_ever_later)
{
    ali->core.devices[CORE_VALVE].presence = SB_PRESENCE_OFFLINE;
    ali->refuse_kind[ALI_REGISTERING] = 6100;
    ali_up(ali);
    assert_string_equal(ali->core.note, "register was refused by the platform: code 6100");
    assert_int_equal(core_timer(&ali->core, CORE_PUMP, "session"), 10 * SB_SECOND);
    core_passes(&ali->core, 10 * SB_SECOND);
    assert_int_equal(core_timer(&ali->core, CORE_PUMP, "session"), 20 * SB_SECOND);
    core_passes(&ali->core, SB_HOUR);
    assert_true(core_timer(&ali->core, CORE_PUMP, "session") <= 10 * SB_MINUTE);
}

TEST(a_name_without_a_product_is_said_to_be_so)
{
    ali->config.device_product = NULL;
    ali->core.devices[CORE_VALVE].presence = SB_PRESENCE_OFFLINE;
    ali_up(ali);
    assert_non_null(strstr(ali->core.note, "'pump-7' has no product key"));
    assert_int_equal(ali->registrations, 0);
}

/* ---- out ---- */

TEST(who_is_offline_is_logged_out)
{
    ali->core.devices[CORE_PUMP].presence = SB_PRESENCE_OFFLINE;
    ali_up(ali);
    assert_false(ali->in[CORE_PUMP]);
    assert_true(ali->in[CORE_VALVE]);
    core_presence(&ali->core, CORE_PUMP, SB_PRESENCE_READY);
    both_are(ali, true);
    core_presence(&ali->core, CORE_PUMP, SB_PRESENCE_OFFLINE);
    assert_false(ali->in[CORE_PUMP]);
    assert_int_equal(ali->logouts, 1);
}

TEST(notices_are_answered_and_kept_to)
{
    ali_up(ali);
    ali_hears(ali, CORE_PUMP, "thing/disable",
              "{\"id\":\"n1\",\"version\":\"1.0\",\"params\":{},\"method\":\"thing.disable\"}");
    assert_string_equal(ali_text(ali, CORE_PUMP, "thing/disable_reply", "id"), "n1");
    assert_string_equal(ali_text(ali, CORE_PUMP, "thing/disable_reply", "code"), "200");
    ali->in[CORE_PUMP] = false;
    core_version(&ali->core, CORE_PUMP, "", "1.0.1"); /* nothing is said meanwhile */
    unsigned logins = ali->logins;
    ali_hears(ali, CORE_PUMP, "thing/enable", "{\"id\":\"n2\",\"params\":{}}");
    assert_int_equal(ali->logins, logins + 1);
    assert_string_equal(ali_text(ali, CORE_PUMP, "/ota/device/inform/", "params/version"), "1.0.1");
    /* on the gateway's topic, about a sub-device */
    ali_hears(ali, CORE_GATEWAY, "thing/delete",
              "{\"id\":\"n3\",\"params\":{\"productKey\":\"pk1\",\"deviceName\":\"pump-7\"}}");
    assert_string_equal(ali_text(ali, CORE_GATEWAY, "thing/delete_reply", "id"), "n3");
    ali->in[CORE_PUMP] = ali->topology[CORE_PUMP] = false;
    unsigned registrations = ali->registrations;
    ali_hears(ali, CORE_PUMP, "thing/enable", "{\"id\":\"n4\",\"params\":{}}");
    assert_int_equal(ali->registrations, registrations + 1); /* its secret is void */
    /* about the gateway itself */
    ali_hears(ali, CORE_GATEWAY, "thing/disable", "{\"id\":\"n5\",\"params\":{}}");
    assert_string_equal(ali_text(ali, CORE_GATEWAY, "thing/disable_reply", "id"), "n5");
}

TEST(a_lost_session_is_opened_again)
{
    ali_up(ali);
    ali->in[CORE_PUMP] = false;
    unsigned logins = ali->logins;
    ali_hears(ali, CORE_GATEWAY, "/ext/error/pk0/gw-1",
              "{\"id\":\"1\",\"code\":520,\"data\":{\"productKey\":\"pk1\","
              "\"deviceName\":\"pump-7\"}}");
    core_version(&ali->core, CORE_PUMP, "", "1.0.1"); /* not said before it is in */
    assert_int_equal(ali->logins, logins);            /* no storm */
    core_passes(&ali->core, 1 * SB_SECOND);
    assert_int_equal(ali->logins, logins + 1);
    both_are(ali, true);
    assert_string_equal(ali_text(ali, CORE_PUMP, "/ota/device/inform/", "params/version"), "1.0.1");
    ali_hears(ali, CORE_GATEWAY, "/ext/error/pk0/gw-1", "{\"id\":\"1\",\"code\":429}");
    assert_string_equal(ali->core.note, "the platform reports error 429");
}

TEST(the_platform_changes_the_topology)
{
    ali_up(ali);
    ali->in[CORE_PUMP] = ali->topology[CORE_PUMP] = false;
    ali_hears(ali, CORE_GATEWAY, "thing/topo/change",
              "{\"id\":\"t1\",\"params\":{\"status\":1,\"subList\":[{\"productKey\":\"pk1\","
              "\"deviceName\":\"pump-7\"}]}}");
    core_version(&ali->core, CORE_PUMP, "", "1.0.1"); /* it is out */
    assert_string_equal(ali_text(ali, CORE_GATEWAY, "thing/topo/change_reply", "id"), "t1");
    ali_hears(ali, CORE_GATEWAY, "thing/topo/add/notify",
              "{\"id\":\"t2\",\"params\":[{\"productKey\":\"pk1\",\"deviceName\":\"pump-7\"},"
              "{\"productKey\":\"pk1\",\"deviceName\":\"nobody\"},7]}");
    assert_string_equal(ali_text(ali, CORE_GATEWAY, "thing/topo/add/notify_reply", "id"), "t2");
    both_are(ali, true);
    assert_true(ali->topology[CORE_PUMP]);
}

TEST(a_device_that_goes_leaves_the_topology)
{
    ali_up(ali);
    core_news(&ali->core, CORE_PUMP, SB_NEWS_DEVICE_REMOVED);
    assert_false(ali->in[CORE_PUMP] || ali->topology[CORE_PUMP]);
    assert_true(ali->in[CORE_VALVE]);
}

/* ---- in and out at once ---- */

/* A logout that waits does not overtake the login that came after it. */
TEST(who_comes_back_in_time_stays_in)
{
    ali_up(ali);
    ali->silent = true;
    core_presence(&ali->core, CORE_VALVE, SB_PRESENCE_OFFLINE); /* its logout is on its way */
    core_presence(&ali->core, CORE_VALVE, SB_PRESENCE_READY);
    core_presence(&ali->core, CORE_PUMP, SB_PRESENCE_OFFLINE);
    core_presence(&ali->core, CORE_PUMP, SB_PRESENCE_READY);
    ali->silent = false;
    core_passes(&ali->core, SB_MINUTE);
    both_are(ali, true);
    ali->silent = true; /* and the other way round */
    core_presence(&ali->core, CORE_VALVE, SB_PRESENCE_OFFLINE);
    core_presence(&ali->core, CORE_PUMP, SB_PRESENCE_OFFLINE);
    core_presence(&ali->core, CORE_PUMP, SB_PRESENCE_READY);
    core_presence(&ali->core, CORE_PUMP, SB_PRESENCE_OFFLINE);
    ali->silent = false;
    core_passes(&ali->core, SB_MINUTE);
    both_are(ali, false);
}

/* The platform says yes to one that is not there any more. */
TEST(who_goes_while_it_logs_in_is_logged_out)
{
    ali->core.devices[CORE_PUMP].presence = SB_PRESENCE_OFFLINE;
    ali->topology[CORE_PUMP] = true;
    ali->config.device_secret = "file:/keys/{name}";
    ali->core.secret = "secret";
    ali_up(ali);
    ali->silent = true;
    core_presence(&ali->core, CORE_PUMP, SB_PRESENCE_READY);
    sb_cleanup(sb_freep) char *reply =
        sb_format("{\"id\":\"%s\",\"code\":200,\"data\":{}}",
                  ali_text(ali, CORE_GATEWAY, "combine/login", "id"));
    core_presence(&ali->core, CORE_PUMP, SB_PRESENCE_OFFLINE);
    assert_true(ali->in[CORE_PUMP]);
    ali->silent = false;
    ali_hears(ali, CORE_GATEWAY, "/ext/session/pk0/gw-1/combine/login_reply", reply);
    assert_false(ali->in[CORE_PUMP]);
}

/* A reply is one to what was asked for, whatever its id. */
TEST(a_reply_to_something_else_is_none)
{
    ali->silent = true;
    ali_up(ali); /* asks for the topology */
    sb_cleanup(sb_freep) char *reply =
        sb_format("{\"id\":\"%s\",\"code\":200,\"data\":[]}",
                  ali_text(ali, CORE_GATEWAY, "thing/topo/get", "id"));
    ali_hears(ali, CORE_GATEWAY, "/ext/session/pk0/gw-1/combine/login_reply", reply);
    ali_hears(ali, CORE_GATEWAY, "thing/topo/add_reply", reply);
    assert_int_equal(ali_count(ali, CORE_GATEWAY, "thing/sub/register"), 0);
    ali_hears(ali, CORE_GATEWAY, "thing/topo/get_reply", reply);
    assert_int_equal(ali_count(ali, CORE_GATEWAY, "thing/sub/register"), 1);
}

/* Two gateways that have the same device put each other out: not once a second for ever. */
TEST(a_session_that_is_lost_again_and_again)
{
    ali_up(ali);
    unsigned logins = ali->logins;
    for (int second = 0; second < 600; second++) {
        if (ali->in[CORE_PUMP])
            ali_hears(ali, CORE_GATEWAY, "/ext/error/pk0/gw-1",
                      "{\"code\":520,\"data\":{\"productKey\":\"pk1\","
                      "\"deviceName\":\"pump-7\"}}");
        ali->in[CORE_PUMP] = false;
        core_passes(&ali->core, SB_SECOND);
    }
    assert_in_range(ali->logins - logins, 5, 12);
    core_passes(&ali->core, 20 * SB_MINUTE);
    assert_true(ali->in[CORE_PUMP]);
    ali->in[CORE_PUMP] = false; /* it lasted: this one is new */
    ali_hears(ali, CORE_GATEWAY, "/ext/error/pk0/gw-1",
              "{\"code\":520,\"data\":{\"productKey\":\"pk1\",\"deviceName\":\"pump-7\"}}");
    core_passes(&ali->core, SB_SECOND);
    assert_true(ali->in[CORE_PUMP]);
}

TEST(who_goes_while_the_link_is_down_leaves_later)
{
    ali_up(ali);
    ali_down(ali);
    core_news(&ali->core, CORE_PUMP, SB_NEWS_DEVICE_REMOVED);
    ali->core.devices[CORE_PUMP].presence = SB_PRESENCE_OFFLINE; /* it is not there */
    ali_restarts(ali);
    ali->silent = true;
    ali_up(ali);
    core_passes(&ali->core, SB_MINUTE); /* not answered */
    ali_down(ali);
    ali->silent = false;
    ali->topology[CORE_PUMP] = true;
    ali_up(ali);
    assert_false(ali->topology[CORE_PUMP]);
    ali_clear(ali);
    ali_down(ali);
    ali_up(ali);
    assert_int_equal(ali_count(ali, CORE_GATEWAY, "thing/topo/delete"), 0); /* it was answered */
}

/* Whom the platform took out of the topology it puts in again, not we. */
TEST(who_was_taken_out_stays_out)
{
    ali_up(ali);
    ali->in[CORE_PUMP] = ali->topology[CORE_PUMP] = false;
    ali_hears(ali, CORE_GATEWAY, "thing/topo/change",
              "{\"id\":\"t1\",\"params\":{\"status\":1,\"subList\":[{\"productKey\":\"pk1\","
              "\"deviceName\":\"pump-7\"}]}}");
    unsigned joins = ali->joins;
    core_passes(&ali->core, SB_DAY);
    core_presence(&ali->core, CORE_PUMP, SB_PRESENCE_OFFLINE);
    core_presence(&ali->core, CORE_PUMP, SB_PRESENCE_READY);
    ali_down(ali); /* a connect makes no difference, */
    ali_up(ali);
    ali_restarts(ali); /* nor does a restart */
    ali_up(ali);
    core_passes(&ali->core, SB_DAY);
    assert_int_equal(ali->joins, joins);
    assert_false(ali->topology[CORE_PUMP] || ali->in[CORE_PUMP]);
    ali_down(ali);
    ali->topology[CORE_PUMP] = true; /* put in again, and the notice was missed */
    ali_up(ali);
    both_are(ali, true);
}

TEST(a_notice_that_is_nonsense_does_nothing)
{
    ali_up(ali);
    ali_hears(ali, CORE_PUMP, "thing/delete", "{nonsense");
    ali_hears(ali, CORE_PUMP, "thing/disable", "[]");
    core_version(&ali->core, CORE_PUMP, "", "1.0.1");
    assert_string_equal(ali_text(ali, CORE_PUMP, "/ota/device/inform/", "params/version"), "1.0.1");
}

TEST(a_device_with_another_name)
{
    ali_up(ali);
    unsigned registrations = ali->registrations;
    ali_rename(ali, "pump-8");
    core_news(&ali->core, CORE_PUMP, SB_NEWS_DEVICE_ADDED);
    assert_true(ali->in[CORE_PUMP] && ali->topology[CORE_PUMP]);
    assert_int_equal(ali->registrations, registrations + 1);
    assert_string_equal(ali_text(ali, CORE_GATEWAY, "combine/logout", "params/deviceName"),
                        "pump-7");
    const json_t *left =
        json_object_get(ali_last(ali, CORE_GATEWAY, "thing/topo/delete"), "params");
    assert_string_equal(sb_json_str(json_array_get(left, 0), "deviceName"), "pump-7");
}

/* Of one that is not in this world; what comes of it is not carried out. */
static void wants(struct ali *ali, const char *what, int number)
{
    sb_cleanup(sb_freep) char *name = sb_format("n%d", number);
    json_t *told = json_pack("{s:s,s:s}", "productKey", "pk1", "deviceName", name);
    struct sb_effects effects = { 0 };
    struct sb_input input = { .kind = SB_IN_TOLD,
                              .tag = what,
                              .told = told,
                              .from = name,
                              .self = true,
                              .connected = true,
                              .words = core_words(&sb_alibaba_shape),
                              .config = &ali->config,
                              .now = ali->core.now };
    assert_int_equal(sb_alibaba_dialect.step(ali->core.states[CORE_GATEWAY], &input, &effects), 0);
    sb_effects_done(&effects);
    json_decref(told);
}

static size_t gathered(const struct ali *ali, const char *end)
{
    return json_array_size(json_object_get(ali_last(ali, CORE_GATEWAY, end), "params"));
}

TEST(a_batch_has_one_kind)
{
    ali_up(ali);
    ali->silent = true;
    core_presence(&ali->core, CORE_VALVE, SB_PRESENCE_OFFLINE); /* one is on its way */
    for (int i = 0; i < 5; i++) {
        wants(ali, "register", i);
        wants(ali, "leave", 10 + i);
    }
    ali_clear(ali);
    core_passes(&ali->core, SB_MINUTE);
    assert_int_equal(gathered(ali, "thing/sub/register"), 5);
    assert_int_equal(gathered(ali, "thing/topo/delete"), 5);
}

/* A bus that is cut off takes many with it. */
TEST(logouts_are_gathered)
{
    ali_up(ali);
    ali->silent = true;
    core_presence(&ali->core, CORE_VALVE, SB_PRESENCE_OFFLINE); /* one is on its way */
    for (int i = 0; i < 60; i++)
        wants(ali, "logout", i);
    ali->silent = false;
    ali_clear(ali);
    core_passes(&ali->core, SB_MINUTE);
    assert_int_equal(ali_count(ali, CORE_GATEWAY, "combine/batch_logout"), 2);
    assert_int_equal(gathered(ali, "combine/batch_logout"), 10);
}
