/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/runner/internal.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "bridge/base/crypto.h"
#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/job/version.h"
#include "bridge/mapping/type.h"

#define MAGIC_MAX   32
#define FETCH_TRIES 3

struct run *sb_run_of_task(struct sb_runner *runner, int64_t task)
{
    for (struct run *run = runner->runs; run; run = run->next)
        if (run->task == task && task)
            return run;
    return NULL;
}

static struct run *run_free(struct run *run)
{
    if (!run)
        return NULL;
    free(run->device);
    free(run->uuid);
    free(run->package);
    free(run->image_path);
    free(run->image_sha256);
    free(run->image_version);
    free(run->image_name);
    free(run->image_module);
    json_decref(run->params);
    json_decref(run->address);
    json_decref(run->checkpoint);
    if (run->type)
        sb_type_unref(run->type);
    free(run);
    return NULL;
}
SB_DEFINE_CLEANUP(struct run *, run_free)

void sb_run_end(struct run *run)
{
    struct sb_runner *runner = run->runner;
    for (struct run **at = &runner->runs; *at; at = &(*at)->next) {
        if (*at != run)
            continue;
        *at = run->next;
        break;
    }
    if (run->fetch)
        runner->parts.fetcher_ops->stop(runner->parts.fetcher, run->fetch);
    if (run->granting != GRANT_NONE)
        sb_store_forget(runner->parts.store, sb_run_granted, run);
    runner->dirty = true;
    run_free(run);
}

static int run_new(struct sb_runner *runner, struct sb_device *device, int64_t task,
                   struct run **ret)
{
    sb_cleanup(run_freep) struct run *run = calloc(1, sizeof(*run));
    if (!run)
        return -ENOMEM;
    run->runner = runner;
    run->task = task;
    if (sb_set_string(&run->device, device->id) < 0 || sb_set_string(&run->uuid, device->uuid) < 0)
        return -ENOMEM;
    if (device->type) {
        run->type = sb_type_ref(device->type);
        run->driver = device->type->driver;
    }
    if (run->driver && run->driver->run)
        run->bus = sb_runner_bus(runner, device->bus);
    run->address = json_deep_copy(device->address);
    run->command.session = ++runner->next_session;
    run->command.device = run->device;
    run->command.type = run->type;
    run->command.address = run->address;
    run->command.stall_ms = run->type ? run->type->stall : 0;

    struct run **last = &runner->runs;
    while (*last)
        last = &(*last)->next;
    *last = run;
    *ret = SB_STEAL(run);
    return 0;
}

struct sb_device *sb_run_device(const struct run *run)
{
    struct sb_device *device = sb_registry_get(run->runner->parts.registry, run->device);
    return device && sb_streq(device->uuid, run->uuid) ? device : NULL;
}

static struct sb_task *task_of(const struct run *run)
{
    return sb_book_task(run->runner->parts.book, run->task);
}

/* The task's attempt is over before or without its driver. */
void sb_run_fail(struct run *run, enum sb_cause cause, const char *text)
{
    struct sb_runner *runner = run->runner;
    struct sb_task *task = task_of(run);
    struct sb_event event = { .kind = SB_EV_FAIL, .cause = cause, .text = text };
    sb_run_end(run);
    if (task)
        sb_runner_apply(runner, task, &event, "core");
}

/* ---- the image ---- */

/* An image of the wrong kind is stopped here, before a byte goes to a device. */
static enum sb_cause check_image(const struct run *run, const char *path, int64_t size,
                                 char **ret_text)
{
    const struct sb_type *type = run->type;
    if (type->max_image && size > type->max_image) {
        *ret_text = sb_format("the image has %lld bytes, this device takes at most %lld",
                              (long long)size, (long long)type->max_image);
        return SB_CAUSE_UNSUPPORTED_IMAGE;
    }
    size_t n = type->image_magic ? strlen(type->image_magic) / 2 : 0;
    uint8_t wanted[MAGIC_MAX], found[MAGIC_MAX];
    if (n == 0 || n > MAGIC_MAX || sb_hex_decode(type->image_magic, wanted, n) < 0)
        return SB_CAUSE_NONE;
    sb_cleanup(sb_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || pread(fd, found, n, 0) != (ssize_t)n || memcmp(wanted, found, n) != 0) {
        *ret_text = sb_format("this is not an image for a %s: it does not begin with %s",
                              type->name, type->image_magic);
        return SB_CAUSE_UNSUPPORTED_IMAGE;
    }
    return SB_CAUSE_NONE;
}

