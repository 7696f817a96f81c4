/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core as its doors see it, links and buses that cannot be opened, and a store that holds
 * damaged records: what the scenarios do not come by.
 */
#include <stdio.h>

#include "bridge/base/log.h"
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

static const struct sb_device *device(const char *id)
{
    return sb_registry_get(world.core->registry, id);
}

static void power_cycle(void)
{
    world_off(&world, true);
    world_boot(&world);
    world_run(&world, 1000);
}

static int count_row(void *arg, const struct sb_row *row)
{
    const char *verb = sb_json_str(row->body, "verb");
    struct {
        const char *verb;
        int n;
    } *wanted = arg;
    wanted->n += sb_streq(verb, wanted->verb);
    return 0;
}

/* Audit records of this verb about this subject by the north link. */
static int audited(const char *verb, const char *subject)
{
    struct {
        const char *verb;
        int n;
    } wanted = { verb, 0 };
    world_run(&world, 100);
    assert_int_equal(
        sb_store_query(world.core->store,
                       &(struct sb_query){
                           .table = SB_TABLE_AUDIT, .a = subject, .b = "link north", .state = -1 },
                       count_row, &wanted),
        0);
    return wanted.n;
}

/* ---- what a door may look at ---- */

#define TEST(name) SB_TEST(test_##name, set_up, tear_down)

TEST(a_door_finds_devices_and_tasks)
{
    struct sb_host *host = cloud.host;
    assert_string_equal(sb_host_device(host, "a")->id, "a");
    assert_null(sb_host_device(host, "z"));
    size_t n = 0;
    while (sb_host_device_at(host, n))
        n++;
    assert_int_equal(n, 4);
    assert_null(sb_host_find(host, "cloud", "nobody"));
    struct sb_policy policy = { .hold = true };
    struct sb_verdict verdict = world_ask_with(&world, SB_OP_REBOOT, "a", NULL, &policy);
    assert_string_equal(sb_host_task(host, verdict.task)->device, "a");
    assert_null(sb_host_task(host, verdict.task + 1));
    assert_ptr_equal(sb_host_loop(host), world.loop);
    assert_string_equal(sb_host_door_at(host, 0)->link, "north");
    assert_string_equal(sb_host_door_at(host, 1)->link, "south");
    assert_null(sb_host_door_at(host, 2));
}

/* ---- facts ---- */

static int set_fact(const char *id, const char *name, json_t *value)
{
    int r = sb_host_set_fact(cloud.host, north(), id, name, value);
    json_decref(value);
    return r;
}

static json_t *long_text(size_t n)
{
    sb_cleanup(sb_freep) char *text = malloc(n + 1);
    memset(text, 'x', n);
    text[n] = '\0';
    return json_string(text);
}

TEST(facts_outlive_the_power)
{
    assert_int_equal(set_fact("a", "location", json_pack("{s:f}", "latitude", 52.5)), 0);
    assert_int_equal(set_fact("a", "metadata", json_pack("{s:s}", "k", "v")), 0);
    assert_int_equal(set_fact("z", "location", json_true()), -ENOENT);
    assert_int_equal(audited("fact", "device a"), 2);
    power_cycle();
    assert_non_null(json_object_get(device("a")->facts, "location"));
    assert_string_equal(sb_json_str(json_object_get(device("a")->facts, "metadata"), "k"), "v");
    assert_null(device("b")->facts);
}

TEST(facts_are_bounded)
{
    assert_int_equal(set_fact("a", "one", long_text(9000)), -E2BIG);
    assert_null(device("a")->facts);
    char name[] = "0";
    for (; *name < '3'; (*name)++)
        assert_int_equal(set_fact("a", name, long_text(8000)), 0);
    assert_int_equal(set_fact("a", "3", long_text(8100)), 0);
    assert_int_equal(set_fact("a", "4", long_text(8100)), -E2BIG);
    assert_int_equal(set_fact("a", "3", long_text(8000)), 0); /* in place of the old one */
    assert_int_equal(json_object_size(device("a")->facts), 4);
}

