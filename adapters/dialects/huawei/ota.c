/* SPDX-License-Identifier: Apache-2.0 */
/*
 * $ota: version_query, the four upgrade events, upgrade_progress_report. Sources: IoTDA device
 * interface (OTA upgrade), the device SDKs' demos: success is result_code 0 with the package's
 * version; result_code 0 with less than 100 percent is progress.
 */
#include "adapters/dialects/huawei/parts.h"
#include "bridge/base/crypto.h"
#include "bridge/base/str.h"

#define STEP        10 /* percent between two reports of progress */
#define CODE_OK     0
#define CODE_OTHER  255
#define PERCENT_END 100

/* ---- reports ---- */

static const char *current(const struct sb_huawei_turn *turn, const char *module)
{
    const char *version = sb_huawei_version(turn, module);
    return version ? version : sb_words_name(turn->in->words, "version_unknown");
}

static json_t *report_paras(const struct sb_huawei_turn *turn, const char *module, int code,
                            int percent, const char *text)
{
    json_t *paras = json_pack("{s:i,s:s,s:s*}", "result_code", code, "version",
                              current(turn, module), "description", text);
    if (paras && percent >= 0 && sb_json_put_int(paras, "progress", percent) < 0) {
        json_decref(paras);
        return NULL;
    }
    return paras;
}

/* Of an event that comes in. While the store takes nothing it cannot be kept; it can be said. */
static enum sb_parcel_class answer_class(const struct sb_huawei_turn *turn)
{
    return turn->in->ready ? SB_PARCEL_FINAL : SB_PARCEL_PASSING;
}

/* Takes paras. */
static void report(struct sb_huawei_turn *turn, json_t *paras, enum sb_parcel_class class,
                   int64_t task, const char *what)
{
    sb_huawei_send(turn,
                   &(struct sb_huawei_parcel){
                       .word = "topic_event",
                       .payload = sb_huawei_event(sb_huawei_who(turn), SB_HUAWEI_OTA,
                                                  sb_words_name(turn->in->words, "event_progress"),
                                                  NULL, turn->in->wall, paras),
                       .class = class,
                       .superseding = true,
                       .task = task,
                       .what = what });
}

/* How it ended; told again when the same event comes again. */
static void conclude(struct sb_huawei_turn *turn, json_t *paras, int64_t task, const char *what)
{
    struct sb_huawei_state *state = turn->state;
    sb_huawei_json_clear(&state->outcome);
    state->outcome = json_incref(paras);
    state->upgrade.task = 0;
    turn->effects->save = true;
    if (!paras)
        turn->effects->broken = true;
    report(turn, paras, SB_PARCEL_FINAL, task, what);
}

/* ---- an upgrade that cannot be ---- */

/* Of one that is not ours to judge (an unknown device, another upgrade goes on) nothing is kept. */
static void refuse(struct sb_huawei_turn *turn, const char *module, enum sb_cause cause,
                   const char *text, bool kept)
{
    const json_t *cell = sb_dialect_cause_cell(turn->in, cause);
    const char *own = sb_json_str(cell, "message");
    sb_cleanup(sb_freep) char *clean = sb_dialect_presentable(text && *text ? text
                                                              : own         ? own
                                                                    : sb_cause_name((int)cause));
    int code = (int)sb_json_int(cell, "result_code", CODE_OTHER);
    json_t *paras = report_paras(turn, module, code, -1, clean);
    if (kept)
        conclude(turn, paras, 0, sb_cause_name((int)cause));
    else
        report(turn, paras, answer_class(turn), 0, sb_cause_name((int)cause));
}

/* ---- how a task goes ---- */

/* A device that speaks this dialect itself: its own code (round trip). */
static int code_of(const struct sb_task *task, const json_t *cell)
{
    const struct sb_native *native = &task->native;
    bool ours = task->state == SB_TASK_FAILED && sb_streq(native->dialect, "huawei") &&
                sb_streq(native->vocabulary, "result_code") && native->code;
    size_t n = ours ? strspn(native->code, "0123456789") : 0;
    long code = n > 0 && n <= 3 && !native->code[n] ? strtol(native->code, NULL, 10) : 0;
    if (code > 0 && code <= CODE_OTHER)
        return (int)code;
    return (int)sb_json_int(cell, "result_code", CODE_OTHER);
}