static int take_image(struct run *run, const struct sb_package *package)
{
    struct sb_packages *packages = run->runner->parts.packages;
    char *path = sb_depot_path(packages, package->artifact);
    struct stat file = { 0 };
    if (path && stat(path, &file) < 0) {
        free(path);
        return -errno;
    }
    if (!path || sb_set_string(&run->image_sha256, package->artifact) < 0 ||
        sb_set_string(&run->image_version, package->version) < 0 ||
        sb_set_string(&run->image_name, package->name) < 0 ||
        sb_set_string(&run->image_module, package->module) < 0) {
        free(path);
        return -ENOMEM;
    }
    free(run->image_path);
    run->image_path = path;
    run->image = (struct sb_image){ .path = path,
                                    .sha256 = run->image_sha256,
                                    .version = run->image_version,
                                    .name = run->image_name,
                                    .module = run->image_module,
                                    .size = file.st_size };
    run->command.image = &run->image;
    return 0;
}

static void pin(struct run *run, struct sb_task *task, const char *sha256)
{
    if (sb_streq(task->artifact, sha256))
        return;
    if (task->artifact)
        sb_depot_unpin(run->runner->parts.packages, task->artifact);
    if (sb_set_string(&task->artifact, sha256) < 0)
        return;
    sb_depot_pin(run->runner->parts.packages, sha256);
    sb_runner_save_task(run->runner, task);
}

/* ---- staging ---- */

void sb_runner_stage(struct sb_runner *runner, struct sb_device *device,
                     const struct sb_package *package, bool on_device, const char *door)
{
    struct sb_staged staged = { .on_device = on_device, .when = sb_loop_wall(runner->parts.loop) };
    if (package && (sb_set_string(&staged.package, package->id) < 0 ||
                    sb_set_string(&staged.artifact, package->artifact) < 0 ||
                    sb_set_string(&staged.door, door) < 0)) {
        sb_staged_done(&staged);
        return;
    }
    if (staged.artifact)
        sb_depot_pin(runner->parts.packages, staged.artifact);
    if (device->staged.artifact)
        sb_depot_unpin(runner->parts.packages, device->staged.artifact);
    sb_staged_done(&device->staged);
    device->staged = staged;
    sb_runner_save_device(runner, device);
    runner->parts.tell(runner->parts.arg,
                       &(struct sb_news){ .kind = SB_NEWS_STAGED, .device = device });
}

void sb_runner_unstage(struct sb_runner *runner, struct sb_device *device)
{
    sb_runner_stage(runner, device, NULL, false, NULL);
}

/* ---- driving ---- */

bool sb_bus_free_for(const struct bus *bus, const struct run *run)
{
    if (!bus || bus->sessions == 0)
        return true;
    /* Between the blocks of a long command only something short may run. */
    bool is_short = run->command.op == SB_COMMAND_IDENTIFY || run->command.op == SB_OP_READ ||
                    run->command.op == SB_OP_WRITE;
    return is_short && bus->sessions == 1 && sb_worker_shareable(bus->worker);
}

void sb_run_drive(struct run *run)
{
    struct sb_runner *runner = run->runner;
    run->stage = STAGE_DRIVE;
    run->last_event = sb_loop_now(runner->parts.loop);
    int r = run->bus ? sb_worker_start(run->bus->worker, run->driver, &run->command)
                     : run->driver->start(run->driver->user, runner, &run->command);
    if (r == -EBUSY) {
        run->stage = STAGE_BUS;
        return;
    }
    if (r < 0) {
        sb_run_fail(run, SB_CAUSE_INTERNAL, strerror(-r));
        return;
    }
    if (run->bus)
        run->bus->sessions++;
}

static void want_bus(struct run *run)
{
    run->stage = STAGE_BUS;
    run->runner->dirty = true; /* feed_buses() starts it, in order */
}

