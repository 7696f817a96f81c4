/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ownership and small arithmetic, used everywhere.
 *
 * An owner is declared with sb_cleanup(fn): the value is released when it leaves scope, and
 * SB_STEAL() hands it on. Release functions accept NULL, so half-built objects are safe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SB_UNUSED       __attribute__((unused))
#define SB_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define SB_MUST_CHECK   __attribute__((warn_unused_result))
#define sb_cleanup(fn)  __attribute__((cleanup(fn)))
#define SB_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SB_MIN(a, b)    ((a) < (b) ? (a) : (b))
#define SB_MAX(a, b)    ((a) > (b) ? (a) : (b))

/* Takes the value out of an owner; the owner is left empty. */
#define SB_STEAL(p)                                                                                \
    ({                                                                                             \
        __typeof__(p) sb_taken_ = (p);                                                             \
        (p) = NULL;                                                                                \
        sb_taken_;                                                                                 \
    })

/* Defines sb_<name>p(T *), which releases *T by fn; for use in sb_cleanup(). */
/* NOLINTBEGIN(bugprone-macro-parentheses): a type cannot stand in them */
#define SB_DEFINE_CLEANUP(type, fn)                                                                \
    static inline SB_UNUSED void fn##p(type *p)                                                    \
    {                                                                                              \
        if (*p)                                                                                    \
            fn(*p);                                                                                \
    }
/* NOLINTEND(bugprone-macro-parentheses) */

static inline SB_UNUSED void sb_freep(void *p)
{
    free(*(void **)p);
}

static inline SB_UNUSED void sb_closep(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

static inline SB_UNUSED bool sb_streq(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* Replaces *slot by a copy of text (NULL clears it). 0 or -ENOMEM; *slot is kept on error. */
int sb_set_string(char **slot, const char *text) SB_MUST_CHECK;

struct sb_strings { /* texts in a row, which are its own */
    char **list;
    size_t count;
};
/* Appends a copy. 0 or -ENOMEM. */
int sb_strings_add(struct sb_strings *strings, const char *text) SB_MUST_CHECK;
void sb_strings_done(struct sb_strings *strings);

/* n bytes of a file from `at` on. -errno; -ENODATA: it ends before. */
int sb_read_at(int fd, int64_t at, void *ret, size_t n) SB_MUST_CHECK;
/*
 * For main(): a program that was started without one of the descriptors 0 to 2 would open something
 * else under its number, and write its log into it.
 */
void sb_std_hold(void);
/*
 * For main(): memory of 16 KiB and more is taken apart from the heap from then on. Such buffers are
 * mostly those of TLS connections, 17 KiB each, and hardly filled: of fresh memory only what was
 * touched is resident, of reused memory all. 16 kB less for each connection (bench_tls_links).
 */
void sb_heap_split(void);
/* What an ordinary user may still write on the file system of path, in bytes; -1: not known. */
int64_t sb_disk_free(const char *path);
