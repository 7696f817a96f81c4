/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>

#include "bridge/base/diag.h"
#include "bridge/ctl/ctl.h"

#define OPTIONS_MAX 64
#define WORDS_MAX   64
#define FIRST_VALUE 256 /* getopt's value of the first long option */

struct parser {
    struct sb_order *order;
    const struct sb_option *options[OPTIONS_MAX];
    struct option longs[OPTIONS_MAX + 1];
    size_t count;
    char **ret_error;
};

static int complain(struct parser *parser, const char *fmt, ...) SB_PRINTF(2, 3);
static int complain(struct parser *parser, const char *fmt, ...)
{
    struct sb_str text = { 0 };
    const struct sb_ctl_command *command = parser->order->command;
    va_list ap;
    if (command)
        sb_str_format(&text, "%s: ", command->name);
    va_start(ap, fmt);
    sb_str_vformat(&text, fmt, ap);
    va_end(ap);
    free(*parser->ret_error);
    *parser->ret_error = sb_str_take(&text);
    return -1;
}

/* ---- getopt ---- */

/* A command's own option takes the place of a global one with its name (--version VERSION). */
static size_t place_of(const struct parser *parser, const char *name)
{
    size_t i = 0;
    while (i < parser->count && strcmp(parser->options[i]->name, name) != 0)
        i++;
    return i;
}

static void offer(struct parser *parser, const struct sb_option *options)
{
    for (const struct sb_option *o = options; o && o->name && parser->count < OPTIONS_MAX; o++) {
        size_t i = place_of(parser, o->name);
        parser->options[i] = o;
        parser->longs[i] = (struct option){ o->name, o->value ? required_argument : no_argument,
                                            NULL, FIRST_VALUE + (int)i };
        parser->count += i == parser->count;
    }
    parser->longs[parser->count] = (struct option){ 0 };
}

/* Global options are set in the order itself. */
static void take_global(struct sb_order *order, const char *name, const char *value)
{
    if (strcmp(name, "socket") == 0)
        order->socket = value;
    else if (strcmp(name, "json") == 0)
        order->json = true;
    else if (strcmp(name, "color") == 0 || strcmp(name, "no-color") == 0)
        order->color = name[0] == 'c';
    else if (strcmp(name, "help") == 0)
        order->help = true;
    else
        order->version = true;
}

static bool is_global(const struct sb_option *option)
{
    for (const struct sb_option *o = sb_global_options; o->name; o++)
        if (o == option)
            return true;
    return false;
}

static int unknown(struct parser *parser, const char *word)
{
    const char *names[OPTIONS_MAX];
    if (optopt > 0 && optopt < FIRST_VALUE)
        return complain(parser, "unknown option '-%c'", optopt);
    sb_cleanup(sb_freep) char *name = strdup(word + strspn(word, "-"));
    if (!name)
        return complain(parser, "out of memory");
    name[strcspn(name, "=")] = '\0';
    if (optopt >= FIRST_VALUE)
        return complain(parser, "option '--%s' takes no value", name);
    for (size_t i = 0; i < parser->count; i++)
        names[i] = parser->options[i]->name;
    const char *nearest = sb_nearest(name, names, parser->count);
    return nearest ? complain(parser, "unknown option '--%s' (did you mean '--%s'?)", name, nearest)
                   : complain(parser, "unknown option '--%s'", name);
}

