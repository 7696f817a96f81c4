/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/dialog_bench.h"

#include <stdio.h>
#include <sys/stat.h>

#include "adapters/devices/dialog/driver.h"

#define SIMULATOR "tests/simulators/console_device.py"

static const struct bench_kind kind = { .driver = &sb_dialog_driver, .type = "" };

static char *board_type(void)
{
    sb_cleanup(sb_freep) char *path = bench_source("tests/simulators/console_board.yaml");
    FILE *file = fopen(path, "re");
    struct sb_str text = { 0 };
    char buffer[4096];
    size_t n;
    assert_non_null(file);
    while ((n = fread(buffer, 1, sizeof(buffer), file)) > 0)
        sb_str_add_bytes(&text, buffer, n);
    (void)fclose(file);
    return sb_str_take(&text);
}

/* A word that is not there would make the test test nothing. */
static char *replaced(const char *text, const char *old, const char *by)
{
    const char *at = strstr(text, old);
    if (!at)
        fail_msg("the board's type has no '%s'", old);
    return sb_format("%.*s%s%s", (int)(at - text), text, by, at + strlen(old));
}

/* The password of the board's login, in a file as an operator would keep it. */
static char *secrets(const struct bench *bench)
{
    sb_cleanup(sb_freep) char *path = bench_path(bench, "password");
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    (void)fputs("geheim-4711\n", file);
    (void)fclose(file);
    assert_int_equal(chmod(path, 0600), 0);
    return sb_format("dialog:\n  secrets: { password: 'file:%s' }\n", path);
}

void bench_type_with(struct bench *bench, ...)
{
    sb_cleanup(sb_freep) char *board = board_type(), *password = secrets(bench);
    char *text = replaced(board, "dialog:\n", password);
    va_list ap;
    va_start(ap, bench);
    for (const char *old; (old = va_arg(ap, const char *));) {
        char *next = replaced(text, old, va_arg(ap, const char *));
        free(text);
        text = next;
    }
    va_end(ap);
    bench_load_type(bench, text);
    free(text);
}

int bench_setup(void **state)
{
    struct bench *bench = bench_new(&kind);
    bench_type_with(bench, NULL);
    *state = bench;
    return 0;
}

void bench_device(struct bench *bench, ...)
{
    va_list more;
    va_start(more, bench);
    bench_simulate(bench, SIMULATOR, (const char *const[]){ NULL }, more, "up");
    va_end(more);
}

const char *bench_image(struct bench *bench, const char *version, int size)
{
    sb_cleanup(sb_freep) char *name = sb_format("%s-%d.img", version, size);
    bench->image.version = version;
    return bench_make_image(bench, SIMULATOR, name, version, size, NULL);
}

bool bench_said(const struct bench *bench, const char *text)
{
    return bench->outcome.transcript && strstr(bench->outcome.transcript, text);
}
