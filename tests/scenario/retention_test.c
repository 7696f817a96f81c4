/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Retention on a disk that can lose power: what goes, what never does, and that nothing is half
 * removed whatever the moment.
 */
#include "tests/scenario/attack.h"

#define MANY 200 /* tasks of a large job */

/* ---- a gateway with other limits ---- */

static void restart(void)
{
    world_off(&world, false);
    world_boot(&world);
    world_run(&world, 1000);
}

static int64_t rows(enum sb_table table)
{
    int64_t n = -1;
    assert_int_equal(
        sb_store_count(world.core->store, &(struct sb_query){ .table = table, .state = -1 }, &n),
        0);
    return n;
}

static int64_t bytes(void)
{
    struct sb_store_size size;
    assert_int_equal(sb_store_measure(world.core->store, &size), 0);
    return size.used;
}

static struct sb_verdict ask(enum sb_op op, const char *device, const char *id)
{
    struct sb_verdict verdict = { 0 };
    sb_cleanup(json_decrefp) json_t *params =
        op == SB_OP_READ ? json_pack("{s:[s]}", "names", "speed") : NULL;
    const struct sb_request request = {
        .external_id = id, .op = op, .devices = &device, .device_count = 1, .params = params
    };
    assert_int_equal(sb_host_submit(cloud.host, cloud.door, &request, &verdict), 0);
    return verdict;
}

/* Jobs that end, one after the other; ids: "<prefix>-<n>", or none. */
static void end_jobs(int count, const char *prefix)
{
    for (int i = 0; i < count; i++) {
        sb_cleanup(sb_freep) char *id = prefix ? sb_format("%s-%d", prefix, i) : NULL;
        struct sb_verdict verdict = accepted(ask(SB_OP_READ, "a", id));
        sb_verdict_done(&verdict);
        sb_sim_advance(world.loop, 3000);
    }
    assert_int_equal(sb_book_jobs(world.core->book), 0);
}

static bool kept(int64_t job)
{
    sb_cleanup(sb_job_freep) struct sb_job *found = world_job(&world, job);
    return found != NULL;
}

/* ---- what goes ---- */

ATTACK(the_oldest_go_by_count)
{
    world.config->retention.job_count = 16;
    restart();
    struct sb_verdict first = accepted(ask(SB_OP_READ, "a", NULL));
    end_jobs(100, NULL); /* much has ended: a pass comes at once */
    assert_in_range(rows(SB_TABLE_JOB), 16, 16 + 64);
    assert_false(kept(first.job));
    sb_sim_advance(world.loop, 7 * SB_HOUR);
    assert_int_equal(rows(SB_TABLE_JOB), 16);
    assert_int_equal(rows(SB_TABLE_TASK), 16);
}

ATTACK(by_age)
{
    struct sb_verdict first = accepted(ask(SB_OP_READ, "a", "first"));
    sb_sim_advance(world.loop, 60 * SB_DAY);
    struct sb_verdict second = accepted(ask(SB_OP_READ, "a", "second"));
    sb_sim_advance(world.loop, 29 * SB_DAY);
    assert_true(kept(first.job));
    sb_sim_advance(world.loop, 2 * SB_DAY);
    assert_false(kept(first.job));
    assert_true(kept(second.job));
    assert_int_equal(rows(SB_TABLE_TASK), 1);
}

ATTACK(by_bytes)
{
    world.config->retention.bytes = 256 << 10;
    restart();
    bench_device("a")->chatter = 8000;
    for (int i = 0; i < 10; i++) {
        end_jobs(20, NULL);
        sb_sim_advance(world.loop, 7 * SB_HOUR);
        assert_in_range(bytes(), 0, 256 << 10);
    }
    assert_in_range(rows(SB_TABLE_JOB), 8, 32); /* the newest are there */
    assert_true(rows(SB_TABLE_AUDIT) > SB_AUDIT_LEAST);
}

ATTACK(records_by_count)
{
    world.config->retention.audit_count = 256;
    restart();
    end_jobs(200, NULL);
    assert_in_range(rows(SB_TABLE_AUDIT), 250, 256 + 64 + 1);
}

