/* SPDX-License-Identifier: Apache-2.0 */
/* Updates: what is pushed, how far it is, and which versions there are. */
#include <errno.h>
#include <inttypes.h>

#include "adapters/dialects/alibaba/parts.h"
#include "bridge/base/str.h"

#define OFFER       "offer" /* tag of its submit, and of the timer that asks again */
#define VERSION_MAX 64
#define UNTOLD      (-5)

/* ---- saying it ---- */

static json_t *with_module(struct sb_ali_turn *turn, json_t *params, const char *module)
{
    sb_ali_keep(turn, sb_json_put_str(params, "module", *module ? module : NULL));
    return params;
}

static void tell_step(struct sb_ali_turn *turn, const char *module, int step, const char *text,
                      int64_t task)
{
    sb_cleanup(sb_freep) char *number = sb_format("%d", step);
    sb_cleanup(sb_freep) char *clean = sb_dialect_presentable(text ? text : "");
    json_t *params = json_pack("{s:s*,s:s*}", "step", number, "desc", clean);
    sb_ali_send(turn,
                &(struct sb_ali_parcel){
                    .base = "topic_progress",
                    .what = number,
                    .payload = sb_ali_request(turn, NULL, with_module(turn, params, module), NULL),
                    .qos = step < 0 || step == 100,
                    .task = task });
}

static void tell_version(struct sb_ali_turn *turn, const char *module, const char *version)
{
    struct sb_ali_state *state = turn->state;
    if (state->stage != SB_ALI_IN || !*version || strlen(version) > VERSION_MAX)
        return;
    if (!state->informed)
        state->informed = json_object();
    sb_ali_keep(turn, json_object_set_new(state->informed, module, json_string(version)));
    json_t *params = with_module(turn, json_pack("{s:s}", "version", version), module);
    sb_ali_send(turn, &(struct sb_ali_parcel){ .base = "topic_inform",
                                               .what = version,
                                               .payload = sb_ali_request(turn, NULL, params, NULL),
                                               .qos = 1 });
}

/* The platform has seen it begin: a version that is neither the old one, as it knows it, nor the
 * new one would be its failure. Another cloud may have installed one since it was offered. */
static bool is_between(const struct sb_ali_turn *turn, const char *module, const char *version)
{
    const struct sb_ali_update *update = sb_ali_update_of(turn->state, module);
    return update && update->task && update->step >= 0 && !sb_streq(update->version, version);
}

void sb_ali_inform(struct sb_ali_turn *turn)
{
    const char *module;
    json_t *version;
    if (!turn->in->device || turn->in->self)
        return;
    json_object_foreach (turn->in->device->versions, module, version) {
        const char *text = json_string_value(version);
        if (text && !sb_streq(sb_json_str(turn->state->informed, module), text) &&
            !is_between(turn, module, text))
            tell_version(turn, module, text);
    }
}

/* ---- what is offered ---- */

static void refuse(struct sb_ali_turn *turn, const char *module, enum sb_cause cause,
                   const char *text)
{
    const json_t *cell = sb_dialect_cause_cell(turn->in, cause);
    const char *own = sb_json_str(cell, "message");
    tell_step(turn, module, (int)sb_json_int(cell, "step", -1), text && *text ? text : own, 0);
}

static void ask_again(struct sb_ali_turn *turn)
{
    sb_effects_timer(turn->effects, OFFER, sb_words_limit(turn->in->words, "offer_retry"));
}

/* The device has it already: that is what the platform waits for. */
static bool is_there(struct sb_ali_turn *turn, const char *module, const char *version)
{
    if (!sb_streq(sb_ali_version(turn, module), version))
        return false;
    struct sb_ali_update *update = sb_ali_update_of(turn->state, module);
    if (update && !update->task)
        sb_ali_update_end(turn, update);
    tell_version(turn, module, version);
    return true;
}

/* ret_id (may be NULL): its id, caller frees. */
static void get_one(struct sb_ali_turn *turn, const char *module, char **ret_id)
{
    json_t *params = with_module(turn, json_object(), module);
    sb_ali_send(turn,
                &(struct sb_ali_parcel){
                    .base = "topic_sys",
                    .rest = sb_words_name(turn->in->words, "firmware_get"),
                    .payload = sb_ali_request(turn, "thing.ota.firmware.get", params, ret_id) });
}

