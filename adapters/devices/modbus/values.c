/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads and writes of properties. What lies side by side, or belongs to one group, travels in one
 * frame; a value is never torn over two.
 */
#include <errno.h>

#include "adapters/devices/modbus/talk.h"

#define RESULT_MAX 256 /* properties of one command */

static int by_place(const void *a, const void *b)
{
    const struct sb_modbus_property *left = a, *right = b;
    if (left->at.table != right->at.table)
        return left->at.table < right->at.table ? -1 : 1;
    return (left->at.address > right->at.address) - (left->at.address < right->at.address);
}

static enum sb_cause find(struct sb_modbus *modbus, const char *name,
                          struct sb_modbus_property *ret)
{
    sb_cleanup(sb_freep) char *error = NULL;
    if (sb_modbus_property_get(modbus->type, name, ret, &error) == 0)
        return SB_CAUSE_NONE;
    return sb_modbus_fail(modbus, SB_CAUSE_INVALID_REQUEST, "%s", error ? error : name);
}

static size_t limit_of(const struct sb_modbus_type *config, int table)
{
    return (size_t)(sb_modbus_is_bit_table(table) ? config->max_read_bits : config->max_read);
}

/* The first of those before n whose group goes on at n or behind it; n: there is none. */
static size_t torn_at(const struct sb_modbus_property *list, size_t n, size_t count)
{
    for (size_t i = 0; i < n; i++)
        for (size_t k = n; list[i].group && k < count && list[k].at.table == list[i].at.table; k++)
            if (sb_streq(list[k].group, list[i].group))
                return i;
    return n;
}

static uint32_t end_of(const struct sb_modbus_property *list, size_t n)
{
    uint32_t end = 0;
    for (size_t i = 0; i < n; i++)
        end = SB_MAX(end, (uint32_t)list[i].at.address + list[i].at.count);
    return end;
}

/* How many of the list, from its first on, one frame can bring; *ret_end: one behind the last
 * register of it. A group is read over its holes, and what else lies in them; it is not torn, but
 * when it does not fit into a frame at all. */
static size_t span_of(const struct sb_modbus_type *config, const struct sb_modbus_property *list,
                      size_t count, uint32_t *ret_end)
{
    size_t n = 1, limit = limit_of(config, list[0].at.table);
    for (; n < count && list[n].at.table == list[0].at.table; n++) {
        bool apart = list[n].at.address > end_of(list, n) && torn_at(list, n, count) == n;
        if (apart || end_of(list, n + 1) - list[0].at.address > limit)
            break;
    }
    for (size_t torn; (torn = torn_at(list, n, count)) < n && torn > 0;)
        n = torn;
    *ret_end = end_of(list, n);
    return n;
}

/* ---- READ ---- */

static enum sb_cause decode(struct sb_modbus *modbus, const struct sb_modbus_property *property,
                            const uint16_t *words, json_t *values)
{
    sb_cleanup(sb_freep) char *error = NULL;
    json_t *value = NULL;
    int r = sb_modbus_decode(property, words, &value, &error);
    if (r < 0)
        return sb_modbus_fail(modbus, SB_CAUSE_REFUSED, "%s: %s", property->name,
                              error ? error : strerror(-r));
    return json_object_set_new(values, property->name, value) ? sb_modbus_trouble(modbus, -ENOMEM)
                                                              : SB_CAUSE_NONE;
}

static bool ends_all(enum sb_cause cause)
{
    return cause == SB_CAUSE_LINK_LOST || cause == SB_CAUSE_OPERATOR ||
           cause == SB_CAUSE_INTERNAL || cause == SB_CAUSE_BUSY;
}

/* One frame for a span; refused as a whole, it is asked value by value. */
static enum sb_cause read_span(struct sb_modbus *modbus, const struct sb_modbus_property *list,
                               size_t n, uint32_t end, json_t *values)
{
    uint16_t words[2000], first = list[0].at.address;
    enum sb_cause cause = sb_modbus_get(modbus, list[0].at.table, first, (uint16_t)(end - first),
                                        words, n == 1 ? list[0].name : "registers");
    if (cause != SB_CAUSE_NONE && (n == 1 || ends_all(cause)))
        return cause;
    enum sb_cause worst = SB_CAUSE_NONE;
    for (size_t i = 0; i < n; i++) {
        enum sb_cause one =
            cause == SB_CAUSE_NONE
                ? decode(modbus, &list[i], words + (list[i].at.address - first), values)
                : read_span(modbus, &list[i], 1, (uint32_t)list[i].at.address + list[i].at.count,
                            values);
        worst = worst == SB_CAUSE_NONE ? one : worst;
        if (ends_all(one))
            return one;
    }
    if (worst == SB_CAUSE_NONE)
        sb_modbus_forgive(modbus);
    return worst;
}

