/* SPDX-License-Identifier: Apache-2.0 */
/* What people order of jobs that are there. */
#include "bridge/control/verb.h"

static int each_task(struct sb_call *call, const char *what,
                     int (*order)(struct sb_call *call, struct sb_task *task))
{
    const struct sb_job *job = sb_book_job(call->core->book, sb_call_id(call));
    const char *device = sb_json_str(call->args, "device");
    int done = 0, first = 0;
    if (!job)
        return sb_verb_job_show(call) < 0
                   ? -1
                   : sb_call_refuse(call, SB_REFUSAL_TOO_LATE, "job %lld has ended already",
                                    (long long)sb_call_id(call));
    for (size_t i = 0; i < job->task_count; i++) {
        struct sb_task *task = job->tasks[i];
        if ((device && strcmp(task->device, device) != 0) || sb_task_state_is_final(task->state))
            continue;
        int r = order(call, task);
        done += r >= 0;
        first = r < 0 && !first ? r : first;
    }
    if (!done && !first)
        return sb_call_refuse(call, SB_REFUSAL_NOT_FOUND,
                              "%s: job %lld has nothing open on device '%s'", what,
                              (long long)job->id, device ? device : "");
    if (!done)
        return sb_call_failed(call, first, what);
    call->data = json_pack("{s:i}", "tasks", done);
    return 0;
}

static int cancel(struct sb_call *call, struct sb_task *task)
{
    return sb_runner_cancel(call->core->runner, task, SB_CAUSE_OPERATOR, call->actor);
}

/* With a rule that is on the whole job ends, also one that has nothing open. */
static int switch_rule(struct sb_call *call, const char *what, bool on)
{
    sb_cleanup(sb_freep) char *text = NULL;
    const struct sb_edit edit = { .rule = on };
    int r = sb_intake_edit(&call->core->intake, sb_call_id(call), &edit, call->actor, &text);
    if (text)
        return sb_call_refuse(call, SB_REFUSAL_REFUSED, "%s: job %lld cannot be changed so: %s",
                              what, (long long)sb_call_id(call), text);
    return r < 0 ? sb_call_failed(call, r, what) : 0;
}

int sb_verb_job_cancel(struct sb_call *call)
{
    const struct sb_job *job = sb_book_job(call->core->book, sb_call_id(call));
    bool whole = job && job->rule && !sb_json_str(call->args, "device");
    if (!whole)
        return each_task(call, "job cancel", cancel);
    if (switch_rule(call, "job cancel", false) < 0)
        return -1;
    if (each_task(call, "job cancel", cancel) == 0 || call->refusal != SB_REFUSAL_NOT_FOUND)
        return call->refusal == SB_REFUSAL_NONE ? 0 : -1;
    call->refusal = SB_REFUSAL_NONE; /* nothing was open: the rule alone has ended */
    call->data = json_pack("{s:i}", "tasks", 0);
    return 0;
}

static int confirm(struct sb_call *call, struct sb_task *task)
{
    return sb_runner_confirm(call->core->runner, task, call->actor);
}

static int fetch(struct sb_call *call, struct sb_task *task)
{
    return sb_runner_fetch(call->core->runner, task, call->actor);
}

int sb_verb_job_fetch(struct sb_call *call)
{
    return each_task(call, "job fetch", fetch);
}

int sb_verb_job_confirm(struct sb_call *call)
{
    return each_task(call, "job confirm", confirm);
}

static const char *why(struct sb_call *call)
{
    struct sb_space_view view;
    return sb_space_look(call->core->space, &view) ? "no space is left" : view.why;
}

int sb_verb_job_retry(struct sb_call *call)
{
    int r = sb_intake_retry(&call->core->intake, sb_call_id(call), call->actor);
    if (r == -ENODATA)
        return sb_call_refuse(call, SB_REFUSAL_REFUSED, "nothing of job %lld failed",
                              (long long)sb_call_id(call));
    if (r == -EBUSY)
        return sb_call_refuse(call, SB_REFUSAL_REFUSED, "job %lld is still open",
                              (long long)sb_call_id(call));
    if (r == -ENOSPC)
        return sb_call_refuse(call, SB_REFUSAL_REFUSED, "no new round: %s", why(call));
    if (r == -ENOBUFS)
        return sb_call_refuse(call, SB_REFUSAL_REFUSED, "no new round: too many jobs are open");
    if (r < 0)
        return sb_call_failed(call, r, "job retry");
    call->data = json_pack("{s:I}", "id", (json_int_t)sb_call_id(call));
    return 0;
}

/* Is it open? Else a refusal: it has ended, or there is none. */
static int check_open(struct sb_call *call)
{
    if (sb_book_job(call->core->book, sb_call_id(call)))
        return 0;
    return sb_verb_job_show(call) < 0
               ? -1
               : sb_call_refuse(call, SB_REFUSAL_TOO_LATE, "job %lld has ended already",
                                (long long)sb_call_id(call));
}

int sb_verb_job_edit(struct sb_call *call)
{
    sb_cleanup(sb_freep) char *text = NULL;
    sb_cleanup(json_decrefp) json_t *policy = NULL;
    if (check_open(call) < 0 || sb_call_policy(call, &policy) < 0)
        return -1;
    const struct sb_edit edit = { .policy = policy,
                                  .tags = sb_json_object(call->args, "tags"),
                                  .rule = -1 };
    if (!json_object_size(edit.policy) && !json_object_size(edit.tags))
        return sb_call_refuse(call, SB_REFUSAL_USAGE, "job edit: nothing is to be changed");
    int r = sb_intake_edit(&call->core->intake, sb_call_id(call), &edit, call->actor, &text);
    if (r == -EINVAL)
        return sb_call_refuse(call, SB_REFUSAL_USAGE, "job edit: %s", text ? text : "");
    if (r < 0)
        return sb_call_failed(call, r, "job edit");
    call->data = sb_view_job(call->core, sb_call_id(call), false);
    return 0;
}

int sb_verb_job_rule(struct sb_call *call)
{
    const char *to = sb_json_str(call->args, "to");
    bool on = sb_streq(to, "on");
    if (!on && !sb_streq(to, "off"))
        return sb_call_refuse(call, SB_REFUSAL_USAGE, "job rule: it is switched on or off");
    if (check_open(call) < 0 || switch_rule(call, "job rule", on) < 0)
        return -1;
    call->data = sb_view_job(call->core, sb_call_id(call), false);
    return 0;
}

static int set_pause(struct sb_call *call, bool paused)
{
    int r = sb_runner_pause(call->core->runner, paused);
    if (r >= 0)
        r = sb_audit_add(call->core->audit, call->actor, paused ? "pause" : "resume", "all jobs",
                         sb_loop_wall(call->core->parts.loop), NULL);
    if (r < 0)
        return sb_call_failed(call, r, paused ? "job pause" : "job resume");
    call->data = json_pack("{s:b}", "paused", (int)paused);
    return 0;
}

int sb_verb_pause(struct sb_call *call)
{
    return set_pause(call, true);
}

int sb_verb_resume(struct sb_call *call)
{
    return set_pause(call, false);
}
