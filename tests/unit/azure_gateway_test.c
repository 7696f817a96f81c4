/* SPDX-License-Identifier: Apache-2.0 */
/* Mode gateway: one identity carries its devices in its methods and in its twin. */
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "tests/fakes/azure_world.h"
#include "tests/test.h"

static int set_up(void **state)
{
    *state = hub_new(SB_AZURE_GATEWAY);
    return 0;
}

static int tear_down(void **state)
{
    hub_free(*state);
    return 0;
}

static void everybody_is_up(struct hub *hub)
{
    for (int i = 0; i < CORE_ACTORS; i++)
        core_up(&hub->core, (enum core_actor)i);
}

static void all_is_down(struct hub *hub)
{
    hub->core.up[CORE_GATEWAY] = false;
    for (int i = 0; i < CORE_ACTORS; i++)
        core_down(&hub->core, (enum core_actor)i);
}

static bool reports(const struct hub *hub, const char *path, const char *json)
{
    return hub_reports(hub, CORE_GATEWAY, path, json);
}

#define T(name) SB_TEST_OF(struct hub *hub, name, set_up, tear_down)

T(devices_are_parts_of_one_twin)
{
    everybody_is_up(hub);
    assert_int_equal(hub->reads, 1);
    assert_true(reports(hub, "children/pump-7/firmware/currentFwVersion", "\"1.0.0\""));
    assert_true(reports(hub, "children/valve%2E1/device/presence", "\"ready\""));
    assert_true(reports(hub, "firmware/currentFwVersion", "\"\"")); /* the gateway's own */
    json_object_set_new(hub->core.devices[CORE_VALVE].versions, "", json_string("3"));
    core_news(&hub->core, CORE_VALVE, SB_NEWS_IDENTITY);
    assert_true(reports(hub, "children/valve%2E1/firmware/currentFwVersion", "\"3\""));
    unsigned patches = hub->patches;
    core_news(&hub->core, CORE_VALVE, SB_NEWS_IDENTITY);
    assert_int_equal(hub->patches, patches);
}

T(a_reconnect_sends_what_differs)
{
    everybody_is_up(hub);
    all_is_down(hub);
    unsigned patches = hub->patches;
    everybody_is_up(hub);
    assert_int_equal(hub->patches, patches);
    assert_true(reports(hub, "children/pump-7/firmware/currentFwVersion", "\"1.0.0\""));
    core_restarts(&hub->core); /* a gateway that has not heard of its devices yet deletes none */
    core_up(&hub->core, CORE_GATEWAY);
    assert_true(reports(hub, "children/pump-7/firmware/currentFwVersion", "\"1.0.0\""));
}

T(methods_reach_their_device)
{
    everybody_is_up(hub);
    const char *rid = hub_calls(hub, CORE_GATEWAY, "reboot", "{\"target\":\"valve.1\"}");
    assert_true(hub_answered(hub, rid, 200, "*"));
    assert_int_equal(hub->core.tasks[0].whose, CORE_VALVE);
    rid = hub_calls(hub, CORE_GATEWAY, "writeProperties",
                    "{\"target\":\"pump-7\",\"values\":{\"speed\":1}}");
    assert_true(core_is(hub->core.tasks[1].params, "{\"values\": {\"speed\": 1}}"));
    core_task(&hub->core, 1, SB_TASK_SUCCEEDED);
    assert_true(hub_answered(hub, rid, 200, "*"));
    rid = hub_calls(hub, CORE_GATEWAY, "reboot", "{\"target\":\"nobody\"}");
    assert_true(hub_answered(hub, rid, 404, "*"));
    rid = hub_calls(hub, CORE_GATEWAY, "reboot", "{\"target\":7}");
    assert_true(hub_answered(hub, rid, 400, "*"));
    rid = hub_calls(hub, CORE_GATEWAY, "reboot", NULL); /* the gateway itself cannot */
    assert_true(hub_answered(hub, rid, 501, "*"));
    assert_int_equal(hub->core.task_count, 2);
}

