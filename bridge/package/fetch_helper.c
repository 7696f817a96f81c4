/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/package/fetch_parts.h"

#define REAP_MS    5000
#define LOG_MAX    1024
#define READS_TURN 16 /* one helper's chatter must not hold up the loop */

struct sb_fetch_helper {
    const struct sb_fetch_helper_events *events;
    void *arg;
    pid_t pid;
    int process, out, log; /* pidfd; read ends of stdout and stderr */
    struct sb_watch *process_watch, *out_watch, *log_watch;
    bool reaped;
    size_t held, log_held;
    char buffer[SB_FETCH_EVENT_MAX];
    char log_buffer[LOG_MAX];
};

/* -- What it says --------------------------------------------------------------------------------
 */

/* Hands out whole lines; what is left moves to the front. A line without end goes as it is, for
 * its reader to refuse. */
static void give_lines(struct sb_fetch_helper *helper)
{
    size_t at = 0;
    for (char *end; (end = memchr(helper->buffer + at, '\n', helper->held - at));) {
        size_t n = (size_t)(end - helper->buffer) - at;
        helper->events->line(helper->arg, helper->buffer + at, n);
        at += n + 1;
    }
    helper->held -= at;
    memmove(helper->buffer, helper->buffer + at, helper->held);
    if (helper->held < sizeof(helper->buffer))
        return;
    helper->events->line(helper->arg, helper->buffer, helper->held);
    helper->held = 0;
}

static void end_watch(struct sb_watch **watch)
{
    *watch = sb_watch_free(*watch);
}

/* False: nothing more now (or ever). */
static bool read_once(struct sb_fetch_helper *helper)
{
    ssize_t n;
    do
        n = read(helper->out, helper->buffer + helper->held, sizeof(helper->buffer) - helper->held);
    while (n < 0 && errno == EINTR);
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN)
            end_watch(&helper->out_watch);
        return false;
    }
    helper->held += (size_t)n;
    give_lines(helper);
    return true;
}

static void on_output(void *arg, unsigned ready)
{
    (void)ready;
    for (int i = 0; i < READS_TURN && read_once(arg); i++)
        ;
}

static void say_log(struct sb_fetch_helper *helper, size_t n)
{
    if (n > 0)
        sb_debug(NULL, "fetch: helper %d: %.*s", (int)helper->pid, (int)n, helper->log_buffer);
}

static void read_log(struct sb_fetch_helper *helper)
{
    ssize_t n = read(helper->log, helper->log_buffer + helper->log_held,
                     sizeof(helper->log_buffer) - helper->log_held);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        end_watch(&helper->log_watch);
    if (n <= 0)
        return;
    helper->log_held += (size_t)n;
    char *end;
    while ((end = memchr(helper->log_buffer, '\n', helper->log_held)) ||
           helper->log_held == sizeof(helper->log_buffer)) {
        size_t line = end ? (size_t)(end - helper->log_buffer) : helper->log_held;
        say_log(helper, line);
        size_t used = end ? line + 1 : line;
        helper->log_held -= used;
        memmove(helper->log_buffer, helper->log_buffer + used, helper->log_held);
    }
}

static void on_log(void *arg, unsigned ready)
{
    (void)ready;
    read_log(arg);
}

/* -- Its end -------------------------------------------------------------------------------------
 */

static bool reap(struct sb_fetch_helper *helper, siginfo_t *info)
{
    *info = (siginfo_t){ 0 };
    if (waitid(P_PIDFD, (id_t)helper->process, info, WEXITED | WNOHANG) < 0)
        return errno == ECHILD;
    return info->si_pid != 0;
}

static void on_exit_of(void *arg, unsigned ready)
{
    struct sb_fetch_helper *helper = arg;
    siginfo_t info;
    (void)ready;
    if (!reap(helper, &info))
        return;
    helper->reaped = true;
    end_watch(&helper->process_watch);
    while (read_once(helper))
        ;
    read_log(helper);
    say_log(helper, helper->log_held);
    sb_cleanup(sb_freep) char *why =
        info.si_code == CLD_EXITED
            ? sb_format("the download helper ended with status %d", info.si_status)
            : sb_format("the download helper was ended by signal %d (%s)", info.si_status,
                        sigdescr_np(info.si_status));
    helper->events->ended(helper->arg, why ? why : "the download helper ended");
}

