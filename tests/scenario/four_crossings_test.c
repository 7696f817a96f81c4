/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where two clouds meet at one device: one scenario for each crossing that breaks naive models.
 */
#include <stdio.h>

#include "bridge/base/str.h"
#include "tests/scenario/four_world.h"
#include "tests/test.h"

#define MINUTE INT64_C(60000)

static struct world world;

static int set_up(void **state)
{
    (void)state;
    four_new(&world, 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return four_over(&world);
}

static struct request *ask(enum four_cloud from, enum four_device device, enum four_op op,
                           const char *version)
{
    struct request *request = four_ask(from, device, op, version);
    assert_non_null(request);
    return request;
}

static void ends(const struct request *request, bool good)
{
    if (!four_await(&world, request, 20 * MINUTE))
        fail_msg("%s: %s is not done", four_clouds[request->cloud], request->id);
    if (request->good != good)
        fail_msg("%s: %s ended %s (%d)", four_clouds[request->cloud], request->id,
                 request->good ? "well" : "badly", request->final);
}

static void runs(enum four_device device, const char *version, unsigned installs)
{
    assert_string_equal(four_bench(device)->version, version);
    assert_int_equal(four_bench(device)->installs, installs);
}

/* ---- a push meets an installation ---- */

#define CROSSING(test) SB_TEST(test, set_up, tear_down)

/* Nobody can stop the push; it waits, and comes to its end afterwards. */
CROSSING(push_waits_for_an_installation)
{
    const struct request *azure = ask(AZURE, PUMP, UPDATE, "2.0.0");
    assert_true(four_until(&world, "azure", PUMP, SB_TASK_RESTARTING));
    const struct request *push = ask(ALIBABA, PUMP, UPDATE, "3.0.0");
    while (four_task(&world, "azure", PUMP)) {
        assert_int_equal(push->steps, 0); /* it has not begun, and nothing is told of it */
        four_run(&world, 10);
    }
    ends(azure, true);
    ends(push, true);
    four_run(&world, MINUTE);
    assert_true(azure->good);
    assert_string_equal(azure_says(PUMP, "firmware/fwUpdateStatus"), "current");
    runs(PUMP, "3.0.0", 2);
}

/* The same version: one installation, two ends. */
CROSSING(push_of_what_is_being_installed)
{
    const struct request *azure = ask(AZURE, PUMP, UPDATE, "2.0.0");
    assert_true(four_until(&world, "azure", PUMP, SB_TASK_RESTARTING));
    const struct request *push = ask(ALIBABA, PUMP, UPDATE, "2.0.0");
    ends(azure, true);
    ends(push, true);
    four_everything(&world);
    runs(PUMP, "2.0.0", 1);
}

/* The other way round Azure has an answer for it, and is told so at once. */
CROSSING(method_meets_a_push)
{
    const struct request *push = ask(ALIBABA, PUMP, UPDATE, "3.0.0");
    assert_true(four_until(&world, "alibaba", PUMP, SB_TASK_RESTARTING));
    const struct request *azure = ask(AZURE, PUMP, UPDATE, "2.0.0");
    ends(azure, false);
    assert_int_equal(azure->code, 409);
    ends(push, true);
    four_run(&world, MINUTE);
    runs(PUMP, "3.0.0", 1);
}

/* ---- a wish that comes again ---- */

CROSSING(wish_again_after_each_reconnect)
{
    const struct request *wish = ask(AZURE, PUMP, WISH, "2.0.0");
    assert_true(four_until(&world, "azure", PUMP, SB_TASK_DOWNLOADING));
    net_break(&four_azure.server); /* it is read again while it is carried out */
    ends(wish, true);
    for (int i = 0; i < 3; i++) {
        net_break(&four_azure.server);
        four_run(&world, MINUTE);
        four_restart(&world, i > 0, 0);
        four_run(&world, MINUTE);
    }
    runs(PUMP, "2.0.0", 1);
    assert_int_equal(wish->code, 200);
    ends(ask(AZURE, PUMP, WISH, "2.1.0"), true);
    runs(PUMP, "2.1.0", 2); /* by now: the end of the one before is not its own */
    four_run(&world, MINUTE);
}

/* Nor is one that failed tried again, until it is another one. */
CROSSING(failed_wish_stays_failed)
{
    struct bench_device *pump = four_bench(PUMP);
    pump->fault = BENCH_TRANSFER;
    pump->cause = SB_CAUSE_NO_SPACE;
    pump->faults = 1;
    const struct request *wish = ask(AZURE, PUMP, WISH, "2.0.0");
    ends(wish, false);
    int code = wish->code;
    net_break(&four_azure.server);
    four_run(&world, MINUTE);
    four_restart(&world, true, 0);
    four_run(&world, 10 * MINUTE);
    runs(PUMP, "1.0.0", 0);
    assert_int_equal(code, wish->code);
    assert_string_equal(azure_says(PUMP, "firmware/fwUpdateStatus"), "error");
    ends(ask(AZURE, PUMP, WISH, "2.1.0"), true);
    four_run(&world, MINUTE);
    runs(PUMP, "2.1.0", 1);
}

/* ---- a retry ---- */

/* As a policy with retries: a link's own jobs have none today. */
static void retry_later(enum four_cloud from, enum four_device device)
{
    struct sb_task *task = four_task(&world, four_clouds[from], device);
    assert_non_null(task);
    task->job->policy.retries = 2;
    task->job->policy.retry_interval = 5000;
}

static unsigned failures_shown; /* by the twin */

static void look_at_twin(enum four_device device)
{
    failures_shown += strcmp(azure_says(device, "firmware/fwUpdateStatus"), "error") == 0;
}

/* Each attempt but the last fails when all of it has been transferred: what was told (steps from 40
 * on) would fall back. The platforms refuse a step that falls and a failure that is none. */
CROSSING(retry_is_no_step_back)
{
    for (int c = 0; c < CLOUDS; c++) {
        struct bench_device *pump = four_bench(PUMP);
        sb_cleanup(sb_freep) char *version = sb_format("3.%d.0", c);
        pump->fault = BENCH_COMMIT;
        pump->cause = SB_CAUSE_WRITE_FAILED;
        pump->faults = 0;
        struct request *request = ask((enum four_cloud)c, PUMP, UPDATE, version);
        if (c == IBM) { /* its download is a job of its own */
            assert_true(four_until(&world, "ibm", PUMP, SB_TASK_DOWNLOADING));
            while (!four_task(&world, "ibm", PUMP) ||
                   four_task(&world, "ibm", PUMP)->job->op != SB_OP_FIRMWARE_INSTALL)
                four_run(&world, 10);
        } else {
            assert_true(four_until(&world, four_clouds[c], PUMP, SB_TASK_DOWNLOADING));
        }
        pump->faults = 2;
        retry_later((enum four_cloud)c, PUMP);
        four_task(&world, four_clouds[c], PUMP)->job->policy.retry_causes =
            UINT64_C(1) << SB_CAUSE_WRITE_FAILED;
        failures_shown = 0;
        unsigned attempts = 0;
        while (!request->done) {
            const struct sb_task *task = four_task(&world, four_clouds[c], PUMP);
            attempts = task && task->attempt > attempts ? task->attempt : attempts;
            look_at_twin(PUMP);
            four_run(&world, 20);
        }
        assert_true(request->good);
        assert_int_equal(attempts, 3);
        assert_int_equal(failures_shown, 0);
        four_run(&world, MINUTE);
        assert_string_equal(pump->version, version);
    }
}

/* ---- a cancelled task whose device goes on ---- */

/* The hub takes its method back; the device does it all the same, and everybody hears what it runs
 * now. It is no success of the method. */
CROSSING(cancelled_and_done_all_the_same)
{
    struct bench_device *pump = four_bench(PUMP);
    pump->fault = BENCH_COMMIT; /* silent from there on: it has the image, and its own mind */
    pump->cause = SB_CAUSE_NONE;
    pump->faults = 1;
    pump->deaf = true;
    const struct request *azure = ask(AZURE, PUMP, UPDATE, "2.0.0");
    four_run(&world, 5000);
    const struct request *cancel = ask(AZURE, PUMP, CANCEL, NULL);
    assert_true(four_await(&world, cancel, MINUTE));
    assert_int_equal(cancel->code, 200);
    pump->offline = true; /* it writes, and answers nobody */
    assert_true(four_await(&world, azure, 5 * MINUTE));
    assert_false(azure->good);
    const struct request *push = ask(ALIBABA, PUMP, UPDATE, "3.0.0");
    four_run(&world, 3 * MINUTE);
    assert_int_equal(push->steps, 0); /* it may be at work yet: nothing is begun */
    pump->deaf = pump->offline = false;
    (void)snprintf(pump->version, sizeof(pump->version), "2.0.0");
    pump->installs++;
    assert_int_equal(sb_runner_identify(world.core->runner, "pump"), 0);
    ends(push, true);
    four_everything(&world);
    assert_false(azure->good);
    runs(PUMP, "3.0.0", 2);
}

/* Huawei and Alibaba have no message for it: their platform gives up, the device goes on, and the
 * platform hears its version. */
CROSSING(given_up_by_the_platform_alone)
{
    for (int c = HUAWEI; c <= ALIBABA; c++) {
        sb_cleanup(sb_freep) char *version = sb_format("2.%d.0", c);
        struct request *request = ask((enum four_cloud)c, PUMP, UPDATE, version);
        assert_true(four_until(&world, four_clouds[c], PUMP, SB_TASK_DOWNLOADING));
        request->done = request->dropped = true;
        four_everything(&world);
        assert_string_equal(four_bench(PUMP)->version, version);
        assert_string_equal(four_platforms[c]->version(PUMP), version);
    }
}

/* A step, a report names no version: the failure of an update is not the end of the next one, which
 * is offered while the platform cannot be told. */
CROSSING(old_failure_is_not_the_new_ones)
{
    struct bench_device *pump = four_bench(PUMP);
    for (int i = 0; i < 4; i++) {
        enum four_cloud from = i % 2 ? HUAWEI : ALIBABA;
        bool told = i >= 2; /* that it failed, before the connection is lost */
        sb_cleanup(sb_freep) char *bad = sb_format("2.%d.0", i);
        sb_cleanup(sb_freep) char *good = sb_format("2.%d.1", i);
        pump->fault = BENCH_TRANSFER;
        pump->cause = SB_CAUSE_NO_SPACE;
        pump->faults = 1;
        struct request *old = ask(from, PUMP, UPDATE, bad);
        assert_true(four_until(&world, four_clouds[from], PUMP, SB_TASK_DOWNLOADING));
        if (told)
            ends(old, false);
        net_cut(&four_platforms[from]->server, true);
        four_run(&world, MINUTE);
        old->done = old->dropped = true;
        const struct request *next = ask(from, PUMP, UPDATE, good);
        net_cut(&four_platforms[from]->server, false);
        ends(next, true);
    }
}

/* And one that is waited for is told then: the device is not tried again for it. */
CROSSING(failure_while_nobody_hears)
{
    struct bench_device *pump = four_bench(PUMP);
    for (int c = 0; c < CLOUDS; c++) {
        pump->fault = BENCH_CHECKPOINT;
        pump->cause = SB_CAUSE_VERIFY_FAILED;
        pump->faults = 1;
        const struct request *request = ask((enum four_cloud)c, PUMP, UPDATE, "2.0.0");
        while (!four_task(&world, four_clouds[c], PUMP) ||
               four_task(&world, four_clouds[c], PUMP)->job->op == SB_OP_FIRMWARE_DOWNLOAD)
            four_run(&world, 10);
        net_cut(&four_platforms[c]->server, true);
        four_run(&world, 5 * MINUTE);
        four_restart(&world, true, MINUTE);
        net_cut(&four_platforms[c]->server, false);
        ends(request, false);
        four_run(&world, 10 * MINUTE);
        runs(PUMP, "1.0.0", 0);
    }
}

/* ---- staged by one, installed by another ---- */

CROSSING(staged_here_installed_there)
{
    static const enum four_cloud who[][2] = { { IBM, AZURE }, { AZURE, IBM } };
    static const enum four_device where[] = { PUMP, METER }; /* in the gateway; in the device */
    for (size_t i = 0; i < SB_COUNT(who); i++)
        for (size_t d = 0; d < SB_COUNT(where); d++) {
            sb_cleanup(sb_freep) char *version = sb_format("2.%zu.%zu", i, d);
            unsigned fetched = shelf.completed, installs = four_bench(where[d])->installs;
            ends(ask(who[i][0], where[d], DOWNLOAD, version), true);
            four_restart(&world, true, 0);
            four_run(&world, MINUTE);
            assert_int_equal(four_bench(where[d])->installs, installs);
            ends(ask(who[i][1], where[d], INSTALL, version), true);
            four_run(&world, MINUTE);
            runs(where[d], version, installs + 1);
            assert_int_equal(shelf.completed, fetched + 1);
            assert_int_equal(four_ask(who[i][0], where[d], INSTALL, version)->done, false);
            four_everything(&world);
            assert_int_equal(four_bench(where[d])->installs, installs + 1);
        }
}
