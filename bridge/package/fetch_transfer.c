/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/package/fetch_transfer.h"

#include <errno.h>
#include <string.h>

#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/child.h"

#define PROGRESS_MS INT64_C(200)
#define TEXT_MAX    512
#define BYTES_MAX   (INT64_MAX / 100) /* no file is so large, and percents can be computed */

void sb_transfer_free(struct sb_transfer *transfer)
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

bool sb_transfer_has_helper(const struct sb_transfer *transfer)
{
    return transfer->state == SB_TRANSFER_RUNNING || transfer->state == SB_TRANSFER_DYING;
}

bool sb_transfer_is_supplied(const struct sb_transfer *transfer)
{
    return sb_source_is(&transfer->source);
}

static void end_supply(struct sb_transfer *transfer)
{
    if (sb_transfer_is_supplied(transfer) && transfer->state == SB_TRANSFER_RUNNING)
        sb_source_end(&transfer->source);
}

/* From now on a request for this part starts anew. */
static void leave(struct sb_transfer *transfer)
{
    end_supply(transfer);
    if (sb_transfer_has_helper(transfer) && !sb_transfer_is_supplied(transfer))
        transfer->fetcher->running--;
    transfer->state = SB_TRANSFER_ENDED;
    sb_timer_in(transfer->fetcher->kick, 0);
}

static void drop(struct sb_transfer *transfer)
{
    struct sb_transfer **at = &transfer->fetcher->first;
    while (*at != transfer)
        at = &(*at)->next;
    *at = transfer->next;
    sb_transfer_free(transfer);
}

/* -- Who waits -----------------------------------------------------------------------------------
 */

int sb_transfer_join(struct sb_transfer *transfer, sb_fetch_fn fn, void *arg, uint64_t *ret_id)
{
    void *waiters =
        realloc(transfer->waiters, (transfer->waiter_count + 1) * sizeof(struct sb_fetch_waiter));
    if (!waiters)
        return -ENOMEM;
    transfer->waiters = waiters;
    *ret_id = ++transfer->fetcher->last_id;
    transfer->waiters[transfer->waiter_count++] =
        (struct sb_fetch_waiter){ .id = *ret_id, .fn = fn, .arg = arg };
    return 0;
}

static void sweep_waiters(struct sb_transfer *transfer)
{
    size_t kept = 0;
    for (size_t i = 0; i < transfer->waiter_count; i++)
        if (transfer->waiters[i].fn)
            transfer->waiters[kept++] = transfer->waiters[i];
    transfer->waiter_count = kept;
    if (kept > 0 || transfer->state != SB_TRANSFER_RUNNING)
        return;
    end_supply(transfer);
    transfer->state = SB_TRANSFER_DYING; /* its part file is free for others once it is gone */
    sb_child_kill(transfer->helper);
}

bool sb_transfer_leave(struct sb_transfer *transfer, uint64_t id)
{
    size_t i = 0;
    while (i < transfer->waiter_count && transfer->waiters[i].id != id)
        i++;
    if (i == transfer->waiter_count)
        return false;
    transfer->waiters[i].fn = NULL;
    if (transfer->telling)
        return true; /* swept when all were told */
    sweep_waiters(transfer);
    if (transfer->waiter_count == 0 && transfer->state == SB_TRANSFER_WAITING)
        drop(transfer);
    return true;
}

/* Waiters may come and go while they are being told. */
static void tell(struct sb_transfer *transfer, const struct sb_fetch_event *event)
{
    transfer->telling = true;
    size_t count = transfer->waiter_count;
    for (size_t i = 0; i < count; i++) {
        struct sb_fetch_waiter waiter = transfer->waiters[i];
        if (waiter.fn)
            waiter.fn(waiter.arg, event);
    }
    transfer->telling = false;
}

/* The last event; the transfer is no more. */
static void conclude(struct sb_transfer *transfer, enum sb_cause cause, const char *text)
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
static int read_end(struct sb_transfer *transfer, const json_t *event)
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
static void cut_short(struct sb_transfer *transfer, enum sb_cause cause, const char *text)
{
    if (transfer->end.said)
        return;
    if (sb_set_string(&transfer->end.text, text) < 0)
        sb_warning(NULL, "fetch: %s", text);
    transfer->end.cause = cause;
    transfer->end.said = true;
    sb_child_kill(transfer->helper);
}

