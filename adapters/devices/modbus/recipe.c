/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/devices/modbus/recipe.h"

#include <errno.h>

#include "bridge/base/crypto.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"

SB_NAMES(sb_modbus_verb,
         SB_MODBUS_VERB_MAX_, [SB_MODBUS_DO_WRITE] = "write", [SB_MODBUS_DO_COIL] = "coil",
         [SB_MODBUS_DO_MASK] = "mask", [SB_MODBUS_DO_SET] = "set", [SB_MODBUS_DO_DATA] = "data",
         [SB_MODBUS_DO_FILE] = "file", [SB_MODBUS_DO_POLL] = "poll", [SB_MODBUS_DO_WAIT] = "wait",
         [SB_MODBUS_DO_RESTART_COMMS] = "restart_comms", [SB_MODBUS_DO_REQUEST] = "request");

#define REQUEST_KEYS "answer", "once", "broadcast"
#define KEYS_MAX     16

/* What each verb may have beside itself. */
static const char *const keys[SB_MODBUS_VERB_MAX_][KEYS_MAX] = {
    [SB_MODBUS_DO_WRITE] = { "write", "value", "values", "type", "order", "length", "timeout",
                             REQUEST_KEYS },
    [SB_MODBUS_DO_COIL] = { "coil", "value", "timeout", REQUEST_KEYS },
    [SB_MODBUS_DO_MASK] = { "mask", "and", "or", "timeout", REQUEST_KEYS },
    [SB_MODBUS_DO_SET] = { "set" },
    [SB_MODBUS_DO_DATA] = { "data", "order", "advance", "timeout" },
    [SB_MODBUS_DO_FILE] = { "file", "record", "order", "timeout" },
    [SB_MODBUS_DO_POLL] = { "poll", "table", "type", "order", "ok", "busy", "errors", "mask",
                            "every", "timeout", "silent" },
    [SB_MODBUS_DO_WAIT] = { "wait" },
    [SB_MODBUS_DO_RESTART_COMMS] = { "restart_comms", "timeout", "answer", "once" },
    [SB_MODBUS_DO_REQUEST] = { "request", "timeout", REQUEST_KEYS },
};

const json_t *sb_modbus_resolve(const json_t *value, const json_t *names)
{
    const char *text = json_string_value(value);
    return text && *text == '$' ? json_object_get(names, text + 1) : value;
}

static int check_name(const json_t *value, const json_t *names, char **ret_error)
{
    const char *text = json_string_value(value);
    if (!text || *text != '$' || json_object_get(names, text + 1))
        return 0;
    return sb_described_unknown("value here", text + 1, names, ret_error);
}

/* ---- values ---- */

static int list_words(const json_t *list, const json_t *names, uint16_t *ret, size_t *ret_n,
                      char **ret_error)
{
    size_t i;
    json_t *item;
    if (json_array_size(list) == 0 || json_array_size(list) > SB_MODBUS_WORDS_MAX)
        return sb_described_wrong(ret_error, -EINVAL, "values: wants a list of 1..%d numbers",
                                  SB_MODBUS_WORDS_MAX);
    json_array_foreach (list, i, item) {
        const json_t *value = sb_modbus_resolve(item, names);
        json_int_t number = json_integer_value(value);
        if (!json_is_integer(value) || number < INT16_MIN || number > UINT16_MAX)
            return sb_described_wrong(ret_error, -EINVAL, "values: %zu is no 16-bit number", i + 1);
        ret[i] = (uint16_t)number;
    }
    *ret_n = i;
    return 0;
}

int sb_modbus_step_words(const struct sb_modbus_step *step, const json_t *names,
                         uint16_t ret[SB_MODBUS_WORDS_MAX], size_t *ret_n, char **ret_error)
{
    if (json_is_array(step->value))
        return list_words(step->value, names, ret, ret_n, ret_error);
    *ret_n = step->at.count;
    const json_t *value = sb_modbus_resolve(step->value, names);
    return sb_modbus_place_encode(&step->at, value ? value : json_null(), ret, ret_error);
}

/* ---- reading steps ---- */

