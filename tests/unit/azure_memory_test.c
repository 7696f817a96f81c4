/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Steps, saving and loading with their first, second, ... allocation failing: each ends with
 * -ENOMEM until there is enough, leaves nothing behind and a state that can go on: once there is
 * memory and a new connection, the twin says what is so.
 *
 * The allocator is the one contract that a program cannot hand in, hence the linker's --wrap.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "adapters/dialects/azure/conversation.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "tests/fakes/azure_world.h"
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

#define WISH                                                                                       \
    "{\"firmware\":{\"fwVersion\":\"2.0.0\",\"fwPackageURI\":\"https://h/x\"},"                    \
    "\"configuration\":{\"a.b\":{\"c\":[1,\"x\"]}}}"
#define CALL "{\"target\":\"pump-7\",\"fwPackageUri\":\"https://h/x\",\"names\":[\"a\"],\"v\":1}"

static enum core_actor hears(const struct hub *hub)
{
    return hub->config.mode == SB_AZURE_GATEWAY ? CORE_GATEWAY : CORE_PUMP;
}

static void ups(struct hub *hub)
{
    hub->core.devices[CORE_PUMP].properties = json_pack("{s:{s:s}}", "a", "value", "b");
    core_up(&hub->core, CORE_GATEWAY);
    core_up(&hub->core, CORE_PUMP);
}

static void wishes(struct hub *hub)
{
    sb_cleanup(sb_freep) char *part = sb_format("{\"children\":{\"pump-7\":%s}}", WISH);
    hub_desires(hub, CORE_PUMP, hub->config.mode == SB_AZURE_GATEWAY ? part : WISH);
}

static void updates(struct hub *hub)
{
    hub_calls(hub, hears(hub), "firmwareUpdate", CALL);
}

static void reads(struct hub *hub)
{
    hub_calls(hub, hears(hub), "readProperties", CALL);
}

static void invokes(struct hub *hub)
{
    hub_calls(hub, hears(hub), "rinse", CALL);
    hub_calls(hub, hears(hub), "explode", CALL);
    hub_calls(hub, hears(hub), "writeProperties", CALL);
}

static void moves(struct hub *hub)
{
    if (hub->core.task_count > 0)
        core_task(&hub->core, 0, SB_TASK_INSTALLING);
}

static void succeeds(struct hub *hub)
{
    if (hub->core.task_count > 0)
        core_task(&hub->core, 0, SB_TASK_SUCCEEDED);
}

static void fails(struct hub *hub)
{
    if (hub->core.task_count > 0)
        core_fails(&hub->core, 0, SB_CAUSE_TIMEOUT, SB_PHASE_WRITING);
}

static void reboots(struct hub *hub)
{
    hub_calls(hub, hears(hub), "reboot", CALL);
}

static void waits(struct hub *hub)
{
    core_passes(&hub->core, SB_MINUTE);
}

static void leaves(struct hub *hub)
{
    core_news(&hub->core, CORE_PUMP, SB_NEWS_DEVICE_REMOVED);
}

typedef void (*act_fn)(struct hub *hub);

static const struct trial {
    act_fn before, between, trial;
} trials[] = {
    { NULL, NULL, ups },       { ups, NULL, wishes },    { ups, wishes, moves },
    { ups, wishes, succeeds }, { ups, NULL, updates },   { ups, updates, moves },
    { ups, updates, fails },   { ups, reads, succeeds }, { ups, reads, fails },
    { ups, reads, waits },     { ups, NULL, invokes },   { ups, reboots, moves },
    { ups, reboots, fails },   { ups, reads, leaves },   { ups, wishes, leaves },
};

/* It works again: whatever was missed is made good by the next connect. */
static void check_goes_on(struct hub *hub, act_fn trial)
{
    const char *path = hub->config.mode == SB_AZURE_GATEWAY
                           ? "children/pump-7/firmware/currentFwVersion"
                           : "firmware/currentFwVersion";
    hub->core.around = NULL;
    for (int i = 0; i < CORE_ACTORS; i++)
        core_down(&hub->core, (enum core_actor)i);
    json_object_set_new(hub->core.devices[CORE_PUMP].versions, "", json_string("9"));
    if (trial == leaves)
        return;
    core_up(&hub->core, CORE_GATEWAY);
    core_up(&hub->core, CORE_PUMP);
    core_passes(&hub->core, SB_HOUR);
    assert_true(hub_reports(hub, CORE_PUMP, path, "\"9\""));
}

static bool attempt(const struct trial *trial, enum sb_azure_mode mode, int granted)
{
    struct hub *hub = hub_new(words, mode);
    if (trial->before)
        trial->before(hub);
    if (trial->between)
        trial->between(hub);
    budget = granted;
    hub->core.around = around;
    trial->trial(hub);
    bool failed = hub->core.failed;
    check_goes_on(hub, trial->trial);
    hub_free(hub);
    return failed;
}

static void steps(void **state)
{
    (void)state;
    for (size_t i = 0; i < SB_COUNT(trials); i++)
        for (int mode = 0; mode < SB_AZURE_MODE_MAX_; mode++) {
            int granted = 0;
            while (attempt(&trials[i], (enum sb_azure_mode)mode, granted))
                if (++granted > ATTEMPTS)
                    fail_msg("trial %zu never ends", i);
            if (granted == 0 && trials[i].trial != leaves)
                fail_msg("trial %zu allocates nothing", i);
        }
}

static void saving_and_loading(void **state)
{
    (void)state;
    struct hub *hub = hub_new(words, SB_AZURE_DEVICES);
    ups(hub);
    wishes(hub);
    moves(hub);
    json_t *saved = sb_azure_save(hub->core.states[CORE_PUMP]), *again = NULL;
    void *loaded = NULL;
    for (int granted = 0; !again; granted++) {
        left = granted;
        again = sb_azure_save(hub->core.states[CORE_PUMP]);
        left = UNLIMITED;
        assert_true(granted < ATTEMPTS);
    }
    assert_true(json_equal(saved, again));
    for (int granted = 0; !loaded; granted++) {
        left = granted;
        loaded = sb_azure_load(saved);
        left = UNLIMITED;
        assert_true(granted < ATTEMPTS);
    }
    json_t *resaved = sb_azure_save(loaded);
    assert_true(json_equal(saved, resaved));
    sb_azure_drop(loaded);
    json_decref(saved);
    json_decref(again);
    json_decref(resaved);
    hub_free(hub);
}

static void release(void *p)
{
    free(p);
}

static int load(void **state)
{
    (void)state;
    json_set_alloc_funcs(__wrap_malloc, release);
    words = core_words(&sb_azure_shape, NULL);
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
