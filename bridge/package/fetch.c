/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/package/fetch.h"

#include <errno.h>
#include <string.h>

#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "bridge/child.h"
#include "bridge/package/fetch_parts.h"

#define GRACE_MS    (30 * SB_SECOND)
#define PROGRESS_MS INT64_C(200)
#define TEXT_MAX    512
#define BYTES_MAX   (INT64_MAX / 100) /* no file is so large, and percents can be computed */

struct waiter {
    uint64_t id;
    sb_fetch_fn fn; /* NULL: stopped while events are being told */
    void *arg;
};

enum state {
    WAITING,
    RUNNING,
    DYING, /* nobody waits any more; the helper is being ended */
    ENDED, /* being told */
};

struct transfer {
    struct transfer *next;
    struct fetcher *fetcher;
    enum state state;
    char *line, *part, *sha256;    /* line: for the helper, holds secrets */
    struct sb_fetch_source source; /* of a supplied one */
    struct waiter *waiters;
    size_t waiter_count;
    bool telling;
    bool broken; /* the helper did not keep to the protocol */
    struct sb_child *helper;
    struct sb_timer *watchdog;
    int64_t silence; /* ms without a line that are too many */
    int64_t told;    /* when progress was told last */
    struct {         /* what the helper said at its end */
        bool said;
        enum sb_cause cause;
        char *text, *sha256;
    } end;
    int64_t received, total;
};

struct fetcher {
    struct sb_loop *loop;
    char *program;
    unsigned parallel, running;
    int64_t grace;
    uint64_t last_id;
    struct transfer *first;
    struct sb_timer *kick; /* starts what may start */
};

/* -- Transfers -----------------------------------------------------------------------------------
 */

static void transfer_free(struct transfer *transfer)
{
    if (!transfer)
        return;
    sb_child_free(transfer->helper);
    sb_timer_free(transfer->watchdog);
    if (transfer->line)
        explicit_bzero(transfer->line, strlen(transfer->line));
    free(transfer->line);
    sb_source_done(&transfer->source);
    free(transfer->part);
    free(transfer->sha256);
    free(transfer->waiters);
    free(transfer->end.text);
    free(transfer->end.sha256);
    free(transfer);
}

static bool has_helper(const struct transfer *transfer)
{
    return transfer->state == RUNNING || transfer->state == DYING;
}

static bool is_supplied(const struct transfer *transfer)
{
    return sb_source_is(&transfer->source);
}

static void end_supply(struct transfer *transfer)
{
    if (is_supplied(transfer) && transfer->state == RUNNING)
        sb_source_end(&transfer->source);
}

/* From now on a request for this part starts anew. */
static void leave(struct transfer *transfer)
{
    end_supply(transfer);
    if (has_helper(transfer) && !is_supplied(transfer))
        transfer->fetcher->running--;
    transfer->state = ENDED;
    sb_timer_in(transfer->fetcher->kick, 0);
}

static void drop(struct transfer *transfer)
{
    struct transfer **at = &transfer->fetcher->first;
    while (*at != transfer)
        at = &(*at)->next;
    *at = transfer->next;
    transfer_free(transfer);
}

static int add_waiter(struct transfer *transfer, sb_fetch_fn fn, void *arg, uint64_t *ret_id)
{
    void *waiters =
        realloc(transfer->waiters, (transfer->waiter_count + 1) * sizeof(struct waiter));
    if (!waiters)
        return -ENOMEM;
    transfer->waiters = waiters;
    *ret_id = ++transfer->fetcher->last_id;
    transfer->waiters[transfer->waiter_count++] =
        (struct waiter){ .id = *ret_id, .fn = fn, .arg = arg };
    return 0;
}

static void sweep_waiters(struct transfer *transfer)
{
    size_t kept = 0;
    for (size_t i = 0; i < transfer->waiter_count; i++)
        if (transfer->waiters[i].fn)
            transfer->waiters[kept++] = transfer->waiters[i];
    transfer->waiter_count = kept;
    if (kept > 0 || transfer->state != RUNNING)
        return;
    end_supply(transfer);
    transfer->state = DYING; /* its part file is free for others once it is gone */
    sb_child_kill(transfer->helper);
}

