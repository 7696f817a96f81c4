/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Anything in any order: two clouds, devices that come, go, lie, fall silent and disobey, files
 * that vanish, mappings that change, disks that stall and fail, power that goes. Then calm. What
 * must hold afterwards is said in check().
 *
 * SB_SEED=n repeats one course; SB_COURSES=n runs so many.
 */
#include "bridge/base/crypto.h"
#include "tests/scenario/attack.h"

#define COURSES 25
#define EVENTS  80

static const char *const ids[] = { "a", "b", "c", "d" };
static const char *some_device(void)
{
    return ids[sb_random(SB_COUNT(ids))];
}

/* Device b may be another one under the old name. */
static struct bench_device *bench_of(const char *id)
{
    const char *unit = device(id) ? sb_json_str(device(id)->address, "unit") : NULL;
    return bench_device(unit ? unit : id);
}

static struct cloud *some_cloud(void)
{
    return sb_random(3) ? &cloud : &south;
}

/* ---- requests ---- */

static struct sb_policy some_policy(void)
{
    return (struct sb_policy){
        .retries = sb_random(3),
        .retry_interval = 300 + (int64_t)sb_random(3000),
        .conflict = (enum sb_conflict)sb_random(SB_CONFLICT_MAX_),
        .hold = sb_random(8) == 0,
        .run_timeout = sb_random(3) ? 0 : 900 + (int64_t)sb_random(1500),
        .whole_timeout = sb_random(6) ? 0 : 1500 + (int64_t)sb_random(5000),
        .online_timeout = sb_random(4) ? 0 : 1000 + (int64_t)sb_random(5000),
        .answer_timeout = sb_random(6) ? 0 : 300,
        .concurrency = sb_random(3),
        .allow_downgrade = sb_random(4) == 0,
        .start = sb_random(8) ? SB_START_NOW : SB_START_AT,
        .start_at = sb_loop_wall(world.loop) + (int64_t)sb_random(4000),
    };
}

static void some_request(void)
{
    static const enum sb_op ops[] = { SB_OP_FIRMWARE_UPDATE,
                                      SB_OP_FIRMWARE_UPDATE,
                                      SB_OP_FIRMWARE_DOWNLOAD,
                                      SB_OP_FIRMWARE_INSTALL,
                                      SB_OP_REBOOT,
                                      SB_OP_FACTORY_RESET,
                                      SB_OP_READ };
    enum sb_op op = ops[sb_random(SB_COUNT(ops))];
    const char *devices[SB_COUNT(ids)];
    size_t first = sb_random(SB_COUNT(ids)), count = 1 + sb_random(3);
    char id[8], version[16], uri[64];
    for (size_t i = 0; i < count; i++)
        devices[i] = ids[(first + i) % SB_COUNT(ids)];
    (void)snprintf(id, sizeof(id), "r%u", sb_random(12));
    (void)snprintf(version, sizeof(version), "%u.0.0", 2 + sb_random(5));
    (void)snprintf(uri, sizeof(uri), "https://fw.example.com/%s.bin", version);
    bool image = op == SB_OP_FIRMWARE_UPDATE || op == SB_OP_FIRMWARE_DOWNLOAD;
    sb_cleanup(json_decrefp) json_t *package =
        image ? json_pack("{s:s,s:s}", "uri", uri, "version", version) : NULL;
    sb_cleanup(json_decrefp) json_t *params =
        op == SB_OP_READ ? json_pack("{s:[s]}", "names", "speed") : NULL;
    struct sb_request request = { .op = op,
                                  .devices = devices,
                                  .device_count = count,
                                  .package = package,
                                  .params = params,
                                  .external_id = sb_random(3) ? NULL : id,
                                  .policy = some_policy() };
    struct sb_verdict verdict = { 0 };
    struct cloud *which = some_cloud();
    assert_int_equal(sb_host_submit(which->host, which->door, &request, &verdict), 0);
    assert_true(verdict.cause == SB_CAUSE_NONE ? verdict.job && verdict.task
                                               : verdict.text != NULL);
    sb_verdict_done(&verdict);
}

