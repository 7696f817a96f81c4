/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/core.h"

#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/bus.h"
#include "bridge/check.h"
#include "bridge/mapping/type.h"

/* ---- mappings, devices, buses ---- */

static void log_findings(const char *what, struct sb_diags *diags)
{
    sb_cleanup(sb_freep) char *text = diags->total ? sb_diags_text(diags) : NULL;
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n"));)
        if (*line)
            sb_error(NULL, "%s: %s", what, line);
}

static int load_types(struct sb_core *core, struct sb_types **ret, struct sb_diags *diags)
{
    return sb_types_load(&core->parts.config->mappings, core->parts.adapters->drivers, ret, diags);
}

static int declare(struct sb_core *core, const json_t *specs, const char *actor,
                   struct sb_diags *diags)
{
    core->remover = actor;
    int r = sb_registry_declare(core->registry, specs, NULL, diags);
    core->remover = NULL;
    return r;
}

/* Do devices that come fit to those that stay? Without `bus` all declared ones come anew; with it,
 * one comes to this bus. */
static int check_lines(const struct sb_core *core, const struct sb_types *types,
                       const json_t *specs, const char *bus, struct sb_diags *diags)
{
    sb_cleanup(json_decrefp) json_t *on_lines = json_array();
    sb_cleanup(json_decrefp) json_t *come = json_object();
    const struct sb_device *device;
    size_t i;
    json_t *spec;
    json_array_foreach ((json_t *)specs, i, spec) {
        const char *id = sb_json_str(spec, "id");
        if (id && json_object_set_new(come, id, json_null()) < 0)
            return -ENOMEM;
    }
    for (i = 0; (device = sb_registry_at(core->registry, i)); i++) {
        bool stays = bus ? sb_streq(device->bus, bus) : device->bus && !device->declared;
        if (!stays || json_object_get(come, device->id))
            continue;
        spec = json_pack("{s:s,s:s*,s:s,s:O*}", "id", device->id, "type", device->type_name, "bus",
                         device->bus, "address", device->address);
        if (json_array_append_new(on_lines, spec) < 0)
            return -ENOMEM;
    }
    if (json_array_extend(on_lines, (json_t *)specs) < 0) /* NULL: no memory */
        return -ENOMEM;
    return sb_check_lines(core->parts.config, types, on_lines, diags);
}

static void free_buses(struct sb_core *core)
{
    for (size_t i = 0; core->buses && i < core->bus_count; i++) {
        struct sb_bus_parts parts = { core->buses[i].transport, (void *)core->buses[i].config };
        sb_bus_parts_done(&parts);
    }
    free(core->buses);
    core->buses = NULL;
}

/* One with findings has no line: what is on it stays offline, the others work. */
static int load_bus(struct sb_core *core, const struct sb_bus_config *given,
                    struct sb_runner_bus *ret)
{
    struct sb_diags diags = { 0 };
    struct sb_bus_parts parts = { 0 };
    int r = sb_bus_load(core->parts.config, given, core->parts.adapters, &parts, &diags);
    log_findings("bus", &diags);
    sb_diags_done(&diags);
    *ret = (struct sb_runner_bus){ given->name, parts.ops, parts.config };
    return r == -EINVAL ? 0 : r;
}

