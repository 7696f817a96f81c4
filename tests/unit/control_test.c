/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket itself: lines and connections, whatever the other side does. */
#include "tests/unit/control_world.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "bridge/control/socket.h"

static struct world world;

static int set_up(void **state)
{
    (void)state;
    world_new(&world, false);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    world_done(&world);
    return 0;
}

static bool ended(void *arg)
{
    struct client *client = arg;
    return !client_has_line(client) && client->ended;
}

static void assert_usage(struct client *client, const char *part)
{
    sb_cleanup(json_decrefp) json_t *line = client_line(&world, client);
    assert_non_null(line);
    assert_string_equal(sb_json_str(line, "error"), "usage");
    if (!strstr(sb_json_str(line, "text"), part))
        fail_msg("%s: not '%s'", sb_json_str(line, "text"), part);
}

static int64_t create(const char *args)
{
    sb_cleanup(json_decrefp) json_t *data = ask_ok(&world, "job create", args);
    return sb_json_int(data, "id", 0);
}

#define REBOOT_A "{'operation': 'reboot', 'devices': ['a']}"

/* ---- lines ---- */

#define TEST(name) SB_TEST(test_##name, set_up, tear_down)

TEST(requests_in_any_pieces)
{
    static const char text[] = "{\"verb\":\"status\"}\n{\"verb\":\"link list\"}\n{\"verb\"";
    struct client client;
    client_open(&world, &client);
    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        assert_true(client_send(&world, &client, &text[i], 1));
        world_turns(&world, 1);
    }
    sb_cleanup(json_decrefp) json_t *first = client_line(&world, &client);
    sb_cleanup(json_decrefp) json_t *second = client_line(&world, &client);
    assert_true(json_is_object(json_object_get(first, "data")));
    assert_true(json_is_array(json_object_get(second, "data")));
    static const char rest[] = ": \"device list\"}\n";
    assert_true(client_send(&world, &client, rest, sizeof(rest) - 1));
    sb_cleanup(json_decrefp) json_t *third = client_line(&world, &client);
    assert_int_equal(json_array_size(json_object_get(third, "data")), 3);
    client_close(&client);
}

/* Many at once: one after the other, each answered in its turn. */
TEST(requests_in_one_piece)
{
    struct sb_str text = { 0 };
    struct client client;
    for (int i = 0; i < 200; i++)
        sb_str_format(&text, "{\"verb\":\"job show\",\"args\":{\"id\":%d}}\n", 1000 + i);
    client_open(&world, &client);
    assert_true(client_send(&world, &client, text.text, text.length));
    for (int i = 0; i < 200; i++) {
        char wanted[32];
        (void)snprintf(wanted, sizeof(wanted), "no job %d", 1000 + i);
        sb_cleanup(json_decrefp) json_t *line = client_line(&world, &client);
        assert_string_equal(sb_json_str(line, "error"), "not_found");
        assert_non_null(strstr(sb_json_str(line, "text"), wanted));
    }
    sb_str_done(&text);
    client_close(&client);
}

/* Whatever the line: a refusal that says why, and the connection goes on. */
TEST(lines_that_are_no_requests)
{
    static const struct {
        const char *line, *part;
    } lines[] = {
        { "", "empty" },
        { "hello", "not a request" },
        { "{", "not a request" },
        { "{\"verb\":\"status\"} and more", "not a request" },
        { "{\"verb\":\"status\",\"verb\":\"status\"}", "not a request" },
        { "\"status\"", "an object" },
        { "[\"status\"]", "an object" },
        { "null", "an object" },
        { "{}", "unknown verb ''" },
        { "{\"verb\":5}", "unknown verb ''" },
        { "{\"verb\":\"job\"}", "unknown verb 'job'" },
        { "{\"verb\":\"status \"}", "unknown verb" },
        { "{\"verb\":\"status\",\"args\":[]}", "an object" },
        { "{\"verb\":\"status\",\"args\":\"x\"}", "an object" },
        { "{\"verb\":\"stat\\u0000us\"}", "not a request" },
        { "{\"verb\":\"\xff\xfe\"}", "not a request" },
    };
    struct client client;
    client_open(&world, &client);
    for (size_t i = 0; i < SB_COUNT(lines); i++) {
        assert_true(client_send(&world, &client, lines[i].line, strlen(lines[i].line)));
        assert_true(client_send(&world, &client, "\n", 1));
        assert_usage(&client, lines[i].part);
    }
    sb_cleanup(sb_freep) char *deep = malloc(100001);
    memset(deep, '[', 100000);
    deep[100000] = '\n';
    assert_true(client_send(&world, &client, deep, 100001));
    assert_usage(&client, "nested");
    client_say(&world, &client, "status", NULL);
    sb_cleanup(json_decrefp) json_t *line = client_line(&world, &client);
    assert_true(sb_json_bool(line, "ok", false));
    client_close(&client);
}

