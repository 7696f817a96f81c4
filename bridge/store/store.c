/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/store/store.h"

#include <errno.h>

#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "bridge/store/batch.h"
#include "bridge/store/numbers.h"

#define PROBE_FIRST SB_SECOND
#define PROBE_LAST  (30 * SB_SECOND)
#define PROBE_BYTES 8192 /* a probe too small would find room where a real batch does not */
#define HARD_FACTOR 8
#define LEISURE     (SB_SECOND / 5)

struct then {
    struct then *next;
    uint64_t batch;    /* waits until this one is settled */
    uint64_t sequence; /* in order of asking */
    sb_commit_fn fn;
    void *arg;
};

struct sb_store {
    struct sb_loop *loop;
    const struct sb_backend_ops *ops;
    void *backend;
    struct sb_timer *turn_timer; /* brings a turn's end for what was put after the last one */
    struct sb_timer *probe_timer;
    int64_t probe_wait;

    struct sb_batch *gathering; /* number handed + 1; NULL: nothing put yet */
    bool at_leisure;            /* what is put now is in no hurry */
    bool hurried;               /* somebody waits for the gathering batch */
    struct sb_timer *leisure_timer;
    int spoiled;      /* the gathering batch is incomplete and will fail with this */
    bool overfull;    /* too much of earlier turns waits: the next change spoils it */
    uint64_t handed;  /* the last number that went to the backend */
    uint64_t settled; /* the last number that is durable or lost */
    size_t flying;    /* changes at the backend */
    bool probing;     /* what is at the backend is a probe */

    struct then *thens, **thens_end;
    uint64_t asked;
    struct sb_numbers numbers;

    int error;   /* commits fail, since; 0: they work */
    bool probed; /* one works again; nobody may change anything before sb_store_renew() */
    char *why;
    uint64_t batches, changes, failures;
    void (*on_failure)(void *arg, int error);
    void *failure_arg;
    void (*on_recovery)(void *arg);
    void *recovery_arg;
};

static bool at_backend(const struct sb_store *store)
{
    return store->handed != store->settled;
}

/* Turns end by themselves; the timer is for what comes between two of them. */
static void want_turn_end(struct sb_store *store)
{
    if (!sb_timer_armed(store->turn_timer))
        sb_timer_in(store->turn_timer, 0);
}

/* The gathering batch has got something, or somebody who waits for it. */
static void hurry(struct sb_store *store)
{
    if (store->at_leisure && store->gathering) {
        if (!store->hurried && !sb_timer_armed(store->leisure_timer))
            sb_timer_in(store->leisure_timer, LEISURE);
        return;
    }
    store->hurried = true;
    want_turn_end(store);
}

static void end_leisure(void *arg)
{
    struct sb_store *store = arg;

    store->hurried = true; /* the turn it came in has an end */
}

void sb_store_at_leisure(struct sb_store *store, bool at_leisure)
{
    store->at_leisure = at_leisure;
}

/* The batch that has all that was put so far. */
static uint64_t last_number(const struct sb_store *store)
{
    return store->handed + (store->gathering || store->spoiled ? 1 : 0);
}

/* ---- waiting functions ---- */

int sb_store_then(struct sb_store *store, sb_commit_fn fn, void *arg)
{
    struct then *then = calloc(1, sizeof(*then));

    if (!then)
        return -ENOMEM;
    *then = (struct then){ .sequence = store->asked++, .fn = fn, .arg = arg };
    then->batch = store->error ? store->settled : last_number(store);
    *store->thens_end = then;
    store->thens_end = &then->next;
    hurry(store);
    return 0;
}

void sb_store_forget(struct sb_store *store, sb_commit_fn fn, void *arg)
{
    struct then **at = &store->thens;

    while (*at) {
        struct then *then = *at;
        if (then->fn != fn || then->arg != arg) {
            at = &then->next;
            continue;
        }
        *at = then->next;
        free(then);
    }
    store->thens_end = at;
}

static struct then *take_then(struct sb_store *store)
{
    struct then *then = store->thens;

    store->thens = then->next;
    if (!store->thens)
        store->thens_end = &store->thens;
    return then;
}

/*
 * Runs what waited for batches up to `settled`; those after `durable` have the error. What the
 * functions themselves ask for has its turn later, so this ends.
 */
static void run_thens(struct sb_store *store, uint64_t durable, int error)
{
    uint64_t end = store->asked;

    while (store->thens && store->thens->sequence < end && store->thens->batch <= store->settled) {
        struct then *then = take_then(store);
        then->fn(then->arg, then->batch > durable ? error : 0);
        free(then);
    }
}

/* ---- failure and recovery ---- */

static void explain(struct sb_store *store, int error)
{
    free(store->why);
    store->why =
        sb_format("the store cannot write (%s); free space or repair the disk, southbridge "
                  "tries again by itself",
                  strerror(-error));
}

