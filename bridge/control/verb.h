/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one table of verbs, behind command line and (later) native REST: name, arguments, function.
 *
 * A verb fills call->data, or refuses by sb_call_refuse(). It runs within one turn; what it
 * changes is in that turn's batch.
 */
#pragma once

#include "bridge/core.h"

enum sb_refusal {
    SB_REFUSAL_NONE,
    SB_REFUSAL_USAGE, /* the request itself is wrong */
    SB_REFUSAL_NOT_FOUND,
    SB_REFUSAL_REFUSED,     /* the core says no: text has cause and reason */
    SB_REFUSAL_TOO_LATE,    /* final, or past the commit point */
    SB_REFUSAL_UNAVAILABLE, /* store or memory: try again later */
    SB_REFUSAL_MAX_,
};
SB_NAMES_DECLARE(sb_refusal)

struct sb_call {
    struct sb_core *core;
    const json_t *args; /* an object, checked against the verb's list */
    const char *actor;  /* "uid 1000 (anna)" */
    json_t *data;       /* what is answered; owned by the call */
    enum sb_refusal refusal;
    char *text;
    int64_t watch; /* set by a watching verb: job whose news are wanted until it is done */
    bool visit;    /* set by doctor: answered when an examination has ended; data goes to it */
    bool quiet;    /* of a watch: only its end is wanted, which is the answer */
};

/* Always -1, for `return sb_call_refuse(...)`. */
int sb_call_refuse(struct sb_call *call, enum sb_refusal refusal, const char *fmt, ...)
    SB_PRINTF(3, 4);
/* The device that the argument names; NULL: none, and a refusal that names the nearest one. */
struct sb_device *sb_call_device(struct sb_call *call, const char *key);
/* For -errno of the core: chooses refusal and words. */
int sb_call_failed(struct sb_call *call, int error, const char *what);
/* What is answered, as a line: {"ok": true, "data"} or its refusal. New reference; NULL: no memory.
 */
json_t *sb_call_line(const struct sb_call *call);
/* {"ok": false, "error", "text"}, without what the log would not show either. */
json_t *sb_refusal_line(enum sb_refusal refusal, const char *text);

struct sb_verb {
    const char *name;
    int (*run)(struct sb_call *call); /* 0, or -1 with a refusal */
    /* Allowed keys, space-separated; "!" marks required ones. Then its type: none for text, "#"
     * whole number, "?" boolean, "[" list, "{" object, "*" what the verb itself looks at. */
    const char *args;
    bool changes; /* answered when durable */
};
extern const struct sb_verb sb_verbs[]; /* ends with a NULL name */
/* Finds the verb and checks the arguments. NULL: refused. */
const struct sb_verb *sb_verb_find(struct sb_call *call, const char *name);

/* verbs_*.c */
int sb_verb_status(struct sb_call *call);
int sb_verb_doctor(struct sb_call *call);
int sb_verb_link_list(struct sb_call *call);
int sb_verb_reload(struct sb_call *call);
int sb_verb_audit(struct sb_call *call);
int sb_verb_explain(struct sb_call *call);
int sb_verb_device_list(struct sb_call *call);
int sb_verb_device_show(struct sb_call *call);
int sb_verb_device_add(struct sb_call *call);
int sb_verb_device_group(struct sb_call *call);
int sb_verb_device_remove(struct sb_call *call);
int sb_verb_device_identify(struct sb_call *call);
int sb_verb_package_list(struct sb_call *call);
int sb_verb_package_add(struct sb_call *call);
int sb_verb_package_show(struct sb_call *call);
int sb_verb_package_remove(struct sb_call *call);
int sb_verb_job_create(struct sb_call *call);
int sb_verb_job_list(struct sb_call *call);
int sb_verb_job_show(struct sb_call *call);
int sb_verb_job_watch(struct sb_call *call);
int sb_verb_job_cancel(struct sb_call *call);
int sb_verb_job_confirm(struct sb_call *call);
int sb_verb_job_fetch(struct sb_call *call);
int sb_verb_job_edit(struct sb_call *call);
int sb_verb_job_rule(struct sb_call *call);
int sb_verb_job_retry(struct sb_call *call);
int sb_verb_pause(struct sb_call *call);
int sb_verb_resume(struct sb_call *call);

static inline SB_UNUSED int64_t sb_call_id(const struct sb_call *call)
{
    return sb_json_int(call->args, "id", 0);
}
/* The policy in the arguments, with durations and times as numbers; NULL: none is given. */
int sb_call_policy(struct sb_call *call, json_t **ret) SB_MUST_CHECK;
/* A job with its tasks and counts, open or ended; NULL: there is none. New reference. */
json_t *sb_view_job(struct sb_core *core, int64_t id, bool with_tasks);
json_t *sb_view_device(const struct sb_device *device);
