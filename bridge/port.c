/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/port.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>

#include "bridge/base/time.h"

int64_t sb_port_clock(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * SB_SECOND + now.tv_nsec / 1000000;
}

static int lost(struct sb_port *port, int error)
{
    port->failed = true;
    return error;
}

/* Which errors of read() and write() mean that the line is gone. */
static int line_error(struct sb_port *port, int error)
{
    switch (error) {
    case ENXIO:
    case ENODEV:
    case EPIPE:
    case EBADF:
    case EIO: /* a hung-up tty */
        return lost(port, -ENODEV);
    default:
        return lost(port, -EIO);
    }
}

/* Waits until the port is ready. A hang-up counts as ready: the read or write tells what it is. */
static int await(struct sb_port *port, short events, int64_t deadline)
{
    for (;;) {
        int64_t left = deadline - sb_port_clock();
        int timeout = (int)SB_MIN(SB_MAX(left, 0), INT_MAX);
        struct pollfd fds[] = { { .fd = port->fd, .events = events },
                                { .fd = port->interrupt, .events = POLLIN } };
        int n = poll(fds, SB_COUNT(fds), timeout);
        if (n < 0 && errno != EINTR)
            return lost(port, -EIO);
        if (n > 0 && fds[1].revents)
            return -ECANCELED;
        if (n > 0 && (fds[0].revents & POLLNVAL))
            return lost(port, -ENODEV);
        if (n > 0)
            return 0;
        if (n == 0 && sb_port_clock() >= deadline)
            return -ETIMEDOUT;
    }
}

int sb_port_read(struct sb_port *port, void *buffer, size_t n, int64_t deadline, size_t *ret_n)
{
    for (;;) {
        int r = await(port, POLLIN, deadline);
        if (r < 0)
            return r;
        ssize_t got = read(port->fd, buffer, n);
        if (got > 0) {
            *ret_n = (size_t)got;
            return 0;
        }
        if (got == 0) /* with VMIN 1 only a hang-up reads as nothing */
            return lost(port, -ENODEV);
        if (errno != EAGAIN && errno != EINTR)
            return line_error(port, errno);
    }
}

int sb_port_write(struct sb_port *port, const void *bytes, size_t n, int64_t deadline)
{
    const uint8_t *at = bytes;
    while (n > 0) {
        int r = await(port, POLLOUT, deadline);
        if (r < 0)
            return r;
        ssize_t done = write(port->fd, at, n);
        if (done < 0 && errno != EAGAIN && errno != EINTR)
            return line_error(port, errno);
        if (done > 0) {
            at += done;
            n -= (size_t)done;
        }
    }
    return 0;
}

int sb_port_set_line(struct sb_port *port, enum sb_port_line line, bool on)
{
    return port->set_line ? port->set_line(port, line, on) : -ENOTTY;
}

int sb_port_drain(struct sb_port *port, int64_t quiet_ms, int64_t max_ms)
{
    int64_t end = sb_port_clock() + max_ms;
    uint8_t buffer[512];
    for (;;) {
        int64_t now = sb_port_clock();
        if (now >= end)
            return 0;
        size_t got;
        int r = sb_port_read(port, buffer, sizeof(buffer), SB_MIN(now + quiet_ms, end), &got);
        if (r == -ETIMEDOUT)
            return 0;
        if (r < 0)
            return r;
    }
}

void sb_port_interrupt(struct sb_port *port, bool on)
{
    eventfd_t count;
    if (on)
        (void)eventfd_write(port->interrupt, 1);
    else
        (void)eventfd_read(port->interrupt, &count); /* non-blocking: empty is fine */
}

bool sb_port_alive(const struct sb_port *port)
{
    struct pollfd fd = { .fd = port->fd };
    return !port->failed && poll(&fd, 1, 0) == 0; /* no events asked: only failures show */
}
