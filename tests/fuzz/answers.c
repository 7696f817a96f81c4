/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a daemon's answers to the command line: the first byte chooses the command, all
 * else comes over its socket, whose far end then hangs up. Whatever comes: the program ends with
 * one of its exit codes, and nothing that steers a terminal comes out.
 */
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "bridge/ctl/ctl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const lines[] = {
    "status",
    "device list",
    "device show a",
    "device add a --type t",
    "device identify a",
    "job create reboot a",
    "job create reboot a --watch",
    "job list --all",
    "job show 7",
    "job watch 7",
    "job watch 7 --json",
    "job cancel 7",
    "job retry 7",
    "package list",
    "package show p",
    "package add http://h/x",
    "link list",
    "mapping explain a",
    "reload",
    "audit",
    "audit --verify",
    "doctor",
    "device list --json",
};

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* ---- the daemon: one connection, the bytes, the end ---- */

struct daemon {
    int fd;
    const uint8_t *data;
    size_t size;
};

static char path[64];

static void clean_up(void)
{
    (void)unlink(path);
}

static int make_socket(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    (void)snprintf(path, sizeof(path), "/tmp/sb-answers-%d", (int)getpid());
    check(atexit(clean_up) == 0);
    memcpy(address.sun_path, path, strlen(path));
    (void)unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    check(listen(fd, 4) == 0);
    return fd;
}

static void *serve(void *arg)
{
    const struct daemon *daemon = arg;
    char buffer[4096];
    int fd = accept4(daemon->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return NULL;
    for (size_t sent = 0; sent < daemon->size;) {
        ssize_t n = send(fd, daemon->data + sent, daemon->size - sent, MSG_NOSIGNAL);
        if (n <= 0)
            break;
        sent += (size_t)n;
    }
    (void)shutdown(fd, SHUT_WR);
    while (recv(fd, buffer, sizeof(buffer), 0) > 0)
        ;
    (void)close(fd);
    return NULL;
}

/* ---- the command line ---- */

static enum sb_exit run(struct sb_ctl *ctl, const char *line)
{
    char *argv[16] = { (char *)"southbridgectl", (char *)"--socket", path };
    int argc = 3;
    sb_cleanup(sb_freep) char *words = strdup(line);
    char *rest = words;
    for (char *word; words && argc < 15 && (word = strsep(&rest, " "));)
        argv[argc++] = word;
    return sb_ctl_main(ctl, argc, argv);
}

/* Escape sequences and other control characters are the program's own only; here it has none. */
static void check_shown(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        check((unsigned char)text[i] >= 0x20 || text[i] == '\n');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    char *out = NULL, *err = NULL;
    size_t out_size = 0, err_size = 0;
    pthread_t thread;
    if (size == 0)
        return 0;
    if (fd < 0)
        fd = make_socket();
    struct daemon daemon = { fd, data + 1, size - 1 };
    struct sb_ctl ctl = { .out = open_memstream(&out, &out_size),
                          .err = open_memstream(&err, &err_size),
                          .style = { .width = data[0] & 0x80 ? 40 : 0,
                                     .utf8 = data[0] & 0x40,
                                     .now = INT64_C(1781092800000) } };
    check(ctl.out && ctl.err);
    check(pthread_create(&thread, NULL, serve, &daemon) == 0);
    enum sb_exit code = run(&ctl, lines[(data[0] & 0x3f) % SB_COUNT(lines)]);
    check(pthread_join(thread, NULL) == 0);
    check(fclose(ctl.out) == 0 && fclose(ctl.err) == 0);
    check((code >= SB_EXIT_DONE && code <= SB_EXIT_UNAVAILABLE) || code == SB_EXIT_INTERRUPTED);
    check_shown(out, out_size);
    check_shown(err, err_size);
    free(out);
    free(err);
    return 0;
}
