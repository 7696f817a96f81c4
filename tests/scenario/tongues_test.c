/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The laws over all four dialects: each one's words, codec and conversation, with the same task.
 * What one dialect does beyond that is in its own tests.
 */
#include <stdio.h>

#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "tests/fakes/alibaba_world.h"
#include "tests/fakes/azure_world.h"
#include "tests/fakes/huawei_world.h"
#include "tests/fakes/ibm_world.h"
#include "tests/test.h"

#define UNTOLD (-1000)

struct end { /* how a task ends */
    enum sb_task_state state;
    enum sb_cause cause;
    enum sb_phase phase;
    struct sb_native native; /* of a device with a code of its own */
};

static void set_end(struct sb_task *task, const struct end *end)
{
    task->cause = end->cause;
    task->phase = end->phase;
    task->native = end->native;
}

/* ---- each dialect: an update begins, ends so, and this number is told ---- */

static int64_t ibm_tells(const struct end *end)
{
    struct wiot *w = wiot_new();
    wiot_up(w);
    wiot_replies(w, wiot_last(w, SB_OUT_SEND), 200);
    wiot_says(w, "device/update",
              "{\"reqId\":\"u\",\"d\":{\"fields\":[{\"field\":\"mgmt.firmware\",\"value\":{"
              "\"version\":\"2.0.0\",\"name\":\"n\",\"uri\":\"https://h/x\",\"verifier\":\"\","
              "\"state\":0,\"updateStatus\":0,\"updatedDateTime\":\"\"}}]}}");
    wiot_says(w, "observe", "{\"reqId\":\"o\",\"d\":{\"fields\":[{\"field\":\"mgmt.firmware\"}]}}");
    wiot_says(w, "mgmt/initiate/firmware/download", "{\"reqId\":\"d\"}");
    assert_int_equal(w->task_count, 1);
    wiot_task(w, 0, SB_TASK_DOWNLOADING);
    wiot_forget(w);
    set_end(&w->tasks[0], end);
    wiot_task(w, 0, end->state);
    const struct sb_output *output = wiot_next(w, "notify");
    int64_t told = UNTOLD;
    for (int status = 0; output && status < 7; status++) {
        sb_cleanup(json_decrefp) json_t *notify = sb_ibm_notify(0, status, output->token);
        told = json_equal(notify, output->json) ? status : told;
    }
    w->tasks[0].native = (struct sb_native){ 0 };
    wiot_free(w);
    return told;
}

/* Azure has no numbers there but the cause's own name, beside a status. */
static int64_t azure_tells(const struct end *end)
{
    struct hub *hub = hub_new(SB_AZURE_DEVICES);
    core_up(&hub->core, CORE_PUMP);
    hub_calls(hub, CORE_PUMP, "firmwareUpdate",
              "{\"fwPackageUri\":\"https://h/x\",\"fwVersion\":\"2.0.0\"}");
    assert_int_equal(hub->core.task_count, 1);
    core_task(&hub->core, 0, SB_TASK_DOWNLOADING);
    set_end(&hub->core.tasks[0].task, end);
    core_task(&hub->core, 0, end->state);
    const json_t *firmware = json_object_get(hub->reported[CORE_PUMP], "firmware");
    const char *code = sb_json_str(json_object_get(firmware, "error"), "code");
    bool moving = sb_streq(sb_json_str(firmware, "fwUpdateStatus"), "downloading");
    int64_t told = code && !moving ? sb_cause_from_name(code) : UNTOLD;
    hub->core.tasks[0].task.native = (struct sb_native){ 0 };
    hub_free(hub);
    return told;
}

