/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/devices/dialog/script.h"

#include <errno.h>

#include "adapters/devices/dialog/script_parts.h"
#include "bridge/base/str.h"

/* ---- the parts ---- */

const struct sb_dialog_alternative *sb_dialog_alternative(const struct sb_dialog_step *step,
                                                          size_t index)
{
    const struct sb_dialog_alternative *list = step->expect.list;
    return index < step->expect.count ? &list[index] : NULL;
}

bool sb_dialog_ends(const struct sb_dialog_then *then)
{
    return then->label || then->done || then->cause != SB_CAUSE_NONE;
}

const struct sb_yaml *sb_dialog_step_yaml(const struct sb_dialog_script *script, size_t index)
{
    return script->yaml->items[index];
}

const struct sb_yaml *sb_dialog_alternative_yaml(const struct sb_dialog_script *script, size_t step,
                                                 size_t alternative)
{
    const struct sb_yaml *list = sb_yaml_get(sb_dialog_step_yaml(script, step), "expect");
    return list->items[alternative];
}

void sb_dialog_each_then(const struct sb_dialog_script *script, size_t step, sb_dialog_then_fn fn,
                         void *arg)
{
    const struct sb_dialog_step *s = &script->steps[step];
    const struct sb_yaml *at = sb_dialog_step_yaml(script, step);
    const struct sb_yaml *otherwise = sb_yaml_get(at, "otherwise");
    fn(arg, &s->then, at);
    fn(arg, &s->otherwise, otherwise ? otherwise : at);
    for (size_t i = 0; i < s->expect.count; i++)
        fn(arg, &sb_dialog_alternative(s, i)->then, sb_dialog_alternative_yaml(script, step, i));
}

int sb_dialog_scripts_find(const struct sb_dialog_scripts *scripts, const char *name)
{
    for (size_t i = 0; name && i < scripts->count; i++)
        if (strcmp(scripts->scripts[i].name, name) == 0)
            return (int)i;
    return -1;
}

const struct sb_dialog_script *sb_dialog_scripts_at(const struct sb_dialog_scripts *scripts,
                                                    int index)
{
    return index >= 0 && (size_t)index < scripts->count ? &scripts->scripts[index] : NULL;
}

int sb_dialog_called(const struct sb_dialog_scripts *scripts, int index,
                     bool ret[SB_DIALOG_SCRIPTS])
{
    bool level[SB_DIALOG_SCRIPTS] = { false };
    int depth = 0;
    memset(ret, 0, SB_DIALOG_SCRIPTS * sizeof(*ret));
    if (index < 0)
        return 0;
    ret[index] = level[index] = true;
    for (bool any = true; any && depth <= SB_DIALOG_DEPTH; depth += any) {
        bool next[SB_DIALOG_SCRIPTS] = { false };
        any = false;
        for (size_t i = 0; i < scripts->count; i++)
            for (size_t k = 0; level[i] && k < scripts->scripts[i].count; k++) {
                int called = scripts->scripts[i].steps[k].called;
                if (called < 0)
                    continue;
                next[called] = ret[called] = any = true;
            }
        memcpy(level, next, sizeof(level));
    }
    return depth;
}

bool sb_dialog_has(const struct sb_dialog_scripts *scripts, int index,
                   bool (*is)(const struct sb_dialog_step *step))
{
    bool called[SB_DIALOG_SCRIPTS];
    (void)sb_dialog_called(scripts, index, called);
    for (size_t i = 0; i < scripts->count; i++)
        for (size_t k = 0; called[i] && k < scripts->scripts[i].count; k++)
            if (is(&scripts->scripts[i].steps[k]))
                return true;
    return false;
}

/* ---- reading ---- */

struct reading {
    struct sb_dialog_scripts *scripts;
    const json_t *patterns;
    struct sb_diags *diags;
    struct sb_dialog_script *script;
    int error;
};

static void find_label(struct reading *r, struct sb_dialog_then *then, const struct sb_yaml *at)
{
    const char *labels[SB_DIALOG_STEPS];
    size_t count = 0;
    then->go = SB_GO_NEXT;
    if (!then->label)
        return;
    for (size_t i = 0; i < r->script->count; i++) {
        const char *label = r->script->steps[i].label;
        if (sb_streq(label, then->label)) {
            then->go = (int)i;
            return;
        }
        if (label && count < SB_COUNT(labels))
            labels[count++] = label;
    }
    const char *near = sb_nearest(then->label, labels, count);
    sb_schema_find(r->diags, at, "goto: no step of '%s' has the label '%s'%s%s%s", r->script->name,
                   then->label, near ? " (did you mean '" : "", near ? near : "",
                   near ? "'?)" : "");
}

static void on_then(void *arg, const struct sb_dialog_then *then, const struct sb_yaml *at)
{
    find_label(arg, (struct sb_dialog_then *)then, at);
}

