/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs for groups and samples, and rules: who is meant, once, over restarts, until they end. */
#include "tests/scenario/attack.h"

#define CHOSEN_MAX 8

/* What a test asks for; members that are not given stay empty. */
struct wish {
    enum sb_op op;
    const char *version; /* of the image */
    const char *group, *type, *running;
    const char *devices[CHOSEN_MAX];
    int sample;
    bool rule;
    const char *id;
    struct sb_policy policy;
    struct cloud *by; /* NULL: an operator */
};

static json_t *list_of(const char *text)
{
    return text ? json_pack("[s]", text) : NULL;
}

static struct sb_verdict wish_for(const struct wish *wish)
{
    struct sb_verdict verdict = { 0 };
    sb_cleanup(sb_freep) char *uri =
        sb_format("https://fw.example.com/%s.bin", wish->version ? wish->version : "");
    sb_cleanup(json_decrefp) json_t *package =
        wish->version ? json_pack("{s:s,s:s}", "uri", uri, "version", wish->version) : NULL;
    struct sb_targets targets = { .groups = list_of(wish->group),
                                  .types = list_of(wish->type),
                                  .versions = wish->running ? strdup(wish->running) : NULL,
                                  .sample = (uint8_t)wish->sample };
    size_t count = 0;
    while (count < CHOSEN_MAX && wish->devices[count])
        count++;
    const struct sb_request request = { .op = wish->op,
                                        .external_id = wish->id,
                                        .devices = wish->devices,
                                        .device_count = count,
                                        .targets = &targets,
                                        .rule = wish->rule,
                                        .package = package,
                                        .policy = wish->policy };
    int r = wish->by ? sb_host_submit(wish->by->host, wish->by->door, &request, &verdict)
                     : sb_intake_submit(&world.core->intake, "native", false, &request, &verdict);
    assert_int_equal(r, 0);
    sb_targets_done(&targets);
    return verdict;
}

static int64_t wished(const struct wish *wish)
{
    struct sb_verdict verdict = accepted(wish_for(wish));
    int64_t job = verdict.job;
    sb_verdict_done(&verdict);
    return job;
}

#define WISH(...) wished(&(struct wish){ __VA_ARGS__ })
#define UPDATE    .op = SB_OP_FIRMWARE_UPDATE, .version = "2.0.0"

static void add(const char *id, const char *type, const char *group)
{
    struct sb_diags diags = { 0 };
    sb_cleanup(json_decrefp) json_t *spec = json_pack("{s:s,s:s}", "id", id, "type", type);
    if (group)
        (void)json_object_set_new(spec, "groups", json_pack("[s]", group));
    assert_int_equal(sb_core_add_device(world.core, spec, "test", &diags), 0);
    sb_diags_done(&diags);
}

static void regroup(const char *id, const char *group)
{
    struct sb_diags diags = { 0 };
    sb_cleanup(json_decrefp) json_t *groups = group ? json_pack("[s]", group) : json_array();
    assert_int_equal(sb_core_group_device(world.core, id, groups, "test", &diags), 0);
    sb_diags_done(&diags);
}

static void restart(bool cut)
{
    world_off(&world, cut);
    world_boot(&world);
    world_run(&world, 1000);
}

/* Tasks of a job, open or stored, on one device (NULL: all); ret_last: the last one's state. */
static size_t tasks(int64_t job, const char *on, enum sb_task_state *ret_last,
                    enum sb_cause *ret_cause)
{
    sb_cleanup(sb_job_freep) struct sb_job *stored = world_job(&world, job);
    size_t n = 0;
    for (size_t i = 0; i < stored->task_count; i++) {
        const struct sb_task *task = stored->tasks[i];
        if (on && strcmp(task->device, on) != 0)
            continue;
        n++;
        if (ret_last)
            *ret_last = task->state;
        if (ret_cause)
            *ret_cause = task->cause;
    }
    return n;
}

