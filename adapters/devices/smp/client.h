/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests and answers over a port: one at a time, with a sequence number, a deadline for each
 * try, and a bounded number of tries.
 *
 * An answer counts when sequence, group, command and direction fit and its body is CBOR; anything
 * else on the line - log text, noise, answers to older requests, our own echo - is skipped, and
 * never makes a try longer. A damaged or over-long frame is met with silence by the device, so
 * silence is tried again; the same sequence number, since an answer that was only late is one.
 *
 * Requests are of protocol version 2, whose servers tell errors in more detail; older ones ignore
 * the version, or refuse it with rc 13 and then get version 1.
 *
 * What it does not do: judge a result code. Thread: the worker's.
 */
#pragma once

#include "adapters/devices/smp/cbor.h"
#include "adapters/devices/smp/codes.h"
#include "adapters/devices/smp/frame.h"
#include "bridge/port.h"

struct sb_smp_client {
    struct sb_port *port; /* borrowed; may be replaced between calls */
    int64_t timeout;      /* ms per try */
    unsigned tries;
    uint8_t seq;
    bool old;         /* the device refused protocol version 2 */
    uint64_t strange; /* packets that were no answer, in this client's life */
    struct sb_smp_decoder decoder;
};

struct sb_smp_call {
    uint16_t group;
    uint8_t command;
    bool write;
    const struct sb_cbor *body; /* NULL: an empty map */
    int64_t timeout;            /* 0: the client's */
    unsigned tries;             /* 0: the client's */
};

struct sb_smp_reply {
    json_t *body; /* object; owned */
    struct sb_smp_code code;
};

/* Bytes that a call's packet takes of a device's buffer (length and CRC included). */
size_t sb_smp_call_size(const struct sb_cbor *body);
/* 0 when answered, whatever the code; -ETIMEDOUT, -ECANCELED, -ENODEV, -EIO, -EMSGSIZE, -ENOMEM. */
int sb_smp_request(struct sb_smp_client *client, const struct sb_smp_call *call,
                   struct sb_smp_reply *ret) SB_MUST_CHECK;
void sb_smp_reply_done(struct sb_smp_reply *reply);
