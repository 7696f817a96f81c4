/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A link's URI taken apart: the scheme's port where none is given, WebSocket on 443 with its path,
 * IPv6, and what is wrong with others.
 */
#include "adapters/transports/mqtt_address.h"
#include "tests/test.h"

SB_TEST(uris_are_taken_apart)
{
    static const struct {
        const char *uri, *host, *port, *paho;
        bool tls;
    } cases[] = {
        { "mqtt://b", "b", "1883", "tcp://b:1883", false },
        { "mqtts://hub.example", "hub.example", "8883", "ssl://hub.example:8883", true },
        { "mqtts://b:65535/", "b", "65535", "ssl://b:65535/", true },
        { "ws://b/mqtt", "b", "80", "ws://b:80/mqtt", false },
        { "wss://hub.example/$iothub/websocket?iothub-no-client-cert=true", "hub.example", "443",
          "wss://hub.example:443/$iothub/websocket?iothub-no-client-cert=true", true },
        { "wss://hub.example:443/$iothub/websocket", "hub.example", "443",
          "wss://hub.example:443/$iothub/websocket", true },
        { "mqtts://[::1]", "::1", "8883", "ssl://[::1]:8883", true },
        { "ws://[fe80::2]:8080/x", "fe80::2", "8080", "ws://[fe80::2]:8080/x", false },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        struct sb_mqtt_address address = { 0 };
        assert_null(sb_mqtt_address_read(cases[i].uri, &address));
        assert_string_equal(address.host, cases[i].host);
        assert_string_equal(address.port, cases[i].port);
        assert_string_equal(address.paho, cases[i].paho);
        assert_int_equal(address.tls, cases[i].tls);
        sb_mqtt_address_done(&address);
    }
}

SB_TEST(others_are_refused_with_the_reason)
{
    static const struct {
        const char *uri, *wrong;
    } cases[] = {
        { NULL, "expected mqtt://" },       { "", "expected mqtt://" },
        { "http://b", "expected mqtt://" }, { "mqtt://", "host[:port]" },
        { "wss:///x", "host[:port]" },      { "mqtt://[::1", "host[:port]" },
        { "mqtt://[::1]x", "host[:port]" }, { "mqtt://b:", "1 to 65535" },
        { "mqtt://b:0", "1 to 65535" },     { "mqtt://b:65536", "1 to 65535" },
        { "mqtt://b:1883x", "1 to 65535" }, { "mqtt://user:secret@b", "keys of their own" },
        { "mqtt://a b", "host[:port]" },    { "mqtt://b/\n", "host[:port]" },
        { "mqtt://b/x", "looks at '/x'" },  { "mqtts://b:1?x", "looks at '?x'" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        struct sb_mqtt_address address = { 0 };
        sb_cleanup(sb_freep) char *wrong = sb_mqtt_address_read(cases[i].uri, &address);
        assert_non_null(wrong);
        assert_non_null(strstr(wrong, cases[i].wrong));
        assert_null(strstr(wrong, "secret"));
        assert_null(address.host);
    }
}
