/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thousand sub-devices of one gateway: all are told to be online, in batches and before they say
 * anything; a third of them the platform does not know, and is asked to add; one task updates them
 * all with one download, over breaks and power cuts.
 */
#include "tests/scenario/fleet.h"

#include "adapters/dialects/huawei/huawei.h"

#define GATEWAY "gwp_gw1"
#define UP      "$oc/devices/" GATEWAY "/sys/"
#define MANAGER "$sub_device_manager"

static struct {
    bool known, online, done;
    int percent;
    unsigned pushed;
    char version[24];
} units[FLEET];
static char client_id[128];
static unsigned statuses, additions, succeeded, reports, values;

static const struct sb_door_ops *const doors[] = { &sb_huawei_uplink, NULL };
static const struct sb_driver_ops *const drivers[] = { &bench_driver, NULL };
static const struct sb_port_ops *const transports[] = { NULL };
static const struct sb_adapters adapters = { doors, drivers, transports };
static struct net_server server;

static int unit_of(const char *id)
{
    return id && strncmp(id, "p1_", 3) == 0 ? fleet_index(id + 3) : -1;
}

static void event(int unit, const char *service, const char *type, const char *id, json_t *paras)
{
    sb_cleanup(sb_freep) char *who = unit < 0 ? NULL : sb_format("p1_unit-%d", unit);
    (void)net_send(&server, client_id, UP "events/down",
                   json_pack("{s:s*,s:[{s:s,s:s,s:s*,s:o}]}", "object_device_id", who, "services",
                             "service_id", service, "event_type", type, "event_id", id, "paras",
                             paras),
                   1);
}

/* ---- the upgrade ---- */

static void push(int unit)
{
    sb_cleanup(sb_freep) char *uri = four_uri("2.0.0");
    sb_cleanup(sb_freep) char *sign = four_digest("2.0.0", false);
    sb_cleanup(sb_freep) char *id = sb_format("event-%d", unit);
    units[unit].pushed++;
    event(unit, "$ota", "firmware_upgrade_v2", id,
          json_pack("{s:s,s:s,s:I,s:i,s:s,s:s,s:i}", "version", "2.0.0", "url", uri, "file_size",
                    (json_int_t)four_size("2.0.0"), "expires", 86400, "sign", sign, "task_id", "t1",
                    "sub_device_count", FLEET));
}

static void on_again(int64_t arg)
{
    int unit = (int)arg;
    if (units[unit].done)
        return;
    if (units[unit].online && units[unit].percent < 0)
        push(unit);
    net_later(2 * MINUTE, on_again, arg);
}

static void on_progress(int unit, const json_t *paras)
{
    int code = (int)json_integer_value(json_object_get(paras, "result_code"));
    int percent = (int)json_integer_value(json_object_get(paras, "progress"));
    const char *version = json_string_value(json_object_get(paras, "version"));
    if (units[unit].pushed == 0)
        four_breach("unit-%d reports what nobody asked for", unit);
    if (code != 0)
        four_breach("unit-%d failed: %d, %s", unit, code,
                    json_string_value(json_object_get(paras, "description")));
    if (units[unit].done)
        return; /* once more */
    reports++;
    if (percent < units[unit].percent)
        four_breach("unit-%d falls from %d to %d", unit, units[unit].percent, percent);
    units[unit].percent = percent;
    if (percent < 100)
        return;
    if (!version || strcmp(version, "2.0.0") != 0)
        four_breach("unit-%d is done with %s", unit, version ? version : "nothing");
    units[unit].done = true;
    succeeded++;
}

static void on_ota(int unit, const char *type, const json_t *paras)
{
    const char *version = json_string_value(json_object_get(paras, "fw_version"));
    if (unit < 0)
        return; /* the gateway's own */
    if (strcmp(type, "upgrade_progress_report") == 0) {
        on_progress(unit, paras);
        return;
    }
    if (!units[unit].online)
        four_breach("unit-%d says its version and is not online", unit);
    (void)snprintf(units[unit].version, sizeof(units[unit].version), "%s", version ? version : "");
}

/* ---- the family ---- */

