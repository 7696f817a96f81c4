/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/devices/smp/type.h"

#include <errno.h>

#include "adapters/devices/smp/cbor.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "bridge/mapping/described.h"

SB_NAMES(
    sb_smp_stage_at,
    SB_SMP_STAGE_AT_MAX_, [SB_SMP_STAGE_GATEWAY] = "gateway", [SB_SMP_STAGE_DEVICE] = "device");
SB_NAMES(sb_smp_method, SB_SMP_METHOD_MAX_, [SB_SMP_TEST] = "test", [SB_SMP_DIRECT] = "direct");
SB_NAMES(sb_smp_reset,
         SB_SMP_RESET_MAX_, [SB_SMP_RESET_NONE] = "none", [SB_SMP_RESET_ERASE] = "erase_storage",
         [SB_SMP_RESET_SETTINGS] = "settings", [SB_SMP_RESET_REQUEST] = "request");

#define AT(member) offsetof(struct sb_smp_factory_reset, member)
static const struct sb_field reset_fields[] = {
    { .key = "method",
      .type = SB_TYPE_CHOICE,
      .offset = AT(method),
      .otherwise = "none",
      .choices = &sb_smp_reset_names,
      .doc = "How the device goes back to factory state; none: it cannot." },
    { .key = "writes",
      .type = SB_TYPE_JSON,
      .offset = AT(writes),
      .doc = "Method settings: values of properties to write." },
    { .key = "request",
      .type = SB_TYPE_JSON,
      .offset = AT(request),
      .doc = "Method request: group, command, op and payload, as in an action." },
    { .key = "restart",
      .type = SB_TYPE_BOOL,
      .offset = AT(restart),
      .otherwise = "false",
      .doc = "Restart the device afterwards." },
    { 0 },
};
#undef AT

#define AT(member) offsetof(struct sb_smp_type, member)
const struct sb_field sb_smp_type_fields[] = {
    { .key = "timeout",
      .type = SB_TYPE_DURATION,
      .offset = AT(timeout),
      .min = 50,
      .max = 60000,
      .otherwise = "2500ms",
      .doc = "How long one try waits for its answer." },
    { .key = "tries",
      .type = SB_TYPE_INT,
      .offset = AT(tries),
      .min = 1,
      .max = 20,
      .otherwise = "5",
      .doc = "How often a request that was met with silence is sent." },
    { .key = "first_timeout",
      .type = SB_TYPE_DURATION,
      .offset = AT(first_timeout),
      .min = 50,
      .max = 300000,
      .otherwise = "10s",
      .doc = "How long the first block of an upload waits: the device may erase its flash." },
    { .key = "buffer",
      .type = SB_TYPE_SIZE,
      .offset = AT(buffer),
      .min = 0,
      .max = 8192,
      .otherwise = "0",
      .doc = "The device's receive buffer; 0: ask it." },
    { .key = "stage",
      .type = SB_TYPE_CHOICE,
      .offset = AT(stage),
      .otherwise = "gateway",
      .choices = &sb_smp_stage_at_names,
      .doc = "Where a downloaded image waits for its install." },
    { .key = "method",
      .type = SB_TYPE_CHOICE,
      .offset = AT(method),
      .otherwise = "test",
      .choices = &sb_smp_method_names,
      .doc = "test: second slot, test boot, confirm. direct: straight into the first slot." },
    { .key = "images",
      .type = SB_TYPE_STRINGS,
      .offset = AT(images),
      .doc = "Module names of the image numbers 0, 1, ...; the first is mostly \"\"." },
    { .key = "upload_image",
      .type = SB_TYPE_INT,
      .offset = AT(upload_image),
      .min = -1,
      .max = 15,
      .otherwise = "-1",
      .doc = "Image number in upload requests; -1: what the device's slot info says." },
    { .key = "health",
      .type = SB_TYPE_DURATION,
      .offset = AT(health),
      .min = 0,
      .max = 600000,
      .otherwise = "0",
      .doc = "How long a new image must go on answering before it is confirmed." },
    { .key = "returns",
      .type = SB_TYPE_BOOL,
      .offset = AT(returns),
      .otherwise = "true",
      .doc = "Whether the device speaks SMP again after a restart." },
    { .key = "factory_reset",
      .type = SB_TYPE_OBJECT,
      .offset = AT(factory_reset),
      .fields = reset_fields,
      .doc = "Factory reset." },
    { 0 },
};
#undef AT

/* ---- properties and actions ---- */

static int parse_endian(const json_t *spec, struct sb_smp_property *property, char **ret_error)
{
    static const char *const texts[] = { "little", "big" };
    static const struct sb_names names = { texts, SB_COUNT(texts) };
    int endian;
    int r = sb_described_choice(spec, "endian", &names, 0, &endian, ret_error);
    property->big_endian = endian == 1;
    return r;
}

