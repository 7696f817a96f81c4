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
    statuses = additions = 0;
    for (int i = 0; i < FLEET; i++) {
        units[i].known = !*more || i % 3 != 0;
        units[i].step = -1;
    }
    fleet_link = link;
    fleet_prefix = "huawei: p1_";
    fleet_new(&sb_huawei_uplink);
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

SB_TEST(a_thousand_come_in, set_up, fleet_done)
{
    assert_true(fleet_comes(FLEET, MINUTE));
    assert_in_range(statuses, FLEET / 100, 200);
    statuses = 0;
    net_break(&server);
    sb_sim_advance(world.loop, 5000);
    assert_true(fleet_comes(FLEET, MINUTE));
    assert_in_range(statuses, FLEET / 100, 200);
}

SB_TEST(strangers_are_added, set_up_with_strangers, fleet_done)
{
    assert_true(fleet_comes(FLEET, 30 * MINUTE));
    assert_in_range(additions, FLEET / 3 / 50, FLEET / 3);
}

SB_TEST(all_are_updated_once, set_up, fleet_done)
{
    assert_true(fleet_comes(FLEET, MINUTE));
    shelf.completed = 0;
    net.twice = 20;
    for (int i = 0; i < FLEET; i++) {
        push(i);
        net_later(2 * MINUTE, on_again, i);
    }
    fleet_is_updated();
    assert_int_equal(shelf.completed, 1);
}

/* ---- anything ---- */

static void offer(int unit)
{
    if (!units[unit].known || units[unit].taken || units[unit].done ||
        (units[unit].pushed > 0 && !units[unit].failed))
        return;
    units[unit].failed = false;
    units[unit].step = -1;
    units[unit].offers++;
    if (units[unit].online)
        push(unit);
}

static void something(void)
{
    int unit = (int)net_draw(FLEET);
    switch (net_draw(8)) {
    case 0:
        change(unit, false);
        break;
    case 1:
        for (int i = unit % 3; i < FLEET; i += 3)
            change(i, true);
        break;
    case 2:
    case 3:
        fleet_fault(unit);
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
        fleet_accident();
        break;
    }
}

SB_TEST(in_the_end_all_are_known_and_updated, set_up, fleet_done)
{
    assert_true(fleet_comes(FLEET, MINUTE));
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
    fleet_mend();
    for (int i = 0; i < FLEET; i++)
        change(i, true);
    unsigned done = 0;
    for (int i = 0; i < 120 && (fleet_online() < FLEET || done < FLEET); i++) {
        done = 0;
        for (int unit = 0; unit < FLEET; unit++) {
            offer(unit);
            done += units[unit].done;
        }
        sb_sim_advance(world.loop, MINUTE);
    }
    print_message("%u in, %u updated, %zu changes\n", fleet_online(), done, change_count);
    assert_int_equal(fleet_online(), FLEET);
    assert_int_equal(done, FLEET);
    for (int i = 0; i < FLEET; i++)
        assert_string_equal(units[i].version, "2.0.0");
}
