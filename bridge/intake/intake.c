/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/intake/parts.h"

#include "bridge/base/map.h"
#include "bridge/base/str.h"
#include "bridge/job/version.h"
#include "bridge/mapping/type.h"
#include "bridge/package/uri.h"
#include "bridge/runner/schedule.h"

#define EXTERNAL_ID_MAX 256

void sb_verdict_done(struct sb_verdict *verdict)
{
    free(verdict->text);
    sb_job_free(verdict->ended);
    *verdict = (struct sb_verdict){ 0 };
}

bool sb_refuse(struct sb_asking *asking, enum sb_cause cause, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    sb_set_vformat(&asking->verdict->text, fmt, ap);
    va_end(ap);
    asking->verdict->cause = cause;
    return false;
}

/* ---- each check says yes, or refuses with a cause and a sentence ---- */

static bool writable(struct sb_asking *asking)
{
    const struct sb_intake *intake = asking->intake;
    const char *why = NULL;
    return sb_store_ready(intake->store, &why) ||
           sb_refuse(asking,
                     sb_store_error(intake->store) == -ENOSPC ? SB_CAUSE_NO_SPACE
                                                              : SB_CAUSE_INTERNAL,
                     "no new work can be taken: %s", why ? why : "the store is not ready");
}

bool sb_intake_has_room(const struct sb_intake *intake, size_t jobs, size_t tasks)
{
    return sb_book_jobs(intake->book) + jobs <= intake->limits.jobs &&
           sb_book_open_tasks(intake->book) + tasks <= intake->limits.tasks;
}

static bool room(struct sb_asking *asking, size_t tasks)
{
    const struct sb_intake_limits *limits = &asking->intake->limits;
    if (!sb_intake_has_room(asking->intake, 1, tasks))
        return sb_refuse(asking, SB_CAUSE_BUSY,
                         "too many jobs are open (limit %zu jobs, %zu tasks)", limits->jobs,
                         limits->tasks);
    return !asking->intake->is_full(asking->intake->arg, asking->origin, tasks) ||
           sb_refuse(asking, SB_CAUSE_BUSY, "too many reports to this link wait");
}

/* For what it brings: an image on the disk, rows in the store. */
static bool space(struct sb_asking *asking)
{
    const struct sb_intake *intake = asking->intake;
    const struct sb_request *request = asking->request;
    struct sb_space_view view;
    if (!sb_space_look(intake->space, &view))
        return sb_refuse(asking, SB_CAUSE_NO_SPACE, "no new work can be taken: %s", view.why);
    if ((request->key || request->external_id) && sb_retention_crowded(intake->retention))
        return sb_refuse(asking, SB_CAUSE_BUSY,
                         "too many requests with ids of their own have ended lately, and must be "
                         "remembered; ask again later");
    return true;
}

/* Ids are remembered and looked for: an empty one would be everybody's. */
static bool external_id(struct sb_asking *asking)
{
    const char *id = asking->request->external_id;
    if (!id || (*id && strlen(id) <= EXTERNAL_ID_MAX))
        return true;
    return sb_refuse(asking, SB_CAUSE_INVALID_REQUEST,
                     "the request's id must have 1 to %d bytes, not %zu", EXTERNAL_ID_MAX,
                     strlen(id));
}

static bool window(struct sb_asking *asking)
{
    const struct sb_window *window = &asking->request->policy.window;
    if (!window->zone || sb_zone_known(window->zone))
        return true;
    return sb_refuse(asking, SB_CAUSE_INVALID_REQUEST, "unknown time zone '%s'", window->zone);
}

/* A URI that cannot be fetched is refused now, and not when the device is ready for it. Of a door's
 * own stream only the door knows (host.c). */
