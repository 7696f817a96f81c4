/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/store_mem.h"

#include <errno.h>

#include "bridge/store/batch.h"

struct row { /* what a change of it would say; `remove` false */
    struct sb_change c;
};

struct table {
    struct row *rows; /* in key order */
    size_t count, room;
};

struct waiting {
    struct waiting *next;
    struct sb_batch *batch;
};

struct sb_store_mem {
    struct table tables[SB_TABLE_MAX_];
    uint64_t commits;

    struct sb_store *store; /* NULL: nobody to answer */
    struct sb_timer *timer;
    struct waiting *first, **end;
    bool cut;
    bool broken; /* since a failure, until a probe */
    int broken_error;

    int64_t delay;
    bool hold;
    unsigned fail, fail_reads;
    int error, read_error, nearly_full;
    sb_store_mem_fn fn;
    void *arg;
};

/* ---- content ---- */

static void row_done(struct row *row)
{
    free(row->c.name);
    free(row->c.a);
    free(row->c.b);
    free(row->c.body);
}

static int compare(const struct sb_change *c, int64_t id, const char *name)
{
    if (name)
        return strcmp(c->name, name);
    return (c->id > id) - (c->id < id);
}

/* Where the key is, or would be. */
static size_t find(const struct table *table, int64_t id, const char *name, bool *ret_there)
{
    size_t low = 0, high = table->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(&table->rows[middle].c, id, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_there = low < table->count && compare(&table->rows[low].c, id, name) == 0;
    return low;
}

static void *must(void *memory)
{
    if (!memory)
        abort(); /* a test: nothing to save */
    return memory;
}

static void put(struct table *table, struct sb_change *change)
{
    bool there;
    size_t at = find(table, change->id, change->name, &there);

    if (there) {
        row_done(&table->rows[at]);
    } else {
        if (table->count == table->room) {
            table->room = table->room ? 2 * table->room : 16;
            table->rows = must(reallocarray(table->rows, table->room, sizeof(*table->rows)));
        }
        memmove(&table->rows[at + 1], &table->rows[at], (table->count - at) * sizeof(*table->rows));
        table->count++;
    }
    table->rows[at].c = *change;
    change->name = change->a = change->b = change->body = NULL;
}

static void take_out(struct table *table, const struct sb_change *change)
{
    bool there;
    size_t at = find(table, change->id, change->name, &there);

    if (!there)
        return;
    row_done(&table->rows[at]);
    table->count--;
    memmove(&table->rows[at], &table->rows[at + 1], (table->count - at) * sizeof(*table->rows));
}

static void apply(struct sb_store_mem *disk, struct sb_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct sb_change *change = &batch->changes[i];
        if (change->remove)
            take_out(&disk->tables[change->table], change);
        else
            put(&disk->tables[change->table], change);
    }
}

/* ---- reading ---- */

static bool wanted(const struct sb_query *query, const struct sb_change *c)
{
    bool numbered = sb_table_numbered(query->table);

    if (numbered && query->id && c->id != query->id)
        return false;
    if (!numbered && query->name && strcmp(c->name, query->name) != 0)
        return false;
    if ((query->a && !sb_streq(query->a, c->a)) || (query->b && !sb_streq(query->b, c->b)))
        return false;
    if (query->state >= 0 && c->state != query->state)
        return false;
    if (query->state_mask &&
        (c->state < 0 || c->state > 63 || !(query->state_mask >> c->state & 1)))
        return false;
    if (!numbered || !query->after_id)
        return true;
    return query->newest_first ? c->id < query->after_id : c->id > query->after_id;
}

static int newest(const void *a, const void *b)
{
    const struct sb_change *x = &(*(const struct row *const *)a)->c;
    const struct sb_change *y = &(*(const struct row *const *)b)->c;

    if (x->name && x->time != y->time)
        return x->time < y->time ? 1 : -1;
    return compare(y, x->id, x->name);
}

static int show(const struct row *row, sb_row_fn fn, void *arg)
{
    const struct sb_change *c = &row->c;
    struct sb_row shown = {
        .id = c->id, .name = c->name, .a = c->a, .b = c->b, .state = c->state, .time = c->time
    };

    return sb_row_visit(&shown, c->body, strlen(c->body), fn, arg);
}

static int mem_query(void *backend, const struct sb_query *query, sb_row_fn fn, void *arg)
{
    struct sb_store_mem *disk = backend;
    const struct table *table = &disk->tables[query->table];
    sb_cleanup(sb_freep) struct row **found = calloc(table->count + 1, sizeof(struct row *));
    size_t n = 0;
    int r = 0;

    if (!found)
        return -ENOMEM;
    if (disk->fail_reads > 0) {
        disk->fail_reads--;
        return disk->read_error;
    }
    for (size_t i = 0; i < table->count; i++)
        if (wanted(query, &table->rows[i].c))
            found[n++] = &table->rows[i];
    if (query->newest_first)
        qsort(found, n, sizeof(struct row *), newest);
    if (query->limit && n > query->limit)
        n = query->limit;
    for (size_t i = 0; i < n && r == 0; i++)
        r = show(found[i], fn, arg);
    return r;
}

static int mem_count(void *backend, const struct sb_query *query, int64_t *ret)
{
    const struct table *table = &((struct sb_store_mem *)backend)->tables[query->table];

    *ret = 0;
    for (size_t i = 0; i < table->count; i++)
        *ret += wanted(query, &table->rows[i].c);
    return 0;
}

/* Of the bodies alone; room is not left behind. */
static int mem_measure(void *backend, struct sb_store_size *ret)
{
    const struct sb_store_mem *disk = backend;

    *ret = (struct sb_store_size){ 0 };
    for (size_t t = 0; t < SB_TABLE_MAX_; t++)
        for (size_t i = 0; i < disk->tables[t].count; i++)
            ret->used += (int64_t)strlen(disk->tables[t].rows[i].c.body);
    ret->file = ret->used;
    return 0;
}

