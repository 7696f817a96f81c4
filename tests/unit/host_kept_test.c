/* SPDX-License-Identifier: Apache-2.0 */
/* Messages whose answers do not get out: the store fails, recovers, or their link goes down. */
#include "bridge/base/str.h"
#include "tests/scenario/world.h"
#include "tests/test.h"

static struct world world;

static int set_up(void **state)
{
    (void)state;
    world_new(&world);
    world_run(&world, 1000);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    world_done(&world);
    return 0;
}

static struct sb_door *north(void)
{
    return cloud.door;
}

static int put(enum sb_parcel_class class)
{
    struct sb_parcel parcel = {
        .class = class, .topic = "answer", .payload = "x", .size = 1, .qos = 1
    };
    return sb_host_put(cloud.host, north(), &parcel);
}

static struct sb_str recalled;

static void on_recall(void *arg, const char *topic, const void *payload, size_t n)
{
    sb_str_format(arg, "%s=%.*s ", topic, (int)n, n ? (const char *)payload : "");
}

static void keep(const char *connection, const char *topic, const char *payload)
{
    sb_host_keep(cloud.host, north(), connection, topic, payload, strlen(payload));
}

static void assert_recalled(const char *connection, const char *wanted)
{
    sb_str_done(&recalled);
    sb_host_recall(cloud.host, north(), connection, on_recall, &recalled);
    assert_string_equal(sb_str_get(&recalled), wanted);
    sb_str_done(&recalled);
}

static void lose_a_batch(void)
{
    sb_store_mem_fail_next(world.disk, 1, -ENOSPC);
    assert_int_equal(put(SB_PARCEL_FINAL), 0);
}

#define TEST(name) SB_TEST(test_##name, set_up, tear_down)

TEST(a_message_whose_batch_is_lost)
{
    assert_int_equal(put(SB_PARCEL_FINAL), 0);
    keep(NULL, "well", "1");
    world_run(&world, 100);
    assert_recalled(NULL, ""); /* it is durable */
    lose_a_batch();
    keep(NULL, "one", "1");
    keep("d", "other", "");
    keep(NULL, "two", "22");
    world_run(&world, 100); /* the core is made anew */
    assert_recalled("d", "other= ");
    world_run(&world, 5000); /* and again, when the disk is well */
    assert_true(sb_host_ready(cloud.host, north(), NULL));
    assert_recalled(NULL, "one=1 two=22 ");
    assert_recalled(NULL, "");
}

/* A message and its refusal, which no store has. */
static void refuse(const char *topic)
{
    assert_true(sb_store_failing(world.core->store));
    assert_int_equal(put(SB_PARCEL_ANSWER), 0);
    keep(NULL, topic, "");
}

/* Of so many refusals as the window lets out, and three more, those three have not left. */
static void refuse_too_many(void)
{
    lose_a_batch();
    world_run(&world, 100);
    cloud.deaf = true;
    for (int64_t i = 0; i < world.config->outbox.window; i++)
        refuse("told");
    refuse("x");
    refuse("y");
    world_run(&world, 100);
    refuse("z");
    keep(NULL, "without an answer", "");
    world_run(&world, 100);
}

TEST(a_refusal_behind_the_window_when_the_store_recovers)
{
    refuse_too_many();
    cloud.deaf = false;
    world_run(&world, 5000);
    assert_true(sb_host_ready(cloud.host, north(), NULL));
    assert_recalled(NULL, "x= y= z= ");
}

TEST(a_refusal_behind_the_window_when_the_link_goes_down)
{
    refuse_too_many();
    assert_recalled(NULL, "");
    refuse("of this turn");
    cloud_link(false);
    cloud.deaf = false;
    cloud_link(true);
    assert_recalled(NULL, "x= y= z= of this turn= ");
    world_run(&world, 100);
    assert_recalled(NULL, "");
}

/* Found between two events of one turn: what comes behind it in that turn is forgotten too. */
TEST(a_refusal_in_the_turn_that_finds_the_store_failing)
{
    sb_store_mem_hold(world.disk, true);
    lose_a_batch();
    keep(NULL, "before", "");
    world_run(&world, 100);
    assert_int_equal(sb_store_mem_commit(world.disk), 1);
    sb_store_mem_hold(world.disk, false);
    refuse("after");
    world_run(&world, 100);
    assert_recalled(NULL, "before= after= ");
}

TEST(a_refusal_in_the_turn_that_finds_the_store_well)
{
    lose_a_batch();
    world_run(&world, 100);
    sb_store_mem_hold(world.disk, true);
    world_run(&world, 1000);
    assert_int_equal(sb_store_mem_commit(world.disk), 1); /* the probe */
    sb_store_mem_hold(world.disk, false);
    refuse("after");
    world_run(&world, 100);
    assert_true(sb_host_ready(cloud.host, north(), NULL));
    assert_recalled(NULL, "after= ");
}

static void on_rebuild(void *arg, bool there)
{
    sb_cleanup(json_decrefp) json_t *doomed = json_object();
    if (!there)
        *(int *)arg += sb_host_save(cloud.host, north(), "a", doomed) == -EAGAIN;
}

/* When the store is well again too: what was never durable must not become so then. */
TEST(memory_that_goes_writes_nothing)
{
    int refused = 0;
    world.core->on_rebuild = on_rebuild;
    world.core->on_rebuild_arg = &refused;
    lose_a_batch();
    world_run(&world, 5000);
    assert_int_equal(refused, 2);
    assert_true(sb_host_ready(cloud.host, north(), NULL));
    assert_null(sb_host_saved(cloud.host, north(), "a"));
}

TEST(messages_that_are_lost_have_their_bounds)
{
    sb_cleanup(sb_freep) char *large = calloc(1, 600001);
    assert_non_null(large);
    memset(large, 'x', 600000);
    lose_a_batch();
    keep(NULL, "large", large);
    keep(NULL, "too much", large);
    keep(NULL, "small", "");
    world_run(&world, 5000);
    sb_sim_advance(world.loop, 6 * SB_MINUTE); /* nobody waits for an answer */
    keep(NULL, "makes room", large);
    world_run(&world, 100);
    assert_recalled(NULL, "");
    lose_a_batch();
    keep(NULL, "large", large);
    keep(NULL, "too much", large);
    keep(NULL, "small", "");
    world_run(&world, 5000);
    struct sb_str wanted = { 0 };
    sb_str_format(&wanted, "large=%s small= ", large);
    assert_recalled(NULL, sb_str_get(&wanted));
    sb_str_done(&wanted);
}

/* Those whose refusal has left make room, each second, for others. */
TEST(refused_messages_have_their_bounds)
{
    sb_store_mem_fail_next(world.disk, 1000, -ENOSPC);
    assert_int_equal(put(SB_PARCEL_FINAL), 0);
    for (int round = 0; round < 30; round++) {
        world_run(&world, 1000);
        for (int i = 0; i < 100; i++)
            refuse("told");
    }
    world_run(&world, 1000);
    cloud.deaf = true;
    for (int64_t i = 0; i < world.config->outbox.window; i++)
        refuse("told");
    refuse("last");
    world_run(&world, 100);
    sb_store_mem_fail_next(world.disk, 0, 0);
    cloud.deaf = false;
    world_run(&world, 60000);
    assert_true(sb_host_ready(cloud.host, north(), NULL));
    assert_recalled(NULL, "last= ");
}
