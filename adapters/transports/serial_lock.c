/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/transports/serial_lock.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "bridge/base/str.h"

char *sb_serial_lock_path(const char *directory, const char *path)
{
    const char *name = strncmp(path, "/dev/", 5) == 0 ? path + 5 : path;
    struct sb_str s = { 0 };
    sb_str_format(&s, "%s/LCK..", directory);
    for (; *name; name++)
        sb_str_add_char(&s, (char)(*name == '/' ? '_' : *name));
    return sb_str_take(&s);
}

static pid_t parse_pid(const char *text)
{
    char *end;
    errno = 0;
    long pid = strtol(text, &end, 10);
    return errno || end == text || pid <= 0 || pid > INT32_MAX ? 0 : (pid_t)pid;
}

/* At most n - 1 bytes of a small file, NUL-terminated. */
static int read_small(const char *file, char *ret, size_t n)
{
    sb_cleanup(sb_closep) int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    ssize_t got = read(fd, ret, n - 1);
    if (got < 0)
        return -errno;
    ret[got] = '\0';
    return 0;
}

static pid_t read_pid(const char *file)
{
    char text[32];
    return read_small(file, text, sizeof(text)) < 0 ? 0 : parse_pid(text);
}

int sb_serial_has_open(pid_t pid, dev_t device)
{
    sb_cleanup(sb_freep) char *folder = sb_format("/proc/%d/fd", (int)pid);
    DIR *fds = folder ? opendir(folder) : NULL;
    if (!fds)
        return folder ? -errno : -ENOMEM;
    int found = 0;
    for (struct dirent *entry; !found && (entry = readdir(fds));) {
        struct stat st;
        found = isdigit((unsigned char)entry->d_name[0]) &&
                fstatat(dirfd(fds), entry->d_name, &st, 0) == 0 && S_ISCHR(st.st_mode) &&
                st.st_rdev == device;
    }
    (void)closedir(fds);
    return found;
}

pid_t sb_serial_lock_holder(const char *file, dev_t device)
{
    pid_t pid = read_pid(file);
    if (pid == 0 || pid == getpid())
        return 0;
    if (kill(pid, 0) < 0 && errno == ESRCH)
        return 0;
    /* A number used again by a process that has nothing to do with the line. */
    return sb_serial_has_open(pid, device) == 0 ? 0 : pid;
}

int sb_serial_lock_take(const char *file, dev_t device)
{
    sb_cleanup(sb_freep) char *fresh = sb_format("%s.%d", file, (int)getpid());
    if (!fresh)
        return -ENOMEM;
    sb_cleanup(sb_closep) int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    int r = dprintf(fd, "%10d\n", (int)getpid()) == 11 ? 0 : -EIO;
    for (int tries = 0; r == 0 && tries < 3; tries++) {
        if (link(fresh, file) == 0)
            break;
        r = errno == EEXIST ? 0 : -errno;
        if (r == 0 && sb_serial_lock_holder(file, device) != 0)
            r = -EBUSY;
        if (r == 0)
            (void)unlink(file); /* stale */
    }
    (void)unlink(fresh);
    return r;
}

void sb_serial_lock_drop(const char *file)
{
    if (file && read_pid(file) == getpid())
        (void)unlink(file);
}

/* "1: FLOCK  ADVISORY  WRITE 4711 00:18:5 0 EOF"; the file as major:minor:inode. */
static pid_t flock_of(char *line, const char *file)
{
    enum { KIND = 1, PID = 4, FILE_ = 5, FIELDS };
    const char *fields[FIELDS] = { 0 };
    char *rest = line;
    size_t n = 0;
    for (char *word; n < FIELDS && (word = strsep(&rest, " \n"));)
        if (*word)
            fields[n++] = word;
    bool same = n == FIELDS && sb_streq(fields[KIND], "FLOCK") && sb_streq(fields[FILE_], file);
    return same ? parse_pid(fields[PID]) : 0;
}

pid_t sb_serial_flock_holder(const struct stat *st)
{
    char line[256];
    pid_t found = 0;
    sb_cleanup(sb_freep) char *file =
        sb_format("%02x:%02x:%lu", major(st->st_dev), minor(st->st_dev), (unsigned long)st->st_ino);
    FILE *locks = file ? fopen("/proc/locks", "re") : NULL;
    while (locks && found == 0 && fgets(line, sizeof(line), locks))
        found = flock_of(line, file);
    if (locks)
        (void)fclose(locks);
    return found == getpid() ? 0 : found;
}

pid_t sb_serial_opener(dev_t device, pid_t but)
{
    DIR *proc = opendir("/proc");
    if (!proc)
        return 0;
    pid_t found = 0;
    for (struct dirent *entry; !found && (entry = readdir(proc));) {
        pid_t pid = isdigit((unsigned char)entry->d_name[0]) ? parse_pid(entry->d_name) : 0;
        if (pid != 0 && pid != getpid() && pid != but && sb_serial_has_open(pid, device) == 1)
            found = pid;
    }
    (void)closedir(proc);
    return found;
}

char *sb_serial_program(pid_t pid)
{
    char name[32];
    sb_cleanup(sb_freep) char *file = sb_format("/proc/%d/comm", (int)pid);
    if (!file || read_small(file, name, sizeof(name)) < 0)
        return NULL;
    name[strcspn(name, "\n")] = '\0';
    return strdup(name);
}
