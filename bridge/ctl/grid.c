/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/ctl/grid.h"

#define GAP 2

struct cell {
    char *text;
    enum sb_ink ink;
};

struct sb_grid {
    const struct sb_grid_column *columns;
    size_t column_count;
    struct cell *cells;
    size_t count, room;
    bool broken;
};

struct sb_grid *sb_grid_new(const struct sb_grid_column *columns, size_t count)
{
    struct sb_grid *grid = calloc(1, sizeof(*grid));
    if (grid)
        *grid = (struct sb_grid){ .columns = columns, .column_count = count };
    return grid;
}

struct sb_grid *sb_grid_free(struct sb_grid *grid)
{
    for (size_t i = 0; grid && i < grid->count; i++)
        free(grid->cells[i].text);
    if (grid)
        free(grid->cells);
    free(grid);
    return NULL;
}

void sb_grid_take(struct sb_grid *grid, enum sb_ink ink, char *text)
{
    if (!grid || !text) {
        if (grid)
            grid->broken = true;
        free(text);
        return;
    }
    if (grid->count == grid->room) {
        size_t room = grid->room ? 2 * grid->room : 64;
        struct cell *grown = reallocarray(grid->cells, room, sizeof(*grown));
        if (!grown) {
            grid->broken = true;
            free(text);
            return;
        }
        grid->cells = grown;
        grid->room = room;
    }
    grid->cells[grid->count++] = (struct cell){ text, ink };
}

void sb_grid_add(struct sb_grid *grid, enum sb_ink ink, const char *text)
{
    sb_grid_take(grid, ink, strdup(text && *text ? text : "-"));
}

void sb_grid_number(struct sb_grid *grid, int64_t number)
{
    sb_grid_take(grid, SB_INK_PLAIN, sb_format("%lld", (long long)number));
}

void sb_grid_blank(struct sb_grid *grid)
{
    sb_grid_take(grid, SB_INK_PLAIN, strdup(""));
}

size_t sb_grid_rows(const struct sb_grid *grid)
{
    return grid ? grid->count / grid->column_count : 0;
}

/* ---- widths ---- */

static void measure(const struct sb_grid *grid, size_t *widths)
{
    for (size_t i = 0; i < grid->column_count; i++)
        widths[i] = sb_text_width(grid->columns[i].title);
    for (size_t i = 0; i < grid->count; i++) {
        size_t *width = &widths[i % grid->column_count];
        *width = SB_MAX(*width, sb_text_width(grid->cells[i].text));
    }
}

/* The column that can best spare a character: the widest of those above what they keep. */
static size_t *spare(const struct sb_grid *grid, size_t *widths)
{
    size_t *found = NULL;
    for (size_t i = 0; i < grid->column_count; i++) {
        unsigned keep = grid->columns[i].keep;
        if (keep > 0 && widths[i] > keep && (!found || widths[i] > *found))
            found = &widths[i];
    }
    return found;
}

static void narrow(const struct sb_grid *grid, size_t *widths, size_t limit)
{
    size_t total = GAP * (grid->column_count - 1);
    size_t *widest;
    for (size_t i = 0; i < grid->column_count; i++)
        total += widths[i];
    for (; total > limit && (widest = spare(grid, widths)); total--)
        (*widest)--;
}

/* ---- rendering ---- */

static void render_cell(const struct sb_grid *grid, const struct sb_style *style, size_t column,
                        size_t width, const struct cell *cell, struct sb_str *out)
{
    struct sb_str text = { 0 };
    bool last = column + 1 == grid->column_count;
    size_t used = sb_text_fit(&text, cell->text, width, style->utf8);
    size_t pad = width > used ? width - used : 0;
    if (grid->columns[column].right)
        sb_text_pad(out, pad);
    sb_text_ink(out, style, cell->ink);
    sb_str_add(out, sb_str_get(&text));
    sb_text_ink_end(out, style, cell->ink);
    if (!grid->columns[column].right && !last)
        sb_text_pad(out, pad);
    if (last)
        sb_str_add_char(out, '\n');
    else
        sb_text_pad(out, GAP);
    out->broken |= text.broken;
    sb_str_done(&text);
}

bool sb_grid_render(const struct sb_grid *grid, const struct sb_style *style, struct sb_str *out)
{
    if (!grid || grid->broken)
        return false;
    sb_cleanup(sb_freep) size_t *widths = calloc(grid->column_count, sizeof(*widths));
    if (!widths)
        return false;
    measure(grid, widths);
    if (style->width > 0)
        narrow(grid, widths, style->width);
    for (size_t i = 0; i < grid->column_count; i++) {
        struct cell title = { (char *)grid->columns[i].title, SB_INK_BOLD };
        render_cell(grid, style, i, widths[i], &title, out);
    }
    for (size_t i = 0; i < grid->count; i++)
        render_cell(grid, style, i % grid->column_count, widths[i % grid->column_count],
                    &grid->cells[i], out);
    return !out->broken;
}
