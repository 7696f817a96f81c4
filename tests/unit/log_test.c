/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log as its reader sees it: stderr is caught in a pipe, and what would go to the journal is
 * taken here.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>

#include "bridge/base/datagram.h"
#include "bridge/base/log.h"
#include "bridge/base/str.h"
#include "bridge/base/time.h"
#include "tests/test.h"

#define ENTRY_MAX 2048

static struct sb_str journal;
static int journal_answer;
static int64_t journal_wait;

/* In place of the real one. */
int sb_datagram_send(const char *path, const struct iovec *parts, size_t count, int64_t wait)
{
    journal_wait = wait;
    assert_string_equal(path, "/run/systemd/journal/socket");
    for (size_t i = 0; i < count && journal_answer == 0; i++)
        sb_str_add_bytes(&journal, parts[i].iov_base, parts[i].iov_len);
    return journal_answer;
}

static int caught[2] = { -1, -1 };
static int real_stderr = -1;

static void catch_begin(void)
{
    assert_int_equal(pipe2(caught, O_CLOEXEC), 0);
    real_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    assert_true(real_stderr >= 0);
    assert_int_equal(dup2(caught[1], STDERR_FILENO), STDERR_FILENO);
    (void)close(caught[1]);
}

/* What was written since, to be freed. */
static char *catch_end(void)
{
    assert_int_equal(dup2(real_stderr, STDERR_FILENO), STDERR_FILENO); /* the pipe's last writer */
    (void)close(real_stderr);
    struct sb_str text = { 0 };
    char piece[512];
    for (ssize_t n; (n = read(caught[0], piece, sizeof(piece))) > 0;)
        sb_str_add_bytes(&text, piece, (size_t)n);
    (void)close(caught[0]);
    return sb_str_take(&text);
}

/* The line without its stamp, which is checked; to be freed. */
static char *unstamped(const char *line)
{
    int64_t ms = 0;
    assert_int_equal(strncmp(line, "ts=", 3), 0);
    assert_true(strlen(line) > 28);
    sb_cleanup(sb_freep) char *stamp = strndup(line + 3, 24);
    assert_int_equal(sb_time_from_iso8601(stamp, &ms), 0);
    assert_true(ms > 0);
    assert_int_equal(line[27], ' ');
    return strdup(line + 28);
}

#define LINE_IS(expected, ...)                                                                     \
    do {                                                                                           \
        catch_begin();                                                                             \
        sb_log(__VA_ARGS__);                                                                       \
        sb_cleanup(sb_freep) char *line_ = catch_end();                                            \
        sb_cleanup(sb_freep) char *rest_ = unstamped(line_);                                       \
        assert_string_equal(rest_, expected);                                                      \
    } while (0)

static int setup(void **state)
{
    (void)state;
    (void)unsetenv("JOURNAL_STREAM");
    sb_log_setup(SB_LOG_INFO, SB_LOG_LOGFMT);
    return 0;
}

SB_TEST(lines_have_fields, setup)
{
    LINE_IS("level=info msg=\"started 3\"\n", SB_LOG_INFO, NULL, "started %d", 3);
    LINE_IS("level=error msg=\"x\" job=7 task=9 device=pump-1 link=factory bus=/dev/ttyS0\n",
            SB_LOG_ERROR,
            SB_AT(.job = 7, .task = 9, .device = "pump-1", .link = "factory", .bus = "/dev/ttyS0"),
            "x");
    LINE_IS("level=notice msg=\"\" device=\"\" link=\"a b\" bus=\"a=\\\"b\\\"\"\n", SB_LOG_NOTICE,
            SB_AT(.device = "", .link = "a b", .bus = "a=\"b\""), "%s", "");
    errno = ENOENT;
    LINE_IS("level=warning msg=\"No such file or directory\"\n", SB_LOG_WARNING, NULL, "%m");
}

SB_TEST(errno_is_kept, setup)
{
    catch_begin();
    (void)close(STDERR_FILENO); /* the write fails, and nobody hears of it */
    errno = EPROTO;
    sb_error(NULL, "into the void");
    assert_int_equal(errno, EPROTO);
    sb_cleanup(sb_freep) char *nothing = catch_end();
    assert_string_equal(nothing, "");
}