/* Everything the driver needs is there. */
static void ready(struct run *run, struct sb_task *task)
{
    sb_cleanup(sb_freep) char *text = NULL;
    const struct sb_package *package =
        task->job->package ? sb_packages_get(run->runner->parts.packages, task->job->package)
                           : NULL;
    if (run->command.image) {
        enum sb_cause cause = check_image(run, run->image_path, run->image.size, &text);
        if (cause != SB_CAUSE_NONE) {
            sb_run_fail(run, cause, text);
            return;
        }
    }
    bool gateway_stages = task->job->op == SB_OP_FIRMWARE_DOWNLOAD &&
                          !(run->driver->caps(run->type) & SB_CAP_STAGE_ON_DEVICE);
    if (!gateway_stages) {
        want_bus(run);
        return;
    }
    struct sb_runner *runner = run->runner;
    struct sb_device *device = sb_registry_get(runner->parts.registry, task->device);
    sb_run_end(run);
    sb_runner_apply(runner, task, &(struct sb_event){ .kind = SB_EV_STAGED }, "core");
    if (device)
        sb_runner_stage(runner, device, package, false, task->job->origin);
    sb_runner_apply(runner, task,
                    &(struct sb_event){ .kind = SB_EV_SUCCESS, .text = "staged in the gateway" },
                    "core");
}

/* ---- fetching ---- */

static enum sb_cause fetched(struct run *run, struct sb_task *task, const char *sha256,
                             char **ret_text)
{
    struct sb_packages *packages = run->runner->parts.packages;
    struct sb_package *package = sb_packages_get(packages, task->job->package);
    if (!package) {
        *ret_text = sb_format("the package was removed while it was fetched");
        return SB_CAUSE_DOWNLOAD_FAILED;
    }
    sb_cleanup(sb_freep) char *part = sb_depot_part(packages, package->id);
    int r = !part                            ? -ENOMEM
            : sb_depot_has(packages, sha256) ? 0
                                             : sb_depot_adopt(packages, part, sha256);
    if (r >= 0)
        r = sb_set_string(&package->artifact, sha256);
    if (r >= 0)
        r = sb_packages_save(packages, package);
    if (r < 0) {
        *ret_text = sb_format("cannot keep the image: %s", strerror(-r));
        return r == -ENOSPC ? SB_CAUSE_NO_SPACE : SB_CAUSE_INTERNAL;
    }
    pin(run, task, sha256);
    return take_image(run, package) < 0 ? SB_CAUSE_NO_MEMORY : SB_CAUSE_NONE;
}

static void on_fetch(void *arg, const struct sb_fetch_event *event)
{
    struct run *run = arg;
    struct sb_task *task = task_of(run);
    if (!task) {
        sb_run_end(run);
        return;
    }
    if (!event->done) {
        int64_t percent = event->total > 0 ? event->received * 100 / event->total : 0;
        sb_runner_apply(run->runner, task,
                        &(struct sb_event){ .kind = SB_EV_PROGRESS,
                                            .phase = SB_PHASE_FETCHING,
                                            .percent = (uint8_t)SB_MIN(percent, 100) },
                        "core");
        return;
    }
    run->fetch = 0;
    if (event->cause != SB_CAUSE_NONE) {
        sb_cleanup(sb_freep) char *copy = event->text ? strdup(event->text) : NULL;
        sb_run_fail(run, event->cause, copy);
        return;
    }
    sb_cleanup(sb_freep) char *text = NULL;
    enum sb_cause cause = fetched(run, task, event->sha256, &text);
    if (cause != SB_CAUSE_NONE) {
        sb_run_fail(run, cause, text);
        return;
    }
    sb_runner_apply(
        run->runner, task,
        &(struct sb_event){ .kind = SB_EV_PROGRESS, .phase = SB_PHASE_FETCHING, .percent = 100 },
        "core");
    ready(run, task);
}

