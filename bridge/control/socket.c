/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/control/socket.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "bridge/base/log.h"
#include "bridge/base/str.h"

#define BACKLOG 16

/* Is somebody there? A daemon that hangs has its queue full, and is there all the same. */
static int probe(const struct sockaddr_un *address)
{
    sb_cleanup(sb_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN)
        return -EADDRINUSE;
    return errno == ECONNREFUSED || errno == ENOENT ? 0 : -errno;
}

static int clear_way(const struct sockaddr_un *address, char **ret_error)
{
    const char *path = address->sun_path;
    struct stat st;
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(st.st_mode)) {
        *ret_error = sb_format("%s: is there and is not a socket; move it, or choose another path "
                               "(control: socket)",
                               path);
        return -ENOTSOCK;
    }
    int r = probe(address);
    if (r == -EADDRINUSE)
        *ret_error = sb_format("%s: another southbridge is listening there", path);
    if (r < 0)
        return r;
    return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

static int set_group(const char *path, const char *group, char **ret_error)
{
    const struct group *entry = group && *group ? getgrnam(group) : NULL;
    if (!entry) {
        if (group && *group)
            sb_warning(NULL, "there is no group '%s': only root and this user may control", group);
        return 0;
    }
    if (chown(path, (uid_t)-1, entry->gr_gid) == 0)
        return 0;
    int r = -errno;
    *ret_error = sb_format("%s: cannot be given to the group '%s': %s (is this user in it?)", path,
                           group, strerror(-r));
    return r;
}

static int bind_and_listen(int fd, const struct sockaddr_un *address, const char *group,
                           char **ret_error)
{
    mode_t mask = umask(0117); /* from its first moment nobody else may open it */
    int r = bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;
    (void)umask(mask);
    if (r < 0)
        return r;
    r = set_group(address->sun_path, group, ret_error);
    if (r >= 0 && listen(fd, BACKLOG) < 0)
        r = -errno;
    if (r < 0)
        (void)unlink(address->sun_path);
    return r;
}

int sb_control_listen(const char *path, const char *group, int *ret, char **ret_error)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof(address.sun_path)) {
        *ret_error = sb_format("%s: longer than the %zu characters that a socket may have", path,
                               sizeof(address.sun_path) - 1);
        return -ENAMETOOLONG;
    }
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int r = fd < 0 ? -errno : clear_way(&address, ret_error);
    if (r >= 0)
        r = bind_and_listen(fd, &address, group, ret_error);
    if (r < 0 && !*ret_error)
        *ret_error = sb_format("%s: %s (does its directory exist, and may this user write there?)",
                               path, strerror(-r));
    if (r >= 0)
        *ret = fd;
    else if (fd >= 0)
        (void)close(fd);
    return r;
}

char *sb_control_peer(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return NULL;
    const struct passwd *user = getpwuid(peer.uid);
    return sb_format("uid %u (%s)", peer.uid, user ? user->pw_name : "?");
}