/* And asks whether the platform has it: what it has offered before may be on its way. */
static void tell_failure(struct sb_ali_turn *turn, struct sb_ali_update *update, int64_t task)
{
    tell_step(turn, update->module, update->step, update->text, task);
    free(SB_STEAL(update->asked));
    get_one(turn, update->module, &update->asked);
    update->late_until = turn->in->now + sb_words_limit(turn->in->words, "reply_timeout");
}

/* A version that has failed here is offered; id: in reply to this. If nobody could be told yet, the
 * platform waits for it, and is told now. Not before: a step names no version, and is taken for
 * whatever the platform wants by then. Offered once more, it is wanted anew. */
static bool has_failed_before(struct sb_ali_turn *turn, const char *module, const char *version,
                              const char *id)
{
    struct sb_ali_update *update = sb_ali_update_of(turn->state, module);
    if (!update || update->task || !sb_streq(update->version, version))
        return false;
    if (!update->asked)
        tell_failure(turn, update, 0);
    else if (sb_streq(update->asked, id) || turn->in->now >= update->late_until)
        return false;
    return true;
}

/* Another version than the one that is open: what has not begun gives way, else this one waits. */
static void make_way(struct sb_ali_turn *turn, const char *module, const char *version)
{
    struct sb_ali_update *update = sb_ali_update_of(turn->state, module);
    if (!update || !update->task || sb_streq(update->version, version))
        return;
    const int64_t waiting[] = { update->begun ? 0 : update->task, update->other };
    sb_ali_update_end(turn, update); /* how it ends is not told as the end of the new one */
    for (size_t i = 0; i < SB_COUNT(waiting); i++)
        if (waiting[i])
            sb_effects_cancel(turn->effects, waiting[i], SB_CAUSE_OVERRIDDEN);
}

void sb_ali_offered(struct sb_ali_turn *turn, const json_t *data, const char *id)
{
    struct sb_ali_state *state = turn->state;
    const char *module = sb_alibaba_module(data), *version = sb_json_str(data, "version");
    const char *wrong = NULL;
    enum sb_cause cause = SB_CAUSE_NONE;
    if ((!turn->in->device && !turn->in->self) || state->offer || json_object_size(data) == 0)
        return;
    json_t *package = sb_alibaba_package(data, &cause, &wrong);
    if (!package) {
        refuse(turn, wrong && strlen(module) <= VERSION_MAX ? module : "", cause, wrong);
    } else if (!sb_dialect_can(turn->in, SB_OP_FIRMWARE_UPDATE)) {
        refuse(turn, module, SB_CAUSE_UNSUPPORTED, NULL);
        json_decref(package);
    } else if (is_there(turn, module, version) || has_failed_before(turn, module, version, id)) {
        json_decref(package);
    } else if (!turn->in->ready) {
        ask_again(turn);
        json_decref(package);
    } else {
        make_way(turn, module, version);
        state->offer = json_deep_copy(data);
        sb_ali_submit(turn, OFFER, NULL, SB_OP_FIRMWARE_UPDATE, NULL, package);
    }
}

bool sb_ali_offer_verdict(struct sb_ali_turn *turn)
{
    struct sb_ali_state *state = turn->state;
    const struct sb_verdict *verdict = turn->in->verdict;
    if (!sb_streq(turn->in->tag, OFFER))
        return false;
    sb_cleanup(json_decrefp) json_t *data = SB_STEAL(state->offer);
    const char *module = sb_alibaba_module(data);
    if (verdict->cause == SB_CAUSE_BUSY) {
        ask_again(turn);
    } else if (verdict->cause != SB_CAUSE_NONE) {
        refuse(turn, module, verdict->cause, verdict->text);
    } else if (!sb_ali_update_by_task(state, verdict->task) &&
               !sb_ali_update_add(turn, module, sb_json_str(data, "version"), verdict->task)) {
        sb_effects_cancel(turn->effects, verdict->task, SB_CAUSE_OVERRIDDEN);
        refuse(turn, module, SB_CAUSE_BUSY, "too many modules are being updated");
    }
    return true;
}

/* Nothing to do: nobody waits for what has failed. */
static void forget_failures(struct sb_ali_turn *turn)
{
    struct sb_ali_state *state = turn->state;
    for (size_t i = state->update_count; i-- > 0;)
        if (!state->updates[i].task)
            sb_ali_update_end(turn, &state->updates[i]);
}

void sb_ali_firmware_reply(struct sb_ali_turn *turn)
{
    const struct sb_message *message = turn->in->message;
    if (message->error || message->code != SB_ALIBABA_OK)
        sb_effects_note(turn->effects, "the platform does not say whether there is firmware: %s",
                        message->error ? message->error : "it refused to");
    else if (json_object_size(message->body) == 0)
        forget_failures(turn);
    else
        sb_ali_offered(turn, message->body, message->id);
}

