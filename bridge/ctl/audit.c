/* SPDX-License-Identifier: Apache-2.0 */
/* The audit trail: the last records, from a record on, as they come, or checked as a chain. */
#include <errno.h>

#include "bridge/audit_check.h"
#include "bridge/ctl/client.h"
#include "bridge/ctl/show.h"
#include "bridge/ctl/signals.h"

#define PAGE         200 /* records asked for at a time; one may have 16 KiB */
#define LAST_DEFAULT 50
#define FOLLOW_EVERY 1000 /* ms */
#define BEGIN_AGAIN  8    /* times, when the trail is trimmed while it is read */

struct trail {
    struct sb_ctl *ctl;
    const struct sb_order *order;
    struct sb_client *client;
    int64_t after; /* id of the last record seen */
};

/* ---- asking ---- */

static enum sb_exit ask(struct trail *trail, int64_t after, int64_t limit, bool newest,
                        json_t **ret)
{
    sb_cleanup(json_decrefp) json_t *args = json_copy(trail->order->args);
    if (!args || sb_json_put_int(args, "after", after) < 0 ||
        sb_json_put_int(args, "limit", limit) < 0 ||
        (newest && json_object_set_new(args, "newest", json_true()) < 0))
        return sb_ctl_lost(trail->ctl, -ENOMEM);
    enum sb_exit code = sb_ctl_ask_on(trail->ctl, trail->client, "audit", args, ret);
    if (code != SB_EXIT_DONE || json_is_array(*ret))
        return code;
    json_decref(SB_STEAL(*ret));
    return sb_ctl_lost(trail->ctl, -EBADMSG);
}

/* The last `limit` records, oldest first. */
static enum sb_exit ask_last(struct trail *trail, int64_t limit, json_t **ret)
{
    sb_cleanup(json_decrefp) json_t *all = json_array(); /* newest first */
    int64_t before = 0;
    enum sb_exit code = SB_EXIT_DONE;
    size_t got = PAGE;
    while (code == SB_EXIT_DONE && limit > 0 && got == PAGE) {
        sb_cleanup(json_decrefp) json_t *page = NULL;
        code = ask(trail, before, SB_MIN(limit, PAGE), true, &page);
        got = json_array_size(page);
        limit -= (int64_t)got;
        int64_t oldest = sb_json_int(json_array_get(page, got ? got - 1 : 0), "id", 0);
        if (code == SB_EXIT_DONE && json_array_extend(all, page) < 0)
            return sb_ctl_lost(trail->ctl, -ENOMEM);
        if (got == PAGE && before > 0 && oldest >= before)
            return sb_ctl_lost(trail->ctl, -EBADMSG); /* it would never end */
        before = oldest;
    }
    json_t *turned = json_array();
    for (size_t i = json_array_size(all); i-- > 0;)
        (void)json_array_append(turned, json_array_get(all, i));
    *ret = turned;
    return code;
}

/* ---- showing ---- */

/* With the first page come the titles. */
static void show(struct trail *trail, const json_t *records)
{
    static const struct sb_grid_column columns[] = {
        { "ID", true, 0 },    { "TIME", false, 0 },     { "ACTOR", false, 8 },
        { "VERB", false, 0 }, { "SUBJECT", false, 10 }, { "DETAIL", false, 16 },
    };
    struct sb_grid *grid = sb_grid_new(columns, SB_COUNT(columns));
    size_t i;
    json_t *record;
    json_array_foreach ((json_t *)records, i, record) {
        const json_t *detail = json_object_get(record, "detail");
        sb_cleanup(sb_freep) char *text = detail ? sb_pairs(detail) : NULL;
        sb_grid_number(grid, sb_json_int(record, "id", 0));
        sb_grid_take(grid, SB_INK_PLAIN, sb_text_time(sb_json_int(record, "time", 0)));
        sb_grid_add(grid, SB_INK_PLAIN, sb_json_str(record, "actor"));
        sb_grid_add(grid, SB_INK_BOLD, sb_json_str(record, "verb"));
        sb_grid_add(grid, SB_INK_PLAIN, sb_json_str(record, "subject"));
        sb_grid_add(grid, SB_INK_DIM, text);
    }
    sb_show_list(trail->ctl, grid, "no records");
}

