/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/ctl/ctl.h"

#define SUMMARY_AT 30 /* column where explanations begin */
#define LINE_WIDTH 80

static void add_wrapped(struct sb_str *out, size_t at, const char *text)
{
    sb_text_wrap(out, at, LINE_WIDTH, text);
}

static void add_item(struct sb_str *out, const char *name, const char *value, const char *text)
{
    size_t begin = out->length;
    sb_str_format(out, "  %s%s%s", name, value ? " " : "", value ? value : "");
    size_t used = out->length - begin;
    if (used + 2 > SUMMARY_AT) {
        sb_str_add_char(out, '\n');
        used = 0;
    }
    sb_text_pad(out, SUMMARY_AT - used);
    add_wrapped(out, SUMMARY_AT, text);
}

static bool lists(const struct sb_option *options, const char *name)
{
    for (const struct sb_option *o = options; o && o->name; o++)
        if (strcmp(o->name, name) == 0)
            return true;
    return false;
}

/* Without those that `instead` has. */
static void add_options(struct sb_str *out, const char *title, const struct sb_option *options,
                        const struct sb_option *instead)
{
    if (!options || !options->name)
        return;
    sb_str_format(out, "\n%s:\n", title);
    for (const struct sb_option *o = options; o->name; o++) {
        sb_cleanup(sb_freep) char *name = sb_format("--%s", o->name);
        if (!lists(instead, o->name))
            add_item(out, name ? name : "", o->value, o->help);
    }
}

static void add_exits(struct sb_str *out)
{
    sb_str_add(out, "\nexit status:\n");
    for (const struct sb_exit_text *e = sb_exit_texts; e->text; e++) {
        sb_str_format(out, "  %3d  ", e->code);
        add_wrapped(out, 7, e->text);
    }
}

static bool in_group(const struct sb_ctl_command *command, const char *group)
{
    size_t n = group ? strlen(group) : 0;
    return !group || (strncmp(command->name, group, n) == 0 && command->name[n] == ' ');
}

void sb_help_all(struct sb_str *out, const char *group)
{
    sb_str_format(out, "usage: southbridgectl [OPTIONS] %s%sCOMMAND ...\n\n", group ? group : "",
                  group ? " " : "");
    if (!group)
        sb_str_add(out, "Steers the southbridge daemon of this gateway.\n\n");
    sb_str_add(out, "commands:\n");
    for (const struct sb_ctl_command *c = sb_ctl_commands; c->name; c++)
        if (in_group(c, group))
            add_item(out, c->name, NULL, c->summary);
    add_options(out, "options of every command", sb_global_options, NULL);
    add_exits(out);
    sb_str_add(out, "\n`southbridgectl COMMAND --help` explains one command.\n");
}

void sb_help_command(struct sb_str *out, const struct sb_ctl_command *command)
{
    sb_str_format(out, "usage: southbridgectl %s%s%s%s\n\n", command->name,
                  command->options ? " [OPTIONS]" : "", *command->operands ? " " : "",
                  command->operands);
    add_wrapped(out, 0, command->summary);
    if (command->details) {
        sb_str_add_char(out, '\n');
        add_wrapped(out, 0, command->details);
    }
    add_options(out, "options", command->options, NULL);
    add_options(out, "options of every command", sb_global_options, command->options);
    add_exits(out);
}
