/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/runner/internal.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "bridge/base/crypto.h"
#include "bridge/base/str.h"
#include "bridge/mapping/type.h"

#define MAGIC_MAX 32

/* ---- does it fit? ---- */

static bool listed(const json_t *list, const char *value)
{
    return !json_array_size(list) || !value || sb_json_has(list, value);
}

/* What the device said of itself counts more than what its type declares. */
static const char *known(const struct sb_device *device, const char *key, const char *declared)
{
    const char *said = sb_json_str(device->identity, key);
    return said ? said : declared;
}

bool sb_image_fits(const struct sb_package *package, const struct sb_device *device,
                   char **ret_text)
{
    const json_t *fits = package->fits;
    const struct sb_type *type = device->type;
    if (!type || (listed(sb_json_array(fits, "type"), type->name) &&
                  listed(sb_json_array(fits, "manufacturer"),
                         known(device, "manufacturer", type->manufacturer)) &&
                  listed(sb_json_array(fits, "model"), known(device, "model", type->model))))
        return true;
    *ret_text = sb_format("package '%s' is not made for device '%s' (type %s)", package->id,
                          device->id, type->name);
    return false;
}

/* An image of the wrong kind is stopped here, before a byte goes to a device. */
enum sb_cause sb_image_check(const struct run *run, const char *path, int64_t size, char **ret_text)
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

int sb_run_take_image(struct run *run, const struct sb_package *package)
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

void sb_run_pin(struct run *run, struct sb_task *task, const char *sha256)
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

/* What it runs now waits for no install any more. */
void sb_run_installed(const struct run *run, struct sb_device *device)
{
    bool installs = run->command.op == (int)SB_OP_FIRMWARE_INSTALL ||
                    run->command.op == (int)SB_OP_FIRMWARE_UPDATE;
    if (installs && device->staged.package && sb_streq(device->staged.package, run->package))
        sb_runner_unstage(run->runner, device);
}
