/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/scenario/world.h"

#include <stdio.h>
#include <sys/stat.h>

#include "bridge/base/log.h"
#include "bridge/base/str.h"

static const struct sb_door_ops *const doors[] = { &cloud_door, NULL };
static const struct sb_driver_ops *const drivers[] = { &bench_driver, NULL };
static const struct sb_port_ops *const transports[] = { NULL };
static const struct sb_adapters fakes = { doors, drivers, transports };

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    (void)fprintf(stderr, "world: %s\n", what);
    abort();
}

static void write_file(const char *directory, const char *name, const char *text)
{
    sb_cleanup(sb_freep) char *path = sb_format("%s/%s", directory, name);
    FILE *file = path ? fopen(path, "w") : NULL;
    must(file && fputs(text, file) >= 0, name);
    (void)fclose(file);
}

static void make_directory(const char *directory, const char *name)
{
    sb_cleanup(sb_freep) char *path = sb_format("%s/%s", directory, name);
    must(path && mkdir(path, 0700) == 0, name);
}

void world_make(const struct world *world, const char *name)
{
    make_directory(world->directory, name);
}

static void write_words(const char *directory)
{
    struct sb_str text = { 0 };
    sb_str_add(&text, "dialect: cloud\nsends:\n  states:\n    all:\n");
    for (int s = 0; s <= SB_TASK_SUCCEEDED; s++)
        sb_str_format(&text, "      %s: { code: %d }\n", sb_task_state_name(s), s);
    sb_str_add(&text, "  causes:\n");
    for (int c = 1; c < SB_CAUSE_MAX_; c++)
        sb_str_format(&text, "    %s: { code: %d }\n", sb_cause_name(c), 100 + c);
    write_file(directory, "dialects/cloud.yaml", sb_str_get(&text));
    sb_str_done(&text);
}

static void write_files(const char *directory, const char *more)
{
    make_directory(directory, "dialects");
    make_directory(directory, "devices");
    make_directory(directory, "devices.d");
    write_words(directory);
    write_file(directory, "devices/one-step.yaml",
               "name: one-step\ndriver: bench\nverify: version\nstall: 30s\noccupied: 5m\n");
    write_file(directory, "devices/two-step.yaml",
               "name: two-step\ndriver: bench\nverify: version\nstall: 30s\noccupied: 5m\n");
    write_file(directory, "devices.d/all.yaml",
               "devices:\n"
               "  - { id: a, type: one-step }\n"
               "  - { id: b, type: one-step }\n"
               "  - { id: c, type: two-step }\n"
               "  - { id: d, type: one-step, commanders: [ north ] }\n");
    sb_cleanup(sb_freep) char *config = sb_format("state: %s\n"
                                                  "mappings: [ %s ]\n"
                                                  "devices: %s/devices.d\n"
                                                  "links:\n"
                                                  "  north: { dialect: cloud, role: uplink }\n"
                                                  "  south: { dialect: cloud, role: uplink }\n"
                                                  "%s",
                                                  directory, directory, directory, more);
    write_file(directory, "southbridge.yaml", config);
}

void world_write(const struct world *world, const char *name, const char *text)
{
    write_file(world->directory, name, text);
}

static void on_commit(void *arg, uint64_t number, bool durable)
{
    struct world *world = arg;
    if (number != world->cut_at || durable != world->cut_after || world->cut)
        return;
    world->cut = true;
    sb_store_mem_cut(world->disk);
}

void world_new(struct world *world)
{
    world_new_as(world, &(struct world_wish){ 0 });
}

void world_new_as(struct world *world, const struct world_wish *wish)
{
    struct sb_diags diags = { 0 };
    *world = (struct world){ .wall = INT64_C(1767571200000) };
    world->directory = sb_format("%s/sb-world-XXXXXX", wish->base ? wish->base : "/tmp");
    must(world->directory && mkdtemp(world->directory) != NULL, "mkdtemp");
    world->adapters = wish->adapters ? wish->adapters : &fakes;
    world->power = wish->power;
    if (wish->sqlite)
        world->database = sb_format("%s/southbridge.db", world->directory);
    if (wish->files)
        wish->files(world);
    else
        write_files(world->directory, wish->more ? wish->more : "");
    sb_cleanup(sb_freep) char *path = sb_format("%s/southbridge.yaml", world->directory);
    int r = sb_config_load(path, &world->config, &diags);
    if (r < 0)
        (void)fprintf(stderr, "%s\n", sb_diags_text(&diags));
    must(r >= 0, "configuration");
    sb_diags_done(&diags);
    must(sb_store_mem_new(&world->disk) == 0, "disk");
    sb_store_mem_on_commit(world->disk, on_commit, world);
    sb_log_setup(getenv("SB_VERBOSE") ? SB_LOG_DEBUG : SB_LOG_ERROR, SB_LOG_LOGFMT);
    bench_reset();
    cloud_reset();
    shelf_reset();
    world_boot(world);
}

static void power_disk(struct world *world, struct sb_core_parts *parts)
{
    char *error = NULL;
    if (!world->database) {
        must(sb_store_mem_use(world->disk, world->loop) == 0, "power on");
        return;
    }
    int r = sb_store_real_open(world->loop, world->database, &parts->backend_ops, &parts->backend,
                               &error);
    must(r == 0, error ? error : "no store");
}

