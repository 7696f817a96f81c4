/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scripts for a small world: each line of the input is a topic and a payload of the platform, or
 * "!" and an event of the world: a letter and up to three bytes. After each line the dialect looks
 * whether all is as it must be.
 */
#pragma once

#include "tests/fakes/core.h"

struct script_event {
    char what;
    unsigned a, b, c;
    const char *rest; /* behind the first of them */
    size_t n;
};

struct script {
    void (*event)(void *world, const struct script_event *event);
    void (*hears)(void *world, const char *topic, const void *payload, size_t n);
    void (*look)(void *world);
};
void script_run(const struct script *script, void *world, const uint8_t *data, size_t size);

void script_check(bool holds); /* else it ends */
/* Saved, read back and saved again it is the same. What was saved, a new reference. */
json_t *script_keeps(const struct sb_dialect_ops *dialect, const void *state);
/* The cause that a task of this state has. */
enum sb_cause script_cause(enum sb_task_state state, unsigned cause);

/* Events that worlds around a core have in common: (t)ask, (c)ause of refusals, read(y). */
void script_core_event(struct core *core, const struct script_event *event);
