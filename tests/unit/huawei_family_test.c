/* SPDX-License-Identifier: Apache-2.0 */
/*
 * $sub_device_manager and values: who is told of, when, in which batches; the platform's list.
 */
#include <stdio.h>

#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "tests/fakes/huawei_world.h"
#include "tests/test.h"

#define FAMILY "$sub_device_manager"

static int set_up(void **state)
{
    *state = iot_new();
    return 0;
}

static size_t statuses(const struct iot *iot)
{
    return iot_count(iot, NULL, "sub_device_update_status");
}

static const json_t *status(const struct iot *iot)
{
    return iot_last(iot, NULL, "sub_device_update_status");
}

#define T(name) SB_TEST_OF(struct iot *iot, name, set_up, iot_end)

T(a_connect_announces_everybody_in_one_batch)
{
    iot_up(iot);
    assert_true(core_is(iot_last(iot, NULL, "sub_device_sync_request"), "{\"version\":0}"));
    assert_int_equal(statuses(iot), 1);
    assert_true(core_is(status(iot), "{\"device_statuses\":[{\"device_id\":\"prod_pump7\","
                                     "\"status\":\"ONLINE\"},{\"device_id\":\"prod_valve1\","
                                     "\"status\":\"ONLINE\"}]}"));
    /* then what they are: the platform must have them online first */
    assert_int_equal(iot_count(iot, IOT_PUMP_ID, "version_report"), 1);
    assert_int_equal(iot_count(iot, IOT_VALVE_ID, "version_report"), 1);
    assert_int_equal(iot_count(iot, IOT_GATEWAY_ID, "version_report"), 1);
    core_passes(&iot->core, SB_DAY);
    assert_int_equal(statuses(iot), 1);
    iot_down(iot);
    iot_up(iot); /* the platform has forgotten them */
    assert_int_equal(statuses(iot), 2);
    assert_int_equal(iot_count(iot, IOT_PUMP_ID, "version_report"), 2);
}

T(presence_is_told_as_it_changes)
{
    iot->core.devices[CORE_VALVE].presence = SB_PRESENCE_UNKNOWN; /* nothing to say of it */
    iot_up(iot);
    assert_int_equal(json_array_size(json_object_get(status(iot), "device_statuses")), 1);
    iot_presence(iot, CORE_VALVE, SB_PRESENCE_OFFLINE);
    assert_true(core_is(status(iot), "{\"device_statuses\":[{\"device_id\":\"prod_valve1\","
                                     "\"status\":\"OFFLINE\"}]}"));
    assert_int_equal(iot_count(iot, IOT_VALVE_ID, "version_report"), 0);
    iot_presence(iot, CORE_VALVE, SB_PRESENCE_READY);
    assert_true(core_is(status(iot), "{\"device_statuses\":[{\"device_id\":\"prod_valve1\","
                                     "\"status\":\"ONLINE\"}]}"));
    assert_int_equal(iot_count(iot, IOT_VALVE_ID, "version_report"), 1);
    size_t before = statuses(iot);
    iot_presence(iot, CORE_VALVE, SB_PRESENCE_READY);
    assert_int_equal(statuses(iot), before);
}

/* A hundred are the platform's limit; the rest follows when it has answered. */
T(batches_are_bounded)
{
    iot_up(iot);
    iot_forget(iot);
    iot->core.devices[CORE_PUMP].presence = SB_PRESENCE_OFFLINE;
    core_news(&iot->core, CORE_PUMP, SB_NEWS_PRESENCE); /* sets the timer in this world */
    for (int i = 0; i < 250; i++) {
        sb_cleanup(sb_freep) char *name = sb_format("prod_n%d", i);
        json_t *told = json_pack("{s:s,s:s}", "name", name, "status", "ONLINE");
        struct sb_effects effects = { 0 };
        struct sb_input input = { .kind = SB_IN_TOLD,
                                  .tag = "status",
                                  .told = told,
                                  .from = name,
                                  .self = true,
                                  .connected = true,
                                  .words = core_words(&sb_huawei_shape),
                                  .config = &iot->config,
                                  .device = &iot->core.devices[CORE_GATEWAY],
                                  .now = iot->core.now };
        assert_int_equal(sb_huawei_dialect.step(iot->core.states[CORE_GATEWAY], &input, &effects),
                         0);
        sb_effects_done(&effects);
        json_decref(told);
    }
    core_passes(&iot->core, SB_SECOND);
    assert_int_equal(statuses(iot), 3);
    size_t told = 0;
    for (size_t i = 0; i < iot->sent_count; i++) {
        const json_t *event = json_array_get(json_object_get(iot->sent[i].body, "services"), 0);
        size_t n =
            json_array_size(json_object_get(json_object_get(event, "paras"), "device_statuses"));
        assert_true(n <= 100);
        told += n;
    }
    assert_int_equal(told, 251);
}