TEST(long_lines)
{
    enum { LONG = 1000000, TOO_LONG = 2 * 1024 * 1024 };
    sb_cleanup(sb_freep) char *text = malloc(TOO_LONG);
    struct client client, other;
    client_open(&world, &client);
    client_open(&world, &other);
    memset(text, ' ', LONG);
    memcpy(text, "{\"verb\":\"status\"", 16);
    text[LONG - 2] = '}';
    text[LONG - 1] = '\n';
    assert_true(client_send(&world, &client, text, LONG));
    sb_cleanup(json_decrefp) json_t *line = client_line(&world, &client);
    assert_true(sb_json_bool(line, "ok", false));

    memset(text, ' ', TOO_LONG);
    (void)client_send(&world, &client, text, TOO_LONG);
    world_until(&world, ended, &client);
    assert_null(client_line(&world, &client));
    client_say(&world, &other, "status", NULL);
    sb_cleanup(json_decrefp) json_t *alive = client_line(&world, &other);
    assert_true(sb_json_bool(alive, "ok", false));
    client_close(&client);
    client_close(&other);
}

TEST(nul_bytes_end_a_connection)
{
    static const char text[] = "{\"verb\":\"status\"}\0\n{\"verb\":\"status\"}\n";
    struct client client;
    client_open(&world, &client);
    assert_true(client_send(&world, &client, text, sizeof(text) - 1));
    world_until(&world, ended, &client);
    client_close(&client);
    json_decref(ask_ok(&world, "status", NULL));
}

/* ---- connections ---- */

TEST(the_33rd_connection_is_told)
{
    struct client clients[33];
    for (size_t i = 0; i < 32; i++) {
        client_open(&world, &clients[i]);
        client_say(&world, &clients[i], "status", NULL);
        json_decref(client_line(&world, &clients[i]));
    }
    client_open(&world, &clients[32]);
    sb_cleanup(json_decrefp) json_t *line = client_line(&world, &clients[32]);
    assert_string_equal(sb_json_str(line, "error"), "unavailable");
    assert_non_null(strstr(sb_json_str(line, "text"), "too many"));
    world_until(&world, ended, &clients[32]);
    client_say(&world, &clients[7], "status", NULL); /* nobody else notices */
    json_decref(client_line(&world, &clients[7]));
    client_close(&clients[32]);
    client_close(&clients[3]);
    json_decref(ask_ok(&world, "status", NULL)); /* one has gone: there is room */
    for (size_t i = 0; i < 32; i++)
        client_close(&clients[i]);
}

TEST(who_says_nothing_is_left_alone)
{
    struct client client;
    client_open(&world, &client);
    world_turns(&world, 5);
    assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
    world_until(&world, ended, &client);
    client_close(&client);
}

/* Devices of an unknown type, with long addresses: a list of them is about 4 KiB each. */
static void add_devices(int count)
{
    sb_cleanup(sb_freep) char *filler = malloc(4081);
    memset(filler, 'x', 4080);
    filler[4080] = '\0';
    for (int i = 0; i < count; i++) {
        sb_cleanup(sb_freep) char *id = sb_format("filler-%d", i);
        sb_cleanup(json_decrefp) json_t *spec =
            json_pack("{s:s,s:s,s:{s:s}}", "id", id, "type", "unheard-of", "address", "a", filler);
        struct sb_device *device;
        assert_int_equal(sb_registry_add(world.core->registry, spec, &device, NULL), 0);
        if (i % 100 == 0)
            world_turns(&world, 1);
    }
    world_turns(&world, 1);
}

