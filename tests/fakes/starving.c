/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/starving.h"

#include "tests/fakes/starved.h"
#include "tests/test.h"

static int budget; /* what is left between two steps */

static void around(bool begins)
{
    if (begins) {
        starved_grant(budget);
    } else {
        budget = starved_left();
        starved_grant(STARVED_UNLIMITED);
    }
}

static bool attempt(const struct starve_trial *trial, int granted, struct core *(*fresh)(void),
                    void (*goes_on)(starve_act trial))
{
    struct core *core = fresh();
    if (trial->before)
        trial->before();
    if (trial->between)
        trial->between();
    budget = granted;
    core->around = around;
    trial->trial();
    core->around = NULL;
    bool failed = core->failed;
    goes_on(trial->trial);
    return failed;
}

void starve_steps(const struct starve_trial *trials, size_t count, struct core *(*fresh)(void),
                  void (*goes_on)(starve_act trial))
{
    for (size_t i = 0; i < count; i++) {
        int granted = 0;
        while (attempt(&trials[i], granted, fresh, goes_on))
            if (++granted > STARVED_MOST)
                fail_msg("trial %zu never ends", i);
        if (granted == 0 && !trials[i].idle)
            fail_msg("trial %zu allocates nothing", i);
    }
}

void starve_keeping(const struct sb_dialect_ops *dialect, const void *state)
{
    json_t *saved = dialect->save(state), *again = NULL;
    void *loaded = NULL;
    int granted = -1;
    while (!again && ++granted < STARVED_MOST) {
        starved_grant(granted);
        again = dialect->save(state);
        starved_grant(STARVED_UNLIMITED);
    }
    assert_true(granted > 0 && json_equal(saved, again));
    for (granted = -1; !loaded && ++granted < STARVED_MOST;) {
        starved_grant(granted);
        loaded = dialect->load(saved);
        starved_grant(STARVED_UNLIMITED);
    }
    assert_true(granted > 0 && loaded);
    json_t *resaved = dialect->save(loaded);
    assert_true(json_equal(saved, resaved));
    dialect->drop(loaded);
    json_decref(saved);
    json_decref(again);
    json_decref(resaved);
}
