/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a device type, or a request to a device of the type, can be right.
 */
#include <errno.h>

#include "adapters/devices/modbus/recipe.h"
#include "adapters/devices/modbus/type.h"
#include "adapters/devices/modbus/update.h"

static const char *const identity_keys[] = { "manufacturer", "model", "serial", "hardware",
                                             "version" };

/* ---- properties ---- */

static bool share_a_bit(const struct sb_modbus_property *a, const struct sb_modbus_property *b)
{
    uint16_t masks[2];
    const struct sb_modbus_property *both[] = { a, b };
    for (size_t i = 0; i < SB_COUNT(both); i++) {
        const char *name;
        json_t *bit;
        masks[i] = (uint16_t)(both[i]->bit >= 0 ? 1u << both[i]->bit : 0);
        json_object_foreach ((json_t *)both[i]->flags, name, bit)
            masks[i] = (uint16_t)(masks[i] | 1 << json_integer_value(bit));
        masks[i] = (uint16_t)(masks[i] ? masks[i] : UINT16_MAX);
    }
    return masks[0] & masks[1];
}

static bool overlap(const struct sb_modbus_property *a, const struct sb_modbus_property *b)
{
    return a->access.writable && b->access.writable && a->at.table == b->at.table &&
           a->at.address < b->at.address + b->at.count &&
           b->at.address < a->at.address + a->at.count && share_a_bit(a, b);
}

static void check_overlaps(const struct sb_type *type, const struct sb_modbus_property *list,
                           size_t count, struct sb_diags *diags)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < i; k++)
            if (overlap(&list[i], &list[k]))
                sb_described_find(type, "properties", list[i].name, diags,
                                  "writes %s %u, which %s writes as well (make one of them "
                                  "access: read)",
                                  sb_modbus_table_name(list[i].at.table),
                                  SB_MAX(list[i].at.address, list[k].at.address), list[k].name);
}

/* What belongs together must fit into one frame. */
static void check_groups(const struct sb_type *type, const struct sb_modbus_property *list,
                         size_t count, struct sb_diags *diags)
{
    const struct sb_modbus_type *config = sb_modbus_type_of(type);
    for (size_t i = 0; i < count; i++) {
        uint32_t begin = list[i].at.address, end = begin + list[i].at.count;
        int64_t limit =
            sb_modbus_is_bit_table(list[i].at.table) ? config->max_read_bits : config->max_read;
        bool last = list[i].group && list[i].access.readable;
        for (size_t k = 0; last && k < count; k++) {
            if (!list[k].access.readable || list[k].at.table != list[i].at.table ||
                !sb_streq(list[k].group, list[i].group))
                continue;
            last = k <= i; /* one finding for each group */
            begin = SB_MIN(begin, (uint32_t)list[k].at.address);
            end = SB_MAX(end, (uint32_t)list[k].at.address + list[k].at.count);
        }
        if (last && end - begin > limit)
            sb_described_find(type, "properties", list[i].name, diags,
                              "group %s spans %u registers, and the device reads at most %lld in "
                              "a frame, so its values would not be of one moment",
                              list[i].group, end - begin, (long long)limit);
    }
}

static void check_limits(const struct sb_type *type, const struct sb_modbus_property *property,
                         struct sb_diags *diags)
{
    const struct sb_modbus_type *config = sb_modbus_type_of(type);
    if (property->access.readable && property->at.count > config->max_read)
        sb_described_find(type, "properties", property->name, diags,
                          "has %u registers, and the device reads at most %lld in a frame "
                          "(max_read)",
                          property->at.count, (long long)config->max_read);
    if (property->access.writable && property->at.count > config->max_write)
        sb_described_find(type, "properties", property->name, diags,
                          "has %u registers, and the device writes at most %lld in a frame "
                          "(max_write)",
                          property->at.count, (long long)config->max_write);
}

