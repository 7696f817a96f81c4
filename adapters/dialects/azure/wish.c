/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Desired properties. A wish is remembered by the digest of its content, so that it is acted on
 * once; see conversation.h.
 */
#include "adapters/dialects/azure/parts.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"

#define FIRMWARE_TAG      "wish:firmware"
#define CONFIGURATION_TAG "wish:configuration"

static void say(struct sb_azure_turn *turn, struct sb_azure_wish *wish, int ac, const char *text)
{
    sb_cleanup(sb_freep) char *clean = sb_dialect_presentable(text ? text : "");
    wish->ac = ac;
    sb_effects_set(turn->effects, &wish->ad, clean ? clean : "");
    turn->effects->save = true;
}

static bool is_firmware(const struct sb_azure_turn *turn, const struct sb_azure_wish *wish)
{
    return wish == &turn->state->firmware;
}

static const char *tag_of(const struct sb_azure_turn *turn, const struct sb_azure_wish *wish)
{
    return is_firmware(turn, wish) ? FIRMWARE_TAG : CONFIGURATION_TAG;
}

/* ---- acting on one ---- */

static void refuse(struct sb_azure_turn *turn, struct sb_azure_wish *wish, enum sb_cause cause,
                   const char *text)
{
    const json_t *cell = sb_dialect_cause_cell(turn->in, cause);
    const char *own = sb_json_str(cell, "message");
    const char *why = text && *text ? text : own ? own : sb_cause_name((int)cause);
    say(turn, wish, (int)sb_json_int(cell, "ac", SB_AZURE_FAILED), why);
    if (is_firmware(turn, wish))
        sb_azure_refused(turn, wish, cause, why);
}

static void later(struct sb_azure_turn *turn, struct sb_azure_wish *wish, const char *why)
{
    wish->due = true;
    say(turn, wish, SB_AZURE_ACCEPTED, why);
    sb_effects_timer(turn->effects, tag_of(turn, wish),
                     sb_words_limit(turn->in->words, "wish_retry"));
}

static bool is_current(const struct sb_azure_turn *turn, const json_t *spec)
{
    const char *wanted = sb_azure_version(spec);
    const char *version = turn->in->device ? sb_json_str(turn->in->device->versions, "") : NULL;
    return wanted && version && sb_streq(wanted, version);
}

static void act_on_firmware(struct sb_azure_turn *turn, struct sb_azure_wish *wish)
{
    const char *wrong = NULL;
    if (is_current(turn, wish->spec)) {
        say(turn, wish, SB_AZURE_OK, "the device has this version");
        sb_azure_at_rest(turn);
        return;
    }
    if (!sb_dialect_can(turn->in, SB_OP_FIRMWARE_UPDATE)) {
        refuse(turn, wish, SB_CAUSE_UNSUPPORTED, NULL);
        return;
    }
    json_t *package = sb_azure_package(turn, wish->spec, &wrong);
    if (wrong)
        refuse(turn, wish, SB_CAUSE_INVALID_REQUEST, wrong);
    else
        sb_azure_submit(turn, FIRMWARE_TAG, SB_OP_FIRMWARE_UPDATE, false, NULL, package);
}

static void act_on_configuration(struct sb_azure_turn *turn, struct sb_azure_wish *wish)
{
    if (sb_dialect_can(turn->in, SB_OP_CONFIGURE))
        sb_azure_submit(turn, CONFIGURATION_TAG, SB_OP_CONFIGURE, false,
                        json_pack("{s:O}", "values", wish->spec), NULL);
    else
        refuse(turn, wish, SB_CAUSE_UNSUPPORTED, NULL);
}

static void act(struct sb_azure_turn *turn, struct sb_azure_wish *wish)
{
    turn->effects->save = true;
    wish->due = wish->begun = false;
    wish->task = 0;
    if (!turn->in->ready)
        later(turn, wish, turn->in->why ? turn->in->why : "the gateway cannot take requests now");
    else if (is_firmware(turn, wish))
        act_on_firmware(turn, wish);
    else
        act_on_configuration(turn, wish);
}

static bool keep_spec(struct sb_azure_turn *turn, struct sb_azure_wish *wish, const json_t *spec)
{
    json_decref(wish->spec);
    wish->spec = json_deep_copy(spec);
    turn->effects->broken = turn->effects->broken || !wish->spec;
    return wish->spec != NULL;
}

/* Told again. What differs is no part of the content: credentials, which are worth more than those
 * that are at hand. An open task gets them by being asked for once more. */
static void refresh(struct sb_azure_turn *turn, struct sb_azure_wish *wish, const json_t *spec,
                    int64_t version)
{
    bool fresh = !json_equal(spec, wish->spec);
    turn->effects->save = turn->effects->save || fresh || wish->version != version;
    wish->version = version;
    if (!fresh || !keep_spec(turn, wish, spec) || !wish->task || !is_firmware(turn, wish))
        return;
    const char *wrong = NULL;
    json_t *package = turn->in->ready ? sb_azure_package(turn, wish->spec, &wrong) : NULL;
    if (package)
        sb_azure_submit(turn, FIRMWARE_TAG, SB_OP_FIRMWARE_UPDATE, false, NULL, package);
}

/* ---- what is desired now ---- */