static enum sb_cause read_sorted(struct sb_modbus *modbus, struct sb_modbus_property *list,
                                 size_t count, json_t *values)
{
    enum sb_cause first = SB_CAUSE_NONE;
    qsort(list, count, sizeof(*list), by_place);
    for (size_t i = 0; i < count;) {
        uint32_t end;
        size_t n = span_of(modbus->config, list + i, count - i, &end);
        sb_cleanup(sb_freep) char *text = SB_STEAL(modbus->outcome->text);
        enum sb_cause cause = read_span(modbus, list + i, n, end, values);
        if (first != SB_CAUSE_NONE) { /* the first failure's sentence stays */
            free(modbus->outcome->text);
            modbus->outcome->text = SB_STEAL(text);
        }
        first = first == SB_CAUSE_NONE ? cause : first;
        if (ends_all(cause))
            return cause;
        i += n;
    }
    return first;
}

enum sb_cause sb_modbus_read_values(struct sb_modbus *modbus, const json_t *names, json_t *values)
{
    size_t count = 0, i;
    json_t *name;
    sb_cleanup(sb_freep) struct sb_modbus_property *list =
        calloc(json_array_size(names) + 1, sizeof(*list));
    if (!list)
        return sb_modbus_trouble(modbus, -ENOMEM);
    if (json_array_size(names) > RESULT_MAX)
        return sb_modbus_fail(modbus, SB_CAUSE_INVALID_REQUEST, "more than %d names", RESULT_MAX);
    json_array_foreach (names, i, name) {
        const char *text = json_string_value(name);
        enum sb_cause cause = find(modbus, text ? text : "", &list[count]);
        if (cause != SB_CAUSE_NONE)
            return cause;
        if (!list[count++].access.readable)
            return sb_modbus_fail(modbus, SB_CAUSE_UNSUPPORTED, "%s cannot be read", text);
    }
    return read_sorted(modbus, list, count, values);
}

/* The values read become the result and, as such, what is known of the device. */
static void tell_values(struct sb_modbus *modbus, json_t *values)
{
    json_decref(modbus->outcome->result);
    modbus->outcome->result = json_incref(values);
    json_decref(modbus->outcome->after.properties);
    modbus->outcome->after.properties = json_deep_copy(values);
    modbus->outcome->verified = (char *)"status";
}

enum sb_cause sb_modbus_op_read(struct sb_modbus *modbus)
{
    const json_t *wanted = json_object_get(modbus->command->params, "names");
    sb_cleanup(json_decrefp) json_t *all =
        json_array_size(wanted) == 0 ? sb_described_readable(modbus->type, sb_modbus_property_check)
                                     : NULL;
    sb_cleanup(json_decrefp) json_t *values = json_object();
    if (!values)
        return sb_modbus_trouble(modbus, -ENOMEM);
    sb_session_progress(modbus->session, SB_PHASE_TRANSFERRING, 0, 0);
    enum sb_cause cause = sb_modbus_read_values(modbus, all ? all : wanted, values);
    tell_values(modbus, values);
    return cause;
}

/* ---- WRITE and CONFIGURE ---- */

struct change {
    struct sb_modbus_property property;
    const json_t *value;
    uint16_t words[SB_MODBUS_WORDS_MAX], mask[SB_MODBUS_WORDS_MAX];
};

static enum sb_cause make_change(struct sb_modbus *modbus, const char *name, const json_t *value,
                                 struct change *ret)
{
    sb_cleanup(sb_freep) char *error = NULL;
    enum sb_cause cause = find(modbus, name, &ret->property);
    if (cause != SB_CAUSE_NONE)
        return cause;
    if (!ret->property.access.writable)
        return sb_modbus_fail(modbus, SB_CAUSE_UNSUPPORTED, "%s cannot be written", name);
    ret->value = value;
    int r = sb_modbus_encode(&ret->property, value, ret->words, ret->mask, &error);
    return r < 0 ? sb_modbus_fail(modbus, SB_CAUSE_INVALID_REQUEST, "%s: %s", name,
                                  error ? error : strerror(-r))
                 : SB_CAUSE_NONE;
}

static int by_group_and_place(const void *a, const void *b)
{
    const struct change *left = a, *right = b;
    return by_place(&left->property, &right->property);
}

static bool is_partial(const struct change *change)
{
    return change->mask[0] != UINT16_MAX;
}

/* So many changes, from the first on, go into one frame: side by side and of one group. */
static size_t joined(const struct sb_modbus_type *config, const struct change *list, size_t count)
{
    size_t n = 1, registers = list[0].property.at.count;
    if (is_partial(&list[0]) || !list[0].property.group)
        return 1;
    for (; n < count; n++) {
        const struct sb_modbus_property *last = &list[n - 1].property, *next = &list[n].property;
        size_t limit =
            (size_t)(last->at.table == SB_MODBUS_COIL ? config->max_write_bits : config->max_write);
        registers += next->at.count;
        if (!sb_streq(next->group, last->group) || next->at.table != last->at.table ||
            next->at.address != last->at.address + last->at.count || is_partial(&list[n]) ||
            registers > SB_MIN(limit, (size_t)SB_MODBUS_WORDS_MAX))
            break;
    }
    return n;
}

