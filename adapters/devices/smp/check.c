/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a device type, or a request to a device of the type, can be right.
 */
#include "adapters/devices/smp/type.h"

static void check_writes(const struct sb_type *type, struct sb_diags *diags)
{
    const json_t *writes = sb_smp_type_of(type)->factory_reset.writes;
    const char *name;
    json_t *value;
    if (json_object_size(writes) == 0)
        sb_described_find(type, "smp", "factory_reset", diags,
                          "method settings needs `writes`, a map of property: value");
    json_object_foreach ((json_t *)writes, name, value) {
        sb_cleanup(sb_freep) char *error = NULL;
        struct sb_described_access access;
        if (sb_smp_property_check(type, name, value, &access, &error) < 0)
            sb_described_find(type, "smp", "factory_reset", diags, "writes.%s: %s", name,
                              error ? error : "not possible");
    }
}

static void check_factory_reset(const struct sb_type *type, struct sb_diags *diags)
{
    const struct sb_smp_factory_reset *reset = &sb_smp_type_of(type)->factory_reset;
    struct sb_smp_action action;
    sb_cleanup(sb_freep) char *error = NULL;
    if (reset->method == SB_SMP_RESET_SETTINGS)
        check_writes(type, diags);
    if (reset->method == SB_SMP_RESET_REQUEST &&
        sb_smp_action_read(reset->request, &action, &error) < 0)
        sb_described_find(type, "smp", "factory_reset", diags, "request: %s",
                          error ? error : "not possible");
}

static void check_asks(const struct sb_type *type, struct sb_diags *diags)
{
    if (type->asks)
        sb_described_find(type, "asks", NULL, diags,
                          "no property is read at a look at an SMP device");
}

/* A person must have a way to do what is left to him. */
static void check_confirm(const struct sb_type *type, struct sb_diags *diags)
{
    const char *name;
    json_t *spec;
    bool found = type->confirm != SB_CONFIRM_MANUAL;
    json_object_foreach (type->actions, name, spec) {
        found = found || json_object_get(spec, "confirm");
    }
    if (!found)
        sb_described_find(type, "confirm", NULL, diags,
                          "manual needs an action by which a person confirms, such as "
                          "`actions: { confirm: { confirm: true } }`");
}

void sb_smp_check_type(const struct sb_type *type, struct sb_diags *diags)
{
    const char *name;
    json_t *spec;
    json_object_foreach (type->properties, name, spec) {
        struct sb_smp_property property;
        sb_cleanup(sb_freep) char *error = NULL;
        if (sb_smp_property_read(name, spec, &property, &error) < 0)
            sb_described_find(type, "properties", name, diags, "%s",
                              error ? error : "not possible");
    }
    json_object_foreach (type->actions, name, spec) {
        struct sb_smp_action action;
        sb_cleanup(sb_freep) char *error = NULL;
        if (sb_smp_action_read(spec, &action, &error) < 0)
            sb_described_find(type, "actions", name, diags, "%s", error ? error : "not possible");
    }
    check_factory_reset(type, diags);
    check_confirm(type, diags);
    check_asks(type, diags);
    const struct sb_smp_type *config = sb_smp_type_of(type);
    if (config->stage == SB_SMP_STAGE_DEVICE && config->method == SB_SMP_DIRECT)
        sb_described_find(type, "smp", "stage", diags,
                          "device needs method: test (with direct an image cannot wait)");
}

unsigned sb_smp_caps(const struct sb_type *type)
{
    /* A line with a bootloader on it belongs to one device: nothing is shared. */
    return SB_CAP_CANCEL | SB_CAP_READS_VERSION |
           (sb_smp_type_of(type)->stage == SB_SMP_STAGE_DEVICE ? SB_CAP_STAGE_ON_DEVICE : 0u);
}

static enum sb_cause accepts_action(const struct sb_type *type, const json_t *params,
                                    char **ret_text)
{
    struct sb_smp_action action;
    const char *name = sb_json_str(params, "action");
    const json_t *arguments = json_object_get(params, "arguments");
    static const char *const module[] = { "module" };
    if (!name)
        return sb_described_refuse(ret_text, SB_CAUSE_INVALID_REQUEST, "action is missing");
    if (sb_smp_action_get(type, name, &action, ret_text) < 0)
        return SB_CAUSE_UNSUPPORTED;
    if (action.confirm)
        return json_object_size(arguments) > 0 &&
                       sb_described_keys(arguments, module, SB_COUNT(module), ret_text) < 0
                   ? SB_CAUSE_INVALID_REQUEST
                   : SB_CAUSE_NONE;
    return sb_smp_check_payload(json_is_null(arguments) ? NULL : arguments, ret_text) < 0
               ? SB_CAUSE_INVALID_REQUEST
               : SB_CAUSE_NONE;
}

enum sb_cause sb_smp_accepts(const struct sb_type *type, int op, const json_t *params,
                             char **ret_text)
{
    switch (op) {
    case SB_OP_READ:
    case SB_OP_WRITE:
    case SB_OP_CONFIGURE:
        return sb_described_accepts(type, op, params, sb_smp_property_check, ret_text);
    case SB_OP_INVOKE:
        return accepts_action(type, params, ret_text);
    case SB_OP_FACTORY_RESET:
        return sb_smp_type_of(type)->factory_reset.method == SB_SMP_RESET_NONE
                   ? sb_described_refuse(
                         ret_text, SB_CAUSE_UNSUPPORTED,
                         "this device type does not say how it is reset (smp.factory_reset)")
                   : SB_CAUSE_NONE;
    default:
        return SB_CAUSE_NONE;
    }
}
