/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "bridge/base/log.h"
#include "bridge/base/str.h"

#define REAP_MS    5000
#define LOG_MAX    1024
#define READS_TURN 16 /* one child's chatter must not hold up the loop */

struct sb_child {
    char *name;
    const struct sb_child_events *events;
    void *arg;
    pid_t pid;
    int process, out, log; /* pidfd; read ends of stdout and stderr */
    int in;                /* ours of its stdin, a socket; -1: it is not fed */
    struct sb_watch *process_watch, *out_watch, *log_watch, *in_watch;
    char *pending; /* for its stdin */
    size_t pending_size;
    bool reaped;
    size_t held, log_held;
    char buffer[SB_CHILD_LINE];
    char log_buffer[LOG_MAX];
};

/* -- What it says --------------------------------------------------------------------------------
 */

/* Hands out whole lines; what is left moves to the front. A line without end goes as it is, for
 * its reader to refuse. */
static void give_lines(struct sb_child *child)
{
    size_t at = 0;
    for (char *end; (end = memchr(child->buffer + at, '\n', child->held - at));) {
        size_t n = (size_t)(end - child->buffer) - at;
        child->events->line(child->arg, child->buffer + at, n);
        at += n + 1;
    }
    child->held -= at;
    memmove(child->buffer, child->buffer + at, child->held);
    if (child->held < sizeof(child->buffer))
        return;
    child->events->line(child->arg, child->buffer, child->held);
    child->held = 0;
}

static void end_watch(struct sb_watch **watch)
{
    *watch = sb_watch_free(*watch);
}

/* False: nothing more now (or ever). */
static bool read_once(struct sb_child *child)
{
    ssize_t n;
    do
        n = read(child->out, child->buffer + child->held, sizeof(child->buffer) - child->held);
    while (n < 0 && errno == EINTR);
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN)
            end_watch(&child->out_watch);
        return false;
    }
    child->held += (size_t)n;
    give_lines(child);
    return true;
}

static void on_output(void *arg, unsigned ready)
{
    (void)ready;
    for (int i = 0; i < READS_TURN && read_once(arg); i++)
        ;
}

static void say_log(struct sb_child *child, size_t n)
{
    if (n > 0)
        sb_debug(NULL, "%s: process %d: %.*s", child->name, (int)child->pid, (int)n,
                 child->log_buffer);
}

static void read_log(struct sb_child *child)
{
    ssize_t n = read(child->log, child->log_buffer + child->log_held,
                     sizeof(child->log_buffer) - child->log_held);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        end_watch(&child->log_watch);
    if (n <= 0)
        return;
    child->log_held += (size_t)n;
    char *end;
    while ((end = memchr(child->log_buffer, '\n', child->log_held)) ||
           child->log_held == sizeof(child->log_buffer)) {
        size_t line = end ? (size_t)(end - child->log_buffer) : child->log_held;
        say_log(child, line);
        size_t used = end ? line + 1 : line;
        child->log_held -= used;
        memmove(child->log_buffer, child->log_buffer + used, child->log_held);
    }
}

static void on_log(void *arg, unsigned ready)
{
    (void)ready;
    read_log(arg);
}

/* -- What it is fed ------------------------------------------------------------------------------
 */

