/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "bridge/base/str.h"
#include "bridge/package/uri.h"

const struct sb_field sb_uri_rules_fields[] = {
    { .key = "schemes",
      .type = SB_TYPE_STRINGS,
      .offset = offsetof(struct sb_uri_rules, schemes),
      .otherwise = "https",
      .doc = "Schemes of URIs that may be fetched: https, http, file (only regular files)." },
    { .key = "hosts",
      .type = SB_TYPE_STRINGS,
      .offset = offsetof(struct sb_uri_rules, hosts),
      .doc = "Hosts that may be asked, \"*.example.com\" for all below one; any, if not given." },
    { .key = "networks",
      .type = SB_TYPE_STRINGS,
      .offset = offsetof(struct sb_uri_rules, networks),
      .min = 0,
      .max = 256,
      .doc = "Networks that may be asked though they are not public, such as \"10.1.0.0/16\"." },
    { 0 },
};

/* -- Addresses --------------------------------------------------------------------------------- */

struct network {
    int family;
    uint8_t bytes[16];
    unsigned bits;
};

static bool parse_address(const char *text, struct network *ret)
{
    *ret = (struct network){ .family = AF_INET, .bits = 32 };
    if (inet_pton(AF_INET, text, ret->bytes) == 1)
        return true;
    *ret = (struct network){ .family = AF_INET6, .bits = 128 };
    return inet_pton(AF_INET6, text, ret->bytes) == 1;
}

static bool parse_bits(const char *text, unsigned most, unsigned *ret)
{
    unsigned bits = 0;
    size_t n = strlen(text);
    if (n < 1 || n > 3 || strspn(text, "0123456789") != n)
        return false;
    for (; *text; text++)
        bits = bits * 10 + (unsigned)(*text - '0');
    *ret = bits;
    return bits <= most;
}

static bool parse_network(const char *text, struct network *ret)
{
    const char *slash = strchr(text, '/');
    sb_cleanup(sb_freep) char *address =
        strndup(text, slash ? (size_t)(slash - text) : strlen(text));
    if (!address || !parse_address(address, ret))
        return false;
    return !slash || parse_bits(slash + 1, ret->bits, &ret->bits);
}

static bool within(const struct network *address, const struct network *network)
{
    if (address->family != network->family)
        return false;
    size_t whole = network->bits / 8;
    unsigned rest = network->bits % 8;
    if (memcmp(address->bytes, network->bytes, whole) != 0)
        return false;
    return rest == 0 || ((address->bytes[whole] ^ network->bytes[whole]) >> (8 - rest)) == 0;
}

static bool within_text(const struct network *address, const char *text)
{
    struct network network;
    return parse_network(text, &network) && within(address, &network);
}

/* IANA's special-purpose registries: IPv4 whole; of IPv6 what lies in 2000::/3, all else is not
 * public anyway (loopback, mapped ::ffff:0:0/96, NAT64 64:ff9b::/96, ULA fc00::/7, link-local
 * fe80::/10, multicast ff00::/8). */
static const char *const special[] = {
    "0.0.0.0/8",     "10.0.0.0/8",      "100.64.0.0/10",  "127.0.0.0/8",    "169.254.0.0/16",
    "172.16.0.0/12", "192.0.0.0/24",    "192.0.2.0/24",   "192.88.99.0/24", "192.168.0.0/16",
    "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4",    "240.0.0.0/4",
    "2001::/23",     "2001:db8::/32",   "2002::/16",      "3fff::/20",
};

static bool public(const struct network *address)
{
    if (address->family == AF_INET6 && !within_text(address, "2000::/3"))
        return false;
    for (size_t i = 0; i < SB_COUNT(special); i++)
        if (within_text(address, special[i]))
            return false;
    return true;
}

bool sb_address_allowed(const struct sb_uri_rules *rules, const char *address)
{
    struct network parsed;
    if (!address || !parse_address(address, &parsed))
        return false;
    if (public(&parsed))
        return true;
    for (size_t i = 0; rules && i < rules->networks.count; i++)
        if (within_text(&parsed, rules->networks.list[i]))
            return true;
    return false;
}

/* -- Schemes and hosts ------------------------------------------------------------------------- */

static bool scheme_allowed(const struct sb_uri_rules *rules, const char *scheme)
{
    if (!rules || rules->schemes.count == 0)
        return strcmp(scheme, "https") == 0;
    for (size_t i = 0; i < rules->schemes.count; i++)
        if (strcasecmp(rules->schemes.list[i], scheme) == 0)
            return true;
    return false;
}

