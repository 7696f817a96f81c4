/* SPDX-License-Identifier: Apache-2.0 */
/* The MQTT transport against a real mosquitto, over TCP, TLS and WebSocket. */
#include <errno.h>
#include <stdio.h>

#include "bridge/base/crypto.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "tests/fakes/broker.h"
#include "tests/fakes/mqtt_peer.h"
#include "tests/fakes/ws_bridge.h"
#include "tests/test.h"

#define GUARD_MS 15000

static struct sb_broker *broker; /* one for all: its certificates take a while */

struct world {
    struct sb_loop *loop;
    struct sb_timer *guard;
    struct sb_mqtt_peer a, b;
    char *uri, *files[3];
};

static void on_guard(void *arg)
{
    const struct world *w = arg;
    fail_msg("nothing happened in time; last DOWN: %s", w->a.down ? w->a.down : "none");
}

/* Runs until the condition holds; every event ends a run. */
#define UNTIL(w, condition)                                                                        \
    do {                                                                                           \
        while (!(condition)) {                                                                     \
            sb_timer_in((w)->guard, GUARD_MS);                                                     \
            assert_int_equal(sb_loop_run((w)->loop), 0);                                           \
        }                                                                                          \
        sb_timer_stop((w)->guard);                                                                 \
    } while (0)

static int set_up_broker(void **state)
{
    (void)state;
    broker = sb_broker_new();
    sb_broker_start(broker);
    return 0;
}

static int tear_down_broker(void **state)
{
    (void)state;
    broker = sb_broker_free(broker);
    return 0;
}

static char *uri_of(const char *scheme, const char *host, enum sb_broker_port port)
{
    return sb_format("%s://%s:%u", scheme, host, sb_broker_port(broker, port));
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_int_equal(sb_loop_new(&w->loop), 0);
    assert_int_equal(sb_timer_new(w->loop, on_guard, w, &w->guard), 0);
    w->uri = uri_of("mqtt", "127.0.0.1", SB_BROKER_TCP);
    w->a = (struct sb_mqtt_peer){ .uri = w->uri, .id = "a", .password = "right", .clean = true };
    w->b = w->a;
    w->b.id = "b";
    w->a.topics[0] = "to/a/#";
    w->b.topics[0] = "to/b";
    sb_broker_start(broker); /* unless it runs: an earlier test may have failed */
    sb_random_seed(1);       /* short and equal back-offs */
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    sb_mqtt_peer_done(&w->a);
    sb_mqtt_peer_done(&w->b);
    sb_timer_free(w->guard);
    sb_loop_free(w->loop);
    free(w->uri);
    for (size_t i = 0; i < SB_COUNT(w->files); i++)
        free(w->files[i]);
    free(w);
    return 0;
}

static void use_uri(struct world *w, char *uri)
{
    free(w->uri);
    w->uri = uri;
    w->a.uri = uri;
}

static void publish(struct sb_mqtt_peer *from, const char *topic, const char *text, int qos,
                    int64_t id)
{
    assert_int_equal(sb_mqtt_publish(from->mqtt, topic, text, strlen(text), qos, id), 0);
}

#define TEST(fn) SB_TEST_OF(struct world *w, fn, set_up, tear_down)

TEST(messages_go_both_ways)
{
    sb_mqtt_peer_start(&w->a, w->loop);
    sb_mqtt_peer_start(&w->b, w->loop);
    assert_int_equal(sb_mqtt_publish(w->a.mqtt, "to/b", "x", 1, 1, 1), -EAGAIN); /* not up yet */
    UNTIL(w, w->a.ups && w->b.ups);
    assert_false(w->a.session_present);
    publish(&w->a, "to/b", "hello", 1, 71);
    publish(&w->b, "to/a/x", "", 1, 72);
    UNTIL(w, w->a.acks && w->b.acks && w->a.messages && w->b.messages);
    assert_string_equal(w->b.topic, "to/b");
    assert_string_equal(w->b.payload, "hello");
    assert_string_equal(w->a.topic, "to/a/x");
    assert_int_equal(w->a.size, 0);
    assert_int_equal(w->a.last_ack, 71);
    assert_int_equal(w->b.last_ack, 72);
    assert_string_equal(w->a.trace, "UA");
}

