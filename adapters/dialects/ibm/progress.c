/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of an accepted action. The mapping's cell for the task's state or cause says what
 * is sent; here is only when: first the response that is still owed, then mgmt.firmware, then
 * diagnostics, then manage.
 */
#include <inttypes.h>

#include "adapters/dialects/ibm/parts.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"

static bool is_restart(enum sb_op op)
{
    return op == SB_OP_REBOOT || op == SB_OP_FACTORY_RESET;
}

static void finish(struct sb_ibm_turn *turn, const struct sb_ibm_ask *ask)
{
    sb_ibm_ask_timer(turn, ask, -1);
    sb_ibm_ask_remove(turn->state, ask);
    turn->effects->save = true;
}

/* ---- the response ---- */

static void answer_accepted(struct sb_ibm_turn *turn, struct sb_ibm_ask *ask, int rc, int64_t task)
{
    sb_ibm_ask_timer(turn, ask, -1);
    sb_ibm_reply(turn, ask->id, rc, NULL, NULL, task);
    ask->answered = true;
}

static int rc_of(const struct sb_task *task, const json_t *cell)
{
    const struct sb_native *native = &task->native;
    bool ours = task->state == SB_TASK_FAILED && sb_streq(native->dialect, "ibm") &&
                sb_streq(native->vocabulary, "rc") && native->code;
    if (ours && strlen(native->code) == 3 && (native->code[0] == '4' || native->code[0] == '5') &&
        strspn(native->code, "0123456789") == 3)
        return (int)strtol(native->code, NULL, 10);
    return (int)sb_json_int(cell, "rc", SB_IBM_RC_FAILED);
}

/* The response to a request that was not answered yet, if this state or cause has one. */
static void respond(struct sb_ibm_turn *turn, struct sb_ibm_ask *ask, const struct sb_task *task)
{
    const json_t *cell = sb_dialect_task_cell(turn->in, task);
    bool failed = sb_task_state_is_final(task->state) && task->state != SB_TASK_SUCCEEDED;
    if (!failed) {
        bool ended = task->state == SB_TASK_SUCCEEDED;
        int64_t rc = sb_json_int(cell, "rc", ended ? SB_IBM_RC_ACCEPTED : 0);
        if (rc > 0)
            answer_accepted(turn, ask, (int)rc, task->id);
        return;
    }
    sb_cleanup(sb_freep) char *text = sb_dialect_task_text(turn->in, task);
    sb_ibm_reply(turn, ask->id, rc_of(task, cell), text, NULL, task->id);
}

/* ---- custom actions ---- */

static void add_result(struct sb_str *text, json_t *fields, const char *name, json_t *value)
{
    sb_cleanup(sb_freep) char *plain =
        json_is_string(value) ? strdup(json_string_value(value)) : sb_json_text(value);
    sb_str_format(text, "%s%s=%s", text->length ? ", " : "", name, plain ? plain : "?");
    if (sb_ibm_add_field(fields, name, json_incref(value)) < 0)
        text->broken = true;
}

#define RESULT_TEXT_MAX_ 300
#define RESULT_MAX_      (SB_IBM_PAYLOAD_MAX - 1024) /* bytes of d.fields: the rest is the envelope */

/* Caller frees; NULL: nothing to say. */
static char *result_message(size_t size, const struct sb_str *text)
{
    if (size > RESULT_MAX_)
        return sb_format("done; the result of %zu bytes does not fit into a message", size);
    if (text->length > RESULT_TEXT_MAX_)
        return strdup("see d.fields");
    return text->length > 0 ? strdup(sb_str_get(text)) : NULL;
}

