/* SPDX-License-Identifier: Apache-2.0 */
/* Short of memory: once there is some, and a new connection, the sub-devices log in and tell what
 * is so. */
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "tests/fakes/alibaba_world.h"
#include "tests/fakes/starving.h"
#include "tests/test.h"

static struct ali *ali;

#define IMAGE                                                                                      \
    "{\"version\":\"2.0.0\",\"url\":\"https://h/a\",\"module\":\"mcu\",\"sign\":"                  \
    "\"93230c3bde425a9d7984a594ac55ea1e\"}"
#define JOB                                                                                        \
    "{\"id\":\"1\",\"params\":{\"task\":{\"taskId\":\"j\",\"status\":\"SENT\",\"jobDocument\":"    \
    "{\"serviceIdentifier\":\"reboot\"}}}}"

static void ups(void)
{
    ali->core.devices[CORE_PUMP].properties = json_pack("{s:{s:s}}", "a", "value", "b");
    ali_up(ali);
}

static void pushes(void)
{
    ali_pushes(ali, CORE_PUMP, IMAGE);
}

static void refused(void)
{
    ali_pushes(ali, CORE_PUMP, "{\"version\":\"2.0.0\",\"files\":[{},{}]}");
}

static void writes(void)
{
    ali_hears(ali, CORE_PUMP, "thing/service/property/set", "{\"id\":\"1\",\"params\":{\"a\":1}}");
}

static void reads(void)
{
    ali_hears(ali, CORE_PUMP, "thing/service/property/get", "{\"id\":\"1\",\"params\":[\"a\"]}");
}

static void invokes(void)
{
    ali_hears(ali, CORE_PUMP, "thing/service/rinse", "{\"id\":\"1\",\"params\":{}}");
    ali_hears(ali, CORE_PUMP, "thing/service/explode", "{\"id\":\"2\",\"params\":{}}");
}

static void jobs(void)
{
    ali_hears(ali, CORE_PUMP, "thing/job/notify", JOB);
}

static void moves(void)
{
    if (ali->core.task_count > 0)
        core_progress(&ali->core, 0, SB_TASK_INSTALLING, 50);
}

static void succeeds(void)
{
    if (ali->core.task_count == 0)
        return;
    ali->core.tasks[0].task.result = json_pack("{s:s}", "a", "b");
    core_task(&ali->core, 0, SB_TASK_SUCCEEDED);
}

static void fails(void)
{
    if (ali->core.task_count > 0)
        core_fails(&ali->core, 0, SB_CAUSE_TIMEOUT, SB_PHASE_WRITING);
}

static void notices(void)
{
    ali_hears(ali, CORE_PUMP, "thing/disable", "{\"id\":\"1\",\"params\":{}}");
    ali_hears(ali, CORE_GATEWAY, "thing/topo/change",
              "{\"id\":\"1\",\"params\":{\"status\":0,\"subList\":[{\"productKey\":\"pk1\","
              "\"deviceName\":\"pump-7\"}]}}");
}

static void leaves(void)
{
    core_news(&ali->core, CORE_PUMP, SB_NEWS_DEVICE_REMOVED);
}

static const struct starve_trial trials[] = {
    { NULL, NULL, ups },       { ups, NULL, pushes },     { ups, pushes, moves },
    { ups, pushes, succeeds }, { ups, pushes, fails },    { ups, NULL, refused },
    { ups, NULL, writes },     { ups, writes, succeeds }, { ups, reads, succeeds },
    { ups, reads, fails },     { ups, NULL, invokes },    { ups, NULL, jobs },
    { ups, jobs, moves },      { ups, jobs, succeeds },   { ups, jobs, fails },
    { ups, NULL, notices },    { ups, pushes, leaves },
};

static struct core *fresh(void)
{
    ali = ali_new();
    return &ali->core;
}

/* It works again: whatever was missed is made good by the next connect. */
static void goes_on(starve_act trial)
{
    ali_down(ali);
    json_object_set_new(ali->core.devices[CORE_PUMP].versions, "", json_string("9"));
    if (trial != leaves) {
        ali_clear(ali);
        ali_up(ali);
        core_passes(&ali->core, SB_HOUR);
        assert_true(ali->in[CORE_PUMP] && ali->in[CORE_VALVE]);
        assert_string_equal(ali_text(ali, CORE_PUMP, "/ota/device/inform/", "params/version"), "9");
    }
    ali_free(ali);
}

SB_TEST(steps)
{
    starve_steps(trials, SB_COUNT(trials), fresh, goes_on);
}

SB_TEST(saving_and_loading)
{
    (void)fresh();
    ups();
    pushes();
    fails();
    jobs();
    writes();
    starve_keeping(&sb_alibaba_dialect, ali->core.states[CORE_PUMP]);
    ali_free(ali);
}

int main(void)
{
    starved_begin();
    return sb_tests_run(NULL, NULL);
}