static enum sb_cause write_joined(struct sb_modbus *modbus, const struct change *list, size_t n)
{
    uint16_t words[SB_MODBUS_WORDS_MAX];
    const struct sb_modbus_place *at = &list[0].property.at;
    size_t count = 0;
    if (is_partial(&list[0]))
        return sb_modbus_put_bits(modbus, at->address, list[0].words[0], list[0].mask[0],
                                  list[0].property.name);
    for (size_t i = 0; i < n; i++) {
        memcpy(words + count, list[i].words, list[i].property.at.count * sizeof(*words));
        count += list[i].property.at.count;
    }
    return sb_modbus_put(modbus, at->table, at->address, words, (uint16_t)count,
                         list[0].property.name);
}

static enum sb_cause write_changes(struct sb_modbus *modbus, struct change *list, size_t count)
{
    enum sb_cause cause = SB_CAUSE_NONE;
    for (size_t i = 0, n; cause == SB_CAUSE_NONE && i < count; i += n) {
        sb_session_progress(modbus->session, SB_PHASE_WRITING, i, count);
        n = joined(modbus->config, list + i, count - i);
        cause = write_joined(modbus, list + i, n);
    }
    return cause;
}

static enum sb_cause check_change(struct sb_modbus *modbus, const struct change *change,
                                  json_t *held)
{
    const struct sb_modbus_property *property = &change->property;
    uint16_t words[SB_MODBUS_WORDS_MAX];
    if (!property->checked)
        return SB_CAUSE_NONE;
    enum sb_cause cause = sb_modbus_get(modbus, property->at.table, property->at.address,
                                        property->at.count, words, property->name);
    bool same = true;
    for (size_t i = 0; cause == SB_CAUSE_NONE && i < property->at.count; i++)
        same = same && ((words[i] ^ change->words[i]) & change->mask[i]) == 0;
    if (cause == SB_CAUSE_NONE)
        cause = decode(modbus, property, words, held);
    if (cause != SB_CAUSE_NONE || same)
        return cause;
    return sb_modbus_fail(modbus, SB_CAUSE_VERIFY_FAILED,
                          "%s: the device holds another value than was written", property->name);
}

static enum sb_cause make_changes(struct sb_modbus *modbus, const json_t *values,
                                  const json_t *names, struct change **ret, size_t *ret_count)
{
    const char *name;
    json_t *value;
    size_t count = 0;
    enum sb_cause cause = SB_CAUSE_NONE;
    if (json_object_size(values) > RESULT_MAX)
        return sb_modbus_fail(modbus, SB_CAUSE_INVALID_REQUEST, "more than %d values", RESULT_MAX);
    struct change *list = calloc(json_object_size(values) + 1, sizeof(*list));
    if (!list)
        return sb_modbus_trouble(modbus, -ENOMEM);
    json_object_foreach ((json_t *)values, name, value) {
        const json_t *given = names ? sb_modbus_resolve(value, names) : value;
        if (cause == SB_CAUSE_NONE)
            cause = make_change(modbus, name, given ? given : json_null(), &list[count++]);
    }
    if (cause != SB_CAUSE_NONE) {
        free(list);
        return cause;
    }
    qsort(list, count, sizeof(*list), by_group_and_place);
    *ret = list;
    *ret_count = count;
    return SB_CAUSE_NONE;
}

enum sb_cause sb_modbus_put_values(struct sb_modbus *modbus, const json_t *values,
                                   const json_t *names)
{
    sb_cleanup(sb_freep) struct change *list = NULL;
    size_t count = 0;
    enum sb_cause cause = make_changes(modbus, values, names, &list, &count);
    return cause == SB_CAUSE_NONE ? write_changes(modbus, list, count) : cause;
}

/* The steps after a write. They follow a write that has failed or was stopped too, for the device
 * is to be locked again; but then its failure is what is told. */
static enum sb_cause end_write(struct sb_modbus *modbus, enum sb_cause cause)
{
    struct sb_outcome *outcome = modbus->outcome;
    bool failed = cause != SB_CAUSE_NONE;
    if (!failed)
        cause = sb_modbus_cook(modbus, modbus->config->after, NULL, "after");
    bool again = failed || cause == SB_CAUSE_OPERATOR; /* they were cut off themselves */
    if (!again || !modbus->config->after || !modbus->master.port || modbus->master.port->failed ||
        (cause == SB_CAUSE_OPERATOR && sb_session_part(modbus->session) < 0))
        return cause;
    sb_cleanup(sb_freep) char *text = SB_STEAL(outcome->text);
    struct sb_native native = outcome->native;
    outcome->native = (struct sb_native){ 0 };
    if (sb_modbus_cook(modbus, modbus->config->after, NULL, "after") != SB_CAUSE_NONE)
        sb_session_note(modbus->session, "%s", outcome->text ? outcome->text : "after failed");
    sb_modbus_forgive(modbus);
    outcome->text = SB_STEAL(text);
    outcome->native = native;
    return cause;
}

