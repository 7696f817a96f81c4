/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/control/verb.h"

#include "bridge/base/str.h"

SB_NAMES(sb_refusal, SB_REFUSAL_MAX_, [SB_REFUSAL_NONE] = "none", [SB_REFUSAL_USAGE] = "usage",
         [SB_REFUSAL_NOT_FOUND] = "not_found", [SB_REFUSAL_REFUSED] = "refused",
         [SB_REFUSAL_TOO_LATE] = "too_late", [SB_REFUSAL_UNAVAILABLE] = "unavailable");

const struct sb_verb sb_verbs[] = {
    { "status", sb_verb_status, "", false },
    { "link list", sb_verb_link_list, "", false },
    { "reload", sb_verb_reload, "", true },
    { "audit", sb_verb_audit, "after limit subject actor newest", false },
    { "mapping explain", sb_verb_explain, "device!", false },
    { "device list", sb_verb_device_list, "after limit type bus presence", false },
    { "device show", sb_verb_device_show, "id!", false },
    { "device add", sb_verb_device_add, "id! type! bus address names parent commanders", true },
    { "device remove", sb_verb_device_remove, "id!", true },
    { "device identify", sb_verb_device_identify, "id!", false },
    { "package list", sb_verb_package_list, "", false },
    { "package add", sb_verb_package_add, "file uri name version module sha256 md5 fits", true },
    { "package show", sb_verb_package_show, "id!", false },
    { "package remove", sb_verb_package_remove, "id!", true },
    { "job create", sb_verb_job_create,
      "operation! devices! package uri version name module sha256 md5 params policy id", true },
    { "job list", sb_verb_job_list, "all device limit before", false },
    { "job show", sb_verb_job_show, "id!", false },
    { "job watch", sb_verb_job_watch, "id!", false },
    { "job cancel", sb_verb_job_cancel, "id! device", true },
    { "job confirm", sb_verb_job_confirm, "id! device", true },
    { "job retry", sb_verb_job_retry, "id!", true },
    { "job pause", sb_verb_pause, "", true },
    { "job resume", sb_verb_resume, "", true },
    { 0 },
};

int sb_call_refuse(struct sb_call *call, enum sb_refusal refusal, const char *fmt, ...)
{
    struct sb_str text = { 0 };
    va_list ap;
    va_start(ap, fmt);
    sb_str_vformat(&text, fmt, ap);
    va_end(ap);
    free(call->text);
    call->text = sb_str_take(&text);
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

/* Is `key` in the verb's list? */
static bool allowed(const char *list, const char *key)
{
    size_t n = strlen(key);
    for (const char *at = list; (at = strstr(at, key)); at += n) {
        bool begins = at == list || at[-1] == ' ';
        bool ends = at[n] == '\0' || at[n] == ' ' || at[n] == '!';
        if (begins && ends)
            return n > 0;
    }
    return false;
}

static bool check_args(struct sb_call *call, const struct sb_verb *verb)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)call->args, key, value) {
        if (!allowed(verb->args, key)) {
            sb_call_refuse(call, SB_REFUSAL_USAGE, "%s: unknown argument '%s' (there is: %s)",
                           verb->name, key, verb->args);
            return false;
        }
    }
    sb_cleanup(sb_freep) char *list = strdup(verb->args);
    char *rest = list;
    for (char *word; (word = strsep(&rest, " "));) {
        size_t n = strlen(word);
        if (!n || word[n - 1] != '!')
            continue;
        word[n - 1] = '\0';
        if (!json_object_get(call->args, word)) {
            sb_call_refuse(call, SB_REFUSAL_USAGE, "%s: argument '%s' is missing", verb->name,
                           word);
            return false;
        }
    }
    return true;
}

const struct sb_verb *sb_verb_find(struct sb_call *call, const char *name)
{
    for (const struct sb_verb *verb = sb_verbs; verb->name; verb++)
        if (name && strcmp(verb->name, name) == 0)
            return check_args(call, verb) ? verb : NULL;
    sb_call_refuse(call, SB_REFUSAL_USAGE, "unknown verb '%s'", name ? name : "");
    return NULL;
}
