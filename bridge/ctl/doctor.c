/* SPDX-License-Identifier: Apache-2.0 */
/* `doctor`: a table of what was examined, then what is wrong and what to do, in whole sentences. */
#include <errno.h>

#include "bridge/ctl/client.h"
#include "bridge/ctl/show.h"

#define INDENT 4

static bool is(const json_t *finding, const char *health)
{
    return sb_streq(sb_json_str(finding, "health"), health);
}

static enum sb_ink ink_of(const json_t *finding)
{
    return is(finding, "ok") ? SB_INK_GOOD : is(finding, "warning") ? SB_INK_WARN : SB_INK_BAD;
}

static size_t count(const json_t *checks, const char *health)
{
    size_t n = 0, i;
    const json_t *finding;
    json_array_foreach ((json_t *)checks, i, finding)
        n += is(finding, health);
    return n;
}

/* ---- for people ---- */

static struct sb_grid *make_grid(const json_t *checks)
{
    static const struct sb_grid_column columns[] = { { "CHECK", false, 0 },
                                                     { "NAME", false, 8 },
                                                     { "RESULT", false, 0 },
                                                     { "FINDING", false, 20 } };
    struct sb_grid *grid = sb_grid_new(columns, SB_COUNT(columns));
    size_t i;
    const json_t *finding;
    json_array_foreach ((json_t *)checks, i, finding) {
        sb_grid_add(grid, SB_INK_PLAIN, sb_json_str(finding, "check"));
        sb_grid_add(grid, SB_INK_BOLD, sb_json_str(finding, "name"));
        sb_grid_add(grid, ink_of(finding), sb_json_str(finding, "health"));
        sb_grid_add(grid, SB_INK_PLAIN, sb_json_str(finding, "text"));
    }
    return grid;
}

/* Wrapped from column `at`, without the last line's end. */
static void add_paragraph(struct sb_str *out, const struct sb_style *style, size_t at,
                          const char *text)
{
    struct sb_str clean = { 0 }, lines = { 0 };
    sb_text_clean(&clean, text, style->utf8);
    sb_text_wrap(&lines, at, style->width, sb_str_get(&clean));
    sb_str_add_bytes(out, sb_str_get(&lines), lines.length ? lines.length - 1 : 0);
    sb_str_done(&clean);
    sb_str_done(&lines);
}

/* "bus uart1: text", and the remedy indented below. */
static void show_trouble(struct sb_ctl *ctl, const json_t *finding)
{
    const char *name = sb_or(sb_json_str(finding, "name"), "");
    const char *remedy = sb_json_str(finding, "remedy");
    struct sb_str out = { 0 };
    sb_cleanup(sb_freep) char *text =
        sb_format("%s%s%s: %s", sb_or(sb_json_str(finding, "check"), "?"), *name ? " " : "", name,
                  sb_or(sb_json_str(finding, "text"), ""));
    sb_str_add_char(&out, '\n');
    sb_text_ink(&out, &ctl->style, ink_of(finding));
    add_paragraph(&out, &ctl->style, 0, text ? text : "");
    sb_text_ink_end(&out, &ctl->style, ink_of(finding));
    sb_str_add_char(&out, '\n');
    if (remedy) {
        sb_text_pad(&out, INDENT);
        add_paragraph(&out, &ctl->style, INDENT, remedy);
        sb_str_add_char(&out, '\n');
    }
    (void)fputs(sb_str_get(&out), ctl->out);
    sb_str_done(&out);
}

SB_SHOW(doctor)
{
    const json_t *checks = sb_json_array(data, "checks");
    size_t failed = count(checks, "failed"), warnings = count(checks, "warning"), i;
    const json_t *finding;
    (void)order;
    sb_show_list(ctl, make_grid(checks), "nothing was examined");
    json_array_foreach ((json_t *)checks, i, finding)
        if (!is(finding, "ok"))
            show_trouble(ctl, finding);
    (void)fputc('\n', ctl->out);
    if (failed + warnings == 0)
        sb_show_line(ctl, "nothing is wrong");
    else
        sb_show_line(ctl, "%zu failed, %zu %s", failed, warnings,
                     warnings == 1 ? "warning" : "warnings");
}

/* ---- without a daemon ---- */

static int take_lines(struct sb_str *output, json_t *checks)
{
    char *rest = output->text;
    for (char *line; (line = strsep(&rest, "\n"));) {
        json_t *finding = NULL;
        if (!*line)
            continue;
        if (sb_json_parse(line, strlen(line), NULL, &finding, NULL) < 0 ||
            json_array_append_new(checks, finding) < 0)
            return -EBADMSG;
    }
    return output->broken ? -ENOMEM : 0;
}

static enum sb_exit examine(struct sb_ctl *ctl, const char *config, json_t **ret)
{
    char *argv[] = { (char *)"southbridge", (char *)"--config", (char *)config, (char *)"--doctor",
                     NULL };
    sb_cleanup(json_decrefp) json_t *data =
        json_pack("{s:s,s:b,s:[]}", "config", config, "daemon", 0, "checks");
    struct sb_str output = { 0 };
    int status = 0;
    enum sb_exit code = data ? sb_ctl_program(ctl, argv, &output, &status)
                             : sb_ctl_fail(ctl, SB_EXIT_FAILED, "failed", "out of memory");
    int r = code == SB_EXIT_DONE ? take_lines(&output, json_object_get(data, "checks")) : 0;
    sb_str_done(&output);
    if (code == SB_EXIT_DONE && (r < 0 || status != 0))
        return sb_ctl_fail(ctl, SB_EXIT_FAILED, "failed",
                           "the examination by the daemon's program ended early (status %d)",
                           status);
    if (code == SB_EXIT_DONE)
        *ret = SB_STEAL(data);
    return code;
}

enum sb_exit sb_run_doctor(struct sb_ctl *ctl, struct sb_order *order)
{
    sb_cleanup(json_decrefp) json_t *data = NULL;
    const char *config = sb_json_str(order->local, "config");
    enum sb_exit code = config ? examine(ctl, config, &data)
                               : sb_ctl_ask(ctl, order->command->verb, order->args, &data);
    if (code == SB_EXIT_UNREACHABLE && !ctl->json)
        (void)fputs("  `southbridgectl doctor --config FILE` examines without it\n", ctl->err);
    if (code != SB_EXIT_DONE)
        return code;
    sb_ctl_show(ctl, order, data);
    return count(sb_json_array(data, "checks"), "failed") ? SB_EXIT_FAILED : SB_EXIT_DONE;
}
