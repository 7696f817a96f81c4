/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the show functions have in common: labelled values, tables, words for states.
 */
#pragma once

#include "bridge/ctl/ctl.h"
#include "bridge/ctl/grid.h"

/* "Label          value"; nothing for NULL or "". Foreign text: cleaned, not cut. */
void sb_show_field(struct sb_ctl *ctl, const char *label, enum sb_ink ink, const char *text);
void sb_show_field_take(struct sb_ctl *ctl, const char *label, char *text);    /* frees it */
void sb_show_time(struct sb_ctl *ctl, const char *label, int64_t wall);        /* 0: nothing */
void sb_show_json(struct sb_ctl *ctl, const char *label, const json_t *value); /* NULL: nothing */
/* A table after an empty line and its title; nothing when it has no rows. Frees it. */
void sb_show_grid(struct sb_ctl *ctl, const char *title, struct sb_grid *grid);
/* A table alone, or `otherwise` when it has no rows. Frees it. */
void sb_show_list(struct sb_ctl *ctl, struct sb_grid *grid, const char *otherwise);
/* Lines after an empty line and their title; nothing for NULL or "". Cleaned. */
void sb_show_lines(struct sb_ctl *ctl, const char *title, const char *text);
void sb_show_line(struct sb_ctl *ctl, const char *fmt, ...) SB_PRINTF(2, 3); /* cleaned */

/* A member of the daemon's answer that may be missing. */
static inline SB_UNUSED const char *sb_or(const char *text, const char *otherwise)
{
    return text ? text : otherwise;
}

enum sb_ink sb_ink_of_state(const char *state);       /* of a task */
enum sb_ink sb_ink_of_presence(const char *presence); /* of a device */
char *sb_compact(const json_t *value); /* a text bare, all else as JSON; caller frees */
char *sb_pairs(const json_t *object);  /* "a=1 b=x"; caller frees */
char *sb_says(const json_t *cell);     /* of a dialect's words; caller frees */
void sb_show_results(struct sb_ctl *ctl, const json_t *tasks); /* what was read, if anything */
