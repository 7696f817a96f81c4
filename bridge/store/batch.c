/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/store/batch.h"

#include <errno.h>

SB_NAMES(sb_table, SB_TABLE_MAX_, [SB_TABLE_JOB] = "job", [SB_TABLE_TASK] = "task",
         [SB_TABLE_DEVICE] = "device", [SB_TABLE_PACKAGE] = "package", [SB_TABLE_PARCEL] = "parcel",
         [SB_TABLE_CONVO] = "convo", [SB_TABLE_META] = "meta", [SB_TABLE_AUDIT] = "audit");

bool sb_table_numbered(enum sb_table table)
{
    return table == SB_TABLE_JOB || table == SB_TABLE_TASK || table == SB_TABLE_PARCEL ||
           table == SB_TABLE_AUDIT;
}

struct sb_batch *sb_batch_new(void)
{
    return calloc(1, sizeof(struct sb_batch));
}

static void change_done(struct sb_change *change)
{
    free(change->name);
    free(change->a);
    free(change->b);
    free(change->body);
}

void sb_batch_free(struct sb_batch *batch)
{
    if (!batch)
        return;
    for (size_t i = 0; i < batch->count; i++)
        change_done(&batch->changes[i]);
    free(batch->changes);
    free(batch);
}

/* Room for one more, growing by doubling. */
static int make_room(struct sb_batch *batch)
{
    struct sb_change *grown;
    size_t n = batch->count;

    if (n != 0 && (n < 8 || (n & (n - 1)) != 0))
        return 0;
    grown = reallocarray(batch->changes, n < 8 ? 8 : 2 * n, sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    batch->changes = grown;
    return 0;
}

static bool key_fits(enum sb_table table, int64_t id, const char *name)
{
    if (table >= SB_TABLE_MAX_)
        return false;
    return sb_table_numbered(table) ? id > 0 && !name : id == 0 && name && *name;
}

static size_t text_size(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

/* Takes the change over, also on failure. */
static int append(struct sb_batch *batch, struct sb_change *change)
{
    int r = make_room(batch);

    if (r < 0) {
        change_done(change);
        return r;
    }
    batch->changes[batch->count++] = *change;
    batch->bytes += sizeof(*change) + text_size(change->name) + text_size(change->a) +
                    text_size(change->b) + text_size(change->body);
    return 0;
}

int sb_batch_put(struct sb_batch *batch, enum sb_table table, const struct sb_row *row)
{
    struct sb_change change = {
        .table = table, .id = row->id, .state = row->state, .time = row->time
    };

    if (!key_fits(table, row->id, row->name) || (!row->body && !row->text))
        return -EINVAL;
    change.body = row->text ? strdup(row->text) : sb_json_text(row->body);
    if (change.body && strlen(change.body) > SB_STORE_BODY_MAX) {
        free(change.body);
        return -E2BIG;
    }
    if (!change.body || sb_set_string(&change.name, row->name) < 0 ||
        sb_set_string(&change.a, row->a) < 0 || sb_set_string(&change.b, row->b) < 0) {
        change_done(&change);
        return -ENOMEM;
    }
    return append(batch, &change);
}

int sb_batch_remove(struct sb_batch *batch, enum sb_table table, int64_t id, const char *name)
{
    struct sb_change change = { .table = table, .remove = true, .id = id };

    if (!key_fits(table, id, name))
        return -EINVAL;
    if (sb_set_string(&change.name, name) < 0)
        return -ENOMEM;
    return append(batch, &change);
}

int sb_row_visit(const struct sb_row *row, const char *body, size_t n, sb_row_fn fn, void *arg)
{
    /* Wider than what is accepted from outside: a record wraps foreign text in its own layers. */
    static const struct sb_json_limits limits = { SB_STORE_BODY_MAX, 256, SB_STORE_BODY_MAX };
    sb_cleanup(json_decrefp) json_t *json = NULL;
    struct sb_row shown = *row;
    int r = sb_json_parse(body, n, &limits, &json, NULL);

    if (r < 0)
        return r == -ENOMEM ? r : -EUCLEAN;
    shown.body = json;
    return fn(arg, &shown);
}
