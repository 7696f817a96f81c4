/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The laws over all four real dialects at once: whatever four clouds, an operator and a hand at the
 * device ask for, in any order, over lost and repeated messages, breaks, power cuts, full disks and
 * devices that fail, each platform sees legal messages only (four_*.c), each request comes to one
 * end, a success is one, nothing is done twice, and in the end all know what runs where.
 *
 * SB_SEED=n plays one course, SB_COURSES=n so many; SB_TRACE=1 says what happens.
 */
#include <stdio.h>

#include "bridge/base/str.h"
#include "tests/scenario/four_world.h"
#include "tests/test.h"

#define COURSES 10
#define EVENTS  40
#define SECOND  INT64_C(1000)
#define MINUTE  (60 * SECOND)
#define HISTORY 64

static struct world world;
static unsigned versions; /* given so far: each new one is above the others */

static struct course {     /* of a device */
    unsigned asked;        /* how often it may have been flashed at most */
    char ran[HISTORY][32]; /* what it ran */
    int64_t since[HISTORY];
    size_t count;
} courses[DEVICES];
static size_t judged; /* requests whose success was looked at, of those that are done */
static bool looked_at[REQUESTS];

static void trace(const char *fmt, ...) SB_PRINTF(1, 2);
static void trace(const char *fmt, ...)
{
    if (!getenv("SB_TRACE"))
        return;
    va_list ap;
    va_start(ap, fmt);
    (void)fprintf(stderr, "%10lld ", (long long)net_now());
    (void)vfprintf(stderr, fmt, ap);
    (void)fprintf(stderr, "\n");
    va_end(ap);
}

/* ---- what is seen on the way ---- */

static bool ran(const struct course *course, const char *version, int64_t since)
{
    for (size_t i = 0; i < course->count; i++) {
        bool later = i + 1 == course->count || course->since[i + 1] >= since;
        if (later && strcmp(course->ran[i], version) == 0)
            return true;
    }
    return false;
}

static void note_versions(void)
{
    for (int d = 0; d < DEVICES; d++) {
        struct course *course = &courses[d];
        const char *runs = four_bench((enum four_device)d)->version;
        if (course->count && strcmp(course->ran[course->count - 1], runs) == 0)
            continue;
        if (course->count == HISTORY)
            abort();
        course->since[course->count] = net_now();
        (void)snprintf(course->ran[course->count++], sizeof(course->ran[0]), "%s", runs);
        trace("%s runs %s", four_devices[d], runs);
    }
}

/* Law 7: who is told of a success can rely on it. */
static void note_ends(void)
{
    for (size_t i = 0; i < request_count; i++) {
        const struct request *request = &requests[i];
        if (!request->done || looked_at[i])
            continue;
        looked_at[i] = true;
        judged++;
        trace("%s: %s of %s ended: %s %d%s", four_clouds[request->cloud], request->id,
              four_devices[request->device], request->good ? "good" : "bad", request->final,
              request->dropped ? ", dropped" : "");
        if (request->good && request->op == STRANGE)
            four_breach("%s: %s was done, and there is no such thing", four_clouds[request->cloud],
                        request->id);
        bool installs = request->op == UPDATE || request->op == WISH || request->op == INSTALL;
        if (request->good && installs && *request->version &&
            !ran(&courses[request->device], request->version,
                 request->op == WISH ? 0 : request->asked)) /* a wish acts once per content */
            four_breach("%s: %s of %s is good, but %s never ran", four_clouds[request->cloud],
                        request->id, four_devices[request->device], request->version);
    }
}

static void pass(int64_t ms)
{
    for (int64_t passed = 0; passed < ms; passed += 50) {
        world_run(&world, 50);
        note_versions();
        note_ends();
    }
}

/* ---- what happens ---- */

static enum four_device some_device(void)
{
    return (enum four_device)(net_draw(4) ? net_draw(METER + 1) : net_draw(DEVICES));
}

/* Mostly a new one; or one that somebody has asked for. */
static void some_version(char ret[16])
{
    unsigned number = versions == 0 || net_draw(3) ? ++versions : 1 + net_draw(versions);
    (void)snprintf(ret, 16, "2.%u.0", number);
}

