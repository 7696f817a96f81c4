/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every single allocation of an order is refused once: then it is done as a whole, in memory, in
 * the store and towards the cloud, or nothing of it is.
 */
#include "tests/fakes/starved.h"
#include "tests/scenario/attack.h"

static int hungry_tear_down(void **state)
{
    starved_grant(STARVED_UNLIMITED); /* where a test has failed, too */
    return tear_down_judged(state);
}

#define HUNGRY(name) SB_TEST(test_##name, set_up, hungry_tear_down)

static size_t stored_jobs(void)
{
    return sb_store_mem_rows(world.disk, SB_TABLE_JOB);
}

/* True: one allocation was refused to it. */
static bool submit(int n, const char *id, bool hold, struct sb_verdict *ret)
{
    const char *devices[] = { "a" };
    const struct sb_request request = { .op = SB_OP_REBOOT,
                                        .external_id = id,
                                        .devices = devices,
                                        .device_count = 1,
                                        .policy = { .hold = hold } };
    starved_refuse(n);
    int r = sb_host_submit(cloud.host, cloud.door, &request, ret);
    bool refused = starved_refused();
    starved_grant(STARVED_UNLIMITED);
    if (r < 0)
        *ret = (struct sb_verdict){ .cause = SB_CAUSE_NO_MEMORY };
    return refused;
}

HUNGRY(a_request_is_taken_or_not)
{
    bool hungry = true;
    for (int n = 0; hungry; n++) {
        struct sb_verdict verdict = { 0 };
        sb_cleanup(sb_freep) char *id = sb_format("request %d", n);
        size_t jobs = stored_jobs();
        unsigned boots = bench_device("a")->boots;
        hungry = submit(n, id, false, &verdict);
        world_run(&world, 10000);
        bool taken = stored_jobs() > jobs;
        assert_int_equal(stored_jobs(), jobs + taken);
        assert_int_equal(bench_device("a")->boots, boots + taken);
        assert_true(verdict.cause == SB_CAUSE_NONE || !taken);
        sb_verdict_done(&verdict);
    }
}

/* Told and stored, or neither: then it waits as before. */
HUNGRY(an_outcome_is_told_as_it_is_stored)
{
    bool hungry = true;
    for (int n = 0; hungry; n++) {
        sb_cleanup(sb_freep) char *id = sb_format("request %d", n);
        struct sb_verdict verdict = { 0 };
        (void)submit(STARVED_UNLIMITED, id, true, &verdict);
        verdict = accepted(verdict);
        world_run(&world, 100);
        starved_refuse(n);
        sb_runner_refuse(world.core->runner, open_task(verdict.task), SB_CAUSE_REFUSED, "no", "x");
        hungry = starved_refused();
        starved_grant(STARVED_UNLIMITED);
        world_run(&world, 10000);
        bool told = cloud_finals(verdict.task, NULL);
        sb_cleanup(sb_job_freep) struct sb_job *stored = world_job(&world, verdict.job);
        enum sb_task_state wanted = told ? SB_TASK_FAILED : SB_TASK_HELD;
        assert_string_equal(sb_task_state_name((int)stored->tasks[0]->state),
                            sb_task_state_name((int)wanted));
        assert_int_equal(stored->state == SB_JOB_DONE, told);
        assert_int_equal(sb_book_job(world.core->book, verdict.job) == NULL, told);
        if (!told)
            assert_int_equal(
                sb_host_cancel(cloud.host, cloud.door, verdict.task, SB_CAUSE_OPERATOR), 0);
        sb_verdict_done(&verdict);
    }
}

/* What a device says of itself is learnt all the same, if later. */
HUNGRY(a_look_is_made_up_for)
{
    bool hungry = true;
    for (int n = 0; hungry; n++) {
        struct bench_device *unit = bench_device("a");
        (void)snprintf(unit->version, sizeof(unit->version), "1.0.%d", n);
        assert_int_equal(sb_runner_identify(world.core->runner, "a"), 0);
        starved_refuse(n);
        sb_runner_turn(world.core->runner);
        hungry = starved_refused();
        starved_grant(STARVED_UNLIMITED);
        world_run(&world, 10000);
        assert_string_equal(sb_device_version(device("a"), ""), unit->version);
    }
}

int main(void)
{
    starved_begin();
    return sb_tests_run(NULL, NULL);
}
