/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libwebsockets' context waits. Of ours it knows one descriptor: an epoll set that holds the
 * watches, a timerfd for the first timer and an eventfd for notes and stop. So lws' own habits
 * (its timers run before it polls, it closes a raw descriptor that hangs up) cannot touch us, and
 * a watch behaves as epoll's level-triggered entries do.
 */
#include "bridge/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <libwebsockets.h>
#include <limits.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <time.h>

#include "bridge/base/log.h"
#include "bridge/base/time.h"
#include "bridge/loop_parts.h"

#define EVENTS_PER_TURN 64
#define DESCRIPTORS     4096u /* lws allocates by this, not by RLIMIT_NOFILE */

struct sb_watch {
    struct sb_loop *loop; /* NULL: the loop is gone */
    int fd;               /* ours */
    unsigned wanted;
    bool dead; /* freed while events are being handed out */
    sb_watch_fn fn;
    void *arg;
    struct sb_watch *next, *previous;
};

struct sb_loop {
    struct sb_loop_parts parts; /* first: sb_loop_parts_wake() casts */
    struct lws_context *context;
    int epoll, timer, event;
    atomic_bool stop;
    bool running;
    bool in_turn;      /* now and wall are frozen */
    bool handing_out;  /* freed watches are kept until the events were handed out */
    int64_t now, wall; /* of this turn */
    int64_t alarm;     /* what the timerfd is set to */
    struct sb_watch *watches;
    struct sb_watch *freed;
};

/* ---- time ---- */

static int64_t clock_ms(clockid_t clock)
{
    struct timespec t = { 0 };

    (void)clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * SB_SECOND + t.tv_nsec / 1000000;
}

static int64_t wall_ms(void)
{
    int64_t wall = clock_ms(CLOCK_REALTIME);
    return wall < SB_CLOCK_UNSET_BEFORE ? 0 : wall;
}

static void begin_turn(struct sb_loop *loop)
{
    if (loop->in_turn)
        return;
    loop->in_turn = true;
    loop->now = clock_ms(CLOCK_MONOTONIC);
    loop->wall = wall_ms();
}

/* Before sb_loop_run() time flows; in it, whoever asks first freezes it until the turn's end. */
static const struct sb_loop *at_present(const struct sb_loop *loop)
{
    if (loop->running)
        begin_turn((struct sb_loop *)loop);
    return loop;
}

int64_t sb_loop_now(const struct sb_loop *loop)
{
    return at_present(loop)->running ? loop->now : clock_ms(CLOCK_MONOTONIC);
}

int64_t sb_loop_wall(const struct sb_loop *loop)
{
    return at_present(loop)->running ? loop->wall : wall_ms();
}

/* The next turn is due at once. */
static bool is_due(const struct sb_loop *loop)
{
    return sb_loop_parts_next(&loop->parts) <= loop->now;
}

/* One that comes too early costs a turn now and then; to move it with each timer, a syscall for
 * each. */
static void set_alarm(struct sb_loop *loop)
{
    int64_t next = sb_loop_parts_next(&loop->parts);

    if (is_due(loop) || (loop->alarm > loop->now && loop->alarm <= next))
        return;
    struct itimerspec at = {
        .it_value = { .tv_sec = (time_t)(next / SB_SECOND),
                      .tv_nsec = (long)(next % SB_SECOND) * 1000000 },
    };
    if (next == SB_NEVER)
        at = (struct itimerspec){ 0 };
    (void)timerfd_settime(loop->timer, TFD_TIMER_ABSTIME, &at, NULL);
    loop->alarm = next;
}

/* ---- wake-ups ---- */

static void ring(int event)
{
    uint64_t one = 1;
    ssize_t n = write(event, &one, sizeof(one)); /* full: it wakes all the same */
    (void)n;
}

void sb_loop_parts_wake(struct sb_loop_parts *parts)
{
    ring(((struct sb_loop *)parts)->event);
}

struct sb_loop_parts *sb_loop_parts_of(struct sb_loop *loop)
{
    return &loop->parts;
}

void sb_loop_stop(struct sb_loop *loop)
{
    int saved = errno;

    atomic_store(&loop->stop, true);
    ring(loop->event);
    errno = saved;
}

/* ---- watches ---- */

static uint32_t epoll_wants(unsigned wanted)
{
    return (wanted & SB_READABLE ? (uint32_t)EPOLLIN : 0) |
           (wanted & SB_WRITABLE ? (uint32_t)EPOLLOUT : 0);
}

