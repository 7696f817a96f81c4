/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/control_world.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "bridge/base/log.h"

#define DEADLINE (20 * SB_SECOND)

/* A dialect that no link speaks: only its words are there. */
static const struct sb_field no_fields[] = { { 0 } };
static const struct sb_field spare_cell[] = { { .key = "code", .type = SB_TYPE_INT }, { 0 } };
static const struct sb_dialect_shape spare_shape = {
    .dialect = "spare", .cell = spare_cell, .limits = no_fields, .names = no_fields
};
static const struct sb_door_ops spare_door = {
    .dialect = "spare", .role = "uplink", .shape = &spare_shape, .fields = no_fields
};

static const struct sb_door_ops *const doors[] = { &cloud_door, &spare_door, NULL };
static const struct sb_driver_ops *const drivers[] = { &bench_driver, NULL };
static const struct sb_port_ops *const transports[] = { NULL };
static const struct sb_adapters adapters = { doors, drivers, transports };

/* ---- files ---- */

void world_write(const struct world *world, const char *name, const char *text)
{
    sb_cleanup(sb_freep) char *path = sb_format("%s/%s", world->directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void make_directory(const struct world *world, const char *name)
{
    sb_cleanup(sb_freep) char *path = sb_format("%s/%s", world->directory, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

/* States read as base and their number, causes as 100 more. */
static void write_words(const struct world *world, const char *dialect, int base)
{
    struct sb_str text = { 0 };
    sb_str_format(&text, "dialect: %s\nsends:\n  states:\n    all:\n", dialect);
    for (int s = 0; s <= SB_TASK_SUCCEEDED; s++)
        sb_str_format(&text, "      %s: { code: %d }\n", sb_task_state_name(s), base + s);
    sb_str_add(&text, "  causes:\n");
    for (int c = 1; c < SB_CAUSE_MAX_; c++)
        sb_str_format(&text, "    %s: { code: %d }\n", sb_cause_name(c), base + 100 + c);
    sb_cleanup(sb_freep) char *name = sb_format("dialects/%s.yaml", dialect);
    world_write(world, name, sb_str_get(&text));
    sb_str_done(&text);
}

static void write_config(const struct world *world, const char *more)
{
    sb_cleanup(sb_freep) char *config =
        sb_format("state: %s\n"
                  "mappings: [ %s ]\n"
                  "devices: %s/devices.d\n"
                  "%s",
                  world->directory, world->directory, world->directory, more);
    world_write(world, "southbridge.yaml", config);
}

static void write_devices(const struct world *world)
{
    write_words(world, "cloud", 0);
    write_words(world, "spare", 1000);
    world_write(world, "devices/one-step.yaml",
                "name: one-step\ndriver: bench\nverify: version\nstall: 30s\noccupied: 5m\n");
    world_write(world, "devices/two-step.yaml",
                "name: two-step\ndriver: bench\nverify: version\nstall: 30s\noccupied: 5m\n");
    world_write(world, "devices.d/all.yaml",
                "devices:\n"
                "  - { id: a, type: one-step }\n"
                "  - { id: b, type: one-step }\n"
                "  - { id: c, type: two-step }\n");
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status, (void)kind, (void)where;
    return remove(path);
}

/* ---- the loop ---- */

struct wait {
    struct world *world;
    condition_fn condition;
    void *arg;
    int turns;
    int64_t until;
    struct sb_timer *timer;
    bool in_vain;
};

static void look(void *arg)
{
    struct wait *wait = arg;
    bool met = wait->condition ? wait->condition(wait->arg) : wait->turns-- <= 0;
    wait->in_vain = !met && sb_loop_now(wait->world->loop) > wait->until;
    if (met || wait->in_vain)
        sb_loop_stop(wait->world->loop);
    else
        sb_timer_in(wait->timer, 1);
}

static void run(struct world *world, condition_fn condition, void *arg, int turns)
{
    struct wait wait = { .world = world, .condition = condition, .arg = arg, .turns = turns };
    wait.until = sb_loop_now(world->loop) + DEADLINE;
    assert_int_equal(sb_timer_new(world->loop, look, &wait, &wait.timer), 0);
    sb_timer_in(wait.timer, 0);
    int r = sb_loop_run(world->loop);
    sb_timer_free(wait.timer);
    assert_int_equal(r, 0);
    if (wait.in_vain)
        fail_msg("waited in vain");
}

void world_until(struct world *world, condition_fn condition, void *arg)
{
    run(world, condition, arg, 0);
}

void world_turns(struct world *world, int turns)
{
    run(world, NULL, NULL, turns);
}

/* ---- on and off ---- */

static void open_store(struct world *world, struct sb_core_parts *parts)
{
    sb_cleanup(sb_freep) char *path = sb_format("%s/store.db", world->directory);
    sb_cleanup(sb_freep) char *error = NULL;
    if (world->disk) {
        assert_int_equal(sb_store_mem_use(world->disk, world->loop), 0);
        parts->backend_ops = &sb_store_mem_ops;
        parts->backend = world->disk;
        return;
    }
    int r = sb_sqlite_open(world->loop, path, &parts->backend_ops, &parts->backend, &error);
    if (r < 0)
        fail_msg("%s", error ? error : strerror(-r));
}

static bool all_answered(void *arg)
{
    const struct world *world = arg;
    const struct sb_device *device;
    for (size_t i = 0; (device = sb_registry_at(world->core->registry, i)); i++)
        if (device->presence != SB_PRESENCE_READY)
            return false;
    return true;
}

void world_on(struct world *world)
{
    sb_cleanup(sb_freep) char *path = sb_format("%s/southbridge.yaml", world->directory);
    sb_cleanup(sb_freep) char *error = NULL;
    struct sb_diags diags = { 0 };
    assert_int_equal(sb_config_load(path, &world->config, &diags), 0);
    assert_int_equal(sb_loop_new(&world->loop), 0);
    bench_power_on(world->loop);
    shelf_power_on(world->loop);
    bench.step_ms = shelf.step_ms = 3;
    struct sb_core_parts parts = { .loop = world->loop,
                                   .config = world->config,
                                   .adapters = world->adapters,
                                   .fetcher_ops = &shelf_ops,
                                   .program = world->program };
    open_store(world, &parts);
    assert_int_equal(sb_core_new(&parts, &world->core), 0);
    int r = sb_control_new(world->core, world->socket, NULL, &world->control, &error);
    if (r < 0)
        fail_msg("%s", error ? error : strerror(-r));
    assert_int_equal(sb_core_start(world->core), 0);
}

static void begin(struct world *world, const struct sb_adapters *with)
{
    static const char *const directories[] = { "dialects", "devices", "devices.d" };
    char template[] = "/tmp/sb-control-XXXXXX";
    *world = (struct world){ .client.fd = -1, .adapters = with };
    assert_non_null(mkdtemp(template));
    world->directory = strdup(template);
    world->socket = sb_format("%s/control", template);
    world->program = sb_format("%s/doctor", template);
    for (size_t i = 0; i < SB_COUNT(directories); i++)
        make_directory(world, directories[i]);
    sb_log_setup(getenv("SB_VERBOSE") ? SB_LOG_DEBUG : SB_LOG_ERROR, SB_LOG_LOGFMT);
    bench_reset();
    cloud_reset();
    shelf_reset();
}

void world_new(struct world *world, bool sqlite)
{
    begin(world, &adapters);
    write_devices(world);
    write_config(world, "links:\n  north: { dialect: cloud, role: uplink }\n");
    if (!sqlite)
        assert_int_equal(sb_store_mem_new(&world->disk), 0);
    world_on(world);
    world_until(world, all_answered, world);
}

void world_new_with(struct world *world, const struct sb_adapters *with,
                    void (*write)(const struct world *world), const char *more)
{
    begin(world, with);
    write(world);
    write_config(world, more);
    assert_int_equal(sb_store_mem_new(&world->disk), 0);
    world_on(world);
}

void world_off(struct world *world)
{
    client_close(&world->client);
    world->control = sb_control_free(world->control);
    world->core = sb_core_free(world->core);
    bench_power_off();
    world->loop = sb_loop_free(world->loop);
    world->config = sb_config_free(world->config);
}

void world_done(struct world *world)
{
    world_off(world);
    bench_reset();
    cloud_reset();
    shelf_reset();
    world->disk = sb_store_mem_free(world->disk);
    (void)nftw(world->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(world->directory);
    free(world->socket);
    free(world->program);
}

/* ---- clients ---- */

void client_open(const struct world *world, struct client *client)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    *client =
        (struct client){ .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) };
    assert_true(client->fd >= 0 && strlen(world->socket) < sizeof(address.sun_path));
    memcpy(address.sun_path, world->socket, strlen(world->socket));
    assert_int_equal(connect(client->fd, (const struct sockaddr *)&address, sizeof(address)), 0);
}

void client_close(struct client *client)
{
    if (client->fd >= 0)
        (void)close(client->fd);
    client->fd = -1;
    sb_str_done(&client->in);
}

static void take_in(struct client *client)
{
    char buffer[65536];
    for (ssize_t n; !client->ended;) {
        n = recv(client->fd, buffer, sizeof(buffer), 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n > 0)
            sb_str_add_bytes(&client->in, buffer, (size_t)n);
        else
            client->ended = true;
    }
}

struct sending {
    struct client *client;
    const char *bytes;
    size_t left;
    bool broken;
};

static bool sent(void *arg)
{
    struct sending *sending = arg;
    while (sending->left && !sending->broken) {
        ssize_t n = send(sending->client->fd, sending->bytes, sending->left, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            return false;
        sending->broken = n < 0;
        sending->bytes += n > 0 ? n : 0;
        sending->left -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

bool client_send(struct world *world, struct client *client, const void *bytes, size_t n)
{
    struct sending sending = { client, bytes, n, false };
    world_until(world, sent, &sending);
    return !sending.broken;
}

bool client_has_line(struct client *client)
{
    take_in(client);
    return strchr(sb_str_get(&client->in), '\n') != NULL;
}

static bool has_line_or_end(void *arg)
{
    struct client *client = arg;
    return client_has_line(client) || client->ended;
}

json_t *client_line(struct world *world, struct client *client)
{
    world_until(world, has_line_or_end, client);
    const char *text = sb_str_get(&client->in);
    const char *end = strchr(text, '\n');
    if (!end)
        return NULL;
    json_t *line = json_loadb(text, (size_t)(end - text), 0, NULL);
    assert_non_null(line);
    struct sb_str rest = { 0 };
    sb_str_add(&rest, end + 1);
    sb_str_done(&client->in);
    client->in = rest;
    return line;
}

void client_say(struct world *world, struct client *client, const char *verb, const char *args)
{
    sb_cleanup(sb_freep) char *text =
        sb_format("{'verb': '%s', 'args': %s}\n", verb, args ? args : "{}");
    for (char *c = text; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    assert_true(client_send(world, client, text, strlen(text)));
}

/* ---- questions ---- */

json_t *ask(struct world *world, const char *verb, const char *args)
{
    if (world->client.fd < 0)
        client_open(world, &world->client);
    client_say(world, &world->client, verb, args);
    json_t *line = client_line(world, &world->client);
    if (!line)
        fail_msg("%s %s: no answer", verb, args ? args : "");
    return line;
}

json_t *ask_ok(struct world *world, const char *verb, const char *args)
{
    sb_cleanup(json_decrefp) json_t *line = ask(world, verb, args);
    if (!sb_json_bool(line, "ok", false))
        fail_msg("%s %s: %s", verb, args ? args : "", sb_json_str(line, "text"));
    return json_incref(json_object_get(line, "data"));
}

void ask_refused(struct world *world, const char *verb, const char *args, const char *error,
                 const char *part)
{
    sb_cleanup(json_decrefp) json_t *line = ask(world, verb, args);
    const char *text = sb_json_str(line, "text");
    if (sb_json_bool(line, "ok", true) || !sb_streq(sb_json_str(line, "error"), error) || !text ||
        !strstr(text, part)) {
        sb_cleanup(sb_freep) char *found = sb_json_text(line);
        fail_msg("%s %s: %s (not %s, '%s')", verb, args ? args : "", found, error, part);
    }
}

struct job_wait {
    struct world *world;
    int64_t id;
};

static bool job_done(void *arg)
{
    const struct job_wait *wait = arg;
    return !sb_book_job(wait->world->core->book, wait->id);
}

json_t *wait_job(struct world *world, int64_t id)
{
    struct job_wait wait = { world, id };
    world_until(world, job_done, &wait);
    sb_cleanup(sb_freep) char *args = sb_format("{'id': %lld}", (long long)id);
    return ask_ok(world, "job show", args);
}