static int64_t huawei_tells(const struct end *end)
{
    struct iot *iot = iot_new();
    iot_up(iot);
    iot_event(iot, IOT_PUMP_ID, "$ota", "firmware_upgrade",
              "{\"version\":\"2.0.0\",\"url\":\"https://h/x\",\"access_token\":\"t\"}");
    assert_int_equal(iot->core.task_count, 1);
    core_task(&iot->core, 0, SB_TASK_DOWNLOADING);
    iot_forget(iot);
    set_end(&iot->core.tasks[0].task, end);
    core_task(&iot->core, 0, end->state);
    int64_t told =
        sb_json_int(iot_last(iot, IOT_PUMP_ID, "upgrade_progress_report"), "result_code", UNTOLD);
    iot->core.tasks[0].task.native = (struct sb_native){ 0 };
    iot_free(iot);
    return told;
}

static int64_t alibaba_tells(const struct end *end)
{
    struct ali *ali = ali_new();
    ali_up(ali);
    ali_pushes(ali, CORE_PUMP,
               "{\"size\":7,\"version\":\"2.0.0\",\"url\":\"https://h/x\",\"signMethod\":\"Md5\","
               "\"sign\":\"93230c3bde425a9d7984a594ac55ea1e\"}");
    assert_int_equal(ali->core.task_count, 1);
    core_progress(&ali->core, 0, SB_TASK_DOWNLOADING, 10);
    ali_clear(ali);
    set_end(&ali->core.tasks[0].task, end);
    core_task(&ali->core, 0, end->state);
    const json_t *progress = ali_last(ali, CORE_PUMP, "/ota/device/progress/");
    const char *step = sb_json_str(json_object_get(progress, "params"), "step");
    int64_t told = step ? strtoll(step, NULL, 10) : UNTOLD;
    ali->core.tasks[0].task.native = (struct sb_native){ 0 };
    ali_free(ali);
    return told;
}

static struct dialect {
    const struct sb_dialect_shape *shape;
    const char *number; /* the member of a cell that it tells; NULL: the cause itself */
    int64_t (*tells)(const struct end *end);
    enum sb_op op;
    const char *natives[8]; /* codes that a device of the dialect may have */
} dialects[] = {
    { &sb_ibm_shape,
      "updateStatus",
      ibm_tells,
      SB_OP_FIRMWARE_DOWNLOAD,
      { "2", "3", "4", "5", "6" } },
    { &sb_azure_shape, NULL, azure_tells, SB_OP_FIRMWARE_UPDATE, { NULL } },
    { &sb_huawei_shape,
      "result_code",
      huawei_tells,
      SB_OP_FIRMWARE_UPDATE,
      { "1", "2", "5", "9", "10", "255" } },
    { &sb_alibaba_shape, "step", alibaba_tells, SB_OP_FIRMWARE_UPDATE, { "-1", "-2", "-3", "-4" } },
};

static int64_t number_of(const struct dialect *dialect, const struct end *end)
{
    const json_t *cell = sb_words_cell(core_words(dialect->shape), SB_ROLE_SENDS, dialect->op,
                                       end->state, end->cause, end->phase);
    return dialect->number ? sb_json_int(cell, dialect->number, UNTOLD) : (int64_t)end->cause;
}

/* ---- the laws ---- */

/* Says something, or why it says nothing. */
static void speaks(const struct dialect *dialect, enum sb_op op, const struct end *end)
{
    const json_t *cell = sb_words_cell(core_words(dialect->shape), SB_ROLE_SENDS, op, end->state,
                                       end->cause, end->phase);
    const json_t *silent = json_object_get(cell, "silent");
    if (json_object_size(cell) == 0 || (silent && json_string_length(silent) == 0))
        fail_msg("%s: %s %s %s says neither a word nor why not", dialect->shape->dialect,
                 sb_op_name((int)op), sb_task_state_name((int)end->state),
                 sb_cause_name((int)end->cause));
}

SB_TEST(total_each_cell_speaks)
{
    for (size_t i = 0; i < SB_COUNT(dialects); i++)
        for (int op = 0; op < SB_OP_MAX_; op++)
            for (int s = 0; s < SB_TASK_STATE_MAX_; s++)
                for (int c = SB_CAUSE_NONE + 1; c < SB_CAUSE_MAX_; c++)
                    for (int p = 0; p < SB_PHASE_MAX_; p++)
                        speaks(&dialects[i], (enum sb_op)op,
                               &(struct end){ .state = (enum sb_task_state)s,
                                              .cause = (enum sb_cause)c,
                                              .phase = (enum sb_phase)p });
}

