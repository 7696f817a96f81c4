/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocations that fail when they should. For a program linked with --wrap for each of malloc,
 * calloc, realloc, reallocarray, strdup and strndup; Jansson is told by starved_begin(). The
 * allocator is the one contract that a program cannot hand in.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define STARVED_UNLIMITED (-1)
#define STARVED_MOST      2000 /* what needs more allocations never ends */

void starved_begin(void);
void starved_grant(int allocations); /* so many succeed, then none */
void starved_refuse(int after);      /* so many succeed, then one does not */
int starved_left(void);              /* until then */
bool starved_refused(void);          /* any since */