static int read_value(const json_t *spec, int order, const json_t *names,
                      struct sb_modbus_step *ret, char **ret_error)
{
    const char *key = ret->verb == SB_MODBUS_DO_COIL ? "coil" : "write";
    uint16_t words[SB_MODBUS_WORDS_MAX];
    size_t n;
    int r = sb_modbus_place_read(spec, key, order, &ret->at, ret_error);
    if (r < 0)
        return r;
    if (ret->verb == SB_MODBUS_DO_COIL) {
        ret->at.table = SB_MODBUS_COIL;
        ret->at.kind = SB_MODBUS_BOOL;
    }
    const json_t *one = json_object_get(spec, "value"), *many = json_object_get(spec, "values");
    if (!one == !many || (many && !json_is_array(many)))
        return sb_described_wrong(ret_error, -EINVAL, "needs `value`, or `values` as a list");
    ret->value = one ? one : many;
    r = check_name(one, names, ret_error);
    const char *text = json_string_value(one);
    if (r < 0 || (text && *text == '$')) /* the number behind it is not known yet */
        return r;
    size_t i;
    json_t *item;
    json_array_foreach (many, i, item)
        r = r == 0 ? check_name(item, names, ret_error) : r;
    return r == 0 ? sb_modbus_step_words(ret, names, words, &n, ret_error) : r;
}

static int check_numbers(const json_t *value, const char *key, const json_t *names,
                         char **ret_error)
{
    size_t n = json_is_array(value) ? json_array_size(value) : 1;
    for (size_t i = 0; value && i < n; i++) {
        const json_t *item = json_is_array(value) ? json_array_get(value, i) : value;
        int r = check_name(item, names, ret_error);
        if (r < 0)
            return r;
        const json_t *number = sb_modbus_resolve(item, names);
        if (!json_is_integer(number) && !(json_is_string(item) && json_is_null(number)))
            return sb_described_wrong(ret_error, -EINVAL, "%s: wants a number or a list of them",
                                      key);
    }
    return 0;
}

