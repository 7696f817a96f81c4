/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/job/job.h"

SB_NAMES(sb_op, SB_OP_MAX_, [SB_OP_FIRMWARE_DOWNLOAD] = "firmware_download",
         [SB_OP_FIRMWARE_INSTALL] = "firmware_install", [SB_OP_FIRMWARE_UPDATE] = "firmware_update",
         [SB_OP_REBOOT] = "reboot", [SB_OP_FACTORY_RESET] = "factory_reset",
         [SB_OP_CONFIGURE] = "configure", [SB_OP_READ] = "read", [SB_OP_WRITE] = "write",
         [SB_OP_INVOKE] = "invoke");

SB_NAMES(sb_task_state, SB_TASK_STATE_MAX_, [SB_TASK_HELD] = "held", [SB_TASK_QUEUED] = "queued",
         [SB_TASK_SENT] = "sent", [SB_TASK_DOWNLOADING] = "downloading",
         [SB_TASK_DOWNLOADED] = "downloaded", [SB_TASK_INSTALLING] = "installing",
         [SB_TASK_RESTARTING] = "restarting", [SB_TASK_RUNNING] = "running",
         [SB_TASK_CANCELLING] = "cancelling", [SB_TASK_SUCCEEDED] = "succeeded",
         [SB_TASK_FAILED] = "failed", [SB_TASK_CANCELLED] = "cancelled");

SB_NAMES(sb_reason, SB_REASON_MAX_, [SB_REASON_NONE] = "none", [SB_REASON_OFFLINE] = "offline",
         [SB_REASON_SCHEDULED] = "scheduled", [SB_REASON_WINDOW] = "window",
         [SB_REASON_RATE] = "rate", [SB_REASON_CAPACITY] = "capacity", [SB_REASON_BUSY] = "busy",
         [SB_REASON_PULL] = "pull", [SB_REASON_RETRY] = "retry", [SB_REASON_PARENT] = "parent",
         [SB_REASON_ARTIFACT] = "artifact", [SB_REASON_PAUSED] = "paused");

SB_NAMES(sb_phase, SB_PHASE_MAX_, [SB_PHASE_WAITING] = "waiting", [SB_PHASE_STARTING] = "starting",
         [SB_PHASE_FETCHING] = "fetching", [SB_PHASE_TRANSFERRING] = "transferring",
         [SB_PHASE_VERIFYING] = "verifying", [SB_PHASE_WRITING] = "writing",
         [SB_PHASE_ACTIVATING] = "activating", [SB_PHASE_RESTARTING] = "restarting",
         [SB_PHASE_CONFIRMING] = "confirming");

SB_NAMES(
    sb_cause, SB_CAUSE_MAX_, [SB_CAUSE_NONE] = "none", [SB_CAUSE_UNSUPPORTED] = "unsupported",
    [SB_CAUSE_INVALID_REQUEST] = "invalid_request", [SB_CAUSE_INVALID_URI] = "invalid_uri",
    [SB_CAUSE_BUSY] = "busy", [SB_CAUSE_CONFLICT] = "conflict", [SB_CAUSE_NOT_READY] = "not_ready",
    [SB_CAUSE_ALREADY_CURRENT] = "already_current", [SB_CAUSE_OFFLINE] = "offline",
    [SB_CAUSE_LINK_LOST] = "link_lost", [SB_CAUSE_DOWNLOAD_FAILED] = "download_failed",
    [SB_CAUSE_NO_SPACE] = "no_space", [SB_CAUSE_NO_MEMORY] = "no_memory",
    [SB_CAUSE_VERIFY_FAILED] = "verify_failed", [SB_CAUSE_UNSUPPORTED_IMAGE] = "unsupported_image",
    [SB_CAUSE_WRITE_FAILED] = "write_failed", [SB_CAUSE_INSTALL_FAILED] = "install_failed",
    [SB_CAUSE_VERSION_MISMATCH] = "version_mismatch", [SB_CAUSE_ROLLED_BACK] = "rolled_back",
    [SB_CAUSE_DOWNGRADE_REFUSED] = "downgrade_refused", [SB_CAUSE_LOW_BATTERY] = "low_battery",
    [SB_CAUSE_WEAK_SIGNAL] = "weak_signal", [SB_CAUSE_REFUSED] = "refused",
    [SB_CAUSE_TIMEOUT] = "timeout", [SB_CAUSE_EXPIRED] = "expired",
    [SB_CAUSE_OVERRIDDEN] = "overridden", [SB_CAUSE_OPERATOR] = "operator",
    [SB_CAUSE_DEVICE_GONE] = "device_gone", [SB_CAUSE_OUTCOME_UNKNOWN] = "outcome_unknown",
    [SB_CAUSE_INTERNAL] = "internal");

