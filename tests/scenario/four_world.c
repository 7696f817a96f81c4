/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/scenario/four_world.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapters/dialects/alibaba/alibaba.h"
#include "adapters/dialects/azure/azure.h"
#include "adapters/dialects/huawei/huawei.h"
#include "adapters/dialects/ibm/ibm.h"
#include "bridge/base/str.h"

static const struct sb_door_ops *const doors[] = { &sb_alibaba_uplink, &sb_azure_uplink,
                                                   &sb_huawei_uplink, &sb_ibm_uplink, NULL };
static const struct sb_driver_ops *const drivers[] = { &bench_driver, NULL };
static const struct sb_port_ops *const transports[] = { NULL };
static const struct sb_adapters adapters = { doors, drivers, transports };

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    (void)fprintf(stderr, "four: %s\n", what);
    abort();
}

/* ---- files ---- */

static void write_types(const struct world *world)
{
    static const char *const names[] = { "one-step", "two-step" };
    for (size_t i = 0; i < SB_COUNT(names); i++) {
        sb_cleanup(sb_freep) char *file = sb_format("devices/%s.yaml", names[i]);
        sb_cleanup(sb_freep) char *text = sb_format(
            "name: %s\ndriver: bench\nverify: version\nstall: 30s\noccupied: 5m\n", names[i]);
        world_write(world, file, text);
    }
}

static void write_devices(const struct world *world)
{
    static const char *const commanders[DEVICES] = {
        [DRIVE] = ", commanders: [ azure ]", [BOARD] = ", commanders: [ alibaba, native ]"
    };
    struct sb_str text = { 0 };
    sb_str_add(&text, "devices:\n");
    for (int i = 0; i < DEVICES; i++)
        sb_str_format(&text, "  - { id: %s, type: %s, names: { huawei: p1_%s }%s }\n",
                      four_devices[i], four_types[i], four_devices[i],
                      commanders[i] ? commanders[i] : "");
    world_write(world, "devices.d/all.yaml", sb_str_get(&text));
    sb_str_done(&text);
}

static void write_files(const struct world *world)
{
    const char *source = getenv("SB_SOURCE"), *at = world->directory;
    mode_t before = umask(077);
    world_make(world, "devices");
    world_make(world, "devices.d");
    world_make(world, "keys");
    sb_cleanup(sb_freep) char *words =
        sb_format("%s/mappings/dialects", source ? source : SB_WORLD_SOURCE);
    sb_cleanup(sb_freep) char *link = sb_format("%s/dialects", at);
    must(symlink(words, link) == 0, "the words");
    world_write(world, "keys/secret", "c2VjcmV0\n");
    for (int i = 0; i < DEVICES; i++) {
        sb_cleanup(sb_freep) char *file = sb_format("keys/%s.key", four_devices[i]);
        world_write(world, file, "c2VjcmV0\n");
    }
    write_types(world);
    write_devices(world);
    sb_cleanup(sb_freep) char *config = sb_format(
        "state: %s\n"
        "mappings: [ %s ]\n"
        "devices: %s/devices.d\n"
        "links:\n"
        "  ibm: { dialect: ibm, role: uplink, uri: \"mqtt://ibm.example.com:1883\", org: org123,\n"
        "         type: gateway, id: gw1, token: \"file:%s/keys/secret\" }\n"
        "  azure: { dialect: azure, role: uplink, uri: \"mqtt://azure.example.com:1883\", %s\n"
        "           key: \"file:%s/keys/%s\" }\n"
        "  huawei: { dialect: huawei, role: uplink, uri: \"mqtt://huawei.example.com:1883\",\n"
        "            id: gwp_gw1, secret: \"file:%s/keys/secret\" }\n"
        "  alibaba: { dialect: alibaba, role: uplink, uri: \"mqtt://alibaba.example.com:1883\",\n"
        "             product_key: pk0, device_name: gw1, device_product: pk1,\n"
        "             secret: \"file:%s/keys/secret\" }\n",
        at, at, at, at, azure_gateway ? "mode: gateway, id: gw1," : "", at,
        azure_gateway ? "secret" : "{name}.key", at, at);
    world_write(world, "southbridge.yaml", config);
    (void)umask(before);
}

/* ---- life ---- */

