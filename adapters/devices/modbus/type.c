/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/devices/modbus/type.h"

#include <errno.h>

#include "adapters/devices/modbus/frame.h"
#include "bridge/base/time.h"

SB_NAMES(sb_modbus_id, SB_MODBUS_ID_MAX_, [SB_MODBUS_ID_DEVICE] = "device_id",
         [SB_MODBUS_ID_SERVER] = "server_id", [SB_MODBUS_ID_REGISTERS] = "registers");
SB_NAMES(sb_modbus_stage, SB_MODBUS_STAGE_MAX_, [SB_MODBUS_AT_ENTER] = "enter",
         [SB_MODBUS_AT_ERASE] = "erase", [SB_MODBUS_AT_BLOCKS] = "blocks",
         [SB_MODBUS_AT_FINISH] = "finish", [SB_MODBUS_AT_REBOOT] = "reboot");
SB_NAMES(sb_modbus_counts, SB_MODBUS_COUNTS_MAX_, [SB_MODBUS_COUNTS_BLOCKS] = "blocks",
         [SB_MODBUS_COUNTS_BYTES] = "bytes");

#define INTEGER(name, least, most, standard, text)                                                 \
    {                                                                                              \
        .key = #name, .type = SB_TYPE_INT, .offset = AT(name), .min = (least), .max = (most),      \
        .otherwise = (standard), .doc = (text)                                                     \
    }
#define SPAN(name, least, most, standard, text)                                                    \
    {                                                                                              \
        .key = #name, .type = SB_TYPE_DURATION, .offset = AT(name), .min = (least), .max = (most), \
        .otherwise = (standard), .doc = (text)                                                     \
    }
#define CHOICE(name, standard, names, text)                                                        \
    {                                                                                              \
        .key = #name, .type = SB_TYPE_CHOICE, .offset = AT(name), .otherwise = (standard),         \
        .choices = &(names), .doc = (text)                                                         \
    }
#define TRUTH(name, standard, text)                                                                \
    {                                                                                              \
        .key = #name, .type = SB_TYPE_BOOL, .offset = AT(name), .otherwise = (standard),           \
        .doc = (text)                                                                              \
    }
#define TREE(name, text)                                                                           \
    {                                                                                              \
        .key = #name, .type = SB_TYPE_JSON, .offset = AT(name), .doc = (text)                      \
    }

#define AT(member) offsetof(struct sb_modbus_bootloader, member)
static const struct sb_field bootloader_fields[] = {
    INTEGER(unit, 0, SB_MODBUS_UNIT_MAX, "0", "Its address; 0: that of the application."),
    INTEGER(baud, 0, 4000000, "0", "Its speed; 0: that of the bus."),
    SPAN(wait, 0, 10 * SB_MINUTE, "10s", "How long it may take until it is there."),
    TREE(probe, "Steps that only the bootloader answers well."),
    { 0 },
};
#undef AT

#define AT(member) offsetof(struct sb_modbus_firmware, member)
static const struct sb_field firmware_fields[] = {
    INTEGER(block, 0, 4096, "0", "Bytes of a block."),
    INTEGER(pad, -1, 255, "-1", "Byte that fills up the last block; -1: it stays shorter."),
    INTEGER(skip, 0, 1 << 20, "0", "Bytes at the begin of the file that are not sent."),
    INTEGER(tries, 1, 20, "3", "How often a block is sent that the device says to be damaged."),
    INTEGER(share, 1, 10000, "1", "Blocks until other devices on the bus have their turn."),
    INTEGER(version_at, -1, 1 << 20, "-1", "Where the file has its version as text."),
    INTEGER(version_length, 1, 64, "16", "Bytes of that text."),
    CHOICE(commit, "finish", sb_modbus_stage_names, "The stage from which on nothing is cut off."),
    TREE(enter, "Steps that lead into the bootloader."),
    TREE(erase, "Steps before the first block."),
    TREE(blocks, "Steps for each block."),
    TREE(finish, "Steps after the last block, such as a check of the whole image."),
    TREE(reboot, "Steps that start the new firmware."),
    TREE(abort, "Steps after a cancel."),
    TREE(resume, "Where the device tells how far it is: { register, type, order, table }."),
    CHOICE(counts, "blocks", sb_modbus_counts_names, "What that number counts."),
    { .key = "bootloader",
      .type = SB_TYPE_OBJECT,
      .offset = AT(bootloader),
      .fields = bootloader_fields,
      .doc = "The bootloader, where it has another address or speed, or can be recognised." },
    { 0 },
};
#undef AT

#define AT(member) offsetof(struct sb_modbus_type, member)
const struct sb_field sb_modbus_type_fields[] = {
    SPAN(timeout, 20, 60000, "500ms", "How long one try waits for its answer."),
    INTEGER(tries, 1, 20, "3", "How often a request that was met with silence is sent."),
    SPAN(busy, 0, 10 * SB_MINUTE, "10s", "How long a device that says it is busy is asked again."),
    SPAN(gap, 0, 1000, "0", "Silence between frames; 0: 3.5 characters of the bus's speed."),
    SPAN(settle, 0, 60000, "0", "Time between a write and its read-back."),
    INTEGER(max_read, 1, 125, "125", "Most registers it reads in one frame."),
    INTEGER(max_write, 1, 123, "123", "Most registers it writes in one frame."),
    INTEGER(max_read_bits, 1, 2000, "2000", "Most coils or discrete inputs in one frame."),
    INTEGER(max_write_bits, 1, 1968, "1968", "Most coils it writes in one frame."),
    INTEGER(max_record, 1, 122, "120", "Most registers of a file record in one frame."),
    CHOICE(order, "ABCD", sb_modbus_order_names, "Order of bytes where a property says none."),
    TRUTH(echo, "false", "The line gives back what is sent on it."),
    TRUTH(write_single, "true", "One register is written by function 6, not 16."),
    TRUTH(mask_write, "false", "Single bits are written by function 22, not by read and write."),
    { .key = "identify",
      .type = SB_TYPE_STRINGS,
      .offset = AT(identify),
      .doc = "How to find out who it is: device_id, server_id, registers, in this order." },
    INTEGER(device_id, 1, 3, "1",
            "Read code of the device identification: 1 basic, 2 regular, "
            "3 extended."),
    TREE(identity, "Properties that say who it is: manufacturer, model, serial, hardware, "
                   "version."),
    TREE(before, "Steps before values are written, such as unlocking."),
    TREE(after, "Steps after that."),
    TREE(save, "Steps that make a configuration permanent."),
    TREE(reboot, "Steps that restart it."),
    TREE(factory_reset, "Steps that bring it to its factory state."),
    TRUTH(reset_restarts, "false", "A factory reset restarts it."),
    { .key = "firmware",
      .type = SB_TYPE_OBJECT,
      .offset = AT(firmware),
      .fields = firmware_fields,
      .doc = "How its firmware is updated." },
    { 0 },
};
#undef AT

