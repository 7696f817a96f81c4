/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/control/verb.h"

#include "bridge/base/map.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"

#define LIST_DEFAULT 50
#define LIST_MAX     1000

/* ---- views ---- */

static json_t *view_counts(const struct sb_job *job)
{
    struct sb_job_counts counts;
    json_t *object = json_object();
    sb_job_count(job, &counts);
    for (int i = 0; object && i < SB_TASK_STATE_MAX_; i++)
        if (counts.state[i] && sb_json_put_int(object, sb_task_state_name(i), counts.state[i]) < 0)
            break;
    return object;
}

/* Of each device and module the latest round counts. */
static bool is_latest(const struct sb_job *job, const struct sb_map *rounds, size_t i)
{
    const struct sb_task *task = job->tasks[i];
    sb_cleanup(sb_freep) char *key = sb_format("%s\n%s", task->device, task->module);
    return !key || sb_map_get(rounds, key) == task;
}

/* device and module -> the task of the latest round; empty when there is one round only. */
static void find_latest(const struct sb_job *job, struct sb_map *ret)
{
    bool again = false;
    for (size_t i = 0; i < job->task_count; i++)
        again |= job->tasks[i]->round > 1;
    for (size_t i = 0; again && i < job->task_count; i++) {
        struct sb_task *task = job->tasks[i];
        sb_cleanup(sb_freep) char *key = sb_format("%s\n%s", task->device, task->module);
        const struct sb_task *there = key ? sb_map_get(ret, key) : NULL;
        if (key && (!there || there->round < task->round) && sb_map_set(ret, key, task) < 0)
            return;
    }
}

/* How far it is, and how it ended. */
static void add_sum(const struct sb_job *job, json_t *object)
{
    struct sb_map latest = { 0 };
    int64_t percents = 0, devices = 0;
    int worst = SB_TASK_SUCCEEDED;
    find_latest(job, &latest);
    for (size_t i = 0; i < job->task_count; i++) {
        const struct sb_task *task = job->tasks[i];
        if (latest.count && !is_latest(job, &latest, i))
            continue;
        devices++;
        percents += task->state == SB_TASK_SUCCEEDED ? 100 : task->percent;
        if (task->state == SB_TASK_FAILED || worst == SB_TASK_SUCCEEDED)
            worst = (int)task->state;
    }
    sb_map_done(&latest);
    (void)json_object_set_new(object, "devices", json_integer(devices));
    (void)json_object_set_new(object, "percent", json_integer(devices ? percents / devices : 0));
    if (job->state == SB_JOB_DONE)
        (void)json_object_set_new(object, "outcome", json_string(sb_task_state_name(worst)));
    if (devices == 1)
        (void)json_object_set_new(object, "device", json_string(job->tasks[0]->device));
}

static json_t *view(const struct sb_job *job, bool with_tasks)
{
    json_t *object = sb_job_json(job);
    json_t *tasks = with_tasks ? json_array() : NULL;
    if (!object)
        return NULL;
    for (size_t i = 0; tasks && i < job->task_count; i++)
        (void)json_array_append_new(tasks, sb_task_json(job->tasks[i]));
    if (tasks)
        (void)json_object_set_new(object, "tasks", tasks);
    (void)json_object_set_new(object, "counts", view_counts(job));
    add_sum(job, object);
    return object;
}

static int read_job(void *arg, const struct sb_row *row)
{
    return sb_job_from_json(row->body, arg, NULL);
}

static int read_task(void *arg, const struct sb_row *row)
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

static int read_tasks(struct sb_core *core, struct sb_job *job)
{
    sb_cleanup(sb_freep) char *id = sb_format("%lld", (long long)job->id);
    return id ? sb_store_query(core->store,
                               &(struct sb_query){ .table = SB_TABLE_TASK, .b = id, .state = -1 },
                               read_task, job)
              : -ENOMEM;
}

