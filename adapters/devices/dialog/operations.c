/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What scripts are played for: identity, properties, actions, restarts.
 */
#include <errno.h>

#include "adapters/devices/dialog/talk.h"
#include "bridge/base/log.h"
#include "bridge/base/str.h"

#define RESULT_MAX 16384 /* bytes of an action's result */

/* ---- what was learnt ---- */

enum sb_cause sb_dialog_tell(struct sb_dialog *dialog, enum sb_cause cause)
{
    struct sb_identity *after = &dialog->outcome->after;
    if (json_object_size(dialog->identity) && !after->identity)
        after->identity = json_incref(dialog->identity);
    if (json_object_size(dialog->versions) && !after->versions)
        after->versions = json_incref(dialog->versions);
    if (json_object_size(dialog->properties) && !after->properties)
        after->properties = json_incref(dialog->properties);
    after->idle = cause == SB_CAUSE_NONE;
    return cause;
}

enum sb_cause sb_dialog_identify(struct sb_dialog *dialog)
{
    sb_session_progress(dialog->session, SB_PHASE_STARTING, 0, 0);
    enum sb_cause cause = sb_dialog_attach(dialog, false);
    return cause == SB_CAUSE_NONE ? sb_dialog_play(dialog, SB_SCRIPT_IDENTIFY) : cause;
}

/* ---- READ ---- */

/* Goes on after a name that fails, but not after a line that does. */
static bool only_this_name(const struct sb_dialog *dialog, enum sb_cause cause)
{
    return !dialog->hard && cause != SB_CAUSE_LINK_LOST && cause != SB_CAUSE_OPERATOR;
}

static enum sb_cause find_property(struct sb_dialog *dialog, const char *name,
                                   struct sb_dialog_property *ret)
{
    sb_cleanup(sb_freep) char *error = NULL;
    if (sb_dialog_property_get(dialog->type, name, ret, &error) == 0)
        return SB_CAUSE_NONE;
    return sb_dialog_fail(dialog, SB_CAUSE_INVALID_REQUEST, "%s", error ? error : name);
}

/* What the script captured: the property itself, or {value}, which is still a text. */
static enum sb_cause take_value(struct sb_dialog *dialog, const struct sb_dialog_property *property,
                                json_t **ret)
{
    const char *text = sb_json_str(dialog->texts, "value");
    sb_cleanup(sb_freep) char *error = NULL;
    *ret = json_incref(json_object_get(dialog->captured, property->name));
    if (*ret)
        return SB_CAUSE_NONE;
    if (!text)
        return sb_dialog_fail(dialog, SB_CAUSE_REFUSED, "%s: the device did not say its value",
                              property->name);
    if (sb_dialog_value_decode(&property->value, text, ret, &error) < 0)
        return sb_dialog_fail(dialog, SB_CAUSE_REFUSED, "%s: %s", property->name,
                              error ? error : "not such a value");
    return json_object_set(dialog->properties, property->name, *ret) < 0
               ? sb_dialog_trouble(dialog, -ENOMEM)
               : SB_CAUSE_NONE;
}

static enum sb_cause read_property(struct sb_dialog *dialog,
                                   const struct sb_dialog_property *property, json_t **ret)
{
    (void)json_object_del(dialog->texts, "value");
    (void)json_object_clear(dialog->captured);
    dialog->property = property;
    enum sb_cause cause = sb_dialog_play(dialog, property->read);
    if (cause == SB_CAUSE_NONE)
        cause = take_value(dialog, property, ret);
    dialog->property = NULL;
    return cause;
}

static enum sb_cause read_named(struct sb_dialog *dialog, const char *name, json_t *values)
{
    struct sb_dialog_property property = { 0 };
    json_t *value = NULL;
    enum sb_cause cause = find_property(dialog, name, &property);
    if (cause == SB_CAUSE_NONE && !property.access.readable)
        cause = sb_dialog_fail(dialog, SB_CAUSE_UNSUPPORTED, "%s cannot be read", name);
    if (cause == SB_CAUSE_NONE)
        cause = read_property(dialog, &property, &value);
    if (cause == SB_CAUSE_NONE && json_object_set_new(values, name, value) < 0)
        return sb_dialog_trouble(dialog, -ENOMEM);
    return cause;
}

