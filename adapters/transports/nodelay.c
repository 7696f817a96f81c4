/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/transports/nodelay.h"

#include <dirent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

static void set(int fd)
{
    struct sockaddr_storage peer = { 0 };
    socklen_t size = sizeof(peer);
    const int on = 1;

    if (getpeername(fd, (struct sockaddr *)&peer, &size) < 0)
        return; /* not a socket, or not connected */
    if (peer.ss_family == AF_INET || peer.ss_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

void sb_nodelay_all(void)
{
    DIR *folder = opendir("/proc/self/fd");

    if (!folder)
        return;
    for (const struct dirent *entry; (entry = readdir(folder));)
        if (entry->d_name[0] != '.')
            set((int)strtol(entry->d_name, NULL, 10));
    (void)closedir(folder);
}
