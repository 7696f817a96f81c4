/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/control/verb.h"

#include "bridge/base/log.h"
#include "bridge/base/str.h"

SB_NAMES(sb_refusal, SB_REFUSAL_MAX_, [SB_REFUSAL_NONE] = "none", [SB_REFUSAL_USAGE] = "usage",
         [SB_REFUSAL_NOT_FOUND] = "not_found", [SB_REFUSAL_REFUSED] = "refused",
         [SB_REFUSAL_TOO_LATE] = "too_late", [SB_REFUSAL_UNAVAILABLE] = "unavailable");

const struct sb_verb sb_verbs[] = {
    { "status", sb_verb_status, "", false },
    { "doctor", sb_verb_doctor, "", false },
    { "link list", sb_verb_link_list, "", false },
    { "reload", sb_verb_reload, "", true },
    { "audit", sb_verb_audit, "after# limit# subject actor newest?", false },
    { "mapping explain", sb_verb_explain, "device!", false },
    { "device list", sb_verb_device_list, "after# limit# type bus presence group", false },
    { "device show", sb_verb_device_show, "id!", false },
    { "device add", sb_verb_device_add,
      "id! type! bus* address* names* parent* commanders* groups*", true },
    { "device group", sb_verb_device_group, "id! add[ remove[", true },
    { "device remove", sb_verb_device_remove, "id!", true },
    { "device identify", sb_verb_device_identify, "id!", true },
    { "package list", sb_verb_package_list, "", false },
    { "package add", sb_verb_package_add, "file uri name version module sha256 md5 fits{", true },
    { "package show", sb_verb_package_show, "id!", false },
    { "package remove", sb_verb_package_remove, "id!", true },
    { "job create", sb_verb_job_create,
      "operation! devices[ groups[ types[ running sample# rule? tags{ package uri version name "
      "module sha256 md5 params{ policy{ id",
      true },
    { "job list", sb_verb_job_list, "all? device limit# before#", false },
    { "job show", sb_verb_job_show, "id!#", false },
    { "job watch", sb_verb_job_watch, "id!#", false },
    { "job cancel", sb_verb_job_cancel, "id!# device", true },
    { "job confirm", sb_verb_job_confirm, "id!# device", true },
    { "job fetch", sb_verb_job_fetch, "id!# device", true },
    { "job edit", sb_verb_job_edit, "id!# policy{ tags{", true },
    { "job rule", sb_verb_job_rule, "id!# to!", true },
    { "job retry", sb_verb_job_retry, "id!#", true },
    { "job pause", sb_verb_pause, "", true },
    { "job resume", sb_verb_resume, "", true },
    { 0 },
};

int sb_call_refuse(struct sb_call *call, enum sb_refusal refusal, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    sb_set_vformat(&call->text, fmt, ap);
    va_end(ap);
    call->refusal = refusal;
    return -1;
}

int sb_call_failed(struct sb_call *call, int error, const char *what)
{
    static const struct {
        int error;
        enum sb_refusal refusal;
        const char *text;
    } known[] = {
        { -ENOENT, SB_REFUSAL_NOT_FOUND, "there is no such thing" },
        { -EALREADY, SB_REFUSAL_TOO_LATE, "it has ended already" },
        { -EBUSY, SB_REFUSAL_TOO_LATE, "it cannot be stopped any more" },
        { -EAGAIN, SB_REFUSAL_UNAVAILABLE, "the store does not take changes now; see `status`" },
        { -ENOMEM, SB_REFUSAL_UNAVAILABLE, "out of memory" },
        { -EPROTO, SB_REFUSAL_REFUSED, "its state does not allow that" },
    };
    for (size_t i = 0; i < SB_COUNT(known); i++)
        if (known[i].error == error)
            return sb_call_refuse(call, known[i].refusal, "%s: %s", what, known[i].text);
    return sb_call_refuse(call, SB_REFUSAL_REFUSED, "%s: %s", what, strerror(-error));
}

/* ---- the answer ---- */

