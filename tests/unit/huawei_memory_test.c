/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Steps, saving and loading with their first, second, ... allocation failing: each ends with
 * -ENOMEM until there is enough, leaves nothing behind and a state that can go on: once there is
 * memory and a new connection, the platform knows who is there and what they run.
 *
 * The allocator is the one contract that a program cannot hand in, hence the linker's --wrap.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "adapters/dialects/huawei/conversation.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "tests/fakes/huawei_world.h"
#include "tests/fakes/starved.h"

/* ---- what is tried ---- */

static struct sb_words *words;
static int budget; /* of the trial */

static void around(bool begins)
{
    if (begins) {
        left = budget;
    } else {
        budget = left;
        left = UNLIMITED;
    }
}

#define UPGRADE "{\"version\":\"2.0.0\",\"url\":\"https://h/2\",\"access_token\":\"t\"}"
#define REQUEST                                                                                    \
    "{\"object_device_id\":\"prod_pump7\",\"service_id\":\"S\",\"command_name\":\"rinse\","        \
    "\"services\":[{\"properties\":{\"mode\":1}}]}"

static void ups(struct iot *iot)
{
    iot->core.devices[CORE_PUMP].properties = json_pack("{s:{s:s}}", "a", "value", "b");
    iot_up(iot);
}

static void upgrades(struct iot *iot)
{
    iot_event(iot, IOT_PUMP_ID, "$ota", "firmware_upgrade", UPGRADE);
}

static void is_wrong(struct iot *iot)
{
    iot_event(iot, IOT_PUMP_ID, "$ota", "firmware_upgrade_v2", "{\"url\":\"https://h/2\"}");
    iot_event(iot, "prod_ghost", "$ota", "version_query", "{}");
    iot_event(iot, IOT_PUMP_ID, "$ota", "version_query", "{}");
}

static void requests(struct iot *iot)
{
    iot_request(iot, "commands", "1", REQUEST);
    iot_request(iot, "properties/set", "1", REQUEST);
    iot_request(iot, "properties/get", "1", REQUEST);
    iot_request(iot, "commands", "2", "{nonsense");
}

static void moves(struct iot *iot)
{
    for (size_t i = 0; i < iot->core.task_count; i++)
        core_task(&iot->core, i, SB_TASK_INSTALLING);
}

static void succeeds(struct iot *iot)
{
    for (size_t i = 0; i < iot->core.task_count; i++)
        core_task(&iot->core, i, SB_TASK_SUCCEEDED);
}

static void fails(struct iot *iot)
{
    for (size_t i = 0; i < iot->core.task_count; i++)
        core_fails(&iot->core, i, SB_CAUSE_TIMEOUT, SB_PHASE_WRITING);
}

static void waits(struct iot *iot)
{
    core_passes(&iot->core, SB_MINUTE);
}

static void leaves(struct iot *iot)
{
    iot->config.add_devices = true;
    core_news(&iot->core, CORE_PUMP, SB_NEWS_DEVICE_REMOVED);
}

static void is_deleted(struct iot *iot)
{
    iot_event(iot, IOT_GATEWAY_ID, "$sub_device_manager", "delete_sub_device_notify",
              "{\"devices\":[{\"device_id\":\"prod_valve1\"}],\"version\":3}");
}

static void strangers_come(struct iot *iot)
{
    iot->config.add_devices = true;
    json_object_set_new(iot->strangers, IOT_PUMP_ID, json_true());
    iot_up(iot);
    json_object_clear(iot->strangers);
}

typedef void (*act_fn)(struct iot *iot);

static const struct trial {
    act_fn before, between, trial;
} trials[] = {
    { NULL, NULL, ups },         { NULL, NULL, strangers_come }, { ups, NULL, upgrades },
    { ups, upgrades, moves },    { ups, upgrades, succeeds },    { ups, upgrades, fails },
    { ups, upgrades, upgrades }, { ups, NULL, is_wrong },        { ups, NULL, requests },
    { ups, requests, succeeds }, { ups, requests, fails },       { ups, requests, waits },
    { ups, upgrades, leaves },   { ups, NULL, is_deleted },
};

/* It works again: whatever was missed is made good by the next connect. */
static void check_goes_on(struct iot *iot, act_fn trial)
{
    iot->core.around = NULL;
    iot_down(iot);
    if (trial == leaves)
        return;
    json_object_set_new(iot->core.devices[CORE_PUMP].versions, "", json_string("9"));
    iot_forget(iot);
    iot_up(iot);
    core_passes(&iot->core, SB_HOUR);
    assert_true(core_is(iot_last(iot, IOT_PUMP_ID, "version_report"),
                        "{\"fw_version\":\"9\",\"sw_version\":\"9\"}"));
}

static bool attempt(const struct trial *trial, int granted)
{
    struct iot *iot = iot_new(words);
    if (trial->before)
        trial->before(iot);
    if (trial->between)
        trial->between(iot);
    budget = granted;
    iot->core.around = around;
    trial->trial(iot);
    bool failed = iot->core.failed;
    check_goes_on(iot, trial->trial);
    iot_free(iot);
    return failed;
}

static void steps(void **state)
{
    (void)state;
    for (size_t i = 0; i < SB_COUNT(trials); i++) {
        int granted = 0;
        while (attempt(&trials[i], granted))
            if (++granted > ATTEMPTS)
                fail_msg("trial %zu never ends", i);
        if (granted == 0)
            fail_msg("trial %zu allocates nothing", i);
    }
}

static void saving_and_loading(void **state)
{
    (void)state;
    struct iot *iot = iot_new(words);
    ups(iot);
    upgrades(iot);
    fails(iot);
    json_t *saved = sb_huawei_save(iot->core.states[CORE_PUMP]), *again = NULL;
    void *loaded = NULL;
    for (int granted = 0; !again; granted++) {
        left = granted;
        again = sb_huawei_save(iot->core.states[CORE_PUMP]);
        left = UNLIMITED;
        assert_true(granted < ATTEMPTS);
    }
    assert_true(json_equal(saved, again));
    for (int granted = 0; !loaded; granted++) {
        left = granted;
        loaded = sb_huawei_load(saved);
        left = UNLIMITED;
        assert_true(granted < ATTEMPTS);
    }
    json_t *resaved = sb_huawei_save(loaded);
    assert_true(json_equal(saved, resaved));
    sb_huawei_drop(loaded);
    json_decref(saved);
    json_decref(again);
    json_decref(resaved);
    iot_free(iot);
}

static void release(void *p)
{
    free(p);
}

static int load(void **state)
{
    (void)state;
    json_set_alloc_funcs(__wrap_malloc, release);
    words = core_words(&sb_huawei_shape, NULL);
    return words ? 0 : -1;
}

static int unload(void **state)
{
    (void)state;
    words = sb_words_free(words);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps),
        cmocka_unit_test(saving_and_loading),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
