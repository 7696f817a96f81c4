/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/base/str.h"
#include "bridge/job/job.h"

/* One table per record serves both directions; what is zero is not written. */
enum kind { I64, U32, MINUTE, DAYS, PERCENT, BOOL, TEXT, NAME, OBJECT, LIST, BITS };

struct member {
    const char *key;
    size_t offset;
    const struct sb_names *names;
    enum kind kind;
    bool required;
};

#define AT(type, field) offsetof(struct type, field)
#define END                                                                                        \
    {                                                                                              \
        NULL, 0, NULL, I64, false                                                                  \
    }

static const struct member policy_members[] = {
    { "start", AT(sb_policy, start), &sb_start_names, NAME, false },
    { "start_at", AT(sb_policy, start_at), NULL, I64, false },
    { "end_at", AT(sb_policy, end_at), NULL, I64, false },
    { "window_from", AT(sb_policy, window.from_minute), NULL, MINUTE, false },
    { "window_to", AT(sb_policy, window.to_minute), NULL, MINUTE, false },
    { "window_days", AT(sb_policy, window.days), NULL, DAYS, false },
    { "window_zone", AT(sb_policy, window.zone), NULL, TEXT, false },
    { "pull", AT(sb_policy, pull), NULL, BOOL, false },
    { "hold", AT(sb_policy, hold), NULL, BOOL, false },
    { "rate_per_minute", AT(sb_policy, rate_per_minute), NULL, U32, false },
    { "concurrency", AT(sb_policy, concurrency), NULL, U32, false },
    { "retries", AT(sb_policy, retries), NULL, U32, false },
    { "retry_interval", AT(sb_policy, retry_interval), NULL, I64, false },
    { "retry_causes", AT(sb_policy, retry_causes), &sb_cause_names, BITS, false },
    { "online_timeout", AT(sb_policy, online_timeout), NULL, I64, false },
    { "answer_timeout", AT(sb_policy, answer_timeout), NULL, I64, false },
    { "run_timeout", AT(sb_policy, run_timeout), NULL, I64, false },
    { "whole_timeout", AT(sb_policy, whole_timeout), NULL, I64, false },
    { "conflict", AT(sb_policy, conflict), &sb_conflict_names, NAME, false },
    { "answer", AT(sb_policy, answer), &sb_answer_names, NAME, false },
    { "allow_downgrade", AT(sb_policy, allow_downgrade), NULL, BOOL, false },
    { "source_versions", AT(sb_policy, source_versions), NULL, TEXT, false },
    END,
};

static const struct member targets_members[] = {
    { "devices", AT(sb_targets, devices), NULL, LIST, false },
    { "groups", AT(sb_targets, groups), NULL, LIST, false },
    { "types", AT(sb_targets, types), NULL, LIST, false },
    { "versions", AT(sb_targets, versions), NULL, TEXT, false },
    { "sample", AT(sb_targets, sample), NULL, PERCENT, false },
    END,
};

static const struct member job_members[] = {
    { "id", AT(sb_job, id), NULL, I64, true },
    { "origin", AT(sb_job, origin), NULL, TEXT, true },
    { "caller", AT(sb_job, caller), NULL, TEXT, false },
    { "external_id", AT(sb_job, external_id), NULL, TEXT, false },
    { "key", AT(sb_job, key), NULL, TEXT, false },
    { "package", AT(sb_job, package), NULL, TEXT, false },
    { "operation", AT(sb_job, op), &sb_op_names, NAME, true },
    { "params", AT(sb_job, params), NULL, OBJECT, false },
    { "state", AT(sb_job, state), &sb_job_state_names, NAME, true },
    { "standing", AT(sb_job, standing), NULL, BOOL, false },
    { "rule", AT(sb_job, rule), NULL, BOOL, false },
    { "tags", AT(sb_job, tags), NULL, OBJECT, false },
    { "created", AT(sb_job, created), NULL, I64, false },
    { "ended", AT(sb_job, ended), NULL, I64, false },
    END,
};

