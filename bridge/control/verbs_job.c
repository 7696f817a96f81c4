/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/control/verb.h"

#include "bridge/base/str.h"
#include "bridge/base/time.h"

#define LIST_DEFAULT 50
#define LIST_MAX     1000
/* A job on more tasks shows no transcripts and no words: the answer must fit. `device show` and
 * `mapping explain` have them. */
#define DETAILS_MAX 16

/* ---- views ---- */

/* {name: number}, of what there is. */
static json_t *view_numbers(const struct sb_names *names, const uint32_t *numbers, int count)
{
    json_t *object = json_object();
    for (int i = 0; object && i < count; i++)
        if (numbers[i] && sb_json_put_int(object, sb_names_get(names, i), numbers[i]) < 0)
            break;
    return object;
}

/* How far it is, and how it ended. */
static void add_sum(const struct sb_job *job, const struct sb_job_counts *counts, json_t *object)
{
    enum sb_task_state worst = counts->state[SB_TASK_FAILED]      ? SB_TASK_FAILED
                               : counts->state[SB_TASK_CANCELLED] ? SB_TASK_CANCELLED
                                                                  : SB_TASK_SUCCEEDED;
    (void)json_object_set_new(object, "devices", json_integer(counts->total));
    (void)json_object_set_new(object, "percent", json_integer(counts->percent));
    if (job->state == SB_JOB_DONE)
        (void)json_object_set_new(object, "outcome", json_string(sb_task_state_name((int)worst)));
    if (counts->total == 1)
        (void)json_object_set_new(object, "device", json_string(job->tasks[0]->device));
}

/* Of each device the last round. */
static void add_counts(const struct sb_job *job, json_t *object)
{
    struct sb_job_counts counts;
    if (sb_job_count(job, &counts) < 0)
        return;
    counts.cause[SB_CAUSE_NONE] = 0; /* the successes */
    (void)json_object_set_new(object, "counts",
                              view_numbers(&sb_task_state_names, counts.state, SB_TASK_STATE_MAX_));
    json_t *causes = view_numbers(&sb_cause_names, counts.cause, SB_CAUSE_MAX_);
    if (json_object_size(causes))
        (void)json_object_set(object, "causes", causes);
    json_decref(causes);
    add_sum(job, &counts, object);
}

static json_t *task_cell(const struct sb_words *words, const struct sb_task *task)
{
    return (json_t *)sb_words_cell(words, SB_ROLE_SENDS, task->job->op, task->state, task->cause,
                                   task->phase);
}

/* As a task reads now in each dialect: {dialect: cell}. */
static json_t *view_words(const struct sb_host *host, const struct sb_task *task)
{
    const struct sb_door *door;
    const struct sb_words *words;
    json_t *object = json_object();
    for (size_t i = 0; object && (door = sb_host_door_at(host, i)); i++)
        (void)json_object_set(object, door->ops->dialect, task_cell(door->words, task));
    for (size_t i = 0; object && (words = sb_host_spare_at(host, i)); i++)
        (void)json_object_set(object, sb_words_dialect(words), task_cell(words, task));
    return object;
}

static void add_details(const struct sb_host *host, const struct sb_job *job,
                        const struct sb_task *task, json_t *object)
{
    if (job->task_count > DETAILS_MAX)
        (void)json_object_del(object, "transcript");
    else
        (void)json_object_set_new(object, "words", view_words(host, task));
}

/* host: for the tasks; NULL: without them. */
static json_t *view(const struct sb_job *job, const struct sb_host *host)
{
    json_t *object = sb_job_json(job);
    json_t *tasks = host ? json_array() : NULL;
    if (!object)
        return NULL;
    for (size_t i = 0; tasks && i < job->task_count; i++) {
        json_t *task = sb_task_json(job->tasks[i]);
        if (task)
            add_details(host, job, job->tasks[i], task);
        (void)json_array_append_new(tasks, task);
    }
    if (tasks)
        (void)json_object_set_new(object, "tasks", tasks);
    add_counts(job, object);
    return object;
}

json_t *sb_view_job(struct sb_core *core, int64_t id, bool with_tasks)
{
    const struct sb_job *known = sb_book_job(core->book, id);
    const struct sb_host *host = with_tasks ? core->host : NULL;
    sb_cleanup(sb_job_freep) struct sb_job *job = NULL;
    if (!known)
        known = sb_book_recent(core->book, id);
    if (known)
        return view(known, host);
    const struct sb_query which = { .table = SB_TABLE_JOB, .id = id, .state = -1 };
    if (id <= 0 || sb_book_stored(core->book, &which, &job) < 0 || !job)
        return NULL;
    return view(job, host);
}

/* ---- show, list, watch ---- */

int sb_verb_job_show(struct sb_call *call)
{
    call->data = sb_view_job(call->core, sb_call_id(call), true);
    return call->data ? 0
                      : sb_call_refuse(call, SB_REFUSAL_NOT_FOUND, "there is no job %lld",
                                       (long long)sb_call_id(call));
}

