/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Four scripted clouds on the network of four_net.h, each of them a small one that asks for things
 * and remembers what it was told. They are written from the vendors' documentation and share
 * nothing with adapters/: what they conclude is what such a cloud would conclude. What the
 * documentation forbids is a breach.
 *
 * A request is a cloud's own: one at a time for each device, as the clouds have it. It is done when
 * the cloud has read its end from what came in.
 */
#pragma once

#include "tests/scenario/four_net.h"

enum four_cloud { IBM, AZURE, HUAWEI, ALIBABA, CLOUDS };
extern const char *const four_clouds[CLOUDS]; /* link names */

/* Commanded by: all, all, all, azure alone, alibaba and native. METER and BOARD keep images. */
enum four_device { PUMP, VALVE, METER, DRIVE, BOARD, DEVICES };
extern const char *const four_devices[DEVICES];
extern const char *const four_types[DEVICES];
int four_device_of(const char *text, size_t n); /* -1 */

/* READ: a property; STRANGE: something that there is not. */
enum four_op { DOWNLOAD, INSTALL, UPDATE, WISH, REBOOT, CANCEL, READ, STRANGE, OPS };

struct request {
    enum four_cloud cloud;
    enum four_device device;
    enum four_op op;
    char version[16];
    char id[24]; /* of its answer */
    int64_t asked;
    unsigned sent;    /* times */
    unsigned answers; /* and the code of the first */
    int code;
    bool lost; /* its connection broke, or the power went: there may be no answer */
    bool begun;
    int percent;    /* as shown; -1 none */
    unsigned steps; /* told */
    bool done, good;
    int final;        /* the dialect's number of a failure */
    bool dropped;     /* the cloud gave it up */
    int64_t revision; /* (azure) of the twin that has the wish */
    char before[32];  /* (azure) lastFwUpdateStartTime when it was asked */
    char source[16];  /* the version before, as the cloud knew it */
};
#define REQUESTS 512
extern struct request requests[REQUESTS];
extern size_t request_count;

struct four_platform {
    struct net_server server;
    void (*begin)(void);                  /* forgets everything */
    bool (*ask)(struct request *request); /* false: the cloud itself refuses, or does not have it */
    const char *(*version)(enum four_device device); /* as it was told last; "" never */
    bool (*present)(enum four_device device);        /* it may be asked for something */
};
extern struct four_platform four_ibm, four_azure, four_huawei, four_alibaba;
extern struct four_platform *const four_platforms[CLOUDS];

/* NULL: the cloud refused by itself. version may be NULL. */
struct request *four_ask(enum four_cloud cloud, enum four_device device, enum four_op op,
                         const char *version);
/* The last one of a device that is about firmware, or the open one; NULL: none. */
struct request *four_last(enum four_cloud cloud, enum four_device device);
struct request *four_open(enum four_cloud cloud, enum four_device device);

void four_end(struct request *request, bool good, int final);
/* Breaches so far; the first ones are on stderr. */
void four_breach(const char *fmt, ...) SB_PRINTF(1, 2);
extern unsigned four_breaches;

/* What the twin of a device reports at "firmware/fwUpdateStatus" and the like; "" nothing. */
const char *azure_says(enum four_device device, const char *path);
extern bool azure_gateway;       /* one identity, "gw1", with the devices in its twin */
extern unsigned azure_throttled; /* percent of twin updates that are answered 429 */

/* Of an image, as the shelf has it. */
char *four_uri(const char *version);
char *four_digest(const char *version, bool md5);
int64_t four_size(const char *version);
json_t *four_parse(const char *payload, size_t n);
