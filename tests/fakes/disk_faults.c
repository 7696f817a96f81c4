/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk with faults, for a program that is not asked: a library to preload.
 *
 * SB_DISK_FAULTS names a file with one rule in each line, looked at anew in every call:
 *     <call> <number> <ms> <from> <path>
 * call: write (and what makes a file longer), sync, open (for writing) or move (rename); number:
 * the errno it fails with, 0 for none; ms: how long it takes beforehand; from: the offset from
 * which writes fail; path: files whose path begins so. `space <bytes> 0 0 <path>` says how much is
 * free below path. The first rule that fits counts.
 *
 * Thread: any; it has no state. System calls are made directly, so it does not matter who else
 * stands before libc.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define RULES_MAX 4096

struct rule {
    long long number, ms, from;
};

static long read_rules(char *buffer)
{
    const char *name = getenv("SB_DISK_FAULTS");
    long fd = name ? syscall(SYS_openat, AT_FDCWD, name, O_RDONLY | O_CLOEXEC) : -1;
    long n = fd >= 0 ? syscall(SYS_read, fd, buffer, RULES_MAX - 1) : 0;
    if (fd >= 0)
        (void)syscall(SYS_close, fd);
    buffer[n > 0 ? n : 0] = '\0';
    return n;
}

static int parse(char *line, const char *call, const char *path, struct rule *ret)
{
    char *save = NULL;
    const char *words[5] = { NULL };
    for (int i = 0; i < 5; i++)
        words[i] = strtok_r(i == 0 ? line : NULL, " ", &save);
    if (!words[4] || strcmp(words[0], call) != 0 || strncmp(path, words[4], strlen(words[4])) != 0)
        return 0;
    *ret = (struct rule){ strtoll(words[1], NULL, 10), strtoll(words[2], NULL, 10),
                          strtoll(words[3], NULL, 10) };
    return 1;
}

static int find(const char *call, const char *path, struct rule *ret)
{
    char rules[RULES_MAX];
    char *save = NULL;
    if (read_rules(rules) <= 0)
        return 0;
    for (char *line = strtok_r(rules, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        if (parse(line, call, path, ret))
            return 1;
    return 0;
}

static void pause_for(long long ms)
{
    struct timespec time = { ms / 1000, ms % 1000 * 1000000 };
    if (ms > 0)
        (void)syscall(SYS_nanosleep, &time, NULL);
}

/* 0, or -1 with errno set. end: where a write would end; -1: no matter. */
static int judge_path(const char *call, const char *path, long long end)
{
    struct rule rule;
    if (!find(call, path, &rule))
        return 0;
    pause_for(rule.ms);
    if (rule.number == 0 || (end >= 0 && end <= rule.from))
        return 0;
    errno = (int)rule.number;
    return -1;
}

static int judge_fd(const char *call, int fd, long long end)
{
    char link[64], path[PATH_MAX];
    int before = errno;
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    long n = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof(path) - 1);
    errno = before;
    if (n <= 0 || path[0] != '/')
        return 0;
    path[n] = '\0';
    return judge_path(call, path, end);
}

/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): libc's names are reserved */

/* ---- writing ---- */

ssize_t write(int fd, const void *bytes, size_t n)
{
    long long at = fd > 2 ? syscall(SYS_lseek, fd, 0, SEEK_CUR) : -1;
    if (fd > 2 && at >= 0 && judge_fd("write", fd, at + (long long)n) < 0)
        return -1;
    return syscall(SYS_write, fd, bytes, n);
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at)
{
    if (judge_fd("write", fd, at + (long long)n) < 0)
        return -1;
    return syscall(SYS_pwrite64, fd, bytes, n, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    return pwrite64(fd, bytes, n, at);
}

int fallocate64(int fd, int mode, off64_t at, off64_t n)
{
    if (judge_fd("write", fd, at + n) < 0)
        return -1;
    return (int)syscall(SYS_fallocate, fd, mode, at, n);
}

int fallocate(int fd, int mode, off_t at, off_t n)
{
    return fallocate64(fd, mode, at, n);
}

int posix_fallocate64(int fd, off64_t at, off64_t n)
{
    return fallocate64(fd, 0, at, n) < 0 ? errno : 0;
}

int posix_fallocate(int fd, off_t at, off_t n)
{
    return posix_fallocate64(fd, at, n);
}

/* ---- syncing ---- */

int fsync(int fd)
{
    return judge_fd("sync", fd, -1) < 0 ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return judge_fd("sync", fd, -1) < 0 ? -1 : (int)syscall(SYS_fdatasync, fd);
}

/* ---- names ---- */

static int open_at(int folder, const char *path, int flags, unsigned mode)
{
    if ((flags & (O_WRONLY | O_RDWR | O_CREAT)) && judge_path("open", path, -1) < 0)
        return -1;
    return (int)syscall(SYS_openat, folder, path, flags, mode);
}

#define OPEN(folder, path, flags)                                                                  \
    va_list ap;                                                                                    \
    va_start(ap, flags);                                                                           \
    unsigned mode = (flags) & (O_CREAT | O_TMPFILE) ? va_arg(ap, unsigned) : 0;                    \
    va_end(ap);                                                                                    \
    return open_at(folder, path, flags, mode)

int open(const char *path, int flags, ...)
{
    OPEN(AT_FDCWD, path, flags);
}

int open64(const char *path, int flags, ...)
{
    OPEN(AT_FDCWD, path, flags);
}

int openat(int folder, const char *path, int flags, ...)
{
    OPEN(folder, path, flags);
}

int openat64(int folder, const char *path, int flags, ...)
{
    OPEN(folder, path, flags);
}

int rename(const char *from, const char *to)
{
    if (judge_path("move", to, -1) < 0)
        return -1;
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

/* ---- room ---- */

/* Pages of 4 KiB, as many as the rule says. */
int statvfs64(const char *path, struct statvfs64 *ret)
{
    struct rule rule = { 1 << 30, 0, 0 };
    (void)find("space", path, &rule);
    *ret = (struct statvfs64){ .f_bsize = 4096,
                               .f_frsize = 4096,
                               .f_blocks = 1 << 20,
                               .f_bfree = (unsigned long)rule.number / 4096,
                               .f_bavail = (unsigned long)rule.number / 4096,
                               .f_files = 1 << 16,
                               .f_ffree = 1 << 16,
                               .f_favail = 1 << 16 };
    return 0;
}

int statvfs(const char *path, struct statvfs *ret)
{
    return statvfs64(path, (struct statvfs64 *)(void *)ret); /* the same, where files are large */
}

/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
