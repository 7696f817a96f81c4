/* SPDX-License-Identifier: Apache-2.0 */
/* Manage: when it is sent, what it says, and when it must not be. */
#include "adapters/dialects/ibm/conversation.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "tests/unit/ibm_bench.h"

/* ---- manage ---- */

TEST(a_connect_manages)
{
    wiot_up(w);
    managed(w);
    assert_true(wiot_silent(w));
    assert_int_equal(wiot_timer(w, "manage"), 10 * SB_SECOND); /* for the reply */
    wiot_replies(w, wiot_last(w, SB_OUT_SEND), 200);
    assert_int_equal(wiot_timer(w, "manage"), 12 * SB_HOUR); /* half of the lifetime */
    wiot_passes(w, 12 * SB_HOUR - 1);
    assert_true(wiot_silent(w));
    wiot_passes(w, 1);
    managed(w);
}

TEST(no_reply_is_tried_again_ever_later)
{
    wiot_up(w);
    managed(w);
    wiot_passes(w, 10 * SB_SECOND);
    managed(w);
    assert_true(wiot_noted(w, "does not answer manage"));
    assert_int_equal(wiot_timer(w, "manage"), 20 * SB_SECOND);
    wiot_passes(w, 20 * SB_SECOND);
    managed(w);
    assert_int_equal(wiot_timer(w, "manage"), 40 * SB_SECOND);
    for (int i = 0; i < 40; i++)
        wiot_passes(w, wiot_timer(w, "manage"));
    assert_in_range(wiot_timer(w, "manage"), SB_HOUR, 12 * SB_HOUR);
}

TEST(refusals_of_manage)
{
    wiot_up(w);
    managed(w);
    wiot_replies(w, wiot_last(w, SB_OUT_SEND), 409);
    assert_int_equal(wiot_timer(w, "manage"), 5 * SB_SECOND);
    wiot_passes(w, 5 * SB_SECOND);
    managed(w);
    wiot_replies(w, wiot_last(w, SB_OUT_SEND), 404);
    assert_int_equal(wiot_timer(w, "manage"), 30 * SB_MINUTE);
    wiot_passes(w, 30 * SB_MINUTE);
    managed(w);
    wiot_replies(w, wiot_last(w, SB_OUT_SEND), 500);
    assert_true(wiot_noted(w, "manage with 500"));
    assert_int_equal(wiot_timer(w, "manage"), 10 * SB_SECOND); /* doubled */
}

TEST(an_unknown_bundle_is_left_out)
{
    wiot_up(w);
    managed(w);
    wiot_replies(w, wiot_last(w, SB_OUT_SEND), 403);
    assert_true(wiot_sent(w, MANAGE,
                          "{\"d\":{\"lifetime\":86400,\"supports\":{\"deviceActions\":true,"
                          "\"firmwareActions\":true},\"deviceInfo\":{\"serialNumber\":\"S-1\","
                          "\"manufacturer\":\"Acme\",\"model\":\"P7\",\"fwVersion\":\"1.0.0\"}},"
                          "\"reqId\":\"*\"}"));
    wiot_replies(w, wiot_last(w, SB_OUT_SEND), 403); /* and again: no endless loop */
    assert_true(wiot_silent(w));
    assert_int_equal(wiot_timer(w, "manage"), 30 * SB_MINUTE);
    wiot_down(w);
    wiot_up(w);
    const struct sb_output *manage = wiot_next(w, MANAGE); /* a new chance */
    assert_non_null(json_object_get(json_object_get(json_object_get(manage->json, "d"), "supports"),
                                    "southbridge"));
}

TEST(supports_follow_the_type)
{
    char *only[] = { "reboot" };
    w->type.operations = (struct sb_strings){ only, 1 };
    wiot_up(w);
    const struct sb_output *manage = wiot_next(w, MANAGE);
    sb_cleanup(sb_freep) char *text =
        sb_json_text(json_object_get(json_object_get(manage->json, "d"), "supports"));
    assert_string_equal(text, "{\"deviceActions\":true,\"firmwareActions\":false}");
    w->device.type = NULL; /* no mapping: nothing can be done */
    wiot_news(w, SB_NEWS_DEVICE_ADDED);
    manage = wiot_next(w, MANAGE);
    sb_cleanup(sb_freep) char *none =
        sb_json_text(json_object_get(json_object_get(manage->json, "d"), "supports"));
    assert_string_equal(none, "{\"deviceActions\":false,\"firmwareActions\":false}");
}

