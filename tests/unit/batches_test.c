/* SPDX-License-Identifier: Apache-2.0 */
/* The store's own behaviour, turn by turn, on a simulated clock and a disk that obeys. */
#include <errno.h>

#include "bridge/base/str.h"
#include "bridge/store/batch.h"
#include "tests/fakes/loop_sim.h"
#include "tests/fakes/store_mem.h"
#include "tests/test.h"

#define SEEN_MAX 64

struct world {
    struct sb_store_mem *disk;
    struct sb_loop *loop;
    struct sb_store *store;
    int seen[SEEN_MAX]; /* then-functions as they ran: mark, or error */
    size_t count;
    int failures, failure_error, recoveries;
    size_t seen_at_failure;
    int turns, turns_at_failure;
    bool at_rest; /* the owner lets the store wait after a recovery */
};

struct mark { /* what a then-function writes down */
    struct world *world;
    int mark;
};

static void on_failure(void *arg, int error)
{
    struct world *w = arg;

    w->failures++;
    w->failure_error = error;
    w->seen_at_failure = w->count;
    w->turns_at_failure = w->turns;
}

static void on_recovery(void *arg)
{
    struct world *w = arg;

    w->recoveries++;
    if (!w->at_rest)
        sb_store_renew(w->store);
}

/* Before the store's, as the core's. */
static void on_turn(void *arg)
{
    ((struct world *)arg)->turns++;
}

static void power_on(struct world *w)
{
    assert_int_equal(sb_loop_new(&w->loop), 0);
    assert_int_equal(sb_loop_on_turn_end(w->loop, on_turn, w), 0);
    assert_int_equal(sb_store_mem_start(w->disk, w->loop, &w->store), 0);
    sb_store_on_failure(w->store, on_failure, w);
    sb_store_on_recovery(w->store, on_recovery, w);
}

static void power_off(struct world *w)
{
    w->store = sb_store_free(w->store);
    w->loop = sb_loop_free(w->loop);
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    assert_int_equal(sb_store_mem_new(&w->disk), 0);
    power_on(w);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    power_off(w);
    sb_store_mem_free(w->disk);
    free(w);
    return 0;
}

static int try_put(struct world *w, enum sb_table table, int64_t id)
{
    sb_cleanup(json_decrefp) json_t *body = json_pack("{s:I}", "id", (json_int_t)id);

    return sb_store_put(w->store, table, &(struct sb_row){ .id = id, .body = body });
}

static void put(struct world *w, int64_t id)
{
    assert_int_equal(try_put(w, SB_TABLE_JOB, id), 0);
}

static void see(void *arg, int error)
{
    struct mark *mark = arg;

    assert_true(mark->world->count < SEEN_MAX);
    mark->world->seen[mark->world->count++] = error ? error : mark->mark;
}

static void then(struct world *w, struct mark *mark, int number)
{
    *mark = (struct mark){ w, number };
    assert_int_equal(sb_store_then(w->store, see, mark), 0);
}

static void expect(struct world *w, const int *seen, size_t n)
{
    assert_int_equal(w->count, n);
    assert_memory_equal(w->seen, seen, n * sizeof(*seen));
    w->count = 0;
}
#define EXPECT(w, ...) expect(w, (const int[]){ __VA_ARGS__ }, SB_COUNT(((int[]){ __VA_ARGS__ })))

static bool ready(struct world *w)
{
    return sb_store_ready(w->store, NULL);
}

static struct sb_store_stats stats(struct world *w)
{
    struct sb_store_stats stats;

    sb_store_stats(w->store, &stats);
    return stats;
}

/* ---- order ---- */

#define T(name) SB_TEST_OF(struct world *w, name, set_up, tear_down)

T(nothing_pending_runs_at_the_turns_end)
{
    struct mark marks[2];

    then(w, &marks[0], 1);
    then(w, &marks[1], 2);
    assert_int_equal(w->count, 0);
    sb_sim_turn(w->loop);
    EXPECT(w, 1, 2);
    assert_int_equal(sb_store_mem_commits(w->disk), 0);
}