/* Line by line: findings have one each. */
static void redact_lines(const char *text, struct sb_str *ret)
{
    while (*text) {
        size_t n = strcspn(text, "\n");
        sb_cleanup(sb_freep) char *line = strndup(text, n);
        sb_cleanup(sb_freep) char *shown = line ? sb_redact(line) : NULL;
        if (ret->length)
            sb_str_add_char(ret, '\n');
        sb_str_add(ret, shown ? shown : "");
        text += n + (text[n] == '\n');
    }
}

json_t *sb_refusal_line(enum sb_refusal refusal, const char *text)
{
    struct sb_str shown = { 0 };
    redact_lines(text ? text : "", &shown);
    json_t *line = json_pack("{s:b,s:s,s:s}", "ok", 0, "error", sb_refusal_name((int)refusal),
                             "text", sb_str_get(&shown));
    sb_str_done(&shown);
    return line;
}

json_t *sb_call_line(const struct sb_call *call)
{
    if (call->refusal != SB_REFUSAL_NONE)
        return sb_refusal_line(call->refusal, call->text);
    return json_pack("{s:b,s:O}", "ok", 1, "data", call->data ? call->data : json_null());
}

/* ---- the arguments ---- */

/* One word of a verb's list: `name`, then `!` when required, then its type. */
struct arg {
    const char *name;
    size_t length;
    bool required;
    char type; /* one of the marks below, 0: text */
};

static const struct {
    char mark;
    const char *text;
} types[] = { { 0, "a text" },   { '#', "a whole number" }, { '?', "true or false" },
              { '[', "a list" }, { '{', "an object" },      { '*', "anything" } };

/* False at the end of the list. */
static bool next_arg(const char **list, struct arg *ret)
{
    *list += strspn(*list, " ");
    struct arg arg = { .name = *list, .length = strcspn(*list, " !#?[{*") };
    *list += arg.length;
    arg.required = **list == '!';
    *list += arg.required;
    if (**list && **list != ' ')
        arg.type = *(*list)++;
    *ret = arg;
    return arg.length > 0;
}

static bool has_type(const json_t *value, char type)
{
    switch (type) {
    case '#':
        return json_is_integer(value);
    case '?':
        return json_is_boolean(value);
    case '[':
        return json_is_array(value);
    case '{':
        return json_is_object(value);
    case '*':
        return true;
    default:
        return json_is_string(value);
    }
}

static int check_given(struct sb_call *call, const struct sb_verb *verb, const char *key,
                       const json_t *value)
{
    struct sb_str known = { 0 };
    struct arg arg;
    for (const char *list = verb->args; next_arg(&list, &arg);) {
        sb_str_format(&known, "%s%.*s", known.length ? ", " : "", (int)arg.length, arg.name);
        if (strlen(key) != arg.length || strncmp(key, arg.name, arg.length) != 0)
            continue;
        sb_str_done(&known);
        size_t t = 0;
        while (types[t].mark != arg.type)
            t++;
        return has_type(value, arg.type)
                   ? 0
                   : sb_call_refuse(call, SB_REFUSAL_USAGE, "%s: argument '%s' is not %s",
                                    verb->name, key, types[t].text);
    }
    sb_call_refuse(call, SB_REFUSAL_USAGE, "%s: unknown argument '%s' (%s%s)", verb->name, key,
                   known.length ? "there is: " : "it takes none", sb_str_get(&known));
    sb_str_done(&known);
    return -1;
}

static int check_args(struct sb_call *call, const struct sb_verb *verb)
{
    const char *key;
    json_t *value;
    struct arg arg;
    json_object_foreach ((json_t *)call->args, key, value) {
        if (check_given(call, verb, key, value) < 0)
            return -1;
    }
    for (const char *list = verb->args; next_arg(&list, &arg);)
        if (arg.required && !json_object_getn(call->args, arg.name, arg.length))
            return sb_call_refuse(call, SB_REFUSAL_USAGE, "%s: argument '%.*s' is missing",
                                  verb->name, (int)arg.length, arg.name);
    return 0;
}

const struct sb_verb *sb_verb_find(struct sb_call *call, const char *name)
{
    for (const struct sb_verb *verb = sb_verbs; verb->name; verb++)
        if (name && strcmp(verb->name, name) == 0)
            return check_args(call, verb) < 0 ? NULL : verb;
    sb_call_refuse(call, SB_REFUSAL_USAGE, "unknown verb '%s'", name ? name : "");
    return NULL;
}
