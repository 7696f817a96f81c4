/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SMP packets on a console line, and their CBOR bodies. The three lines below were taken from
 * exchanges with MCUboot.
 */
#include <errno.h>

#include "adapters/devices/smp/cbor.h"
#include "adapters/devices/smp/frame.h"
#include "tests/test.h"

static const struct {
    struct sb_smp_header header;
    const char *body;
    size_t body_length;
    const char *line;
} examples[] = {
    { { .op = SB_SMP_READ, .group = 1, .seq = 1, .command = 0 },
      "\xa0",
      1,
      "\x06\x09"
      "AAsAAAABAAEBAKCxzg==\n" },
    { { .op = SB_SMP_WRITE, .group = 0, .seq = 2, .command = 5 },
      "\xa0",
      1,
      "\x06\x09"
      "AAsCAAABAAACBaCnuA==\n" },
    { { .op = SB_SMP_WRITE, .group = 0, .seq = 3, .command = 0 },
      "\xa1\x61\x64\x62hi",
      6,
      "\x06\x09"
      "ABACAAAGAAADAKFhZGJoacFi\n" },
};

static size_t packet_of(const struct sb_smp_header *header, const char *body, size_t n,
                        uint8_t *ret)
{
    struct sb_smp_header whole = *header;
    whole.length = (uint16_t)n;
    sb_smp_header_put(&whole, ret);
    memcpy(ret + SB_SMP_HEADER, body, n);
    return SB_SMP_HEADER + n;
}

SB_TEST(test_published_lines)
{
    for (size_t i = 0; i < SB_COUNT(examples); i++) {
        uint8_t packet[64];
        struct sb_smp_header header = examples[i].header, read;
        size_t n = packet_of(&header, examples[i].body, examples[i].body_length, packet);
        struct sb_str lines = { 0 };
        assert_int_equal(sb_smp_frame(packet, n, &lines), 0);
        assert_string_equal(sb_str_get(&lines), examples[i].line);

        struct sb_smp_decoder decoder = { 0 };
        size_t used, length;
        const uint8_t *found;
        assert_int_equal(sb_smp_feed(&decoder, lines.text, lines.length, &used, &found, &length),
                         1);
        assert_int_equal(used, lines.length);
        assert_int_equal(length, n);
        assert_memory_equal(found, packet, n);
        assert_int_equal(sb_smp_header_get(found, length, &read), 0);
        assert_int_equal(read.group, header.group);
        assert_int_equal(read.seq, i + 1);
        assert_int_equal(read.op, header.op);
        sb_str_done(&lines);
    }
}

SB_TEST(test_crc)
{
    assert_int_equal(sb_smp_crc("123456789", 9), 0x31c3); /* CRC-16/XMODEM's check value */
    assert_int_equal(sb_smp_crc("", 0), 0);
}

SB_TEST(test_header)
{
    uint8_t bytes[SB_SMP_HEADER + 1];
    const struct sb_smp_header header = { .op = SB_SMP_WRITE_ANSWER,
                                          .version = 1,
                                          .length = 1,
                                          .group = 0x1234,
                                          .seq = 250,
                                          .command = 7 };
    struct sb_smp_header read;
    sb_smp_header_put(&header, bytes);
    assert_int_equal(bytes[0], 0x0b);
    assert_int_equal(sb_smp_header_get(bytes, SB_SMP_HEADER, &read), -EBADMSG);
    assert_int_equal(sb_smp_header_get(bytes, SB_SMP_HEADER + 1, &read), 0);
    assert_int_equal(read.version, 1);
    assert_int_equal(read.group, 0x1234);
    assert_int_equal(sb_smp_header_get(bytes, 3, &read), -EBADMSG);
}

/* How many packets come out of the bytes, fed in pieces of `piece`; the last one in *ret. */
static int feed_all(struct sb_smp_decoder *decoder, const char *bytes, size_t n, size_t piece,
                    uint8_t *ret, size_t *ret_n)
{
    int packets = 0;
    while (n > 0) {
        size_t used, now = SB_MIN(piece, n), length;
        const uint8_t *found;
        if (sb_smp_feed(decoder, bytes, now, &used, &found, &length) == 1) {
            packets++;
            memcpy(ret, found, length);
            *ret_n = length;
        }
        assert_in_range(used, 1, now);
        bytes += used;
        n -= used;
    }
    return packets;
}

