/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pure parts of the driver "smp": images, values, codes, where a device stands, device types.
 */
#include <errno.h>
#include <stdio.h>

#include "adapters/devices/smp/driver.h"
#include "adapters/devices/smp/firmware.h"
#include "bridge/base/str.h"
#include "tests/unit/driver_types.h"

/* ---- images ---- */

struct file {
    uint8_t bytes[1024];
    size_t n;
};

static int read_file(void *arg, int64_t at, void *ret, size_t n)
{
    const struct file *file = arg;
    if (at < 0 || (size_t)at + n > file->n)
        return -ENODATA;
    memcpy(ret, file->bytes + at, n);
    return 0;
}

static void put(struct file *file, uint32_t value, size_t n)
{
    for (size_t i = 0; i < n; i++)
        file->bytes[file->n++] = (uint8_t)(value >> (8 * i));
}

static void put_hash(struct file *file, size_t covered)
{
    sb_cleanup(sb_freep) char *hex = sb_sha256_hex(file->bytes, covered);
    put(file, 0x10, 2);
    put(file, 32, 2);
    assert_int_equal(sb_hex_decode(hex, file->bytes + file->n, 32), 0);
    file->n += 32;
}

/* An image by the book: header, 100 bytes, TLVs. */
static void make(struct file *file, bool protected_tlvs)
{
    *file = (struct file){ 0 };
    put(file, 0x96f3b83d, 4);
    put(file, 0, 4);
    put(file, 32, 2);
    put(file, protected_tlvs ? 12 : 0, 2);
    put(file, 100, 4);
    put(file, 0, 4);
    put(file, 2, 1);
    put(file, 3, 1);
    put(file, 400, 2);
    put(file, 77, 4);
    put(file, 0, 4);
    for (unsigned i = 0; i < 100; i++)
        put(file, i, 1);
    if (protected_tlvs) {
        put(file, 0x6908, 2);
        put(file, 12, 2);
        put(file, 0x50, 2);
        put(file, 4, 2);
        put(file, 9, 4);
    }
    size_t covered = file->n;
    put(file, 0x6907, 2);
    put(file, 4 + 8 + 36, 2);
    put(file, 0x22, 2); /* something else first */
    put(file, 4, 2);
    put(file, 0, 4);
    put_hash(file, covered);
}

static int parse(const struct file *file, struct sb_smp_image *ret, char **ret_error)
{
    return sb_smp_image_read(read_file, (void *)file, (int64_t)file->n, ret, ret_error);
}

SB_TEST(test_image)
{
    for (int protected_tlvs = 0; protected_tlvs < 2; protected_tlvs++) {
        struct file file;
        struct sb_smp_image image;
        char *error = NULL;
        make(&file, protected_tlvs);
        size_t n = file.n;
        put(&file, 0xffffffff, 4); /* padding behind it */
        assert_int_equal(parse(&file, &image, &error), 0);
        assert_null(error);
        assert_int_equal(image.size, n);
        sb_cleanup(sb_freep) char *version = sb_smp_image_version(&image);
        assert_string_equal(version, "2.3.400.77");
        sb_cleanup(sb_freep) char *hash = sb_sha256_hex(file.bytes, protected_tlvs ? 144 : 132);
        assert_string_equal(image.hash, hash);
    }
}

SB_TEST(test_image_damaged_anywhere)
{
    struct file whole, bad;
    struct sb_smp_image image;
    make(&whole, true);
    for (size_t at = 0; at < whole.n; at++) {
        bad = whole;
        bad.bytes[at] ^= 0x55;
        char *error = NULL;
        int r = parse(&bad, &image, &error);
        bool signature = at >= 148 && at < 156; /* the TLV that means nothing to us */
        bool encrypted = at == 16;              /* now says so: its hash is of the plain text */
        if (!signature && !encrypted && (r != -EBADMSG || !error))
            fail_msg("byte %zu: %d", at, r);
        free(error);
    }
    for (size_t n = 0; n < whole.n; n++) {
        bad = whole;
        bad.n = n;
        char *error = NULL;
        assert_int_equal(parse(&bad, &image, &error), -EBADMSG);
        assert_non_null(error);
        free(error);
    }
}

