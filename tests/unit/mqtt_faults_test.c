/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The MQTT transport against brokers that answer badly or not at all. The loop's clock is
 * simulated, so that deadlines and back-offs pass at once; Paho and the scripted broker are real.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#include "bridge/base/crypto.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "tests/fakes/broker.h"
#include "tests/fakes/loop_sim.h"
#include "tests/fakes/mqtt_peer.h"
#include "tests/test.h"

#define GUARD_MS 20000

enum reply { ACCEPT, SILENT, HANG_UP };

struct script { /* a broker's part; set before it is started */
    enum reply reply;
    uint8_t connack, suback[2]; /* codes; suback: of the first subscription, and the second */
    unsigned codes;             /* in each answer to a subscription; right is 1 */
    unsigned hang_up_after;     /* this many publishes, unacknowledged; 0: never */
};

struct world {
    struct sb_loop *loop;
    struct sb_mqtt_peer a;
    char *uri;
    struct script script;
    pthread_t thread;
    int listener, stop[2];
    bool started;
};

/* ---- the scripted broker: one connection after the other ---- */

static bool readable(const struct world *w, int fd)
{
    struct pollfd p[] = { { .fd = w->stop[0], .events = POLLIN }, { .fd = fd, .events = POLLIN } };
    return poll(p, 2, GUARD_MS) > 0 && p[0].revents == 0 && p[1].revents != 0;
}

static bool read_exactly(const struct world *w, int fd, uint8_t *bytes, size_t n)
{
    for (size_t got = 0; got < n;) {
        ssize_t r = readable(w, fd) ? read(fd, bytes + got, n - got) : -1;
        if (r <= 0)
            return false;
        got += (size_t)r;
    }
    return true;
}

/* The packet's type, or 0 at the end; body gets what fits. */
static unsigned read_packet(const struct world *w, int fd, uint8_t body[256])
{
    uint8_t type, byte = 0x80;
    size_t length = 0;

    if (!read_exactly(w, fd, &type, 1))
        return 0;
    for (unsigned shift = 0; byte & 0x80; shift += 7) {
        if (!read_exactly(w, fd, &byte, 1))
            return 0;
        length |= (size_t)(byte & 0x7f) << shift;
    }
    return length <= 256 && read_exactly(w, fd, body, length) ? type >> 4 : 0;
}

static void answer(int fd, const void *bytes, size_t n)
{
    (void)send(fd, bytes, n, MSG_NOSIGNAL);
}

static void grant(const struct script *s, int fd, const uint8_t id[2], unsigned nth)
{
    uint8_t code = s->suback[nth < 2 ? nth : 1];
    answer(fd, (uint8_t[]){ 0x90, (uint8_t)(2 + s->codes), id[0], id[1], code, code, code },
           4 + s->codes);
}

static void serve(const struct world *w, int fd)
{
    const struct script *s = &w->script;
    uint8_t body[256];
    unsigned type, published = 0, subscribed = 0;

    while (s->reply == ACCEPT && (type = read_packet(w, fd, body)) != 0) {
        if (type == 1)
            answer(fd, (uint8_t[]){ 0x20, 2, 0, s->connack }, 4);
        else if (type == 8)
            grant(s, fd, body, subscribed++);
        else if (type == 3 && ++published == s->hang_up_after)
            return;
    }
    if (s->reply == SILENT) /* until the other side goes */
        while (readable(w, fd) && read(fd, body, sizeof(body)) > 0)
            ;
}

static void *script_main(void *arg)
{
    struct world *w = arg;

    while (readable(w, w->listener)) {
        int fd = accept(w->listener, NULL, NULL);
        if (fd < 0)
            continue;
        serve(w, fd);
        close(fd);
    }
    return NULL;
}

static void start_script(struct world *w, struct script script)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof(address);

    w->script = script;
    w->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(w->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(w->listener, 8), 0);
    assert_int_equal(getsockname(w->listener, (struct sockaddr *)&address, &size), 0);
    w->uri = sb_format("mqtt://127.0.0.1:%u", ntohs(address.sin_port));
    w->a.uri = w->uri;
    assert_int_equal(pipe(w->stop), 0);
    assert_int_equal(pthread_create(&w->thread, NULL, script_main, w), 0);
    w->started = true;
}

static void stop_script(struct world *w)
{
    if (!w->started)
        return;
    close(w->stop[1]);
    pthread_join(w->thread, NULL);
    close(w->stop[0]);
    close(w->listener);
    w->started = false;
}

/* ---- the world ---- */

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_int_equal(sb_loop_new(&w->loop), 0);
    w->a = (struct sb_mqtt_peer){ .id = "a", .topics = { "one", NULL } };
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    sb_mqtt_peer_done(&w->a);
    stop_script(w);
    sb_loop_free(w->loop);
    free(w->uri);
    free(w);
    return 0;
}

static int64_t real_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Other threads are waited for in real time; the loop's time stands. */
#define UNTIL(w, condition)                                                                        \
    do {                                                                                           \
        int64_t end_ = real_ms() + GUARD_MS;                                                       \
        while (sb_sim_turn((w)->loop), !(condition)) {                                             \
            if (real_ms() > end_)                                                                  \
                fail_msg("no %s; last DOWN: %s", #condition, (w)->a.down ? (w)->a.down : "none");  \
            nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);                             \
        }                                                                                          \
    } while (0)

