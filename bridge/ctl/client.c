/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/ctl/client.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "bridge/base/str.h"

#define CONNECT_SECONDS 5
#define SEND_SECONDS    10
#define PIECE           65536

struct sb_client {
    int fd;
    struct sb_str in;
    size_t seen; /* bytes of `in` that have no line end */
    char *piece;
};

struct sb_client *sb_client_free(struct sb_client *client)
{
    if (!client)
        return NULL;
    if (client->fd >= 0)
        (void)close(client->fd);
    sb_str_done(&client->in);
    free(client->piece);
    free(client);
    return NULL;
}

/* ---- connecting ---- */

static char *explain(const char *path, int error)
{
    switch (error) {
    case -ENOENT:
        return sb_format("no southbridge at %s: is the daemon running (systemctl status "
                         "southbridge)? Another socket is named by --socket or "
                         "$SOUTHBRIDGE_SOCKET",
                         path);
    case -ECONNREFUSED:
        return sb_format("nobody listens at %s: the daemon is not running (systemctl status "
                         "southbridge)",
                         path);
    case -EACCES:
        return sb_format("%s: permission denied; the socket is for root and members of the "
                         "daemon's group (setting control.group): see `id` and `ls -l %s`, log in "
                         "again after joining the group",
                         path, path);
    case -EAGAIN:
        return sb_format("%s: the daemon takes no connections (it is busy or hangs)", path);
    default:
        return sb_format("%s: %s", path, strerror(-error));
    }
}

static int set_limit(int fd, int option, time_t seconds)
{
    struct timeval limit = { .tv_sec = seconds };
    return setsockopt(fd, SOL_SOCKET, option, &limit, sizeof(limit)) < 0 ? -errno : 0;
}

/* A limit for sending bounds connect() as well. */
static int dial(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int r = set_limit(fd, SO_SNDTIMEO, CONNECT_SECONDS);
    if (r == 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        r = -errno;
    if (r == 0)
        r = set_limit(fd, SO_SNDTIMEO, SEND_SECONDS);
    if (r < 0)
        (void)close(fd);
    return r < 0 ? r : fd;
}

int sb_client_open(const char *path, struct sb_client **ret, char **ret_error)
{
    sb_cleanup(sb_client_freep) struct sb_client *client = calloc(1, sizeof(*client));
    if (client) {
        client->fd = -1;
        client->piece = malloc(PIECE);
    }
    int r = client && client->piece ? dial(path) : -ENOMEM;
    if (r < 0) {
        *ret_error = explain(path, r);
        return r;
    }
    client->fd = r;
    *ret = SB_STEAL(client);
    return 0;
}

/* ---- talking ---- */

int sb_client_send(struct sb_client *client, const char *verb, const json_t *args)
{
    sb_cleanup(json_decrefp) json_t *line = json_pack("{s:s}", "verb", verb);
    if (!line || (args && json_object_set(line, "args", (json_t *)args) < 0))
        return -ENOMEM;
    sb_cleanup(sb_freep) char *text = sb_json_text(line);
    size_t n = text ? strlen(text) : 0;
    if (!text)
        return -ENOMEM;
    text[n++] = '\n'; /* instead of the NUL */
    for (size_t sent = 0; sent < n;) {
        ssize_t part = send(client->fd, text + sent, n - sent, MSG_NOSIGNAL);
        if (part < 0 && errno == EINTR)
            continue;
        if (part < 0)
            return errno == EAGAIN ? -ETIMEDOUT : errno == ECONNRESET ? -EPIPE : -errno;
        sent += (size_t)part;
    }
    return 0;
}

static int64_t monotonic(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The line that is there already; -EAGAIN: none. */
static int take_line(struct sb_client *client, json_t **ret)
{
    /* As deep as a record in the store: the answer wraps foreign values, which may have 32. */
    const struct sb_json_limits limits = { SB_CLIENT_LINE, 256, 4000000 };
    sb_cleanup(json_decrefp) json_t *value = NULL;
    struct sb_str *in = &client->in;
    const char *end = in->length > client->seen
                          ? memchr(in->text + client->seen, '\n', in->length - client->seen)
                          : NULL;
    client->seen = in->length;
    if (!end)
        return in->length > SB_CLIENT_LINE ? -EMSGSIZE : -EAGAIN;
    size_t n = (size_t)(end - in->text);
    int r = sb_json_parse(in->text, n, &limits, &value, NULL);
    struct sb_str rest = { 0 };
    sb_str_add_bytes(&rest, end + 1, in->length - n - 1);
    sb_str_done(in);
    client->in = rest;
    client->seen = 0;
    if (r == -ENOMEM || rest.broken)
        return -ENOMEM;
    if (r < 0 || !json_is_object(value))
        return r == -E2BIG ? -EMSGSIZE : -EBADMSG;
    *ret = SB_STEAL(value);
    return 0;
}

static int wait_more(struct sb_client *client, int64_t left, const sigset_t *mask)
{
    struct pollfd poll = { .fd = client->fd, .events = POLLIN };
    struct timespec limit = { .tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000 };
    int ready = ppoll(&poll, 1, &limit, mask);
    if (ready < 0)
        return -errno;
    if (ready == 0)
        return -ETIMEDOUT;
    ssize_t n = recv(client->fd, client->piece, PIECE, MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : errno == ECONNRESET ? -EPIPE : -errno;
    if (n == 0)
        return -EPIPE;
    sb_str_add_bytes(&client->in, client->piece, (size_t)n);
    return client->in.broken ? -ENOMEM : 0;
}

int sb_client_line(struct sb_client *client, int64_t wait, const sigset_t *mask, json_t **ret)
{
    int64_t end = monotonic() + wait;
    for (;;) {
        int r = take_line(client, ret);
        if (r != -EAGAIN)
            return r;
        int64_t left = end - monotonic();
        r = wait_more(client, SB_MAX(left, 0), mask);
        if (r < 0 && !(r == -EINTR && !mask)) /* nobody waits for a signal */
            return r;
    }
}

const char *sb_client_problem(int error)
{
    switch (error) {
    case -ETIMEDOUT:
        return "the daemon does not answer";
    case -EPIPE:
        return "the daemon hung up before it answered (did it stop? see its log)";
    case -EMSGSIZE:
        return "the daemon's answer is too long";
    case -EBADMSG:
        return "what came is not the daemon's protocol";
    case -ENOMEM:
        return "out of memory";
    default:
        return strerror(-error);
    }
}