/* Drops everything that is not durable. Nothing is at the backend. */
static void fail(struct sb_store *store, int error)
{
    uint64_t durable = store->settled;

    if (at_backend(store))
        store->settled = store->handed;
    else
        store->settled = ++store->handed; /* the gathered batch is lost under a number of its own */
    store->error = error;
    store->spoiled = 0;
    store->overfull = false;
    store->hurried = false;
    sb_timer_stop(store->leisure_timer);
    store->failures++;
    explain(store, error);
    sb_batch_free(SB_STEAL(store->gathering));
    sb_numbers_lost(&store->numbers);
    /* also those that waited for the gathered batch */
    for (struct then *then = store->thens; then; then = then->next)
        if (then->batch > store->settled)
            then->batch = store->settled;
    run_thens(store, durable, error);
    if (store->on_failure)
        store->on_failure(store->failure_arg, error);
    sb_timer_in(store->probe_timer, store->probe_wait);
    want_turn_end(store); /* the hook's owner must not wait for the next event */
}

void sb_store_forfeit(struct sb_store *store)
{
    if (store->error)
        run_thens(store, 0, store->error);
}

void sb_store_renew(struct sb_store *store)
{
    if (store->probed)
        store->error = 0;
    store->probed = false;
}

static void hand_over(struct sb_store *store, struct sb_batch *batch)
{
    batch->number = ++store->handed;
    store->flying = batch->count;
    store->probing = batch->probe;
    store->ops->commit(store->backend, batch);
}

static struct sb_batch *make_probe(struct sb_store *store)
{
    sb_cleanup(sb_batch_freep) struct sb_batch *batch = sb_batch_new();
    sb_cleanup(sb_freep) char *padding = malloc(PROBE_BYTES);
    sb_cleanup(json_decrefp) json_t *body = NULL;

    if (!batch || !padding)
        return NULL;
    memset(padding, '.', PROBE_BYTES);
    body = json_pack("{s:I,s:s#}", "failures", (json_int_t)store->failures, "padding", padding,
                     (size_t)PROBE_BYTES);
    if (!body ||
        sb_batch_put(batch, SB_TABLE_META, &(struct sb_row){ .name = "probe", .body = body }) < 0)
        return NULL;
    batch->probe = true;
    return SB_STEAL(batch);
}

static void probe_later(struct sb_store *store)
{
    store->probe_wait = SB_MIN(2 * store->probe_wait, PROBE_LAST);
    sb_timer_in(store->probe_timer, store->probe_wait);
}

static void probe(void *arg)
{
    struct sb_store *store = arg;
    struct sb_batch *batch = make_probe(store);

    if (batch)
        hand_over(store, batch);
    else
        probe_later(store);
}

static void probed(struct sb_store *store, int error)
{
    store->settled = store->handed;
    if (error) {
        explain(store, error);
        probe_later(store);
        return;
    }
    store->probed = true;
    /* Until a real one commits this may be a probe's luck: then the next failure waits longer. */
    store->probe_wait = SB_MIN(2 * store->probe_wait, PROBE_LAST);
    if (store->on_recovery)
        store->on_recovery(store->recovery_arg);
}

void sb_store_committed(struct sb_store *store, uint64_t number, int error)
{
    uint64_t durable = store->settled;

    if (number != store->handed || !at_backend(store))
        return; /* answered before */
    size_t changes = store->flying;
    store->flying = 0;
    if (store->probing) {
        store->probing = false;
        probed(store, error);
    } else if (error) {
        fail(store, error);
    } else {
        store->settled = number;
        store->batches++;
        store->changes += changes;
        store->probe_wait = PROBE_FIRST; /* only a real one counts: failing may come and go */
        run_thens(store, durable, 0);
    }
}

/* ---- turns ---- */

static bool gathered_over(const struct sb_store *store, size_t factor)
{
    return store->gathering && (store->gathering->count >= factor * SB_STORE_GATHER_CHANGES ||
                                store->gathering->bytes >= factor * SB_STORE_GATHER_BYTES);
}

static void hand_over_turn(struct sb_store *store)
{
    if (store->error || at_backend(store))
        return;
    if (store->spoiled)
        fail(store, store->spoiled);
    else if (store->gathering && (store->hurried || gathered_over(store, 1)))
        hand_over(store, SB_STEAL(store->gathering));
    else
        return;
    store->hurried = false;
    sb_timer_stop(store->leisure_timer);
}

static void end_turn(void *arg)
{
    struct sb_store *store = arg;

    sb_timer_stop(store->turn_timer);
    hand_over_turn(store);
    run_thens(store, store->settled, 0);
    /* What the functions put is the next turn's: others have to add what they owe because of it. */
    if (!at_backend(store) && ((store->gathering && store->hurried) || store->spoiled))
        want_turn_end(store);
    store->overfull = gathered_over(store, HARD_FACTOR);
}

static void need_turn(void *arg)
{
    (void)arg; /* the turn it came in has an end */
}

/* ---- changes ---- */

static int begin_change(struct sb_store *store)
{
    if (store->error)
        return -EAGAIN;
    if (store->spoiled)
        return store->spoiled;
    if (!store->gathering)
        store->gathering = sb_batch_new();
    hurry(store);
    if (!store->gathering)
        return store->spoiled = -ENOMEM;
    return store->overfull ? store->spoiled = -ENOBUFS : 0;
}

