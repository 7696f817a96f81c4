/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A year of jobs on four devices, with a real store in a file: what has ended does not fill the
 * flash, and memory does not grow. Prints what a job costs in bytes written and in syncs.
 */
#include <stdio.h>

#include <malloc.h>
#include <sys/stat.h>

#include "bridge/base/str.h"
#include "tests/scenario/world.h"
#include "tests/test.h"

#define MONTHS     12
#define MONTH      30 /* days */
#define JOBS_A_DAY 4
#define KEPT       30 /* days */

static struct world world;
static uint64_t syncs; /* of earlier starts */

/* ---- measuring ---- */

/* Of the address sanitizer, when that is in use. */
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static size_t heap(void)
{
    return __sanitizer_get_current_allocated_bytes ? __sanitizer_get_current_allocated_bytes()
                                                   : mallinfo2().uordblks;
}

/* Bytes that this process has given to write() and its like. */
static int64_t written(void)
{
    long long n = -1;
    char line[128];
    FILE *io = fopen("/proc/self/io", "r");
    while (io && fgets(line, sizeof(line), io))
        if (sscanf(line, "wchar: %lld", &n) == 1)
            break;
    if (io)
        (void)fclose(io);
    return n;
}

static int64_t size_of(const char *tail)
{
    struct stat status;
    sb_cleanup(sb_freep) char *path = sb_format("%s%s", world.database, tail);
    assert_non_null(path);
    return stat(path, &status) == 0 ? status.st_size : 0;
}

static int64_t rows(enum sb_table table)
{
    int64_t n = -1;
    assert_int_equal(
        sb_store_count(world.core->store, &(struct sb_query){ .table = table, .state = -1 }, &n),
        0);
    return n;
}

static int verify_record(void *arg, const struct sb_row *row)
{
    return sb_audit_verify(arg, row->body);
}

static void check_audit(void)
{
    struct sb_audit_check check = { 0 };
    assert_int_equal(sb_store_query(world.core->store,
                                    &(struct sb_query){ .table = SB_TABLE_AUDIT, .state = -1 },
                                    verify_record, &check),
                     0);
    assert_true(sb_audit_whole(&check));
}

/* ---- the year ---- */

static struct sb_verdict ask(enum sb_op op, const char *device, const char *version, const char *id)
{
    struct sb_verdict verdict = { 0 };
    sb_cleanup(sb_freep) char *uri =
        version ? sb_format("https://fw.example.com/%s.bin", version) : NULL;
    sb_cleanup(json_decrefp) json_t *package =
        version ? json_pack("{s:s,s:s}", "uri", uri, "version", version) : NULL;
    sb_cleanup(json_decrefp) json_t *params =
        op == SB_OP_READ ? json_pack("{s:[s]}", "names", "speed") : NULL;
    const struct sb_request request = { .external_id = id,
                                        .op = op,
                                        .devices = &device,
                                        .device_count = 1,
                                        .package = package,
                                        .params = params };
    assert_int_equal(sb_host_submit(cloud.host, cloud.door, &request, &verdict), 0);
    return verdict;
}

/* Each asks one thing: an update to a new version, readings, a reboot; some fail. */
static void one_job(int day, int number)
{
    static const char *const devices[] = { "a", "b", "d" };
    const char *device = devices[(day + number) % 3];
    sb_cleanup(sb_freep) char *version = sb_format("%d.%d.0", day + 2, number);
    sb_cleanup(sb_freep) char *id = sb_format("day-%d-%d", day, number);
    enum sb_op op = number == 0 ? SB_OP_FIRMWARE_UPDATE : number == 1 ? SB_OP_REBOOT : SB_OP_READ;
    if (day % 10 == 9 && number == 1) {
        bench_device(device)->fault = BENCH_COMMIT;
        bench_device(device)->cause = SB_CAUSE_WRITE_FAILED;
        bench_device(device)->faults = 1;
    }
    struct sb_verdict verdict = ask(op, device, number == 0 ? version : NULL, id);
    if (verdict.cause != SB_CAUSE_NONE)
        fail_msg("day %d: %s", day, verdict.text);
    sb_verdict_done(&verdict);
    sb_sim_advance(world.loop, SB_DAY / JOBS_A_DAY);
}