SB_TEST(levels_select, setup)
{
    for (int limit = 0; limit < SB_LOG_MAX_; limit++) {
        sb_log_setup((enum sb_log_level)limit, SB_LOG_LOGFMT);
        catch_begin();
        sb_error(NULL, "x");
        sb_warning(NULL, "x");
        sb_notice(NULL, "x");
        sb_info(NULL, "x");
        sb_debug(NULL, "x");
        sb_cleanup(sb_freep) char *text = catch_end();
        int lines = 0;
        for (const char *p = text; *p; p++)
            lines += *p == '\n';
        assert_int_equal(lines, limit + 1);
        assert_int_equal(sb_log_level_from_name(sb_log_level_name(limit)), limit);
    }
    assert_int_equal(sb_log_format_from_name("journal"), SB_LOG_JOURNAL);
}

static void redacted_to(const char *text, const char *expected)
{
    sb_cleanup(sb_freep) char *shown = sb_redact(text);
    assert_string_equal(shown, expected);
}

SB_TEST(uris_lose_their_secrets, setup)
{
    static const char *const cases[][2] = {
        { "get https://host/a/b.bin now", "get https://host/a/b.bin now" },
        { "get https://u:pw@host/a?sig=1&x=2#f now", "get https://***@host/a?*** now" },
        { "mqtt://only@host:1883", "mqtt://***@host:1883" },
        { "a://u:p@ss@h/x", "a://***@h/x" },
        { "h1://u:p@h,h2://v:q@h/@?k", "h1://***@h,h2://***@h/@?***" },
        { "'https://h/x?sig=a', then", "'https://h/x?***', then" },
        { "(see https://h/x?sig=a).", "(see https://h/x?***)." },
        { "{\"url\":\"https://h/x?sig=a\",\"n\":1}", "{\"url\":\"https://h/x?***\",\"n\":1}" },
        { "<https://h/?a=b>;", "<https://h/?***>;" },
        { "GET /files/1?token=abc HTTP/1.1", "GET /files/1?*** HTTP/1.1" },
        { "uri=/files/1?token=abc", "uri=/files/1?***" },
        { "//u:p@h/x", "//***@h/x" },
        { "https://h/x?", "https://h/x?" },
        { "https://h/p@th", "https://h/p@th" },
        { "mail to me@host?", "mail to me@host?" },
        { "$iothub/twin/GET/?$rid=1", "$iothub/twin/GET/?$rid=1" },
        { "either/or?yes", "either/or?yes" },
        { "https://h/a\nb?c https://u@h", "https://h/a\\nb?c https://***@h" },
        { "://", "://" },
        { "x://@h", "x://@h" },
        { "", "" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++)
        redacted_to(cases[i][0], cases[i][1]);
    redacted_to(NULL, "");
}

SB_TEST(registered_secrets_are_hidden, setup)
{
    sb_log_secret("hunter2");
    sb_log_secret("hunter2"); /* two settings may hold the same */
    sb_log_secret("ter2xyz");
    sb_log_secret("abc"); /* too short */
    sb_log_secret(NULL);
    redacted_to("hunter2", "***");
    redacted_to("pw=hunter2, again hunter2hunter2!", "pw=***, again ***!");
    redacted_to("hunter2xyz", "***"); /* they overlap */
    redacted_to("hunter abc", "hunter abc");
    LINE_IS("level=info msg=\"is ***\" device=***\n", SB_LOG_INFO, SB_AT(.device = "hunter2"),
            "is %s", "hunter2");
    sb_log_forget("hunter2");
    redacted_to("hunter2", "***"); /* the other one stays */
    sb_log_forget("hunter2");
    redacted_to("hunter2", "hunter2");
    redacted_to("hunter2xyz", "hun***");
    sb_log_forget("hunter2");
    sb_log_forget("never known");
    sb_log_forget(NULL);
    sb_log_forget("ter2xyz");
    redacted_to("hunter2xyz", "hunter2xyz");
}

SB_TEST(repeated_pattern_is_hidden_whole, setup)
{
    sb_log_secret("abab");
    redacted_to("xababab", "x***");
    sb_log_forget("abab");
}

SB_TEST(foreign_text_is_made_safe, setup)
{
    static const char *const cases[][2] = {
        { "a\nb\r\tc\x1b[31m\x7f", "a\\nb\\r\\tc\\x1b[31m\\x7f" },
        { "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x94\xa7",
          "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x94\xa7" },
        { "\xff\xc3", "\\xff\\xc3" },
        { "\xc3(", "\\xc3(" },
        { "\xc0\xaf", "\\xc0\\xaf" },                   /* overlong */
        { "\xe0\x80\xaf", "\\xe0\\x80\\xaf" },          /* overlong */
        { "\xed\xa0\x80", "\\xed\\xa0\\x80" },          /* surrogate */
        { "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" }, /* past U+10FFFF */
        { "\xf0\x9f\x94", "\\xf0\\x9f\\x94" },          /* cut off */
        /* NOLINTBEGIN(misc-misleading-bidirectional): not to mislead the log's reader */
        { "\xc2\x85\xe2\x80\xae\xe2\x80\xa8", "\\u0085\\u202e\\u2028" },
        { "\xe2\x80\x8e\xe2\x81\xa6\xef\xbb\xbf\xe2\x80\x90", "\\u200e\\u2066\\ufeff\xe2\x80\x90" },
        /* NOLINTEND(misc-misleading-bidirectional) */
        { "say \"hi\" \\", "say \"hi\" \\" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++)
        redacted_to(cases[i][0], cases[i][1]);
    LINE_IS("level=info msg=\"one\\nlevel=error \\\"two\\\" \\\\\"\n", SB_LOG_INFO, NULL, "%s",
            "one\nlevel=error \"two\" \\");
}

static char *repeat(const char *unit, size_t n)
{
    struct sb_str s = { 0 };
    for (size_t i = 0; i < n; i++)
        sb_str_add(&s, unit);
    return sb_str_take(&s);
}

SB_TEST(entries_are_bounded, setup)
{
    sb_cleanup(sb_freep) char *fits = repeat("x", ENTRY_MAX);
    redacted_to(fits, fits);
    static const char *const units[] = { "x", "\xe2\x82\xac", "\n", "\"", "\xff" };
    for (size_t i = 0; i < SB_COUNT(units); i++) {
        sb_cleanup(sb_freep) char *text = repeat(units[i], ENTRY_MAX + 1);
        sb_cleanup(sb_freep) char *shown = sb_redact(text);
        assert_true(strlen(shown) <= ENTRY_MAX && strlen(shown) > ENTRY_MAX - 6);
        assert_string_equal(shown + strlen(shown) - 3, "...");
        sb_cleanup(sb_freep) char *again = sb_redact(shown); /* not cut inside a character */
        assert_string_equal(again, shown);

        catch_begin();
        sb_info(SB_AT(.device = text, .link = "factory"), "%s", text);
        sb_cleanup(sb_freep) char *line = catch_end();
        assert_true(strlen(line) <= ENTRY_MAX);
        assert_non_null(strstr(line, "...\" device="));
        assert_string_equal(line + strlen(line) - 14, " link=factory\n");
    }
}

/* A secret that crosses the limit is not shown by half. */
SB_TEST(the_cut_comes_after_the_redaction, setup)
{
    sb_log_secret("do-not-show-this");
    sb_cleanup(sb_freep) char *head = repeat("x", ENTRY_MAX - 8);
    sb_cleanup(sb_freep) char *text = sb_format("%sdo-not-show-this and more", head);
    sb_cleanup(sb_freep) char *shown = sb_redact(text);
    assert_null(strstr(shown, "do-"));
    sb_log_forget("do-not-show-this");
}

static void stderr_as_journal(bool match)
{
    struct stat st;
    assert_int_equal(fstat(STDERR_FILENO, &st), 0);
    sb_cleanup(sb_freep) char *stream =
        sb_format("%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino + (match ? 0 : 1));
    assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
}

SB_TEST(journal_gets_fields, setup)
{
    sb_log_secret("hunter2");
    catch_begin();
    stderr_as_journal(true);
    sb_log_setup(SB_LOG_DEBUG, SB_LOG_AUTO);
    sb_warning(SB_AT(.job = 7, .device = "pump 1", .link = "l\n"),
               "at https://h/?q\nhunter2 \"x\"");
    sb_debug(NULL, "plain");
    sb_cleanup(sb_freep) char *lines = catch_end();
    sb_cleanup(sb_freep) char *sent = sb_str_take(&journal);
    assert_string_equal(lines, "");
    assert_string_equal(sent, "MESSAGE=at https://h/?***\\n*** \"x\"\nPRIORITY=4\n"
                              "SYSLOG_IDENTIFIER=unit_log\nJOB=7\nDEVICE=pump 1\nLINK=l\\n\n"
                              "MESSAGE=plain\nPRIORITY=7\nSYSLOG_IDENTIFIER=unit_log\n");
    sb_log_forget("hunter2");
}

SB_TEST(journal_that_fails_falls_back, setup)
{
    catch_begin();
    stderr_as_journal(true);
    sb_log_setup(SB_LOG_INFO, SB_LOG_AUTO);
    journal_answer = -ENOBUFS;
    sb_info(NULL, "still told");
    journal_answer = 0;
    sb_cleanup(sb_freep) char *lines = catch_end();
    assert_non_null(strstr(lines, "msg=\"still told\""));
}

/* A pipe that nobody reads; the test would hang in a write. */
static void fill_stderr(void)
{
    assert_true(fcntl(caught[0], F_SETPIPE_SZ, 8192) >= 8192);
    for (int i = 0; i < 100; i++)
        sb_info(NULL, "%01000d", i);
}

static void empty_stderr(void)
{
    char piece[8192];
    assert_true(read(caught[0], piece, sizeof(piece)) > 0);
}

SB_TEST(nobody_waits_for_a_reader_that_stopped, setup)
{
    catch_begin();
    fill_stderr();
    empty_stderr();
    sb_info(NULL, "read again");
    sb_cleanup(sb_freep) char *lines = catch_end();
    const char *told = strstr(lines, " log entries were lost: who reads the log was too slow\"\n");
    assert_non_null(told);
    assert_non_null(strstr(told, "level=info msg=\"read again\"\n"));
    LINE_IS("level=info msg=\"once\"\n", SB_LOG_INFO, NULL, "once"); /* nothing more is told */
}

SB_TEST(nobody_waits_for_a_journal_that_stopped, setup)
{
    catch_begin();
    stderr_as_journal(true);
    sb_log_setup(SB_LOG_INFO, SB_LOG_AUTO);
    journal_answer = -EAGAIN;
    sb_info(NULL, "by the other way");
    assert_int_equal(journal_wait, 200);
    sb_info(NULL, "at once");
    assert_int_equal(journal_wait, 0);
    fill_stderr();
    journal_answer = 0;
    sb_info(NULL, "read again");
    sb_info(NULL, "as ever");
    assert_int_equal(journal_wait, 200);
    sb_cleanup(sb_freep) char *lines = catch_end();
    sb_cleanup(sb_freep) char *sent = sb_str_take(&journal);
    assert_non_null(strstr(lines, "msg=\"at once\""));
    const char *told = strstr(sent, " log entries were lost");
    assert_non_null(told);
    assert_non_null(strstr(told, "MESSAGE=read again\n"));
}

/* JOURNAL_STREAM is inherited by children whose stderr goes elsewhere. */
SB_TEST(redirected_stderr_is_no_journal, setup)
{
    static const enum sb_log_format formats[] = { SB_LOG_AUTO, SB_LOG_LOGFMT, SB_LOG_JOURNAL };
    for (size_t i = 0; i < SB_COUNT(formats); i++) {
        if (formats[i] == SB_LOG_JOURNAL && access("/run/systemd/journal/socket", F_OK) == 0)
            continue; /* a journal does run here */
        catch_begin();
        stderr_as_journal(formats[i] == SB_LOG_LOGFMT); /* told so: the stream does not matter */
        sb_log_setup(SB_LOG_INFO, formats[i]);
        sb_info(NULL, "line");
        sb_cleanup(sb_freep) char *lines = catch_end();
        assert_non_null(strstr(lines, "msg=\"line\"\n"));
        assert_int_equal(journal.length, 0);
    }
}

static atomic_bool stop;

static void *churn(void *arg)
{
    while (!atomic_load(&stop)) {
        sb_log_secret(arg);
        sb_log_forget(arg);
    }
    return NULL;
}

/* Lines stay whole and the secret hidden while others come and go. */
SB_TEST(threads_may_share_it, setup)
{
    static char names[2][16] = { "first secret", "second secret" };
    pthread_t threads[2];
    sb_log_secret("hunter2");
    atomic_store(&stop, false);
    for (size_t i = 0; i < SB_COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, churn, names[i]), 0);
    for (int i = 0; i < 2000; i++)
        redacted_to("is hunter2", "is ***");
    atomic_store(&stop, true);
    for (size_t i = 0; i < SB_COUNT(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    sb_log_forget("hunter2");
    redacted_to("first secret hunter2", "first secret hunter2");
}