static void fill(uint8_t *packet, size_t n)
{
    const struct sb_smp_header header = { .op = SB_SMP_READ_ANSWER,
                                          .length = (uint16_t)(n - SB_SMP_HEADER) };
    sb_smp_header_put(&header, packet);
    for (size_t i = SB_SMP_HEADER; i < n; i++)
        packet[i] = (uint8_t)(i * 7);
}

SB_TEST(test_every_length_in_every_piece)
{
    static const size_t pieces[] = { 1, 3, 64, 100000 };
    static uint8_t packet[SB_SMP_PACKET_MAX], back[SB_SMP_PACKET_MAX];
    for (size_t n = SB_SMP_HEADER; n <= SB_SMP_PACKET_MAX; n += n < 400 ? 1 : 1999) {
        struct sb_str lines = { 0 };
        fill(packet, n);
        assert_int_equal(sb_smp_frame(packet, n, &lines), 0);
        for (const char *line = lines.text; *line; line = strchr(line, '\n') + 1)
            assert_in_range(strchr(line, '\n') - line, 3, 126); /* 127 with the newline */
        for (size_t i = 0; i < SB_COUNT(pieces); i++) {
            static struct sb_smp_decoder decoder;
            size_t length = 0;
            memset(&decoder, 0, sizeof(decoder));
            assert_int_equal(feed_all(&decoder, lines.text, lines.length, pieces[i], back, &length),
                             1);
            assert_int_equal(length, n);
            assert_memory_equal(back, packet, n);
        }
        sb_str_done(&lines);
    }
    struct sb_str lines = { 0 };
    assert_int_equal(sb_smp_frame(packet, SB_SMP_PACKET_MAX + 1, &lines), -EMSGSIZE);
    sb_str_done(&lines);
}

SB_TEST(test_log_text_between_and_inside)
{
    static struct sb_smp_decoder decoder;
    uint8_t packet[300], back[SB_SMP_PACKET_MAX];
    size_t length;
    struct sb_str lines = { 0 }, mixed = { 0 };
    fill(packet, sizeof(packet));
    assert_int_equal(sb_smp_frame(packet, sizeof(packet), &lines), 0);
    sb_str_add(&mixed, "*** Booting Zephyr ***\r\n<inf> AAsAAAABAAEBAKCxzg==\n\x06\x06");
    for (const char *line = lines.text; *line; line = strchr(line, '\n') + 1) {
        sb_str_add_bytes(&mixed, line, (size_t)(strchr(line, '\n') + 1 - line));
        sb_str_add(&mixed, "[00:01] <wrn> something else \x04 happened\r\n");
    }
    memset(&decoder, 0, sizeof(decoder));
    assert_int_equal(feed_all(&decoder, mixed.text, mixed.length, 10, back, &length), 1);
    assert_memory_equal(back, packet, sizeof(packet));
    assert_true(decoder.skipped > 50);
    assert_int_equal(decoder.broken, 0);
    sb_str_done(&lines);
    sb_str_done(&mixed);
}

SB_TEST(test_damage_never_passes_and_never_lasts)
{
    static struct sb_smp_decoder decoder;
    uint8_t packet[200], back[SB_SMP_PACKET_MAX];
    size_t length;
    struct sb_str lines = { 0 };
    fill(packet, sizeof(packet));
    assert_int_equal(sb_smp_frame(packet, sizeof(packet), &lines), 0);
    memset(&decoder, 0, sizeof(decoder));
    for (size_t at = 0; at < lines.length; at++) {
        for (int kind = 0; kind < 4; kind++) { /* lost, doubled, changed twice */
            struct sb_str bad = { 0 };
            sb_str_add_bytes(&bad, lines.text, at);
            if (kind >= 1)
                sb_str_add_char(&bad, (char)(lines.text[at] ^ (kind == 1   ? 0
                                                               : kind == 2 ? 1
                                                                           : 0x45)));
            if (kind == 1)
                sb_str_add_char(&bad, lines.text[at]);
            sb_str_add_bytes(&bad, lines.text + at + 1, lines.length - at - 1);
            sb_str_add_bytes(&bad, lines.text, lines.length); /* a good one right behind it */
            length = 0;
            int n = feed_all(&decoder, bad.text, bad.length, 1000, back, &length);
            /* A doubled or lost line end does no harm; otherwise only the good one is left. */
            assert_in_range(n, 1, 2);
            assert_int_equal(length, sizeof(packet));
            assert_memory_equal(back, packet, sizeof(packet));
            sb_str_done(&bad);
        }
    }
    assert_true(decoder.broken > lines.length);
    sb_str_done(&lines);
}

