/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An outbox with its store on a simulated loop, a door that writes down what it is given, and the
 * words in which outbox_test.c and outbox_store_test.c speak of it.
 */
#pragma once

#include <errno.h>

#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "bridge/outbox/outbox.h"
#include "tests/fakes/loop_sim.h"
#include "tests/fakes/store_mem.h"
#include "tests/test.h"

#define LINK "factory"

/* ---- a door that writes down what it is given ---- */

struct world {
    struct sb_store_mem *disk;
    struct sb_loop *loop;
    struct sb_store *store;
    struct sb_audit *audit;
    struct sb_outbox *outbox;
    struct sb_outbox_limits limits;
    bool rebuild;       /* memory is to be made anew at the end of this turn */
    bool up;            /* the link was resumed last */
    struct sb_str sent; /* "payload " for each */
    int64_t last;       /* number of the last one */
    unsigned sends;     /* of the last one, before this time */
    int answer;         /* what the door returns */
    void (*inside)(struct world *w, const struct sb_parcel *parcel);
};

static SB_UNUSED int door_send(void *arg, const struct sb_parcel *parcel)
{
    struct world *w = arg;

    assert_string_equal(parcel->link, LINK);
    sb_str_add_bytes(&w->sent, parcel->payload, parcel->size);
    sb_str_add_char(&w->sent, ' ');
    w->last = parcel->id;
    w->sends = parcel->sends;
    if (w->inside)
        w->inside(w, parcel);
    return w->answer;
}

static SB_UNUSED void on_failure(void *arg, int error)
{
    struct world *w = arg;

    (void)error;
    w->rebuild = true;
}

static SB_UNUSED void on_recovery(void *arg)
{
    struct world *w = arg;

    w->rebuild = true;
}

/* As the core does it: memory is made anew, the link comes back if it was up. */
static SB_UNUSED void on_turn(void *arg)
{
    struct world *w = arg;
    size_t count;

    if (!w->rebuild)
        return;
    w->rebuild = false;
    sb_store_renew(w->store);
    sb_cleanup(sb_freep) int64_t *settled = sb_outbox_settled(w->outbox, &count);
    sb_outbox_free(w->outbox);
    sb_audit_free(w->audit);
    assert_int_equal(sb_audit_new(w->store, &w->audit), 0);
    assert_int_equal(sb_outbox_new(w->loop, w->store, w->audit, &w->limits, &w->outbox), 0);
    sb_outbox_settle_all(w->outbox, settled, count);
    assert_int_equal(sb_outbox_open(w->outbox, LINK, door_send, w), 0);
    if (w->up)
        sb_outbox_resume(w->outbox, LINK, NULL);
}

static SB_UNUSED void power_on(struct world *w)
{
    assert_int_equal(sb_loop_new(&w->loop), 0);
    assert_int_equal(sb_loop_on_turn_end(w->loop, on_turn, w), 0);
    assert_int_equal(sb_store_mem_start(w->disk, w->loop, &w->store), 0);
    sb_store_on_failure(w->store, on_failure, w);
    sb_store_on_recovery(w->store, on_recovery, w);
    assert_int_equal(sb_audit_new(w->store, &w->audit), 0);
    assert_int_equal(sb_outbox_new(w->loop, w->store, w->audit, &w->limits, &w->outbox), 0);
    assert_int_equal(sb_outbox_open(w->outbox, LINK, door_send, w), 0);
}

static SB_UNUSED void power_off(struct world *w)
{
    w->up = w->rebuild = false;
    w->outbox = sb_outbox_free(w->outbox);
    w->audit = sb_audit_free(w->audit);
    w->store = sb_store_free(w->store);
    w->loop = sb_loop_free(w->loop);
}

static SB_UNUSED void restart(struct world *w, bool cut)
{
    if (cut)
        sb_store_mem_cut(w->disk);
    power_off(w);
    power_on(w);
}