/* What comes while following: one line per record. */
static void show_more(struct trail *trail, const json_t *record)
{
    const json_t *detail = json_object_get(record, "detail");
    sb_cleanup(sb_freep) char *text = detail ? sb_pairs(detail) : NULL;
    sb_cleanup(sb_freep) char *time = sb_text_time(sb_json_int(record, "time", 0));
    sb_show_line(trail->ctl, "%lld  %s  %s  %s  %s  %s", (long long)sb_json_int(record, "id", 0),
                 sb_or(time, "-"), sb_or(sb_json_str(record, "actor"), "-"),
                 sb_or(sb_json_str(record, "verb"), "-"),
                 sb_or(sb_json_str(record, "subject"), "-"), sb_or(text, ""));
    (void)fflush(trail->ctl->out);
}

static int64_t last_id(const json_t *records, int64_t otherwise)
{
    size_t n = json_array_size(records);
    return n ? sb_json_int(json_array_get(records, n - 1), "id", otherwise) : otherwise;
}

/* ---- following ---- */

static enum sb_exit show_news(struct trail *trail, size_t *ret_count)
{
    sb_cleanup(json_decrefp) json_t *page = NULL;
    size_t i;
    json_t *record;
    enum sb_exit code = ask(trail, trail->after, PAGE, false, &page);
    json_array_foreach (page, i, record) {
        if (trail->ctl->json)
            sb_ctl_print_json(trail->ctl, record);
        else
            show_more(trail, record);
    }
    *ret_count = json_array_size(page);
    if (*ret_count > 0 && last_id(page, 0) <= trail->after)
        return sb_ctl_lost(trail->ctl, -EBADMSG);
    trail->after = last_id(page, trail->after);
    return code;
}

static enum sb_exit follow(struct trail *trail)
{
    enum sb_exit code = SB_EXIT_DONE;
    struct sb_signals signals;
    sb_signals_catch(&signals);
    trail->ctl->waiting = &signals.waiting;
    while (code == SB_EXIT_DONE && !sb_signals_wait(&signals, FOLLOW_EVERY)) {
        size_t count = PAGE;
        while (code == SB_EXIT_DONE && count == PAGE && !sb_signals_came())
            code = show_news(trail, &count);
    }
    trail->ctl->waiting = NULL;
    sb_signals_release(&signals);
    return code == SB_EXIT_DONE ? SB_EXIT_INTERRUPTED : code;
}

/* ---- checking ---- */

struct finding {
    struct sb_audit_check check;
    int64_t records, first, broken; /* broken: the id that record claims */
    bool breaks;
    bool gap;      /* it breaks between two pages */
    bool headless; /* nothing vouches for the first one */
};

/* 0, -EBADMSG at the break, -ENOMEM. */
static int check_page(struct finding *finding, const json_t *page)
{
    size_t i;
    json_t *record;
    json_array_foreach ((json_t *)page, i, record) {
        int64_t id = sb_json_int(record, "id", 0);
        if (finding->records == 0)
            finding->first = id;
        int64_t wanted = finding->check.expected_id;
        int r = sb_audit_verify(&finding->check, record);
        if (r < 0) {
            finding->broken = id;
            finding->breaks = true;
            finding->gap = i == 0 && wanted > 0 && id > wanted;
            return r;
        }
        finding->records++;
    }
    return 0;
}

/* Oldest records may be gone only by a trim that says so. */
static void check_begin(struct finding *finding)
{
    if (finding->breaks || sb_audit_whole(&finding->check))
        return;
    finding->breaks = finding->headless = true;
    finding->broken = finding->first;
}

