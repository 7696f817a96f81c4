/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Modbus frames: bytes seen on real lines, every length, damage, and what is no answer.
 */
#include "adapters/devices/modbus/frame.h"
#include "bridge/base/crypto.h"
#include "tests/test.h"

static size_t bytes_of(const char *hex, uint8_t *ret, size_t room)
{
    size_t n = strlen(hex) / 2;
    assert_true(n <= room);
    assert_int_equal(sb_hex_decode(hex, ret, n), 0);
    return n;
}

static struct sb_modbus_pdu pdu_of(const char *hex)
{
    struct sb_modbus_pdu pdu;
    pdu.n = bytes_of(hex, pdu.bytes, sizeof(pdu.bytes));
    return pdu;
}

/* Adds the CRC. */
static size_t sealed(const char *hex, uint8_t ret[SB_MODBUS_ADU_MAX])
{
    size_t n = bytes_of(hex, ret, SB_MODBUS_ADU_MAX - 2);
    uint16_t crc = sb_modbus_crc(ret, n);
    ret[n] = (uint8_t)crc;
    ret[n + 1] = (uint8_t)(crc >> 8);
    return n + 2;
}

/* Frames that libmodbus and others were seen to send. */
SB_TEST(test_frames_as_others_send_them)
{
    static const struct {
        const char *pdu, *frame;
    } cases[] = {
        { "03000a0004", "0103000a0004640b" },
        { "080000abcd", "01080000abcd5eae" },
        { "0800010000", "010800010000b1cb" },
        { "2b0e0100", "012b0e01007077" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        struct sb_modbus_pdu pdu = pdu_of(cases[i].pdu);
        uint8_t frame[SB_MODBUS_ADU_MAX];
        size_t n = sb_modbus_frame(1, &pdu, frame);
        sb_cleanup(sb_freep) char *hex = sb_hex(frame, n);
        assert_string_equal(hex, cases[i].frame);
    }
}

SB_TEST(test_requests)
{
    static const uint16_t words[] = { 0x0102, 0, 0xffff, 1, 0, 0, 1, 1, 1, 1 };
    struct sb_modbus_pdu pdu;
    sb_modbus_read(&pdu, SB_MODBUS_READ_INPUT, 0x1234, 125);
    assert_memory_equal(pdu.bytes, "\x04\x12\x34\x00\x7d", 5);
    assert_true(sb_modbus_write(&pdu, SB_MODBUS_WRITE_REGISTER, 5, words, 1));
    assert_memory_equal(pdu.bytes, "\x06\x00\x05\x01\x02", 5);
    assert_true(sb_modbus_write(&pdu, SB_MODBUS_WRITE_COIL, 5, words, 1));
    assert_memory_equal(pdu.bytes, "\x05\x00\x05\xff\x00", 5);
    assert_true(sb_modbus_write(&pdu, SB_MODBUS_WRITE_REGISTERS, 5, words, 2));
    assert_int_equal(pdu.n, 10);
    assert_memory_equal(pdu.bytes, "\x10\x00\x05\x00\x02\x04\x01\x02\x00\x00", 10);
    assert_true(sb_modbus_write(&pdu, SB_MODBUS_WRITE_COILS, 5, words, 10));
    assert_memory_equal(pdu.bytes, "\x0f\x00\x05\x00\x0a\x02\xcd\x03", 8);
    assert_true(sb_modbus_write_record(&pdu, 4, 7, words, 3));
    assert_memory_equal(pdu.bytes, "\x15\x0d\x06\x00\x04\x00\x07\x00\x03\x01\x02\x00\x00\xff\xff",
                        15);
    assert_int_equal(pdu.n, 15);
}

SB_TEST(test_requests_that_are_too_long)
{
    static const uint16_t words[2000];
    struct sb_modbus_pdu pdu;
    assert_true(sb_modbus_write(&pdu, SB_MODBUS_WRITE_REGISTERS, 0, words, 123));
    assert_int_equal(pdu.n, 252);
    assert_false(sb_modbus_write(&pdu, SB_MODBUS_WRITE_REGISTERS, 0, words, 124));
    assert_true(sb_modbus_write(&pdu, SB_MODBUS_WRITE_COILS, 0, words, 1968));
    assert_false(sb_modbus_write(&pdu, SB_MODBUS_WRITE_COILS, 0, words, 1977));
    assert_false(sb_modbus_write(&pdu, SB_MODBUS_WRITE_REGISTER, 0, words, 2));
    assert_false(sb_modbus_write(&pdu, SB_MODBUS_WRITE_REGISTERS, 0, words, 0));
    assert_true(sb_modbus_write_record(&pdu, 1, 0, words, 122));
    assert_false(sb_modbus_write_record(&pdu, 1, 0, words, 123));
}

/* Of each function: request, answer (without unit and CRC). */
static const struct exchange {
    const char *request, *answer;
} exchanges[] = {
    { "0100130013", "0103cd6b05" },
    { "0200c40016", "0203acdb35" },
    { "03006b0003", "0306022b00000064" },
    { "0400080001", "0402000a" },
    { "0500acff00", "0500acff00" },
    { "0600010003", "0600010003" },
    { "07", "076d" },
    { "080000a537", "080000a537" },
    { "0800020000", "0800020101" }, /* a register of diagnostics differs from the request */
    { "0b", "0bffff0108" },
    { "0c", "0c08000001080121"
            "2000" },
    { "0f0013000a02cd01", "0f0013000a" },
    { "100001000204000a0102", "1000010002" },
    { "11", "1104010203ff" },
    { "140e0600040001000206000300090002", "140c05060dfe0020"
                                          "050633cd0040" },
    { "150d0600040007000306af04be100d", "150d0600040007000306af04be100d" },
    { "16000400f20025", "16000400f20025" },
    { "1700030006000e000306"
      "00ff00ff00ff",
      "170c00fe0acd00010003000d00ff" },
    { "1804de", "180006000201b81284" },
    { "2b0e0100", "2b0e01830000030004"
                  "41636d65"
                  "010456464437"
                  "0205322e342e31" },
    { "410102", "41020122" }, /* a vendor's: only silence ends it */
};

/* Byte by byte, with noise before it and something behind: found exactly when it is whole. */
SB_TEST(test_answers_of_each_function)
{
    for (size_t i = 0; i < SB_COUNT(exchanges); i++) {
        struct sb_modbus_pdu request = pdu_of(exchanges[i].request), found = { .n = 0 };
        uint8_t line[2 * SB_MODBUS_ADU_MAX] = { 0x55, 0x00, 0x01, 0x03 }, *adu = line + 4;
        struct sb_modbus_pdu answer = pdu_of(exchanges[i].answer);
        size_t n = sb_modbus_frame(1, &answer, adu);
        bool known = sb_modbus_length_is_known(&request);
        assert_int_equal(known, i + 1 < SB_COUNT(exchanges));
        for (size_t have = 0; have < 4 + n; have++)
            assert_false(sb_modbus_find(1, &request, line, have, false, &found));
        assert_int_equal(sb_modbus_find(1, &request, line, 4 + n, false, &found), known);
        assert_true(sb_modbus_find(1, &request, line, 4 + n, true, &found));
        assert_int_equal(found.n, answer.n);
        assert_memory_equal(found.bytes, answer.bytes, answer.n);
        if (known)
            assert_true(sb_modbus_find(1, &request, line, 4 + n + 7, false, &found));
    }
}

SB_TEST(test_exceptions)
{
    for (size_t i = 0; i < SB_COUNT(exchanges); i++) {
        struct sb_modbus_pdu request = pdu_of(exchanges[i].request), found = { .n = 0 };
        uint8_t adu[SB_MODBUS_ADU_MAX];
        struct sb_modbus_pdu answer = { .bytes = { request.bytes[0] | 0x80, 2 }, .n = 2 };
        size_t n = sb_modbus_frame(1, &answer, adu);
        assert_int_equal(n, 5);
        assert_false(sb_modbus_find(1, &request, adu, 4, true, &found));
        assert_true(sb_modbus_find(1, &request, adu, 5, false, &found));
        assert_int_equal(found.bytes[1], 2);
    }
}

SB_TEST(test_any_damage_is_seen)
{
    for (size_t i = 0; i < SB_COUNT(exchanges); i++) {
        struct sb_modbus_pdu request = pdu_of(exchanges[i].request), found;
        struct sb_modbus_pdu answer = pdu_of(exchanges[i].answer);
        uint8_t adu[SB_MODBUS_ADU_MAX];
        size_t n = sb_modbus_frame(1, &answer, adu);
        for (size_t bit = 0; bit < 8 * n; bit++) {
            adu[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_false(sb_modbus_find(1, &request, adu, n, true, &found));
            adu[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
}

/* Right in themselves, but not ours. */
SB_TEST(test_answers_of_others_and_to_other_requests)
{
    static const struct {
        const char *request, *frame;
    } cases[] = {
        { "03006b0003", "020306022b00000064" }, /* another unit */
        { "03006b0003", "010406022b00000064" }, /* another function */
        { "03006b0003", "010304022b0000" },     /* to a request for two registers */
        { "0100130013", "010102cd6b" },         /* for fewer coils */
        { "0600010003", "010600020003" },       /* of another register */
        { "0600010003", "010600010004" },       /* of another value */
        { "100001000204000a0102", "011000010001" },
        { "150d0600040007000306af04be100d", "01150d0600040008000306af04be100d" },
        { "16000400f20025", "0116000400f20026" },
        { "080000a537", "01080000a538" },
        { "0800010000", "010800020000" },
        { "03006b0003", "018402" },     /* an exception to another function */
        { "2b0e0100", "012b0d010000" }, /* another interface */
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        struct sb_modbus_pdu request = pdu_of(cases[i].request), found;
        uint8_t adu[SB_MODBUS_ADU_MAX];
        size_t n = sealed(cases[i].frame, adu);
        if (sb_modbus_find(1, &request, adu, n, true, &found))
            fail_msg("case %zu was taken", i);
    }
}

/* Lengths that a frame cannot have. */
SB_TEST(test_hostile_lengths)
{
    struct sb_modbus_pdu read = pdu_of("03006b0003"), id = pdu_of("2b0e0100"),
                         fifo = pdu_of("1804de");
    const uint8_t counted[] = { 1, 3, 255 };
    uint8_t objects[260] = { 1, 0x2b, 0x0e, 1, 0x83, 0, 0, 255 };
    const uint8_t wide[] = { 1, 0x18, 0xff, 0xff };
    memset(objects + 8, 0x40, sizeof(objects) - 8);
    assert_int_equal(sb_modbus_answer_length(&read, counted, 3), -1);
    assert_int_equal(sb_modbus_answer_length(&id, objects, sizeof(objects)), -1);
    assert_int_equal(sb_modbus_answer_length(&fifo, wide, 4), -1);
    assert_int_equal(sb_modbus_answer_length(&read, counted, 1), 0);
}

/* A right CRC around lengths that no frame can have: who reads the answer would read beyond it. */
SB_TEST(test_an_answer_that_promises_more_than_it_has)
{
    static const struct {
        const char *request, *frame;
    } cases[] = { { "11", "0111ff41" }, /* 255 bytes of server id */
                  { "2b0e0100", "012b0e01010000020005414243444501f041" }, /* the second object */
                  { "1804de", "0118ffff0001" } };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        struct sb_modbus_pdu request = pdu_of(cases[i].request), found;
        uint8_t adu[SB_MODBUS_ADU_MAX];
        size_t n = sealed(cases[i].frame, adu);
        if (sb_modbus_find(1, &request, adu, n, true, &found))
            fail_msg("case %zu was taken", i);
    }
}

SB_TEST(test_silence_between_frames)
{
    assert_int_equal(sb_modbus_gap_us(9600), 4010);
    assert_int_equal(sb_modbus_gap_us(19200), 2005);
    assert_int_equal(sb_modbus_gap_us(38400), 1750);
    assert_int_equal(sb_modbus_gap_us(115200), 1750);
    assert_int_equal(sb_modbus_gap_us(0), sb_modbus_gap_us(9600));
    assert_int_equal(sb_modbus_wire_us(115200, 256), 24444);
}
