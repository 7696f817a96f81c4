/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread's side of a worker: what a blocking driver calls (driver.h).
 */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "bridge/runner/worker_parts.h"

static void lock(struct sb_session *session)
{
    (void)pthread_mutex_lock(&session->worker->mutex);
}

static void unlock(struct sb_session *session)
{
    (void)pthread_mutex_unlock(&session->worker->mutex);
}

bool sb_session_stopping(const struct sb_session *session)
{
    return (session->stop && !session->parting) || session->worker->quit;
}

static struct sb_port *swap_port(struct sb_worker *worker, struct sb_port *port)
{
    (void)pthread_mutex_lock(&worker->mutex);
    struct sb_port *old = worker->port;
    worker->port = port;
    sb_worker_set_interrupt(worker);
    (void)pthread_mutex_unlock(&worker->mutex);
    return old;
}

static void close_port(struct sb_worker *worker)
{
    struct sb_port *port = swap_port(worker, NULL);
    if (port)
        port->close(port);
}

/* Makes `session` the one whose stop counts; NULL ends the innermost. */
static void set_running(struct sb_worker *worker, struct sb_session *session)
{
    (void)pthread_mutex_lock(&worker->mutex);
    worker->running = session;
    sb_worker_set_interrupt(worker);
    (void)pthread_mutex_unlock(&worker->mutex);
}

/* ---- the transcript ---- */

/* Whole lines go, the oldest first. */
static void shorten(struct sb_session *session)
{
    struct sb_str *kept = &session->transcript;
    if (!kept->text || kept->length <= SB_TRANSCRIPT_MAX)
        return;
    char *from = strchr(kept->text + (kept->length - SB_TRANSCRIPT_MAX), '\n');
    from = from ? from + 1 : kept->text + kept->length;
    kept->length -= (size_t)(from - kept->text);
    memmove(kept->text, from, kept->length + 1);
    session->transcript_cut = true;
}

void sb_session_line(struct sb_session *session, const char *text)
{
    sb_cleanup(sb_freep) char *shown = sb_redact(text);
    if (!shown)
        return;
    sb_str_format(&session->transcript, "%s\n", shown);
    shorten(session);
}

static void take_transcript(struct sb_session *session)
{
    struct sb_str *kept = &session->transcript;
    if (kept->length > 0)
        session->outcome.transcript =
            sb_format("%s%s", session->transcript_cut ? "...\n" : "", sb_str_get(kept));
    sb_str_done(kept);
}

void sb_session_run(struct sb_session *session)
{
    struct sb_worker *worker = session->worker;
    session->outer = worker->running; /* only this thread changes it */
    set_running(worker, session);
    if (sb_session_stopped(session))
        session->outcome.cause = SB_CAUSE_OPERATOR; /* before it began */
    else
        session->driver->run(session, session->command, &session->outcome);
    take_transcript(session);
    lock(session);
    session->parting = false;
    session->outcome.stopped =
        session->outcome.cause != SB_CAUSE_NONE && sb_session_stopping(session);
    unlock(session);
    /* A driver further out still holds the port of its own. */
    if (!session->outer && worker->port && worker->port->failed)
        close_port(worker);

    (void)pthread_mutex_lock(&worker->mutex);
    worker->running = session->outer;
    sb_worker_set_interrupt(worker);
    sb_worker_queue(worker,
                    &(struct sb_worker_event){ .kind = SB_DRIVER_DONE, .session = session });
    (void)pthread_mutex_unlock(&worker->mutex);
}

/* Why a transport could not open, in the words of an outcome. */
static enum sb_cause open_cause(int error)
{
    switch (error) {
    case -ENOENT:
    case -ENODEV:
    case -ENXIO:
    case -EIO:
        return SB_CAUSE_LINK_LOST;
    case -EBUSY:
        return SB_CAUSE_BUSY;
    case -ENOMEM:
        return SB_CAUSE_NO_MEMORY;
    default:
        return SB_CAUSE_INTERNAL; /* rights, settings: waiting does not help */
    }
}

static void refuse(struct sb_outcome *ret, enum sb_cause cause, char *text)
{
    ret->cause = cause;
    free(ret->text);
    ret->text = text;
}

static struct sb_port *open_port(struct sb_worker *worker, struct sb_outcome *ret)
{
    if (!worker->transport) {
        refuse(ret, SB_CAUSE_INTERNAL, sb_format("bus %s has no port", worker->bus));
        return NULL;
    }
    struct sb_port *port = NULL;
    sb_cleanup(sb_freep) char *error = NULL;
    int owner = 0;
    int r = worker->transport->open(worker->port_config, &port, &owner, &error);
    if (r < 0) {
        char *text = error ? SB_STEAL(error)
                           : sb_format("bus %s cannot be opened: %s", worker->bus, strerror(-r));
        refuse(ret, open_cause(r), text);
        ret->no_port = true;
        return NULL;
    }
    ret->no_port = false;
    (void)swap_port(worker, port);
    return port;
}

