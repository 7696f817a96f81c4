/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/config/yaml.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <yaml.h>

#include "bridge/config/node.h"

struct frame { /* an open list or map */
    struct sb_yaml *node;
    struct sb_yaml *key; /* map: the key that waits for its value; owned */
};

struct builder {
    const char *name; /* of the file, for findings */
    const char *text;
    size_t size;
    struct sb_diags *diags;
    size_t findings;
    char *file; /* the root's copy of the name; owned until there is a root */
    struct sb_yaml *root;
    struct frame stack[SB_YAML_DEPTH];
    size_t depth, nodes, documents;
    yaml_parser_t parser;
};

#define FIND(b, mark, ...)                                                                         \
    do {                                                                                           \
        (b)->findings++;                                                                           \
        sb_diags_add((b)->diags, (b)->name, (int)(mark).line + 1, (int)(mark).column + 1,          \
                     __VA_ARGS__);                                                                 \
    } while (0)

/* ---- the tree grows ---- */

static int attach(struct builder *b, struct sb_yaml *node, yaml_mark_t mark)
{
    if (b->depth == 0) {
        b->root = node;
        b->file = NULL; /* the root's now */
        return 0;
    }
    struct frame *top = &b->stack[b->depth - 1];
    if (top->node->kind == SB_YAML_MAP && !top->key) {
        if (node->kind == SB_YAML_SCALAR) {
            top->key = node;
            return 0;
        }
        FIND(b, mark, "a key must be a plain word, not a list or a map");
        sb_node_free(node);
        return -EINVAL;
    }
    int error = sb_node_push(top->node, top->key, node);
    if (error < 0)
        sb_node_free(node);
    else
        top->key = NULL;
    return error;
}

/* Anchors and tags are findings, but the tree can go on without them. */
static void refuse_extras(struct builder *b, const yaml_char_t *anchor, const yaml_char_t *tag,
                          yaml_mark_t mark)
{
    if (anchor)
        FIND(b, mark, "anchors and aliases are not supported ('&%s'): write the value out",
             (const char *)anchor);
    if (tag)
        FIND(b, mark, "tags are not supported ('%s'): leave it out, and quote what is text",
             (const char *)tag);
}

static int begin(struct builder *b, enum sb_yaml_kind kind, yaml_mark_t mark, struct sb_yaml **ret)
{
    if (++b->nodes > SB_YAML_NODES) {
        FIND(b, mark, "more than %d values", SB_YAML_NODES);
        return -EINVAL;
    }
    const char *file = b->root ? b->root->file : b->file;
    struct sb_yaml *node = sb_node_new(kind, file, (int)mark.line + 1, (int)mark.column + 1);
    *ret = node;
    return node ? 0 : -ENOMEM;
}

static int add_scalar(struct builder *b, const char *text, size_t n, bool quoted, yaml_mark_t mark)
{
    struct sb_yaml *node = NULL;
    int error = begin(b, SB_YAML_SCALAR, mark, &node);
    if (error < 0)
        return error;
    if (memchr(text, 0, n))
        FIND(b, mark, "a text must not contain a NUL character");
    node->quoted = quoted;
    node->text = strndup(text, n);
    if (!node->text) {
        sb_node_free(node);
        return -ENOMEM;
    }
    return attach(b, node, mark);
}

static int add_container(struct builder *b, enum sb_yaml_kind kind, yaml_mark_t mark)
{
    if (b->depth == SB_YAML_DEPTH) {
        FIND(b, mark, "nested deeper than %d levels", SB_YAML_DEPTH);
        return -EINVAL;
    }
    struct sb_yaml *node = NULL;
    int error = begin(b, kind, mark, &node);
    if (error == 0)
        error = attach(b, node, mark);
    if (error == 0)
        b->stack[b->depth++] = (struct frame){ .node = node };
    return error;
}

static int by_text(const void *a, const void *b)
{
    const struct sb_yaml *left = *(struct sb_yaml *const *)a;
    const struct sb_yaml *right = *(struct sb_yaml *const *)b;
    int order = strcmp(left->text, right->text);
    if (order == 0)
        order = left->line - right->line;
    return order ? order : left->column - right->column;
}

static int refuse_duplicates(struct builder *b, const struct sb_yaml *map)
{
    if (map->count < 2)
        return 0;
    const size_t size = sizeof(struct sb_yaml *);
    sb_cleanup(sb_freep) struct sb_yaml **keys = malloc(map->count * size);
    if (!keys)
        return -ENOMEM;
    memcpy(keys, map->keys, map->count * size);
    qsort(keys, map->count, size, by_text);
    const struct sb_yaml *first = keys[0];
    for (size_t i = 1; i < map->count; i++) {
        if (!sb_streq(first->text, keys[i]->text)) {
            first = keys[i];
            continue;
        }
        b->findings++;
        sb_diags_add(b->diags, b->name, keys[i]->line, keys[i]->column,
                     "key '%.100s' stands twice in this map (first in line %d)", first->text,
                     first->line);
    }
    return 0;
}

/* ---- libyaml's events ---- */

static int on_alias(struct builder *b, const yaml_event_t *event)
{
    FIND(b, event->start_mark, "anchors and aliases are not supported ('*%s'): write the value out",
         (const char *)event->data.alias.anchor);
    return add_scalar(b, "", 0, true, event->start_mark);
}

static int on_scalar(struct builder *b, const yaml_event_t *event)
{
    refuse_extras(b, event->data.scalar.anchor, event->data.scalar.tag, event->start_mark);
    return add_scalar(b, (const char *)event->data.scalar.value, event->data.scalar.length,
                      event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE, event->start_mark);
}

