/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/devices/dialog/value.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>

#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/mapping/described.h"

#define WORD_MAX  64
#define WORDS_MAX 64

SB_NAMES(sb_dialog_kind,
         SB_DIALOG_KIND_MAX_, [SB_DIALOG_STRING] = "string", [SB_DIALOG_INT] = "int",
         [SB_DIALOG_FLOAT] = "float", [SB_DIALOG_BOOL] = "bool", [SB_DIALOG_ENUM] = "enum");

/* ---- descriptions ---- */

static bool is_word(const char *text)
{
    size_t n = text ? strlen(text) : 0;
    for (size_t i = 0; i < n; i++)
        if (!isprint((unsigned char)text[i]))
            return false;
    return n > 0 && n <= WORD_MAX;
}

/* YAML turns 1 or true into what it is not here. */
static char *word_of(const json_t *value)
{
    if (json_is_string(value))
        return strdup(json_string_value(value));
    if (json_is_integer(value))
        return sb_format("%lld", (long long)json_integer_value(value));
    return json_is_boolean(value) ? strdup(json_is_true(value) ? "true" : "false") : NULL;
}

static int check_word(const json_t *value, char **ret_error)
{
    sb_cleanup(sb_freep) char *word = word_of(value);
    return is_word(word)
               ? 0
               : sb_described_wrong(ret_error, -EINVAL,
                                    "values: every word is a text of 1 to %d characters", WORD_MAX);
}

static int read_words(struct sb_dialog_value *value, const json_t *words, char **ret_error)
{
    size_t i, n = json_is_object(words) ? json_object_size(words) : json_array_size(words);
    const char *key;
    json_t *item;
    int r = 0;
    if (value->kind == SB_DIALOG_BOOL && words && (!json_is_array(words) || n != 2))
        return sb_described_wrong(ret_error, -EINVAL, "values of a bool are two: [off, on]");
    if (value->kind == SB_DIALOG_ENUM && (n == 0 || n > WORDS_MAX))
        return sb_described_wrong(ret_error, -EINVAL,
                                  "an enum needs `values`, a list of the device's words or a map "
                                  "of word: name (1 to %d)",
                                  WORDS_MAX);
    if (value->kind != SB_DIALOG_ENUM && value->kind != SB_DIALOG_BOOL && words)
        return sb_described_wrong(ret_error, -EINVAL, "`values` is for enum and bool");
    json_array_foreach (words, i, item)
        r = r < 0 ? r : check_word(item, ret_error);
    json_object_foreach ((json_t *)words, key, item) {
        if (r == 0 && !is_word(key))
            r = sb_described_wrong(ret_error, -EINVAL, "values: '%.64s' is no word", key);
        r = r < 0 ? r : check_word(item, ret_error);
    }
    value->values = words;
    return r;
}

static int read_bounds(struct sb_dialog_value *value, const json_t *spec, char **ret_error)
{
    const json_t *min = json_object_get(spec, "min"), *max = json_object_get(spec, "max");
    bool number = value->kind == SB_DIALOG_INT || value->kind == SB_DIALOG_FLOAT;
    if ((min || max) && !number)
        return sb_described_wrong(ret_error, -EINVAL, "`min` and `max` are for int and float");
    if ((min && !json_is_number(min)) || (max && !json_is_number(max)))
        return sb_described_wrong(ret_error, -EINVAL, "`min` and `max` are numbers");
    value->bounded = min || max;
    value->min = min ? json_number_value(min) : -HUGE_VAL;
    value->max = max ? json_number_value(max) : HUGE_VAL;
    if (value->bounded && value->min > value->max)
        return sb_described_wrong(ret_error, -EINVAL, "`min` is above `max`");
    return 0;
}

