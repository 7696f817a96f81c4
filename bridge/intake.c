/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/intake.h"

#include "bridge/base/crypto.h"
#include "bridge/base/str.h"
#include "bridge/job/version.h"
#include "bridge/mapping/type.h"
#include "bridge/package/uri.h"
#include "bridge/runner/schedule.h"

#define PARAMS_MAX 65536

void sb_verdict_done(struct sb_verdict *verdict)
{
    free(verdict->text);
    *verdict = (struct sb_verdict){ 0 };
}

/* What is being decided: one request at one door. */
struct asking {
    struct sb_intake *intake;
    const char *origin;
    bool bound;
    const struct sb_request *request;
    struct sb_package *package; /* NULL: none */
    struct sb_verdict *verdict;
};

static bool refuse(struct asking *asking, enum sb_cause cause, const char *fmt, ...)
    SB_PRINTF(3, 4);
static bool refuse(struct asking *asking, enum sb_cause cause, const char *fmt, ...)
{
    struct sb_str text = { 0 };
    va_list ap;
    va_start(ap, fmt);
    sb_str_vformat(&text, fmt, ap);
    va_end(ap);
    free(asking->verdict->text);
    asking->verdict->text = sb_str_take(&text);
    asking->verdict->cause = cause;
    return false;
}

/* ---- each check says yes, or refuses with a cause and a sentence ---- */

static bool room(struct asking *asking)
{
    const struct sb_intake *intake = asking->intake;
    const char *why = NULL;
    if (!sb_store_ready(intake->store, &why))
        return refuse(asking, SB_CAUSE_INTERNAL, "no new work can be taken: %s",
                      why ? why : "the store is not ready");
    if (sb_book_jobs(intake->book) >= intake->limits.jobs ||
        sb_book_open_tasks(intake->book) + asking->request->device_count > intake->limits.tasks)
        return refuse(asking, SB_CAUSE_BUSY, "too many jobs are open (limit %zu jobs, %zu tasks)",
                      intake->limits.jobs, intake->limits.tasks);
    if (asking->request->device_count == 0)
        return refuse(asking, SB_CAUSE_INVALID_REQUEST, "no device is named");
    return true;
}

static bool parameters(struct asking *asking)
{
    const json_t *params = asking->request->params;
    if (params && !json_is_object(params))
        return refuse(asking, SB_CAUSE_INVALID_REQUEST, "the parameters are not an object");
    sb_cleanup(sb_freep) char *text = params ? sb_json_text(params) : NULL;
    if (text && strlen(text) > PARAMS_MAX)
        return refuse(asking, SB_CAUSE_INVALID_REQUEST, "the parameters are over %d bytes",
                      PARAMS_MAX);
    return true;
}

static bool window(struct asking *asking)
{
    const struct sb_window *window = &asking->request->policy.window;
    if (!window->zone || sb_zone_known(window->zone))
        return true;
    return refuse(asking, SB_CAUSE_INVALID_REQUEST, "unknown time zone '%s'", window->zone);
}

/* A URI that cannot be fetched is refused now, and not when the device is ready for it. */
static bool uri(struct asking *asking)
{
    const char *given = sb_json_str(asking->request->package, "uri");
    struct sb_uri parts = { 0 };
    sb_cleanup(sb_freep) char *wrong = NULL;
    int r = given ? sb_uri_parse(given, &parts, &wrong) : 0;
    sb_uri_done(&parts);
    return r >= 0 || refuse(asking, r == -EINVAL ? SB_CAUSE_INVALID_URI : SB_CAUSE_INTERNAL, "%s",
                            wrong ? wrong : strerror(-r));
}

static bool package(struct asking *asking)
{
    const struct sb_request *request = asking->request;
    if (!sb_op_is_firmware(request->op)) {
        if (request->package || request->package_id)
            return refuse(asking, SB_CAUSE_INVALID_REQUEST, "%s takes no package",
                          sb_op_name(request->op));
        return true;
    }
    if (request->package_id) {
        asking->package = sb_packages_get(asking->intake->packages, request->package_id);
        return asking->package ||
               refuse(asking, SB_CAUSE_NOT_READY, "there is no package '%s'", request->package_id);
    }
    if (!request->package)
        return request->op == SB_OP_FIRMWARE_INSTALL ||
               refuse(asking, SB_CAUSE_INVALID_REQUEST, "%s needs a package",
                      sb_op_name(request->op));
    if (!uri(asking))
        return false;
    /* The door's URI rules go with the package: what a cloud names is fetched under its rules. */
    sb_cleanup(json_decrefp) json_t *spec = json_copy((json_t *)request->package);
    int r = asking->bound ? sb_json_put_str(spec, "door", asking->origin) : 0;
    if (r >= 0)
        r = sb_packages_resolve(asking->intake->packages, spec, sb_loop_wall(asking->intake->loop),
                                &asking->package);
    return r >= 0 ||
           refuse(asking, r == -EINVAL ? SB_CAUSE_INVALID_REQUEST : SB_CAUSE_INTERNAL,
                  "the package is not usable: %s",
                  r == -EINVAL ? "a name, version, module or digest is malformed" : strerror(-r));
}

