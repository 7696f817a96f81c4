/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/intake/parts.h"

#include "bridge/base/crypto.h"
#include "bridge/base/str.h"
#include "bridge/job/machine.h"

/* ---- keys ---- */

static char *digest_of(const char *text)
{
    return text ? sb_sha256_hex(text, strlen(text)) : NULL;
}

static char *params_digest(const json_t *params)
{
    sb_cleanup(sb_freep) char *text = params ? sb_json_sorted(params) : strdup("");
    return digest_of(text);
}

/* Who is meant: by name, and by what else the request chooses. */
static char *devices_digest(const struct sb_asking *asking)
{
    const struct sb_request *request = asking->request;
    struct sb_str text = { 0 };
    if (asking->chooses) {
        sb_cleanup(json_decrefp) json_t *targets = sb_targets_json(&asking->targets);
        sb_cleanup(sb_freep) char *chosen = sb_json_text(targets);
        text.broken |= !chosen;
        sb_str_format(&text, "%s %s\n", request->rule ? "rule" : "once", chosen ? chosen : "");
    }
    for (size_t i = 0; i < request->device_count; i++)
        sb_str_format(&text, "%s\n", request->devices[i]);
    sb_cleanup(sb_freep) char *all = sb_str_take(&text);
    return digest_of(all);
}

/* The asker's own key where it has one, else what is asked for, and for whom. */
char *sb_asking_key(const struct sb_asking *asking)
{
    const struct sb_request *request = asking->request;
    const char *own = request->key ? request->key : request->external_id;
    if (own)
        return sb_format("id:%s", own);
    sb_cleanup(sb_freep) char *params = params_digest(request->params);
    sb_cleanup(sb_freep) char *devices = devices_digest(asking);
    return params && devices
               ? sb_format("content:%s:%s:%s:%s", sb_op_name(request->op),
                           asking->package ? asking->package->key : "", params, devices)
               : NULL;
}

/* ---- what has ended ---- */

/* Left the book in this moment: what the store says of its tasks is not their end. */
static bool is_ending(const struct sb_job *job)
{
    return job->state != SB_JOB_DONE;
}

int sb_intake_ended(struct sb_intake *intake, int64_t id, struct sb_job **ret)
{
    sb_cleanup(sb_job_freep) struct sb_job *job = NULL;
    if (sb_book_job(intake->book, id) || sb_book_recent(intake->book, id))
        return -EBUSY;
    int r = sb_book_stored(
        intake->book, &(struct sb_query){ .table = SB_TABLE_JOB, .id = id, .state = -1 }, &job);
    if (r < 0 || !job)
        return r < 0 ? r : -ENOENT;
    if (is_ending(job))
        return -EBUSY;
    *ret = SB_STEAL(job);
    return 0;
}

/* ---- the same request again ---- */

static bool same_devices(const struct sb_job *job, const struct sb_request *request)
{
    size_t n = 0; /* of the first round: the others repeat */
    while (n < job->task_count && job->tasks[n]->round == 1)
        n++;
    if (n != request->device_count)
        return false;
    for (size_t i = 0; i < n; i++)
        if (strcmp(job->tasks[i]->device, request->devices[i]) != 0)
            return false;
    return true;
}

static bool same_targets(const struct sb_asking *asking, const struct sb_job *job)
{
    if (asking->request->rule != job->standing)
        return false;
    if (!asking->chooses)
        return !sb_targets_choose(&job->targets) && same_devices(job, asking->request);
    sb_cleanup(json_decrefp) json_t *wanted = sb_targets_json(&asking->targets);
    sb_cleanup(json_decrefp) json_t *found = sb_targets_json(&job->targets);
    return json_equal(wanted, found);
}

static bool same_body(const struct sb_asking *asking, const struct sb_job *job)
{
    const struct sb_request *request = asking->request;
    const char *package = asking->package ? asking->package->id : NULL;
    return job->op == request->op && sb_streq(job->package, package) &&
           json_equal(job->params ? job->params : json_null(),
                      request->params ? request->params : json_null()) &&
           same_targets(asking, job);
}

/* The last round of the job's first device. */
static const struct sb_task *first_of(const struct sb_job *job)
{
    const struct sb_task *first = job->task_count ? job->tasks[0] : NULL;
    for (size_t i = 1; i < job->task_count; i++)
        if (strcmp(job->tasks[i]->device, first->device) == 0)
            first = job->tasks[i];
    return first;
}

