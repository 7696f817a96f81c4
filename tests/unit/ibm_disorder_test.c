/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages, tasks, links and restarts in any order: what must hold whatever happens, and that a
 * restart after every single step changes nothing that the platform can see. The world answers
 * requests as the core does: a newer firmware request replaces one that has not started.
 */
#include <stdio.h>

#include "adapters/dialects/ibm/conversation.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "tests/fakes/ibm_world.h"
#include "tests/test.h"

#define REBOOT   "mgmt/initiate/device/reboot"
#define RESET    "mgmt/initiate/device/factory_reset"
#define DOWNLOAD "mgmt/initiate/firmware/download"
#define INSTALL  "mgmt/initiate/firmware/update"
#define READ     "mgmt/custom/southbridge/read"
#define RUNS     100 /* lives; more with SB_RUNS */
#define STEPS    90

static uint32_t runs(void)
{
    const char *more = getenv("SB_RUNS");
    return more ? (uint32_t)strtoul(more, NULL, 10) : RUNS;
}

/* ---- chance, the same on every machine ---- */

static uint32_t seed;

static uint32_t chance(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

/* ---- what the platform and the device do ---- */

#define LOG_MAX 4096

struct run {
    struct wiot *w;
    bool restarts; /* after every step */
    bool timeless; /* no time passes before the end */
    unsigned requests;
    char last[400], last_suffix[64]; /* the last request, to be repeated */
    struct {                         /* how each task ended */
        bool ended, away;            /* away: past its commit point, and the device was gone */
        size_t at;                   /* what had been put out by then */
        int64_t time;
    } ends[WIOT_TASKS];
    int64_t when[LOG_MAX]; /* at the latest, of what was put out */
    size_t back_at;        /* what had been put out when the device was last seen to return */
};

static void says(struct run *run, const char *suffix, const char *rest)
{
    (void)snprintf(run->last, sizeof(run->last), "{\"reqId\":\"r%u\"%s}", run->requests++, rest);
    (void)snprintf(run->last_suffix, sizeof(run->last_suffix), "%s", suffix);
    wiot_says(run->w, suffix, run->last);
}

static const char *image_of(uint32_t which)
{
    static const char *const images[] = {
        "\"version\":\"2\",\"name\":\"n\",\"uri\":\"https://h/2.bin?s=1\",\"verifier\":\"\"",
        "\"version\":\"2\",\"name\":\"n\",\"uri\":\"https://h/2.bin?s=2\",\"verifier\":\"\"",
        "\"version\":\"3\",\"name\":\"n\",\"uri\":\"https://h/3.bin\",\"verifier\":\"\"",
        "\"version\":\"3\",\"name\":\"n\",\"uri\":\"\",\"verifier\":\"\"",
    };
    return images[which % SB_COUNT(images)];
}

static void writes(struct run *run)
{
    sb_cleanup(sb_freep) char *rest =
        sb_format(",\"d\":{\"fields\":[{\"field\":\"mgmt.firmware\",\"value\":{%s,\"state\":0,"
                  "\"updateStatus\":0,\"updatedDateTime\":\"\"}}]}",
                  image_of(chance(4)));
    says(run, "device/update", rest);
}

/* What the core has staged, as the task's success leaves it. */
static void stage(struct wiot *w, const struct sb_task *task)
{
    const struct sb_output *submit = NULL;
    for (size_t i = 0; i < w->log_count; i++) {
        if (w->log[i].kind == SB_OUT_SUBMIT && sb_streq(w->log[i].tag, task->job->external_id))
            submit = &w->log[i];
    }
    static char uri[64], version[16];
    (void)snprintf(uri, sizeof(uri), "%s", submit ? sb_json_str(submit->package, "uri") : "?");
    (void)snprintf(version, sizeof(version), "%s",
                   submit ? sb_json_str(submit->package, "version") : "?");
    w->package = (struct sb_package){ .id = "p", .uri = uri, .version = version };
    w->device.staged.package = "p";
    w->device.staged.door = "cloud";
}

static struct sb_task *open_task(struct wiot *w, size_t *ret_index)
{
    size_t open[WIOT_TASKS], count = 0;
    for (size_t i = 0; i < w->task_count; i++) {
        if (!sb_task_state_is_final(w->tasks[i].state))
            open[count++] = i;
    }
    if (count == 0)
        return NULL;
    *ret_index = open[chance((uint32_t)count)];
    return &w->tasks[*ret_index];
}

/* Before the world hears of it. */
static void ends(struct run *run, size_t i)
{
    const struct wiot *w = run->w;
    run->ends[i].ended = true;
    run->ends[i].at = w->log_count;
    run->ends[i].time = w->now;
    run->ends[i].away = w->tasks[i].committed && w->device.presence == SB_PRESENCE_OFFLINE;
}

static void moves_on(struct run *run)
{
    struct wiot *w = run->w;
    static const enum sb_task_state firmware[] = { SB_TASK_SENT, SB_TASK_DOWNLOADING };
    size_t i = 0;
    struct sb_task *task = open_task(w, &i);
    if (!task)
        return;
    enum sb_op op = task->job->op;
    enum sb_task_state next =
        sb_op_is_firmware(op)
            ? (op == SB_OP_FIRMWARE_INSTALL ? SB_TASK_INSTALLING : firmware[chance(2)])
            : SB_TASK_RUNNING;
    if (task->state < next) {
        wiot_task(w, i, next);
    } else {
        if (op == SB_OP_FIRMWARE_DOWNLOAD)
            stage(w, task);
        ends(run, i);
        wiot_task(w, i, SB_TASK_SUCCEEDED);
    }
}

static void goes_wrong(struct run *run)
{
    struct wiot *w = run->w;
    static const enum sb_cause causes[] = { SB_CAUSE_LINK_LOST, SB_CAUSE_REFUSED,
                                            SB_CAUSE_TIMEOUT,   SB_CAUSE_NO_SPACE,
                                            SB_CAUSE_OFFLINE,   SB_CAUSE_OUTCOME_UNKNOWN };
    size_t i = 0;
    if (!open_task(w, &i))
        return;
    w->tasks[i].committed = w->tasks[i].state > SB_TASK_SENT && chance(2);
    if (chance(2))
        w->device.presence = SB_PRESENCE_OFFLINE;
    ends(run, i);
    wiot_fails(w, i, causes[chance(SB_COUNT(causes))], (enum sb_phase)chance(SB_PHASE_MAX_));
}

static void returns(struct run *run)
{
    struct wiot *w = run->w;
    run->back_at = w->device.presence == SB_PRESENCE_READY ? run->back_at : w->log_count;
    w->device.presence = SB_PRESENCE_READY;
    wiot_news(w, SB_NEWS_PRESENCE);
    if (chance(2))
        wiot_news(w, SB_NEWS_IDENTITY);
}

static void reconnects(struct wiot *w)
{
    wiot_down(w);
    wiot_up(w);
}

static void step(struct run *run)
{
    static const char *const actions[] = { REBOOT, RESET, DOWNLOAD, DOWNLOAD, INSTALL, INSTALL };
    struct wiot *w = run->w;
    switch (chance(14)) {
    case 0:
        writes(run);
        break;
    case 1:
        says(run, "observe", ",\"d\":{\"fields\":[{\"field\":\"mgmt.firmware\"}]}");
        break;
    case 2:
        says(run, "cancel", ",\"d\":{\"fields\":[{\"field\":\"mgmt.firmware\"}]}");
        break;
    case 3:
    case 4:
    case 5:
        says(run, actions[chance(SB_COUNT(actions))], "");
        break;
    case 6:
        says(run, READ, ",\"d\":{\"fields\":[{\"field\":\"name\",\"value\":\"speed\"}]}");
        break;
    case 7:
        if (run->requests > 0)
            wiot_says(w, run->last_suffix, run->last);
        break;
    case 8:
        goes_wrong(run);
        break;
    case 9:
        returns(run);
        break;
    case 10:
        reconnects(w);
        break;
    case 11:
        wiot_passes(w, (int64_t)chance(40) * (run->timeless ? 0 : SB_SECOND));
        break;
    default:
        moves_on(run);
        break;
    }
    if (run->restarts) {
        if (!wiot_restarts(w))
            abort();
        wiot_up(w);
    }
}

static void keep_time(struct run *run)
{
    size_t i = run->w->log_count < LOG_MAX ? run->w->log_count : LOG_MAX;
    while (i > 0 && run->when[i - 1] == 0)
        run->when[--i] = run->w->now;
}

static void ends_all(struct run *run)
{
    for (size_t i = 0; i < run->w->task_count; i++) {
        if (sb_task_state_is_final(run->w->tasks[i].state))
            continue;
        ends(run, i);
        wiot_fails(run->w, i, SB_CAUSE_REFUSED, SB_PHASE_STARTING);
    }
    wiot_passes(run->w, 2 * SB_HOUR);
}

static void live(struct run *run, uint32_t from, bool restarts, bool timeless)
{
    seed = from;
    *run = (struct run){ .w = wiot_new(), .restarts = restarts, .timeless = timeless };
    run->w->core = true;
    run->w->quiet = true;
    wiot_up(run->w);
    for (int i = 0; i < STEPS; i++) {
        step(run);
        keep_time(run);
    }
    ends_all(run);
    keep_time(run);
}

/* ---- what must hold ---- */

static bool is_on(const struct sb_output *output, const char *suffix)
{
    size_t n = output->kind == SB_OUT_SEND ? strlen(output->topic) : 0, m = strlen(suffix);
    return n > m && strcmp(output->topic + n - m, suffix) == 0;
}

static int notified(const struct sb_output *output, const char *key)
{
    const json_t *fields = json_object_get(json_object_get(output->json, "d"), "fields");
    return (int)sb_json_int(json_object_get(json_array_get(fields, 0), "value"), key, -1);
}

/* Every request has an answer, and only one (a repeated request gets it again). */
static void check_answers(const struct run *run, uint32_t from)
{
    const struct wiot *w = run->w;
    for (unsigned r = 0; r < run->requests; r++) {
        sb_cleanup(sb_freep) char *id = sb_format("r%u", r);
        const json_t *answer = NULL;
        for (size_t i = 0; i < w->log_count; i++) {
            const struct sb_output *output = &w->log[i];
            if (!is_on(output, "/response") || !sb_streq(sb_json_str(output->json, "reqId"), id))
                continue;
            if (answer && !json_equal(answer, output->json))
                fail_msg("seed %u: two answers to %s", from, id);
            answer = output->json;
        }
        if (!answer)
            fail_msg("seed %u: no answer to %s", from, id);
    }
}

/* 0/0 is success to the platform: as many as installations succeeded, and no more. */
static void check_successes(const struct run *run, uint32_t from)
{
    const struct wiot *w = run->w;
    unsigned told = 0, happened = 0;
    for (size_t i = 0; i < w->log_count; i++) {
        if (is_on(&w->log[i], "/notify"))
            told += notified(&w->log[i], "state") == 0 && notified(&w->log[i], "updateStatus") == 0;
    }
    for (size_t i = 0; i < w->task_count; i++)
        happened +=
            w->tasks[i].job->op == SB_OP_FIRMWARE_INSTALL && w->tasks[i].state == SB_TASK_SUCCEEDED;
    if (told > happened)
        fail_msg("seed %u: %u successes told, %u happened", from, told, happened);
}

/* A failure is told of what failed, not of what gave way to a newer request. */
static void check_failures(const struct run *run, uint32_t from)
{
    const struct wiot *w = run->w;
    unsigned told = 0, happened = 0;
    for (size_t i = 0; i < w->log_count; i++) {
        if (is_on(&w->log[i], "/notify"))
            told += notified(&w->log[i], "updateStatus") > 1;
    }
    for (size_t i = 0; i < w->task_count; i++)
        happened += sb_op_is_firmware(w->tasks[i].job->op) && w->tasks[i].state == SB_TASK_FAILED;
    if (told > happened)
        fail_msg("seed %u: %u failures told, %u happened", from, told, happened);
}

static bool accepted(const struct wiot *w, const char *id, size_t before)
{
    for (size_t i = 0; i < before; i++) {
        if (is_on(&w->log[i], "/response") && sb_streq(sb_json_str(w->log[i].json, "reqId"), id) &&
            sb_json_int(w->log[i].json, "rc", 0) == 202)
            return true;
    }
    return false;
}

/* As far as anybody can know: it succeeded, or the device was away past its commit point, and came
 * back. */
static bool happened(const struct run *run, size_t task, size_t at)
{
    const struct sb_task *t = &run->w->tasks[task];
    if (!run->ends[task].ended || run->ends[task].at > at)
        return false;
    return t->state == SB_TASK_SUCCEEDED || (t->job->op == SB_OP_REBOOT && run->ends[task].away &&
                                             run->back_at >= run->ends[task].at);
}

/* It failed, but the same was asked for once more, and then it happened. */
static bool made_good(const struct run *run, size_t task, size_t at)
{
    const struct wiot *w = run->w;
    for (size_t i = 0; i < w->task_count; i++) {
        if (w->tasks[i].job->op == w->tasks[task].job->op && happened(run, i, at) &&
            run->ends[i].at >= run->ends[task].at)
            return true;
    }
    return false;
}

/* Would a manage at this place complete a restart that did not happen? */
static bool completes(const struct run *run, size_t task, size_t at)
{
    const struct wiot *w = run->w;
    enum sb_op op = w->tasks[task].job->op;
    if ((op != SB_OP_REBOOT && op != SB_OP_FACTORY_RESET) ||
        !accepted(w, w->tasks[task].job->external_id, at))
        return false;
    bool over = run->ends[task].ended && run->ends[task].at <= at;
    return !over || (!made_good(run, task, at) && run->when[at] - run->ends[task].time < SB_HOUR);
}

static void check_completions(const struct run *run, uint32_t from)
{
    const struct wiot *w = run->w;
    for (size_t i = 0; i < w->log_count && i < LOG_MAX; i++) {
        for (size_t task = 0; task < w->task_count && is_on(&w->log[i], "/manage"); task++) {
            if (completes(run, task, i))
                fail_msg("seed %u: a manage completes task %zu (%s), which %s", from, task,
                         sb_op_name((int)w->tasks[task].job->op),
                         run->ends[task].ended && run->ends[task].at <= i ? "failed" : "is open");
        }
    }
}

SB_TEST(whatever_happens)
{
    for (uint32_t from = 1; from <= runs(); from++) {
        struct run run;
        live(&run, from, from % 2, false);
        check_answers(&run, from);
        check_successes(&run, from);
        check_failures(&run, from);
        check_completions(&run, from);
        wiot_free(run.w);
    }
}

/* All that the platform and the core see, but manage, which every connect makes anew, and progress:
 * what the platform has overwritten meanwhile it is told again. */
static char *story(const struct wiot *w)
{
    struct sb_str text = { 0 };
    for (size_t i = 0; i < w->log_count; i++) {
        const struct sb_output *output = &w->log[i];
        bool timed = output->kind == SB_OUT_TIMER || output->kind == SB_OUT_LOOK;
        bool progress = is_on(output, "/notify") && output->class == SB_PARCEL_PROGRESS;
        if (timed || progress || output->kind == SB_OUT_NOTE || is_on(output, "/manage"))
            continue;
        sb_cleanup(json_decrefp) json_t *copy = json_deep_copy(output->json);
        const char *id = sb_json_str(copy, "reqId");
        if (id && strlen(id) > 10)
            json_object_del(copy, "reqId"); /* of our own making */
        json_object_del(json_object_get(copy, "d"), "timestamp");
        sb_cleanup(sb_freep) char *json = sb_json_text(copy);
        sb_str_format(&text, "%d %s %s %s\n", (int)output->kind, output->topic ? output->topic : "",
                      output->tag ? output->tag : "", json ? json : "");
    }
    return sb_str_take(&text);
}

SB_TEST(a_restart_after_every_step_changes_nothing)
{
    for (uint32_t from = 1; from <= runs(); from++) {
        struct run once, often;
        live(&once, from, false, true);
        live(&often, from, true, true);
        sb_cleanup(sb_freep) char *a = story(once.w), *b = story(often.w);
        if (!sb_streq(a, b)) {
            size_t same = 0;
            while (a && b && a[same] && a[same] == b[same])
                same++;
            while (same > 0 && a[same - 1] != '\n')
                same--;
            fail_msg("seed %u: without restarts:\n%.600s\nwith restarts:\n%.600s", from, a + same,
                     b + same);
        }
        wiot_free(once.w);
        wiot_free(often.w);
    }
}