T(wishes_reach_their_device)
{
    everybody_is_up(hub);
    hub_desires(hub, CORE_GATEWAY,
                "{\"children\":{\"valve%2E1\":{\"firmware\":{\"fwVersion\":\"2\","
                "\"fwPackageURI\":\"https://h/2\"}},\"nobody\":{\"firmware\":{}}}}");
    assert_int_equal(hub->core.task_count, 1);
    assert_int_equal(hub->core.tasks[0].whose, CORE_VALVE);
    core_task(&hub->core, 0, SB_TASK_INSTALLING);
    assert_true(reports(hub, "children/valve%2E1/firmware/fwUpdateStatus", "\"applying\""));
    json_object_set_new(hub->core.devices[CORE_VALVE].versions, "", json_string("2"));
    core_task(&hub->core, 0, SB_TASK_SUCCEEDED);
    assert_true(reports(hub, "children/valve%2E1/firmware/ac", "200"));
    hub_desires(hub, CORE_GATEWAY, "{\"other\":1}");
    all_is_down(hub);
    everybody_is_up(hub);
    assert_int_equal(hub->core.task_count, 1);
    hub_desires(hub, CORE_GATEWAY, "{\"children\":{\"valve%2E1\":null}}");
    assert_true(reports(hub, "children/valve%2E1/firmware/ac", NULL));
}

/* The device's part was taken away while everything was down. */
T(a_wish_that_went_unheard)
{
    everybody_is_up(hub);
    hub_desires(hub, CORE_GATEWAY, "{\"children\":{\"pump-7\":{\"configuration\":{\"mode\":1}}}}");
    core_task(&hub->core, 0, SB_TASK_SUCCEEDED);
    assert_true(reports(hub, "children/pump-7/configuration/mode/ac", "200"));
    core_restarts(&hub->core);
    hub_desires(hub, CORE_GATEWAY, "{\"children\":null}");
    everybody_is_up(hub);
    assert_true(reports(hub, "children/pump-7/configuration", NULL));
    hub_desires(hub, CORE_GATEWAY, "{\"children\":{\"pump-7\":{\"configuration\":{\"mode\":1}}}}");
    assert_int_equal(hub->core.task_count, 2);
}

T(a_device_that_goes_leaves_the_twin)
{
    everybody_is_up(hub);
    core_news(&hub->core, CORE_VALVE, SB_NEWS_DEVICE_REMOVED);
    assert_true(reports(hub, "children/valve%2E1", NULL));
    assert_true(reports(hub, "children/pump-7/firmware/currentFwVersion", "\"1.0.0\""));
    core_news(&hub->core, CORE_VALVE, SB_NEWS_DEVICE_ADDED);
    assert_true(reports(hub, "children/valve%2E1/firmware/currentFwVersion", "\"1.0.0\""));
    all_is_down(hub); /* and one that goes while the link is down */
    core_news(&hub->core, CORE_VALVE, SB_NEWS_DEVICE_REMOVED);
    core_up(&hub->core, CORE_GATEWAY);
    core_up(&hub->core, CORE_PUMP);
    assert_true(reports(hub, "children/valve%2E1", NULL));
    unsigned patches = hub->patches;
    core_passes(&hub->core, SB_DAY);
    assert_int_equal(hub->patches, patches);
}

/* Its old part would stay for ever: also if the new name came while the gateway was away. */
T(a_device_with_another_name_leaves_its_old_part)
{
    everybody_is_up(hub);
    hub->core.names[CORE_VALVE] = "valve.2";
    core_news(&hub->core, CORE_VALVE, SB_NEWS_DEVICE_ADDED);
    assert_true(reports(hub, "children/valve%2E1", NULL));
    assert_true(reports(hub, "children/valve%2E2/firmware/currentFwVersion", "\"1.0.0\""));
    core_restarts(&hub->core);
    hub->core.names[CORE_PUMP] = "valve.2"; /* two have changed names */
    hub->core.names[CORE_VALVE] = "pump-7";
    core_version(&hub->core, CORE_PUMP, "", "7");
    everybody_is_up(hub);
    assert_true(reports(hub, "children/valve%2E2/firmware/currentFwVersion", "\"7\""));
    assert_true(reports(hub, "children/pump-7/firmware/currentFwVersion", "\"1.0.0\""));
}

T(a_device_that_went_before_a_restart)
{
    everybody_is_up(hub);
    all_is_down(hub);
    core_news(&hub->core, CORE_VALVE, SB_NEWS_DEVICE_REMOVED);
    core_restarts(&hub->core);
    core_up(&hub->core, CORE_GATEWAY);
    core_up(&hub->core, CORE_PUMP);
    assert_true(reports(hub, "children/valve%2E1", NULL));
    assert_true(reports(hub, "children/pump-7/firmware/currentFwVersion", "\"1.0.0\""));
    core_restarts(&hub->core); /* done with: it may come back */
    everybody_is_up(hub);
    assert_true(reports(hub, "children/valve%2E1/firmware/currentFwVersion", "\"1.0.0\""));
}