static enum sb_cause read_names(struct sb_dialog *dialog, const json_t *names, json_t *values)
{
    enum sb_cause first = SB_CAUSE_NONE;
    sb_cleanup(sb_freep) char *sentence = NULL; /* of the first failure */
    size_t i;
    json_t *name;
    json_array_foreach (names, i, name) {
        sb_session_progress(dialog->session, SB_PHASE_TRANSFERRING, i, json_array_size(names));
        enum sb_cause cause =
            read_named(dialog, json_is_string(name) ? json_string_value(name) : "", values);
        if (cause != SB_CAUSE_NONE && !only_this_name(dialog, cause))
            return cause;
        if (cause != SB_CAUSE_NONE && first == SB_CAUSE_NONE) {
            first = cause;
            sentence = SB_STEAL(dialog->outcome->text);
        }
    }
    if (first != SB_CAUSE_NONE) {
        free(dialog->outcome->text);
        dialog->outcome->text = SB_STEAL(sentence);
    }
    return first;
}

enum sb_cause sb_dialog_read(struct sb_dialog *dialog)
{
    sb_cleanup(json_decrefp) json_t *wanted =
        sb_described_wanted(dialog->type, dialog->command->params, sb_dialog_property_check);
    sb_cleanup(json_decrefp) json_t *values = json_object();
    if (!wanted || !values)
        return sb_dialog_trouble(dialog, -ENOMEM);
    enum sb_cause cause = sb_dialog_attach(dialog, false);
    if (cause == SB_CAUSE_NONE)
        cause = read_names(dialog, wanted, values);
    dialog->outcome->result = json_incref(values);
    dialog->outcome->verified = (char *)"status";
    return cause;
}

/* ---- WRITE and CONFIGURE ---- */

static enum sb_cause write_value(struct sb_dialog *dialog, const char *name, const json_t *json)
{
    struct sb_dialog_property property = { 0 };
    sb_cleanup(sb_freep) char *error = NULL, *text = NULL;
    enum sb_cause cause = find_property(dialog, name, &property);
    if (cause != SB_CAUSE_NONE)
        return cause;
    if (!property.access.writable)
        return sb_dialog_fail(dialog, SB_CAUSE_UNSUPPORTED, "%s cannot be written", name);
    if (sb_dialog_value_encode(&property.value, json, &text, &error) < 0)
        return sb_dialog_fail(dialog, SB_CAUSE_INVALID_REQUEST, "%s: %s", name,
                              error ? error : "not such a value");
    if (property.secret)
        sb_log_secret(text);
    dialog->property = &property;
    dialog->value = text;
    cause = sb_dialog_play(dialog, property.write);
    dialog->property = NULL;
    dialog->value = NULL;
    return cause;
}

/* The same once more, as far as it can be read. */
static enum sb_cause check_value(struct sb_dialog *dialog, const char *name, const json_t *wanted,
                                 json_t *held)
{
    struct sb_dialog_property property = { 0 };
    sb_cleanup(json_decrefp) json_t *value = NULL;
    sb_cleanup(sb_freep) char *a = NULL, *b = NULL, *error = NULL;
    enum sb_cause cause = find_property(dialog, name, &property);
    if (cause != SB_CAUSE_NONE || !property.access.readable)
        return cause;
    cause = read_property(dialog, &property, &value);
    if (cause != SB_CAUSE_NONE)
        return cause;
    int r = sb_dialog_value_encode(&property.value, wanted, &a, &error);
    if (r == 0)
        r = sb_dialog_value_encode(&property.value, value, &b, &error);
    if (r < 0 || !sb_streq(a, b))
        return sb_dialog_fail(dialog, SB_CAUSE_VERIFY_FAILED,
                              "%s: the device holds another value than was written", name);
    return json_object_set(held, name, value) < 0 ? sb_dialog_trouble(dialog, -ENOMEM)
                                                  : SB_CAUSE_NONE;
}

