/* SPDX-License-Identifier: Apache-2.0 */
/* Thousands of devices: nothing is lost, nothing is starved, and it takes a sane time. */
#include <time.h>

#include "tests/scenario/attack.h"

#define DEVICES 4000
#define LINKED  3000 /* as many as the default outbox has room for */

static char names[DEVICES][32];
static const char *ids[DEVICES];

static int64_t cpu_ms(void)
{
    return (int64_t)clock() * 1000 / CLOCKS_PER_SEC;
}

static void add_devices(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct sb_diags diags = { 0 };
        (void)snprintf(names[i], sizeof(names[i]), "unit-%zu", i);
        ids[i] = names[i];
        sb_cleanup(json_decrefp) json_t *spec =
            json_pack("{s:s,s:s}", "id", ids[i], "type", "one-step");
        assert_int_equal(sb_core_add_device(world.core, spec, "test", &diags), 0);
    }
    world_run(&world, 20000); /* they are asked by and by */
    assert_int_equal(device(ids[count - 1])->presence, SB_PRESENCE_READY);
}

static struct sb_verdict ask(const char *origin, enum sb_op op, const char *version, size_t count,
                             const struct sb_policy *policy)
{
    struct sb_verdict verdict = { 0 };
    sb_cleanup(json_decrefp) json_t *package =
        version
            ? json_pack("{s:s,s:s}", "uri", "https://fw.example.com/fleet.bin", "version", version)
            : NULL;
    struct sb_request request = {
        .op = op, .devices = ids, .device_count = count, .package = package, .policy = *policy
    };
    if (strcmp(origin, "native") != 0)
        assert_int_equal(sb_host_submit(cloud.host, cloud.door, &request, &verdict), 0);
    else
        assert_int_equal(sb_intake_submit(&world.core->intake, origin, false, &request, &verdict),
                         0);
    return verdict;
}

/* ---- one job for all of them ---- */

struct seen {
    unsigned finals, order;
    int64_t last_sent; /* task handed over last, of first attempts */
};

static void see(void *arg, const struct sb_news *news)
{
    struct seen *seen = arg;
    const struct sb_task *task = news->task;
    if (news->kind != SB_NEWS_TASK)
        return;
    seen->finals += sb_task_state_is_final(task->state) && !sb_task_state_is_final(news->before);
    if (news->before != SB_TASK_QUEUED || task->attempt != 1 ||
        !sb_task_state_is_under_way(task->state))
        return;
    seen->order += task->id < seen->last_sent; /* older than one that went before it */
    seen->last_sent = task->id;
}

ATTACK(one_job_for_thousands)
{
    struct seen seen = { 0 };
    struct sb_policy policy = { .retries = 1, .retry_interval = 1000, .concurrency = 50 };
    add_devices(DEVICES);
    for (size_t i = 0; i < DEVICES; i += 20) { /* some fail for good, some once */
        bench_device(ids[i])->fault = BENCH_TRANSFER;
        bench_device(ids[i])->cause = i % 40 ? SB_CAUSE_LINK_LOST : SB_CAUSE_UNSUPPORTED_IMAGE;
        bench_device(ids[i])->faults = 1;
    }
    assert_int_equal(sb_host_watch(world.core->host, see, &seen), 0);
    bench.peak = 0;
    int64_t began = cpu_ms();
    struct sb_verdict verdict =
        accepted(ask("native", SB_OP_FIRMWARE_UPDATE, "2.0.0", DEVICES, &policy));
    for (int i = 0; i < 2000 && sb_book_job(world.core->book, verdict.job); i++)
        world_run(&world, 1000);
    world_run(&world, 1000);
    print_message("%d devices: %lld ms\n", DEVICES, (long long)(cpu_ms() - began));
    sb_host_unwatch(world.core->host, see, &seen);
    sb_cleanup(sb_job_freep) struct sb_job *job = world_job(&world, verdict.job);
    struct sb_job_counts counts;
    assert_int_equal(sb_job_count(job, &counts), 0);
    assert_int_equal(job->state, SB_JOB_DONE);
    assert_int_equal(counts.total, DEVICES);
    assert_int_equal(counts.state[SB_TASK_FAILED], DEVICES / 40);
    assert_int_equal(counts.cause[SB_CAUSE_UNSUPPORTED_IMAGE], DEVICES / 40);
    assert_int_equal(counts.state[SB_TASK_SUCCEEDED], DEVICES - DEVICES / 40);
    assert_int_equal(seen.finals, DEVICES);
    assert_int_equal(seen.order, 0);
    assert_int_equal(shelf.completed, 1);
    assert_true(bench.peak <= 50 + 64); /* tasks, and looks at who is there */
    for (size_t i = 0; i < DEVICES; i++)
        assert_int_equal(bench_device(ids[i])->installs, i % 40 != 0);
}

/* ---- a rule over all of them ---- */

static void run_out(int64_t job, size_t devices)
{
    const struct sb_job *open = sb_book_job(world.core->book, job);
    struct sb_job_counts counts = { 0 };
    for (int i = 0;
         i < 5000 && counts.state[SB_TASK_SUCCEEDED] + counts.state[SB_TASK_FAILED] < devices;
         i++) {
        world_run(&world, 1000);
        assert_int_equal(sb_job_count(open, &counts), 0);
    }
    assert_int_equal(counts.total, devices);
}