/* ---- what is staged ---- */

TEST(a_door_drops_what_is_staged)
{
    assert_null(sb_host_staged(cloud.host, device("a")));
    assert_int_equal(sb_host_unstage(cloud.host, north(), "a"), 0); /* there is nothing */
    assert_int_equal(sb_host_unstage(cloud.host, north(), "z"), -ENOENT);
    struct sb_verdict verdict = world_ask(&world, SB_OP_FIRMWARE_DOWNLOAD, "a", "2.0.0");
    world_run(&world, 3000);
    assert_int_equal(world_state(&world, verdict.job), SB_TASK_SUCCEEDED);
    assert_string_equal(sb_host_staged(cloud.host, device("a"))->version, "2.0.0");
    unsigned news = cloud.news[SB_NEWS_STAGED];
    assert_int_equal(sb_host_unstage(cloud.host, north(), "a"), 0);
    assert_null(sb_host_staged(cloud.host, device("a")));
    assert_int_equal(audited("unstage", "device a"), 1);
    assert_true(cloud.news[SB_NEWS_STAGED] > news);
    power_cycle();
    assert_null(sb_host_staged(cloud.host, device("a")));
    struct sb_verdict refused = world_ask(&world, SB_OP_FIRMWARE_INSTALL, "a", NULL);
    assert_int_equal(refused.cause, SB_CAUSE_NOT_READY);
    sb_verdict_done(&refused);
}

/* ---- conversations ---- */

static void save(struct sb_door *door, const char *id, int n)
{
    sb_cleanup(json_decrefp) json_t *state = n ? json_pack("{s:i}", "n", n) : NULL;
    assert_int_equal(sb_host_save(door->host, door, id, state), 0);
}

static int saved(struct sb_door *door, const char *id)
{
    sb_cleanup(json_decrefp) json_t *state = sb_host_saved(door->host, door, id);
    return (int)sb_json_int(state, "n", 0);
}

TEST(each_conversation_has_its_state)
{
    save(north(), "a", 1);
    save(north(), "b", 2);
    save(north(), NULL, 3);
    save(south.door, "a", 4);
    world_run(&world, 100);
    save(north(), "b", 0);
    world_run(&world, 100);
    power_cycle();
    assert_int_equal(saved(north(), "a"), 1);
    assert_int_equal(saved(north(), "b"), 0);
    assert_int_equal(saved(north(), NULL), 3);
    assert_int_equal(saved(south.door, "a"), 4);
    assert_int_equal(saved(south.door, NULL), 0);
    sb_store_mem_fail_reads(world.disk, 1, -EIO);
    assert_int_equal(saved(north(), "a"), 0); /* begins anew rather than not at all */
}

/* ---- too much, and not now ---- */

static int put(struct sb_door *door, enum sb_parcel_class class, const char *token)
{
    struct sb_parcel parcel = {
        .class = class, .topic = "answer", .payload = "x", .size = 1, .qos = 1, .token = token
    };
    return sb_host_put(door->host, door, &parcel);
}

/* Its reports cannot leave: no more work from this link, while the other one goes on. */
TEST(a_full_outbox_refuses_new_work)
{
    const char *why = NULL;
    cloud_link(false);
    assert_true(sb_host_ready(cloud.host, north(), &why));
    int r = 0;
    for (int i = 0; i < 100000 && r == 0 && sb_host_ready(cloud.host, north(), &why); i++) {
        r = put(north(), SB_PARCEL_FINAL, NULL);
        if (i % 500 == 0)
            world_run(&world, 10);
    }
    assert_int_equal(r, 0);
    assert_false(sb_host_ready(cloud.host, north(), &why));
    assert_non_null(strstr(why, "too many reports"));
    assert_false(sb_host_ready(cloud.host, north(), NULL));
    world_run(&world, 1000);
    struct sb_verdict refused = world_ask(&world, SB_OP_REBOOT, "a", NULL);
    assert_int_equal(refused.cause, SB_CAUSE_BUSY);
    assert_non_null(strstr(refused.text, "too many reports"));
    sb_verdict_done(&refused);
    struct sb_verdict other = world_ask_by(&south, SB_OP_REBOOT, "a", NULL, NULL);
    assert_int_equal(other.cause, SB_CAUSE_NONE);
    cloud_link(true);
    world_run(&world, 30 * SB_SECOND);
    assert_true(sb_host_ready(cloud.host, north(), NULL));
}

