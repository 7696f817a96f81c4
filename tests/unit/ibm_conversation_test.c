/* SPDX-License-Identifier: Apache-2.0 */
/* What happens beside the requests: other doors, replies, restarts. */
#include "adapters/dialects/ibm/conversation.h"
#include "bridge/base/time.h"
#include "tests/unit/ibm_bench.h"

/* ---- what others do ---- */

TEST(other_doors_move_the_attribute_too)
{
    prepare(w);
    wiot_foreign(w, SB_OP_FIRMWARE_UPDATE, SB_TASK_QUEUED, SB_CAUSE_NONE);
    assert_true(wiot_silent(w));
    wiot_foreign(w, SB_OP_FIRMWARE_UPDATE, SB_TASK_DOWNLOADING, SB_CAUSE_NONE);
    notified(w, 1, 0);
    describes(w, "u", "4", "https://h/z", "");
    answered(w, 409, NULL);
    asks(w, DOWNLOAD, "d");
    answered(w, 400, NULL);
    wiot_foreign(w, SB_OP_FIRMWARE_UPDATE, SB_TASK_INSTALLING, SB_CAUSE_NONE);
    notified(w, 2, 1);
    wiot_foreign(w, SB_OP_FIRMWARE_UPDATE, SB_TASK_SUCCEEDED, SB_CAUSE_NONE);
    notified(w, 0, 0);
    assert_true(wiot_silent(w)); /* no diagnostics of what this cloud did not ask for */
}

TEST(a_success_at_once_is_told_once)
{
    prepare(w);
    asks(w, DOWNLOAD, "d");
    stage(w);
    wiot_news(w, SB_NEWS_STAGED); /* before the task's own news */
    assert_true(wiot_silent(w));
    wiot_task(w, 0, SB_TASK_SUCCEEDED);
    answered(w, 202, NULL);
    notified(w, 2, 0);
    assert_true(wiot_silent(w));
}

TEST(an_operators_image_shows)
{
    wiot_up(w);
    observes(w, "o");
    wiot_forget(w);
    stage(w);
    w->device.staged.door = "native";
    wiot_news(w, SB_NEWS_STAGED);
    notified(w, 2, 0);
    observes(w, "o2");
    answered(w, 200, "\"version\":\"2.0.0\"");
    sb_cleanup(sb_freep) char *text = sb_json_text(wiot_last(w, SB_OUT_SEND)->json);
    assert_null(strstr(text, "sig=")); /* the URI may hold another cloud's credentials */
    asks(w, INSTALL, "i");
    wiot_task(w, 0, SB_TASK_SENT);
    answered(w, 202, NULL);
}

TEST(a_foreign_task_lost_over_a_restart)
{
    prepare(w);
    wiot_foreign(w, SB_OP_FIRMWARE_DOWNLOAD, SB_TASK_DOWNLOADING, SB_CAUSE_NONE);
    notified(w, 1, 0);
    assert_true(wiot_restarts(w));
    assert_true(wiot_silent(w)); /* how it ended nobody knows: no success is told */
    asks(w, DOWNLOAD, "d");      /* and it is in nobody's way */
    wiot_task(w, 0, SB_TASK_DOWNLOADING);
    answered(w, 202, NULL);
    notified(w, 1, 0);
}

/* The platform's newer request took the older one's place: how that ended is not the news. */
TEST(a_newer_download_takes_the_view)
{
    w->core = true;
    prepare(w);
    asks(w, DOWNLOAD, "d1");
    wiot_passes(w, 10 * SB_SECOND); /* accepted; the device is offline */
    answered(w, 202, "d1");
    describes(w, "u", "2.0.0", "https://h/x.bin?sig=3", SHA);
    answered(w, 204, NULL);
    asks(w, DOWNLOAD, "d2"); /* override=true */
    assert_int_equal(w->tasks[0].state, SB_TASK_CANCELLED);
    assert_non_null(wiot_next(w, "add/diag/log")); /* but no notify of 0/5 */
    assert_non_null(wiot_next(w, "add/diag/errorCodes"));
    assert_true(wiot_silent(w));
    wiot_task(w, 1, SB_TASK_DOWNLOADING);
    answered(w, 202, "d2");
    notified(w, 1, 0);
    stage(w);
    wiot_task(w, 1, SB_TASK_SUCCEEDED);
    notified(w, 2, 0);
}

/* What the last one ended with is not told as this one's end. */
TEST(a_second_try_begins_anew)
{
    prepare(w);
    asks(w, DOWNLOAD, "d1");
    wiot_task(w, 0, SB_TASK_DOWNLOADING);
    wiot_fails(w, 0, SB_CAUSE_LINK_LOST, SB_PHASE_FETCHING);
    wiot_forget(w);
    asks(w, DOWNLOAD, "d2"); /* at once, without a write */
    wiot_task(w, 1, SB_TASK_SENT);
    answered(w, 202, NULL);
    observes(w, "o");
    answered(w, 200, "\"state\":0,\"updateStatus\":0");
    describes(w, "u", "2.0.0", "https://h/x.bin?sig=3", SHA);
    answered(w, 204, NULL);
    assert_true(wiot_restarts(w));
    assert_true(wiot_silent(w));
    wiot_task(w, 1, SB_TASK_DOWNLOADING);
    notified(w, 1, 0);
}

