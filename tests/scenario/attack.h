/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the attacks share: a world per test, and at its end the judges. Whatever a test did, no
 * cloud heard what must not be said, the audit's chain is whole, and no task is left behind.
 */
#pragma once

#include <stdio.h>

#include "bridge/base/str.h"
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

static int verify_record(void *arg, const struct sb_row *row)
{
    return sb_audit_verify(arg, row->body);
}

static int see_task(void *arg, const struct sb_row *row)
{
    const char *job = row->b;
    unsigned *stray = arg;
    bool final = sb_task_state_is_final((enum sb_task_state)row->state);
    *stray += !final && !sb_book_job(world.core->book, strtoll(job, NULL, 10));
    return 0;
}

/* After all is durable. */
static void judge(void)
{
    struct sb_audit_check check = { 0 };
    unsigned stray = 0;
    if (cloud_judge(&cloud))
        fail_msg("north: %s", cloud_judge(&cloud));
    if (cloud_judge(&south))
        fail_msg("south: %s", cloud_judge(&south));
    assert_int_equal(cloud.lost + south.lost, 0);
    assert_int_equal(sb_store_query(world.core->store,
                                    &(struct sb_query){ .table = SB_TABLE_AUDIT, .state = -1 },
                                    verify_record, &check),
                     0);
    assert_true(sb_audit_whole(&check));
    assert_int_equal(sb_store_query(world.core->store,
                                    &(struct sb_query){ .table = SB_TABLE_TASK, .state = -1 },
                                    see_task, &stray),
                     0);
    assert_int_equal(stray, 0); /* open in the store, and nobody works on it */
}

static int tear_down(void **state)
{
    (void)state;
    world_done(&world);
    return 0;
}

static inline int tear_down_judged(void **state)
{
    world_run(&world, 1000);
    judge();
    return tear_down(state);
}

static inline struct sb_verdict accepted(struct sb_verdict verdict)
{
    if (verdict.cause != SB_CAUSE_NONE)
        fail_msg("refused: %s: %s", sb_cause_name((int)verdict.cause), verdict.text);
    return verdict;
}

static inline void refused(struct sb_verdict verdict, enum sb_cause cause)
{
    assert_string_equal(sb_cause_name((int)verdict.cause), sb_cause_name((int)cause));
    assert_non_null(verdict.text);
    sb_verdict_done(&verdict);
}

static inline struct sb_device *device(const char *id)
{
    return sb_registry_get(world.core->registry, id);
}

static inline struct sb_task *open_task(int64_t id)
{
    return sb_book_task(world.core->book, id);
}

#define assert_state(job, expected)                                                                \
    assert_string_equal(sb_task_state_name((int)world_state(&world, job)),                         \
                        sb_task_state_name((int)(expected)))
#define assert_cause(job, expected)                                                                \
    assert_string_equal(sb_cause_name((int)world_cause(&world, job)),                              \
                        sb_cause_name((int)(expected)))
#define assert_reason(task, expected)                                                              \
    assert_string_equal(sb_reason_name((int)open_task(task)->reason),                              \
                        sb_reason_name((int)(expected)))
#define ATTACK(name) SB_TEST(test_##name, set_up, tear_down_judged)