const char *sb_cause_text(enum sb_cause cause)
{
    static const char *const texts[SB_CAUSE_MAX_] = {
        [SB_CAUSE_NONE] = "nothing went wrong",
        [SB_CAUSE_UNSUPPORTED] = "the device cannot do this",
        [SB_CAUSE_INVALID_REQUEST] = "the request is not usable",
        [SB_CAUSE_INVALID_URI] = "the URI of the image is not usable",
        [SB_CAUSE_BUSY] = "the device or its line is busy",
        [SB_CAUSE_CONFLICT] = "other work on the device is in the way",
        [SB_CAUSE_NOT_READY] = "nothing is staged that could be installed",
        [SB_CAUSE_ALREADY_CURRENT] = "the device has this already",
        [SB_CAUSE_OFFLINE] = "the device does not answer",
        [SB_CAUSE_LINK_LOST] = "the connection to the device was lost",
        [SB_CAUSE_DOWNLOAD_FAILED] = "the image could not be downloaded",
        [SB_CAUSE_NO_SPACE] = "there is no room for the image",
        [SB_CAUSE_NO_MEMORY] = "out of memory",
        [SB_CAUSE_VERIFY_FAILED] = "the image is not what it should be",
        [SB_CAUSE_UNSUPPORTED_IMAGE] = "the image is not made for this device",
        [SB_CAUSE_WRITE_FAILED] = "the device could not write the image",
        [SB_CAUSE_INSTALL_FAILED] = "the device could not install the image",
        [SB_CAUSE_VERSION_MISMATCH] = "the device runs another version",
        [SB_CAUSE_ROLLED_BACK] = "the device went back to what it ran before",
        [SB_CAUSE_DOWNGRADE_REFUSED] = "the device runs something newer",
        [SB_CAUSE_LOW_BATTERY] = "the battery of the device is low",
        [SB_CAUSE_WEAK_SIGNAL] = "the signal of the device is weak",
        [SB_CAUSE_REFUSED] = "it was refused",
        [SB_CAUSE_TIMEOUT] = "the time for it has passed",
        [SB_CAUSE_EXPIRED] = "it was not begun before its end time",
        [SB_CAUSE_OVERRIDDEN] = "another request took its place",
        [SB_CAUSE_OPERATOR] = "it was cancelled by request",
        [SB_CAUSE_DEVICE_GONE] = "the device was removed",
        [SB_CAUSE_OUTCOME_UNKNOWN] = "it is not known how it ended",
        [SB_CAUSE_INTERNAL] = "the gateway itself failed",
    };
    return (unsigned)cause < SB_CAUSE_MAX_ ? texts[cause] : NULL;
}

SB_NAMES(sb_job_state, SB_JOB_STATE_MAX_, [SB_JOB_PLANNED] = "planned", [SB_JOB_ACTIVE] = "active",
         [SB_JOB_CANCELLING] = "cancelling", [SB_JOB_DONE] = "done");

SB_NAMES(sb_start,
         SB_START_MAX_, [SB_START_NOW] = "now", [SB_START_ONLINE] = "online", [SB_START_AT] = "at");

SB_NAMES(sb_conflict, SB_CONFLICT_MAX_, [SB_CONFLICT_REFUSE] = "refuse",
         [SB_CONFLICT_QUEUE] = "queue", [SB_CONFLICT_REPLACE_UNSTARTED] = "replace_unstarted",
         [SB_CONFLICT_REPLACE_UNCOMMITTED] = "replace_uncommitted");

