/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The test is the world: inputs in, effects out (tests/fakes/ibm_world.h). The documented
 * exchanges themselves are in ibm_transcript_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "adapters/dialects/ibm/conversation.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "tests/fakes/ibm_world.h"

#define REBOOT   "mgmt/initiate/device/reboot"
#define RESET    "mgmt/initiate/device/factory_reset"
#define DOWNLOAD "mgmt/initiate/firmware/download"
#define INSTALL  "mgmt/initiate/firmware/update"
#define OBSERVE  "{\"reqId\":\"%s\",\"d\":{\"fields\":[{\"field\":\"mgmt.firmware\"}]}}"
#define MANAGE   "mgmt/manage"
#define SHA      "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

#define LOCATED                                                                                    \
    "{\"reqId\":\"%s\",\"d\":{\"fields\":[{\"field\":\"location\","                                \
    "\"value\":{\"latitude\":1,\"longitude\":2.5}}]}}"

static int fresh(void **state)
{
    *state = wiot_new();
    return 0;
}

static int gone(void **state)
{
    wiot_free(*state);
    return 0;
}

static void says(struct wiot *w, const char *suffix, const char *fmt, ...) SB_PRINTF(3, 4);
static void says(struct wiot *w, const char *suffix, const char *fmt, ...)
{
    struct sb_str text = { 0 };
    va_list ap;
    va_start(ap, fmt);
    sb_str_vformat(&text, fmt, ap);
    va_end(ap);
    wiot_says(w, suffix, sb_str_get(&text));
    sb_str_done(&text);
}

static void asks(struct wiot *w, const char *suffix, const char *id)
{
    says(w, suffix, "{\"reqId\":\"%s\"}", id);
}

/* rc of the next response; its message must hold `part` if given. */
static void answered(struct wiot *w, int rc, const char *part)
{
    const struct sb_output *output = wiot_next(w, "response");
    assert_non_null(output);
    sb_cleanup(sb_freep) char *text = sb_json_text(output->json);
    if (sb_json_int(output->json, "rc", 0) != rc)
        fail_msg("wanted rc %d: %s", rc, text);
    if (part && !strstr(text, part))
        fail_msg("wanted '%s': %s", part, text);
    assert_int_equal(output->class, SB_PARCEL_ANSWER);
    assert_int_equal(output->qos, 1);
}

static void notified(struct wiot *w, int state, int status)
{
    const struct sb_output *output = wiot_next(w, "notify");
    assert_non_null(output);
    sb_cleanup(json_decrefp) json_t *want = sb_ibm_notify(state, status, output->token);
    sb_cleanup(sb_freep) char *text = sb_json_text(output->json);
    if (!json_equal(want, output->json))
        fail_msg("wanted %d/%d: %s", state, status, text);
}

static void managed(struct wiot *w)
{
    const struct sb_output *output = wiot_next(w, MANAGE);
    assert_non_null(output);
    assert_int_equal(output->class, SB_PARCEL_PASSING);
    assert_null(output->token);
}

static void describes(struct wiot *w, const char *id, const char *version, const char *uri,
                      const char *verifier)
{
    says(w, "device/update",
         "{\"reqId\":\"%s\",\"d\":{\"fields\":[{\"field\":\"mgmt.firmware\",\"value\":{"
         "\"version\":\"%s\",\"name\":\"n\",\"uri\":\"%s\",\"verifier\":\"%s\",\"state\":0,"
         "\"updateStatus\":0,\"updatedDateTime\":\"\"}}]}}",
         id, version, uri, verifier);
}

static void observes(struct wiot *w, const char *id)
{
    says(w, "observe", OBSERVE, id);
}

/* Up, managed and accepted, observed, an image described; nothing left to read. */
static void prepare(struct wiot *w)
{
    wiot_up(w);
    wiot_replies(w, wiot_last(w, SB_OUT_SEND), 200);
    describes(w, "prep-u", "2.0.0", "https://h/x.bin?sig=1", SHA);
    observes(w, "prep-o");
    wiot_forget(w);
}

static void stage(struct wiot *w)
{
    w->staged = true;
    w->package = (struct sb_package){ .id = "p-1",
                                      .name = "n",
                                      .version = "2.0.0",
                                      .uri = "https://h/x.bin?sig=2",
                                      .sha256 = SHA,
                                      .artifact = SHA };
    w->device.staged.package = "p-1";
    w->device.staged.door = "cloud";
}

/* A download that has succeeded and was told. */
static void download(struct wiot *w)
{
    prepare(w);
    asks(w, DOWNLOAD, "prep-d");
    wiot_task(w, 0, SB_TASK_DOWNLOADING);
    stage(w);
    wiot_task(w, 0, SB_TASK_SUCCEEDED);
    wiot_forget(w);
}

/* ---- manage ---- */