static int fetch(struct run *run, struct sb_task *task, const struct sb_package *package)
{
    const struct sb_runner_parts *parts = &run->runner->parts;
    struct sb_fetch_settings settings = { 0 };
    sb_cleanup(sb_freep) char *part = sb_depot_part(parts->packages, package->id);
    if (!part)
        return -ENOMEM;
    if (!package->uri) {
        sb_run_fail(run, SB_CAUSE_NOT_READY, "the image is not in the depot, and has no URI");
        return 0;
    }
    if (package->size > 0 && sb_depot_make_room(parts->packages, package->size) < 0) {
        sb_run_fail(run, SB_CAUSE_NO_SPACE, "the gateway has no room for the image");
        return 0;
    }
    parts->fetch_settings(parts->arg, package->door, &settings);
    run->stage = STAGE_FETCH;
    sb_runner_apply(run->runner, task,
                    &(struct sb_event){ .kind = SB_EV_PROGRESS, .phase = SB_PHASE_FETCHING },
                    "core");
    return parts->fetcher_ops->start(
        parts->fetcher,
        &(struct sb_fetch_spec){ .uri = package->uri,
                                 .part = part,
                                 .sha256 = package->sha256,
                                 .md5 = package->md5,
                                 .size = package->size > 0 ? package->size : -1,
                                 .max_bytes = parts->max_file,
                                 .rate = settings.rate,
                                 .tries = FETCH_TRIES,
                                 .ca_file = settings.ca_file,
                                 .proxy = settings.proxy,
                                 .headers = sb_json_object(package->extra, "headers"),
                                 .rules = settings.rules },
        on_fetch, run, &run->fetch);
}

/* ---- beginning ---- */

/* At hand-over the world may differ from when it was asked: version and fit are checked again. */
static enum sb_cause recheck(const struct run *run, const struct sb_task *task,
                             const struct sb_device *device, char **ret_text)
{
    const char *now = sb_device_version(device, task->module);
    int order;
    if (task->job->op == SB_OP_FIRMWARE_DOWNLOAD || !now)
        return SB_CAUSE_NONE;
    if (!sb_version_listed(task->job->policy.source_versions, now)) {
        *ret_text = sb_format("the device runs %s, the job is for %s", now,
                              task->job->policy.source_versions);
        return SB_CAUSE_VERSION_MISMATCH;
    }
    /* A hash says more than a version: then the driver finds out. */
    if (run->type->verify != SB_VERIFY_HASH && task->target_version &&
        sb_version_equal(now, task->target_version)) {
        *ret_text = sb_format("the device runs %s already", now);
        return SB_CAUSE_ALREADY_CURRENT;
    }
    if (task->target_version && sb_version_compare(task->target_version, now, &order) == 0 &&
        order < 0 && !task->job->policy.allow_downgrade && !run->type->allow_downgrade) {
        *ret_text =
            sb_format("the device runs %s, which is newer than %s", now, task->target_version);
        return SB_CAUSE_DOWNGRADE_REFUSED;
    }
    return SB_CAUSE_NONE;
}

/* What the driver is told, from the task. */
static void fill(struct run *run, const struct sb_task *task, bool resumed)
{
    run->params = json_incref(task->job->params);
    run->checkpoint = json_incref(task->checkpoint);
    run->command.op = (int)task->job->op;
    run->command.params = run->params;
    run->command.checkpoint = run->checkpoint;
    run->command.resumed = resumed;
    run->command.committed = run->committed = resumed && task->committed;
    run->command.confirm = run->type ? (enum sb_confirm)run->type->confirm : SB_CONFIRM_AUTO;
    run->command.allow_downgrade =
        task->job->policy.allow_downgrade || (run->type && run->type->allow_downgrade);
}

static int begin_firmware(struct run *run, struct sb_task *task, struct sb_device *device)
{
    struct sb_packages *packages = run->runner->parts.packages;
    const char *id = task->job->package ? task->job->package : device->staged.package;
    struct sb_package *package = id ? sb_packages_get(packages, id) : NULL;
    if (!package) {
        sb_run_fail(run, SB_CAUSE_NOT_READY, "nothing is staged for this device");
        return 0;
    }
    if (package->artifact && sb_depot_has(packages, package->artifact)) {
        pin(run, task, package->artifact);
        int r = take_image(run, package);
        if (r >= 0)
            ready(run, task);
        return r;
    }
    /* Staged on the device, and the gateway's copy is gone: the driver can do without. */
    if (task->job->op == SB_OP_FIRMWARE_INSTALL && device->staged.on_device && !package->uri) {
        want_bus(run);
        return 0;
    }
    return fetch(run, task, package);
}

