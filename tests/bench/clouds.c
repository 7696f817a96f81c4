/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Four clouds for one gateway: each an MQTT server on a port of its own, which grants every login
 * and owes what its platform owes, and asks the devices that are its own.
 *
 *     bench_clouds EACH
 *
 * EACH: devices of each cloud; they are called dev-0... in all. The ports come first, as one line
 * of JSON, in the order of `clouds`. Then orders on stdin, each answered with a line of JSON:
 *
 *     watch PID       whose processor time is told
 *     await           until all devices are there, as each cloud sees it
 *     ask N MS        requests with N outstanding, one cloud after the other, for MS milliseconds
 *
 * The shapes are from the vendors' documentation. One thread; no JSON library on the way of a
 * request.
 */
#include <arpa/inet.h>
#include <jansson.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/meter.h"

#define SLOTS_MAX   256
#define PACKET_MAX  ((size_t)512 * 1024)
#define TEXT_MAX    2048
#define EVENTS      64
#define TICK_MS     100
#define PATIENCE_MS 60000 /* without any message */
#define GATEWAY     "prod_gw1"

enum packet { CONNECT = 1, PUBLISH = 3, SUBSCRIBE = 8, PINGREQ = 12 };

struct conn {
    int fd;
    const struct cloud *cloud;
    char client[128];
    uint8_t *in;
    size_t n;
    uint16_t id;
};

struct cloud {
    const char *name;
    /* What the device side has sent; owed answers go back at once. */
    void (*hear)(struct conn *conn, const char *topic, const char *text, size_t n);
    const char *topic, *payload; /* of a request; '<' is its id, '>' the device's name */
    const char *answer; /* what stands before the id in the topic or payload of its answer */
    const char *good;   /* what stands in one that is as it should be */
};

struct slot {
    unsigned serial;
    bool open;
    int64_t begun;
};

static struct {
    unsigned each, there, next, serial, connections;
    bool *is_there;         /* by device */
    struct conn **of_cloud; /* the gateway's connection of each cloud */
    struct conn **of_device;
    int listeners[4], epoll;
    struct slot slots[SLOTS_MAX];
    bool stopping;
    int64_t heard, connected_at;
    struct bench_meter meter;
} world;

static void die(const char *what)
{
    (void)fprintf(stderr, "bench_clouds: %s\n", what);
    exit(1);
}

/* ---- packets ---- */

static void send_all(int fd, const uint8_t *bytes, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return; /* its end is read */
        bytes += sent;
        n -= (size_t)sent;
    }
}

static size_t put(uint8_t *packet, size_t at, const void *bytes, size_t n)
{
    memcpy(packet + at, bytes, n);
    return at + n;
}

static void publish(struct conn *conn, const char *topic, const char *payload)
{
    size_t t = strlen(topic), p = strlen(payload), rest = 2 + t + 2 + p, at = 1;
    uint8_t *packet = malloc(rest + 5);
    if (!packet)
        die("out of memory");
    packet[0] = PUBLISH << 4 | 2; /* QoS 1 */
    for (size_t left = rest; at == 1 || left > 0; left >>= 7)
        packet[at++] = (uint8_t)((left & 127) | (left > 127 ? 128 : 0));
    packet[at++] = (uint8_t)(t >> 8);
    packet[at++] = (uint8_t)t;
    at = put(packet, at, topic, t);
    conn->id = (uint16_t)(conn->id % 60000 + 1);
    packet[at++] = (uint8_t)(conn->id >> 8);
    packet[at++] = (uint8_t)conn->id;
    send_all(conn->fd, packet, put(packet, at, payload, p));
    free(packet);
}