static void assert_one(int64_t job, const char *on, enum sb_task_state wanted)
{
    enum sb_task_state state = SB_TASK_STATE_INVALID;
    assert_int_equal(tasks(job, on, &state, NULL), 1);
    assert_string_equal(sb_task_state_name((int)state), sb_task_state_name((int)wanted));
}

static enum sb_job_state job_state(int64_t id)
{
    sb_cleanup(sb_job_freep) struct sb_job *job = world_job(&world, id);
    return job->state;
}

static void edit_rule(int64_t job, bool on)
{
    sb_cleanup(sb_freep) char *text = NULL;
    const struct sb_edit edit = { .rule = on };
    assert_int_equal(sb_intake_edit(&world.core->intake, job, &edit, "test", &text), 0);
}

static void end_rule(int64_t job)
{
    edit_rule(job, false);
    world_run(&world, 100);
    assert_int_equal(job_state(job), SB_JOB_DONE);
}

/* ---- groups and samples ---- */

ATTACK(a_group)
{
    add("g1", "one-step", "hall");
    add("g2", "two-step", "hall");
    add("g3", "one-step", "yard");
    world_run(&world, 1000);
    int64_t job = WISH(UPDATE, .group = "hall");
    world_run(&world, 5000);
    assert_int_equal(tasks(job, NULL, NULL, NULL), 2);
    assert_one(job, "g1", SB_TASK_SUCCEEDED);
    assert_one(job, "g2", SB_TASK_SUCCEEDED);
    assert_int_equal(job_state(job), SB_JOB_DONE); /* it has chosen once */
    add("g4", "one-step", "hall");
    world_run(&world, 3000);
    assert_int_equal(tasks(job, NULL, NULL, NULL), 2);
    /* by type, by version, by name and group together */
    job = WISH(.op = SB_OP_REBOOT, .type = "two-step");
    world_run(&world, 3000);
    assert_int_equal(tasks(job, NULL, NULL, NULL), 2); /* c and g2 */
    job = WISH(.op = SB_OP_REBOOT, .running = "2.0,1.9.9");
    world_run(&world, 3000);
    assert_int_equal(tasks(job, NULL, NULL, NULL), 2);
    job = WISH(.op = SB_OP_REBOOT, .devices = { "a", "g3" }, .group = "hall", .type = "one-step");
    world_run(&world, 3000);
    assert_int_equal(tasks(job, NULL, NULL, NULL), 4); /* a, g1, g3, g4 */
    refused(wish_for(&(struct wish){ .op = SB_OP_REBOOT, .group = "nowhere" }),
            SB_CAUSE_INVALID_REQUEST);
    refused(wish_for(&(struct wish){ .op = SB_OP_REBOOT, .group = "" }), SB_CAUSE_INVALID_REQUEST);
    refused(wish_for(&(struct wish){ .op = SB_OP_REBOOT, .sample = 101 }),
            SB_CAUSE_INVALID_REQUEST);
}

/* Of those that were chosen, who cannot do it fails alone, with the cause; named, it refuses. */
ATTACK(one_of_a_group_cannot)
{
    world_write(&world, "devices/reader.yaml",
                "name: reader\ndriver: bench\nverify: none\noperations: [ read ]\n");
    struct sb_diags diags = { 0 };
    assert_int_equal(sb_core_reload(world.core, "test", &diags), 0);
    add("g1", "one-step", "hall");
    add("g2", "reader", "hall");
    add("g3", "one-step", "hall");
    world_run(&world, 1000);
    int64_t held = WISH(UPDATE, .devices = { "g3" }, .policy = { .hold = true });
    int64_t job = WISH(UPDATE, .group = "hall");
    world_run(&world, 5000);
    enum sb_cause cause = SB_CAUSE_NONE;
    assert_one(job, "g1", SB_TASK_SUCCEEDED);
    assert_one(job, "g2", SB_TASK_FAILED);
    assert_one(job, "g3", SB_TASK_FAILED);
    (void)tasks(job, "g2", NULL, &cause);
    assert_int_equal(cause, SB_CAUSE_UNSUPPORTED);
    (void)tasks(job, "g3", NULL, &cause);
    assert_int_equal(cause, SB_CAUSE_CONFLICT);
    assert_state(held, SB_TASK_HELD);
    refused(wish_for(&(struct wish){ UPDATE, .devices = { "g2" }, .group = "hall" }),
            SB_CAUSE_UNSUPPORTED);
    /* and a link that may not command a device does not mean it */
    job = WISH(.op = SB_OP_REBOOT, .type = "one-step", .by = &south);
    world_run(&world, 5000);
    assert_int_equal(tasks(job, "d", NULL, NULL), 0); /* north's alone */
    assert_int_equal(tasks(job, NULL, NULL, NULL), 4);
}