TEST(a_refusal_gets_out_while_nothing_can_be_kept)
{
    const char *why = NULL;
    sb_store_mem_fail_next(world.disk, 1000, -ENOSPC);
    assert_int_equal(put(north(), SB_PARCEL_FINAL, NULL), 0); /* whose commit will fail */
    world_run(&world, 100);
    assert_false(sb_host_ready(cloud.host, north(), &why));
    assert_non_null(strstr(why, "cannot write"));
    assert_int_equal(put(north(), SB_PARCEL_FINAL, NULL), -EAGAIN);
    struct sb_outbox_stats before = { 0 }, after = { 0 };
    sb_outbox_stats(world.core->outbox, "north", &before);
    assert_int_equal(put(north(), SB_PARCEL_ANSWER, NULL), 0);
    world_run(&world, 100);
    sb_outbox_stats(world.core->outbox, "north", &after);
    assert_int_equal(after.waiting, before.waiting); /* it has left */
    sb_store_mem_fail_next(world.disk, 0, 0);
}

TEST(a_token_settles_its_report)
{
    cloud.deaf = true;
    assert_int_equal(put(north(), SB_PARCEL_FINAL, "req-1"), 0);
    world_run(&world, 100);
    assert_int_equal(sb_store_mem_rows(world.disk, SB_TABLE_PARCEL), 1);
    assert_false(sb_host_settle_token(cloud.host, north(), NULL, "req-2"));
    assert_false(sb_host_settle_token(south.host, south.door, NULL, "req-1"));
    assert_true(sb_host_settle_token(cloud.host, north(), NULL, "req-1"));
    world_run(&world, 200);
    assert_int_equal(sb_store_mem_rows(world.disk, SB_TABLE_PARCEL), 0);
}

/* ---- rights and news ---- */

TEST(only_who_may_command_cancels)
{
    struct sb_policy policy = { .hold = true };
    struct sb_verdict verdict = world_ask_with(&world, SB_OP_REBOOT, "d", NULL, &policy);
    assert_int_equal(sb_host_cancel(south.host, south.door, verdict.task, SB_CAUSE_OPERATOR),
                     -EPERM);
    assert_int_equal(world_state(&world, verdict.job), SB_TASK_HELD);
    assert_int_equal(sb_host_cancel(cloud.host, north(), verdict.task, SB_CAUSE_OPERATOR), 0);
    assert_int_equal(world_state(&world, verdict.job), SB_TASK_CANCELLED);
}

/* The origin hears of its task, the other cloud of the firmware only. */
TEST(who_hears_what)
{
    (void)world_ask(&world, SB_OP_REBOOT, "a", NULL);
    world_run(&world, 3000);
    assert_true(cloud.news[SB_NEWS_TASK] > 0);
    assert_int_equal(cloud.news[SB_NEWS_FIRMWARE], 0);
    assert_int_equal(south.news[SB_NEWS_TASK], 0);
    assert_int_equal(south.news[SB_NEWS_FIRMWARE], 0);
    (void)world_ask(&world, SB_OP_FIRMWARE_UPDATE, "b", "2.0.0");
    world_run(&world, 5000);
    assert_int_equal(cloud.news[SB_NEWS_FIRMWARE], 0);
    assert_int_equal(south.news[SB_NEWS_TASK], 0);
    assert_true(south.news[SB_NEWS_FIRMWARE] > 0);
    assert_int_equal(south.news[SB_NEWS_IDENTITY], cloud.news[SB_NEWS_IDENTITY]);
}

