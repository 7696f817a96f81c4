/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/fetch/local.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define CHUNK 65536

/* *ret is the caller's to close, also on failure. */
static int open_source(const struct sb_uri *uri, struct sb_result *result, int *ret,
                       int64_t *ret_size)
{
    struct stat st;
    sb_cleanup(sb_freep) char *path = sb_uri_file_path(uri);
    if (!path)
        return sb_result_fail(result, SB_CAUSE_INVALID_URI, "the path cannot be used");
    /* NONBLOCK: a pipe without a writer must not hold us up before we see what it is */
    *ret = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (*ret < 0)
        return sb_result_fail(result, SB_CAUSE_INVALID_URI, "the file cannot be opened: %s",
                              strerror(errno));
    if (fstat(*ret, &st) < 0 || !S_ISREG(st.st_mode))
        return sb_result_fail(result, SB_CAUSE_INVALID_URI, "it is no regular file");
    *ret_size = st.st_size;
    return 0;
}

static int copy(int from, int64_t total, const struct sb_want *want, struct sb_part *part)
{
    sb_cleanup(sb_freep) char *buffer = malloc(CHUNK);
    if (!buffer)
        return sb_result_fail_errno(part->result, ENOMEM, "the copy");
    for (;;) {
        ssize_t n = read(from, buffer, CHUNK);
        if (n == 0)
            return 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return sb_result_fail(part->result, SB_CAUSE_DOWNLOAD_FAILED,
                                  "the file cannot be read: %s", strerror(errno));
        if (part->size + n > want->max_bytes)
            return sb_result_fail_errno(part->result, EFBIG, "the file");
        if (sb_part_append(part, buffer, (size_t)n) < 0)
            return -1;
        sb_tell_progress(part->size, total);
    }
}

int sb_local_get(const struct sb_want *want, const struct sb_uri *uri, struct sb_part *part)
{
    sb_cleanup(sb_closep) int from = -1;
    int64_t size = 0;
    if (open_source(uri, part->result, &from, &size) < 0)
        return -1;
    if (size > want->max_bytes)
        return sb_result_fail(part->result, SB_CAUSE_NO_SPACE,
                              "the file has %lld bytes, at most %lld are allowed", (long long)size,
                              (long long)want->max_bytes);
    return sb_part_restart(part, NULL) < 0 ? -1 : copy(from, size, want, part);
}
