/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/broker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "bridge/base/str.h"

#define TRIES 2000 /* of 5 ms */

struct sb_broker {
    char *dir;
    pid_t pid; /* 0: not running */
    unsigned ports[SB_BROKER_PORT_MAX_];
};

static void fail(const char *what)
{
    (void)fprintf(stderr, "broker: %s: %s\n", what, strerror(errno));
    abort();
}

static void pause_5ms(void)
{
    (void)nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
}

static struct sockaddr_in loopback(unsigned port)
{
    return (struct sockaddr_in){ .sin_family = AF_INET,
                                 .sin_port = htons((uint16_t)port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

unsigned sb_free_port(void)
{
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof(address);
    sb_cleanup(sb_closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) < 0)
        fail("free port");
    return ntohs(address.sin_port);
}

unsigned sb_broker_port(const struct sb_broker *broker, enum sb_broker_port port)
{
    return broker->ports[port];
}

char *sb_broker_path(const struct sb_broker *broker, const char *name)
{
    char *path = sb_format("%s/%s", broker->dir, name);
    if (!path)
        fail("memory");
    return path;
}

static void write_file(const struct sb_broker *broker, const char *name, const char *text)
{
    sb_cleanup(sb_freep) char *path = sb_broker_path(broker, name);
    FILE *file = fopen(path, "we");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0)
        fail(path);
}

/* ---- programs ---- */

/* In the broker's directory; input from a file there, or none; output to "log". */
static pid_t spawn(const struct sb_broker *broker, const char *input, char *const argv[])
{
    posix_spawn_file_actions_t actions;
    pid_t pid = 0;
    sb_cleanup(sb_freep) char *log = sb_broker_path(broker, "log");
    sb_cleanup(sb_freep) char *from = input ? sb_broker_path(broker, input) : strdup("/dev/null");

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, broker->dir);
    posix_spawn_file_actions_addopen(&actions, 0, from, O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    errno = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (errno != 0)
        fail(argv[0]);
    return pid;
}

static void show_log(const struct sb_broker *broker)
{
    sb_cleanup(sb_freep) char *path = sb_broker_path(broker, "log");
    FILE *file = fopen(path, "re");
    for (int c; file && (c = fgetc(file)) != EOF;)
        (void)fputc(c, stderr);
    if (file)
        (void)fclose(file);
}

static void run(const struct sb_broker *broker, const char *input, char *const argv[])
{
    pid_t pid = spawn(broker, input, argv), ended = 0;
    int status = -1;

    for (int i = 0; ended == 0 && i < TRIES; i++) {
        ended = waitpid(pid, &status, WNOHANG);
        if (ended == 0)
            pause_5ms();
    }
    if (ended == 0)
        (void)kill(pid, SIGKILL);
    if (status == 0)
        return;
    show_log(broker);
    errno = ended == 0 ? ETIMEDOUT : ECHILD;
    fail(argv[0]);
}

#define RUN(broker, ...) run(broker, NULL, (char *[]){ __VA_ARGS__, NULL })

/* ---- certificates ---- */

#define KEY "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"

static void make_ca(const struct sb_broker *broker, char *name)
{
    sb_cleanup(sb_freep) char *key = sb_format("%s.key", name);
    sb_cleanup(sb_freep) char *pem = sb_format("%s.pem", name);
    RUN(broker, "openssl", "req", "-x509", KEY, "-keyout", key, "-out", pem, "-days", "2", "-subj",
        "/CN=test CA");
}

static void make_certificate(const struct sb_broker *broker, char *name, const char *alternatives)
{
    sb_cleanup(sb_freep) char *key = sb_format("%s.key", name);
    sb_cleanup(sb_freep) char *pem = sb_format("%s.pem", name);

    write_file(broker, "extensions", alternatives);
    RUN(broker, "openssl", "req", KEY, "-keyout", key, "-out", "request", "-subj", "/CN=test");
    RUN(broker, "openssl", "x509", "-req", "-in", "request", "-CA", "ca.pem", "-CAkey", "ca.key",
        "-CAcreateserial", "-days", "2", "-out", pem, "-extfile", "extensions");
}

/* ---- the broker ---- */

static void write_config(const struct sb_broker *broker)
{
    struct sb_str s = { 0 };
    const struct passwd *me = getpwuid(geteuid());

    sb_str_format(&s, "user %s\n", me ? me->pw_name : "nobody"); /* as root it would change */
    sb_str_add(&s, "allow_anonymous false\npassword_file passwords\n"
                   "persistence true\nautosave_interval 0\n"
                   "max_queued_messages 0\nset_tcp_nodelay true\nlog_type warning\n");
    for (int i = 0; i < SB_BROKER_PORT_MAX_; i++) {
        sb_str_format(&s, "listener %u 127.0.0.1\n", broker->ports[i]);
        if (i == SB_BROKER_TCP)
            continue;
        const char *name = i == SB_BROKER_OTHER_NAME ? "elsewhere" : "server";
        sb_str_format(&s, "certfile %s.pem\nkeyfile %s.key\ncafile ca.pem\n", name, name);
        if (i == SB_BROKER_CLIENT_CERT)
            sb_str_add(&s, "require_certificate true\n");
    }
    sb_cleanup(sb_freep) char *text = sb_str_take(&s);
    write_file(broker, "config", text);
}

struct sb_broker *sb_broker_new(void)
{
    struct sb_broker *broker = calloc(1, sizeof(*broker));
    const char *tmp = getenv("TMPDIR");

