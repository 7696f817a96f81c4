/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A URI taken apart, strictly: what a downloader and a check could read differently is refused, so
 * that what was checked is what is fetched. Only for what a download needs; no normalisation.
 * Grammar: RFC 3986. Pure.
 */
#pragma once

#include <stdint.h>

#include "bridge/base/diag.h"
#include "bridge/base/util.h"
#include "bridge/package/fetch.h"

#define SB_URI_MAX 2048

struct sb_uri {
    char *scheme;   /* lower case: "https", "http" or "file" */
    char *userinfo; /* as written, or NULL */
    char *host;     /* lower case; IPv6 without brackets; "" for file */
    int literal;    /* AF_INET or AF_INET6 when the host is an address, else 0 */
    uint16_t port;  /* the scheme's own when none is given; 0 for file */
    char *path;     /* as written, "" possible */
    char *query;    /* without '?', or NULL */
};

/* 0 and the parts; -EINVAL with a text to be freed (NULL without memory), -ENOMEM. */
int sb_uri_parse(const char *uri, struct sb_uri *ret, char **ret_text) SB_MUST_CHECK;
void sb_uri_done(struct sb_uri *uri);
/* The same scheme, host and port: credentials may follow there. */
bool sb_uri_same_origin(const struct sb_uri *a, const struct sb_uri *b);
/* Path of a file URI, percent-decoded; caller frees. NULL: a NUL or ".." in it, or no memory. */
char *sb_uri_file_path(const struct sb_uri *uri);
/* The file URI of an absolute path; caller frees. NULL without memory. */
char *sb_uri_of_path(const char *path);
/* Scheme, host and (of literals) address against the rules; a text to be freed when refused. */
enum sb_cause sb_uri_allowed(const struct sb_uri_rules *rules, const struct sb_uri *uri,
                             char **ret_text);
/* Findings for rules that could never match or are malformed. -EINVAL when any. */
int sb_uri_rules_check(const struct sb_uri_rules *rules, const char *file, int line,
                       struct sb_diags *diags) SB_MUST_CHECK;