void sb_ali_firmware_get(struct sb_ali_turn *turn)
{
    const json_t *versions = turn->in->device ? turn->in->device->versions : NULL;
    const char *module;
    json_t *version;
    if (!json_object_get(versions, "")) /* it may be offered all the same */
        get_one(turn, "", NULL);
    json_object_foreach ((json_t *)versions, module, version) {
        if (json_is_string(version))
            get_one(turn, module, NULL);
    }
}

/* ---- how far it is ---- */

/* A device that speaks this dialect itself: its own number (round trip). */
static int failure_of(const struct sb_task *task, const json_t *cell)
{
    const struct sb_native *native = &task->native;
    const char *code = native->code;
    if (sb_streq(native->dialect, "alibaba") && sb_streq(native->vocabulary, "step") && code &&
        strlen(code) == 2 && code[0] == '-' && code[1] >= '1' && code[1] <= '4')
        return '0' - code[1];
    return (int)sb_json_int(cell, "step", -1);
}

static void has_failed(struct sb_ali_turn *turn, struct sb_ali_update *update,
                       const struct sb_task *task)
{
    sb_cleanup(sb_freep) char *text = sb_dialect_task_text(turn->in, task);
    update->task = 0;
    update->step = failure_of(task, sb_dialect_task_cell(turn->in, task));
    sb_effects_set(turn->effects, &update->text, text);
    turn->effects->save = true;
    if (turn->in->connected && turn->state->stage == SB_ALI_IN)
        tell_failure(turn, update, task->id);
    sb_ali_inform(turn); /* what could not be told meanwhile */
}

/* Success is the report of the version; the last step comes before it, if it is not there yet. */
static void has_succeeded(struct sb_ali_turn *turn, struct sb_ali_update *update, int64_t task)
{
    const char *version = sb_ali_version(turn, update->module);
    bool told = sb_streq(sb_json_str(turn->state->informed, update->module), update->version);
    if (!told && update->step < 100)
        tell_step(turn, update->module, 100, "", task);
    if (!version) /* nothing was read back, as the type's `verify` says */
        tell_version(turn, update->module, update->version);
    sb_ali_inform(turn);
    sb_ali_update_end(turn, update);
}

static void has_moved(struct sb_ali_turn *turn, struct sb_ali_update *update,
                      const struct sb_task *task)
{
    const json_t *cell = sb_dialect_task_cell(turn->in, task);
    bool begun = update->begun || sb_task_state_is_under_way(task->state);
    turn->effects->save = turn->effects->save || begun != update->begun;
    update->begun = begun;
    int step = UNTOLD;
    if (sb_json_bool(cell, "percent", false))
        step = SB_MIN((int)SB_MAX(task->percent, task->furthest_percent), 99);
    else
        step = (int)sb_json_int(cell, "step", UNTOLD);
    bool far = update->step < 0 || step == 100 ||
               step - update->step >= (int)sb_words_limit(turn->in->words, "step_every");
    if (step <= update->step || !far)
        return;
    update->step = step;
    turn->effects->save = true;
    tell_step(turn, update->module, step, "", task->id);
}

static void take_over(struct sb_ali_turn *turn, struct sb_ali_update *update)
{
    update->task = update->other;
    update->other = 0;
    turn->effects->save = true;
    sb_effects_look(turn->effects, update->task);
}

void sb_ali_update_follow(struct sb_ali_turn *turn, struct sb_ali_update *update,
                          const struct sb_task *task)
{
    bool final = sb_task_state_is_final(task->state);
    /* However its task ended: the version is what the platform was told, and closes it. */
    bool there = final && sb_streq(sb_ali_version(turn, update->module), update->version);
    if (task->state == SB_TASK_SUCCEEDED || there)
        has_succeeded(turn, update, task->id);
    else if (final && update->other)
        take_over(turn, update);
    else if (final)
        has_failed(turn, update, task);
    else
        has_moved(turn, update, task);
}

void sb_ali_updates_login(struct sb_ali_turn *turn)
{
    struct sb_ali_state *state = turn->state;
    for (size_t i = 0; i < state->update_count; i++) {
        const struct sb_ali_update *update = &state->updates[i];
        if (update->task && update->step != UNTOLD)
            tell_step(turn, update->module, update->step, update->text, update->task);
    }
}
