/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/base/diag.h"

#include <ctype.h>

#include "bridge/base/str.h"

#define WORD_MAX 64 /* longer words get no suggestion; bounds the rows below */

static void diag_done(struct sb_diag *diag)
{
    free(diag->file);
    free(diag->text);
    *diag = (struct sb_diag){ 0 };
}

void sb_diags_done(struct sb_diags *diags)
{
    for (size_t i = 0; i < diags->count; i++)
        diag_done(&diags->list[i]);
    free(diags->list);
    *diags = (struct sb_diags){ 0 };
}

static int hold(struct sb_diags *diags, const struct sb_diag *diag)
{
    struct sb_diag *list =
        reallocarray(diags->list, diags->count + 1, sizeof(*list)); /* at most SB_DIAG_LIMIT */
    if (!list)
        return -ENOMEM;
    diags->list = list;
    diags->list[diags->count++] = *diag;
    return 0;
}

void sb_diags_add(struct sb_diags *diags, const char *file, int line, int column, const char *fmt,
                  ...)
{
    diags->total++; /* a finding that finds no memory still makes the check fail */
    if (diags->count >= SB_DIAG_LIMIT)
        return;
    struct sb_str text = { 0 };
    va_list ap;
    va_start(ap, fmt);
    sb_str_vformat(&text, fmt, ap);
    va_end(ap);
    struct sb_diag diag = { .line = line, .column = column, .text = sb_str_take(&text) };
    if (!diag.text || sb_set_string(&diag.file, file) < 0 || hold(diags, &diag) < 0)
        diag_done(&diag);
}

static void add_line(struct sb_str *out, const struct sb_diag *diag)
{
    if (diag->file)
        sb_str_format(out, "%s:", diag->file);
    if (diag->line > 0)
        sb_str_format(out, diag->file ? "%d:" : "line %d:", diag->line);
    if (diag->line > 0 && diag->column > 0)
        sb_str_format(out, "%d:", diag->column);
    sb_str_format(out, "%s%s\n", diag->file || diag->line > 0 ? " " : "", diag->text);
}

char *sb_diags_text(const struct sb_diags *diags)
{
    struct sb_str out = { 0 };
    for (size_t i = 0; i < diags->count; i++)
        add_line(&out, &diags->list[i]);
    if (diags->total > diags->count)
        sb_str_format(&out, "and %zu more\n", diags->total - diags->count);
    return sb_str_take(&out);
}

static bool same(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/*
 * Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours, letters
 * compared without case. Needs the two rows before the current one.
 */
static size_t distance(const char *a, size_t a_n, const char *b, size_t b_n)
{
    size_t rows[3][WORD_MAX + 1];
    for (size_t j = 0; j <= b_n; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_n; i++) {
        size_t *now = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3];
        const size_t *before = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= b_n; j++) {
            size_t best = above[j - 1] + (same(a[i - 1], b[j - 1]) ? 0 : 1);
            best = SB_MIN(best, above[j] + 1);
            best = SB_MIN(best, now[j - 1] + 1);
            if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
                best = SB_MIN(best, before[j - 2] + 1);
            now[j] = best;
        }
    }
    return rows[a_n % 3][b_n];
}

const char *sb_nearest(const char *word, const char *const *choices, size_t count)
{
    const char *nearest = NULL;
    size_t least = SIZE_MAX;
    size_t n = word ? strlen(word) : 0;
    for (size_t i = 0; n > 0 && n <= WORD_MAX && i < count; i++) {
        size_t choice_n = choices[i] ? strlen(choices[i]) : 0;
        if (choice_n == 0 || choice_n > WORD_MAX)
            continue;
        size_t d = distance(word, n, choices[i], choice_n);
        if (d <= SB_MAX(n, choice_n) / 3 && d < least) {
            least = d;
            nearest = choices[i];
        }
    }
    return nearest;
}
