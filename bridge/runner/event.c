/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/runner/internal.h"

#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/job/version.h"
#include "bridge/mapping/type.h"

#define CHECKPOINT_MAX 4096  /* bytes of JSON */
#define RESULT_MAX     65536 /* of what a task keeps of it */
#define TEXT_MAX       1000

static struct run *run_of_session(struct sb_runner *runner, uint64_t session)
{
    for (struct run *run = runner->runs; run; run = run->next)
        if (run->command.session == session && run->stage == STAGE_DRIVE)
            return run;
    return NULL;
}

/* ---- what must be durable before the driver goes on ---- */

static void answer(struct run *run, int error)
{
    if (run->bus)
        sb_worker_granted(run->bus->worker, run->command.session, error);
    else
        run->driver->granted(run->driver->user, run->command.session, error);
}

void sb_run_granted(void *arg, int error)
{
    struct run *run = arg;
    bool commit = run->granting == GRANT_COMMIT;
    run->granting = GRANT_NONE;
    run->last_event = sb_loop_now(run->runner->parts.loop);
    if (!error && run->stopping)
        error = -ECANCELED; /* its task ended while the disk was writing */
    run->committed |= commit && !error;
    answer(run, error);
}

/* r: of what must become durable first. */
static void grant_when_durable(struct run *run, enum grant grant, int r)
{
    if (r >= 0)
        r = sb_store_then(run->runner->parts.store, sb_run_granted, run);
    if (r < 0)
        answer(run, r);
    else
        run->granting = grant;
}

static int keep_checkpoint(const struct run *run, struct sb_task *task, const json_t *checkpoint)
{
    if (!json_is_object(checkpoint)) /* a record holds objects only */
        return -EINVAL;
    if (json_dumpb(checkpoint, NULL, 0, JSON_COMPACT) > CHECKPOINT_MAX)
        return -E2BIG;
    json_t *copy = json_deep_copy(checkpoint);
    if (!copy)
        return -ENOMEM;
    json_decref(task->checkpoint);
    task->checkpoint = copy;
    return sb_book_save(run->runner->parts.book, task);
}

/* What nobody waits for any more, and a mere look, which has nothing to keep. */
static bool answered_at_once(struct run *run, const struct sb_task *task)
{
    bool over = !task || run->abandoned || run->stopping || task->state == SB_TASK_CANCELLING;
    if (over)
        answer(run, run->task ? -ECANCELED : 0);
    return over;
}

static void on_checkpoint(struct run *run, struct sb_task *task, const json_t *checkpoint)
{
    if (!answered_at_once(run, task))
        grant_when_durable(run, GRANT_CHECKPOINT, keep_checkpoint(run, task, checkpoint));
}

/* A cancel that came first wins: the driver is told to go no further. */
static void on_commit(struct run *run, struct sb_task *task)
{
    const struct sb_event event = { .kind = SB_EV_COMMIT };
    if (!answered_at_once(run, task))
        grant_when_durable(run, GRANT_COMMIT,
                           sb_book_apply(run->runner->parts.book, task, &event, "driver", NULL));
}

/* ---- the end ---- */

/* What the success was read from: as the driver says, and as the core has seen for itself. */
static enum sb_verify proof_of(const struct sb_task *task, const struct sb_outcome *outcome)
{
    int said = outcome->verified ? sb_verify_from_name(outcome->verified) : SB_VERIFY_NONE;
    enum sb_verify proof = said < 0 ? SB_VERIFY_NONE : (enum sb_verify)said;
    const char *found = sb_json_str(outcome->after.versions, task->module);
    bool installs = sb_op_is_firmware(task->job->op) && task->job->op != SB_OP_FIRMWARE_DOWNLOAD;
    bool equal =
        installs && found && task->target_version && sb_version_equal(task->target_version, found);
    return equal ? SB_MAX(proof, SB_VERIFY_VERSION) : proof;
}

