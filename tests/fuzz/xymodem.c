/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything a receiver can say to the XMODEM and YMODEM senders, at any time. Two bytes choose
 * kind and size; then each byte either arrives or, from 0xf0 on, lets time pass.
 */
#include <stdint.h>

#include "adapters/devices/dialog/xmodem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool right)
{
    if (!right)
        abort();
}

static int read_file(void *arg, int64_t at, void *ret, size_t n)
{
    int64_t size = *(const int64_t *)arg;
    check(at >= 0 && n > 0 && n <= SB_XMODEM_BLOCK && at + (int64_t)n <= size);
    memset(ret, 0x55, n);
    return 0;
}

/* What goes out is always one of these. */
static void check_out(const struct sb_xmodem *x)
{
    size_t n = x->out_n;
    check(n <= SB_XMODEM_FRAME);
    bool block = (x->out[0] == 1 && (n == 132 || n == 133)) || (x->out[0] == 2 && n == 1029);
    bool byte = n == 1 && x->out[0] == 4;
    bool farewell = n == 8 && x->out[0] == 0x18 && x->state == SB_XMODEM_FAILED;
    check(n == 0 || block || byte || farewell);
    check(!block || x->out[1] == 255 - x->out[2]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    int64_t length = data[1] * 37, now = 0, acked = 0;
    const struct sb_xmodem_job job = { .kind = (enum sb_xmodem_kind)(SB_XMODEM + data[0] % 3),
                                       .name = data[0] & 0x80 ? NULL : "name",
                                       .size = length,
                                       .timeout = 1000,
                                       .first_timeout = 5000,
                                       .tries = 1 + data[0] % 5,
                                       .read = read_file,
                                       .arg = &length };
    struct sb_xmodem x;
    sb_xmodem_begin(&x, &job, now);
    for (size_t i = 2; i < size; i++) {
        check_out(&x);
        if (x.out_n)
            sb_xmodem_sent(&x, now);
        if (data[i] == 0xff)
            sb_xmodem_cancel(&x);
        else if (data[i] < 0xf0)
            sb_xmodem_byte(&x, data[i], now);
        else
            now += INT64_C(1) << (data[i] - 0xf0);
        sb_xmodem_time(&x, now);
        check(x.acked >= acked && x.acked <= length);
        check(x.state != SB_XMODEM_DONE || x.acked == length);
        acked = x.acked;
    }
    /* However it stands: it ends by itself, in bounded time. */
    for (int i = 0; x.state == SB_XMODEM_RUNNING; i++) {
        check(i < 1000);
        check_out(&x);
        if (x.out_n)
            sb_xmodem_sent(&x, now);
        now = SB_MAX(now, x.deadline);
        sb_xmodem_time(&x, now);
    }
    check_out(&x);
    return 0;
}
