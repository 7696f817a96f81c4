/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs from request to final report, in a world where nothing breaks unless a test says so. */
#include <stdio.h>

#include "tests/scenario/world.h"
#include "tests/test.h"

static struct world world;

static int set_up(void **state)
{
    (void)state;
    world_new(&world);
    world_run(&world, 1000); /* the devices are identified */
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    world_done(&world);
    return 0;
}

static int64_t accepted(struct sb_verdict verdict)
{
    int64_t job = verdict.job;
    assert_int_equal(verdict.cause, SB_CAUSE_NONE);
    sb_verdict_done(&verdict);
    return job;
}

static void refused(struct sb_verdict verdict, enum sb_cause cause)
{
    assert_string_equal(sb_cause_name((int)verdict.cause), sb_cause_name((int)cause));
    assert_non_null(verdict.text);
    sb_verdict_done(&verdict);
}

#define assert_state(job, expected)                                                                \
    assert_string_equal(sb_task_state_name((int)world_state(&world, job)),                         \
                        sb_task_state_name((int)(expected)))

#define TEST(name) SB_TEST(test_##name, set_up, tear_down)

TEST(update)
{
    struct sb_verdict verdict = world_ask(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0");
    int64_t task = verdict.task, job = accepted(verdict);
    world_run(&world, 5000);
    assert_state(job, SB_TASK_SUCCEEDED);
    assert_string_equal(bench_device("a")->version, "2.0.0");
    assert_int_equal(bench_device("a")->installs, 1);
    const struct sb_device *device = sb_registry_get(world.core->registry, "a");
    assert_string_equal(sb_device_version(device, ""), "2.0.0");
    /* Every step was told, in order, and percent never fell. */
    static const char *const told[] = { "sent", "downloading", "restarting", "succeeded" };
    for (size_t i = 0; i < SB_COUNT(told); i++)
        assert_true(cloud_heard(task, told[i]) || i == 0);
    int percent = 0;
    for (size_t i = 0; i < cloud.count; i++) {
        assert_true(cloud.heard[i].percent >= percent);
        percent = cloud.heard[i].percent;
    }
    assert_int_equal(percent, 100);
    assert_int_equal(cloud_finals(task, NULL), 1);
    assert_true(cloud.news[SB_NEWS_IDENTITY] >= 1);
}

TEST(download_today_install_later)
{
    static const char *const devices[] = { "a", "c" }; /* staged in the gateway, on the device */
    for (size_t i = 0; i < SB_COUNT(devices); i++) {
        int64_t job = accepted(world_ask(&world, SB_OP_FIRMWARE_DOWNLOAD, devices[i], "2.0.0"));
        world_run(&world, 3000);
        assert_state(job, SB_TASK_SUCCEEDED);
        const struct sb_device *device = sb_registry_get(world.core->registry, devices[i]);
        assert_non_null(device->staged.package);
        assert_int_equal(device->staged.on_device, i == 1);
        assert_int_equal(bench_device(devices[i])->installs, 0);
    }
    world_off(&world, false); /* a week later, after a restart */
    world.wall += 7 * SB_DAY;
    world_boot(&world);
    world_run(&world, 1000);
    for (size_t i = 0; i < SB_COUNT(devices); i++) {
        int64_t job = accepted(world_ask(&world, SB_OP_FIRMWARE_INSTALL, devices[i], NULL));
        world_run(&world, 3000);
        assert_state(job, SB_TASK_SUCCEEDED);
        assert_string_equal(bench_device(devices[i])->version, "2.0.0");
        assert_int_equal(bench_device(devices[i])->installs, 1);
        assert_null(sb_registry_get(world.core->registry, devices[i])->staged.package);
    }
    assert_int_equal(shelf.completed, 1); /* one image, fetched once */
}

TEST(other_operations)
{
    unsigned boots = bench_device("a")->boots;
    int64_t job = accepted(world_ask(&world, SB_OP_REBOOT, "a", NULL));
    world_run(&world, 3000);
    assert_state(job, SB_TASK_SUCCEEDED);
    assert_int_equal(bench_device("a")->boots, boots + 1);
    job = accepted(world_ask(&world, SB_OP_FACTORY_RESET, "b", NULL));
    world_run(&world, 3000);
    assert_state(job, SB_TASK_SUCCEEDED);
    assert_int_equal(bench_device("b")->resets, 1);
    job = accepted(world_ask(&world, SB_OP_READ, "a", NULL));
    world_run(&world, 3000);
    assert_state(job, SB_TASK_SUCCEEDED);
    const json_t *properties = sb_registry_get(world.core->registry, "a")->properties;
    assert_int_equal(sb_json_int(json_object_get(properties, "speed"), "value", 0), 42);
}

/* Its package is fetched like an image, but it is none: no version, nothing staged. */
TEST(configure_by_a_package)
{
    const struct sb_device *device = sb_registry_get(world.core->registry, "c");
    sb_cleanup(sb_freep) char *version = strdup(sb_device_version(device, ""));
    int64_t job = accepted(world_ask(&world, SB_OP_CONFIGURE, "c", "7.0.0"));
    world_run(&world, 3000);
    assert_state(job, SB_TASK_SUCCEEDED);
    assert_int_equal(shelf.completed, 1);
    assert_int_equal(bench_device("c")->installs, 0);
    assert_null(device->staged.package);
    assert_string_equal(sb_device_version(device, ""), version);
    shelf.cause = SB_CAUSE_DOWNLOAD_FAILED;
    shelf.faults = 1;
    job = accepted(world_ask(&world, SB_OP_CONFIGURE, "c", "8.0.0"));
    world_run(&world, 3000);
    assert_state(job, SB_TASK_FAILED);
    assert_int_equal(world_cause(&world, job), SB_CAUSE_DOWNLOAD_FAILED);

    const char *devices[] = { "c" };
    struct sb_verdict verdict = { 0 };
    sb_cleanup(json_decrefp) json_t *params = json_pack("{s:{s:i}}", "values", "speed", 1),
                                    *package =
                                        json_pack("{s:s}", "uri", "https://fw.example.com/1");
    const struct sb_request both = { .op = SB_OP_CONFIGURE,
                                     .devices = devices,
                                     .device_count = 1,
                                     .package = package,
                                     .params = params };
    assert_int_equal(sb_host_submit(cloud.host, cloud.door, &both, &verdict), 0);
    refused(verdict, SB_CAUSE_INVALID_REQUEST);
}

TEST(refusals)
{
    refused(world_ask(&world, SB_OP_REBOOT, "nobody", NULL), SB_CAUSE_DEVICE_GONE);
    refused(world_ask(&world, SB_OP_CONFIGURE, "a", NULL), SB_CAUSE_UNSUPPORTED);
    refused(world_ask(&world, SB_OP_FIRMWARE_INSTALL, "a", NULL), SB_CAUSE_NOT_READY);
    refused(world_ask(&world, SB_OP_FIRMWARE_UPDATE, "a", NULL), SB_CAUSE_INVALID_REQUEST);
    refused(world_ask(&world, SB_OP_REBOOT, "a", "2.0.0"), SB_CAUSE_INVALID_REQUEST);
    struct sb_policy policy = { .window = { .to_minute = 60, .zone = (char *)"Mars/Base" } };
    refused(world_ask_with(&world, SB_OP_REBOOT, "a", NULL, &policy), SB_CAUSE_INVALID_REQUEST);
    assert_int_equal(sb_book_jobs(world.core->book), 0);
}

TEST(same_request_while_open)
{
    struct sb_verdict first = world_ask(&world, SB_OP_REBOOT, "a", NULL);
    struct sb_verdict second = world_ask(&world, SB_OP_REBOOT, "a", NULL);
    assert_true(second.existing);
    assert_int_equal(first.task, second.task);
    world_run(&world, 3000);
    assert_int_equal(bench_device("a")->boots, 1);
    struct sb_verdict third = world_ask(&world, SB_OP_REBOOT, "a", NULL);
    assert_false(third.existing); /* that one is over: a new request is a new reboot */
    world_run(&world, 3000);
    assert_int_equal(bench_device("a")->boots, 2);
}

TEST(conflicts)
{
    struct sb_policy policy = { .conflict = SB_CONFLICT_REFUSE };
    int64_t first = accepted(world_ask(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0"));
    refused(world_ask_with(&world, SB_OP_FIRMWARE_UPDATE, "a", "3.0.0", &policy),
            SB_CAUSE_CONFLICT);
    policy.conflict = SB_CONFLICT_QUEUE;
    int64_t queued = accepted(world_ask_with(&world, SB_OP_FIRMWARE_UPDATE, "a", "3.0.0", &policy));
    world_run(&world, 500);
    assert_state(queued, SB_TASK_QUEUED);
    policy.conflict = SB_CONFLICT_REPLACE_UNCOMMITTED;
    int64_t last = accepted(world_ask_with(&world, SB_OP_FIRMWARE_UPDATE, "a", "4.0.0", &policy));
    world_run(&world, 10000);
    assert_state(first, SB_TASK_CANCELLED);
    assert_int_equal(world_cause(&world, first), SB_CAUSE_OVERRIDDEN);
    assert_state(queued, SB_TASK_CANCELLED);
    assert_state(last, SB_TASK_SUCCEEDED);
    assert_string_equal(bench_device("a")->version, "4.0.0");
    assert_int_equal(bench_device("a")->installs, 1);
}

TEST(replace_unstarted_leaves_a_started_one)
{
    struct sb_policy policy = { .conflict = SB_CONFLICT_REPLACE_UNSTARTED };
    accepted(world_ask(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0"));
    world_run(&world, 200);
    refused(world_ask_with(&world, SB_OP_FIRMWARE_UPDATE, "a", "3.0.0", &policy),
            SB_CAUSE_CONFLICT);
}

TEST(hold_and_confirm)
{
    struct sb_policy policy = { .hold = true };
    int64_t job = accepted(world_ask_with(&world, SB_OP_REBOOT, "a", NULL, &policy));
    world_run(&world, SB_HOUR);
    assert_state(job, SB_TASK_HELD);
    struct sb_task *task = sb_book_job(world.core->book, job)->tasks[0];
    assert_int_equal(sb_runner_confirm(world.core->runner, task, "test"), 0);
    assert_int_equal(sb_runner_confirm(world.core->runner, task, "test"), -EPROTO);
    world_run(&world, 3000);
    assert_state(job, SB_TASK_SUCCEEDED);
}

TEST(pause)
{
    assert_int_equal(sb_runner_pause(world.core->runner, true), 0);
    int64_t job = accepted(world_ask(&world, SB_OP_REBOOT, "a", NULL));
    world_run(&world, SB_MINUTE);
    assert_int_equal(sb_book_job(world.core->book, job)->tasks[0]->reason, SB_REASON_PAUSED);
    world_off(&world, true); /* a pause outlives the power */
    world_boot(&world);
    world_run(&world, SB_MINUTE);
    assert_state(job, SB_TASK_QUEUED);
    assert_int_equal(sb_runner_pause(world.core->runner, false), 0);
    world_run(&world, 3000);
    assert_state(job, SB_TASK_SUCCEEDED);
}

TEST(window_and_clock)
{
    /* It is Monday 00:00 UTC: 02:00-03:00 in Berlin is 01:00-02:00 UTC. */
    struct sb_policy policy = {
        .window = { .from_minute = 120, .to_minute = 180, .zone = (char *)"Europe/Berlin" }
    };
    int64_t job = accepted(world_ask_with(&world, SB_OP_REBOOT, "a", NULL, &policy));
    world_run(&world, 59 * SB_MINUTE);
    assert_state(job, SB_TASK_QUEUED);
    assert_int_equal(sb_book_job(world.core->book, job)->tasks[0]->reason, SB_REASON_WINDOW);
    sb_sim_set_wall(world.loop, 0); /* no clock: nothing scheduled starts */
    world_run(&world, 30 * SB_MINUTE);
    assert_state(job, SB_TASK_QUEUED);
    sb_sim_set_wall(world.loop, world.wall + 70 * SB_MINUTE); /* jumps into the window */
    world_run(&world, 2 * SB_MINUTE);
    assert_state(job, SB_TASK_SUCCEEDED);
}

TEST(start_at_and_end)
{
    int64_t now = sb_loop_wall(world.loop);
    struct sb_policy policy = { .start = SB_START_AT, .start_at = now + SB_HOUR };
    int64_t job = accepted(world_ask_with(&world, SB_OP_REBOOT, "a", NULL, &policy));
    assert_int_equal(sb_book_job(world.core->book, job)->state, SB_JOB_PLANNED);
    struct sb_policy late = { .start = SB_START_AT,
                              .start_at = now + 2 * SB_DAY,
                              .end_at = now + SB_DAY };
    int64_t expired = accepted(world_ask_with(&world, SB_OP_REBOOT, "b", NULL, &late));
    world_run(&world, 59 * SB_MINUTE);
    assert_state(job, SB_TASK_QUEUED);
    world_run(&world, 3 * SB_MINUTE);
    assert_state(job, SB_TASK_SUCCEEDED);
    world_run(&world, SB_DAY);
    assert_state(expired, SB_TASK_CANCELLED);
    assert_int_equal(world_cause(&world, expired), SB_CAUSE_EXPIRED);
}

TEST(cancel_everywhere)
{
    /* After so many ms the task is queued, fetching, transferring, committed. */
    static const struct {
        int64_t after;
        int result;
        enum sb_task_state end;
    } cases[] = {
        { 0, 0, SB_TASK_CANCELLED },
        { 150, 0, SB_TASK_CANCELLED },
        { 600, 0, SB_TASK_CANCELLED },
        { 1000, -EBUSY, SB_TASK_SUCCEEDED },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        char version[] = "2.0.0";
        version[0] = (char)('2' + (int)i);
        struct sb_verdict verdict = world_ask(&world, SB_OP_FIRMWARE_UPDATE, "a", version);
        world_run(&world, cases[i].after);
        assert_int_equal(sb_host_cancel(cloud.host, cloud.door, verdict.task, SB_CAUSE_OPERATOR),
                         cases[i].result);
        world_run(&world, 5000);
        assert_state(verdict.job, cases[i].end);
        assert_int_equal(cloud_finals(verdict.task, NULL), 1);
        assert_int_equal(sb_host_cancel(cloud.host, cloud.door, verdict.task, SB_CAUSE_OPERATOR),
                         -ENOENT);
    }
    assert_int_equal(bench_device("a")->installs, 1);
}

TEST(removed_device)
{
    struct sb_verdict verdict = world_ask(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0");
    world_run(&world, 600);
    assert_int_equal(sb_core_remove_device(world.core, "a", "test"), 0);
    world_run(&world, 5000);
    assert_state(verdict.job, SB_TASK_CANCELLED);
    assert_int_equal(world_cause(&world, verdict.job), SB_CAUSE_DEVICE_GONE);
    assert_int_equal(cloud_finals(verdict.task, NULL), 1);
    assert_int_equal(cloud.news[SB_NEWS_DEVICE_REMOVED], 1);
    assert_int_equal(sb_core_remove_device(world.core, "a", "test"), -ENOENT);
}

TEST(retry_opens_a_round)
{
    bench_device("a")->fault = BENCH_TRANSFER;
    bench_device("a")->cause = SB_CAUSE_UNSUPPORTED_IMAGE;
    bench_device("a")->faults = 1;
    int64_t job = accepted(world_ask(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0"));
    assert_int_equal(sb_intake_retry(&world.core->intake, job, "test"), -EBUSY);
    world_run(&world, 5000);
    assert_state(job, SB_TASK_FAILED);
    assert_int_equal(sb_intake_retry(&world.core->intake, job, "test"), 0);
    world_run(&world, 5000);
    sb_cleanup(sb_job_freep) struct sb_job *stored = world_job(&world, job);
    assert_int_equal(stored->task_count, 2);
    assert_int_equal(stored->tasks[0]->state, SB_TASK_FAILED); /* no final state is left */
    assert_int_equal(stored->tasks[1]->state, SB_TASK_SUCCEEDED);
    assert_int_equal(stored->tasks[1]->round, 2);
    assert_int_equal(sb_intake_retry(&world.core->intake, job, "test"), -ENODATA);
    assert_int_equal(sb_intake_retry(&world.core->intake, 9999, "test"), -ENOENT);
}

/* An update of a and b that fails on a alone. */
static struct sb_verdict ask_both(enum sb_conflict conflict, bool hold)
{
    static const char *const devices[] = { "a", "b" };
    sb_cleanup(json_decrefp) json_t *package =
        json_pack("{s:s,s:s}", "uri", "https://fw.example.com/2.0.0.bin", "version", "2.0.0");
    const struct sb_request request = { .op = SB_OP_FIRMWARE_UPDATE,
                                        .external_id = "both",
                                        .devices = devices,
                                        .device_count = 2,
                                        .package = package,
                                        .policy = { .conflict = conflict, .hold = hold } };
    struct sb_verdict verdict = { 0 };
    assert_int_equal(sb_host_submit(cloud.host, cloud.door, &request, &verdict), 0);
    return verdict;
}

/* A new round is for who failed: on the others nothing is taken back, and they refuse nothing. */
TEST(a_round_leaves_the_others_alone)
{
    bench_device("a")->fault = BENCH_TRANSFER;
    bench_device("a")->cause = SB_CAUSE_UNSUPPORTED_IMAGE;
    bench_device("a")->faults = 2;
    int64_t job = accepted(ask_both(SB_CONFLICT_REFUSE, false));
    world_run(&world, 5000);
    struct sb_policy held = { .hold = true };
    int64_t next = accepted(world_ask_with(&world, SB_OP_FIRMWARE_UPDATE, "b", "3.0.0", &held));
    assert_int_equal(accepted(ask_both(SB_CONFLICT_REPLACE_UNCOMMITTED, false)), job);
    world_run(&world, 5000);
    assert_state(next, SB_TASK_HELD);
    assert_int_equal(accepted(ask_both(SB_CONFLICT_REFUSE, false)),
                     job); /* b is in its way no more */
    world_run(&world, 5000);
    sb_cleanup(sb_job_freep) struct sb_job *stored = world_job(&world, job);
    assert_int_equal(stored->task_count, 4);
    assert_string_equal(stored->tasks[3]->device, "a");
    assert_int_equal(stored->tasks[3]->round, 3);
    assert_int_equal(stored->tasks[3]->state, SB_TASK_SUCCEEDED);
    assert_int_equal(bench_device("b")->installs, 1);
    struct sb_job_counts counts;
    assert_int_equal(sb_job_count(stored, &counts), 0);
    assert_int_equal(counts.state[SB_TASK_SUCCEEDED], 2);
    assert_int_equal(counts.total, 2);
}

/* Who was held back for a person is so in each round, unless a person orders it. */
TEST(a_round_of_what_was_held)
{
    int64_t job = accepted(ask_both(SB_CONFLICT_REFUSE, true));
    struct sb_job *open = sb_book_job(world.core->book, job);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(
            sb_runner_cancel(world.core->runner, open->tasks[i], SB_CAUSE_OPERATOR, "test"), 0);
    world_run(&world, 1000);
    assert_int_equal(accepted(ask_both(SB_CONFLICT_REFUSE, true)), job);
    world_run(&world, 5000);
    open = sb_book_job(world.core->book, job);
    assert_int_equal(open->task_count, 4);
    assert_int_equal(open->tasks[3]->state, SB_TASK_HELD);
    assert_int_equal(bench_device("a")->installs + bench_device("b")->installs, 0);
    for (size_t i = 2; i < 4; i++)
        assert_int_equal(
            sb_runner_cancel(world.core->runner, open->tasks[i], SB_CAUSE_OPERATOR, "test"), 0);
    world_run(&world, 1000);
    assert_int_equal(sb_intake_retry(&world.core->intake, job, "test"), 0);
    world_run(&world, 5000);
    assert_int_equal(bench_device("a")->installs + bench_device("b")->installs, 2);
}

TEST(rate_and_concurrency)
{
    const char *devices[] = { "a", "b", "c" };
    struct sb_request request = { .op = SB_OP_REBOOT, .devices = devices, .device_count = 3 };
    struct sb_verdict verdict;
    request.policy.concurrency = 1;
    bench.peak = 0;
    assert_int_equal(sb_host_submit(cloud.host, cloud.door, &request, &verdict), 0);
    world_run(&world, 10000);
    assert_int_equal(bench.peak, 1);
    request.policy = (struct sb_policy){ .rate_per_minute = 2 };
    assert_int_equal(sb_host_submit(cloud.host, cloud.door, &request, &verdict), 0);
    world_run(&world, 30000);
    const struct sb_job *job = sb_book_job(world.core->book, verdict.job);
    struct sb_job_counts counts;
    assert_int_equal(sb_job_count(job, &counts), 0);
    assert_int_equal(counts.state[SB_TASK_SUCCEEDED], 2);
    assert_int_equal(counts.state[SB_TASK_QUEUED], 1);
    assert_int_equal(job->tasks[2]->reason, SB_REASON_RATE);
    world_run(&world, SB_MINUTE);
    assert_state(verdict.job, SB_TASK_SUCCEEDED);
    assert_null(sb_book_job(world.core->book, verdict.job));
}

TEST(downgrade_and_already_there)
{
    struct sb_policy policy = { .allow_downgrade = true };
    int64_t older = accepted(world_ask(&world, SB_OP_FIRMWARE_UPDATE, "a", "0.9.0"));
    world_run(&world, 3000);
    assert_state(older, SB_TASK_FAILED);
    assert_int_equal(world_cause(&world, older), SB_CAUSE_DOWNGRADE_REFUSED);
    int64_t same = accepted(world_ask(&world, SB_OP_FIRMWARE_UPDATE, "a", "1.0.0"));
    world_run(&world, 3000);
    assert_state(same, SB_TASK_SUCCEEDED);
    assert_int_equal(bench_device("a")->installs, 0);
    older = accepted(world_ask_with(&world, SB_OP_FIRMWARE_UPDATE, "a", "0.9.0", &policy));
    world_run(&world, 3000);
    assert_state(older, SB_TASK_SUCCEEDED);
    policy = (struct sb_policy){ .source_versions = (char *)"1.0.0, 1.1.0" };
    int64_t misfit = accepted(world_ask_with(&world, SB_OP_FIRMWARE_UPDATE, "a", "3.0.0", &policy));
    world_run(&world, 3000);
    assert_int_equal(world_cause(&world, misfit), SB_CAUSE_VERSION_MISMATCH);
}
