/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The XMODEM and YMODEM senders against receivers written here from the protocol's description,
 * on a simulated clock and a line that loses, changes and doubles bytes.
 */
#include <stdio.h>

#include "adapters/devices/dialog/xmodem.h"
#include "bridge/base/crypto.h"
#include "bridge/base/str.h"
#include "tests/test.h"

#define FILE_MAX 400000

static uint8_t file_bytes[FILE_MAX];

static int read_file(void *arg, int64_t at, void *ret, size_t n)
{
    int64_t size = *(const int64_t *)arg;
    if (at < 0 || at + (int64_t)n > size)
        return -EINVAL;
    memcpy(ret, file_bytes + at, n);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < FILE_MAX; i++)
        file_bytes[i] = (uint8_t)((i * 31 + i / 251) & 0xff);
    return 0;
}

static int64_t job_size;
static struct sb_xmodem_job job(enum sb_xmodem_kind kind, int64_t size)
{
    job_size = size;
    return (struct sb_xmodem_job){ .kind = kind,
                                   .name = "fw.bin",
                                   .size = size,
                                   .timeout = 10000,
                                   .first_timeout = 60000,
                                   .tries = 10,
                                   .read = read_file,
                                   .arg = &job_size };
}

/* ---- single bytes ---- */

static struct sb_xmodem x;
static int64_t now;

static void begin(enum sb_xmodem_kind kind, int64_t size)
{
    struct sb_xmodem_job j = job(kind, size);
    now = 1000;
    sb_xmodem_begin(&x, &j, now);
}

/* What it sends next; NULL-terminated hex of at most `most` bytes, "" nothing. */
static const char *sent(size_t most)
{
    static char *hex;
    free(hex);
    hex = sb_hex(x.out, SB_MIN(x.out_n, most));
    if (x.out_n)
        sb_xmodem_sent(&x, now);
    return hex;
}

static void wait_ms(int64_t ms)
{
    now += ms;
    sb_xmodem_time(&x, now);
}

static void hears(uint8_t byte)
{
    sb_xmodem_byte(&x, byte, now);
}

static void ack(void)
{
    hears(0x06);
    wait_ms(5);
}

SB_TEST(test_frames_byte_by_byte)
{
    memcpy(file_bytes, "123456789", 9);
    begin(SB_XMODEM, 9);
    assert_string_equal(sent(999), ""); /* it is the receiver who begins */
    hears('C');
    assert_int_equal(x.out_n, 0);
    wait_ms(20);
    assert_int_equal(x.out_n, 0); /* not at once: the receiver throws its input away */
    wait_ms(80);
    assert_int_equal(x.out_n, 133);
    /* SOH 01 FE "123456789" 1A... ; CRC-16/XMODEM over the 128 bytes */
    assert_memory_equal(x.out,
                        "\x01\x01\xfe"
                        "123456789\x1a\x1a",
                        14);
    assert_int_equal(x.out[131] << 8 | x.out[132], 0xe447);
    (void)sent(0);
    ack();
    assert_string_equal(sent(9), "04");
    hears(0x06);
    assert_int_equal(x.state, SB_XMODEM_DONE);
    assert_int_equal(x.acked, 9);
}

SB_TEST(test_checksum_when_asked_by_nak)
{
    memset(file_bytes, 0x11, 200);
    begin(SB_XMODEM, 200);
    hears(0x15);
    wait_ms(100);
    assert_int_equal(x.out_n, 132);
    assert_int_equal(x.out[131], (0x11 * 128) & 0xff);
    (void)sent(0);
    ack();
    assert_int_equal(x.out_n, 132);
    assert_int_equal(x.out[131], (0x11 * 72 + 0x1a * 56) & 0xff);
    begin(SB_XMODEM_1K, 5000); /* a sum is too weak for long blocks */
    hears(0x15);
    wait_ms(100);
    assert_int_equal(x.out_n, 132);
    (void)setup(NULL);
}