static bool equals(struct sb_asking *asking, const struct sb_job *job)
{
    const struct sb_task *first = first_of(job);
    if ((!first && !asking->chooses) || !same_body(asking, job)) {
        const char *id = asking->request->external_id;
        (void)sb_refuse(asking, SB_CAUSE_CONFLICT,
                        "id '%s' stands for another request, of job %lld", id ? id : "",
                        (long long)job->id);
        return false;
    }
    asking->verdict->existing = true;
    asking->verdict->job = job->id;
    asking->verdict->task = first ? first->id : 0;
    return true;
}

/* What a new round repeats: the last ones that failed, of devices that are still there. To be
 * freed; NULL: no memory. */
static bool *find_to_do(const struct sb_intake *intake, const struct sb_job *job, size_t *ret_count)
{
    bool *list = sb_job_latest(job);
    size_t count = 0;
    for (size_t i = 0; list && i < job->task_count; i++) {
        const struct sb_task *task = job->tasks[i];
        bool failed = task->state == SB_TASK_FAILED || task->state == SB_TASK_CANCELLED;
        list[i] = list[i] && failed && sb_registry_get(intake->registry, task->device);
        count += list[i];
    }
    *ret_count = count;
    return list;
}

/* The shares of a new round, each as if it had been named: what succeeded is left alone. */
static int share_again(struct sb_asking *asking, const struct sb_job *job)
{
    size_t count = 0;
    sb_cleanup(sb_freep) bool *list = find_to_do(asking->intake, job, &count);
    if (!list)
        return -ENOMEM;
    asking->share_count = 0;
    for (size_t i = 0; i < job->task_count; i++) {
        if (!list[i])
            continue;
        int r = sb_asking_share(
            asking, sb_registry_get(asking->intake->registry, job->tasks[i]->device), true);
        if (r < 0)
            return r;
    }
    return count > 0;
}

static bool ends(struct sb_asking *asking, int64_t job)
{
    (void)sb_refuse(asking, SB_CAUSE_BUSY, "job %lld is just ending; ask again", (long long)job);
    return true;
}

/* A job that has ended: it succeeded, and this is the answer; or it is asked for once more. */
static bool knows_ended(struct sb_asking *asking, struct sb_job *job, struct sb_job **ret_again)
{
    bool ending = is_ending(job) && ends(asking, job->id);
    int again = !ending && equals(asking, job) ? share_again(asking, job) : 0;
    if (again < 0)
        (void)sb_refuse(asking, SB_CAUSE_NO_MEMORY, "out of memory");
    if (again != 0)
        *asking->verdict =
            (struct sb_verdict){ .cause = asking->verdict->cause, .text = asking->verdict->text };
    if (again > 0) {
        *ret_again = job;
        return false;
    }
    if (asking->verdict->existing)
        asking->verdict->ended = job;
    else
        sb_job_free(job);
    return true;
}

/* When it cannot be told, it is taken for new. */
bool sb_asking_repeats(const struct sb_asking *asking)
{
    const struct sb_request *request = asking->request;
    int64_t n = 0;
    sb_cleanup(sb_freep) char *key =
        request->key || request->external_id ? sb_asking_key(asking) : NULL;
    if (!key)
        return false;
    return sb_book_same(asking->intake->book, asking->origin, key) ||
           sb_book_recent_same(asking->intake->book, asking->origin, key) ||
           (sb_store_count(asking->intake->store,
                           &(struct sb_query){
                               .table = SB_TABLE_JOB, .a = asking->origin, .b = key, .state = -1 },
                           &n) == 0 &&
            n > 0);
}

bool sb_asking_known(struct sb_asking *asking, const char *key, struct sb_job **ret_again)
{
    struct sb_intake *intake = asking->intake;
    struct sb_job *job = sb_book_same(intake->book, asking->origin, key);
    *ret_again = NULL;
    if (job) {
        (void)equals(asking, job);
        return true;
    }
    if (strncmp(key, "id:", 3) != 0)
        return false; /* a wish may be wished again */
    job = sb_book_recent_same(intake->book, asking->origin, key);
    if (job)
        return ends(asking, job->id);
    int r = sb_book_stored(intake->book,
                           &(struct sb_query){ .table = SB_TABLE_JOB,
                                               .a = asking->origin,
                                               .b = key,
                                               .state = -1,
                                               .newest_first = true,
                                               .limit = 1 },
                           &job);
    if (r < 0) {
        (void)sb_refuse(asking, SB_CAUSE_INTERNAL, "cannot look up the id: %s", strerror(-r));
        return true;
    }
    return job && knows_ended(asking, job, ret_again);
}

