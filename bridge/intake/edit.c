/* SPDX-License-Identifier: Apache-2.0 */
/* What may change of an open job. */
#include "bridge/intake/parts.h"

#include "bridge/base/str.h"

static int complain(char **ret_text, const char *text)
{
    *ret_text = strdup(text);
    return -EINVAL;
}

/* The tags as they will be; NULL in *ret: none. */
static int merge_tags(const struct sb_job *job, const json_t *changes, json_t **ret,
                      char **ret_text)
{
    const char *name;
    json_t *value;
    sb_cleanup(json_decrefp) json_t *tags = job->tags ? json_copy(job->tags) : json_object();
    if (!tags)
        return -ENOMEM;
    json_object_foreach ((json_t *)changes, name, value) {
        if (json_is_null(value))
            (void)json_object_del(tags, name);
        else if (json_object_set(tags, name, value) < 0)
            return -ENOMEM;
    }
    const char *wrong = sb_tags_wrong(tags);
    if (wrong)
        return complain(ret_text, wrong);
    *ret = json_object_size(tags) ? SB_STEAL(tags) : NULL;
    return 0;
}

static json_t *detail_of(const struct sb_edit *edit)
{
    json_t *detail =
        json_pack("{s:O*,s:O*}", "policy", (json_t *)edit->policy, "tags", (json_t *)edit->tags);
    if (detail && edit->rule >= 0)
        (void)json_object_set_new(detail, "rule", json_boolean(edit->rule));
    return detail;
}

/* A rule is on until somebody switches it off: no job becomes one afterwards. */
static int check_rule(const struct sb_job *job, const struct sb_edit *edit, char **ret_text)
{
    if (edit->rule < 0)
        return 0;
    if (!job->standing)
        return complain(ret_text, "it is a job for some devices, not a rule");
    if (edit->rule && job->state == SB_JOB_CANCELLING)
        return complain(ret_text, "it is being cancelled");
    return 0;
}

int sb_intake_edit(struct sb_intake *intake, int64_t id, const struct sb_edit *edit,
                   const char *actor, char **ret_text)
{
    struct sb_job *job = sb_book_job(intake->book, id);
    json_t *tags = NULL;
    if (!job || job->state == SB_JOB_DONE) /* it is ended in this very turn */
        return -ENOENT;
    if (sb_store_failing(intake->store))
        return -EAGAIN;
    int r = check_rule(job, edit, ret_text);
    if (r >= 0 && edit->tags)
        r = merge_tags(job, edit->tags, &tags, ret_text);
    if (r >= 0 && edit->policy && sb_policy_edit(&job->policy, edit->policy, ret_text) < 0)
        r = -EINVAL;
    if (r < 0) {
        json_decref(tags);
        return r;
    }
    if (edit->tags) {
        json_decref(job->tags);
        job->tags = tags;
    }
    if (edit->rule >= 0)
        job->rule = edit->rule;
    intake->rules_changed |= job->rule;
    sb_cleanup(json_decrefp) json_t *detail = detail_of(edit);
    r = detail ? sb_book_changed(intake->book, job, "edit", detail, actor) : -ENOMEM;
    sb_runner_wake(intake->runner); /* other limits, other deadlines */
    intake->tell(intake->arg, &(struct sb_news){ .kind = SB_NEWS_JOB, .job = job });
    return r;
}
