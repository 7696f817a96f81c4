/* SPDX-License-Identifier: Apache-2.0 */
/* Who has to give way on a full control socket: real sockets, simulated time. */
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "bridge/base/str.h"
#include "bridge/control/control.h"
#include "tests/scenario/world.h"
#include "tests/test.h"

#define FULL 32

struct place {
    struct world world;
    char *socket;
    struct sb_control *control;
    int clients[FULL + 4];
    size_t count;
};

static void happen(struct place *place, int64_t ms)
{
    while (sb_sim_poll(place->world.loop))
        ;
    sb_sim_advance(place->world.loop, ms);
    while (sb_sim_poll(place->world.loop))
        ;
}

static int enter(struct place *place)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    memcpy(address.sun_path, place->socket, strlen(place->socket));
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    place->clients[place->count++] = fd;
    happen(place, 0);
    return fd;
}

static void say(struct place *place, int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
    happen(place, 0);
}

/* What came, NUL-terminated; -EAGAIN: nothing; 0: it was hung up. */
static ssize_t hear(int fd, char *text, size_t n)
{
    ssize_t got = recv(fd, text, n - 1, 0);
    text[got > 0 ? got : 0] = '\0';
    return got < 0 ? -errno : got;
}

static bool is_open(int fd)
{
    char text[65536];
    ssize_t r;
    do
        r = hear(fd, text, sizeof(text));
    while (r > 0);
    return r == -EAGAIN;
}

static bool is_served(struct place *place, int fd)
{
    char text[65536];
    say(place, fd, "{\"verb\":\"link list\"}\n");
    return hear(fd, text, sizeof(text)) > 0 && strncmp(text, "{\"ok\":true", 10) == 0;
}

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    sb_cleanup(sb_freep) char *error = NULL;
    assert_non_null(place);
    world_new(&place->world);
    place->socket = sb_format("%s/control", place->world.directory);
    assert_int_equal(
        sb_control_new(place->world.core, place->socket, NULL, &place->control, &error), 0);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    for (size_t i = 0; i < place->count; i++)
        (void)close(place->clients[i]);
    sb_control_free(place->control);
    world_done(&place->world);
    free(place->socket);
    free(place);
    return 0;
}

SB_TEST(test_the_longest_idle_gives_way, set_up, tear_down)
{
    struct place *place = *state;
    char text[4096];
    for (size_t i = 0; i < FULL; i++) {
        (void)enter(place);
        happen(place, 10);
    }
    say(place, place->clients[0], "{\"verb\""); /* is slow, but not the slowest */
    int late = enter(place);
    assert_true(hear(late, text, sizeof(text)) > 0 && strstr(text, "too many connections"));
    happen(place, 10000);
    assert_true(is_served(place, enter(place)));
    assert_false(is_open(place->clients[1]));
    assert_true(is_open(place->clients[0]) && is_open(place->clients[2]));
    assert_true(is_served(place, enter(place))); /* and the next */
    assert_false(is_open(place->clients[2]));
}

SB_TEST(test_who_watches_or_waits_is_not_idle, set_up, tear_down)
{
    struct place *place = *state;
    const struct sb_policy held = { .hold = true };
    struct sb_verdict verdict = world_ask_with(&place->world, SB_OP_REBOOT, "a", NULL, &held);
    sb_cleanup(sb_freep) char *watch =
        sb_format("{\"verb\":\"job watch\",\"args\":{\"id\":%lld}}\n", (long long)verdict.job);
    happen(place, 0);
    for (size_t i = 0; i < FULL; i++)
        say(place, enter(place), watch);
    sb_verdict_done(&verdict);
    happen(place, 20000);
    char text[4096];
    int late = enter(place);
    assert_true(hear(late, text, sizeof(text)) > 0 && strstr(text, "too many connections"));
    for (size_t i = 0; i < FULL; i++)
        assert_true(is_open(place->clients[i]));
}