/* Wished for before the gateway had heard of it. */
T(a_wish_for_a_device_that_comes_later)
{
    hub->core.names[CORE_VALVE] = "not yet";
    core_up(&hub->core, CORE_GATEWAY);
    core_up(&hub->core, CORE_PUMP);
    hub_desires(hub, CORE_GATEWAY,
                "{\"children\":{\"valve%2E1\":{\"configuration\":{\"mode\":1}}}}");
    assert_int_equal(hub->core.task_count, 0);
    hub->core.names[CORE_VALVE] = "valve.1";
    core_up(&hub->core, CORE_VALVE);
    assert_int_equal(hub->core.task_count, 1);
    assert_int_equal(hub->core.tasks[0].whose, CORE_VALVE);
}

/* An escape may be written in more than one way. */
T(a_key_that_is_spelled_otherwise)
{
    everybody_is_up(hub);
    hub_desires(hub, CORE_GATEWAY,
                "{\"children\":{\"%76alve%2e1\":{\"configuration\":{\"mode\":1}}}}");
    all_is_down(hub);
    everybody_is_up(hub);
    core_version(&hub->core, CORE_VALVE, "", "3");
    assert_int_equal(hub->core.task_count, 1);
    assert_int_equal(hub->core.cancelled, 0);
    assert_true(reports(hub, "children/valve%2E1/configuration/mode/ac", "202"));
    hub_desires(hub, CORE_GATEWAY, "{\"children\":null}");
    assert_int_equal(hub->core.cancelled, 101);
}

T(the_gateways_own_record_may_go)
{
    everybody_is_up(hub);
    core_news(&hub->core, CORE_GATEWAY, SB_NEWS_DEVICE_REMOVED);
    core_version(&hub->core, CORE_PUMP, "", "5");
    assert_true(reports(hub, "children/pump-7/firmware/currentFwVersion", "\"5\""));
    assert_true(reports(hub, "children/valve%2E1/firmware/currentFwVersion", "\"1.0.0\""));
}

T(a_wish_for_the_gateway_itself)
{
    everybody_is_up(hub);
    hub_desires(hub, CORE_GATEWAY,
                "{\"firmware\":{\"fwVersion\":\"2\",\"fwPackageURI\":\"https://h/2\"}}");
    assert_true(reports(hub, "firmware/ac", "501"));
    assert_true(reports(hub, "firmware/av", "2"));
    assert_int_equal(hub->core.task_count, 0);
}

/* 32 KB are few for many devices: values go first, the firmware states stay. */
T(the_size_of_the_twin_is_watched)
{
    sb_cleanup(sb_freep) char *large = calloc(1, 3000);
    memset(large, 'x', 2999);
    for (int actor = CORE_PUMP; actor < CORE_ACTORS; actor++) {
        hub->core.devices[actor].properties = json_object();
        for (int i = 0; i < (actor == CORE_PUMP ? 9 : 3); i++) {
            sb_cleanup(sb_freep) char *name = sb_format("p%d", i);
            json_object_set_new(hub->core.devices[actor].properties, name,
                                json_pack("{s:s}", "value", large));
        }
    }
    everybody_is_up(hub);
    assert_true(reports(hub, "children/pump-7/deviceProperties/p0", NULL)); /* the first went */
    assert_false(reports(hub, "children/pump-7/deviceProperties/p8", NULL));
    assert_true(reports(hub, "children/pump-7/firmware/currentFwVersion", "\"1.0.0\""));
    assert_non_null(json_object_get(
        json_object_get(json_object_get(hub->reported[CORE_GATEWAY], "children"), "valve%2E1"),
        "deviceProperties"));
    assert_true(sb_azure_size(hub->reported[CORE_GATEWAY]) <= 32000);
}

static void says(struct hub *hub, int device, const char *status, const char *ended)
{
    sb_cleanup(sb_freep) char *name = sb_format("meter-%d", device);
    json_t *told =
        json_pack("{s:s,s:{s:{s:s,s:s,s:s,s:s,s:s},s:{s:s}}}", "id", name, "doc", "firmware",
                  "currentFwVersion", "1.0.0", "fwUpdateStatus", status, "fwUpdateSubstatus",
                  "a few words about it", "lastFwUpdateStartTime", "2025-11-24T16:00:00.000Z",
                  "lastFwUpdateEndTime", ended, "device", "presence", "ready");
    core_step(
        &hub->core, CORE_GATEWAY,
        &(struct sb_input){ .kind = SB_IN_TOLD, .tag = "document", .told = told, .from = name });
    json_decref(told);
}

