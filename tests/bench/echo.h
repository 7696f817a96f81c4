/* SPDX-License-Identifier: Apache-2.0 */
/* What both echoes do with a request: parse it, build the answer. The least a gateway can do. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define ECHO_TOPIC  "iotdm-1/type/+/id/+/#"
#define ECHO_CLIENT "g:abc123:gw:gw1"

struct echo {
    char topic[256];
    char *payload; /* free() */
};

/* False: not a request. */
bool echo_answer(const char *topic, const void *payload, size_t n, struct echo *ret);
