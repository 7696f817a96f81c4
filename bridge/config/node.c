/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/config/node.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>

/* ---- making and releasing ---- */

struct sb_yaml *sb_node_new(enum sb_yaml_kind kind, const char *file, int line, int column)
{
    struct sb_yaml *node = calloc(1, sizeof *node);
    if (node)
        *node = (struct sb_yaml){ .kind = kind, .file = file, .line = line, .column = column };
    return node;
}

static int grow(struct sb_yaml ***list, size_t room)
{
    struct sb_yaml **grown = realloc(*list, room * sizeof(struct sb_yaml *));
    if (!grown)
        return -ENOMEM;
    *list = grown;
    return 0;
}

int sb_node_push(struct sb_yaml *node, struct sb_yaml *key, struct sb_yaml *item)
{
    size_t n = node->count;
    if ((n & (n - 1)) == 0) { /* room is always the next power of two */
        size_t room = n ? 2 * n : 1;
        if (grow(&node->items, room) < 0 || (key && grow(&node->keys, room) < 0))
            return -ENOMEM;
    }
    node->items[n] = item;
    if (key)
        node->keys[n] = key;
    node->count++;
    return 0;
}

void sb_node_free(struct sb_yaml *node)
{
    if (!node)
        return;
    for (size_t i = 0; i < node->count; i++) {
        sb_node_free(node->items[i]);
        if (node->keys)
            sb_node_free(node->keys[i]);
    }
    free(node->items);
    free(node->keys);
    free(node->text);
    free(node);
}

void sb_yaml_free(struct sb_yaml *root)
{
    if (!root)
        return;
    free((char *)root->file);
    sb_node_free(root);
}

/* ---- looking ---- */

const struct sb_yaml *sb_yaml_get(const struct sb_yaml *map, const char *key)
{
    if (!map || map->kind != SB_YAML_MAP)
        return NULL;
    for (size_t i = 0; i < map->count; i++)
        if (sb_streq(map->keys[i]->text, key))
            return map->items[i];
    return NULL;
}

bool sb_yaml_is_null(const struct sb_yaml *node)
{
    if (!node)
        return true;
    if (node->kind != SB_YAML_SCALAR || node->quoted)
        return false;
    return !node->text[0] || sb_streq(node->text, "~") || sb_streq(node->text, "null");
}

static bool looks_integer(const char *text)
{
    if (text[0] == '0' && text[1] == 'x')
        return text[2] && text[2 + strspn(text + 2, "0123456789abcdefABCDEF")] == '\0';
    text += text[0] == '-';
    size_t digits = strspn(text, "0123456789");
    return digits > 0 && text[digits] == '\0' && (text[0] != '0' || digits == 1);
}

int sb_yaml_integer(const struct sb_yaml *node, int64_t *ret)
{
    if (!node || node->kind != SB_YAML_SCALAR || node->quoted || !looks_integer(node->text))
        return -EINVAL;
    errno = 0;
    long long value = strtoll(node->text, NULL, node->text[1] == 'x' ? 16 : 10);
    if (errno == ERANGE)
        return -ERANGE;
    *ret = value;
    return 0;
}

/* Digits, point and exponent as in JSON; so 1.2.3, 1e and .5 are texts. */
static bool looks_real(const char *text)
{
    static const char digits[] = "0123456789";
    text += text[0] == '-';
    size_t whole = strspn(text, digits), fraction = 0, power = 0;
    if (whole == 0 || (whole > 1 && text[0] == '0'))
        return false;
    text += whole;
    if (text[0] == '.') {
        fraction = strspn(++text, digits);
        if (fraction == 0)
            return false;
        text += fraction;
    }
    if (text[0] == 'e' || text[0] == 'E') {
        text++;
        text += text[0] == '-' || text[0] == '+';
        power = strspn(text, digits);
        if (power == 0)
            return false;
        text += power;
    }
    return text[0] == '\0' && fraction + power > 0;
}

/* ---- to JSON and back ---- */

