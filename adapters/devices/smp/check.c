/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a device type, or a request to a device of the type, can be right.
 */
#include "adapters/devices/smp/type.h"
#include "bridge/base/str.h"
#include "bridge/config/yaml.h"

static int line_of(const struct sb_type *type, const char *section, const char *name)
{
    const struct sb_yaml *node = sb_yaml_get(type->yaml, section);
    const struct sb_yaml *inner = name ? sb_yaml_get(node, name) : NULL;
    return inner ? inner->line : node ? node->line : 0;
}

static const char *file_of(const struct sb_type *type)
{
    return type->yaml ? type->yaml->file : NULL;
}

static void check_writes(const struct sb_type *type, struct sb_diags *diags)
{
    const json_t *writes = sb_smp_type_of(type)->factory_reset.writes;
    const char *name;
    json_t *value;
    int line = line_of(type, "smp", "factory_reset");
    if (json_object_size(writes) == 0)
        sb_diags_add(diags, file_of(type), line, 0,
                     "factory_reset.writes: method settings needs a map of property: value");
    json_object_foreach ((json_t *)writes, name, value) {
        sb_cleanup(sb_freep) char *error = NULL;
        sb_cleanup(sb_freep) uint8_t *bytes = NULL;
        struct sb_smp_property property = { 0 };
        size_t n;
        int r = sb_smp_property_get(type, name, &property, &error);
        if (r == 0)
            r = sb_smp_value_encode(property.type, property.big_endian, value, &bytes, &n, &error);
        if (r < 0)
            sb_diags_add(diags, file_of(type), line, 0, "factory_reset.writes.%s: %s", name,
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
        sb_diags_add(diags, file_of(type), line_of(type, "smp", "factory_reset"), 0,
                     "factory_reset.request: %s", error ? error : "not possible");
}

void sb_smp_check_type(const struct sb_type *type, struct sb_diags *diags)
{
    const char *name;
    json_t *spec;
    json_object_foreach (type->properties, name, spec) {
        struct sb_smp_property property;
        sb_cleanup(sb_freep) char *error = NULL;
        if (sb_smp_property_read(name, spec, &property, &error) < 0)
            sb_diags_add(diags, file_of(type), line_of(type, "properties", name), 0,
                         "properties.%s: %s", name, error ? error : "not possible");
    }
    json_object_foreach (type->actions, name, spec) {
        struct sb_smp_action action;
        sb_cleanup(sb_freep) char *error = NULL;
        if (sb_smp_action_read(spec, &action, &error) < 0)
            sb_diags_add(diags, file_of(type), line_of(type, "actions", name), 0, "actions.%s: %s",
                         name, error ? error : "not possible");
    }
    check_factory_reset(type, diags);
    const struct sb_smp_type *config = sb_smp_type_of(type);
    if (config->stage == SB_SMP_STAGE_DEVICE && config->method == SB_SMP_DIRECT)
        sb_diags_add(diags, file_of(type), line_of(type, "smp", "stage"), 0,
                     "stage: device needs method: test (with direct an image cannot wait)");
}

unsigned sb_smp_caps(const struct sb_type *type)
{
    /* A line with a bootloader on it belongs to one device: nothing is shared. */
    return SB_CAP_CANCEL |
           (sb_smp_type_of(type)->stage == SB_SMP_STAGE_DEVICE ? SB_CAP_STAGE_ON_DEVICE : 0u);
}

static enum sb_cause refuse(char **ret_text, enum sb_cause cause, const char *text)
{
    free(*ret_text);
    *ret_text = strdup(text);
    return cause;
}

/* With the name of the property it is about. */
static enum sb_cause refuse_value(char **ret_text, enum sb_cause cause, const char *name,
                                  const char *why)
{
    sb_cleanup(sb_freep) char *text = sb_format("%s: %s", name, why);
    return refuse(ret_text, cause, text ? text : why);
}

static enum sb_cause accepts_names(const struct sb_type *type, const json_t *names, char **ret_text)
{
    size_t i;
    json_t *name;
    json_array_foreach (names, i, name) {
        struct sb_smp_property property;
        if (!json_is_string(name))
            return refuse(ret_text, SB_CAUSE_INVALID_REQUEST, "names must be texts");
        if (sb_smp_property_get(type, json_string_value(name), &property, ret_text) < 0)
            return SB_CAUSE_INVALID_REQUEST;
        if (!property.readable)
            return refuse_value(ret_text, SB_CAUSE_UNSUPPORTED, json_string_value(name),
                                "cannot be read");
    }
    return SB_CAUSE_NONE;
}

static enum sb_cause accepts_values(const struct sb_type *type, const json_t *values,
                                    char **ret_text)
{
    const char *name;
    json_t *value;
    if (json_object_size(values) == 0)
        return refuse(ret_text, SB_CAUSE_INVALID_REQUEST, "values must be a map of name: value");
    json_object_foreach ((json_t *)values, name, value) {
        struct sb_smp_property property;
        sb_cleanup(sb_freep) uint8_t *bytes = NULL;
        size_t n;
        if (sb_smp_property_get(type, name, &property, ret_text) < 0)
            return SB_CAUSE_INVALID_REQUEST;
        if (!property.writable)
            return refuse_value(ret_text, SB_CAUSE_UNSUPPORTED, name, "cannot be written");
        sb_cleanup(sb_freep) char *why = NULL;
        if (sb_smp_value_encode(property.type, property.big_endian, value, &bytes, &n, &why) < 0)
            return refuse_value(ret_text, SB_CAUSE_INVALID_REQUEST, name,
                                why ? why : "not such a value");
    }
    return SB_CAUSE_NONE;
}

static enum sb_cause accepts_action(const struct sb_type *type, const json_t *params,
                                    char **ret_text)
{
    struct sb_smp_action action;
    const char *name = sb_json_str(params, "action");
    const json_t *arguments = json_object_get(params, "arguments");
    if (!name)
        return refuse(ret_text, SB_CAUSE_INVALID_REQUEST, "action is missing");
    if (sb_smp_action_get(type, name, &action, ret_text) < 0)
        return SB_CAUSE_UNSUPPORTED;
    return sb_smp_check_payload(json_is_null(arguments) ? NULL : arguments, ret_text) < 0
               ? SB_CAUSE_INVALID_REQUEST
               : SB_CAUSE_NONE;
}

enum sb_cause sb_smp_accepts(const struct sb_type *type, int op, const json_t *params,
                             char **ret_text)
{
    switch (op) {
    case SB_OP_READ:
        return accepts_names(type, json_object_get(params, "names"), ret_text);
    case SB_OP_WRITE:
        return accepts_values(type, json_object_get(params, "values"), ret_text);
    case SB_OP_CONFIGURE: /* without values: a package brings them */
        return json_object_get(params, "values")
                   ? accepts_values(type, json_object_get(params, "values"), ret_text)
                   : SB_CAUSE_NONE;
    case SB_OP_INVOKE:
        return accepts_action(type, params, ret_text);
    case SB_OP_FACTORY_RESET:
        return sb_smp_type_of(type)->factory_reset.method == SB_SMP_RESET_NONE
                   ? refuse(ret_text, SB_CAUSE_UNSUPPORTED,
                            "this device type does not say how it is reset (smp.factory_reset)")
                   : SB_CAUSE_NONE;
    default:
        return SB_CAUSE_NONE;
    }
}
