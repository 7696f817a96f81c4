/* SPDX-License-Identifier: Apache-2.0 */
/* Queries: one SELECT, made of the conditions that are asked for so that an index can serve it. */
#include "bridge/store/read.h"

#include <errno.h>

#include "bridge/base/str.h"
#include "bridge/store/batch.h"

static void add_states(struct sb_str *sql, uint64_t mask)
{
    const char *separator = " AND state IN (";

    for (int state = 0; state < 64; state++)
        if (mask >> state & 1) {
            sb_str_format(sql, "%s%d", separator, state);
            separator = ",";
        }
    sb_str_add(sql, ")");
}

/* Every value is a parameter; of foreign text nothing enters the SQL. */
static void add_conditions(struct sb_str *sql, const struct sb_query *query)
{
    bool numbered = sb_table_numbered(query->table);

    sb_str_format(sql, " FROM %s WHERE true", sb_table_name((int)query->table));
    if (numbered && query->id)
        sb_str_add(sql, " AND id = :id");
    if (!numbered && query->name)
        sb_str_add(sql, " AND name = :name");
    if (query->a)
        sb_str_add(sql, " AND a = :a");
    if (query->b)
        sb_str_add(sql, " AND b = :b");
    if (query->state >= 0)
        sb_str_add(sql, " AND state = :state");
    if (query->state_mask)
        add_states(sql, query->state_mask);
    if (numbered && query->after_id)
        sb_str_format(sql, " AND id %s :after", query->newest_first ? "<" : ">");
}

static void make_select(struct sb_str *sql, const struct sb_query *query)
{
    bool numbered = sb_table_numbered(query->table);
    const char *key = numbered ? "id" : "name";
    const char *down = query->newest_first ? " DESC" : "";

    sb_str_format(sql, "SELECT %s, a, b, state, time, body", key);
    add_conditions(sql, query);
    if (!numbered && query->newest_first)
        sb_str_add(sql, " ORDER BY time DESC, name DESC");
    else
        sb_str_format(sql, " ORDER BY %s%s", key, down);
    if (query->limit)
        sb_str_add(sql, " LIMIT :limit");
}

static int bind_text(sqlite3_stmt *statement, const char *parameter, const char *text)
{
    int index = sqlite3_bind_parameter_index(statement, parameter);

    return index ? sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC) : SQLITE_OK;
}

static int bind_number(sqlite3_stmt *statement, const char *parameter, int64_t number)
{
    int index = sqlite3_bind_parameter_index(statement, parameter);

    return index ? sqlite3_bind_int64(statement, index, number) : SQLITE_OK;
}

/* A parameter that the text does not have is passed over. */
static int bind_all(sqlite3_stmt *statement, const struct sb_query *query)
{
    int64_t limit = query->limit > INT64_MAX ? INT64_MAX : (int64_t)query->limit;
    const struct {
        const char *parameter;
        int64_t number;
    } numbers[] = {
        { ":id", query->id },
        { ":state", query->state },
        { ":after", query->after_id },
        { ":limit", limit },
    };
    int rc = bind_text(statement, ":name", query->name);

    if (rc == SQLITE_OK)
        rc = bind_text(statement, ":a", query->a);
    if (rc == SQLITE_OK)
        rc = bind_text(statement, ":b", query->b);
    for (size_t i = 0; i < SB_COUNT(numbers) && rc == SQLITE_OK; i++)
        rc = bind_number(statement, numbers[i].parameter, numbers[i].number);
    return rc;
}

static const char *column_text(sqlite3_stmt *statement, int column)
{
    return (const char *)sqlite3_column_text(statement, column);
}

static int show(sqlite3_stmt *statement, bool numbered, sb_row_fn fn, void *arg)
{
    struct sb_row row = {
        .id = numbered ? sqlite3_column_int64(statement, 0) : 0,
        .name = numbered ? NULL : column_text(statement, 0),
        .a = column_text(statement, 1),
        .b = column_text(statement, 2),
        .state = sqlite3_column_int(statement, 3),
        .time = sqlite3_column_int64(statement, 4),
    };
    const char *body = column_text(statement, 5);

    if (!body)
        return -ENOMEM; /* the column is never NULL */
    return sb_row_visit(&row, body, (size_t)sqlite3_column_bytes(statement, 5), fn, arg);
}

static int prepare(sqlite3 *db, const struct sb_str *sql, const struct sb_query *query,
                   sqlite3_stmt **ret)
{
    if (sql->broken)
        return -ENOMEM;
    int rc = sqlite3_prepare_v2(db, sql->text, -1, ret, NULL);
    if (rc == SQLITE_OK && query)
        rc = bind_all(*ret, query);
    return sb_sql_errno(db, rc);
}

/* The one number that a statement gives. */
static int read_number(sqlite3 *db, const struct sb_str *sql, const struct sb_query *query,
                       int64_t *ret)
{
    sb_cleanup(sqlite3_finalizep) sqlite3_stmt *statement = NULL;
    int r = prepare(db, sql, query, &statement);
    int rc = r == 0 ? sqlite3_step(statement) : SQLITE_OK;

    if (r < 0 || rc != SQLITE_ROW)
        return r < 0 ? r : rc == SQLITE_DONE ? -EUCLEAN : sb_sql_errno(db, rc);
    *ret = sqlite3_column_int64(statement, 0);
    return 0;
}

int sb_sql_count(sqlite3 *db, const struct sb_query *query, int64_t *ret)
{
    sb_cleanup(sb_str_done) struct sb_str sql = { 0 };

    sb_str_add(&sql, "SELECT count(*)");
    add_conditions(&sql, query);
    return read_number(db, &sql, query, ret);
}

int sb_sql_measure(sqlite3 *db, struct sb_store_size *ret)
{
    static const char *const names[] = { "page_size", "page_count", "freelist_count" };
    int64_t numbers[SB_COUNT(names)] = { 0 };

    for (size_t i = 0; i < SB_COUNT(names); i++) {
        sb_cleanup(sb_str_done) struct sb_str sql = { 0 };
        sb_str_format(&sql, "PRAGMA %s", names[i]);
        int r = read_number(db, &sql, NULL, &numbers[i]);
        if (r < 0)
            return r;
    }
    *ret = (struct sb_store_size){ .used = numbers[0] * (numbers[1] - numbers[2]),
                                   .file = numbers[0] * numbers[1] };
    return 0;
}

int sb_sql_query(sqlite3 *db, const struct sb_query *query, sb_row_fn fn, void *arg)
{
    sb_cleanup(sb_str_done) struct sb_str sql = { 0 };
    sb_cleanup(sqlite3_finalizep) sqlite3_stmt *statement = NULL;
    int rc = SQLITE_DONE, r;

    make_select(&sql, query);
    r = prepare(db, &sql, query, &statement);
    if (r < 0)
        return r;
    while (r == 0 && (rc = sqlite3_step(statement)) == SQLITE_ROW)
        r = show(statement, sb_table_numbered(query->table), fn, arg);
    return r ? r : sb_sql_errno(db, rc);
}
