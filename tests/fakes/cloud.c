/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/cloud.h"

#include <stdio.h>

#include "bridge/base/str.h"

struct cloud cloud, south;

struct door {
    struct sb_door base;
    struct cloud *cloud;
    struct sb_timer *ack;
    int64_t *waiting;
    size_t waiting_count;
};

static const struct sb_field no_fields[] = { { 0 } };
static const struct sb_field cell[] = { { .key = "code", .type = SB_TYPE_INT }, { 0 } };
static const struct sb_dialect_shape shape = {
    .dialect = "cloud", .cell = cell, .limits = no_fields, .names = no_fields
};

static void on_ack(void *arg)
{
    struct door *door = arg;
    if (door->cloud->deaf)
        return;
    for (size_t i = 0; i < door->waiting_count; i++)
        sb_host_settle(door->base.host, &door->base, door->waiting[i]);
    door->waiting_count = 0;
}

static void close_door(struct sb_door *base)
{
    struct door *door = (struct door *)base;
    door->cloud->door = NULL;
    door->cloud->host = NULL;
    sb_timer_free(door->ack);
    free(door->waiting);
    free(base->link);
    free(base->state_text);
    free(door);
}

static int open_door(const struct sb_door_ops *ops, struct sb_host *host, const char *link,
                     const void *config, const struct sb_words *words, struct sb_door **ret)
{
    struct door *door = calloc(1, sizeof(*door));
    (void)config;
    if (!door)
        return -ENOMEM;
    door->base = (struct sb_door){ .ops = ops, .host = host, .words = words };
    door->base.link = strdup(link);
    door->cloud = strcmp(link, "south") == 0 ? &south : &cloud;
    if (sb_timer_new(sb_host_loop(host), on_ack, door, &door->ack) < 0) {
        close_door(&door->base);
        return -ENOMEM;
    }
    door->cloud->door = &door->base;
    door->cloud->host = host;
    *ret = &door->base;
    return 0;
}

static void start(struct sb_door *base)
{
    const struct door *door = (const struct door *)base;
    if (!door->cloud->unlinked)
        cloud_link_of(door->cloud, true);
}

void cloud_link_of(struct cloud *which, bool up)
{
    which->unlinked = !up;
    if (!which->door)
        return;
    sb_host_link(which->host, which->door, up, up ? "connected" : "cut");
    sb_host_connection(which->host, which->door, NULL, up);
}

void cloud_link(bool up)
{
    cloud_link_of(&cloud, up);
}

/* Of one piece of news alone. */
static const char *broken_promise(const struct sb_news *news, const char *link)
{
    const struct sb_task *task = news->task;
    bool failed = task->state == SB_TASK_FAILED || task->state == SB_TASK_CANCELLED;
    if (strcmp(task->job->origin, link) != 0)
        return "the task of somebody else";
    if (sb_task_state_is_final(news->before) && task->state != news->before)
        return "a final state was left";
    if (failed && (task->cause == SB_CAUSE_NONE || !task->text || !*task->text))
        return "a failure without a cause or a text";
    if (task->state == SB_TASK_SUCCEEDED && task->cause != SB_CAUSE_NONE)
        return "a success with a cause";
    if (task->percent == 100 && task->state != SB_TASK_SUCCEEDED &&
        task->state != SB_TASK_RESTARTING && !failed && task->state != SB_TASK_CANCELLING)
        return "100 percent before the restart";
    return NULL;
}

static void hear(struct sb_door *base, const struct sb_news *news)
{
    struct cloud *which = ((struct door *)base)->cloud;
    which->news[news->kind]++;
    if (news->kind != SB_NEWS_TASK)
        return;
    const struct sb_task *task = news->task;
    bool final = sb_task_state_is_final(task->state);
    if (!which->broken)
        which->broken = broken_promise(news, base->link);
    sb_cleanup(sb_freep) char *key = sb_format("task/%lld", (long long)task->id);
    sb_cleanup(sb_freep) char *text =
        sb_format("%lld %s %s %u %u", (long long)task->id, sb_task_state_name(task->state),
                  sb_cause_name(task->cause), task->percent, task->attempt);
    struct sb_parcel parcel = { .key = final ? NULL : key,
                                .device = task->device,
                                .class = final ? SB_PARCEL_FINAL : SB_PARCEL_PROGRESS,
                                .topic = "report",
                                .payload = text,
                                .size = strlen(text),
                                .qos = 1,
                                .task = task->id,
                                .what = sb_task_state_name(task->state) };
    which->lost += sb_host_put(base->host, base, &parcel) < 0;
}

