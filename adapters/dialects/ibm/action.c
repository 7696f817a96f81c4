/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that start something. Custom actions are this gateway's own bundle: `read` (name),
 * `write` and `configure` (name and value, or one field per setting), and each action of the
 * device's type by its name, with the fields as arguments.
 */
#include "adapters/dialects/ibm/parts.h"
#include "bridge/driver.h"
#include "bridge/mapping/type.h"

void sb_ibm_submit(struct sb_ibm_turn *turn, enum sb_op op, bool custom, json_t *params,
                   json_t *package)
{
    const char *id = turn->in->message->id;
    struct sb_ibm_state *state = turn->state;
    if (state->ask_count >= (size_t)sb_words_limit(turn->in->words, "open_requests")) {
        sb_ibm_refuse(turn, id, op, SB_CAUSE_BUSY, "too many requests are open", 0);
        json_decref(params);
        json_decref(package);
        return;
    }
    if (!sb_ibm_ask_add(state, id, op, custom) ||
        sb_ibm_seen_set(state, id, NULL, (size_t)sb_words_limit(turn->in->words, "seen_requests")) <
            0)
        turn->effects->broken = true;
    turn->effects->save = true;
    /* A second request means that the platform has overridden the first (IBM: override=true). */
    sb_effects_submit(turn->effects, turn->in,
                      &(struct sb_submit){ .tag = id,
                                           .id = id,
                                           .op = op,
                                           .final = custom,
                                           .replaces = true,
                                           .params = params,
                                           .package = package });
}

static void refuse_unsupported(struct sb_ibm_turn *turn, enum sb_op op, const char *why)
{
    sb_ibm_refuse(turn, turn->in->message->id, op, SB_CAUSE_UNSUPPORTED, why, 0);
}

void sb_ibm_restart(struct sb_ibm_turn *turn)
{
    enum sb_op op = turn->in->message->kind == SB_IBM_REBOOT ? SB_OP_REBOOT : SB_OP_FACTORY_RESET;
    if (sb_dialect_can(turn->in, op))
        sb_ibm_submit(turn, op, false, NULL, NULL);
    else
        refuse_unsupported(turn, op, NULL);
}

/* ---- custom actions ---- */

static bool is_number_type(const char *type)
{
    static const char *const stems[] = { "int", "uint", "float", "double", "number", "bool",
                                         "u8",  "u16",  "u32",   "u64",    "i8",     "i16",
                                         "i32", "i64",  "f32",   "f64" };
    for (size_t i = 0; type && i < SB_COUNT(stems); i++) {
        if (strncmp(type, stems[i], strlen(stems[i])) == 0)
            return true;
    }
    return false;
}

/* IBM's bundles carry all values as text: a property with a number's type gets its number. */
static json_t *typed(const struct sb_ibm_turn *turn, const char *name, json_t *value)
{
    const json_t *property = json_object_get(turn->in->device->type->properties, name);
    json_t *parsed = NULL;
    if (json_is_string(value) && is_number_type(sb_json_str(property, "type")) &&
        sb_json_parse(json_string_value(value), json_string_length(value), NULL, &parsed, NULL) ==
            0) {
        if (json_is_number(parsed) || json_is_boolean(parsed))
            return parsed;
        json_decref(parsed);
    }
    return value ? json_incref(value) : json_null();
}

static json_t *field_value(const json_t *fields, const char *name)
{
    size_t i;
    json_t *entry;
    json_array_foreach (fields, i, entry) {
        if (sb_streq(sb_json_str(entry, "field"), name))
            return json_object_get(entry, "value");
    }
    return NULL;
}

/* Nothing may be left out for lack of memory: half a write is worse than none. */
static void put(struct sb_ibm_turn *turn, json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value) < 0)
        turn->effects->broken = true;
}

/* {name: list}; NULL and without it: nothing was named. */
static json_t *params_of(struct sb_ibm_turn *turn, const char *name, json_t *named)
{
    bool any = json_array_size(named) > 0 || json_object_size(named) > 0;
    json_t *params = any ? json_pack("{s:O}", name, named) : NULL;
    turn->effects->broken = turn->effects->broken || (any && !params);
    json_decref(named);
    return params;
}