static void check_properties(const struct sb_type *type, struct sb_diags *diags)
{
    const char *name;
    json_t *spec;
    size_t count = 0;
    sb_cleanup(sb_freep) struct sb_modbus_property *list =
        calloc(json_object_size(type->properties) + 1, sizeof(*list));
    if (!list)
        return;
    json_object_foreach (type->properties, name, spec) {
        sb_cleanup(sb_freep) char *error = NULL;
        if (sb_modbus_property_read(name, spec, sb_modbus_type_of(type)->order, &list[count],
                                    &error) < 0)
            sb_described_find(type, "properties", name, diags, "%s",
                              error ? error : "not possible");
        else
            check_limits(type, &list[count++], diags);
    }
    check_overlaps(type, list, count, diags);
    check_groups(type, list, count, diags);
}

/* ---- recipes ---- */

struct context {
    const struct sb_type *type;
    struct sb_diags *diags;
    const char *section, *name; /* where it stands, for findings: */
    const char *path[3];        /* and below that */
    const char *key;            /* what that is called in them */
};

/* The properties that `set` steps write. */
static void check_sets(const struct context *context, const json_t *list, const json_t *names)
{
    size_t i;
    json_t *spec, *value;
    const char *name;
    json_array_foreach (list, i, spec) {
        json_object_foreach (json_object_get(spec, "set"), name, value) {
            sb_cleanup(sb_freep) char *error = NULL;
            struct sb_described_access access = { 0 };
            const char *text = json_string_value(value);
            bool later = text && *text == '$' && json_object_get(names, text + 1);
            int r = sb_modbus_property_check(context->type, name, later ? NULL : value, &access,
                                             &error);
            if (r < 0 || !access.writable)
                sb_described_find_step(context->type, context->section, context->name,
                                       context->path, i, context->diags, "%s: step %zu: %s: %s",
                                       context->key, i + 1, name,
                                       r < 0 && error ? error : "cannot be written");
        }
    }
}

static void check_recipe(const struct context *context, const json_t *list, const json_t *names,
                         bool data)
{
    sb_cleanup(sb_freep) char *error = NULL;
    size_t step;
    if (sb_modbus_recipe_check(list, sb_modbus_type_of(context->type)->order, names, data, &step,
                               &error) < 0)
        sb_described_find_step(context->type, context->section, context->name, context->path, step,
                               context->diags, "%s: %s", context->key,
                               error ? error : "not possible");
    else
        check_sets(context, list, names);
}

static void check_actions(const struct sb_type *type, struct sb_diags *diags)
{
    const char *name;
    json_t *spec, *result;
    size_t i;
    json_object_foreach (type->actions, name, spec) {
        struct sb_modbus_action action;
        sb_cleanup(sb_freep) char *error = NULL;
        const struct context context = { type, diags, "actions", name, { "steps" }, "steps" };
        if (sb_modbus_action_read(spec, &action, &error) < 0) {
            sb_described_find(type, "actions", name, diags, "%s", error ? error : "not possible");
            continue;
        }
        check_recipe(&context, action.steps, action.arguments, false);
        json_array_foreach (action.results, i, result) {
            struct sb_described_access access = { 0 };
            sb_cleanup(sb_freep) char *why = NULL;
            const char *wanted = json_string_value(result);
            if (sb_modbus_property_check(type, wanted ? wanted : "", NULL, &access, &why) < 0 ||
                !access.readable)
                sb_described_find(type, "actions", name, diags, "results: %s",
                                  why ? why : "cannot be read");
        }
    }
}

/* ---- the modbus: section ---- */

static void check_identity(const struct sb_type *type, struct sb_diags *diags)
{
    const struct sb_modbus_type *config = sb_modbus_type_of(type);
    const char *key;
    json_t *value;
    sb_cleanup(sb_freep) char *error = NULL;
    for (size_t i = 0; i < config->identify.count; i++) {
        if (sb_modbus_id_from_name(config->identify.list[i]) < 0)
            sb_described_find(type, "modbus", "identify", diags,
                              "no way '%s' (allowed: device_id, server_id, registers)",
                              config->identify.list[i]);
        else if (!config->identity && sb_streq(config->identify.list[i], "registers"))
            sb_described_find(type, "modbus", "identify", diags,
                              "registers needs `identity`: { version: PROPERTY, ... }");
    }
    if (!config->identity)
        return;
    if (sb_described_keys(config->identity, identity_keys, SB_COUNT(identity_keys), &error) < 0) {
        sb_described_find(type, "modbus", "identity", diags, "%s", error ? error : "");
        return;
    }
    json_object_foreach (config->identity, key, value) {
        struct sb_described_access access = { 0 };
        sb_cleanup(sb_freep) char *why = NULL;
        const char *name = json_string_value(value);
        if (sb_modbus_property_check(type, name ? name : "", NULL, &access, &why) < 0 ||
            !access.readable)
            sb_described_find(type, "modbus", "identity", diags, "%s: %s", key,
                              why ? why : "cannot be read");
    }
}