static enum sb_cause apply(struct sb_dialog *dialog, const json_t *values)
{
    const char *name;
    json_t *value;
    uint64_t done = 0;
    sb_cleanup(json_decrefp) json_t *held = json_object();
    enum sb_cause cause = held ? sb_dialog_attach(dialog, false) : SB_CAUSE_NO_MEMORY;
    json_object_foreach ((json_t *)values, name, value) {
        sb_session_progress(dialog->session, SB_PHASE_WRITING, done++, json_object_size(values));
        cause = cause == SB_CAUSE_NONE ? write_value(dialog, name, value) : cause;
    }
    if (cause == SB_CAUSE_NONE && dialog->command->op == SB_OP_CONFIGURE)
        cause = sb_dialog_play(dialog, sb_dialog_script_of(SB_OP_CONFIGURE));
    sb_session_progress(dialog->session, SB_PHASE_VERIFYING, 0, 0);
    json_object_foreach ((json_t *)values, name, value)
        cause = cause == SB_CAUSE_NONE ? check_value(dialog, name, value, held) : cause;
    dialog->outcome->result = json_incref(held);
    dialog->outcome->verified = (char *)"status";
    return cause;
}

/* Values of secret properties are not registered for longer than this. */
static void forget_secrets(struct sb_dialog *dialog, const json_t *values)
{
    const char *name;
    json_t *value;
    json_object_foreach ((json_t *)values, name, value) {
        struct sb_dialog_property property = { 0 };
        sb_cleanup(sb_freep) char *text = NULL, *error = NULL;
        if (sb_dialog_property_get(dialog->type, name, &property, &error) == 0 && property.secret &&
            sb_dialog_value_encode(&property.value, value, &text, &error) == 0)
            sb_log_forget(text);
    }
}

enum sb_cause sb_dialog_write(struct sb_dialog *dialog)
{
    const struct sb_command *command = dialog->command;
    const json_t *values = sb_json_object(command->params, "values");
    sb_cleanup(json_decrefp) json_t *loaded = NULL;
    sb_cleanup(sb_freep) char *error = NULL;
    if (!values && !command->image)
        return sb_dialog_fail(dialog, SB_CAUSE_INVALID_REQUEST, "no values to configure");
    if (!values && sb_described_package(command->image->path, &loaded, &error) < 0)
        return sb_dialog_fail(dialog, SB_CAUSE_INVALID_REQUEST, "%s",
                              error ? error : "the package cannot be read");
    values = values ? values : loaded;
    enum sb_cause cause = apply(dialog, values);
    forget_secrets(dialog, values);
    return cause;
}

/* ---- INVOKE ---- */

static bool fits(const json_t *result)
{
    return json_dumpb(result, NULL, 0, JSON_COMPACT) <= RESULT_MAX;
}

static enum sb_cause play_action(struct sb_dialog *dialog, const struct sb_dialog_action *action)
{
    (void)json_object_clear(dialog->captured);
    enum sb_cause cause = sb_dialog_attach(dialog, false);
    if (cause == SB_CAUSE_NONE && !action->repeatable)
        cause = sb_dialog_commit(dialog);
    if (cause != SB_CAUSE_NONE)
        return cause;
    cause = sb_dialog_play(dialog, action->script);
    bool lost = cause == SB_CAUSE_LINK_LOST || dialog->unanswered;
    if (cause != SB_CAUSE_NONE && lost && !action->repeatable)
        cause = SB_CAUSE_OUTCOME_UNKNOWN; /* it may have done it, and the answer was lost */
    return cause;
}