/* Longer than what may pile up, and read by somebody who takes his time. */
TEST(one_long_answer)
{
    struct client client;
    add_devices(1200);
    client_open(&world, &client);
    client_say(&world, &client, "device list", "{'limit': 1000}");
    client_say(&world, &client, "status", NULL);
    world_turns(&world, 20);
    sb_cleanup(json_decrefp) json_t *list = client_line(&world, &client);
    assert_int_equal(json_array_size(json_object_get(list, "data")), 1000);
    assert_true(json_dumpb(list, NULL, 0, JSON_COMPACT) > 4 << 20);
    sb_cleanup(json_decrefp) json_t *status = client_line(&world, &client);
    assert_true(json_is_object(json_object_get(status, "data")));
    client_close(&client);
}

/* Asks and asks, and never reads: cut off, before it costs the gateway its memory. */
TEST(who_never_reads_is_cut_off)
{
    struct client client;
    add_devices(1000);
    client_open(&world, &client);
    static const char text[] = "{\"verb\":\"device list\",\"args\":{}}\n";
    for (int i = 0; i < 10; i++) {
        if (!client_send(&world, &client, text, sizeof(text) - 1))
            break;
        world_turns(&world, 3);
    }
    assert_int_equal(send(client.fd, text, sizeof(text) - 1, MSG_NOSIGNAL), -1);
    assert_int_equal(errno, EPIPE);
    client_close(&client);
    json_decref(ask_ok(&world, "status", NULL));
}

static bool row_kept(void *arg)
{
    return sb_store_mem_rows(world.disk, SB_TABLE_JOB) == *(size_t *)arg;
}

TEST(who_dies_while_the_store_works)
{
    struct client client;
    size_t one = 1;
    sb_store_mem_hold(world.disk, true);
    client_open(&world, &client);
    client_say(&world, &client, "job create", REBOOT_A);
    client_say(&world, &client, "status", NULL);
    world_turns(&world, 5);
    client_close(&client);
    world_turns(&world, 5);
    sb_store_mem_hold(world.disk, false);
    (void)sb_store_mem_commit(world.disk);
    world_until(&world, row_kept, &one); /* what was asked is done all the same */
    json_decref(ask_ok(&world, "status", NULL));
}

/* ---- the truth ---- */

TEST(answers_wait_for_the_disk)
{
    struct client asker, reader, watcher;
    client_open(&world, &asker);
    client_open(&world, &reader);
    client_open(&world, &watcher);
    sb_store_mem_hold(world.disk, true);
    client_say(&world, &asker, "job create", REBOOT_A);
    world_turns(&world, 5);
    client_say(&world, &reader, "job list", NULL);
    client_say(&world, &watcher, "job watch", "{'id': 1}");
    world_turns(&world, 20);
    assert_false(client_has_line(&asker));
    assert_false(client_has_line(&reader)); /* it would tell of what may still be lost */
    assert_false(client_has_line(&watcher));
    assert_int_equal(bench_device("a")->boots, 0);
    sb_cleanup(json_decrefp) json_t *status = ask_ok(&world, "status", NULL); /* at once */
    assert_true(sb_json_int(json_object_get(status, "store"), "waiting", 0) > 0);
    sb_store_mem_hold(world.disk, false);
    (void)sb_store_mem_commit(world.disk);
    sb_cleanup(json_decrefp) json_t *made = client_line(&world, &asker);
    sb_cleanup(json_decrefp) json_t *list = client_line(&world, &reader);
    sb_cleanup(json_decrefp) json_t *event = client_line(&world, &watcher);
    assert_int_equal(sb_json_int(json_object_get(made, "data"), "id", 0), 1);
    assert_int_equal(json_array_size(json_object_get(list, "data")), 1);
    assert_int_equal(sb_json_int(json_object_get(event, "event"), "id", 0), 1);
    client_close(&asker);
    client_close(&reader);
    client_close(&watcher);
}