/* '@name' is a pattern of the type's `patterns`. */
static const char *expression(struct reading *r, const char *text, const struct sb_yaml *at)
{
    if (text[0] != '@')
        return text;
    const char *known = sb_json_str(r->patterns, text + 1);
    const char *names[SB_DIALOG_SCRIPTS], *name;
    size_t count = 0;
    json_t *value;
    if (known)
        return known;
    json_object_foreach ((json_t *)r->patterns, name, value)
        if (count < SB_COUNT(names))
            names[count++] = name;
    const char *near = sb_nearest(text + 1, names, count);
    sb_schema_find(r->diags, at, "dialog.patterns has no '%s'%s%s%s", text + 1,
                   near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
    return NULL;
}

/* They would stand for themselves in a pattern, and never match. */
static bool has_names(const char *text)
{
    return strstr(text, "{key}") || strstr(text, "{value}") || strstr(text, "{args.");
}

static void compile(struct reading *r, struct sb_dialog_alternative *alternative,
                    const struct sb_yaml *at)
{
    sb_cleanup(sb_freep) char *error = NULL;
    const char *text = alternative->line ? alternative->line : alternative->prompt;
    if (!text || (alternative->line && alternative->prompt)) {
        sb_schema_find(r->diags, at, "an alternative needs `line` or `prompt`, and not both");
        return;
    }
    text = expression(r, text, at);
    if (text && has_names(text))
        sb_schema_find(r->diags, at, "%s: names are not filled in here: a pattern has no {key}",
                       alternative->line ? "line" : "prompt");
    int e = text ? sb_pattern_new(text, &alternative->pattern, &error) : 0;
    if (e == -ENOMEM)
        r->error = e;
    else if (e < 0)
        sb_schema_find(r->diags, at, "%s: %s", alternative->line ? "line" : "prompt", error);
    else if (text && alternative->prompt && sb_pattern_ends(alternative->pattern))
        sb_schema_find(r->diags, at,
                       "prompt: '$' is the end of a line, and a prompt's line has "
                       "none yet (use `line`)");
}

static void finish_step(struct reading *r, size_t index)
{
    struct sb_dialog_step *step = (struct sb_dialog_step *)&r->script->steps[index];
    const struct sb_yaml *at = sb_dialog_step_yaml(r->script, index);
    for (size_t i = 0; i < step->expect.count; i++)
        compile(r, (struct sb_dialog_alternative *)sb_dialog_alternative(step, i),
                sb_dialog_alternative_yaml(r->script, index, i));
    sb_dialog_each_then(r->script, index, on_then, r);
    step->called = step->call ? sb_dialog_scripts_find(r->scripts, step->call) : -1;
    if (step->call && step->called < 0) {
        const char *names[SB_DIALOG_SCRIPTS];
        for (size_t i = 0; i < r->scripts->count; i++)
            names[i] = r->scripts->scripts[i].name;
        sb_schema_unknown(r->diags, sb_yaml_get(at, "call"), "script", names, r->scripts->count);
    }
}

static int make_room(struct sb_dialog_scripts *scripts, size_t n)
{
    scripts->fields = calloc(n + 1, sizeof(*scripts->fields));
    scripts->lists = calloc(n + 1, sizeof(*scripts->lists));
    scripts->scripts = calloc(n + 1, sizeof(*scripts->scripts));
    return scripts->fields && scripts->lists && scripts->scripts ? 0 : -ENOMEM;
}

static int read_lists(struct sb_dialog_scripts *scripts, struct sb_diags *diags)
{
    const struct sb_yaml *map = scripts->map;
    int r = make_room(scripts, map->count);
    if (r < 0)
        return r;
    for (size_t i = 0; i < map->count; i++)
        scripts->fields[i] = (struct sb_field){ .key = map->keys[i]->text,
                                                .type = SB_TYPE_LIST,
                                                .offset = i * sizeof(struct sb_array),
                                                .min = 0,
                                                .max = SB_DIALOG_STEPS,
                                                .fields = sb_dialog_step_fields,
                                                .size = sizeof(struct sb_dialog_step) };
    r = sb_schema_read(map, NULL, scripts->fields, scripts->lists, diags);
    for (size_t i = 0; i < map->count; i++)
        scripts->scripts[i] = (struct sb_dialog_script){ .name = map->keys[i]->text,
                                                         .steps = scripts->lists[i].list,
                                                         .count = scripts->lists[i].count,
                                                         .yaml = map->items[i] };
    scripts->count = map->count;
    return r;
}

int sb_dialog_scripts_read(const struct sb_yaml *map, const json_t *patterns,
                           struct sb_dialog_scripts **ret, struct sb_diags *diags)
{
    sb_cleanup(sb_dialog_scripts_freep) struct sb_dialog_scripts *scripts =
        calloc(1, sizeof(*scripts));
    size_t before = diags->total;
    if (!scripts)
        return -ENOMEM;
    scripts->map = map;
    if (!sb_yaml_is_null(map) && (map->kind != SB_YAML_MAP || map->count > SB_DIALOG_SCRIPTS)) {
        sb_schema_find(diags, map, "'scripts' is a map (name: [steps]) of at most %d scripts",
                       SB_DIALOG_SCRIPTS);
        return -EINVAL;
    }
    int error = sb_yaml_is_null(map) ? 0 : read_lists(scripts, diags);
    struct reading r = { .scripts = scripts, .patterns = patterns, .diags = diags };
    for (size_t i = 0; error == 0 && i < scripts->count; i++) {
        r.script = &scripts->scripts[i];
        for (size_t step = 0; step < r.script->count; step++)
            finish_step(&r, step);
    }
    if (error == 0)
        error = r.error;
    if (error == 0 && diags->total > before)
        error = -EINVAL;
    if (error < 0)
        return error;
    *ret = SB_STEAL(scripts);
    return 0;
}

struct sb_dialog_scripts *sb_dialog_scripts_free(struct sb_dialog_scripts *scripts)
{
    if (!scripts)
        return NULL;
    for (size_t i = 0; i < scripts->count; i++)
        for (size_t step = 0; step < scripts->scripts[i].count; step++)
            for (size_t k = 0; k < scripts->scripts[i].steps[step].expect.count; k++)
                sb_pattern_free(
                    sb_dialog_alternative(&scripts->scripts[i].steps[step], k)->pattern);
    if (scripts->fields && scripts->lists)
        sb_schema_done(scripts->fields, scripts->lists);
    free(scripts->fields);
    free(scripts->lists);
    free(scripts->scripts);
    free(scripts);
    return NULL;
}
