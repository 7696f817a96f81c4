/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/fetch/limits.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define MEMORY      ((rlim_t)256 * 1024 * 1024)
#define DESCRIPTORS 64
#define FILE_LEAST  4096 /* room for the meta file */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1 /* shadow memory and the leak check need what is refused here */
#else
#define SANITIZED 0
#endif

static int limit(int resource, rlim_t value)
{
    const struct rlimit both = { .rlim_cur = value, .rlim_max = value };
    return setrlimit((__rlimit_resource_t)resource, &both) < 0 ? -errno : 0;
}

int sb_limits_enter(void)
{
    static const struct {
        int resource;
        rlim_t value;
    } limits[] = {
        { RLIMIT_CORE, 0 },
        { RLIMIT_NOFILE, DESCRIPTORS },
        { RLIMIT_NPROC, 0 },
        { RLIMIT_AS, MEMORY },
    };
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    (void)close_range(3, ~0u, 0);
    (void)signal(SIGPIPE, SIG_IGN); /* write() says it */
    (void)signal(SIGXFSZ, SIG_IGN);
    for (size_t i = 0; i < SB_COUNT(limits) - (SANITIZED ? 2 : 0); i++) {
        int r = limit(limits[i].resource, limits[i].value);
        if (r < 0)
            return r;
    }
    return 0;
}

int sb_limits_file_size(int64_t max_bytes)
{
    return limit(RLIMIT_FSIZE, (rlim_t)SB_MAX(max_bytes, (int64_t)FILE_LEAST));
}
