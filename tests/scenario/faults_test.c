/* SPDX-License-Identifier: Apache-2.0 */
/* What goes wrong in the field: disks, devices, links and clocks that misbehave. */
#include <stdio.h>

#include "bridge/base/crypto.h"
#include "tests/scenario/world.h"
#include "tests/test.h"

static struct world world;

static int set_up(void **state)
{
    (void)state;
    world_new(&world);
    world_run(&world, 1000);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    world_done(&world);
    return 0;
}

static struct sb_verdict accepted(struct sb_verdict verdict)
{
    assert_int_equal(verdict.cause, SB_CAUSE_NONE);
    return verdict;
}

#define assert_state(job, expected)                                                                \
    assert_string_equal(sb_task_state_name((int)world_state(&world, job)),                         \
                        sb_task_state_name((int)(expected)))
#define assert_cause(job, expected)                                                                \
    assert_string_equal(sb_cause_name((int)world_cause(&world, job)),                              \
                        sb_cause_name((int)(expected)))

/* ---- the disk ---- */

#define TEST(name) SB_TEST(test_##name, set_up, tear_down)

/* The nth commit of an update fails; the store refuses for a while, then works again. */
TEST(failed_commits)
{
    for (unsigned nth = 1; nth <= 24; nth++) {
        tear_down(NULL);
        set_up(NULL);
        struct sb_verdict verdict = { 0 };
        uint64_t before = sb_store_mem_commits(world.disk);
        verdict = world_ask(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0");
        int64_t waited = 0;
        for (; sb_store_mem_commits(world.disk) < before + nth - 1 && waited < 20000; waited += 1)
            sb_sim_advance(world.loop, 1);
        sb_store_mem_fail_next(world.disk, 3, -ENOSPC);
        world_run(&world, 60000);
        assert_true(sb_store_ready(world.core->store, NULL));
        sb_cleanup(sb_job_freep) struct sb_job *job = world_job(&world, verdict.job);
        if (!job) { /* the request itself was dropped: nothing was done */
            assert_int_equal(bench_device("a")->installs, 0);
        } else {
            assert_state(verdict.job, SB_TASK_SUCCEEDED);
            assert_int_equal(bench_device("a")->installs, 1);
            /* Also when it was heard, and that could not be written down. */
            assert_int_equal(cloud_finals(verdict.task, NULL), 1);
        }
        sb_verdict_done(&verdict);
    }
}

TEST(refused_while_the_disk_is_full)
{
    sb_store_mem_fail_next(world.disk, 1000, -ENOSPC);
    struct sb_verdict first = world_ask(&world, SB_OP_REBOOT, "a", NULL);
    world_run(&world, 1000);
    struct sb_verdict second = world_ask(&world, SB_OP_REBOOT, "a", NULL);
    assert_int_equal(second.cause, SB_CAUSE_NO_SPACE);
    assert_non_null(strstr(second.text, "no new work"));
    sb_store_mem_fail_next(world.disk, 0, 0);
    world_run(&world, 60000);
    assert_int_equal(bench_device("a")->boots, 0); /* the first was never durable */
    struct sb_verdict third = accepted(world_ask(&world, SB_OP_REBOOT, "a", NULL));
    world_run(&world, 5000);
    assert_state(third.job, SB_TASK_SUCCEEDED);
    sb_verdict_done(&first);
    sb_verdict_done(&second);
}

/* Between the probe's commit and the rebuild: nothing may be stored that memory does not know. */
TEST(a_request_in_the_instant_of_recovery)
{
    sb_store_mem_fail_next(world.disk, 1, -ENOSPC);
    struct sb_verdict first = world_ask(&world, SB_OP_REBOOT, "a", NULL);
    world_run(&world, 100);
    sb_store_mem_hold(world.disk, true);
    world_run(&world, 1000);
    assert_int_equal(sb_store_mem_commit(world.disk), 1);
    sb_store_mem_hold(world.disk, false);
    size_t before = sb_store_mem_rows(world.disk, SB_TABLE_JOB);
    struct sb_verdict second = world_ask(&world, SB_OP_REBOOT, "b", NULL);
    assert_int_equal(second.cause, SB_CAUSE_NO_SPACE);
    world_run(&world, 5000);
    assert_int_equal(sb_store_mem_rows(world.disk, SB_TABLE_JOB), before);
    struct sb_verdict third = accepted(world_ask(&world, SB_OP_REBOOT, "b", NULL));
    world_run(&world, 5000);
    assert_state(third.job, SB_TASK_SUCCEEDED);
    world_off(&world, false);
    world_boot(&world);
    world_run(&world, 5000);
    assert_int_equal(sb_store_mem_rows(world.disk, SB_TABLE_JOB), before + 1);
    assert_int_equal(bench_device("a")->boots, 0);
    assert_int_equal(bench_device("b")->boots, 1);
    sb_verdict_done(&first);
    sb_verdict_done(&second);
    sb_verdict_done(&third);
}

/* How often the daemon's log says it while `during` runs. */
static unsigned logged(const char *text, void (*during)(void))
{
    FILE *log = tmpfile();
    int before = dup(STDERR_FILENO);
    char line[4096];
    unsigned n = 0;
    assert_true(log && before >= 0 && dup2(fileno(log), STDERR_FILENO) >= 0);
    during();
    assert_true(dup2(before, STDERR_FILENO) >= 0);
    (void)close(before);
    rewind(log);
    while (fgets(line, sizeof(line), log))
        n += strstr(line, text) != NULL;
    (void)fclose(log);
    return n;
}

static void ask_for_an_hour(void)
{
    for (int minute = 0; minute < 60; minute++) {
        struct sb_verdict verdict = world_ask(&world, SB_OP_REBOOT, "a", NULL);
        sb_verdict_done(&verdict);
        sb_sim_advance(world.loop, SB_MINUTE);
    }
}

/* Nearly full: it seems to be well each time, until somebody wants something. */
TEST(a_disk_that_takes_probes_alone)
{
    sb_store_mem_probes_alone(world.disk, -ENOSPC);
    assert_int_equal(logged("does not take changes", ask_for_an_hour), 1);
    assert_int_equal(bench_device("a")->boots, 0);
    sb_store_mem_probes_alone(world.disk, 0);
    sb_sim_advance(world.loop, SB_MINUTE);
    struct sb_verdict verdict = accepted(world_ask(&world, SB_OP_REBOOT, "a", NULL));
    world_run(&world, 5000);
    assert_state(verdict.job, SB_TASK_SUCCEEDED);
    sb_store_mem_probes_alone(world.disk, -ENOSPC); /* anew: it is told anew */
    assert_int_equal(logged("does not take changes", ask_for_an_hour), 1);
    sb_store_mem_probes_alone(world.disk, 0);
    sb_sim_advance(world.loop, SB_MINUTE);
}

/* A disk that stalls delays answers; nothing leaves before it is durable. */
TEST(slow_disk)
{
    sb_store_mem_hold(world.disk, true);
    struct sb_verdict verdict = accepted(world_ask(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0"));
    world_run(&world, 5000);
    assert_int_equal(cloud.count, 0);
    assert_int_equal(bench_device("a")->installs, 0);
    sb_store_mem_hold(world.disk, false);
    sb_store_mem_commit(world.disk);
    sb_store_mem_delay(world.disk, 200);
    world_run(&world, 20000);
    assert_state(verdict.job, SB_TASK_SUCCEEDED);
    assert_int_equal(cloud_finals(verdict.task, NULL), 1);
}

/* ---- devices ---- */

TEST(retries_then_success)
{
    struct bench_device *device = bench_device("a");
    device->fault = BENCH_TRANSFER;
    device->cause = SB_CAUSE_LINK_LOST;
    device->faults = 2;
    struct sb_policy policy = { .retries = 2, .retry_interval = 10000 };
    struct sb_verdict verdict =
        accepted(world_ask_with(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0", &policy));
    world_run(&world, 1500);
    assert_state(verdict.job, SB_TASK_QUEUED);
    assert_int_equal(sb_book_task(world.core->book, verdict.task)->reason, SB_REASON_RETRY);
    world_run(&world, 60000);
    assert_state(verdict.job, SB_TASK_SUCCEEDED);
    sb_cleanup(sb_job_freep) struct sb_job *job = world_job(&world, verdict.job);
    assert_int_equal(job->tasks[0]->attempt, 3);
    assert_false(cloud_heard(verdict.task, "failed")); /* a retry never goes through `failed` */
    assert_int_equal(shelf.completed, 1);
}

TEST(permanent_failures_are_not_retried)
{
    struct bench_device *device = bench_device("a");
    device->fault = BENCH_TRANSFER;
    device->cause = SB_CAUSE_VERIFY_FAILED;
    device->faults = 1;
    struct sb_policy policy = { .retries = 5, .retry_interval = 1000 };
    struct sb_verdict verdict =
        accepted(world_ask_with(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0", &policy));
    world_run(&world, 30000);
    assert_state(verdict.job, SB_TASK_FAILED);
    assert_cause(verdict.job, SB_CAUSE_VERIFY_FAILED);
    policy.retry_causes = UINT64_C(1) << SB_CAUSE_VERIFY_FAILED; /* unless the policy says so */
    device->faults = 1;
    verdict = accepted(world_ask_with(&world, SB_OP_FIRMWARE_UPDATE, "a", "3.0.0", &policy));
    world_run(&world, 30000);
    assert_state(verdict.job, SB_TASK_SUCCEEDED);
}

TEST(each_fault_at_each_step)
{
    static const enum sb_cause causes[] = { SB_CAUSE_LINK_LOST,     SB_CAUSE_NO_SPACE,
                                            SB_CAUSE_VERIFY_FAILED, SB_CAUSE_UNSUPPORTED_IMAGE,
                                            SB_CAUSE_ROLLED_BACK,   SB_CAUSE_INTERNAL };
    struct bench_device *device = bench_device("a");
    int version = 2;
    for (int step = BENCH_LOOK; step < BENCH_NEVER; step++) {
        for (size_t i = 0; i < SB_COUNT(causes); i++) {
            char text[32];
            (void)snprintf(text, sizeof(text), "%d.0.0", version++);
            device->fault = (enum bench_step)step;
            device->cause = causes[i];
            device->faults = 1;
            struct sb_verdict verdict =
                accepted(world_ask(&world, SB_OP_FIRMWARE_UPDATE, "a", text));
            world_run(&world, 20000);
            assert_state(verdict.job, SB_TASK_FAILED);
            assert_cause(verdict.job, causes[i]);
            const struct cloud_report *last = NULL;
            assert_int_equal(cloud_finals(verdict.task, &last), 1);
            assert_string_equal(last->cause, sb_cause_name((int)causes[i]));
        }
    }
}

TEST(silence_is_a_stall)
{
    struct bench_device *device = bench_device("a");
    device->fault = BENCH_TRANSFER;
    device->cause = SB_CAUSE_NONE;
    device->faults = 1;
    struct sb_verdict verdict = accepted(world_ask(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0"));
    world_run(&world, 25000);
    assert_state(verdict.job, SB_TASK_DOWNLOADING);
    world_run(&world, 10000);
    assert_state(verdict.job, SB_TASK_FAILED);
    assert_cause(verdict.job, SB_CAUSE_LINK_LOST);
    assert_int_equal(bench_sessions(), 0);
}

TEST(a_lie_is_found_out)
{
    bench_device("a")->lies = true;
    struct sb_verdict verdict = accepted(world_ask(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0"));
    world_run(&world, 5000);
    assert_state(verdict.job, SB_TASK_FAILED);
    assert_cause(verdict.job, SB_CAUSE_VERSION_MISMATCH);
}

TEST(offline_device_waits_and_comes_back)
{
    bench_device("a")->offline = true;
    assert_int_equal(sb_runner_identify(world.core->runner, "a"), 0);
    world_run(&world, 1000);
    assert_int_equal(sb_registry_get(world.core->registry, "a")->presence, SB_PRESENCE_OFFLINE);
    struct sb_policy policy = { .online_timeout = SB_HOUR };
    struct sb_verdict waits =
        accepted(world_ask_with(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0", &policy));
    world_run(&world, 10 * SB_MINUTE);
    assert_state(waits.job, SB_TASK_QUEUED);
    assert_int_equal(sb_book_task(world.core->book, waits.task)->reason, SB_REASON_OFFLINE);
    bench_device("a")->offline = false;
    world_run(&world, 10 * SB_MINUTE);
    assert_state(waits.job, SB_TASK_SUCCEEDED);
    bench_device("b")->offline = true;
    assert_int_equal(sb_runner_identify(world.core->runner, "b"), 0);
    world_run(&world, 1000);
    struct sb_verdict gone = accepted(world_ask_with(&world, SB_OP_REBOOT, "b", NULL, &policy));
    world_run(&world, SB_HOUR + SB_MINUTE);
    assert_state(gone.job, SB_TASK_FAILED);
    assert_cause(gone.job, SB_CAUSE_OFFLINE);
}

/* The online clock keeps what has elapsed over power cuts, and does not count the time off. */
TEST(timeouts_survive_power_cuts)
{
    bench_device("a")->offline = true;
    assert_int_equal(sb_runner_identify(world.core->runner, "a"), 0);
    world_run(&world, 1000);
    struct sb_policy policy = { .online_timeout = SB_HOUR };
    struct sb_verdict verdict = accepted(world_ask_with(&world, SB_OP_REBOOT, "a", NULL, &policy));
    for (int i = 0; i < 4; i++) {
        world_run(&world, 22 * SB_MINUTE);
        assert_true(i == 3 || world_state(&world, verdict.job) == SB_TASK_QUEUED || i == 2);
        world_off(&world, true);
        world.wall += SB_DAY;
        world_boot(&world);
    }
    world_run(&world, SB_MINUTE);
    assert_state(verdict.job, SB_TASK_FAILED);
    assert_cause(verdict.job, SB_CAUSE_OFFLINE);
}

TEST(whole_and_run_timeouts)
{
    shelf.silent = true;
    struct sb_policy policy = { .whole_timeout = SB_MINUTE };
    struct sb_verdict verdict =
        accepted(world_ask_with(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0", &policy));
    world_run(&world, 2 * SB_MINUTE);
    assert_state(verdict.job, SB_TASK_FAILED);
    assert_cause(verdict.job, SB_CAUSE_TIMEOUT);
    shelf.silent = false;
    policy = (struct sb_policy){ .run_timeout = 800 };
    verdict = accepted(world_ask_with(&world, SB_OP_FIRMWARE_UPDATE, "b", "2.0.0", &policy));
    world_run(&world, SB_MINUTE);
    assert_state(verdict.job, SB_TASK_FAILED);
    assert_cause(verdict.job, SB_CAUSE_TIMEOUT);
}

/* After a timeout the device may still be at it: the next task waits until it is known idle. */
TEST(occupied_device)
{
    bench_device("a")->deaf = true;
    struct sb_policy policy = { .run_timeout = 700 };
    struct sb_verdict first =
        accepted(world_ask_with(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0", &policy));
    for (int i = 0; i < 300 && world_state(&world, first.job) != SB_TASK_FAILED; i++)
        world_run(&world, 10);
    assert_state(first.job, SB_TASK_FAILED);
    assert_non_null(sb_registry_get(world.core->registry, "a")->occupied);
    struct sb_verdict second = accepted(world_ask(&world, SB_OP_REBOOT, "a", NULL));
    world_run(&world, 100);
    assert_state(second.job, SB_TASK_QUEUED);
    assert_int_equal(sb_book_task(world.core->book, second.task)->reason, SB_REASON_BUSY);
    world_run(&world, 20000);
    assert_null(sb_registry_get(world.core->registry, "a")->occupied);
    assert_state(second.job, SB_TASK_SUCCEEDED);
    assert_state(first.job, SB_TASK_FAILED); /* no final state is left, whatever came later */
}

TEST(failed_downloads)
{
    static const enum sb_cause causes[] = { SB_CAUSE_INVALID_URI, SB_CAUSE_DOWNLOAD_FAILED,
                                            SB_CAUSE_VERIFY_FAILED, SB_CAUSE_NO_SPACE };
    for (size_t i = 0; i < SB_COUNT(causes); i++) {
        shelf.cause = causes[i];
        shelf.faults = 1;
        struct sb_verdict verdict =
            accepted(world_ask(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0"));
        world_run(&world, 5000);
        assert_state(verdict.job, SB_TASK_FAILED);
        assert_cause(verdict.job, causes[i]);
    }
    assert_int_equal(bench_device("a")->installs, 0);
}

/* ---- links ---- */

TEST(reports_wait_for_the_link)
{
    cloud_link(false);
    struct sb_verdict verdict = accepted(world_ask(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0"));
    world_run(&world, 10000);
    assert_state(verdict.job, SB_TASK_SUCCEEDED);
    assert_int_equal(cloud.count, 0);
    world_off(&world, true);
    world.wall += 7 * SB_DAY; /* a week without the cloud, and a power cut in it */
    world_boot(&world);
    world_run(&world, 1000);
    assert_int_equal(cloud.count, 0);
    cloud_link(true);
    world_run(&world, 1000);
    assert_int_equal(cloud_finals(verdict.task, NULL), 1);
}

TEST(reconnect_storm)
{
    int64_t tasks[8];
    for (int i = 0; i < 8; i++) {
        struct sb_verdict verdict = world_ask(&world, SB_OP_REBOOT, i % 2 ? "a" : "b", NULL);
        tasks[i] = verdict.task;
        for (int n = 0; n < 100; n++) {
            cloud_link(n % 2);
            world_run(&world, 10);
        }
        world_run(&world, 2000);
    }
    cloud_link(true);
    world_run(&world, 5000);
    for (int i = 0; i < 8; i++)
        assert_true(cloud_finals(tasks[i], NULL) >= 1);
    assert_int_equal(bench_device("a")->boots + bench_device("b")->boots, 8);
}

/* What the cloud took but never acknowledged is sent again after a reconnect. */
TEST(unacknowledged_is_sent_again)
{
    cloud.deaf = true;
    struct sb_verdict verdict = accepted(world_ask(&world, SB_OP_REBOOT, "a", NULL));
    world_run(&world, 5000);
    unsigned heard = cloud_finals(verdict.task, NULL);
    cloud.deaf = false;
    cloud_link(false);
    world_run(&world, 100);
    cloud_link(true);
    world_run(&world, 1000);
    assert_int_equal(cloud_finals(verdict.task, NULL), heard + 1);
    cloud_link(false);
    cloud_link(true);
    world_run(&world, 1000);
    assert_int_equal(cloud_finals(verdict.task, NULL), heard + 1);
}

/* ---- clocks ---- */

TEST(clock_jumps_fire_nothing)
{
    struct sb_policy policy = { .online_timeout = SB_HOUR, .whole_timeout = 2 * SB_HOUR };
    bench_device("a")->offline = true;
    assert_int_equal(sb_runner_identify(world.core->runner, "a"), 0);
    world_run(&world, 1000);
    struct sb_verdict verdict = accepted(world_ask_with(&world, SB_OP_REBOOT, "a", NULL, &policy));
    int64_t wall = sb_loop_wall(world.loop);
    static const int64_t jumps[] = { 365 * SB_DAY, -365 * SB_DAY, 10 * SB_DAY };
    for (size_t i = 0; i < SB_COUNT(jumps); i++) {
        sb_sim_set_wall(world.loop, wall + jumps[i]);
        world_run(&world, SB_MINUTE);
        assert_state(verdict.job, SB_TASK_QUEUED);
    }
    bench_device("a")->offline = false;
    world_run(&world, 10 * SB_MINUTE);
    assert_state(verdict.job, SB_TASK_SUCCEEDED);
}

/* ---- anything at any time ---- */

static void random_event(uint32_t version)
{
    static const char *const devices[] = { "a", "b", "c" };
    const char *device = devices[sb_random(3)];
    struct sb_policy policy = { .retries = sb_random(3),
                                .retry_interval = 500,
                                .conflict = (enum sb_conflict)sb_random(SB_CONFLICT_MAX_),
                                .run_timeout = sb_random(2) ? 0 : 1200 };
    struct sb_verdict verdict = { 0 };
    char text[32];
    (void)snprintf(text, sizeof(text), "%u.0.0", version + 2);
    switch (sb_random(10)) {
    case 0:
    case 1:
        verdict = world_ask_with(&world, SB_OP_FIRMWARE_UPDATE, device, text, &policy);
        break;
    case 2:
        verdict = world_ask_with(&world, SB_OP_REBOOT, device, NULL, &policy);
        break;
    case 3:
        verdict = world_ask_with(&world, SB_OP_FIRMWARE_DOWNLOAD, device, text, &policy);
        break;
    case 4:
        verdict = world_ask_with(&world, SB_OP_FIRMWARE_INSTALL, device, NULL, &policy);
        break;
    case 5: {
        const struct sb_task *task = sb_book_open_at(world.core->book, sb_random(4));
        if (task)
            (void)!sb_host_cancel(cloud.host, cloud.door, task->id, SB_CAUSE_OPERATOR);
        break;
    }
    case 6:
        cloud_link(sb_random(2));
        break;
    case 7:
        bench_device(device)->fault = (enum bench_step)sb_random(BENCH_NEVER);
        bench_device(device)->cause = sb_random(3) ? SB_CAUSE_LINK_LOST : SB_CAUSE_VERIFY_FAILED;
        bench_device(device)->faults = 1;
        break;
    case 8:
        world_off(&world, true);
        world_boot(&world);
        break;
    default:
        sb_store_mem_fail_next(world.disk, sb_random(3), -EIO);
    }
    sb_verdict_done(&verdict);
}

static int check_final(void *arg, const struct sb_row *row)
{
    unsigned *open = arg;
    *open += !sb_task_state_is_final((enum sb_task_state)row->state);
    return 0;
}

TEST(anything_at_any_time)
{
    const char *given = getenv("SB_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : 20260105;
    for (uint64_t round = 0; round < 30; round++) {
        print_message("SB_SEED=%llu\n", (unsigned long long)(seed + round));
        sb_random_seed(seed + round);
        tear_down(NULL);
        set_up(NULL);
        for (uint32_t i = 0; i < 60; i++) {
            random_event(i);
            world_run(&world, sb_random(400));
        }
        sb_store_mem_fail_next(world.disk, 0, 0);
        cloud_link(true);
        world_run(&world, 20 * SB_MINUTE);
        /* Everything ends, everything is told, nothing is left running. */
        unsigned open = 0;
        assert_int_equal(sb_store_query(world.core->store,
                                        &(struct sb_query){ .table = SB_TABLE_TASK, .state = -1 },
                                        check_final, &open),
                         0);
        assert_int_equal(open, 0);
        assert_int_equal(sb_book_jobs(world.core->book), 0);
        assert_int_equal(bench_sessions(), 0);
        assert_int_equal(sb_store_mem_rows(world.disk, SB_TABLE_PARCEL), 0);
        for (size_t i = 0; i < cloud.count; i++)
            for (size_t k = i + 1; cloud.heard[i].final && k < cloud.count; k++)
                if (cloud.heard[k].task == cloud.heard[i].task && cloud.heard[k].final)
                    assert_string_equal(cloud.heard[k].state, cloud.heard[i].state);
    }
    sb_random_seed(0);
}
