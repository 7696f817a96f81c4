/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/mapping/cells.h"

#include <errno.h>

#include "bridge/base/str.h"

#define ALL       SB_GROUP_MAX_ /* in the file: the default of every group */
#define OTHERWISE SB_PHASE_MAX_ /* in the file: the default of every phase */

static const char *const group_names[] = {
    [SB_GROUP_DOWNLOAD] = "download",
    [SB_GROUP_INSTALL] = "install",
    [SB_GROUP_UPDATE] = "update",
    [SB_GROUP_ACTION] = "action",
    [ALL] = "all",
};

struct column {       /* what is being read */
    const char *name; /* "sends" */
    const struct sb_yaml *root;
    const struct sb_field *cell;
    struct sb_diags *diags;
    json_t *given[SB_GROUP_MAX_ + 1][SB_TASK_STATE_MAX_];
    bool no_memory;
};

enum sb_group sb_group_of(enum sb_op op)
{
    switch (op) {
    case SB_OP_FIRMWARE_DOWNLOAD:
        return SB_GROUP_DOWNLOAD;
    case SB_OP_FIRMWARE_INSTALL:
        return SB_GROUP_INSTALL;
    case SB_OP_FIRMWARE_UPDATE:
        return SB_GROUP_UPDATE;
    default:
        return SB_GROUP_ACTION;
    }
}

static bool has_own_cell(enum sb_task_state state)
{
    return state != SB_TASK_FAILED && state != SB_TASK_CANCELLED;
}

/* ---- a cell ---- */

static json_t *read_silent(struct column *c, const struct sb_yaml *node)
{
    const struct sb_yaml *why = sb_yaml_get(node, "silent");
    if (node->count > 1)
        sb_schema_find(c->diags, node,
                       "'silent' says that nothing is sent: no other key can stand beside it");
    if (why->kind != SB_YAML_SCALAR || sb_yaml_is_null(why))
        sb_schema_find(c->diags, why,
                       "'silent' must say what the far side then concludes, as a text");
    else
        return json_pack("{s:s}", "silent", why->text);
    return json_object();
}

/* Never NULL but without memory: a cell with findings is no hole beside them. */
static json_t *read_cell(struct column *c, const struct sb_yaml *node)
{
    static const struct sb_field also[] = { { .key = "silent", .type = SB_TYPE_STRING }, { 0 } };
    json_t *cell = NULL;
    if (sb_yaml_get(node, "silent")) {
        cell = read_silent(c, node);
    } else {
        int error = sb_schema_json(node, NULL, c->cell, also, &cell, c->diags);
        c->no_memory |= error == -ENOMEM;
        if (error == 0 && json_object_size(cell) == 0)
            sb_schema_find(c->diags, node,
                           "an empty cell says nothing: give its keys, or { silent: \"what the "
                           "far side then concludes\" }");
    }
    if (!cell)
        cell = json_object();
    c->no_memory |= !cell;
    return cell;
}

/* ---- states ---- */

static void read_state(struct column *c, size_t group, const struct sb_yaml *key,
                       const struct sb_yaml *node)
{
    int state = sb_task_state_from_name(key->text);
    if (state < 0) {
        sb_schema_unknown(c->diags, key, "task state", sb_task_state_names.names,
                          SB_TASK_STATE_MAX_);
    } else if (!has_own_cell((enum sb_task_state)state)) {
        sb_schema_find(c->diags, key, "'%s' is told by its cause: its cells stand under %s.causes",
                       key->text, c->name);
    } else if (!sb_yaml_is_null(node)) { /* a key without a value is a hole like any other */
        json_decref(c->given[group][state]);
        c->given[group][state] = read_cell(c, node);
    }
}

static bool is_map(struct column *c, const struct sb_yaml *node, const char *what)
{
    if (node->kind == SB_YAML_MAP)
        return true;
    sb_schema_find(c->diags, node, "a map of %s is wanted here", what);
    return false;
}

