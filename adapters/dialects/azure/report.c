/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reported document of one device: what its tasks did last (kept in state->doc, as they move),
 * and what follows from the record. Names: the firmware update tutorial of 2018 (`firmware`) and
 * the device management samples of 2016 (`iothubDM`), both at once.
 */
#include "adapters/dialects/azure/parts.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"

#define STEP 10 /* percent: a hub takes so many twin updates in a second, of all devices */

/* ---- state->doc ---- */

/* The member of an object, made when it is not there. NULL without memory. */
static json_t *member(struct sb_azure_turn *turn, json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    if (json_is_object(value))
        return value;
    value = json_object();
    sb_effects_put(turn->effects, object, key, value);
    return turn->effects->broken ? NULL : value;
}

static json_t *part(struct sb_azure_turn *turn, const char *key)
{
    struct sb_azure_state *state = turn->state;
    if (!state->doc)
        state->doc = json_object();
    turn->effects->save = true;
    return member(turn, state->doc, key);
}

static json_t *dm_part(struct sb_azure_turn *turn, const char *word)
{
    json_t *dm = part(turn, "dm");
    return member(turn, dm, sb_words_name(turn->in->words, word));
}

static void put_text(struct sb_azure_turn *turn, json_t *object, const char *key, const char *text)
{
    sb_effects_put(turn->effects, object, key, json_string(text ? text : ""));
}

/* In what this cell does not say nothing changes. */
static void put_word(struct sb_azure_turn *turn, json_t *object, const char *key,
                     const json_t *cell, const char *word)
{
    const char *text = sb_json_str(cell, word);
    if (text)
        put_text(turn, object, key, text);
}

static void put_error(struct sb_azure_turn *turn, json_t *object, enum sb_cause cause,
                      const char *text)
{
    sb_effects_put(
        turn->effects, object, "error",
        json_pack("{s:s,s:s}", "code", sb_cause_name((int)cause), "description", text ? text : ""));
}

/* ---- firmware ---- */

static const char *dm_stamp(enum sb_task_state state)
{
    switch (state) {
    case SB_TASK_DOWNLOADING:
        return "startedDownloadingTime";
    case SB_TASK_DOWNLOADED:
        return "downloadCompleteTime";
    case SB_TASK_INSTALLING:
        return "startedApplyingImage";
    default:
        return NULL;
    }
}

static void begin(struct sb_azure_turn *turn, const struct sb_task *task, json_t *firmware,
                  json_t *dm)
{
    json_object_clear(dm);
    (void)json_object_del(firmware, "error");
    put_text(turn, firmware, "pendingFwVersion", task->target_version);
    put_text(turn, firmware, "lastFwUpdateStartTime", "");
    put_text(turn, firmware, "lastFwUpdateEndTime", "");
    sb_azure_now(turn, firmware, "lastFwUpdateStartTime");
}

static void end(struct sb_azure_turn *turn, const struct sb_task *task, json_t *firmware,
                json_t *dm, const char *text)
{
    bool good = task->state == SB_TASK_SUCCEEDED;
    bool stays = task->state == SB_TASK_FAILED ||
                 (good && task->job->op == SB_OP_FIRMWARE_DOWNLOAD); /* what is pending */
    if (!stays)
        put_text(turn, firmware, "pendingFwVersion", "");
    sb_azure_now(turn, firmware, "lastFwUpdateEndTime");
    if (good && task->job->op != SB_OP_FIRMWARE_DOWNLOAD)
        sb_azure_now(turn, dm, "lastFirmwareUpdate");
    if (!good) {
        put_error(turn, firmware, task->cause, text);
        put_error(turn, dm, task->cause, text);
    }
}

/* Of a task that is tried again the furthest that it has been: a status never falls. */
static const json_t *shown_cell(const struct sb_azure_turn *turn, const struct sb_task *task)
{
    struct sb_task shown = *task;
    if (task->state < task->furthest && task->furthest <= SB_TASK_RESTARTING)
        shown.state = task->furthest;
    return sb_dialect_task_cell(turn->in, &shown);
}

static void show_firmware(struct sb_azure_turn *turn, const struct sb_task *task, bool fresh)
{
    const json_t *cell = shown_cell(turn, task);
    json_t *firmware = part(turn, "firmware");
    json_t *dm = dm_part(turn, "dm_update");
    if (!firmware || !dm)
        return;
    if (fresh)
        begin(turn, task, firmware, dm);
    bool final = sb_task_state_is_final(task->state);
    sb_cleanup(sb_freep) char *text = final ? sb_dialect_task_text(turn->in, task) : NULL;
    sb_cleanup(sb_freep) char *percent =
        task->percent >= STEP && !final ? sb_format("%s %u%%", sb_task_state_name((int)task->state),
                                                    (unsigned)(task->percent / STEP * STEP))
                                        : NULL;
    const char *stamp = dm_stamp(task->state);
    put_word(turn, firmware, "fwUpdateStatus", cell, "fwUpdateStatus");
    put_text(turn, firmware, "fwUpdateSubstatus",
             text      ? text
             : percent ? percent
                       : sb_task_state_name((int)task->state));
    put_word(turn, dm, "status", cell, "dm");
    if (stamp && !json_object_get(dm, stamp))
        sb_azure_now(turn, dm, stamp);
    if (final)
        end(turn, task, firmware, dm, text);
}