TEST(device_info_is_merged_and_never_empty)
{
    w->device.facts = json_pack("{s:{s:s,s:s,s:s}}", "deviceInfo", "description", "by the well",
                                "manufacturer", "Somebody", "fwVersion", "0.0.1");
    w->type.model = "P7-X";
    wiot_up(w);
    const struct sb_output *manage = wiot_next(w, MANAGE);
    sb_cleanup(sb_freep) char *text =
        sb_json_text(json_object_get(json_object_get(manage->json, "d"), "deviceInfo"));
    assert_string_equal(text, "{\"manufacturer\":\"Acme\",\"description\":\"by the well\","
                              "\"serialNumber\":\"S-1\",\"model\":\"P7-X\","
                              "\"fwVersion\":\"1.0.0\"}");
    json_object_clear(w->device.facts);
    json_object_clear(w->device.identity);
    json_object_clear(w->device.versions);
    w->type.model = NULL;
    wiot_news(w, SB_NEWS_IDENTITY);
    manage = wiot_next(w, MANAGE);
    assert_null(json_object_get(json_object_get(manage->json, "d"), "deviceInfo"));
}

TEST(only_a_change_is_managed_anew)
{
    wiot_up(w);
    managed(w);
    wiot_news(w, SB_NEWS_IDENTITY);
    wiot_news(w, SB_NEWS_DEVICE_ADDED);
    wiot_news(w, SB_NEWS_PRESENCE);
    assert_true(wiot_silent(w));
    (void)json_object_set_new(w->device.versions, "", json_string("1.1.0"));
    wiot_news(w, SB_NEWS_IDENTITY);
    managed(w);
    wiot_down(w);
    assert_int_equal(wiot_timer(w, "manage"), -1);
    (void)json_object_set_new(w->device.versions, "", json_string("1.2.0"));
    wiot_news(w, SB_NEWS_IDENTITY);
    assert_true(wiot_silent(w)); /* the next connect tells it */
    wiot_up(w);
    managed(w);
}

TEST(the_gateway_manages_itself_and_ends_the_backlog)
{
    w->self = true;
    wiot_up(w);
    sb_cleanup(sb_freep) char *wanted =
        sb_format("{\"d\":{\"lifetime\":86400,\"supports\":{\"deviceActions\":false,"
                  "\"firmwareActions\":false},\"deviceInfo\":{\"fwVersion\":\"%s\"}},"
                  "\"reqId\":\"*\"}",
                  SB_VERSION);
    assert_true(wiot_sent(w, MANAGE, wanted));
    assert_int_equal(wiot_count(w, SB_OUT_CURRENT), 0);
    says(w, "response", "{\"rc\":200,\"reqId\":\"another\"}");
    assert_int_equal(wiot_count(w, SB_OUT_CURRENT), 0);
    const struct sb_output *manage = NULL;
    for (size_t i = 0; i < w->log_count; i++)
        manage = w->log[i].kind == SB_OUT_SEND ? &w->log[i] : manage;
    wiot_replies(w, manage, 200);
    assert_int_equal(wiot_count(w, SB_OUT_CURRENT), 1);
    wiot_down(w);
    wiot_up(w);
    wiot_passes(w, SB_MINUTE); /* a platform that never replies does not keep it up for ever */
    assert_int_equal(wiot_count(w, SB_OUT_CURRENT), 2);
}

