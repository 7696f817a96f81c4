/* SPDX-License-Identifier: Apache-2.0 */
/* What an operation can be told. What it cannot is refused: nobody would do it. */
#include "bridge/base/str.h"
#include "bridge/intake/parts.h"

#define PARAMS_MAX 65536

static const struct param { /* of job.h's operations */
    const char *key;
    uint32_t ops; /* that have it */
    json_type shape;
    const char *wants;
} list[] = {
    { "names", 1u << SB_OP_READ, JSON_ARRAY, "a list of names" },
    { "values", 1u << SB_OP_WRITE | 1u << SB_OP_CONFIGURE, JSON_OBJECT, "a map of name: value" },
    { "action", 1u << SB_OP_INVOKE, JSON_STRING, "a name" },
    { "arguments", 1u << SB_OP_INVOKE, JSON_OBJECT, "a map of name: value" },
};

static const struct param *param_of(enum sb_op op, const char *key)
{
    for (size_t i = 0; i < SB_COUNT(list); i++)
        if ((list[i].ops & 1u << op) && sb_streq(list[i].key, key))
            return &list[i];
    return NULL;
}

static bool unknown(struct sb_asking *asking, const char *key)
{
    enum sb_op op = asking->request->op;
    const char *known[SB_COUNT(list)];
    size_t count = 0;
    struct sb_str allowed = { 0 };
    for (size_t i = 0; i < SB_COUNT(list); i++)
        if (list[i].ops & 1u << op) {
            sb_str_format(&allowed, "%s%s", count ? ", " : "", list[i].key);
            known[count++] = list[i].key;
        }
    const char *near = sb_nearest(key, known, count);
    (void)sb_refuse(asking, SB_CAUSE_INVALID_REQUEST,
                    "%s has no parameter '%.64s' (allowed: %s%s%s%s)", sb_op_name((int)op), key,
                    count ? sb_str_get(&allowed) : "none", near ? "; did you mean '" : "",
                    near ? near : "", near ? "'?" : "");
    sb_str_done(&allowed);
    return false;
}

static bool known(struct sb_asking *asking, const json_t *params)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)params, key, value) {
        const struct param *param = param_of(asking->request->op, key);
        if (!param)
            return unknown(asking, key);
        if (!json_is_null(value) && json_typeof(value) != param->shape)
            return sb_refuse(asking, SB_CAUSE_INVALID_REQUEST, "%s must be %s", key, param->wants);
    }
    return true;
}

bool sb_asking_params(struct sb_asking *asking)
{
    const json_t *params = asking->request->params;
    if (params && !json_is_object(params))
        return sb_refuse(asking, SB_CAUSE_INVALID_REQUEST, "the parameters are not an object");
    sb_cleanup(sb_freep) char *text = params ? sb_json_text(params) : NULL;
    if (text && strlen(text) > PARAMS_MAX)
        return sb_refuse(asking, SB_CAUSE_INVALID_REQUEST, "the parameters are over %d bytes",
                         PARAMS_MAX);
    return known(asking, params);
}
