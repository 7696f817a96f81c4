/* SPDX-License-Identifier: Apache-2.0 */
/* `mapping check`: the daemon's program checks files, so that no daemon needs to run. */
#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <sys/wait.h>

#include "bridge/base/str.h"
#include "bridge/ctl/ctl.h"

#define DAEMON "southbridge"

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

/* Its findings go to the terminal by themselves; 2 is what it says of findings. */
static enum sb_exit run(struct sb_ctl *ctl, const char *path, char **argv)
{
    pid_t child;
    int status;
    int r = path ? posix_spawn(&child, path, NULL, NULL, argv, environ)
                 : posix_spawnp(&child, DAEMON, NULL, NULL, argv, environ);
    if (r != 0)
        return sb_ctl_fail(ctl, SB_EXIT_FAILED, "failed",
                           "cannot run the daemon's program %s, which checks mappings: %s",
                           path ? path : DAEMON, strerror(r));
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return sb_ctl_fail(ctl, SB_EXIT_FAILED, "failed", "%s", strerror(errno));
    if (!WIFEXITED(status))
        return sb_ctl_fail(ctl, SB_EXIT_FAILED, "failed", "%s was killed by signal %d", argv[0],
                           WTERMSIG(status));
    return WEXITSTATUS(status) == 0 ? SB_EXIT_DONE : SB_EXIT_FAILED;
}

enum sb_exit sb_run_mapping_check(struct sb_ctl *ctl, struct sb_order *order)
{
    sb_cleanup(sb_freep) char *path = find_daemon();
    sb_cleanup(sb_freep) char **argv = calloc(order->file_count + 4, sizeof(*argv));
    if (!argv)
        return sb_ctl_fail(ctl, SB_EXIT_FAILED, "failed", "out of memory");
    argv[0] = (char *)DAEMON;
    argv[1] = (char *)"--check-mapping";
    argv[2] = (char *)"--";
    memcpy(argv + 3, order->files, order->file_count * sizeof(*argv));
    (void)fflush(ctl->out);
    return run(ctl, path, argv);
}