__attribute__((format(printf, 3, 4))) static void tell(struct conn *conn, const char *topic,
                                                       const char *fmt, ...)
{
    char text[TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    publish(conn, topic, text);
}

/* ---- devices ---- */

static unsigned device_in(const char *text)
{
    const char *at = text ? strstr(text, "dev-") : NULL;
    return at ? (unsigned)strtoul(at + 4, NULL, 10) : 4 * world.each;
}

static void arrives(unsigned device)
{
    if (device >= 4 * world.each || world.is_there[device])
        return;
    world.is_there[device] = true;
    world.there++;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* ---- what each cloud owes ---- */

static void hear_ibm(struct conn *conn, const char *topic, const char *text, size_t n)
{
    static const char *const owed[] = { "mgmt/manage", "add/diag/log", "add/diag/errorCodes",
                                        "notify" };
    char reply[TEXT_MAX];
    for (size_t i = 0; i < sizeof(owed) / sizeof(owed[0]); i++) {
        if (!ends_with(topic, owed[i]))
            continue;
        json_t *root = json_loadb(text, n, 0, NULL);
        (void)snprintf(reply, sizeof(reply), "iotdm-1/%.*sresponse",
                       (int)(strlen(topic) - strlen("iotdevice-1/") - strlen(owed[i])),
                       topic + strlen("iotdevice-1/"));
        tell(conn, reply, "{\"rc\":200,\"reqId\":\"%s\"}",
             json_string_value(json_object_get(root, "reqId")));
        json_decref(root);
    }
    if (ends_with(topic, "mgmt/manage"))
        arrives(device_in(topic));
}

static void hear_azure(struct conn *conn, const char *topic, const char *text, size_t n)
{
    static const char *const asks[] = { "$iothub/twin/GET/",
                                        "$iothub/twin/PATCH/properties/reported/" };
    const char *rid = strstr(topic, "?$rid=");
    char reply[TEXT_MAX];
    (void)text, (void)n;
    bool patch = strncmp(topic, asks[1], strlen(asks[1])) == 0;
    if (!rid || (!patch && strncmp(topic, asks[0], strlen(asks[0])) != 0))
        return;
    (void)snprintf(reply, sizeof(reply),
                   patch ? "$iothub/twin/res/204/%s&$version=2" : "$iothub/twin/res/200/%s", rid);
    publish(conn, reply,
            patch ? "" : "{\"desired\":{\"$version\":1},\"reported\":{\"$version\":1}}");
    if (patch)
        arrives(device_in(conn->client));
}

static void huawei_statuses(struct conn *conn, const json_t *service)
{
    json_t *answer = json_pack(
        "{s:s,s:[{s:s,s:s,s:s,s:O,s:{s:O,s:[]}}]}", "object_device_id", GATEWAY, "services",
        "service_id", "$sub_device_manager", "event_type", "sub_device_update_status_response",
        "event_time", "20260101T000000Z", "event_id", json_object_get(service, "event_id"), "paras",
        "successful_devices", json_object_get(json_object_get(service, "paras"), "device_statuses"),
        "failed_devices");
    char *text = answer ? json_dumps(answer, JSON_COMPACT) : NULL;
    if (text)
        publish(conn, "$oc/devices/" GATEWAY "/sys/events/down", text);
    free(text);
    json_decref(answer);
}

static void hear_huawei(struct conn *conn, const char *topic, const char *text, size_t n)
{
    if (!ends_with(topic, "/events/up"))
        return;
    json_t *root = json_loadb(text, n, 0, NULL), *service = NULL;
    size_t i = 0;
    json_array_foreach (json_object_get(root, "services"), i, service) {
        const char *kind = json_string_value(json_object_get(service, "event_type"));
        if (kind && strcmp(kind, "sub_device_update_status") == 0)
            huawei_statuses(conn, service);
        else if (kind && strcmp(kind, "version_report") == 0)
            arrives(device_in(json_string_value(json_object_get(root, "object_device_id"))));
    }
    json_decref(root);
}

static void hear_alibaba(struct conn *conn, const char *topic, const char *text, size_t n)
{
    char reply[TEXT_MAX];
    if (strncmp(topic, "/ota/device/inform/", strlen("/ota/device/inform/")) == 0)
        arrives(device_in(topic));
    bool session = strncmp(topic, "/ext/session/", strlen("/ext/session/")) == 0;
    if ((!session && strncmp(topic, "/sys/", strlen("/sys/")) != 0) || ends_with(topic, "_reply"))
        return;
    json_t *root = json_loadb(text, n, 0, NULL);
    json_t *data = session                         ? json_incref(json_object_get(root, "params"))
                   : ends_with(topic, "/topo/get") ? json_array()
                                                   : json_object();
    json_t *answer =
        json_pack("{s:O,s:i,s:o}", "id", json_object_get(root, "id"), "code", 200, "data", data);
    char *answered = answer ? json_dumps(answer, JSON_COMPACT) : NULL;
    (void)snprintf(reply, sizeof(reply), "%s_reply", topic);
    if (answered)
        publish(conn, reply, answered);
    free(answered);
    json_decref(answer);
    json_decref(root);
}

/* A light request of each, which is answered without the device: that it cannot, but for IBM. */
static const struct cloud clouds[] = {
    { "ibm", hear_ibm, "iotdm-1/type/pump/id/>/device/update",
      "{\"reqId\":\"<\",\"d\":{\"fields\":[{\"field\":\"mgmt.firmware\",\"value\":{"
      "\"version\":\"2.0.0\",\"name\":\"pump\",\"uri\":\"http://127.0.0.1/pump.bin\","
      "\"verifier\":\"\",\"state\":0,\"updateStatus\":0}}]}}",
      "\"reqId\":\"b", "\"rc\":204" },
    { "azure", hear_azure, "$iothub/methods/POST/cancelFirmwareUpdate/?$rid=<", "{}",
      "$iothub/methods/res/404/?$rid=b", "/404/" },
    { "huawei", hear_huawei, "$oc/devices/" GATEWAY "/sys/commands/request_id=<",
      "{\"object_device_id\":\"prod_>\",\"service_id\":\"bench\",\"command_name\":\"blink\","
      "\"paras\":{}}",
      "/sys/commands/response/request_id=b", "\"result_code\":" },
    { "alibaba", hear_alibaba, "/sys/Prod/>/thing/service/blink",
      "{\"id\":\"<\",\"version\":\"1.0\",\"params\":{},\"method\":\"thing.service.blink\"}",
      "\"id\":\"b", "\"code\":" },
};
#define CLOUDS (sizeof(clouds) / sizeof(clouds[0]))

/* ---- requests ---- */

static void fill(char *out, const char *text, unsigned slot, unsigned serial, unsigned device)
{
    char *end = out + TEXT_MAX - 64; /* room for one id or name more */
    for (; *text && out < end; text++) {
        if (*text == '<')
            out += snprintf(out, 32, "b%u-%u", slot, serial);
        else if (*text == '>')
            out += snprintf(out, 32, "dev-%u", device);
        else
            *out++ = *text;
    }
    *out = '\0';
}

static void ask(struct slot *slot)
{
    char topic[TEXT_MAX], payload[TEXT_MAX];
    unsigned at = (unsigned)(slot - world.slots), turn_of = world.next++;
    size_t which = turn_of % CLOUDS;
    unsigned device = (unsigned)which * world.each + turn_of / (unsigned)CLOUDS % world.each;
    const struct cloud *cloud = &clouds[which];
    struct conn *conn = world.of_device[device] ? world.of_device[device] : world.of_cloud[which];
    if (!conn)
        die("a connection is gone");
    slot->serial = ++world.serial;
    slot->open = true;
    slot->begun = bench_now_us();
    fill(topic, cloud->topic, at, slot->serial, device);
    fill(payload, cloud->payload, at, slot->serial, device);
    publish(conn, topic, payload);
}

/* ID is "SLOT-SERIAL"; late ones of before are passed over. */
static void answered(const char *id, bool good, const char *topic, const char *text)
{
    char *rest = NULL;
    unsigned long at = strtoul(id, &rest, 10);
    if (at >= SLOTS_MAX || *rest != '-')
        return;
    struct slot *slot = &world.slots[at];
    if (!slot->open || strtoul(rest + 1, NULL, 10) != slot->serial)
        return;
    if (!good && world.meter.bad++ == 0)
        (void)fprintf(stderr, "bench_clouds: answered %.200s on %.200s\n", text, topic);
    bench_meter_add(&world.meter, bench_now_us() - slot->begun);
    slot->open = false;
    if (!world.stopping)
        ask(slot);
}

static void on_publish(struct conn *conn, const char *topic, const char *text, size_t n)
{
    const struct cloud *cloud = conn->cloud;
    const char *id = strstr(topic, cloud->answer);
    id = id ? id : strstr(text, cloud->answer);
    world.heard = bench_now_us();
    if (id)
        answered(id + strlen(cloud->answer),
                 strstr(topic, cloud->good) || strstr(text, cloud->good), topic, text);
    else
        cloud->hear(conn, topic, text, n);
}

/* ---- the servers ---- */

static void on_connect(struct conn *conn, const uint8_t *body, size_t n)
{
    static const uint8_t welcome[] = { 0x20, 2, 0, 0 };
    size_t length = n > 12 ? (size_t)(body[10] << 8 | body[11]) : 0;
    if (n < 12 + length || length >= sizeof(conn->client))
        die("a strange CONNECT");
    memcpy(conn->client, body + 12, length);
    conn->client[length] = '\0';
    unsigned device = device_in(conn->client);
    if (device < 4 * world.each)
        world.of_device[device] = conn;
    else
        world.of_cloud[conn->cloud - clouds] = conn;
    world.connections++;
    world.connected_at = bench_now_us();
    send_all(conn->fd, welcome, sizeof(welcome));
}

static void on_packet(struct conn *conn, uint8_t first, uint8_t *body, size_t n)
{
    uint8_t ack[5] = { 0x40, 2, 0, 0, 1 }; /* PUBACK; SUBACK of one topic, QoS 1 */
    if (first >> 4 == CONNECT) {
        on_connect(conn, body, n);
    } else if (first >> 4 == SUBSCRIBE) {
        ack[0] = 0x90;
        ack[1] = 3;
        memcpy(ack + 2, body, 2);
        send_all(conn->fd, ack, 5);
    } else if (first >> 4 == PINGREQ) {
        send_all(conn->fd, (const uint8_t[]){ 0xd0, 0 }, 2);
    } else if (first >> 4 == PUBLISH) {
        char topic[TEXT_MAX];
        size_t t = (size_t)(body[0] << 8 | body[1]), at = 2 + t;
        if (t >= sizeof(topic) || at + (first & 6 ? 2 : 0) > n)
            die("a strange PUBLISH");
        memcpy(topic, body + 2, t);
        topic[t] = '\0';
        if (first & 6) {
            memcpy(ack + 2, body + at, 2);
            send_all(conn->fd, ack, 4);
            at += 2;
        }
        uint8_t kept = body[n]; /* the next packet's, or room */
        body[n] = '\0';
        on_publish(conn, topic, (const char *)body + at, n - at);
        body[n] = kept;
    }
}

/* Bytes of the first packet; 0: it is not whole. */
static size_t first_packet(const struct conn *conn, size_t from, size_t *ret_head)
{
    size_t length = 0;
    for (size_t i = 1; i < 5 && from + i < conn->n; i++) {
        uint8_t digit = conn->in[from + i];
        length |= (size_t)(digit & 127) << 7 * (i - 1);
        if (digit & 128)
            continue;
        *ret_head = i + 1;
        return from + i + 1 + length <= conn->n ? i + 1 + length : 0;
    }
    return 0;
}

static void forget(struct conn *conn)
{
    for (unsigned i = 0; i < 4 * world.each; i++)
        if (world.of_device[i] == conn)
            world.of_device[i] = NULL;
    for (size_t i = 0; i < CLOUDS; i++)
        if (world.of_cloud[i] == conn)
            world.of_cloud[i] = NULL;
    (void)close(conn->fd);
    free(conn->in);
    free(conn);
}

static void on_readable(struct conn *conn)
{
    ssize_t got = recv(conn->fd, conn->in + conn->n, PACKET_MAX - conn->n, 0);
    size_t at = 0, head = 0;
    if (got <= 0) {
        forget(conn);
        return;
    }
    conn->n += (size_t)got;
    for (size_t n; (n = first_packet(conn, at, &head)) > 0; at += n)
        on_packet(conn, conn->in[at], conn->in + at + head, n - head);
    memmove(conn->in, conn->in + at, conn->n - at);
    conn->n -= at;
    if (conn->n == PACKET_MAX)
        die("a packet is too long");
}

static void on_caller(const int *listener)
{
    const int on = 1;
    struct conn *conn = calloc(1, sizeof(*conn));
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = conn };
    if (!conn || !(conn->in = malloc(PACKET_MAX + 1))) /* the end of a text */
        die("out of memory");
    conn->cloud = &clouds[listener - world.listeners];
    conn->fd = accept(*listener, NULL, NULL);
    if (conn->fd < 0 || setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
        epoll_ctl(world.epoll, EPOLL_CTL_ADD, conn->fd, &event) < 0)
        die("cannot accept");
}

static bool turn(void)
{
    struct epoll_event events[EVENTS];
    bool ordered = false;
    int n = epoll_wait(world.epoll, events, EVENTS, TICK_MS);
    for (int i = 0; i < n; i++) {
        int *listener = events[i].data.ptr;
        if (!listener)
            ordered = true;
        else if (listener >= world.listeners && listener < world.listeners + CLOUDS)
            on_caller(listener);
        else
            on_readable(events[i].data.ptr);
    }
    return ordered;
}

static int open_listener(int *listener)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = listener };
    socklen_t size = sizeof(address);
    *listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*listener < 0 || bind(*listener, (struct sockaddr *)&address, size) < 0 ||
        listen(*listener, 1000) < 0 ||
        getsockname(*listener, (struct sockaddr *)&address, &size) < 0 ||
        epoll_ctl(world.epoll, EPOLL_CTL_ADD, *listener, &event) < 0)
        die("cannot listen");
    return ntohs(address.sin_port);
}