void sb_fetch_helper_kill(struct sb_fetch_helper *helper)
{
    if (!helper->reaped)
        (void)pidfd_send_signal(helper->process, SIGKILL, NULL, 0);
}

static void wait_for(struct sb_fetch_helper *helper)
{
    siginfo_t info;
    struct pollfd waiting = { .fd = helper->process, .events = POLLIN };
    sb_fetch_helper_kill(helper);
    while (poll(&waiting, 1, REAP_MS) < 0 && errno == EINTR)
        ;
    if (!reap(helper, &info))
        sb_error(NULL, "fetch: helper %d does not end", (int)helper->pid);
    helper->reaped = true;
}

struct sb_fetch_helper *sb_fetch_helper_free(struct sb_fetch_helper *helper)
{
    if (!helper)
        return NULL;
    end_watch(&helper->process_watch);
    end_watch(&helper->out_watch);
    end_watch(&helper->log_watch);
    if (helper->process >= 0 && !helper->reaped)
        wait_for(helper);
    const int fds[] = { helper->process, helper->out, helper->log };
    for (size_t i = 0; i < SB_COUNT(fds); i++)
        sb_closep(&fds[i]);
    free(helper);
    return NULL;
}
SB_DEFINE_CLEANUP(struct sb_fetch_helper *, sb_fetch_helper_free)

/* -- Its start -----------------------------------------------------------------------------------
 */

/* A file in memory: takes the whole line without waiting for a reader, and no disk ever sees it.
 * *ret is the caller's to close, also on failure. */
static int line_file(const char *line, int *ret)
{
    int fd = memfd_create("southbridge-fetch-spec", MFD_CLOEXEC);
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

static int spawn(const char *program, const int fds[3], pid_t *ret)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    char name[] = "southbridge-fetch";
    char *const argv[] = { name, NULL };
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

static int launch(struct sb_fetch_helper *helper, const char *program, const char *line)
{
    sb_cleanup(sb_closep) int in = -1;
    sb_cleanup(sb_closep) int out = -1;
    sb_cleanup(sb_closep) int log = -1;
    int r = line_file(line, &in);
    if (r == 0)
        r = pipe_to(&helper->out, &out);
    if (r == 0)
        r = pipe_to(&helper->log, &log);
    const int fds[3] = { in, out, log };
    if (r == 0)
        r = spawn(program, fds, &helper->pid);
    if (r < 0)
        return r;
    helper->process = pidfd_open(helper->pid, 0);
    if (helper->process >= 0)
        return 0;
    r = -errno; /* it is our child still, so its id is its own */
    (void)kill(helper->pid, SIGKILL);
    (void)waitpid(helper->pid, NULL, 0);
    return r;
}

int sb_fetch_helper_start(struct sb_loop *loop, const char *program, const char *line,
                          const struct sb_fetch_helper_events *events, void *arg,
                          struct sb_fetch_helper **ret)
{
    sb_cleanup(sb_fetch_helper_freep) struct sb_fetch_helper *helper = calloc(1, sizeof(*helper));
    if (!helper)
        return -ENOMEM;
    helper->events = events;
    helper->arg = arg;
    helper->process = helper->out = helper->log = -1;
    int r = launch(helper, program, line);
    if (r == 0)
        r = sb_watch_new(loop, helper->out, SB_READABLE, on_output, helper, &helper->out_watch);
    if (r == 0)
        r = sb_watch_new(loop, helper->log, SB_READABLE, on_log, helper, &helper->log_watch);
    if (r == 0)
        r = sb_watch_new(loop, helper->process, SB_READABLE, on_exit_of, helper,
                         &helper->process_watch);
    if (r == 0)
        *ret = SB_STEAL(helper);
    return r;
}
