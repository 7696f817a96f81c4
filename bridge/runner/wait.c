/* SPDX-License-Identifier: Apache-2.0 */
/* What a queued task waits for beyond its own device: a parent, an image, being asked for. */
#include "bridge/runner/internal.h"

#include "bridge/base/log.h"
#include "bridge/base/str.h"

/* ---- the device it is behind ---- */

static bool gets_firmware(struct sb_runner *runner, const char *device)
{
    const struct sb_task *task = NULL;
    while ((task = sb_book_of_device(runner->parts.book, device, task)))
        if (sb_op_is_firmware(task->job->op) && sb_task_state_is_under_way(task->state))
            return true;
    return false;
}

const char *sb_wait_for_parent(struct sb_runner *runner, const struct sb_device *device)
{
    const struct sb_device *parent =
        device->parent ? sb_registry_get(runner->parts.registry, device->parent) : NULL;
    if (!parent || parent->gateway)
        return NULL;
    if (gets_firmware(runner, parent->id))
        return "the device it is behind gets firmware";
    if (parent->occupied)
        return "the device it is behind may still be busy";
    if (parent->presence != SB_PRESENCE_READY && sb_unit_can_look(runner, parent))
        return "the device it is behind does not answer";
    return NULL;
}

/* ---- the image ---- */

static bool is_fetched_for_another(const struct sb_runner *runner, const struct sb_package *package)
{
    for (const struct run *run = runner->runs; run; run = run->next)
        if (run->stage == STAGE_FETCH && sb_streq(run->package, package->id))
            return true;
    return false;
}

/* Bytes of images that are on their way; they have a right to their room. */
static int64_t promised(const struct sb_runner *runner)
{
    int64_t bytes = 0;
    for (const struct run *run = runner->runs; run; run = run->next) {
        const struct sb_package *package =
            run->stage == STAGE_FETCH ? sb_packages_get(runner->parts.packages, run->package)
                                      : NULL;
        if (package && package->size > 0 && package->size <= runner->parts.max_file)
            bytes += package->size;
    }
    return bytes;
}

/* A download whose work is the fetch itself joins the one that goes on: its progress is told. */
const char *sb_wait_for_image(struct sb_runner *runner, const struct sb_task *task,
                              const struct sb_device *device)
{
    struct sb_packages *packages = runner->parts.packages;
    const char *id = task->job->package ? task->job->package : device->staged.package;
    if (!sb_op_is_firmware(task->job->op) && !task->job->package)
        return NULL;
    const struct sb_package *package = sb_packages_get(packages, id);
    bool there = package && package->artifact && sb_depot_has(packages, package->artifact);
    if (!package || there || (!task->job->package && device->staged.on_device))
        return NULL;
    if (!package->uri) /* what was staged and is gone comes from nowhere */
        return task->job->package ? "its image is known by name only: nobody has said where it is"
                                  : NULL;
    if (is_fetched_for_another(runner, package))
        return task->job->op != SB_OP_FIRMWARE_DOWNLOAD
                   ? "its image is being fetched for another device"
                   : NULL;
    return sb_depot_is_short(packages, package->size, promised(runner))
               ? "there is no room for its image in the gateway now"
               : NULL;
}

/* ---- being asked for ---- */

static void note_asked(struct sb_runner *runner, struct sb_task *task, const char *actor)
{
    sb_cleanup(sb_freep) char *subject = sb_format("task %lld", (long long)task->id);
    sb_cleanup(json_decrefp) json_t *detail =
        json_pack("{s:I,s:s}", "job", (json_int_t)task->job->id, "device", task->device);
    task->asked = true;
    sb_runner_save_task(runner, task);
    int r = subject && detail ? sb_audit_add(runner->parts.audit, actor, "fetch", subject,
                                             sb_loop_wall(runner->parts.loop), detail)
                              : -ENOMEM;
    if (r < 0)
        sb_error(SB_AT(.task = task->id), "cannot keep the audit: %s", strerror(-r));
    runner->dirty = true;
}

int sb_runner_fetch(struct sb_runner *runner, struct sb_task *task, const char *actor)
{
    if (!task->job->policy.pull || task->asked || task->state != SB_TASK_QUEUED)
        return -EPROTO;
    if (sb_store_failing(runner->parts.store))
        return -EAGAIN;
    note_asked(runner, task, actor);
    return 0;
}

/* A device that asks gets what waits for just that; not what is not due yet. */
void sb_wait_answered(struct sb_runner *runner, const struct sb_device *device, bool asks)
{
    struct sb_task *task = NULL;
    sb_cleanup(sb_freep) char *actor = asks ? sb_format("device %s", device->id) : NULL;
    while ((task = sb_book_of_device(runner->parts.book, device->id, task))) {
        bool queued = task->state == SB_TASK_QUEUED || task->state == SB_TASK_HELD;
        if (queued && !task->heard && task->job->policy.start == SB_START_ONLINE) {
            task->heard = true;
            sb_runner_save_task(runner, task);
            runner->dirty = true;
        }
        if (asks && task->reason == SB_REASON_PULL && !task->asked)
            note_asked(runner, task, actor ? actor : "device");
    }
}
