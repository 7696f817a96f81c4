/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program of a pattern, as pattern.c writes it and pattern_run.c walks it. Private to them.
 */
#pragma once

#include "adapters/devices/dialog/pattern.h"

enum sb_code_op {
    SB_CODE_BYTE,  /* a: the byte */
    SB_CODE_SET,   /* a: index of the set */
    SB_CODE_ANY,   /* any byte */
    SB_CODE_END,   /* the line's end */
    SB_CODE_SAVE,  /* a: which border */
    SB_CODE_JUMP,  /* a: how far */
    SB_CODE_SPLIT, /* a, then b: how far */
    SB_CODE_MATCH,
};
struct sb_code {
    uint8_t op; /* enum sb_code_op */
    int16_t a, b;
};
struct sb_set {
    uint8_t bits[32];
};
struct sb_pattern {
    struct sb_code code[SB_PATTERN_CODE];
    size_t count;
    struct sb_set *sets;
    size_t set_count;
    unsigned groups;
    bool ends;
};