static const struct member task_members[] = {
    { "id", AT(sb_task, id), NULL, I64, true },
    { "device", AT(sb_task, device), NULL, TEXT, true },
    { "uuid", AT(sb_task, uuid), NULL, TEXT, false },
    { "module", AT(sb_task, module), NULL, TEXT, false },
    { "round", AT(sb_task, round), NULL, U32, false },
    { "state", AT(sb_task, state), &sb_task_state_names, NAME, true },
    { "cancel_from", AT(sb_task, cancel_from), &sb_task_state_names, NAME, false },
    { "reason", AT(sb_task, reason), &sb_reason_names, NAME, false },
    { "phase", AT(sb_task, phase), &sb_phase_names, NAME, false },
    { "cause", AT(sb_task, cause), &sb_cause_names, NAME, false },
    { "cancel_cause", AT(sb_task, cancel_cause), &sb_cause_names, NAME, false },
    { "attempt", AT(sb_task, attempt), NULL, U32, false },
    { "percent", AT(sb_task, percent), NULL, PERCENT, false },
    { "furthest_percent", AT(sb_task, furthest_percent), NULL, PERCENT, false },
    { "furthest", AT(sb_task, furthest), &sb_task_state_names, NAME, false },
    { "committed", AT(sb_task, committed), NULL, BOOL, false },
    { "asked", AT(sb_task, asked), NULL, BOOL, false },
    { "heard", AT(sb_task, heard), NULL, BOOL, false },
    { "started", AT(sb_task, started), NULL, BOOL, false },
    { "text", AT(sb_task, text), NULL, TEXT, false },
    { "target_version", AT(sb_task, target_version), NULL, TEXT, false },
    { "verified", AT(sb_task, verified), &sb_verify_names, NAME, false },
    { "artifact", AT(sb_task, artifact), NULL, TEXT, false },
    { "transcript", AT(sb_task, transcript), NULL, TEXT, false },
    { "native_dialect", AT(sb_task, native.dialect), NULL, TEXT, false },
    { "native_vocabulary", AT(sb_task, native.vocabulary), NULL, TEXT, false },
    { "native_code", AT(sb_task, native.code), NULL, TEXT, false },
    { "native_text", AT(sb_task, native.text), NULL, TEXT, false },
    { "result", AT(sb_task, result), NULL, OBJECT, false },
    { "checkpoint", AT(sb_task, checkpoint), NULL, OBJECT, false },
    { "created", AT(sb_task, created), NULL, I64, false },
    { "sent", AT(sb_task, sent), NULL, I64, false },
    { "ended", AT(sb_task, ended), NULL, I64, false },
    { "spent_queued", AT(sb_task, spent_queued), NULL, I64, false },
    { "spent_offline", AT(sb_task, spent_offline), NULL, I64, false },
    { "spent_sent", AT(sb_task, spent_sent), NULL, I64, false },
    { "spent_run", AT(sb_task, spent_run), NULL, I64, false },
    { "spent_whole", AT(sb_task, spent_whole), NULL, I64, false },
    { "spent_artifact", AT(sb_task, spent_artifact), NULL, I64, false },
    { "retry_left", AT(sb_task, retry_left), NULL, I64, false },
    END,
};

static int64_t get_number(const struct member *member, const void *at)
{
    switch (member->kind) {
    case I64:
        return *(const int64_t *)at;
    case U32:
        return *(const uint32_t *)at;
    case MINUTE:
        return *(const int16_t *)at;
    case DAYS:
    case PERCENT:
        return *(const uint8_t *)at;
    case BOOL:
        return *(const bool *)at;
    default:
        return *(const int *)at;
    }
}

static json_t *bits_json(const struct sb_names *names, uint64_t bits)
{
    sb_cleanup(json_decrefp) json_t *list = json_array();
    for (int i = 0; list && i < names->count; i++)
        if (((bits >> i) & 1) && json_array_append_new(list, json_string(names->names[i])) < 0)
            return NULL;
    return SB_STEAL(list);
}

static bool is_zero(const struct member *member, const void *at)
{
    switch (member->kind) {
    case TEXT:
    case OBJECT:
    case LIST:
        return *(void *const *)at == NULL;
    case BITS:
        return *(const uint64_t *)at == 0;
    default:
        return get_number(member, at) == 0;
    }
}

static json_t *member_json(const struct member *member, const void *at)
{
    switch (member->kind) {
    case TEXT:
        return sb_json_string(*(char *const *)at);
    case OBJECT:
    case LIST:
        return json_incref(*(json_t *const *)at);
    case BITS:
        return bits_json(member->names, *(const uint64_t *)at);
    case NAME:
        return json_string(sb_names_get(member->names, (int)get_number(member, at)));
    case BOOL:
        return json_true();
    default:
        return json_integer(get_number(member, at));
    }
}

static json_t *record_json(const struct member *members, const void *record)
{
    sb_cleanup(json_decrefp) json_t *object = json_object();
    for (const struct member *m = members; object && m->key; m++) {
        const void *at = (const char *)record + m->offset;
        bool absent = is_zero(m, at) && (!m->required || m->kind == TEXT);
        if (!absent && json_object_set_new(object, m->key, member_json(m, at)) < 0)
            return NULL;
    }
    return SB_STEAL(object);
}