/* The disk is full: nobody was told that it was done, nothing was, and the watch ends. */
TEST(what_the_store_loses_was_never_said)
{
    struct client asker, watcher;
    client_open(&world, &asker);
    client_open(&world, &watcher);
    sb_store_mem_hold(world.disk, true);
    client_say(&world, &asker, "job create", REBOOT_A);
    world_turns(&world, 5);
    client_say(&world, &watcher, "job watch", "{'id': 1}");
    client_say(&world, &watcher, "status", NULL);
    world_turns(&world, 5);
    sb_store_mem_fail_next(world.disk, 1, -ENOSPC);
    sb_store_mem_hold(world.disk, false);
    (void)sb_store_mem_commit(world.disk);
    sb_cleanup(json_decrefp) json_t *refused = client_line(&world, &asker);
    assert_string_equal(sb_json_str(refused, "error"), "unavailable");
    sb_cleanup(json_decrefp) json_t *none = client_line(&world, &watcher);
    assert_string_equal(sb_json_str(none, "error"), "not_found");
    sb_cleanup(json_decrefp) json_t *status = client_line(&world, &watcher);
    assert_true(sb_json_bool(status, "ok", false)); /* and the connection goes on */
    assert_int_equal(bench_device("a")->boots, 0);
    client_close(&asker);
    client_close(&watcher);
}

static bool store_ready(void *arg)
{
    (void)arg;
    return sb_store_ready(world.core->store, NULL);
}

static bool store_broken(void *arg)
{
    return !store_ready(arg);
}

/* While nothing can be kept, changes are refused and the rest goes on; then all is well again. */
TEST(a_store_that_fails_for_a_while)
{
    int64_t job = create("{'operation': 'reboot', 'devices': ['a'], 'policy': {'hold': true}}");
    struct client watcher;
    client_open(&world, &watcher);
    sb_cleanup(sb_freep) char *args = sb_format("{'id': %lld}", (long long)job);
    client_say(&world, &watcher, "job watch", args);
    json_decref(client_line(&world, &watcher));
    sb_store_mem_fail_next(world.disk, 1, -EIO);
    ask_refused(&world, "job pause", NULL, "unavailable", "could not keep");
    world_until(&world, store_broken, NULL);
    ask_refused(&world, "job pause", NULL, "unavailable", "status");
    ask_refused(&world, "job confirm", args, "unavailable", "status");
    ask_refused(&world, "job create", REBOOT_A, "refused", "no new work");
    sb_cleanup(json_decrefp) json_t *status = ask_ok(&world, "status", NULL);
    assert_false(sb_json_bool(json_object_get(status, "store"), "ready", true));
    assert_non_null(sb_json_str(json_object_get(status, "store"), "why"));
    assert_false(sb_json_bool(status, "paused", true));
    world_until(&world, store_ready, NULL);
    json_decref(ask_ok(&world, "job confirm", args));
    json_t *line; /* the watch has outlived it: twice the job as it was, then how it goes on */
    unsigned whole = 0, steps = 0;
    while ((line = client_line(&world, &watcher)) && !json_object_get(line, "ok")) {
        whole += json_object_get(json_object_get(line, "event"), "tasks") != NULL;
        steps += json_object_get(json_object_get(line, "event"), "task") != NULL;
        json_decref(line);
    }
    assert_string_equal(sb_json_str(json_object_get(line, "data"), "state"), "done");
    assert_true(whole >= 1 && steps >= 2);
    json_decref(line);
    client_close(&watcher);
}

/* ---- watching ---- */

