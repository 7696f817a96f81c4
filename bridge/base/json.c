/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/base/json.h"

#include <errno.h>
#include <math.h>

#include "bridge/base/str.h"

#define DEFAULT_BYTES  131072
#define DEFAULT_DEPTH  32
#define DEFAULT_VALUES 20000

static int fail(char **ret_error, int error, char *text)
{
    if (ret_error)
        *ret_error = text;
    else
        free(text);
    return error;
}

/* The position after the string that begins at its opening quote. */
static size_t skip_string(const char *text, size_t n, size_t at)
{
    for (at++; at < n && text[at] != '"'; at++)
        if (text[at] == '\\')
            at++;
    return at;
}

/*
 * Refuses what would cost too much before the parser sees it: it recurses per level and allocates
 * per value. Counts generously (the number of values is 1 + commas + containers that hold
 * something); whether the text is JSON at all is the parser's to say.
 */
static int scan(const char *text, size_t n, const struct sb_json_limits *limits, char **ret_error)
{
    size_t depth = 0, values = 1;
    char last = 0;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
            continue;
        if (c == '"') {
            i = skip_string(text, n, i);
        } else if (c == '[' || c == '{') {
            values++;
            if (++depth > limits->depth)
                return fail(
                    ret_error, -E2BIG,
                    sb_format("nested deeper than %zu levels at byte %zu", limits->depth, i));
        } else if (c == ']' || c == '}') {
            depth -= depth > 0 ? 1 : 0;
            values -= last == '[' || last == '{' ? 1 : 0;
        } else if (c == ',') {
            values++;
        }
        if (values > limits->values + 1) /* an empty container takes its count back */
            return fail(ret_error, -E2BIG,
                        sb_format("more than %zu values at byte %zu", limits->values, i));
        last = c;
    }
    if (values > limits->values)
        return fail(ret_error, -E2BIG, sb_format("more than %zu values", limits->values));
    return 0;
}

/* The parser quotes the text near the error, which may hold a secret; a repeated key may not. */
static int explain(const json_error_t *error, char **ret_error)
{
    enum json_error_code code = json_error_code(error);
    if (code == json_error_out_of_memory || code == json_error_unknown) /* gave up silently */
        return fail(ret_error, -ENOMEM, sb_format("out of memory"));
    const char *near = strstr(error->text, " near ");
    int n = (int)strlen(error->text);
    if (near && code != json_error_duplicate_key)
        n = (int)(near - error->text);
    return fail(ret_error, code == json_error_stack_overflow ? -E2BIG : -EBADMSG,
                sb_format("%.*s at line %d, column %d (byte %d)", n, error->text, error->line,
                          error->column, error->position));
}

int sb_json_parse(const void *text, size_t n, const struct sb_json_limits *limits, json_t **ret,
                  char **ret_error)
{
    struct sb_json_limits bound = limits ? *limits : (struct sb_json_limits){ 0 };
    bound.bytes = bound.bytes > 0 ? bound.bytes : DEFAULT_BYTES;
    bound.depth = bound.depth > 0 ? bound.depth : DEFAULT_DEPTH;
    bound.values = bound.values > 0 ? bound.values : DEFAULT_VALUES;
    if (n > bound.bytes)
        return fail(ret_error, -E2BIG,
                    sb_format("%zu bytes long, at most %zu are allowed", n, bound.bytes));
    if (!text || n == 0)
        return fail(ret_error, -EBADMSG, sb_format("empty text"));
    int r = scan(text, n, &bound, ret_error);
    if (r < 0)
        return r;
    json_error_t error = { 0 }; /* the code is not always set */
    json_t *value = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!value)
        return explain(&error, ret_error);
    *ret = value;
    return 0;
}

const char *sb_json_str(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

int64_t sb_json_int(const json_t *object, const char *key, int64_t otherwise)
{
    const json_t *value = json_object_get(object, key);
    if (json_is_integer(value))
        return json_integer_value(value);
    if (!json_is_real(value))
        return otherwise;
    double real = json_real_value(value);
    /* 2^63 is exact as a double; NaN fails both comparisons */
    return real >= -0x1p63 && real < 0x1p63 ? (int64_t)real : otherwise;
}

bool sb_json_bool(const json_t *object, const char *key, bool otherwise)
{
    const json_t *value = json_object_get(object, key);
    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

const json_t *sb_json_object(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_object(value) ? value : NULL;
}

const json_t *sb_json_array(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_array(value) ? value : NULL;
}

bool sb_json_has(const json_t *array, const char *text)
{
    size_t i;
    json_t *item;
    json_array_foreach ((json_t *)array, i, item) {
        if (text && sb_streq(json_string_value(item), text))
            return true;
    }
    return false;
}

static int append(const char *bytes, size_t n, void *text)
{
    sb_str_add_bytes(text, bytes, n);
    return 0;
}

/* Jansson's own buffer may lose a piece, and go on, when memory is short for a moment. */
static char *text_of(const json_t *value, size_t flags)
{
    struct sb_str text = { 0 };

    if (!value || json_dump_callback(value, append, &text, flags | JSON_ENCODE_ANY) < 0)
        text.broken = true;
    return sb_str_take(&text);
}

char *sb_json_text(const json_t *value)
{
    return text_of(value, JSON_COMPACT);
}

char *sb_json_sorted(const json_t *value)
{
    return text_of(value, JSON_COMPACT | JSON_SORT_KEYS);
}

static int put(json_t *object, const char *key, json_t *value)
{
    return value && json_object_set_new(object, key, value) == 0 ? 0 : -ENOMEM;
}

json_t *sb_json_string(const char *text)
{
    json_t *value = json_string(text);
    sb_cleanup(sb_freep) char *legible = value ? NULL : strdup(text);
    for (char *c = legible; c && *c; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    return legible ? json_string(legible) : value;
}

int sb_json_put_str(json_t *object, const char *key, const char *text)
{
    return text ? put(object, key, sb_json_string(text)) : 0;
}

int sb_json_put_int(json_t *object, const char *key, int64_t value)
{
    return put(object, key, json_integer(value));
}
