/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that come twice, from two sides, at the wrong moment, or for what is no longer there. */
#include "tests/scenario/attack.h"

/* What a test asks by hand; world_ask() for the rest. */
static struct sb_verdict submit(struct cloud *which, const struct sb_request *request)
{
    struct sb_verdict verdict = { 0 };
    assert_int_equal(sb_host_submit(which->host, which->door, request, &verdict), 0);
    return verdict;
}

static struct sb_verdict reboot_with_id(const char *id, const char *const *devices, size_t count)
{
    return submit(&cloud, &(struct sb_request){ .op = SB_OP_REBOOT,
                                                .external_id = id,
                                                .devices = devices,
                                                .device_count = count });
}

static void fault(const char *id, enum bench_step step, enum sb_cause cause)
{
    bench_device(id)->fault = step;
    bench_device(id)->cause = cause;
    bench_device(id)->faults = 1;
}

static void cut(void)
{
    world_off(&world, true);
    world_boot(&world);
}

static const char *const a_alone[] = { "a" };
static const char *const b_alone[] = { "b" };
static const char *const a_and_b[] = { "a", "b" };

/* ---- the same request ---- */

/* What is asked for two devices is not what was asked for one of them. */
ATTACK(same_content_for_more_devices)
{
    struct sb_policy later = { .start = SB_START_AT, .start_at = sb_loop_wall(world.loop) + 2000 };
    struct sb_request request = {
        .op = SB_OP_REBOOT, .devices = a_alone, .device_count = 1, .policy = later
    };
    struct sb_verdict one = accepted(submit(&cloud, &request));
    struct sb_verdict again = accepted(submit(&cloud, &request));
    assert_true(again.existing);
    assert_int_equal(again.job, one.job);
    request.devices = a_and_b;
    request.device_count = 2;
    struct sb_verdict two = accepted(submit(&cloud, &request));
    assert_false(two.existing);
    world_run(&world, 10000);
    assert_int_equal(bench_device("b")->boots, 1);
}

ATTACK(id_with_another_body)
{
    struct sb_verdict first = accepted(reboot_with_id("X", a_alone, 1));
    refused(reboot_with_id("X", a_and_b, 2), SB_CAUSE_CONFLICT);
    refused(reboot_with_id("X", b_alone, 1), SB_CAUSE_CONFLICT);
    struct sb_request other = {
        .op = SB_OP_FACTORY_RESET, .external_id = "X", .devices = a_alone, .device_count = 1
    };
    refused(submit(&cloud, &other), SB_CAUSE_CONFLICT);
    world_run(&world, 5000);
    refused(submit(&cloud, &other), SB_CAUSE_CONFLICT); /* it has ended meanwhile */
    cut();
    world_run(&world, 1000);
    refused(submit(&cloud, &other), SB_CAUSE_CONFLICT); /* and the gateway has restarted */
    other.external_id = "Y";
    accepted(submit(&cloud, &other));
    struct sb_request south_has_its_own = {
        .op = SB_OP_READ, .external_id = "X", .devices = a_alone, .device_count = 1
    };
    sb_cleanup(json_decrefp) json_t *params = json_pack("{s:[s]}", "names", "speed");
    south_has_its_own.params = params;
    accepted(submit(&south, &south_has_its_own));
    world_run(&world, 5000);
    assert_int_equal(bench_device("a")->boots, 2);
    assert_state(first.job, SB_TASK_SUCCEEDED);
}

ATTACK(id_again_after_success)
{
    struct sb_verdict first = accepted(reboot_with_id("X", a_alone, 1));
    world_run(&world, 5000);
    for (int i = 0; i < 2; i++) {
        struct sb_verdict again = accepted(reboot_with_id("X", a_alone, 1));
        assert_true(again.existing);
        assert_int_equal(again.job, first.job);
        assert_int_equal(again.task, first.task);
        assert_non_null(again.ended);
        assert_int_equal(again.ended->tasks[0]->state, SB_TASK_SUCCEEDED);
        sb_verdict_done(&again);
        cut();
        world_run(&world, 5000);
    }
    assert_int_equal(bench_device("a")->boots, 1);
}