T(a_function_waits_for_its_batch)
{
    struct mark marks[2];

    sb_store_mem_delay(w->disk, 50);
    then(w, &marks[0], 1);
    put(w, 1);
    then(w, &marks[1], 2);
    sb_sim_advance(w->loop, 49);
    EXPECT(w, 1);
    assert_int_equal(sb_store_mem_rows(w->disk, SB_TABLE_JOB), 0);
    sb_sim_advance(w->loop, 1);
    EXPECT(w, 2);
    assert_int_equal(sb_store_mem_rows(w->disk, SB_TABLE_JOB), 1);
}

/* ---- leisure ---- */

static void put_at_leisure(struct world *w, int64_t id, struct mark *mark, int number)
{
    sb_store_at_leisure(w->store, true);
    put(w, id);
    then(w, mark, number);
    sb_store_at_leisure(w->store, false);
}

T(what_is_at_leisure_goes_with_what_is_not)
{
    struct mark marks[3];

    put_at_leisure(w, 1, &marks[0], 1);
    sb_sim_advance(w->loop, 199);
    assert_int_equal(sb_store_mem_commits(w->disk), 0);
    assert_int_equal(stats(w).waiting, 1);
    put(w, 2);
    then(w, &marks[1], 2);
    put_at_leisure(w, 3, &marks[2], 3); /* the batch is in a hurry already */
    sb_sim_advance(w->loop, 0);
    EXPECT(w, 1, 2, 3);
    assert_int_equal(sb_store_mem_commits(w->disk), 1);
    sb_sim_advance(w->loop, 1000);
    assert_int_equal(sb_store_mem_commits(w->disk), 1);
}

T(leisure_has_an_end)
{
    struct mark marks[3];

    put_at_leisure(w, 1, &marks[0], 1);
    sb_sim_advance(w->loop, 150);
    put_at_leisure(w, 2, &marks[1], 2); /* does not begin anew */
    sb_sim_advance(w->loop, 50);
    EXPECT(w, 1, 2);
    assert_int_equal(sb_store_mem_commits(w->disk), 1);
    put_at_leisure(w, 3, &marks[2], 3);
    power_off(w); /* hands over what was put */
    assert_int_equal(sb_store_mem_rows(w->disk, SB_TABLE_JOB), 3);
    power_on(w);
}

/* Else the gateway would say that its disk is slow while that has nothing to do. */
T(a_lot_at_leisure_does_not_wait)
{
    struct mark mark;

    for (int64_t id = 1; id < (int64_t)SB_STORE_GATHER_CHANGES; id++) {
        sb_store_at_leisure(w->store, true);
        put(w, id);
        sb_store_at_leisure(w->store, false);
    }
    sb_sim_advance(w->loop, 0);
    assert_int_equal(sb_store_mem_commits(w->disk), 0);
    put_at_leisure(w, (int64_t)SB_STORE_GATHER_CHANGES, &mark, 1);
    assert_false(sb_store_ready(w->store, NULL));
    sb_sim_turn(w->loop);
    sb_sim_advance(w->loop, 1);
    EXPECT(w, 1);
    assert_true(sb_store_ready(w->store, NULL));
    assert_int_equal(sb_store_mem_commits(w->disk), 1);
    sb_sim_advance(w->loop, 1000);
    assert_int_equal(sb_store_mem_commits(w->disk), 1);
}

T(who_waits_hurries_what_is_at_leisure)
{
    struct mark marks[2];

    put_at_leisure(w, 1, &marks[0], 1);
    sb_sim_turn(w->loop);
    then(w, &marks[1], 2);
    sb_sim_advance(w->loop, 0);
    EXPECT(w, 1, 2);
    assert_int_equal(sb_store_mem_commits(w->disk), 1);
}

