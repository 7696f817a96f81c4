/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/smp_bench.h"

#include "adapters/devices/smp/driver.h"

#define ARGUMENTS 40

static const struct bench_kind kind = { .driver = &sb_smp_driver,
                                        .type = "verify: hash\nrestart: 6s\n" };

static char *simulator(void)
{
    return bench_source("tests/simulators/smp_device.py");
}

int bench_setup(void **state)
{
    struct bench *bench = bench_new(&kind);
    bench_type(bench, NULL, NULL);
    *state = bench;
    return 0;
}

void bench_type(struct bench *bench, const char *smp, const char *rest)
{
    sb_cleanup(sb_freep) char *text =
        sb_format("%ssmp:\n  timeout: 400ms\n  first_timeout: 600ms\n%s", rest ? rest : "",
                  smp ? smp : "  tries: 6\n");
    bench_load_type(bench, text);
}

void bench_device(struct bench *bench, ...)
{
    sb_cleanup(sb_freep) char *script = simulator(), *flash = bench_path(bench, "flash");
    const char *argv[ARGUMENTS] = { "/usr/bin/python3", script,        "run",
                                    "--state",          flash,         "--link",
                                    bench->link,        "--boot-time", "0.15",
                                    "--reset-delay",    "0.1" };
    size_t n = 11;
    va_list ap;
    va_start(ap, bench);
    for (const char *more; (more = va_arg(ap, const char *));) {
        assert_true(n < ARGUMENTS - 1);
        argv[n++] = more;
    }
    va_end(ap);
    bench_start(bench, argv, "up");
}

const char *bench_image(struct bench *bench, const char *name, const char *version, int size,
                        const char *option)
{
    static char *kept[8]; /* paths live until the next few images */
    static size_t next;
    sb_cleanup(sb_freep) char *script = simulator(), *number = sb_format("%d", size);
    char **slot = &kept[next++ % SB_COUNT(kept)];
    free(*slot);
    *slot = bench_path(bench, name);
    const char *const argv[] = { "/usr/bin/python3", script, "make-image", "--version", version,
                                 "--size",           number, *slot,        option,      NULL };
    assert_int_equal(bench_helper(bench, argv, "images"), 0);
    return *slot;
}
