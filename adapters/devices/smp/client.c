/* SPDX-License-Identifier: Apache-2.0 */
#include "adapters/devices/smp/client.h"

#include <errno.h>

#define RC_TOO_NEW 13

static const uint8_t empty_map[] = { 0xa0 };

size_t sb_smp_call_size(const struct sb_cbor *body)
{
    return SB_SMP_HEADER + SB_SMP_FRAME_EXTRA + (body ? body->n : sizeof(empty_map));
}

void sb_smp_reply_done(struct sb_smp_reply *reply)
{
    json_decref(reply->body);
    *reply = (struct sb_smp_reply){ 0 };
}

static int build(const struct sb_smp_call *call, uint8_t version, uint8_t seq,
                 struct sb_str *ret_lines)
{
    const uint8_t *body = call->body ? call->body->bytes : empty_map;
    size_t n = call->body ? call->body->n : sizeof(empty_map);
    if (call->body && call->body->broken)
        return -ENOMEM;
    if (n > SB_SMP_PACKET_MAX - SB_SMP_HEADER)
        return -EMSGSIZE;
    const struct sb_smp_header header = { .op = call->write ? SB_SMP_WRITE : SB_SMP_READ,
                                          .version = version,
                                          .length = (uint16_t)n,
                                          .group = call->group,
                                          .seq = seq,
                                          .command = call->command };
    sb_cleanup(sb_freep) uint8_t *packet = malloc(SB_SMP_HEADER + n);
    if (!packet)
        return -ENOMEM;
    sb_smp_header_put(&header, packet);
    memcpy(packet + SB_SMP_HEADER, body, n);
    return sb_smp_frame(packet, SB_SMP_HEADER + n, ret_lines);
}

/* Whether the packet answers the call; then *ret has it. */
static bool answers(struct sb_smp_client *client, const struct sb_smp_call *call,
                    const uint8_t *packet, size_t n, struct sb_smp_reply *ret)
{
    struct sb_smp_header header;
    if (sb_smp_header_get(packet, n, &header) < 0)
        return false;
    uint8_t op = call->write ? SB_SMP_WRITE_ANSWER : SB_SMP_READ_ANSWER;
    if (header.op != op || header.group != call->group || header.command != call->command ||
        header.seq != client->seq)
        return false;
    if (sb_cbor_read(packet + SB_SMP_HEADER, header.length, &ret->body) < 0)
        return false;
    ret->code = sb_smp_code_of(ret->body);
    return true;
}

/* Looks through what has arrived; 1 when the answer was there. */
static int look(struct sb_smp_client *client, const struct sb_smp_call *call, const uint8_t *bytes,
                size_t n, struct sb_smp_reply *ret)
{
    while (n > 0) {
        const uint8_t *packet;
        size_t used, length;
        int r = sb_smp_feed(&client->decoder, bytes, n, &used, &packet, &length);
        if (r == 1 && answers(client, call, packet, length, ret))
            return 1;
        client->strange += r == 1;
        bytes += used;
        n -= used;
    }
    return 0;
}

static int await_answer(struct sb_smp_client *client, const struct sb_smp_call *call,
                        int64_t deadline, struct sb_smp_reply *ret)
{
    uint8_t buffer[1024];
    do {
        size_t n;
        int r = sb_port_read(client->port, buffer, sizeof(buffer), deadline, &n);
        if (r == 0)
            r = look(client, call, buffer, n, ret);
        if (r != 0)
            return r;
    } while (sb_port_clock() < deadline); /* a line that never falls silent ends here */
    return -ETIMEDOUT;
}

static int request(struct sb_smp_client *client, const struct sb_smp_call *call,
                   struct sb_smp_reply *ret)
{
    struct sb_str lines = { 0 };
    struct sb_smp_reply reply = { 0 };
    int64_t timeout = call->timeout ? call->timeout : client->timeout;
    unsigned tries = call->tries ? call->tries : client->tries;
    client->seq++;
    /* The newline ends whatever damaged piece the device may still hold of an earlier line. */
    sb_str_add_char(&lines, '\n');
    int r = build(call, client->old ? 0 : 1, client->seq, &lines);
    for (unsigned i = 0; r == 0 || (r == -ETIMEDOUT && i < tries); i++) {
        int64_t deadline = sb_port_clock() + timeout;
        r = sb_port_write(client->port, lines.text, lines.length, deadline);
        if (r == 0)
            r = await_answer(client, call, deadline, &reply);
        if (r == 1)
            break;
    }
    sb_str_done(&lines);
    if (r < 0)
        return r;
    *ret = reply;
    return 0;
}

int sb_smp_request(struct sb_smp_client *client, const struct sb_smp_call *call,
                   struct sb_smp_reply *ret)
{
    int r = request(client, call, ret);
    if (r < 0 || client->old || ret->code.err || ret->code.code != RC_TOO_NEW)
        return r;
    client->old = true; /* it knows only version 1 */
    sb_smp_reply_done(ret);
    return request(client, call, ret);
}