T(a_failure_tells_what_was_at_leisure)
{
    struct mark mark;

    put_at_leisure(w, 1, &mark, 1);
    sb_store_mem_fail_next(w->disk, 1, -ENOSPC);
    sb_sim_advance(w->loop, 200);
    EXPECT(w, -ENOSPC);
    sb_sim_advance(w->loop, 2000); /* it recovers, and no leisure of before is left */
    uint64_t commits = sb_store_mem_commits(w->disk);
    put_at_leisure(w, 2, &mark, 2);
    sb_sim_advance(w->loop, 199);
    assert_int_equal(sb_store_mem_commits(w->disk), commits);
    sb_sim_advance(w->loop, 1);
    EXPECT(w, 2);
}

T(turns_during_a_commit_make_one_batch)
{
    struct mark marks[12];

    sb_store_mem_hold(w->disk, true);
    for (int i = 0; i < 10; i++) {
        put(w, i + 1);
        then(w, &marks[i], i + 1);
        sb_sim_advance(w->loop, 1);
    }
    assert_int_equal(w->count, 0);
    assert_int_equal(stats(w).waiting, 10);
    sb_store_mem_hold(w->disk, false);
    sb_sim_advance(w->loop, 0);
    EXPECT(w, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
    assert_int_equal(sb_store_mem_commits(w->disk), 2);
    assert_int_equal(stats(w).batches, 2);
    assert_int_equal(stats(w).changes, 10);
    assert_int_equal(stats(w).waiting, 0);
}

T(what_waits_for_an_earlier_batch_does_not_wait_for_a_later)
{
    struct mark marks[2];

    sb_store_mem_hold(w->disk, true);
    put(w, 1);
    sb_sim_turn(w->loop);
    then(w, &marks[0], 1); /* nothing new: waits for the first */
    put(w, 2);
    then(w, &marks[1], 2);
    sb_sim_turn(w->loop);
    assert_int_equal(sb_store_mem_commit(w->disk), 1);
    EXPECT(w, 1);
    sb_sim_turn(w->loop);
    assert_int_equal(sb_store_mem_commit(w->disk), 1);
    EXPECT(w, 2);
}

struct chain {
    struct mark mark;
    struct mark next;
    int64_t id;
};

static void put_and_ask(void *arg, int error)
{
    struct chain *chain = arg;

    see(&chain->mark, error);
    put(chain->mark.world, chain->id);
    then(chain->mark.world, &chain->next, 2);
}

T(a_function_may_put_and_ask_again)
{
    struct chain chain = { .mark = { w, 1 }, .id = 5 };

    assert_int_equal(sb_store_then(w->store, put_and_ask, &chain), 0);
    sb_store_mem_hold(w->disk, true);
    sb_sim_turn(w->loop);
    assert_int_equal(sb_store_mem_commit(w->disk),
                     0); /* the next turn's, with what else it brings */
    sb_sim_turn(w->loop);
    assert_int_equal(sb_store_mem_commit(w->disk), 1);
    EXPECT(w, 1, 2);
    assert_int_equal(sb_store_mem_rows(w->disk, SB_TABLE_JOB), 1);
}

struct again {
    struct world *world;
    unsigned runs;
};

static void ask_again(void *arg, int error)
{
    struct again *again = arg;

    assert_int_equal(error, 0);
    if (again->runs++ < 3)
        assert_int_equal(sb_store_then(again->world->store, ask_again, again), 0);
}

T(asking_again_is_for_the_next_turn)
{
    struct again again = { w, 0 };

    assert_int_equal(sb_store_then(w->store, ask_again, &again), 0);
    for (unsigned turn = 1; turn <= 4; turn++) {
        sb_sim_turn(w->loop);
        assert_int_equal(again.runs, turn);
    }
}

struct afterwards {
    struct world *world;
    struct mark mark;
    bool done;
};

static void put_once(void *arg)
{
    struct afterwards *hook = arg;

    if (hook->done)
        return;
    hook->done = true;
    put(hook->world, 7);
    then(hook->world, &hook->mark, 7);
}

/* Another turn-end hook, behind the store's: its changes do not wait for the next event. */
T(what_is_put_after_the_turns_end_has_a_turn_too)
{
    struct afterwards hook = { .world = w };

    assert_int_equal(sb_loop_on_turn_end(w->loop, put_once, &hook), 0);
    sb_sim_advance(w->loop, 0);
    EXPECT(w, 7);
}

T(a_forgotten_function_does_not_run)
{
    struct mark marks[4];

    put(w, 1);
    for (int i = 0; i < 4; i++)
        then(w, &marks[i], i + 1);
    sb_store_forget(w->store, see, &marks[3]);
    sb_store_forget(w->store, see, &marks[1]);
    sb_store_forget(w->store, see, w); /* none */
    struct mark last;
    then(w, &last, 9);
    sb_sim_advance(w->loop, 0);
    EXPECT(w, 1, 3, 9);
}

/* ---- failure ---- */

T(a_failed_commit_drops_all_that_came_after)
{
    struct mark marks[4];

    sb_store_mem_hold(w->disk, true);
    put(w, 1);
    then(w, &marks[0], 1);
    sb_sim_turn(w->loop);
    put(w, 2);
    then(w, &marks[1], 2);
    sb_sim_turn(w->loop);
    put(w, 3);
    then(w, &marks[2], 3);
    sb_store_mem_fail_next(w->disk, 1, -ENOSPC);
    assert_int_equal(sb_store_mem_commit(w->disk), 1);
    EXPECT(w, -ENOSPC, -ENOSPC, -ENOSPC);
    assert_int_equal(w->failures, 1);
    assert_int_equal(w->seen_at_failure, 3); /* after the functions */
    assert_int_equal(w->failure_error, -ENOSPC);
    sb_store_mem_hold(w->disk, false);
    sb_sim_advance(w->loop, 500);
    assert_int_equal(sb_store_mem_rows(w->disk, SB_TABLE_JOB), 0);
    assert_int_equal(stats(w).failures, 1);
    assert_int_equal(stats(w).waiting, 0);
}

static void fail_once(struct world *w, unsigned n)
{
    sb_store_mem_fail_next(w->disk, n, -ENOSPC);
    put(w, 100);
    sb_sim_advance(w->loop, 0);
    assert_false(ready(w));
}

T(while_failing_changes_are_refused_and_refusals_leave)
{
    struct mark mark;
    const char *why = NULL;

    fail_once(w, 1);
    assert_int_equal(try_put(w, SB_TABLE_JOB, 1), -EAGAIN);
    assert_int_equal(sb_store_remove(w->store, SB_TABLE_JOB, 1, NULL), -EAGAIN);
    assert_false(sb_store_ready(w->store, &why));
    assert_non_null(strstr(why, "No space left"));
    then(w, &mark, 7);
    sb_sim_turn(w->loop);
    EXPECT(w, 7);
}

T(it_recovers_by_itself)
{
    struct mark mark;
    const char *why = "";

    fail_once(w, 1);
    sb_sim_advance(w->loop, 999);
    assert_false(ready(w));
    assert_int_equal(w->recoveries, 0);
    sb_sim_advance(w->loop, 1);
    assert_true(sb_store_ready(w->store, &why));
    assert_null(why);
    assert_int_equal(w->recoveries, 1);
    put(w, 5);
    then(w, &mark, 5);
    sb_sim_advance(w->loop, 0);
    EXPECT(w, 5);
    assert_int_equal(w->failures, 1);
    assert_int_equal(sb_store_mem_rows(w->disk, SB_TABLE_JOB), 1);
}

/* The disk is well, but memory is not yet what the store has: a change would be nobody's. */
T(until_it_is_renewed_a_recovered_store_takes_nothing)
{
    struct mark marks[2];

    w->at_rest = true;
    fail_once(w, 1);
    sb_store_mem_hold(w->disk, true);
    sb_sim_advance(w->loop, 1000);
    assert_int_equal(sb_store_mem_commit(w->disk), 1);
    assert_int_equal(w->recoveries, 1);
    assert_false(ready(w));
    assert_int_equal(try_put(w, SB_TABLE_JOB, 1), -EAGAIN);
    then(w, &marks[0], 1); /* a refusal that is not to be told any more */
    sb_store_forfeit(w->store);
    EXPECT(w, -ENOSPC);
    assert_int_equal(try_put(w, SB_TABLE_JOB, 1), -EAGAIN); /* by what is about to go */
    sb_store_renew(w->store);
    assert_true(ready(w));
    sb_store_mem_hold(w->disk, false);
    put(w, 2);
    then(w, &marks[1], 2);
    sb_sim_advance(w->loop, 0);
    EXPECT(w, 2);
    assert_int_equal(sb_store_mem_rows(w->disk, SB_TABLE_JOB), 1);
}

/* Also while an earlier batch is on its way: that one is durable. */
T(what_cannot_be_made_takes_its_turn_with_it)
{
    struct mark marks[2];

    sb_store_mem_hold(w->disk, true);
    put(w, 1);
    then(w, &marks[0], 1);
    sb_sim_advance(w->loop, 0);
    put(w, 2);
    then(w, &marks[1], 2);
    assert_int_equal(sb_store_whole(w->store, -EINVAL), -EINVAL);
    assert_true(ready(w));
    assert_int_equal(sb_store_whole(w->store, -ENOMEM), -ENOMEM);
    assert_false(ready(w));
    assert_int_equal(try_put(w, SB_TABLE_JOB, 3), -ENOMEM);
    sb_store_mem_hold(w->disk, false);
    sb_sim_advance(w->loop, 0);
    EXPECT(w, 1, -ENOMEM);
    assert_int_equal(w->failures, 1);
    assert_int_equal(sb_store_mem_rows(w->disk, SB_TABLE_JOB), 1);
    sb_sim_advance(w->loop, 1000);
    assert_true(ready(w));
}

/* As after a failure: what is asked for later in its turn is forgotten with the rest. */
T(a_renewal_alone_mends_nothing)
{
    struct mark marks[2];

    fail_once(w, 1);
    then(w, &marks[0], 1);
    sb_store_forfeit(w->store);
    EXPECT(w, -ENOSPC);
    sb_store_renew(w->store);
    assert_false(ready(w));
    then(w, &marks[1], 2);
    sb_sim_turn(w->loop);
    EXPECT(w, 2);
}

/* Probes at 1, 3, 7, 15, 31, 61, 91 s: the wait doubles up to 30 s. */
T(probes_become_rare)
{
    static const int64_t at[] = { 1, 3, 7, 15, 31, 61, 91 };
    int64_t now = 0;

    fail_once(w, 1 + SB_COUNT(at) - 1);
    for (size_t i = 0; i < SB_COUNT(at); i++) {
        sb_sim_advance(w->loop, at[i] * 1000 - now - 1);
        assert_int_equal(w->recoveries, 0);
        sb_sim_advance(w->loop, 1);
        now = at[i] * 1000;
    }
    assert_int_equal(w->recoveries, 1);
    assert_int_equal(w->failures, 1); /* the probes are no news */
}

/* A disk with room for a probe but for nothing else is not asked every second. */
T(a_recovery_that_does_not_last_keeps_the_wait)
{
    fail_once(w, 2);
    sb_sim_advance(w->loop, 3000);
    assert_int_equal(w->recoveries, 1);
    fail_once(w, 1);
    sb_sim_advance(w->loop, 3999); /* twice as long */
    assert_int_equal(w->recoveries, 1);
    sb_sim_advance(w->loop, 1);
    assert_int_equal(w->recoveries, 2);
    put(w, 1);
    sb_sim_advance(w->loop, 0); /* a real commit: forgiven */
    fail_once(w, 1);
    sb_sim_advance(w->loop, 1000);
    assert_int_equal(w->recoveries, 3);
}

T(functions_asked_during_a_probe_do_not_wait_for_it)
{
    struct mark mark;

    fail_once(w, 1);
    sb_store_mem_hold(w->disk, true);
    sb_sim_advance(w->loop, 1000);
    then(w, &mark, 3);
    sb_sim_turn(w->loop);
    EXPECT(w, 3);
    assert_int_equal(w->recoveries, 0);
    assert_int_equal(sb_store_mem_commit(w->disk), 1);
    assert_int_equal(w->recoveries, 1);
}

T(what_was_handed_over_behind_a_failure_fails_too)
{
    sb_store_mem_hold(w->disk, true);
    put(w, 1);
    sb_sim_turn(w->loop);
    put(w, 2);
    sb_store_mem_fail_next(w->disk, 1, -EIO);
    power_off(w); /* hands the second over behind the first */
    assert_int_equal(sb_store_mem_rows(w->disk, SB_TABLE_JOB), 0);
    power_on(w);
}

T(a_clean_end_keeps_all)
{
    sb_store_mem_hold(w->disk, true);
    put(w, 1);
    sb_sim_turn(w->loop);
    put(w, 2);
    power_off(w);
    assert_int_equal(sb_store_mem_rows(w->disk, SB_TABLE_JOB), 2);
    power_on(w);
}

/* ---- power ---- */

T(a_power_cut_keeps_what_was_committed)
{
    struct mark mark;

    put(w, 1);
    sb_sim_advance(w->loop, 0);
    sb_store_mem_delay(w->disk, 10);
    put(w, 2);
    then(w, &mark, 2);
    sb_sim_advance(w->loop, 5);
    sb_store_mem_cut(w->disk);
    sb_sim_advance(w->loop, 100);
    assert_int_equal(w->count, 0);
    power_off(w);
    power_on(w);
    assert_int_equal(sb_store_mem_rows(w->disk, SB_TABLE_JOB), 1);
}

struct cut {
    struct world *world;
    uint64_t number;
    bool durable;
};

static void cut_here(void *arg, uint64_t number, bool durable)
{
    struct cut *cut = arg;

    if (number == cut->number && durable == cut->durable)
        sb_store_mem_cut(cut->world->disk);
}

T(power_can_be_cut_at_every_commit)
{
    for (unsigned at = 1; at <= 6; at++) {
        struct mark marks[3];
        struct cut cut = { w, sb_store_mem_commits(w->disk) + 1 + (at - 1) / 2, at % 2 == 0 };
        size_t before = sb_store_mem_rows(w->disk, SB_TABLE_JOB);
        sb_store_mem_on_commit(w->disk, cut_here, &cut);
        for (int i = 0; i < 3; i++) {
            put(w, (int64_t)at * 10 + i);
            then(w, &marks[i], i + 1);
            sb_sim_advance(w->loop, 1);
        }
        power_off(w);
        power_on(w);
        /* told what was durable; the last durable one may not have been told */
        assert_int_equal(w->count, (at - 1) / 2);
        assert_int_equal(sb_store_mem_rows(w->disk, SB_TABLE_JOB) - before, at / 2);
        w->count = 0;
    }
}

/* ---- bounds ---- */

T(what_gathers_behind_a_stalled_disk_is_bounded)
{
    const char *why = NULL;
    struct mark mark;
    int64_t id = 1;

    sb_store_mem_hold(w->disk, true);
    put(w, id++);
    sb_sim_turn(w->loop);
    while (ready(w))
        put(w, id++);
    assert_int_equal(id - 2, SB_STORE_GATHER_CHANGES);
    assert_false(sb_store_ready(w->store, &why));
    assert_non_null(strstr(why, "slow"));
    then(w, &mark, 1);
    while ((size_t)id < 9 * SB_STORE_GATHER_CHANGES) /* one turn may bring any number */
        put(w, id++);
    sb_sim_turn(w->loop);
    assert_int_equal(try_put(w, SB_TABLE_JOB, id), -ENOBUFS);
    sb_store_mem_hold(w->disk, false);
    sb_sim_advance(w->loop, 0);
    EXPECT(w, -ENOBUFS); /* half a turn is not stored */
    assert_int_equal(w->failures, 1);
    assert_true(w->turns > w->turns_at_failure); /* memory is made anew now, not some time */
    assert_int_equal(sb_store_mem_rows(w->disk, SB_TABLE_JOB), 1); /* the first was on its way */
    sb_sim_advance(w->loop, 1000);
    assert_true(ready(w));
}

T(a_row_that_does_not_fit_is_refused_alone)
{
    sb_cleanup(sb_freep) char *long_text = malloc(SB_STORE_BODY_MAX + 1);

    assert_non_null(long_text);
    memset(long_text, 'x', SB_STORE_BODY_MAX);
    long_text[SB_STORE_BODY_MAX] = '\0';
    sb_cleanup(json_decrefp) json_t *body = json_pack("{s:s}", "text", long_text);
    const struct sb_row row = { .id = 2, .body = body };
    put(w, 1);
    assert_int_equal(sb_store_put(w->store, SB_TABLE_JOB, &row), -E2BIG);
    sb_sim_advance(w->loop, 0);
    assert_int_equal(sb_store_mem_rows(w->disk, SB_TABLE_JOB), 1);
    assert_int_equal(w->failures, 0);
    assert_int_equal(sb_store_put(w->store, SB_TABLE_JOB, &row), -E2BIG); /* alone in its batch */
    sb_sim_advance(w->loop, 0);
    assert_int_equal(sb_store_mem_commits(w->disk), 1);
}

T(a_key_of_the_wrong_kind_is_refused)
{
    sb_cleanup(json_decrefp) json_t *body = json_object();
    const struct {
        enum sb_table table;
        struct sb_row row;
    } wrong[] = {
        { SB_TABLE_JOB, { .id = 0, .body = body } },
        { SB_TABLE_JOB, { .id = -1, .body = body } },
        { SB_TABLE_JOB, { .id = 1, .name = "x", .body = body } },
        { SB_TABLE_DEVICE, { .id = 1, .name = "x", .body = body } },
        { SB_TABLE_DEVICE, { .name = "", .body = body } },
        { SB_TABLE_DEVICE, { .body = body } },
        { SB_TABLE_MAX_, { .id = 1, .body = body } },
        { SB_TABLE_JOB, { .id = 1 } },
    };

    for (size_t i = 0; i < SB_COUNT(wrong); i++)
        assert_int_equal(sb_store_put(w->store, wrong[i].table, &wrong[i].row), -EINVAL);
    assert_int_equal(sb_store_remove(w->store, SB_TABLE_DEVICE, 1, NULL), -EINVAL);
    assert_int_equal(
        sb_store_query(w->store, &(struct sb_query){ .table = SB_TABLE_MAX_ }, NULL, NULL),
        -EINVAL);
    sb_sim_advance(w->loop, 0);
    assert_int_equal(sb_store_mem_commits(w->disk), 0);
    assert_true(ready(w));
}

T(a_store_that_cannot_be_read_does_not_start)
{
    struct sb_store_mem *disk;
    struct sb_store *store = NULL;

    assert_int_equal(sb_store_mem_new(&disk), 0);
    sb_store_mem_fail_reads(disk, 1, -EIO);
    assert_int_equal(sb_store_mem_start(disk, w->loop, &store), -EIO);
    assert_null(store);
    sb_sim_advance(w->loop, 10);
    sb_store_mem_free(disk);
}
