/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <time.h>

#include "bridge/base/diag.h"
#include "bridge/base/time.h"
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
    const struct sb_command *command = parser->order->command;
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

/* ---- values ---- */

/* The object and last key of "policy.retries" below `root`, made on the way. NULL: no memory. */
static json_t *reach(json_t *root, const char *path, const char **ret_key)
{
    const char *dot;
    while (root && (dot = strchr(path, '.'))) {
        json_t *next = json_object_getn(root, path, (size_t)(dot - path));
        if (!next) {
            next = json_object();
            if (json_object_setn_new(root, path, (size_t)(dot - path), next) < 0)
                next = NULL;
        }
        root = next;
        path = dot + 1;
    }
    *ret_key = path;
    return root;
}

/* "5" and "true" as JSON has them, everything else as text; quotes force a text. */
static json_t *scalar(const char *text)
{
    json_t *value = NULL;
    char *error = NULL;
    if (sb_json_parse(text, strlen(text), NULL, &value, &error) < 0)
        free(error);
    if (value && (json_is_object(value) || json_is_array(value))) {
        json_decref(value);
        value = NULL;
    }
    return value ? value : json_string(text);
}

static json_t *words(const char *text)
{
    json_t *list = json_array();
    for (size_t n; *text; text += n + (text[n] == ',')) {
        n = strcspn(text, ",");
        if (n > 0)
            (void)json_array_append_new(list, json_stringn(text, n));
    }
    return list;
}

static int put_pair(struct parser *parser, const struct sb_option *option, json_t *into,
                    const char *text)
{
    const char *equals = strchr(text, '=');
    size_t n = equals ? (size_t)(equals - text) : 0;
    if (n == 0)
        return complain(parser, "--%s %s: give it as name=value", option->name, text);
    json_t *value = option->kind == SB_OPTION_PAIR    ? scalar(equals + 1)
                    : option->kind == SB_OPTION_TEXTS ? json_string(equals + 1)
                                                      : words(equals + 1);
    if (!value)
        return complain(parser, "--%s: the value is not UTF-8", option->name);
    return json_object_setn_new(into, text, n, value);
}

/* "+2h", "2026-01-31T04:00:00Z", or local time "2026-01-31 04:00[:00]", "04:00" (the next one). */
static int read_time(const char *text, int64_t now, int64_t *ret)
{
    struct tm tm = { 0 };
    time_t seconds = (time_t)(now / SB_SECOND);
    int64_t later;
    if (text[0] == '+') {
        if (sb_duration_parse(text + 1, &later) < 0)
            return -EINVAL;
        *ret = now + later;
        return 0;
    }
    if (sb_time_from_iso8601(text, ret) == 0)
        return 0;
    if (!localtime_r(&seconds, &tm))
        return -EINVAL;
    static const char *const forms[] = { "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M",
                                         "%Y-%m-%dT%H:%M", "%H:%M" };
    for (size_t i = 0; i < SB_COUNT(forms); i++) {
        struct tm read = tm;
        read.tm_sec = 0;
        const char *end = strptime(text, forms[i], &read);
        if (!end || *end)
            continue;
        read.tm_isdst = -1;
        int64_t wall = (int64_t)mktime(&read) * SB_SECOND;
        if (i == SB_COUNT(forms) - 1 && wall <= now) {
            read.tm_mday++; /* today's is over */
            read.tm_isdst = -1;
            wall = (int64_t)mktime(&read) * SB_SECOND;
        }
        *ret = wall;
        return 0;
    }
    return -EINVAL;
}

static int read_number(const char *text, int64_t *ret)
{
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno || end == text || *end || number < 0)
        return -EINVAL;
    *ret = number;
    return 0;
}