static void on_news(void *arg, const struct sb_news *news)
{
    unsigned *n = arg;
    n[news->kind]++;
}

TEST(watchers_hear_all)
{
    unsigned first[SB_NEWS_MAX_] = { 0 }, second[SB_NEWS_MAX_] = { 0 };
    assert_int_equal(sb_host_watch(cloud.host, on_news, first), 0);
    assert_int_equal(sb_host_watch(cloud.host, on_news, second), 0);
    struct sb_policy policy = { .hold = true };
    struct sb_verdict verdict = world_ask_with(&world, SB_OP_REBOOT, "a", NULL, &policy);
    sb_host_unwatch(cloud.host, on_news, first);
    assert_int_equal(sb_host_cancel(cloud.host, north(), verdict.task, SB_CAUSE_OPERATOR), 0);
    world_run(&world, 100);
    assert_int_equal(first[SB_NEWS_TASK], 0);
    assert_int_equal(second[SB_NEWS_TASK], 1);
    sb_host_unwatch(cloud.host, on_news, second);
    sb_host_unwatch(cloud.host, on_news, second); /* twice is harmless */
}

/* What happens to a task within one turn is one piece of news, with the state before the turn. */
static enum sb_task_state before_turn;

static void on_merged(void *arg, const struct sb_news *news)
{
    unsigned *n = arg;
    before_turn = news->before;
    *n += news->kind == SB_NEWS_TASK;
}

TEST(news_of_a_turn_are_merged)
{
    unsigned n = 0;
    struct sb_policy policy = { .hold = true };
    assert_int_equal(sb_runner_pause(world.core->runner, true), 0);
    struct sb_verdict verdict = world_ask_with(&world, SB_OP_REBOOT, "a", NULL, &policy);
    world_run(&world, 100);
    assert_int_equal(sb_host_watch(cloud.host, on_merged, &n), 0);
    struct sb_task *task = sb_book_task(world.core->book, verdict.task);
    assert_int_equal(sb_runner_confirm(world.core->runner, task, "test"), 0);
    assert_int_equal(sb_host_cancel(cloud.host, north(), verdict.task, SB_CAUSE_OPERATOR), 0);
    world_run(&world, 100);
    assert_int_equal(n, 1);
    assert_int_equal(before_turn, SB_TASK_HELD);
    sb_host_unwatch(cloud.host, on_merged, &n);
}

TEST(a_link_says_how_it_is)
{
    int64_t since = north()->since;
    int ups = audited("up", "gateway");
    world_run(&world, 1000);
    sb_host_link(cloud.host, north(), true, "still connected");
    assert_string_equal(north()->state_text, "still connected");
    assert_true(north()->since == since); /* nothing has changed */
    sb_host_link(cloud.host, north(), false, NULL);
    assert_null(north()->state_text);
    assert_true(north()->since > since);
    assert_int_equal(audited("down", "gateway"), 1);
    assert_int_equal(audited("up", "gateway"), ups);
}

/* ---- a store that holds what it should not ---- */

static void put_row(enum sb_table table, int64_t id, const char *a, const char *b, int job_state,
                    json_t *body)
{
    assert_non_null(body);
    assert_int_equal(sb_store_put(world.core->store, table,
                                  &(struct sb_row){
                                      .id = id, .a = a, .b = b, .state = job_state, .body = body }),
                     0);
    json_decref(body);
}

static int count_any(void *arg, const struct sb_row *row)
{
    (void)row;
    ++*(int *)arg;
    return 0;
}