SB_NAMES(sb_answer, SB_ANSWER_MAX_, [SB_ANSWER_ACCEPTED] = "accepted", [SB_ANSWER_FINAL] = "final");

SB_NAMES(sb_confirm, SB_CONFIRM_MAX_, [SB_CONFIRM_AUTO] = "auto", [SB_CONFIRM_MANUAL] = "manual",
         [SB_CONFIRM_NEVER] = "never");

SB_NAMES(sb_verify, SB_VERIFY_MAX_, [SB_VERIFY_NONE] = "none", [SB_VERIFY_STATUS] = "status",
         [SB_VERIFY_VERSION] = "version", [SB_VERIFY_HASH] = "hash");

const char *sb_verify_text(enum sb_verify verify)
{
    static const char *const texts[SB_VERIFY_MAX_] = {
        [SB_VERIFY_NONE] = "nothing was read back",
        [SB_VERIFY_STATUS] = "only the device's word for it, no version was read back",
        [SB_VERIFY_VERSION] = "its version was read back",
        [SB_VERIFY_HASH] = "the digest of its image was read back",
    };
    return (unsigned)verify < SB_VERIFY_MAX_ ? texts[verify] : NULL;
}

bool sb_op_is_firmware(enum sb_op op)
{
    return op == SB_OP_FIRMWARE_DOWNLOAD || op == SB_OP_FIRMWARE_INSTALL ||
           op == SB_OP_FIRMWARE_UPDATE;
}

bool sb_op_takes_package(enum sb_op op)
{
    return sb_op_is_firmware(op) || op == SB_OP_CONFIGURE;
}

bool sb_task_state_is_final(enum sb_task_state state)
{
    return state == SB_TASK_SUCCEEDED || state == SB_TASK_FAILED || state == SB_TASK_CANCELLED;
}

bool sb_task_state_is_under_way(enum sb_task_state state)
{
    return state >= SB_TASK_SENT && state <= SB_TASK_CANCELLING;
}

bool sb_cause_is_transient(enum sb_cause cause)
{
    static const bool transient[SB_CAUSE_MAX_] = {
        [SB_CAUSE_BUSY] = true,        [SB_CAUSE_OFFLINE] = true,
        [SB_CAUSE_LINK_LOST] = true,   [SB_CAUSE_DOWNLOAD_FAILED] = true,
        [SB_CAUSE_NO_MEMORY] = true,   [SB_CAUSE_WRITE_FAILED] = true,
        [SB_CAUSE_LOW_BATTERY] = true, [SB_CAUSE_WEAK_SIGNAL] = true,
        [SB_CAUSE_INTERNAL] = true,
    };
    return cause >= 0 && cause < SB_CAUSE_MAX_ && transient[cause];
}

void sb_policy_done(struct sb_policy *policy)
{
    free(policy->window.zone);
    free(policy->source_versions);
    policy->window.zone = policy->source_versions = NULL;
}

int sb_policy_copy(const struct sb_policy *from, struct sb_policy *ret)
{
    struct sb_policy copy = *from;
    copy.window.zone = copy.source_versions = NULL;
    if (sb_set_string(&copy.window.zone, from->window.zone) < 0 ||
        sb_set_string(&copy.source_versions, from->source_versions) < 0) {
        sb_policy_done(&copy);
        return -ENOMEM;
    }
    *ret = copy;
    return 0;
}

void sb_targets_done(struct sb_targets *targets)
{
    json_decref(targets->devices);
    json_decref(targets->groups);
    json_decref(targets->types);
    free(targets->versions);
    *targets = (struct sb_targets){ 0 };
}

int sb_targets_copy(const struct sb_targets *from, struct sb_targets *ret)
{
    struct sb_targets copy = { .devices = json_deep_copy(from->devices),
                               .groups = json_deep_copy(from->groups),
                               .types = json_deep_copy(from->types),
                               .sample = from->sample };
    if ((from->devices && !copy.devices) || (from->groups && !copy.groups) ||
        (from->types && !copy.types) || sb_set_string(&copy.versions, from->versions) < 0) {
        sb_targets_done(&copy);
        return -ENOMEM;
    }
    *ret = copy;
    return 0;
}