static void conclude_failure(struct sb_huawei_turn *turn, const struct sb_task *task,
                             const char *module)
{
    const json_t *cell = sb_dialect_task_cell(turn->in, task);
    sb_cleanup(sb_freep) char *text = sb_dialect_task_text(turn->in, task);
    conclude(turn, report_paras(turn, module, code_of(task, cell), -1, text), task->id,
             sb_task_state_name((int)task->state));
}

/* A success that cannot be read back is none to the platform. */
static void conclude_success(struct sb_huawei_turn *turn, const struct sb_task *task,
                             const struct sb_huawei_upgrade *upgrade)
{
    const char *version = sb_huawei_version(turn, upgrade->module);
    if (sb_streq(version, upgrade->version)) {
        conclude(turn, report_paras(turn, upgrade->module, CODE_OK, PERCENT_END, "done"), task->id,
                 sb_task_state_name((int)task->state));
        return;
    }
    enum sb_cause cause = sb_task_is_unproven(task) || !version ? SB_CAUSE_OUTCOME_UNKNOWN
                                                                : SB_CAUSE_VERSION_MISMATCH;
    const json_t *cell = sb_dialect_cause_cell(turn->in, cause);
    sb_cleanup(sb_freep) char *text =
        version ? sb_format("installed, but the device reports %.100s", version)
                : strdup("installed, but the device reports no version");
    conclude(turn,
             report_paras(turn, upgrade->module, (int)sb_json_int(cell, "result_code", CODE_OTHER),
                          -1, text),
             task->id, sb_cause_name((int)cause));
}

/* Steps of the percentage, and each state; 100 is the end alone. A further attempt begins where
 * the platform has seen the last one. */
static void show_progress(struct sb_huawei_turn *turn, const struct sb_task *task)
{
    struct sb_huawei_state *state = turn->state;
    const json_t *cell = sb_dialect_task_cell(turn->in, task);
    int percent = SB_MIN(SB_MAX(task->percent, task->furthest_percent), PERCENT_END - 1);
    bool news = state->shown_state != (int)task->state ||
                percent / STEP != state->shown_percent / STEP || state->shown_percent < 0;
    if (json_object_get(cell, "silent") || !news)
        return;
    state->shown_state = (int)task->state;
    state->shown_percent = percent;
    report(turn,
           report_paras(turn, state->upgrade.module, (int)sb_json_int(cell, "result_code", CODE_OK),
                        percent, sb_task_state_name((int)task->state)),
           SB_PARCEL_PROGRESS, task->id, NULL);
}

void sb_huawei_ota_follow(struct sb_huawei_turn *turn, const struct sb_task *task)
{
    struct sb_huawei_state *state = turn->state;
    if (state->upgrade.task == 0 || state->upgrade.task != task->id)
        return; /* reports name no task: only of the last one that was asked for */
    if (task->state == SB_TASK_SUCCEEDED)
        conclude_success(turn, task, &state->upgrade);
    else if (!sb_task_state_is_final(task->state))
        show_progress(turn, task);
    else if (state->asked.version) /* what is asked for now took its place */
        state->upgrade.task = 0;
    else
        conclude_failure(turn, task, state->upgrade.module);
}

/* It ended while nobody here listened: say so, and do not guess. */
void sb_huawei_ota_lost(struct sb_huawei_turn *turn)
{
    refuse(turn, turn->state->upgrade.module, SB_CAUSE_OUTCOME_UNKNOWN, NULL, true);
}

void sb_huawei_ota_gone(struct sb_huawei_turn *turn)
{
    if (turn->state->upgrade.task || turn->state->waiting)
        refuse(turn, turn->state->upgrade.module, SB_CAUSE_DEVICE_GONE, NULL, true);
}

void sb_huawei_ota_resume(struct sb_huawei_turn *turn)
{
    turn->state->shown_state = turn->state->shown_percent = -1;
    if (turn->state->upgrade.task)
        sb_effects_look(turn->effects, turn->state->upgrade.task);
}

/* ---- an upgrade is asked for ---- */

/* A module of its own only where the device has one. */
static const char *module_of(const struct sb_huawei_turn *turn, bool software)
{
    const char *module = sb_words_name(turn->in->words, "module_software");
    return software && module && sb_huawei_version(turn, module) ? module : NULL;
}