#define I64_MAX (INT64_C(1) << 53) /* beyond it, readers of JSON lose digits, and sums overflow */

static const int64_t most[] = {
    [I64] = I64_MAX, [U32] = UINT32_MAX, [MINUTE] = 1439, [DAYS] = 127, [PERCENT] = 100
};

static int set_number(const struct member *member, void *at, int64_t number)
{
    if (number < 0 || number > most[member->kind])
        return -EBADMSG;
    if (member->kind == I64)
        *(int64_t *)at = number;
    else if (member->kind == U32)
        *(uint32_t *)at = (uint32_t)number;
    else if (member->kind == MINUTE)
        *(int16_t *)at = (int16_t)number;
    else
        *(uint8_t *)at = (uint8_t)number;
    return 0;
}

static int set_bits(const struct sb_names *names, uint64_t *bits, const json_t *list)
{
    size_t i;
    json_t *item;
    if (!json_is_array(list))
        return -EBADMSG;
    json_array_foreach (list, i, item) {
        int bit = sb_names_find(names, json_string_value(item));
        if (bit < 0)
            return -EBADMSG;
        *bits |= UINT64_C(1) << bit;
    }
    return 0;
}

static bool is_list_of_texts(const json_t *value)
{
    size_t i;
    json_t *item;
    bool sound = json_is_array(value);
    json_array_foreach ((json_t *)value, i, item)
        sound = sound && json_is_string(item);
    return sound;
}

static int set_member(const struct member *member, void *record, json_t *value)
{
    void *at = (char *)record + member->offset;
    int named;
    switch (member->kind) {
    case TEXT:
        return json_is_string(value) ? sb_set_string(at, json_string_value(value)) : -EBADMSG;
    case OBJECT:
        if (json_is_object(value))
            *(json_t **)at = json_incref(value);
        return json_is_object(value) ? 0 : -EBADMSG;
    case LIST:
        if (!is_list_of_texts(value))
            return -EBADMSG;
        *(json_t **)at = json_incref(value);
        return 0;
    case BITS:
        return set_bits(member->names, at, value);
    case BOOL:
        *(bool *)at = json_is_true(value);
        return json_is_boolean(value) ? 0 : -EBADMSG;
    case NAME:
        named = sb_names_find(member->names, json_string_value(value));
        if (named >= 0)
            *(int *)at = named;
        return named < 0 ? -EBADMSG : 0;
    default:
        return json_is_integer(value) ? set_number(member, at, json_integer_value(value))
                                      : -EBADMSG;
    }
}

/* What a member may be: after "not a legal value for". */
static char *allowed(const struct member *member)
{
    static const char *const texts[] = {
        [BOOL] = "true or false", [TEXT] = "a text", [OBJECT] = "a map", [LIST] = "a list of texts"
    };
    const char *before = member->kind == BITS ? "a list of some of " : "one of ";
    struct sb_str text = { 0 };
    if (member->kind < SB_COUNT(most))
        return sb_format("a whole number, 0 to %lld", (long long)most[member->kind]);
    if (!member->names)
        return member->kind < SB_COUNT(texts) ? sb_format("%s", texts[member->kind]) : NULL;
    for (int i = 0; i < member->names->count; i++)
        sb_str_format(&text, "%s%s", i ? ", " : before, member->names->names[i]);
    return sb_str_take(&text);
}

static char *not_legal(const struct member *member)
{
    sb_cleanup(sb_freep) char *may_be = allowed(member);
    return sb_format("not a legal value for '%s' (%s)", member->key, may_be ? may_be : "?");
}

static int record_read(const struct member *members, const json_t *json, void *record,
                       char **ret_error)
{
    for (const struct member *m = members; m->key; m++) {
        json_t *value = json_object_get(json, m->key);
        int r = value ? set_member(m, record, value) : m->required ? -EBADMSG : 0;
        if (r == -ENOMEM)
            return r;
        if (r < 0) {
            if (ret_error)
                *ret_error = value ? not_legal(m) : sb_format("missing '%s'", m->key);
            return r;
        }
    }
    return 0;
}

static bool is_object_or_none(const char *name, const json_t *json, char **ret_error)
{
    bool sound = !json || json_is_object(json);
    if (!sound && ret_error)
        *ret_error = sb_format("'%s' is not an object", name);
    return sound;
}

json_t *sb_policy_json(const struct sb_policy *policy)
{
    return record_json(policy_members, policy);
}

static const struct member *find_member(const struct member *members, const char *key)
{
    for (const struct member *m = members; m->key; m++)
        if (sb_streq(m->key, key))
            return m;
    return NULL;
}