ATTACK(the_same_choice_again)
{
    add("g1", "one-step", "hall");
    world_run(&world, 1000);
    const struct wish wish = { UPDATE, .group = "hall", .id = "x1", .policy = { .hold = true } };
    int64_t job = wished(&wish);
    add("g2", "one-step", "hall"); /* the group has grown, the request is the same */
    struct sb_verdict again = accepted(wish_for(&wish));
    assert_true(again.existing);
    assert_int_equal(again.job, job);
    struct wish other = wish;
    other.rule = true;
    refused(wish_for(&other), SB_CAUSE_CONFLICT);
    other = wish;
    other.group = "yard";
    refused(wish_for(&other), SB_CAUSE_CONFLICT);
    other = wish;
    other.group = NULL;
    other.devices[0] = "g1";
    refused(wish_for(&other), SB_CAUSE_CONFLICT);
    /* After a failure a new round of those that failed, also over a restart. */
    assert_int_equal(
        sb_runner_cancel(world.core->runner, open_task(again.task), SB_CAUSE_OPERATOR, "test"), 0);
    restart(false);
    again = accepted(wish_for(&wish));
    assert_int_equal(again.job, job);
    assert_false(again.existing);
    assert_int_equal(sb_runner_confirm(world.core->runner, open_task(again.task), "test"), 0);
    world_run(&world, 5000);
    enum sb_task_state last;
    assert_int_equal(tasks(job, "g1", &last, NULL), 2);
    assert_int_equal(last, SB_TASK_SUCCEEDED);
    assert_int_equal(tasks(job, "g2", NULL, NULL), 0);
}

#define has_task(job, on) (tasks(job, on, NULL, NULL) > 0)

/* The exact share, the same again, and a larger one holds the smaller. */
ATTACK(a_sample)
{
    char id[16];
    for (int i = 0; i < 20; i++) {
        (void)snprintf(id, sizeof(id), "s%d", i);
        add(id, "one-step", "hall");
    }
    world_run(&world, 3000);
    int64_t jobs[4];
    static const int samples[] = { 1, 25, 25, 60 };
    static const size_t wanted[] = { 1, 5, 5, 12 };
    for (size_t j = 0; j < SB_COUNT(samples); j++) {
        jobs[j] = WISH(.op = SB_OP_REBOOT, .group = "hall", .sample = samples[j]);
        world_run(&world, 5000);
        assert_int_equal(tasks(jobs[j], NULL, NULL, NULL), wanted[j]);
    }
    for (int i = 0; i < 20; i++) {
        (void)snprintf(id, sizeof(id), "s%d", i);
        assert_int_equal(has_task(jobs[1], id), has_task(jobs[2], id));
        assert_true(has_task(jobs[3], id) || !has_task(jobs[1], id));
    }
    /* Other content, other devices first: not always the same ones bear the risk. */
    int64_t other = WISH(UPDATE, .group = "hall", .sample = 25);
    world_run(&world, 20000);
    unsigned both = 0;
    for (int i = 0; i < 20; i++) {
        (void)snprintf(id, sizeof(id), "s%d", i);
        both += has_task(other, id) && has_task(jobs[1], id);
    }
    assert_int_equal(tasks(other, NULL, NULL, NULL), 5);
    print_message("%u of 5 are in both samples\n", both);
}

