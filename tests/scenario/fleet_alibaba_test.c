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
    logins = minute_logins = throttled = batches = succeeded = 0;
    offering = false;
    fleet_link = "dialect: alibaba, uri: \"mqtt://alibaba.example.com:1883\", product_key: pk0, "
                 "device_name: gw1, device_product: pk1";
    fleet_prefix = "alibaba: ";
    fleet_new(&server, &adapters);
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
        count += units[i].online;
    return count;
}

static bool comes(unsigned count, int64_t ms)
{
    for (int64_t passed = 0; passed < ms && online() < count; passed += 1000)
        sb_sim_advance(world.loop, 1000);
    print_message("%u in, by %u logins (%u batches), %u throttled\n", online(), logins, batches,
                  throttled);
    return online() >= count;
}

static void a_thousand_come_in(void **state)
{
    (void)state;
    assert_true(comes(FLEET, 10 * MINUTE));
    assert_in_range(logins, FLEET / 50, 120);
    logins = throttled = 0;
    net_break(&server);
    sb_sim_advance(world.loop, 30000);
    assert_true(comes(FLEET, 10 * MINUTE)); /* known now: by logins alone */
    assert_in_range(logins, FLEET / 50, 120);
}

/* Each batch has one who is refused. */
static void who_is_disabled_keeps_out_nobody_else(void **state)
{
    (void)state;
    for (int i = 0; i < FLEET; i += 40)
        units[i].disabled = true;
    assert_true(comes(FLEET - FLEET / 40, 60 * MINUTE));
    unsigned before = logins;
    sb_sim_advance(world.loop, 60 * MINUTE);
    assert_in_range(logins - before, 0, 200); /* they are tried now and then, no more */
}

/* All at once, the connection breaks again and again, the power goes. */
static void all_are_updated_once(void **state)
{
    (void)state;
    assert_true(comes(FLEET, 10 * MINUTE));
    offering = true;
    net.twice = 20;
    for (int i = 0; i < FLEET; i++)
        push(i);
    for (int i = 0; i < 6; i++) {
        sb_sim_advance(world.loop, 20000 + net_draw(20000));
        if (i % 3 == 2)
            fleet_power_cut();
        else
            net_break(&server);
    }
    for (int i = 0; i < 120 && succeeded < FLEET; i++)
        sb_sim_advance(world.loop, MINUTE);
    assert_int_equal(succeeded, FLEET);
    for (int i = 0; i < FLEET; i++) {
        sb_cleanup(sb_freep) char *id = sb_format("unit-%d", i);
        assert_string_equal(bench_device(id)->version, "2.0.0");
        assert_int_equal(bench_device(id)->installs, 1);
    }
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
        units[unit].joined = units[unit].online = false;
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
    static const enum sb_cause causes[] = { SB_CAUSE_WRITE_FAILED, SB_CAUSE_LINK_LOST,
                                            SB_CAUSE_INSTALL_FAILED };
    int unit = (int)net_draw(FLEET);
    sb_cleanup(sb_freep) char *id = sb_format("unit-%d", unit);
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
        bench_device(id)->fault = BENCH_TRANSFER;
        bench_device(id)->cause = causes[net_draw(SB_COUNT(causes))];
        bench_device(id)->faults = 1;
        break;
    case 5:
        bench_device(id)->offline = net_draw(2) == 0;
        break;
    case 6:
        offer_again(unit);
        break;
    default:
        if (net_draw(40) == 0)
            net_break(&server);
        else if (net_draw(60) == 0)
            fleet_power_cut();
        break;
    }
}

static void in_the_end_all_are_in_and_updated(void **state)
{
    (void)state;
    assert_true(comes(FLEET, 10 * MINUTE));
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
    for (int i = 0; i < FLEET; i++) {
        sb_cleanup(sb_freep) char *id = sb_format("unit-%d", i);
        bench_device(id)->offline = false;
        bench_device(id)->faults = 0;
        if (units[i].disabled)
            disable(i, false);
        if (!units[i].joined)
            take_out(i, false);
    }
    for (int i = 0; i < 600 && (online() < FLEET || succeeded < FLEET); i++) {
        for (int unit = 0; unit < FLEET; unit++)
            offer_again(unit);
        sb_sim_advance(world.loop, MINUTE);
    }
    print_message("%u in, %u updated\n", online(), succeeded);
    assert_int_equal(online(), FLEET);
    assert_int_equal(succeeded, FLEET);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_thousand_come_in, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_is_disabled_keeps_out_nobody_else, set_up, tear_down),
        cmocka_unit_test_setup_teardown(all_are_updated_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(in_the_end_all_are_in_and_updated, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
