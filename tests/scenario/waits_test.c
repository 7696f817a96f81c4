/* SPDX-License-Identifier: Apache-2.0 */
/* What a task waits for: to be asked for, a parent, an image, a fresh sign of life; and edits. */
#include "tests/scenario/attack.h"

static struct sb_verdict ask(enum sb_op op, const char *on, const char *version,
                             const struct sb_policy *policy)
{
    return accepted(world_ask_with(&world, op, on, version, policy));
}

static void add(const char *id, const char *parent)
{
    struct sb_diags diags = { 0 };
    sb_cleanup(json_decrefp) json_t *spec =
        json_pack("{s:s,s:s,s:s*}", "id", id, "type", "one-step", "parent", parent);
    assert_int_equal(sb_core_add_device(world.core, spec, "test", &diags), 0);
    world_run(&world, 1000);
}

static void restart(void)
{
    world_off(&world, true);
    world_boot(&world);
    world_run(&world, 1000);
}

/* ---- pull ---- */

static void device_asks(const char *id)
{
    const struct sb_identity identity = { .asks = true };
    sb_driver_event(
        world.core->runner,
        &(struct sb_driver_event){ .kind = SB_DRIVER_FACTS, .device = id, .identity = &identity });
}

ATTACK(nothing_is_pushed)
{
    const struct sb_policy policy = { .pull = true };
    struct sb_verdict verdict = ask(SB_OP_FIRMWARE_UPDATE, "a", "2.0.0", &policy);
    world_run(&world, 60000);
    assert_reason(verdict.task, SB_REASON_PULL);
    restart();
    assert_reason(verdict.task, SB_REASON_PULL);
    assert_int_equal(bench_device("a")->installs, 0);
    device_asks("b"); /* another one */
    world_run(&world, 3000);
    assert_reason(verdict.task, SB_REASON_PULL);
    device_asks("a");
    world_run(&world, 10);
    restart(); /* that it has asked is not forgotten */
    world_run(&world, 5000);
    assert_state(verdict.job, SB_TASK_SUCCEEDED);
    assert_int_equal(bench_device("a")->installs, 1);
}

/* By a property of its type, as one look after the other finds it. */
ATTACK(asked_for_by_a_property)
{
    static const struct {
        const char *values;
        bool asks;
    } looks[] = {
        { "{}", false },           { "{\"other\":true}", false }, { "{\"wish\":false}", false },
        { "{\"wish\":0}", false }, { "{\"wish\":\"1\"}", false }, { "{\"wish\":true}", true },
        { "{\"wish\":3}", true }
    };
    struct sb_diags diags = { 0 };
    world_write(&world, "devices/one-step.yaml",
                "name: one-step\ndriver: bench\nproperties: { wish: {}, other: {} }\nasks: wish\n");
    assert_int_equal(sb_core_reload(world.core, "test", &diags), 0);
    world_run(&world, 1000);
    for (size_t i = 0; i < SB_COUNT(looks); i++) {
        struct sb_verdict verdict =
            ask(SB_OP_REBOOT, "a", NULL, &(struct sb_policy){ .pull = true });
        sb_cleanup(json_decrefp) json_t *values = json_loads(looks[i].values, 0, NULL);
        const struct sb_identity identity = { .properties = values };
        world_run(&world, 1000);
        sb_driver_event(world.core->runner, &(struct sb_driver_event){ .kind = SB_DRIVER_FACTS,
                                                                       .device = "a",
                                                                       .identity = &identity });
        world_run(&world, 5000);
        if (looks[i].asks)
            assert_state(verdict.job, SB_TASK_SUCCEEDED);
        else
            assert_reason(verdict.task, SB_REASON_PULL);
    }
    assert_int_equal(bench_device("a")->boots, 2);
}

/* Each attempt is one that the device asks for; what it asks before it is due does not count. */
ATTACK(asked_for_each_attempt)
{
    const struct sb_policy policy = { .pull = true,
                                      .retries = 1,
                                      .retry_interval = 1000,
                                      .start = SB_START_AT,
                                      .start_at = sb_loop_wall(world.loop) + 5000 };
    bench_device("a")->fault = BENCH_TRANSFER;
    bench_device("a")->cause = SB_CAUSE_LINK_LOST;
    bench_device("a")->faults = 1;
    struct sb_verdict verdict = ask(SB_OP_FIRMWARE_UPDATE, "a", "2.0.0", &policy);
    world_run(&world, 1000);
    assert_reason(verdict.task, SB_REASON_SCHEDULED);
    device_asks("a");
    world_run(&world, 10000);
    assert_reason(verdict.task, SB_REASON_PULL);
    device_asks("a");
    world_run(&world, 10000);
    assert_reason(verdict.task, SB_REASON_PULL);
    assert_int_equal(open_task(verdict.task)->attempt, 1);
    device_asks("a");
    world_run(&world, 10000);
    assert_state(verdict.job, SB_TASK_SUCCEEDED);
}

