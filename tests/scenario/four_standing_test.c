/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Four clouds over a long time: wishes that stand, a cloud that is away, who may command, and that
 * everybody knows what runs where.
 */
#include <stdio.h>

#include "bridge/base/str.h"
#include "tests/scenario/four_world.h"
#include "tests/test.h"

#define MINUTE INT64_C(60000)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

static struct world world;

static int set_up(void **state)
{
    (void)state;
    four_new(&world, 2);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return four_over(&world);
}

static void all_agree(enum four_device device, const char *version)
{
    const char *who = four_disagree(device);
    if (who)
        fail_msg("%s was not told that %s runs %s", who, four_devices[device],
                 four_bench(device)->version);
    assert_string_equal(four_bench(device)->version, version);
}

static void ends_well(const struct request *request)
{
    assert_non_null(request);
    if (!four_await(&world, request, 20 * MINUTE) || !request->good)
        fail_msg("%s: %s for %s %s (%d)", four_clouds[request->cloud], request->id,
                 request->version, request->done ? "failed" : "is open", request->final);
}

/* ---- standing wishes ---- */

/* What happens to a gateway in a day. */
static void day_goes_by(void)
{
    for (int hour = 0; hour < 24; hour++) {
        four_run(&world, HOUR / 2);
        net_break(&four_platforms[hour % CLOUDS]->server);
        four_run(&world, HOUR / 2);
        if (hour % 4 == 3)
            four_restart(&world, hour % 8 == 3, MINUTE);
    }
    four_run(&world, MINUTE);
}

#define SCENARIO(test) SB_TEST(test, set_up, tear_down)

/* A twin's wish and a task of Huawei's or a push of Alibaba's, each for another version; the twin
 * is read at each connect, and an operator's rule stands beside them. */
SCENARIO(two_wishes_and_no_flashing_about)
{
    ends_well(four_ask(AZURE, PUMP, WISH, "2.0.0"));
    ends_well(four_ask(HUAWEI, PUMP, UPDATE, "3.0.0"));
    ends_well(four_ask(AZURE, VALVE, WISH, "2.0.0"));
    ends_well(four_ask(ALIBABA, VALVE, UPDATE, "4.0.0"));
    ends_well(four_ask(ALIBABA, METER, UPDATE, "2.0.0"));
    ends_well(four_ask(AZURE, METER, WISH, "4.0.0"));
    int64_t rule = four_rule(&world, METER, "5.0.0");
    assert_true(rule > 0);
    four_run(&world, 10 * MINUTE);
    all_agree(METER, "5.0.0");
    day_goes_by();
    all_agree(PUMP, "3.0.0");
    all_agree(VALVE, "4.0.0");
    all_agree(METER, "5.0.0");
    assert_int_equal(four_bench(PUMP)->installs, 2);
    assert_int_equal(four_bench(VALVE)->installs, 2);
    assert_int_equal(four_bench(METER)->installs, 3);
}

/* Both at once: one after the other, and then no more. */
SCENARIO(two_wishes_at_once)
{
    struct request *wish = four_ask(AZURE, PUMP, WISH, "2.0.0");
    struct request *push = four_ask(ALIBABA, PUMP, UPDATE, "4.0.0");
    ends_well(wish);
    ends_well(push);
    four_run(&world, MINUTE);
    const char *last = four_bench(PUMP)->version;
    sb_cleanup(sb_freep) char *version = strdup(last);
    day_goes_by();
    all_agree(PUMP, version);
    assert_int_equal(four_bench(PUMP)->installs, 2);
}

/* ---- a cloud is away for a week ---- */

static void week_without(enum four_cloud lost)
{
    sb_cleanup(sb_freep) char *mine = sb_format("9.%d.0", (int)lost);
    struct request *before = four_ask(lost, VALVE, UPDATE, mine);
    assert_non_null(before);
    assert_true(four_until(&world, four_clouds[lost], VALVE, SB_TASK_DOWNLOADING));
    while (lost == AZURE && before->answers == 0) /* for its hub it would have failed */
        four_run(&world, 10);
    net_cut(&four_platforms[lost]->server, true);
    for (int half = 0; half < 14; half++) {
        enum four_cloud who = (enum four_cloud)(((int)lost + 1 + half % 3) % CLOUDS);
        sb_cleanup(sb_freep) char *version = sb_format("2.%d.%d", (int)lost, half);
        ends_well(four_ask(who, PUMP, UPDATE, version));
        assert_string_equal(four_bench(PUMP)->version, version);
        if (half % 5 == 2)
            four_restart(&world, half > 5, MINUTE);
        four_run(&world, DAY / 2);
        struct sb_outbox_stats stats;
        sb_outbox_stats(world.core->outbox, four_clouds[lost], &stats);
        assert_true(stats.waiting < 100);
    }
    assert_string_not_equal(four_platforms[lost]->version(PUMP), four_bench(PUMP)->version);
    net_cut(&four_platforms[lost]->server, false);
    four_run(&world, 10 * MINUTE);
    four_everything(&world);
    if (lost == IBM && !before->done) /* its update's second half is asked for only now */
        four_run(&world, 10 * MINUTE);
    if (!before->done || !before->good)
        fail_msg("%s does not know how it ended (%s, %d)", four_clouds[lost],
                 before->done ? "badly" : "open", before->final);
}

