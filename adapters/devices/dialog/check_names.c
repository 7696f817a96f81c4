/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the names a type uses are there: {names} in texts, what is captured, which script is
 * played by whom.
 */
#include <errno.h>

#include "adapters/devices/dialog/script_parts.h"
#include "adapters/devices/dialog/template.h"
#include "adapters/devices/dialog/type.h"

static const char *const built_in[] = {
    "key",           "value",       "image.size", "image.size_hex", "image.name",
    "image.version", "image.crc32", "image.md5",  "image.sha256",   "version",
    "manufacturer",  "model",       "serial",     "hardware",
};

struct names {
    const struct sb_type *type;
    json_t *known; /* {name: true} */
    json_t *used;
    struct sb_diags *diags;
    const struct sb_yaml *at;
    int error;
};

static void know(struct names *names, json_t *in, const char *name)
{
    if (json_object_set_new(in, name, json_true()) < 0)
        names->error = -ENOMEM;
}

static void know_prefixed(struct names *names, const char *prefix, const json_t *map)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)map, key, value) {
        sb_cleanup(sb_freep) char *name = sb_format("%s.%s", prefix, key);
        know(names, names->known, name ? name : key);
    }
}

static void on_set(void *arg, const struct sb_dialog_then *then, const struct sb_yaml *at)
{
    struct names *names = arg;
    const char *key;
    json_t *value;
    (void)at;
    json_object_foreach (then->set, key, value)
        know(names, names->known, key);
}

static void collect(struct names *names, const struct sb_dialog_scripts *scripts)
{
    const char *key;
    json_t *value;
    for (size_t i = 0; i < SB_COUNT(built_in); i++)
        know(names, names->known, built_in[i]);
    know_prefixed(names, "secret", sb_dialog_type_of(names->type)->secrets);
    json_object_foreach (names->type->properties, key, value)
        know(names, names->known, key);
    json_object_foreach (names->type->actions, key, value)
        know_prefixed(names, "args", json_object_get(value, "arguments"));
    for (size_t i = 0; i < scripts->count; i++)
        for (size_t step = 0; step < scripts->scripts[i].count; step++) {
            const struct sb_dialog_step *s = &scripts->scripts[i].steps[step];
            sb_dialog_each_then(&scripts->scripts[i], step, on_set, names);
            for (size_t k = 0; k < s->expect.count; k++)
                json_object_foreach (sb_dialog_alternative(s, k)->capture, key, value)
                    know(names, names->known, key);
        }
}

/* ---- {names} ---- */

static int look_up(void *arg, const char *name, struct sb_str *out, char **ret_error)
{
    struct names *names = arg;
    (void)out;
    know(names, names->used, name);
    return json_object_get(names->known, name)
               ? 0
               : sb_described_unknown("name", name, names->known, ret_error);
}

static void check_text(struct names *names, const char *key, const char *text,
                       const struct sb_yaml *at)
{
    sb_cleanup(sb_freep) char *error = NULL;
    int r = text ? sb_template_fill(text, look_up, names, NULL, &error) : 0;
    if (r == -ENOMEM)
        names->error = r;
    else if (r < 0)
        sb_schema_find(names->diags, at, "%s: %s", key, error ? error : "not possible");
}

static void check_then(void *arg, const struct sb_dialog_then *then, const struct sb_yaml *at)
{
    struct names *names = arg;
    const char *key;
    json_t *value;
    check_text(names, "text", then->text, at);
    json_object_foreach (then->set, key, value) {
        if (json_is_string(value))
            check_text(names, "set", json_string_value(value), at);
        else
            sb_schema_find(names->diags, at, "set.%s: a text is wanted (in quotes)", key);
    }
}

static void check_texts(struct names *names, const struct sb_dialog_script *script)
{
    for (size_t i = 0; i < script->count; i++) {
        const struct sb_dialog_step *step = &script->steps[i];
        const struct sb_yaml *at = sb_dialog_step_yaml(script, i);
        check_text(names, "send", step->send, at);
        for (size_t k = 0; k < step->same.count; k++)
            check_text(names, "same", step->same.list[k], at);
        sb_dialog_each_then(script, i, check_then, names);
    }
}

/* ---- who plays what ---- */

static bool is_property_script(const struct sb_type *type, const char *name)
{
    const char *key;
    json_t *spec;
    json_object_foreach (type->properties, key, spec)
        if (sb_streq(sb_json_str(spec, "read"), name) || sb_streq(sb_json_str(spec, "write"), name))
            return true;
    return false;
}

