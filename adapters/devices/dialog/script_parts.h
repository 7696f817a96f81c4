/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files that read and check scripts share. Private to them.
 */
#pragma once

#include "adapters/devices/dialog/script.h"
#include "bridge/config/yaml.h"

struct sb_dialog_scripts {
    const struct sb_yaml *map;
    struct sb_field *fields; /* one per script: a list of steps */
    struct sb_array *lists;
    struct sb_dialog_script *scripts;
    size_t count;
};

/* Where step `index` stands, and an alternative of it; never NULL when the script was read. */
const struct sb_yaml *sb_dialog_step_yaml(const struct sb_dialog_script *script, size_t index);
const struct sb_yaml *sb_dialog_alternative_yaml(const struct sb_dialog_script *script, size_t step,
                                                 size_t alternative);
/* All ways out of a step: calls fn for each, with the place it stands at. */
typedef void (*sb_dialog_then_fn)(void *arg, const struct sb_dialog_then *then,
                                  const struct sb_yaml *at);
void sb_dialog_each_then(const struct sb_dialog_script *script, size_t step, sb_dialog_then_fn fn,
                         void *arg);
/* Marks the scripts that are played with this one, itself too. How deep the calls go; it is not
 * followed further than one call beyond SB_DIALOG_DEPTH. */
int sb_dialog_called(const struct sb_dialog_scripts *scripts, int index,
                     bool ret[SB_DIALOG_SCRIPTS]);