T(a_platform_that_does_not_answer_is_told_again)
{
    iot->silent = true;
    iot_up(iot);
    assert_int_equal(statuses(iot), 1);
    assert_int_equal(iot_count(iot, IOT_PUMP_ID, "version_report"), 0);
    core_passes(&iot->core, 31 * SB_SECOND);
    assert_non_null(strstr(iot->core.note, "does not answer"));
    iot->silent = false;
    core_passes(&iot->core, 6 * SB_MINUTE);
    assert_int_equal(statuses(iot), 2);
    assert_int_equal(iot_count(iot, IOT_PUMP_ID, "version_report"), 1);
}

T(a_stranger_is_told_of_again_later)
{
    json_object_set_new(iot->strangers, IOT_PUMP_ID, json_true());
    iot_up(iot);
    assert_non_null(strstr(iot->core.note, "prod_pump7"));
    assert_int_equal(iot_count(iot, IOT_PUMP_ID, "version_report"), 0);
    assert_int_equal(iot_count(iot, IOT_VALVE_ID, "version_report"), 1);
    assert_null(iot_last(iot, NULL, "add_sub_device_request")); /* not asked for */
    json_object_clear(iot->strangers);
    core_passes(&iot->core, 6 * SB_MINUTE);
    assert_int_equal(iot_count(iot, IOT_PUMP_ID, "version_report"), 1);
}

T(a_stranger_is_added_where_that_is_wanted)
{
    iot->config.add_devices = true;
    json_object_set_new(iot->strangers, IOT_PUMP_ID, json_true());
    iot_up(iot);
    assert_true(core_is(iot_last(iot, NULL, "add_sub_device_request"),
                        "{\"devices\":[{\"node_id\":\"pump7\",\"product_id\":\"prod\","
                        "\"device_id\":\"prod_pump7\",\"name\":\"prod_pump7\","
                        "\"parent_device_id\":\"prod_gw1\"}]}"));
    core_passes(&iot->core, SB_SECOND);
    assert_int_equal(iot_count(iot, IOT_PUMP_ID, "version_report"), 1);
    core_news(&iot->core, CORE_PUMP, SB_NEWS_DEVICE_REMOVED);
    assert_true(core_is(iot_last(iot, NULL, "delete_sub_device_request"),
                        "{\"devices\":[\"prod_pump7\"]}"));
    iot_restarts(iot);
    iot_forget(iot);
    iot->core.devices[CORE_PUMP].presence = SB_PRESENCE_UNKNOWN;
    iot_up(iot);
    assert_null(iot_last(iot, NULL, "delete_sub_device_request")); /* it was answered */
}

/* What was not answered is asked again after a restart. */
T(a_delete_that_was_not_answered)
{
    iot->config.add_devices = true;
    iot_up(iot);
    iot_down(iot);
    core_news(&iot->core, CORE_PUMP, SB_NEWS_DEVICE_REMOVED);
    iot_restarts(iot);
    iot->core.devices[CORE_PUMP].presence = SB_PRESENCE_UNKNOWN;
    iot_up(iot);
    assert_true(core_is(iot_last(iot, NULL, "delete_sub_device_request"),
                        "{\"devices\":[\"prod_pump7\"]}"));
}