SB_TEST(test_ymodem_byte_by_byte)
{
    begin(SB_YMODEM, 1030);
    hears(0x15); /* no way to begin YMODEM */
    wait_ms(200);
    assert_int_equal(x.out_n, 0);
    hears('C');
    wait_ms(100);
    assert_int_equal(x.out_n, 133);
    assert_memory_equal(x.out,
                        "\x01\x00\xff"
                        "fw.bin\0"
                        "1030\0\0",
                        16);
    (void)sent(0);
    hears('C'); /* asked twice before */
    hears(0x06);
    wait_ms(100);
    assert_int_equal(x.out_n, 0); /* it waits to be asked for the data */
    hears('C');
    wait_ms(100);
    assert_int_equal(x.out_n, 1029);
    assert_memory_equal(x.out, "\x02\x01\xfe", 3);
    assert_memory_equal(x.out + 3, file_bytes, 1024);
    (void)sent(0);
    hears('C'); /* left over */
    assert_int_equal(x.out_n, 0);
    ack();
    assert_int_equal(x.out_n, 133); /* the rest in a short one */
    (void)sent(0);
    ack();
    assert_string_equal(sent(9), "04");
    hears(0x15); /* some want the end twice */
    wait_ms(100);
    assert_string_equal(sent(9), "04");
    hears(0x06);
    hears('C');
    wait_ms(100);
    assert_string_equal(sent(6), "0100ff000000");
    hears('C'); /* too soon to mean that block */
    assert_int_equal(x.state, SB_XMODEM_RUNNING);
    hears(0x06);
    assert_int_equal(x.state, SB_XMODEM_DONE);
}

SB_TEST(test_a_block_is_sent_again)
{
    begin(SB_XMODEM, 300);
    hears('C');
    wait_ms(100);
    (void)sent(0);
    hears(0x15);
    assert_int_equal(x.out_n, 0);
    hears(0x06); /* a late answer of before: no answer to what comes */
    wait_ms(100);
    assert_string_equal(sent(3), "0101fe");
    wait_ms(9999);
    assert_int_equal(x.out_n, 0);
    wait_ms(1); /* silence */
    wait_ms(100);
    assert_string_equal(sent(3), "0101fe");
    hears(0x06);
    wait_ms(5);
    assert_int_equal(x.out_n, 0); /* careful after trouble */
    wait_ms(100);
    assert_string_equal(sent(3), "0102fd");
    hears(0x06);
    hears(0x06); /* doubled: not the answer to the next one */
    wait_ms(5);
    assert_string_equal(sent(3), "0103fc");
    assert_int_equal(x.acked, 256);
}

SB_TEST(test_how_it_fails)
{
    begin(SB_XMODEM, 300);
    wait_ms(59999);
    assert_int_equal(x.state, SB_XMODEM_RUNNING);
    wait_ms(1);
    assert_int_equal(x.failure, SB_XMODEM_NOT_ASKED);
    assert_string_equal(sent(99), "1818181818181818");

    begin(SB_XMODEM, 300);
    hears('C');
    for (int i = 0; i < 10; i++) {
        assert_int_equal(x.state, SB_XMODEM_RUNNING);
        wait_ms(100);
        (void)sent(0);
        hears(0x15);
    }
    assert_int_equal(x.failure, SB_XMODEM_REFUSED);

    begin(SB_XMODEM, 300);
    hears('C');
    wait_ms(100);
    (void)sent(0);
    hears(0x18);
    hears('x');
    hears(0x18);
    assert_int_equal(x.state, SB_XMODEM_RUNNING); /* one may be noise */
    hears(0x18);
    assert_int_equal(x.failure, SB_XMODEM_ABORTED);
    assert_int_equal(x.out_n, 0); /* it knows */

    begin(SB_XMODEM, 300);
    hears('C');
    wait_ms(100);
    (void)sent(0);
    sb_xmodem_cancel(&x);
    assert_int_equal(x.failure, SB_XMODEM_CANCELLED);
    assert_string_equal(sent(99), "1818181818181818");

    begin(SB_XMODEM, 300);
    job_size = 100; /* the file has become shorter */
    hears('C');
    wait_ms(100);
    assert_int_equal(x.failure, SB_XMODEM_READ_FAILED);
}

SB_TEST(test_the_farewell_may_be_lost)
{
    begin(SB_YMODEM, 0);
    hears('C');
    wait_ms(100);
    (void)sent(0);
    hears(0x06);
    hears('C');
    wait_ms(100);
    assert_string_equal(sent(9), "04"); /* nothing in it */
    hears('C');                         /* the ACK was lost: it asks for the next file */
    wait_ms(10000);
    wait_ms(100);
    assert_string_equal(sent(3), "0100ff");
    now += 1500;
    hears('C'); /* that one was lost as well */
    wait_ms(100);
    assert_string_equal(sent(3), "0100ff");
    wait_ms(10000);
    assert_int_equal(x.state, SB_XMODEM_DONE);
}