/* After a failure: a new round under the same id, and the same job. */
ATTACK(id_again_after_failure)
{
    fault("b", BENCH_LOOK, SB_CAUSE_LINK_LOST);
    struct sb_verdict first = accepted(reboot_with_id("X", a_and_b, 2));
    world_run(&world, 20000);
    struct sb_verdict again = accepted(reboot_with_id("X", a_and_b, 2));
    assert_false(again.existing);
    assert_int_equal(again.job, first.job);
    world_run(&world, 20000);
    sb_cleanup(sb_job_freep) struct sb_job *job = world_job(&world, first.job);
    assert_int_equal(job->task_count, 3); /* only what failed is done again */
    assert_string_equal(job->tasks[2]->device, "b");
    assert_int_equal(job->tasks[2]->id, again.task);
    assert_int_equal(job->tasks[2]->state, SB_TASK_SUCCEEDED);
    assert_int_equal(bench_device("a")->boots, 1);
    assert_int_equal(bench_device("b")->boots, 1);
    struct sb_verdict third = accepted(reboot_with_id("X", a_and_b, 2));
    assert_true(third.existing);
    sb_verdict_done(&third);
}

/* Its end is decided but not yet durable: nothing is made of what the store still says. */
ATTACK(again_while_the_end_is_written)
{
    fault("a", BENCH_TRANSFER, SB_CAUSE_UNSUPPORTED_IMAGE);
    struct sb_request request = {
        .op = SB_OP_REBOOT, .external_id = "X", .devices = a_and_b, .device_count = 2
    };
    struct sb_verdict verdict = accepted(submit(&cloud, &request));
    while (!open_task(verdict.task + 1)->committed)
        world_run(&world, 10);
    sb_store_mem_delay(world.disk, 60000);
    while (sb_book_job(world.core->book, verdict.job))
        world_run(&world, 10);
    assert_int_equal(sb_intake_retry(&world.core->intake, verdict.job, "test"), -EBUSY);
    refused(submit(&cloud, &request), SB_CAUSE_BUSY);
    sb_store_mem_delay(world.disk, 0);
    world_run(&world, 70000);
    assert_int_equal(bench_device("b")->boots, 1);
    assert_int_equal(sb_intake_retry(&world.core->intake, verdict.job, "test"), 0);
    world_run(&world, 5000);
    assert_int_equal(bench_device("a")->boots, 1);
    assert_int_equal(bench_device("b")->boots, 1);
}

/* Nor before the store says anything: it was made and ended while the disk wrote. */
ATTACK(again_before_the_store_knows_it)
{
    struct sb_request request = {
        .op = SB_OP_REBOOT, .external_id = "X", .devices = a_alone, .device_count = 1
    };
    sb_store_mem_hold(world.disk, true);
    bench_device("a")->offline = true;
    struct sb_verdict verdict = accepted(submit(&cloud, &request));
    assert_int_equal(sb_host_cancel(cloud.host, cloud.door, verdict.task, SB_CAUSE_OPERATOR), 0);
    world_run(&world, 10);
    assert_null(sb_book_job(world.core->book, verdict.job));
    assert_int_equal(sb_intake_retry(&world.core->intake, verdict.job, "test"), -EBUSY);
    refused(submit(&cloud, &request), SB_CAUSE_BUSY);
    sb_store_mem_hold(world.disk, false);
    world_run(&world, 1000);
    assert_int_equal(sb_store_mem_rows(world.disk, SB_TABLE_JOB), 1);
}

ATTACK(a_device_twice)
{
    static const char *const twice[] = { "a", "b", "a" };
    refused(reboot_with_id(NULL, twice, 3), SB_CAUSE_INVALID_REQUEST);
    world_run(&world, 3000);
    assert_int_equal(bench_device("a")->boots + bench_device("b")->boots, 0);
}

/* ---- two clouds ---- */

