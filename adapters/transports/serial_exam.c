/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/transports/serial_exam.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "adapters/transports/serial.h"
#include "adapters/transports/serial_lock.h"
#include "bridge/base/str.h"

#define BY_PATH "/dev/serial/by-path"
#define DRIVERS "/proc/tty/drivers"

/* Decimal, at the front; moves on. UINT_MAX: no number. */
static unsigned number(const char **at)
{
    char *end;
    unsigned long n = isdigit((unsigned char)**at) ? strtoul(*at, &end, 10) : UINT_MAX;
    if (n >= UINT_MAX)
        return UINT_MAX;
    *at = end;
    return (unsigned)n;
}

/* "serial  /dev/ttyS  4 64-95 serial": major, then one minor or a range. */
static bool covers(const char *line, dev_t device)
{
    const char *at = line;
    for (int i = 0; i < 2; i++) { /* driver and node */
        at += strcspn(at, " ");
        at += strspn(at, " ");
    }
    bool same = number(&at) == major(device);
    at += strspn(at, " ");
    unsigned first = number(&at), last = first;
    if (*at == '-') {
        at++;
        last = number(&at);
    }
    return same && first != UINT_MAX && last != UINT_MAX && minor(device) >= first &&
           minor(device) <= last;
}

bool sb_serial_is_tty(const char *drivers, dev_t device)
{
    char line[256];
    bool found = false;
    FILE *file = fopen(drivers, "re");
    if (!file)
        return true;
    while (!found && fgets(line, sizeof(line), file))
        found = covers(line, device);
    (void)fclose(file);
    return found;
}

bool sb_serial_is_numbered(const char *path)
{
    static const char *const kinds[] = { "/dev/ttyUSB", "/dev/ttyACM" };
    for (size_t i = 0; i < SB_COUNT(kinds); i++)
        if (strncmp(path, kinds[i], strlen(kinds[i])) == 0)
            return true;
    return false;
}

char *sb_serial_stable_link(const char *directory, const char *path)
{
    DIR *links = opendir(directory);
    char *found = NULL;
    if (!links)
        return NULL;
    for (struct dirent *entry; !found && (entry = readdir(links));) {
        char *name = entry->d_name[0] == '.' ? NULL : sb_format("%s/%s", directory, entry->d_name);
        sb_cleanup(sb_freep) char *target = name ? realpath(name, NULL) : NULL;
        if (sb_streq(target, path))
            found = name;
        else
            free(name);
    }
    (void)closedir(links);
    return found;
}

/* ---- the parts of the examination ---- */

static void say_missing(const struct sb_serial_config *c, int error, struct sb_exam *exam)
{
    if (error == EACCES)
        sb_exam_say(exam, SB_HEALTH_FAILED, "let the daemon's user into the directories above it",
                    "%s: permission denied on the way to it", c->port);
    else
        sb_exam_take(exam, SB_HEALTH_FAILED,
                     sb_format("plug it in, or name another port; those that are there: ls " BY_PATH
                               " %s",
                               strncmp(c->port, "/dev/tty", 8) == 0 ? "/dev/tty*" : "/dev/ttyS*"),
                     sb_format("%s is not there: %s", c->port, strerror(error)));
}

static void look_at_rights(const char *path, const struct stat *st, struct sb_exam *exam)
{
    if (faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) == 0)
        return;
    int error = errno;
    const struct group *group = getgrgid(st->st_gid);
    char *remedy = group && st->st_gid != 0
                       ? sb_format("let the daemon's user into the group '%s' (usermod -aG %s "
                                   "USER), and start the daemon again",
                                   group->gr_name, group->gr_name)
                       : sb_format("give the device to a group that the daemon's user is in, by a "
                                   "udev rule");
    sb_exam_take(exam, SB_HEALTH_FAILED, remedy,
                 sb_format("%s: user %u may not read and write it (mode %04o, group %s): %s", path,
                           (unsigned)geteuid(), (unsigned)st->st_mode & 07777u,
                           group ? group->gr_name : "?", strerror(error)));
}

static pid_t find_holder(const struct sb_serial_config *c, const char *path, const struct stat *st,
                         pid_t daemon)
{
    sb_cleanup(sb_freep) char *lock = sb_serial_lock_path(c->lock_directory, path);
    pid_t holder = c->lock && lock ? sb_serial_lock_holder(lock, st->st_rdev) : 0;
    if (holder == 0)
        holder = sb_serial_flock_holder(st);
    if (holder == 0 || holder == daemon) /* beside the daemon there may be one without a lock */
        holder = sb_serial_opener(st->st_rdev, daemon);
    return holder;
}

static void look_at_holder(const struct sb_serial_config *c, const char *path,
                           const struct stat *st, pid_t daemon, struct sb_exam *exam)
{
    pid_t holder = find_holder(c, path, st, daemon);
    if (holder == 0)
        return;
    sb_cleanup(sb_freep) char *program = sb_serial_program(holder);
    bool ours = daemon && sb_serial_has_open(daemon, st->st_rdev) == 1;
    sb_exam_take(
        exam, ours ? SB_HEALTH_WARNING : SB_HEALTH_FAILED,
        sb_format("stop it (`ps %d` shows it), or give this bus another port", (int)holder),
        sb_format("%s is %s by process %d (%s)", path, ours ? "also open here and read" : "held",
                  (int)holder, program ? program : "program not known"));
}

static void look_at_name(const struct sb_serial_config *c, const char *path, struct sb_exam *exam)
{
    if (!sb_serial_is_numbered(c->port))
        return;
    sb_cleanup(sb_freep) char *stable = sb_serial_stable_link(BY_PATH, path);
    sb_exam_take(exam, SB_HEALTH_WARNING,
                 sb_format("use port: %s", stable ? stable : "a link under " BY_PATH),
                 sb_format("%s may be another device after it was plugged in again", c->port));
}

void sb_serial_examine(const void *config, int daemon, struct sb_exam *exam)
{
    const struct sb_serial_config *c = config;
    sb_cleanup(sb_freep) char *path = realpath(c->port, NULL);
    size_t before = exam->count;
    struct stat st;
    if (!path || stat(path, &st) < 0) {
        say_missing(c, errno, exam);
        return;
    }
    if (!S_ISCHR(st.st_mode) || !sb_serial_is_tty(DRIVERS, st.st_rdev)) {
        sb_exam_say(exam, SB_HEALTH_FAILED, "name a tty, best a link under " BY_PATH,
                    "%s is not a serial line", c->port);
        return;
    }
    look_at_rights(path, &st, exam);
    look_at_holder(c, path, &st, daemon, exam);
    look_at_name(c, path, exam);
    if (exam->count > before)
        return;
    bool open = daemon && sb_serial_has_open(daemon, st.st_rdev) == 1;
    sb_exam_say(exam, SB_HEALTH_OK, NULL, "%s%s%s, %lld baud, %s", c->port,
                strcmp(path, c->port) == 0 ? "" : " -> ", strcmp(path, c->port) == 0 ? "" : path,
                (long long)c->baud, open ? "open here" : "free");
}