/* ---- whole transfers ---- */

struct receiver { /* by the protocol's description; no code of the sender's */
    bool ymodem, crc, nak_first_eot;
    uint8_t *got;
    size_t got_n;
    char name[129];
    long size;
    uint8_t frame[1100];
    size_t frame_n, want;
    unsigned expect; /* number of the next block */
    bool header, last, done, failed, eot_seen;
    int64_t next_ask, frame_until;
    uint8_t answers[64];
    size_t answer_n;
    int errors;
};

static uint16_t crc_by_table(const uint8_t *bytes, size_t n) /* another way to the same sum */
{
    uint32_t rest = 0;
    for (size_t i = 0; i < n + 2; i++) {
        for (int bit = 7; bit >= 0; bit--) {
            uint32_t in = i < n ? (uint32_t)(bytes[i] >> bit & 1) : 0;
            rest = rest << 1 | in;
            if (rest & 0x10000)
                rest ^= 0x11021;
        }
    }
    return (uint16_t)rest;
}

static void answer(struct receiver *r, uint8_t byte)
{
    if (r->answer_n < sizeof(r->answers))
        r->answers[r->answer_n++] = byte;
}

static void block_arrived(struct receiver *r)
{
    size_t room = r->frame[0] == 1 ? 128 : 1024;
    const uint8_t *data = r->frame + 3;
    uint8_t sum = 0;
    for (size_t i = 0; i < room; i++)
        sum = (uint8_t)(sum + data[i]);
    bool right = r->frame[1] == 255 - r->frame[2] &&
                 (r->crc ? crc_by_table(data, room) == (data[room] << 8 | data[room + 1])
                         : sum == data[room]);
    if (!right) {
        r->errors++;
        answer(r, 0x15);
        return;
    }
    if (r->header && r->frame[1] == 0) {
        if (data[0]) {
            r->header = false;
            (void)snprintf(r->name, sizeof(r->name), "%s", (const char *)data);
            r->size = strtol((const char *)data + strlen(r->name) + 1, NULL, 10);
        }
        r->done = r->last;
        answer(r, 0x06);
        r->next_ask = now;
        return;
    }
    if (r->frame[1] == (uint8_t)(r->expect - 1)) {
        answer(r, 0x06); /* that one is here already */
        return;
    }
    if (r->header || r->frame[1] != (uint8_t)r->expect) {
        r->failed = true;
        answer(r, 0x18);
        answer(r, 0x18);
        return;
    }
    memcpy(r->got + r->got_n, data, room);
    r->got_n += room;
    r->expect++;
    r->next_ask = INT64_MAX;
    answer(r, 0x06);
}

static void eot_arrived(struct receiver *r)
{
    if (r->nak_first_eot && !r->eot_seen) {
        r->eot_seen = true;
        answer(r, 0x15);
        return;
    }
    answer(r, 0x06);
    r->done = !r->ymodem;
    r->header = r->last = r->ymodem;
    r->next_ask = r->ymodem ? now : INT64_MAX;
}

static void receiver_hears(struct receiver *r, uint8_t byte)
{
    if (r->done || r->failed)
        return;
    if (r->frame_n == 0) {
        if (byte == 4)
            eot_arrived(r);
        if (byte != 1 && byte != 2)
            return;
        r->want = (byte == 1 ? 128u : 1024u) + (r->crc ? 5u : 4u);
        r->frame_until = now + 1000;
    }
    r->frame[r->frame_n++] = byte;
    if (r->frame_n == r->want) {
        r->frame_n = 0;
        block_arrived(r);
    }
}

static void receiver_time(struct receiver *r)
{
    if (r->frame_n > 0 && now >= r->frame_until) { /* cut short */
        r->frame_n = 0;
        r->errors++;
        answer(r, 0x15);
    }
    if (!r->done && !r->failed && now >= r->next_ask) {
        answer(r, r->crc ? 'C' : 0x15);
        r->next_ask = now + 3000;
    }
}

