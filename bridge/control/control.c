/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/control/control.h"

#include <grp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/control/verb.h"

#define CONNECTIONS 32
#define LINE_MAX_   (1u << 20)
#define PILE_MAX    (4u << 20)

/* Something to say, once what it says is durable. */
struct promise {
    struct promise *next;
    json_t *line;
    enum { EVENT, READ, CHANGE } kind;
};

struct connection {
    struct connection *next;
    struct sb_control *control;
    int fd;
    struct sb_watch *watch;
    char *actor;
    struct sb_str in, out;
    size_t out_sent;
    int64_t job; /* watched, 0 none */
    struct promise *promises;
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
};

static void on_news(void *arg, const struct sb_news *news);

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
    sb_watch_free(connection->watch);
    close(connection->fd);
    while (connection->promises)
        json_decref(take_promise(connection, NULL));
    sb_str_done(&connection->in);
    sb_str_done(&connection->out);
    free(connection->actor);
    free(connection);
}

/* False: the peer is gone; the caller drops it. */
static bool flush(struct connection *connection)
{
    while (connection->out_sent < connection->out.length) {
        ssize_t n = send(connection->fd, connection->out.text + connection->out_sent,
                         connection->out.length - connection->out_sent, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (n < 0)
            return false;
        connection->out_sent += (size_t)n;
    }
    if (connection->out_sent == connection->out.length) {
        sb_str_done(&connection->out);
        connection->out_sent = 0;
        sb_watch_want(connection->watch, SB_READABLE);
        return true;
    }
    sb_watch_want(connection->watch, SB_READABLE | SB_WRITABLE);
    return true;
}

/* One answer may be longer than what may pile up; a second one behind it then not. */
static void write_line(struct connection *connection, const json_t *value)
{
    sb_cleanup(sb_freep) char *text = sb_json_text(value);
    connection->closing |= connection->out.length - connection->out_sent >= PILE_MAX;
    if (text) {
        sb_str_add(&connection->out, text);
        sb_str_add_char(&connection->out, '\n');
    }
    connection->closing |= !text || connection->out.broken || !flush(connection);
}

/* ---- answering ---- */

static json_t *answer_of(struct sb_call *call)
{
    if (call->refusal == SB_REFUSAL_NONE)
        return json_pack("{s:b,s:O}", "ok", 1, "data", call->data ? call->data : json_null());
    sb_cleanup(sb_freep) char *text = sb_redact(call->text ? call->text : "");
    return json_pack("{s:b,s:s,s:s}", "ok", 0, "error", sb_refusal_name((int)call->refusal), "text",
                     text ? text : "");
}

static json_t *lost_answer(int kind)
{
    return json_pack("{s:b,s:s,s:s}", "ok", 0, "error", "unavailable", "text",
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
}

/* The status is told at once: it says how the store is, also of one that hangs. */
static void answer(struct connection *connection, struct sb_call *call, const struct sb_verb *verb)
{
    json_t *line = answer_of(call);
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
    connection->job = 0;
    promise(connection, READ, json_pack("{s:b,s:O}", "ok", 1, "data", job ? job : json_null()));
}

static void start_watch(struct connection *connection, int64_t id)
{
    connection->job = id;
    if (!sb_book_job(connection->control->core->book, id)) { /* ended already */
        end_watch(connection, id);
        return;
    }
    sb_cleanup(json_decrefp) json_t *view = sb_view_job(connection->control->core, id, true);
    promise(connection, EVENT, json_pack("{s:O}", "event", view ? view : json_null()));
}

static void handle(struct connection *connection, const char *text, size_t n)
{
    const struct sb_json_limits limits = { .bytes = LINE_MAX_ };
    sb_cleanup(json_decrefp) json_t *request = NULL;
    sb_cleanup(json_decrefp) json_t *none = json_object();
    sb_cleanup(sb_freep) char *error = NULL;
    struct sb_call call = { .core = connection->control->core, .actor = connection->actor };
    const struct sb_verb *verb = NULL;

    if (sb_json_parse(text, n, &limits, &request, &error) < 0) {
        sb_call_refuse(&call, SB_REFUSAL_USAGE, "not a request: %s", error ? error : "?");
    } else {
        const json_t *args = sb_json_object(request, "args");
        call.args = args ? args : none;
        verb = sb_verb_find(&call, sb_json_str(request, "verb"));
    }
    if (verb && verb->run(&call) < 0 && call.refusal == SB_REFUSAL_NONE)
        sb_call_refuse(&call, SB_REFUSAL_UNAVAILABLE, "out of memory");
    if (call.watch && call.refusal == SB_REFUSAL_NONE)
        start_watch(connection, call.watch);
    else
        answer(connection, &call, verb);
    json_decref(call.data);
    free(call.text);
}

/* ---- watching jobs ---- */

static void on_news(void *arg, const struct sb_news *news)
{
    struct sb_control *control = arg;
    struct connection *next;
    if (news->kind != SB_NEWS_TASK)
        return;
    for (struct connection *c = control->connections; c; c = next) {
        next = c->next;
        if (c->job != news->task->job->id)
            continue;
        sb_cleanup(json_decrefp) json_t *task = sb_task_json(news->task);
        promise(c, EVENT, json_pack("{s:{s:O}}", "event", "task", task ? task : json_null()));
        if (!c->closing && news->task->job->state == SB_JOB_DONE)
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
            start_watch(c, c->job);
        if (c->closing)
            drop(c);
    }
}

/* ---- connections ---- */

static void take_lines(struct connection *connection)
{
    char *start = connection->in.text;
    char *end;
    while (start && !connection->closing && !connection->promises && !connection->job &&
           (end = strchr(start, '\n'))) {
        handle(connection, start, (size_t)(end - start));
        start = end + 1;
    }
    struct sb_str rest = { 0 };
    if (start && *start)
        sb_str_add(&rest, start);
    sb_str_done(&connection->in);
    connection->in = rest;
}

static void on_ready(void *arg, unsigned ready)
{
    struct connection *connection = arg;
    char buffer[4096];
    if (ready & SB_WRITABLE && !flush(connection)) {
        drop(connection);
        return;
    }
    if (!(ready & SB_READABLE))
        return;
    ssize_t n = recv(connection->fd, buffer, sizeof(buffer), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || connection->in.length + (size_t)n > LINE_MAX_ || memchr(buffer, 0, (size_t)n)) {
        drop(connection);
        return;
    }
    sb_str_add_bytes(&connection->in, buffer, (size_t)n);
    take_lines(connection);
    if (connection->closing)
        drop(connection);
}

static char *name_peer(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return NULL;
    const struct passwd *user = getpwuid(peer.uid);
    return sb_format("uid %u (%s)", peer.uid, user ? user->pw_name : "?");
}

static void on_connect(void *arg, unsigned ready)
{
    struct sb_control *control = arg;
    (void)ready;
    int fd = accept4(control->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    struct connection *connection = calloc(1, sizeof(*connection));
    char *actor = name_peer(fd);
    if (!connection || !actor || control->count >= CONNECTIONS ||
        sb_watch_new(control->loop, fd, SB_READABLE, on_ready, connection, &connection->watch) <
            0) {
        free(connection);
        free(actor);
        close(fd);
        return;
    }
    connection->control = control;
    connection->fd = fd;
    connection->actor = actor;
    connection->next = control->connections;
    control->connections = connection;
    control->count++;
}

/* ---- the socket ---- */

/* A socket file that nobody listens on is left over from a crash. */
static bool is_alive(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool alive = fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0;
    if (fd >= 0)
        close(fd);
    return alive;
}

static int set_group(const char *path, const char *group)
{
    const struct group *entry = group && *group ? getgrnam(group) : NULL;
    if (!entry) {
        if (group && *group)
            sb_notice(NULL, "there is no group '%s': only root and this user may control", group);
        return 0;
    }
    return chown(path, (uid_t)-1, entry->gr_gid) < 0 ? -errno : 0;
}

static int open_socket(struct sb_control *control, const char *path, const char *group,
                       char **ret_error)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof(address.sun_path)) {
        *ret_error = sb_format("%s: longer than the %zu characters that a socket may have", path,
                               sizeof(address.sun_path) - 1);
        return -ENAMETOOLONG;
    }
    memcpy(address.sun_path, path, strlen(path));
    if (is_alive(&address)) {
        *ret_error = sb_format("%s: another southbridge is listening there", path);
        return -EADDRINUSE;
    }
    (void)unlink(path);
    control->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    mode_t mask = umask(0117);
    int r = control->fd < 0                                                             ? -errno
            : bind(control->fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno
                                                                                        : 0;
    (void)umask(mask);
    if (r >= 0)
        r = set_group(path, group);
    if (r >= 0 && listen(control->fd, 16) < 0)
        r = -errno;
    if (r < 0)
        *ret_error = sb_format("%s: %s (does its directory exist, and may this user write there?)",
                               path, strerror(-r));
    return r;
}

int sb_control_new(struct sb_core *core, const char *path, const char *group,
                   struct sb_control **ret, char **ret_error)
{
    sb_cleanup(sb_control_freep) struct sb_control *control = calloc(1, sizeof(*control));
    if (!control)
        return -ENOMEM;
    control->core = core;
    control->loop = core->parts.loop;
    control->fd = -1;
    int r = open_socket(control, path, group, ret_error);
    if (r < 0)
        return r;
    control->path = strdup(path);
    r = sb_watch_new(control->loop, control->fd, SB_READABLE, on_connect, control, &control->watch);
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
    while (control->connections)
        drop(control->connections);
    sb_watch_free(control->watch);
    if (control->fd >= 0)
        close(control->fd);
    if (control->path)
        (void)unlink(control->path);
    if (control->core->host)
        sb_host_unwatch(control->core->host, on_news, control);
    control->core->on_rebuild = NULL;
    free(control->path);
    free(control);
    return NULL;
}
