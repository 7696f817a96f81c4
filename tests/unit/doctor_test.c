/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The doctor's checks, each with the fault that it is for: a whole small gateway in a directory,
 * and one thing wrong with it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <pthread.h>
#include <pty.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "adapters/adapters.h"
#include "bridge/base/str.h"
#include "bridge/doctor/doctor.h"
#include "bridge/reach.h"
#include "bridge/store/store.h"
#include "tests/test.h"

struct gateway {
    char *directory, *config, *helper;
    int server, port; /* listens, nobody accepts */
    int master, slave;
    char line[64];
    const char *group, *uri, *port_name, *more; /* of the configuration */
    json_t *known;
    int64_t wall;
    json_t *told; /* array of [check, name, health, text, remedy] */
};

/* ---- files ---- */

static void put(const struct gateway *gateway, const char *name, mode_t mode, const char *fmt, ...)
{
    struct sb_str text = { 0 };
    va_list ap;
    sb_cleanup(sb_freep) char *path = sb_format("%s/%s", gateway->directory, name);
    va_start(ap, fmt);
    sb_str_vformat(&text, fmt, ap);
    va_end(ap);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, sb_str_get(&text), text.length), (ssize_t)text.length);
    assert_int_equal(close(fd), 0);
    sb_str_done(&text);
}