/* Nobody wishes it any more: what has not begun is taken back. */
static void forget(struct sb_azure_turn *turn, struct sb_azure_wish *wish)
{
    if (!wish->content)
        return;
    if (wish->task && !wish->begun)
        sb_effects_cancel(turn->effects, wish->task, SB_CAUSE_OVERRIDDEN);
    if (wish->due)
        sb_effects_timer(turn->effects, tag_of(turn, wish), -1);
    sb_azure_wish_clear(wish);
    turn->effects->save = true;
}

/* Takes content. */
static void wish_for(struct sb_azure_turn *turn, struct sb_azure_wish *wish, const json_t *spec,
                     char *content, int64_t version)
{
    sb_cleanup(sb_freep) char *mine = content;
    if (!mine) {
        turn->effects->broken = true;
        return;
    }
    if (sb_streq(mine, wish->content)) {
        refresh(turn, wish, spec, version);
        return;
    }
    free(wish->content);
    wish->content = SB_STEAL(mine);
    wish->version = version;
    if (!keep_spec(turn, wish, spec))
        return;
    say(turn, wish, SB_AZURE_ACCEPTED, "accepted"); /* what became of the last one is not its end */
    act(turn, wish);
}

/* Without what is the hub's own ($version). NULL without memory. */
static json_t *own_members(const json_t *object)
{
    json_t *copy = json_object();
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)object, key, value) {
        if (*key != '$' && json_object_set(copy, key, value) < 0) {
            json_decref(copy);
            return NULL;
        }
    }
    return copy;
}

static void consider(struct sb_azure_turn *turn, struct sb_azure_wish *wish, const json_t *spec,
                     int64_t version)
{
    if (!spec)
        turn->effects->broken = true;
    else if (json_object_size(spec) == 0)
        forget(turn, wish);
    else
        wish_for(turn, wish, spec,
                 is_firmware(turn, wish) ? sb_azure_firmware_content(spec)
                                         : sb_azure_values_content(spec),
                 version);
}

void sb_azure_wishes(struct sb_azure_turn *turn, const json_t *desired, int64_t version)
{
    struct sb_azure_state *state = turn->state;
    sb_cleanup(json_decrefp) json_t *firmware =
        own_members(sb_json_object(desired, sb_words_name(turn->in->words, "twin_firmware")));
    sb_cleanup(json_decrefp) json_t *values =
        own_members(sb_json_object(desired, sb_words_name(turn->in->words, "twin_configuration")));
    consider(turn, &state->firmware, firmware, version);
    consider(turn, &state->configuration, values, version);
}

/* ---- what becomes of it ---- */

static struct sb_azure_wish *wish_of(struct sb_azure_turn *turn, const char *tag)
{
    if (sb_streq(tag, FIRMWARE_TAG))
        return &turn->state->firmware;
    return sb_streq(tag, CONFIGURATION_TAG) ? &turn->state->configuration : NULL;
}

bool sb_azure_wish_verdict(struct sb_azure_turn *turn)
{
    const struct sb_verdict *verdict = turn->in->verdict;
    struct sb_azure_wish *wish = wish_of(turn, turn->in->tag);
    if (!wish)
        return false;
    if (wish->task && (verdict->cause != SB_CAUSE_NONE || verdict->task == wish->task))
        return true; /* a refresh: whatever was said of it stays */
    if (verdict->cause == SB_CAUSE_NONE) {
        wish->task = verdict->task;
        struct sb_azure_open *open = sb_azure_await(
            turn, wish->task, is_firmware(turn, wish) ? SB_OP_FIRMWARE_UPDATE : SB_OP_CONFIGURE);
        if (open)
            open->answers = false;
        say(turn, wish, SB_AZURE_ACCEPTED, "accepted");
    } else if (sb_cause_is_transient(verdict->cause) || verdict->cause == SB_CAUSE_CONFLICT) {
        later(turn, wish, verdict->text ? verdict->text : sb_cause_name((int)verdict->cause));
    } else {
        refuse(turn, wish, verdict->cause, verdict->text);
    }
    return true;
}

static void follow(struct sb_azure_turn *turn, struct sb_azure_wish *wish,
                   const struct sb_task *task)
{
    if (wish->task != task->id)
        return;
    bool final = sb_task_state_is_final(task->state);
    bool begun = wish->begun || sb_task_state_is_under_way(task->state);
    const json_t *cell = sb_dialect_task_cell(turn->in, task);
    int ac = (int)sb_json_int(cell, "ac", wish->ac);
    if (final || ac != wish->ac) {
        sb_cleanup(sb_freep) char *text = final ? sb_dialect_task_text(turn->in, task) : NULL;
        say(turn, wish, ac, text ? text : sb_task_state_name((int)task->state));
    }
    turn->effects->save = turn->effects->save || begun != wish->begun;
    wish->begun = begun;
    if (final)
        wish->task = 0;
}

void sb_azure_wishes_follow(struct sb_azure_turn *turn, const struct sb_task *task)
{
    follow(turn, &turn->state->firmware, task);
    follow(turn, &turn->state->configuration, task);
}

void sb_azure_wish_due(struct sb_azure_turn *turn)
{
    struct sb_azure_wish *wish = wish_of(turn, turn->in->tag);
    if (wish && wish->due && wish->content)
        act(turn, wish);
}

void sb_azure_wishes_loaded(struct sb_azure_turn *turn)
{
    struct sb_azure_wish *wishes[] = { &turn->state->firmware, &turn->state->configuration };
    for (size_t i = 0; i < SB_COUNT(wishes); i++)
        if (wishes[i]->due)
            sb_effects_timer(turn->effects, tag_of(turn, wishes[i]),
                             sb_words_limit(turn->in->words, "wish_retry"));
}