    if (!broker)
        fail("memory");
    broker->dir = sb_format("%s/sb-broker-XXXXXX", tmp ? tmp : "/tmp");
    if (!broker->dir || !mkdtemp(broker->dir))
        fail("directory");
    for (int i = 0; i < SB_BROKER_PORT_MAX_; i++)
        broker->ports[i] = sb_free_port();
    make_ca(broker, "other-ca");
    make_ca(broker, "ca");
    make_certificate(broker, "server", "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
    make_certificate(broker, "elsewhere", "subjectAltName=DNS:elsewhere.example\n");
    make_certificate(broker, "client", "extendedKeyUsage=clientAuth\n");
    RUN(broker, "mosquitto_passwd", "-b", "-c", "passwords", "gw", "right");
    write_config(broker);
    return broker;
}

static bool answers(unsigned port)
{
    struct sockaddr_in address = loopback(port);
    sb_cleanup(sb_closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
}

void sb_broker_start(struct sb_broker *broker)
{
    /* It ends with the test, however that ends. */
    char *argv[] = {
        "setpriv", "--pdeathsig", "KILL", "/usr/sbin/mosquitto", "-c", "config", NULL
    };

    if (broker->pid != 0)
        return;
    broker->pid = spawn(broker, NULL, argv);
    for (int i = 0; i < TRIES; i++) {
        if (answers(broker->ports[SB_BROKER_PORT_MAX_ - 1]))
            return;
        if (waitpid(broker->pid, NULL, WNOHANG) != 0)
            break;
        pause_5ms();
    }
    show_log(broker);
    fail("mosquitto did not start");
}

void sb_broker_kill(struct sb_broker *broker)
{
    if (broker->pid == 0)
        return;
    (void)kill(broker->pid, SIGKILL);
    (void)waitpid(broker->pid, NULL, 0);
    broker->pid = 0;
}

static bool file_has(const char *path, const char *text)
{
    struct sb_str s = { 0 };
    FILE *file = fopen(path, "re");

    for (int c; file && (c = fgetc(file)) != EOF;)
        sb_str_add_char(&s, (char)c);
    if (file)
        (void)fclose(file);
    bool has = s.length > 0 && memmem(s.text, s.length, text, strlen(text));
    sb_str_done(&s);
    return has;
}

void sb_broker_save(const struct sb_broker *broker, const char *text)
{
    sb_cleanup(sb_freep) char *path = sb_broker_path(broker, "mosquitto.db");

    for (int i = 0; i < TRIES && !file_has(path, text); i++) {
        (void)kill(broker->pid, SIGUSR1);
        pause_5ms();
    }
    if (!file_has(path, text))
        fail(path);
}

void sb_broker_freeze(struct sb_broker *broker, bool frozen)
{
    int status = 0;

    (void)kill(broker->pid, frozen ? SIGSTOP : SIGCONT);
    (void)waitpid(broker->pid, &status, frozen ? WUNTRACED : WCONTINUED);
}

void sb_broker_publish(const struct sb_broker *broker, const char *topic, const char *lines)
{
    sb_cleanup(sb_freep) char *port = sb_format("%u", broker->ports[SB_BROKER_TCP]);

    write_file(broker, "input", lines);
    run(broker, "input",
        (char *[]){ "mosquitto_pub", "-h", "127.0.0.1", "-p", port, "-u", "gw", "-P", "right", "-q",
                    "1", "-t", (char *)topic, "-l", NULL });
}

struct sb_broker *sb_broker_free(struct sb_broker *broker)
{
    pid_t pid = 0;

    if (!broker)
        return NULL;
    sb_broker_kill(broker);
    if (posix_spawnp(&pid, "rm", NULL, NULL, (char *[]){ "rm", "-rf", broker->dir, NULL },
                     environ) == 0)
        (void)waitpid(pid, NULL, 0);
    free(broker->dir);
    free(broker);
    return NULL;
}