static void on_status(const char *id, const json_t *paras)
{
    const json_t *list = json_object_get(paras, "device_statuses"), *entry;
    json_t *good = json_array(), *bad = json_array();
    size_t i;
    statuses++;
    if (json_array_size(list) > 100)
        four_breach("%zu statuses in one message", json_array_size(list));
    json_array_foreach (list, i, entry) {
        const char *name = json_string_value(json_object_get(entry, "device_id"));
        int unit = unit_of(name);
        if (unit < 0 || !units[unit].known) {
            (void)json_array_append_new(bad,
                                        json_pack("{s:s,s:s,s:s}", "device_id", name, "error_code",
                                                  "IOTDA.014000", "error_msg", "no such device"));
            continue;
        }
        const char *status = json_string_value(json_object_get(entry, "status"));
        units[unit].online = status && strcmp(status, "ONLINE") == 0;
        (void)json_array_append(good, (json_t *)entry);
    }
    event(-1, MANAGER, "sub_device_update_status_response", id,
          json_pack("{s:o,s:o}", "successful_devices", good, "failed_devices", bad));
}

static void on_add(const char *id, const json_t *paras)
{
    json_t *list = json_object_get(paras, "devices"), *entry;
    size_t i;
    additions++;
    if (json_array_size(list) > 50)
        four_breach("%zu additions in one message", json_array_size(list));
    json_array_foreach (list, i, entry) {
        int unit = unit_of(json_string_value(json_object_get(entry, "device_id")));
        if (unit < 0)
            four_breach("a stranger is to be added");
        else
            units[unit].known = true;
    }
    event(-1, MANAGER, "add_sub_device_response", id,
          json_pack("{s:O,s:[]}", "successful_devices", list, "failed_devices"));
}

static void on_service(int unit, const json_t *service)
{
    const char *what = json_string_value(json_object_get(service, "service_id"));
    const char *type = json_string_value(json_object_get(service, "event_type"));
    const char *id = json_string_value(json_object_get(service, "event_id"));
    const json_t *paras = json_object_get(service, "paras");
    if (!what || !type)
        four_breach("an event without a name");
    else if (strcmp(what, "$ota") == 0)
        on_ota(unit, type, paras);
    else if (strcmp(type, "sub_device_update_status") == 0)
        on_status(id, paras);
    else if (strcmp(type, "add_sub_device_request") == 0)
        on_add(id, paras);
    else if (strcmp(type, "sub_device_sync_request") != 0)
        four_breach("the gateway says %s", type);
}

static void hear(const char *client SB_UNUSED, const char *topic, const char *payload, size_t n)
{
    sb_cleanup(json_decrefp) json_t *body = four_parse(payload, n);
    json_t *service;
    size_t i;
    if (n > 65536)
        four_breach("%zu bytes in one message", n);
    if (strcmp(topic, UP "gateway/sub_devices/properties/report") == 0) {
        values++;
        return;
    }
    if (strcmp(topic, UP "events/up") != 0)
        four_breach("unknown topic %s", topic);
    const char *name = json_string_value(json_object_get(body, "object_device_id"));
    json_array_foreach (json_object_get(body, "services"), i, service)
        on_service(unit_of(name), service);
}

static void up(const char *client)
{
    (void)snprintf(client_id, sizeof(client_id), "%s", client);
}

static void down(const char *client)
{
    if (strcmp(client, client_id) == 0)
        for (int i = 0; i < FLEET; i++)
            units[i].online = false;
}

static struct net_server server = {
    .host = "huawei.example.com", .up = up, .down = down, .hear = hear
};

/* ---- the tests ---- */

static void begin(const char *more)
{
    static char link[200];
    (void)snprintf(link, sizeof(link),
                   "dialect: huawei, uri: \"mqtt://huawei.example.com:1883\", id: " GATEWAY "%s",
                   more);
    memset(units, 0, sizeof(units));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_thousand_come_in, set_up, tear_down),
        cmocka_unit_test_setup_teardown(strangers_are_added, set_up_with_strangers, tear_down),
        cmocka_unit_test_setup_teardown(all_are_updated_once, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
