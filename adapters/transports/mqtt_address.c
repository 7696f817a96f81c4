/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/transports/mqtt_address.h"

#include "bridge/base/str.h"

static const struct scheme {
    const char *ours, *paho, *port;
    bool tls, has_path;
} schemes[] = {
    { "mqtt://", "tcp://", "1883", false, false },
    { "mqtts://", "ssl://", "8883", true, false },
    { "ws://", "ws://", "80", false, true },
    { "wss://", "wss://", "443", true, true },
};

static const struct scheme *find_scheme(const char *uri)
{
    for (size_t i = 0; uri && i < SB_COUNT(schemes); i++)
        if (strncmp(uri, schemes[i].ours, strlen(schemes[i].ours)) == 0)
            return &schemes[i];
    return NULL;
}

/* "host", "host:port", "[v6]", "[v6]:port": where the port begins, or the end. */
static const char *end_of_host(const char *at, const char *end)
{
    if (at < end && *at == '[') {
        const char *bracket = memchr(at, ']', (size_t)(end - at));
        return bracket ? bracket + 1 : NULL;
    }
    const char *colon = memchr(at, ':', (size_t)(end - at));
    return colon ? colon : end;
}

static bool good_port(const char *port)
{
    size_t n = strspn(port, "0123456789");
    unsigned long number = n >= 1 && n <= 5 && !port[n] ? strtoul(port, NULL, 10) : 0;

    return number >= 1 && number <= 65535;
}

/* No name and no number has these. */
static bool has_blanks(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text <= ' ' || *text == 0x7f)
            return true;
    return false;
}

static bool complete(const struct sb_mqtt_address *address)
{
    return address->host && address->port && address->place && address->paho;
}

char *sb_mqtt_address_read(const char *uri, struct sb_mqtt_address *ret)
{
    const struct scheme *scheme = find_scheme(uri);
    const char *begin = scheme ? uri + strlen(scheme->ours) : "";
    const char *end = begin + strcspn(begin, "/?#");
    const char *after = end_of_host(begin, end);
    if (uri && strchr(uri, '@'))
        return strdup("uri: user and password do not belong in it; they have keys of their own");
    if (!scheme || !after || after == begin || (after < end && *after != ':') || has_blanks(uri))
        return sb_format("uri '%s': expected mqtt://, mqtts://, ws:// or wss:// and host[:port]",
                         uri ? uri : "");
    if (!scheme->has_path && *end && strcmp(end, "/") != 0)
        return sb_format("uri '%s': nothing looks at '%s'; only ws:// and wss:// have a path", uri,
                         end);
    bool bracket = *begin == '[';
    struct sb_mqtt_address made = {
        .host = strndup(begin + bracket, (size_t)(after - begin) - (bracket ? 2 : 0)),
        .port = after < end ? strndup(after + 1, (size_t)(end - after) - 1) : strdup(scheme->port),
        .tls = scheme->tls
    };
    bool good = made.port && good_port(made.port);
    if (good) {
        made.place = sb_format("%.*s:%s", (int)(after - begin), begin, made.port);
        made.paho =
            sb_format("%s%.*s:%s%s", scheme->paho, (int)(after - begin), begin, made.port, end);
    }
    if (good && complete(&made)) {
        *ret = made;
        return NULL;
    }
    sb_mqtt_address_done(&made);
    return good ? strdup("out of memory") : sb_format("uri '%s': the port must be 1 to 65535", uri);
}

void sb_mqtt_address_done(struct sb_mqtt_address *address)
{
    free(address->host);
    free(address->port);
    free(address->place);
    free(address->paho);
    *address = (struct sb_mqtt_address){ 0 };
}
