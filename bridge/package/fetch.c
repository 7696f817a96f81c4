/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/package/fetch.h"

#include <errno.h>
#include <string.h>

#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "bridge/child.h"
#include "bridge/package/fetch_transfer.h"

#define GRACE_MS (30 * SB_SECOND)

/* -- The queue -----------------------------------------------------------------------------------
 */

static bool part_in_use(const struct sb_fetcher *fetcher, const char *part)
{
    for (const struct sb_transfer *t = fetcher->first; t; t = t->next)
        if (sb_transfer_has_helper(t) && strcmp(t->part, part) == 0)
            return true;
    return false;
}

static bool door_in_use(const struct sb_fetcher *fetcher, const char *door)
{
    for (const struct sb_transfer *t = fetcher->first; t; t = t->next)
        if (sb_transfer_has_helper(t) && sb_transfer_is_supplied(t) &&
            sb_streq(t->source.door, door))
            return true;
    return false;
}

static struct sb_transfer *next_to_start(const struct sb_fetcher *fetcher)
{
    for (struct sb_transfer *t = fetcher->first; t; t = t->next) {
        bool room = sb_transfer_is_supplied(t) ? !door_in_use(fetcher, t->source.door)
                                               : fetcher->running < fetcher->parallel;
        if (room && t->state == SB_TRANSFER_WAITING && !part_in_use(fetcher, t->part))
            return t;
    }
    return NULL;
}

static void on_kick(void *arg)
{
    for (struct sb_transfer *transfer; (transfer = next_to_start(arg));)
        sb_transfer_begin(transfer);
}

/* -- Requests ------------------------------------------------------------------------------------
 */

/* One that still goes well, and ends well only with what this one demands. */
static struct sb_transfer *joinable(const struct sb_fetcher *fetcher,
                                    const struct sb_fetch_spec *spec)
{
    for (struct sb_transfer *t = fetcher->first; t; t = t->next) {
        bool lost = t->broken || (t->end.said && t->end.cause != SB_CAUSE_NONE);
        bool open = t->state == SB_TRANSFER_WAITING || (t->state == SB_TRANSFER_RUNNING && !lost);
        if (open && strcmp(t->part, spec->part) == 0 &&
            (!spec->sha256 || sb_streq(t->sha256, spec->sha256)))
            return t;
    }
    return NULL;
}

static int fetcher_start(void *arg, const struct sb_fetch_spec *spec, sb_fetch_fn fn, void *fn_arg,
                         uint64_t *ret_id)
{
    struct sb_fetcher *fetcher = arg;
    if (!sb_fetch_spec_legal(spec))
        return -EINVAL;
    struct sb_transfer *transfer = joinable(fetcher, spec);
    if (transfer)
        return sb_transfer_join(transfer, fn, fn_arg, ret_id);
    int r = sb_transfer_new(fetcher, spec, &transfer);
    if (r < 0 || !transfer)
        return r;
    r = sb_transfer_join(transfer, fn, fn_arg, ret_id);
    if (r < 0) {
        sb_transfer_free(transfer);
        return r;
    }
    struct sb_transfer **end = &fetcher->first;
    while (*end)
        end = &(*end)->next;
    *end = transfer;
    sb_timer_in(fetcher->kick, 0);
    return 0;
}

static void fetcher_stop(void *arg, uint64_t id)
{
    struct sb_transfer *t = ((struct sb_fetcher *)arg)->first, *next;
    for (; t; t = next) {
        next = t->next;
        if (sb_transfer_leave(t, id))
            return;
    }
}

static void fetcher_supply(void *arg, const struct sb_piece *piece)
{
    struct sb_transfer *t = ((struct sb_fetcher *)arg)->first;
    while (t && !sb_transfer_supply(t, piece))
        t = t->next;
}

static void fetcher_close(void *arg)
{
    struct sb_fetcher *fetcher = arg;
    if (!fetcher)
        return;
    for (struct sb_transfer *t = fetcher->first; t;
         t = t->next) /* all at once, then wait for each */
        if (t->helper)
            sb_child_kill(t->helper);
    while (fetcher->first) {
        struct sb_transfer *transfer = fetcher->first;
        fetcher->first = transfer->next;
        sb_transfer_free(transfer);
    }
    sb_timer_free(fetcher->kick);
    free(fetcher->program);
    free(fetcher);
}

void sb_fetcher_set_grace(void *fetcher, int64_t ms)
{
    ((struct sb_fetcher *)fetcher)->grace = ms;
}

int sb_fetcher_new(struct sb_loop *loop, const char *helper, unsigned parallel,
                   const struct sb_fetcher_ops **ret_ops, void **ret)
{
    static const struct sb_fetcher_ops ops = { .start = fetcher_start,
                                               .stop = fetcher_stop,
                                               .supply = fetcher_supply,
                                               .close = fetcher_close };
    struct sb_fetcher *fetcher = calloc(1, sizeof(*fetcher));
    if (!fetcher)
        return -ENOMEM;
    fetcher->loop = loop;
    fetcher->parallel = parallel > 0 ? parallel : 1;
    fetcher->grace = GRACE_MS;
    int r = sb_set_string(&fetcher->program, helper);
    if (r == 0)
        r = sb_timer_new(loop, on_kick, fetcher, &fetcher->kick);
    if (r < 0) {
        fetcher_close(fetcher);
        return r;
    }
    *ret_ops = &ops;
    *ret = fetcher;
    return 0;
}
