/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/ws_bridge.h"

#include <arpa/inet.h>
#include <libwebsockets.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#include "bridge/base/str.h"

struct sb_ws_bridge {
    struct sb_loop *loop;
    struct lws_vhost *vhost;
    unsigned tcp_port, count;
};

struct session { /* of one connection; allocated and zeroed by lws */
    struct lws *wsi;
    int fd; /* to the broker */
    struct sb_watch *watch;
    struct sb_str out; /* to the client */
    bool broker_gone;
};

static void on_broker(void *arg, unsigned ready)
{
    struct session *s = arg;
    char bytes[4096];
    ssize_t n = read(s->fd, bytes, sizeof(bytes));

    (void)ready;
    if (n > 0)
        sb_str_add_bytes(&s->out, bytes, (size_t)n);
    else
        s->broker_gone = true;
    if (s->broker_gone)
        sb_watch_want(s->watch, 0);
    lws_callback_on_writable(s->wsi);
}

static int open_session(struct sb_ws_bridge *bridge, struct session *s, struct lws *wsi)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)bridge->tcp_port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

    s->wsi = wsi;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bridge->count++;
    return connect(s->fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
                   sb_watch_new(bridge->loop, s->fd, SB_READABLE, on_broker, s, &s->watch) < 0
               ? -1
               : 0;
}

/* The length of the first MQTT packet that is there as a whole, or 0. */
static size_t whole_packet(const struct sb_str *bytes)
{
    size_t length = 0, at = 1;

    for (unsigned shift = 0; at < bytes->length && at <= 4; shift += 7, at++) {
        length |= (size_t)(bytes->text[at] & 0x7f) << shift;
        if (!(bytes->text[at] & 0x80))
            return at + 1 + length <= bytes->length ? at + 1 + length : 0;
    }
    return 0;
}

/* One packet in a frame, as brokers do; Paho does not look for a second one in a frame. */
static int write_out(struct session *s)
{
    size_t n = whole_packet(&s->out);
    sb_cleanup(sb_freep) unsigned char *frame = malloc(LWS_PRE + n + 1);

    if (n == 0 || !frame)
        return s->broker_gone ? -1 : 0;
    memcpy(frame + LWS_PRE, s->out.text, n);
    s->out.length -= n;
    memmove(s->out.text, s->out.text + n, s->out.length);
    if (lws_write(s->wsi, frame + LWS_PRE, n, LWS_WRITE_BINARY) < (int)n)
        return -1;
    lws_callback_on_writable(s->wsi);
    return 0;
}

static void close_session(struct session *s)
{
    s->watch = sb_watch_free(s->watch);
    if (s->fd > 0)
        (void)close(s->fd);
    sb_str_done(&s->out);
}

static int on_lws(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                  size_t size)
{
    struct session *s = user;
    struct lws_vhost *vhost = lws_get_vhost(wsi);

    switch ((int)reason) {
    case LWS_CALLBACK_ESTABLISHED:
        return open_session(lws_get_vhost_user(vhost), s, wsi);
    case LWS_CALLBACK_RECEIVE:
        return write(s->fd, in, size) == (ssize_t)size ? 0 : -1;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return write_out(s);
    case LWS_CALLBACK_CLOSED:
        close_session(s);
        return 0;
    default:
        return 0;
    }
}

struct sb_ws_bridge *sb_ws_bridge_new(struct sb_loop *loop, unsigned tcp_port, const char *cert,
                                      const char *key)
{
    static const struct lws_protocols protocols[] = {
        { .name = "mqtt", .callback = on_lws, .per_session_data_size = sizeof(struct session) },
        { 0 },
    };
    struct sb_ws_bridge *bridge = calloc(1, sizeof(*bridge));
    struct lws_context_creation_info info = {
        .port = 0,
        .iface = "127.0.0.1",
        .vhost_name = cert ? "wss-bridge" : "ws-bridge",
        .protocols = protocols,
        .user = bridge,
        .options = cert ? LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT : 0,
        .ssl_cert_filepath = cert,
        .ssl_private_key_filepath = key,
    };

    if (bridge) {
        bridge->loop = loop;
        bridge->tcp_port = tcp_port;
        bridge->vhost = lws_create_vhost(sb_loop_lws(loop), &info);
    }
    if (!bridge || !bridge->vhost || lws_get_vhost_listen_port(bridge->vhost) <= 0) {
        (void)fprintf(stderr, "ws_bridge: cannot listen\n");
        abort();
    }
    return bridge;
}

unsigned sb_ws_bridge_port(const struct sb_ws_bridge *bridge)
{
    return (unsigned)lws_get_vhost_listen_port(bridge->vhost);
}

unsigned sb_ws_bridge_count(const struct sb_ws_bridge *bridge)
{
    return bridge->count;
}

struct sb_ws_bridge *sb_ws_bridge_free(struct sb_ws_bridge *bridge)
{
    free(bridge);
    return NULL;
}
