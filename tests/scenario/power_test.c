/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The power goes at every single commit, before and after it takes effect; then the gateway boots
 * again. Whatever the moment: the job ends right, the device did it once, one outcome was told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/scenario/world.h"

#define COMMITS_MAX 400

struct story {
    const char *name;
    void (*begin)(struct world *world);
    /* What the device did, whatever happened to the gateway; `asked`: the request was durable. */
    void (*check)(struct world *world, bool asked);
};

static struct sb_verdict asked_for;

static void ask(struct world *world, enum sb_op op, const char *device, const char *version)
{
    asked_for = world_ask(world, op, device, version);
    assert_int_equal(asked_for.cause, SB_CAUSE_NONE);
}

/* ---- the stories ---- */

static void begin_update(struct world *world)
{
    ask(world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0");
}

static void check_update(struct world *world, bool asked)
{
    (void)world;
    assert_int_equal(bench_device("a")->installs, asked);
    assert_string_equal(bench_device("a")->version, asked ? "2.0.0" : "1.0.0");
}

static void begin_install(struct world *world)
{
    ask(world, SB_OP_FIRMWARE_DOWNLOAD, "c", "2.0.0");
    world_run(world, 3000);
    if (world->core && sb_registry_get(world->core->registry, "c")->staged.package)
        ask(world, SB_OP_FIRMWARE_INSTALL, "c", NULL);
}

static void check_install(struct world *world, bool asked)
{
    (void)world;
    assert_true(bench_device("c")->installs <= 1);
    if (asked && bench_device("c")->installs)
        assert_string_equal(bench_device("c")->version, "2.0.0");
}

static void begin_reboot(struct world *world)
{
    ask(world, SB_OP_REBOOT, "a", NULL);
}

static void check_reboot(struct world *world, bool asked)
{
    (void)world;
    assert_int_equal(bench_device("a")->boots, asked);
}

static void begin_cancelled(struct world *world)
{
    ask(world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0");
    world_run(world, 600);
    if (cloud.host)
        (void)!sb_host_cancel(cloud.host, cloud.door, asked_for.task, SB_CAUSE_OPERATOR);
}

/* Either cancelled and not installed, or too late and installed: never between. */
static void check_cancelled(struct world *world, bool asked)
{
    if (!asked)
        return;
    bool installed = bench_device("a")->installs == 1;
    assert_true(bench_device("a")->installs <= 1);
    assert_int_equal(world_state(world, asked_for.job),
                     installed ? SB_TASK_SUCCEEDED : SB_TASK_CANCELLED);
}

static void begin_failing(struct world *world)
{
    bench_device("a")->fault = BENCH_COMMIT;
    bench_device("a")->cause = SB_CAUSE_WRITE_FAILED;
    bench_device("a")->faults = 1;
    struct sb_policy policy = { .retries = 3, .retry_interval = 500 };
    asked_for = world_ask_with(world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0", &policy);
}

static const struct story stories[] = {
    { "update", begin_update, check_update },
    { "download, then install", begin_install, check_install },
    { "reboot", begin_reboot, check_reboot },
    { "cancelled update", begin_cancelled, check_cancelled },
    { "failing, retried update", begin_failing, check_update },
};

/* ---- the cutting ---- */

/* All that was told of a task is one outcome, and it is what the store says. */
static void check_told(struct world *world, int64_t job, int64_t task)
{
    const struct cloud_report *last = NULL;
    enum sb_task_state state = world_state(world, job);
    assert_true(sb_task_state_is_final(state));
    assert_true(cloud_finals(task, &last) >= 1);
    for (size_t i = 0; i < cloud.count; i++)
        if (cloud.heard[i].task == task && cloud.heard[i].final)
            assert_string_equal(cloud.heard[i].state, sb_task_state_name((int)state));
}

static bool was_kept(struct world *world, int64_t id)
{
    sb_cleanup(sb_job_freep) struct sb_job *job = world_job(world, id);
    return job != NULL;
}

/* False: the story ended before that commit. */
static bool tell(const struct story *story, uint64_t commit, bool after)
{
    struct world world;
    world_new(&world);
    world_run(&world, 1000);
    asked_for = (struct sb_verdict){ 0 };
    world.cut_at = sb_store_mem_commits(world.disk) + commit;
    world.cut_after = after;
    story->begin(&world);
    world_run(&world, 40000);
    bool cut = world.cut;
    bool asked = asked_for.job && was_kept(&world, asked_for.job);
    if (asked)
        check_told(&world, asked_for.job, asked_for.task);
    story->check(&world, asked);
    assert_int_equal(sb_book_jobs(world.core->book), 0);
    sb_verdict_done(&asked_for);
    world_done(&world);
    return cut;
}

static void test_cut_everywhere(void **state)
{
    const struct story *story = *state;
    unsigned cuts = 0;
    for (int after = 0; after <= 1; after++) {
        uint64_t commit = 1;
        while (commit < COMMITS_MAX && tell(story, commit, after))
            commit++;
        assert_in_range(commit, 2, COMMITS_MAX - 1);
        cuts += (unsigned)commit - 1;
    }
    print_message("%s: ended right after %u power cuts\n", story->name, cuts);
}

/* A second cut while the gateway takes up what the first one left. */
static void test_cut_twice(void **state)
{
    (void)state;
    for (uint64_t first = 1; first <= 12; first++) {
        for (uint64_t second = 1; second <= 6; second++) {
            struct world world;
            world_new(&world);
            world_run(&world, 1000);
            world.cut_at = sb_store_mem_commits(world.disk) + first;
            begin_update(&world);
            for (int i = 0; i < 200 && !world.cut; i++)
                world_run(&world, 10);
            world.cut = false;
            world.cut_at = sb_store_mem_commits(world.disk) + second;
            world.cut_after = true;
            world_run(&world, 40000);
            bool asked = was_kept(&world, asked_for.job);
            if (asked)
                check_told(&world, asked_for.job, asked_for.task);
            check_update(&world, asked);
            sb_verdict_done(&asked_for);
            world_done(&world);
        }
    }
}

#define STORY(i)                                                                                   \
    {                                                                                              \
        .name = stories[i].name, .test_func = test_cut_everywhere,                                 \
        .initial_state = (void *)&stories[i]                                                       \
    }

int main(void)
{
    const struct CMUnitTest tests[] = { STORY(0), STORY(1), STORY(2),
                                        STORY(3), STORY(4), cmocka_unit_test(test_cut_twice) };
    _Static_assert(SB_COUNT(stories) == 5, "a story without a test");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
