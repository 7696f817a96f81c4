/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/devices/dialog/type.h"

#include <errno.h>

#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "bridge/config/yaml.h"

#define AT(member) offsetof(struct sb_dialog_type, member)
const struct sb_field sb_dialog_type_fields[] = {
    { .key = "eol",
      .type = SB_TYPE_CHOICE,
      .offset = AT(eol),
      .otherwise = "cr",
      .choices = &sb_dialog_eol_names,
      .doc = "What ends a line that is sent: cr, lf, crlf or none." },
    { .key = "echo",
      .type = SB_TYPE_CHOICE,
      .offset = AT(echo),
      .otherwise = "ignore",
      .choices = &sb_dialog_echo_names,
      .doc = "check: a line's end is sent only after its text was echoed." },
    { .key = "clear",
      .type = SB_TYPE_STRING,
      .offset = AT(clear),
      .max = 16,
      .otherwise = "\x15",
      .doc = "What empties a line of which the echo was wrong; Ctrl-U if not given." },
    { .key = "tries",
      .type = SB_TYPE_INT,
      .offset = AT(tries),
      .min = 1,
      .max = 20,
      .otherwise = "3",
      .doc = "How often a line is sent until its echo is right." },
    { .key = "timeout",
      .type = SB_TYPE_DURATION,
      .offset = AT(timeout),
      .min = 50,
      .max = SB_HOUR,
      .otherwise = "5s",
      .doc = "How long an expect waits that does not say." },
    { .key = "pace",
      .type = SB_TYPE_DURATION,
      .offset = AT(pace),
      .min = 0,
      .max = 200,
      .otherwise = "0",
      .doc = "Time between two characters of a line, for slow consoles." },
    { .key = "time_limit",
      .type = SB_TYPE_DURATION,
      .offset = AT(time_limit),
      .min = SB_SECOND,
      .max = SB_DAY,
      .otherwise = "10m",
      .doc = "The longest all scripts of a command may take, transfers and restarts apart." },
    { .key = "transfer_timeout",
      .type = SB_TYPE_DURATION,
      .offset = AT(transfer_timeout),
      .min = 100,
      .max = 10 * SB_MINUTE,
      .otherwise = "10s",
      .doc = "How long a block of a transfer waits for its answer." },
    { .key = "transfer_first",
      .type = SB_TYPE_DURATION,
      .offset = AT(transfer_first),
      .min = 100,
      .max = 10 * SB_MINUTE,
      .otherwise = "30s",
      .doc = "How long a transfer waits for the device to ask." },
    { .key = "transfer_tries",
      .type = SB_TYPE_INT,
      .offset = AT(transfer_tries),
      .min = 1,
      .max = 50,
      .otherwise = "10",
      .doc = "How often a block is sent." },
    { .key = "vocabulary",
      .type = SB_TYPE_STRING,
      .offset = AT(vocabulary),
      .min = 1,
      .max = 32,
      .otherwise = "console",
      .doc = "What the device's own codes are called in reports." },
    { .key = "patterns",
      .type = SB_TYPE_JSON,
      .offset = AT(patterns),
      .doc = "Patterns with a name, which an expect calls '@name'." },
    { .key = "secrets",
      .type = SB_TYPE_JSON,
      .offset = AT(secrets),
      .doc = "Texts that are never shown, as {secret.NAME}: file:/path or credential:NAME." },
    { .key = "scripts",
      .type = SB_TYPE_NODE,
      .offset = AT(scripts),
      .flags = SB_FIELD_REQUIRED,
      .doc = "What is said to the device, by name." },
    { 0 },
};
#undef AT

static const char *const script_names[] = {
    [SB_OP_FIRMWARE_DOWNLOAD] = "download",
    [SB_OP_FIRMWARE_INSTALL] = "install",
    [SB_OP_FIRMWARE_UPDATE] = "update",
    [SB_OP_REBOOT] = "reboot",
    [SB_OP_FACTORY_RESET] = "factory_reset",
    [SB_OP_CONFIGURE] = "configure",
    [SB_OP_READ] = SB_SCRIPT_READ,
    [SB_OP_WRITE] = SB_SCRIPT_WRITE,
    [SB_OP_INVOKE] = NULL,
};
_Static_assert(SB_COUNT(script_names) == SB_OP_MAX_, "an operation without a script's name");

const char *sb_dialog_script_of(int op)
{
    return op >= 0 && op < SB_OP_MAX_ ? script_names[op] : NULL;
}

bool sb_dialog_can(const struct sb_type *type, const char *script)
{
    return script && sb_yaml_get(sb_dialog_type_of(type)->scripts, script);
}

bool sb_dialog_is_identity(const char *name)
{
    static const char *const names[] = { "manufacturer", "model", "serial", "hardware" };
    for (size_t i = 0; i < SB_COUNT(names); i++)
        if (sb_streq(name, names[i]))
            return true;
    return false;
}

