/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the leak sanitizer is told of the MQTT library. A file of its own: a linker may take it for
 * the sanitizer's sake alone, and must not take the transport with it.
 */
#include "adapters/transports/mqtt_link.h"

#ifdef __SANITIZE_ADDRESS__
/* A publish that waits in Paho's queue when the connection is lost is leaked by
 * MQTTAsync_destroy(), up to 1.3.13 (its issue 1474). The link's window keeps that small. */
const char *__lsan_default_suppressions(void); /* NOLINT(bugprone-reserved-identifier) */
const char *__lsan_default_suppressions(void)  /* NOLINT(bugprone-reserved-identifier) */
{
    return "leak:libpaho-mqtt3as\n";
}
#endif

void sb_mqtt_leaks(void)
{
}
