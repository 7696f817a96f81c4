/* SPDX-License-Identifier: Apache-2.0 */
/* Downloads whose bytes a door supplies: the real helper, with the test as the door. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "bridge/base/crypto.h"
#include "bridge/base/str.h"
#include "bridge/package/fetch.h"
#include "tests/test.h"

#define GUARD_MS 30000
#define SIZE     100000
#define BLOCK    7000

struct outcome {
    uint64_t id;
    unsigned progress, done;
    int64_t received;
    enum sb_cause cause;
    char *text, *sha256;
};

struct door { /* what it does with a pull */
    const char *name;
    unsigned pulls, overs;
    int64_t first, last; /* offsets of the first and the last pull */
    struct sb_pull asked;
    int64_t silent_from; /* from this offset on it answers nothing; -1: all */
    int64_t total;       /* that it tells; from `lies_from` on */
    int64_t lies_from;
    bool damaged; /* one byte is wrong */
    int refusal;
    enum sb_cause fails;
    bool again;   /* the first pull of all is to come once more */
    bool unsized; /* nobody has said how large the file is */
    bool any;     /* nor which file it is */
    void (*before)(struct sb_piece *piece);
    void (*then)(void);
};

static struct {
    char directory[64], *helper, *part, *sha256;
    char bytes[SIZE];
    struct sb_loop *loop;
    struct sb_timer *guard, *poll;
    const struct sb_fetcher_ops *ops;
    void *fetcher;
    struct door door;
    struct outcome out;
    bool (*until)(void);
} g;

/* ---- the door ---- */

static int on_pull(void *arg, const char *package, const struct sb_pull *pull)
{
    struct door *door = arg;
    assert_string_equal(package, "p-1");
    if (pull->over) {
        door->overs++;
        return 0;
    }
    if (door->pulls++ == 0)
        door->first = pull->offset;
    door->last = pull->offset;
    door->asked = *pull;
    if (door->refusal || (door->silent_from >= 0 && pull->offset >= door->silent_from))
        return door->refusal;
    int64_t n = SB_MIN((int64_t)BLOCK, SIZE - pull->offset);
    sb_cleanup(sb_freep) char *bytes = malloc((size_t)n);
    assert_non_null(bytes);
    memcpy(bytes, g.bytes + pull->offset, (size_t)n);
    bytes[0] = (char)(bytes[0] ^ (door->damaged ? 1 : 0));
    struct sb_piece piece = { .download = pull->download,
                              .offset = pull->offset,
                              .bytes = bytes,
                              .size = (size_t)n,
                              .total = pull->offset >= door->lies_from ? door->total : SIZE,
                              .cause = door->fails,
                              .text = door->fails ? "it will not" : NULL };
    if (door->before)
        door->before(&piece);
    if (door->again && door->pulls == 1)
        piece = (struct sb_piece){ .download = pull->download, .again = true };
    g.ops->supply(g.fetcher, &piece);
    if (door->then)
        door->then();
    return 0;
}

/* ---- the bench ---- */

static void on_guard(void *arg SB_UNUSED)
{
    fail_msg("what was waited for did not come");
}

static void on_poll(void *arg SB_UNUSED)
{
    if (g.until())
        sb_loop_stop(g.loop);
    else
        sb_timer_in(g.poll, 10);
}

static void run_until(bool (*until)(void))
{
    g.until = until;
    sb_timer_in(g.guard, GUARD_MS);
    sb_timer_in(g.poll, 0);
    assert_int_equal(0, sb_loop_run(g.loop));
    sb_timer_stop(g.guard);
    sb_timer_stop(g.poll);
}

static void on_event(void *arg, const struct sb_fetch_event *event)
{
    struct outcome *out = arg;
    assert_int_equal(0, out->done);
    assert_true(event->received >= out->received || event->done);
    out->received = event->received;
    if (!event->done) {
        out->progress++;
        return;
    }
    out->done++;
    out->cause = event->cause;
    out->text = event->text ? strdup(event->text) : NULL;
    out->sha256 = event->sha256 ? strdup(event->sha256) : NULL;
}

