/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bench for tests of the driver "modbus": a simulated line with devices, and their type.
 */
#pragma once

#include "tests/unit/device_bench.h"

int bench_setup(void **state);
int bench_modbus_teardown(void **state);
/* Loads the device type: `modbus` are more lines of its modbus: section, `rest` of properties: and
 * what follows; NULL: the standard ones. */
void bench_type(struct bench *bench, const char *modbus, const char *rest);
/* A firmware part for bench_type(): the simulated bootloader's ways, with other lines of
 * `bootloader:` and further ones (or NULL). Borrowed until the next call. */
const char *bench_firmware(const char *bootloader, const char *more);
/* One line of devices: unit 1 with these members of JSON more (or NULL), and further arguments of
 * the simulator (NULL-terminated). */
void bench_line(struct bench *bench, const char *members, ...);
/* An image for the simulated device; the path is borrowed until the end of the program. */
const char *bench_image(struct bench *bench, const char *version, int size);
/* An update to a version: the job names it. */
enum sb_cause bench_update(struct bench *bench, const char *version, int size);
enum sb_cause bench_update_again(struct bench *bench, const char *version, int size,
                                 bool committed);