static void some_order(void)
{
    struct sb_task *task = sb_book_open_at(world.core->book, sb_random(6));
    struct cloud *which = some_cloud();
    switch (sb_random(5)) {
    case 0:
        if (task && task->state == SB_TASK_HELD)
            (void)!sb_runner_confirm(world.core->runner, task, "test");
        break;
    case 1:
        (void)!sb_intake_retry(&world.core->intake, 1 + (int64_t)sb_random(40), "test");
        break;
    case 2:
        (void)!sb_host_unstage(which->host, which->door, some_device());
        break;
    default:
        if (task)
            (void)!sb_host_cancel(which->host, which->door, task->id, SB_CAUSE_OPERATOR);
    }
}

/* ---- devices, mappings, files ---- */

static void add_b(bool other)
{
    struct sb_diags diags = { 0 };
    sb_cleanup(json_decrefp) json_t *spec =
        other
            ? json_pack("{s:s,s:s,s:{s:s}}", "id", "b", "type", "one-step", "address", "unit", "b2")
            : json_pack("{s:s,s:s}", "id", "b", "type", "one-step");
    (void)!sb_core_add_device(world.core, spec, "test", &diags);
    sb_diags_done(&diags);
}

static void write_types(uint32_t stall)
{
    sb_cleanup(sb_freep) char *text =
        sb_format("name: one-step\ndriver: bench\nverify: version\nstall: %us\noccupied: %us\n",
                  stall, sb_random(2) ? 0 : 5);
    world_write(&world, "devices/one-step.yaml", text);
}

static void some_change(void)
{
    struct sb_diags diags = { 0 };
    sb_cleanup(sb_freep) char *command =
        sb_format("find '%s/artifacts' -type f -size +0 -delete", world.directory);
    const struct sb_package *package;
    switch (sb_random(5)) {
    case 0:
        if (device("b")) {
            (void)!sb_core_remove_device(world.core, "b", "test");
        } else {
            add_b(sb_random(2));
        }
        break;
    case 1:
        write_types(1 + sb_random(30));
        (void)!sb_core_reload(world.core, "test", &diags);
        sb_diags_done(&diags);
        break;
    case 2:
        assert_int_equal(system(command), 0); // NOLINT(cert-env33-c): the world's own directory
        break;
    case 3:
        package = sb_packages_at(world.core->packages, sb_random(4));
        if (package)
            (void)!sb_packages_remove(world.core->packages, package->id);
        break;
    default:
        (void)!sb_runner_identify(world.core->runner, some_device());
    }
}

static void some_fault(void)
{
    struct bench_device *unit = bench_of(some_device());
    switch (sb_random(6)) {
    case 0:
        unit->offline = !unit->offline;
        break;
    case 1:
        unit->deaf = !unit->deaf;
        break;
    case 2:
        unit->lies = !unit->lies;
        break;
    case 3:
        unit->pieces = sb_random(20);
        break;
    default:
        unit->fault = (enum bench_step)sb_random(BENCH_NEVER);
        unit->cause = (enum sb_cause)sb_random(SB_CAUSE_MAX_); /* NONE: it falls silent */
        unit->faults = 1 + sb_random(2);
        unit->mute = sb_random(2);
    }
}

static void some_trouble(void)
{
    switch (sb_random(7)) {
    case 0:
    case 1:
        world_off(&world, true);
        world_boot(&world);
        break;
    case 2:
        sb_store_mem_fail_next(world.disk, 1 + sb_random(3), -EIO);
        break;
    case 3:
        sb_store_mem_delay(world.disk, sb_random(2) ? 0 : (int64_t)sb_random(400));
        break;
    case 4:
        cloud_link_of(some_cloud(), sb_random(2));
        break;
    case 5:
        world.cut_at = sb_store_mem_commits(world.disk) + 1 + sb_random(4);
        world.cut_after = sb_random(2);
        world.cut = false;
        break;
    default:
        (void)!sb_runner_pause(world.core->runner, sb_random(3) == 0);
    }
}