TEST(a_removed_device_is_taken_back)
{
    prepare(w);
    asks(w, REBOOT, "open");
    asks(w, RESET, "accepted");
    wiot_task(w, 1, SB_TASK_RUNNING);
    answered(w, 202, "accepted");
    wiot_news(w, SB_NEWS_DEVICE_REMOVED);
    answered(w, 404, "removed");
    const struct sb_output *unmanage = wiot_next(w, "mgmt/unmanage");
    assert_non_null(unmanage);
    assert_int_equal(unmanage->class, SB_PARCEL_ANSWER);
    assert_string_equal(unmanage->token, sb_json_str(unmanage->json, "reqId"));
    assert_true(wiot_silent(w));
    assert_int_equal(wiot_timer(w, "manage"), -1);
    assert_int_equal(wiot_timer(w, "ask:open"), -1);
}

TEST(what_was_never_managed_is_not_taken_back)
{
    wiot_news(w, SB_NEWS_DEVICE_REMOVED);
    assert_true(wiot_silent(w));
}

TEST(a_new_name_takes_the_old_one_back)
{
    prepare(w);
    sb_cleanup(json_decrefp) json_t *saved = sb_ibm_save(w->state);
    (void)json_object_set_new(saved, "name", json_string("pump/old"));
    sb_ibm_drop(w->state);
    w->state = sb_ibm_load(saved);
    wiot_up(w);
    const struct sb_output *unmanage = wiot_last(w, SB_OUT_SEND);
    assert_non_null(unmanage);
    assert_string_equal(unmanage->topic, "iotdevice-1/type/pump/id/p7/mgmt/manage");
    bool old = false;
    for (size_t i = 0; i < w->log_count; i++)
        old = old || (w->log[i].kind == SB_OUT_SEND &&
                      sb_streq(w->log[i].topic, "iotdevice-1/type/pump/id/old/mgmt/unmanage"));
    assert_true(old);
}

/* ---- when manage would read as a completion ---- */

static void reboot_accepted(struct wiot *w)
{
    prepare(w);
    asks(w, REBOOT, "rb");
    wiot_task(w, 0, SB_TASK_RUNNING);
    answered(w, 202, NULL);
}

TEST(an_open_reboot_holds_manage_back)
{
    reboot_accepted(w);
    (void)json_object_set_new(w->device.versions, "", json_string("9"));
    wiot_news(w, SB_NEWS_IDENTITY);
    wiot_passes(w, 13 * SB_HOUR); /* the refresh is due */
    wiot_down(w);
    wiot_up(w);
    assert_true(wiot_restarts(w));
    wiot_up(w);
    assert_true(wiot_silent(w));
    wiot_task(w, 0, SB_TASK_SUCCEEDED);
    managed(w);
    assert_true(wiot_silent(w));
}

TEST(before_its_answer_a_reboot_holds_nothing_back)
{
    prepare(w);
    asks(w, REBOOT, "rb"); /* queued */
    wiot_down(w);
    wiot_up(w);
    managed(w);
}

TEST(a_reboot_refused_for_certain_holds_for_its_time)
{
    reboot_accepted(w);
    wiot_fails(w, 0, SB_CAUSE_REFUSED, SB_PHASE_STARTING);
    diagnosed(w, 122);
    wiot_news(w, SB_NEWS_PRESENCE);
    wiot_news(w, SB_NEWS_IDENTITY);
    wiot_down(w);
    wiot_up(w);
    assert_true(wiot_silent(w));
    wiot_passes(w, SB_HOUR - 1);
    assert_true(wiot_silent(w));
    wiot_passes(w, 1);
    managed(w);
}

TEST(a_reboot_of_unknown_outcome_ends_with_the_return)
{
    reboot_accepted(w);
    w->tasks[0].committed = true; /* the device was told to */
    w->device.presence = SB_PRESENCE_OFFLINE;
    wiot_fails(w, 0, SB_CAUSE_TIMEOUT, SB_PHASE_RESTARTING);
    diagnosed(w, 123);
    wiot_news(w, SB_NEWS_PRESENCE);
    assert_true(wiot_silent(w));
    assert_true(wiot_restarts(w)); /* the hold is remembered, and bounded anew */
    wiot_up(w);
    assert_true(wiot_silent(w));
    assert_int_equal(wiot_timer(w, "hold:reboot"), SB_HOUR);
    w->device.presence = SB_PRESENCE_READY;
    wiot_news(w, SB_NEWS_PRESENCE);
    managed(w);
    assert_int_equal(wiot_timer(w, "hold:reboot"), -1);
}

