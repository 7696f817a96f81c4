/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/intake/rules.h"

#include "bridge/base/log.h"
#include "bridge/base/map.h"
#include "bridge/base/time.h"
#include "bridge/intake/parts.h"

#define JOINS_MAX 200       /* in one turn: each costs records */
#define NO_ROOM   (-EDQUOT) /* for anybody of a rule */

struct rule {
    struct rule *next;
    int64_t job;
    struct sb_map acted; /* device id -> its latest task */
    size_t seen;         /* tasks of the job that are in it */
};

struct sb_rules {
    struct sb_intake *intake;
    struct rule *list;
    struct sb_map due;      /* ids of devices to be looked at */
    bool all;               /* every device is */
    bool full;              /* some wait until there is room for their tasks */
    bool failed;            /* in this turn: something is left for a later one */
    struct sb_timer *timer; /* a turn for what is left, and for the ends of rules */
    unsigned joins;         /* left for this turn */
};

/* ---- what a rule has done ---- */

static struct rule *rule_of(struct sb_rules *rules, const struct sb_job *job)
{
    for (struct rule *rule = rules->list; rule; rule = rule->next)
        if (rule->job == job->id)
            return rule;
    struct rule *rule = calloc(1, sizeof(*rule));
    if (!rule)
        return NULL;
    *rule = (struct rule){ .next = rules->list, .job = job->id };
    rules->list = rule;
    return rule;
}

/* It is off: from now on its job may end, and be taken up again with tasks made anew. */
static void drop(struct sb_rules *rules, int64_t job)
{
    for (struct rule **at = &rules->list; *at; at = &(*at)->next) {
        struct rule *rule = *at;
        if (rule->job != job)
            continue;
        *at = rule->next;
        sb_map_done(&rule->acted);
        free(rule);
        return;
    }
}

/* False: no memory. Tasks are only ever added to a job. */
static bool learn(struct rule *rule, const struct sb_job *job)
{
    for (; rule->seen < job->task_count; rule->seen++)
        if (sb_map_set(&rule->acted, job->tasks[rule->seen]->device, job->tasks[rule->seen]) < 0)
            return false;
    return true;
}

static bool has_acted(const struct rule *rule, const struct sb_device *device)
{
    const struct sb_task *task = sb_map_get(&rule->acted, device->id);
    return task && (!task->uuid || sb_streq(task->uuid, device->uuid));
}

/* ---- joining ---- */

static bool is_bound(const struct sb_job *job)
{
    return strcmp(job->origin, "native") != 0;
}

/* 1: it has joined; 0: it is not meant, or cannot; -EBUSY: not yet; NO_ROOM. */
static int join(struct sb_rules *rules, struct sb_asking *asking, struct sb_job *job,
                const struct sb_device *device)
{
    struct sb_intake *intake = rules->intake;
    struct sb_task *task;
    if (!sb_asking_able(asking, device) || !sb_asking_fits(asking, device))
        return 0;
    if (!sb_intake_has_room(intake, 0, 1) || !sb_space_look(intake->space, NULL) ||
        intake->is_full(intake->arg, job->origin, 1))
        return NO_ROOM;
    if (!sb_asking_free(asking, device) || !sb_asking_replace(asking, device))
        return -EBUSY; /* looked at again when that ends */
    int r = sb_asking_task(asking, job, device, &task);
    if (r >= 0)
        r = sb_book_add_task(intake->book, job, task, "rule");
    if (r < 0)
        return r;
    sb_runner_wake(intake->runner);
    return 1;
}

static bool is_meant(const struct sb_job *job, const struct sb_package *package,
                     const struct sb_device *device)
{
    return sb_targets_match(&job->targets, device,
                            package && package->module ? package->module : "") &&
           (!is_bound(job) || sb_device_may_command(device, job->origin)) &&
           sb_targets_sampled(&job->targets, device, job->op, job->package);
}

static int consider(struct sb_rules *rules, struct sb_job *job, const struct sb_device *device)
{
    struct sb_package *package = sb_packages_get(rules->intake->packages, job->package);
    struct sb_verdict verdict = { 0 };
    const struct sb_request request = {
        .op = job->op, .params = job->params, .package_id = job->package, .policy = job->policy
    };
    struct sb_asking asking = { .intake = rules->intake,
                                .origin = job->origin,
                                .bound = is_bound(job),
                                .request = &request,
                                .package = package,
                                .verdict = &verdict };
    if ((job->package && !package) || !is_meant(job, package, device))
        return 0;
    int r = join(rules, &asking, job, device);
    if (r == 0)
        sb_debug(SB_AT(.job = job->id, .device = device->id), "the rule passes it by: %s",
                 verdict.text ? verdict.text : "");
    sb_verdict_done(&verdict);
    return r;
}

/* False: enough of this rule for now. */
static bool look(struct sb_rules *rules, struct sb_job *job, struct rule *rule,
                 const struct sb_device *device)
{
    if (has_acted(rule, device))
        return true;
    int r = consider(rules, job, device);
    rules->full |= r == NO_ROOM;
    if (r < 0 && r != -EBUSY && r != NO_ROOM) {
        sb_error(SB_AT(.job = job->id, .device = device->id), "a device cannot join the rule: %s",
                 strerror(-r));
        rules->failed = true;
    }
    if (r == 1 && learn(rule, job))
        rules->joins--;
    return r != NO_ROOM && !rules->failed && rules->joins > 0;
}