static enum sb_exit tell(struct trail *trail, const struct finding *found)
{
    struct sb_ctl *ctl = trail->ctl;
    bool whole = !found->breaks;
    long long last = (long long)found->check.expected_id - 1;
    if (ctl->json) {
        sb_cleanup(json_decrefp) json_t *value =
            json_pack("{s:b,s:I,s:I,s:I,s:s}", "whole", (int)whole, "records",
                      (json_int_t)found->records, "first", (json_int_t)found->first, "last",
                      (json_int_t)(found->records ? last : 0), "hash", found->check.previous);
        if (!whole)
            (void)json_object_set_new(value, "broken", json_integer(found->broken));
        sb_ctl_print_json(ctl, value);
    } else if (found->headless) {
        sb_show_line(ctl,
                     "the chain breaks at record %lld, with which it begins: those before it were "
                     "removed, and no record says that retention did it",
                     (long long)found->broken);
    } else if (!whole) {
        sb_show_line(ctl,
                     "the chain breaks at record %lld: it, or one before it, was changed or "
                     "removed (%lld records before it are sound)",
                     (long long)found->broken, (long long)found->records);
    } else if (found->records == 0) {
        sb_show_line(ctl, "there are no records");
    } else {
        sb_show_line(ctl, "%lld records, %lld to %lld: the chain is whole; its end is %s",
                     (long long)found->records, (long long)found->first, last,
                     found->check.previous);
    }
    return whole ? SB_EXIT_DONE : SB_EXIT_FAILED;
}

static enum sb_exit verify_once(struct trail *trail, struct finding *ret)
{
    int64_t after = trail->after;
    enum sb_exit code = SB_EXIT_DONE;
    size_t got = PAGE;
    int r = 0;
    *ret = (struct finding){ 0 };
    while (code == SB_EXIT_DONE && r == 0 && got == PAGE) {
        sb_cleanup(json_decrefp) json_t *page = NULL;
        code = ask(trail, after, PAGE, false, &page);
        got = json_array_size(page);
        after = last_id(page, after);
        r = check_page(ret, page);
    }
    check_begin(ret);
    return r == -ENOMEM ? sb_ctl_lost(trail->ctl, r) : code;
}

/* Retention may take records between two pages: what is left then has another beginning. */
static enum sb_exit verify(struct trail *trail)
{
    struct finding finding = { .gap = true };
    enum sb_exit code = SB_EXIT_DONE;
    for (int i = 0; code == SB_EXIT_DONE && finding.gap && i < BEGIN_AGAIN; i++)
        code = verify_once(trail, &finding);
    return code == SB_EXIT_DONE ? tell(trail, &finding) : code;
}

/* ---- the command ---- */

/* From --since on: all of them in pages, up to --limit. */
static enum sb_exit ask_since(struct trail *trail, int64_t limit, json_t **ret)
{
    sb_cleanup(json_decrefp) json_t *all = json_array();
    enum sb_exit code = SB_EXIT_DONE;
    size_t got = PAGE;
    int64_t after = trail->after;
    while (code == SB_EXIT_DONE && limit > 0 && got == PAGE) {
        sb_cleanup(json_decrefp) json_t *page = NULL;
        code = ask(trail, after, SB_MIN(limit, PAGE), false, &page);
        got = json_array_size(page);
        limit -= (int64_t)got;
        if (code == SB_EXIT_DONE && json_array_extend(all, page) < 0)
            return sb_ctl_lost(trail->ctl, -ENOMEM);
        if (got == PAGE && last_id(page, after) <= after)
            return sb_ctl_lost(trail->ctl, -EBADMSG);
        after = last_id(page, after);
    }
    *ret = SB_STEAL(all);
    return code;
}

enum sb_exit sb_run_audit(struct sb_ctl *ctl, struct sb_order *order)
{
    sb_cleanup(sb_client_freep) struct sb_client *client = NULL;
    sb_cleanup(json_decrefp) json_t *records = NULL;
    struct trail trail = { .ctl = ctl, .order = order };
    bool since = sb_order_has(order, "since");
    int64_t limit = sb_json_int(order->local, "limit", since ? INT64_MAX : LAST_DEFAULT);
    enum sb_exit code = sb_ctl_open(ctl, &client);
    trail.client = client;
    trail.after = sb_json_int(order->local, "since", 0);
    if (code != SB_EXIT_DONE)
        return code;
    if (sb_order_has(order, "verify"))
        return verify(&trail);
    code = since ? ask_since(&trail, limit, &records) : ask_last(&trail, limit, &records);
    if (code != SB_EXIT_DONE)
        return code;
    bool following = sb_order_has(order, "follow");
    size_t i;
    json_t *record;
    if (!ctl->json)
        show(&trail, records);
    else if (!following)
        sb_ctl_print_json(ctl, records);
    else
        json_array_foreach (records, i, record)
            sb_ctl_print_json(ctl, record);
    (void)fflush(ctl->out);
    trail.after = last_id(records, trail.after);
    return following ? follow(&trail) : code;
}
