/* SPDX-License-Identifier: Apache-2.0 */
/* Devices, drivers and mappings that change, vanish, lie or fall silent at the wrong moment. */
#include "tests/scenario/attack.h"

/* ---- devices come and go ---- */

static const char without_b[] = "devices:\n"
                                "  - { id: a, type: one-step }\n"
                                "  - { id: c, type: two-step }\n"
                                "  - { id: d, type: one-step }\n";

static void reload(void)
{
    struct sb_diags diags = { 0 };
    int r = sb_core_reload(world.core, "test", &diags);
    if (r < 0)
        fail_msg("%s", sb_diags_text(&diags));
    sb_diags_done(&diags);
}

/* A device that no longer stands in the files leaves like any other. */
ATTACK(taken_out_of_the_files)
{
    struct sb_policy queue = { .conflict = SB_CONFLICT_QUEUE };
    struct sb_verdict runs = accepted(world_ask(&world, SB_OP_FIRMWARE_UPDATE, "b", "2.0.0"));
    struct sb_verdict waits =
        accepted(world_ask_with(&world, SB_OP_FIRMWARE_UPDATE, "b", "3.0.0", &queue));
    world_run(&world, 600);
    assert_state(runs.job, SB_TASK_DOWNLOADING);
    world_write(&world, "devices.d/all.yaml", without_b);
    reload();
    world_run(&world, 5000);
    assert_null(device("b"));
    assert_state(runs.job, SB_TASK_CANCELLED);
    assert_cause(runs.job, SB_CAUSE_DEVICE_GONE);
    assert_state(waits.job, SB_TASK_CANCELLED);
    assert_int_equal(cloud_finals(runs.task, NULL), 1);
    assert_int_equal(cloud.news[SB_NEWS_DEVICE_REMOVED], 1);
    assert_int_equal(south.news[SB_NEWS_DEVICE_REMOVED], 1);
    assert_int_equal(bench_sessions(), 0);
    assert_int_equal(bench_device("b")->installs, 0);
}

/* The same while the gateway was off. */
ATTACK(taken_out_of_the_files_before_a_boot)
{
    struct sb_verdict verdict = accepted(world_ask(&world, SB_OP_FIRMWARE_UPDATE, "b", "2.0.0"));
    world_run(&world, 600);
    world_off(&world, true);
    world_write(&world, "devices.d/all.yaml", without_b);
    world_boot(&world);
    world_run(&world, 5000);
    assert_state(verdict.job, SB_TASK_CANCELLED);
    assert_cause(verdict.job, SB_CAUSE_DEVICE_GONE);
    assert_int_equal(cloud_finals(verdict.task, NULL), 1);
}

static void add(const char *text)
{
    struct sb_diags diags = { 0 };
    sb_cleanup(json_decrefp) json_t *spec = json_loads(text, 0, NULL);
    assert_int_equal(sb_core_add_device(world.core, spec, "test", &diags), 0);
    sb_diags_done(&diags);
}