/* Waiters may come and go while they are being told. */
static void tell(struct transfer *transfer, const struct sb_fetch_event *event)
{
    transfer->telling = true;
    size_t count = transfer->waiter_count;
    for (size_t i = 0; i < count; i++) {
        struct waiter waiter = transfer->waiters[i];
        if (waiter.fn)
            waiter.fn(waiter.arg, event);
    }
    transfer->telling = false;
}

/* The last event; the transfer is no more. */
static void conclude(struct transfer *transfer, enum sb_cause cause, const char *text)
{
    const struct sb_fetch_event event = {
        .done = true,
        .cause = cause,
        .text = text,
        .sha256 = cause == SB_CAUSE_NONE ? transfer->end.sha256 : NULL,
        .received = transfer->received,
        .total = transfer->total,
    };
    leave(transfer);
    tell(transfer, &event);
    drop(transfer);
}

/* -- What the helper says ------------------------------------------------------------------------
 */

/* A helper that was taken over by a hostile server must not get past what was demanded. */
static int read_end(struct transfer *transfer, const json_t *event)
{
    int cause = sb_cause_from_name(sb_json_str(event, "cause"));
    const char *sha256 = sb_json_str(event, "sha256"), *text = sb_json_str(event, "text");
    bool good = cause == SB_CAUSE_NONE;
    if (cause < 0 || (good && !sb_fetch_digest_legal(sha256)) ||
        (good && transfer->sha256 && strcmp(sha256, transfer->sha256) != 0))
        return -EPROTO;
    if (sb_set_string(&transfer->end.sha256, good ? sha256 : NULL) < 0)
        return -ENOMEM;
    if (text && strlen(text) <= TEXT_MAX && sb_set_string(&transfer->end.text, text) < 0)
        return -ENOMEM;
    transfer->end.cause = (enum sb_cause)cause;
    transfer->end.said = true;
    return 0;
}

/* The outcome is known before the helper has said one: it is ended, and that told. */
static void cut_short(struct transfer *transfer, enum sb_cause cause, const char *text)
{
    if (transfer->end.said)
        return;
    if (sb_set_string(&transfer->end.text, text) < 0)
        sb_warning(NULL, "fetch: %s", text);
    transfer->end.cause = cause;
    transfer->end.said = true;
    sb_child_kill(transfer->helper);
}

static void pull(struct transfer *transfer, int64_t offset)
{
    int r = sb_source_pull(&transfer->source, offset);
    if (r < 0)
        cut_short(transfer, r == -ENOMEM ? SB_CAUSE_NO_MEMORY : SB_CAUSE_DOWNLOAD_FAILED,
                  "nobody can give the bytes of this package any more");
}

static int read_wanted(struct transfer *transfer, int64_t offset)
{
    if (!is_supplied(transfer) || offset < 0)
        return -EPROTO;
    pull(transfer, offset);
    return 0;
}

static int read_event(struct transfer *transfer, const json_t *event)
{
    if (!json_is_object(event) || transfer->end.said)
        return -EPROTO;
    if (json_object_get(event, "wanted"))
        return read_wanted(transfer, sb_json_int(event, "wanted", -1));
    int64_t received = sb_json_int(event, "received", -1), total = sb_json_int(event, "total", -1);
    if (received < 0 || received > BYTES_MAX || total < -1 || total > BYTES_MAX)
        return -EPROTO;
    transfer->received = received;
    transfer->total = total;
    return sb_json_bool(event, "done", false) ? read_end(transfer, event) : 0;
}

static void tell_progress(struct transfer *transfer)
{
    int64_t now = sb_loop_now(transfer->fetcher->loop);
    if (transfer->end.said || (transfer->told && now - transfer->told < PROGRESS_MS))
        return;
    transfer->told = now;
    const struct sb_fetch_event event = { .received = transfer->received,
                                          .total = transfer->total };
    tell(transfer, &event);
    sweep_waiters(transfer);
}

static void on_line(void *arg, const char *text, size_t n)
{
    struct transfer *transfer = arg;
    static const struct sb_json_limits limits = { .depth = 2, .values = 16 };
    sb_cleanup(json_decrefp) json_t *event = NULL;
    if (transfer->state != RUNNING || transfer->broken)
        return;
    int r = sb_json_parse(text, n, &limits, &event, NULL);
    if (r == 0)
        r = read_event(transfer, event);
    if (r < 0) {
        sb_warning(NULL, "fetch: the helper does not keep to the protocol");
        transfer->broken = true;
        sb_child_kill(transfer->helper);
        return;
    }
    sb_timer_in(transfer->watchdog, transfer->silence);
    tell_progress(transfer);
}