static int read_string(struct sb_dialog_value *value, const json_t *spec, char **ret_error)
{
    bool string = value->kind == SB_DIALOG_STRING;
    const json_t *given = json_object_get(spec, "length"), *allow = json_object_get(spec, "allow");
    int64_t length = given ? json_integer_value(given) : string ? 128 : 0;
    value->allow = json_string_value(allow);
    if (!string && (given || allow))
        return sb_described_wrong(ret_error, -EINVAL, "`length` and `allow` are for string");
    if (allow && !value->allow)
        return sb_described_wrong(ret_error, -EINVAL,
                                  "allow is a text of the signs, in quotes where YAML reads it as "
                                  "something else");
    if (string && (length < 1 || length > SB_DIALOG_TEXT_MAX))
        return sb_described_wrong(ret_error, -EINVAL, "length is 1 to %d", SB_DIALOG_TEXT_MAX);
    for (const char *at = value->allow; at && *at; at++)
        if (!isprint((unsigned char)*at))
            return sb_described_wrong(ret_error, -EINVAL,
                                      "allow: signs of ASCII only, no control characters");
    value->length = (size_t)length;
    return 0;
}

int sb_dialog_value_read(const json_t *spec, struct sb_dialog_value *ret, char **ret_error)
{
    int kind = 0;
    *ret = (struct sb_dialog_value){ 0 };
    int r = sb_described_choice(spec, "type", &sb_dialog_kind_names, SB_DIALOG_STRING, &kind,
                                ret_error);
    ret->kind = (enum sb_dialog_kind)kind;
    if (r == 0)
        r = read_words(ret, json_object_get(spec, "values"), ret_error);
    if (r == 0)
        r = read_bounds(ret, spec, ret_error);
    return r < 0 ? r : read_string(ret, spec, ret_error);
}

/* ---- texts ---- */

int sb_dialog_text_check(const char *text, const char *allow, char **ret_error)
{
    for (const char *at = text; *at; at++) {
        unsigned char c = (unsigned char)*at;
        if (isalnum(c) || strchr(" _.,:/@+-=", c) || (allow && strchr(allow, c)))
            continue;
        sb_cleanup(sb_freep) char *shown =
            c > 0x20 && c < 0x7f ? sb_format("'%c'", c) : sb_format("byte %02x", c);
        return sb_described_wrong(ret_error, -EINVAL,
                                  "%s may not be sent to this console (allowed: letters, digits, "
                                  "space, _ . , : / @ + - =%s%s)",
                                  shown ? shown : "a sign", allow ? " and " : "",
                                  allow ? allow : "");
    }
    return 0;
}

static int check_range(const struct sb_dialog_value *value, double number, char **ret_error)
{
    if (!value->bounded || (number >= value->min && number <= value->max))
        return 0;
    return sb_described_wrong(ret_error, -EINVAL, "%g is out of range (%g to %g)", number,
                              value->min, value->max);
}

/* The device's word for a name; caller frees. */
static char *word_for(const struct sb_dialog_value *value, const char *name)
{
    size_t i;
    const char *key;
    json_t *item;
    json_array_foreach (value->values, i, item) {
        sb_cleanup(sb_freep) char *word = word_of(item);
        if (sb_streq(word, name))
            return SB_STEAL(word);
    }
    json_object_foreach ((json_t *)value->values, key, item) {
        sb_cleanup(sb_freep) char *word = word_of(item);
        if (sb_streq(word, name))
            return strdup(key);
    }
    return NULL;
}

static int wrong_kind(const struct sb_dialog_value *value, char **ret_error)
{
    return sb_described_wrong(ret_error, -EINVAL, "the value must be of type %s",
                              sb_dialog_kind_name((int)value->kind));
}

static int encode_string(const struct sb_dialog_value *value, const json_t *json, char **ret,
                         char **ret_error)
{
    const char *text = json_string_value(json);
    if (!text)
        return wrong_kind(value, ret_error);
    if (json_string_length(json) != strlen(text) || strlen(text) > value->length)
        return sb_described_wrong(ret_error, -EINVAL, "longer than %zu characters", value->length);
    int r = sb_dialog_text_check(text, value->allow, ret_error);
    *ret = r == 0 ? strdup(text) : NULL;
    return r < 0 || *ret ? r : -ENOMEM;
}

static int encode_number(const struct sb_dialog_value *value, const json_t *json, char **ret,
                         char **ret_error)
{
    bool whole = value->kind == SB_DIALOG_INT;
    if (whole ? !json_is_integer(json) : !json_is_number(json))
        return wrong_kind(value, ret_error);
    int r = check_range(value, json_number_value(json), ret_error);
    if (r < 0)
        return r;
    *ret = whole ? sb_format("%lld", (long long)json_integer_value(json))
                 : sb_format("%.9g", json_number_value(json));
    return *ret ? 0 : -ENOMEM;
}