/* Law: success is what the device says of itself afterwards. */
static enum sb_cause verify(const struct run *run, const struct sb_task *task,
                            const struct sb_outcome *outcome, char **ret_text)
{
    const char *wanted = task->target_version;
    const char *found = sb_json_str(outcome->after.versions, task->module);
    if (!sb_op_is_firmware(task->job->op) || task->job->op == SB_OP_FIRMWARE_DOWNLOAD ||
        run->type->verify < SB_VERIFY_VERSION)
        return SB_CAUSE_NONE;
    if (run->type->verify == SB_VERIFY_HASH) {
        if (proof_of(task, outcome) >= SB_VERIFY_VERSION)
            return SB_CAUSE_NONE;
        *ret_text = sb_format("the device does not say which image it runs now");
        return SB_CAUSE_OUTCOME_UNKNOWN;
    }
    if (!found) {
        *ret_text = sb_format("the device does not say which version it runs now");
        return SB_CAUSE_OUTCOME_UNKNOWN;
    }
    if (wanted && !sb_version_equal(wanted, found)) {
        *ret_text = sb_format("the device runs %s, not %s", found, wanted);
        return SB_CAUSE_VERSION_MISMATCH;
    }
    return SB_CAUSE_NONE;
}

static void copy_read_values(struct sb_runner *runner, struct sb_device *device,
                             const json_t *result)
{
    const char *name;
    json_t *value;
    int64_t wall = sb_loop_wall(runner->parts.loop);
    json_object_foreach ((json_t *)result, name, value) {
        if (sb_device_set_property(device, name, value, wall) < 0)
            sb_warning(SB_AT(.device = device->id), "cannot keep the value of '%s'", name);
    }
    if (json_object_size(result))
        sb_runner_save_device(runner, device);
}

/* What a device says has no bounds of its own; a record that the store refuses would be worse. */
static json_t *fit_result(json_t *result)
{
    size_t size = result ? json_dumpb(result, NULL, 0, JSON_COMPACT) : 0;
    return size <= RESULT_MAX ? json_incref(result)
                              : json_pack("{s:I}", "omitted_bytes", (json_int_t)size);
}