static bool says_version(const struct sb_type *type)
{
    const struct sb_modbus_type *config = sb_modbus_type_of(type);
    bool listed = config->identify.count == 0;
    for (size_t i = 0; i < config->identify.count; i++)
        listed = listed || sb_streq(config->identify.list[i], "device_id");
    return json_object_get(config->identity, "version") || (listed && !config->identity);
}

static bool has_file_step(const json_t *list)
{
    size_t i;
    json_t *step;
    json_array_foreach (list, i, step)
        if (json_object_get(step, "file"))
            return true;
    return false;
}

static void check_firmware(const struct sb_type *type, struct sb_diags *diags)
{
    const struct sb_modbus_firmware *firmware = &sb_modbus_type_of(type)->firmware;
    sb_cleanup(json_decrefp) json_t *image = sb_modbus_image_names(NULL),
                                    *block = sb_modbus_block_names(NULL, NULL);
    const struct {
        const char *path[2], *key;
        const json_t *list;
        bool data;
    } recipes[] = {
        { { "enter" }, "firmware.enter", firmware->enter, false },
        { { "erase" }, "firmware.erase", firmware->erase, false },
        { { "blocks" }, "firmware.blocks", firmware->blocks, true },
        { { "finish" }, "firmware.finish", firmware->finish, false },
        { { "reboot" }, "firmware.reboot", firmware->reboot, false },
        { { "abort" }, "firmware.abort", firmware->abort, false },
        { { "bootloader", "probe" },
          "firmware.bootloader.probe",
          firmware->bootloader.probe,
          false },
    };
    bool any = false;
    for (size_t i = 0; i < SB_COUNT(recipes); i++) {
        const struct context context = {
            type,          diags, "modbus", "firmware", { recipes[i].path[0], recipes[i].path[1] },
            recipes[i].key
        };
        check_recipe(&context, recipes[i].list, recipes[i].data ? block : image, recipes[i].data);
        any = any || recipes[i].list;
    }
    if (!any && firmware->block == 0)
        return;
    if (firmware->block == 0 || json_array_size(firmware->blocks) == 0)
        sb_described_find(type, "modbus", "firmware", diags,
                          "needs `block` (its bytes) and `blocks` (the steps of each)");
    if (firmware->block % 2 && has_file_step(firmware->blocks))
        sb_described_find(type, "modbus", "firmware", diags,
                          "block must be even: a file's records are registers of two bytes each");
    if (firmware->enter && firmware->resume && !firmware->bootloader.probe)
        sb_described_find(type, "modbus", "firmware", diags,
                          "resume needs bootloader.probe: steps that show whether it is there");
    struct sb_modbus_place place;
    sb_cleanup(sb_freep) char *error = NULL;
    if (firmware->resume && sb_modbus_resume_read(type, &place, &error) < 0)
        sb_described_find(type, "modbus", "firmware", diags, "resume: %s", error ? error : "");
    if (type->verify == SB_VERIFY_HASH)
        sb_described_find(type, "verify", NULL, diags,
                          "a Modbus device shows no hash (allowed: none, status, version)");
    if (type->verify == SB_VERIFY_VERSION && !says_version(type))
        sb_described_find(type, "modbus", "firmware", diags,
                          "nothing says which version runs: give identity.version a property, or "
                          "set verify: status");
}