enum sb_cause sb_dialog_invoke(struct sb_dialog *dialog)
{
    const struct sb_command *command = dialog->command;
    const char *name = sb_json_str(command->params, "action");
    sb_cleanup(sb_freep) char *error = NULL;
    struct sb_dialog_action action = { 0 };
    if (sb_dialog_action_get(dialog->type, name ? name : "", &action, &error) < 0)
        return sb_dialog_fail(dialog, SB_CAUSE_UNSUPPORTED, "%s", error ? error : "no such action");
    if (sb_dialog_arguments(&action, sb_json_object(command->params, "arguments"), &dialog->args,
                            &error) < 0)
        return sb_dialog_fail(dialog, SB_CAUSE_INVALID_REQUEST, "%s",
                              error ? error : "the arguments cannot be sent");
    if (!action.repeatable && command->resumed && command->committed)
        return sb_dialog_fail(dialog, SB_CAUSE_OUTCOME_UNKNOWN,
                              "interrupted after the action was begun: whether the device did it "
                              "cannot be known");
    sb_session_progress(dialog->session, SB_PHASE_STARTING, 0, 0);
    enum sb_cause cause = play_action(dialog, &action);
    if (cause == SB_CAUSE_NONE && !fits(dialog->captured))
        return sb_dialog_fail(dialog, SB_CAUSE_NO_MEMORY,
                              "the device's answer is too large to keep");
    if (cause == SB_CAUSE_NONE)
        dialog->outcome->result = json_deep_copy(dialog->captured);
    dialog->outcome->verified = (char *)"status";
    return cause;
}

/* ---- REBOOT and FACTORY RESET ---- */

static bool was_restarting(const struct sb_dialog *dialog)
{
    const struct sb_command *command = dialog->command;
    return command->resumed && command->committed &&
           sb_streq(sb_json_str(command->checkpoint, "stage"), SB_DIALOG_AT_RESTART);
}

static enum sb_cause play_after_commit(struct sb_dialog *dialog, const char *script)
{
    enum sb_cause cause = sb_dialog_attach(dialog, false);
    if (cause == SB_CAUSE_NONE)
        cause = sb_dialog_commit(dialog);
    return cause == SB_CAUSE_NONE ? sb_dialog_play(dialog, script) : cause;
}

/* What it says of itself afterwards; a device without words for that is none the worse. */
static enum sb_cause end_of_restart(struct sb_dialog *dialog, enum sb_cause cause)
{
    if (cause == SB_CAUSE_NONE)
        cause = sb_dialog_play(dialog, SB_SCRIPT_IDENTIFY);
    dialog->outcome->verified = (char *)"status";
    return cause;
}

enum sb_cause sb_dialog_reboot(struct sb_dialog *dialog)
{
    const struct sb_command *command = dialog->command;
    sb_session_progress(dialog->session, SB_PHASE_STARTING, 0, 0);
    if (was_restarting(dialog)) /* the restart had begun: it only has to come back */
        return end_of_restart(dialog, sb_dialog_attach(dialog, true));
    if (command->resumed && command->committed) {
        enum sb_cause cause = sb_dialog_attach(dialog, true);
        return cause != SB_CAUSE_NONE
                   ? cause
                   : sb_dialog_fail(dialog, SB_CAUSE_OUTCOME_UNKNOWN,
                                    "interrupted when the restart was asked for: whether the "
                                    "device did restart cannot be known");
    }
    return end_of_restart(dialog, play_after_commit(dialog, sb_dialog_script_of(SB_OP_REBOOT)));
}

enum sb_cause sb_dialog_factory_reset(struct sb_dialog *dialog)
{
    sb_session_progress(dialog->session, SB_PHASE_STARTING, 0, 0);
    if (was_restarting(dialog))
        return end_of_restart(dialog, sb_dialog_attach(dialog, true));
    /* Interrupted before: done once more, which leads to the same state. */
    return end_of_restart(dialog,
                          play_after_commit(dialog, sb_dialog_script_of(SB_OP_FACTORY_RESET)));
}
