/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole jobs over buses: blocking drivers on their workers' threads, under the real core. Two
 * buses of two devices each; a device "lost" is on a bus that is not there.
 */
#include "tests/unit/control_world.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "bridge/mapping/type.h"

static struct world world;

/* ---- the line: each bus opens a pipe to nowhere ---- */

static atomic_int refuse; /* error with which every opening ends */

static void line_close(struct sb_port *port)
{
    (void)close(port->fd);
    (void)close(port->interrupt);
    free(port);
}

static int line_open(const void *config, struct sb_port **ret, int *ret_owner, char **ret_error)
{
    (void)config;
    if (atomic_load(&refuse)) {
        *ret_owner = 4711;
        *ret_error = sb_format("the line is held by process 4711");
        return atomic_load(&refuse);
    }
    struct sb_port *port = calloc(1, sizeof(*port));
    *port = (struct sb_port){ .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
                              .interrupt = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
                              .close = line_close };
    *ret = port;
    return 0;
}

static const struct sb_field no_fields[] = { { 0 } };
static const struct sb_port_ops line_port = {
    .name = "line", .fields = no_fields, .size = 1, .open = line_open
};

/* ---- the driver ---- */

static struct {
    atomic_int hold;            /* long work waits, before it has committed to anything */
    atomic_int hold_late;       /* ... and after */
    atomic_int mute;            /* long work gives no sign of life */
    atomic_int now[2], peak[2]; /* commands at the same time, per bus */
    atomic_int installs, boots, reads, looks;
    atomic_int boots_at_look; /* at the last one of a2 */
} line;

static int bus_of(const struct sb_command *command)
{
    return command->device[0] == 'b';
}

static void enter(int bus)
{
    int n = atomic_fetch_add(&line.now[bus], 1) + 1;
    if (n > atomic_load(&line.peak[bus]))
        atomic_store(&line.peak[bus], n);
}

static void identify(struct sb_outcome *ret)
{
    char version[16];
    (void)snprintf(version, sizeof(version), "%d.0.0", 1 + atomic_load(&line.installs));
    ret->after.versions = json_pack("{s:s}", "", version);
    ret->after.idle = true;
}

static bool held(struct sb_session *session, atomic_int *gate)
{
    for (int i = 0; atomic_load(gate); i++) {
        if (!atomic_load(&line.mute))
            sb_session_progress(session, SB_PHASE_TRANSFERRING, (uint64_t)(i % 100), 100);
        sb_session_share(session);
        if (sb_session_sleep(session, 2) < 0)
            return false;
    }
    return true;
}

static void work(struct sb_session *session, const struct sb_command *command,
                 struct sb_outcome *ret)
{
    sb_cleanup(json_decrefp) json_t *checkpoint = json_pack("{s:i}", "at", 1);
    ret->cause = SB_CAUSE_INTERNAL;
    sb_session_note(session, "working on %s", command->device);
    if (!held(session, &line.hold))
        return;
    sb_session_progress(session, SB_PHASE_TRANSFERRING, 1, 1);
    if (sb_session_checkpoint(session, checkpoint) < 0 || sb_session_commit_point(session) < 0)
        return;
    (void)held(session, &line.hold_late);
    if (command->op == SB_OP_REBOOT)
        atomic_fetch_add(&line.boots, 1);
    else
        atomic_fetch_add(&line.installs, 1);
    identify(ret);
    ret->cause = SB_CAUSE_NONE;
}

static void run(struct sb_session *session, const struct sb_command *command,
                struct sb_outcome *ret)
{
    if (!sb_session_port(session, ret))
        return;
    enter(bus_of(command));
    if (command->op == SB_COMMAND_IDENTIFY) {
        atomic_fetch_add(&line.looks, 1);
        if (strcmp(command->device, "a2") == 0)
            atomic_store(&line.boots_at_look, atomic_load(&line.boots));
        identify(ret);
    } else if (command->op == SB_OP_READ) {
        atomic_fetch_add(&line.reads, 1);
        ret->result = json_pack("{s:i}", "speed", 42);
        identify(ret);
    } else {
        work(session, command, ret);
    }
    atomic_fetch_sub(&line.now[bus_of(command)], 1);
}

