/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/shelf.h"

#include <stdio.h>

#include "bridge/base/crypto.h"

struct shelf shelf;

struct download {
    struct download *next;
    uint64_t id;
    char *uri, *part, *sha256;
    sb_fetch_fn fn;
    void *arg;
    struct sb_timer *timer;
    int step;
};

static struct download *downloads;
static uint64_t last_id;

static void end(struct download *download)
{
    for (struct download **at = &downloads; *at; at = &(*at)->next) {
        if (*at != download)
            continue;
        *at = download->next;
        break;
    }
    sb_timer_free(download->timer);
    free(download->uri);
    free(download->part);
    free(download->sha256);
    free(download);
}

/* The oldest of those that share a part file; the others have joined it. */
static struct download *leader(const char *part)
{
    struct download *found = NULL;
    for (struct download *d = downloads; d; d = d->next)
        if (strcmp(d->part, part) == 0)
            found = d;
    return found;
}

static char *write_part(const struct download *download)
{
    FILE *file = fopen(download->part, "w");
    if (file) {
        (void)fprintf(file, "image of %s", shelf.changed ? shelf.changed : download->uri);
        (void)fclose(file);
    }
    shelf.completed++;
    return sb_sha256_file(download->part);
}

static void finish(struct download *download, enum sb_cause cause)
{
    sb_cleanup(sb_freep) char *part = strdup(download->part);
    sb_cleanup(sb_freep) char *digest = cause == SB_CAUSE_NONE ? write_part(download) : NULL;
    if (digest && download->sha256 && strcmp(download->sha256, digest) != 0)
        cause = SB_CAUSE_VERIFY_FAILED;
    for (struct download *d; (d = leader(part));) {
        sb_fetch_fn fn = d->fn;
        void *arg = d->arg;
        end(d);
        fn(arg, &(struct sb_fetch_event){ .done = true,
                                          .cause = digest || cause ? cause : SB_CAUSE_INTERNAL,
                                          .text = cause ? "shelf fault" : NULL,
                                          .sha256 = digest,
                                          .received = 100,
                                          .total = 100 });
    }
}

static void on_step(void *arg)
{
    struct download *download = arg;
    if (shelf.silent)
        return;
    sb_timer_in(download->timer, shelf.step_ms);
    if (download->step < 2) {
        download->step++;
        download->fn(download->arg,
                     &(struct sb_fetch_event){ .received = download->step * 40, .total = 100 });
        return;
    }
    if (leader(download->part) != download)
        return;
    if (shelf.faults) {
        shelf.faults--;
        finish(download, shelf.cause);
        return;
    }
    finish(download, SB_CAUSE_NONE);
}

static int start(void *fetcher, const struct sb_fetch_spec *spec, sb_fetch_fn fn, void *arg,
                 uint64_t *ret_id)
{
    struct download *download = calloc(1, sizeof(*download));
    (void)fetcher;
    if (!download)
        return -ENOMEM;
    if (shelf.refusal) {
        free(download);
        return shelf.refusal;
    }
    *download = (struct download){ .id = ++last_id, .fn = fn, .arg = arg };
    download->uri = strdup(spec->uri);
    download->part = strdup(spec->part);
    download->sha256 = spec->sha256 ? strdup(spec->sha256) : NULL;
    if (sb_timer_new(shelf.loop, on_step, download, &download->timer) < 0) {
        end(download);
        return -ENOMEM;
    }
    download->next = downloads;
    downloads = download;
    shelf.started++;
    sb_timer_in(download->timer, shelf.step_ms);
    *ret_id = download->id;
    return 0;
}

static void stop(void *fetcher, uint64_t id)
{
    (void)fetcher;
    for (struct download *d = downloads; d; d = d->next) {
        if (d->id != id)
            continue;
        end(d);
        return;
    }
}

static void close_shelf(void *fetcher)
{
    (void)fetcher;
    while (downloads)
        end(downloads);
}

const struct sb_fetcher_ops shelf_ops = { .start = start, .stop = stop, .close = close_shelf };

void shelf_reset(void)
{
    close_shelf(NULL);
    shelf = (struct shelf){ .step_ms = 100 };
}

void shelf_power_on(struct sb_loop *loop)
{
    shelf.loop = loop;
}
