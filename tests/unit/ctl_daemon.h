/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A daemon of scripted lines, for tests of the command line: a thread that serves one connection
 * after another on a socket in a folder of its own. And the command line itself, run in place.
 */
#pragma once

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "bridge/ctl/ctl.h"
#include "tests/test.h"

#define DEADLINE 20000                  /* ms */
#define NOW      INT64_C(1781092800000) /* 2026-06-10 12:00:00 UTC */

struct step {
    const char *wanted; /* must be in the request; NULL: none is read */
    const char *answer; /* sent as it is, without a line end; NULL: nothing */
    enum { GO_ON, HANG_UP, INTERRUPT, FLOOD } then;
};

struct fake {
    char folder[32];
    char *path;
    int fd;
    pthread_t thread;
    const struct step *steps;
    size_t count;
    char *problem; /* what did not go by the script */
};

static bool readable(int fd)
{
    struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
    return poll(&poll_fd, 1, DEADLINE) == 1;
}

static char *read_request(int fd)
{
    struct sb_str line = { 0 };
    for (char c = 0; readable(fd) && recv(fd, &c, 1, 0) == 1 && c != '\n';)
        sb_str_add_char(&line, c);
    return sb_str_take(&line);
}

static bool send_all(int fd, const char *text, size_t n)
{
    for (size_t sent = 0; sent < n;) {
        ssize_t part = send(fd, text + sent, n - sent, MSG_NOSIGNAL);
        if (part <= 0)
            return false;
        sent += (size_t)part;
    }
    return true;
}

/* A line that never ends, until the other side has had enough. */
static void flood(int fd)
{
    char piece[65536];
    memset(piece, 'x', sizeof(piece));
    for (int i = 0; i < 1024 && send_all(fd, piece, sizeof(piece)); i++)
        ;
}

/* False: the connection is over. */
static bool play(struct fake *fake, int fd, const struct step *step)
{
    sb_cleanup(sb_freep) char *request = step->wanted ? read_request(fd) : NULL;
    if (step->wanted && !strstr(request, step->wanted) && !fake->problem)
        fake->problem = sb_format("wanted %s, got '%s'", step->wanted, request);
    if (step->answer)
        (void)(send_all(fd, step->answer, strlen(step->answer)) && send_all(fd, "\n", 1));
    if (step->then == FLOOD)
        flood(fd);
    if (step->then == INTERRUPT)
        (void)kill(getpid(), SIGINT);
    return step->then != HANG_UP;
}

static void *serve(void *arg)
{
    struct fake *fake = arg;
    size_t at = 0;
    while (at < fake->count && readable(fake->fd)) {
        int fd = accept4(fake->fd, NULL, NULL, SOCK_CLOEXEC);
        bool open = fd >= 0;
        while (open && at < fake->count)
            open = play(fake, fd, &fake->steps[at++]);
        char rest;
        if (open && readable(fd) && recv(fd, &rest, 1, 0) != 0 && !fake->problem)
            fake->problem = strdup("more was asked than the script has");
        (void)close(fd);
    }
    if (at < fake->count && !fake->problem)
        fake->problem = sb_format("only %zu of %zu steps were taken", at, fake->count);
    return NULL;
}

static SB_UNUSED struct fake *fake_new(const struct step *steps, size_t count)
{
    struct fake *fake = calloc(1, sizeof(*fake));
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    sigset_t all, before;
    assert_non_null(fake);
    *fake = (struct fake){ .folder = "/tmp/sb-ctl-XXXXXX", .steps = steps, .count = count };
    assert_non_null(mkdtemp(fake->folder));
    fake->path = sb_format("%s/control", fake->folder);
    assert_true(strlen(fake->path) < sizeof(address.sun_path));
    memcpy(address.sun_path, fake->path, strlen(fake->path));
    fake->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fake->fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fake->fd, 4), 0);
    (void)sigfillset(&all); /* signals are for the thread that is tested */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    assert_int_equal(pthread_create(&fake->thread, NULL, serve, fake), 0);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return fake;
}

/* Everything must have gone by the script. */
static SB_UNUSED void fake_free(struct fake *fake)
{
    assert_int_equal(pthread_join(fake->thread, NULL), 0);
    if (fake->problem)
        fail_msg("%s", fake->problem);
    (void)close(fake->fd);
    assert_int_equal(unlink(fake->path), 0);
    assert_int_equal(rmdir(fake->folder), 0);
    free(fake->path);
    free(fake);
}

/* ---- the command line ---- */

struct said {
    int code;
    char *out, *err;
};

static SB_UNUSED void said_done(struct said *said)
{
    free(said->out);
    free(said->err);
}

/* Runs a line of words apart by blanks; ~ stands for one within a word. */
static SB_UNUSED struct said run_line(const char *socket, const char *text)
{
    struct said said = { 0 };
    size_t out_size, err_size;
    char *argv[40] = { (char *)"southbridgectl", (char *)"--socket", (char *)socket };
    int argc = 3;
    sb_cleanup(sb_freep) char *words = strdup(text);
    char *rest = words;
    for (char *word; (word = strsep(&rest, " ")) && argc < 39;) {
        for (char *p = word; *p; p++)
            *p = *p == '~' ? ' ' : *p;
        if (*word)
            argv[argc++] = word;
    }
    struct sb_ctl ctl = { .out = open_memstream(&said.out, &out_size),
                          .err = open_memstream(&said.err, &err_size),
                          .style = { .utf8 = true, .now = NOW } };
    said.code = (int)sb_ctl_main(&ctl, argc, argv);
    assert_int_equal(fclose(ctl.out), 0);
    assert_int_equal(fclose(ctl.err), 0);
    return said;
}

static SB_UNUSED void expect_part(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("no '%s' in:\n%s", part, text);
}

/* Runs against a script; out and err must have these parts (NULL: must be empty). */
static SB_UNUSED void expect_run(const struct step *steps, size_t count, const char *line, int code,
                                 const char *out, const char *err)
{
    struct fake *fake = fake_new(steps, count);
    struct said said = run_line(fake->path, line);
    fake_free(fake);
    if (said.code != code)
        fail_msg("%s: ended with %d\n%s%s", line, said.code, said.out, said.err);
    expect_part(said.out, out ? out : "");
    expect_part(said.err, err ? err : "");
    if (!out)
        assert_string_equal(said.out, "");
    if (!err)
        assert_string_equal(said.err, "");
    said_done(&said);
}
#define STEPS(...)                                                                                 \
    (const struct step[]){ __VA_ARGS__ },                                                          \
        sizeof((const struct step[]){ __VA_ARGS__ }) / sizeof(struct step)
