/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/meter.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define SAMPLES_MAX ((size_t)4 * 1024 * 1024)

int64_t bench_now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t read_number(const char *path)
{
    char text[64] = { 0 };
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (fd >= 0)
        (void)close(fd);
    return n > 0 ? strtoll(text, NULL, 10) : 0;
}

/* ns on a processor, of all threads of the peer */
static int64_t peer_cpu(unsigned pid)
{
    char path[PATH_MAX];
    int64_t sum = 0;
    (void)snprintf(path, sizeof(path), "/proc/%u/task", pid);
    DIR *folder = opendir(path);
    for (const struct dirent *entry; folder && (entry = readdir(folder));) {
        (void)snprintf(path, sizeof(path), "/proc/%u/task/%s/schedstat", pid, entry->d_name);
        sum += entry->d_name[0] == '.' ? 0 : read_number(path);
    }
    if (folder)
        (void)closedir(folder);
    return sum;
}

static struct bench_reading look(const struct bench_meter *meter)
{
    struct rusage own = { 0 };
    (void)getrusage(RUSAGE_SELF, &own);
    struct bench_reading reading = {
        .at = bench_now_us(),
        .cpu = peer_cpu(meter->pid) / 1000,
        .own = (own.ru_utime.tv_sec + own.ru_stime.tv_sec) * 1000000 + own.ru_utime.tv_usec +
               own.ru_stime.tv_usec,
    };
    if (meter->shared)
        reading.counters = *meter->shared;
    return reading;
}

bool bench_meter_new(struct bench_meter *meter)
{
    *meter = (struct bench_meter){ .samples = calloc(SAMPLES_MAX, sizeof(*meter->samples)) };
    return meter->samples != NULL;
}

static const struct bench_counters *map_counters(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *at = fd < 0 ? MAP_FAILED
                      : mmap(NULL, sizeof(struct bench_counters), PROT_READ, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
        (void)fprintf(stderr, "bench: cannot read the counters of %s\n", path);
        exit(1);
    }
    (void)close(fd);
    return at;
}

void bench_meter_watch(struct bench_meter *meter, unsigned pid, const char *path)
{
    meter->pid = pid;
    meter->shared = path && *path ? map_counters(path) : NULL;
    (void)printf("{\"watching\":%u}\n", pid);
}

void bench_meter_begin(struct bench_meter *meter)
{
    meter->count = 0;
    meter->done = meter->bad = 0;
    meter->from = look(meter);
}

void bench_meter_add(struct bench_meter *meter, int64_t spent)
{
    meter->done++;
    if (meter->count < SAMPLES_MAX)
        meter->samples[meter->count++] = (uint32_t)(spent > UINT32_MAX ? UINT32_MAX : spent);
}

/* What is still open counts with the times, not with the rate. */
void bench_meter_end(struct bench_meter *meter)
{
    meter->to = look(meter);
    meter->rated = meter->done;
}

static int compare(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

void bench_meter_report(struct bench_meter *meter)
{
    size_t n = meter->count;
    const struct bench_reading *from = &meter->from, *to = &meter->to;
    const struct bench_counters *a = &from->counters, *b = &to->counters;
    double each = meter->rated ? 1.0 / (double)meter->rated : 0;
    qsort(meter->samples, n, sizeof(*meter->samples), compare);
    (void)printf("{\"done\":%llu,\"bad\":%llu,\"seconds\":%.3f,\"rate\":%.1f,\"p50\":%u,\"p99\":%u,"
                 "\"cpu\":%.2f,\"load_cpu\":%.2f",
                 (unsigned long long)meter->rated, (unsigned long long)meter->bad,
                 (double)(to->at - from->at) / 1e6,
                 (double)meter->rated * 1e6 / (double)(to->at - from->at),
                 n ? meter->samples[n / 2] : 0, n ? meter->samples[n - 1 - n / 100] : 0,
                 (double)(to->cpu - from->cpu) * each, (double)(to->own - from->own) * each);
    if (meter->shared)
        (void)printf(
            ",\"syncs\":%.3f,\"sync_us\":%.1f,\"written\":%.0f,\"allocs\":%.1f",
            (double)(b->syncs - a->syncs) * each, (double)(b->sync_ns - a->sync_ns) * each / 1000,
            (double)(b->written - a->written) * each, (double)(b->allocs - a->allocs) * each);
    (void)printf("}\n");
}