ATTACK(two_clouds_one_device)
{
    struct sb_verdict north = accepted(world_ask(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0"));
    refused(world_ask_by(&south, SB_OP_FIRMWARE_UPDATE, "a", "3.0.0", NULL), SB_CAUSE_CONFLICT);
    struct sb_policy queue = { .conflict = SB_CONFLICT_QUEUE };
    struct sb_verdict queued =
        accepted(world_ask_by(&south, SB_OP_FIRMWARE_UPDATE, "a", "3.0.0", &queue));
    assert_int_equal(sb_host_cancel(south.host, south.door, north.task, SB_CAUSE_OPERATOR), 0);
    world_run(&world, 20000);
    assert_state(north.job, SB_TASK_CANCELLED);
    assert_state(queued.job, SB_TASK_SUCCEEDED);
    assert_int_equal(bench_device("a")->installs, 1);
    /* Each hears of its own task only; of the other's, that firmware is in motion. */
    assert_int_equal(cloud_finals(queued.task, NULL), 0);
    assert_true(cloud.news[SB_NEWS_FIRMWARE] > 0);
    assert_true(south.news[SB_NEWS_FIRMWARE] > 0);
    assert_true(south.news[SB_NEWS_IDENTITY] > 0);
}

static int count_refused(void *arg, const struct sb_row *row)
{
    *(unsigned *)arg += sb_streq(sb_json_str(row->body, "verb"), "refused");
    return 0;
}

ATTACK(a_cloud_without_rights)
{
    refused(world_ask_by(&south, SB_OP_REBOOT, "d", NULL, NULL), SB_CAUSE_REFUSED);
    struct sb_policy hold = { .hold = true, .conflict = SB_CONFLICT_REPLACE_UNCOMMITTED };
    struct sb_verdict held =
        accepted(world_ask_with(&world, SB_OP_FIRMWARE_UPDATE, "d", "2.0.0", &hold));
    assert_int_equal(sb_host_cancel(south.host, south.door, held.task, SB_CAUSE_OPERATOR), -EPERM);
    /* Not by way of a request that names another device as well, nor by overriding. */
    static const char *const c_and_d[] = { "c", "d" };
    struct sb_request both = {
        .op = SB_OP_REBOOT, .devices = c_and_d, .device_count = 2, .policy = hold
    };
    refused(submit(&south, &both), SB_CAUSE_REFUSED);
    refused(world_ask_by(&south, SB_OP_FIRMWARE_UPDATE, "d", "3.0.0", &hold), SB_CAUSE_REFUSED);
    assert_state(held.job, SB_TASK_HELD);
    world_run(&world, 100);
    unsigned tries = 0;
    assert_int_equal(sb_store_query(world.core->store,
                                    &(struct sb_query){
                                        .table = SB_TABLE_AUDIT, .b = "link south", .state = -1 },
                                    count_refused, &tries),
                     0);
    assert_int_equal(tries, 4); /* who tried it is in the audit */
    struct sb_verdict staged = accepted(world_ask(&world, SB_OP_REBOOT, "d", NULL));
    world_run(&world, 3000);
    assert_state(staged.job, SB_TASK_SUCCEEDED);
    assert_int_equal(bench_device("c")->boots, 0);
}

ATTACK(unstaging_needs_rights)
{
    accepted(world_ask(&world, SB_OP_FIRMWARE_DOWNLOAD, "d", "2.0.0"));
    world_run(&world, 3000);
    assert_non_null(device("d")->staged.package);
    assert_int_equal(sb_host_unstage(south.host, south.door, "d"), -EPERM);
    assert_non_null(device("d")->staged.package);
    assert_int_equal(sb_host_unstage(cloud.host, cloud.door, "d"), 0);
    assert_null(device("d")->staged.package);
}

/* Nothing is taken back for a request that is refused in the end. */
ATTACK(refused_requests_override_nothing)
{
    struct sb_verdict on_a = accepted(world_ask(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0"));
    struct sb_verdict on_b = accepted(world_ask(&world, SB_OP_FIRMWARE_UPDATE, "b", "2.0.0"));
    bench_device("a")->pieces = 10; /* slower: it can still be taken back */
    while (!open_task(on_b.task)->committed)
        world_run(&world, 10);
    assert_false(open_task(on_a.task)->committed);
    sb_cleanup(json_decrefp) json_t *package =
        json_pack("{s:s,s:s}", "uri", "https://fw.example.com/3.bin", "version", "3.0.0");
    struct sb_request request = { .op = SB_OP_FIRMWARE_UPDATE,
                                  .devices = a_and_b,
                                  .device_count = 2,
                                  .package = package,
                                  .policy = { .conflict = SB_CONFLICT_REPLACE_UNCOMMITTED } };
    refused(submit(&cloud, &request), SB_CAUSE_CONFLICT);
    world_run(&world, 20000);
    assert_state(on_a.job, SB_TASK_SUCCEEDED);
    assert_state(on_b.job, SB_TASK_SUCCEEDED);
}

/* What is queued behind an update stays behind it, also while that waits for another attempt. */
ATTACK(a_retry_keeps_its_place)
{
    struct sb_policy retry = { .retries = 1, .retry_interval = 60000 };
    struct sb_policy queue = { .conflict = SB_CONFLICT_QUEUE };
    fault("a", BENCH_TRANSFER, SB_CAUSE_LINK_LOST);
    struct sb_verdict first =
        accepted(world_ask_with(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0", &retry));
    struct sb_verdict second =
        accepted(world_ask_with(&world, SB_OP_FIRMWARE_UPDATE, "a", "3.0.0", &queue));
    struct sb_verdict reboot = accepted(world_ask(&world, SB_OP_REBOOT, "a", NULL));
    world_run(&world, 30000);
    assert_reason(first.task, SB_REASON_RETRY);
    assert_reason(second.task, SB_REASON_BUSY);
    assert_state(reboot.job, SB_TASK_SUCCEEDED); /* only firmware waits for firmware */
    world_run(&world, 60000);
    assert_state(first.job, SB_TASK_SUCCEEDED);
    assert_state(second.job, SB_TASK_SUCCEEDED);
    assert_string_equal(bench_device("a")->version, "3.0.0");
    assert_int_equal(bench_device("a")->installs, 2);
}

/* ---- images that are no longer there ---- */

static void delete_depot(void)
{
    sb_cleanup(sb_freep) char *command =
        sb_format("find '%s/artifacts' -type f -size +0 -delete", world.directory);
    assert_int_equal(system(command), 0); // NOLINT(cert-env33-c): the world's own directory
}

ATTACK(depot_file_deleted)
{
    struct sb_policy queue = { .conflict = SB_CONFLICT_QUEUE };
    accepted(world_ask(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0"));
    world_run(&world, 5000);
    delete_depot();
    struct sb_verdict update =
        accepted(world_ask_with(&world, SB_OP_FIRMWARE_UPDATE, "b", "2.0.0", &queue));
    world_run(&world, 5000);
    assert_state(update.job, SB_TASK_SUCCEEDED);
    assert_int_equal(shelf.completed, 2); /* it was fetched again */
    delete_depot();
    struct sb_verdict download = accepted(world_ask(&world, SB_OP_FIRMWARE_DOWNLOAD, "d", "2.0.0"));
    world_run(&world, 5000);
    assert_state(download.job, SB_TASK_SUCCEEDED); /* and is there now: not said from memory */
    assert_int_equal(shelf.completed, 3);
}

ATTACK(staged_file_deleted)
{
    static const char *const devices[] = { "a", "c" }; /* in the gateway, on the device */
    for (size_t i = 0; i < SB_COUNT(devices); i++) {
        accepted(world_ask(&world, SB_OP_FIRMWARE_DOWNLOAD, devices[i], "2.0.0"));
        world_run(&world, 5000);
    }
    assert_int_equal(shelf.completed, 1);
    delete_depot();
    cut();
    world_run(&world, 1000);
    struct sb_verdict on_a = accepted(world_ask(&world, SB_OP_FIRMWARE_INSTALL, "a", NULL));
    world_run(&world, 5000);
    assert_state(on_a.job, SB_TASK_SUCCEEDED);
    assert_int_equal(shelf.completed, 2); /* fetched again */
    delete_depot();
    struct sb_verdict on_c = accepted(world_ask(&world, SB_OP_FIRMWARE_INSTALL, "c", NULL));
    world_run(&world, 5000);
    assert_state(on_c.job, SB_TASK_SUCCEEDED);
    assert_int_equal(shelf.completed, 2); /* it had it already */
    assert_string_equal(bench_device("c")->version, "2.0.0");
}

/* What is fetched again in the place of a staged image is that image, or nothing. */
ATTACK(staged_file_replaced_by_another)
{
    accepted(world_ask(&world, SB_OP_FIRMWARE_DOWNLOAD, "a", "2.0.0"));
    world_run(&world, 5000);
    delete_depot();
    shelf.changed = "something else";
    struct sb_verdict verdict = accepted(world_ask(&world, SB_OP_FIRMWARE_INSTALL, "a", NULL));
    world_run(&world, 5000);
    assert_state(verdict.job, SB_TASK_FAILED);
    assert_cause(verdict.job, SB_CAUSE_VERIFY_FAILED);
    assert_int_equal(bench_device("a")->installs, 0);
}

/* Asked for one image, and another is staged before its turn comes. */
ATTACK(another_image_is_staged_meanwhile)
{
    accepted(world_ask(&world, SB_OP_FIRMWARE_DOWNLOAD, "a", "2.0.0"));
    world_run(&world, 5000);
    struct sb_policy later = { .start = SB_START_AT, .start_at = sb_loop_wall(world.loop) + 60000 };
    struct sb_verdict install =
        accepted(world_ask_with(&world, SB_OP_FIRMWARE_INSTALL, "a", NULL, &later));
    struct sb_policy queue = { .conflict = SB_CONFLICT_QUEUE };
    accepted(world_ask_by(&south, SB_OP_FIRMWARE_DOWNLOAD, "a", "3.0.0", &queue));
    world_run(&world, 5000);
    assert_string_equal(device("a")->staged.door, "south");
    world_run(&world, 2 * SB_MINUTE);
    assert_state(install.job, SB_TASK_FAILED);
    assert_cause(install.job, SB_CAUSE_NOT_READY);
    assert_int_equal(bench_device("a")->installs, 0);
    accepted(world_ask(&world, SB_OP_FIRMWARE_DOWNLOAD, "b", "2.0.0"));
    world_run(&world, 5000);
    struct sb_verdict gone =
        accepted(world_ask_with(&world, SB_OP_FIRMWARE_INSTALL, "b", NULL, &later));
    assert_int_equal(sb_host_unstage(cloud.host, cloud.door, "b"), 0);
    world_run(&world, 2 * SB_MINUTE);
    assert_cause(gone.job, SB_CAUSE_NOT_READY);
}

/* An install is of the module that is staged. */
ATTACK(staged_module)
{
    sb_cleanup(json_decrefp) json_t *package =
        json_pack("{s:s,s:s,s:s}", "uri", "https://fw.example.com/radio.bin", "version", "7.0.0",
                  "module", "radio");
    struct sb_request request = {
        .op = SB_OP_FIRMWARE_DOWNLOAD, .devices = a_alone, .device_count = 1, .package = package
    };
    accepted(submit(&cloud, &request));
    world_run(&world, 5000);
    struct sb_verdict verdict = accepted(world_ask(&world, SB_OP_FIRMWARE_INSTALL, "a", NULL));
    assert_string_equal(open_task(verdict.task)->module, "radio");
    world_run(&world, 5000);
    assert_cause(verdict.job, SB_CAUSE_OUTCOME_UNKNOWN); /* this device has no such module */
}

ATTACK(package_removed_while_fetched)
{
    struct sb_verdict verdict = accepted(world_ask(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0"));
    world_run(&world, 100);
    assert_state(verdict.job, SB_TASK_DOWNLOADING);
    sb_cleanup(sb_freep) char *package = strdup(open_task(verdict.task)->job->package);
    assert_int_equal(sb_packages_remove(world.core->packages, package), 0);
    world_run(&world, 5000);
    assert_state(verdict.job, SB_TASK_FAILED);
    assert_int_equal(bench_device("a")->installs, 0);
    struct sb_verdict again = accepted(world_ask(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0"));
    world_run(&world, 5000);
    assert_state(again.job, SB_TASK_SUCCEEDED);
}

ATTACK(no_download_can_be_started)
{
    shelf.refusal = -EMFILE;
    struct sb_verdict verdict = accepted(world_ask(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0"));
    world_run(&world, 1000);
    assert_state(verdict.job, SB_TASK_FAILED);
    assert_cause(verdict.job, SB_CAUSE_INTERNAL);
}

ATTACK(install_after_a_restart_without_an_image)
{
    cut();
    world_run(&world, 1000);
    refused(world_ask(&world, SB_OP_FIRMWARE_INSTALL, "a", NULL), SB_CAUSE_NOT_READY);
    accepted(world_ask(&world, SB_OP_FIRMWARE_DOWNLOAD, "a", "2.0.0"));
    world_run(&world, 250); /* not complete */
    cut();
    refused(world_ask_by(&south, SB_OP_FIRMWARE_INSTALL, "a", NULL, NULL), SB_CAUSE_NOT_READY);
    world_run(&world, 5000);
    assert_non_null(device("a")->staged.package); /* it was taken up again */
}

/* What the device runs already is not installed, and not staged any more either. */
ATTACK(staged_is_there_already)
{
    accepted(world_ask(&world, SB_OP_FIRMWARE_DOWNLOAD, "a", "2.0.0"));
    world_run(&world, 5000);
    struct sb_policy queue = { .conflict = SB_CONFLICT_QUEUE, .source_versions = (char *)"1.0.0" };
    struct sb_verdict update =
        accepted(world_ask_with(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0", &queue));
    world_run(&world, 5000);
    assert_state(update.job, SB_TASK_SUCCEEDED);
    assert_null(device("a")->staged.package);
    queue.whole_timeout = 1; /* another request than the first one */
    update = accepted(world_ask_with(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0", &queue));
    world_run(&world, 5000);
    assert_state(update.job, SB_TASK_SUCCEEDED); /* there already, whatever it came from */
    assert_int_equal(bench_device("a")->installs, 1);
}

ATTACK(source_versions_of_the_package)
{
    sb_cleanup(json_decrefp) json_t *package =
        json_pack("{s:s,s:s,s:{s:[s,s]}}", "uri", "https://fw.example.com/x.bin", "version",
                  "5.0.0", "fits", "source_versions", "3.0.0", "4.0.0");
    struct sb_request request = {
        .op = SB_OP_FIRMWARE_UPDATE, .devices = a_alone, .device_count = 1, .package = package
    };
    struct sb_verdict verdict = accepted(submit(&cloud, &request));
    world_run(&world, 5000);
    assert_cause(verdict.job, SB_CAUSE_VERSION_MISMATCH);
    assert_int_equal(bench_device("a")->installs, 0);
}

/* ---- the disk at the wrong moment ---- */

/* In the very turn in which a commit fails: refused, or dropped as a whole; never half. */
static int64_t asked[3];

static void ask_now(void *arg, int error)
{
    int *turn = arg;
    struct sb_verdict verdict = world_ask(&world, SB_OP_REBOOT, "b", NULL);
    asked[*turn] = verdict.cause == SB_CAUSE_NONE ? verdict.job : 0;
    if (error)
        assert_int_equal(verdict.cause, SB_CAUSE_INTERNAL);
    sb_verdict_done(&verdict);
}

ATTACK(request_in_the_failing_turn)
{
    int turn = 0;
    struct sb_verdict verdict = accepted(world_ask(&world, SB_OP_REBOOT, "a", NULL));
    sb_store_mem_fail_next(world.disk, 2, -EIO);
    assert_int_equal(sb_store_then(world.core->store, ask_now, &turn), 0);
    sb_sim_advance(world.loop, 0); /* fails, and asks inside of it */
    assert_int_equal(asked[0], 0);
    world_run(&world, 60000);
    assert_int_equal(bench_device("a")->boots + bench_device("b")->boots, 0);
    sb_cleanup(sb_job_freep) struct sb_job *lost = world_job(&world, verdict.job);
    assert_null(lost);
    struct sb_verdict fresh = accepted(world_ask(&world, SB_OP_REBOOT, "b", NULL));
    assert_true(fresh.job > verdict.job); /* no number is used twice */
    world_run(&world, 5000);
    assert_int_equal(bench_device("b")->boots, 1);
}

/* The disk fails while a checkpoint, or a commit point, waits for its grant. */
ATTACK(store_fails_before_the_grant)
{
    for (int commit = 0; commit < 2; commit++) {
        tear_down(NULL);
        set_up(NULL);
        struct sb_verdict verdict =
            accepted(world_ask(&world, SB_OP_FIRMWARE_UPDATE, "a", "2.0.0"));
        world_run(&world, 600);
        while (commit && !open_task(verdict.task)->checkpoint)
            sb_sim_advance(world.loop, 1);
        sb_sim_advance(world.loop, 10);
        sb_store_mem_hold(world.disk, true);
        while (commit ? !open_task(verdict.task)->committed : !open_task(verdict.task)->checkpoint)
            sb_sim_advance(world.loop, 1);
        sb_store_mem_fail_next(world.disk, 2, -ENOSPC);
        sb_store_mem_hold(world.disk, false);
        sb_sim_advance(world.loop, 900);
        assert_true(sb_store_failing(world.core->store));
        assert_int_equal(bench_sessions(), 0);
        assert_int_equal(bench_device("a")->installs, 0); /* it was not allowed to */
        world_run(&world, 60000);
        assert_state(verdict.job, SB_TASK_SUCCEEDED);
        assert_int_equal(bench_device("a")->installs, 1);
        judge();
    }
}
