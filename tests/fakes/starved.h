/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocations that fail when they should: `left` counts those that will still succeed. For a test
 * of one file, linked with --wrap for each function here; Jansson is told by
 * json_set_alloc_funcs(). The allocator is the one contract that a program cannot hand in.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define UNLIMITED (-1)
#define ATTEMPTS  2000

static int left = UNLIMITED; /* allocations that will still succeed */

static bool grant(void)
{
    if (left > 0)
        left--;
    else if (left == 0)
        return false;
    return true;
}

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): the linker's names */
void *__real_malloc(size_t n);
void *__real_calloc(size_t count, size_t n);
void *__real_realloc(void *p, size_t n);
void *__real_reallocarray(void *p, size_t count, size_t n);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t count, size_t n);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_reallocarray(void *p, size_t count, size_t n);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t n);

void *__wrap_malloc(size_t n)
{
    return grant() ? __real_malloc(n) : NULL;
}

void *__wrap_calloc(size_t count, size_t n)
{
    return grant() ? __real_calloc(count, n) : NULL;
}

void *__wrap_realloc(void *p, size_t n)
{
    return grant() ? __real_realloc(p, n) : NULL;
}

void *__wrap_reallocarray(void *p, size_t count, size_t n)
{
    return grant() ? __real_reallocarray(p, count, n) : NULL;
}

char *__wrap_strdup(const char *text)
{
    return grant() ? __real_strdup(text) : NULL;
}

char *__wrap_strndup(const char *text, size_t n)
{
    return grant() ? __real_strndup(text, n) : NULL;
}
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