json_t *sb_view_job(struct sb_core *core, int64_t id, bool with_tasks)
{
    const struct sb_job *known = sb_book_job(core->book, id);
    sb_cleanup(sb_job_freep) struct sb_job *job = NULL;
    if (!known)
        known = sb_book_recent(core->book, id);
    if (known)
        return view(known, with_tasks);
    int r = id > 0
                ? sb_store_query(core->store,
                                 &(struct sb_query){ .table = SB_TABLE_JOB, .id = id, .state = -1 },
                                 read_job, &job)
                : -ENOENT;
    if (r < 0 || !job || read_tasks(core, job) < 0)
        return NULL;
    return view(job, with_tasks);
}

static int64_t id_of(struct sb_call *call)
{
    return sb_json_int(call->args, "id", 0);
}

/* ---- show, list, watch ---- */

int sb_verb_job_show(struct sb_call *call)
{
    call->data = sb_view_job(call->core, id_of(call), true);
    return call->data ? 0
                      : sb_call_refuse(call, SB_REFUSAL_NOT_FOUND, "there is no job %lld",
                                       (long long)id_of(call));
}

int sb_verb_job_watch(struct sb_call *call)
{
    if (sb_verb_job_show(call) < 0)
        return -1;
    json_decref(SB_STEAL(call->data));
    call->watch = id_of(call);
    return 0;
}

static bool concerns(const struct sb_job *job, const char *device)
{
    if (!device)
        return true;
    for (size_t i = 0; i < job->task_count; i++)
        if (strcmp(job->tasks[i]->device, device) == 0)
            return true;
    return false;
}

/* The jobs of a page: numbers first, the jobs when the query has ended. */
struct page {
    int64_t *ids;
    size_t count, limit;
    int64_t before; /* 0: from the newest */
};

static int note_job(struct page *page, int64_t id)
{
    for (size_t i = 0; i < page->count; i++)
        if (page->ids[i] == id)
            return 0; /* by another task of it */
    if (!page->before || id < page->before)
        page->ids[page->count++] = id;
    return page->count == page->limit;
}

static int take_job(void *arg, const struct sb_row *row)
{
    return note_job(arg, row->id);
}

static int take_task(void *arg, const struct sb_row *row)
{
    return note_job(arg, row->b ? strtoll(row->b, NULL, 10) : 0);
}

static int list_stored(struct sb_call *call, const char *device, size_t limit)
{
    struct page page = { .limit = limit, .before = sb_json_int(call->args, "before", 0) };
    struct sb_query query = { .table = device ? SB_TABLE_TASK : SB_TABLE_JOB,
                              .a = device,
                              .state = -1,
                              .after_id = device ? 0 : page.before,
                              .newest_first = true };
    sb_cleanup(sb_freep) int64_t *ids = page.ids = calloc(limit, sizeof(*ids));
    int r = ids ? sb_store_query(call->core->store, &query, device ? take_task : take_job, &page)
                : -ENOMEM;
    if (r < 0)
        return sb_call_failed(call, r, "job list");
    for (size_t i = 0; i < page.count; i++)
        (void)json_array_append_new(call->data, sb_view_job(call->core, ids[i], false));
    return 0;
}

int sb_verb_job_list(struct sb_call *call)
{
    const char *device = sb_json_str(call->args, "device");
    int64_t limit = sb_json_int(call->args, "limit", LIST_DEFAULT);
    if (limit < 1 || limit > LIST_MAX)
        return sb_call_refuse(call, SB_REFUSAL_USAGE, "limit is 1 to %d", LIST_MAX);
    call->data = json_array();
    if (sb_json_bool(call->args, "all", false))
        return list_stored(call, device, (size_t)limit);
    const struct sb_job *job;
    for (size_t i = 0; (job = sb_book_job_at(call->core->book, i)); i++)
        if (concerns(job, device) && json_array_size(call->data) < (size_t)limit)
            (void)json_array_append_new(call->data, view(job, false));
    return 0;
}

/* ---- create ---- */

