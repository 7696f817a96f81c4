/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables for people: columns as wide as they need, narrowed where the terminal is narrower, cells
 * cut with an ellipsis. Cells are foreign text: they are cleaned. Pure.
 * Without memory a grid becomes broken and renders nothing.
 */
#pragma once

#include "bridge/ctl/text.h"

struct sb_grid_column {
    const char *title;
    bool right;    /* numbers */
    unsigned keep; /* columns it keeps when there is not enough room; 0: never narrowed */
};

struct sb_grid;
/* columns: borrowed for the grid's life. NULL: no memory. */
struct sb_grid *sb_grid_new(const struct sb_grid_column *columns, size_t count);
struct sb_grid *sb_grid_free(struct sb_grid *grid);
SB_DEFINE_CLEANUP(struct sb_grid *, sb_grid_free)

/* The next cell, left to right; NULL or "" shows "-". A new row begins by itself. */
void sb_grid_add(struct sb_grid *grid, enum sb_ink ink, const char *text);
void sb_grid_take(struct sb_grid *grid, enum sb_ink ink, char *text); /* frees it */
void sb_grid_number(struct sb_grid *grid, int64_t number);
void sb_grid_blank(struct sb_grid *grid); /* an empty cell: the same as above */
size_t sb_grid_rows(const struct sb_grid *grid);
/* Appends title and rows, each with a line end. False: no memory. */
bool sb_grid_render(const struct sb_grid *grid, const struct sb_style *style, struct sb_str *out);