static int on_event(struct builder *b, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (b->documents++ == 0)
            return 0;
        FIND(b, event->start_mark, "a second document begins here: one file is one document");
        return -EINVAL;
    case YAML_ALIAS_EVENT:
        return on_alias(b, event);
    case YAML_SCALAR_EVENT:
        return on_scalar(b, event);
    case YAML_SEQUENCE_START_EVENT:
        refuse_extras(b, event->data.sequence_start.anchor, event->data.sequence_start.tag,
                      event->start_mark);
        return add_container(b, SB_YAML_LIST, event->start_mark);
    case YAML_MAPPING_START_EVENT:
        refuse_extras(b, event->data.mapping_start.anchor, event->data.mapping_start.tag,
                      event->start_mark);
        return add_container(b, SB_YAML_MAP, event->start_mark);
    case YAML_MAPPING_END_EVENT:
        return refuse_duplicates(b, b->stack[--b->depth].node);
    case YAML_SEQUENCE_END_EVENT:
        b->depth--;
        return 0;
    default:
        return 0;
    }
}

/* ---- where the text itself is broken ---- */

static size_t count_lines(const char *text, size_t n)
{
    size_t lines = 0;
    for (size_t i = 0; i < n; i++)
        lines += text[i] == '\n';
    return lines;
}

/* The commonest mistake, which libyaml does not name. */
static bool tab_indents(const struct builder *b, size_t line)
{
    const char *at = b->text, *end = b->text + b->size;
    for (; line > 0 && at; line--) {
        at = memchr(at, '\n', (size_t)(end - at));
        at = at ? at + 1 : NULL;
    }
    while (at && at < end && *at == ' ')
        at++;
    return at && at < end && *at == '\t';
}

static int syntax_error(struct builder *b)
{
    const yaml_parser_t *p = &b->parser;
    if (p->error == YAML_MEMORY_ERROR)
        return -ENOMEM;
    const char *problem = p->problem ? p->problem : "not YAML";
    if (p->error == YAML_READER_ERROR) { /* has an offset instead of a mark */
        yaml_mark_t mark = { .line = count_lines(b->text, SB_MIN(p->problem_offset, b->size)) };
        FIND(b, mark, "%s", problem);
        return -EINVAL;
    }
    FIND(b, p->problem_mark, "%s%s%s%s", p->context ? p->context : "", p->context ? ": " : "",
         problem,
         tab_indents(b, p->problem_mark.line) ? " (the line begins with a tab: indent by spaces)"
                                              : "");
    return -EINVAL;
}

static int run(struct builder *b)
{
    for (;;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&b->parser, &event))
            return syntax_error(b);
        bool end = event.type == YAML_STREAM_END_EVENT;
        int error = on_event(b, &event);
        yaml_event_delete(&event);
        if (error < 0)
            return error;
        if (end)
            break;
    }
    if (!b->root) {
        int error = add_scalar(b, "", 0, false, (yaml_mark_t){ 0 });
        if (error < 0)
            return error;
    }
    return b->findings ? -EINVAL : 0;
}

static void abandon(struct builder *b)
{
    for (size_t i = 0; i < SB_YAML_DEPTH; i++)
        sb_node_free(b->stack[i].key);
    sb_yaml_free(b->root);
    free(b->file);
}

int sb_yaml_parse(const char *file, const void *text, size_t n, struct sb_yaml **ret,
                  struct sb_diags *diags)
{
    struct builder b = { .name = file, .text = text, .size = n, .diags = diags };
    if (n > SB_YAML_BYTES) {
        sb_diags_add(diags, file, 0, 0, "larger than 1 MiB");
        return -EINVAL;
    }
    if (file && !(b.file = strdup(file)))
        return -ENOMEM;
    if (!yaml_parser_initialize(&b.parser)) {
        free(b.file);
        return -ENOMEM;
    }
    yaml_parser_set_input_string(&b.parser, (const unsigned char *)(text ? text : ""), n);
    int error = run(&b);
    yaml_parser_delete(&b.parser);
    if (error < 0)
        abandon(&b);
    else
        *ret = b.root;
    return error;
}

/* ---- files ---- */

static int read_all(int fd, char *buffer, size_t room, size_t *ret)
{
    size_t n = 0;
    while (n < room) {
        ssize_t got = read(fd, buffer + n, room - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        n += (size_t)got;
    }
    *ret = n;
    return 0;
}

/* Not blocking: a FIFO or a device in place of the file must not hang the daemon. */
static int open_regular(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -errno;
    struct stat st;
    int error = fstat(fd, &st) < 0 ? -errno : 0;
    if (error == 0 && !S_ISREG(st.st_mode))
        error = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
    if (error == 0)
        return fd;
    (void)close(fd);
    return error;
}

int sb_yaml_load(const char *path, struct sb_yaml **ret, struct sb_diags *diags)
{
    sb_cleanup(sb_closep) int fd = open_regular(path);
    if (fd < 0) {
        sb_diags_add(diags, path, 0, 0, "cannot be read: %s",
                     fd == -EINVAL ? "not a regular file" : strerror(-fd));
        return fd;
    }
    sb_cleanup(sb_freep) char *text = malloc(SB_YAML_BYTES + 1);
    size_t n = 0;
    int error = text ? read_all(fd, text, SB_YAML_BYTES + 1, &n) : -ENOMEM;
    if (error < 0) {
        sb_diags_add(diags, path, 0, 0, "cannot be read: %s", strerror(-error));
        return error;
    }
    return sb_yaml_parse(path, text, n, ret, diags);
}