TEST(watch_to_the_end)
{
    struct client watcher;
    client_open(&world, &watcher);
    int64_t job = create("{'operation': 'firmware_update', 'devices': ['a'], 'version': '2.0.0',"
                         " 'uri': 'https://fw.example.com/2.bin', 'policy': {'hold': true}}");
    sb_cleanup(sb_freep) char *args = sb_format("{'id': %lld}", (long long)job);
    client_say(&world, &watcher, "job watch", args);
    client_say(&world, &watcher, "device show",
               "{'id': 'a'}"); /* waits until the watch has ended */
    sb_cleanup(json_decrefp) json_t *whole = client_line(&world, &watcher);
    const json_t *tasks = json_object_get(json_object_get(whole, "event"), "tasks");
    assert_string_equal(sb_json_str(json_array_get(tasks, 0), "state"), "held");
    json_decref(ask_ok(&world, "job confirm", args));
    int64_t percent = 0;
    unsigned events = 0;
    json_t *line;
    while ((line = client_line(&world, &watcher)) && !json_object_get(line, "ok")) {
        const json_t *task = json_object_get(json_object_get(line, "event"), "task");
        assert_true(sb_json_int(task, "percent", 0) >= percent);
        percent = sb_json_int(task, "percent", 0);
        events++;
        json_decref(line);
    }
    const json_t *data = json_object_get(line, "data");
    assert_int_equal(percent, 100);
    assert_true(events >= 5);
    assert_string_equal(sb_json_str(data, "state"), "done");
    assert_string_equal(sb_json_str(data, "outcome"), "succeeded");
    json_decref(line);
    sb_cleanup(json_decrefp) json_t *device = client_line(&world, &watcher);
    assert_string_equal(sb_json_str(json_object_get(device, "data"), "id"), "a");

    client_say(&world, &watcher, "job watch", args); /* it has ended: one line */
    sb_cleanup(json_decrefp) json_t *once = client_line(&world, &watcher);
    assert_string_equal(sb_json_str(json_object_get(once, "data"), "state"), "done");
    client_say(&world, &watcher, "job watch", "{'id': 4711}");
    sb_cleanup(json_decrefp) json_t *none = client_line(&world, &watcher);
    assert_string_equal(sb_json_str(none, "error"), "not_found");
    client_close(&watcher);
}

/* Each watcher hears of his own job; one that leaves does not disturb the others. */
TEST(several_watchers)
{
    struct client watchers[4];
    int64_t jobs[2];
    jobs[0] = create("{'operation': 'reboot', 'devices': ['a'], 'policy': {'hold': true}}");
    jobs[1] = create("{'operation': 'reboot', 'devices': ['b'], 'policy': {'hold': true}}");
    for (size_t i = 0; i < 4; i++) {
        sb_cleanup(sb_freep) char *args = sb_format("{'id': %lld}", (long long)jobs[i % 2]);
        client_open(&world, &watchers[i]);
        client_say(&world, &watchers[i], "job watch", args);
        json_decref(client_line(&world, &watchers[i]));
    }
    client_close(&watchers[0]);
    for (size_t i = 0; i < 2; i++) {
        sb_cleanup(sb_freep) char *args = sb_format("{'id': %lld}", (long long)jobs[i]);
        json_decref(ask_ok(&world, "job confirm", args));
    }
    for (size_t i = 1; i < 4; i++) {
        json_t *line;
        while ((line = client_line(&world, &watchers[i])) && !json_object_get(line, "ok")) {
            const json_t *task = json_object_get(json_object_get(line, "event"), "task");
            assert_int_equal(sb_json_int(task, "job", 0), jobs[i % 2]);
            json_decref(line);
        }
        assert_int_equal(sb_json_int(json_object_get(line, "data"), "id", 0), jobs[i % 2]);
        json_decref(line);
        client_close(&watchers[i]);
    }
}

/* ---- who may ---- */

TEST(the_peer_is_named_in_the_audit)
{
    (void)create(REBOOT_A);
    const struct passwd *user = getpwuid(geteuid());
    sb_cleanup(sb_freep) char *name =
        sb_format("uid %u (%s)", geteuid(), user ? user->pw_name : "?");
    sb_cleanup(sb_freep) char *args = sb_format("{'actor': '%s'}", name);
    sb_cleanup(json_decrefp) json_t *records = ask_ok(&world, "audit", args);
    assert_int_equal(json_array_size(records), 1);
    assert_string_equal(sb_json_str(json_array_get(records, 0), "verb"), "submit");
    assert_string_equal(sb_json_str(json_array_get(records, 0), "actor"), name);
    sb_cleanup(json_decrefp) json_t *job = ask_ok(&world, "job show", "{'id': 1}");
    assert_string_equal(sb_json_str(job, "caller"), name);
}