ATTACK(somebody_fetches_for_it)
{
    const struct sb_policy policy = { .pull = true };
    struct sb_verdict verdict = ask(SB_OP_REBOOT, "a", NULL, &policy);
    struct sb_verdict plain = ask(SB_OP_REBOOT, "b", NULL, &(struct sb_policy){ .hold = true });
    world_run(&world, 1000);
    assert_int_equal(sb_runner_fetch(world.core->runner, open_task(plain.task), "test"), -EPROTO);
    assert_int_equal(sb_runner_fetch(world.core->runner, open_task(verdict.task), "test"), 0);
    assert_int_equal(sb_runner_fetch(world.core->runner, open_task(verdict.task), "test"), -EPROTO);
    world_run(&world, 3000);
    assert_state(verdict.job, SB_TASK_SUCCEEDED);
    assert_int_equal(bench_device("a")->boots, 1);
}

/* ---- parent ---- */

ATTACK(a_parent_that_is_silent)
{
    add("child", "a");
    bench_device("a")->offline = true;
    assert_int_equal(sb_runner_identify(world.core->runner, "a"), 0);
    world_run(&world, 1000);
    struct sb_verdict verdict = ask(SB_OP_REBOOT, "child", NULL, NULL);
    world_run(&world, 20000);
    assert_reason(verdict.task, SB_REASON_PARENT);
    assert_non_null(strstr(open_task(verdict.task)->text, "does not answer"));
    restart();
    assert_reason(verdict.task, SB_REASON_PARENT);
    bench_device("a")->offline = false;
    world_run(&world, 60000);
    assert_state(verdict.job, SB_TASK_SUCCEEDED);
    /* It counts against the time for coming online. */
    bench_device("a")->offline = true;
    assert_int_equal(sb_runner_identify(world.core->runner, "a"), 0);
    world_run(&world, 1000);
    verdict = ask(SB_OP_REBOOT, "child", NULL, &(struct sb_policy){ .online_timeout = 5000 });
    world_run(&world, 6000);
    assert_state(verdict.job, SB_TASK_FAILED);
    assert_cause(verdict.job, SB_CAUSE_OFFLINE);
}

ATTACK(firmware_on_the_parent)
{
    add("child", "a");
    bench_device("a")->pieces = 50;
    struct sb_verdict parent = ask(SB_OP_FIRMWARE_UPDATE, "a", "2.0.0", NULL);
    world_run(&world, 1500);
    struct sb_verdict verdict = ask(SB_OP_REBOOT, "child", NULL, NULL);
    world_run(&world, 1000);
    assert_reason(verdict.task, SB_REASON_PARENT);
    assert_int_equal(bench_device("child")->boots, 0);
    world_run(&world, 10000);
    assert_state(parent.job, SB_TASK_SUCCEEDED);
    assert_state(verdict.job, SB_TASK_SUCCEEDED);
    /* Other work on it keeps nobody. */
    (void)ask(SB_OP_READ, "a", NULL, NULL);
    verdict = ask(SB_OP_REBOOT, "child", NULL, NULL);
    world_run(&world, 2000);
    assert_state(verdict.job, SB_TASK_SUCCEEDED);
}

/* Why it waits is said as it is now, not as it was. */
ATTACK(why_a_parent_keeps_it)
{
    add("child", "a");
    bench_device("a")->pieces = 50;
    (void)ask(SB_OP_FIRMWARE_UPDATE, "a", "2.0.0", NULL);
    world_run(&world, 1500);
    struct sb_verdict verdict = ask(SB_OP_REBOOT, "child", NULL, NULL);
    world_run(&world, 100);
    assert_non_null(strstr(open_task(verdict.task)->text, "gets firmware"));
    bench_device("a")->offline = true;
    world_run(&world, 60000);
    assert_reason(verdict.task, SB_REASON_PARENT);
    assert_non_null(strstr(open_task(verdict.task)->text, "does not answer"));
    bench_device("a")->offline = false;
    world_run(&world, 10 * SB_MINUTE);
    assert_state(verdict.job, SB_TASK_SUCCEEDED);
}

/* ---- artifact ---- */

