/* SPDX-License-Identifier: Apache-2.0 */
/* From hand-over until the driver has its command: what is checked, what is fetched. */
#include "bridge/runner/internal.h"

#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "bridge/job/version.h"
#include "bridge/mapping/type.h"

#define FETCH_TRIES     3
#define SUPPLY_STALL_MS (5 * SB_MINUTE) /* a link that is down has time to come back */

static struct sb_package *package_of(const struct run *run)
{
    return sb_packages_get(run->runner->parts.packages, run->package);
}

/* Everything the driver needs is there. */
static void ready(struct run *run, struct sb_task *task)
{
    sb_cleanup(sb_freep) char *text = NULL;
    const struct sb_package *package = package_of(run);
    if (run->command.image && sb_op_is_firmware(task->job->op)) {
        enum sb_cause cause = sb_image_check(run, run->image_path, run->image.size, &text);
        if (cause != SB_CAUSE_NONE) {
            sb_run_fail(run, cause, text);
            return;
        }
    }
    bool gateway_stages = task->job->op == SB_OP_FIRMWARE_DOWNLOAD &&
                          !(run->driver->caps(run->type) & SB_CAP_STAGE_ON_DEVICE);
    if (!gateway_stages) {
        sb_run_want_bus(run);
        return;
    }
    struct sb_runner *runner = run->runner;
    struct sb_device *device = sb_registry_get(runner->parts.registry, task->device);
    bool digest = package && (package->sha256 || package->md5);
    sb_run_end(run);
    sb_runner_apply(runner, task, &(struct sb_event){ .kind = SB_EV_STAGED }, "core");
    if (device)
        sb_runner_stage(runner, device, package, false, task->job->origin);
    sb_runner_apply(runner, task,
                    &(struct sb_event){ .kind = SB_EV_SUCCESS,
                                        .text = "staged in the gateway",
                                        .verified = digest ? SB_VERIFY_HASH : SB_VERIFY_STATUS },
                    "core");
}

/* ---- fetching ---- */

static enum sb_cause fetched(struct run *run, struct sb_task *task, const char *sha256,
                             char **ret_text)
{
    struct sb_packages *packages = run->runner->parts.packages;
    struct sb_package *package = package_of(run);
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
    sb_run_pin(run, task, sha256);
    return sb_run_take_image(run, package) < 0 ? SB_CAUSE_NO_MEMORY : SB_CAUSE_NONE;
}