SB_TEST(test_image_hostile_sizes)
{
    static const struct {
        size_t at, n;
        uint32_t value;
    } cases[] = {
        { 8, 2, 0xffff },      { 8, 2, 0 },    { 10, 2, 0xffff }, { 12, 4, 0xffffffff },
        { 12, 4, 0x7fffffff }, { 134, 2, 0 },  { 134, 2, 3 },     { 134, 2, 0xffff },
        { 138, 2, 0xffff },    { 138, 2, 41 },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        struct file file;
        struct sb_smp_image image;
        char *error = NULL;
        make(&file, false);
        for (size_t b = 0; b < cases[i].n; b++)
            file.bytes[cases[i].at + b] = (uint8_t)(cases[i].value >> (8 * b));
        assert_int_equal(parse(&file, &image, &error), -EBADMSG);
        assert_non_null(error);
        free(error);
    }
}

SB_TEST(test_versions)
{
    static const struct {
        const char *a, *b;
        int order;
    } cases[] = {
        { "1.2.3", "1.2.3", 0 },           { "1.2.3", "1.2.3.0", 0 }, { "1.2.3+4", "1.2.3.4", 0 },
        { "1.10.0", "1.9.9", 1 },          { "0.9", "1.0.0", -1 },    { "1.2.3.4", "1.2.3.10", -1 },
        { "1.2.3.4294967295", "1.2.3", 1 }
    };
    int order;
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        assert_int_equal(sb_smp_version_compare(cases[i].a, cases[i].b, &order), 0);
        assert_int_equal(order, cases[i].order);
        assert_int_equal(sb_smp_version_compare(cases[i].b, cases[i].a, &order), 0);
        assert_int_equal(order, -cases[i].order);
    }
    static const char *const wrong[] = { "",          "v1.0", "1.2.3.4.5",     "1..2", "1.2+3",
                                         "1.2.3-rc1", "1.2.", "99999999999.0", " 1.0" };
    for (size_t i = 0; i < SB_COUNT(wrong); i++)
        assert_int_equal(sb_smp_version_compare("1.0.0", wrong[i], &order), -EINVAL);
    assert_int_equal(sb_smp_version_compare(NULL, "1.0.0", &order), -EINVAL);
}

/* ---- values ---- */