static void respond_result(struct sb_ibm_turn *turn, const struct sb_ibm_ask *ask,
                           const struct sb_task *task)
{
    const json_t *cell = sb_dialect_task_cell(turn->in, task);
    sb_cleanup(json_decrefp) json_t *fields = json_array();
    struct sb_str text = { 0 };
    const char *name;
    json_t *value;
    json_object_foreach (task->result, name, value)
        add_result(&text, fields, name, value);
    turn->effects->broken = turn->effects->broken || text.broken;
    size_t size = json_dumpb(fields, NULL, 0, JSON_COMPACT);
    sb_cleanup(sb_freep) char *message = result_message(size, &text);
    bool whole = json_array_size(fields) > 0 && size <= RESULT_MAX_;
    sb_ibm_reply(turn, ask->id, (int)sb_json_int(cell, "final", SB_IBM_RC_OK), message,
                 whole ? fields : NULL, task->id);
    sb_str_done(&text);
}

static void end_custom(struct sb_ibm_turn *turn, struct sb_ibm_ask *ask, const struct sb_task *task)
{
    bool good = task->state == SB_TASK_SUCCEEDED;
    if (ask->answered) { /* as still running: the log is the only place left */
        sb_cleanup(sb_freep) char *reason = sb_dialect_task_text(turn->in, task);
        sb_cleanup(sb_freep) char *text =
            sb_format("%s of request %s %s: %s", sb_op_name((int)ask->op), ask->id,
                      sb_task_state_name((int)task->state), reason ? reason : "");
        sb_ibm_diag_log(turn, text, good ? SB_IBM_INFO : SB_IBM_ERROR, task->id);
    } else if (good) {
        respond_result(turn, ask, task);
    } else {
        respond(turn, ask, task);
    }
    finish(turn, ask);
}

/* ---- the end of the others ---- */

/* Whether the device's return will mean that it has rebooted: it was told to, and is away. Of a
 * factory reset the return says nothing. */
static bool return_completes(const struct sb_ibm_turn *turn, const struct sb_task *task)
{
    const struct sb_device *device = turn->in->device;
    return task->job->op == SB_OP_REBOOT && task->committed && device &&
           device->presence == SB_PRESENCE_OFFLINE &&
           sb_json_bool(sb_dialect_task_cell(turn->in, task), "maybe", false);
}

static void end_restart(struct sb_ibm_turn *turn, const struct sb_task *task)
{
    enum sb_ibm_restart which =
        task->job->op == SB_OP_FACTORY_RESET ? SB_IBM_RESETS : SB_IBM_REBOOTS;
    if (task->state == SB_TASK_SUCCEEDED)
        sb_ibm_hold_end(turn, which);
    else
        sb_ibm_hold(turn, which,
                    return_completes(turn, task) ? SB_IBM_HOLD_RETURN : SB_IBM_HOLD_TIME);
}

/* After its response, and after mgmt.firmware. */
static void end_action(struct sb_ibm_turn *turn, struct sb_ibm_ask *ask, const struct sb_task *task)
{
    bool good = task->state == SB_TASK_SUCCEEDED, answered = ask->answered;
    enum sb_op op = ask->op;
    finish(turn, ask);
    if (good)
        sb_ibm_diag_success(turn, task);
    else if (answered)
        sb_ibm_diag_failure(turn, task);
    if (is_restart(op) && answered)
        end_restart(turn, task);
    else if (op == SB_OP_FIRMWARE_INSTALL)
        sb_ibm_manage(turn, good ? SB_IBM_ALWAYS : SB_IBM_IF_CHANGED);
}

/* ---- news ---- */

static bool belongs(const struct sb_ibm_ask *ask, const struct sb_task *task)
{
    return ask->task ? ask->task == task->id : sb_streq(ask->id, task->job->external_id);
}

static bool respond_all(struct sb_ibm_turn *turn, const struct sb_task *task)
{
    bool answered = false;
    for (size_t i = 0; i < turn->state->ask_count; i++) {
        struct sb_ibm_ask *ask = &turn->state->asks[i];
        if (!belongs(ask, task))
            continue;
        bool begun = ask->begun || sb_task_state_is_under_way(task->state);
        turn->effects->save = turn->effects->save || ask->task == 0 || begun != ask->begun;
        ask->task = task->id;
        ask->begun = begun;
        if (!ask->custom && !ask->answered)
            respond(turn, ask, task);
        answered = answered || ask->answered;
    }
    return answered;
}

