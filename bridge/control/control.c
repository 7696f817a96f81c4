/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/control/control.h"

#include <sys/socket.h>

#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/control/lines.h"
#include "bridge/control/socket.h"
#include "bridge/control/verb.h"
#include "bridge/control/visit.h"

#define CONNECTIONS 32
#define IDLE_MS     10000 /* who asks nothing for so long gives way when there are too many */
#define LINES_TURN  16    /* of one connection in a turn: the others are served in between */
#define EVENTS_MAX  1000  /* that wait for the disk; the last line of a watch says it all */

enum promise_kind { EVENT, READ, CHANGE };

/* Something to say, once what it says is durable. */
struct promise {
    struct promise *next;
    json_t *line;
    int kind; /* enum promise_kind */
};

struct connection {
    struct connection *next;
    struct sb_control *control;
    struct sb_lines lines;
    char *actor;
    int64_t job;   /* watched, 0 none */
    bool patient;  /* waits for the visit's end */
    int64_t heard; /* monotonic: when something came last */
    bool quiet;    /* only its end is told */
    struct promise *promises;
    size_t promised;
    bool closing; /* gone, freed at the end of the turn's work on it */
};

struct sb_control {
    struct sb_core *core;
    struct sb_loop *loop;
    char *path;
    int fd;
    struct sb_watch *watch;
    struct connection *connections;
    unsigned count;
    struct sb_visit *visit; /* under way, or NULL */
    struct sb_timer *more;  /* lines are left from this turn */
};

/* ---- writing ---- */

static void on_durable(void *arg, int error);
static void take_lines(struct connection *connection);

/* The oldest one's line, to be released; there is one. */
static json_t *take_promise(struct connection *connection, int *ret_kind)
{
    struct promise *promise = connection->promises;
    json_t *line = promise->line;
    if (ret_kind)
        *ret_kind = promise->kind;
    connection->promises = promise->next;
    connection->promised--;
    free(promise);
    return line;
}

static void drop(struct connection *connection)
{
    struct sb_control *control = connection->control;
    for (struct connection **at = &control->connections; *at; at = &(*at)->next) {
        if (*at != connection)
            continue;
        *at = connection->next;
        control->count--;
        break;
    }
    sb_store_forget(control->core->store, on_durable, connection);
    sb_lines_done(&connection->lines);
    while (connection->promises)
        json_decref(take_promise(connection, NULL));
    free(connection->actor);
    free(connection);
}

static void write_line(struct connection *connection, const json_t *value)
{
    connection->closing |= !sb_lines_write(&connection->lines, value);
}

/* ---- answering ---- */

static json_t *lost_answer(int kind)
{
    return sb_refusal_line(SB_REFUSAL_UNAVAILABLE,
                           kind == CHANGE ? "the store could not keep this change: nothing was done"
                                          : "the store failed while this was answered: ask again");
}

/* What an event told did not come to pass; the watcher hears how things are in on_rebuild(). */
static void on_durable(void *arg, int error)
{
    struct connection *connection = arg;
    int kind;
    sb_cleanup(json_decrefp) json_t *line = take_promise(connection, &kind);
    if (error < 0 && kind != EVENT) {
        json_decref(line);
        line = lost_answer(kind);
    }
    if (error == 0 || kind != EVENT)
        write_line(connection, line);
    take_lines(connection); /* what came meanwhile */
    if (connection->closing)
        drop(connection);
}

/* Takes the line; it leaves when the batch of now is durable. */
static void promise(struct connection *connection, int kind, json_t *line)
{
    struct promise **end = &connection->promises;
    struct promise *made = calloc(1, sizeof(*made));
    if (!made || !line ||
        sb_store_then(connection->control->core->store, on_durable, connection) < 0) {
        json_decref(line);
        free(made);
        connection->closing = true;
        return;
    }
    while (*end)
        end = &(*end)->next;
    made->line = line;
    made->kind = kind;
    *end = made;
    connection->promised++;
}

/* The status is told at once: it says how the store is, also of one that hangs. */
static void answer(struct connection *connection, struct sb_call *call, const struct sb_verb *verb)
{
    json_t *line = sb_call_line(call);
    if (!verb || verb->run == sb_verb_status) {
        write_line(connection, line);
        json_decref(line);
        return;
    }
    promise(connection, verb->changes && call->refusal == SB_REFUSAL_NONE ? CHANGE : READ, line);
}

static void end_watch(struct connection *connection, int64_t id)
{
    sb_cleanup(json_decrefp) json_t *job = sb_view_job(connection->control->core, id, true);
    sb_cleanup(sb_freep) char *text =
        job ? NULL : sb_format("there is no job %lld: the store could not keep it", (long long)id);
    connection->job = 0;
    promise(connection, READ,
            job ? json_pack("{s:b,s:O}", "ok", 1, "data", job)
                : sb_refusal_line(SB_REFUSAL_NOT_FOUND, text));
}

