/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structured log of the daemon. Programs log; base, codecs and machines stay silent.
 *
 * Goes to the journal (fields JOB, TASK, DEVICE, LINK, BUS) when stderr is the journal, else to
 * stderr as logfmt lines. Any thread. One formatter redacts: user:password@ and the query of a
 * URI, and every text registered as a secret (sb_log_secret) wherever it turns up.
 * Control characters of foreign text are escaped, one entry is at most 2 KiB.
 *
 * Nobody waits for a reader that has stopped: the first entry that finds no room waits 200 ms,
 * those after it not at all until there is some. What finds none is lost; how many were is told
 * with the next one.
 */
#pragma once

#include <stdint.h>

#include "bridge/base/names.h"
#include "bridge/base/util.h"

enum sb_log_level { SB_LOG_ERROR, SB_LOG_WARNING, SB_LOG_NOTICE, SB_LOG_INFO, SB_LOG_DEBUG, SB_LOG_MAX_ };
SB_NAMES_DECLARE(sb_log_level)

enum sb_log_format { SB_LOG_AUTO, SB_LOG_LOGFMT, SB_LOG_JOURNAL, SB_LOG_FORMAT_MAX_ };
SB_NAMES_DECLARE(sb_log_format)

struct sb_log_where { /* all optional */
    int64_t job, task;
    const char *device, *link, *bus;
};

void sb_log_setup(enum sb_log_level level, enum sb_log_format format);
bool sb_log_wants(enum sb_log_level level);
void sb_log(enum sb_log_level level, const struct sb_log_where *where, const char *fmt, ...)
    SB_PRINTF(3, 4);
/* Registers / forgets a text that must never be shown; shorter than 4 characters is ignored. */
void sb_log_secret(const char *text);
void sb_log_forget(const char *text);
/* The same redaction for other outputs (audit, CLI, diagnostics). Caller frees; NULL: no memory. */
char *sb_redact(const char *text);

#define SB_AT(...) (&(const struct sb_log_where){ __VA_ARGS__ })
#define sb_error(where, ...)   sb_log(SB_LOG_ERROR, where, __VA_ARGS__)
#define sb_warning(where, ...) sb_log(SB_LOG_WARNING, where, __VA_ARGS__)
#define sb_notice(where, ...)  sb_log(SB_LOG_NOTICE, where, __VA_ARGS__)
#define sb_info(where, ...)    sb_log(SB_LOG_INFO, where, __VA_ARGS__)
#define sb_debug(where, ...)                                                                       \
    do {                                                                                           \
        if (sb_log_wants(SB_LOG_DEBUG))                                                            \
            sb_log(SB_LOG_DEBUG, where, __VA_ARGS__);                                              \
    } while (0)
