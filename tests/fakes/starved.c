/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/starved.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

static int left = STARVED_UNLIMITED;
static bool refused, once;

void starved_grant(int allocations)
{
    left = allocations;
    refused = once = false;
}

void starved_refuse(int after)
{
    starved_grant(after);
    once = true;
}

int starved_left(void)
{
    return left;
}

bool starved_refused(void)
{
    return refused;
}

static bool grant(void)
{
    if (left == 0) {
        refused = true;
        left = once ? STARVED_UNLIMITED : 0;
        errno = ENOMEM;
        return false;
    }
    left -= left > 0;
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

static void release(void *p)
{
    free(p);
}

void starved_begin(void)
{
    json_set_alloc_funcs(malloc, release); /* the wrapped one */
}