/* What was asked for here is shown before what others do, and what runs before what waits. */
static bool takes_over(const struct sb_azure_state *state, const struct sb_task *task, bool own)
{
    bool moving = sb_task_state_is_under_way(task->state);
    if (state->moving == 0)
        return own || moving;
    if (state->under_way)
        return false;
    return moving || (own && (!state->own || task->id > state->moving));
}

static void follow_firmware(struct sb_azure_turn *turn, const struct sb_task *task, bool own)
{
    struct sb_azure_state *state = turn->state;
    bool fresh = state->moving != task->id;
    if (fresh && !takes_over(state, task, own))
        return;
    bool final = sb_task_state_is_final(task->state);
    state->moving = final ? 0 : task->id;
    state->own = own;
    state->under_way = sb_task_state_is_under_way(task->state);
    state->committed = !final && task->committed;
    show_firmware(turn, task, fresh);
}

/* Nothing is pending nor wrong any more. */
void sb_azure_at_rest(struct sb_azure_turn *turn)
{
    const json_t *cell = sb_words_cell(turn->in->words, SB_ROLE_SENDS, SB_OP_FIRMWARE_UPDATE,
                                       SB_TASK_SUCCEEDED, SB_CAUSE_NONE, SB_PHASE_CONFIRMING);
    json_t *firmware = turn->state->moving ? NULL : part(turn, "firmware");
    if (!firmware)
        return; /* what is at work is shown */
    (void)json_object_del(firmware, "error");
    put_text(turn, firmware, "pendingFwVersion", "");
    put_text(turn, firmware, "fwUpdateSubstatus", "");
    put_word(turn, firmware, "fwUpdateStatus", cell, "fwUpdateStatus");
}

/* A wish that no task came of. */
void sb_azure_refused(struct sb_azure_turn *turn, const struct sb_azure_wish *wish,
                      enum sb_cause cause, const char *text)
{
    const json_t *cell = sb_dialect_cause_cell(turn->in, cause);
    json_t *firmware = part(turn, "firmware");
    if (!firmware || turn->state->moving)
        return; /* what is at work is shown */
    put_text(turn, firmware, "pendingFwVersion", sb_json_str(wish->spec, "fwVersion"));
    put_word(turn, firmware, "fwUpdateStatus", cell, "fwUpdateStatus");
    put_text(turn, firmware, "fwUpdateSubstatus", text);
    put_error(turn, firmware, cause, text);
}

/* ---- reboot and factory reset ---- */

static void follow_restart(struct sb_azure_turn *turn, const struct sb_task *task)
{
    bool reset = task->job->op == SB_OP_FACTORY_RESET;
    bool good = task->state == SB_TASK_SUCCEEDED, final = sb_task_state_is_final(task->state);
    const json_t *cell = sb_dialect_task_cell(turn->in, task);
    json_t *dm = dm_part(turn, reset ? "dm_factory_reset" : "dm_reboot");
    const char *started = reset ? "startedFactoryResetTime" : "startedRebootTime";
    int64_t *shown = reset ? &turn->state->reset : &turn->state->reboot;
    if (!dm)
        return;
    if (task->state == SB_TASK_QUEUED || *shown != task->id)
        (void)json_object_del(dm, started);
    *shown = task->id;
    if (sb_task_state_is_under_way(task->state) && !json_object_get(dm, started))
        sb_azure_now(turn, dm, started);
    (void)json_object_del(dm, "error");
    if (!final || good) {
        put_word(turn, dm, "status", cell, "dm");
    } else {
        sb_cleanup(sb_freep) char *text = sb_dialect_task_text(turn->in, task);
        put_text(turn, dm, "status", sb_words_name(turn->in->words, "dm_failed"));
        put_error(turn, dm, task->cause, text);
    }
    if (good)
        sb_azure_now(turn, dm, reset ? "lastFactoryReset" : "lastReboot");
}

void sb_azure_follow(struct sb_azure_turn *turn, const struct sb_task *task, bool own)
{
    if (sb_op_is_firmware(task->job->op))
        follow_firmware(turn, task, own);
    else if (own && (task->job->op == SB_OP_REBOOT || task->job->op == SB_OP_FACTORY_RESET))
        follow_restart(turn, task);
}

/* ---- the document ---- */