/* They do not fit all at once; each joins once, also over a restart, and what failed is retried. */
ATTACK(a_rule_for_thousands)
{
    struct sb_verdict verdict = { 0 };
    struct sb_targets targets = { .types = json_pack("[s]", "one-step") };
    const struct sb_request request = { .op = SB_OP_REBOOT,
                                        .targets = &targets,
                                        .rule = true,
                                        .policy = { .conflict = SB_CONFLICT_QUEUE } };
    world.config->limits.tasks = 700;
    add_devices(DEVICES);
    world_off(&world, false);
    world_boot(&world);
    world_run(&world, 20000);
    size_t all = DEVICES + 3; /* with the world's own: a, b and d */
    for (size_t i = 0; i < DEVICES; i += 2) {
        bench_device(ids[i])->fault = BENCH_LOOK;
        bench_device(ids[i])->cause = SB_CAUSE_REFUSED;
        bench_device(ids[i])->faults = 1;
    }
    int64_t began = cpu_ms();
    assert_int_equal(sb_intake_submit(&world.core->intake, "native", false, &request, &verdict), 0);
    sb_targets_done(&targets);
    int64_t job = accepted(verdict).job;
    world_run(&world, 100);
    print_message("first look: %lld ms\n", (long long)(cpu_ms() - began));
    run_out(job, all);
    print_message("%zu devices, 700 at a time: %lld ms\n", all, (long long)(cpu_ms() - began));
    began = cpu_ms();
    for (int i = 0; i < 100; i++) { /* each is looked at, and has acted */
        world.core->intake.rules_changed = true;
        world_run(&world, 10);
    }
    print_message("a look at all: %lld ms\n", (long long)(cpu_ms() - began) / 100);
    world.core->intake.limits.tasks = 10000;
    began = cpu_ms();
    assert_int_equal(sb_intake_retry(&world.core->intake, job, "test"), 0);
    print_message("retry: %lld ms\n", (long long)(cpu_ms() - began));
    run_out(job, all);
    print_message("new rounds: %lld ms\n", (long long)(cpu_ms() - began));
}

/* ---- orders to all of them ---- */

ATTACK(cancel_thousands)
{
    struct sb_policy policy = { 0 };
    add_devices(DEVICES);
    struct sb_verdict verdict =
        accepted(ask("native", SB_OP_FIRMWARE_UPDATE, "2.0.0", DEVICES, &policy));
    world_run(&world, 1000);
    const struct sb_job *job = sb_book_job(world.core->book, verdict.job);
    unsigned cancelled = 0;
    for (size_t i = 0; i < job->task_count; i++)
        cancelled +=
            sb_runner_cancel(world.core->runner, job->tasks[i], SB_CAUSE_OPERATOR, "test") == 0;
    world_run(&world, 5000);
    assert_true(cancelled >= DEVICES - 64);
    assert_true(sb_store_ready(world.core->store, NULL));
    sb_cleanup(sb_job_freep) struct sb_job *ended = world_job(&world, verdict.job);
    struct sb_job_counts counts;
    assert_int_equal(sb_job_count(ended, &counts), 0);
    assert_int_equal(ended->state, SB_JOB_DONE);
    assert_int_equal(counts.state[SB_TASK_CANCELLED], cancelled);
    assert_int_equal(counts.total, DEVICES);
    assert_int_equal(sb_store_mem_rows(world.disk, SB_TABLE_PARCEL), 0);
}

/* ---- reports of all of them ---- */

/* A week without the link: every outcome is told in the end, and no more is taken than fits. */
ATTACK(an_outage_with_thousands)
{
    struct sb_policy policy = { 0 };
    add_devices(DEVICES);
    cloud_link(false);
    refused(ask("north", SB_OP_REBOOT, NULL, DEVICES, &policy), SB_CAUSE_BUSY);
    struct sb_verdict verdict = accepted(ask("north", SB_OP_REBOOT, NULL, LINKED, &policy));
    refused(ask("north", SB_OP_FACTORY_RESET, NULL, LINKED, &policy), SB_CAUSE_BUSY);
    for (int i = 0; i < 500 && sb_book_job(world.core->book, verdict.job); i++)
        world_run(&world, 1000);
    assert_null(sb_book_job(world.core->book, verdict.job));
    struct sb_outbox_stats stats;
    sb_outbox_stats(world.core->outbox, "north", &stats);
    assert_true(stats.waiting >= LINKED);
    assert_int_equal(cloud.count, 0);
    world_off(&world, true);
    world.wall += 7 * SB_DAY;
    world_boot(&world);
    cloud_link(true);
    world_run(&world, 60000);
    unsigned finals = 0;
    for (size_t i = 0; i < cloud.count; i++)
        finals += cloud.heard[i].final;
    assert_int_equal(finals, LINKED);
    assert_int_equal(sb_store_mem_rows(world.disk, SB_TABLE_PARCEL), 0);
}

/* ---- an old one is not starved ---- */

/* Newer requests keep coming, and there is room for one at a time. */
ATTACK(the_oldest_goes_first)
{
    struct sb_policy policy = { .conflict = SB_CONFLICT_QUEUE };
    bench_device("b")->offline = true;
    assert_int_equal(sb_runner_identify(world.core->runner, "b"), 0);
    world_run(&world, 1000);
    struct sb_verdict old = accepted(world_ask_with(&world, SB_OP_REBOOT, "b", NULL, &policy));
    bench_device("b")->offline = false; /* is found again in a while, among a hundred others */
    for (int i = 0; i < 100; i++) {
        char version[16];
        (void)snprintf(version, sizeof(version), "%d.0.0", i + 2);
        accepted(world_ask_with(&world, SB_OP_FIRMWARE_UPDATE, "a", version, &policy));
        accepted(world_ask_with(&world, SB_OP_READ, "b", NULL, &policy));
        world_run(&world, 200);
    }
    assert_state(old.job, SB_TASK_SUCCEEDED);
    world_run(&world, 10 * SB_MINUTE);
    assert_int_equal(sb_book_jobs(world.core->book), 0);
    assert_string_equal(bench_device("a")->version, "101.0.0"); /* in order, to the last */
}
