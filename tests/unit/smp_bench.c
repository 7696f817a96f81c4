/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/smp_bench.h"

#include "adapters/devices/smp/driver.h"

#define SIMULATOR "tests/simulators/smp_device.py"

static const struct bench_kind kind = { .driver = &sb_smp_driver,
                                        .type = "verify: hash\nrestart: 6s\n" };

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
    static const char *const quick[] = { "--boot-time", "0.15", "--reset-delay", "0.1", NULL };
    va_list more;
    va_start(more, bench);
    bench_simulate(bench, SIMULATOR, quick, more, "up");
    va_end(more);
}

const char *bench_image(struct bench *bench, const char *name, const char *version, int size,
                        const char *option)
{
    return bench_make_image(bench, SIMULATOR, name, version, size, option);
}
