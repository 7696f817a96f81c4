/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the fleets share: a thousand devices behind one real door, on the network of four_net.h. The
 * platform is the test's own; what the documentation forbids is a four_breach().
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>

#include "bridge/base/str.h"
#include "tests/scenario/four_platforms.h"
#include "tests/scenario/world.h"

#define FLEET  1000
#define MINUTE INT64_C(60000)

static struct world world;
static const char *fleet_link;   /* the link's section of the configuration */
static const char *fleet_prefix; /* of a device's name in the dialect, before its id */

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

static void fleet_new(struct net_server *server, const struct sb_adapters *adapters)
{
    net_reset(1);
    four_breaches = 0;
    server->cut = false;
    net_serve(server);
    world_new_as(&world, &(struct world_wish){
                             .adapters = adapters, .files = fleet_files, .power = net_power });
}

static int fleet_done(void)
{
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
