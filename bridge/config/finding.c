/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>

#include "bridge/base/str.h"
#include "bridge/config/reader.h"

#define QUOTE_MAX   60 /* bytes of a foreign text in a finding */
#define ALLOWED_MAX 40 /* names in a list of what is allowed */
#define ID_MAX      64

char *sb_quoted(const char *text)
{
    struct sb_str out = { 0 };
    size_t n = strlen(text), shown = n;
    if (n > QUOTE_MAX)
        for (shown = QUOTE_MAX; shown > 0 && ((unsigned char)text[shown] & 0xc0) == 0x80;)
            shown--; /* not in the middle of a character */
    for (size_t i = 0; i < shown; i++)
        sb_str_add_char(&out, iscntrl((unsigned char)text[i]) ? '?' : text[i]);
    if (shown < n)
        sb_str_add(&out, "...");
    return sb_str_take(&out);
}

static SB_PRINTF(4, 0) void add_finding(struct sb_diags *diags, const char *file,
                                        const struct sb_yaml *at, const char *fmt, va_list ap)
{
    struct sb_str text = { 0 };
    sb_str_vformat(&text, fmt, ap);
    sb_diags_add(diags, file || !at ? file : at->file, at ? at->line : 0, at ? at->column : 0, "%s",
                 sb_str_get(&text));
    sb_str_done(&text);
}

void sb_reader_find(struct sb_reader *reader, const struct sb_yaml *at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add_finding(reader->diags, reader->file, at, fmt, ap);
    va_end(ap);
    reader->findings++;
}

void sb_schema_find(struct sb_diags *diags, const struct sb_yaml *at, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add_finding(diags, NULL, at, fmt, ap);
    va_end(ap);
}

static void add_allowed(struct sb_str *out, const char *word, const char *const *allowed,
                        size_t count)
{
    for (size_t i = 0; i < count && i < ALLOWED_MAX; i++)
        sb_str_format(out, "%s%s", i ? ", " : "", allowed[i]);
    if (count > ALLOWED_MAX)
        sb_str_format(out, " and %zu more", count - ALLOWED_MAX);
    if (count == 0)
        sb_str_add(out, "none");
    const char *nearest = sb_nearest(word, allowed, count);
    if (nearest)
        sb_str_format(out, "; did you mean '%s'?", nearest);
}

void sb_reader_unknown(struct sb_reader *reader, const struct sb_yaml *at, const char *what,
                       const char *const *allowed, size_t count)
{
    const char *word = at->text ? at->text : "";
    sb_cleanup(sb_freep) char *shown = sb_quoted(word);
    struct sb_str list = { 0 };
    add_allowed(&list, word, allowed, count);
    sb_reader_find(reader, at, "unknown %s '%s' (allowed: %s)", what, shown ? shown : "",
                   sb_str_get(&list));
    sb_str_done(&list);
}

void sb_schema_unknown(struct sb_diags *diags, const struct sb_yaml *at, const char *what,
                       const char *const *allowed, size_t count)
{
    struct sb_reader reader = { .diags = diags };
    sb_reader_unknown(&reader, at, what, allowed, count);
}

bool sb_schema_check_id(struct sb_diags *diags, const struct sb_yaml *at, const char *what)
{
    static const char legal[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    const char *text = at->kind == SB_YAML_SCALAR ? at->text : "";
    if (isalnum((unsigned char)text[0]) && !text[strspn(text, legal)] && strlen(text) <= ID_MAX)
        return true;
    sb_cleanup(sb_freep) char *shown = sb_quoted(text);
    sb_schema_find(diags, at,
                   "'%s' cannot be the name of a %s (allowed: letters, digits, '.', '_', '-', "
                   "the first one a letter or digit, at most %d)",
                   shown ? shown : "", what, ID_MAX);
    return false;
}

void sb_schema_sort(struct sb_diags *diags, size_t from)
{
    for (size_t i = from + 1; i < diags->count; i++) { /* few, and almost in order */
        struct sb_diag one = diags->list[i];
        size_t at = i;
        for (; at > from; at--) {
            const struct sb_diag *before = &diags->list[at - 1];
            if (before->line < one.line ||
                (before->line == one.line && before->column <= one.column))
                break;
            diags->list[at] = *before;
        }
        diags->list[at] = one;
    }
}