/* Durations arrive as texts ("90s"), the way a person writes them. */
static int read_policy(struct sb_call *call, struct sb_policy *ret)
{
    static const char *const durations[] = { "retry_interval", "online_timeout", "answer_timeout",
                                             "run_timeout", "whole_timeout" };
    static const char *const stamps[] = { "start_at", "end_at" };
    sb_cleanup(json_decrefp) json_t *given = json_deep_copy(sb_json_object(call->args, "policy"));
    sb_cleanup(sb_freep) char *error = NULL;
    const char *key;
    json_t *value;
    int64_t number;
    json_object_foreach (given, key, value) {
        if (!sb_policy_has(key))
            return sb_call_refuse(call, SB_REFUSAL_USAGE, "policy: there is no '%s'", key);
    }
    for (size_t i = 0; given && i < SB_COUNT(durations); i++) {
        const char *text = sb_json_str(given, durations[i]);
        if (text && sb_duration_parse(text, &number) < 0)
            return sb_call_refuse(call, SB_REFUSAL_USAGE, "%s: '%s' is not a duration (like 90s)",
                                  durations[i], text);
        if (text)
            (void)json_object_set_new(given, durations[i], json_integer(number));
    }
    for (size_t i = 0; given && i < SB_COUNT(stamps); i++) {
        const char *text = sb_json_str(given, stamps[i]);
        if (text && sb_time_from_iso8601(text, &number) < 0)
            return sb_call_refuse(call, SB_REFUSAL_USAGE,
                                  "%s: '%s' is not a time (like 2026-01-31T04:00:00Z)", stamps[i],
                                  text);
        if (text)
            (void)json_object_set_new(given, stamps[i], json_integer(number));
    }
    if (sb_policy_from_json(given, ret, &error) < 0)
        return sb_call_refuse(call, SB_REFUSAL_USAGE, "policy: %s", error ? error : "not usable");
    return 0;
}

/* A package spec from the arguments; NULL without a URI. */
static json_t *read_spec(const json_t *args)
{
    static const char *const keys[] = { "uri", "name", "version", "module", "sha256", "md5" };
    json_t *spec = sb_json_str(args, "uri") ? json_object() : NULL;
    for (size_t i = 0; spec && i < SB_COUNT(keys); i++)
        if (sb_json_put_str(spec, keys[i], sb_json_str(args, keys[i])) < 0)
            break;
    return spec;
}

static int submit(struct sb_call *call, struct sb_request *request)
{
    struct sb_verdict verdict = { 0 };
    int r = sb_intake_submit(&call->core->intake, "native", false, request, &verdict);
    if (r < 0)
        return sb_call_failed(call, r, "job create");
    if (verdict.cause != SB_CAUSE_NONE)
        r = sb_call_refuse(call, SB_REFUSAL_REFUSED, "%s: %s", sb_cause_name((int)verdict.cause),
                           verdict.text ? verdict.text : "");
    else
        call->data = json_pack("{s:I,s:b}", "id", (json_int_t)verdict.job, "existing",
                               (int)verdict.existing);
    sb_verdict_done(&verdict);
    return r;
}

int sb_verb_job_create(struct sb_call *call)
{
    const char *operation = sb_json_str(call->args, "operation");
    const json_t *devices = sb_json_array(call->args, "devices");
    size_t count = json_array_size(devices);
    int op = sb_op_from_name(operation);
    if (op < 0)
        return sb_call_refuse(call, SB_REFUSAL_USAGE, "unknown operation '%s'",
                              operation ? operation : "");
    sb_cleanup(sb_freep) const char **ids = calloc(count + 1, sizeof(*ids));
    sb_cleanup(json_decrefp) json_t *spec = read_spec(call->args);
    struct sb_request request = { .caller = call->actor,
                                  .external_id = sb_json_str(call->args, "id"),
                                  .op = (enum sb_op)op,
                                  .devices = ids,
                                  .device_count = count,
                                  .params = sb_json_object(call->args, "params"),
                                  .package = spec,
                                  .package_id = sb_json_str(call->args, "package") };
    for (size_t i = 0; ids && i < count; i++) {
        ids[i] = json_string_value(json_array_get(devices, i));
        if (!ids[i])
            return sb_call_refuse(call, SB_REFUSAL_USAGE, "devices is a list of ids");
    }
    if (!ids || read_policy(call, &request.policy) < 0)
        return -1;
    int r = submit(call, &request);
    sb_policy_done(&request.policy);
    return r;
}