static bool is_done(void)
{
    return g.out.done > 0;
}

static void outcome_done(struct outcome *out)
{
    free(out->text);
    free(out->sha256);
    *out = (struct outcome){ 0 };
}

static int set_up(void **state SB_UNUSED)
{
    g.door = (struct door){ .name = "cloud", .silent_from = -1, .total = SIZE };
    assert_int_equal(0, sb_loop_new(&g.loop));
    assert_int_equal(0, sb_timer_new(g.loop, on_guard, NULL, &g.guard));
    assert_int_equal(0, sb_timer_new(g.loop, on_poll, NULL, &g.poll));
    assert_int_equal(0, sb_fetcher_new(g.loop, g.helper, 1, &g.ops, &g.fetcher));
    return 0;
}

static int tear_down(void **state SB_UNUSED)
{
    sb_cleanup(sb_freep) char *meta = sb_format("%s.meta", g.part);
    g.ops->close(g.fetcher);
    g.guard = sb_timer_free(g.guard);
    g.poll = sb_timer_free(g.poll);
    g.loop = sb_loop_free(g.loop);
    (void)unlink(g.part);
    (void)unlink(meta);
    outcome_done(&g.out);
    return 0;
}

static void start(const struct door *door, const char *part, int64_t stall_ms, struct outcome *out)
{
    const struct sb_supplier supplier = {
        .pull = on_pull, .arg = (void *)(uintptr_t)door, .package = "p-1", .door = door->name
    };
    outcome_done(out);
    assert_int_equal(0, g.ops->start(g.fetcher,
                                     &(struct sb_fetch_spec){ .supplier = &supplier,
                                                              .part = part,
                                                              .sha256 = door->any ? NULL : g.sha256,
                                                              .size = door->unsized ? -1 : SIZE,
                                                              .max_bytes = SIZE,
                                                              .stall_ms = stall_ms },
                                     on_event, out, &out->id));
}

static void expect(enum sb_cause cause, const char *text)
{
    start(&g.door, g.part, 10000, &g.out);
    run_until(is_done);
    if (g.out.cause != cause || (text && (!g.out.text || !strstr(g.out.text, text))))
        fail_msg("%s (%s)", sb_cause_name((int)g.out.cause), g.out.text ? g.out.text : "-");
    assert_int_equal(1, g.door.overs);
}

static int64_t part_size(void)
{
    struct stat st;
    return stat(g.part, &st) == 0 ? (int64_t)st.st_size : -1;
}

static void write_part(size_t n, char mask)
{
    FILE *out = fopen(g.part, "w");
    assert_non_null(out);
    for (size_t i = 0; i < n; i++)
        assert_int_not_equal(EOF, fputc(g.bytes[i] ^ mask, out));
    assert_int_equal(0, fclose(out));
}

static void assert_whole(void)
{
    sb_cleanup(sb_freep) char *found = sb_sha256_file(g.part);
    assert_string_equal(found, g.sha256);
    assert_string_equal(g.out.sha256, g.sha256);
}

/* ---- tests ---- */

#define TEST(name) SB_TEST(name, set_up, tear_down)

TEST(a_supplied_file_arrives)
{
    expect(SB_CAUSE_NONE, NULL);
    assert_whole();
    assert_int_equal((SIZE + BLOCK - 1) / BLOCK, g.door.pulls);
    assert_int_equal(SIZE, g.out.received);
    assert_true(g.out.progress > 0);
}

TEST(what_is_there_is_gone_on_with)
{
    write_part(30001, 0);
    expect(SB_CAUSE_NONE, NULL);
    assert_int_equal(30001, g.door.first);
    assert_whole();
}

