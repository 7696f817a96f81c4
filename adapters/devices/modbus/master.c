/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/devices/modbus/master.h"

#include <errno.h>

#define BUFFER_MAX    1024 /* noise and an answer */
#define TURNAROUND_MS 100  /* after a request to all, before the next one */
#define VENDOR_GAP_MS 30   /* silence that ends an answer of unknown length: pieces may be slow */
#define NOISE_MAX_MS  200  /* a line that is never silent is written to all the same */
#define LATE_MS       30   /* a late answer may be so much later than the one before */
#define BUSY_FIRST_MS 50
#define BUSY_LAST_MS  1000

struct received {
    uint8_t bytes[BUFFER_MAX];
    size_t n;
    size_t echo; /* so many bytes of our own are still to come */
};

static int64_t gap_of(const struct sb_modbus_master *master)
{
    int64_t us = sb_modbus_gap_us(master->port->speed);
    return master->gap ? master->gap : (us + 999) / 1000;
}

/* What we hear of ourselves is not an answer, though it may look like one. */
static void drop_echo(struct received *in, const uint8_t *frame, size_t n)
{
    if (!in->echo || in->n < n)
        return;
    in->echo = 0;
    if (memcmp(in->bytes, frame, n) != 0)
        return; /* a collision, or noise: what is in it will tell */
    in->n -= n;
    memmove(in->bytes, in->bytes + n, in->n);
}

/* Reads once. 1: something has come. */
static int receive(struct sb_modbus_master *master, struct received *in, int64_t deadline)
{
    size_t got = 0;
    if (in->n == sizeof(in->bytes)) { /* noise without end: an answer fits into the newer half */
        in->n /= 2;
        memmove(in->bytes, in->bytes + in->n, in->n);
    }
    int r =
        sb_port_read(master->port, in->bytes + in->n, sizeof(in->bytes) - in->n, deadline, &got);
    in->n += r == 0 ? got : 0;
    return r == 0 ? 1 : r;
}

static int await_answer(struct sb_modbus_master *master, const struct sb_modbus_call *call,
                        struct received *in, const uint8_t *frame, size_t n, int64_t deadline,
                        struct sb_modbus_pdu *ret)
{
    bool known = sb_modbus_length_is_known(&call->request);
    int64_t gap = SB_MAX(gap_of(master), (int64_t)VENDOR_GAP_MS);
    do {
        int64_t quiet = sb_port_clock() + gap;
        bool ending = !known && in->n > 0 && quiet < deadline;
        int r = receive(master, in, ending ? quiet : deadline);
        if (r < 0 && r != -ETIMEDOUT)
            return r;
        drop_echo(in, frame, n);
        if (!in->echo &&
            sb_modbus_find(call->unit, &call->request, in->bytes, in->n, r == -ETIMEDOUT, ret))
            return 0;
    } while (sb_port_clock() < deadline);
    master->strange += (unsigned)in->n;
    return -ETIMEDOUT;
}

static int try_once(struct sb_modbus_master *master, const struct sb_modbus_call *call,
                    struct sb_modbus_pdu *ret)
{
    uint8_t frame[SB_MODBUS_ADU_MAX];
    size_t n = sb_modbus_frame(call->unit, &call->request, frame);
    struct received in = { .echo = master->echo ? n : 0 };
    int64_t timeout = call->timeout ? call->timeout : master->timeout;
    int64_t wire = (sb_modbus_wire_us(master->port->speed, n + SB_MODBUS_ADU_MAX) + 999) / 1000;
    /* Late and strange bytes go, and the line is silent for as long as a frame's end asks. */
    int r = sb_port_drain(master->port, gap_of(master), NOISE_MAX_MS);
    if (r == 0)
        r = sb_port_write(master->port, frame, n, sb_port_clock() + wire + timeout);
    if (r < 0)
        return r;
    if (call->unit == 0)
        return sb_session_sleep(master->session, wire / 2 + TURNAROUND_MS);
    return await_answer(master, call, &in, frame, n, sb_port_clock() + wire + timeout, ret);
}

static int try_often(struct sb_modbus_master *master, const struct sb_modbus_call *call,
                     struct sb_modbus_pdu *ret)
{
    unsigned tries = call->tries ? call->tries : master->tries, owed = 0;
    int64_t begin = sb_port_clock();
    int r;
    do {
        r = try_once(master, call, ret);
        owed++;
    } while (r == -ETIMEDOUT && owed < tries);
    /* A device that took so long for the first takes as long for each of the others. */
    int64_t latency = sb_port_clock() - begin + LATE_MS;
    if (r == 0 && owed > 1 && call->unit)
        r = sb_port_drain(master->port, latency, latency * owed);
    return r;
}

static bool is_read(uint8_t function)
{
    return function <= SB_MODBUS_READ_INPUT || function == SB_MODBUS_READ_FILE ||
           function == SB_MODBUS_SERVER_ID || function == SB_MODBUS_ENCAPSULATED;
}

int sb_modbus_exchange(struct sb_modbus_master *master, const struct sb_modbus_call *call,
                       struct sb_modbus_pdu *ret, uint8_t *ret_exception)
{
    struct sb_modbus_pdu answer = { .n = 0 };
    int64_t end = sb_port_clock() + master->busy, pause = BUSY_FIRST_MS;
    int r = master->port && !master->port->failed ? 0 : -ENODEV;
    master->strange = 0;
    for (; r == 0; pause = SB_MIN(2 * pause, (int64_t)BUSY_LAST_MS)) {
        r = try_often(master, call, &answer);
        bool refused = r == 0 && answer.n > 1 && answer.bytes[0] & SB_MODBUS_IS_REFUSED;
        *ret_exception = refused ? answer.bytes[1] : 0;
        bool wait = *ret_exception == SB_MODBUS_BUSY ||
                    (*ret_exception == SB_MODBUS_ACKNOWLEDGE && is_read(call->request.bytes[0]));
        if (r < 0 || !wait || sb_port_clock() + pause >= end)
            break;
        r = sb_session_sleep(master->session, pause);
    }
    if (r == 0 && *ret_exception == SB_MODBUS_ACKNOWLEDGE && !is_read(call->request.bytes[0]))
        *ret_exception = 0; /* taken; whether it is done is asked by who needs to know */
    if (r == 0 && ret)
        *ret = answer;
    return r;
}