static void on_ended(void *arg, bool well, const char *why)
{
    struct transfer *transfer = arg;
    (void)well;
    if (transfer->state == DYING) {
        leave(transfer);
        drop(transfer);
    } else if (transfer->end.said && !transfer->broken) {
        conclude(transfer, transfer->end.cause, transfer->end.text);
    } else {
        sb_warning(NULL, "fetch: %s", why);
        conclude(transfer, SB_CAUSE_INTERNAL, why);
    }
}

static void on_silence(void *arg)
{
    struct transfer *transfer = arg;
    sb_warning(NULL, "fetch: the helper says nothing for %lld ms", (long long)transfer->silence);
    sb_child_kill(transfer->helper);
}

/* -- The queue -----------------------------------------------------------------------------------
 */

static const struct sb_child_events helper_events = { .line = on_line, .ended = on_ended };

static bool part_in_use(const struct fetcher *fetcher, const char *part)
{
    for (const struct transfer *t = fetcher->first; t; t = t->next)
        if (has_helper(t) && strcmp(t->part, part) == 0)
            return true;
    return false;
}

static bool door_in_use(const struct fetcher *fetcher, const char *door)
{
    for (const struct transfer *t = fetcher->first; t; t = t->next)
        if (has_helper(t) && is_supplied(t) && sb_streq(t->source.door, door))
            return true;
    return false;
}

static struct transfer *next_to_start(const struct fetcher *fetcher)
{
    for (struct transfer *t = fetcher->first; t; t = t->next) {
        bool room = is_supplied(t) ? !door_in_use(fetcher, t->source.door)
                                   : fetcher->running < fetcher->parallel;
        if (room && t->state == WAITING && !part_in_use(fetcher, t->part))
            return t;
    }
    return NULL;
}

static void begin(struct transfer *transfer)
{
    struct fetcher *fetcher = transfer->fetcher;
    char name[] = "southbridge-fetch";
    char *const argv[] = { name, NULL };
    const struct sb_child_spec spec = { .name = "download helper",
                                        .program = fetcher->program,
                                        .argv = argv,
                                        .input = transfer->line,
                                        .fed = is_supplied(transfer) };
    int r = sb_child_start(fetcher->loop, &spec, &helper_events, transfer, &transfer->helper);
    if (r < 0) {
        sb_cleanup(sb_freep) char *text = sb_format("the download helper %s cannot be started: %s",
                                                    fetcher->program, strerror(-r));
        sb_error(NULL, "fetch: %s", text ? text : "out of memory");
        conclude(transfer, r == -ENOMEM ? SB_CAUSE_NO_MEMORY : SB_CAUSE_INTERNAL, text);
        return;
    }
    transfer->state = RUNNING;
    fetcher->running += !is_supplied(transfer);
    transfer->silence += fetcher->grace;
    sb_timer_in(transfer->watchdog, transfer->silence);
}

static void on_kick(void *arg)
{
    for (struct transfer *transfer; (transfer = next_to_start(arg));)
        begin(transfer);
}

/* -- Requests ------------------------------------------------------------------------------------
 */

static int make_transfer(struct fetcher *fetcher, const struct sb_fetch_spec *spec,
                         struct transfer **ret)
{
    struct transfer *transfer = calloc(1, sizeof(*transfer));
    if (!transfer)
        return -ENOMEM;
    transfer->fetcher = fetcher;
    transfer->total = -1;
    transfer->silence = 2 * sb_fetch_spec_stall(spec);
    transfer->line = sb_fetch_spec_line(spec);
    int r = transfer->line ? 0 : -ENOMEM;
    if (r == 0 && strlen(transfer->line) >= SB_FETCH_SPEC_MAX)
        r = -E2BIG;
    if (r == 0 && spec->supplier)
        r = sb_source_open(&transfer->source, spec->supplier, ++fetcher->last_id);
    if (r == 0)
        r = sb_set_string(&transfer->part, spec->part);
    if (r == 0)
        r = sb_set_string(&transfer->sha256, spec->sha256);
    if (r == 0)
        r = sb_timer_new(fetcher->loop, on_silence, transfer, &transfer->watchdog);
    if (r == 0)
        *ret = SB_STEAL(transfer);
    transfer_free(transfer);
    return r;
}