/* The event of an upgrade that is known comes again. */
static bool repeated(struct sb_huawei_turn *turn, const char *event)
{
    struct sb_huawei_state *state = turn->state;
    if (!event || !sb_streq(event, state->upgrade.event) ||
        (!state->upgrade.task && !state->outcome))
        return false;
    if (state->upgrade.task)
        sb_huawei_ota_resume(turn);
    else
        report(turn, json_incref(state->outcome), answer_class(turn), 0, "again");
    return true;
}

static void begin(struct sb_huawei_turn *turn, struct sb_huawei_upgrade *upgrade,
                  const char *version, const char *module, const char *event)
{
    sb_huawei_upgrade_clear(upgrade);
    sb_effects_set(turn->effects, &upgrade->version, version);
    sb_effects_set(turn->effects, &upgrade->module, module);
    sb_effects_set(turn->effects, &upgrade->event, event);
}

static void become(struct sb_huawei_turn *turn, int64_t task)
{
    struct sb_huawei_state *state = turn->state;
    sb_huawei_upgrade_clear(&state->upgrade);
    state->upgrade = state->asked;
    state->upgrade.task = task;
    state->asked = (struct sb_huawei_upgrade){ 0 };
    state->shown_state = state->shown_percent = -1;
    sb_huawei_json_clear(&state->outcome);
    turn->effects->save = true;
}

/* It answers, and says that it has this version: nothing is to be done. */
static bool is_there(const struct sb_huawei_turn *turn, const char *module, const char *version)
{
    return sb_huawei_is_ready(turn) && sb_streq(sb_huawei_version(turn, module), version);
}

/* Kept, unless another upgrade goes on. */
static void refuse_new(struct sb_huawei_turn *turn, const char *version, const char *module,
                       const char *event, enum sb_cause cause, const char *text)
{
    bool kept = turn->state->upgrade.task == 0;
    if (kept) {
        begin(turn, &turn->state->asked, version, module, event);
        become(turn, 0);
    }
    refuse(turn, module, cause, text, kept);
}

static void hold(struct sb_huawei_turn *turn, const json_t *service)
{
    sb_huawei_json_clear(&turn->state->waiting);
    turn->state->waiting = json_deep_copy(service);
    if (!turn->state->waiting)
        turn->effects->broken = true;
}

/* What is held is tried again: the platform has time, and would take `busy` for the end. False:
 * that was long enough. */
static bool put_off(struct sb_huawei_turn *turn)
{
    struct sb_huawei_state *state = turn->state;
    if (state->waiting_until == 0)
        state->waiting_until = turn->in->now + sb_words_limit(turn->in->words, "busy_within");
    if (turn->in->self || turn->in->now >= state->waiting_until) {
        sb_huawei_json_clear(&state->waiting);
        return false;
    }
    sb_effects_timer(turn->effects, SB_HUAWEI_UPGRADE,
                     sb_words_limit(turn->in->words, "busy_retry"));
    return true;
}

static void ask(struct sb_huawei_turn *turn, const json_t *service, const char *module,
                const char *event)
{
    const json_t *paras = sb_json_object(service, "paras");
    enum sb_cause cause = SB_CAUSE_NONE;
    const char *wrong = NULL, *task = sb_json_str(paras, "task_id");
    json_t *package = sb_huawei_package(paras, module, &cause, &wrong);
    if (wrong) {
        refuse_new(turn, sb_json_str(paras, "version"), module, event, cause, wrong);
        return;
    }
    if (!package) {
        turn->effects->broken = true;
        return;
    }
    hold(turn, service);
    begin(turn, &turn->state->asked, sb_json_str(paras, "version"), module, event);
    bool named = task && *task && strlen(task) <= SB_HUAWEI_ID_MAX;
    sb_huawei_submit(turn, SB_HUAWEI_UPGRADE, named ? task : NULL, SB_OP_FIRMWARE_UPDATE, NULL,
                     package);
}