static void cloud_asks(void)
{
    static const enum four_op ops[CLOUDS][8] = {
        [IBM] = { UPDATE, UPDATE, DOWNLOAD, INSTALL, REBOOT, UPDATE, READ, STRANGE },
        [AZURE] = { UPDATE, WISH, DOWNLOAD, INSTALL, REBOOT, WISH, READ, STRANGE },
        [HUAWEI] = { UPDATE, UPDATE, UPDATE, UPDATE, REBOOT, UPDATE, READ, STRANGE },
        [ALIBABA] = { UPDATE, UPDATE, UPDATE, UPDATE, REBOOT, UPDATE, READ, STRANGE },
    };
    enum four_cloud from = (enum four_cloud)net_draw(CLOUDS);
    enum four_device device = some_device();
    enum four_op op = ops[from][net_draw(8)];
    char version[16] = "";
    if (op == UPDATE || op == WISH || op == DOWNLOAD)
        some_version(version);
    const struct request *request = four_ask(from, device, op, version);
    trace("%s: %s asks %s for %d %s", four_clouds[from], request ? request->id : "-",
          four_devices[device], op, version);
    if (request && (op == UPDATE || op == WISH || op == INSTALL))
        courses[device].asked++;
}

static void operator_asks(void)
{
    enum four_device device = some_device();
    char version[16];
    some_version(version);
    int64_t job = world.core ? four_native(&world, SB_OP_FIRMWARE_UPDATE, device, version, 1) : 0;
    trace("an operator asks %s for %s: job %lld", four_devices[device], version, (long long)job);
    courses[device].asked += job > 0;
}

static void hand_at_a_device(void)
{
    enum four_device device = some_device();
    char version[16];
    some_version(version);
    four_by_hand(&world, device, version);
    trace("%s is flashed by hand: %s", four_devices[device], version);
}

static void device_fails(void)
{
    static const enum sb_cause causes[] = { SB_CAUSE_NO_SPACE, SB_CAUSE_WRITE_FAILED,
                                            SB_CAUSE_VERIFY_FAILED, SB_CAUSE_LOW_BATTERY,
                                            SB_CAUSE_NONE };
    enum four_device device = some_device();
    struct bench_device *fails = four_bench(device);
    fails->fault = (enum bench_step)net_draw(BENCH_NEVER);
    fails->cause = causes[net_draw(SB_COUNT(causes))];
    fails->faults = 1 + net_draw(2);
    trace("%s fails at %d with %s", four_devices[device], fails->fault,
          sb_cause_name((int)fails->cause));
}

static void device_is_away(void)
{
    enum four_device device = some_device();
    four_bench(device)->offline = !four_bench(device)->offline;
    trace("%s is %s", four_devices[device], four_bench(device)->offline ? "away" : "back");
    (void)!sb_runner_identify(world.core->runner, four_devices[device]);
}

static void download_fails(void)
{
    shelf.cause = SB_CAUSE_DOWNLOAD_FAILED;
    shelf.faults = 1;
    trace("a download fails");
}

static void cloud_gives_up(void)
{
    enum four_cloud from = (enum four_cloud)net_draw(CLOUDS);
    enum four_device device = some_device();
    struct request *open = four_open(from, device);
    if (!open)
        return;
    trace("%s gives %s up", four_clouds[from], open->id);
    if (from == AZURE && open->op == UPDATE)
        (void)four_ask(AZURE, device, CANCEL, NULL);
    else if (from >= HUAWEI)
        open->done = open->dropped = true;
}

static void line_breaks(void)
{
    enum four_cloud who = (enum four_cloud)net_draw(CLOUDS);
    trace("%s: connections break", four_clouds[who]);
    net_break(&four_platforms[who]->server);
}

static void line_is_cut(void)
{
    enum four_cloud who = (enum four_cloud)net_draw(CLOUDS);
    bool cut = !four_platforms[who]->server.cut;
    trace("%s is %s", four_clouds[who], cut ? "cut off" : "there again");
    net_cut(&four_platforms[who]->server, cut);
}

/* In the middle of what comes next, before or after a commit. */
static void power_goes(void)
{
    world.cut = false;
    world.cut_after = net_draw(2);
    world.cut_at = sb_store_mem_commits(world.disk) + 1 + net_draw(12);
    trace("the power will go");
}

static void restart(void)
{
    trace("restart");
    four_restart(&world, false, net_draw(2) * MINUTE);
}

static void disk_is_full(void)
{
    trace("the disk is full");
    sb_store_mem_fail_next(world.disk, 1 + net_draw(3), -ENOSPC);
}

/* Longer than any answer, any device, anything that is fresh is waited for. */
static void long_time_passes(void)
{
    trace("a long time passes");
    pass(15 * MINUTE);
    four_run(&world, (int64_t)net_draw(26) * 60 * MINUTE);
}