static int encode_bool(const struct sb_dialog_value *value, const json_t *json, char **ret,
                       char **ret_error)
{
    if (!json_is_boolean(json))
        return wrong_kind(value, ret_error);
    size_t on = json_is_true(json);
    *ret = value->values ? word_of(json_array_get(value->values, on)) : strdup(on ? "1" : "0");
    return *ret ? 0 : -ENOMEM;
}

static int encode_enum(const struct sb_dialog_value *value, const json_t *json, char **ret,
                       char **ret_error)
{
    sb_cleanup(sb_freep) char *name = word_of(json);
    *ret = name ? word_for(value, name) : NULL;
    if (*ret)
        return 0;
    sb_cleanup(sb_freep) char *known = sb_json_text(value->values);
    return sb_described_wrong(ret_error, -EINVAL, "'%.64s' is none of %s", name ? name : "",
                              known ? known : "the values");
}

int sb_dialog_value_encode(const struct sb_dialog_value *value, const json_t *json, char **ret,
                           char **ret_error)
{
    switch (value->kind) {
    case SB_DIALOG_STRING:
        return encode_string(value, json, ret, ret_error);
    case SB_DIALOG_BOOL:
        return encode_bool(value, json, ret, ret_error);
    case SB_DIALOG_ENUM:
        return encode_enum(value, json, ret, ret_error);
    default:
        return encode_number(value, json, ret, ret_error);
    }
}

/* ---- what a device says ---- */

static int no_value(const struct sb_dialog_value *value, const char *text, char **ret_error)
{
    sb_cleanup(sb_freep) char *shown = sb_redact(text);
    return sb_described_wrong(ret_error, -EINVAL, "the device says '%.64s', which is no %s",
                              shown ? shown : "", sb_dialog_kind_name((int)value->kind));
}

static int decode_number(const struct sb_dialog_value *value, const char *text, json_t **ret,
                         char **ret_error)
{
    char *end = NULL;
    double number = 0;
    errno = 0;
    if (value->kind == SB_DIALOG_INT) {
        bool hex = strncmp(text, "0x", 2) == 0;
        long long whole = strtoll(text, &end, hex ? 16 : 10);
        number = (double)whole;
        *ret = json_integer(whole);
    } else {
        number = strtod(text, &end);
        *ret = isfinite(number) ? json_real(number) : NULL;
    }
    int r = 0;
    if (errno || end == text || *end || isspace((unsigned char)*text) || !*ret)
        r = no_value(value, text, ret_error);
    if (r == 0)
        r = check_range(value, number, ret_error);
    if (r < 0) {
        json_decref(*ret);
        *ret = NULL;
    }
    return r;
}

static int decode_bool(const struct sb_dialog_value *value, const char *text, json_t **ret,
                       char **ret_error)
{
    sb_cleanup(sb_freep) char *off =
        value->values ? word_of(json_array_get(value->values, 0)) : strdup("0");
    sb_cleanup(sb_freep) char *on =
        value->values ? word_of(json_array_get(value->values, 1)) : strdup("1");
    if (!sb_streq(text, on) && !sb_streq(text, off))
        return no_value(value, text, ret_error);
    *ret = json_boolean(sb_streq(text, on));
    return 0;
}

static int decode_enum(const struct sb_dialog_value *value, const char *text, json_t **ret,
                       char **ret_error)
{
    sb_cleanup(sb_freep) char *known = NULL;
    if (json_is_array(value->values))
        known = word_for(value, text);
    else
        known = word_of(json_object_get(value->values, text));
    if (!known)
        return no_value(value, text, ret_error);
    *ret = json_string(known);
    return *ret ? 0 : -ENOMEM;
}

int sb_dialog_value_decode(const struct sb_dialog_value *value, const char *text, json_t **ret,
                           char **ret_error)
{
    switch (value->kind) {
    case SB_DIALOG_STRING:
        *ret = strlen(text) <= value->length ? json_string(text) : NULL;
        return *ret ? 0 : no_value(value, text, ret_error);
    case SB_DIALOG_BOOL:
        return decode_bool(value, text, ret, ret_error);
    case SB_DIALOG_ENUM:
        return decode_enum(value, text, ret, ret_error);
    default:
        return decode_number(value, text, ret, ret_error);
    }
}