ATTACK(a_download_for_many)
{
    static const char *const on[] = { "a", "b", "d" };
    struct sb_verdict verdicts[SB_COUNT(on)];
    shelf.step_ms = 2000;
    for (size_t i = 0; i < SB_COUNT(on); i++)
        verdicts[i] = ask(SB_OP_FIRMWARE_UPDATE, on[i], "2.0.0", NULL);
    world_run(&world, 1000);
    assert_string_equal(sb_task_state_name((int)open_task(verdicts[0].task)->state), "downloading");
    for (size_t i = 1; i < SB_COUNT(on); i++) {
        assert_reason(verdicts[i].task, SB_REASON_ARTIFACT);
        assert_non_null(strstr(open_task(verdicts[i].task)->text, "for another device"));
    }
    world_run(&world, 20000);
    for (size_t i = 0; i < SB_COUNT(on); i++)
        assert_state(verdicts[i].job, SB_TASK_SUCCEEDED);
    assert_int_equal(shelf.started, 1);
}

/* The one that fetches fails: the next one tries, nobody is stuck. */
ATTACK(a_download_that_fails)
{
    shelf.cause = SB_CAUSE_VERIFY_FAILED;
    shelf.faults = 1;
    struct sb_verdict one = ask(SB_OP_FIRMWARE_UPDATE, "a", "2.0.0", NULL);
    struct sb_verdict two = ask(SB_OP_FIRMWARE_UPDATE, "b", "2.0.0", NULL);
    world_run(&world, 20000);
    assert_state(one.job, SB_TASK_FAILED);
    assert_state(two.job, SB_TASK_SUCCEEDED);
}

static void reboot_with_floor(int64_t floor)
{
    world_off(&world, false);
    world.config->artifacts.free_floor = floor;
    world_boot(&world);
    world_run(&world, 1000);
}

ATTACK(under_the_free_space_floor)
{
    struct sb_verdict verdict =
        ask(SB_OP_FIRMWARE_UPDATE, "a", "2.0.0", &(struct sb_policy){ .hold = true });
    world_run(&world, 100);
    reboot_with_floor(INT64_C(1) << 60);
    refused(world_ask(&world, SB_OP_FIRMWARE_UPDATE, "b", "2.0.0"), SB_CAUSE_NO_SPACE);
    assert_int_equal(sb_runner_confirm(world.core->runner, open_task(verdict.task), "test"), 0);
    world_run(&world, 5000);
    assert_reason(verdict.task, SB_REASON_ARTIFACT);
    assert_non_null(strstr(open_task(verdict.task)->text, "no room"));
    reboot_with_floor(0);
    world_run(&world, 5000);
    assert_state(verdict.job, SB_TASK_SUCCEEDED);
}

/* Over a power cut, too. */
ATTACK(a_fetch_that_ends_under_the_floor)
{
    shelf.step_ms = 2000;
    struct sb_verdict verdict = ask(SB_OP_FIRMWARE_UPDATE, "a", "2.0.0", NULL);
    world_run(&world, 1000);
    assert_string_equal(sb_task_state_name((int)open_task(verdict.task)->state), "downloading");
    reboot_with_floor(INT64_C(1) << 60);
    refused(world_ask(&world, SB_OP_FIRMWARE_UPDATE, "b", "2.0.0"), SB_CAUSE_NO_SPACE);
    world_run(&world, 20000);
    assert_state(verdict.job, SB_TASK_SUCCEEDED);
    reboot_with_floor(0);
}

ATTACK(a_wait_for_an_image_ends)
{
    struct sb_verdict verdict =
        ask(SB_OP_FIRMWARE_UPDATE, "a", "2.0.0", &(struct sb_policy){ .hold = true });
    world_run(&world, 100);
    reboot_with_floor(INT64_C(1) << 60);
    assert_int_equal(sb_runner_confirm(world.core->runner, open_task(verdict.task), "test"), 0);
    sb_sim_advance(world.loop, SB_DAY / 2);
    assert_reason(verdict.task, SB_REASON_ARTIFACT);
    sb_sim_advance(world.loop, SB_DAY / 2 + SB_MINUTE);
    assert_state(verdict.job, SB_TASK_FAILED);
    assert_cause(verdict.job, SB_CAUSE_DOWNLOAD_FAILED);
}