/* One damaged record costs itself, never the start. */
TEST(damaged_records_are_left_out)
{
    struct sb_policy policy = { .hold = true };
    struct sb_verdict good = world_ask_with(&world, SB_OP_REBOOT, "a", NULL, &policy);
    put_row(SB_TABLE_JOB, 901, "north", "k", SB_JOB_ACTIVE, json_pack("{s:i}", "id", 901));
    put_row(SB_TABLE_JOB, 902, "north", "k", SB_JOB_ACTIVE,
            json_pack("{s:i,s:s,s:s,s:s,s:{s:i}}", "id", 902, "origin", "north", "operation",
                      "reboot", "state", "active", "policy", "retries", -1));
    put_row(SB_TABLE_JOB, 903, "north", "k", SB_JOB_ACTIVE,
            json_pack("{s:i,s:s,s:s,s:s}", "id", 903, "origin", "north", "operation", "reboot",
                      "state", "active"));
    put_row(SB_TABLE_TASK, 904, "a", "903", SB_TASK_QUEUED,
            json_pack("{s:i,s:s,s:s,s:i}", "id", 904, "device", "a", "state", "queued", "percent",
                      1000));
    world_run(&world, 100);
    sb_log_setup(SB_LOG_ERROR, SB_LOG_LOGFMT);
    power_cycle();
    assert_int_equal(world_state(&world, good.job), SB_TASK_HELD);
    assert_null(sb_book_job(world.core->book, 901));
    assert_null(sb_book_job(world.core->book, 902));
    assert_null(sb_book_job(world.core->book, 903)); /* without tasks there is nothing to do */
    assert_int_equal(sb_book_jobs(world.core->book), 1);
    assert_ptr_equal(sb_book_job_at(world.core->book, 0), sb_book_job(world.core->book, good.job));
    assert_null(sb_book_job_at(world.core->book, 1));
    int open = 0;
    assert_int_equal(sb_store_query(world.core->store,
                                    &(struct sb_query){
                                        .table = SB_TABLE_JOB, .id = 903, .state = SB_JOB_ACTIVE },
                                    count_any, &open),
                     0);
    assert_int_equal(open, 0); /* nor at the next start */
}

TEST(a_job_taken_up_again_keeps_its_place)
{
    struct bench_device *a = bench_device("a");
    a->fault = BENCH_LOOK;
    a->cause = SB_CAUSE_REFUSED;
    a->faults = 1;
    struct sb_verdict old = world_ask(&world, SB_OP_REBOOT, "a", NULL);
    world_run(&world, 3000);
    assert_int_equal(world_state(&world, old.job), SB_TASK_FAILED);
    struct sb_policy policy = { .hold = true };
    struct sb_verdict later = world_ask_with(&world, SB_OP_REBOOT, "b", NULL, &policy);
    assert_int_equal(sb_runner_pause(world.core->runner, true), 0);
    assert_int_equal(sb_intake_retry(&world.core->intake, old.job, "test"), 0);
    assert_int_equal(sb_book_job_at(world.core->book, 0)->id, old.job);
    assert_int_equal(sb_book_job_at(world.core->book, 1)->id, later.job);
    assert_int_equal(sb_book_job(world.core->book, old.job)->id, old.job);
    assert_int_equal(sb_book_job(world.core->book, later.job)->id, later.job);
}

/* A job that has ended is known until the store knows it too. */
TEST(a_job_that_has_just_ended)
{
    struct sb_policy policy = { .hold = true };
    struct sb_verdict verdict = world_ask_with(&world, SB_OP_REBOOT, "a", NULL, &policy);
    world_run(&world, 100);
    assert_null(sb_book_recent(world.core->book, verdict.job));
    sb_store_mem_hold(world.disk, true);
    assert_int_equal(sb_host_cancel(cloud.host, north(), verdict.task, SB_CAUSE_OPERATOR), 0);
    world_run(&world, 100);
    assert_null(sb_book_job(world.core->book, verdict.job));
    assert_int_equal(sb_book_recent(world.core->book, verdict.job)->state, SB_JOB_DONE);
    assert_null(sb_book_recent(world.core->book, verdict.job + 1));
    sb_store_mem_hold(world.disk, false);
    (void)sb_store_mem_commit(world.disk);
    world_run(&world, 100);
    assert_null(sb_book_recent(world.core->book, verdict.job));
    sb_store_mem_hold(world.disk, true); /* and the power may go meanwhile */
    verdict = world_ask_with(&world, SB_OP_REBOOT, "b", NULL, &policy);
    assert_int_equal(sb_host_cancel(cloud.host, north(), verdict.task, SB_CAUSE_OPERATOR), 0);
    world_run(&world, 100);
    assert_non_null(sb_book_recent(world.core->book, verdict.job));
    sb_store_mem_hold(world.disk, false);
}