/* ---- rules ---- */

ATTACK(a_rule_meets_all_that_come)
{
    add("g1", "one-step", "hall");
    add("g2", "one-step", NULL);
    world_run(&world, 1000);
    int64_t job = WISH(UPDATE, .group = "hall", .rule = true);
    world_run(&world, 5000);
    assert_one(job, "g1", SB_TASK_SUCCEEDED);
    assert_int_equal(job_state(job), SB_JOB_ACTIVE); /* all are final, the rule is on */
    add("g3", "two-step", "hall");                   /* a new device */
    regroup("g2", "hall");                           /* one that moves in */
    world_run(&world, 5000);
    assert_one(job, "g2", SB_TASK_SUCCEEDED);
    assert_one(job, "g3", SB_TASK_SUCCEEDED);
    assert_int_equal(tasks(job, NULL, NULL, NULL), 3);
    /* of a file, after a reload and a restart */
    world_write(&world, "devices.d/more.yaml",
                "devices:\n  - { id: g4, type: one-step, groups: [ hall ] }\n");
    restart(false);
    world_run(&world, 5000);
    assert_one(job, "g4", SB_TASK_SUCCEEDED);
    world_write(&world, "devices.d/more.yaml",
                "devices:\n  - { id: g4, type: one-step, groups: [ hall ] }\n"
                "  - { id: g5, type: one-step, groups: [ hall ] }\n");
    struct sb_diags diags = { 0 };
    assert_int_equal(sb_core_reload(world.core, "test", &diags), 0);
    world_run(&world, 5000);
    assert_one(job, "g5", SB_TASK_SUCCEEDED);
    end_rule(job);
    add("g6", "one-step", "hall");
    world_run(&world, 3000);
    assert_int_equal(tasks(job, NULL, NULL, NULL), 5);
    assert_string_equal(bench_device("g6")->version, "1.0.0");
}

/* Somebody else's change does not arm it again: no two clouds flash a device back and forth. */
ATTACK(a_rule_acts_once)
{
    add("g1", "one-step", "hall");
    world_run(&world, 1000);
    int64_t job = WISH(UPDATE, .group = "hall", .rule = true);
    world_run(&world, 5000);
    assert_string_equal(bench_device("g1")->version, "2.0.0");
    struct sb_policy policy = { .allow_downgrade = true };
    (void)accepted(world_ask_with(&world, SB_OP_FIRMWARE_UPDATE, "g1", "1.5.0", &policy));
    world_run(&world, 5000);
    assert_string_equal(bench_device("g1")->version, "1.5.0");
    restart(true);
    regroup("g1", NULL);
    regroup("g1", "hall");
    assert_int_equal(sb_runner_identify(world.core->runner, "g1"), 0);
    world_run(&world, 5000);
    assert_one(job, "g1", SB_TASK_SUCCEEDED);
    assert_int_equal(bench_device("g1")->installs, 2);
    /* A device that was removed and comes anew is another one. */
    assert_int_equal(sb_core_remove_device(world.core, "g1", "test"), 0);
    add("g1", "one-step", "hall");
    world_run(&world, 5000);
    enum sb_task_state last;
    assert_int_equal(tasks(job, "g1", &last, NULL), 2);
    assert_int_equal(last, SB_TASK_SUCCEEDED);
    assert_string_equal(bench_device("g1")->version, "2.0.0");
    end_rule(job);
}

