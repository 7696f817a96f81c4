/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/scenario/four_platforms.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bridge/base/crypto.h"
#include "bridge/base/str.h"

const char *const four_clouds[CLOUDS] = { "ibm", "azure", "huawei", "alibaba" };
const char *const four_devices[DEVICES] = { "pump", "valve", "meter", "drive", "board" };
const char *const four_types[DEVICES] = { "one-step", "one-step", "two-step", "one-step",
                                          "two-step" };
struct four_platform *const four_platforms[CLOUDS] = { &four_ibm, &four_azure, &four_huawei,
                                                       &four_alibaba };
struct request requests[REQUESTS];
size_t request_count;
unsigned four_breaches;

int four_device_of(const char *text, size_t n)
{
    for (int i = 0; i < DEVICES; i++)
        if (strlen(four_devices[i]) == n && strncmp(four_devices[i], text, n) == 0)
            return i;
    return -1;
}

void four_breach(const char *fmt, ...)
{
    if (four_breaches++ >= 10)
        return;
    va_list ap;
    va_start(ap, fmt);
    (void)fprintf(stderr, "breach at %lld: ", (long long)net_now());
    (void)vfprintf(stderr, fmt, ap);
    (void)fprintf(stderr, "\n");
    va_end(ap);
}

struct request *four_last(enum four_cloud cloud, enum four_device device)
{
    for (size_t i = request_count; i-- > 0;)
        if (requests[i].cloud == cloud && requests[i].device == device && requests[i].op <= WISH)
            return &requests[i];
    return NULL;
}

struct request *four_open(enum four_cloud cloud, enum four_device device)
{
    struct request *last = four_last(cloud, device);
    return last && !last->done ? last : NULL;
}

struct request *four_ask(enum four_cloud cloud, enum four_device device, enum four_op op,
                         const char *version)
{
    static unsigned number;
    if (request_count == REQUESTS || (op < WISH && four_open(cloud, device)))
        return NULL;
    struct request *request = &requests[request_count];
    *request = (struct request){
        .cloud = cloud, .device = device, .op = op, .asked = net_now(), .percent = -1
    };
    (void)snprintf(request->version, sizeof(request->version), "%s", version ? version : "");
    (void)snprintf(request->id, sizeof(request->id), "r%u", ++number);
    (void)snprintf(request->source, sizeof(request->source), "%s",
                   four_platforms[cloud]->version(device));
    request_count++;
    if (four_platforms[cloud]->ask(request))
        return request;
    request_count--;
    return NULL;
}

void four_end(struct request *request, bool good, int final)
{
    request->done = true;
    request->good = good;
    request->final = final;
}

/* ---- images, as the shelf makes them ---- */

char *four_uri(const char *version)
{
    return sb_format("https://fw.example.com/%s.bin", version);
}

static char *image(const char *version)
{
    return sb_format("image of https://fw.example.com/%s.bin", version);
}

char *four_digest(const char *version, bool md5)
{
    sb_cleanup(sb_freep) char *bytes = image(version);
    sb_cleanup(sb_digest_freep) struct sb_digest *digest = sb_digest_new(md5 ? SB_MD5 : SB_SHA256);
    if (!bytes || !digest || sb_digest_add(digest, bytes, strlen(bytes)) < 0)
        abort();
    return sb_digest_hex(digest);
}

int64_t four_size(const char *version)
{
    sb_cleanup(sb_freep) char *bytes = image(version);
    return (int64_t)strlen(bytes);
}

json_t *four_parse(const char *payload, size_t n)
{
    json_t *value = json_loadb(payload, n, 0, NULL);
    if (!value && n > 0)
        four_breach("no JSON: %.100s", payload);
    return value;
}
