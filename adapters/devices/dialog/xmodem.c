/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/devices/dialog/xmodem.h"

#include <stdio.h>

#include "bridge/base/str.h"

#define SOH          0x01
#define STX          0x02
#define EOT          0x04
#define ACK          0x06
#define NAK          0x15
#define CAN          0x18
#define ASKING       'C'
#define PAD          0x1a

#define SHORT_BLOCK  128
#define SHORT_REST   896 /* a rest of at most so much goes in short blocks */
#define AFTER_C_MS   80  /* a receiver throws away what comes right after its 'C' */
#define AFTER_ACK_MS 2   /* a doubled answer arrives within this */
#define CAREFUL_MS   60  /* after something went wrong, late answers are waited for */
#define FAREWELL     8
#define LATE_C_MS    1000 /* a 'C' so long after the empty block asks for it anew */

SB_NAMES(sb_xmodem_kind, SB_XMODEM_MAX_, [SB_XMODEM_NONE] = "none", [SB_XMODEM] = "xmodem",
         [SB_XMODEM_1K] = "xmodem-1k", [SB_YMODEM] = "ymodem");

enum step {
    AWAIT_START,  /* the receiver's first 'C' or NAK */
    SETTLE,       /* input is thrown away until the deadline; then `after` */
    AWAIT_HEADER, /* the answer to block 0 */
    AWAIT_DATA_C, /* the second 'C' */
    AWAIT_BLOCK,  /* the answer to a block */
    AWAIT_EOT,
    AWAIT_LAST_C,
    AWAIT_LAST, /* the answer to the empty block */
};
enum next { SEND_HEADER, SEND_BLOCK, SEND_EOT, SEND_LAST };

static uint16_t crc16(const uint8_t *bytes, size_t n)
{
    uint16_t crc = 0;
    for (size_t i = 0; i < n; i++) {
        crc = (uint16_t)(crc ^ (bytes[i] << 8));
        for (int bit = 0; bit < 8; bit++)
            crc = (uint16_t)(crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1);
    }
    return crc;
}

static void fail(struct sb_xmodem *x, enum sb_xmodem_failure failure)
{
    x->state = SB_XMODEM_FAILED;
    x->failure = failure;
    x->out_n = failure == SB_XMODEM_ABORTED ? 0 : FAREWELL;
    memset(x->out, CAN, x->out_n);
}

void sb_xmodem_cancel(struct sb_xmodem *x)
{
    if (x->state == SB_XMODEM_RUNNING)
        fail(x, SB_XMODEM_CANCELLED);
}

/* ---- what goes out ---- */

/* Around `room` bytes of data that stand at out[3]. */
static void frame(struct sb_xmodem *x, uint8_t number, size_t room)
{
    uint8_t *data = x->out + 3, sum = 0;
    x->out[0] = room == SHORT_BLOCK ? SOH : STX;
    x->out[1] = number;
    x->out[2] = (uint8_t)(255 - number);
    uint16_t crc = crc16(data, room);
    for (size_t i = 0; i < room; i++)
        sum = (uint8_t)(sum + data[i]);
    data[room] = x->sum ? sum : (uint8_t)(crc >> 8);
    data[room + 1] = (uint8_t)crc;
    x->out_n = room + (x->sum ? 4 : 5);
}

static void put_header(struct sb_xmodem *x)
{
    uint8_t *data = x->out + 3;
    const char *name = x->job.name ? x->job.name : "image";
    size_t n = strnlen(name, SB_XMODEM_NAME);
    memset(data, 0, SHORT_BLOCK);
    memcpy(data, name, n);
    (void)snprintf((char *)data + n + 1, SHORT_BLOCK - n - 1, "%lld", (long long)x->job.size);
    frame(x, 0, SHORT_BLOCK);
}

static void put_block(struct sb_xmodem *x)
{
    int64_t rest = x->job.size - x->at;
    bool large = x->job.kind != SB_XMODEM && !x->sum && rest > SHORT_REST;
    size_t room = large ? SB_XMODEM_BLOCK : SHORT_BLOCK;
    x->length = (size_t)SB_MIN(rest, (int64_t)room);
    memset(x->out + 3, PAD, room);
    if (x->job.read(x->job.arg, x->at, x->out + 3, x->length) < 0) {
        fail(x, SB_XMODEM_READ_FAILED);
        return;
    }
    frame(x, (uint8_t)x->block, room);
}

static void put(struct sb_xmodem *x, enum next what)
{
    x->cans = 0;
    x->asked = false;
    switch (what) {
    case SEND_HEADER:
        x->step = AWAIT_HEADER;
        put_header(x);
        break;
    case SEND_BLOCK:
        x->step = AWAIT_BLOCK;
        put_block(x);
        break;
    case SEND_EOT:
        x->step = AWAIT_EOT;
        x->out[0] = EOT;
        x->out_n = 1;
        break;
    case SEND_LAST:
        x->step = AWAIT_LAST;
        memset(x->out + 3, 0, SHORT_BLOCK);
        frame(x, 0, SHORT_BLOCK);
        break;
    }
}

static void settle(struct sb_xmodem *x, enum next then, int64_t ms, int64_t now)
{
    x->step = SETTLE;
    x->after = (int)then;
    x->deadline = now + ms;
}

static enum next under_way(const struct sb_xmodem *x)
{
    switch (x->step) {
    case AWAIT_HEADER:
        return SEND_HEADER;
    case AWAIT_EOT:
        return SEND_EOT;
    case AWAIT_LAST:
        return SEND_LAST;
    default:
        return SEND_BLOCK;
    }
}

