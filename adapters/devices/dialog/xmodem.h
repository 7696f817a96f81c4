/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sending side of XMODEM (checksum and CRC), XMODEM-1K and YMODEM, as a machine over bytes and
 * deadlines.
 *
 * Block: SOH (128 bytes) or STX (1024), n, 255 - n, data padded with 1A, CRC-16 big endian - or a
 * sum of one byte when the receiver began with NAK. n begins at 1 and wraps; YMODEM has a block 0
 * before (name and size) and an empty one at the end. The receiver asks by 'C' or NAK.
 *
 * What real receivers were seen to do is allowed for: they throw their input away right after
 * 'C', so a first block waits a little; a 'C' may stand where an ACK is awaited, and answers may
 * be doubled, so what has arrived before a block goes out is no answer to it. A block without an
 * answer is sent again, a bounded number of times.
 *
 * Use: begin; while the state is RUNNING: when `out_n` > 0 write out[] and call sent(); give each
 * byte that arrives; call time() when `deadline` has passed. Bytes that have arrived but were not
 * given yet when something is to be written are to be thrown away. Pure; time comes from outside.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "bridge/base/names.h"
#include "bridge/base/util.h"

enum sb_xmodem_kind {
    SB_XMODEM_NONE,
    SB_XMODEM, /* 128-byte blocks */
    SB_XMODEM_1K,
    SB_YMODEM,
    SB_XMODEM_MAX_,
};
SB_NAMES_DECLARE(sb_xmodem_kind)

enum sb_xmodem_state { SB_XMODEM_RUNNING, SB_XMODEM_DONE, SB_XMODEM_FAILED };
enum sb_xmodem_failure {
    SB_XMODEM_NO_FAILURE,
    SB_XMODEM_NOT_ASKED,   /* the receiver never began */
    SB_XMODEM_SILENT,      /* it stopped answering */
    SB_XMODEM_REFUSED,     /* it goes on saying NAK */
    SB_XMODEM_ABORTED,     /* it sent CAN CAN */
    SB_XMODEM_CANCELLED,   /* by us */
    SB_XMODEM_READ_FAILED, /* the file's bytes could not be had */
};

#define SB_XMODEM_BLOCK 1024
#define SB_XMODEM_FRAME (SB_XMODEM_BLOCK + 5)
#define SB_XMODEM_NAME  63 /* longer names are cut */

/* Reads exactly n bytes at `at`: 0 or -errno. */
typedef int (*sb_xmodem_read_fn)(void *arg, int64_t at, void *ret, size_t n);

struct sb_xmodem_job {
    enum sb_xmodem_kind kind;
    const char *name; /* for YMODEM; borrowed */
    int64_t size;
    int64_t timeout;       /* ms until a block is sent again */
    int64_t first_timeout; /* ms until the receiver must have asked */
    unsigned tries;        /* per block */
    sb_xmodem_read_fn read;
    void *arg;
};

struct sb_xmodem {
    struct sb_xmodem_job job;
    enum sb_xmodem_state state;
    enum sb_xmodem_failure failure;
    int64_t deadline; /* when time() wants to be called */
    uint8_t out[SB_XMODEM_FRAME];
    size_t out_n;
    int64_t acked; /* bytes of the file that were accepted */
    /* the machine's own */
    int step, after; /* after: what a settled step leads to */
    uint32_t block;  /* number of the one under way, unwrapped */
    int64_t at;      /* its place in the file */
    size_t length;   /* its share of the file */
    int64_t sent_at;
    unsigned tries, cans;
    bool sum, careful, asked;
};
void sb_xmodem_begin(struct sb_xmodem *x, const struct sb_xmodem_job *job, int64_t now);
void sb_xmodem_sent(struct sb_xmodem *x, int64_t now); /* out[] has been written */
void sb_xmodem_byte(struct sb_xmodem *x, uint8_t byte, int64_t now);
void sb_xmodem_time(struct sb_xmodem *x, int64_t now);
void sb_xmodem_cancel(struct sb_xmodem *x); /* fails, with the farewell in out[] */
