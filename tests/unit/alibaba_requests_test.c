/* SPDX-License-Identifier: Apache-2.0 */
/* Properties, services and device jobs: answered with their result, over connections and restarts.
 */
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "tests/fakes/alibaba_world.h"
#include "tests/test.h"

#define SET   "thing/service/property/set"
#define GET   "thing/service/property/get"
#define RINSE "thing/service/rinse"
#define POST  "thing/event/property/post"

static bool answered(const struct ali *ali, const char *rest, const char *id, const char *code)
{
    sb_cleanup(sb_freep) char *end = sb_format("%s_reply", rest);
    return sb_streq(ali_text(ali, CORE_PUMP, end, "id"), id) &&
           sb_streq(ali_text(ali, CORE_PUMP, end, "code"), code);
}

/* ---- properties and services ---- */

#define TEST(name) SB_TEST_OF(struct ali *ali, name, ali_begin_ready, ali_end)

TEST(requests_are_answered_with_their_result)
{
    static const struct {
        const char *rest, *payload;
        enum sb_op op;
        const char *params;
    } cases[] = {
        { SET, "{\"id\":\"1\",\"params\":{\"speed\":7}}", SB_OP_WRITE,
          "{\"values\": {\"speed\": 7}}" },
        { GET, "{\"id\":\"1\",\"params\":[\"speed\"]}", SB_OP_READ, "{\"names\": [\"speed\"]}" },
        { GET, "{\"id\":\"1\",\"params\":{\"speed\":\"\"}}", SB_OP_READ,
          "{\"names\": [\"speed\"]}" },
        { RINSE, "{\"id\":\"1\",\"params\":{\"times\":2}}", SB_OP_INVOKE,
          "{\"action\": \"rinse\", \"arguments\": {\"times\": 2}}" },
        { "thing/service/reboot", "{\"id\":\"1\",\"params\":{}}", SB_OP_REBOOT, NULL },
        { "thing/service/factoryReset", "{\"id\":\"1\"}", SB_OP_FACTORY_RESET, NULL },
        { "thing/service/configure", "{\"id\":\"1\",\"params\":{\"mode\":\"eco\"}}",
          SB_OP_CONFIGURE, "{\"values\": {\"mode\": \"eco\"}}" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        sb_cleanup(sb_freep) char *reply = sb_format("%s_reply", cases[i].rest);
        ali_clear(ali);
        ali_hears(ali, CORE_PUMP, cases[i].rest, cases[i].payload);
        assert_int_equal(ali->core.task_count, i + 1);
        assert_int_equal(ali->core.tasks[i].job.op, cases[i].op);
        assert_true(core_is(ali->core.tasks[i].params, cases[i].params));
        assert_int_equal(ali_count(ali, CORE_PUMP, reply), 0);
        core_task(&ali->core, i, SB_TASK_RUNNING);
        ali->core.tasks[i].task.result = json_pack("{s:i}", "speed", 7);
        core_task(&ali->core, i, SB_TASK_SUCCEEDED);
        assert_true(answered(ali, cases[i].rest, "1", "200"));
        bool shows = cases[i].op == SB_OP_READ || cases[i].op == SB_OP_INVOKE;
        assert_string_equal(ali_text(ali, CORE_PUMP, reply, "data"),
                            shows ? "{\"speed\":7}" : "{}");
        assert_string_equal(ali_text(ali, CORE_PUMP, reply, "message"), "success");
    }
}

SB_TEST_OF(struct ali *ali, values_are_posted, ali_begin, ali_end)
{
    ali->core.devices[CORE_PUMP].properties =
        json_pack("{s:{s:i,s:i},s:{s:s}}", "speed", "value", 7, "time", 1, "label", "value", "x");
    ali_up(ali);
    assert_string_equal(ali_text(ali, CORE_PUMP, POST, "params"), "{\"speed\":7,\"label\":\"x\"}");
    ali_clear(ali);
    ali_hears(ali, CORE_PUMP, GET, "{\"id\":\"1\",\"params\":[\"speed\"]}");
    ali->core.tasks[0].task.result = json_pack("{s:i}", "speed", 7);
    core_task(&ali->core, 0, SB_TASK_SUCCEEDED);
    assert_string_equal(ali_text(ali, CORE_PUMP, POST, "params"), "{\"speed\":7}");
}

/* Equal requests are one to the core: each has its answer. */
TEST(equal_requests_are_both_answered)
{
    ali_hears(ali, CORE_PUMP, RINSE, "{\"id\":\"1\",\"params\":{\"times\":2}}");
    ali_hears(ali, CORE_PUMP, RINSE, "{\"id\":\"2\",\"params\":{\"times\":2}}");
    assert_int_equal(ali->core.task_count, 1);
    core_task(&ali->core, 0, SB_TASK_SUCCEEDED);
    assert_int_equal(ali_count(ali, CORE_PUMP, RINSE "_reply"), 2);
    core_presence(&ali->core, CORE_PUMP, SB_PRESENCE_OFFLINE); /* nothing is open */
    assert_false(ali->in[CORE_PUMP]);
}

#define PUSH "thing/config/push"
#define FILE_(id, sign)                                                                            \
    "{\"configId\":\"" id "\",\"configSize\":2,\"sign\":\"" sign "\",\"signMethod\":\"Sha256\","   \
    "\"url\":\"https://h/c?E=1\",\"getType\":\"file\"}"
#define SIGN "32163eb623e0f665b9a717779339772c9008b3adb48cc8780ade6d59f99b3d62"

TEST(a_configuration_file_is_pushed)
{
    ali_hears(ali, CORE_PUMP, PUSH, "{\"id\":\"1\",\"params\":" FILE_("c1", SIGN) "}");
    assert_int_equal(ali->core.task_count, 1);
    assert_int_equal(ali->core.tasks[0].job.op, SB_OP_CONFIGURE);
    assert_true(core_is(ali->core.tasks[0].package,
                        "{\"uri\":\"https://h/c?E=1\",\"name\":\"c1\",\"sha256\":\"" SIGN
                        "\",\"size\":2}"));
    core_task(&ali->core, 0, SB_TASK_SUCCEEDED);
    assert_true(answered(ali, PUSH, "1", "200"));
    static const struct {
        const char *params, *code;
    } wrong[] = {
        { FILE_("c1", "zz"), "460" },
        { FILE_("", SIGN), "460" },
        { "{\"configId\":\"c\",\"getType\":\"content\"}", "460" },
        { "{\"configId\":\"c\",\"sign\":\"" SIGN "\"}", "460" },
    };
    for (size_t i = 0; i < SB_COUNT(wrong); i++) {
        sb_cleanup(sb_freep) char *payload =
            sb_format("{\"id\":\"%zu\",\"params\":%s}", i + 5, wrong[i].params);
        sb_cleanup(sb_freep) char *id = sb_format("%zu", i + 5);
        ali_hears(ali, CORE_PUMP, PUSH, payload);
        assert_true(answered(ali, PUSH, id, wrong[i].code));
    }
    ali_hears(ali, CORE_PUMP, PUSH, "{\"id\":\"2\",\"params\":" FILE_("c2", SIGN) "}");
    core_fails(&ali->core, 1, SB_CAUSE_VERIFY_FAILED, SB_PHASE_VERIFYING);
    assert_true(answered(ali, PUSH, "2", "100006"));
    ali->core.unsupported = 1U << SB_OP_CONFIGURE;
    ali_hears(ali, CORE_PUMP, PUSH, "{\"id\":\"3\",\"params\":" FILE_("c3", SIGN) "}");
    assert_true(answered(ali, PUSH, "3", "460"));
}

#define GOT(data) "{\"id\":\"1\",\"code\":200,\"data\":" data "}"

TEST(a_configuration_file_is_asked_for_and_taken_once)
{
    assert_int_equal(ali_count(ali, CORE_PUMP, "thing/config/get"), 0);
    ali_hears(ali, CORE_PUMP, "thing/config/get_reply", GOT(FILE_("c1", SIGN)));
    assert_int_equal(ali->core.task_count, 0); /* nobody asked */
    ali->config.remote_config = true;
    ali_down(ali);
    ali_up(ali);
    assert_string_equal(ali_text(ali, CORE_PUMP, "thing/config/get", "params"),
                        "{\"configScope\":\"product\",\"getType\":\"file\"}");
    ali_hears(ali, CORE_PUMP, "thing/config/get_reply", "{\"id\":\"1\",\"code\":6710}");
    ali_hears(ali, CORE_PUMP, "thing/config/get_reply", GOT("{}"));
    ali_hears(ali, CORE_PUMP, "thing/config/get_reply", GOT(FILE_("c1", "zz")));
    assert_int_equal(ali->core.task_count, 0);
    ali->core.ready = false;
    ali_hears(ali, CORE_PUMP, "thing/config/get_reply", GOT(FILE_("c1", SIGN)));
    assert_true(core_timer(&ali->core, CORE_PUMP, "config") > 0);
    ali->core.ready = true;
    ali_hears(ali, CORE_PUMP, "thing/config/get_reply", GOT(FILE_("c1", SIGN)));
    assert_int_equal(ali->core.task_count, 1);
    core_task(&ali->core, 0, SB_TASK_SUCCEEDED);
    ali_restarts(ali);
    ali_up(ali);
    ali_hears(ali, CORE_PUMP, "thing/config/get_reply", GOT(FILE_("c1", SIGN)));
    assert_int_equal(ali->core.task_count, 1);
    ali_hears(ali, CORE_PUMP, "thing/config/get_reply", GOT(FILE_("c2", SIGN)));
    assert_int_equal(ali->core.task_count, 2);
    ali_hears(ali, CORE_PUMP, PUSH, "{\"id\":\"1\",\"params\":" FILE_("c3", SIGN) "}");
    assert_int_equal(ali->core.task_count, 3);
    ali_hears(ali, CORE_PUMP, "thing/config/get_reply", GOT(FILE_("c3", SIGN)));
    assert_int_equal(ali->core.task_count, 3);
    ali->core.refuse = SB_CAUSE_BUSY; /* what was not taken is not there */
    ali_hears(ali, CORE_PUMP, PUSH, "{\"id\":\"2\",\"params\":" FILE_("c4", SIGN) "}");
    ali->core.refuse = SB_CAUSE_NONE;
    ali_hears(ali, CORE_PUMP, "thing/config/get_reply", GOT(FILE_("c4", SIGN)));
    assert_int_equal(ali->core.task_count, 4);
}

/* It was answered as refused: nobody has it. */
TEST(a_configuration_that_found_no_room_is_not_taken)
{
    ali->config.remote_config = true;
    ali->core.merges = true;
    for (int i = 0; i < 40; i++) {
        sb_cleanup(sb_freep) char *read = sb_format("{\"id\":\"r%d\",\"params\":[\"v\"]}", i);
        ali_hears(ali, CORE_PUMP, "thing/service/property/get", read);
    }
    ali_hears(ali, CORE_PUMP, PUSH, "{\"id\":\"1\",\"params\":" FILE_("c1", SIGN) "}");
    assert_int_equal(ali->core.task_count, 1);
    assert_int_equal(ali_count(ali, CORE_PUMP, PUSH "_reply"), 1);
    core_task(&ali->core, 0, SB_TASK_SUCCEEDED);
    ali_hears(ali, CORE_PUMP, "thing/config/get_reply", GOT(FILE_("c1", SIGN)));
    assert_int_equal(ali->core.task_count, 2);
}

SB_TEST_OF(struct ali *ali, many_values_are_posted_in_parts, ali_begin, ali_end)
{
    ali->core.devices[CORE_PUMP].properties = json_object();
    for (int i = 0; i < 250; i++) {
        sb_cleanup(sb_freep) char *name = sb_format("p%d", i);
        json_object_set_new(ali->core.devices[CORE_PUMP].properties, name,
                            json_pack("{s:i}", "value", i));
    }
    ali_up(ali);
    assert_int_equal(ali_count(ali, CORE_PUMP, POST), 3);
    assert_int_equal(json_object_size(json_object_get(ali_last(ali, CORE_PUMP, POST), "params")),
                     50);
}

TEST(refusals_by_code)
{
    static const struct {
        const char *rest, *payload, *code;
    } cases[] = {
        { SET, "{\"id\":\"9\",\"params\":{}}", "460" },
        { SET, "{nonsense", NULL },
        { GET, "{\"id\":\"9\",\"params\":[1]}", "460" },
        { "thing/service/explode", "{\"id\":\"9\",\"params\":{}}", "460" },
        { "thing/service/configure", "{\"id\":\"9\",\"params\":{}}", "460" },
        { RINSE, "{\"id\":\"9\",\"params\":[1]}", "460" },
        { RINSE, "{\"id\":\"9\",\"params\":\"x\"}", "460" },
        { "thing/config/push",
          "{\"id\":\"9\",\"params\":{\"configId\":\"c\",\"configSize\":2,\"sign\":\"x\","
          "\"signMethod\":\"Sha256\",\"url\":\"https://h/c\",\"getType\":\"file\"}}",
          "460" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        ali_hears(ali, CORE_PUMP, cases[i].rest, cases[i].payload);
        if (cases[i].code)
            assert_true(answered(ali, cases[i].rest, "9", cases[i].code));
    }
    ali_hears(ali, CORE_GATEWAY, SET, "{\"id\":\"8\",\"params\":{\"a\":1}}");
    assert_string_equal(ali_text(ali, CORE_GATEWAY, SET "_reply", "code"), "460");
    ali->core.unsupported = 1U << SB_OP_WRITE;
    ali_hears(ali, CORE_PUMP, SET, "{\"id\":\"10\",\"params\":{\"a\":1}}");
    assert_true(answered(ali, SET, "10", "460"));
    ali->core.unsupported = 0;
    ali->core.ready = false;
    ali->core.why = "the disk is full";
    ali_hears(ali, CORE_PUMP, SET, "{\"id\":\"11\",\"params\":{\"a\":1}}");
    assert_true(answered(ali, SET, "11", "429"));
    assert_non_null(strstr(ali_text(ali, CORE_PUMP, SET "_reply", "message"), "the disk is full"));
    ali->core.ready = true;
    ali->core.refuse = SB_CAUSE_REFUSED;
    ali_hears(ali, CORE_PUMP, SET, "{\"id\":\"12\",\"params\":{\"a\":1}}");
    assert_true(answered(ali, SET, "12", "100015"));
    assert_int_equal(ali->core.task_count, 0);
}

TEST(failures_by_code)
{
    ali_hears(ali, CORE_PUMP, SET, "{\"id\":7,\"params\":{\"speed\":99999}}");
    ali->core.tasks[0].task.text = "speed: out of range";
    core_fails(&ali->core, 0, SB_CAUSE_REFUSED, SB_PHASE_WRITING);
    assert_true(answered(ali, SET, "7", "100015")); /* an id is a string in answers */
    assert_string_equal(ali_text(ali, CORE_PUMP, SET "_reply", "message"), "speed: out of range");
}

TEST(a_request_is_done_once_and_answered_after_all)
{
    ali_hears(ali, CORE_PUMP, RINSE, "{\"id\":\"1\",\"params\":{}}");
    ali_hears(ali, CORE_PUMP, RINSE, "{\"id\":\"1\",\"params\":{}}");
    assert_int_equal(ali->core.task_count, 1);
    ali_restarts(ali);
    core_task(&ali->core, 0, SB_TASK_SUCCEEDED); /* while down */
    ali_restarts(ali);
    ali_clear(ali);
    ali_up(ali);
    assert_true(answered(ali, RINSE, "1", "200"));
    ali_down(ali);
    ali_clear(ali);
    ali_up(ali);
    assert_int_equal(ali_count(ali, CORE_PUMP, RINSE "_reply"), 0);
    ali_hears(ali, CORE_PUMP, RINSE, "{\"id\":\"2\",\"params\":{}}");
    ali->core.tasks[1].task.state = SB_TASK_FAILED; /* it ended unheard */
    ali_restarts(ali);
    ali_up(ali);
    assert_true(answered(ali, RINSE, "2", "100021"));
}

TEST(requests_that_wait_are_bounded)
{
    for (int i = 0; i < 40; i++) {
        sb_cleanup(sb_freep) char *payload = sb_format("{\"id\":\"%d\",\"params\":{\"a\":1}}", i);
        ali_hears(ali, CORE_PUMP, SET, payload);
    }
    assert_true(answered(ali, SET, "39", "429"));
    assert_int_equal(ali->core.task_count, 1); /* equal ones are one while they are open */
    ali_hears(ali, CORE_PUMP, SET, "{\"params\":{\"a\":1}}");
    assert_non_null(strstr(ali->core.note, "without id"));
}

/* ---- device jobs ---- */

#define NOTIFY(id, status, rest)                                                                   \
    "{\"id\":\"n\",\"version\":\"1.0\",\"params\":{\"task\":{\"taskId\":\"" id                     \
    "\",\"status\":\"" status "\"" rest "}}}"
#define REBOOT ",\"jobDocument\":{\"serviceIdentifier\":\"reboot\",\"params\":{}}"

TEST(a_job_is_done_and_its_end_is_told_until_taken)
{
    ali_hears(ali, CORE_PUMP, "thing/job/notify", NOTIFY("j1", "SENT", REBOOT));
    assert_true(answered(ali, "thing/job/notify", "n", "200"));
    assert_int_equal(ali->core.tasks[0].job.op, SB_OP_REBOOT);
    assert_string_equal(ali->core.tasks[0].id, "job:j1");
    core_progress(&ali->core, 0, SB_TASK_RUNNING, 0);
    assert_string_equal(ali_text(ali, CORE_PUMP, "thing/job/update", "params"),
                        "{\"taskId\":\"j1\",\"status\":\"IN_PROGRESS\",\"progress\":0}");
    ali_hears(ali, CORE_PUMP, "thing/job/notify", NOTIFY("j1", "IN_PROGRESS", REBOOT));
    assert_int_equal(ali->core.task_count, 1);
    ali_down(ali);
    core_task(&ali->core, 0, SB_TASK_SUCCEEDED);
    ali_restarts(ali);
    ali_up(ali);
    assert_string_equal(ali_text(ali, CORE_PUMP, "thing/job/update", "params/status"), "SUCCEEDED");
    assert_string_equal(ali_text(ali, CORE_PUMP, "thing/job/get", "params/taskId"), "$next");
    ali_hears(ali, CORE_PUMP, "thing/job/update_reply",
              "{\"id\":\"1\",\"code\":200,\"data\":{\"taskId\":\"j1\"}}");
    ali_down(ali);
    ali_clear(ali);
    ali_up(ali);
    assert_int_equal(ali_count(ali, CORE_PUMP, "thing/job/update"), 0);
}

#define CONFIGURE_BY(sign, more)                                                                   \
    ",\"jobDocument\":{\"serviceIdentifier\":\"configure\"" more                                   \
    "},\"jobFile\":{\"signMethod\":\"Sha256\",\"fileUrl\":\"https://h/f\",\"sign\":" sign "}"

TEST(jobs_by_their_documents)
{
    ali_hears(
        ali, CORE_PUMP, "thing/job/get_reply",
        "{\"id\":\"1\",\"code\":200,\"data\":{\"taskId\":\"$next\",\"task\":{\"taskId\":\"a\","
        "\"status\":\"QUEUED\",\"jobDocument\":{\"params\":{\"speed\":3}}}}}");
    assert_true(core_is(ali->core.tasks[0].params, "{\"values\": {\"speed\": 3}}"));
    ali_hears(ali, CORE_PUMP, "thing/job/notify",
              NOTIFY("b", "SENT", ",\"jobDocument\":{\"serviceIdentifier\":\"rinse\"}"));
    assert_int_equal(ali->core.tasks[1].job.op, SB_OP_INVOKE);
    static const char *const wrong[] = {
        NOTIFY("c", "SENT", ""),
        NOTIFY("c", "SENT", ",\"jobDocument\":{\"serviceIdentifier\":\"explode\"}"),
        NOTIFY("c", "SENT", REBOOT ",\"jobFile\":{\"fileUrl\":\"https://h/f\"}"),
        NOTIFY("c", "SENT", ",\"jobDocument\":{\"serviceIdentifier\":\"configure\"}"),
        NOTIFY("c", "SENT", CONFIGURE_BY("\"zz\"", "")),
        NOTIFY("c", "SENT", CONFIGURE_BY("\"" SIGN "\"", ",\"params\":{\"a\":1}")),
    };
    for (size_t i = 0; i < SB_COUNT(wrong); i++) {
        ali_clear(ali);
        ali_hears(ali, CORE_PUMP, "thing/job/notify", wrong[i]);
        assert_string_equal(ali_text(ali, CORE_PUMP, "thing/job/update", "params/status"),
                            "REJECTED");
    }
    ali_hears(ali, CORE_PUMP, "thing/job/notify", "{\"id\":\"x\",\"params\":{}}");
    assert_true(answered(ali, "thing/job/notify", "x", "460"));
    assert_int_equal(ali->core.task_count, 2);
    ali_hears(ali, CORE_PUMP, "thing/job/notify",
              NOTIFY("d", "SENT", CONFIGURE_BY("\"" SIGN "\"", "")));
    assert_int_equal(ali->core.tasks[2].job.op, SB_OP_CONFIGURE);
    assert_true(core_is(ali->core.tasks[2].package,
                        "{\"uri\":\"https://h/f\",\"name\":\"d\",\"sha256\":\"" SIGN "\"}"));
}

TEST(a_job_that_fails_or_is_taken_back)
{
    ali_hears(ali, CORE_PUMP, "thing/job/notify", NOTIFY("j1", "SENT", REBOOT));
    core_fails(&ali->core, 0, SB_CAUSE_TIMEOUT, SB_PHASE_CONFIRMING);
    assert_string_equal(ali_text(ali, CORE_PUMP, "thing/job/update", "params/status"), "FAILED");
    ali_hears(ali, CORE_PUMP, "thing/job/update_reply",
              "{\"id\":\"1\",\"code\":400,\"data\":{\"taskId\":\"j1\"}}");
    assert_non_null(strstr(ali->core.note, "was not taken"));
    ali_hears(ali, CORE_PUMP, "thing/job/notify", NOTIFY("j2", "SENT", REBOOT));
    ali_clear(ali);
    ali_hears(ali, CORE_PUMP, "thing/job/notify", NOTIFY("j2", "CANCELLED", ""));
    assert_int_equal(ali->core.cancelled, 102);
    assert_int_equal(ali->core.cancel_cause, SB_CAUSE_OPERATOR);
    assert_int_equal(ali_count(ali, CORE_PUMP, "thing/job/update"), 0);
    ali->core.refuse = SB_CAUSE_BUSY;
    ali_hears(ali, CORE_PUMP, "thing/job/notify", NOTIFY("j3", "SENT", REBOOT));
    assert_int_equal(ali_count(ali, CORE_PUMP, "thing/job/update"), 0);
    core_passes(&ali->core, SB_MINUTE);
    assert_int_equal(ali_count(ali, CORE_PUMP, "thing/job/get"), 1);
    ali->core.refuse = SB_CAUSE_REFUSED;
    ali_hears(ali, CORE_PUMP, "thing/job/notify", NOTIFY("j4", "SENT", REBOOT));
    assert_string_equal(ali_text(ali, CORE_PUMP, "thing/job/update", "params/status"), "REJECTED");
}

/* A refusal of an update need not name its task: its id does. */
TEST(an_update_that_is_refused_is_an_end)
{
    ali_hears(ali, CORE_PUMP, "thing/job/notify", NOTIFY("j1", "SENT", REBOOT));
    core_task(&ali->core, 0, SB_TASK_SUCCEEDED);
    sb_cleanup(sb_freep) char *reply =
        sb_format("{\"id\":\"%s\",\"code\":460,\"data\":{}}",
                  ali_text(ali, CORE_PUMP, "thing/job/update", "id"));
    ali_hears(ali, CORE_PUMP, "thing/job/update_reply", "{\"id\":\"77\",\"code\":460,\"data\":{}}");
    assert_int_equal(ali_count(ali, CORE_PUMP, "thing/job/get"), 0);
    ali_hears(ali, CORE_PUMP, "thing/job/update_reply", reply);
    assert_int_equal(ali_count(ali, CORE_PUMP, "thing/job/get"), 1);
    ali_down(ali);
    ali_clear(ali);
    ali_up(ali);
    assert_int_equal(ali_count(ali, CORE_PUMP, "thing/job/update"), 0);
}