static unsigned caps(const struct sb_type *type)
{
    return SB_CAP_CANCEL | (type && strcmp(type->name, "sharing") == 0 ? SB_CAP_SHARES_BUS : 0);
}

static enum sb_cause accepts(const struct sb_type *type, int op, const json_t *params,
                             char **ret_text)
{
    (void)type, (void)op, (void)params, (void)ret_text;
    return SB_CAUSE_NONE;
}

static const struct sb_driver_ops line_driver = { .name = "line",
                                                  .address_fields = no_fields,
                                                  .address_size = 1,
                                                  .type_fields = no_fields,
                                                  .type_size = 1,
                                                  .caps = caps,
                                                  .accepts = accepts,
                                                  .run = run };

/* ---- the gateway ---- */

static const struct sb_door_ops *const doors[] = { NULL };
static const struct sb_driver_ops *const drivers[] = { &line_driver, NULL };
static const struct sb_port_ops *const transports[] = { &line_port, NULL };
static const struct sb_adapters adapters = { doors, drivers, transports };

static void write_line(const struct world *w)
{
    world_write(w, "devices/line.yaml",
                "name: line\ndriver: line\nverify: none\nstall: 1s\noccupied: 5m\n");
    world_write(w, "devices/sharing.yaml",
                "name: sharing\ndriver: line\nverify: none\nstall: 30s\noccupied: 5m\n");
    world_write(w, "devices.d/all.yaml",
                "devices:\n"
                "  - { id: a1, type: line, bus: one }\n"
                "  - { id: a2, type: line, bus: one }\n"
                "  - { id: b1, type: sharing, bus: two }\n"
                "  - { id: b2, type: sharing, bus: two }\n"
                "  - { id: lost, type: line, bus: three }\n");
}

static bool all_there(void *arg)
{
    static const char *const ids[] = { "a1", "a2", "b1", "b2" };
    (void)arg;
    for (size_t i = 0; i < SB_COUNT(ids); i++)
        if (sb_registry_get(world.core->registry, ids[i])->presence != SB_PRESENCE_READY)
            return false;
    return true;
}

