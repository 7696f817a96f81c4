/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/mapping/described.h"

#include <errno.h>
#include <stdio.h>

#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "bridge/config/yaml.h"

#define CHOICES_MAX 64
#define PACKAGE_MAX 65536 /* bytes of a package of values */

int sb_described_wrong(char **ret_error, int error, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    sb_set_vformat(ret_error, fmt, ap);
    va_end(ap);
    return *ret_error ? error : -ENOMEM;
}

/* " (did you mean 'x'?)", or nothing. */
static char *did_you_mean(const char *word, const char *const *choices, size_t count)
{
    const char *near = word ? sb_nearest(word, choices, count) : NULL;
    return near ? sb_format(" (did you mean '%s'?)", near) : strdup("");
}

int sb_described_unknown(const char *what, const char *name, const json_t *known, char **ret_error)
{
    const char *choices[CHOICES_MAX], *key;
    size_t count = 0;
    json_t *value;
    json_object_foreach ((json_t *)known, key, value) {
        if (count < SB_COUNT(choices))
            choices[count++] = key;
    }
    sb_cleanup(sb_freep) char *hint = did_you_mean(name, choices, count);
    return sb_described_wrong(ret_error, -ENOENT, "no %s '%.64s'%s", what, name, hint ? hint : "");
}

int sb_described_keys(const json_t *spec, const char *const *allowed, size_t count,
                      char **ret_error)
{
    const char *key;
    json_t *value;
    if (!json_is_object(spec))
        return sb_described_wrong(ret_error, -EINVAL, "must be a map");
    json_object_foreach ((json_t *)spec, key, value) {
        bool known = false;
        for (size_t i = 0; i < count; i++)
            known = known || sb_streq(key, allowed[i]);
        if (known)
            continue;
        sb_cleanup(sb_freep) char *hint = did_you_mean(key, allowed, count);
        return sb_described_wrong(ret_error, -EINVAL, "unknown key '%.64s'%s", key,
                                  hint ? hint : "");
    }
    return 0;
}

int sb_described_choice(const json_t *spec, const char *key, const struct sb_names *names,
                        int otherwise, int *ret, char **ret_error)
{
    const json_t *value = json_object_get(spec, key);
    const char *text = json_string_value(value);
    *ret = value ? sb_names_find(names, text) : otherwise;
    if (*ret >= 0)
        return 0;
    struct sb_str allowed = { 0 };
    for (int i = 0; i < names->count; i++)
        sb_str_format(&allowed, "%s%s", i ? " " : "", names->names[i]);
    sb_cleanup(sb_freep) char *hint = did_you_mean(text, names->names, (size_t)names->count);
    int r = sb_described_wrong(ret_error, -EINVAL, "%s is '%.64s' (allowed: %s)%s", key,
                               text ? text : "", sb_str_get(&allowed), hint ? hint : "");
    sb_str_done(&allowed);
    return r;
}

int sb_described_access(const json_t *spec, struct sb_described_access *ret, char **ret_error)
{
    const char *access = sb_json_str(spec, "access");
    bool both = !json_object_get(spec, "access") || sb_streq(access, "both");
    ret->readable = both || sb_streq(access, "read");
    ret->writable = both || sb_streq(access, "write");
    if (ret->readable || ret->writable)
        return 0;
    return sb_described_wrong(ret_error, -EINVAL, "access is '%.64s' (allowed: read, write, both)",
                              access ? access : "");
}

int sb_described_bool(const json_t *spec, const char *key, bool otherwise, bool *ret,
                      char **ret_error)
{
    const json_t *value = json_object_get(spec, key);
    *ret = value ? json_is_true(value) : otherwise;
    return !value || json_is_boolean(value)
               ? 0
               : sb_described_wrong(ret_error, -EINVAL, "%s is true or false", key);
}

int sb_described_duration(const json_t *spec, const char *key, int64_t min, int64_t max,
                          int64_t otherwise, int64_t *ret, char **ret_error)
{
    const json_t *value = json_object_get(spec, key);
    const char *text = json_string_value(value);
    if (!value) {
        *ret = otherwise;
        return 0;
    }
    if (text && sb_duration_parse(text, ret) == 0 && *ret >= min && *ret <= max)
        return 0;
    return sb_described_wrong(ret_error, -EINVAL,
                              "%s is '%.64s' (for example 5s; %lld ms to %lld s)", key,
                              text ? text : "", (long long)min, (long long)(max / SB_SECOND));
}

static void find(const struct sb_type *type, const struct sb_yaml *at, const char *section,
                 const char *name, struct sb_diags *diags, const char *fmt, va_list ap)
    SB_PRINTF(6, 0);
static void find(const struct sb_type *type, const struct sb_yaml *at, const char *section,
                 const char *name, struct sb_diags *diags, const char *fmt, va_list ap)
{
    struct sb_str text = { 0 };
    sb_str_vformat(&text, fmt, ap);
    sb_diags_add(diags, type->yaml ? type->yaml->file : NULL, at ? at->line : 0, 0, "%s%s%s: %s",
                 section, name ? "." : "", name ? name : "", sb_str_get(&text));
    sb_str_done(&text);
}

/* <section>.<name>, or the section where that is not there. */
static const struct sb_yaml *place_of(const struct sb_type *type, const char *section,
                                      const char *name)
{
    const struct sb_yaml *node = sb_yaml_get(type->yaml, section);
    const struct sb_yaml *inner = name ? sb_yaml_get(node, name) : NULL;
    return inner ? inner : node;
}