/* Reads options until the end of argv, or the first word when `mode` is "+". */
static int read_options(struct parser *parser, int argc, char **argv, const char *mode)
{
    static const struct {
        char letter;
        const char *name;
    } letters[] = { { 'h', "help" }, { 'V', "version" } };
    sb_cleanup(sb_freep) char *shorts = sb_format("%s:hV", mode);
    sb_cleanup(sb_freep) char *error = NULL;
    if (!shorts)
        return complain(parser, "out of memory");
    opterr = 0;
    optind = 0; /* begin anew */
    for (int c; (c = getopt_long(argc, argv, shorts, parser->longs, NULL)) != -1;) {
        for (size_t i = 0; i < SB_COUNT(letters); i++)
            if (c == letters[i].letter)
                take_global(parser->order, letters[i].name, NULL);
        if (c == '?')
            return unknown(parser, argv[optind - 1]);
        if (c == ':')
            return complain(parser, "option '%s' wants a value", argv[optind - 1]);
        if (c < FIRST_VALUE)
            continue;
        const struct sb_option *option = parser->options[c - FIRST_VALUE];
        if (is_global(option))
            take_global(parser->order, option->name, optarg);
        else if (sb_value_put(parser->order, option, optarg, &error) < 0)
            return complain(parser, "%s", error ? error : "out of memory");
    }
    return 0;
}

/* ---- commands ---- */

static size_t group_length(const char *name)
{
    const char *space = strchr(name, ' ');
    return space ? (size_t)(space - name) : 0;
}

static bool is_group(const char *word)
{
    for (const struct sb_ctl_command *c = sb_ctl_commands; c->name; c++) {
        size_t n = group_length(c->name);
        if (n > 0 && strncmp(c->name, word, n) == 0 && word[n] == '\0')
            return true;
    }
    return false;
}

/* Says what there is instead of `word`; group NULL: no group. */
static int no_such(struct parser *parser, const char *group, const char *word)
{
    const char *choices[WORDS_MAX];
    struct sb_str list = { 0 };
    size_t count = 0;
    for (const struct sb_ctl_command *c = sb_ctl_commands; c->name && count < WORDS_MAX - 1; c++) {
        size_t n = group_length(c->name);
        if (!group && n == 0) {
            choices[count++] = c->name;
        } else if (group && n > 0 && strncmp(c->name, group, n) == 0 && !group[n]) {
            sb_str_format(&list, "%s%s", list.length ? ", " : "", c->name + n + 1);
            choices[count++] = c->name + n + 1;
        }
    }
    static const char *const groups[] = { "device", "job", "package", "link", "mapping" };
    for (size_t i = 0; !group && i < SB_COUNT(groups) && count < WORDS_MAX; i++)
        choices[count++] = groups[i];
    const char *nearest = sb_nearest(word, choices, count);
    const char *space = group ? " " : "";
    group = group ? group : "";
    int r = nearest  ? complain(parser, "unknown command '%s%s%s' (did you mean '%s%s%s'?)", group,
                                space, word, group, space, nearest)
            : *group ? complain(parser, "unknown command '%s %s' (there is: %s)", group, word,
                                sb_str_get(&list))
                     : complain(parser, "unknown command '%s'", word);
    sb_str_done(&list);
    return r;
}

/* Finds the command at argv[0..]; how many words it takes, or -1. 0: none was given. */
static int find_command(struct parser *parser, int argc, char **argv)
{
    if (argc < 1)
        return 0;
    const char *second = argc > 1 && argv[1][0] != '-' ? argv[1] : NULL;
    for (const struct sb_ctl_command *c = sb_ctl_commands; c->name; c++) {
        size_t n = group_length(c->name);
        if (n == 0 && strcmp(c->name, argv[0]) == 0) {
            parser->order->command = c;
            return 1;
        }
        if (n > 0 && second && strncmp(c->name, argv[0], n) == 0 && argv[0][n] == '\0' &&
            strcmp(c->name + n + 1, second) == 0) {
            parser->order->command = c;
            return 2;
        }
    }
    if (!is_group(argv[0]))
        return no_such(parser, NULL, argv[0]);
    if (second)
        return no_such(parser, argv[0], second);
    parser->order->group = argv[0];
    return 1;
}

/* ---- operands ---- */

