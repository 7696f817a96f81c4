/* SPDX-License-Identifier: Apache-2.0 */
/* The records of jobs: their closed lists, their JSON form both ways, and versions. */
#include "bridge/base/str.h"
#include "bridge/job/job.h"
#include "bridge/job/machine.h"
#include "bridge/job/version.h"
#include "tests/test.h"

/* ---- the closed lists ---- */

SB_TEST(test_names_go_both_ways)
{
    static const struct {
        const struct sb_names *names;
        int count;
    } lists[] = {
        { &sb_op_names, 9 },      { &sb_task_state_names, 12 }, { &sb_reason_names, 12 },
        { &sb_phase_names, 9 },   { &sb_cause_names, 30 },      { &sb_job_state_names, 4 },
        { &sb_start_names, 3 },   { &sb_conflict_names, 4 },    { &sb_answer_names, 2 },
        { &sb_confirm_names, 3 }, { &sb_event_names, 12 },      { &sb_verify_names, 4 },
    };
    for (size_t i = 0; i < SB_COUNT(lists); i++) {
        const struct sb_names *names = lists[i].names;
        assert_int_equal(names->count, lists[i].count);
        for (int value = 0; value < names->count; value++) {
            const char *name = sb_names_get(names, value);
            assert_non_null(name);
            assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name));
            assert_int_equal(sb_names_find(names, name), value); /* so no two are the same */
        }
        assert_null(sb_names_get(names, -1));
        assert_null(sb_names_get(names, names->count));
        assert_int_equal(sb_names_find(names, ""), -EINVAL);
        assert_int_equal(sb_names_find(names, NULL), -EINVAL);
    }
    assert_int_equal(sb_op_from_name("firmware"), -EINVAL);
    assert_int_equal(sb_cause_from_name("Timeout"), -EINVAL);
}

SB_TEST(test_kinds_of_states_and_operations)
{
    for (int op = 0; op < SB_OP_MAX_; op++)
        assert_int_equal(sb_op_is_firmware((enum sb_op)op),
                         strncmp(sb_op_name(op), "firmware_", 9) == 0);
    for (int s = 0; s < SB_TASK_STATE_MAX_; s++) {
        bool final = s == SB_TASK_SUCCEEDED || s == SB_TASK_FAILED || s == SB_TASK_CANCELLED;
        bool waits = s == SB_TASK_HELD || s == SB_TASK_QUEUED;
        assert_int_equal(sb_task_state_is_final((enum sb_task_state)s), final);
        assert_int_equal(sb_task_state_is_under_way((enum sb_task_state)s), !final && !waits);
    }
    assert_false(sb_cause_is_transient(SB_CAUSE_INVALID));
    assert_false(sb_cause_is_transient(SB_CAUSE_MAX_));
}

/* ---- records with everything in them ---- */

/* What each record looks like when every member is set: the form that disks and scripts hold. */
static const char policy_text[] =
    "{'start':'at','start_at':1767571200000,'end_at':1767571300000,'window_from':120,"
    "'window_to':1439,'window_days':127,'window_zone':'Europe/Berlin','pull':true,'hold':true,"
    "'rate_per_minute':7,'concurrency':3,'retries':4294967295,'retry_interval':60000,"
    "'retry_causes':['busy','link_lost','internal'],'online_timeout':1,'answer_timeout':2,"
    "'run_timeout':3,'whole_timeout':9007199254740992,'conflict':'replace_uncommitted',"
    "'answer':'final','allow_downgrade':true,'source_versions':'1.0,1.1'}";

static const char job_text[] =
    "{'id':7,'origin':'north','caller':'factory','external_id':'x-1','key':'id:x-1',"
    "'package':'p-9','operation':'write','params':{'values':{'speed':42}},'state':'cancelling',"
    "'rule':true,'standing':true,'tags':{'why':'recall'},'created':1767571200000,'ended':"
    "1767571200001,"
    "'targets':{'devices':['a'],'groups':['hall'],'types':['t'],'versions':'1.0','sample':7}}";