/* Also of a gateway whose power goes every few hours. */
ATTACK(a_wait_for_an_image_ends_over_power_cuts)
{
    struct sb_verdict verdict =
        ask(SB_OP_FIRMWARE_UPDATE, "a", "2.0.0", &(struct sb_policy){ .hold = true });
    world_run(&world, 100);
    reboot_with_floor(INT64_C(1) << 60);
    assert_int_equal(sb_runner_confirm(world.core->runner, open_task(verdict.task), "test"), 0);
    for (int i = 0; i < 9 && world_state(&world, verdict.job) == SB_TASK_QUEUED; i++) {
        sb_sim_advance(world.loop, 3 * SB_HOUR);
        restart();
        if (i == 0) /* but for what had passed since it was written last */
            assert_true(open_task(verdict.task)->spent_artifact > 3 * SB_HOUR - 6 * SB_MINUTE);
    }
    assert_state(verdict.job, SB_TASK_FAILED);
    assert_cause(verdict.job, SB_CAUSE_DOWNLOAD_FAILED);
}

/* Who waits for another's download can be taken back, and the other goes on; who fetches can, and
 * the next one fetches. */
ATTACK(cancels_around_a_download)
{
    struct sb_verdict verdicts[3];
    static const char *const on[] = { "a", "b", "d" };
    shelf.step_ms = 2000;
    for (size_t i = 0; i < SB_COUNT(on); i++)
        verdicts[i] = ask(SB_OP_FIRMWARE_UPDATE, on[i], "2.0.0", NULL);
    world_run(&world, 1000);
    assert_reason(verdicts[1].task, SB_REASON_ARTIFACT);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(sb_runner_cancel(world.core->runner, open_task(verdicts[i].task),
                                          SB_CAUSE_OPERATOR, "test"),
                         0);
    world_run(&world, 60000);
    assert_state(verdicts[0].job, SB_TASK_CANCELLED);
    assert_state(verdicts[1].job, SB_TASK_CANCELLED);
    assert_state(verdicts[2].job, SB_TASK_SUCCEEDED);
    assert_int_equal(bench_device("a")->installs + bench_device("b")->installs, 0);
}

/* A package that was only named; later somebody says where it is. */
ATTACK(an_image_known_by_name)
{
    static const char *const devices[] = { "a" };
    struct sb_verdict verdict = { 0 };
    sb_cleanup(json_decrefp) json_t *name =
        json_pack("{s:s,s:s,s:s}", "id", "pump-fw", "name", "pump firmware", "version", "2.0.0");
    const struct sb_request request = {
        .op = SB_OP_FIRMWARE_UPDATE, .devices = devices, .device_count = 1, .package = name
    };
    assert_int_equal(sb_intake_submit(&world.core->intake, "native", false, &request, &verdict), 0);
    verdict = accepted(verdict);
    world_run(&world, 3000);
    assert_reason(verdict.task, SB_REASON_ARTIFACT);
    assert_non_null(strstr(open_task(verdict.task)->text, "by name only"));
    struct sb_package *package = sb_packages_get(world.core->packages, "pump-fw");
    assert_int_equal(sb_set_string(&package->uri, "https://fw.example.com/pump.bin"), 0);
    assert_int_equal(sb_packages_save(world.core->packages, package), 0);
    world_run(&world, 2 * SB_MINUTE);
    assert_state(verdict.job, SB_TASK_SUCCEEDED);
}

/* ---- start: online ---- */

/* What was known of its presence does not count: it has gone meanwhile, and nobody has noticed. */
ATTACK(a_fresh_sign_of_life)
{
    const struct sb_policy policy = { .start = SB_START_ONLINE };
    bench_device("a")->offline = true;
    struct sb_verdict verdict = ask(SB_OP_REBOOT, "a", NULL, &policy);
    struct sb_verdict at_once = ask(SB_OP_REBOOT, "b", NULL, &policy);
    world_run(&world, 20);
    assert_reason(verdict.task, SB_REASON_OFFLINE);
    assert_reason(at_once.task, SB_REASON_OFFLINE);
    world_run(&world, 3000);
    assert_state(at_once.job, SB_TASK_SUCCEEDED);
    assert_reason(verdict.task, SB_REASON_OFFLINE);
    assert_int_equal(open_task(verdict.task)->attempt, 0);
    restart();
    bench_device("a")->offline = false;
    world_run(&world, 60000);
    assert_state(verdict.job, SB_TASK_SUCCEEDED);
    assert_int_equal(bench_device("a")->boots, 1);
}

/* ---- edits ---- */

static int edit(struct cloud *by, int64_t job, const char *policy, const char *tags,
                char **ret_text)
{
    sb_cleanup(json_decrefp) json_t *changes = policy ? json_loads(policy, 0, NULL) : NULL;
    sb_cleanup(json_decrefp) json_t *notes = tags ? json_loads(tags, 0, NULL) : NULL;
    const struct sb_edit what = { .policy = changes, .tags = notes, .rule = -1 };
    return sb_host_edit(by->host, by->door, job, &what, ret_text);
}