T(a_device_that_goes_is_offline)
{
    iot_up(iot);
    core_news(&iot->core, CORE_PUMP, SB_NEWS_DEVICE_REMOVED);
    core_passes(&iot->core, SB_SECOND);
    assert_true(core_is(status(iot), "{\"device_statuses\":[{\"device_id\":\"prod_pump7\","
                                     "\"status\":\"OFFLINE\"}]}"));
}

/* Who is offline, known there or not, is told of once and then forgotten. */
T(who_is_offline_takes_no_memory)
{
    iot_up(iot);
    for (int i = 0; i < 50; i++) {
        sb_cleanup(sb_freep) char *name = sb_format("prod_pump%d", 100 + i);
        if (i % 2)
            json_object_set_new(iot->strangers, name, json_true());
        iot->core.names[CORE_PUMP] = name;
        core_news(&iot->core, CORE_PUMP, SB_NEWS_DEVICE_ADDED);
        core_passes(&iot->core, 400 * SB_SECOND);
    }
    iot->core.names[CORE_PUMP] = IOT_PUMP_ID;
    core_news(&iot->core, CORE_PUMP, SB_NEWS_DEVICE_ADDED);
    core_passes(&iot->core, SB_HOUR);
    iot_forget(iot);
    core_passes(&iot->core, SB_DAY); /* nobody is told of again */
    assert_int_equal(statuses(iot), 0);
}

T(a_device_with_another_name)
{
    iot_up(iot);
    iot->core.names[CORE_PUMP] = "prod_pump8";
    core_news(&iot->core, CORE_PUMP, SB_NEWS_DEVICE_ADDED);
    core_passes(&iot->core, SB_SECOND);
    assert_true(core_is(status(iot), "{\"device_statuses\":[{\"device_id\":\"prod_pump7\","
                                     "\"status\":\"OFFLINE\"},{\"device_id\":\"prod_pump8\","
                                     "\"status\":\"ONLINE\"}]}"));
    assert_int_equal(iot_count(iot, "prod_pump8", "version_report"), 1);
}

#define DELETED                                                                                    \
    "{\"devices\":[{\"parent_device_id\":\"prod_gw1\",\"node_id\":\"pump7\","                      \
    "\"device_id\":\"prod_pump7\"}],\"version\":%d}"

T(whom_the_platform_deleted_is_left_alone)
{
    iot->config.add_devices = true;
    iot_up(iot);
    sb_cleanup(sb_freep) char *deleted = sb_format(DELETED, 5);
    iot_event(iot, IOT_GATEWAY_ID, FAMILY, "delete_sub_device_notify", deleted);
    json_object_set_new(iot->strangers, IOT_PUMP_ID, json_true());
    assert_non_null(strstr(iot->core.note, "deleted sub-device prod_pump7"));
    iot_restarts(iot);
    iot_forget(iot);
    iot_up(iot);
    assert_true(core_is(iot_last(iot, NULL, "sub_device_sync_request"), "{\"version\":5}"));
    assert_int_equal(json_array_size(json_object_get(status(iot), "device_statuses")), 1);
    assert_null(iot_last(iot, NULL, "add_sub_device_request"));
    json_object_clear(iot->strangers);
    iot_event(iot, IOT_GATEWAY_ID, FAMILY, "add_sub_device_notify",
              "{\"devices\":[{\"device_id\":\"prod_pump7\",\"node_id\":\"pump7\"}],\"version\":6}");
    iot_event(iot, IOT_GATEWAY_ID, FAMILY, "delete_sub_device_notify", deleted); /* too late */
    core_passes(&iot->core, SB_SECOND);
    assert_true(core_is(status(iot), "{\"device_statuses\":[{\"device_id\":\"prod_pump7\","
                                     "\"status\":\"ONLINE\"}]}"));
    assert_int_equal(iot_count(iot, IOT_PUMP_ID, "version_report"), 1);
}

