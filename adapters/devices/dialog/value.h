/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Typed values as a console writes them: texts in lines. A description names the type and what is
 * allowed; a device's text becomes JSON by it, and JSON a text that may be sent.
 *
 * What comes from outside never brings a control character, nor - unless the description allows
 * it - a sign by which consoles join or quote commands. Pure.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "bridge/base/json.h"
#include "bridge/base/names.h"

#define SB_DIALOG_TEXT_MAX 256 /* characters of a value */

enum sb_dialog_kind {
    SB_DIALOG_STRING,
    SB_DIALOG_INT,
    SB_DIALOG_FLOAT,
    SB_DIALOG_BOOL,
    SB_DIALOG_ENUM,
    SB_DIALOG_KIND_MAX_,
};
SB_NAMES_DECLARE(sb_dialog_kind)

struct sb_dialog_value { /* borrows from its description */
    enum sb_dialog_kind kind;
    bool bounded;
    double min, max;
    size_t length;        /* of a string */
    const char *allow;    /* further signs a string may have, or NULL */
    const json_t *values; /* enum: [word] or {word: name}; bool: [off, on]; or NULL */
};
/* The keys of a description that are read here. */
#define SB_DIALOG_VALUE_KEYS "type", "min", "max", "length", "allow", "values"

/* -EINVAL with a text to be freed, in all of these. */
int sb_dialog_value_read(const json_t *spec, struct sb_dialog_value *ret,
                         char **ret_error) SB_MUST_CHECK;
/* What to send; caller frees. */
int sb_dialog_value_encode(const struct sb_dialog_value *value, const json_t *json, char **ret,
                           char **ret_error) SB_MUST_CHECK;
/* A new reference. */
int sb_dialog_value_decode(const struct sb_dialog_value *value, const char *text, json_t **ret,
                           char **ret_error) SB_MUST_CHECK;
/* Whether a foreign text may stand in a line that is sent. */
int sb_dialog_text_check(const char *text, const char *allow, char **ret_error) SB_MUST_CHECK;