static bool uri(struct sb_asking *asking)
{
    const char *given = sb_json_str(asking->request->package, "uri");
    struct sb_uri parts = { 0 };
    sb_cleanup(sb_freep) char *wrong = NULL;
    bool stream = asking->bound && sb_uri_is_stream(given);
    int r = given && !stream ? sb_uri_parse(given, &parts, &wrong) : 0;
    sb_uri_done(&parts);
    return r >= 0 || sb_refuse(asking, r == -EINVAL ? SB_CAUSE_INVALID_URI : SB_CAUSE_INTERNAL,
                               "%s", wrong ? wrong : strerror(-r));
}

static bool package(struct sb_asking *asking)
{
    const struct sb_request *request = asking->request;
    bool given = request->package || request->package_id;
    if (!sb_op_is_firmware(request->op) && !given)
        return true;
    if (!sb_op_takes_package(request->op))
        return sb_refuse(asking, SB_CAUSE_INVALID_REQUEST, "%s takes no package",
                         sb_op_name(request->op));
    if (request->op == SB_OP_CONFIGURE && json_object_get(request->params, "values"))
        return sb_refuse(asking, SB_CAUSE_INVALID_REQUEST,
                         "configure takes values or a package of them, not both");
    if (request->package_id) {
        asking->package = sb_packages_get(asking->intake->packages, request->package_id);
        return asking->package || sb_refuse(asking, SB_CAUSE_NOT_READY, "there is no package '%s'",
                                            request->package_id);
    }
    if (!request->package)
        return request->op == SB_OP_FIRMWARE_INSTALL ||
               sb_refuse(asking, SB_CAUSE_INVALID_REQUEST, "%s needs a package",
                         sb_op_name(request->op));
    if (!uri(asking))
        return false;
    /* The door's URI rules go with the package: what a cloud names is fetched under its rules. */
    sb_cleanup(json_decrefp) json_t *spec = json_copy((json_t *)request->package);
    int r = asking->bound ? sb_json_put_str(spec, "door", asking->origin) : 0;
    if (r >= 0)
        r = sb_packages_resolve(asking->intake->packages, spec, sb_loop_wall(asking->intake->loop),
                                &asking->package);
    sb_cleanup(sb_freep) char *wrong = r == -EINVAL ? sb_package_spec_wrong(spec) : NULL;
    return r >= 0 || sb_refuse(asking, r == -EINVAL ? SB_CAUSE_INVALID_REQUEST : SB_CAUSE_INTERNAL,
                               "the package is not usable: %s", wrong ? wrong : strerror(-r));
}

/* ---- of each device ---- */

static const struct sb_device *device_of(const struct sb_asking *asking,
                                         const struct sb_share *share)
{
    return sb_registry_get(asking->intake->registry, share->device);
}

/* What it would get: the request's package, else what is staged for it; NULL: none. */
static const struct sb_package *package_for(const struct sb_asking *asking,
                                            const struct sb_device *device)
{
    if (asking->package || !sb_op_is_firmware(asking->request->op))
        return asking->package;
    return sb_packages_get(asking->intake->packages, device->staged.package);
}

static const char *module_for(const struct sb_asking *asking, const struct sb_device *device)
{
    const struct sb_package *package = package_for(asking, device);
    return package && package->module ? package->module : "";
}

bool sb_asking_able(struct sb_asking *asking, const struct sb_device *device)
{
    const struct sb_request *request = asking->request;
    const struct sb_type *type = device->type;
    sb_cleanup(sb_freep) char *text = NULL;
    if (device->gateway)
        return sb_refuse(asking, SB_CAUSE_UNSUPPORTED, "the gateway itself cannot do %s",
                         sb_op_name(request->op));
    if (!type || !type->driver)
        return sb_refuse(asking, SB_CAUSE_UNSUPPORTED, "device '%s' has no known type (%s)",
                         device->id, device->type_name);
    if (!sb_type_allows(type, request->op))
        return sb_refuse(asking, SB_CAUSE_UNSUPPORTED, "devices of type %s cannot do %s",
                         type->name, sb_op_name(request->op));
    enum sb_cause cause = type->driver->accepts(type, (int)request->op, request->params, &text);
    return cause == SB_CAUSE_NONE ||
           sb_refuse(asking, cause, "%s", text ? text : sb_cause_text(cause));
}