bool sb_targets_choose(const struct sb_targets *targets)
{
    return targets->groups || targets->types || targets->versions || targets->sample;
}

#define LIST_MAX     64 /* groups or types in one request */
#define WORD_MAX     64
#define VERSIONS_MAX 1024
#define TAGS_MAX     32
#define TAG_MAX      256

/* Absent, or some words. */
static bool words_legal(const json_t *list, size_t max)
{
    size_t i;
    json_t *word;
    if (list && (json_array_size(list) == 0 || json_array_size(list) > max))
        return false;
    json_array_foreach ((json_t *)list, i, word) {
        size_t n = json_string_length(word);
        if (n == 0 || n > WORD_MAX)
            return false;
    }
    return true;
}

const char *sb_targets_wrong(const struct sb_targets *targets)
{
    if (!words_legal(targets->groups, LIST_MAX))
        return "'groups' is a list of 1 to 64 names";
    if (!words_legal(targets->types, LIST_MAX))
        return "'types' is a list of 1 to 64 names";
    if (targets->versions && (!*targets->versions || strlen(targets->versions) > VERSIONS_MAX))
        return "'versions' is a list with commas, of at most 1024 bytes";
    return targets->sample > 100 ? "'sample' is a percentage, 1 to 100" : NULL;
}

const char *sb_tags_wrong(const json_t *tags)
{
    const char *name;
    json_t *value;
    if (tags && (!json_is_object(tags) || json_object_size(tags) > TAGS_MAX))
        return "tags are at most 32 texts, each with a name";
    json_object_foreach ((json_t *)tags, name, value) {
        size_t n = strlen(name);
        if (n == 0 || n > WORD_MAX || !json_is_string(value) || json_string_length(value) > TAG_MAX)
            return "a tag is a name of at most 64 bytes and a text of at most 256";
    }
    return NULL;
}

void sb_native_done(struct sb_native *native)
{
    free(native->dialect);
    free(native->vocabulary);
    free(native->code);
    free(native->text);
    *native = (struct sb_native){ 0 };
}

int sb_native_set(struct sb_native *native, const char *dialect, const char *vocabulary,
                  const char *code, const char *text)
{
    struct sb_native fresh = { 0 };
    if (sb_set_string(&fresh.dialect, dialect) < 0 ||
        sb_set_string(&fresh.vocabulary, vocabulary) < 0 || sb_set_string(&fresh.code, code) < 0 ||
        sb_set_string(&fresh.text, text) < 0) {
        sb_native_done(&fresh);
        return -ENOMEM;
    }
    sb_native_done(native);
    *native = fresh;
    return 0;
}

bool sb_task_is_unproven(const struct sb_task *task)
{
    bool installs =
        task->job->op == SB_OP_FIRMWARE_INSTALL || task->job->op == SB_OP_FIRMWARE_UPDATE;
    return installs && task->state == SB_TASK_SUCCEEDED && task->verified < SB_VERIFY_VERSION;
}

struct sb_task *sb_task_free(struct sb_task *task)
{
    if (!task)
        return NULL;
    free(task->device);
    free(task->uuid);
    free(task->module);
    free(task->text);
    free(task->target_version);
    free(task->artifact);
    free(task->transcript);
    sb_native_done(&task->native);
    json_decref(task->result);
    json_decref(task->checkpoint);
    free(task);
    return NULL;
}

struct sb_job *sb_job_free(struct sb_job *job)
{
    if (!job)
        return NULL;
    for (size_t i = 0; i < job->task_count; i++)
        sb_task_free(job->tasks[i]);
    free(job->tasks);
    free(job->origin);
    free(job->caller);
    free(job->external_id);
    free(job->key);
    free(job->package);
    json_decref(job->params);
    json_decref(job->tags);
    sb_targets_done(&job->targets);
    sb_policy_done(&job->policy);
    free(job);
    return NULL;
}

int sb_job_add_task(struct sb_job *job, struct sb_task *task)
{
    struct sb_task **grown =
        reallocarray(job->tasks, job->task_count + 1, sizeof(struct sb_task *));
    if (!grown)
        return -ENOMEM;
    job->tasks = grown;
    job->tasks[job->task_count++] = task;
    task->job = job;
    return 0;
}