TEST(qos_0_is_settled_when_written)
{
    sb_mqtt_peer_start(&w->a, w->loop);
    UNTIL(w, w->a.ups);
    publish(&w->a, "to/a/0", "x", 0, 5);
    UNTIL(w, w->a.acks && w->a.messages);
    assert_int_equal(w->a.last_ack, 5);
}

TEST(several_topics)
{
    w->a.topics[1] = "also/+";
    sb_mqtt_peer_start(&w->a, w->loop);
    UNTIL(w, w->a.ups);
    publish(&w->a, "also/this", "1", 1, 1);
    publish(&w->a, "to/a/b", "2", 1, 2);
    UNTIL(w, w->a.messages == 2);
}

TEST(large_payloads)
{
    enum { LARGE = 1024 * 1024 };
    sb_cleanup(sb_freep) char *bytes = malloc(LARGE + 1);

    memset(bytes, '\xab', LARGE + 1);
    sb_mqtt_peer_start(&w->a, w->loop);
    UNTIL(w, w->a.ups);
    assert_int_equal(sb_mqtt_publish(w->a.mqtt, "to/a", bytes, LARGE + 1, 1, 1), -EMSGSIZE);
    assert_int_equal(sb_mqtt_publish(w->a.mqtt, "to/a/l", bytes, LARGE, 1, 2), 0);
    UNTIL(w, w->a.acks && w->a.messages);
    assert_int_equal(w->a.size, LARGE);
    assert_memory_equal(w->a.payload, bytes, LARGE);
}

/* The broker hangs, so nothing is acknowledged; then it dies. */
TEST(a_dead_broker_loses_what_it_did_not_acknowledge)
{
    sb_mqtt_peer_start(&w->a, w->loop);
    UNTIL(w, w->a.ups);
    sb_broker_freeze(broker, true);
    for (int i = 1; i <= 3; i++)
        publish(&w->a, "to/nobody", "x", 1, i);
    sb_broker_kill(broker);
    UNTIL(w, w->a.downs);
    assert_string_equal(w->a.trace, "ULLLD");
    assert_int_equal(w->a.losts, 3);
    assert_in_range(w->a.delay, 1, 1000);
    assert_non_null(strstr(w->a.down, "connection lost"));
    assert_int_equal(sb_mqtt_publish(w->a.mqtt, "to/b", "x", 1, 1, 1), -EAGAIN);
    sb_broker_start(broker);
    UNTIL(w, w->a.ups == 2);
    publish(&w->a, "to/a/again", "x", 1, 9);
    UNTIL(w, w->a.acks && w->a.messages);
    assert_int_equal(w->a.messages, 1);
}

TEST(a_session_outlives_the_broker)
{
    w->a.clean = false;
    w->a.id = "persistent";
    sb_mqtt_peer_start(&w->a, w->loop);
    UNTIL(w, w->a.ups);
    assert_false(w->a.session_present);
    sb_broker_save(broker, "to/a/#");
    sb_broker_kill(broker);
    UNTIL(w, w->a.downs);
    w->a.refuse = "not yet";
    sb_broker_start(broker);
    sb_broker_publish(broker, "to/a/q", "1\n2\n3\n");
    UNTIL(w, w->a.down && strcmp(w->a.down, "not yet") == 0);
    assert_int_equal(w->a.ups, 1);
    w->a.refuse = NULL;
    UNTIL(w, w->a.ups == 2 && w->a.messages == 3);
    assert_true(w->a.session_present);
    assert_int_equal(w->a.out_of_order, 0);
    assert_string_equal(w->a.payload, "3");

    sb_mqtt_peer_done(&w->a); /* and take the session away */
    w->a.clean = true;
    w->a.ups = 0;
    sb_mqtt_peer_start(&w->a, w->loop);
    UNTIL(w, w->a.ups);
    assert_false(w->a.session_present);
}

TEST(login_data_is_made_anew_for_each_try)
{
    w->a.password = "wrong";
    sb_mqtt_peer_start(&w->a, w->loop);
    UNTIL(w, w->a.downs);
    assert_non_null(strstr(w->a.down, "not authorised: check the token"));
    w->a.password = "right";
    UNTIL(w, w->a.ups);
    assert_true(w->a.tries >= 2);
}

