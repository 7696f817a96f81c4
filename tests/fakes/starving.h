/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conversations with their first, second, ... allocation failing: each step ends with -ENOMEM until
 * there is enough, leaves nothing behind and a state that can go on. The acts of a trial work on a
 * world that the test has.
 */
#pragma once

#include "tests/fakes/core.h"
#include "tests/fakes/starved.h"

typedef void (*starve_act)(void);

struct starve_trial {
    starve_act before, between; /* how it came to that, with memory; or NULL */
    starve_act trial;
    bool idle; /* it may allocate nothing */
};

/* fresh: a new world. goes_on: it works again, which the test asserts; and ends. */
void starve_steps(const struct starve_trial *trials, size_t count, struct core *(*fresh)(void),
                  void (*goes_on)(starve_act trial));
/* A state saved and read back is the same. */
void starve_keeping(const struct sb_dialect_ops *dialect, const void *state);