/* A core that cannot read its store after a failure does not go on with half of it. */
TEST(a_core_that_cannot_be_rebuilt_stops)
{
    sb_store_mem_fail_next(world.disk, 1, -EIO);
    sb_store_mem_fail_reads(world.disk, 1, -EIO);
    assert_int_equal(sb_runner_pause(world.core->runner, true), 0);
    world_run(&world, 100);
    assert_null(world.core->host);
    assert_int_equal(sb_loop_run(world.loop), 0); /* it was told to stop, and returns at once */
}

/* ---- links and buses that cannot be ---- */

static int broken_open(const struct sb_door_ops *ops, struct sb_host *host, const char *link,
                       const void *config, const struct sb_words *words, struct sb_door **ret)
{
    (void)ops, (void)host, (void)link, (void)config, (void)words, (void)ret;
    return -EIO;
}

static void complain(const void *config, const struct sb_yaml *yaml, struct sb_diags *diags)
{
    (void)config;
    sb_diags_add(diags, "x.yaml", yaml->line, 1, "this link will not do");
}

static struct sb_door_ops broken_door, picky_door;

static int open_port(const void *config, struct sb_port **ret, int *ret_owner, char **ret_error)
{
    (void)config, (void)ret, (void)ret_owner, (void)ret_error;
    return -ENOENT;
}

struct pipe_config {
    char *path;
};

static const struct sb_field pipe_fields[] = {
    { .key = "path", .type = SB_TYPE_STRING, .offset = offsetof(struct pipe_config, path) }, { 0 }
};

static const struct sb_port_ops pipe_port = {
    .name = "pipe", .fields = pipe_fields, .size = sizeof(struct pipe_config), .open = open_port
};

static const struct sb_door_ops *const doors[] = { &cloud_door, &broken_door, &picky_door, NULL };
static const struct sb_driver_ops *const drivers[] = { &bench_driver, NULL };
static const struct sb_port_ops *const transports[] = { &pipe_port, NULL };
static const struct sb_adapters adapters = { doors, drivers, transports };

/* The world's gateway with other links and buses, not started: 0, or why there is none. */
static int boot_with(const char *text)
{
    struct sb_diags diags = { 0 };
    broken_door = picky_door = cloud_door;
    broken_door.dialect = "broken";
    broken_door.open = broken_open;
    picky_door.dialect = "picky";
    picky_door.check = complain;
    world_off(&world, false);
    sb_cleanup(sb_freep) char *path = sb_format("%s/southbridge.yaml", world.directory);
    sb_cleanup(sb_freep) char *whole =
        sb_format("state: %s\nmappings: [ %s ]\ndevices: %s/devices.d\n%s", world.directory,
                  world.directory, world.directory, text);
    world_write(&world, "southbridge.yaml", whole);
    world.config = sb_config_free(world.config);
    int r = sb_config_load(path, &world.config, &diags);
    sb_cleanup(sb_freep) char *findings = diags.total ? sb_diags_text(&diags) : NULL;
    sb_diags_done(&diags);
    if (r < 0)
        fail_msg("%s", findings ? findings : strerror(-r));
    assert_int_equal(sb_loop_new(&world.loop), 0);
    bench_power_on(world.loop);
    shelf_power_on(world.loop);
    assert_int_equal(sb_store_mem_use(world.disk, world.loop), 0);
    struct sb_core_parts parts = { .loop = world.loop,
                                   .config = world.config,
                                   .adapters = &adapters,
                                   .backend_ops = &sb_store_mem_ops,
                                   .backend = world.disk,
                                   .fetcher_ops = &shelf_ops };
    r = sb_core_new(&parts, &world.core);
    if (r < 0)
        world.loop = sb_loop_free(world.loop);
    return r;
}