static void some_event(void)
{
    switch (sb_random(10)) {
    case 0:
    case 1:
    case 2:
    case 3:
        some_request();
        break;
    case 4:
    case 5:
        some_order();
        break;
    case 6:
        some_change();
        break;
    case 7:
    case 8:
        some_fault();
        break;
    default:
        some_trouble();
    }
}

/* ---- afterwards ---- */

static void confirm_held(void)
{
    struct sb_task *task;
    for (size_t i = 0; (task = sb_book_open_at(world.core->book, i)); i++)
        if (task->state == SB_TASK_HELD)
            (void)!sb_runner_confirm(world.core->runner, task, "test");
}

/* Everything works again, and nobody asks for anything. */
static void calm_down(void)
{
    world.cut_at = 0;
    sb_store_mem_fail_next(world.disk, 0, 0);
    sb_store_mem_delay(world.disk, 0);
    for (size_t i = 0; i < bench.count; i++) {
        bench.devices[i]->faults = 0;
        bench.devices[i]->offline = bench.devices[i]->deaf = bench.devices[i]->lies = false;
    }
    cloud_link_of(&cloud, true);
    cloud_link_of(&south, true);
    world_run(&world, SB_MINUTE); /* the store may have to find out that it works */
    assert_int_equal(sb_runner_pause(world.core->runner, false), 0);
    if (!device("b"))
        add_b(false);
    confirm_held();
    world_run(&world, 30 * SB_MINUTE);
}

static int see_open(void *arg, const struct sb_row *row)
{
    *(unsigned *)arg += !sb_task_state_is_final((enum sb_task_state)row->state);
    return 0;
}

static void check(void)
{
    unsigned open = 0;
    assert_int_equal(sb_store_query(world.core->store,
                                    &(struct sb_query){ .table = SB_TABLE_TASK, .state = -1 },
                                    see_open, &open),
                     0);
    assert_int_equal(open, 0); /* everything has ended */
    assert_int_equal(sb_book_jobs(world.core->book), 0);
    assert_int_equal(bench_sessions(), 0);                               /* nothing runs any more */
    assert_int_equal(sb_store_mem_rows(world.disk, SB_TABLE_PARCEL), 0); /* everything was told */
    judge();
    for (size_t i = 0; i < SB_COUNT(ids); i++) { /* devices are known as what they are */
        assert_int_equal(device(ids[i])->presence, SB_PRESENCE_READY);
        assert_null(device(ids[i])->occupied);
        assert_string_equal(sb_device_version(device(ids[i]), ""), bench_of(ids[i])->version);
    }
    for (size_t i = 0; i < SB_COUNT(ids); i++)
        (void)!sb_host_unstage(cloud.host, cloud.door, ids[i]);
    while (sb_packages_at(world.core->packages, 0)) /* no image is held by anything */
        assert_int_equal(
            sb_packages_remove(world.core->packages, sb_packages_at(world.core->packages, 0)->id),
            0);
}

static void run_course(uint64_t seed)
{
    sb_random_seed(seed);
    set_up(NULL);
    for (int i = 0; i < EVENTS; i++) {
        some_event();
        world_run(&world, (int64_t)sb_random(500));
    }
    calm_down();
    check();
    tear_down(NULL);
    sb_random_seed(0);
}

SB_TEST(test_any_course)
{
    const char *seed = getenv("SB_SEED"), *courses = getenv("SB_COURSES");
    uint64_t first = seed ? strtoull(seed, NULL, 10) : 20260105;
    uint64_t count = courses ? strtoull(courses, NULL, 10) : seed ? 1 : COURSES;
    for (uint64_t i = 0; i < count; i++) {
        print_message("SB_SEED=%llu\n", (unsigned long long)(first + i));
        run_course(first + i);
    }
}
