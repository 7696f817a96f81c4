/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is allowed must be what a downloader reads: no byte that could end a host early, an address
 * only in its plain form, and the rules obeyed.
 */
#include <string.h>

#include "bridge/base/str.h"
#include "bridge/package/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void hold(bool truth)
{
    if (!truth)
        __builtin_trap();
}

static void check_parts(const struct sb_uri *uri)
{
    for (const char *p = uri->host; *p; p++)
        hold(*p > ' ' && *p <= '~' && !strchr("@/\\?#%[]", *p));
    hold(uri->port != 0 || strcmp(uri->scheme, "file") == 0);
    hold(uri->literal || !strchr(uri->host, ':'));
    hold(!uri->userinfo || !strchr(uri->userinfo, '@'));
    free(sb_uri_file_path(uri));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *schemes[] = { "https", "http", "file" }, *hosts[] = { "*.example.com", "10.0.0.1" };
    const struct sb_uri_rules open = { .schemes = { schemes, 3 } };
    const struct sb_uri_rules closed = { .schemes = { schemes, 1 }, .hosts = { hosts, 2 } };
    char *text = size <= 2 * SB_URI_MAX ? strndup((const char *)data, size) : NULL;
    if (!text)
        return 0;
    struct sb_uri uri = { 0 };
    if (sb_uri_parse(text, &uri, NULL) == 0) {
        check_parts(&uri);
        bool literal = uri.literal != 0;
        hold(sb_uri_check(&open, text, NULL) == SB_CAUSE_NONE ||
             (literal && !sb_address_allowed(&open, uri.host)));
        if (sb_uri_check(&closed, text, NULL) == SB_CAUSE_NONE)
            hold(!literal && strlen(uri.host) > 12 &&
                 strcmp(uri.host + strlen(uri.host) - 12, ".example.com") == 0);
    } else {
        hold(sb_uri_check(&open, text, NULL) == SB_CAUSE_INVALID_URI);
    }
    sb_uri_done(&uri);
    (void)sb_address_allowed(&open, text);
    free(text);
    return 0;
}
