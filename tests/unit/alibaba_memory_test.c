/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Steps, saving and loading with their first, second, ... allocation failing: each ends with
 * -ENOMEM until there is enough, leaves nothing behind and a state that can go on: once there is
 * memory and a new connection, the sub-devices log in and tell what is so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "adapters/dialects/alibaba/conversation.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "tests/fakes/alibaba_world.h"
#include "tests/fakes/starved.h"

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

#define IMAGE                                                                                      \
    "{\"version\":\"2.0.0\",\"url\":\"https://h/a\",\"module\":\"mcu\",\"sign\":"                  \
    "\"93230c3bde425a9d7984a594ac55ea1e\"}"
#define JOB                                                                                        \
    "{\"id\":\"1\",\"params\":{\"task\":{\"taskId\":\"j\",\"status\":\"SENT\",\"jobDocument\":"    \
    "{\"serviceIdentifier\":\"reboot\"}}}}"

static void ups(struct ali *ali)
{
    ali->core.devices[CORE_PUMP].properties = json_pack("{s:{s:s}}", "a", "value", "b");
    ali_up(ali);
}

static void pushes(struct ali *ali)
{
    ali_pushes(ali, CORE_PUMP, IMAGE);
}

static void refused(struct ali *ali)
{
    ali_pushes(ali, CORE_PUMP, "{\"version\":\"2.0.0\",\"files\":[{},{}]}");
}

static void writes(struct ali *ali)
{
    ali_hears(ali, CORE_PUMP, "thing/service/property/set", "{\"id\":\"1\",\"params\":{\"a\":1}}");
}

static void reads(struct ali *ali)
{
    ali_hears(ali, CORE_PUMP, "thing/service/property/get", "{\"id\":\"1\",\"params\":[\"a\"]}");
}

static void invokes(struct ali *ali)
{
    ali_hears(ali, CORE_PUMP, "thing/service/rinse", "{\"id\":\"1\",\"params\":{}}");
    ali_hears(ali, CORE_PUMP, "thing/service/explode", "{\"id\":\"2\",\"params\":{}}");
}

static void jobs(struct ali *ali)
{
    ali_hears(ali, CORE_PUMP, "thing/job/notify", JOB);
}

static void moves(struct ali *ali)
{
    if (ali->core.task_count > 0)
        core_progress(&ali->core, 0, SB_TASK_INSTALLING, 50);
}

static void succeeds(struct ali *ali)
{
    if (ali->core.task_count == 0)
        return;
    ali->core.tasks[0].task.result = json_pack("{s:s}", "a", "b");
    core_task(&ali->core, 0, SB_TASK_SUCCEEDED);
}

static void fails(struct ali *ali)
{
    if (ali->core.task_count > 0)
        core_fails(&ali->core, 0, SB_CAUSE_TIMEOUT, SB_PHASE_WRITING);
}

static void notices(struct ali *ali)
{
    ali_hears(ali, CORE_PUMP, "thing/disable", "{\"id\":\"1\",\"params\":{}}");
    ali_hears(ali, CORE_GATEWAY, "thing/topo/change",
              "{\"id\":\"1\",\"params\":{\"status\":0,\"subList\":[{\"productKey\":\"pk1\","
              "\"deviceName\":\"pump-7\"}]}}");
}

static void leaves(struct ali *ali)
{
    core_news(&ali->core, CORE_PUMP, SB_NEWS_DEVICE_REMOVED);
}

typedef void (*act_fn)(struct ali *ali);

static const struct trial {
    act_fn before, between, trial;
} trials[] = {
    { NULL, NULL, ups },       { ups, NULL, pushes },     { ups, pushes, moves },
    { ups, pushes, succeeds }, { ups, pushes, fails },    { ups, NULL, refused },
    { ups, NULL, writes },     { ups, writes, succeeds }, { ups, reads, succeeds },
    { ups, reads, fails },     { ups, NULL, invokes },    { ups, NULL, jobs },
    { ups, jobs, moves },      { ups, jobs, succeeds },   { ups, jobs, fails },
    { ups, NULL, notices },    { ups, pushes, leaves },
};

/* It works again: whatever was missed is made good by the next connect. */
static void check_goes_on(struct ali *ali, act_fn trial)
{
    ali->core.around = NULL;
    ali_down(ali);
    json_object_set_new(ali->core.devices[CORE_PUMP].versions, "", json_string("9"));
    if (trial == leaves)
        return;
    ali_clear(ali);
    ali_up(ali);
    core_passes(&ali->core, SB_HOUR);
    assert_true(ali->in[CORE_PUMP] && ali->in[CORE_VALVE]);
    assert_string_equal(ali_text(ali, CORE_PUMP, "/ota/device/inform/", "params/version"), "9");
}

static bool attempt(const struct trial *trial, int granted)
{
    struct ali *ali = ali_new(words);
    if (trial->before)
        trial->before(ali);
    if (trial->between)
        trial->between(ali);
    budget = granted;
    ali->core.around = around;
    trial->trial(ali);
    bool failed = ali->core.failed;
    check_goes_on(ali, trial->trial);
    ali_free(ali);
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
    struct ali *ali = ali_new(words);
    ups(ali);
    pushes(ali);
    fails(ali);
    jobs(ali);
    writes(ali);
    json_t *saved = sb_alibaba_save(ali->core.states[CORE_PUMP]), *again = NULL;
    void *loaded = NULL;
    for (int granted = 0; !again; granted++) {
        left = granted;
        again = sb_alibaba_save(ali->core.states[CORE_PUMP]);
        left = UNLIMITED;
        assert_true(granted < ATTEMPTS);
    }
    assert_true(json_equal(saved, again));
    for (int granted = 0; !loaded; granted++) {
        left = granted;
        loaded = sb_alibaba_load(saved);
        left = UNLIMITED;
        assert_true(granted < ATTEMPTS);
    }
    json_t *resaved = sb_alibaba_save(loaded);
    assert_true(json_equal(saved, resaved));
    sb_alibaba_drop(loaded);
    json_decref(saved);
    json_decref(again);
    json_decref(resaved);
    ali_free(ali);
}

static void release(void *p)
{
    free(p);
}

static int load(void **state)
{
    (void)state;
    json_set_alloc_funcs(__wrap_malloc, release);
    words = core_words(&sb_alibaba_shape, NULL);
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