/* An installation of ours has an end that is told, even if nobody saw it. */
TEST(an_installation_that_ended_unheard)
{
    download(w);
    observes(w, "o");
    asks(w, INSTALL, "i");
    wiot_task(w, 1, SB_TASK_INSTALLING);
    wiot_forget(w);
    w->tasks[1].state = SB_TASK_FAILED;
    assert_true(wiot_restarts(w));
    diagnosed(w, 128);
    notified(w, 0, 5);
    assert_true(wiot_silent(w));
}

/* ---- replies and reports of the platform ---- */

TEST(replies_settle)
{
    prepare(w);
    asks(w, DOWNLOAD, "d");
    wiot_task(w, 0, SB_TASK_DOWNLOADING);
    const struct sb_output *notify = wiot_last(w, SB_OUT_SEND);
    sb_cleanup(sb_freep) char *token = strdup(notify->token);
    wiot_replies(w, notify, 200);
    assert_string_equal(wiot_last(w, SB_OUT_SETTLE)->token, token);
    assert_false(wiot_noted(w, token));
    says(w, "response", "{\"rc\":\"500\",\"reqId\":\"%s\"}", token);
    assert_int_equal(wiot_count(w, SB_OUT_SETTLE), 2); /* sending it again would not help */
    assert_true(wiot_noted(w, token));
    says(w, "response", "{\"rc\":200}");
    assert_true(wiot_noted(w, "without reqId"));
    says(w, "response", "garbage");
    assert_int_equal(wiot_count(w, SB_OUT_SETTLE), 2);
}

TEST(replies_to_devices_that_are_gone_settle_too)
{
    const char *reply = "{\"rc\":200,\"reqId\":\"t\"}";
    wiot_hears(w, "iotdm-1/type/pump/id/p8/response", reply, strlen(reply));
    assert_string_equal(wiot_last(w, SB_OUT_SETTLE)->token, "t");
}

TEST(notifications_are_noted)
{
    const char *text = "{\"Request\":\"Publish\",\"Time\":\"2026-01-01T00:00:00Z\",\"Topic\":"
                       "\"iotdevice-1/type/x/id/y/mgmt/manage\",\"Type\":\"x\",\"Id\":\"y\","
                       "\"Client\":\"g:org123:gwtype:gw1\",\"RC\":180,\"Message\":\"not allowed\"}";
    wiot_hears(w, "iot-2/type/gwtype/id/gw1/notify", text, strlen(text));
    assert_true(wiot_noted(w, "not allowed (code 180)"));
    wiot_hears(w, "iot-2/type/gwtype/id/gw1/notify", "[", 1);
    wiot_hears(w, "iot-2/type/gwtype/id/gw1/notify", "{\"RC\":\"160\"}", 12);
    assert_true(wiot_noted(w, "code 160"));
    assert_true(wiot_silent(w));
}

/* ---- keeping ---- */

TEST(a_saved_state_reads_back_alike)
{
    download(w);
    asks(w, INSTALL, "i");
    asks(w, "mgmt/custom/southbridge/rinse", "c");
    wiot_task(w, 1, SB_TASK_INSTALLING);
    sb_cleanup(json_decrefp) json_t *saved = sb_ibm_save(w->state);
    void *again = sb_ibm_load(saved);
    sb_cleanup(json_decrefp) json_t *resaved = sb_ibm_save(again);
    assert_true(json_equal(saved, resaved));
    sb_ibm_drop(again);
}

TEST(damaged_states_read_as_far_as_they_go)
{
    static const char *const texts[] = {
        "{}",
        "[]",
        "{\"asks\":7,\"seen\":{},\"firmware\":[]}",
        "{\"asks\":[7,{},{\"id\":7},{\"id\":\"x\",\"op\":\"no\"}],\"seen\":[7,{\"id\":7}]}",
        "{\"hold\":\"nonsense\",\"firmware\":{\"state\":99,\"op\":7,\"task\":\"x\"}}",
    };
    for (size_t i = 0; i < SB_COUNT(texts); i++) {
        sb_cleanup(json_decrefp) json_t *saved = json_loads(texts[i], 0, NULL);
        void *loaded = sb_ibm_load(saved);
        assert_non_null(loaded);
        sb_cleanup(json_decrefp) json_t *resaved = sb_ibm_save(loaded);
        assert_non_null(resaved);
        sb_ibm_drop(loaded);
    }
    sb_ibm_drop(NULL);
}

TEST(remembered_requests_of_no_known_form_are_left_out)
{
    sb_cleanup(json_decrefp) json_t *saved = json_loads(
        "{\"seen\":{\"a\":\"x\",\"b\":204,\"c\":null,\"d\":{\"rc\":400},\"e\":[]}}", 0, NULL);
    sb_cleanup(json_decrefp) json_t *wanted =
        json_loads("{\"b\":204,\"c\":null,\"d\":{\"rc\":400}}", 0, NULL);
    void *loaded = sb_ibm_load(saved);
    sb_cleanup(json_decrefp) json_t *resaved = sb_ibm_save(loaded);
    assert_true(json_equal(json_object_get(resaved, "seen"), wanted));
    sb_ibm_drop(loaded);
}
