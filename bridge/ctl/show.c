/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/ctl/show.h"

#define LABEL_WIDTH 14

void sb_show_field(struct sb_ctl *ctl, const char *label, enum sb_ink ink, const char *text)
{
    struct sb_str line = { 0 };
    if (!text || !*text)
        return;
    size_t n = sb_text_fit(&line, label, 0, ctl->style.utf8);
    sb_text_pad(&line, n < LABEL_WIDTH ? LABEL_WIDTH - n : 1);
    sb_text_ink(&line, &ctl->style, ink);
    sb_text_clean(&line, text, ctl->style.utf8);
    sb_text_ink_end(&line, &ctl->style, ink);
    (void)fprintf(ctl->out, "%s\n", sb_str_get(&line));
    sb_str_done(&line);
}

void sb_show_field_take(struct sb_ctl *ctl, const char *label, char *text)
{
    sb_show_field(ctl, label, SB_INK_PLAIN, text);
    free(text);
}

void sb_show_time(struct sb_ctl *ctl, const char *label, int64_t wall)
{
    sb_cleanup(sb_freep) char *time = wall > 0 ? sb_text_time(wall) : NULL;
    sb_cleanup(sb_freep) char *ago = wall > 0 ? sb_text_ago(ctl->style.now, wall) : NULL;
    if (time && ago)
        sb_show_field_take(ctl, label, sb_format("%s (%s)", time, ago));
}

void sb_show_json(struct sb_ctl *ctl, const char *label, const json_t *value)
{
    if (value && !(json_is_object(value) && json_object_size(value) == 0))
        sb_show_field_take(ctl, label, sb_compact(value));
}

static void print_grid(struct sb_ctl *ctl, struct sb_grid *grid)
{
    struct sb_str text = { 0 };
    if (!sb_grid_render(grid, &ctl->style, &text))
        sb_ctl_fail(ctl, SB_EXIT_FAILED, "failed", "out of memory");
    (void)fputs(sb_str_get(&text), ctl->out);
    sb_str_done(&text);
}

void sb_show_grid(struct sb_ctl *ctl, const char *title, struct sb_grid *grid)
{
    if (sb_grid_rows(grid) > 0) {
        (void)fprintf(ctl->out, "\n%s\n", title);
        print_grid(ctl, grid);
    }
    sb_grid_free(grid);
}

void sb_show_list(struct sb_ctl *ctl, struct sb_grid *grid, const char *otherwise)
{
    if (grid && sb_grid_rows(grid) == 0)
        (void)fprintf(ctl->out, "%s\n", otherwise);
    else
        print_grid(ctl, grid);
    sb_grid_free(grid);
}

void sb_show_line(struct sb_ctl *ctl, const char *fmt, ...)
{
    struct sb_str text = { 0 };
    struct sb_str line = { 0 };
    va_list ap;
    va_start(ap, fmt);
    sb_str_vformat(&text, fmt, ap);
    va_end(ap);
    sb_text_clean(&line, sb_str_get(&text), ctl->style.utf8);
    (void)fprintf(ctl->out, "%s\n", sb_str_get(&line));
    sb_str_done(&text);
    sb_str_done(&line);
}

void sb_show_lines(struct sb_ctl *ctl, const char *title, const char *text)
{
    if (!text || !*text)
        return;
    sb_show_line(ctl, "%s", "");
    sb_show_line(ctl, "%s", title);
    while (*text) {
        size_t n = strcspn(text, "\n");
        sb_show_line(ctl, "  %.*s", (int)n, text);
        text += n + (text[n] != '\0');
    }
}

/* ---- words ---- */

struct inked {
    const char *word;
    enum sb_ink ink;
};

static enum sb_ink ink_of(const struct inked *list, size_t n, const char *word)
{
    for (size_t i = 0; word && i < n; i++)
        if (strcmp(list[i].word, word) == 0)
            return list[i].ink;
    return SB_INK_PLAIN;
}

enum sb_ink sb_ink_of_state(const char *state)
{
    static const struct inked list[] = {
        { "succeeded", SB_INK_GOOD },  { "failed", SB_INK_BAD }, { "cancelled", SB_INK_WARN },
        { "cancelling", SB_INK_WARN }, { "held", SB_INK_WARN },  { "queued", SB_INK_DIM },
    };
    return ink_of(list, SB_COUNT(list), state);
}

enum sb_ink sb_ink_of_presence(const char *presence)
{
    static const struct inked list[] = {
        { "ready", SB_INK_GOOD },
        { "offline", SB_INK_BAD },
        { "unknown", SB_INK_DIM },
    };
    return ink_of(list, SB_COUNT(list), presence);
}

char *sb_compact(const json_t *value)
{
    if (json_is_string(value))
        return strdup(json_string_value(value));
    return json_dumps(value ? value : json_null(), JSON_COMPACT | JSON_ENCODE_ANY);
}

char *sb_pairs(const json_t *object)
{
    struct sb_str text = { 0 };
    const char *key;
    json_t *value;
    if (!json_is_object(object))
        return sb_compact(object);
    json_object_foreach ((json_t *)object, key, value) {
        sb_cleanup(sb_freep) char *shown = sb_compact(value);
        sb_str_format(&text, "%s%s=%s", text.length ? " " : "", key, shown ? shown : "?");
    }
    return sb_str_take(&text);
}

char *sb_says(const json_t *cell)
{
    const char *silent = sb_json_str(cell, "silent");
    return silent ? sb_format("nothing (%s)", silent) : sb_pairs(cell);
}