/* The link is down for the first week: what is owed waits, and is told afterwards. */
static void one_month(int month)
{
    for (int day = 0; day < MONTH; day++) {
        if (day == 0)
            cloud_link(false);
        if (day == 7)
            cloud_link(true);
        for (int number = 0; number < JOBS_A_DAY; number++)
            one_job(month * MONTH + day, number);
    }
    assert_null(cloud_judge(&cloud));
    cloud.count = 0; /* of the test itself */
    assert_int_equal(cloud.lost, 0);
}

struct month {
    int64_t file, log;
    size_t heap;
};

static struct month measure(int month)
{
    struct month now = { size_of(""), size_of("-wal"), heap() };
    printf("month %2d: store %lld KiB (log %lld KiB), %lld jobs, %lld tasks, %lld records, %lld "
           "packages, %lld reports; heap %zu KiB\n",
           month + 1, (long long)now.file / 1024, (long long)now.log / 1024,
           (long long)rows(SB_TABLE_JOB), (long long)rows(SB_TABLE_TASK),
           (long long)rows(SB_TABLE_AUDIT), (long long)rows(SB_TABLE_PACKAGE),
           (long long)rows(SB_TABLE_PARCEL), now.heap / 1024);
    return now;
}

static uint64_t all_syncs(void)
{
    struct sb_store_stats stats;
    sb_store_stats(world.core->store, &stats);
    return syncs + stats.batches;
}

static void restart(void)
{
    syncs = all_syncs();
    world_off(&world, false);
    world_boot(&world);
    sb_sim_advance(world.loop, SB_MINUTE);
}

static int set_up(void **state);
static int tear_down(void **state);

SB_TEST(test_a_year, set_up, tear_down)
{
    struct month second = { 0 };
    int64_t bytes = written();
    for (int month = 0; month < MONTHS; month++) {
        one_month(month);
        struct month now = measure(month);
        if (month == 1)
            second = now;
        if (month > 1) {
            assert_in_range(now.file, 0, second.file + second.file / 10);
            assert_in_range(now.log, 0, 4 << 20);
            assert_in_range(now.heap, 0, second.heap + second.heap / 10);
        }
        assert_in_range(rows(SB_TABLE_JOB), 0, (KEPT + 1) * JOBS_A_DAY);
        assert_int_equal(rows(SB_TABLE_JOB), rows(SB_TABLE_TASK));
        assert_in_range(rows(SB_TABLE_PACKAGE), 0, KEPT + 2);
        assert_in_range(rows(SB_TABLE_PARCEL), 0, 2);
        if (month % 3 == 2)
            restart();
    }
    const int jobs = MONTHS * MONTH * JOBS_A_DAY;
    printf("%d jobs: %.1f KiB written and %.1f syncs for each\n", jobs,
           (double)(written() - bytes) / jobs / 1024, (double)all_syncs() / jobs);
    check_audit();
}

/* What was asked lately is answered by what it was; after its time the id is a new request. */
SB_TEST(test_ids_are_remembered, set_up, tear_down)
{
    struct sb_verdict first = ask(SB_OP_REBOOT, "a", NULL, "once");
    sb_sim_advance(world.loop, 6 * SB_DAY);
    struct sb_verdict again = ask(SB_OP_REBOOT, "a", NULL, "once");
    assert_true(again.existing);
    assert_int_equal(again.job, first.job);
    sb_sim_advance(world.loop, (KEPT + 1) * SB_DAY);
    struct sb_verdict later = ask(SB_OP_REBOOT, "a", NULL, "once");
    assert_int_equal(later.cause, SB_CAUSE_NONE);
    assert_false(later.existing);
    assert_true(later.job > first.job);
    sb_verdict_done(&first);
    sb_verdict_done(&again);
    sb_verdict_done(&later);
}

static int set_up(void **state)
{
    struct stat status;
    bool shared = stat("/dev/shm", &status) == 0 && access("/dev/shm", W_OK) == 0;
    (void)state;
    world_new_as(&world,
                 &(struct world_wish){
                     .more = "retention: { job_age: 30d, audit_age: 30d, package_age: 30d }\n",
                     .base = shared ? "/dev/shm" : NULL,
                     .sqlite = true });
    sb_sim_advance(world.loop, SB_SECOND);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    world_done(&world);
    return 0;
}