static void start_watch(struct connection *connection, int64_t id, bool quiet)
{
    connection->job = id;
    connection->quiet = quiet;
    if (!sb_book_job(connection->control->core->book, id)) { /* ended already */
        end_watch(connection, id);
        return;
    }
    if (quiet)
        return;
    sb_cleanup(json_decrefp) json_t *view = sb_view_job(connection->control->core, id, true);
    promise(connection, EVENT, json_pack("{s:O}", "event", view ? view : json_null()));
}

/* ---- the doctor ---- */

/* Told at once, like the status: it says what is wrong, also with a disk that takes nothing. */
static void on_visit_done(void *arg, const json_t *data)
{
    struct sb_control *control = arg;
    struct connection *next;
    sb_cleanup(json_decrefp) json_t *line = json_pack("{s:b,s:O}", "ok", 1, "data", (json_t *)data);
    control->visit = sb_visit_free(control->visit);
    for (struct connection *c = control->connections; c; c = next) {
        next = c->next;
        if (!c->patient)
            continue;
        c->patient = false;
        write_line(c, line);
        take_lines(c);
        if (c->closing)
            drop(c);
    }
}

static void call_doctor(struct connection *connection, struct sb_call *call)
{
    struct sb_control *control = connection->control;
    const struct sb_core_parts *core = &control->core->parts;
    const struct sb_visit_parts parts = { .loop = control->loop,
                                          .program = core->program,
                                          .config = core->config->yaml->file,
                                          .known = call->data,
                                          .done = on_visit_done,
                                          .arg = control };
    int r = control->visit ? 0 : sb_visit_start(&parts, &control->visit);
    connection->patient = r == 0;
    if (r < 0)
        sb_call_refuse(call, SB_REFUSAL_UNAVAILABLE, "the doctor (%s) cannot be started: %s",
                       core->program, strerror(-r));
}

/* NULL: refused. */
static const struct sb_verb *read_request(struct sb_call *call, const json_t *request)
{
    const json_t *args = json_object_get(request, "args");
    if (!json_is_object(request) || (args && !json_is_object(args))) {
        sb_call_refuse(call, SB_REFUSAL_USAGE,
                       "not a request: it is an object {\"verb\": text, \"args\": object}");
        return NULL;
    }
    if (args)
        call->args = args;
    return sb_verb_find(call, sb_json_str(request, "verb"));
}

static void handle(struct connection *connection, const char *text, size_t n)
{
    const struct sb_json_limits limits = { .bytes = SB_LINE_MAX };
    sb_cleanup(json_decrefp) json_t *request = NULL;
    sb_cleanup(json_decrefp) json_t *none = json_object();
    sb_cleanup(sb_freep) char *error = NULL;
    struct sb_call call = { .core = connection->control->core,
                            .args = none,
                            .actor = connection->actor };
    const struct sb_verb *verb = NULL;

    if (sb_json_parse(text, n, &limits, &request, &error) < 0)
        sb_call_refuse(&call, SB_REFUSAL_USAGE, "not a request: %s", error ? error : "?");
    else
        verb = read_request(&call, request);
    if (verb && verb->run(&call) < 0 && call.refusal == SB_REFUSAL_NONE)
        sb_call_refuse(&call, SB_REFUSAL_UNAVAILABLE, "out of memory");
    if (call.visit && call.refusal == SB_REFUSAL_NONE)
        call_doctor(connection, &call);
    if (call.watch && call.refusal == SB_REFUSAL_NONE)
        start_watch(connection, call.watch, call.quiet);
    else if (!connection->patient)
        answer(connection, &call, verb);
    json_decref(call.data);
    free(call.text);
}

/* ---- watching jobs ---- */

static void on_news(void *arg, const struct sb_news *news)
{
    struct sb_control *control = arg;
    struct connection *next;
    const struct sb_job *job = news->kind == SB_NEWS_TASK  ? news->task->job
                               : news->kind == SB_NEWS_JOB ? news->job
                                                           : NULL;
    if (!job)
        return;
    for (struct connection *c = control->connections; c; c = next) {
        next = c->next;
        if (c->job != job->id)
            continue;
        if (news->task && !c->quiet && c->promised < EVENTS_MAX)
            promise(c, EVENT, json_pack("{s:{s:o}}", "event", "task", sb_task_json(news->task)));
        if (!c->closing && job->state == SB_JOB_DONE)
            end_watch(c, c->job);
        if (c->closing)
            drop(c);
    }
}

static void on_rebuild(void *arg, bool there)
{
    struct sb_control *control = arg;
    struct connection *next;
    if (there && sb_host_watch(control->core->host, on_news, control) < 0)
        sb_error(NULL, "jobs cannot be watched: out of memory");
    for (struct connection *c = control->connections; there && c; c = next) {
        next = c->next;
        if (c->job) /* what was told may have been undone */
            start_watch(c, c->job, c->quiet);
        if (c->closing)
            drop(c);
    }
}