/* One that still goes well, and ends well only with what this one demands. */
static struct transfer *joinable(const struct fetcher *fetcher, const struct sb_fetch_spec *spec)
{
    for (struct transfer *t = fetcher->first; t; t = t->next) {
        bool lost = t->broken || (t->end.said && t->end.cause != SB_CAUSE_NONE);
        bool open = t->state == WAITING || (t->state == RUNNING && !lost);
        if (open && strcmp(t->part, spec->part) == 0 &&
            (!spec->sha256 || sb_streq(t->sha256, spec->sha256)))
            return t;
    }
    return NULL;
}

static int fetcher_start(void *arg, const struct sb_fetch_spec *spec, sb_fetch_fn fn, void *fn_arg,
                         uint64_t *ret_id)
{
    struct fetcher *fetcher = arg;
    if (!sb_fetch_spec_legal(spec))
        return -EINVAL;
    struct transfer *transfer = joinable(fetcher, spec);
    if (transfer)
        return add_waiter(transfer, fn, fn_arg, ret_id);
    int r = make_transfer(fetcher, spec, &transfer);
    if (r < 0 || !transfer)
        return r;
    r = add_waiter(transfer, fn, fn_arg, ret_id);
    if (r < 0) {
        transfer_free(transfer);
        return r;
    }
    struct transfer **end = &fetcher->first;
    while (*end)
        end = &(*end)->next;
    *end = transfer;
    sb_timer_in(fetcher->kick, 0);
    return 0;
}

static struct waiter *find_waiter(struct fetcher *fetcher, uint64_t id, struct transfer **ret)
{
    for (struct transfer *t = fetcher->first; t; t = t->next) {
        for (size_t i = 0; i < t->waiter_count; i++) {
            if (t->waiters[i].id != id)
                continue;
            *ret = t;
            return &t->waiters[i];
        }
    }
    return NULL;
}

static void fetcher_stop(void *arg, uint64_t id)
{
    struct transfer *transfer;
    struct waiter *waiter = find_waiter(arg, id, &transfer);
    if (!waiter)
        return;
    waiter->fn = NULL;
    if (transfer->telling)
        return; /* swept when all were told */
    sweep_waiters(transfer);
    if (transfer->waiter_count > 0 || transfer->state != WAITING)
        return;
    drop(transfer);
}

static void fetcher_supply(void *arg, const struct sb_piece *piece)
{
    struct transfer *t = ((struct fetcher *)arg)->first;
    while (t && !(t->state == RUNNING && sb_source_awaits(&t->source, piece)))
        t = t->next;
    if (!t || t->end.said)
        return;
    if (piece->again) {
        pull(t, t->source.wanted);
        return;
    }
    if (piece->cause != SB_CAUSE_NONE) {
        cut_short(t, piece->cause, piece->text);
        return;
    }
    int r = sb_source_hand_over(&t->source, t->helper, piece);
    if (r < 0 && r != -EPIPE) /* one that has ended says why by its end */
        cut_short(t, r == -ENOMEM ? SB_CAUSE_NO_MEMORY : SB_CAUSE_INTERNAL,
                  "the download helper takes no bytes");
}

static void fetcher_close(void *arg)
{
    struct fetcher *fetcher = arg;
    if (!fetcher)
        return;
    for (struct transfer *t = fetcher->first; t; t = t->next) /* all at once, then wait for each */
        if (t->helper)
            sb_child_kill(t->helper);
    while (fetcher->first) {
        struct transfer *transfer = fetcher->first;
        fetcher->first = transfer->next;
        transfer_free(transfer);
    }
    sb_timer_free(fetcher->kick);
    free(fetcher->program);
    free(fetcher);
}

void sb_fetcher_set_grace(void *fetcher, int64_t ms)
{
    ((struct fetcher *)fetcher)->grace = ms;
}

int sb_fetcher_new(struct sb_loop *loop, const char *helper, unsigned parallel,
                   const struct sb_fetcher_ops **ret_ops, void **ret)
{
    static const struct sb_fetcher_ops ops = { .start = fetcher_start,
                                               .stop = fetcher_stop,
                                               .supply = fetcher_supply,
                                               .close = fetcher_close };
    struct fetcher *fetcher = calloc(1, sizeof(*fetcher));
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