/* The words of the cloud under another dialect's name. */
static void lend_words(const char *name)
{
    static char words[65536];
    sb_cleanup(sb_freep) char *path = sb_format("%s/dialects/cloud.yaml", world.directory);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t n = fread(words, 1, sizeof(words) - 1, file);
    assert_int_equal(fclose(file), 0);
    words[n] = '\0';
    world_write(&world, name, words);
}

/* How each finding reads is looked at in test_findings_of_links. */
TEST(a_bad_link_is_left_out)
{
    lend_words("dialects/broken.yaml");
    lend_words("dialects/picky.yaml");
    assert_int_equal(boot_with("links:\n"
                               "  one: { dialect: nothing, role: uplink }\n"
                               "  two: { dialect: cloud, role: platform }\n"
                               "  three: { dialect: picky, role: uplink }\n"
                               "  four: { dialect: broken, role: uplink }\n"
                               "  north: { dialect: cloud, role: uplink }\n"),
                     0);
    assert_string_equal(sb_host_door_at(world.core->host, 0)->link, "north");
    assert_null(sb_host_door_at(world.core->host, 1));
    assert_int_equal(sb_core_start(world.core), 0);
    world_run(&world, 1000);
    struct sb_verdict verdict = world_ask(&world, SB_OP_REBOOT, "a", NULL); /* the others work */
    world_run(&world, 3000);
    assert_int_equal(world_state(&world, verdict.job), SB_TASK_SUCCEEDED);
}

TEST(findings_of_links)
{
    static const struct {
        const char *link, *part;
    } cases[] = {
        { "{ dialect: nothing, role: uplink }", "there is cloud (uplink), broken (uplink)" },
        { "{ dialect: cloud, role: platform }", "with the role 'platform'" },
        { "{ dialect: broken, role: uplink }", "no file dialects/broken.yaml" },
        { "{ dialect: cloud, role: uplink, colour: red }", "unknown key 'colour'" },
        { "{ dialect: cloud, role: uplink, uri_rules: { scheme: [ https ] } }",
          "did you mean 'schemes'" },
        { "{ dialect: cloud, role: uplink, uri_rules: { hosts: [] } }",
          "'hosts' is an empty list" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        sb_cleanup(sb_freep) char *text = sb_format("links:\n  one: %s\n", cases[i].link);
        assert_int_equal(boot_with(text), 0);
        struct sb_link_parts parts = { 0 };
        struct sb_diags diags = { 0 };
        assert_int_equal(
            sb_link_load(world.config, sb_config_link(world.config, 0), &adapters, &parts, &diags),
            -EINVAL);
        sb_cleanup(sb_freep) char *found = sb_diags_text(&diags);
        if (!strstr(found, cases[i].part) || !strstr(found, "southbridge.yaml:5"))
            fail_msg("%s: not '%s'", found, cases[i].part);
        assert_null(parts.config);
        sb_diags_done(&diags);
    }
}

TEST(buses)
{
    assert_null(sb_adapters_transport(&adapters, "carrier-pigeon"));
    assert_ptr_equal(sb_adapters_transport(&adapters, "pipe"), &pipe_port);
    assert_null(sb_adapters_driver(&adapters, "bunch"));
    assert_ptr_equal(sb_adapters_driver(&adapters, "bench"), &bench_driver);
    assert_int_equal(boot_with("buses:\n"
                               "  one: { transport: carrier-pigeon }\n"
                               "  three: { transport: pipe, pth: /x }\n"
                               "  two: { transport: pipe, path: /x }\n"),
                     0);
    assert_int_equal(world.core->bus_count, 3);
    for (size_t i = 0; i < 3; i++) { /* one that is wrong has no line; the others have */
        const struct sb_runner_bus *bus = &world.core->buses[i];
        assert_int_equal(bus->transport != NULL, strcmp(bus->name, "two") == 0);
        if (bus->transport)
            assert_string_equal(((const struct pipe_config *)bus->config)->path, "/x");
    }
}