static bool host_matches(const char *pattern, const char *host)
{
    if (strncmp(pattern, "*.", 2) != 0)
        return strcasecmp(pattern, host) == 0;
    size_t tail = strlen(pattern + 1), n = strlen(host);
    return n > tail && strcasecmp(host + n - tail, pattern + 1) == 0;
}

static bool host_allowed(const struct sb_uri_rules *rules, const char *host)
{
    if (!rules || rules->hosts.count == 0)
        return true;
    for (size_t i = 0; i < rules->hosts.count; i++)
        if (host_matches(rules->hosts.list[i], host))
            return true;
    return false;
}

enum sb_cause sb_uri_allowed(const struct sb_uri_rules *rules, const struct sb_uri *uri,
                             char **ret_text)
{
    char *text = NULL;
    bool file = strcmp(uri->scheme, "file") == 0;
    bool scheme = scheme_allowed(rules, uri->scheme);
    bool host = file || host_allowed(rules, uri->host);
    if (scheme && host && (!uri->literal || sb_address_allowed(rules, uri->host)))
        return SB_CAUSE_NONE;
    if (!scheme)
        text = sb_format("scheme %s is not allowed here (see uri_rules: schemes)", uri->scheme);
    else if (!host)
        text = sb_format("host %s is not allowed here (see uri_rules: hosts)", uri->host);
    else
        text = sb_format("address %s is not public and not allowed here (see uri_rules: networks)",
                         uri->host);
    if (ret_text)
        *ret_text = SB_STEAL(text);
    free(text);
    return SB_CAUSE_INVALID_URI;
}

bool sb_uri_is_stream(const char *uri)
{
    static const char scheme[] = "stream:";
    return uri && strncmp(uri, scheme, sizeof(scheme) - 1) == 0;
}

enum sb_cause sb_uri_check(const struct sb_uri_rules *rules, const char *uri, char **ret_text)
{
    struct sb_uri parts = { 0 };
    if (sb_uri_parse(uri, &parts, ret_text) < 0)
        return SB_CAUSE_INVALID_URI;
    enum sb_cause cause = sb_uri_allowed(rules, &parts, ret_text);
    sb_uri_done(&parts);
    return cause;
}

/* -- The rules themselves ---------------------------------------------------------------------- */

static const char *host_pattern_wrong(const char *pattern)
{
    struct sb_uri parts = { 0 };
    bool wild = strncmp(pattern, "*.", 2) == 0;
    bool v6 = strchr(pattern, ':') != NULL;
    sb_cleanup(sb_freep) char *uri =
        sb_format(v6 ? "https://[%s]/" : "https://%s/", wild ? pattern + 2 : pattern);
    int r = uri ? sb_uri_parse(uri, &parts, NULL) : -ENOMEM;
    bool plain = r == 0 && !parts.userinfo && parts.port == 443 && strcmp(parts.path, "/") == 0 &&
                 !parts.query && !(wild && parts.literal);
    sb_uri_done(&parts);
    return plain ? NULL : "is not a host name, \"*.\" and a host name, or an address";
}

static const char *scheme_wrong(const char *scheme)
{
    static const char *const known[] = { "https", "http", "file" };
    for (size_t i = 0; i < SB_COUNT(known); i++)
        if (strcasecmp(known[i], scheme) == 0)
            return NULL;
    return "is not a scheme that can be fetched (allowed: https, http, file)";
}

static const char *network_wrong(const char *text)
{
    struct network network, host;
    if (!parse_network(text, &network))
        return "is not a network such as \"10.1.0.0/16\" or \"fd00::/8\"";
    host = network;
    for (unsigned bit = network.bits; bit < (network.family == AF_INET ? 32u : 128u); bit++)
        host.bytes[bit / 8] &= (uint8_t) ~(0x80u >> (bit % 8));
    return memcmp(host.bytes, network.bytes, sizeof(host.bytes)) == 0
               ? NULL
               : "has bits set behind its length";
}

int sb_uri_rules_check(const struct sb_uri_rules *rules, const char *file, int line,
                       struct sb_diags *diags)
{
    const struct {
        const char *key;
        const struct sb_strings *list;
        const char *(*wrong)(const char *text);
    } checks[] = { { "schemes", &rules->schemes, scheme_wrong },
                   { "hosts", &rules->hosts, host_pattern_wrong },
                   { "networks", &rules->networks, network_wrong } };
    int r = 0;
    for (size_t i = 0; i < SB_COUNT(checks); i++) {
        for (size_t j = 0; j < checks[i].list->count; j++) {
            const char *text = checks[i].list->list[j];
            const char *wrong = checks[i].wrong(text);
            if (!wrong)
                continue;
            sb_diags_add(diags, file, line, 0, "%s: '%.128s' %s", checks[i].key, text, wrong);
            r = -EINVAL;
        }
    }
    return r;
}
