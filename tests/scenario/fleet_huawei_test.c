/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thousand sub-devices of one gateway: all are told to be online, in batches and before they say
 * anything; a third of them the platform does not know, and is asked to add; one task updates them
 * all with one download, over breaks and power cuts.
 */
#include "tests/scenario/fleet_huawei.h"

static void begin(const char *more)
{
    static char link[200];
    (void)snprintf(link, sizeof(link),
                   "dialect: huawei, uri: \"mqtt://huawei.example.com:1883\", id: " GATEWAY "%s",
                   more);
    memset(units, 0, sizeof(units));
    failures = silent = false;
    change_count = 0;
    statuses = additions = succeeded = reports = values = 0;
    for (int i = 0; i < FLEET; i++) {
        units[i].known = !*more || i % 3 != 0;
        units[i].percent = -1;
    }
    fleet_link = link;
    fleet_prefix = "huawei: p1_";
    fleet_new(&server, &adapters);
}

static int set_up(void **state)
{
    (void)state;
    begin("");
    return 0;
}

static int set_up_with_strangers(void **state)
{
    (void)state;
    begin(", add_devices: true");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return fleet_done();
}

static unsigned online(void)
{
    unsigned count = 0;
    for (int i = 0; i < FLEET; i++)
        count += units[i].online && *units[i].version;
    return count;
}

static bool comes(unsigned count, int64_t ms)
{
    for (int64_t passed = 0; passed < ms && online() < count; passed += 1000)
        sb_sim_advance(world.loop, 1000);
    print_message("%u in, by %u statuses, %u additions\n", online(), statuses, additions);
    return online() >= count;
}

static void a_thousand_come_in(void **state)
{
    (void)state;
    assert_true(comes(FLEET, MINUTE));
    assert_in_range(statuses, FLEET / 100, 200);
    statuses = 0;
    net_break(&server);
    sb_sim_advance(world.loop, 5000);
    assert_true(comes(FLEET, MINUTE));
    assert_in_range(statuses, FLEET / 100, 200);
}

static void strangers_are_added(void **state)
{
    (void)state;
    assert_true(comes(FLEET, 30 * MINUTE));
    assert_in_range(additions, FLEET / 3 / 50, FLEET / 3);
}

static void all_are_updated_once(void **state)
{
    (void)state;
    assert_true(comes(FLEET, MINUTE));
    shelf.completed = 0;
    net.twice = 20;
    for (int i = 0; i < FLEET; i++) {
        push(i);
        net_later(2 * MINUTE, on_again, i);
    }
    for (int i = 0; i < 6; i++) {
        sb_sim_advance(world.loop, 20000 + net_draw(20000));
        if (i % 3 == 2)
            fleet_power_cut();
        else
            net_break(&server);
    }
    for (int i = 0; i < 120 && succeeded < FLEET; i++)
        sb_sim_advance(world.loop, MINUTE);
    print_message("%u reports, %u downloads\n", reports, shelf.completed);
    assert_int_equal(succeeded, FLEET);
    assert_int_equal(shelf.completed, 1);
    for (int i = 0; i < FLEET; i++) {
        sb_cleanup(sb_freep) char *id = sb_format("unit-%d", i);
        assert_string_equal(bench_device(id)->version, "2.0.0");
        assert_int_equal(bench_device(id)->installs, 1);
    }
}

/* ---- anything ---- */

static void offer(int unit)
{
    if (!units[unit].known || units[unit].taken || units[unit].done ||
        (units[unit].pushed > 0 && !units[unit].failed))
        return;
    units[unit].failed = false;
    units[unit].percent = -1;
    units[unit].offers++;
    if (units[unit].online)
        push(unit);
}

static void something(void)
{
    static const enum sb_cause causes[] = { SB_CAUSE_WRITE_FAILED, SB_CAUSE_LINK_LOST,
                                            SB_CAUSE_INSTALL_FAILED };
    int unit = (int)net_draw(FLEET);
    sb_cleanup(sb_freep) char *id = sb_format("unit-%d", unit);
    switch (net_draw(8)) {
    case 0:
        change(unit, false);
        break;
    case 1:
        for (int i = unit % 3; i < FLEET; i += 3)
            change(i, true);
        break;
    case 2:
        bench_device(id)->fault = BENCH_TRANSFER;
        bench_device(id)->cause = causes[net_draw(SB_COUNT(causes))];
        bench_device(id)->faults = 1;
        break;
    case 3:
        bench_device(id)->offline = net_draw(2) == 0;
        break;
    case 4:
        silent = net_draw(8) == 0;
        break;
    case 5:
        offer(unit);
        break;
    case 6:
        if (units[unit].online && units[unit].pushed > 0 && !units[unit].done)
            push(unit); /* once more */
        break;
    default:
        if (net_draw(40) == 0)
            net_break(&server);
        else if (net_draw(60) == 0)
            fleet_power_cut();
        break;
    }
}

static void in_the_end_all_are_known_and_updated(void **state)
{
    (void)state;
    assert_true(comes(FLEET, MINUTE));
    failures = true;
    for (int i = 0; i < FLEET; i++) {
        offer(i);
        net_later(2 * MINUTE, on_again, i);
    }
    for (int i = 0; i < 1500; i++) {
        something();
        sb_sim_advance(world.loop, net_draw(400));
    }
    silent = false;
    for (int i = 0; i < FLEET; i += 50)
        change(i, false);
    sb_sim_advance(world.loop, 2000);
    for (int i = 0; i < FLEET; i++) {
        sb_cleanup(sb_freep) char *id = sb_format("unit-%d", i);
        bench_device(id)->offline = false;
        bench_device(id)->faults = 0;
        change(i, true);
    }
    unsigned done = 0;
    for (int i = 0; i < 120 && (online() < FLEET || done < FLEET); i++) {
        done = 0;
        for (int unit = 0; unit < FLEET; unit++) {
            offer(unit);
            done += units[unit].done;
        }
        sb_sim_advance(world.loop, MINUTE);
    }
    print_message("%u in, %u updated, %zu changes\n", online(), done, change_count);
    assert_int_equal(online(), FLEET);
    assert_int_equal(done, FLEET);
    for (int i = 0; i < FLEET; i++)
        assert_string_equal(units[i].version, "2.0.0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_thousand_come_in, set_up, tear_down),
        cmocka_unit_test_setup_teardown(strangers_are_added, set_up_with_strangers, tear_down),
        cmocka_unit_test_setup_teardown(all_are_updated_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(in_the_end_all_are_known_and_updated, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