/* A hang-up or error is told as readable (and writable, if wanted): the read then says which. */
static unsigned epoll_tells(uint32_t events, unsigned wanted)
{
    unsigned ready = events & EPOLLIN ? SB_READABLE : 0;

    if (events & EPOLLOUT)
        ready |= SB_WRITABLE;
    ready &= wanted;
    if (events & (EPOLLHUP | EPOLLERR))
        ready |= SB_READABLE | (wanted & SB_WRITABLE);
    return ready;
}

static int poll_for(struct sb_loop *loop, int op, int fd, unsigned wanted, void *what)
{
    struct epoll_event event = { .events = epoll_wants(wanted), .data.ptr = what };
    return epoll_ctl(loop->epoll, op, fd, &event) < 0 ? -errno : 0;
}

/* Told once for each ring or alarm, so it need not be read. */
static int poll_edge(struct sb_loop *loop, int fd, void *what)
{
    struct epoll_event event = { .events = (uint32_t)EPOLLIN | (uint32_t)EPOLLET,
                                 .data.ptr = what };
    return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int sb_watch_new(struct sb_loop *loop, int fd, unsigned wanted, sb_watch_fn fn, void *arg,
                 struct sb_watch **ret)
{
    sb_cleanup(sb_freep) struct sb_watch *watch = calloc(1, sizeof(*watch));
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    int r = copy < 0 ? -errno : 0;

    if (!watch)
        r = -ENOMEM;
    /* Even unwanted it is added once: what cannot be polled is refused here. */
    if (r == 0)
        r = poll_for(loop, EPOLL_CTL_ADD, copy, wanted, watch);
    if (r < 0) {
        sb_closep(&copy);
        return r;
    }
    if (!wanted)
        (void)poll_for(loop, EPOLL_CTL_DEL, copy, 0, NULL);
    *watch = (struct sb_watch){ .loop = loop, .fd = copy, .wanted = wanted, .fn = fn, .arg = arg };
    watch->next = loop->watches;
    if (watch->next)
        watch->next->previous = watch;
    loop->watches = watch;
    *ret = SB_STEAL(watch);
    return 0;
}

/* An unwanted one leaves the set: epoll reports hang-ups unasked. */
void sb_watch_want(struct sb_watch *watch, unsigned wanted)
{
    if (!watch->loop || watch->wanted == wanted)
        return;
    int op = !wanted ? EPOLL_CTL_DEL : !watch->wanted ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    int r = poll_for(watch->loop, op, watch->fd, wanted, watch);
    if (r < 0)
        sb_error(NULL, "loop: cannot watch descriptor %d: %s", watch->fd, strerror(-r));
    else
        watch->wanted = wanted;
}

static void unlink_watch(struct sb_loop *loop, struct sb_watch *watch)
{
    if (watch->previous)
        watch->previous->next = watch->next;
    else
        loop->watches = watch->next;
    if (watch->next)
        watch->next->previous = watch->previous;
}

/* Taken out of the set before it is closed: the caller's own descriptor keeps the file open. */
static void silence(struct sb_loop *loop, struct sb_watch *watch)
{
    if (watch->wanted)
        (void)poll_for(loop, EPOLL_CTL_DEL, watch->fd, 0, NULL);
    (void)close(watch->fd);
}

struct sb_watch *sb_watch_free(struct sb_watch *watch)
{
    struct sb_loop *loop = watch ? watch->loop : NULL;

    if (loop) {
        silence(loop, watch);
        unlink_watch(loop, watch);
    }
    if (!loop || !loop->handing_out) {
        free(watch);
        return NULL;
    }
    watch->dead = true; /* its event may still be waiting in this turn */
    watch->next = loop->freed;
    loop->freed = watch;
    return NULL;
}

static void hand_out(struct sb_loop *loop, const struct epoll_event *event)
{
    if (event->data.ptr == &loop->timer) {
        loop->alarm = SB_NEVER; /* spent */
    } else if (event->data.ptr != &loop->event) {
        struct sb_watch *watch = event->data.ptr;
        unsigned ready = watch->dead ? 0 : epoll_tells(event->events, watch->wanted);
        if (ready && watch->wanted)
            watch->fn(watch->arg, ready);
    }
}

static void hand_out_all(struct sb_loop *loop)
{
    struct epoll_event events[EVENTS_PER_TURN];
    int n = epoll_wait(loop->epoll, events, EVENTS_PER_TURN, 0);

    loop->handing_out = true;
    for (int i = 0; i < n; i++)
        hand_out(loop, &events[i]);
    loop->handing_out = false;
    while (loop->freed) {
        struct sb_watch *watch = loop->freed;
        loop->freed = watch->next;
        free(watch);
    }
}

/* ---- libwebsockets ---- */

static int on_lws(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                  size_t size)
{
    (void)user, (void)in, (void)size;
    if (reason == LWS_CALLBACK_RAW_RX_FILE) {
        struct sb_loop *loop = lws_get_opaque_user_data(wsi);
        begin_turn(loop);
        hand_out_all(loop);
    }
    return 0;
}

static const struct lws_protocols protocols[] = {
    { .name = "southbridge-loop", .callback = on_lws },
    { 0 },
};

static void on_lws_log(int level, const char *line)
{
    (void)level;
    sb_warning(NULL, "libwebsockets: %.*s", (int)strcspn(line, "\n"), line);
}

static unsigned descriptor_limit(void)
{
    struct rlimit limit = { 0 };

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > DESCRIPTORS)
        return DESCRIPTORS;
    return (unsigned)limit.rlim_cur;
}

