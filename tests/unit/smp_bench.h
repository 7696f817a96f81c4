/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bench for tests of the driver "smp": the simulated device and its images.
 */
#pragma once

#include "tests/unit/device_bench.h"

int bench_setup(void **state);
/* Loads the device type: `smp` are lines of its smp: section, `rest` further sections; or NULL. */
void bench_type(struct bench *bench, const char *smp, const char *rest);
/* Starts the device with further arguments (NULL-terminated); its flash is kept over restarts. */
void bench_device(struct bench *bench, ...);
/* "VERSION" with a size; the file's path is borrowed until the end. */
const char *bench_image(struct bench *bench, const char *name, const char *version, int size,
                        const char *option);