static void on_upgrade(struct sb_huawei_turn *turn, const json_t *service, bool software)
{
    const struct sb_input *in = turn->in;
    const json_t *paras = sb_json_object(service, "paras");
    const char *event = sb_json_str(service, "event_id"), *version = sb_json_str(paras, "version");
    const char *module = module_of(turn, software);
    event = event && *event && strlen(event) <= SB_HUAWEI_ID_MAX ? event : NULL;
    if (!in->device && !in->self) {
        refuse(turn, NULL, SB_CAUSE_DEVICE_GONE, "no such device behind this gateway", false);
    } else if (repeated(turn, event)) {
        return;
    } else if (!in->ready && !in->durable) {
        refuse(turn, module, SB_CAUSE_BUSY, in->why, false);
    } else if (!in->ready) {
        hold(turn, service);
        if (!put_off(turn))
            refuse(turn, module, SB_CAUSE_BUSY, in->why, false);
    } else if (version && is_there(turn, module, version) && !turn->state->upgrade.task) {
        begin(turn, &turn->state->asked, version, module, event);
        become(turn, 0);
        conclude(turn, report_paras(turn, module, CODE_OK, PERCENT_END, "already there"), 0,
                 "already_current");
    } else if (!sb_dialect_can(in, SB_OP_FIRMWARE_UPDATE)) {
        refuse_new(turn, version, module, event, SB_CAUSE_UNSUPPORTED, NULL);
    } else {
        ask(turn, service, module, event);
    }
}

void sb_huawei_ota_verdict(struct sb_huawei_turn *turn)
{
    struct sb_huawei_state *state = turn->state;
    const struct sb_verdict *verdict = turn->in->verdict;
    if (!sb_streq(turn->in->tag, SB_HUAWEI_UPGRADE) || !state->asked.version)
        return;
    if (verdict->cause == SB_CAUSE_BUSY && put_off(turn)) {
        sb_huawei_upgrade_clear(&state->asked);
        return;
    }
    sb_huawei_json_clear(&state->waiting);
    if (verdict->cause == SB_CAUSE_NONE) {
        become(turn, verdict->task);
        return;
    }
    if (state->upgrade.task == 0) {
        become(turn, 0);
        refuse(turn, state->upgrade.module, verdict->cause, verdict->text, true);
        return;
    }
    refuse(turn, state->asked.module, verdict->cause, verdict->text, false);
    sb_huawei_upgrade_clear(&state->asked);
}

/* ---- events ---- */

/* A device that nobody knows here is offline. */
static void disown(struct sb_huawei_turn *turn)
{
    char id[SB_UUID_TEXT + 1];
    sb_uuid(id);
    sb_huawei_send_event(turn, SB_HUAWEI_FAMILY, sb_words_name(turn->in->words, "event_status"), id,
                         json_pack("{s:[{s:s,s:s}]}", "device_statuses", "device_id",
                                   sb_huawei_who(turn), "status", "OFFLINE"));
}

static void on_query(struct sb_huawei_turn *turn)
{
    const struct sb_input *in = turn->in;
    if (!in->device && !in->self)
        disown(turn);
    else if (sb_huawei_is_ready(turn))
        sb_huawei_versions(turn, true);
    else
        turn->state->queried = true; /* what was true once is no answer */
}

/* False: it is no upgrade. */
static bool upgrades(struct sb_huawei_turn *turn, const json_t *service)
{
    static const struct {
        const char *word;
        bool software;
    } events[] = { { "event_firmware", false },
                   { "event_firmware_v2", false },
                   { "event_software", true },
                   { "event_software_v2", true } };
    const char *type = sb_json_str(service, "event_type");
    for (size_t i = 0; i < SB_COUNT(events); i++) {
        if (!sb_streq(type, sb_words_name(turn->in->words, events[i].word)))
            continue;
        on_upgrade(turn, service, events[i].software);
        return true;
    }
    return false;
}

void sb_huawei_ota_due(struct sb_huawei_turn *turn)
{
    sb_cleanup(json_decrefp) json_t *service = SB_STEAL(turn->state->waiting);
    if (service)
        (void)upgrades(turn, service);
}

void sb_huawei_ota(struct sb_huawei_turn *turn, const json_t *service)
{
    struct sb_huawei_state *state = turn->state;
    const char *type = sb_json_str(service, "event_type");
    if (sb_streq(type, sb_words_name(turn->in->words, "event_query"))) {
        on_query(turn);
        return;
    }
    int64_t until = state->waiting_until;
    state->waiting_until = 0; /* a later one takes its place */
    if (upgrades(turn, service))
        return;
    state->waiting_until = until;
    sb_cleanup(sb_freep) char *clean = sb_dialect_presentable(type ? type : "none");
    sb_effects_note(turn->effects, "an $ota event of unknown type is ignored: %.60s",
                    clean ? clean : "");
}