const char *sb_dialog_version_module(const char *name)
{
    if (strncmp(name, "version", 7) != 0 || (name[7] && name[7] != '.'))
        return NULL;
    return name[7] ? name + 8 : name + 7;
}

/* ---- properties ---- */

/* The script by which it is read or written; NULL with 0: there is none. */
static int script_for(const struct sb_type *type, const json_t *spec, const char *key,
                      const char **ret, char **ret_error)
{
    const json_t *given = json_object_get(spec, key);
    *ret = NULL;
    if (!given) {
        *ret = sb_dialog_can(type, key) ? key : NULL;
        return 0;
    }
    *ret = json_string_value(given);
    if (sb_dialog_can(type, *ret))
        return 0;
    return sb_described_wrong(ret_error, -EINVAL, "%s: there is no script '%.64s'", key,
                              *ret ? *ret : "");
}

static int read_access(const struct sb_type *type, const json_t *spec,
                       struct sb_dialog_property *property, char **ret_error)
{
    bool said = json_object_get(spec, "access");
    int r = sb_described_access(spec, &property->access, ret_error);
    if (r == 0)
        r = script_for(type, spec, "read", &property->read, ret_error);
    if (r == 0)
        r = script_for(type, spec, "write", &property->write, ret_error);
    if (r < 0)
        return r;
    if (said && property->access.readable && !property->read)
        return sb_described_wrong(ret_error, -EINVAL,
                                  "access says it can be read, but there is no script `read`");
    if (said && property->access.writable && !property->write)
        return sb_described_wrong(ret_error, -EINVAL,
                                  "access says it can be written, but there is no script `write`");
    property->access.readable = property->access.readable && property->read;
    property->access.writable = property->access.writable && property->write;
    if (property->access.readable || property->access.writable)
        return 0;
    return sb_described_wrong(ret_error, -EINVAL,
                              "can neither be read nor written: there is no script for it");
}

int sb_dialog_property_read(const struct sb_type *type, const char *name, const json_t *spec,
                            struct sb_dialog_property *ret, char **ret_error)
{
    static const char *const keys[] = {
        SB_DIALOG_VALUE_KEYS, "key", "access", "read", "write", "title", "unit", "secret"
    };
    int r = sb_described_keys(spec, keys, SB_COUNT(keys), ret_error);
    if (r < 0)
        return r;
    ret->name = name;
    ret->key = sb_json_str(spec, "key") ? sb_json_str(spec, "key") : name;
    r = sb_described_bool(spec, "secret", false, &ret->secret, ret_error);
    if (r == 0)
        r = sb_dialog_value_read(spec, &ret->value, ret_error);
    if (r == 0)
        r = sb_dialog_text_check(ret->key, "\"'*#$%()[]&!;<>|~^?", ret_error);
    return r < 0 ? r : read_access(type, spec, ret, ret_error);
}

int sb_dialog_property_get(const struct sb_type *type, const char *name,
                           struct sb_dialog_property *ret, char **ret_error)
{
    const json_t *spec = json_object_get(type->properties, name);
    if (!spec)
        return sb_described_unknown("property", name, type->properties, ret_error);
    return sb_dialog_property_read(type, name, spec, ret, ret_error);
}

int sb_dialog_property_check(const struct sb_type *type, const char *name, const json_t *value,
                             struct sb_described_access *ret, char **ret_error)
{
    struct sb_dialog_property property = { 0 };
    sb_cleanup(sb_freep) char *text = NULL;
    int r = sb_dialog_property_get(type, name, &property, ret_error);
    *ret = property.access;
    return r < 0 || !value ? r : sb_dialog_value_encode(&property.value, value, &text, ret_error);
}

/* ---- actions ---- */

int sb_dialog_action_read(const struct sb_type *type, const json_t *spec,
                          struct sb_dialog_action *ret, char **ret_error)
{
    static const char *const keys[] = { "script", "arguments", "repeatable", "title" };
    static const char *const value_keys[] = { SB_DIALOG_VALUE_KEYS, "title", "unit", "default",
                                              "secret" };
    const char *name;
    json_t *argument;
    int r = sb_described_keys(spec, keys, SB_COUNT(keys), ret_error);
    if (r < 0)
        return r;
    ret->script = sb_json_str(spec, "script");
    ret->arguments = json_object_get(spec, "arguments");
    r = sb_described_bool(spec, "repeatable", false, &ret->repeatable, ret_error);
    if (r < 0)
        return r;
    if (!sb_dialog_can(type, ret->script))
        return sb_described_wrong(ret_error, -EINVAL, "needs `script`, one of dialog.scripts%s%s%s",
                                  ret->script ? ": there is no '" : "",
                                  ret->script ? ret->script : "", ret->script ? "'" : "");
    if (ret->arguments && !json_is_object(ret->arguments))
        return sb_described_wrong(ret_error, -EINVAL, "arguments is a map (name: { type: ... })");
    json_object_foreach ((json_t *)ret->arguments, name, argument) {
        struct sb_dialog_value value;
        r = sb_described_keys(argument, value_keys, SB_COUNT(value_keys), ret_error);
        if (r == 0)
            r = sb_dialog_value_read(argument, &value, ret_error);
        if (r < 0)
            return r;
    }
    return 0;
}

