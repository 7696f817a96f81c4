/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands and property requests: done once, answered once, with their result.
 */
#include <stdio.h>

#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "tests/fakes/huawei_world.h"
#include "tests/test.h"

#define RINSE                                                                                      \
    "{\"object_device_id\":\"prod_pump7\",\"service_id\":\"S\",\"command_name\":\"rinse\","        \
    "\"paras\":{\"n\":1}}"
#define SET                                                                                        \
    "{\"object_device_id\":\"prod_pump7\",\"services\":[{\"service_id\":\"A\",\"properties\":"     \
    "{\"mode\":2}},{\"service_id\":\"B\",\"properties\":{\"level\":3}}]}"
#define GET     "{\"object_device_id\":\"prod_pump7\",\"service_id\":\"S\"}"

#define T(name) SB_TEST_OF(struct iot *iot, name, iot_begin, iot_end)

T(a_command_is_answered_with_its_result)
{
    iot_request(iot, "commands", "1", RINSE);
    assert_int_equal(iot->core.tasks[0].job.op, SB_OP_INVOKE);
    assert_true(
        core_is(iot->core.tasks[0].params, "{\"action\":\"rinse\",\"arguments\":{\"n\":1}}"));
    assert_null(iot_answer(iot, "commands", "1"));
    iot->core.tasks[0].task.result = json_pack("{s:i}", "litres", 4);
    core_task(&iot->core, 0, SB_TASK_SUCCEEDED);
    assert_true(
        core_is(iot_answer(iot, "commands", "1"),
                "{\"result_code\":0,\"response_name\":\"rinse\",\"paras\":{\"litres\":4}}"));
    core_task(&iot->core, 0, SB_TASK_SUCCEEDED);
    assert_int_equal(iot_answers(iot, "commands", "1"), 1);
}

T(commands_that_every_device_has)
{
    static const struct {
        const char *name;
        enum sb_op op;
    } cases[] = { { "reboot", SB_OP_REBOOT }, { "factory_reset", SB_OP_FACTORY_RESET } };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        sb_cleanup(sb_freep) char *body = sb_format(
            "{\"object_device_id\":\"prod_pump7\",\"command_name\":\"%s\"}", cases[i].name);
        iot_request(iot, "commands", cases[i].name, body);
        assert_int_equal(iot->core.tasks[i].job.op, cases[i].op);
        core_task(&iot->core, i, SB_TASK_SUCCEEDED);
        assert_int_equal(sb_json_int(iot_answer(iot, "commands", cases[i].name), "result_code", -1),
                         0);
    }
}

T(properties_are_written)
{
    iot_request(iot, "properties/set", "1", SET);
    assert_int_equal(iot->core.tasks[0].job.op, SB_OP_WRITE);
    assert_true(core_is(iot->core.tasks[0].params, "{\"values\":{\"mode\":2,\"level\":3}}"));
    core_task(&iot->core, 0, SB_TASK_SUCCEEDED);
    assert_true(core_is(iot_answer(iot, "properties/set", "1"),
                        "{\"result_code\":0,\"result_desc\":\"success\"}"));
}

T(properties_are_read)
{
    iot_request(iot, "properties/get", "1", GET);
    assert_int_equal(iot->core.tasks[0].job.op, SB_OP_READ);
    assert_true(
        core_is(iot->core.tasks[0].params, "{\"names\":[\"flow\",\"mode\"]}")); /* readable ones */
    iot->core.tasks[0].task.result = json_pack("{s:i}", "flow", 5);
    iot->core.devices[CORE_PUMP].properties =
        json_pack("{s:{s:i,s:i}}", "flow", "value", 5, "time", 1);
    core_task(&iot->core, 0, SB_TASK_SUCCEEDED);
    const json_t *answer = iot_answer(iot, "properties/get", "1");
    const json_t *service = json_array_get(json_object_get(answer, "services"), 0);
    assert_string_equal(sb_json_str(service, "service_id"), "S");
    assert_true(core_is(json_object_get(service, "properties"), "{\"flow\":5}"));
    assert_non_null(sb_json_str(service, "event_time"));
    core_passes(&iot->core, SB_SECOND); /* and reported, so that the shadow has it */
    bool reported = false;
    for (size_t i = 0; i < iot->sent_count; i++)
        reported |= strstr(iot->sent[i].topic, "gateway/sub_devices/properties/report") != NULL;
    assert_true(reported);
}

T(failures_are_answered)
{
    iot_request(iot, "commands", "1", RINSE);
    iot_request(iot, "properties/set", "1", SET);
    iot_request(iot, "properties/get", "1", GET);
    for (size_t i = 0; i < 3; i++)
        core_fails(&iot->core, i, SB_CAUSE_REFUSED, SB_PHASE_STARTING);
    assert_true(core_is(iot_answer(iot, "commands", "1"),
                        "{\"result_code\":1,\"response_name\":\"rinse\",\"paras\":{\"error\":"
                        "\"refused\",\"description\":\"refused\"}}"));
    assert_true(core_is(iot_answer(iot, "properties/set", "1"),
                        "{\"result_code\":1,\"result_desc\":\"refused\"}"));
    assert_true(core_is(iot_answer(iot, "properties/get", "1"),
                        "{\"services\":[],\"result_code\":1,\"result_desc\":\"refused\"}"));
}

