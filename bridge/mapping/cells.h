/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One column of a dialect's words (sends, shows) as a table, and the check that it has no hole;
 * only for the files of this folder.
 */
#pragma once

#include "bridge/mapping/words.h"

enum sb_group { /* of operations that read alike */
                SB_GROUP_DOWNLOAD,
                SB_GROUP_INSTALL,
                SB_GROUP_UPDATE,
                SB_GROUP_ACTION, /* every other operation */
                SB_GROUP_MAX_,
};

struct sb_cells { /* every member set; cells are shared, so each holds a reference */
    json_t *states[SB_GROUP_MAX_][SB_TASK_STATE_MAX_]; /* but failed, cancelled */
    json_t *causes[SB_CAUSE_MAX_][SB_PHASE_MAX_];      /* but NONE */
};

enum sb_group sb_group_of(enum sb_op op);
/*
 * Reads the column `name` of the file. 0, -EINVAL with findings (*ret then has gaps), -ENOMEM;
 * *ret is valid to pass to sb_cells_done() either way.
 */
int sb_cells_read(const struct sb_yaml *root, const char *name,
                  const struct sb_dialect_shape *shape, struct sb_cells *ret,
                  struct sb_diags *diags) SB_MUST_CHECK;
void sb_cells_done(struct sb_cells *cells);
