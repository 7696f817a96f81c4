/* SPDX-License-Identifier: Apache-2.0 */
/* Short of memory: once there is some, and a new connection, the platform knows who is there and
 * what they run. */
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "tests/fakes/huawei_world.h"
#include "tests/fakes/starving.h"
#include "tests/test.h"

/* ---- what is tried ---- */

static struct iot *iot;

#define UPGRADE "{\"version\":\"2.0.0\",\"url\":\"https://h/2\",\"access_token\":\"t\"}"
#define REQUEST                                                                                    \
    "{\"object_device_id\":\"prod_pump7\",\"service_id\":\"S\",\"command_name\":\"rinse\","        \
    "\"services\":[{\"properties\":{\"mode\":1}}]}"

static void ups(void)
{
    iot->core.devices[CORE_PUMP].properties = json_pack("{s:{s:s}}", "a", "value", "b");
    iot_up(iot);
}

static void upgrades(void)
{
    iot_event(iot, IOT_PUMP_ID, "$ota", "firmware_upgrade", UPGRADE);
}

static void is_wrong(void)
{
    iot_event(iot, IOT_PUMP_ID, "$ota", "firmware_upgrade_v2", "{\"url\":\"https://h/2\"}");
    iot_event(iot, "prod_ghost", "$ota", "version_query", "{}");
    iot_event(iot, IOT_PUMP_ID, "$ota", "version_query", "{}");
}

static void requests(void)
{
    iot_request(iot, "commands", "1", REQUEST);
    iot_request(iot, "properties/set", "1", REQUEST);
    iot_request(iot, "properties/get", "1", REQUEST);
    iot_request(iot, "commands", "2", "{nonsense");
}

static void moves(void)
{
    for (size_t i = 0; i < iot->core.task_count; i++)
        core_task(&iot->core, i, SB_TASK_INSTALLING);
}

static void succeeds(void)
{
    for (size_t i = 0; i < iot->core.task_count; i++)
        core_task(&iot->core, i, SB_TASK_SUCCEEDED);
}

static void fails(void)
{
    for (size_t i = 0; i < iot->core.task_count; i++)
        core_fails(&iot->core, i, SB_CAUSE_TIMEOUT, SB_PHASE_WRITING);
}

static void waits(void)
{
    core_passes(&iot->core, SB_MINUTE);
}

static void leaves(void)
{
    iot->config.add_devices = true;
    core_news(&iot->core, CORE_PUMP, SB_NEWS_DEVICE_REMOVED);
}

static void is_deleted(void)
{
    iot_event(iot, IOT_GATEWAY_ID, "$sub_device_manager", "delete_sub_device_notify",
              "{\"devices\":[{\"device_id\":\"prod_valve1\"}],\"version\":3}");
}

static void strangers_come(void)
{
    iot->config.add_devices = true;
    json_object_set_new(iot->strangers, IOT_PUMP_ID, json_true());
    iot_up(iot);
    json_object_clear(iot->strangers);
}

static const struct starve_trial trials[] = {
    { NULL, NULL, ups },         { NULL, NULL, strangers_come }, { ups, NULL, upgrades },
    { ups, upgrades, moves },    { ups, upgrades, succeeds },    { ups, upgrades, fails },
    { ups, upgrades, upgrades }, { ups, NULL, is_wrong },        { ups, NULL, requests },
    { ups, requests, succeeds }, { ups, requests, fails },       { ups, requests, waits },
    { ups, upgrades, leaves },   { ups, NULL, is_deleted },
};

static struct core *fresh(void)
{
    iot = iot_new();
    return &iot->core;
}

/* It works again: whatever was missed is made good by the next connect. */
static void goes_on(starve_act trial)
{
    iot_down(iot);
    if (trial != leaves) {
        json_object_set_new(iot->core.devices[CORE_PUMP].versions, "", json_string("9"));
        iot_forget(iot);
        iot_up(iot);
        core_passes(&iot->core, SB_HOUR);
        assert_true(core_is(iot_last(iot, IOT_PUMP_ID, "version_report"),
                            "{\"fw_version\":\"9\",\"sw_version\":\"9\"}"));
    }
    iot_free(iot);
}

SB_TEST(steps)
{
    starve_steps(trials, SB_COUNT(trials), fresh, goes_on);
}

SB_TEST(saving_and_loading)
{
    (void)fresh();
    ups();
    upgrades();
    fails();
    starve_keeping(&sb_huawei_dialect, iot->core.states[CORE_PUMP]);
    iot_free(iot);
}

int main(void)
{
    starved_begin();
    return sb_tests_run(NULL, NULL);
}