/* Packages of a cloud go with their images; an operator's stay. */
ATTACK(packages)
{
    world.config->retention.package_count = 16;
    restart();
    struct sb_package *mine;
    sb_cleanup(json_decrefp) json_t *spec = json_pack("{s:s}", "name", "mine");
    assert_int_equal(sb_packages_resolve(world.core->packages, spec, SB_SIM_WALL, &mine), 0);
    for (int i = 2; i < 40; i++) {
        sb_cleanup(sb_freep) char *version = sb_format("%d.0.0", i);
        struct sb_verdict verdict =
            accepted(world_ask(&world, SB_OP_FIRMWARE_UPDATE, "a", version));
        sb_sim_advance(world.loop, 60 * SB_SECOND);
        assert_state(verdict.job, SB_TASK_SUCCEEDED);
        sb_verdict_done(&verdict);
    }
    sb_sim_advance(world.loop, 7 * SB_HOUR);
    assert_int_equal(rows(SB_TABLE_PACKAGE), 16);
    size_t files = 0, named = 0;
    for (size_t i = 0; sb_packages_at(world.core->packages, i); i++) {
        const struct sb_package *package = sb_packages_at(world.core->packages, i);
        named += package->name != NULL;
        files += package->artifact && sb_depot_has(world.core->packages, package->artifact);
    }
    assert_int_equal(named, 1);
    assert_int_equal(files, 15);
    sb_cleanup(sb_freep) char *command =
        sb_format("test $(find '%s/artifacts' -maxdepth 1 -name '?????*' -type f | wc -l) -eq 16",
                  world.directory);       /* with the depot's mark */
    assert_int_equal(system(command), 0); // NOLINT(cert-env33-c): our own directory
}

/* ---- what never goes ---- */

ATTACK(open_work_keeps_what_it_needs)
{
    world.config->retention.package_count = 0; /* below what a file may say */
    restart();
    struct sb_verdict staged = accepted(world_ask(&world, SB_OP_FIRMWARE_DOWNLOAD, "c", "2.0.0"));
    world_run(&world, 5000);
    assert_state(staged.job, SB_TASK_SUCCEEDED);
    struct sb_policy policy = { .hold = true };
    struct sb_verdict held =
        accepted(world_ask_with(&world, SB_OP_FIRMWARE_UPDATE, "a", "3.0.0", &policy));
    sb_sim_advance(world.loop, 400 * SB_DAY);
    assert_false(kept(staged.job));
    assert_int_equal(rows(SB_TABLE_PACKAGE), 2);
    assert_int_equal(sb_runner_confirm(world.core->runner, open_task(held.task), "test"), 0);
    struct sb_verdict install = accepted(world_ask(&world, SB_OP_FIRMWARE_INSTALL, "c", NULL));
    world_run(&world, 10000);
    assert_state(held.job, SB_TASK_SUCCEEDED);
    assert_state(install.job, SB_TASK_SUCCEEDED);
    assert_int_equal(shelf.completed, 2);
}

/* Count and bytes take no job whose id may come again; while such jobs fill the store, requests
 * with ids wait, and only those. */
ATTACK(ids_are_remembered)
{
    struct sb_verdict first = accepted(ask(SB_OP_REBOOT, "a", "first"));
    world_run(&world, 5000);
    end_jobs(20, "more");
    world.config->retention.job_count = 16;
    restart();
    sb_sim_advance(world.loop, SB_HOUR);
    assert_int_equal(rows(SB_TABLE_JOB), 21);
    refused(ask(SB_OP_READ, "a", "one-too-many"), SB_CAUSE_BUSY);
    struct sb_verdict again = accepted(ask(SB_OP_REBOOT, "a", "first"));
    assert_true(again.existing);
    assert_int_equal(again.job, first.job);
    sb_verdict_done(&again);
    end_jobs(1, NULL);
    sb_sim_advance(world.loop, 7 * SB_DAY);
    assert_int_equal(rows(SB_TABLE_JOB), 16);
    again = accepted(ask(SB_OP_REBOOT, "a", "first")); /* it is a new one now */
    assert_false(again.existing);
    world_run(&world, 5000);
    assert_int_equal(bench_device("a")->boots, 2);
    sb_verdict_done(&again);
}

