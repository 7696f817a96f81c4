/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes on the control socket of a whole gateway on a simulated clock: the real control, core
 * and registry, a bench of devices, a store in memory. 0xff and a letter are no bytes but what
 * happens: a client more, a client less, time that passes, a disk that refuses for a while.
 *
 * Whatever comes: each line of an answer is a JSON object of the protocol, nobody gets more answers
 * than it sent lines, and the gateway still answers afterwards.
 */
#include <dirent.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/control/control.h"
#include "tests/scenario/world.h"

#define CLIENTS 4
#define OTHER   0xff

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct client {
    int fd; /* -1: not there */
    size_t lines, answers;
    struct sb_str in;
};

struct gateway {
    struct world world;
    char *socket;
    struct sb_control *control;
    struct client clients[CLIENTS];
    size_t current;
};

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* ---- the gateway: files once, all else anew for each input ---- */

static void empty_folder(const char *directory, const char *name)
{
    sb_cleanup(sb_freep) char *path = sb_format("%s/%s", directory, name);
    DIR *files = opendir(path);
    for (struct dirent *entry; files && (entry = readdir(files));)
        if (strcmp(entry->d_name, "southbridge-depot") != 0) /* is synced when it is made */
            (void)unlinkat(dirfd(files), entry->d_name, 0);
    if (files)
        (void)closedir(files);
}

static struct gateway *the_gateway(void)
{
    static struct gateway gateway;
    if (gateway.socket) {
        gateway.world.wall = INT64_C(1767571200000);
        check(sb_store_mem_new(&gateway.world.disk) == 0);
        bench_reset();
        cloud_reset();
        shelf_reset();
        empty_folder(gateway.world.directory, "artifacts");
        world_boot(&gateway.world);
        return &gateway;
    }
    world_new(&gateway.world);
    sb_log_setup(SB_LOG_ERROR, SB_LOG_LOGFMT);
    gateway.socket = sb_format("%s/control", gateway.world.directory);
    return &gateway;
}

static void clean_up(void)
{
    struct gateway *gateway = the_gateway();
    world_done(&gateway->world);
    free(gateway->socket);
    gateway->socket = NULL;
}

/* ---- clients ---- */

static void open_client(struct gateway *gateway)
{
    struct client *client = &gateway->clients[gateway->current];
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (client->fd >= 0)
        return;
    memcpy(address.sun_path, gateway->socket, strlen(gateway->socket));
    *client =
        (struct client){ .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) };
    check(connect(client->fd, (struct sockaddr *)&address, sizeof(address)) == 0);
}

static void close_client(struct client *client)
{
    if (client->fd >= 0)
        (void)close(client->fd);
    client->fd = -1;
    sb_str_done(&client->in);
}

static void check_line(struct client *client, const char *text, size_t n)
{
    sb_cleanup(json_decrefp) json_t *line = json_loadb(text, n, JSON_ALLOW_NUL, NULL);
    check(json_is_object(line));
    if (json_object_get(line, "event"))
        return;
    const json_t *ok = json_object_get(line, "ok");
    check(json_is_boolean(ok));
    check(json_is_true(ok) ? json_object_get(line, "data") != NULL
                           : sb_json_str(line, "error") && sb_json_str(line, "text"));
    check(++client->answers <= client->lines + 1); /* one is told that it is one too many */
}

static void take_in(struct client *client)
{
    char buffer[16384];
    if (client->fd < 0)
        return;
    ssize_t n;
    while ((n = recv(client->fd, buffer, sizeof(buffer), 0)) > 0)
        sb_str_add_bytes(&client->in, buffer, (size_t)n);
    size_t taken = 0;
    for (const char *end; client->in.length > taken &&
                          (end = memchr(client->in.text + taken, '\n', client->in.length - taken));
         taken = (size_t)(end - client->in.text) + 1)
        check_line(client, client->in.text + taken, (size_t)(end - client->in.text) - taken);
    struct sb_str rest = { 0 };
    sb_str_add_bytes(&rest, client->in.length ? client->in.text + taken : "",
                     client->in.length - taken);
    sb_str_done(&client->in);
    client->in = rest;
    if (n == 0)
        close_client(client);
}

static void happen(struct gateway *gateway, int64_t ms)
{
    for (int i = 0; i < 100 && sb_sim_poll(gateway->world.loop); i++)
        ;
    if (ms > 0)
        sb_sim_advance(gateway->world.loop, ms);
    for (size_t i = 0; i < CLIENTS; i++)
        take_in(&gateway->clients[i]);
}

static void say(struct gateway *gateway, const uint8_t *bytes, size_t n)
{
    struct client *client = &gateway->clients[gateway->current];
    open_client(gateway);
    while (n > 0 && client->fd >= 0) {
        ssize_t sent = send(client->fd, bytes, n, MSG_NOSIGNAL);
        for (ssize_t i = 0; i < sent; i++)
            client->lines += bytes[i] == '\n';
        if (sent < 0 && errno != EAGAIN) {
            take_in(client);
            close_client(client);
            return;
        }
        bytes += sent > 0 ? sent : 0;
        n -= sent > 0 ? (size_t)sent : 0;
        happen(gateway, 0);
    }
}

static void other(struct gateway *gateway, uint8_t what, uint8_t value)
{
    switch (what) {
    case 'n':
        gateway->current = value % CLIENTS;
        break;
    case 'c':
        close_client(&gateway->clients[gateway->current]);
        break;
    case 't':
        happen(gateway, (int64_t)value * value);
        break;
    case 'd':
        sb_store_mem_fail_next(gateway->world.disk, value % 8, -ENOSPC);
        break;
    default:
        break;
    }
}

static void play(struct gateway *gateway, const uint8_t *data, size_t size)
{
    while (size > 0) {
        const uint8_t *end = memchr(data, OTHER, size);
        size_t n = end ? (size_t)(end - data) : size;
        say(gateway, data, n);
        data += n;
        size -= n;
        size_t taken = SB_MIN(size, (size_t)3);
        if (taken == 3)
            other(gateway, data[1], data[2]);
        data += taken;
        size -= taken;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool registered;
    struct gateway *gateway = the_gateway();
    sb_cleanup(sb_freep) char *error = NULL;
    if (!registered)
        registered = atexit(clean_up) == 0;
    for (size_t i = 0; i < CLIENTS; i++)
        gateway->clients[i].fd = -1;
    gateway->current = 0;
    check(sb_control_new(gateway->world.core, gateway->socket, NULL, &gateway->control, &error) ==
          0);
    play(gateway, data, size);
    sb_store_mem_fail_next(gateway->world.disk, 0, 0);
    happen(gateway, 60000);
    for (size_t i = 0; i < CLIENTS; i++)
        close_client(&gateway->clients[i]);
    static const uint8_t question[] = "{\"verb\":\"link list\"}\n";
    gateway->current = 0;
    say(gateway, question, sizeof(question) - 1);
    happen(gateway, 1000);
    check(gateway->clients[0].answers == 1);
    close_client(&gateway->clients[0]);
    gateway->control = sb_control_free(gateway->control);
    world_off(&gateway->world, false);
    gateway->world.disk = sb_store_mem_free(gateway->world.disk);
    return 0;
}