static void folder(const struct gateway *gateway, const char *name)
{
    sb_cleanup(sb_freep) char *path = sb_format("%s/%s", gateway->directory, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static void write_config(const struct gateway *gateway)
{
    const char *d = gateway->directory;
    put(gateway, "southbridge.yaml", 0600,
        "state: %s/state\nmappings: [ %s/mappings, %s/mappings ]\ndevices: %s/devices.d\n"
        "control: { socket: %s/control, group: %s }\n"
        "buses:\n  uart1: { port: %s }\n"
        "links:\n  factory: { dialect: ibm, uri: '%s', org: abc, type: gw, id: gw1, "
        "token: file:%s/token }\n%s",
        d, getenv("SB_SOURCE"), d, d, d, gateway->group, gateway->port_name, gateway->uri, d,
        gateway->more);
}

static int listen_somewhere(int *ret_port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    *ret_port = ntohs(at.sin_port);
    return fd;
}

static int set_up(void **state)
{
    struct gateway *g = calloc(1, sizeof(*g));
    char template[] = "/tmp/sb-doctor-XXXXXX";
    assert_non_null(g);
    assert_non_null(mkdtemp(template));
    g->directory = strdup(template);
    g->config = sb_format("%s/southbridge.yaml", template);
    g->helper = sb_format("%s/helper", template);
    g->server = listen_somewhere(&g->port);
    assert_int_equal(openpty(&g->master, &g->slave, g->line, NULL, NULL), 0);
    folder(g, "state");
    folder(g, "mappings");
    folder(g, "mappings/devices");
    folder(g, "devices.d");
    put(g, "token", 0600, "secret-token\n");
    put(g, "helper", 0700, "#!/bin/sh\n");
    put(g, "devices.d/all.yaml", 0600, "devices: [ { id: a, type: zephyr-smp, bus: uart1 } ]\n");
    g->group = getgrgid(getgid())->gr_name;
    g->uri = sb_format("mqtt://127.0.0.1:%d", g->port);
    g->port_name = g->line;
    g->more = "";
    g->wall = INT64_C(1781092800000);
    *state = g;
    return 0;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status, (void)kind, (void)where;
    return remove(path);
}

static int tear_down(void **state)
{
    struct gateway *g = *state;
    (void)close(g->server);
    (void)close(g->slave);
    (void)close(g->master);
    (void)nftw(g->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(g->directory);
    free(g->config);
    free(g->helper);
    free((char *)g->uri);
    json_decref(g->known);
    json_decref(g->told);
    free(g);
    return 0;
}

static void set_uri(struct gateway *gateway, char *uri)
{
    free((char *)gateway->uri);
    gateway->uri = uri;
}

/* ---- examining ---- */

static void take(void *arg, const char *check, const char *name, const struct sb_exam_line *line)
{
    struct gateway *gateway = arg;
    assert_int_equal(
        json_array_append_new(gateway->told, json_pack("[s,s,s,s,s?]", check, name,
                                                       sb_health_name((int)line->health),
                                                       line->text, line->remedy)),
        0);
}

static void examine(struct gateway *gateway)
{
    const struct sb_doctor_parts parts = { .config = gateway->config,
                                           .adapters = &sb_adapters,
                                           .helper = gateway->helper,
                                           .known = gateway->known,
                                           .wall = gateway->wall,
                                           .tell = take,
                                           .arg = gateway };
    json_decref(gateway->told);
    gateway->told = json_array();
    sb_doctor_run(&parts);
}

static const char *word(const json_t *line, size_t index)
{
    const char *text = json_string_value(json_array_get(line, index));
    return text ? text : "";
}

/* A line of the check with this health and text; the remedy must have `remedy` in it. */
static void expect(const struct gateway *gateway, const char *check, const char *health,
                   const char *text, const char *remedy)
{
    size_t i;
    json_t *line;
    json_array_foreach (gateway->told, i, line)
        if (sb_streq(word(line, 0), check) && sb_streq(word(line, 2), health) &&
            strstr(word(line, 3), text) && strstr(word(line, 4), remedy))
            return;
    sb_cleanup(sb_freep) char *told = json_dumps(gateway->told, JSON_INDENT(1));
    fail_msg("no '%s' of %s with '%s' ('%s') in %s", health, check, text, remedy, told);
}

static void expect_well_but(const struct gateway *gateway, const char *check)
{
    size_t i;
    json_t *line;
    json_array_foreach (gateway->told, i, line)
        if (!sb_streq(word(line, 0), check) && !sb_streq(word(line, 2), "ok"))
            fail_msg("%s: %s: %s", word(line, 0), word(line, 2), word(line, 3));
}

/* The one fault of this gateway. */
static void fault(struct gateway *gateway, const char *check, const char *health, const char *text,
                  const char *remedy)
{
    write_config(gateway);
    examine(gateway);
    expect(gateway, check, health, text, remedy);
    expect_well_but(gateway, check);
}

#define TEST(name) SB_TEST_OF(struct gateway *g, test_##name, set_up, tear_down)

TEST(a_gateway_in_order)
{
    write_config(g);
    examine(g);
    expect_well_but(g, "");
    for (const struct sb_doctor_check *check = sb_doctor_checks; check->name; check++)
        expect(g, check->name, "ok", "", "");
    expect(g, "link", "ok", "127.0.0.1 port", "");
    expect(g, "bus", "ok", "115200 baud, free", "");
    sb_cleanup(sb_freep) char *made = sb_format("%s/control", g->directory);
    assert_int_equal(access(made, F_OK), -1); /* nothing was changed */
}

/* ---- files ---- */

TEST(a_configuration_that_cannot_be_read)
{
    examine(g);
    expect(g, "config", "failed", "No such file", "");
    put(g, "southbridge.yaml", 0600, "stat: /x\n");
    examine(g);
    expect(g, "config", "failed", "southbridge.yaml:1:1: unknown key 'stat'", "correct it");
    size_t i;
    json_t *line; /* nothing that would need it was looked at */
    json_array_foreach (g->told, i, line)
        assert_false(sb_streq(word(line, 0), "bus") || sb_streq(word(line, 0), "store"));
}

TEST(findings_stand_where_they_belong)
{
    put(g, "devices.d/more.yaml", 0600, "devices: [ { id: b, type: zephyr-smb, bus: uart1 } ]\n");
    fault(g, "devices", "failed", "more.yaml:1:", "reload");
    put(g, "devices.d/more.yaml", 0600, "devices: []\n");
    put(g, "mappings/devices/x.yaml", 0600, "name: x\ndriver: smp\nverfy: hash\n");
    fault(g, "mappings", "failed", "unknown key 'verfy'", "reload");
}

TEST(wrong_settings_of_a_bus)
{
    g->more = "log: { level: info }\nbuses: {}\n";
    put(g, "southbridge.yaml", 0600,
        "state: %s/state\nbuses:\n  uart1: { port: /dev/x, baud: 7 }\n", g->directory);
    examine(g);
    expect(g, "config", "failed", "baud", "restart the daemon");
    expect(g, "bus", "failed", "its settings are wrong", "config");
}

TEST(a_configuration_newer_than_the_daemon)
{
    g->known = json_pack("{s:i,s:b,s:I}", "pid", 0, "running", 1, "started", (json_int_t)1000);
    write_config(g);
    examine(g);
    expect(g, "config", "warning", "was changed after the daemon had read it", "restart");
}

/* ---- the host ---- */

TEST(control_socket)
{
    put(g, "control", 0600, "");
    fault(g, "control", "failed", "Socket operation on non-socket", "move it");
    sb_cleanup(sb_freep) char *path = sb_format("%s/control", g->directory);
    assert_int_equal(unlink(path), 0);
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    memcpy(at.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    fault(g, "control", "ok", "left from a daemon that is gone", "");
    assert_int_equal(listen(fd, 1), 0);
    fault(g, "control", "ok", "listens at", "without --config");
    assert_int_equal(close(fd), 0);
    g->group = "no-such-group-here";
    fault(g, "control", "warning", "there is no group 'no-such-group-here'", "addgroup");
}

TEST(control_socket_of_the_daemon)
{
    g->known = json_pack("{s:i,s:b}", "pid", 0, "running", 1);
    fault(g, "control", "failed", "the socket of the daemon is gone", "restart");
    sb_cleanup(sb_freep) char *path = sb_format("%s/control", g->directory);
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    memcpy(at.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(chmod(path, 0600), 0);
    fault(g, "control", "warning", "with mode 0660 (it is 0600)", "restart");
    assert_int_equal(chmod(path, 0660), 0);
    fault(g, "control", "ok", "for group", "");
    assert_int_equal(close(fd), 0);
}

TEST(helper_and_clock)
{
    assert_int_equal(chmod(g->helper, 0600), 0);
    fault(g, "helper", "failed", "Permission denied", "install southbridge again");
    assert_int_equal(chmod(g->helper, 0700), 0);
    g->wall = 0;
    fault(g, "clock", "failed", "not set", "date -s");
}

TEST(what_the_daemon_knows)
{
    g->known = json_pack("{s:i,s:b,s:b,s:{s:b,s:s},s:[{s:s,s:b,s:s,s:I}]}", "pid", 1, "running", 1,
                         "paused", 1, "store", "ready", 0, "why", "disk full", "links", "name",
                         "factory", "up", 0, "text", "not authorised; next try in 8s", "since",
                         (json_int_t)1781092800000);
    write_config(g);
    examine(g);
    expect(g, "daemon", "warning", "paused", "job resume");
    expect(g, "store", "failed", "cannot keep changes: disk full", "free space");
    expect(g, "link", "failed",
           "not logged in since 2026-06-10T12:00:00.000Z: not authorised; next try in 8s", "token");
    json_object_set_new(g->known, "running", json_false());
    examine(g);
    expect(g, "daemon", "warning", "does not work yet", "log");
}

/* ---- the disk ---- */

static void sql(const struct gateway *gateway, const char *text)
{
    sqlite3 *db = NULL;
    sb_cleanup(sb_freep) char *path = sb_format("%s/state/southbridge.db", gateway->directory);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

#define OURS "PRAGMA application_id = 1396863591; " /* 0x53427267 */

TEST(store)
{
    sql(g, OURS "PRAGMA user_version = 1; CREATE TABLE t (a); INSERT INTO t VALUES (1)");
    fault(g, "store", "ok", "intact, schema 1", "");
    sql(g, "PRAGMA user_version = 1000");
    fault(g, "store", "failed", "has schema 1000", "");
    sql(g, "PRAGMA application_id = 7");
    fault(g, "store", "failed", "is a database of another program", "");
    put(g, "state/southbridge.db", 0600,
        "this is no database, but long enough to be taken for one"
        "............................................");
    fault(g, "store", "failed", "is damaged", "keep a copy");
}

TEST(a_store_that_takes_too_much)
{
    g->known = json_pack("{s:b,s:{s:b,s:I}}", "running", 1, "store", "ready", 1, "bytes",
                         (json_int_t)52 << 20);
    write_config(g);
    examine(g);
    expect_well_but(g, "control"); /* a little more is no alarm */
    json_t *store = json_object_get(g->known, "store");
    json_object_set_new(store, "bytes", json_integer(60 << 20));
    examine(g);
    expect(g, "store", "warning", "takes 60 MiB, more than retention.bytes (48 MiB)", "link list");
    json_object_set_new(store, "bytes", json_integer(1 << 20));
    g->more = "outbox: { bytes: 64M }\n";
    write_config(g);
    examine(g);
    expect(g, "store", "warning", "for 1 links may take 64 MiB", "outbox.bytes");
}

/* Only the check of the pages sees it. */
TEST(a_damaged_page)
{
    sql(g, OURS "PRAGMA user_version = 1; CREATE TABLE t (a); CREATE INDEX i ON t (a); "
                "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 2000) "
                "INSERT INTO t SELECT x FROM n");
    sb_cleanup(sb_freep) char *path = sb_format("%s/state/southbridge.db", g->directory);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    char noise[4096];
    memset(noise, 0xa5, sizeof(noise));
    assert_int_equal(pwrite(fd, noise, sizeof(noise), 4096L * 3), sizeof(noise));
    assert_int_equal(close(fd), 0);
    fault(g, "store", "failed", "is damaged", "backup");
}

TEST(state_directory)
{
    sb_cleanup(sb_freep) char *path = sb_format("%s/state", g->directory);
    assert_int_equal(rmdir(path), 0);
    fault(g, "store", "ok", "first start makes it", "");
    put(g, "state", 0600, "");
    write_config(g);
    examine(g);
    expect(g, "store", "failed", "cannot be written", "");
}

TEST(space)
{
    folder(g, "state/artifacts");
    fault(g, "space", "ok", "images: 0 of 64 MiB", "");
    g->more = "artifacts: { free_floor: 1024G, limit: 1024G, file_limit: 1M }\n";
    fault(g, "space", "failed", "new jobs are refused", "free some");
    g->more = "artifacts: { free_floor: 1M, limit: 1024G, file_limit: 1024G }\n";
    fault(g, "space", "warning", "may not fit", "free some");
}

/* ---- buses and links ---- */

TEST(buses)
{
    g->port_name = "/dev/sb-no-such-line";
    fault(g, "bus", "failed", "is not there", "plug it in");
    g->port_name = "/dev/null";
    fault(g, "bus", "failed", "is not a serial line", "by-path");
}

TEST(links)
{
    (void)close(g->server);
    fault(g, "link", "failed", "Connection refused", "nobody listens");
    set_uri(g, strdup("mqtt://no-such-host.invalid:1"));
    fault(g, "link", "failed", "cannot be found", "resolv.conf");
    sb_cleanup(sb_freep) char *token = sb_format("%s/token", g->directory);
    assert_int_equal(unlink(token), 0);
    fault(g, "link", "failed", "cannot open secret file", "before this is put right");
}

struct talker {
    int fd;
    const char *says;
};

static void *talk(void *arg)
{
    struct talker *talker = arg;
    char buffer[512];
    int fd = accept(talker->fd, NULL, NULL);
    if (talker->says)
        (void)!send(fd, talker->says, strlen(talker->says), MSG_NOSIGNAL);
    while (recv(fd, buffer, sizeof(buffer), 0) > 0)
        ;
    (void)close(fd);
    return NULL;
}

/* What a server that is not what it should be leads to. */
static void reach(const struct gateway *gateway, struct sb_reach *reach, const char *says,
                  const char *text, const char *remedy)
{
    struct talker talker = { gateway->server, says };
    struct sb_exam exam = { 0 };
    pthread_t thread;
    char port[16];
    (void)snprintf(port, sizeof(port), "%d", gateway->port);
    reach->host = strdup("localhost");
    reach->port = strdup(port);
    assert_int_equal(pthread_create(&thread, NULL, talk, &talker), 0);
    sb_reach_try(reach, 700, &exam);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(exam.count, 1);
    if (!strstr(exam.lines[0].text, text) || !strstr(exam.lines[0].remedy, remedy))
        fail_msg("'%s' ('%s')", exam.lines[0].text, exam.lines[0].remedy);
    assert_false(sb_exam_well(&exam));
    sb_exam_done(&exam);
    sb_reach_done(reach);
}

TEST(servers_that_speak_no_tls)
{
    struct sb_reach tls = { .tls = true, .verify = true };
    reach(g, &tls, NULL, "no TLS handshake in time", "speak TLS");
    tls = (struct sb_reach){ .tls = true, .verify = true };
    reach(g, &tls, "220 hello, this is a mail server\r\n", "the TLS handshake fails", "TLS port");
    tls = (struct sb_reach){ .tls = true, .verify = true, .ca_file = strdup("/nowhere.pem") };
    reach(g, &tls, NULL, "ca_file /nowhere.pem: No such file", "PEM");
    tls = (struct sb_reach){ .tls = true, .verify = true, .ca_file = strdup(g->config) };
    put(g, "southbridge.yaml", 0600, "no certificate\n");
    reach(g, &tls, NULL, "ca_file", "PEM");
}

/* ---- the rest ---- */

SB_TEST(test_exams_are_bounded)
{
    struct sb_exam exam = { 0 };
    assert_true(sb_exam_well(&exam));
    for (int i = 0; i < 2 * SB_EXAM_LIMIT; i++)
        sb_exam_say(&exam, SB_HEALTH_OK, "remedy", "line %d", i);
    assert_int_equal(exam.count, SB_EXAM_LIMIT);
    assert_true(sb_exam_well(&exam));
    sb_exam_done(&exam);
    sb_exam_say(&exam, SB_HEALTH_WARNING, NULL, "w");
    assert_false(sb_exam_well(&exam));
    sb_exam_take(&exam, SB_HEALTH_OK, strdup("x"), NULL); /* no memory for the text */
    assert_true(exam.broken && exam.count == 1);
    sb_exam_done(&exam);
}

SB_TEST(test_manual_has_every_check)
{
    sb_cleanup(sb_freep) char *path =
        sb_format("%s/packaging/man/southbridgectl.1.scd", getenv("SB_SOURCE"));
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    struct sb_str text = { 0 };
    char buffer[4096];
    for (size_t n; (n = fread(buffer, 1, sizeof(buffer), file)) > 0;)
        sb_str_add_bytes(&text, buffer, n);
    assert_int_equal(fclose(file), 0);
    const char *section = strstr(sb_str_get(&text), "\n# DOCTOR\n");
    assert_non_null(section);
    for (const struct sb_doctor_check *check = sb_doctor_checks; check->name; check++) {
        sb_cleanup(sb_freep) char *item = sb_format("\n*%s*\n", check->name);
        if (!strstr(section, item))
            fail_msg("the man page does not explain the check '%s'", check->name);
    }
    sb_str_done(&text);
}