/* ---- commits ---- */

static int outcome(struct sb_store_mem *disk, const struct sb_batch *batch)
{
    if (batch->probe)
        disk->broken = false;
    if (disk->broken)
        return disk->broken_error;
    if (disk->fail == 0 && (!disk->nearly_full || batch->probe))
        return 0;
    disk->fail -= disk->fail > 0;
    disk->broken = true;
    return disk->broken_error = disk->nearly_full ? disk->nearly_full : disk->error;
}

static void tell(struct sb_store_mem *disk, uint64_t number, bool durable)
{
    if (disk->fn)
        disk->fn(disk->arg, number, durable);
}

static void commit_one(struct sb_store_mem *disk, struct sb_batch *batch)
{
    uint64_t number = batch->number;
    int error = outcome(disk, batch);

    if (error == 0) {
        tell(disk, disk->commits + 1, false);
        if (!disk->cut) {
            apply(disk, batch);
            tell(disk, ++disk->commits, true);
        }
    }
    sb_batch_free(batch);
    if (!disk->cut && disk->store)
        sb_store_committed(disk->store, number, error);
}

static struct sb_batch *take_waiting(struct sb_store_mem *disk)
{
    struct waiting *waiting = disk->first;
    struct sb_batch *batch = waiting->batch;

    disk->first = waiting->next;
    if (!disk->first)
        disk->end = &disk->first;
    free(waiting);
    return batch;
}

unsigned sb_store_mem_commit(struct sb_store_mem *disk)
{
    unsigned n = 0;

    for (; disk->first && !disk->cut; n++)
        commit_one(disk, take_waiting(disk));
    return n;
}

static void on_timer(void *arg)
{
    struct sb_store_mem *disk = arg;

    if (!disk->hold)
        (void)sb_store_mem_commit(disk);
}

static void mem_commit(void *backend, struct sb_batch *batch)
{
    struct sb_store_mem *disk = backend;
    struct waiting *waiting = must(calloc(1, sizeof(*waiting)));

    waiting->batch = batch;
    *disk->end = waiting;
    disk->end = &waiting->next;
    if (disk->timer && !sb_timer_armed(disk->timer))
        sb_timer_in(disk->timer, disk->delay);
}

/* ---- life ---- */

static void mem_attach(void *backend, struct sb_store *store)
{
    ((struct sb_store_mem *)backend)->store = store;
}

static void drop_waiting(struct sb_store_mem *disk)
{
    while (disk->first)
        sb_batch_free(take_waiting(disk));
}

static void mem_close(void *backend)
{
    struct sb_store_mem *disk = backend;

    disk->store = NULL;
    (void)sb_store_mem_commit(disk);
    drop_waiting(disk);
    disk->timer = sb_timer_free(disk->timer);
}

const struct sb_backend_ops sb_store_mem_ops = {
    .commit = mem_commit,
    .query = mem_query,
    .count = mem_count,
    .measure = mem_measure,
    .attach = mem_attach,
    .close = mem_close,
};

int sb_store_mem_new(struct sb_store_mem **ret)
{
    struct sb_store_mem *disk = calloc(1, sizeof(*disk));

    if (!disk)
        return -ENOMEM;
    disk->end = &disk->first;
    *ret = disk;
    return 0;
}

struct sb_store_mem *sb_store_mem_free(struct sb_store_mem *disk)
{
    if (!disk)
        return NULL;
    drop_waiting(disk);
    for (size_t t = 0; t < SB_TABLE_MAX_; t++) {
        for (size_t i = 0; i < disk->tables[t].count; i++)
            row_done(&disk->tables[t].rows[i]);
        free(disk->tables[t].rows);
    }
    free(disk);
    return NULL;
}

int sb_store_mem_use(struct sb_store_mem *disk, struct sb_loop *loop)
{
    int r = sb_timer_new(loop, on_timer, disk, &disk->timer);

    if (r < 0)
        return r;
    disk->cut = disk->broken = false;
    return 0;
}

int sb_store_mem_start(struct sb_store_mem *disk, struct sb_loop *loop, struct sb_store **ret)
{
    int r = sb_store_mem_use(disk, loop);

    return r < 0 ? r : sb_store_new(loop, &sb_store_mem_ops, disk, ret);
}

void sb_store_mem_cut(struct sb_store_mem *disk)
{
    disk->cut = true;
}

void sb_store_mem_delay(struct sb_store_mem *disk, int64_t ms)
{
    disk->delay = ms;
}

void sb_store_mem_hold(struct sb_store_mem *disk, bool hold)
{
    disk->hold = hold;
    if (!hold && disk->first && disk->timer)
        sb_timer_in(disk->timer, 0);
}

void sb_store_mem_fail_next(struct sb_store_mem *disk, unsigned n, int error)
{
    disk->fail = n;
    disk->error = error;
}

void sb_store_mem_probes_alone(struct sb_store_mem *disk, int error)
{
    disk->nearly_full = error;
}

void sb_store_mem_fail_reads(struct sb_store_mem *disk, unsigned n, int error)
{
    disk->fail_reads = n;
    disk->read_error = error;
}

void sb_store_mem_on_commit(struct sb_store_mem *disk, sb_store_mem_fn fn, void *arg)
{
    disk->fn = fn;
    disk->arg = arg;
}

uint64_t sb_store_mem_commits(const struct sb_store_mem *disk)
{
    return disk->commits;
}

size_t sb_store_mem_rows(const struct sb_store_mem *disk, enum sb_table table)
{
    return disk->tables[table].count;
}