/* Two rules of two clouds that want two versions: each acts once, and there is peace. */
ATTACK(two_rules_do_not_quarrel)
{
    add("g1", "one-step", "hall");
    world_run(&world, 1000);
    int64_t first = WISH(.op = SB_OP_FIRMWARE_UPDATE, .version = "2.0.0", .group = "hall",
                         .rule = true, .by = &cloud, .policy = { .allow_downgrade = true });
    int64_t second = WISH(.op = SB_OP_FIRMWARE_UPDATE, .version = "3.0.0", .group = "hall",
                          .rule = true, .by = &south, .policy = { .allow_downgrade = true });
    world_run(&world, 60000);
    assert_one(first, "g1", SB_TASK_SUCCEEDED);
    assert_one(second, "g1", SB_TASK_SUCCEEDED); /* it has waited for the first one's end */
    assert_int_equal(bench_device("g1")->installs, 2);
    add("g2", "one-step", "hall");
    world_run(&world, 10);
    restart(true);
    world_run(&world, 60000);
    assert_int_equal(bench_device("g1")->installs, 2);
    assert_int_equal(bench_device("g2")->installs, 2);
    assert_string_equal(bench_device("g2")->version, "3.0.0");
    end_rule(first);
    end_rule(second);
}

/* By version: who says an old one joins when it says so. */
ATTACK(a_rule_by_version)
{
    add("g1", "one-step", NULL);
    (void)snprintf(bench_device("g1")->version, sizeof(bench_device("g1")->version), "1.8.0");
    world_run(&world, 1000);
    int64_t job = WISH(UPDATE, .type = "one-step", .running = "1.7.0,1.7.1", .rule = true);
    world_run(&world, 5000);
    assert_int_equal(tasks(job, NULL, NULL, NULL), 0);
    assert_int_equal(job_state(job), SB_JOB_ACTIVE);
    (void)snprintf(bench_device("g1")->version, sizeof(bench_device("g1")->version), "1.7.1");
    assert_int_equal(sb_runner_identify(world.core->runner, "g1"), 0);
    world_run(&world, 5000);
    assert_one(job, "g1", SB_TASK_SUCCEEDED);
    assert_string_equal(bench_device("g1")->version, "2.0.0");
    end_rule(job);
}

/* A device that could be named, too, only with a sample of its own. */
ATTACK(a_rule_with_a_sample)
{
    char id[16];
    int64_t job = WISH(.op = SB_OP_REBOOT, .group = "hall", .sample = 50, .rule = true);
    for (int i = 0; i < 40; i++) {
        (void)snprintf(id, sizeof(id), "s%d", i);
        add(id, "one-step", "hall");
    }
    world_run(&world, 10000);
    size_t chosen = tasks(job, NULL, NULL, NULL);
    assert_in_range(chosen, 3, 37);
    restart(true);
    assert_int_equal(tasks(job, NULL, NULL, NULL), chosen);
    end_rule(job);
}

/* What it cannot act on does not match; when that changes, it does. */
ATTACK(who_is_passed_by)
{
    world_write(&world, "devices/reader.yaml",
                "name: reader\ndriver: bench\nverify: none\noperations: [ read ]\n");
    struct sb_diags diags = { 0 };
    assert_int_equal(sb_core_reload(world.core, "test", &diags), 0);
    add("g1", "reader", "hall");
    int64_t job = WISH(.op = SB_OP_REBOOT, .group = "hall", .rule = true);
    int64_t other = WISH(.op = SB_OP_REBOOT, .type = "one-step", .rule = true, .by = &south);
    world_run(&world, 5000);
    assert_int_equal(tasks(job, NULL, NULL, NULL), 0);
    assert_int_equal(tasks(other, "d", NULL, NULL), 0); /* not its to command */
    assert_one(other, "a", SB_TASK_SUCCEEDED);
    world_write(&world, "devices/reader.yaml", "name: reader\ndriver: bench\nverify: none\n");
    assert_int_equal(sb_core_reload(world.core, "test", &diags), 0);
    world_run(&world, 5000);
    assert_one(job, "g1", SB_TASK_SUCCEEDED);
    end_rule(job);
    end_rule(other);
}