static void goes_down_with(struct world *w, const char *text)
{
    sb_mqtt_peer_start(&w->a, w->loop);
    UNTIL(w, w->a.downs == 1);
    if (!strstr(w->a.down, text))
        fail_msg("expected '%s' in '%s'", text, w->a.down);
    assert_int_equal(w->a.ups, 0);
}

/* ---- refusals ---- */

static void refused(struct world *w, uint8_t code, const char *text)
{
    start_script(w, (struct script){ .connack = code });
    goes_down_with(w, text);
}

#define TEST(fn) SB_TEST_OF(struct world *w, fn, set_up, tear_down)

TEST(refused_version)
{
    refused(w, 1, "the broker does not speak MQTT 3.1.1");
}

TEST(refused_client_id)
{
    refused(w, 2, "refuses the client id: check organisation, type and id");
}

TEST(refused_unavailable)
{
    refused(w, 3, "not available at present");
}

TEST(refused_password)
{
    refused(w, 4, "wrong user name or password: check user and token");
}

TEST(refused_authorisation)
{
    refused(w, 5, "not authorised: check the token");
}

TEST(refused_with_an_unknown_code)
{
    refused(w, 77, "refuses the connection with code 77");
}

TEST(a_refused_topic_is_named)
{
    start_script(w, (struct script){ .suback = { 0x80 }, .codes = 1 });
    goes_down_with(w, "refuses the subscription of one: check what this client may do");
}

TEST(the_refused_one_of_several_topics_is_named)
{
    w->a.topics[1] = "two";
    start_script(w, (struct script){ .suback = { 1, 0x80 }, .codes = 1 });
    goes_down_with(w, "refuses the subscription of two");
}

/* The library gives as many codes as came, and does not say how many: one must not be read as a
 * list of them, nor a list as one. */
TEST(an_answer_with_too_many_codes)
{
    w->a.topics[1] = "two";
    start_script(w, (struct script){ .suback = { 1, 1 }, .codes = 3 });
    goes_down_with(w, "refuses the subscription of one");
}

TEST(an_answer_with_one_code_for_two_topics)
{
    w->a.topics[1] = "two";
    start_script(w, (struct script){ .suback = { 1, 1 }, .codes = 1 });
    sb_mqtt_peer_start(&w->a, w->loop);
    UNTIL(w, w->a.ups);
}

TEST(no_topics_at_all)
{
    w->a.topics[0] = NULL;
    start_script(w, (struct script){ 0 });
    sb_mqtt_peer_start(&w->a, w->loop);
    UNTIL(w, w->a.ups);
}

TEST(a_connection_closed_unanswered)
{
    start_script(w, (struct script){ .reply = HANG_UP });
    goes_down_with(w, "no connection: refused, unreachable, or closed before it answered");
}

TEST(what_a_broker_did_not_acknowledge_is_lost)
{
    start_script(w, (struct script){ .codes = 1, .suback = { 1 }, .hang_up_after = 3 });
    sb_mqtt_peer_start(&w->a, w->loop);
    UNTIL(w, w->a.ups);
    for (int i = 1; i <= 3; i++)
        assert_int_equal(sb_mqtt_publish(w->a.mqtt, "t", "x", 1, 1, i), 0);
    UNTIL(w, w->a.downs);
    assert_string_equal(w->a.trace, "ULLLD");
    sb_sim_advance(w->loop, SB_SECOND + 1);
    UNTIL(w, w->a.ups == 2);
}

/* ---- addresses and files ---- */

TEST(nobody_listens)
{
    w->uri = sb_format("mqtt://127.0.0.1:%u", sb_free_port());
    w->a.uri = w->uri;
    goes_down_with(w, "no connection: refused, unreachable");
}

TEST(bad_uris)
{
    static const char *const uris[] = {
        "",
        "http://127.0.0.1",
        "mqtt://",
        "mqtt://:1883",
        "mqtt://127.0.0.1:0",
        "mqtt://127.0.0.1:65536",
        "mqtt://127.0.0.1:18x",
        "mqtt://127.0.0.1:",
        "mqtt://[::1",
        "mqtt://[::1]1883",
    };

    for (size_t i = 0; i < SB_COUNT(uris); i++) {
        w->a.uri = uris[i];
        goes_down_with(w, "uri '");
        sb_mqtt_peer_done(&w->a);
        w->a = (struct sb_mqtt_peer){ .id = "a" };
    }
}

TEST(a_password_in_the_uri_is_refused_and_not_shown)
{
    static const char *const uris[] = { "mqtt://me:secret@127.0.0.1", "http://me:secret@host" };

    for (size_t i = 0; i < SB_COUNT(uris); i++) {
        w->a.uri = uris[i];
        goes_down_with(w, "uri: user and password do not belong in it");
        assert_null(strstr(w->a.down, "secret"));
        sb_mqtt_peer_done(&w->a);
        w->a = (struct sb_mqtt_peer){ .id = "a" };
    }
}