int sb_dialog_action_get(const struct sb_type *type, const char *name, struct sb_dialog_action *ret,
                         char **ret_error)
{
    const json_t *spec = json_object_get(type->actions, name);
    if (!spec)
        return sb_described_unknown("action", name, type->actions, ret_error);
    return sb_dialog_action_read(type, spec, ret, ret_error);
}

static int one_argument(const char *name, const json_t *spec, const json_t *given, json_t *texts,
                        char **ret_error)
{
    struct sb_dialog_value value;
    sb_cleanup(sb_freep) char *text = NULL, *why = NULL;
    if (!given)
        given = json_object_get(spec, "default");
    if (!given)
        return sb_described_wrong(ret_error, -EINVAL, "argument '%s' is missing", name);
    int r = sb_dialog_value_read(spec, &value, &why);
    if (r == 0)
        r = sb_dialog_value_encode(&value, given, &text, &why);
    if (r < 0)
        return r == -ENOMEM
                   ? r
                   : sb_described_wrong(ret_error, r, "argument '%s': %s", name, why ? why : "");
    return json_object_set_new(texts, name, json_string(text)) < 0 ? -ENOMEM : 0;
}

int sb_dialog_arguments(const struct sb_dialog_action *action, const json_t *arguments,
                        json_t **ret, char **ret_error)
{
    sb_cleanup(json_decrefp) json_t *texts = json_object();
    const char *name;
    json_t *value;
    int r = texts ? 0 : -ENOMEM;
    json_object_foreach ((json_t *)arguments, name, value) {
        if (r == 0 && !json_object_get(action->arguments, name))
            r = sb_described_unknown("argument", name, action->arguments, ret_error);
    }
    json_object_foreach ((json_t *)action->arguments, name, value) {
        if (r == 0)
            r = one_argument(name, value, json_object_get(arguments, name), texts, ret_error);
    }
    if (r == 0)
        *ret = SB_STEAL(texts);
    return r;
}

/* ---- caps and accepts ---- */

unsigned sb_dialog_caps(const struct sb_type *type)
{
    bool two = sb_dialog_can(type, "download") && sb_dialog_can(type, "install");
    return SB_CAP_CANCEL | (two ? SB_CAP_STAGE_ON_DEVICE : 0u);
}

/* Without `download` the image waits in the gateway, and the install is the whole update. */
static bool can_update(const struct sb_type *type)
{
    return sb_dialog_can(type, "update") ||
           (sb_dialog_can(type, "download") && sb_dialog_can(type, "install"));
}

static enum sb_cause no_script(char **ret_text, const char *script)
{
    sb_cleanup(sb_freep) char *text =
        sb_format("this device type has no script for it (dialog.scripts.%s)", script);
    return sb_described_refuse(ret_text, SB_CAUSE_UNSUPPORTED, text ? text : script);
}

static enum sb_cause accepts_action(const struct sb_type *type, const json_t *params,
                                    char **ret_text)
{
    struct sb_dialog_action action = { 0 };
    const char *name = sb_json_str(params, "action");
    const json_t *arguments = json_object_get(params, "arguments");
    sb_cleanup(json_decrefp) json_t *texts = NULL;
    if (!name)
        return sb_described_refuse(ret_text, SB_CAUSE_INVALID_REQUEST, "action is missing");
    if (sb_dialog_action_get(type, name, &action, ret_text) < 0)
        return SB_CAUSE_UNSUPPORTED;
    if (arguments && !json_is_object(arguments) && !json_is_null(arguments))
        return sb_described_refuse(ret_text, SB_CAUSE_INVALID_REQUEST, "arguments is a map");
    return sb_dialog_arguments(&action, arguments, &texts, ret_text) < 0 ? SB_CAUSE_INVALID_REQUEST
                                                                         : SB_CAUSE_NONE;
}

enum sb_cause sb_dialog_accepts(const struct sb_type *type, int op, const json_t *params,
                                char **ret_text)
{
    const char *script = sb_dialog_script_of(op);
    switch (op) {
    case SB_OP_INVOKE:
        return accepts_action(type, params, ret_text);
    case SB_OP_CONFIGURE:
        if (!sb_dialog_can(type, script))
            return no_script(ret_text, script);
        return sb_described_accepts(type, op, params, sb_dialog_property_check, ret_text);
    case SB_OP_READ:
    case SB_OP_WRITE:
        return sb_described_accepts(type, op, params, sb_dialog_property_check, ret_text);
    case SB_OP_FIRMWARE_DOWNLOAD:
    case SB_OP_FIRMWARE_INSTALL:
    case SB_OP_FIRMWARE_UPDATE:
        return can_update(type) ? SB_CAUSE_NONE : no_script(ret_text, "update");
    default:
        return !script || sb_dialog_can(type, script) ? SB_CAUSE_NONE : no_script(ret_text, script);
    }
}