struct line {
    unsigned seed, per_million; /* of each fault */
    int faults;
};

static unsigned pick(struct line *line, unsigned below)
{
    line->seed = line->seed * 1664525u + 1013904223u;
    return (line->seed >> 8) % below;
}

/* How often and as what a byte arrives. */
static int pass(struct line *line, uint8_t *byte)
{
    unsigned n = line->per_million ? pick(line, 1000000) : 1000000;
    if (n >= 3 * line->per_million)
        return 1;
    line->faults++;
    if (n < line->per_million)
        return 0;
    if (n < 2 * line->per_million)
        return 2;
    *byte = (uint8_t)(*byte ^ (1u << pick(line, 8)));
    return 1;
}

static void transfer(struct receiver *r, struct line *line)
{
    int64_t end = now + 3600000;
    r->got = calloc(1, FILE_MAX + 2048);
    assert_non_null(r->got);
    r->expect = 1;
    r->header = r->ymodem;
    while (x.state == SB_XMODEM_RUNNING && now < end) {
        if (x.out_n) {
            uint8_t out[SB_XMODEM_FRAME];
            size_t n = x.out_n;
            memcpy(out, x.out, n);
            sb_xmodem_sent(&x, now);
            for (size_t i = 0; i < n; i++)
                for (int times = pass(line, &out[i]); times > 0; times--)
                    receiver_hears(r, out[i]);
        }
        receiver_time(r);
        size_t n = r->answer_n;
        uint8_t answers[64];
        memcpy(answers, r->answers, n);
        r->answer_n = 0;
        for (size_t i = 0; i < n; i++)
            for (int times = pass(line, &answers[i]); times > 0; times--)
                sb_xmodem_byte(&x, answers[i], now);
        now++;
        sb_xmodem_time(&x, now);
    }
}

static void assert_arrived(const struct receiver *r, int64_t size)
{
    assert_int_equal(x.state, SB_XMODEM_DONE);
    assert_true(r->got_n >= (size_t)size && r->got_n < (size_t)size + 1024);
    assert_memory_equal(r->got, file_bytes, (size_t)size);
    for (size_t i = (size_t)size; i < r->got_n; i++)
        assert_int_equal(r->got[i], 0x1a);
    assert_int_equal(x.acked, size);
    if (r->ymodem) {
        assert_string_equal(r->name, "fw.bin");
        assert_int_equal(r->size, size);
    }
}

SB_TEST(test_every_size)
{
    static const int64_t sizes[] = { 0,    1,    127,  128,  129,   1023,  1024,
                                     1025, 1919, 1920, 1921, 40000, 300000 };
    for (int kind = SB_XMODEM; kind <= SB_YMODEM; kind++) {
        for (size_t i = 0; i < SB_COUNT(sizes); i++) {
            struct receiver r = { .ymodem = kind == SB_YMODEM,
                                  .crc = kind != SB_XMODEM || i % 2,
                                  .nak_first_eot = i % 3 == 0 };
            struct line line = { 0 };
            begin((enum sb_xmodem_kind)kind, sizes[i]);
            transfer(&r, &line);
            assert_arrived(&r, sizes[i]);
            assert_int_equal(r.errors, 0);
            free(r.got);
        }
    }
}

/* On a bad line it arrives, or it is known that it did not; never is something else there. */
SB_TEST(test_bad_lines)
{
    int arrived = 0, faults = 0, rounds = 60;
    for (int i = 0; i < rounds; i++) {
        struct receiver r = { .ymodem = i % 2, .crc = true };
        struct line line = { .seed = (unsigned)i + 1, .per_million = 60 };
        begin(i % 2 ? SB_YMODEM : SB_XMODEM_1K, 30000);
        transfer(&r, &line);
        assert_true(x.state != SB_XMODEM_RUNNING);
        if (x.state == SB_XMODEM_DONE && r.got_n >= 30000) {
            assert_memory_equal(r.got, file_bytes, 30000);
            arrived++;
        }
        faults += line.faults;
        free(r.got);
    }
    assert_true(faults > rounds);
    if (arrived < rounds * 9 / 10)
        fail_msg("%d of %d arrived", arrived, rounds);
}

int main(void)
{
    return sb_tests_run(setup, NULL);
}