/* "a, b" -> {"names": ["a", "b"]}; a field beside it would be left undone. */
static json_t *read_params(struct sb_ibm_turn *turn, const json_t *fields)
{
    const char *text =
        json_array_size(fields) == 1 ? json_string_value(field_value(fields, "name")) : NULL;
    json_t *names = json_array();
    while (text && *text) {
        text += strspn(text, ", ");
        size_t length = strcspn(text, ", ");
        if (length > 0 && json_array_append_new(names, json_stringn(text, length)) < 0)
            turn->effects->broken = true;
        text += length;
    }
    return params_of(turn, "names", names);
}

static json_t *write_params(struct sb_ibm_turn *turn, const json_t *fields)
{
    const char *name = json_string_value(field_value(fields, "name"));
    json_t *values = json_object();
    size_t i;
    json_t *entry;
    if (name && *name)
        put(turn, values, name, typed(turn, name, field_value(fields, "value")));
    json_array_foreach (fields, i, entry) {
        const char *field = sb_json_str(entry, "field");
        bool pair = name && (sb_streq(field, "name") || sb_streq(field, "value"));
        if (!pair)
            put(turn, values, field, typed(turn, field, json_object_get(entry, "value")));
    }
    return params_of(turn, "values", values);
}

static json_t *invoke_params(struct sb_ibm_turn *turn, const char *action, const json_t *fields)
{
    json_t *arguments = json_object();
    size_t i;
    json_t *entry;
    json_array_foreach (fields, i, entry) {
        json_t *value = json_object_get(entry, "value");
        put(turn, arguments, sb_json_str(entry, "field"), value ? json_incref(value) : json_null());
    }
    json_t *params = json_pack("{s:s,s:o}", "action", action, "arguments", arguments);
    turn->effects->broken = turn->effects->broken || !params;
    return params;
}

static const struct builtin {
    const char *name;
    enum sb_op op;
    json_t *(*params)(struct sb_ibm_turn *turn, const json_t *fields);
    const char *wants;
} builtins[] = {
    { "read", SB_OP_READ, read_params, "the field `name`, and no other, must say what to read" },
    { "write", SB_OP_WRITE, write_params, "the fields `name` and `value` must say what to write" },
    { "configure", SB_OP_CONFIGURE, write_params,
      "the fields `name` and `value` must say what to configure" },
};

static const struct builtin *builtin_of(const char *action)
{
    for (size_t i = 0; i < SB_COUNT(builtins); i++) {
        if (sb_streq(builtins[i].name, action))
            return &builtins[i];
    }
    return NULL;
}

/* The action's name if it is of our bundle, which was claimed; else NULL. */
static const char *own_action(const struct sb_ibm_turn *turn)
{
    const struct sb_ibm_config *config = turn->in->config;
    const char *bundle = sb_words_name(turn->in->words, "bundle");
    const char *what = turn->in->message->what;
    size_t n = strlen(bundle);
    return config->bundle && strncmp(what, bundle, n) == 0 && what[n] == '/' ? what + n + 1 : NULL;
}

static void invoke(struct sb_ibm_turn *turn, const char *action)
{
    const json_t *fields = sb_json_array(turn->in->message->body, "fields");
    if (!sb_dialect_can(turn->in, SB_OP_INVOKE) ||
        !json_object_get(turn->in->device->type->actions, action))
        refuse_unsupported(turn, SB_OP_INVOKE, "this device has no such action");
    else
        sb_ibm_submit(turn, SB_OP_INVOKE, true, invoke_params(turn, action, fields), NULL);
}

void sb_ibm_custom(struct sb_ibm_turn *turn)
{
    const char *action = own_action(turn);
    const struct builtin *builtin = builtin_of(action);
    if (!action) {
        refuse_unsupported(turn, SB_OP_INVOKE, "this action bundle is not known here");
    } else if (!builtin) {
        invoke(turn, action);
    } else if (!sb_dialect_can(turn->in, builtin->op)) {
        refuse_unsupported(turn, builtin->op, NULL);
    } else {
        json_t *params = builtin->params(turn, sb_json_array(turn->in->message->body, "fields"));
        if (params)
            sb_ibm_submit(turn, builtin->op, true, params, NULL);
        else
            sb_ibm_reply(turn, turn->in->message->id, SB_IBM_RC_BAD, builtin->wants, NULL, 0);
    }
}
