/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The load: a cloud that asks a gateway, or an echo in its place, and measures the answers.
 *
 *     bench_load PORT DEVICES [URI SHA256]
 *
 * Orders come on stdin, a line each; each is answered with one line of JSON.
 *
 *     watch PID [FILE] whose processor time is told, and what it counted (count.c)
 *     await            until a request is answered and, of a gateway, all devices are managed
 *     update N MS      device/update (answered 204) with N outstanding for MS milliseconds
 *     job N MS COUNT   firmware/download of an image that the gateway has: until told "downloaded";
 *                      MS 0 or COUNT 0: no such bound
 *
 * URI, SHA256: of that image. One thread, libmosquitto, no JSON library on the way of a request:
 * the load must cost less than what it measures.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <mosquitto.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/meter.h"

#define SLOTS_MAX   256
#define TEXT_MAX    1024
#define DEVICE      "iotdm-1/type/pump/id/d%u/%s"
#define PATIENCE_MS 30000 /* without any answer: the peer is dead */
#define AGAIN_MS    300   /* a request of `await` that nobody heard */
#define TICK_MS     100

enum step { IDLE, UPDATE, DOWNLOAD, STAGED };

struct slot {
    unsigned device, serial;
    enum step step; /* what is awaited */
    int64_t begun;
    bool due; /* its next request is to be sent */
};

struct reply {
    struct reply *next;
    char topic[TEXT_MAX], payload[TEXT_MAX];
};

static struct {
    struct mosquitto *mosquitto;
    unsigned devices, managed;
    struct slot slots[SLOTS_MAX];
    struct reply *replies;
    bool jobs, stopping;
    unsigned serial;
    uint64_t done;
    int64_t heard;
    const char *uri, *sha256;
    struct bench_meter meter;
} load;

static void die(const char *what)
{
    (void)fprintf(stderr, "bench_load: %s\n", what);
    exit(1);
}

/* ---- requests ---- */

