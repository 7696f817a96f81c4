/* SPDX-License-Identifier: Apache-2.0 */
/* Linked into a test that has no main() of its own. */
#include "tests/test.h"

int main(void)
{
    return sb_tests_run(NULL, NULL);
}