static void refused(struct iot *iot, const char *what, const char *body)
{
    static unsigned number;
    sb_cleanup(sb_freep) char *id = sb_format("r%u", ++number);
    size_t tasks = iot->core.task_count;
    iot_request(iot, what, id, body);
    const json_t *answer = iot_answer(iot, what, id);
    assert_non_null(answer);
    assert_int_equal(sb_json_int(answer, "result_code", 0), 1);
    assert_int_equal(iot->core.task_count, tasks);
}

T(what_cannot_be_is_refused_at_once)
{
    refused(iot, "commands", "{nonsense");
    refused(iot, "commands", "[]");
    refused(iot, "commands", "{\"object_device_id\":\"prod_pump7\"}");
    refused(iot, "commands", "{\"object_device_id\":\"prod_pump7\",\"command_name\":\"explode\"}");
    refused(iot, "commands", "{\"object_device_id\":\"prod_ghost\",\"command_name\":\"rinse\"}");
    refused(iot, "commands", "{\"object_device_id\":7,\"command_name\":\"rinse\"}");
    refused(iot, "commands", "{\"command_name\":\"reboot\"}"); /* the gateway itself */
    refused(iot, "properties/set", "{\"object_device_id\":\"prod_pump7\",\"services\":[]}");
    refused(iot, "properties/set", "{\"object_device_id\":\"prod_pump7\",\"services\":[7,{}]}");
    refused(iot, "properties/set", "{\"object_device_id\":\"prod_ghost\",\"services\":[]}");
    refused(iot, "properties/set", /* all or nothing */
            "{\"object_device_id\":\"prod_pump7\",\"services\":[{\"properties\":{\"mode\":1}},"
            "{\"properties\":[\"level\"]}]}");
    refused(iot, "commands",
            "{\"object_device_id\":\"prod_pump7\",\"command_name\":\"rinse\",\"paras\":[1]}");
    refused(iot, "properties/get", "{}");
    refused(iot, "properties/get", "{\"object_device_id\":\"prod_ghost\"}");
    iot->core.unsupported = 1U << SB_OP_WRITE;
    refused(iot, "properties/set", SET);
    iot->core.refuse = SB_CAUSE_INVALID_REQUEST;
    refused(iot, "commands", RINSE);
    iot->core.ready = false;
    refused(iot, "properties/get", GET);
}

T(a_repeated_request_is_done_once)
{
    iot_request(iot, "commands", "1", RINSE);
    iot_request(iot, "commands", "1", RINSE);
    assert_int_equal(iot->core.task_count, 1);
    core_task(&iot->core, 0, SB_TASK_SUCCEEDED);
    assert_int_equal(iot_answers(iot, "commands", "1"), 1);
}

T(a_result_that_does_not_come_in_time)
{
    iot_request(iot, "commands", "1", RINSE);
    iot_request(iot, "commands", "2", RINSE);
    core_task(&iot->core, 1, SB_TASK_RUNNING);
    core_passes(&iot->core, 19 * SB_SECOND);
    assert_non_null(strstr(
        sb_json_str(json_object_get(iot_answer(iot, "commands", "1"), "paras"), "description"),
        "taken back"));
    assert_int_equal(iot->core.cancelled, iot->core.tasks[0].task.id);
    assert_non_null(strstr(
        sb_json_str(json_object_get(iot_answer(iot, "commands", "2"), "paras"), "description"),
        "still running"));
    core_task(&iot->core, 1, SB_TASK_SUCCEEDED);
    assert_int_equal(iot_answers(iot, "commands", "2"), 1);
}

T(requests_that_wait_are_bounded)
{
    for (int i = 0; i < 20; i++) {
        sb_cleanup(sb_freep) char *id = sb_format("%d", i);
        iot_request(iot, "commands", id, RINSE);
    }
    assert_int_equal(iot->core.task_count, 16);
    assert_non_null(iot_answer(iot, "commands", "16"));
    assert_null(iot_answer(iot, "commands", "15"));
}

T(a_result_that_is_too_large)
{
    sb_cleanup(sb_freep) char *large = calloc(1, 70000);
    memset(large, 'x', 69999);
    iot_request(iot, "commands", "1", RINSE);
    iot->core.tasks[0].task.result = json_pack("{s:s}", "log", large);
    core_task(&iot->core, 0, SB_TASK_SUCCEEDED);
    assert_int_equal(sb_json_int(iot_answer(iot, "commands", "1"), "result_code", -1), 1);
}

T(an_answer_dies_with_its_connection)
{
    iot_request(iot, "commands", "1", RINSE);
    iot_down(iot);
    core_task(&iot->core, 0, SB_TASK_SUCCEEDED);
    iot_up(iot);
    core_passes(&iot->core, SB_MINUTE);
    assert_null(iot_answer(iot, "commands", "1"));
}

T(a_device_that_goes_is_answered_for)
{
    iot_request(iot, "commands", "1", RINSE);
    core_news(&iot->core, CORE_PUMP, SB_NEWS_DEVICE_REMOVED);
    assert_int_equal(sb_json_int(iot_answer(iot, "commands", "1"), "result_code", -1), 1);
}
