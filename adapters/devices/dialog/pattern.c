/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The compiler: a recursive descent over the source, writing code as it goes. A repetition copies
 * the code of what is repeated, so a counted one costs its count.
 */
#include "adapters/devices/dialog/pattern.h"

#include <ctype.h>
#include <errno.h>

#include "adapters/devices/dialog/pattern_parts.h"
#include "bridge/base/str.h"

#define DEPTH_MAX        20
#define REPEAT_MAX       200
#define ALTERNATIVES_MAX 64

struct parser {
    const char *source, *at;
    struct sb_pattern *pattern;
    unsigned depth;
    char *error;
};

static bool failed(const struct parser *p)
{
    return p->error != NULL;
}

static void fail(struct parser *p, const char *what)
{
    if (!p->error)
        p->error = sb_format("%s at character %zu of '%s'", what, (size_t)(p->at - p->source) + 1,
                             p->source);
}

static size_t emit(struct parser *p, struct sb_code code)
{
    struct sb_pattern *pattern = p->pattern;
    if (pattern->count == SB_PATTERN_CODE) {
        fail(p, "the pattern becomes too large");
        return 0;
    }
    pattern->code[pattern->count] = code;
    return pattern->count++;
}

/* Copies code[from..to) to the end; jumps are relative, so it needs no change. */
static void copy(struct parser *p, size_t from, size_t to)
{
    for (size_t i = from; i < to && !failed(p); i++)
        (void)emit(p, p->pattern->code[i]);
}

/* Makes room for one instruction at `at`. */
static void insert(struct parser *p, size_t at, struct sb_code code)
{
    size_t n = p->pattern->count - at;
    (void)emit(p, code);
    if (failed(p))
        return;
    memmove(p->pattern->code + at + 1, p->pattern->code + at, n * sizeof(code));
    p->pattern->code[at] = code;
}

/* ---- sets of bytes ---- */

static size_t new_set(struct parser *p)
{
    struct sb_pattern *pattern = p->pattern;
    struct sb_set *sets = reallocarray(pattern->sets, pattern->set_count + 1, sizeof(*sets));
    if (!sets) {
        fail(p, "no memory");
        return 0;
    }
    pattern->sets = sets;
    sets[pattern->set_count] = (struct sb_set){ 0 };
    return pattern->set_count++;
}

static void set_add(struct sb_set *set, unsigned from, unsigned to)
{
    for (unsigned c = from; c <= to; c++)
        set->bits[c / 8] |= (uint8_t)(1u << (c % 8));
}

static void set_invert(struct sb_set *set)
{
    for (size_t i = 0; i < sizeof(set->bits); i++)
        set->bits[i] = (uint8_t)~set->bits[i];
}

static void set_class(struct sb_set *set, int (*is)(int)) /* of ASCII */
{
    for (int c = 0; c < 128; c++)
        if (is(c))
            set_add(set, (unsigned)c, (unsigned)c);
}

static int is_word(int c)
{
    return isalnum(c) || c == '_';
}

static bool add_shorthand(struct sb_set *set, char letter)
{
    struct sb_set part = { 0 };
    switch (tolower((unsigned char)letter)) {
    case 'd':
        set_class(&part, isdigit);
        break;
    case 's':
        set_class(&part, isspace);
        break;
    case 'w':
        set_class(&part, is_word);
        break;
    default:
        return false;
    }
    if (isupper((unsigned char)letter))
        set_invert(&part);
    for (size_t i = 0; i < sizeof(part.bits); i++)
        set->bits[i] |= part.bits[i];
    return true;
}

static void add_named(struct parser *p, struct sb_set *set)
{
    static const struct {
        const char *name;
        int (*is)(int);
    } classes[] = { { "digit", isdigit }, { "alpha", isalpha }, { "alnum", isalnum },
                    { "space", isspace }, { "upper", isupper }, { "lower", islower },
                    { "punct", ispunct }, { "print", isprint }, { "xdigit", isxdigit },
                    { "blank", isblank }, { "graph", isgraph } };
    for (size_t i = 0; i < SB_COUNT(classes); i++) {
        size_t n = strlen(classes[i].name);
        if (strncmp(p->at + 2, classes[i].name, n) != 0 || strncmp(p->at + 2 + n, ":]", 2) != 0)
            continue;
        set_class(set, classes[i].is);
        p->at += n + 4;
        return;
    }
    fail(p, "no such class ([:digit:], [:alpha:], [:alnum:], [:space:], [:xdigit:], ...)");
}

