/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The letter of the Alibaba dialect, device's side: topics and envelopes. Pure.
 *
 * decode(): `name` is the sub-device that the topic - or, of what comes on the gateway's topic, the
 * payload - names; NULL: the gateway's. `id` is the message's id as text, whatever it was in.
 * `what` is the topic's last part where a reply needs it; of a reply to the gateway, the word of
 * what it replies to. `code` is that of a reply; of a notice, 1: it came on the gateway's topic.
 * `body` is the params of a request, the data of a reply.
 *
 * A block of a file is binary, see frame.c.
 *
 * Ids are opaque: what comes as a number goes back as the same digits in a string.
 */
#pragma once

#include "adapters/dialects/alibaba/alibaba.h"

#define SB_ALIBABA_ID_MAX   128
#define SB_ALIBABA_NAME_MAX 64 /* "productKey/deviceName" */

enum sb_alibaba_code { /* that the protocol itself fixes; all others are the mapping's */
                       SB_ALIBABA_OK = 200,
                       SB_ALIBABA_BAD = 400,
                       SB_ALIBABA_BAD_SIGN = 401,
                       SB_ALIBABA_THROTTLED = 429,
                       SB_ALIBABA_BAD_PARAMS = 460,
                       SB_ALIBABA_NO_SESSION = 520,
                       SB_ALIBABA_IS_DISABLED = 522,
                       SB_ALIBABA_ALSO_DISABLED = 6204,
                       SB_ALIBABA_BAD_LOGIN_SIGN = 6287,
                       SB_ALIBABA_NO_TOPOLOGY = 6401,
};

enum sb_alibaba_kind {                   /* sb_message.kind */
                       SB_ALIBABA_REPLY, /* to a request of the gateway's: topology, sessions */
                       SB_ALIBABA_TOPO_NOTIFY, /* add these: list */
                       SB_ALIBABA_TOPO_CHANGE,
                       SB_ALIBABA_NOTICE, /* what: disable, enable, delete */
                       SB_ALIBABA_ERROR,  /* /ext/error */
                       SB_ALIBABA_UPGRADE,
                       SB_ALIBABA_FIRMWARE, /* reply to firmware/get */
                       SB_ALIBABA_SET,
                       SB_ALIBABA_GET,
                       SB_ALIBABA_SERVICE, /* what: its identifier */
                       SB_ALIBABA_JOB,
                       SB_ALIBABA_JOB_NEXT,    /* reply to job/get */
                       SB_ALIBABA_JOB_UPDATED, /* reply to job/update */
                       SB_ALIBABA_CONFIG,
                       SB_ALIBABA_CONFIG_GOT, /* reply to config/get */
                       SB_ALIBABA_FILE, /* a block of a file: data, and what is said of it: body */
                       SB_ALIBABA_KIND_MAX_,
};

/*
 * A stream of the platform's, as a package's URI: "stream:?id=14267&file=1". Its query is what may
 * change while the file stays.
 */
struct sb_alibaba_stream {
    int64_t id, file;
};
char *sb_alibaba_stream_uri(const struct sb_alibaba_stream *stream); /* NULL: no memory */
bool sb_alibaba_stream_of(const char *uri, struct sb_alibaba_stream *ret);

int sb_alibaba_decode(const struct sb_words *words, const void *config, const char *topic,
                      const void *payload, size_t n, struct sb_message *ret);

/* ---- frame.c ---- */

/* The JSON of a message: id, code and `data` of a reply, else `params`. */
int sb_alibaba_read_envelope(bool reply, const void *payload, size_t n, struct sb_message *ret);
/*
 * A block of a file. Two bytes, big-endian, say how long the JSON is that follows, after
 * it come `bSize` bytes and their CRC-16, low byte first. What does not hold is in `error`; a
 * refusal has its code and no data.
 */
int sb_alibaba_read_frame(const void *payload, size_t n, struct sb_message *ret);
uint16_t sb_alibaba_crc16(const void *bytes, size_t n); /* polynomial 0x8005 reflected, from 0 */

/* A device's product key and name. name NULL: the gateway's. 0, -EINVAL: it has no product. */
struct sb_alibaba_who {
    char product[32], name[36];
};
int sb_alibaba_who(const struct sb_alibaba_config *config, const char *name,
                   struct sb_alibaba_who *ret) SB_MUST_CHECK;
/* And back: as the registry would know it, also of the gateway itself; NULL without memory. */
char *sb_alibaba_spell(const struct sb_alibaba_config *config, const char *product,
                       const char *name);
/* As the registry knows it. NULL: the gateway itself (*ret_self), or without memory. */
char *sb_alibaba_called(const struct sb_alibaba_config *config, const char *product,
                        const char *name, bool *ret_self);
/* Of {productKey, deviceName}; NULL also when it says neither. */
char *sb_alibaba_called_in(const struct sb_alibaba_config *config, const json_t *entry,
                           bool *ret_self);

/*
 * The package of an upgrade's data: {uri, version, module, sha256 | md5, size}. NULL with
 * *ret_wrong, static, and the cause: it cannot be used; NULL with *ret_wrong NULL: no memory.
 */
json_t *sb_alibaba_package(const json_t *data, enum sb_cause *ret_cause, const char **ret_wrong);
/* The same of a configuration file: {uri, name, sha256 | md5, size}. */
json_t *sb_alibaba_config_package(const json_t *data, enum sb_cause *ret_cause,
                                  const char **ret_wrong);
/* "" for the whole device ("default" or none). */
const char *sb_alibaba_module(const json_t *data);
