/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/control/lines.h"

#include <errno.h>
#include <sys/socket.h>

#define PILE_MAX  (4u << 20)
#define AHEAD_MAX 65536u /* read while whole lines wait for their turn */

static void want(const struct sb_lines *lines)
{
    const struct sb_str *in = &lines->in;
    bool ahead = in->length >= AHEAD_MAX && memchr(in->text, '\n', in->length);
    bool more = lines->out_sent < lines->out.length;
    sb_watch_want(lines->watch, (ahead ? 0 : SB_READABLE) | (more ? SB_WRITABLE : 0));
}

int sb_lines_open(struct sb_lines *lines, struct sb_loop *loop, int fd, sb_watch_fn fn, void *arg)
{
    *lines = (struct sb_lines){ .fd = fd };
    return sb_watch_new(loop, fd, SB_READABLE, fn, arg, &lines->watch);
}

void sb_lines_done(struct sb_lines *lines)
{
    sb_watch_free(lines->watch);
    close(lines->fd);
    sb_str_done(&lines->in);
    sb_str_done(&lines->out);
}

/* ---- in ---- */

int sb_lines_read(struct sb_lines *lines)
{
    char buffer[4096];
    ssize_t n = recv(lines->fd, buffer, sizeof(buffer), 0);
    if (n < 0)
        return errno == EINTR ? -EAGAIN : -errno;
    if (n == 0)
        return -EPIPE;
    if (lines->in.length + (size_t)n > SB_LINE_MAX || memchr(buffer, 0, (size_t)n))
        return -EPROTO;
    sb_str_add_bytes(&lines->in, buffer, (size_t)n);
    want(lines);
    return lines->in.broken ? -ENOMEM : 0;
}

const char *sb_lines_next(struct sb_lines *lines, size_t *ret_n)
{
    const char *start = sb_str_get(&lines->in) + lines->in_taken;
    const char *end = strchr(start, '\n');
    if (!end)
        return NULL;
    *ret_n = (size_t)(end - start);
    lines->in_taken += *ret_n + 1;
    return start;
}

void sb_lines_taken(struct sb_lines *lines)
{
    struct sb_str rest = { 0 };
    if (lines->in_taken == 0)
        return;
    sb_str_add(&rest, lines->in.text + lines->in_taken);
    sb_str_done(&lines->in);
    lines->in = rest;
    lines->in_taken = 0;
    want(lines);
}

/* ---- out ---- */

bool sb_lines_flush(struct sb_lines *lines)
{
    struct sb_str *out = &lines->out;
    while (lines->out_sent < out->length) {
        ssize_t n = send(lines->fd, out->text + lines->out_sent, out->length - lines->out_sent,
                         MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0)
            return false;
        lines->out_sent += (size_t)n;
    }
    if (lines->out_sent == out->length) {
        sb_str_done(out);
        lines->out_sent = 0;
    }
    want(lines);
    return true;
}

bool sb_lines_write(struct sb_lines *lines, const json_t *value)
{
    sb_cleanup(sb_freep) char *text = sb_json_text(value);
    bool room = lines->out.length - lines->out_sent < PILE_MAX;
    if (text) {
        sb_str_add(&lines->out, text);
        sb_str_add_char(&lines->out, '\n');
    }
    return text && !lines->out.broken && sb_lines_flush(lines) && room;
}
