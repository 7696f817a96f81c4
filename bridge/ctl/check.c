/* SPDX-License-Identifier: Apache-2.0 */
/* `mapping check`: the daemon's program checks files, so that no daemon needs to run. And how that
 * program is found and run. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <sys/wait.h>

#include "bridge/base/str.h"
#include "bridge/ctl/ctl.h"

#define DAEMON     "southbridge"
#define OUTPUT_MAX ((size_t)4 << 20)

/* The daemon's program beside this one, or in the sbin beside its bin; NULL: search $PATH. */
static char *find_daemon(void)
{
    static const char *const places[] = { "", "/../sbin" };
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    while (n > 0 && self[n - 1] != '/')
        n--;
    if (n <= 0)
        return NULL;
    for (size_t i = 0; i < SB_COUNT(places); i++) {
        char *path = sb_format("%.*s%s/" DAEMON, (int)n - 1, self, places[i]);
        if (path && access(path, X_OK) == 0)
            return path;
        free(path);
    }
    return NULL;
}

static enum sb_exit cannot(struct sb_ctl *ctl, const char *program, int error)
{
    return sb_ctl_fail(ctl, SB_EXIT_FAILED, "failed",
                       "cannot run the daemon's program %s, which does this: %s", program,
                       strerror(error));
}

/* Its standard output goes into `out` when there is one. */
static int start(const char *path, char **argv, int out, pid_t *ret)
{
    posix_spawn_file_actions_t actions;
    int r = posix_spawn_file_actions_init(&actions);
    if (r)
        return r;
    if (out >= 0)
        r = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    if (!r)
        r = path ? posix_spawn(ret, path, &actions, NULL, argv, environ)
                 : posix_spawnp(ret, argv[0], &actions, NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    return r;
}

/* To its end; what is too much is read and thrown away. */
static void read_output(int fd, struct sb_str *output)
{
    char buffer[4096];
    for (ssize_t n; (n = read(fd, buffer, sizeof(buffer))) != 0;) {
        if (n < 0 && errno != EINTR)
            return;
        if (n > 0 && output->length < OUTPUT_MAX)
            sb_str_add_bytes(output, buffer, (size_t)n);
    }
}

enum sb_exit sb_ctl_program(struct sb_ctl *ctl, char **argv, struct sb_str *ret_output,
                            int *ret_status)
{
    sb_cleanup(sb_freep) char *path = find_daemon();
    int ends[2] = { -1, -1 }, status;
    pid_t child;
    (void)fflush(ctl->out);
    if (ret_output && pipe2(ends, O_CLOEXEC) < 0)
        return cannot(ctl, argv[0], errno);
    int r = start(path, argv, ends[1], &child);
    sb_closep(&ends[1]);
    if (r == 0 && ret_output)
        read_output(ends[0], ret_output);
    sb_closep(&ends[0]);
    if (r)
        return cannot(ctl, path ? path : argv[0], r);
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return sb_ctl_fail(ctl, SB_EXIT_FAILED, "failed", "%s", strerror(errno));
    if (!WIFEXITED(status))
        return sb_ctl_fail(ctl, SB_EXIT_FAILED, "failed", "%s was killed by signal %d", argv[0],
                           WTERMSIG(status));
    *ret_status = WEXITSTATUS(status);
    return SB_EXIT_DONE;
}

enum sb_exit sb_run_mapping_check(struct sb_ctl *ctl, struct sb_order *order)
{
    sb_cleanup(sb_freep) char **argv = calloc(order->file_count + 4, sizeof(*argv));
    int status = 0;
    if (!argv)
        return sb_ctl_fail(ctl, SB_EXIT_FAILED, "failed", "out of memory");
    argv[0] = (char *)DAEMON;
    argv[1] = (char *)"--check-mapping";
    argv[2] = (char *)"--";
    memcpy(argv + 3, order->files, order->file_count * sizeof(*argv));
    enum sb_exit code = sb_ctl_program(ctl, argv, NULL, &status);
    return code == SB_EXIT_DONE && status != 0 ? SB_EXIT_FAILED : code;
}
