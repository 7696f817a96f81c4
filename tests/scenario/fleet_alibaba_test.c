/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thousand sub-devices before a platform that throttles: all come in, in batches, within a sane
 * time, over breaks and power cuts; one that is refused keeps out nobody but himself; and all are
 * updated, each once. Then the platform does what it can: it ends sessions, disables, takes out of
 * the topology, while updates fail and are offered again; and in the end all are in and updated.
 */
#include "tests/scenario/fleet_alibaba.h"

static int set_up(void **state)
{
    (void)state;
    memset(units, 0, sizeof(units));
    logins = minute_logins = 0;
    offering = false;
    fleet_link = "dialect: alibaba, uri: \"mqtt://alibaba.example.com:1883\", product_key: pk0, "
                 "device_name: gw1, device_product: pk1";
    fleet_prefix = "alibaba: ";
    fleet_new(&sb_alibaba_uplink);
    return 0;
}

SB_TEST(a_thousand_come_in, set_up, fleet_done)
{
    assert_true(fleet_comes(FLEET, 10 * MINUTE));
    assert_in_range(logins, FLEET / 50, 120);
    logins = 0;
    net_break(&server);
    sb_sim_advance(world.loop, 30000);
    assert_true(fleet_comes(FLEET, 10 * MINUTE)); /* known now: by logins alone */
    assert_in_range(logins, FLEET / 50, 120);
}

/* Each batch has one who is refused. */
SB_TEST(who_is_disabled_keeps_out_nobody_else, set_up, fleet_done)
{
    for (int i = 0; i < FLEET; i += 40)
        units[i].disabled = true;
    assert_true(fleet_comes(FLEET - FLEET / 40, 60 * MINUTE));
    unsigned before = logins;
    sb_sim_advance(world.loop, 60 * MINUTE);
    assert_in_range(logins - before, 0, 200); /* they are tried now and then, no more */
}

SB_TEST(all_are_updated_once, set_up, fleet_done)
{
    assert_true(fleet_comes(FLEET, 10 * MINUTE));
    offering = true;
    net.twice = 20;
    for (int i = 0; i < FLEET; i++)
        push(i);
    fleet_is_updated();
}

/* ---- anything ---- */

static void say(const char *who, const char *what, json_t *params)
{
    sb_cleanup(sb_freep) char *topic = sb_format("/sys/%s/thing/%s", who, what);
    (void)net_send(&server, client_id, topic,
                   json_pack("{s:s,s:s,s:o}", "id", "9", "version", "1.0", "params", params), 1);
}

static void disable(int unit, bool disabled)
{
    sb_cleanup(sb_freep) char *who = sb_format("pk1/unit-%d", unit);
    units[unit].taken = units[unit].taken || units[unit].online;
    units[unit].disabled = disabled;
    units[unit].online = units[unit].online && !disabled;
    say(who, disabled ? "disable" : "enable", json_object());
}

static void take_out(int unit, bool out)
{
    sb_cleanup(sb_freep) char *name = sb_format("unit-%d", unit);
    json_t *list = json_pack("[{s:s,s:s}]", "productKey", "pk1", "deviceName", name);
    if (out) {
        units[unit].taken = units[unit].taken || units[unit].online;
        units[unit].known = units[unit].online = false;
        say("pk0/gw1", "topo/change", json_pack("{s:i,s:o}", "status", 1, "subList", list));
    } else {
        say("pk0/gw1", "topo/add/notify", list);
    }
}

static void offer_again(int unit)
{
    if (!units[unit].failed)
        return;
    units[unit].failed = false;
    units[unit].step = 0;
    if (units[unit].online)
        push(unit);
}

static void something(void)
{
    int unit = (int)net_draw(FLEET);
    switch (net_draw(8)) {
    case 0:
        end_session(unit);
        break;
    case 1:
        disable(unit, true);
        break;
    case 2:
        for (int i = 0; i < FLEET; i += 2)
            if (units[i].disabled)
                disable(i, false);
        break;
    case 3:
        take_out(unit, net_draw(2) == 0);
        break;
    case 4:
    case 5:
        fleet_fault(unit);
        break;
    case 6:
        offer_again(unit);
        break;
    default:
        fleet_accident();
        break;
    }
}

SB_TEST(in_the_end_all_are_in_and_updated, set_up, fleet_done)
{
    assert_true(fleet_comes(FLEET, 10 * MINUTE));
    offering = true;
    for (int i = 0; i < FLEET; i++)
        push(i);
    for (int i = 0; i < 1500; i++) {
        something();
        sb_sim_advance(world.loop, net_draw(400));
    }
    for (int i = 0; i < FLEET; i += 50)
        take_out(i, true);
    sb_sim_advance(world.loop, 2000);
    fleet_mend();
    for (int i = 0; i < FLEET; i++) {
        if (units[i].disabled)
            disable(i, false);
        if (!units[i].known)
            take_out(i, false);
    }
    for (int i = 0; i < 600 && (fleet_online() < FLEET || succeeded < FLEET); i++) {
        for (int unit = 0; unit < FLEET; unit++)
            offer_again(unit);
        sb_sim_advance(world.loop, MINUTE);
    }
    print_message("%u in, %u updated\n", fleet_online(), succeeded);
    assert_int_equal(fleet_online(), FLEET);
    assert_int_equal(succeeded, FLEET);
}
