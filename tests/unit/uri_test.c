/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/socket.h>

#include "bridge/base/str.h"
#include "bridge/package/uri.h"
#include "tests/test.h"

static char *https[] = { "https" }, *both[] = { "https", "HTTP" }, *file[] = { "file" };
static char *hosts[] = { "firmware.example.com", "*.cdn.example.com", "10.1.2.3", "FD00::1" };
static char *lan[] = { "10.1.0.0/16", "127.0.0.0/8", "fd00::/8", "not a network", "::1/128" };

static const struct sb_uri_rules web = { .schemes = { both, 2 } };
static const struct sb_uri_rules inside = { .schemes = { both, 2 }, .networks = { lan, 5 } };
static const struct sb_uri_rules listed = { .schemes = { https, 1 },
                                            .hosts = { hosts, 4 },
                                            .networks = { lan, 5 } };
static const struct sb_uri_rules local = { .schemes = { file, 1 } };

static void assert_verdict(const struct sb_uri_rules *rules, const char *uri, bool allowed,
                           const char *part)
{
    char *text = NULL;
    enum sb_cause cause = sb_uri_check(rules, uri, &text);
    if ((cause == SB_CAUSE_NONE) != allowed)
        fail_msg("'%s' is %s (%s)", uri, allowed ? "refused" : "allowed", text ? text : "-");
    assert_true(cause == SB_CAUSE_NONE || cause == SB_CAUSE_INVALID_URI);
    if (allowed)
        assert_null(text);
    else if (!text || !strstr(text, part))
        fail_msg("'%s': '%s' does not say '%s'", uri, text ? text : "-", part);
    free(text);
}

SB_TEST(takes_a_uri_apart)
{
    struct sb_uri uri = { 0 };
    assert_int_equal(
        0,
        sb_uri_parse("HTTPS://u:p%40@Firmware.Example.com:8443/a/b%20c?sig=x%2F#part", &uri, NULL));
    assert_string_equal("https", uri.scheme);
    assert_string_equal("u:p%40", uri.userinfo);
    assert_string_equal("firmware.example.com", uri.host);
    assert_int_equal(8443, uri.port);
    assert_int_equal(0, uri.literal);
    assert_string_equal("/a/b%20c", uri.path);
    assert_string_equal("sig=x%2F", uri.query);
    sb_uri_done(&uri);

    assert_int_equal(0, sb_uri_parse("http://[2001:DB8::1]?q", &uri, NULL));
    assert_string_equal("2001:db8::1", uri.host);
    assert_int_equal(AF_INET6, uri.literal);
    assert_int_equal(80, uri.port);
    assert_string_equal("", uri.path);
    sb_uri_done(&uri);
}

