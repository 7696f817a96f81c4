/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "bridge/base/datagram.h"
#include "bridge/base/redact.h"
#include "bridge/base/time.h"

#define FIELD_MAX ((size_t)128) /* bytes of one field's value as shown */
#define JOURNAL   "/run/systemd/journal/socket"
#define PATIENCE  200 /* ms */

SB_NAMES(sb_log_level, SB_LOG_MAX_, [SB_LOG_ERROR] = "error", [SB_LOG_WARNING] = "warning",
         [SB_LOG_NOTICE] = "notice", [SB_LOG_INFO] = "info", [SB_LOG_DEBUG] = "debug");
SB_NAMES(sb_log_format, SB_LOG_FORMAT_MAX_, [SB_LOG_AUTO] = "auto", [SB_LOG_LOGFMT] = "logfmt",
         [SB_LOG_JOURNAL] = "journal");

static atomic_int limit = SB_LOG_INFO;
static atomic_bool to_journal;
static atomic_bool journal_full, stderr_full; /* when last tried */
static atomic_uint lost;                      /* entries, not told of yet */

struct field {
    const char *name; /* in logfmt */
    const char *journal;
    const char *value; /* NULL: the entry has none */
};

enum { JOB, TASK, DEVICE, LINK, BUS, FIELDS };

struct entry {
    enum sb_log_level level;
    const char *text; /* not redacted yet */
    struct field fields[FIELDS];
};

/* systemd sets JOURNAL_STREAM=dev:inode; a redirected stderr no longer has them. */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat st;
    if (!stream || fstat(STDERR_FILENO, &st) < 0)
        return false;
    sb_cleanup(sb_freep) char *own =
        sb_format("%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    return sb_streq(stream, own);
}

static bool journal_runs(void)
{
    return access(JOURNAL, F_OK) == 0;
}

/* A line for each: none has a line break inside, since it is made visible. */
static void add_journal(struct sb_str *out, const char *name, const char *value, size_t most)
{
    sb_str_format(out, "%s=", name);
    sb_redact_to(out, value, false, most);
    sb_str_add_char(out, '\n');
}

static bool send_journal(const struct entry *entry)
{
    static const int priorities[] = { 3, 4, 5, 6, 7 }; /* syslog's */
    _Static_assert(SB_COUNT(priorities) == SB_LOG_MAX_, "a level without a priority");
    struct sb_str text = { 0 };
    add_journal(&text, "MESSAGE", entry->text, SB_REDACT_MAX);
    sb_str_format(&text, "PRIORITY=%d\nSYSLOG_IDENTIFIER=%s\n", priorities[entry->level],
                  program_invocation_short_name);
    for (int i = 0; i < FIELDS; i++)
        if (entry->fields[i].value)
            add_journal(&text, entry->fields[i].journal, entry->fields[i].value, FIELD_MAX);
    const struct iovec whole = { text.text, text.length };
    int64_t wait = atomic_load(&journal_full) ? 0 : PATIENCE;
    int r = text.broken ? -ENOMEM : sb_datagram_send(JOURNAL, &whole, 1, wait);
    atomic_store(&journal_full, r == -EAGAIN);
    sb_str_done(&text);
    return r == 0;
}

void sb_log_setup(enum sb_log_level level, enum sb_log_format format)
{
    atomic_store(&limit, (int)level);
    atomic_store(&to_journal, (format == SB_LOG_JOURNAL && journal_runs()) ||
                                  (format == SB_LOG_AUTO && stderr_is_journal()));
}

bool sb_log_wants(enum sb_log_level level)
{
    return (int)level <= atomic_load(&limit);
}

/* name=value, in quotes when a reader of logfmt would stumble without. */
static void add_field(struct sb_str *out, const char *name, const char *value)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "-._:/@+";
    bool quote = !*value || value[strspn(value, plain)];
    sb_str_format(out, quote ? " %s=\"" : " %s=", name);
    sb_redact_to(out, value, quote, FIELD_MAX);
    if (quote)
        sb_str_add_char(out, '"');
}