SCENARIO(week_without_each)
{
    for (int c = 0; c < CLOUDS; c++) {
        week_without((enum four_cloud)c);
        for (int d = 0; d < DEVICES; d++)
            all_agree((enum four_device)d, four_bench((enum four_device)d)->version);
    }
}

/* ---- versions ---- */

SCENARIO(version_is_told_whoever_changed_it)
{
    for (int c = 0; c < CLOUDS; c++) {
        sb_cleanup(sb_freep) char *version = sb_format("2.%d.0", c);
        ends_well(four_ask((enum four_cloud)c, METER, UPDATE, version));
        four_run(&world, MINUTE);
        all_agree(METER, version);
    }
    assert_true(four_native(&world, SB_OP_FIRMWARE_UPDATE, METER, "3.0.0", 0) > 0);
    four_everything(&world);
    all_agree(METER, "3.0.0");
    four_by_hand(&world, METER, "3.1.0");
    four_run(&world, MINUTE);
    all_agree(METER, "3.1.0");
    four_by_hand(&world, METER, "0.9.0"); /* back */
    four_run(&world, MINUTE);
    all_agree(METER, "0.9.0");
}

/* While three clouds are away, and the gateway loses its power before they are back. */
SCENARIO(version_is_told_later)
{
    for (int c = AZURE; c < CLOUDS; c++)
        net_cut(&four_platforms[c]->server, true);
    ends_well(four_ask(IBM, PUMP, UPDATE, "2.0.0"));
    four_restart(&world, true, HOUR);
    four_run(&world, HOUR);
    for (int c = AZURE; c < CLOUDS; c++)
        net_cut(&four_platforms[c]->server, false);
    four_run(&world, 5 * MINUTE);
    all_agree(PUMP, "2.0.0");
}

/* ---- rights ---- */

struct right {
    enum four_device device;
    bool may[CLOUDS];
};

/* Who may not is told so, in its own way, at once, and hears of the device all the same. */
SCENARIO(who_may_command)
{
    static const struct right rights[] = {
        { PUMP, { true, true, true, true } },
        { DRIVE, { [AZURE] = true } },
        { BOARD, { [ALIBABA] = true } },
    };
    static const int told[CLOUDS] = { [IBM] = 500, [AZURE] = 403, [HUAWEI] = 255, [ALIBABA] = -1 };
    for (size_t i = 0; i < SB_COUNT(rights); i++)
        for (int c = 0; c < CLOUDS; c++) {
            enum four_device device = rights[i].device;
            unsigned installs = four_bench(device)->installs;
            sb_cleanup(sb_freep) char *version = sb_format("2.%d.0", c);
            const struct request *request = four_ask((enum four_cloud)c, device, UPDATE, version);
            if (rights[i].may[c]) {
                ends_well(request);
            } else {
                assert_true(four_await(&world, request, MINUTE));
                assert_false(request->good);
                assert_int_equal(request->final, told[c]);
            }
            four_run(&world, MINUTE);
            assert_int_equal(four_bench(device)->installs, installs + rights[i].may[c]);
            all_agree(device, four_bench(device)->version);
        }
}

/* A reboot, a stop, and what is staged need the right, too. */
SCENARIO(what_else_needs_the_right)
{
    struct bench_device *drive = four_bench(DRIVE);
    for (int c = 0; c < CLOUDS; c++) {
        unsigned boots = drive->boots;
        const struct request *request = four_ask((enum four_cloud)c, DRIVE, REBOOT, NULL);
        assert_non_null(request);
        assert_true(four_await(&world, request, MINUTE));
        four_run(&world, MINUTE);
        assert_int_equal(request->good, c == AZURE);
        assert_int_equal(drive->boots, boots + (c == AZURE));
    }
    ends_well(four_ask(AZURE, DRIVE, DOWNLOAD, "2.0.0"));
    struct request *other = four_ask(IBM, DRIVE, INSTALL, "2.0.0");
    assert_true(four_await(&world, other, MINUTE));
    assert_false(other->good);
    ends_well(four_ask(AZURE, DRIVE, INSTALL, "2.0.0"));
    four_run(&world, MINUTE);
    all_agree(DRIVE, "2.0.0");
}