bool sb_policy_has(const char *name)
{
    return name && find_member(policy_members, name) != NULL;
}

/* What may change while the job is open. */
static const char *const editable[] = { "rate_per_minute", "concurrency", "online_timeout",
                                        "answer_timeout",  "run_timeout", "whole_timeout" };

static bool is_editable(const char *name)
{
    for (size_t i = 0; i < SB_COUNT(editable); i++)
        if (strcmp(editable[i], name) == 0)
            return true;
    return false;
}

static char *editable_names(void)
{
    struct sb_str text = { 0 };
    for (size_t i = 0; i < SB_COUNT(editable); i++)
        sb_str_format(&text, "%s%s", i ? ", " : "", editable[i]);
    return sb_str_take(&text);
}

int sb_policy_edit(struct sb_policy *policy, const json_t *changes, char **ret_error)
{
    struct sb_policy edited = *policy; /* what may change are numbers: nothing is owned twice */
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)changes, key, value) {
        const struct member *m = find_member(policy_members, key);
        sb_cleanup(sb_freep) char *names = m && is_editable(key) ? NULL : editable_names();
        if (names || !m || set_member(m, &edited, value) < 0) {
            *ret_error = names ? sb_format("'%s' cannot be changed once the job is there; what can "
                                           "is: %s",
                                           key, names)
                         : m   ? not_legal(m)
                               : NULL;
            return -EBADMSG;
        }
    }
    *policy = edited;
    return 0;
}

json_t *sb_targets_json(const struct sb_targets *targets)
{
    return record_json(targets_members, targets);
}

int sb_targets_from_json(const json_t *json, struct sb_targets *ret, char **ret_error)
{
    struct sb_targets targets = { 0 };
    if (!is_object_or_none("targets", json, ret_error))
        return -EBADMSG;
    int r = record_read(targets_members, json, &targets, ret_error);
    if (r < 0)
        sb_targets_done(&targets);
    else
        *ret = targets;
    return r;
}

int sb_policy_from_json(const json_t *json, struct sb_policy *ret, char **ret_error)
{
    struct sb_policy policy = { 0 };
    if (!is_object_or_none("policy", json, ret_error))
        return -EBADMSG;
    int r = record_read(policy_members, json, &policy, ret_error);
    if (r < 0) {
        sb_policy_done(&policy);
        return r;
    }
    *ret = policy;
    return 0;
}

json_t *sb_job_json(const struct sb_job *job)
{
    sb_cleanup(json_decrefp) json_t *object = record_json(job_members, job);
    sb_cleanup(json_decrefp) json_t *policy = sb_policy_json(&job->policy);
    sb_cleanup(json_decrefp) json_t *targets = sb_targets_json(&job->targets);
    if (!object || !policy || !targets || json_object_set(object, "policy", policy) < 0 ||
        (json_object_size(targets) && json_object_set(object, "targets", targets) < 0))
        return NULL;
    return SB_STEAL(object);
}

int sb_job_from_json(const json_t *json, struct sb_job **ret, char **ret_error)
{
    sb_cleanup(sb_job_freep) struct sb_job *job = calloc(1, sizeof(*job));
    if (!job)
        return -ENOMEM;
    int r = record_read(job_members, json, job, ret_error);
    if (r >= 0)
        r = sb_policy_from_json(json_object_get(json, "policy"), &job->policy, ret_error);
    if (r >= 0)
        r = sb_targets_from_json(json_object_get(json, "targets"), &job->targets, ret_error);
    if (r < 0)
        return r;
    *ret = SB_STEAL(job);
    return 0;
}

json_t *sb_task_json(const struct sb_task *task)
{
    sb_cleanup(json_decrefp) json_t *object = record_json(task_members, task);
    if (!object || json_object_set_new(object, "job", json_integer(task->job->id)) < 0)
        return NULL;
    /* That nothing was read back is worth saying. */
    if (task->state == SB_TASK_SUCCEEDED &&
        sb_json_put_str(object, "verified", sb_verify_name((int)task->verified)) < 0)
        return NULL;
    return SB_STEAL(object);
}

int sb_task_from_json(const json_t *json, struct sb_job *job, struct sb_task **ret,
                      char **ret_error)
{
    sb_cleanup(sb_task_freep) struct sb_task *task = calloc(1, sizeof(*task));
    if (!task)
        return -ENOMEM;
    int r = record_read(task_members, json, task, ret_error);
    if (r >= 0 && !task->module)
        r = sb_set_string(&task->module, "");
    if (r < 0)
        return r;
    task->job = job;
    *ret = SB_STEAL(task);
    return 0;
}