static void tells_as_written(const struct dialect *dialect, const struct end *end)
{
    int64_t told = dialect->tells(end), wanted = number_of(dialect, end);
    if (told == UNTOLD || told != wanted)
        fail_msg("%s: %s by %s in %s: told %lld, not %lld", dialect->shape->dialect,
                 sb_task_state_name((int)end->state), sb_cause_name((int)end->cause),
                 sb_phase_name((int)end->phase), (long long)told, (long long)wanted);
}

/* Each end is told, in each dialect, as its mapping has it. */
SB_TEST(total_each_end_is_told)
{
    static const enum sb_task_state states[] = { SB_TASK_FAILED, SB_TASK_CANCELLED };
    for (size_t i = 0; i < SB_COUNT(dialects); i++)
        for (size_t s = 0; s < SB_COUNT(states); s++)
            for (int c = SB_CAUSE_NONE + 1; c < SB_CAUSE_MAX_; c++)
                for (int p = 0; p < SB_PHASE_MAX_; p++)
                    tells_as_written(&dialects[i], &(struct end){ .state = states[s],
                                                                  .cause = (enum sb_cause)c,
                                                                  .phase = (enum sb_phase)p });
}

/* A device's own code comes out unchanged where it is at home, and nowhere else. */
SB_TEST(round_trip_of_native_codes)
{
    for (size_t i = 0; i < SB_COUNT(dialects); i++)
        for (size_t n = 0; dialects[i].natives[n]; n++)
            for (size_t k = 0; k < SB_COUNT(dialects); k++) {
                char *name = (char *)dialects[i].shape->dialect;
                char *number = (char *)dialects[i].number;
                char *code = (char *)dialects[i].natives[n];
                struct end end = { SB_TASK_FAILED,
                                   SB_CAUSE_VERIFY_FAILED,
                                   SB_PHASE_VERIFYING,
                                   { name, number, code, NULL } };
                int64_t told = dialects[k].tells(&end);
                int64_t wanted = i == k ? strtoll(code, NULL, 10) : number_of(&dialects[k], &end);
                if (told != wanted)
                    fail_msg("%s code %s told by %s as %lld, not %lld", name, code,
                             dialects[k].shape->dialect, (long long)told, (long long)wanted);
            }
}

/* ---- forward only ---- */

struct course { /* the same random course of a task, from its number */
    uint32_t seed;
    enum sb_task_state state;
    int percent, retries;
};

static uint32_t draw(struct course *course, uint32_t below)
{
    course->seed = course->seed * 1664525U + 1013904223U;
    return (course->seed >> 8) % below;
}

/* On by a bit, or back to the queue for another attempt. False: it restarts. */
static bool go_on(struct course *course)
{
    if (course->state != SB_TASK_QUEUED && course->retries > 0 && draw(course, 8) == 0) {
        course->retries--;
        course->state = SB_TASK_QUEUED;
        course->percent = 0;
        return true;
    }
    course->percent += (int)draw(course, 12);
    course->state = course->percent < 50    ? SB_TASK_DOWNLOADING
                    : course->percent < 100 ? SB_TASK_INSTALLING
                                            : SB_TASK_RESTARTING;
    course->percent = SB_MIN(course->percent, 100);
    return course->state != SB_TASK_RESTARTING;
}

