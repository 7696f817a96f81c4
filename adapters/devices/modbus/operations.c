/* SPDX-License-Identifier: Apache-2.0 */
/*
 * READ, WRITE, CONFIGURE and INVOKE: values, and the steps of the type around them.
 */
#include <errno.h>

#include "adapters/devices/modbus/talk.h"

/* The values read become the result and, as such, what is known of the device. */
static void tell_values(struct sb_modbus *modbus, json_t *values)
{
    json_decref(modbus->outcome->result);
    modbus->outcome->result = json_incref(values);
    json_decref(modbus->outcome->after.properties);
    modbus->outcome->after.properties = json_deep_copy(values);
    modbus->outcome->verified = (char *)"status";
}

/* ---- READ ---- */

enum sb_cause sb_modbus_op_read(struct sb_modbus *modbus)
{
    sb_cleanup(json_decrefp) json_t *wanted =
        sb_described_wanted(modbus->type, modbus->command->params, sb_modbus_property_check);
    sb_cleanup(json_decrefp) json_t *values = json_object();
    if (!wanted || !values)
        return sb_modbus_trouble(modbus, -ENOMEM);
    sb_session_progress(modbus->session, SB_PHASE_TRANSFERRING, 0, 0);
    enum sb_cause cause = sb_modbus_read_values(modbus, wanted, values);
    tell_values(modbus, values);
    return cause;
}

/* ---- WRITE and CONFIGURE ---- */

/* The steps after a write. They follow a write that has failed or was stopped too, for the device
 * is to be locked again; but then its failure is what is told. */
static enum sb_cause end_write(struct sb_modbus *modbus, enum sb_cause cause)
{
    struct sb_outcome *outcome = modbus->outcome;
    bool failed = cause != SB_CAUSE_NONE;
    if (!failed)
        cause = sb_modbus_cook(modbus, modbus->config->after, NULL, "after");
    bool again = failed || cause == SB_CAUSE_OPERATOR; /* they were cut off themselves */
    if (!again || !modbus->config->after || !modbus->master.port || modbus->master.port->failed ||
        (cause == SB_CAUSE_OPERATOR && sb_session_part(modbus->session) < 0))
        return cause;
    sb_cleanup(sb_freep) char *text = SB_STEAL(outcome->text);
    struct sb_native native = outcome->native;
    outcome->native = (struct sb_native){ 0 };
    if (sb_modbus_cook(modbus, modbus->config->after, NULL, "after") != SB_CAUSE_NONE)
        sb_session_note(modbus->session, "%s", outcome->text ? outcome->text : "after failed");
    sb_modbus_forgive(modbus);
    outcome->text = SB_STEAL(text);
    outcome->native = native;
    return cause;
}

/* Before, writes, after, save; then all is read back. */
static enum sb_cause apply(struct sb_modbus *modbus, const json_t *values, bool save)
{
    const struct sb_modbus_type *config = modbus->config;
    sb_cleanup(sb_modbus_changes_done) struct sb_modbus_changes changes = { 0 };
    sb_cleanup(json_decrefp) json_t *held = json_object();
    if (!held)
        return sb_modbus_trouble(modbus, -ENOMEM);
    enum sb_cause cause = sb_modbus_changes_make(modbus, values, NULL, &changes);
    if (cause != SB_CAUSE_NONE)
        return cause;
    cause = sb_modbus_cook(modbus, config->before, NULL, "before");
    if (cause == SB_CAUSE_NONE)
        cause = sb_modbus_changes_write(modbus, &changes);
    cause = end_write(modbus, cause);
    if (cause == SB_CAUSE_NONE && save)
        cause = sb_modbus_cook(modbus, config->save, NULL, "save");
    if (cause == SB_CAUSE_NONE && config->settle)
        cause = sb_modbus_wait(modbus, config->settle);
    sb_session_progress(modbus->session, SB_PHASE_VERIFYING, 0, 0);
    if (cause == SB_CAUSE_NONE)
        cause = sb_modbus_changes_check(modbus, &changes, held);
    tell_values(modbus, held);
    return cause;
}

enum sb_cause sb_modbus_op_write(struct sb_modbus *modbus)
{
    const json_t *values = sb_json_object(modbus->command->params, "values");
    const struct sb_image *image = modbus->command->image;
    sb_cleanup(json_decrefp) json_t *loaded = NULL;
    sb_cleanup(sb_freep) char *error = NULL;
    if (!values && !image)
        return sb_modbus_fail(modbus, SB_CAUSE_INVALID_REQUEST, "no values to configure");
    if (!values && sb_described_package(image->path, &loaded, &error) < 0)
        return sb_modbus_fail(modbus, SB_CAUSE_INVALID_REQUEST, "%s", error ? error : "no memory");
    return apply(modbus, values ? values : loaded, modbus->command->op == SB_OP_CONFIGURE);
}

/* ---- INVOKE ---- */

enum sb_cause sb_modbus_op_invoke(struct sb_modbus *modbus)
{
    const struct sb_command *command = modbus->command;
    const char *name = sb_json_str(command->params, "action");
    struct sb_modbus_action action;
    sb_cleanup(sb_freep) char *error = NULL;
    sb_cleanup(json_decrefp) json_t *names = NULL, *values = json_object();
    if (!values)
        return sb_modbus_trouble(modbus, -ENOMEM);
    if (sb_modbus_action_get(modbus->type, name ? name : "", &action, &error) < 0)
        return sb_modbus_fail(modbus, SB_CAUSE_UNSUPPORTED, "%s", error ? error : "no memory");
    if (sb_modbus_arguments(&action, json_object_get(command->params, "arguments"), &names,
                            &error) < 0)
        return sb_modbus_fail(modbus, SB_CAUSE_INVALID_REQUEST, "%s", error ? error : "no memory");
    if (!action.repeatable && command->resumed && command->committed)
        return sb_modbus_fail(modbus, SB_CAUSE_OUTCOME_UNKNOWN,
                              "interrupted after its steps had begun: whether the device did them "
                              "cannot be known");
    sb_session_progress(modbus->session, SB_PHASE_STARTING, 0, 0);
    enum sb_cause cause = sb_modbus_connect(modbus);
    if (cause == SB_CAUSE_NONE && !action.repeatable)
        cause = sb_modbus_commit(modbus);
    const struct sb_modbus_scope scope = { .names = names };
    if (cause == SB_CAUSE_NONE)
        cause = sb_modbus_cook(modbus, action.steps, &scope, name);
    if (cause == SB_CAUSE_LINK_LOST && !action.repeatable)
        cause = SB_CAUSE_OUTCOME_UNKNOWN; /* it may have done it and the answer was lost */
    if (cause == SB_CAUSE_NONE && action.results)
        cause = sb_modbus_read_values(modbus, action.results, values);
    if (cause == SB_CAUSE_NONE && json_object_size(values))
        tell_values(modbus, values);
    modbus->outcome->verified = (char *)"status";
    return cause;
}
