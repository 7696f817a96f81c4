/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every test in C includes: cmocka with what it wants before it, and SB_TEST, by which a test
 * is written and thereby run, in the order of the file:
 *
 *     SB_TEST(name) { ... }
 *     SB_TEST(name, set_up, tear_down) { ... }
 *     SB_TEST_OF(struct world *w, name, set_up, tear_down) { ... what set_up() left in *state ... }
 *
 * SB_TEST in the environment is a pattern of those that are run. A program that has something to
 * do before its tests has a main() which ends with sb_tests_run(); another needs none.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SB_TEST(name, ...)                                                                         \
    static void name(void **state);                                                                \
    __attribute__((constructor)) static void add_##name(void)                                      \
    {                                                                                              \
        sb_test_add(#name, __LINE__, name, (const CMFixtureFunction[2]){ __VA_ARGS__ });           \
    }                                                                                              \
    static void name(__attribute__((unused)) void **state)
#define SB_TEST_OF(world, name, ...)                                                               \
    static void name##_of(world);                                                                  \
    SB_TEST(name, __VA_ARGS__)                                                                     \
    {                                                                                              \
        name##_of(*state);                                                                         \
    }                                                                                              \
    static void name##_of(__attribute__((unused)) world)

void sb_test_add(const char *name, int line, CMUnitTestFunction fn, const CMFixtureFunction *round);
int sb_tests_run(CMFixtureFunction set_up, CMFixtureFunction tear_down);