TEST(a_host_that_cannot_be_found)
{
    struct sb_str uri = { 0 };

    sb_str_add(&uri, "mqtts://");
    for (int i = 0; i < 70; i++) /* longer than a label may be: no server is asked */
        sb_str_add_char(&uri, 'x');
    sb_str_add(&uri, ".invalid");
    w->uri = sb_str_take(&uri);
    w->a.uri = w->uri;
    goes_down_with(w, ".invalid:8883: cannot find the host: ");
}

TEST(by_ipv6)
{
    w->uri = sb_format("mqtt://[::1]:%u", sb_free_port());
    w->a.uri = w->uri;
    goes_down_with(w, "[::1]:");
}

TEST(a_login_that_fails)
{
    w->a.refuse = "token file is not there";
    goes_down_with(w, "token file is not there");
    assert_in_range(w->a.delay, 1, 1000);
}

/* ---- time ---- */

TEST(a_silent_broker_has_30_seconds)
{
    start_script(w, (struct script){ .reply = SILENT });
    sb_mqtt_peer_start(&w->a, w->loop);
    sb_sim_advance(w->loop, 29999);
    assert_int_equal(w->a.downs, 0);
    sb_sim_advance(w->loop, 1);
    assert_int_equal(w->a.downs, 1);
    assert_string_equal(w->a.down, "the broker did not answer within 30 s");
    sb_sim_advance(w->loop, SB_SECOND); /* and it is tried again */
    assert_int_equal(w->a.tries, 2);
}

/* A login that fails takes no time, so the waits follow each other alone. */
TEST(back_off_doubles_to_two_minutes_with_jitter)
{
    int64_t most = SB_SECOND, sum = 0, limits = 0;

    sb_random_seed(3);
    w->a.refuse = "no";
    sb_mqtt_peer_start(&w->a, w->loop);
    sb_sim_advance(w->loop, 0);
    for (unsigned i = 1; i <= 60; i++) {
        assert_int_equal(w->a.downs, i);
        assert_in_range(w->a.delay, 1, most);
        sum += w->a.delay;
        limits += most;
        most = SB_MIN(2 * most, 2 * SB_MINUTE);
        sb_sim_advance(w->loop, w->a.delay - 1);
        assert_int_equal(w->a.downs, i); /* not sooner than told */
        sb_sim_advance(w->loop, 1);
    }
    assert_in_range(sum, limits / 4, limits * 3 / 4); /* jitter is full, not a trifle */
    sb_random_seed(0);
}

/* Up, then lost at once, again and again: as if two clients had the same id. */
TEST(a_link_that_never_lasts_backs_off_too)
{
    int64_t longest = 0;

    sb_random_seed(5);
    start_script(w, (struct script){ .codes = 1, .suback = { 1 }, .hang_up_after = 1 });
    sb_mqtt_peer_start(&w->a, w->loop);
    for (unsigned i = 1; i <= 8; i++) {
        UNTIL(w, w->a.ups == i);
        assert_int_equal(sb_mqtt_publish(w->a.mqtt, "t", "x", 1, 0, i), 0);
        UNTIL(w, w->a.downs == i);
        longest = SB_MAX(longest, w->a.delay);
        sb_sim_advance(w->loop, w->a.delay);
    }
    assert_true(longest > 5 * SB_SECOND);
    UNTIL(w, w->a.ups == 9);
    sb_sim_advance(w->loop, SB_MINUTE); /* this one lasted */
    assert_int_equal(sb_mqtt_publish(w->a.mqtt, "t", "x", 1, 0, 9), 0);
    UNTIL(w, w->a.downs == 9);
    assert_in_range(w->a.delay, 1, 1000);
    sb_random_seed(0);
}

TEST(it_is_freed_while_it_connects)
{
    int64_t start = real_ms();

    start_script(w, (struct script){ .reply = SILENT });
    sb_mqtt_peer_start(&w->a, w->loop);
    sb_sim_advance(w->loop, 0); /* the try has begun */
    assert_int_equal(w->a.tries, 1);
    sb_mqtt_peer_done(&w->a);
    assert_true(real_ms() - start < 2500);
}

TEST(it_is_freed_unstarted)
{
    int64_t start = real_ms();

    sb_mqtt_peer_start(&w->a, w->loop); /* but no turn runs */
    sb_mqtt_peer_done(&w->a);
    assert_int_equal(w->a.tries, 0);
    assert_true(real_ms() - start < 2500);
}

TEST(freeing_does_not_wait_for_a_broker_that_acknowledges_nothing)
{
    start_script(w, (struct script){ .codes = 1, .suback = { 1 } });
    sb_mqtt_peer_start(&w->a, w->loop);
    UNTIL(w, w->a.ups);
    for (int i = 0; i < 500; i++)
        assert_int_equal(sb_mqtt_publish(w->a.mqtt, "t", "x", 1, 1, i), 0);
    int64_t start = real_ms();
    sb_mqtt_peer_done(&w->a);
    assert_true(real_ms() - start < 2500);
    assert_int_equal(w->a.losts, 0); /* nothing is told any more */
}