struct turns {
    const struct sb_mqtt_peer *peer;
    unsigned before, most; /* messages: at the last turn's end; of one turn */
};

static void on_turn(void *arg)
{
    struct turns *turns = arg;
    turns->most = SB_MAX(turns->most, turns->peer->messages - turns->before);
    turns->before = turns->peer->messages;
}

/* More than the queue holds arrives while the loop stands still: the broker must wait, and the
 * loop has turns for others meanwhile. */
TEST(a_flood_is_read_whole_and_in_order)
{
    enum { MANY = 5000 };
    struct sb_str lines = { 0 };
    struct turns turns = { .peer = &w->a };

    sb_mqtt_peer_start(&w->a, w->loop);
    UNTIL(w, w->a.ups);
    assert_int_equal(sb_loop_on_turn_end(w->loop, on_turn, &turns), 0);
    for (int i = 0; i < MANY; i++)
        sb_str_format(&lines, "%d\n", i);
    sb_broker_publish(broker, "to/a/flood", lines.text); /* meanwhile no turn runs */
    sb_str_done(&lines);
    UNTIL(w, w->a.messages == MANY);
    sb_loop_off_turn_end(w->loop, on_turn, &turns);
    assert_in_range(turns.most, 1, 2 * 64 - 1); /* the rest of one burst, the begin of another */
    assert_int_equal(w->a.out_of_order, 0);
    assert_int_equal(w->a.downs, 0);
}

TEST(publishes_are_bounded)
{
    int r = 0, taken = 0;

    sb_mqtt_peer_start(&w->a, w->loop);
    UNTIL(w, w->a.ups);
    sb_broker_freeze(broker, true);
    for (; r == 0 && taken < 5000; taken += r == 0)
        r = sb_mqtt_publish(w->a.mqtt, "to/nobody", "x", 1, 1, taken);
    assert_int_equal(r, -ENOBUFS);
    assert_int_equal(taken, 1000);
    sb_broker_freeze(broker, false);
    UNTIL(w, w->a.acks == 1000);
    publish(&w->a, "to/nobody", "x", 1, 1);
    UNTIL(w, w->a.acks == 1001);
}

TEST(what_is_published_last_still_arrives)
{
    sb_mqtt_peer_start(&w->a, w->loop);
    sb_mqtt_peer_start(&w->b, w->loop);
    UNTIL(w, w->a.ups && w->b.ups);
    for (int i = 0; i < 50; i++)
        publish(&w->a, "to/b", "bye", 1, i);
    sb_mqtt_peer_done(&w->a);
    UNTIL(w, w->b.messages == 50);
}

TEST(it_may_be_freed_in_its_event)
{
    w->a.free_on_down = true;
    sb_mqtt_peer_start(&w->a, w->loop);
    UNTIL(w, w->a.ups);
    publish(&w->a, "to/a/x", "1", 1, 1);
    sb_broker_kill(broker);
    UNTIL(w, !w->a.mqtt);
    sb_broker_start(broker);
}

/* What was published before is acknowledged before; then it is back with other login data. */
TEST(a_login_is_renewed_without_losing_anything)
{
    sb_mqtt_peer_start(&w->a, w->loop);
    sb_mqtt_renew(w->a.mqtt); /* not up: nothing to renew */
    UNTIL(w, w->a.ups);
    for (int i = 0; i < 20; i++)
        publish(&w->a, "to/a/x", "before", 1, i);
    sb_mqtt_renew(w->a.mqtt);
    sb_mqtt_renew(w->a.mqtt);
    assert_int_equal(sb_mqtt_publish(w->a.mqtt, "to/a", "x", 1, 1, 1), -EAGAIN);
    w->a.password = "wrong";
    UNTIL(w, w->a.downs == 2);
    assert_int_equal(w->a.acks, 20);
    assert_int_equal(w->a.losts, 0);
    w->a.password = "right";
    UNTIL(w, w->a.ups == 2);
    publish(&w->a, "to/a/x", "after", 1, 99);
    UNTIL(w, w->a.last_ack == 99);
}

