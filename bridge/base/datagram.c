/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/base/datagram.h"

#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "bridge/base/time.h"

static int fill_address(const char *path, struct sockaddr_un *ret, socklen_t *ret_size)
{
    size_t n = strlen(path);

    if ((path[0] != '/' && path[0] != '@') || n < 2 || n >= sizeof(ret->sun_path))
        return -EINVAL;
    *ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
    memcpy(ret->sun_path, path, n);
    *ret_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    if (path[0] == '@')
        ret->sun_path[0] = '\0';
    return 0;
}

static int send_within(int fd, const struct msghdr *message, int64_t wait)
{
    const struct timeval limit = { (time_t)(wait / SB_SECOND),
                                   (suseconds_t)(wait % SB_SECOND * 1000) };
    int flags = MSG_NOSIGNAL | (wait > 0 ? 0 : MSG_DONTWAIT); /* no limit would be for ever */
    ssize_t n;

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
        return -errno;
    do
        n = sendmsg(fd, message, flags);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

int sb_datagram_send(const char *path, const struct iovec *parts, size_t count, int64_t wait)
{
    struct sockaddr_un address;
    struct msghdr message = { .msg_name = &address,
                              .msg_iov = (struct iovec *)parts,
                              .msg_iovlen = count };
    int r = fill_address(path, &address, &message.msg_namelen);

    if (r < 0)
        return r;
    sb_cleanup(sb_closep) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return send_within(fd, &message, wait);
}
