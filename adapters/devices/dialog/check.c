/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a device type can be right.
 */
#include "adapters/devices/dialog/type.h"
#include "bridge/base/str.h"
#include "bridge/config/yaml.h"

#define PATTERNS_MAX 64

static void check_map_of_texts(const struct sb_type *type, const char *key, const json_t *map,
                               struct sb_diags *diags)
{
    const char *name;
    json_t *value;
    if (map && !json_is_object(map))
        sb_described_find(type, "dialog", key, diags, "is a map (name: text)");
    json_object_foreach ((json_t *)map, name, value)
        if (!json_is_string(value))
            sb_described_find(type, "dialog", key, diags, "%s: a text is wanted", name);
}

static void check_secrets(const struct sb_type *type, struct sb_diags *diags)
{
    const json_t *secrets = sb_dialog_type_of(type)->secrets;
    const char *name;
    json_t *value;
    check_map_of_texts(type, "secrets", secrets, diags);
    json_object_foreach ((json_t *)secrets, name, value) {
        const char *setting = json_string_value(value);
        if (setting && strncmp(setting, "file:/", 6) != 0 &&
            strncmp(setting, "credential:", 11) != 0)
            sb_described_find(type, "dialog", "secrets", diags,
                              "%s: a secret is not written here (allowed: file:/path of a file of "
                              "mode 600, credential:NAME)",
                              name);
    }
}

static void check_described(const struct sb_type *type, struct sb_diags *diags)
{
    const char *name;
    json_t *spec;
    json_object_foreach (type->properties, name, spec) {
        struct sb_dialog_property property = { 0 };
        sb_cleanup(sb_freep) char *error = NULL;
        if (sb_dialog_property_read(type, name, spec, &property, &error) < 0)
            sb_described_find(type, "properties", name, diags, "%s",
                              error ? error : "not possible");
    }
    json_object_foreach (type->actions, name, spec) {
        struct sb_dialog_action action = { 0 };
        sb_cleanup(sb_freep) char *error = NULL;
        if (sb_dialog_action_read(type, spec, &action, &error) < 0)
            sb_described_find(type, "actions", name, diags, "%s", error ? error : "not possible");
    }
}

static bool can(const struct sb_type *type, int op)
{
    sb_cleanup(sb_freep) char *text = NULL;
    if (op == SB_OP_READ || op == SB_OP_WRITE)
        return json_object_size(type->properties) > 0;
    if (op == SB_OP_INVOKE)
        return json_object_size(type->actions) > 0;
    if (op == SB_OP_CONFIGURE)
        return sb_dialog_can(type, sb_dialog_script_of(op));
    return sb_dialog_accepts(type, op, NULL, &text) == SB_CAUSE_NONE;
}

/* What a type says it can, it must have the words for. */
static void check_operations(const struct sb_type *type, struct sb_diags *diags)
{
    for (size_t i = 0; i < type->operations.count; i++) {
        int op = sb_op_from_name(type->operations.list[i]);
        if (op < 0 || can(type, op))
            continue;
        const char *script = sb_dialog_script_of(op);
        sb_described_find(
            type, "operations", NULL, diags, "%s needs %s%s", sb_op_name(op),
            op == SB_OP_READ || op == SB_OP_WRITE ? "properties"
            : op == SB_OP_INVOKE                  ? "actions"
            : sb_op_is_firmware((enum sb_op)op) ? "the script `update`, or `download` and `install`"
                                                : "a script ",
            script && !sb_op_is_firmware((enum sb_op)op) && op != SB_OP_READ && op != SB_OP_WRITE
                ? script
                : "");
    }
}

static bool is_eol(const struct sb_dialog_type *config)
{
    return config->eol != SB_EOL_TYPE && config->echo != SB_ECHO_TYPE;
}

void sb_dialog_check_type(const struct sb_type *type, struct sb_diags *diags)
{
    const struct sb_dialog_type *config = sb_dialog_type_of(type);
    sb_cleanup(sb_dialog_scripts_freep) struct sb_dialog_scripts *scripts = NULL;
    check_map_of_texts(type, "patterns", config->patterns, diags);
    check_secrets(type, diags);
    if (!is_eol(config))
        sb_described_find(type, "dialog", NULL, diags,
                          "eol and echo cannot be `type` here: this is what the type says");
    if (sb_dialog_scripts_read(config->scripts, config->patterns, &scripts, diags) < 0)
        return; /* what cannot be read cannot be judged */
    if (SB_MAX(config->transfer_first, config->transfer_timeout) >= type->stall)
        sb_described_find(type, "dialog", NULL, diags,
                          "transfer_first and transfer_timeout must be below this type's `stall`, "
                          "at which the command would be given up");
    if (type->confirm != SB_CONFIRM_AUTO)
        sb_described_find(type, "confirm", NULL, diags,
                          "what makes an image permanent is the script's to do (allowed: auto)");
    check_described(type, diags);
    check_operations(type, diags);
    sb_dialog_check_scripts(type, scripts, diags);
    sb_dialog_check_names(type, scripts, diags);
}
