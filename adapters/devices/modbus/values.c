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

/* ---- reading ---- */

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

/* ---- writing ---- */

struct sb_modbus_change {
    struct sb_modbus_property property;
    const json_t *value;
    uint16_t words[SB_MODBUS_WORDS_MAX], mask[SB_MODBUS_WORDS_MAX];
};

static enum sb_cause make_change(struct sb_modbus *modbus, const char *name, const json_t *value,
                                 struct sb_modbus_change *ret)
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
    const struct sb_modbus_change *left = a, *right = b;
    return by_place(&left->property, &right->property);
}

static bool is_partial(const struct sb_modbus_change *change)
{
    return change->mask[0] != UINT16_MAX;
}

/* So many changes, from the first on, go into one frame: side by side and of one group. */
static size_t joined(const struct sb_modbus_type *config, const struct sb_modbus_change *list,
                     size_t count)
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

static enum sb_cause write_joined(struct sb_modbus *modbus, const struct sb_modbus_change *list,
                                  size_t n)
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

enum sb_cause sb_modbus_changes_write(struct sb_modbus *modbus,
                                      const struct sb_modbus_changes *changes)
{
    enum sb_cause cause = SB_CAUSE_NONE;
    for (size_t i = 0, n; cause == SB_CAUSE_NONE && i < changes->count; i += n) {
        sb_session_progress(modbus->session, SB_PHASE_WRITING, i, changes->count);
        n = joined(modbus->config, changes->list + i, changes->count - i);
        cause = write_joined(modbus, changes->list + i, n);
    }
    return cause;
}

static enum sb_cause check_change(struct sb_modbus *modbus, const struct sb_modbus_change *change,
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

enum sb_cause sb_modbus_changes_check(struct sb_modbus *modbus,
                                      const struct sb_modbus_changes *changes, json_t *held)
{
    enum sb_cause cause = SB_CAUSE_NONE;
    for (size_t i = 0; cause == SB_CAUSE_NONE && i < changes->count; i++)
        cause = check_change(modbus, &changes->list[i], held);
    return cause;
}

enum sb_cause sb_modbus_changes_make(struct sb_modbus *modbus, const json_t *values,
                                     const json_t *names, struct sb_modbus_changes *ret)
{
    const char *name;
    json_t *value;
    enum sb_cause cause = SB_CAUSE_NONE;
    if (json_object_size(values) > RESULT_MAX)
        return sb_modbus_fail(modbus, SB_CAUSE_INVALID_REQUEST, "more than %d values", RESULT_MAX);
    ret->list = calloc(json_object_size(values) + 1, sizeof(*ret->list));
    if (!ret->list)
        return sb_modbus_trouble(modbus, -ENOMEM);
    json_object_foreach ((json_t *)values, name, value) {
        const json_t *given = names ? sb_modbus_resolve(value, names) : value;
        if (cause == SB_CAUSE_NONE)
            cause =
                make_change(modbus, name, given ? given : json_null(), &ret->list[ret->count++]);
    }
    qsort(ret->list, ret->count, sizeof(*ret->list), by_group_and_place);
    return cause;
}

void sb_modbus_changes_done(struct sb_modbus_changes *changes)
{
    free(changes->list);
}