/* The character after a '\' that is no shorthand; -1: none. */
static int escaped(struct parser *p)
{
    unsigned char c = (unsigned char)*p->at;
    if (c == 't' || c == 'x') {
        if (c == 't')
            return p->at++, '\t';
        if (isxdigit((unsigned char)p->at[1]) && isxdigit((unsigned char)p->at[2])) {
            char hex[3] = { p->at[1], p->at[2], '\0' };
            p->at += 3;
            return (int)strtoul(hex, NULL, 16);
        }
    }
    if (!c || isalnum(c)) {
        fail(p, "'\\' with an unknown letter (known: d D s S w W t xHH)");
        return -1;
    }
    p->at++;
    return c;
}

static int set_member(struct parser *p)
{
    if (*p->at != '\\')
        return (unsigned char)*p->at++;
    p->at++;
    return escaped(p);
}

static void set_item(struct parser *p, struct sb_set *set)
{
    if (p->at[0] == '[' && p->at[1] == ':') {
        add_named(p, set);
        return;
    }
    if (p->at[0] == '\\' && add_shorthand(set, p->at[1])) {
        p->at += 2;
        return;
    }
    int from = set_member(p), to = from;
    if (!failed(p) && p->at[0] == '-' && p->at[1] && p->at[1] != ']') {
        p->at++;
        to = set_member(p);
    }
    if (failed(p))
        return;
    if (to < from)
        fail(p, "a range that ends before it begins");
    else
        set_add(set, (unsigned)from, (unsigned)to);
}

static void bracket(struct parser *p)
{
    size_t index = new_set(p);
    struct sb_set set = { 0 };
    bool invert = *p->at == '^', first = true;
    p->at += invert;
    for (; !failed(p) && *p->at && (*p->at != ']' || first); first = false)
        set_item(p, &set);
    if (!failed(p) && *p->at != ']')
        fail(p, "'[' without its ']'");
    if (failed(p))
        return;
    p->at++;
    if (invert)
        set_invert(&set);
    p->pattern->sets[index] = set;
    (void)emit(p, (struct sb_code){ .op = SB_CODE_SET, .a = (int16_t)index });
}

/* ---- atoms, repetitions, alternatives ---- */

static void alternatives(struct parser *p);

static void group(struct parser *p)
{
    bool silent = strncmp(p->at, "?:", 2) == 0;
    int16_t number = 0;
    p->at += silent ? 2 : 0;
    if (++p->depth > DEPTH_MAX)
        fail(p, "brackets too deep");
    if (!silent && p->pattern->groups == SB_PATTERN_GROUPS)
        fail(p, "more than 8 groups (use (?: ) where nothing is captured)");
    if (failed(p))
        return;
    if (!silent) {
        number = (int16_t)++p->pattern->groups;
        (void)emit(p, (struct sb_code){ .op = SB_CODE_SAVE, .a = (int16_t)(2 * number) });
    }
    alternatives(p);
    if (!failed(p) && *p->at != ')')
        fail(p, "'(' without its ')'");
    if (failed(p))
        return;
    p->at++;
    p->depth--;
    if (!silent)
        (void)emit(p, (struct sb_code){ .op = SB_CODE_SAVE, .a = (int16_t)(2 * number + 1) });
}

static void shorthand_or_byte(struct parser *p)
{
    struct sb_set set = { 0 };
    if (add_shorthand(&set, *p->at)) {
        size_t index = new_set(p);
        if (failed(p))
            return;
        p->pattern->sets[index] = set;
        p->at++;
        (void)emit(p, (struct sb_code){ .op = SB_CODE_SET, .a = (int16_t)index });
        return;
    }
    int c = escaped(p);
    if (!failed(p))
        (void)emit(p, (struct sb_code){ .op = SB_CODE_BYTE, .a = (int16_t)c });
}

static void atom(struct parser *p)
{
    switch (*p->at++) {
    case '(':
        group(p);
        break;
    case '[':
        bracket(p);
        break;
    case '.':
        (void)emit(p, (struct sb_code){ .op = SB_CODE_ANY });
        break;
    case '$':
        p->pattern->ends = true;
        (void)emit(p, (struct sb_code){ .op = SB_CODE_END });
        break;
    case '\\':
        shorthand_or_byte(p);
        break;
    case '^':
    case '*':
    case '+':
    case '?':
    case '{':
        p->at--;
        fail(p, "nothing to repeat, or '^' not at the begin (write '\\' before a sign that stands "
                "for itself)");
        break;
    default:
        (void)emit(p, (struct sb_code){ .op = SB_CODE_BYTE, .a = (uint8_t)p->at[-1] });
    }
}

static int number(struct parser *p)
{
    int value = 0;
    if (!isdigit((unsigned char)*p->at))
        fail(p, "a number is missing in { }");
    for (; isdigit((unsigned char)*p->at); p->at++) {
        value = value * 10 + (*p->at - '0');
        if (value > REPEAT_MAX) {
            fail(p, "repeated too often (at most 200)");
            return 0;
        }
    }
    return value;
}

