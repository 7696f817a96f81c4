/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts with {names} in them. "{{" and "}}" stand for the brackets themselves. Pure.
 */
#pragma once

#include "bridge/base/str.h"

/*
 * Called for each {name}: appends what stands for it to `out`, or returns -errno with a text to be
 * freed in *ret_error.
 */
typedef int (*sb_template_fn)(void *arg, const char *name, struct sb_str *out, char **ret_error);
/* out may be NULL: only looked through. -EINVAL: a bracket is open; else what fn says; -ENOMEM. */
int sb_template_fill(const char *text, sb_template_fn fn, void *arg, struct sb_str *out,
                     char **ret_error) SB_MUST_CHECK;