static void note(struct cloud *which, const struct cloud_report *report)
{
    if (which->count == which->room) {
        which->room = which->room ? which->room * 2 : 64;
        which->heard = reallocarray(which->heard, which->room, sizeof(*report));
    }
    which->heard[which->count++] = *report;
}

static int take(struct sb_door *base, const struct sb_parcel *parcel)
{
    struct door *door = (struct door *)base;
    long long task;
    struct cloud_report report = { .parcel = parcel->id };
    if (door->cloud->unlinked)
        return -EAGAIN;
    sb_cleanup(sb_freep) char *text = strndup(parcel->payload, parcel->size);
    if (text && sscanf(text, "%lld %15s %23s %d %d", &task, report.state, report.cause,
                       &report.percent, &report.attempt) == 5) {
        report.task = task;
        report.final =
            sb_task_state_is_final((enum sb_task_state)sb_task_state_from_name(report.state));
        note(door->cloud, &report);
    }
    door->waiting = reallocarray(door->waiting, door->waiting_count + 1, sizeof(int64_t));
    door->waiting[door->waiting_count++] = parcel->id;
    sb_timer_in(door->ack, 5);
    return 0;
}

const struct sb_door_ops cloud_door = { .dialect = "cloud",
                                        .role = "uplink",
                                        .shape = &shape,
                                        .fields = no_fields,
                                        .size = 1,
                                        .open = open_door,
                                        .start = start,
                                        .hear = hear,
                                        .send = take,
                                        .close = close_door };

void cloud_reset(void)
{
    free(cloud.heard);
    free(south.heard);
    cloud = south = (struct cloud){ 0 };
}

unsigned cloud_finals(int64_t task, const struct cloud_report **ret_last)
{
    unsigned n = 0;
    for (size_t i = 0; i < cloud.count; i++) {
        if (cloud.heard[i].task != task || !cloud.heard[i].final)
            continue;
        n++;
        if (ret_last)
            *ret_last = &cloud.heard[i];
    }
    return n;
}

bool cloud_heard(int64_t task, const char *state)
{
    for (size_t i = 0; i < cloud.count; i++)
        if (cloud.heard[i].task == task && strcmp(cloud.heard[i].state, state) == 0)
            return true;
    return false;
}

/* ---- the judge ---- */

static int by_task(const void *a, const void *b)
{
    const struct cloud_report *x = *(const struct cloud_report *const *)a;
    const struct cloud_report *y = *(const struct cloud_report *const *)b;
    if (x->task != y->task)
        return x->task < y->task ? -1 : 1;
    return x < y ? -1 : x > y;
}

static int rank(const struct cloud_report *report)
{
    static const int ranks[SB_TASK_STATE_MAX_] = {
        [SB_TASK_SENT] = 1,       [SB_TASK_DOWNLOADING] = 2, [SB_TASK_DOWNLOADED] = 3,
        [SB_TASK_INSTALLING] = 4, [SB_TASK_RUNNING] = 4,     [SB_TASK_RESTARTING] = 5,
    };
    return ranks[sb_task_state_from_name(report->state)];
}

/* `before` was heard of the same task. */
static const char *judge(const struct cloud_report *before, const struct cloud_report *now)
{
    if (before->final)
        return now->final && strcmp(before->state, now->state) == 0 &&
                       strcmp(before->cause, now->cause) == 0
                   ? NULL
                   : "something was told after the outcome";
    if (now->attempt < before->attempt)
        return "an attempt came back";
    if (now->attempt != before->attempt || !rank(now) || !rank(before))
        return NULL;
    if (rank(now) < rank(before))
        return "a state fell";
    return now->percent < before->percent ? "the percent fell" : NULL;
}

const char *cloud_judge(const struct cloud *which)
{
    const struct cloud_report **list = calloc(which->count + 1, sizeof(*list));
    const char *wrong = which->broken;
    int64_t last = 0; /* the newest message: an older one is heard again */
    for (size_t i = 0; i < which->count; i++)
        list[i] = &which->heard[i];
    qsort(list, which->count, sizeof(*list), by_task);
    const struct cloud_report *before = NULL;
    for (size_t i = 0; i < which->count && !wrong; i++) {
        if (!before || before->task != list[i]->task)
            last = 0;
        if (list[i]->parcel < last)
            continue;
        if (last)
            wrong = judge(before, list[i]);
        before = list[i];
        last = list[i]->parcel;
    }
    free(list);
    return wrong;
}