int sb_verb_job_watch(struct sb_call *call)
{
    if (sb_verb_job_show(call) < 0)
        return -1;
    json_decref(SB_STEAL(call->data));
    call->watch = sb_call_id(call);
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
            (void)json_array_append_new(call->data, view(job, NULL));
    return 0;
}

/* ---- create ---- */

/* Durations arrive as texts ("90s"), the way a person writes them. */
int sb_call_policy(struct sb_call *call, json_t **ret)
{
    static const char *const durations[] = { "retry_interval", "online_timeout", "answer_timeout",
                                             "run_timeout", "whole_timeout" };
    static const char *const stamps[] = { "start_at", "end_at" };
    sb_cleanup(json_decrefp) json_t *given = json_deep_copy(sb_json_object(call->args, "policy"));
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
    *ret = SB_STEAL(given);
    return 0;
}

/* Times at which nothing would ever begin; an id may be of a request whose time has passed since.
 */
static int check_times(struct sb_call *call, const struct sb_policy *policy)
{
    int64_t now = sb_loop_wall(call->core->parts.loop);
    bool passed = now >= SB_CLOCK_UNSET_BEFORE && policy->end_at <= now;
    if (policy->end_at && policy->end_at <= policy->start_at)
        return sb_call_refuse(
            call, SB_REFUSAL_USAGE,
            "it could never begin: end_at (--until) is not after start_at (--at)");
    if (policy->end_at && passed && !sb_json_str(call->args, "id"))
        return sb_call_refuse(call, SB_REFUSAL_USAGE,
                              "it could never begin: end_at (--until) has passed already");
    return 0;
}

/* Left out there is none, which may be the contrary of what 0 was to say. */
static int check_timeouts(struct sb_call *call, const json_t *given)
{
    static const struct {
        const char *key, *option;
    } timeouts[] = { { "online_timeout", "online-timeout" },
                     { "answer_timeout", "answer-timeout" },
                     { "run_timeout", "run-timeout" },
                     { "whole_timeout", "timeout" } };
    for (size_t i = 0; i < SB_COUNT(timeouts); i++)
        if (sb_json_int(given, timeouts[i].key, 1) == 0)
            return sb_call_refuse(call, SB_REFUSAL_USAGE,
                                  "%s (--%s) must be more than 0; for none leave it out",
                                  timeouts[i].key, timeouts[i].option);
    return 0;
}

static int read_policy(struct sb_call *call, struct sb_policy *ret)
{
    sb_cleanup(json_decrefp) json_t *given = NULL;
    sb_cleanup(sb_freep) char *error = NULL;
    if (sb_call_policy(call, &given) < 0 || check_timeouts(call, given) < 0)
        return -1;
    if (sb_policy_from_json(given, ret, &error) < 0)
        return sb_call_refuse(call, SB_REFUSAL_USAGE, "policy: %s", error ? error : "not usable");
    if (check_times(call, ret) == 0)
        return 0;
    sb_policy_done(ret);
    return -1;
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
    if (verdict.cause == SB_CAUSE_NONE && request->policy.answer == SB_ANSWER_FINAL) {
        call->watch = verdict.job; /* the answer is how it ends */
        call->quiet = true;
    }
    sb_verdict_done(&verdict);
    return r;
}

/* Whom it is for, beyond the devices that are named; borrows. */
static int read_targets(struct sb_call *call, struct sb_targets *ret)
{
    static const char *const keys[] = { "groups", "types" };
    json_t **const slots[] = { &ret->groups, &ret->types };
    int64_t sample = sb_json_int(call->args, "sample", 0);
    for (size_t k = 0; k < SB_COUNT(keys); k++) {
        size_t i;
        json_t *item;
        *slots[k] = json_object_get(call->args, keys[k]);
        json_array_foreach (*slots[k], i, item)
            if (!json_is_string(item))
                return sb_call_refuse(call, SB_REFUSAL_USAGE, "%s is a list of names", keys[k]);
    }
    if (json_object_get(call->args, "sample") && (sample < 1 || sample > 100))
        return sb_call_refuse(call, SB_REFUSAL_USAGE, "sample is a percentage, 1 to 100");
    ret->sample = (uint8_t)sample;
    ret->versions = (char *)sb_json_str(call->args, "running");
    return 0;
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
    struct sb_targets targets = { 0 };
    struct sb_request request = { .caller = call->actor,
                                  .external_id = sb_json_str(call->args, "id"),
                                  .op = (enum sb_op)op,
                                  .devices = ids,
                                  .device_count = count,
                                  .targets = &targets,
                                  .rule = sb_json_bool(call->args, "rule", false),
                                  .tags = sb_json_object(call->args, "tags"),
                                  .params = sb_json_object(call->args, "params"),
                                  .package = spec,
                                  .package_id = sb_json_str(call->args, "package") };
    for (size_t i = 0; ids && i < count; i++) {
        ids[i] = json_string_value(json_array_get(devices, i));
        if (!ids[i])
            return sb_call_refuse(call, SB_REFUSAL_USAGE, "devices is a list of ids");
    }
    if (!ids || read_targets(call, &targets) < 0 || read_policy(call, &request.policy) < 0)
        return -1;
    int r = submit(call, &request);
    sb_policy_done(&request.policy);
    return r;
}