static int put_operand(struct parser *parser, const char *key, char kind, const char *word)
{
    json_t *args = parser->order->args;
    int64_t number;
    int r;
    if (kind == '#') {
        if (sb_value_number(word, &number) < 0 || number < 1)
            return complain(parser, "'%s' is not a number", word);
        r = sb_json_put_int(args, key, number);
    } else if (kind == '*') {
        r = json_array_append_new(sb_value_container(args, key, true), json_string(word));
    } else {
        r = json_object_set_new(args, key, json_string(word));
    }
    return r < 0 ? complain(parser, "'%s' is not UTF-8", word) : 0;
}

static int missing(struct parser *parser)
{
    const struct sb_ctl_command *command = parser->order->command;
    return complain(parser, "it wants: southbridgectl %s %s", command->name, command->operands);
}

static int read_operands(struct parser *parser, int count, char **given)
{
    struct sb_order *order = parser->order;
    const char *keys = order->command->keys;
    if (!keys) {
        order->files = given;
        order->file_count = (size_t)count;
        return count > 0 ? 0 : missing(parser);
    }
    sb_cleanup(sb_freep) char *list = strdup(keys);
    char *rest = list;
    for (char *key; (key = strsep(&rest, " "));) {
        size_t n = strlen(key);
        if (n == 0)
            continue;
        char kind = key[n - 1];
        if (strchr("#?*", kind))
            key[n - 1] = '\0';
        if (count == 0 && kind != '?' && kind != '*')
            return missing(parser);
        for (size_t max = kind == '*' ? SIZE_MAX : 1; count > 0 && max > 0; max--) {
            if (put_operand(parser, key, kind, *given++) < 0)
                return -1;
            count--;
        }
    }
    return count > 0 ? complain(parser, "'%s' is one word too many", *given) : 0;
}

/* ---- all together ---- */

bool sb_order_has(const struct sb_order *order, const char *flag)
{
    return json_object_get(order->local, flag) != NULL;
}

void sb_order_done(struct sb_order *order)
{
    json_decref(order->args);
    json_decref(order->local);
    *order = (struct sb_order){ 0 };
}

/* "help job create" is "job create --help". */
static void shift_help(struct sb_order *order, int *argc, char ***argv)
{
    if (*argc < 1 || strcmp((*argv)[0], "help") != 0)
        return;
    order->help = true;
    (*argc)--;
    (*argv)++;
}

int sb_order_parse(int argc, char **argv, int64_t now, struct sb_order *ret, char **ret_error)
{
    struct sb_order order = {
        .args = json_object(), .local = json_object(), .now = now, .color = -1
    };
    struct parser parser = { .order = &order, .ret_error = ret_error };
    *ret_error = NULL;
    offer(&parser, sb_global_options);
    int r = order.args && order.local ? read_options(&parser, argc, argv, "+")
                                      : complain(&parser, "out of memory");
    if (r == 0) {
        argc -= optind;
        argv += optind;
        shift_help(&order, &argc, &argv);
        r = find_command(&parser, argc, argv);
    }
    if (r > 0) { /* the last word of the command stands where getopt expects the program */
        argc -= r - 1;
        argv += r - 1;
        if (order.command)
            offer(&parser, order.command->options);
        r = read_options(&parser, argc, argv, "");
        if (r == 0 && order.command && !order.help && !order.version)
            r = read_operands(&parser, argc - optind, argv + optind);
        if (r == 0 && order.command && order.command->finish && !order.help && !order.version)
            r = order.command->finish(&order, ret_error);
    } else if (r == 0 && !order.help && !order.version) {
        r = complain(&parser, "no command is given");
    }
    if (r == 0 && order.group && !order.help)
        r = complain(&parser, "'%s' wants a further word", order.group);
    if (r < 0) {
        sb_cleanup(sb_freep) char *text = SB_STEAL(*ret_error);
        const char *name = order.command ? order.command->name : order.group;
        *ret_error = sb_format("%s\ntry `southbridgectl %s%s--help`", text ? text : "out of memory",
                               name ? name : "", name ? " " : "");
        sb_order_done(&order);
        return -1;
    }
    *ret = order;
    return 0;
}