/* ---- a new round ---- */

int sb_intake_add(struct sb_intake *intake, struct sb_job *job, const char *actor)
{
    int64_t id = job->id;
    int r = sb_book_add(intake->book, job, actor);
    const struct sb_job *added = r >= 0 ? sb_book_job(intake->book, id) : NULL;
    for (size_t i = 0; added && i < added->task_count; i++)
        if (added->tasks[i]->artifact && !sb_task_state_is_final(added->tasks[i]->state))
            sb_depot_pin(intake->packages, added->tasks[i]->artifact);
    sb_runner_wake(intake->runner);
    return r;
}

static int make_round(struct sb_intake *intake, const struct sb_job *job, const struct sb_task *old,
                      bool held, struct sb_task **ret)
{
    bool staged = sb_op_is_firmware(job->op) && !job->package;
    const struct sb_device *device = sb_registry_get(intake->registry, old->device);
    sb_cleanup(sb_task_freep) struct sb_task *task = calloc(1, sizeof(*task));
    if (!task || sb_set_string(&task->device, old->device) < 0 ||
        sb_set_string(&task->uuid, device ? device->uuid : NULL) < 0 ||
        sb_set_string(&task->module, old->module) < 0 ||
        sb_set_string(&task->target_version, old->target_version) < 0 ||
        sb_set_string(&task->artifact, staged ? old->artifact : NULL) < 0)
        return -ENOMEM;
    task->id = sb_book_next_task(intake->book);
    task->round = old->round + 1;
    task->state = held ? SB_TASK_HELD : SB_TASK_QUEUED;
    task->created = sb_loop_wall(intake->loop);
    *ret = SB_STEAL(task);
    return 0;
}

static int add_round(struct sb_intake *intake, struct sb_job *job, const struct sb_task *old,
                     bool held)
{
    sb_cleanup(sb_task_freep) struct sb_task *task = NULL;
    int r = make_round(intake, job, old, held, &task);
    if (r >= 0)
        r = sb_job_add_task(job, task);
    if (r >= 0)
        SB_STEAL(task);
    return r;
}

int sb_intake_reopen(struct sb_intake *intake, struct sb_job *given, bool held, const char *actor)
{
    sb_cleanup(sb_job_freep) struct sb_job *job = given;
    size_t before = job->task_count, count = 0;
    sb_cleanup(sb_freep) bool *list = find_to_do(intake, job, &count);
    int r = list ? 0 : -ENOMEM;
    if (list && !count)
        return -ENODATA;
    if (list && !sb_intake_has_room(intake, 1, count))
        return -ENOBUFS;
    for (size_t i = 0; i < before && r >= 0; i++)
        if (list[i])
            r = add_round(intake, job, job->tasks[i], held);
    if (r < 0)
        return r;
    job->ended = 0;
    job->state = SB_JOB_ACTIVE;
    return sb_intake_add(intake, SB_STEAL(job), actor);
}

/* A rule does not end: what failed is tried again while it is on. */
static int retry_open(struct sb_intake *intake, struct sb_job *job, const char *actor)
{
    size_t before = job->task_count, count = 0;
    sb_cleanup(sb_freep) bool *list = find_to_do(intake, job, &count);
    int r = list ? 0 : -ENOMEM;
    if (list && !count)
        return -ENODATA;
    if (list && !sb_intake_has_room(intake, 0, count))
        return -ENOBUFS;
    for (size_t i = 0; i < before && r >= 0; i++) {
        struct sb_task *task = NULL;
        if (!list[i])
            continue;
        r = make_round(intake, job, job->tasks[i], false, &task);
        if (r >= 0)
            r = sb_book_add_task(intake->book, job, task, actor);
    }
    sb_runner_wake(intake->runner);
    return r;
}

/* Who orders it lets it go by that, also what was to be held. */
int sb_intake_retry(struct sb_intake *intake, int64_t id, const char *actor)
{
    struct sb_job *job;
    if (sb_store_failing(intake->store))
        return -EAGAIN;
    if (!sb_space_look(intake->space, NULL))
        return -ENOSPC;
    job = sb_book_job(intake->book, id);
    if (job && job->rule)
        return retry_open(intake, job, actor);
    int r = sb_intake_ended(intake, id, &job);
    return r < 0 ? r : sb_intake_reopen(intake, job, false, actor);
}