static const char task_text[] =
    "{'id':9,'device':'pump-1','uuid':'u-1','module':'mcu','round':2,'state':'cancelling',"
    "'cancel_from':'installing','reason':'retry','phase':'writing','cause':'no_space',"
    "'cancel_cause':'overridden','attempt':3,'percent':70,'furthest_percent':100,"
    "'furthest':'restarting','committed':true,'asked':true,'heard':true,'started':true,'text':'"
    "wörtlich \\u0001',"
    "'target_version':'2.0.0','verified':'hash','artifact':'abc','native_dialect':'ibm','native_"
    "vocabulary':'fw',"
    "'native_code':'3','native_text':'full','result':{'speed':'refused'},"
    "'checkpoint':{'offset':4096},'created':1,'sent':2,'ended':3,'spent_queued':4,"
    "'spent_offline':5,'spent_sent':6,'spent_run':7,'spent_whole':8,'spent_artifact':10,'retry_"
    "left':9}";

static json_t *from_text(const char *text)
{
    sb_cleanup(sb_freep) char *copy = strdup(text);
    assert_non_null(copy);
    for (char *c = copy; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    json_t *value = json_loads(copy, 0, NULL);
    assert_non_null(value);
    return value;
}

static json_t *whole_job(void)
{
    json_t *json = from_text(job_text);
    assert_int_equal(json_object_set_new(json, "policy", from_text(policy_text)), 0);
    return json;
}

static json_t *whole_task(void)
{
    json_t *json = from_text(task_text);
    assert_int_equal(json_object_set_new(json, "job", json_integer(7)), 0);
    return json;
}

static void assert_same(const json_t *found, const json_t *wanted)
{
    sb_cleanup(sb_freep) char *a = json_dumps(found, JSON_SORT_KEYS);
    sb_cleanup(sb_freep) char *b = json_dumps(wanted, JSON_SORT_KEYS);
    assert_string_equal(a, b);
}

/* Below the version it is said, also that it is nothing at all. */
SB_TEST(test_what_a_success_was_read_from)
{
    static const enum sb_op doubtful[] = { SB_OP_FIRMWARE_INSTALL, SB_OP_FIRMWARE_UPDATE };
    struct sb_job job = { .id = 1 };
    struct sb_task task = { .job = &job, .state = SB_TASK_SUCCEEDED };
    sb_cleanup(json_decrefp) json_t *json = sb_task_json(&task);
    assert_string_equal(sb_json_str(json, "verified"), "none");
    task.state = SB_TASK_FAILED;
    sb_cleanup(json_decrefp) json_t *failed = sb_task_json(&task);
    assert_null(json_object_get(failed, "verified"));
    for (int op = 0; op < SB_OP_MAX_; op++)
        for (int verify = 0; verify < SB_VERIFY_MAX_; verify++) {
            job.op = (enum sb_op)op;
            task.verified = (enum sb_verify)verify;
            task.state = SB_TASK_SUCCEEDED;
            bool installs = job.op == doubtful[0] || job.op == doubtful[1];
            assert_int_equal(sb_task_is_unproven(&task), installs && verify < SB_VERIFY_VERSION);
            assert_non_null(sb_verify_text(task.verified));
            task.state = SB_TASK_RESTARTING;
            assert_false(sb_task_is_unproven(&task));
        }
}

SB_TEST(test_a_whole_job_comes_back)
{
    sb_cleanup(json_decrefp) json_t *json = whole_job();
    sb_cleanup(sb_job_freep) struct sb_job *job = NULL;
    assert_int_equal(sb_job_from_json(json, &job, NULL), 0);
    assert_int_equal(job->id, 7);
    assert_string_equal(job->external_id, "x-1");
    assert_int_equal(job->op, SB_OP_WRITE);
    assert_true(job->rule);
    assert_int_equal(job->policy.start, SB_START_AT);
    assert_int_equal(job->policy.window.to_minute, 1439);
    assert_int_equal(job->policy.window.days, 127);
    assert_int_equal(job->policy.retries, UINT32_MAX);
    assert_true(job->policy.retry_causes ==
                (UINT64_C(1) << SB_CAUSE_BUSY | UINT64_C(1) << SB_CAUSE_LINK_LOST |
                 UINT64_C(1) << SB_CAUSE_INTERNAL));
    assert_int_equal(job->policy.conflict, SB_CONFLICT_REPLACE_UNCOMMITTED);
    sb_cleanup(json_decrefp) json_t *again = sb_job_json(job);
    assert_same(again, json);
}

SB_TEST(test_a_whole_task_comes_back)
{
    sb_cleanup(json_decrefp) json_t *json = whole_task();
    sb_cleanup(sb_task_freep) struct sb_task *task = NULL;
    struct sb_job job = { .id = 7 };
    assert_int_equal(sb_task_from_json(json, &job, &task, NULL), 0);
    assert_ptr_equal(task->job, &job);
    assert_int_equal(job.task_count, 0);
    assert_int_equal(task->cancel_from, SB_TASK_INSTALLING);
    assert_int_equal(task->cancel_cause, SB_CAUSE_OVERRIDDEN);
    assert_int_equal(task->furthest, SB_TASK_RESTARTING);
    assert_int_equal(task->furthest_percent, 100);
    assert_string_equal(task->native.text, "full");
    assert_int_equal(task->spent_whole, 8);
    sb_cleanup(json_decrefp) json_t *again = sb_task_json(task);
    assert_same(again, json);
}

/* Of what is zero nothing is written but what a reader cannot do without. */
SB_TEST(test_empty_records_are_short)
{
    struct sb_job job = { .id = 1, .origin = (char *)"native" };
    struct sb_task task = { .id = 2, .job = &job, .device = (char *)"a", .module = (char *)"" };
    sb_cleanup(json_decrefp) json_t *one = sb_job_json(&job), *two = sb_task_json(&task);
    sb_cleanup(json_decrefp) json_t *job_wanted =
        from_text("{'id':1,'origin':'native','operation':'firmware_download','state':'planned',"
                  "'policy':{}}");
    sb_cleanup(json_decrefp) json_t *task_wanted =
        from_text("{'id':2,'device':'a','module':'','state':'held','job':1}");
    assert_same(one, job_wanted);
    assert_same(two, task_wanted);
    sb_cleanup(sb_task_freep) struct sb_task *back = NULL;
    assert_int_equal(json_object_del(two, "module"), 0);
    assert_int_equal(sb_task_from_json(two, &job, &back, NULL), 0);
    assert_string_equal(back->module, ""); /* the whole device, never NULL */
}

/* A device's text may hold any bytes; its record must be kept all the same. */
SB_TEST(test_foreign_bytes_do_not_cost_the_record)
{
    struct sb_job job = { .id = 1 };
    struct sb_task task = {
        .id = 2, .job = &job, .device = (char *)"a", .text = (char *)"a\xff\xfe b"
    };
    sb_cleanup(json_decrefp) json_t *json = sb_task_json(&task);
    assert_string_equal(sb_json_str(json, "text"), "a?? b");
}

/* ---- records with something wrong in them ---- */

enum record { POLICY, JOB, TASK, RECORDS };

static json_t *whole(enum record record)
{
    return record == POLICY ? from_text(policy_text) : record == JOB ? whole_job() : whole_task();
}

static int read_back(enum record record, const json_t *json, char **ret_error)
{
    struct sb_job parent = { .id = 7 }, *job = NULL;
    struct sb_task *task = NULL;
    struct sb_policy policy = { 0 };
    int r = record == POLICY ? sb_policy_from_json(json, &policy, ret_error)
            : record == JOB  ? sb_job_from_json(json, &job, ret_error)
                             : sb_task_from_json(json, &parent, &task, ret_error);
    assert_true(r == 0 || (!job && !task && !policy.source_versions)); /* outputs on success only */
    sb_policy_done(&policy);
    sb_job_free(job);
    sb_task_free(task);
    return r;
}

static void assert_refused(enum record record, const json_t *json, const char *member)
{
    sb_cleanup(sb_freep) char *error = NULL;
    int r = read_back(record, json, &error);
    if (r != -EBADMSG)
        fail_msg("'%s': %d", member, r);
    assert_non_null(error);
    assert_non_null(strstr(error, member));
    assert_int_equal(read_back(record, json, NULL), -EBADMSG);
}

SB_TEST(test_missing_members)
{
    static const char *const required[] = { "id", "origin", "operation", "state", "device" };
    for (int record = 0; record < RECORDS; record++) {
        sb_cleanup(json_decrefp) json_t *all = whole((enum record)record);
        const char *key;
        json_t *value;
        json_object_foreach (all, key, value) {
            sb_cleanup(json_decrefp) json_t *json = json_copy(all);
            assert_int_equal(json_object_del(json, key), 0);
            bool needed = false;
            for (size_t i = 0; i < SB_COUNT(required); i++)
                needed |= strcmp(required[i], key) == 0;
            if (needed)
                assert_refused((enum record)record, json, key);
            else
                assert_int_equal(read_back((enum record)record, json, NULL), 0);
        }
    }
}

/* Every member with a value of every other type. */
SB_TEST(test_ill_typed_members)
{
    sb_cleanup(json_decrefp) json_t *wrong = from_text(
        "[null, true, 1, 1.5, 'no such name', '', [], ['no such name'], [1], {}, {'a': 1}]");
    unsigned tried = 0;
    for (int record = 0; record < RECORDS; record++) {
        sb_cleanup(json_decrefp) json_t *all = whole((enum record)record);
        const char *key;
        json_t *right, *value;
        size_t i;
        json_object_foreach (all, key, right) {
            if (strcmp(key, "job") == 0) /* for people and queries; not read */
                continue;
            json_array_foreach (wrong, i, value) {
                if (json_typeof(value) == json_typeof(right) ||
                    (json_is_boolean(value) && json_is_boolean(right)))
                    continue;
                sb_cleanup(json_decrefp) json_t *json = json_copy(all);
                assert_int_equal(json_object_set(json, key, value), 0);
                assert_refused((enum record)record, json, key);
                tried++;
            }
        }
    }
    assert_true(tried > 400);
}

SB_TEST(test_unknown_names)
{
    static const struct {
        enum record record;
        const char *key;
    } named[] = {
        { POLICY, "start" }, { POLICY, "conflict" }, { POLICY, "answer" },     { JOB, "operation" },
        { JOB, "state" },    { TASK, "state" },      { TASK, "cancel_from" },  { TASK, "reason" },
        { TASK, "phase" },   { TASK, "cause" },      { TASK, "cancel_cause" }, { TASK, "furthest" },
    };
    static const char *const names[] = { "", "nonsense", "Held", "none " };
    for (size_t i = 0; i < SB_COUNT(named); i++)
        for (size_t n = 0; n < SB_COUNT(names); n++) {
            sb_cleanup(json_decrefp) json_t *json = whole(named[i].record);
            assert_int_equal(json_object_set_new(json, named[i].key, json_string(names[n])), 0);
            assert_refused(named[i].record, json, named[i].key);
        }
    sb_cleanup(json_decrefp) json_t *json = whole(POLICY);
    assert_int_equal(json_object_set_new(json, "retry_causes", from_text("['busy', 'lazy']")), 0);
    assert_refused(POLICY, json, "retry_causes");
}

SB_TEST(test_ranges)
{
    static const struct {
        enum record record;
        const char *key;
        json_int_t most;
    } numbers[] = {
        { POLICY, "start_at", INT64_C(1) << 53 },
        { POLICY, "window_from", 1439 },
        { POLICY, "window_to", 1439 },
        { POLICY, "window_days", 127 },
        { POLICY, "rate_per_minute", UINT32_MAX },
        { POLICY, "retries", UINT32_MAX },
        { POLICY, "retry_interval", INT64_C(1) << 53 },
        { POLICY, "run_timeout", INT64_C(1) << 53 },
        { JOB, "id", INT64_C(1) << 53 },
        { JOB, "created", INT64_C(1) << 53 },
        { TASK, "round", UINT32_MAX },
        { TASK, "attempt", UINT32_MAX },
        { TASK, "percent", 100 },
        { TASK, "furthest_percent", 100 },
        { TASK, "retry_left", INT64_C(1) << 53 },
    };
    for (size_t i = 0; i < SB_COUNT(numbers); i++) {
        const json_int_t bad[] = { -1, numbers[i].most + 1, INT64_MAX, INT64_MIN };
        sb_cleanup(json_decrefp) json_t *json = whole(numbers[i].record);
        json_t *number = json_integer(numbers[i].most);
        assert_int_equal(json_object_set_new(json, numbers[i].key, number), 0);
        assert_int_equal(read_back(numbers[i].record, json, NULL), 0);
        for (size_t b = 0; b < SB_COUNT(bad); b++) {
            assert_int_equal(json_integer_set(number, bad[b]), 0);
            assert_refused(numbers[i].record, json, numbers[i].key);
        }
    }
}

SB_TEST(test_what_is_no_object)
{
    sb_cleanup(json_decrefp) json_t *list = json_array();
    assert_refused(POLICY, list, "policy");
    assert_refused(JOB, list, "id");
    assert_refused(TASK, list, "id");
    assert_refused(JOB, NULL, "id");
    sb_cleanup(json_decrefp) json_t *job = whole_job();
    assert_int_equal(json_object_del(job, "policy"), 0);
    assert_int_equal(read_back(JOB, job, NULL), 0); /* all of it is optional */
    /* A member that a later version adds does not damage the record for this one. */
    assert_int_equal(json_object_set_new(job, "later", json_true()), 0);
    assert_int_equal(read_back(JOB, job, NULL), 0);
}

SB_TEST(test_the_members_of_a_policy)
{
    sb_cleanup(json_decrefp) json_t *all = from_text(policy_text);
    const char *key;
    json_t *value;
    json_object_foreach (all, key, value)
        assert_true(sb_policy_has(key));
    assert_false(sb_policy_has("retrys"));
    assert_false(sb_policy_has(""));
    assert_false(sb_policy_has(NULL));
}

/* ---- copies ---- */

SB_TEST(test_policies_are_copied_deeply)
{
    sb_cleanup(json_decrefp) json_t *json = from_text(policy_text);
    struct sb_policy from, copy;
    assert_int_equal(sb_policy_from_json(json, &from, NULL), 0);
    assert_int_equal(sb_policy_copy(&from, &copy), 0);
    sb_policy_done(&from);
    assert_null(from.window.zone);
    sb_cleanup(json_decrefp) json_t *again = sb_policy_json(&copy);
    assert_same(again, json);
    sb_policy_done(&copy);
    sb_policy_done(&copy); /* twice is harmless */
}

SB_TEST(test_native_words_are_replaced_whole)
{
    struct sb_native native = { 0 };
    assert_int_equal(sb_native_set(&native, "ibm", "fw", "3", "full"), 0);
    assert_int_equal(sb_native_set(&native, "smp", NULL, "8", NULL), 0);
    assert_string_equal(native.dialect, "smp");
    assert_null(native.vocabulary);
    assert_string_equal(native.code, "8");
    assert_null(native.text);
    sb_native_done(&native);
    assert_null(native.code);
}

SB_TEST(test_a_job_owns_its_tasks)
{
    sb_cleanup(sb_job_freep) struct sb_job *job = calloc(1, sizeof(*job));
    for (int64_t id = 1; id <= 40; id++) {
        struct sb_task *task = calloc(1, sizeof(*task));
        task->id = id;
        assert_int_equal(sb_job_add_task(job, task), 0);
        assert_ptr_equal(task->job, job);
    }
    assert_int_equal(job->task_count, 40);
    for (size_t i = 0; i < job->task_count; i++)
        assert_int_equal(job->tasks[i]->id, i + 1);
    assert_null(sb_job_free(NULL));
    assert_null(sb_task_free(NULL));
}

/* ---- versions ---- */

/* In ascending order, each group equal among itself. */
static const char *const ascending[][4] = {
    { "0", "v0", "0.0", "0.0.0.0.0.0" },
    { "0.9.9" },
    { "1.0.0-a" },
    { "1.0.0-alpha" },
    { "1.0.0-beta" },
    { "1.0.0-rc.2" },
    { "1.0.0-rc.10", "1.0.0-rc.010" },
    { "1.0.0-rc2", "1.0.0-rc02" },
    { "1.0.0-rc10", "v1.0.0-rc10+7" },
    { "1.0.0-rc10a" },
    { "1.0.0-rc99999999999999999999999998" },
    { "1.0.0-rc99999999999999999999999999" },
    { "1", "1.0", "V1.0.0", "1.0.0.0.0" },
    { "1.0.1" },
    { "1.2" },
    { "1.10", "01.010" },
    { "2.0.0.0.0.1" },
    { "2024.11.3" },
    { "999999999999999999" },
};

SB_TEST(test_version_order)
{
    for (size_t i = 0; i < SB_COUNT(ascending); i++)
        for (size_t j = 0; j < SB_COUNT(ascending); j++)
            for (size_t a = 0; a < 4 && ascending[i][a]; a++)
                for (size_t b = 0; b < 4 && ascending[j][b]; b++) {
                    const char *left = ascending[i][a], *right = ascending[j][b];
                    int r = 77;
                    assert_int_equal(sb_version_compare(left, right, &r), 0);
                    if ((r < 0) != (i < j) || (r > 0) != (i > j))
                        fail_msg("%s and %s: %d", left, right, r);
                    assert_int_equal(sb_version_equal(left, right), i == j);
                }
}

/* A build counts between two that name one. */
SB_TEST(test_builds)
{
    int r;
    assert_true(sb_version_equal("1.2.3", "1.2.3+45"));
    assert_true(sb_version_equal("1.2.3+45", "v1.2.3+045"));
    assert_false(sb_version_equal("1.2.3+45", "1.2.3+46"));
    assert_int_equal(sb_version_compare("1.2.3+9", "1.2.3+10", &r), 0);
    assert_true(r < 0);
    assert_int_equal(sb_version_compare("1.2.4+1", "1.2.3+10", &r), 0);
    assert_true(r > 0);
    assert_int_equal(sb_version_compare("1.2.3-rc1+10", "1.2.3+1", &r), 0);
    assert_true(r < 0); /* the pre-release counts first */
}

SB_TEST(test_what_is_no_version_equals_itself_alone)
{
    static const char *const odd[] = {
        "",
        "v",
        "v1..2",
        "1.",
        ".1",
        "1.2.3.4.5.6.",
        "-1",
        "1.2-",
        "1.2-+5",
        "1.2+",
        "1.2+git5",
        "1.2.3.4.5.6.7",
        "1 .2",
        " 1.2",
        "1.2 ",
        "1,2",
        "0x10",
        "blue",
        "1.2+5x",
        "1.+5",
        "vv1",
        "1.2.3_4",
        "1.2.3\n",
        "1.2+-5",
        "1.1e5",
        "\xff\xfe",
        "1.2+5+6",
        "1234567890123456789", /* 19 digits */
        "00000000000000000001.2",
        "1.2+99999999999999999999",
    };
    for (size_t i = 0; i < SB_COUNT(odd); i++) {
        int r = 77;
        assert_int_equal(sb_version_compare(odd[i], "1.2", &r), -EINVAL);
        assert_int_equal(sb_version_compare("1.2", odd[i], &r), -EINVAL);
        assert_int_equal(r, 77);
        assert_false(sb_version_equal(odd[i], "1.2"));
        assert_true(sb_version_equal(odd[i], odd[i]));
        assert_int_equal(sb_version_compare(odd[i], odd[i], &r), 0);
        assert_int_equal(r, 0);
    }
    int r = 77;
    assert_int_equal(sb_version_compare(NULL, "1", &r), -EINVAL);
    assert_int_equal(sb_version_compare(NULL, NULL, &r), -EINVAL); /* unknown twice is not equal */
    assert_false(sb_version_equal(NULL, NULL));
    assert_int_equal(r, 77);
}

SB_TEST(test_endless_versions)
{
    enum { LONG = 100000 };
    sb_cleanup(sb_freep) char *digits = malloc(LONG + 1);
    sb_cleanup(sb_freep) char *pre = malloc(LONG + 1);
    int r;
    memset(digits, '9', LONG);
    memset(pre, '0', LONG);
    memcpy(pre, "1-", 2);
    digits[LONG] = pre[LONG] = '\0';
    assert_int_equal(sb_version_compare(digits, "1", &r), -EINVAL);
    assert_int_equal(sb_version_compare(pre, "1-0", &r), 0);
    assert_int_equal(r, 0);
}

SB_TEST(test_lists_of_versions)
{
    static const struct {
        const char *list, *version;
        bool listed;
    } cases[] = {
        { NULL, "1.0", true },
        { "", "1.0", true },
        { NULL, NULL, true },
        { "1.0", NULL, false },
        { "1.0", "1.0", true },
        { "1.0", "1.0.0", true },
        { "1.0, 1.1", "v1.1", true },
        { " 1.0 ,1.1 ", "1.0", true },
        { " 1.0 ,1.1 ", "1.1", true },
        { "1.0,1.1", "1.0,1.1", false },
        { "1.0,1.1", "1", true },
        { "1.10", "1.1", false },
        { "blue,green", "green", true },
        { "blue,green", "gree", false },
        { ",", "", false },
        { ", ,1.0", "1.0", true },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++)
        if (sb_version_listed(cases[i].list, cases[i].version) != cases[i].listed)
            fail_msg("'%s' in '%s'", cases[i].version, cases[i].list);
}