TEST(a_whole_file_needs_no_door)
{
    write_part(SIZE, 0);
    expect(SB_CAUSE_NONE, NULL);
    assert_int_equal(0, g.door.pulls);
    g.door.unsized = true; /* its last byte says that it is all */
    g.door.overs = 0;
    expect(SB_CAUSE_NONE, NULL);
    assert_int_equal(1, g.door.pulls);
    assert_int_equal(SIZE - 1, g.door.first);
    write_part(30000, 0); /* that is not all */
    g.door.overs = g.door.pulls = 0;
    expect(SB_CAUSE_NONE, NULL);
    assert_int_equal(29999, g.door.first);
    assert_whole();
}

TEST(a_door_may_be_asked_anew)
{
    g.door.again = true;
    expect(SB_CAUSE_NONE, NULL);
    assert_whole();
    assert_int_equal((SIZE + BLOCK - 1) / BLOCK + 1, g.door.pulls);
}

/* What a power cut left is not what was written: once more, from the start. */
TEST(a_damaged_part_is_supplied_anew)
{
    write_part(30000, 1);
    expect(SB_CAUSE_NONE, NULL);
    assert_int_equal(30000, g.door.first);
    assert_whole();
}

TEST(another_file_fails_verification)
{
    g.door.damaged = true;
    expect(SB_CAUSE_VERIFY_FAILED, "SHA-256");
    assert_int_equal(-1, part_size());
}

TEST(a_file_that_changes_its_size_fails_verification)
{
    g.door.total = SIZE + 1;
    g.door.lies_from = 2 * BLOCK;
    expect(SB_CAUSE_VERIFY_FAILED, "bytes, 100000 were announced");
    assert_int_equal(-1, part_size());
}

TEST(a_door_may_say_no)
{
    g.door.fails = SB_CAUSE_DOWNLOAD_FAILED;
    expect(SB_CAUSE_DOWNLOAD_FAILED, "it will not");
    g.door = (struct door){ .name = "cloud", .silent_from = -1, .total = SIZE, .refusal = -ENOENT };
    expect(SB_CAUSE_DOWNLOAD_FAILED, "nobody can give");
}

TEST(a_silent_door_is_a_stall_and_what_came_stays)
{
    g.door.silent_from = 3 * BLOCK;
    start(&g.door, g.part, 300, &g.out);
    run_until(is_done);
    assert_int_equal(SB_CAUSE_LINK_LOST, g.out.cause);
    assert_int_equal(3 * BLOCK, part_size());
    g.door.silent_from = -1;
    g.door.pulls = g.door.overs = 0;
    expect(SB_CAUSE_NONE, NULL);
    assert_int_equal(3 * BLOCK, g.door.first);
}

static void spoil_offset(struct sb_piece *piece)
{
    struct sb_piece late = *piece;
    late.offset = piece->offset + 1;
    g.ops->supply(g.fetcher, &late);
    late = *piece;
    late.download++;
    g.ops->supply(g.fetcher, &late);
    late = *piece;
    late.size = 0;
    g.ops->supply(g.fetcher, &late);
    late = *piece;
    late.total = piece->offset + 1;
    g.ops->supply(g.fetcher, &late);
}

TEST(what_is_not_an_answer_is_dropped)
{
    g.door.before = spoil_offset;
    expect(SB_CAUSE_NONE, NULL);
    assert_whole();
}

static bool is_asked(void)
{
    return g.door.last == 2 * BLOCK;
}

static bool is_over(void)
{
    return g.door.overs > 0;
}

TEST(a_stopped_download_bothers_nobody)
{
    g.door.silent_from = 2 * BLOCK;
    start(&g.door, g.part, 10000, &g.out);
    run_until(is_asked);
    g.ops->stop(g.fetcher, g.out.id);
    run_until(is_over);
    g.ops->supply(g.fetcher, &(struct sb_piece){ .download = g.door.asked.download,
                                                 .offset = 2 * BLOCK,
                                                 .bytes = g.bytes,
                                                 .size = BLOCK,
                                                 .total = SIZE });
    assert_int_equal(0, g.out.done);
    assert_int_equal(2 * BLOCK, part_size());
}