SB_TEST(refuses_what_could_be_read_in_two_ways)
{
    static const struct {
        const char *uri, *part;
    } cases[] = {
        { "", "empty" },
        { "firmware.bin", "scheme" },
        { "//example.com/x", "scheme" },
        { "https:/example.com/x", "scheme" },
        { "https:example.com", "scheme" },
        { "1https://example.com/", "scheme" },
        { "ftp://example.com/x", "only https, http and file" },
        { "javascript://example.com/x", "only https" },
        { "https://", "no host" },
        { "https:///x", "no host" },
        { "https://:443/x", "no host" },
        { "https://example.com/a b", "blank" },
        { "https://example.com/a\tb", "control" },
        { "https://example.com/a\r\nHost: evil", "control" },
        { "https://example.com/\x7f", "control" },
        { "https://ex\xc3\xa4mple.com/", "non-ASCII" },
        { "https://example.com\\@evil.com/", "\\" },
        { "https://example.com/<x>", "<>" },
        { "https://example.com/%", "hex digits" },
        { "https://example.com/%4", "hex digits" },
        { "https://example.com/%zz", "hex digits" },
        { "https://good.com@evil.com@example.com/", "more than one @" },
        { "https://@example.com/", "before @ is empty" },
        { "https://a[b@example.com/", "percent-encoded" },
        { "https://exa%6dple.com/", "character other than" },
        { "https://example..com/", "empty part" },
        { "https://example.com./", "empty part" },
        { "https://.example.com/", "empty part" },
        { "https://-a.example.com/", "begins or ends" },
        { "https://a-.example.com/", "begins or ends" },
        { "https://example.com:/", "port" },
        { "https://example.com:0/", "port" },
        { "https://example.com:65536/", "port" },
        { "https://example.com:99999999999/", "port" },
        { "https://example.com:80:80/", "port" },
        { "https://example.com:8o/", "port" },
        { "https://example.com:+80/", "port" },
        { "https://[::1/", "not closed" },
        { "https://[fe80::1%25eth0]/", "not an IPv6 address" },
        { "https://[1.2.3.4]/", "not an IPv6 address" },
        { "https://[::1]x/", "between the host and the path" },
        { "https://127.1/", "plain IPv4" },
        { "https://2130706433/", "plain IPv4" },
        { "https://0177.0.0.1/", "plain IPv4" },
        { "https://0x7f.0.0.1/", "plain IPv4" },
        { "https://0x7F000001/", "plain IPv4" },
        { "https://1.2.3.0x4/", "plain IPv4" },
        { "https://1.2.3.08/", "plain IPv4" },
        { "https://1.2.3.4.5/", "plain IPv4" },
        { "https://256.1.1.1/", "plain IPv4" },
        { "https://example.123/", "plain IPv4" },
        { "https://0x/", "plain IPv4" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++)
        assert_verdict(&inside, cases[i].uri, false, cases[i].part);
}

SB_TEST(bounds_lengths)
{
    char uri[SB_URI_MAX + 2];
    memset(uri, 'a', sizeof(uri));
    memcpy(uri, "https://example.com/", 20);
    uri[SB_URI_MAX] = '\0';
    assert_verdict(NULL, uri, true, NULL);
    uri[SB_URI_MAX] = 'a';
    uri[SB_URI_MAX + 1] = '\0';
    assert_verdict(NULL, uri, false, "2048");
    memcpy(uri + 8, "a/", 2);
    memset(uri + 8, 'a', 64);
    memcpy(uri + 72, ".com/", 6);
    assert_verdict(NULL, uri, false, "too long");
    for (int i = 0; i < 127; i++)
        memcpy(uri + 8 + 2 * i, "a.", 2);
    memcpy(uri + 8 + 254, "a/", 3);
    assert_verdict(NULL, uri, false, "253");
}

SB_TEST(only_https_unless_said_otherwise)
{
    const struct sb_uri_rules none = { 0 };
    assert_verdict(NULL, "https://example.com/x", true, NULL);
    assert_verdict(&none, "https://example.com/x", true, NULL);
    assert_verdict(NULL, "http://example.com/x", false, "(see uri_rules: schemes)");
    assert_verdict(&none, "file:///etc/passwd", false, "scheme file is not allowed");
    assert_verdict(&web, "http://example.com/x", true, NULL);
    assert_verdict(&listed, "http://firmware.example.com/x", false, "scheme http");
}

SB_TEST(hosts_are_listed_or_any)
{
    assert_verdict(&listed, "https://firmware.example.com/x", true, NULL);
    assert_verdict(&listed, "https://FIRMWARE.example.com:8443/x", true, NULL);
    assert_verdict(&listed, "https://a.cdn.example.com/x", true, NULL);
    assert_verdict(&listed, "https://b.a.cdn.example.com/x", true, NULL);
    assert_verdict(&listed, "https://cdn.example.com/x", false, "host cdn.example.com");
    assert_verdict(&listed, "https://evilcdn.example.com/x", false, "not allowed");
    assert_verdict(&listed, "https://firmware.example.com.evil.com/x", false, "not allowed");
    assert_verdict(&listed, "https://evil.com/firmware.example.com", false, "not allowed");
    assert_verdict(&listed, "https://firmware.example.com@evil.com/", false,
                   "host evil.com is not allowed here (see uri_rules: hosts)");
    assert_verdict(&listed, "https://10.1.2.3/x", true, NULL);
    assert_verdict(&listed, "https://10.1.2.4/x", false, "host 10.1.2.4");
    assert_verdict(&listed, "https://[fd00::1]/x", true, NULL);
}

SB_TEST(literal_addresses_are_checked_at_once)
{
    assert_verdict(&web, "http://127.0.0.1/x", false, "not public");
    assert_verdict(&web, "http://[::1]/x", false, "not public");
    assert_verdict(&web, "http://[::ffff:8.8.8.8]/x", false, "not public");
    assert_verdict(&web, "http://169.254.169.254/latest/meta-data", false, "not public");
    assert_verdict(&web, "http://8.8.8.8/x", true, NULL);
    assert_verdict(&inside, "http://127.0.0.1:8080/x", true, NULL);
    assert_verdict(&inside, "http://10.2.0.1/x", false, "not public");
}

SB_TEST(addresses_are_public_or_listed)
{
    static const char *const private[] = {
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.0.1",
        "169.254.1.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.9",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::7f00:1",
        "64:ff9b::808:808",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "3fff::1",
        "fc00::1",
        "fd12::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "5f00::1",
    };
    static const char *const public[] = { "8.8.8.8",         "100.63.255.255",  "100.128.0.0",
                                          "172.15.255.255",  "172.32.0.1",      "198.17.255.255",
                                          "198.20.0.1",      "223.255.255.255", "1.1.1.1",
                                          "2606:4700::1111", "2a00:1450::1",    "2001:200::1" };
    static const char *const broken[] = {
        "", "localhost", "1.2.3", "127.1", "::1%lo", "1.2.3.4/8"
    };
    for (size_t i = 0; i < SB_COUNT(private); i++)
        if (sb_address_allowed(&web, private[i]) || sb_address_allowed(NULL, private[i]))
            fail_msg("%s is allowed", private[i]);
    for (size_t i = 0; i < SB_COUNT(public); i++)
        if (!sb_address_allowed(&web, public[i]))
            fail_msg("%s is refused", public[i]);
    for (size_t i = 0; i < SB_COUNT(broken); i++)
        assert_false(sb_address_allowed(&inside, broken[i]));
    assert_false(sb_address_allowed(&inside, NULL));
}

SB_TEST(listed_networks_are_allowed_in_their_own_family)
{
    assert_true(sb_address_allowed(&inside, "10.1.255.1"));
    assert_false(sb_address_allowed(&inside, "10.2.0.0"));
    assert_true(sb_address_allowed(&inside, "127.0.0.1"));
    assert_true(sb_address_allowed(&inside, "fd12::1"));
    assert_false(sb_address_allowed(&inside, "fc00::1"));
    assert_true(sb_address_allowed(&inside, "::1"));
    assert_false(sb_address_allowed(&inside, "::2"));
    assert_false(sb_address_allowed(&inside, "::ffff:127.0.0.1"));
    char *odd[] = { "192.168.4.0/22", "192.168.9.9", "0.0.0.0/33", "10.0.0.0/", "10.0.0.0/8x" };
    const struct sb_uri_rules rules = { .networks = { odd, 5 } };
    assert_true(sb_address_allowed(&rules, "192.168.7.255"));
    assert_false(sb_address_allowed(&rules, "192.168.8.0"));
    assert_true(sb_address_allowed(&rules, "192.168.9.9"));
    assert_false(sb_address_allowed(&rules, "192.168.9.8"));
    assert_false(sb_address_allowed(&rules, "10.0.0.1"));
    char *all[] = { "0.0.0.0/0" };
    const struct sb_uri_rules any = { .networks = { all, 1 } };
    assert_true(sb_address_allowed(&any, "127.0.0.1"));
    assert_false(sb_address_allowed(&any, "::1"));
}

SB_TEST(file_uris_name_whole_paths)
{
    struct sb_uri uri = { 0 };
    assert_verdict(&local, "file:///srv/images/a%20b.bin", true, NULL);
    assert_verdict(&local, "file://localhost/srv/x", true, NULL);
    assert_verdict(&local, "file://server/share", false, "no host");
    assert_verdict(&local, "file://", false, "whole path");
    assert_verdict(&local, "file:///x?y", false, "no query");
    assert_verdict(&local, "https://example.com/x", false, "scheme https");
    static const struct {
        const char *uri, *path;
    } cases[] = { { "file:///srv/a%20b.bin", "/srv/a b.bin" },
                  { "file:///srv/..x/y", "/srv/..x/y" },
                  { "file:///srv/../etc", NULL },
                  { "file:///srv/%2e%2E/etc", NULL },
                  { "file:///srv/..", NULL },
                  { "file:///srv/a%00b", NULL } };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        assert_int_equal(0, sb_uri_parse(cases[i].uri, &uri, NULL));
        sb_cleanup(sb_freep) char *path = sb_uri_file_path(&uri);
        if (!sb_streq(path, cases[i].path))
            fail_msg("%s: %s", cases[i].uri, path ? path : "refused");
        sb_uri_done(&uri);
    }
}