/* Room for any entry; an error shows when it is written. */
static bool stderr_has_room(void)
{
    struct pollfd out = { .fd = STDERR_FILENO, .events = POLLOUT };
    int n;
    do
        n = poll(&out, 1, atomic_load(&stderr_full) ? 0 : PATIENCE);
    while (n < 0 && errno == EINTR);
    atomic_store(&stderr_full, n == 0);
    return n != 0;
}

static void write_all(const char *text, size_t n)
{
    while (n > 0) {
        ssize_t r = write(STDERR_FILENO, text, n);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return; /* there is nowhere to complain */
        text += r;
        n -= (size_t)r;
    }
}

static int64_t now(void)
{
    struct timespec ts = { 0 };
    (void)clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * SB_SECOND + ts.tv_nsec / 1000000;
}

static bool send_line(const struct entry *entry)
{
    struct sb_str fields = { 0 };
    for (int i = 0; i < FIELDS; i++)
        if (entry->fields[i].value)
            add_field(&fields, entry->fields[i].name, entry->fields[i].value);
    sb_cleanup(sb_freep) char *stamp = sb_time_iso8601(now());
    struct sb_str line = { 0 };
    sb_str_format(&line, "ts=%s level=%s msg=\"", stamp ? stamp : "-",
                  sb_log_level_name((int)entry->level));
    size_t used = line.length + fields.length + 2; /* quote and newline */
    sb_redact_to(&line, entry->text, true, SB_REDACT_MAX - SB_MIN(used, SB_REDACT_MAX));
    sb_str_add_char(&line, '"');
    sb_str_add(&line, sb_str_get(&fields));
    sb_str_add_char(&line, '\n');
    static const char no_memory[] = "level=error msg=\"a log entry was lost: out of memory\"\n";
    bool room = stderr_has_room();
    if (room && (line.broken || fields.broken))
        write_all(no_memory, sizeof(no_memory) - 1);
    else if (room)
        write_all(line.text, line.length);
    sb_str_done(&line);
    sb_str_done(&fields);
    return room;
}

static bool deliver(const struct entry *entry)
{
    return (atomic_load(&to_journal) && send_journal(entry)) || send_line(entry);
}

static void tell_losses(void)
{
    unsigned n = atomic_exchange(&lost, 0);
    if (n == 0)
        return;
    sb_cleanup(sb_freep) char *text =
        sb_format("%u log entries were lost: who reads the log was too slow", n);
    if (!text || !deliver(&(struct entry){ .level = SB_LOG_WARNING, .text = text }))
        atomic_fetch_add(&lost, n);
}

static void emit(enum sb_log_level level, const struct sb_log_where *where, const char *text)
{
    static const struct sb_log_where nowhere;
    const struct sb_log_where *w = where ? where : &nowhere;
    sb_cleanup(sb_freep) char *job = w->job ? sb_format("%jd", (intmax_t)w->job) : NULL;
    sb_cleanup(sb_freep) char *task = w->task ? sb_format("%jd", (intmax_t)w->task) : NULL;
    struct entry entry = {
        .level = level,
        .text = text,
        .fields = { [JOB] = { "job", "JOB", job },
                    [TASK] = { "task", "TASK", task },
                    [DEVICE] = { "device", "DEVICE", w->device },
                    [LINK] = { "link", "LINK", w->link },
                    [BUS] = { "bus", "BUS", w->bus } },
    };
    tell_losses();
    if (!deliver(&entry))
        atomic_fetch_add(&lost, 1);
}

void sb_log(enum sb_log_level level, const struct sb_log_where *where, const char *fmt, ...)
{
    if (!sb_log_wants(level))
        return;
    int saved = errno; /* for %m here, and for the caller afterwards */
    struct sb_str text = { 0 };
    va_list ap;
    va_start(ap, fmt);
    sb_str_vformat(&text, fmt, ap);
    va_end(ap);
    emit(level, where, text.broken ? "a log entry was lost: out of memory" : sb_str_get(&text));
    sb_str_done(&text);
    errno = saved;
}