static void read_states(struct column *c, const struct sb_yaml *groups)
{
    if (sb_yaml_is_null(groups) || !is_map(c, groups, "operation groups"))
        return;
    for (size_t i = 0; i < groups->count; i++) {
        const struct sb_yaml *key = groups->keys[i], *states = groups->items[i];
        size_t group = 0;
        while (group <= ALL && !sb_streq(group_names[group], key->text))
            group++;
        if (group > ALL)
            sb_schema_unknown(c->diags, key, "operation group", group_names, SB_COUNT(group_names));
        else if (!sb_yaml_is_null(states) && is_map(c, states, "task states to cells"))
            for (size_t k = 0; k < states->count; k++)
                read_state(c, group, states->keys[k], states->items[k]);
    }
}

/* Where a finding about something that is not there points to: the nearest map that is. */
static const struct sb_yaml *place(const struct column *c, const char *section, const char *entry)
{
    const struct sb_yaml *at = c->root;
    const char *const path[] = { c->name, section, entry };
    for (size_t i = 0; i < SB_COUNT(path) && path[i]; i++) {
        const struct sb_yaml *next = sb_yaml_get(at, path[i]);
        if (sb_yaml_is_null(next))
            break;
        at = next;
    }
    return at;
}

static void state_hole(struct column *c, enum sb_task_state state, unsigned missing)
{
    struct sb_str groups = { 0 };
    const char *only = NULL;
    for (size_t g = 0; g < SB_GROUP_MAX_; g++)
        if (missing >> g & 1) {
            sb_str_format(&groups, "%s%s", groups.length ? ", " : "", group_names[g]);
            only = only ? "all" : group_names[g];
        }
    sb_schema_find(c->diags, place(c, "states", only),
                   "hole in '%s': no cell for state '%s' of %s; add '%s' under %s.states.%s (a "
                   "cell, or { silent: \"what the far side then concludes\" })",
                   c->name, sb_task_state_name(state), sb_str_get(&groups),
                   sb_task_state_name(state), c->name, only ? only : "all");
    sb_str_done(&groups);
}

static void fill_states(struct column *c, struct sb_cells *cells)
{
    for (int s = 0; s < SB_TASK_STATE_MAX_; s++) {
        unsigned missing = 0;
        for (size_t g = 0; g < SB_GROUP_MAX_; g++) {
            json_t *cell = c->given[g][s] ? c->given[g][s] : c->given[ALL][s];
            cells->states[g][s] = json_incref(cell);
            if (!cell)
                missing |= 1u << g;
        }
        if (missing && has_own_cell((enum sb_task_state)s))
            state_hole(c, (enum sb_task_state)s, missing);
    }
}

/* ---- causes ---- */

static int phase_of(const char *text)
{
    return sb_streq(text, "otherwise") ? OTHERWISE : sb_phase_from_name(text);
}

/* A cell has the dialect's keys and single values; a map by phase has phases, or cells in it. */
static bool is_by_phase(const struct sb_yaml *node)
{
    bool cells = node->kind == SB_YAML_MAP && node->count > 0;
    for (size_t i = 0; node->kind == SB_YAML_MAP && i < node->count; i++) {
        if (phase_of(node->keys[i]->text) >= 0)
            return true;
        cells = cells && node->items[i]->kind == SB_YAML_MAP;
    }
    return cells;
}

static void unknown_phase(struct column *c, const struct sb_yaml *key)
{
    const char *allowed[SB_PHASE_MAX_ + 1];
    for (int i = 0; i < SB_PHASE_MAX_; i++)
        allowed[i] = sb_phase_name(i);
    allowed[OTHERWISE] = "otherwise";
    sb_schema_unknown(c->diags, key, "phase", allowed, SB_COUNT(allowed));
}

static void phase_hole(struct column *c, const struct sb_yaml *at, enum sb_cause cause,
                       json_t *const *cells)
{
    struct sb_str phases = { 0 };
    for (int i = 0; i < SB_PHASE_MAX_; i++)
        if (!cells[i])
            sb_str_format(&phases, "%s%s", phases.length ? ", " : "", sb_phase_name(i));
    if (phases.length)
        sb_schema_find(c->diags, at,
                       "hole in '%s': no cell for cause '%s' in phase %s; add 'otherwise' or "
                       "these under %s.causes.%s",
                       c->name, sb_cause_name((int)cause), sb_str_get(&phases), c->name,
                       sb_cause_name((int)cause));
    sb_str_done(&phases);
}