SB_TEST(credentials_follow_within_one_origin_only)
{
    static const struct {
        const char *to;
        bool same;
    } cases[] = { { "https://example.com/other", true },
                  { "https://EXAMPLE.com:443/", true },
                  { "http://example.com/", false },
                  { "https://example.com:8443/", false },
                  { "https://www.example.com/", false } };
    struct sb_uri from = { 0 }, to = { 0 };
    assert_int_equal(0, sb_uri_parse("https://example.com/x", &from, NULL));
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        assert_int_equal(0, sb_uri_parse(cases[i].to, &to, NULL));
        assert_int_equal(cases[i].same, sb_uri_same_origin(&from, &to));
        sb_uri_done(&to);
    }
    sb_uri_done(&from);
}

SB_TEST(rules_are_checked_with_findings)
{
    char *schemes[] = { "https", "ftp" };
    char *names[] = { "a.example.com", "*.example.com", "fd00::1",    "10.0.0.1", "*",
                      "a.*.com",       "*.10.0.0.1",    "a.com/path", "a.com:80", "",
                      "u@a.com",       "https://a.com" };
    char *networks[] = { "10.0.0.0/8", "10.0.0.1",   "fd00::/8", "10.0.0.1/8",
                         "10/8",       "fd00::1/64", "lan" };
    const struct sb_uri_rules rules = { .schemes = { schemes, 2 },
                                        .hosts = { names, SB_COUNT(names) },
                                        .networks = { networks, SB_COUNT(networks) } };
    struct sb_diags diags = { 0 };
    assert_int_equal(-EINVAL, sb_uri_rules_check(&rules, "southbridge.yaml", 12, &diags));
    sb_cleanup(sb_freep) char *text = sb_diags_text(&diags);
    static const char *const said[] = { "southbridge.yaml:12",
                                        "schemes: 'ftp'",
                                        "hosts: '*' is not",
                                        "hosts: 'a.*.com'",
                                        "hosts: '*.10.0.0.1'",
                                        "hosts: 'a.com/path'",
                                        "hosts: 'a.com:80'",
                                        "hosts: '' is not",
                                        "hosts: 'u@a.com'",
                                        "hosts: 'https://a.com'",
                                        "networks: '10.0.0.1/8' has bits set",
                                        "networks: '10/8' is not",
                                        "networks: 'fd00::1/64' has bits",
                                        "networks: 'lan'" };
    for (size_t i = 0; i < SB_COUNT(said); i++)
        if (!strstr(text, said[i]))
            fail_msg("'%s' not in:\n%s", said[i], text);
    assert_int_equal(SB_COUNT(said) - 1, diags.total);
    sb_diags_done(&diags);
    assert_int_equal(0, sb_uri_rules_check(&web, NULL, 0, &diags));
    sb_diags_done(&diags);
}

SB_TEST(paths_become_file_uris_and_come_back)
{
    static const char *const paths[] = { "/a/b.bin", "/an image, 100 %.bin", "/\xc3\xa4?#&\\x\n",
                                         "/" };
    for (size_t i = 0; i < SB_COUNT(paths); i++) {
        struct sb_uri uri = { 0 };
        sb_cleanup(sb_freep) char *text = sb_uri_of_path(paths[i]);
        assert_int_equal(0, sb_uri_parse(text, &uri, NULL));
        sb_cleanup(sb_freep) char *back = sb_uri_file_path(&uri);
        assert_string_equal(paths[i], back);
        sb_uri_done(&uri);
    }
}