static int put_number(struct parser *parser, const struct sb_option *option, json_t *object,
                      const char *key, const char *text)
{
    int64_t number;
    int r = 0;
    switch (option->kind) {
    case SB_OPTION_DURATION:
        r = sb_duration_parse(text, &number);
        if (r < 0)
            return complain(parser, "--%s: '%s' is not a duration (like 90s, 5m, 2h)", option->name,
                            text);
        break;
    case SB_OPTION_TIME:
        r = read_time(text, parser->order->now, &number);
        if (r < 0)
            return complain(parser,
                            "--%s: '%s' is not a time (like 2026-01-31T04:00:00Z, "
                            "'2026-01-31 04:00', 04:00 or +2h)",
                            option->name, text);
        break;
    default:
        r = read_number(text, &number);
        if (r < 0)
            return complain(parser, "--%s: '%s' is not a number", option->name, text);
    }
    return sb_json_put_int(object, key, number);
}

static int put_json(struct parser *parser, const struct sb_option *option, json_t *object,
                    const char *key, const char *text)
{
    sb_cleanup(json_decrefp) json_t *value = NULL;
    sb_cleanup(sb_freep) char *error = NULL;
    if (sb_json_parse(text, strlen(text), NULL, &value, &error) < 0)
        return complain(parser, "--%s: not JSON: %s", option->name, error ? error : "?");
    if (!json_is_object(value))
        return complain(parser, "--%s: a JSON object is wanted, like {\"name\": 5}", option->name);
    json_t *there = json_object_get(object, key);
    return there ? json_object_update(there, value) : json_object_set(object, key, value);
}

/* The container at object[key], made when it is not there. */
static json_t *container(json_t *object, const char *key, bool array)
{
    json_t *there = json_object_get(object, key);
    if (there || json_object_set_new(object, key, array ? json_array() : json_object()) < 0)
        return there;
    return json_object_get(object, key);
}

static int put_option(struct parser *parser, const struct sb_option *option, const char *text)
{
    const char *key = option->key ? option->key : option->name;
    json_t *object = reach(option->key ? parser->order->args : parser->order->local, key, &key);
    int r = -1;
    if (!object)
        return complain(parser, "out of memory");
    switch (option->kind) {
    case SB_OPTION_FLAG:
        r = json_object_set_new(object, key, json_true());
        break;
    case SB_OPTION_TEXT:
        r = json_object_set_new(object, key, json_string(text));
        break;
    case SB_OPTION_LIST:
        r = json_array_append_new(container(object, key, true), json_string(text));
        break;
    case SB_OPTION_PAIR:
    case SB_OPTION_TEXTS:
    case SB_OPTION_LISTS:
        r = put_pair(parser, option, container(object, key, false), text);
        break;
    case SB_OPTION_JSON:
        r = put_json(parser, option, object, key, text);
        break;
    default:
        r = put_number(parser, option, object, key, text);
    }
    if (r < 0 && !*parser->ret_error)
        return complain(parser, "--%s: the value is not UTF-8", option->name);
    return r < 0 ? -1 : 0;
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
        else if (put_option(parser, option, optarg) < 0)
            return -1;
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
    for (const struct sb_command *c = sb_commands; c->name; c++) {
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
    for (const struct sb_command *c = sb_commands; c->name && count < WORDS_MAX - 1; c++) {
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
    for (const struct sb_command *c = sb_commands; c->name; c++) {
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
        if (read_number(word, &number) < 0 || number < 1)
            return complain(parser, "'%s' is not a number", word);
        r = sb_json_put_int(args, key, number);
    } else if (kind == '*') {
        r = json_array_append_new(container(args, key, true), json_string(word));
    } else {
        r = json_object_set_new(args, key, json_string(word));
    }
    return r < 0 ? complain(parser, "'%s' is not UTF-8", word) : 0;
}

static int missing(struct parser *parser)
{
    const struct sb_command *command = parser->order->command;
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
        char kind = n > 0 ? key[n - 1] : '\0';
        if (n == 0)
            continue;
        if (strchr("#?*", kind))
            key[n - 1] = '\0';
        if (count == 0 && kind != '?')
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