static SB_UNUSED int set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    w->limits = (struct sb_outbox_limits){
        .count = 8, .bytes = 1000, .answer_age = SB_HOUR, .final_age = 30 * SB_DAY, .window = 2
    };
    assert_int_equal(sb_store_mem_new(&w->disk), 0);
    power_on(w);
    *state = w;
    return 0;
}

static SB_UNUSED int tear_down(void **state)
{
    struct world *w = *state;

    power_off(w);
    sb_store_mem_free(w->disk);
    sb_str_done(&w->sent);
    free(w);
    return 0;
}

/* ---- in the tests' words ---- */

static SB_UNUSED struct sb_parcel a_parcel(struct world *w, enum sb_parcel_class class,
                                           const char *text)
{
    return (struct sb_parcel){ .link = LINK,
                               .class = class,
                               .topic = "t",
                               .payload = text,
                               .size = strlen(text),
                               .created = sb_loop_wall(w->loop) };
}

static SB_UNUSED int try_put(struct world *w, enum sb_parcel_class class, const char *text,
                             int64_t *ret_id)
{
    struct sb_parcel parcel = a_parcel(w, class, text);

    return sb_outbox_put(w->outbox, &parcel, ret_id);
}

static SB_UNUSED int64_t put(struct world *w, enum sb_parcel_class class, const char *text)
{
    int64_t id = 0;

    assert_int_equal(try_put(w, class, text, &id), 0);
    assert_true(id > 0);
    return id;
}

static SB_UNUSED int64_t put_keyed(struct world *w, enum sb_parcel_class class, const char *key,
                                   const char *text)
{
    struct sb_parcel parcel = a_parcel(w, class, text);
    int64_t id = 0;

    parcel.key = key;
    assert_int_equal(sb_outbox_put(w->outbox, &parcel, &id), 0);
    return id;
}

static SB_UNUSED void turn(struct world *w)
{
    sb_sim_advance(w->loop, 0);
}

static SB_UNUSED void resume(struct world *w)
{
    w->up = true;
    sb_outbox_resume(w->outbox, LINK, NULL);
    turn(w);
}

/* What was settled is forgotten at leisure. */
static SB_UNUSED void at_leisure(struct world *w)
{
    sb_sim_advance(w->loop, 200);
}

static SB_UNUSED void settle(struct world *w, int64_t id)
{
    sb_outbox_settle(w->outbox, LINK, id);
    at_leisure(w);
}

static SB_UNUSED void expect_sent(struct world *w, const char *texts)
{
    turn(w);
    assert_string_equal(sb_str_get(&w->sent), texts);
    sb_str_done(&w->sent);
}

static SB_UNUSED void resume_sends(struct world *w, const char *texts)
{
    resume(w);
    expect_sent(w, texts);
}

static SB_UNUSED struct sb_outbox_stats stats(struct world *w)
{
    struct sb_outbox_stats stats;

    sb_outbox_stats(w->outbox, LINK, &stats);
    return stats;
}

static SB_UNUSED size_t stored(struct world *w)
{
    turn(w);
    return sb_store_mem_rows(w->disk, SB_TABLE_PARCEL);
}

static SB_UNUSED int add_audit(void *arg, const struct sb_row *row)
{
    const json_t *detail = sb_json_object(row->body, "detail");
    const char *what = sb_json_str(detail, "what");

    sb_str_format(arg, "%s %s %s;", sb_json_str(row->body, "subject"),
                  sb_json_str(row->body, "verb"), what ? what : "-");
    return 0;
}

static SB_UNUSED void expect_audit(struct world *w, const char *text)
{
    const struct sb_query all = { .table = SB_TABLE_AUDIT, .state = -1 };
    sb_cleanup(sb_str_done) struct sb_str found = { 0 };

    turn(w);
    assert_int_equal(sb_store_query(w->store, &all, add_audit, &found), 0);
    assert_string_equal(sb_str_get(&found), text);
}