void sb_ibm_task_news(struct sb_ibm_turn *turn)
{
    const struct sb_task *task = turn->in->news->task;
    bool answered = respond_all(turn, task);
    if (sb_op_is_firmware(task->job->op))
        sb_ibm_firmware_follow(turn, task, true, answered);
    if (!sb_task_state_is_final(task->state))
        return;
    for (size_t i = turn->state->ask_count; i-- > 0;) {
        struct sb_ibm_ask *ask = &turn->state->asks[i];
        if (!belongs(ask, task))
            continue;
        if (ask->custom)
            end_custom(turn, ask, task);
        else
            end_action(turn, ask, task);
    }
}

/* A task that ended while nobody here listened: say so, and do not guess. */
void sb_ibm_task_lost(struct sb_ibm_turn *turn, int64_t id)
{
    struct sb_ibm_state *state = turn->state;
    for (size_t i = state->ask_count; i-- > 0;) {
        struct sb_ibm_ask *ask = &state->asks[i];
        if (ask->task != id)
            continue;
        struct sb_job job = { .op = ask->op };
        struct sb_task task = {
            .id = id, .job = &job, .state = SB_TASK_FAILED, .cause = SB_CAUSE_OUTCOME_UNKNOWN
        };
        if (!ask->custom && !ask->answered)
            respond(turn, ask, &task);
        if (ask->custom)
            end_custom(turn, ask, &task);
        else
            end_action(turn, ask, &task);
    }
    if (state->firmware.task == id && id != 0)
        sb_ibm_firmware_lost(turn);
}

void sb_ibm_verdict(struct sb_ibm_turn *turn)
{
    const struct sb_verdict *verdict = turn->in->verdict;
    struct sb_ibm_ask *ask = sb_ibm_ask_find(turn->state, turn->in->tag);
    if (!ask)
        return; /* it has ended already */
    turn->effects->save = true;
    if (verdict->cause != SB_CAUSE_NONE) {
        sb_ibm_refuse(turn, ask->id, ask->op, verdict->cause, verdict->text, 0);
        finish(turn, ask);
        return;
    }
    ask->task = verdict->task;
    sb_ibm_firmware_expect(turn, ask);
    if (!ask->answered)
        sb_ibm_ask_timer(
            turn, ask,
            sb_words_limit(turn->in->words, ask->custom ? "custom_within" : "answer_within"));
}

/* ---- waiting has its end ---- */

/* Nothing was done yet: take it back, so that the error is the truth. */
static void withdraw(struct sb_ibm_turn *turn, const struct sb_ibm_ask *ask)
{
    int64_t task = ask->task;
    sb_ibm_refuse(turn, ask->id, ask->op, SB_CAUSE_EXPIRED, "not begun in time, and taken back",
                  task);
    finish(turn, ask);
    struct sb_output *cancel = sb_effects_add(turn->effects, SB_OUT_CANCEL);
    if (!cancel)
        return;
    cancel->task = task;
    cancel->cause = SB_CAUSE_EXPIRED;
}

static void custom_due(struct sb_ibm_turn *turn, struct sb_ibm_ask *ask)
{
    if (!ask->begun) {
        withdraw(turn, ask);
        return;
    }
    sb_cleanup(sb_freep) char *text =
        sb_format("still running after %" PRId64 " s; its end will be told in the diagnostic log",
                  sb_words_limit(turn->in->words, "custom_within") / SB_SECOND);
    sb_ibm_reply(turn, ask->id, SB_IBM_RC_FAILED, text, NULL, ask->task);
    ask->answered = true;
    turn->effects->save = true;
}

void sb_ibm_ask_due(struct sb_ibm_turn *turn, struct sb_ibm_ask *ask)
{
    if (ask->answered)
        return;
    if (ask->custom) {
        custom_due(turn, ask);
        return;
    }
    const json_t *cell = sb_words_cell(turn->in->words, SB_ROLE_SENDS, ask->op, SB_TASK_SENT,
                                       SB_CAUSE_NONE, SB_PHASE_WAITING);
    answer_accepted(turn, ask, (int)sb_json_int(cell, "rc", SB_IBM_RC_ACCEPTED), ask->task);
}