static int check_errors(const json_t *errors, char **ret_error)
{
    const char *key;
    json_t *value;
    int64_t number;
    if (errors && !json_is_object(errors))
        return sb_described_wrong(ret_error, -EINVAL, "errors: wants { number: cause }");
    json_object_foreach ((json_t *)errors, key, value) {
        const char *text = json_string_value(value);
        if (sb_modbus_key_number(key, 0, UINT32_MAX, &number) < 0)
            return sb_described_wrong(ret_error, -EINVAL, "errors: '%.32s' is no number", key);
        if (sb_streq(text, "repeat") || sb_cause_from_name(text) > SB_CAUSE_NONE)
            continue;
        const char *near =
            text ? sb_nearest(text, sb_cause_names.names, (size_t)sb_cause_names.count) : NULL;
        return sb_described_wrong(
            ret_error, -EINVAL, "errors.%s: no cause '%.32s' (or repeat)%s%s%s", key,
            text ? text : "", near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
    }
    return 0;
}

static int read_poll(const json_t *spec, int order, const json_t *names, struct sb_modbus_step *ret,
                     char **ret_error)
{
    int64_t mask = UINT16_MAX;
    ret->ok = json_object_get(spec, "ok");
    ret->busy = json_object_get(spec, "busy");
    ret->errors = json_object_get(spec, "errors");
    int r = sb_described_bool(spec, "silent", false, &ret->silent, ret_error);
    if (r == 0)
        r = sb_modbus_place_read(spec, "poll", order, &ret->at, ret_error);
    if (r == 0 && (ret->at.kind > SB_MODBUS_I64 && ret->at.kind != SB_MODBUS_BOOL))
        return sb_described_wrong(ret_error, -EINVAL, "poll: wants a whole number or a bool");
    if (r == 0 && !ret->ok)
        return sb_described_wrong(ret_error, -EINVAL, "poll needs `ok`");
    if (r == 0)
        r = check_numbers(ret->ok, "ok", names, ret_error);
    if (r == 0)
        r = check_numbers(ret->busy, "busy", names, ret_error);
    if (r == 0)
        r = check_errors(ret->errors, ret_error);
    if (r == 0)
        r = sb_modbus_number(spec, "mask", 1, UINT16_MAX, UINT16_MAX, &mask, ret_error);
    ret->mask = (uint16_t)mask;
    if (r == 0 && json_object_get(spec, "mask") && ret->at.count > 1)
        return sb_described_wrong(ret_error, -EINVAL, "poll: `mask` is for one register");
    if (r == 0)
        r = sb_described_duration(spec, "every", 1, SB_MINUTE, 100, &ret->every, ret_error);
    return r;
}

static int read_mask(const json_t *spec, struct sb_modbus_step *ret, char **ret_error)
{
    int64_t address = 0, and_mask = 0, or_mask = 0;
    int r = sb_modbus_number(spec, "mask", 0, UINT16_MAX, INT64_MIN, &address, ret_error);
    if (r == 0)
        r = sb_modbus_number(spec, "and", 0, UINT16_MAX, INT64_MIN, &and_mask, ret_error);
    if (r == 0)
        r = sb_modbus_number(spec, "or", 0, UINT16_MAX, 0, &or_mask, ret_error);
    if (r < 0)
        return r;
    ret->at.address = (uint16_t)address;
    ret->mask = (uint16_t)and_mask;
    ret->set_bits = (uint16_t)or_mask;
    return 0;
}

static int read_file(const json_t *spec, const json_t *names, struct sb_modbus_step *ret,
                     char **ret_error)
{
    int64_t file = 0;
    int r = sb_modbus_number(spec, "file", 1, UINT16_MAX, INT64_MIN, &file, ret_error);
    if (r < 0)
        return r;
    ret->at.address = (uint16_t)file;
    ret->value = json_object_get(spec, "record");
    return check_numbers(ret->value, "record", names, ret_error);
}

static int read_request(const json_t *spec, struct sb_modbus_step *ret, char **ret_error)
{
    const char *text = sb_json_str(spec, "request");
    struct sb_str hex = { 0 };
    for (; text && *text; text++)
        if (*text != ' ')
            sb_str_add_char(&hex, *text);
    ret->request.n = hex.length / 2;
    bool good = hex.length >= 2 && hex.length % 2 == 0 && ret->request.n <= SB_MODBUS_PDU_MAX &&
                sb_hex_decode(sb_str_get(&hex), ret->request.bytes, ret->request.n) == 0 &&
                ret->request.bytes[0] > 0 && ret->request.bytes[0] < SB_MODBUS_IS_REFUSED;
    sb_str_done(&hex);
    /* A short one of a standard function would have its missing parts looked at. */
    if (good && sb_modbus_length_is_known(&ret->request) && ret->request.n < 5 &&
        ret->request.bytes[0] < SB_MODBUS_EXCEPTION_STATUS)
        good = false;
    return good ? 0
                : sb_described_wrong(ret_error, -EINVAL,
                                     "request: wants function and data in hex, such as "
                                     "\"41 00 01\"");
}

static int read_own(const json_t *spec, int order, const json_t *names, struct sb_modbus_step *ret,
                    char **ret_error)
{
    int64_t address = 0;
    int r = 0;
    switch (ret->verb) {
    case SB_MODBUS_DO_WRITE:
    case SB_MODBUS_DO_COIL:
        return read_value(spec, order, names, ret, ret_error);
    case SB_MODBUS_DO_MASK:
        return read_mask(spec, ret, ret_error);
    case SB_MODBUS_DO_SET:
        ret->value = json_object_get(spec, "set");
        return json_object_size(ret->value)
                   ? 0
                   : sb_described_wrong(ret_error, -EINVAL, "set: wants { property: value }");
    case SB_MODBUS_DO_DATA:
        r = sb_modbus_number(spec, "data", 0, UINT16_MAX, INT64_MIN, &address, ret_error);
        ret->at.address = (uint16_t)address;
        if (r == 0)
            r = sb_described_bool(spec, "advance", true, &ret->advance, ret_error);
        return r;
    case SB_MODBUS_DO_FILE:
        return read_file(spec, names, ret, ret_error);
    case SB_MODBUS_DO_POLL:
        return read_poll(spec, order, names, ret, ret_error);
    case SB_MODBUS_DO_WAIT:
        return sb_described_duration(spec, "wait", 1, 10 * SB_MINUTE, 0, &ret->timeout, ret_error);
    case SB_MODBUS_DO_REQUEST:
        return read_request(spec, ret, ret_error);
    case SB_MODBUS_DO_RESTART_COMMS:
        memcpy(ret->request.bytes, "\x08\x00\x01\x00\x00", 5);
        ret->request.n = 5;
        return 0;
    case SB_MODBUS_VERB_MAX_:
        break;
    }
    return -EINVAL;
}

static int find_verb(const json_t *spec, enum sb_modbus_verb *ret, char **ret_error)
{
    int found = -1, verbs = 0;
    const char *first = NULL, *key;
    json_t *value;
    json_object_foreach ((json_t *)spec, key, value) {
        int verb = sb_modbus_verb_from_name(key);
        first = first ? first : key;
        /* "mask" is a verb, and what of a register a poll looks at */
        if (verb < 0 || (verb == SB_MODBUS_DO_MASK && json_object_get(spec, "poll")))
            continue;
        found = verb;
        verbs++;
    }
    *ret = (enum sb_modbus_verb)(found < 0 ? 0 : found);
    if (verbs == 1)
        return 0;
    const char *near = verbs == 0 && first
                           ? sb_nearest(first, sb_modbus_verb_names.names, SB_MODBUS_VERB_MAX_)
                           : NULL;
    return sb_described_wrong(ret_error, -EINVAL,
                              "a step does one thing (write, coil, mask, set, data, file, poll, "
                              "wait, restart_comms, request)%s%s%s",
                              near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
}

static int read_answer(const json_t *spec, struct sb_modbus_step *ret, char **ret_error)
{
    const json_t *answer = json_object_get(spec, "answer");
    ret->no_answer = json_is_false(answer);
    ret->compare = sb_streq(json_string_value(answer), "echo");
    if (answer && !json_is_boolean(answer) && !ret->compare)
        return sb_described_wrong(ret_error, -EINVAL, "answer is true, false or echo");
    int r = sb_described_bool(spec, "once", ret->no_answer, &ret->once, ret_error);
    return r < 0 ? r : sb_described_bool(spec, "broadcast", false, &ret->broadcast, ret_error);
}

int sb_modbus_step_read(const json_t *spec, int order, const json_t *names,
                        struct sb_modbus_step *ret, char **ret_error)
{
    size_t known = 0;
    int choice = 0;
    *ret = (struct sb_modbus_step){ 0 };
    if (!json_is_object(spec))
        return sb_described_wrong(ret_error, -EINVAL,
                                  "must be a map, such as { write: 16, "
                                  "value: 1 }");
    int r = find_verb(spec, &ret->verb, ret_error);
    if (r < 0)
        return r;
    const char *const *allowed = keys[ret->verb];
    while (known < KEYS_MAX && allowed[known])
        known++;
    r = sb_described_keys(spec, allowed, known, ret_error);
    if (r == 0)
        r = sb_described_choice(spec, "order", &sb_modbus_order_names, order, &choice, ret_error);
    if (r < 0)
        return r;
    ret->at.order = choice;
    int64_t otherwise = ret->verb == SB_MODBUS_DO_POLL ? 30 * SB_SECOND : 0;
    r = sb_described_duration(spec, "timeout", 1, SB_HOUR, otherwise, &ret->timeout, ret_error);
    if (r == 0)
        r = read_answer(spec, ret, ret_error);
    return r == 0 ? read_own(spec, order, names, ret, ret_error) : r;
}

static int at_step(size_t number, int r, char **ret_error)
{
    sb_cleanup(sb_freep) char *why = SB_STEAL(*ret_error);
    return sb_described_wrong(ret_error, r, "step %zu: %s", number, why ? why : "not possible");
}

int sb_modbus_recipe_check(const json_t *list, int order, const json_t *names, bool data,
                           size_t *ret_step, char **ret_error)
{
    size_t i;
    json_t *spec;
    *ret_step = SIZE_MAX;
    if (!list)
        return 0;
    if (!json_is_array(list) || json_array_size(list) > SB_MODBUS_STEPS_MAX)
        return sb_described_wrong(ret_error, -EINVAL, "wants a list of at most %d steps",
                                  SB_MODBUS_STEPS_MAX);
    json_array_foreach (list, i, spec) {
        struct sb_modbus_step step = { 0 };
        int r = sb_modbus_step_read(spec, order, names, &step, ret_error);
        if (r == 0 && !data && (step.verb == SB_MODBUS_DO_DATA || step.verb == SB_MODBUS_DO_FILE))
            r = sb_described_wrong(ret_error, -EINVAL, "there is no block to send here");
        *ret_step = i;
        if (r < 0)
            return at_step(i + 1, r, ret_error);
    }
    return 0;
}
