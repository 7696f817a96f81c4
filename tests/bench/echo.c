/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/echo.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define PREFIX "iotdm-1/"
#define SUFFIX "device/update"

bool echo_answer(const char *topic, const void *payload, size_t n, struct echo *ret)
{
    size_t length = strlen(topic), stem = length - strlen(SUFFIX);
    if (length < strlen(PREFIX SUFFIX) || strcmp(topic + stem, SUFFIX) != 0)
        return false;
    json_t *request = json_loadb(payload, n, JSON_REJECT_DUPLICATES, NULL);
    const char *id = json_string_value(json_object_get(request, "reqId"));
    json_t *answer = id ? json_pack("{s:i,s:s}", "rc", 204, "reqId", id) : NULL;
    (void)snprintf(ret->topic, sizeof(ret->topic), "iotdevice-1/%.*sresponse",
                   (int)(stem - strlen(PREFIX)), topic + strlen(PREFIX));
    ret->payload = answer ? json_dumps(answer, JSON_COMPACT) : NULL;
    json_decref(answer);
    json_decref(request);
    return ret->payload != NULL;
}