/* ---- orders on tasks ---- */

static int each_task(struct sb_call *call, const char *what,
                     int (*order)(struct sb_call *call, struct sb_task *task))
{
    const struct sb_job *job = sb_book_job(call->core->book, id_of(call));
    const char *device = sb_json_str(call->args, "device");
    int done = 0, first = 0;
    if (!job)
        return sb_verb_job_show(call) < 0
                   ? -1
                   : sb_call_refuse(call, SB_REFUSAL_TOO_LATE, "job %lld has ended already",
                                    (long long)id_of(call));
    for (size_t i = 0; i < job->task_count; i++) {
        struct sb_task *task = job->tasks[i];
        if ((device && strcmp(task->device, device) != 0) || sb_task_state_is_final(task->state))
            continue;
        int r = order(call, task);
        done += r >= 0;
        first = r < 0 && !first ? r : first;
    }
    if (!done && !first)
        return sb_call_refuse(call, SB_REFUSAL_NOT_FOUND,
                              "%s: job %lld has nothing open on device '%s'", what,
                              (long long)job->id, device ? device : "");
    if (!done)
        return sb_call_failed(call, first, what);
    call->data = json_pack("{s:i}", "tasks", done);
    return 0;
}

static int cancel(struct sb_call *call, struct sb_task *task)
{
    return sb_runner_cancel(call->core->runner, task, SB_CAUSE_OPERATOR, call->actor);
}

int sb_verb_job_cancel(struct sb_call *call)
{
    return each_task(call, "job cancel", cancel);
}

static int confirm(struct sb_call *call, struct sb_task *task)
{
    return sb_runner_confirm(call->core->runner, task, call->actor);
}

int sb_verb_job_confirm(struct sb_call *call)
{
    return each_task(call, "job confirm", confirm);
}

static const char *why(struct sb_call *call)
{
    struct sb_space_view view;
    return sb_space_look(call->core->space, &view) ? "no space is left" : view.why;
}

int sb_verb_job_retry(struct sb_call *call)
{
    int r = sb_intake_retry(&call->core->intake, id_of(call), call->actor);
    if (r == -ENODATA)
        return sb_call_refuse(call, SB_REFUSAL_REFUSED, "nothing of job %lld failed",
                              (long long)id_of(call));
    if (r == -EBUSY)
        return sb_call_refuse(call, SB_REFUSAL_REFUSED, "job %lld is still open",
                              (long long)id_of(call));
    if (r == -ENOSPC)
        return sb_call_refuse(call, SB_REFUSAL_REFUSED, "no new round: %s", why(call));
    if (r < 0)
        return sb_call_failed(call, r, "job retry");
    call->data = json_pack("{s:I}", "id", (json_int_t)id_of(call));
    return 0;
}

static int set_pause(struct sb_call *call, bool paused)
{
    int r = sb_runner_pause(call->core->runner, paused);
    if (r >= 0)
        r = sb_audit_add(call->core->audit, call->actor, paused ? "pause" : "resume", "all jobs",
                         sb_loop_wall(call->core->parts.loop), NULL);
    if (r < 0)
        return sb_call_failed(call, r, paused ? "job pause" : "job resume");
    call->data = json_pack("{s:b}", "paused", (int)paused);
    return 0;
}

int sb_verb_pause(struct sb_call *call)
{
    return set_pause(call, true);
}

int sb_verb_resume(struct sb_call *call)
{
    return set_pause(call, false);
}