struct sb_port *sb_session_port(struct sb_session *session, struct sb_outcome *ret)
{
    struct sb_worker *worker = session->worker;
    if (worker->port && sb_port_alive(worker->port))
        return worker->port;
    if (session->outer && worker->port) {
        refuse(ret, SB_CAUSE_LINK_LOST, sb_format("bus %s has failed", worker->bus));
        return NULL;
    }
    close_port(worker); /* an unplugged line may be back under the same path */
    return open_port(worker, ret);
}

static uint8_t percent_of(uint64_t done, uint64_t total)
{
    if (total == 0)
        return 0;
    if (done >= total)
        return 100;
    return (uint8_t)((long double)done * 100 / (long double)total);
}

void sb_session_progress(struct sb_session *session, enum sb_phase phase, uint64_t done,
                         uint64_t total)
{
    uint8_t percent = percent_of(done, total);
    int64_t now = sb_session_now(session);
    bool full = percent == 100 && session->told_percent != 100;
    if (session->told_any && phase == session->told_phase && !full &&
        now - session->told_at < SB_WORKER_TOLD_MS)
        return;
    session->told_any = true;
    session->told_phase = phase;
    session->told_percent = percent;
    session->told_at = now;
    lock(session);
    sb_worker_queue(session->worker, &(struct sb_worker_event){ .kind = SB_DRIVER_PROGRESS,
                                                                .session = session,
                                                                .phase = phase,
                                                                .percent = percent });
    unlock(session);
}

/* Hands an event to the loop and waits there for the answer. */
static int ask(struct sb_session *session, enum sb_driver_event_kind kind, json_t *checkpoint)
{
    struct sb_worker *worker = session->worker;
    int r = -ECANCELED;
    lock(session);
    if (sb_session_stopping(session)) {
        json_decref(checkpoint);
    } else {
        session->grant = SB_GRANT_AWAITED;
        sb_worker_queue(worker, &(struct sb_worker_event){
                                    .kind = kind, .session = session, .checkpoint = checkpoint });
        while (session->grant == SB_GRANT_AWAITED && !sb_session_stopping(session))
            (void)pthread_cond_wait(&worker->cond, &worker->mutex);
        if (session->grant == SB_GRANT_GIVEN && !sb_session_stopping(session))
            r = session->grant_error ? -EIO : 0;
        session->grant = SB_GRANT_NONE;
    }
    if (r == 0 && kind == SB_DRIVER_COMMIT)
        session->committed = true;
    unlock(session);
    return r;
}

int sb_session_checkpoint(struct sb_session *session, const json_t *checkpoint)
{
    json_t *copy = json_deep_copy(checkpoint); /* the loop's own: nothing is shared */
    return copy ? ask(session, SB_DRIVER_CHECKPOINT, copy) : -ENOMEM;
}

int sb_session_commit_point(struct sb_session *session)
{
    return ask(session, SB_DRIVER_COMMIT, NULL);
}

bool sb_session_stopped(const struct sb_session *session)
{
    pthread_mutex_t *mutex = &session->worker->mutex;
    (void)pthread_mutex_lock(mutex);
    bool stopped = sb_session_stopping(session);
    (void)pthread_mutex_unlock(mutex);
    return stopped;
}

int sb_session_part(struct sb_session *session)
{
    struct sb_worker *worker = session->worker;
    lock(session);
    session->parting = true;
    int r = worker->quit ? -ECANCELED : 0;
    sb_worker_set_interrupt(worker);
    unlock(session);
    return r;
}

int sb_session_sleep(struct sb_session *session, int64_t ms)
{
    struct sb_worker *worker = session->worker;
    int64_t end = sb_session_now(session) + ms;
    struct timespec until = { .tv_sec = end / SB_SECOND, .tv_nsec = (end % SB_SECOND) * 1000000 };
    lock(session);
    int r = 0;
    while (!sb_session_stopping(session) && r != ETIMEDOUT)
        r = pthread_cond_timedwait(&worker->cond, &worker->mutex, &until);
    bool stopping = sb_session_stopping(session);
    unlock(session);
    return stopping ? -ECANCELED : 0;
}

int64_t sb_session_now(const struct sb_session *session SB_UNUSED)
{
    return sb_port_clock();
}

void sb_session_note(struct sb_session *session, const char *fmt, ...)
{
    struct sb_str text = { 0 };
    va_list ap;
    va_start(ap, fmt);
    sb_str_vformat(&text, fmt, ap);
    va_end(ap);
    if (text.text && text.length > SB_NOTE_TEXT_MAX)
        text.text[SB_NOTE_TEXT_MAX] = '\0';
    char *owned = sb_str_take(&text);
    if (!owned)
        return;
    sb_cleanup(sb_freep) char *line = sb_format("# %s", owned);
    if (line)
        sb_session_line(session, line);
    lock(session);
    sb_worker_queue(
        session->worker,
        &(struct sb_worker_event){ .kind = SB_DRIVER_NOTE, .session = session, .text = owned });
    unlock(session);
}

void sb_session_share(struct sb_session *session)
{
    struct sb_worker *worker = session->worker;
    if (session->outer || !session->shares)
        return; /* one level only */
    lock(session);
    struct sb_session *guest = worker->quit ? NULL : SB_STEAL(worker->waiting);
    unlock(session);
    if (guest)
        sb_session_run(guest);
}