static bool devices(struct sb_asking *asking)
{
    for (size_t i = 0; i < asking->share_count; i++) {
        struct sb_share *share = &asking->shares[i];
        const struct sb_device *device = device_of(asking, share);
        if (!sb_asking_able(asking, device) && !sb_asking_leave_out(asking, share))
            return false;
    }
    return true;
}

/* Without the version that is meant nobody could say afterwards that it is there. */
static bool tells_version(struct sb_asking *asking, const struct sb_type *type,
                          const struct sb_package *package)
{
    enum sb_op op = asking->request->op;
    bool installs = op == SB_OP_FIRMWARE_INSTALL || op == SB_OP_FIRMWARE_UPDATE;
    return !installs || type->verify != SB_VERIFY_VERSION || package->version ||
           (type->driver->caps(type) & SB_CAP_READS_VERSION) ||
           sb_refuse(asking, SB_CAUSE_INVALID_REQUEST,
                     "devices of type %s are verified by their version: the request must say which "
                     "one the image is",
                     type->name);
}

bool sb_asking_fits(struct sb_asking *asking, const struct sb_device *device)
{
    const struct sb_package *package = package_for(asking, device);
    sb_cleanup(sb_freep) char *text = NULL;
    if (!package && !sb_op_is_firmware(asking->request->op))
        return true;
    if (!package)
        return sb_refuse(asking, SB_CAUSE_NOT_READY, "nothing is staged for device '%s'",
                         device->id);
    if (device->type->require_digest && !package->sha256 && !package->artifact)
        return sb_refuse(asking, SB_CAUSE_INVALID_REQUEST,
                         "devices of type %s take only images with a sha256 digest",
                         device->type->name);
    if (!tells_version(asking, device->type, package))
        return false;
    return sb_image_fits(package, device, &text) ||
           sb_refuse(asking, SB_CAUSE_UNSUPPORTED_IMAGE, "%s", text ? text : "it does not fit");
}

/* The open firmware activity on the same device and module, after `previous`; NULL: none. */
static struct sb_task *rival(const struct sb_asking *asking, const struct sb_device *device,
                             struct sb_task *previous)
{
    const char *module = module_for(asking, device);
    struct sb_task *task = previous;
    if (sb_op_is_firmware(asking->request->op) &&
        asking->request->policy.conflict != SB_CONFLICT_QUEUE)
        while ((task = sb_book_of_device(asking->intake->book, device->id, task)))
            if (sb_op_is_firmware(task->job->op) && strcmp(task->module, module) == 0)
                return task;
    return NULL;
}

static bool replaceable(const struct sb_asking *asking, const struct sb_task *task)
{
    enum sb_conflict policy = asking->request->policy.conflict;
    bool wanted = (policy == SB_CONFLICT_REPLACE_UNSTARTED && task->state <= SB_TASK_SENT) ||
                  (policy == SB_CONFLICT_REPLACE_UNCOMMITTED && !task->committed);
    return wanted && sb_runner_can_cancel(asking->intake->runner, task) == 0;
}

bool sb_asking_free(struct sb_asking *asking, const struct sb_device *device)
{
    for (struct sb_task *task = NULL; (task = rival(asking, device, task));)
        if (!replaceable(asking, task))
            return sb_refuse(
                asking, SB_CAUSE_CONFLICT, "job %lld (%s, from %s) is still at work on device '%s'",
                (long long)task->job->id, sb_op_name(task->job->op), task->job->origin, device->id);
    return true;
}

bool sb_asking_replace(struct sb_asking *asking, const struct sb_device *device)
{
    for (struct sb_task *task = NULL; (task = rival(asking, device, task));)
        if (sb_runner_cancel(asking->intake->runner, task, SB_CAUSE_OVERRIDDEN, asking->origin) < 0)
            return sb_refuse(asking, SB_CAUSE_CONFLICT, "job %lld cannot be taken back",
                             (long long)task->job->id);
    return true;
}