void sb_modbus_check_type(const struct sb_type *type, struct sb_diags *diags)
{
    const struct sb_modbus_type *config = sb_modbus_type_of(type);
    const struct {
        const char *key;
        const json_t *list;
    } recipes[] = {
        { "before", config->before },
        { "after", config->after },
        { "save", config->save },
        { "reboot", config->reboot },
        { "factory_reset", config->factory_reset },
    };
    check_properties(type, diags);
    check_actions(type, diags);
    for (size_t i = 0; i < SB_COUNT(recipes); i++) {
        const struct context context = { type, diags, "modbus", recipes[i].key, { NULL }, "steps" };
        check_recipe(&context, recipes[i].list, NULL, false);
    }
    check_identity(type, diags);
    check_firmware(type, diags);
    const json_t *wish = type->asks ? json_object_get(type->properties, type->asks) : NULL;
    if (wish && !sb_json_bool(wish, "poll", false))
        sb_described_find(type, "asks", NULL, diags,
                          "'%s' is not read at a look: give it `poll: true`", type->asks);
    if (type->confirm != SB_CONFIRM_AUTO)
        sb_described_find(type, "confirm", NULL, diags,
                          "a Modbus device tries no image out (allowed: auto)");
}

/* ---- what can be asked ---- */

unsigned sb_modbus_caps(const struct sb_type *type)
{
    return SB_CAP_SHARES_BUS | SB_CAP_CANCEL |
           (sb_modbus_type_of(type)->firmware.version_at >= 0 ? SB_CAP_READS_VERSION : 0u);
}

static enum sb_cause accepts_action(const struct sb_type *type, const json_t *params,
                                    char **ret_text)
{
    struct sb_modbus_action action;
    sb_cleanup(json_decrefp) json_t *arguments = NULL;
    const char *name = sb_json_str(params, "action");
    if (!name)
        return sb_described_refuse(ret_text, SB_CAUSE_INVALID_REQUEST, "action is missing");
    if (sb_modbus_action_get(type, name, &action, ret_text) < 0)
        return SB_CAUSE_UNSUPPORTED;
    if (sb_modbus_arguments(&action, json_object_get(params, "arguments"), &arguments, ret_text) <
        0)
        return SB_CAUSE_INVALID_REQUEST;
    /* The steps as they would be sent: an argument may not fit where it goes. */
    size_t i;
    json_t *spec;
    json_array_foreach (action.steps, i, spec) {
        struct sb_modbus_step step;
        uint16_t words[SB_MODBUS_WORDS_MAX];
        size_t n;
        int r =
            sb_modbus_step_read(spec, sb_modbus_type_of(type)->order, arguments, &step, ret_text);
        if (r == 0 && (step.verb == SB_MODBUS_DO_WRITE || step.verb == SB_MODBUS_DO_COIL))
            r = sb_modbus_step_words(&step, arguments, words, &n, ret_text);
        if (r < 0)
            return SB_CAUSE_INVALID_REQUEST;
    }
    return SB_CAUSE_NONE;
}

enum sb_cause sb_modbus_accepts(const struct sb_type *type, int op, const json_t *params,
                                char **ret_text)
{
    const struct sb_modbus_type *config = sb_modbus_type_of(type);
    switch (op) {
    case SB_OP_READ:
    case SB_OP_WRITE:
    case SB_OP_CONFIGURE:
        return sb_described_accepts(type, op, params, sb_modbus_property_check, ret_text);
    case SB_OP_INVOKE:
        return accepts_action(type, params, ret_text);
    case SB_OP_REBOOT:
        return config->reboot ? SB_CAUSE_NONE
                              : sb_described_refuse(ret_text, SB_CAUSE_UNSUPPORTED,
                                                    "this device type does not say how it is "
                                                    "restarted (modbus.reboot)");
    case SB_OP_FACTORY_RESET:
        return config->factory_reset
                   ? SB_CAUSE_NONE
                   : sb_described_refuse(ret_text, SB_CAUSE_UNSUPPORTED,
                                         "this device type does not say how it is reset "
                                         "(modbus.factory_reset)");
    case SB_OP_FIRMWARE_DOWNLOAD:
    case SB_OP_FIRMWARE_INSTALL:
    case SB_OP_FIRMWARE_UPDATE:
        return config->firmware.block
                   ? SB_CAUSE_NONE
                   : sb_described_refuse(ret_text, SB_CAUSE_UNSUPPORTED,
                                         "this device type does not say how its firmware is "
                                         "updated (modbus.firmware)");
    default:
        return SB_CAUSE_NONE;
    }
}