ATTACK(switching)
{
    sb_cleanup(sb_freep) char *text = NULL;
    int64_t job =
        WISH(.op = SB_OP_REBOOT, .group = "hall", .rule = true, .policy = { .hold = true });
    add("g1", "one-step", "hall");
    world_run(&world, 1000);
    edit_rule(job, false);
    world_run(&world, 100);
    assert_int_equal(job_state(job), SB_JOB_ACTIVE); /* a task is open */
    add("g2", "one-step", "hall");
    world_run(&world, 1000);
    assert_int_equal(tasks(job, NULL, NULL, NULL), 1);
    edit_rule(job, true); /* on again: who came meanwhile is met */
    world_run(&world, 1000);
    assert_int_equal(tasks(job, NULL, NULL, NULL), 2);
    const struct sb_edit on = { .rule = 1 };
    int64_t plain = WISH(.op = SB_OP_REBOOT, .devices = { "a" }, .policy = { .hold = true });
    assert_int_equal(sb_intake_edit(&world.core->intake, plain, &on, "test", &text), -EINVAL);
    assert_non_null(strstr(text, "not a rule"));
    assert_int_equal(sb_intake_edit(&world.core->intake, 4711, &on, "test", &text), -ENOENT);
    refused(wish_for(&(struct wish){ .op = SB_OP_FIRMWARE_INSTALL, .group = "x", .rule = true }),
            SB_CAUSE_INVALID_REQUEST); /* what is staged differs */
}

/* Ended in the turn in which it is switched on again: it stays ended. */
ATTACK(switched_on_too_late)
{
    sb_cleanup(sb_freep) char *text = NULL;
    const struct sb_edit on = { .rule = 1 };
    int64_t job = WISH(.op = SB_OP_REBOOT, .group = "hall", .rule = true);
    world_run(&world, 100);
    edit_rule(job, false);
    assert_int_equal(sb_intake_edit(&world.core->intake, job, &on, "test", &text), -ENOENT);
    world_run(&world, 100);
    assert_int_equal(job_state(job), SB_JOB_DONE);
    assert_null(sb_book_job(world.core->book, job));
}

/* Ended, taken up again, and switched on: it knows its tasks as they are now. */
ATTACK(switched_on_after_a_retry)
{
    add("g1", "one-step", "hall");
    add("g2", "one-step", "hall");
    world_run(&world, 1000);
    bench_device("g2")->fault = BENCH_COMMIT;
    bench_device("g2")->cause = SB_CAUSE_INSTALL_FAILED;
    bench_device("g2")->faults = 1;
    int64_t job = WISH(UPDATE, .group = "hall", .rule = true);
    world_run(&world, 10000);
    end_rule(job);
    assert_int_equal(sb_intake_retry(&world.core->intake, job, "test"), 0);
    edit_rule(job, true);
    world_run(&world, 10000);
    assert_one(job, "g1", SB_TASK_SUCCEEDED);
    assert_int_equal(tasks(job, "g2", NULL, NULL), 2);
    end_rule(job);
}

/* A rule may come to touch any device: only the door that made it may change it. */
ATTACK(whose_rule_it_is)
{
    sb_cleanup(sb_freep) char *text = NULL;
    const struct sb_edit off = { .rule = 0 };
    int64_t job = WISH(.op = SB_OP_REBOOT, .group = "hall", .rule = true, .by = &cloud);
    world_run(&world, 100);
    assert_int_equal(sb_host_edit(south.host, south.door, job, &off, &text), -EPERM);
    assert_int_equal(job_state(job), SB_JOB_ACTIVE);
    assert_int_equal(sb_host_edit(cloud.host, cloud.door, job, &off, &text), 0);
    world_run(&world, 100);
    assert_int_equal(job_state(job), SB_JOB_DONE);
    assert_int_equal(sb_host_edit(cloud.host, cloud.door, job, &off, &text), -ENOENT);
}

/* Under the free-space floor nobody joins; whoever came meanwhile does when there is room. */
ATTACK(no_room_on_the_disk)
{
    int64_t job = WISH(.op = SB_OP_REBOOT, .group = "hall", .rule = true);
    world_run(&world, 100);
    int64_t floor = world.config->artifacts.free_floor;
    world_off(&world, false);
    world.config->artifacts.free_floor = INT64_C(1) << 60;
    world_boot(&world);
    add("g1", "one-step", "hall");
    world_run(&world, 3 * SB_MINUTE);
    assert_int_equal(tasks(job, NULL, NULL, NULL), 0);
    world_off(&world, false);
    world.config->artifacts.free_floor = floor;
    world_boot(&world);
    world_run(&world, 5000);
    assert_one(job, "g1", SB_TASK_SUCCEEDED);
    end_rule(job);
}

