/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/fetch/part.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "bridge/base/str.h"

#define LOCK_MS  5000
#define META_MAX 1024
#define CHUNK    65536

static const char what[] = "the part file";

/* -- Digests -------------------------------------------------------------------------------------
 */

static int fresh_digests(struct sb_part *part, bool md5)
{
    sb_digest_free(part->sha256);
    sb_digest_free(part->md5);
    part->sha256 = sb_digest_new(SB_SHA256);
    part->md5 = md5 ? sb_digest_new(SB_MD5) : NULL;
    if (!part->sha256 || (md5 && !part->md5))
        return sb_result_fail(part->result, SB_CAUSE_NO_MEMORY, "no digest can be computed");
    return 0;
}

static int digest(struct sb_part *part, const void *bytes, size_t n)
{
    if (sb_digest_add(part->sha256, bytes, n) < 0 ||
        (part->md5 && sb_digest_add(part->md5, bytes, n) < 0))
        return sb_result_fail(part->result, SB_CAUSE_INTERNAL, "no digest can be computed");
    return 0;
}

static int hash_what_is_there(struct sb_part *part)
{
    sb_cleanup(sb_freep) char *buffer = malloc(CHUNK);
    if (!buffer)
        return sb_result_fail_errno(part->result, ENOMEM, what);
    for (int64_t at = 0; at < part->size;) {
        ssize_t n = pread(part->fd, buffer, CHUNK, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return sb_result_fail_errno(part->result, n < 0 ? errno : EIO, what);
        if (digest(part, buffer, (size_t)n) < 0)
            return -1;
        at += n;
        sb_tell_progress(at, -1);
    }
    return 0;
}

/* -- The meta file -------------------------------------------------------------------------------
 */

static char *read_small(const char *path)
{
    char buffer[META_MAX];
    sb_cleanup(sb_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t n = fd >= 0 ? read(fd, buffer, sizeof(buffer) - 1) : -1;
    if (n <= 0)
        return NULL;
    buffer[n] = '\0';
    return strndup(buffer, strcspn(buffer, "\n"));
}

static char *boot_id(void)
{
    return read_small("/proc/sys/kernel/random/boot_id");
}

static bool validator_legal(const char *validator)
{
    size_t n = strlen(validator);
    for (size_t i = 0; i < n; i++)
        if (validator[i] < ' ' || validator[i] > '~')
            return false;
    return n > 0 && n <= 256;
}

/* Whether what is there may be gone on with, for all that is known before asking the server. */
static bool resumable(struct sb_part *part, bool digest_demanded)
{
    sb_cleanup(sb_freep) char *text = read_small(part->meta);
    sb_cleanup(sb_freep) char *boot = boot_id();
    sb_cleanup(json_decrefp) json_t *meta = NULL;
    if (text && sb_json_parse(text, strlen(text), NULL, &meta, NULL) == 0) {
        const char *validator = sb_json_str(meta, "validator");
        if (validator && validator_legal(validator))
            part->validator = strdup(validator);
    }
    return digest_demanded ||
           (part->validator && boot && sb_streq(sb_json_str(meta, "boot"), boot));
}

static int note_validator(struct sb_part *part, const char *validator)
{
    sb_cleanup(sb_freep) char *boot = boot_id();
    sb_cleanup(json_decrefp) json_t *json =
        json_pack("{s:s,s:s*}", "validator", validator, "boot", boot);
    sb_cleanup(sb_freep) char *text = sb_json_text(json);
    sb_cleanup(sb_closep) int fd =
        open(part->meta, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    part->validator = strdup(validator);
    if (!text || !part->validator)
        return sb_result_fail_errno(part->result, ENOMEM, what);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        return sb_result_fail_errno(part->result, errno, "the part file's meta");
    return 0;
}

/* -- The file ------------------------------------------------------------------------------------
 */

static int lock(struct sb_part *part)
{
    const struct timespec pause = { .tv_nsec = 20000000 };
    int64_t deadline = sb_tell_clock() + LOCK_MS;
    while (flock(part->fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return sb_result_fail_errno(part->result, errno, what);
        if (sb_tell_clock() > deadline)
            return sb_result_fail(part->result, SB_CAUSE_INTERNAL,
                                  "another helper is still writing the part file");
        (void)nanosleep(&pause, NULL);
    }
    return 0;
}

static int open_file(struct sb_part *part)
{
    struct stat st;
    part->fd = open(part->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (part->fd < 0)
        return sb_result_fail_errno(part->result, errno, what);
    if (lock(part) < 0)
        return -1;
    if (fstat(part->fd, &st) < 0)
        return sb_result_fail_errno(part->result, errno, what);
    if (!S_ISREG(st.st_mode))
        return sb_result_fail(part->result, SB_CAUSE_INTERNAL, "%s is no regular file", what);
    part->size = st.st_size;
    return fchmod(part->fd, 0600) < 0 ? sb_result_fail_errno(part->result, errno, what) : 0;
}

int sb_part_open(struct sb_part *part, const struct sb_want *want, struct sb_result *result)
{
    *part = (struct sb_part){ .fd = -1, .total = -1, .result = result };
    part->path = strdup(want->part);
    part->meta = sb_format("%s.meta", want->part);
    if (!part->path || !part->meta)
        return sb_result_fail_errno(result, ENOMEM, what);
    if (open_file(part) < 0 || fresh_digests(part, want->md5 != NULL) < 0)
        return -1;
    bool demanded = want->sha256 || want->md5;
    bool fits = part->size <= want->max_bytes && (want->size < 0 || part->size <= want->size);
    if (part->size == 0)
        return 0;
    if (!fits || !resumable(part, demanded))
        return sb_part_restart(part, NULL);
    part->resumed = true;
    return hash_what_is_there(part);
}

int sb_part_restart(struct sb_part *part, const char *validator)
{
    free(SB_STEAL(part->validator));
    (void)unlink(part->meta);
    /* Old bytes must never meet a new validator, whatever the disk does in which order. */
    if (part->size > 0 && (ftruncate(part->fd, 0) < 0 || fsync(part->fd) < 0))
        return sb_result_fail_errno(part->result, errno, what);
    part->size = 0;
    part->resumed = false;
    if (fresh_digests(part, part->md5 != NULL) < 0)
        return -1;
    return validator && validator_legal(validator) ? note_validator(part, validator) : 0;
}

int sb_part_append(struct sb_part *part, const void *bytes, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t w = pwrite(part->fd, (const char *)bytes + done, n - done, part->size);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return sb_result_fail_errno(part->result, errno, what);
        if (digest(part, (const char *)bytes + done, (size_t)w) < 0)
            return -1;
        done += (size_t)w;
        part->size += w;
    }
    return 0;
}

int sb_part_verify(struct sb_part *part, const struct sb_want *want, char **ret_sha256)
{
    sb_cleanup(sb_freep) char *sha256 = sb_digest_hex(part->sha256);
    sb_cleanup(sb_freep) char *md5 = part->md5 ? sb_digest_hex(part->md5) : NULL;
    if (!sha256 || (part->md5 && !md5))
        return sb_result_fail(part->result, SB_CAUSE_INTERNAL, "no digest can be computed");
    if (want->size >= 0 && part->size != want->size)
        return sb_result_fail(part->result, SB_CAUSE_VERIFY_FAILED,
                              "the file has %lld bytes, %lld were announced", (long long)part->size,
                              (long long)want->size);
    if (want->sha256 && strcasecmp(sha256, want->sha256) != 0)
        return sb_result_fail(part->result, SB_CAUSE_VERIFY_FAILED,
                              "the file's SHA-256 is %.16s..., not %.16s...", sha256, want->sha256);
    if (md5 && strcasecmp(md5, want->md5) != 0)
        return sb_result_fail(part->result, SB_CAUSE_VERIFY_FAILED,
                              "the file's MD5 is %.8s..., not %.8s...", md5, want->md5);
    *ret_sha256 = SB_STEAL(sha256);
    return 0;
}

int sb_part_sync(struct sb_part *part)
{
    return fsync(part->fd) < 0 ? sb_result_fail_errno(part->result, errno, what) : 0;
}

void sb_part_discard(struct sb_part *part)
{
    (void)unlink(part->path);
    (void)unlink(part->meta);
    part->size = 0;
}

void sb_part_close(struct sb_part *part)
{
    sb_closep(&part->fd);
    free(part->path);
    free(part->meta);
    free(part->validator);
    sb_digest_free(part->sha256);
    sb_digest_free(part->md5);
}