static bool is_action_script(const struct sb_type *type, const char *name)
{
    const char *key;
    json_t *spec;
    json_object_foreach (type->actions, key, spec)
        if (sb_streq(sb_json_str(spec, "script"), name))
            return true;
    return false;
}

static bool is_called(const struct sb_dialog_scripts *scripts, int index)
{
    for (size_t i = 0; i < scripts->count; i++)
        for (size_t step = 0; step < scripts->scripts[i].count; step++)
            if (scripts->scripts[i].steps[step].called == index)
                return true;
    return false;
}

/* The driver's own names; NULL-ended positions do not matter, the count does. */
static size_t own_names(const char **ret)
{
    size_t n = 0;
    ret[n++] = SB_SCRIPT_ATTACH;
    ret[n++] = SB_SCRIPT_IDENTIFY;
    ret[n++] = SB_SCRIPT_VERIFY;
    for (int op = 0; op < SB_OP_MAX_; op++)
        if (sb_dialog_script_of(op))
            ret[n++] = sb_dialog_script_of(op);
    return n;
}

static void check_played(struct names *names, const struct sb_dialog_scripts *scripts)
{
    const char *own[SB_OP_MAX_ + 3];
    size_t count = own_names(own);
    for (size_t i = 0; i < scripts->count; i++) {
        const char *name = scripts->scripts[i].name;
        bool played = is_called(scripts, (int)i) || is_action_script(names->type, name) ||
                      is_property_script(names->type, name);
        for (size_t k = 0; k < count; k++)
            played = played || sb_streq(own[k], name);
        if (played)
            continue;
        const char *near = sb_nearest(name, own, count);
        sb_schema_find(names->diags, scripts->map->keys[i],
                       "nothing plays the script '%s'%s%s%s: it is no operation's, and no action, "
                       "property or other script names it",
                       name, near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
    }
}

/* Captured, and then neither shown nor used: mostly a misspelt name. */
static void check_capture(struct names *names, const char *name, const struct sb_yaml *at)
{
    const char *choices[SB_DIALOG_SCRIPTS], *key;
    size_t count = 0;
    json_t *value;
    if (sb_streq(name, "value") || sb_dialog_is_identity(name) || sb_dialog_version_module(name) ||
        json_object_get(names->type->properties, name) || json_object_get(names->used, name))
        return;
    for (size_t i = 0; i < SB_COUNT(built_in) && count < SB_COUNT(choices); i++)
        choices[count++] = built_in[i];
    json_object_foreach (names->type->properties, key, value)
        if (count < SB_COUNT(choices))
            choices[count++] = key;
    json_object_foreach (names->used, key, value)
        if (count < SB_COUNT(choices))
            choices[count++] = key;
    const char *near = sb_nearest(name, choices, count);
    sb_schema_find(names->diags, at,
                   "capture: '%s' is no property and nothing uses it%s%s%s (allowed: version, "
                   "version.MODULE, manufacturer, model, serial, hardware, value, properties, and "
                   "names that a text uses)",
                   name, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static void check_captures(struct names *names, const struct sb_dialog_scripts *scripts)
{
    const char *key;
    json_t *value;
    for (size_t i = 0; i < scripts->count; i++) {
        const struct sb_dialog_script *script = &scripts->scripts[i];
        if (is_action_script(names->type, script->name))
            continue; /* what it captures is the action's result */
        for (size_t step = 0; step < script->count; step++)
            for (size_t k = 0; k < script->steps[step].expect.count; k++)
                json_object_foreach (sb_dialog_alternative(&script->steps[step], k)->capture, key,
                                     value)
                    check_capture(names, key, sb_dialog_alternative_yaml(script, step, k));
    }
}

static void check_taken(struct names *names)
{
    const char *key;
    json_t *value;
    json_object_foreach (names->type->properties, key, value)
        if (sb_dialog_is_identity(key) || sb_dialog_version_module(key) || sb_streq(key, "value") ||
            sb_streq(key, "key"))
            sb_described_find(names->type, "properties", key, names->diags,
                              "this name has a meaning of its own here; take another");
}

void sb_dialog_check_names(const struct sb_type *type, const struct sb_dialog_scripts *scripts,
                           struct sb_diags *diags)
{
    sb_cleanup(json_decrefp) json_t *known = json_object(), *used = json_object();
    struct names names = { .type = type, .known = known, .used = used, .diags = diags };
    if (!known || !used)
        return;
    collect(&names, scripts);
    for (size_t i = 0; i < scripts->count; i++)
        check_texts(&names, &scripts->scripts[i]);
    check_played(&names, scripts);
    check_captures(&names, scripts);
    check_taken(&names);
    if (names.error)
        sb_schema_find(diags, scripts->map, "no memory to check the names");
}