/* Before, writes, after, save; then all is read back. */
static enum sb_cause apply(struct sb_modbus *modbus, const json_t *values, bool save)
{
    const struct sb_modbus_type *config = modbus->config;
    sb_cleanup(sb_freep) struct change *list = NULL;
    sb_cleanup(json_decrefp) json_t *held = json_object();
    size_t count = 0;
    if (!held)
        return sb_modbus_trouble(modbus, -ENOMEM);
    enum sb_cause cause = make_changes(modbus, values, NULL, &list, &count);
    if (cause != SB_CAUSE_NONE)
        return cause;
    cause = sb_modbus_cook(modbus, config->before, NULL, "before");
    if (cause == SB_CAUSE_NONE)
        cause = write_changes(modbus, list, count);
    cause = end_write(modbus, cause);
    if (cause == SB_CAUSE_NONE && save)
        cause = sb_modbus_cook(modbus, config->save, NULL, "save");
    if (cause == SB_CAUSE_NONE && config->settle)
        cause = sb_modbus_wait(modbus, config->settle);
    sb_session_progress(modbus->session, SB_PHASE_VERIFYING, 0, 0);
    for (size_t i = 0; cause == SB_CAUSE_NONE && i < count; i++)
        cause = check_change(modbus, &list[i], held);
    tell_values(modbus, held);
    return cause;
}

enum sb_cause sb_modbus_op_write(struct sb_modbus *modbus)
{
    const json_t *values = sb_json_object(modbus->command->params, "values");
    const struct sb_image *image = modbus->command->image;
    sb_cleanup(json_decrefp) json_t *loaded = NULL;
    sb_cleanup(sb_freep) char *error = NULL;
    if (!values && !image)
        return sb_modbus_fail(modbus, SB_CAUSE_INVALID_REQUEST, "no values to configure");
    if (!values && sb_described_package(image->path, &loaded, &error) < 0)
        return sb_modbus_fail(modbus, SB_CAUSE_INVALID_REQUEST, "%s", error ? error : "no memory");
    return apply(modbus, values ? values : loaded, modbus->command->op == SB_OP_CONFIGURE);
}

/* ---- INVOKE ---- */

enum sb_cause sb_modbus_op_invoke(struct sb_modbus *modbus)
{
    const struct sb_command *command = modbus->command;
    const char *name = sb_json_str(command->params, "action");
    struct sb_modbus_action action;
    sb_cleanup(sb_freep) char *error = NULL;
    sb_cleanup(json_decrefp) json_t *names = NULL, *values = json_object();
    if (!values)
        return sb_modbus_trouble(modbus, -ENOMEM);
    if (sb_modbus_action_get(modbus->type, name ? name : "", &action, &error) < 0)
        return sb_modbus_fail(modbus, SB_CAUSE_UNSUPPORTED, "%s", error ? error : "no memory");
    if (sb_modbus_arguments(&action, json_object_get(command->params, "arguments"), &names,
                            &error) < 0)
        return sb_modbus_fail(modbus, SB_CAUSE_INVALID_REQUEST, "%s", error ? error : "no memory");
    if (!action.repeatable && command->resumed && command->committed)
        return sb_modbus_fail(modbus, SB_CAUSE_OUTCOME_UNKNOWN,
                              "interrupted after its steps had begun: whether the device did them "
                              "cannot be known");
    sb_session_progress(modbus->session, SB_PHASE_STARTING, 0, 0);
    enum sb_cause cause = sb_modbus_connect(modbus);
    if (cause == SB_CAUSE_NONE && !action.repeatable)
        cause = sb_modbus_commit(modbus);
    const struct sb_modbus_scope scope = { .names = names };
    if (cause == SB_CAUSE_NONE)
        cause = sb_modbus_cook(modbus, action.steps, &scope, name);
    if (cause == SB_CAUSE_LINK_LOST && !action.repeatable)
        cause = SB_CAUSE_OUTCOME_UNKNOWN; /* it may have done it and the answer was lost */
    if (cause == SB_CAUSE_NONE && action.results)
        cause = sb_modbus_read_values(modbus, action.results, values);
    if (cause == SB_CAUSE_NONE && json_object_size(values))
        tell_values(modbus, values);
    modbus->outcome->verified = (char *)"status";
    return cause;
}