/* Nothing is taken back for a request that is refused because of another of its devices. */
static bool makes_way(struct sb_asking *asking)
{
    for (size_t i = 0; i < asking->share_count; i++) {
        struct sb_share *share = &asking->shares[i];
        const struct sb_device *device = device_of(asking, share);
        bool open = share->cause == SB_CAUSE_NONE;
        if (open && (!sb_asking_fits(asking, device) || !sb_asking_free(asking, device)) &&
            !sb_asking_leave_out(asking, share))
            return false;
    }
    for (size_t i = 0; i < asking->share_count; i++) {
        const struct sb_share *share = &asking->shares[i];
        if (share->cause == SB_CAUSE_NONE && !sb_asking_replace(asking, device_of(asking, share)))
            return false;
    }
    return true;
}

/* ---- writing the job ---- */

int sb_asking_task(const struct sb_asking *asking, const struct sb_job *job,
                   const struct sb_device *device, struct sb_task **ret)
{
    const struct sb_package *package = package_for(asking, device);
    sb_cleanup(sb_task_freep) struct sb_task *task = calloc(1, sizeof(*task));
    if (!task || sb_set_string(&task->device, device->id) < 0 ||
        sb_set_string(&task->uuid, device->uuid) < 0 ||
        sb_set_string(&task->module, module_for(asking, device)) < 0 ||
        sb_set_string(&task->target_version, package ? package->version : NULL) < 0)
        return -ENOMEM;
    /* What is staged may be replaced before its turn comes: this very image is meant. */
    if (package && !asking->package && sb_set_string(&task->artifact, device->staged.artifact) < 0)
        return -ENOMEM;
    task->id = sb_book_next_task(asking->intake->book);
    task->round = 1;
    task->state = job->policy.hold ? SB_TASK_HELD : SB_TASK_QUEUED;
    task->created = sb_loop_wall(asking->intake->loop);
    *ret = SB_STEAL(task);
    return 0;
}

static int add_task(const struct sb_asking *asking, struct sb_job *job,
                    const struct sb_share *share)
{
    sb_cleanup(sb_task_freep) struct sb_task *task = NULL;
    int r = sb_asking_task(asking, job, device_of(asking, share), &task);
    if (r >= 0)
        r = sb_job_add_task(job, task);
    if (r >= 0)
        SB_STEAL(task);
    return r;
}

static int make_job(struct sb_asking *asking, const char *key, struct sb_job **ret)
{
    const struct sb_request *request = asking->request;
    sb_cleanup(sb_job_freep) struct sb_job *job = calloc(1, sizeof(*job));
    if (!job || sb_policy_copy(&request->policy, &job->policy) < 0)
        return -ENOMEM;
    if (sb_set_string(&job->origin, asking->origin) < 0 ||
        sb_set_string(&job->caller, request->caller) < 0 ||
        sb_set_string(&job->external_id, request->external_id) < 0 ||
        sb_set_string(&job->key, key) < 0 ||
        sb_set_string(&job->package, asking->package ? asking->package->id : NULL) < 0 ||
        (asking->chooses && sb_targets_copy(&asking->targets, &job->targets) < 0))
        return -ENOMEM;
    job->standing = job->rule = request->rule;
    job->tags = json_deep_copy(request->tags);
    job->id = sb_book_next_job(asking->intake->book);
    job->op = request->op;
    job->params = json_deep_copy(request->params);
    if ((request->params && !job->params) || (request->tags && !job->tags))
        return -ENOMEM;
    job->created = sb_loop_wall(asking->intake->loop);
    job->state = SB_JOB_PLANNED;
    for (size_t i = 0; i < asking->share_count; i++) {
        int r = add_task(asking, job, &asking->shares[i]);
        if (r < 0)
            return r;
    }
    *ret = SB_STEAL(job);
    return 0;
}