/* Another device under an old name: what the old one's session says is not the new one's. */
ATTACK(same_name_another_device)
{
    struct sb_verdict old = accepted(world_ask(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0"));
    world_run(&world, 1000); /* past its commit point */
    assert_true(open_task(old.task)->committed);
    assert_int_equal(sb_core_remove_device(world.core, "a", "test"), 0);
    add("{\"id\":\"a\",\"type\":\"one-step\",\"address\":{\"unit\":\"other\"}}");
    world_run(&world, 8000);
    assert_int_equal(bench_device("a")->installs, 1); /* a running install is not cut off */
    assert_string_equal(sb_device_version(device("a"), ""), "1.0.0");
    struct sb_verdict fresh = accepted(world_ask(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0"));
    world_run(&world, 5000);
    assert_state(fresh.job, SB_TASK_SUCCEEDED);
    assert_int_equal(bench_device("other")->installs, 1);
}

/* A store that cannot write: nothing of a removal happens. */
ATTACK(no_removal_without_a_store)
{
    struct sb_verdict verdict = accepted(world_ask(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0"));
    world_run(&world, 600);
    sb_store_mem_fail_next(world.disk, 3, -ENOSPC);
    world_run(&world, 500);
    assert_false(sb_store_ready(world.core->store, NULL));
    assert_int_equal(sb_core_remove_device(world.core, "a", "test"), -EAGAIN);
    assert_non_null(device("a"));
    assert_non_null(open_task(verdict.task));
    assert_int_equal(cloud.news[SB_NEWS_DEVICE_REMOVED], 0);
    world_run(&world, 60000);
    assert_state(verdict.job, SB_TASK_SUCCEEDED);
}

/* A damaged record: its tasks do not wait for ever for a device that nobody knows. */
ATTACK(lost_device_record)
{
    struct sb_policy later = { .start = SB_START_AT, .start_at = sb_loop_wall(world.loop) + 5000 };
    add("{\"id\":\"x\",\"type\":\"one-step\"}");
    world_run(&world, 1000);
    struct sb_verdict verdict = accepted(world_ask_with(&world, SB_OP_REBOOT, "x", NULL, &later));
    world_run(&world, 10);
    assert_int_equal(sb_store_remove(world.core->store, SB_TABLE_DEVICE, 0, "x"), 0);
    world_run(&world, 10);
    world_off(&world, true);
    world_boot(&world);
    world_run(&world, 10000);
    assert_state(verdict.job, SB_TASK_CANCELLED);
    assert_cause(verdict.job, SB_CAUSE_DEVICE_GONE);
}

/* ---- mappings change ---- */

ATTACK(type_changes_under_a_running_task)
{
    struct sb_verdict verdict = accepted(world_ask(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0"));
    world_run(&world, 600);
    world_write(&world, "devices/one-step.yaml",
                "name: one-step\ndriver: bench\nverify: version\noperations: [ reboot ]\n");
    reload();
    world_run(&world, 5000);
    assert_state(verdict.job, SB_TASK_SUCCEEDED); /* it keeps the mapping it began with */
    refused(world_ask(&world, SB_OP_FIRMWARE_UPDATE, "a", "3.0.0"), SB_CAUSE_UNSUPPORTED);
}

ATTACK(type_vanishes)
{
    struct sb_policy retry = { .retries = 1, .retry_interval = 2000 };
    struct sb_policy queue = { .conflict = SB_CONFLICT_QUEUE };
    bench_device("a")->fault = BENCH_TRANSFER;
    bench_device("a")->cause = SB_CAUSE_LINK_LOST;
    bench_device("a")->faults = 1;
    struct sb_verdict runs =
        accepted(world_ask_with(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0", &retry));
    struct sb_verdict waits = accepted(world_ask_with(&world, SB_OP_REBOOT, "a", NULL, &queue));
    sb_cleanup(sb_freep) char *path = sb_format("%s/devices/one-step.yaml", world.directory);
    assert_int_equal(unlink(path), 0);
    reload();
    world_run(&world, 60000);
    assert_state(runs.job, SB_TASK_FAILED);
    assert_state(waits.job, SB_TASK_FAILED);
    assert_int_equal(bench_device("a")->installs, 0);
}

/* What is new in the files is asked who it is, without a restart. */
ATTACK(reload_identifies)
{
    world_write(&world, "devices.d/more.yaml", "devices:\n  - { id: e, type: one-step }\n");
    reload();
    world_run(&world, 2000);
    assert_int_equal(device("e")->presence, SB_PRESENCE_READY);
    struct sb_verdict verdict = accepted(world_ask(&world, SB_OP_REBOOT, "e", NULL));
    world_run(&world, 3000);
    assert_state(verdict.job, SB_TASK_SUCCEEDED);
}

/* ---- devices that do not obey ---- */

static void fault(const char *id, enum bench_step step, enum sb_cause cause)
{
    bench_device(id)->fault = step;
    bench_device(id)->cause = cause;
    bench_device(id)->faults = 1;
}

/* Neither progress nor an answer to a stop: the task ends all the same, and so does the next. */
ATTACK(silent_and_deaf)
{
    for (int cancelled = 0; cancelled <= 1; cancelled++) {
        bench_device("a")->deaf = true;
        fault("a", BENCH_TRANSFER, SB_CAUSE_NONE);
        struct sb_verdict verdict =
            accepted(world_ask(&world, SB_OP_FIRMWARE_UPDATE, "a", cancelled ? "3.0.0" : "2.0.0"));
        world_run(&world, 700);
        if (cancelled)
            assert_int_equal(
                sb_host_cancel(cloud.host, cloud.door, verdict.task, SB_CAUSE_OPERATOR), 0);
        world_run(&world, 2 * SB_MINUTE); /* twice the stall, and some more */
        assert_state(verdict.job, cancelled ? SB_TASK_CANCELLED : SB_TASK_FAILED);
        assert_cause(verdict.job, cancelled ? SB_CAUSE_OPERATOR : SB_CAUSE_LINK_LOST);
        struct sb_verdict next = accepted(world_ask(&world, SB_OP_REBOOT, "a", NULL));
        world_run(&world, 6 * SB_MINUTE); /* the type says: occupied 5 minutes */
        assert_state(next.job, SB_TASK_SUCCEEDED);
        assert_int_equal(bench_sessions(), 0);
    }
}

/* Past its commit point silence is not cut off; but neither does the task wait for ever. */
ATTACK(silent_past_its_commit_point)
{
    fault("a", BENCH_RESTART, SB_CAUSE_NONE);
    struct sb_verdict verdict = accepted(world_ask(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0"));
    world_run(&world, 20000);
    assert_state(verdict.job, SB_TASK_DOWNLOADING);
    assert_true(open_task(verdict.task)->committed);
    world_run(&world, 2 * SB_MINUTE);
    assert_state(verdict.job, SB_TASK_FAILED);
    assert_cause(verdict.job, SB_CAUSE_OUTCOME_UNKNOWN);
    world_run(&world, 10 * SB_MINUTE);
    assert_string_equal(sb_device_version(device("a"), ""), "2.0.0"); /* as the device says */
}

/* A timeout ends the task; the install that has begun goes on, and is only noted. */
ATTACK(timeout_past_the_commit_point)
{
    struct sb_policy policy = { .run_timeout = 2000 };
    struct sb_verdict verdict =
        accepted(world_ask_with(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0", &policy));
    while (open_task(verdict.task) && !open_task(verdict.task)->committed)
        world_run(&world, 10);
    bench.step_ms = 2000;
    while (open_task(verdict.task))
        world_run(&world, 10);
    world_run(&world, 10); /* and is durable */
    assert_state(verdict.job, SB_TASK_FAILED);
    assert_cause(verdict.job, SB_CAUSE_TIMEOUT);
    assert_int_equal(bench_sessions(), 1);
    world_run(&world, 10000);
    assert_int_equal(bench_device("a")->installs, 1);
    assert_string_equal(sb_device_version(device("a"), ""), "2.0.0");
    assert_null(device("a")->occupied);
}

/* The disk stalls between the commit point and its grant, and the task times out meanwhile. */
ATTACK(timeout_before_the_grant)
{
    struct sb_policy policy = { .run_timeout = 900 };
    struct sb_verdict verdict =
        accepted(world_ask_with(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0", &policy));
    while (!open_task(verdict.task)->checkpoint)
        world_run(&world, 10);
    world_run(&world, 50);
    sb_store_mem_hold(world.disk, true);
    world_run(&world, 2000);
    assert_int_equal(open_task(verdict.task) ? open_task(verdict.task)->state : SB_TASK_FAILED,
                     SB_TASK_FAILED);
    sb_store_mem_hold(world.disk, false);
    world_run(&world, 5000);
    assert_state(verdict.job, SB_TASK_FAILED);
    assert_int_equal(bench_device("a")->installs, 0); /* it was told to go no further */
}

ATTACK(occupied_for_no_time)
{
    world_write(&world, "devices/one-step.yaml",
                "name: one-step\ndriver: bench\nverify: version\nstall: 30s\noccupied: 0s\n");
    reload();
    bench_device("a")->deaf = true;
    fault("a", BENCH_TRANSFER, SB_CAUSE_NONE);
    struct sb_policy policy = { .run_timeout = 500 };
    accepted(world_ask_with(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0", &policy));
    world_run(&world, 2000);
    struct sb_verdict next = accepted(world_ask(&world, SB_OP_REBOOT, "a", NULL));
    world_run(&world, SB_MINUTE);
    assert_state(next.job, SB_TASK_SUCCEEDED);
}

/* ---- power ---- */

static void cut(void)
{
    world_off(&world, true);
    world_boot(&world);
}

ATTACK(cut_while_cancelling)
{
    bench_device("a")->deaf = true;
    struct sb_verdict verdict = accepted(world_ask(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0"));
    world_run(&world, 600);
    assert_int_equal(sb_host_cancel(cloud.host, cloud.door, verdict.task, SB_CAUSE_OPERATOR), 0);
    world_run(&world, 20);
    assert_state(verdict.job, SB_TASK_CANCELLING);
    cut();
    world_run(&world, 5000);
    assert_state(verdict.job, SB_TASK_CANCELLED);
    assert_cause(verdict.job, SB_CAUSE_OPERATOR);
    assert_int_equal(bench_device("a")->installs, 0);
    assert_int_equal(cloud_finals(verdict.task, NULL), 1);
}

ATTACK(cut_while_a_retry_waits)
{
    struct sb_policy policy = { .retries = 1, .retry_interval = SB_HOUR };
    fault("a", BENCH_TRANSFER, SB_CAUSE_LINK_LOST);
    struct sb_verdict verdict =
        accepted(world_ask_with(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0", &policy));
    world_run(&world, 30 * SB_MINUTE);
    cut();
    world_run(&world, 20 * SB_MINUTE);
    assert_reason(verdict.task, SB_REASON_RETRY);
    world_run(&world, 16 * SB_MINUTE); /* the clocks are saved every five minutes */
    assert_state(verdict.job, SB_TASK_SUCCEEDED);
    assert_int_equal(shelf.completed, 1); /* its image was kept */
}

ATTACK(cut_while_occupied)
{
    bench_device("a")->deaf = true;
    struct sb_policy policy = { .run_timeout = 600 };
    struct sb_verdict verdict =
        accepted(world_ask_with(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0", &policy));
    while (open_task(verdict.task))
        world_run(&world, 10);
    world_run(&world, 10); /* and is durable */
    assert_state(verdict.job, SB_TASK_FAILED);
    assert_non_null(device("a")->occupied);
    bench_device("a")->offline = true;
    cut();
    assert_non_null(device("a")->occupied);
    struct sb_verdict next = accepted(world_ask(&world, SB_OP_REBOOT, "a", NULL));
    world_run(&world, 3 * SB_MINUTE);
    assert_state(next.job, SB_TASK_QUEUED);
    bench_device("a")->offline = false; /* it answers, and says that it is idle */
    world_run(&world, 6 * SB_MINUTE);
    assert_null(device("a")->occupied);
    assert_state(next.job, SB_TASK_SUCCEEDED);
}

/* Power goes while the memory is made anew after a failed commit, and again soon after. */
ATTACK(cut_around_a_rebuild)
{
    for (int64_t wait = 0; wait < 3000; wait += 190) {
        tear_down(NULL);
        set_up(NULL);
        struct sb_verdict verdict =
            accepted(world_ask(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0"));
        world_run(&world, 450);
        sb_store_mem_fail_next(world.disk, 2, -EIO);
        world_run(&world, wait);
        cut();
        world_run(&world, 10);
        cut();
        world_run(&world, 60000);
        assert_state(verdict.job, SB_TASK_SUCCEEDED);
        assert_int_equal(bench_device("a")->installs, 1);
        judge();
    }
}

/* What was told of the progress is not taken back by a power cut. */
ATTACK(cut_between_saved_percents)
{
    for (int64_t wait = 400; wait < 1300; wait += 30) {
        tear_down(NULL);
        set_up(NULL);
        bench_device("a")->pieces = 50;
        bench.step_ms = 20;
        accepted(world_ask(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0"));
        world_run(&world, wait);
        cut();
        bench_device("a")->pieces = 5; /* from the start again, in other steps */
        world_run(&world, 10000);
        judge();
    }
}

/* Orders that come when a batch has become durable belong to the next one, with all they owe. */
static void cancel_now(void *arg, int error)
{
    const struct sb_verdict *verdict = arg;
    assert_int_equal(error, 0);
    assert_int_equal(sb_host_cancel(cloud.host, cloud.door, verdict->task, SB_CAUSE_OPERATOR), 0);
}

ATTACK(orders_between_batches)
{
    struct sb_policy hold = { .hold = true };
    struct sb_verdict verdict = accepted(world_ask_with(&world, SB_OP_REBOOT, "a", NULL, &hold));
    world_run(&world, 100);
    assert_int_equal(sb_store_then(world.core->store, cancel_now, &verdict), 0);
    world.cut_at = sb_store_mem_commits(world.disk) + 1;
    world.cut_after = true;
    world_run(&world, 2000);
    assert_true(world.cut);
    assert_state(verdict.job, SB_TASK_CANCELLED);
    assert_int_equal(cloud_finals(verdict.task, NULL), 1);
}

/* ---- odd answers ---- */

/* Only an install has a version to show. */
ATTACK(modest_device)
{
    bench_device("a")->modest = true;
    struct sb_verdict verdict = accepted(world_ask(&world, SB_OP_READ, "a", NULL));
    world_run(&world, 3000);
    assert_state(verdict.job, SB_TASK_SUCCEEDED);
    verdict = accepted(world_ask(&world, SB_OP_REBOOT, "a", NULL));
    world_run(&world, 3000);
    assert_state(verdict.job, SB_TASK_SUCCEEDED);
}

/* A result too large to keep does not undo the outcome. */
ATTACK(talkative_device)
{
    bench_device("a")->chatter = (size_t)400 * 1024;
    struct sb_verdict verdict = accepted(world_ask(&world, SB_OP_READ, "a", NULL));
    world_run(&world, 3000);
    assert_state(verdict.job, SB_TASK_SUCCEEDED);
    cut();
    world_run(&world, 5000);
    assert_state(verdict.job, SB_TASK_SUCCEEDED);
    assert_int_equal(bench_device("a")->actions, 1); /* it was not done again */
    assert_int_equal(cloud_finals(verdict.task, NULL), 1);
}

/* A failure always has a cause and a text: the judge looks at each of these. */
ATTACK(mute_device)
{
    bench_device("a")->mute = true;
    struct sb_policy policy = { .retries = 1, .retry_interval = 500 };
    for (int cause = SB_CAUSE_UNSUPPORTED; cause < SB_CAUSE_MAX_; cause++) {
        fault("a", BENCH_TRANSFER, (enum sb_cause)cause);
        bench_device("a")->faults = 2;
        struct sb_verdict verdict =
            accepted(world_ask_with(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0", &policy));
        world_run(&world, 60000);
        assert_true(cloud_finals(verdict.task, NULL) == 1);
        bench_device("a")->faults = 0;
        assert_int_equal(sb_book_jobs(world.core->book), 0);
    }
    world_ask(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0");
    struct sb_policy timed = { .hold = true, .whole_timeout = 1000 };
    accepted(world_ask_with(&world, SB_OP_FIRMWARE_UPDATE, "b", "2.0.0", &timed));
    accepted(world_ask(&world, SB_OP_REBOOT, "c", NULL));
    world_run(&world, 200);
    assert_int_equal(sb_core_remove_device(world.core, "a", "test"), 0);
    assert_int_equal(sb_core_remove_device(world.core, "c", "test"), 0);
    world_run(&world, 3000);
}

/* A device may say anything, also what is no text: its task ends all the same, for good. */
ATTACK(a_device_that_talks_rubbish)
{
    bench_device("a")->offline = true;
    struct sb_verdict verdict = accepted(world_ask(&world, SB_OP_REBOOT, "a", NULL));
    sb_runner_refuse(world.core->runner, open_task(verdict.task), SB_CAUSE_REFUSED, "no\xff\xfe",
                     "test");
    world_run(&world, 100);
    assert_int_equal(cloud_finals(verdict.task, NULL), 1);
    world_off(&world, true);
    bench_device("a")->offline = false;
    world_boot(&world);
    world_run(&world, 5000);
    assert_state(verdict.job, SB_TASK_FAILED);
    assert_int_equal(bench_device("a")->boots, 0);
}

/* What made the first attempt fail is not said of what made the second one end. */
ATTACK(words_of_the_last_attempt)
{
    struct sb_policy policy = { .retries = 3, .retry_interval = 1000 };
    fault("a", BENCH_TRANSFER, SB_CAUSE_LINK_LOST);
    struct sb_verdict verdict =
        accepted(world_ask_with(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0", &policy));
    while (open_task(verdict.task)->attempt == 0 ||
           open_task(verdict.task)->reason != SB_REASON_RETRY)
        world_run(&world, 10);
    assert_string_equal(open_task(verdict.task)->text, "bench fault");
    assert_false(open_task(verdict.task)->committed);
    while (open_task(verdict.task)->attempt == 1)
        world_run(&world, 10);
    world_run(&world, 100);
    assert_int_equal(open_task(verdict.task)->cause, SB_CAUSE_NONE);
    assert_null(open_task(verdict.task)->text);
    assert_string_equal(sb_task_state_name((int)open_task(verdict.task)->furthest), "downloading");
    world_run(&world, 5000);
    sb_cleanup(sb_job_freep) struct sb_job *job = world_job(&world, verdict.job);
    assert_string_equal(sb_task_state_name((int)job->tasks[0]->furthest), "restarting");
    assert_int_equal(job->tasks[0]->furthest_percent, 100);
}

/* A reboot runs before it restarts. */
ATTACK(furthest_of_a_reboot)
{
    struct sb_verdict verdict = accepted(world_ask(&world, SB_OP_REBOOT, "a", NULL));
    world_run(&world, 3000);
    sb_cleanup(sb_job_freep) struct sb_job *job = world_job(&world, verdict.job);
    assert_string_equal(sb_task_state_name((int)job->tasks[0]->furthest), "restarting");
}