/* ---- the clock ---- */

ATTACK(no_age_without_a_clock)
{
    sb_sim_set_wall(world.loop, 0);
    struct sb_verdict first = accepted(ask(SB_OP_READ, "a", "first"));
    sb_sim_advance(world.loop, 200 * SB_DAY);
    assert_true(kept(first.job));
    sb_sim_set_wall(world.loop, SB_SIM_WALL + 300 * SB_DAY); /* it ages from now on */
    sb_sim_advance(world.loop, 80 * SB_DAY);
    assert_true(kept(first.job));
    sb_sim_advance(world.loop, 11 * SB_DAY);
    assert_false(kept(first.job));
}

/* A clock that jumps is not believed for a day: it may jump back. */
ATTACK(a_clock_that_jumps)
{
    struct sb_verdict first = accepted(ask(SB_OP_READ, "a", "first"));
    sb_sim_advance(world.loop, SB_DAY);
    sb_sim_set_wall(world.loop, SB_SIM_WALL + 3650 * SB_DAY);
    sb_sim_advance(world.loop, 12 * SB_HOUR);
    assert_true(kept(first.job));
    sb_sim_set_wall(world.loop, SB_SIM_WALL + 2 * SB_DAY);
    sb_sim_advance(world.loop, 20 * SB_DAY);
    assert_true(kept(first.job));
    sb_sim_set_wall(world.loop, SB_SIM_WALL + 3650 * SB_DAY);
    sb_sim_advance(world.loop, 3 * SB_DAY);
    assert_false(kept(first.job));
}

/* ---- a job that is asked for again in the moment it goes ---- */

ATTACK(again_while_it_goes)
{
    bench_device("a")->fault = BENCH_LOOK;
    bench_device("a")->cause = SB_CAUSE_WRITE_FAILED;
    bench_device("a")->faults = 1;
    struct sb_verdict first = accepted(ask(SB_OP_REBOOT, "a", "first"));
    world_run(&world, 5000);
    assert_state(first.job, SB_TASK_FAILED);
    sb_sim_advance(world.loop, 89 * SB_DAY);
    assert_true(kept(first.job));
    sb_store_mem_hold(world.disk, true); /* the removal is on its way and not there yet */
    sb_sim_advance(world.loop, 2 * SB_DAY);
    struct sb_verdict again = accepted(ask(SB_OP_REBOOT, "a", "first"));
    assert_int_equal(again.job, first.job);
    sb_store_mem_hold(world.disk, false);
    world_run(&world, 10000);
    sb_cleanup(sb_job_freep) struct sb_job *job = world_job(&world, first.job);
    assert_non_null(job);
    assert_int_equal(job->task_count, 2);
    assert_int_equal(job->tasks[1]->state, SB_TASK_SUCCEEDED);
    assert_int_equal(bench_device("a")->boots, 1);
}

/* ---- power cuts ---- */

static int see_orphan(void *arg, const struct sb_row *row)
{
    *(int *)arg += !kept(strtoll(row->b, NULL, 10));
    return 0;
}

static int orphans(void)
{
    int n = 0;
    assert_int_equal(sb_store_query(world.core->store,
                                    &(struct sb_query){ .table = SB_TABLE_TASK, .state = -1 },
                                    see_orphan, &n),
                     0);
    return n;
}

static int put_copies(void *arg, const struct sb_row *row)
{
    struct sb_store *store = arg;
    for (int i = 1; i < MANY; i++) {
        struct sb_row copy = *row;
        sb_cleanup(json_decrefp) json_t *body = json_deep_copy(row->body);
        copy.id = sb_store_next_id(store, SB_TABLE_TASK);
        copy.body = body;
        (void)json_object_set_new(body, "id", json_integer(copy.id));
        assert_int_equal(sb_store_put(store, SB_TABLE_TASK, &copy), 0);
    }
    return 0;
}

