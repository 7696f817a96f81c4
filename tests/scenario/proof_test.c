/* SPDX-License-Identifier: Apache-2.0 */
/* Law 7: what a success was read from is kept, and told where it is less than the version. */
#include "bridge/base/str.h"
#include "tests/scenario/world.h"
#include "tests/test.h"

static struct world world;

/* e and f: devices whose type asks for less than a version. */
static int set_up(void **state)
{
    (void)state;
    world_new(&world);
    world_write(&world, "devices/vague.yaml",
                "name: vague\ndriver: bench\nverify: status\nstall: 30s\n");
    world_write(&world, "devices.d/vague.yaml",
                "devices:\n  - { id: e, type: vague }\n  - { id: f, type: vague }\n"
                "  - { id: g, type: strict }\n");
    world_write(&world, "devices/strict.yaml",
                "name: strict\ndriver: bench\nverify: hash\nstall: 30s\n");
    struct sb_diags diags = { 0 };
    assert_int_equal(sb_core_reload(world.core, "test", &diags), 0);
    sb_diags_done(&diags);
    world_run(&world, 1000);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    world_done(&world);
    return 0;
}

static struct sb_job *ended(enum sb_op op, const char *device, const char *version)
{
    struct sb_verdict verdict = world_ask(&world, op, device, version);
    assert_int_equal(verdict.cause, SB_CAUSE_NONE);
    world_run(&world, 5000);
    struct sb_job *job = world_job(&world, verdict.job);
    assert_non_null(job);
    assert_int_equal(job->tasks[0]->state, SB_TASK_SUCCEEDED);
    sb_verdict_done(&verdict);
    return job;
}

static void proved(enum sb_op op, const char *device, const char *version, enum sb_verify wanted,
                   bool doubtful)
{
    sb_cleanup(sb_job_freep) struct sb_job *job = ended(op, device, version);
    assert_string_equal(sb_verify_name((int)job->tasks[0]->verified), sb_verify_name((int)wanted));
    assert_int_equal(sb_task_is_unproven(job->tasks[0]), doubtful);
}

#define PROOF(name) SB_TEST(test_##name, set_up, tear_down)

PROOF(as_the_driver_says)
{
    bench_device("a")->verified = "hash";
    proved(SB_OP_FIRMWARE_UPDATE, "a", "2.0.0", SB_VERIFY_HASH, false);
    bench_device("e")->verified = "none";
    proved(SB_OP_REBOOT, "e", NULL, SB_VERIFY_NONE, false); /* there is no version to read */
    bench_device("e")->verified = "by the look of it";
    proved(SB_OP_REBOOT, "e", NULL, SB_VERIFY_NONE, false);
}

/* The device's word alone counts as such, until the core has seen the version itself. */
PROOF(as_the_core_has_seen)
{
    bench_device("e")->verified = "status";
    bench_device("e")->secret = true;
    proved(SB_OP_FIRMWARE_UPDATE, "e", "2.0.0", SB_VERIFY_STATUS, true);
    bench_device("f")->verified = "status";
    proved(SB_OP_FIRMWARE_UPDATE, "f", "2.0.0", SB_VERIFY_VERSION, false);
    /* There already: that was read before. */
    proved(SB_OP_FIRMWARE_UPDATE, "f", "2.0.0", SB_VERIFY_VERSION, false);
}

/* Where the type promises the image's digest, the device's word alone is no success. */
PROOF(no_less_than_promised)
{
    bench_device("g")->verified = "hash";
    bench_device("g")->secret = true;
    proved(SB_OP_FIRMWARE_UPDATE, "g", "2.0.0", SB_VERIFY_HASH, false);
    bench_device("g")->verified = "status";
    struct sb_verdict verdict = world_ask(&world, SB_OP_FIRMWARE_UPDATE, "g", "3.0.0");
    world_run(&world, 5000);
    assert_int_equal(world_state(&world, verdict.job), SB_TASK_FAILED);
    assert_int_equal(world_cause(&world, verdict.job), SB_CAUSE_OUTCOME_UNKNOWN);
    bench_device("g")->secret = false; /* the core sees its version */
    proved(SB_OP_FIRMWARE_UPDATE, "g", "4.0.0", SB_VERIFY_VERSION, false);
}

PROOF(downloads)
{
    proved(SB_OP_FIRMWARE_DOWNLOAD, "a", "2.0.0", SB_VERIFY_STATUS, false); /* no digest given */
    bench_device("c")->verified = "hash";
    proved(SB_OP_FIRMWARE_DOWNLOAD, "c", "3.0.0", SB_VERIFY_HASH, false);
}

static int take_audit(void *arg, const struct sb_row *row)
{
    sb_cleanup(sb_freep) char *text = sb_json_text(row->body);
    *(unsigned *)arg += text && strstr(text, "\"verified\":\"status\"") != NULL;
    return 0;
}

PROOF(it_is_in_the_audit)
{
    unsigned found = 0;
    bench_device("e")->verified = "status";
    bench_device("e")->secret = true;
    sb_job_free(ended(SB_OP_FIRMWARE_UPDATE, "e", "2.0.0"));
    struct sb_query all = { .table = SB_TABLE_AUDIT, .state = -1 };
    assert_int_equal(sb_store_query(world.core->store, &all, take_audit, &found), 0);
    assert_int_equal(found, 1);
}