TEST(a_renewal_waits_only_so_long)
{
    sb_mqtt_peer_start(&w->a, w->loop);
    UNTIL(w, w->a.ups);
    sb_broker_freeze(broker, true);
    publish(&w->a, "to/a/x", "never acknowledged", 1, 7);
    sb_mqtt_renew(w->a.mqtt);
    UNTIL(w, w->a.downs == 1);
    assert_int_equal(w->a.losts, 1);
    assert_int_equal(w->a.last_lost, 7);
    sb_broker_freeze(broker, false);
    UNTIL(w, w->a.ups == 2);
}

static void on_pause(void *arg)
{
    sb_loop_stop(arg);
}

/* What it would log in with is not so any more: nobody may come up by that. */
TEST(a_renewal_overtakes_a_try)
{
    struct sb_timer *pause;

    assert_int_equal(sb_timer_new(w->loop, on_pause, w->loop, &pause), 0);
    sb_broker_freeze(broker, true);
    sb_mqtt_peer_start(&w->a, w->loop);
    sb_timer_in(pause, 100);
    assert_int_equal(sb_loop_run(w->loop), 0);
    assert_int_equal(w->a.tries, 1);
    w->a.id = "another";
    sb_mqtt_renew(w->a.mqtt);
    UNTIL(w, w->a.downs);
    sb_broker_freeze(broker, false);
    UNTIL(w, w->a.ups);
    assert_int_equal(w->a.tries, 2);
    assert_int_equal(w->a.ups, 1);
    sb_timer_free(pause);
}

/* ---- a crowd on the threads of one crew ---- */

#define CROWD 100

struct member {
    struct world *world;
    struct sb_mqtt *mqtt;
    char *id;
};

static unsigned crowd_ups, crowd_acks;

static int crowd_login(void *arg, struct sb_connect *ret, char **ret_error)
{
    const struct member *member = arg;

    *ret_error = NULL;
    ret->uri = strdup(member->world->uri);
    ret->client_id = strdup(member->id);
    ret->user = strdup("gw");
    ret->password = strdup("right");
    ret->ca_file = sb_broker_path(broker, "ca.pem");
    ret->verify = true;
    ret->keepalive = 60;
    return 0;
}

static void on_crowd(void *arg, const struct sb_mqtt_event *event)
{
    const struct member *member = arg;

    crowd_ups += event->kind == SB_MQTT_UP;
    crowd_acks += event->kind == SB_MQTT_PUBACK;
    sb_loop_stop(member->world->loop);
}

static unsigned threads(void)
{
    sb_cleanup(sb_freep) char *line = NULL;
    size_t room = 0;
    unsigned count = 0;
    FILE *status = fopen("/proc/self/status", "re");

    while (status && getline(&line, &room, status) > 0)
        (void)sscanf(line, "Threads: %u", &count); /* NOLINT(cert-err34-c) */
    if (status)
        (void)fclose(status);
    return count;
}

TEST(a_crowd_shares_its_threads)
{
    struct member crowd[CROWD];
    struct sb_mqtt_crew *crew = NULL;

    crowd_ups = crowd_acks = 0;
    use_uri(w, uri_of("mqtts", "localhost", SB_BROKER_TLS));
    assert_int_equal(sb_mqtt_crew_new(&crew), 0);
    for (int i = 0; i < CROWD; i++) {
        crowd[i] = (struct member){ .world = w, .id = sb_format("crowd-%d", i) };
        assert_int_equal(
            sb_mqtt_new(w->loop, crew, crowd_login, on_crowd, &crowd[i], &crowd[i].mqtt), 0);
        sb_mqtt_start(crowd[i].mqtt);
    }
    UNTIL(w, crowd_ups == CROWD);
    assert_true(threads() <= 6); /* ours, the crew's, Paho's two, a sanitizer's */
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(sb_mqtt_publish(crowd[i].mqtt, "x", "x", 1, 1, i), 0);
    UNTIL(w, crowd_acks == CROWD);
    for (int i = 0; i < CROWD; i++) {
        crowd[i].mqtt = sb_mqtt_free(crowd[i].mqtt);
        free(crowd[i].id);
    }
    sb_mqtt_crew_free(crew);
}

/* ---- TLS ---- */

static void use_tls(struct world *w, enum sb_broker_port port, const char *host)
{
    use_uri(w, uri_of("mqtts", host, port));
    w->files[0] = sb_broker_path(broker, "ca.pem");
    w->files[1] = sb_broker_path(broker, "client.pem");
    w->files[2] = sb_broker_path(broker, "client.key");
    w->a.ca = w->files[0];
}

