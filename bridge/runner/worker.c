/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/runner/worker.h"

#include <errno.h>
#include <signal.h>

#include "bridge/runner/worker_parts.h"

static struct sb_worker_event *event_at(struct sb_worker *worker, size_t index)
{
    return &worker->events[(worker->first + index) % SB_WORKER_EVENTS];
}

static void event_done(struct sb_worker_event *event)
{
    free(event->text);
    json_decref(event->checkpoint);
}

/* When the loop lags, a newer progress takes the place of the last one, and notes are lost. */
static bool supersede(struct sb_worker *worker, const struct sb_worker_event *event)
{
    for (size_t i = worker->count; event->kind == SB_DRIVER_PROGRESS && i-- > 0;) {
        struct sb_worker_event *old = event_at(worker, i);
        if (old->kind != SB_DRIVER_PROGRESS || old->session != event->session)
            continue;
        old->phase = event->phase;
        old->percent = event->percent;
        return true;
    }
    return false;
}

static bool droppable(const struct sb_worker_event *event)
{
    return event->kind == SB_DRIVER_PROGRESS || event->kind == SB_DRIVER_NOTE;
}

void sb_worker_queue(struct sb_worker *worker, const struct sb_worker_event *event)
{
    size_t limit = droppable(event) ? SB_WORKER_DROPPABLE : SB_WORKER_EVENTS;
    if (worker->count >= limit) {
        struct sb_worker_event lost = *event;
        (void)supersede(worker, event);
        event_done(&lost);
        return;
    }
    *event_at(worker, worker->count++) = *event;
    /* One wake-up at a time: the queue above, not the mailbox, holds what happened. */
    if (!worker->posted)
        worker->posted = sb_mailbox_post(worker->box, &(struct sb_note){ 0 }) == 0;
}

void sb_worker_set_interrupt(struct sb_worker *worker)
{
    if (worker->port)
        sb_port_interrupt(worker->port, worker->running && sb_session_stopping(worker->running));
}

static void *worker_main(void *arg)
{
    struct sb_worker *worker = arg;
    (void)pthread_mutex_lock(&worker->mutex);
    while (!worker->quit) {
        if (!worker->waiting) {
            (void)pthread_cond_wait(&worker->cond, &worker->mutex);
            continue;
        }
        struct sb_session *session = SB_STEAL(worker->waiting);
        (void)pthread_mutex_unlock(&worker->mutex);
        sb_session_run(session);
        (void)pthread_mutex_lock(&worker->mutex);
    }
    (void)pthread_mutex_unlock(&worker->mutex);
    return NULL;
}

static bool next_event(struct sb_worker *worker, struct sb_worker_event *ret)
{
    (void)pthread_mutex_lock(&worker->mutex);
    bool any = worker->count > 0;
    if (any) {
        *ret = *event_at(worker, 0);
        worker->first = (worker->first + 1) % SB_WORKER_EVENTS;
        worker->count--;
    } else {
        worker->posted = false;
    }
    (void)pthread_mutex_unlock(&worker->mutex);
    return any;
}

static void session_free(struct sb_session *session)
{
    if (!session)
        return;
    sb_outcome_done(&session->outcome);
    free(session);
}

static void release(struct sb_worker *worker)
{
    worker->box = sb_mailbox_close(worker->box);
    (void)pthread_mutex_destroy(&worker->mutex);
    (void)pthread_cond_destroy(&worker->cond);
    free(worker->bus);
    free(worker);
}

/* Loop: tells the runner everything that has happened since. */
static void on_wake(void *arg, struct sb_note *note SB_UNUSED)
{
    struct sb_worker *worker = arg;
    struct sb_worker_event event;
    worker->telling = true;
    while (!worker->gone && next_event(worker, &event)) {
        bool done = event.kind == SB_DRIVER_DONE;
        if (done)
            worker->open--; /* so that the next command can be started from the callback */
        struct sb_driver_event told = { .kind = event.kind,
                                        .session = event.session->id,
                                        .phase = event.phase,
                                        .percent = event.percent,
                                        .checkpoint = event.checkpoint,
                                        .outcome = done ? &event.session->outcome : NULL,
                                        .text = event.text };
        worker->fn(worker->arg, &told);
        if (done)
            session_free(event.session);
        event_done(&event);
    }
    worker->telling = false;
    if (worker->gone)
        release(worker);
}

static int start_thread(struct sb_worker *worker)
{
    sigset_t all, old;
    (void)sigfillset(&all); /* signals are the loop's */
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    int r = pthread_create(&worker->thread, NULL, worker_main, worker);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    return -r;
}