static void something(void)
{
    static void (*const often[])(void) = { cloud_asks, cloud_asks, cloud_asks };
    static void (*const at_times[])(void) = {
        operator_asks,  hand_at_a_device, device_fails,     device_fails, device_is_away,
        download_fails, cloud_gives_up,   line_breaks,      line_is_cut,  power_goes,
        restart,        disk_is_full,     long_time_passes,
    };
    if (net_draw(2))
        often[net_draw(SB_COUNT(often))]();
    else
        at_times[net_draw(SB_COUNT(at_times))]();
}

/* ---- and in the end ---- */

/* Everything works again: what is open must come to its end now. */
static void all_is_well(void)
{
    net = (struct net){ 0 };
    azure_throttled = 0;
    world.cut_at = 0;
    shelf.faults = 0;
    sb_store_mem_fail_next(world.disk, 0, 0);
    for (int c = 0; c < CLOUDS; c++)
        net_cut(&four_platforms[c]->server, false);
    for (int d = 0; d < DEVICES; d++) {
        struct bench_device *device = four_bench((enum four_device)d);
        device->fault = BENCH_NEVER;
        device->faults = 0;
        device->offline = false;
        (void)!sb_runner_identify(world.core->runner, four_devices[d]);
    }
    trace("all is well");
    pass(15 * MINUTE);
    four_run(&world, 65 * MINUTE); /* more than any wait: an hour after a failed restart (IBM) */
    note_versions();
    note_ends();
}

/* A twin is a state: of a method that was accepted it may show what came later. It moves no more.
 */
static bool is_overtaken(const struct request *request)
{
    const char *status = azure_says(request->device, "firmware/fwUpdateStatus");
    return request->cloud == AZURE && request->op < WISH && request->code == 202 &&
           (strcmp(status, "current") == 0 || strcmp(status, "error") == 0);
}

static unsigned judge(void)
{
    unsigned wrong = four_breaches;
    for (size_t i = 0; i < request_count; i++) {
        const struct request *request = &requests[i];
        if (request->done || is_overtaken(request))
            continue;
        (void)fprintf(stderr, "%s: %s of %s (%d, %s) has no end: %u answers, code %d, %u steps\n",
                      four_clouds[request->cloud], request->id, four_devices[request->device],
                      request->op, request->version, request->answers, request->code,
                      request->steps);
        wrong++;
    }
    for (int d = 0; d < DEVICES; d++) {
        const struct bench_device *device = four_bench((enum four_device)d);
        const char *who = four_disagree((enum four_device)d);
        if (who) {
            (void)fprintf(stderr, "%s runs %s, and %s was told otherwise\n", four_devices[d],
                          device->version, who);
            wrong++;
        }
        if (device->installs > courses[d].asked) {
            (void)fprintf(stderr, "%s was flashed %u times for %u requests\n", four_devices[d],
                          device->installs, courses[d].asked);
            wrong++;
        }
        if (four_task(&world, NULL, (enum four_device)d)) {
            (void)fprintf(stderr, "%s has an open task yet\n", four_devices[d]);
            wrong++;
        }
    }
    return wrong;
}

static unsigned play(uint32_t seed)
{
    memset(courses, 0, sizeof(courses));
    memset(looked_at, 0, sizeof(looked_at));
    versions = 0;
    judged = 0;
    azure_gateway = seed % 3 == 0;
    four_new(&world, seed);
    note_versions();
    net.lost = net_draw(3) ? 0 : 5;
    net.twice = net_draw(3) ? 0 : 20;
    azure_throttled = net_draw(3) ? 0 : 20;
    for (int i = 0; i < EVENTS; i++) {
        something();
        pass(net_draw(3) ? net_draw(3000) : net_draw(60000));
    }
    if (!world.core)
        world_boot(&world);
    all_is_well();
    unsigned wrong = judge();
    if (wrong)
        (void)fprintf(stderr, "SB_SEED=%u: %u wrong, of %zu requests\n", seed, wrong,
                      request_count);
    four_done(&world);
    return wrong;
}

SB_TEST(any_order)
{
    const char *one = getenv("SB_SEED"), *many = getenv("SB_COURSES");
    unsigned wrong = 0;
    unsigned first = one ? (unsigned)strtoul(one, NULL, 10) : 1;
    unsigned count = one ? 1 : many ? (unsigned)strtoul(many, NULL, 10) : COURSES;
    for (unsigned i = 0; i < count; i++)
        wrong += play(first + i) > 0;
    if (wrong)
        fail_msg("%u of %u courses broke a law; SB_SEED=n SB_TRACE=1 shows one", wrong, count);
}