void world_boot(struct world *world)
{
    must(sb_loop_new(&world->loop) == 0, "loop");
    sb_sim_set_wall(world->loop, world->wall);
    bench_power_on(world->loop);
    shelf_power_on(world->loop);
    if (world->power)
        world->power(world->loop);
    struct sb_core_parts parts = { .loop = world->loop,
                                   .config = world->config,
                                   .adapters = world->adapters,
                                   .backend_ops = &sb_store_mem_ops,
                                   .backend = world->disk,
                                   .fetcher_ops = &shelf_ops };
    power_disk(world, &parts);
    must(sb_core_new(&parts, &world->core) == 0, "core");
    must(sb_core_start(world->core) == 0, "start");
    sb_sim_advance(world->loop, 0);
}

void world_off(struct world *world, bool cut)
{
    if (!world->core)
        return;
    if (cut)
        sb_store_mem_cut(world->disk);
    world->wall = sb_loop_wall(world->loop);
    world->core = sb_core_free(world->core);
    bench_power_off();
    if (world->power)
        world->power(NULL);
    world->loop = sb_loop_free(world->loop);
}

/* In small steps, so that a cut in the middle takes effect where it happened. */
void world_run(struct world *world, int64_t ms)
{
    for (int64_t passed = 0; passed < ms; passed += 10) {
        sb_sim_advance(world->loop, 10);
        if (!world->cut || !world->cut_at)
            continue;
        world->cut_at = 0;
        world_off(world, true);
        world_boot(world);
    }
}

void world_done(struct world *world)
{
    world_off(world, false);
    sb_store_mem_free(world->disk);
    sb_config_free(world->config);
    bench_reset();
    cloud_reset();
    shelf_reset();
    sb_cleanup(sb_freep) char *command = sb_format("rm -rf '%s'", world->directory);
    must(command && system(command) == 0, "clean up"); // NOLINT(cert-env33-c): our own directory
    free(world->directory);
    free(world->database);
}

struct sb_verdict world_ask_by(struct cloud *which, enum sb_op op, const char *device,
                               const char *version, const struct sb_policy *policy)
{
    struct sb_verdict verdict = { 0 };
    const char *devices[] = { device };
    sb_cleanup(sb_freep) char *uri =
        version ? sb_format("https://fw.example.com/%s.bin", version) : NULL;
    sb_cleanup(json_decrefp) json_t *package =
        version ? json_pack("{s:s,s:s}", "uri", uri, "version", version) : NULL;
    sb_cleanup(json_decrefp) json_t *params =
        op == SB_OP_READ ? json_pack("{s:[s]}", "names", "speed") : NULL;
    struct sb_request request = {
        .op = op, .devices = devices, .device_count = 1, .package = package, .params = params
    };
    if (policy)
        request.policy = *policy;
    must(sb_host_submit(which->host, which->door, &request, &verdict) == 0, "submit");
    return verdict;
}

struct sb_verdict world_ask_with(struct world *world, enum sb_op op, const char *device,
                                 const char *version, const struct sb_policy *policy)
{
    (void)world;
    return world_ask_by(&cloud, op, device, version, policy);
}

struct sb_verdict world_ask(struct world *world, enum sb_op op, const char *device,
                            const char *version)
{
    return world_ask_with(world, op, device, version, NULL);
}

static int read_job(void *arg, const struct sb_row *row)
{
    return sb_job_from_json(row->body, arg, NULL);
}

static int read_task(void *arg, const struct sb_row *row)
{
    struct sb_task *task;
    int r = sb_task_from_json(row->body, arg, &task, NULL);
    return r < 0 ? r : sb_job_add_task(arg, task);
}

struct sb_job *world_job(struct world *world, int64_t id)
{
    struct sb_job *job = NULL;
    sb_cleanup(sb_freep) char *text = sb_format("%lld", (long long)id);
    int r = sb_store_query(world->core->store,
                           &(struct sb_query){ .table = SB_TABLE_JOB, .id = id, .state = -1 },
                           read_job, &job);
    if (r >= 0 && job)
        r = sb_store_query(world->core->store,
                           &(struct sb_query){ .table = SB_TABLE_TASK, .b = text, .state = -1 },
                           read_task, job);
    must(r >= 0, "reading a job");
    return job;
}

enum sb_task_state world_state(struct world *world, int64_t id)
{
    const struct sb_job *open = sb_book_job(world->core->book, id);
    if (open)
        return open->tasks[0]->state;
    sb_cleanup(sb_job_freep) struct sb_job *job = world_job(world, id);
    return job && job->task_count ? job->tasks[0]->state : SB_TASK_STATE_INVALID;
}

enum sb_cause world_cause(struct world *world, int64_t id)
{
    const struct sb_job *open = sb_book_job(world->core->book, id);
    if (open)
        return open->tasks[0]->cause;
    sb_cleanup(sb_job_freep) struct sb_job *job = world_job(world, id);
    return job && job->task_count ? job->tasks[0]->cause : SB_CAUSE_INVALID;
}