/* Of whom the platform deleted nothing is said; whom it adds again it knows nothing of. */
T(whom_the_platform_deleted_is_not_spoken_for)
{
    iot->core.devices[CORE_PUMP].properties = json_pack("{s:{s:i}}", "flow", "value", 1);
    iot_up(iot);
    json_object_set_new(json_object_get(iot->core.devices[CORE_PUMP].properties, "flow"), "value",
                        json_integer(2));
    core_news(&iot->core, CORE_PUMP, SB_NEWS_IDENTITY); /* on their way in this moment */
    sb_cleanup(sb_freep) char *deleted = sb_format(DELETED, 5);
    iot_event(iot, IOT_GATEWAY_ID, FAMILY, "delete_sub_device_notify", deleted);
    iot_forget(iot);
    json_object_set_new(json_object_get(iot->core.devices[CORE_PUMP].properties, "flow"), "value",
                        json_integer(3));
    core_version(&iot->core, CORE_PUMP, "", "1.1.0");
    core_passes(&iot->core, 10 * SB_MINUTE);
    assert_int_equal(iot->sent_count, 0);
    iot_event(iot, IOT_GATEWAY_ID, FAMILY, "add_sub_device_notify",
              "{\"devices\":[{\"device_id\":\"prod_pump7\"}],\"version\":6}");
    core_passes(&iot->core, SB_SECOND);
    assert_int_equal(iot_count(iot, IOT_PUMP_ID, "version_report"), 1);
    iot_event(iot, IOT_GATEWAY_ID, FAMILY, "delete_sub_device_notify",
              "{\"devices\":[{\"device_id\":\"prod_pump7\"}],\"version\":7}");
    iot_event(iot, IOT_GATEWAY_ID, FAMILY, "add_sub_device_notify",
              "{\"devices\":[{\"device_id\":\"prod_pump7\"}],\"version\":8}");
    core_passes(&iot->core, SB_SECOND); /* the same version, but to a new record */
    assert_int_equal(iot_count(iot, IOT_PUMP_ID, "version_report"), 2);
}

/* The settings have another gateway now: its list begins anew. */
T(the_list_of_another_gateway_does_not_count)
{
    static const char *const gateways[] = { IOT_GATEWAY_ID, "prod_former" };
    for (int i = 0; i < 2; i++) {
        json_t *saved = json_pack("{s:s,s:i,s:{s:b}}", "gateway", gateways[i], "version", 7,
                                  "deleted", IOT_PUMP_ID, true);
        iot_down(iot);
        iot_forget(iot);
        sb_huawei_dialect.drop(iot->core.states[CORE_GATEWAY]);
        iot->core.states[CORE_GATEWAY] = sb_huawei_dialect.load(saved);
        json_decref(saved);
        iot_up(iot);
        assert_int_equal(sb_json_int(iot_last(iot, NULL, "sub_device_sync_request"), "version", -1),
                         i == 0 ? 7 : 0);
        assert_int_equal(json_array_size(json_object_get(status(iot), "device_statuses")), 1 + i);
    }
}

/* Its upgrade goes on here; the platform has no task of it any more. */
T(an_upgrade_of_a_deleted_device_is_not_reported)
{
    iot_up(iot);
    iot_event(iot, IOT_PUMP_ID, "$ota", "firmware_upgrade_v2",
              "{\"version\":\"2.0.0\",\"url\":\"https://h/2\"}");
    core_task(&iot->core, 0, SB_TASK_DOWNLOADING);
    sb_cleanup(sb_freep) char *deleted = sb_format(DELETED, 5);
    iot_event(iot, IOT_GATEWAY_ID, FAMILY, "delete_sub_device_notify", deleted);
    iot_forget(iot);
    core_task(&iot->core, 0, SB_TASK_INSTALLING);
    iot_restarts(iot);
    iot_up(iot);
    core_fails(&iot->core, 0, SB_CAUSE_WRITE_FAILED, SB_PHASE_WRITING);
    assert_int_equal(iot_count(iot, IOT_PUMP_ID, "upgrade_progress_report"), 0);
}