static bool listed(const json_t *list, const char *value)
{
    size_t i;
    json_t *item;
    if (!json_array_size(list) || !value)
        return true;
    json_array_foreach ((json_t *)list, i, item) {
        if (sb_streq(json_string_value(item), value))
            return true;
    }
    return false;
}

static const char *known(const struct sb_device *device, const char *key, const char *declared)
{
    const char *said = sb_json_str(device->identity, key);
    return said ? said : declared;
}

static bool fits(struct asking *asking, const struct sb_device *device)
{
    const json_t *fits = asking->package ? asking->package->fits : NULL;
    const struct sb_type *type = device->type;
    if (listed(sb_json_array(fits, "type"), type->name) &&
        listed(sb_json_array(fits, "manufacturer"),
               known(device, "manufacturer", type->manufacturer)) &&
        listed(sb_json_array(fits, "model"), known(device, "model", type->model)))
        return true;
    return refuse(asking, SB_CAUSE_UNSUPPORTED_IMAGE,
                  "package '%s' is not made for device '%s' (type %s)", asking->package->id,
                  device->id, type->name);
}

static bool firmware(struct asking *asking, const struct sb_device *device)
{
    const struct sb_package *package = asking->package;
    if (!sb_op_is_firmware(asking->request->op))
        return true;
    if (!package && !device->staged.package)
        return refuse(asking, SB_CAUSE_NOT_READY, "nothing is staged for device '%s'", device->id);
    if (package && device->type->require_digest && !package->sha256 && !package->artifact)
        return refuse(asking, SB_CAUSE_INVALID_REQUEST,
                      "devices of type %s take only images with a sha256 digest",
                      device->type->name);
    return !package || fits(asking, device);
}

static bool able(struct asking *asking, const struct sb_device *device)
{
    const struct sb_request *request = asking->request;
    const struct sb_type *type = device->type;
    sb_cleanup(sb_freep) char *text = NULL;
    if (device->gateway)
        return refuse(asking, SB_CAUSE_UNSUPPORTED, "the gateway itself cannot do %s",
                      sb_op_name(request->op));
    if (!type || !type->driver)
        return refuse(asking, SB_CAUSE_UNSUPPORTED, "device '%s' has no known type (%s)",
                      device->id, device->type_name);
    if (!sb_type_allows(type, request->op))
        return refuse(asking, SB_CAUSE_UNSUPPORTED, "devices of type %s cannot do %s", type->name,
                      sb_op_name(request->op));
    enum sb_cause cause = type->driver->accepts(type, (int)request->op, request->params, &text);
    return cause == SB_CAUSE_NONE ||
           refuse(asking, cause, "%s", text ? text : sb_cause_name(cause));
}

/* What an open firmware activity on the same device and module means for a new one. */
static bool conflict(struct asking *asking, const struct sb_device *device, const char *module)
{
    const struct sb_request *request = asking->request;
    enum sb_conflict policy = request->policy.conflict;
    struct sb_task *other = NULL;
    if (!sb_op_is_firmware(request->op) || policy == SB_CONFLICT_QUEUE)
        return true;
    while ((other = sb_book_of_device(asking->intake->book, device->id, other))) {
        if (!sb_op_is_firmware(other->job->op) || strcmp(other->module, module) != 0)
            continue;
        bool replace = (policy == SB_CONFLICT_REPLACE_UNSTARTED && other->state <= SB_TASK_SENT) ||
                       (policy == SB_CONFLICT_REPLACE_UNCOMMITTED && !other->committed);
        if (!replace || sb_runner_cancel(asking->intake->runner, other, SB_CAUSE_OVERRIDDEN,
                                         asking->origin) < 0)
            return refuse(asking, SB_CAUSE_CONFLICT,
                          "job %lld (%s, from %s) is still at work on device '%s'",
                          (long long)other->job->id, sb_op_name(other->job->op), other->job->origin,
                          device->id);
    }
    return true;
}

static const char *module_of(const struct asking *asking)
{
    return asking->package && asking->package->module ? asking->package->module : "";
}