/* One that has ended, with many tasks: copies of its one. */
static int64_t large_job(void)
{
    struct sb_verdict verdict = accepted(ask(SB_OP_READ, "a", "large"));
    sb_sim_advance(world.loop, 10 * SB_SECOND);
    sb_cleanup(sb_freep) char *id = sb_format("%lld", (long long)verdict.job);
    assert_int_equal(
        sb_store_query(world.core->store,
                       &(struct sb_query){ .table = SB_TABLE_TASK, .b = id, .state = -1 },
                       put_copies, world.core->store),
        0);
    sb_sim_advance(world.loop, SB_SECOND);
    assert_int_equal(rows(SB_TABLE_TASK), MANY);
    return verdict.job;
}

ATTACK(a_large_job_goes_whole)
{
    int64_t job = large_job();
    sb_sim_advance(world.loop, 89 * SB_DAY);
    assert_int_equal(rows(SB_TABLE_TASK), MANY);
    sb_sim_advance(world.loop, 2 * SB_DAY);
    assert_false(kept(job));
    assert_int_equal(rows(SB_TABLE_TASK), 0);
    assert_int_equal(rows(SB_TABLE_JOB), 0);
}

/* The power goes before or after each commit of a pass, in which a large job goes in steps. */
ATTACK(power_cuts)
{
    unsigned cuts = 0;
    for (uint64_t nth = 1; nth < 60; nth++) {
        tear_down(NULL);
        set_up(NULL);
        (void)large_job();
        end_jobs(20, "small");
        sb_sim_advance(world.loop, 89 * SB_DAY);
        world_off(&world, false);
        world_boot(&world); /* the first pass comes in a minute */
        sb_sim_advance(world.loop, SB_MINUTE - 500);
        sb_sim_set_wall(world.loop, sb_loop_wall(world.loop) + 2 * SB_DAY);
        world.cut_at = sb_store_mem_commits(world.disk) + (nth + 1) / 2;
        world.cut_after = nth % 2;
        world.cut = false;
        world_run(&world, 2000);
        cuts += world.cut;
        assert_true(orphans() == 0 || !kept(1)); /* of the large one, while it goes */
        if (!world.cut)
            break; /* the pass was over before */
        world.cut_at = 0;
        sb_sim_advance(world.loop, SB_HOUR);
        assert_int_equal(orphans(), 0);
        assert_int_equal(rows(SB_TABLE_TASK), 0);
        assert_int_equal(rows(SB_TABLE_JOB), 0);
        judge();
    }
    assert_in_range(cuts, 10, 58);
}

/* ---- the floor ---- */

ATTACK(no_room_on_the_disk)
{
    struct sb_verdict known = accepted(ask(SB_OP_REBOOT, "a", "known"));
    world_run(&world, 5000);
    struct sb_policy policy = { .hold = true };
    struct sb_verdict held = accepted(world_ask_with(&world, SB_OP_REBOOT, "b", NULL, &policy));
    world_run(&world, 1000);
    int64_t before = world.config->artifacts.free_floor;
    world.config->artifacts.free_floor = INT64_MAX / 4;
    restart();
    struct sb_verdict verdict = ask(SB_OP_READ, "a", NULL);
    assert_non_null(strstr(verdict.text, "less than the floor of"));
    assert_non_null(strstr(verdict.text, world.directory));
    refused(verdict, SB_CAUSE_NO_SPACE);
    refused(ask(SB_OP_READ, "a", "unknown"), SB_CAUSE_NO_SPACE);
    struct sb_verdict again = accepted(ask(SB_OP_REBOOT, "a", "known")); /* brings nothing new */
    assert_true(again.existing);
    sb_verdict_done(&again);
    assert_int_equal(sb_runner_confirm(world.core->runner, open_task(held.task), "test"), 0);
    world_run(&world, 5000);
    assert_state(held.job, SB_TASK_SUCCEEDED); /* what was taken is done */
    assert_int_equal(sb_intake_retry(&world.core->intake, known.job, "test"), -ENOSPC);
    world.config->artifacts.free_floor = before;
    restart();
    struct sb_verdict later = accepted(ask(SB_OP_READ, "a", "unknown"));
    sb_verdict_done(&later);
    world_run(&world, 5000);
}