/* The answer about a device that has left meanwhile does not bring it back. */
T(who_leaves_is_not_added_again)
{
    iot->config.add_devices = true;
    iot->silent = true;
    iot_up(iot);
    const json_t *event = NULL; /* the batch under way */
    for (size_t i = 0; i < iot->sent_count; i++) {
        const json_t *one = json_array_get(json_object_get(iot->sent[i].body, "services"), 0);
        if (sb_streq(sb_json_str(one, "event_type"), "sub_device_update_status"))
            event = one;
    }
    sb_cleanup(sb_freep) char *id = strdup(sb_json_str(event, "event_id"));
    core_news(&iot->core, CORE_PUMP, SB_NEWS_DEVICE_REMOVED);
    iot_event_id(iot, NULL, FAMILY, "sub_device_update_status_response", id,
                 "{\"successful_devices\":[{\"device_id\":\"prod_valve1\",\"status\":\"ONLINE\"}],"
                 "\"failed_devices\":[{\"device_id\":\"prod_pump7\",\"error_code\":\"x\"}]}");
    assert_null(iot_last(iot, NULL, "add_sub_device_request"));
}

/* Who always has something to say does not keep all others from being heard. */
T(a_flood_of_values_is_reported_in_time)
{
    iot->core.devices[CORE_PUMP].properties = json_pack("{s:{s:i}}", "flow", "value", 0);
    iot_up(iot);
    iot_forget(iot);
    for (int i = 1; i <= 100; i++) {
        json_object_set_new(json_object_get(iot->core.devices[CORE_PUMP].properties, "flow"),
                            "value", json_integer(i));
        core_news(&iot->core, CORE_PUMP, SB_NEWS_IDENTITY);
        core_passes(&iot->core, 100);
    }
    assert_in_range(iot->sent_count, 30, 60); /* ten seconds of 200 ms each */
}

T(responses_that_are_nonsense)
{
    static const char *const types[] = {
        "sub_device_update_status_response", "add_sub_device_response",
        "delete_sub_device_response",        "add_sub_device_notify",
        "delete_sub_device_notify",          "who_knows"
    };
    static const char *const paras[] = {
        "{}",
        "{\"successful_devices\":7,\"failed_devices\":{}}",
        "{\"successful_devices\":[7,null,{}],\"failed_devices\":[[],{\"error_msg\":3}]}",
        "{\"devices\":[7,null,{\"device_id\":\"\"}],\"version\":\"x\"}",
    };
    iot->silent = true;
    iot_up(iot);
    for (size_t i = 0; i < SB_COUNT(types); i++)
        for (size_t n = 0; n < SB_COUNT(paras); n++)
            iot_event(iot, IOT_GATEWAY_ID, FAMILY, types[i], paras[n]);
    iot->silent = false;
    core_passes(&iot->core, 10 * SB_MINUTE);
    assert_int_equal(iot_count(iot, IOT_PUMP_ID, "version_report"), 1);
}

T(values_are_reported_by_the_gateway)
{
    iot->core.devices[CORE_PUMP].properties =
        json_pack("{s:{s:f,s:i}}", "flow", "value", 2.5, "time", 9);
    iot_up(iot);
    core_passes(&iot->core, SB_SECOND);
    size_t count = 0;
    for (size_t i = 0; i < iot->sent_count; i++) {
        if (!strstr(iot->sent[i].topic, "sys/gateway/sub_devices/properties/report"))
            continue;
        const json_t *device = json_array_get(json_object_get(iot->sent[i].body, "devices"), 0);
        const json_t *service = json_array_get(json_object_get(device, "services"), 0);
        assert_string_equal(sb_json_str(device, "device_id"), "prod_pump7");
        assert_string_equal(sb_json_str(service, "service_id"), "properties");
        assert_true(core_is(json_object_get(service, "properties"), "{\"flow\":2.5}"));
        count++;
    }
    assert_int_equal(count, 1);
    core_news(&iot->core, CORE_PUMP, SB_NEWS_IDENTITY); /* nothing new: nothing said */
    size_t before = iot->sent_count;
    core_passes(&iot->core, 10 * SB_MINUTE);
    assert_int_equal(iot->sent_count, before);
    json_object_set_new(json_object_get(iot->core.devices[CORE_PUMP].properties, "flow"), "value",
                        json_integer(3)); /* it was polled */
    core_passes(&iot->core, 61 * SB_SECOND);
    assert_int_equal(iot->sent_count, before + 1);
}