static int set_up(void **state)
{
    (void)state;
    memset(&line, 0, sizeof(line));
    atomic_store(&refuse, 0);
    world_new_with(&world, &adapters, write_line,
                   "buses:\n  one: { transport: line }\n  two: { transport: line }\n");
    world_until(&world, all_there, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    atomic_store(&line.hold, 0);
    atomic_store(&line.hold_late, 0);
    world_done(&world);
    return 0;
}

static int64_t create(const char *operation, const char *device, const char *more)
{
    sb_cleanup(sb_freep) char *args =
        sb_format("{'operation': '%s', 'devices': ['%s']%s}", operation, device, more);
    sb_cleanup(json_decrefp) json_t *data = ask_ok(&world, "job create", args);
    return sb_json_int(data, "id", 0);
}

/* Each a request of its own. */
static int64_t reboot(const char *device)
{
    static unsigned n;
    sb_cleanup(sb_freep) char *more = sb_format(", 'id': 'reboot-%u'", n++);
    return create("reboot", device, more);
}

#define IMAGE ", 'uri': 'https://fw.example.com/2.bin'"
#define READ  ", 'params': {'names': ['speed']}"

static void assert_outcome(int64_t job, const char *outcome)
{
    sb_cleanup(json_decrefp) json_t *data = wait_job(&world, job);
    const json_t *task = json_array_get(json_object_get(data, "tasks"), 0);
    if (!sb_streq(sb_json_str(data, "outcome"), outcome))
        fail_msg("%s, not %s: %s", sb_json_str(data, "outcome"), outcome,
                 sb_json_str(task, "text") ? sb_json_str(task, "text") : "");
}

struct wanted {
    unsigned driving, waiting, fetching;
};

static bool stats_are(void *arg)
{
    const struct wanted *wanted = arg;
    struct sb_runner_stats stats;
    sb_runner_stats(world.core->runner, &stats);
    return stats.driving == wanted->driving && stats.waiting_for_bus == wanted->waiting &&
           stats.fetching == wanted->fetching;
}

static void until_driving(unsigned driving, unsigned waiting)
{
    struct wanted wanted = { driving, waiting, 0 };
    world_until(&world, stats_are, &wanted);
}

static struct sb_task *task_of(int64_t job)
{
    return sb_book_job(world.core->book, job)->tasks[0];
}

static bool is_committed(void *arg)
{
    return task_of(*(int64_t *)arg)->committed;
}

static bool is_ready(void *arg)
{
    return sb_registry_get(world.core->registry, arg)->presence == SB_PRESENCE_READY;
}

static bool is_offline(void *arg)
{
    return sb_registry_get(world.core->registry, arg)->presence == SB_PRESENCE_OFFLINE;
}

/* ---- tests ---- */

#define TEST(name) SB_TEST(test_##name, set_up, tear_down)

TEST(one_at_a_time_on_a_bus)
{
    int64_t jobs[4];
    atomic_store(&line.hold, 1);
    for (int i = 0; i < 4; i++)
        jobs[i] = reboot(i % 2 ? "a2" : "a1");
    until_driving(1, 0);
    world_turns(&world, 20);
    until_driving(1, 0);
    assert_int_equal(task_of(jobs[1])->state, SB_TASK_QUEUED);
    assert_int_equal(task_of(jobs[1])->reason, SB_REASON_BUSY);
    atomic_store(&line.hold, 0);
    for (int i = 0; i < 4; i++)
        assert_outcome(jobs[i], "succeeded");
    assert_int_equal(atomic_load(&line.boots), 4);
    assert_int_equal(atomic_load(&line.peak[0]), 1);
}

TEST(buses_work_side_by_side)
{
    atomic_store(&line.hold, 1);
    int64_t a = reboot("a1"), b = reboot("b1");
    until_driving(2, 0);
    atomic_store(&line.hold, 0);
    assert_outcome(a, "succeeded");
    assert_outcome(b, "succeeded");
}

/* An image comes while the bus is still busy with another device, and then waits for it. */
TEST(fetching_does_not_wait_for_the_bus)
{
    atomic_store(&line.hold, 1);
    int64_t first = reboot("a1");
    until_driving(1, 0);
    int64_t second = create("firmware_update", "a2", IMAGE);
    until_driving(1, 1);
    assert_int_equal(shelf.completed, 1);
    assert_int_equal(task_of(second)->state, SB_TASK_DOWNLOADING);
    int64_t third = create("firmware_update", "a2",
                           ", 'uri': 'https://fw.example.com/3.bin',"
                           " 'policy': {'conflict': 'queue'}");
    atomic_store(&line.hold, 0);
    assert_outcome(first, "succeeded");
    assert_outcome(second, "succeeded");
    assert_outcome(third, "succeeded");
    assert_int_equal(atomic_load(&line.installs), 2);
    assert_int_equal(atomic_load(&line.peak[0]), 1);
}

/* While it waits for its bus, a task is on no device yet: a cancel ends it at once. */
TEST(cancel_while_waiting_for_the_bus)
{
    atomic_store(&line.hold, 1);
    int64_t first = reboot("a1");
    until_driving(1, 0);
    int64_t second = create("firmware_update", "a2", IMAGE);
    until_driving(1, 1);
    sb_cleanup(sb_freep) char *args = sb_format("{'id': %lld}", (long long)second);
    json_decref(ask_ok(&world, "job cancel", args));
    assert_outcome(second, "cancelled");
    until_driving(1, 0);
    atomic_store(&line.hold, 0);
    assert_outcome(first, "succeeded");
    assert_int_equal(atomic_load(&line.installs), 0);
}

/* Before the loop turns again. */
static void send_now(const struct client *client, const char *text)
{
    assert_int_equal(send(client->fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* A driver that shares lets short commands in between its blocks, long ones not. */
TEST(short_commands_on_a_shared_bus)
{
    atomic_store(&line.hold, 1);
    int64_t update = create("firmware_update", "b1", IMAGE);
    until_driving(1, 0);
    int64_t other = reboot("b2");
    world_turns(&world, 20);
    assert_int_equal(task_of(other)->state, SB_TASK_QUEUED);
    sb_cleanup(sb_freep) char *args = sb_format("{'id': %lld}", (long long)other);
    json_decref(ask_ok(&world, "job cancel", args));
    int looks = atomic_load(&line.looks);
    assert_outcome(create("read", "b2", READ), "succeeded");
    assert_int_equal(atomic_load(&line.reads), 1);
    json_decref(ask_ok(&world, "device identify", "{'id': 'b2'}"));
    for (int i = 0; i < 500 && atomic_load(&line.looks) == looks; i++)
        world_turns(&world, 1);
    assert_int_equal(atomic_load(&line.looks), looks + 1);
    assert_int_equal(atomic_load(&line.peak[1]), 2);
    atomic_store(&line.hold, 0);
    assert_outcome(update, "succeeded");
    /* Also when both are asked for in one turn, and the long one has not begun yet. */
    struct client clients[2];
    atomic_store(&line.hold, 1);
    client_open(&world, &clients[0]);
    client_open(&world, &clients[1]);
    world_turns(&world, 3);
    send_now(&clients[0], "{\"verb\":\"job create\",\"args\":{\"operation\":\"reboot\","
                          "\"devices\":[\"b1\"]}}\n");
    send_now(&clients[1], "{\"verb\":\"job create\",\"args\":{\"operation\":\"read\","
                          "\"devices\":[\"b2\"],\"params\":{\"names\":[\"speed\"]}}}\n");
    int64_t jobs[2];
    for (size_t i = 0; i < 2; i++) {
        sb_cleanup(json_decrefp) json_t *reply = client_line(&world, &clients[i]);
        jobs[i] = sb_json_int(json_object_get(reply, "data"), "id", 0);
        client_close(&clients[i]);
    }
    assert_outcome(jobs[1], "succeeded");
    atomic_store(&line.hold, 0);
    assert_outcome(jobs[0], "succeeded");
    /* Not on one whose driver does not. */
    atomic_store(&line.hold, 1);
    int64_t first = reboot("a1");
    until_driving(1, 0);
    int64_t read = create("read", "a2", READ);
    world_turns(&world, 20);
    assert_int_equal(task_of(read)->reason, SB_REASON_BUSY);
    atomic_store(&line.hold, 0);
    assert_outcome(first, "succeeded");
    assert_outcome(read, "succeeded");
}

TEST(cancel_before_and_after_the_commit_point)
{
    atomic_store(&line.hold, 1);
    int64_t job = reboot("a1");
    until_driving(1, 0);
    sb_cleanup(sb_freep) char *first = sb_format("{'id': %lld}", (long long)job);
    json_decref(ask_ok(&world, "job cancel", first));
    assert_outcome(job, "cancelled");
    assert_int_equal(atomic_load(&line.boots), 0);
    atomic_store(&line.hold, 0);
    atomic_store(&line.hold_late, 1);
    job = reboot("a1"); /* the bus is free again */
    world_until(&world, is_committed, &job);
    sb_cleanup(sb_freep) char *second = sb_format("{'id': %lld}", (long long)job);
    ask_refused(&world, "job cancel", second, "too_late", "cannot be stopped");
    atomic_store(&line.hold_late, 0);
    assert_outcome(job, "succeeded");
    assert_int_equal(atomic_load(&line.boots), 1);
}

TEST(a_line_that_is_not_there)
{
    atomic_store(&refuse, -EBUSY);
    world_off(&world);
    world_on(&world); /* ports are opened anew */
    world_until(&world, is_offline, (void *)"a1");
    int64_t job = reboot("a1");
    world_turns(&world, 20);
    assert_int_equal(task_of(job)->state, SB_TASK_QUEUED);
    assert_int_equal(task_of(job)->reason, SB_REASON_OFFLINE);
    atomic_store(&refuse, 0);
    json_decref(ask_ok(&world, "device identify", "{'id': 'a1'}"));
    world_until(&world, is_ready, (void *)"a1");
    assert_outcome(job, "succeeded");
}

/* No sign of life for the type's time: stopped, and told as what it is. */
TEST(silence_on_a_bus)
{
    atomic_store(&line.hold, 1);
    atomic_store(&line.mute, 1);
    int64_t job = reboot("a1");
    sb_cleanup(json_decrefp) json_t *data = wait_job(&world, job);
    const json_t *task = json_array_get(json_object_get(data, "tasks"), 0);
    assert_string_equal(sb_json_str(task, "cause"), "link_lost");
    assert_non_null(strstr(sb_json_str(task, "text"), "no sign of life"));
    atomic_store(&line.hold, 0);
    assert_outcome(reboot("a2"), "succeeded");
}

TEST(a_bus_that_is_not_configured)
{
    sb_cleanup(json_decrefp) json_t *data = wait_job(&world, reboot("lost"));
    const json_t *task = json_array_get(json_object_get(data, "tasks"), 0);
    assert_string_equal(sb_json_str(data, "outcome"), "failed");
    assert_non_null(strstr(sb_json_str(task, "text"), "bus"));
    ask_refused(&world, "device identify", "{'id': 'lost'}", "refused", "no bus");
}

/* The daemon ends while drivers work: at once, and what was under way goes on at the next start. */
TEST(stop_and_start_in_the_middle)
{
    atomic_store(&line.hold, 1);
    int64_t a = reboot("a1"), b = create("firmware_update", "b1", IMAGE);
    until_driving(2, 0);
    world_turns(&world, 5);
    world_off(&world);
    assert_int_equal(atomic_load(&line.boots), 0);
    atomic_store(&line.hold, 0);
    world_on(&world);
    assert_outcome(a, "succeeded");
    assert_outcome(b, "succeeded");
    assert_int_equal(atomic_load(&line.boots), 1);
    assert_int_equal(atomic_load(&line.installs), 1);
}

/* The store fails at a driver's commit point: it goes no further, and the job is taken up again. */
TEST(no_commit_point_without_the_store)
{
    atomic_store(&line.hold, 1);
    int64_t job = reboot("a1");
    until_driving(1, 0);
    world_turns(&world, 10);
    sb_store_mem_fail_next(world.disk, 2, -ENOSPC);
    atomic_store(&line.hold, 0);
    assert_outcome(job, "succeeded");
    assert_int_equal(atomic_load(&line.boots), 1);
}

/* A device that must be looked at first is not kept waiting by one that is always busy. */
TEST(a_look_has_its_turn)
{
    int64_t jobs[4];
    atomic_store(&line.hold, 1);
    jobs[0] = reboot("a1");
    until_driving(1, 0);
    sb_registry_get(world.core->registry, "a2")->presence = SB_PRESENCE_OFFLINE;
    int64_t waits = reboot("a2");
    until_driving(1, 1); /* its look waits for the line */
    for (size_t i = 1; i < SB_COUNT(jobs); i++)
        jobs[i] = reboot("a1");
    atomic_store(&line.hold, 0);
    assert_outcome(waits, "succeeded");
    assert_int_equal(atomic_load(&line.boots_at_look), 1);
    for (size_t i = 0; i < SB_COUNT(jobs); i++)
        assert_outcome(jobs[i], "succeeded");
}