static void goes_up_by_tls(struct world *w)
{
    sb_mqtt_peer_start(&w->a, w->loop);
    UNTIL(w, w->a.ups || w->a.downs);
    if (w->a.down)
        fail_msg("%s", w->a.down);
    publish(&w->a, "to/a/x", "by tls", 1, 1);
    UNTIL(w, w->a.messages && w->a.acks);
}

static void fails_by_tls(struct world *w, const char *text)
{
    sb_mqtt_peer_start(&w->a, w->loop);
    UNTIL(w, w->a.downs);
    if (!strstr(w->a.down, text))
        fail_msg("expected '%s' in '%s'", text, w->a.down);
    assert_int_equal(w->a.ups, 0);
}

TEST(tls_by_name)
{
    use_tls(w, SB_BROKER_TLS, "localhost");
    goes_up_by_tls(w);
}

TEST(tls_by_address)
{
    use_tls(w, SB_BROKER_TLS, "127.0.0.1");
    goes_up_by_tls(w);
}

TEST(tls_with_a_wrong_authority)
{
    use_tls(w, SB_BROKER_TLS, "localhost");
    free(w->files[0]);
    w->a.ca = w->files[0] = sb_broker_path(broker, "other-ca.pem");
    fails_by_tls(w, "its certificate is not trusted: check ca_file (/");
}

TEST(tls_with_the_systems_authorities)
{
    use_tls(w, SB_BROKER_TLS, "localhost");
    w->a.ca = NULL;
    if (access("/etc/ssl/certs/ca-certificates.crt", R_OK) < 0)
        skip();
    fails_by_tls(w, "not trusted: check ca_file (/etc/ssl/certs/ca-certificates.crt)");
}

TEST(tls_with_another_name)
{
    use_tls(w, SB_BROKER_OTHER_NAME, "localhost");
    fails_by_tls(w, "made for another name");
}

TEST(tls_unverified_where_asked_for)
{
    use_tls(w, SB_BROKER_OTHER_NAME, "localhost");
    w->a.ca = NULL;
    w->a.no_verify = true;
    goes_up_by_tls(w);
}

TEST(tls_with_a_client_certificate)
{
    use_tls(w, SB_BROKER_CLIENT_CERT, "localhost");
    w->a.cert = w->files[1];
    w->a.key = w->files[2];
    goes_up_by_tls(w);
}

TEST(tls_without_the_client_certificate)
{
    use_tls(w, SB_BROKER_CLIENT_CERT, "localhost");
    sb_mqtt_peer_start(&w->a, w->loop);
    UNTIL(w, w->a.downs);
    assert_int_equal(w->a.ups, 0);
}

TEST(tls_files_must_be_there)
{
    use_tls(w, SB_BROKER_TLS, "localhost");
    w->a.ca = "/nowhere/ca.pem";
    fails_by_tls(w, "ca_file /nowhere/ca.pem: No such file");
}

/* ---- WebSocket ---- */

static void by_websocket(struct world *w, const char *scheme, const char *cert, const char *key)
{
    struct sb_ws_bridge *bridge =
        sb_ws_bridge_new(w->loop, sb_broker_port(broker, SB_BROKER_TCP), cert, key);

    use_uri(w, sb_format("%s://localhost:%u/mqtt", scheme, sb_ws_bridge_port(bridge)));
    goes_up_by_tls(w);
    assert_int_equal(sb_ws_bridge_count(bridge), 1);
    sb_mqtt_peer_done(&w->a);
    sb_timer_free(w->guard);
    w->guard = NULL;
    w->loop = sb_loop_free(w->loop);
    sb_ws_bridge_free(bridge);
}

TEST(websocket)
{
    by_websocket(w, "ws", NULL, NULL);
}

TEST(websocket_over_tls)
{
    w->files[0] = sb_broker_path(broker, "server.pem");
    w->files[1] = sb_broker_path(broker, "server.key");
    w->files[2] = sb_broker_path(broker, "ca.pem");
    w->a.ca = w->files[2];
    by_websocket(w, "wss", w->files[0], w->files[1]);
}

int main(void)
{
    return sb_tests_run(set_up_broker, tear_down_broker);
}