/* Half a turn must not become durable. A row that can never be stored is its maker's matter. */
static int end_change(struct sb_store *store, int r)
{
    if (r == -ENOMEM)
        store->spoiled = r;
    if (store->gathering->count == 0 && !store->spoiled)
        sb_batch_free(SB_STEAL(store->gathering));
    return r;
}

int sb_store_put(struct sb_store *store, enum sb_table table, const struct sb_row *row)
{
    int r = begin_change(store);

    if (r < 0)
        return r;
    r = sb_batch_put(store->gathering, table, row);
    if (r == 0)
        sb_numbers_used(&store->numbers, table, row->id);
    return end_change(store, r);
}

int sb_store_remove(struct sb_store *store, enum sb_table table, int64_t id, const char *name)
{
    int r = begin_change(store);

    if (r < 0)
        return r;
    r = sb_batch_remove(store->gathering, table, id, name);
    if (r == 0)
        r = sb_numbers_keep(&store->numbers, table, id, store->gathering);
    return end_change(store, r);
}

int sb_store_whole(struct sb_store *store, int r)
{
    if (r != -ENOMEM || store->error || store->spoiled)
        return r;
    store->spoiled = r;
    want_turn_end(store);
    return r;
}

int64_t sb_store_next_id(struct sb_store *store, enum sb_table table)
{
    return sb_numbers_take(&store->numbers, table);
}

/* ---- reading ---- */

int sb_store_query(struct sb_store *store, const struct sb_query *query, sb_row_fn fn, void *arg)
{
    if (query->table >= SB_TABLE_MAX_)
        return -EINVAL;
    return store->ops->query(store->backend, query, fn, arg);
}

int sb_store_count(struct sb_store *store, const struct sb_query *query, int64_t *ret)
{
    return query->table < SB_TABLE_MAX_ ? store->ops->count(store->backend, query, ret) : -EINVAL;
}

int sb_store_measure(struct sb_store *store, struct sb_store_size *ret)
{
    return store->ops->measure(store->backend, ret);
}

bool sb_store_ready(const struct sb_store *store, const char **ret_why)
{
    const char *why = NULL;

    if (store->error || store->spoiled)
        why = store->why ? store->why : "the store cannot write; out of memory";
    else if (gathered_over(store, 1))
        why = "the store is busy; the disk is slow, ask again later";
    if (ret_why)
        *ret_why = why;
    return !why;
}

bool sb_store_failing(const struct sb_store *store)
{
    return sb_store_error(store) != 0;
}

int sb_store_error(const struct sb_store *store)
{
    return store->error ? store->error : store->spoiled;
}

void sb_store_stats(const struct sb_store *store, struct sb_store_stats *ret)
{
    *ret = (struct sb_store_stats){
        .batches = store->batches,
        .changes = store->changes,
        .failures = store->failures,
        .waiting = store->flying + (store->gathering ? store->gathering->count : 0),
    };
}

void sb_store_on_failure(struct sb_store *store, void (*fn)(void *arg, int error), void *arg)
{
    store->on_failure = fn;
    store->failure_arg = arg;
}

void sb_store_on_recovery(struct sb_store *store, void (*fn)(void *arg), void *arg)
{
    store->on_recovery = fn;
    store->recovery_arg = arg;
}

/* ---- life ---- */

static int start(struct sb_store *store, struct sb_loop *loop)
{
    int r = sb_timer_new(loop, need_turn, store, &store->turn_timer);

    store->loop = loop;
    if (r == 0)
        r = sb_timer_new(loop, probe, store, &store->probe_timer);
    if (r == 0)
        r = sb_timer_new(loop, end_leisure, store, &store->leisure_timer);
    if (r < 0)
        return r;
    store->ops->attach(store->backend, store);
    r = sb_numbers_load(&store->numbers, store);
    return r < 0 ? r : sb_loop_on_turn_end(loop, end_turn, store);
}

int sb_store_new(struct sb_loop *loop, const struct sb_backend_ops *ops, void *backend,
                 struct sb_store **ret)
{
    struct sb_store *store = calloc(1, sizeof(*store));
    int r;

    if (!store) {
        ops->close(backend);
        return -ENOMEM;
    }
    store->ops = ops;
    store->backend = backend;
    store->probe_wait = PROBE_FIRST;
    store->thens_end = &store->thens;
    r = start(store, loop);
    if (r < 0) {
        sb_store_free(store);
        return r;
    }
    *ret = store;
    return 0;
}

struct sb_store *sb_store_free(struct sb_store *store)
{
    if (!store)
        return NULL;
    if (store->gathering && !store->error && !store->spoiled)
        hand_over(store, SB_STEAL(store->gathering));
    store->ops->close(store->backend);
    sb_loop_off_turn_end(store->loop, end_turn, store);
    sb_batch_free(store->gathering);
    while (store->thens)
        free(take_then(store));
    sb_timer_free(store->turn_timer);
    sb_timer_free(store->probe_timer);
    sb_timer_free(store->leisure_timer);
    free(store->why);
    free(store);
    return NULL;
}
