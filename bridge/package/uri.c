/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge/package/uri.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "bridge/base/str.h"

#define HOST_MAX  253
#define LABEL_MAX 63

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool hex(char c)
{
    return digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

void sb_uri_done(struct sb_uri *uri)
{
    free(uri->scheme);
    free(uri->userinfo);
    free(uri->host);
    free(uri->path);
    free(uri->query);
    *uri = (struct sb_uri){ 0 };
}

bool sb_uri_same_origin(const struct sb_uri *a, const struct sb_uri *b)
{
    return sb_streq(a->scheme, b->scheme) && sb_streq(a->host, b->host) && a->port == b->port;
}

/* -- Taking it apart: each step returns what is wrong, or NULL ------------------------------- */

static const char no_memory[] = "out of memory";

static const char *check_characters(const char *uri)
{
    size_t n = strlen(uri);
    if (n == 0)
        return "it is empty";
    if (n > SB_URI_MAX)
        return "it is longer than 2048 bytes";
    for (const char *p = uri; *p; p++) {
        if (*p <= ' ' || *p > '~')
            return "it has a blank, a control or a non-ASCII character (percent-encode it)";
        if (strchr("\"<>\\^`{|}", *p))
            return "it has one of \"<>\\^`{|} (percent-encode it)";
        if (*p == '%' && (!hex(p[1]) || !hex(p[2])))
            return "a % is not followed by two hex digits";
    }
    return NULL;
}

static char *lower(const char *text, size_t n)
{
    char *copy = strndup(text, n);
    for (char *p = copy; p && *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    return copy;
}

static const struct scheme {
    const char *name;
    uint16_t port;
    bool host;
} schemes[] = { { "https", 443, true }, { "http", 80, true }, { "file", 0, false } };

static const struct scheme *scheme_of(const char *name)
{
    for (size_t i = 0; name && i < SB_COUNT(schemes); i++)
        if (strcmp(schemes[i].name, name) == 0)
            return &schemes[i];
    return NULL;
}

static const char *take_scheme(const char **p, struct sb_uri *ret)
{
    size_t n = strspn(*p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");
    if (n == 0 || !letter(**p) || strncmp(*p + n, "://", 3) != 0)
        return "it does not begin with a scheme and ://";
    ret->scheme = lower(*p, n);
    *p += n + 3;
    if (!ret->scheme)
        return no_memory;
    return scheme_of(ret->scheme) ? NULL : "only https, http and file can be fetched";
}

/* "a:b" before the '@' of an authority; a second '@' would be read differently elsewhere. */
static const char *take_userinfo(const char **p, const char *end, struct sb_uri *ret)
{
    const char *at = memchr(*p, '@', (size_t)(end - *p));
    if (!at)
        return NULL;
    if (memchr(at + 1, '@', (size_t)(end - at - 1)))
        return "there is more than one @ before the path";
    if (at == *p)
        return "the part before @ is empty";
    for (const char *c = *p; c < at; c++)
        if (!letter(*c) && !digit(*c) && !strchr("-._~%!$&'()*+,;=:", *c))
            return "the part before @ has characters that must be percent-encoded";
    ret->userinfo = strndup(*p, (size_t)(at - *p));
    *p = at + 1;
    return ret->userinfo ? NULL : no_memory;
}

static const char *take_ipv6(const char **p, const char *end, struct sb_uri *ret)
{
    const char *close = memchr(*p, ']', (size_t)(end - *p));
    if (!close)
        return "the [ of an IPv6 address is not closed";
    ret->host = lower(*p + 1, (size_t)(close - *p - 1));
    *p = close + 1;
    if (!ret->host)
        return no_memory;
    struct in6_addr address;
    if (inet_pton(AF_INET6, ret->host, &address) != 1) /* refuses zones as well */
        return "what stands in [] is not an IPv6 address";
    ret->literal = AF_INET6;
    return NULL;
}

static const char *check_label(const char *label, size_t n)
{
    if (n == 0)
        return "the host has an empty part";
    if (n > LABEL_MAX || label[0] == '-' || label[n - 1] == '-')
        return "a part of the host is too long, or begins or ends with -";
    for (size_t i = 0; i < n; i++)
        if (!letter(label[i]) && !digit(label[i]) && label[i] != '-' && label[i] != '_')
            return "the host has a character other than letters, digits, - and .";
    return NULL;
}

/*
 * A host whose last part is a number is an address to many resolvers ("127.1", "0x7f.0.0.1",
 * "2130706433", "0177.0.0.1"): only the plain dotted form is let through.
 */
static bool ends_in_number(const char *host)
{
    const char *dot = strrchr(host, '.');
    const char *last = dot ? dot + 1 : host;
    if (last[0] == '0' && (last[1] == 'x' || last[1] == 'X'))
        return strspn(last + 2, "0123456789abcdef") == strlen(last + 2);
    return strspn(last, "0123456789") == strlen(last);
}

static const char *check_host(struct sb_uri *uri)
{
    const char *host = uri->host;
    if (strlen(host) > HOST_MAX)
        return "the host is longer than 253 bytes";
    for (const char *p = host;; p++) {
        size_t n = strcspn(p, ".");
        const char *wrong = check_label(p, n);
        if (wrong)
            return wrong;
        p += n;
        if (!*p)
            break;
    }
    if (!ends_in_number(host))
        return NULL;
    struct in_addr address;
    if (inet_pton(AF_INET, host, &address) != 1) /* strict: four decimal parts, no leading zero */
        return "the host is a number but not a plain IPv4 address";
    uri->literal = AF_INET;
    return NULL;
}

static const char *take_host(const char **p, const char *end, struct sb_uri *ret)
{
    if (**p == '[')
        return take_ipv6(p, end, ret);
    const char *colon = memchr(*p, ':', (size_t)(end - *p));
    const char *stop = colon ? colon : end;
    if (stop == *p)
        return "it has no host";
    ret->host = lower(*p, (size_t)(stop - *p));
    *p = stop;
    return ret->host ? check_host(ret) : no_memory;
}

static const char *take_port(const char **p, const char *end, struct sb_uri *ret)
{
    ret->port = scheme_of(ret->scheme)->port;
    if (*p == end)
        return NULL;
    if (**p != ':')
        return "something stands between the host and the path";
    unsigned port = 0;
    const char *c = *p + 1;
    for (; c < end && digit(*c) && port <= 65535; c++)
        port = port * 10 + (unsigned)(*c - '0');
    if (c != end || c == *p + 1 || port < 1 || port > 65535)
        return "the port is not a number from 1 to 65535";
    ret->port = (uint16_t)port;
    *p = end;
    return NULL;
}

static const char *take_authority(const char **p, struct sb_uri *ret)
{
    const char *end = *p + strcspn(*p, "/?#");
    const char *wrong = NULL;
    if (!scheme_of(ret->scheme)->host) {
        if (end != *p && strncasecmp(*p, "localhost/", 10) != 0)
            return "a file URI has no host: file:///path";
        *p = end;
        ret->host = strdup("");
        return ret->host ? NULL : no_memory;
    }
    wrong = take_userinfo(p, end, ret);
    if (!wrong)
        wrong = take_host(p, end, ret);
    return wrong ? wrong : take_port(p, end, ret);
}

static const char *take_rest(const char *p, struct sb_uri *ret)
{
    size_t n = strcspn(p, "?#");
    bool file = !scheme_of(ret->scheme)->host;
    if (file && p[n] != '\0')
        return "a file URI has no query";
    if (file && *p != '/')
        return "a file URI needs a whole path: file:///path";
    ret->path = strndup(p, n);
    if (p[n] == '?')
        ret->query = strndup(p + n + 1, strcspn(p + n + 1, "#"));
    return ret->path && (p[n] != '?' || ret->query) ? NULL : no_memory;
}

int sb_uri_parse(const char *uri, struct sb_uri *ret, char **ret_text)
{
    struct sb_uri parts = { 0 };
    const char *p = uri ? uri : "";
    const char *wrong = check_characters(p);
    if (!wrong)
        wrong = take_scheme(&p, &parts);
    if (!wrong)
        wrong = take_authority(&p, &parts);
    if (!wrong)
        wrong = take_rest(p, &parts);
    if (!wrong) {
        *ret = parts;
        return 0;
    }
    sb_uri_done(&parts);
    if (wrong == no_memory)
        return -ENOMEM;
    if (ret_text)
        *ret_text = sb_format("the URI cannot be used: %s", wrong);
    return -EINVAL;
}

static unsigned nibble(char c)
{
    return (unsigned)(digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
}

char *sb_uri_file_path(const struct sb_uri *uri)
{
    sb_cleanup(sb_freep) char *path = malloc(strlen(uri->path) + 1);
    char *out = path;
    for (const char *p = uri->path; path && *p; p++) {
        char c = *p;
        if (c == '%') {
            c = (char)(nibble(p[1]) << 4 | nibble(p[2]));
            p += 2;
        }
        if (c == '\0')
            return NULL;
        *out++ = c;
    }
    if (!path)
        return NULL;
    *out = '\0';
    size_t n = strlen(path);
    bool climbs = strstr(path, "/../") || (n >= 3 && strcmp(path + n - 3, "/..") == 0);
    return climbs ? NULL : SB_STEAL(path);
}

char *sb_uri_of_path(const char *path)
{
    struct sb_str uri = { 0 };
    sb_str_add(&uri, "file://");
    for (const char *p = path; *p; p++) {
        if (letter(*p) || digit(*p) || strchr("/-._~", *p))
            sb_str_add_char(&uri, *p);
        else
            sb_str_format(&uri, "%%%02X", (unsigned)(unsigned char)*p);
    }
    return sb_str_take(&uri);
}
