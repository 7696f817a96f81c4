/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people see: texts cut and cleaned, tables in a given width, progress as lines and frames.
 */
#include <errno.h>
#include <time.h>

#include "bridge/base/time.h"
#include "bridge/ctl/grid.h"
#include "bridge/ctl/progress.h"
#include "bridge/ctl/screen.h"
#include "tests/test.h"

#define NOW INT64_C(1781092800000) /* 2026-06-10 12:00:00 UTC */

static const struct sb_style wide = { .utf8 = true, .now = NOW };

/* ---- texts ---- */

static void expect_fit(const char *text, size_t width, bool utf8, const char *expected)
{
    struct sb_str out = { 0 };
    size_t used = sb_text_fit(&out, text, width, utf8);
    assert_string_equal(sb_str_get(&out), expected);
    assert_int_equal(used, sb_text_width(expected));
    sb_str_done(&out);
}

static int begin_utc(void **state);
static int end_utc(void **state);

SB_TEST(test_width)
{
    assert_int_equal(sb_text_width(""), 0);
    assert_int_equal(sb_text_width("pump"), 4);
    assert_int_equal(sb_text_width("K\xc3\xbchler"), 6);
    assert_int_equal(sb_text_width("Ku\xcc\x88hler"), 6);           /* a combining mark */
    assert_int_equal(sb_text_width("\xe6\xb0\xb4\xe6\xb3\xb5"), 4); /* two wide characters */
    assert_int_equal(sb_text_width("\xf0\x9f\x94\xa7"), 2);
    assert_int_equal(sb_text_width("\xff\xfe"), 2); /* broken: one each */
}

SB_TEST(test_fit)
{
    expect_fit("pump-1", 0, true, "pump-1");
    expect_fit("pump-1", 6, true, "pump-1");
    expect_fit("pump-1", 5, true, "pump\xe2\x80\xa6");
    expect_fit("pump-1", 5, false, "pump~");
    expect_fit("pump-1", 1, true, "\xe2\x80\xa6");
    expect_fit("K\xc3\xbchler", 4, true, "K\xc3\xbch\xe2\x80\xa6");
    expect_fit("\xe6\xb0\xb4\xe6\xb3\xb5", 3, true, "\xe6\xb0\xb4\xe2\x80\xa6");
    expect_fit("\xe6\xb0\xb4\xe6\xb3\xb5", 2, true, "\xe2\x80\xa6"); /* half of one is none */
    expect_fit("K\xc3\xbchler", 0, false, "K?hler");
    expect_fit("\xe6\xb0\xb4", 0, false, "??"); /* as wide as it was */
}

static void expect_wrapped(size_t at, size_t width, const char *text, const char *expected)
{
    struct sb_str out = { 0 };
    sb_text_wrap(&out, at, width, text);
    assert_string_equal(sb_str_get(&out), expected);
    sb_str_done(&out);
}

SB_TEST(test_wrap)
{
    expect_wrapped(0, 0, "one two three", "one two three\n");
    expect_wrapped(0, 7, "one two three", "one two\nthree\n");
    expect_wrapped(2, 7, "one two three", "one\n  two\n  three\n");
    expect_wrapped(0, 3, "endless", "endless\n"); /* a word is not cut */
    expect_wrapped(0, 5, "\xc3\xbc\xc3\xbc \xc3\xbc\xc3\xbc",
                   "\xc3\xbc\xc3\xbc \xc3\xbc\xc3\xbc\n");
    expect_wrapped(0, 9, "", "\n");
}

