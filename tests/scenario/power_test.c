/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The power goes at every single commit, before and after it takes effect; then the gateway boots
 * again. Whatever the moment: the job ends right, the device did it once, one outcome was told.
 */
#include <stdio.h>

#include "tests/scenario/world.h"
#include "tests/test.h"

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

/* ---- a rule, and devices that come to match ---- */

static int64_t rule; /* its job; 0: it was not taken */

static void regroup(struct world *world, const char *id)
{
    struct sb_diags diags = { 0 };
    sb_cleanup(json_decrefp) json_t *groups = json_pack("[s]", "hall");
    (void)!sb_core_group_device(world->core, id, groups, "test", &diags);
    sb_diags_done(&diags);
}

static void add(struct world *world, const char *id, bool grouped)
{
    struct sb_diags diags = { 0 };
    sb_cleanup(json_decrefp) json_t *spec = json_pack("{s:s,s:s}", "id", id, "type", "one-step");
    if (grouped)
        (void)json_object_set_new(spec, "groups", json_pack("[s]", "hall"));
    (void)!sb_core_add_device(world->core, spec, "test", &diags);
    sb_diags_done(&diags);
}

/* One is there, one moves in while the first is under way, one is new. */
static void begin_rule(struct world *world)
{
    sb_cleanup(json_decrefp) json_t *groups = json_pack("[s]", "hall");
    sb_cleanup(json_decrefp) json_t *package =
        json_pack("{s:s,s:s}", "uri", "https://fw.example.com/2.bin", "version", "2.0.0");
    const struct sb_targets targets = { .groups = groups };
    const struct sb_request request = {
        .op = SB_OP_FIRMWARE_UPDATE, .targets = &targets, .rule = true, .package = package
    };
    struct sb_verdict verdict = { 0 };
    rule = 0;
    add(world, "r1", true);
    add(world, "r2", false);
    world_run(world, 500);
    if (!cloud.host || sb_host_submit(cloud.host, cloud.door, &request, &verdict) < 0)
        return;
    rule = verdict.job;
    sb_verdict_done(&verdict);
    world_run(world, 600);
    regroup(world, "r2");
    add(world, "r3", true);
}

/* Whoever is in the group, as the disk has it, was updated: once, and by one task. */
static void check_rule(struct world *world, bool asked)
{
    static const char *const ids[] = { "r1", "r2", "r3" };
    struct sb_edit off = { .rule = 0 };
    char *text = NULL;
    (void)asked;
    const struct sb_job *job = rule ? sb_book_job(world->core->book, rule) : NULL;
    for (size_t i = 0; i < SB_COUNT(ids); i++) {
        const struct sb_device *device = sb_registry_get(world->core->registry, ids[i]);
        bool meant = job && device && sb_device_in_group(device, "hall");
        size_t tasks = 0;
        for (size_t t = 0; job && t < job->task_count; t++)
            tasks += strcmp(job->tasks[t]->device, ids[i]) == 0;
        assert_int_equal(tasks, meant);
        assert_int_equal(bench_device(ids[i])->installs, meant);
    }
    if (!job)
        return;
    for (size_t t = 0; t < job->task_count; t++) {
        const struct cloud_report *last = NULL;
        assert_int_equal(job->tasks[t]->state, SB_TASK_SUCCEEDED);
        assert_true(cloud_finals(job->tasks[t]->id, &last) >= 1);
        assert_string_equal(last->state, "succeeded");
    }
    assert_int_equal(job->state, SB_JOB_ACTIVE);
    world->cut_at = 0; /* the story is over */
    assert_int_equal(sb_intake_edit(&world->core->intake, rule, &off, "test", &text), 0);
    world_run(world, 100);
}

static const struct story stories[] = {
    { "update", begin_update, check_update },
    { "download, then install", begin_install, check_install },
    { "reboot", begin_reboot, check_reboot },
    { "cancelled update", begin_cancelled, check_cancelled },
    { "failing, retried update", begin_failing, check_update },
    { "rule", begin_rule, check_rule },
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
    const struct CMUnitTest tests[] = {
        STORY(0), STORY(1), STORY(2), STORY(3), STORY(4), STORY(5), cmocka_unit_test(test_cut_twice)
    };
    _Static_assert(SB_COUNT(stories) == 6, "a story without a test");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