static char *fit_text(const char *text)
{
    size_t n = strnlen(text, TEXT_MAX);
    while (text[n] && n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--; /* not inside a character */
    return strndup(text, n);
}

static void succeeded(const struct run *run, struct sb_task *task, struct sb_device *device,
                      struct sb_outcome *outcome)
{
    struct sb_runner *runner = run->runner;
    enum sb_op op = task->job->op;
    const struct sb_package *package = sb_packages_get(runner->parts.packages, run->package);
    if (device && op == SB_OP_READ)
        copy_read_values(runner, device, outcome->result);
    if (op == SB_OP_FIRMWARE_DOWNLOAD)
        sb_runner_apply(runner, task, &(struct sb_event){ .kind = SB_EV_STAGED }, "driver");
    if (device && op == SB_OP_FIRMWARE_DOWNLOAD && package)
        sb_runner_stage(runner, device, package, true, task->job->origin);
    if (device)
        sb_run_installed(run, device);
    enum sb_verify proof = proof_of(task, outcome);
    sb_cleanup(sb_freep) char *text = outcome->text
                                          ? fit_text(outcome->text)
                                          : sb_format("read back: %s", sb_verify_name((int)proof));
    sb_cleanup(json_decrefp) json_t *result = fit_result(outcome->result);
    sb_runner_apply(runner, task,
                    &(struct sb_event){
                        .kind = SB_EV_SUCCESS, .text = text, .result = result, .verified = proof },
                    "driver");
}

static void ended(struct run *run, struct sb_task *task, struct sb_device *device,
                  struct sb_outcome *outcome)
{
    struct sb_runner *runner = run->runner;
    sb_cleanup(sb_freep) char *text = NULL;
    sb_cleanup(sb_freep) char *said = outcome->text ? fit_text(outcome->text) : NULL;
    sb_cleanup(json_decrefp) json_t *result = fit_result(outcome->result);
    struct sb_event event = { .kind = SB_EV_FAIL,
                              .cause = outcome->cause,
                              .text = said,
                              .native = outcome->native.code ? &outcome->native : NULL,
                              .result = result };
    if (outcome->cause == SB_CAUSE_NONE && !outcome->stopped) {
        event.cause = verify(run, task, outcome, &text);
        if (event.cause == SB_CAUSE_NONE) {
            succeeded(run, task, device, outcome);
            return;
        }
        event.text = text;
    }
    if (outcome->stopped && task->state == SB_TASK_CANCELLING) {
        event.kind = SB_EV_STOPPED;
        event.text = NULL; /* why it was cancelled says more */
    } else if (run->stalled && outcome->stopped) {
        event.cause = SB_CAUSE_LINK_LOST;
        event.text = "the device showed no sign of life for too long";
    } else if (outcome->stopped && event.cause == SB_CAUSE_NONE) {
        event.cause = SB_CAUSE_INTERNAL;
        event.text = "the driver stopped unasked";
    }
    sb_runner_apply(runner, task, &event, "driver");
}

static void release_device(struct run *run, struct sb_device *device,
                           const struct sb_outcome *outcome)
{
    struct sb_runner *runner = run->runner;
    /* A driver that ran to its end, or says so, leaves nothing under way on the device. */
    if (device->occupied && (outcome->after.idle || outcome->stopped || !run->abandoned)) {
        free(SB_STEAL(device->occupied));
        sb_runner_save_device(runner, device);
    }
    bool lost = outcome->no_port || outcome->cause == SB_CAUSE_LINK_LOST ||
                outcome->cause == SB_CAUSE_OFFLINE; /* whatever it said before */
    bool answered = outcome->after.identity || outcome->after.versions || outcome->after.idle ||
                    outcome->cause == SB_CAUSE_NONE;
    if (answered && !lost && !outcome->stopped)
        sb_unit_answered(runner, device->id, &outcome->after);
    else if (lost || outcome->cause == SB_CAUSE_BUSY || run->command.op == SB_COMMAND_IDENTIFY)
        sb_unit_silent(runner, device->id, outcome);
    else if (run->committed)
        sb_unit_plan(runner, device->id, 1); /* it may be another one than before */
}

/* What was said belongs to the attempt that ended; an attempt that said nothing leaves none. */
static void keep_transcript(char **slot, const char *said)
{
    if (sb_set_string(slot, said) < 0)
        free(SB_STEAL(*slot));
}

static void on_done(struct run *run, struct sb_outcome *outcome)
{
    struct sb_runner *runner = run->runner;
    struct sb_task *task = sb_book_task(runner->parts.book, run->task);
    struct sb_device *device = sb_run_device(run);
    if (run->bus && run->bus->sessions)
        run->bus->sessions--;
    if (task)
        keep_transcript(&task->transcript, outcome->transcript);
    if (device)
        keep_transcript(&device->transcript, outcome->transcript);
    if (task && !run->abandoned)
        ended(run, task, device, outcome);
    else if (task)
        sb_notice(SB_AT(.task = run->task, .device = run->device),
                  "the device ended what its task had given up: %s",
                  outcome->cause == SB_CAUSE_NONE ? "done" : sb_cause_name(outcome->cause));
    if (device)
        release_device(run, device, outcome);
    if (device && device->occupied)
        sb_unit_plan(runner, device->id, 1); /* nobody here is at it: it can be asked */
    sb_run_end(run);
}

void sb_runner_event(struct sb_runner *runner, const struct sb_driver_event *event)
{
    if (event->kind == SB_DRIVER_FACTS) {
        sb_unit_answered(runner, event->device, event->identity);
        return;
    }
    struct run *run = run_of_session(runner, event->session);
    if (!run)
        return; /* of an earlier life */
    struct sb_task *task = sb_book_task(runner->parts.book, run->task);
    run->last_event = sb_loop_now(runner->parts.loop);
    switch (event->kind) {
    case SB_DRIVER_PROGRESS:
        if (run->bus && run->driver->caps(run->type) & SB_CAP_SHARES_BUS)
            runner->dirty = true; /* something short may go in between */
        if (task && !run->abandoned)
            sb_runner_apply(runner, task,
                            &(struct sb_event){ .kind = SB_EV_PROGRESS,
                                                .phase = event->phase,
                                                .percent = event->percent },
                            "driver");
        break;
    case SB_DRIVER_CHECKPOINT:
        on_checkpoint(run, task, event->checkpoint);
        break;
    case SB_DRIVER_COMMIT:
        on_commit(run, task);
        break;
    case SB_DRIVER_DONE:
        on_done(run, event->outcome);
        break;
    case SB_DRIVER_NOTE:
        sb_debug(SB_AT(.task = run->task, .device = run->device), "%s", event->text);
        break;
    case SB_DRIVER_FACTS:
        break;
    }
}

void sb_driver_event(struct sb_runner *runner, const struct sb_driver_event *event)
{
    sb_runner_event(runner, event);
}
