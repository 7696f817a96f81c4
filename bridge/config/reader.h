/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files that read by table share; only for this folder.
 */
#pragma once

#include "bridge/config/schema.h"

struct sb_reader {
    const char *file; /* NULL: as the node says */
    struct sb_diags *diags;
    size_t findings;
    bool no_memory;
};

void sb_reader_find(struct sb_reader *reader, const struct sb_yaml *at, const char *fmt, ...)
    SB_PRINTF(3, 4);
void sb_reader_unknown(struct sb_reader *reader, const struct sb_yaml *at, const char *what,
                       const char *const *allowed, size_t count);
/* Where a value goes: a struct's member, or an object's. node NULL: not given, take the default. */
typedef void (*sb_put_fn)(struct sb_reader *reader, const struct sb_field *field,
                          const struct sb_yaml *node, void *sink);
struct sb_walk {
    const struct sb_field *fields, *also;
    bool strict; /* required keys are required; not so in an optional map that is absent */
    void *sink;
    sb_put_fn put;
};
/* One map against its table, in the order of the file. */
void sb_reader_walk(struct sb_reader *reader, const struct sb_yaml *map,
                    const struct sb_walk *task);
int sb_reader_finish(const struct sb_reader *reader); /* 0, -EINVAL, -ENOMEM */
/* The sb_put_fn for structs. */
void sb_reader_member(struct sb_reader *reader, const struct sb_field *field,
                      const struct sb_yaml *node, void *data);
/* True when the node is what a LIST or TABLE needs, in shape and number; else a finding. */
bool sb_reader_array(struct sb_reader *reader, const struct sb_field *field,
                     const struct sb_yaml *node);
/* Everything but OBJECT, LIST and TABLE; node is not null. Findings leave the slot as it was. */
void sb_reader_value(struct sb_reader *reader, const struct sb_field *field,
                     const struct sb_yaml *node, void *slot);
/* True when `count` fits the field's min..max; else a finding. */
bool sb_reader_count(struct sb_reader *reader, const struct sb_field *field,
                     const struct sb_yaml *node, size_t count);
/* A foreign text for a finding: short, without control characters. NULL: no memory. */
char *sb_quoted(const char *text);
