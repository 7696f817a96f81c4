/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every key of every file that a user writes, as text: the tables that check the files, printed.
 * What stands in a dialect's words is explained in the words' own file. Pure.
 */
#pragma once

#include "bridge/adapters.h"

/* Caller frees; NULL without memory. */
char *sb_keys_text(const struct sb_adapters *adapters);