/* Levels that are left to a value; that of a gateway's device is two deeper in its twin. */
static int levels(const struct sb_azure_turn *turn)
{
    return turn->child ? 4 : 6;
}

static json_t *firmware_part(struct sb_azure_turn *turn)
{
    static const char *const texts[] = { "pendingFwVersion", "fwUpdateSubstatus",
                                         "lastFwUpdateStartTime", "lastFwUpdateEndTime" };
    const struct sb_azure_wish *wish = &turn->state->firmware;
    const json_t *kept = sb_json_object(turn->state->doc, "firmware");
    const char *version = turn->in->device ? sb_json_str(turn->in->device->versions, "") : NULL;
    json_t *firmware = kept ? json_deep_copy(kept) : json_object();
    put_text(turn, firmware, "currentFwVersion", version);
    for (size_t i = 0; i < SB_COUNT(texts); i++)
        if (!json_object_get(firmware, texts[i]))
            put_text(turn, firmware, texts[i], "");
    if (!json_object_get(firmware, "fwUpdateStatus"))
        put_text(turn, firmware, "fwUpdateStatus", "current");
    if (wish->content && wish->ac) {
        sb_effects_put(turn->effects, firmware, "ac", json_integer(wish->ac));
        sb_effects_put(turn->effects, firmware, "av", json_integer(wish->version));
        put_text(turn, firmware, "ad", wish->ad);
    }
    return firmware;
}

/* Each value as it was wished for, with what became of it. */
static json_t *configuration_part(struct sb_azure_turn *turn)
{
    const struct sb_azure_wish *wish = &turn->state->configuration;
    json_t *list = json_object();
    const char *name;
    json_t *value;
    json_object_foreach (wish->spec, name, value) {
        sb_cleanup(sb_freep) char *key = sb_azure_key(name);
        if (!key)
            turn->effects->broken = true;
        else
            sb_effects_put(turn->effects, list, key,
                           json_pack("{s:o,s:i,s:I,s:s}", "value",
                                     sb_azure_clean(value, levels(turn)), "ac", wish->ac, "av",
                                     (json_int_t)wish->version, "ad", wish->ad ? wish->ad : ""));
    }
    return list;
}

static json_t *properties_part(struct sb_azure_turn *turn)
{
    json_t *list = json_object();
    const char *name;
    json_t *entry;
    const json_t *properties = turn->in->device ? turn->in->device->properties : NULL;
    json_object_foreach ((json_t *)properties, name, entry) {
        sb_cleanup(sb_freep) char *key = sb_azure_key(name);
        int64_t time = sb_json_int(entry, "time", 0);
        sb_cleanup(sb_freep) char *stamp =
            time >= SB_CLOCK_UNSET_BEFORE ? sb_time_iso8601(time) : NULL;
        const json_t *value = json_object_get(entry, "value");
        if (!key)
            turn->effects->broken = true;
        else if (value)
            sb_effects_put(turn->effects, list, key,
                           json_pack("{s:o,s:s*}", "value", sb_azure_clean(value, levels(turn)),
                                     "lastUpdatedTime", stamp));
    }
    return list;
}

static const char *const presences[SB_PRESENCE_MAX_] = { [SB_PRESENCE_UNKNOWN] = "unknown",
                                                         [SB_PRESENCE_READY] = "ready",
                                                         [SB_PRESENCE_OFFLINE] = "offline" };

static json_t *device_part(struct sb_azure_turn *turn)
{
    const struct sb_device *device = turn->in->device;
    json_t *part =
        device && device->identity ? sb_azure_clean(device->identity, levels(turn)) : json_object();
    if (device && !device->gateway)
        put_text(turn, part, "presence", presences[device->presence]);
    return part;
}

json_t *sb_azure_document(struct sb_azure_turn *turn)
{
    json_t *document = json_object();
    json_t *configuration = configuration_part(turn), *properties = properties_part(turn);
    const json_t *dm = sb_json_object(turn->state->doc, "dm");
    sb_effects_put(turn->effects, document, sb_words_name(turn->in->words, "twin_firmware"),
                   firmware_part(turn));
    if (json_object_size(dm) > 0)
        sb_effects_put(turn->effects, document, sb_words_name(turn->in->words, "twin_dm"),
                       json_deep_copy(dm));
    if (json_object_size(configuration) > 0)
        sb_effects_put(turn->effects, document,
                       sb_words_name(turn->in->words, "twin_configuration"),
                       json_incref(configuration));
    if (json_object_size(properties) > 0)
        sb_effects_put(turn->effects, document, sb_words_name(turn->in->words, "twin_properties"),
                       json_incref(properties));
    sb_effects_put(turn->effects, document, sb_words_name(turn->in->words, "twin_device"),
                   device_part(turn));
    json_decref(configuration);
    json_decref(properties);
    return document;
}
