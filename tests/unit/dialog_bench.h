/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bench for tests of the driver "dialog" with the simulated board and modem.
 */
#pragma once

#include "tests/unit/device_bench.h"

int bench_setup(void **state); /* with the board's type */
/* The board's type with some of its text replaced: pairs of (old, new), NULL-terminated. */
void bench_type_with(struct bench *bench, ...);
/* Starts the device with further arguments (NULL-terminated). */
void bench_device(struct bench *bench, ...);
/* An image, and what the next command says of its version; the path is borrowed until a few images
 * later. */
const char *bench_image(struct bench *bench, const char *version, int size);
bool bench_said(const struct bench *bench, const char *text); /* in the last transcript */