static void assert_listens(const char *path, const char *group, int wanted, const char *part)
{
    sb_cleanup(sb_freep) char *error = NULL;
    sb_cleanup(sb_closep) int fd = -1;
    int r = sb_control_listen(path, group, &fd, &error);
    if (r != wanted)
        fail_msg("%s: %d %s", path, r, error ? error : "");
    if (part)
        assert_non_null(strstr(error, part));
    else
        assert_null(error);
}

static void assert_file(const char *path, gid_t group)
{
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 07777, 0660);
    assert_int_equal(st.st_gid, group);
}

TEST(mode_and_group)
{
    sb_cleanup(sb_freep) char *path = sb_format("%s/other", world.directory);
    assert_file(world.socket, getegid());
    mode_t before = umask(0);
    assert_listens(path, NULL, 0, NULL);
    assert_file(path, getegid());
    assert_listens(path, "no-such-group", 0, NULL); /* is told in the log; nobody gets more */
    assert_file(path, getegid());
    const struct group *other = getgrgid(1); /* "daemon", everywhere */
    if (other && geteuid() == 0) {
        assert_listens(path, other->gr_name, 0, NULL);
        assert_file(path, 1);
    }
    assert_int_equal(umask(before), 0); /* the process's own is put back */
}

/* ---- the file ---- */

TEST(a_file_that_is_left_over_is_replaced)
{
    sb_cleanup(sb_freep) char *path = sb_format("%s/other", world.directory);
    assert_listens(path, NULL, 0, NULL); /* closed again, the file stays: as after a crash */
    assert_int_equal(access(path, F_OK), 0);
    assert_listens(path, NULL, 0, NULL);
    world_write(&world, "precious", "not a socket");
    sb_cleanup(sb_freep) char *precious = sb_format("%s/precious", world.directory);
    assert_listens(precious, NULL, -ENOTSOCK, "not a socket");
    assert_int_equal(access(precious, F_OK), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink(precious, path), 0);
    assert_listens(path, NULL, -ENOTSOCK, "not a socket");
    assert_int_equal(access(precious, F_OK), 0);
}

TEST(paths_that_cannot_be)
{
    sb_cleanup(sb_freep) char *nowhere = sb_format("%s/none/control", world.directory);
    sb_cleanup(sb_freep) char *endless = sb_format("%s/%0108d", world.directory, 7);
    assert_listens(nowhere, NULL, -ENOENT, "does its directory exist");
    assert_listens(endless, NULL, -ENAMETOOLONG, "longer than");
}

TEST(a_second_daemon_is_refused)
{
    sb_cleanup(sb_freep) char *error = NULL;
    struct sb_control *second = NULL;
    assert_int_equal(sb_control_new(world.core, world.socket, NULL, &second, &error), -EADDRINUSE);
    assert_non_null(strstr(error, "another southbridge"));
    assert_null(second);
    json_decref(ask_ok(&world, "status", NULL)); /* the first one has lost nothing */
    int64_t job = create(REBOOT_A);
    sb_cleanup(json_decrefp) json_t *done = wait_job(&world, job);
    assert_string_equal(sb_json_str(done, "outcome"), "succeeded");
}