static json_t *scalar_json(const struct sb_yaml *node)
{
    if (sb_yaml_is_null(node))
        return json_null();
    if (!node->quoted) {
        int64_t integer = 0;
        if (sb_streq(node->text, "true") || sb_streq(node->text, "false"))
            return json_boolean(node->text[0] == 't');
        if (sb_yaml_integer(node, &integer) == 0)
            return json_integer(integer);
        double real = looks_real(node->text) ? strtod(node->text, NULL) : NAN;
        if (isfinite(real))
            return json_real(real);
    }
    return json_string(node->text);
}

json_t *sb_yaml_json(const struct sb_yaml *node)
{
    if (!node || node->kind == SB_YAML_SCALAR)
        return node ? scalar_json(node) : json_null();
    bool map = node->kind == SB_YAML_MAP;
    sb_cleanup(json_decrefp) json_t *json = map ? json_object() : json_array();
    for (size_t i = 0; json && i < node->count; i++) {
        json_t *item = sb_yaml_json(node->items[i]);
        if ((map ? json_object_set_new(json, node->keys[i]->text, item)
                 : json_array_append_new(json, item)) < 0)
            return NULL;
    }
    return SB_STEAL(json);
}

struct origin { /* what every node of a tree from JSON gets */
    const char *file;
    int line;
    size_t nodes;
};

static int from_json(struct origin *origin, const json_t *value, size_t depth,
                     struct sb_yaml **ret);

static int from_text(struct origin *origin, const char *text, bool quoted, struct sb_yaml **ret)
{
    if (++origin->nodes > SB_YAML_NODES)
        return -E2BIG;
    sb_cleanup(sb_node_freep) struct sb_yaml *node =
        sb_node_new(SB_YAML_SCALAR, origin->file, origin->line, 0);
    if (!node || !(node->text = strdup(text)))
        return -ENOMEM;
    node->quoted = quoted;
    *ret = SB_STEAL(node);
    return 0;
}

static int from_scalar(struct origin *origin, const json_t *value, struct sb_yaml **ret)
{
    if (json_is_string(value)) /* an embedded NUL cannot come out of sb_json_parse() */
        return from_text(origin, json_string_value(value), true, ret);
    sb_cleanup(sb_freep) char *text = json_dumps(value, JSON_ENCODE_ANY);
    return text ? from_text(origin, text, false, ret) : -ENOMEM;
}

static int push_json(struct origin *origin, struct sb_yaml *node, const char *name,
                     const json_t *value, size_t depth)
{
    sb_cleanup(sb_node_freep) struct sb_yaml *key = NULL, *item = NULL;
    int error = name ? from_text(origin, name, true, &key) : 0;
    if (error == 0)
        error = from_json(origin, value, depth + 1, &item);
    if (error == 0)
        error = sb_node_push(node, key, item);
    if (error == 0)
        key = item = NULL;
    return error;
}

static int from_json(struct origin *origin, const json_t *value, size_t depth, struct sb_yaml **ret)
{
    if (!json_is_object(value) && !json_is_array(value))
        return from_scalar(origin, value, ret);
    if (depth > SB_YAML_DEPTH || ++origin->nodes > SB_YAML_NODES)
        return -E2BIG;
    sb_cleanup(sb_node_freep) struct sb_yaml *node = sb_node_new(
        json_is_object(value) ? SB_YAML_MAP : SB_YAML_LIST, origin->file, origin->line, 0);
    int error = node ? 0 : -ENOMEM;
    const char *name = NULL;
    json_t *item = NULL;
    size_t i = 0;
    if (json_is_object(value))
        json_object_foreach ((json_t *)value, name, item) {
            if (error == 0)
                error = push_json(origin, node, name, item, depth);
        }
    else
        json_array_foreach (value, i, item) {
            if (error == 0)
                error = push_json(origin, node, NULL, item, depth);
        }
    if (error == 0)
        *ret = SB_STEAL(node);
    return error;
}

int sb_yaml_from_json(const char *file, int line, const json_t *value, struct sb_yaml **ret)
{
    sb_cleanup(sb_freep) char *name = file ? strdup(file) : NULL;
    if (file && !name)
        return -ENOMEM;
    struct origin origin = { .file = name, .line = line };
    int error = value ? from_json(&origin, value, 1, ret) : from_text(&origin, "", false, ret);
    if (error == 0)
        name = NULL;
    return error;
}