/* Those who were chosen and cannot do it: their tasks say so. The others begin after this turn. */
static void fail_left_out(const struct sb_asking *asking, const struct sb_job *job,
                          const char *actor)
{
    for (size_t i = 0; i < asking->share_count && i < job->task_count; i++) {
        const struct sb_share *share = &asking->shares[i];
        if (share->cause != SB_CAUSE_NONE)
            sb_runner_refuse(asking->intake->runner, job->tasks[i], share->cause, share->text,
                             actor);
    }
}

/* again: an ended job, owned: a new round of it; NULL: a new job. */
static int accept(struct sb_asking *asking, const char *key, struct sb_job *again)
{
    sb_cleanup(sb_job_freep) struct sb_job *job = again;
    struct sb_intake *intake = asking->intake;
    sb_cleanup(sb_freep) char *actor = asking->request->caller
                                           ? strdup(asking->request->caller)
                                           : sb_format("link %s", asking->origin);
    int r = actor ? 0 : -ENOMEM;
    if (r >= 0 && !job)
        r = make_job(asking, key, &job);
    if (r < 0)
        return r;
    int64_t id = job->id;
    bool held = job->policy.hold;
    r = again ? sb_intake_reopen(intake, SB_STEAL(job), held, actor)
              : sb_intake_add(intake, SB_STEAL(job), actor);
    const struct sb_job *added = r < 0 ? NULL : sb_book_job(intake->book, id);
    if (added && !again)
        fail_left_out(asking, added, actor);
    intake->rules_changed |= added && added->rule;
    for (size_t i = 0; added && i < added->task_count && !asking->verdict->task; i++)
        if (!sb_task_state_is_final(added->tasks[i]->state))
            asking->verdict->task = added->tasks[i]->id;
    asking->verdict->job = id;
    return r;
}

/* A rule's tasks are made as devices come to match: from the next look on. */
static bool shares(struct sb_asking *asking)
{
    const struct sb_request *request = asking->request;
    if (!request->rule)
        return sb_asking_choose(asking) && room(asking, asking->share_count) &&
               (!asking->chooses || devices(asking));
    asking->share_count = 0;
    return request->op != SB_OP_FIRMWARE_INSTALL || asking->package ||
           sb_refuse(asking, SB_CAUSE_INVALID_REQUEST,
                     "a rule needs a package: what is staged differs from device to device");
}

static int decide(struct sb_asking *asking)
{
    sb_cleanup(sb_freep) char *key = NULL;
    sb_cleanup(sb_job_freep) struct sb_job *again = NULL;
    if (!writable(asking))
        return 0;
    size_t named = asking->request->device_count;
    bool roomy = room(asking, named) && space(asking);
    if (!roomy && !sb_asking_repeats(asking))
        return 0;
    sb_verdict_done(asking->verdict);
    if (!sb_asking_params(asking) || !external_id(asking) || !window(asking) ||
        !sb_asking_named(asking) || !devices(asking) || !package(asking))
        return 0;
    key = sb_asking_key(asking);
    if (!key)
        return -ENOMEM;
    if (sb_asking_known(asking, key, &again))
        return 0;
    if (!room(asking, again ? asking->share_count : named) || (!roomy && !space(asking)))
        return 0; /* it would be new, or a new round */
    if (!again && !shares(asking))
        return 0;
    return makes_way(asking) ? accept(asking, key, SB_STEAL(again)) : 0;
}

int sb_intake_submit(struct sb_intake *intake, const char *origin, bool bound,
                     const struct sb_request *request, struct sb_verdict *ret)
{
    struct sb_verdict verdict = { 0 };
    struct sb_asking asking = {
        .intake = intake, .origin = origin, .bound = bound, .request = request, .verdict = &verdict
    };
    int r = decide(&asking);
    sb_asking_done(&asking);
    if (r == -EAGAIN) { /* the store failed in this very turn */
        (void)sb_refuse(&asking, SB_CAUSE_INTERNAL, "the store does not take new work now");
        r = 0;
    }
    if (r < 0) {
        sb_verdict_done(&verdict);
        return sb_store_whole(intake->store, r);
    }
    *ret = verdict;
    return 0;
}
