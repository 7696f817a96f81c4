/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/store/numbers.h"

#include <errno.h>

#include "bridge/base/str.h"

static const int64_t ahead[SB_TABLE_MAX_] = { [SB_TABLE_PARCEL] = 1000 };

static bool has_mark(enum sb_table table)
{
    return sb_table_numbered(table) && table != SB_TABLE_AUDIT;
}

static int see_highest(void *arg, const struct sb_row *row)
{
    *(int64_t *)arg = row->id;
    return 0;
}

static int see_mark(void *arg, const struct sb_row *row)
{
    *(int64_t *)arg = sb_json_int(row->body, "next", 0);
    return 0;
}

static char *mark_name(enum sb_table table)
{
    return sb_format("next/%s", sb_table_name((int)table));
}

static int load_table(struct sb_numbers *numbers, struct sb_store *store, enum sb_table table)
{
    sb_cleanup(sb_freep) char *name = mark_name(table);
    struct sb_query last = { .table = table, .state = -1, .newest_first = true, .limit = 1 };
    struct sb_query mark = { .table = SB_TABLE_META, .name = name, .state = -1 };
    int64_t highest = 0;
    int r;

    if (!name)
        return -ENOMEM;
    r = sb_store_query(store, &last, see_highest, &highest);
    if (r == 0)
        r = sb_store_query(store, &mark, see_mark, &numbers->mark[table]);
    if (r < 0)
        return r;
    numbers->next[table] = SB_MAX(highest + 1, numbers->mark[table]);
    return 0;
}

int sb_numbers_load(struct sb_numbers *numbers, struct sb_store *store)
{
    int r = 0;

    for (int table = 0; table < SB_TABLE_MAX_ && r == 0; table++)
        if (has_mark((enum sb_table)table))
            r = load_table(numbers, store, (enum sb_table)table);
    return r;
}

int64_t sb_numbers_take(struct sb_numbers *numbers, enum sb_table table)
{
    return numbers->next[table]++;
}

void sb_numbers_used(struct sb_numbers *numbers, enum sb_table table, int64_t id)
{
    numbers->next[table] = SB_MAX(numbers->next[table], id + 1);
}

int sb_numbers_keep(struct sb_numbers *numbers, enum sb_table table, int64_t id,
                    struct sb_batch *batch)
{
    sb_cleanup(json_decrefp) json_t *body = NULL;
    sb_cleanup(sb_freep) char *name = NULL;
    int64_t mark = numbers->next[table] + ahead[table];
    int r;

    if (!has_mark(table) || id < numbers->mark[table])
        return 0;
    name = mark_name(table);
    body = json_pack("{s:I}", "next", (json_int_t)mark);
    if (!name || !body)
        return -ENOMEM;
    r = sb_batch_put(batch, SB_TABLE_META, &(struct sb_row){ .name = name, .body = body });
    if (r == 0)
        numbers->mark[table] = mark;
    return r;
}

void sb_numbers_lost(struct sb_numbers *numbers)
{
    memset(numbers->mark, 0, sizeof(numbers->mark));
}
