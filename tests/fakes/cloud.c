/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/cloud.h"

#include <stdio.h>

#include "bridge/base/str.h"

struct cloud cloud;

struct door {
    struct sb_door base;
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
    if (cloud.deaf)
        return;
    for (size_t i = 0; i < door->waiting_count; i++)
        sb_host_settle(door->base.host, &door->base, door->waiting[i]);
    door->waiting_count = 0;
}

static void close_door(struct sb_door *base)
{
    struct door *door = (struct door *)base;
    cloud.door = NULL;
    cloud.host = NULL;
    sb_timer_free(door->ack);
    free(door->waiting);
    free(base->link);
    free(base->state_text);
    free(door);
}

static int open_door(struct sb_host *host, const char *link, const void *config,
                     const struct sb_words *words, struct sb_door **ret)
{
    struct door *door = calloc(1, sizeof(*door));
    (void)config;
    if (!door)
        return -ENOMEM;
    door->base = (struct sb_door){ .ops = &cloud_door, .host = host, .words = words };
    door->base.link = strdup(link);
    if (sb_timer_new(sb_host_loop(host), on_ack, door, &door->ack) < 0) {
        close_door(&door->base);
        return -ENOMEM;
    }
    cloud.door = &door->base;
    cloud.host = host;
    *ret = &door->base;
    return 0;
}

static void start(struct sb_door *door)
{
    if (!cloud.unlinked)
        sb_host_link(door->host, door, true, "connected");
}

void cloud_link(bool up)
{
    cloud.unlinked = !up;
    if (cloud.door)
        sb_host_link(cloud.host, cloud.door, up, up ? "connected" : "cut");
}

static void hear(struct sb_door *door, const struct sb_news *news)
{
    cloud.news[news->kind]++;
    if (news->kind != SB_NEWS_TASK)
        return;
    const struct sb_task *task = news->task;
    bool final = sb_task_state_is_final(task->state);
    sb_cleanup(sb_freep) char *key = sb_format("task/%lld", (long long)task->id);
    sb_cleanup(sb_freep) char *text =
        sb_format("%lld %s %s %u", (long long)task->id, sb_task_state_name(task->state),
                  sb_cause_name(task->cause), task->percent);
    struct sb_parcel parcel = { .key = final ? NULL : key,
                                .device = task->device,
                                .class = final ? SB_PARCEL_FINAL : SB_PARCEL_PROGRESS,
                                .topic = "report",
                                .payload = text,
                                .size = strlen(text),
                                .qos = 1,
                                .task = task->id };
    (void)!sb_host_put(door->host, door, &parcel);
}

static int take(struct sb_door *base, const struct sb_parcel *parcel)
{
    struct door *door = (struct door *)base;
    long long task;
    struct cloud_report report = { 0 };
    if (cloud.unlinked)
        return -EAGAIN;
    sb_cleanup(sb_freep) char *text = strndup(parcel->payload, parcel->size);
    if (text && sscanf(text, "%lld %15s %23s %d", &task, report.state, report.cause,
                       &report.percent) == 4) {
        report.task = task;
        report.final =
            sb_task_state_is_final((enum sb_task_state)sb_task_state_from_name(report.state));
        cloud.heard = reallocarray(cloud.heard, cloud.count + 1, sizeof(report));
        cloud.heard[cloud.count++] = report;
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
    cloud = (struct cloud){ 0 };
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