__attribute__((format(printf, 2, 3))) static void publish(const char *topic, const char *fmt, ...)
{
    char text[TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (n >= (int)sizeof(text))
        die("a request is too long");
    if (mosquitto_publish(load.mosquitto, NULL, topic, n, text, 1, false) != MOSQ_ERR_SUCCESS)
        die("cannot publish");
}

static void ask(struct slot *slot, enum step step)
{
    char topic[TEXT_MAX];
    unsigned at = (unsigned)(slot - load.slots);
    slot->serial = ++load.serial;
    slot->step = step;
    slot->due = false;
    (void)snprintf(topic, sizeof(topic), DEVICE, slot->device,
                   step == UPDATE ? "device/update" : "mgmt/initiate/firmware/download");
    if (step == DOWNLOAD)
        publish(topic, "{\"reqId\":\"b%u-%u\"}", at, slot->serial);
    else
        publish(topic,
                "{\"reqId\":\"b%u-%u\",\"d\":{\"fields\":[{\"field\":\"mgmt.firmware\",\"value\":{"
                "\"version\":\"2.0.0\",\"name\":\"pump\",\"uri\":\"%s\",\"verifier\":\"%s\","
                "\"state\":0,"
                "\"updateStatus\":0,\"updatedDateTime\":\"2026-01-01T00:00:00Z\"}}]}}",
                at, slot->serial, load.uri, load.sha256);
}

static void begin(struct slot *slot)
{
    slot->begun = bench_now_us();
    ask(slot, UPDATE);
}

static void end(struct slot *slot)
{
    load.done++;
    bench_meter_add(&load.meter, bench_now_us() - slot->begun);
    slot->step = IDLE;
    slot->due = !load.stopping;
}

/* ---- what comes back ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* {"rc":204,"reqId":"bSLOT-SERIAL"}, whatever stands around; late ones of before are passed over.
 */
static void on_response(const char *text)
{
    const char *id = strstr(text, "\"b"), *code = strstr(text, "\"rc\":");
    char *rest = NULL;
    unsigned long at = id ? strtoul(id + 2, &rest, 10) : SLOTS_MAX;
    if (at >= SLOTS_MAX || *rest != '-')
        return;
    struct slot *slot = &load.slots[at];
    if (strtoul(rest + 1, NULL, 10) != slot->serial || slot->step == IDLE)
        return;
    unsigned long rc = code ? strtoul(code + 5, NULL, 10) : 0;
    if (rc != 204 && rc != 202 && load.meter.bad++ == 0)
        (void)fprintf(stderr, "bench_load: answered %.200s\n", text);
    if (load.jobs && rc == 204)
        slot->due = true; /* and then the download */
    else if (!load.jobs || rc != 202)
        end(slot);
    else
        slot->step = STAGED;
}

/* Its reply, as the platform owes one to each of these. */
static void owe(const char *topic, const char *suffix, const char *text)
{
    json_t *root = json_loads(text, 0, NULL);
    const char *id = json_string_value(json_object_get(root, "reqId"));
    struct reply *reply = calloc(1, sizeof(*reply));
    if (!reply)
        die("out of memory");
    (void)snprintf(reply->topic, sizeof(reply->topic), "iotdm-1/%.*sresponse",
                   (int)(strlen(topic) - strlen("iotdevice-1/") - strlen(suffix)),
                   topic + strlen("iotdevice-1/"));
    (void)snprintf(reply->payload, sizeof(reply->payload), "{\"rc\":200,\"reqId\":\"%s\"}",
                   id ? id : "");
    json_decref(root);
    reply->next = load.replies;
    load.replies = reply;
}

static void on_notify(const char *topic, const char *text)
{
    const char *id = strstr(topic, "/id/d");
    unsigned long device = id ? strtoul(id + 5, NULL, 10) : load.devices;
    owe(topic, "notify", text);
    if (device >= SLOTS_MAX || load.slots[device].step == IDLE || !load.jobs)
        return;
    if (strstr(text, "\"state\":2"))
        end(&load.slots[device]);
    else if (!strstr(text, "\"updateStatus\":0") && load.meter.bad++ == 0)
        (void)fprintf(stderr, "bench_load: a job failed: %.200s\n", text);
}

static void on_message(struct mosquitto *mosquitto, void *arg,
                       const struct mosquitto_message *message)
{
    static const char *const owed[] = { "mgmt/manage", "add/diag/log", "add/diag/errorCodes" };
    char text[TEXT_MAX];
    (void)mosquitto, (void)arg;
    size_t n = message->payloadlen < TEXT_MAX ? (size_t)message->payloadlen : TEXT_MAX - 1;
    if (n)
        memcpy(text, message->payload, n);
    text[n] = '\0';
    load.heard = bench_now_us();
    if (ends_with(message->topic, "/response"))
        on_response(text);
    else if (ends_with(message->topic, "/notify"))
        on_notify(message->topic, text);
    for (size_t i = 0; i < sizeof(owed) / sizeof(owed[0]); i++)
        if (ends_with(message->topic, owed[i]))
            owe(message->topic, owed[i], text);
    load.managed += ends_with(message->topic, "/mgmt/manage");
}

/* ---- the loop ---- */

/* Not from inside a callback: there libmosquitto only queues. */
static void send_what_is_due(void)
{
    while (load.replies) {
        struct reply *reply = load.replies;
        load.replies = reply->next;
        publish(reply->topic, "%s", reply->payload);
        free(reply);
    }
    for (struct slot *slot = load.slots; slot < load.slots + SLOTS_MAX; slot++) {
        if (slot->due && slot->step == UPDATE)
            ask(slot, DOWNLOAD);
        else if (slot->due)
            begin(slot);
    }
}

static void turn(int timeout)
{
    bool writing = mosquitto_want_write(load.mosquitto);
    struct pollfd fd = { mosquitto_socket(load.mosquitto),
                         (short)(POLLIN | (writing ? POLLOUT : 0)), 0 };
    int r = poll(&fd, 1, timeout);
    if (r > 0 && (fd.revents & ~POLLOUT) &&
        mosquitto_loop_read(load.mosquitto, 1) != MOSQ_ERR_SUCCESS)
        die("the broker is gone");
    if (writing && mosquitto_loop_write(load.mosquitto, 1) != MOSQ_ERR_SUCCESS)
        die("the broker is gone");
    if (r == 0)
        (void)mosquitto_loop_misc(load.mosquitto);
    send_what_is_due();
    if (bench_now_us() - load.heard > PATIENCE_MS * 1000LL)
        die("nothing was answered for too long");
}

static bool any_open(void)
{
    for (const struct slot *slot = load.slots; slot < load.slots + SLOTS_MAX; slot++)
        if (slot->step != IDLE)
            return true;
    return false;
}

/* ---- orders ---- */

static void await(void)
{
    while (load.done == 0) {
        begin(&load.slots[0]);
        for (int64_t until = bench_now_us() + AGAIN_MS * 1000LL;
             load.done == 0 && bench_now_us() < until;)
            turn(TICK_MS);
    }
    load.slots[0].due = false;
    while (load.managed > 0 && load.managed < load.devices + 1) /* an echo manages none */
        turn(TICK_MS);
    (void)printf("{\"managed\":%u}\n", load.managed);
}

static void observe(void)
{
    char topic[TEXT_MAX];
    for (unsigned i = 0; i < load.devices; i++) {
        (void)snprintf(topic, sizeof(topic), DEVICE, i, "observe");
        publish(topic, "{\"reqId\":\"o%u-%u\",\"d\":{\"fields\":[{\"field\":\"mgmt.firmware\"}]}}",
                i, ++load.serial);
    }
}

static void run(unsigned outstanding, unsigned ms, unsigned count)
{
    if (outstanding == 0 || outstanding > SLOTS_MAX)
        die("outstanding: 1 to 256");
    load.stopping = false;
    load.heard = bench_now_us();
    if (load.jobs)
        observe();
    bench_meter_begin(&load.meter);
    const struct bench_meter *meter = &load.meter;
    for (unsigned i = 0; i < outstanding; i++)
        begin(&load.slots[i]);
    /* A phase without an answer would have no figure: on a slow machine it lasts until one. */
    while ((!ms || meter->done == 0 || bench_now_us() - meter->from.at < ms * 1000LL) &&
           (!count || meter->done < count))
        turn(TICK_MS);
    bench_meter_end(&load.meter);
    load.stopping = true;
    for (struct slot *slot = load.slots; slot < load.slots + SLOTS_MAX; slot++)
        slot->due = slot->due && slot->step == UPDATE; /* a job that was begun goes to its end */
    while (any_open())
        turn(TICK_MS);
    bench_meter_report(&load.meter);
}

static void obey(const char *line)
{
    unsigned n = 0, ms = 0, count = 0;
    char path[257] = "";
    load.heard = bench_now_us();
    if (strncmp(line, "await", 5) == 0) {
        load.jobs = false;
        await();
    } else if (sscanf(line, "watch %u %256s", &n, path) >= 1) { // NOLINT(cert-err34-c): our words
        bench_meter_watch(&load.meter, n, path);
    } else if (sscanf(line, "update %u %u", &n, &ms) == 2) { // NOLINT(cert-err34-c)
        load.jobs = false;
        run(n, ms, 0);
    } else if (sscanf(line, "job %u %u %u", &n, &ms, &count) == 3) { // NOLINT(cert-err34-c)
        load.jobs = true;
        run(n, ms, count);
    } else {
        die("no such order");
    }
    (void)fflush(stdout);
}

/* Between two orders the cloud goes on living. */
static bool next_order(char *line, size_t size)
{
    struct pollfd fds[2] = { { STDIN_FILENO, POLLIN, 0 }, { 0, POLLIN, 0 } };
    do {
        load.heard = bench_now_us();
        turn(0);
        fds[1].fd = mosquitto_socket(load.mosquitto);
        (void)poll(fds, 2, TICK_MS);
    } while (!(fds[0].revents & (POLLIN | POLLHUP)));
    return fgets(line, (int)size, stdin) != NULL;
}

static void connect_to(int port)
{
    (void)mosquitto_lib_init();
    load.mosquitto = mosquitto_new("platform", true, NULL);
    if (!load.mosquitto)
        die("out of memory");
    mosquitto_message_callback_set(load.mosquitto, on_message);
    (void)mosquitto_int_option(load.mosquitto, MOSQ_OPT_TCP_NODELAY, 1);
    (void)mosquitto_int_option(load.mosquitto, MOSQ_OPT_SEND_MAXIMUM, UINT16_MAX);
    if (mosquitto_connect(load.mosquitto, "127.0.0.1", port, 60) != MOSQ_ERR_SUCCESS ||
        mosquitto_subscribe(load.mosquitto, NULL, "iotdevice-1/#", 1) != MOSQ_ERR_SUCCESS)
        die("cannot connect");
}

int main(int argc, char **argv)
{
    char line[512];
    if (argc < 3)
        die("usage: bench_load PORT DEVICES [URI SHA256]");
    (void)setvbuf(stdin, NULL, _IONBF, 0); /* poll() sees what is not yet read */
    load.devices = (unsigned)strtoul(argv[2], NULL, 10);
    load.uri = argc > 4 ? argv[3] : "https://fw.example.com/pump.bin";
    load.sha256 = argc > 4 ? argv[4] : "";
    if (!bench_meter_new(&load.meter))
        die("out of memory");
    for (unsigned i = 0; i < SLOTS_MAX; i++)
        load.slots[i].device = load.devices ? i % load.devices : 0;
    load.stopping = true;
    connect_to((int)strtol(argv[1], NULL, 10));
    (void)printf("{\"connected\":true}\n");
    (void)fflush(stdout);
    while (next_order(line, sizeof(line)))
        obey(line);
    mosquitto_destroy(load.mosquitto);
    (void)mosquitto_lib_cleanup();
    free(load.meter.samples);
    return 0;
}
