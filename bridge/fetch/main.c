/* SPDX-License-Identifier: Apache-2.0 */
/*
 * southbridge-fetch: one download in a process of its own. Reads one JSON object from stdin
 * (want.h) - and the file itself, where it is supplied that way - says progress and the outcome as
 * JSON lines on stdout (result.h); what it says on stderr is for a debug log. Ends with 0 when it
 * said an outcome.
 */
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "bridge/fetch/http.h"
#include "bridge/fetch/limits.h"
#include "bridge/fetch/local.h"
#include "bridge/fetch/part.h"
#include "bridge/fetch/supplied.h"

#define ROUNDS_MAX 100 /* a server that gives a byte at a time is given up */

/* Waits before the next try: 1 s, 2 s, 4 s... */
static void wait_before(int64_t vain)
{
    const struct timespec pause = { .tv_sec = (time_t)1 << SB_MIN(vain, 5) };
    (void)nanosleep(&pause, NULL);
}

/* A connection that breaks is taken up again where it broke, as long as bytes keep coming. */
static int get_http(const struct sb_want *want, struct sb_uri *uri, struct sb_part *part)
{
    int64_t vain = 0;
    for (int round = 0;; round++) {
        int64_t before = part->size;
        int r = sb_http_get(want, uri, part);
        bool broken = r < 0 && part->result->cause == SB_CAUSE_LINK_LOST;
        bool same_file = want->sha256 || want->md5 || part->validator;
        vain = part->size > before ? 0 : vain + 1;
        if (!broken || !same_file || vain > want->tries || !want->tries || round >= ROUNDS_MAX)
            return r;
        sb_result_clear(part->result);
        wait_before(vain);
    }
}

static int get(const struct sb_want *want, struct sb_part *part)
{
    struct sb_uri uri = { 0 };
    char *text = NULL;
    if (want->supplied)
        return sb_supplied_get(want, part);
    if (sb_uri_parse(want->uri, &uri, &text) < 0 ||
        sb_uri_allowed(&want->rules, &uri, &text) != SB_CAUSE_NONE) {
        (void)sb_result_fail(part->result, SB_CAUSE_INVALID_URI, "%s",
                             text ? text : "the URI cannot be used");
        free(text);
        sb_uri_done(&uri);
        return -1;
    }
    int r = strcmp(uri.scheme, "file") == 0 ? sb_local_get(want, &uri, part)
                                            : get_http(want, &uri, part);
    sb_uri_done(&uri);
    return r;
}

/* What was gone on with may have been of another file, or damaged: then once more from the start.
 */
static int get_verified(const struct sb_want *want, struct sb_part *part, char **ret_sha256)
{
    bool complete = want->size >= 0 && part->size == want->size && (want->sha256 || want->md5);
    if (!complete && get(want, part) < 0)
        return -1;
    if (sb_part_verify(part, want, ret_sha256) == 0)
        return sb_part_sync(part);
    if (!part->resumed || part->result->cause != SB_CAUSE_VERIFY_FAILED)
        return -1;
    sb_result_clear(part->result);
    if (sb_part_restart(part, NULL) < 0 || get(want, part) < 0)
        return -1;
    return sb_part_verify(part, want, ret_sha256) < 0 ? -1 : sb_part_sync(part);
}

static void fetch(const struct sb_want *want, struct sb_result *result)
{
    struct sb_part part;
    char *sha256 = NULL;
    int r = sb_part_open(&part, want, result);
    if (r == 0)
        r = get_verified(want, &part, &sha256);
    if (r < 0 && (result->cause == SB_CAUSE_VERIFY_FAILED || result->cause == SB_CAUSE_NO_SPACE))
        sb_part_discard(&part);
    sb_tell_end(result, sha256, part.size, r == 0 ? part.size : part.total);
    free(sha256);
    sb_part_close(&part);
}

int main(void)
{
    struct sb_want want;
    struct sb_result result = { 0 };
    char *text = NULL;
    int r = sb_limits_enter();
    if (r < 0) {
        (void)fprintf(stderr, "limits: %s\n", strerror(-r));
        return 1;
    }
    if (sb_want_read(STDIN_FILENO, &want, &text) < 0) {
        (void)fprintf(stderr, "%s\n", text ? text : "out of memory");
        free(text);
        return 2;
    }
    r = sb_limits_file_size(want.max_bytes);
    if (r < 0 || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        (void)fprintf(stderr, "the download cannot be prepared\n");
        sb_want_done(&want);
        return 1;
    }
    fetch(&want, &result);
    curl_global_cleanup();
    sb_result_clear(&result);
    sb_want_done(&want);
    return 0;
}