SB_TEST(test_hostile_lines)
{
    static const char *const lines[] = {
        "\x06\x09\n",
        "\x06\x09====\n",
        "\x06\x09"
        "A===\n",
        "\x06\x09"
        "//8=\n", /* claims 65535 bytes */
        "\x06\x09"
        "AAAA\n", /* claims none */
        "\x06\x09"
        "AAsAAAABAAEBAKCxzg==AAAA\n", /* more behind the padding */
        "\x06\x09"
        "AAsAAAABAAEBAKCxzgAAAAAA\n", /* longer than it says */
        "\x04\x14"
        "AAsAAAABAAEBAKCxzg==\n", /* a second line without a first */
        "\x06\x09"
        "AAsAAAABAAEBAKCxzw==\n", /* wrong CRC */
        "\x06\x09"
        "AAs*AAABAAEBAKCxzg==\n",
    };
    static struct sb_smp_decoder decoder;
    uint8_t back[SB_SMP_PACKET_MAX];
    size_t length;
    for (size_t i = 0; i < SB_COUNT(lines); i++) {
        memset(&decoder, 0, sizeof(decoder));
        assert_int_equal(feed_all(&decoder, lines[i], strlen(lines[i]), 5, back, &length), 0);
        assert_int_equal(
            feed_all(&decoder, examples[0].line, strlen(examples[0].line), 5, back, &length), 1);
    }
    /* A line without end, and a packet that never ends. */
    memset(&decoder, 0, sizeof(decoder));
    struct sb_str endless = { 0 };
    sb_str_add(&endless, "\x06\x09H/8A");
    for (int i = 0; i < 40000; i++)
        sb_str_add(&endless, "AAAA");
    sb_str_add(&endless, "\n");
    assert_int_equal(feed_all(&decoder, endless.text, endless.length, 777, back, &length), 0);
    assert_int_equal(
        feed_all(&decoder, examples[1].line, strlen(examples[1].line), 5, back, &length), 1);
    sb_str_done(&endless);
}

/* ---- CBOR ---- */

static json_t *reread(const struct sb_cbor *c)
{
    json_t *back = NULL;
    assert_false(c->broken);
    assert_int_equal(sb_cbor_read(c->bytes, c->n, &back), 0);
    return back;
}

SB_TEST(test_cbor_round_trip)
{
    static const char text[] =
        "{\"a\":1,\"b\":-1,\"c\":[true,false,null,[],{}],\"d\":\"h\\u00e9\",\"e\":1.5,"
        "\"f\":{\"g\":{\"h\":4294967296}},\"i\":-9223372036854775808,\"j\":9223372036854775807,"
        "\"k\":255,\"l\":65536,\"m\":-300,\"n\":-70000,\"o\":\"\"}";
    json_t *value = json_loads(text, 0, NULL);
    assert_non_null(value);
    struct sb_cbor c = { 0 };
    assert_int_equal(sb_cbor_json(&c, value), 0);
    json_t *back = reread(&c);
    assert_true(json_equal(value, back));
    json_decref(value);
    json_decref(back);
    sb_cbor_done(&c);
}

SB_TEST(test_cbor_bytes)
{
    struct sb_cbor c = { 0 };
    json_t *value = json_loads("{\"b\":{\"$hex\":\"00ff7f\"},\"e\":{\"$hex\":\"\"}}", 0, NULL);
    assert_int_equal(sb_cbor_json(&c, value), 0);
    assert_memory_equal(c.bytes, "\xa2\x61\x62\x43\x00\xff\x7f\x61\x65\x40", 10);
    json_t *back = reread(&c);
    assert_string_equal(sb_json_str(back, "b"), "00ff7f");
    assert_string_equal(sb_json_str(back, "e"), "");
    json_decref(value);
    json_decref(back);
    sb_cbor_done(&c);

    static const char *const wrong[] = { "{\"b\":{\"$hex\":\"0\"}}", "{\"b\":{\"$hex\":\"zz\"}}",
                                         "[[[[[[[[[[1]]]]]]]]]]" };
    for (size_t i = 0; i < SB_COUNT(wrong); i++) {
        value = json_loads(wrong[i], 0, NULL);
        assert_non_null(value);
        assert_int_equal(sb_cbor_json(&c, value), -EINVAL);
        json_decref(value);
        sb_cbor_done(&c);
    }
}