static bool each_device(struct asking *asking)
{
    for (size_t i = 0; i < asking->request->device_count; i++) {
        const char *id = asking->request->devices[i];
        const struct sb_device *device = sb_registry_get(asking->intake->registry, id);
        if (!device)
            return refuse(asking, SB_CAUSE_DEVICE_GONE, "there is no device '%s'", id);
        if (asking->bound && !sb_device_may_command(device, asking->origin))
            return refuse(asking, SB_CAUSE_REFUSED, "link '%s' may not command device '%s'",
                          asking->origin, id);
        if (!able(asking, device) || !firmware(asking, device))
            return false;
    }
    for (size_t i = 0; i < asking->request->device_count; i++) {
        const struct sb_device *device =
            sb_registry_get(asking->intake->registry, asking->request->devices[i]);
        if (!conflict(asking, device, module_of(asking)))
            return false;
    }
    return true;
}

/* ---- the same request again ---- */

/* The caller's id where it has one, else what is asked for: operation, image, parameters. */
static char *make_key(const struct asking *asking)
{
    const struct sb_request *request = asking->request;
    if (request->external_id)
        return sb_format("id:%s", request->external_id);
    sb_cleanup(sb_freep) char *params = request->params ? sb_json_text(request->params) : NULL;
    sb_cleanup(sb_freep) char *digest = params ? sb_sha256_hex(params, strlen(params)) : NULL;
    return sb_format("content:%s:%s:%s", sb_op_name(request->op),
                     asking->package ? asking->package->key : "", digest ? digest : "");
}

/* True: an open task is the same request for its first device; the verdict names it. */
static bool is_known(struct asking *asking, const char *key)
{
    const struct sb_task *same =
        sb_book_same(asking->intake->book, asking->origin, key, asking->request->devices[0]);
    if (!same)
        return false;
    const char *package = asking->package ? asking->package->id : NULL;
    if (same->job->op != asking->request->op || !sb_streq(same->job->package, package) ||
        !json_equal(same->job->params ? same->job->params : json_null(),
                    asking->request->params ? asking->request->params : json_null()))
        return refuse(asking, SB_CAUSE_CONFLICT,
                      "id '%s' is in use by job %lld for another request",
                      asking->request->external_id, (long long)same->job->id);
    asking->verdict->existing = true;
    asking->verdict->job = same->job->id;
    asking->verdict->task = same->id;
    return true;
}

/* ---- writing the job ---- */

static int add_task(struct asking *asking, struct sb_job *job, const char *device)
{
    const struct sb_package *package = asking->package;
    const struct sb_device *record = sb_registry_get(asking->intake->registry, device);
    sb_cleanup(sb_task_freep) struct sb_task *task = calloc(1, sizeof(*task));
    if (!task)
        return -ENOMEM;
    if (!package && record->staged.package)
        package = sb_packages_get(asking->intake->packages, record->staged.package);
    const char *version = package && sb_op_is_firmware(job->op) ? package->version : NULL;
    if (sb_set_string(&task->device, device) < 0 ||
        sb_set_string(&task->module, module_of(asking)) < 0 ||
        sb_set_string(&task->target_version, version) < 0)
        return -ENOMEM;
    task->id = sb_book_next_task(asking->intake->book);
    task->round = 1;
    task->state = job->policy.hold ? SB_TASK_HELD : SB_TASK_QUEUED;
    task->created = job->created;
    int r = sb_job_add_task(job, task);
    if (r >= 0)
        SB_STEAL(task);
    return r;
}

static int make_job(struct asking *asking, const char *key, struct sb_job **ret)
{
    const struct sb_request *request = asking->request;
    sb_cleanup(sb_job_freep) struct sb_job *job = calloc(1, sizeof(*job));
    if (!job || sb_policy_copy(&request->policy, &job->policy) < 0)
        return -ENOMEM;
    if (sb_set_string(&job->origin, asking->origin) < 0 ||
        sb_set_string(&job->caller, request->caller) < 0 ||
        sb_set_string(&job->external_id, request->external_id) < 0 ||
        sb_set_string(&job->key, key) < 0 ||
        sb_set_string(&job->package, asking->package ? asking->package->id : NULL) < 0)
        return -ENOMEM;
    job->id = sb_book_next_job(asking->intake->book);
    job->op = request->op;
    job->params = json_deep_copy(request->params);
    job->created = sb_loop_wall(asking->intake->loop);
    job->state = SB_JOB_PLANNED;
    for (size_t i = 0; i < request->device_count; i++) {
        int r = add_task(asking, job, request->devices[i]);
        if (r < 0)
            return r;
    }
    *ret = SB_STEAL(job);
    return 0;
}