void four_new(struct world *world, uint32_t seed)
{
    net_reset(seed);
    memset(requests, 0, sizeof(requests));
    request_count = 0;
    four_breaches = 0;
    for (int i = 0; i < CLOUDS; i++) {
        four_platforms[i]->begin();
        four_platforms[i]->server.cut = false;
        net_serve(&four_platforms[i]->server);
    }
    world_new_as(world, &(struct world_wish){
                            .adapters = &adapters, .files = write_files, .power = net_power });
    four_run(world, 30000);
}

void four_done(struct world *world)
{
    world_done(world);
    net_reset(0);
    for (int i = 0; i < CLOUDS; i++)
        four_platforms[i]->begin();
}

int four_over(struct world *world)
{
    four_run(world, 60000);
    int wrong = four_breaches > 0;
    for (int i = 0; i < DEVICES; i++) {
        const char *who = four_disagree((enum four_device)i);
        if (who)
            (void)fprintf(stderr, "%s runs %s, and %s was told otherwise\n", four_devices[i],
                          four_bench((enum four_device)i)->version, who);
        wrong |= who != NULL;
    }
    four_done(world);
    return -wrong;
}

void four_run(struct world *world, int64_t ms)
{
    sb_sim_advance(world->loop, ms);
}

void four_restart(struct world *world, bool cut, int64_t ms)
{
    world_off(world, cut);
    world->wall += ms;
    net_skip(ms);
    world_boot(world);
}

bool four_await(struct world *world, const struct request *request, int64_t ms)
{
    for (int64_t passed = 0; passed < ms && !request->done; passed += 100)
        four_run(world, 100);
    return request->done;
}

/* ---- devices ---- */

struct bench_device *four_bench(enum four_device device)
{
    return bench_device(four_devices[device]);
}

const char *four_disagree(enum four_device device)
{
    const char *runs = four_bench(device)->version;
    for (int i = 0; i < CLOUDS; i++)
        if (strcmp(four_platforms[i]->version(device), runs) != 0)
            return four_clouds[i];
    return NULL;
}

static int64_t submit(struct world *world, enum four_device device, struct sb_request *request,
                      const char *version)
{
    struct sb_verdict verdict = { 0 };
    const char *list[] = { four_devices[device] };
    sb_cleanup(sb_freep) char *uri = version ? four_uri(version) : NULL;
    sb_cleanup(json_decrefp) json_t *package =
        version ? json_pack("{s:s,s:s}", "uri", uri, "version", version) : NULL;
    request->package = package;
    request->devices = list;
    request->device_count = 1;
    must(sb_intake_submit(&world->core->intake, "native", false, request, &verdict) == 0, "submit");
    if (verdict.cause != SB_CAUSE_NONE)
        (void)fprintf(stderr, "refused: %s\n", verdict.text);
    int64_t job = verdict.cause == SB_CAUSE_NONE ? verdict.job : 0;
    sb_verdict_done(&verdict);
    return job;
}

int64_t four_native(struct world *world, enum sb_op op, enum four_device device,
                    const char *version, uint32_t retries)
{
    return submit(
        world, device,
        &(struct sb_request){ .op = op, .policy = { .retries = retries, .retry_interval = 1000 } },
        version);
}

int64_t four_rule(struct world *world, enum four_device device, const char *version)
{
    return submit(world, device,
                  &(struct sb_request){ .op = SB_OP_FIRMWARE_UPDATE,
                                        .targets = &(struct sb_targets){ 0 },
                                        .rule = true },
                  version);
}

struct sb_task *four_task(struct world *world, const char *origin, enum four_device device)
{
    struct sb_task *task = NULL;
    while ((task = sb_book_of_device(world->core->book, four_devices[device], task)))
        if (!origin || sb_streq(task->job->origin, origin))
            return task;
    return NULL;
}

bool four_until(struct world *world, const char *origin, enum four_device device,
                enum sb_task_state state)
{
    for (int i = 0; i < 6000; i++) {
        const struct sb_task *task = four_task(world, origin, device);
        if (task && task->state == state)
            return true;
        four_run(world, 10);
    }
    return false;
}

void four_everything(struct world *world)
{
    for (int i = 0; i < DEVICES; i++)
        for (int m = 0; m < 20 && sb_book_of_device(world->core->book, four_devices[i], NULL); m++)
            four_run(world, 60000);
    four_run(world, 120000);
}

void four_by_hand(struct world *world, enum four_device device, const char *version)
{
    struct bench_device *changed = four_bench(device);
    (void)snprintf(changed->version, sizeof(changed->version), "%s", version);
    must(sb_runner_identify(world->core->runner, four_devices[device]) == 0, "identify");
}