/* As much as it takes now. False: it takes no more, ever. */
static bool push(struct sb_child *child)
{
    size_t done = 0;
    while (done < child->pending_size) {
        ssize_t n = send(child->in, child->pending + done, child->pending_size - done,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            return false;
        if (n < 0)
            break;
        done += (size_t)n;
    }
    child->pending_size -= done;
    memmove(child->pending, child->pending + done, child->pending_size);
    sb_watch_want(child->in_watch, child->pending_size > 0 ? SB_WRITABLE : 0);
    return true;
}

static void end_feeding(struct sb_child *child)
{
    end_watch(&child->in_watch);
    sb_closep(&child->in);
    child->in = -1;
}

static void on_input(void *arg, unsigned ready)
{
    (void)ready;
    if (!push(arg))
        end_feeding(arg);
}

int sb_child_feed(struct sb_child *child, const void *bytes, size_t n)
{
    if (child->in < 0 || !child->in_watch)
        return child->pending ? -EPIPE : -EINVAL;
    if (n > SB_CHILD_PENDING - child->pending_size)
        return -ENOBUFS;
    memcpy(child->pending + child->pending_size, bytes, n);
    child->pending_size += n;
    if (push(child))
        return 0;
    end_feeding(child);
    return -EPIPE;
}

/* -- Its end -------------------------------------------------------------------------------------
 */

static bool reap(struct sb_child *child, siginfo_t *info)
{
    *info = (siginfo_t){ 0 };
    if (waitid(P_PIDFD, (id_t)child->process, info, WEXITED | WNOHANG) < 0)
        return errno == ECHILD;
    return info->si_pid != 0;
}

static void on_exit_of(void *arg, unsigned ready)
{
    struct sb_child *child = arg;
    siginfo_t info;
    (void)ready;
    if (!reap(child, &info))
        return;
    child->reaped = true;
    end_watch(&child->process_watch);
    while (read_once(child))
        ;
    read_log(child);
    say_log(child, child->log_held);
    sb_cleanup(sb_freep) char *why =
        info.si_code == CLD_EXITED
            ? sb_format("the %s ended with status %d", child->name, info.si_status)
            : sb_format("the %s was ended by signal %d (%s)", child->name, info.si_status,
                        sigdescr_np(info.si_status));
    bool well = info.si_code == CLD_EXITED && info.si_status == 0;
    child->events->ended(child->arg, well, why ? why : "it ended");
}

void sb_child_kill(struct sb_child *child)
{
    if (!child->reaped)
        (void)pidfd_send_signal(child->process, SIGKILL, NULL, 0);
}

static void wait_for(struct sb_child *child)
{
    siginfo_t info;
    struct pollfd waiting = { .fd = child->process, .events = POLLIN };
    sb_child_kill(child);
    while (poll(&waiting, 1, REAP_MS) < 0 && errno == EINTR)
        ;
    if (!reap(child, &info))
        sb_error(NULL, "%s: process %d does not end", child->name, (int)child->pid);
    child->reaped = true;
}

struct sb_child *sb_child_free(struct sb_child *child)
{
    if (!child)
        return NULL;
    end_watch(&child->process_watch);
    end_watch(&child->out_watch);
    end_watch(&child->log_watch);
    end_watch(&child->in_watch);
    if (child->process >= 0 && !child->reaped)
        wait_for(child);
    const int fds[] = { child->process, child->out, child->log, child->in };
    for (size_t i = 0; i < SB_COUNT(fds); i++)
        sb_closep(&fds[i]);
    if (child->pending)
        explicit_bzero(child->pending, SB_CHILD_PENDING);
    free(child->pending);
    free(child->name);
    free(child);
    return NULL;
}

/* -- Its start -----------------------------------------------------------------------------------
 */

/* A file in memory: takes the whole line without waiting for a reader, and no disk ever sees it.
 * *ret is the caller's to close, also on failure. */
static int line_file(const char *line, int *ret)
{
    int fd = memfd_create("southbridge-input", MFD_CLOEXEC);
    size_t n = strlen(line);
    *ret = fd;
    if (fd < 0)
        return -errno;
    for (size_t done = 0; done < n;) {
        ssize_t w = write(fd, line + done, n - done);
        if (w < 0 && errno != EINTR)
            return -errno;
        done += w > 0 ? (size_t)w : 0;
    }
    return lseek(fd, 0, SEEK_SET) < 0 ? -errno : 0;
}

static int spawn(const char *program, char *const *argv, const int fds[3], pid_t *ret)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    int r = posix_spawn_file_actions_init(&actions);
    if (r)
        return -r;
    r = posix_spawnattr_init(&attributes);
    if (r) {
        (void)posix_spawn_file_actions_destroy(&actions);
        return -r;
    }
    for (int i = 0; i < 3 && !r; i++)
        r = posix_spawn_file_actions_adddup2(&actions, fds[i], i);
    if (!r)
        r = posix_spawnattr_setsigmask(&attributes, &none);
    if (!r)
        r = posix_spawnattr_setsigdefault(&attributes, &all);
    if (!r)
        r = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (!r)
        r = posix_spawn(ret, program, &actions, &attributes, argv, environ);
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    return -r;
}

static int pipe_to(int *ret_read, int *ret_write)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    *ret_read = ends[0];
    *ret_write = ends[1];
    return fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

/* Its input is the first of what it is fed. *ret is the caller's to close, also on failure. */
static int feeder(struct sb_child *child, const char *input, int *ret)
{
    int ends[2];
    size_t n = strlen(input);
    if (n > SB_CHILD_PENDING)
        return -E2BIG;
    child->pending = malloc(SB_CHILD_PENDING);
    if (!child->pending)
        return -ENOMEM;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    *ret = ends[0];
    child->in = ends[1];
    memcpy(child->pending, input, n);
    child->pending_size = n;
    return 0;
}

static int launch(struct sb_child *child, const struct sb_child_spec *spec)
{
    sb_cleanup(sb_closep) int in = -1;
    sb_cleanup(sb_closep) int out = -1;
    sb_cleanup(sb_closep) int log = -1;
    int r = spec->fed ? feeder(child, spec->input, &in) : line_file(spec->input, &in);
    if (r == 0)
        r = pipe_to(&child->out, &out);
    if (r == 0)
        r = pipe_to(&child->log, &log);
    const int fds[3] = { in, out, log };
    if (r == 0)
        r = spawn(spec->program, spec->argv, fds, &child->pid);
    if (r < 0)
        return r;
    child->process = pidfd_open(child->pid, 0);
    if (child->process >= 0)
        return 0;
    r = -errno; /* it is our child still, so its id is its own */
    (void)kill(child->pid, SIGKILL);
    (void)waitpid(child->pid, NULL, 0);
    return r;
}

int sb_child_start(struct sb_loop *loop, const struct sb_child_spec *spec,
                   const struct sb_child_events *events, void *arg, struct sb_child **ret)
{
    sb_cleanup(sb_child_freep) struct sb_child *child = calloc(1, sizeof(*child));
    if (!child)
        return -ENOMEM;
    child->events = events;
    child->arg = arg;
    child->process = child->out = child->log = child->in = -1;
    int r = sb_set_string(&child->name, spec->name);
    if (r == 0)
        r = launch(child, spec);
    if (r == 0)
        r = sb_watch_new(loop, child->out, SB_READABLE, on_output, child, &child->out_watch);
    if (r == 0)
        r = sb_watch_new(loop, child->log, SB_READABLE, on_log, child, &child->log_watch);
    if (r == 0)
        r = sb_watch_new(loop, child->process, SB_READABLE, on_exit_of, child,
                         &child->process_watch);
    if (r == 0 && spec->fed)
        r = sb_watch_new(loop, child->in, SB_WRITABLE, on_input, child, &child->in_watch);
    if (r == 0)
        *ret = SB_STEAL(child);
    return r;
}
