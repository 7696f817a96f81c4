/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a broker is: the URI of a link taken apart, for the connection and for doctor. Pure.
 */
#pragma once

#include "bridge/base/util.h"

struct sb_mqtt_address {
    char *host;  /* IPv6 without brackets */
    char *port;  /* the scheme's own when none is given */
    char *place; /* "host:port", for people */
    char *paho;  /* the URI as Paho wants it */
    bool tls;
};
/* NULL, or what is wrong; caller frees that, or calls done. */
char *sb_mqtt_address_read(const char *uri, struct sb_mqtt_address *ret);
void sb_mqtt_address_done(struct sb_mqtt_address *address);