int sb_smp_property_read(const char *name, const json_t *spec, struct sb_smp_property *ret,
                         char **ret_error)
{
    static const char *const keys[] = { "setting", "type", "access", "endian", "title", "unit" };
    int value = 0;
    int r = sb_described_keys(spec, keys, SB_COUNT(keys), ret_error);
    if (r < 0)
        return r;
    ret->name = name;
    ret->setting = sb_json_str(spec, "setting");
    if (!ret->setting || !*ret->setting)
        return sb_described_wrong(ret_error, -EINVAL,
                                  "needs `setting`, the name of the device's setting");
    r = sb_described_choice(spec, "type", &sb_value_names, -1, &value, ret_error);
    ret->type = (enum sb_value)value;
    if (r == 0)
        r = sb_described_access(spec, &ret->access, ret_error);
    return r < 0 ? r : parse_endian(spec, ret, ret_error);
}

int sb_smp_property_get(const struct sb_type *type, const char *name, struct sb_smp_property *ret,
                        char **ret_error)
{
    const json_t *spec = json_object_get(type->properties, name);
    if (!spec)
        return sb_described_unknown("property", name, type->properties, ret_error);
    return sb_smp_property_read(name, spec, ret, ret_error);
}

int sb_smp_property_check(const struct sb_type *type, const char *name, const json_t *value,
                          struct sb_described_access *ret, char **ret_error)
{
    struct sb_smp_property property = { 0 };
    sb_cleanup(sb_freep) uint8_t *bytes = NULL;
    size_t n;
    int r = sb_smp_property_get(type, name, &property, ret_error);
    *ret = property.access;
    if (r < 0 || !value)
        return r;
    return sb_value_encode(property.type, property.big_endian, value, &bytes, &n, ret_error);
}

int sb_smp_check_payload(const json_t *payload, char **ret_error)
{
    struct sb_cbor c = { 0 };
    if (payload && !json_is_object(payload))
        return sb_described_wrong(ret_error, -EINVAL, "payload must be a map");
    int r = payload ? sb_cbor_json(&c, payload) : 0;
    sb_cbor_done(&c);
    return r < 0 ? sb_described_wrong(ret_error, r, "payload is too deep, or has a wrong $hex") : 0;
}

/* { confirm: true } and no more, or nothing of the kind. */
static int read_confirm(const json_t *spec, struct sb_smp_action *ret, char **ret_error)
{
    static const char *const keys[] = { "confirm", "title" };
    int r = sb_described_bool(spec, "confirm", false, &ret->confirm, ret_error);
    return r < 0 || !ret->confirm ? r : sb_described_keys(spec, keys, SB_COUNT(keys), ret_error);
}

int sb_smp_action_read(const json_t *spec, struct sb_smp_action *ret, char **ret_error)
{
    static const char *const keys[] = { "group", "command", "op",         "payload",
                                        "title", "timeout", "repeatable", "confirm" };
    int r = sb_described_keys(spec, keys, SB_COUNT(keys), ret_error);
    if (r == 0)
        r = read_confirm(spec, ret, ret_error);
    if (r < 0 || ret->confirm)
        return r;
    const char *op = sb_json_str(spec, "op");
    int64_t group = sb_json_int(spec, "group", -1), command = sb_json_int(spec, "command", -1);
    if (group < 0 || group > UINT16_MAX || command < 0 || command > UINT8_MAX)
        return sb_described_wrong(ret_error, -EINVAL,
                                  "needs `group` (0..65535) and `command` (0..255)");
    ret->write = sb_streq(op, "write");
    if (op && !ret->write && !sb_streq(op, "read"))
        return sb_described_wrong(ret_error, -EINVAL, "op is '%s' (allowed: read, write)", op);
    r = sb_described_duration(spec, "timeout", 1, SB_HOUR, 0, &ret->timeout, ret_error);
    if (r < 0)
        return r;
    ret->group = (uint16_t)group;
    ret->command = (uint8_t)command;
    r = sb_described_bool(spec, "repeatable", !ret->write, &ret->repeatable, ret_error);
    if (r < 0)
        return r;
    ret->payload = json_object_get(spec, "payload");
    return sb_smp_check_payload(ret->payload, ret_error);
}

int sb_smp_action_get(const struct sb_type *type, const char *name, struct sb_smp_action *ret,
                      char **ret_error)
{
    const json_t *spec = json_object_get(type->actions, name);
    if (!spec)
        return sb_described_unknown("action", name, type->actions, ret_error);
    return sb_smp_action_read(spec, ret, ret_error);
}

/* ---- modules ---- */

int sb_smp_image_of_module(const struct sb_type *type, const char *module)
{
    const struct sb_strings *images = &sb_smp_type_of(type)->images;
    for (size_t i = 0; i < images->count; i++) {
        if (sb_streq(images->list[i], module ? module : ""))
            return (int)i;
    }
    return !module || !*module ? 0 : -ENOENT;
}

char *sb_smp_module_of_image(const struct sb_type *type, uint32_t image)
{
    const struct sb_strings *images = &sb_smp_type_of(type)->images;
    if (image < images->count)
        return strdup(images->list[image]);
    return image == 0 ? strdup("") : sb_format("image-%u", image);
}