static int make_context(struct sb_loop *loop)
{
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
        .fd_limit_per_thread = descriptor_limit(),
        .protocols = protocols,
        .vhost_name = "southbridge-loop",
        .gid = -1,
        .uid = -1,
    };
    lws_adopt_desc_t adopt = {
        .type = LWS_ADOPT_RAW_FILE_DESC,
        .vh_prot_name = protocols[0].name,
        .opaque = loop,
    };

    lws_set_log_level(LLL_ERR, on_lws_log);
    loop->context = lws_create_context(&info);
    if (!loop->context)
        return -ENOMEM;
    adopt.vh = lws_create_vhost(loop->context, &info);
    adopt.fd.filefd = fcntl(loop->epoll, F_DUPFD_CLOEXEC, 0); /* lws closes it */
    if (!adopt.vh || adopt.fd.filefd < 0 || !lws_adopt_descriptor_vhost_via_info(&adopt))
        return -ENOMEM;
    return 0;
}

struct lws_context *sb_loop_lws(struct sb_loop *loop)
{
    return loop->context;
}

/* ---- the loop ---- */

static int open_descriptors(struct sb_loop *loop)
{
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    loop->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    loop->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (loop->epoll < 0 || loop->timer < 0 || loop->event < 0)
        return -errno;
    int r = poll_edge(loop, loop->timer, &loop->timer);
    return r < 0 ? r : poll_edge(loop, loop->event, &loop->event);
}

int sb_loop_new(struct sb_loop **ret)
{
    sb_cleanup(sb_loop_freep) struct sb_loop *loop = calloc(1, sizeof(*loop));
    int r;

    if (!loop)
        return -ENOMEM;
    sb_loop_parts_init(&loop->parts);
    loop->epoll = loop->timer = loop->event = -1;
    loop->alarm = SB_NEVER;
    r = open_descriptors(loop);
    if (r == 0)
        r = make_context(loop);
    if (r < 0)
        return r;
    *ret = SB_STEAL(loop);
    return 0;
}

/* Watches and timers that are left may be freed afterwards, and do nothing any more. */
struct sb_loop *sb_loop_free(struct sb_loop *loop)
{
    if (!loop)
        return NULL;
    while (loop->watches) {
        struct sb_watch *watch = loop->watches;
        silence(loop, watch);
        unlink_watch(loop, watch);
        watch->loop = NULL;
    }
    if (loop->context)
        lws_context_destroy(loop->context);
    sb_loop_parts_done(&loop->parts);
    sb_closep(&loop->epoll);
    sb_closep(&loop->timer);
    sb_closep(&loop->event);
    free(loop);
    return NULL;
}

static void end_turn(struct sb_loop *loop)
{
    begin_turn(loop);
    sb_loop_parts_turn(&loop->parts, loop->now);
    set_alarm(loop);
    loop->in_turn = false;
}

int sb_loop_run(struct sb_loop *loop)
{
    int r = 0;

    loop->running = true;
    end_turn(loop); /* what was prepared before */
    while (r == 0 && !atomic_load(&loop->stop)) {
        bool wait = !is_due(loop) && sb_loop_parts_sleep(&loop->parts);
        r = lws_service(loop->context, wait ? 0 : -1) < 0 ? -EIO : 0; /* -1: look only */
        end_turn(loop);
    }
    atomic_store(&loop->stop, false);
    loop->running = false;
    return r;
}
