/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the fleets share: a thousand devices behind one real door, on the network of four_net.h. The
 * platform is the test's own; what the documentation forbids is a four_breach().
 */
#pragma once

#include <stdio.h>

#include <sys/stat.h>
#include <unistd.h>

#include "bridge/base/str.h"
#include "tests/scenario/four_platforms.h"
#include "tests/scenario/world.h"
#include "tests/test.h"

#define FLEET  1000
#define MINUTE INT64_C(60000)

static struct world world;
static const char *fleet_link;   /* the link's section of the configuration */
static const char *fleet_prefix; /* of a device's name in the dialect, before its id */

/* What the platform knows of each. */
static struct {
    bool known, online, failed;
    bool taken; /* out of its hands: what it says crosses that */
    char version[24];
    int step;      /* of the update, as told last */
    bool disabled; /* (alibaba) */
    bool done;     /* (huawei) */
    unsigned pushed, offers;
} units[FLEET];
static unsigned succeeded;
static char client_id[160];
static struct net_server server;

static void fleet_devices(const struct world *made)
{
    struct sb_str text = { 0 };
    sb_str_add(&text, "devices:\n");
    for (int i = 0; i < FLEET; i++)
        sb_str_format(&text, "  - { id: unit-%d, type: one-step, names: { %sunit-%d } }\n", i,
                      fleet_prefix, i);
    world_write(made, "devices.d/all.yaml", sb_str_get(&text));
    sb_str_done(&text);
}

static void fleet_files(const struct world *made)
{
    const char *source = getenv("SB_SOURCE"), *at = made->directory;
    mode_t before = umask(077);
    world_make(made, "devices");
    world_make(made, "devices.d");
    sb_cleanup(sb_freep) char *words =
        sb_format("%s/mappings/dialects", source ? source : SB_WORLD_SOURCE);
    sb_cleanup(sb_freep) char *link = sb_format("%s/dialects", at);
    assert_int_equal(symlink(words, link), 0);
    world_write(made, "secret", "c2VjcmV0\n");
    world_write(made, "devices/one-step.yaml",
                "name: one-step\ndriver: bench\nverify: version\nstall: 30s\noccupied: 5m\n");
    fleet_devices(made);
    sb_cleanup(sb_freep) char *config =
        sb_format("state: %s\nmappings: [ %s ]\ndevices: %s/devices.d\nlinks:\n  cloud: { role: "
                  "uplink, secret: \"file:%s/secret\", %s }\n",
                  at, at, at, at, fleet_link);
    world_write(made, "southbridge.yaml", config);
    (void)umask(before);
}

static void fleet_up(const char *client)
{
    (void)snprintf(client_id, sizeof(client_id), "%s", client);
}

static void fleet_down(const char *client)
{
    if (strcmp(client, client_id) == 0)
        for (int i = 0; i < FLEET; i++)
            units[i].online = false;
}

static void fleet_new(const struct sb_door_ops *door)
{
    static const struct sb_door_ops *doors[] = { NULL, NULL };
    static const struct sb_driver_ops *const drivers[] = { &bench_driver, NULL };
    static const struct sb_port_ops *const transports[] = { NULL };
    static const struct sb_adapters adapters = { doors, drivers, transports };
    doors[0] = door;
    net_reset(1);
    four_breaches = succeeded = 0;
    server.cut = false;
    net_serve(&server);
    world_new_as(&world, &(struct world_wish){
                             .adapters = &adapters, .files = fleet_files, .power = net_power });
}

static int fleet_done(void **state)
{
    (void)state;
    world_done(&world);
    net_reset(0);
    return four_breaches > 0;
}

static int fleet_index(const char *text)
{
    int index = -1, used = 0;
    bool whole = text && sscanf(text, "unit-%d%n", &index, &used) == 1 && !text[used];
    return whole && index >= 0 && index < FLEET ? index : -1;
}

static void fleet_power_cut(void)
{
    world_off(&world, true);
    world.wall += 5000;
    net_skip(5000);
    world_boot(&world);
}

static unsigned fleet_online(void)
{
    unsigned count = 0;
    for (int i = 0; i < FLEET; i++)
        count += units[i].online && *units[i].version;
    return count;
}

static bool fleet_comes(unsigned count, int64_t ms)
{
    for (int64_t passed = 0; passed < ms && fleet_online() < count; passed += 1000)
        sb_sim_advance(world.loop, 1000);
    return fleet_online() >= count;
}

/* The connection breaks again and again, the power goes; and yet each is updated, once. */
static void fleet_is_updated(void)
{
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

/* ---- what goes wrong below and between ---- */

static void fleet_fault(int unit)
{
    static const enum sb_cause causes[] = { SB_CAUSE_WRITE_FAILED, SB_CAUSE_LINK_LOST,
                                            SB_CAUSE_INSTALL_FAILED };
    sb_cleanup(sb_freep) char *id = sb_format("unit-%d", unit);
    struct bench_device *device = bench_device(id);
    if (net_draw(2) == 0) {
        device->fault = BENCH_TRANSFER;
        device->cause = causes[net_draw(SB_COUNT(causes))];
        device->faults = 1;
    } else {
        device->offline = net_draw(2) == 0;
    }
}

static void fleet_accident(void)
{
    if (net_draw(40) == 0)
        net_break(&server);
    else if (net_draw(60) == 0)
        fleet_power_cut();
}

static void fleet_mend(void)
{
    for (int i = 0; i < FLEET; i++) {
        sb_cleanup(sb_freep) char *id = sb_format("unit-%d", i);
        bench_device(id)->offline = false;
        bench_device(id)->faults = 0;
    }
}
