/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/base/str.h"
#include "bridge/host_parts.h"

#define ROUNDS_MAX 16 /* news may cause news; each round handles what is there */

/* News of the same kind about the same task or device are one; NULL: of nothing in particular. */
static char *key_of(const struct sb_news *news)
{
    if (news->task || news->job)
        return sb_format("%d/%lld", (int)news->kind,
                         (long long)(news->task ? news->task->id : news->job->id));
    return news->device ? sb_format("%d/%s", (int)news->kind, news->device->id) : NULL;
}

static void hear(struct sb_door *door, const struct sb_news *news)
{
    if (door)
        door->ops->hear(door, news);
}

/* The origin hears of its task; other doors only that the device's firmware is in motion. */
static void spread(struct sb_host *host, const struct sb_news *news)
{
    struct sb_news facts = *news;
    facts.kind = SB_NEWS_FIRMWARE;
    for (size_t i = 0; i < host->entry_count; i++) {
        struct sb_door *door = host->entries[i].door;
        if (!door || news->kind == SB_NEWS_JOB)
            continue;
        bool own = news->task && sb_streq(news->task->job->origin, door->link);
        if (news->kind != SB_NEWS_TASK || own)
            hear(door, news);
        else if (news->task && sb_op_is_firmware(news->task->job->op))
            hear(door, &facts);
    }
    for (size_t i = 0; i < host->watcher_count; i++)
        host->watchers[i].fn(host->watchers[i].arg, news);
}

static int keep(struct sb_host *host, const struct sb_news *news, const char *key)
{
    struct item item = { .kind = news->kind,
                         .task = (struct sb_task *)news->task,
                         .job = news->job,
                         .before = news->before };
    if (host->news_count == host->news_room) {
        size_t room = host->news_room ? host->news_room * 2 : 16;
        struct item *grown = reallocarray(host->news, room, sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        host->news = grown;
        host->news_room = room;
    }
    if ((news->device && sb_set_string(&item.device, news->device->id) < 0) ||
        (key && sb_map_set(&host->told, key, host) < 0)) {
        free(item.device);
        return -ENOMEM;
    }
    host->news[host->news_count++] = item;
    return 0;
}

void sb_host_tell(struct sb_host *host, const struct sb_news *news)
{
    if (news->kind == SB_NEWS_DEVICE_REMOVED) { /* the record does not outlive the call */
        spread(host, news);
        return;
    }
    sb_cleanup(sb_freep) char *key = key_of(news);
    if (key && sb_map_get(&host->told, key))
        return; /* merged: the first one knows the state before the turn */
    if (keep(host, news, key) < 0)
        spread(host, news); /* too early, but not lost */
}

bool sb_host_turn(struct sb_host *host)
{
    bool any = false;
    host->refusal = 0; /* whatever it is of, no message of the next turn caused it */
    for (int round = 0; host->news_count && round < ROUNDS_MAX; round++) {
        struct item *list = SB_STEAL(host->news);
        size_t count = host->news_count;
        host->news_count = host->news_room = 0;
        sb_map_done(&host->told);
        for (size_t i = 0; i < count; i++) {
            const struct sb_device *device =
                list[i].device ? sb_registry_get(host->parts.registry, list[i].device) : NULL;
            if (device || list[i].task || list[i].job)
                spread(host, &(struct sb_news){ .kind = list[i].kind,
                                                .device = device,
                                                .task = list[i].task,
                                                .job = list[i].job,
                                                .before = list[i].before });
            free(list[i].device);
        }
        free(list);
        any = true;
    }
    return any;
}

int sb_host_watch(struct sb_host *host, sb_watcher_fn fn, void *arg)
{
    struct watcher *grown = reallocarray(host->watchers, host->watcher_count + 1, sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    host->watchers = grown;
    host->watchers[host->watcher_count++] = (struct watcher){ fn, arg };
    return 0;
}

void sb_host_unwatch(struct sb_host *host, sb_watcher_fn fn, void *arg)
{
    for (size_t i = 0; i < host->watcher_count; i++) {
        if (host->watchers[i].fn != fn || host->watchers[i].arg != arg)
            continue;
        host->watchers[i] = host->watchers[--host->watcher_count];
        return;
    }
}

void sb_host_news_done(struct sb_host *host)
{
    for (size_t i = 0; i < host->news_count; i++)
        free(host->news[i].device);
    sb_map_done(&host->told);
    free(host->news);
    free(host->watchers);
}