/* More devices than a twin has room for: those that are at something are told of first. */
T(a_crowd_does_not_fill_the_twin)
{
    everybody_is_up(hub);
    for (int i = 0; i < 250; i++)
        says(hub, i, i % 100 == 7 ? "applying" : "current", "");
    assert_true(sb_azure_size(hub->reported[CORE_GATEWAY]) <= 32000);
    for (int i = 7; i < 250; i += 100) {
        sb_cleanup(sb_freep) char *path = sb_format("children/meter-%d/firmware/fwUpdateStatus", i);
        assert_true(reports(hub, path, "\"applying\""));
    }
    assert_true(reports(hub, "firmware/fwUpdateStatus", "\"current\""));
    assert_true(json_object_size(json_object_get(hub->reported[CORE_GATEWAY], "children")) > 150);
    assert_non_null(strstr(hub->core.note, "the twin is full"));
    assert_true(hub->core.notes < 10); /* once for each thing that has no room */
    says(hub, 8, "error", ""); /* whoever is left out comes in when there is something to say */
    assert_true(reports(hub, "children/meter-8/firmware/fwUpdateStatus", "\"error\""));
    says(hub, 8, "current", "2025-11-24T16:00:00.000Z"); /* and stays, so that it is seen */
    assert_true(reports(hub, "children/meter-8/firmware/fwUpdateStatus", "\"current\""));
}

/* The audit must not lose one of them. */
T(a_patch_that_tells_several_ends_names_each)
{
    everybody_is_up(hub);
    (void)hub_calls(hub, CORE_GATEWAY, "reboot", "{\"target\":\"pump-7\"}");
    (void)hub_calls(hub, CORE_GATEWAY, "reboot", "{\"target\":\"valve.1\"}");
    hub->silent = true; /* a patch is on its way meanwhile */
    core_task(&hub->core, 0, SB_TASK_RUNNING);
    core_task(&hub->core, 0, SB_TASK_SUCCEEDED);
    core_task(&hub->core, 1, SB_TASK_FAILED);
    assert_int_equal(hub->told_task, 0);
    hub->silent = false;
    core_passes(&hub->core, 10 * SB_MINUTE);
    sb_cleanup(sb_freep) char *what =
        sb_format("failed; task %lld succeeded", (long long)hub->core.tasks[0].task.id);
    assert_int_equal(hub->told_task, hub->core.tasks[1].task.id);
    assert_string_equal(hub->told_what, what);
}

static void use_mode(struct hub *hub, enum sb_azure_mode mode)
{
    all_is_down(hub);
    hub->config.mode = (int)mode;
    for (int i = 0; i < CORE_ACTORS; i++)
        hub->core.line[i] = mode == SB_AZURE_GATEWAY ? CORE_GATEWAY : (enum core_actor)i;
    core_restarts(&hub->core);
    everybody_is_up(hub);
}

/* Nobody would ever delete its part again. */
T(a_device_with_a_connection_of_its_own_leaves_the_gateways_twin)
{
    everybody_is_up(hub);
    use_mode(hub, SB_AZURE_DEVICES);
    assert_true(reports(hub, "children/pump-7", NULL));
    assert_true(reports(hub, "children/valve%2E1", NULL));
    assert_true(hub_reports(hub, CORE_PUMP, "firmware/currentFwVersion", "\"1.0.0\""));
    sb_cleanup(json_decrefp) json_t *gateway =
        sb_azure_dialect.save(hub->core.states[CORE_GATEWAY]);
    sb_cleanup(json_decrefp) json_t *pump = sb_azure_dialect.save(hub->core.states[CORE_PUMP]);
    assert_int_equal(json_array_size(sb_json_array(gateway, "gone")), 0);
    assert_null(sb_json_str(pump, "name"));
    use_mode(hub, SB_AZURE_GATEWAY);
    assert_true(reports(hub, "children/pump-7/firmware/currentFwVersion", "\"1.0.0\""));
}

T(only_the_gateway_renews)
{
    everybody_is_up(hub);
    core_passes(&hub->core, 46 * SB_MINUTE);
    assert_int_equal(hub->core.renewals, 1);
}