/* One that hangs has a full queue; the second must not hang with it. */
TEST(a_daemon_that_hangs_is_there)
{
    sb_cleanup(sb_freep) char *path = sb_format("%s/other", world.directory);
    sb_cleanup(sb_freep) char *error = NULL;
    sb_cleanup(sb_closep) int fd = -1;
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int waiting[64];
    size_t n = 0;
    memcpy(address.sun_path, path, strlen(path));
    assert_int_equal(sb_control_listen(path, NULL, &fd, &error), 0);
    for (int r = 0; r == 0 && n < SB_COUNT(waiting); n++) {
        waiting[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        r = connect(waiting[n], (const struct sockaddr *)&address, sizeof(address));
    }
    assert_true(n < SB_COUNT(waiting)); /* full */
    assert_listens(path, NULL, -EADDRINUSE, "another southbridge");
    while (n-- > 0)
        (void)close(waiting[n]);
}

/* ---- the doctor ---- */

#define FINDING(name)                                                                              \
    "echo '{\"check\":\"" name "\",\"name\":\"\",\"health\":\"ok\",\"text\":\"t\"}'\n"

static void write_doctor(const char *text)
{
    world_write(&world, "doctor.new", text);
    sb_cleanup(sb_freep) char *fresh = sb_format("%s/doctor.new", world.directory);
    assert_int_equal(chmod(fresh, 0700), 0);
    assert_int_equal(rename(fresh, world.program), 0);
}

static const json_t *check_at(const json_t *data, size_t index)
{
    return json_array_get(sb_json_array(data, "checks"), index);
}

TEST(the_doctor_comes)
{
    write_doctor("#!/bin/sh\ncat > \"${0%/*}/known\"\necho \"$*\" > \"${0%/*}/words\"\n"
                 "echo no json\n" FINDING("one") FINDING("two"));
    sb_cleanup(json_decrefp) json_t *data = ask_ok(&world, "doctor", NULL);
    assert_true(sb_json_bool(data, "daemon", false));
    assert_int_equal(json_array_size(sb_json_array(data, "checks")), 2);
    assert_string_equal(sb_json_str(check_at(data, 1), "check"), "two");
    sb_cleanup(sb_freep) char *path = sb_format("%s/known", world.directory);
    sb_cleanup(json_decrefp) json_t *known = json_load_file(path, 0, NULL);
    assert_int_equal(sb_json_int(known, "pid", 0), getpid());
    assert_true(sb_json_int(known, "started", 0) > 0 && sb_json_bool(known, "running", false));
    assert_int_equal(json_array_size(sb_json_array(known, "links")), 1);
    ask_refused(&world, "doctor", "{'x': 1}", "usage", "unknown argument");
}

/* While it examines, others are served, further askers wait for the same, and one may go. */
TEST(nobody_waits_for_the_doctor)
{
    struct client patient[3];
    write_doctor("#!/bin/sh\necho x >> \"${0%/*}/visits\"\n" FINDING(
        "one") "while [ ! -e \"${0%/*}/go\" ]; do sleep 0.02; done\n");
    for (size_t i = 0; i < SB_COUNT(patient); i++) {
        client_open(&world, &patient[i]);
        client_say(&world, &patient[i], "doctor", NULL);
    }
    client_say(&world, &patient[1], "link list", NULL); /* waits behind it */
    for (int i = 0; i < 3; i++)
        json_decref(ask_ok(&world, "device list", NULL));
    assert_false(client_has_line(&patient[0]) || client_has_line(&patient[1]));
    client_close(&patient[2]);
    world_write(&world, "go", "");
    for (size_t i = 0; i < 2; i++) {
        sb_cleanup(json_decrefp) json_t *line = client_line(&world, &patient[i]);
        assert_int_equal(json_array_size(sb_json_array(json_object_get(line, "data"), "checks")),
                         1);
    }
    sb_cleanup(json_decrefp) json_t *links = client_line(&world, &patient[1]);
    assert_true(json_is_array(json_object_get(links, "data")));
    client_close(&patient[0]);
    client_close(&patient[1]);
    sb_cleanup(sb_freep) char *path = sb_format("%s/visits", world.directory);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 2); /* one visit */
}

TEST(a_doctor_that_fails)
{
    ask_refused(&world, "doctor", NULL, "unavailable", "cannot be started: No such file");
    write_doctor("#!/bin/sh\n" FINDING("one") "kill -9 $$\n");
    sb_cleanup(json_decrefp) json_t *data = ask_ok(&world, "doctor", NULL);
    assert_string_equal(sb_json_str(check_at(data, 0), "check"), "one");
    assert_string_equal(sb_json_str(check_at(data, 1), "health"), "failed");
    assert_non_null(strstr(sb_json_str(check_at(data, 1), "text"), "signal 9"));
    write_doctor("#!/bin/sh\nwhile :; do sleep 1; done\n");
    struct client client;
    client_open(&world, &client);
    client_say(&world, &client, "doctor", NULL);
    world_turns(&world, 2);
    client_close(&client); /* the daemon's end ends it: see tear_down */
}

TEST(the_file_goes_with_the_daemon)
{
    struct client client;
    client_open(&world, &client);
    world_turns(&world, 2);
    world.control = sb_control_free(world.control);
    assert_int_equal(access(world.socket, F_OK), -1);
    world_until(&world, ended, &client);
    client_close(&client);
}
