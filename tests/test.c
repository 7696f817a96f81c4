/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

static struct CMUnitTest tests[200];
static int lines[200];
static size_t test_count;

/* Who calls first is the linker's choice. */
void sb_test_add(const char *name, int line, CMUnitTestFunction fn, const CMFixtureFunction *round)
{
    if (test_count == sizeof(tests) / sizeof(tests[0]))
        abort();
    size_t at = test_count;
    while (at > 0 && lines[at - 1] > line)
        at--;
    memmove(&tests[at + 1], &tests[at], (test_count - at) * sizeof(tests[0]));
    memmove(&lines[at + 1], &lines[at], (test_count - at) * sizeof(lines[0]));
    tests[at] = (struct CMUnitTest){ name, fn, round[0], round[1], NULL };
    lines[at] = line;
    test_count++;
}

int sb_tests_run(CMFixtureFunction set_up, CMFixtureFunction tear_down)
{
    cmocka_set_test_filter(getenv("SB_TEST"));
    return test_count == 0 ? 1
                           : _cmocka_run_group_tests("tests", tests, test_count, set_up, tear_down);
}
