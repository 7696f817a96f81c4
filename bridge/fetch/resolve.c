/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/fetch/resolve.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#include "bridge/base/str.h"

#define ADDRESSES_MAX 8

bool sb_address_text(const struct sockaddr *address, char *ret, size_t room)
{
    const void *bytes = NULL;
    if (address->sa_family == AF_INET)
        bytes = &((const struct sockaddr_in *)(const void *)address)->sin_addr;
    else if (address->sa_family == AF_INET6)
        bytes = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    return bytes && inet_ntop(address->sa_family, bytes, ret, (socklen_t)room);
}

static int add(struct curl_slist **list, const char *entry, struct sb_result *result)
{
    struct curl_slist *longer = curl_slist_append(*list, entry);
    if (!longer)
        return sb_result_fail(result, SB_CAUSE_NO_MEMORY, "out of memory");
    *list = longer;
    return 0;
}

/* The allowed ones of what was found; how many. */
static int collect(const struct addrinfo *found, const struct sb_uri_rules *rules,
                   struct sb_str *ret, char refused[INET6_ADDRSTRLEN])
{
    int count = 0;
    for (; found && count < ADDRESSES_MAX; found = found->ai_next) {
        char text[INET6_ADDRSTRLEN];
        if (!sb_address_text(found->ai_addr, text, sizeof(text)))
            continue;
        if (rules && !sb_address_allowed(rules, text)) {
            memcpy(refused, text, sizeof(text));
            continue;
        }
        sb_str_format(ret, found->ai_family == AF_INET6 ? "%s[%s]" : "%s%s", count ? "," : "",
                      text);
        count++;
    }
    return count;
}

int sb_resolve(const struct sb_uri *uri, const struct sb_uri_rules *rules, struct curl_slist **list,
               struct sb_result *result)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC };
    struct addrinfo *found = NULL;
    char refused[INET6_ADDRSTRLEN] = "";
    if (uri->literal)
        return 0; /* checked with the URI */
    int r = getaddrinfo(uri->host, NULL, &hints, &found);
    if (r)
        return sb_result_fail(result, SB_CAUSE_DOWNLOAD_FAILED, "host %s cannot be resolved: %s",
                              uri->host, gai_strerror(r));
    struct sb_str entry = { 0 };
    sb_str_format(&entry, "%s:%u:", uri->host, uri->port);
    int count = collect(found, rules, &entry, refused);
    freeaddrinfo(found);
    if (count == 0)
        r = sb_result_fail(result, SB_CAUSE_INVALID_URI,
                           "host %s leads to %s, which is not public and not allowed here (see "
                           "uris: networks)",
                           uri->host, refused);
    else
        r = add(list, sb_str_get(&entry), result);
    sb_str_done(&entry);
    return r;
}