/* A retry is not seen: the step never falls, and is 100 only when the device restarts. */
SB_TEST(forward_only_for_alibaba)
{
    for (uint32_t seed = 0; seed < 100; seed++) {
        struct course course = { .seed = seed, .retries = 3 };
        struct ali *ali = ali_new();
        int64_t before = 0;
        bool on = true;
        ali_up(ali);
        ali_pushes(ali, CORE_PUMP,
                   "{\"size\":7,\"version\":\"2.0.0\",\"url\":\"https://h/x\","
                   "\"signMethod\":\"Md5\",\"sign\":\"93230c3bde425a9d7984a594ac55ea1e\"}");
        while (on) {
            on = go_on(&course);
            ali_clear(ali);
            core_progress(&ali->core, 0, course.state, (uint8_t)course.percent);
            size_t said = ali_count(ali, CORE_PUMP, "/ota/device/progress/");
            const char *text = ali_text(ali, CORE_PUMP, "/ota/device/progress/", "params/step");
            int64_t step = said ? strtoll(text, NULL, 10) : before;
            assert_true(said <= 1 && step >= before);
            assert_true(course.state != SB_TASK_QUEUED || said == 0);
            assert_int_equal(step == 100, !on);
            before = step;
        }
        ali_free(ali);
    }
}

/* Within an attempt no percent falls; 100 is the end alone, and no retry reads as a failure. */
SB_TEST(forward_only_for_huawei)
{
    for (uint32_t seed = 0; seed < 100; seed++) {
        struct course course = { .seed = seed, .retries = 3 };
        struct iot *iot = iot_new();
        int64_t before = 0;
        bool on = true;
        iot_up(iot);
        iot_event(iot, IOT_PUMP_ID, "$ota", "firmware_upgrade",
                  "{\"version\":\"2.0.0\",\"url\":\"https://h/x\",\"access_token\":\"t\"}");
        while (on) {
            on = go_on(&course);
            before = course.state == SB_TASK_QUEUED ? 0 : before;
            iot_forget(iot);
            iot->core.tasks[0].task.percent = (uint8_t)course.percent;
            core_task(&iot->core, 0, course.state);
            const json_t *paras = iot_last(iot, IOT_PUMP_ID, "upgrade_progress_report");
            int64_t percent = sb_json_int(paras, "progress", before);
            assert_int_equal(sb_json_int(paras, "result_code", 0), 0);
            assert_true(percent >= before && percent < 100);
            before = percent;
        }
        iot_free(iot);
    }
}

/* ---- a version, whoever changed it ---- */

SB_TEST(a_version_is_told_in_each_ones_own_way)
{
    struct hub *hub = hub_new(SB_AZURE_DEVICES);
    core_up(&hub->core, CORE_PUMP);
    json_object_set_new(hub->core.devices[CORE_PUMP].versions, "", json_string("7.0"));
    core_news(&hub->core, CORE_PUMP, SB_NEWS_IDENTITY);
    assert_true(hub_reports(hub, CORE_PUMP, "firmware/currentFwVersion", "\"7.0\""));
    hub_free(hub);
    struct iot *iot = iot_new();
    iot_up(iot);
    core_version(&iot->core, CORE_PUMP, "", "7.0");
    assert_string_equal(sb_json_str(iot_last(iot, IOT_PUMP_ID, "version_report"), "fw_version"),
                        "7.0");
    iot_free(iot);
    struct ali *ali = ali_new();
    ali_up(ali);
    core_version(&ali->core, CORE_PUMP, "", "7.0");
    assert_string_equal(ali_text(ali, CORE_PUMP, "/ota/device/inform/", "params/version"), "7.0");
    ali_free(ali);
    struct wiot *w = wiot_new();
    wiot_up(w);
    wiot_replies(w, wiot_last(w, SB_OUT_SEND), 200);
    wiot_forget(w);
    json_object_set_new(w->device.versions, "", json_string("7.0"));
    wiot_news(w, SB_NEWS_IDENTITY);
    const struct sb_output *manage = wiot_next(w, "mgmt/manage");
    assert_non_null(manage);
    sb_cleanup(sb_freep) char *text = sb_json_text(manage->json);
    assert_non_null(strstr(text, "\"fwVersion\":\"7.0\""));
    wiot_free(w);
}