static void on_fetch(void *arg, const struct sb_fetch_event *event)
{
    struct run *run = arg;
    struct sb_task *task = sb_run_task(run);
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

/* What was staged is fetched again: it must be what was verified then. */
static const char *demanded(const struct sb_task *task, const struct sb_package *package)
{
    return package->sha256 || task->job->package ? package->sha256 : task->artifact;
}

static int start_fetch(struct run *run, const struct sb_task *task,
                       const struct sb_package *package)
{
    const struct sb_runner_parts *parts = &run->runner->parts;
    struct sb_fetch_settings settings = { 0 };
    bool stream = sb_uri_is_stream(package->uri);
    sb_cleanup(sb_freep) char *part = sb_depot_part(parts->packages, package->id);
    if (!part)
        return -ENOMEM;
    parts->fetch_settings(parts->arg, package->door, &settings);
    settings.supplier.package = package->id;
    if (stream && !settings.supplier.pull) {
        sb_run_fail(run, SB_CAUSE_INVALID_URI, "its link is not there any more to give the image");
        return 0;
    }
    return parts->fetcher_ops->start(
        parts->fetcher,
        &(struct sb_fetch_spec){ .uri = stream ? NULL : package->uri,
                                 .supplier = stream ? &settings.supplier : NULL,
                                 .part = part,
                                 .sha256 = demanded(task, package),
                                 .md5 = package->md5,
                                 .size = package->size > 0 ? package->size : -1,
                                 .max_bytes = parts->max_file,
                                 .stall_ms = stream ? SUPPLY_STALL_MS : 0,
                                 .rate = settings.rate,
                                 .tries = FETCH_TRIES,
                                 .ca_file = settings.ca_file,
                                 .proxy = settings.proxy,
                                 .headers = sb_json_object(package->extra, "headers"),
                                 .rules = settings.rules },
        on_fetch, run, &run->fetch);
}

static int fetch(struct run *run, struct sb_task *task, const struct sb_package *package)
{
    const struct sb_runner_parts *parts = &run->runner->parts;
    struct sb_device *device = sb_run_device(run);
    if (!package->uri) {
        if (device && sb_streq(device->staged.package, run->package))
            sb_runner_unstage(run->runner, device);
        sb_run_fail(run, SB_CAUSE_NOT_READY, "the image is not in the depot, and has no URI");
        return 0;
    }
    if (package->size > 0 && sb_depot_make_room(parts->packages, package->size) < 0) {
        sb_run_fail(run, SB_CAUSE_NO_SPACE, "the gateway has no room for the image");
        return 0;
    }
    run->stage = STAGE_FETCH;
    sb_runner_apply(run->runner, task,
                    &(struct sb_event){ .kind = SB_EV_PROGRESS, .phase = SB_PHASE_FETCHING },
                    "core");
    return start_fetch(run, task, package);
}

/* ---- beginning ---- */

static bool is_source(const struct sb_task *task, const struct sb_package *package,
                      const char *version)
{
    const json_t *list = package ? sb_json_array(package->fits, "source_versions") : NULL;
    bool found = json_array_size(list) == 0;
    size_t i;
    json_t *item;
    json_array_foreach ((json_t *)list, i, item) {
        const char *text = json_string_value(item);
        found = found || (text && sb_version_equal(text, version));
    }
    return found && sb_version_listed(task->job->policy.source_versions, version);
}

/* At hand-over the world may differ from when it was asked: version and fit are checked again. */
static enum sb_cause recheck(const struct run *run, const struct sb_task *task,
                             const struct sb_device *device, char **ret_text)
{
    const char *now = sb_device_version(device, task->module);
    const struct sb_package *package = package_of(run);
    int order;
    if (package && !sb_image_fits(package, device, ret_text))
        return SB_CAUSE_UNSUPPORTED_IMAGE;
    if (!sb_op_is_firmware(task->job->op) || task->job->op == SB_OP_FIRMWARE_DOWNLOAD || !now)
        return SB_CAUSE_NONE;
    /* A hash says more than a version: then the driver finds out. */
    if (run->type->verify != SB_VERIFY_HASH && task->target_version &&
        sb_version_equal(now, task->target_version)) {
        *ret_text = sb_format("the device runs %s already", now);
        return SB_CAUSE_ALREADY_CURRENT;
    }
    if (!is_source(task, package, now)) {
        *ret_text = sb_format("the device runs %s, which this update is not made for", now);
        return SB_CAUSE_VERSION_MISMATCH;
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

/* True: the run is over. */
static bool not_ready(struct run *run, const struct sb_task *task, struct sb_device *device)
{
    bool staged = !task->job->package;
    if (staged && task->artifact && !sb_streq(task->artifact, device->staged.artifact))
        sb_run_fail(run, SB_CAUSE_NOT_READY,
                    "what was staged when this was asked for is no longer staged");
    else if (!package_of(run))
        sb_run_fail(run, SB_CAUSE_NOT_READY,
                    staged ? "nothing is staged for this device" : "the package was removed");
    else
        return false;
    return true;
}

static int begin_with_package(struct run *run, struct sb_task *task, struct sb_device *device)
{
    struct sb_packages *packages = run->runner->parts.packages;
    const struct sb_package *package = package_of(run);
    if (package->artifact && sb_depot_check(packages, package->artifact)) {
        sb_run_pin(run, task, package->artifact);
        int r = sb_run_take_image(run, package);
        if (r >= 0)
            ready(run, task);
        return r;
    }
    /* Staged on the device, and the gateway's copy is gone: the driver can do without. */
    if (!task->job->package && device->staged.on_device) {
        sb_run_want_bus(run);
        return 0;
    }
    return fetch(run, task, package);
}

/* Nothing to do: the device has it. */
static void already_there(struct run *run, struct sb_task *task, struct sb_device *device,
                          const char *text)
{
    struct sb_runner *runner = run->runner;
    sb_run_installed(run, device);
    sb_run_end(run);
    sb_runner_apply(
        runner, task,
        &(struct sb_event){ .kind = SB_EV_SUCCESS, .text = text, .verified = SB_VERIFY_VERSION },
        "core");
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
    if (!sb_op_is_firmware(task->job->op) && !task->job->package) {
        sb_run_want_bus(run);
        return 0;
    }
    const char *package = task->job->package ? task->job->package : device->staged.package;
    if (sb_set_string(&run->package, package) < 0)
        return -ENOMEM;
    if (!resumed)
        cause = recheck(run, task, device, &text);
    if (cause == SB_CAUSE_ALREADY_CURRENT)
        already_there(run, task, device, text);
    else if (cause != SB_CAUSE_NONE)
        sb_run_fail(run, cause, text);
    else if (!not_ready(run, task, device))
        return begin_with_package(run, task, device);
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
    int r = device ? sb_run_new(runner, device, task->id, &run) : -ENODEV;
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
        failure = (struct sb_event){ .kind = SB_EV_EXPIRE, .cause = SB_CAUSE_DEVICE_GONE };
    sb_runner_apply(runner, task, &failure, "core");
}
