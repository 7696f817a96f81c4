/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a further connection by TLS costs: so many of them on the threads of one crew, against a
 * real mosquitto; resident memory and time, printed. usage: bench_tls_links [COUNT]. The numbers
 * count in a build without sanitizers.
 */
#include <stdio.h>

#include "adapters/transports/mqtt.h"
#include "bridge/base/str.h"
#include "bridge/loop.h"
#include "tests/fakes/broker.h"

#define FIRST    10 /* what is there once (trust, threads, caches) is paid by these */
#define GUARD_MS 120000

struct link {
    struct sb_mqtt *mqtt;
    char *id;
};

static struct sb_broker *broker;
static struct sb_loop *loop;
static unsigned ups;
static char *uri;

static int login(void *arg, struct sb_connect *ret, char **ret_error)
{
    const struct link *link = arg;

    *ret_error = NULL;
    *ret = (struct sb_connect){ .uri = strdup(uri),
                                .client_id = strdup(link->id),
                                .user = strdup("gw"),
                                .password = strdup("right"),
                                .ca_file = sb_broker_path(broker, "ca.pem"),
                                .verify = true,
                                .clean = true,
                                .keepalive = 120 };
    return sb_connect_add_topic(ret, sb_format("to/%s/#", link->id));
}

static void on_event(void *arg, const struct sb_mqtt_event *event)
{
    (void)arg;
    ups += event->kind == SB_MQTT_UP;
    sb_loop_stop(loop);
}

static void on_guard(void *arg)
{
    (void)arg;
    (void)fprintf(stderr, "%u connections came up, then no more\n", ups);
    abort();
}

static long resident(void)
{
    sb_cleanup(sb_freep) char *line = NULL;
    size_t room = 0;
    long kib = 0;
    FILE *status = fopen("/proc/self/status", "re");

    while (status && getline(&line, &room, status) > 0)
        if (strncmp(line, "VmRSS:", 6) == 0)
            kib = strtol(line + 6, NULL, 10);
    if (status)
        (void)fclose(status);
    return kib;
}

static void open_links(struct sb_mqtt_crew *crew, struct link *links, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        links[i].id = sb_format("link-%u", i);
        if (sb_mqtt_new(loop, crew, login, on_event, &links[i], &links[i].mqtt) < 0)
            abort();
        sb_mqtt_start(links[i].mqtt);
    }
    while (ups < to)
        if (sb_loop_run(loop) < 0)
            abort();
}

int main(int argc, char **argv)
{
    unsigned count = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 100;
    struct link *links = calloc(count > FIRST ? count : FIRST + 1, sizeof(*links));
    struct sb_mqtt_crew *crew = NULL;
    struct sb_timer *guard = NULL;

    sb_heap_split(); /* as the daemon does */
    count = count > FIRST ? count : FIRST + 1;
    broker = sb_broker_new();
    sb_broker_start(broker);
    uri = sb_format("mqtts://localhost:%u", sb_broker_port(broker, SB_BROKER_TLS));
    if (!links || sb_loop_new(&loop) < 0 || sb_mqtt_crew_new(&crew) < 0 ||
        sb_timer_new(loop, on_guard, NULL, &guard) < 0)
        abort();
    sb_timer_in(guard, GUARD_MS);
    open_links(crew, links, 0, FIRST);
    long before = resident();
    int64_t begin = sb_loop_now(loop);
    open_links(crew, links, FIRST, count);
    printf("%u further connections by TLS: %.1f KiB each, up in %.1f s, %ld KiB in all\n",
           count - FIRST, (double)(resident() - before) / (count - FIRST),
           (double)(sb_loop_now(loop) - begin) / 1000, resident());
    for (unsigned i = 0; i < count; i++) {
        sb_mqtt_free(links[i].mqtt);
        free(links[i].id);
    }
    sb_mqtt_crew_free(crew);
    sb_timer_free(guard);
    sb_loop_free(loop);
    sb_broker_free(broker);
    free(links);
    free(uri);
    return 0;
}