static void pull(struct sb_transfer *transfer, int64_t offset)
{
    int r = sb_source_pull(&transfer->source, offset);
    if (r < 0)
        cut_short(transfer, r == -ENOMEM ? SB_CAUSE_NO_MEMORY : SB_CAUSE_DOWNLOAD_FAILED,
                  "nobody can give the bytes of this package any more");
}

bool sb_transfer_supply(struct sb_transfer *transfer, const struct sb_piece *piece)
{
    if (transfer->state != SB_TRANSFER_RUNNING || !sb_source_awaits(&transfer->source, piece))
        return false;
    if (transfer->end.said)
        return true;
    if (piece->again) {
        pull(transfer, transfer->source.wanted);
        return true;
    }
    if (piece->cause != SB_CAUSE_NONE) {
        cut_short(transfer, piece->cause, piece->text);
        return true;
    }
    int r = sb_source_hand_over(&transfer->source, transfer->helper, piece);
    if (r < 0 && r != -EPIPE) /* one that has ended says why by its end */
        cut_short(transfer, r == -ENOMEM ? SB_CAUSE_NO_MEMORY : SB_CAUSE_INTERNAL,
                  "the download helper takes no bytes");
    return true;
}

static int read_wanted(struct sb_transfer *transfer, int64_t offset)
{
    if (!sb_transfer_is_supplied(transfer) || offset < 0)
        return -EPROTO;
    pull(transfer, offset);
    return 0;
}

static int read_event(struct sb_transfer *transfer, const json_t *event)
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

static void tell_progress(struct sb_transfer *transfer)
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
    struct sb_transfer *transfer = arg;
    static const struct sb_json_limits limits = { .depth = 2, .values = 16 };
    sb_cleanup(json_decrefp) json_t *event = NULL;
    if (transfer->state != SB_TRANSFER_RUNNING || transfer->broken)
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
    struct sb_transfer *transfer = arg;
    (void)well;
    if (transfer->state == SB_TRANSFER_DYING) {
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
    struct sb_transfer *transfer = arg;
    sb_warning(NULL, "fetch: the helper says nothing for %lld ms", (long long)transfer->silence);
    sb_child_kill(transfer->helper);
}

/* -- Its beginning -------------------------------------------------------------------------------
 */

static const struct sb_child_events helper_events = { .line = on_line, .ended = on_ended };

int sb_transfer_new(struct sb_fetcher *fetcher, const struct sb_fetch_spec *spec,
                    struct sb_transfer **ret)
{
    struct sb_transfer *transfer = calloc(1, sizeof(*transfer));
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
    sb_transfer_free(transfer);
    return r;
}

void sb_transfer_begin(struct sb_transfer *transfer)
{
    struct sb_fetcher *fetcher = transfer->fetcher;
    char name[] = "southbridge-fetch";
    char *const argv[] = { name, NULL };
    const struct sb_child_spec spec = { .name = "download helper",
                                        .program = fetcher->program,
                                        .argv = argv,
                                        .input = transfer->line,
                                        .fed = sb_transfer_is_supplied(transfer) };
    int r = sb_child_start(fetcher->loop, &spec, &helper_events, transfer, &transfer->helper);
    if (r < 0) {
        sb_cleanup(sb_freep) char *text = sb_format("the download helper %s cannot be started: %s",
                                                    fetcher->program, strerror(-r));
        sb_error(NULL, "fetch: %s", text ? text : "out of memory");
        conclude(transfer, r == -ENOMEM ? SB_CAUSE_NO_MEMORY : SB_CAUSE_INTERNAL, text);
        return;
    }
    transfer->state = SB_TRANSFER_RUNNING;
    fetcher->running += !sb_transfer_is_supplied(transfer);
    transfer->silence += fetcher->grace;
    sb_timer_in(transfer->watchdog, transfer->silence);
}
