/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <sys/statvfs.h>

int sb_set_string(char **slot, const char *text)
{
    char *copy = text ? strdup(text) : NULL; /* first, since text may be part of *slot */
    if (text && !copy)
        return -ENOMEM;
    free(*slot);
    *slot = copy;
    return 0;
}

void sb_strings_done(struct sb_strings *strings)
{
    for (size_t i = 0; i < strings->count; i++)
        free(strings->list[i]);
    free(strings->list);
    *strings = (struct sb_strings){ 0 };
}

int sb_strings_add(struct sb_strings *strings, const char *text)
{
    char **list = reallocarray(strings->list, strings->count + 1, sizeof *list);
    if (!list)
        return -ENOMEM;
    strings->list = list;
    if (!(list[strings->count] = strdup(text)))
        return -ENOMEM;
    strings->count++;
    return 0;
}

int sb_read_at(int fd, int64_t at, void *ret, size_t n)
{
    uint8_t *to = ret;
    while (n > 0) {
        ssize_t got = pread(fd, to, n, at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -ENODATA;
        to += got;
        at += got;
        n -= (size_t)got;
    }
    return 0;
}

/* Opened the wrong way round: using them fails as before. */
void sb_std_hold(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
            abort();
}

void sb_heap_split(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, 16 * 1024);
}

int64_t sb_disk_free(const char *path)
{
    struct statvfs fs;
    if (statvfs(path, &fs) < 0)
        return -1;
    int64_t unit = (int64_t)(fs.f_frsize ? fs.f_frsize : fs.f_bsize);
    return (int64_t)fs.f_bavail > INT64_MAX / 2 / unit ? INT64_MAX / 2
                                                       : (int64_t)fs.f_bavail * unit;
}