/* Two devices that need the same file. */
TEST(a_second_request_shares_it)
{
    struct outcome second = { 0 };
    start(&g.door, g.part, 10000, &g.out);
    start(&g.door, g.part, 10000, &second);
    run_until(is_done);
    assert_int_equal(1, second.done);
    assert_int_equal(SB_CAUSE_NONE, second.cause);
    assert_int_equal((SIZE + BLOCK - 1) / BLOCK, g.door.pulls);
    outcome_done(&second);
}

static struct outcome next;

static bool next_is_done(void)
{
    return g.out.done > 0 && next.done > 0;
}

static void start_next(void)
{
    if (g.door.fails == SB_CAUSE_NONE)
        return;
    g.door.fails = SB_CAUSE_NONE;
    start(&g.door, g.part, 10000, &next);
}

/* It has failed already, though its helper is still there: who comes now has a download of his own.
 */
TEST(who_comes_at_the_end_of_a_failure_does_not_share_it)
{
    g.door.fails = SB_CAUSE_DOWNLOAD_FAILED;
    g.door.then = start_next;
    start(&g.door, g.part, 10000, &g.out);
    run_until(next_is_done);
    assert_int_equal(SB_CAUSE_DOWNLOAD_FAILED, g.out.cause);
    assert_int_equal(SB_CAUSE_NONE, next.cause);
    outcome_done(&next);
}

/* Any file will do for the first, but not for the second. */
TEST(who_demands_a_digest_gets_it)
{
    struct door any = { .name = "cloud", .silent_from = -1, .total = SIZE, .any = true };
    any.damaged = true;
    g.door.damaged = true;
    start(&any, g.part, 10000, &g.out);
    start(&g.door, g.part, 10000, &next);
    run_until(next_is_done);
    assert_int_equal(SB_CAUSE_NONE, g.out.cause);
    assert_int_equal(SB_CAUSE_VERIFY_FAILED, next.cause);
    outcome_done(&next);
}

/* One that is silent does not stop another door's; its own wait for it. */
TEST(one_at_a_time_of_a_door)
{
    struct door other = { .name = "other", .silent_from = -1, .total = SIZE };
    struct outcome silent = { 0 }, waits = { 0 };
    sb_cleanup(sb_freep) char *first = sb_format("%s/a.part", g.directory);
    sb_cleanup(sb_freep) char *second = sb_format("%s/b.part", g.directory);
    struct door quiet = { .name = "cloud", .silent_from = 0 };
    start(&quiet, first, 10000, &silent);
    start(&quiet, second, 10000, &waits);
    start(&other, g.part, 10000, &g.out);
    run_until(is_done);
    assert_int_equal(SB_CAUSE_NONE, g.out.cause);
    assert_true(quiet.pulls <= 1);
    assert_int_equal(0, silent.done + waits.done);
    g.ops->stop(g.fetcher, silent.id);
    g.ops->stop(g.fetcher, waits.id);
    (void)unlink(first);
    (void)unlink(second);
}

/* ---- all of it ---- */

static int group_set_up(void **state SB_UNUSED)
{
    const char *build = getenv("SB_BUILD");
    if (!build)
        fail_msg("SB_BUILD must be set (ctest does)");
    strcpy(g.directory, "/tmp/sb-supply-XXXXXX");
    assert_non_null(mkdtemp(g.directory));
    g.helper = sb_format("%s/bridge/programs/southbridge-fetch", build);
    g.part = sb_format("%s/x.part", g.directory);
    for (size_t i = 0; i < SIZE; i++)
        g.bytes[i] = (char)(i % 251);
    g.sha256 = sb_sha256_hex(g.bytes, SIZE);
    return 0;
}

static int group_tear_down(void **state SB_UNUSED)
{
    free(g.helper);
    free(g.part);
    free(g.sha256);
    return rmdir(g.directory);
}

int main(void)
{
    return sb_tests_run(group_set_up, group_tear_down);
}
