/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that a door of the daemon supplies. Each piece is asked for by a line on stdout and comes
 * as "SIZE TOTAL\n" and SIZE bytes. What is told as received is on disk; that is seen to once a
 * second, since flash does not like it more often.
 */
#include "bridge/fetch/supplied.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>

#define SYNC_MS 1000
#define LIFE_MS 1000 /* between two looks whether to give a sign of life */

struct source {
    struct sb_part *part;
    int64_t stall_ms;
    int64_t synced, synced_at; /* bytes that are on disk; when they got there */
};

/* One byte at least, in time. */
static int wait_readable(const struct source *source, int64_t deadline)
{
    struct sb_result *result = source->part->result;
    struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
    for (;;) {
        int64_t left = deadline - sb_tell_clock();
        if (left <= 0)
            return sb_result_fail(result, SB_CAUSE_LINK_LOST, "no byte came for %lld s",
                                  (long long)source->stall_ms / 1000);
        int n = poll(&in, 1, (int)SB_MIN(left, (int64_t)LIFE_MS));
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return sb_result_fail_errno(result, errno, "stdin");
        sb_tell_progress(source->synced, source->part->total);
    }
}

static int read_some(const struct source *source, int64_t deadline, void *buffer, size_t n)
{
    for (char *at = buffer; n > 0;) {
        if (wait_readable(source, deadline) < 0)
            return -1;
        ssize_t got = read(STDIN_FILENO, at, n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return sb_result_fail(source->part->result, SB_CAUSE_INTERNAL,
                                  "nobody supplies any more");
        at += got;
        n -= (size_t)got;
    }
    return 0;
}

/* "SIZE TOTAL\n" */
static int read_head(const struct source *source, int64_t deadline, size_t *ret_size,
                     int64_t *ret_total)
{
    char line[48];
    size_t n = 0;
    do {
        if (n == sizeof(line) || read_some(source, deadline, line + n, 1) < 0)
            return sb_result_fail(source->part->result, SB_CAUSE_INTERNAL,
                                  "what is supplied cannot be read");
    } while (line[n++] != '\n');
    line[n - 1] = '\0';
    char *rest = line, *end = line;
    unsigned long long size = strtoull(line, &rest, 10);
    long long total = strtoll(rest, &end, 10);
    if (rest == line || end == rest || *end || size < 1 || size > SB_PIECE_MAX || total < 1)
        return sb_result_fail(source->part->result, SB_CAUSE_INTERNAL,
                              "what is supplied cannot be read");
    *ret_size = (size_t)size;
    *ret_total = total;
    return 0;
}

/* The file must be what was announced, and stay it. */
static int check_total(struct sb_part *part, const struct sb_want *want, int64_t total)
{
    int64_t known = want->size >= 0 ? want->size : part->total;
    if (known >= 0 && total != known)
        return sb_result_fail(part->result, SB_CAUSE_VERIFY_FAILED,
                              "the file has %lld bytes, %lld were announced", (long long)total,
                              (long long)known);
    if (total > want->max_bytes)
        return sb_result_fail(part->result, SB_CAUSE_NO_SPACE,
                              "the file has %lld bytes, at most %lld are allowed", (long long)total,
                              (long long)want->max_bytes);
    if (part->size > total)
        return sb_result_fail(part->result, SB_CAUSE_VERIFY_FAILED, "the file has %lld bytes only",
                              (long long)total);
    part->total = total;
    return 0;
}

static int keep_synced(struct source *source)
{
    struct sb_part *part = source->part;
    int64_t now = sb_tell_clock();
    if (part->size < part->total && now - source->synced_at < SYNC_MS)
        return 0;
    if (sb_part_sync(part) < 0)
        return -1;
    source->synced = part->size;
    source->synced_at = now;
    sb_tell_progress(source->synced, part->total);
    return 0;
}

/* Where nobody knows how long the file is, all of it may be here: then nothing is left to be asked
 * for, but its last byte. */
static size_t overlap(const struct sb_part *part, const struct sb_want *want)
{
    return want->size < 0 && part->total < 0 && part->size > 0;
}

static int take_piece(struct source *source, const struct sb_want *want, char *buffer)
{
    struct sb_part *part = source->part;
    size_t size = 0, twice = overlap(part, want);
    int64_t total = 0, from = part->size - (int64_t)twice;
    int64_t deadline = sb_tell_clock() + source->stall_ms;
    sb_tell_wanted(from);
    if (read_head(source, deadline, &size, &total) < 0 ||
        read_some(source, deadline, buffer, size) < 0 || check_total(part, want, total) < 0)
        return -1;
    if ((int64_t)size > total - from)
        return sb_result_fail(part->result, SB_CAUSE_INTERNAL,
                              "more is supplied than the file has");
    return sb_part_append(part, buffer + twice, size - twice) < 0 ? -1 : keep_synced(source);
}

int sb_supplied_get(const struct sb_want *want, struct sb_part *part)
{
    struct source source = {
        .part = part, .stall_ms = want->stall_ms, .synced = part->size, .synced_at = sb_tell_clock()
    };
    sb_cleanup(sb_freep) char *buffer = malloc(SB_PIECE_MAX);
    if (!buffer)
        return sb_result_fail_errno(part->result, ENOMEM, "the download");
    do {
        if (take_piece(&source, want, buffer) < 0)
            return -1;
    } while (part->size < part->total);
    return 0;
}