/* ---- connections ---- */

/* One request at a time: the next waits until the answer has left. */
static void take_lines(struct connection *connection)
{
    const char *line;
    size_t n;
    for (unsigned lines = 0;
         !connection->closing && !connection->promises && !connection->job && !connection->patient;
         lines++) {
        if (lines == LINES_TURN) {
            sb_timer_in(connection->control->more, 0);
            break;
        }
        if (!(line = sb_lines_next(&connection->lines, &n)))
            break;
        handle(connection, line, n);
    }
    sb_lines_taken(&connection->lines);
}

static void on_more(void *arg)
{
    struct sb_control *control = arg;
    struct connection *next;
    for (struct connection *c = control->connections; c; c = next) {
        next = c->next;
        take_lines(c);
        if (c->closing)
            drop(c);
    }
}

static void on_ready(void *arg, unsigned ready)
{
    struct connection *connection = arg;
    if (ready & SB_WRITABLE && !sb_lines_flush(&connection->lines)) {
        drop(connection);
        return;
    }
    if (!(ready & SB_READABLE))
        return;
    int r = sb_lines_read(&connection->lines);
    if (r == -EAGAIN)
        return;
    if (r < 0) {
        drop(connection);
        return;
    }
    connection->heard = sb_loop_now(connection->control->loop);
    take_lines(connection);
    if (connection->closing)
        drop(connection);
}

/* NULL: no memory, or it cannot be said who it is. */
static struct connection *connection_new(struct sb_control *control, int fd)
{
    struct connection *connection = calloc(1, sizeof(*connection));
    char *actor = sb_control_peer(fd);
    if (!connection || !actor ||
        sb_lines_open(&connection->lines, control->loop, fd, on_ready, connection) < 0) {
        free(connection);
        free(actor);
        return NULL;
    }
    connection->control = control;
    connection->actor = actor;
    connection->heard = sb_loop_now(control->loop);
    return connection;
}

/* Who has asked nothing for the longest; who waits for an answer or watches is not idle. */
static void make_room(struct sb_control *control)
{
    struct connection *idle = NULL;
    for (struct connection *c = control->connections; c; c = c->next)
        if (!c->promises && !c->job && !c->patient && (!idle || c->heard < idle->heard))
            idle = c;
    if (control->count >= CONNECTIONS && idle &&
        sb_loop_now(control->loop) - idle->heard >= IDLE_MS)
        drop(idle);
}

static void on_connect(void *arg, unsigned ready)
{
    static const char full[] = "{\"ok\":false,\"error\":\"unavailable\",\"text\":\"too many "
                               "connections to the control socket; try again later\"}\n";
    struct sb_control *control = arg;
    (void)ready;
    int fd = accept4(control->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    make_room(control);
    struct connection *connection =
        control->count < CONNECTIONS ? connection_new(control, fd) : NULL;
    if (!connection) {
        (void)!send(fd, full, sizeof(full) - 1, MSG_NOSIGNAL);
        close(fd);
        return;
    }
    connection->next = control->connections;
    control->connections = connection;
    control->count++;
}

/* ---- life ---- */

int sb_control_new(struct sb_core *core, const char *path, const char *group,
                   struct sb_control **ret, char **ret_error)
{
    sb_cleanup(sb_control_freep) struct sb_control *control = calloc(1, sizeof(*control));
    if (!control)
        return -ENOMEM;
    control->core = core;
    control->loop = core->parts.loop;
    control->fd = -1;
    int r = sb_control_listen(path, group, &control->fd, ret_error);
    if (r < 0)
        return r;
    control->path = strdup(path);
    r = control->path ? sb_watch_new(control->loop, control->fd, SB_READABLE, on_connect, control,
                                     &control->watch)
                      : -ENOMEM;
    if (r >= 0)
        r = sb_timer_new(control->loop, on_more, control, &control->more);
    if (r >= 0)
        r = sb_host_watch(core->host, on_news, control);
    if (r < 0)
        return r;
    core->on_rebuild = on_rebuild;
    core->on_rebuild_arg = control;
    *ret = SB_STEAL(control);
    return 0;
}

struct sb_control *sb_control_free(struct sb_control *control)
{
    if (!control)
        return NULL;
    control->visit = sb_visit_free(control->visit);
    while (control->connections)
        drop(control->connections);
    sb_watch_free(control->watch);
    sb_timer_free(control->more);
    if (control->fd >= 0)
        close(control->fd);
    if (control->path)
        (void)unlink(control->path);
    if (control->core->host)
        sb_host_unwatch(control->core->host, on_news, control);
    if (control->core->on_rebuild_arg == control)
        control->core->on_rebuild = NULL;
    free(control->path);
    free(control);
    return NULL;
}
