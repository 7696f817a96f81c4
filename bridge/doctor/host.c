/* SPDX-License-Identifier: Apache-2.0 */
/* The checks of the daemon and what it stands on: process, control socket, helper, clock. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "bridge/doctor/parts.h"

void sb_doctor_daemon(struct sb_doctor *doctor)
{
    const json_t *known = doctor->parts->known;
    struct sb_exam exam = { 0 };
    const struct passwd *user = getpwuid(geteuid());
    const char *name = user ? user->pw_name : "?";
    if (!known)
        sb_exam_say(&exam, SB_HEALTH_OK, NULL,
                    "not asked; what follows holds for user %s, who should be the daemon's", name);
    else if (!sb_json_bool(known, "running", false))
        sb_exam_say(&exam, SB_HEALTH_WARNING, "see the store below, and the daemon's log",
                    "process %lld of user %s does not work yet",
                    (long long)sb_json_int(known, "pid", 0), name);
    else if (sb_json_bool(known, "paused", false))
        sb_exam_say(&exam, SB_HEALTH_WARNING, "southbridgectl job resume --all",
                    "paused: nothing is handed to any device");
    else
        sb_exam_say(&exam, SB_HEALTH_OK, NULL, "process %lld of user %s works",
                    (long long)sb_json_int(known, "pid", 0), name);
    sb_doctor_tell(doctor, "", &exam);
}

/* ---- the control socket ---- */

int sb_doctor_listener(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct ucred peer = { 0 };
    socklen_t size = sizeof(peer);
    if (strlen(path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path));
    sb_cleanup(sb_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return errno == ECONNREFUSED ? 0 : -errno;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ? -errno : peer.pid;
}

/* Before the daemon's start: can it make its socket? */
static void look_at_place(const char *path, struct sb_exam *exam)
{
    sb_cleanup(sb_freep) char *copy = strdup(path);
    const char *directory = copy ? dirname(copy) : "/";
    if (faccessat(AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS) == 0) {
        sb_exam_say(exam, SB_HEALTH_OK, NULL, "%s is made at the start", path);
        return;
    }
    sb_exam_take(exam, SB_HEALTH_FAILED,
                 sb_format("make it and give it to the daemon's user (under systemd: "
                           "RuntimeDirectory=), or choose another place (control: socket)"),
                 sb_format("the socket's directory %s: %s", directory, strerror(errno)));
}

static void look_without_daemon(const char *path, struct sb_exam *exam)
{
    struct stat st;
    if (lstat(path, &st) < 0) {
        look_at_place(path, exam);
        return;
    }
    int pid = S_ISSOCK(st.st_mode) ? sb_doctor_listener(path) : -ENOTSOCK;
    if (pid > 0)
        sb_exam_say(exam, SB_HEALTH_OK, "`southbridgectl doctor` without --config asks it",
                    "process %d listens at %s", pid, path);
    else if (pid == 0)
        sb_exam_say(exam, SB_HEALTH_OK, NULL,
                    "%s is left from a daemon that is gone; the next "
                    "one replaces it",
                    path);
    else
        sb_exam_say(exam, SB_HEALTH_FAILED,
                    pid == -ENOTSOCK ? "move it, or choose another path (control: socket)"
                                     : "see who owns it: ls -l",
                    "%s: %s", path, strerror(-pid));
}

static void look_at_group(const char *name, struct sb_exam *exam)
{
    const struct group *group = getgrnam(name);
    if (group)
        return;
    sb_exam_take(exam, SB_HEALTH_WARNING,
                 sb_format("addgroup --system %s, put operators into it, restart the daemon", name),
                 sb_format("there is no group '%s' (control: group): only root and the daemon's "
                           "user may use southbridgectl",
                           name));
}

static void look_at_socket(const char *path, const char *group_name, struct sb_exam *exam)
{
    const struct group *group = getgrnam(group_name);
    struct stat st;
    if (lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode)) {
        sb_exam_say(exam, SB_HEALTH_FAILED, "restart the daemon",
                    "%s: the socket of the daemon is gone", path);
        return;
    }
    bool given = group && st.st_gid == group->gr_gid;
    if (group && (!given || (st.st_mode & 0777) != 0660))
        sb_exam_take(exam, SB_HEALTH_WARNING,
                     sb_format("restart the daemon; it gives the socket to the group"),
                     sb_format("%s does not belong to group '%s' with mode 0660 (it is %04o)", path,
                               group_name, (unsigned)st.st_mode & 07777u));
    else if (group)
        sb_exam_say(exam, SB_HEALTH_OK, NULL, "%s, for group '%s'", path, group_name);
}

void sb_doctor_control(struct sb_doctor *doctor)
{
    const char *path = doctor->config->control.socket, *group = doctor->config->control.group;
    struct sb_exam exam = { 0 };
    if (doctor->parts->known)
        look_at_socket(path, group, &exam);
    else
        look_without_daemon(path, &exam);
    look_at_group(group, &exam);
    sb_doctor_tell(doctor, "", &exam);
}

/* ---- helper, clock ---- */

void sb_doctor_helper(struct sb_doctor *doctor)
{
    const char *helper = doctor->parts->helper;
    struct sb_exam exam = { 0 };
    if (faccessat(AT_FDCWD, helper, X_OK, AT_EACCESS) < 0)
        sb_exam_say(&exam, SB_HEALTH_FAILED,
                    "install southbridge again; without it no image can "
                    "be fetched",
                    "%s: %s", helper, strerror(errno));
    else
        sb_exam_say(&exam, SB_HEALTH_OK, NULL, "%s", helper);
    sb_doctor_tell(doctor, "", &exam);
}

void sb_doctor_clock(struct sb_doctor *doctor)
{
    struct sb_exam exam = { 0 };
    sb_cleanup(sb_freep) char *time = sb_time_iso8601(doctor->parts->wall);
    if (doctor->parts->wall <= 0)
        sb_exam_say(&exam, SB_HEALTH_FAILED,
                    "set it (`date -s`), or let it be set: systemctl status systemd-timesyncd",
                    "the clock is not set: nothing that has a start time or a window begins, and "
                    "no server's certificate is valid");
    else
        sb_exam_say(&exam, SB_HEALTH_OK, NULL, "%s", time ? time : "set");
    sb_doctor_tell(doctor, "", &exam);
}