static int accept(struct asking *asking, const char *key)
{
    struct sb_job *job;
    sb_cleanup(sb_freep) char *actor = asking->request->caller
                                           ? strdup(asking->request->caller)
                                           : sb_format("link %s", asking->origin);
    int r = actor ? make_job(asking, key, &job) : -ENOMEM;
    if (r < 0)
        return r;
    asking->verdict->job = job->id;
    asking->verdict->task = job->tasks[0]->id;
    r = sb_book_add(asking->intake->book, job, actor);
    sb_runner_wake(asking->intake->runner);
    return r;
}

int sb_intake_submit(struct sb_intake *intake, const char *origin, bool bound,
                     const struct sb_request *request, struct sb_verdict *ret)
{
    struct sb_verdict verdict = { 0 };
    struct asking asking = { intake, origin, bound, request, NULL, &verdict };
    sb_cleanup(sb_freep) char *key = NULL;
    int r = 0;

    if (room(&asking) && parameters(&asking) && window(&asking) && package(&asking)) {
        key = make_key(&asking);
        if (!key)
            r = -ENOMEM;
        else if (!is_known(&asking, key) && verdict.cause == SB_CAUSE_NONE && each_device(&asking))
            r = accept(&asking, key);
    }
    if (r == -EAGAIN) { /* the store failed in this very turn */
        refuse(&asking, SB_CAUSE_INTERNAL, "the store does not take new work now");
        r = 0;
    }
    if (r < 0) {
        sb_verdict_done(&verdict);
        return r;
    }
    *ret = verdict;
    return 0;
}

/* ---- a new round ---- */

static int find_job(void *arg, const struct sb_row *row)
{
    return sb_job_from_json(row->body, arg, NULL);
}

static int find_task(void *arg, const struct sb_row *row)
{
    struct sb_job *job = arg;
    sb_cleanup(sb_task_freep) struct sb_task *task = NULL;
    int r = sb_task_from_json(row->body, job, &task, NULL);
    if (r >= 0)
        r = sb_job_add_task(job, task);
    if (r >= 0)
        SB_STEAL(task);
    return r;
}

static bool has_later_round(const struct sb_job *job, const struct sb_task *task)
{
    for (size_t i = 0; i < job->task_count; i++)
        if (job->tasks[i]->round > task->round && sb_streq(job->tasks[i]->device, task->device))
            return true;
    return false;
}

static int add_round(struct sb_intake *intake, struct sb_job *job, const struct sb_task *old)
{
    sb_cleanup(sb_task_freep) struct sb_task *task = calloc(1, sizeof(*task));
    if (!task || sb_set_string(&task->device, old->device) < 0 ||
        sb_set_string(&task->module, old->module) < 0 ||
        sb_set_string(&task->target_version, old->target_version) < 0)
        return -ENOMEM;
    task->id = sb_book_next_task(intake->book);
    task->round = old->round + 1;
    task->state = SB_TASK_QUEUED;
    task->created = sb_loop_wall(intake->loop);
    int r = sb_job_add_task(job, task);
    if (r >= 0)
        SB_STEAL(task);
    return r;
}

int sb_intake_retry(struct sb_intake *intake, int64_t id, const char *actor)
{
    sb_cleanup(sb_job_freep) struct sb_job *job = NULL;
    sb_cleanup(sb_freep) char *text = sb_format("%lld", (long long)id);
    if (sb_book_job(intake->book, id))
        return -EBUSY;
    int r = sb_store_query(intake->store,
                           &(struct sb_query){ .table = SB_TABLE_JOB, .id = id, .state = -1 },
                           find_job, &job);
    if (r >= 0 && job)
        r = sb_store_query(intake->store,
                           &(struct sb_query){ .table = SB_TABLE_TASK, .b = text, .state = -1 },
                           find_task, job);
    if (r < 0 || !job)
        return r < 0 ? r : -ENOENT;
    size_t before = job->task_count;
    for (size_t i = 0; i < before && r >= 0; i++) {
        const struct sb_task *task = job->tasks[i];
        if ((task->state == SB_TASK_FAILED || task->state == SB_TASK_CANCELLED) &&
            !has_later_round(job, task) && sb_registry_get(intake->registry, task->device))
            r = add_round(intake, job, task);
    }
    if (r >= 0 && job->task_count == before)
        r = -ENODATA;
    if (r < 0)
        return r;
    job->ended = 0;
    job->state = SB_JOB_ACTIVE;
    r = sb_book_add(intake->book, SB_STEAL(job), actor);
    sb_runner_wake(intake->runner);
    return r;
}