SB_TEST(test_values)
{
    static const struct {
        enum sb_value type;
        bool big;
        const char *json, *hex;
    } cases[] = {
        { SB_VALUE_U8, false, "[255]", "ff" },
        { SB_VALUE_U16, false, "[258]", "0201" },
        { SB_VALUE_U16, true, "[258]", "0102" },
        { SB_VALUE_U32, false, "[4294967295]", "ffffffff" },
        { SB_VALUE_U64, false, "[9223372036854775807]", "ffffffffffffff7f" },
        { SB_VALUE_U64, true, "[\"18446744073709551615\"]", "ffffffffffffffff" },
        { SB_VALUE_I8, false, "[-128]", "80" },
        { SB_VALUE_I16, true, "[-2]", "fffe" },
        { SB_VALUE_I32, false, "[-2147483648]", "00000080" },
        { SB_VALUE_I64, false, "[-9223372036854775808]", "0000000000000080" },
        { SB_VALUE_BOOL, false, "[true]", "01" },
        { SB_VALUE_BOOL, false, "[false]", "00" },
        { SB_VALUE_STRING, false, "[\"h\\u00e9\"]", "68c3a9" },
        { SB_VALUE_STRING, false, "[\"\"]", "" },
        { SB_VALUE_BYTES, false, "[\"00ff\"]", "00ff" },
        { SB_VALUE_BYTES, false, "[\"\"]", "" },
        { SB_VALUE_F32, false, "[1.5]", "0000c03f" },
        { SB_VALUE_F32, true, "[-2.0]", "c0000000" },
        { SB_VALUE_F64, false, "[0.1]", "9a9999999999b93f" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        sb_cleanup(json_decrefp) json_t *list = json_loads(cases[i].json, 0, NULL), *back = NULL;
        sb_cleanup(sb_freep) uint8_t *bytes = NULL;
        sb_cleanup(sb_freep) char *error = NULL;
        size_t n;
        const json_t *value = json_array_get(list, 0);
        assert_int_equal(sb_value_encode(cases[i].type, cases[i].big, value, &bytes, &n, &error),
                         0);
        sb_cleanup(sb_freep) char *hex = sb_hex(bytes, n);
        assert_string_equal(hex, cases[i].hex);
        assert_int_equal(sb_value_decode(cases[i].type, cases[i].big, bytes, n, &back, &error), 0);
        assert_true(json_equal(value, back));
    }
}

SB_TEST(test_values_that_do_not_fit)
{
    static const struct {
        enum sb_value type;
        const char *json, *text;
    } cases[] = {
        { SB_VALUE_U8, "[256]", "out of range for u8" },
        { SB_VALUE_U8, "[-1]", "out of range for u8" },
        { SB_VALUE_I8, "[128]", "out of range for i8" },
        { SB_VALUE_I8, "[-129]", "out of range for i8" },
        { SB_VALUE_U32, "[4294967296]", "out of range for u32" },
        { SB_VALUE_U64, "[-1]", "out of range for u64" },
        { SB_VALUE_I64, "[\"9223372036854775808\"]", "out of range for i64" },
        { SB_VALUE_U16, "[1.5]", "not the right kind of value for u16" },
        { SB_VALUE_U16, "[\"x\"]", "not the right kind of value for u16" },
        { SB_VALUE_U64, "[\"99999999999999999999\"]", "not the right kind of value for u64" },
        { SB_VALUE_BOOL, "[1]", "not the right kind of value for bool" },
        { SB_VALUE_STRING, "[5]", "not the right kind of value for string" },
        { SB_VALUE_BYTES, "[\"0\"]", "not the right kind of value for bytes" },
        { SB_VALUE_BYTES, "[\"zz\"]", "not the right kind of value for bytes" },
        { SB_VALUE_F32, "[\"1\"]", "not the right kind of value for f32" },
        { SB_VALUE_F32, "[1e300]", "out of range for f32" },
        { SB_VALUE_F64, "[null]", "not the right kind of value for f64" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        sb_cleanup(json_decrefp) json_t *list = json_loads(cases[i].json, 0, NULL);
        sb_cleanup(sb_freep) char *error = NULL;
        uint8_t *bytes = NULL;
        size_t n;
        assert_int_equal(
            sb_value_encode(cases[i].type, false, json_array_get(list, 0), &bytes, &n, &error),
            -EINVAL);
        assert_string_equal(error, cases[i].text);
    }
    sb_cleanup(sb_freep) char *error = NULL, *long_text = calloc(1, SB_VALUE_BYTES_MAX + 2);
    memset(long_text, 'x', SB_VALUE_BYTES_MAX + 1);
    sb_cleanup(json_decrefp) json_t *much = json_string(long_text), *back = NULL;
    uint8_t *bytes;
    size_t n;
    assert_int_equal(sb_value_encode(SB_VALUE_STRING, false, much, &bytes, &n, &error), -EINVAL);
    free(error);
    assert_int_equal(sb_value_decode(SB_VALUE_U32, false, (const uint8_t *)"abc", 3, &back, &error),
                     -EINVAL);
    free(error);
    assert_int_equal(
        sb_value_decode(SB_VALUE_STRING, false, (const uint8_t *)"\xff", 1, &back, &error),
        -EINVAL);
    free(SB_STEAL(error));
    assert_int_equal(
        sb_value_decode(SB_VALUE_STRING, false, (const uint8_t *)"ab\0\0", 4, &back, &error), 0);
    assert_string_equal(json_string_value(back), "ab");
}

/* ---- codes ---- */

SB_TEST(test_codes)
{
    static const struct {
        const char *body;
        enum sb_cause cause;
        const char *vocabulary, *code;
    } cases[] = {
        { "{}", SB_CAUSE_NONE, "rc", "0" },
        { "{\"rc\":0,\"off\":5}", SB_CAUSE_NONE, "rc", "0" },
        { "{\"rc\":2}", SB_CAUSE_NO_SPACE, "rc", "2" },
        { "{\"rc\":8}", SB_CAUSE_UNSUPPORTED, "rc", "8" },
        { "{\"rc\":9}", SB_CAUSE_VERIFY_FAILED, "rc", "9" },
        { "{\"rc\":10}", SB_CAUSE_BUSY, "rc", "10" },
        { "{\"rc\":11}", SB_CAUSE_REFUSED, "rc", "11" },
        { "{\"rc\":300}", SB_CAUSE_REFUSED, "rc", "300" },
        { "{\"rc\":-1}", SB_CAUSE_REFUSED, "rc", "-1" },
        { "{\"err\":{\"group\":1,\"rc\":27}}", SB_CAUSE_DOWNGRADE_REFUSED, "err:1", "27" },
        { "{\"err\":{\"group\":1,\"rc\":9}}", SB_CAUSE_NO_SPACE, "err:1", "9" },
        { "{\"err\":{\"group\":1,\"rc\":15}}", SB_CAUSE_NO_SPACE, "err:1", "15" },
        { "{\"err\":{\"group\":1,\"rc\":23}}", SB_CAUSE_UNSUPPORTED_IMAGE, "err:1", "23" },
        { "{\"err\":{\"group\":1,\"rc\":28}}", SB_CAUSE_BUSY, "err:1", "28" },
        { "{\"err\":{\"group\":1,\"rc\":99}}", SB_CAUSE_REFUSED, "err:1", "99" },
        { "{\"err\":{\"group\":1,\"rc\":0}}", SB_CAUSE_NONE, "err:1", "0" },
        { "{\"err\":{\"group\":3,\"rc\":3}}", SB_CAUSE_INVALID_REQUEST, "err:3", "3" },
        { "{\"err\":{\"group\":64,\"rc\":1}}", SB_CAUSE_REFUSED, "err:64", "1" },
        { "{\"err\":{}}", SB_CAUSE_INSTALL_FAILED, "err:0", "1" },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        sb_cleanup(json_decrefp) json_t *body = json_loads(cases[i].body, 0, NULL);
        struct sb_smp_code code = sb_smp_code_of(body);
        struct sb_native native = { 0 };
        if (i == SB_COUNT(cases) - 1)
            assert_int_not_equal(sb_smp_cause(&code), SB_CAUSE_NONE);
        else
            assert_int_equal(sb_smp_cause(&code), cases[i].cause);
        assert_int_equal(sb_smp_native(&code, &native), 0);
        assert_string_equal(native.dialect, "smp");
        assert_string_equal(native.vocabulary, cases[i].vocabulary);
        assert_string_equal(native.code, cases[i].code);
        assert_non_null(native.text);
        sb_native_done(&native);
    }
}

/* ---- where a device stands ---- */

#define A                    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B                    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define SLOT(n, hash, flags) "{\"slot\":" #n ",\"version\":\"1\",\"hash\":\"" hash "\"" flags "}"
#define ON(flag)             ",\"" flag "\":true"
#define OLD                  SLOT(0, A, ON("active") ON("confirmed"))

SB_TEST(test_decide)
{
    static const struct {
        const char *slots;
        bool direct, begun, reset_sent, unconfirmed;
        enum sb_smp_stage wanted;
    } cases[] = {
        { "", .wanted = SB_SMP_AT_UPLOAD },
        { OLD, .wanted = SB_SMP_AT_UPLOAD },
        { OLD "," SLOT(1, B, ""), .wanted = SB_SMP_AT_TEST },
        { OLD "," SLOT(1, B, ON("pending")), .wanted = SB_SMP_AT_RESET },
        { SLOT(0, B, ON("active")) "," SLOT(1, A, ON("confirmed")), .wanted = SB_SMP_AT_CONFIRM },
        { SLOT(0, B, ON("active")), .unconfirmed = true, .wanted = SB_SMP_AT_END },
        { SLOT(0, B, ON("active") ON("confirmed")), .wanted = SB_SMP_AT_END },
        { SLOT(0, B, ON("active") ON("confirmed")), .reset_sent = true, .wanted = SB_SMP_AT_END },
        { SLOT(0, B, ON("active")), .reset_sent = true, .wanted = SB_SMP_AT_CONFIRM },
        { OLD "," SLOT(1, B, ""), .reset_sent = true, .wanted = SB_SMP_AT_ROLLED_BACK },
        { OLD "," SLOT(1, B, ON("pending")), .reset_sent = true, .wanted = SB_SMP_AT_RESET },
        { OLD, .reset_sent = true, .wanted = SB_SMP_AT_ROLLED_BACK },
        /* the same image in both slots */
        { SLOT(0, B, ON("active") ON("confirmed")) "," SLOT(1, B, ""), .wanted = SB_SMP_AT_END },
        /* another image number is another matter */
        { "{\"image\":1,\"slot\":0,\"hash\":\"" B "\",\"active\":true}",
          .wanted = SB_SMP_AT_UPLOAD },
        /* straight into the first slot */
        { SLOT(0, A, ""), .direct = true, .wanted = SB_SMP_AT_UPLOAD },
        { SLOT(0, B, ""), .direct = true, .wanted = SB_SMP_AT_END },
        { SLOT(0, B, ""), .direct = true, .begun = true, .wanted = SB_SMP_AT_RESET },
        { SLOT(1, B, ""), .direct = true, .wanted = SB_SMP_AT_UPLOAD },
        /* nonsense from the device */
        { "1,null,\"x\"," OLD, .wanted = SB_SMP_AT_UPLOAD },
        { "{\"slot\":\"0\",\"hash\":7}", .wanted = SB_SMP_AT_UPLOAD },
    };
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        sb_cleanup(sb_freep) char *text = sb_format("{\"images\":[%s]}", cases[i].slots);
        json_t *body = json_loads(text, 0, NULL);
        assert_non_null(body);
        struct sb_smp_list list;
        sb_smp_list_parse(body, &list);
        const struct sb_smp_goal goal = { .hash = B,
                                          .direct = cases[i].direct,
                                          .begun = cases[i].begun,
                                          .reset_sent = cases[i].reset_sent,
                                          .confirm = !cases[i].unconfirmed };
        if (sb_smp_decide(&list, &goal) != cases[i].wanted)
            fail_msg("case %zu: %d", i, (int)sb_smp_decide(&list, &goal));
        sb_smp_list_done(&list);
    }
}

/* ---- device types ---- */

static const struct sb_driver_ops *const drivers[] = { &sb_smp_driver, NULL };

#define HEAD "name: t\ndriver: smp\n"

SB_TEST(test_types_that_are_wrong)
{
    static const struct wrong_type cases[] = {
        { HEAD "properties:\n  x: { type: u8 }\n", ":4:" },
        { HEAD "properties:\n  x: { setting: a, type: strin }\n", "did you mean 'string'" },
        { HEAD "properties:\n  x: { setting: a, type: u8, acess: both }\n",
          "did you mean 'access'" },
        { HEAD "properties:\n  x: { setting: a, type: u8, access: rw }\n", "read, write, both" },
        { HEAD "properties:\n  x: { setting: a, type: u8, endian: middle }\n", "little big" },
        { HEAD "actions:\n  x: { command: 1 }\n", "actions.x: needs `group`" },
        { HEAD "actions:\n  x: { group: 64, command: 300 }\n", "needs `group`" },
        { HEAD "actions:\n  x: { group: 64, command: 1, op: exec }\n", "read, write" },
        { HEAD "actions:\n  x: { group: 64, command: 1, timeout: soon }\n", "timeout is 'soon'" },
        { HEAD "actions:\n  x: { group: 64, command: 1, payload: 5 }\n", "payload must be a map" },
        { HEAD "actions:\n  x: { group: 64, command: 1, payload: { a: { $hex: zz } } }\n", "$hex" },
        { HEAD "actions:\n  x: { confirm: true, group: 1 }\n", "unknown key 'group'" },
        { HEAD "asks: x\nproperties:\n  x: { setting: a, type: u8 }\n",
          ":3: asks: no property is read" },
        { HEAD "confirm: manual\nactions:\n  x: { group: 64, command: 1 }\n",
          ":3: confirm: manual needs an action" },
        { HEAD "smp: { factory_reset: { method: settings } }\n", "needs `writes`, a map" },
        { HEAD "smp: { factory_reset: { method: settings, writes: { x: 1 } } }\n",
          "smp.factory_reset: writes.x: no property 'x'" },
        { HEAD "smp: { factory_reset: { method: request } }\n", "smp.factory_reset: request: " },
        { HEAD "smp: { stage: device, method: direct }\n", "smp.stage: device needs method: test" },
        { HEAD "smp: { tries: 0 }\n", "tries" },
        { HEAD "smp: { triess: 1 }\n", "did you mean 'tries'" },
    };
    expect_wrong(drivers, cases, SB_COUNT(cases));
}

SB_TEST(test_shipped_types)
{
    static const char *const names[] = { "mcuboot-serial", "zephyr-smp" };
    for (size_t i = 0; i < SB_COUNT(names); i++) {
        struct sb_type *type = shipped_type(drivers, names[i]);
        assert_string_equal(type->name, names[i]);
        assert_int_equal(type->verify, SB_VERIFY_HASH);
        (void)sb_type_unref(type);
    }
}

SB_TEST(test_accepts)
{
    static const struct {
        int op;
        const char *params;
        enum sb_cause cause;
        const char *part;
    } cases[] = {
        { SB_OP_FIRMWARE_UPDATE, "{}", SB_CAUSE_NONE, NULL },
        { SB_OP_REBOOT, "{}", SB_CAUSE_NONE, NULL },
        { SB_OP_READ, "{\"names\":[\"interval\",\"serial\"]}", SB_CAUSE_NONE, NULL },
        { SB_OP_READ, "{}", SB_CAUSE_NONE, NULL },
        { SB_OP_READ, "{\"names\":[\"intervall\"]}", SB_CAUSE_INVALID_REQUEST, "'interval'" },
        { SB_OP_READ, "{\"names\":[7]}", SB_CAUSE_INVALID_REQUEST, "texts" },
        { SB_OP_READ, "{\"names\":[\"key\"]}", SB_CAUSE_UNSUPPORTED, "read" },
        { SB_OP_WRITE, "{\"values\":{\"interval\":5}}", SB_CAUSE_NONE, NULL },
        { SB_OP_WRITE, "{\"values\":{\"interval\":\"x\"}}", SB_CAUSE_INVALID_REQUEST, "u32" },
        { SB_OP_WRITE, "{\"values\":{\"serial\":\"x\"}}", SB_CAUSE_UNSUPPORTED, "written" },
        { SB_OP_WRITE, "{}", SB_CAUSE_INVALID_REQUEST, "values" },
        { SB_OP_CONFIGURE, "{}", SB_CAUSE_NONE, NULL },
        { SB_OP_CONFIGURE, "{\"values\":5}", SB_CAUSE_INVALID_REQUEST, "values" },
        { SB_OP_INVOKE, "{\"action\":\"blink\",\"arguments\":{\"n\":3}}", SB_CAUSE_NONE, NULL },
        { SB_OP_INVOKE, "{\"action\":\"blink\",\"arguments\":[3]}", SB_CAUSE_INVALID_REQUEST,
          "map" },
        { SB_OP_INVOKE, "{\"action\":\"dance\"}", SB_CAUSE_UNSUPPORTED, "dance" },
        { SB_OP_INVOKE, "{}", SB_CAUSE_INVALID_REQUEST, "action" },
        { SB_OP_INVOKE, "{\"action\":\"keep\"}", SB_CAUSE_NONE, NULL },
        { SB_OP_INVOKE, "{\"action\":\"keep\",\"arguments\":{\"module\":\"radio\"}}", SB_CAUSE_NONE,
          NULL },
        { SB_OP_INVOKE, "{\"action\":\"keep\",\"arguments\":{\"modul\":\"radio\"}}",
          SB_CAUSE_INVALID_REQUEST, "did you mean 'module'" },
        { SB_OP_FACTORY_RESET, "{}", SB_CAUSE_UNSUPPORTED, "factory_reset" },
    };
    struct sb_type *type = NULL;
    struct sb_diags diags = { 0 };
    assert_int_equal(load_text(drivers,
                               HEAD "confirm: manual\nsmp: { images: [\"\", radio] }\n"
                                    "properties:\n"
                                    "  interval: { setting: a, type: u32 }\n"
                                    "  serial: { setting: b, type: string, access: read }\n"
                                    "  key: { setting: c, type: bytes, access: write }\n"
                                    "actions:\n"
                                    "  blink: { group: 64, command: 1, op: write, timeout: 5s }\n"
                                    "  keep: { confirm: true }\n",
                               &type, &diags),
                     0);
    for (size_t i = 0; i < SB_COUNT(cases); i++) {
        sb_cleanup(json_decrefp) json_t *params = json_loads(cases[i].params, 0, NULL);
        sb_cleanup(sb_freep) char *text = NULL;
        enum sb_cause cause = sb_smp_driver.accepts(type, cases[i].op, params, &text);
        if (cause != cases[i].cause || (cases[i].part && (!text || !strstr(text, cases[i].part))))
            fail_msg("case %zu: %s %s", i, sb_cause_name((int)cause), text ? text : "");
    }
    assert_int_equal(sb_smp_image_of_module(type, NULL), 0);
    assert_int_equal(sb_smp_image_of_module(type, "radio"), 1);
    assert_int_equal(sb_smp_image_of_module(type, "none"), -ENOENT);
    sb_cleanup(sb_freep) char *one = sb_smp_module_of_image(type, 1),
                              *five = sb_smp_module_of_image(type, 5);
    assert_string_equal(one, "radio");
    assert_string_equal(five, "image-5");
    (void)sb_type_unref(type);
    sb_diags_done(&diags);
}