static void a_connect_manages(void **state)
{
    struct wiot *w = *state;
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

static void no_reply_is_tried_again_ever_later(void **state)
{
    struct wiot *w = *state;
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

static void refusals_of_manage(void **state)
{
    struct wiot *w = *state;
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

static void an_unknown_bundle_is_left_out(void **state)
{
    struct wiot *w = *state;
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

static void supports_follow_the_type(void **state)
{
    struct wiot *w = *state;
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

static void device_info_is_merged_and_never_empty(void **state)
{
    struct wiot *w = *state;
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

static void only_a_change_is_managed_anew(void **state)
{
    struct wiot *w = *state;
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

static void the_gateway_manages_itself_and_ends_the_backlog(void **state)
{
    struct wiot *w = *state;
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

static void a_removed_device_is_taken_back(void **state)
{
    struct wiot *w = *state;
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

static void what_was_never_managed_is_not_taken_back(void **state)
{
    struct wiot *w = *state;
    wiot_news(w, SB_NEWS_DEVICE_REMOVED);
    assert_true(wiot_silent(w));
}

static void a_new_name_takes_the_old_one_back(void **state)
{
    struct wiot *w = *state;
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

static void diagnosed(struct wiot *w, int code)
{
    assert_non_null(wiot_next(w, "add/diag/log"));
    const struct sb_output *error = wiot_next(w, "add/diag/errorCodes");
    assert_non_null(error);
    assert_int_equal(sb_json_int(json_object_get(error->json, "d"), "errorCode", -1), code);
    assert_string_equal(error->token, sb_json_str(error->json, "reqId"));
    assert_int_equal(error->class, SB_PARCEL_ANSWER);
}

static void an_open_reboot_holds_manage_back(void **state)
{
    struct wiot *w = *state;
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

static void before_its_answer_a_reboot_holds_nothing_back(void **state)
{
    struct wiot *w = *state;
    prepare(w);
    asks(w, REBOOT, "rb"); /* queued */
    wiot_down(w);
    wiot_up(w);
    managed(w);
}

static void a_reboot_refused_for_certain_holds_for_its_time(void **state)
{
    struct wiot *w = *state;
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

static void a_reboot_of_unknown_outcome_ends_with_the_return(void **state)
{
    struct wiot *w = *state;
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
static void returns_that_complete_nothing(void **state)
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
    (void)state;
}

/* A reset that failed is not completed by a reboot that was done, and the other way round. */
static void each_restart_is_completed_by_its_own(void **state)
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
    (void)state;
}

static void a_reboot_that_never_began_is_not_completed_by_a_return(void **state)
{
    struct wiot *w = *state;
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

static void a_later_success_ends_the_hold(void **state)
{
    struct wiot *w = *state;
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

/* ---- every request has its answer ---- */

static void unknown_devices(void **state)
{
    struct wiot *w = *state;
    static const char *const kinds[] = {
        REBOOT, RESET, DOWNLOAD, INSTALL, "observe", "nonsense", "mgmt/custom/southbridge/read"
    };
    for (size_t i = 0; i < SB_COUNT(kinds); i++) {
        sb_cleanup(sb_freep) char *topic = sb_format("iotdm-1/type/pump/id/p8/%s", kinds[i]);
        const char *body = "{\"reqId\":\"x\",\"d\":{\"fields\":[\"mgmt.firmware\"]}}";
        wiot_forget(w);
        wiot_hears(w, topic, body, strlen(body));
        char *id = strstr(w->log[0].topic, "/id/p8/response");
        assert_non_null(id);
        id[5] = '7'; /* for answered() */
        answered(w, 404, "no such device");
        assert_int_equal(wiot_count(w, SB_OUT_SUBMIT), 0);
    }
    wiot_forget(w);
    wiot_hears(w, "iotdm-1/type/pump/id/p8/" REBOOT, "{}", 2);
    assert_true(wiot_silent(w));
}

static void the_gateway_itself_does_nothing(void **state)
{
    struct wiot *w = *state;
    static const char *const kinds[] = { REBOOT,
                                         RESET,
                                         DOWNLOAD,
                                         INSTALL,
                                         "mgmt/custom/southbridge/read",
                                         "mgmt/custom/southbridge/rinse" };
    w->self = w->has_gateway = true;
    for (size_t i = 0; i < SB_COUNT(kinds); i++) {
        sb_cleanup(sb_freep) char *id = sb_format("r%zu", i);
        asks(w, kinds[i], id);
        answered(w, 501, NULL);
    }
    observes(w, "o");
    answered(w, 200, "mgmt.firmware");
    assert_int_equal(wiot_count(w, SB_OUT_SUBMIT), 0);
}

static void the_gateways_attributes(void **state)
{
    struct wiot *w = *state;
    w->self = true;
    says(w, "device/update", LOCATED, "a");
    answered(w, 500, "no record");
    w->has_gateway = true;
    says(w, "device/update", LOCATED, "b");
    answered(w, 204, NULL);
    assert_string_equal(wiot_last(w, SB_OUT_FACT)->name, "location");
}

static void what_the_type_cannot_do(void **state)
{
    struct wiot *w = *state;
    char *only[] = { "identify" };
    w->type.operations = (struct sb_strings){ only, 1 };
    static const char *const kinds[] = { REBOOT,
                                         RESET,
                                         DOWNLOAD,
                                         INSTALL,
                                         "mgmt/custom/southbridge/write",
                                         "mgmt/custom/southbridge/rinse" };
    for (size_t i = 0; i < SB_COUNT(kinds); i++) {
        sb_cleanup(sb_freep) char *id = sb_format("r%zu", i);
        asks(w, kinds[i], id);
        answered(w, 501, NULL);
    }
}

static void broken_texts(void **state)
{
    struct wiot *w = *state;
    says(w, REBOOT, "{\"reqId\":\"b1\",,}");
    answered(w, 400, "not valid JSON");
    says(w, REBOOT, "{\"reqId\":");
    assert_true(wiot_noted(w, "cannot be answered"));
    says(w, REBOOT, "[]");
    says(w, REBOOT, "{}");
    assert_true(wiot_silent(w));
    assert_int_equal(wiot_count(w, SB_OUT_SUBMIT), 0);
}

/* An id beyond all measure is not remembered, and not met with silence. */
static void an_endless_request_id(void **state)
{
    struct wiot *w = *state;
    sb_cleanup(sb_freep) char *id = calloc(1, 4097);
    memset(id, 'i', 4096);
    for (int i = 0; i < 2; i++) {
        asks(w, REBOOT, id);
        answered(w, 400, id);
    }
    assert_int_equal(wiot_count(w, SB_OUT_SUBMIT), 0);
    sb_cleanup(json_decrefp) json_t *saved = sb_ibm_save(w->state);
    assert_int_equal(json_array_size(json_object_get(saved, "seen")), 0);
}

static void repeated_requests(void **state)
{
    struct wiot *w = *state;
    asks(w, REBOOT, "r1");
    asks(w, REBOOT, "r1");
    assert_true(wiot_silent(w)); /* open: one answer will come */
    assert_int_equal(wiot_count(w, SB_OUT_SUBMIT), 1);
    wiot_task(w, 0, SB_TASK_RUNNING);
    answered(w, 202, NULL);
    asks(w, REBOOT, "r1");
    answered(w, 202, "r1");
    assert_true(wiot_restarts(w));
    asks(w, REBOOT, "r1");
    answered(w, 202, "r1");
    wiot_fails(w, 0, SB_CAUSE_REFUSED, SB_PHASE_STARTING);
    wiot_forget(w);
    asks(w, REBOOT, "r1");
    answered(w, 202, "r1"); /* what it was answered, not what came of it */
    assert_int_equal(wiot_count(w, SB_OUT_SUBMIT), 0);
}

static void a_repeated_write_is_not_written_again(void **state)
{
    struct wiot *w = *state;
    download(w);
    describes(w, "late", "2.0.0", "https://h/x.bin", SHA);
    answered(w, 204, NULL);
    asks(w, DOWNLOAD, "d2");
    wiot_task(w, 1, SB_TASK_DOWNLOADING);
    answered(w, 202, NULL);
    notified(w, 1, 0);
    describes(w, "late", "2.0.0", "https://h/x.bin", SHA);
    answered(w, 204, NULL);
    says(w, "observe", OBSERVE, "see");
    answered(w, 200, "\"state\":1");
}

static void the_memory_of_requests_is_bounded(void **state)
{
    struct wiot *w = *state;
    asks(w, REBOOT, "open");
    for (int i = 0; i < 100; i++)
        says(w, "cancel", "{\"reqId\":\"c%d\",\"d\":{\"fields\":[\"mgmt.firmware\"]}}", i);
    sb_cleanup(json_decrefp) json_t *saved = sb_ibm_save(w->state);
    assert_int_equal(json_object_size(json_object_get(saved, "seen")), 32);
    wiot_forget(w);
    asks(w, REBOOT, "open"); /* what is open is not forgotten */
    assert_true(wiot_silent(w));
    assert_int_equal(wiot_count(w, SB_OUT_SUBMIT), 0);
}

static void stale_actions(void **state)
{
    struct wiot *w = *state;
    w->backlog = true;
    w->outage = 10 * SB_MINUTE;
    asks(w, REBOOT, "young");
    assert_int_equal(wiot_count(w, SB_OUT_SUBMIT), 1);
    w->outage = 10 * SB_MINUTE + 1;
    asks(w, REBOOT, "old");
    answered(w, 500, "offline for 10m");
    asks(w, "mgmt/custom/southbridge/rinse", "old2");
    answered(w, 500, "offline");
    w->outage = -1;
    asks(w, RESET, "old3");
    answered(w, 500, "unknown time");
    observes(w, "o"); /* harms nobody */
    answered(w, 200, NULL);
    describes(w, "u", "2", "https://h/x", "");
    answered(w, 204, NULL);
    w->backlog = false;
    asks(w, RESET, "new");
    assert_int_equal(wiot_count(w, SB_OUT_SUBMIT), 2);
}

static void a_core_that_takes_nothing(void **state)
{
    struct wiot *w = *state;
    w->ready = false;
    w->why = "the disk is full";
    asks(w, REBOOT, "r1");
    answered(w, 500, "the disk is full");
    observes(w, "o");
    answered(w, 500, NULL);
    describes(w, "u", "2", "https://h/x", "");
    answered(w, 500, NULL);
    assert_int_equal(wiot_count(w, SB_OUT_SUBMIT), 0);
    assert_int_equal(w->saves, 0);
    w->ready = true;
    asks(w, DOWNLOAD, "d");
    answered(w, 400, "uri is not set"); /* nothing was half done */
}

static void refusals_of_the_core(void **state)
{
    struct wiot *w = *state;
    prepare(w);
    for (int cause = SB_CAUSE_NONE + 1; cause < SB_CAUSE_MAX_; cause++) {
        sb_cleanup(sb_freep) char *id = sb_format("r%d", cause);
        w->refuse = (enum sb_cause)cause;
        w->refuse_text = cause % 2 ? "because" : NULL;
        asks(w, DOWNLOAD, id);
        const struct sb_output *output = wiot_next(w, "response");
        assert_non_null(output);
        assert_in_range(sb_json_int(output->json, "rc", 0), 400, 501);
        assert_non_null(sb_json_str(output->json, "message"));
        if (cause % 2)
            assert_string_equal(sb_json_str(output->json, "message"), "because");
    }
    assert_true(wiot_silent(w));
    assert_int_equal(wiot_timer(w, "ask:r1"), -1);
    w->refuse = SB_CAUSE_INVALID_URI;
    asks(w, DOWNLOAD, "uri");
    answered(w, 400, NULL);
    w->refuse = SB_CAUSE_UNSUPPORTED;
    asks(w, DOWNLOAD, "un");
    answered(w, 501, NULL);
}

static void too_many_open_requests(void **state)
{
    struct wiot *w = *state;
    for (int i = 0; i < 17; i++) {
        sb_cleanup(sb_freep) char *id = sb_format("r%d", i);
        w->existing = 101; /* all the same task, so that the world has room */
        asks(w, REBOOT, id);
    }
    answered(w, 500, "too many");
    assert_true(wiot_silent(w));
    assert_int_equal(wiot_count(w, SB_OUT_SUBMIT), 16);
}

static void one_task_answers_all_who_asked_for_it(void **state)
{
    struct wiot *w = *state;
    asks(w, REBOOT, "r1");
    w->existing = 101;
    asks(w, REBOOT, "r2");
    wiot_task(w, 0, SB_TASK_SENT);
    answered(w, 202, "r1");
    answered(w, 202, "r2");
}

/* ---- attributes ---- */

static void update_judges_every_field(void **state)
{
    struct wiot *w = *state;
    static const char *const bad[] = {
        "\"location\",\"value\":{\"latitude\":1}",
        "\"location\",\"value\":{\"latitude\":1,\"longitude\":\"2\"}",
        "\"location\",\"value\":{\"latitude\":1,\"longitude\":2,\"elevation\":\"x\"}",
        "\"location\",\"value\":7",
        "\"location\"",
        "\"metadata\",\"value\":[]",
        "\"deviceInfo\",\"value\":{\"model\":7}",
        "\"mgmt.firmware\",\"value\":{\"uri\":7}",
        "\"mgmt.firmware\",\"value\":{\"state\":\"0\"}",
        "\"mgmt.firmware\",\"value\":\"x\"",
    };
    for (size_t i = 0; i < SB_COUNT(bad); i++) {
        says(w, "device/update",
             "{\"reqId\":\"r%zu\",\"d\":{\"fields\":[{\"field\":\"metadata\",\"value\":{}},"
             "{\"field\":%s}]}}",
             i, bad[i]);
        answered(w, 400, "\"d\":{\"fields\":[{\"field\":");
    }
    assert_int_equal(wiot_count(w, SB_OUT_FACT), 0); /* all or nothing */
    says(w, "device/update",
         "{\"reqId\":\"u\",\"d\":{\"fields\":[{\"field\":\"colour\",\"value\":1},"
         "{\"field\":\"metadata\",\"value\":{}},{\"field\":\"mgmt\",\"value\":{}}]}}");
    assert_true(wiot_sent(w, "response",
                          "{\"rc\":404,\"message\":\"no such attribute\",\"reqId\":\"u\","
                          "\"d\":{\"fields\":[{\"field\":\"colour\"},{\"field\":\"mgmt\"}]}}"));
}

static void update_keeps_facts(void **state)
{
    struct wiot *w = *state;
    says(w, "device/update",
         "{\"reqId\":\"u\",\"d\":{\"fields\":["
         "{\"field\":\"location\",\"value\":{\"latitude\":1,\"longitude\":2,\"elevation\":null}},"
         "{\"field\":\"metadata\",\"value\":{\"a\":[1]}},"
         "{\"field\":\"deviceInfo\",\"value\":{\"model\":\"m\"}}]}}");
    answered(w, 204, NULL);
    assert_int_equal(wiot_count(w, SB_OUT_FACT), 3);
    /* a user's change of location has no reqId, and is done all the same */
    says(w, "device/update",
         "{\"d\":{\"fields\":[{\"field\":\"location\",\"value\":"
         "{\"latitude\":3,\"longitude\":4}}]}}");
    assert_true(wiot_silent(w));
    assert_int_equal(wiot_count(w, SB_OUT_FACT), 4);
    says(w, "device/update", "{\"d\":{\"fields\":[{\"field\":\"x\",\"value\":1}]}}");
    assert_true(wiot_noted(w, "could not be applied"));
    sb_cleanup(sb_freep) char *big = calloc(1, 9001);
    memset(big, 'x', 9000);
    says(w, "device/update",
         "{\"reqId\":\"big\",\"d\":{\"fields\":[{\"field\":\"metadata\",\"value\":"
         "{\"a\":\"%s\"}}]}}",
         big);
    answered(w, 400, "too large");
}

static void a_write_during_a_firmware_task(void **state)
{
    struct wiot *w = *state;
    prepare(w);
    asks(w, DOWNLOAD, "d");
    wiot_task(w, 0, SB_TASK_DOWNLOADING);
    answered(w, 202, NULL);
    notified(w, 1, 0);
    describes(w, "u1", "3.0.0", "https://h/y.bin", "");
    answered(w, 409, "mgmt.firmware");
    describes(w, "u2", "2.0.0", "https://h/x.bin?sig=2", SHA); /* the same, newly signed */
    answered(w, 204, NULL);
    observes(w, "o");
    answered(w, 200, "sig=2");
    says(w, "device/update",
         "{\"reqId\":\"u3\",\"d\":{\"fields\":[{\"field\":\"metadata\",\"value\":{}}]}}");
    answered(w, 204, NULL);
    stage(w);
    wiot_task(w, 0, SB_TASK_SUCCEEDED);
    notified(w, 2, 0);
}

static void another_image_takes_back_what_waits(void **state)
{
    struct wiot *w = *state;
    prepare(w);
    asks(w, DOWNLOAD, "d"); /* queued */
    describes(w, "u1", "2.0.0", "https://h/x.bin?sig=1", SHA);
    answered(w, 204, NULL);
    assert_int_equal(wiot_count(w, SB_OUT_CANCEL), 0);
    describes(w, "u2", "3.0.0", "https://h/y.bin", "");
    answered(w, 500, "later request");
    answered(w, 204, NULL);
    assert_int_equal(wiot_count(w, SB_OUT_CANCEL), 1);
    assert_int_equal(wiot_last(w, SB_OUT_CANCEL)->cause, SB_CAUSE_OVERRIDDEN);
    assert_int_equal(wiot_last(w, SB_OUT_CANCEL)->task, 101);
    w->tasks[0].state = SB_TASK_QUEUED;
    w->tasks[0].cause = SB_CAUSE_OVERRIDDEN;
    wiot_task(w, 0, SB_TASK_CANCELLED); /* its end is no news to the platform */
    assert_true(wiot_silent(w));
    asks(w, DOWNLOAD, "d2");
    wiot_task(w, 1, SB_TASK_DOWNLOADING);
    answered(w, 202, NULL);
    notified(w, 1, 0);
}

/* ---- firmware ---- */

static void a_download_says_what_it_wants(void **state)
{
    struct wiot *w = *state;
    prepare(w);
    asks(w, DOWNLOAD, "d");
    const struct sb_output *submit = wiot_last(w, SB_OUT_SUBMIT);
    assert_int_equal(submit->op, SB_OP_FIRMWARE_DOWNLOAD);
    assert_string_equal(submit->tag, "d");
    sb_cleanup(sb_freep) char *text = sb_json_text(submit->package);
    assert_string_equal(text, "{\"uri\":\"https://h/x.bin?sig=1\",\"version\":\"2.0.0\","
                              "\"name\":\"n\",\"sha256\":\"" SHA "\"}");
    assert_int_equal(submit->policy.conflict, SB_CONFLICT_REPLACE_UNSTARTED);
    assert_int_equal(submit->policy.online_timeout, SB_DAY);
    assert_int_equal(wiot_timer(w, "ask:d"), 10 * SB_SECOND);
}

static void a_verifier_that_cannot_be_checked(void **state)
{
    struct wiot *w = *state;
    describes(w, "u", "2", "https://h/x", "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    answered(w, 204, NULL);
    asks(w, DOWNLOAD, "d1");
    answered(w, 400, "verifier");
    w->config.verifier = SB_IBM_VERIFIER_IGNORE;
    asks(w, DOWNLOAD, "d2");
    sb_cleanup(sb_freep) char *text = sb_json_text(wiot_last(w, SB_OUT_SUBMIT)->package);
    assert_string_equal(text, "{\"uri\":\"https://h/x\",\"version\":\"2\",\"name\":\"n\"}");
    describes(w, "u2", "2", "https://h/x", "MD5:D41D8cd98f00b204e9800998ecf8427e");
    asks(w, DOWNLOAD, "d3");
    sb_cleanup(sb_freep) char *md5 = sb_json_text(wiot_last(w, SB_OUT_SUBMIT)->package);
    assert_string_equal(md5, "{\"uri\":\"https://h/x\",\"version\":\"2\",\"name\":\"n\","
                             "\"md5\":\"d41d8cd98f00b204e9800998ecf8427e\"}");
}

static void a_download_in_its_turn(void **state)
{
    struct wiot *w = *state;
    download(w);
    asks(w, DOWNLOAD, "d2");
    answered(w, 400, "state is not 0");
    w->tasks[0].state = SB_TASK_SUCCEEDED;
    assert_int_equal(wiot_count(w, SB_OUT_SUBMIT), 0);
}

static void a_queued_action_is_accepted_after_a_while(void **state)
{
    struct wiot *w = *state;
    prepare(w);
    asks(w, DOWNLOAD, "d");
    wiot_passes(w, 10 * SB_SECOND - 1);
    assert_true(wiot_silent(w));
    wiot_passes(w, 1);
    answered(w, 202, NULL);
    wiot_task(w, 0, SB_TASK_SENT);
    assert_true(wiot_silent(w));
    wiot_task(w, 0, SB_TASK_DOWNLOADING);
    notified(w, 1, 0);
}

static void a_failure_before_the_answer_is_the_answer(void **state)
{
    struct wiot *w = *state;
    prepare(w);
    asks(w, DOWNLOAD, "d");
    wiot_fails(w, 0, SB_CAUSE_NO_SPACE, SB_PHASE_FETCHING);
    answered(w, 500, "no space");
    assert_true(wiot_silent(w)); /* no notify, no diagnostics */
    asks(w, DOWNLOAD, "d2");     /* and still idle */
    assert_int_equal(wiot_count(w, SB_OUT_SUBMIT), 2);
}

static void an_end_within_one_turn_is_accepted_then_told(void **state)
{
    struct wiot *w = *state;
    prepare(w);
    asks(w, DOWNLOAD, "d");
    stage(w);
    wiot_task(w, 0, SB_TASK_SUCCEEDED);
    answered(w, 202, NULL);
    notified(w, 2, 0);
    assert_true(wiot_silent(w));
}

static void classes_and_keys_of_notifies(void **state)
{
    struct wiot *w = *state;
    prepare(w);
    asks(w, DOWNLOAD, "d");
    wiot_task(w, 0, SB_TASK_DOWNLOADING);
    const struct sb_output *progress = wiot_last(w, SB_OUT_SEND);
    assert_int_equal(progress->class, SB_PARCEL_PROGRESS);
    assert_string_equal(progress->key, "firmware:pump-7");
    assert_int_equal(progress->task, 101);
    stage(w);
    wiot_task(w, 0, SB_TASK_SUCCEEDED);
    const struct sb_output *final = wiot_last(w, SB_OUT_SEND);
    assert_int_equal(final->class, SB_PARCEL_FINAL);
    assert_string_equal(final->key, "firmware:pump-7"); /* it takes unsent progress's place */
    assert_string_equal(final->token, sb_json_str(final->json, "reqId"));
}

static void unobserved_changes_wait_for_the_next_observe(void **state)
{
    struct wiot *w = *state;
    prepare(w);
    says(w, "cancel", "{\"reqId\":\"c\",\"d\":{\"data\":[{\"field\":\"mgmt.firmware\"}]}}");
    answered(w, 200, NULL);
    asks(w, DOWNLOAD, "d");
    wiot_task(w, 0, SB_TASK_DOWNLOADING);
    answered(w, 202, NULL);
    wiot_fails(w, 0, SB_CAUSE_LINK_LOST, SB_PHASE_FETCHING);
    diagnosed(w, 109);
    assert_true(wiot_silent(w));
    assert_true(wiot_restarts(w));
    observes(w, "o");
    answered(w, 200, "\"state\":0,\"updateStatus\":3");
    assert_true(wiot_silent(w));
}

static void the_same_failure_twice_is_told_twice(void **state)
{
    struct wiot *w = *state;
    prepare(w);
    for (size_t i = 0; i < 2; i++) {
        sb_cleanup(sb_freep) char *id = sb_format("d%zu", i);
        asks(w, DOWNLOAD, id);
        wiot_task(w, i, SB_TASK_SENT);
        answered(w, 202, NULL);
        wiot_fails(w, i, SB_CAUSE_LINK_LOST, SB_PHASE_FETCHING);
        notified(w, 0, 3);
        diagnosed(w, 109);
    }
}

static void an_update_that_fails(void **state)
{
    static const struct {
        enum sb_cause cause;
        int status;
    } table[] = {
        { SB_CAUSE_NO_MEMORY, 2 },         { SB_CAUSE_NO_SPACE, 2 },
        { SB_CAUSE_UNSUPPORTED_IMAGE, 5 }, { SB_CAUSE_INSTALL_FAILED, 5 },
        { SB_CAUSE_ROLLED_BACK, 4 },       { SB_CAUSE_VERSION_MISMATCH, 4 },
        { SB_CAUSE_TIMEOUT, 5 },
    };
    for (size_t i = 0; i < SB_COUNT(table); i++) {
        struct wiot *w = wiot_new();
        download(w);
        asks(w, INSTALL, "i");
        wiot_task(w, 1, SB_TASK_INSTALLING);
        answered(w, 202, NULL);
        notified(w, 2, 1);
        wiot_fails(w, 1, table[i].cause, SB_PHASE_ACTIVATING);
        notified(w, 0, table[i].status);
        assert_non_null(wiot_next(w, "add/diag/log"));
        assert_non_null(wiot_next(w, "add/diag/errorCodes"));
        assert_true(wiot_silent(w)); /* nothing changed: no manage */
        asks(w, INSTALL, "i2");
        answered(w, 400, "not 2"); /* the platform has to download again, or write it again */
        describes(w, "u9", "2.0.0", "https://h/x.bin", SHA);
        answered(w, 204, NULL);
        asks(w, INSTALL, "i3");
        wiot_task(w, 2, SB_TASK_SENT);
        answered(w, 202, NULL);
        wiot_free(w);
    }
    (void)state;
}

/* 0/0 is all that mgmt.firmware can say of a success; the log says how little is known of it. */
static void a_success_that_was_not_read_back_is_said_to_be_so(void **state)
{
    static const struct {
        enum sb_verify verified;
        const char *doubt;
    } table[] = { { SB_VERIFY_NONE, "nothing was read back" },
                  { SB_VERIFY_STATUS, "no version was read back" },
                  { SB_VERIFY_VERSION, NULL },
                  { SB_VERIFY_HASH, NULL } };
    for (size_t i = 0; i < SB_COUNT(table); i++) {
        struct wiot *w = wiot_new();
        download(w);
        asks(w, INSTALL, "i");
        wiot_task(w, 1, SB_TASK_INSTALLING);
        answered(w, 202, NULL);
        notified(w, 2, 1);
        w->tasks[1].verified = table[i].verified;
        wiot_task(w, 1, SB_TASK_SUCCEEDED);
        notified(w, 0, 0);
        if (table[i].doubt) {
            const struct sb_output *log = wiot_next(w, "add/diag/log");
            assert_non_null(log);
            sb_cleanup(sb_freep) char *text = sb_json_text(log->json);
            assert_non_null(strstr(text, table[i].doubt));
            assert_non_null(strstr(text, "\"severity\":1"));
        }
        managed(w);
        assert_true(wiot_silent(w));
        wiot_free(w);
    }
    (void)state;
}

static void a_failed_update_that_changed_the_version(void **state)
{
    struct wiot *w = *state;
    download(w);
    asks(w, INSTALL, "i");
    wiot_task(w, 1, SB_TASK_INSTALLING);
    answered(w, 202, NULL);
    notified(w, 2, 1);
    (void)json_object_set_new(w->device.versions, "", json_string("1.9.9"));
    wiot_news(w, SB_NEWS_IDENTITY);
    assert_true(wiot_silent(w)); /* first the result */
    wiot_fails(w, 1, SB_CAUSE_VERSION_MISMATCH, SB_PHASE_CONFIRMING);
    notified(w, 0, 4);
    diagnosed(w, 117);
    managed(w);
}

static void a_write_of_what_is_staged_keeps_it(void **state)
{
    struct wiot *w = *state;
    download(w);
    describes(w, "u", "2.0.0", "https://h/x.bin?sig=9", SHA); /* REST gave parameters */
    answered(w, 204, NULL);
    observes(w, "o");
    answered(w, 200, "\"state\":0");
    assert_true(wiot_restarts(w));
    asks(w, INSTALL, "i");
    wiot_task(w, 1, SB_TASK_INSTALLING);
    answered(w, 202, NULL);
    notified(w, 2, 1);
    assert_int_equal(wiot_count(w, SB_OUT_UNSTAGE), 0);
    assert_null(wiot_last(w, SB_OUT_SUBMIT)->package); /* what is staged */
}

static void a_write_of_another_image_drops_ours(void **state)
{
    static const char *const others[][3] = {
        { "2.0.0", "https://h/y.bin", SHA },
        { "2.0.1", "https://h/x.bin", SHA },
        { "2.0.0", "https://h/x.bin", "d41d8cd98f00b204e9800998ecf8427e00" },
    };
    for (size_t i = 0; i < 2; i++) {
        struct wiot *w = wiot_new();
        download(w);
        describes(w, "u", others[i][0], others[i][1], others[i][2]);
        answered(w, 204, NULL);
        assert_int_equal(wiot_count(w, SB_OUT_UNSTAGE), 1);
        wiot_news(w, SB_NEWS_STAGED);
        assert_true(wiot_silent(w));
        asks(w, INSTALL, "i");
        answered(w, 400, NULL);
        wiot_free(w);
    }
    struct wiot *w = *state;
    download(w);
    w->device.staged.door = "native"; /* an operator's is not ours to drop */
    describes(w, "u", others[0][0], others[0][1], others[0][2]);
    answered(w, 204, NULL);
    assert_int_equal(wiot_count(w, SB_OUT_UNSTAGE), 0);
    asks(w, INSTALL, "i");
    answered(w, 400, NULL);
}

static void a_digest_decides_too(void **state)
{
    struct wiot *w = *state;
    download(w);
    describes(w, "u", "2.0.0", "https://h/x.bin",
              "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff");
    answered(w, 204, NULL);
    asks(w, INSTALL, "i");
    answered(w, 400, NULL);
}

static void an_image_that_is_gone(void **state)
{
    struct wiot *w = *state;
    download(w);
    w->staged = false;
    wiot_news(w, SB_NEWS_STAGED);
    assert_true(wiot_silent(w)); /* 0/0 would read as a success */
    asks(w, INSTALL, "i");
    answered(w, 400, NULL);
    observes(w, "o");
    answered(w, 200, "\"state\":0,\"updateStatus\":0");
}

static void gone_over_a_restart(void **state)
{
    struct wiot *w = *state;
    download(w);
    w->staged = false;
    assert_true(wiot_restarts(w));
    assert_true(wiot_silent(w));
    asks(w, INSTALL, "i");
    answered(w, 400, NULL);
}

static void a_restart_in_the_middle(void **state)
{
    struct wiot *w = *state;
    prepare(w);
    asks(w, DOWNLOAD, "d");
    assert_true(wiot_restarts(w));
    assert_int_equal(wiot_timer(w, "ask:d"), 10 * SB_SECOND);
    w->tasks[0].state = SB_TASK_DOWNLOADING;
    assert_true(wiot_restarts(w)); /* what it missed it is told */
    answered(w, 202, NULL);
    notified(w, 1, 0);
    assert_true(wiot_restarts(w));
    assert_true(wiot_silent(w));
    stage(w);
    wiot_task(w, 0, SB_TASK_SUCCEEDED);
    notified(w, 2, 0);
}

static void tasks_that_ended_unheard(void **state)
{
    struct wiot *w = *state;
    prepare(w);
    asks(w, DOWNLOAD, "d");
    wiot_task(w, 0, SB_TASK_DOWNLOADING);
    asks(w, "mgmt/custom/southbridge/rinse", "c");
    asks(w, REBOOT, "r");
    wiot_forget(w);
    stage(w);
    for (size_t i = 0; i < 3; i++)
        w->tasks[i].state = SB_TASK_FAILED;
    assert_true(wiot_restarts(w));
    assert_int_equal(wiot_count(w, SB_OUT_LOOK), 3);
    diagnosed(w, 128);
    notified(w, 2, 0); /* what is staged speaks for itself */
    answered(w, 500, "not known");
    answered(w, 500, "not known");
    assert_true(wiot_silent(w));
}

static void a_device_that_speaks_the_dialect_keeps_its_numbers(void **state)
{
    struct wiot *w = *state;
    prepare(w);
    asks(w, DOWNLOAD, "d");
    w->tasks[0].native = (struct sb_native){ .dialect = "ibm", .vocabulary = "rc", .code = "409" };
    wiot_fails(w, 0, SB_CAUSE_REFUSED, SB_PHASE_STARTING);
    answered(w, 409, NULL);
    asks(w, DOWNLOAD, "d2");
    wiot_task(w, 1, SB_TASK_DOWNLOADING);
    w->tasks[1].native =
        (struct sb_native){ .dialect = "ibm", .vocabulary = "updateStatus", .code = "6" };
    wiot_fails(w, 1, SB_CAUSE_REFUSED, SB_PHASE_STARTING);
    answered(w, 202, NULL);
    notified(w, 1, 0);
    notified(w, 0, 6);
}

/* A number of another vocabulary, or of another dialect, says nothing here: the cause does. */
static void another_vocabulary_gets_the_causes_code(void **state)
{
    static const struct {
        const char *dialect, *vocabulary, *code;
    } natives[] = { { "smp", "rc", "409" },
                    { "smp", "updateStatus", "6" },
                    { "ibm", "err", "409" },
                    { "ibm", "rc", "nonsense" } };
    for (size_t i = 0; i < SB_COUNT(natives); i++) {
        struct wiot *w = wiot_new();
        const struct sb_native native = { (char *)natives[i].dialect, (char *)natives[i].vocabulary,
                                          (char *)natives[i].code, NULL };
        prepare(w);
        asks(w, DOWNLOAD, "d");
        w->tasks[0].native = native;
        wiot_fails(w, 0, SB_CAUSE_NO_SPACE, SB_PHASE_FETCHING);
        answered(w, 500, NULL);
        asks(w, DOWNLOAD, "d2");
        wiot_task(w, 1, SB_TASK_DOWNLOADING);
        w->tasks[1].native = native;
        wiot_fails(w, 1, SB_CAUSE_NO_SPACE, SB_PHASE_FETCHING);
        answered(w, 202, NULL);
        notified(w, 1, 0);
        notified(w, 0, 2);
        wiot_free(w);
    }
    (void)state;
}

static void every_failure_is_a_failure(void **state)
{
    for (int cause = SB_CAUSE_NONE + 1; cause < SB_CAUSE_MAX_; cause++) {
        for (int phase = 0; phase < SB_PHASE_MAX_; phase++) {
            struct wiot *w = wiot_new();
            prepare(w);
            asks(w, DOWNLOAD, "d");
            wiot_task(w, 0, SB_TASK_DOWNLOADING);
            wiot_forget(w);
            w->tasks[0].text = phase % 2 ? "as told by http://user:pw@host/x" : NULL;
            wiot_fails(w, 0, (enum sb_cause)cause, (enum sb_phase)phase);
            const struct sb_output *notify = wiot_next(w, "notify");
            assert_non_null(notify);
            const json_t *fields = json_object_get(json_object_get(notify->json, "d"), "fields");
            const json_t *value = json_object_get(json_array_get(fields, 0), "value");
            assert_int_equal(sb_json_int(value, "state", -1), 0);
            assert_in_range(sb_json_int(value, "updateStatus", -1), 2, 6);
            const struct sb_output *log = wiot_next(w, "add/diag/log");
            sb_cleanup(sb_freep) char *text = sb_json_text(log->json);
            assert_null(strstr(text, "pw@"));
            assert_non_null(wiot_next(w, "add/diag/errorCodes"));
            wiot_free(w);
        }
    }
    (void)state;
}

/* ---- what others do ---- */

static void other_doors_move_the_attribute_too(void **state)
{
    struct wiot *w = *state;
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

static void a_success_at_once_is_told_once(void **state)
{
    struct wiot *w = *state;
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

static void an_operators_image_shows(void **state)
{
    struct wiot *w = *state;
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

static void a_foreign_task_lost_over_a_restart(void **state)
{
    struct wiot *w = *state;
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
static void a_newer_download_takes_the_view(void **state)
{
    struct wiot *w = *state;
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
static void a_second_try_begins_anew(void **state)
{
    struct wiot *w = *state;
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
static void an_installation_that_ended_unheard(void **state)
{
    struct wiot *w = *state;
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

/* ---- custom actions ---- */

static void custom_reads(void **state)
{
    struct wiot *w = *state;
    says(w, "mgmt/custom/southbridge/read",
         "{\"reqId\":\"c\",\"d\":{\"fields\":[{\"field\":\"name\",\"value\":\"speed, label\"}]}}");
    const struct sb_output *submit = wiot_last(w, SB_OUT_SUBMIT);
    assert_int_equal(submit->op, SB_OP_READ);
    assert_int_equal(submit->policy.answer, SB_ANSWER_FINAL);
    sb_cleanup(sb_freep) char *params = sb_json_text(submit->json);
    assert_string_equal(params, "{\"names\":[\"speed\",\"label\"]}");
    wiot_task(w, 0, SB_TASK_RUNNING);
    assert_true(wiot_silent(w)); /* one step: no 202 */
    w->tasks[0].result = json_pack("{s:i,s:s}", "speed", 7, "label", "x");
    wiot_task(w, 0, SB_TASK_SUCCEEDED);
    assert_true(wiot_sent(w, "response",
                          "{\"rc\":200,\"message\":\"speed=7, label=x\",\"reqId\":\"c\","
                          "\"d\":{\"fields\":[{\"field\":\"speed\",\"value\":7},"
                          "{\"field\":\"label\",\"value\":\"x\"}]}}"));
    assert_true(wiot_silent(w));
}

static void check_params(struct wiot *w, const char *id, const char *action, const char *fields,
                         const char *wanted)
{
    sb_cleanup(sb_freep) char *suffix = sb_format("mgmt/custom/southbridge/%s", action);
    wiot_forget(w);
    says(w, suffix, "{\"reqId\":\"%s\",\"d\":{\"fields\":[%s]}}", id, fields);
    if (!wanted) {
        answered(w, 400, NULL);
        return;
    }
    const struct sb_output *submit = wiot_last(w, SB_OUT_SUBMIT);
    assert_non_null(submit);
    sb_cleanup(sb_freep) char *params = sb_json_text(submit->json);
    assert_string_equal(params, wanted);
}

static void custom_parameters(void **state)
{
    struct wiot *w = *state;
    check_params(w, "1", "write",
                 "{\"field\":\"name\",\"value\":\"speed\"},{\"field\":\"value\",\"value\":\"42\"}",
                 "{\"values\":{\"speed\":42}}");
    check_params(w, "2", "write", "{\"field\":\"speed\",\"value\":\"42\"}",
                 "{\"values\":{\"speed\":42}}");
    check_params(w, "3", "configure", "{\"field\":\"label\",\"value\":\"42\"}",
                 "{\"values\":{\"label\":\"42\"}}");
    check_params(w, "4", "write", "{\"field\":\"speed\",\"value\":\"fast\"}",
                 "{\"values\":{\"speed\":\"fast\"}}"); /* the driver will refuse it */
    check_params(w, "5", "rinse", "{\"field\":\"seconds\",\"value\":\"5\"}",
                 "{\"action\":\"rinse\",\"arguments\":{\"seconds\":\"5\"}}");
    check_params(w, "6", "write", "", NULL);
    check_params(w, "7", "read", "", NULL);
    check_params(w, "8", "read", "{\"field\":\"name\",\"value\":\" ,\"}", NULL);
    check_params(w, "0", "read",
                 "{\"field\":\"name\",\"value\":\"speed\"},{\"field\":\"often\",\"value\":\"5\"}",
                 NULL);
    wiot_forget(w);
    asks(w, "mgmt/custom/southbridge/explode", "9");
    answered(w, 501, "no such action");
    asks(w, "mgmt/custom/southbridgeX/read", "10");
    answered(w, 501, "bundle");
    w->config.bundle = false;
    asks(w, "mgmt/custom/southbridge/rinse", "11");
    answered(w, 501, "bundle");
}

static void custom_failures(void **state)
{
    struct wiot *w = *state;
    asks(w, "mgmt/custom/southbridge/rinse", "c");
    wiot_task(w, 0, SB_TASK_RUNNING);
    w->tasks[0].text = "the valve is stuck";
    wiot_fails(w, 0, SB_CAUSE_REFUSED, SB_PHASE_STARTING);
    answered(w, 500, "the valve is stuck");
    assert_true(wiot_silent(w));
}

static void custom_actions_that_take_long(void **state)
{
    struct wiot *w = *state;
    asks(w, "mgmt/custom/southbridge/rinse", "c");
    wiot_task(w, 0, SB_TASK_RUNNING);
    wiot_passes(w, 30 * SB_SECOND);
    answered(w, 500, "still running after 30 s");
    assert_int_equal(wiot_count(w, SB_OUT_CANCEL), 0);
    wiot_task(w, 0, SB_TASK_SUCCEEDED);
    const struct sb_output *log = wiot_next(w, "add/diag/log");
    assert_non_null(log);
    assert_int_equal(sb_json_int(json_object_get(log->json, "d"), "severity", -1), 0);
    assert_true(wiot_silent(w));
}

static void custom_actions_that_never_begin(void **state)
{
    struct wiot *w = *state;
    asks(w, "mgmt/custom/southbridge/rinse", "c");
    wiot_passes(w, 30 * SB_SECOND);
    answered(w, 500, "taken back");
    assert_int_equal(wiot_last(w, SB_OUT_CANCEL)->task, 101);
    assert_int_equal(wiot_last(w, SB_OUT_CANCEL)->cause, SB_CAUSE_EXPIRED);
    wiot_task(w, 0, SB_TASK_CANCELLED);
    assert_true(wiot_silent(w));
}

/* The platform disconnects who sends more than it takes, and would do so again. */
static void results_that_do_not_fit(void **state)
{
    static const size_t sizes[] = { 10, 4000, 6000 };
    for (size_t i = 0; i < SB_COUNT(sizes); i++) {
        struct wiot *w = wiot_new();
        prepare(w);
        says(w, "mgmt/custom/southbridge/rinse", "{\"reqId\":\"c\"}");
        w->tasks[0].result = json_object();
        for (size_t n = 0; n < sizes[i]; n++) {
            sb_cleanup(sb_freep) char *name = sb_format("n%zu", n);
            (void)json_object_set_new(w->tasks[0].result, name, json_integer(1));
        }
        wiot_task(w, 0, SB_TASK_RUNNING);
        wiot_task(w, 0, SB_TASK_SUCCEEDED);
        const struct sb_output *output = wiot_next(w, "response");
        assert_non_null(output);
        assert_int_equal(sb_json_int(output->json, "rc", 0), 200);
        assert_in_range(json_dumpb(output->json, NULL, 0, JSON_COMPACT), 1, 131072);
        assert_int_equal(json_object_get(output->json, "d") != NULL, sizes[i] < 6000);
        sb_cleanup(sb_freep) char *text = sb_json_text(output->json);
        assert_int_equal(strstr(text, "does not fit") != NULL, sizes[i] == 6000);
        wiot_free(w);
    }
    (void)state;
}

static void long_results_are_remembered_short(void **state)
{
    struct wiot *w = *state;
    says(w, "mgmt/custom/southbridge/read",
         "{\"reqId\":\"c\",\"d\":{\"fields\":[{\"field\":\"name\",\"value\":\"label\"}]}}");
    sb_cleanup(sb_freep) char *big = calloc(1, 2001);
    memset(big, 'x', 2000);
    w->tasks[0].result = json_pack("{s:s}", "label", big);
    wiot_task(w, 0, SB_TASK_SUCCEEDED);
    answered(w, 200, "see d.fields");
    says(w, "mgmt/custom/southbridge/read",
         "{\"reqId\":\"c\",\"d\":{\"fields\":[{\"field\":\"name\",\"value\":\"label\"}]}}");
    assert_true(
        wiot_sent(w, "response", "{\"rc\":200,\"message\":\"see d.fields\",\"reqId\":\"c\"}"));
}

/* ---- replies and reports of the platform ---- */

static void replies_settle(void **state)
{
    struct wiot *w = *state;
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

static void replies_to_devices_that_are_gone_settle_too(void **state)
{
    struct wiot *w = *state;
    const char *reply = "{\"rc\":200,\"reqId\":\"t\"}";
    wiot_hears(w, "iotdm-1/type/pump/id/p8/response", reply, strlen(reply));
    assert_string_equal(wiot_last(w, SB_OUT_SETTLE)->token, "t");
}

static void notifications_are_noted(void **state)
{
    struct wiot *w = *state;
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

static void a_saved_state_reads_back_alike(void **state)
{
    struct wiot *w = *state;
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

static void damaged_states_read_as_far_as_they_go(void **state)
{
    (void)state;
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

static void remembered_requests_of_no_known_form_are_left_out(void **state)
{
    (void)state;
    sb_cleanup(json_decrefp) json_t *saved = json_loads(
        "{\"seen\":{\"a\":\"x\",\"b\":204,\"c\":null,\"d\":{\"rc\":400},\"e\":[]}}", 0, NULL);
    sb_cleanup(json_decrefp) json_t *wanted =
        json_loads("{\"b\":204,\"c\":null,\"d\":{\"rc\":400}}", 0, NULL);
    void *loaded = sb_ibm_load(saved);
    sb_cleanup(json_decrefp) json_t *resaved = sb_ibm_save(loaded);
    assert_true(json_equal(json_object_get(resaved, "seen"), wanted));
    sb_ibm_drop(loaded);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, gone)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_connect_manages),
        TEST(no_reply_is_tried_again_ever_later),
        TEST(refusals_of_manage),
        TEST(an_unknown_bundle_is_left_out),
        TEST(supports_follow_the_type),
        TEST(device_info_is_merged_and_never_empty),
        TEST(only_a_change_is_managed_anew),
        TEST(the_gateway_manages_itself_and_ends_the_backlog),
        TEST(a_removed_device_is_taken_back),
        TEST(what_was_never_managed_is_not_taken_back),
        TEST(a_new_name_takes_the_old_one_back),
        TEST(an_open_reboot_holds_manage_back),
        TEST(before_its_answer_a_reboot_holds_nothing_back),
        TEST(a_reboot_refused_for_certain_holds_for_its_time),
        TEST(a_reboot_of_unknown_outcome_ends_with_the_return),
        TEST(a_reboot_that_never_began_is_not_completed_by_a_return),
        TEST(a_later_success_ends_the_hold),
        TEST(a_success_that_was_not_read_back_is_said_to_be_so),
        TEST(returns_that_complete_nothing),
        TEST(each_restart_is_completed_by_its_own),
        TEST(unknown_devices),
        TEST(the_gateway_itself_does_nothing),
        TEST(the_gateways_attributes),
        TEST(what_the_type_cannot_do),
        TEST(broken_texts),
        TEST(an_endless_request_id),
        TEST(repeated_requests),
        TEST(a_repeated_write_is_not_written_again),
        TEST(the_memory_of_requests_is_bounded),
        TEST(stale_actions),
        TEST(a_core_that_takes_nothing),
        TEST(refusals_of_the_core),
        TEST(too_many_open_requests),
        TEST(one_task_answers_all_who_asked_for_it),
        TEST(update_judges_every_field),
        TEST(update_keeps_facts),
        TEST(a_write_during_a_firmware_task),
        TEST(another_image_takes_back_what_waits),
        TEST(a_download_says_what_it_wants),
        TEST(a_verifier_that_cannot_be_checked),
        TEST(a_download_in_its_turn),
        TEST(a_queued_action_is_accepted_after_a_while),
        TEST(a_failure_before_the_answer_is_the_answer),
        TEST(an_end_within_one_turn_is_accepted_then_told),
        TEST(classes_and_keys_of_notifies),
        TEST(unobserved_changes_wait_for_the_next_observe),
        TEST(the_same_failure_twice_is_told_twice),
        TEST(an_update_that_fails),
        TEST(a_failed_update_that_changed_the_version),
        TEST(a_write_of_what_is_staged_keeps_it),
        TEST(a_write_of_another_image_drops_ours),
        TEST(a_digest_decides_too),
        TEST(an_image_that_is_gone),
        TEST(a_newer_download_takes_the_view),
        TEST(a_second_try_begins_anew),
        TEST(an_installation_that_ended_unheard),
        TEST(gone_over_a_restart),
        TEST(a_restart_in_the_middle),
        TEST(tasks_that_ended_unheard),
        TEST(a_device_that_speaks_the_dialect_keeps_its_numbers),
        TEST(another_vocabulary_gets_the_causes_code),
        TEST(every_failure_is_a_failure),
        TEST(other_doors_move_the_attribute_too),
        TEST(a_success_at_once_is_told_once),
        TEST(an_operators_image_shows),
        TEST(a_foreign_task_lost_over_a_restart),
        TEST(custom_reads),
        TEST(custom_parameters),
        TEST(custom_failures),
        TEST(custom_actions_that_take_long),
        TEST(custom_actions_that_never_begin),
        TEST(results_that_do_not_fit),
        TEST(long_results_are_remembered_short),
        TEST(replies_settle),
        TEST(replies_to_devices_that_are_gone_settle_too),
        TEST(notifications_are_noted),
        TEST(a_saved_state_reads_back_alike),
        TEST(damaged_states_read_as_far_as_they_go),
        TEST(remembered_requests_of_no_known_form_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