/* Once more, after what may still be on its way has arrived. */
static void again(struct sb_xmodem *x, enum sb_xmodem_failure failure, int64_t now)
{
    if (++x->tries >= x->job.tries) {
        fail(x, failure);
        return;
    }
    x->careful = true;
    settle(x, under_way(x), CAREFUL_MS, now);
}

/* The next block, or the end of the file. */
static void go_on(struct sb_xmodem *x, int64_t ms, int64_t now)
{
    x->tries = 0;
    settle(x, x->at < x->job.size ? SEND_BLOCK : SEND_EOT, x->careful ? CAREFUL_MS : ms, now);
    x->careful = false;
}

static void first_block(struct sb_xmodem *x, int64_t now)
{
    x->block = 1;
    x->at = 0;
    x->careful = false;
    go_on(x, AFTER_C_MS, now);
}

void sb_xmodem_begin(struct sb_xmodem *x, const struct sb_xmodem_job *job, int64_t now)
{
    *x = (struct sb_xmodem){ .job = *job, .deadline = now + job->first_timeout };
    x->step = AWAIT_START;
}

void sb_xmodem_sent(struct sb_xmodem *x, int64_t now)
{
    x->out_n = 0;
    x->sent_at = now;
    x->deadline = now + x->job.timeout;
}

/* ---- what comes in ---- */

static void on_start(struct sb_xmodem *x, uint8_t byte, int64_t now)
{
    if (byte != ASKING && (byte != NAK || x->job.kind == SB_YMODEM))
        return; /* a device's words before it begins */
    x->sum = byte == NAK;
    x->tries = 0;
    if (x->job.kind == SB_YMODEM)
        settle(x, SEND_HEADER, AFTER_C_MS, now);
    else
        first_block(x, now);
}

static void on_header(struct sb_xmodem *x, uint8_t byte, int64_t now)
{
    if (byte == NAK)
        again(x, SB_XMODEM_REFUSED, now);
    if (byte != ACK)
        return;
    x->tries = 0;
    x->careful = false;
    x->step = AWAIT_DATA_C;
    x->deadline = now + x->job.timeout;
}

static void on_block(struct sb_xmodem *x, uint8_t byte, int64_t now)
{
    if (byte == NAK)
        again(x, SB_XMODEM_REFUSED, now);
    if (byte != ACK)
        return; /* 'C' is left over from the receiver's asking */
    x->block++;
    x->at += (int64_t)x->length;
    x->acked = x->at;
    go_on(x, AFTER_ACK_MS, now);
}

static void done(struct sb_xmodem *x)
{
    x->state = SB_XMODEM_DONE;
    x->acked = x->job.size;
    x->out_n = 0;
}

static void on_eot(struct sb_xmodem *x, uint8_t byte, int64_t now)
{
    if (byte == NAK)
        again(x, SB_XMODEM_REFUSED, now);
    x->asked |= byte == ASKING; /* its ACK was lost, if nothing else comes */
    if (byte != ACK)
        return;
    if (x->job.kind != SB_YMODEM) {
        done(x);
        return;
    }
    x->step = AWAIT_LAST_C;
    x->tries = 0;
    x->deadline = now + x->job.timeout;
}

static void on_last(struct sb_xmodem *x, uint8_t byte, int64_t now)
{
    if (byte == ACK)
        done(x);
    else if (byte == NAK || (byte == ASKING && now - x->sent_at >= LATE_C_MS))
        again(x, SB_XMODEM_REFUSED, now);
}

void sb_xmodem_byte(struct sb_xmodem *x, uint8_t byte, int64_t now)
{
    if (x->state != SB_XMODEM_RUNNING || x->out_n > 0)
        return;
    x->cans = byte == CAN ? x->cans + 1 : 0;
    if (x->cans >= 2) {
        fail(x, SB_XMODEM_ABORTED);
        return;
    }
    switch (x->step) {
    case AWAIT_START:
        on_start(x, byte, now);
        break;
    case AWAIT_HEADER:
        on_header(x, byte, now);
        break;
    case AWAIT_DATA_C:
        if (byte == ASKING)
            first_block(x, now);
        break;
    case AWAIT_BLOCK:
        on_block(x, byte, now);
        break;
    case AWAIT_EOT:
        on_eot(x, byte, now);
        break;
    case AWAIT_LAST_C:
        if (byte == ASKING)
            settle(x, SEND_LAST, AFTER_C_MS, now);
        break;
    case AWAIT_LAST:
        on_last(x, byte, now);
        break;
    default: /* SETTLE: thrown away */
        break;
    }
}

void sb_xmodem_time(struct sb_xmodem *x, int64_t now)
{
    if (x->state != SB_XMODEM_RUNNING || x->out_n > 0 || now < x->deadline)
        return;
    switch (x->step) {
    case AWAIT_START:
        fail(x, SB_XMODEM_NOT_ASKED);
        break;
    case SETTLE:
        put(x, (enum next)x->after);
        break;
    case AWAIT_DATA_C: /* its 'C' was lost: the block will show */
        first_block(x, now);
        break;
    case AWAIT_EOT:
        if (x->job.kind == SB_YMODEM && x->asked)
            settle(x, SEND_LAST, AFTER_C_MS, now);
        else
            again(x, SB_XMODEM_SILENT, now);
        break;
    case AWAIT_LAST_C:
        settle(x, SEND_LAST, AFTER_C_MS, now);
        break;
    case AWAIT_LAST: /* the file is there, only the farewell was lost */
        done(x);
        break;
    default:
        again(x, SB_XMODEM_SILENT, now);
    }
}