ATTACK(limits_and_tags_change)
{
    sb_cleanup(sb_freep) char *text = NULL;
    const struct sb_policy policy = { .whole_timeout = SB_HOUR, .pull = true };
    struct sb_verdict verdict = ask(SB_OP_REBOOT, "a", NULL, &policy);
    world_run(&world, 10000);
    assert_int_equal(edit(&cloud, verdict.job, "{\"concurrency\":3,\"run_timeout\":7}",
                          "{\"why\":\"recall\",\"who\":\"me\"}", &text),
                     0);
    assert_int_equal(edit(&cloud, verdict.job, NULL, "{\"who\":null}", &text), 0);
    world_run(&world, 10);
    restart();
    const struct sb_job *job = sb_book_job(world.core->book, verdict.job);
    assert_int_equal(job->policy.concurrency, 3);
    assert_int_equal(job->policy.run_timeout, 7);
    assert_int_equal(job->policy.whole_timeout, SB_HOUR);
    assert_string_equal(sb_json_str(job->tags, "why"), "recall");
    assert_int_equal(json_object_size(job->tags), 1);
    /* What has passed counts: ten seconds are over already. */
    world_run(&world, 10000);
    assert_int_equal(edit(&cloud, verdict.job, "{\"whole_timeout\":5000}", NULL, &text), 0);
    world_run(&world, 100);
    assert_state(verdict.job, SB_TASK_FAILED);
    assert_cause(verdict.job, SB_CAUSE_TIMEOUT);
    assert_int_equal(edit(&cloud, verdict.job, "{\"whole_timeout\":0}", NULL, &text), -ENOENT);
}

ATTACK(a_rate_is_raised)
{
    sb_cleanup(sb_freep) char *text = NULL;
    static const char *const devices[] = { "a", "b", "c" };
    struct sb_request request = { .op = SB_OP_REBOOT, .devices = devices, .device_count = 3 };
    request.policy.rate_per_minute = 1;
    struct sb_verdict verdict = { 0 };
    assert_int_equal(sb_host_submit(cloud.host, cloud.door, &request, &verdict), 0);
    world_run(&world, 3000);
    const struct sb_job *job = sb_book_job(world.core->book, verdict.job);
    assert_int_equal(job->tasks[2]->reason, SB_REASON_RATE);
    assert_int_equal(edit(&cloud, verdict.job, "{\"rate_per_minute\":0}", NULL, &text), 0);
    world_run(&world, 3000);
    assert_null(sb_book_job(world.core->book, verdict.job));
}

ATTACK(what_cannot_be_edited)
{
    static const struct {
        const char *policy, *tags, *says;
    } table[] = {
        { "{\"pull\":false}", NULL, "'pull' cannot be changed" },
        { "{\"colour\":1}", NULL, "rate_per_minute, concurrency, online_timeout" },
        { "{\"rate_per_minute\":-1}", NULL, "(a whole number, 0 to 4294967295)" },
        { "{\"rate_per_minute\":\"fast\"}", NULL, "not a legal value" },
        { "{\"rate_per_minute\":9,\"retries\":1}", NULL, "'retries' cannot" },
        { NULL, "{\"a\":5}", "a tag is a name" },
        { NULL, "{\"\":\"x\"}", "a tag is a name" },
    };
    struct sb_verdict verdict = ask(SB_OP_REBOOT, "d", NULL, &(struct sb_policy){ .pull = true });
    for (size_t i = 0; i < SB_COUNT(table); i++) {
        sb_cleanup(sb_freep) char *text = NULL;
        assert_int_equal(edit(&cloud, verdict.job, table[i].policy, table[i].tags, &text), -EINVAL);
        if (!text || !strstr(text, table[i].says))
            fail_msg("'%s' is not in '%s'", table[i].says, text ? text : "");
    }
    const struct sb_job *job = sb_book_job(world.core->book, verdict.job);
    assert_int_equal(job->policy.rate_per_minute, 0); /* nothing of a refused edit is done */
    assert_null(job->tags);
    sb_cleanup(sb_freep) char *text = NULL;
    assert_int_equal(edit(&south, verdict.job, "{\"concurrency\":1}", NULL, &text), -EPERM);
    world_run(&world, 100);
    sb_store_mem_fail_next(world.disk, 1, -ENOSPC);
    (void)ask(SB_OP_READ, "a", NULL, NULL);
    for (int i = 0; i < 100 && !sb_store_failing(world.core->store); i++)
        sb_sim_turn(world.loop);
    assert_int_equal(edit(&cloud, verdict.job, "{\"concurrency\":1}", NULL, &text), -EAGAIN);
    world_run(&world, 10000);
}