static void read_phases(struct column *c, const struct sb_yaml *node, enum sb_cause cause,
                        struct sb_cells *cells)
{
    json_t *otherwise = NULL;
    for (size_t i = 0; i < node->count; i++) {
        int phase = phase_of(node->keys[i]->text);
        if (phase < 0) {
            unknown_phase(c, node->keys[i]);
        } else if (!sb_yaml_is_null(node->items[i])) {
            json_t **slot = phase == OTHERWISE ? &otherwise : &cells->causes[cause][phase];
            json_decref(*slot);
            *slot = read_cell(c, node->items[i]);
        }
    }
    for (int i = 0; i < SB_PHASE_MAX_; i++)
        if (!cells->causes[cause][i])
            cells->causes[cause][i] = json_incref(otherwise);
    json_decref(otherwise);
    phase_hole(c, node, cause, cells->causes[cause]);
}

static void read_cause(struct column *c, const struct sb_yaml *key, const struct sb_yaml *node,
                       struct sb_cells *cells)
{
    int cause = sb_cause_from_name(key->text);
    if (cause <= SB_CAUSE_NONE) {
        sb_schema_unknown(c->diags, key, "cause", sb_cause_names.names + 1, SB_CAUSE_MAX_ - 1);
    } else if (sb_yaml_is_null(node)) {
        return; /* a hole like any other */
    } else if (is_by_phase(node)) {
        read_phases(c, node, (enum sb_cause)cause, cells);
    } else {
        json_t *cell = read_cell(c, node);
        for (int i = 0; i < SB_PHASE_MAX_; i++) {
            json_decref(cells->causes[cause][i]);
            cells->causes[cause][i] = json_incref(cell);
        }
        json_decref(cell);
    }
}

static void read_causes(struct column *c, const struct sb_yaml *causes, struct sb_cells *cells)
{
    bool there = !sb_yaml_is_null(causes) && is_map(c, causes, "causes to cells");
    for (size_t i = 0; there && i < causes->count; i++)
        read_cause(c, causes->keys[i], causes->items[i], cells);
    for (int i = SB_CAUSE_NONE + 1; i < SB_CAUSE_MAX_; i++)
        if (!there || sb_yaml_is_null(sb_yaml_get(causes, sb_cause_name(i))))
            sb_schema_find(c->diags, place(c, "causes", NULL),
                           "hole in '%s': no cell for cause '%s' in any phase; add '%s' under "
                           "%s.causes",
                           c->name, sb_cause_name(i), sb_cause_name(i), c->name);
}

/* ---- the column ---- */

int sb_cells_read(const struct sb_yaml *root, const char *name,
                  const struct sb_dialect_shape *shape, struct sb_cells *ret,
                  struct sb_diags *diags)
{
    static const struct sb_field nothing[] = { { 0 } };
    static const struct sb_field fields[] = {
        { .key = "states", .type = SB_TYPE_NODE, .offset = 0 },
        { .key = "causes", .type = SB_TYPE_NODE, .offset = sizeof(struct sb_yaml *) },
        { 0 },
    };
    struct column c = {
        .name = name, .root = root, .cell = shape->cell ? shape->cell : nothing, .diags = diags
    };
    const struct sb_yaml *sections[2] = { NULL, NULL };
    size_t before = diags->total;
    int error = sb_schema_read(sb_yaml_get(root, name), NULL, fields, sections, diags);
    c.no_memory = error == -ENOMEM;
    read_states(&c, sections[0]);
    fill_states(&c, ret);
    read_causes(&c, sections[1], ret);
    for (size_t g = 0; g <= SB_GROUP_MAX_; g++)
        for (size_t s = 0; s < SB_TASK_STATE_MAX_; s++)
            json_decref(c.given[g][s]);
    if (c.no_memory)
        return -ENOMEM;
    return diags->total > before ? -EINVAL : 0;
}

void sb_cells_done(struct sb_cells *cells)
{
    for (size_t g = 0; g < SB_GROUP_MAX_; g++)
        for (size_t s = 0; s < SB_TASK_STATE_MAX_; s++)
            json_decref(cells->states[g][s]);
    for (size_t i = 0; i < SB_CAUSE_MAX_; i++)
        for (size_t p = 0; p < SB_PHASE_MAX_; p++)
            json_decref(cells->causes[i][p]);
    *cells = (struct sb_cells){ 0 };
}