/* What failed is tried again while the rule is on. */
ATTACK(retry_under_a_rule)
{
    add("g1", "one-step", "hall");
    world_run(&world, 1000);
    bench_device("g1")->fault = BENCH_COMMIT;
    bench_device("g1")->cause = SB_CAUSE_INSTALL_FAILED;
    bench_device("g1")->faults = 1;
    int64_t job = WISH(UPDATE, .group = "hall", .rule = true);
    world_run(&world, 5000);
    assert_one(job, "g1", SB_TASK_FAILED);
    restart(true);
    assert_one(job, "g1", SB_TASK_FAILED); /* once */
    assert_int_equal(sb_intake_retry(&world.core->intake, job, "test"), 0);
    assert_int_equal(sb_intake_retry(&world.core->intake, job, "test"), -ENODATA);
    world_run(&world, 5000);
    enum sb_task_state last;
    assert_int_equal(tasks(job, "g1", &last, NULL), 2);
    assert_int_equal(last, SB_TASK_SUCCEEDED);
    end_rule(job);
}

ATTACK(the_end_time_of_a_rule)
{
    int64_t end = sb_loop_wall(world.loop) + 90 * SB_SECOND;
    int64_t job =
        WISH(.op = SB_OP_REBOOT, .group = "hall", .rule = true, .policy = { .end_at = end });
    world_run(&world, 60000);
    assert_int_equal(job_state(job), SB_JOB_ACTIVE);
    world_run(&world, 31000);
    assert_int_equal(job_state(job), SB_JOB_DONE);
}

/* More than there is room for at once: the others join as tasks end. */
ATTACK(room)
{
    char id[16];
    world_off(&world, false);
    world.config->limits.tasks = 5;
    world_boot(&world);
    for (int i = 0; i < 12; i++) {
        (void)snprintf(id, sizeof(id), "s%d", i);
        add(id, "one-step", "hall");
    }
    world_run(&world, 3000);
    int64_t job = WISH(.op = SB_OP_REBOOT, .group = "hall", .rule = true);
    world_run(&world, 100);
    assert_int_equal(tasks(job, NULL, NULL, NULL), 5);
    world_run(&world, 20000);
    assert_int_equal(tasks(job, NULL, NULL, NULL), 12);
    for (int i = 0; i < 12; i++) {
        (void)snprintf(id, sizeof(id), "s%d", i);
        assert_one(job, id, SB_TASK_SUCCEEDED);
    }
    end_rule(job);
}

/* Rules wait for room in order of their age, and none is forgotten for it. */
ATTACK(room_for_two_rules)
{
    char id[16];
    world_off(&world, false);
    world.config->limits.tasks = 3;
    world_boot(&world);
    for (int i = 0; i < 8; i++) {
        (void)snprintf(id, sizeof(id), "s%d", i);
        add(id, "one-step", i % 2 ? "odd" : "even");
    }
    world_run(&world, 3000);
    int64_t first = WISH(.op = SB_OP_REBOOT, .group = "odd", .rule = true);
    int64_t second = WISH(.op = SB_OP_REBOOT, .group = "even", .rule = true);
    world_run(&world, 100);
    assert_int_equal(tasks(first, NULL, NULL, NULL), 3);
    assert_int_equal(tasks(second, NULL, NULL, NULL), 0);
    regroup("s2", NULL); /* and back: what is looked at meanwhile takes nobody's turn away */
    regroup("s2", "even");
    world_run(&world, 30000);
    assert_int_equal(tasks(first, NULL, NULL, NULL), 4);
    assert_int_equal(tasks(second, NULL, NULL, NULL), 4);
    end_rule(first);
    end_rule(second);
}

