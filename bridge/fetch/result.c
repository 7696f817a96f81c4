/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/fetch/result.h"

#include <errno.h>
#include <stdarg.h>
#include <time.h>

#include "bridge/base/json.h"
#include "bridge/base/log.h"
#include "bridge/base/str.h"

#define PROGRESS_MS 200
#define LIFE_MS     5000
#define TEXT_MAX    500

int sb_result_fail(struct sb_result *result, enum sb_cause cause, const char *fmt, ...)
{
    if (result->cause != SB_CAUSE_NONE)
        return -1;
    va_list ap;
    va_start(ap, fmt);
    sb_set_vformat(&result->text, fmt, ap);
    va_end(ap);
    result->cause = cause;
    return -1;
}

int sb_result_fail_errno(struct sb_result *result, int error, const char *what)
{
    switch (error) {
    case ENOSPC:
    case EDQUOT:
        return sb_result_fail(result, SB_CAUSE_NO_SPACE, "%s: no space left", what);
    case EFBIG:
        return sb_result_fail(result, SB_CAUSE_NO_SPACE, "%s: larger than allowed", what);
    case ENOMEM:
        return sb_result_fail(result, SB_CAUSE_NO_MEMORY, "%s: out of memory", what);
    default:
        return sb_result_fail(result, SB_CAUSE_INTERNAL, "%s: %s", what, strerror(error));
    }
}

void sb_result_clear(struct sb_result *result)
{
    free(result->text);
    *result = (struct sb_result){ 0 };
}

int64_t sb_tell_clock(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void say(json_t *line)
{
    sb_cleanup(sb_freep) char *json = sb_json_text(line);
    sb_cleanup(sb_freep) char *text = json ? sb_format("%s\n", json) : NULL;
    for (const char *p = text; p && *p;) {
        ssize_t n = write(STDOUT_FILENO, p, strlen(p));
        if (n < 0 && errno != EINTR)
            _exit(1); /* nobody listens any more */
        p += n > 0 ? n : 0;
    }
}

void sb_tell_progress(int64_t received, int64_t total)
{
    static int64_t last_time, last_received = -1;
    int64_t age = sb_tell_clock() - last_time;
    if (last_time && age < (received == last_received ? LIFE_MS : PROGRESS_MS))
        return;
    last_time = sb_tell_clock();
    last_received = received;
    sb_cleanup(json_decrefp) json_t *line =
        json_pack("{s:I,s:I}", "received", (json_int_t)received, "total", (json_int_t)total);
    say(line);
}

void sb_tell_wanted(int64_t offset)
{
    sb_cleanup(json_decrefp) json_t *line = json_pack("{s:I}", "wanted", (json_int_t)offset);
    say(line);
}

void sb_tell_end(const struct sb_result *result, const char *sha256, int64_t received,
                 int64_t total)
{
    sb_cleanup(sb_freep) char *shown = result->text ? sb_redact(result->text) : NULL;
    struct sb_str text = { 0 };
    if (shown)
        for (const char *p = shown; *p && p < shown + TEXT_MAX; p++) /* a server's bytes, perhaps */
            sb_str_add_char(&text, (char)(*p >= ' ' && *p <= '~' ? *p : '?'));
    sb_cleanup(json_decrefp) json_t *line =
        json_pack("{s:b,s:s,s:s*,s:s*,s:I,s:I}", "done", 1, "cause",
                  sb_cause_name((int)result->cause), "text", shown ? sb_str_get(&text) : NULL,
                  "sha256", sha256, "received", (json_int_t)received, "total", (json_int_t)total);
    say(line);
    sb_str_done(&text);
}
