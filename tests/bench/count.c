/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts what a program asks of disk and heap; for LD_PRELOAD. The counters are in a file that is
 * mapped, so that another program reads them while this one runs. Without SB_BENCH_COUNTERS it
 * counts for itself.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/count.h"

void *__libc_malloc(size_t size);               /* NOLINT: glibc's own */
void *__libc_calloc(size_t count, size_t size); /* NOLINT */
void *__libc_realloc(void *old, size_t size);   /* NOLINT */

static struct bench_counters own, *counters = &own;

__attribute__((constructor)) static void open_counters(void)
{
    const char *path = getenv("SB_BENCH_COUNTERS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *at =
        fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(own), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at != MAP_FAILED)
        counters = at;
    if (fd >= 0)
        (void)close(fd);
}

static void add(uint64_t *counter, uint64_t n)
{
    (void)__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static int sync_by(long number, int fd)
{
    uint64_t begun = now_ns();
    int r = (int)syscall(number, fd);
    add(&counters->syncs, 1);
    add(&counters->sync_ns, now_ns() - begun);
    return r;
}

int fsync(int fd)
{
    return sync_by(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return sync_by(SYS_fdatasync, fd);
}

ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at)
{
    add(&counters->written, n);
    return syscall(SYS_pwrite64, fd, data, n, at);
}

void *malloc(size_t size)
{
    add(&counters->allocs, 1);
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    add(&counters->allocs, 1);
    return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    add(&counters->allocs, 1);
    return __libc_realloc(old, size);
}