/* A link that is down has room for so many reports: its rule goes no further, and its groups are
 * refused, while others' rules go on. What was asked for already is answered as before. */
ATTACK(no_room_for_reports)
{
    char id[16];
    world_off(&world, false);
    world.config->outbox.count = 16;
    world_boot(&world);
    for (int i = 0; i < 20; i++) {
        (void)snprintf(id, sizeof(id), "s%d", i);
        add(id, "one-step", "hall");
    }
    world_run(&world, 5000);
    const struct wish first = { .op = SB_OP_REBOOT, .devices = { "c" }, .by = &cloud, .id = "x1" };
    (void)wished(&first);
    world_run(&world, 3000);
    cloud_link(false);
    refused(wish_for(&(struct wish){ .op = SB_OP_REBOOT, .group = "hall", .by = &cloud }),
            SB_CAUSE_BUSY);
    int64_t job = WISH(.op = SB_OP_REBOOT, .group = "hall", .rule = true, .by = &cloud);
    int64_t other = WISH(.op = SB_OP_REBOOT, .group = "hall", .rule = true);
    world_run(&world, 3 * SB_MINUTE);
    assert_in_range(tasks(job, NULL, NULL, NULL), 8, 12); /* three quarters */
    assert_int_equal(tasks(other, NULL, NULL, NULL), 20);
    refused(wish_for(&(struct wish){ .op = SB_OP_REBOOT, .devices = { "c" }, .by = &cloud }),
            SB_CAUSE_BUSY);
    struct sb_verdict again = accepted(wish_for(&first));
    assert_true(again.existing);
    sb_verdict_done(&again);
    cloud_link(true);
    world_run(&world, 5 * SB_MINUTE);
    assert_int_equal(tasks(job, NULL, NULL, NULL), 20);
    unsigned finals = 0;
    for (size_t i = 0; i < cloud.count; i++)
        finals += cloud.heard[i].final;
    assert_int_equal(finals, 21);
    end_rule(job);
    end_rule(other);
}

/* The power goes at each commit around a joining: there is one task, done once. */
ATTACK(power_cuts)
{
    for (unsigned n = 0; n < 12; n++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "g%u", n);
        int64_t job = WISH(.op = SB_OP_REBOOT, .group = id, .rule = true);
        add(id, "one-step", NULL);
        world_run(&world, 1000);
        sb_cleanup(json_decrefp) json_t *groups = json_pack("[s]", id);
        struct sb_diags diags = { 0 };
        world.cut = false;
        world.cut_after = n % 2;
        world.cut_at = sb_store_mem_commits(world.disk) + 1 + n / 2;
        assert_int_equal(sb_core_group_device(world.core, id, groups, "test", &diags), 0);
        world_run(&world, 20000);
        world.cut_at = 0;
        (void)!sb_core_group_device(world.core, id, groups, "test", &diags); /* if that was lost */
        world_run(&world, 20000);
        assert_one(job, id, SB_TASK_SUCCEEDED);
        assert_int_equal(bench_device(id)->boots, 1);
        end_rule(job);
    }
}

/* A commit that fails takes the joining with it; afterwards there is one task. */
ATTACK(failed_commits)
{
    for (int n = 0; n < 5; n++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "g%d", n);
        int64_t job = WISH(.op = SB_OP_REBOOT, .group = id, .rule = true);
        world_run(&world, 100);
        add(id, "one-step", NULL);
        world_run(&world, 1000);
        regroup(id, id);
        sb_store_mem_fail_next(world.disk, 1 + (unsigned)n, -EIO);
        world_run(&world, 60000);
        sb_cleanup(json_decrefp) json_t *groups = json_pack("[s]", id);
        struct sb_diags diags = { 0 };
        (void)!sb_core_group_device(world.core, id, groups, "test", &diags);
        world_run(&world, 20000);
        assert_one(job, id, SB_TASK_SUCCEEDED);
        assert_int_equal(bench_device(id)->boots, 1);
        end_rule(job);
    }
}