#define AT(member) offsetof(struct sb_modbus_address, member)
const struct sb_field sb_modbus_address_fields[] = {
    { .key = "unit",
      .type = SB_TYPE_INT,
      .offset = AT(unit),
      .flags = SB_FIELD_REQUIRED,
      .min = 1,
      .max = SB_MODBUS_UNIT_MAX,
      .doc = "Its address on the bus." },
    { 0 },
};
#undef AT

/* ---- properties and actions ---- */

int sb_modbus_property_get(const struct sb_type *type, const char *name,
                           struct sb_modbus_property *ret, char **ret_error)
{
    const json_t *spec = json_object_get(type->properties, name);
    if (!spec)
        return sb_described_unknown("property", name, type->properties, ret_error);
    return sb_modbus_property_read(name, spec, sb_modbus_type_of(type)->order, ret, ret_error);
}

int sb_modbus_property_check(const struct sb_type *type, const char *name, const json_t *value,
                             struct sb_described_access *ret, char **ret_error)
{
    struct sb_modbus_property property;
    uint16_t words[SB_MODBUS_WORDS_MAX], mask[SB_MODBUS_WORDS_MAX];
    int r = sb_modbus_property_get(type, name, &property, ret_error);
    if (r < 0)
        return r;
    *ret = property.access;
    return value ? sb_modbus_encode(&property, value, words, mask, ret_error) : 0;
}

int sb_modbus_action_read(const json_t *spec, struct sb_modbus_action *ret, char **ret_error)
{
    static const char *const keys[] = { "steps", "arguments", "results", "repeatable", "title" };
    int r = sb_described_keys(spec, keys, SB_COUNT(keys), ret_error);
    if (r < 0)
        return r;
    *ret = (struct sb_modbus_action){ .steps = json_object_get(spec, "steps"),
                                      .arguments = json_object_get(spec, "arguments"),
                                      .results = json_object_get(spec, "results") };
    r = sb_described_bool(spec, "repeatable", false, &ret->repeatable, ret_error);
    if (r < 0)
        return r;
    if (json_array_size(ret->steps) == 0)
        return sb_described_wrong(ret_error, -EINVAL, "needs `steps`");
    if (ret->arguments && !json_is_object(ret->arguments))
        return sb_described_wrong(ret_error, -EINVAL, "arguments: wants { name: default, ... }");
    return 0;
}

int sb_modbus_action_get(const struct sb_type *type, const char *name, struct sb_modbus_action *ret,
                         char **ret_error)
{
    const json_t *spec = json_object_get(type->actions, name);
    if (!spec)
        return sb_described_unknown("action", name, type->actions, ret_error);
    return sb_modbus_action_read(spec, ret, ret_error);
}

int sb_modbus_arguments(const struct sb_modbus_action *action, const json_t *given, json_t **ret,
                        char **ret_error)
{
    const char *name;
    json_t *value;
    sb_cleanup(json_decrefp) json_t *all =
        action->arguments ? json_copy((json_t *)action->arguments) : json_object();
    if (!all)
        return -ENOMEM;
    if (given && !json_is_null(given) && !json_is_object(given))
        return sb_described_wrong(ret_error, -EINVAL, "arguments must be a map");
    json_object_foreach ((json_t *)given, name, value) {
        if (!json_object_get(action->arguments, name))
            return sb_described_unknown("argument", name, action->arguments, ret_error);
        if (!json_is_integer(value) && !json_is_real(value) && !json_is_boolean(value) &&
            !json_is_string(value))
            return sb_described_wrong(ret_error, -EINVAL, "%.64s: not a number or text", name);
        if (json_object_set(all, name, value))
            return -ENOMEM;
    }
    json_object_foreach (all, name, value) {
        if (json_is_null(value))
            return sb_described_wrong(ret_error, -EINVAL, "argument '%.64s' is missing", name);
    }
    *ret = SB_STEAL(all);
    return 0;
}

int sb_modbus_resume_read(const struct sb_type *type, struct sb_modbus_place *ret, char **ret_error)
{
    static const char *const keys[] = { "register", "type", "order", "table" };
    const json_t *spec = sb_modbus_type_of(type)->firmware.resume;
    int r = sb_described_keys(spec, keys, SB_COUNT(keys), ret_error);
    if (r == 0)
        r = sb_modbus_place_read(spec, "register", sb_modbus_type_of(type)->order, ret, ret_error);
    if (r == 0 && ret->kind > SB_MODBUS_I64)
        return sb_described_wrong(ret_error, -EINVAL, "must be a whole number");
    return r;
}