/* Nothing that comes from a device or a cloud may steer the terminal. */
SB_TEST(test_clean)
{
    static const struct {
        const char *text, *shown;
    } cases[] = {
        { "a\x1b[31mred", "a?[31mred" },
        { "a\nb\tc\rd", "a b c d" },
        { "bell\a\x7f", "bell??" },
        { "c1\xc2\x9b"
          "31m",
          "c1?31m" },
        { "turn\xe2\x80\xaegnp.exe", "turn?gnp.exe" },
        { "isolate\xe2\x81\xa6x", "isolate?x" },
        { "line\xe2\x80\xa8next", "line?next" },
        { "cut \xe6\xb0", "cut ??" },
        { "long \xc0\xaf", "long ??" },         /* an overlong slash */
        { "half \xed\xa0\x80", "half ???" },    /* a surrogate */
        { "far \xf4\x90\x80\x80", "far ????" }, /* beyond U+10FFFF */
        { "far \xf7\xbf\xbf\xbf", "far ????" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++)
        expect_fit(cases[i].text, 0, true, cases[i].shown);
}

static void expect_text(char *text, const char *expected)
{
    assert_non_null(text);
    assert_string_equal(text, expected);
    free(text);
}

SB_TEST(test_times)
{
    assert_int_equal(setenv("TZ", "Europe/Berlin", 1), 0);
    tzset();
    expect_text(sb_text_time(NOW), "2026-06-10 14:00:00");
    expect_text(sb_text_time(0), "-");
    expect_text(sb_text_time(-5), "-");
    expect_text(sb_text_ago(NOW, NOW), "now");
    expect_text(sb_text_ago(NOW, NOW - 999), "now");
    expect_text(sb_text_ago(NOW, NOW - SB_SECOND), "1 s ago");
    expect_text(sb_text_ago(NOW, NOW - 59 * SB_SECOND), "59 s ago");
    expect_text(sb_text_ago(NOW, NOW - SB_MINUTE), "1 min ago");
    expect_text(sb_text_ago(NOW, NOW - 119 * SB_MINUTE), "1 h ago");
    expect_text(sb_text_ago(NOW, NOW - 49 * SB_HOUR), "2 d ago");
    expect_text(sb_text_ago(NOW, NOW + 2 * SB_HOUR), "in 2 h");
    expect_text(sb_text_ago(NOW, 0), "-");
    expect_text(sb_text_ago(NOW, INT64_MAX), "in 106751970552 d");
    expect_text(sb_text_when(NOW, NOW - SB_HOUR), "1 h ago");
    expect_text(sb_text_when(NOW, NOW - SB_DAY), "2026-06-09 14:00:00");
    expect_text(sb_text_when(NOW, 0), "-");
    expect_text(sb_text_clock(0), "0:00");
    expect_text(sb_text_clock(-7), "0:00");
    expect_text(sb_text_clock(67 * SB_SECOND), "1:07");
    expect_text(sb_text_clock(SB_HOUR + 2 * SB_MINUTE + 3 * SB_SECOND), "1:02:03");
    (void)unsetenv("TZ");
    tzset();
}

/* ---- tables ---- */

static const struct sb_grid_column columns[] = {
    { "ID", true, 0 },
    { "DEVICE", false, 6 },
    { "TEXT", false, 8 },
};

static struct sb_grid *two_rows(void)
{
    struct sb_grid *grid = sb_grid_new(columns, SB_COUNT(columns));
    sb_grid_number(grid, 7);
    sb_grid_add(grid, SB_INK_PLAIN, "pump-station-north");
    sb_grid_add(grid, SB_INK_GOOD, "all is well and quiet");
    sb_grid_number(grid, 1234);
    sb_grid_add(grid, SB_INK_PLAIN, "p");
    sb_grid_add(grid, SB_INK_PLAIN, NULL);
    return grid;
}

static void expect_grid(const struct sb_style *style, const char *expected)
{
    struct sb_str out = { 0 };
    struct sb_grid *grid = two_rows();
    assert_true(sb_grid_render(grid, style, &out));
    assert_string_equal(sb_str_get(&out), expected);
    sb_str_done(&out);
    sb_grid_free(grid);
}

SB_TEST(test_grid)
{
    expect_grid(&wide, "  ID  DEVICE              TEXT\n"
                       "   7  pump-station-north  all is well and quiet\n"
                       "1234  p                   -\n");
}

SB_TEST(test_grid_narrowed)
{
    expect_grid(&(struct sb_style){ .utf8 = true, .width = 40 },
                "  ID  DEVICE            TEXT\n"
                "   7  pump-station-no\xe2\x80\xa6  all is well and\xe2\x80\xa6\n"
                "1234  p                 -\n");
    /* never below what columns keep, even when that is too wide */
    expect_grid(&(struct sb_style){ .utf8 = false, .width = 10 }, "  ID  DEVICE  TEXT\n"
                                                                  "   7  pump-~  all is ~\n"
                                                                  "1234  p       -\n");
}

SB_TEST(test_grid_lines_fit)
{
    for (unsigned width = 22; width < 60; width++) {
        struct sb_str out = { 0 };
        struct sb_grid *grid = two_rows();
        assert_true(sb_grid_render(grid, &(struct sb_style){ .utf8 = true, .width = width }, &out));
        char *rest = out.text;
        for (char *line; (line = strsep(&rest, "\n"));)
            assert_true(sb_text_width(line) <= width);
        sb_str_done(&out);
        sb_grid_free(grid);
    }
}

SB_TEST(test_grid_colours)
{
    struct sb_str out = { 0 };
    struct sb_grid *grid = sb_grid_new(columns + 1, 2);
    sb_grid_add(grid, SB_INK_BAD, "x");
    sb_grid_add(grid, SB_INK_PLAIN, "a\x1b[0mb");
    assert_int_equal(sb_grid_rows(grid), 1);
    assert_true(sb_grid_render(grid, &(struct sb_style){ .utf8 = true, .color = true }, &out));
    assert_string_equal(sb_str_get(&out), "\x1b[1mDEVICE\x1b[0m  \x1b[1mTEXT\x1b[0m\n"
                                          "\x1b[31mx\x1b[0m       a?[0mb\n");
    sb_str_done(&out);
    sb_grid_free(grid);
}

SB_TEST(test_grid_without_memory)
{
    struct sb_str out = { 0 };
    struct sb_grid *grid = two_rows();
    sb_grid_take(grid, SB_INK_PLAIN, NULL); /* what an allocation that failed leaves */
    assert_false(sb_grid_render(grid, &wide, &out));
    assert_false(sb_grid_render(NULL, &wide, &out));
    assert_string_equal(sb_str_get(&out), "");
    sb_grid_free(grid);
}

/* ---- the screen ---- */

SB_TEST(test_redraw)
{
    struct sb_str out = { 0 };
    sb_screen_redraw(&out, 0, "one\ntwo\n");
    assert_string_equal(sb_str_get(&out), "one\x1b[K\ntwo\x1b[K\n\x1b[J");
    sb_str_done(&out);
    sb_screen_redraw(&out, 2, "only\n");
    assert_string_equal(sb_str_get(&out), "\r\x1b[2Aonly\x1b[K\n\x1b[J");
    sb_str_done(&out);
}

SB_TEST(test_screen_of_a_pipe)
{
    struct sb_style style;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    (void)unsetenv("COLUMNS");
    sb_screen_look(&style, ends[1]);
    assert_false(style.live);
    assert_false(style.color);
    assert_int_equal(style.width, 0);
    assert_int_equal(setenv("COLUMNS", "60", 1), 0);
    sb_screen_look(&style, ends[1]);
    assert_int_equal(style.width, 60);
    assert_int_equal(setenv("COLUMNS", "-3", 1), 0);
    sb_screen_look_again(&style, ends[1]);
    assert_int_equal(style.width, 0);
    assert_true(style.now > SB_CLOCK_UNSET_BEFORE);
    (void)unsetenv("COLUMNS");
    (void)close(ends[0]);
    (void)close(ends[1]);
}

/* ---- progress ---- */

static json_t *read_json(const char *text)
{
    json_error_t error;
    json_t *value = json_loads(text, 0, &error);
    if (!value)
        fail_msg("%s: %s", text, error.text);
    return value;
}

#define JOB                                                                                        \
    "{\"id\": 7, \"origin\": \"native\", \"operation\": \"firmware_update\", \"state\": "          \
    "\"active\", \"created\": 1781092733000, \"policy\": {}, \"tasks\": [%s]}"

static char *task_text(int id, const char *device, const char *rest)
{
    return sb_format("{\"id\": %d, \"job\": 7, \"device\": \"%s\", %s}", id, device, rest);
}

static struct sb_progress *job_with(const char *tasks)
{
    struct sb_progress *progress = sb_progress_new();
    sb_cleanup(sb_freep) char *text = sb_format(JOB, tasks);
    sb_cleanup(json_decrefp) json_t *job = read_json(text);
    assert_int_equal(sb_progress_job(progress, job), 0);
    return progress;
}

static void change(struct sb_progress *progress, int id, const char *device, const char *rest)
{
    sb_cleanup(sb_freep) char *text = task_text(id, device, rest);
    sb_cleanup(json_decrefp) json_t *task = read_json(text);
    assert_int_equal(sb_progress_task(progress, task), 0);
}

static void expect_lines(struct sb_progress *progress, const char *expected)
{
    struct sb_str out = { 0 };
    sb_progress_lines(progress, &wide, &out);
    assert_string_equal(sb_str_get(&out), expected);
    sb_str_done(&out);
}

#define QUEUED "\"state\": \"queued\", \"reason\": \"offline\""
#define STAMP  "2026-06-10 12:00:00  "

static int begin_utc(void **state)
{
    (void)state;
    (void)setenv("TZ", "UTC", 1);
    tzset();
    return 0;
}

static int end_utc(void **state)
{
    (void)state;
    (void)unsetenv("TZ");
    tzset();
    return 0;
}

SB_TEST(test_lines, begin_utc, end_utc)
{
    sb_cleanup(sb_freep) char *first = task_text(1, "a", QUEUED);
    struct sb_progress *progress = job_with(first);
    expect_lines(progress, STAMP "a  queued  waits: offline\n");
    expect_lines(progress, "");
    change(progress, 1, "a", "\"state\": \"downloading\", \"phase\": \"fetching\", \"percent\": 3");
    expect_lines(progress, STAMP "a  downloading  3 %  fetching\n");
    change(progress, 1, "a", "\"state\": \"downloading\", \"phase\": \"fetching\", \"percent\": 4");
    expect_lines(progress, ""); /* too little to tell */
    change(progress, 1, "a", "\"state\": \"downloading\", \"phase\": \"fetching\", \"percent\": 5");
    expect_lines(progress, STAMP "a  downloading  5 %  fetching\n");
    change(progress, 1, "a",
           "\"state\": \"queued\", \"reason\": \"retry\", \"attempt\": 2, \"cause\": \"timeout\", "
           "\"text\": \"silent\\u001b[2J\"");
    expect_lines(progress, STAMP "a  queued  waits: retry, attempt 2, timeout: silent?[2J\n");
    change(progress, 1, "a",
           "\"state\": \"succeeded\", \"text\": \"fine\", \"verified\": \"version\"");
    expect_lines(progress, STAMP "a  succeeded\n");
    sb_progress_free(progress);
}

/* A success that was read from less than the version says so. */
SB_TEST(test_a_doubtful_success, begin_utc, end_utc)
{
    sb_cleanup(sb_freep) char *first = task_text(1, "a", QUEUED);
    struct sb_progress *progress = job_with(first);
    expect_lines(progress, STAMP "a  queued  waits: offline\n");
    change(progress, 1, "a",
           "\"state\": \"succeeded\", \"text\": \"fine\", \"verified\": \"status\"");
    expect_lines(progress,
                 STAMP "a  succeeded  only the device's word for it, no version was read back\n");
    sb_progress_free(progress);
}

/* What is not the job's, or not a task, is refused and changes nothing. */
SB_TEST(test_malformed_events)
{
    static const char *const tasks[] = {
        "{}",
        "[]",
        "{\"id\": 1, \"job\": 8, \"device\": \"a\", \"state\": \"queued\"}",
        "{\"id\": 1, \"job\": 7, \"state\": \"queued\"}",
        "{\"id\": 1, \"job\": 7, \"device\": \"a\", \"state\": \"exploded\"}",
        "{\"id\": 1, \"job\": 7, \"device\": 5, \"state\": \"queued\"}",
        "{\"id\": 1, \"job\": 7, \"device\": \"a\", \"state\": \"queued\", \"percent\": 1000}",
    };
    struct sb_progress *progress = job_with("");
    struct sb_progress_sum sum;
    for (size_t i = 0; i < SB_COUNT(tasks); i++) {
        sb_cleanup(json_decrefp) json_t *task = read_json(tasks[i]);
        assert_int_equal(sb_progress_task(progress, task), -EBADMSG);
    }
    sb_cleanup(json_decrefp) json_t *nothing = json_object();
    assert_int_equal(sb_progress_job(progress, nothing), -EBADMSG);
    sb_progress_sum(progress, &sum);
    assert_int_equal(sum.tasks, 0);
    sb_progress_free(progress);
    progress = sb_progress_new();
    sb_cleanup(json_decrefp) json_t *early =
        read_json("{\"id\": 1, \"job\": 7, \"device\": \"a\", \"state\": \"queued\"}");
    assert_int_equal(sb_progress_task(progress, early), -EBADMSG); /* before its job */
    sb_progress_free(progress);
}

static void expect_frame(const struct sb_progress *progress, const struct sb_style *style,
                         const char *expected)
{
    struct sb_str out = { 0 };
    unsigned lines = sb_progress_frame(progress, style, &out);
    unsigned ends = 0;
    for (const char *p = sb_str_get(&out); *p; p++)
        ends += *p == '\n';
    assert_string_equal(sb_str_get(&out), expected);
    assert_int_equal(lines, ends);
    sb_str_done(&out);
}

SB_TEST(test_frame_of_one)
{
    const struct sb_style style = { .width = 64, .rows = 24, .live = true, .now = NOW };
    sb_cleanup(sb_freep) char *first =
        task_text(1, "pump-1",
                  "\"created\": 1781092733000, \"state\": \"downloading\", \"phase\": "
                  "\"transferring\", \"percent\": 43");
    struct sb_progress *progress = job_with(first);
    expect_frame(progress, &style, "pump-1    downloading  [###      ]  43%  1:07  transferring\n");
    change(progress, 1, "pump-1",
           "\"state\": \"succeeded\", \"verified\": \"hash\", \"percent\": 100");
    expect_frame(progress, &style, "pump-1    succeeded    [#########] 100%\n");
    change(progress, 1, "pump-1",
           "\"state\": \"failed\", \"percent\": 43, \"cause\": \"verify_failed\", \"text\": \"no "
           "signature\"");
    expect_frame(progress, &style,
                 "pump-1    failed       [###      ]  43%  verify_failed: no sig~\n");
    sb_progress_free(progress);
}

SB_TEST(test_frame_with_eighths)
{
    const struct sb_style style = { .width = 40, .utf8 = true, .live = true, .now = NOW };
    sb_cleanup(sb_freep) char *first = task_text(1, "a", "\"state\": \"running\", \"percent\": 50");
    struct sb_progress *progress = job_with(first);
    (void)state; /* 9 cells: four and a half */
    expect_frame(progress, &style,
                 "a         running      [\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88"
                 "\xe2\x96\x8c    ]  50%\n");
    sb_progress_free(progress);
}

/* Whatever the width, no line is wider: it would wrap and the frame could not be drawn again. */
SB_TEST(test_frames_fit)
{
    sb_cleanup(sb_freep) char *one = task_text(
        1, "a-device-with-a-very-long-name-indeed",
        "\"state\": \"installing\", \"phase\": \"writing\", \"percent\": 50, \"module\": \"m\", "
        "\"text\": \"\xe6\xb0\xb4\xe6\xb3\xb5 and a rather long sentence beside it\"");
    sb_cleanup(sb_freep) char *two = task_text(2, "b", QUEUED);
    sb_cleanup(sb_freep) char *both = sb_format("%s, %s", one, two);
    struct sb_progress *progress = job_with(both);
    for (unsigned width = 30; width < 120; width++) {
        const struct sb_style style = { .width = width, .utf8 = true, .rows = 10, .now = NOW };
        struct sb_str out = { 0 };
        assert_int_equal(sb_progress_frame(progress, &style, &out), 3);
        char *rest = out.text;
        for (char *line; (line = strsep(&rest, "\n"));)
            if (sb_text_width(line) >= width)
                fail_msg("%u: '%s' is %zu wide", width, line, sb_text_width(line));
        sb_str_done(&out);
    }
    sb_progress_free(progress);
}

/* Many devices: one bar for all, then those at work, as many as fit. */
SB_TEST(test_frame_of_many)
{
    const struct sb_style style = { .width = 100, .rows = 8, .now = NOW };
    struct sb_progress *progress = job_with("");
    for (int i = 1; i <= 10; i++) {
        sb_cleanup(sb_freep) char *device = sb_format("d%d", i);
        change(progress, i, device,
               i <= 2   ? "\"state\": \"succeeded\", \"verified\": \"hash\", \"percent\": 100"
               : i <= 8 ? "\"state\": \"running\", \"percent\": 50"
                        : "\"state\": \"queued\"");
    }
    expect_frame(progress, &style,
                 "job 7     active       [##########           ]  50%  "
                 "2 of 10 done, 6 active, 2 waiting  1:07\n"
                 "d3        running      [##########           ]  50%\n"
                 "d4        running      [##########           ]  50%\n"
                 "d5        running      [##########           ]  50%\n"
                 "d6        running      [##########           ]  50%\n"
                 "and 2 more\n");
    sb_progress_free(progress);
}

/* What fails among many is said above the frame, once. */
SB_TEST(test_losses, begin_utc, end_utc)
{
    const struct sb_style few = { .width = 100, .rows = 4, .now = NOW };
    const struct sb_style many = { .width = 100, .rows = 40, .now = NOW };
    struct sb_progress *progress = job_with("");
    struct sb_str out = { 0 };
    for (int i = 1; i <= 5; i++) {
        sb_cleanup(sb_freep) char *device = sb_format("d%d", i);
        change(progress, i, device, "\"state\": \"running\"");
    }
    change(progress, 2, "d2", "\"state\": \"failed\", \"cause\": \"timeout\"");
    sb_progress_losses(progress, &few, &out);
    assert_string_equal(sb_str_get(&out), STAMP "d2  failed  timeout\n");
    sb_str_done(&out);
    change(progress, 2, "d2", "\"state\": \"failed\", \"cause\": \"timeout\"");
    sb_progress_losses(progress, &few, &out);
    assert_string_equal(sb_str_get(&out), "");
    change(progress, 3, "d3", "\"state\": \"cancelled\", \"cause\": \"operator\"");
    sb_progress_losses(progress, &many, &out); /* there it has a line of its own */
    assert_string_equal(sb_str_get(&out), "");
    sb_str_done(&out);
    sb_progress_free(progress);
}

/* ---- the end ---- */

static void expect_end(const char *tasks, enum sb_exit code, const char *text)
{
    struct sb_progress *progress = job_with(tasks);
    struct sb_str out = { 0 };
    assert_int_equal(sb_progress_exit(progress), code);
    sb_progress_end(progress, &wide, &out);
    assert_string_equal(sb_str_get(&out), text);
    sb_str_done(&out);
    sb_progress_free(progress);
}

#define OK(id, device)                                                                             \
    "{\"id\": " id ", \"job\": 7, \"device\": \"" device                                           \
    "\", \"state\": \"succeeded\", \"verified\": \"hash\", "                                       \
    "\"target_version\": \"2.0\"}"
#define BAD(id, device, round)                                                                     \
    "{\"id\": " id ", \"job\": 7, \"device\": \"" device                                           \
    "\", \"state\": \"failed\", \"round\": " round                                                 \
    ", \"cause\": \"no_space\", \"text\": \"slot is full\"}"
#define GONE(id, device)                                                                           \
    "{\"id\": " id ", \"job\": 7, \"device\": \"" device "\", \"state\": \"cancelled\", "          \
    "\"cause\": \"operator\"}"

SB_TEST(test_ends)
{
    expect_end(OK("1", "a"), SB_EXIT_DONE, "job 7: a succeeded, version 2.0\n");
    expect_end(BAD("1", "a", "1"), SB_EXIT_FAILED, "job 7: a failed: no_space: slot is full\n");
    expect_end(GONE("1", "a"), SB_EXIT_CANCELLED, "job 7: a cancelled: operator\n");
    expect_end(OK("1", "a") ", " OK("2", "b"), SB_EXIT_DONE,
               "job 7: 2 of 2 succeeded, 0 failed, 0 cancelled\n");
    expect_end(OK("1", "a") ", " GONE("2", "b"), SB_EXIT_CANCELLED,
               "job 7: 1 of 2 succeeded, 0 failed, 1 cancelled\n");
    expect_end(GONE("1", "a") ", " BAD("2", "b", "1"), SB_EXIT_FAILED,
               "job 7: 0 of 2 succeeded, 1 failed, 1 cancelled\n");
    /* not over, whatever the daemon says */
    expect_end("{\"id\": 1, \"job\": 7, \"device\": \"a\", \"state\": \"running\"}", SB_EXIT_FAILED,
               "job 7: a running\n");
    expect_end("", SB_EXIT_DONE, "job 7: 0 of 0 succeeded, 0 failed, 0 cancelled\n");
}

/* A later round decides, in whichever order they come. */
SB_TEST(test_rounds, begin_utc, end_utc)
{
    expect_end(BAD("1", "a", "1") ", {\"id\": 2, \"job\": 7, \"device\": \"a\", \"round\": 2, "
                                  "\"state\": \"succeeded\", \"verified\": \"hash\"}",
               SB_EXIT_DONE, "job 7: a succeeded\n");
    expect_end("{\"id\": 2, \"job\": 7, \"device\": \"a\", \"round\": 2, \"state\": "
               "\"succeeded\", \"verified\": \"hash\"}, " BAD("1", "a", "1"),
               SB_EXIT_DONE, "job 7: a succeeded\n");
    expect_end(OK("1", "a") ", " BAD("2", "a", "2"), SB_EXIT_FAILED,
               "job 7: a failed: no_space: slot is full\n");
    struct sb_progress *progress = job_with(BAD("1", "a", "1") ", " OK("2", "b"));
    expect_lines(progress, STAMP "a  failed  no_space: slot is full\n" STAMP "b  succeeded\n");
    change(progress, 3, "a", "\"round\": 2, \"state\": \"queued\"");
    expect_lines(progress, STAMP "a  queued\n");
    change(progress, 1, "a", "\"round\": 1, \"state\": \"cancelled\"");
    expect_lines(progress, ""); /* of a round that is over nobody wants to hear */
    struct sb_progress_sum sum;
    sb_progress_sum(progress, &sum);
    assert_int_equal(sum.tasks, 2);
    assert_int_equal(sum.failed, 0);
    assert_int_equal(sum.waiting, 1);
    assert_int_equal(sum.percent, 50);
    sb_progress_free(progress);
}

/* The whole job again, as after a failure of the store: tasks are the same ones. */
SB_TEST(test_job_again, begin_utc, end_utc)
{
    struct sb_progress *progress = job_with(OK("1", "a"));
    struct sb_progress_sum sum;
    expect_lines(progress, STAMP "a  succeeded\n");
    sb_cleanup(sb_freep) char *text = sb_format(
        JOB, "{\"id\": 1, \"job\": 7, \"device\": \"a\", \"state\": \"running\", \"percent\": 90}");
    sb_cleanup(json_decrefp) json_t *job = read_json(text);
    assert_int_equal(sb_progress_job(progress, job), 0);
    sb_progress_sum(progress, &sum);
    assert_int_equal(sum.tasks, 1);
    assert_int_equal(sum.under_way, 1);
    expect_lines(progress, STAMP "a  running  90 %\n");
    sb_progress_free(progress);
}

/* A big job: every event is cheap. */
SB_TEST(test_many_tasks)
{
    struct sb_progress *progress = job_with("");
    struct sb_progress_sum sum;
    struct sb_str out = { 0 };
    for (int i = 1; i <= 5000; i++) {
        sb_cleanup(sb_freep) char *device = sb_format("d%d", i);
        change(progress, i, device, "\"state\": \"running\", \"percent\": 10");
        sb_progress_lines(progress, &wide, &out);
    }
    sb_progress_sum(progress, &sum);
    assert_int_equal(sum.tasks, 5000);
    assert_int_equal(sum.percent, 10);
    sb_str_done(&out);
    sb_progress_free(progress);
}
