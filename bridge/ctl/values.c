/* SPDX-License-Identifier: Apache-2.0 */
/* One option's text becomes a member of the request. */
#include <errno.h>
#include <time.h>

#include "bridge/base/time.h"
#include "bridge/ctl/ctl.h"

static int complain(char **ret_error, const char *fmt, ...) SB_PRINTF(2, 3);
static int complain(char **ret_error, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    sb_set_vformat(ret_error, fmt, ap);
    va_end(ap);
    return -1;
}

/* The object and last key of "policy.retries" below `root`, made on the way. NULL: no memory. */
static json_t *reach(json_t *root, const char *path, const char **ret_key)
{
    const char *dot;
    while (root && (dot = strchr(path, '.'))) {
        json_t *next = json_object_getn(root, path, (size_t)(dot - path));
        if (!next) {
            next = json_object();
            if (json_object_setn_new(root, path, (size_t)(dot - path), next) < 0)
                next = NULL;
        }
        root = next;
        path = dot + 1;
    }
    *ret_key = path;
    return root;
}

/* "5" and "true" as JSON has them, everything else as text; quotes force a text. */
static json_t *scalar(const char *text)
{
    json_t *value = NULL;
    char *error = NULL;
    if (sb_json_parse(text, strlen(text), NULL, &value, &error) < 0)
        free(error);
    if (value && (json_is_object(value) || json_is_array(value))) {
        json_decref(value);
        value = NULL;
    }
    return value ? value : json_string(text);
}

static json_t *words(const char *text)
{
    json_t *list = json_array();
    for (size_t n; *text; text += n + (text[n] == ',')) {
        n = strcspn(text, ",");
        if (n > 0)
            (void)json_array_append_new(list, json_stringn(text, n));
    }
    return list;
}

static int put_pair(const struct sb_option *option, json_t *into, const char *text,
                    char **ret_error)
{
    const char *equals = strchr(text, '=');
    size_t n = equals ? (size_t)(equals - text) : 0;
    if (n == 0)
        return complain(ret_error, "--%s %s: give it as name=value", option->name, text);
    if (json_object_getn(into, text, n))
        return complain(ret_error, "--%s %.*s is given twice", option->name, (int)n, text);
    json_t *value = option->kind == SB_OPTION_PAIR    ? scalar(equals + 1)
                    : option->kind == SB_OPTION_TEXTS ? json_string(equals + 1)
                                                      : words(equals + 1);
    if (!value)
        return complain(ret_error, "--%s: the value is not UTF-8", option->name);
    return json_object_setn_new(into, text, n, value);
}

/* "+2h", "2026-01-31T04:00:00Z", or local time "2026-01-31 04:00[:00]", "04:00" (the next one). */
static int read_time(const char *text, int64_t now, int64_t *ret)
{
    struct tm tm = { 0 };
    time_t seconds = (time_t)(now / SB_SECOND);
    int64_t later;
    if (text[0] == '+') {
        if (sb_duration_parse(text + 1, &later) < 0)
            return -EINVAL;
        *ret = now + later;
        return 0;
    }
    if (sb_time_from_iso8601(text, ret) == 0)
        return 0;
    if (!localtime_r(&seconds, &tm))
        return -EINVAL;
    static const char *const forms[] = { "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M",
                                         "%Y-%m-%dT%H:%M", "%H:%M" };
    for (size_t i = 0; i < SB_COUNT(forms); i++) {
        struct tm read = tm;
        read.tm_sec = 0;
        const char *end = strptime(text, forms[i], &read);
        if (!end || *end)
            continue;
        read.tm_isdst = -1;
        int64_t wall = (int64_t)mktime(&read) * SB_SECOND;
        if (i == SB_COUNT(forms) - 1 && wall <= now) {
            read.tm_mday++; /* today's is over */
            read.tm_isdst = -1;
            wall = (int64_t)mktime(&read) * SB_SECOND;
        }
        *ret = wall;
        return 0;
    }
    return -EINVAL;
}

