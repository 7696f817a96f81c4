/* SPDX-License-Identifier: Apache-2.0 */
/* Short of memory: once there is some, and a new connection, the twin says what is so. */
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "tests/fakes/azure_world.h"
#include "tests/fakes/starving.h"
#include "tests/test.h"

/* ---- what is tried ---- */

static struct hub *hub;
static enum sb_azure_mode mode;

#define WISH                                                                                       \
    "{\"firmware\":{\"fwVersion\":\"2.0.0\",\"fwPackageURI\":\"https://h/x\"},"                    \
    "\"configuration\":{\"a.b\":{\"c\":[1,\"x\"]}}}"
#define CALL "{\"target\":\"pump-7\",\"fwPackageUri\":\"https://h/x\",\"names\":[\"a\"],\"v\":1}"

static enum core_actor hears(void)
{
    return hub->config.mode == SB_AZURE_GATEWAY ? CORE_GATEWAY : CORE_PUMP;
}

static void ups(void)
{
    hub->core.devices[CORE_PUMP].properties = json_pack("{s:{s:s}}", "a", "value", "b");
    core_up(&hub->core, CORE_GATEWAY);
    core_up(&hub->core, CORE_PUMP);
}

static void wishes(void)
{
    sb_cleanup(sb_freep) char *part = sb_format("{\"children\":{\"pump-7\":%s}}", WISH);
    hub_desires(hub, CORE_PUMP, hub->config.mode == SB_AZURE_GATEWAY ? part : WISH);
}

static void updates(void)
{
    hub_calls(hub, hears(), "firmwareUpdate", CALL);
}

static void reads(void)
{
    hub_calls(hub, hears(), "readProperties", CALL);
}

static void invokes(void)
{
    hub_calls(hub, hears(), "rinse", CALL);
    hub_calls(hub, hears(), "explode", CALL);
    hub_calls(hub, hears(), "writeProperties", CALL);
}

static void moves(void)
{
    if (hub->core.task_count > 0)
        core_task(&hub->core, 0, SB_TASK_INSTALLING);
}

static void succeeds(void)
{
    if (hub->core.task_count > 0)
        core_task(&hub->core, 0, SB_TASK_SUCCEEDED);
}

static void fails(void)
{
    if (hub->core.task_count > 0)
        core_fails(&hub->core, 0, SB_CAUSE_TIMEOUT, SB_PHASE_WRITING);
}

static void reboots(void)
{
    hub_calls(hub, hears(), "reboot", CALL);
}

static void waits(void)
{
    core_passes(&hub->core, SB_MINUTE);
}

static void leaves(void)
{
    core_news(&hub->core, CORE_PUMP, SB_NEWS_DEVICE_REMOVED);
}

static const struct starve_trial trials[] = {
    { NULL, NULL, ups },
    { ups, NULL, wishes },
    { ups, wishes, moves },
    { ups, wishes, succeeds },
    { ups, NULL, updates },
    { ups, updates, moves },
    { ups, updates, fails },
    { ups, reads, succeeds },
    { ups, reads, fails },
    { ups, reads, waits },
    { ups, NULL, invokes },
    { ups, reboots, moves },
    { ups, reboots, fails },
    { ups, reads, leaves, .idle = true },
    { ups, wishes, leaves, .idle = true },
};

static struct core *fresh(void)
{
    hub = hub_new(mode);
    return &hub->core;
}

/* It works again: whatever was missed is made good by the next connect. */
static void goes_on(starve_act trial)
{
    const char *path = hub->config.mode == SB_AZURE_GATEWAY
                           ? "children/pump-7/firmware/currentFwVersion"
                           : "firmware/currentFwVersion";
    for (int i = 0; i < CORE_ACTORS; i++)
        core_down(&hub->core, (enum core_actor)i);
    json_object_set_new(hub->core.devices[CORE_PUMP].versions, "", json_string("9"));
    if (trial != leaves) {
        core_up(&hub->core, CORE_GATEWAY);
        core_up(&hub->core, CORE_PUMP);
        core_passes(&hub->core, SB_HOUR);
        assert_true(hub_reports(hub, CORE_PUMP, path, "\"9\""));
    }
    hub_free(hub);
}

SB_TEST(steps)
{
    for (mode = 0; mode < SB_AZURE_MODE_MAX_; mode++)
        starve_steps(trials, SB_COUNT(trials), fresh, goes_on);
    mode = SB_AZURE_DEVICES;
}

SB_TEST(saving_and_loading)
{
    (void)fresh();
    ups();
    wishes();
    moves();
    starve_keeping(&sb_azure_dialect, hub->core.states[CORE_PUMP]);
    hub_free(hub);
}

int main(void)
{
    starved_begin();
    return sb_tests_run(NULL, NULL);
}