SB_TEST(test_cbor_shapes_of_devices)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *json;
    } cases[] = {
#define BYTES(text) text, sizeof(text) - 1
        { BYTES("\xbf\x61\x61\x01\xff"), "{\"a\":1}" }, /* indefinite, as Zephyr writes maps */
        { BYTES("\xa1\x61\x61\x9f\x01\x9f\xff\x02\xff"), "{\"a\":[1,[],2]}" },
        { BYTES("\xa1\x61\x61\x7f\x61\x62\x61\x63\xff"), "{\"a\":\"bc\"}" },
        { BYTES("\xa1\x61\x61\x5f\x41\x01\x41\xff\xff"), "{\"a\":\"01ff\"}" },
        { BYTES("\xa1\x7f\x61\x6b\xff\x05"), "{\"k\":5}" },
        { BYTES("\xa1\x18\x20\x01"), "{\"32\":1}" },
        { BYTES("\xa1\x61\x61\xc1\x01"), "{\"a\":1}" },        /* a tag */
        { BYTES("\xa1\x61\x61\xf9\x3c\x00"), "{\"a\":1.0}" },  /* half float */
        { BYTES("\xa1\x61\x61\xf9\x7c\x00"), "{\"a\":null}" }, /* infinity */
        { BYTES("\xa1\x61\x61\xfa\x40\x20\x00\x00"), "{\"a\":2.5}" },
        { BYTES("\xa1\x61\x61\xf7"), "{\"a\":null}" },
        { BYTES("\xa1\x61\x61\x62\xc3\x28"), "{\"a\":\"?(\"}" }, /* no UTF-8 */
        { BYTES("\xa1\x61\x61\x62\x00\x41"), "{\"a\":\"?A\"}" }, /* a NUL */
        { BYTES("\xa1\x61\x61\x1b\xff\xff\xff\xff\xff\xff\xff\xff"),
          "{\"a\":18446744073709551615.0}" },
        { BYTES("\xa2\x61\x61\x81\x01\x61\x61\x02"), "{\"a\":2}" }, /* twice: the last */
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        json_t *wanted = json_loads(cases[i].json, 0, NULL), *got = NULL;
        assert_non_null(wanted);
        int r = sb_cbor_read(cases[i].bytes, cases[i].n, &got);
        if (r != 0 || !json_equal(wanted, got))
            fail_msg("case %zu: %d", i, r);
        json_decref(wanted);
        json_decref(got);
    }
}

SB_TEST(test_cbor_hostile)
{
    static const struct {
        const char *bytes;
        size_t n;
        int error;
    } cases[] = {
        { BYTES(""), -EBADMSG },
        { BYTES("\x01"), -EBADMSG }, /* not a map */
        { BYTES("\x81\x01"), -EBADMSG },
        { BYTES("\xa1\x61\x61"), -EBADMSG }, /* cut off */
        { BYTES("\xa0\x00"), -EBADMSG },     /* something behind it */
        { BYTES("\xa1\x61\x61\x01\xa0"), -EBADMSG },
        { BYTES("\xa1\xa0\x01"), -EBADMSG },     /* a map as key */
        { BYTES("\xa1\xf5\x01"), -EBADMSG },     /* true as key */
        { BYTES("\xbf\x61\x61\xff"), -EBADMSG }, /* a key without value */
        { BYTES("\xa1\x61\x61\xff"), -EBADMSG }, /* a break where none may be */
        { BYTES("\xff"), -EBADMSG },
        { BYTES("\xa1\x61\x61\x7f\x01\xff"), -EBADMSG }, /* a number in a text */
        { BYTES("\xa1\x61\x61\x7f\x41\x61\xff"), -EBADMSG },
        { BYTES("\xa1\x61\x61\x1c"), -EBADMSG }, /* reserved */
        { BYTES("\xa1\x61\x61\x9b\xff\xff\xff\xff\xff\xff\xff\xff"), -E2BIG },
        { BYTES("\xbb\x00\x00\x00\x01\x00\x00\x00\x00"), -E2BIG },
        { BYTES("\xa1\x61\x61\x5b\x7f\xff\xff\xff\xff\xff\xff\xff"), -EBADMSG },
        { BYTES("\xa1\x61\x61\x81\x81\x81\x81\x81\x81\x81\x81\x81\x01"), -E2BIG },
#undef BYTES
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        json_t *got = NULL;
        int r = sb_cbor_read(cases[i].bytes, cases[i].n, &got);
        if (r != cases[i].error || got)
            fail_msg("case %zu: %d", i, r);
    }
    static uint8_t many[8000] = { 0xa1, 0x61, 0x61, 0x9f }; /* zeros without end */
    json_t *got = NULL;
    assert_int_equal(sb_cbor_read(many, sizeof(many), &got), -E2BIG);
}