int sb_value_number(const char *text, int64_t *ret)
{
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno || end == text || *end || number < 0)
        return -EINVAL;
    *ret = number;
    return 0;
}

static int put_number(const struct sb_order *order, const struct sb_option *option, json_t *object,
                      const char *key, const char *text, char **ret_error)
{
    int64_t number;
    int r = 0;
    switch (option->kind) {
    case SB_OPTION_DURATION:
        r = sb_duration_parse(text, &number);
        if (r < 0)
            return complain(ret_error, "--%s: '%s' is not a duration (like 90s, 5m, 2h)",
                            option->name, text);
        break;
    case SB_OPTION_TIME:
        r = read_time(text, order->now, &number);
        if (r < 0)
            return complain(ret_error,
                            "--%s: '%s' is not a time (like 2026-01-31T04:00:00Z, "
                            "'2026-01-31 04:00', 04:00 or +2h)",
                            option->name, text);
        break;
    default:
        r = sb_value_number(text, &number);
        if (r < 0)
            return complain(ret_error, "--%s: '%s' is not a number", option->name, text);
    }
    return sb_json_put_int(object, key, number);
}

static int put_json(const struct sb_option *option, json_t *object, const char *key,
                    const char *text, char **ret_error)
{
    sb_cleanup(json_decrefp) json_t *value = NULL;
    sb_cleanup(sb_freep) char *error = NULL;
    if (sb_json_parse(text, strlen(text), NULL, &value, &error) < 0)
        return complain(ret_error, "--%s: not JSON: %s", option->name, error ? error : "?");
    if (!json_is_object(value))
        return complain(ret_error, "--%s: a JSON object is wanted, like {\"name\": 5}",
                        option->name);
    json_t *there = json_object_get(object, key);
    return there ? json_object_update(there, value) : json_object_set(object, key, value);
}

/* The container at object[key], made when it is not there. */
json_t *sb_value_container(json_t *object, const char *key, bool array)
{
    json_t *there = json_object_get(object, key);
    if (there || json_object_set_new(object, key, array ? json_array() : json_object()) < 0)
        return there;
    return json_object_get(object, key);
}

/* The second of two would silently win. */
static bool is_second(const struct sb_option *option, const json_t *object, const char *key)
{
    switch (option->kind) {
    case SB_OPTION_TEXT:
    case SB_OPTION_NUMBER:
    case SB_OPTION_DURATION:
    case SB_OPTION_TIME:
        return json_object_get(object, key);
    default:
        return false;
    }
}

int sb_value_put(struct sb_order *order, const struct sb_option *option, const char *text,
                 char **ret_error)
{
    const char *key = option->key ? option->key : option->name;
    json_t *object = reach(option->key ? order->args : order->local, key, &key);
    int r = -1;
    if (!object)
        return complain(ret_error, "out of memory");
    if (is_second(option, object, key))
        return complain(ret_error, "--%s is given twice", option->name);
    switch (option->kind) {
    case SB_OPTION_FLAG:
        r = json_object_set_new(object, key, json_true());
        break;
    case SB_OPTION_TEXT:
        r = json_object_set_new(object, key, json_string(text));
        break;
    case SB_OPTION_LIST:
        r = json_array_append_new(sb_value_container(object, key, true), json_string(text));
        break;
    case SB_OPTION_PAIR:
    case SB_OPTION_TEXTS:
    case SB_OPTION_LISTS:
        r = put_pair(option, sb_value_container(object, key, false), text, ret_error);
        break;
    case SB_OPTION_JSON:
        r = put_json(option, object, key, text, ret_error);
        break;
    default:
        r = put_number(order, option, object, key, text, ret_error);
    }
    if (r < 0 && !*ret_error)
        return complain(ret_error, "--%s: the value is not UTF-8", option->name);
    return r < 0 ? -1 : 0;
}