static int load_buses(struct sb_core *core)
{
    size_t count = core->parts.config->buses.count;
    core->buses = calloc(count + 1, sizeof(*core->buses));
    if (!core->buses)
        return -ENOMEM;
    core->bus_count = count;
    for (size_t i = 0; i < count; i++) {
        int r = load_bus(core, sb_config_bus(core->parts.config, i), &core->buses[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- building and tearing down what lives in memory ---- */

static void audit(struct sb_core *core, const char *actor, const char *verb, const char *device)
{
    sb_cleanup(sb_freep) char *subject = device ? sb_format("device %s", device) : NULL;
    int r = sb_audit_add(core->audit, actor, verb, subject ? subject : "gateway",
                         sb_loop_wall(core->parts.loop), NULL);
    if (r < 0 && r != -EAGAIN)
        sb_error(SB_AT(.device = device), "cannot keep the audit: %s", strerror(-r));
}

/* A device is about to go, by an order or because it stands in no file any more. */
static void on_leave(void *arg, struct sb_device *device)
{
    struct sb_core *core = arg;
    const char *actor = core->remover ? core->remover : "core";
    sb_runner_device_gone(core->runner, device->id, actor);
    (void)sb_host_turn(core->host); /* its tasks' ends are told while it is still known */
    if (device->staged.package)
        sb_runner_unstage(core->runner, device);
    sb_host_tell(core->host, &(struct sb_news){ .kind = SB_NEWS_DEVICE_REMOVED, .device = device });
    audit(core, actor, "device remove", device->id);
}

static void on_tell(void *arg, const struct sb_news *news)
{
    struct sb_core *core = arg;
    if (core->rules)
        sb_rules_hear(core->rules, news);
    if (core->host)
        sb_host_tell(core->host, news);
}

/* Each task ends in a report, which may have to wait for a link that is down. */
static bool on_full(void *arg, const char *origin, size_t tasks)
{
    const struct sb_core *core = arg;
    return sb_outbox_full(core->outbox, origin, sb_book_open_of(core->book, origin) + tasks);
}

static void on_fetch_settings(void *arg, const char *door, struct sb_fetch_settings *ret)
{
    struct sb_core *core = arg;
    sb_host_fetch_settings(core->host, door, ret);
}

static int build_records(struct sb_core *core)
{
    const struct sb_config *config = core->parts.config;
    const struct sb_depot_limits depot = { .bytes = config->artifacts.limit,
                                           .file_bytes = config->artifacts.file_limit,
                                           .free_floor = config->artifacts.free_floor };
    const struct sb_outbox_limits outbox = { .count = (size_t)config->outbox.count,
                                             .bytes = (size_t)config->outbox.bytes,
                                             .answer_age = config->outbox.answer_age,
                                             .final_age = config->outbox.final_age,
                                             .window = (unsigned)config->outbox.window };
    sb_cleanup(sb_freep) char *directory = sb_format("%s/artifacts", config->state);
    int r = directory ? sb_audit_new(core->store, &core->audit) : -ENOMEM;
    if (r >= 0)
        r = sb_registry_new(core->store, &core->registry);
    if (r >= 0)
        sb_registry_limit(core->registry, (size_t)config->limits.devices);
    if (r >= 0)
        r = sb_packages_new(core->store, directory, &depot, &core->packages);
    if (r >= 0)
        r = sb_book_new(core->parts.loop, core->store, core->audit, &core->book);
    if (r >= 0)
        r = sb_outbox_new(core->parts.loop, core->store, core->audit, &outbox, &core->outbox);
    return r;
}

static int build_retention(struct sb_core *core)
{
    const struct sb_config *config = core->parts.config;
    int r = sb_space_new(core->parts.loop, core->packages, config->state,
                         config->artifacts.free_floor, &core->space);
    if (r < 0)
        return r;
    return sb_retention_new(
        &(struct sb_retention_parts){
            .loop = core->parts.loop,
            .store = core->store,
            .audit = core->audit,
            .book = core->book,
            .registry = core->registry,
            .packages = core->packages,
            .outbox = core->outbox,
            .limits = { .bytes = config->retention.bytes,
                        .job_age = config->retention.job_age,
                        .job_count = config->retention.job_count,
                        .remember = config->retention.remember,
                        .audit_age = config->retention.audit_age,
                        .audit_count = config->retention.audit_count,
                        .package_age = config->retention.package_age,
                        .package_count = config->retention.package_count } },
        &core->retention);
}

static int build_runner(struct sb_core *core)
{
    return sb_runner_new(
        &(struct sb_runner_parts){ .loop = core->parts.loop,
                                   .store = core->store,
                                   .audit = core->audit,
                                   .book = core->book,
                                   .registry = core->registry,
                                   .packages = core->packages,
                                   .fetcher_ops = core->parts.fetcher_ops,
                                   .fetcher = core->parts.fetcher,
                                   .buses = core->buses,
                                   .bus_count = core->bus_count,
                                   .under_way_limit =
                                       (uint32_t)core->parts.config->limits.under_way,
                                   .max_file = core->parts.config->artifacts.file_limit,
                                   .tell = on_tell,
                                   .fetch_settings = on_fetch_settings,
                                   .arg = core },
        &core->runner);
}

static int build_host(struct sb_core *core)
{
    core->intake =
        (struct sb_intake){ .loop = core->parts.loop,
                            .store = core->store,
                            .book = core->book,
                            .registry = core->registry,
                            .packages = core->packages,
                            .runner = core->runner,
                            .space = core->space,
                            .retention = core->retention,
                            .limits = { .jobs = (size_t)core->parts.config->limits.jobs,
                                        .tasks = (size_t)core->parts.config->limits.tasks },
                            .tell = on_tell,
                            .is_full = on_full,
                            .arg = core };
    int r = sb_rules_new(&core->intake, &core->rules);
    return r < 0 ? r
                 : sb_host_new(&(struct sb_host_parts){ .loop = core->parts.loop,
                                                        .store = core->store,
                                                        .audit = core->audit,
                                                        .book = core->book,
                                                        .registry = core->registry,
                                                        .packages = core->packages,
                                                        .fetcher_ops = core->parts.fetcher_ops,
                                                        .fetcher = core->parts.fetcher,
                                                        .outbox = core->outbox,
                                                        .runner = core->runner,
                                                        .intake = &core->intake,
                                                        .config = core->parts.config,
                                                        .adapters = core->parts.adapters },
                               &core->host);
}

static int build(struct sb_core *core)
{
    int r = build_records(core);
    if (r < 0)
        return r;
    sb_registry_attach_types(core->registry, core->types);
    sb_registry_on_leave(core->registry, on_leave, core);
    r = build_retention(core);
    if (r >= 0)
        r = build_runner(core);
    return r < 0 ? r : build_host(core);
}

static void tear_down(struct sb_core *core)
{
    if (core->runner)
        core->running = false;
    core->runner = sb_runner_free(core->runner); /* first: its threads read what the others own */
    core->host = sb_host_free(core->host);
    core->rules = sb_rules_free(core->rules);
    core->retention = sb_retention_free(core->retention);
    core->space = sb_space_free(core->space);
    core->outbox = sb_outbox_free(core->outbox);
    core->book = sb_book_free(core->book);
    core->packages = sb_packages_free(core->packages);
    core->registry = sb_registry_free(core->registry);
    core->audit = sb_audit_free(core->audit);
}

/* Devices of the files; then what was under way goes on. */
static int run(struct sb_core *core)
{
    struct sb_diags diags = { 0 };
    sb_cleanup(json_decrefp) json_t *specs = NULL;
    int r = sb_devices_load(core->parts.config->devices, &specs, &diags);
    if (r >= 0)
        r = declare(core, specs, "core", &diags);
    log_findings("devices", &diags);
    sb_diags_done(&diags);
    if (r < 0 && r != -EINVAL)
        return r;
    sb_registry_attach_types(core->registry, core->types);
    core->running = true;
    return sb_runner_start(core->runner);
}

static void rebuild(struct sb_core *core)
{
    size_t settled_count = 0;
    sb_store_forfeit(core->store);
    sb_cleanup(sb_freep) int64_t *settled =
        core->outbox ? sb_outbox_settled(core->outbox, &settled_count) : NULL;
    struct sb_kept *lost = core->host ? sb_host_take_lost(core->host) : NULL;
    core->rebuild = false;
    if (core->on_rebuild)
        core->on_rebuild(core->on_rebuild_arg, false);
    tear_down(core);
    sb_store_renew(core->store);
    int r = build(core);
    if (r < 0) {
        /* Memory or disk are beyond use: a restart by the service manager is all that is left. */
        sb_error(NULL, "cannot rebuild from the store: %s; stopping", strerror(-r));
        sb_loop_stop(core->parts.loop);
        sb_kept_free(lost);
        return;
    }
    sb_host_give_lost(core->host, lost);
    sb_outbox_settle_all(core->outbox, settled, settled_count);
    if (core->on_rebuild)
        core->on_rebuild(core->on_rebuild_arg, true);
    if (core->started)
        sb_host_start(core->host);
}

static uint64_t batches(const struct sb_core *core)
{
    struct sb_store_stats stats;
    sb_store_stats(core->store, &stats);
    return stats.batches;
}

/* A disk that is nearly full takes probes and no more, for as long as it likes: told once. */
static void on_failure(void *arg, int error)
{
    struct sb_core *core = arg;
    core->flapping = core->failed && batches(core) == core->batches;
    if (!core->flapping)
        sb_error(NULL, "the store does not take changes: %s; what was not yet durable is dropped",
                 strerror(-error));
    core->failed = true;
    core->batches = batches(core);
    core->rebuild = true;
}

static void say_recovered(struct sb_core *core)
{
    core->flapping = false;
    sb_notice(NULL, "the store takes changes again");
}

static void on_recovery(void *arg)
{
    struct sb_core *core = arg;
    core->rebuild = true; /* what was said meanwhile could not be kept: memory follows the store */
    if (!core->flapping)
        say_recovered(core);
}

#define TURN_ROUNDS 8

static void on_turn(void *arg)
{
    struct sb_core *core = arg;
    if (core->flapping && batches(core) != core->batches)
        say_recovered(core);
    if (core->rebuild)
        rebuild(core);
    if (!core->host)
        return;
    if (core->started && !core->running && sb_store_ready(core->store, NULL)) {
        int r = run(core);
        if (r < 0)
            sb_error(NULL, "cannot start: %s", strerror(-r));
    }
    if (core->running && sb_store_failing(core->store))
        return; /* memory was short: this turn is lost, and begins nothing more */
    bool more = true;
    for (int i = 0; more && i < TURN_ROUNDS; i++) {
        bool joined = core->running && sb_rules_turn(core->rules);
        if (core->running)
            sb_runner_turn(core->runner);
        more = sb_host_turn(core->host) || joined;
    }
    if (!more) /* else there are news of what would go */
        sb_book_retire(core->book);
    if (core->running)
        sb_retention_turn(core->retention);
}

int sb_core_new(const struct sb_core_parts *parts, struct sb_core **ret)
{
    sb_cleanup(sb_core_freep) struct sb_core *core = calloc(1, sizeof(*core));
    struct sb_diags diags = { 0 };
    if (!core) {
        parts->backend_ops->close(parts->backend);
        parts->fetcher_ops->close(parts->fetcher);
        return -ENOMEM;
    }
    core->parts = *parts;
    /* Before the store's own hook: what the turn's end changes belongs to the turn's batch. */
    int r = sb_loop_on_turn_end(parts->loop, on_turn, core);
    int r2 = sb_store_new(parts->loop, parts->backend_ops, parts->backend, &core->store);
    if (r < 0 || r2 < 0)
        return r < 0 ? r : r2;
    sb_store_on_failure(core->store, on_failure, core);
    sb_store_on_recovery(core->store, on_recovery, core);
    r = load_types(core, &core->types, &diags);
    log_findings("mapping", &diags);
    sb_diags_done(&diags);
    if (r < 0 && r != -EINVAL)
        return r;
    r = load_buses(core);
    if (r >= 0)
        r = build(core);
    if (r < 0)
        return r;
    *ret = SB_STEAL(core);
    return 0;
}

int sb_core_start(struct sb_core *core)
{
    core->started = true;
    core->started_at = sb_loop_now(core->parts.loop);
    sb_host_start(core->host);
    return run(core);
}

struct sb_core *sb_core_free(struct sb_core *core)
{
    if (!core)
        return NULL;
    core->started = false;
    tear_down(core);
    sb_store_free(core->store);
    core->parts.fetcher_ops->close(core->parts.fetcher);
    free_buses(core);
    sb_types_free(core->types);
    sb_loop_off_turn_end(core->parts.loop, on_turn, core);
    free(core);
    return NULL;
}

/* ---- orders ---- */

int sb_core_remove_device(struct sb_core *core, const char *id, const char *actor)
{
    core->remover = actor;
    int r = sb_registry_remove(core->registry, id);
    core->remover = NULL;
    return r;
}

int sb_core_add_device(struct sb_core *core, const json_t *spec, const char *actor,
                       struct sb_diags *diags)
{
    struct sb_device *device;
    const char *bus = sb_json_str(spec, "bus");
    sb_cleanup(json_decrefp) json_t *one = json_pack("[O]", (json_t *)spec);
    int r = sb_check_device(core->parts.config, core->parts.adapters, core->types, spec, diags);
    if (r == 0 && bus)
        r = check_lines(core, core->types, one, bus, diags);
    if (r < 0)
        return r;
    r = sb_registry_add(core->registry, spec, &device, diags);
    if (r < 0)
        return r;
    audit(core, actor, "device add", device->id);
    on_tell(core, &(struct sb_news){ .kind = SB_NEWS_DEVICE_ADDED, .device = device });
    r = sb_runner_identify(core->runner, device->id);
    return r == -ENODEV ? 0 : r;
}

int sb_core_group_device(struct sb_core *core, const char *id, const json_t *groups,
                         const char *actor, struct sb_diags *diags)
{
    int r = sb_registry_set_groups(core->registry, id, groups, diags);
    if (r < 0)
        return r;
    audit(core, actor, "device group", id);
    on_tell(core, &(struct sb_news){ .kind = SB_NEWS_DEVICE_ADDED,
                                     .device = sb_registry_get(core->registry, id) });
    return 0;
}

int sb_core_reload(struct sb_core *core, const char *actor, struct sb_diags *diags)
{
    sb_cleanup(sb_types_freep) struct sb_types *types = NULL;
    sb_cleanup(json_decrefp) json_t *specs = NULL;
    int r = load_types(core, &types, diags);
    if (r < 0)
        return r;
    r = sb_devices_load(core->parts.config->devices, &specs, diags);
    if (r == 0)
        r = check_lines(core, types, specs, NULL, diags);
    if (r == 0)
        r = declare(core, specs, actor, diags);
    if (r < 0)
        return r;
    struct sb_types *old = core->types;
    core->types = SB_STEAL(types);
    sb_registry_attach_types(core->registry, core->types);
    sb_types_free(old);
    audit(core, actor, "reload", NULL);
    const struct sb_device *device;
    for (size_t i = 0; (device = sb_registry_at(core->registry, i)); i++)
        on_tell(core, &(struct sb_news){ .kind = SB_NEWS_DEVICE_ADDED, .device = device });
    sb_runner_look_around(core->runner); /* types and addresses may be others now */
    sb_runner_wake(core->runner);
    sb_notice(NULL, "mappings and devices were read again");
    return 0;
}