/* What cannot be told from a device that just was not there, or did not do it. */
SB_TEST(returns_that_complete_nothing)
{
    static const struct {
        const char *request;
        bool committed;
        enum sb_presence presence;
    } cases[] = {
        { REBOOT, false, SB_PRESENCE_OFFLINE }, /* it was never told to */
        { REBOOT, true, SB_PRESENCE_READY },    /* it was not away */
        { REBOOT, true, SB_PRESENCE_UNKNOWN },  /* nobody knows whether it was */
        { RESET, true, SB_PRESENCE_OFFLINE },   /* a return is no reset */
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        struct wiot *w = wiot_new();
        prepare(w);
        asks(w, cases[i].request, "r");
        wiot_task(w, 0, SB_TASK_RUNNING);
        w->tasks[0].committed = cases[i].committed;
        w->device.presence = cases[i].presence;
        wiot_fails(w, 0, SB_CAUSE_OUTCOME_UNKNOWN, SB_PHASE_RESTARTING);
        wiot_forget(w);
        w->device.presence = SB_PRESENCE_READY;
        wiot_news(w, SB_NEWS_PRESENCE);
        wiot_news(w, SB_NEWS_IDENTITY);
        assert_true(wiot_restarts(w));
        wiot_up(w);
        wiot_passes(w, SB_HOUR - 1);
        assert_true(wiot_silent(w));
        wiot_passes(w, 1);
        managed(w);
        wiot_free(w);
    }
}

/* A reset that failed is not completed by a reboot that was done, and the other way round. */
SB_TEST(each_restart_is_completed_by_its_own)
{
    static const char *const requests[] = { REBOOT, RESET };
    for (size_t i = 0; i < 2; i++) {
        struct wiot *w = wiot_new();
        prepare(w);
        asks(w, requests[i], "a");
        wiot_task(w, 0, SB_TASK_RUNNING);
        wiot_fails(w, 0, SB_CAUSE_REFUSED, SB_PHASE_STARTING);
        wiot_passes(w, SB_HOUR / 2);
        asks(w, requests[1 - i], "b");
        wiot_task(w, 1, SB_TASK_RUNNING);
        wiot_forget(w);
        wiot_task(w, 1, SB_TASK_SUCCEEDED);
        assert_non_null(wiot_next(w, "clear/diag/errorCodes"));
        assert_true(wiot_silent(w)); /* the first one's time is not over */
        wiot_passes(w, SB_HOUR / 2);
        managed(w);
        wiot_free(w);
    }
}

TEST(a_reboot_that_never_began_is_not_completed_by_a_return)
{
    prepare(w);
    asks(w, REBOOT, "rb");
    wiot_passes(w, 10 * SB_SECOND); /* accepted while queued */
    answered(w, 202, NULL);
    wiot_fails(w, 0, SB_CAUSE_OFFLINE, SB_PHASE_WAITING);
    diagnosed(w, 108);
    wiot_news(w, SB_NEWS_PRESENCE);
    assert_true(wiot_silent(w));
    wiot_passes(w, SB_HOUR);
    managed(w);
}

TEST(a_later_success_ends_the_hold)
{
    reboot_accepted(w);
    wiot_fails(w, 0, SB_CAUSE_REFUSED, SB_PHASE_STARTING);
    diagnosed(w, 122);
    asks(w, REBOOT, "rb2");
    wiot_task(w, 1, SB_TASK_RUNNING);
    answered(w, 202, NULL);
    wiot_task(w, 1, SB_TASK_SUCCEEDED);
    assert_non_null(wiot_next(w, "clear/diag/errorCodes")); /* all is well again */
    managed(w);
    wiot_replies(w, wiot_last(w, SB_OUT_SEND), 200);
    wiot_passes(w, SB_HOUR);
    assert_true(wiot_silent(w));
}