static void apply_to_all(struct sb_rules *rules, struct sb_job *job, struct rule *rule)
{
    const struct sb_device *device;
    for (size_t i = 0; (device = sb_registry_at(rules->intake->registry, i)); i++)
        if (!look(rules, job, rule, device))
            return;
}

static void apply_to_due(struct sb_rules *rules, struct sb_job *job, struct rule *rule,
                         const struct sb_map *due)
{
    size_t cursor = 0;
    const char *id;
    while (sb_map_next(due, &cursor, &id)) {
        const struct sb_device *device = sb_registry_get(rules->intake->registry, id);
        if (device && !look(rules, job, rule, device))
            return;
    }
}

/* ---- the end of a rule ---- */

static void switch_off(struct sb_rules *rules, struct sb_job *job)
{
    sb_cleanup(sb_freep) char *text = NULL;
    const struct sb_edit edit = { .rule = 0 };
    int r = sb_intake_edit(rules->intake, job->id, &edit, "rule", &text);
    if (r < 0)
        sb_error(SB_AT(.job = job->id), "a rule cannot be ended: %s", strerror(-r));
}

/* ---- turns ---- */

void sb_rules_hear(struct sb_rules *rules, const struct sb_news *news)
{
    bool ended = news->kind == SB_NEWS_TASK && sb_task_state_is_final(news->task->state);
    bool other = news->kind == SB_NEWS_DEVICE_ADDED || news->kind == SB_NEWS_IDENTITY;
    if (news->kind == SB_NEWS_JOB && !news->job->rule)
        drop(rules, news->job->id);
    if (ended && rules->full) { /* there is room once the book has let it go */
        rules->full = false;
        sb_timer_in(rules->timer, 1);
    }
    if (rules->all || (!ended && !other) || !news->device)
        return;
    if (sb_map_set(&rules->due, news->device->id, rules) < 0)
        rules->all = true;
}

static struct sb_job *next_rule(struct sb_rules *rules, size_t *index)
{
    struct sb_job *job;
    while ((job = sb_book_job_at(rules->intake->book, (*index)++)))
        if (job->rule && job->state != SB_JOB_DONE)
            return job;
    return NULL;
}

/* All rules over those that are due (NULL: over all devices). False: something is left. Where one
 * has no room the next may have: its tasks are owed to another link. */
static bool apply(struct sb_rules *rules, const struct sb_map *due)
{
    struct sb_job *job;
    rules->failed = false;
    for (size_t i = 0; (job = next_rule(rules, &i));) {
        struct rule *rule = rule_of(rules, job);
        if (!rule || !learn(rule, job))
            return false;
        if (due)
            apply_to_due(rules, job, rule, due);
        else
            apply_to_all(rules, job, rule);
        if (rules->failed || rules->joins == 0)
            return false;
    }
    return true;
}

/* The wall clock may jump: it is asked every minute at least. */
static bool end_those_due(struct sb_rules *rules)
{
    int64_t wall = sb_loop_wall(rules->intake->loop), next = 0;
    bool any = false;
    struct sb_job *job;
    for (size_t i = 0; (job = next_rule(rules, &i));) {
        int64_t end = job->policy.end_at;
        if (end && wall && wall >= end) {
            switch_off(rules, job);
            any = true;
        } else if (end) {
            int64_t left = wall ? SB_MIN(end - wall, SB_MINUTE) : SB_MINUTE;
            next = next ? SB_MIN(next, left) : left;
        }
    }
    if (next)
        sb_timer_in(rules->timer, next);
    return any;
}

static void on_timer(void *arg)
{
    struct sb_rules *rules = arg;
    rules->intake->rules_changed = true;
}

bool sb_rules_turn(struct sb_rules *rules)
{
    bool all = rules->all || rules->intake->rules_changed;
    if ((!all && !rules->due.count) || !sb_store_ready(rules->intake->store, NULL))
        return false;
    struct sb_map due = rules->due; /* what is heard meanwhile is for the next turn */
    rules->due = (struct sb_map){ 0 };
    rules->all = rules->intake->rules_changed = false;
    rules->joins = JOINS_MAX;
    bool waiting = rules->full && !all; /* these are not looked at now */
    rules->full = false;
    bool ended = end_those_due(rules);
    if (!apply(rules, all ? NULL : &due)) {
        rules->all = true;
        sb_timer_in(rules->timer, rules->joins ? SB_SECOND : 1);
    }
    rules->full |= waiting;
    if (rules->full && !sb_timer_armed(rules->timer))
        sb_timer_in(rules->timer,
                    SB_MINUTE); /* room on the disk or for reports is made by others */
    sb_map_done(&due);
    return ended || rules->joins < JOINS_MAX;
}

/* ---- life ---- */

int sb_rules_new(struct sb_intake *intake, struct sb_rules **ret)
{
    struct sb_rules *rules = calloc(1, sizeof(*rules));
    if (!rules)
        return -ENOMEM;
    rules->intake = intake;
    rules->all = true; /* what happened before a crash is looked at as if it happened now */
    int r = sb_timer_new(intake->loop, on_timer, rules, &rules->timer);
    if (r < 0)
        sb_rules_free(rules);
    else
        *ret = rules;
    return r;
}

struct sb_rules *sb_rules_free(struct sb_rules *rules)
{
    if (!rules)
        return NULL;
    while (rules->list) {
        struct rule *rule = rules->list;
        rules->list = rule->next;
        sb_map_done(&rule->acted);
        free(rule);
    }
    sb_map_done(&rules->due);
    sb_timer_free(rules->timer);
    free(rules);
    return NULL;
}