static int init_sync(struct sb_worker *worker)
{
    pthread_condattr_t monotonic;
    int r = pthread_condattr_init(&monotonic);
    if (r)
        return -r;
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    r = pthread_cond_init(&worker->cond, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    if (r)
        return -r;
    r = pthread_mutex_init(&worker->mutex, NULL);
    if (r)
        (void)pthread_cond_destroy(&worker->cond);
    return -r;
}

int sb_worker_new(struct sb_loop *loop, const char *bus, const struct sb_port_ops *transport,
                  const void *port_config, sb_worker_fn fn, void *arg, struct sb_worker **ret)
{
    struct sb_worker *worker = calloc(1, sizeof(*worker));
    if (!worker)
        return -ENOMEM;
    worker->transport = transport;
    worker->port_config = port_config;
    worker->fn = fn;
    worker->arg = arg;
    int r = init_sync(worker);
    if (r < 0) {
        free(worker);
        return r;
    }
    r = sb_set_string(&worker->bus, bus);
    if (r == 0)
        r = sb_mailbox_new(loop, 4, on_wake, worker, &worker->box);
    if (r == 0)
        r = start_thread(worker);
    if (r < 0) {
        release(worker);
        return r;
    }
    *ret = worker;
    return 0;
}

static bool shareable(const struct sb_worker *worker) /* mutex */
{
    return worker->open == 1 && !worker->waiting && worker->running && worker->running->shares;
}

int sb_worker_start(struct sb_worker *worker, const struct sb_driver_ops *driver,
                    const struct sb_command *command)
{
    if (!driver->run)
        return -EINVAL;
    struct sb_session *session = calloc(1, sizeof(*session));
    if (!session)
        return -ENOMEM;
    session->worker = worker;
    session->driver = driver;
    session->command = command;
    session->id = command->session;
    unsigned caps = driver->caps && command->type ? driver->caps(command->type) : 0;
    session->shares = (caps & SB_CAP_SHARES_BUS) != 0;

    (void)pthread_mutex_lock(&worker->mutex);
    bool free_now = worker->open == 0 || shareable(worker);
    if (free_now) {
        worker->waiting = session;
        worker->open++;
        (void)pthread_cond_broadcast(&worker->cond);
    }
    (void)pthread_mutex_unlock(&worker->mutex);
    if (free_now)
        return 0;
    session_free(session);
    return -EBUSY;
}

static struct sb_session *find(struct sb_worker *worker, uint64_t id) /* mutex */
{
    if (worker->waiting && worker->waiting->id == id)
        return worker->waiting;
    struct sb_session *session = worker->running;
    while (session && session->id != id)
        session = session->outer;
    return session;
}

int sb_worker_stop(struct sb_worker *worker, uint64_t id)
{
    int r = -ENOENT; /* it has ended already; its DONE is on the way or was told */
    (void)pthread_mutex_lock(&worker->mutex);
    struct sb_session *session = find(worker, id);
    if (session) {
        r = session->committed ? -EBUSY : 0;
        session->stop = session->stop || r == 0;
        sb_worker_set_interrupt(worker);
        (void)pthread_cond_broadcast(&worker->cond);
    }
    (void)pthread_mutex_unlock(&worker->mutex);
    return r;
}

void sb_worker_granted(struct sb_worker *worker, uint64_t id, int error)
{
    (void)pthread_mutex_lock(&worker->mutex);
    struct sb_session *session = find(worker, id);
    if (session && session->grant == SB_GRANT_AWAITED) {
        session->grant = SB_GRANT_GIVEN;
        session->grant_error = error;
        (void)pthread_cond_broadcast(&worker->cond);
    }
    (void)pthread_mutex_unlock(&worker->mutex);
}

bool sb_worker_busy(const struct sb_worker *worker)
{
    return worker->open > 0;
}

bool sb_worker_shareable(const struct sb_worker *worker)
{
    pthread_mutex_t *mutex = (pthread_mutex_t *)&worker->mutex;
    (void)pthread_mutex_lock(mutex);
    bool yes = shareable(worker);
    (void)pthread_mutex_unlock(mutex);
    return yes;
}

struct sb_worker *sb_worker_free(struct sb_worker *worker)
{
    if (!worker)
        return NULL;
    (void)pthread_mutex_lock(&worker->mutex);
    worker->quit = true;
    sb_worker_set_interrupt(worker);
    (void)pthread_cond_broadcast(&worker->cond);
    (void)pthread_mutex_unlock(&worker->mutex);
    (void)pthread_join(worker->thread, NULL);

    session_free(worker->waiting);
    for (struct sb_worker_event event; next_event(worker, &event); event_done(&event)) {
        if (event.kind == SB_DRIVER_DONE)
            session_free(event.session);
    }
    if (worker->port)
        worker->port->close(worker->port);
    worker->gone = true;
    if (!worker->telling)
        release(worker);
    return NULL;
}