/* ---- orders ---- */

static void patient(void)
{
    (void)turn();
    if (bench_now_us() - world.heard > PATIENCE_MS * 1000LL)
        die("nothing was heard for too long");
}

static void await(int64_t since)
{
    while (world.there < 4 * world.each)
        patient();
    (void)printf("{\"connections\":%u,\"connected_ms\":%.0f,\"there_ms\":%.0f}\n",
                 world.connections, (double)(world.connected_at - since) / 1000,
                 (double)(bench_now_us() - since) / 1000);
}

static void run(unsigned outstanding, unsigned ms)
{
    if (outstanding == 0 || outstanding > SLOTS_MAX)
        die("outstanding: 1 to 256");
    world.stopping = false;
    bench_meter_begin(&world.meter);
    for (unsigned i = 0; i < outstanding; i++)
        ask(&world.slots[i]);
    /* A phase without an answer would have no figure: on a slow machine it lasts until one. */
    while (world.meter.done == 0 || bench_now_us() - world.meter.from.at < ms * 1000LL)
        patient();
    bench_meter_end(&world.meter);
    world.stopping = true;
    for (unsigned i = 0; i < outstanding; i++)
        while (world.slots[i].open)
            patient();
    bench_meter_report(&world.meter);
}

static void obey(const char *line)
{
    unsigned n = 0, ms = 0;
    world.heard = bench_now_us();
    if (strncmp(line, "await", 5) == 0)
        await(bench_now_us());
    else if (sscanf(line, "watch %u", &n) == 1) // NOLINT(cert-err34-c): our words
        bench_meter_watch(&world.meter, n, NULL);
    else if (sscanf(line, "ask %u %u", &n, &ms) == 2) // NOLINT(cert-err34-c)
        run(n, ms);
    else
        die("no such order");
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    struct epoll_event orders = { .events = EPOLLIN, .data.ptr = NULL };
    char line[TEXT_MAX];
    world.each = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
    world.is_there = calloc(4 * (size_t)world.each + 1, sizeof(bool));
    world.of_device = calloc(4 * (size_t)world.each + 1, sizeof(struct conn *));
    world.of_cloud = calloc(CLOUDS, sizeof(struct conn *));
    world.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!world.each || !world.is_there || !world.of_device || !world.of_cloud ||
        !bench_meter_new(&world.meter) ||
        epoll_ctl(world.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &orders) < 0)
        die("usage: bench_clouds EACH");
    (void)setvbuf(stdin, NULL, _IONBF, 0); /* what is read ahead would not wake us */
    for (size_t i = 0; i < CLOUDS; i++)
        (void)printf("%c%d", i ? ',' : '[', open_listener(&world.listeners[i]));
    (void)printf("]\n");
    (void)fflush(stdout);
    for (;;) {
        if (!turn())
            continue;
        if (!fgets(line, sizeof(line), stdin))
            return 0;
        obey(line);
    }
}