static int begin(struct run *run, struct sb_task *task, struct sb_device *device, bool resumed)
{
    sb_cleanup(sb_freep) char *text = NULL;
    enum sb_cause cause = SB_CAUSE_NONE;
    if (!run->driver || (run->driver->run && !run->bus)) {
        sb_run_fail(run, SB_CAUSE_INTERNAL,
                    run->driver ? "its bus is not configured" : "its device type is not known");
        return 0;
    }
    fill(run, task, resumed);
    if (!sb_op_is_firmware(task->job->op)) {
        want_bus(run);
        return 0;
    }
    if (!resumed)
        cause = recheck(run, task, device, &text);
    if (cause == SB_CAUSE_NONE)
        return begin_firmware(run, task, device);
    if (cause != SB_CAUSE_ALREADY_CURRENT) {
        sb_run_fail(run, cause, text);
        return 0;
    }
    struct sb_runner *runner = run->runner;
    sb_run_end(run);
    sb_runner_apply(runner, task, &(struct sb_event){ .kind = SB_EV_SUCCESS, .text = text },
                    "core");
    return 0;
}

static void drop_waiting_look(struct sb_runner *runner, const char *device)
{
    for (struct run *run = runner->runs; run; run = run->next) {
        if (run->task || run->stage != STAGE_BUS || strcmp(run->device, device) != 0)
            continue;
        sb_run_end(run);
        return;
    }
}

void sb_run_begin(struct sb_runner *runner, struct sb_task *task, bool resumed)
{
    drop_waiting_look(runner, task->device); /* the task itself will tell who answers */
    struct sb_device *device = sb_registry_get(runner->parts.registry, task->device);
    struct sb_event failure = { .kind = SB_EV_FAIL, .cause = SB_CAUSE_INTERNAL };
    struct run *run = NULL;
    int r = device ? run_new(runner, device, task->id, &run) : -ENODEV;
    if (r >= 0)
        r = begin(run, task, device, resumed);
    if (r >= 0)
        return;
    run = sb_run_of_task(runner, task->id);
    if (run)
        sb_run_end(run);
    sb_cleanup(sb_freep) char *text = sb_format("cannot begin: %s", strerror(-r));
    failure.text = text;
    if (r == -ENOMEM)
        failure.cause = SB_CAUSE_NO_MEMORY;
    if (r == -ENODEV)
        failure = (struct sb_event){ .kind = SB_EV_CANCEL, .cause = SB_CAUSE_DEVICE_GONE };
    sb_runner_apply(runner, task, &failure, "core");
}

/* A look at who the device is; nobody asked for it, so it makes no task. */
int sb_run_look(struct sb_runner *runner, struct sb_device *device)
{
    struct run *run;
    int r = run_new(runner, device, 0, &run);
    if (r < 0)
        return r;
    run->command.op = SB_COMMAND_IDENTIFY;
    want_bus(run);
    return 0;
}

/* What has begun past its commit point is never cut off. */
int sb_run_stop(struct run *run)
{
    if (run->committed)
        return -EBUSY;
    if (run->bus && sb_worker_stop(run->bus->worker, run->command.session) == -EBUSY)
        return -EBUSY;
    run->stopping = true;
    if (!run->bus)
        run->driver->stop(run->driver->user, run->command.session);
    return 0;
}

/* A blocking driver cannot be taken off its line: it keeps that until it answers. */
void sb_run_give_up(struct run *run)
{
    struct sb_runner *runner = run->runner;
    struct sb_task *task = run->abandoned ? NULL : task_of(run);
    struct sb_event event = { .kind = SB_EV_EXPIRE,
                              .cause = SB_CAUSE_LINK_LOST,
                              .text = "the device showed no sign of life for too long" };
    if (run->committed) {
        event.cause = SB_CAUSE_OUTCOME_UNKNOWN;
        event.text = "the device fell silent while it installed";
    }
    if (task)
        sb_runner_apply(runner, task, &event, "core");
    if (run->bus)
        return;
    struct sb_device *device = sb_run_device(run);
    run->driver->drop(run->driver->user, run->command.session);
    sb_run_end(run);
    if (device)
        sb_unit_silent(runner, device->id);
}