void sb_described_find(const struct sb_type *type, const char *section, const char *name,
                       struct sb_diags *diags, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    find(type, place_of(type, section, name), section, name, diags, fmt, ap);
    va_end(ap);
}

void sb_described_find_step(const struct sb_type *type, const char *section, const char *name,
                            const char *const *path, size_t step, struct sb_diags *diags,
                            const char *fmt, ...)
{
    const struct sb_yaml *at = place_of(type, section, name);
    va_list ap;
    for (; at && path && *path && sb_yaml_get(at, *path); path++)
        at = sb_yaml_get(at, *path);
    if (at && at->kind == SB_YAML_LIST && step < at->count)
        at = at->items[step];
    va_start(ap, fmt);
    find(type, at, section, name, diags, fmt, ap);
    va_end(ap);
}

/* ---- what may be asked for ---- */

enum sb_cause sb_described_refuse(char **ret_text, enum sb_cause cause, const char *text)
{
    free(*ret_text);
    *ret_text = strdup(text);
    return cause;
}

/* With the name of the property it is about. */
static enum sb_cause refuse_value(char **ret_text, enum sb_cause cause, const char *name,
                                  const char *why)
{
    sb_cleanup(sb_freep) char *text = sb_format("%.64s: %s", name, why);
    return sb_described_refuse(ret_text, cause, text ? text : why);
}

static enum sb_cause accepts_names(const struct sb_type *type, const json_t *names,
                                   sb_described_fn property, char **ret_text)
{
    size_t i;
    json_t *name;
    json_array_foreach (names, i, name) {
        struct sb_described_access access = { 0 };
        if (!json_is_string(name))
            return sb_described_refuse(ret_text, SB_CAUSE_INVALID_REQUEST, "names must be texts");
        if (property(type, json_string_value(name), NULL, &access, ret_text) < 0)
            return SB_CAUSE_INVALID_REQUEST;
        if (!access.readable)
            return refuse_value(ret_text, SB_CAUSE_UNSUPPORTED, json_string_value(name),
                                "cannot be read");
    }
    return SB_CAUSE_NONE;
}

static enum sb_cause accepts_values(const struct sb_type *type, const json_t *values,
                                    sb_described_fn property, char **ret_text)
{
    const char *name;
    json_t *value;
    if (json_object_size(values) == 0)
        return sb_described_refuse(ret_text, SB_CAUSE_INVALID_REQUEST,
                                   "values must be a map of name: value");
    json_object_foreach ((json_t *)values, name, value) {
        struct sb_described_access access = { 0 };
        if (property(type, name, NULL, &access, ret_text) < 0)
            return SB_CAUSE_INVALID_REQUEST;
        if (!access.writable)
            return refuse_value(ret_text, SB_CAUSE_UNSUPPORTED, name, "cannot be written");
        sb_cleanup(sb_freep) char *why = NULL;
        if (property(type, name, value, &access, &why) < 0)
            return refuse_value(ret_text, SB_CAUSE_INVALID_REQUEST, name,
                                why ? why : "not such a value");
    }
    return SB_CAUSE_NONE;
}

enum sb_cause sb_described_accepts(const struct sb_type *type, int op, const json_t *params,
                                   sb_described_fn property, char **ret_text)
{
    const json_t *values = json_object_get(params, "values");
    if (op == SB_OP_READ)
        return accepts_names(type, json_object_get(params, "names"), property, ret_text);
    return op == SB_OP_CONFIGURE && !values ? SB_CAUSE_NONE
                                            : accepts_values(type, values, property, ret_text);
}

static json_t *readable(const struct sb_type *type, sb_described_fn property)
{
    json_t *names = json_array(), *spec;
    const char *name;
    json_object_foreach (type->properties, name, spec) {
        struct sb_described_access access = { 0 };
        sb_cleanup(sb_freep) char *error = NULL;
        if (property(type, name, NULL, &access, &error) < 0 || !access.readable)
            continue;
        if (json_array_append_new(names, json_string(name))) {
            json_decref(names);
            return NULL;
        }
    }
    return names;
}

json_t *sb_described_wanted(const struct sb_type *type, const json_t *params,
                            sb_described_fn property)
{
    json_t *names = json_object_get(params, "names");
    return json_array_size(names) > 0 ? json_incref(names) : readable(type, property);
}

int sb_described_package(const char *path, json_t **ret, char **ret_error)
{
    sb_cleanup(sb_freep) char *why = NULL, *text = malloc(PACKAGE_MAX + 1);
    FILE *file = text ? fopen(path, "re") : NULL;
    if (!file)
        return text ? sb_described_wrong(ret_error, -errno, "the package cannot be opened: %s",
                                         strerror(errno))
                    : -ENOMEM;
    size_t n = fread(text, 1, PACKAGE_MAX + 1, file);
    (void)fclose(file);
    sb_cleanup(json_decrefp) json_t *values = NULL;
    int r = n > PACKAGE_MAX ? -E2BIG : sb_json_parse(text, n, NULL, &values, &why);
    if (r == -ENOMEM)
        return r;
    if (r < 0 || !json_is_object(values))
        return sb_described_wrong(ret_error, -EINVAL, "the package is no JSON object of values%s%s",
                                  why ? ": " : "", why ? why : "");
    *ret = SB_STEAL(values);
    return 0;
}
