/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/loop_sim.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>

#include "bridge/base/time.h"
#include "bridge/loop_parts.h"

#define TURNS_AT_ONE_TIME 100000

struct sb_loop {
    struct sb_loop_parts parts;
    int64_t now;
    int64_t wall_ahead; /* wall - now; meaningless while unset */
    bool wall_unset;
    atomic_bool stop;
    struct sb_watch *watches;
    sem_t posted;
};

struct sb_watch {
    struct sb_loop *loop;
    struct sb_watch *next;
    int fd;
    unsigned wanted;
    sb_watch_fn fn;
    void *arg;
    bool asked; /* in this poll */
};

int sb_loop_new(struct sb_loop **ret)
{
    struct sb_loop *loop = calloc(1, sizeof(*loop));

    if (!loop)
        return -ENOMEM;
    (void)sem_init(&loop->posted, 0, 0);
    sb_loop_parts_init(&loop->parts);
    loop->now = SB_SIM_NOW;
    loop->wall_ahead = SB_SIM_WALL - SB_SIM_NOW;
    *ret = loop;
    return 0;
}

struct sb_loop *sb_loop_free(struct sb_loop *loop)
{
    if (!loop)
        return NULL;
    sb_loop_parts_done(&loop->parts);
    for (struct sb_watch *watch = loop->watches; watch; watch = watch->next)
        watch->loop = NULL;
    (void)sem_destroy(&loop->posted);
    free(loop);
    return NULL;
}

struct sb_loop_parts *sb_loop_parts_of(struct sb_loop *loop)
{
    return &loop->parts;
}

void sb_loop_parts_wake(struct sb_loop_parts *parts)
{
    struct sb_loop *loop = (struct sb_loop *)((char *)parts - offsetof(struct sb_loop, parts));

    (void)sem_post(&loop->posted); /* the next turn looks */
}

void sb_sim_turn(struct sb_loop *loop)
{
    sb_loop_parts_turn(&loop->parts, loop->now);
}

void sb_sim_await_post(struct sb_loop *loop)
{
    while (sb_loop_parts_sleep(&loop->parts))
        (void)sem_wait(&loop->posted);
}

/* When the next turn has something to do. */
static int64_t next_turn(struct sb_loop *loop)
{
    return sb_loop_parts_waiting(&loop->parts) ? loop->now : sb_loop_parts_next(&loop->parts);
}

static void count_turn(int *turns, bool time_passed)
{
    *turns = time_passed ? 0 : *turns + 1;
    if (*turns < TURNS_AT_ONE_TIME)
        return;
    (void)fprintf(stderr, "loop_sim: %d turns and no time passes\n", *turns);
    abort();
}

void sb_sim_advance(struct sb_loop *loop, int64_t ms)
{
    int64_t end = loop->now + ms;
    int turns = 0;

    sb_sim_turn(loop); /* what was done between turns ends with one */
    for (int64_t next; (next = next_turn(loop)) <= end;) {
        count_turn(&turns, next > loop->now);
        loop->now = SB_MAX(next, loop->now);
        sb_sim_turn(loop);
    }
    if (loop->now < end) {
        loop->now = end;
        sb_sim_turn(loop);
    }
}

int sb_loop_run(struct sb_loop *loop)
{
    int turns = 0;

    sb_sim_turn(loop);
    while (!atomic_exchange(&loop->stop, false)) {
        int64_t next = next_turn(loop);
        if (next == SB_NEVER)
            return -EDEADLK; /* would wait for ever */
        count_turn(&turns, next > loop->now);
        loop->now = SB_MAX(next, loop->now);
        sb_sim_turn(loop);
    }
    return 0;
}

void sb_loop_stop(struct sb_loop *loop)
{
    atomic_store(&loop->stop, true);
}

int64_t sb_loop_now(const struct sb_loop *loop)
{
    return loop->now;
}

int64_t sb_loop_wall(const struct sb_loop *loop)
{
    int64_t wall = loop->now + loop->wall_ahead;

    return loop->wall_unset || wall < SB_CLOCK_UNSET_BEFORE ? 0 : wall;
}

void sb_sim_set_wall(struct sb_loop *loop, int64_t wall_ms)
{
    loop->wall_unset = wall_ms == 0;
    loop->wall_ahead = wall_ms - loop->now;
}

int sb_watch_new(struct sb_loop *loop, int fd, unsigned wanted, sb_watch_fn fn, void *arg,
                 struct sb_watch **ret)
{
    struct sb_watch *watch = calloc(1, sizeof(*watch));

    if (!watch)
        return -ENOMEM;
    watch->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (watch->fd < 0) {
        free(watch);
        return -errno;
    }
    watch->loop = loop;
    watch->wanted = wanted;
    watch->fn = fn;
    watch->arg = arg;
    watch->next = loop->watches;
    loop->watches = watch;
    *ret = watch;
    return 0;
}

void sb_watch_want(struct sb_watch *watch, unsigned wanted)
{
    watch->wanted = wanted;
}

struct sb_watch *sb_watch_free(struct sb_watch *watch)
{
    if (!watch)
        return NULL;
    struct sb_watch **at = watch->loop ? &watch->loop->watches : NULL;
    while (at && *at && *at != watch)
        at = &(*at)->next;
    if (at && *at)
        *at = watch->next;
    (void)close(watch->fd);
    free(watch);
    return NULL;
}

/* The next that has not been asked, is ready, and whose readiness is wanted; NULL: no more. */
static struct sb_watch *next_ready(struct sb_loop *loop, unsigned *ret_ready)
{
    for (struct sb_watch *watch = loop->watches; watch; watch = watch->next) {
        struct pollfd fd = { .fd = watch->fd };
        fd.events = (short)((watch->wanted & SB_READABLE ? POLLIN : 0) |
                            (watch->wanted & SB_WRITABLE ? POLLOUT : 0));
        if (watch->asked || !watch->wanted)
            continue;
        watch->asked = true;
        if (poll(&fd, 1, 0) <= 0)
            continue;
        *ret_ready =
            (fd.revents & ~POLLOUT ? SB_READABLE : 0) | (fd.revents & POLLOUT ? SB_WRITABLE : 0);
        return watch;
    }
    return NULL;
}

bool sb_sim_poll(struct sb_loop *loop)
{
    bool any = false;
    unsigned ready;
    for (struct sb_watch *watch = loop->watches; watch; watch = watch->next)
        watch->asked = false;
    for (struct sb_watch *watch; (watch = next_ready(loop, &ready)); any = true)
        watch->fn(watch->arg, ready);
    sb_sim_turn(loop);
    return any;
}

struct lws_context *sb_loop_lws(struct sb_loop *loop)
{
    (void)loop;
    return NULL;
}