/* {n} {n,} {n,m}; *ret_most -1: without end */
static void counts(struct parser *p, int *ret_least, int *ret_most)
{
    *ret_least = *ret_most = number(p);
    if (!failed(p) && *p->at == ',') {
        p->at++;
        *ret_most = *p->at == '}' ? -1 : number(p);
    }
    if (failed(p))
        return;
    if (*p->at != '}')
        fail(p, "'{' without its '}'");
    else if (*ret_most >= 0 && *ret_most < *ret_least)
        fail(p, "{n,m} with m below n");
    else
        p->at++;
}

static void optional(struct parser *p, size_t from)
{
    int16_t n = (int16_t)(p->pattern->count - from);
    insert(p, from, (struct sb_code){ .op = SB_CODE_SPLIT, .a = 1, .b = (int16_t)(n + 1) });
}

static void star(struct parser *p, size_t from)
{
    int16_t n = (int16_t)(p->pattern->count - from);
    insert(p, from, (struct sb_code){ .op = SB_CODE_SPLIT, .a = 1, .b = (int16_t)(n + 2) });
    (void)emit(p, (struct sb_code){ .op = SB_CODE_JUMP, .a = (int16_t) - (n + 1) });
}

static void repeat(struct parser *p, size_t from, int least, int most)
{
    size_t end = p->pattern->count;
    if (least == 0 && most == 0) {
        p->pattern->count = from;
        return;
    }
    for (int i = 1; i < least && !failed(p); i++)
        copy(p, from, end);
    if (most < 0) {
        size_t again = least == 0 ? from : p->pattern->count;
        if (least > 0)
            copy(p, from, end);
        if (!failed(p))
            star(p, again);
        return;
    }
    if (least == 0 && !failed(p))
        optional(p, from);
    size_t body = least == 0 ? from + 1 : from, length = end - from;
    for (int i = SB_MAX(least, 1); i < most && !failed(p); i++) {
        size_t begin = p->pattern->count;
        copy(p, body, body + length);
        if (!failed(p))
            optional(p, begin);
    }
}

static void piece(struct parser *p)
{
    size_t from = p->pattern->count;
    atom(p);
    while (!failed(p) && *p->at && strchr("*+?{", *p->at)) {
        int least = 0, most = -1;
        char sign = *p->at++;
        if (sign == '+')
            least = 1;
        else if (sign == '?')
            most = 1;
        else if (sign == '{')
            counts(p, &least, &most);
        if (!failed(p))
            repeat(p, from, least, most);
    }
}

static void sequence(struct parser *p)
{
    while (!failed(p) && *p->at && *p->at != '|' && *p->at != ')')
        piece(p);
}

/* Each alternative but the last ends with a jump behind them all. */
static void alternatives(struct parser *p)
{
    size_t jumps[ALTERNATIVES_MAX], count = 0, from = p->pattern->count;
    sequence(p);
    while (!failed(p) && *p->at == '|') {
        int16_t n = (int16_t)(p->pattern->count - from);
        if (count == ALTERNATIVES_MAX)
            fail(p, "too many alternatives (at most 64)");
        insert(p, from, (struct sb_code){ .op = SB_CODE_SPLIT, .a = 1, .b = (int16_t)(n + 2) });
        size_t jump = emit(p, (struct sb_code){ .op = SB_CODE_JUMP });
        if (failed(p))
            return;
        jumps[count++] = jump;
        p->at++;
        from = p->pattern->count;
        sequence(p);
    }
    for (size_t i = 0; i < count && !failed(p); i++)
        p->pattern->code[jumps[i]].a = (int16_t)(p->pattern->count - jumps[i]);
}

static void compile(struct parser *p)
{
    p->at += *p->at == '^';
    alternatives(p);
    if (!failed(p) && *p->at)
        fail(p, "')' without its '('");
    (void)emit(p, (struct sb_code){ .op = SB_CODE_MATCH });
}

int sb_pattern_new(const char *source, struct sb_pattern **ret, char **ret_error)
{
    sb_cleanup(sb_pattern_freep) struct sb_pattern *pattern = calloc(1, sizeof(*pattern));
    if (!pattern)
        return -ENOMEM;
    struct parser p = { .source = source, .at = source, .pattern = pattern };
    if (strlen(source) > SB_PATTERN_TEXT)
        p.error = sb_format("a pattern has at most %d characters", SB_PATTERN_TEXT);
    else
        compile(&p);
    if (p.error) {
        *ret_error = p.error;
        return -EINVAL;
    }
    *ret = SB_STEAL(pattern);
    return 0;
}

struct sb_pattern *sb_pattern_free(struct sb_pattern *pattern)
{
    if (!pattern)
        return NULL;
    free(pattern->sets);
    free(pattern);
    return NULL;
}

unsigned sb_pattern_groups(const struct sb_pattern *pattern)
{
    return pattern->groups;
}

bool sb_pattern_ends(const struct sb_pattern *pattern)
{
    return pattern->ends;
}
